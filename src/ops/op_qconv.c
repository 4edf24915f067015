/* op_qconv.c - QLinearConv and ConvInteger: 8-bit convolutions with 32-bit sums.
 *
 *     acc = sum (x - x_zero) (w - w_zero[m]) + bias[m]     y = saturate(round(acc * x_s * w_s[m] / y_s) + y_zero)
 *     inputs  x x_scale x_zero w w_scale w_zero y_scale y_zero [bias]
 *     ConvInteger  x w [x_zero] [w_zero] -> y = acc
 */
#include "src/ops/heavy.h"

#include <string.h>

enum { Q_X, Q_X_SCALE, Q_X_ZERO, Q_W, Q_W_SCALE, Q_W_ZERO, Q_Y_SCALE, Q_Y_ZERO, Q_BIAS };

typedef struct QConv {
    Window window;
    Scale8 x_scale, y_scale;
    ChannelScales w;
    const float *multiplier; /* (w.scales,) */
    const int32_t *bias;     /* (M,), or NULL */
    const void *weight;
    FastPacks *packs; /* NULL: something besides x is not constant */
} QConv;

static Status infer_qconv(Node *node)
{
    return conv_infer(node, Q_X, Q_W, infer_dtype(node, Q_Y_ZERO));
}

static Status read_qconv(EvalCtx *ctx, QConv *ret)
{
    const Tensor *x = ctx->in[Q_X], *weight = ctx->in[Q_W];

    if (!is_8_bit(x) || !is_8_bit(weight) || !is_8_bit(ctx->in[Q_Y_ZERO]))
        return eval_error(ctx, CODE_UNSUPPORTED, "input, weight and output are %s, %s and %s, expected uint8 or int8",
                          dtype_name(x->dtype), dtype_name(weight->dtype), dtype_name(ctx->in[Q_Y_ZERO]->dtype));
    TRY(conv_window(ctx, x, weight, &ret->window));
    TRY(read_scale8(ctx, Q_X_SCALE, Q_X_ZERO, x->dtype, &ret->x_scale));
    TRY(read_scale8(ctx, Q_Y_SCALE, Q_Y_ZERO, ctx->in[Q_Y_ZERO]->dtype, &ret->y_scale));
    TRY(read_channel_scales(ctx, Q_W_SCALE, Q_W_ZERO, weight->dtype, ret->window.channels_out, &ret->w));
    TRY(read_bias32(ctx, Q_BIAS, ret->window.channels_out, &ret->bias));
    ret->multiplier = make_multipliers(ctx, ret->x_scale.scale, &ret->w, ret->y_scale.scale);
    ret->weight = weight->data;
    return NULL;
}

static bool all_constant(const EvalCtx *ctx)
{
    for (int i = Q_X_SCALE; i < ctx->n_in; i++)
        if (ctx->in[i] != NULL && !eval_is_constant(ctx, i))
            return false;
    return true;
}

/* What tells one primitive of this node from another. */
typedef struct Key {
    Window window;
    KernelType y_type;
    bool channels_last;
} Key;

typedef struct FastJob {
    FastConvSpec spec;
    FastPacks *packs;
} FastJob;

static void *make_fast(const void *context)
{
    const FastJob *job = context;
    return fast_conv_new(&job->spec, job->packs);
}

/* y_type 8 bits: the whole op into y; KERNEL_S32: sums with the channels last. */
static Status run_fast(EvalCtx *ctx, const QConv *conv, KernelType y_type, void *y, bool *ret_done)
{
    FastJob job = {.spec = {.window = conv->window, .threads = heavy_threads(ctx), .channels_last = ctx->channels_last,
                            .x_type = conv->x_scale.type, .y_type = y_type, .x_zero = conv->x_scale.zero,
                            .weight = conv->weight},
                   .packs = conv->packs};
    Key key;
    void *scratch;
    bool owned;

    if (y_type != KERNEL_S32) {
        job.spec.y_zero = conv->y_scale.zero;
        job.spec.multiplier = conv->multiplier;
        job.spec.multipliers = conv->w.scales;
        job.spec.bias = conv->bias;
    }
    memset(&key, 0, sizeof key);
    key.window = conv->window;
    key.y_type = y_type;
    key.channels_last = ctx->channels_last;
    FastConv *fast = heavy_prepare(ctx, &key, sizeof key, conv->packs != NULL, make_fast, &job, fast_conv_free, &owned);
    *ret_done = false;
    if (fast == NULL)
        return NULL;
    Status status = eval_scratch(ctx, fast_conv_scratch(fast), &scratch);
    if (status == NULL)
        *ret_done = fast_conv_run(fast, ctx->in[Q_X]->data, y, scratch);
    if (owned)
        fast_conv_free(fast);
    else if (*ret_done && y_type != KERNEL_S32)
        ready_keep(ctx, READY_ALONE, fast);
    return status;
}

