/* build.c - Model -> ModelProto, packed.
 *
 *     Graph ── nodes ── attributes ── inner graphs         names, types and numbers: those of the graph
 *       └ origin   └ origin   └ origin                     doc strings, metadata, unknown fields: the file's
 *
 * Each message starts as a copy of the one it was read from, so that what we do not understand is written back; then
 * all that the graph owns is set anew. Nothing heavy is copied: names, lists and weights are pointed at. Of the main graph each
 * node, initializer and type is packed by itself and its messages are gone with it: all at once would take more memory than the
 * graph.
 */
#include "src/onnx/proto.h"

#include <stdlib.h>
#include <string.h>

#define IR_VERSION_FREE_INITIALIZERS 4 /* initializers need not be inputs */

static char *or_null(const char *s)
{
    return s == NULL || s[0] == '\0' ? NULL : (char *)s;
}

/* The spelling of the file, "ai.onnx" or "", where it means the same. */
static char *domain_to_proto(const char *domain, const char *origin)
{
    if (domain[0] == '\0' && origin != NULL && strcmp(origin, "ai.onnx") == 0)
        return (char *)origin;
    return or_null(domain);
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

static Onnx__StringStringEntryProto *entry_new(Arena *arena, const char *key, const char *value)
{
    Onnx__StringStringEntryProto *entry = proto_new(arena, &onnx__string_string_entry_proto__descriptor, NULL);
    entry->key = (char *)key;
    entry->value = (char *)value;
    return entry;
}

/* Moves the tensor's bytes to the next place in the data file. */
static void place_outside(Builder *builder, const Tensor *tensor, Onnx__TensorProto *proto)
{
    Arena *arena = builder->arena;
    uint64_t offset = (builder->external_bytes + EXTERNAL_ALIGN - 1) / EXTERNAL_ALIGN * EXTERNAL_ALIGN;

    size_t n = builder->n_placed++;

    builder->placed = array_reserve(builder->placed, &builder->cap_placed, n + 1, sizeof *builder->placed);
    builder->placed[n] = (Placed){tensor->data, tensor->bytes, offset};
    builder->external_bytes = offset + tensor->bytes;

    proto->has_raw_data = 0;
    proto->has_data_location = 1;
    proto->data_location = LOCATION_EXTERNAL;
    proto->n_external_data = 3;
    proto->external_data = arena_array(arena, 3, sizeof *proto->external_data);
    proto->external_data[0] = entry_new(arena, "location", builder->location);
    proto->external_data[1] = entry_new(arena, "offset", arena_printf(arena, "%llu", (unsigned long long)offset));
    proto->external_data[2] = entry_new(arena, "length", arena_printf(arena, "%zu", tensor->bytes));
}

static Onnx__TensorProto *initializer_to_proto(Builder *builder, const Value *value)
{
    const Tensor *tensor = value->constant;
    Onnx__TensorProto *proto = tensor_to_proto(builder->arena, tensor, value->name, value->tensor_origin);
    if (builder->location != NULL && tensor->dtype != DT_STRING && tensor->bytes >= EXTERNAL_MIN)
        place_outside(builder, tensor, proto);
    return proto;
}

/* ---- attributes and nodes ---------------------------------------------------------------------------------------- */

static Onnx__GraphProto *graph_to_proto(Builder *builder, const Graph *graph);

static ProtobufCBinaryData string_to_proto(const TensorString *string)
{
    return (ProtobufCBinaryData){string->length, (uint8_t *)string->data};
}

static void list_tensors(Builder *builder, const Attr *attr, Onnx__AttributeProto *proto)
{
    const Onnx__AttributeProto *origin = attr->origin;
    proto->n_tensors = (size_t)attr->n;
    proto->tensors = arena_array(builder->arena, proto->n_tensors, sizeof *proto->tensors);
    for (size_t i = 0; i < proto->n_tensors; i++) {
        const Onnx__TensorProto *old = origin != NULL && i < origin->n_tensors ? origin->tensors[i] : NULL;
        proto->tensors[i] = tensor_to_proto(builder->arena, attr->tensors[i], old == NULL ? NULL : old->name, old);
    }
}

static Onnx__AttributeProto *attr_to_proto(Builder *builder, const Attr *attr)
{
    Arena *arena = builder->arena;
    const Onnx__AttributeProto *origin = attr->origin;
    Onnx__AttributeProto *proto = proto_new(arena, &onnx__attribute_proto__descriptor, origin);
    const Onnx__TensorProto *old = origin == NULL ? NULL : origin->t;

    proto->name = (char *)attr->name;
    proto->type = (int32_t)attr->kind;
    proto->has_type = attr->kind != ATTR_UNDEFINED;
    switch (attr->kind) {
    case ATTR_FLOAT:
        proto->has_f = 1;
        proto->f = attr->f;
        break;
    case ATTR_INT:
        proto->has_i = 1;
        proto->i = attr->i;
        break;
    case ATTR_STRING:
        proto->has_s = 1;
        proto->s = string_to_proto(&attr->s);
        break;
    case ATTR_FLOATS:
        proto->n_floats = (size_t)attr->n;
        proto->floats = attr->floats;
        break;
    case ATTR_INTS:
        proto->n_ints = (size_t)attr->n;
        proto->ints = attr->ints;
        break;
    case ATTR_STRINGS:
        proto->n_strings = (size_t)attr->n;
        proto->strings = arena_array(arena, proto->n_strings, sizeof *proto->strings);
        for (size_t i = 0; i < proto->n_strings; i++)
            proto->strings[i] = string_to_proto(&attr->strings[i]);
        break;
    case ATTR_TENSOR:
        proto->t = tensor_to_proto(arena, attr->t, old == NULL ? NULL : old->name, old);
        break;
    case ATTR_TENSORS:
        list_tensors(builder, attr, proto);
        break;
    case ATTR_GRAPH:
        proto->g = graph_to_proto(builder, attr->g);
        break;
    case ATTR_GRAPHS:
        proto->n_graphs = (size_t)attr->n;
        proto->graphs = arena_array(arena, proto->n_graphs, sizeof *proto->graphs);
        for (size_t i = 0; i < proto->n_graphs; i++)
            proto->graphs[i] = graph_to_proto(builder, attr->graphs[i]);
        break;
    default: /* sparse tensors and types: as they were read */
        break;
    }
    return proto;
}

static char **names_of(Arena *arena, Value *const *values, int n)
{
    char **names = arena_array(arena, (size_t)n, sizeof *names);
    for (int i = 0; i < n; i++)
        names[i] = (char *)(values[i] == NULL ? "" : values[i]->name);
    return names;
}

static Onnx__NodeProto *node_to_proto(Builder *builder, const Node *node)
{
    Arena *arena = builder->arena;
    const Onnx__NodeProto *origin = node->origin;
    Onnx__NodeProto *proto = proto_new(arena, &onnx__node_proto__descriptor, origin);

    proto->name = or_null(node->name);
    proto->op_type = (char *)node->op_type;
    proto->domain = domain_to_proto(node->domain, origin == NULL ? NULL : origin->domain);
    proto->overload = or_null(node->overload);
    proto->n_input = (size_t)node->n_in;
    proto->input = names_of(arena, node->in, node->n_in);
    proto->n_output = (size_t)node->n_out;
    proto->output = names_of(arena, node->out, node->n_out);
    proto->n_attribute = (size_t)node->n_attrs;
    proto->attribute = arena_array(arena, proto->n_attribute, sizeof *proto->attribute);
    for (int i = 0; i < node->n_attrs; i++)
        proto->attribute[i] = attr_to_proto(builder, &node->attrs[i]);
    return proto;
}

/* ---- graphs ------------------------------------------------------------------------------------------------------ */

static Onnx__ValueInfoProto *info_to_proto(Builder *builder, const Value *value)
{
    const Onnx__ValueInfoProto *origin = value->origin;
    Onnx__ValueInfoProto *proto = proto_new(builder->arena, &onnx__value_info_proto__descriptor, origin);
    proto->name = (char *)value->name;
    proto->type = type_to_proto(builder->arena, &value->type, origin == NULL ? NULL : origin->type);
    return proto;
}

static Onnx__ValueInfoProto **infos_of(Builder *builder, Value *const *values, int n)
{
    Onnx__ValueInfoProto **infos = arena_array(builder->arena, (size_t)n, sizeof *infos);
    for (int i = 0; i < n; i++)
        infos[i] = info_to_proto(builder, values[i]);
    return infos;
}

/* Is it worth a line in value_info: what a node gives, is no graph output and has a type? */
static bool has_inner_info(const Value *value)
{
    if (value == NULL || value->n_outputs > 0)
        return false;
    return value->type.kind == TYPE_TENSOR ? value->type.dtype != DT_UNDEFINED
                                           : value->type.kind != TYPE_UNKNOWN || value->origin != NULL;
}

static void add_inner_infos(Builder *builder, const Graph *graph, Onnx__GraphProto *proto)
{
    size_t cap = 0;
    for (const Node *node = graph->first; node != NULL; node = node->next)
        cap += (size_t)node->n_out;
    proto->value_info = arena_array(builder->arena, cap, sizeof *proto->value_info);
    proto->n_value_info = 0;
    for (const Node *node = graph->first; node != NULL; node = node->next) {
        for (int i = 0; i < node->n_out; i++)
            if (has_inner_info(node->out[i]))
                proto->value_info[proto->n_value_info++] = info_to_proto(builder, node->out[i]);
    }
}

/* Annotations of tensors that are still there, with parameters that are. */
static void filter_annotations(Builder *builder, const Graph *graph, Onnx__GraphProto *proto)
{
    Onnx__TensorAnnotation **all = proto->quantization_annotation;
    size_t n = proto->n_quantization_annotation, kept = 0;
    if (n == 0)
        return;
    Map *names = map_new();
    for (int i = 0; i < graph->n_inputs; i++)
        map_put(names, graph->inputs[i]->name, proto);
    for (int i = 0; i < graph->n_initializers; i++)
        map_put(names, graph->initializers[i]->name, proto);
    for (const Node *node = graph->first; node != NULL; node = node->next)
        for (int o = 0; o < node->n_out; o++)
            map_put(names, node->out[o] == NULL ? "" : node->out[o]->name, proto);

    proto->quantization_annotation = arena_array(builder->arena, n, sizeof(Onnx__TensorAnnotation *));
    for (size_t i = 0; i < n; i++) {
        bool whole = map_has(names, proto_text(all[i]->tensor_name));
        for (size_t p = 0; p < all[i]->n_quant_parameter_tensor_names; p++)
            whole = whole && map_has(names, proto_text(all[i]->quant_parameter_tensor_names[p]->value));
        if (whole)
            proto->quantization_annotation[kept++] = all[i];
    }
    proto->n_quantization_annotation = kept;
    map_free(names);
}

/* All but nodes, initializers and inner types. */
static Onnx__GraphProto *frame_to_proto(Builder *builder, const Graph *graph)
{
    Onnx__GraphProto *proto = proto_new(builder->arena, &onnx__graph_proto__descriptor, graph->origin);
    proto->name = (char *)graph->name; /* the format wants one, so "" is written, too */
    proto->n_node = proto->n_initializer = proto->n_value_info = 0;
    proto->n_sparse_initializer = 0; /* they have become dense */
    proto->n_input = (size_t)graph->n_inputs;
    proto->input = infos_of(builder, graph->inputs, graph->n_inputs);
    proto->n_output = (size_t)graph->n_outputs;
    proto->output = infos_of(builder, graph->outputs, graph->n_outputs);
    filter_annotations(builder, graph, proto);
    return proto;
}

/* Of a graph inside a node. */
static Onnx__GraphProto *graph_to_proto(Builder *builder, const Graph *graph)
{
    Arena *arena = builder->arena;
    Onnx__GraphProto *proto = frame_to_proto(builder, graph);
    size_t i = 0;

    proto->n_node = (size_t)graph->n_nodes;
    proto->node = arena_array(arena, proto->n_node, sizeof *proto->node);
    for (const Node *node = graph->first; node != NULL; node = node->next)
        proto->node[i++] = node_to_proto(builder, node);
    proto->n_initializer = (size_t)graph->n_initializers;
    proto->initializer = arena_array(arena, proto->n_initializer, sizeof *proto->initializer);
    for (int k = 0; k < graph->n_initializers; k++)
        proto->initializer[k] = initializer_to_proto(builder, graph->initializers[k]);
    add_inner_infos(builder, graph, proto);
    return proto;
}

static void pack_part(Builder *builder, unsigned field, const void *message, ArenaMark mark)
{
    pack_field(&builder->graph, field, message);
    arena_rewind(builder->arena, mark);
}

/* The main graph, its fields in the order of their numbers as every writer has them: the frame comes in three pieces. */
static void pack_graph(Builder *builder, const Graph *graph)
{
    enum { FIELD_NODE = 1, FIELD_INITIALIZER = 5, FIELD_VALUE_INFO = 13 };
    Onnx__GraphProto *rest = frame_to_proto(builder, graph), name = ONNX__GRAPH_PROTO__INIT, ends = ONNX__GRAPH_PROTO__INIT;
    ArenaMark mark = arena_mark(builder->arena);

    for (const Node *node = graph->first; node != NULL; node = node->next)
        pack_part(builder, FIELD_NODE, node_to_proto(builder, node), mark);
    name.name = rest->name;
    rest->name = NULL;
    pack_message(&builder->graph, &name);
    for (int i = 0; i < graph->n_initializers; i++)
        pack_part(builder, FIELD_INITIALIZER, initializer_to_proto(builder, graph->initializers[i]), mark);
    ends.doc_string = rest->doc_string;
    ends.n_input = rest->n_input;
    ends.input = rest->input;
    ends.n_output = rest->n_output;
    ends.output = rest->output;
    rest->doc_string = NULL;
    rest->n_input = rest->n_output = 0;
    pack_message(&builder->graph, &ends);
    for (const Node *node = graph->first; node != NULL; node = node->next)
        for (int i = 0; i < node->n_out; i++)
            if (has_inner_info(node->out[i]))
                pack_part(builder, FIELD_VALUE_INFO, info_to_proto(builder, node->out[i]), mark);
    pack_message(&builder->graph, rest);
}

/* ---- the model --------------------------------------------------------------------------------------------------- */

static int64_t ir_version_of(const Model *model)
{
    for (int i = 0; i < model->graph->n_initializers; i++)
        if (!model->graph->initializers[i]->is_input)
            return MAX(model->ir_version, IR_VERSION_FREE_INITIALIZERS);
    return model->ir_version;
}

static Onnx__OperatorSetIdProto *opset_to_proto(Arena *arena, const OpsetImport *opset, const Onnx__ModelProto *origin)
{
    const Onnx__OperatorSetIdProto *old = NULL;
    for (size_t i = 0; origin != NULL && i < origin->n_opset_import && old == NULL; i++) {
        const char *domain = proto_text(origin->opset_import[i]->domain);
        if (strcmp(strcmp(domain, "ai.onnx") == 0 ? "" : domain, opset->domain) == 0)
            old = origin->opset_import[i];
    }
    Onnx__OperatorSetIdProto *proto = proto_new(arena, &onnx__operator_set_id_proto__descriptor, old);
    if (old == NULL)
        proto->domain = (char *)opset->domain;
    proto->has_version = 1;
    proto->version = opset->version;
    return proto;
}

void model_pack(Builder *builder, const Model *model, const char *location)
{
    enum { FIELD_GRAPH = 7 };
    Arena *arena = arena_new();
    *builder = (Builder){.arena = arena, .location = location};
    builder->graph.arena = builder->model.arena = arena_new();
    Onnx__ModelProto *proto = proto_new(arena, &onnx__model_proto__descriptor, model->origin);

    proto->has_ir_version = 1;
    proto->ir_version = ir_version_of(model);
    proto->producer_name = or_null(model->producer_name);
    proto->producer_version = or_null(model->producer_version);
    proto->n_opset_import = (size_t)model->n_opsets;
    proto->opset_import = arena_array(arena, proto->n_opset_import, sizeof *proto->opset_import);
    for (int i = 0; i < model->n_opsets; i++)
        proto->opset_import[i] = opset_to_proto(arena, &model->opsets[i], model->origin);
    proto->n_metadata_props = (size_t)model->n_metadata;
    proto->metadata_props = arena_array(arena, proto->n_metadata_props, sizeof *proto->metadata_props);
    for (int i = 0; i < model->n_metadata; i++)
        proto->metadata_props[i] = entry_new(arena, model->metadata[i].key, model->metadata[i].value);
    proto->graph = NULL;
    proto->n_functions = 0; /* all calls were inlined */

    Onnx__ModelProto head = ONNX__MODEL_PROTO__INIT; /* what stands in front of the graph */
    head.has_ir_version = 1;
    head.ir_version = proto->ir_version;
    head.producer_name = proto->producer_name;
    head.producer_version = proto->producer_version;
    head.domain = proto->domain;
    head.has_model_version = proto->has_model_version;
    head.model_version = proto->model_version;
    head.doc_string = proto->doc_string;
    proto->has_ir_version = proto->has_model_version = 0;
    proto->producer_name = proto->producer_version = proto->domain = proto->doc_string = NULL;
    pack_message(&builder->model, &head);
    pack_graph(builder, model->graph);
    pack_head(&builder->model, FIELD_GRAPH, builder->graph.bytes);
    pack_pieces(&builder->model, &builder->graph);
    pack_message(&builder->model, proto);
}

void builder_free(Builder *builder)
{
    arena_free(builder->arena);
    arena_free(builder->model.arena); /* the graph's, too */
    free(builder->graph.pieces);
    free(builder->model.pieces);
    free(builder->placed);
    *builder = (Builder){0};
}
