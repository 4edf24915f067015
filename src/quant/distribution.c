/* distribution.c - running sums over a histogram, and the squared error of a range out of them.
 *
 *                       low                   0                    high
 *     clipped to low ----|--.--.--.--.--.--.--.--.--.--.--.--.--.--|---- clipped to high
 *                        levels, a step apart; x goes to the nearest
 *
 * The error is worked out with the very scale and zero point that qparams.c would give.
 */
#include "src/quant/distribution.h"

#include <math.h>
#include <stdlib.h>

#define HALF (HISTOGRAM_BINS / 2)

/* Edges of bin i as far as there can be elements. */
Ends bin_edges(const Distribution *d, int i)
{
    Ends edges = {(i - HALF) * d->width, (i - HALF + 1) * d->width};
    if (i == d->first)
        edges.low = MAX(edges.low, MIN(d->low, edges.high));
    if (i == d->last)
        edges.high = MIN(edges.high, MAX(d->high, edges.low));
    return edges;
}

/* The share u of a bin from its lower edge on. */
static Sums bin_part(const Distribution *d, int i, double u)
{
    Ends edges = bin_edges(d, i);
    double n = (double)d->bins[i], width = edges.high - edges.low;
    return (Sums){n * u, n * u * (edges.low + u * width / 2),
                  n * u * (edges.low * edges.low + u * width * (edges.low + u * width / 3))};
}

Sums sums_below(const Distribution *d, double x)
{
    if (x >= d->high)
        return d->before[HISTOGRAM_BINS];
    if (x < d->low)
        return d->before[0];
    int i = (int)MIN(MAX(floor(x / d->width) + HALF, (double)d->first), (double)d->last);
    Ends edges = bin_edges(d, i);
    double width = edges.high - edges.low;
    double u = width > 0 ? MIN(MAX((x - edges.low) / width, 0.0), 1.0) : x >= edges.low;
    Sums part = bin_part(d, i, u), sums = d->before[i];
    return (Sums){sums.n + part.n, sums.x + part.x, sums.xx + part.xx};
}

Distribution *distribution_new(const Histogram *histogram)
{
    Distribution *d = xcalloc(1, sizeof *d);
    d->bins = histogram->bins;
    d->width = ldexp(1.0, histogram->exponent);
    d->low = histogram->min;
    d->high = histogram->max;
    d->first = HISTOGRAM_BINS;
    for (int i = 0; i < HISTOGRAM_BINS; i++) {
        if (d->bins[i] == 0)
            continue;
        d->first = MIN(d->first, i);
        d->last = i;
    }
    if (d->first < HISTOGRAM_BINS) { /* zeros may have pushed min or max away from the elements that are counted */
        d->low = MAX(d->low, (d->first - HALF) * d->width);
        d->high = MIN(d->high, (d->last - HALF + 1) * d->width);
    }
    for (int i = 0; i < HISTOGRAM_BINS; i++) {
        d->before[i + 1] = d->before[i];
        if (d->bins[i] == 0)
            continue;
        Sums part = bin_part(d, i, 1);
        d->before[i + 1].n += part.n;
        d->before[i + 1].x += part.x;
        d->before[i + 1].xx += part.xx;
    }
    return d;
}

double cell_error(Sums from, Sums to, double level)
{
    double error = (to.xx - from.xx) - 2 * level * (to.x - from.x) + level * level * (to.n - from.n);
    return MAX(error, 0.0);
}

Grid grid_of(Ends ends, int levels)
{
    DType dtype = levels <= 16 ? DT_UINT4 : levels <= 256 ? DT_UINT8 : DT_UINT16;
    QParams p = qparams_asymmetric((float)ends.low, (float)ends.high, dtype);
    return (Grid){(double)p.scale, p.zero_point, levels};
}

double range_error(const Distribution *d, Ends ends, int levels)
{
    Grid grid = grid_of(ends, levels);
    Sums from = d->before[0];
    double error = 0;
    for (int q = 0; q < levels; q++) {
        double level = (q - grid.zero) * grid.step;
        Sums to = q + 1 < levels ? sums_below(d, level + grid.step / 2) : d->before[HISTOGRAM_BINS];
        error += cell_error(from, to, level);
        from = to;
    }
    return error;
}
