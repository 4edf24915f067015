/* align_channels.c - inner channels are brought to the number that a target's kernels take, before ranges are measured.
 *
 *     Conv 72 ─ Relu ─ Conv depthwise 72 ─ Relu ─ Conv        ==>      Conv 80 ─ Relu ─ Conv depthwise 80 ─ Relu ─ Conv
 *
 * Exact: the new channels have no weights in front and none behind, so whatever stands in them (f(0), or b where it is added to
 * another one) adds nothing. A region of values that share their channels grows over ops that keep channels apart; it may be
 * widened when plain convolutions alone make it and read it.
 *
 * ONNX Runtime's integer convolutions have quick kernels for depthwise ones of 16 n channels and for plain ones of 4 n inputs to
 * 4 n >= 16 outputs (MlasConvSymPackWSize). The others go another way that takes 1.5 to 2.5 times as long: depthwise 3x3 on
 * 40x40, 24 channels 48 us, 32 channels 32 us; 58 and 64: 108 and 47; plain 3x3 of 30 to 32 and of 32 to 32: 119 and 82.
 */
#include "passes/pass.h"
#include "src/ops/ops.h"

#define LARGE 16     /* elements of a channel: on fewer there is nothing to gain */
#define MOST_TIMES 2 /* the channels are widened to at most twice their number */

/* Values that share their channels; the row of the root holds what is known of all. */
typedef struct Region {
    uint32_t parent;    /* union-find by value id */
    int64_t channels;   /* 0: not known, or the value has none */
    int64_t width;      /* channels to come; 0: stays as it is */
    int64_t elements;   /* of a channel, the most; INT64_MAX where they are not known */
    bool blocked, depthwise, plain;
} Region;

typedef struct Aligner {
    PassContext *context;
    Region *regions; /* by value id, those of inner graphs blocked */
    Graph *graph;
} Aligner;

static Region *region_of(Aligner *aligner, const Value *value)
{
    Region *all = aligner->regions;
    uint32_t id = value->id;
    while (all[id].parent != id) {
        all[id].parent = all[all[id].parent].parent;
        id = all[id].parent;
    }
    return &all[id];
}

static int64_t width_of(Aligner *aligner, const Value *value)
{
    return value == NULL || value->constant != NULL ? 0 : region_of(aligner, value)->width;
}

static void join(Aligner *aligner, const Value *a, const Value *b)
{
    Region *from = region_of(aligner, a), *to = region_of(aligner, b);
    if (from == to)
        return;
    from->parent = to->parent;
    to->blocked = to->blocked || from->blocked || from->channels != to->channels;
    to->depthwise = to->depthwise || from->depthwise;
    to->plain = to->plain || from->plain;
    to->elements = MAX(to->elements, from->elements);
}

static void block(Aligner *aligner, const Value *value)
{
    if (value != NULL)
        region_of(aligner, value)->blocked = true;
}

/* ---- what an op does to channels --------------------------------------------------------------------------------- */

typedef enum Role {
    ROLE_OTHER,      /* mixes them, or we do not know */
    ROLE_PLAIN,      /* convolution: reads all of input 0, makes all of its output */
    ROLE_DEPTHWISE,  /* convolution: a filter a channel */
    ROLE_UNARY,      /* keeps the channels of input 0 apart; other inputs are no data */
    ROLE_BINARY      /* elementwise on all of its inputs */
} Role;

static bool is_one_of(const Node *node, const char *const *ops)
{
    for (; *ops != NULL; ops++)
        if (node_is(node, *ops))
            return true;
    return false;
}

