/* fuse_slices.c - Slices that cut one value into all of its pieces along an axis become one Split.
 *
 *     x: Nx116 ─ Slice [0, 58)   ─ a               x ─ Split [58, 58] ─ a, b
 *             └─ Slice [58, 116) ─ b        ->
 *
 * The pieces must cover the axis without gap or overlap, so its size must be known. Each value is looked at once, at
 * its first Slice; the Split takes over the outputs of all.
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

#include <stdlib.h>

#define MAX_PIECES 64

typedef struct Piece {
    int64_t start, end;
    Node *slice;
} Piece;

/* One element of a constant list, or false. */
static bool read_single(const Node *node, int i, int64_t *ret)
{
    const Tensor *list = pass_constant(node, i);
    if (list == NULL || list->count != 1 || !dtype_is_integer(list->dtype))
        return false;
    *ret = tensor_get_int(list, 0);
    return true;
}

static int64_t clamp_position(int64_t position, int64_t size)
{
    if (position < 0)
        position = position < -size ? 0 : position + size;
    return MIN(position, size);
}

/* A Slice with step 1 along one axis of known size. */
static bool read_slice(const Node *node, int *ret_axis, Piece *ret)
{
    int64_t start, end, axis = 0, step = 1;
    Shape shape = infer_shape(node, 0);
    if (!node_is(node, "Slice") || node->n_out != 1 || node->out[0] == NULL || shape.rank < 1 ||
        !read_single(node, 1, &start) || !read_single(node, 2, &end))
        return false;
    if (node_in(node, 3) != NULL && !read_single(node, 3, &axis))
        return false;
    if (node_in(node, 4) != NULL && (!read_single(node, 4, &step) || step != 1))
        return false;
    axis += axis < 0 ? shape.rank : 0;
    if (axis < 0 || axis >= shape.rank || !dim_is_known(shape.dims[axis]))
        return false;
    int64_t size = shape.dims[axis].size;
    *ret_axis = (int)axis;
    *ret = (Piece){clamp_position(start, size), clamp_position(end, size), (Node *)(uintptr_t)node};
    return ret->start < ret->end;
}

static int compare_pieces(const void *a, const void *b)
{
    int64_t x = ((const Piece *)a)->start, y = ((const Piece *)b)->start;
    return (x > y) - (x < y);
}

/* All Slices of the value along the axis, in order; 0 unless they make the whole. */
static int collect_pieces(const Value *value, int axis, const Graph *graph, Piece *ret)
{
    int n = 0, other;
    for (size_t i = 0; i < value->n_uses; i++) {
        const Use *use = &value->uses[i];
        if (use->input != 0 || use->node->graph != graph || n == MAX_PIECES || !read_slice(use->node, &other, &ret[n]))
            continue;
        n += other == axis;
    }
    qsort(ret, (size_t)n, sizeof(ret[0]), compare_pieces);
    int64_t at = 0;
    for (int i = 0; i < n; at = ret[i].end, i++)
        if (ret[i].start != at)
            return 0;
    return n >= 2 && at == value->type.shape.dims[axis].size ? n : 0;
}

static Status make_split(PassContext *context, Node *first, Value *value, int axis, const Piece *pieces, int n)
{
    Graph *graph = first->graph;
    Model *model = context->model;
    int64_t sizes[MAX_PIECES], count = n;
    Value *out[MAX_PIECES];
    for (int i = 0; i < n; i++) {
        sizes[i] = pieces[i].end - pieces[i].start;
        out[i] = pieces[i].slice->out[0];
    }
    Tensor *tensor = tensor_new_ints(model->arena, 1, &count, sizes);
    Value *in[2] = {value, graph_add_constant(graph, model_fresh_name(model, "split"), tensor)};
    for (int i = 0; i < n; i++)
        node_set_output(pieces[i].slice, 0, NULL);
    Node *split = graph_add_node(graph, first, "Split", "", first->name, 2, in, n, out);
    node_set_int(split, "axis", axis);
    ops_bind_node(split);
    for (int i = 0; i < n; i++)
        node_remove(pieces[i].slice);
    ++*context->changes;
    return ops_infer_node(split);
}

static Status visit(PassContext *context, Node *node)
{
    Piece pieces[MAX_PIECES], piece;
    unsigned char *seen = context->own;
    int axis;
    if (!read_slice(node, &axis, &piece) || (seen[node->in[0]->id] >> (axis & 7) & 1) != 0)
        return NULL;
    Value *value = node->in[0];
    seen[value->id] |= (unsigned char)(1u << (axis & 7));
    int n = collect_pieces(value, axis, node->graph, pieces);
    return n > 0 ? make_split(context, node, value, axis, pieces, n) : NULL; /* later pieces go with their first */
}

static Status run(PassContext *context)
{
    context->own = arena_alloc(context->scratch, context->model->n_ids); /* axes of a value, a bit each */
    return pass_each_node(context, visit);
}

const Pass pass_fuse_slices = {
    .name = "fuse_slices",
    .stage = PASS_SIMPLIFY,
    .ops = "Slice",
    .summary = "Slices that cut a value into all of its pieces become one Split",
    .run = run,
};
