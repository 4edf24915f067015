/* distribution.h - inside quant/: a histogram made ready for questions about its elements.
 *
 * With running sums S0, S1, S2 of 1, x, x^2 over the bins, the elements of a bin taken as spread evenly over it, the
 * elements between two points that all go to level l cost  S2 - 2 l S1 + l^2 S0. Zeros are left out: they are exact
 * under any range.
 */
#ifndef QUANTIZE_QUANT_DISTRIBUTION_H
#define QUANTIZE_QUANT_DISTRIBUTION_H

#include "src/quant/quant.h"

/* Sums over the elements below some x. */
typedef struct Sums {
    double n, x, xx;
} Sums;

typedef struct Distribution {
    double width;             /* of a bin */
    int first, last;          /* non-empty bins */
    double low, high;         /* edges of the data: within the first and the last bin */
    const uint64_t *bins;
    Sums before[HISTOGRAM_BINS + 1]; /* elements of bins 0..i-1, zeros left out */
} Distribution;

typedef struct Ends {
    double low, high; /* low <= 0 <= high */
} Ends;

/* Edges of bin i as far as there can be elements. */
Ends bin_edges(const Distribution *d, int i);

/* What an 8-bit (or other) type makes of a range. */
typedef struct Grid {
    double step;
    int zero, levels;
} Grid;

Distribution *distribution_new(const Histogram *histogram); /* free() it; the histogram must outlive it */
Sums sums_below(const Distribution *d, double x);           /* of elements below x */
Grid grid_of(Ends ends, int levels);
/* Squared error of the elements between two sums that all become `level`. */
double cell_error(Sums from, Sums to, double level);
/* Expected squared error of quantizing with this range: every level's cell, O(levels). */
double range_error(const Distribution *d, Ends ends, int levels);
/* Both are within `seen`, the range from the least to the greatest element and 0. */
Ends choose_mse(const Distribution *d, Ends seen, int levels);     /* choose_mse.c */
Ends choose_entropy(const Distribution *d, Ends seen, int levels); /* choose_entropy.c */

#endif
