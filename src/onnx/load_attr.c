/* load_attr.c - AttributeProto -> Attr: numbers are pointed at, strings get their NUL, tensors and graphs are read.
 *
 * What the graph does not model (sparse tensors, types) keeps its message alone.
 */
#include "src/onnx/proto.h"

#include <string.h>

/* How many values of a kind the message holds; the names are for messages. */
typedef struct Content {
    AttrKind kind;
    size_t n;
} Content;

static const char *const kind_names[] = {
    "undefined", "float",   "int",    "string",        "tensor",         "graph",      "floats",      "ints",
    "strings",   "tensors", "graphs", "sparse tensor", "sparse tensors", "type proto", "type protos",
};

static void list_content(const Onnx__AttributeProto *proto, Content content[ATTR_TYPE_PROTOS])
{
    const Content all[ATTR_TYPE_PROTOS] = {
        {ATTR_FLOAT, proto->has_f != 0},
        {ATTR_INT, proto->has_i != 0},
        {ATTR_STRING, proto->has_s != 0},
        {ATTR_TENSOR, proto->t != NULL},
        {ATTR_GRAPH, proto->g != NULL},
        {ATTR_FLOATS, proto->n_floats},
        {ATTR_INTS, proto->n_ints},
        {ATTR_STRINGS, proto->n_strings},
        {ATTR_TENSORS, proto->n_tensors},
        {ATTR_GRAPHS, proto->n_graphs},
        {ATTR_SPARSE_TENSOR, proto->sparse_tensor != NULL},
        {ATTR_SPARSE_TENSORS, proto->n_sparse_tensors},
        {ATTR_TYPE_PROTO, proto->tp != NULL},
        {ATTR_TYPE_PROTOS, proto->n_type_protos},
    };
    memcpy(content, all, sizeof all);
}

/* The kind as said, or for old writers that say none, of what is there. What is there must not contradict it: a writer
 * that leaves out zeros leaves out f, i or s, never a tensor or graph. */
static MUST_USE Status find_kind(const Node *node, const Onnx__AttributeProto *proto, AttrKind *ret)
{
    Content content[ATTR_TYPE_PROTOS];
    AttrKind kind = ATTR_UNDEFINED;

    if (proto->type < 0 || proto->type > ATTR_TYPE_PROTOS)
        return node_error(node, CODE_MODEL, "attribute '%s' is of type %d, which is unknown", proto->name, proto->type);
    kind = (AttrKind)proto->type;
    list_content(proto, content);
    for (size_t i = 0; i < COUNT_OF(content) && kind == ATTR_UNDEFINED; i++)
        if (content[i].n > 0)
            kind = content[i].kind;
    for (size_t i = 0; i < COUNT_OF(content); i++)
        if (content[i].n > 0 && content[i].kind != kind)
            return node_error(node, CODE_MODEL, "attribute '%s' is said to be of kind %s, but holds %s", proto->name,
                              kind_names[kind], kind_names[content[i].kind]);
    if ((kind == ATTR_TENSOR && proto->t == NULL) || (kind == ATTR_GRAPH && proto->g == NULL))
        return node_error(node, CODE_MODEL, "attribute '%s' is said to hold a %s, but is empty", proto->name,
                          kind_names[kind]);
    *ret = kind;
    return NULL;
}

/* It may hold NUL bytes, and has one behind its end. */
static TensorString string_from_proto(Arena *arena, const ProtobufCBinaryData *data)
{
    char *copy = arena_alloc(arena, data->len + 1);
    if (data->len > 0)
        memcpy(copy, data->data, data->len);
    return (TensorString){copy, data->len};
}

static MUST_USE Status read_tensors(Loader *loader, size_t n, Onnx__TensorProto *const *protos, const Node *node,
                                    const char *name, Tensor **ret)
{
    for (size_t i = 0; i < n; i++) {
        Status status = tensor_from_proto(loader->model->arena, protos[i], loader->external, &ret[i]);
        if (status != NULL)
            return status_prefix(status, "%s: attribute '%s'", node_describe(node), name);
    }
    return NULL;
}

