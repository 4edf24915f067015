/* Tensors: every dtype in every encoding, sizes that do not fit, sparse ones, .pb files. */
#include "tests/onnx/protos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How the three numbers 1, 2, -1 (or what stands for them) are written for a dtype. */
typedef struct Encoding {
    DType dtype;
    double expected[3];
    int32_t int32[3]; /* int32_data, where that is the field */
    int n_int32;      /* 0: another field */
} Encoding;

static const Encoding encodings[] = {
    {DT_FLOAT, {1, 2, -1}, {0}, 0},
    {DT_UINT8, {1, 2, 255}, {1, 2, 255}, 3},
    {DT_INT8, {1, 2, -1}, {1, 2, -1}, 3},
    {DT_UINT16, {1, 2, 65535}, {1, 2, 65535}, 3},
    {DT_INT16, {1, 2, -1}, {1, 2, -1}, 3},
    {DT_INT32, {1, 2, -1}, {1, 2, -1}, 3},
    {DT_INT64, {1, 2, -1}, {0}, 0},
    {DT_BOOL, {1, 1, 1}, {1, 256, -1}, 3}, /* anything but 0 is true */
    {DT_FLOAT16, {1, 2, -1}, {0x3c00, 0x4000, 0xbc00}, 3},
    {DT_DOUBLE, {1, 2, -1}, {0}, 0},
    {DT_UINT32, {1, 2, 4294967295.0}, {0}, 0},
    {DT_UINT64, {1, 2, 18446744073709551615.0}, {0}, 0},
    {DT_BFLOAT16, {1, 2, -1}, {0x3f80, 0x4000, 0xbf80}, 3},
    {DT_UINT4, {1, 2, 15}, {0x21, 0x0f}, 2}, /* two elements a number, low bits first */
    {DT_INT4, {1, 2, -1}, {0x21, 0x0f}, 2},
    {DT_UINT2, {1, 2, 3}, {0x39}, 1}, /* four */
    {DT_INT2, {1, -2, -1}, {0x39}, 1},
};

static void fill_typed(Arena *arena, Onnx__TensorProto *proto, const Encoding *encoding)
{
    const double numbers[3] = {1, 2, -1};
    for (int i = 0; i < encoding->n_int32; i++)
        PB_APPEND(arena, proto, int32_data, encoding->int32[i]);
    for (int i = 0; i < 3 && encoding->n_int32 == 0; i++) {
        switch (encoding->dtype) {
        case DT_FLOAT:
            PB_APPEND(arena, proto, float_data, (float)numbers[i]);
            break;
        case DT_DOUBLE:
            PB_APPEND(arena, proto, double_data, numbers[i]);
            break;
        case DT_INT64:
            PB_APPEND(arena, proto, int64_data, (int64_t)numbers[i]);
            break;
        default:
            PB_APPEND(arena, proto, uint64_data, (uint64_t)(int64_t)numbers[i]);
            break;
        }
    }
}

static void check_numbers(const Tensor *tensor, const Encoding *encoding)
{
    CHECK_INT(tensor->dtype, encoding->dtype);
    CHECK_INT(tensor->count, 3);
    for (int i = 0; i < 3; i++)
        if (tensor_get(tensor, i) != encoding->expected[i])
            test_fail(__FILE__, __LINE__, "%s[%d] is %g, expected %g", dtype_name(tensor->dtype), i,
                      tensor_get(tensor, i), encoding->expected[i]);
}

TEST(tensor_typed_fields_of_every_dtype)
{
    Arena *arena = arena_new();
    for (size_t e = 0; e < COUNT_OF(encodings); e++) {
        Onnx__TensorProto *proto = pb_tensor(arena, "t", encodings[e].dtype, 1, (int64_t[]){3});
        Tensor *tensor = NULL;
        fill_typed(arena, proto, &encodings[e]);
        CHECK_OK(tensor_from_proto(arena, proto, NULL, &tensor));
        if (tensor == NULL)
            continue;
        check_numbers(tensor, &encodings[e]);
        /* The same through raw_data, which is how it is written, and packed and read again. */
        size_t bytes;
        void *message = NULL;
        unsigned char *packed = pb_pack(tensor_to_proto(arena, tensor, "t", proto), &bytes);
        CHECK_OK(proto_unpack(arena, &onnx__tensor_proto__descriptor, packed, bytes, &message));
        Onnx__TensorProto *back = message;
        CHECK(back->has_raw_data && back->n_int32_data == 0 && back->n_float_data == 0 && back->n_uint64_data == 0);
        CHECK_INT(back->raw_data.len, tensor->bytes);
        Tensor *again = NULL;
        CHECK_OK(tensor_from_proto(arena, back, NULL, &again));
        check_numbers(again, &encodings[e]);
        CHECK(again->data == back->raw_data.data); /* pointed at, not copied */
        free(packed);
    }
    arena_free(arena);
}

