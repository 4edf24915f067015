/* jpeg.c - JPEG through libjpeg-turbo: baseline and progressive, gray, YCbCr, CMYK and YCCK, EXIF orientation.
 *
 * The exact integer transform (JDCT_ISLOW) and the smooth chroma upsampling that Pillow uses too, so that a picture has
 * the numbers a model was trained on. A file that ends early or holds codes that cannot be is refused, not filled up
 * with gray.
 */
#include "src/image/decoder.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

/* A progressive file may repeat its scans without end; real ones have about ten. */
#define SCANS_MAX 500

/* All that lives across the longjmp is in here, behind a pointer: no local changes between setjmp and longjmp. */
typedef struct JpegReader {
    struct jpeg_decompress_struct jpeg; /* first: libjpeg hands back its address */
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    char message[JMSG_LENGTH_MAX];
    Image image;
    unsigned char *row; /* (width, 4) of a CMYK line */
    int orientation;
    Status status;      /* of our own making, in place of a message */
} JpegReader;

static _Noreturn void fail(j_common_ptr jpeg)
{
    JpegReader *reader = (JpegReader *)(void *)jpeg;
    if (reader->status == NULL)
        jpeg->err->format_message(jpeg, reader->message);
    longjmp(reader->jump, 1);
}

static void on_message(j_common_ptr jpeg, int level)
{
    if (level >= 0)
        return;
    switch (jpeg->err->msg_code) {
    case JWRN_JPEG_EOF:        /* the file ends early */
    case JWRN_HIT_MARKER:      /* a scan ends early */
    case JWRN_HUFF_BAD_CODE:   /* no such code */
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:     /* restart markers out of order */
        fail(jpeg);
    default:                   /* stray bytes between segments, odd but harmless headers */
        break;
    }
}

static void no_output(j_common_ptr jpeg)
{
    (void)jpeg;
}

static void on_progress(j_common_ptr jpeg)
{
    JpegReader *reader = (JpegReader *)(void *)jpeg;
    if (reader->jpeg.input_scan_number <= SCANS_MAX)
        return;
    reader->status = status_new(CODE_DATA, "more than %d scans", SCANS_MAX);
    fail(jpeg);
}

static int find_orientation(const struct jpeg_decompress_struct *jpeg)
{
    for (jpeg_saved_marker_ptr marker = jpeg->marker_list; marker != NULL; marker = marker->next)
        if (marker->marker == JPEG_APP0 + 1 && marker->data_length > 6 && memcmp(marker->data, "Exif\0\0", 6) == 0)
            return exif_orientation(marker->data + 6, marker->data_length - 6);
    return 1;
}

static unsigned char scale_255(unsigned a, unsigned b)
{
    unsigned t = a * b + 128;
    return (unsigned char)((t + (t >> 8)) >> 8);
}

/* Files hold the inks inverted, 255 = no ink (Adobe's habit, which Pillow takes for granted): red is C * K / 255. */
static void rgb_from_inverted_cmyk(const unsigned char *cmyk, int width, unsigned char *rgb)
{
    for (int x = 0; x < width; x++, cmyk += 4, rgb += 3)
        for (int c = 0; c < 3; c++)
            rgb[c] = (unsigned char)(cmyk[3] - scale_255(255u - cmyk[c], cmyk[3]));
}

static void read_rows(JpegReader *reader)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    size_t stride = (size_t)reader->image.width * (size_t)reader->image.channels;
    while (jpeg->output_scanline < jpeg->output_height) {
        unsigned char *out = reader->image.pixels + (size_t)jpeg->output_scanline * stride;
        JSAMPROW row = reader->row != NULL ? reader->row : out;
        if (jpeg_read_scanlines(jpeg, &row, 1) == 1 && reader->row != NULL)
            rgb_from_inverted_cmyk(reader->row, reader->image.width, out);
    }
}

/* Either comes back normally or jumps to the setjmp of decode(). */
static void read_image(JpegReader *reader, const unsigned char *data, size_t size)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    jpeg_create_decompress(jpeg);
    reader->progress.progress_monitor = on_progress;
    jpeg->progress = &reader->progress;
    jpeg_mem_src(jpeg, data, (unsigned long)size);
    jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(jpeg, TRUE);
    reader->orientation = find_orientation(jpeg); /* jpeg_finish_decompress forgets the markers */

    bool cmyk = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
    bool gray = jpeg->jpeg_color_space == JCS_GRAYSCALE;
    jpeg->out_color_space = cmyk ? JCS_CMYK : gray ? JCS_GRAYSCALE : JCS_RGB;
    jpeg->dct_method = JDCT_ISLOW;
    jpeg->do_fancy_upsampling = TRUE;
    reader->status = image_alloc(jpeg->image_width, jpeg->image_height, gray ? 1 : 3, &reader->image);
    if (reader->status == NULL && cmyk) {
        void *row = NULL;
        reader->status = memory_alloc((size_t)jpeg->image_width * 4, &row);
        reader->row = row;
    }
    if (reader->status != NULL)
        fail((j_common_ptr)jpeg);

    jpeg_start_decompress(jpeg);
    read_rows(reader);
    jpeg_finish_decompress(jpeg);
}

static Status decode(const unsigned char *data, size_t size, Image *ret)
{
    JpegReader *reader = xcalloc(1, sizeof *reader);
    reader->jpeg.err = jpeg_std_error(&reader->errors);
    reader->errors.error_exit = fail;
    reader->errors.emit_message = on_message;
    reader->errors.output_message = no_output;
    Status status = NULL;
    if (setjmp(reader->jump) == 0) {
        read_image(reader, data, size);
    } else {
        status = reader->status != NULL ? reader->status : status_new(CODE_DATA, "%s", reader->message);
    }
    jpeg_destroy_decompress(&reader->jpeg);
    memory_free(reader->row);
    if (status == NULL)
        status = image_orient(&reader->image, reader->orientation);
    if (status == NULL)
        *ret = reader->image;
    else
        image_release(&reader->image);
    free(reader);
    return status;
}

static bool sniff(const unsigned char *data, size_t size)
{
    return size >= 3 && memcmp(data, "\xff\xd8\xff", 3) == 0;
}

const ImageDecoder image_decoder_jpeg = {"JPEG", sniff, decode};
