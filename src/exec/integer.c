/* integer.c - joins the DQ-op-Q groups of a quantized model into integer nodes, the way ONNX Runtime does at load.
 *
 *     x_q ─ DQ ─┐                                 x_q ─┐
 *     w_q ─ DQ ─ Conv ─ (Relu) ─ Q ─ y_q    ==>   w_q ─ QLinearConv ─ y_q
 *     b_q ─ DQ ─┘                                 b_q ─┘
 *
 * The graph is not touched: a group becomes a node of its own that points at the quantized values, and plan.c runs it in
 * place of the op and the Q. Float weights and biases in such a group are quantized as the runtime does it (own_weights.c).
 * DQ nodes that nobody else reads are dropped there. What does not fit the pattern exactly runs
 * node by node in float, which is what the runtime would do, but for the weights that it rounds to 8 bits and then has no
 * integer op for (a float ConvTranspose between DQ and Q, a Relu that its Q does not do).
 */
#include "src/exec/internal.h"

#include <math.h>
#include <string.h>

/* How the inputs of the integer op are laid out. */
typedef enum Form {
    FORM_CONV,   /* x xs xz w ws wz ys yz b */
    FORM_MATMUL, /* a as az b bs bz ys yz */
    FORM_GEMM,   /* a as az b bs bz c ys yz */
    FORM_BINARY, /* a as az b bs bz ys yz */
    FORM_UNARY,  /* x xs xz ys yz */
    FORM_CONCAT, /* ys yz (x xs xz)... */
    FORM_SAME    /* x, the op itself on the quantized type; Q and DQ agree */
} Form;

typedef struct IntegerOp {
    const char *op_type; /* ai.onnx, in float */
    Form form;
    const char *integer_type, *domain;
} IntegerOp;

static const IntegerOp integer_ops[] = {
    {"Conv", FORM_CONV, "QLinearConv", ""},
    {"MatMul", FORM_MATMUL, "QLinearMatMul", ""},
    {"Gemm", FORM_GEMM, "QGemm", DOMAIN_MICROSOFT},
    {"Add", FORM_BINARY, "QLinearAdd", DOMAIN_MICROSOFT},
    {"Mul", FORM_BINARY, "QLinearMul", DOMAIN_MICROSOFT},
    {"Sigmoid", FORM_UNARY, "QLinearSigmoid", DOMAIN_MICROSOFT},
    {"LeakyRelu", FORM_UNARY, "QLinearLeakyRelu", DOMAIN_MICROSOFT},
    {"Softmax", FORM_UNARY, "QLinearSoftmax", DOMAIN_MICROSOFT},
    {"AveragePool", FORM_UNARY, "QLinearAveragePool", DOMAIN_MICROSOFT},
    {"GlobalAveragePool", FORM_UNARY, "QLinearGlobalAveragePool", DOMAIN_MICROSOFT},
    {"Concat", FORM_CONCAT, "QLinearConcat", DOMAIN_MICROSOFT},
    {"MaxPool", FORM_SAME, NULL, ""},
    {"Reshape", FORM_SAME, NULL, ""},
    {"Flatten", FORM_SAME, NULL, ""},
    {"Transpose", FORM_SAME, NULL, ""},
    {"Squeeze", FORM_SAME, NULL, ""},
    {"Unsqueeze", FORM_SAME, NULL, ""},
    {"Slice", FORM_SAME, NULL, ""},
    {"Split", FORM_SAME, NULL, ""},
    {"Expand", FORM_SAME, NULL, ""},
    {"Gather", FORM_SAME, NULL, ""},
    {"Tile", FORM_SAME, NULL, ""},
    {"DepthToSpace", FORM_SAME, NULL, ""},
    {"SpaceToDepth", FORM_SAME, NULL, ""},
    {"Resize", FORM_SAME, NULL, ""},
    {"ReduceMax", FORM_SAME, NULL, ""},
    {"ReduceMin", FORM_SAME, NULL, ""},
};

/* The op of com.microsoft that takes the same inputs without ys and yz and gives floats; NULL: the form needs its Q. */
static const char *open_type(Form form)
{
    return form == FORM_MATMUL ? "MatMulIntegerToFloat" : form == FORM_GEMM ? "QGemm" : NULL;
}

typedef struct Group {
    Arena *arena;
    const Node *node;
    Edge *inputs;      /* n_in; quantized is NULL for an input that is not behind a DQ */
    bool open;         /* no Q behind it: the integer op gives floats */
    Node **quantizers; /* n_out; of a group that is not open, as are the outputs */
    Edge *outputs;
    Node *absorbed; /* Relu or Clip between the op and its Q, or NULL */
} Group;

