/* test_choose.c - ranges of distributions whose answer is known, and the promised error against the measured one. */
#include "src/quant/quant.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

#define N 200000

static uint64_t random_state;

static double random_unit(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return ((double)(random_state >> 11) + 0.5) * 0x1p-53;
}

static double random_normal(void)
{
    return sqrt(-2 * log(random_unit())) * cos(6.283185307179586 * random_unit());
}

static Range choose_rule(const float *x, int64_t n, RangeRule rule)
{
    Histogram *h = NULL;
    CHECK_OK(histogram_new(true, &h));
    histogram_add(h, x, n);
    Range range = {.name = "x"};
    range_choose(h, rule, 256, &range);
    histogram_free(h);
    return range;
}

static Range choose(const float *x, int64_t n, RangeMethod method)
{
    return choose_rule(x, n, (RangeRule){method, 0});
}

/* What quantizing with the chosen range really costs. */
static double measured_sqnr_db(const float *x, int64_t n, const Range *range)
{
    QParams p = qparams_asymmetric(range->low, range->high, DT_UINT8);
    double energy = 0, error = 0;
    for (int64_t i = 0; i < n; i++) {
        double y = (quant_value(x[i], p) - p.zero_point) * (double)p.scale;
        energy += (double)x[i] * x[i];
        error += (y - x[i]) * (y - x[i]);
    }
    return 10 * log10(energy / error);
}

typedef struct Case {
    const char *name;
    double (*draw)(void);
    double clips; /* the least share of the range that MSE is to cut off, 0: it must keep it all */
} Case;

static double draw_uniform(void)
{
    return 4 * random_unit() - 1;
}

static double draw_relu(void)
{
    return fmax(random_normal(), 0);
}

static double draw_negative(void)
{
    return -fabs(random_normal());
}

static double draw_laplace(void)
{
    double u = random_unit() - 0.5;
    return (u < 0 ? 1 : -1) * log(1 - 2 * fabs(u));
}

static double draw_relu6(void)
{
    return fmin(fmax(4 * random_normal() + 2, 0), 6);
}

static double draw_silu(void)
{
    double x = 2 * random_normal();
    return x / (1 + exp(-x));
}

static const Case cases[] = {
    {"uniform", draw_uniform, 0},        {"normal", random_normal, 0.05}, {"relu", draw_relu, 0.03},
    {"negative", draw_negative, 0.03},   {"laplace", draw_laplace, 0.2},  {"relu6", draw_relu6, 0},
    {"silu", draw_silu, 0.01},
};

TEST(choose_promises_the_error_that_comes)
{
    float *x = xcalloc(N, sizeof *x);
    for (size_t c = 0; c < COUNT_OF(cases); c++) {
        random_state = 88172645463325252ull;
        for (int64_t i = 0; i < N; i++)
            x[i] = (float)cases[c].draw();
        Range all = choose(x, N, RANGE_MINMAX), best = choose(x, N, RANGE_MSE);
        CHECK_NEAR(all.sqnr_db, measured_sqnr_db(x, N, &all), 0.1);
        CHECK_NEAR(best.sqnr_db, measured_sqnr_db(x, N, &best), 0.1);
        CHECK(best.sqnr_db >= all.sqnr_db);
        CHECK(all.clipped_share == 0);
        double kept = ((double)best.high - best.low) / ((double)all.high - all.low);
        if (!(cases[c].clips == 0 ? kept == 1 : kept < 1 - cases[c].clips && kept > 0.3))
            test_fail(__FILE__, __LINE__, "%s: keeps %g of the range", cases[c].name, kept);
        int64_t outside = 0;
        for (int64_t i = 0; i < N; i++)
            outside += x[i] < best.low || x[i] > best.high;
        CHECK_NEAR(best.clipped_share * N, (double)outside, 2 + 0.2 * (double)outside);
        CHECK_INT(best.elements, N);
    }
    free(x);
}

