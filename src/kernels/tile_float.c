/* tile_float.c - tiles of float products for each level of vector instructions; see tile.h.
 *
 *     AVX-512    12 rows of 2 x 16 columns: 24 sums, 2 pieces of b, 1 of a, of 32 registers
 *     AVX2        6 rows of 2 x 8: 12 sums of 16 registers, so the panel in two halves
 *     others      4 rows of 2 x 4, the panel in four quarters
 */
#include "src/kernels/tile.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Defines NAME_1 .. NAME_rows from the body NAME_body(rows, ...). */
#define TILE_PARAMETERS                                                                                                \
    int64_t k, const float *a, int64_t a_row, const float *b, int64_t b_step, float *c, int64_t c_row
#define DEFINE_TILE(attribute, name, rows)                                                                             \
    attribute static void name##_##rows(TILE_PARAMETERS)                                                               \
    {                                                                                                                  \
        name##_body(rows, k, a, a_row, b, b_step, c, c_row);                                                           \
    }
#define DEFINE_TILES_4(attribute, name)                                                                                \
    DEFINE_TILE(attribute, name, 1)                                                                                    \
    DEFINE_TILE(attribute, name, 2)                                                                                    \
    DEFINE_TILE(attribute, name, 3)                                                                                    \
    DEFINE_TILE(attribute, name, 4)
#define DEFINE_TILES_6(attribute, name)                                                                                \
    DEFINE_TILES_4(attribute, name)                                                                                    \
    DEFINE_TILE(attribute, name, 5)                                                                                    \
    DEFINE_TILE(attribute, name, 6)
#define DEFINE_TILES_12(attribute, name)                                                                               \
    DEFINE_TILES_6(attribute, name)                                                                                    \
    DEFINE_TILE(attribute, name, 7)                                                                                    \
    DEFINE_TILE(attribute, name, 8)                                                                                    \
    DEFINE_TILE(attribute, name, 9)                                                                                    \
    DEFINE_TILE(attribute, name, 10)                                                                                   \
    DEFINE_TILE(attribute, name, 11)                                                                                   \
    DEFINE_TILE(attribute, name, 12)

/* ---- any CPU ------------------------------------------------------------------------------------------------------- */

typedef float Lanes __attribute__((vector_size(16), aligned(4), may_alias));
enum { LANES = 4, PLAIN_ROWS = 4, PLAIN_COLUMNS = 2 * LANES };

CPU_BODY void plain_body(int rows, TILE_PARAMETERS)
{
    for (int64_t from = 0; from < TILE_COLUMNS; from += PLAIN_COLUMNS) {
        const float *panel = b + from;
        Lanes sums[PLAIN_ROWS][2];
        for (int i = 0; i < rows; i++)
            sums[i][0] = sums[i][1] = (Lanes){0};
        for (int64_t p = 0; p < k; p++, panel += b_step) {
            Lanes left = *(const Lanes *)panel, right = *(const Lanes *)(panel + LANES);
            for (int i = 0; i < rows; i++) {
                sums[i][0] += a[i * a_row + p] * left;
                sums[i][1] += a[i * a_row + p] * right;
            }
        }
        for (int i = 0; i < rows; i++) {
            *(Lanes *)(c + i * c_row + from) = sums[i][0];
            *(Lanes *)(c + i * c_row + from + LANES) = sums[i][1];
        }
    }
}

DEFINE_TILES_4(, plain)
static const FloatTiles plain_tiles = {PLAIN_ROWS, {NULL, plain_1, plain_2, plain_3, plain_4}};

#if defined(__x86_64__)

/* ---- AVX2 ---------------------------------------------------------------------------------------------------------- */

#define AVX2 __attribute__((target("avx2,fma")))
enum { AVX2_ROWS = 6, AVX2_LANES = 8 };

AVX2 CPU_BODY void avx2_body(int rows, TILE_PARAMETERS)
{
    for (int64_t from = 0; from < TILE_COLUMNS; from += 2 * AVX2_LANES) {
        const float *panel = b + from;
        __m256 sums[AVX2_ROWS][2];
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++)
            sums[i][0] = sums[i][1] = _mm256_setzero_ps();
        for (int64_t p = 0; p < k; p++, panel += b_step) {
            __m256 left = _mm256_loadu_ps(panel), right = _mm256_loadu_ps(panel + AVX2_LANES);
#pragma GCC unroll 6
            for (int i = 0; i < rows; i++) {
                __m256 x = _mm256_broadcast_ss(a + i * a_row + p);
                sums[i][0] = _mm256_fmadd_ps(x, left, sums[i][0]);
                sums[i][1] = _mm256_fmadd_ps(x, right, sums[i][1]);
            }
        }
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            _mm256_storeu_ps(c + i * c_row + from, sums[i][0]);
            _mm256_storeu_ps(c + i * c_row + from + AVX2_LANES, sums[i][1]);
        }
    }
}

DEFINE_TILES_6(AVX2, avx2)
static const FloatTiles avx2_tiles = {AVX2_ROWS, {NULL, avx2_1, avx2_2, avx2_3, avx2_4, avx2_5, avx2_6}};

/* ---- AVX-512 ------------------------------------------------------------------------------------------------------- */

#define AVX512 __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq")))
enum { AVX512_LANES = 16 };

AVX512 CPU_BODY void avx512_body(int rows, TILE_PARAMETERS)
{
    __m512 sums[TILE_ROWS][2];
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
        sums[i][0] = sums[i][1] = _mm512_setzero_ps();
    for (int64_t p = 0; p < k; p++, b += b_step) {
        __m512 left = _mm512_loadu_ps(b), right = _mm512_loadu_ps(b + AVX512_LANES);
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            __m512 x = _mm512_set1_ps(a[i * a_row + p]);
            sums[i][0] = _mm512_fmadd_ps(x, left, sums[i][0]);
            sums[i][1] = _mm512_fmadd_ps(x, right, sums[i][1]);
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        _mm512_storeu_ps(c + i * c_row, sums[i][0]);
        _mm512_storeu_ps(c + i * c_row + AVX512_LANES, sums[i][1]);
    }
}

DEFINE_TILES_12(AVX512, avx512)
static const FloatTiles avx512_tiles = {TILE_ROWS,
                                        {NULL, avx512_1, avx512_2, avx512_3, avx512_4, avx512_5, avx512_6, avx512_7, avx512_8,
                                         avx512_9, avx512_10, avx512_11, avx512_12}};
#endif

const FloatTiles *float_tiles(CpuFeatures cpu)
{
#if defined(__x86_64__)
    if (cpu.avx512)
        return &avx512_tiles;
    if (cpu.avx2)
        return &avx2_tiles;
#endif
    (void)cpu;
    return &plain_tiles;
}