TEST(tensor_complex_and_strings)
{
    Arena *arena = arena_new();
    Tensor *tensor = NULL;
    Onnx__TensorProto *complex64 = pb_tensor(arena, "c", DT_COMPLEX64, 1, (int64_t[]){1});
    PB_APPEND(arena, complex64, float_data, 1.0f);
    CHECK_FAILS(tensor_from_proto(arena, complex64, NULL, &tensor), CODE_MODEL,
                "needs 8 bytes, its float_data holds 4");
    PB_APPEND(arena, complex64, float_data, 2.0f);
    CHECK_OK(tensor_from_proto(arena, complex64, NULL, &tensor));
    CHECK(tensor->bytes == 8 && ((const float *)tensor->data)[1] == 2.0f);

    Onnx__TensorProto *complex128 = pb_tensor(arena, "c", DT_COMPLEX128, 0, NULL);
    PB_APPEND(arena, complex128, double_data, 1.0);
    PB_APPEND(arena, complex128, double_data, 2.0);
    CHECK_OK(tensor_from_proto(arena, complex128, NULL, &tensor));
    CHECK(tensor->bytes == 16 && ((const double *)tensor->data)[1] == 2.0);

    Onnx__TensorProto *strings = pb_tensor(arena, "s", DT_STRING, 1, (int64_t[]){2});
    PB_APPEND(arena, strings, string_data, ((ProtobufCBinaryData){3, (uint8_t *)"a\0b"}));
    CHECK_FAILS(tensor_from_proto(arena, strings, NULL, &tensor), CODE_MODEL, "needs 2 strings");
    PB_APPEND(arena, strings, string_data, ((ProtobufCBinaryData){0, NULL}));
    CHECK_OK(tensor_from_proto(arena, strings, NULL, &tensor));
    CHECK_INT(((const TensorString *)tensor->data)[0].length, 3);
    CHECK_INT(tensor_to_proto(arena, tensor, "s", NULL)->string_data[0].len, 3);
    arena_free(arena);
}

TEST(tensor_empty)
{
    Arena *arena = arena_new();
    Tensor *tensor = NULL;
    const DType dtypes[] = {DT_FLOAT, DT_INT8, DT_STRING, DT_INT4, DT_UINT32};
    for (size_t i = 0; i < COUNT_OF(dtypes); i++) {
        CHECK_OK(tensor_from_proto(arena, pb_tensor(arena, "e", dtypes[i], 2, (int64_t[]){0, 4}), NULL, &tensor));
        CHECK(tensor->count == 0 && tensor->bytes == 0);
    }
    arena_free(arena);
}

TEST(tensor_refuses_what_does_not_fit)
{
    Arena *arena = arena_new();
    Tensor *tensor = NULL;
    Onnx__TensorProto *proto = pb_tensor(arena, "w", DT_FLOAT, 2, (int64_t[]){2, 3});
    CHECK_FAILS(tensor_from_proto(arena, proto, NULL, &tensor), CODE_MODEL,
                "tensor 'w' (float, 2x3) needs 24 bytes, its float_data holds 0");
    proto->has_raw_data = 1;
    proto->raw_data = (ProtobufCBinaryData){20, arena_alloc(arena, 20)};
    CHECK_FAILS(tensor_from_proto(arena, proto, NULL, &tensor), CODE_MODEL, "needs 24 bytes, its raw_data holds 20");
    proto->dims[0] = INT64_MAX;
    CHECK_FAILS(tensor_from_proto(arena, proto, NULL, &tensor), CODE_MODEL, "tensor 'w'");
    proto->dims[0] = -2;
    CHECK_FAILS(tensor_from_proto(arena, proto, NULL, &tensor), CODE_MODEL, "tensor 'w'");
    proto->dims[0] = 2;
    proto->data_type = 0;
    CHECK_FAILS(tensor_from_proto(arena, proto, NULL, &tensor), CODE_MODEL, "data type 0");
    proto->data_type = DT_LAST + 1;
    CHECK_FAILS(tensor_from_proto(arena, proto, NULL, &tensor), CODE_MODEL, "which is unknown");
    proto->data_type = DT_FLOAT;
    proto->segment = proto_new(arena, &onnx__tensor_proto__segment__descriptor, NULL);
    CHECK_FAILS(tensor_from_proto(arena, proto, NULL, &tensor), CODE_MODEL, "segments");
    const int64_t dims[17] = {0};
    CHECK_FAILS(tensor_from_proto(arena, pb_tensor(arena, "r", DT_FLOAT, 17, dims), NULL, &tensor), CODE_MODEL,
                "17 dimensions");
    arena_free(arena);
}

static Onnx__SparseTensorProto *sparse(Arena *arena, const int64_t *indices, int n_index, int rank)
{
    Onnx__SparseTensorProto *proto = proto_new(arena, &onnx__sparse_tensor_proto__descriptor, NULL);
    const int64_t dims[2] = {2, n_index / 2};
    proto->values = pb_tensor(arena, "s", DT_FLOAT, 1, dims);
    PB_APPEND(arena, proto->values, float_data, 5.0f);
    PB_APPEND(arena, proto->values, float_data, 7.0f);
    proto->indices = pb_tensor(arena, "", DT_INT64, rank, dims);
    for (int i = 0; i < n_index; i++)
        PB_APPEND(arena, proto->indices, int64_data, indices[i]);
    PB_APPEND(arena, proto, dims, 2);
    PB_APPEND(arena, proto, dims, 3);
    return proto;
}

