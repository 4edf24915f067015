/* test_histogram.c - the grid, what it counts, and that neither order nor split can be seen in it. */
#include "src/quant/quant.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define H (HISTOGRAM_BINS / 2)

static uint64_t random_state;

static uint64_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Magnitudes over many octaves, both signs, some zeros of both signs, some that are not finite. */
static void fill_wild(float *x, size_t n, bool finite)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t r = random_bits();
        x[i] = ldexpf((float)(1 + (r & 1023)) / 512.0f, (int)(r >> 20 & 63) - 40);
        if (r >> 40 & 1)
            x[i] = -x[i];
        if ((r >> 41 & 7) == 0)
            x[i] = r >> 44 & 1 ? -0.0f : 0.0f;
        if (!finite && (r >> 45 & 255) == 0)
            x[i] = r >> 53 & 1 ? NAN : r >> 54 & 1 ? INFINITY : -INFINITY;
    }
}

static Histogram *new_histogram(void)
{
    Histogram *histogram = NULL;
    CHECK_OK(histogram_new(true, &histogram));
    return histogram;
}

static void check_same(const Histogram *a, const Histogram *b)
{
    CHECK_INT(a->empty, b->empty);
    CHECK_INT(a->exponent, b->exponent);
    CHECK(memcmp(&a->min, &b->min, sizeof a->min) == 0);
    CHECK(memcmp(&a->max, &b->max, sizeof a->max) == 0);
    CHECK_INT(a->count, b->count);
    CHECK_INT(a->zeros, b->zeros);
    CHECK_INT(a->not_finite, b->not_finite);
    CHECK(memcmp(a->bins, b->bins, HISTOGRAM_BINS * sizeof a->bins[0]) == 0);
}

static uint64_t sum_of_bins(const Histogram *histogram)
{
    uint64_t sum = 0;
    for (int i = 0; i < HISTOGRAM_BINS; i++)
        sum += histogram->bins[i];
    return sum;
}

TEST(histogram_places_elements_in_mirrored_bins)
{
    /* Greatest magnitude 1000 < 2^10: w = 2^-2. */
    static const float x[] = {1000.0f, 0.0f, 0.1f, 0.25f, 0.26f, -0.1f, -0.25f, -0.26f, -0.0f, -1.0f};
    Histogram *h = new_histogram();
    histogram_add(h, x, COUNT_OF(x));
    CHECK_INT(h->exponent, -2);
    CHECK_INT(h->count, 10);
    CHECK_INT(h->zeros, 2);
    CHECK_INT(h->bins[H], 1);
    CHECK_INT(h->bins[H + 1], 2);
    CHECK_INT(h->bins[H - 1], 1);
    CHECK_INT(h->bins[H - 2], 2);
    CHECK_INT(h->bins[H - 5], 1);
    CHECK_INT(h->bins[H + 4000], 1);
    CHECK_INT(sum_of_bins(h), 8);
    CHECK(h->min == -1.0f && h->max == 1000.0f);
    histogram_free(h);
}

TEST(histogram_grid_depends_on_the_greatest_magnitude_alone)
{
    static const struct {
        float magnitude;
        int exponent;
    } cases[] = {{1.0f, -11},    {0.99f, -12},   {4096.0f, 1},  {-4095.0f, 0},
                 {3.4e38f, 116}, {1e-30f, -111}, {1e-45f, -126}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Histogram *h = new_histogram();
        histogram_add(h, &cases[i].magnitude, 1);
        CHECK_INT(h->exponent, cases[i].exponent);
        CHECK_INT(sum_of_bins(h), 1);
        histogram_free(h);
    }
}

TEST(histogram_growing_gives_what_the_wide_grid_gives)
{
    float x[1000], big = 5e9f;
    random_state = 7;
    fill_wild(x, COUNT_OF(x), true);
    Histogram *grown = new_histogram(), *wide = new_histogram();
    histogram_add(grown, x, COUNT_OF(x));
    CHECK(grown->exponent <= 12);
    histogram_add(grown, &big, 1);
    histogram_add(wide, &big, 1);
    histogram_add(wide, x, COUNT_OF(x));
    CHECK_INT(wide->exponent, 21); /* 2^32 < 5e9 < 2^33 */
    check_same(grown, wide);
    histogram_free(grown);
    histogram_free(wide);
}

