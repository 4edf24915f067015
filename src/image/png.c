/* png.c - PNG through libpng: every depth, palette and interlacing, made 8-bit gray or RGB.
 *
 * As Pillow's convert('RGB') has it: 16 bits keep their high byte, 1, 2 and 4 bits are spread over 0..255, alpha and
 * tRNS are dropped (not blended), gamma and colour profiles are not applied. (16-bit gray: Pillow clips to 255; a model
 * wants the high byte.)
 */
#include "src/image/decoder.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

/* All that lives across the longjmp is in here, behind a pointer. */
typedef struct PngReader {
    png_structp png;
    png_infop info;
    const unsigned char *data;
    size_t size, at;
    char message[160];
    Status status; /* of our own making, in place of a message */
    Image image;
    png_bytep *rows; /* (height,) */
    int orientation;
} PngReader;

static _Noreturn void on_error(png_structp png, png_const_charp message)
{
    PngReader *reader = png_get_error_ptr(png);
    if (reader->status == NULL)
        snprintf(reader->message, sizeof reader->message, "%s", message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void read_bytes(png_structp png, png_bytep out, size_t n)
{
    PngReader *reader = png_get_io_ptr(png);
    if (n > reader->size - reader->at)
        png_error(png, "the file ends early");
    if (n > 0)
        memcpy(out, reader->data + reader->at, n);
    reader->at += n;
}

static void give_up(PngReader *reader, Status status)
{
    reader->status = status;
    png_error(reader->png, "");
}

static void set_transforms(PngReader *reader)
{
    int type = png_get_color_type(reader->png, reader->info);
    int depth = png_get_bit_depth(reader->png, reader->info);
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(reader->png);
    else if (depth < 8)
        png_set_expand_gray_1_2_4_to_8(reader->png);
    if (depth == 16)
        png_set_strip_16(reader->png);
    png_set_strip_alpha(reader->png);
    png_set_interlace_handling(reader->png);
    png_read_update_info(reader->png, reader->info);
}

static void read_orientation(PngReader *reader)
{
#ifdef PNG_eXIf_SUPPORTED
    png_uint_32 n = 0;
    png_bytep exif = NULL;
    if (png_get_eXIf_1(reader->png, reader->info, &n, &exif) != 0 && exif != NULL)
        reader->orientation = exif_orientation(exif, n);
#endif
}

/* Either comes back normally or jumps to the setjmp of decode(). */
static void read_image(PngReader *reader)
{
    png_set_read_fn(reader->png, reader, read_bytes);
    png_set_user_limits(reader->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* image_check_size has its own, with better words */
    png_read_info(reader->png, reader->info);
    set_transforms(reader);
    png_uint_32 width = png_get_image_width(reader->png, reader->info);
    png_uint_32 height = png_get_image_height(reader->png, reader->info);
    int channels = png_get_channels(reader->png, reader->info);
    size_t stride = (size_t)width * (size_t)channels;
    if ((channels != 1 && channels != 3) || png_get_rowbytes(reader->png, reader->info) != stride)
        png_error(reader->png, "rows of an unexpected form");
    Status status = image_alloc(width, height, channels, &reader->image);
    if (status != NULL)
        give_up(reader, status);
    reader->rows = xcalloc(height, sizeof reader->rows[0]);
    for (png_uint_32 y = 0; y < height; y++)
        reader->rows[y] = reader->image.pixels + y * stride;
    png_read_image(reader->png, reader->rows);
    png_read_end(reader->png, reader->info);
    read_orientation(reader);
}

static uint32_t read_32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

/* Signature (8), length (4), "IHDR", width, height: looked at before libpng, which tells of a wrong checksum first. */
static Status check_header(const unsigned char *data, size_t size)
{
    if (size < 24 || memcmp(data + 12, "IHDR", 4) != 0)
        return NULL; /* libpng tells what is wrong */
    return image_check_size(read_32(data + 16), read_32(data + 20));
}

static Status decode(const unsigned char *data, size_t size, Image *ret)
{
    TRY(check_header(data, size));
    PngReader *reader = xcalloc(1, sizeof *reader);
    reader->data = data;
    reader->size = size;
    reader->orientation = 1;
    reader->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, reader, on_error, on_warning);
    if (reader->png != NULL)
        reader->info = png_create_info_struct(reader->png);
    Status status = NULL;
    if (reader->info == NULL)
        status = status_new(CODE_MEMORY, "libpng cannot start");
    else if (setjmp(png_jmpbuf(reader->png)) == 0)
        read_image(reader);
    else
        status = reader->status != NULL ? reader->status : status_new(CODE_DATA, "%s", reader->message);
    int orientation = reader->orientation;
    png_destroy_read_struct(&reader->png, &reader->info, NULL);
    free(reader->rows);
    if (status == NULL)
        status = image_orient(&reader->image, orientation);
    if (status == NULL)
        *ret = reader->image;
    else
        image_release(&reader->image);
    free(reader);
    return status;
}

/* Also a signature that a transfer as text has damaged (xcrn, xlfn of PngSuite), so that the reason is told. */
static bool sniff(const unsigned char *data, size_t size)
{
    return size >= 4 && memcmp(data, "\x89PNG", 4) == 0;
}

const ImageDecoder image_decoder_png = {"PNG", sniff, decode};
