/* test_image.c - every decoder on pictures the test writes, whole, cut off anywhere, and with bytes changed. */
#include "src/image/decoder.h"
#include "tests/calib/pictures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

/* The pixels equal `expected` within `tolerance`. */
static void check_pixels(const char *path, int width, int height, int channels, const unsigned char *expected,
                         int tolerance)
{
    Image image;
    if (!CHECK_OK(image_read(path, &image)))
        return;
    CHECK_INT(image.width, width);
    CHECK_INT(image.height, height);
    CHECK_INT(image.channels, channels);
    size_t wrong = 0, n = (size_t)width * (size_t)height * (size_t)channels;
    if (image.width == width && image.height == height && image.channels == channels)
        for (size_t i = 0; i < n; i++)
            wrong += abs(image.pixels[i] - expected[i]) > tolerance;
    if (wrong > 0)
        test_fail(__FILE__, __LINE__, "%s: %zu of %zu samples differ", path, wrong, n);
    image_release(&image);
}

static void check_refused(const char *path, const char *part)
{
    Image image = {.width = -7};
    CHECK_FAILS(image_read(path, &image), CODE_DATA, part);
    CHECK_INT(image.width, -7);
}

/* ---- what the formats hold --------------------------------------------------------------------------------------- */

TEST(png_of_every_kind_gives_its_pixels)
{
    enum { W = 13, HEIGHT = 7 };
    const char *path = picture_path("a.png");
    unsigned char *rgb = draw_picture(W, HEIGHT, 3);
    for (int interlaced = 0; interlaced < 2; interlaced++) {
        write_png(path, W, HEIGHT, 8, PNG_COLOR_TYPE_RGB, interlaced, rgb);
        check_pixels(path, W, HEIGHT, 3, rgb, 0);
        write_png(path, W, HEIGHT, 8, PNG_COLOR_TYPE_GRAY, interlaced, rgb);
        check_pixels(path, W, HEIGHT, 1, rgb, 0);

        /* Alpha is dropped, 16 bits keep the high byte. */
        unsigned char rgba[W * HEIGHT * 4], deep[W * HEIGHT * 6], gray_alpha[W * HEIGHT * 2];
        for (int i = 0; i < W * HEIGHT; i++) {
            memcpy(rgba + 4 * i, rgb + 3 * i, 3);
            rgba[4 * i + 3] = (unsigned char)i;
            gray_alpha[2 * i] = rgb[i];
            gray_alpha[2 * i + 1] = (unsigned char)(3 * i);
            for (int c = 0; c < 3; c++) {
                deep[6 * i + 2 * c] = rgb[3 * i + c];
                deep[6 * i + 2 * c + 1] = 255;
            }
        }
        write_png(path, W, HEIGHT, 8, PNG_COLOR_TYPE_RGB_ALPHA, interlaced, rgba);
        check_pixels(path, W, HEIGHT, 3, rgb, 0);
        write_png(path, W, HEIGHT, 8, PNG_COLOR_TYPE_GRAY_ALPHA, interlaced, gray_alpha);
        check_pixels(path, W, HEIGHT, 1, rgb, 0);
        write_png(path, W, HEIGHT, 16, PNG_COLOR_TYPE_RGB, interlaced, deep);
        check_pixels(path, W, HEIGHT, 3, rgb, 0);
    }
    free(rgb);
}

TEST(png_of_low_depth_is_spread_over_the_bytes)
{
    const char *path = picture_path("low.png");
    static const unsigned char packed[] = {0x1b, 0xe4}; /* 00 01 10 11, 11 10 01 00 */
    static const unsigned char two_bits[] = {0, 85, 170, 255, 255, 170, 85, 0};
    write_png(path, 4, 2, 2, PNG_COLOR_TYPE_GRAY, false, packed);
    check_pixels(path, 4, 2, 1, two_bits, 0);
    static const unsigned char one_bit[] = {0, 0, 0, 255, 255, 0, 255, 255};
    write_png(path, 8, 1, 1, PNG_COLOR_TYPE_GRAY, false, packed);
    check_pixels(path, 8, 1, 1, one_bit, 0);
    static const unsigned char four_bits[] = {17, 187};
    write_png(path, 2, 1, 4, PNG_COLOR_TYPE_GRAY, false, packed);
    check_pixels(path, 2, 1, 1, four_bits, 0);
    static const unsigned char palette[] = {0, 0, 255, 10, 15, 254, 20, 30, 253, 30, 45, 252};
    write_png(path, 4, 1, 2, PNG_COLOR_TYPE_PALETTE, false, packed);
    check_pixels(path, 4, 1, 3, palette, 0);
}

