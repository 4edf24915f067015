/* packed_bytes.c - products of bytes by the tiles of tile.h, their sums finished while they are in the first cache.
 *
 * Tiles take a unsigned and b signed, so the top bits of a signed a and of an unsigned b are turned: a' = a + 128,
 * b' = b - 128. With zero points z in the same terms:
 *
 *     sum (a' - za) (b' - zb)  =  sum a' b'  -  za sum b'  +  k za zb  -  zb sum a'
 *                                 tile          one number a column        where b has a zero point: one number a row
 *
 *     a panel in memory:   sums of its 32 columns | quads: 4 of k for each of 32 columns, next quad ...
 *
 * All of it modulo 2^32: exact as far as the result itself fits.
 */
#include "src/kernels/rounding.h"
#include "src/kernels/tile.h"

#include <string.h>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

enum {
    QUAD = 4,
    QUAD_BYTES = QUAD * PANEL_COLUMNS,
    HEAD_BYTES = PANEL_COLUMNS * (int)sizeof(int32_t),
    ENOUGH_MACS = 1 << 19, /* some microseconds: worth handing to a thread */
    PAD = 64,              /* bytes between copied rows */
    BAD_STRIDE = 2048      /* rows a multiple of it apart fall into few sets of the first cache */
};

typedef struct Job {
    const ByteProduct *product;
    const ByteTiles *tiles;
    Cut cut;
    int64_t quads;
    uint8_t a_flip, b_flip;
    uint32_t a_zero;       /* of a' */
    bool copy_a, row_sums;
    size_t a_bytes, b_bytes, sums_bytes; /* a worker's room */
    char *scratch;
} Job;

bool product_bytes_fast(void)
{
    return byte_tiles(cpu_features()) != NULL;
}

static int64_t quads_of(int64_t k)
{
    return (k + QUAD - 1) / QUAD;
}

static size_t panel_bytes(int64_t k)
{
    return (size_t)quads_of(k) * QUAD_BYTES + HEAD_BYTES;
}

size_t packed_bytes_size(int64_t k, int64_t n)
{
    return (size_t)((n + PANEL_COLUMNS - 1) / PANEL_COLUMNS) * panel_bytes(k);
}

/* ---- packing ------------------------------------------------------------------------------------------------------- */

/* Four rows of 32 bytes side by side. */
CPU_BODY void interleave_body(const uint8_t *restrict r0, const uint8_t *restrict r1, const uint8_t *restrict r2,
                              const uint8_t *restrict r3, uint8_t flip, uint8_t *restrict ret)
{
    for (int j = 0; j < PANEL_COLUMNS; j++) {
        ret[QUAD * j] = r0[j] ^ flip;
        ret[QUAD * j + 1] = r1[j] ^ flip;
        ret[QUAD * j + 2] = r2[j] ^ flip;
        ret[QUAD * j + 3] = r3[j] ^ flip;
    }
}

/* The rows of b lie as a whole in memory: `step` bytes apart. */
CPU_BODY void pack_rows_body(int64_t k, int64_t n, const uint8_t *b, int64_t step, uint8_t flip, uint8_t *ret)
{
    for (int64_t p = 0; p < k; p += QUAD, ret += QUAD_BYTES) {
        uint8_t edge[QUAD][PANEL_COLUMNS];
        const uint8_t *rows[QUAD];
        for (int r = 0; r < QUAD; r++) {
            rows[r] = b + (p + r) * step;
            if (p + r < k && n == PANEL_COLUMNS)
                continue;
            memset(edge[r], flip, sizeof edge[r]); /* 0 when turned */
            if (p + r < k)
                memcpy(edge[r], rows[r], (size_t)n);
            rows[r] = edge[r];
        }
        interleave_body(rows[0], rows[1], rows[2], rows[3], flip, ret);
    }
}

CPU_LEVELS(static, pack_rows, (int64_t k, int64_t n, const uint8_t *b, int64_t step, uint8_t flip, uint8_t *ret),
           (k, n, b, step, flip, ret))

/* Any strides; quads that lie side by side are moved as one. */
static void pack_columns(int64_t k, int64_t n, const uint8_t *b, int64_t row, int64_t column, uint8_t flip, uint8_t *ret)
{
    uint32_t flips = flip * 0x01010101u;

    for (int64_t p = 0; p < k; p += QUAD)
        for (int64_t j = 0; j < PANEL_COLUMNS; j++) {
            uint8_t *to = ret + p * PANEL_COLUMNS + j * QUAD;
            uint32_t quad = flips;
            if (j < n && p + QUAD <= k && row == 1)
                memcpy(&quad, b + j * column + p, sizeof quad);
            else
                for (int64_t r = 0; j < n && r < QUAD && p + r < k; r++)
                    memcpy((uint8_t *)&quad + r, b + j * column + (p + r) * row, 1);
            quad ^= flips;
            memcpy(to, &quad, sizeof quad);
        }
}