static Role role_of(const Node *node)
{
    static const char *const unary[] = {
        "Relu",        "Clip",       "Sigmoid", "HardSigmoid", "HardSwish",         "Swish",         "LeakyRelu", "Tanh", "Elu",
        "Selu",        "Gelu",       "Mish",    "Softplus",    "GlobalAveragePool", "GlobalMaxPool", "MaxPool",   "Identity",
        "AveragePool", NULL};
    static const char *const binary[] = {"Add", "Mul", "Sub", "Max", "Min", "PRelu", NULL};
    if (node->n_out != 1 || node->out[0] == NULL)
        return ROLE_OTHER;
    if (is_one_of(node, unary))
        return ROLE_UNARY;
    if (is_one_of(node, binary))
        return ROLE_BINARY;
    const Tensor *weight = pass_constant(node, 1), *bias = pass_constant(node, 2);
    if (!node_is(node, "Conv") || weight == NULL || weight->dtype != DT_FLOAT || weight->rank < 3 || weight->count == 0 ||
        (node_in(node, 2) != NULL && (bias == NULL || bias->dtype != DT_FLOAT || bias->rank != 1)))
        return ROLE_OTHER;
    int64_t group = node_int(node, "group", 1);
    if (group == 1)
        return ROLE_PLAIN;
    return weight->dims[1] == 1 && weight->dims[0] == group ? ROLE_DEPTHWISE : ROLE_OTHER;
}

/* The axis of a constant operand that runs along the channels of `value`; -1: it is the same for all of them, -2: no fit. */
static int constant_axis(const Tensor *constant, const Value *value)
{
    int axis = 1 - (value->type.shape.rank - constant->rank);
    if (axis < 0 || constant->dims[axis] == 1)
        return constant->rank <= value->type.shape.rank ? -1 : -2;
    return constant->dtype == DT_FLOAT && constant->dims[axis] == value->type.shape.dims[1].size ? axis : -2;
}

static void join_operands(Aligner *aligner, const Node *node)
{
    const Value *out = node->out[0];
    int64_t channels = aligner->regions[out->id].channels;
    for (int i = 0; i < node->n_in; i++) {
        const Value *in = node->in[i];
        const Tensor *constant = in == NULL ? NULL : pass_constant(node, i);
        bool fits = in != NULL && channels > 0 && in->type.kind == TYPE_TENSOR;
        if (fits && constant != NULL)
            fits = constant_axis(constant, out) != -2;
        else if (fits && in->constant == NULL && in->type.shape.rank == out->type.shape.rank &&
                 aligner->regions[in->id].channels == channels)
            join(aligner, in, out);
        else /* one channel for all would do, but then the new channels would hold its values */
            fits = false;
        if (!fits) {
            block(aligner, in);
            block(aligner, out);
        }
    }
}

static void look_at_node(Aligner *aligner, const Node *node)
{
    Role role = role_of(node);
    Region *out = role == ROLE_OTHER ? NULL : region_of(aligner, node->out[0]);
    if (role == ROLE_BINARY) {
        join_operands(aligner, node);
    } else if (role == ROLE_UNARY || role == ROLE_DEPTHWISE) {
        out->depthwise = out->depthwise || role == ROLE_DEPTHWISE;
        join(aligner, node->in[0], node->out[0]);
    } else if (role == ROLE_PLAIN) {
        const Tensor *weight = pass_constant(node, 1);
        Region *in = region_of(aligner, node->in[0]);
        in->plain = in->plain || weight->count > weight->dims[0] * weight->dims[1]; /* 1x1 takes any number of inputs */
        in->blocked = in->blocked || in->channels != weight->dims[1];
        out->plain = true;
        out->blocked = out->blocked || out->channels != weight->dims[0];
    } else {
        for (int i = 0; i < node->n_in; i++)
            block(aligner, node->in[i]);
        for (int i = 0; i < node->n_out; i++)
            block(aligner, node->out[i]);
    }
}

/* ---- widths ------------------------------------------------------------------------------------------------------ */

static int64_t round_up(int64_t n, int64_t step)
{
    return (n + step - 1) / step * step;
}

static bool choose_width(const Target *target, Region *region)
{
    int64_t width = region->channels;
    if (region->blocked || region->channels == 0 || region->elements < LARGE)
        return false;
    if (region->depthwise)
        width = round_up(width, target->depthwise_channels);
    else if (region->plain)
        width = MAX(round_up(width, target->conv_channels), target->least_conv_outputs);
    if (width == region->channels || width > MOST_TIMES * region->channels)
        return false;
    region->width = width;
    return true;
}

