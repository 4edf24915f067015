/* load_graph.c - GraphProto -> Graph.
 *
 * Values first, in the order that decides whose name it is; then nodes find their inputs by name, in their own graph
 * and then in those around it:
 *
 *     inputs, initializers, outputs of all nodes -> inputs of nodes, attributes (inner graphs) -> graph outputs
 *
 * An initializer of a model before IR version 4 is listed as an input, too: one Value is both. What comes out of a
 * function gets fresh names (functions.c): their bodies know nothing of the names around the call.
 */
#include "src/onnx/proto.h"

#include <stdlib.h>
#include <string.h>

/* Has the scope itself the name? *ret: NULL for an input of a function that the call omits. */
static bool has(const Scope *scope, const char *name, Value **ret)
{
    *ret = map_get(scope->values, name);
    if (scope->main != NULL)
        return *ret != NULL && (*ret)->graph == scope->main;
    return *ret != NULL || map_has(scope->values, name);
}

static Value *value_in(const Scope *scope, const char *name)
{
    Value *value;
    return has(scope, name, &value) ? value : NULL;
}

static bool find(const Scope *scope, const char *name, Value **ret)
{
    while (scope != NULL && !has(scope, name, ret))
        scope = scope->outer;
    return scope != NULL;
}

const Call *scope_call(const Scope *scope)
{
    while (scope != NULL && scope->call == NULL)
        scope = scope->outer;
    return scope == NULL ? NULL : scope->call;
}

/* A name of a large graph is looked for in memory, not in the cache: a few nodes ahead, of a node's first names. */
enum { ASK_AHEAD = 4, ASK_MOST = 4 };

static void ask_for(const Scope *scope, size_t n, char *const *names)
{
    for (size_t i = 0; i < MIN(n, (size_t)ASK_MOST); i++)
        map_ask(scope->values, names[i]);
}

/* The file's name, or one that is free when it stands in a function or is handed to one. */
static MUST_USE Status name_in(Loader *loader, const Scope *scope, const char *name, const char **ret)
{
    Model *model = loader->model;
    const Call *call = scope_call(scope);
    *ret = name;
    if (loader->calls == 0)
        return NULL;
    TRY(inlined_charge(loader, strlen(name) + (call == NULL ? 0 : strlen(call->prefix))));
    *ret = model_fresh_name(model, call == NULL ? name : arena_printf(model->arena, "%s/%s", call->prefix, name));
    return NULL;
}

static MUST_USE Status add_value(Loader *loader, const Scope *scope, Graph *graph, const char *name, Value **ret)
{
    const char *own;
    TRY(name_in(loader, scope, name, &own));
    *ret = graph_value_named(graph, own); /* the message's or the arena's, which live as long as the model */
    if (scope->main == NULL)
        map_put(scope->values, name, *ret);
    return NULL;
}

/* Sizes of one name are equal in one graph; those of a function are other ones in each call. */
static MUST_USE Status read_type(Loader *loader, const Onnx__ValueInfoProto *info, Value *value)
{
    if (info->type != NULL)
        TRY(type_from_proto(loader->model->arena, info->type, &value->type));
    if (loader->calls == 0) {
        value->origin = info;
        return NULL;
    }
    for (Type *type = &value->type; type != NULL; type = type->element)
        for (int d = 0; d < type->shape.rank; d++)
            type->shape.dims[d].name = NULL;
    return NULL;
}

static const char *describe(Arena *arena, const Onnx__NodeProto *proto)
{
    if (proto_text(proto->name)[0] != '\0')
        return arena_printf(arena, "node '%s' (%s)", proto->name, proto_text(proto->op_type));
    return arena_printf(arena, "node with output '%s' (%s)", proto->n_output > 0 ? proto->output[0] : "",
                        proto_text(proto->op_type));
}

/* Whose name that of `value` is already. */
static const char *describe_owner(Arena *arena, const Value *value)
{
    if (value->producer != NULL)
        return arena_printf(arena, "an output of %s", node_describe(value->producer));
    if (value->is_input)
        return "an input of the graph";
    return value->constant != NULL ? "an initializer" : "another output of the node";
}

static MUST_USE Status add_inputs(Loader *loader, const Onnx__GraphProto *proto, Scope *scope, Graph *graph)
{
    for (size_t i = 0; i < proto->n_input; i++) {
        const Onnx__ValueInfoProto *info = proto->input[i];
        const char *name = proto_text(info->name);
        if (name[0] == '\0')
            return status_new(CODE_MODEL, "graph '%s': input %zu has no name", graph->name, i);
        Value *value;
        if (has(scope, name, &value))
            return status_new(CODE_MODEL, "graph '%s': input '%s' is listed twice", graph->name, name);
        TRY(add_value(loader, scope, graph, name, &value));
        TRY(status_prefix(read_type(loader, info, value), "input '%s'", name));
        graph_add_input(graph, value);
    }
    return NULL;
}