/* Sums of the columns by a tile whose row of a is all ones. */
static void sum_columns(const ByteTiles *tiles, int64_t quads, const uint8_t *packed, uint32_t ret[PANEL_COLUMNS])
{
    enum { ONES = 64 };
    uint8_t ones[ONES * QUAD];
    int32_t part[PANEL_COLUMNS];

    memset(ones, 1, sizeof ones);
    memset(ret, 0, PANEL_COLUMNS * sizeof *ret);
    for (int64_t q = 0; q < quads; q += ONES) {
        tiles->tile[1](MIN(quads - q, ONES), ones, 0, (const int8_t *)packed + q * QUAD_BYTES, part);
        for (int j = 0; j < PANEL_COLUMNS; j++)
            ret[j] += (uint32_t)part[j];
    }
}

static void pack_panel(const ByteTiles *tiles, int64_t k, int64_t n, const uint8_t *b, const Matrix *like, char *ret)
{
    uint8_t flip = like->type == KERNEL_U8 ? 0x80 : 0, *quads = (uint8_t *)ret + HEAD_BYTES;
    uint32_t sums[PANEL_COLUMNS];

    if (like->column == 1)
        pack_rows(k, n, b, like->row, flip, quads);
    else
        pack_columns(k, n, b, like->row, like->column, flip, quads);
    sum_columns(tiles, quads_of(k), quads, sums);
    memcpy(ret, sums, sizeof sums);
}

typedef struct Packing {
    const ByteTiles *tiles;
    int64_t k, n;
    Matrix b;
    char *ret;
} Packing;

static void pack_item(void *context, int64_t panel, int worker)
{
    const Packing *packing = context;
    int64_t first = panel * PANEL_COLUMNS;

    (void)worker;
    pack_panel(packing->tiles, packing->k, MIN(packing->n - first, PANEL_COLUMNS),
               (const uint8_t *)packing->b.data + first * packing->b.column, &packing->b,
               packing->ret + (size_t)panel * panel_bytes(packing->k));
}

void pack_bytes(Team *team, int64_t k, int64_t n, Matrix b, void *ret)
{
    Packing packing = {byte_tiles(cpu_features()), k, n, b, ret};
    team_run(k * n < ENOUGH_MACS ? NULL : team, (n + PANEL_COLUMNS - 1) / PANEL_COLUMNS, pack_item, &packing);
}

/* ---- from sums to results ------------------------------------------------------------------------------------------ */

/* What the columns of one panel need. */
typedef struct Finish {
    ByteResult result;
    int64_t n, y_row;             /* y_row in bytes */
    uint32_t shift[PANEL_COLUMNS], b_zero[PANEL_COLUMNS];
    float multiplier[PANEL_COLUMNS], bias[PANEL_COLUMNS];
    bool has_bias;
    Scale8 y_scale;
} Finish;

CPU_BODY void put_row(void *y, const void *row, int64_t n, size_t size)
{
    if (n == PANEL_COLUMNS)
        memcpy(y, row, PANEL_COLUMNS * size);
    else
        memcpy(y, row, (size_t)n * size);
}

/* The exact sum of column j in a row of which row_sum is that of a', `apart` when b has a zero point. */
CPU_BODY uint32_t whole_sum(const Finish *finish, const int32_t *sums, int j, bool apart, uint32_t row_sum)
{
    uint32_t sum = (uint32_t)sums[j] + finish->shift[j];

    return apart ? sum - finish->b_zero[j] * row_sum : sum;
}

/* Loops without choices inside, so that a row goes through registers alone. */
CPU_BODY void finish_row(const Finish *finish, const int32_t *restrict sums, bool apart, uint32_t row_sum, char *restrict y)
{
    uint32_t totals[PANEL_COLUMNS];
    float floats[PANEL_COLUMNS];
    uint8_t codes[PANEL_COLUMNS];

    if (finish->result == BYTE_CODES) {
        for (int j = 0; j < PANEL_COLUMNS; j++)
            codes[j] = requantize_one(whole_sum(finish, sums, j, apart, row_sum), finish->multiplier[j], finish->y_scale);
        put_row(y, codes, finish->n, sizeof codes[0]);
    } else if (finish->result == BYTE_FLOATS && finish->has_bias) {
        for (int j = 0; j < PANEL_COLUMNS; j++)
            floats[j] = (float)(int32_t)whole_sum(finish, sums, j, apart, row_sum) * finish->multiplier[j] + finish->bias[j];
        put_row(y, floats, finish->n, sizeof floats[0]);
    } else if (finish->result == BYTE_FLOATS) {
        for (int j = 0; j < PANEL_COLUMNS; j++)
            floats[j] = (float)(int32_t)whole_sum(finish, sums, j, apart, row_sum) * finish->multiplier[j];
        put_row(y, floats, finish->n, sizeof floats[0]);
    } else {
        for (int j = 0; j < PANEL_COLUMNS; j++)
            totals[j] = whole_sum(finish, sums, j, apart, row_sum);
        put_row(y, totals, finish->n, sizeof totals[0]);
    }
}

