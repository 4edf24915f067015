/* product.h - the one matrix product under the reference convolutions and gemms. Internal to src/kernels.
 *
 *            columns (64 a block)         A family says how to fetch a strip of rows and a panel of columns as floats;
 *           ┌────────┐                    the product does the rest. A convolution's panel is the patches of 64 output
 *     depth │ panel  │  256 a chunk       places, a gemm's a piece of b.
 *           └────────┘
 *     ┌───┐ ┌────────┐                    Integers ride on the same floats: a chunk sums at most 256 products of
 *     │ a │ │ sums   │  4 rows a strip    magnitude <= 255 * 255, below 2^24, so every float is exact; chunks are then
 *     └───┘ └────────┘                    added as int32, modulo 2^32.
 */
#ifndef QUANTIZE_KERNELS_PRODUCT_H
#define QUANTIZE_KERNELS_PRODUCT_H

#include "src/kernels/kernels.h"

#define PRODUCT_ROWS 4
#define PRODUCT_COLUMNS 64
#define PRODUCT_DEPTH 256

typedef struct Product Product;
struct Product {
    int64_t rows, columns, depth;
    /* ret[(k - k0) * PRODUCT_ROWS + i]: rows row0 + i; rows beyond n are filled with 0. */
    void (*pack_rows)(const Product *product, int64_t row0, int64_t n, int64_t k0, int64_t n_k, float *ret);
    /* ret[(k - k0) * PRODUCT_COLUMNS + j]: columns column0 + j; those beyond n up to the next multiple of 8 must be
     * finite. */
    void (*pack_columns)(const Product *product, int64_t column0, int64_t n, int64_t k0, int64_t n_k, float *ret);
    const void *context;
    int64_t index;          /* which of the products, for the pack functions */
    const float *row_bias;  /* (rows,), or NULL */
    float *out;             /* (rows, columns): one of the two */
    int32_t *out_int;
};

/* Runs `count` products of equal size; make() fills everything of number `index`. */
typedef void (*ProductMake)(const void *context, int64_t index, Product *ret);
void product_run(Team *team, int64_t count, ProductMake make, const void *context);

#endif
