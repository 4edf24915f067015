/* graph.c - making models, graphs and values, and asking them: names, attributes, constants. Links are edit.c's. */
#include "src/ir/ir.h"
#include "src/ir/list.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- model ------------------------------------------------------------------------------------------------------- */

Model *model_new(void)
{
    Arena *arena = arena_new();
    Model *model = arena_alloc(arena, sizeof *model);
    model->arena = arena;
    model->path = model->producer_name = model->producer_version = "";
    model->names = map_new();
    model->words = map_new();
    return model;
}

void model_free(Model *model)
{
    if (model == NULL)
        return;
    map_free(model->names);
    map_free(model->words);
    arena_free(model->arena);
}

/* "ai.onnx" is the long name of the default domain. */
static bool same_domain(const char *a, const char *b)
{
    a = strcmp(a, "ai.onnx") == 0 ? "" : a;
    b = strcmp(b, "ai.onnx") == 0 ? "" : b;
    return strcmp(a, b) == 0;
}

int model_opset(const Model *model, const char *domain)
{
    for (int i = 0; i < model->n_opsets; i++)
        if (same_domain(model->opsets[i].domain, domain))
            return model->opsets[i].version > INT32_MAX ? INT32_MAX : (int)MAX(model->opsets[i].version, 0);
    return 0;
}

void model_set_opset(Model *model, const char *domain, int64_t version)
{
    for (int i = 0; i < model->n_opsets; i++) {
        if (same_domain(model->opsets[i].domain, domain)) {
            model->opsets[i].version = version;
            return;
        }
    }
    size_t n = (size_t)model->n_opsets; /* a handful */
    model->opsets = list_grow(model->arena, model->opsets, n, n + 1, sizeof *model->opsets);
    model->opsets[n].domain = arena_strdup(model->arena, same_domain(domain, "") ? "" : domain);
    model->opsets[n].version = version;
    model->n_opsets++;
}

const char *model_metadata(const Model *model, const char *key)
{
    for (int i = 0; i < model->n_metadata; i++)
        if (strcmp(model->metadata[i].key, key) == 0)
            return model->metadata[i].value;
    return NULL;
}

const char *model_word(Model *model, const char *text)
{
    size_t known = map_count(model->words);
    MapEntry *entry = map_entry(model->words, text);
    if (map_count(model->words) != known)
        entry->key = arena_strdup(model->arena, text);
    return entry->key;
}

const char *model_fresh_name(Model *model, const char *base)
{
    const char *name = *base == '\0' ? "value" : base;
    char *fresh = arena_strdup(model->arena, name);
    MapEntry *entry = map_entry(model->names, fresh);
    /* The counter is the model's and never goes back: each number is tried once, whatever the names in the file. */
    while (entry->key != fresh) {
        fresh = arena_printf(model->arena, "%s_%u", name, ++model->next_fresh);
        entry = map_entry(model->names, fresh);
    }
    return fresh;
}

/* ---- graph and values -------------------------------------------------------------------------------------------- */

Graph *graph_new(Model *model, const char *name, Node *owner)
{
    Graph *graph = arena_alloc(model->arena, sizeof *graph);
    graph->name = arena_strdup(model->arena, name);
    graph->model = model;
    graph->owner = owner;
    if (owner == NULL && model->graph == NULL)
        model->graph = graph;
    return graph;
}

/* `kept`: the name is in the arena, or lives as long. */
static Value *add_value(Graph *graph, const char *name, bool kept)
{
    Model *model = graph->model;
    assert(name != NULL && *name != '\0');
    Value *value = slab_take(model->arena, &model->value_slab, sizeof *value);
    size_t known = map_count(model->names);
    MapEntry *entry = map_entry(model->names, name);
    Value *first = entry->value;
    bool reserved = map_count(model->names) == known && entry->key == name; /* by model_fresh_name(): in the arena already */
    value->name = reserved || kept ? name : arena_strdup(model->arena, name);
    value->id = model->n_ids++;
    value->graph = graph;
    if (first == NULL)
        *entry = (MapEntry){value->name, value};
    else
        first->shares_name = value->shares_name = true;
    return value;
}

