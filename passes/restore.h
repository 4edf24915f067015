/* restore.h - a quantized graph becomes a float one again: what the restore_* files share.
 *
 *     x ─ Q(s, z) ─ q ─ MaxPool ─ q' ─ DQ(s, z) ─ y           ->      x ─ MaxPool ─ y
 *
 * Each quantized value q gets a twin, the float value that it stands for: (q - zero) * scale but for the rounding. Nodes that read
 * quantized values are made anew on the twins, in the order of the graph; what then nobody reads goes.
 */
#ifndef QUANTIZE_PASSES_RESTORE_H
#define QUANTIZE_PASSES_RESTORE_H

#include "passes/pass.h"

typedef struct Twin {
    Value *real;         /* NULL: none is known */
    Value *scale, *zero; /* constants; NULL: 1 and 0, real is the integer itself */
    int axis;            /* of a scale with several elements */
    int64_t block;       /* elements along the axis that share one; 0: each has its own */
} Twin;

/* Ends with the pass: context->own. */
typedef struct Restorer {
    PassContext *context;
    Twin *twins;         /* by value id */
    size_t n, cap;
} Restorer;

/* ---- restore_twin.c -------------------------------------------------------------------------------------------------- */

const Twin *twin_of(const Restorer *restorer, const Value *value); /* NULL when it has none */
void twin_set(Restorer *restorer, const Value *value, const Twin *twin);
/* The same of what a node gives, and where the user of the model reads codes there, a QuantizeLinear gives them now. */
MUST_USE Status twin_give(Restorer *restorer, Node *node, Value *value, const Twin *twin);
/* What (q - zero) * scale is in floats, for `reader` (as->real is not looked at): a constant, the twin, or that under another
 * scale; of integers that were no floats before, the output of a DequantizeLinear. CODE_UNSUPPORTED names the reader where scales
 * are not to be had. */
MUST_USE Status twin_read(Restorer *restorer, Node *reader, Value *q, const Twin *as, Value **ret);
/* `value` within the range that the quantized type leaves it, where that is more than an accident of calibration: a Relu or Clip
 * went into a quantization whose zero point is the least or the greatest code. */
MUST_USE Status twin_clamp(Restorer *restorer, Node *reader, Value *value, const Twin *as, Value **ret);
/* A node with one output before `before`, inferred; attributes of `from` but those of the list (NULL-terminated, or NULL). */
MUST_USE Status twin_node(const Node *from, const char *op_type, int n_in, Value *const *in, const char *const *without,
                          Value **ret);
/* CODE_UNSUPPORTED: the node, why, and that it cannot be turned back into float. */
MUST_USE NEVER_NULL Status restore_refuse(const Node *node, const char *why);

/* ---- restore_integer.c ------------------------------------------------------------------------------------------------ */

/* The node is an integer op that has a float form: made on twins, *ret_done set. */
MUST_USE Status restore_integer(Restorer *restorer, Node *node, bool *ret_done);

#endif
