/* quantize_open_products.c - products that only float ops read, or who runs the model, give floats at once.
 *
 *     DQ, DQ ─ MatMul ─ Q ─ DQ ─ Add bias ─ Gelu       ==>      DQ, DQ ─ MatMul ─ Sum bias ─ Gelu
 *              QLinearMatMul                                             MatMulIntegerToFloat
 *
 *     DQ, DQ, DQ bias ─ Gemm ─ Q ─ DQ ─ y              ==>      DQ, DQ, DQ bias ─ Gemm ─ y
 *
 * The runtime's product is as fast either way (within 3 %), the Q and the DQ go, and with them their rounding. A Softmax behind
 * it keeps its float kernel, which is nine times as fast as QLinearSoftmax. The bias is added by Sum: an Add would first be joined
 * with the MatMul into a Gemm, which has no such form and runs in float.
 */
#include "passes/pass.h"
#include "passes/quantize.h"
#include "src/ops/ops.h"

static bool read_by_floats(const QuantPlan *plan, const Value *value)
{
    for (size_t i = 0; i < value->n_uses; i++)
        if (quant_fate(plan, value->uses[i].node) != FATE_FLOAT)
            return false;
    return true;
}

static Status sum_for_add(Node *add)
{
    Model *model = add->graph->model;
    Value *sum = graph_value(add->graph, model_fresh_name(model, arena_printf(model->arena, "%s_sum", add->out[0]->name)));
    TRY(ops_add_node(add->graph, add, "Sum", "", add->name[0] != '\0' ? add->name : sum->name, add->n_in, add->in, sum, NULL));
    return pass_replace_node(add, sum);
}

static Status open_product(PassContext *context, Node *node)
{
    Value *product = node->out[0];
    ValueDecision *decision = quant_value_decision(context->plan, product);
    *decision = (ValueDecision){0};
    context->plan->nodes[node->id].runs_as = node_is(node, "Gemm") ? "QGemm" : "MatMulIntegerToFloat";
    for (size_t i = product->n_uses; i-- > 0;)
        if (node_is(node, "MatMul") && node_is(product->uses[i].node, "Add"))
            TRY(sum_for_add(product->uses[i].node));
    ++*context->changes;
    return NULL;
}

static Status run(PassContext *context)
{
    if (!context->target->open_products)
        return NULL;
    for (Node *node = context->model->graph->first; node != NULL; node = node->next)
        if ((node_is(node, "MatMul") || node_is(node, "Gemm")) && quant_fate(context->plan, node) == FATE_INTEGER &&
            quant_value_decision(context->plan, node->out[0]) != NULL && read_by_floats(context->plan, node->out[0]))
            TRY(open_product(context, node));
    return NULL;
}

const Pass pass_quantize_open_products = {
    .name = "quantize_open_products",
    .stage = PASS_QUANTIZE,
    .summary = "leaves out the Q behind a MatMul or Gemm that only float ops read",
    .run = run,
};
