/* split_resize.c - nearest Resize by whole numbers as copies of blocks, before ranges are measured.
 *
 *     x: N,C,H,W ─ Resize (nearest, 1,1,s,t) ─ y
 *         ==>
 *     x ─ Transpose N,H,W,C ─ Reshape N,H,1,W,1,C ─ Expand N,H,s,W,t,C ─ Reshape N,sH,tW,C ─ Transpose ─ y
 *
 * Exact where each place is repeated: the coordinates and roundings below. ONNX Runtime keeps integer convolutions channels last
 * and moves Resize in between, where its nearest kernel takes every byte alone: 96 channels from 40x40 to 80x80 806 us, by Expand
 * 103 us (channels first 76).
 */
#include "passes/places.h"
#include "src/ops/ops.h"

#include <math.h>
#include <string.h>

#define LEAST_CHANNELS 8      /* a block */
#define LEAST_ELEMENTS 32768  /* of the result: with fewer the calls cost more than they save */
#define MOST_FACTOR 64

/* Output place s q + i takes input q for every i from 0 to s - 1. */
static bool repeats(const Node *node, const int64_t factors[2])
{
    static const struct {
        const char *coordinates, *rounding;
        int64_t most; /* factor */
    } rows[] = {
        {"asymmetric", "floor", MOST_FACTOR},
        {"asymmetric", "round_prefer_floor", 2},
        {"half_pixel", "round_prefer_floor", MOST_FACTOR},
        {"half_pixel", "round_prefer_ceil", MOST_FACTOR},
        {"pytorch_half_pixel", "round_prefer_floor", MOST_FACTOR},
        {"pytorch_half_pixel", "round_prefer_ceil", MOST_FACTOR},
        {"tf_half_pixel_for_nn", "floor", MOST_FACTOR},
    };
    const char *coordinates = node_string(node, "coordinate_transformation_mode", "half_pixel");
    const char *rounding = node_string(node, "nearest_mode", "round_prefer_floor");
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (strcmp(coordinates, rows[i].coordinates) == 0 && strcmp(rounding, rows[i].rounding) == 0)
            return factors[0] <= rows[i].most && factors[1] <= rows[i].most;
    return false;
}

/* Factor along an axis, from the scales or from both sizes; 0: it is no whole number that is known. */
static int64_t factor_of(const Node *node, int axis)
{
    const Tensor *scales = pass_constant(node, 2), *sizes = pass_constant(node, 3);
    Dim in = node->in[0]->type.shape.dims[axis];
    double factor = 0.0;
    if (node_in(node, 3) == NULL && scales != NULL && scales->dtype == DT_FLOAT && scales->count == 4)
        factor = tensor_get(scales, axis);
    else if (sizes != NULL && sizes->count == 4 && dim_is_known(in) && in.size > 0)
        factor = (double)tensor_get_int(sizes, axis) / (double)in.size;
    return factor >= 1.0 && factor <= MOST_FACTOR && factor == floor(factor) ? (int64_t)factor : 0;
}

static bool can_split(const Node *node, int64_t factors[2])
{
    if (!node_is(node, "Resize") || node->out[0] == NULL || node->out[0]->n_outputs > 0 || !value_is_float(node->out[0]) ||
        strcmp(node_string(node, "mode", "nearest"), "nearest") != 0 || node_attr(node, "axes") != NULL ||
        node->in[0]->constant != NULL || infer_shape(node, 0).rank != 4)
        return false;
    const Shape *x = &node->in[0]->type.shape;
    if (factor_of(node, 0) != 1 || factor_of(node, 1) != 1 || !dim_is_known(x->dims[1]) || x->dims[1].size < LEAST_CHANNELS)
        return false;
    for (int i = 0; i < 2; i++)
        factors[i] = factor_of(node, 2 + i);
    return factors[0] > 0 && factors[1] > 0 && factors[0] * factors[1] > 1 && repeats(node, factors) &&
           pass_has_elements(&node->out[0]->type.shape, 0, LEAST_ELEMENTS);
}

static Status split(PassContext *context, Node *node)
{
    Graph *graph = node->graph;
    int64_t factors[2], channels;
    Value *x = node->in[0], *places = NULL;
    if (!can_split(node, factors))
        return NULL;
    channels = x->type.shape.dims[1].size;
    int64_t apart[] = {0, 0, 1, -1, 1, channels}, copies[] = {1, 1, factors[0], 1, factors[1], 1};
    TRY(places_transpose(node, x, 4, (int64_t[]){0, 2, 3, 1}, &x));
    TRY(places_shape(node, x, factors, channels, &places));
    TRY(places_reshape(node, x, graph_add_ints(graph, "apart", 6, apart), &x));
    Node *expand = pass_add_node(graph, node, "Expand", node->name, 2, (Value *[]){x, graph_add_ints(graph, "copies", 6, copies)});
    TRY(ops_infer_node(expand));
    TRY(places_reshape(node, expand->out[0], places, &x));
    TRY(places_transpose(node, x, 4, (int64_t[]){0, 3, 1, 2}, &x));
    ++*context->changes;
    return pass_replace_node(node, x);
}

static Status run(PassContext *context)
{
    if (!context->target->slow_resize)
        return NULL;
    return pass_each_outer(context, split);
}

const Pass pass_split_resize = {
    .name = "split_resize",
    .stage = PASS_TARGET,
    .summary = "writes nearest Resize by whole numbers as Expand, channels last, where that is faster",
    .run = run,
};
