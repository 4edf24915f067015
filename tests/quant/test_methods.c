/* test_methods.c - every method on tensors whose right range is known, entropy against its definition bin by bin. */
#include "src/quant/distribution.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define N 200000
#define RUNS 10

static uint64_t random_state;

static double unit(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return ((double)(random_state >> 11) + 0.5) * 0x1p-53;
}

static double normal(void)
{
    return sqrt(-2 * log(unit())) * cos(6.283185307179586 * unit());
}

static double laplace(void)
{
    double u = unit() - 0.5;
    return (u < 0 ? 1 : -1) * log(1 - 2 * fabs(u));
}

static double outliers(void)
{
    double x = normal();
    return unit() < 1e-4 ? (x < 0 ? -40 : 40) : x;
}

static double relu(void)
{
    return fmax(normal(), 0);
}

/* All on one side and far from zero. */
static double shifted(void)
{
    return 10 + 0.5 * normal();
}

/* Ten samples of what `draw` gives, with a tail of what must not show. */
static Histogram *fill(double (*draw)(void), float *x)
{
    Histogram *h = NULL;
    CHECK_OK(histogram_new(true, &h));
    random_state = 88172645463325252ull;
    for (int i = 0; i < N; i++)
        x[i] = (float)draw();
    for (int r = 0; r < RUNS; r++)
        histogram_add(h, x + r * (N / RUNS), N / RUNS);
    return h;
}

static Range choose(const Histogram *h, const char *method)
{
    RangeRule rule;
    Range range = {.name = "x"};
    CHECK(range_rule_parse(method, &rule));
    range_choose(h, rule, 256, &range);
    return range;
}

/* Where each end is to lie. */
typedef struct Expected {
    const char *data;
    double (*draw)(void);
    const char *method;
    double low_from, low_to, high_from, high_to;
} Expected;

#define ANY 1e9

static const Expected expected[] = {
    /* normal: quantiles 99.99 % at 3.89, 99 % at 2.576 deviations; the least squared error of 256 levels near 4 */
    {"normal", normal, "minmax", -6, -4, 4, 6},
    {"normal", normal, "percentile", -4.1, -3.7, 3.7, 4.1},
    {"normal", normal, "percentile=99", -2.62, -2.53, 2.53, 2.62},
    {"normal", normal, "mse", -4.4, -3.6, 3.6, 4.4},
    {"normal", normal, "entropy", -5.5, -3, 3, 5.5},
    {"normal", normal, "auto", -4.4, -3.6, 3.6, 4.4},
    /* Laplace, scale 1: 99.99 % at ln(10^4) = 9.21; squared error: e^-h (2 / h) 128^2 = h / 3 * .. near 9.5 */
    {"laplace", laplace, "percentile", -10.2, -8.4, 8.4, 10.2},
    {"laplace", laplace, "mse", -11, -7.5, 7.5, 11},
    {"laplace", laplace, "entropy", -14, -4, 4, 14},
    {"laplace", laplace, "auto", -11, -7.5, 7.5, 11},
    /* outliers: 99.9 % is where the normal part is; least squared error must keep them: 1e-4 (40 - h)^2 weighs more */
    {"outliers", outliers, "minmax", -41, -39, 39, 41},
    {"outliers", outliers, "percentile=99.9", -3.8, -3.1, 3.1, 3.8},
    {"outliers", outliers, "mse", -41, -25, 25, 41},
    {"outliers", outliers, "entropy", -8, -2.5, 2.5, 8},
    /* one side: nothing is spent on the other one */
    {"relu", relu, "minmax", 0, 0, 4, 6},
    {"relu", relu, "mean-minmax", 0, 0, 3.5, 5},
    {"relu", relu, "percentile", 0, 0, 3.5, 4},
    {"relu", relu, "mse", 0, 0, 3.5, 5},
    {"relu", relu, "entropy", 0, 0, 2.5, 5.5},
    {"relu", relu, "auto", 0, 0, 3.5, 5},
    {"shifted", shifted, "percentile", 0, 0, 11.7, 12.2},
    {"shifted", shifted, "mse", 0, 0, 11.5, 12.6},
    {"shifted", shifted, "entropy", 0, 0, 11, 12.6},
    {"shifted", shifted, "auto", 0, 0, 11.5, 12.6},
};

