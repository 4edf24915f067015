/* op_pool.c - MaxPool, AveragePool, LpPool over windows; GlobalMaxPool, GlobalAveragePool, GlobalLpPool over whole
 * planes.
 *
 *     x (N, C, D1..Dk)  ->  y (N, C, O1..Ok) [, indices]            global: y (N, C, 1..1)
 */
#include "src/ops/heavy.h"

#include <string.h>

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

Status pool_infer(Node *node)
{
    Shape in = infer_shape(node, 0), out = shape_unknown();
    DType dtype = infer_dtype(node, 0);
    Geometry geometry;
    Problem problem;
    int space;

    if (in.rank >= 0) {
        if (!geometry_space(in.rank, &space, &problem))
            return node_error(node, in.rank > 5 ? CODE_UNSUPPORTED : CODE_MODEL, "%s", problem.text);
        if (!geometry_read(node, space, NULL, &geometry, &problem))
            return node_error(node, CODE_MODEL, "%s", problem.text);
        out = in;
        for (int d = 0; d < space; d++) {
            int64_t size, begin, end;
            out.dims[2 + d] = DIM_UNKNOWN;
            if (!dim_is_known(in.dims[2 + d]))
                continue;
            if (!geometry_axis(&geometry, d, in.dims[2 + d].size, &size, &begin, &end, &problem))
                return node_error(node, CODE_MODEL, "%s", problem.text);
            out.dims[2 + d] = dim_known(size);
        }
    }
    infer_output(node, 0, dtype, &out);
    infer_output(node, 1, DT_INT64, &out); /* indices of MaxPool */
    return NULL;
}

Status pool_infer_global(Node *node)
{
    Shape shape = infer_shape(node, 0);

    TRY(infer_rank_at_least(node, 0, 3));
    for (int d = 2; d < shape.rank; d++)
        shape.dims[d] = dim_known(1);
    infer_output(node, 0, infer_dtype(node, 0), &shape);
    return NULL;
}

Status pool_window(const EvalCtx *ctx, const Tensor *x, Window *ret)
{
    Geometry geometry;
    Problem problem;
    int space;

    if (!geometry_space(x->rank, &space, &problem))
        return eval_error(ctx, x->rank > 5 ? CODE_UNSUPPORTED : CODE_MODEL, "%s", problem.text);
    if (!geometry_read(ctx->node, space, NULL, &geometry, &problem) ||
        !geometry_window(&geometry, x->dims, ret, &problem))
        return eval_error(ctx, CODE_MODEL, "%s", problem.text);
    return NULL;
}

static void output_dims(const Window *window, int64_t dims[TENSOR_MAX_RANK])
{
    dims[0] = window->batch;
    dims[1] = window->channels_in;
    for (int d = 0; d < window->space; d++)
        dims[2 + d] = window->out[KERNEL_MAX_SPACE - window->space + d];
}

/* ---- oneDNN ------------------------------------------------------------------------------------------------------ */

typedef struct PoolJob {
    Window window;
    PoolKind kind;
    KernelType type;
    bool channels_last;
} PoolJob;

static void *make_fast(const void *context)
{
    const PoolJob *job = context;
    return fast_pool_new(&job->window, job->kind, job->type, job->channels_last);
}

static Status run_fast(EvalCtx *ctx, const Window *window, PoolKind kind, KernelType type, const void *x, void *y,
                       bool *ret_done)
{
    PoolJob job;
    void *scratch;
    bool owned;

    memset(&job, 0, sizeof job); /* it is its own key */
    job.window = *window;
    job.kind = kind;
    job.type = type;
    job.channels_last = ctx->channels_last;
    FastPool *pool = heavy_prepare(ctx, &job, sizeof job, true, make_fast, &job, fast_pool_free, &owned);
    *ret_done = false;
    if (pool == NULL)
        return NULL;
    TRY(eval_scratch(ctx, fast_pool_scratch(pool), &scratch));
    *ret_done = fast_pool_run(pool, heavy_threads(ctx), x, y, scratch);
    return NULL;
}

/* ---- MaxPool ----------------------------------------------------------------------------------------------------- */

