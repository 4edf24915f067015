/* test_norm.c - normalizations and softmax on numbers worked by hand. */
#include "tests/test.h"

#include <math.h>

#include "src/kernels/kernels.h"

TEST(norm_rows_gives_mean_zero_and_variance_one)
{
    const float x[] = {1,       2,       3,       4,
                       1000001, 1000002, 1000003, 1000004}; /* far from zero: single precision sums would fail */
    float y[8], mean[2], inverse[2];

    norm_rows(NULL, 2, 4, 0.0F, x, NULL, 0, NULL, 0, y, mean, inverse);
    for (int row = 0; row < 2; row++) {
        CHECK_NEAR(y[4 * row], -1.3416408, 1e-5);
        CHECK_NEAR(y[4 * row + 3], 1.3416408, 1e-5);
        CHECK_NEAR(inverse[row], 0.8944272, 1e-5);
    }
    CHECK_NEAR(mean[0], 2.5, 0);
    CHECK_NEAR(mean[1], 1000002.5, 0);
    const float scale[] = {1, 1, 1, 2, 1, 1, 1, 3}, shift[] = {10, 0, 0, 1};
    norm_rows(NULL, 2, 4, 0.0F, x, scale, 4, shift, 0, y, NULL, NULL);
    CHECK_NEAR(y[0], 10 - 1.3416408, 1e-5);
    CHECK_NEAR(y[3], 2 * 1.3416408 + 1, 1e-5);
    CHECK_NEAR(y[7], 3 * 1.3416408 + 1, 1e-5);
    norm_rows(NULL, 2, 4, 0.0F, x, scale, 0, NULL, 0, y, NULL, NULL);
    CHECK_NEAR(y[7], 2 * 1.3416408, 1e-5);
}

TEST(norm_affine_scales_channels)
{
    const float x[] = {1, 2, 3, 4}, scale[] = {2, 10}, shift[] = {1, -1};
    float y[4];

    norm_affine(NULL, 1, 2, 2, x, scale, shift, y);
    CHECK_NEAR(y[0], 3, 0);
    CHECK_NEAR(y[1], 5, 0);
    CHECK_NEAR(y[2], 29, 0);
    CHECK_NEAR(y[3], 39, 0);
}

TEST(norm_lrn_looks_at_neighbours)
{
    const float x[] = {1, 2, 3};
    float y[3];

    norm_lrn(NULL, 1, 3, 1, 3, 3.0F, 1.0F, 1.0F, x, y); /* x / (1 + sum of squares of the three) */
    CHECK_NEAR(y[0], 1.0 / 6, 1e-6);
    CHECK_NEAR(y[1], 2.0 / 15, 1e-6);
    CHECK_NEAR(y[2], 3.0 / 14, 1e-6);
    norm_lrn(NULL, 1, 3, 1, 2, 2.0F, 1.0F, 1.0F, x, y); /* even size: this one and the next */
    CHECK_NEAR(y[0], 1.0 / 6, 1e-6);
    CHECK_NEAR(y[2], 3.0 / 10, 1e-6);
}

TEST(norm_lp_divides_by_the_length)
{
    const float x[] = {3, 0, -4, 0};
    float y[4];

    norm_lp(NULL, 1, 2, 2, 2, x, y); /* columns (3, -4) and (0, 0) */
    CHECK_NEAR(y[0], 0.6, 1e-6);
    CHECK_NEAR(y[2], -0.8, 1e-6);
    CHECK(y[1] == 0.0F && y[3] == 0.0F);
    norm_lp(NULL, 1, 2, 2, 1, x, y);
    CHECK_NEAR(y[2], -4.0 / 7, 1e-6);
}

TEST(softmax_survives_great_numbers)
{
    const float x[] = {1000, 1001, 1002, -1000, -1001, -1002};
    float y[6];

    softmax_float(NULL, SOFTMAX, 2, 3, 1, x, y);
    CHECK_NEAR(y[0], 0.09003057, 1e-6);
    CHECK_NEAR(y[2], 0.66524096, 1e-6);
    CHECK_NEAR(y[3], 0.66524096, 1e-6);
    softmax_float(NULL, LOG_SOFTMAX, 2, 3, 1, x, y);
    CHECK_NEAR(y[0], -2.4076059, 1e-6);
    CHECK_NEAR(y[2], -0.4076059, 1e-6);
}

TEST(softmax_runs_along_a_middle_axis)
{
    const float x[] = {0, 5, 0, 5}; /* (2, 2): columns are lines */
    float y[4];

    softmax_float(NULL, SOFTMAX, 1, 2, 2, x, y);
    for (int i = 0; i < 4; i++)
        CHECK_NEAR(y[i], 0.5, 1e-7);
}
