/* choose.c - a range from a histogram: all that was seen (min-max), or the range with the least expected squared error.
 *
 *                       low                   0                    high
 *     clipped to low ----|--.--.--.--.--.--.--.--.--.--.--.--.--.--|---- clipped to high
 *                        levels, a step apart; x goes to the nearest
 *
 * The error of a range is worked out from the histogram with the very scale and zero point that qparams.c would give,
 * the elements of a bin taken as spread evenly over it. With running sums S0, S1, S2 of 1, x, x^2 the elements that go
 * to level l cost S2 - 2 l S1 + l^2 S0:
 *
 *     coarse   three such cells (both clipped ends, the one around zero), step^2 / 12 for all between: O(1)
 *     exact    every cell: O(levels)
 *
 * The search tries both ends on a geometric grid coarsely, then twice finer around the best, exactly. Zeros cost
 * nothing. Source of the objective: MQBench's MSE observer (Li et al. 2021); the arithmetic is our own.
 */
#include "src/quant/quant.h"

#include <math.h>
#include <stdlib.h>

#define HALF (HISTOGRAM_BINS / 2)
#define SQNR_EXACT 999.0
#define EXACT_SHARE 1e-13 /* error below this share of the energy is rounding of the sums */

#define COARSE_MOST 53    /* ends down to 2^-13 of what was seen, four to an octave */
#define FINE_REACH 4      /* candidates on each side of the best in a finer round */

/* Sums over the elements below some x. */
typedef struct Sums {
    double n, x, xx;
} Sums;

typedef struct Cumulated {
    double width;             /* of a bin */
    int first, last;          /* non-empty bins */
    double low, high;         /* edges of the data: within the first and the last bin */
    const uint64_t *bins;
    Sums before[HISTOGRAM_BINS + 1]; /* elements of bins 0..i-1, zeros left out */
} Cumulated;

typedef struct Ends {
    double low, high; /* low <= 0 <= high */
} Ends;

/* Edges of bin i as far as there can be elements. */
static Ends bin_edges(const Cumulated *c, int i)
{
    Ends edges = {(i - HALF) * c->width, (i - HALF + 1) * c->width};
    if (i == c->first)
        edges.low = MAX(edges.low, MIN(c->low, edges.high));
    if (i == c->last)
        edges.high = MIN(edges.high, MAX(c->high, edges.low));
    return edges;
}

/* The share u of a bin from its lower edge on. */
static Sums bin_part(const Cumulated *c, int i, double u)
{
    Ends edges = bin_edges(c, i);
    double n = (double)c->bins[i], d = edges.high - edges.low;
    return (Sums){n * u, n * u * (edges.low + u * d / 2),
                  n * u * (edges.low * edges.low + u * d * (edges.low + u * d / 3))};
}

/* Of elements below x. */
static Sums sums_below(const Cumulated *c, double x)
{
    if (x >= c->high)
        return c->before[HISTOGRAM_BINS];
    if (x < c->low)
        return c->before[0];
    int i = (int)MIN(MAX(floor(x / c->width) + HALF, (double)c->first), (double)c->last);
    Ends edges = bin_edges(c, i);
    double d = edges.high - edges.low;
    double u = d > 0 ? MIN(MAX((x - edges.low) / d, 0.0), 1.0) : x >= edges.low;
    Sums part = bin_part(c, i, u), sums = c->before[i];
    return (Sums){sums.n + part.n, sums.x + part.x, sums.xx + part.xx};
}

static Cumulated *cumulate(const Histogram *histogram)
{
    Cumulated *c = xcalloc(1, sizeof *c);
    c->bins = histogram->bins;
    c->width = ldexp(1.0, histogram->exponent);
    c->low = histogram->min;
    c->high = histogram->max;
    c->first = HISTOGRAM_BINS;
    for (int i = 0; i < HISTOGRAM_BINS; i++) {
        if (c->bins[i] == 0)
            continue;
        c->first = MIN(c->first, i);
        c->last = i;
    }
    if (c->first < HISTOGRAM_BINS) { /* zeros may have pushed min or max away from the elements that are counted */
        c->low = MAX(c->low, (c->first - HALF) * c->width);
        c->high = MIN(c->high, (c->last - HALF + 1) * c->width);
    }
    for (int i = 0; i < HISTOGRAM_BINS; i++) {
        c->before[i + 1] = c->before[i];
        if (c->bins[i] == 0)
            continue;
        Sums part = bin_part(c, i, 1);
        c->before[i + 1].n += part.n;
        c->before[i + 1].x += part.x;
        c->before[i + 1].xx += part.xx;
    }
    return c;
}

/* Squared error of elements between two sums that all become `level`. */
static double cell_error(Sums from, Sums to, double level)
{
    double error = (to.xx - from.xx) - 2 * level * (to.x - from.x) + level * level * (to.n - from.n);
    return MAX(error, 0.0);
}

typedef struct Grid {
    double step;
    int zero, levels;
} Grid;

