/* op_rms_norm.c - RMSNormalization (opset 23), SimplifiedLayerNormalization (ONNX Runtime's name for it, in domain
 * ai.onnx), and com.microsoft's SkipLayerNormalization, SkipSimplifiedLayerNormalization and EmbedLayerNormalization.
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

/* ---- EmbedLayerNormalization ------------------------------------------------------------------------------------- */

enum { EMBED_IDS, EMBED_SEGMENTS, EMBED_WORD, EMBED_POSITION, EMBED_SEGMENT, EMBED_GAMMA, EMBED_BETA, EMBED_MASK,
       EMBED_POSITIONS };

static Status infer_embed(Node *node)
{
    Shape ids = infer_shape(node, EMBED_IDS), word = infer_shape(node, EMBED_WORD);
    Shape y = {.rank = 3, .dims = {DIM_UNKNOWN, DIM_UNKNOWN, DIM_UNKNOWN}}, mask = {.rank = 1, .dims = {DIM_UNKNOWN}};

    if (ids.rank == 2) {
        y.dims[0] = mask.dims[0] = ids.dims[0];
        y.dims[1] = ids.dims[1];
    }
    if (word.rank == 2)
        y.dims[2] = word.dims[1];
    infer_output(node, 0, infer_dtype(node, EMBED_WORD), &y);
    infer_output(node, 1, DT_INT32, &mask);
    infer_output(node, 2, infer_dtype(node, EMBED_WORD), &y);
    return NULL;
}

/* Adds to each row of sum the row of table `input` that the ids name; without ids, row s of the table. */
static Status add_rows(EvalCtx *ctx, int input, const Tensor *ids, const int64_t dims[3], float *sum)
{
    const Tensor *table = eval_in(ctx, input);
    const float *floats;

    if (table == NULL)
        return NULL;
    if (table->rank != 2 || table->dims[1] != dims[2])
        return eval_error(ctx, CODE_MODEL, "input %d is %s, expected rows of %lld elements", input,
                          tensor_shape_text(ctx->scratch, table), (long long)dims[2]);
    TRY(heavy_floats(ctx, input, &floats));
    for (int64_t row = 0; row < dims[0] * dims[1]; row++) {
        int64_t at = ids == NULL ? row % dims[1] : tensor_get_int(ids, ids->count == dims[1] ? row % dims[1] : row);
        if (at < 0 || at >= table->dims[0])
            return eval_error(ctx, CODE_MODEL, "row %lld of input %d does not exist; it has %lld", (long long)at, input,
                              (long long)table->dims[0]);
        for (int64_t i = 0; i < dims[2]; i++)
            sum[row * dims[2] + i] += floats[at * dims[2] + i];
    }
    return NULL;
}

/* Output 1: how many keys of each sample the mask leaves. */
static Status count_mask(EvalCtx *ctx, const int64_t dims[3])
{
    const Tensor *mask = eval_in(ctx, EMBED_MASK);

    if (!eval_wants(ctx, 1))
        return NULL;
    TRY(eval_output(ctx, 1, DT_INT32, 1, dims));
    for (int64_t b = 0; b < dims[0]; b++) {
        int64_t n = 0;
        for (int64_t s = 0; mask != NULL && s < dims[1]; s++)
            n += tensor_get_int(mask, b * dims[1] + s) == 1;
        ((int32_t *)ctx->out[1].data)[b] = (int32_t)n;
    }
    return NULL;
}

static Status eval_embed(EvalCtx *ctx)
{
    const Tensor *ids = ctx->in[EMBED_IDS], *word = eval_in(ctx, EMBED_WORD);
    const int inputs[] = {EMBED_SEGMENTS, EMBED_POSITIONS, EMBED_MASK};
    const float *gamma, *beta;
    FloatOutput y, total = {.dtype = DT_FLOAT};
    size_t bytes;
    void *data;

    if (word == NULL || ids->rank != 2 || word->rank != 2)
        return eval_error(ctx, CODE_MODEL, "ids are %s and the table of words %s; both have rank 2",
                          tensor_shape_text(ctx->scratch, ids),
                          word == NULL ? "missing" : tensor_shape_text(ctx->scratch, word));
    const int64_t dims[3] = {ids->dims[0], ids->dims[1], word->dims[1]};
    for (size_t i = 0; i < COUNT_OF(inputs); i++) {
        const Tensor *x = eval_in(ctx, inputs[i]);
        TRY(eval_require_dtype(ctx, inputs[i], DT_INT32));
        if (x != NULL && x->count != ids->count && !(inputs[i] == EMBED_POSITIONS && x->count == dims[1]))
            return eval_error(ctx, CODE_MODEL, "input %d is %s, expected as many as there are ids", inputs[i],
                              tensor_shape_text(ctx->scratch, x));
    }
    TRY(eval_require_dtype(ctx, EMBED_IDS, DT_INT32));
    TRY(last_axis_floats(ctx, EMBED_GAMMA, dims[2], &gamma));
    TRY(last_axis_floats(ctx, EMBED_BETA, dims[2], &beta));
    if (gamma == NULL || beta == NULL)
        return eval_error(ctx, CODE_MODEL, "gamma and beta are missing");
    TRY(heavy_output(ctx, 0, word->dtype, 3, dims, &y));
    TRY(tensor_measure(DT_FLOAT, 3, dims, NULL, &bytes));
    if (eval_wants(ctx, 2)) {
        TRY(heavy_output(ctx, 2, word->dtype, 3, dims, &total));
        data = total.data;
    } else {
        TRY(eval_scratch(ctx, bytes, &data));
    }
    float *sum = data;
    for (size_t i = 0; i < bytes / sizeof *sum; i++)
        sum[i] = 0;
    TRY(add_rows(ctx, EMBED_WORD, ids, dims, sum));
    TRY(add_rows(ctx, EMBED_POSITION, eval_in(ctx, EMBED_POSITIONS), dims, sum));
    if (eval_in(ctx, EMBED_SEGMENTS) != NULL)
        TRY(add_rows(ctx, EMBED_SEGMENT, ctx->in[EMBED_SEGMENTS], dims, sum));
    for (int64_t row = 0; row < dims[0] * dims[1]; row++) {
        double mean, inverse;
        row_statistics(sum + row * dims[2], dims[2], true, (double)node_float(ctx->node, "epsilon", 1e-12F), &mean, &inverse);
        for (int64_t i = row * dims[2], c = 0; c < dims[2]; i++, c++)
            y.data[i] = (float)(((double)sum[i] - mean) * inverse) * gamma[c] + beta[c];
    }
    TRY(count_mask(ctx, dims));
    TRY(heavy_finish(ctx, &total));
    return heavy_finish(ctx, &y);
}

static const AttrSpec embed_attrs[] = {
    {"epsilon", ATTR_FLOAT, false}, {"mask_index_type", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};
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
const OpDef op_ms_embedlayernormalization = {
    .type = "EmbedLayerNormalization", .domain = DOMAIN_MICROSOFT, .versions = {1}, .min_in = 1, .max_in = 9,
    .min_out = 1, .max_out = 3, .attrs = embed_attrs, .infer = infer_embed, .eval = eval_embed, .quant = RULE_FLOAT,
    .widen_half = true,
};
