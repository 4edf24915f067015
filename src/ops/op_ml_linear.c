/* op_ml_linear.c - ai.onnx.ml: LinearRegressor and LinearClassifier.
 *
 *     scores (N, E) = transform(x (N, F) . coefficients (E, F)' + intercepts (E))
 *     label = that of the greatest score; one score for two classes: the second when it is positive
 */
#include "src/ops/ml.h"

typedef struct Linear {
    MlRows x;
    MlTransform transform;
    const float *coefficients, *intercepts;
    int64_t scores; /* E */
} Linear;

static Status read_linear(EvalCtx *ctx, int64_t scores, Linear *ret)
{
    int64_t n, n_intercepts;

    TRY(ml_rows(ctx, &ret->x));
    TRY(ml_transform_attr(ctx, &ret->transform));
    ret->coefficients = node_floats(ctx->node, "coefficients", &n);
    ret->intercepts = node_floats(ctx->node, "intercepts", &n_intercepts);
    if (scores < 0) /* as many as the coefficients make */
        scores = ret->x.features == 0 ? 0 : n / ret->x.features;
    if (scores < 1 || ret->x.features == 0 || n % scores != 0 || n / scores != ret->x.features)
        return eval_error(ctx, CODE_MODEL, "%lld coefficients do not fit %lld features", (long long)n,
                          (long long)ret->x.features);
    if (n_intercepts != 0 && n_intercepts != scores)
        return eval_error(ctx, CODE_MODEL, "%lld intercepts for %lld scores", (long long)n_intercepts,
                          (long long)scores);
    ret->scores = scores;
    return NULL;
}

static void score_row(const Linear *linear, int64_t row, double *ret)
{
    const double *x = linear->x.data + row * linear->x.features;

    for (int64_t e = 0; e < linear->scores; e++) {
        const float *weight = linear->coefficients + e * linear->x.features;
        ret[e] = linear->intercepts == NULL ? 0 : (double)linear->intercepts[e];
        for (int64_t f = 0; f < linear->x.features; f++)
            ret[e] += x[f] * (double)weight[f];
    }
}

static Status eval_regressor(EvalCtx *ctx)
{
    Linear linear = {0};
    double *scores;
    float *y;

    TRY(read_linear(ctx, node_int(ctx->node, "targets", 1), &linear));
    TRY(eval_output(ctx, 0, DT_FLOAT, 2, (int64_t[]){linear.x.n, linear.scores}));
    y = ctx->out[0].data;
    scores = arena_array(ctx->scratch, (size_t)linear.scores, sizeof *scores);
    for (int64_t row = 0; row < linear.x.n; row++) {
        score_row(&linear, row, scores);
        ml_transform(linear.transform, scores, linear.scores);
        for (int64_t e = 0; e < linear.scores; e++)
            y[row * linear.scores + e] = (float)scores[e];
    }
    return NULL;
}

static Status eval_classifier(EvalCtx *ctx)
{
    MlLabels labels = ml_labels(ctx->node, "classlabels_ints", "classlabels_strings");
    Linear linear = {0};
    double *scores, two[2];
    float *z = NULL;

    TRY(read_linear(ctx, -1, &linear));
    bool second = linear.scores == 1 && labels.n == 2;
    int64_t columns = second ? 2 : linear.scores;
    if (labels.n != 0 && labels.n != columns)
        return eval_error(ctx, CODE_MODEL, "%lld labels for %lld scores", (long long)labels.n, (long long)columns);
    TRY(ml_labels_output(ctx, &labels, linear.x.n));
    if (eval_wants(ctx, 1)) {
        TRY(eval_output(ctx, 1, DT_FLOAT, 2, (int64_t[]){linear.x.n, columns}));
        z = ctx->out[1].data;
    }
    scores = arena_array(ctx->scratch, (size_t)linear.scores, sizeof *scores);
    for (int64_t row = 0; row < linear.x.n; row++) {
        const double *result = scores;
        int64_t best = 0;
        score_row(&linear, row, scores);
        for (int64_t e = 1; e < linear.scores; e++)
            best = scores[e] > scores[best] ? e : best;
        if (second) {
            best = scores[0] > 0;
            ml_second_class(linear.transform, true, scores[0], two);
            result = two;
        } else {
            ml_transform(linear.transform, scores, linear.scores);
        }
        ml_label_set(ctx, &labels, row, best);
        for (int64_t e = 0; z != NULL && e < columns; e++)
            z[row * columns + e] = (float)result[e];
    }
    return NULL;
}

static Status infer_regressor(Node *node)
{
    Shape out = ml_rows_shape(node, MAX(node_int(node, "targets", 1), -1));

    infer_output(node, 0, DT_FLOAT, &out);
    return NULL;
}

static Status infer_classifier(Node *node)
{
    MlLabels labels = ml_labels(node, "classlabels_ints", "classlabels_strings");
    Shape in = infer_shape(node, 0);
    int64_t n, columns = -1;

    (void)node_floats(node, "coefficients", &n);
    if (in.rank >= 1 && in.dims[in.rank - 1].size > 0)
        columns = n / in.dims[in.rank - 1].size;
    Shape scores = ml_rows_shape(node, columns == 1 && labels.n == 2 ? 2 : columns);
    Shape list = {.rank = 1, .dims = {scores.dims[0]}};
    infer_output(node, 0, ml_labels_dtype(&labels), &list);
    infer_output(node, 1, DT_FLOAT, &scores);
    return NULL;
}

static const AttrSpec regressor_attrs[] = {
    {"coefficients", ATTR_FLOATS, false},  {"intercepts", ATTR_FLOATS, false}, {"post_transform", ATTR_STRING, false},
    {"targets", ATTR_INT, false},          {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec classifier_attrs[] = {
    {"classlabels_ints", ATTR_INTS, false}, {"classlabels_strings", ATTR_STRINGS, false},
    {"coefficients", ATTR_FLOATS, true},    {"intercepts", ATTR_FLOATS, false},
    {"multi_class", ATTR_INT, false},       {"post_transform", ATTR_STRING, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_ml_linearregressor = {
    .type = "LinearRegressor", .domain = DOMAIN_ML, .versions = {1}, .min_in = 1, .max_in = 1, .min_out = 1,
    .max_out = 1, .attrs = regressor_attrs, .infer = infer_regressor, .eval = eval_regressor, .quant = RULE_FLOAT,
};
const OpDef op_ml_linearclassifier = {
    .type = "LinearClassifier", .domain = DOMAIN_ML, .versions = {1}, .min_in = 1, .max_in = 1, .min_out = 1,
    .max_out = 2, .attrs = classifier_attrs, .infer = infer_classifier, .eval = eval_classifier, .quant = RULE_FLOAT,
};
