/* op_ml_feature.c - ai.onnx.ml, features: Binarizer, Scaler, Normalizer, Imputer, ArrayFeatureExtractor, OneHotEncoder,
 * FeatureVectorizer.
 */
#include <math.h>
#include <string.h>

#include "src/ops/ml.h"

/* The element of a list of 1 or `n` numbers that stands for feature i. */
static double feature_of(const float *list, int64_t count, int64_t i)
{
    return (double)list[count == 1 ? 0 : i];
}

/* Elements of the last axis. */
static int64_t features_of(const Tensor *x)
{
    return x->rank == 0 ? 1 : x->dims[x->rank - 1];
}

static Status require_number(const EvalCtx *ctx, int i)
{
    DType dtype = ctx->in[i]->dtype;

    return dtype_is_float(dtype) || dtype_is_integer(dtype) ? NULL : eval_bad_dtype(ctx, i);
}

/* ---- Binarizer: 1 above the threshold ---------------------------------------------------------------------------- */

static Status eval_binarizer(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    double threshold = (double)node_float(ctx->node, "threshold", 0);

    TRY(require_number(ctx, 0));
    TRY(eval_output(ctx, 0, x->dtype, x->rank, x->dims));
    for (int64_t i = 0; i < x->count; i++)
        tensor_set(&ctx->out[0], i, tensor_get(x, i) > threshold);
    return NULL;
}

/* ---- Scaler: (x - offset) * scale -------------------------------------------------------------------------------- */

static Status eval_scaler(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t n = features_of(x), n_offset, n_scale;
    const float *offset = node_floats(ctx->node, "offset", &n_offset);
    const float *scale = node_floats(ctx->node, "scale", &n_scale);

    TRY(require_number(ctx, 0));
    if ((n_offset > 1 && n_offset != n) || (n_scale > 1 && n_scale != n))
        return eval_error(ctx, CODE_MODEL, "%lld offsets and %lld scales for %lld features", (long long)n_offset,
                          (long long)n_scale, (long long)n);
    TRY(eval_output(ctx, 0, DT_FLOAT, x->rank, x->dims));
    for (int64_t i = 0; i < x->count; i++) {
        double shifted = tensor_get(x, i) - (n_offset == 0 ? 0 : feature_of(offset, n_offset, i % n));
        ((float *)ctx->out[0].data)[i] = (float)(shifted * (n_scale == 0 ? 1 : feature_of(scale, n_scale, i % n)));
    }
    return NULL;
}

static Status infer_float(Node *node)
{
    Shape shape = infer_shape(node, 0);

    infer_output(node, 0, DT_FLOAT, &shape);
    return NULL;
}

/* ---- Normalizer: rows over their maximum, sum of magnitudes, or Euclidean norm; rows of 0 stay ------------------- */

static Status eval_normalizer(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    const char *norm = node_string(ctx->node, "norm", "MAX");
    bool max = strcmp(norm, "MAX") == 0, l1 = strcmp(norm, "L1") == 0;
    MlRows rows;

    if (!max && !l1 && strcmp(norm, "L2") != 0)
        return eval_error(ctx, CODE_MODEL, "norm '%s' is none of MAX, L1, L2", norm);
    TRY(ml_rows(ctx, &rows));
    TRY(eval_output(ctx, 0, DT_FLOAT, x->rank, x->dims));
    for (int64_t row = 0; row < rows.n; row++) {
        const double *from = rows.data + row * rows.features;
        float *to = (float *)ctx->out[0].data + row * rows.features;
        double divisor = max ? -INFINITY : 0;
        for (int64_t i = 0; i < rows.features; i++)
            divisor = max ? MAX(divisor, from[i]) : divisor + (l1 ? fabs(from[i]) : from[i] * from[i]);
        divisor = max || l1 ? divisor : sqrt(divisor);
        for (int64_t i = 0; i < rows.features; i++)
            to[i] = (float)(divisor == 0 ? from[i] : from[i] / divisor);
    }
    return NULL;
}

/* ---- Imputer: one value (NaN too) becomes another ---------------------------------------------------------------- */

static Status eval_imputer(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    bool whole = dtype_is_integer(x->dtype);
    int64_t n = features_of(x), count, from_whole = node_int(ctx->node, "replaced_value_int64", 0);
    double from_real = (double)node_float(ctx->node, "replaced_value_float", 0);
    const int64_t *ints = node_ints(ctx->node, "imputed_value_int64s", &count);
    const float *floats = NULL;

    TRY(require_number(ctx, 0));
    if (!whole)
        floats = node_floats(ctx->node, "imputed_value_floats", &count);
    if (count != 1 && count != n)
        return eval_error(ctx, CODE_MODEL, "%lld imputed values for %lld features", (long long)count, (long long)n);
    TRY(eval_output(ctx, 0, x->dtype, x->rank, x->dims));
    if (x->bytes > 0)
        memcpy(ctx->out[0].data, x->data, x->bytes);
    for (int64_t i = 0; i < x->count; i++) {
        int64_t which = count == 1 ? 0 : i % n;
        double value = tensor_get(x, i);
        if (whole && tensor_get_int(x, i) == from_whole) {
            if (x->dtype == DT_INT64)
                ((int64_t *)ctx->out[0].data)[i] = ints[which];
            else
                tensor_set(&ctx->out[0], i, (double)ints[which]);
        } else if (!whole && (value == from_real || (value != value && from_real != from_real))) {
            tensor_set(&ctx->out[0], i, (double)floats[which]);
        }
    }
    return NULL;
}