static Grid grid_of(Ends ends, int levels)
{
    DType dtype = levels <= 16 ? DT_UINT4 : levels <= 256 ? DT_UINT8 : DT_UINT16;
    QParams p = qparams_asymmetric((float)ends.low, (float)ends.high, dtype);
    return (Grid){(double)p.scale, p.zero_point, levels};
}

static double coarse_error(const Cumulated *c, Ends ends, int levels)
{
    Grid grid = grid_of(ends, levels);
    double half = grid.step / 2, low = -grid.zero * grid.step, high = (grid.levels - 1 - grid.zero) * grid.step;
    Sums none = c->before[0], all = c->before[HISTOGRAM_BINS];
    Sums below = sums_below(c, low - half), above = sums_below(c, high + half);
    Sums zero_from = sums_below(c, -half), zero_to = sums_below(c, half);
    double between = (above.n - below.n) - (zero_to.n - zero_from.n);
    return cell_error(none, below, low) + cell_error(above, all, high) + cell_error(zero_from, zero_to, 0) +
           MAX(between, 0.0) * grid.step * grid.step / 12;
}

static double exact_error(const Cumulated *c, Ends ends, int levels)
{
    Grid grid = grid_of(ends, levels);
    Sums from = c->before[0];
    double error = 0;
    for (int q = 0; q < levels; q++) {
        double level = (q - grid.zero) * grid.step;
        Sums to = q + 1 < levels ? sums_below(c, level + grid.step / 2) : c->before[HISTOGRAM_BINS];
        error += cell_error(from, to, level);
        from = to;
    }
    return error;
}

/* How many steps of a quarter octave an end may shrink by: bins tell nothing of what is narrower than two of them. */
static int coarse_steps(const Cumulated *c, double end)
{
    int n = 1;
    while (n < COARSE_MOST && fabs(end) * exp2(-n / 4.0) >= 2 * c->width)
        n++;
    return n;
}

static Ends shrink(Ends ends, double low_octaves, double high_octaves)
{
    return (Ends){ends.low * exp2(-MAX(low_octaves, 0.0)), ends.high * exp2(-MAX(high_octaves, 0.0))};
}

static Ends search(const Cumulated *c, Ends seen, int levels)
{
    int n_low = coarse_steps(c, seen.low), n_high = coarse_steps(c, seen.high);
    double best = INFINITY, low = 0, high = 0; /* octaves that the ends are moved in by */
    for (int a = 0; a < n_low; a++) {
        for (int b = 0; b < n_high; b++) {
            double error = coarse_error(c, shrink(seen, a / 4.0, b / 4.0), levels);
            if (error < best) {
                best = error;
                low = a / 4.0;
                high = b / 4.0;
            }
        }
    }
    best = exact_error(c, shrink(seen, low, high), levels);
    for (double octaves = 1.0 / 16; octaves >= 1.0 / 64; octaves /= 4) {
        double middle_low = low, middle_high = high;
        int reach_low = seen.low < 0 ? FINE_REACH : 0, reach_high = seen.high > 0 ? FINE_REACH : 0;
        for (int a = -reach_low; a <= reach_low; a++) {
            for (int b = -reach_high; b <= reach_high; b++) {
                double low_octaves = MAX(middle_low + a * octaves, 0.0),
                       high_octaves = MAX(middle_high + b * octaves, 0.0);
                double error = exact_error(c, shrink(seen, low_octaves, high_octaves), levels);
                if (error < best) {
                    best = error;
                    low = low_octaves;
                    high = high_octaves;
                }
            }
        }
    }
    return shrink(seen, low, high);
}

static double sqnr_db(double energy, double error)
{
    if (error <= energy * EXACT_SHARE)
        return SQNR_EXACT;
    return 10 * log10(energy / error);
}

void range_choose(const Histogram *histogram, RangeMethod method, int levels, Range *range)
{
    range->elements = histogram->count + histogram->not_finite;
    range->not_finite = histogram->not_finite;
    range->observed_min = histogram->count > 0 ? histogram->min : 0;
    range->observed_max = histogram->count > 0 ? histogram->max : 0;
    range->low = MIN(range->observed_min, 0.0f);
    range->high = MAX(range->observed_max, 0.0f);
    range->clipped_share = 0;
    range->sqnr_db = SQNR_EXACT;
    if (histogram->count == 0 || histogram->empty)
        return;

    Cumulated *c = cumulate(histogram);
    Ends ends = {range->low, range->high};
    double error = exact_error(c, ends, levels);
    if (method == RANGE_MSE) {
        Ends found = search(c, ends, levels);
        double found_error = exact_error(c, found, levels);
        if (found_error < error * 0.999) { /* nothing is cut off for nothing */
            error = found_error;
            range->low = (float)found.low;
            range->high = (float)found.high;
            double outside = sums_below(c, found.low).n + (c->before[HISTOGRAM_BINS].n - sums_below(c, found.high).n);
            range->clipped_share = MAX(outside, 0.0) / (double)histogram->count;
        }
    }
    range->sqnr_db = sqnr_db(c->before[HISTOGRAM_BINS].xx, error);
    free(c);
}
