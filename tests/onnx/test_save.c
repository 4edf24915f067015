/* Saving: what the program does not understand comes back as it was, what it changed is new. */
#include "src/ops/ops.h"
#include "tests/onnx/protos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t dims_2x3[] = {2, 3};

/* Field 1000 with two bytes: `message` was written by a later version. */
static void add_unknown(Arena *arena, ProtobufCMessage *message)
{
    ProtobufCMessageUnknownField *field = arena_alloc(arena, sizeof *field);
    *field = (ProtobufCMessageUnknownField){1000, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, 3, (uint8_t *)"\x02hi"};
    message->n_unknown_fields = 1;
    message->unknown_fields = field;
}

static bool has_unknown(const ProtobufCMessage *message)
{
    return message->n_unknown_fields == 1 && message->unknown_fields[0].tag == 1000 &&
           message->unknown_fields[0].len == 3 && memcmp(message->unknown_fields[0].data, "\x02hi", 3) == 0;
}

/* Relu with all the fields that only the file knows. */
static Onnx__ModelProto *rich_model(Arena *arena)
{
    const float data[6] = {1, 2, 3, 4, 5, 6};
    Onnx__ModelProto *model = pb_relu_model(arena);
    Onnx__GraphProto *graph = model->graph;
    Onnx__NodeProto *node = graph->node[0];

    model->ir_version = 11;
    model->domain = PB_TEXT("test.domain");
    model->doc_string = PB_TEXT("about the model");
    model->producer_name = PB_TEXT("maker");
    model->has_model_version = 1;
    model->model_version = 7;
    PB_APPEND(arena, model, metadata_props, pb_entry(arena, "k", "v"));
    Onnx__OperatorSetIdProto *opset = proto_new(arena, &onnx__operator_set_id_proto__descriptor, NULL);
    opset->domain = PB_TEXT("test.functions");
    opset->has_version = 1;
    opset->version = 1;
    PB_APPEND(arena, model, opset_import, opset);

    Onnx__DeviceConfigurationProto *device = proto_new(arena, &onnx__device_configuration_proto__descriptor, NULL);
    device->name = PB_TEXT("two");
    device->has_num_devices = 1;
    device->num_devices = 2;
    PB_APPEND(arena, model, configuration, device);
    Onnx__TrainingInfoProto *training = proto_new(arena, &onnx__training_info_proto__descriptor, NULL);
    PB_APPEND(arena, training, update_binding, pb_entry(arena, "from", "to"));
    PB_APPEND(arena, model, training_info, training);

    graph->doc_string = PB_TEXT("about the graph");
    PB_APPEND(arena, graph, metadata_props, pb_entry(arena, "gk", "gv"));
    node->doc_string = PB_TEXT("about the node");
    node->overload = PB_TEXT("o");
    PB_APPEND(arena, node, metadata_props, pb_entry(arena, "nk", "nv"));
    Onnx__NodeDeviceConfigurationProto *place =
        proto_new(arena, &onnx__node_device_configuration_proto__descriptor, NULL);
    place->configuration_id = PB_TEXT("two");
    PB_APPEND(arena, node, device_configurations, place);
    Onnx__TensorProto *w = pb_initializer(arena, graph, "w", DT_FLOAT, 2, dims_2x3, data, sizeof data);
    w->doc_string = PB_TEXT("about the weight");
    PB_APPEND(arena, w, metadata_props, pb_entry(arena, "tk", "tv"));
    graph->input[0]->doc_string = PB_TEXT("about the input");
    graph->input[0]->type->denotation = PB_TEXT("IMAGE");
    graph->input[0]->type->tensor_type->shape->dim[0]->denotation = PB_TEXT("DATA_BATCH");
    PB_APPEND(arena, graph->input[0], metadata_props, pb_entry(arena, "ik", "iv"));
    for (int i = 0; i < 2; i++) {
        Onnx__TensorAnnotation *note = proto_new(arena, &onnx__tensor_annotation__descriptor, NULL);
        note->tensor_name = PB_TEXT(i == 0 ? "y" : "gone");
        PB_APPEND(arena, note, quant_parameter_tensor_names, pb_entry(arena, "SCALE_TENSOR", "w"));
        PB_APPEND(arena, graph, quantization_annotation, note);
    }
    add_unknown(arena, &model->base);
    add_unknown(arena, &graph->base);
    add_unknown(arena, &node->base);
    add_unknown(arena, &w->base);
    add_unknown(arena, &graph->input[0]->base);
    add_unknown(arena, &graph->input[0]->type->tensor_type->base);
    return model;
}

