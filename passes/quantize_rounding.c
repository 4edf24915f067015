/* quantize_rounding.c - which element of a weight belongs to which output channel, for src/quant/rounding.c. */
#include "passes/pass.h"
#include "passes/quantize.h"
#include "passes/weight_channels.h"

bool quantize_rounding_shape(const Node *node, int64_t *ret_groups, int64_t *ret_length)
{
    const Tensor *weight = node_constant(node, 1);
    if (weight == NULL || weight->dtype != DT_FLOAT || weight->count == 0 || weight->rank < 2)
        return false;
    if (node_is(node, "Conv")) {
        *ret_groups = node_int(node, "group", 1);
        *ret_length = weight->count / weight->dims[0];
        return *ret_groups > 0 && weight->dims[0] % *ret_groups == 0;
    }
    *ret_groups = 1;
    *ret_length = weight_input_channels(node, weight);
    return weight->rank == 2 && ((node_is(node, "Gemm") && node_int(node, "transA", 0) == 0) || node_is(node, "MatMul"));
}

void quantize_round_weight(const PassContext *context, const Node *node, const Tensor *scales, Tensor *q)
{
    const MomentTable *table = context->plan->moments;
    const Moments *moments = table == NULL || node->id >= table->n ? NULL : table->rows[node->id];
    int64_t groups, length;
    if (moments == NULL || !quantize_rounding_shape(node, &groups, &length))
        return;
    if (groups != moments->groups || length != moments->length)
        return;
    const Tensor *weight = node->in[1]->constant;
    int64_t n = weight_output_channels(node, weight);
    bool in_rows = node_is(node, "Conv") || (node_is(node, "Gemm") && node_int(node, "transB", 0) != 0);
    RoundingBlocks blocks;
    rounding_prepare(moments, &blocks);
    for (int64_t c = 0; c < n; c++) {
        int64_t first = in_rows ? c * length : c;
        float scale = ((const float *)scales->data)[scales->count == 1 ? 0 : c];
        (void)rounding_descend(&blocks, c / (n / groups), (const float *)weight->data + first, in_rows ? 1 : n, scale,
                               (int8_t *)q->data + first);
    }
    rounding_release(&blocks);
}
