/* histogram.c - counts over a grid that grows by powers of two.
 *
 *     greatest magnitude m, 2^(k-1) <= m < 2^k   ->   w = 2^(k-12): m lies in the outer half of the 4096 bins a side
 *
 *     tensor ── tally_take (tally.c, on the thread that has it) ── histogram_take (a few thousand additions) ── Histogram
 *
 * So one histogram serves all threads; who adds to it holds its lock for the second step only.
 */
#include "src/quant/tally.h"

#include <math.h>
#include <string.h>

/* Widens the bins to w = 2^exponent. */
static void grow(Histogram *histogram, int exponent)
{
    int shift = MIN(exponent - histogram->exponent, HALF_BITS);
    histogram->exponent = exponent;
    if (!histogram->has_bins)
        return;
    uint64_t *positive = histogram->bins + HALF, *negative = histogram->bins + HALF - 1;
    for (int k = 0; k < HALF; k++) { /* in place: bin k only moves inwards */
        uint64_t p = positive[k], n = negative[-k];
        positive[k] = negative[-k] = 0;
        positive[k >> shift] += p;
        negative[-(k >> shift)] += n;
    }
}

/* Makes the grid at least as wide as that of 2^exponent. */
static void reach(Histogram *histogram, int exponent)
{
    if (histogram->empty)
        histogram->exponent = exponent;
    else if (exponent > histogram->exponent)
        grow(histogram, exponent);
    histogram->empty = false;
}

/* Where a bin of a grid that is 2^shift times finer lies. */
static inline int coarser_bin(int bin, int shift)
{
    return bin >= HALF ? HALF + ((bin - HALF) >> shift) : HALF - 1 - ((HALF - 1 - bin) >> shift);
}

static void extend_range(Histogram *histogram, float low, float high)
{
    histogram->min = histogram->count == 0 || low < histogram->min ? low : histogram->min;
    histogram->max = histogram->count == 0 || high > histogram->max ? high : histogram->max;
}

Status histogram_new(bool bins, Histogram **ret)
{
    size_t bytes = sizeof(Histogram) + (bins ? HISTOGRAM_BINS * sizeof(uint64_t) : 0);
    void *piece;
    TRY(memory_alloc(bytes, &piece));
    memset(piece, 0, bytes);
    Histogram *histogram = piece;
    histogram->empty = true;
    histogram->has_bins = bins;
    *ret = histogram;
    return NULL;
}

void histogram_free(Histogram *histogram)
{
    memory_free(histogram);
}

static void take_tables(Histogram *histogram, Tally *tally, int shift)
{
    uint64_t *bins = histogram->bins;
    if (shift == 0) {
        for (int b = tally->first; b <= tally->last; b++)
            bins[b] += (uint64_t)tally->counts[0][b] + tally->counts[1][b] + tally->counts[2][b] + tally->counts[3][b];
    } else {
        for (int b = tally->first; b <= tally->last; b++)
            bins[coarser_bin(b, shift)] +=
                (uint64_t)tally->counts[0][b] + tally->counts[1][b] + tally->counts[2][b] + tally->counts[3][b];
    }
    for (int t = 0; t < TALLY_TABLES; t++)
        memset(&tally->counts[t][tally->first], 0, (size_t)(tally->last - tally->first + 1) * sizeof(uint32_t));
}

void histogram_take(Histogram *histogram, Tally *tally)
{
    histogram->not_finite += tally->not_finite;
    if (tally->finite == 0)
        return;
    extend_range(histogram, tally->low, tally->high);
    histogram->count += tally->finite;
    histogram->counted += tally->counted;
    histogram->zeros += tally->zeros;
    histogram->runs++;
    exact_sum_add(&histogram->run_min, tally->low);
    exact_sum_add(&histogram->run_max, tally->high);
    if (tally->low == 0 && tally->high == 0)
        return;
    reach(histogram, tally->exponent);
    if (tally->counted == 0)
        return;
    int shift = MIN(histogram->exponent - tally->exponent, HALF_BITS);
    if (tally->small)
        for (size_t i = 0; i < tally->n_index; i++)
            histogram->bins[coarser_bin(tally->index[i], shift)]++;
    else
        take_tables(histogram, tally, shift);
    histogram->bins[HALF] -= (uint64_t)tally->zeros_in;
}

void histogram_add(Histogram *histogram, const float *x, int64_t n)
{
    Tally *tally = tally_new();
    tally_take(tally, x, n, histogram->has_bins, 0, 0);
    histogram_take(histogram, tally);
    tally_free(tally);
}

void histogram_merge(Histogram *into, const Histogram *from)
{
    into->not_finite += from->not_finite;
    if (from->count == 0)
        return;
    extend_range(into, from->min, from->max);
    into->count += from->count;
    into->runs += from->runs;
    exact_sum_merge(&into->run_min, &from->run_min);
    exact_sum_merge(&into->run_max, &from->run_max);
    bool both = into->has_bins && from->has_bins;
    into->counted += both ? from->counted : 0;
    into->zeros += both ? from->zeros : 0;
    if (from->empty)
        return;
    reach(into, from->exponent);
    int shift = MIN(into->exponent - from->exponent, HALF_BITS);
    for (int b = 0; b < HISTOGRAM_BINS && both; b++)
        into->bins[coarser_bin(b, shift)] += from->bins[b];
}
