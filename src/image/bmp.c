/* bmp.c - Windows and OS/2 bitmaps without compression: 1, 4, 8 bits with a palette, 16, 24 and 32 bits.
 *
 *     "BM" size - offset | header size width height planes bits compression ... | masks | palette (B G R 0) | rows
 *
 * Rows are padded to 4 bytes and stand bottom up unless the height is negative. The fourth byte of 32 bits is dropped.
 */
#include "src/image/decoder.h"

#include <string.h>

#define HEADER_CORE 12 /* OS/2: 16-bit sizes, palette of 3 bytes an entry */
#define HEADER_INFO 40

enum { COMPRESSION_NONE = 0, COMPRESSION_RLE8 = 1, COMPRESSION_RLE4 = 2, COMPRESSION_MASKS = 3 };

typedef struct Bitmap {
    int64_t width, height;
    bool top_down;
    unsigned bits;
    uint32_t masks[3];              /* red, green, blue of 16 and 32 bits */
    unsigned char palette[256][3];  /* RGB */
    const unsigned char *rows;
    size_t stride;
} Bitmap;

static uint32_t read_16(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t read_32(const unsigned char *p)
{
    return read_16(p) | read_16(p + 2) << 16;
}

static unsigned char masked(uint32_t pixel, uint32_t mask)
{
    if (mask == 0)
        return 0;
    int low = __builtin_ctz(mask);
    uint64_t most = mask >> low;
    return (unsigned char)(((pixel & mask) >> low) * 255ull / most);
}

static Status read_palette(const unsigned char *data, size_t size, size_t at, size_t entry, size_t offset,
                           Bitmap *bitmap)
{
    size_t n = (size_t)1 << bitmap->bits;
    size_t room = offset > at ? (MIN(offset, size) - MIN(at, size)) / entry : 0;
    n = MIN(n, room);
    if (n == 0)
        return status_new(CODE_DATA, "the palette is missing");
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++)
            bitmap->palette[i][c] = data[at + i * entry + 2 - c];
    return NULL;
}

static Status read_header(const unsigned char *data, size_t size, Bitmap *bitmap)
{
    size_t offset = read_32(data + 10), header = read_32(data + 14);
    if ((header != HEADER_CORE && (header < HEADER_INFO || header > 4096)) || size < 14 + header)
        return status_new(CODE_DATA, "the header is damaged");
    const unsigned char *info = data + 14;
    bool core = header == HEADER_CORE;
    bitmap->width = core ? read_16(info + 4) : (int64_t)(int32_t)read_32(info + 4);
    bitmap->height = core ? read_16(info + 6) : (int64_t)(int32_t)read_32(info + 8);
    bitmap->bits = core ? read_16(info + 10) : read_16(info + 14);
    uint32_t compression = core ? COMPRESSION_NONE : read_32(info + 16);
    bitmap->top_down = bitmap->height < 0;
    if (bitmap->top_down)
        bitmap->height = -bitmap->height;
    TRY(image_check_size(bitmap->width, bitmap->height));
    bool masks = compression == COMPRESSION_MASKS && (bitmap->bits == 16 || bitmap->bits == 32);
    if (compression != COMPRESSION_NONE && !masks)
        return status_new(CODE_DATA, "compression %u is not read; convert it to PNG", (unsigned)compression);
    static const uint32_t masks_16[] = {0x7c00, 0x03e0, 0x001f}, masks_32[] = {0xff0000, 0xff00, 0xff};
    for (int c = 0; c < 3; c++)
        bitmap->masks[c] = bitmap->bits == 16 ? masks_16[c] : masks_32[c];
    if (masks) {
        if (size < 14 + HEADER_INFO + 12)
            return status_new(CODE_DATA, "the file ends early");
        for (size_t c = 0; c < 3; c++)
            bitmap->masks[c] = read_32(info + HEADER_INFO + 4 * c);
    }
    if (bitmap->bits == 1 || bitmap->bits == 4 || bitmap->bits == 8)
        TRY(read_palette(data, size, 14 + header, core ? 3 : 4, offset, bitmap));
    else if (bitmap->bits != 16 && bitmap->bits != 24 && bitmap->bits != 32)
        return status_new(CODE_DATA, "%u bits a pixel are not read", bitmap->bits);
    bitmap->stride = ((size_t)bitmap->width * bitmap->bits + 31) / 32 * 4;
    if (offset > size || bitmap->stride * (size_t)bitmap->height > size - offset)
        return status_new(CODE_DATA, "the file ends early");
    bitmap->rows = data + offset;
    return NULL;
}

static void read_pixel(const Bitmap *bitmap, const unsigned char *row, size_t x, unsigned char *rgb)
{
    switch (bitmap->bits) {
    case 24:
        for (size_t c = 0; c < 3; c++)
            rgb[c] = row[3 * x + 2 - c];
        return;
    case 16:
    case 32: {
        uint32_t pixel = bitmap->bits == 16 ? read_16(row + 2 * x) : read_32(row + 4 * x);
        for (int c = 0; c < 3; c++)
            rgb[c] = masked(pixel, bitmap->masks[c]);
        return;
    }
    default: {
        size_t per_byte = 8 / bitmap->bits;
        unsigned shift = (unsigned)(per_byte - 1 - x % per_byte) * bitmap->bits;
        unsigned index = (unsigned)row[x / per_byte] >> shift & ((1u << bitmap->bits) - 1);
        memcpy(rgb, bitmap->palette[index], 3);
        return;
    }
    }
}

static Status decode(const unsigned char *data, size_t size, Image *ret)
{
    Bitmap bitmap = {0};
    TRY(read_header(data, size, &bitmap));
    Image image;
    TRY(image_alloc(bitmap.width, bitmap.height, 3, &image));
    unsigned char *out = image.pixels;
    for (int y = 0; y < image.height; y++) {
        const unsigned char *row = bitmap.rows + bitmap.stride * (size_t)(bitmap.top_down ? y : image.height - 1 - y);
        for (int x = 0; x < image.width; x++, out += 3)
            read_pixel(&bitmap, row, (size_t)x, out);
    }
    *ret = image;
    return NULL;
}

static bool sniff(const unsigned char *data, size_t size)
{
    return size >= 26 && data[0] == 'B' && data[1] == 'M' && read_32(data + 6) == 0;
}

const ImageDecoder image_decoder_bmp = {"BMP", sniff, decode};
