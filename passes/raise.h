/* raise.h - rewrites of raise_opset: one function for each op whose newer version asks for another form. */
#ifndef QUANTIZE_PASSES_RAISE_H
#define QUANTIZE_PASSES_RAISE_H

#include "src/ir/ir.h"

/* Rewrites a node of an older opset in place, or replaces it. The model already imports the new opset, so new nodes
 * bind to that; the caller binds the node again when it is still there. */
typedef Status (*RaiseFn)(Node *node);

/* raise_inputs.c: attributes that became inputs */
MUST_USE Status raise_axes(Node *node);
MUST_USE Status raise_split(Node *node);
MUST_USE Status raise_slice(Node *node);
MUST_USE Status raise_clip(Node *node);
MUST_USE Status raise_pad(Node *node);
MUST_USE Status raise_top_k(Node *node);
MUST_USE Status raise_dropout(Node *node);
/* raise_forms.c: ops that became another op or another meaning */
MUST_USE Status raise_softmax(Node *node);
MUST_USE Status raise_upsample(Node *node);
MUST_USE Status raise_resize_10(Node *node);
MUST_USE Status raise_resize_11(Node *node);
MUST_USE Status raise_batch_normalization(Node *node);
MUST_USE Status raise_scatter(Node *node);
MUST_USE Status raise_image_scaler(Node *node);
MUST_USE Status raise_scan(Node *node);
/* raise_newer.c: beyond 13 */
MUST_USE Status raise_split_18(Node *node); /* num_outputs */
MUST_USE Status raise_roi_align(Node *node);
MUST_USE Status raise_grid_sample(Node *node);
MUST_USE Status raise_dft(Node *node);
MUST_USE Status raise_group_normalization(Node *node);

#endif
