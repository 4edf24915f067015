/* onednn_conv.c - convolutions by oneDNN: float in whatever blocked layout it likes, integers in channels-last order.
 *
 *     acc = sum (x - x_zero) w     y = saturate(round(multiplier[m] * (acc + bias[m])) + y_zero)
 *
 * Fused into one primitive by its attributes. Transposed convolutions run as deconvolutions, float only.
 */
#include "src/kernels/onednn.h"

#include <stdlib.h>
#include <string.h>

struct FastConv {
    FastJob job;
};

/* Sizes as oneDNN counts them: batch, channels, then the op's own spatial dims. */
typedef struct Sizes {
    int rank, weight_rank;
    dnnl_dims_t x, y, weight, bias;
    dnnl_dims_t stride, dilation, pad_begin, pad_end;
} Sizes;

static void measure(const Window *window, Sizes *ret)
{
    int from = KERNEL_MAX_SPACE - window->space, n = 0;
    bool grouped = window->groups > 1;
    int64_t in = window->channels_in / window->groups, out = window->channels_out / window->groups;

    memset(ret, 0, sizeof *ret);
    ret->rank = window->space + 2;
    ret->x[0] = ret->y[0] = window->batch;
    ret->x[1] = window->channels_in;
    ret->y[1] = window->channels_out;
    ret->bias[0] = window->channels_out;
    if (grouped)
        ret->weight[n++] = window->groups;
    ret->weight[n++] = out;
    ret->weight[n++] = in;
    for (int d = 0; d < window->space; d++) {
        ret->x[2 + d] = window->in[from + d];
        ret->y[2 + d] = window->out[from + d];
        ret->weight[n++] = window->kernel[from + d];
        ret->stride[d] = window->stride[from + d];
        ret->dilation[d] = window->dilation[from + d] - 1;
        ret->pad_begin[d] = window->pad_begin[from + d];
        ret->pad_end[d] = window->pad_end[from + d];
    }
    ret->weight_rank = n;
}

/* ONNX keeps (C, M/g, K) for a transposed convolution: the same sizes with two axes of the memory swapped. */
static bool plain_weight(const Window *window, bool transposed, const Sizes *sizes, KernelType type,
                         dnnl_memory_desc_t *ret)
{
    dnnl_dims_t strides;
    int first = window->groups > 1 ? 1 : 0;

    if (!transposed)
        return fast_plain(ret, sizes->weight_rank, sizes->weight, type);
    int64_t taps = window_kernel_count(window), out = sizes->weight[first], in = sizes->weight[first + 1];
    if (first == 1)
        strides[0] = in * out * taps;
    strides[first] = taps;
    strides[first + 1] = out * taps;
    int64_t step = 1;
    for (int d = sizes->weight_rank - 1; d > first + 1; d--) {
        strides[d] = step;
        step *= sizes->weight[d];
    }
    return dnnl_memory_desc_init_by_strides(ret, sizes->weight_rank, sizes->weight, fast_type(type), strides) ==
           dnnl_success;
}

