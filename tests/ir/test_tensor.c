/* dtype.c, tensor.c, element.c */
#include "src/ir/ir.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

TEST(dtype_names_read_back)
{
    for (int i = 1; i <= DT_LAST; i++)
        CHECK_INT(dtype_from_name(dtype_name((DType)i)), i);
    CHECK_TEXT(dtype_name(DT_FLOAT), "float");
    CHECK_TEXT(dtype_name(DT_INT4), "int4");
    CHECK_TEXT(dtype_name((DType)999), "undefined");
    CHECK_TEXT(dtype_name((DType)-1), "undefined");
    CHECK_INT(dtype_from_name("floaty"), DT_UNDEFINED);
    CHECK_INT(dtype_from_name("undefined"), DT_UNDEFINED);
}

TEST(dtype_kinds_and_sizes)
{
    CHECK_INT(dtype_bits(DT_FLOAT), 32);
    CHECK_INT(dtype_bits(DT_COMPLEX128), 128);
    CHECK_INT(dtype_bits(DT_UINT2), 2);
    CHECK_INT(dtype_bits(DT_STRING), 0);
    CHECK(dtype_is_float(DT_BFLOAT16) && !dtype_is_float(DT_INT8) && !dtype_is_float(DT_FLOAT8E5M2));
    CHECK(dtype_is_integer(DT_UINT64) && dtype_is_integer(DT_INT2) && !dtype_is_integer(DT_BOOL));
}

TEST(tensor_measure_counts_and_packs)
{
    int64_t count, dims[] = {2, 3};
    size_t bytes;
    CHECK_OK(tensor_measure(DT_FLOAT, 2, dims, &count, &bytes));
    CHECK_INT(count, 6);
    CHECK_INT(bytes, 24);
    CHECK_OK(tensor_measure(DT_DOUBLE, 0, NULL, &count, &bytes));
    CHECK_INT(count, 1);
    CHECK_INT(bytes, 8);
    int64_t odd[] = {5};
    CHECK_OK(tensor_measure(DT_INT4, 1, odd, NULL, &bytes));
    CHECK_INT(bytes, 3);
    CHECK_OK(tensor_measure(DT_UINT2, 1, odd, NULL, &bytes));
    CHECK_INT(bytes, 2);
    CHECK_OK(tensor_measure(DT_STRING, 1, odd, NULL, &bytes));
    CHECK_INT(bytes, 5 * sizeof(TensorString));
    int64_t none[] = {4, 0, 7};
    CHECK_OK(tensor_measure(DT_INT8, 3, none, &count, &bytes));
    CHECK_INT(count, 0);
    CHECK_INT(bytes, 0);
}

TEST(tensor_measure_refuses_what_a_file_must_not_ask_for)
{
    int64_t count = 77, negative[] = {2, -1}, big[] = {INT64_MAX, INT64_MAX}, wide[] = {INT64_MAX / 2};
    int64_t hidden[] = {0, INT64_MAX, INT64_MAX}, many[17] = {0};
    size_t bytes = 77;
    CHECK_FAILS(tensor_measure(DT_FLOAT, 2, negative, &count, &bytes), CODE_MODEL, "dimension 1");
    CHECK_FAILS(tensor_measure(DT_INT8, 2, big, &count, &bytes), CODE_MODEL, "more elements");
    CHECK_FAILS(tensor_measure(DT_FLOAT, 1, wide, &count, &bytes), CODE_MODEL, "more elements");
    CHECK_FAILS(tensor_measure(DT_INT8, 3, hidden, &count, &bytes), CODE_MODEL, "more elements");
    CHECK_FAILS(tensor_measure(DT_FLOAT, 17, many, &count, &bytes), CODE_MODEL, "rank 17");
    CHECK_FAILS(tensor_measure(DT_FLOAT, -1, many, &count, &bytes), CODE_MODEL, "rank -1");
    CHECK_FAILS(tensor_measure(DT_UNDEFINED, 0, NULL, &count, &bytes), CODE_MODEL, "element type 0");
    CHECK_FAILS(tensor_measure((DType)99, 0, NULL, &count, &bytes), CODE_MODEL, "element type 99");
    CHECK_INT(count, 77);
    CHECK_INT(bytes, 77);
}

