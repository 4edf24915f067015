/* turn.c - between channels first and channels last: batches of transposed matrices.
 *
 *     x (outer, rows, columns)  ->  y (outer, columns, rows)        N C S -> N S C: rows C, columns S, and back
 *
 * Tiles of 32 rows or columns stay in the first cache, so that both sides are read and written in whole lines; inside them go
 * blocks that are turned in registers. Images of a few channels are woven, and unwoven, in one pass.
 */
#include "src/kernels/kernels.h"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#define TILE 32
#define STRETCH 1024 /* columns of an item */
#define FEW 4        /* rows, or columns, that are woven */
#define ALONE (1 << 15) /* bytes that are not worth a team */

typedef struct Turn {
    size_t bytes;
    int64_t rows, columns, row_tiles, stretches;
    const char *x;
    char *y;
} Turn;

/* A rectangle of a matrix. */
typedef struct Patch {
    int64_t row, rows, column, columns;
} Patch;

#define TURN_PLAIN(name, T)                                                                                            \
    static void name(const Turn *job, const void *in, void *out, Patch p)                                              \
    {                                                                                                                  \
        const T *x = in;                                                                                               \
        T *y = out;                                                                                                    \
        for (int64_t c = p.column; c < p.column + p.columns; c++)                                                      \
            for (int64_t r = p.row; r < p.row + p.rows; r++)                                                           \
                y[c * job->rows + r] = x[r * job->columns + c];                                                        \
    }
TURN_PLAIN(plain_1, uint8_t)
TURN_PLAIN(plain_2, uint16_t)
TURN_PLAIN(plain_4, uint32_t)
TURN_PLAIN(plain_8, uint64_t)

static void turn_plain(const Turn *job, const void *x, void *y, Patch patch)
{
    (job->bytes == 1   ? plain_1
     : job->bytes == 2 ? plain_2
     : job->bytes == 4 ? plain_4
                       : plain_8)(job, x, y, patch);
}

#if defined(__x86_64__)
/* 4 x 4 elements of 4 bytes. */
static void block_4(const Turn *job, const uint32_t *x, uint32_t *y)
{
    __m128i a = _mm_loadu_si128((const __m128i *)(const void *)x);
    __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(x + job->columns));
    __m128i c = _mm_loadu_si128((const __m128i *)(const void *)(x + 2 * job->columns));
    __m128i d = _mm_loadu_si128((const __m128i *)(const void *)(x + 3 * job->columns));
    __m128i ab_low = _mm_unpacklo_epi32(a, b), ab_high = _mm_unpackhi_epi32(a, b);
    __m128i cd_low = _mm_unpacklo_epi32(c, d), cd_high = _mm_unpackhi_epi32(c, d);

    _mm_storeu_si128((__m128i *)(void *)y, _mm_unpacklo_epi64(ab_low, cd_low));
    _mm_storeu_si128((__m128i *)(void *)(y + job->rows), _mm_unpackhi_epi64(ab_low, cd_low));
    _mm_storeu_si128((__m128i *)(void *)(y + 2 * job->rows), _mm_unpacklo_epi64(ab_high, cd_high));
    _mm_storeu_si128((__m128i *)(void *)(y + 3 * job->rows), _mm_unpackhi_epi64(ab_high, cd_high));
}

/* 16 x 16 bytes: four times, each row is woven with the one eight further on, which turns the whole. */
static void block_1(const Turn *job, const uint8_t *x, uint8_t *y)
{
    __m128i a[16], b[16];

    for (int i = 0; i < 16; i++)
        a[i] = _mm_loadu_si128((const __m128i *)(const void *)(x + i * job->columns));
    for (int stage = 0; stage < 4; stage++) {
        for (int i = 0; i < 8; i++) {
            b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
            b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
        }
        for (int i = 0; i < 16; i++)
            a[i] = b[i];
    }
    for (int i = 0; i < 16; i++)
        _mm_storeu_si128((__m128i *)(void *)(y + i * job->rows), a[i]);
}

static int64_t block_size(size_t bytes)
{
    return bytes == 1 ? 16 : bytes == 4 ? 4 : 0;
}

static void turn_block(const Turn *job, const void *x, void *y, int64_t row, int64_t column)
{
    int64_t from = row * job->columns + column, to = column * job->rows + row;

    if (job->bytes == 1)
        block_1(job, (const uint8_t *)x + from, (uint8_t *)y + to);
    else
        block_4(job, (const uint32_t *)x + from, (uint32_t *)y + to);
}
#else
static int64_t block_size(size_t bytes)
{
    (void)bytes;
    return 0;
}

static void turn_block(const Turn *job, const void *x, void *y, int64_t row, int64_t column)
{
    turn_plain(job, x, y, (Patch){row, 1, column, 1});
}
#endif

/* Whole blocks, then what is left over on the right and below. */
static void turn_tile(const Turn *job, const void *x, void *y, Patch p)
{
    int64_t size = block_size(job->bytes), rows = size == 0 ? 0 : p.rows / size * size;
    int64_t columns = size == 0 ? 0 : p.columns / size * size;

    for (int64_t c = 0; c < columns; c += size)
        for (int64_t r = 0; r < rows; r += size)
            turn_block(job, x, y, p.row + r, p.column + c);
    if (columns < p.columns && rows > 0)
        turn_plain(job, x, y, (Patch){p.row, rows, p.column + columns, p.columns - columns});
    if (rows < p.rows)
        turn_plain(job, x, y, (Patch){p.row + rows, p.rows - rows, p.column, p.columns});
}