static void requantize_sums(EvalCtx *ctx, const QConv *conv, const void *acc)
{
    const Window *window = &conv->window;
    int64_t places = window_out_count(window);

    if (ctx->channels_last)
        requantize(ctx->team, acc, window->batch * places, window->channels_out, 1, conv->multiplier, conv->w.scales,
                   conv->bias, conv->y_scale, ctx->out[0].data);
    else
        requantize_channels_last(ctx->team, acc, window->batch, window->channels_out, places, conv->multiplier,
                                 conv->w.scales, conv->bias, conv->y_scale, ctx->out[0].data);
}

static Status run_reference(EvalCtx *ctx, const QConv *conv, void *acc)
{
    const Window *window = &conv->window;
    const void *x;
    void *y;

    TRY(heavy_turn_in(ctx, Q_X, &x));
    TRY(heavy_turn_room(ctx, &y));
    conv_int(ctx->team, window, conv->x_scale.type, x, conv->x_scale.zero, kernel_type(ctx->in[Q_W]->dtype),
             conv->weight, conv->w.zero, conv->w.zeros, acc);
    requantize(ctx->team, acc, window->batch, window->channels_out, window_out_count(window), conv->multiplier,
               conv->w.scales, conv->bias, conv->y_scale, y);
    heavy_turn_back(ctx, y);
    return NULL;
}

static Status run_qconv(EvalCtx *ctx, bool try_fast)
{
    int64_t dims[TENSOR_MAX_RANK];
    QConv conv = {.packs = NULL};
    size_t bytes;
    void *acc;
    bool done = false;

    TRY(read_qconv(ctx, &conv));
    conv_output_dims(&conv.window, dims);
    TRY(eval_output(ctx, 0, ctx->in[Q_Y_ZERO]->dtype, ctx->in[Q_X]->rank, dims));
    if (try_fast && conv.w.all_zero && ctx->in[Q_W]->dtype == DT_INT8) {
        conv.packs = all_constant(ctx) ? heavy_packs(ctx) : NULL;
        TRY(run_fast(ctx, &conv, conv.y_scale.type, ctx->out[0].data, &done));
    }
    if (done)
        return NULL;
    if (!size_mul((size_t)ctx->out[0].count, sizeof(int32_t), &bytes))
        return eval_error(ctx, CODE_MODEL, "the output is too large");
    TRY(eval_scratch(ctx, bytes, &acc));
    if (try_fast && conv.w.all_zero && ctx->in[Q_W]->dtype == DT_INT8)
        TRY(run_fast(ctx, &conv, KERNEL_S32, acc, &done));
    if (!done)
        return run_reference(ctx, &conv, acc);
    requantize_sums(ctx, &conv, acc);
    return NULL;
}

static Status eval_qconv(EvalCtx *ctx)
{
    return run_qconv(ctx, false);
}

static Status eval_qconv_fast(EvalCtx *ctx)
{
    bool done;

    TRY(ready_run(ctx, READY_ALONE, ctx->in[Q_Y_ZERO]->dtype, -1, &done));
    return done ? NULL : run_qconv(ctx, true);
}

static bool accepts_qconv(const EvalCtx *ctx)
{
    return is_8_bit(ctx->in[Q_X]) && ctx->in[Q_W]->dtype == DT_INT8 && fast_integer_exact();
}

/* ---- ConvInteger ------------------------------------------------------------------------------------------------- */

static Status infer_conv_integer(Node *node)
{
    return conv_infer(node, 0, 1, DT_INT32);
}

static Status eval_conv_integer(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0], *weight = ctx->in[1];
    int64_t dims[TENSOR_MAX_RANK];
    ChannelScales w;
    Window window;
    int32_t zero;

    if (!is_8_bit(x))
        return eval_bad_dtype(ctx, 0);
    if (!is_8_bit(weight))
        return eval_bad_dtype(ctx, 1);
    TRY(conv_window(ctx, x, weight, &window));
    TRY(read_zero(ctx, 2, x->dtype, &zero));
    TRY(read_channel_scales(ctx, -1, 3, weight->dtype, window.channels_out, &w));
    conv_output_dims(&window, dims);
    TRY(eval_output(ctx, 0, DT_INT32, x->rank, dims));
    conv_int(ctx->team, &window, kernel_type(x->dtype), x->data, zero, kernel_type(weight->dtype), weight->data, w.zero,
             w.zeros, ctx->out[0].data);
    return NULL;
}

static const OpImpl qconv_impls[] = {{"onednn", accepts_qconv, eval_qconv_fast}, {NULL, NULL, NULL}};

const OpDef op_qlinearconv = {
    .type = "QLinearConv",
    .domain = "",
    .versions = {10},
    .min_in = 8,
    .max_in = 9,
    .min_out = 1,
    .max_out = 1,
    .attrs = conv_attrs,
    .infer = infer_qconv,
    .eval = eval_qconv,
    .impls = qconv_impls,
    .quant = RULE_FLOAT,
};

const OpDef op_convinteger = {
    .type = "ConvInteger",
    .domain = "",
    .versions = {10},
    .min_in = 2,
    .max_in = 4,
    .min_out = 1,
    .max_out = 1,
    .attrs = conv_attrs,
    .infer = infer_conv_integer,
    .eval = eval_conv_integer,
    .quant = RULE_FLOAT,
};
