/* tensor_proto.c - TensorProto <-> Tensor, dense and sparse.
 *
 *     raw_data                        little endian, 4- and 2-bit elements packed low bits first: pointed at
 *     float_data ... uint64_data      an array of the type itself (float, int64 ...): pointed at
 *     int32_data, uint64_data         one number an element (int8, float16 bits ...), or for 4- and 2-bit elements one
 *                                     packed byte a number: narrowed
 *     external_data                   see external.c
 *
 * Encoding: the comments of TensorProto in the ONNX specification.
 */
#include "src/onnx/proto.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "raw_data is little endian and is pointed at");

/* The dense form of a sparse tensor must be one that could stand in a file. */
#define SPARSE_MAX_BYTES PROTO_MAX_BYTES

/* One of the typed arrays of a TensorProto. */
typedef struct Field {
    const char *name;
    const void *data;
    size_t n;     /* numbers in it */
    size_t width; /* bytes of a number */
} Field;

static Field field_of(const Onnx__TensorProto *proto, DType dtype)
{
    switch (dtype) {
    case DT_FLOAT:
    case DT_COMPLEX64:
        return (Field){"float_data", proto->float_data, proto->n_float_data, 4};
    case DT_DOUBLE:
    case DT_COMPLEX128:
        return (Field){"double_data", proto->double_data, proto->n_double_data, 8};
    case DT_INT64:
        return (Field){"int64_data", proto->int64_data, proto->n_int64_data, 8};
    case DT_UINT32:
    case DT_UINT64:
        return (Field){"uint64_data", proto->uint64_data, proto->n_uint64_data, 8};
    default:
        return (Field){"int32_data", proto->int32_data, proto->n_int32_data, 4};
    }
}

/* Bytes that one number of the typed field becomes in a Tensor. */
static size_t stored_width(DType dtype)
{
    switch (dtype) {
    case DT_COMPLEX64:
        return 4;
    case DT_COMPLEX128:
        return 8;
    default:
        return (size_t)MAX(dtype_bits(dtype), 8) / 8;
    }
}

static void narrow(const Field *field, DType dtype, size_t width, void *to)
{
    if (field->width == 8) {
        const uint64_t *from = field->data;
        for (size_t i = 0; i < field->n; i++)
            ((uint32_t *)to)[i] = (uint32_t)from[i];
        return;
    }
    const int32_t *from = field->data;
    for (size_t i = 0; i < field->n; i++) {
        if (width == 2)
            ((uint16_t *)to)[i] = (uint16_t)from[i];
        else
            ((uint8_t *)to)[i] = (uint8_t)(dtype == DT_BOOL ? from[i] != 0 : from[i]);
    }
}

static MUST_USE Status wrong_size(Arena *arena, const Onnx__TensorProto *proto, const Tensor *tensor, const char *field,
                                  size_t found)
{
    return status_new(CODE_MODEL, "tensor '%s' (%s, %s) needs %zu bytes, its %s holds %zu", proto_text(proto->name),
                      dtype_name(tensor->dtype), tensor_shape_text(arena, tensor), tensor->bytes, field, found);
}

static MUST_USE Status read_typed(Arena *arena, const Onnx__TensorProto *proto, Tensor *tensor)
{
    Field field = field_of(proto, tensor->dtype);
    size_t width = stored_width(tensor->dtype);

    if (tensor->bytes / width != field.n)
        return wrong_size(arena, proto, tensor, field.name, field.n * width);
    if (width == field.width) {
        tensor->data = (void *)field.data;
        return NULL;
    }
    Tensor *converted;
    TRY(tensor_new(arena, tensor->dtype, tensor->rank, tensor->dims, &converted));
    narrow(&field, tensor->dtype, width, converted->data);
    *tensor = *converted;
    tensor->owned = false; /* the arena frees it */
    return NULL;
}

static MUST_USE Status read_strings(Arena *arena, const Onnx__TensorProto *proto, Tensor *tensor)
{
    if (proto->n_string_data != (size_t)tensor->count)
        return status_new(CODE_MODEL, "tensor '%s' (string, %s) needs %lld strings, its string_data holds %zu",
                          proto_text(proto->name), tensor_shape_text(arena, tensor), (long long)tensor->count,
                          proto->n_string_data);
    TensorString *strings = arena_array(arena, proto->n_string_data, sizeof *strings);
    for (size_t i = 0; i < proto->n_string_data; i++)
        strings[i] = (TensorString){(const char *)proto->string_data[i].data, proto->string_data[i].len};
    tensor->data = strings;
    return NULL;
}

