/* image.c - reads a picture file: what it is, its first bytes say, never its name. */
#include "src/image/decoder.h"

#include <string.h>

static const ImageDecoder *const decoders[] = {
    &image_decoder_jpeg, &image_decoder_png, &image_decoder_webp, &image_decoder_bmp, &image_decoder_pnm,
    &image_decoder_tiff,
};

/* Formats that are told apart only to say so. */
typedef struct OtherFormat {
    const char *name;
    size_t offset, length;
    const char *magic;
} OtherFormat;

static const OtherFormat others[] = {
    {"GIF", 0, 4, "GIF8"},          {"AVIF", 4, 8, "ftypavif"},     {"HEIF", 4, 8, "ftypheic"},    {"HEIF", 4, 8, "ftypmif1"},
    {"JPEG XL", 0, 2, "\xff\x0a"},  {"JPEG XL", 4, 4, "JXL "},     {"JPEG 2000", 4, 4, "jP  "},
    {"Photoshop", 0, 4, "8BPS"},    {"OpenEXR", 0, 4, "\x76\x2f\x31\x01"},
};

static const ImageDecoder *find_decoder(const unsigned char *data, size_t size)
{
    for (size_t i = 0; i < COUNT_OF(decoders); i++)
        if (decoders[i]->sniff(data, size))
            return decoders[i];
    return NULL;
}

static const char *find_other(const unsigned char *data, size_t size)
{
    for (size_t i = 0; i < COUNT_OF(others); i++)
        if (size >= others[i].offset + others[i].length &&
            memcmp(data + others[i].offset, others[i].magic, others[i].length) == 0)
            return others[i].name;
    return NULL;
}

Status image_decode(const unsigned char *data, size_t size, Image *ret)
{
    if (size == 0)
        return status_new(CODE_DATA, "the file is empty");
    const ImageDecoder *decoder = find_decoder(data, size);
    if (decoder != NULL)
        return status_prefix(decoder->decode(data, size, ret), "%s", decoder->name);
    const char *other = find_other(data, size);
    if (other != NULL)
        return status_new(CODE_DATA, "%s images are not read; convert it to PNG or JPEG", other);
    return status_new(CODE_DATA, "not an image: it begins like no JPEG, PNG, WebP, BMP, PNM or TIFF file");
}

bool image_magic(const unsigned char *data, size_t size)
{
    return find_decoder(data, size) != NULL || find_other(data, size) != NULL;
}

Status image_check_size(int64_t width, int64_t height)
{
    if (width < 1 || height < 1)
        return status_new(CODE_DATA, "the header gives a size of %lldx%lld", (long long)width, (long long)height);
    if (width > IMAGE_SIDE_MAX || height > IMAGE_SIDE_MAX || width * height > IMAGE_PIXELS_MAX)
        return status_new(CODE_DATA, "the header gives %lldx%lld pixels; the limits are %d a side and %lld in all",
                          (long long)width, (long long)height, IMAGE_SIDE_MAX, IMAGE_PIXELS_MAX);
    return NULL;
}

Status image_alloc(int64_t width, int64_t height, int channels, Image *ret)
{
    void *pixels;
    TRY(image_check_size(width, height));
    TRY(memory_alloc((size_t)width * (size_t)height * (size_t)channels, &pixels));
    *ret = (Image){.width = (int)width, .height = (int)height, .channels = channels, .pixels = pixels};
    return NULL;
}

void image_release(Image *image)
{
    if (image == NULL)
        return;
    memory_free(image->pixels);
    *image = (Image){0};
}

Status image_read(const char *path, Image *ret)
{
    FileMap map;
    TRY(file_map(path, CODE_DATA, &map));
    Status status = status_prefix(image_decode(map.data, map.size, ret), "%s", path);
    file_unmap(&map);
    return status;
}
