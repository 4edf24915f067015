/* ml.c - rows, labels and score transforms of the ai.onnx.ml families; see ml.h. */
#include "src/ops/ml.h"

#include <math.h>
#include <string.h>

Status ml_rows(EvalCtx *ctx, MlRows *ret)
{
    const Tensor *x = ctx->in[0], *wide;

    if (x->rank < 1 || x->rank > 2)
        return eval_error(ctx, CODE_MODEL, "input has rank %d, expected 1 or 2", x->rank);
    if (!dtype_is_float(x->dtype) && !dtype_is_integer(x->dtype))
        return eval_bad_dtype(ctx, 0);
    TRY(eval_converted(ctx, x, DT_DOUBLE, &wide));
    *ret = (MlRows){wide->data, x->rank == 1 ? 1 : x->dims[0], x->dims[x->rank - 1]};
    return NULL;
}

Shape ml_rows_shape(const Node *node, int64_t columns)
{
    Shape in = infer_shape(node, 0), out = {.rank = 2, .dims = {DIM_UNKNOWN, DIM_UNKNOWN}};

    if (in.rank == 1)
        out.dims[0] = dim_known(1);
    else if (in.rank == 2)
        out.dims[0] = in.dims[0];
    if (columns >= 0)
        out.dims[1] = dim_known(columns);
    return out;
}

Status ml_transform_attr(const EvalCtx *ctx, MlTransform *ret)
{
    static const char *const names[ML_TRANSFORMS] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
    const char *name = node_string(ctx->node, "post_transform", "NONE");

    for (int i = 0; i < ML_TRANSFORMS; i++)
        if (strcmp(name, names[i]) == 0) {
            *ret = (MlTransform)i;
            return NULL;
        }
    return eval_error(ctx, CODE_MODEL, "post_transform '%s' is not known", name);
}

static double logistic(double x)
{
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

/* sqrt(2) * erfinv(2 p - 1) by Winitzki's approximation with a = 0.147, as the runtimes have it. */
static double probit(double p)
{
    double x = 2 * p - 1, l = log((1 - x) * (1 + x)), a = 0.147;
    double half = 2 / (3.14159265358979323846 * a) + l / 2;

    return sqrt(2.0) * copysign(sqrt(sqrt(half * half - l / a) - half), x);
}

static void softmax(double *scores, int64_t n, bool skip_zero)
{
    double peak = -INFINITY, sum = 0;

    for (int64_t i = 0; i < n; i++)
        peak = MAX(peak, scores[i]);
    for (int64_t i = 0; i < n; i++) {
        bool zero = skip_zero && fabs(scores[i]) <= 1e-7;
        scores[i] = zero ? scores[i] * exp(-peak) : exp(scores[i] - peak);
        sum += scores[i];
    }
    for (int64_t i = 0; i < n; i++)
        scores[i] = sum == 0 ? 0.5 : scores[i] / sum;
}

void ml_transform(MlTransform transform, double *scores, int64_t n)
{
    if (transform == ML_SOFTMAX || transform == ML_SOFTMAX_ZERO)
        softmax(scores, n, transform == ML_SOFTMAX_ZERO);
    for (int64_t i = 0; i < n && (transform == ML_LOGISTIC || transform == ML_PROBIT); i++)
        scores[i] = transform == ML_LOGISTIC ? logistic(scores[i]) : probit(scores[i]);
}

void ml_second_class(MlTransform transform, bool complement, double s, double ret[2])
{
    ret[0] = complement && transform != ML_LOGISTIC ? 1 - s : -s;
    ret[1] = s;
    if (transform == ML_LOGISTIC)
        ml_transform(transform, ret, 2);
}

MlLabels ml_labels(const Node *node, const char *ints, const char *strings)
{
    MlLabels labels = {0};
    const Attr *attr = node_attr(node, strings);

    labels.ints = node_ints(node, ints, &labels.n);
    if (labels.n == 0 && attr != NULL && attr->kind == ATTR_STRINGS) {
        labels.ints = NULL;
        labels.strings = attr->strings;
        labels.n = attr->n;
    }
    return labels;
}

DType ml_labels_dtype(const MlLabels *labels)
{
    return labels->strings != NULL ? DT_STRING : DT_INT64;
}

Status ml_labels_output(EvalCtx *ctx, const MlLabels *labels, int64_t n)
{
    return eval_output(ctx, 0, ml_labels_dtype(labels), 1, &n);
}

void ml_label_set(EvalCtx *ctx, const MlLabels *labels, int64_t row, int64_t label)
{
    if (labels->strings != NULL)
        ((TensorString *)ctx->out[0].data)[row] = labels->strings[label];
    else
        ((int64_t *)ctx->out[0].data)[row] = labels->ints != NULL ? labels->ints[label] : label;
}
