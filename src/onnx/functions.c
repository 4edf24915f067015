/* functions.c - functions of the file: each call becomes the nodes of its body, while the graph is read.
 *
 *     function t.F (a, w = "") -> b          y = t.F {alpha = 0.1} "c" (x)
 *         h = LeakyRelu {alpha = @alpha} (a)                │
 *         b = Neg (h)                                       v
 *                               c/h = LeakyRelu {alpha = 0.1} (x);  y = Neg (c/h)
 *
 * A body sees its inputs alone, so its names are looked up in a scope of its own: an input is the caller's value, an
 * output the value the caller wants it in, all else gets a fresh name behind that of the call. An attribute that refers
 * to one of the call is read in the scope of the call, where its graphs find their names.
 *
 * Which opset: a body is written for the versions its function imports. Where ai.onnx differs, the node keeps that
 * version (the executor runs each node by its own), the model is set to the highest in use, and raise_opset lifts the
 * others to it. Other domains have no such pass: there both versions must mean the same.
 *
 * An op that the program knows is run by the program, whatever a function says of it: so does ONNX Runtime. The spec
 * (IR.md, Functions) leaves it open.
 */
#include "src/onnx/proto.h"
#include "src/ops/ops.h"

#include <stdlib.h>
#include <string.h>

/* They are looked up one after another for each node. */
#define IMPORTS_MAX 100
#define DOMAINS_MAX 1000

/* ---- which function ---------------------------------------------------------------------------------------------- */

static const char *domain_of(const char *domain)
{
    return strcmp(proto_text(domain), "ai.onnx") == 0 ? "" : proto_text(domain);
}

static char *make_key(const char *domain, const char *name, const char *overload)
{
    return xprintf("%s\n%s\n%s", domain_of(domain), proto_text(name), proto_text(overload));
}

Status functions_read(Loader *loader, const Onnx__ModelProto *proto)
{
    Arena *arena = loader->model->arena;
    if (proto->n_functions == 0)
        return NULL;
    Map *functions = map_new();
    for (size_t i = 0; i < proto->n_functions; i++) {
        Onnx__FunctionProto *function = proto->functions[i];
        char *key = make_key(function->domain, function->name, function->overload);
        bool twice = map_has(functions, key);
        map_put(functions, arena_strdup(arena, key), function);
        free(key);
        if (twice || function->n_opset_import > IMPORTS_MAX) {
            map_free(functions);
            return twice ? status_new(CODE_MODEL, "function '%s' of domain '%s' is given twice",
                                      proto_text(function->name), proto_text(function->domain))
                         : status_new(CODE_MODEL, "function '%s' imports %zu opsets, at most %d are supported",
                                      proto_text(function->name), function->n_opset_import, IMPORTS_MAX);
        }
    }
    loader->functions = functions;
    return NULL;
}

/* Version of a domain that the function imports; 0: none. */
static int64_t imported(const Onnx__FunctionProto *function, const char *domain)
{
    for (size_t i = 0; i < function->n_opset_import; i++)
        if (strcmp(domain_of(function->opset_import[i]->domain), domain) == 0)
            return function->opset_import[i]->version;
    return 0;
}

const Onnx__FunctionProto *function_find(const Loader *loader, const Scope *scope, const Onnx__NodeProto *proto)
{
    if (loader->functions == NULL)
        return NULL;
    const Call *call = scope_call(scope);
    const char *domain = domain_of(proto->domain), *type = proto_text(proto->op_type);
    int64_t version = call == NULL ? 0 : imported(call->function, domain);
    if (version == 0)
        version = model_opset(loader->model, domain);
    const OpDef *def = op_find(domain, type, (int)MIN(version, INT32_MAX));
    if (def != NULL && def->eval != NULL)
        return NULL;
    char *key = make_key(domain, type, proto->overload);
    const Onnx__FunctionProto *function = map_get(loader->functions, key);
    free(key);
    return function;
}

/* ---- versions ---------------------------------------------------------------------------------------------------- */