/* n rows, a constant: rows side by side into one line, and back. */
#define WEAVE(name, T, N)                                                                                              \
    CPU_BODY void name##_body(const T *restrict x, int64_t stride, int64_t n, T *restrict y)                           \
    {                                                                                                                  \
        for (int64_t i = 0; i < n; i++)                                                                                \
            for (int64_t k = 0; k < (N); k++)                                                                          \
                y[i * (N) + k] = x[k * stride + i];                                                                    \
    }                                                                                                                  \
    CPU_LEVELS(static, name, (const T *restrict x, int64_t stride, int64_t n, T *restrict y), (x, stride, n, y))
#define UNWEAVE(name, T, N)                                                                                            \
    CPU_BODY void name##_body(const T *restrict x, int64_t stride, int64_t n, T *restrict y)                           \
    {                                                                                                                  \
        for (int64_t k = 0; k < (N); k++)                                                                              \
            for (int64_t i = 0; i < n; i++)                                                                            \
                y[k * stride + i] = x[i * (N) + k];                                                                    \
    }                                                                                                                  \
    CPU_LEVELS(static, name, (const T *restrict x, int64_t stride, int64_t n, T *restrict y), (x, stride, n, y))
WEAVE(weave_1_2, uint8_t, 2)
WEAVE(weave_1_3, uint8_t, 3)
WEAVE(weave_1_4, uint8_t, 4)
WEAVE(weave_4_2, uint32_t, 2)
WEAVE(weave_4_3, uint32_t, 3)
WEAVE(weave_4_4, uint32_t, 4)
UNWEAVE(unweave_1_2, uint8_t, 2)
UNWEAVE(unweave_1_3, uint8_t, 3)
UNWEAVE(unweave_1_4, uint8_t, 4)
UNWEAVE(unweave_4_2, uint32_t, 2)
UNWEAVE(unweave_4_3, uint32_t, 3)
UNWEAVE(unweave_4_4, uint32_t, 4)

typedef void (*Weave1)(const uint8_t *x, int64_t stride, int64_t n, uint8_t *y);
typedef void (*Weave4)(const uint32_t *x, int64_t stride, int64_t n, uint32_t *y);

/* [back][rows - 2] */
static const Weave1 weaves_1[2][3] = {{weave_1_2, weave_1_3, weave_1_4}, {unweave_1_2, unweave_1_3, unweave_1_4}};
static const Weave4 weaves_4[2][3] = {{weave_4_2, weave_4_3, weave_4_4}, {unweave_4_2, unweave_4_3, unweave_4_4}};

static bool is_woven(const Turn *job)
{
    return (job->bytes == 1 || job->bytes == 4) && job->rows > 1 && job->columns > 1 && MIN(job->rows, job->columns) <= FEW;
}

/* Elements that each of the few holds. */
static int64_t woven_length(const Turn *job)
{
    return job->rows > FEW ? job->rows : job->columns;
}

static void weave(const Turn *job, const char *x, char *y, Patch p)
{
    bool back = job->rows > FEW; /* the columns are the few */
    int64_t few = back ? job->columns : job->rows, at = back ? p.row : p.column, n = back ? p.rows : p.columns;
    int64_t stride = back ? job->rows : job->columns;
    const void *from = x + (size_t)(back ? at * few : at) * job->bytes;
    void *to = y + (size_t)(back ? at : at * few) * job->bytes;

    if (job->bytes == 1)
        weaves_1[back][few - 2](from, stride, n, to);
    else
        weaves_4[back][few - 2](from, stride, n, to);
}

/* A stretch of one band of 32 rows of one matrix; of a woven matrix, its few rows or columns and a stretch of the others. */
static void turn_item(void *context, int64_t item, int worker)
{
    const Turn *job = context;
    int64_t stretch = item % job->stretches * STRETCH, band = item / job->stretches;
    int64_t matrix = band / job->row_tiles, row = band % job->row_tiles * TILE;
    size_t at = (size_t)(matrix * job->rows * job->columns) * job->bytes;
    const char *x = job->x + at;
    char *y = job->y + at;

    (void)worker;
    if (is_woven(job)) {
        int64_t n = MIN(STRETCH, woven_length(job) - stretch);
        weave(job, x, y, (Patch){stretch, n, stretch, n});
        return;
    }
    int64_t end = MIN(stretch + STRETCH, job->columns), rows = MIN(TILE, job->rows - row);
    for (int64_t c = stretch; c < end; c += TILE)
        turn_tile(job, x, y, (Patch){row, rows, c, MIN(TILE, end - c)});
}

void turn_planes(Team *team, size_t bytes, int64_t outer, int64_t rows, int64_t columns, const void *x, void *y)
{
    Turn job = {.bytes = bytes, .rows = rows, .columns = columns, .x = x, .y = y};

    if (outer == 0 || rows == 0 || columns == 0)
        return;
    bool woven = is_woven(&job);
    job.row_tiles = woven ? 1 : (rows + TILE - 1) / TILE;
    job.stretches = ((woven ? woven_length(&job) : columns) + STRETCH - 1) / STRETCH;
    team_run((double)outer * (double)rows * (double)columns * (double)bytes < ALONE ? NULL : team,
             outer * job.row_tiles * job.stretches, turn_item, &job);
}