static void check_rich(const Onnx__ModelProto *model)
{
    const Onnx__GraphProto *graph = model->graph;
    const Onnx__NodeProto *node = graph->node[0];
    const Onnx__TensorProto *w = graph->initializer[0];
    const Onnx__ValueInfoProto *input = graph->input[0];

    CHECK_INT(model->ir_version, 11);
    CHECK_TEXT(model->domain, "test.domain");
    CHECK_TEXT(model->doc_string, "about the model");
    CHECK_TEXT(model->producer_name, "maker");
    CHECK_INT(model->model_version, 7);
    CHECK_TEXT(model->metadata_props[0]->value, "v");
    CHECK_INT(model->n_opset_import, 2);
    CHECK(model->n_configuration == 1 && model->n_training_info == 1);
    CHECK_INT(model->configuration[0]->num_devices, 2);
    CHECK_TEXT(model->training_info[0]->update_binding[0]->value, "to");
    CHECK_TEXT(graph->doc_string, "about the graph");
    CHECK_TEXT(graph->metadata_props[0]->value, "gv");
    CHECK_TEXT(node->doc_string, "about the node");
    CHECK_TEXT(node->overload, "o");
    CHECK_TEXT(node->metadata_props[0]->value, "nv");
    CHECK_TEXT(node->device_configurations[0]->configuration_id, "two");
    CHECK_TEXT(w->doc_string, "about the weight");
    CHECK_TEXT(w->metadata_props[0]->value, "tv");
    CHECK_INT(w->raw_data.len, 24);
    CHECK_TEXT(input->doc_string, "about the input");
    CHECK_TEXT(input->type->denotation, "IMAGE");
    CHECK_TEXT(input->type->tensor_type->shape->dim[0]->denotation, "DATA_BATCH");
    CHECK_TEXT(input->metadata_props[0]->value, "iv");
    CHECK_INT(graph->n_quantization_annotation, 1);
    CHECK_TEXT(graph->quantization_annotation[0]->tensor_name, "y");
    CHECK(has_unknown(&model->base) && has_unknown(&graph->base) && has_unknown(&node->base));
    CHECK(has_unknown(&w->base) && has_unknown(&input->base) && has_unknown(&input->type->tensor_type->base));
}

TEST(save_keeps_what_it_does_not_understand)
{
    Arena *arena = arena_new();
    Model *model = NULL, *again = NULL;
    CHECK_OK(pb_load(rich_model(arena), &model));
    Onnx__ModelProto *saved = model == NULL ? NULL : pb_saved(arena, model);
    if (saved != NULL) {
        check_rich(saved);
        /* And once more from what was written. */
        CHECK_OK(pb_load(saved, &again));
        Onnx__ModelProto *twice = again == NULL ? NULL : pb_saved(arena, again);
        if (twice != NULL)
            check_rich(twice);
    }
    model_free(again);
    model_free(model);
    arena_free(arena);
}

/* Nothing changed, raw data, types given: the same bytes. */
TEST(save_gives_the_same_bytes)
{
    Arena *arena = arena_new();
    Onnx__ModelProto *proto = rich_model(arena);
    proto->graph->n_quantization_annotation = 1;
    Model *model = NULL;
    size_t before, after = 0;
    unsigned char *data = pb_pack(proto, &before), *saved = NULL;
    CHECK_OK(onnx_load_memory(data, before, "m.onnx", &model));
    CHECK_OK(onnx_save_memory(model, &saved, &after));
    CHECK_INT(after, before);
    CHECK(saved != NULL && before == after && memcmp(data, saved, before) == 0);
    free(data);
    free(saved);
    model_free(model);
    arena_free(arena);
}

TEST(save_writes_what_changed)
{
    Arena *arena = arena_new();
    Onnx__ModelProto *proto = rich_model(arena);
    Model *model = NULL;
    proto->ir_version = 3;
    CHECK_OK(pb_load(proto, &model));
    if (model != NULL) {
        Graph *graph = model->graph;
        Value *between = graph->outputs[0], *scale = graph_add_float(graph, "scale", 0.5f);
        Node *mul = graph_add_node(graph, NULL, "Mul", "", "half", 2, (Value *[]){between, scale}, 1, NULL);
        mul->out[0]->type = between->type;
        node_set_int(graph->first, "extra", 4);
        graph_set_output(graph, 0, mul->out[0]);
        model_set_opset(model, "", 21);
        ops_bind_node(model->graph->first);
        model_set_opset(model, "com.microsoft", 1);
        CHECK_OK(model_verify(model));
        Onnx__ModelProto *saved = pb_saved(arena, model);
        if (saved != NULL) {
            CHECK_INT(saved->ir_version, 4); /* an initializer that is no input */
            CHECK_INT(saved->opset_import[0]->version, 21);
            CHECK_TEXT(saved->opset_import[2]->domain, "com.microsoft");
            CHECK_INT(saved->graph->n_node, 2);
            CHECK_TEXT(saved->graph->node[0]->doc_string, "about the node");
            CHECK_TEXT(saved->graph->node[0]->attribute[0]->name, "extra");
            CHECK_INT(saved->graph->node[0]->attribute[0]->i, 4);
            CHECK_INT(saved->graph->node[0]->attribute[0]->type, ATTR_INT);
            CHECK_TEXT(saved->graph->node[1]->input[1], scale->name);
            CHECK_INT(saved->graph->n_initializer, 2);
            CHECK_INT(saved->graph->n_value_info, 1);
            CHECK_TEXT(saved->graph->value_info[0]->name, "y");
            CHECK_TEXT(saved->graph->output[0]->name, mul->out[0]->name);
            CHECK_INT(saved->graph->output[0]->type->tensor_type->elem_type, DT_FLOAT);
        }
    }
    model_free(model);
    arena_free(arena);
}

