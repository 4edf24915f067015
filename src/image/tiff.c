/* tiff.c - TIFF as cameras and Pillow write it when nothing is compressed: strips of 8-bit gray or RGB.
 *
 *     "II" 42 offset | n entries: tag type count value-or-offset | ... strips of whole rows, anywhere in the file
 *
 * TIFF 6.0, part 1. Of a file with many pages the first is read; further samples of a pixel (alpha) are dropped.
 */
#include "src/image/decoder.h"

#include <string.h>

enum {
    TAG_WIDTH = 256, TAG_HEIGHT = 257, TAG_BITS = 258, TAG_COMPRESSION = 259, TAG_PHOTOMETRIC = 262, TAG_STRIPS = 273,
    TAG_SAMPLES = 277, TAG_ROWS = 278, TAG_PLANAR = 284
};
enum { WHITE_IS_ZERO, BLACK_IS_ZERO, RGB };
enum { TYPE_SHORT = 3, TYPE_LONG = 4 };
enum { ENTRY_BYTES = 12 };

typedef struct Tiff {
    const unsigned char *data;
    size_t size;
    bool big; /* endian */
    size_t entries;
    uint32_t n_entries;
} Tiff;

static uint32_t read_number(const Tiff *tiff, size_t at, int bytes)
{
    uint32_t number = 0;
    for (int i = 0; i < bytes; i++)
        number |= (uint32_t)tiff->data[at + (size_t)i] << 8 * (tiff->big ? bytes - 1 - i : i);
    return number;
}

static Status open_directory(const unsigned char *data, size_t size, Tiff *ret)
{
    Tiff tiff = {.data = data, .size = size, .big = data[0] == 'M'};
    size_t at = read_number(&tiff, 4, 4);
    if (size < 8 + 2 || at > size - 2)
        return status_new(CODE_DATA, "the file ends early");
    tiff.n_entries = read_number(&tiff, at, 2);
    tiff.entries = at + 2;
    if ((size - tiff.entries) / ENTRY_BYTES < tiff.n_entries)
        return status_new(CODE_DATA, "the file ends early");
    *ret = tiff;
    return NULL;
}

/* Number i of a tag; `otherwise` when the file has no such tag. */
static Status read_tag(const Tiff *tiff, unsigned tag, uint32_t i, uint32_t otherwise, uint32_t *ret)
{
    *ret = otherwise;
    for (uint32_t e = 0; e < tiff->n_entries; e++) {
        size_t at = tiff->entries + (size_t)e * ENTRY_BYTES;
        if (read_number(tiff, at, 2) != tag)
            continue;
        uint32_t type = read_number(tiff, at + 2, 2), count = read_number(tiff, at + 4, 4);
        size_t bytes = type == TYPE_SHORT ? 2 : 4, from = at + 8;
        if ((type != TYPE_SHORT && type != TYPE_LONG) || i >= count)
            return status_new(CODE_DATA, "tag %u has no number %u", tag, (unsigned)i);
        if (count * (uint64_t)bytes > 4)
            from = read_number(tiff, from, 4);
        if (from > tiff->size || (tiff->size - from) / bytes <= i)
            return status_new(CODE_DATA, "the file ends early");
        *ret = read_number(tiff, from + i * bytes, (int)bytes);
        return NULL;
    }
    return NULL;
}

/* The pixels of one row: `samples` bytes a pixel in, image->channels out. */
static void copy_row(const unsigned char *from, uint32_t samples, bool inverted, const Image *image, int64_t row)
{
    size_t channels = (size_t)image->channels;
    unsigned char *to = image->pixels + (size_t)row * (size_t)image->width * channels;
    for (int x = 0; x < image->width; x++, from += samples, to += channels)
        for (size_t c = 0; c < channels; c++)
            to[c] = inverted ? (unsigned char)(255 - from[c]) : from[c];
}

static Status copy_strips(const Tiff *tiff, uint32_t samples, bool inverted, const Image *image)
{
    uint32_t rows, at;
    size_t stride = (size_t)image->width * samples;
    TRY(read_tag(tiff, TAG_ROWS, 0, UINT32_MAX, &rows));
    if (rows == 0)
        return status_new(CODE_DATA, "strips have no rows");
    for (int64_t row = 0; row < image->height; row++) {
        TRY(read_tag(tiff, TAG_STRIPS, (uint32_t)(row / rows), UINT32_MAX, &at));
        size_t skip = (size_t)(row % rows) * stride;
        if (at > tiff->size || tiff->size - at < skip + stride)
            return status_new(CODE_DATA, "the file ends early");
        copy_row(tiff->data + at + skip, samples, inverted, image, row);
    }
    return NULL;
}

static Status decode(const unsigned char *data, size_t size, Image *ret)
{
    Tiff tiff;
    uint32_t width, height, bits, compression, photometric, samples, planar;
    TRY(open_directory(data, size, &tiff));
    TRY(read_tag(&tiff, TAG_WIDTH, 0, 0, &width));
    TRY(read_tag(&tiff, TAG_HEIGHT, 0, 0, &height));
    TRY(image_check_size(width, height));
    TRY(read_tag(&tiff, TAG_BITS, 0, 1, &bits));
    TRY(read_tag(&tiff, TAG_COMPRESSION, 0, 1, &compression));
    TRY(read_tag(&tiff, TAG_PHOTOMETRIC, 0, BLACK_IS_ZERO, &photometric));
    TRY(read_tag(&tiff, TAG_SAMPLES, 0, 1, &samples));
    TRY(read_tag(&tiff, TAG_PLANAR, 0, 1, &planar));
    int channels = photometric == RGB ? 3 : 1;
    if (compression != 1 || bits != 8 || planar != 1 || photometric > RGB || samples < (uint32_t)channels || samples > 8)
        return status_new(CODE_DATA, "only uncompressed 8-bit gray and RGB are read (compression %u, %u bits, photometric "
                          "%u); convert it to PNG", (unsigned)compression, (unsigned)bits, (unsigned)photometric);
    Image image;
    TRY(image_alloc(width, height, channels, &image));
    Status status = copy_strips(&tiff, samples, photometric == WHITE_IS_ZERO, &image);
    if (status == NULL)
        status = image_orient(&image, exif_orientation(data, size));
    if (status != NULL) {
        image_release(&image);
        return status;
    }
    *ret = image;
    return NULL;
}

static bool sniff(const unsigned char *data, size_t size)
{
    return size >= 8 && (memcmp(data, "II*\0", 4) == 0 || memcmp(data, "MM\0*", 4) == 0);
}

const ImageDecoder image_decoder_tiff = {"TIFF", sniff, decode};
