/* quantize_absorb.c - takes out the Relu and Clip that the Q in front of them does by saturating.
 *
 *     Conv ─ v ─ Relu ─ r ─ (Q)        ==>        Conv ─ v ─ (Q with the scale of r, least q = 0.0)
 */
#include "passes/pass.h"
#include "passes/quantize.h"

static Status run(PassContext *context)
{
    for (Node *node = context->model->graph->first, *next; node != NULL; node = next) {
        next = node->next;
        if (quant_fate(context->plan, node) != FATE_ABSORBED)
            continue;
        Value *before = node->in[0];
        ValueDecision *after = quant_value_decision(context->plan, node->out[0]);
        *quant_value_decision(context->plan, before) = *after;
        after->quantized = false; /* one value, one row; it still keeps the scale for those that share it */
        TRY(pass_replace_node(node, before));
        ++*context->changes;
    }
    return NULL;
}

const Pass pass_quantize_absorb = {
    .name = "quantize_absorb",
    .stage = PASS_QUANTIZE,
    .summary = "removes the Relu and Clip whose work the following quantization does",
    .run = run,
};