static DType element_type(const Value *value)
{
    if (value->constant != NULL)
        return value->constant->dtype;
    return value->type.kind == TYPE_TENSOR ? value->type.dtype : DT_UNDEFINED;
}

static bool is_scalar(const Value *value)
{
    return value->constant != NULL && value->constant->count == 1;
}

/* A constant zero of the type a missing zero point stands for. */
static Value *make_zero(Arena *arena, DType dtype, const Value *like)
{
    Tensor *tensor = arena_alloc(arena, sizeof *tensor);
    int rank = like->constant == NULL ? 0 : like->constant->rank;
    const int64_t *dims = like->constant == NULL ? NULL : like->constant->dims;
    int64_t count = like->constant == NULL ? 1 : like->constant->count;
    void *data = arena_array(arena, (size_t)MAX(count, 1), (size_t)MAX(dtype_bits(dtype) / 8, 1));
    Status status = tensor_view(tensor, dtype, rank, dims, data);
    status_free(status); /* the shape is that of an existing tensor: it cannot fail */
    return integer_constant(arena, tensor);
}

/* The edge behind DQ or in front of Q `node` (both: quantized/real, scale, zero point). */
static bool read_edge(Arena *arena, const Node *node, Value *quantized, Edge *ret)
{
    Value *scale = node_in(node, 1), *zero = node_in(node, 2);
    if (scale == NULL || scale->constant == NULL || scale->constant->dtype != DT_FLOAT)
        return false;
    if (zero != NULL && zero->constant == NULL)
        return false;
    if (node_int(node, "block_size", 0) != 0)
        return false;
    DType dtype = zero != NULL                      ? zero->constant->dtype
                  : node_is(node, "QuantizeLinear") ? DT_UINT8
                                                    : element_type(quantized);
    if (zero == NULL)
        zero = make_zero(arena, dtype, scale);
    *ret = (Edge){quantized, scale, zero};
    return true;
}

static bool is_8_bit(const Edge *edge)
{
    DType dtype = edge->zero_point->constant->dtype;
    return dtype == DT_UINT8 || dtype == DT_INT8;
}

static bool same_parameters(const Edge *a, const Edge *b)
{
    return is_scalar(a->scale) && is_scalar(b->scale) && is_scalar(a->zero_point) && is_scalar(b->zero_point) &&
           a->zero_point->constant->dtype == b->zero_point->constant->dtype &&
           tensor_get(a->scale->constant, 0) == tensor_get(b->scale->constant, 0) &&
           tensor_get_int(a->zero_point->constant, 0) == tensor_get_int(b->zero_point->constant, 0);
}

/* Relu (or Clip from 0) in front of a Q changes nothing when the Q's least value is real zero and, for Clip, its greatest
 * does not pass the upper bound. */
static bool is_absorbed(const Node *node, const Edge *output)
{
    if (!is_scalar(output->zero_point) || !is_scalar(output->scale))
        return false;
    int64_t zero = tensor_get_int(output->zero_point->constant, 0);
    bool unsigned_type = output->zero_point->constant->dtype == DT_UINT8;
    if (zero != (unsigned_type ? 0 : -128))
        return false;
    if (node_is(node, "Relu"))
        return true;
    if (!node_is(node, "Clip") || node->opset < 11)
        return false;
    const Tensor *low = node_constant(node, 1), *high = node_constant(node, 2);
    double greatest = 255.0 * tensor_get(output->scale->constant, 0);
    return low != NULL && low->count == 1 && tensor_get(low, 0) == 0.0 &&
           (node_in(node, 2) == NULL ||
            (high != NULL && high->count == 1 && greatest <= tensor_get(high, 0) * (1.0 + 1e-6)));
}

/* Finds the Q behind output 0 (through an absorbed Relu or Clip), and behind every output of a Split. Like all the
 * ..._problem functions: NULL when all is well, else why the pattern does not fit. */
