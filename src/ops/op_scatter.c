/* op_scatter.c - Scatter, ScatterElements, ScatterND: a copy of the data with elements overwritten or combined.
 *
 *     ScatterElements  y = x; y[i, indices[i, j, k], k] (op)= updates[i, j, k]          axis = 1
 *     ScatterND        y = x; y[indices[i.., :] ..] (op)= updates[i..]
 */
#include <string.h>

#include "src/ops/family.h"

/* NULL row: overwrite. */
static Status reduction(const EvalCtx *ctx, BroadcastRow *ret)
{
    const char *name = node_string(ctx->node, "reduction", "none");

    *ret = NULL;
    if (strcmp(name, "none") == 0)
        return NULL;
    *ret = reduction_row(name, ctx->in[0]->dtype);
    if (*ret == NULL)
        return eval_error(ctx, CODE_UNSUPPORTED, "reduction '%s' is not supported for %s", name,
                          dtype_name(ctx->in[0]->dtype));
    return NULL;
}

static void put(BroadcastRow row, char *to, const char *from, int64_t n, size_t bytes)
{
    static const int64_t steps[2] = {1, 1};
    const void *in[2] = {to, from};

    if (row == NULL)
        memcpy(to, from, (size_t)n * bytes);
    else
        row(n, in, steps, to);
}

static Status copy_data(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];

    TRY(eval_output(ctx, 0, x->dtype, x->rank, x->dims));
    if (x->bytes > 0)
        memcpy(ctx->out[0].data, x->data, x->bytes);
    return NULL;
}

static Status eval_scatter_elements(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0], *indices = ctx->in[1], *updates = ctx->in[2];
    int64_t strides[TENSOR_MAX_RANK], index[TENSOR_MAX_RANK] = {0};
    BroadcastRow row;
    size_t bytes;
    int axis;

    TRY(eval_element_bytes(ctx, 0, &bytes));
    TRY(eval_require_same_dtype(ctx, 0, 2));
    TRY(reduction(ctx, &row));
    TRY(eval_axis(ctx, node_int(ctx->node, "axis", 0), x->rank, &axis));
    if (indices->dtype != DT_INT64 && indices->dtype != DT_INT32)
        return eval_bad_dtype(ctx, 1);
    if (indices->rank != x->rank || !tensor_same_shape(indices, updates))
        return eval_error(ctx, CODE_MODEL, "indices %s, updates %s and data %s do not fit",
                          tensor_shape_text(ctx->scratch, indices), tensor_shape_text(ctx->scratch, updates),
                          tensor_shape_text(ctx->scratch, x));
    for (int i = 0; i < x->rank; i++)
        if (i != axis && indices->dims[i] > x->dims[i])
            return eval_error(ctx, CODE_MODEL, "indices have size %lld on axis %d, data has %lld",
                              (long long)indices->dims[i], i, (long long)x->dims[i]);
    TRY(copy_data(ctx));
    row_major_strides(x->rank, x->dims, strides);
    bool wide = indices->dtype == DT_INT64;
    int64_t length = x->rank > 0 ? indices->dims[x->rank - 1] : 1, step = axis == x->rank - 1 ? 0 : 1;
    for (int64_t i = 0; i < indices->count; i += length) { /* a row along the last axis */
        int64_t offset = 0;
        for (int k = 0; k < x->rank - 1; k++)
            offset += k == axis ? 0 : index[k] * strides[k];
        for (int64_t j = 0; j < length; j++) {
            int64_t at = wide ? ((const int64_t *)indices->data)[i + j] : ((const int32_t *)indices->data)[i + j];
            TRY(eval_index(ctx, at, x->dims[axis], axis, &at));
            put(row, (char *)ctx->out[0].data + (size_t)(offset + at * strides[axis] + j * step) * bytes,
                (const char *)updates->data + (size_t)(i + j) * bytes, 1, bytes);
        }
        odometer_next(x->rank - 1, indices->dims, index);
    }
    return NULL;
}

static Status eval_scatter_nd(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0], *indices = ctx->in[1], *updates = ctx->in[2];
    int64_t depth, strides[TENSOR_MAX_RANK], tuples, inner;
    BroadcastRow row;
    size_t bytes;
    bool fits;

    TRY(eval_element_bytes(ctx, 0, &bytes));
    TRY(eval_require_same_dtype(ctx, 0, 2));
    TRY(reduction(ctx, &row));
    TRY(eval_require_dtype(ctx, 1, DT_INT64));
    depth = indices->rank > 0 ? indices->dims[indices->rank - 1] : 0;
    fits = indices->rank > 0 && depth <= x->rank && updates->rank == indices->rank - 1 + x->rank - (int)depth;
    for (int i = 0; fits && i < updates->rank; i++)
        fits = updates->dims[i] ==
               (i < indices->rank - 1 ? indices->dims[i] : x->dims[i - (indices->rank - 1) + (int)depth]);
    if (!fits)
        return eval_error(ctx, CODE_MODEL, "indices %s, updates %s and data %s do not fit",
                          tensor_shape_text(ctx->scratch, indices), tensor_shape_text(ctx->scratch, updates),
                          tensor_shape_text(ctx->scratch, x));
    TRY(copy_data(ctx));
    row_major_strides(x->rank, x->dims, strides);
    tuples = count_of(indices->dims, 0, indices->rank - 1);
    inner = count_of(x->dims, (int)depth, x->rank);
    for (int64_t t = 0; t < tuples; t++) {
        int64_t offset = 0;
        for (int k = 0; k < (int)depth; k++) {
            int64_t at;
            TRY(eval_index(ctx, ((const int64_t *)indices->data)[t * depth + k], x->dims[k], k, &at));
            offset += at * strides[k];
        }
        if (inner > 0)
            put(row, (char *)ctx->out[0].data + (size_t)offset * bytes,
                (const char *)updates->data + (size_t)(t * inner) * bytes, inner, bytes);
    }
    return NULL;
}

static const AttrSpec scatter_attrs[] = {
    {"axis", ATTR_INT, false},
    {"reduction", ATTR_STRING, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec scatter_nd_attrs[] = {{"reduction", ATTR_STRING, false}, {NULL, ATTR_UNDEFINED, false}};

const OpDef op_scatter = {
    .type = "Scatter", .domain = "", .versions = {9, 11}, .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
    .attrs = scatter_attrs, .infer = infer_same_as_input, .eval = eval_scatter_elements, .quant = RULE_FLOAT,
};
const OpDef op_scatterelements = {
    .type = "ScatterElements", .domain = "", .versions = {11, 13, 16, 18}, .min_in = 3, .max_in = 3, .min_out = 1,
    .max_out = 1, .attrs = scatter_attrs, .infer = infer_same_as_input, .eval = eval_scatter_elements,
    .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_scatternd = {
    .type = "ScatterND", .domain = "", .versions = {11, 13, 16, 18}, .min_in = 3, .max_in = 3, .min_out = 1,
    .max_out = 1, .attrs = scatter_nd_attrs, .infer = infer_same_as_input, .eval = eval_scatter_nd,
    .quant = RULE_FLOAT, .widen_half = true,
};