static Status run_max(EvalCtx *ctx, bool fast)
{
    const Tensor *x = ctx->in[0];
    KernelType type = kernel_type(x->dtype);
    int64_t dims[TENSOR_MAX_RANK], *indices = NULL;
    const float *floats = NULL;
    FloatOutput output = {.dtype = DT_FLOAT};
    Window window;
    bool done = false;

    TRY(pool_window(ctx, x, &window));
    output_dims(&window, dims);
    if (eval_wants(ctx, 1)) {
        TRY(eval_output(ctx, 1, DT_INT64, x->rank, dims));
        indices = ctx->out[1].data;
    }
    const void *from = x->data;
    void *to;
    if (is_8_bit(x)) {
        TRY(eval_output(ctx, 0, x->dtype, x->rank, dims));
        to = ctx->out[0].data;
    } else {
        TRY(heavy_floats(ctx, 0, &floats));
        TRY(heavy_output(ctx, 0, x->dtype, x->rank, dims, &output));
        from = floats;
        to = output.data;
    }
    if (fast && indices == NULL)
        TRY(run_fast(ctx, &window, POOL_MAX, type, from, to, &done));
    if (!done && ctx->channels_last) {
        TRY(heavy_turn_in(ctx, 0, &from));
        TRY(heavy_turn_room(ctx, &to));
    }
    if (!done) {
        pool_max(ctx->team, &window, type, from, to, indices, node_int(ctx->node, "storage_order", 0) == 1);
        heavy_turn_back(ctx, to);
    }
    return is_8_bit(x) ? NULL : heavy_finish(ctx, &output);
}

static Status eval_max(EvalCtx *ctx)
{
    return run_max(ctx, false);
}

static Status eval_max_fast(EvalCtx *ctx)
{
    return run_max(ctx, true);
}

static bool accepts_max(const EvalCtx *ctx)
{
    return ctx->in[0]->dtype == DT_FLOAT || is_8_bit(ctx->in[0]);
}

/* ---- AveragePool, LpPool ----------------------------------------------------------------------------------------- */

static Status run_average(EvalCtx *ctx, bool fast)
{
    const Tensor *x = ctx->in[0];
    bool with_pad = node_int(ctx->node, "count_include_pad", 0) != 0, done = false;
    int64_t dims[TENSOR_MAX_RANK];
    const float *floats;
    FloatOutput y;
    Window window;

    TRY(pool_window(ctx, x, &window));
    output_dims(&window, dims);
    TRY(heavy_floats(ctx, 0, &floats));
    TRY(heavy_output(ctx, 0, x->dtype, x->rank, dims, &y));
    if (fast)
        TRY(run_fast(ctx, &window, with_pad ? POOL_AVERAGE_WITH_PAD : POOL_AVERAGE, KERNEL_FLOAT, floats, y.data,
                     &done));
    if (!done) {
        const void *from = floats;
        void *to = y.data;
        if (ctx->channels_last) {
            TRY(heavy_turn_in(ctx, 0, &from));
            TRY(heavy_turn_room(ctx, &to));
        }
        pool_average(ctx->team, &window, with_pad, from, to);
        heavy_turn_back(ctx, to);
    }
    return heavy_finish(ctx, &y);
}

static Status eval_average(EvalCtx *ctx)
{
    return run_average(ctx, false);
}

static Status eval_average_fast(EvalCtx *ctx)
{
    return run_average(ctx, true);
}

static bool accepts_float(const EvalCtx *ctx)
{
    return ctx->in[0]->dtype == DT_FLOAT;
}

static Status read_power(const EvalCtx *ctx, int *ret)
{
    int64_t p = node_int(ctx->node, "p", 2);

    if (p < 1 || p > 1000)
        return eval_error(ctx, CODE_MODEL, "attribute 'p' is %lld, expected 1 to 1000", (long long)p);
    *ret = (int)p;
    return NULL;
}

static Status eval_lp(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t dims[TENSOR_MAX_RANK];
    const float *floats;
    FloatOutput y;
    Window window;
    int p = 0;

    TRY(read_power(ctx, &p));
    TRY(pool_window(ctx, x, &window));
    output_dims(&window, dims);
    TRY(heavy_floats(ctx, 0, &floats));
    TRY(heavy_output(ctx, 0, x->dtype, x->rank, dims, &y));
    pool_lp(ctx->team, &window, p, floats, y.data);
    return heavy_finish(ctx, &y);
}

/* ---- the global forms -------------------------------------------------------------------------------------------- */

/* Planes (N * C) and elements of one; dims of the output. */
static Status global_sizes(const EvalCtx *ctx, const Tensor *x, int64_t dims[TENSOR_MAX_RANK], int64_t *ret_planes,
                           int64_t *ret_n)
{
    if (x->rank < 3)
        return eval_error(ctx, CODE_MODEL, "input has rank %d, expected 3 or more", x->rank);
    *ret_planes = x->dims[0] * x->dims[1];
    *ret_n = count_of(x->dims, 2, x->rank);
    for (int d = 0; d < x->rank; d++)
        dims[d] = d < 2 ? x->dims[d] : 1;
    if (*ret_n == 0 && *ret_planes > 0)
        return eval_error(ctx, CODE_MODEL, "the spatial axes hold no elements");
    return NULL;
}