static const char *outputs_problem(Group *group, bool may_absorb)
{
    const Node *node = group->node;
    group->quantizers = arena_array(group->arena, (size_t)node->n_out, sizeof group->quantizers[0]);
    group->outputs = arena_array(group->arena, (size_t)node->n_out, sizeof group->outputs[0]);
    for (int i = 0; i < node->n_out; i++) {
        if (node->out[i] == NULL)
            return "an output is left out";
        if (node->out[i]->n_outputs > 0)
            return "its output is an output of the model";
        Node *user = value_only_user(node->out[i]);
        if (user != NULL && may_absorb && (node_is(user, "Relu") || node_is(user, "Clip")) &&
            user->in[0] == node->out[i] && user->graph == node->graph) {
            group->absorbed = user;
            user = value_only_user(user->out[0]);
        }
        if (user == NULL || !node_is(user, "QuantizeLinear") || user->graph != node->graph)
            return "no QuantizeLinear alone behind it";
        if (!read_edge(group->arena, user, user->out[0], &group->outputs[i]) || !is_8_bit(&group->outputs[i]) ||
            !is_scalar(group->outputs[i].scale) || !is_scalar(group->outputs[i].zero_point))
            return "the QuantizeLinear behind it is not 8-bit with one constant scale";
        if (group->absorbed != NULL && !is_absorbed(group->absorbed, &group->outputs[i]))
            return "the Relu or Clip behind it does more than its QuantizeLinear would";
        group->quantizers[i] = user;
    }
    return NULL;
}

/* A Q reads it, or the Q behind a lone Relu or Clip, which then must fit. */
static bool has_quantizer(const Value *value)
{
    const Node *user = value_only_user(value);
    if (user != NULL && (node_is(user, "Relu") || node_is(user, "Clip"))) {
        const Node *next = value_only_user(user->out[0]);
        return next != NULL && node_is(next, "QuantizeLinear");
    }
    for (size_t i = 0; i < value->n_uses; i++)
        if (node_is(value->uses[i].node, "QuantizeLinear"))
            return true;
    return false;
}

static const Shape *known_shape(const Value *value)
{
    static const Shape unknown = {.rank = -1};
    return value->type.kind == TYPE_TENSOR ? &value->type.shape : &unknown;
}

/* (n), or next to a left factor (m, k) also (1, n), (m, 1) and (m, n). */
static bool is_bias(const Shape *bias, const Shape *left, const Shape *right)
{
    int64_t n = right->rank == 2 ? right->dims[1].size : -1, m = left->rank == 2 ? left->dims[0].size : -1;
    if (bias->rank == 1)
        return n >= 0 && bias->dims[0].size == n;
    if (bias->rank != 2 || left->rank != 2 || n < 0 || bias->dims[0].size < 0)
        return false;
    bool rows = bias->dims[0].size == m;
    return bias->dims[1].size == n ? rows || bias->dims[0].size == 1 : rows && bias->dims[1].size == 1;
}

/* The runtime makes a Gemm of a MatMul and the bias behind it before it looks for integers, and a Gemm with a float bias has no
 * integer form. */
static const char *open_problem(const Node *node)
{
    const Node *user = node->out[0]->n_outputs > 0 ? NULL : value_only_user(node->out[0]);
    if (user == NULL || !node_is(node, "MatMul") || !node_is(user, "Add") || user->graph != node->graph)
        return NULL;
    const Value *bias = user->in[user->in[0] == node->out[0] ? 1 : 0];
    return is_bias(known_shape(bias), known_shape(node->in[0]), known_shape(node->in[1]))
               ? "the runtime joins it with the Add behind it into a Gemm in float"
               : NULL;
}

static void find_inputs(Group *group)
{
    const Node *node = group->node;
    group->inputs = arena_array(group->arena, (size_t)node->n_in, sizeof group->inputs[0]);
    for (int i = 0; i < node->n_in; i++) {
        const Node *producer = node->in[i] == NULL ? NULL : node->in[i]->producer;
        if (producer == NULL || !node_is(producer, "DequantizeLinear") || producer->graph != node->graph)
            continue;
        Edge edge;
        if (read_edge(group->arena, producer, producer->in[0], &edge))
            group->inputs[i] = edge;
    }
}

static bool is_activation(const Group *group, int i)
{
    const Edge *edge = &group->inputs[i];
    return edge->quantized != NULL && is_8_bit(edge) && is_scalar(edge->scale) && is_scalar(edge->zero_point);
}

static bool same_type(const Edge *a, const Edge *b)
{
    return a->zero_point->constant->dtype == b->zero_point->constant->dtype;
}

/* Bias of a weighted op: int32 with scale x_s * w_s and zero point 0, to within 1 %, else the sum would be wrong. */
static bool bias_fits(const Group *group, int bias)
{
    const Edge *edge = &group->inputs[bias];
    if (edge->quantized == NULL || edge->zero_point->constant->dtype != DT_INT32)
        return false;
    double x_scale = tensor_get(group->inputs[0].scale->constant, 0);
    const Tensor *weight_scale = group->inputs[1].scale->constant, *bias_scale = edge->scale->constant;
    for (int64_t c = 0; c < bias_scale->count; c++) {
        if (weight_scale->count != 1 && weight_scale->count != bias_scale->count && bias_scale->count != 1)
            return false;
        double expected = x_scale * tensor_get(weight_scale, weight_scale->count == 1 ? 0 : c);
        if (fabs(tensor_get(bias_scale, c) - expected) > 0.01 * expected)
            return false;
    }
    const Tensor *zero = edge->zero_point->constant;
    for (int64_t c = 0; c < zero->count; c++)
        if (tensor_get_int(zero, c) != 0)
            return false;
    return true;
}