CPU_BODY void finish_rows_body(const Finish *finish, const int32_t *restrict sums, int64_t rows, const uint32_t *row_sums, char *y)
{
    for (int64_t i = 0; i < rows; i++, sums += PANEL_COLUMNS, y += finish->y_row)
        if (row_sums != NULL)
            finish_row(finish, sums, true, row_sums[i], y);
        else
            finish_row(finish, sums, false, 0, y);
}

CPU_LEVELS(static, finish_rows,
           (const Finish *finish, const int32_t *restrict sums, int64_t rows, const uint32_t *row_sums, char *y),
           (finish, sums, rows, row_sums, y))

static size_t result_bytes(ByteResult result)
{
    return result == BYTE_CODES ? 1 : sizeof(int32_t);
}

static void make_finish(const Job *job, int64_t panel, const char *packed, Finish *ret)
{
    const ByteProduct *product = job->product;
    const int32_t *zero = product->b.zero;
    int64_t first = panel * PANEL_COLUMNS, n = MIN(product->n - first, PANEL_COLUMNS);
    uint32_t sums[PANEL_COLUMNS];

    ret->result = product->result;
    ret->n = n;
    ret->y_row = product->n * (int64_t)result_bytes(product->result);
    ret->y_scale = product->y_scale;
    ret->has_bias = product->float_bias != NULL;
    memcpy(sums, packed, sizeof sums);
    for (int j = 0; j < PANEL_COLUMNS; j++)
        ret->b_zero[j] = (zero == NULL ? 0 : (uint32_t)zero[0]) - job->b_flip;
    for (int64_t j = 0; product->b.zeros > 1 && j < n; j++)
        ret->b_zero[j] = (uint32_t)zero[first + j] - job->b_flip;
    for (int j = 0; j < PANEL_COLUMNS; j++)
        ret->shift[j] = job->a_zero * ((uint32_t)product->k * ret->b_zero[j] - sums[j]);
    for (int64_t j = 0; product->bias != NULL && j < n; j++)
        ret->shift[j] += (uint32_t)product->bias[first + j];
    if (product->result == BYTE_SUMS)
        return;
    memset(ret->multiplier, 0, sizeof ret->multiplier);
    memset(ret->bias, 0, sizeof ret->bias);
    if (product->multipliers == 1)
        for (int j = 0; j < PANEL_COLUMNS; j++)
            ret->multiplier[j] = product->multiplier[0];
    else
        memcpy(ret->multiplier, product->multiplier + first, (size_t)n * sizeof(float));
    if (ret->has_bias)
        memcpy(ret->bias, product->float_bias + first, (size_t)n * sizeof(float));
}

/* ---- the product --------------------------------------------------------------------------------------------------- */

static size_t rounded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static Job plan_job(const ByteProduct *product, int threads)
{
    const Matrix *a = &product->a, *b = &product->b;
    Job job = {.product = product, .tiles = byte_tiles(cpu_features()), .quads = quads_of(product->k)};

    job.cut = cut_product(product->batch, product->m, product->n, product->k, product->k, job.tiles->rows, threads, ENOUGH_MACS);
    job.a_flip = a->type == KERNEL_S8 ? 0x80 : 0;
    job.b_flip = b->type == KERNEL_U8 ? 0x80 : 0;
    job.a_zero = (a->zero == NULL ? 0 : (uint32_t)a->zero[0]) + job.a_flip;
    for (int64_t j = 0; j < (b->zero == NULL ? 1 : b->zeros); j++)
        job.row_sums = job.row_sums || (b->zero == NULL ? 0 : b->zero[j]) != job.b_flip;
    job.copy_a = a->type == KERNEL_S8 || a->column != 1 || product->k % QUAD != 0 ||
                 (job.cut.rows > 1 && a->row % BAD_STRIDE == 0);
    job.a_bytes = job.copy_a ? rounded((size_t)job.cut.rows * ((size_t)job.quads * QUAD + PAD)) : 0;
    job.b_bytes = product->packed == NULL ? rounded(panel_bytes(product->k)) : 0;
    job.sums_bytes = job.row_sums ? rounded((size_t)job.cut.rows * sizeof(uint32_t)) : 0;
    return job;
}

static bool is_empty(const ByteProduct *product)
{
    return product->m <= 0 || product->n <= 0 || product->batch <= 0;
}

