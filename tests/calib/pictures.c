/* pictures.c - see pictures.h. */
#include "tests/calib/pictures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jpeglib.h>
#include <png.h>
#include <webp/encode.h>

const char *picture_path(const char *name)
{
    static char paths[8][256];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", test_folder(), name);
    for (char *slash = path + strlen(test_folder()) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(path, 0777);
        *slash = '/';
    }
    return path;
}

static FILE *open_new(const char *path)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    return file;
}

void write_file(const char *path, const void *data, size_t bytes)
{
    FILE *file = open_new(path);
    if (bytes > 0 && fwrite(data, 1, bytes, file) != bytes)
        exit(1);
    fclose(file);
}

unsigned char *read_bytes(const char *path, size_t *ret_bytes)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    unsigned char *data = xcalloc((size_t)size + 1, 1);
    *ret_bytes = fread(data, 1, (size_t)size, file);
    fclose(file);
    return data;
}

void write_png(const char *path, int width, int height, int depth, int color_type, bool interlaced,
               const unsigned char *pixels)
{
    FILE *file = open_new(path);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_init_io(png, file);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, depth, color_type,
                 interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (color_type == PNG_COLOR_TYPE_PALETTE) { /* entry i: (10 i, 15 i, 255 - i), half transparent */
        png_color palette[16];
        png_byte alpha[16];
        int n = MIN(1 << depth, 16);
        for (int i = 0; i < n; i++) {
            palette[i] = (png_color){(png_byte)(10 * i), (png_byte)(15 * i), (png_byte)(255 - i)};
            alpha[i] = 128;
        }
        png_set_PLTE(png, info, palette, n);
        png_set_tRNS(png, info, alpha, n, NULL);
    }
    png_write_info(png, info);
    size_t stride = png_get_rowbytes(png, info);
    png_bytep *rows = xcalloc((size_t)height, sizeof rows[0]);
    unsigned char *copy = xcalloc((size_t)height, stride);
    memcpy(copy, pixels, (size_t)height * stride);
    for (int y = 0; y < height; y++)
        rows[y] = copy + (size_t)y * stride;
    png_write_image(png, rows);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    free(rows);
    free(copy);
    fclose(file);
}

static void write_exif(struct jpeg_compress_struct *jpeg, int orientation)
{
    unsigned char exif[] = {'E',  'x',  'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1,
                            0x01, 0x12, 0,   3,   0, 0, 0,   1,   0, 0,  0, 0, 0, 0, 0, 0};
    exif[25] = (unsigned char)orientation;
    jpeg_write_marker(jpeg, JPEG_APP0 + 1, exif, sizeof exif);
}

void write_jpeg(const char *path, int width, int height, int channels, bool progressive, int orientation,
                const unsigned char *pixels)
{
    FILE *file = open_new(path);
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_width = (JDIMENSION)width;
    jpeg.image_height = (JDIMENSION)height;
    jpeg.input_components = channels;
    jpeg.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 100, TRUE);
    if (channels == 4)
        jpeg.write_Adobe_marker = TRUE;
    if (progressive)
        jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    if (orientation != 0)
        write_exif(&jpeg, orientation);
    unsigned char *row = xcalloc((size_t)width, (size_t)channels);
    while (jpeg.next_scanline < jpeg.image_height) {
        memcpy(row, pixels + (size_t)jpeg.next_scanline * (size_t)(width * channels), (size_t)(width * channels));
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    free(row);
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    fclose(file);
}

void write_webp(const char *path, int width, int height, bool lossless, const unsigned char *rgb)
{
    uint8_t *out = NULL;
    size_t bytes = lossless ? WebPEncodeLosslessRGB(rgb, width, height, width * 3, &out)
                            : WebPEncodeRGB(rgb, width, height, width * 3, 95, &out);
    write_file(path, out, bytes);
    WebPFree(out);
}

unsigned char *draw_picture(int width, int height, int channels)
{
    unsigned char *pixels = xcalloc((size_t)(width * height), (size_t)channels), *p = pixels;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++)
                *p++ = (unsigned char)(c == 0 ? 255 * x / width : c == 1 ? 255 * y / height : x > width / 2 ? 200 : 60);
    return pixels;
}