TEST(jpeg_of_every_kind_gives_its_pixels)
{
    enum { W = 48, HEIGHT = 32 };
    const char *path = picture_path("a.jpg");
    unsigned char flat[W * HEIGHT * 4];
    for (int progressive = 0; progressive < 2; progressive++) {
        for (int i = 0; i < W * HEIGHT; i++)
            memcpy(flat + 3 * i, (unsigned char[]){200, 30, 90}, 3);
        write_jpeg(path, W, HEIGHT, 3, progressive, 0, flat);
        check_pixels(path, W, HEIGHT, 3, flat, 2);
        unsigned char *gray = draw_picture(W, HEIGHT, 1);
        write_jpeg(path, W, HEIGHT, 1, progressive, 0, gray);
        check_pixels(path, W, HEIGHT, 1, gray, 2);
        free(gray);

        /* Inverted inks as Adobe stores them: 255 no ink. Red = C * K / 255. */
        unsigned char rgb[W * HEIGHT * 3];
        for (int i = 0; i < W * HEIGHT; i++) {
            memcpy(flat + 4 * i, (unsigned char[]){255, 102, 0, 200}, 4);
            memcpy(rgb + 3 * i, (unsigned char[]){200, 80, 0}, 3);
        }
        write_jpeg(path, W, HEIGHT, 4, progressive, 0, flat);
        check_pixels(path, W, HEIGHT, 3, rgb, 2);
    }
}

/* A picture with one bright quarter, top left as stored: where it must stand for each orientation. */
TEST(jpeg_is_turned_as_its_exif_says)
{
    enum { W = 32, HEIGHT = 16 };
    static const int bright[9][2] = {{0, 0}, {0, 0}, {1, 0}, {1, 1}, {0, 1}, {0, 0}, {1, 0}, {1, 1}, {0, 1}};
    unsigned char gray[W * HEIGHT];
    for (int i = 0; i < W * HEIGHT; i++)
        gray[i] = i % W < W / 2 && i / W < HEIGHT / 2 ? 250 : 10;
    for (int orientation = 1; orientation <= 8; orientation++) {
        const char *path = picture_path("turned.jpg");
        write_jpeg(path, W, HEIGHT, 1, false, orientation, gray);
        Image image;
        if (!CHECK_OK(image_read(path, &image)))
            continue;
        CHECK_INT(image.width, orientation >= 5 ? HEIGHT : W);
        CHECK_INT(image.height, orientation >= 5 ? W : HEIGHT);
        for (int right = 0; right < 2; right++) {
            for (int low = 0; low < 2; low++) {
                int x = image.width / 4 + right * image.width / 2, y = image.height / 4 + low * image.height / 2;
                bool lit = bright[orientation][0] == right && bright[orientation][1] == low;
                CHECK_NEAR(image.pixels[y * image.width + x], lit ? 250 : 10, 3);
            }
        }
        image_release(&image);
    }
}

TEST(exif_orientation_survives_damage)
{
    static const unsigned char good[] = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0};
    CHECK_INT(exif_orientation(good, sizeof good), 6);
    for (size_t n = 0; n < sizeof good - 2; n++) {
        unsigned char *cut = xcalloc(n + 1, 1); /* its own block, so that reading beyond is seen */
        memcpy(cut, good, n);
        unsigned char *exact = realloc(cut, MAX(n, 1));
        CHECK_INT(exif_orientation(exact, n), 1);
        free(exact);
    }
    unsigned char odd[sizeof good];
    memcpy(odd, good, sizeof good);
    odd[18] = 9;
    CHECK_INT(exif_orientation(odd, sizeof odd), 1);
    memset(odd + 4, 0xff, 4);
    CHECK_INT(exif_orientation(odd, sizeof odd), 1);
}

TEST(webp_gives_its_pixels)
{
    enum { W = 40, HEIGHT = 30 };
    const char *path = picture_path("a.webp");
    unsigned char *rgb = draw_picture(W, HEIGHT, 3);
    write_webp(path, W, HEIGHT, true, rgb);
    check_pixels(path, W, HEIGHT, 3, rgb, 0);
    memset(rgb, 120, W * HEIGHT * 3);
    write_webp(path, W, HEIGHT, false, rgb);
    check_pixels(path, W, HEIGHT, 3, rgb, 3);
    free(rgb);
}

