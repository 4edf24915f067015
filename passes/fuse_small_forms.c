/* fuse_small_forms.c - one node written in an odd way becomes the op that says it.
 *
 *     Max(x, 0)                                     ->      Relu(x)
 *     Max(x, a x), 0 <= a <= 1                      ->      LeakyRelu(x)
 *     Min(Max(x, a), b), scalars                    ->      Clip(x, a, b)
 *     ReduceMean over all axes of space, kept       ->      GlobalAveragePool        runtimes run it in integers
 *     Add(ConstantOfShape(s, 0), c)                 ->      Expand(c, s)
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

#include <math.h>

/* A scalar constant operand of a binary node whose other operand keeps its shape; that operand's index, or -1. */
static int scalar_operand(const Node *node, double *ret)
{
    for (int data = 0; node->n_in == 2 && data < 2; data++)
        if (node->in[data] != NULL && value_is_float(node->in[data]) &&
            pass_is_scalar_constant(node->in[1 - data], ret) &&
            node->in[1 - data]->constant->rank <= MAX(infer_shape(node, data).rank, 0))
            return data;
    return -1;
}

static Status replace_unary(PassContext *context, Node *node, const char *op_type, Value *x, const char *attr, float value)
{
    Node *made = pass_add_node(node->graph, node, op_type, node->name, 1, &x);
    if (attr != NULL)
        node_set_float(made, attr, value);
    TRY(ops_infer_node(made));
    ++*context->changes;
    return pass_replace_node(node, made->out[0]);
}

static Status visit_max(PassContext *context, Node *node)
{
    double v;
    int data = scalar_operand(node, &v);
    if (data >= 0)
        return v == 0 ? replace_unary(context, node, "Relu", node->in[data], NULL, 0) : NULL;
    for (int i = 0; node->n_in == 2 && i < 2; i++) {
        Node *mul = node->in[i]->producer;
        if (mul == NULL || !node_is(mul, "Mul") || value_only_user(node->in[i]) != node)
            continue;
        data = scalar_operand(mul, &v);
        if (data >= 0 && mul->in[data] == node->in[1 - i] && v >= 0 && v <= 1)
            return replace_unary(context, node, "LeakyRelu", node->in[1 - i], "alpha", (float)v);
    }
    return NULL;
}

/* Min (Max (x, a), b) or Max (Min (x, b), a); node is the outer. */
static Status visit_bounds(PassContext *context, Node *node)
{
    double outer, inner;
    bool is_min = node_is(node, "Min");
    int data = scalar_operand(node, &outer);
    Node *before = data < 0 ? NULL : node->in[data]->producer;
    if (before == NULL || !node_is(before, is_min ? "Max" : "Min") || value_only_user(node->in[data]) != node ||
        before->graph != node->graph || before->n_in != 2)
        return NULL;
    int x = scalar_operand(before, &inner);
    if (x < 0 || !((is_min ? inner : outer) <= (is_min ? outer : inner)))
        return NULL;
    Value *in[3] = {before->in[x], graph_add_scalar(node->graph, "min", DT_FLOAT, is_min ? inner : outer),
                    graph_add_scalar(node->graph, "max", DT_FLOAT, is_min ? outer : inner)};
    Node *clip = pass_add_node(node->graph, node, "Clip", node->name, 3, in);
    TRY(ops_infer_node(clip));
    ++*context->changes;
    return pass_replace_node(node, clip->out[0]);
}

/* The mean is taken off again: part of a normalization, which other passes and runtimes know by ReduceMean. */
static bool is_centred(const Node *mean)
{
    for (size_t i = 0; i < mean->out[0]->n_uses; i++)
        if (node_is(mean->out[0]->uses[i].node, "Sub"))
            return true;
    const Node *square = mean->in[0]->producer;
    return square != NULL && (node_is(square, "Pow") || (node_is(square, "Mul") && square->in[0] == square->in[1]));
}

static Status visit_mean(PassContext *context, Node *node)
{
    int axes[TENSOR_MAX_RANK], n, rank = infer_shape(node, 0).rank;
    if (node_in(node, 0) == NULL || !value_is_float(node->in[0]) || rank < 4 || rank > 5 ||
        node_int(node, "keepdims", 1) == 0 || is_centred(node) || !pass_read_axes(node, rank, &n, axes) || n != rank - 2)
        return NULL;
    for (int i = 0; i < n; i++)
        if (axes[i] < 2)
            return NULL;
    return replace_unary(context, node, "GlobalAveragePool", node->in[0], NULL, 0);
}

static Status visit_add(PassContext *context, Node *node)
{
    for (int i = 0; node->n_in == 2 && i < 2; i++) {
        Node *fill = node->in[i] == NULL ? NULL : node->in[i]->producer;
        const Attr *value = fill == NULL || !node_is(fill, "ConstantOfShape") ? NULL : node_attr(fill, "value");
        if (value == NULL || value->kind != ATTR_TENSOR || value->t->count != 1 || tensor_get(value->t, 0) != 0 ||
            fill->graph != node->graph || value_only_user(node->in[i]) != node ||
            infer_shape(node, 1 - i).rank < 0 || infer_shape(node, 1 - i).rank > infer_shape(node, i).rank)
            continue;
        Value *in[2] = {node->in[1 - i], fill->in[0]};
        Node *expand = pass_add_node(node->graph, node, "Expand", node->name, 2, in);
        TRY(ops_infer_node(expand));
        ++*context->changes;
        return pass_replace_node(node, expand->out[0]);
    }
    return NULL;
}

static Status visit(PassContext *context, Node *node)
{
    if (node->n_out != 1 || node->out[0] == NULL)
        return NULL;
    if (node_is(node, "Max"))
        TRY(visit_max(context, node));
    if (node->graph != NULL && (node_is(node, "Max") || node_is(node, "Min")))
        return visit_bounds(context, node);
    if (node_is(node, "ReduceMean"))
        return visit_mean(context, node);
    return node_is(node, "Add") ? visit_add(context, node) : NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fuse_small_forms = {
    .name = "fuse_small_forms",
    .stage = PASS_SIMPLIFY,
    .summary = "Max(x, 0) becomes Relu, Min(Max()) Clip, a mean over space GlobalAveragePool, and their kin",
    .run = run,
};
