/* fuse_bounds.c - bounds in a row become one.
 *
 *     Max (x, 0)                                    ->      Relu (x)
 *     Clip (x, 0, the greatest float)               ->      Relu (x)
 *     Min (Max (x, a), b)                           ->      Clip (x, a, b)
 *     Min (Relu (x), 6), Clip (Relu (x), -6, 6)     ->      Clip (x, 0, 6)
 *
 * Relu, Clip by constants, and Max and Min with a scalar all are y = min (max (x, low), high), and two of these in a row
 * are one again: its bounds are those of the first, put through the second.
 */
#include "passes/match.h"

#include "src/ops/ops.h"

#include <float.h>
#include <math.h>

typedef struct Bounds {
    Value *x;
    double low, high;
} Bounds;

/* A bound of Clip; an omitted one, or the end of the floats, is none. */
static bool read_bound(const Node *clip, int i, double none, double *ret)
{
    *ret = none;
    if (node_in(clip, i) == NULL)
        return true;
    if (!pass_is_scalar_constant(clip->in[i], ret) || isnan(*ret))
        return false;
    if (fabs(*ret) >= (double)FLT_MAX && (*ret > 0) == (none > 0))
        *ret = none;
    return true;
}

static bool read_bounds(const Node *node, Bounds *ret)
{
    double v;
    *ret = (Bounds){node_in(node, 0), -INFINITY, INFINITY};
    if (node->n_out != 1 || node->out[0] == NULL || !value_is_float(node->out[0]) || ret->x == NULL)
        return false;
    if (node_is(node, "Relu"))
        ret->low = 0;
    else if (node_is(node, "Clip"))
        return node->opset >= 11 && read_bound(node, 1, -INFINITY, &ret->low) &&
               read_bound(node, 2, INFINITY, &ret->high) && ret->low <= ret->high;
    else if (node_is(node, "Max") || node_is(node, "Min")) {
        int data = match_scalar_operand(node, &v);
        if (data < 0 || isnan(v))
            return false;
        ret->x = node->in[data];
        *(node_is(node, "Max") ? &ret->low : &ret->high) = v;
    } else {
        return false;
    }
    return true;
}

static Value *bound_value(Graph *graph, const char *name, double bound)
{
    return isinf(bound) ? NULL : graph_add_scalar(graph, name, DT_FLOAT, bound);
}

static Status replace(PassContext *context, Node *node, const Bounds *bounds)
{
    if (bounds->low == 0 && isinf(bounds->high))
        return match_replace_unary(context, node, "Relu", bounds->x, NULL, 0);
    Value *in[3] = {bounds->x, bound_value(node->graph, "min", bounds->low), bound_value(node->graph, "max", bounds->high)};
    Node *clip = pass_add_node(node->graph, node, "Clip", node->name, in[2] != NULL ? 3 : 2, in);
    TRY(ops_infer_node(clip));
    ++*context->changes;
    return pass_replace_node(node, clip->out[0]);
}

static Status visit(PassContext *context, Node *node)
{
    Bounds outer, inner;
    if (!read_bounds(node, &outer))
        return NULL;
    Node *before = outer.x->producer;
    if (before != NULL && before->graph == node->graph && value_only_user(outer.x) == node && read_bounds(before, &inner)) {
        Bounds both = {inner.x, fmin(fmax(inner.low, outer.low), outer.high), fmin(fmax(inner.high, outer.low), outer.high)};
        return replace(context, node, &both);
    }
    if (!node_is(node, "Relu") && outer.low == 0 && isinf(outer.high))
        return replace(context, node, &outer);
    if (node_is(node, "Clip") && isinf(outer.low) && isinf(outer.high) && pass_can_replace(node, outer.x)) {
        ++*context->changes;
        return pass_replace_node(node, outer.x);
    }
    return NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fuse_bounds = {
    .name = "fuse_bounds",
    .stage = PASS_SIMPLIFY,
    .ops = "Relu Clip Max Min",
    .summary = "Relu, Clip, and Max and Min with a number in a row become one; Max(x, 0) becomes Relu",
    .run = run,
};
