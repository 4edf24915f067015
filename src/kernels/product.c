/* product.c - blocked matrix product on packed strips and panels; see product.h for the picture.
 *
 * The order of additions to one element is: chunk by chunk along the depth, within a chunk in order of depth. It
 * depends on nothing else, so any split over threads gives the same bits.
 */
#include "src/kernels/product.h"


/* Four floats at once; GCC and Clang map it to whatever the CPU has. */
typedef float Lanes __attribute__((vector_size(16), may_alias));
#define LANES 4

typedef struct Job {
    ProductMake make;
    const void *context;
    int64_t column_blocks, row_chunks, chunk_rows;
} Job;

/* sums[i][j] = sum over k of a[k][i] * panel[k][j] for 4 rows and 8 columns. */
static void multiply_8(const float *a, const float *panel, int64_t n_k, float *sums)
{
    Lanes s00 = {0}, s01 = {0}, s10 = {0}, s11 = {0}, s20 = {0}, s21 = {0}, s30 = {0}, s31 = {0};

    for (int64_t k = 0; k < n_k; k++) {
        Lanes b0 = *(const Lanes *)panel, b1 = *(const Lanes *)(panel + LANES);
        s00 += a[0] * b0;
        s01 += a[0] * b1;
        s10 += a[1] * b0;
        s11 += a[1] * b1;
        s20 += a[2] * b0;
        s21 += a[2] * b1;
        s30 += a[3] * b0;
        s31 += a[3] * b1;
        a += PRODUCT_ROWS;
        panel += PRODUCT_COLUMNS;
    }
    *(Lanes *)(sums) = s00;
    *(Lanes *)(sums + LANES) = s01;
    *(Lanes *)(sums + PRODUCT_COLUMNS) = s10;
    *(Lanes *)(sums + PRODUCT_COLUMNS + LANES) = s11;
    *(Lanes *)(sums + 2 * PRODUCT_COLUMNS) = s20;
    *(Lanes *)(sums + 2 * PRODUCT_COLUMNS + LANES) = s21;
    *(Lanes *)(sums + 3 * PRODUCT_COLUMNS) = s30;
    *(Lanes *)(sums + 3 * PRODUCT_COLUMNS + LANES) = s31;
}

/* The same for one row: depthwise convolutions and vectors. */
static void multiply_1(const float *a, const float *panel, int64_t n_k, float *sums)
{
    Lanes s0 = {0}, s1 = {0};

    for (int64_t k = 0; k < n_k; k++) {
        s0 += a[0] * *(const Lanes *)panel;
        s1 += a[0] * *(const Lanes *)(panel + LANES);
        a += PRODUCT_ROWS;
        panel += PRODUCT_COLUMNS;
    }
    *(Lanes *)(sums) = s0;
    *(Lanes *)(sums + LANES) = s1;
}

static void store(const Product *product, int64_t row, int64_t n_rows, int64_t column, int64_t n, const float *sums,
                  bool first)
{
    for (int64_t i = 0; i < n_rows; i++, sums += PRODUCT_COLUMNS) {
        int64_t at = (row + i) * product->columns + column;
        if (product->out_int != NULL) {
            int32_t *out = product->out_int + at;
            for (int64_t j = 0; j < n; j++) { /* unsigned: wraps like the runtimes do */
                uint32_t before = first ? 0 : (uint32_t)out[j];
                out[j] = (int32_t)(before + (uint32_t)(int32_t)sums[j]);
            }
        } else {
            float *out = product->out + at;
            float bias = product->row_bias != NULL ? product->row_bias[row + i] : 0.0F;
            for (int64_t j = 0; j < n; j++)
                out[j] = (first ? bias : out[j]) + sums[j];
        }
    }
}

static void run_item(void *context, int64_t item, int worker)
{
    const Job *job = context;
    Product product = {0};
    _Alignas(64) float panel[PRODUCT_DEPTH * PRODUCT_COLUMNS];
    _Alignas(64) float strip[PRODUCT_DEPTH * PRODUCT_ROWS];
    _Alignas(64) float sums[PRODUCT_ROWS * PRODUCT_COLUMNS];
    int64_t chunk = item % job->row_chunks;
    int64_t block = item / job->row_chunks % job->column_blocks;

    (void)worker;
    job->make(job->context, item / job->row_chunks / job->column_blocks, &product);
    int64_t column = block * PRODUCT_COLUMNS, n = MIN(product.columns - column, PRODUCT_COLUMNS);
    int64_t row_begin = chunk * job->chunk_rows, row_end = MIN(product.rows, row_begin + job->chunk_rows);
    int64_t k = 0;
    do { /* once also for depth 0: the output is the bias */
        int64_t n_k = MIN(product.depth - k, PRODUCT_DEPTH);
        product.pack_columns(&product, column, n, k, n_k, panel);
        for (int64_t row = row_begin; row < row_end; row += PRODUCT_ROWS) {
            int64_t n_rows = MIN(row_end - row, PRODUCT_ROWS);
            product.pack_rows(&product, row, n_rows, k, n_k, strip);
            for (int64_t j = 0; j < n; j += 2 * LANES)
                (n_rows == 1 ? multiply_1 : multiply_8)(strip, panel + j, n_k, sums + j);
            store(&product, row, n_rows, column, n, sums, k == 0);
        }
        k += n_k;
    } while (k < product.depth);
}

void product_run(Team *team, int64_t count, ProductMake make, const void *context)
{
    enum { ENOUGH_ITEMS = 16, LEAST_ROWS = 64 };
    Product first = {0};

    if (count <= 0)
        return;
    make(context, 0, &first);
    if (first.rows <= 0 || first.columns <= 0)
        return;
    Job job = {make, context, (first.columns - 1) / PRODUCT_COLUMNS + 1, 1, first.rows};
    if (team != NULL && count * job.column_blocks < ENOUGH_ITEMS && first.rows > LEAST_ROWS) {
        job.chunk_rows = LEAST_ROWS;
        job.row_chunks = (first.rows - 1) / LEAST_ROWS + 1;
    }
    team_run(team, count * job.column_blocks * job.row_chunks, run_item, &job);
}
