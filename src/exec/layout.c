/* layout.c - the table of ops that run on channels-last images; see layout.h. */
#include "src/exec/layout.h"

#include "src/ops/ops.h"

#include <string.h>

#define ALL_INPUTS (1u << 31)

typedef struct LayoutRow {
    const char *domain, *op_type;
    LayoutRule rule;
} LayoutRow;

#define ELEMENTWISE(op) {"", op, {LAYOUT_ANY, ALL_INPUTS, 0}}

static const LayoutRow rows[] = {
    {"", "Conv", {LAYOUT_SEEKS, 1, 0}},
    {DOMAIN_MICROSOFT, "FusedConv", {LAYOUT_SEEKS, 1 | 1 << 3, 0}},
    {"", "ConvTranspose", {LAYOUT_SEEKS, 1, 0}},
    {"", "QLinearConv", {LAYOUT_SEEKS, 1, 0}},
    {"", "MaxPool", {LAYOUT_SEEKS, 1, 0}},
    {"", "AveragePool", {LAYOUT_SEEKS, 1, 0}},
    {"", "GlobalAveragePool", {LAYOUT_KNOWS, 1, 0}},
    {DOMAIN_MICROSOFT, "QLinearGlobalAveragePool", {LAYOUT_KNOWS, 1, 0}},
    {"", "Resize", {LAYOUT_KNOWS, 1, 0}},
    {"", "Upsample", {LAYOUT_KNOWS, 1, 0}},
    {"", "Concat", {LAYOUT_AXIS, ALL_INPUTS, 0}},
    {DOMAIN_MICROSOFT, "QLinearConcat", {LAYOUT_AXIS, ALL_INPUTS, 0}},
    {"", "Split", {LAYOUT_AXIS, 1, 0}},
    {"", "Softmax", {LAYOUT_AXIS, 1, -1}},
    {"", "LogSoftmax", {LAYOUT_AXIS, 1, -1}},
    {DOMAIN_MICROSOFT, "QLinearAdd", {LAYOUT_ANY, ALL_INPUTS, 0}},
    {DOMAIN_MICROSOFT, "QLinearMul", {LAYOUT_ANY, ALL_INPUTS, 0}},
    {DOMAIN_MICROSOFT, "QLinearSigmoid", {LAYOUT_ANY, 1, 0}},
    {DOMAIN_MICROSOFT, "QLinearGated", {LAYOUT_ANY, 1, 0}},
    {DOMAIN_MICROSOFT, "QLinearLeakyRelu", {LAYOUT_ANY, 1, 0}},
    {"", "QuantizeLinear", {LAYOUT_ANY, 1, 0}},
    {"", "DequantizeLinear", {LAYOUT_ANY, 1, 0}},
    ELEMENTWISE("Add"),
    ELEMENTWISE("Sub"),
    ELEMENTWISE("Mul"),
    ELEMENTWISE("Div"),
    ELEMENTWISE("Pow"),
    ELEMENTWISE("Min"),
    ELEMENTWISE("Max"),
    ELEMENTWISE("Sum"),
    ELEMENTWISE("Mean"),
    ELEMENTWISE("PRelu"),
    ELEMENTWISE("Relu"),
    ELEMENTWISE("Clip"),
    ELEMENTWISE("LeakyRelu"),
    ELEMENTWISE("Sigmoid"),
    ELEMENTWISE("HardSigmoid"),
    ELEMENTWISE("HardSwish"),
    ELEMENTWISE("Elu"),
    ELEMENTWISE("Selu"),
    ELEMENTWISE("Celu"),
    ELEMENTWISE("Softplus"),
    ELEMENTWISE("Softsign"),
    ELEMENTWISE("Gelu"),
    ELEMENTWISE("Mish"),
    ELEMENTWISE("Swish"),
    ELEMENTWISE("Tanh"),
    ELEMENTWISE("Erf"),
    ELEMENTWISE("Exp"),
    ELEMENTWISE("Log"),
    ELEMENTWISE("Sqrt"),
    ELEMENTWISE("Reciprocal"),
    ELEMENTWISE("Abs"),
    ELEMENTWISE("Neg"),
    ELEMENTWISE("Floor"),
    ELEMENTWISE("Ceil"),
    ELEMENTWISE("Round"),
    ELEMENTWISE("Cast"),
    ELEMENTWISE("Identity"),
};

