/* conv.c - reference convolutions: a product whose panel holds the patches of 64 output places.
 *
 *     depth row (c, kd, kh, kw), column o  ->  x[c][o * stride - pad + k * dilation], real zero in the padding
 *
 * No patch matrix of the whole image is ever made. The transposed form reads x where (o + pad - k * dilation) divides
 * by the stride and zero elsewhere: slow for great strides, plain to check. Formulas: ONNX Conv, ConvTranspose,
 * ConvInteger.
 */
#include "src/kernels/product.h"

#include <string.h>

typedef struct Convolution {
    const Window *window;
    KernelType x_type, weight_type;
    const void *x, *weight;
    int32_t x_zero;
    const int32_t *weight_zero;
    int64_t weight_zeros;
    const float *bias;
    float *y;
    int32_t *acc;
    bool transposed;
} Convolution;

/* One row of the depth: input channel (in its group) and tap. */
typedef struct Tap {
    int64_t channel, k[KERNEL_MAX_SPACE];
} Tap;

static Tap tap_at(const Window *window, int64_t depth)
{
    Tap tap;
    for (int d = KERNEL_MAX_SPACE - 1; d >= 0; d--) {
        tap.k[d] = depth % window->kernel[d];
        depth /= window->kernel[d];
    }
    tap.channel = depth;
    return tap;
}

static void tap_next(const Window *window, Tap *tap)
{
    for (int d = KERNEL_MAX_SPACE - 1; d >= 0; d--) {
        if (++tap->k[d] < window->kernel[d])
            return;
        tap->k[d] = 0;
    }
    tap->channel++;
}

static void load_run(const Convolution *conv, int64_t from, int64_t stride, int64_t n, float *ret)
{
    if (conv->x_type == KERNEL_FLOAT) {
        const float *x = (const float *)conv->x + from;
        if (stride == 1)
            memcpy(ret, x, (size_t)n * sizeof *ret);
        else
            for (int64_t i = 0; i < n; i++)
                ret[i] = x[i * stride];
    } else if (conv->x_type == KERNEL_U8) {
        const uint8_t *x = (const uint8_t *)conv->x + from;
        for (int64_t i = 0; i < n; i++)
            ret[i] = (float)((int32_t)x[i * stride] - conv->x_zero);
    } else {
        const int8_t *x = (const int8_t *)conv->x + from;
        for (int64_t i = 0; i < n; i++)
            ret[i] = (float)((int32_t)x[i * stride] - conv->x_zero);
    }
}

/* Part [w0, w0 + n) of an output row (od, oh) at a tap; plane: start of the input channel. */
static void load_row(const Convolution *conv, int64_t plane, const Tap *tap, int64_t od, int64_t oh, int64_t w0,
                     int64_t n, float *ret)
{
    const Window *window = conv->window;
    int64_t d = od * window->stride[0] - window->pad_begin[0] + tap->k[0] * window->dilation[0];
    int64_t h = oh * window->stride[1] - window->pad_begin[1] + tap->k[1] * window->dilation[1];
    int64_t begin, end;

    memset(ret, 0, (size_t)n * sizeof *ret);
    if (d < 0 || d >= window->in[0] || h < 0 || h >= window->in[1])
        return;
    window_span(window, 2, tap->k[2], &begin, &end);
    begin = MAX(begin, w0);
    end = MIN(end, w0 + n);
    if (begin >= end)
        return;
    int64_t first = begin * window->stride[2] - window->pad_begin[2] + tap->k[2] * window->dilation[2];
    load_run(conv, plane + (d * window->in[1] + h) * window->in[2] + first, window->stride[2], end - begin,
             ret + begin - w0);
}

/* Input place of output place o in the transposed form, -1 when there is none. */
static int64_t transposed_source(const Window *window, int d, int64_t o, int64_t k)
{
    int64_t at = o + window->pad_begin[d] - k * window->dilation[d];
    if (at < 0 || at % window->stride[d] != 0 || at / window->stride[d] >= window->in[d])
        return -1;
    return at / window->stride[d];
}

static void load_transposed_row(const Convolution *conv, int64_t plane, const Tap *tap, int64_t od, int64_t oh,
                                int64_t w0, int64_t n, float *ret)
{
    const Window *window = conv->window;
    int64_t d = transposed_source(window, 0, od, tap->k[0]), h = transposed_source(window, 1, oh, tap->k[1]);
    const float *x = conv->x;

    memset(ret, 0, (size_t)n * sizeof *ret);
    if (d < 0 || h < 0)
        return;
    x += plane + (d * window->in[1] + h) * window->in[2];
    for (int64_t i = 0; i < n; i++) {
        int64_t w = transposed_source(window, 2, w0 + i, tap->k[2]);
        if (w >= 0)
            ret[i] = x[w];
    }
}

