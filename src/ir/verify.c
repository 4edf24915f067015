/* verify.c - checks every invariant of a model's graphs; run after each pass in debug builds.
 *
 * One walk in node order, inner graphs where their node stands. A value is defined from the start of its graph (inputs
 * and initializers) or once its producer was passed, so order and scope are one question: is it defined yet, and does
 * its graph hold the reader? Linear in nodes and edges.
 */
#include "src/ir/ahead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Verify {
    const Model *model;
    const Value **values; /* by id: defined so far; NULL: not yet */
    const Node **nodes;   /* by id: seen so far */
    int *listed;          /* by value id: times met in graph->outputs */
    bool *named;          /* by value id: the model's table of names leads to it */
    size_t n_uses;        /* inputs of nodes that were met and name a value */
} Verify;

static Status graph_error(const Graph *graph, const char *format, ...) PRINTF_LIKE(2, 3);

static Status graph_error(const Graph *graph, const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return status_new(CODE_MODEL, "graph '%s': %s", graph->name, message);
}

static bool holds(const Graph *graph, const Graph *inner)
{
    while (inner != NULL && inner != graph)
        inner = inner->owner != NULL ? inner->owner->graph : NULL;
    return inner != NULL;
}

static bool is_defined(const Verify *verify, const Value *value)
{
    return value->id < verify->model->n_ids && verify->values[value->id] == value;
}

/* Notes the values that the model's table of names leads to by their names: read once from end to end, which is faster than a
 * search for each value. */
static void read_names(Verify *verify)
{
    size_t at = 0;
    const Model *model = verify->model;
    for (const MapEntry *entry; (entry = map_next(model->names, &at)) != NULL;) {
        const Value *value = entry->value;
        if (value != NULL && value->id < model->n_ids && (value->name == entry->key || strcmp(value->name, entry->key) == 0))
            verify->named[value->id] = true;
    }
}

/* Unique in the graph. The model's table leads to the first value of a name, so the graph's own map, which costs a search in
 * memory for each value, is left to names that sibling graphs share. */
static Status check_name(const Verify *verify, const Graph *graph, Map *names, const Value *value)
{
    if (verify->named[value->id])
        return NULL;
    const Value *first = map_get(verify->model->names, value->name);
    if (first == value)
        return NULL;
    if (first == NULL && !map_has(verify->model->names, value->name))
        return graph_error(graph, "value '%s' is missing in the model's table of names", value->name);
    MapEntry *entry = map_entry(names, value->name);
    if ((first != NULL && first->graph == graph) || (entry->value != NULL && entry->value != value))
        return graph_error(graph, "two values are named '%s'", value->name);
    entry->value = (void *)(uintptr_t)value;
    return NULL;
}

/* A value comes into being: as input, initializer or output of a node. */
static Status define(Verify *verify, const Graph *graph, Map *names, const Value *value)
{
    if (value->graph != graph)
        return graph_error(graph, "value '%s' belongs to another graph or was removed", value->name);
    if (value->id >= verify->model->n_ids || (verify->values[value->id] != NULL && verify->values[value->id] != value))
        return graph_error(graph, "value '%s' has the id %u of another one", value->name, value->id);
    if (*value->name == '\0')
        return graph_error(graph, "value %u has no name", value->id);
    TRY(check_name(verify, graph, names, value));
    verify->values[value->id] = value;
    return NULL;
}

static Status check_constant(const Graph *graph, const Value *value, int slot)
{
    const Tensor *tensor = value->constant;
    int64_t count;
    size_t bytes;
    if (tensor == NULL || value->producer != NULL || value->initializer_slot != slot)
        return graph_error(graph, "initializer '%s' %s", value->name,
                           tensor == NULL             ? "has no tensor"
                           : value->producer != NULL ? "is the output of a node, too"
                                                      : "does not know its place");
    TRY(status_prefix(tensor_measure(tensor->dtype, tensor->rank, tensor->dims, &count, &bytes),
                      "graph '%s': initializer '%s'", graph->name, value->name));
    if (count != tensor->count || bytes != tensor->bytes || tensor->data == NULL)
        return graph_error(graph, "initializer '%s': size and dimensions do not match", value->name);
    if (value->type.kind != TYPE_TENSOR || value->type.dtype != tensor->dtype)
        return graph_error(graph, "initializer '%s' of type %s has a tensor of type %s", value->name,
                           dtype_name(value->type.dtype), dtype_name(tensor->dtype));
    return NULL;
}

static Status check_starts(Verify *verify, const Graph *graph, Map *names)
{
    for (int i = 0; i < graph->n_inputs; i++) {
        const Value *value = graph->inputs[i];
        if (value->producer != NULL || !value->is_input)
            return graph_error(graph, "input '%s' %s", value->name,
                               value->producer != NULL ? "is the output of a node, too"
                                                       : "does not know that it is one");
        if (is_defined(verify, value))
            return graph_error(graph, "two inputs are named '%s'", value->name);
        TRY(define(verify, graph, names, value));
    }
    for (int i = 0; i < graph->n_initializers; i++) {
        const Value *value = graph->initializers[i];
        TRY(check_constant(graph, value, i));
        if (value->is_input != is_defined(verify, value))
            return graph_error(graph, "initializer '%s' does not know whether it is an input", value->name);
        TRY(define(verify, graph, names, value));
    }
    return NULL;
}

