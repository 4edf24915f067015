/* join_separable.c - a depthwise convolution of very few channels and the 1x1 behind it become one plain convolution.
 *
 *     x (3 channels) ─ Conv D [3,1,3,3] group 3 ─ Conv P [16,3,1,1] ─ y    ==>    x ─ Conv W [16,3,3,3] ─ y
 *
 *     W[o,c,k] = sum over m of group c  P[o,m] D[m,k]        bias[o] = p[o] + sum over m  P[o,m] d[m]
 *
 * Exact: nothing stands between, and a 1x1 pads nothing. More multiplications, but in a kernel that is quick: ONNX Runtime's
 * integer depthwise kernel takes channels by the 16. 3x3 of 3 channels on 64x64: 208 us, the 1x1 to 16 behind it 67; both as
 * one, the input padded to 4 channels: 45. As floats the two are about as quick as the one.
 */
#include "passes/pass.h"

#include <string.h>

#define MOST_POSITIONS 25 /* of the depthwise kernel: 5x5 */

static bool all_are(const Node *node, const char *name, int64_t value)
{
    int64_t n;
    const int64_t *values = node_ints(node, name, &n);
    for (int64_t i = 0; i < n; i++)
        if (values[i] != value)
            return false;
    return true;
}

/* Float weights, and biases that are constant or left out. */
static bool has_plain_operands(const Node *conv)
{
    const Tensor *weight = pass_constant(conv, 1), *bias = pass_constant(conv, 2);
    return weight != NULL && weight->dtype == DT_FLOAT && weight->rank >= 3 && weight->count > 0 &&
           (node_in(conv, 2) == NULL || (bias != NULL && bias->dtype == DT_FLOAT && bias->count == weight->dims[0]));
}

static bool is_pointwise(const Node *conv)
{
    const Tensor *weight = pass_constant(conv, 1);
    const char *padding = node_string(conv, "auto_pad", "NOTSET");
    return node_int(conv, "group", 1) == 1 && weight->count == weight->dims[0] * weight->dims[1] && all_are(conv, "pads", 0) &&
           all_are(conv, "strides", 1) && strncmp(padding, "SAME", 4) != 0;
}

static bool is_depthwise_of_few(const Node *conv, int64_t few)
{
    const Tensor *weight = pass_constant(conv, 1);
    int64_t group = node_int(conv, "group", 1);
    return weight->dims[1] == 1 && group > 1 && group <= few && weight->dims[0] % group == 0 &&
           weight->count / weight->dims[0] <= MOST_POSITIONS;
}

static Status join_weights(Arena *arena, const Tensor *depthwise, const Tensor *pointwise, int64_t group, Tensor **ret)
{
    int64_t dims[TENSOR_MAX_RANK], middle = depthwise->dims[0], positions = depthwise->count / middle, each = middle / group;
    for (int i = 0; i < depthwise->rank; i++)
        dims[i] = i == 0 ? pointwise->dims[0] : i == 1 ? group : depthwise->dims[i];
    TRY(tensor_new(arena, DT_FLOAT, depthwise->rank, dims, ret));
    const float *d = depthwise->data, *p = pointwise->data;
    float *w = (*ret)->data;
    for (int64_t o = 0; o < dims[0]; o++)
        for (int64_t c = 0; c < group; c++)
            for (int64_t k = 0; k < positions; k++) {
                double sum = 0;
                for (int64_t m = c * each; m < (c + 1) * each; m++)
                    sum += (double)p[o * middle + m] * (double)d[m * positions + k];
                w[(o * group + c) * positions + k] = (float)sum;
            }
    return NULL;
}

static Status join_biases(Arena *arena, const Tensor *inner, const Tensor *pointwise, const Tensor *outer, Tensor **ret)
{
    int64_t outputs = pointwise->dims[0], middle = pointwise->dims[1];
    TRY(tensor_new(arena, DT_FLOAT, 1, &outputs, ret));
    const float *p = pointwise->data;
    for (int64_t o = 0; o < outputs; o++) {
        double sum = outer == NULL ? 0 : (double)((const float *)outer->data)[o];
        for (int64_t m = 0; m < middle; m++)
            sum += (double)p[o * middle + m] * (double)((const float *)inner->data)[m];
        ((float *)(*ret)->data)[o] = (float)sum;
    }
    return NULL;
}

/* The 1x1 takes over where the depthwise one reads. */
static void take_place(Node *pointwise, const Node *depthwise)
{
    static const char *const lists[] = {"kernel_shape", "pads", "strides", "dilations"};
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        int64_t n;
        const int64_t *values = node_ints(depthwise, lists[i], &n);
        node_remove_attr(pointwise, lists[i]);
        if (values != NULL)
            node_set_ints(pointwise, lists[i], values, n);
    }
    node_remove_attr(pointwise, "auto_pad");
    if (node_attr(depthwise, "auto_pad") != NULL)
        node_set_string(pointwise, "auto_pad", node_string(depthwise, "auto_pad", "NOTSET"));
    node_set_input(pointwise, 0, depthwise->in[0]);
}

static Status visit(PassContext *context, Node *pointwise)
{
    const Value *between = node_in(pointwise, 0);
    Node *depthwise = between == NULL ? NULL : between->producer;
    if (depthwise == NULL || !node_is(depthwise, "Conv") || depthwise->graph != pointwise->graph ||
        value_only_user(between) != pointwise || !has_plain_operands(pointwise) || !has_plain_operands(depthwise) ||
        !is_pointwise(pointwise) || !is_depthwise_of_few(depthwise, context->target->conv_channels))
        return NULL;
    Arena *arena = context->model->arena;
    const Tensor *d = pass_constant(depthwise, 1), *p = pass_constant(pointwise, 1), *inner = pass_constant(depthwise, 2);
    if (p->dims[1] != d->dims[0] || p->rank != d->rank)
        return NULL;
    Tensor *weight = NULL, *bias = NULL;
    TRY(join_weights(arena, d, p, node_int(depthwise, "group", 1), &weight));
    if (inner != NULL)
        TRY(join_biases(arena, inner, p, pass_constant(pointwise, 2), &bias));
    pass_replace_constant(pointwise, 1, weight);
    if (bias != NULL && node_in(pointwise, 2) != NULL)
        pass_replace_constant(pointwise, 2, bias);
    else if (bias != NULL)
        node_set_input(pointwise, 2, graph_add_constant(pointwise->graph, model_fresh_name(context->model, "bias"), bias));
    take_place(pointwise, depthwise);
    pass_remove_dead(depthwise);
    ++*context->changes;
    return NULL;
}

static Status run(PassContext *context)
{
    return context->target->conv_channels == 0 ? NULL : pass_each_node(context, visit);
}

const Pass pass_join_separable = {
    .name = "join_separable",
    .stage = PASS_TARGET,
    .ops = "Conv",
    .summary = "a depthwise convolution of very few channels and the 1x1 behind it become one",
    .run = run,
};
