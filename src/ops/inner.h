/* inner.h - what If, Loop and Scan share: the graphs in their attributes, what they carry from one run to the next, and results
 * stacked over the runs.
 *
 *     state ─┐            ┌─ state of the next run
 *     items ─┴── body ────┴─ items, pushed on stacks ── stack_output ──> one tensor
 *
 * Internal to src/ops.
 */
#ifndef QUANTIZE_OPS_INNER_H
#define QUANTIZE_OPS_INNER_H

#include "src/ops/family.h"

MUST_USE Status inner_graph(const Node *node, const char *name, Graph **ret);
MUST_USE Status inner_counts(const Node *node, const Graph *graph, int n_inputs, int n_outputs);
/* Tells a body's input what is sure of it; what the file declares beyond stays. */
void inner_input_type(Graph *graph, int i, DType dtype, const Shape *shape);
/* Output i is a copy of `from`; nothing when nobody wants it. */
MUST_USE Status inner_output(EvalCtx *ctx, int i, const Tensor *from);
void inner_release(Tensor *tensors, int n);
Tensor inner_view(const Tensor *tensor); /* the same data, not owned */

/* Results of one output, run after run. */
typedef struct Stack {
    DType dtype;
    int rank;
    int64_t dims[TENSOR_MAX_RANK]; /* of one item */
    int64_t n;
    size_t item_bytes, cap;
    char *data;                    /* memory_alloc() */
} Stack;

/* Item k of output i is item k of the stack, or from the end; the new axis stands at `axis`. Without a single item the shape is
 * that of the body's output as far as it is known. */
MUST_USE Status stack_output(EvalCtx *ctx, int i, const Stack *stack, const Value *declared, int64_t axis, bool reverse);

/* What goes from one run of the body to the next. */
typedef struct Carried {
    int n_state, n_stacks;
    const Tensor **state; /* (n_state) what the next iteration reads: an input of the node, or owned[i] */
    Tensor *owned;        /* (n_state) */
    Stack *stacks;        /* (n_stacks) */
    Tensor *results;      /* outputs of one run of the body */
    Tensor *inputs;       /* inputs of one run of the body */
} Carried;

/* State from the inputs of the node from first_input on. */
Carried carried_new(EvalCtx *ctx, const Graph *body, int first_input, int n_state, int n_stacks);
void carried_free(Carried *carried);
/* Runs the body on carried->inputs; results from `first` on become state, then stacked items. */
MUST_USE Status carried_step(EvalCtx *ctx, Carried *carried, const Graph *body, int first);

#endif
