/* op_norm.c - BatchNormalization (inference), InstanceNormalization, GroupNormalization, LayerNormalization, LRN,
 * LpNormalization.
 *
 *     x (N, C, D1..Dk) or for LayerNormalization any rank, normalized over the axes from `axis` on; y is shaped like x
 */
#include "src/ops/heavy.h"

#include <math.h>

/* Input i as (n,) floats. */
static Status channel_floats(EvalCtx *ctx, int i, int64_t n, const float **ret)
{
    if (ctx->in[i]->count != n)
        return eval_error(ctx, CODE_MODEL, "input %d has %lld elements, expected %lld", i, (long long)ctx->in[i]->count,
                          (long long)n);
    return heavy_floats(ctx, i, ret);
}

/* Batch, channels and elements of a plane. */
static Status split_channels(const EvalCtx *ctx, const Tensor *x, int least_rank, int64_t *ret_outer,
                             int64_t *ret_channels, int64_t *ret_inner)
{
    if (x->rank < least_rank)
        return eval_error(ctx, CODE_MODEL, "input has rank %d, expected %d or more", x->rank, least_rank);
    *ret_outer = x->dims[0];
    *ret_channels = x->rank > 1 ? x->dims[1] : 1;
    *ret_inner = count_of(x->dims, MIN(2, x->rank), x->rank);
    return NULL;
}

/* ---- BatchNormalization: y = (x - mean) * scale / sqrt(var + epsilon) + bias ------------------------------------- */

static Status infer_batch(Node *node)
{
    Shape shape = infer_shape(node, 0), channels = {.rank = 1, .dims = {DIM_UNKNOWN}};

    if (shape.rank > 1)
        channels.dims[0] = shape.dims[1];
    infer_output(node, 0, infer_dtype(node, 0), &shape);
    for (int i = 1; i < node->n_out; i++)
        infer_output(node, i, infer_dtype(node, i <= 2 ? i + 2 : i), &channels);
    return NULL;
}

/* Training mode: mean and variance of this batch, x (outer, channels, inner), take the place of the given ones and move
 * the running ones. */
static Status batch_statistics(EvalCtx *ctx, const float *x, int64_t outer, int64_t channels, int64_t inner,
                               const float *statistics[2])
{
    float *own = arena_array(ctx->scratch, 2 * (size_t)channels + 1, sizeof *own);
    double n = (double)(outer * inner), momentum = (double)node_float(ctx->node, "momentum", 0.9F);

    for (int64_t c = 0; c < channels; c++) {
        double sum = 0, square = 0;
        for (int64_t i = 0; i < outer * inner; i++)
            sum += (double)x[(i / inner * channels + c) * inner + i % inner];
        for (int64_t i = 0; i < outer * inner; i++) {
            double away = (double)x[(i / inner * channels + c) * inner + i % inner] - sum / n;
            square += away * away;
        }
        own[c] = (float)(sum / n);
        own[channels + c] = (float)(square / n);
    }
    for (int s = 0; s < 2; s++) {
        if (eval_wants(ctx, 1 + s)) {
            TRY(eval_output(ctx, 1 + s, ctx->in[3 + s]->dtype, 1, &channels));
            for (int64_t c = 0; c < channels; c++)
                tensor_set(&ctx->out[1 + s], c, momentum * (double)statistics[s][c] +
                                                    (1 - momentum) * (double)own[s * channels + c]);
        }
        statistics[s] = own + s * channels;
    }
    return NULL;
}

