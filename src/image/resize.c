/* resize.c - resizing as Pillow does it: antialiased, separable, 8-bit fixed point.
 *
 *     picture (h, w) ── rows that are needed ── horizontal ──> (h', W) ── vertical ──> (H, W)
 *
 * Output pixel i looks at the centre c = (i + 0.5) * in / out. When the picture shrinks, the kernel is stretched by the
 * ratio in / out, which is what keeps fine patterns from turning into noise. Weights sum to one, are rounded to 22 bits
 * behind the point, and every pass rounds its sums to 8 bits: the numbers come out as Pillow's.
 * Kernels: box; triangle; cubic with a = -0.5 (Keys 1981). A bicubic weight may be negative, so sums are clipped to
 * 0..255.
 */
#include "src/image/decoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define POINT_BITS (32 - 8 - 2) /* 8 bits of a sample, 2 for overshoot and sign */

typedef struct Kernel {
    double support; /* the weight is zero beyond */
    double (*weight)(double x);
} Kernel;

static double box_weight(double x)
{
    return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

static double triangle_weight(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double cubic_weight(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0)
        return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

static const Kernel kernels[] = {
    [INTERP_BILINEAR] = {1.0, triangle_weight},
    [INTERP_BICUBIC] = {2.0, cubic_weight},
    [INTERP_AREA] = {0.5, box_weight},
};

/* Weights of output positions first..first+n-1 along one axis. */
typedef struct Taps {
    int n, most;      /* most taps a position has */
    int *from, *used; /* (n,) first input position; taps used */
    int32_t *weights; /* (n, most) with POINT_BITS behind the point */
} Taps;

static void taps_free(Taps *taps)
{
    free(taps->from);
    free(taps->used);
    memory_free(taps->weights);
}

static int32_t to_fixed(double weight)
{
    return (int32_t)(weight * (1 << POINT_BITS) + (weight < 0 ? -0.5 : 0.5));
}

static Status taps_new(const Kernel *kernel, int in, int out, int first, int n, Taps *ret)
{
    double scale = (double)in / out;
    double stretch = MAX(scale, 1.0);
    double support = kernel->support * stretch, shrink = 1.0 / stretch;
    Taps taps = {.n = n, .most = (int)ceil(support) * 2 + 1};
    size_t bytes;
    void *weights;
    if (!size_mul((size_t)n, (size_t)taps.most * sizeof(int32_t), &bytes))
        return status_new(CODE_MEMORY, "resizing %d to %d needs too many weights", in, out);
    TRY(memory_alloc(bytes, &weights));
    taps.weights = weights;
    taps.from = xcalloc((size_t)n, sizeof(int));
    taps.used = xcalloc((size_t)n, sizeof(int));
    double *exact = xcalloc((size_t)taps.most, sizeof *exact);
    for (int i = 0; i < n; i++) {
        double centre = (first + i + 0.5) * scale, sum = 0.0;
        int from = MAX((int)(centre - support + 0.5), 0);
        int used = MIN((int)(centre + support + 0.5), in) - from;
        for (int k = 0; k < used; k++)
            sum += exact[k] = kernel->weight((k + from - centre + 0.5) * shrink);
        for (int k = 0; k < used; k++)
            taps.weights[(size_t)i * (size_t)taps.most + (size_t)k] = to_fixed(sum != 0.0 ? exact[k] / sum : exact[k]);
        taps.from[i] = from;
        taps.used[i] = used;
    }
    free(exact);
    *ret = taps;
    return NULL;
}

static unsigned char clip_8(int32_t sum)
{
    int32_t value = sum >> POINT_BITS;
    return (unsigned char)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* One line (in, channels) to (taps->n, channels). */
static void resize_line(const unsigned char *in, size_t channels, const Taps *taps, unsigned char *out)
{
    for (int x = 0; x < taps->n; x++) {
        const int32_t *weights = taps->weights + (size_t)x * (size_t)taps->most;
        const unsigned char *p = in + (size_t)taps->from[x] * channels;
        int32_t sums[3] = {1 << (POINT_BITS - 1), 1 << (POINT_BITS - 1), 1 << (POINT_BITS - 1)};
        if (channels == 3) {
            for (int k = 0; k < taps->used[x]; k++, p += 3) {
                sums[0] += p[0] * weights[k];
                sums[1] += p[1] * weights[k];
                sums[2] += p[2] * weights[k];
            }
        } else {
            for (int k = 0; k < taps->used[x]; k++)
                sums[0] += p[k] * weights[k];
        }
        for (size_t c = 0; c < channels; c++)
            *out++ = clip_8(sums[c]);
    }
}

/* Line y of the result out of the lines above each other that it weighs; sums is (stride,). */
static void resize_column(const unsigned char *in, size_t stride, const Taps *taps, int y, int32_t *sums,
                          unsigned char *out)
{
    for (size_t x = 0; x < stride; x++)
        sums[x] = 1 << (POINT_BITS - 1);
    for (int k = 0; k < taps->used[y]; k++) {
        const unsigned char *line = in + (size_t)(taps->from[y] + k) * stride;
        int32_t weight = taps->weights[(size_t)y * (size_t)taps->most + (size_t)k];
        for (size_t x = 0; x < stride; x++)
            sums[x] += line[x] * weight;
    }
    for (size_t x = 0; x < stride; x++)
        out[x] = clip_8(sums[x]);
}

/* The horizontal pass over lines from..from+n-1; a plain cut when the width stays. */
static Status pass_horizontal(const Image *image, const Kernel *kernel, int width, int x, int w, int from, int n,
                              Image *ret)
{
    Image lines;
    TRY(image_alloc(w, n, image->channels, &lines));
    size_t channels = (size_t)image->channels;
    size_t in_stride = (size_t)image->width * channels, out_stride = (size_t)w * channels;
    const unsigned char *in = image->pixels + (size_t)from * in_stride;
    if (width == image->width) {
        for (int y = 0; y < n; y++)
            memcpy(lines.pixels + (size_t)y * out_stride, in + (size_t)y * in_stride + (size_t)x * channels,
                   out_stride);
        *ret = lines;
        return NULL;
    }
    Taps taps;
    Status status = taps_new(kernel, image->width, width, x, w, &taps);
    if (status != NULL) {
        image_release(&lines);
        return status;
    }
    for (int y = 0; y < n; y++)
        resize_line(in + (size_t)y * in_stride, channels, &taps, lines.pixels + (size_t)y * out_stride);
    taps_free(&taps);
    *ret = lines;
    return NULL;
}

static Status resize_smooth(const Image *image, int width, int height, const Kernel *kernel, int x, int y, int w, int h,
                            Image *ret)
{
    if (height == image->height)
        return pass_horizontal(image, kernel, width, x, w, y, h, ret);
    Taps taps;
    TRY(taps_new(kernel, image->height, height, y, h, &taps));
    int first = taps.from[0], last = taps.from[h - 1] + taps.used[h - 1];
    Image lines, out;
    Status status = pass_horizontal(image, kernel, width, x, w, first, last - first, &lines);
    if (status == NULL) {
        status = image_alloc(w, h, image->channels, &out);
        if (status != NULL)
            image_release(&lines);
    }
    if (status == NULL) {
        size_t stride = (size_t)w * (size_t)image->channels;
        int32_t *sums = xcalloc(stride, sizeof *sums);
        for (int i = 0; i < h; i++)
            taps.from[i] -= first;
        for (int i = 0; i < h; i++)
            resize_column(lines.pixels, stride, &taps, i, sums, out.pixels + (size_t)i * stride);
        free(sums);
        image_release(&lines);
        *ret = out;
    }
    taps_free(&taps);
    return status;
}

/* Input positions of outputs first..first+n-1. The sum is carried on as Pillow carries it, so that ties fall the same
 * way. */
static int *nearest_positions(int in, int out, int first, int n)
{
    int *positions = xcalloc((size_t)n, sizeof *positions);
    double scale = (double)in / out, at = scale * 0.5;
    for (int i = 0; i < first; i++)
        at += scale;
    for (int i = 0; i < n; i++, at += scale)
        positions[i] = MIN((int)at, in - 1);
    return positions;
}

static Status resize_nearest(const Image *image, int width, int height, int x, int y, int w, int h, Image *ret)
{
    Image out;
    TRY(image_alloc(w, h, image->channels, &out));
    size_t channels = (size_t)image->channels;
    int *columns = nearest_positions(image->width, width, x, w), *rows = nearest_positions(image->height, height, y, h);
    unsigned char *p = out.pixels;
    for (int row = 0; row < h; row++) {
        const unsigned char *in = image->pixels + (size_t)rows[row] * (size_t)image->width * channels;
        for (int column = 0; column < w; column++)
            for (size_t c = 0; c < channels; c++)
                *p++ = in[(size_t)columns[column] * channels + c];
    }
    free(columns);
    free(rows);
    *ret = out;
    return NULL;
}

/* ---- OpenCV's bilinear: two neighbours a side however much the picture shrinks --------------------------------------- */

#define COEF_BITS 11 /* of its weights */

typedef struct Neighbours {
    int low, high;   /* input positions */
    int a, b;        /* their weights, 2^COEF_BITS together */
} Neighbours;

/* Output position i looks at (i + 0.5) * in / out - 0.5, in single precision as OpenCV does. */
static Neighbours *neighbours_new(int in, int out, int first, int n)
{
    Neighbours *all = xcalloc((size_t)n, sizeof all[0]);
    double scale = 1.0 / ((double)out / in);
    for (int i = 0; i < n; i++) {
        float at = (float)((first + i + 0.5) * scale - 0.5);
        int low = (int)floorf(at);
        float share = at - (float)low;
        if (low < 0 || low >= in - 1) {
            low = low < 0 ? 0 : in - 1;
            share = 0;
        }
        all[i] = (Neighbours){low, MIN(low + 1, in - 1), (int)lrintf((1 - share) * (1 << COEF_BITS)),
                              (int)lrintf(share * (1 << COEF_BITS))};
    }
    return all;
}

static void opencv_line(const unsigned char *in, size_t channels, const Neighbours *columns, size_t w, int32_t *out)
{
    for (size_t x = 0; x < w; x++)
        for (size_t c = 0; c < channels; c++)
            *out++ = in[(size_t)columns[x].low * channels + c] * columns[x].a +
                     in[(size_t)columns[x].high * channels + c] * columns[x].b;
}

static Status resize_opencv(const Image *image, int width, int height, int x, int y, int w, int h, Image *ret)
{
    Image out;
    TRY(image_alloc(w, h, image->channels, &out));
    size_t channels = (size_t)image->channels, stride = (size_t)w * channels, in_stride = (size_t)image->width * channels;
    Neighbours *columns = neighbours_new(image->width, width, x, w), *rows = neighbours_new(image->height, height, y, h);
    int32_t *lines[2] = {xcalloc(stride, sizeof(int32_t)), xcalloc(stride, sizeof(int32_t))};
    int held[2] = {-1, -1}; /* input rows that the lines are of */
    for (int i = 0; i < h; i++) {
        if (held[1] == rows[i].low) { /* the lower neighbour becomes the upper one */
            int32_t *line = lines[0];
            lines[0] = lines[1];
            lines[1] = line;
            held[1] = held[0];
            held[0] = rows[i].low;
        }
        int wanted[2] = {rows[i].low, rows[i].high};
        for (int k = 0; k < 2; k++) {
            if (held[k] != wanted[k])
                opencv_line(image->pixels + (size_t)wanted[k] * in_stride, channels, columns, (size_t)w, lines[k]);
            held[k] = wanted[k];
        }
        unsigned char *p = out.pixels + (size_t)i * stride;
        for (size_t k = 0; k < stride; k++) /* its rounding: both products are cut to 2 bits behind the point */
            p[k] = (unsigned char)(((rows[i].a * (lines[0][k] >> 4) >> 16) + (rows[i].b * (lines[1][k] >> 4) >> 16) + 2) >> 2);
    }
    free(lines[0]);
    free(lines[1]);
    free(columns);
    free(rows);
    *ret = out;
    return NULL;
}

/* ---- in public --------------------------------------------------------------------------------------------------- */

Status image_resize_window(const Image *image, int width, int height, Interp interp, int x, int y, int w, int h,
                           Image *ret)
{
    if (width < 1 || height < 1 || x < 0 || y < 0 || w < 1 || h < 1 || x > width - w || y > height - h)
        return status_new(CODE_DATA, "cannot resize %dx%d to %dx%d", image->width, image->height, width, height);
    if (interp == INTERP_NEAREST)
        return resize_nearest(image, width, height, x, y, w, h, ret);
    if (interp == INTERP_OPENCV)
        return resize_opencv(image, width, height, x, y, w, h, ret);
    return resize_smooth(image, width, height, &kernels[interp], x, y, w, h, ret);
}

Status image_resize(const Image *image, int width, int height, Interp interp, Image *ret)
{
    return image_resize_window(image, width, height, interp, 0, 0, width, height, ret);
}

Status image_to_gray(Image *image)
{
    if (image->channels == 1)
        return NULL;
    Image gray;
    TRY(image_alloc(image->width, image->height, 1, &gray));
    size_t n = (size_t)image->width * (size_t)image->height;
    const unsigned char *p = image->pixels;
    for (size_t i = 0; i < n; i++, p += 3) /* 0.299, 0.587, 0.114 with 16 bits behind the point */
        gray.pixels[i] = (unsigned char)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16);
    image_release(image);
    *image = gray;
    return NULL;
}

Status image_to_rgb(Image *image)
{
    if (image->channels == 3)
        return NULL;
    Image rgb;
    TRY(image_alloc(image->width, image->height, 3, &rgb));
    size_t n = (size_t)image->width * (size_t)image->height;
    for (size_t i = 0; i < n; i++)
        memset(rgb.pixels + 3 * i, image->pixels[i], 3);
    image_release(image);
    *image = rgb;
    return NULL;
}
