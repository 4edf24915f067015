/* quantize_average_pool.c - AveragePool as a depthwise convolution of integers.
 *
 *     x ─ AveragePool k x k ─ y      ==>      x ─ Conv depthwise, all weights 1 / k^2 ─ y
 *
 * Exact but for rounding: the weights are 127 times their scale. Padding counts as zeros, so it must count in the pool too.
 * ONNX Runtime's QLinearAveragePool takes 5 to 10 times as long as its QLinearConv (64 channels of 28x28, 3x3: 265 us and 25), and
 * it makes one of every AveragePool between DQ and Q, wanted or not.
 */
#include "passes/pass.h"
#include "passes/quantize.h"
#include "src/ops/ops.h"

#include <string.h>

static bool has_padding(const Node *node)
{
    int64_t n;
    const int64_t *pads = node_ints(node, "pads", &n);
    const char *mode = node_string(node, "auto_pad", "NOTSET");
    bool padded = strncmp(mode, "SAME", 4) == 0;
    for (int64_t i = 0; i < n; i++)
        padded = padded || pads[i] != 0;
    return padded;
}

const char *quant_average_problem(const Node *node)
{
    const Shape *shape = &node->in[0]->type.shape;
    int64_t n;
    const int64_t *dilations = node_ints(node, "dilations", &n);
    for (int64_t i = 0; i < n; i++)
        if (dilations[i] != 1)
            return "a pool with dilations has no form as a convolution here";
    if (shape->rank < 3 || shape->dims[1].size < 1)
        return "its number of channels is not known";
    if (node_int(node, "ceil_mode", 0) != 0)
        return "with ceil_mode its windows at the border have no form as a convolution";
    if (has_padding(node) && node_int(node, "count_include_pad", 0) == 0)
        return "its windows at the border average fewer elements than a convolution would";
    return NULL;
}

static Status to_conv(PassContext *context, Node *node)
{
    int64_t n, channels = node->in[0]->type.shape.dims[1].size, area = 1;
    const int64_t *kernel = node_ints(node, "kernel_shape", &n);
    int64_t dims[TENSOR_MAX_RANK] = {channels, 1};
    for (int64_t i = 0; i < n; i++)
        area *= dims[2 + i] = kernel[i];
    Tensor *weight = NULL;
    TRY(tensor_new(context->model->arena, DT_FLOAT, 2 + (int)n, dims, &weight));
    for (int64_t i = 0; i < weight->count; i++)
        ((float *)weight->data)[i] = 1.0f / (float)area;
    node_remove_attr(node, "ceil_mode");
    node_remove_attr(node, "count_include_pad");
    node_set_int(node, "group", channels);
    node->op_type = "Conv";
    node_set_input(node, 1, graph_add_constant(node->graph, model_fresh_name(context->model, "average_weight"), weight));
    ops_bind_node(node);
    ++*context->changes;
    return NULL;
}

static Status run(PassContext *context)
{
    if (!context->target->average_by_conv)
        return NULL;
    for (Node *node = context->model->graph->first; node != NULL; node = node->next)
        if (node_is(node, "AveragePool") && quant_fate(context->plan, node) == FATE_INTEGER)
            TRY(to_conv(context, node));
    return NULL;
}

const Pass pass_quantize_average_pool = {
    .name = "quantize_average_pool",
    .stage = PASS_QUANTIZE,
    .summary = "turns AveragePool into a depthwise convolution of integers",
    .run = run,
};
