/* eliminate_gather.c - a Gather of all rows in their order is a change of shape.
 *
 *     m: BxS -> Flatten -> Gather(index: Bx1x1xS)                              ->     m -> Unsqueeze -> y: Bx1x1xS
 *     index = Unsqueeze(Range(0, B, 1)) * S + Unsqueeze(Range(0, S, 1))
 *
 *     x: BxSx8 -> Gather axis 1, index = Range(0, S, 1)                        ->     x
 *
 * torch writes m[b, k] with vectors of all b and all k so; transformers look up the padding mask of attention like that.
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

/* Part of an index: 0, 1 ... `size` - 1 along `axis` of the index. */
typedef struct Count {
    int axis;
    Dim size;
} Count;

static bool is_number(const Value *value, double number)
{
    double scalar;
    return value != NULL && pass_is_scalar_constant(value, &scalar) && scalar == number;
}

/* The one axis that is not 1; -1 when there is none or more than one. */
static int only_axis(const Shape *shape)
{
    int axis = -1;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dims[i].size == 1)
            continue;
        if (axis >= 0)
            return -1;
        axis = i;
    }
    return axis;
}

/* Is the value 0, 1, 2 ... along one of its axes? Axes are counted from the end: -1 is the last. */
static bool read_count(const Value *value, Count *ret)
{
    if (value == NULL || value->type.kind != TYPE_TENSOR || value->type.shape.rank < 1)
        return false;
    Shape shape = value->type.shape;
    int axis = only_axis(&shape);
    const Node *node = value->producer;
    while (node != NULL && (node_is(node, "Unsqueeze") || node_is(node, "Reshape")))
        node = node->in[0] != NULL ? node->in[0]->producer : NULL;
    if (axis < 0 || node == NULL || !node_is(node, "Range") || !is_number(node->in[0], 0) || !is_number(node->in[2], 1) ||
        node->out[0] == NULL || node->out[0]->type.shape.rank != 1 ||
        !dim_equal(node->out[0]->type.shape.dims[0], shape.dims[axis]))
        return false;
    *ret = (Count){axis - shape.rank, shape.dims[axis]};
    return true;
}

/* A count times the one number `size`. */
static bool read_scaled_count(const Value *value, Dim size, Count *ret)
{
    const Node *node = value != NULL ? value->producer : NULL;
    Dim factor;
    if (node == NULL || !node_is(node, "Mul"))
        return false;
    for (int i = 0; i < 2; i++)
        if (infer_content(node, 1 - i, &factor, 1) == 1 && dim_equal(factor, size) && read_count(node->in[i], ret))
            return true;
    return false;
}

/* Does the index go through 0, 1, 2 ... in row-major order? Then its counts, outer first; else 0. */
static int read_index(const Value *index, Count ret[2])
{
    if (read_count(index, &ret[0]))
        return 1;
    const Node *sum = index->producer;
    for (int i = 0; i < 2 && sum != NULL && node_is(sum, "Add"); i++)
        if (read_count(sum->in[i], &ret[1]) && read_scaled_count(sum->in[1 - i], ret[1].size, &ret[0]) &&
            ret[0].axis < ret[1].axis)
            return 2;
    return 0;
}

/* The value whose axes 0 and 1 together are axis 0 of `data`, and axis 2, if it has one, axis 1; NULL when there is none. */
static Value *before_flatten(const Value *data)
{
    const Node *node = data->producer;
    const Shape *shape = &data->type.shape;
    Shape in = node != NULL && node->graph == data->graph ? infer_shape(node, 0) : shape_unknown();
    if (node != NULL && node_is(node, "Flatten") && (in.rank == 2 || in.rank == 3)) {
        int64_t axis = node_int(node, "axis", 1);
        return axis == 2 || axis + in.rank == 2 ? node->in[0] : NULL;
    }
    if (in.rank != 2 || !node_is(node, "Reshape"))
        return NULL;
    for (int i = 1; i < shape->rank; i++)
        if (shape->dims[i].size != 1)
            return NULL;
    return node->in[0];
}

/* An Unsqueeze of `from` with sizes of 1 where `shape` has no axis of it: from axis j goes to at[j]. */
static Status unsqueeze(Node *node, Value *from, int rank, const int *at, int n, Value **ret)
{
    int64_t axes[TENSOR_MAX_RANK];
    int n_axes = 0;
    for (int i = 0, j = 0; i < rank; i++) {
        if (j < n && at[j] == i)
            j++;
        else
            axes[n_axes++] = i;
    }
    *ret = from;
    if (n_axes == 0)
        return NULL;
    Value *in[2] = {from, graph_add_ints(node->graph, "axes", n_axes, axes)};
    Node *made = pass_add_node(node->graph, node, "Unsqueeze", node->name, 2, in);
    *ret = made->out[0];
    return ops_infer_node(made);
}

static Status visit(PassContext *context, Node *node)
{
    Count counts[2];
    int at[TENSOR_MAX_RANK];
    if (!node_is(node, "Gather") || node->in[0] == NULL || node->in[1] == NULL || node->out[0] == NULL ||
        node->in[0]->graph != node->graph)
        return NULL;
    Shape data = infer_shape(node, 0), index = infer_shape(node, 1), out = node->out[0]->type.shape;
    int n = data.rank < 1 || index.rank < 1 ? 0 : read_index(node->in[1], counts);
    int axis = (int)node_int(node, "axis", 0);
    axis += axis < 0 ? data.rank : 0;
    if (n == 0 || out.rank != data.rank - 1 + index.rank || (n == 2 && axis != 0))
        return NULL;
    Value *from = n == 2 ? before_flatten(node->in[0]) : node->in[0];
    Shape shape = from != NULL ? from->type.shape : shape_unknown();
    if (from == NULL || from->type.kind != TYPE_TENSOR || from->graph != node->graph || shape.rank > out.rank)
        return NULL;
    /* Where the axes of `from` are in the output: those in front, those that are counted, those behind. */
    for (int k = 0; k < n; k++) {
        at[axis + k] = axis + index.rank + counts[k].axis;
        if (!dim_equal(shape.dims[axis + k], counts[k].size))
            return NULL;
    }
    for (int i = 0; i < axis; i++)
        at[i] = i;
    for (int i = axis + n; i < shape.rank; i++)
        at[i] = out.rank - shape.rank + i;
    if (shape.rank == out.rank && !pass_can_replace(node, from))
        return NULL;
    Value *made;
    TRY(unsqueeze(node, from, out.rank, at, shape.rank, &made));
    ++*context->changes;
    return pass_replace_node(node, made);
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_eliminate_gather = {
    .name = "eliminate_gather",
    .stage = PASS_SIMPLIFY,
    .ops = "Gather",
    .summary = "a Gather of all rows in their order becomes a change of shape",
    .run = run,
};