/* Points at `bytes` of the tensor's size when they are aligned for its elements, else copies them. */
static MUST_USE Status point_at(Arena *arena, const void *bytes, Tensor *tensor)
{
    size_t align = tensor->dtype == DT_COMPLEX64 ? 4 : (size_t)MIN(MAX(dtype_bits(tensor->dtype), 8), 64) / 8;
    if ((uintptr_t)bytes % align == 0) {
        tensor->data = (void *)bytes;
        return NULL;
    }
    Tensor *copy;
    TRY(tensor_new(arena, tensor->dtype, tensor->rank, tensor->dims, &copy));
    memcpy(copy->data, bytes, tensor->bytes);
    *tensor = *copy;
    tensor->owned = false;
    return NULL;
}

static MUST_USE Status read_raw(Arena *arena, const Onnx__TensorProto *proto, Tensor *tensor)
{
    if (proto->raw_data.len != tensor->bytes)
        return wrong_size(arena, proto, tensor, "raw_data", proto->raw_data.len);
    return point_at(arena, proto->raw_data.data, tensor);
}

/* Type and shape; no data yet. */
static MUST_USE Status read_head(const Onnx__TensorProto *proto, Tensor *ret)
{
    Tensor tensor = {0};
    const char *name = proto_text(proto->name);

    if (proto->data_type <= 0 || proto->data_type > DT_LAST)
        return status_new(CODE_MODEL, "tensor '%s' has data type %d, which is unknown", name, proto->data_type);
    if (proto->segment != NULL)
        return status_new(CODE_MODEL, "tensor '%s' is stored in segments, which no runtime reads; write it whole",
                          name);
    if (proto->n_dims > TENSOR_MAX_RANK)
        return status_new(CODE_MODEL, "tensor '%s' has %zu dimensions, at most %d are supported", name, proto->n_dims,
                          TENSOR_MAX_RANK);
    tensor.dtype = (DType)proto->data_type;
    tensor.rank = (int)proto->n_dims;
    for (int d = 0; d < tensor.rank; d++)
        tensor.dims[d] = proto->dims[d];
    TRY(status_prefix(tensor_measure(tensor.dtype, tensor.rank, tensor.dims, &tensor.count, &tensor.bytes),
                      "tensor '%s'", name));
    *ret = tensor;
    return NULL;
}

Status tensor_from_proto(Arena *arena, const Onnx__TensorProto *proto, External *external, Tensor **ret)
{
    Tensor tensor;

    TRY(read_head(proto, &tensor));
    if (proto->has_data_location && proto->data_location == LOCATION_EXTERNAL) {
        const void *bytes = NULL;
        if (external == NULL || tensor.dtype == DT_STRING)
            return status_new(CODE_MODEL, "tensor '%s' keeps its data in another file, which %s cannot",
                              proto_text(proto->name), external == NULL ? "a tensor alone" : "strings");
        TRY(external_find(external, proto, tensor.bytes, &bytes));
        if (tensor.bytes != 0)
            TRY(point_at(arena, bytes, &tensor));
    } else if (tensor.dtype == DT_STRING) {
        TRY(read_strings(arena, proto, &tensor));
    } else if (proto->has_raw_data && (proto->raw_data.len != 0 || field_of(proto, tensor.dtype).n == 0)) {
        TRY(read_raw(arena, proto, &tensor));
    } else {
        TRY(read_typed(arena, proto, &tensor));
    }
    if (tensor.bytes == 0)
        TRY(tensor_view(&tensor, tensor.dtype, tensor.rank, tensor.dims, NULL));
    *ret = arena_copy(arena, &tensor, sizeof tensor);
    return NULL;
}

/* The linear index of the k-th value; -1 when it lies outside. */
static int64_t sparse_index(const Tensor *dense, const Tensor *indices, int64_t k)
{
    const int64_t *index = indices->data;
    if (indices->rank == 1)
        return index[k] < dense->count ? index[k] : -1;
    int64_t at = 0;
    for (int d = 0; d < dense->rank; d++) {
        int64_t i = index[k * dense->rank + d];
        if (i < 0 || i >= dense->dims[d])
            return -1;
        at = at * dense->dims[d] + i;
    }
    return at;
}

