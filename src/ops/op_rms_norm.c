/* op_rms_norm.c - RMSNormalization (opset 23), SimplifiedLayerNormalization (ONNX Runtime's name for it, in domain
 * ai.onnx), and com.microsoft's SkipLayerNormalization and SkipSimplifiedLayerNormalization.
 *
 *     y = x / sqrt(mean(x^2) + epsilon) * scale          over the axes from `axis` on
 *     Skip...: x = input + skip + bias, normalized over the last axis; the sum is output 3
 */
#include "src/ops/heavy.h"

#include <math.h>

enum { SKIP_INPUT, SKIP_SKIP, SKIP_GAMMA };

/* Mean and 1 / sqrt(spread + epsilon) of a row, spread the variance or, without a mean, the mean square. */
static void row_statistics(const float *x, int64_t n, bool centered, double epsilon, double *ret_mean,
                           double *ret_inverse)
{
    double mean = 0, spread = 0;

    for (int64_t i = 0; i < n && centered; i++)
        mean += (double)x[i];
    mean = n == 0 ? 0 : mean / (double)n;
    for (int64_t i = 0; i < n; i++)
        spread += ((double)x[i] - mean) * ((double)x[i] - mean);
    *ret_mean = mean;
    *ret_inverse = 1 / sqrt((n == 0 ? 0 : spread / (double)n) + epsilon);
}

static Status infer_rms(Node *node)
{
    Shape shape = infer_shape(node, 0), statistics = shape;
    int at;

    if (shape.rank >= 0) {
        TRY(infer_axis(node, node_int(node, "axis", -1), shape.rank, &at));
        for (int d = at; d < shape.rank; d++)
            statistics.dims[d] = dim_known(1);
    }
    infer_output(node, 0, infer_dtype(node, 1), &shape); /* the type of scale */
    infer_output(node, 1, DT_FLOAT, &statistics);
    return NULL;
}

static Status eval_rms(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    const float *floats, *scale;
    float *inverses = NULL;
    int64_t dims[TENSOR_MAX_RANK], step;
    FloatOutput y;
    int axis;

    TRY(eval_axis(ctx, node_int(ctx->node, "axis", -1), x->rank, &axis));
    int64_t rows = count_of(x->dims, 0, axis), n = count_of(x->dims, axis, x->rank);
    TRY(heavy_floats(ctx, 0, &floats));
    TRY(norm_parameter(ctx, 1, axis, &scale, &step));
    TRY(heavy_output(ctx, 0, ctx->in[1]->dtype, x->rank, x->dims, &y));
    for (int d = 0; d < x->rank; d++)
        dims[d] = d < axis ? x->dims[d] : 1;
    if (eval_wants(ctx, 1)) {
        TRY(eval_output(ctx, 1, DT_FLOAT, x->rank, dims));
        inverses = ctx->out[1].data;
    }
    for (int64_t row = 0; row < rows; row++) {
        const float *from = floats + row * n, *factor = scale + row * step;
        double mean, inverse;
        row_statistics(from, n, false, (double)node_float(ctx->node, "epsilon", 1e-5F), &mean, &inverse);
        for (int64_t i = 0; i < n; i++)
            y.data[row * n + i] = (float)((double)from[i] * inverse) * factor[i];
        if (inverses != NULL)
            inverses[row] = (float)inverse;
    }
    return heavy_finish(ctx, &y);
}

/* ---- com.microsoft ----------------------------------------------------------------------------------------------- */

static Status infer_skip(Node *node)
{
    Shape shape = infer_shape(node, 0), statistics = shape;

    TRY(infer_rank_at_least(node, 0, 1));
    if (shape.rank >= 1)
        statistics.dims[shape.rank - 1] = dim_known(1);
    infer_output(node, 0, infer_dtype(node, 0), &shape);
    infer_output(node, 1, DT_FLOAT, &statistics);
    infer_output(node, 2, DT_FLOAT, &statistics);
    infer_output(node, 3, infer_dtype(node, 0), &shape);
    return NULL;
}

/* Input i as n floats (NULL when omitted). */
static Status last_axis_floats(EvalCtx *ctx, int i, int64_t n, const float **ret)
{
    *ret = NULL;
    if (eval_in(ctx, i) == NULL)
        return NULL;
    if (ctx->in[i]->count != n || ctx->in[i]->rank != 1)
        return eval_error(ctx, CODE_MODEL, "input %d is %s, expected %lld elements", i,
                          tensor_shape_text(ctx->scratch, ctx->in[i]), (long long)n);
    return heavy_floats(ctx, i, ret);
}

