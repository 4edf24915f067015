/* op_slice.c - Slice and Pad.
 *
 *     Slice  axis of 5, start 1, end -1, step 2:   a[b]c[d]e
 *     Pad    the input lies inside the output; the border is a constant, or comes from the inside by mode:
 *            reflect  c b|a b c|b a     edge  a a|a b c|c c     wrap  b c|a b c|a b
 */
#include <string.h>

#include "src/ops/family.h"

/* ---- Slice ------------------------------------------------------------------------------------------------------- */

typedef struct SliceAxis {
    int64_t begin, count, step;
} SliceAxis;

/* Start and end count from the end when negative and are clamped, as in Python. step != 0. */
static SliceAxis slice_axis(int64_t size, int64_t start, int64_t end, int64_t step)
{
    SliceAxis ret = {0, 0, step};

    start = start < 0 ? (start < -size ? -1 : start + size) : start;
    end = end < 0 ? (end < -size ? -1 : end + size) : end;
    if (step > 0) {
        ret.begin = MIN(MAX(start, 0), size);
        end = MIN(MAX(end, 0), size);
        if (end > ret.begin)
            ret.count = (end - ret.begin - 1) / step + 1;
    } else {
        ret.begin = MIN(start, size - 1);
        end = MIN(end, size - 1);
        if (ret.begin > end && ret.begin >= 0) /* -(step + 1) is safe for the least number */
            ret.count = (ret.begin - end - 1) / (step == INT64_MIN ? INT64_MAX : -step) + 1;
    }
    return ret;
}

/* One of the lists starts, ends, axes, steps as content: input `input` since opset 10, before an attribute. */
static int slice_list(const Node *node, int input, const char *name, Dim ret[TENSOR_MAX_RANK])
{
    int64_t n = 0;
    const int64_t *listed;

    if (node->opset >= 10)
        return node_in(node, input) != NULL ? infer_content(node, input, ret, TENSOR_MAX_RANK) : -2;
    listed = node_ints(node, name, &n);
    if (listed == NULL || n > TENSOR_MAX_RANK)
        return -2;
    for (int64_t i = 0; i < n; i++)
        ret[i] = content_element(listed[i]);
    return (int)n;
}

/* An unknown dim that the slice takes whole keeps its name. */
static bool takes_whole(int64_t start, bool end_known, int64_t end, int64_t step)
{
    return step == 1 && start == 0 && end_known && end >= INT32_MAX;
}

static Status infer_slice(Node *node)
{
    Shape in = infer_shape(node, 0), out = in;
    Dim starts[TENSOR_MAX_RANK], ends[TENSOR_MAX_RANK], axes[TENSOR_MAX_RANK], steps[TENSOR_MAX_RANK];
    Dim content[INFER_MAX_CONTENT], taken[INFER_MAX_CONTENT];
    int n = slice_list(node, 1, "starts", starts), n_ends = slice_list(node, 2, "ends", ends);
    int n_axes = slice_list(node, 3, "axes", axes), n_steps = slice_list(node, 4, "steps", steps), n_content;
    SliceAxis only = {0, -1, 1};

    if (in.rank < 0) {
        infer_output(node, 0, infer_dtype(node, 0), &out);
        return NULL;
    }
    if (n < 0 || n_ends < 0 || n_axes == -1 || n_steps == -1) {
        for (int i = 0; i < in.rank; i++)
            out.dims[i] = DIM_UNKNOWN;
        infer_output(node, 0, infer_dtype(node, 0), &out);
        return NULL;
    }
    if (n != n_ends || (n_axes >= 0 && n_axes != n) || (n_steps >= 0 && n_steps != n) || n > in.rank)
        return node_error(node, CODE_MODEL, "starts, ends, axes and steps differ in length or pass rank %d", in.rank);
    for (int i = 0; i < n; i++) {
        int64_t start = 0, end = 0, step = 1, axis_number = i;
        bool start_known = content_literal(starts[i], &start), end_known = content_literal(ends[i], &end);
        bool step_known = n_steps < 0 || content_literal(steps[i], &step);
        int axis;
        if (n_axes >= 0 && !content_literal(axes[i], &axis_number)) {
            for (int k = 0; k < in.rank; k++)
                out.dims[k] = DIM_UNKNOWN;
            break;
        }
        TRY(infer_axis(node, axis_number, in.rank, &axis));
        if (step_known && step == 0)
            return node_error(node, CODE_MODEL, "step is 0 for axis %d", axis);
        if (start_known && end_known && step_known && dim_is_known(in.dims[axis])) {
            only = slice_axis(in.dims[axis].size, start, end, step);
            out.dims[axis] = dim_known(only.count);
        } else if (start_known && start == 0 && step_known && step == 1 && !end_known &&
                   dim_equal(ends[i], in.dims[axis])) {
            continue; /* [0 : N] of N */
        } else if (!(start_known && step_known && takes_whole(start, end_known, end, step))) {
            out.dims[axis] = DIM_UNKNOWN;
        }
    }
    infer_output(node, 0, infer_dtype(node, 0), &out);
    n_content = infer_content(node, 0, content, INFER_MAX_CONTENT);
    if (in.rank == 1 && n == 1 && n_content >= 0 && only.count >= 0) {
        for (int64_t i = 0; i < only.count; i++)
            taken[i] = content[only.begin + i * only.step];
        infer_set_content(node, 0, taken, (int)only.count);
    }
    return NULL;
}

