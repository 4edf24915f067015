/* test_packed.c - fast products in panels: every tile of every level this CPU has against sums in double, whole products against the
 * reference, the same bits for any team. */
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include "src/kernels/tile.h"
#include "tests/kernels/random.h"

static void *room(size_t n, size_t size)
{
    void *data = NULL;
    CHECK_OK(memory_alloc(MAX(n, (size_t)1) * size, &data));
    memset(data, 0, MAX(n, (size_t)1) * size);
    return data;
}

/* What this CPU has, less and less of it. */
static int levels(CpuFeatures ret[4])
{
    CpuFeatures cpu = cpu_features();
    int n = 0;
    ret[n++] = cpu;
    cpu.vnni = false;
    ret[n++] = cpu;
    cpu.avx512 = false;
    ret[n++] = cpu;
    cpu.avx2 = false;
    ret[n++] = cpu;
    return n;
}

static void check_float_tile(FloatTile tile, int rows, int64_t k, Random *random)
{
    enum { A_PAD = 3, C_PAD = 5 };
    int64_t a_row = k + A_PAD, c_row = TILE_COLUMNS + C_PAD, b_step = TILE_COLUMNS + 7;
    float *a = room((size_t)(rows * a_row), 4), *b = room((size_t)(k * b_step), 4), *c = room((size_t)(rows * c_row), 4);
    random_floats(random, a, rows * a_row);
    random_floats(random, b, k * b_step);
    for (int64_t i = 0; i < rows * c_row; i++)
        c[i] = 77.0F;
    tile(k, a, a_row, b, b_step, c, c_row);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < c_row; j++) {
            double sum = j < TILE_COLUMNS ? 0.0 : 77.0; /* nothing is written behind the panel */
            for (int64_t p = 0; p < k && j < TILE_COLUMNS; p++)
                sum += (double)a[i * a_row + p] * (double)b[p * b_step + j];
            CHECK_NEAR(c[i * c_row + j], sum, 1e-5 * (double)(k + 1));
        }
    memory_free(a), memory_free(b), memory_free(c);
}

TEST(float_tiles_of_every_level_are_the_definition)
{
    static const int64_t depths[] = {0, 1, 2, 7, 64, 129};
    CpuFeatures cpu[4];
    Random random = {31};
    int n = levels(cpu);

    for (int level = 0; level < n; level++) {
        const FloatTiles *tiles = float_tiles(cpu[level]);
        for (int rows = 1; rows <= tiles->rows; rows++)
            for (size_t d = 0; d < COUNT_OF(depths); d++)
                check_float_tile(tiles->tile[rows], rows, depths[d], &random);
    }
}

/* Extreme bytes: where pairs of products are added in 16 bits they would not fit. */
static void fill_bytes(Random *random, uint8_t *x, int64_t n, bool extreme, bool is_signed)
{
    random_bytes(random, x, n);
    for (int64_t i = 0; extreme && i < n; i++)
        x[i] = is_signed ? (x[i] % 2 == 0 ? 0x80 : 0x7F) : x[i] % 4 == 0 ? 0 : 0xFF;
}

static void check_byte_tile(ByteTile tile, int rows, int64_t quads, bool extreme, Random *random)
{
    int64_t a_row = 4 * quads + 5, b_bytes = quads * 4 * TILE_COLUMNS;
    uint8_t *a = room((size_t)(rows * a_row), 1), *b = room((size_t)b_bytes, 1);
    int32_t c[TILE_ROWS * TILE_COLUMNS];
    fill_bytes(random, a, rows * a_row, extreme, false);
    fill_bytes(random, b, b_bytes, extreme, true);
    tile(quads, a, a_row, (const int8_t *)b, c);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < TILE_COLUMNS; j++) {
            int64_t sum = 0;
            for (int64_t p = 0; p < 4 * quads; p++)
                sum += a[i * a_row + p] * (int8_t)b[(p / 4 * TILE_COLUMNS + j) * 4 + p % 4];
            CHECK_INT(c[i * TILE_COLUMNS + j], sum);
        }
    memory_free(a), memory_free(b);
}

TEST(byte_tiles_of_every_level_are_exact)
{
    static const int64_t depths[] = {0, 1, 2, 5, 33};
    CpuFeatures cpu[4];
    Random random = {33};
    int n = levels(cpu);

    for (int level = 0; level < n; level++) {
        const ByteTiles *tiles = byte_tiles(cpu[level]);
        for (int rows = 1; tiles != NULL && rows <= tiles->rows; rows++)
            for (size_t d = 0; d < COUNT_OF(depths); d++)
                for (int extreme = 0; extreme < 2; extreme++)
                    check_byte_tile(tiles->tile[rows], rows, depths[d], extreme == 1, &random);
    }
}

