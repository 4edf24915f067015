/* image.h - pictures: decoding by content, resizing, gray.
 *
 *     bytes - sniff (magic) - decoder - image_alloc (limits) - pixels - image_orient (EXIF) -> Image
 */
#ifndef QUANTIZE_IMAGE_H
#define QUANTIZE_IMAGE_H

#include "src/base/base.h"

/* 8-bit pixels, interleaved rows. */
typedef struct Image {
    int width, height, channels; /* channels 1 (gray) or 3 (RGB) */
    unsigned char *pixels;       /* memory_alloc'ed */
} Image;

#define IMAGE_SIDE_MAX (1 << 15)
#define IMAGE_PIXELS_MAX 200000000LL

typedef enum Interp { INTERP_NEAREST, INTERP_BILINEAR, INTERP_BICUBIC, INTERP_AREA, INTERP_OPENCV } Interp;

/* JPEG, PNG, WebP, BMP, PNM, uncompressed TIFF by content. CODE_DATA with the reason; sizes are bounded before allocation. */
MUST_USE Status image_decode(const unsigned char *data, size_t size, Image *ret);
MUST_USE Status image_read(const char *path, Image *ret);
/* An image with fresh pixels; refuses sizes beyond the limits above before anything is taken. */
MUST_USE Status image_alloc(int64_t width, int64_t height, int channels, Image *ret);
void image_release(Image *image);
/* Is this the beginning of a picture file: one we read or one we know by name? */
bool image_magic(const unsigned char *data, size_t size);

/* Resizes to width x height with Pillow's antialiased kernels (fixed point, 8 bits a channel); INTERP_OPENCV is OpenCV's
 * bilinear, which is not antialiased. */
MUST_USE Status image_resize(const Image *image, int width, int height, Interp interp, Image *ret);
/* The window (x, y, w, h) of the picture that image_resize would give; only that is computed. */
MUST_USE Status image_resize_window(const Image *image, int width, int height, Interp interp, int x, int y, int w,
                                    int h, Image *ret);
/* Gray from RGB by ITU-R 601-2 luma in Pillow's 16-bit fixed point; consumes and replaces the pixels. */
MUST_USE Status image_to_gray(Image *image);
/* RGB from gray; consumes and replaces the pixels. */
MUST_USE Status image_to_rgb(Image *image);

#endif