static Status eval_list(EvalCtx *ctx, int input, const char *name, const int64_t **ret, int64_t *ret_n)
{
    int64_t *list = NULL;

    if (ctx->node->opset >= 10) {
        TRY(eval_ints(ctx, input, &list, ret_n));
        *ret = list;
    } else {
        *ret = node_ints(ctx->node, name, ret_n);
    }
    return NULL;
}

static Status eval_slice(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    const int64_t *starts, *ends, *axes, *steps;
    int64_t n, n_ends, n_axes, n_steps;
    int64_t dims[TENSOR_MAX_RANK], from[TENSOR_MAX_RANK], to[TENSOR_MAX_RANK], offset = 0;
    bool seen[TENSOR_MAX_RANK] = {false}, whole = true;
    size_t bytes;

    TRY(eval_element_bytes(ctx, 0, &bytes));
    TRY(eval_list(ctx, 1, "starts", &starts, &n));
    TRY(eval_list(ctx, 2, "ends", &ends, &n_ends));
    TRY(eval_list(ctx, 3, "axes", &axes, &n_axes));
    TRY(eval_list(ctx, 4, "steps", &steps, &n_steps));
    if (n < 0 || n != n_ends || (axes != NULL && n_axes != n) || (steps != NULL && n_steps != n) || n > x->rank)
        return eval_error(ctx, CODE_MODEL, "starts, ends, axes and steps differ in length or pass rank %d", x->rank);
    row_major_strides(x->rank, x->dims, from);
    for (int i = 0; i < x->rank; i++)
        dims[i] = x->dims[i];
    for (int64_t i = 0; i < n; i++) {
        int64_t step = steps != NULL ? steps[i] : 1;
        SliceAxis part;
        int axis;
        TRY(eval_axis(ctx, axes != NULL ? axes[i] : i, x->rank, &axis));
        if (seen[axis])
            return eval_error(ctx, CODE_MODEL, "axis %d is given twice", axis);
        seen[axis] = true;
        if (step == 0)
            return eval_error(ctx, CODE_MODEL, "step is 0 for axis %d", axis);
        part = slice_axis(x->dims[axis], starts[i], ends[i], step);
        whole = whole && part.count == x->dims[axis] && step > 0;
        dims[axis] = part.count;
        offset += part.count > 0 ? part.begin * from[axis] : 0;
        from[axis] = part.count > 1 ? from[axis] * step : 0;
    }
    if (whole)
        return eval_output_alias(ctx, 0, x, x->rank, dims);
    TRY(eval_output(ctx, 0, x->dtype, x->rank, dims));
    if (ctx->out[0].count == 0)
        return NULL;
    row_major_strides(x->rank, dims, to);
    strided_copy_shared(ctx->team, ctx->out[0].data, to, (const char *)x->data + offset * (int64_t)bytes, from, x->rank, dims,
                        bytes);
    return NULL;
}

/* ---- Pad --------------------------------------------------------------------------------------------------------- */

typedef enum PadMode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP } PadMode;

static Status pad_mode(const Node *node, PadMode *ret)
{
    static const char *const names[] = {"constant", "reflect", "edge", "wrap"};
    const char *mode = node_string(node, "mode", "constant");

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(mode, names[i]) == 0) {
            *ret = (PadMode)i;
            return NULL;
        }
    return node_error(node, CODE_MODEL, "mode '%s' is not one of constant, reflect, edge, wrap", mode);
}

