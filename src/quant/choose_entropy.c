/* choose_entropy.c - the range that keeps most information: least Kullback-Leibler divergence from the distribution P of
 * the elements to what is left of it, Q.
 *
 *     bins    . : | # # | : .  .  .      .         P: as counted, what is clipped piled up on the two edge bins
 *     cells  [     |     |     ]                   Q: each level's elements spread evenly over its bins that hold any
 *            low                high                  (what is clipped left out, as it is lost)
 *
 *     KL = sum over the bins of p log(p / q),  p = P / n(P),  q = Q / n(Q)
 *
 * Within a cell Q is one number, so with running sums of n, of n log n and of the bins in use a candidate costs one
 * logarithm a level, not one a bin. The cells are those of the asymmetric grid itself, so data on one side of zero, or
 * off it, gets the levels it really has. A level is a bin wide at least: below, nothing is lost within the cells and all
 * that is clipped looks like a spike, so that nothing at all would seem best. Ends move in turn, zeros are left out:
 * they are exact. Source of the objective: Migacz 2017 (8-bit inference with TensorRT); the form for any range and the
 * arithmetic are our own.
 */
#include "src/quant/distribution.h"

#include <math.h>
#include <stdlib.h>

#define HALF (HISTOGRAM_BINS / 2)
#define STEPS_AN_OCTAVE 16
#define OCTAVES_MOST 12
#define ROUNDS 3

/* Of bins 0..i-1. */
typedef struct Running {
    double n;
    double nlogn; /* natural */
    int used;     /* bins that are not empty */
} Running;

typedef struct Entropy {
    const Distribution *d;
    int levels;
    Running before[HISTOGRAM_BINS + 1];
} Entropy;

static double n_log_n(double n)
{
    return n > 0 ? n * log(n) : 0;
}

static int bin_at(const Entropy *e, double x)
{
    double i = nearbyint(x / e->d->width) + HALF;
    return (int)MIN(MAX(i, 0.0), (double)HISTOGRAM_BINS);
}

/* Bins from..to-1 are one level; `extra` elements are piled up on its bin `edge` (-1: none). Its share of
 * sum P log(P / Q) before both are made to sum to 1. */
static double cell_divergence(const Entropy *e, int from, int to, int edge, double extra)
{
    const Running *a = &e->before[from], *b = &e->before[to];
    double n = b->n - a->n, p = n + extra;
    int used = b->used - a->used;
    double nlogn = b->nlogn - a->nlogn;
    if (extra > 0) {
        double own = (double)e->d->bins[edge];
        nlogn += n_log_n(own + extra) - n_log_n(own);
        used += own == 0;
    }
    if (p == 0)
        return 0;
    if (n == 0)
        return INFINITY; /* clipped elements on a level that nothing else has */
    return nlogn - p * log(n / used);
}

static double divergence(const Entropy *e, Ends ends)
{
    Grid grid = grid_of(ends, e->levels);
    double least = -grid.zero * grid.step, greatest = (grid.levels - 1 - grid.zero) * grid.step;
    int first = bin_at(e, least - grid.step / 2), last = bin_at(e, greatest + grid.step / 2);
    first = MAX(first, e->d->first);
    last = MIN(last, e->d->last + 1);
    if (last <= first)
        return INFINITY;
    double below = e->before[first].n, above = e->before[HISTOGRAM_BINS].n - e->before[last].n;
    double total = e->before[HISTOGRAM_BINS].n, kept = total - below - above, sum = 0;
    int from = first;
    for (int q = 0; q < grid.levels && from < last; q++) {
        double level = (q - grid.zero) * grid.step;
        int to = q + 1 < grid.levels ? MIN(bin_at(e, level + grid.step / 2), last) : last;
        if (to <= from)
            continue;
        double low_extra = from == first ? below : 0, high_extra = to == last ? above : 0;
        if (low_extra > 0 && high_extra > 0)
            return INFINITY; /* one level for all */
        sum += low_extra > 0 ? cell_divergence(e, from, to, from, low_extra)
                             : cell_divergence(e, from, to, last - 1, high_extra);
        from = to;
    }
    return kept > 0 ? sum / total + log(kept / total) : INFINITY;
}

static bool fine_enough(const Entropy *e, Ends ends)
{
    return ends.high - ends.low >= e->levels * e->d->width;
}

/* The best of one end with the other one held. */
static double move_end(const Entropy *e, Ends seen, Ends *ends, double best, bool high)
{
    Ends at = *ends;
    double whole = high ? seen.high : seen.low;
    for (int s = 0; s <= STEPS_AN_OCTAVE * OCTAVES_MOST; s++) {
        double end = whole * exp2(-(double)s / STEPS_AN_OCTAVE);
        *(high ? &at.high : &at.low) = end;
        if (!fine_enough(e, at))
            break;
        double found = divergence(e, at);
        if (found < best) {
            best = found;
            *ends = at;
        }
    }
    return best;
}

Ends choose_entropy(const Distribution *d, Ends seen, int levels)
{
    Entropy *e = xcalloc(1, sizeof *e);
    e->d = d;
    e->levels = levels;
    for (int i = 0; i < HISTOGRAM_BINS; i++) {
        double n = (double)d->bins[i];
        e->before[i + 1] = (Running){e->before[i].n + n, e->before[i].nlogn + n_log_n(n), e->before[i].used + (n > 0)};
    }
    Ends ends = seen;
    double best = divergence(e, seen);
    for (int s = 1; s <= STEPS_AN_OCTAVE * OCTAVES_MOST / 4; s++) { /* both ends together, for a start */
        double factor = exp2(-4.0 * s / STEPS_AN_OCTAVE);
        Ends at = {seen.low * factor, seen.high * factor};
        if (!fine_enough(e, at))
            break;
        double found = divergence(e, at);
        if (found < best) {
            best = found;
            ends = at;
        }
    }
    for (int round = 0; round < ROUNDS; round++) {
        double was = best;
        if (seen.high > 0)
            best = move_end(e, seen, &ends, best, true);
        if (seen.low < 0)
            best = move_end(e, seen, &ends, best, false);
        if (!(best < was))
            break;
    }
    free(e);
    return ends;
}
