/* preprocess.c - pixels to tensors: layout and size from the model's input, geometry, and the numbers.
 *
 *     stretch   |picture| -> |input|             both sides on their own
 *     crop      |pic[ture]s| -> |[input]|        shorter side to `resize_shorter`, middle cut out (torchvision)
 *     pad       |picture| -> |::picture::|       fitted inside, borders filled (YOLO's letterbox)
 *
 *     value = (pixel * scale - mean[c]) / std[c]
 *
 * A pixel has 256 values, so the arithmetic is done once for each value and channel and pictures only look it up; that
 * also serves float16 and uint8 inputs. Letters: N batch, C channels, H height, W width.
 */
#include "calib/preprocess.h"

#include "src/image/image.h"

#include <math.h>
#include <string.h>

static const char *const resize_names[] = {"stretch", "crop", "pad"};
static const char *const interp_names[] = {"nearest", "bilinear", "bicubic", "area", "opencv"};
static const char *const color_names[] = {"auto", "rgb", "bgr", "gray"};
static const char *const layout_names[] = {"auto", "nchw", "nhwc"};

/* ---- the model's input ------------------------------------------------------------------------------------------- */

static Status check_type(const Value *input)
{
    const Type *type = &input->type;
    if (type->kind != TYPE_TENSOR || (type->dtype != DT_FLOAT && type->dtype != DT_FLOAT16 && type->dtype != DT_UINT8))
        return status_new(
            CODE_DATA, "input '%s' is %s: images feed float, float16 or uint8; give its tensors as .npy or .pb files",
            input->name, type->kind == TYPE_TENSOR ? dtype_name(type->dtype) : "no tensor");
    return NULL;
}

static bool is_channels(Dim dim)
{
    return dim.size == 1 || dim.size == 3;
}

/* Rank 3 is taken as a picture without the batch. */
static Status find_layout(const Value *input, const char *shape, Layout asked, Layout *ret)
{
    const Shape *s = &input->type.shape;
    if (s->rank != 3 && s->rank != 4)
        return status_new(CODE_DATA,
                          "input '%s' has shape %s: images feed rank 4 (or 3); give its tensors as .npy or .pb files",
                          input->name, shape);
    if (asked != LAYOUT_AUTO) {
        *ret = asked;
        return NULL;
    }
    bool first = is_channels(s->dims[s->rank - 3]), last = is_channels(s->dims[s->rank - 1]);
    if (first == last)
        return status_new(CODE_DATA, "input '%s' has shape %s: %s could be 1 or 3 channels; give --layout nchw or nhwc",
                          input->name, shape, first ? "both the first and the last axis of the picture" : "no axis");
    *ret = first ? LAYOUT_NCHW : LAYOUT_NHWC;
    return NULL;
}

static Status find_channels(const Value *input, const char *shape, Dim dim, Color *color, int *ret)
{
    int64_t channels = dim_is_known(dim) ? dim.size : *color == COLOR_GRAY ? 1 : 3;
    if (channels != 1 && channels != 3)
        return status_new(CODE_DATA,
                          "input '%s' has shape %s with %lld channels: images have 1 or 3 (is --layout right?)",
                          input->name, shape, (long long)channels);
    if (*color == COLOR_AUTO)
        *color = channels == 1 ? COLOR_GRAY : COLOR_RGB;
    if (channels == 1 && *color != COLOR_GRAY)
        return status_new(CODE_USAGE,
                          "input '%s' has shape %s with one channel: colour '%s' does not fit, give --color gray",
                          input->name, shape, color_names[*color]);
    *ret = (int)channels;
    return NULL;
}

static Status find_side(const Value *input, const char *shape, Dim dim, int asked, int otherwise, const char *side,
                        int *ret)
{
    if (dim_is_known(dim) && asked != 0 && asked != dim.size)
        return status_new(CODE_USAGE, "input '%s' has shape %s: a %s of %d does not fit, leave --size out", input->name,
                          shape, side, asked);
    int64_t size = dim_is_known(dim) ? dim.size : asked != 0 ? asked : otherwise;
    if (size == 0 && !dim_is_known(dim))
        return status_new(CODE_USAGE, "input '%s' has shape %s, which leaves the %s open: give --size WxH", input->name,
                          shape, side);
    if (size < 1 || size > IMAGE_SIDE_MAX)
        return status_new(CODE_DATA, "input '%s' has shape %s: a %s of %lld is beyond 1..%d", input->name, shape, side,
                          (long long)size, IMAGE_SIDE_MAX);
    *ret = (int)size;
    return NULL;
}

static Status find_shorter(Preprocess *p)
{
    int most = MAX(p->width, p->height);
    if (p->resize != RESIZE_CROP)
        return NULL;
    if (p->resize_shorter == 0)
        p->resize_shorter = (int)lrint(most * 256.0 / 224.0);
    if (p->resize_shorter < most || p->resize_shorter > 4 * IMAGE_SIDE_MAX)
        return status_new(CODE_USAGE, "a shorter side of %d cannot be cropped to %dx%d", p->resize_shorter, p->width,
                          p->height);
    return NULL;
}

