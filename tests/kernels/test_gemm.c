/* test_gemm.c - reference products against the definition, oneDNN's against the reference. */
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/kernels/kernels.h"
#include "tests/kernels/random.h"

static void *room(int64_t n, size_t size)
{
    return xcalloc((size_t)MAX(n, 1), size);
}

static FastMatmulShape matrix_shape(int64_t m, int64_t n, int64_t k, bool a_transposed, bool b_transposed)
{
    FastMatmulShape shape = {.rank = 2, .a = {m, k}, .b = {k, n}, .c = {m, n}, .a_transposed = a_transposed,
                             .b_transposed = b_transposed};
    return shape;
}

TEST(gemm_float_is_the_definition_and_onednn_agrees)
{
    Random random = {11};
    int ran = 0;

    for (int round = 0; round < 80; round++) {
        int64_t m = random_range(&random, 1, 20), n = random_range(&random, 1, 150), k = random_range(&random, 1, 600);
        bool ta = round % 2 == 1, tb = round / 2 % 2 == 1;
        float *a = room(m * k, 4), *b = room(k * n, 4), *c = room(m * n, 4), *fast = room(m * n, 4);
        random_floats(&random, a, m * k);
        random_floats(&random, b, k * n);
        Matrix left = {.data = a, .type = KERNEL_FLOAT, .row = ta ? 1 : k, .column = ta ? m : 1};
        Matrix right = {.data = b, .type = KERNEL_FLOAT, .row = tb ? 1 : n, .column = tb ? k : 1};
        gemm_float(NULL, 1, NULL, m, n, k, left, right, c);
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                double sum = 0.0;
                for (int64_t p = 0; p < k; p++)
                    sum += (double)a[i * left.row + p * left.column] * (double)b[p * right.row + j * right.column];
                CHECK_NEAR(c[i * n + j], sum, 5e-5);
            }
        FastMatmulShape shape = matrix_shape(m, n, k, ta, tb);
        FastMatmul *matmul = fast_matmul_new(&shape, KERNEL_FLOAT, NULL, NULL);
        void *scratch = NULL;
        if (matmul != NULL) {
            CHECK_OK(memory_alloc(fast_matmul_scratch(matmul), &scratch));
            CHECK(fast_matmul_run(matmul, 1, a, b, fast, scratch));
            for (int64_t i = 0; i < m * n; i++)
                CHECK_NEAR(fast[i], c[i], 5e-5);
            ran++;
        }
        memory_free(scratch);
        fast_matmul_free(matmul);
        free(a), free(b), free(c), free(fast);
    }
    CHECK(ran > 40);
}

TEST(gemm_batches_follow_their_offsets)
{
    /* Two left matrices, one right matrix for both; the left ones in reverse order. */
    const float a[] = {1, 2, 3, 4}, b[] = {1, 10, 100, 1000};
    const int64_t pairs[] = {2, 0, 0, 0};
    float c[4];
    Matrix left = {.data = a, .type = KERNEL_FLOAT, .row = 2, .column = 1};
    Matrix right = {.data = b, .type = KERNEL_FLOAT, .row = 2, .column = 1};

    gemm_float(NULL, 2, pairs, 1, 2, 2, left, right, c);
    CHECK_NEAR(c[0], 403, 0);  /* 3 * 1 + 4 * 100 */
    CHECK_NEAR(c[1], 4030, 0); /* 3 * 10 + 4 * 1000 */
    CHECK_NEAR(c[2], 201, 0);
    CHECK_NEAR(c[3], 2010, 0);
}

TEST(gemm_of_depth_zero_is_zero)
{
    float c[4] = {7, 7, 7, 7};
    float nothing = 0.0F;
    Matrix matrix = {.data = &nothing, .type = KERNEL_FLOAT, .row = 0, .column = 1};

    gemm_float(NULL, 1, NULL, 2, 2, 0, matrix, matrix, c);
    for (int i = 0; i < 4; i++)
        CHECK(c[i] == 0.0F);
}

