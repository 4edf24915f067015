/* tile_bytes.c - tiles of products of bytes for each level of vector instructions; see tile.h.
 *
 *     VNNI       12 rows of 2 x 16 columns; one instruction takes four products to each of 16 sums
 *     AVX-512     4 rows, 8 columns at a time: bytes widened to 16 bits, pairs of products added exactly
 *     AVX2        4 rows, 4 columns at a time, the same way
 *
 * The instruction of older CPUs that multiplies bytes saturates its sums of two; it is not used.
 */
#include "src/kernels/tile.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define TILE_PARAMETERS int64_t quads, const uint8_t *a, int64_t a_row, const int8_t *b, int32_t *c
#define DEFINE_TILE(attribute, name, rows)                                                                             \
    attribute static void name##_##rows(TILE_PARAMETERS)                                                               \
    {                                                                                                                  \
        name##_body(rows, quads, a, a_row, b, c);                                                                      \
    }
#define DEFINE_TILES_4(attribute, name)                                                                                \
    DEFINE_TILE(attribute, name, 1)                                                                                    \
    DEFINE_TILE(attribute, name, 2)                                                                                    \
    DEFINE_TILE(attribute, name, 3)                                                                                    \
    DEFINE_TILE(attribute, name, 4)
#define DEFINE_TILES_12(attribute, name)                                                                               \
    DEFINE_TILES_4(attribute, name)                                                                                    \
    DEFINE_TILE(attribute, name, 5)                                                                                    \
    DEFINE_TILE(attribute, name, 6)                                                                                    \
    DEFINE_TILE(attribute, name, 7)                                                                                    \
    DEFINE_TILE(attribute, name, 8)                                                                                    \
    DEFINE_TILE(attribute, name, 9)                                                                                    \
    DEFINE_TILE(attribute, name, 10)                                                                                   \
    DEFINE_TILE(attribute, name, 11)                                                                                   \
    DEFINE_TILE(attribute, name, 12)

static inline int32_t load_quad(const uint8_t *a)
{
    int32_t ret;

    memcpy(&ret, a, sizeof ret);
    return ret;
}

enum { QUAD = 4, QUAD_BYTES = QUAD * TILE_COLUMNS, WIDENED_ROWS = 4 };

/* ---- AVX2 ---------------------------------------------------------------------------------------------------------- */

#define AVX2 __attribute__((target("avx2,fma")))

/* Each sum of a row is kept in two parts, one of each pair of products. */
AVX2 CPU_BODY void avx2_body(int rows, TILE_PARAMETERS)
{
    enum { COLUMNS = 4, PIECES = 2 }; /* 2 x 4 columns: 8 sums of 16 registers */
    for (int from = 0; from < TILE_COLUMNS; from += PIECES * COLUMNS) {
        const int8_t *panel = b + from * QUAD;
        __m256i sums[WIDENED_ROWS][PIECES];
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++)
            sums[i][0] = sums[i][1] = _mm256_setzero_si256();
        for (int64_t q = 0; q < quads; q++, panel += QUAD_BYTES) {
            __m256i left = _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)panel));
            __m256i right = _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)(panel + QUAD * COLUMNS)));
#pragma GCC unroll 4
            for (int i = 0; i < rows; i++) {
                __m256i x = _mm256_cvtepu8_epi16(_mm_set1_epi32(load_quad(a + i * a_row + QUAD * q)));
                sums[i][0] = _mm256_add_epi32(sums[i][0], _mm256_madd_epi16(x, left));
                sums[i][1] = _mm256_add_epi32(sums[i][1], _mm256_madd_epi16(x, right));
            }
        }
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) {
            __m256i joined = _mm256_hadd_epi32(sums[i][0], sums[i][1]); /* 0 1 4 5 2 3 6 7 */
            _mm256_storeu_si256((void *)(c + i * TILE_COLUMNS + from), _mm256_permute4x64_epi64(joined, 0xD8));
        }
    }
}

DEFINE_TILES_4(AVX2, avx2)
static const ByteTiles avx2_tiles = {WIDENED_ROWS, {NULL, avx2_1, avx2_2, avx2_3, avx2_4}};

/* ---- AVX-512 without VNNI ------------------------------------------------------------------------------------------- */

#define AVX512 __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq")))

AVX512 CPU_BODY void avx512_body(int rows, TILE_PARAMETERS)
{
    enum { COLUMNS = 8, PIECES = 4 }; /* the whole panel: 16 sums of 32 registers */
    __m512i sums[WIDENED_ROWS][PIECES];
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
        sums[i][0] = sums[i][1] = sums[i][2] = sums[i][3] = _mm512_setzero_si512();
    for (int64_t q = 0; q < quads; q++, b += QUAD_BYTES) {
        __m512i piece[PIECES];
#pragma GCC unroll 4
        for (int j = 0; j < PIECES; j++)
            piece[j] = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)(b + j * QUAD * COLUMNS)));
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) {
            __m512i x = _mm512_cvtepu8_epi16(_mm256_set1_epi32(load_quad(a + i * a_row + QUAD * q)));
#pragma GCC unroll 4
            for (int j = 0; j < PIECES; j++)
                sums[i][j] = _mm512_add_epi32(sums[i][j], _mm512_madd_epi16(x, piece[j]));
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < PIECES; j += 2) {
            __m512i first = _mm512_permutex2var_epi32(sums[i][j], even, sums[i][j + 1]);
            __m512i second = _mm512_permutex2var_epi32(sums[i][j], odd, sums[i][j + 1]);
            _mm512_storeu_si512(c + i * TILE_COLUMNS + j * COLUMNS, _mm512_add_epi32(first, second));
        }
}

DEFINE_TILES_4(AVX512, avx512)
static const ByteTiles avx512_tiles = {WIDENED_ROWS, {NULL, avx512_1, avx512_2, avx512_3, avx512_4}};

/* ---- VNNI ----------------------------------------------------------------------------------------------------------- */

#define VNNI __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))

VNNI CPU_BODY void vnni_body(int rows, TILE_PARAMETERS)
{
    enum { LANES = 16 };
    __m512i sums[TILE_ROWS][2];
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
        sums[i][0] = sums[i][1] = _mm512_setzero_si512();
    for (int64_t q = 0; q < quads; q++, b += QUAD_BYTES) {
        __m512i left = _mm512_loadu_si512(b), right = _mm512_loadu_si512(b + QUAD * LANES);
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            __m512i x = _mm512_set1_epi32(load_quad(a + i * a_row + QUAD * q));
            sums[i][0] = _mm512_dpbusd_epi32(sums[i][0], x, left);
            sums[i][1] = _mm512_dpbusd_epi32(sums[i][1], x, right);
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        _mm512_storeu_si512(c + i * TILE_COLUMNS, sums[i][0]);
        _mm512_storeu_si512(c + i * TILE_COLUMNS + LANES, sums[i][1]);
    }
}

DEFINE_TILES_12(VNNI, vnni)
static const ByteTiles vnni_tiles = {TILE_ROWS,
                                     {NULL, vnni_1, vnni_2, vnni_3, vnni_4, vnni_5, vnni_6, vnni_7, vnni_8, vnni_9, vnni_10,
                                      vnni_11, vnni_12}};

const ByteTiles *byte_tiles(CpuFeatures cpu)
{
    return cpu.avx512 && cpu.vnni ? &vnni_tiles : cpu.avx512 ? &avx512_tiles : cpu.avx2 ? &avx2_tiles : NULL;
}
#else
const ByteTiles *byte_tiles(CpuFeatures cpu)
{
    (void)cpu;
    return NULL;
}
#endif
