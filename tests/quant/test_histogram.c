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
    Histogram *histogram = xcalloc(1, sizeof *histogram);
    histogram_init(histogram);
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
    CHECK(memcmp(a->bins, b->bins, sizeof a->bins) == 0);
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
    free(h);
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
        free(h);
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
    free(grown);
    free(wide);
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
    free(h);
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
        free(straight);
        free(backwards);
        free(merged);
        for (int i = 0; i < 3; i++)
            free(parts[i]);
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
    free(h);
    free(other);
}
