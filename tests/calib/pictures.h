/* pictures.h - picture files that the tests write themselves, with the libraries that the program reads them with. */
#ifndef QUANTIZE_TESTS_PICTURES_H
#define QUANTIZE_TESTS_PICTURES_H

#include "calib/calib.h"
#include "tests/test.h"

/* test_folder()/name; good for a few calls. Folders in the name are made. */
const char *picture_path(const char *name);
void write_file(const char *path, const void *data, size_t bytes);
/* The file's bytes, malloc'ed. */
unsigned char *read_bytes(const char *path, size_t *ret_bytes);
/* pixels as libpng takes them: rows of width * channels samples, 16-bit ones big-endian, low depths packed. */
void write_png(const char *path, int width, int height, int depth, int color_type, bool interlaced,
               const unsigned char *pixels);
/* channels 1, 3, or 4 (CMYK as stored, with Adobe's marker). orientation 0: no EXIF. */
void write_jpeg(const char *path, int width, int height, int channels, bool progressive, int orientation,
                const unsigned char *pixels);
void write_webp(const char *path, int width, int height, bool lossless, const unsigned char *rgb);
/* Smooth colours with an edge, 3 channels; malloc'ed. */
unsigned char *draw_picture(int width, int height, int channels);

#endif