TEST(pnm_gives_its_pixels)
{
    const char *path = picture_path("a.ppm");
    static const struct {
        const char *bytes;
        size_t n;
        int width, height, channels;
        unsigned char pixels[6];
    } cases[] = {
        {"P6\n# made by hand\n2 1\n255\n\1\2\3\xff\xfe\xfd", 32, 2, 1, 3, {1, 2, 3, 255, 254, 253}},
        {"P5 3 1 15 \x0f\x05\0", 13, 3, 1, 1, {255, 85, 0}},
        {"P5 1 2 65535\n\xff\xff\x80\0", 17, 1, 2, 1, {255, 128}},
        {"P2 2 2 4\n0 1\n2 4\n", 17, 2, 2, 1, {0, 64, 128, 255}},
        {"P3 1 1 255\n7 8 9", 16, 1, 1, 3, {7, 8, 9}},
        {"P1 3 2 1 0 1 011", 16, 3, 2, 1, {0, 255, 0, 255, 0, 0}},
        {"P4 3 2\n\xa0\x60", 9, 3, 2, 1, {0, 255, 0, 255, 0, 0}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        write_file(path, cases[i].bytes, cases[i].n);
        check_pixels(path, cases[i].width, cases[i].height, cases[i].channels, cases[i].pixels, 0);
        write_file(path, cases[i].bytes, cases[i].n - 1);
        if (cases[i].bytes[1] > '3')
            check_refused(path, "ends early");
    }
}

static void put_32(unsigned char *p, int32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)((uint32_t)value >> 8 * i);
}

/* A bitmap of 40 header bytes behind the 14 of the file; palette and rows as given. */
static size_t make_bmp(unsigned char *out, int32_t width, int32_t height, int bits, const void *rest, size_t palette,
                       size_t rows)
{
    memset(out, 0, 54);
    memcpy(out, "BM", 2);
    put_32(out + 10, (int32_t)(54 + palette));
    put_32(out + 14, 40);
    put_32(out + 18, width);
    put_32(out + 22, height);
    out[26] = 1;
    out[28] = (unsigned char)bits;
    memcpy(out + 54, rest, palette + rows);
    return 54 + palette + rows;
}

TEST(bmp_gives_its_pixels)
{
    const char *path = picture_path("a.bmp");
    unsigned char file[256];
    /* 2 x 2, bottom row first, rows padded to 8 bytes. */
    static const unsigned char rows[] = {7, 8, 9, 10, 11, 12, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0};
    static const unsigned char upright[] = {3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10};
    static const unsigned char flipped[] = {9, 8, 7, 12, 11, 10, 3, 2, 1, 6, 5, 4};
    size_t n = make_bmp(file, 2, 2, 24, rows, 0, sizeof rows);
    write_file(path, file, n);
    check_pixels(path, 2, 2, 3, upright, 0);
    write_file(path, file, n - 1);
    check_refused(path, "ends early");
    n = make_bmp(file, 2, -2, 24, rows, 0, sizeof rows);
    write_file(path, file, n);
    check_pixels(path, 2, 2, 3, flipped, 0);

    static const unsigned char palette[] = {1, 2, 3, 0, 4, 5, 6, 0, 0x40, 0, 0, 0}; /* B G R 0 each, then bits 0 1 */
    static const unsigned char indexed[] = {3, 2, 1, 6, 5, 4};
    n = make_bmp(file, 2, 1, 1, palette, 8, 4);
    write_file(path, file, n);
    check_pixels(path, 2, 1, 3, indexed, 0);
    static const unsigned char deep[] = {1, 2, 3, 99, 4, 5, 6, 99};
    n = make_bmp(file, 2, 1, 32, deep, 0, 8);
    write_file(path, file, n);
    check_pixels(path, 2, 1, 3, indexed, 0);
    n = make_bmp(file, 70000, 70000, 24, rows, 0, sizeof rows);
    write_file(path, file, n);
    check_refused(path, "70000x70000");
}

/* ---- what must be refused ---------------------------------------------------------------------------------------- */

/* Cut at every place (a step keeps long files quick): never read as a picture, never a crash. */
static void check_cuts(const char *path, const char *cut_path)
{
    size_t size;
    unsigned char *bytes = read_bytes(path, &size);
    for (size_t n = 0; n < size; n += n < 200 || n + 20 > size ? 1 : 37) {
        write_file(cut_path, bytes, n);
        check_refused(cut_path, NULL);
    }
    free(bytes);
}