TEST(methods_find_the_known_ranges)
{
    float *x = xcalloc(N, sizeof *x);
    Histogram *h = NULL;
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        const Expected *e = &expected[i];
        if (i == 0 || strcmp(e->data, expected[i - 1].data) != 0) {
            histogram_free(h);
            h = fill(e->draw, x);
        }
        Range range = choose(h, e->method);
        double low = (double)range.low, high = (double)range.high;
        if (!(low >= e->low_from && low <= e->low_to && high >= e->high_from && high <= e->high_to))
            test_fail(__FILE__, __LINE__, "%s, %s: %g to %g", e->data, e->method, low, high);
        if (strcmp(e->method, "auto") != 0)
            CHECK(strncmp(e->method, range.method, strlen(range.method)) == 0);
    }
    histogram_free(h);
    free(x);
}

TEST(mean_minmax_is_the_mean_of_each_samples_extremes)
{
    float *x = xcalloc(N, sizeof *x);
    Histogram *h = fill(normal, x);
    double low = 0, high = 0;
    for (int r = 0; r < RUNS; r++) {
        double least = 0, most = 0;
        for (int i = r * (N / RUNS); i < (r + 1) * (N / RUNS); i++) {
            least = fmin(least, (double)x[i]);
            most = fmax(most, (double)x[i]);
        }
        low += least / RUNS;
        high += most / RUNS;
    }
    Range range = choose(h, "mean-minmax");
    CHECK_NEAR(range.low, low, 1e-6);
    CHECK_NEAR(range.high, high, 1e-6);
    histogram_free(h);
    free(x);
}

TEST(auto_is_never_worse_than_another_method)
{
    static double (*const draws[])(void) = {normal, laplace, outliers, relu, shifted};
    static const char *const others[] = {"mse", "minmax", "mean-minmax", "percentile", "entropy"};
    float *x = xcalloc(N, sizeof *x);
    for (size_t d = 0; d < COUNT_OF(draws); d++) {
        Histogram *h = fill(draws[d], x);
        double best = choose(h, "auto").sqnr_db;
        for (size_t m = 0; m < COUNT_OF(others); m++)
            CHECK(best >= choose(h, others[m]).sqnr_db - 0.005);
        histogram_free(h);
    }
    free(x);
}

/* KL(P || Q) by its definition, bin by bin. */
static double divergence(const Histogram *h, Ends ends)
{
    enum { HALF = HISTOGRAM_BINS / 2 };
    double width = ldexp(1, h->exponent), kept = 0, below = 0, above = 0, total = 0, sum = 0;
    Grid grid = grid_of(ends, 256);
    double *p = xcalloc(HISTOGRAM_BINS, sizeof *p), *count = xcalloc(HISTOGRAM_BINS, sizeof *count);
    int used[256] = {0}, first = -1, last = -1;
    double held[256] = {0};
    int *cell = xcalloc(HISTOGRAM_BINS, sizeof *cell);
    int from = 0, to = HISTOGRAM_BINS - 1;
    while (h->bins[from] == 0)
        from++;
    while (h->bins[to] == 0)
        to--;
    for (int i = from; i <= to; i++) {
        double middle = (i - HALF + 0.5) * width, q = ceil(middle / grid.step + grid.zero - 0.5);
        count[i] = (double)h->bins[i];
        total += count[i];
        cell[i] = q < 0 ? -1 : q > 255 ? 256 : (int)q;
        if (cell[i] < 0)
            below += count[i];
        else if (cell[i] > 255)
            above += count[i];
        else {
            first = first < 0 ? i : first;
            last = i;
            kept += count[i];
        }
    }
    if (first >= 0) {
        for (int i = first; i <= last; i++)
            p[i] = count[i] + (i == first ? below : 0) + (i == last ? above : 0);
        for (int i = first; i <= last; i++) {
            held[cell[i]] += count[i];
            used[cell[i]] += p[i] > 0;
        }
        for (int i = first; i <= last; i++)
            if (p[i] > 0)
                sum += held[cell[i]] > 0 ? p[i] / total * log(p[i] / total / (held[cell[i]] / used[cell[i]] / kept))
                                         : INFINITY;
    }
    free(p);
    free(count);
    free(cell);
    return first < 0 ? INFINITY : sum;
}

