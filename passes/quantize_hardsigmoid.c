/* quantize_hardsigmoid.c - HardSigmoid as one integer addition.
 *
 *     HardSigmoid(x) = max(0, min(1, alpha x + beta))
 *
 *     x_q ─ DQ (s) ─ HardSigmoid ─ Q (1/255, 0)      ==>      x_q ─ DQ (alpha s) ─ Add beta ─ Q (1/255, 0)
 *
 * The same integers read with the scale alpha s are alpha x, exactly; Q saturates at 0 and 1. quantize_activations makes the
 * second DQ from the factor left in the node's decision, quantize_weights the constant.
 */
#include "passes/pass.h"
#include "passes/quantize.h"
#include "src/ops/ops.h"

static Status run(PassContext *context)
{
    for (Node *node = context->model->graph->first; node != NULL; node = node->next) {
        if (!node_is(node, "HardSigmoid") || quant_fate(context->plan, node) != FATE_INTEGER)
            continue;
        context->plan->nodes[node->id].rescale = node_float(node, "alpha", 0.2f);
        Value *beta = graph_add_float(node->graph, "hardsigmoid_beta", node_float(node, "beta", 0.5f));
        node_remove_attr(node, "alpha");
        node_remove_attr(node, "beta");
        node->op_type = "Add";
        node_set_input(node, 1, beta);
        ops_bind_node(node);
        ++*context->changes;
    }
    return NULL;
}

const Pass pass_quantize_hardsigmoid = {
    .name = "quantize_hardsigmoid",
    .stage = PASS_QUANTIZE,
    .summary = "turns HardSigmoid into an addition of integers",
    .run = run,
};
