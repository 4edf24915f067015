/* quantize_merge_groups.c - convolutions of many small groups get fewer, wider ones.
 *
 *     Conv, 32 groups of 4 channels      ==>      Conv, 4 groups of 32 channels, weights between the old groups zero
 *
 * Exact. The runtime's integer product is the quickest with 32 input channels or more in a group, though most of what it multiplies
 * then is zero: 3x3 on 28x28, 128 channels in groups of 4: 997 us, of 32: 257 (in float 328); 64 channels of 32x32 in groups
 * of 2: 1201 and 171 (176). That serves depthwise convolutions with several filters a channel too. Plain depthwise ones have a
 * kernel of their own.
 */
#include "passes/pass.h"
#include "passes/quantize.h"
#include "src/ops/ops.h"

#include <string.h>

int64_t quant_groups_merged(const Target *target, const Node *node)
{
    const Tensor *weight = pass_constant(node, 1);
    int64_t groups = node_int(node, "group", 1), most = 1;
    if (target->group_width == 0 || !node_is(node, "Conv") || weight == NULL || weight->rank < 3 || groups <= 1 ||
        weight->count == 0 || weight->dims[0] % groups != 0 || (weight->dims[1] == 1 && weight->dims[0] == groups))
        return 1;
    for (int64_t merged = 1; merged <= groups && weight->dims[1] * most < target->group_width; merged++)
        if (groups % merged == 0)
            most = merged;
    return most;
}

/* Row m of the weight, of the `merged` old groups in its new one, is that of old group (m / rows of an old one) % merged. */
static Status widen(PassContext *context, Node *node, int64_t merged)
{
    const Tensor *from = pass_constant(node, 1);
    int64_t groups = node_int(node, "group", 1), rows = from->dims[0] / groups, width = from->dims[1];
    int64_t dims[TENSOR_MAX_RANK], positions = from->count / from->dims[0] / width;
    for (int i = 0; i < from->rank; i++)
        dims[i] = from->dims[i];
    dims[1] = width * merged;
    Tensor *to = NULL;
    TRY(tensor_new(context->model->arena, DT_FLOAT, from->rank, dims, &to));
    memset(to->data, 0, to->bytes);
    int64_t run = width * positions;
    for (int64_t m = 0; m < dims[0]; m++)
        memcpy((float *)to->data + (m * merged + m / rows % merged) * run, (const float *)from->data + m * run,
               (size_t)run * sizeof(float));
    pass_replace_constant(node, 1, to);
    node_set_int(node, "group", groups / merged);
    ++*context->changes;
    return NULL;
}

static Status run(PassContext *context)
{
    for (Node *node = context->model->graph->first; node != NULL; node = node->next) {
        int64_t merged = quant_fate(context->plan, node) == FATE_INTEGER ? quant_groups_merged(context->target, node) : 1;
        if (merged > 1)
            TRY(widen(context, node, merged));
    }
    return NULL;
}

const Pass pass_quantize_merge_groups = {
    .name = "quantize_merge_groups",
    .stage = PASS_QUANTIZE,
    .summary = "gives integer convolutions of many small groups fewer, wider ones",
    .run = run,
};
