/* op_gather.c - Gather, GatherElements, GatherND: elements picked by index.
 *
 *     Gather          y[a.., i.., b..] = x[a.., indices[i..], b..]                      a: axes before `axis`
 *     GatherElements  y[i, j, k] = x[i, indices[i, j, k], k]                            axis = 1
 *     GatherND        y[b.., i.., c..] = x[b.., indices[b.., i.., :] .., c..]           b: batch_dims axes
 */
#include <string.h>

#include "src/ops/family.h"

static Status infer_gather(Node *node)
{
    Shape x = infer_shape(node, 0), indices = infer_shape(node, 1), out = {.rank = 0};
    Dim from[INFER_MAX_CONTENT], at[INFER_MAX_CONTENT], taken[INFER_MAX_CONTENT];
    int axis = 0, n, n_from;

    if (x.rank < 0 || indices.rank < 0) {
        out = shape_unknown();
        infer_output(node, 0, infer_dtype(node, 0), &out);
        return NULL;
    }
    TRY(infer_axis(node, node_int(node, "axis", 0), x.rank, &axis));
    if (x.rank + indices.rank - 1 > TENSOR_MAX_RANK)
        return node_error(node, CODE_MODEL, "gives rank %d, at most %d is supported", x.rank + indices.rank - 1,
                          TENSOR_MAX_RANK);
    for (int i = 0; i < axis; i++)
        out.dims[out.rank++] = x.dims[i];
    for (int i = 0; i < indices.rank; i++)
        out.dims[out.rank++] = indices.dims[i];
    for (int i = axis + 1; i < x.rank; i++)
        out.dims[out.rank++] = x.dims[i];
    infer_output(node, 0, infer_dtype(node, 0), &out);

    n_from = x.rank == 1 ? infer_content(node, 0, from, INFER_MAX_CONTENT) : -1;
    n = indices.rank <= 1 ? infer_content(node, 1, at, INFER_MAX_CONTENT) : -1;
    for (int i = 0; i < n && n_from >= 0; i++) {
        int64_t index;
        taken[i] = DIM_UNKNOWN;
        if (!content_literal(at[i], &index))
            continue;
        if (index < -n_from || index >= n_from)
            return node_error(node, CODE_MODEL, "index %lld is out of bounds for %d elements", (long long)index,
                              n_from);
        taken[i] = from[index < 0 ? index + n_from : index];
    }
    if (n_from >= 0)
        infer_set_content(node, 0, taken, n);
    return NULL;
}

static Status eval_gather(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0], *indices = ctx->in[1];
    int64_t dims[2 * TENSOR_MAX_RANK], outer, n, *at;
    void *scratch;
    size_t bytes, inner;
    int axis, rank = 0;

    TRY(eval_element_bytes(ctx, 0, &bytes));
    TRY(eval_axis(ctx, node_int(ctx->node, "axis", 0), x->rank, &axis));
    if (indices->dtype != DT_INT64 && indices->dtype != DT_INT32)
        return eval_bad_dtype(ctx, 1);
    for (int i = 0; i < axis; i++)
        dims[rank++] = x->dims[i];
    for (int i = 0; i < indices->rank; i++)
        dims[rank++] = indices->dims[i];
    for (int i = axis + 1; i < x->rank; i++)
        dims[rank++] = x->dims[i];
    n = indices->count;
    TRY(eval_scratch(ctx, (size_t)n * sizeof *at, &scratch));
    at = scratch;
    for (int64_t i = 0; i < n; i++)
        TRY(eval_index(ctx, tensor_get_int(indices, i), x->dims[axis], axis, &at[i]));
    TRY(eval_output(ctx, 0, x->dtype, rank, dims));
    if (ctx->out[0].count == 0)
        return NULL;
    outer = count_of(x->dims, 0, axis);
    inner = (size_t)count_of(x->dims, axis + 1, x->rank) * bytes;
    for (int64_t o = 0; o < outer; o++) {
        const char *from = (const char *)x->data + (size_t)o * (size_t)x->dims[axis] * inner;
        char *to = (char *)ctx->out[0].data + (size_t)o * (size_t)n * inner;
        for (int64_t i = 0; i < n; i++)
            memcpy(to + (size_t)i * inner, from + (size_t)at[i] * inner, inner);
    }
    return NULL;
}

/* ---- GatherElements ---------------------------------------------------------------------------------------------- */

static Status infer_like_indices(Node *node)
{
    Shape shape = infer_shape(node, 1);

    infer_output(node, 0, infer_dtype(node, 0), &shape);
    return NULL;
}

static Status eval_gather_elements(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0], *indices = ctx->in[1];
    int64_t strides[TENSOR_MAX_RANK], index[TENSOR_MAX_RANK] = {0};
    size_t bytes;
    int axis;

    TRY(eval_element_bytes(ctx, 0, &bytes));
    TRY(eval_axis(ctx, node_int(ctx->node, "axis", 0), x->rank, &axis));
    if (indices->dtype != DT_INT64 && indices->dtype != DT_INT32)
        return eval_bad_dtype(ctx, 1);
    if (indices->rank != x->rank)
        return eval_error(ctx, CODE_MODEL, "indices have rank %d, data has %d", indices->rank, x->rank);
    for (int i = 0; i < x->rank; i++)
        if (i != axis && indices->dims[i] > x->dims[i])
            return eval_error(ctx, CODE_MODEL, "indices have size %lld on axis %d, data has %lld",
                              (long long)indices->dims[i], i, (long long)x->dims[i]);
    TRY(eval_output(ctx, 0, x->dtype, x->rank, indices->dims));
    row_major_strides(x->rank, x->dims, strides);
    for (int64_t i = 0; i < indices->count; i++) {
        int64_t at, offset = 0;
        TRY(eval_index(ctx, tensor_get_int(indices, i), x->dims[axis], axis, &at));
        for (int k = 0; k < x->rank; k++)
            offset += (k == axis ? at : index[k]) * strides[k];
        memcpy((char *)ctx->out[0].data + (size_t)i * bytes, (const char *)x->data + (size_t)offset * bytes, bytes);
        odometer_next(x->rank, indices->dims, index);
    }
    return NULL;
}

