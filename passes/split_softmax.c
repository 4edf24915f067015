/* split_softmax.c - Softmax along another axis than the last, written out for targets that turn the tensor for it.
 *
 *     x ─ Softmax, axis a ─ y      ==>      x ─┬──────────── Sub ─ Exp ─ e ─┬────────────── Div ─ y
 *                                              └─ ReduceMax ──┘             └─ ReduceSum ────┘
 *
 * Its definition in ONNX. ONNX Runtime transposes, takes the Softmax of rows, and transposes back: 16 by 4 by 8400, along the 16
 * (the boxes of a YOLOv8), 5 to 7 ms; this takes 2.
 */
#include "passes/pass.h"
#include "src/ops/ops.h"

#include <string.h>

#define AXES_AS_INPUT 18 /* of ReduceMax; ReduceSum has had it since 13 */
#define LEAST_INNER 64   /* elements behind the axis */
#define SINCE 13         /* Softmax of one axis */

static Status add_reduction(Node *before, const char *op_type, Value *x, int64_t axis, Value **ret)
{
    bool as_input = before->opset >= AXES_AS_INPUT || strcmp(op_type, "ReduceSum") == 0;
    Value *in[2] = {x, as_input ? graph_add_ints(before->graph, "axes", 1, &axis) : NULL};
    Node *node = pass_add_node(before->graph, before, op_type, "", as_input ? 2 : 1, in);
    if (!as_input)
        node_set_ints(node, "axes", &axis, 1);
    node_set_int(node, "keepdims", 1);
    *ret = node->out[0];
    return ops_infer_node(node);
}

static Status add_binary(Node *before, const char *op_type, const char *name, Value *a, Value *b, Value **ret)
{
    Node *node = pass_add_node(before->graph, before, op_type, name, 2, (Value *[]){a, b});
    *ret = node->out[0];
    return ops_infer_node(node);
}

static bool is_slow(const Node *node, int64_t *ret_axis)
{
    if (!node_is(node, "Softmax") || node->domain[0] != '\0' || node->opset < SINCE || node->out[0] == NULL ||
        node->in[0]->constant != NULL || node->in[0]->type.dtype != DT_FLOAT)
        return false;
    Shape x = infer_shape(node, 0);
    int64_t axis = node_int(node, "axis", -1);
    axis += axis < 0 ? x.rank : 0;
    if (x.rank < 2 || axis < 0 || axis >= x.rank - 1)
        return false;
    *ret_axis = axis;
    return pass_has_elements(&x, (int)axis + 1, LEAST_INNER);
}

static Status split(PassContext *context, Node *node)
{
    int64_t axis;
    Value *greatest, *below, *e, *sum, *y;
    if (!is_slow(node, &axis))
        return NULL;
    TRY(add_reduction(node, "ReduceMax", node->in[0], axis, &greatest));
    TRY(add_binary(node, "Sub", "", node->in[0], greatest, &below));
    Node *exp = pass_add_node(node->graph, node, "Exp", "", 1, &below);
    TRY(ops_infer_node(exp));
    e = exp->out[0];
    TRY(add_reduction(node, "ReduceSum", e, axis, &sum));
    TRY(add_binary(node, "Div", node->name, e, sum, &y));
    ++*context->changes;
    return pass_replace_node(node, y);
}

static Status run(PassContext *context)
{
    if (!context->target->slow_softmax)
        return NULL;
    return pass_each_outer(context, split);
}

const Pass pass_split_softmax = {
    .name = "split_softmax",
    .stage = PASS_TARGET,
    .summary = "writes Softmax along another axis than the last as what it is made of, which is faster",
    .run = run,
};