typedef struct Case {
    int64_t batch, m, n, k;
    bool a_turned, b_turned, packed, bias;
} Case;

static void run_case(Team *team, const FloatProduct *product)
{
    void *scratch = room(product_floats_scratch(product, team_size(team)), 1);
    product_floats(team, product, scratch);
    memory_free(scratch);
}

static void check_product(const Case *one, Team *team, Random *random)
{
    int64_t batch = one->batch, m = one->m, n = one->n, k = one->k, shared_b = one->packed ? 1 : batch;
    float *a = room((size_t)(batch * m * k), 4), *b = room((size_t)(shared_b * k * n), 4), *bias = room((size_t)n, 4);
    float *expected = room((size_t)(batch * m * n), 4), *alone = room((size_t)(batch * m * n), 4);
    float *shared = room((size_t)(batch * m * n), 4), *panels = room((size_t)panels_count(k, n), 4);
    int64_t *pairs = room((size_t)(2 * batch), sizeof *pairs);
    random_floats(random, a, batch * m * k);
    random_floats(random, b, shared_b * k * n);
    random_floats(random, bias, n);
    for (int64_t i = 0; i < batch; i++) {
        pairs[2 * i] = (batch - 1 - i) * m * k; /* in reverse */
        pairs[2 * i + 1] = one->packed ? 0 : i * k * n;
    }
    Matrix left = {.data = a, .type = KERNEL_FLOAT, .row = one->a_turned ? 1 : k, .column = one->a_turned ? m : 1};
    Matrix right = {.data = b, .type = KERNEL_FLOAT, .row = one->b_turned ? 1 : n, .column = one->b_turned ? k : 1};
    gemm_float(NULL, batch, pairs, m, n, k, left, right, expected);
    if (one->packed)
        pack_floats(team, k, n, right, panels);
    FloatProduct product = {.batch = batch, .m = m, .n = n, .k = k, .pairs = pairs, .a = left, .b = right,
                            .packed = one->packed ? panels : NULL, .bias = one->bias ? bias : NULL, .c = alone};
    run_case(NULL, &product);
    product.c = shared;
    run_case(team, &product);
    for (int64_t i = 0; i < batch * m * n; i++)
        CHECK_NEAR(alone[i], (double)expected[i] + (one->bias ? (double)bias[i % n] : 0.0), 1e-5 * (double)(k + 10));
    CHECK(memcmp(alone, shared, (size_t)(batch * m * n) * 4) == 0);
    memory_free(a), memory_free(b), memory_free(bias), memory_free(expected), memory_free(alone), memory_free(shared);
    memory_free(panels), memory_free(pairs);
}

TEST(float_products_agree_with_the_reference_for_any_team)
{
    static const Case cases[] = {
        {1, 0, 5, 3, false, false, true, false},  {1, 5, 0, 3, false, false, true, false},
        {1, 3, 5, 0, false, false, true, true},   {0, 3, 5, 2, false, false, false, false},
        {1, 1, 1, 1, false, false, true, true},   {1, 1, 31, 17, false, true, false, false},
        {1, 1, 32, 64, false, false, false, true}, {1, 13, 33, 8, true, false, true, false},
        {1, 25, 64, 70, false, false, false, false}, {1, 24, 40, 512, false, false, true, false},
        {3, 12, 96, 31, false, true, false, false}, {5, 7, 65, 9, true, true, false, true},
        {1, 100, 200, 100, false, true, true, true}, {1, 600, 20, 1024, false, false, true, false},
        {1, 2, 700, 512, false, false, true, false}, {20, 40, 32, 20, false, true, false, false},
    };
    Team *team = team_new(3);
    Random random = {32};

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        check_product(&cases[i], team, &random);
    team_free(team);
}

/* ---- bytes --------------------------------------------------------------------------------------------------------- */

static void run_bytes(Team *team, const ByteProduct *product)
{
    void *scratch = room(product_bytes_scratch(product, team_size(team)), 1);
    product_bytes(team, product, scratch);
    memory_free(scratch);
}

