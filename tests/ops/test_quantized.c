/* test_quantized.c - quantized ops as nodes: parameters, saturation, and the fast forms against the exact ones. */
#include "tests/test.h"

#include <math.h>
#include <string.h>

#include "src/base/base.h"
#include "tests/kernels/random.h"
#include "tests/ops/mini.h"
#include "tests/ops/one_node.h"

static Tensor number(const float *scale)
{
    return over(DT_FLOAT, 0, NULL, scale);
}

static Tensor byte(DType dtype, const void *zero)
{
    return over(dtype, 0, NULL, zero);
}

TEST(quantize_linear_node_along_an_axis)
{
    const float x[] = {1, 2, 3, 10, 20, 30}, scale[] = {1, 10, 0.5F};
    const int8_t zero[] = {0, -1, 2};
    Tensor in[] = {over(DT_FLOAT, 2, DIMS(2, 3), x), over(DT_FLOAT, 1, DIMS(3), scale),
                   over(DT_INT8, 1, DIMS(3), zero)};
    OneNode one = one_node("QuantizeLinear", "", 13, in, 3, 1);

    CHECK_OK(one_node_run(&one, true));
    CHECK(memcmp(one.out[0].data, (int8_t[]){1, -1, 8, 10, 1, 62}, 6) == 0); /* 0.2 rounds to 0 */
    one_node_free(&one);
    in[1] = over(DT_FLOAT, 1, DIMS(2), scale);
    in[2] = over(DT_INT8, 1, DIMS(2), zero);
    one = one_node("QuantizeLinear", "", 13, in, 3, 1);
    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "axis 1 of the input has 3 elements");
    one_node_free(&one);
}

TEST(quantize_linear_node_knows_blocks_and_small_types)
{
    const float x[] = {1, 2, 3, 4, 5, 100}, scale[] = {1, 2};
    const uint8_t zero[] = {0x10}; /* two uint4: 0 and 1 */
    Tensor in[] = {over(DT_FLOAT, 1, DIMS(6), x), over(DT_FLOAT, 1, DIMS(2), scale), over(DT_UINT4, 1, DIMS(2), zero)};
    OneNode one = one_node("QuantizeLinear", "", 21, in, 3, 1);
    const int expected[] = {1, 2, 3, 3, 3, 15}; /* 4 / 2 + 1; 2.5 rounds to 2; saturated */

    node_set_int(one.node, "axis", 0);
    node_set_int(one.node, "block_size", 3);
    CHECK_OK(one_node_run(&one, true));
    for (int i = 0; i < 6; i++)
        CHECK_INT(tensor_get_int(&one.out[0], i), expected[i]);
    one_node_free(&one);
}

TEST(dequantize_linear_node_reads_biases)
{
    const int32_t x[] = {-3, 1 << 24};
    const float scale[] = {0.5F, 2}, bad = 0;
    Tensor in[] = {over(DT_INT32, 1, DIMS(2), x), over(DT_FLOAT, 1, DIMS(2), scale)};
    OneNode one = one_node("DequantizeLinear", "", 13, in, 2, 1);

    node_set_int(one.node, "axis", 0);
    CHECK_OK(one_node_run(&one, true));
    CHECK_NEAR(tensor_get(&one.out[0], 0), -1.5, 0);
    CHECK_NEAR(tensor_get(&one.out[0], 1), 33554432.0, 0);
    one_node_free(&one);
    in[1] = number(&bad);
    one = one_node("DequantizeLinear", "", 13, in, 2, 1);
    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "scale 0 is 0");
    one_node_free(&one);
}