/* Since which version the op has had the form that it has in `opset`; 0: not known. */
static int since(const Node *node, int64_t opset)
{
    const OpDef *def = op_find(node->domain, node->op_type, (int)MIN(opset, INT32_MAX));
    int version = 0;
    for (int i = 0; def != NULL && i < OP_MAX_VERSIONS && def->versions[i] != 0 && def->versions[i] <= opset; i++)
        version = def->versions[i];
    return version;
}

Status function_set_opset(Loader *loader, const Scope *scope, Node *node)
{
    const Call *call = scope_call(scope);
    int64_t version = call == NULL ? 0 : imported(call->function, node->domain);
    Model *model = loader->model;
    int own = model_opset(model, node->domain);
    if (version == 0 || version == own)
        return NULL;
    if (version < 1 || version > INT32_MAX || model->n_opsets > DOMAINS_MAX)
        return node_error(node, CODE_MODEL, "its function imports opset %lld of domain '%s', which is beyond reason",
                          (long long)version, node->domain);
    if (own == 0) {
        model_set_opset(model, node->domain, version);
    } else if (node->domain[0] == '\0') {
        node->opset = (int)version;
        loader->highest = MAX(loader->highest, version);
    } else if (since(node, version) != since(node, own)) {
        return node_error(node, CODE_MODEL, "its function imports opset %lld of domain '%s', the model %d, in which "
                          "the op differs; export the model with one version", (long long)version, node->domain, own);
    }
    return NULL;
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

Status inlined_charge(Loader *loader, size_t bytes)
{
    if (loader->calls == 0)
        return NULL;
    if (++loader->inlined > INLINED_MAX || bytes > INLINED_MAX_BYTES - loader->inlined_bytes)
        return status_new(CODE_MODEL, "functions called by functions make a model of more than %lld nodes and values, or "
                          "%zu MB, of it; export it with smaller functions, or without", (long long)INLINED_MAX,
                          INLINED_MAX_BYTES >> 20);
    loader->inlined_bytes += bytes;
    return NULL;
}

static MUST_USE Status check_call(const Loader *loader, const Onnx__FunctionProto *function, const Scope *scope,
                                  const Node *node, const Onnx__NodeProto *proto)
{
    for (const Call *call = scope_call(scope); call != NULL; call = scope_call(call->scope))
        if (call->function == function)
            return node_error(node, CODE_MODEL, "function '%s' calls itself; functions of ONNX must not: write it as a "
                              "Loop or Scan", proto_text(function->name));
    if (loader->nesting >= NESTING_MAX)
        return node_error(node, CODE_MODEL, "functions and graphs are nested deeper than %d; export the model with fewer "
                          "functions in functions", NESTING_MAX);
    if (proto->n_input > function->n_input || proto->n_output > function->n_output)
        return node_error(node, CODE_MODEL, "has %zu inputs and %zu outputs; the function takes at most %zu and gives %zu",
                          proto->n_input, proto->n_output, function->n_input, function->n_output);
    if (proto->n_attribute > ATTRS_MAX || function->n_attribute_proto > ATTRS_MAX)
        return node_error(node, CODE_MODEL, "has more than %d attributes", ATTRS_MAX);
    return NULL;
}

/* ---- attributes -------------------------------------------------------------------------------------------------- */

static const Onnx__AttributeProto *find_attribute(size_t n, Onnx__AttributeProto *const *attributes, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(proto_text(attributes[i]->name), name) == 0)
            return attributes[i];
    return NULL;
}