/* ---- ArrayFeatureExtractor: columns of the last axis ------------------------------------------------------------- */

static Status eval_extractor(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0], *indices = ctx->in[1];
    int64_t n = features_of(x), rows, dims[TENSOR_MAX_RANK];
    size_t bytes;

    TRY(eval_require_dtype(ctx, 1, DT_INT64));
    TRY(eval_element_bytes(ctx, 0, &bytes));
    if (x->rank < 1 || indices->count < 1)
        return eval_error(ctx, CODE_MODEL, "an input of rank %d and %lld indices are not possible", x->rank,
                          (long long)indices->count);
    rows = count_of(x->dims, 0, x->rank - 1);
    memcpy(dims, x->dims, (size_t)x->rank * sizeof *dims);
    dims[x->rank - 1] = indices->count;
    int rank = MAX(x->rank, 2);
    if (x->rank == 1) {
        dims[0] = 1;
        dims[1] = indices->count;
    }
    TRY(eval_output(ctx, 0, x->dtype, rank, dims));
    for (int64_t i = 0; i < indices->count; i++) {
        int64_t at = ((const int64_t *)indices->data)[i];
        if (at < 0 || at >= n)
            return eval_error(ctx, CODE_MODEL, "index %lld is beyond the %lld features", (long long)at, (long long)n);
        for (int64_t row = 0; row < rows; row++)
            memcpy((char *)ctx->out[0].data + (size_t)(row * indices->count + i) * bytes,
                   (const char *)x->data + (size_t)(row * n + at) * bytes, bytes);
    }
    return NULL;
}

static Status infer_extractor(Node *node)
{
    Shape out = infer_shape(node, 0), indices = infer_shape(node, 1);
    Dim count = DIM_UNKNOWN;

    TRY(infer_rank_at_least(node, 0, 1));
    if (shape_count(&indices) >= 0)
        count = dim_known(shape_count(&indices));
    if (out.rank == 1)
        out = (Shape){.rank = 2, .dims = {dim_known(1), count}};
    else if (out.rank > 1)
        out.dims[out.rank - 1] = count;
    infer_output(node, 0, infer_dtype(node, 0), &out);
    return NULL;
}

/* ---- OneHotEncoder: 1 at the place of the category --------------------------------------------------------------- */

static Status eval_one_hot(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    MlLabels cats = ml_labels(ctx->node, "cats_int64s", "cats_strings");
    int64_t dims[TENSOR_MAX_RANK];
    bool zeros = node_int(ctx->node, "zeros", 1) != 0;

    if (x->rank + 1 > TENSOR_MAX_RANK || cats.n < 1 || (x->dtype == DT_STRING) != (cats.strings != NULL))
        return eval_error(ctx, CODE_MODEL, "%lld categories do not fit an input of %s", (long long)cats.n,
                          dtype_name(x->dtype));
    if (x->dtype != DT_STRING)
        TRY(require_number(ctx, 0));
    for (int d = 0; d < x->rank; d++)
        dims[d] = x->dims[d];
    dims[x->rank] = cats.n;
    TRY(eval_output(ctx, 0, DT_FLOAT, x->rank + 1, dims));
    for (int64_t i = 0; i < x->count; i++) {
        float *to = (float *)ctx->out[0].data + i * cats.n;
        bool found = false;
        for (int64_t c = 0; c < cats.n; c++) {
            bool same;
            if (cats.strings != NULL) {
                TensorString a = ((const TensorString *)x->data)[i], b = cats.strings[c];
                same = a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
            } else {
                same = tensor_get_int(x, i) == cats.ints[c];
            }
            to[c] = same && !found;
            found = found || same;
        }
        if (!found && !zeros)
            return eval_error(ctx, CODE_MODEL, "element %lld is in no category; attribute 'zeros' 1 allows that",
                              (long long)i);
    }
    return NULL;
}

static Status infer_one_hot(Node *node)
{
    MlLabels cats = ml_labels(node, "cats_int64s", "cats_strings");
    Shape out = infer_shape(node, 0);

    if (out.rank >= 0 && out.rank < TENSOR_MAX_RANK)
        out.dims[out.rank++] = dim_known(cats.n);
    infer_output(node, 0, DT_FLOAT, &out);
    return NULL;
}