static Status eval_batch(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t outer = 0, channels = 0, inner = 0;
    const float *floats, *scale, *bias, *statistics[2]; /* mean, variance */
    float epsilon = node_float(ctx->node, "epsilon", 1e-5F);
    FloatOutput y;

    bool training = ctx->node->opset >= 14 && node_int(ctx->node, "training_mode", 0) != 0;
    for (int i = training ? 3 : 1; i < ctx->n_out; i++)
        if (eval_wants(ctx, i))
            return eval_error(ctx, CODE_UNSUPPORTED, "running statistics (output %d) are not computed", i);
    if (ctx->node->opset < 9 && node_int(ctx->node, "spatial", 1) == 0)
        return eval_error(ctx, CODE_UNSUPPORTED, "attribute 'spatial' 0 cannot be executed");
    TRY(split_channels(ctx, x, 1, &outer, &channels, &inner));
    TRY(heavy_floats(ctx, 0, &floats));
    TRY(channel_floats(ctx, 1, channels, &scale));
    TRY(channel_floats(ctx, 2, channels, &bias));
    TRY(channel_floats(ctx, 3, channels, &statistics[0]));
    TRY(channel_floats(ctx, 4, channels, &statistics[1]));
    if (training)
        TRY(batch_statistics(ctx, floats, outer, channels, inner, statistics));
    float *factor = arena_array(ctx->scratch, (size_t)MAX(channels, 1), sizeof *factor);
    float *shift = arena_array(ctx->scratch, (size_t)MAX(channels, 1), sizeof *shift);
    for (int64_t c = 0; c < channels; c++) {
        factor[c] = scale[c] / sqrtf(statistics[1][c] + epsilon);
        shift[c] = bias[c] - statistics[0][c] * factor[c];
    }
    TRY(heavy_output(ctx, 0, x->dtype, x->rank, x->dims, &y));
    norm_affine(ctx->team, outer, channels, inner, floats, factor, shift, y.data);
    return heavy_finish(ctx, &y);
}

/* ---- InstanceNormalization, GroupNormalization: rows of a channel or of a group of channels ---------------------- */

/* Normalizes rows of (channels / groups * inner) elements, then scales each channel; scales (channels,) or
 * (groups,). */
static Status run_groups(EvalCtx *ctx, int64_t groups, int64_t outer, int64_t channels, int64_t inner)
{
    const Tensor *x = ctx->in[0];
    const float *floats, *scale, *bias;
    float epsilon = node_float(ctx->node, "epsilon", 1e-5F);
    FloatOutput y;

    if (groups < 1 || channels % groups != 0)
        return eval_error(ctx, CODE_MODEL, "%lld channels do not divide into %lld groups", (long long)channels,
                          (long long)groups);
    if (channels == 0)
        return eval_output(ctx, 0, x->dtype, x->rank, x->dims);
    int64_t scales = ctx->in[1]->count == groups ? groups : channels;
    TRY(heavy_floats(ctx, 0, &floats));
    TRY(channel_floats(ctx, 1, scales, &scale));
    TRY(channel_floats(ctx, 2, scales, &bias));
    TRY(heavy_output(ctx, 0, x->dtype, x->rank, x->dims, &y));
    norm_rows(ctx->team, outer * groups, channels / groups * inner, epsilon, floats, NULL, 0, NULL, 0, y.data, NULL,
              NULL);
    norm_affine(ctx->team, outer, scales, channels / scales * inner, y.data, scale, bias, y.data);
    return heavy_finish(ctx, &y);
}

static Status eval_instance(EvalCtx *ctx)
{
    int64_t outer = 0, channels = 0, inner = 0;

    TRY(split_channels(ctx, ctx->in[0], 2, &outer, &channels, &inner));
    return run_groups(ctx, MAX(channels, 1), outer, channels, inner);
}

static Status eval_group(EvalCtx *ctx)
{
    int64_t outer = 0, channels = 0, inner = 0;

    TRY(split_channels(ctx, ctx->in[0], 2, &outer, &channels, &inner));
    return run_groups(ctx, node_int(ctx->node, "num_groups", 0), outer, channels, inner);
}

/* ---- LayerNormalization ------------------------------------------------------------------------------------------ */

static Status infer_layer(Node *node)
{
    Shape shape = infer_shape(node, 0), statistics = shape;
    int64_t axis = node_int(node, "axis", -1);
    int at;

    if (shape.rank >= 0) {
        TRY(infer_axis(node, axis, shape.rank, &at));
        for (int d = at; d < shape.rank; d++)
            statistics.dims[d] = dim_known(1);
    }
    infer_output(node, 0, infer_dtype(node, 0), &shape);
    infer_output(node, 1, DT_FLOAT, &statistics);
    infer_output(node, 2, DT_FLOAT, &statistics);
    return NULL;
}