TEST(histogram_counts_every_element_once)
{
    enum { N = 100001 };
    float *x = xcalloc(N, sizeof *x);
    random_state = 99;
    fill_wild(x, N, false);
    int64_t zeros = 0, finite = 0;
    float min = INFINITY, max = -INFINITY;
    for (size_t i = 0; i < N; i++) {
        if (!isfinite(x[i]))
            continue;
        finite++;
        zeros += x[i] == 0;
        min = fminf(min, x[i]);
        max = fmaxf(max, x[i]);
    }
    Histogram *h = new_histogram();
    histogram_add(h, x, N);
    CHECK_INT(h->count, finite);
    CHECK_INT(h->not_finite, N - finite);
    CHECK_INT(h->zeros, zeros);
    CHECK_INT(sum_of_bins(h), finite - zeros);
    CHECK(h->min == min && h->max == max);
    histogram_free(h);
    free(x);
}

/* Straight through, backwards in odd pieces, and split over three that are merged in two orders. */
TEST(histogram_does_not_depend_on_order_or_split)
{
    enum { N = 60000 };
    float *x = xcalloc(N, sizeof *x);
    for (int round = 0; round < 4; round++) {
        random_state = 1234 + (uint64_t)round;
        fill_wild(x, N, round % 2 == 0);
        Histogram *straight = new_histogram(), *backwards = new_histogram(), *merged = new_histogram();
        Histogram *parts[3] = {new_histogram(), new_histogram(), new_histogram()};
        histogram_add(straight, x, N);
        for (int64_t end = N, piece = 1; end > 0; piece = piece * 3 % 10007) {
            int64_t n = MIN(piece, end);
            histogram_add(backwards, x + end - n, n);
            histogram_add(parts[piece % 3], x + end - n, n);
            end -= n;
        }
        check_same(straight, backwards);
        for (int i = 0; i < 3; i++)
            histogram_merge(merged, parts[(i + round) % 3]);
        check_same(straight, merged);
        histogram_free(straight);
        histogram_free(backwards);
        histogram_free(merged);
        for (int i = 0; i < 3; i++)
            histogram_free(parts[i]);
    }
    free(x);
}

TEST(histogram_of_nothing_zeros_and_infinities)
{
    static const float zeros[] = {0.0f, -0.0f, 0.0f}, infinities[] = {INFINITY, -INFINITY, NAN};
    Histogram *h = new_histogram(), *other = new_histogram();
    histogram_add(h, NULL, 0);
    CHECK_INT(h->count, 0);
    histogram_merge(h, other);
    CHECK(h->empty && h->count == 0);
    histogram_add(h, infinities, 3);
    CHECK_INT(h->not_finite, 3);
    CHECK_INT(h->count, 0);
    histogram_add(h, zeros, 3);
    CHECK_INT(h->zeros, 3);
    CHECK(h->empty && h->min == 0 && h->max == 0 && !signbit(h->min));
    histogram_merge(other, h);
    check_same(other, h);
    histogram_free(h);
    histogram_free(other);
}

/* ---- tallies: subsets, extremes alone, one histogram for several threads ------------------------------------------------ */

static Histogram *count_subset(const float *x, int64_t n, int64_t most, uint64_t seed)
{
    Histogram *h = new_histogram();
    Tally *tally = tally_new();
    tally_take(tally, x, n, true, most, seed);
    histogram_take(h, tally);
    tally_free(tally);
    return h;
}

/* Elements at or above x, of those counted. */
static double share_from(const Histogram *h, float x)
{
    uint64_t n = 0;
    for (int i = H + (int)ldexpf(x, -h->exponent); i < HISTOGRAM_BINS; i++)
        n += h->bins[i];
    return (double)n / (double)h->counted;
}

TEST(tally_of_a_subset_has_the_extremes_of_all_and_the_shape_of_all)
{
    enum { N = 1000003, MOST = 65536 };
    float *x = xcalloc(N, sizeof *x);
    random_state = 5;
    for (size_t i = 0; i < N; i++) /* uniform in [0, 4), every third element 0 */
        x[i] = i % 3 == 0 ? 0.0f : (float)(random_bits() >> 40) * 0x1p-22f;
    static const size_t places[] = {0, 17, 500001, N - 1};
    for (size_t p = 0; p < COUNT_OF(places); p++) {
        float was = x[places[p]];
        x[places[p]] = 7;
        Histogram *h = count_subset(x, N, MOST, p);
        CHECK(h->max == 7 && h->min == 0);
        CHECK_INT(h->exponent, -9);
        CHECK_INT(h->count, N);
        CHECK(h->counted <= MOST && h->counted > MOST - 16);
        CHECK_INT(sum_of_bins(h), h->counted - h->zeros);
        CHECK_NEAR((double)h->zeros / (double)h->counted, 1.0 / 3, 0.01);
        CHECK_NEAR(share_from(h, 1), 0.5, 0.01);
        CHECK_NEAR(share_from(h, 3), 1.0 / 6, 0.01);
        histogram_free(h);
        x[places[p]] = was;
    }
    free(x);
}