static Status infer_pad(Node *node)
{
    Shape in = infer_shape(node, 0), out = in;
    Dim content[2 * TENSOR_MAX_RANK];
    int axes[TENSOR_MAX_RANK], n_axes = 0, n;
    int64_t n_attr = 0;
    const int64_t *attr = node_ints(node, "pads", &n_attr);
    PadMode mode;

    TRY(pad_mode(node, &mode));
    if (in.rank < 0) {
        infer_output(node, 0, infer_dtype(node, 0), &out);
        return NULL;
    }
    for (int i = 0; i < in.rank; i++)
        out.dims[i] = DIM_UNKNOWN;
    if (node->opset >= 11) {
        n = infer_content(node, 1, content, 2 * TENSOR_MAX_RANK);
    } else {
        n = n_attr <= 2 * TENSOR_MAX_RANK ? (int)n_attr : -1;
        for (int i = 0; i < n; i++)
            content[i] = content_element(attr[i]);
    }
    if (node->opset >= 18 && node_in(node, 3) != NULL)
        TRY(infer_axes(node, 3, in.rank, axes, &n_axes));
    else
        for (n_axes = 0; n_axes < in.rank; n_axes++)
            axes[n_axes] = n_axes;
    if (n >= 0 && n_axes >= 0 && n != 2 * n_axes)
        return node_error(node, CODE_MODEL, "%d pads for %d axes, expected two for each", n, n_axes);
    if (n >= 0 && n_axes >= 0)
        out = in;
    for (int i = 0; i < n_axes && n >= 0; i++) {
        int64_t before, after, size = in.dims[axes[i]].size;
        bool known = content_literal(content[i], &before);
        known = content_literal(content[i + n_axes], &after) && known;
        if (known && before == 0 && after == 0)
            continue;
        if (!known || size < 0) {
            out.dims[axes[i]] = DIM_UNKNOWN;
            continue;
        }
        if (__builtin_add_overflow(size, before, &size) || __builtin_add_overflow(size, after, &size) || size < 0)
            return node_error(node, CODE_MODEL, "axis %d of size %lld cannot be padded by %lld and %lld", axes[i],
                              (long long)in.dims[axes[i]].size, (long long)before, (long long)after);
        out.dims[axes[i]] = dim_known(size);
    }
    infer_output(node, 0, infer_dtype(node, 0), &out);
    return NULL;
}

/* Pads before and after each axis of the input. */
static Status eval_pads(EvalCtx *ctx, int64_t before[TENSOR_MAX_RANK], int64_t after[TENSOR_MAX_RANK])
{
    const Tensor *x = ctx->in[0];
    int axes[TENSOR_MAX_RANK], n_axes = x->rank;
    int64_t n = 0, *listed;
    const int64_t *pads = node_ints(ctx->node, "pads", &n);

    if (ctx->node->opset >= 11) {
        TRY(eval_ints(ctx, 1, &listed, &n));
        pads = listed;
    }
    for (int i = 0; i < x->rank; i++) {
        before[i] = after[i] = 0;
        axes[i] = i;
    }
    if (ctx->node->opset >= 18 && eval_in(ctx, 3) != NULL)
        TRY(eval_axes(ctx, 3, x->rank, axes, &n_axes));
    if (n != 2 * n_axes)
        return eval_error(ctx, CODE_MODEL, "%lld pads for %d axes, expected two for each", (long long)n, n_axes);
    for (int i = 0; i < n_axes; i++) {
        before[axes[i]] = pads[i];
        after[axes[i]] = pads[i + n_axes];
    }
    return NULL;
}

/* Where in 0..n-1 position i (outside of it) takes its element from. */
static int64_t border_source(PadMode mode, int64_t i, int64_t n)
{
    int64_t period = 2 * (n - 1), place;

    if (mode == PAD_EDGE || n == 1)
        return i < 0 ? 0 : n - 1;
    if (mode == PAD_WRAP)
        return (i % n + n) % n;
    place = (i % period + period) % period;
    return place < n ? place : period - place;
}

/* Fills the border axis by axis: slabs of the output copied within it. Axes before `axis` are whole already, those
 * behind only their inside. */
static void fill_borders(Tensor *out, PadMode mode, const int64_t *begin, const int64_t *inside, size_t bytes)
{
    int64_t strides[TENSOR_MAX_RANK], dims[TENSOR_MAX_RANK];
    char *data = out->data;

    row_major_strides(out->rank, out->dims, strides);
    for (int axis = 0; axis < out->rank; axis++) {
        int64_t offset = 0;
        for (int k = 0; k < out->rank; k++) {
            dims[k] = k < axis ? out->dims[k] : k == axis ? 1 : inside[k];
            offset += k > axis ? begin[k] * strides[k] : 0;
        }
        for (int64_t i = 0; i < out->dims[axis]; i++) {
            int64_t source;
            if (i >= begin[axis] && i < begin[axis] + inside[axis])
                continue;
            source = begin[axis] + border_source(mode, i - begin[axis], inside[axis]);
            strided_copy(data + (offset + i * strides[axis]) * (int64_t)bytes, strides,
                         data + (offset + source * strides[axis]) * (int64_t)bytes, strides, out->rank, dims, bytes);
        }
    }
}

