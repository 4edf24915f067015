/* exif.c - the orientation that a camera noted, and pixels turned by it.
 *
 *     1 upright      2 mirrored       3 half turn      4 flipped top to bottom
 *     5 transposed   6 needs 90 cw    7 transverse     8 needs 90 ccw
 *
 * Source: Exif 2.3 / TIFF 6.0: byte order, 42, offset of IFD0; IFD = count, entries of 12 bytes (tag, type, count,
 * value).
 */
#include "src/image/decoder.h"

#define TAG_ORIENTATION 0x0112
#define TYPE_SHORT 3

static unsigned read_16(const unsigned char *p, bool big)
{
    return big ? (unsigned)p[0] << 8 | p[1] : (unsigned)p[1] << 8 | p[0];
}

static uint32_t read_32(const unsigned char *p, bool big)
{
    return big ? (uint32_t)read_16(p, big) << 16 | read_16(p + 2, big)
               : (uint32_t)read_16(p + 2, big) << 16 | read_16(p, big);
}

int exif_orientation(const unsigned char *tiff, size_t size)
{
    if (size < 8 || tiff[0] != tiff[1] || (tiff[0] != 'I' && tiff[0] != 'M'))
        return 1;
    bool big = tiff[0] == 'M';
    size_t at = read_32(tiff + 4, big);
    if (read_16(tiff + 2, big) != 42 || at > size - 2)
        return 1;
    unsigned entries = read_16(tiff + at, big);
    at += 2;
    for (unsigned i = 0; i < entries && size - at >= 12; i++, at += 12) {
        if (read_16(tiff + at, big) != TAG_ORIENTATION)
            continue;
        unsigned value = read_16(tiff + at + 8, big);
        return read_16(tiff + at + 2, big) == TYPE_SHORT && value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

Status image_orient(Image *image, int orientation)
{
    if (orientation <= 1 || orientation > 8)
        return NULL;
    bool swap = orientation >= 5;
    Image turned;
    TRY(image_alloc(swap ? image->height : image->width, swap ? image->width : image->height, image->channels,
                    &turned));
    /* Where the pixel of the new picture comes from: mirrored along the old x, old y. */
    bool mirror_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool mirror_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    size_t channels = (size_t)image->channels;
    unsigned char *out = turned.pixels;
    for (int y = 0; y < turned.height; y++) {
        for (int x = 0; x < turned.width; x++) {
            int old_x = swap ? y : x, old_y = swap ? x : y;
            if (mirror_x)
                old_x = image->width - 1 - old_x;
            if (mirror_y)
                old_y = image->height - 1 - old_y;
            const unsigned char *in = image->pixels + ((size_t)old_y * (size_t)image->width + (size_t)old_x) * channels;
            for (size_t c = 0; c < channels; c++)
                *out++ = in[c];
        }
    }
    image_release(image);
    *image = turned;
    return NULL;
}
