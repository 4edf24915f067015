/* histogram.c - counts over a grid that grows by powers of two.
 *
 *     greatest magnitude m, 2^(k-1) <= m < 2^k   ->   w = 2^(k-12): m lies in the outer half of the 4096 bins a side
 *     index of x = H + t or H - 1 - t, t = trunc(|x| / w)    (scaling by a power of two is exact)
 *
 * Each block of elements is looked at twice while it is in the cache: once for its extremes, zeros and non-finite
 * elements, in integer arithmetic on the bits (which compilers vectorise, as they must not for float minima), once to
 * count. The order of floats is that of their bits as integers once those of negative ones are mirrored:
 *
 *     key(x) = bits ^ (bits < 0 ? 0x7fffffff : 0)
 */
#include "src/quant/quant.h"

#include <math.h>
#include <string.h>

#define HALF (HISTOGRAM_BINS / 2)
#define HALF_BITS 12
_Static_assert(HALF == 1 << HALF_BITS, "bins on each side are 2^HALF_BITS");

/* Narrower bins would need factors beyond float; values below 2^-114 share what is there. */
#define EXPONENT_MIN (-126)

#define BLOCK 4096            /* elements looked at in one go: 16 KiB */
#define TABLES 2              /* counts taken in turns, so that runs of one bin need not wait for each other */
#define SMALL (2 * BLOCK)     /* below, tables are not worth clearing and summing */
#define TABLE_FULL (1u << 30) /* elements after which 32-bit counts are emptied */

/* Of the finite elements of one call; of none: low > high. */
typedef struct Extremes {
    float low, high;
} Extremes;

typedef struct BlockFacts {
    int32_t low, high;     /* keys of the extremes; of nothing: low > high */
    int64_t zeros, negative_zeros;
} BlockFacts;

static inline int32_t key_of(int32_t bits)
{
    return bits ^ (bits < 0 ? 0x7fffffff : 0);
}

static float float_of_key(int32_t key)
{
    int32_t bits = key_of(key); /* its own inverse */
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#define KEY_INFINITY 0x7f800000
#define KEY_MINUS_INFINITY (-0x7f800001) /* key of the bits 0xff800000 */

CPU_CLONES static BlockFacts look_at(const float *x, size_t n)
{
    int32_t low = INT32_MAX, high = INT32_MIN, zeros = 0, negative_zeros = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        int32_t key = key_of(bits);
        low = key < low ? key : low;
        high = key > high ? key : high;
        zeros += key == 0;
        negative_zeros += key == -1;
    }
    return (BlockFacts){low, high, zeros, negative_zeros};
}

/* w for a finite greatest magnitude > 0. */
static int exponent_for(float magnitude)
{
    int k;
    frexpf(magnitude, &k);
    return MAX(k - HALF_BITS, EXPONENT_MIN);
}

/* Widens the bins to w = 2^exponent. */
static void grow(Histogram *histogram, int exponent)
{
    int shift = MIN(exponent - histogram->exponent, HALF_BITS);
    histogram->exponent = exponent;
    uint64_t *positive = histogram->bins + HALF, *negative = histogram->bins + HALF - 1;
    for (int k = 0; k < HALF; k++) { /* in place: bin k only moves inwards */
        uint64_t p = positive[k], n = negative[-k];
        positive[k] = negative[-k] = 0;
        positive[k >> shift] += p;
        negative[-(k >> shift)] += n;
    }
}

/* Makes room for a magnitude > 0. */
static void reach(Histogram *histogram, float magnitude)
{
    int exponent = exponent_for(magnitude);
    if (histogram->empty)
        histogram->exponent = exponent;
    else if (exponent > histogram->exponent)
        grow(histogram, exponent);
    histogram->empty = false;
}

static inline int32_t bin_of(float x, float per_bin)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return HALF + ((int32_t)(fabsf(x) * per_bin) ^ (bits < 0 ? -1 : 0));
}

static void extend_range(Histogram *histogram, Extremes *run, float low, float high, int64_t count)
{
    low += 0.0f; /* -0 to 0 */
    high += 0.0f;
    histogram->min = histogram->count == 0 || low < histogram->min ? low : histogram->min;
    histogram->max = histogram->count == 0 || high > histogram->max ? high : histogram->max;
    histogram->count += count;
    run->low = MIN(run->low, low);
    run->high = MAX(run->high, high);
}

/* One by one: blocks with NaN or infinities. */
static void add_checked(Histogram *histogram, Extremes *run, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) {
            histogram->not_finite++;
            continue;
        }
        if (x[i] == 0) {
            histogram->zeros++;
        } else {
            reach(histogram, fabsf(x[i]));
            histogram->bins[bin_of(x[i], ldexpf(1, -histogram->exponent))]++;
        }
        extend_range(histogram, run, x[i], x[i], 1);
    }
}