static MUST_USE Status read_graphs(Loader *loader, size_t n, Onnx__GraphProto *const *protos, const Scope *scope,
                                   Node *node, Graph **ret)
{
    for (size_t i = 0; i < n; i++) {
        ret[i] = graph_new(loader->model, proto_text(protos[i]->name), node);
        TRY(graph_from_proto(loader, protos[i], scope, ret[i]));
    }
    return NULL;
}

static MUST_USE Status attr_from_proto(Loader *loader, const Onnx__AttributeProto *proto, const Scope *scope,
                                       Node *node)
{
    Arena *arena = loader->model->arena;
    const char *name = proto_text(proto->name);
    AttrKind kind;
    if (name[0] == '\0')
        return node_error(node, CODE_MODEL, "has an attribute without a name");
    if (node_attr(node, name) != NULL)
        return node_error(node, CODE_MODEL, "attribute '%s' is given twice", name);
    if (proto_text(proto->ref_attr_name)[0] != '\0') {
        TRY(function_attribute(node, &proto, &scope));
        if (proto == NULL)
            return NULL;
        TRY(inlined_charge(loader, protobuf_c_message_get_packed_size(&proto->base)));
    }
    TRY(find_kind(node, proto, &kind));

    Attr attr = {.name = name, .kind = kind, .origin = proto};
    switch (kind) {
    case ATTR_FLOAT:
        attr.f = proto->f;
        break;
    case ATTR_INT:
        attr.i = proto->i;
        break;
    case ATTR_STRING:
        attr.s = string_from_proto(arena, &proto->s);
        break;
    case ATTR_FLOATS:
        attr.n = (int64_t)proto->n_floats;
        attr.floats = proto->floats;
        break;
    case ATTR_INTS:
        attr.n = (int64_t)proto->n_ints;
        attr.ints = proto->ints;
        break;
    case ATTR_STRINGS:
        attr.n = (int64_t)proto->n_strings;
        attr.strings = arena_array(arena, proto->n_strings, sizeof *attr.strings);
        for (size_t i = 0; i < proto->n_strings; i++)
            attr.strings[i] = string_from_proto(arena, &proto->strings[i]);
        break;
    case ATTR_TENSOR:
        TRY(read_tensors(loader, 1, &proto->t, node, name, &attr.t));
        break;
    case ATTR_TENSORS:
        attr.n = (int64_t)proto->n_tensors;
        attr.tensors = arena_array(arena, proto->n_tensors, sizeof *attr.tensors);
        TRY(read_tensors(loader, proto->n_tensors, proto->tensors, node, name, attr.tensors));
        break;
    case ATTR_GRAPH:
        TRY(read_graphs(loader, 1, &proto->g, scope, node, &attr.g));
        break;
    case ATTR_GRAPHS:
        attr.n = (int64_t)proto->n_graphs;
        attr.graphs = arena_array(arena, proto->n_graphs, sizeof *attr.graphs);
        TRY(read_graphs(loader, proto->n_graphs, proto->graphs, scope, node, attr.graphs));
        break;
    default:
        break;
    }
    Attr *added = node_add_attr(node, name, kind);
    attr.name = added->name;
    *added = attr;
    return NULL;
}

Status attrs_from_proto(Loader *loader, const Onnx__NodeProto *proto, const Scope *scope, Node *node)
{
    if (proto->n_attribute > ATTRS_MAX)
        return node_error(node, CODE_MODEL, "has %zu attributes, at most %d are supported", proto->n_attribute,
                          ATTRS_MAX);
    for (size_t i = 0; i < proto->n_attribute; i++)
        TRY(attr_from_proto(loader, proto->attribute[i], scope, node));
    return NULL;
}
