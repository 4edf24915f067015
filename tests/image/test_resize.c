/* test_resize.c - resizing against cases worked out by hand. */
#include "src/image/decoder.h"
#include "tests/calib/pictures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Resizes a gray picture and compares. */
static void check_gray(const unsigned char *in, int w, int h, int out_w, int out_h, Interp interp,
                       const unsigned char *expected)
{
    unsigned char copy[64];
    memcpy(copy, in, (size_t)(w * h));
    Image image = {w, h, 1, copy}, out;
    if (!CHECK_OK(image_resize(&image, out_w, out_h, interp, &out)))
        return;
    for (int i = 0; i < out_w * out_h; i++)
        CHECK_INT(out.pixels[i], expected[i]);
    image_release(&out);
}

TEST(resize_halves_and_doubles_as_by_hand)
{
    static const unsigned char row[] = {0, 100, 200, 40};
    /* Half: triangle of support 2 around 1 and 3: weights 3 3 1 (cut at the border) and 1 3 3, each over 7. */
    static const unsigned char bilinear_half[] = {71, 117};
    check_gray(row, 4, 1, 2, 1, INTERP_BILINEAR, bilinear_half);
    static const unsigned char area_half[] = {50, 120};
    check_gray(row, 4, 1, 2, 1, INTERP_AREA, area_half);
    static const unsigned char nearest_half[] = {100, 40};
    check_gray(row, 4, 1, 2, 1, INTERP_NEAREST, nearest_half);
    /* Double: 3/4 of the nearer, 1/4 of the farther. */
    static const unsigned char bilinear_double[] = {0, 25, 75, 125, 175, 160, 80, 40};
    check_gray(row, 4, 1, 8, 1, INTERP_BILINEAR, bilinear_double);
    check_gray(row, 1, 4, 1, 8, INTERP_BILINEAR, bilinear_double);
    static const unsigned char nearest_double[] = {0, 0, 100, 100, 200, 200, 40, 40};
    check_gray(row, 1, 4, 1, 8, INTERP_NEAREST, nearest_double);
}

TEST(resize_bicubic_overshoots_and_clips)
{
    /* Doubled step edge, a = -0.5: at distance 0.25 and 0.75 the weights are -9, 111, 29, -3 over 128. */
    static const unsigned char edge[] = {0, 0, 0, 128, 128, 128};
    Image image = {6, 1, 1, xcalloc(6, 1)}, out;
    memcpy(image.pixels, edge, 6);
    if (CHECK_OK(image_resize(&image, 12, 1, INTERP_BICUBIC, &out))) {
        CHECK_INT(out.pixels[5], 26);     /* 29 - 3 */
        CHECK_INT(out.pixels[6], 102);    /* 111 - 9 */
        CHECK_INT(out.pixels[4], 0);      /* -9: clipped */
        CHECK_INT(out.pixels[7], 128 + 9);
        CHECK_INT(out.pixels[8], 128 + 3);
        image_release(&out);
    }
    free(image.pixels);
}

TEST(resize_to_the_same_size_and_of_flat_pictures_changes_nothing)
{
    unsigned char *pixels = draw_picture(17, 11, 3);
    for (Interp interp = INTERP_NEAREST; interp <= INTERP_OPENCV; interp++) {
        Image image = {17, 11, 3, pixels}, out;
        if (CHECK_OK(image_resize(&image, 17, 11, interp, &out))) {
            CHECK(memcmp(out.pixels, pixels, 17 * 11 * 3) == 0);
            image_release(&out);
        }
        unsigned char flat[17 * 11 * 3];
        memset(flat, 201, sizeof flat);
        Image even = {17, 11, 3, flat};
        if (CHECK_OK(image_resize(&even, 40, 3, interp, &out))) {
            for (int i = 0; i < 40 * 3 * 3; i++)
                CHECK_INT(out.pixels[i], 201);
            image_release(&out);
        }
    }
    free(pixels);
}