/* ---- FeatureVectorizer: rows side by side ------------------------------------------------------------------------ */

static Status eval_vectorizer(EvalCtx *ctx)
{
    int64_t rows = -1, total = 0, at = 0;

    for (int i = 0; i < ctx->n_in; i++) {
        const Tensor *x = eval_in(ctx, i);
        if (x == NULL || x->rank < 1 || x->rank > 2)
            return eval_error(ctx, CODE_MODEL, "input %d must have rank 1 or 2", i);
        TRY(require_number(ctx, i));
        int64_t n = x->rank == 1 ? 1 : x->dims[0];
        if (rows >= 0 && n != rows)
            return eval_error(ctx, CODE_MODEL, "input %d has %lld rows, those before have %lld", i, (long long)n,
                              (long long)rows);
        rows = n;
        if (__builtin_add_overflow(total, features_of(x), &total))
            return eval_error(ctx, CODE_MODEL, "too many features");
    }
    TRY(eval_output(ctx, 0, DT_FLOAT, 2, (int64_t[]){rows, total}));
    for (int i = 0; i < ctx->n_in; i++) {
        int64_t n = features_of(ctx->in[i]);
        for (int64_t k = 0; k < ctx->in[i]->count; k++)
            ((float *)ctx->out[0].data)[k / n * total + at + k % n] = (float)tensor_get(ctx->in[i], k);
        at += n;
    }
    return NULL;
}

static Status infer_vectorizer(Node *node)
{
    int64_t total = 0;

    for (int i = 0; i < node->n_in && total >= 0; i++) {
        Shape in = infer_shape(node, i);
        if (in.rank < 1 || !dim_is_known(in.dims[in.rank - 1]) ||
            __builtin_add_overflow(total, in.dims[in.rank - 1].size, &total))
            total = -1;
    }
    Shape out = ml_rows_shape(node, total);
    infer_output(node, 0, DT_FLOAT, &out);
    return NULL;
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

#define NO_MORE_ATTRS {NULL, ATTR_UNDEFINED, false}
static const AttrSpec binarizer_attrs[] = {{"threshold", ATTR_FLOAT, false}, NO_MORE_ATTRS};
static const AttrSpec scaler_attrs[] = {{"offset", ATTR_FLOATS, false}, {"scale", ATTR_FLOATS, false}, NO_MORE_ATTRS};
static const AttrSpec normalizer_attrs[] = {{"norm", ATTR_STRING, false}, NO_MORE_ATTRS};
static const AttrSpec imputer_attrs[] = {
    {"imputed_value_floats", ATTR_FLOATS, false}, {"imputed_value_int64s", ATTR_INTS, false},
    {"replaced_value_float", ATTR_FLOAT, false},  {"replaced_value_int64", ATTR_INT, false},
    NO_MORE_ATTRS,
};
static const AttrSpec one_hot_attrs[] = {
    {"cats_int64s", ATTR_INTS, false}, {"cats_strings", ATTR_STRINGS, false}, {"zeros", ATTR_INT, false}, NO_MORE_ATTRS,
};
static const AttrSpec vectorizer_attrs[] = {{"inputdimensions", ATTR_INTS, false}, NO_MORE_ATTRS};

#define FEATURE_OP(symbol, name, attributes, infer_fn, eval_fn, least_in, most_in)                                     \
    const OpDef symbol = {                                                                                             \
        .type = name, .domain = DOMAIN_ML, .versions = {1}, .min_in = least_in, .max_in = most_in, .min_out = 1,       \
        .max_out = 1, .attrs = attributes, .infer = infer_fn, .eval = eval_fn, .quant = RULE_FLOAT,                    \
    };

FEATURE_OP(op_ml_binarizer, "Binarizer", binarizer_attrs, infer_same_as_input, eval_binarizer, 1, 1)
FEATURE_OP(op_ml_scaler, "Scaler", scaler_attrs, infer_float, eval_scaler, 1, 1)
FEATURE_OP(op_ml_normalizer, "Normalizer", normalizer_attrs, infer_float, eval_normalizer, 1, 1)
FEATURE_OP(op_ml_imputer, "Imputer", imputer_attrs, infer_same_as_input, eval_imputer, 1, 1)
FEATURE_OP(op_ml_arrayfeatureextractor, "ArrayFeatureExtractor", NULL, infer_extractor, eval_extractor, 2, 2)
FEATURE_OP(op_ml_onehotencoder, "OneHotEncoder", one_hot_attrs, infer_one_hot, eval_one_hot, 1, 1)
FEATURE_OP(op_ml_featurevectorizer, "FeatureVectorizer", vectorizer_attrs, infer_vectorizer, eval_vectorizer, 1,
           OP_VARIADIC)
