/* op_conv.c - Conv and ConvTranspose.
 *
 *     x (N, C, D1..Dk), weight (M, C/g, K1..Kk), bias (M,)  ->  y (N, M, O1..Ok)
 *     transposed: weight (C, M/g, K1..Kk)
 */
#include "src/ops/heavy.h"

#include <string.h>

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

/* Group, channels and bias against the weight; out_channels from it. */
static bool check_channels(const Node *node, int64_t channels, int64_t weight_outer, int64_t weight_inner,
                           bool transposed, Window *window, Problem *problem)
{
    int64_t groups = node_int(node, "group", 1), out;

    if (groups < 1) {
        problem_set(problem, "attribute 'group' is %lld, expected 1 or more", (long long)groups);
        return false;
    }
    if (!transposed && (channels % groups != 0 || channels / groups != weight_inner)) {
        problem_set(problem, "weight expects %lld input channels in each of %lld groups, the input has %lld",
                    (long long)weight_inner, (long long)groups, (long long)channels);
        return false;
    }
    if (!transposed && weight_outer % groups != 0) {
        problem_set(problem, "%lld output channels do not divide into %lld groups", (long long)weight_outer,
                    (long long)groups);
        return false;
    }
    if (transposed && (channels % groups != 0 || weight_outer != channels)) {
        problem_set(problem, "weight expects %lld input channels in %lld groups, the input has %lld",
                    (long long)weight_outer, (long long)groups, (long long)channels);
        return false;
    }
    if (__builtin_mul_overflow(weight_inner, groups, &out)) {
        problem_set(problem, "too many output channels");
        return false;
    }
    window->groups = groups;
    window->channels_in = channels;
    window->channels_out = transposed ? out : weight_outer;
    return true;
}

Status conv_infer(Node *node, int x, int weight, DType dtype)
{
    Shape in = infer_shape(node, x), kernel = infer_shape(node, weight), out = shape_unknown();
    int64_t sizes[KERNEL_MAX_SPACE];
    Geometry geometry;
    Problem problem;
    Window window;
    int space, rank = in.rank >= 0 ? in.rank : kernel.rank;

    if (rank < 0) {
        infer_output(node, 0, dtype, &out);
        return NULL;
    }
    if (!geometry_space(rank, &space, &problem))
        return node_error(node, rank > 5 ? CODE_UNSUPPORTED : CODE_MODEL, "%s", problem.text);
    if (in.rank >= 0 && kernel.rank >= 0 && in.rank != kernel.rank)
        return node_error(node, CODE_MODEL, "weight has rank %d, the input has rank %d", kernel.rank, in.rank);
    for (int d = 0; d < space; d++)
        sizes[d] = kernel.rank < 0 ? -1 : kernel.dims[2 + d].size;
    if (!geometry_read(node, space, sizes, &geometry, &problem))
        return node_error(node, CODE_MODEL, "%s", problem.text);
    if (in.rank >= 0 && kernel.rank >= 0 && dim_is_known(in.dims[1]) && dim_is_known(kernel.dims[0]) &&
        dim_is_known(kernel.dims[1]) &&
        !check_channels(node, in.dims[1].size, kernel.dims[0].size, kernel.dims[1].size, false, &window, &problem))
        return node_error(node, CODE_MODEL, "%s", problem.text);
    out.rank = rank;
    out.dims[0] = in.rank >= 0 ? in.dims[0] : DIM_UNKNOWN;
    out.dims[1] = kernel.rank >= 0 ? kernel.dims[0] : DIM_UNKNOWN;
    for (int d = 0; d < space; d++) {
        int64_t size, begin, end;
        out.dims[2 + d] = DIM_UNKNOWN;
        if (in.rank < 0 || !dim_is_known(in.dims[2 + d]) || geometry.kernel[d] < 0)
            continue;
        if (!geometry_axis(&geometry, d, in.dims[2 + d].size, &size, &begin, &end, &problem))
            return node_error(node, CODE_MODEL, "%s", problem.text);
        out.dims[2 + d] = dim_known(size);
    }
    infer_output(node, 0, dtype, &out);
    return NULL;
}

