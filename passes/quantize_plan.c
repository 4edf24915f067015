/* quantize_plan.c - the QuantPlan: side tables by id, so that passes need not touch the graph to talk to each other. */
#include "passes/quantize.h"

#include <stdlib.h>

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