TEST(tensor_copy_and_equal)
{
    int64_t dims[] = {2, 2}, flat[] = {4};
    float data[] = {1, 2, 3, 4};
    Tensor view, copy, other;
    CHECK_OK(tensor_view(&view, DT_FLOAT, 2, dims, data));
    CHECK(!view.owned && view.data == data);
    CHECK_OK(tensor_copy(&copy, &view));
    CHECK(copy.owned && copy.data != data && tensor_equal(&view, &copy));
    tensor_set(&copy, 3, 5);
    CHECK(!tensor_equal(&view, &copy) && tensor_same_shape(&view, &copy));
    CHECK_OK(tensor_view(&other, DT_FLOAT, 1, flat, data));
    CHECK(!tensor_equal(&view, &other) && !tensor_same_shape(&view, &other));
    tensor_release(&copy);
    CHECK(copy.data == NULL && copy.count == 0);
    tensor_release(&view);
    tensor_release(NULL);
}

TEST(tensor_equal_ignores_padding_bits_and_compares_strings)
{
    int64_t three[] = {3}, two[] = {2};
    unsigned char x[] = {0x21, 0x03}, y[] = {0x21, 0xf3}, z[] = {0x21, 0x04};
    Tensor a, b, c;
    CHECK_OK(tensor_view(&a, DT_INT4, 1, three, x));
    CHECK_OK(tensor_view(&b, DT_INT4, 1, three, y));
    CHECK_OK(tensor_view(&c, DT_INT4, 1, three, z));
    CHECK(tensor_equal(&a, &b) && !tensor_equal(&a, &c));
    TensorString s[] = {{"one", 3}, {NULL, 0}}, t[] = {{"one!", 3}, {"", 0}}, u[] = {{"one", 3}, {"x", 1}};
    CHECK_OK(tensor_view(&a, DT_STRING, 1, two, s));
    CHECK_OK(tensor_view(&b, DT_STRING, 1, two, t));
    CHECK_OK(tensor_view(&c, DT_STRING, 1, two, u));
    CHECK(tensor_equal(&a, &b) && !tensor_equal(&a, &c));
}

TEST(tensor_elements_of_every_integer_type)
{
    static const struct {
        DType dtype;
        double low, high;
    } rows[] = {
        {DT_INT8, -128, 127},          {DT_UINT8, 0, 255},          {DT_INT16, -32768, 32767}, {DT_UINT16, 0, 65535},
        {DT_INT32, INT32_MIN, INT32_MAX}, {DT_UINT32, 0, UINT32_MAX}, {DT_INT4, -8, 7},          {DT_UINT4, 0, 15},
        {DT_INT2, -2, 1},              {DT_UINT2, 0, 3},
    };
    for (size_t r = 0; r < COUNT_OF(rows); r++) {
        unsigned char data[8 * 5];
        int64_t dims[] = {5};
        Tensor t;
        memset(data, 0xff, sizeof data);
        CHECK_OK(tensor_view(&t, rows[r].dtype, 1, dims, data));
        double in[] = {-1e30, 1e30, 0.5, 1.5, (double)NAN};
        for (int i = 0; i < 5; i++)
            tensor_set(&t, i, in[i]);
        CHECK_NEAR(tensor_get(&t, 0), rows[r].low, 0);
        CHECK_NEAR(tensor_get(&t, 1), rows[r].high, 0);
        CHECK_NEAR(tensor_get(&t, 2), 0, 0);
        CHECK_NEAR(tensor_get(&t, 3), MIN(2, rows[r].high), 0);
        CHECK_INT(tensor_get_int(&t, 0), (long long)rows[r].low);
        CHECK_INT(tensor_get_int(&t, 4), 0);
    }
}