Status conv_window(const EvalCtx *ctx, const Tensor *x, const Tensor *weight, Window *ret)
{
    Geometry geometry;
    Problem problem;
    int space;

    if (!geometry_space(x->rank, &space, &problem))
        return eval_error(ctx, x->rank > 5 ? CODE_UNSUPPORTED : CODE_MODEL, "%s", problem.text);
    if (weight->rank != x->rank)
        return eval_error(ctx, CODE_MODEL, "weight has rank %d, the input has rank %d", weight->rank, x->rank);
    if (!geometry_read(ctx->node, space, weight->dims + 2, &geometry, &problem) ||
        !geometry_window(&geometry, x->dims, ret, &problem) ||
        !check_channels(ctx->node, x->dims[1], weight->dims[0], weight->dims[1], false, ret, &problem))
        return eval_error(ctx, CODE_MODEL, "%s", problem.text);
    return NULL;
}

void conv_output_dims(const Window *window, int64_t dims[TENSOR_MAX_RANK])
{
    dims[0] = window->batch;
    dims[1] = window->channels_out;
    for (int d = 0; d < window->space; d++)
        dims[2 + d] = window->out[KERNEL_MAX_SPACE - window->space + d];
}

static Status infer_conv(Node *node)
{
    return conv_infer(node, 0, 1, infer_dtype(node, 0));
}

/* ---- the transposed form: sizes run the other way ---------------------------------------------------------------- */

typedef struct Transposed {
    Geometry geometry;
    const int64_t *output_shape; /* (space,), or NULL */
    int64_t output_padding[KERNEL_MAX_SPACE];
} Transposed;

static bool read_transposed(const Node *node, int space, const int64_t *kernel, Transposed *ret, Problem *problem)
{
    int64_t n;
    const int64_t *padding = node_ints(node, "output_padding", &n);

    memset(ret, 0, sizeof *ret);
    if (!geometry_read(node, space, kernel, &ret->geometry, problem))
        return false;
    if (padding != NULL && n != 0) {
        if (n != space) {
            problem_set(problem, "attribute 'output_padding' has %lld numbers, expected %d", (long long)n, space);
            return false;
        }
        for (int d = 0; d < space; d++) {
            /* More than that leaves places that no kernel reaches; the specification forbids it. */
            if (padding[d] < 0 || padding[d] >= MAX(ret->geometry.stride[d], ret->geometry.dilation[d])) {
                problem_set(problem, "attribute 'output_padding' holds %lld, expected less than stride or dilation",
                            (long long)padding[d]);
                return false;
            }
            ret->output_padding[d] = padding[d];
        }
    }
    ret->output_shape = node_ints(node, "output_shape", &n);
    if (n == space + 2 && ret->output_shape != NULL)
        ret->output_shape += 2; /* some exporters list batch and channels too */
    else if (n == 0)
        ret->output_shape = NULL;
    else if (n != space) {
        problem_set(problem, "attribute 'output_shape' has %lld numbers, expected %d", (long long)n, space);
        return false;
    }
    return true;
}

/* out = stride * (in - 1) + output_padding + reach - begin - end, or the other way round: pads from a wanted size. An
 * odd pad goes to the end for SAME_UPPER, else to the begin. */
static bool transposed_axis(const Transposed *t, int d, int64_t in, int64_t *ret_out, int64_t *ret_begin,
                            int64_t *ret_end, Problem *problem)
{
    const Geometry *geometry = &t->geometry;
    bool same = geometry->auto_pad == AUTO_PAD_SAME_UPPER || geometry->auto_pad == AUTO_PAD_SAME_LOWER;
    int64_t spread, full, out = 0, begin = geometry->pad_begin[d], end = geometry->pad_end[d];

    if (in < 1 || __builtin_mul_overflow(in - 1, geometry->stride[d], &spread) ||
        __builtin_add_overflow(spread, t->output_padding[d] + (geometry->kernel[d] - 1) * geometry->dilation[d] + 1,
                               &full) ||
        __builtin_mul_overflow(in, geometry->stride[d], &out)) {
        problem_set(problem, "spatial axis %d has %lld elements", d, (long long)in);
        return false;
    }
    if (t->output_shape != NULL || same) {
        if (t->output_shape != NULL)
            out = t->output_shape[d];
        else
            out = MIN(out, full); /* in * stride, but the runtime adds nothing behind the last kernel */
        int64_t total = MAX(full - out, 0);
        begin = geometry->auto_pad == AUTO_PAD_SAME_UPPER ? total / 2 : total - total / 2;
        end = total - begin;
    } else {
        out = full - begin - end;
    }
    if (out < 1) {
        problem_set(problem, "the output would have %lld elements on spatial axis %d", (long long)out, d);
        return false;
    }
    *ret_out = out;
    *ret_begin = begin;
    *ret_end = end;
    return true;
}