/* ---- the numbers ------------------------------------------------------------------------------------------------- */

static Status fill_table(PixelPlan *plan)
{
    Preprocess *p = &plan->preprocess;
    /* An integer input wants pixels as they are, unless the user says otherwise. */
    Preprocess standard = preprocess_default();
    if (plan->dtype == DT_UINT8 && p->scale == standard.scale && memcmp(p->mean, standard.mean, sizeof p->mean) == 0 &&
        memcmp(p->std, standard.std, sizeof p->std) == 0)
        p->scale = 1;
    for (int c = 0; c < plan->channels; c++) {
        static const int64_t dims[] = {256};
        Tensor table;
        TRY(tensor_view(&table, plan->dtype, 1, dims, &plan->table[c]));
        for (int pixel = 0; pixel < 256; pixel++) {
            double value = ((double)pixel * p->scale - p->mean[c]) / p->std[c];
            if (!isfinite(value))
                return status_new(CODE_USAGE, "scale, mean and std give a pixel value that is not finite");
            tensor_set(&table, pixel, value);
        }
    }
    return NULL;
}

static Status plan_pixels(Arena *scratch, const Value *input, const Preprocess *preprocess, PixelPlan *plan)
{
    TRY(check_type(input));
    const Shape *s = &input->type.shape;
    const char *shape = shape_text(scratch, s);
    Preprocess *p = &plan->preprocess;
    *p = *preprocess;
    plan->dtype = input->type.dtype;
    plan->rank = s->rank;
    TRY(find_layout(input, shape, p->layout, &p->layout));
    int batch = s->rank - 4; /* axis, -1 when there is none */
    int channel = p->layout == LAYOUT_NCHW ? batch + 1 : batch + 3;
    int row = p->layout == LAYOUT_NCHW ? batch + 2 : batch + 1;
    TRY(find_channels(input, shape, s->dims[channel], &p->color, &plan->channels));
    TRY(find_side(input, shape, s->dims[row], p->height, p->default_size, "height", &p->height));
    TRY(find_side(input, shape, s->dims[row + 1], p->width, p->default_size, "width", &p->width));
    TRY(find_shorter(p));
    plan->batch = batch < 0 || !dim_is_known(s->dims[batch]) ? 1 : s->dims[batch].size;
    if (plan->batch < 1)
        return status_new(CODE_DATA, "input '%s' has shape %s: a batch of nothing", input->name, shape);
    if (batch >= 0)
        plan->dims[batch] = plan->batch;
    plan->dims[channel] = plan->channels;
    plan->dims[row] = p->height;
    plan->dims[row + 1] = p->width;
    return fill_table(plan);
}

Status pixels_plan(const Value *input, const Preprocess *preprocess, PixelPlan *ret)
{
    PixelPlan plan = {0};
    Arena *scratch = arena_new();
    Status status = plan_pixels(scratch, input, preprocess, &plan);
    arena_free(scratch);
    if (status == NULL)
        *ret = plan;
    return status;
}

static void describe_floats(Text *text, const char *word, const float *values, int n)
{
    text_addf(text, "%s", word);
    for (int c = 0; c < n; c++)
        text_addf(text, "%s%g", c == 0 ? " " : ", ", (double)values[c]);
}

char *pixels_describe(Arena *arena, const PixelPlan *plan)
{
    const Preprocess *p = &plan->preprocess;
    Text text = {0};
    text_addf(&text, "%s %dx%d %s %s, ",
              p->color == COLOR_GRAY  ? "gray"
              : p->color == COLOR_BGR ? "BGR"
                                      : "RGB",
              p->width, p->height, p->layout == LAYOUT_NCHW ? "NCHW" : "NHWC", dtype_name(plan->dtype));
    if (p->resize == RESIZE_CROP)
        text_addf(&text, "shorter side %d and centre crop", p->resize_shorter);
    else if (p->resize == RESIZE_PAD)
        text_addf(&text, "fitted and padded with %d", p->pad_value);
    else
        text_add(&text, "stretched");
    text_addf(&text, ", %s; (pixel * %g", interp_names[p->interp], (double)p->scale);
    describe_floats(&text, " - mean", p->mean, plan->channels);
    describe_floats(&text, ") / std", p->std, plan->channels);
    if (plan->batch > 1)
        text_addf(&text, "; each image fills all %lld places of the batch", (long long)plan->batch);
    char *line = arena_strdup(arena, text.data);
    text_free(&text);
    return line;
}

/* ---- geometry ---------------------------------------------------------------------------------------------------- */