/* ---- GatherND ---------------------------------------------------------------------------------------------------- */

static Status infer_gather_nd(Node *node)
{
    Shape x = infer_shape(node, 0), indices = infer_shape(node, 1), out = {.rank = -1};
    int64_t batch = node_int(node, "batch_dims", 0), depth;

    if (x.rank >= 0 && indices.rank >= 1 && dim_is_known(indices.dims[indices.rank - 1])) {
        depth = indices.dims[indices.rank - 1].size;
        if (batch < 0 || batch >= indices.rank || depth < 1 || depth > x.rank - batch)
            return node_error(node, CODE_MODEL, "indices of depth %lld do not fit rank %d with batch_dims %lld",
                              (long long)depth, x.rank, (long long)batch);
        if (indices.rank - 1 + x.rank - (int)(batch + depth) > TENSOR_MAX_RANK)
            return node_error(node, CODE_MODEL, "gives a rank above %d", TENSOR_MAX_RANK);
        out.rank = 0;
        for (int i = 0; i < indices.rank - 1; i++)
            out.dims[out.rank++] = indices.dims[i];
        for (int i = (int)(batch + depth); i < x.rank; i++)
            out.dims[out.rank++] = x.dims[i];
    }
    infer_output(node, 0, infer_dtype(node, 0), &out);
    return NULL;
}

static Status eval_gather_nd(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0], *indices = ctx->in[1];
    int64_t batch = node_int(ctx->node, "batch_dims", 0), depth, dims[2 * TENSOR_MAX_RANK], strides[TENSOR_MAX_RANK];
    int64_t n_batches, tuples, slices;
    int rank = 0;
    size_t bytes, inner;

    TRY(eval_element_bytes(ctx, 0, &bytes));
    if (indices->dtype != DT_INT64)
        return eval_bad_dtype(ctx, 1);
    if (indices->rank < 1 || batch < 0 || batch >= indices->rank || batch >= x->rank)
        return eval_error(ctx, CODE_MODEL, "batch_dims %lld does not fit the inputs", (long long)batch);
    depth = indices->dims[indices->rank - 1];
    if (depth < 1 || depth > x->rank - batch)
        return eval_error(ctx, CODE_MODEL, "indices of depth %lld do not fit rank %d with batch_dims %lld",
                          (long long)depth, x->rank, (long long)batch);
    for (int i = 0; i < (int)batch; i++)
        if (x->dims[i] != indices->dims[i])
            return eval_error(ctx, CODE_MODEL, "batch axis %d differs: %lld and %lld", i, (long long)x->dims[i],
                              (long long)indices->dims[i]);
    for (int i = 0; i < indices->rank - 1; i++)
        dims[rank++] = indices->dims[i];
    for (int i = (int)(batch + depth); i < x->rank; i++)
        dims[rank++] = x->dims[i];
    TRY(eval_output(ctx, 0, x->dtype, rank, dims));
    row_major_strides(x->rank, x->dims, strides);
    n_batches = count_of(x->dims, 0, (int)batch);
    slices = count_of(x->dims, (int)batch, x->rank);
    tuples = count_of(indices->dims, (int)batch, indices->rank - 1);
    inner = (size_t)count_of(x->dims, (int)(batch + depth), x->rank) * bytes;
    for (int64_t b = 0; b < n_batches; b++)
        for (int64_t t = 0; t < tuples; t++) {
            int64_t tuple = b * tuples + t, offset = b * slices;
            for (int64_t k = 0; k < depth; k++) {
                int axis = (int)(batch + k);
                int64_t at;
                TRY(eval_index(ctx, ((const int64_t *)indices->data)[tuple * depth + k], x->dims[axis], axis, &at));
                offset += at * strides[axis];
            }
            if (inner > 0)
                memcpy((char *)ctx->out[0].data + (size_t)tuple * inner, (const char *)x->data + (size_t)offset * bytes,
                       inner);
        }
    return NULL;
}

static const AttrSpec axis_attrs[] = {{"axis", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec gather_nd_attrs[] = {{"batch_dims", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};

const OpDef op_gather = {
    .type = "Gather", .domain = "", .versions = {1, 11, 13}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = axis_attrs, .infer = infer_gather, .eval = eval_gather, .quant = RULE_SAME_SCALE,
};
const OpDef op_gatherelements = {
    .type = "GatherElements", .domain = "", .versions = {11, 13}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = axis_attrs, .infer = infer_like_indices, .eval = eval_gather_elements, .quant = RULE_FLOAT,
};
const OpDef op_gathernd = {
    .type = "GatherND", .domain = "", .versions = {11, 12, 13}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = gather_nd_attrs, .infer = infer_gather_nd, .eval = eval_gather_nd, .quant = RULE_FLOAT,
};
