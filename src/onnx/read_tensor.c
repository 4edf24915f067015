/* read_tensor.c - one TensorProto in a file of its own (.pb): test data and calibration samples. Sequences too.
 *
 *     input_0.pb ─ wire_check ─ unpack ─ tensor_from_proto ─ a Tensor that owns its data; the message is gone
 */
#include "src/onnx/proto.h"

static MUST_USE Status copy_out(Arena *scratch, const Onnx__TensorProto *proto, Arena *arena, Tensor *ret,
                                const char **ret_name)
{
    Tensor *tensor;
    if (proto->base.n_unknown_fields > 0 || !proto->has_data_type)
        return status_new(CODE_MODEL, "not a tensor (TensorProto): it has %s",
                          proto->has_data_type ? "fields that a tensor has not" : "no data type");
    TRY(tensor_from_proto(scratch, proto, NULL, &tensor));
    if (tensor->dtype == DT_STRING) {
        TRY(tensor_own_text(tensor));
        *ret = *tensor;
    } else {
        TRY(tensor_copy(ret, tensor));
    }
    if (ret_name != NULL && arena != NULL)
        *ret_name = arena_strdup(arena, proto_text(proto->name));
    return NULL;
}

static MUST_USE Status read_file(const FileMap *map, Arena *arena, Tensor *ret, const char **ret_name)
{
    void *message;
    const char *format = sniff_format(map->data, map->size);
    if (format != NULL)
        return status_new(CODE_MODEL, "not a tensor (TensorProto) but %s", format);
    if (map->size == 0)
        return status_new(CODE_MODEL, "not a tensor (TensorProto): the file is empty");
    Arena *scratch = arena_new();
    Status status = status_prefix(proto_unpack(scratch, &onnx__tensor_proto__descriptor, map->data, map->size, &message),
                                  "not a tensor (TensorProto)");
    if (status == NULL)
        status = copy_out(scratch, message, arena, ret, ret_name);
    arena_free(scratch);
    return status;
}

Status onnx_read_tensor(const char *path, Arena *arena, Tensor *ret, const char **ret_name)
{
    FileMap map;
    TRY(file_map(path, CODE_MODEL, &map));
    Status status = read_file(&map, arena, ret, ret_name);
    file_unmap(&map);
    return status_prefix(status, "%s", path);
}

/* ---- sequences and optionals ------------------------------------------------------------------------------------- */

static MUST_USE Status copy_sequence(Arena *scratch, const Onnx__SequenceProto *proto, Tensor *ret)
{
    if (proto->n_sequence_values > 0 || proto->n_sparse_tensor_values > 0)
        return status_new(CODE_UNSUPPORTED, "only sequences of dense tensors can be read");
    int64_t n = (int64_t)proto->n_tensor_values;
    Tensor *elements = arena_array(scratch, proto->n_tensor_values, sizeof *elements);
    Tensor list;
    for (int64_t i = 0; i < n; i++) {
        Tensor *element;
        TRY(tensor_from_proto(scratch, proto->tensor_values[i], NULL, &element));
        if (element->dtype == DT_STRING)
            return status_new(CODE_UNSUPPORTED, "sequences of strings cannot be read");
        elements[i] = *element;
    }
    TRY(tensor_view(&list, DT_LIST, 1, &n, elements));
    return tensor_copy(ret, &list);
}

static MUST_USE Status copy_optional(Arena *scratch, const Onnx__OptionalProto *proto, Tensor *ret)
{
    if (proto->sequence_value != NULL)
        return copy_sequence(scratch, proto->sequence_value, ret);
    if (proto->tensor_value != NULL)
        return copy_out(scratch, proto->tensor_value, NULL, ret, NULL);
    return tensor_view(ret, DT_LIST, LIST_NONE_RANK, (int64_t[]){0, 0}, NULL);
}

Status onnx_read_value(const char *path, TypeKind kind, Tensor *ret)
{
    if (kind != TYPE_SEQUENCE && kind != TYPE_OPTIONAL)
        return onnx_read_tensor(path, NULL, ret, NULL);
    const ProtobufCMessageDescriptor *descriptor =
        kind == TYPE_SEQUENCE ? &onnx__sequence_proto__descriptor : &onnx__optional_proto__descriptor;
    FileMap map;
    void *message = NULL;
    TRY(file_map(path, CODE_MODEL, &map));
    Arena *scratch = arena_new();
    Status status = proto_unpack(scratch, descriptor, map.data, map.size, &message);
    if (status == NULL)
        status = kind == TYPE_SEQUENCE ? copy_sequence(scratch, message, ret) : copy_optional(scratch, message, ret);
    arena_free(scratch);
    file_unmap(&map);
    return status_prefix(status, "%s", path);
}