TEST(entropy_is_the_least_divergence_of_a_brute_force_search)
{
    static double (*const draws[])(void) = {normal, laplace, outliers, relu, shifted};
    float *x = xcalloc(N, sizeof *x);
    for (size_t d = 0; d < COUNT_OF(draws); d++) {
        Histogram *h = fill(draws[d], x);
        Range range = choose(h, "entropy");
        double found = divergence(h, (Ends){(double)range.low, (double)range.high}), brute = INFINITY;
        for (int a = 0; a < (h->min < 0 ? 24 : 1); a++)
            for (int b = 0; b < 24; b++) {
                Ends ends = {fmin((double)h->min, 0) * exp2(-a / 6.0), (double)h->max * exp2(-b / 6.0)};
                if (ends.high - ends.low >= 256 * ldexp(1, h->exponent)) /* a level is a bin wide at least */
                    brute = fmin(brute, divergence(h, ends));
            }
        if (!(found <= brute * 1.05 + 1e-7))
            test_fail(__FILE__, __LINE__, "data %zu: divergence %g at %g .. %g, brute force finds %g", d, found,
                      (double)range.low, (double)range.high, brute);
        histogram_free(h);
    }
    free(x);
}

/* The error that a range really costs, element by element. */
static double measured_error(const float *x, double low, double high)
{
    QParams p = qparams_asymmetric((float)low, (float)high, DT_UINT8);
    double error = 0;
    for (int i = 0; i < N; i++) {
        double e = (double)x[i] - (double)p.scale * (quant_value(x[i], p) - p.zero_point);
        error += e * e;
    }
    return error;
}

TEST(mse_and_auto_are_the_least_error_of_a_brute_force_search)
{
    static double (*const draws[])(void) = {normal, laplace, outliers, relu, shifted};
    float *x = xcalloc(N, sizeof *x);
    for (size_t d = 0; d < COUNT_OF(draws); d++) {
        Histogram *h = fill(draws[d], x);
        double brute = INFINITY, low = fmin((double)h->min, 0), high = fmax((double)h->max, 0);
        for (int a = 0; a < (low < 0 ? 9 : 1); a++)
            for (int b = 0; b < 9; b++)
                brute = fmin(brute, measured_error(x, low * exp2(-a / 8.0), high * exp2(-b / 8.0)));
        static const char *const methods[] = {"mse", "auto"};
        for (int m = 0; m < 2; m++) {
            Range range = choose(h, methods[m]);
            double found = measured_error(x, (double)range.low, (double)range.high);
            if (!(found <= brute * 1.02))
                test_fail(__FILE__, __LINE__, "data %zu, %s: error %g at %g .. %g, brute force finds %g", d, methods[m],
                          found, (double)range.low, (double)range.high, brute);
        }
        histogram_free(h);
    }
    free(x);
}