TEST(gemm_int_is_exact_with_zero_points_of_rows_and_columns)
{
    Random random = {12};

    for (int round = 0; round < 60; round++) {
        int64_t m = random_range(&random, 1, 9), n = random_range(&random, 1, 80), k = random_range(&random, 1, 700);
        bool a_signed = round % 2 == 0, b_signed = round % 3 == 0;
        uint8_t *a = room(m * k, 1), *b = room(k * n, 1);
        int32_t *c = room(m * n, 4), *a_zero = room(m, 4), *b_zero = room(n, 4);
        random_bytes(&random, a, m * k);
        random_bytes(&random, b, k * n);
        if (round % 4 == 0) {
            memset(a, a_signed ? 0x80 : 0xFF, (size_t)(m * k));
            memset(b, b_signed ? 0x80 : 0xFF, (size_t)(k * n));
        }
        for (int64_t i = 0; i < m; i++)
            a_zero[i] = (int32_t)random_range(&random, 0, 127);
        for (int64_t j = 0; j < n; j++)
            b_zero[j] = (int32_t)random_range(&random, 0, 127);
        Matrix left = {a, a_signed ? KERNEL_S8 : KERNEL_U8, k, 1, a_zero, m};
        Matrix right = {b, b_signed ? KERNEL_S8 : KERNEL_U8, n, 1, b_zero, n};
        gemm_int(NULL, 1, NULL, m, n, k, left, right, c);
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                int64_t sum = 0;
                for (int64_t p = 0; p < k; p++) {
                    int32_t x = a_signed ? (int8_t)a[i * k + p] : a[i * k + p];
                    int32_t y = b_signed ? (int8_t)b[p * n + j] : b[p * n + j];
                    sum += (int64_t)(x - a_zero[i]) * (y - b_zero[j]);
                }
                CHECK_INT(c[i * n + j], sum);
            }
        free(a), free(b), free(c), free(a_zero), free(b_zero);
    }
}

/* Sums of products of bytes are exact: the very numbers of the reference. */
TEST(onednn_int_matmul_gives_exact_sums)
{
    Random random = {13};
    int ran = 0;

    for (int round = 0; round < 80; round++) {
        int64_t m = random_range(&random, 1, 20), n = random_range(&random, 1, 100), k = random_range(&random, 1, 300);
        KernelType type = round % 3 == 0 ? KERNEL_S8 : KERNEL_U8;
        bool tb = round % 2 == 0;
        int32_t a_zero = round % 4 == 0 ? 0 : type == KERNEL_U8 ? 128 : 5, zero = 0;
        uint8_t *a = room(m * k, 1), *b = room(k * n, 1);
        int32_t *expected = room(m * n, 4), *sums = room(m * n, 4);
        random_bytes(&random, a, m * k);
        random_bytes(&random, b, k * n);
        Matrix left = {a, type, k, 1, &a_zero, 1};
        Matrix right = {b, KERNEL_S8, tb ? 1 : n, tb ? k : 1, &zero, 1};
        gemm_int(NULL, 1, NULL, m, n, k, left, right, expected);
        FastMatmulShape shape = matrix_shape(m, n, k, false, tb);
        FastInt integer = {a_zero};
        FastMatmul *matmul = fast_matmul_new(&shape, type, &integer, NULL);
        void *scratch = NULL;
        CHECK(fast_integer_exact() || matmul == NULL);
        if (matmul != NULL) {
            CHECK_OK(memory_alloc(fast_matmul_scratch(matmul), &scratch));
            CHECK(fast_matmul_run(matmul, 1, a, b, sums, scratch));
            CHECK(memcmp(sums, expected, (size_t)(m * n) * 4) == 0);
            ran++;
        }
        memory_free(scratch);
        fast_matmul_free(matmul);
        free(a), free(b), free(expected), free(sums);
    }
    CHECK(ran > 20 || !fast_integer_exact());
}
