/* packed_float.c - float matrix products by the tiles of tile.h: what is packed, and how the work is cut into items.
 *
 *               panels of 32 columns
 *              ┌──┬──┬──┬──┬──┐        Constant right sides are packed once, others panel by panel as they are needed, or read
 *              │  │  │  │  │  │ k      where they lie when few rows share the packing. An item is a block of rows times some
 *              └──┴──┴──┴──┴──┘        neighbouring panels; a panel is taken from memory once for all rows of the block.
 *     ┌────┐   ┌──┬──┬──┬──┬──┐
 *     │ a  │   │ item │  │  │  │ rows of a block: few enough that their part of a stays in the second cache
 *     └────┘   └──┴──┴──┴──┴──┘
 */
#include "src/kernels/tile.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
    FEW_ROWS = 2 * TILE_ROWS, /* up to here packing b costs more than it saves */
    ENOUGH_MACS = 1 << 17,   /* some microseconds: worth handing to a thread */
    PAD = 16,                /* floats between copied rows */
    BAD_STRIDE = 2048        /* bytes: rows that lie a multiple of it apart fall into few sets of the first cache */
};

typedef struct Job {
    const FloatProduct *product;
    const FloatTiles *tiles;
    Cut cut;
    bool copy_a, pack_b;
    size_t a_floats, b_floats;   /* a worker's room */
    float *scratch;
} Job;

int64_t panels_count(int64_t k, int64_t n)
{
    return (n + PANEL_COLUMNS - 1) / PANEL_COLUMNS * PANEL_COLUMNS * k;
}

/* ---- packing ------------------------------------------------------------------------------------------------------- */

/* Columns whose k lies side by side in memory are turned in squares of 8 x 8 where the CPU can. */
#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2")))
AVX2 static void turn_square(const float *b, int64_t column, float *ret)
{
    __m256 in[8], pairs[8], quads[8];
    for (int j = 0; j < 8; j++)
        in[j] = _mm256_loadu_ps(b + j * column);
    for (int j = 0; j < 8; j += 2) {
        pairs[j] = _mm256_unpacklo_ps(in[j], in[j + 1]);
        pairs[j + 1] = _mm256_unpackhi_ps(in[j], in[j + 1]);
    }
    for (int j = 0; j < 8; j += 4)
        for (int h = 0; h < 2; h++) {
            quads[j + 2 * h] = _mm256_shuffle_ps(pairs[j + h], pairs[j + h + 2], 0x44);
            quads[j + 2 * h + 1] = _mm256_shuffle_ps(pairs[j + h], pairs[j + h + 2], 0xEE);
        }
    for (int p = 0; p < 4; p++) {
        _mm256_storeu_ps(ret + p * PANEL_COLUMNS, _mm256_permute2f128_ps(quads[p], quads[p + 4], 0x20));
        _mm256_storeu_ps(ret + (p + 4) * PANEL_COLUMNS, _mm256_permute2f128_ps(quads[p], quads[p + 4], 0x31));
    }
}
#endif

static void turn_columns(int64_t k, int64_t n, const float *b, int64_t column, float *ret)
{
    int64_t whole_k = 0, whole_n = 0;

#if defined(__x86_64__)
    if (cpu_features().avx2) {
        whole_k = k / 8 * 8;
        whole_n = n / 8 * 8;
        for (int64_t j = 0; j < whole_n; j += 8)
            for (int64_t p = 0; p < whole_k; p += 8)
                turn_square(b + j * column + p, column, ret + p * PANEL_COLUMNS + j);
    }
#endif
    for (int64_t j = 0; j < n; j++)
        for (int64_t p = j < whole_n ? whole_k : 0; p < k; p++)
            ret[p * PANEL_COLUMNS + j] = b[j * column + p];
}

/* n <= 32 columns from b on, the rest zeros. */
static void pack_panel(int64_t k, int64_t n, const float *b, int64_t row, int64_t column, float *ret)
{
    if (n < PANEL_COLUMNS)
        memset(ret, 0, (size_t)(k * PANEL_COLUMNS) * sizeof *ret);
    if (column == 1) {
        for (int64_t p = 0; p < k; p++)
            memcpy(ret + p * PANEL_COLUMNS, b + p * row, (size_t)n * sizeof *ret);
        return;
    }
    if (row == 1) {
        turn_columns(k, n, b, column, ret);
        return;
    }
    for (int64_t j = 0; j < n; j++)
        for (int64_t p = 0; p < k; p++)
            ret[p * PANEL_COLUMNS + j] = b[p * row + j * column];
}

typedef struct Packing {
    int64_t k, n;
    Matrix b;
    float *ret;
} Packing;

static void pack_item(void *context, int64_t panel, int worker)
{
    const Packing *packing = context;
    int64_t first = panel * PANEL_COLUMNS;

    (void)worker;
    pack_panel(packing->k, MIN(packing->n - first, PANEL_COLUMNS), (const float *)packing->b.data + first * packing->b.column,
               packing->b.row, packing->b.column, packing->ret + first * packing->k);
}

void pack_floats(Team *team, int64_t k, int64_t n, Matrix b, float *ret)
{
    Packing packing = {k, n, b, ret};
    team_run(k * n < ENOUGH_MACS ? NULL : team, (n + PANEL_COLUMNS - 1) / PANEL_COLUMNS, pack_item, &packing);
}

