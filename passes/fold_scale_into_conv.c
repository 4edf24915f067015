/* fold_scale_into_conv.c - Mul, Add, Sub and Div by constants behind a Conv, ConvTranspose, Gemm or MatMul become
 * part of its weights.
 *
 *     x -> Conv W, b -> Mul s (1xCx1x1) -> Add t (scalar) -> y      ->      x -> Conv s W, s b + t -> y
 *
 * Neg is Mul -1. The constant must have one element, or one for each output channel, and must not widen the shape.
 */
#include "passes/affine.h"
#include "passes/pass.h"

#include <math.h>

/* Element of the constant for channel c: stride 0 for one element, 1 for one a channel; false when it is neither. */
static bool read_stride(const Tensor *constant, const AffineTarget *target, int64_t *ret)
{
    if (constant->rank > target->rank || constant->count == 0)
        return false;
    int axis = target->channel_axis < 0 ? target->rank - 1 : target->channel_axis;
    for (int i = 0; i < constant->rank; i++) {
        int out_axis = i + target->rank - constant->rank;
        if (constant->dims[i] != 1 && (out_axis != axis || constant->dims[i] != target->channels))
            return false;
    }
    *ret = constant->count == 1 ? 0 : 1;
    return true;
}

/* What `node` does to operand `data` with value v of its constant: scale * x + shift. */
static bool read_op(const Node *node, int data, double v, double *scale, double *shift)
{
    *scale = 1;
    *shift = 0;
    if (node_is(node, "Mul")) {
        *scale = v;
    } else if (node_is(node, "Add")) {
        *shift = v;
    } else if (node_is(node, "Sub")) {
        *scale = data == 0 ? 1 : -1;
        *shift = data == 0 ? -v : v;
    } else if (node_is(node, "Div") && data == 0 && v != 0) {
        *scale = 1 / v;
    } else {
        return false;
    }
    return isfinite((float)*scale) && isfinite((float)*shift);
}

/* The operand made by a node that has no other reader, where the other is constant; -1 when neither is. */
static int data_operand(const Node *node)
{
    for (int data = 0; data < 2; data++) {
        const Value *value = node_in(node, data);
        if (value != NULL && value->producer != NULL && value->graph == node->graph && value_only_user(value) == node &&
            pass_constant(node, 1 - data) != NULL)
            return data;
    }
    return -1;
}

/* Neg, as one scale for all channels. */
static Status fold_neg(PassContext *context, Node *node)
{
    AffineTarget target;
    Node *weighted = node_in(node, 0) != NULL ? node->in[0]->producer : NULL;
    if (weighted == NULL || weighted->graph != node->graph || value_only_user(node->in[0]) != node ||
        node->out[0] == NULL || !affine_accepts(weighted, &target))
        return NULL;
    double *scale = arena_array(context->scratch, (size_t)target.channels, sizeof(*scale));
    double *shift = arena_array(context->scratch, (size_t)target.channels, sizeof(*shift));
    for (int64_t c = 0; c < target.channels; c++)
        scale[c] = -1;
    TRY(affine_fold(weighted, scale, shift));
    TRY(pass_replace_node(node, weighted->out[0]));
    ++*context->changes;
    return NULL;
}

static bool is_arithmetic(const Node *node)
{
    return node_is(node, "Mul") || node_is(node, "Add") || node_is(node, "Sub") || node_is(node, "Div");
}

static Status visit(PassContext *context, Node *node)
{
    AffineTarget target;
    int64_t stride;
    if (node_is(node, "Neg"))
        return fold_neg(context, node);
    if (!is_arithmetic(node) || node->n_in != 2 || node->out[0] == NULL)
        return NULL;
    int data = data_operand(node);
    if (data < 0 || !affine_accepts(node->in[data]->producer, &target))
        return NULL;
    Node *weighted = node->in[data]->producer;
    const Tensor *constant = pass_constant(node, 1 - data);
    if (target.rank < 2 || constant->dtype != weighted->in[1]->constant->dtype ||
        !read_stride(constant, &target, &stride))
        return NULL;
    double *scale = arena_array(context->scratch, (size_t)target.channels, sizeof(*scale));
    double *shift = arena_array(context->scratch, (size_t)target.channels, sizeof(*shift));
    for (int64_t c = 0; c < target.channels; c++) {
        if (!read_op(node, data, tensor_get(constant, c * stride), &scale[c], &shift[c]))
            return NULL;
        if (!target.takes_shift && shift[c] != 0)
            return NULL;
    }
    TRY(affine_fold(weighted, scale, shift));
    TRY(pass_replace_node(node, weighted->out[0]));
    ++*context->changes;
    return NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fold_scale_into_conv = {
    .name = "fold_scale_into_conv",
    .stage = PASS_SIMPLIFY,
    .ops = "Neg Mul Add Sub Div",
    .summary = "Mul, Add, Sub, Div by constants, and Neg, behind Conv, ConvTranspose, Gemm or MatMul become part of its weights",
    .run = run,
};
