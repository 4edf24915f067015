/* places.h - channels last: what rewrites need that make places of channels, or more places of one.
 *
 *     N,C,H,W ─ Transpose ─ N,H,W,C ─ Reshape ─ ... ─ Reshape N,sH,tW,M ─ Transpose ─ N,M,sH,tW
 *
 * Blocks of channels lie together there and are copied as they are; ONNX Runtime keeps integer convolutions in that order, so that
 * the Transposes at both ends cancel against its own.
 */
#ifndef QUANTIZE_PASSES_PLACES_H
#define QUANTIZE_PASSES_PLACES_H

#include "passes/pass.h"

/* Nodes in front of `before`; *ret: the new value, inferred. */
MUST_USE Status places_transpose(Node *before, Value *x, int n, const int64_t *perm, Value **ret);
MUST_USE Status places_reshape(Node *before, Value *x, Value *shape, Value **ret);
/* The shape N, s H, t W, `channels` for x: N,H,W,. with strides s, t: numbers where H or W is known, else computed. */
MUST_USE Status places_shape(Node *before, Value *x, const int64_t strides[2], int64_t channels, Value **ret);

#endif
