/* op_image.c - ImageDecoder (opset 20): the bytes of a picture file to pixels (height, width, channels).
 *
 * By content, as calibration reads pictures; an orientation that the file tells of is followed. Gray is ITU-R 601-2 luma.
 */
#include "src/image/image.h"
#include "src/ops/family.h"

#include <string.h>

typedef enum PixelFormat { FORMAT_RGB, FORMAT_BGR, FORMAT_GRAYSCALE, FORMAT_UNKNOWN } PixelFormat;

static PixelFormat pixel_format(const Node *node)
{
    static const char *const names[] = {"RGB", "BGR", "Grayscale"};
    const char *name = node_string(node, "pixel_format", "RGB");
    int i = 0;

    while (i < FORMAT_UNKNOWN && strcmp(names[i], name) != 0)
        i++;
    return (PixelFormat)i;
}

static Status bad_format(const Node *node)
{
    return node_error(node, CODE_MODEL, "attribute 'pixel_format' is '%s', expected RGB, BGR or Grayscale",
                      node_string(node, "pixel_format", "RGB"));
}

static Status infer_image_decoder(Node *node)
{
    PixelFormat format = pixel_format(node);
    Shape shape = {.rank = 3, .dims = {DIM_UNKNOWN, DIM_UNKNOWN, dim_known(format == FORMAT_GRAYSCALE ? 1 : 3)}};

    if (format == FORMAT_UNKNOWN)
        return bad_format(node);
    infer_output(node, 0, DT_UINT8, &shape);
    return NULL;
}

static Status write_pixels(EvalCtx *ctx, PixelFormat format, Image *image)
{
    TRY(format == FORMAT_GRAYSCALE ? image_to_gray(image) : image_to_rgb(image));
    TRY(eval_output(ctx, 0, DT_UINT8, 3, (int64_t[]){image->height, image->width, image->channels}));
    unsigned char *to = ctx->out[0].data;
    memcpy(to, image->pixels, ctx->out[0].bytes);
    for (size_t i = 0; format == FORMAT_BGR && i < ctx->out[0].bytes; i += 3) {
        unsigned char red = to[i];
        to[i] = to[i + 2];
        to[i + 2] = red;
    }
    return NULL;
}

static Status eval_image_decoder(EvalCtx *ctx)
{
    const Tensor *bytes = ctx->in[0];
    PixelFormat format = pixel_format(ctx->node);
    Image image;

    TRY(eval_require_dtype(ctx, 0, DT_UINT8));
    if (format == FORMAT_UNKNOWN)
        return bad_format(ctx->node);
    if (bytes->rank != 1)
        return eval_error(ctx, CODE_MODEL, "input 0 has rank %d, expected the bytes of a file (rank 1)", bytes->rank);
    Status status = image_decode(bytes->data, bytes->bytes, &image);
    if (status != NULL) {
        Status named = eval_error(ctx, CODE_DATA, "%s", status_message(status));
        status_free(status);
        return named;
    }
    status = write_pixels(ctx, format, &image);
    image_release(&image);
    return status;
}

static const AttrSpec image_decoder_attrs[] = {{"pixel_format", ATTR_STRING, false}, {NULL, ATTR_UNDEFINED, false}};

const OpDef op_imagedecoder = {
    .type = "ImageDecoder", .domain = "", .versions = {20}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .attrs = image_decoder_attrs, .infer = infer_image_decoder, .eval = eval_image_decoder, .quant = RULE_FLOAT,
};
