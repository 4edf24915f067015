/* op_linalg.c - Det; MeanVarianceNormalization; MaxUnpool.
 *
 *     MaxUnpool   x and the places it was pooled from ──> x at its places, 0 elsewhere
 *
 * Formulas: the ONNX operator specification.
 */
#include <math.h>
#include <string.h>

#include "src/ops/family.h"

/* ---- Det --------------------------------------------------------------------------------------------------------- */

/* Gaussian elimination with pivots from the column; a is (n,n) and is overwritten. */
static double determinant(double *a, int64_t n)
{
    double det = 1;

    for (int64_t k = 0; k < n; k++) {
        int64_t best = k;
        for (int64_t i = k + 1; i < n; i++)
            if (fabs(a[i * n + k]) > fabs(a[best * n + k]))
                best = i;
        if (best != k)
            det = -det;
        for (int64_t j = k; j < n && best != k; j++) {
            double kept = a[k * n + j];
            a[k * n + j] = a[best * n + j];
            a[best * n + j] = kept;
        }
        double pivot = a[k * n + k];
        det *= pivot;
        if (pivot == 0)
            return 0;
        for (int64_t i = k + 1; i < n; i++) {
            double factor = a[i * n + k] / pivot;
            for (int64_t j = k + 1; j < n; j++)
                a[i * n + j] -= factor * a[k * n + j];
        }
    }
    return det;
}

static Status eval_det(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    size_t bytes;
    void *matrix;

    if (x->dtype != DT_FLOAT && x->dtype != DT_DOUBLE)
        return eval_bad_dtype(ctx, 0);
    if (x->rank < 2 || x->dims[x->rank - 1] != x->dims[x->rank - 2])
        return eval_error(ctx, CODE_MODEL, "input %s is no square matrix", tensor_shape_text(ctx->scratch, x));
    int64_t n = x->dims[x->rank - 1];
    if (!size_mul((size_t)n, (size_t)n, &bytes) || !size_mul(bytes, sizeof(double), &bytes))
        return eval_error(ctx, CODE_MODEL, "the matrix is too large");
    TRY(eval_scratch(ctx, bytes, &matrix));
    TRY(eval_output(ctx, 0, x->dtype, x->rank - 2, x->dims));
    for (int64_t k = 0; k < ctx->out[0].count; k++) {
        for (int64_t i = 0; i < n * n; i++)
            ((double *)matrix)[i] = tensor_get(x, k * n * n + i);
        tensor_set(&ctx->out[0], k, determinant(matrix, n));
    }
    return NULL;
}

static Status infer_det(Node *node)
{
    Shape shape = infer_shape(node, 0);

    TRY(infer_rank_at_least(node, 0, 2));
    if (shape.rank >= 2)
        shape.rank -= 2;
    infer_output(node, 0, infer_dtype(node, 0), &shape);
    return NULL;
}

/* ---- MeanVarianceNormalization: (x - mean) / (deviation + 1e-9) over some axes ----------------------------------- */

static Status mvn_axes(const Node *node, int rank, bool over[TENSOR_MAX_RANK])
{
    static const int64_t usual[] = {0, 2, 3};
    int64_t n = 0;
    const int64_t *axes = node_ints(node, "axes", &n);

    if (axes == NULL) {
        axes = usual;
        n = COUNT_OF(usual);
    }
    for (int i = 0; i < rank; i++)
        over[i] = false;
    for (int64_t i = 0; i < n; i++) {
        if (axes[i] < -rank || axes[i] >= rank)
            return node_error(node, CODE_MODEL, "axis %lld is out of range for rank %d", (long long)axes[i], rank);
        over[axes[i] < 0 ? axes[i] + rank : axes[i]] = true;
    }
    return NULL;
}

static Status eval_mvn(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t kept[TENSOR_MAX_RANK], index[TENSOR_MAX_RANK] = {0}, groups = 1;
    bool over[TENSOR_MAX_RANK];
    void *memory;

    if (x->dtype != DT_FLOAT && x->dtype != DT_DOUBLE)
        return eval_bad_dtype(ctx, 0);
    TRY(mvn_axes(ctx->node, x->rank, over));
    for (int i = x->rank - 1; i >= 0; i--) { /* stride of the group's number */
        kept[i] = over[i] ? 0 : groups;
        groups *= over[i] ? 1 : x->dims[i];
    }
    TRY(eval_output(ctx, 0, x->dtype, x->rank, x->dims));
    if (x->count == 0)
        return NULL;
    TRY(eval_scratch(ctx, 2 * (size_t)groups * sizeof(double), &memory));
    memset(memory, 0, 2 * (size_t)groups * sizeof(double));
    double *mean = memory, *square = mean + groups, n = (double)(x->count / groups);
    /* Three walks over the elements: means, variances, results. */
    for (int walk = 0; walk < 3; walk++) {
        for (int64_t i = 0; i < x->count; i++) {
            int64_t group = 0;
            for (int k = 0; k < x->rank; k++)
                group += index[k] * kept[k];
            double away = tensor_get(x, i) - (walk > 0 ? mean[group] : 0);
            if (walk == 0)
                mean[group] += away / n;
            else if (walk == 1)
                square[group] += away * away / n;
            else
                tensor_set(&ctx->out[0], i, away / (sqrt(square[group]) + 1e-9));
            (void)odometer_next(x->rank, x->dims, index);
        }
    }
    return NULL;
}

/* ---- MaxUnpool --------------------------------------------------------------------------------------------------- */