/* Shorter side to resize_shorter, the other one truncated as torchvision has it; offsets rounded half to even. */
static Status fit_crop(const Preprocess *p, const Image *image, Image *ret)
{
    int64_t shorter = p->resize_shorter;
    int64_t width = image->width <= image->height ? shorter : shorter * image->width / image->height;
    int64_t height = image->width <= image->height ? shorter * image->height / image->width : shorter;
    if (width > INT32_MAX / 4 || height > INT32_MAX / 4)
        return status_new(CODE_DATA, "a picture of %dx%d is too narrow to be cropped", image->width, image->height);
    int x = (int)lrint((double)(width - p->width) / 2), y = (int)lrint((double)(height - p->height) / 2);
    return image_resize_window(image, (int)width, (int)height, p->interp, x, y, p->width, p->height, ret);
}

static Status fit_pad(const Preprocess *p, const Image *image, Image *ret)
{
    double ratio = MIN((double)p->width / image->width, (double)p->height / image->height);
    int width = MIN(MAX((int)lrint(image->width * ratio), 1), p->width);
    int height = MIN(MAX((int)lrint(image->height * ratio), 1), p->height);
    Image inner, frame;
    TRY(image_resize(image, width, height, p->interp, &inner));
    Status status = image_alloc(p->width, p->height, image->channels, &frame);
    if (status == NULL) {
        size_t channels = (size_t)image->channels;
        size_t left = (size_t)((p->width - width) / 2), top = (size_t)((p->height - height) / 2);
        memset(frame.pixels, p->pad_value, (size_t)p->width * (size_t)p->height * channels);
        for (size_t y = 0; y < (size_t)height; y++)
            memcpy(frame.pixels + ((top + y) * (size_t)p->width + left) * channels,
                   inner.pixels + y * (size_t)width * channels, (size_t)width * channels);
        *ret = frame;
    }
    image_release(&inner);
    return status;
}

static Status fit(const Preprocess *p, Image *image)
{
    if (p->color == COLOR_GRAY)
        TRY(image_to_gray(image));
    Image fitted;
    if (p->resize == RESIZE_CROP)
        TRY(fit_crop(p, image, &fitted));
    else if (p->resize == RESIZE_PAD)
        TRY(fit_pad(p, image, &fitted));
    else
        TRY(image_resize(image, p->width, p->height, p->interp, &fitted));
    image_release(image);
    *image = fitted;
    return NULL;
}

/* ---- pixels to elements ------------------------------------------------------------------------------------------ */

/* Channel c: n elements `step` apart from element `first` on, out of pixels `from_step` apart. */
static void convert_channel(const PixelPlan *plan, size_t c, const unsigned char *pixels, size_t from_step, size_t n,
                            void *out, size_t first, size_t step)
{
    if (plan->dtype == DT_FLOAT) {
        float *p = (float *)out + first;
        for (size_t i = 0; i < n; i++)
            p[i * step] = plan->table[c].floats[pixels[i * from_step]];
    } else if (plan->dtype == DT_FLOAT16) {
        uint16_t *p = (uint16_t *)out + first;
        for (size_t i = 0; i < n; i++)
            p[i * step] = plan->table[c].halfs[pixels[i * from_step]];
    } else {
        uint8_t *p = (uint8_t *)out + first;
        for (size_t i = 0; i < n; i++)
            p[i * step] = plan->table[c].bytes[pixels[i * from_step]];
    }
}

static void convert(const PixelPlan *plan, const Image *image, Tensor *tensor)
{
    size_t n = (size_t)image->width * (size_t)image->height, channels = (size_t)plan->channels;
    bool planar = plan->preprocess.layout == LAYOUT_NCHW;
    for (size_t c = 0; c < channels; c++) {
        size_t from = image->channels == 1 ? 0 : plan->preprocess.color == COLOR_BGR ? 2 - c : c;
        convert_channel(plan, c, image->pixels + from, (size_t)image->channels, n, tensor->data, planar ? c * n : c,
                        planar ? 1 : channels);
    }
    size_t bytes = tensor->bytes / (size_t)plan->batch;
    for (int64_t b = 1; b < plan->batch; b++)
        memcpy((char *)tensor->data + (size_t)b * bytes, tensor->data, bytes);
}

Status pixels_to_tensor(const PixelPlan *plan, Image *image, Tensor *ret)
{
    Tensor tensor;
    Status status = fit(&plan->preprocess, image);
    if (status == NULL)
        status = tensor_alloc(&tensor, plan->dtype, plan->rank, plan->dims);
    if (status == NULL) {
        convert(plan, image, &tensor);
        *ret = tensor;
    }
    image_release(image);
    return status;
}

/* ---- public ------------------------------------------------------------------------------------------------------ */

Preprocess preprocess_default(void)
{
    return (Preprocess){.resize = RESIZE_STRETCH, .interp = INTERP_BILINEAR, .scale = 1.0f / 255, .std = {1, 1, 1, 1},
                        .audio = audio_default()};
}

const char *resize_name(ResizeMode resize)
{
    return resize_names[resize];
}

const char *interp_name(Interp interp)
{
    return interp_names[interp];
}

const char *color_name(Color color)
{
    return color_names[color];
}

const char *layout_name(Layout layout)
{
    return layout_names[layout];
}
