/* clone.c - a second model of the same graph, to try a rewrite on: links of its own, constants and texts shared.
 *
 *     model ─ values 0..n, nodes 0..m        clone ─ values 0..n, nodes 0..m      the same ids: side tables fit both
 *                 └ constant (Tensor) <───────────────────┘
 */
#include "src/ir/ir.h"

typedef struct Cloner {
    Model *to;
    Value **values; /* by id: of the clone */
} Cloner;

static void clone_graph(Cloner *cloner, const Graph *from, Graph *to);

static Value *clone_value(Cloner *cloner, Graph *graph, const Value *from)
{
    cloner->to->n_ids = from->id; /* what the next value gets */
    Value *to = graph_value(graph, from->name);
    to->type = from->type;
    to->content = from->content == NULL ? NULL
                                        : arena_copy(cloner->to->arena, from->content, (size_t)from->n_content * sizeof(Dim));
    to->n_content = from->n_content;
    to->origin = from->origin;
    to->tensor_origin = from->tensor_origin;
    cloner->values[from->id] = to;
    return to;
}

static void clone_attr(Cloner *cloner, const Attr *from, Node *node)
{
    Attr *to = node_add_attr(node, from->name, from->kind);
    Graph *const *graphs = NULL;
    int64_t n = attr_graphs(from, &graphs);
    Attr copy = *from;
    if (from->kind == ATTR_GRAPH)
        copy.g = graph_new(cloner->to, graphs[0]->name, node);
    else if (from->kind == ATTR_GRAPHS)
        copy.graphs = arena_array(cloner->to->arena, (size_t)n, sizeof copy.graphs[0]);
    for (int64_t i = 0; from->kind == ATTR_GRAPHS && i < n; i++)
        copy.graphs[i] = graph_new(cloner->to, graphs[i]->name, node);
    *to = copy;
    Graph *const *clones = NULL;
    (void)attr_graphs(&copy, &clones);
    for (int64_t i = 0; i < n; i++)
        clone_graph(cloner, graphs[i], clones[i]);
}

static void clone_node(Cloner *cloner, const Node *from, Graph *graph)
{
    Arena *arena = cloner->to->arena;
    Value **in = arena_array(arena, (size_t)from->n_in, sizeof in[0]);
    Value **out = arena_array(arena, (size_t)from->n_out, sizeof out[0]);
    for (int i = 0; i < from->n_in; i++)
        in[i] = from->in[i] == NULL ? NULL : cloner->values[from->in[i]->id];
    for (int i = 0; i < from->n_out; i++)
        out[i] = from->out[i] == NULL ? NULL : clone_value(cloner, graph, from->out[i]);
    cloner->to->n_node_ids = from->id;
    Node *to = graph_add_node(graph, NULL, from->op_type, from->domain, from->name, from->n_in, in, from->n_out, out);
    to->overload = from->overload;
    to->opset = from->opset;
    to->def = from->def;
    to->origin = from->origin;
    for (int i = 0; i < from->n_attrs; i++)
        clone_attr(cloner, &from->attrs[i], to);
}

static void clone_graph(Cloner *cloner, const Graph *from, Graph *to)
{
    to->origin = from->origin;
    for (int i = 0; i < from->n_inputs; i++)
        graph_add_input(to, clone_value(cloner, to, from->inputs[i]));
    for (int i = 0; i < from->n_initializers; i++) {
        const Value *value = from->initializers[i];
        Value *constant = value->is_input ? cloner->values[value->id] : clone_value(cloner, to, value);
        Type declared = constant->type;
        value_set_constant(constant, value->constant);
        constant->type = declared;
    }
    for (const Node *node = from->first; node != NULL; node = node->next)
        clone_node(cloner, node, to);
    for (int i = 0; i < from->n_outputs; i++)
        graph_add_output(to, cloner->values[from->outputs[i]->id]);
}

Model *model_clone(const Model *model)
{
    Model *clone = model_new();
    Cloner cloner = {.to = clone, .values = arena_array(clone->arena, model->n_ids, sizeof cloner.values[0])};
    clone->path = model->path;
    clone->ir_version = model->ir_version;
    for (int i = 0; i < model->n_opsets; i++)
        model_set_opset(clone, model->opsets[i].domain, model->opsets[i].version);
    clone->metadata = model->metadata;
    clone->n_metadata = model->n_metadata;
    clone->producer_name = model->producer_name;
    clone->producer_version = model->producer_version;
    clone->origin = model->origin;
    clone_graph(&cloner, model->graph, graph_new(clone, model->graph->name, NULL));
    clone->n_ids = model->n_ids;
    clone->n_node_ids = model->n_node_ids;
    clone->next_fresh = model->next_fresh;
    return clone;
}