Status tensor_from_sparse(Arena *arena, const Onnx__SparseTensorProto *proto, External *external, Tensor **ret)
{
    Tensor *values, *indices, *dense;
    int64_t count;
    size_t bytes;

    if (proto->values == NULL || proto->indices == NULL)
        return status_new(CODE_MODEL, "a sparse tensor has no %s", proto->values == NULL ? "values" : "indices");
    const char *name = proto_text(proto->values->name);
    TRY(tensor_from_proto(arena, proto->values, external, &values));
    TRY(status_prefix(tensor_from_proto(arena, proto->indices, external, &indices), "indices of sparse tensor '%s'",
                      name));
    if (proto->n_dims > TENSOR_MAX_RANK)
        return status_new(CODE_MODEL, "sparse tensor '%s' has %zu dimensions, at most %d are supported", name,
                          proto->n_dims, TENSOR_MAX_RANK);
    int rank = (int)proto->n_dims;
    TRY(status_prefix(tensor_measure(values->dtype, rank, proto->dims, &count, &bytes), "sparse tensor '%s'", name));
    size_t width = (size_t)dtype_bits(values->dtype) / 8;
    if (width == 0 || values->rank != 1)
        return status_new(CODE_MODEL, "sparse tensor '%s' has values of type %s and rank %d; rank 1 and numbers of "
                          "whole bytes are supported", name, dtype_name(values->dtype), values->rank);
    if (bytes > SPARSE_MAX_BYTES)
        return status_new(CODE_MODEL, "sparse tensor '%s' takes %zu bytes as a dense one, at most %zu are supported",
                          name, bytes, SPARSE_MAX_BYTES);
    if (indices->dtype != DT_INT64 || (indices->rank != 1 && (indices->rank != 2 || indices->dims[1] != rank)) ||
        indices->dims[0] != values->count)
        return status_new(CODE_MODEL, "sparse tensor '%s' has %lld values, but indices of type %s and shape %s", name,
                          (long long)values->count, dtype_name(indices->dtype), tensor_shape_text(arena, indices));
    TRY(tensor_new(arena, values->dtype, rank, proto->dims, &dense));
    if (bytes > 0)
        memset(dense->data, 0, bytes);
    for (int64_t k = 0; k < values->count; k++) {
        int64_t at = sparse_index(dense, indices, k);
        if (at < 0)
            return status_new(CODE_MODEL, "sparse tensor '%s': index %lld lies outside shape %s", name, (long long)k,
                              tensor_shape_text(arena, dense));
        memcpy((char *)dense->data + (size_t)at * width, (const char *)values->data + (size_t)k * width, width);
    }
    *ret = dense;
    return NULL;
}

Onnx__TensorProto *tensor_to_proto(Arena *arena, const Tensor *tensor, const char *name,
                                   const Onnx__TensorProto *origin)
{
    Onnx__TensorProto *proto = proto_new(arena, &onnx__tensor_proto__descriptor, origin);

    proto->name = (char *)name;
    proto->has_data_type = 1;
    proto->data_type = (int32_t)tensor->dtype;
    proto->n_dims = (size_t)tensor->rank;
    proto->dims = arena_copy(arena, tensor->dims, proto->n_dims * sizeof *proto->dims);
    proto->segment = NULL;
    proto->n_float_data = proto->n_int32_data = proto->n_string_data = 0;
    proto->n_int64_data = proto->n_double_data = proto->n_uint64_data = 0;
    proto->n_external_data = 0;
    proto->has_data_location = 0;
    proto->has_raw_data = tensor->dtype != DT_STRING;
    if (tensor->dtype == DT_STRING) {
        const TensorString *strings = tensor->data;
        proto->n_string_data = (size_t)tensor->count;
        proto->string_data = arena_array(arena, proto->n_string_data, sizeof *proto->string_data);
        for (size_t i = 0; i < proto->n_string_data; i++)
            proto->string_data[i] = (ProtobufCBinaryData){strings[i].length, (uint8_t *)strings[i].data};
    } else {
        proto->raw_data = (ProtobufCBinaryData){tensor->bytes, tensor->data};
    }
    return proto;
}