/* Sums, floats and codes of one product, against the reference sums finished by requantize.c. */
static void check_bytes(const Case *one, int kind, Team *team, Random *random)
{
    int64_t batch = one->batch, m = one->m, n = one->n, k = one->k, shared_b = one->packed ? 1 : batch, all = batch * m * n;
    bool a_signed = kind % 2 == 1, b_signed = kind / 2 % 2 == 1, many = kind / 4 % 2 == 1, extreme = kind / 8 == 1;
    uint8_t *a = room((size_t)(batch * m * k), 1), *b = room((size_t)(shared_b * k * n), 1);
    int32_t *sums = room((size_t)all, 4), *bias = room((size_t)n, 4), *b_zero = room((size_t)n, 4);
    void *packed = room(packed_bytes_size(k, n), 1), *expected = room((size_t)all, 4), *got = room((size_t)all, 4);
    float *multiplier = room((size_t)n, 4), *float_bias = room((size_t)n, 4);
    int64_t *pairs = room((size_t)(2 * batch), sizeof *pairs);
    int32_t a_zero = a_signed ? -3 : 121;
    fill_bytes(random, a, batch * m * k, extreme, a_signed);
    fill_bytes(random, b, shared_b * k * n, extreme, b_signed);
    for (int64_t j = 0; j < n; j++) {
        b_zero[j] = many ? (int32_t)random_range(random, b_signed ? -128 : 0, b_signed ? 127 : 255) : b_signed ? 0 : 128;
        bias[j] = one->bias ? (int32_t)random_range(random, -5000, 5000) : 0;
        multiplier[j] = 0.001F * (float)random_range(random, 1, 9);
        float_bias[j] = random_float(random);
    }
    for (int64_t i = 0; i < batch; i++) {
        pairs[2 * i] = (batch - 1 - i) * m * k;
        pairs[2 * i + 1] = one->packed ? 0 : i * k * n;
    }
    Matrix left = {a, a_signed ? KERNEL_S8 : KERNEL_U8, one->a_turned ? 1 : k, one->a_turned ? m : 1, &a_zero, 1};
    Matrix right = {b, b_signed ? KERNEL_S8 : KERNEL_U8, one->b_turned ? 1 : n, one->b_turned ? k : 1, b_zero, many ? n : 1};
    gemm_int(NULL, batch, pairs, m, n, k, left, right, sums);
    for (int64_t i = 0; i < all; i++)
        sums[i] += bias[i % n];
    if (one->packed)
        pack_bytes(team, k, n, right, packed);
    for (int result = BYTE_SUMS; result <= BYTE_CODES; result++)
        for (int alone = 0; alone < 2; alone++) {
            ByteProduct product = {.batch = batch, .m = m, .n = n, .k = k, .pairs = pairs, .a = left, .b = right,
                                   .packed = one->packed ? packed : NULL, .bias = one->bias ? bias : NULL,
                                   .result = (ByteResult)result, .multiplier = multiplier, .multipliers = many ? n : 1,
                                   .float_bias = result == BYTE_FLOATS ? float_bias : NULL,
                                   .y_scale = {KERNEL_U8, 1.0F, 100}, .y = got};
            size_t bytes = (size_t)all * (result == BYTE_CODES ? 1 : 4);
            if (result == BYTE_SUMS)
                memcpy(expected, sums, bytes);
            else if (result == BYTE_CODES)
                requantize_rows(NULL, sums, batch * m, n, multiplier, product.multipliers, product.y_scale, expected);
            else
                dequantize_rows(NULL, sums, batch * m, n, multiplier, product.multipliers, expected);
            for (int64_t i = 0; result == BYTE_FLOATS && i < all; i++)
                ((float *)expected)[i] += float_bias[i % n];
            memset(got, 0x55, (size_t)all * 4);
            run_bytes(alone == 1 ? NULL : team, &product);
            CHECK(memcmp(got, expected, bytes) == 0);
        }
    memory_free(a), memory_free(b), memory_free(sums), memory_free(bias), memory_free(b_zero), memory_free(packed);
    memory_free(expected), memory_free(got), memory_free(multiplier), memory_free(float_bias), memory_free(pairs);
}

TEST(byte_products_are_those_of_the_reference_to_the_bit)
{
    static const Case cases[] = {
        {1, 0, 5, 3, false, false, true, false},  {1, 5, 0, 3, false, false, true, false},
        {1, 3, 5, 0, false, false, true, true},   {0, 3, 5, 2, false, false, false, false},
        {1, 1, 1, 1, false, false, true, true},   {1, 1, 31, 17, false, true, false, false},
        {1, 2, 32, 64, false, false, true, true}, {1, 13, 33, 8, true, false, true, false},
        {3, 12, 96, 31, false, true, false, false}, {5, 7, 65, 9, true, true, false, true},
        {1, 100, 100, 100, false, true, true, true}, {1, 9, 40, 2048, false, false, true, false},
        {1, 300, 20, 128, false, false, true, false}, {20, 40, 32, 20, false, false, false, false},
    };
    Team *team = team_new(3);
    Random random = {34};

    for (size_t i = 0; product_bytes_fast() && i < COUNT_OF(cases); i++)
        for (int kind = 0; kind < 16; kind++)
            check_bytes(&cases[i], kind, team, &random);
    team_free(team);
}