typedef struct Tables {
    uint32_t counts[TABLES][HISTOGRAM_BINS];
    size_t held; /* elements counted in them */
} Tables;

static void empty_tables(Histogram *histogram, Tables *tables)
{
    if (tables->held == 0)
        return;
    for (size_t b = 0; b < HISTOGRAM_BINS; b++)
        for (size_t t = 0; t < TABLES; t++)
            histogram->bins[b] += tables->counts[t][b];
    memset(tables, 0, sizeof *tables);
}

CPU_CLONES static void find_bins(const float *x, size_t n, float per_bin, int32_t *ret)
{
    for (size_t i = 0; i < n; i++)
        ret[i] = bin_of(x[i], per_bin);
}

/* Counts finite elements that fit the grid; zeros too, for the caller to take out again. */
static void count_block(Histogram *histogram, const float *x, size_t n, Tables *tables)
{
    int32_t index[BLOCK];
    float per_bin = ldexpf(1, -histogram->exponent);
    find_bins(x, n, per_bin, index);
    if (tables == NULL) {
        for (size_t i = 0; i < n; i++)
            histogram->bins[index[i]]++;
        return;
    }
    size_t i = 0;
    for (; i + 2 <= n; i += 2) {
        tables->counts[0][index[i]]++;
        tables->counts[1][index[i + 1]]++;
    }
    if (i < n)
        tables->counts[0][index[i]]++;
    tables->held += n;
}

static void add_block(Histogram *histogram, Extremes *run, const float *x, size_t n, Tables *tables)
{
    BlockFacts facts = look_at(x, n);
    if (facts.high >= KEY_INFINITY || facts.low <= KEY_MINUS_INFINITY) {
        if (tables != NULL)
            empty_tables(histogram, tables);
        add_checked(histogram, run, x, n);
        return;
    }
    float low = float_of_key(facts.low), high = float_of_key(facts.high);
    int64_t zeros = facts.zeros + facts.negative_zeros;
    extend_range(histogram, run, low, high, (int64_t)n);
    histogram->zeros += zeros;
    if (zeros == (int64_t)n)
        return;
    float magnitude = MAX(fabsf(low), fabsf(high));
    if (tables != NULL &&
        (histogram->empty || exponent_for(magnitude) > histogram->exponent || tables->held > TABLE_FULL))
        empty_tables(histogram, tables); /* counted on the grid as it was */
    reach(histogram, magnitude);
    count_block(histogram, x, n, tables);
    uint64_t *bins = histogram->bins; /* unsigned arithmetic wraps: tables may hold what is taken out here */
    bins[HALF] -= (uint64_t)facts.zeros;
    bins[HALF - 1] -= (uint64_t)facts.negative_zeros;
}

void histogram_init(Histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
    histogram->empty = true;
}

void histogram_add(Histogram *histogram, const float *x, int64_t n)
{
    Tables tables, *used = NULL;
    Extremes run = {INFINITY, -INFINITY};
    if (n >= SMALL) {
        memset(&tables, 0, sizeof tables);
        used = &tables;
    }
    for (int64_t at = 0; at < n; at += BLOCK)
        add_block(histogram, &run, x + at, (size_t)MIN(n - at, (int64_t)BLOCK), used);
    if (used != NULL)
        empty_tables(histogram, used);
    if (run.low <= run.high) {
        histogram->runs++;
        exact_sum_add(&histogram->run_min, run.low);
        exact_sum_add(&histogram->run_max, run.high);
    }
}

void histogram_merge(Histogram *into, const Histogram *from)
{
    into->not_finite += from->not_finite;
    if (from->count == 0)
        return;
    Extremes unused = {INFINITY, -INFINITY};
    extend_range(into, &unused, from->min, from->max, from->count);
    into->runs += from->runs;
    exact_sum_merge(&into->run_min, &from->run_min);
    exact_sum_merge(&into->run_max, &from->run_max);
    into->zeros += from->zeros;
    if (from->empty)
        return;
    if (into->empty)
        into->exponent = from->exponent;
    else if (from->exponent > into->exponent)
        grow(into, from->exponent);
    into->empty = false;
    int shift = MIN(into->exponent - from->exponent, HALF_BITS);
    for (int k = 0; k < HALF; k++) {
        into->bins[HALF + (k >> shift)] += from->bins[HALF + k];
        into->bins[HALF - 1 - (k >> shift)] += from->bins[HALF - 1 - k];
    }
}