/* Size of a spatial axis before it was pooled. */
static Status unpooled_size(const Node *node, int axis, int space, int64_t size, int64_t *ret)
{
    int64_t n_kernel, n_strides, n_pads;
    const int64_t *kernel = node_ints(node, "kernel_shape", &n_kernel);
    const int64_t *strides = node_ints(node, "strides", &n_strides), *pads = node_ints(node, "pads", &n_pads);

    if (n_kernel != space || (strides != NULL && n_strides != space) || (pads != NULL && n_pads != 2 * space))
        return node_error(node, CODE_MODEL, "kernel_shape, strides or pads do not fit %d spatial axes", space);
    int64_t before = pads != NULL ? pads[axis] : 0, after = pads != NULL ? pads[axis + space] : 0;
    int64_t stride = strides != NULL ? strides[axis] : 1;
    if (kernel[axis] < 1 || stride < 1 || kernel[axis] > INT32_MAX || stride > INT32_MAX || before < 0 || after < 0 ||
        before > INT32_MAX || after > INT32_MAX || size > INT32_MAX)
        return node_error(node, CODE_MODEL, "kernel_shape, strides or pads are out of range");
    *ret = MAX((size - 1) * stride - before - after + kernel[axis], 0);
    return NULL;
}

static Status eval_unpool(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0], *places = ctx->in[1];
    int64_t pooled[TENSOR_MAX_RANK] = {0}, strides[TENSOR_MAX_RANK], *given, n, count;
    size_t bytes, element;

    TRY(eval_element_bytes(ctx, 0, &element));
    TRY(eval_require_dtype(ctx, 1, DT_INT64));
    if (x->rank < 3 || !tensor_same_shape(x, places))
        return eval_error(ctx, CODE_MODEL, "input %s and indices %s do not fit", tensor_shape_text(ctx->scratch, x),
                          tensor_shape_text(ctx->scratch, places));
    for (int i = 0; i < x->rank; i++) {
        pooled[i] = x->dims[i];
        if (i >= 2)
            TRY(unpooled_size(ctx->node, i - 2, x->rank - 2, x->dims[i], &pooled[i]));
    }
    TRY(tensor_measure(x->dtype, x->rank, pooled, &count, &bytes));
    TRY(eval_ints(ctx, 2, &given, &n));
    if (n >= 0 && n != x->rank)
        return eval_error(ctx, CODE_MODEL, "output_shape has %lld elements, expected %d", (long long)n, x->rank);
    TRY(eval_output(ctx, 0, x->dtype, x->rank, n >= 0 ? given : pooled));
    Tensor *out = &ctx->out[0];
    if (out->bytes > 0)
        memset(out->data, 0, out->bytes);
    row_major_strides(x->rank, out->dims, strides);
    for (int64_t i = 0; i < x->count; i++) {
        int64_t place = ((const int64_t *)places->data)[i], to = 0;
        if (place < 0 || place >= count)
            return eval_error(ctx, CODE_MODEL, "index %lld is outside a tensor of %lld elements", (long long)place,
                              (long long)count);
        bool inside = true;
        for (int k = x->rank - 1; k >= 0; k--) { /* the index counts in the shape that was pooled */
            int64_t at = place % pooled[k];
            place /= pooled[k];
            inside = inside && at < out->dims[k];
            to += at * strides[k];
        }
        if (!inside)
            return eval_error(ctx, CODE_MODEL, "output_shape leaves no room for index %lld",
                              (long long)((const int64_t *)places->data)[i]);
        memcpy((char *)out->data + (size_t)to * element, (const char *)x->data + (size_t)i * element, element);
    }
    return NULL;
}

static Status infer_unpool(Node *node)
{
    Shape shape = infer_shape(node, 0);
    Dim given[TENSOR_MAX_RANK];

    if (node_in(node, 2) != NULL) {
        int n = infer_content(node, 2, given, TENSOR_MAX_RANK);
        shape.rank = n >= 0 ? n : shape.rank;
        for (int i = 0; i < shape.rank; i++)
            shape.dims[i] = n >= 0 ? content_to_dim(given[i]) : DIM_UNKNOWN;
    } else {
        for (int i = 2; i < shape.rank; i++)
            if (dim_is_known(shape.dims[i]))
                TRY(unpooled_size(node, i - 2, shape.rank - 2, shape.dims[i].size, &shape.dims[i].size));
            else
                shape.dims[i] = DIM_UNKNOWN;
    }
    infer_output(node, 0, infer_dtype(node, 0), &shape);
    return NULL;
}

static const AttrSpec mvn_attrs[] = {{"axes", ATTR_INTS, false}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec unpool_attrs[] = {
    {"kernel_shape", ATTR_INTS, true},
    {"pads", ATTR_INTS, false},
    {"strides", ATTR_INTS, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_det = {
    .type = "Det", .domain = "", .versions = {11, 22}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .infer = infer_det, .eval = eval_det, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_meanvariancenormalization = {
    .type = "MeanVarianceNormalization", .domain = "", .versions = {9, 13}, .min_in = 1, .max_in = 1, .min_out = 1,
    .max_out = 1, .attrs = mvn_attrs, .infer = infer_same_as_input, .eval = eval_mvn, .quant = RULE_FLOAT,
    .widen_half = true,
};
const OpDef op_maxunpool = {
    .type = "MaxUnpool", .domain = "", .versions = {9, 11, 22}, .min_in = 2, .max_in = 3, .min_out = 1, .max_out = 1,
    .attrs = unpool_attrs, .infer = infer_unpool, .eval = eval_unpool, .quant = RULE_FLOAT,
};
