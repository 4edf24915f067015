/* choose_mse.c - the range with the least expected squared error, both ends searched.
 *
 *     coarse   three cells (both clipped ends, the one around zero), step^2 / 12 for all between: O(1)
 *     exact    every cell: O(levels)
 *
 * Both ends go over a geometric grid coarsely, then twice finer around the best, exactly. Source of the objective:
 * MQBench's MSE observer (Li et al. 2021); the arithmetic is our own.
 */
#include "src/quant/distribution.h"

#include <math.h>

#define COARSE_MOST 53    /* ends down to 2^-13 of what was seen, four to an octave */
#define FINE_REACH 4      /* candidates on each side of the best in a finer round */

static double coarse_error(const Distribution *d, Ends ends, int levels)
{
    Grid grid = grid_of(ends, levels);
    double half = grid.step / 2, low = -grid.zero * grid.step, high = (grid.levels - 1 - grid.zero) * grid.step;
    Sums none = d->before[0], all = d->before[HISTOGRAM_BINS];
    Sums below = sums_below(d, low - half), above = sums_below(d, high + half);
    Sums zero_from = sums_below(d, -half), zero_to = sums_below(d, half);
    double between = (above.n - below.n) - (zero_to.n - zero_from.n);
    return cell_error(none, below, low) + cell_error(above, all, high) + cell_error(zero_from, zero_to, 0) +
           MAX(between, 0.0) * grid.step * grid.step / 12;
}

/* How many steps of a quarter octave an end may shrink by: bins tell nothing of what is narrower than two of them. */
static int coarse_steps(const Distribution *d, double end)
{
    int n = 1;
    while (n < COARSE_MOST && fabs(end) * exp2(-n / 4.0) >= 2 * d->width)
        n++;
    return n;
}

static Ends shrink(Ends ends, double low_octaves, double high_octaves)
{
    return (Ends){ends.low * exp2(-MAX(low_octaves, 0.0)), ends.high * exp2(-MAX(high_octaves, 0.0))};
}

Ends choose_mse(const Distribution *d, Ends seen, int levels)
{
    int n_low = coarse_steps(d, seen.low), n_high = coarse_steps(d, seen.high);
    double best = INFINITY, low = 0, high = 0; /* octaves that the ends are moved in by */
    for (int a = 0; a < n_low; a++) {
        for (int b = 0; b < n_high; b++) {
            double error = coarse_error(d, shrink(seen, a / 4.0, b / 4.0), levels);
            if (error < best) {
                best = error;
                low = a / 4.0;
                high = b / 4.0;
            }
        }
    }
    best = range_error(d, shrink(seen, low, high), levels);
    for (double octaves = 1.0 / 16; octaves >= 1.0 / 64; octaves /= 4) {
        double middle_low = low, middle_high = high;
        int reach_low = seen.low < 0 ? FINE_REACH : 0, reach_high = seen.high > 0 ? FINE_REACH : 0;
        for (int a = -reach_low; a <= reach_low; a++) {
            for (int b = -reach_high; b <= reach_high; b++) {
                double low_octaves = MAX(middle_low + a * octaves, 0.0),
                       high_octaves = MAX(middle_high + b * octaves, 0.0);
                double error = range_error(d, shrink(seen, low_octaves, high_octaves), levels);
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
