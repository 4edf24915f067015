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
