/* fuse_swish.c - x times the sigmoid of it becomes Swish (opset 24); split_swish takes it apart again for targets that run
 * the pieces in integers.
 *
 *     x * Sigmoid(x)           ->      Swish(x)
 *     x * Sigmoid(a x)         ->      Swish(x), alpha = a
 */
#include "passes/match.h"

#include "src/ops/ops.h"

#define SINCE 24

static Status visit(PassContext *context, Node *node)
{
    double scale, shift;
    if (!node_is(node, "Mul") || node->opset < SINCE || node->n_in != 2 || node->out[0] == NULL)
        return NULL;
    for (int i = 0; i < 2; i++) {
        const Node *sigmoid = match_own(node->in[i], "Sigmoid", node);
        Value *x = node->in[1 - i];
        if (sigmoid == NULL || x == NULL || x == node->in[i] || !match_affine(sigmoid->in[0], x, &scale, &shift) ||
            shift != 0 || scale == 0)
            continue;
        return match_replace_unary(context, node, "Swish", x, "alpha", scale);
    }
    return NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fuse_swish = {
    .name = "fuse_swish",
    .stage = PASS_SIMPLIFY,
    .ops = "Mul",
    .summary = "x * Sigmoid(a x) becomes Swish (opset 24)",
    .run = run,
};