TEST(tensor_elements_of_64_bits_saturate)
{
    int64_t signed_data[3], dims[] = {3};
    uint64_t unsigned_data[3];
    Tensor t;
    CHECK_OK(tensor_view(&t, DT_INT64, 1, dims, signed_data));
    tensor_set(&t, 0, 1e300);
    tensor_set(&t, 1, -1e300);
    tensor_set(&t, 2, -3.0);
    CHECK(signed_data[0] == INT64_MAX && signed_data[1] == INT64_MIN && signed_data[2] == -3);
    CHECK(tensor_get_int(&t, 0) == INT64_MAX && tensor_get_int(&t, 1) == INT64_MIN);
    CHECK_OK(tensor_view(&t, DT_UINT64, 1, dims, unsigned_data));
    tensor_set(&t, 0, 1e300);
    tensor_set(&t, 1, -1);
    tensor_set(&t, 2, 0x1p63);
    CHECK(unsigned_data[0] == UINT64_MAX && unsigned_data[1] == 0 && unsigned_data[2] == UINT64_C(1) << 63);
    CHECK(tensor_get_int(&t, 2) == INT64_MAX);
    CHECK_NEAR(tensor_get(&t, 2), 0x1p63, 0);
}

TEST(tensor_elements_of_floats)
{
    static const DType types[] = {DT_FLOAT, DT_DOUBLE, DT_FLOAT16, DT_BFLOAT16, DT_COMPLEX64, DT_COMPLEX128};
    for (size_t r = 0; r < COUNT_OF(types); r++) {
        unsigned char data[16 * 4];
        int64_t dims[] = {4};
        Tensor t;
        CHECK_OK(tensor_view(&t, types[r], 1, dims, data));
        tensor_set(&t, 0, -1.5);
        tensor_set(&t, 1, (double)INFINITY);
        tensor_set(&t, 2, (double)NAN);
        tensor_set(&t, 3, 96);
        CHECK_NEAR(tensor_get(&t, 0), -1.5, 0);
        CHECK(isinf(tensor_get(&t, 1)) && isnan(tensor_get(&t, 2)));
        CHECK_INT(tensor_get_int(&t, 0), -1);
        CHECK(tensor_get_int(&t, 1) == INT64_MAX);
        CHECK_INT(tensor_get_int(&t, 2), 0);
        CHECK_INT(tensor_get_int(&t, 3), 96);
    }
    bool truth[2];
    int64_t two[] = {2};
    Tensor t;
    CHECK_OK(tensor_view(&t, DT_BOOL, 1, two, truth));
    tensor_set(&t, 0, 0.25);
    tensor_set(&t, 1, 0);
    CHECK(truth[0] && !truth[1]);
    CHECK_NEAR(tensor_get(&t, 0), 1, 0);
}

