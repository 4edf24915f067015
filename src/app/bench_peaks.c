/* bench_peaks.c - what the machine can do: a matrix product of oneDNN in float and in integers, and a sum of long arrays. */
#include "src/app/bench.h"

#include "src/kernels/kernels.h"

#include <math.h>
#include <string.h>

#define MATRIX 1024
#define TRY_SECONDS 0.15 /* of each measurement */
#define ARRAY_BYTES ((size_t)64 << 20)
#define CHUNK ((int64_t)1 << 14) /* elements */

typedef struct Product {
    FastMatmul *matmul;
    int threads;
    void *a, *b, *c, *scratch;
} Product;

static bool run_product(Product *product)
{
    return fast_matmul_run(product->matmul, product->threads, product->a, product->b, product->c, product->scratch);
}

/* 2 n^3 operations by the shortest time of one product. */
static double time_product(Product *product)
{
    double best = INFINITY, start = clock_seconds();
    for (double end = start; end - start < TRY_SECONDS;) {
        double begin = clock_seconds();
        if (!run_product(product))
            return 0.0;
        end = clock_seconds();
        best = fmin(best, end - begin);
    }
    return 2.0 * MATRIX * MATRIX * MATRIX / best;
}

static Status measure_product(bool integer, int threads, double *ret)
{
    static const FastInt no_offset = {0};
    static const FastMatmulShape shape = {.rank = 2, .a = {MATRIX, MATRIX}, .b = {MATRIX, MATRIX}, .c = {MATRIX, MATRIX}};
    size_t bytes = (size_t)MATRIX * MATRIX * sizeof(float);
    fast_set_threads(threads);
    Product product = {.matmul = fast_matmul_new(&shape, integer ? KERNEL_U8 : KERNEL_FLOAT, integer ? &no_offset : NULL, NULL),
                       .threads = threads};
    *ret = 0.0;
    if (product.matmul == NULL)
        return NULL;
    Status status = memory_alloc(3 * bytes + fast_matmul_scratch(product.matmul), &product.a);
    if (status == NULL) {
        product.b = (char *)product.a + bytes;
        product.c = (char *)product.b + bytes;
        product.scratch = (char *)product.c + bytes;
        memset(product.a, 0, 3 * bytes);
        *ret = time_product(&product);
    }
    memory_free(product.a);
    fast_matmul_free(product.matmul);
    return status;
}

typedef struct Arrays {
    const float *a;
    float *b;
    int64_t n;
} Arrays;

static void add_chunk(void *context, int64_t item, int worker)
{
    (void)worker;
    const Arrays *arrays = context;
    int64_t from = item * CHUNK, to = MIN(from + CHUNK, arrays->n);
    for (int64_t i = from; i < to; i++)
        arrays->b[i] += arrays->a[i];
}

/* b += a: two reads and a write an element. */
static Status measure_memory(Team *team, double *ret)
{
    void *block = NULL;
    TRY(memory_alloc(2 * ARRAY_BYTES, &block));
    memset(block, 0, 2 * ARRAY_BYTES);
    int64_t n = (int64_t)(ARRAY_BYTES / sizeof(float));
    Arrays arrays = {block, (float *)block + n, n};
    double best = INFINITY, start = clock_seconds();
    for (double end = start; end - start < TRY_SECONDS;) {
        double begin = clock_seconds();
        team_run(team, (n + CHUNK - 1) / CHUNK, add_chunk, &arrays);
        end = clock_seconds();
        best = fmin(best, end - begin);
    }
    memory_free(block);
    *ret = 3.0 * (double)ARRAY_BYTES / best;
    return NULL;
}

Status bench_peaks(Team *team, int threads, Peaks *ret)
{
    Peaks peaks = {0};
    TRY(measure_product(false, threads, &peaks.flops));
    TRY(measure_product(true, threads, &peaks.ops));
    TRY(measure_memory(threads > 1 ? team : NULL, &peaks.bytes));
    *ret = peaks;
    return NULL;
}
