/* op_qpool.c - com.microsoft's 8-bit ops over windows and rows: QLinearAveragePool, QLinearGlobalAveragePool,
 * QLinearSoftmax. Inputs of all: x x_scale x_zero y_scale y_zero; a zero point may be left out.
 */
#include "src/ops/heavy.h"

#include <string.h>

/* Only the layout that models are written in: channels_last is made by the runtime's own optimizer. */
static Status check_layout(const EvalCtx *ctx)
{
    if (node_int(ctx->node, "channels_last", 0) != 0)
        return eval_error(ctx, CODE_UNSUPPORTED, "attribute 'channels_last' 1 cannot be executed");
    return NULL;
}

static Status read_scales(const EvalCtx *ctx, Scale8 *ret_from, Scale8 *ret_to)
{
    TRY(read_scale8(ctx, 1, 2, ctx->in[0]->dtype, ret_from));
    return read_scale8(ctx, 3, 4, ctx->in[0]->dtype, ret_to);
}

static Status run_global(EvalCtx *ctx, int64_t n, Scale8 from, Scale8 to)
{
    const Tensor *x = ctx->in[0];
    int64_t planes = x->dims[0] * x->dims[1];
    bool good = planes == 0 ||
                (ctx->channels_last
                     ? qlinear_global_average_last(ctx->team, x->data, x->dims[0], n, x->dims[1], from, to,
                                                   ctx->out[0].data)
                     : qlinear_global_average(ctx->team, x->data, planes, n, from, to, ctx->out[0].data));

    if (!good)
        return eval_error(ctx, CODE_UNSUPPORTED, "%lld elements with scales %g and %g are beyond what can be averaged",
                          (long long)n, (double)from.scale, (double)to.scale);
    return NULL;
}

static Status eval_global_average(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t dims[TENSOR_MAX_RANK];
    Scale8 from, to;

    TRY(check_layout(ctx));
    TRY(read_scales(ctx, &from, &to));
    if (x->rank < 3)
        return eval_error(ctx, CODE_MODEL, "input has rank %d, expected 3 or more", x->rank);
    for (int d = 0; d < x->rank; d++)
        dims[d] = d < 2 ? x->dims[d] : 1;
    TRY(eval_output(ctx, 0, x->dtype, x->rank, dims));
    return run_global(ctx, count_of(x->dims, 2, x->rank), from, to);
}

static bool covers_all(const Window *window)
{
    for (int d = 0; d < KERNEL_MAX_SPACE; d++)
        if (window->kernel[d] != window->in[d] || window->pad_begin[d] != 0 || window->pad_end[d] != 0)
            return false;
    return true;
}

/* The mean is taken in float; one window over the whole plane is averaged in integers, as the runtime does. */
static Status eval_average(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    bool with_pad = node_int(ctx->node, "count_include_pad", 0) != 0;
    int64_t dims[TENSOR_MAX_RANK];
    void *real, *mean;
    Scale8 from, to;
    Window window;
    size_t x_bytes, y_bytes;

    TRY(check_layout(ctx));
    TRY(read_scales(ctx, &from, &to));
    TRY(pool_window(ctx, x, &window));
    window.channels_out = window.channels_in;
    conv_output_dims(&window, dims);
    TRY(eval_output(ctx, 0, x->dtype, x->rank, dims));
    if (covers_all(&window))
        return run_global(ctx, window_in_count(&window), from, to);
    if (!size_mul(x->bytes, sizeof(float), &x_bytes) || !size_mul(ctx->out[0].bytes, sizeof(float), &y_bytes))
        return eval_error(ctx, CODE_MODEL, "the input is too large");
    TRY(eval_scratch(ctx, x_bytes, &real));
    TRY(eval_scratch(ctx, y_bytes, &mean));
    dequantize_bytes(x->data, x->count, from, real);
    pool_average(ctx->team, &window, with_pad, real, mean);
    quantize_floats_shifted(mean, ctx->out[0].count, to, ctx->out[0].data);
    return NULL;
}

/* ---- QLinearSoftmax: `opset` says which Softmax it stands for ---------------------------------------------------- */

static Status eval_softmax(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    bool matrix = node_int(ctx->node, "opset", 13) < 13;
    Scale8 from, to;
    int axis;

    TRY(read_scales(ctx, &from, &to));
    TRY(eval_axis(ctx, node_int(ctx->node, "axis", matrix ? 1 : -1), x->rank, &axis));
    int64_t outer = count_of(x->dims, 0, axis);
    int64_t n = matrix ? count_of(x->dims, axis, x->rank) : x->dims[axis];
    int64_t inner = matrix ? 1 : count_of(x->dims, axis + 1, x->rank);
    TRY(eval_output(ctx, 0, x->dtype, x->rank, x->dims));
    qlinear_softmax(ctx->team, x->data, outer, n, inner, from, to, ctx->out[0].data);
    return NULL;
}

/* The layout that cannot be executed has a shape of its own, which nobody needs. */
static Status infer_pool(Node *node)
{
    Shape unknown = shape_unknown();

    if (node_int(node, "channels_last", 0) == 0)
        return strcmp(node->op_type, "QLinearAveragePool") == 0 ? pool_infer(node) : pool_infer_global(node);
    infer_output(node, 0, infer_dtype(node, 0), &unknown);
    return NULL;
}

static const AttrSpec average_attrs[] = {
    {"auto_pad", ATTR_STRING, false},       {"ceil_mode", ATTR_INT, false},    {"channels_last", ATTR_INT, false},
    {"count_include_pad", ATTR_INT, false}, {"dilations", ATTR_INTS, false},   {"kernel_shape", ATTR_INTS, true},
    {"pads", ATTR_INTS, false},             {"strides", ATTR_INTS, false},     {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec global_attrs[] = {{"channels_last", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec softmax_attrs[] = {
    {"axis", ATTR_INT, false}, {"opset", ATTR_INT, true}, {NULL, ATTR_UNDEFINED, false}};

const OpDef op_ms_qlinearaveragepool = {
    .type = "QLinearAveragePool",
    .domain = DOMAIN_MICROSOFT,
    .versions = {1},
    .min_in = 2,
    .max_in = 5,
    .min_out = 1,
    .max_out = 1,
    .attrs = average_attrs,
    .infer = infer_pool,
    .eval = eval_average,
    .quant = RULE_FLOAT,
};

const OpDef op_ms_qlinearglobalaveragepool = {
    .type = "QLinearGlobalAveragePool",
    .domain = DOMAIN_MICROSOFT,
    .versions = {1},
    .min_in = 2,
    .max_in = 5,
    .min_out = 1,
    .max_out = 1,
    .attrs = global_attrs,
    .infer = infer_pool,
    .eval = eval_global_average,
    .quant = RULE_FLOAT,
};

const OpDef op_ms_qlinearsoftmax = {
    .type = "QLinearSoftmax",
    .domain = DOMAIN_MICROSOFT,
    .versions = {1},
    .min_in = 2,
    .max_in = 5,
    .min_out = 1,
    .max_out = 1,
    .attrs = softmax_attrs,
    .infer = infer_same_as_input,
    .eval = eval_softmax,
    .quant = RULE_FLOAT,
};
