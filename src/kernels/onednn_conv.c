/* onednn_conv.c - convolutions by oneDNN, channels last inside: that is the layout its own choice falls on where it has
 * AVX-512, it needs no padded channels, and float and 8-bit images share it.
 *
 *     float     y = post(post(sum x w + bias))
 *     8 bits    y = saturate(round((sum (x - x_zero) w + bias) * multiplier[m]) + y_zero)
 *
 * One primitive each. oneDNN would round after the zero point is added, which moves ties; a rounding of its own put in front
 * keeps the runtime's order. Transposed convolutions run as deconvolutions, float only. Float images with wide padding are padded
 * in front of the convolution: its own padding takes 5 to 13 times as long (half of a filter of 256 taps, one channel), and sums in
 * another order than a Pad before it would give.
 */
#include "src/kernels/onednn.h"

#include <stdlib.h>
#include <string.h>

/* An image and how far zeros go around it. */
typedef struct Wide {
    int64_t planes, element; /* images by themselves; floats at one place of them: the channels, where they lie last */
    int64_t in[KERNEL_MAX_SPACE], begin[KERNEL_MAX_SPACE], out[KERNEL_MAX_SPACE];
} Wide;

struct FastConv {
    FastJob job;
    int threads;
    bool pads; /* the image is padded first */
    Wide wide;
};

/* Sizes as oneDNN counts them: batch, channels, then the op's own spatial dims (two for a depthwise convolution along one). */
typedef struct Sizes {
    int rank, weight_rank;
    dnnl_dims_t x, y, weight, bias;
    dnnl_dims_t stride, dilation, pad_begin, pad_end;
} Sizes;

static bool is_depthwise(const Window *window)
{
    return window->groups > 1 && window->channels_in == window->groups;
}

