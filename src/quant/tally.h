/* tally.h - inside quant/: what one tensor shows, counted on the thread that has it, before it goes into a histogram.
 *
 *     bin of x = H + t or H - 1 - t, t = trunc(|x| / w), H = HISTOGRAM_BINS / 2     (scaling by a power of two is exact)
 */
#ifndef QUANTIZE_QUANT_TALLY_H
#define QUANTIZE_QUANT_TALLY_H

#include "src/quant/quant.h"

#define HALF (HISTOGRAM_BINS / 2)
#define HALF_BITS 12
_Static_assert(HALF == 1 << HALF_BITS, "bins on each side are 2^HALF_BITS");

#define TALLY_BLOCK 4096 /* elements looked at in one go: 16 KiB */
#define TALLY_TABLES 4   /* counts taken in turns, so that runs of one bin need not wait for each other */

struct Tally {
    float low, high;             /* of finite elements, 0 without a sign; low > high when there is none */
    int64_t finite, not_finite;  /* all elements */
    int64_t counted, zeros;      /* in the tables below: finite ones of the subset */
    int exponent;                /* of the grid; meaningful when a finite element is not 0 */
    int first, last;             /* bins that may hold something */
    bool small;                  /* n_index entries of `index` in place of tables */
    size_t n_index;
    int64_t zeros_in;            /* zeros that were counted with the others, in bin H */
    uint16_t index[TALLY_BLOCK];
    float gathered[TALLY_BLOCK];
    uint32_t counts[TALLY_TABLES][HISTOGRAM_BINS]; /* zeroed between tensors */
};

/* w = 2^this for a finite greatest magnitude > 0. */
int grid_exponent(float magnitude);

#endif