Value *graph_value(Graph *graph, const char *name)
{
    return add_value(graph, name, false);
}

Value *graph_value_named(Graph *graph, const char *name)
{
    return add_value(graph, name, true);
}

Value *graph_add_constant(Graph *graph, const char *name, Tensor *tensor)
{
    Value *value = graph_value(graph, name);
    value_set_constant(value, tensor);
    return value;
}

Value *graph_add_scalar(Graph *graph, const char *base, DType dtype, double value)
{
    Model *model = graph->model;
    return graph_add_constant(graph, model_fresh_name(model, base), tensor_new_scalar(model->arena, dtype, value));
}

Value *graph_add_float(Graph *graph, const char *base, float value)
{
    return graph_add_scalar(graph, base, DT_FLOAT, (double)value);
}

Value *graph_add_ints(Graph *graph, const char *base, int64_t n, const int64_t *values)
{
    Model *model = graph->model;
    return graph_add_constant(graph, model_fresh_name(model, base), tensor_new_ints(model->arena, 1, &n, values));
}

void graph_each(Graph *graph, void (*visit)(void *context, Graph *graph), void *context)
{
    visit(context, graph);
    for (Node *node = graph->first; node != NULL; node = node->next) {
        for (int i = 0; i < node_graph_attrs(node); i++) {
            Graph *const *inner;
            int64_t n = attr_graphs(&node->attrs[i], &inner);
            for (int64_t k = 0; k < n; k++)
                graph_each(inner[k], visit, context);
        }
    }
}

Node *value_only_user(const Value *value)
{
    return value->n_uses == 1 && value->n_outputs == 0 ? value->uses[0].node : NULL;
}

bool value_is_float(const Value *value)
{
    return value->type.kind == TYPE_TENSOR && value->type.dtype == DT_FLOAT;
}

/* ---- reading attributes ------------------------------------------------------------------------------------------ */

const Attr *node_attr(const Node *node, const char *name)
{
    for (int i = 0; i < node->n_attrs; i++)
        if (strcmp(node->attrs[i].name, name) == 0)
            return &node->attrs[i];
    return NULL;
}

static const Attr *attr_of_kind(const Node *node, const char *name, AttrKind kind)
{
    const Attr *attr = node_attr(node, name);
    return attr != NULL && attr->kind == kind ? attr : NULL;
}

int64_t node_int(const Node *node, const char *name, int64_t otherwise)
{
    const Attr *attr = attr_of_kind(node, name, ATTR_INT);
    return attr != NULL ? attr->i : otherwise;
}

float node_float(const Node *node, const char *name, float otherwise)
{
    const Attr *attr = attr_of_kind(node, name, ATTR_FLOAT);
    return attr != NULL ? attr->f : otherwise;
}

const char *node_string(const Node *node, const char *name, const char *otherwise)
{
    const Attr *attr = attr_of_kind(node, name, ATTR_STRING);
    return attr != NULL ? attr->s.data : otherwise;
}

const int64_t *node_ints(const Node *node, const char *name, int64_t *ret_n)
{
    const Attr *attr = attr_of_kind(node, name, ATTR_INTS);
    *ret_n = attr != NULL ? attr->n : 0;
    return attr != NULL ? attr->ints : NULL;
}

const float *node_floats(const Node *node, const char *name, int64_t *ret_n)
{
    const Attr *attr = attr_of_kind(node, name, ATTR_FLOATS);
    *ret_n = attr != NULL ? attr->n : 0;
    return attr != NULL ? attr->floats : NULL;
}

