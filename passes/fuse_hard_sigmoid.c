/* fuse_hard_sigmoid.c - HardSigmoid written out becomes the op; with opset 14 x * HardSigmoid(x) becomes HardSwish.
 *
 *     x -> Add b -> Clip [0, h] -> Mul s -> y               ->      x -> HardSigmoid (1/h, b/h) [-> Mul s h] -> y
 *     x -> Add b -> Clip [0, h] -> Mul z -> Mul s -> y      ->      x -> HardSigmoid -> Mul z [-> Mul s h] -> y
 *     x -> Mul a -> Add b -> Clip [0, 1] -> y               ->      x -> HardSigmoid (a, b) -> y
 *     x -> HardSigmoid (1/6, 1/2) -> Mul x -> y             ->      x -> HardSwish -> y
 *
 * Without a factor behind it a Clip to another bound than 1 stays, because HardSigmoid would need one. z is any value, x
 * itself in HardSwish. What stands between a weighted op and its only reader stays too: it becomes part of the weights.
 */
#include "passes/match.h"

#include "src/ops/ops.h"

#include <math.h>

#define HARDSWISH_OPSET 14
#define CLOSE 1e-6

/* The factor that a Mul or Div by a constant of one element applies; false for others. */
static bool read_factor(const Node *node, int *ret_data, double *ret)
{
    double v;
    if ((!node_is(node, "Mul") && !node_is(node, "Div")) || node->out[0] == NULL || !value_is_float(node->out[0]))
        return false;
    for (int data = 0; data < (node_is(node, "Mul") ? 2 : 1); data++) {
        if (node_in(node, data) == NULL || !pass_is_scalar_constant(node_in(node, 1 - data), &v) || v == 0 ||
            !isfinite(v) || node->in[1 - data]->constant->rank > MAX(infer_shape(node, data).rank, 0))
            continue;
        *ret_data = data;
        *ret = node_is(node, "Mul") ? v : 1 / v;
        return true;
    }
    return false;
}

/* Clip [0, h] of x + b, read by nobody else; x. */
static Value *match_clip(const Value *value, double *ret_high, double *ret_shift)
{
    double low, b;
    Node *clip = value->producer;
    if (clip == NULL || !node_is(clip, "Clip") || value_only_user(value) == NULL ||
        !pass_is_scalar_constant(node_in(clip, 1), &low) || low != 0 ||
        !pass_is_scalar_constant(node_in(clip, 2), ret_high) || !(*ret_high > 0) || !isfinite(*ret_high))
        return NULL;
    Node *add = clip->in[0]->producer;
    if (add == NULL || !node_is(add, "Add") || add->graph != clip->graph || value_only_user(clip->in[0]) == NULL)
        return NULL;
    for (int data = 0; data < 2; data++) {
        if (add->in[data] == NULL || !pass_is_scalar_constant(add->in[1 - data], &b) || !isfinite(b) ||
            add->in[1 - data]->constant->rank > MAX(infer_shape(add, data).rank, 0))
            continue;
        *ret_shift = b;
        return add->in[data];
    }
    return NULL;
}

static Status make_hard_sigmoid(Node *clip, Value *x, double high, double shift)
{
    Node *node = pass_add_node(clip->graph, clip, "HardSigmoid", clip->name, 1, &x);
    node_set_float(node, "alpha", (float)(1 / high));
    node_set_float(node, "beta", (float)(shift / high));
    TRY(ops_infer_node(node));
    return pass_replace_node(clip, node->out[0]);
}

