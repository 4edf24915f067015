/* macs.c - multiply-accumulates of the weighted ops, from shapes or from the sizes a run had. */
#include "src/ops/ops.h"

#include <string.h>

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
static int64_t conv_macs(const Value *spread, const Value *weight, const ElementCounts *counts)
{
    int64_t weights = elements(weight, counts), places = elements(spread, counts), macs;
    int64_t channels = MAX(dim_or_one(weight, MAX(weight->type.shape.rank, 1)), 1);
    if (weights < 0 || places < 0 || __builtin_mul_overflow(places, weights / channels, &macs))
        return -1;
    return macs;
}

static int64_t forward_macs(const Node *node, const Value *x, const Value *weight, const ElementCounts *counts)
{
    (void)x;
    return node->out[0] == NULL ? -1 : conv_macs(node->out[0], weight, counts);
}

static int64_t transposed_macs(const Node *node, const Value *x, const Value *weight, const ElementCounts *counts)
{
    (void)node;
    return conv_macs(x, weight, counts);
}

/* Each element of the product sums over the inner size, which the right factor tells when it is constant. */
static int64_t matmul_macs(const Node *node, const Value *x, const Value *weight, const ElementCounts *counts)
{
    bool right_transposed = node_int(node, "transB", 0) != 0, left_transposed = node_int(node, "transA", 0) != 0;
    int64_t outputs = node->out[0] == NULL ? -1 : elements(node->out[0], counts), macs;
    int64_t inner = MAX(dim_or_one(weight, right_transposed || weight->type.shape.rank == 1 ? 1 : 2),
                        dim_or_one(x, left_transposed ? 2 : 1));
    if (outputs < 0 || __builtin_mul_overflow(outputs, inner, &macs))
        return -1;
    return macs;
}

/* The float ops are what the quantizer weighs; the integer ones are counted where a model holds them already. */
static const struct MacsRow {
    const char *op_type, *domain;
    int x, weight; /* inputs */
    bool is_float;
    int64_t (*macs)(const Node *node, const Value *x, const Value *weight, const ElementCounts *counts);
} rows[] = {
    {"Conv", "", 0, 1, true, forward_macs},
    {"ConvTranspose", "", 0, 1, true, transposed_macs},
    {"Gemm", "", 0, 1, true, matmul_macs},
    {"MatMul", "", 0, 1, true, matmul_macs},
    {"ConvInteger", "", 0, 1, false, forward_macs},
    {"MatMulInteger", "", 0, 1, false, matmul_macs},
    {"QLinearConv", "", 0, 3, false, forward_macs},
    {"QLinearMatMul", "", 0, 3, false, matmul_macs},
    {"QGemm", DOMAIN_MICROSOFT, 0, 3, false, matmul_macs},
    {"MatMulIntegerToFloat", DOMAIN_MICROSOFT, 0, 1, false, matmul_macs},
};

static const struct MacsRow *find_row(const Node *node)
{
    for (size_t i = 0; i < COUNT_OF(rows) && node->def != NULL; i++)
        if (strcmp(node->op_type, rows[i].op_type) == 0 && strcmp(node->domain, rows[i].domain) == 0)
            return &rows[i];
    return NULL;
}

int64_t op_macs(const Node *node, const ElementCounts *counts)
{
    const struct MacsRow *row = find_row(node);
    const Value *x = row == NULL ? NULL : node_in(node, row->x), *weight = row == NULL ? NULL : node_in(node, row->weight);
    return x == NULL || weight == NULL ? -1 : row->macs(node, x, weight, counts);
}

bool op_is_weighted(const Node *node)
{
    const struct MacsRow *row = find_row(node);
    return row != NULL && row->is_float &&
           (node_constant(node, 1) != NULL || (node_is(node, "MatMul") && node_constant(node, 0) != NULL));
}
