/* fuse_rms_norm.c - a division by the root of the mean of squares becomes RMSNormalization (opset 23).
 *
 *     x / Sqrt(ReduceMean(x^2) + epsilon) * gamma,  x * Reciprocal(Sqrt(..)) * gamma      ->      RMSNormalization(x, gamma)
 *
 * Over the last axes, with a constant gamma or none.
 */
#include "passes/match.h"
#include "passes/norm.h"

#include "src/ops/ops.h"

#define SINCE 23
#define MAX_SCALE ((int64_t)1 << 20)

/* gamma has the shape of the axes. */
static bool has_their_shape(const Norm *norm, const Tensor *constant)
{
    const Shape *shape = &norm->x->type.shape;
    if (constant->rank != norm->n_axes)
        return false;
    for (int i = 0; i < constant->rank; i++)
        if (constant->dims[i] != shape->dims[norm->rank - norm->n_axes + i].size)
            return false;
    return true;
}

static bool is_square(const Value *value, const Value *x)
{
    double exponent;
    const Node *mul = match_maker(value, "Mul"), *pow = match_maker(value, "Pow");
    if (mul != NULL)
        return mul->in[0] == x && mul->in[1] == x;
    return pow != NULL && pow->in[0] == x && match_scalar_operand(pow, &exponent) == 0 && exponent == 2;
}

static Status visit(PassContext *context, Node *node)
{
    Norm norm = {.last = node};
    Node *mean;
    int first;
    int64_t count = 1, dims[TENSOR_MAX_RANK];
    if (node->opset < SINCE || (!node_is(node, "Div") && !node_is(node, "Mul")))
        return NULL;
    norm.x = norm_match_root(node, &mean, &norm.epsilon);
    if (norm.x == NULL || !value_is_float(norm.x) || !is_square(mean->in[0], norm.x) || node_int(mean, "keepdims", 1) == 0)
        return NULL;
    norm.rank = norm.x->type.shape.rank;
    if (!pass_read_axes(mean, norm.rank, &norm.n_axes, norm.axes) || norm.n_axes == 0)
        return NULL;
    for (int i = 1; i < norm.n_axes; i++) /* any order: the least first */
        if (norm.axes[i] < norm.axes[0])
            norm.axes[0] = norm.axes[i];
    if (!norm_over_last(&norm, &first))
        return NULL;
    for (int i = first; i < norm.rank; i++) {
        dims[i - first] = norm.x->type.shape.dims[i].size;
        if (dims[i - first] < 1 || __builtin_mul_overflow(count, dims[i - first], &count) || count > MAX_SCALE)
            return NULL;
    }
    norm_take_gamma(&norm, has_their_shape);
    Value *in[2] = {norm.x, norm.gamma};
    if (norm.gamma == NULL) {
        Tensor *ones;
        TRY(tensor_new(context->model->arena, DT_FLOAT, norm.n_axes, dims, &ones));
        for (int64_t i = 0; i < ones->count; i++)
            ((float *)ones->data)[i] = 1;
        in[1] = graph_add_constant(node->graph, model_fresh_name(context->model, "gamma"), ones);
    }
    Node *made = pass_add_node(node->graph, norm.last, "RMSNormalization", node->name, 2, in);
    node_set_int(made, "axis", first - norm.rank);
    node_set_float(made, "epsilon", (float)norm.epsilon);
    TRY(ops_infer_node(made));
    ++*context->changes;
    return pass_replace_node(norm.last, made->out[0]);
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fuse_rms_norm = {
    .name = "fuse_rms_norm",
    .stage = PASS_SIMPLIFY,
    .ops = "Div Mul",
    .summary = "a division by the root of the mean of squares becomes RMSNormalization (opset 23)",
    .run = run,
};