TEST(dynamic_quantize_linear_node_finds_its_range)
{
    const float x[] = {-1, 0, 4.1F};
    Tensor in = over(DT_FLOAT, 1, DIMS(3), x);
    OneNode one = one_node("DynamicQuantizeLinear", "", 11, &in, 1, 3);

    CHECK_OK(one_node_run(&one, true));
    CHECK_NEAR(tensor_get(&one.out[1], 0), 0.02, 1e-7);
    CHECK_INT(tensor_get_int(&one.out[2], 0), 50);
    CHECK(memcmp(one.out[0].data, (uint8_t[]){0, 50, 255}, 3) == 0);
    one_node_free(&one);
}

/* A random 8-bit convolution: the fast form within one step of the exact one, almost always equal. */
TEST(qlinear_conv_node_fast_and_exact)
{
    enum { X = 8 * 9 * 7, W = 12 * 8 * 3 * 3 };
    Random random = {31};
    uint8_t x[X], x_zero = 120, y_zero = 9;
    int8_t weight[W], w_zero[12] = {0};
    int32_t bias[12];
    float x_scale = 0.02F, y_scale = 0.3F, w_scale[12];

    random_bytes(&random, x, X);
    random_bytes(&random, weight, W);
    for (int c = 0; c < 12; c++) {
        w_scale[c] = 0.004F + 0.004F * fabsf(random_float(&random));
        bias[c] = (int32_t)random_range(&random, -5000, 5000);
    }
    Tensor in[] = {over(DT_UINT8, 4, DIMS(1, 8, 9, 7), x), number(&x_scale), byte(DT_UINT8, &x_zero),
                   over(DT_INT8, 4, DIMS(12, 8, 3, 3), weight), over(DT_FLOAT, 1, DIMS(12), w_scale),
                   over(DT_INT8, 1, DIMS(12), w_zero), number(&y_scale), byte(DT_UINT8, &y_zero),
                   over(DT_INT32, 1, DIMS(12), bias)};
    OneNode exact = one_node("QLinearConv", "", 13, in, 9, 1), fast = one_node("QLinearConv", "", 13, in, 9, 1);
    node_set_ints(exact.node, "pads", DIMS(1, 1, 1, 1), 4);
    node_set_ints(fast.node, "pads", DIMS(1, 1, 1, 1), 4);
    CHECK_OK(one_node_run(&exact, true));
    CHECK_OK(one_node_run(&fast, false));
    int different = 0, inner = 0;
    for (int64_t i = 0; i < exact.out[0].count; i++) {
        int64_t a = tensor_get_int(&exact.out[0], i), b = tensor_get_int(&fast.out[0], i);
        CHECK(a - b <= 1 && b - a <= 1);
        different += a != b;
        inner += a > 0 && a < 255;
    }
    CHECK(different <= 1);
    CHECK(inner > 300); /* not all saturated: the comparison means something */
    one_node_free(&exact), one_node_free(&fast);
}

TEST(qlinear_conv_node_by_hand)
{
    const uint8_t x[] = {3, 5}, weight[] = {12, 9};
    const uint8_t x_zero = 1, w_zero = 10, y_zero = 100;
    const float x_scale = 0.5F, w_scale = 0.5F, y_scale = 0.5F;
    const int32_t bias[] = {3};
    Tensor in[] = {over(DT_UINT8, 3, DIMS(1, 2, 1), x),
                   number(&x_scale),
                   byte(DT_UINT8, &x_zero),
                   over(DT_UINT8, 3, DIMS(1, 2, 1), weight),
                   number(&w_scale),
                   byte(DT_UINT8, &w_zero),
                   number(&y_scale),
                   byte(DT_UINT8, &y_zero),
                   over(DT_INT32, 1, DIMS(1), bias)};
    OneNode one = one_node("QLinearConv", "", 10, in, 9, 1);

    CHECK_OK(one_node_run(&one, false));
    CHECK_INT(*(uint8_t *)one.out[0].data, 102); /* 2 * 2 - 4 * 1 + 3 = 3, half of it rounds to 2 */
    one_node_free(&one);
    in[8] = over(DT_INT32, 1, DIMS(2), (int32_t[]){1, 2});
    one = one_node("QLinearConv", "", 10, in, 9, 1);
    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "bias (input 8) has 2 elements, expected 1");
    one_node_free(&one);
}

