/* view.c - what of a model can be judged element by element.
 *
 *     ... ─ Conv ─ scores ─┬─ TopK ─ Gather ─ boxes (output)          judged: scores, deltas
 *           Conv ─ deltas ─┴─ NonMaxSuppression ─┘
 */
#include "src/app/search.h"
#include "src/ops/ops.h"

#include <stdlib.h>
#include <string.h>

#define VIEW_MOST 32

/* Ops whose result jumps when an input moves a little: an order, a choice, a count. */
static bool selects(const Node *node)
{
    static const char *const ops[] = {"TopK", "NonMaxSuppression", "NonZero", "ArgMax", "ArgMin", "Unique", "Compress"};
    for (size_t i = 0; i < COUNT_OF(ops); i++)
        if (strcmp(node->op_type, ops[i]) == 0)
            return true;
    return false;
}

static void find_selection(void *context, Graph *graph)
{
    bool *found = context;
    for (const Node *node = graph->first; node != NULL && !*found; node = node->next)
        *found = selects(node);
}

/* In the node or in a graph inside it. */
static bool holds_selection(const Node *node)
{
    bool found = selects(node);
    for (int i = 0; i < node->n_attrs && !found; i++)
        if (node->attrs[i].kind == ATTR_GRAPH)
            graph_each(node->attrs[i].g, find_selection, &found);
    return found;
}

/* By value id. */
typedef struct Marks {
    bool *jumps;    /* behind a selection */
    bool *measured; /* behind a weighted op */
    bool *listed;
} Marks;

static void mark(const Marks *marks, const Node *node)
{
    bool jumps = holds_selection(node), measured = op_is_weighted(node);
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] != NULL) {
            jumps = jumps || marks->jumps[node->in[i]->id];
            measured = measured || marks->measured[node->in[i]->id];
        }
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] != NULL) {
            marks->jumps[node->out[i]->id] = jumps;
            marks->measured[node->out[i]->id] = measured;
        }
}

static void list(View *view, const Marks *marks, const Value *value)
{
    if (value == NULL || value->constant != NULL || value->producer == NULL || !value_is_float(value) ||
        marks->jumps[value->id] || !marks->measured[value->id] || marks->listed[value->id] || view->n == VIEW_MOST)
        return;
    marks->listed[value->id] = true;
    view->names[view->n++] = value->name;
}

static bool any_output_jumps(const Graph *graph, const Marks *marks)
{
    for (int i = 0; i < graph->n_outputs; i++)
        if (marks->jumps[graph->outputs[i]->id])
            return true;
    return false;
}

View view_of(const Model *model, Arena *arena)
{
    const Graph *graph = model->graph;
    View view = {arena_array(arena, VIEW_MOST, sizeof view.names[0]), 0};
    Marks marks = {xcalloc(MAX(model->n_ids, 1), 1), xcalloc(MAX(model->n_ids, 1), 1), xcalloc(MAX(model->n_ids, 1), 1)};
    for (const Node *node = graph->first; node != NULL; node = node->next)
        mark(&marks, node);
    if (any_output_jumps(graph, &marks)) {
        for (const Node *node = graph->first; node != NULL; node = node->next)
            for (int i = 0; i < node->n_in && node->n_out > 0 && node->out[0] != NULL && marks.jumps[node->out[0]->id]; i++)
                list(&view, &marks, node->in[i]);
        for (int i = 0; i < graph->n_outputs; i++)
            list(&view, &marks, graph->outputs[i]);
    }
    free(marks.jumps);
    free(marks.measured);
    free(marks.listed);
    return view;
}

/* What its readers see of a value: behind its Q and DQ where only integers are made of it. */
static Value *as_read(Value *value, const ValueDecision *decision)
{
    if (decision == NULL || !decision->quantized || !decision->by_integer)
        return value;
    for (size_t i = 0; i < value->n_uses; i++) {
        const Node *quantize = value->uses[i].node;
        if (!node_is(quantize, "QuantizeLinear"))
            continue;
        for (size_t k = 0; k < quantize->out[0]->n_uses; k++)
            if (node_is(quantize->out[0]->uses[k].node, "DequantizeLinear"))
                return quantize->out[0]->uses[k].node->out[0];
    }
    return value;
}

static const char *name_then(const Value *value, const QuantPlan *decisions)
{
    const ValueDecision *decision = decisions == NULL ? NULL : quant_value_decision(decisions, value);
    return decision == NULL || decision->name == NULL ? value->name : decision->name;
}

void view_apply(const View *view, Model *model, const QuantPlan *decisions)
{
    Graph *graph = model->graph;
    Map *values = map_new(); /* name in the float model -> value here */
    if (view->n > 0)
        graph_clear_outputs(graph);
    for (Node *node = graph->first; node != NULL && view->n > 0; node = node->next)
        for (int i = 0; i < node->n_out; i++)
            if (node->out[i] != NULL)
                map_put(values, name_then(node->out[i], decisions), node->out[i]);
    for (size_t i = 0; i < view->n; i++) {
        Value *value = map_get(values, view->names[i]);
        if (value == NULL) /* rewritten away: something of another shape counts as wrong */
            value = graph->last->out[0];
        graph_add_output(graph, as_read(value, decisions == NULL ? NULL : quant_value_decision(decisions, value)));
    }
    map_free(values);
}
