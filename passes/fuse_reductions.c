/* fuse_reductions.c - a reduction takes in what stands before and behind it.
 *
 *     ReduceSum (Abs (x))                            ->      ReduceL1 (x)
 *     ReduceSum (x * x), ReduceSum (Pow (x, 2))      ->      ReduceSumSquare (x)
 *     Sqrt (ReduceSumSquare (x))                     ->      ReduceL2 (x)
 *     Log (ReduceSum (Exp (x)))                      ->      ReduceLogSumExp (x)
 *     ReduceX (ReduceX (x)), sizes kept              ->      ReduceX (x) over the axes of both: Max, Min, Sum, Mean
 *     Squeeze (ReduceX (x)) of just these axes       ->      ReduceX (x), keepdims = 0
 *     Unsqueeze (ReduceX (x)) of just these axes     ->      ReduceX (x), keepdims = 1
 */
#include "passes/match.h"

#include "src/ops/ops.h"

#include <stdlib.h>
#include <string.h>

#define AXES_AS_INPUT 18 /* of all but ReduceSum, which has them from 13 on */

static bool is_reduction(const Node *node)
{
    return node != NULL && node->domain[0] == '\0' && strncmp(node->op_type, "Reduce", 6) == 0 && node->n_out == 1 &&
           node_in(node, 0) != NULL && node->out[0] != NULL && node_int(node, "noop_with_empty_axes", 0) == 0;
}