TEST(qlinear_matmul_and_qgemm_nodes_agree)
{
    enum { M = 5, N = 20, K = 70 };
    Random random = {32};
    uint8_t a[M * K], a_zero = 100, y_zero = 128;
    int8_t b[K * N], b_zero[N] = {0};
    float a_scale = 0.01F, y_scale = 0.2F, b_scale[N];

    random_bytes(&random, a, sizeof a);
    random_bytes(&random, b, sizeof b);
    for (int j = 0; j < N; j++)
        b_scale[j] = 0.01F + 0.01F * fabsf(random_float(&random));
    Tensor in[] = {over(DT_UINT8, 2, DIMS(M, K), a),
                   number(&a_scale),
                   byte(DT_UINT8, &a_zero),
                   over(DT_INT8, 2, DIMS(K, N), b),
                   over(DT_FLOAT, 1, DIMS(N), b_scale),
                   over(DT_INT8, 1, DIMS(N), b_zero),
                   number(&y_scale),
                   byte(DT_UINT8, &y_zero)};
    Tensor gemm_in[] = {in[0], in[1], in[2], in[3], in[4], in[5], OMITTED, in[6], in[7]};
    OneNode matmul = one_node("QLinearMatMul", "", 13, in, 8, 1);
    OneNode gemm = one_node("QGemm", DOMAIN_MICROSOFT, 13, gemm_in, 9, 1);
    /* The same with 16-bit scales: at most a step apart. */
    uint16_t half_scale[] = {float_to_half(a_scale), float_to_half(y_scale)}, half_b[N];
    for (int j = 0; j < N; j++)
        half_b[j] = float_to_half(b_scale[j]);
    Tensor half_in[] = {in[0], over(DT_FLOAT16, 0, NULL, &half_scale[0]), in[2], in[3], over(DT_FLOAT16, 1, DIMS(N), half_b),
                        in[5], over(DT_FLOAT16, 0, NULL, &half_scale[1]), in[7]};
    OneNode half = one_node("QLinearMatMul", "", 21, half_in, 8, 1);
    OneNode real = one_node("QGemm", DOMAIN_MICROSOFT, 13, gemm_in, 6, 1);

    for (int reference = 0; reference < 2; reference++) {
        CHECK_OK(one_node_run(&matmul, reference == 1));
        CHECK_OK(one_node_run(&half, reference == 1));
        CHECK_OK(one_node_run(&gemm, reference == 1));
        CHECK_OK(one_node_run(&real, reference == 1));
        for (int64_t i = 0; i < M * N; i++) {
            int64_t q = tensor_get_int(&matmul.out[0], i);
            CHECK_INT(tensor_get_int(&gemm.out[0], i), q);
            CHECK_NEAR(tensor_get_int(&half.out[0], i), q, 1);
            double exact = tensor_get(&real.out[0], i) / 0.2 + 128;
            CHECK_NEAR(q, exact < 0 ? 0 : exact > 255 ? 255 : exact, 0.5001);
        }
    }
    one_node_free(&matmul), one_node_free(&half), one_node_free(&gemm), one_node_free(&real);
}

