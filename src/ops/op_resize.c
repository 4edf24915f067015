/* op_resize.c - Resize (opset 10 to 19) and Upsample (7, 9).
 *
 *     axis by axis, last first:   y[o] = sum over taps t of weight[o][t] * x[index[o][t]]
 *
 * Each output position maps to a position in the input by coordinate_transformation_mode; nearest takes one element
 * there, linear 2 and cubic 4 around it (more when antialias widens the filter). Formulas: the ONNX specification of
 * Resize; positions are computed in float, as the runtimes do, so that ties fall the same way.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/ops/family.h"

typedef enum ResizeMode { RESIZE_NEAREST, RESIZE_LINEAR, RESIZE_CUBIC } ResizeMode;
typedef enum CoordMode {
    COORD_HALF_PIXEL,
    COORD_PYTORCH_HALF_PIXEL,
    COORD_ALIGN_CORNERS,
    COORD_ASYMMETRIC,
    COORD_TF_HALF_PIXEL_FOR_NN,
    COORD_TF_CROP,
    COORD_HALF_PIXEL_SYMMETRIC
} CoordMode;
typedef enum NearestMode {
    NEAREST_PREFER_FLOOR,
    NEAREST_PREFER_CEIL,
    NEAREST_FLOOR,
    NEAREST_CEIL,
    NEAREST_SIMPLE
} NearestMode;
typedef enum AspectPolicy { ASPECT_STRETCH, ASPECT_NOT_LARGER, ASPECT_NOT_SMALLER } AspectPolicy;

typedef struct ResizeAxis {
    int64_t in, out;
    float scale;
    float roi_begin, roi_end; /* tf_crop_and_resize, in parts of the axis */
    bool changes;             /* anything to do on this axis */
    int taps;
    int64_t *index;           /* (out, taps), in 0..in-1 */
    double *weight;           /* (out, taps), NULL for nearest */
    bool *outside;            /* (out), tf_crop_and_resize only: takes the extrapolation value */
} ResizeAxis;

typedef struct Resize {
    ResizeMode mode;
    CoordMode coords;
    NearestMode nearest;
    AspectPolicy aspect;
    bool antialias, exclude_outside;
    double cubic_a;
    float extrapolation;
    int rank;
    ResizeAxis axis[TENSOR_MAX_RANK];
} Resize;

/* ---- attributes -------------------------------------------------------------------------------------------------- */

static Status choice(const Node *node, const char *attr, const char *otherwise, const char *const *names, int *ret)
{
    const char *text = node_string(node, attr, otherwise);

    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], text) == 0) {
            *ret = i;
            return NULL;
        }
    return node_error(node, CODE_MODEL, "%s '%s' is not supported", attr, text);
}

static Status read_attrs(const Node *node, Resize *ret)
{
    static const char *const modes[] = {"nearest", "linear", "cubic", NULL};
    static const char *const coords[] = {"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric",
                                         "tf_half_pixel_for_nn", "tf_crop_and_resize", "half_pixel_symmetric", NULL};
    static const char *const nearest[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL};
    static const char *const aspects[] = {"stretch", "not_larger", "not_smaller", NULL};
    int mode = 0, coord = COORD_ASYMMETRIC, near = NEAREST_FLOOR, aspect = 0;

    /* Upsample of opset 7 knew a bilinear mode by that name in some exporters. */
    if (node_is(node, "Upsample") && strcmp(node_string(node, "mode", "nearest"), "bilinear") == 0)
        mode = RESIZE_LINEAR;
    else
        TRY(choice(node, "mode", "nearest", modes, &mode));
    if (node_is(node, "Resize") && node->opset >= 11) {
        TRY(choice(node, "coordinate_transformation_mode", "half_pixel", coords, &coord));
        TRY(choice(node, "nearest_mode", "round_prefer_floor", nearest, &near));
        TRY(choice(node, "keep_aspect_ratio_policy", "stretch", aspects, &aspect));
    } else if (node_is(node, "Resize")) {
        near = NEAREST_SIMPLE;
    }
    ret->mode = (ResizeMode)mode;
    ret->coords = (CoordMode)coord;
    ret->nearest = (NearestMode)near;
    ret->aspect = (AspectPolicy)aspect;
    ret->antialias = node_int(node, "antialias", 0) != 0;
    ret->exclude_outside = node_int(node, "exclude_outside", 0) != 0;
    ret->cubic_a = (double)node_float(node, "cubic_coeff_a", -0.75f);
    ret->extrapolation = node_float(node, "extrapolation_value", 0);
    return NULL;
}