static dnnl_primitive_desc_t describe(bool transposed, KernelType x_type, const FastInt *integer, bool with_bias,
                                      const Sizes *sizes)
{
    dnnl_memory_desc_t x, y, weight, bias;
    dnnl_primitive_desc_t desc = NULL;
    bool good;

    if (integer != NULL) {
        good = fast_channels_last(&x, sizes->rank, sizes->x, x_type) &&
               fast_channels_last(&y, sizes->rank, sizes->y, KERNEL_S32) &&
               fast_any(&weight, sizes->weight_rank, sizes->weight, KERNEL_S8);
    } else {
        good = fast_any(&x, sizes->rank, sizes->x, KERNEL_FLOAT) && fast_any(&y, sizes->rank, sizes->y, KERNEL_FLOAT) &&
               fast_any(&weight, sizes->weight_rank, sizes->weight, KERNEL_FLOAT) &&
               fast_plain(&bias, 1, sizes->bias, KERNEL_FLOAT);
    }
    dnnl_primitive_attr_t attributes = good ? fast_attributes(integer) : NULL;
    if (attributes == NULL)
        return NULL;
    const dnnl_memory_desc_t *bias_desc = with_bias ? &bias : NULL;
    if (transposed) {
        dnnl_deconvolution_desc_t op;
        good = dnnl_dilated_deconvolution_forward_desc_init(&op, dnnl_forward_inference, dnnl_deconvolution_direct, &x,
                                                            &weight, bias_desc, &y, sizes->stride, sizes->dilation,
                                                            sizes->pad_begin, sizes->pad_end) == dnnl_success &&
               dnnl_primitive_desc_create(&desc, &op, attributes, fast_engine(), NULL) == dnnl_success;
    } else {
        dnnl_convolution_desc_t op;
        good = dnnl_dilated_convolution_forward_desc_init(&op, dnnl_forward_inference, dnnl_convolution_direct, &x,
                                                          &weight, bias_desc, &y, sizes->stride, sizes->dilation,
                                                          sizes->pad_begin, sizes->pad_end) == dnnl_success &&
               dnnl_primitive_desc_create(&desc, &op, attributes, fast_engine(), NULL) == dnnl_success;
    }
    dnnl_primitive_attr_destroy(attributes);
    return good ? desc : NULL;
}

static bool is_empty(const Window *window)
{
    return window->batch == 0 || window->channels_in == 0 || window->channels_out == 0 ||
           window_in_count(window) == 0 || window_out_count(window) == 0;
}

FastConv *fast_conv_new(const Window *window, bool transposed, KernelType x_type, const FastInt *integer,
                        const void *weight, FastPacks *packs, const void *bias)
{
    Sizes sizes;
    dnnl_memory_desc_t weight_desc, bias_desc;

    if (fast_engine() == NULL || is_empty(window) || (integer != NULL && (transposed || !fast_integer_exact())))
        return NULL;
    measure(window, &sizes);
    dnnl_primitive_desc_t desc = describe(transposed, x_type, integer, bias != NULL, &sizes);
    if (desc == NULL)
        return NULL;
    FastConv *conv = xcalloc(1, sizeof *conv);
    FastJob *job = &conv->job;
    bool good =
        fast_worth_it(job, desc) && fast_plain(&job->edges[0].plain, sizes.rank, sizes.x, x_type) &&
        (integer != NULL ? fast_channels_last(&job->edges[1].plain, sizes.rank, sizes.y, KERNEL_S32)
                         : fast_plain(&job->edges[1].plain, sizes.rank, sizes.y, KERNEL_FLOAT)) &&
        fast_edge(job, desc, DNNL_ARG_SRC, false) && fast_edge(job, desc, DNNL_ARG_DST, true) &&
        plain_weight(window, transposed, &sizes, integer != NULL ? KERNEL_S8 : KERNEL_FLOAT, &weight_desc) &&
        fast_pack(job, desc, &weight_desc, weight, packs);
    if (good && bias != NULL)
        good = fast_plain(&bias_desc, 1, sizes.bias, KERNEL_FLOAT) && fast_bias(job, &bias_desc, bias);
    good = good && fast_finish(job, desc);
    dnnl_primitive_desc_destroy(desc);
    if (!good) {
        fast_conv_free(conv);
        return NULL;
    }
    return conv;
}

void fast_conv_free(void *conv)
{
    if (conv == NULL)
        return;
    fast_release(&((FastConv *)conv)->job);
    free(conv);
}

size_t fast_conv_scratch(const FastConv *conv)
{
    return conv->job.scratch_bytes;
}

bool fast_conv_run(const FastConv *conv, int threads, const void *x, void *y, void *scratch)
{
    void *data[2] = {(void *)(uintptr_t)x, y};
    return fast_run(&conv->job, threads, data, scratch);
}

const char *fast_conv_info(const FastConv *conv)
{
    return conv->job.info;
}