/* Two activations: any signedness and zero point on both sides, batches of one side or of both, against the exact sums. */
TEST(products_of_two_activations_are_exact)
{
    enum { BATCH = 3, M = 7, N = 33, K = 130 };
    static const int64_t batches[][2] = {{BATCH, BATCH}, {1, BATCH}, {BATCH, 1}};
    Random random = {33};
    uint8_t a[BATCH * M * K], b[BATCH * K * N], a_zero, b_zero, y_zero = 128;
    float a_scale = 0.01F, b_scale = 0.02F, y_scale = 0.25F;

    for (int round = 0; round < 24; round++) {
        DType a_type = round % 2 == 0 ? DT_UINT8 : DT_INT8, b_type = round / 2 % 2 == 0 ? DT_UINT8 : DT_INT8;
        const int64_t *batch = batches[round / 4 % 3];
        random_bytes(&random, a, sizeof a);
        random_bytes(&random, b, sizeof b);
        a_zero = (uint8_t)random_range(&random, 0, 255);
        b_zero = (uint8_t)random_range(&random, 0, 255);
        Tensor left = over(a_type, 3, DIMS(batch[0], M, K), a), right = over(b_type, 3, DIMS(batch[1], K, N), b);
        Tensor in[] = {left, number(&a_scale), byte(a_type, &a_zero), right, number(&b_scale), byte(b_type, &b_zero),
                       number(&y_scale), byte(DT_UINT8, &y_zero)};
        Tensor sums_in[] = {left, right, in[2], in[5]}, real_in[] = {left, right, in[1], in[4], in[2], in[5]};
        OneNode fast = one_node("QLinearMatMul", "", 13, in, 8, 1), exact = one_node("QLinearMatMul", "", 13, in, 8, 1);
        OneNode sums = one_node("MatMulInteger", "", 13, sums_in, 4, 1), real = one_node("MatMulIntegerToFloat",
                                                                                      DOMAIN_MICROSOFT, 13, real_in, 6, 1);
        CHECK_OK(one_node_run(&fast, false));
        CHECK_OK(one_node_run(&exact, true));
        CHECK(memcmp(fast.out[0].data, exact.out[0].data, fast.out[0].bytes) == 0);
        CHECK_OK(one_node_run(&sums, false));
        CHECK_OK(one_node_run(&real, false));
        for (int64_t i = 0; i < BATCH * M * N; i++) {
            int64_t g = i / (M * N), row = i / N % M, column = i % N, sum = 0;
            for (int64_t k = 0; k < K; k++)
                sum += (tensor_get_int(&left, ((batch[0] == 1 ? 0 : g) * M + row) * K + k) - tensor_get_int(&in[2], 0)) *
                       (tensor_get_int(&right, ((batch[1] == 1 ? 0 : g) * K + k) * N + column) - tensor_get_int(&in[5], 0));
            CHECK_INT(((const int32_t *)sums.out[0].data)[i], sum);
            CHECK(((const float *)real.out[0].data)[i] == (float)sum * (a_scale * b_scale));
        }
        one_node_free(&fast), one_node_free(&exact), one_node_free(&sums), one_node_free(&real);
    }
}

/* Both sides transposed, uint8 on the right, the sums shifted by a list: in floats and in 8 bits. */
TEST(qgemm_node_of_unsigned_transposed_sides)
{
    enum { M = 6, N = 19, K = 40 };
    Random random = {34};
    uint8_t a[M * K], b[K * N], a_zero = 3, b_zero[N], y_zero = 100;
    float a_scale = 0.01F, y_scale = 0.1F, b_scale[N];
    int32_t c[N];

    random_bytes(&random, a, sizeof a);
    random_bytes(&random, b, sizeof b);
    for (int same = 0; same < 2; same++)
        for (int turned = 0; turned < 4; turned++) {
            for (int j = 0; j < N; j++) {
                b_scale[j] = 0.01F + 0.01F * fabsf(random_float(&random));
                b_zero[j] = (uint8_t)(same ? 77 : 70 + j); /* those of columns differ: plain loops */
                c[j] = (int32_t)random_range(&random, -10000, 10000);
            }
            Tensor in[] = {over(DT_UINT8, 2, turned & 1 ? DIMS(K, M) : DIMS(M, K), a), number(&a_scale),
                           byte(DT_UINT8, &a_zero), over(DT_UINT8, 2, turned & 2 ? DIMS(N, K) : DIMS(K, N), b),
                           over(DT_FLOAT, 1, DIMS(N), b_scale), over(DT_UINT8, 1, DIMS(N), b_zero),
                           over(DT_INT32, 1, DIMS(N), c), number(&y_scale), byte(DT_UINT8, &y_zero)};
            for (int n_in = 7; n_in <= 9; n_in += 2) {
                OneNode fast = one_node("QGemm", DOMAIN_MICROSOFT, 13, in, n_in, 1);
                OneNode exact = one_node("QGemm", DOMAIN_MICROSOFT, 13, in, n_in, 1);
                node_set_int(fast.node, "transA", turned & 1), node_set_int(exact.node, "transA", turned & 1);
                node_set_int(fast.node, "transB", turned >> 1), node_set_int(exact.node, "transB", turned >> 1);
                CHECK_OK(one_node_run(&fast, false));
                CHECK_OK(one_node_run(&exact, true));
                CHECK(memcmp(fast.out[0].data, exact.out[0].data, fast.out[0].bytes) == 0);
                one_node_free(&fast), one_node_free(&exact);
            }
        }
}

