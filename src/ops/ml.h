/* ml.h - what the families of domain ai.onnx.ml share: rows of features, scores and their transforms. Internal to src/ops.
 */
#ifndef QUANTIZE_OPS_ML_H
#define QUANTIZE_OPS_ML_H

#include "src/ops/family.h"

/* Input 0 as (n, features) doubles; a list is one row. */
typedef struct MlRows {
    const double *data;
    int64_t n, features;
} MlRows;
MUST_USE Status ml_rows(EvalCtx *ctx, MlRows *ret);
/* (n, columns) for the output of an op that takes such rows; columns < 0: unknown. */
Shape ml_rows_shape(const Node *node, int64_t columns);

typedef enum MlTransform {
    ML_NONE,
    ML_SOFTMAX,
    ML_LOGISTIC,
    ML_SOFTMAX_ZERO, /* softmax over the scores that are not 0 */
    ML_PROBIT,       /* inverse of the normal distribution */
    ML_TRANSFORMS
} MlTransform;
/* From the attribute post_transform. */
MUST_USE Status ml_transform_attr(const EvalCtx *ctx, MlTransform *ret);
void ml_transform(MlTransform transform, double *scores, int64_t n);
/* The two scores of a binary model that has one, as the runtime gives them: s for the second class; for the first 1 - s
 * with `complement`, else -s. Of the transforms only LOGISTIC counts: that of -s and s. */
void ml_second_class(MlTransform transform, bool complement, double s, double ret[2]);

/* The class labels of a classifier: attributes `ints` or `strings`; neither: numbers from 0. */
typedef struct MlLabels {
    const int64_t *ints;
    const TensorString *strings;
    int64_t n;
} MlLabels;
MlLabels ml_labels(const Node *node, const char *ints, const char *strings);
MUST_USE Status ml_labels_output(EvalCtx *ctx, const MlLabels *labels, int64_t n);
void ml_label_set(EvalCtx *ctx, const MlLabels *labels, int64_t row, int64_t label);
DType ml_labels_dtype(const MlLabels *labels);

#endif
