/* types.h - what inference said of each value against what execution made: an observer of exec.h.
 *
 *     TypeCheck check = types_check_new(plan);
 *     runner_run(runner, inputs, &(Observer){.value = types_check, .context = &check}, outputs);   fails at the first that disagrees
 */
#ifndef QUANTIZE_CONFORMANCE_TYPES_H
#define QUANTIZE_CONFORMANCE_TYPES_H

#include "src/exec/exec.h"

#define TYPE_CHECK_SYMBOLS 64

typedef struct TypeCheck {
    /* Symbolic dims met in this run; equal names must mean equal sizes. */
    struct {
        const char *name;
        int64_t size;
    } symbols[TYPE_CHECK_SYMBOLS];
    int n;
    const Graph *graph; /* of the model: inner graphs see other sizes in each round */
    int64_t values;     /* tensors looked at, those of inner graphs in every round */
    int64_t exact;      /* of these: dtype, rank and every size had been inferred */
} TypeCheck;

TypeCheck types_check_new(const Plan *plan);
MUST_USE Status types_check(void *check, const Value *value, Tensor *tensor);

#endif