TEST(matmul_integer_node_takes_zero_points)
{
    const uint8_t a[] = {11, 7, 3, 10, 6, 2}, b[] = {1, 4, 2, 5, 3, 6}, a_zero = 12, b_zero = 0;
    Tensor in[] = {over(DT_UINT8, 2, DIMS(2, 3), a), over(DT_UINT8, 2, DIMS(3, 2), b), byte(DT_UINT8, &a_zero),
                   byte(DT_UINT8, &b_zero)};
    OneNode one = one_node("MatMulInteger", "", 10, in, 4, 1);

    CHECK_OK(one_node_run(&one, true));
    CHECK(memcmp(one.out[0].data, (int32_t[]){-38, -83, -44, -98}, 16) == 0);
    one_node_free(&one);
}

TEST(conv_integer_node_pads_with_real_zero)
{
    const uint8_t x[] = {2, 3, 4, 5, 6, 7, 8, 9, 10}, weight[] = {1, 1, 1, 1}, zero = 1;
    Tensor in[] = {over(DT_UINT8, 4, DIMS(1, 1, 3, 3), x), over(DT_UINT8, 4, DIMS(1, 1, 2, 2), weight),
                   byte(DT_UINT8, &zero)};
    OneNode one = one_node("ConvInteger", "", 10, in, 3, 1);

    node_set_ints(one.node, "pads", DIMS(1, 1, 0, 0), 4);
    CHECK_OK(one_node_run(&one, true));
    CHECK(memcmp(one.out[0].data, (int32_t[]){1, 3, 5, 5, 12, 16, 11, 24, 28}, 36) == 0);
    one_node_free(&one);
}

TEST(qlinear_add_node_broadcasts)
{
    const int8_t a[] = {1, 2, 3, 4, 5, 6}, b[] = {10, 20, 30}, zero = 0;
    const float one_scale = 1;
    Tensor in[] = {over(DT_INT8, 2, DIMS(2, 3), a), number(&one_scale), OMITTED, over(DT_INT8, 1, DIMS(3), b),
                   number(&one_scale), byte(DT_INT8, &zero), number(&one_scale), OMITTED};
    OneNode add = one_node("QLinearAdd", DOMAIN_MICROSOFT, 13, in, 8, 1);
    OneNode mul = one_node("QLinearMul", DOMAIN_MICROSOFT, 13, in, 8, 1);

    CHECK_OK(one_node_run(&add, true));
    CHECK(memcmp(add.out[0].data, (int8_t[]){11, 22, 33, 14, 25, 36}, 6) == 0);
    CHECK_OK(one_node_run(&mul, true));
    CHECK(memcmp(mul.out[0].data, (int8_t[]){10, 40, 90, 40, 100, 127}, 6) == 0);
    one_node_free(&add), one_node_free(&mul);
}