/* No candidate of a brute-force search over both ends, with measured errors, does better than by a hair. */
TEST(choose_finds_the_best_of_both_ends)
{
    enum { FEW = 20000 };
    float *x = xcalloc(FEW, sizeof *x);
    random_state = 424242;
    for (int64_t i = 0; i < FEW; i++) {
        double r = random_normal();
        x[i] = (float)(r < 0 ? 0.3 * r : r * r);
    }
    Range all = choose(x, FEW, RANGE_MINMAX), best = choose(x, FEW, RANGE_MSE);
    double found = measured_sqnr_db(x, FEW, &best), brute = 0;
    for (int a = 1; a <= 20; a++) {
        for (int b = 4; b <= 20; b++) {
            Range range = {.low = all.low * (float)a / 20, .high = all.high * (float)b / 20};
            brute = fmax(brute, measured_sqnr_db(x, FEW, &range));
        }
    }
    CHECK(found > brute - 0.05);
    CHECK(found > all.sqnr_db + 0.1);
    free(x);
}

TEST(choose_cuts_off_one_outlier_among_many)
{
    float *x = xcalloc(N, sizeof *x);
    random_state = 5;
    for (int64_t i = 0; i < N; i++)
        x[i] = (float)random_normal();
    x[777] = 300.0f;
    Range best = choose(x, N, RANGE_MSE);
    CHECK(best.observed_max == 300.0f);
    CHECK(best.high < 280.0f); /* the outlier's own error outweighs much, but not all */
    CHECK(best.high > 100.0f);
    CHECK_NEAR(best.sqnr_db, measured_sqnr_db(x, N, &best), 0.5);
    free(x);
}

TEST(choose_keeps_constants_and_two_values_exact)
{
    static const float constant[] = {3.7f, 3.7f, 3.7f}, negative[] = {-2.5f, -2.5f}, binary[] = {0, 1, 1, 0, 1};
    for (int method = RANGE_AUTO; method <= RANGE_ENTROPY; method++) {
        Range range = choose(constant, 3, (RangeMethod)method);
        CHECK(range.low == 0 && range.high == 3.7f && range.sqnr_db == 999);
        range = choose(negative, 2, (RangeMethod)method);
        CHECK(range.low == -2.5f && range.high == 0 && range.sqnr_db == 999);
        range = choose(binary, 5, (RangeMethod)method);
        CHECK(range.low == 0 && range.high == 1 && range.sqnr_db == 999 && range.clipped_share == 0);
    }
}

TEST(choose_gives_sane_ranges_for_degenerate_data)
{
    static const float zeros[] = {0, -0.0f, 0}, infinite[] = {INFINITY, NAN, -INFINITY};
    static const float mixed[] = {1, INFINITY, 2, -INFINITY, NAN, -1}, tiny[] = {1e-30f, -5e-31f, 2e-31f, 0};
    static const float huge[] = {3.4e38f, -3.4e38f, 1e38f}, denormal[] = {1e-45f, -1e-44f};
    for (int method = RANGE_AUTO; method <= RANGE_ENTROPY; method++) {
        Range range = choose(zeros, 3, (RangeMethod)method);
        CHECK(range.low == 0 && range.high == 0 && range.sqnr_db == 999);
        range = choose(infinite, 3, (RangeMethod)method);
        CHECK(range.low == 0 && range.high == 0 && range.not_finite == 3 && range.elements == 3);
        range = choose(NULL, 0, (RangeMethod)method);
        CHECK(range.low == 0 && range.high == 0 && range.elements == 0);
        range = choose(mixed, 6, (RangeMethod)method);
        CHECK(range.observed_min == -1 && range.observed_max == 2 && range.not_finite == 3);
        CHECK(range.low >= -1 && range.low <= 0 && range.high > 1 && range.high <= 2);
        range = choose(tiny, 4, (RangeMethod)method);
        CHECK(range.low <= 0 && range.high > 0 && range.high <= 1e-30f && isfinite(range.sqnr_db));
        range = choose(huge, 3, (RangeMethod)method);
        CHECK(isfinite(range.low) && isfinite(range.high) && range.high > 1e38f && range.low < 0);
        range = choose(denormal, 2, (RangeMethod)method);
        CHECK(range.low <= 0 && range.high >= 0 && isfinite(range.sqnr_db));
    }
}