/* Bytes changed at fixed-seed places: read or refused, but no crash and no leak. */
static void check_changes(const char *path, const char *changed_path)
{
    size_t size;
    unsigned char *bytes = read_bytes(path, &size);
    uint64_t state = 0x9e3779b97f4a7c15u;
    int refused = 0;
    for (int round = 0; round < 300; round++) {
        unsigned char *changed = xcalloc(size, 1);
        memcpy(changed, bytes, size);
        for (int k = 0; k < 1 + round % 4; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            changed[(state >> 33) % (round % 2 == 0 ? size : MIN(size, 120))] = (unsigned char)(state >> 25);
        }
        write_file(changed_path, changed, size);
        Image image;
        Status status = image_read(changed_path, &image);
        if (status == NULL)
            image_release(&image);
        refused += status != NULL;
        CHECK(status == NULL || status_code(status) == CODE_DATA);
        status_free(status);
        free(changed);
    }
    CHECK(refused > 0);
    free(bytes);
}

TEST(damaged_pictures_are_refused_and_never_crash)
{
    enum { W = 40, HEIGHT = 30 };
    unsigned char *rgb = draw_picture(W, HEIGHT, 3), *cmyk = draw_picture(W, HEIGHT, 4);
    const char *path = picture_path("whole"), *cut = picture_path("cut");
    for (int kind = 0; kind < 7; kind++) {
        if (kind < 2)
            write_png(path, W, HEIGHT, 8, PNG_COLOR_TYPE_RGB, kind == 1, rgb);
        else if (kind < 4)
            write_jpeg(path, W, HEIGHT, 3, kind == 3, 6, rgb);
        else if (kind == 4)
            write_jpeg(path, W, HEIGHT, 4, false, 0, cmyk);
        else
            write_webp(path, W, HEIGHT, kind == 6, rgb);
        check_cuts(path, cut);
        check_changes(path, cut);
    }
    free(rgb);
    free(cmyk);
}

/* A 2 x 2 picture in two strips, the pixels before the directory; little-endian or big-endian numbers. */
static size_t make_tiff(unsigned char *file, bool big, int samples, int photometric, int compression,
                        const unsigned char *pixels)
{
    enum { PIXELS_AT = 8, STRIPS_AT = 40, DIRECTORY_AT = 48, ENTRIES = 8 };
    const unsigned stride = 2 * (unsigned)samples;
    const unsigned tags[ENTRIES][3] = {{256, 1, 2}, {257, 1, 2}, {258, 1, 8}, {259, 1, (unsigned)compression},
                                       {262, 1, (unsigned)photometric}, {273, 2, STRIPS_AT}, {277, 1, (unsigned)samples},
                                       {278, 1, 1}};
    size_t at = DIRECTORY_AT;
    memset(file, 0, 256);
    memcpy(file, big ? "MM\0*" : "II*\0", 4);
    memcpy(file + PIXELS_AT, pixels, 2 * stride);
#define PUT(where, number, bytes)                                                                                      \
    for (size_t b = 0; b < (bytes); b++)                                                                               \
        file[(where) + b] = (unsigned char)((unsigned)(number) >> 8 * (big ? (bytes) - 1 - b : b))
    PUT(4, DIRECTORY_AT, 4u);
    PUT(STRIPS_AT, PIXELS_AT, 4u);
    PUT(STRIPS_AT + 4, PIXELS_AT + stride, 4u);
    PUT(at, ENTRIES, 2u);
    at += 2;
    for (int i = 0; i < ENTRIES; i++, at += 12) {
        bool wide = tags[i][0] == 273; /* LONG, the others SHORT */
        PUT(at, tags[i][0], 2u);
        PUT(at + 2, wide ? 4u : 3u, 2u);
        PUT(at + 4, tags[i][1], 4u);
        PUT(at + 8, tags[i][2], wide ? 4u : 2u);
    }
#undef PUT
    return at;
}

