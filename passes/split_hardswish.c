/* split_hardswish.c - for targets that run the pieces in integers but not the whole, before ranges are measured.
 *
 *     x ─ HardSwish ─ y      ==>      x ─┬─ HardSigmoid (alpha 1/6, beta 1/2) ─┐
 *                                        └──────────────────────────────────── Mul ─ y
 *
 * Exact: HardSwish(x) = x * max(0, min(1, x / 6 + 1/2)) is its definition in ONNX.
 */
#include "passes/pass.h"
#include "src/ops/ops.h"

static Status split(PassContext *context, Node *node)
{
    Value *x = node->in[0], *gate = NULL, *y = NULL;
    Node *sigmoid = NULL, *mul = NULL;
    const char *name = node->name[0] != '\0' ? node->name : node->out[0]->name;
    Model *model = context->model;
    gate = graph_value(node->graph, model_fresh_name(model, arena_printf(model->arena, "%s_gate", name)));
    TRY(ops_add_node(node->graph, node, "HardSigmoid", "", gate->name, 1, &x, gate, &sigmoid));
    node_set_float(sigmoid, "alpha", 1.0f / 6.0f);
    node_set_float(sigmoid, "beta", 0.5f);
    y = graph_value(node->graph, model_fresh_name(model, arena_printf(model->arena, "%s_product", name)));
    TRY(ops_add_node(node->graph, node, "Mul", "", y->name, 2, (Value *[]){x, gate}, y, &mul));
    TRY(pass_replace_node(node, y));
    ++*context->changes;
    return NULL;
}

static Status visit(PassContext *context, Node *node)
{
    bool fits = node_is(node, "HardSwish") && node->out[0] != NULL;
    return fits ? split(context, node) : NULL;
}

static Status run(PassContext *context)
{
    if (!target_runs(context->target, "HardSigmoid") || target_runs(context->target, "HardSwish"))
        return NULL;
    return pass_each_outer(context, visit);
}

const Pass pass_split_hardswish = {
    .name = "split_hardswish",
    .stage = PASS_TARGET,
    .summary = "writes HardSwish as x * HardSigmoid(x), which the target runs in integers",
    .run = run,
};