/* Values of the codes are from the tables in ONNX's float8 page and the OCP formats. */
TEST(tensor_elements_of_small_floats)
{
    static const struct {
        DType dtype;
        unsigned char code;
        double value;
    } rows[] = {
        {DT_FLOAT8E4M3FN, 0x7e, 448},      {DT_FLOAT8E4M3FN, 0x01, 0x1p-9},   {DT_FLOAT8E4M3FN, 0xb8, -1},
        {DT_FLOAT8E4M3FNUZ, 0x7f, 240},    {DT_FLOAT8E4M3FNUZ, 0x01, 0x1p-10}, {DT_FLOAT8E5M2, 0x7b, 57344},
        {DT_FLOAT8E5M2, 0x01, 0x1p-16},    {DT_FLOAT8E5M2, 0x3c, 1},          {DT_FLOAT8E5M2FNUZ, 0x7f, 57344},
        {DT_FLOAT8E5M2FNUZ, 0x01, 0x1p-17}, {DT_FLOAT8E8M0, 0x7f, 1},         {DT_FLOAT8E8M0, 0xfe, 0x1p127},
        {DT_FLOAT8E8M0, 0x00, 0x1p-127},   {DT_FLOAT4E2M1, 0x7, 6},           {DT_FLOAT4E2M1, 0x9, -0.5},
    };
    for (size_t r = 0; r < COUNT_OF(rows); r++) {
        unsigned char data = rows[r].code;
        Tensor t;
        CHECK_OK(tensor_view(&t, rows[r].dtype, 0, NULL, &data));
        CHECK_NEAR(tensor_get(&t, 0), rows[r].value, 0);
        data = 0;
        tensor_set(&t, 0, rows[r].value);
        CHECK_INT(data, rows[r].code);
    }
    unsigned char data = 0x7f;
    Tensor t;
    CHECK_OK(tensor_view(&t, DT_FLOAT8E4M3FN, 0, NULL, &data));
    CHECK(isnan(tensor_get(&t, 0)));
    tensor_set(&t, 0, 1e9);
    CHECK_NEAR(tensor_get(&t, 0), 448, 0);
    tensor_set(&t, 0, 17); /* between 16 and 18: the tie goes to the even code */
    CHECK_NEAR(tensor_get(&t, 0), 16, 0);
    tensor_set(&t, 0, 19);
    CHECK_NEAR(tensor_get(&t, 0), 20, 0);
    CHECK_OK(tensor_view(&t, DT_FLOAT8E5M2, 0, NULL, &data));
    data = 0xfc;
    CHECK(isinf(tensor_get(&t, 0)) && tensor_get(&t, 0) < 0);
    CHECK_OK(tensor_view(&t, DT_FLOAT8E5M2FNUZ, 0, NULL, &data));
    data = 0x80;
    CHECK(isnan(tensor_get(&t, 0)));
    tensor_set(&t, 0, -1e-30);
    CHECK_INT(data, 0); /* there is no negative zero */
}

TEST(tensor_packed_neighbours_stay)
{
    unsigned char data[] = {0xff, 0xff};
    int64_t dims[] = {4};
    Tensor t;
    CHECK_OK(tensor_view(&t, DT_UINT4, 1, dims, data));
    tensor_set(&t, 1, 2);
    CHECK_INT(data[0], 0x2f);
    CHECK_INT(data[1], 0xff);
}

TEST(tensor_news_live_in_the_arena)
{
    Arena *arena = arena_new();
    int64_t dims[] = {2}, ints[] = {7, -8}, large[] = {1000};
    float floats[] = {0.5f, -2};
    Tensor *a = tensor_new_floats(arena, 1, dims, floats), *b = tensor_new_ints(arena, 1, dims, ints), *c = NULL;
    CHECK_NEAR(tensor_get(a, 1), -2, 0);
    CHECK_INT(tensor_get_int(b, 1), -8);
    CHECK(!a->owned && a->data != floats);
    Tensor *zero_point = tensor_new_scalar(arena, DT_UINT8, 128);
    CHECK_INT(zero_point->rank, 0);
    CHECK_INT(tensor_get_int(zero_point, 0), 128);
    int64_t none[] = {0};
    CHECK_INT(tensor_new_ints(arena, 1, none, NULL)->count, 0);

    size_t before = memory_in_use();
    ArenaMark mark = arena_mark(arena);
    CHECK_OK(tensor_new(arena, DT_INT32, 1, large, &c));
    CHECK(memory_in_use() >= before + 4000);
    memset(c->data, 1, c->bytes);
    arena_rewind(arena, mark);
    memset(arena_alloc(arena, 4096), 0x5a, 4096); /* may take the place of what the rewind gave back */
    arena_free(arena);
    CHECK_INT(memory_in_use(), before);
}

TEST(tensor_new_fails_within_the_limit)
{
    Arena *arena = arena_new();
    Tensor *t = NULL;
    int64_t dims[] = {1 << 20};
    memory_set_limit(memory_in_use() + 1000);
    CHECK_FAILS(tensor_new(arena, DT_FLOAT, 1, dims, &t), CODE_MEMORY, "");
    memory_set_limit(0);
    CHECK(t == NULL);
    arena_free(arena);
}