Status norm_parameter(EvalCtx *ctx, int i, int axis, const float **ret, int64_t *ret_step)
{
    const Tensor *in = ctx->in[i], *x = ctx->in[0];
    int64_t to_strides[TENSOR_MAX_RANK], from_strides[TENSOR_MAX_RANK] = {0}, own[TENSOR_MAX_RANK];
    int64_t n = count_of(x->dims, axis, x->rank);
    const float *floats;
    int first = axis;
    size_t bytes;
    void *data;

    TRY(heavy_floats(ctx, i, &floats));
    *ret_step = 0;
    if (in->count == n && in->rank <= x->rank - axis) {
        *ret = floats;
        return NULL;
    }
    row_major_strides(in->rank, in->dims, own);
    for (int d = 0; d < in->rank; d++) {
        int at = x->rank - in->rank + d;
        if (in->dims[d] != 1 && (at < 0 || in->dims[d] != x->dims[at]))
            return eval_error(ctx, CODE_MODEL, "input %d is %s, it cannot be broadcast to %s", i,
                              tensor_shape_text(ctx->scratch, in), tensor_shape_text(ctx->scratch, x));
        if (in->dims[d] != 1 && at < axis) { /* varies from row to row */
            first = 0;
            *ret_step = n;
        }
        if (in->dims[d] != 1)
            from_strides[at] = own[d];
    }
    if (!size_mul((size_t)count_of(x->dims, first, x->rank), sizeof(float), &bytes))
        return eval_error(ctx, CODE_MODEL, "the input is too large");
    TRY(eval_scratch(ctx, bytes, &data));
    row_major_strides(x->rank, x->dims, to_strides);
    strided_copy(data, to_strides + first, floats, from_strides + first, x->rank - first, x->dims + first,
                 sizeof(float));
    *ret = data;
    return NULL;
}

static Status eval_layer(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    const float *floats, *scale, *bias = NULL;
    float *statistics[2] = {NULL, NULL};
    int64_t dims[TENSOR_MAX_RANK], scale_step, bias_step = 0;
    FloatOutput y;
    int axis;

    TRY(eval_axis(ctx, node_int(ctx->node, "axis", -1), x->rank, &axis));
    int64_t rows = count_of(x->dims, 0, axis), n = count_of(x->dims, axis, x->rank);
    TRY(heavy_floats(ctx, 0, &floats));
    TRY(norm_parameter(ctx, 1, axis, &scale, &scale_step));
    if (eval_in(ctx, 2) != NULL)
        TRY(norm_parameter(ctx, 2, axis, &bias, &bias_step));
    TRY(heavy_output(ctx, 0, x->dtype, x->rank, x->dims, &y));
    for (int d = 0; d < x->rank; d++)
        dims[d] = d < axis ? x->dims[d] : 1;
    for (int i = 0; i < 2; i++)
        if (eval_wants(ctx, i + 1)) {
            TRY(eval_output(ctx, i + 1, DT_FLOAT, x->rank, dims));
            statistics[i] = ctx->out[i + 1].data;
        }
    norm_rows(ctx->team, rows, n, node_float(ctx->node, "epsilon", 1e-5F), floats, scale, scale_step, bias, bias_step, y.data,
              statistics[0], statistics[1]);
    return heavy_finish(ctx, &y);
}

/* ---- LRN, LpNormalization ---------------------------------------------------------------------------------------- */

static Status eval_lrn(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t outer = 0, channels = 0, inner = 0, size = node_int(ctx->node, "size", 0);
    const float *floats;
    FloatOutput y;

    if (size < 1 || size > INT32_MAX)
        return eval_error(ctx, CODE_MODEL, "attribute 'size' is %lld, expected 1 or more", (long long)size);
    TRY(split_channels(ctx, x, 2, &outer, &channels, &inner));
    TRY(heavy_floats(ctx, 0, &floats));
    TRY(heavy_output(ctx, 0, x->dtype, x->rank, x->dims, &y));
    norm_lrn(ctx->team, outer, channels, inner, size, node_float(ctx->node, "alpha", 1e-4F),
             node_float(ctx->node, "beta", 0.75F), node_float(ctx->node, "bias", 1.0F), floats, y.data);
    return heavy_finish(ctx, &y);
}