static bool is_weight(const Group *group, int i, int64_t axis_from_end)
{
    const Edge *edge = &group->inputs[i];
    if (edge->quantized == NULL || !is_8_bit(edge))
        return false;
    if (is_scalar(edge->scale))
        return true;
    const Tensor *weight = edge->quantized->constant;
    if (weight == NULL || weight->rank == 0)
        return false;
    int64_t axis = axis_from_end == 0 ? 0 : weight->rank - axis_from_end;
    const Node *dequantize = group->node->in[i]->producer;
    int64_t declared = node_int(dequantize, "axis", 1);
    return (declared < 0 ? declared + weight->rank : declared) == axis;
}

static const char *weighted_problem(const Group *group, Form form)
{
    const Node *node = group->node;
    if (!is_activation(group, 0))
        return "its input comes from no DequantizeLinear with one constant scale";
    if (!group->open && !same_type(&group->inputs[0], &group->outputs[0]))
        return "its input and output are quantized to different types";
    int64_t axis = form == FORM_CONV ? 0 : form == FORM_GEMM && node_int(node, "transB", 0) != 0 ? 2 : 1;
    if (!is_weight(group, 1, axis))
        return "its weight is not 8-bit behind a DequantizeLinear, per tensor or per output channel";
    if (form == FORM_MATMUL)
        return NULL;
    if (form == FORM_GEMM && node_float(node, "beta", 1.0f) != 1.0f)
        return "beta is not 1";
    if (node_in(node, 2) != NULL && !bias_fits(group, 2))
        return "its bias is not int32 with the scale of input times weight";
    return NULL;
}

static const char *group_problem(const Group *group, Form form)
{
    const Node *node = group->node;
    switch (form) {
    case FORM_CONV:
    case FORM_MATMUL:
    case FORM_GEMM: return weighted_problem(group, form);
    case FORM_BINARY:
    case FORM_UNARY:
    case FORM_CONCAT:
        for (int i = 0; i < node->n_in; i++) {
            if (!is_activation(group, i))
                return "an input comes from no DequantizeLinear with one constant scale";
            if (!same_type(&group->inputs[i], &group->outputs[0]))
                return "inputs and output are quantized to different types";
        }
        return NULL;
    case FORM_SAME: break;
    }
    if (!is_activation(group, 0))
        return "its input comes from no DequantizeLinear with one constant scale";
    for (int i = 1; i < node->n_in; i++)
        if (group->inputs[i].quantized != NULL)
            return "an input that is no data is quantized";
    for (int i = 0; i < node->n_out; i++)
        if (!same_parameters(&group->inputs[0], &group->outputs[i]))
            return "it only moves data, but scale or zero point differ in front and behind";
    if (node_is(node, "Resize") && strcmp(node_string(node, "mode", "nearest"), "nearest") != 0)
        return "only nearest Resize works on integers";
    return NULL;
}

/* ---- the integer node -------------------------------------------------------------------------------------------- */

static void put(Value **list, int *n, const Edge *edge)
{
    list[(*n)++] = edge->quantized;
    list[(*n)++] = edge->scale;
    list[(*n)++] = edge->zero_point;
}

/* a b as bs az bz */
static int to_float_inputs(const Group *group, Value **list)
{
    for (int i = 0; i < 2; i++) {
        list[i] = group->inputs[i].quantized;
        list[2 + i] = group->inputs[i].scale;
        list[4 + i] = group->inputs[i].zero_point;
    }
    return 6;
}

static int integer_inputs(const Group *group, Form form, Value **list)
{
    const Node *node = group->node;
    const Edge *out = group->open ? NULL : &group->outputs[0];
    if (group->open && form == FORM_MATMUL)
        return to_float_inputs(group, list);
    int n = 0;
    if (form == FORM_SAME) {
        list[n++] = group->inputs[0].quantized;
        for (int i = 1; i < node->n_in; i++)
            list[n++] = node->in[i];
        return n;
    }
    if (form == FORM_CONCAT && out != NULL) {
        list[n++] = out->scale;
        list[n++] = out->zero_point;
    }
    int edges = form == FORM_CONV || form == FORM_GEMM ? 2 : node->n_in;
    for (int i = 0; i < edges; i++)
        put(list, &n, &group->inputs[i]);
    Value *bias = form == FORM_CONV || form == FORM_GEMM ? node_in(node, 2) : NULL;
    if (form == FORM_GEMM)
        list[n++] = bias == NULL ? NULL : group->inputs[2].quantized;
    if (form != FORM_CONCAT && out != NULL) {
        list[n++] = out->scale;
        list[n++] = out->zero_point;
    }
    if (form == FORM_CONV && bias != NULL)
        list[n++] = group->inputs[2].quantized;
    return n;
}