TEST(tensor_sparse_becomes_dense)
{
    Arena *arena = arena_new();
    const float expected[6] = {0, 5, 0, 0, 0, 7};
    Tensor *tensor = NULL;
    CHECK_OK(tensor_from_sparse(arena, sparse(arena, (int64_t[]){1, 5}, 2, 1), NULL, &tensor));
    CHECK(tensor != NULL && tensor->bytes == sizeof expected && memcmp(tensor->data, expected, sizeof expected) == 0);
    CHECK_OK(tensor_from_sparse(arena, sparse(arena, (int64_t[]){0, 1, 1, 2}, 4, 2), NULL, &tensor));
    CHECK(memcmp(tensor->data, expected, sizeof expected) == 0);
    CHECK_FAILS(tensor_from_sparse(arena, sparse(arena, (int64_t[]){1, 6}, 2, 1), NULL, &tensor), CODE_MODEL,
                "index 1 lies outside");
    CHECK_FAILS(tensor_from_sparse(arena, sparse(arena, (int64_t[]){-1, 5}, 2, 1), NULL, &tensor), CODE_MODEL,
                "index 0 lies outside");
    CHECK_FAILS(tensor_from_sparse(arena, sparse(arena, (int64_t[]){0, 3, 1, 2}, 4, 2), NULL, &tensor), CODE_MODEL,
                "index 0 lies outside");
    Onnx__SparseTensorProto *huge = sparse(arena, (int64_t[]){1, 5}, 2, 1);
    huge->dims[0] = (int64_t)1 << 40;
    CHECK_FAILS(tensor_from_sparse(arena, huge, NULL, &tensor), CODE_MODEL, "as a dense one");
    huge->values = NULL;
    CHECK_FAILS(tensor_from_sparse(arena, huge, NULL, &tensor), CODE_MODEL, "no values");

    Onnx__ModelProto *proto = pb_relu_model(arena);
    proto->graph->node[0]->input[0] = PB_TEXT("s");
    PB_APPEND(arena, proto->graph, sparse_initializer, sparse(arena, (int64_t[]){1, 5}, 2, 1));
    Model *model = NULL;
    CHECK_OK(pb_load(proto, &model));
    CHECK(model != NULL && node_constant(model->graph->first, 0) != NULL);
    model_free(model);
    arena_free(arena);
}

static const char *write_pb(const void *data, size_t bytes)
{
    static char path[128];
    AtomicFile *file;
    snprintf(path, sizeof path, "%s/tensor.pb", test_folder());
    CHECK_OK(atomic_open(path, &file));
    CHECK_OK(atomic_write(file, data, bytes));
    CHECK_OK(atomic_commit(file));
    return path;
}

TEST(read_tensor_files)
{
    Arena *arena = arena_new();
    Tensor tensor = {0};
    const char *name = NULL;
    size_t bytes;
    Onnx__TensorProto *proto = pb_tensor(arena, "in", DT_INT64, 1, (int64_t[]){2});
    PB_APPEND(arena, proto, int64_data, 3);
    PB_APPEND(arena, proto, int64_data, -4);
    unsigned char *data = pb_pack(proto, &bytes);
    CHECK_OK(onnx_read_tensor(write_pb(data, bytes), arena, &tensor, &name));
    CHECK(tensor.owned && tensor_get_int(&tensor, 1) == -4);
    CHECK_TEXT(name, "in");
    tensor_release(&tensor);
    CHECK_FAILS(onnx_read_tensor(write_pb(data, bytes - 3), NULL, &tensor, NULL), CODE_MODEL, "tensor.pb: ");
    free(data);

    proto = pb_tensor(arena, "", DT_STRING, 1, (int64_t[]){2});
    PB_APPEND(arena, proto, string_data, ((ProtobufCBinaryData){3, (uint8_t *)"one"}));
    PB_APPEND(arena, proto, string_data, ((ProtobufCBinaryData){5, (uint8_t *)"seven"}));
    data = pb_pack(proto, &bytes);
    CHECK_OK(onnx_read_tensor(write_pb(data, bytes), NULL, &tensor, NULL));
    free(data);
    const TensorString *strings = tensor.data;
    CHECK(strings[1].length == 5 && memcmp(strings[1].data, "seven", 5) == 0);
    tensor_release(&tensor);

    data = pb_pack(pb_relu_model(arena), &bytes);
    CHECK_FAILS(onnx_read_tensor(write_pb(data, bytes), NULL, &tensor, NULL), CODE_MODEL, "not a tensor");
    free(data);
    CHECK_FAILS(onnx_read_tensor(write_pb("", 0), NULL, &tensor, NULL), CODE_MODEL, "empty");
    CHECK_FAILS(onnx_read_tensor(write_pb("\x93NUMPY", 6), NULL, &tensor, NULL), CODE_MODEL, "a NumPy array");
    arena_free(arena);
}
