/* layout.h - which steps run on images with the channels last, and how their node looks then. Internal to src/exec.
 *
 *     x ─ Conv ── Relu ── Add ── MaxPool ── Concat ── GlobalAveragePool ── Flatten ── Gemm
 *         turns   └───────── channels last from here on ─────────┘         (1 place: both orders are one)
 *
 * Convolutions are fastest that way, in float and in integers, so an image is turned in front of the first and stays turned until
 * an op wants it row-major. Ops that go element by element do not even know: they are shown the dims in the order of the memory.
 */
#ifndef QUANTIZE_EXEC_LAYOUT_H
#define QUANTIZE_EXEC_LAYOUT_H

#include "src/ir/ir.h"

typedef enum LayoutKind {
    LAYOUT_PLAIN = 0, /* row-major only */
    LAYOUT_SEEKS,     /* knows EvalCtx.channels_last and is faster with it: a row-major image is turned for it */
    LAYOUT_KNOWS,     /* knows it too, but is not worth turning for */
    LAYOUT_ANY,       /* element by element, broadcasting included: dims are shown in the order of the memory */
    LAYOUT_AXIS,      /* the same along one axis, an attribute */
    LAYOUT_TO_LAST,   /* Transpose N,C,D.. to N,D..,C: the bytes of an image that has the channels last */
    LAYOUT_FROM_LAST  /* and back: the bytes of its result with the channels last */
} LayoutKind;

typedef struct LayoutRule {
    LayoutKind kind;
    unsigned images;      /* bit i: input i is an image; the others stay row-major. Bit 31: all */
    int64_t default_axis; /* LAYOUT_AXIS */
} LayoutRule;

LayoutRule layout_rule(const Node *node);
bool layout_is_image(const LayoutRule *rule, int input);
/* Both orders are the same bytes: one channel, one place, no element, or no image at all. */
bool layout_is_neutral(const Tensor *tensor);
bool layout_can_turn(const Tensor *tensor); /* rank 3 to 5 of whole bytes */
/* The tensor with its dims in the order of the memory, and back. */
Tensor layout_show(const Tensor *tensor);
Tensor layout_hide(const Tensor *tensor);
/* Dims of lower rank are filled up in front, as broadcasting does. */
Tensor layout_raise(const Tensor *tensor, int rank);
/* The node of LAYOUT_AXIS with its axis counted in the order of the memory. */
const Node *layout_node(Arena *arena, const Node *node, const LayoutRule *rule, int rank);

#endif