/* sum = input + skip + bias; skip is shaped like the input, or is 1xSxH or SxH for every batch. */
static Status add_skip(EvalCtx *ctx, const float *bias, float *sum)
{
    const Tensor *x = ctx->in[SKIP_INPUT], *skip = ctx->in[SKIP_SKIP];
    int64_t n = x->dims[x->rank - 1];
    const float *floats, *added;
    bool fits = skip->rank <= x->rank && skip->rank >= 1;

    for (int d = 0; d < skip->rank && fits; d++) {
        int64_t size = x->dims[x->rank - skip->rank + d];
        fits = skip->dims[d] == size || (d == 0 && skip->rank == x->rank && skip->dims[d] == 1);
    }
    if (!fits)
        return eval_error(ctx, CODE_MODEL, "skip is %s, which does not fit an input of %s",
                          tensor_shape_text(ctx->scratch, skip), tensor_shape_text(ctx->scratch, x));
    TRY(heavy_floats(ctx, SKIP_INPUT, &floats));
    TRY(heavy_floats(ctx, SKIP_SKIP, &added));
    for (int64_t i = 0; i < x->count; i++)
        sum[i] = floats[i] + added[i % skip->count] + (bias == NULL ? 0 : bias[i % n]);
    return NULL;
}

static Status run_skip(EvalCtx *ctx, bool centered, int beta_input, int bias_input)
{
    const Tensor *x = ctx->in[SKIP_INPUT];
    const float *gamma, *beta = NULL, *bias;
    float *statistics[2] = {NULL, NULL};
    double epsilon = (double)node_float(ctx->node, "epsilon", 1e-12F);
    int64_t dims[TENSOR_MAX_RANK], n;
    FloatOutput y, total = {.dtype = DT_FLOAT};
    float *sum;
    void *data;

    if (x->rank < 1)
        return eval_error(ctx, CODE_MODEL, "input is a scalar");
    n = x->dims[x->rank - 1];
    TRY(last_axis_floats(ctx, SKIP_GAMMA, n, &gamma));
    if (beta_input >= 0)
        TRY(last_axis_floats(ctx, beta_input, n, &beta));
    TRY(last_axis_floats(ctx, bias_input, n, &bias));
    TRY(heavy_output(ctx, 0, x->dtype, x->rank, x->dims, &y));
    for (int d = 0; d < x->rank; d++)
        dims[d] = d < x->rank - 1 ? x->dims[d] : 1;
    for (int i = 0; i < 2; i++)
        if (eval_wants(ctx, i + 1)) {
            TRY(eval_output(ctx, i + 1, DT_FLOAT, x->rank, dims));
            statistics[i] = ctx->out[i + 1].data;
        }
    if (eval_wants(ctx, 3)) {
        TRY(heavy_output(ctx, 3, x->dtype, x->rank, x->dims, &total));
        sum = total.data;
    } else {
        TRY(eval_scratch(ctx, (size_t)x->count * sizeof *sum, &data));
        sum = data;
    }
    TRY(add_skip(ctx, bias, sum));
    for (int64_t row = 0; row * n < x->count; row++) {
        const float *from = sum + row * n;
        float *to = y.data + row * n;
        double mean, inverse;
        row_statistics(from, n, centered, epsilon, &mean, &inverse);
        for (int64_t i = 0; i < n; i++)
            to[i] = (float)(((double)from[i] - mean) * inverse) * gamma[i] + (beta == NULL ? 0 : beta[i]);
        if (statistics[0] != NULL)
            statistics[0][row] = (float)mean;
        if (statistics[1] != NULL)
            statistics[1][row] = (float)inverse;
    }
    TRY(heavy_finish(ctx, &total));
    return heavy_finish(ctx, &y);
}

static Status eval_skip(EvalCtx *ctx)
{
    return run_skip(ctx, true, 3, 4);
}

static Status eval_skip_simplified(EvalCtx *ctx)
{
    return run_skip(ctx, false, -1, 3);
}

static const AttrSpec rms_attrs[] = {
    {"axis", ATTR_INT, false},
    {"epsilon", ATTR_FLOAT, false},
    {"stash_type", ATTR_INT, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec skip_attrs[] = {{"epsilon", ATTR_FLOAT, false}, {NULL, ATTR_UNDEFINED, false}};

const OpDef op_rmsnormalization = {
    .type = "RMSNormalization", .domain = "", .versions = {23}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = rms_attrs, .infer = infer_rms, .eval = eval_rms, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_simplifiedlayernormalization = {
    .type = "SimplifiedLayerNormalization", .domain = "", .versions = {1}, .min_in = 2, .max_in = 2, .min_out = 1,
    .max_out = 2, .attrs = rms_attrs, .infer = infer_rms, .eval = eval_rms, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_ms_skiplayernormalization = {
    .type = "SkipLayerNormalization", .domain = DOMAIN_MICROSOFT, .versions = {1}, .min_in = 3, .max_in = 5,
    .min_out = 1, .max_out = 4, .attrs = skip_attrs, .infer = infer_skip, .eval = eval_skip, .quant = RULE_FLOAT,
    .widen_half = true,
};
const OpDef op_ms_skipsimplifiedlayernormalization = {
    .type = "SkipSimplifiedLayerNormalization", .domain = DOMAIN_MICROSOFT, .versions = {1}, .min_in = 3, .max_in = 4,
    .min_out = 1, .max_out = 4, .attrs = skip_attrs, .infer = infer_skip, .eval = eval_skip_simplified,
    .quant = RULE_FLOAT, .widen_half = true,
};
