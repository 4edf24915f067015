/* sink_pad.c - a Pad between two changes of shape that only put in or take out sizes of 1 moves behind the second, so
 * that both meet.
 *
 *     x: 1x1x1x8 -> Reshape 1x1x8 -> Pad [.., 2, .., 2] -> Reshape 1x1x1x12      ->      x -> Pad -> y: 1x1x1x12
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

/* The axes of `from` and `to` that are no known 1, in order, must be the same; map[k] and back[k] are their numbers. */
static int match_wide(const Shape *from, const Shape *to, int *map, int *back)
{
    int n = 0, m = 0, unknown = 0;
    for (int i = 0; i < from->rank; i++)
        if (from->dims[i].size != 1)
            map[n++] = i;
    for (int i = 0; i < to->rank; i++)
        if (to->dims[i].size != 1)
            back[m++] = i;
    for (int k = 0; k < n && n == m; k++) {
        Dim a = from->dims[map[k]], b = to->dims[back[k]];
        if (a.size == 0 || b.size == 0 || (!dim_equal(a, b) && (dim_is_known(a) || dim_is_known(b))))
            return -1;
        unknown += !dim_is_known(a) && !dim_equal(a, b);
    }
    return n == m && unknown <= 1 ? n : -1;
}

static bool is_shaper(const Node *node)
{
    return node != NULL && (node_is(node, "Reshape") || node_is(node, "Squeeze") || node_is(node, "Unsqueeze") ||
                            node_is(node, "Flatten"));
}

static Status visit(PassContext *context, Node *node)
{
    int map[TENSOR_MAX_RANK], back[TENSOR_MAX_RANK], n, unknown = 0;
    int64_t target[TENSOR_MAX_RANK], moved[2 * TENSOR_MAX_RANK] = {0};
    Node *pad = is_shaper(node) && node_in(node, 0) != NULL ? node->in[0]->producer : NULL;
    if (pad == NULL || !node_is(pad, "Pad") || pad->n_in > 3 || pad->graph != node->graph || node->out[0] == NULL ||
        value_only_user(node->in[0]) == NULL || pad->in[0] == NULL || !is_shaper(pad->in[0]->producer))
        return NULL;
    const Tensor *pads = pass_constant(pad, 1);
    Shape in = infer_shape(pad, 0), from = infer_shape(node, 0), to = node->out[0]->type.shape;
    if (pads == NULL || from.rank < 0 || in.rank != from.rank || node->out[0]->type.kind != TYPE_TENSOR || to.rank < 0 ||
        pads->count != 2 * from.rank || (n = match_wide(&from, &to, map, back)) < 0)
        return NULL;
    for (int i = 0; i < from.rank; i++)
        if (from.dims[i].size == 1 &&
            (in.dims[i].size != 1 || tensor_get_int(pads, i) != 0 || tensor_get_int(pads, i + from.rank) != 0))
            return NULL;
    for (int i = 0; i < to.rank; i++)
        target[i] = 1;
    for (int k = 0; k < n; k++) {
        target[back[k]] = in.dims[map[k]].size;
        unknown += target[back[k]] < 0;
        if (target[back[k]] == 0)
            return NULL;
        moved[back[k]] = tensor_get_int(pads, map[k]);
        moved[back[k] + to.rank] = tensor_get_int(pads, map[k] + from.rank);
    }
    if (unknown > 1)
        return NULL;
    Value *shaped[2] = {pad->in[0], graph_add_ints(node->graph, "shape", to.rank, target)};
    Node *reshape = pass_add_node(node->graph, node, "Reshape", node->name, 2, shaped);
    TRY(ops_infer_node(reshape));
    Value *padded[3] = {reshape->out[0], graph_add_ints(node->graph, "pads", 2 * to.rank, moved), node_in(pad, 2)};
    Node *made = pass_add_node(node->graph, node, "Pad", pad->name, padded[2] != NULL ? 3 : 2, padded);
    if (node_attr(pad, "mode") != NULL)
        node_set_string(made, "mode", node_string(pad, "mode", "constant"));
    TRY(ops_infer_node(made));
    ++*context->changes;
    return pass_replace_node(node, made->out[0]);
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_sink_pad = {
    .name = "sink_pad",
    .stage = PASS_SIMPLIFY,
    .ops = "Reshape Squeeze Unsqueeze Flatten",
    .summary = "a Pad between two changes of shape by sizes of 1 moves behind the second",
    .run = run,
};