static MUST_USE Status add_initializer(Loader *loader, Scope *scope, Graph *graph, const char *name, Tensor *tensor,
                                       const void *origin)
{
    if (name[0] == '\0')
        return status_new(CODE_MODEL, "graph '%s': an initializer has no name", graph->name);
    Value *value = value_in(scope, name);
    if (value == NULL) {
        TRY(add_value(loader, scope, graph, name, &value));
        value_set_constant(value, tensor);
    } else if (value->constant != NULL) {
        return status_new(CODE_MODEL, "graph '%s': initializer '%s' is given twice", graph->name, name);
    } else {
        Type declared = value->type; /* who feeds the input may bring another size */
        value_set_constant(value, tensor);
        if (declared.kind == TYPE_TENSOR && declared.dtype != tensor->dtype)
            return status_new(CODE_MODEL, "graph '%s': initializer '%s' is %s, the input of that name %s", graph->name,
                              name, dtype_name(tensor->dtype), dtype_name(declared.dtype));
        if (declared.kind == TYPE_TENSOR)
            value->type = declared;
    }
    value->tensor_origin = origin;
    return NULL;
}

static MUST_USE Status add_initializers(Loader *loader, const Onnx__GraphProto *proto, Scope *scope, Graph *graph)
{
    Arena *arena = loader->model->arena;
    Tensor *tensor;
    for (size_t i = 0; i < proto->n_initializer; i++) {
        const Onnx__TensorProto *from = proto->initializer[i];
        TRY(tensor_from_proto(arena, from, loader->external, &tensor));
        TRY(add_initializer(loader, scope, graph, proto_text(from->name), tensor, from));
    }
    for (size_t i = 0; i < proto->n_sparse_initializer; i++) {
        const Onnx__SparseTensorProto *from = proto->sparse_initializer[i];
        TRY(tensor_from_sparse(arena, from, loader->external, &tensor));
        TRY(add_initializer(loader, scope, graph, proto_text(from->values->name), tensor, NULL));
    }
    return NULL;
}

static MUST_USE Status name_node(Loader *loader, const Scope *scope, const char *name, const char **ret)
{
    const char *prefix = scope_call(scope)->prefix;
    TRY(inlined_charge(loader, strlen(prefix) + strlen(name)));
    *ret = arena_printf(loader->model->arena, "%s/%s", prefix, name);
    return NULL;
}

/* A node with its outputs; the inputs are there, but empty. A result of a function goes where its caller wants it. */
static MUST_USE Status add_node(Loader *loader, const Onnx__NodeProto *proto, const Scope *scope, Graph *graph, Node *before,
                                Node **ret)
{
    Arena *arena = loader->model->arena;
    const char *op_type = proto_text(proto->op_type), *domain = proto_text(proto->domain);
    const char *node_name = proto_text(proto->name);
    if (op_type[0] == '\0')
        return status_new(CODE_MODEL, "%s: has no operator type", describe(arena, proto));
    if (proto->n_input > INT32_MAX || proto->n_output > INT32_MAX)
        return status_new(CODE_MODEL, "%s: has too many inputs or outputs", describe(arena, proto));
    TRY(inlined_charge(loader, 0));

    Value **none = arena_array(arena, proto->n_input, sizeof *none);
    Value **out = arena_array(arena, proto->n_output, sizeof *out);
    for (size_t i = 0; i < proto->n_output; i++) {
        const char *name = proto->output[i];
        if (name[0] == '\0')
            continue;
        Value *other;
        if (has(scope, name, &other))
            return status_new(CODE_MODEL, "%s: output '%s' is also %s; names must be unique", describe(arena, proto),
                              name, other == NULL ? "an input of the function" : describe_owner(arena, other));
        out[i] = scope->call == NULL ? NULL : map_get(scope->call->results, name);
        if (out[i] == NULL)
            TRY(add_value(loader, scope, graph, name, &out[i]));
        else
            map_put(scope->values, name, out[i]);
    }
    if (node_name[0] != '\0' && scope_call(scope) != NULL)
        TRY(name_node(loader, scope, node_name, &node_name));
    Node *node = graph_add_node(graph, before, op_type, domain, NULL, (int)proto->n_input, none, (int)proto->n_output, out);
    node->name = node_name; /* the message's or the arena's */
    node->overload = proto_text(proto->overload);
    node->origin = proto;
    TRY(function_set_opset(loader, scope, node));
    *ret = node;
    return NULL;
}

static MUST_USE Status link_inputs(const Onnx__NodeProto *proto, const Scope *scope, Node *node)
{
    for (int i = 0; i < node->n_in; i++) {
        const char *name = proto->input[i];
        Value *value;
        if (name[0] == '\0')
            continue;
        if (!find(scope, name, &value))
            return node_error(node, CODE_MODEL, "input %d reads '%s', which no node, input or initializer defines%s",
                              i, name, scope_call(scope) == NULL ? "" : " in its function");
        node_set_input(node, i, value);
    }
    return NULL;
}

