/* test_requantize.c - rounding, saturation and the 8-bit elementwise formulas, on numbers worked by hand. */
#include "tests/test.h"

#include <math.h>
#include <string.h>

#include "src/kernels/kernels.h"

TEST(requantize_rounds_half_to_even_and_saturates)
{
    const int32_t acc[] = {0, 1, 3, 5, -1, -3, 1000000, -1000000, 510, 511};
    const float half = 0.5F;
    uint8_t y[10];
    const uint8_t expected[] = {10, 10, 12, 12, 10, 8, 255, 0, 255, 255}; /* 0.5 -> 0, 1.5 -> 2, 2.5 -> 2 */
    int8_t s[10];

    requantize(NULL, acc, 1, 1, 10, &half, 1, NULL, (Scale8){KERNEL_U8, 1.0F, 10}, y);
    CHECK(memcmp(y, expected, 10) == 0);
    requantize(NULL, acc, 1, 1, 10, &half, 1, NULL, (Scale8){KERNEL_S8, 1.0F, -10}, s);
    CHECK_INT(s[2], -8);
    CHECK_INT(s[6], 127);
    CHECK_INT(s[7], -128);
    CHECK_INT(s[8], 127);
}

TEST(requantize_scales_and_biases_channels)
{
    const int32_t acc[] = {10, 20, 30, 40}, bias[] = {2, -4};
    const float multiplier[] = {1.0F, 0.25F};
    uint8_t y[4];

    requantize(NULL, acc, 1, 2, 2, multiplier, 2, bias, (Scale8){KERNEL_U8, 1.0F, 0}, y); /* planes of two */
    CHECK(memcmp(y, (uint8_t[]){12, 22, 6, 9}, 4) == 0);
    requantize(NULL, acc, 2, 2, 1, multiplier, 2, bias, (Scale8){KERNEL_U8, 1.0F, 0}, y); /* rows of two */
    CHECK(memcmp(y, (uint8_t[]){12, 4, 32, 9}, 4) == 0);
}

TEST(rows_of_sums_become_bytes_and_floats)
{
    const int32_t acc[] = {12, 22, 20, 30}, shift[] = {-2, 10};
    const float multiplier[] = {1.0F, 0.25F};
    uint8_t y[4];
    float real[4];
    int32_t shifted[4];

    requantize_rows(NULL, acc, 2, 2, multiplier, 2, (Scale8){KERNEL_U8, 1.0F, 1}, y);
    CHECK(memcmp(y, (uint8_t[]){13, 7, 21, 9}, 4) == 0); /* 22 / 4 = 5.5 and 30 / 4 = 7.5 round to 6 and 8 */
    dequantize_rows(NULL, acc, 2, 2, multiplier, 2, real);
    CHECK(memcmp(real, (float[]){12, 5.5F, 20, 7.5F}, sizeof real) == 0);
    memcpy(shifted, acc, sizeof shifted);
    add_row_shift(shifted, 2, 2, shift);
    dequantize_rows(NULL, shifted, 2, 2, multiplier, 1, real);
    CHECK(memcmp(real, (float[]){10, 20, 30, 40}, sizeof real) == 0);
}

TEST(quantize_floats_clamps_everything)
{
    const float x[] = {0.0F, 0.25F, 0.75F, -0.75F, INFINITY, -INFINITY, NAN, 1e30F};
    uint8_t y[8];
    const uint8_t expected[] = {128, 128, 130, 126, 255, 0, 0, 255};

    quantize_floats(x, 8, (Scale8){KERNEL_U8, 0.5F, 128}, y);
    CHECK(memcmp(y, expected, 8) == 0);
    float back[2];
    dequantize_bytes(y + 2, 2, (Scale8){KERNEL_U8, 0.5F, 128}, back);
    CHECK_NEAR(back[0], 1.0, 0);
    CHECK_NEAR(back[1], -1.0, 0);
}

/* The same tie, with the zero point inside and outside of the rounding. */
TEST(quantize_shifted_rounds_after_the_zero_point)
{
    const float tie = 2.5F;
    uint8_t y;

    quantize_floats(&tie, 1, (Scale8){KERNEL_U8, 1.0F, 1}, &y);
    CHECK_INT(y, 3);
    quantize_floats_shifted(&tie, 1, (Scale8){KERNEL_U8, 1.0F, 1}, &y);
    CHECK_INT(y, 4);
}

TEST(qlinear_add_and_mul_follow_real_arithmetic)
{
    const Scale8 a_scale = {KERNEL_U8, 0.5F, 10}, b_scale = {KERNEL_U8, 0.25F, 20}, y_scale = {KERNEL_U8, 0.125F, 5};
    const uint8_t a[] = {10, 14, 0, 255}, b[] = {20, 24, 40, 255};
    uint8_t y[4];

    /* a: 0, 2, -5, 122.5; b: 0, 1, 5, 58.75 */
    qlinear_add_row(a, 1, a_scale, b, 1, b_scale, 4, y_scale, y);
    CHECK(memcmp(y, (uint8_t[]){5, 29, 5, 255}, 4) == 0);
    qlinear_mul_row(a, 1, a_scale, b, 1, b_scale, 4, y_scale, y);
    CHECK(memcmp(y, (uint8_t[]){5, 21, 0, 255}, 4) == 0);
    qlinear_add_row(a, 1, a_scale, b + 1, 0, b_scale, 3, y_scale, y); /* one b for all */
    CHECK(memcmp(y, (uint8_t[]){13, 29, 0}, 3) == 0);
}

static float twice(float x, float factor)
{
    return x * factor;
}

TEST(table_holds_every_byte)
{
    uint8_t table[256];
    const int8_t x[] = {-128, -1, 0, 1, 127};
    int8_t y[5];

    table_build((Scale8){KERNEL_S8, 1.0F, 0}, (Scale8){KERNEL_S8, 1.0F, 0}, twice, 2.0F, table);
    table_apply(NULL, table, x, 5, y);
    CHECK(memcmp(y, (int8_t[]){-128, -2, 0, 2, 127}, 5) == 0);
}

TEST(qlinear_global_average_is_a_mean)
{
    const uint8_t x[] = {10, 20, 30, 44, 0, 0, 0, 1};
    uint8_t y[2];

    CHECK(qlinear_global_average(NULL, x, 2, 4, (Scale8){KERNEL_U8, 1.0F, 0}, (Scale8){KERNEL_U8, 1.0F, 3}, y));
    CHECK_INT(y[0], 29); /* 26 + 3 */
    CHECK_INT(y[1], 3);  /* 0.25 rounds to 0 */
    CHECK(!qlinear_global_average(NULL, x, 2, 4, (Scale8){KERNEL_U8, 1e9F, 0}, (Scale8){KERNEL_U8, 1.0F, 0}, y));
}

TEST(qlinear_softmax_sums_to_one)
{
    const uint8_t x[] = {200, 200, 200, 200, 0, 100, 200, 255};
    uint8_t y[8];

    qlinear_softmax(NULL, x, 2, 4, 1, (Scale8){KERNEL_U8, 0.1F, 0}, (Scale8){KERNEL_U8, 1.0F / 256, 0}, y);
    for (int i = 0; i < 4; i++)
        CHECK_INT(y[i], 64);
    CHECK_INT(y[4], 0);
    CHECK_INT(y[7], 255); /* e^5.5 to 1, 256 * 0.9959 = 254.96 */
    CHECK_INT(y[6], 1);
}