/* Rows and planes of any length: what stands in one of four columns is a quarter of what is counted. */
TEST(tally_of_a_subset_does_not_resonate_with_the_layout)
{
    enum { N = 1 << 20 };
    static const size_t periods[] = {2, 16, 32, 64, 56, 112, 1024, 3136, 12544, 65536, 262144};
    float *x = xcalloc(N, sizeof *x);
    for (size_t p = 0; p < COUNT_OF(periods); p++) {
        for (size_t i = 0; i < N; i++)
            x[i] = i % periods[p] < periods[p] / 4 + (periods[p] < 4) ? 3.0f : 1.0f;
        double expected = periods[p] < 4 ? 0.5 : 0.25;
        Histogram *h = count_subset(x, N, N / 64, p);
        CHECK_NEAR(share_from(h, 3), expected, 0.06);
        histogram_free(h);
    }
    free(x);
}

TEST(tally_of_a_subset_follows_from_the_seed)
{
    enum { N = 300000 };
    float *x = xcalloc(N, sizeof *x);
    random_state = 77;
    fill_wild(x, N, false);
    Histogram *a = count_subset(x, N, 5000, 3), *same = count_subset(x, N, 5000, 3), *b = count_subset(x, N, 5000, 4);
    check_same(a, same);
    CHECK(memcmp(a->bins, b->bins, HISTOGRAM_BINS * sizeof a->bins[0]) != 0);
    Histogram *all = new_histogram();
    histogram_add(all, x, N);
    CHECK(a->min == all->min && a->max == all->max);
    CHECK_INT(a->count, all->count);
    CHECK_INT(a->not_finite, all->not_finite);
    CHECK_INT(sum_of_bins(a), a->counted - a->zeros);
    Histogram *parts[] = {a, same, b, all};
    for (int i = 0; i < 4; i++)
        histogram_free(parts[i]);
    free(x);
}

TEST(histogram_of_extremes_alone)
{
    static const float x[] = {-3, 0, 5, NAN, 2};
    Histogram *h = NULL, *other = NULL;
    CHECK_OK(histogram_new(false, &h));
    CHECK_OK(histogram_new(false, &other));
    histogram_add(h, x, 5);
    histogram_add(other, x + 4, 1);
    histogram_merge(other, h);
    CHECK(other->min == -3 && other->max == 5);
    CHECK_INT(other->count, 5);
    CHECK_INT(other->counted, 0);
    CHECK_INT(other->not_finite, 1);
    static const char *const rules[] = {"auto", "mse", "percentile", "entropy"};
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        RangeRule rule;
        Range range = {.name = "x"};
        CHECK(range_rule_parse(rules[i], &rule));
        range_choose(other, rule, 256, &range);
        CHECK(range.low == -3 && range.high == 5 && isnan(range.sqnr_db) && range.clipped_share == 0);
        CHECK_TEXT(range.method, "minmax");
    }
    histogram_free(h);
    histogram_free(other);
}

/* A subset in which nothing but zeros was drawn tells nothing: what was seen of all elements holds. */
TEST(histogram_of_a_subset_of_zeros_keeps_the_extremes)
{
    enum { N = 100001 }; /* one element behind the last whole line: it is never drawn */
    float *x = xcalloc(N, sizeof *x);
    x[N - 1] = 9;
    Histogram *h = count_subset(x, N, 4096, 0);
    CHECK_INT(h->counted, h->zeros);
    CHECK(h->max == 9);
    static const char *const rules[] = {"auto", "mse", "minmax", "percentile=99.9", "entropy"};
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        RangeRule rule;
        Range range = {.name = "x"};
        CHECK(range_rule_parse(rules[i], &rule));
        range_choose(h, rule, 256, &range);
        CHECK(range.low == 0 && range.high == 9);
    }
    histogram_free(h);
    free(x);
}
