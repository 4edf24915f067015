/* quantize_gates.c - HardSigmoid as one integer addition, Tanh as the table of Sigmoid.
 *
 *     HardSigmoid(x) = max(0, min(1, alpha x + beta))               Tanh(x) = 2 Sigmoid(2 x) - 1
 *
 *     x_q ─ DQ (s) ─ HardSigmoid ─ Q (1/255, 0)      ==>      x_q ─ DQ (alpha s) ─ Add beta ─ Q (1/255, 0)
 *     x_q ─ DQ (s) ─ Tanh ─ Q, DQ (1/128, 128)       ==>      x_q ─ DQ (2 s) ─ Sigmoid ─ Q (1/256, 0), DQ (1/128, 128)
 *
 * The same integers read with the scale alpha s are alpha x, exactly, and those of Sigmoid read with twice its scale and a zero
 * point 128 higher are 2 Sigmoid - 1. Q saturates at 0 and 1. quantize_activations makes the second DQ, and the Q of its own, from
 * what is left in the node's decision.
 */
#include "passes/pass.h"
#include "passes/quantize.h"
#include "src/ops/ops.h"

static void make_addition(Node *node, NodeDecision *decision)
{
    decision->rescale = node_float(node, "alpha", 0.2f);
    Value *beta = graph_add_float(node->graph, "hardsigmoid_beta", node_float(node, "beta", 0.5f));
    node_remove_attr(node, "alpha");
    node_remove_attr(node, "beta");
    node->op_type = "Add";
    node_set_input(node, 1, beta);
}

/* Its Q has half its DQ's scale, and a zero point 128 lower: (y + 1) / 2. */
static void make_table(Node *node, NodeDecision *decision, const QParams *read)
{
    decision->rescale = 2.0f;
    decision->written = (QParams){read->scale / 2.0f, read->zero_point - 128, read->dtype};
    node->op_type = "Sigmoid";
}

static Status run(PassContext *context)
{
    for (Node *node = context->model->graph->first; node != NULL; node = node->next) {
        bool hard = node_is(node, "HardSigmoid");
        if (quant_fate(context->plan, node) != FATE_INTEGER || !(hard || node_is(node, "Tanh")))
            continue;
        if (hard)
            make_addition(node, &context->plan->nodes[node->id]);
        else
            make_table(node, &context->plan->nodes[node->id], &quant_value_decision(context->plan, node->out[0])->params);
        ops_bind_node(node);
        ++*context->changes;
    }
    return NULL;
}

const Pass pass_quantize_gates = {
    .name = "quantize_gates",
    .stage = PASS_QUANTIZE,
    .summary = "turns HardSigmoid into an addition of integers, Tanh into the table of Sigmoid",
    .run = run,
};
