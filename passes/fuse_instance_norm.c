/* fuse_instance_norm.c - a normalization of each channel that is written out becomes InstanceNormalization, and with a
 * Reshape to groups around it GroupNormalization (opset 21).
 *
 *     norm(x) over all axes of space [* gamma] [+ beta], each of C x 1 x 1      ->      InstanceNormalization
 *     x: NxCxHxW -> Reshape [N, G, -1] -> InstanceNormalization -> Reshape to NxCxHxW [-> Mul gamma] [-> Add beta]
 *                                                                               ->      GroupNormalization, G groups
 *
 * It may be a LayerNormalization as well: over a single last axis only a gamma for each channel says that it is not, and a
 * gamma for each place says that it is.
 */
#include "passes/match.h"
#include "passes/norm.h"

#include "src/ops/ops.h"

#define LAYERS_SINCE 17
#define GROUPS_SINCE 21

/* A factor of each place stands behind it, which LayerNormalization takes in. */
static bool is_for_layer_norm(const Node *node)
{
    const Node *next = node->opset < LAYERS_SINCE ? NULL : value_only_user(node->out[0]);
    if (next == NULL || !node_is(next, "Mul") || next->n_in != 2)
        return false;
    const Tensor *gamma = pass_constant(next, next->in[0] == node->out[0] ? 1 : 0);
    return gamma != NULL && gamma->count > 1;
}

static Status fuse_instance(PassContext *context, Node *node)
{
    Norm norm;
    Value *in[3];
    int first;
    if (!norm_match(node, &norm) || !norm_over_last(&norm, &first) || first != 2 || norm.x->type.shape.rank != norm.rank ||
        !dim_is_known(norm.x->type.shape.dims[1]))
        return NULL;
    norm_take_gamma(&norm, norm_is_per_channel);
    norm_take_beta(&norm, norm_is_per_channel);
    int64_t channels = norm.x->type.shape.dims[1].size;
    if ((norm.gamma != NULL && !norm_is_per_channel(&norm, norm.gamma->constant)) ||
        (norm.beta != NULL && !norm_is_per_channel(&norm, norm.beta->constant)) ||
        (norm.gamma == NULL && norm.beta == NULL && (norm.rank < 4 || is_for_layer_norm(norm.last))) || channels < 1 ||
        channels > 1 << 20)
        return NULL;
    in[0] = norm.x;
    TRY(norm_constant(node->graph, "gamma", norm.gamma == NULL ? NULL : norm.gamma->constant, channels, 1, &in[1]));
    TRY(norm_constant(node->graph, "beta", norm.beta == NULL ? NULL : norm.beta->constant, channels, 0, &in[2]));
    Node *made = pass_add_node(node->graph, norm.last, "InstanceNormalization", node->name, 3, in);
    node_set_float(made, "epsilon", (float)norm.epsilon);
    TRY(ops_infer_node(made));
    ++*context->changes;
    return pass_replace_node(norm.last, made->out[0]);
}

/* gamma[c] = scale[group of c] * own[c], of G and C elements, either may be missing. */
static Status spread(Graph *graph, const char *name, const Tensor *scale, const Tensor *own, const Tensor *shift,
                     int64_t channels, Value **ret)
{
    Tensor *tensor;
    int64_t per_group = channels / scale->count;
    TRY(tensor_new(graph->model->arena, DT_FLOAT, 1, &channels, &tensor));
    for (int64_t c = 0; c < channels; c++)
        tensor_set(tensor, c, tensor_get(scale, c / per_group) * (own == NULL ? 1 : tensor_get(own, c)) +
                                  (shift == NULL ? 0 : tensor_get(shift, c)));
    *ret = graph_add_constant(graph, model_fresh_name(graph->model, name), tensor);
    return NULL;
}

static Status fuse_groups(PassContext *context, Node *node)
{
    const Node *before = match_own(node->in[0], "Reshape", node);
    Node *after = value_only_user(node->out[0]);
    const Tensor *scale = pass_constant(node, 1), *shift = pass_constant(node, 2);
    if (before == NULL || after == NULL || !node_is(after, "Reshape") || after->graph != node->graph || scale == NULL ||
        shift == NULL || scale->dtype != DT_FLOAT || shift->dtype != DT_FLOAT || scale->count != shift->count ||
        after->out[0] == NULL || after->in[0] != node->out[0])
        return NULL;
    Shape x = infer_shape(before, 0), grouped = infer_shape(node, 0);
    int64_t groups = scale->count;
    if (x.rank < 3 || grouped.rank < 3 || !shape_equal(&x, &after->out[0]->type.shape) || !dim_is_known(x.dims[1]) ||
        groups < 1 || x.dims[1].size % groups != 0 || x.dims[1].size == 0 || grouped.dims[1].size != groups ||
        !dim_equal(x.dims[0], grouped.dims[0]))
        return NULL;
    Norm norm = {.x = before->in[0], .rank = x.rank, .last = after};
    Value *in[3] = {before->in[0]};
    int64_t channels = x.dims[1].size;
    norm_take_gamma(&norm, norm_is_per_channel);
    norm_take_beta(&norm, norm_is_per_channel);
    const Tensor *gamma = norm.gamma == NULL ? NULL : norm.gamma->constant;
    TRY(spread(node->graph, "gamma", scale, gamma, NULL, channels, &in[1]));
    TRY(spread(node->graph, "beta", shift, gamma, norm.beta == NULL ? NULL : norm.beta->constant, channels, &in[2]));
    Node *made = pass_add_node(node->graph, norm.last, "GroupNormalization", node->name, 3, in);
    node_set_int(made, "num_groups", groups);
    node_set_float(made, "epsilon", node_float(node, "epsilon", 1e-5f));
    TRY(ops_infer_node(made));
    ++*context->changes;
    return pass_replace_node(norm.last, made->out[0]);
}

static Status visit(PassContext *context, Node *node)
{
    if (node_is(node, "InstanceNormalization") && node->opset >= GROUPS_SINCE && node->n_in == 3 && node->out[0] != NULL)
        return fuse_groups(context, node);
    return node_is(node, "Div") || node_is(node, "Mul") || node_is(node, "Add") ? fuse_instance(context, node) : NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fuse_instance_norm = {
    .name = "fuse_instance_norm",
    .stage = PASS_SIMPLIFY,
    .ops = "InstanceNormalization Div Mul Add",
    .summary = "a normalization of each channel written out becomes InstanceNormalization, of groups GroupNormalization (21)",
    .run = run,
};
