/* tally.c - extremes and counts of one tensor, at the speed of memory.
 *
 *     first pass    all elements: extremes, as integers on the bits (which compilers vectorise, as they must not for float
 *                   minima); NaN and infinities show as the greatest and the least of them
 *     second pass   elements of the subset: bins of a block, vectorised, then one count each, four tables in turns
 *
 * The order of floats is that of their bits as integers once those of negative ones are mirrored:
 *
 *     key(x) = bits ^ (bits < 0 ? 0x7fffffff : 0)
 *
 * A subset is one line of 16 elements out of each of equally long stretches, which one being drawn from the seed and the
 * number of the stretch: nothing in the layout of the tensor can resonate with it.
 */
#include "src/quant/tally.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Narrower bins would need factors beyond float; values below 2^-114 share what is there. */
#define EXPONENT_MIN (-126)
#define LINE 16            /* floats of a cache line */
#define SUBSET_MOST ((int64_t)1 << 31) /* what 32-bit counts hold for certain */

#define KEY_INFINITY 0x7f800000
#define KEY_MINUS_INFINITY (-0x7f800001) /* key of the bits 0xff800000 */

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

/* ---- loops that must be fast ------------------------------------------------------------------------------------- */

CPU_BODY void find_extremes_body(const float *x, size_t n, int32_t *ret_low, int32_t *ret_high)
{
    int32_t low = INT32_MAX, high = INT32_MIN;
    for (size_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        int32_t key = key_of(bits);
        low = key < low ? key : low;
        high = key > high ? key : high;
    }
    *ret_low = low;
    *ret_high = high;
}

CPU_LEVELS(static, find_extremes, (const float *x, size_t n, int32_t *ret_low, int32_t *ret_high), (x, n, ret_low, ret_high))

/* Zeros of both signs go to bin H; *ret_zeros: how many there are. */
CPU_BODY void find_bins_body(const float *restrict x, size_t n, float per_bin, uint16_t *restrict ret, int64_t *ret_zeros)
{
    int32_t zeros = 0;
    for (size_t i = 0; i < n; i++) {
        ret[i] = (uint16_t)(HALF + ((int32_t)(fabsf(x[i]) * per_bin) ^ (x[i] < 0 ? -1 : 0)));
        zeros += x[i] == 0;
    }
    *ret_zeros = zeros;
}

CPU_LEVELS(static, find_bins, (const float *restrict x, size_t n, float per_bin, uint16_t *restrict ret, int64_t *ret_zeros),
           (x, n, per_bin, ret, ret_zeros))

/* Moves the bins of elements that are not 0 together; returns how many there are. */
static size_t drop_zeros(const float *x, size_t n, uint16_t *index)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        index[kept] = index[i];
        kept += x[i] != 0;
    }
    return kept;
}

static void count_block(Tally *tally, const float *x, size_t n, float per_bin)
{
    uint16_t *index = tally->index;
    int64_t zeros;

    find_bins(x, n, per_bin, index, &zeros);
    tally->zeros += zeros;
    tally->counted += (int64_t)n;
    /* Increments of one bin wait for each other: many zeros are better taken out first. */
    if (zeros * (tally->small ? 8 : 4) > (int64_t)n * (tally->small ? 1 : 3))
        n = drop_zeros(x, n, index);
    else
        tally->zeros_in += zeros;
    tally->n_index = n;
    if (tally->small)
        return;
    size_t i = 0;
    for (; i + TALLY_TABLES <= n; i += TALLY_TABLES) {
        tally->counts[0][index[i]]++;
        tally->counts[1][index[i + 1]]++;
        tally->counts[2][index[i + 2]]++;
        tally->counts[3][index[i + 3]]++;
    }
    for (; i < n; i++)
        tally->counts[0][index[i]]++;
}

/* ---- elements that are not finite -------------------------------------------------------------------------------- */

static size_t keep_finite(const float *x, size_t n, float *ret)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        float one = x[i];
        ret[kept] = one;
        kept += fabsf(one) <= FLT_MAX;
    }
    return kept;
}

static void look_at_finite(Tally *tally, const float *x, int64_t n)
{
    int32_t low = INT32_MAX, high = INT32_MIN;
    tally->finite = 0;
    for (int64_t at = 0; at < n; at += TALLY_BLOCK) {
        size_t kept = keep_finite(x + at, (size_t)MIN(n - at, (int64_t)TALLY_BLOCK), tally->gathered);
        int32_t block_low, block_high;
        find_extremes(tally->gathered, kept, &block_low, &block_high);
        low = MIN(low, block_low);
        high = MAX(high, block_high);
        tally->finite += (int64_t)kept;
    }
    tally->not_finite = n - tally->finite;
    if (tally->finite > 0) {
        tally->low = float_of_key(low) + 0.0f; /* -0 to 0 */
        tally->high = float_of_key(high) + 0.0f;
    }
}