/* A window equals the same part of the whole, at any place and ratio. */
TEST(resize_window_is_a_part_of_the_whole)
{
    unsigned char *pixels = draw_picture(61, 45, 3);
    Image image = {61, 45, 3, pixels}, whole, part;
    for (Interp interp = INTERP_NEAREST; interp <= INTERP_OPENCV; interp++) {
        if (!CHECK_OK(image_resize(&image, 33, 70, interp, &whole)) ||
            !CHECK_OK(image_resize_window(&image, 33, 70, interp, 5, 9, 20, 31, &part)))
            break;
        for (int y = 0; y < 31; y++)
            CHECK(memcmp(part.pixels + y * 20 * 3, whole.pixels + ((y + 9) * 33 + 5) * 3, 20 * 3) == 0);
        image_release(&whole);
        image_release(&part);
    }
    CHECK_FAILS(image_resize_window(&image, 33, 70, INTERP_AREA, 20, 0, 14, 70, &part), CODE_DATA, "cannot resize");
    CHECK_FAILS(image_resize(&image, 0, 5, INTERP_BILINEAR, &part), CODE_DATA, "cannot resize");
    free(pixels);
}

/* OpenCV's bilinear by its definition, in double: within 1 of it everywhere, and quite unlike the antialiased one. */
TEST(resize_opencv_looks_at_two_neighbours)
{
    static const int sizes[][2] = {{40, 30}, {20, 9}, {7, 5}, {61, 90}, {200, 45}};
    unsigned char *pixels = draw_picture(61, 45, 3);
    for (int i = 0; i < 61 * 45 * 3; i++)
        pixels[i] = (unsigned char)(pixels[i] / 2 + i * 7919 % 128); /* noise that antialiasing would take away */
    Image image = {61, 45, 3, pixels}, out, smooth;
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        int w = sizes[s][0], h = sizes[s][1], unlike = 0;
        if (!CHECK_OK(image_resize(&image, w, h, INTERP_OPENCV, &out)) ||
            !CHECK_OK(image_resize(&image, w, h, INTERP_BILINEAR, &smooth)))
            break;
        for (int i = 0; i < w * h * 3; i++) {
            double x = fmin(fmax((i / 3 % w + 0.5) * 61 / w - 0.5, 0), 60), y = fmin(fmax((i / 3 / w + 0.5) * 45 / h - 0.5, 0), 44);
            int left = (int)x, top = (int)y, right = MIN(left + 1, 60), bottom = MIN(top + 1, 44);
            double u = x - left, v = y - top;
            const unsigned char *p = pixels + i % 3;
            double expected = (1 - v) * ((1 - u) * p[(top * 61 + left) * 3] + u * p[(top * 61 + right) * 3]) +
                              v * ((1 - u) * p[(bottom * 61 + left) * 3] + u * p[(bottom * 61 + right) * 3]);
            CHECK_NEAR(out.pixels[i], expected, 1);
            unlike += abs(out.pixels[i] - smooth.pixels[i]) > 8;
        }
        CHECK(w > 20 || unlike > w * h / 10); /* where it shrinks by three and more */
        image_release(&out);
        image_release(&smooth);
    }
    free(pixels);
}

TEST(resize_takes_extreme_ratios)
{
    unsigned char *pixels = draw_picture(3000, 2, 3);
    Image image = {3000, 2, 3, pixels}, out;
    if (CHECK_OK(image_resize(&image, 1, 500, INTERP_BICUBIC, &out)))
        image_release(&out);
    if (CHECK_OK(image_resize_window(&image, 384000, 256, INTERP_BILINEAR, 191888, 16, 224, 224, &out))) {
        CHECK_INT(out.width, 224);
        CHECK_INT(out.pixels[0], pixels[1499 * 3]);
        image_release(&out);
    }
    free(pixels);
}

TEST(gray_is_luma_of_601)
{
    static const unsigned char rgb[] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30, 255, 255, 255};
    static const unsigned char gray[] = {76, 150, 29, 18, 255};
    void *pixels;
    if (!CHECK_OK(memory_alloc(sizeof rgb, &pixels)))
        return;
    memcpy(pixels, rgb, sizeof rgb);
    Image image = {5, 1, 3, pixels};
    if (CHECK_OK(image_to_gray(&image))) {
        CHECK_INT(image.channels, 1);
        CHECK(memcmp(image.pixels, gray, sizeof gray) == 0);
    }
    image_release(&image);
}
