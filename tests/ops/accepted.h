/* accepted.h - the element types that operators really take, found by running them: samples.def with every type.
 *
 *     "x = $T[2] 0 1; y = Abs(x)"  ─ T = int8 ─>  mini_model ─ ops_check ─ ops_infer ─ plan ─ run   no error: Abs takes int8
 *
 * docs/ops.md prints the result, tests/ops/test_types.c checks it.
 */
#ifndef QUANTIZE_TESTS_OPS_ACCEPTED_H
#define QUANTIZE_TESTS_OPS_ACCEPTED_H

#include "src/ops/ops.h"

#define SAMPLE_MAX_SLOTS 5

typedef struct OpSample {
    const char *domain, *type;
    int opset;
    const char *types, *text;
} OpSample;

/* What varies in a sample. */
typedef struct SampleSlot {
    char name[16];
    DType start;
} SampleSlot;

size_t sample_count(void);
const OpSample *sample_at(size_t i); /* rows of samples.def in order */
int sample_slots(const OpSample *sample, SampleSlot ret[SAMPLE_MAX_SLOTS]);
/* Loads, infers and runs the sample with `dtype` in slot `slot` and the other slots as they start, by both executors; what comes
 * out has to be what was inferred. The output, owned by the caller, is that of the plain one; ret may be NULL. */
MUST_USE Status sample_run(const OpSample *sample, int slot, DType dtype, Tensor *ret);
/* Bit d: element type d is taken in slot `name` of any row of the op. */
uint32_t sample_accepts(const OpDef *def, const char *name);

#endif