/* The element of a constant border: input 2, the attribute `value` before opset 11, zero by default. */
static Status border_value(EvalCtx *ctx, size_t bytes, void *ret)
{
    const Tensor *x = ctx->in[0], *value = eval_in(ctx, 2);
    float attribute = node_float(ctx->node, "value", 0);

    memset(ret, 0, bytes);
    if (ctx->node->opset < 11) {
        Tensor one;
        TRY(tensor_view(&one, x->dtype, 0, NULL, ret));
        if (attribute != 0)
            tensor_set(&one, 0, (double)attribute);
        return NULL;
    }
    if (value == NULL || value->count == 0)
        return NULL;
    TRY(eval_require_same_dtype(ctx, 0, 2));
    if (value->count != 1)
        return eval_error(ctx, CODE_MODEL, "constant_value has %lld elements, expected a scalar",
                          (long long)value->count);
    memcpy(ret, value->data, bytes);
    return NULL;
}

static Status eval_pad(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t before[TENSOR_MAX_RANK], after[TENSOR_MAX_RANK], dims[TENSOR_MAX_RANK];
    int64_t begin[TENSOR_MAX_RANK], inside[TENSOR_MAX_RANK], from[TENSOR_MAX_RANK], to[TENSOR_MAX_RANK];
    int64_t from_offset = 0, to_offset = 0, kept = 1;
    _Alignas(16) unsigned char value[16];
    PadMode mode;
    size_t bytes;

    TRY(eval_element_bytes(ctx, 0, &bytes));
    TRY(pad_mode(ctx->node, &mode));
    TRY(eval_pads(ctx, before, after));
    TRY(border_value(ctx, bytes, value));
    row_major_strides(x->rank, x->dims, from);
    for (int i = 0; i < x->rank; i++) {
        int64_t first = before[i] < 0 ? -MAX(before[i], -x->dims[i]) : 0; /* cropped at the front */
        int64_t last = x->dims[i] + MAX(MIN(after[i], 0), -x->dims[i]);
        if (__builtin_add_overflow(x->dims[i], before[i], &dims[i]) ||
            __builtin_add_overflow(dims[i], after[i], &dims[i]) || dims[i] < 0)
            return eval_error(ctx, CODE_MODEL, "axis %d of size %lld cannot be padded by %lld and %lld", i,
                              (long long)x->dims[i], (long long)before[i], (long long)after[i]);
        inside[i] = MAX(last - first, 0);
        begin[i] = MAX(before[i], 0);
        from_offset += first * from[i];
        kept = MIN(kept, inside[i]);
    }
    TRY(eval_output(ctx, 0, x->dtype, x->rank, dims));
    if (ctx->out[0].count == 0)
        return NULL;
    if (mode == PAD_CONSTANT)
        strided_fill(ctx->out[0].data, ctx->out[0].count, value, bytes);
    else if (kept == 0)
        return eval_error(ctx, CODE_MODEL, "an empty input has nothing to pad with");
    if (kept == 0)
        return NULL;
    row_major_strides(x->rank, dims, to);
    for (int i = 0; i < x->rank; i++)
        to_offset += begin[i] * to[i];
    strided_copy((char *)ctx->out[0].data + to_offset * (int64_t)bytes, to,
                 (const char *)x->data + from_offset * (int64_t)bytes, from, x->rank, inside, bytes);
    if (mode != PAD_CONSTANT)
        fill_borders(&ctx->out[0], mode, begin, inside, bytes);
    return NULL;
}

static const AttrSpec slice_attrs[] = {
    {"starts", ATTR_INTS, false},
    {"ends", ATTR_INTS, false},
    {"axes", ATTR_INTS, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec pad_attrs[] = {
    {"mode", ATTR_STRING, false},
    {"pads", ATTR_INTS, false},
    {"value", ATTR_FLOAT, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_slice = {
    .type = "Slice", .domain = "", .versions = {1, 10, 11, 13}, .min_in = 1, .max_in = 5, .min_out = 1, .max_out = 1,
    .attrs = slice_attrs, .infer = infer_slice, .eval = eval_slice, .quant = RULE_SAME_SCALE,
};
const OpDef op_pad = {
    .type = "Pad", .domain = "", .versions = {2, 11, 13, 18, 19, 21, 23, 24, 25}, .min_in = 1, .max_in = 4,
    .min_out = 1, .max_out = 1, .attrs = pad_attrs, .infer = infer_pad, .eval = eval_pad, .quant = RULE_FLOAT,
    .unpack = true,
};