TEST(qlinear_concat_node_requantizes)
{
    const uint8_t a[] = {1, 2}, b[] = {10, 200}, zero = 0, five = 5;
    const float half = 0.5F, one_scale = 1;
    Tensor in[] = {number(&one_scale), byte(DT_UINT8, &five), over(DT_UINT8, 2, DIMS(2, 1), a), number(&one_scale),
                   byte(DT_UINT8, &five), over(DT_UINT8, 2, DIMS(2, 1), b), number(&half), byte(DT_UINT8, &zero)};
    OneNode one = one_node("QLinearConcat", DOMAIN_MICROSOFT, 13, in, 8, 1);

    node_set_int(one.node, "axis", 1);
    CHECK_OK(one_node_run(&one, true));
    CHECK(memcmp(one.out[0].data, (uint8_t[]){1, 10, 2, 105}, 4) == 0);
    one_node_free(&one);
}

static void check_unary(const char *op_type, const uint8_t *x, int n, float from, float to, const uint8_t *expected)
{
    const uint8_t zero = 0, from_zero = 128;
    Tensor in[] = {over(DT_UINT8, 2, DIMS(1, n), x), number(&from), byte(DT_UINT8, &from_zero), number(&to),
                   byte(DT_UINT8, &zero)};
    OneNode one = one_node(op_type, DOMAIN_MICROSOFT, 13, in, 5, 1);

    if (strcmp(op_type, "QLinearSoftmax") == 0)
        node_set_int(one.node, "opset", 13);
    CHECK_OK(one_node_run(&one, true));
    for (int i = 0; i < n; i++)
        CHECK_INT(((const uint8_t *)one.out[0].data)[i], expected[i]);
    one_node_free(&one);
}

TEST(qlinear_functions_of_one_element)
{
    check_unary("QLinearSigmoid", (uint8_t[]){0, 128, 255}, 3, 0.1F, 1.0F / 256, (uint8_t[]){0, 128, 255});
    check_unary("QLinearSoftmax", (uint8_t[]){138, 138}, 2, 0.1F, 1.0F / 256, (uint8_t[]){128, 128});
    check_unary("QLinearLeakyRelu", (uint8_t[]){100, 130}, 2, 1, 1, (uint8_t[]){0, 2});
}

TEST(qlinear_pool_nodes_average)
{
    const uint8_t x[] = {10, 20, 30, 40, 50, 61}, zero = 0;
    const float scale = 1;
    Tensor in[] = {over(DT_UINT8, 3, DIMS(1, 1, 6), x), number(&scale), byte(DT_UINT8, &zero), number(&scale),
                   byte(DT_UINT8, &zero)};
    OneNode all = one_node("QLinearGlobalAveragePool", DOMAIN_MICROSOFT, 13, in, 5, 1);
    OneNode pairs = one_node("QLinearAveragePool", DOMAIN_MICROSOFT, 13, in, 5, 1);

    CHECK_OK(one_node_run(&all, true));
    CHECK_INT(*(uint8_t *)all.out[0].data, 35);
    node_set_ints(pairs.node, "kernel_shape", DIMS(2), 1);
    node_set_ints(pairs.node, "strides", DIMS(2), 1);
    CHECK_OK(one_node_run(&pairs, true));
    CHECK(memcmp(pairs.out[0].data, (uint8_t[]){15, 35, 56}, 3) == 0); /* 55.5 rounds to 56 */
    one_node_free(&all), one_node_free(&pairs);
}

/* A left matrix without rows has a zero point for each of them: none. */
TEST(products_of_no_rows_have_no_zero_points)
{
    static const MiniCase cases[] = {
        {10, "a = uint8[0,3]; b = uint8[3,2] 1 2 3 4 5 6; z = uint8[0]; w = uint8[1] 7; y = MatMulInteger(a, b, z, w)", "int32[0,2]"},
    };
    mini_check_values(__FILE__, cases, COUNT_OF(cases));
}