/* Where the lists are: opset 10 and Upsample have scales alone as input 1; Upsample 7 has them as an attribute. */
static int scales_input(const Node *node)
{
    return node_is(node, "Resize") && node->opset >= 11 ? 2 : 1;
}

/* The axes that scales, sizes and roi are given for (opset 18); all of them by default. */
static Status resized_axes(const Node *node, int rank, int ret[TENSOR_MAX_RANK], int *ret_n)
{
    int64_t n;

    if (node_ints(node, "axes", &n) != NULL)
        return infer_axes(node, -1, rank, ret, ret_n);
    for (*ret_n = 0; *ret_n < rank; (*ret_n)++)
        ret[*ret_n] = *ret_n;
    return NULL;
}

static Status scaled_size(const Node *node, int64_t size, float scale, int64_t *ret)
{
    float scaled = floorf(scale * (float)size);

    if (!(scale > 0) || !(scaled < 9e18f))
        return node_error(node, CODE_MODEL, "scale %g cannot be applied to size %lld", (double)scale, (long long)size);
    *ret = (int64_t)scaled;
    return NULL;
}

/* Sizes and scales of `sizes` (n of them for `axes`), as the aspect policy has it: one scale for all, sizes rounded. */
static Status apply_sizes(const Node *node, Resize *resize, const int64_t *sizes, const int *axes, int n)
{
    float common = 0;

    for (int i = 0; i < n; i++) {
        ResizeAxis *axis = &resize->axis[axes[i]];
        if (sizes[i] < 0 || (axis->in == 0 && sizes[i] != 0))
            return node_error(node, CODE_MODEL, "size %lld is not possible for axis %d", (long long)sizes[i], axes[i]);
        axis->out = sizes[i];
        axis->scale = axis->in == 0 ? 1 : (float)sizes[i] / (float)axis->in;
        if (i == 0 || (resize->aspect == ASPECT_NOT_LARGER ? axis->scale < common : axis->scale > common))
            common = axis->scale;
    }
    for (int i = 0; i < n && resize->aspect != ASPECT_STRETCH; i++) {
        ResizeAxis *axis = &resize->axis[axes[i]];
        float size = floorf(common * (float)axis->in + 0.5f);
        if (!(size < 9e18f))
            return node_error(node, CODE_MODEL, "scale %g is too large", (double)common);
        axis->scale = common;
        axis->out = (int64_t)size;
    }
    return NULL;
}

/* ---- positions and weights --------------------------------------------------------------------------------------- */

static float position(const Resize *resize, const ResizeAxis *axis, int64_t o)
{
    float x = (float)o, n_in = (float)axis->in, n_out = axis->scale * n_in, half = (x + 0.5f) / axis->scale - 0.5f;
    float roi = axis->roi_end - axis->roi_begin;

    switch (resize->coords) {
    case COORD_ALIGN_CORNERS:
        return n_out <= 1 || axis->out == 1 ? 0 : x * (n_in - 1) / (n_out - 1);
    case COORD_ASYMMETRIC:
        return x / axis->scale;
    case COORD_PYTORCH_HALF_PIXEL:
        return axis->out > 1 ? half : 0;
    case COORD_TF_HALF_PIXEL_FOR_NN:
        return (x + 0.5f) / axis->scale;
    case COORD_TF_CROP:
        return axis->roi_begin * (n_in - 1) +
               (axis->out > 1 ? x * roi * (n_in - 1) / ((float)axis->out - 1) : 0.5f * roi * (n_in - 1));
    case COORD_HALF_PIXEL_SYMMETRIC:
        return n_in / 2 * (1 - (float)axis->out / n_out) + half;
    case COORD_HALF_PIXEL:
        break;
    }
    return half;
}

