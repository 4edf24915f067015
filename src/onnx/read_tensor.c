/* read_tensor.c - one TensorProto in a file of its own (.pb): test data and calibration samples.
 *
 *     input_0.pb ─ wire_check ─ unpack ─ tensor_from_proto ─ a Tensor that owns its data; the message is gone
 */
#include "src/onnx/proto.h"

#include <string.h>

/* One block with the strings' bytes behind the strings, so that tensor_release() frees all. */
static MUST_USE Status own_strings(Tensor *tensor)
{
    const TensorString *from = tensor->data;
    size_t all = tensor->bytes;
    for (int64_t i = 0; i < tensor->count; i++)
        if (!size_add(all, from[i].length, &all))
            return status_new(CODE_MEMORY, "a string tensor is larger than memory");
    void *block;
    TRY(memory_alloc(all, &block));
    TensorString *to = block;
    char *text = (char *)block + tensor->bytes;
    for (int64_t i = 0; i < tensor->count; i++) {
        to[i] = (TensorString){text, from[i].length};
        if (from[i].length > 0)
            memcpy(text, from[i].data, from[i].length);
        text += from[i].length;
    }
    tensor->data = block;
    tensor->owned = true;
    return NULL;
}

static MUST_USE Status copy_out(Arena *scratch, const Onnx__TensorProto *proto, Arena *arena, Tensor *ret,
                                const char **ret_name)
{
    Tensor *tensor;
    if (proto->base.n_unknown_fields > 0 || !proto->has_data_type)
        return status_new(CODE_MODEL, "not a tensor (TensorProto): it has %s",
                          proto->has_data_type ? "fields that a tensor has not" : "no data type");
    TRY(tensor_from_proto(scratch, proto, NULL, &tensor));
    if (tensor->dtype == DT_STRING) {
        TRY(own_strings(tensor));
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
    TRY(status_prefix(proto_unpack(&onnx__tensor_proto__descriptor, map->data, map->size, &message),
                      "not a tensor (TensorProto)"));
    Arena *scratch = arena_new();
    Status status = copy_out(scratch, message, arena, ret, ret_name);
    arena_free(scratch);
    proto_free(message);
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
