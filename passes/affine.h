/* affine.h - a scale and a shift for each output channel, folded into the weights before it.
 *
 *     y[c] = scale[c] * (W x + b)[c] + shift[c]      ->      y[c] = (W' x + b')[c]
 *     W'[c] = scale[c] * W[c]       b'[c] = scale[c] * b[c] + shift[c]
 *
 * For Conv, ConvTranspose, Gemm and (without a shift) MatMul with constant weights. Letters: C output channels.
 */
#ifndef QUANTIZE_PASSES_AFFINE_H
#define QUANTIZE_PASSES_AFFINE_H

#include "src/ir/ir.h"

typedef struct AffineTarget {
    int64_t channels;   /* C */
    int rank;           /* of the output; -1 when not known */
    int channel_axis;   /* of the output; -1: the last */
    bool takes_shift;
} AffineTarget;

/* True when the node's weights and bias are such that affine_fold() can change them. */
bool affine_accepts(const Node *node, AffineTarget *ret);
/* scale (C,), shift (C,) in double. Weights that other nodes read too are cloned; where every scale is 1 the weights
 * stay. */
MUST_USE Status affine_fold(Node *node, const double *scale, const double *shift);

#endif
