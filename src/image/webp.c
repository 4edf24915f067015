/* webp.c - WebP, lossy and lossless, through libwebp. Alpha is dropped as in png.c; of an animation nothing
 * is read.
 *
 *     RIFF size WEBP { fourcc size data padding to even } ...      an EXIF chunk holds the orientation
 */
#include "src/image/decoder.h"

#include <string.h>

#include <webp/decode.h>

static const char *reason_text(VP8StatusCode code)
{
    switch (code) {
    case VP8_STATUS_OUT_OF_MEMORY:
        return "no memory left";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return "unsupported feature (animation?)";
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
        return "the file ends early";
    default:
        return "corrupt data";
    }
}

static uint32_t read_32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int find_orientation(const unsigned char *data, size_t size)
{
    for (size_t at = 12; size - at >= 8;) {
        size_t bytes = read_32(data + at + 4);
        const unsigned char *chunk = data + at + 8;
        size_t left = size - at - 8;
        if (bytes > left)
            return 1;
        if (memcmp(data + at, "EXIF", 4) == 0) {
            size_t skip = bytes >= 6 && memcmp(chunk, "Exif\0\0", 6) == 0 ? 6 : 0; /* some writers keep JPEG's prefix */
            return exif_orientation(chunk + skip, bytes - skip);
        }
        size_t padded = bytes + (bytes & 1);
        if (padded >= left)
            return 1;
        at += 8 + padded;
    }
    return 1;
}

/* An extended file ("VP8X", 4 bytes of length, 4 of flags) gives the size of its canvas, less 1, in two times 3 bytes; a simple
 * one cannot hold more than 16383 pixels a side. */
static Status check_canvas(const unsigned char *data, size_t size)
{
    if (size < 30 || memcmp(data + 12, "VP8X", 4) != 0)
        return NULL;
    return image_check_size((int64_t)(read_32(data + 23) >> 8) + 1, (int64_t)(read_32(data + 26) >> 8) + 1);
}

static Status decode(const unsigned char *data, size_t size, Image *ret)
{
    TRY(check_canvas(data, size));
    /* libwebp itself is content when the last chunk is cut. */
    if (size - 8 < read_32(data + 4))
        return status_new(CODE_DATA, "the file ends early");
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        return status_new(CODE_DATA, "libwebp has another version than it was built for");
    VP8StatusCode code = WebPGetFeatures(data, size, &config.input);
    if (code == VP8_STATUS_OK && config.input.has_animation)
        code = VP8_STATUS_UNSUPPORTED_FEATURE;
    if (code != VP8_STATUS_OK)
        return status_new(CODE_DATA, "%s", reason_text(code));
    Image image;
    TRY(image_alloc(config.input.width, config.input.height, 3, &image));
    int stride = image.width * 3;
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = image.pixels;
    config.output.u.RGBA.stride = stride;
    config.output.u.RGBA.size = (size_t)stride * (size_t)image.height;
    code = WebPDecode(data, size, &config);
    WebPFreeDecBuffer(&config.output);
    Status status = code == VP8_STATUS_OK ? image_orient(&image, find_orientation(data, size))
                                          : status_new(CODE_DATA, "%s", reason_text(code));
    if (status != NULL) {
        image_release(&image);
        return status;
    }
    *ret = image;
    return NULL;
}

static bool sniff(const unsigned char *data, size_t size)
{
    return size >= 12 && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0;
}

const ImageDecoder image_decoder_webp = {"WebP", sniff, decode};
