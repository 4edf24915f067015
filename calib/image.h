/* image.h - what the decoders and the resizer share inside calib/; the room's public face is calib.h.
 *
 *     bytes - sniff (magic) - decoder - image_alloc (limits) - pixels - image_orient (EXIF) -> Image
 */
#ifndef QUANTIZE_CALIB_IMAGE_H
#define QUANTIZE_CALIB_IMAGE_H

#include "calib/calib.h"

#define IMAGE_SIDE_MAX (1 << 15)
#define IMAGE_PIXELS_MAX 200000000LL

typedef struct ImageDecoder {
    const char *name;                                      /* "JPEG" */
    bool (*sniff)(const unsigned char *data, size_t size); /* by content, whatever the file is called */
    Status (*decode)(const unsigned char *data, size_t size, Image *ret);
} ImageDecoder;

extern const ImageDecoder image_decoder_jpeg, image_decoder_png, image_decoder_webp, image_decoder_bmp,
    image_decoder_pnm;

/* An image with fresh pixels; refuses sizes beyond the limits above before anything is taken. */
MUST_USE Status image_alloc(int64_t width, int64_t height, int channels, Image *ret);
/* Is this the beginning of a picture file: one we read or one we know by name? */
bool image_magic(const unsigned char *data, size_t size);

/* image_exif.c: orientation 1..8 of a TIFF block as JPEG, PNG and WebP carry it ("II*\0..." or "MM\0*..."); 1 when the
 * block does not say or is damaged. */
int exif_orientation(const unsigned char *tiff, size_t size);
/* Turns the pixels so that the picture stands upright; consumes and replaces them. */
MUST_USE Status image_orient(Image *image, int orientation);

/* image_resize.c: the window (x, y, w, h) of the picture that image_resize would give; only that is computed. */
MUST_USE Status image_resize_window(const Image *image, int width, int height, Interp interp, int x, int y, int w,
                                    int h, Image *ret);
/* Gray from RGB by ITU-R 601-2 luma in Pillow's 16-bit fixed point; consumes and replaces the pixels. */
MUST_USE Status image_to_gray(Image *image);

#endif