static float nearest_of(NearestMode mode, float x, float scale)
{
    switch (mode) {
    case NEAREST_PREFER_FLOOR:
        return ceilf(x - 0.5f);
    case NEAREST_PREFER_CEIL:
        return floorf(x + 0.5f);
    case NEAREST_CEIL:
        return ceilf(x);
    case NEAREST_SIMPLE: /* opset 10 */
        return scale < 1 ? ceilf(x) : floorf(x);
    case NEAREST_FLOOR:
        break;
    }
    return floorf(x);
}

/* The interpolation kernel at distance d: a triangle, or Keys' cubic convolution with coefficient a. */
static double kernel(const Resize *resize, double d)
{
    double a = resize->cubic_a;

    d = fabs(d);
    if (resize->mode == RESIZE_LINEAR)
        return d < 1 ? 1 - d : 0;
    if (d <= 1)
        return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

static int64_t clamp_index(double x, int64_t n)
{
    return x >= (double)n ? n - 1 : x >= 0 ? (int64_t)x : 0; /* false for NaN */
}

/* Index and weight of every tap of output o. Those outside take the edge element, or no weight at all. */
static void fill_taps(const Resize *resize, ResizeAxis *axis, int64_t o, float x)
{
    double stretch = resize->antialias && axis->scale < 1 ? (double)axis->scale : 1, sum = 0;
    double first = floor((double)x) - (axis->taps / 2 - 1);

    for (int t = 0; t < axis->taps; t++) {
        double at = first + t, w = kernel(resize, (at - (double)x) * stretch);
        if (resize->exclude_outside && (at < 0 || at > (double)(axis->in - 1)))
            w = 0;
        axis->index[o * axis->taps + t] = clamp_index(at, axis->in);
        axis->weight[o * axis->taps + t] = w;
        sum += w;
    }
    for (int t = 0; t < axis->taps && sum != 0 && (resize->exclude_outside || stretch < 1); t++)
        axis->weight[o * axis->taps + t] /= sum;
}

static Status plan_axis(EvalCtx *ctx, const Resize *resize, ResizeAxis *axis)
{
    double support = resize->mode == RESIZE_CUBIC ? 2 : 1;
    int64_t n_taps;
    size_t bytes;
    void *data;

    if (resize->antialias && axis->scale < 1 && resize->mode != RESIZE_NEAREST)
        support = ceil(support / (double)axis->scale);
    if (support > 2 * (double)axis->in + 1) /* more than the whole axis to both sides */
        support = MAX(2 * (double)axis->in + 1, 2);
    axis->taps = resize->mode == RESIZE_NEAREST ? 1 : 2 * (int)MIN(support, 1e6);
    if (__builtin_mul_overflow(axis->out, axis->taps, &n_taps) || !size_mul((size_t)n_taps, sizeof(int64_t), &bytes))
        return eval_error(ctx, CODE_MODEL, "output size %lld is too large", (long long)axis->out);
    TRY(eval_scratch(ctx, bytes, &data));
    axis->index = data;
    if (resize->mode != RESIZE_NEAREST) {
        TRY(eval_scratch(ctx, bytes, &data));
        axis->weight = data;
    }
    if (resize->coords == COORD_TF_CROP) {
        TRY(eval_scratch(ctx, (size_t)axis->out * sizeof(bool), &data));
        axis->outside = data;
    }
    for (int64_t o = 0; o < axis->out; o++) {
        float x = position(resize, axis, o);
        if (axis->outside != NULL)
            axis->outside[o] = !(x >= 0 && x <= (float)(axis->in - 1));
        if (resize->mode == RESIZE_NEAREST)
            axis->index[o] = clamp_index((double)nearest_of(resize->nearest, x, axis->scale), axis->in);
        else
            fill_taps(resize, axis, o, x);
    }
    return NULL;
}

/* ---- one axis ---------------------------------------------------------------------------------------------------- */

static void pick(const ResizeAxis *axis, int64_t outer, size_t inner, const char *from, char *to)
{
    for (int64_t u = 0; u < outer; u++) {
        const char *block = from + (size_t)(u * axis->in) * inner;
        char *rows = to + (size_t)(u * axis->out) * inner;
        if (inner == 4)
            for (int64_t o = 0; o < axis->out; o++)
                memcpy(rows + 4 * o, block + 4 * axis->index[o], 4);
        else
            for (int64_t o = 0; o < axis->out; o++)
                memcpy(rows + (size_t)o * inner, block + (size_t)axis->index[o] * inner, inner);
    }
}

#define INTERPOLATE(suffix, T, unused)                                                                                 \
    static void interpolate_##suffix(const ResizeAxis *axis, int64_t outer, int64_t inner, const void *in, void *out)  \
    {                                                                                                                  \
        for (int64_t u = 0; u < outer; u++)                                                                            \
            for (int64_t o = 0; o < axis->out; o++) {                                                                  \
                T *y = (T *)out + (u * axis->out + o) * inner;                                                         \
                for (int t = 0; t < axis->taps; t++) {                                                                 \
                    T w = (T)axis->weight[o * axis->taps + t];                                                         \
                    const T *x = (const T *)in + (u * axis->in + axis->index[o * axis->taps + t]) * inner;             \
                    if (t == 0)                                                                                        \
                        for (int64_t i = 0; i < inner; i++)                                                            \
                            y[i] = w * x[i];                                                                           \
                    else if (w != 0)                                                                                   \
                        for (int64_t i = 0; i < inner; i++)                                                            \
                            y[i] += w * x[i];                                                                          \
                }                                                                                                      \
            }                                                                                                          \
    }
FAMILY_FLOATS(INTERPOLATE, 0)

/* Elements of which any axis lies outside the input: tf_crop_and_resize. */
static void extrapolate(const Resize *resize, const int64_t *dims, Tensor *out)
{
    int64_t index[TENSOR_MAX_RANK] = {0};

    for (int64_t i = 0; i < out->count; i++) {
        bool outside = false;
        for (int k = 0; k < resize->rank; k++)
            outside = outside || (resize->axis[k].outside != NULL && resize->axis[k].outside[index[k]]);
        if (outside)
            tensor_set(out, i, (double)resize->extrapolation);
        odometer_next(out->rank, dims, index);
    }
}

/* The axes in the order of the memory. */
static void turn_axes(Resize *resize)
{
    ResizeAxis channels = resize->axis[1];

    memmove(&resize->axis[1], &resize->axis[2], (size_t)(resize->rank - 2) * sizeof channels);
    resize->axis[resize->rank - 1] = channels;
}

static Status run_resize(EvalCtx *ctx, Resize *resize)
{
    const Tensor *x = ctx->in[0], *source = x;
    int64_t dims[TENSOR_MAX_RANK], out_dims[TENSOR_MAX_RANK];
    bool nearest = resize->mode == RESIZE_NEAREST, back;
    DType dtype = nearest || x->dtype == DT_DOUBLE ? x->dtype : DT_FLOAT;
    const void *from;
    size_t bytes;
    int left = 0;

    TRY(eval_element_bytes(ctx, 0, &bytes));
    for (int i = 0; i < x->rank; i++)
        out_dims[i] = resize->axis[i].out;
    if (ctx->channels_last)
        turn_axes(resize);
    for (int i = 0; i < x->rank; i++) {
        ResizeAxis *axis = &resize->axis[i];
        dims[i] = axis->in;
        axis->changes = axis->out != axis->in || axis->scale != 1 || resize->coords == COORD_TF_CROP;
        left += axis->changes;
        if (axis->changes && axis->in > 0)
            TRY(plan_axis(ctx, resize, axis));
    }
    if (left == 0)
        return eval_output_alias(ctx, 0, x, x->rank, x->dims);
    TRY(eval_converted(ctx, x, dtype, &source));
    back = source != x; /* integers are interpolated as float and cut off */
    bytes = dtype == DT_STRING ? bytes : (size_t)dtype_bits(dtype) / 8;
    TRY(eval_output(ctx, 0, x->dtype, x->rank, out_dims));
    if (ctx->out[0].count == 0)
        return NULL;
    from = source->data;
    for (int i = x->rank - 1; i >= 0; i--) {
        const ResizeAxis *axis = &resize->axis[i];
        int64_t outer = count_of(dims, 0, i), inner = count_of(dims, i + 1, x->rank), count;
        size_t needed;
        void *to = ctx->out[0].data;
        if (!axis->changes)
            continue;
        dims[i] = axis->out;
        if (--left > 0 || back) {
            TRY(tensor_measure(dtype, x->rank, dims, &count, &needed));
            TRY(eval_scratch(ctx, needed, &to));
        }
        if (nearest)
            pick(axis, outer, (size_t)inner * bytes, from, to);
        else if (dtype == DT_FLOAT)
            interpolate_FLOAT(axis, outer, inner, from, to);
        else
            interpolate_DOUBLE(axis, outer, inner, from, to);
        from = to;
    }
    for (int64_t i = 0; back && i < ctx->out[0].count; i++)
        tensor_set(&ctx->out[0], i, trunc((double)((const float *)from)[i]));
    if (resize->coords == COORD_TF_CROP)
        extrapolate(resize, dims, &ctx->out[0]);
    return NULL;
}

/* ---- evaluation -------------------------------------------------------------------------------------------------- */

static Status read_roi(EvalCtx *ctx, Resize *resize, const int *axes, int n)
{
    const Tensor *roi = eval_in(ctx, 1);

    if (roi == NULL || roi->count != 2 * n || !dtype_is_float(roi->dtype))
        return eval_error(ctx, CODE_MODEL, "tf_crop_and_resize needs a roi of %d numbers", 2 * n);
    for (int i = 0; i < n; i++) {
        resize->axis[axes[i]].roi_begin = (float)tensor_get(roi, i);
        resize->axis[axes[i]].roi_end = (float)tensor_get(roi, i + n);
    }
    return NULL;
}

static Status eval_resize(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    Resize *resize = arena_alloc(ctx->scratch, sizeof *resize);
    const Tensor *scales = eval_in(ctx, scales_input(ctx->node)), *sizes = eval_in(ctx, 3);
    int64_t n_listed = 0, *listed;
    const float *attr = node_floats(ctx->node, "scales", &n_listed);
    int axes[TENSOR_MAX_RANK], n;

    TRY(read_attrs(ctx->node, resize));
    TRY(resized_axes(ctx->node, x->rank, axes, &n));
    resize->rank = x->rank;
    for (int i = 0; i < x->rank; i++)
        resize->axis[i] = (ResizeAxis){.in = x->dims[i], .out = x->dims[i], .scale = 1, .roi_end = 1};
    if (sizes != NULL && sizes->count > 0) {
        TRY(eval_ints(ctx, 3, &listed, &n_listed));
        if (n_listed != n)
            return eval_error(ctx, CODE_MODEL, "%lld sizes for %d axes", (long long)n_listed, n);
        TRY(apply_sizes(ctx->node, resize, listed, axes, n));
    } else {
        if (scales != NULL && !dtype_is_float(scales->dtype))
            return eval_bad_dtype(ctx, scales_input(ctx->node));
        n_listed = scales != NULL ? scales->count : n_listed;
        if ((scales == NULL && attr == NULL) || n_listed != n)
            return eval_error(ctx, CODE_MODEL, "%lld scales for %d axes", (long long)n_listed, n);
        for (int i = 0; i < n; i++) {
            ResizeAxis *axis = &resize->axis[axes[i]];
            axis->scale = scales != NULL ? (float)tensor_get(scales, i) : attr[i];
            TRY(scaled_size(ctx->node, axis->in, axis->scale, &axis->out));
        }
    }
    if (resize->coords == COORD_TF_CROP)
        TRY(read_roi(ctx, resize, axes, n));
    return run_resize(ctx, resize);
}

/* ---- inference --------------------------------------------------------------------------------------------------- */

static Status infer_resize(Node *node)
{
    Shape in = infer_shape(node, 0), out = in;
    const Tensor *scales = node_constant(node, scales_input(node));
    int64_t n_scales = 0, sizes[TENSOR_MAX_RANK];
    const float *attr = node_floats(node, "scales", &n_scales);
    bool has_sizes = node_is(node, "Resize") && node->opset >= 11 && node_in(node, 3) != NULL, known = true;
    Dim content[TENSOR_MAX_RANK];
    Resize resize = {0};
    int axes[TENSOR_MAX_RANK], n;

    TRY(read_attrs(node, &resize));
    if (in.rank < 0) {
        infer_output(node, 0, infer_dtype(node, 0), &out);
        return NULL;
    }
    TRY(resized_axes(node, in.rank, axes, &n));
    for (int i = 0; i < n; i++)
        out.dims[axes[i]] = DIM_UNKNOWN;
    if (has_sizes && !(node_constant(node, 3) != NULL && node_constant(node, 3)->count == 0)) {
        int n_sizes = infer_content(node, 3, content, TENSOR_MAX_RANK);
        if (n_sizes >= 0 && n_sizes != n)
            return node_error(node, CODE_MODEL, "%d sizes for %d axes", n_sizes, n);
        for (int i = 0; i < n && n_sizes == n; i++) {
            ResizeAxis *axis = &resize.axis[axes[i]];
            if (resize.aspect == ASPECT_STRETCH)
                out.dims[axes[i]] = content_to_dim(content[i]);
            axis->in = in.dims[axes[i]].size;
            known = content_literal(content[i], &sizes[i]) && axis->in >= 0 && known;
        }
        if (known && n_sizes == n) {
            TRY(apply_sizes(node, &resize, sizes, axes, n));
            for (int i = 0; i < n; i++)
                out.dims[axes[i]] = dim_known(resize.axis[axes[i]].out);
        }
    } else if (scales != NULL || attr != NULL) {
        n_scales = scales != NULL ? scales->count : n_scales;
        if (n_scales != n || (scales != NULL && !dtype_is_float(scales->dtype)))
            return node_error(node, CODE_MODEL, "%lld scales for %d axes", (long long)n_scales, n);
        for (int i = 0; i < n; i++) {
            float scale = scales != NULL ? (float)tensor_get(scales, i) : attr[i];
            int64_t size;
            if (dim_is_known(in.dims[axes[i]])) {
                TRY(scaled_size(node, in.dims[axes[i]].size, scale, &size));
                out.dims[axes[i]] = dim_known(size);
            } else if (scale == 1) {
                out.dims[axes[i]] = in.dims[axes[i]];
            }
        }
    } else if (node_in(node, scales_input(node)) != NULL) {
        /* Whole numbers may come through shape arithmetic. */
        int n_content = infer_content(node, scales_input(node), content, TENSOR_MAX_RANK);
        for (int i = 0; i < n && n_content == n; i++) {
            int64_t scale;
            if (content_literal(content[i], &scale) && scale > 0 && dim_is_known(in.dims[axes[i]])) {
                TRY(scaled_size(node, in.dims[axes[i]].size, (float)scale, &sizes[i]));
                out.dims[axes[i]] = dim_known(sizes[i]);
            } else if (content[i].size == 1) {
                out.dims[axes[i]] = in.dims[axes[i]];
            }
        }
    }
    infer_output(node, 0, infer_dtype(node, 0), &out);
    return NULL;
}

static const AttrSpec resize_attrs[] = {
    {"mode", ATTR_STRING, false},
    {"coordinate_transformation_mode", ATTR_STRING, false},
    {"nearest_mode", ATTR_STRING, false},
    {"cubic_coeff_a", ATTR_FLOAT, false},
    {"exclude_outside", ATTR_INT, false},
    {"extrapolation_value", ATTR_FLOAT, false},
    {"antialias", ATTR_INT, false},
    {"axes", ATTR_INTS, false},
    {"keep_aspect_ratio_policy", ATTR_STRING, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec upsample_attrs[] = {
    {"mode", ATTR_STRING, false},
    {"scales", ATTR_FLOATS, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_resize = {
    .type = "Resize", .domain = "", .versions = {10, 11, 13, 18, 19}, .min_in = 1, .max_in = 4, .min_out = 1,
    .max_out = 1, .attrs = resize_attrs, .infer = infer_resize, .eval = eval_resize, .quant = RULE_SAME_SCALE,
    .widen_half = true,
};
const OpDef op_upsample = {
    .type = "Upsample", .domain = "", .versions = {7, 9, 10}, .min_in = 1, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = upsample_attrs, .infer = infer_resize, .eval = eval_resize, .quant = RULE_SAME_SCALE, .widen_half = true,
};
