/* op_softmax.c - Softmax, LogSoftmax.
 *
 *     up to opset 12   the tensor is seen as a matrix, cut before `axis` (default 1): a row is everything from there on
 *     from opset 13    along `axis` alone (default -1)
 */
#include "src/ops/heavy.h"

/* Before opset 13 the cut may also lie behind the last axis (rows of one element). */
static bool cut_at_end(const Node *node, int rank)
{
    return rank == 0 || (node->opset < 13 && node_int(node, "axis", 1) == rank);
}

static Status infer_softmax(Node *node)
{
    Shape shape = infer_shape(node, 0);
    int axis;

    if (shape.rank >= 0 && !cut_at_end(node, shape.rank))
        TRY(infer_axis(node, node_int(node, "axis", node->opset >= 13 ? -1 : 1), shape.rank, &axis));
    return infer_same_as_input(node);
}

static Status eval_kind(EvalCtx *ctx, SoftmaxKind kind)
{
    const Tensor *x = ctx->in[0];
    bool matrix = ctx->node->opset < 13;
    int64_t given = node_int(ctx->node, "axis", matrix ? 1 : -1);
    const float *floats;
    FloatOutput y;
    int axis = x->rank;

    if (!cut_at_end(ctx->node, x->rank))
        TRY(eval_axis(ctx, given, x->rank, &axis));
    int64_t outer = count_of(x->dims, 0, axis), n = matrix ? count_of(x->dims, axis, x->rank) : 1, inner = 1;
    if (!matrix && x->rank > 0) {
        n = x->dims[axis];
        inner = count_of(x->dims, axis + 1, x->rank);
    }
    TRY(heavy_floats(ctx, 0, &floats));
    TRY(heavy_output(ctx, 0, x->dtype, x->rank, x->dims, &y));
    softmax_float(ctx->team, kind, outer, n, inner, floats, y.data);
    return heavy_finish(ctx, &y);
}

static Status eval_softmax(EvalCtx *ctx)
{
    return eval_kind(ctx, SOFTMAX);
}

static Status eval_log_softmax(EvalCtx *ctx)
{
    return eval_kind(ctx, LOG_SOFTMAX);
}

static const AttrSpec softmax_attrs[] = {{"axis", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};

const OpDef op_softmax = {
    .type = "Softmax",
    .domain = "",
    .versions = {1, 11, 13},
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    .attrs = softmax_attrs,
    .infer = infer_softmax,
    .eval = eval_softmax,
    .quant = RULE_FIXED_SCALE,
    .widen_half = true,
};

const OpDef op_logsoftmax = {
    .type = "LogSoftmax",
    .domain = "",
    .versions = {1, 11, 13},
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    .attrs = softmax_attrs,
    .infer = infer_softmax,
    .eval = eval_log_softmax,
    .quant = RULE_FLOAT,
    .widen_half = true,
};