static void look_at_value(Aligner *aligner, const Value *value)
{
    Region *region = &aligner->regions[value->id];
    const Shape *shape = &value->type.shape;
    bool known = value_is_float(value) && shape->rank >= 3 && shape->dims[1].size > 0;
    region->parent = value->id;
    region->channels = known ? shape->dims[1].size : 0;
    region->blocked = !known || value->n_outputs > 0 || value->producer == NULL;
    int64_t area = known ? shape_area(shape) : 1;
    region->elements = area < 0 ? INT64_MAX : area;
    for (size_t i = 0; i < value->n_uses; i++)
        region->blocked = region->blocked || value->uses[i].node->graph != aligner->graph;
}

/* ---- the new tensors --------------------------------------------------------------------------------------------- */

static Status widen_conv(Aligner *aligner, Node *node, bool depthwise)
{
    int64_t out = width_of(aligner, node->out[0]), in = depthwise ? 0 : width_of(aligner, node->in[0]);
    if (out > 0) {
        TRY(pass_widen_constant(node, 1, 0, out));
        if (node_in(node, 2) != NULL)
            TRY(pass_widen_constant(node, 2, 0, out));
        if (depthwise)
            node_set_int(node, "group", out);
    }
    return in > 0 ? pass_widen_constant(node, 1, 1, in) : NULL;
}

static Status widen_operands(Aligner *aligner, Node *node)
{
    int64_t width = width_of(aligner, node->out[0]);
    for (int i = 0; width > 0 && i < node->n_in; i++) {
        const Tensor *constant = pass_constant(node, i);
        int axis = constant == NULL ? -1 : constant_axis(constant, node->out[0]);
        if (axis >= 0)
            TRY(pass_widen_constant(node, i, axis, width));
    }
    return NULL;
}

static Status widen_node(Aligner *aligner, Node *node)
{
    Role role = role_of(node);
    if (role == ROLE_PLAIN || role == ROLE_DEPTHWISE)
        return widen_conv(aligner, node, role == ROLE_DEPTHWISE);
    return role == ROLE_BINARY ? widen_operands(aligner, node) : NULL;
}

static Status run(PassContext *context)
{
    Aligner aligner = {context, arena_array(context->scratch, context->model->n_ids, sizeof(Region)), context->model->graph};
    if (context->target->depthwise_channels == 0)
        return NULL;
    for (uint32_t id = 0; id < context->model->n_ids; id++)
        aligner.regions[id] = (Region){.parent = id, .blocked = true};
    for (int i = 0; i < aligner.graph->n_inputs; i++)
        look_at_value(&aligner, aligner.graph->inputs[i]);
    for (int i = 0; i < aligner.graph->n_initializers; i++)
        look_at_value(&aligner, aligner.graph->initializers[i]);
    for (const Node *node = aligner.graph->first; node != NULL; node = node->next)
        for (int i = 0; i < node->n_out; i++)
            if (node->out[i] != NULL)
                look_at_value(&aligner, node->out[i]);
    for (const Node *node = aligner.graph->first; node != NULL; node = node->next)
        look_at_node(&aligner, node);
    for (uint32_t id = 0; id < context->model->n_ids; id++)
        if (aligner.regions[id].parent == id && choose_width(context->target, &aligner.regions[id]))
            ++*context->changes;
    for (Node *node = aligner.graph->first; node != NULL; node = node->next)
        TRY(widen_node(&aligner, node));
    for (Node *node = aligner.graph->first; node != NULL; node = node->next) /* last: widths are read from the old shapes */
        for (int i = 0; i < node->n_out; i++)
            if (width_of(&aligner, node->out[i]) > 0)
                node->out[i]->type.shape.dims[1] = dim_known(width_of(&aligner, node->out[i]));
    return NULL;
}

const Pass pass_align_channels = {
    .name = "align_channels",
    .stage = PASS_TARGET,
    .summary = "widens inner channels to the numbers that the target's integer convolutions are quick with",
    .run = run,
};
