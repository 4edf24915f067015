/* decoder.h - what the decoders share inside src/image; the room's public face is image.h. */
#ifndef QUANTIZE_IMAGE_DECODER_H
#define QUANTIZE_IMAGE_DECODER_H

#include "src/image/image.h"

typedef struct ImageDecoder {
    const char *name;                                      /* "JPEG" */
    bool (*sniff)(const unsigned char *data, size_t size); /* by content, whatever the file is called */
    Status (*decode)(const unsigned char *data, size_t size, Image *ret);
} ImageDecoder;

extern const ImageDecoder image_decoder_jpeg, image_decoder_png, image_decoder_webp, image_decoder_bmp,
    image_decoder_pnm, image_decoder_tiff;

/* Refuses a size beyond the limits of image.h, and one of nothing. Decoders ask it as soon as the header tells the size, before
 * they look whether the rest is whole: that a header is absurd says more than that its file is short or its checksum wrong. */
MUST_USE Status image_check_size(int64_t width, int64_t height);

/* exif.c: orientation 1..8 of a TIFF block as JPEG, PNG and WebP carry it ("II*\0..." or "MM\0*..."); 1 when the
 * block does not say or is damaged. */
int exif_orientation(const unsigned char *tiff, size_t size);
/* Turns the pixels so that the picture stands upright; consumes and replaces them. */
MUST_USE Status image_orient(Image *image, int orientation);

#endif