/* ---- the product --------------------------------------------------------------------------------------------------- */

static void plan_job(const FloatProduct *product, int threads, Job *ret)
{
    Job job = {.product = product, .tiles = float_tiles(cpu_features())};
    int64_t k = product->k;

    job.cut = cut_product(product->batch, product->m, product->n, k, k * (int64_t)sizeof(float), job.tiles->rows, threads,
                          ENOUGH_MACS);
    job.copy_a = product->a.column != 1 ||
                 (job.cut.rows > 1 && product->a.row % (BAD_STRIDE / (int64_t)sizeof(float)) == 0);
    job.pack_b = product->packed == NULL && (product->b.column != 1 || job.cut.rows > FEW_ROWS);
    job.a_floats = job.copy_a ? (size_t)(job.cut.rows * (k + PAD)) : 0;
    job.b_floats = product->packed != NULL || (!job.pack_b && product->n % PANEL_COLUMNS == 0) ? 0
                                                                                              : (size_t)k * PANEL_COLUMNS;
    *ret = job;
}

size_t product_floats_scratch(const FloatProduct *product, int threads)
{
    Job job;

    if (product->m <= 0 || product->n <= 0 || product->batch <= 0)
        return 0;
    plan_job(product, threads, &job);
    return (job.a_floats + job.b_floats) * sizeof(float) * (size_t)MAX(threads, 1);
}

static const float *copy_rows(const Job *job, const float *a, int64_t rows, float *room)
{
    const Matrix *from = &job->product->a;
    int64_t k = job->product->k;

    for (int64_t i = 0; i < rows; i++)
        if (from->column == 1)
            memcpy(room + i * (k + PAD), a + i * from->row, (size_t)k * sizeof *room);
    if (from->column != 1)
        for (int64_t p = 0; p < k; p++)
            for (int64_t i = 0; i < rows; i++)
                room[i * (k + PAD) + p] = a[i * from->row + p * from->column];
    return room;
}

/* The panel's first element, and how far its rows lie apart. */
static const float *find_panel(const Job *job, int64_t pair, int64_t panel, float *room, int64_t *ret_step)
{
    const FloatProduct *product = job->product;
    int64_t first = panel * PANEL_COLUMNS, n = MIN(product->n - first, PANEL_COLUMNS);
    const float *b = product->b.data;

    *ret_step = PANEL_COLUMNS;
    if (product->packed != NULL)
        return product->packed + first * product->k;
    b += (product->pairs == NULL ? 0 : product->pairs[2 * pair + 1]) + first * product->b.column;
    if (!job->pack_b && n == PANEL_COLUMNS) {
        *ret_step = product->b.row;
        return b;
    }
    pack_panel(product->k, n, b, product->b.row, product->b.column, room);
    return room;
}

CPU_BODY void add_bias_body(float *restrict c, int64_t rows, int64_t c_row, const float *restrict bias, int64_t n)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < n; j++)
            c[i * c_row + j] += bias[j];
}

CPU_LEVELS(static, add_bias, (float *restrict c, int64_t rows, int64_t c_row, const float *restrict bias, int64_t n),
           (c, rows, c_row, bias, n))

static void run_item(void *context, int64_t item, int worker)
{
    const Job *job = context;
    const FloatProduct *product = job->product;
    CutItem part = cut_item(&job->cut, product->m, item);
    int64_t rows = part.rows, a_row = product->a.row, b_step;
    float *room = job->scratch + (size_t)worker * (job->a_floats + job->b_floats);
    const float *a = (const float *)product->a.data + (product->pairs == NULL ? 0 : product->pairs[2 * part.pair]) +
                     part.row * a_row;
    float *c = product->c + (part.pair * product->m + part.row) * product->n;
    _Alignas(64) float edge[TILE_ROWS * TILE_COLUMNS];

    if (job->copy_a) {
        a = copy_rows(job, a, rows, room);
        a_row = product->k + PAD;
    }
    for (int64_t panel = part.panel; panel < part.panel_end; panel++) {
        int64_t first = panel * PANEL_COLUMNS, n = MIN(product->n - first, PANEL_COLUMNS);
        const float *b = find_panel(job, part.pair, panel, room + job->a_floats, &b_step);
        for (int64_t i = 0, height; i < rows; i += height) {
            height = tile_height(rows - i, job->tiles->rows);
            float *to = c + i * product->n + first;
            if (n == PANEL_COLUMNS) {
                job->tiles->tile[height](product->k, a + i * a_row, a_row, b, b_step, to, product->n);
                continue;
            }
            job->tiles->tile[height](product->k, a + i * a_row, a_row, b, b_step, edge, TILE_COLUMNS);
            for (int64_t r = 0; r < height; r++)
                memcpy(to + r * product->n, edge + r * TILE_COLUMNS, (size_t)n * sizeof *to);
        }
        if (product->bias != NULL)
            add_bias(c + first, rows, product->n, product->bias + first, n);
    }
}

void product_floats(Team *team, const FloatProduct *product, void *scratch)
{
    Job job;

    if (product->m <= 0 || product->n <= 0 || product->batch <= 0)
        return;
    plan_job(product, team_size(team), &job);
    job.scratch = scratch;
    team_run(team, product->batch * job.cut.row_blocks * job.cut.groups, run_item, &job);
}
