/* fuse_small_forms.c - one node written in an odd way becomes the op that says it.
 *
 *     ReduceMean over all axes of space, kept       ->      GlobalAveragePool        runtimes run it in integers
 *     Add(ConstantOfShape(s, 0), c)                 ->      Expand(c, s)
 */
#include "passes/match.h"

#include "src/ops/ops.h"

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
    return match_replace_unary(context, node, "GlobalAveragePool", node->in[0], NULL, 0);
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
    .ops = "ReduceMean Add",
    .summary = "a mean over space becomes GlobalAveragePool, the sum with an expanded 0 Expand",
    .run = run,
};
