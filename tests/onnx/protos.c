/* protos.c - see protos.h. */
#include "tests/onnx/protos.h"

#include <stdlib.h>
#include <string.h>

void *pb_grown(Arena *arena, const void *array, size_t n, size_t size)
{
    void *grown = arena_array(arena, n + 1, size);
    if (n > 0)
        memcpy(grown, array, n * size);
    return grown;
}

Onnx__GraphProto *pb_graph(Arena *arena, const char *name)
{
    Onnx__GraphProto *graph = proto_new(arena, &onnx__graph_proto__descriptor, NULL);
    graph->name = arena_strdup(arena, name);
    return graph;
}

Onnx__ModelProto *pb_model(Arena *arena)
{
    Onnx__ModelProto *model = proto_new(arena, &onnx__model_proto__descriptor, NULL);
    Onnx__OperatorSetIdProto *opset = proto_new(arena, &onnx__operator_set_id_proto__descriptor, NULL);
    model->has_ir_version = 1;
    model->ir_version = 8;
    opset->has_version = 1;
    opset->version = 13;
    PB_APPEND(arena, model, opset_import, opset);
    model->graph = pb_graph(arena, "g");
    return model;
}

Onnx__ValueInfoProto *pb_info(Arena *arena, const char *name, DType dtype, int rank, const int64_t *dims)
{
    Onnx__ValueInfoProto *info = proto_new(arena, &onnx__value_info_proto__descriptor, NULL);
    Shape shape = shape_of(rank, dims);
    Type type = type_tensor(dtype, &shape);
    info->name = arena_strdup(arena, name);
    info->type = type_to_proto(arena, &type, NULL);
    return info;
}

void pb_input(Arena *arena, Onnx__GraphProto *graph, const char *name, DType dtype, int rank, const int64_t *dims)
{
    PB_APPEND(arena, graph, input, pb_info(arena, name, dtype, rank, dims));
}

void pb_output(Arena *arena, Onnx__GraphProto *graph, const char *name, DType dtype, int rank, const int64_t *dims)
{
    PB_APPEND(arena, graph, output, pb_info(arena, name, dtype, rank, dims));
}

/* "a,,b" -> {"a", "", "b"}; "" -> {}. */
static char **split(Arena *arena, const char *list, size_t *ret_n)
{
    char **names = NULL;
    size_t n = 0;
    while (*list != '\0' || (n > 0 && list[-1] == ',')) {
        size_t length = strcspn(list, ",");
        names = pb_grown(arena, names, n, sizeof *names);
        names[n++] = arena_strndup(arena, list, length);
        list += length;
        if (*list == '\0')
            break;
        list++;
    }
    *ret_n = n;
    return names;
}

Onnx__NodeProto *pb_node(Arena *arena, Onnx__GraphProto *graph, const char *op, const char *name, const char *in,
                         const char *out)
{
    Onnx__NodeProto *node = proto_new(arena, &onnx__node_proto__descriptor, NULL);
    node->op_type = arena_strdup(arena, op);
    node->name = arena_strdup(arena, name);
    node->input = split(arena, in, &node->n_input);
    node->output = split(arena, out, &node->n_output);
    PB_APPEND(arena, graph, node, node);
    return node;
}

Onnx__AttributeProto *pb_attr(Arena *arena, Onnx__NodeProto *node, const char *name, AttrKind type)
{
    Onnx__AttributeProto *attr = proto_new(arena, &onnx__attribute_proto__descriptor, NULL);
    attr->name = arena_strdup(arena, name);
    attr->has_type = 1;
    attr->type = (int32_t)type;
    PB_APPEND(arena, node, attribute, attr);
    return attr;
}

Onnx__TensorProto *pb_tensor(Arena *arena, const char *name, DType dtype, int rank, const int64_t *dims)
{
    Onnx__TensorProto *tensor = proto_new(arena, &onnx__tensor_proto__descriptor, NULL);
    tensor->name = arena_strdup(arena, name);
    tensor->has_data_type = 1;
    tensor->data_type = (int32_t)dtype;
    for (int d = 0; d < rank; d++)
        PB_APPEND(arena, tensor, dims, dims[d]);
    return tensor;
}

Onnx__TensorProto *pb_initializer(Arena *arena, Onnx__GraphProto *graph, const char *name, DType dtype, int rank,
                                  const int64_t *dims, const void *data, size_t bytes)
{
    Onnx__TensorProto *tensor = pb_tensor(arena, name, dtype, rank, dims);
    tensor->has_raw_data = 1;
    tensor->raw_data = (ProtobufCBinaryData){bytes, arena_copy(arena, data, bytes)};
    PB_APPEND(arena, graph, initializer, tensor);
    return tensor;
}

Onnx__StringStringEntryProto *pb_entry(Arena *arena, const char *key, const char *value)
{
    Onnx__StringStringEntryProto *entry = proto_new(arena, &onnx__string_string_entry_proto__descriptor, NULL);
    entry->key = arena_strdup(arena, key);
    entry->value = arena_strdup(arena, value);
    return entry;
}

Onnx__ModelProto *pb_relu_model(Arena *arena)
{
    const int64_t dims[] = {2, 3};
    Onnx__ModelProto *model = pb_model(arena);
    pb_input(arena, model->graph, "x", DT_FLOAT, 2, dims);
    pb_node(arena, model->graph, "Relu", "r", "x", "y");
    pb_output(arena, model->graph, "y", DT_FLOAT, 2, dims);
    return model;
}

unsigned char *pb_pack(const void *message, size_t *ret_bytes)
{
    *ret_bytes = protobuf_c_message_get_packed_size(message);
    unsigned char *data = xcalloc(*ret_bytes, 1);
    protobuf_c_message_pack(message, data);
    return data;
}

Status pb_load(const Onnx__ModelProto *model, Model **ret)
{
    size_t bytes;
    unsigned char *data = pb_pack(model, &bytes);
    Status status = onnx_load_memory(data, bytes, "m.onnx", ret);
    free(data);
    return status;
}

void pb_refused(const char *file, int line, const Onnx__ModelProto *model, const char *part)
{
    Model *loaded = NULL;
    test_status(file, line, pb_load(model, &loaded), CODE_MODEL, part);
    model_free(loaded);
}

Onnx__ModelProto *pb_saved(Arena *arena, const Model *model)
{
    unsigned char *data = NULL;
    size_t bytes = 0;
    void *proto = NULL;
    CHECK_OK(onnx_save_memory(model, &data, &bytes));
    if (data != NULL)
        CHECK_OK(proto_unpack(arena, &onnx__model_proto__descriptor, data, bytes, &proto));
    free(data);
    return proto;
}
