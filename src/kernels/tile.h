/* tile.h - the innermost products: a few rows of a times a panel of 32 columns of b, sums held in registers. Internal to
 * src/kernels.
 *
 *                  panel of b: 32 columns side by side, row after row, `b_step` elements apart
 *                 ┌──────────────┐
 *                 │              │ k
 *                 └──────────────┘
 *     ┌────────┐  ┌──────────────┐
 *     │ a      │  │ sums         │ 1 .. TILE_ROWS rows, how many at once depends on the registers of the CPU
 *     └────────┘  └──────────────┘
 *
 * One sum takes its products in order of k, whatever the rows beside it: results depend on the CPU's level alone, not on how a
 * product is cut into tiles or shared by threads.
 */
#ifndef QUANTIZE_KERNELS_TILE_H
#define QUANTIZE_KERNELS_TILE_H

#include "src/kernels/kernels.h"

#define TILE_ROWS 12
#define TILE_COLUMNS PANEL_COLUMNS

/* c[i][j] = sum over k of a[i * a_row + k] * b[k * b_step + j] for all 32 j. */
typedef void (*FloatTile)(int64_t k, const float *a, int64_t a_row, const float *b, int64_t b_step, float *c, int64_t c_row);
typedef struct FloatTiles {
    int rows; /* of the tallest */
    FloatTile tile[TILE_ROWS + 1]; /* by the number of rows */
} FloatTiles;
const FloatTiles *float_tiles(CpuFeatures cpu);

/* Bytes: four of k stand together, a is unsigned and b signed: c[i][j] = sum over q < quads and r < 4 of
 * a[i * a_row + 4 * q + r] * b[(32 * q + j) * 4 + r], exact modulo 2^32. c: rows of 32. */
typedef void (*ByteTile)(int64_t quads, const uint8_t *a, int64_t a_row, const int8_t *b, int32_t *c);
typedef struct ByteTiles {
    int rows;
    ByteTile tile[TILE_ROWS + 1];
} ByteTiles;
const ByteTiles *byte_tiles(CpuFeatures cpu); /* NULL where the CPU has nothing better than the reference */

/* How a product is cut into the items of a team: a block of rows times some neighbouring panels each. */
typedef struct Cut {
    int64_t rows, row_blocks;       /* rows of a block */
    int64_t panels, group, groups;  /* panels of an item */
} Cut;
/* row_bytes: of a in memory, so that a block of it stays in the second cache; enough: multiply-adds worth a thread. */
Cut cut_product(int64_t batch, int64_t m, int64_t n, int64_t k, int64_t row_bytes, int tile_rows, int threads, int64_t enough);

typedef struct CutItem {
    int64_t pair;             /* which product */
    int64_t row, rows;
    int64_t panel, panel_end;
} CutItem;
CutItem cut_item(const Cut *cut, int64_t m, int64_t item);

/* How many rows the next tile takes of `left`: about equal ones, so that no tile is left with a single row. */
static inline int64_t tile_height(int64_t left, int64_t most)
{
    int64_t tiles = (left + most - 1) / most;
    return (left + tiles - 1) / tiles;
}

#endif