static Status infer_conv_transpose(Node *node)
{
    Shape in = infer_shape(node, 0), kernel = infer_shape(node, 1), out = shape_unknown();
    int64_t sizes[KERNEL_MAX_SPACE];
    Transposed transposed;
    Problem problem;
    Window window;
    int space;

    if (in.rank < 0 || kernel.rank < 0) {
        infer_output(node, 0, infer_dtype(node, 0), &out);
        return NULL;
    }
    if (!geometry_space(in.rank, &space, &problem))
        return node_error(node, in.rank > 5 ? CODE_UNSUPPORTED : CODE_MODEL, "%s", problem.text);
    if (in.rank != kernel.rank)
        return node_error(node, CODE_MODEL, "weight has rank %d, the input has rank %d", kernel.rank, in.rank);
    for (int d = 0; d < space; d++)
        sizes[d] = kernel.dims[2 + d].size;
    if (!read_transposed(node, space, sizes, &transposed, &problem))
        return node_error(node, CODE_MODEL, "%s", problem.text);
    out.rank = in.rank;
    out.dims[0] = in.dims[0];
    out.dims[1] = DIM_UNKNOWN;
    if (dim_is_known(kernel.dims[0]) && dim_is_known(kernel.dims[1])) {
        int64_t channels = dim_is_known(in.dims[1]) ? in.dims[1].size : kernel.dims[0].size;
        if (!check_channels(node, channels, kernel.dims[0].size, kernel.dims[1].size, true, &window, &problem))
            return node_error(node, CODE_MODEL, "%s", problem.text);
        out.dims[1] = dim_known(window.channels_out);
    }
    for (int d = 0; d < space; d++) {
        int64_t size, begin, end;
        out.dims[2 + d] = transposed.output_shape != NULL ? dim_known(MAX(transposed.output_shape[d], 0)) : DIM_UNKNOWN;
        if (!dim_is_known(in.dims[2 + d]) || transposed.geometry.kernel[d] < 0)
            continue;
        if (!transposed_axis(&transposed, d, in.dims[2 + d].size, &size, &begin, &end, &problem))
            return node_error(node, CODE_MODEL, "%s", problem.text);
        out.dims[2 + d] = dim_known(size);
    }
    infer_output(node, 0, infer_dtype(node, 0), &out);
    return NULL;
}

static Status transposed_window(const EvalCtx *ctx, const Tensor *x, const Tensor *weight, Window *ret)
{
    Transposed transposed;
    Problem problem;
    int space, from;

    if (!geometry_space(x->rank, &space, &problem))
        return eval_error(ctx, x->rank > 5 ? CODE_UNSUPPORTED : CODE_MODEL, "%s", problem.text);
    if (weight->rank != x->rank)
        return eval_error(ctx, CODE_MODEL, "weight has rank %d, the input has rank %d", weight->rank, x->rank);
    window_init(ret, space);
    if (!read_transposed(ctx->node, space, weight->dims + 2, &transposed, &problem) ||
        !check_channels(ctx->node, x->dims[1], weight->dims[0], weight->dims[1], true, ret, &problem))
        return eval_error(ctx, CODE_MODEL, "%s", problem.text);
    ret->batch = x->dims[0];
    from = KERNEL_MAX_SPACE - space;
    for (int d = 0; d < space; d++) {
        ret->in[from + d] = x->dims[2 + d];
        ret->kernel[from + d] = transposed.geometry.kernel[d];
        ret->stride[from + d] = transposed.geometry.stride[d];
        ret->dilation[from + d] = transposed.geometry.dilation[d];
        if (!transposed_axis(&transposed, d, x->dims[2 + d], &ret->out[from + d], &ret->pad_begin[from + d],
                             &ret->pad_end[from + d], &problem))
            return eval_error(ctx, CODE_MODEL, "%s", problem.text);
        /* What output_padding or a wanted size adds is a negative pad to the kernels. */
        ret->pad_end[from + d] = (ret->in[from + d] - 1) * ret->stride[from + d] +
                                 (ret->kernel[from + d] - 1) * ret->dilation[from + d] + 1 - ret->pad_begin[from + d] -
                                 ret->out[from + d];
    }
    return NULL;
}

/* ---- evaluation -------------------------------------------------------------------------------------------------- */

typedef struct Job {
    FastConvSpec spec;
    FastPacks *packs; /* NULL: the weight or bias is not constant */
} Job;

static void *make_fast(const void *context)
{
    const Job *job = context;
    return fast_conv_new(&job->spec, job->packs);
}