size_t product_bytes_scratch(const ByteProduct *product, int threads)
{
    if (is_empty(product))
        return 0;
    Job job = plan_job(product, threads);
    return (job.a_bytes + job.b_bytes + job.sums_bytes) * (size_t)MAX(threads, 1);
}

CPU_BODY void flip_row_body(const uint8_t *restrict x, int64_t n, uint8_t flip, uint8_t *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] ^ flip;
}

static uint32_t sum_row(const uint8_t *x, int64_t n)
{
    uint32_t sum = 0;
    int64_t i = 0;

#if defined(__x86_64__)
    __m128i sums = _mm_setzero_si128();
    for (; i + 16 <= n; i += 16)
        sums = _mm_add_epi64(sums, _mm_sad_epu8(_mm_loadu_si128((const void *)(x + i)), _mm_setzero_si128()));
    sum = (uint32_t)_mm_cvtsi128_si32(sums) + (uint32_t)_mm_cvtsi128_si32(_mm_unpackhi_epi64(sums, sums));
#endif
    for (; i < n; i++)
        sum += x[i];
    return sum;
}

CPU_LEVELS(static, flip_row, (const uint8_t *restrict x, int64_t n, uint8_t flip, uint8_t *restrict y), (x, n, flip, y))

/* Rows of a, unsigned, in whole quads: where they lie, or copied. */
static const uint8_t *find_rows(const Job *job, const uint8_t *a, int64_t rows, uint8_t *room, int64_t *ret_step)
{
    const Matrix *from = &job->product->a;
    int64_t k = job->product->k, step = job->quads * QUAD + PAD;

    *ret_step = from->row;
    if (!job->copy_a)
        return a;
    *ret_step = step;
    for (int64_t i = 0; i < rows; i++) {
        uint8_t *to = room + i * step;
        if (from->column == 1)
            flip_row(a + i * from->row, k, job->a_flip, to);
        else
            for (int64_t p = 0; p < k; p++)
                to[p] = a[i * from->row + p * from->column] ^ job->a_flip;
        memset(to + k, 0, (size_t)(job->quads * QUAD - k));
    }
    return room;
}

static const char *find_panel(const Job *job, int64_t pair, int64_t panel, char *room)
{
    const ByteProduct *product = job->product;
    int64_t first = panel * PANEL_COLUMNS;

    if (product->packed != NULL)
        return (const char *)product->packed + (size_t)panel * panel_bytes(product->k);
    pack_panel(job->tiles, product->k, MIN(product->n - first, PANEL_COLUMNS),
               (const uint8_t *)product->b.data + (product->pairs == NULL ? 0 : product->pairs[2 * pair + 1]) +
                   first * product->b.column,
               &product->b, room);
    return room;
}

static void run_item(void *context, int64_t item, int worker)
{
    const Job *job = context;
    const ByteProduct *product = job->product;
    CutItem part = cut_item(&job->cut, product->m, item);
    char *room = job->scratch + (size_t)worker * (job->a_bytes + job->b_bytes + job->sums_bytes);
    uint32_t *row_sums = job->row_sums ? (void *)(room + job->a_bytes + job->b_bytes) : NULL;
    size_t size = result_bytes(product->result);
    int64_t a_step;
    const uint8_t *a = (const uint8_t *)product->a.data + (product->pairs == NULL ? 0 : product->pairs[2 * part.pair]) +
                       part.row * product->a.row;
    char *y = (char *)product->y + (size_t)((part.pair * product->m + part.row) * product->n) * size;
    _Alignas(64) int32_t sums[TILE_ROWS * TILE_COLUMNS];

    a = find_rows(job, a, part.rows, (uint8_t *)room, &a_step);
    for (int64_t i = 0; i < part.rows && row_sums != NULL; i++)
        row_sums[i] = sum_row(a + i * a_step, product->k);
    for (int64_t panel = part.panel; panel < part.panel_end; panel++) {
        const char *packed = find_panel(job, part.pair, panel, room + job->a_bytes);
        Finish finish;
        make_finish(job, panel, packed, &finish);
        for (int64_t i = 0, height; i < part.rows; i += height) {
            height = tile_height(part.rows - i, job->tiles->rows);
            job->tiles->tile[height](job->quads, a + i * a_step, a_step, (const int8_t *)packed + HEAD_BYTES, sums);
            finish_rows(&finish, sums, height, row_sums == NULL ? NULL : row_sums + i,
                        y + (size_t)(i * product->n + panel * PANEL_COLUMNS) * size);
        }
    }
}

void product_bytes(Team *team, const ByteProduct *product, void *scratch)
{
    if (is_empty(product))
        return;
    Job job = plan_job(product, team_size(team));
    job.scratch = scratch;
    team_run(team, product->batch * job.cut.row_blocks * job.cut.groups, run_item, &job);
}
