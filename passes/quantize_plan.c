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

/* In steps, so that many new nodes do not cost their square. */
void quant_plan_grow(QuantPlan *plan, const Model *model)
{
    if (model->n_node_ids > plan->n_nodes) {
        uint32_t n = model->n_node_ids + model->n_node_ids / 4;
        NodeDecision *nodes = arena_array(plan->arena, n, sizeof nodes[0]);
        memcpy(nodes, plan->nodes, plan->n_nodes * sizeof nodes[0]);
        plan->nodes = nodes;
        plan->n_nodes = n;
    }
    if (model->n_ids > plan->n_values) {
        uint32_t n = model->n_ids + model->n_ids / 4;
        ValueDecision *values = arena_array(plan->arena, n, sizeof values[0]);
        memcpy(values, plan->values, plan->n_values * sizeof values[0]);
        plan->values = values;
        plan->n_values = n;
    }
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
