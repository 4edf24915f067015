/* load_graph.c - GraphProto -> Graph.
 *
 * Values first, in the order that decides whose name it is; then nodes find their inputs by name, in their own graph
 * and then in those around it:
 *
 *     inputs, initializers, outputs of all nodes -> inputs of nodes, attributes (inner graphs) -> graph outputs
 *
 * An initializer of a model before IR version 4 is listed as an input, too: one Value is both.
 */
#include "src/onnx/proto.h"

#include <string.h>

static Value *find(const Scope *scope, const char *name)
{
    for (; scope != NULL; scope = scope->outer) {
        Value *value = map_get(scope->values, name);
        if (value != NULL)
            return value;
    }
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
        if (map_has(scope->values, name))
            return status_new(CODE_MODEL, "graph '%s': input '%s' is listed twice", graph->name, name);
        Value *value = graph_value(graph, name);
        if (info->type != NULL)
            TRY(status_prefix(type_from_proto(loader->model->arena, info->type, &value->type), "input '%s'", name));
        value->origin = info;
        graph_add_input(graph, value);
        map_put(scope->values, value->name, value);
    }
    return NULL;
}

static MUST_USE Status add_initializer(Scope *scope, Graph *graph, const char *name, Tensor *tensor, const void *origin)
{
    if (name[0] == '\0')
        return status_new(CODE_MODEL, "graph '%s': an initializer has no name", graph->name);
    Value *value = map_get(scope->values, name);
    if (value == NULL) {
        value = graph_add_constant(graph, name, tensor);
        map_put(scope->values, value->name, value);
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
        TRY(add_initializer(scope, graph, proto_text(from->name), tensor, from));
    }
    for (size_t i = 0; i < proto->n_sparse_initializer; i++) {
        const Onnx__SparseTensorProto *from = proto->sparse_initializer[i];
        TRY(tensor_from_sparse(arena, from, loader->external, &tensor));
        TRY(add_initializer(scope, graph, proto_text(from->values->name), tensor, NULL));
    }
    return NULL;
}

/* A node with its outputs; the inputs are there, but empty. */
static MUST_USE Status add_node(Loader *loader, const Onnx__NodeProto *proto, Scope *scope, Graph *graph, Node **ret)
{
    Arena *arena = loader->model->arena;
    const char *op_type = proto_text(proto->op_type), *domain = proto_text(proto->domain);
    if (op_type[0] == '\0')
        return status_new(CODE_MODEL, "%s: has no operator type", describe(arena, proto));
    if (proto->n_input > INT32_MAX || proto->n_output > INT32_MAX)
        return status_new(CODE_MODEL, "%s: has too many inputs or outputs", describe(arena, proto));

    Value **none = arena_array(arena, proto->n_input, sizeof *none);
    Value **out = arena_array(arena, proto->n_output, sizeof *out);
    for (size_t i = 0; i < proto->n_output; i++) {
        const char *name = proto->output[i];
        if (name[0] == '\0')
            continue;
        const Value *other = map_get(scope->values, name);
        if (other != NULL)
            return status_new(CODE_MODEL, "%s: output '%s' is also %s; names must be unique", describe(arena, proto),
                              name, describe_owner(arena, other));
        out[i] = graph_value(graph, name);
        map_put(scope->values, out[i]->name, out[i]);
    }
    Node *node = graph_add_node(graph, NULL, op_type, domain, proto_text(proto->name), (int)proto->n_input, none,
                                (int)proto->n_output, out);
    node->overload = proto_text(proto->overload);
    node->origin = proto;
    *ret = node;
    return NULL;
}

static MUST_USE Status add_nodes(Loader *loader, const Onnx__GraphProto *proto, Scope *scope, Graph *graph)
{
    Node *node;
    for (size_t i = 0; i < proto->n_node; i++) {
        TRY(add_node(loader, proto->node[i], scope, graph, &node));
        if (node->domain[0] == '\0' && model_opset(loader->model, "") == 0)
            return node_error(node, CODE_MODEL, "the model imports no opset of ai.onnx; it is not complete");
    }
    return NULL;
}

/* Types that the file declares of values between the nodes; those of values that are not there say nothing. */
static MUST_USE Status add_types(Loader *loader, const Onnx__GraphProto *proto, const Scope *scope)
{
    for (size_t i = 0; i < proto->n_value_info; i++) {
        const Onnx__ValueInfoProto *info = proto->value_info[i];
        Value *value = map_get(scope->values, proto_text(info->name));
        if (value == NULL || value->producer == NULL)
            continue;
        if (info->type != NULL)
            TRY(status_prefix(type_from_proto(loader->model->arena, info->type, &value->type), "value '%s'",
                              value->name));
        value->origin = info;
    }
    return NULL;
}

static MUST_USE Status link_nodes(Loader *loader, const Scope *scope, Graph *graph)
{
    for (Node *node = graph->first; node != NULL; node = node->next) {
        const Onnx__NodeProto *proto = node->origin;
        for (int i = 0; i < node->n_in; i++) {
            const char *name = proto->input[i];
            if (name[0] == '\0')
                continue;
            Value *value = find(scope, name);
            if (value == NULL)
                return node_error(node, CODE_MODEL, "input %d reads '%s', which no node, input or initializer defines",
                                  i, name);
            node_set_input(node, i, value);
        }
        TRY(attrs_from_proto(loader, proto, scope, node));
    }
    return NULL;
}

static MUST_USE Status add_outputs(Loader *loader, const Onnx__GraphProto *proto, const Scope *scope, Graph *graph)
{
    for (size_t i = 0; i < proto->n_output; i++) {
        const Onnx__ValueInfoProto *info = proto->output[i];
        const char *name = proto_text(info->name);
        Value *value = map_get(scope->values, name);
        if (value == NULL && find(scope->outer, name) != NULL)
            return status_new(CODE_MODEL, "graph '%s': output '%s' is a value of the graph around it; an Identity node "
                              "must stand between", graph->name, name);
        if (value == NULL)
            return status_new(CODE_MODEL, "graph '%s': output %zu is '%s', which no node, input or initializer defines",
                              graph->name, i, name);
        if (value->origin == NULL || value->producer != NULL) {
            Type type = value->type;
            if (info->type != NULL)
                TRY(status_prefix(type_from_proto(loader->model->arena, info->type, &type), "output '%s'", name));
            if (type.kind != TYPE_UNKNOWN && value->constant == NULL)
                value->type = type;
            value->origin = info;
        }
        graph_add_output(graph, value);
    }
    return NULL;
}

static MUST_USE Status fill_graph(Loader *loader, const Onnx__GraphProto *proto, Scope *scope, Graph *graph)
{
    TRY(add_inputs(loader, proto, scope, graph));
    TRY(add_initializers(loader, proto, scope, graph));
    TRY(add_nodes(loader, proto, scope, graph));
    TRY(add_types(loader, proto, scope));
    TRY(link_nodes(loader, scope, graph));
    return add_outputs(loader, proto, scope, graph);
}

Status graph_from_proto(Loader *loader, const Onnx__GraphProto *proto, const Scope *outer, Graph *graph)
{
    Scope scope = {map_new(), outer};
    graph->origin = proto;
    Status status = fill_graph(loader, proto, &scope, graph);
    map_free(scope.values);
    return status;
}
