/* fuse_softmax.c - Softmax and LogSoftmax written out become the op.
 *
 *     e / ReduceSum(e), e = Exp(x - ReduceMax(x)) or Exp(x)      ->      Softmax(x)
 *     Log(Softmax(x)),  z - Log(ReduceSum(Exp(z))),
 *     z - ReduceLogSumExp(z), z = x - ReduceMax(x) or x          ->      LogSoftmax(x)
 *
 * Over one axis. What is the same along it may be subtracted without changing the result. Exp of large x overflows where
 * the op does not.
 */
#include "passes/match.h"

#include "src/ops/ops.h"

/* The single axis of a reduction that keeps it, or -1. */
static int read_axis(const Node *node)
{
    int axes[TENSOR_MAX_RANK], n, rank = infer_shape(node, 0).rank;
    if (node_in(node, 0) == NULL || node_int(node, "keepdims", 1) == 0 || !pass_read_axes(node, rank, &n, axes) || n != 1)
        return -1;
    return axes[0];
}

/* x of x - ReduceMax(x), where that is read by its pattern alone (twice); else the value itself. */
static Value *strip_max(Value *value, int axis)
{
    int axes[TENSOR_MAX_RANK], n;
    const Node *sub = match_maker(value, "Sub");
    const Node *max = sub == NULL ? NULL : match_maker(sub->in[1], "ReduceMax");
    if (max == NULL || max->in[0] != sub->in[0] || node_int(max, "keepdims", 1) == 0 ||
        !pass_read_axes(max, infer_shape(max, 0).rank, &n, axes))
        return value;
    for (int i = 0; i < n; i++)
        if (axes[i] == axis)
            return sub->in[0];
    return value;
}

static Status replace(PassContext *context, Node *node, const char *op_type, Value *x, int axis)
{
    Node *made = pass_add_node(node->graph, node, op_type, node->name, 1, &x);
    node_set_int(made, "axis", axis - infer_shape(made, 0).rank);
    TRY(ops_infer_node(made));
    ++*context->changes;
    return pass_replace_node(node, made->out[0]);
}

/* Of e and the node that divides by its sum: Exp, and who reads its sum. */
static Status fuse_quotient(PassContext *context, Node *node)
{
    for (int i = 0; i < 2; i++) {
        const Node *exp = match_maker(node->in[i], "Exp"), *inverse = match_maker(node->in[1 - i], "Reciprocal");
        if (exp == NULL || (node_is(node, "Div") ? i != 0 : inverse == NULL))
            continue;
        const Node *sum = match_maker(node_is(node, "Div") ? node->in[1] : inverse->in[0], "ReduceSum");
        int axis = sum == NULL || sum->in[0] != exp->out[0] ? -1 : read_axis(sum);
        if (axis < 0 || exp->in[0] == NULL)
            continue;
        return replace(context, node, "Softmax", strip_max(exp->in[0], axis), axis);
    }
    return NULL;
}

static Status fuse_log(PassContext *context, Node *node)
{
    const Node *softmax = match_own(node->in[0], "Softmax", node);
    Shape shape = softmax == NULL ? shape_unknown() : infer_shape(softmax, 0);
    int axis;
    if (shape.rank < 1 || softmax->opset < 13)
        return NULL;
    TRY(infer_axis(softmax, node_int(softmax, "axis", -1), shape.rank, &axis));
    return replace(context, node, "LogSoftmax", softmax->in[0], axis);
}

static Status fuse_difference(PassContext *context, Node *node)
{
    Value *z = node->in[0];
    const Node *log = match_maker(node->in[1], "Log"), *sum = match_maker(node->in[1], "ReduceLogSumExp");
    if (log != NULL && (sum = match_maker(log->in[0], "ReduceSum")) != NULL) {
        const Node *exp = match_maker(sum->in[0], "Exp");
        if (exp == NULL || exp->in[0] != z)
            return NULL;
    } else if (sum == NULL || sum->in[0] != z) {
        return NULL;
    }
    int axis = read_axis(sum);
    return axis < 0 ? NULL : replace(context, node, "LogSoftmax", strip_max(z, axis), axis);
}

static Status visit(PassContext *context, Node *node)
{
    if (node->n_out != 1 || node->out[0] == NULL || !value_is_float(node->out[0]))
        return NULL;
    if (node_is(node, "Log"))
        return fuse_log(context, node);
    if (node->n_in != 2 || node->in[0] == NULL || node->in[1] == NULL)
        return NULL;
    if (node_is(node, "Sub"))
        return fuse_difference(context, node);
    return node_is(node, "Div") || node_is(node, "Mul") ? fuse_quotient(context, node) : NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fuse_softmax = {
    .name = "fuse_softmax",
    .stage = PASS_SIMPLIFY,
    .ops = "Log Sub Div Mul",
    .summary = "Softmax and LogSoftmax written out become the op",
    .run = run,
};