/* Sequences and optionals are read; maps and what comes later are kept. */
TEST(save_keeps_types)
{
    Arena *arena = arena_new();
    Onnx__ModelProto *proto = pb_relu_model(arena);
    Onnx__TypeProto *tensor = proto->graph->input[0]->type;
    Onnx__TypeProto *sequence = proto_new(arena, &onnx__type_proto__descriptor, NULL);
    sequence->value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
    sequence->sequence_type = proto_new(arena, &onnx__type_proto__sequence__descriptor, NULL);
    sequence->sequence_type->elem_type = tensor;
    Onnx__TypeProto *optional = proto_new(arena, &onnx__type_proto__descriptor, NULL);
    optional->value_case = ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE;
    optional->optional_type = proto_new(arena, &onnx__type_proto__optional__descriptor, NULL);
    optional->optional_type->elem_type = sequence;
    Onnx__TypeProto *map = proto_new(arena, &onnx__type_proto__descriptor, NULL);
    map->value_case = ONNX__TYPE_PROTO__VALUE_MAP_TYPE;
    map->map_type = proto_new(arena, &onnx__type_proto__map__descriptor, NULL);
    map->map_type->has_key_type = 1;
    map->map_type->key_type = DT_INT64;
    map->map_type->value_type = tensor;
    const struct {
        const char *name;
        Onnx__TypeProto *type;
        TypeKind kind;
    } inputs[] = {{"s", sequence, TYPE_SEQUENCE}, {"o", optional, TYPE_OPTIONAL}, {"m", map, TYPE_OTHER}};
    for (size_t i = 0; i < COUNT_OF(inputs); i++) {
        pb_input(arena, proto->graph, inputs[i].name, DT_FLOAT, 0, NULL);
        proto->graph->input[i + 1]->type = inputs[i].type;
    }
    Model *model = NULL;
    size_t before, after = 0;
    unsigned char *data = pb_pack(proto, &before), *saved = NULL;
    CHECK_OK(onnx_load_memory(data, before, "m.onnx", &model));
    if (model != NULL) {
        for (int i = 0; i < 3; i++)
            CHECK_INT(model->graph->inputs[i + 1]->type.kind, inputs[i].kind);
        CHECK_INT(model->graph->inputs[2]->type.element->element->dtype, DT_FLOAT);
        CHECK_OK(onnx_save_memory(model, &saved, &after));
        CHECK(after == before && memcmp(saved, data, before) == 0);
    }
    free(saved);
    free(data);
    model_free(model);
    arena_free(arena);
}

TEST(save_counts_and_hashes)
{
    Arena *arena = arena_new();
    Model *model = NULL;
    SaveResult result = {0};
    FileMap map = {0};
    Sha256 sha;
    char hex[65];
    const char *path = arena_printf(arena, "%s/hash.onnx", test_folder());
    CHECK_OK(pb_load(rich_model(arena), &model));
    CHECK_OK(onnx_save(model, path, EXTERNAL_AUTO, &result));
    CHECK_OK(file_map(path, CODE_MODEL, &map));
    sha256_init(&sha);
    sha256_add(&sha, map.data, map.size);
    sha256_hex(&sha, hex);
    CHECK_INT(result.model_bytes, map.size);
    CHECK_TEXT(result.sha256, hex);
    file_unmap(&map);
    model_free(model);
    arena_free(arena);
}

TEST(load_counts_weights_against_the_memory_limit)
{
    Arena *arena = arena_new();
    Onnx__ModelProto *proto = pb_relu_model(arena);
    float *data = arena_array(arena, 1 << 16, sizeof *data);
    pb_initializer(arena, proto->graph, "w", DT_FLOAT, 1, (int64_t[]){1 << 16}, data, (size_t)4 << 16);
    Model *model = NULL;
    size_t before = memory_in_use();
    CHECK_OK(pb_load(proto, &model));
    CHECK(memory_in_use() >= before + ((size_t)4 << 16));
    CHECK(memory_in_use() < before + ((size_t)5 << 16)); /* once */
    model_free(model);
    model = NULL;
    CHECK_INT(memory_in_use(), before);
    memory_set_limit(before + 100000);
    CHECK_FAILS(pb_load(proto, &model), CODE_MEMORY, "m.onnx: ");
    memory_set_limit(0);
    CHECK_INT(memory_in_use(), before);
    model_free(model);
    arena_free(arena);
}