Status function_attribute(const Node *node, const Onnx__AttributeProto **proto, const Scope **scope)
{
    const Onnx__AttributeProto *from = *proto, *to = from;
    const Scope *at = *scope;
    while (to != NULL && proto_text(to->ref_attr_name)[0] != '\0') { /* outwards, from call to call */
        const Call *call = scope_call(at);
        const char *name = to->ref_attr_name;
        if (call == NULL)
            return node_error(node, CODE_MODEL, "attribute '%s' refers to attribute '%s' of a function, but stands in none",
                              proto_text(from->name), name);
        to = find_attribute(call->proto->n_attribute, call->proto->attribute, name);
        at = to == NULL ? NULL : call->scope;
        if (to == NULL)
            to = find_attribute(call->function->n_attribute_proto, call->function->attribute_proto, name);
        if (to != NULL && from->type != ATTR_UNDEFINED && to->type != ATTR_UNDEFINED && from->type != to->type)
            return node_error(node, CODE_MODEL, "attribute '%s' refers to attribute '%s' of function '%s', which is of "
                              "another kind", from->name, name, proto_text(call->function->name));
    }
    *proto = to;
    *scope = at;
    return NULL;
}

/* ---- the body in the place of the call --------------------------------------------------------------------------- */

/* What stands in scope before the body: inputs, and the values its outputs are to be. Those whose name an input has
 * already, or an output before them, are left to copy_results(). */
static MUST_USE Status bind_call(const Onnx__FunctionProto *function, Node *node, Scope *body, Map *results)
{
    for (size_t i = 0; i < function->n_input; i++) {
        if (map_has(body->values, function->input[i]))
            return node_error(node, CODE_MODEL, "input '%s' of the function is listed twice", function->input[i]);
        map_put(body->values, function->input[i], node_in(node, (int)i));
    }
    for (int i = 0; i < node->n_out; i++) {
        Value *value = node->out[i];
        const char *name = function->output[i];
        if (value == NULL || map_has(body->values, name) || map_has(results, name))
            continue;
        node_set_output(node, i, NULL);
        map_put(results, name, value);
    }
    return NULL;
}

/* An output that is an input of the function, or listed twice: y = Identity (x). */
static MUST_USE Status copy_results(const Onnx__FunctionProto *function, Node *node, const Scope *body, Map *results)
{
    for (int i = 0; i < node->n_out; i++) {
        const char *name = function->output[i];
        const Value *result = map_get(results, name);
        Value *value = node->out[i], *from = map_get(body->values, name);
        if (result != NULL && result->producer == NULL)
            return status_new(CODE_MODEL, "call '%s': output '%s' is given by none of the function's nodes",
                              body->call->prefix, name);
        if (value == NULL)
            continue;
        if (from == NULL)
            return status_new(CODE_MODEL, "call '%s': output '%s' is an input of the function that the call omits",
                              body->call->prefix, name);
        node_set_output(node, i, NULL);
        graph_add_node(node->graph, node, "Identity", "", NULL, 1, &from, 1, &value);
    }
    return NULL;
}

static MUST_USE Status inline_body(Loader *loader, const Onnx__FunctionProto *function, Node *node, Scope *body,
                                   Map *results)
{
    TRY(inlined_charge(loader, protobuf_c_message_get_packed_size(&function->base)));
    TRY(bind_call(function, node, body, results));
    TRY(nodes_from_proto(loader, function->n_node, function->node, body, node->graph, node));
    return copy_results(function, node, body, results);
}

Status function_inline(Loader *loader, const Onnx__FunctionProto *function, const Scope *scope, Node *node)
{
    const Onnx__NodeProto *proto = node->origin;
    TRY(check_call(loader, function, scope, node, proto));

    Call call = {.function = function, .proto = proto, .scope = scope, .results = map_new()};
    Scope body = {map_new(), NULL, &call, NULL};
    call.prefix = node->name[0] != '\0'                          ? node->name
                  : node->n_out > 0 && node->out[0] != NULL      ? node->out[0]->name
                                                                 : node->op_type;
    loader->nesting++;
    loader->calls++;
    Status status = inline_body(loader, function, node, &body, call.results);
    loader->calls--;
    loader->nesting--;
    map_free(body.values);
    map_free(call.results);
    if (status == NULL)
        node_remove(node);
    else if (loader->calls == 0)
        status = status_prefix(status, "function '%s'", proto_text(function->name));
    return status;
}
