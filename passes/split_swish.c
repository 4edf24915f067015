/* split_swish.c - for targets that run the pieces in integers but not the whole, before ranges are measured.
 *
 *     x ─ Swish, alpha = a ─ y      ==>      x ─┬─ Mul a ─ Sigmoid ─┐         no Mul where a = 1
 *                                               └────────────────── Mul ─ y
 *
 * Exact: Swish(x) = x * Sigmoid(a x) is its definition in ONNX.
 */
#include "passes/pass.h"
#include "src/ops/ops.h"

static Status add_part(Node *swish, const char *op_type, const char *suffix, int n_in, Value *const *in, Value **ret)
{
    Model *model = swish->graph->model;
    Node *part;
    const char *base = swish->name[0] != '\0' ? swish->name : swish->out[0]->name;
    Value *out = graph_value(swish->graph, model_fresh_name(model, arena_printf(model->arena, "%s_%s", base, suffix)));
    TRY(ops_add_node(swish->graph, swish, op_type, "", out->name, n_in, in, out, &part));
    *ret = out;
    return NULL;
}

static Status split(PassContext *context, Node *node)
{
    Value *x = node->in[0], *gate = x;
    float alpha = node_float(node, "alpha", 1.0f);
    if (alpha != 1.0f)
        TRY(add_part(node, "Mul", "scaled", 2, (Value *[]){x, graph_add_float(node->graph, "alpha", alpha)}, &gate));
    TRY(add_part(node, "Sigmoid", "gate", 1, &gate, &gate));
    TRY(add_part(node, "Mul", "product", 2, (Value *[]){x, gate}, &gate));
    ++*context->changes;
    return pass_replace_node(node, gate);
}

static Status visit(PassContext *context, Node *node)
{
    bool fits = node_is(node, "Swish") && node->out[0] != NULL && value_is_float(node->out[0]);
    return fits ? split(context, node) : NULL;
}

static Status run(PassContext *context)
{
    if (!target_runs(context->target, "Sigmoid") || target_runs(context->target, "Swish"))
        return NULL;
    return pass_each_outer(context, visit);
}

const Pass pass_split_swish = {
    .name = "split_swish",
    .stage = PASS_TARGET,
    .summary = "writes Swish as x * Sigmoid(a x), which the target runs in integers",
    .run = run,
};