static Status fuse_clip(PassContext *context, Node *node)
{
    int data;
    double factor, high, shift;
    if (!read_factor(node, &data, &factor))
        return NULL;
    Value *value = node->in[data], *clipped = value, *x = match_clip(value, &high, &shift);
    Node *product = value->producer;
    for (int i = 0; x == NULL && product != NULL && i < 2; i++) {
        if (!node_is(product, "Mul") || product->graph != node->graph || value_only_user(value) != node)
            break;
        clipped = product->in[i];
        x = clipped == NULL ? NULL : match_clip(clipped, &high, &shift);
    }
    if (x == NULL || clipped->graph != node->graph)
        return NULL;
    TRY(make_hard_sigmoid(clipped->producer, x, high, shift));
    ++*context->changes;
    if (fabs(factor * high - 1) < CLOSE)
        return pass_replace_node(node, node->in[data]);
    node->op_type = "Mul";
    ops_bind_node(node);
    node_set_input(node, 1 - data, graph_add_scalar(node->graph, "factor", DT_FLOAT, factor * high));
    return NULL;
}

/* What makes x takes a scale and a shift into its weights. */
static bool is_weighted(const Value *x)
{
    const Node *node = x->producer;
    return node != NULL && value_only_user(x) != NULL &&
           (node_is(node, "Conv") || node_is(node, "ConvTranspose") || node_is(node, "Gemm") || node_is(node, "MatMul") ||
            node_is(node, "BatchNormalization"));
}

/* Clip [0, 1] of a x + b. */
static Status fuse_unit_clip(PassContext *context, Node *clip)
{
    double low, high, scale, shift, unused;
    if (!node_is(clip, "Clip") || clip->in[0] == NULL || !value_is_float(clip->out[0]) ||
        !pass_is_scalar_constant(node_in(clip, 1), &low) || low != 0 || !pass_is_scalar_constant(node_in(clip, 2), &high) ||
        high != 1)
        return NULL;
    Value *x = clip->in[0];
    for (int depth = 0; depth < 2; depth++) {
        const Node *node = value_only_user(x) == NULL ? NULL : x->producer;
        int data = node == NULL || node->graph != clip->graph || !value_is_float(x) ? -1 : match_scalar_operand(node, &unused);
        if (data < 0 || !match_affine(x, node->in[data], &scale, &shift) || !(scale > 0))
            break;
        x = node->in[data];
    }
    if (x == clip->in[0] || is_weighted(x) || !match_affine(clip->in[0], x, &scale, &shift) || !(scale > 0) ||
        !isfinite((float)scale) || !isfinite((float)shift))
        return NULL;
    TRY(make_hard_sigmoid(clip, x, 1 / scale, shift / scale));
    ++*context->changes;
    return NULL;
}

static Status fuse_hard_swish(PassContext *context, Node *node)
{
    if (!node_is(node, "Mul") || node->n_in != 2 || node->opset < HARDSWISH_OPSET)
        return NULL;
    for (int i = 0; i < 2; i++) {
        const Node *sigmoid = node->in[i]->producer;
        Value *x = node->in[1 - i];
        if (sigmoid == NULL || !node_is(sigmoid, "HardSigmoid") || sigmoid->in[0] != x || !value_is_float(x) ||
            value_only_user(node->in[i]) != node || fabs((double)node_float(sigmoid, "alpha", 0.2f) * 6 - 1) > CLOSE ||
            fabs((double)node_float(sigmoid, "beta", 0.5f) * 2 - 1) > CLOSE)
            continue;
        Node *swish = pass_add_node(node->graph, node, "HardSwish", node->name, 1, &x);
        TRY(ops_infer_node(swish));
        ++*context->changes;
        return pass_replace_node(node, swish->out[0]);
    }
    return NULL;
}

static Status visit(PassContext *context, Node *node)
{
    if (node->n_out != 1 || node->out[0] == NULL)
        return NULL;
    if (node_is(node, "Clip"))
        return fuse_unit_clip(context, node);
    TRY(fuse_clip(context, node));
    return node->graph == NULL ? NULL : fuse_hard_swish(context, node);
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fuse_hard_sigmoid = {
    .name = "fuse_hard_sigmoid",
    .stage = PASS_SIMPLIFY,
    .ops = "Clip Mul Div",
    .summary = "HardSigmoid written out becomes the op; x * HardSigmoid(x) becomes HardSwish (opset 14)",
    .run = run,
};
