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

static Status eval_batch(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t outer = 0, channels = 0, inner = 0;
    const float *floats, *scale, *bias, *mean, *variance;
    float epsilon = node_float(ctx->node, "epsilon", 1e-5F);
    FloatOutput y;

    if (node_int(ctx->node, "training_mode", 0) != 0 ||
        (ctx->node->opset < 7 && node_int(ctx->node, "is_test", 0) == 0 && eval_wants(ctx, 1)))
        return eval_error(ctx, CODE_UNSUPPORTED, "training mode cannot be executed");
    for (int i = 1; i < ctx->n_out; i++)
        if (eval_wants(ctx, i))
            return eval_error(ctx, CODE_UNSUPPORTED, "running statistics (output %d) are not computed", i);
    if (ctx->node->opset < 9 && node_int(ctx->node, "spatial", 1) == 0)
        return eval_error(ctx, CODE_UNSUPPORTED, "attribute 'spatial' 0 cannot be executed");
    TRY(split_channels(ctx, x, 1, &outer, &channels, &inner));
    TRY(heavy_floats(ctx, 0, &floats));
    TRY(channel_floats(ctx, 1, channels, &scale));
    TRY(channel_floats(ctx, 2, channels, &bias));
    TRY(channel_floats(ctx, 3, channels, &mean));
    TRY(channel_floats(ctx, 4, channels, &variance));
    float *factor = arena_array(ctx->scratch, (size_t)MAX(channels, 1), sizeof *factor);
    float *shift = arena_array(ctx->scratch, (size_t)MAX(channels, 1), sizeof *shift);
    for (int64_t c = 0; c < channels; c++) {
        factor[c] = scale[c] / sqrtf(variance[c] + epsilon);
        shift[c] = bias[c] - mean[c] * factor[c];
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
    norm_rows(ctx->team, outer * groups, channels / groups * inner, epsilon, floats, y.data, NULL, NULL);
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

/* Input i broadcast to the normalized axes dims[rank]: (n,) floats. */
static Status normalized_floats(EvalCtx *ctx, int i, int rank, const int64_t *dims, int64_t n, const float **ret)
{
    const Tensor *in = ctx->in[i];
    int64_t to_strides[TENSOR_MAX_RANK], from_strides[TENSOR_MAX_RANK], own[TENSOR_MAX_RANK];
    const float *floats;
    void *data;

    TRY(heavy_floats(ctx, i, &floats));
    if (in->count == n && in->rank <= rank) {
        *ret = floats;
        return NULL;
    }
    row_major_strides(in->rank, in->dims, own);
    for (int d = 0; d < rank; d++) {
        int at = in->rank - rank + d;
        from_strides[d] = at < 0 || in->dims[at] == 1 ? 0 : own[at];
        if (at >= 0 && in->dims[at] != 1 && in->dims[at] != dims[d])
            return eval_error(ctx, CODE_MODEL, "input %d is %s, it cannot be broadcast to the normalized axes", i,
                              tensor_shape_text(ctx->scratch, in));
    }
    for (int d = 0; d < in->rank - rank; d++)
        if (in->dims[d] != 1)
            return eval_error(ctx, CODE_UNSUPPORTED, "input %d is %s: it varies over axes that are not normalized", i,
                              tensor_shape_text(ctx->scratch, in));
    TRY(eval_scratch(ctx, (size_t)n * sizeof(float), &data));
    row_major_strides(rank, dims, to_strides);
    strided_copy(data, to_strides, floats, from_strides, rank, dims, sizeof(float));
    *ret = data;
    return NULL;
}

static Status eval_layer(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    const float *floats, *scale, *bias = NULL;
    float *statistics[2] = {NULL, NULL};
    int64_t dims[TENSOR_MAX_RANK];
    FloatOutput y;
    int axis;

    TRY(eval_axis(ctx, node_int(ctx->node, "axis", -1), x->rank, &axis));
    int64_t rows = count_of(x->dims, 0, axis), n = count_of(x->dims, axis, x->rank);
    TRY(heavy_floats(ctx, 0, &floats));
    TRY(normalized_floats(ctx, 1, x->rank - axis, x->dims + axis, n, &scale));
    if (eval_in(ctx, 2) != NULL)
        TRY(normalized_floats(ctx, 2, x->rank - axis, x->dims + axis, n, &bias));
    TRY(heavy_output(ctx, 0, x->dtype, x->rank, x->dims, &y));
    for (int d = 0; d < x->rank; d++)
        dims[d] = d < axis ? x->dims[d] : 1;
    for (int i = 0; i < 2; i++)
        if (eval_wants(ctx, i + 1)) {
            TRY(eval_output(ctx, i + 1, DT_FLOAT, x->rank, dims));
            statistics[i] = ctx->out[i + 1].data;
        }
    norm_rows(ctx->team, rows, n, node_float(ctx->node, "epsilon", 1e-5F), floats, y.data, statistics[0],
              statistics[1]);
    for (int64_t row = 0; row < rows; row++) {
        float *to = y.data + row * n;
        for (int64_t i = 0; i < n; i++)
            to[i] = bias == NULL ? to[i] * scale[i] : to[i] * scale[i] + bias[i];
    }
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
    .versions = {17},
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