/* What tells one primitive of this node from another. */
typedef struct Key {
    Window window;
    bool channels_last, posts;
} Key;

static FastConv *prepare(EvalCtx *ctx, const Job *job, bool *ret_owned)
{
    Key key;

    memset(&key, 0, sizeof key);
    key.window = job->spec.window;
    key.channels_last = job->spec.channels_last;
    key.posts = job->spec.n_posts > 0;
    return heavy_prepare(ctx, &key, sizeof key, job->packs != NULL, make_fast, job, fast_conv_free, ret_owned);
}

/* Runs and gives up what prepare() gave. False: not done, run the reference. */
static Status run_fast(EvalCtx *ctx, ReadyForm form, FastConv *conv, bool owned, const float *x, float *y, bool *ret_done)
{
    void *scratch;
    Status status = eval_scratch(ctx, fast_conv_scratch(conv), &scratch);

    *ret_done = status == NULL && fast_conv_run(conv, x, y, scratch);
    if (owned)
        fast_conv_free(conv);
    else if (*ret_done && ctx->in[0]->dtype == DT_FLOAT)
        ready_keep(ctx, form, conv);
    return status;
}

static bool all_constant(const EvalCtx *ctx)
{
    return eval_is_constant(ctx, 1) && (eval_in(ctx, 2) == NULL || eval_is_constant(ctx, 2));
}

static Status run_reference(EvalCtx *ctx, const FastConvSpec *spec, const float *x, float *y)
{
    const void *from = x;
    void *to = y;

    if (ctx->channels_last) {
        TRY(heavy_turn_in(ctx, 0, &from));
        TRY(heavy_turn_room(ctx, &to));
    }
    (spec->transposed ? conv_transpose_float : conv_float)(ctx->team, &spec->window, from, spec->weight, spec->bias, to);
    heavy_turn_back(ctx, to);
    return NULL;
}

/* The window and the spec of the primitive; the floats of x. */
static Status read_conv(EvalCtx *ctx, bool transposed, FastConvSpec *ret, const float **ret_x)
{
    const Tensor *x = ctx->in[0], *weight = ctx->in[1], *bias = eval_in(ctx, 2);
    const float *data;

    *ret = (FastConvSpec){.threads = heavy_threads(ctx), .transposed = transposed, .channels_last = ctx->channels_last,
                          .x_type = KERNEL_FLOAT, .y_type = KERNEL_FLOAT};
    TRY(eval_require_same_dtype(ctx, 0, 1));
    TRY(eval_require_same_dtype(ctx, 0, 2));
    TRY((transposed ? transposed_window : conv_window)(ctx, x, weight, &ret->window));
    if (bias != NULL && bias->count != ret->window.channels_out)
        return eval_error(ctx, CODE_MODEL, "bias has %lld elements, expected %lld", (long long)bias->count,
                          (long long)ret->window.channels_out);
    TRY(heavy_floats(ctx, 0, ret_x));
    TRY(heavy_floats(ctx, 1, &data));
    ret->weight = data;
    if (bias != NULL) {
        TRY(heavy_floats(ctx, 2, &data));
        ret->bias = data;
    }
    return NULL;
}

static Status run_conv(EvalCtx *ctx, bool transposed, bool fast)
{
    const Tensor *x = ctx->in[0];
    int64_t dims[TENSOR_MAX_RANK];
    const float *x_data;
    FloatOutput y;
    bool done = false, owned;
    Job job = {.packs = NULL};

    TRY(read_conv(ctx, transposed, &job.spec, &x_data));
    conv_output_dims(&job.spec.window, dims);
    TRY(heavy_output(ctx, 0, x->dtype, x->rank, dims, &y));
    job.packs = fast && all_constant(ctx) ? heavy_packs(ctx) : NULL;
    FastConv *conv = fast ? prepare(ctx, &job, &owned) : NULL;
    if (conv != NULL)
        TRY(run_fast(ctx, READY_ALONE, conv, owned, x_data, y.data, &done));
    if (!done)
        TRY(run_reference(ctx, &job.spec, x_data, y.data));
    return heavy_finish(ctx, &y);
}