static void pack_columns(const Product *product, int64_t column0, int64_t n, int64_t k0, int64_t n_k, float *ret)
{
    const Convolution *conv = product->context;
    const Window *window = conv->window;
    int64_t per_group = window->channels_in / window->groups;
    int64_t image = product->index / window->groups, group = product->index % window->groups;
    int64_t first_channel = image * window->channels_in + group * per_group, plane_size = window_in_count(window);
    Tap tap = tap_at(window, k0);

    for (int64_t k = 0; k < n_k; k++, ret += PRODUCT_COLUMNS, tap_next(window, &tap)) {
        int64_t plane = (first_channel + tap.channel) * plane_size;
        int64_t done = 0;
        while (done < n) { /* piece by piece of output rows */
            int64_t place = column0 + done, w = place % window->out[2], row = place / window->out[2];
            int64_t piece = MIN(n - done, window->out[2] - w);
            (conv->transposed ? load_transposed_row : load_row)(conv, plane, &tap, row / window->out[1],
                                                                row % window->out[1], w, piece, ret + done);
            done += piece;
        }
        for (; done % 8 != 0; done++)
            ret[done] = 0.0F;
    }
}

static int32_t load_int(KernelType type, const void *data, int64_t i)
{
    return type == KERNEL_U8 ? ((const uint8_t *)data)[i] : ((const int8_t *)data)[i];
}

/* Weight (M, C/g, kernel): a row of the product is a run of memory. */
static void pack_rows(const Product *product, int64_t row0, int64_t n, int64_t k0, int64_t n_k, float *ret)
{
    const Convolution *conv = product->context;
    int64_t group = product->index % conv->window->groups;

    for (int64_t i = 0; i < PRODUCT_ROWS; i++) {
        int64_t channel = group * product->rows + row0 + i, from = channel * product->depth + k0;
        if (i >= n) {
            for (int64_t k = 0; k < n_k; k++)
                ret[k * PRODUCT_ROWS + i] = 0.0F;
        } else if (conv->weight_type == KERNEL_FLOAT) {
            const float *weight = (const float *)conv->weight + from;
            for (int64_t k = 0; k < n_k; k++)
                ret[k * PRODUCT_ROWS + i] = weight[k];
        } else {
            int32_t zero = conv->weight_zero == NULL ? 0 : conv->weight_zero[conv->weight_zeros == 1 ? 0 : channel];
            for (int64_t k = 0; k < n_k; k++)
                ret[k * PRODUCT_ROWS + i] = (float)(load_int(conv->weight_type, conv->weight, from + k) - zero);
        }
    }
}

/* Weight (C, M/g, kernel). */
static void pack_transposed_rows(const Product *product, int64_t row0, int64_t n, int64_t k0, int64_t n_k, float *ret)
{
    const Convolution *conv = product->context;
    const Window *window = conv->window;
    int64_t group = product->index % window->groups, per_group = window->channels_in / window->groups;
    int64_t taps = window_kernel_count(window);
    const float *weight = conv->weight;

    for (int64_t k = 0; k < n_k; k++, ret += PRODUCT_ROWS) {
        int64_t channel = group * per_group + (k0 + k) / taps, tap = (k0 + k) % taps;
        for (int64_t i = 0; i < PRODUCT_ROWS; i++)
            ret[i] = i < n ? weight[(channel * product->rows + row0 + i) * taps + tap] : 0.0F;
    }
}

static void make_product(const void *context, int64_t index, Product *ret)
{
    const Convolution *conv = context;
    const Window *window = conv->window;
    int64_t group = index % window->groups, rows = window->channels_out / window->groups;

    ret->rows = rows;
    ret->columns = window_out_count(window);
    ret->depth = window->channels_in / window->groups * window_kernel_count(window);
    ret->pack_rows = conv->transposed ? pack_transposed_rows : pack_rows;
    ret->pack_columns = pack_columns;
    ret->context = conv;
    ret->index = index;
    ret->row_bias = conv->bias == NULL ? NULL : conv->bias + group * rows;
    if (conv->acc != NULL)
        ret->out_int = conv->acc + index * rows * ret->columns;
    else
        ret->out = conv->y + index * rows * ret->columns;
}

static void run(Team *team, const Convolution *conv)
{
    if (window_out_count(conv->window) > 0)
        product_run(team, conv->window->batch * conv->window->groups, make_product, conv);
}

void conv_float(Team *team, const Window *window, const float *x, const float *weight, const float *bias, float *y)
{
    Convolution conv = {.window = window, .x_type = KERNEL_FLOAT, .weight_type = KERNEL_FLOAT, .x = x, .weight = weight,
                        .bias = bias, .y = y};
    run(team, &conv);
}

void conv_transpose_float(Team *team, const Window *window, const float *x, const float *weight, const float *bias,
                          float *y)
{
    Convolution conv = {.window = window, .x_type = KERNEL_FLOAT, .weight_type = KERNEL_FLOAT, .x = x, .weight = weight,
                        .bias = bias, .y = y, .transposed = true};
    run(team, &conv);
}

void conv_int(Team *team, const Window *window, KernelType x_type, const void *x, int32_t x_zero,
              KernelType weight_type, const void *weight, const int32_t *weight_zero, int64_t weight_zeros,
              int32_t *acc)
{
    Convolution conv = {.window = window, .x_type = x_type, .weight_type = weight_type, .x = x, .weight = weight,
                        .x_zero = x_zero, .weight_zero = weight_zero, .weight_zeros = weight_zeros, .acc = acc};
    run(team, &conv);
}
