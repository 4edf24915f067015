/* pnm.c - PBM, PGM and PPM, as text (P1 P2 P3) and raw (P4 P5 P6), up to 16 bits a sample.
 *
 *     P5 WIDTH HEIGHT MAXVAL one-white-space samples...      '#' begins a comment up to the end of the line
 *
 * Samples are scaled so that MAXVAL becomes 255; in a bitmap 1 is black. Source: the netpbm format pages.
 */
#include "src/image/decoder.h"

#include <string.h>

typedef struct PnmReader {
    const unsigned char *data;
    size_t size, at;
} PnmReader;

static bool is_space(int c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void skip_space(PnmReader *reader)
{
    while (reader->at < reader->size) {
        int c = reader->data[reader->at];
        if (c == '#')
            while (reader->at < reader->size && reader->data[reader->at] != '\n')
                reader->at++;
        else if (is_space(c))
            reader->at++;
        else
            return;
    }
}

/* A decimal number below 10^6; -1 when there is none. */
static int read_number(PnmReader *reader)
{
    skip_space(reader);
    int value = 0, digits = 0;
    while (reader->at < reader->size && reader->data[reader->at] >= '0' && reader->data[reader->at] <= '9') {
        if (++digits > 6)
            return -1;
        value = value * 10 + (reader->data[reader->at++] - '0');
    }
    return digits > 0 ? value : -1;
}

static unsigned char scale_sample(int value, int most)
{
    return (unsigned char)((MIN(value, most) * 255 + most / 2) / most);
}

static Status read_text(PnmReader *reader, bool bitmap, int most, Image *image)
{
    size_t n = (size_t)image->width * (size_t)image->height * (size_t)image->channels;
    for (size_t i = 0; i < n; i++) {
        int value;
        if (bitmap) { /* digits need no space between them */
            skip_space(reader);
            value = reader->at < reader->size ? reader->data[reader->at++] - '0' : -1;
            value = value == 0 || value == 1 ? 1 - value : -1;
        } else {
            value = read_number(reader);
        }
        if (value < 0)
            return status_new(CODE_DATA, "sample %zu of %zu is missing or no number", i, n);
        image->pixels[i] = scale_sample(value, most);
    }
    return NULL;
}

static void read_raw(const unsigned char *in, bool bitmap, int most, Image *image)
{
    size_t width = (size_t)image->width * (size_t)image->channels;
    unsigned char *out = image->pixels;
    for (int y = 0; y < image->height; y++) {
        for (size_t x = 0; x < width; x++) {
            if (bitmap)
                *out++ = in[x / 8] >> (7 - x % 8) & 1 ? 0 : 255;
            else if (most > 255)
                *out++ = scale_sample(in[2 * x] << 8 | in[2 * x + 1], most);
            else
                *out++ = scale_sample(in[x], most);
        }
        in += bitmap ? (width + 7) / 8 : most > 255 ? 2 * width : width;
    }
}

static Status decode(const unsigned char *data, size_t size, Image *ret)
{
    PnmReader reader = {.data = data, .size = size, .at = 2};
    int kind = data[1] - '0';
    bool bitmap = kind == 1 || kind == 4;
    int width = read_number(&reader), height = read_number(&reader), most = bitmap ? 1 : read_number(&reader);
    if (width < 0 || height < 0 || most < 1 || most > 65535)
        return status_new(CODE_DATA, "the header is damaged");
    TRY(image_check_size(width, height));
    if (reader.at >= size || !is_space(data[reader.at]))
        return status_new(CODE_DATA, "the file ends early");
    reader.at++;
    int channels = kind == 3 || kind == 6 ? 3 : 1;
    size_t sample = most > 255 ? 2 : 1;
    size_t line = bitmap ? ((size_t)width + 7) / 8 : (size_t)width * (size_t)channels * sample;
    if (kind >= 4 && (size_t)height * line > size - reader.at)
        return status_new(CODE_DATA, "the file ends early");
    Image image;
    TRY(image_alloc(width, height, channels, &image));
    Status status = NULL;
    if (kind >= 4)
        read_raw(data + reader.at, bitmap, most, &image);
    else
        status = read_text(&reader, bitmap, most, &image);
    if (status != NULL) {
        image_release(&image);
        return status;
    }
    *ret = image;
    return NULL;
}

static bool sniff(const unsigned char *data, size_t size)
{
    return size >= 3 && data[0] == 'P' && data[1] >= '1' && data[1] <= '6' && (is_space(data[2]) || data[2] == '#');
}

const ImageDecoder image_decoder_pnm = {"PNM", sniff, decode};
