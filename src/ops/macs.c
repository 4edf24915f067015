/* macs.c - multiply-accumulates of the weighted ops, from shapes. Unknown dims count as 1, so figures are for one sample. */
#include "src/ops/ops.h"

#include <string.h>

static int64_t elements(const Value *value)
{
    if (value == NULL || value->type.kind != TYPE_TENSOR || value->type.shape.rank < 0)
        return -1;
    int64_t count = 1;
    for (int i = 0; i < value->type.shape.rank; i++) {
        int64_t size = value->type.shape.dims[i].size;
        if (size >= 0 && __builtin_mul_overflow(count, size, &count))
            return -1;
    }
    return count;
}

static int64_t dim_or_one(const Value *value, int from_end)
{
    if (value == NULL || value->type.kind != TYPE_TENSOR || value->type.shape.rank < from_end)
        return 1;
    int64_t size = value->type.shape.dims[value->type.shape.rank - from_end].size;
    return size < 0 ? 1 : size;
}

/* Each output element of a Conv takes one product for each weight of its channel. */
static int64_t conv_macs(const Node *node)
{
    int64_t weights = elements(node->in[1]), outputs = elements(node->out[0]), channels = 1, macs;
    if (node->in[1]->type.shape.rank > 0)
        channels = MAX(node->in[1]->type.shape.dims[0].size, 1);
    if (weights < 0 || outputs < 0 || __builtin_mul_overflow(outputs, weights / channels, &macs))
        return -1;
    return macs;
}

/* Each input element of a ConvTranspose is spread by every weight of its channel. */
static int64_t conv_transpose_macs(const Node *node)
{
    int64_t weights = elements(node->in[1]), inputs = elements(node->in[0]), channels = 1, macs;
    if (node->in[1]->type.shape.rank > 0)
        channels = MAX(node->in[1]->type.shape.dims[0].size, 1);
    if (weights < 0 || inputs < 0 || __builtin_mul_overflow(inputs, weights / channels, &macs))
        return -1;
    return macs;
}

static int64_t matmul_macs(const Node *node)
{
    bool transposed = node_int(node, "transA", 0) != 0;
    int64_t outputs = elements(node->out[0]), macs;
    if (outputs < 0 || __builtin_mul_overflow(outputs, dim_or_one(node->in[0], transposed ? 2 : 1), &macs))
        return -1;
    return macs;
}

static const struct {
    const char *op_type;
    int64_t (*macs)(const Node *node);
} weighted_ops[] = {
    {"Conv", conv_macs},
    {"ConvTranspose", conv_transpose_macs},
    {"Gemm", matmul_macs},
    {"MatMul", matmul_macs},
};

int64_t op_macs(const Node *node)
{
    for (size_t i = 0; i < COUNT_OF(weighted_ops); i++)
        if (node_is(node, weighted_ops[i].op_type) && node_in(node, 0) != NULL && node_in(node, 1) != NULL)
            return weighted_ops[i].macs(node);
    return -1;
}

bool op_is_weighted(const Node *node)
{
    for (size_t i = 0; i < COUNT_OF(weighted_ops); i++)
        if (node_is(node, weighted_ops[i].op_type))
            return node_constant(node, 1) != NULL || (node_is(node, "MatMul") && node_constant(node, 0) != NULL);
    return false;
}
