/* weight_channels.c - the channels of a weight, from its layout:
 *
 *     Conv (O, C/g, k...)     ConvTranspose (C, O/g, k...)     Gemm (C, O) or transB (O, C)     MatMul (..., C, O)
 */
#include "passes/weight_channels.h"

static bool is_turned(const Node *node)
{
    return node_is(node, "Gemm") && node_int(node, "transB", 0) != 0;
}

int64_t weight_input_channel(const Node *node, const Tensor *weight, int64_t i)
{
    if (node_is(node, "ConvTranspose"))
        return i / (weight->count / weight->dims[0]);
    if (node_is(node, "Conv")) {
        int64_t groups = node_int(node, "group", 1), inner = weight->count / weight->dims[0], own = weight->dims[1];
        int64_t out = i / inner, in = i % inner / (inner / own);
        return out / (weight->dims[0] / groups) * own + in;
    }
    int64_t columns = weight->dims[weight->rank - 1];
    return is_turned(node) ? i % columns : i / columns % weight->dims[weight->rank - 2];
}

int64_t weight_input_channels(const Node *node, const Tensor *weight)
{
    if (node_is(node, "ConvTranspose"))
        return weight->dims[0];
    if (node_is(node, "Conv"))
        return weight->dims[1] * node_int(node, "group", 1);
    return weight->dims[weight->rank - (is_turned(node) ? 1 : 2)];
}

int64_t weight_output_channel(const Node *node, const Tensor *weight, int64_t i)
{
    if (node_is(node, "Conv"))
        return i / (weight->count / weight->dims[0]);
    if (node_is(node, "ConvTranspose")) {
        int64_t inner = weight->count / weight->dims[0], in = i / inner;
        int64_t group = in / (weight->dims[0] / node_int(node, "group", 1));
        return group * weight->dims[1] + i % inner / (inner / weight->dims[1]);
    }
    int64_t columns = weight->dims[weight->rank - 1];
    return is_turned(node) ? i / columns : i % columns;
}

int64_t weight_output_channels(const Node *node, const Tensor *weight)
{
    if (node_is(node, "Conv"))
        return weight->dims[0];
    if (node_is(node, "ConvTranspose"))
        return weight->dims[1] * node_int(node, "group", 1);
    return weight->dims[weight->rank - (is_turned(node) ? 2 : 1)];
}