TEST(tiff_gives_its_pixels)
{
    static const unsigned char rgb[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, gray[] = {5, 6, 7, 8},
                               inverted[] = {250, 249, 248, 247}, gray_alpha[] = {5, 99, 6, 99, 7, 99, 8, 99};
    const char *path = picture_path("a.tif"), *cut = picture_path("cut.tif");
    unsigned char file[256];

    for (int big = 0; big < 2; big++) {
        write_file(path, file, make_tiff(file, big == 1, 3, 2, 1, rgb));
        check_pixels(path, 2, 2, 3, rgb, 0);
        check_cuts(path, cut);
        check_changes(path, cut);
        write_file(path, file, make_tiff(file, big == 1, 1, 1, 1, gray));
        check_pixels(path, 2, 2, 1, gray, 0);
        write_file(path, file, make_tiff(file, big == 1, 1, 0, 1, gray));
        check_pixels(path, 2, 2, 1, inverted, 0);
        write_file(path, file, make_tiff(file, big == 1, 2, 1, 1, gray_alpha));
        check_pixels(path, 2, 2, 1, gray, 0);
    }
    write_file(path, file, make_tiff(file, false, 3, 2, 5, rgb));
    check_refused(path, "compression 5");
}

TEST(content_counts_not_the_name)
{
    const char *path = picture_path("really-a-jpeg.png");
    unsigned char gray[64];
    memset(gray, 77, sizeof gray);
    write_jpeg(path, 8, 8, 1, false, 0, gray);
    check_pixels(path, 8, 8, 1, gray, 1);
    write_file(path, "just some text that is no picture", 33);
    check_refused(path, "not an image");
    write_file(path, "", 0);
    check_refused(path, "empty");
    write_file(path, "GIF89a\1\0\1\0", 10);
    check_refused(path, "GIF images are not read");
    check_refused(picture_path("is-not-there.png"), "is-not-there.png");
}

/* Sets two numbers of `bytes` bytes in a file. */
static void patch_size(const char *path, size_t width_at, size_t height_at, int bytes, uint32_t value, bool big)
{
    size_t size;
    unsigned char *file = read_bytes(path, &size);
    for (int k = 0; k < bytes; k++) {
        unsigned char byte = (unsigned char)(value >> 8 * (big ? bytes - 1 - k : k));
        file[width_at + (size_t)k] = byte;
        file[height_at + (size_t)k] = byte;
    }
    write_file(path, file, size);
    free(file);
}

/* 60,000 x 60,000 in each format's header, with 8 x 8 pixels behind it (or none): refused for its size - before a checksum is
 * found to be wrong or the file to be short, and before memory is taken. */
TEST(absurd_sizes_are_refused_before_memory_is_taken)
{
    const char *path = picture_path("huge");
    unsigned char pixels[8 * 8 * 3] = {0}, file[256];
    size_t before = memory_in_use(), size;
    static const char *const pnms[] = {"P1 60000 60000 1 0 1", "P2 60000 60000 255\n1 2 3", "P3 60000 60000 255\n1 2 3",
                                       "P4 60000 60000\n", "P5 60000 60000 255\n", "P6 60000 60000 65535\nabc"};
    for (int kind = 0; kind < 6 + (int)COUNT_OF(pnms); kind++) {
        if (kind == 0) { /* its checksum is not set anew */
            write_png(path, 8, 8, 8, PNG_COLOR_TYPE_GRAY, false, pixels);
            patch_size(path, 16, 20, 4, 60000, true);
        } else if (kind <= 2) {
            write_jpeg(path, 8, 8, 3, kind == 2, 0, pixels);
            unsigned char *jpeg = read_bytes(path, &size);
            size_t at = 2; /* segments: ff, marker, length; SOF0 or SOF2: precision, height, width */
            while (at + 9 < size && jpeg[at + 1] != 0xc0 && jpeg[at + 1] != 0xc2)
                at += 2 + ((size_t)jpeg[at + 2] << 8 | jpeg[at + 3]);
            free(jpeg);
            patch_size(path, at + 5, at + 7, 2, 60000, true);
        } else if (kind == 3) {
            write_file(path, file, make_bmp(file, 60000, -60000, 24, pixels, 0, 192));
        } else if (kind == 4) {
            write_file(path, file, make_tiff(file, false, 3, 2, 1, pixels));
            patch_size(path, 48 + 2 + 8, 48 + 2 + 12 + 8, 2, 60000, false);
        } else if (kind == 5) { /* 59999 as 3 bytes each */
            write_file(path, "RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0\x5f\xea\0\x5f\xea\0", 30);
        } else {
            write_file(path, pnms[kind - 6], strlen(pnms[kind - 6]));
        }
        check_refused(path, "the header gives 60000x60000 pixels; the limits are 32768 a side and 200000000 in all");
    }
    write_png(path, 8, 8, 8, PNG_COLOR_TYPE_GRAY, false, pixels);
    patch_size(path, 16, 20, 4, 32000, true); /* each side is fine, all of it is not */
    check_refused(path, "the header gives 32000x32000 pixels");
    CHECK_INT(memory_in_use(), before);
}