/* Calls last: by then all names of the file in these graphs are taken, and fresh ones cannot hide them. */
static MUST_USE Status link_nodes(Loader *loader, size_t n, Onnx__NodeProto *const *protos, const Scope *scope,
                                  Node *const *nodes)
{
    for (size_t i = 0; i < n; i++) {
        if (i + ASK_AHEAD < n)
            ask_for(scope, protos[i + ASK_AHEAD]->n_input, protos[i + ASK_AHEAD]->input);
        TRY(link_inputs(protos[i], scope, nodes[i]));
        if (function_find(loader, scope, protos[i]) != NULL)
            continue;
        if (nodes[i]->domain[0] == '\0' && model_opset(loader->model, "") == 0)
            return node_error(nodes[i], CODE_MODEL, "the model imports no opset of ai.onnx; it is not complete");
        TRY(attrs_from_proto(loader, protos[i], scope, nodes[i]));
    }
    for (size_t i = 0; i < n && loader->functions != NULL; i++) {
        const Onnx__FunctionProto *function = function_find(loader, scope, protos[i]);
        if (function != NULL)
            TRY(function_inline(loader, function, scope, nodes[i]));
    }
    return NULL;
}

Status nodes_from_proto(Loader *loader, size_t n, Onnx__NodeProto *const *protos, const Scope *scope, Graph *graph,
                        Node *before)
{
    Node **nodes = xcalloc(n, sizeof *nodes);
    Status status = NULL;
    for (size_t i = 0; i < n && status == NULL; i++) {
        if (i + ASK_AHEAD < n)
            ask_for(scope, protos[i + ASK_AHEAD]->n_output, protos[i + ASK_AHEAD]->output);
        status = add_node(loader, protos[i], scope, graph, before, &nodes[i]);
    }
    if (status == NULL)
        status = link_nodes(loader, n, protos, scope, nodes);
    free(nodes);
    return status;
}

/* Types that the file declares of values between the nodes; those of values that are not there say nothing. */
static MUST_USE Status add_types(Loader *loader, const Onnx__GraphProto *proto, const Scope *scope)
{
    for (size_t i = 0; i < proto->n_value_info; i++) {
        const Onnx__ValueInfoProto *info = proto->value_info[i];
        Value *value = value_in(scope, proto_text(info->name));
        if (value == NULL || value->producer == NULL)
            continue;
        TRY(status_prefix(read_type(loader, info, value), "value '%s'", value->name));
    }
    return NULL;
}

static MUST_USE Status add_outputs(Loader *loader, const Onnx__GraphProto *proto, const Scope *scope, Graph *graph)
{
    for (size_t i = 0; i < proto->n_output; i++) {
        const Onnx__ValueInfoProto *info = proto->output[i];
        const char *name = proto_text(info->name);
        Value *value = value_in(scope, name), *outer;
        if (value == NULL && find(scope->outer, name, &outer))
            return status_new(CODE_MODEL, "graph '%s': output '%s' is a value of the graph around it; an Identity node "
                              "must stand between", graph->name, name);
        if (value == NULL)
            return status_new(CODE_MODEL, "graph '%s': output %zu is '%s', which no node, input or initializer defines",
                              graph->name, i, name);
        if (value->origin == NULL || value->producer != NULL) {
            Value declared = {.type = value->type, .origin = value->origin};
            TRY(status_prefix(read_type(loader, info, &declared), "output '%s'", name));
            if (declared.type.kind != TYPE_UNKNOWN && value->constant == NULL)
                value->type = declared.type;
            value->origin = declared.origin;
        }
        graph_add_output(graph, value);
    }
    return NULL;
}

static MUST_USE Status fill_graph(Loader *loader, const Onnx__GraphProto *proto, Scope *scope, Graph *graph)
{
    TRY(inlined_charge(loader, 0));
    TRY(add_inputs(loader, proto, scope, graph));
    TRY(add_initializers(loader, proto, scope, graph));
    TRY(nodes_from_proto(loader, proto->n_node, proto->node, scope, graph, NULL));
    TRY(add_types(loader, proto, scope));
    return add_outputs(loader, proto, scope, graph);
}

Status graph_from_proto(Loader *loader, const Onnx__GraphProto *proto, const Scope *outer, Graph *graph)
{
    bool is_main = outer == NULL && loader->functions == NULL; /* what a function brings has names that are not the file's */
    Scope scope = {is_main ? loader->model->names : map_new(), outer, NULL, is_main ? graph : NULL};
    graph->origin = proto;
    if (is_main)
        map_reserve(loader->model->names, proto->n_input + proto->n_initializer + proto->n_node);
    Status status = NULL;
    if (++loader->nesting > NESTING_MAX)
        status = status_new(CODE_MODEL, "graph '%s': graphs and functions are nested deeper than %d; export the model "
                            "with fewer functions in functions", graph->name, NESTING_MAX);
    else
        status = fill_graph(loader, proto, &scope, graph);
    loader->nesting--;
    if (!is_main)
        map_free(scope.values);
    return status;
}