/* What the row of the op cannot promise for every node. */
static bool rule_holds(const Node *node, LayoutKind kind)
{
    if (kind == LAYOUT_SEEKS && node->n_out > 1)
        return false; /* MaxPool's indices count row-major places */
    if (node_is(node, "QuantizeLinear") || node_is(node, "DequantizeLinear")) /* per tensor only: no axis */
        return node_in(node, 1) != NULL && node->in[1]->constant != NULL && node->in[1]->constant->count == 1;
    if (node_is(node, "Softmax") || node_is(node, "LogSoftmax"))
        return node->opset >= 13; /* before, it flattened what stands behind the axis */
    return true;
}

/* A Transpose that only calls the other order of an image by its name. */
static LayoutKind kind_of_transpose(const Node *node)
{
    int64_t n;
    const int64_t *perm = node_ints(node, "perm", &n);
    bool to = n >= 3 && perm[0] == 0, from = to;
    for (int64_t i = 1; i < n; i++) {
        to = to && perm[i] == (i == n - 1 ? 1 : i + 1);
        from = from && perm[i] == (i == 1 ? n - 1 : i - 1);
    }
    return to ? LAYOUT_TO_LAST : from ? LAYOUT_FROM_LAST : LAYOUT_PLAIN;
}

LayoutRule layout_rule(const Node *node)
{
    if (node->def != NULL && node_is(node, "Transpose") && node->domain[0] == '\0')
        return (LayoutRule){kind_of_transpose(node), 0, 0};
    for (size_t i = 0; i < COUNT_OF(rows) && node->def != NULL; i++)
        if (strcmp(rows[i].op_type, node->op_type) == 0 && strcmp(rows[i].domain, node->domain) == 0 &&
            rule_holds(node, rows[i].rule.kind))
            return rows[i].rule;
    return (LayoutRule){LAYOUT_PLAIN, 0, 0};
}

bool layout_is_image(const LayoutRule *rule, int input)
{
    return (rule->images & ALL_INPUTS) != 0 || (input < 31 && (rule->images >> input & 1) != 0);
}

bool layout_is_neutral(const Tensor *tensor)
{
    return tensor->rank < 3 || tensor->count == 0 || tensor->dims[1] == 1 ||
           tensor->count == tensor->dims[0] * tensor->dims[1];
}

bool layout_can_turn(const Tensor *tensor)
{
    return tensor->rank >= 3 && tensor->rank <= 5 && tensor->dtype != DT_STRING && tensor->dtype != DT_LIST &&
           dtype_bits(tensor->dtype) >= 8 && dtype_bits(tensor->dtype) <= 64;
}

Tensor layout_show(const Tensor *tensor)
{
    Tensor shown = *tensor;
    for (int d = 2; d < tensor->rank; d++)
        shown.dims[d - 1] = tensor->dims[d];
    shown.dims[tensor->rank - 1] = tensor->dims[1];
    shown.owned = false;
    return shown;
}

Tensor layout_hide(const Tensor *tensor)
{
    Tensor hidden = *tensor;
    for (int d = 2; d < tensor->rank; d++)
        hidden.dims[d] = tensor->dims[d - 1];
    hidden.dims[1] = tensor->dims[tensor->rank - 1];
    return hidden;
}

Tensor layout_raise(const Tensor *tensor, int rank)
{
    Tensor raised = *tensor;
    int more = rank - tensor->rank;
    for (int d = rank - 1; d >= 0; d--)
        raised.dims[d] = d >= more ? tensor->dims[d - more] : 1;
    raised.rank = rank;
    raised.owned = false;
    return raised;
}

const Node *layout_node(Arena *arena, const Node *node, const LayoutRule *rule, int rank)
{
    int64_t axis = node_int(node, "axis", rule->default_axis);
    if (axis < 0)
        axis += rank;
    if (axis < 1 || axis >= rank)
        return node; /* the batch, or an error that the op itself names */
    Node *turned = arena_alloc(arena, sizeof *turned);
    *turned = *node;
    turned->attrs = arena_array(arena, (size_t)node->n_attrs + 1, sizeof turned->attrs[0]);
    turned->n_attrs = 0;
    for (int i = 0; i < node->n_attrs; i++)
        if (strcmp(node->attrs[i].name, "axis") != 0)
            turned->attrs[turned->n_attrs++] = node->attrs[i];
    turned->attrs[turned->n_attrs++] =
        (Attr){.name = "axis", .kind = ATTR_INT, .n = 1, .i = axis == 1 ? rank - 1 : axis - 1};
    return turned;
}
