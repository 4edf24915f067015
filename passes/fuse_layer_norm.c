/* fuse_layer_norm.c - a normalization over the last axes that is written out becomes LayerNormalization (opset 17).
 *
 *     d = x - ReduceMean(x)
 *     d / Sqrt(ReduceMean(d^2) + epsilon) [* gamma] [+ beta]      ->      LayerNormalization(x, gamma, beta)
 *
 * and the other forms of norm.h. From nine nodes to one. The pieces run in integers nowhere, and a range for each would cost
 * accuracy.
 */
#include "passes/norm.h"

#include "src/ops/ops.h"

#include <string.h>

#define SINCE 17
#define MAX_SCALE ((int64_t)1 << 20)

/* The constant has the shape of the normalized axes, or that with sizes of 1 in front. */
static bool has_their_shape(const Norm *norm, const Tensor *constant)
{
    const Shape *shape = &norm->x->type.shape;
    int first = norm->rank - norm->n_axes;
    if (constant->rank > norm->rank || constant->rank < norm->n_axes)
        return false;
    for (int i = 0; i < constant->rank; i++) {
        int axis = norm->rank - constant->rank + i;
        if (constant->dims[i] != (axis < first ? 1 : shape->dims[axis].size))
            return false;
    }
    return true;
}

/* The constant with the axes of the normalization alone. */
static Status drop_axes(Graph *graph, Value *from, int rank, Value **ret)
{
    Tensor *to;
    *ret = from;
    if (from == NULL || from->constant->rank == rank)
        return NULL;
    const Tensor *tensor = from->constant;
    TRY(tensor_new(graph->model->arena, DT_FLOAT, rank, tensor->dims + (tensor->rank - rank), &to));
    memcpy(to->data, tensor->data, tensor->bytes);
    *ret = graph_add_constant(graph, model_fresh_name(graph->model, from->name), to);
    return NULL;
}

static Status make_ones(Graph *graph, const Shape *shape, int first, Value **ret)
{
    int64_t dims[TENSOR_MAX_RANK];
    Tensor *tensor;
    for (int i = first; i < shape->rank; i++)
        dims[i - first] = shape->dims[i].size;
    TRY(tensor_new(graph->model->arena, DT_FLOAT, shape->rank - first, dims, &tensor));
    for (int64_t i = 0; i < tensor->count; i++)
        ((float *)tensor->data)[i] = 1;
    *ret = graph_add_constant(graph, model_fresh_name(graph->model, "gamma"), tensor);
    return NULL;
}

static Status visit(PassContext *context, Node *node)
{
    Norm norm;
    int first;
    if (node->opset < SINCE || (!node_is(node, "Div") && !node_is(node, "Mul") && !node_is(node, "Add")) ||
        !norm_match(node, &norm) || !norm_over_last(&norm, &first))
        return NULL;
    const Shape shape = norm.x->type.shape;
    int64_t count = 1;
    if (shape.rank != norm.rank)
        return NULL;
    for (int i = first; i < shape.rank; i++)
        if (!dim_is_known(shape.dims[i]) || shape.dims[i].size < 1 || __builtin_mul_overflow(count, shape.dims[i].size, &count) ||
            count > MAX_SCALE)
            return NULL;
    norm_take_gamma(&norm, has_their_shape);
    norm_take_beta(&norm, has_their_shape);
    if ((norm.gamma != NULL && !has_their_shape(&norm, norm.gamma->constant)) ||
        (norm.beta != NULL && !has_their_shape(&norm, norm.beta->constant)))
        return NULL;
    Value *in[3] = {norm.x, NULL, NULL};
    if (norm.gamma == NULL)
        TRY(make_ones(node->graph, &shape, first, &in[1]));
    else
        TRY(drop_axes(node->graph, norm.gamma, norm.n_axes, &in[1]));
    TRY(drop_axes(node->graph, norm.beta, norm.n_axes, &in[2]));
    Node *made = pass_add_node(node->graph, norm.last, "LayerNormalization", node->name, in[2] != NULL ? 3 : 2, in);
    node_set_int(made, "axis", first - shape.rank);
    node_set_float(made, "epsilon", (float)norm.epsilon);
    TRY(ops_infer_node(made));
    ++*context->changes;
    return pass_replace_node(norm.last, made->out[0]);
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fuse_layer_norm = {
    .name = "fuse_layer_norm",
    .stage = PASS_SIMPLIFY,
    .ops = "Div Mul Add",
    .summary = "a normalization over the last axes written out becomes LayerNormalization (opset 17)",
    .run = run,
};