static void measure(const Window *window, Sizes *ret)
{
    bool grouped = window->groups > 1;
    /* oneDNN's kernels for one channel a group know images alone: along one axis it takes the groups for 16 channels each. */
    bool flat = window->space == 1 && is_depthwise(window);
    int space = flat ? 2 : window->space, from = KERNEL_MAX_SPACE - space, n = 0;
    int64_t in = window->channels_in / window->groups, out = window->channels_out / window->groups;

    memset(ret, 0, sizeof *ret);
    ret->rank = space + 2;
    ret->x[0] = ret->y[0] = window->batch;
    ret->x[1] = window->channels_in;
    ret->y[1] = window->channels_out;
    ret->bias[0] = window->channels_out;
    if (grouped)
        ret->weight[n++] = window->groups;
    ret->weight[n++] = out;
    ret->weight[n++] = in;
    for (int d = 0; d < space; d++) {
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


/* ---- attributes: what happens to a sum --------------------------------------------------------------------------- */

/* By FastPostKind; POST_ADD is a sum onto what y holds (its fastest kernels know no other addition). */
static const dnnl_alg_kind_t post_rows[] = {
    [POST_RELU] = dnnl_eltwise_relu,       [POST_CLIP] = dnnl_eltwise_clip_v2,    [POST_SIGMOID] = dnnl_eltwise_logistic,
    [POST_TANH] = dnnl_eltwise_tanh,       [POST_SWISH] = dnnl_eltwise_swish,     [POST_HARD_SWISH] = dnnl_eltwise_hardswish,
    [POST_GELU] = dnnl_eltwise_gelu_erf,   [POST_GELU_TANH] = dnnl_eltwise_gelu_tanh,
};

static bool append_posts(dnnl_post_ops_t posts, const FastConvSpec *spec)
{
    bool good = true;

    for (int i = 0; i < spec->n_posts && good; i++) {
        const FastPost *post = &spec->posts[i];
        if (post->kind == POST_ADD)
            good = dnnl_post_ops_append_sum(posts, 1.0F) == dnnl_success;
        else
            good = dnnl_post_ops_append_eltwise(posts, 1.0F, post_rows[post->kind], post->a, post->b) == dnnl_success;
    }
    if (spec->y_type == KERNEL_U8 || spec->y_type == KERNEL_S8)
        good = good && dnnl_post_ops_append_eltwise(posts, 1.0F, dnnl_eltwise_round, 0.0F, 0.0F) == dnnl_success;
    return good;
}

static dnnl_primitive_attr_t make_attributes(const FastConvSpec *spec)
{
    FastInt integer = {spec->x_zero};
    dnnl_primitive_attr_t attributes = fast_attributes(spec->x_type == KERNEL_FLOAT ? NULL : &integer);
    dnnl_post_ops_t posts = NULL;

    if (attributes == NULL)
        return NULL;
    bool good = dnnl_post_ops_create(&posts) == dnnl_success && append_posts(posts, spec) &&
                dnnl_primitive_attr_set_post_ops(attributes, posts) == dnnl_success;
    if (good && (spec->y_type == KERNEL_U8 || spec->y_type == KERNEL_S8))
        good = dnnl_primitive_attr_set_output_scales(attributes, spec->multipliers, spec->multipliers == 1 ? 0 : 1 << 1,
                                                     spec->multiplier) == dnnl_success &&
               (spec->y_zero == 0 ||
                dnnl_primitive_attr_set_zero_points(attributes, DNNL_ARG_DST, 1, 0, &spec->y_zero) == dnnl_success);
    if (posts != NULL)
        dnnl_post_ops_destroy(posts);
    if (good)
        return attributes;
    dnnl_primitive_attr_destroy(attributes);
    return NULL;
}

/* ---- the primitive ----------------------------------------------------------------------------------------------- */

static KernelType weight_type(const FastConvSpec *spec)
{
    return spec->x_type == KERNEL_FLOAT ? KERNEL_FLOAT : KERNEL_S8;
}

static KernelType bias_type(const FastConvSpec *spec)
{
    return spec->x_type == KERNEL_FLOAT ? KERNEL_FLOAT : KERNEL_S32;
}

/* any: the layout of images is left to the primitive. */
static dnnl_primitive_desc_t describe(const FastConvSpec *spec, const Sizes *sizes, bool any)
{
    dnnl_memory_desc_t x, y, weight, bias;
    dnnl_primitive_desc_t desc = NULL;
    bool (*layout)(dnnl_memory_desc_t *, int, const dnnl_dim_t *, KernelType) = any ? fast_any : fast_channels_last;
    bool good = layout(&x, sizes->rank, sizes->x, spec->x_type) && layout(&y, sizes->rank, sizes->y, spec->y_type) &&
                fast_any(&weight, sizes->weight_rank, sizes->weight, weight_type(spec)) &&
                fast_plain(&bias, 1, sizes->bias, bias_type(spec));
    dnnl_primitive_attr_t attributes = good ? make_attributes(spec) : NULL;

    if (attributes == NULL)
        return NULL;
    const dnnl_memory_desc_t *bias_desc = spec->bias != NULL ? &bias : NULL;
    if (spec->transposed) {
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

static bool adds(const FastConvSpec *spec)
{
    for (int i = 0; i < spec->n_posts; i++)
        if (spec->posts[i].kind == POST_ADD)
            return true;
    return false;
}

static bool fill_job(FastJob *job, const FastConvSpec *spec, const Sizes *sizes, const_dnnl_primitive_desc_t desc,
                     FastPacks *packs)
{
    bool sums = spec->y_type == KERNEL_S32;
    dnnl_memory_desc_t weight, bias;

    if (!fast_worth_it(job, desc) ||
        !fast_image(&job->edges[0].plain, sizes->rank, sizes->x, spec->x_type, spec->channels_last) ||
        !fast_edge(job, desc, DNNL_ARG_SRC, false))
        return false;
    if (!fast_image(&job->edges[1].plain, sizes->rank, sizes->y, spec->y_type, spec->channels_last || sums) ||
        !fast_edge(job, desc, DNNL_ARG_DST, true) ||
        !plain_weight(&spec->window, spec->transposed, sizes, weight_type(spec), &weight) ||
        !fast_pack(job, desc, &weight, spec->weight, packs))
        return false;
    if (spec->bias != NULL && (!fast_plain(&bias, 1, sizes->bias, bias_type(spec)) || !fast_bias(job, &bias, spec->bias)))
        return false;
    return fast_finish(job, desc);
}

static FastConv *make_conv(const FastConvSpec *spec, const Sizes *sizes, FastPacks *packs, bool any)
{
    dnnl_primitive_desc_t desc = describe(spec, sizes, any);

    if (desc == NULL)
        return NULL;
    FastConv *conv = xcalloc(1, sizeof *conv);
    bool good = fill_job(&conv->job, spec, sizes, desc, packs);
    dnnl_primitive_desc_destroy(desc);
    if (good)
        return conv;
    fast_conv_free(conv);
    return NULL;
}

static bool is_empty(const Window *window)
{
    return window->batch == 0 || window->channels_in == 0 || window->channels_out == 0 ||
           window_in_count(window) == 0 || window_out_count(window) == 0;
}

/* oneDNN turns the int32 sum into float before it scales it, exact below 2^24. A greater one is lost only if it still
 * counts: not when the scaled value is beyond 8 bits on the same side, bias or not. */
static bool is_exact(const FastConvSpec *spec)
{
    enum { FLOAT_EXACT = 1 << 24, BEYOND = 512 };
    const int32_t *bias = spec->bias;

    for (int64_t m = 0; m < spec->window.channels_out; m++) {
        int64_t offset = bias == NULL ? 0 : llabs((int64_t)bias[m]);
        float multiplier = spec->multiplier[spec->multipliers == 1 ? 0 : m];
        if (offset >= FLOAT_EXACT || !((float)(FLOAT_EXACT - offset) * multiplier >= (float)BEYOND))
            return false;
    }
    return true;
}

/* Threads that each get work for some microseconds, by what a core does of such a convolution: handing out costs about one, and
 * where other programs want the cores, much more. */
static int threads_worth(const FastConvSpec *spec)
{
    enum { MACS_NS = 40, INTEGER_MACS_NS = 100, DEPTHWISE_NS = 8, LEAST_NS = 5000 };
    const Window *window = &spec->window;
    double inner = (double)(window->channels_in / window->groups) * (double)window_kernel_count(window);
    double each = inner < 2.0 * (double)window_kernel_count(window) ? DEPTHWISE_NS
                  : spec->x_type == KERNEL_FLOAT                    ? MACS_NS
                                                                    : INTEGER_MACS_NS;
    int64_t places = spec->transposed ? window_in_count(window) : window_out_count(window);
    double macs = inner * (double)window->batch * (double)window->channels_out * (double)places;

    return (int)MAX(1.0, MIN((double)spec->threads, macs / each / LEAST_NS));
}

/* The same convolution of an image that is padded before. */
static FastConv *make_padded(const FastConvSpec *spec, FastPacks *packs)
{
    const Window *window = &spec->window;
    FastConvSpec wide = *spec;
    Wide image = {.planes = window->batch, .element = window->channels_in};
    Sizes sizes;

    if (!spec->channels_last) {
        image.planes *= window->channels_in;
        image.element = 1;
    }
    for (int d = 0; d < KERNEL_MAX_SPACE; d++) {
        image.in[d] = window->in[d];
        image.begin[d] = window->pad_begin[d];
        wide.window.in[d] = image.out[d] = window->in[d] + window->pad_begin[d] + window->pad_end[d];
        wide.window.pad_begin[d] = wide.window.pad_end[d] = 0;
    }
    measure(&wide.window, &sizes);
    FastConv *conv = make_conv(&wide, &sizes, packs, false);
    if (conv != NULL) {
        conv->pads = true;
        conv->wide = image;
    }
    return conv;
}

static bool has_wide_pads(const Window *window)
{
    enum { WIDE = 16, WIDE_DEPTHWISE = 8 };
    int64_t limit = is_depthwise(window) ? WIDE_DEPTHWISE : WIDE;
    bool wide = false;

    for (int d = 0; d < KERNEL_MAX_SPACE; d++) {
        if (window->pad_begin[d] < 0 || window->pad_end[d] < 0)
            return false;
        wide = wide || window->pad_begin[d] >= limit || window->pad_end[d] >= limit;
    }
    return wide;
}

static size_t padded_bytes(const Wide *wide)
{
    int64_t count = wide->planes * wide->element;
    for (int d = 0; d < KERNEL_MAX_SPACE; d++)
        count *= wide->out[d];
    return ((size_t)count * sizeof(float) + 63) & ~(size_t)63;
}

static void pad_image(const Wide *wide, const float *x, float *to)
{
    const int64_t *in = wide->in, *out = wide->out, *begin = wide->begin;

    memset(to, 0, padded_bytes(wide));
    for (int64_t p = 0; p < wide->planes; p++)
        for (int64_t a = 0; a < in[0]; a++)
            for (int64_t b = 0; b < in[1]; b++)
                memcpy(to + (((p * out[0] + begin[0] + a) * out[1] + begin[1] + b) * out[2] + begin[2]) * wide->element,
                       x + ((p * in[0] + a) * in[1] + b) * in[2] * wide->element,
                       (size_t)(in[2] * wide->element) * sizeof(float));
}

FastConv *fast_conv_new(const FastConvSpec *spec, FastPacks *packs)
{
    bool integer = spec->x_type != KERNEL_FLOAT;
    Sizes sizes;

    if (fast_engine() == NULL || is_empty(&spec->window) || (integer && (spec->transposed || !fast_integer_exact())))
        return NULL;
    if (integer && spec->y_type != KERNEL_S32 && !is_exact(spec))
        return NULL;
    if (adds(spec) && !spec->channels_last)
        return NULL; /* y must hold what is added in the primitive's own layout */
    measure(&spec->window, &sizes);
    int threads = threads_worth(spec);
    fast_set_threads(threads);
    FastConv *conv = !integer && !spec->transposed && has_wide_pads(&spec->window) ? make_padded(spec, packs) : NULL;
    if (conv == NULL)
        conv = make_conv(spec, &sizes, packs, false);
    if (conv == NULL && !integer && !adds(spec))
        conv = make_conv(spec, &sizes, packs, true);
    if (conv != NULL)
        conv->threads = threads;
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
    return conv->job.scratch_bytes + (conv->pads ? padded_bytes(&conv->wide) : 0);
}

bool fast_conv_run(const FastConv *conv, const void *x, void *y, void *scratch)
{
    void *data[2] = {(void *)(uintptr_t)x, y};

    if (conv->pads) { /* the padded image lies in front, on 64 bytes as the rest */
        pad_image(&conv->wide, x, scratch);
        data[0] = scratch;
        scratch = (char *)scratch + padded_bytes(&conv->wide);
    }
    return fast_run(&conv->job, conv->threads, data, scratch);
}

const char *fast_conv_info(const FastConv *conv)
{
    return conv->job.info;
}