Status conv_run_posts(EvalCtx *ctx, const FastPost *posts, int n_posts, int z, bool *ret_done)
{
    const Tensor *x = ctx->in[0], *added = eval_in(ctx, z);
    int64_t dims[TENSOR_MAX_RANK];
    const float *x_data;
    bool owned;
    Job job;

    *ret_done = false;
    TRY(read_conv(ctx, false, &job.spec, &x_data));
    conv_output_dims(&job.spec.window, dims);
    for (int i = 0; i < n_posts; i++)
        job.spec.posts[job.spec.n_posts++] = posts[i];
    job.packs = all_constant(ctx) ? heavy_packs(ctx) : NULL;
    FastConv *conv = prepare(ctx, &job, &owned);
    if (conv == NULL)
        return NULL;
    /* The sum starts from z, best where z lies; not where the convolution still reads it as x. */
    Status status = eval_output_over(ctx, 0, added != NULL && added->data != x->data ? z : -1, x->dtype, x->rank, dims);
    if (status == NULL && added != NULL && !tensor_same_shape(added, &ctx->out[0]))
        status = eval_error(ctx, CODE_MODEL, "input %d is %s, expected %s as the output", z,
                            tensor_shape_text(ctx->scratch, added), tensor_shape_text(ctx->scratch, &ctx->out[0]));
    if (status != NULL) {
        if (owned)
            fast_conv_free(conv);
        return status;
    }
    if (added != NULL && added->data != ctx->out[0].data)
        memcpy(ctx->out[0].data, added->data, added->bytes);
    TRY(run_fast(ctx, READY_WITH_POSTS, conv, owned, x_data, ctx->out[0].data, ret_done));
    return *ret_done ? NULL : eval_error(ctx, CODE_MEMORY, "oneDNN could not run the convolution");
}

static Status eval_conv(EvalCtx *ctx)
{
    return run_conv(ctx, false, false);
}

static Status run_conv_fast(EvalCtx *ctx, bool transposed)
{
    bool done;

    TRY(ready_run(ctx, READY_ALONE, DT_FLOAT, -1, &done));
    return done ? NULL : run_conv(ctx, transposed, true);
}

static Status eval_conv_fast(EvalCtx *ctx)
{
    return run_conv_fast(ctx, false);
}

static Status eval_conv_transpose(EvalCtx *ctx)
{
    return run_conv(ctx, true, false);
}

static Status eval_conv_transpose_fast(EvalCtx *ctx)
{
    return run_conv_fast(ctx, true);
}

static bool accepts_float(const EvalCtx *ctx)
{
    return ctx->in[0]->dtype == DT_FLOAT && ctx->in[1]->dtype == DT_FLOAT;
}

static int weight_axis_conv(const Node *node)
{
    (void)node;
    return 0;
}

static int weight_axis_conv_transpose(const Node *node)
{
    return node_int(node, "group", 1) == 1 ? 1 : -1; /* with groups axis 1 is a part of the channels only */
}

const AttrSpec conv_attrs[] = {{"auto_pad", ATTR_STRING, false}, {"dilations", ATTR_INTS, false},
                               {"group", ATTR_INT, false},       {"kernel_shape", ATTR_INTS, false},
                               {"pads", ATTR_INTS, false},       {"strides", ATTR_INTS, false},
                               {NULL, ATTR_UNDEFINED, false}};

static const AttrSpec conv_transpose_attrs[] = {
    {"auto_pad", ATTR_STRING, false},     {"dilations", ATTR_INTS, false},      {"group", ATTR_INT, false},
    {"kernel_shape", ATTR_INTS, false},   {"output_padding", ATTR_INTS, false}, {"output_shape", ATTR_INTS, false},
    {"pads", ATTR_INTS, false},           {"strides", ATTR_INTS, false},        {NULL, ATTR_UNDEFINED, false}};

static const OpImpl conv_impls[] = {{"onednn", accepts_float, eval_conv_fast}, {NULL, NULL, NULL}};
static const OpImpl conv_transpose_impls[] = {{"onednn", accepts_float, eval_conv_transpose_fast}, {NULL, NULL, NULL}};

const OpDef op_conv = {
    .type = "Conv",
    .domain = "",
    .versions = {1, 11, 22},
    .min_in = 2,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    .attrs = conv_attrs,
    .infer = infer_conv,
    .eval = eval_conv,
    .impls = conv_impls,
    .quant = {QUANT_WEIGHTED, 1, 1, 2, weight_axis_conv},
    .widen_half = true,
};

const OpDef op_convtranspose = {
    .type = "ConvTranspose",
    .domain = "",
    .versions = {1, 11, 22},
    .min_in = 2,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    .attrs = conv_transpose_attrs,
    .infer = infer_conv_transpose,
    .eval = eval_conv_transpose,
    .impls = conv_transpose_impls,
    .quant = {QUANT_WEIGHTED, 1, 1, 2, weight_axis_conv_transpose},
    .widen_half = true,
};