static Status infer_lp(Node *node)
{
    Shape shape = infer_shape(node, 0);
    int axis;

    if (shape.rank >= 0)
        TRY(infer_axis(node, node_int(node, "axis", -1), shape.rank, &axis));
    return infer_same_as_input(node);
}

static Status eval_lp(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t p = node_int(ctx->node, "p", 2);
    const float *floats;
    FloatOutput y;
    int axis;

    if (p != 1 && p != 2)
        return eval_error(ctx, CODE_MODEL, "attribute 'p' is %lld, expected 1 or 2", (long long)p);
    TRY(eval_axis(ctx, node_int(ctx->node, "axis", -1), x->rank, &axis));
    TRY(heavy_floats(ctx, 0, &floats));
    TRY(heavy_output(ctx, 0, x->dtype, x->rank, x->dims, &y));
    norm_lp(ctx->team, count_of(x->dims, 0, axis), x->dims[axis], count_of(x->dims, axis + 1, x->rank), (int)p, floats,
            y.data);
    return heavy_finish(ctx, &y);
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

static const AttrSpec batch_attrs[] = {{"consumed_inputs", ATTR_INTS, false}, {"epsilon", ATTR_FLOAT, false},
                                       {"is_test", ATTR_INT, false},          {"momentum", ATTR_FLOAT, false},
                                       {"spatial", ATTR_INT, false},          {"training_mode", ATTR_INT, false},
                                       {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec instance_attrs[] = {{"consumed_inputs", ATTR_INTS, false}, {"epsilon", ATTR_FLOAT, false},
                                          {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec group_attrs[] = {{"epsilon", ATTR_FLOAT, false}, {"num_groups", ATTR_INT, true},
                                       {"stash_type", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec layer_attrs[] = {{"axis", ATTR_INT, false}, {"epsilon", ATTR_FLOAT, false},
                                       {"stash_type", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec lrn_attrs[] = {{"alpha", ATTR_FLOAT, false},
                                     {"beta", ATTR_FLOAT, false},
                                     {"bias", ATTR_FLOAT, false},
                                     {"size", ATTR_INT, true},
                                     {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec lp_attrs[] = {{"axis", ATTR_INT, false}, {"p", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};

const OpDef op_batchnormalization = {
    .type = "BatchNormalization",
    .domain = "",
    .versions = {1, 6, 7, 9, 14, 15},
    .min_in = 5,
    .max_in = 5,
    .min_out = 1,
    .max_out = 5,
    .attrs = batch_attrs,
    .infer = infer_batch,
    .eval = eval_batch,
    .quant = RULE_FLOAT,
    .widen_half = true,
};

const OpDef op_instancenormalization = {
    .type = "InstanceNormalization",
    .domain = "",
    .versions = {1, 6, 22},
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    .attrs = instance_attrs,
    .infer = infer_same_as_input,
    .eval = eval_instance,
    .quant = RULE_FLOAT,
    .widen_half = true,
};

const OpDef op_groupnormalization = {
    .type = "GroupNormalization",
    .domain = "",
    .versions = {18, 21},
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    .attrs = group_attrs,
    .infer = infer_same_as_input,
    .eval = eval_group,
    .quant = RULE_FLOAT,
    .widen_half = true,
};

const OpDef op_layernormalization = {
    .type = "LayerNormalization",
    .domain = "",
    .versions = {1, 17}, /* before 17: ONNX Runtime's own op of this name */
    .min_in = 2,
    .max_in = 3,
    .min_out = 1,
    .max_out = 3,
    .attrs = layer_attrs,
    .infer = infer_layer,
    .eval = eval_layer,
    .quant = RULE_FLOAT,
    .widen_half = true,
};

const OpDef op_lrn = {
    .type = "LRN",
    .domain = "",
    .versions = {1, 13},
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    .attrs = lrn_attrs,
    .infer = infer_same_as_input,
    .eval = eval_lrn,
    .quant = RULE_FLOAT,
    .widen_half = true,
};

const OpDef op_lpnormalization = {
    .type = "LpNormalization",
    .domain = "",
    .versions = {1, 22},
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    .attrs = lp_attrs,
    .infer = infer_lp,
    .eval = eval_lp,
    .quant = RULE_FLOAT,
    .widen_half = true,
};