/* Attributes are those of the float op; QLinearSoftmax also wants to know which Softmax it stands for. */
static void integer_attributes(const Group *group, Node *integer)
{
    const Node *node = group->node;
    integer->attrs = node->attrs;
    integer->n_attrs = node->n_attrs;
    if (!node_is(node, "Softmax"))
        return;
    integer->attrs = arena_array(group->arena, (size_t)node->n_attrs + 2, sizeof integer->attrs[0]);
    if (node->n_attrs > 0)
        memcpy(integer->attrs, node->attrs, (size_t)node->n_attrs * sizeof integer->attrs[0]);
    integer->attrs[integer->n_attrs++] = (Attr){.name = "opset", .kind = ATTR_INT, .n = 1, .i = node->opset};
    if (node_attr(node, "axis") == NULL)
        integer->attrs[integer->n_attrs++] =
            (Attr){.name = "axis", .kind = ATTR_INT, .n = 1, .i = node->opset >= 13 ? -1 : 1};
}

static Node *make_integer_node(const Group *group, const IntegerOp *op)
{
    const Node *node = group->node;
    Node *integer = arena_alloc(group->arena, sizeof *integer);
    *integer = *node;
    if (op->integer_type != NULL) {
        integer->op_type = group->open ? open_type(op->form) : op->integer_type;
        integer->domain = group->open ? DOMAIN_MICROSOFT : op->domain;
        integer->opset = integer->domain[0] == '\0' ? node->opset : 1;
        integer->def = op_find(integer->domain, integer->op_type, integer->opset);
        if (integer->def == NULL)
            return NULL;
        integer_attributes(group, integer);
    }
    integer->in = arena_array(group->arena, (size_t)node->n_in * 3 + 4, sizeof integer->in[0]);
    integer->n_in = integer_inputs(group, op->form, integer->in);
    integer->out = arena_array(group->arena, (size_t)node->n_out, sizeof integer->out[0]);
    for (int i = 0; i < node->n_out; i++)
        integer->out[i] = group->open ? node->out[i] : group->quantizers[i]->out[0];
    return integer;
}

static const IntegerOp *find_integer_op(const Node *node)
{
    if (node->def == NULL || node->domain[0] != '\0')
        return NULL;
    for (size_t i = 0; i < COUNT_OF(integer_ops); i++)
        if (strcmp(integer_ops[i].op_type, node->op_type) == 0)
            return &integer_ops[i];
    return NULL;
}

/* Finds the group around a node and gives its integer node; NULL with the reason in *ret_problem. */
static Node *join_group(Arena *arena, const Node *node, const IntegerOp *op, bool *covered, const char **ret_problem)
{
    Group group = {.arena = arena, .node = node};
    find_inputs(&group);
    bool may_absorb = op->form != FORM_UNARY && op->form != FORM_CONCAT && op->form != FORM_SAME;
    group.open = open_type(op->form) != NULL && node->out[0] != NULL && !has_quantizer(node->out[0]);
    *ret_problem = group.open ? open_problem(node) : outputs_problem(&group, may_absorb);
    if (*ret_problem == NULL && !group.open && (op->form == FORM_CONV || op->form == FORM_GEMM))
        integer_own_weights(arena, node, group.inputs);
    if (*ret_problem == NULL)
        *ret_problem = group_problem(&group, op->form);
    Node *integer = *ret_problem == NULL ? make_integer_node(&group, op) : NULL;
    if (integer == NULL)
        return NULL;
    for (int i = 0; i < node->n_out && !group.open; i++)
        covered[group.quantizers[i]->id] = true;
    if (group.absorbed != NULL)
        covered[group.absorbed->id] = true;
    return integer;
}

void integer_groups(const Graph *graph, Arena *arena, const Node **replacement, const char **problem, bool *covered)
{
    for (const Node *node = graph->first; node != NULL; node = node->next) {
        const IntegerOp *op = find_integer_op(node);
        if (op != NULL && !covered[node->id])
            replacement[node->id] = join_group(arena, node, op, covered, &problem[node->id]);
    }
}