static Status eval_global_float(EvalCtx *ctx, int p)
{
    const Tensor *x = ctx->in[0];
    int64_t dims[TENSOR_MAX_RANK], planes, n;
    const float *floats;
    FloatOutput y;

    TRY(global_sizes(ctx, x, dims, &planes, &n));
    TRY(heavy_floats(ctx, 0, &floats));
    TRY(heavy_output(ctx, 0, x->dtype, x->rank, dims, &y));
    if (p == 0 && ctx->channels_last)
        pool_global_average_last(ctx->team, x->dims[0], n, x->dims[1], floats, y.data);
    else if (p == 0)
        pool_global_average(ctx->team, planes, n, floats, y.data);
    else
        pool_global_lp(ctx->team, planes, n, p, floats, y.data);
    return heavy_finish(ctx, &y);
}

static Status eval_global_average(EvalCtx *ctx)
{
    return eval_global_float(ctx, 0);
}

static Status eval_global_lp(EvalCtx *ctx)
{
    int p = 0;

    TRY(read_power(ctx, &p));
    return eval_global_float(ctx, p);
}

static Status eval_global_max(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t dims[TENSOR_MAX_RANK], planes, n;
    const float *floats;
    FloatOutput y;

    TRY(global_sizes(ctx, x, dims, &planes, &n));
    if (is_8_bit(x)) {
        TRY(eval_output(ctx, 0, x->dtype, x->rank, dims));
        pool_global_max(ctx->team, planes, n, kernel_type(x->dtype), x->data, ctx->out[0].data);
        return NULL;
    }
    TRY(heavy_floats(ctx, 0, &floats));
    TRY(heavy_output(ctx, 0, x->dtype, x->rank, dims, &y));
    pool_global_max(ctx->team, planes, n, KERNEL_FLOAT, floats, y.data);
    return heavy_finish(ctx, &y);
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

static const AttrSpec max_attrs[] = {{"auto_pad", ATTR_STRING, false},   {"ceil_mode", ATTR_INT, false},
                                     {"dilations", ATTR_INTS, false},    {"kernel_shape", ATTR_INTS, true},
                                     {"pads", ATTR_INTS, false},         {"storage_order", ATTR_INT, false},
                                     {"strides", ATTR_INTS, false},      {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec average_attrs[] = {{"auto_pad", ATTR_STRING, false},   {"ceil_mode", ATTR_INT, false},
                                         {"count_include_pad", ATTR_INT, false}, {"dilations", ATTR_INTS, false},
                                         {"kernel_shape", ATTR_INTS, true},  {"pads", ATTR_INTS, false},
                                         {"strides", ATTR_INTS, false},      {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec lp_attrs[] = {{"auto_pad", ATTR_STRING, false}, {"ceil_mode", ATTR_INT, false},
                                    {"dilations", ATTR_INTS, false},  {"kernel_shape", ATTR_INTS, true},
                                    {"p", ATTR_INT, false},           {"pads", ATTR_INTS, false},
                                    {"strides", ATTR_INTS, false},    {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec global_lp_attrs[] = {{"p", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};

static const OpImpl max_impls[] = {{"onednn", accepts_max, eval_max_fast}, {NULL, NULL, NULL}};
static const OpImpl average_impls[] = {{"onednn", accepts_float, eval_average_fast}, {NULL, NULL, NULL}};

const OpDef op_maxpool = {
    .type = "MaxPool",
    .domain = "",
    .versions = {1, 8, 10, 11, 12, 22},
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 2,
    .attrs = max_attrs,
    .infer = pool_infer,
    .eval = eval_max,
    .impls = max_impls,
    .quant = RULE_SAME_SCALE,
    .widen_half = true,
};

const OpDef op_averagepool = {
    .type = "AveragePool",
    .domain = "",
    .versions = {1, 7, 10, 11, 19, 22},
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    .attrs = average_attrs,
    .infer = pool_infer,
    .eval = eval_average,
    .impls = average_impls,
    .quant = RULE_ELEMENTWISE(1),
    .widen_half = true,
};

const OpDef op_lppool = {
    .type = "LpPool",
    .domain = "",
    .versions = {2, 11, 18, 22},
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    .attrs = lp_attrs,
    .infer = pool_infer,
    .eval = eval_lp,
    .quant = RULE_FLOAT,
    .widen_half = true,
};

const OpDef op_globalaveragepool = {
    .type = "GlobalAveragePool",
    .domain = "",
    .versions = {1, 22},
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    .infer = pool_infer_global,
    .eval = eval_global_average,
    .quant = RULE_ELEMENTWISE(1),
    .widen_half = true,
};

const OpDef op_globalmaxpool = {
    .type = "GlobalMaxPool",
    .domain = "",
    .versions = {1, 22},
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    .infer = pool_infer_global,
    .eval = eval_global_max,
    .quant = RULE_SAME_SCALE,
    .widen_half = true,
};

const OpDef op_globallppool = {
    .type = "GlobalLpPool",
    .domain = "",
    .versions = {2, 22},
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    .attrs = global_lp_attrs,
    .infer = pool_infer_global,
    .eval = eval_global_lp,
    .quant = RULE_FLOAT,
    .widen_half = true,
};