int64_t attr_graphs(const Attr *attr, Graph *const **ret_graphs)
{
    *ret_graphs = attr->kind == ATTR_GRAPHS ? attr->graphs : &attr->g;
    if (attr->kind == ATTR_GRAPH)
        return attr->g != NULL ? 1 : 0;
    return attr->kind == ATTR_GRAPHS ? attr->n : 0;
}

/* ---- writing attributes ------------------------------------------------------------------------------------------ */

/* Inner graphs read outer values: those uses go with the attribute. */
static void drop_graphs(const Attr *attr)
{
    Graph *const *inner;
    int64_t n = attr_graphs(attr, &inner);
    for (int64_t k = 0; k < n; k++)
        graph_drop(inner[k]);
}

Attr *node_add_attr(Node *node, const char *name, AttrKind kind)
{
    Arena *arena = node->graph->model->arena;
    int i = 0;
    while (i < node->n_attrs && strcmp(node->attrs[i].name, name) != 0)
        i++;
    if (i == node->n_attrs) {
        LIST_ROOM(arena, node->attrs, node->n_attrs, node->cap_attrs);
        node->n_attrs++;
        node->attrs[i] = (Attr){.name = model_word(node->graph->model, name)};
    } else {
        drop_graphs(&node->attrs[i]);
    }
    node->attrs[i] = (Attr){.name = node->attrs[i].name, .kind = kind};
    node->may_hold_graphs = node->may_hold_graphs || kind == ATTR_GRAPH || kind == ATTR_GRAPHS;
    return &node->attrs[i];
}

void node_set_int(Node *node, const char *name, int64_t value)
{
    node_add_attr(node, name, ATTR_INT)->i = value;
}

void node_set_ints(Node *node, const char *name, const int64_t *values, int64_t n)
{
    int64_t *copy = arena_array(node->graph->model->arena, (size_t)MAX(n, 1), sizeof *copy);
    if (n > 0)
        memcpy(copy, values, (size_t)n * sizeof *copy);
    Attr *attr = node_add_attr(node, name, ATTR_INTS);
    attr->n = n;
    attr->ints = copy;
}

void node_set_float(Node *node, const char *name, float value)
{
    node_add_attr(node, name, ATTR_FLOAT)->f = value;
}

void node_set_string(Node *node, const char *name, const char *value)
{
    TensorString copy = {arena_strdup(node->graph->model->arena, value), strlen(value)};
    node_add_attr(node, name, ATTR_STRING)->s = copy;
}

void node_set_tensor(Node *node, const char *name, Tensor *value)
{
    node_add_attr(node, name, ATTR_TENSOR)->t = value;
}

void node_remove_attr(Node *node, const char *name)
{
    for (int i = 0; i < node->n_attrs; i++) {
        if (strcmp(node->attrs[i].name, name) != 0)
            continue;
        drop_graphs(&node->attrs[i]);
        node->n_attrs--;
        memmove(&node->attrs[i], &node->attrs[i + 1], (size_t)(node->n_attrs - i) * sizeof node->attrs[i]);
        return;
    }
}

/* ---- asking nodes ------------------------------------------------------------------------------------------------ */

const Tensor *node_constant(const Node *node, int i)
{
    const Value *value = node_in(node, i);
    return value != NULL ? value->constant : NULL;
}

const char *node_describe(const Node *node)
{
    Arena *arena = node->graph->model->arena;
    const char *dot = *node->domain == '\0' ? "" : ".";
    if (*node->name != '\0')
        return arena_printf(arena, "node '%s' (%s%s%s)", node->name, node->domain, dot, node->op_type);
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] != NULL)
            return arena_printf(arena, "node with output '%s' (%s%s%s)", node->out[i]->name, node->domain, dot,
                                node->op_type);
    return arena_printf(arena, "node without outputs (%s%s%s)", node->domain, dot, node->op_type);
}

Status node_error(const Node *node, Code code, const char *format, ...)
{
    char message[1024]; /* longer ones are cut */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return status_new(code, "%s: %s", node_describe(node), message);
}