static void look_at(Tally *tally, const float *x, int64_t n)
{
    int32_t low, high;
    tally->low = INFINITY;
    tally->high = -INFINITY;
    tally->finite = n;
    tally->not_finite = 0;
    find_extremes(x, (size_t)n, &low, &high);
    if (n > 0 && (high >= KEY_INFINITY || low <= KEY_MINUS_INFINITY)) {
        look_at_finite(tally, x, n);
    } else if (n > 0) {
        tally->low = float_of_key(low) + 0.0f;
        tally->high = float_of_key(high) + 0.0f;
    }
}

/* ---- the subset -------------------------------------------------------------------------------------------------- */

/* Well mixed bits of two numbers. Source: the finalizer of SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t seed, uint64_t i)
{
    uint64_t z = (seed << 32 ^ seed >> 32) + (i + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Counts n elements that lie together. */
static void count_span(Tally *tally, const float *x, int64_t n, float per_bin)
{
    for (int64_t at = 0; at < n; at += TALLY_BLOCK) {
        size_t length = (size_t)MIN(n - at, (int64_t)TALLY_BLOCK);
        const float *block = x + at;
        if (tally->not_finite > 0) {
            length = keep_finite(block, length, tally->gathered);
            block = tally->gathered;
        }
        count_block(tally, block, length, per_bin);
    }
}

/* One line out of each stretch. Whole lines only: up to 15 elements at the end of the tensor are never drawn. */
static void count_lines(Tally *tally, const float *x, int64_t lines, int64_t wanted, uint64_t seed, float per_bin)
{
    size_t held = 0;
    for (int64_t s = 0; s < wanted; s++) {
        int64_t from = s * lines / wanted, to = (s + 1) * lines / wanted;
        uint64_t drawn = (mix(seed, (uint64_t)s) >> 32) * (uint64_t)(to - from) >> 32;
        const float *line = x + (from + (int64_t)drawn) * LINE;
        if (tally->not_finite > 0) {
            held += keep_finite(line, LINE, tally->gathered + held);
        } else {
            memcpy(tally->gathered + held, line, LINE * sizeof line[0]);
            held += LINE;
        }
        if (held > TALLY_BLOCK - LINE - 1 || s + 1 == wanted) {
            count_block(tally, tally->gathered, held, per_bin);
            held = 0;
        }
    }
}

static void count(Tally *tally, const float *x, int64_t n, int64_t most, uint64_t seed)
{
    float per_bin = ldexpf(1, -tally->exponent);
    int64_t lines = n / LINE, wanted = MIN(most, SUBSET_MOST) / LINE;
    tally->first = HALF - 1 - (tally->low < 0 ? (int)(-tally->low * per_bin) : -1);
    tally->last = HALF + (tally->high > 0 ? (int)(tally->high * per_bin) : 0);
    if (n <= most || wanted >= lines) {
        tally->small = n <= TALLY_BLOCK;
        count_span(tally, x, MIN(n, SUBSET_MOST), per_bin);
    } else {
        tally->small = false;
        count_lines(tally, x, lines, MAX(wanted, 1), seed, per_bin);
    }
}

/* ---- in public --------------------------------------------------------------------------------------------------- */

int grid_exponent(float magnitude)
{
    int k;
    frexpf(magnitude, &k);
    return MAX(k - HALF_BITS, EXPONENT_MIN);
}

Tally *tally_new(void)
{
    return xcalloc(1, sizeof(Tally));
}

void tally_free(Tally *tally)
{
    free(tally);
}

void tally_take(Tally *tally, const float *x, int64_t n, bool counts, int64_t most, uint64_t seed)
{
    tally->counted = tally->zeros = tally->zeros_in = 0;
    tally->small = true;
    look_at(tally, x, n);
    float magnitude = tally->finite > 0 ? MAX(fabsf(tally->low), fabsf(tally->high)) : 0;
    if (magnitude > 0) {
        tally->exponent = grid_exponent(magnitude);
        if (counts)
            count(tally, x, n, most <= 0 ? SUBSET_MOST : most, seed);
    } else if (counts) {
        tally->counted = tally->zeros = MIN(tally->finite, most <= 0 ? SUBSET_MOST : most);
    }
}