/* A power of two in front of all elements moves the range alike; what is not finite does not move it at all. */
TEST(methods_find_the_same_ranges_of_tiny_numbers_and_beside_infinities)
{
    static const char *const methods[] = {"auto", "mse", "minmax", "mean-minmax", "percentile", "entropy"};
    float *x = xcalloc(N, sizeof *x), *y = xcalloc(N + N / 8, sizeof *y);
    Histogram *h = fill(normal, x), *tiny = NULL, *dirty = NULL;
    CHECK_OK(histogram_new(true, &tiny));
    CHECK_OK(histogram_new(true, &dirty));
    for (int i = 0; i < N; i++)
        y[i] = ldexpf(x[i], -40); /* 1e-12; smaller ones meet the least scale there may be */
    for (int r = 0; r < RUNS; r++)
        histogram_add(tiny, y + r * (N / RUNS), N / RUNS);
    for (int r = 0; r < RUNS; r++) {
        int n = 0;
        for (int i = r * (N / RUNS); i < (r + 1) * (N / RUNS); i++) {
            if (i % 8 == 0)
                y[n++] = i % 24 == 0 ? NAN : i % 24 == 8 ? INFINITY : -INFINITY;
            y[n++] = x[i];
        }
        histogram_add(dirty, y, n);
    }
    for (size_t m = 0; m < COUNT_OF(methods); m++) {
        Range plain = choose(h, methods[m]), small = choose(tiny, methods[m]), beside = choose(dirty, methods[m]);
        if (!(small.low == ldexpf(plain.low, -40) && small.high == ldexpf(plain.high, -40)))
            test_fail(__FILE__, __LINE__, "%s: %g .. %g, and of tiny numbers %g .. %g", methods[m], (double)plain.low,
                      (double)plain.high, ldexp((double)small.low, 40), ldexp((double)small.high, 40));
        CHECK(beside.low == plain.low && beside.high == plain.high && beside.sqnr_db == plain.sqnr_db);
        CHECK_INT(plain.not_finite, 0);
        CHECK_INT(beside.not_finite, N / 8);
        CHECK_INT(beside.elements, N + N / 8);
    }
    histogram_free(h);
    histogram_free(tiny);
    histogram_free(dirty);
    free(x);
    free(y);
}

TEST(sums_of_floats_are_exact_in_any_order)
{
    static const float x[] = {1e30f, 1, -1e30f, 1e-40f, -3.25f, 3.4e38f, 3.4e38f, -3.4e38f, -3.4e38f, 1e-45f, -0.0f};
    ExactSum forth = {{0}}, back = {{0}}, halves[2] = {{{0}}, {{0}}};
    for (size_t i = 0; i < COUNT_OF(x); i++) {
        exact_sum_add(&forth, x[i]);
        exact_sum_add(&back, x[COUNT_OF(x) - 1 - i]);
        exact_sum_add(&halves[i % 2], x[i]);
    }
    exact_sum_merge(&halves[0], &halves[1]);
    CHECK(memcmp(&forth, &back, sizeof forth) == 0);
    CHECK(memcmp(&forth, &halves[0], sizeof forth) == 0);
    CHECK(exact_sum_get(&forth) == -2.25); /* the tiny ones are below its last bit in double */
    exact_sum_add(&forth, 2.25f);
    CHECK_NEAR(exact_sum_get(&forth), (double)1e-40f + (double)1e-45f, 1e-60);
}

TEST(rules_are_read_from_words)
{
    RangeRule rule = {RANGE_AUTO, 0};
    CHECK(range_rule_parse("mean-minmax", &rule) && rule.method == RANGE_MEAN_MINMAX);
    CHECK(range_rule_parse("percentile=99.5", &rule) && rule.method == RANGE_PERCENTILE && rule.percentile == 99.5);
    CHECK(range_rule_parse("percentile", &rule) && rule.percentile == 99.99);
    static const char *const wrong[] = {"", "min", "percentile=", "percentile=50", "percentile=101", "percentile=9x", "mse=3"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        CHECK(!range_rule_parse(wrong[i], &rule));
    CHECK_TEXT(range_method_name(RANGE_ENTROPY), "entropy");
}