static Status check_inputs(Verify *verify, const Node *node)
{
    for (int i = 0; i < node->n_in; i++) {
        const Value *value = node->in[i];
        if (value == NULL)
            continue;
        size_t slot = node_slots(node)[i];
        if (value->graph == NULL || !holds(value->graph, node->graph))
            return node_error(node, CODE_MODEL, "input %d, value '%s', was removed or is out of scope", i, value->name);
        if (slot >= value->n_uses || value->uses[slot].node != node || value->uses[slot].input != i)
            return node_error(node, CODE_MODEL, "input %d is missing in the uses of value '%s'", i, value->name);
        if (value->id >= verify->model->n_ids || verify->values[value->id] != value)
            return node_error(node, CODE_MODEL, "reads value '%s' before it is computed, or nothing computes it",
                              value->name);
        verify->n_uses++;
    }
    return NULL;
}

static Status check_outputs(Verify *verify, const Node *node, Map *names)
{
    for (int i = 0; i < node->n_out; i++) {
        const Value *value = node->out[i];
        if (value == NULL)
            continue;
        if (value->producer != node || value->producer_output != i)
            return node_error(node, CODE_MODEL, "output %d, value '%s', has another producer", i, value->name);
        if (value->is_input || value->constant != NULL)
            return node_error(node, CODE_MODEL, "output '%s' is an input or initializer, too", value->name);
        TRY(define(verify, node->graph, names, value));
    }
    return NULL;
}

static Status check_graph(Verify *verify, const Graph *graph);

static Status check_node(Verify *verify, const Node *node, Map *names)
{
    if (node->id >= verify->model->n_node_ids || verify->nodes[node->id] != NULL)
        return node_error(node, CODE_MODEL, "has the id %u of another node", node->id);
    verify->nodes[node->id] = node;
    TRY(check_inputs(verify, node));
    for (int i = 0; i < node_graph_attrs(node); i++) {
        Graph *const *inner;
        int64_t n = attr_graphs(&node->attrs[i], &inner);
        for (int64_t k = 0; k < n; k++) {
            if (inner[k]->owner != node)
                return node_error(node, CODE_MODEL, "attribute '%s' holds a graph of another node",
                                  node->attrs[i].name);
            TRY(check_graph(verify, inner[k]));
        }
    }
    return check_outputs(verify, node, names);
}

static Status check_nodes(Verify *verify, const Graph *graph, Map *names)
{
    int n = 0;
    const Node *prev = NULL;
    Ahead ahead = ahead_of(graph);
    for (const Node *node = graph->first; node != NULL; prev = node, node = node->next, n++) {
        ahead_step(&ahead);
        if (node->graph != graph || node->prev != prev || n >= graph->n_nodes)
            return graph_error(graph, "the list of nodes is broken at number %d", n);
        TRY(check_node(verify, node, names));
    }
    if (n != graph->n_nodes || graph->last != prev)
        return graph_error(graph, "the list of nodes has %d, counted are %d", n, graph->n_nodes);
    return NULL;
}

static Status check_results(Verify *verify, const Graph *graph)
{
    for (int i = 0; i < graph->n_outputs; i++) {
        const Value *value = graph->outputs[i];
        if (value->graph == NULL || !holds(value->graph, graph) || value->id >= verify->model->n_ids ||
            verify->values[value->id] != value)
            return graph_error(graph, "nothing computes the output '%s'", value->name);
        verify->listed[value->id]++;
    }
    return NULL;
}

static Status check_graph(Verify *verify, const Graph *graph)
{
    if (graph->model != verify->model)
        return graph_error(graph, "belongs to another model");
    Map *names = map_new();
    Status status = check_starts(verify, graph, names);
    if (status == NULL)
        status = check_nodes(verify, graph, names);
    if (status == NULL)
        status = check_results(verify, graph);
    map_free(names);
    return status;
}

/* What only shows when all graphs were seen: each use of a value is one of those met, and so are its output roles. */
static Status check_values(const Verify *verify)
{
    size_t n_uses = 0;
    for (uint32_t id = 0; id < verify->model->n_ids; id++) {
        const Value *value = verify->values[id];
        if (value == NULL)
            continue;
        n_uses += value->n_uses;
        if (value->n_outputs != verify->listed[id])
            return graph_error(value->graph, "value '%s' counts as %d graph outputs, listed are %d", value->name,
                               value->n_outputs, verify->listed[id]);
    }
    if (n_uses != verify->n_uses)
        return graph_error(verify->model->graph, "values have %zu uses, nodes read %zu: a removed node still reads",
                           n_uses, verify->n_uses);
    return NULL;
}

Status model_verify(const Model *model)
{
    if (model->graph == NULL)
        return status_new(CODE_MODEL, "the model has no graph");
    Verify verify = {.model = model};
    verify.values = xcalloc((size_t)model->n_ids + 1, sizeof *verify.values);
    verify.nodes = xcalloc((size_t)model->n_node_ids + 1, sizeof *verify.nodes);
    verify.named = xcalloc((size_t)model->n_ids + 1, sizeof *verify.named);
    verify.listed = xcalloc((size_t)model->n_ids + 1, sizeof *verify.listed);
    read_names(&verify);
    Status status = check_graph(&verify, model->graph);
    if (status == NULL)
        status = check_values(&verify);
    free(verify.values);
    free(verify.nodes);
    free(verify.listed);
    free(verify.named);
    return status;
}
