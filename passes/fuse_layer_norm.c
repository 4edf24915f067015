/* fuse_layer_norm.c - a normalization over the last axes that is written out becomes LayerNormalization (opset 17).
 *
 *     d = x - ReduceMean(x)
 *     d / Sqrt(ReduceMean(d^2) + epsilon) [* gamma] [+ beta]      ->      LayerNormalization(x, gamma, beta)
 *
 * From nine nodes to one. The pieces run in integers nowhere, and a range for each would cost accuracy.
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

#include <math.h>

#define SINCE 17
#define MAX_SCALE ((int64_t)1 << 20)

/* The single reader is `user`; its producer is of this type. */
static Node *maker(const Value *value, const char *op_type)
{
    Node *node = value == NULL ? NULL : value->producer;
    return node != NULL && node_is(node, op_type) && node->n_out == 1 && value->n_outputs == 0 ? node : NULL;
}

/* ReduceMean with kept dims over the last axes; the first of them. */
static bool is_mean(const Node *node, int rank, int *ret_first)
{
    int axes[TENSOR_MAX_RANK], n, first = rank;
    if (node == NULL || node_int(node, "keepdims", 1) == 0 || !pass_read_axes(node, rank, &n, axes))
        return false;
    for (int i = 0; i < n; i++)
        first = MIN(first, axes[i]);
    *ret_first = first;
    return n > 0 && first == rank - n;
}

/* d^2, as Pow or Mul. */
static bool is_square(const Node *node, const Value *d)
{
    double exponent;
    if (node == NULL || node->out[0]->n_uses != 1)
        return false;
    if (node_is(node, "Mul"))
        return node->in[0] == d && node->in[1] == d;
    return node_is(node, "Pow") && node->in[0] == d && pass_is_scalar_constant(node->in[1], &exponent) && exponent == 2;
}

typedef struct Match {
    Value *x;
    int first; /* axis */
    double epsilon;
} Match;

/* node is the Div. */
static bool match_div(const Node *node, Match *ret)
{
    int other;
    Node *sub = maker(node_in(node, 0), "Sub"), *sqrt = maker(node_in(node, 1), "Sqrt");
    if (sub == NULL || sqrt == NULL || sub->graph != node->graph || value_only_user(sqrt->out[0]) != node)
        return false;
    Node *mean = maker(sub->in[1], "ReduceMean"), *add = maker(sqrt->in[0], "Add");
    int rank = infer_shape(sub, 0).rank;
    if (!is_mean(mean, rank, &ret->first) || mean->in[0] != sub->in[0] || value_only_user(mean->out[0]) != sub ||
        add == NULL || value_only_user(add->out[0]) != sqrt)
        return false;
    int data = pass_is_scalar_constant(add->in[1], &ret->epsilon) ? 0 : 1;
    if (data == 1 && !pass_is_scalar_constant(add->in[0], &ret->epsilon))
        return false;
    Node *variance = maker(add->in[data], "ReduceMean");
    if (variance == NULL || !is_mean(variance, rank, &other) || other != ret->first ||
        value_only_user(variance->out[0]) != add || !(ret->epsilon >= 0) || !isfinite(ret->epsilon))
        return false;
    const Node *square = variance->in[0]->producer;
    ret->x = sub->in[0];
    return is_square(square, sub->out[0]) && value_is_float(ret->x) &&
           sub->out[0]->n_uses == (node_is(square, "Mul") ? 3u : 2u);
}

/* The constant operand of the only reader, of the normalized shape, so that the reader becomes an input of the op. */
static Node *match_reader(const Value *value, const char *op_type, const Shape *shape, int first, Value **ret)
{
    Node *node = value_only_user(value);
    if (node == NULL || !node_is(node, op_type) || node->graph != value->graph || node->n_in != 2)
        return NULL;
    Value *other = node->in[node->in[0] == value ? 1 : 0];
    if (!pass_value_is_constant(other) || other->constant->dtype != DT_FLOAT ||
        other->constant->rank != shape->rank - first)
        return NULL;
    for (int i = first; i < shape->rank; i++)
        if (shape->dims[i].size != other->constant->dims[i - first])
            return NULL;
    *ret = other;
    return node;
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
    Match match;
    if (!node_is(node, "Div") || node->opset < SINCE || node->out[0] == NULL || !match_div(node, &match))
        return NULL;
    const Shape shape = match.x->type.shape;
    Value *in[3] = {match.x, NULL, NULL};
    Node *last = node, *scale = match_reader(node->out[0], "Mul", &shape, match.first, &in[1]);
    int64_t count = 1;
    for (int i = match.first; i < shape.rank; i++)
        if (!dim_is_known(shape.dims[i]) || __builtin_mul_overflow(count, shape.dims[i].size, &count) ||
            count > MAX_SCALE)
            return NULL;
    if (scale == NULL)
        TRY(make_ones(node->graph, &shape, match.first, &in[1]));
    else
        last = scale;
    Node *shift = match_reader(last->out[0], "Add", &shape, match.first, &in[2]);
    last = shift != NULL ? shift : last;
    Node *norm = pass_add_node(node->graph, last, "LayerNormalization", node->name, shift != NULL ? 3 : 2, in);
    node_set_int(norm, "axis", match.first - shape.rank);
    node_set_float(norm, "epsilon", (float)match.epsilon);
    TRY(ops_infer_node(norm));
    ++*context->changes;
    return pass_replace_node(last, norm->out[0]);
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fuse_layer_norm = {
    .name = "fuse_layer_norm",
    .stage = PASS_SIMPLIFY,
    .summary = "a normalization over the last axes written out becomes LayerNormalization (opset 17)",
    .run = run,
};