static int compare_axis(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static Status make(PassContext *context, Node *node, const char *op_type, Value *x, int n, int *axes, bool keep)
{
    int64_t list[TENSOR_MAX_RANK];
    bool as_input = strcmp(op_type, "ReduceSum") == 0 || node->opset >= AXES_AS_INPUT;
    qsort(axes, (size_t)n, sizeof(axes[0]), compare_axis);
    for (int i = 0; i < n; i++)
        list[i] = axes[i];
    Value *in[2] = {x, NULL};
    if (as_input)
        in[1] = graph_add_ints(node->graph, "axes", n, list);
    Node *made = pass_add_node(node->graph, node, op_type, node->name, as_input ? 2 : 1, in);
    if (!as_input)
        node_set_ints(made, "axes", list, n);
    node_set_int(made, "keepdims", keep);
    TRY(ops_infer_node(made));
    ++*context->changes;
    return pass_replace_node(node, made->out[0]);
}

/* x * x or Pow (x, 2); x. */
static Value *match_square(const Value *value)
{
    double exponent;
    const Node *mul = match_maker(value, "Mul"), *pow = match_maker(value, "Pow");
    if (mul != NULL && mul->n_in == 2 && mul->in[0] == mul->in[1])
        return mul->in[0];
    return pow != NULL && match_scalar_operand(pow, &exponent) == 0 && exponent == 2 ? pow->in[0] : NULL;
}

/* What stands before: the node is a ReduceSum. */
static Status fuse_before(PassContext *context, Node *node)
{
    int axes[TENSOR_MAX_RANK], n;
    const Node *abs = match_own(node->in[0], "Abs", node);
    Value *x = abs != NULL ? abs->in[0] : match_square(node->in[0]);
    if (x == NULL || value_only_user(node->in[0]) != node || node->in[0]->producer->graph != node->graph ||
        !value_is_float(x) || !pass_read_axes(node, infer_shape(node, 0).rank, &n, axes))
        return NULL;
    return make(context, node, abs != NULL ? "ReduceL1" : "ReduceSumSquare", x, n, axes, node_int(node, "keepdims", 1) != 0);
}

/* What stands behind: the node is a Sqrt or Log. */
static Status fuse_behind(PassContext *context, Node *node)
{
    int axes[TENSOR_MAX_RANK], n;
    bool log = node_is(node, "Log");
    Node *sum = match_own(node->in[0], log ? "ReduceSum" : "ReduceSumSquare", node);
    const Node *exp = sum == NULL ? NULL : log ? match_own(sum->in[0], "Exp", sum) : sum;
    if (exp == NULL || !is_reduction(sum) || !value_is_float(node->out[0]) ||
        !pass_read_axes(sum, infer_shape(sum, 0).rank, &n, axes))
        return NULL;
    return make(context, node, log ? "ReduceLogSumExp" : "ReduceL2", exp->in[0], n, axes, node_int(sum, "keepdims", 1) != 0);
}

static bool merges(const Node *node)
{
    return node_is(node, "ReduceMax") || node_is(node, "ReduceMin") || node_is(node, "ReduceSum") ||
           node_is(node, "ReduceMean");
}

/* Both keep their sizes, so that their axes count alike; the result keeps them too. */
static Status fuse_two(PassContext *context, Node *node)
{
    int axes[2 * TENSOR_MAX_RANK], n, more, rank = infer_shape(node, 0).rank;
    Node *first = match_own(node->in[0], node->op_type, node);
    if (first == NULL || !merges(node) || !is_reduction(first) || node_int(first, "keepdims", 1) == 0 ||
        !value_is_float(node->out[0]) || !pass_read_axes(first, rank, &n, axes) ||
        !pass_read_axes(node, rank, &more, axes + n))
        return NULL;
    int count = n;
    for (int i = n; i < n + more; i++) {
        bool seen = false;
        for (int j = 0; j < n; j++)
            seen = seen || axes[j] == axes[i];
        if (!seen)
            axes[count++] = axes[i];
    }
    if (node_int(node, "keepdims", 1) == 0 && count != more)
        return NULL;
    return make(context, node, node->op_type, first->in[0], count, axes, node_int(node, "keepdims", 1) != 0);
}

/* The node is a Squeeze or Unsqueeze of the sizes that the reduction leaves, or not. */
static Status fuse_shape(PassContext *context, Node *node)
{
    int axes[TENSOR_MAX_RANK], n, seen = 0;
    bool squeeze = node_is(node, "Squeeze");
    Node *reduce = node->in[0]->producer;
    const Tensor *moved = pass_constant(node, 1);
    if (!is_reduction(reduce) || value_only_user(node->in[0]) != node || reduce->graph != node->graph || moved == NULL ||
        (node_int(reduce, "keepdims", 1) != 0) != squeeze)
        return NULL;
    int rank = infer_shape(reduce, 0).rank;
    if (!pass_read_axes(reduce, rank, &n, axes) || moved->count != n)
        return NULL;
    for (int i = 0; i < n; i++) {
        int64_t axis = tensor_get_int(moved, i);
        for (int j = 0; j < n; j++)
            seen += axes[j] == (axis < 0 ? axis + rank : axis);
    }
    return seen == n ? make(context, node, reduce->op_type, reduce->in[0], n, axes, !squeeze) : NULL;
}

static Status visit(PassContext *context, Node *node)
{
    if (node->domain[0] != '\0' || node->n_out != 1 || node->out[0] == NULL || node_in(node, 0) == NULL)
        return NULL;
    if (node_is(node, "Sqrt") || node_is(node, "Log"))
        return fuse_behind(context, node);
    if (node_is(node, "Squeeze") || node_is(node, "Unsqueeze"))
        return fuse_shape(context, node);
    if (!is_reduction(node))
        return NULL;
    if (node_is(node, "ReduceSum"))
        TRY(fuse_before(context, node));
    return node->graph == NULL ? NULL : fuse_two(context, node);
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fuse_reductions = {
    .name = "fuse_reductions",
    .stage = PASS_SIMPLIFY,
    .ops = "Sqrt Log Squeeze Unsqueeze ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean "
           "ReduceMin ReduceProd ReduceSum ReduceSumSquare",
    .summary = "reductions in a row become one, ReduceSum of Abs, squares or Exp the reduction that says it",
    .run = run,
};
