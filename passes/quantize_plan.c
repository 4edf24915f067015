/* quantize_plan.c - the QuantPlan: side tables by id, so that passes need not touch the graph to talk to each other. */
#include "passes/quantize.h"

#include <stdlib.h>
#include <string.h>

QuantPlan *quant_plan_new(const Model *model)
{
    QuantPlan *plan = xcalloc(1, sizeof *plan);
    plan->arena = arena_new();
    plan->n_nodes = model->n_node_ids;
    plan->n_values = model->n_ids;
    plan->nodes = arena_array(plan->arena, plan->n_nodes, sizeof plan->nodes[0]);
    plan->values = arena_array(plan->arena, plan->n_values, sizeof plan->values[0]);
    return plan;
}

/* Rows for `wanted` ids, and a quarter more, so that many new nodes do not cost their square. */
static void *grow_rows(Arena *arena, const void *rows, uint32_t *n, uint32_t wanted, size_t size)
{
    uint32_t more = wanted + wanted / 4;
    void *grown = arena_array(arena, more, size);
    memcpy(grown, rows, *n * size);
    *n = more;
    return grown;
}

void quant_plan_grow(QuantPlan *plan, const Model *model)
{
    if (model->n_node_ids > plan->n_nodes)
        plan->nodes = grow_rows(plan->arena, plan->nodes, &plan->n_nodes, model->n_node_ids, sizeof plan->nodes[0]);
    if (model->n_ids > plan->n_values)
        plan->values = grow_rows(plan->arena, plan->values, &plan->n_values, model->n_ids, sizeof plan->values[0]);
}

void quant_plan_free(QuantPlan *plan)
{
    if (plan == NULL)
        return;
    arena_free(plan->arena);
    free(plan);
}

NodeFate quant_fate(const QuantPlan *plan, const Node *node)
{
    return node->id < plan->n_nodes ? plan->nodes[node->id].fate : FATE_FLOAT;
}

ValueDecision *quant_value_decision(const QuantPlan *plan, const Value *value)
{
    return value->id < plan->n_values ? &plan->values[value->id] : NULL;
}
