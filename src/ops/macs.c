/* macs.c - multiply-accumulates of the weighted ops, from shapes or from the sizes a run had. */
#include "src/ops/ops.h"

/* Elements of a value: as a run counted them, else from its shape with unknown dims taken as 1; -1 when nothing is known. */
static int64_t elements(const Value *value, const ElementCounts *counts)
{
    if (counts != NULL && value->id < counts->n && counts->by_value[value->id] > 0)
        return counts->by_value[value->id];
    if (value->type.kind != TYPE_TENSOR || value->type.shape.rank < 0)
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
    const Shape *shape = &value->type.shape;
    if (value->type.kind != TYPE_TENSOR || shape->rank < from_end || shape->dims[shape->rank - from_end].size < 0)
        return 1;
    return shape->dims[shape->rank - from_end].size;
}

/* Weights behind one element of `spread`: Conv takes a product for each weight of its output channel, ConvTranspose for each
 * of its input channel; both count along axis 0 of the weight. */
static int64_t conv_macs(const Node *node, const Value *spread, const ElementCounts *counts)
{
    int64_t weights = elements(node->in[1], counts), places = elements(spread, counts), macs;
    int64_t channels = MAX(dim_or_one(node->in[1], MAX(node->in[1]->type.shape.rank, 1)), 1);
    if (weights < 0 || places < 0 || __builtin_mul_overflow(places, weights / channels, &macs))
        return -1;
    return macs;
}

static int64_t forward_macs(const Node *node, const ElementCounts *counts)
{
    return node->out[0] == NULL ? -1 : conv_macs(node, node->out[0], counts);
}

static int64_t transposed_macs(const Node *node, const ElementCounts *counts)
{
    return conv_macs(node, node->in[0], counts);
}

/* Each element of the product sums over the inner size, which the right factor tells when it is constant. */
static int64_t matmul_macs(const Node *node, const ElementCounts *counts)
{
    bool right_transposed = node_int(node, "transB", 0) != 0, left_transposed = node_int(node, "transA", 0) != 0;
    int64_t outputs = node->out[0] == NULL ? -1 : elements(node->out[0], counts), macs;
    int64_t inner = MAX(dim_or_one(node->in[1], right_transposed || node->in[1]->type.shape.rank == 1 ? 1 : 2),
                        dim_or_one(node->in[0], left_transposed ? 2 : 1));
    if (outputs < 0 || __builtin_mul_overflow(outputs, inner, &macs))
        return -1;
    return macs;
}

static const struct {
    const char *op_type;
    int64_t (*macs)(const Node *node, const ElementCounts *counts);
} weighted_ops[] = {
    {"Conv", forward_macs}, {"ConvTranspose", transposed_macs}, {"Gemm", matmul_macs}, {"MatMul", matmul_macs}};

int64_t op_macs(const Node *node, const ElementCounts *counts)
{
    for (size_t i = 0; i < COUNT_OF(weighted_ops); i++)
        if (node_is(node, weighted_ops[i].op_type) && node_in(node, 0) != NULL && node_in(node, 1) != NULL)
            return weighted_ops[i].macs(node, counts);
    return -1;
}

bool op_is_weighted(const Node *node)
{
    for (size_t i = 0; i < COUNT_OF(weighted_ops); i++)
        if (node_is(node, weighted_ops[i].op_type))
            return node_constant(node, 1) != NULL || (node_is(node, "MatMul") && node_constant(node, 0) != NULL);
    return false;
}
