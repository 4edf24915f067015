/* split_prelu.c - for targets whose PRelu is slow, before ranges are measured.
 *
 *     x ─ PRelu (slopes <= 1) ─ y      ==>      x ─┬─ Mul slopes ─┐
 *                                                  └───────────── Max ─ y
 *
 * Exact: with s <= 1, s x <= x where x >= 0 and s x >= x where x < 0. ONNX Runtime's PRelu branches on every element (3.7 ns on
 * mixed signs, 0.3 for Mul and Max).
 */
#include "passes/pass.h"
#include "src/ops/ops.h"

static bool all_at_most_one(const Tensor *slopes)
{
    if (slopes == NULL || slopes->dtype != DT_FLOAT)
        return false;
    for (int64_t i = 0; i < slopes->count; i++)
        if (!(((const float *)slopes->data)[i] <= 1.0f))
            return false;
    return true;
}

static Status split(PassContext *context, Node *node)
{
    Value *x = node->in[0];
    const char *name = node->name[0] != '\0' ? node->name : node->out[0]->name;
    Model *model = context->model;
    Value *scaled = graph_value(node->graph, model_fresh_name(model, arena_printf(model->arena, "%s_scaled", name)));
    TRY(ops_add_node(node->graph, node, "Mul", "", scaled->name, 2, (Value *[]){x, node->in[1]}, scaled, NULL));
    Value *y = graph_value(node->graph, model_fresh_name(model, arena_printf(model->arena, "%s_greater", name)));
    TRY(ops_add_node(node->graph, node, "Max", "", y->name, 2, (Value *[]){x, scaled}, y, NULL));
    TRY(pass_replace_node(node, y));
    ++*context->changes;
    return NULL;
}

static Status visit(PassContext *context, Node *node)
{
    bool fits = node_is(node, "PRelu") && node->out[0] != NULL && value_is_float(node->in[0]) &&
                all_at_most_one(pass_constant(node, 1));
    return fits ? split(context, node) : NULL;
}

static Status run(PassContext *context)
{
    if (!context->target->slow_prelu)
        return NULL;
    return pass_each_outer(context, visit);
}

const Pass pass_split_prelu = {
    .name = "split_prelu",
    .stage = PASS_TARGET,
    .summary = "writes PRelu with slopes up to 1 as Max(x, slope x), where that is faster",
    .run = run,
};
