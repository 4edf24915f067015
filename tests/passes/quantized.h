/* quantized.h - a small graph, run on random samples for its ranges, and quantized for a target.
 *
 *     float graph ─ run on samples ─ ranges ─ quantize ─> both, to be run and looked at
 */
#ifndef QUANTIZE_TESTS_PASSES_QUANTIZED_H
#define QUANTIZE_TESTS_PASSES_QUANTIZED_H

#include "passes/pass.h"
#include "passes/quantize.h"
#include "src/exec/exec.h"

#define QUANTIZED_SAMPLES 4

typedef struct Quantized {
    Model *floats, *integers; /* the same graph, before and after */
    RangeTable *ranges;
    QuantPlan *decisions;
} Quantized;

/* What is done besides: look() runs the float model and fills the rows of the table. */
typedef struct QuantizedHow {
    void (*look)(const Model *model, ChannelTable *table);
    bool equalize; /* channels between weights, before ranges are taken */
    bool correct;  /* biases by the means of channels */
    bool integer_gelu;
} QuantizedHow;

Quantized quantized_for(void (*build)(Model *model), const Target *target);
Quantized quantized_how(void (*build)(Model *model), const Target *target, const QuantizedHow *how); /* how may be NULL */
Model *quantized_build(void (*build)(Model *model)); /* as it is, shapes inferred */
void quantized_release(Quantized *f);
/* The first output on one sample, of which those from QUANTIZED_SAMPLES on were not calibrated with; the caller releases it. */
Tensor quantized_run(const Model *model, const PlanOptions *options, int sample, const Observer *observer);
/* The ops of the steps in order: "QuantizeLinear QLinearConv DequantizeLinear"; malloc'ed. */
char *quantized_steps(const Model *model);
double quantized_sqnr_db(const Tensor *clean, const Tensor *noisy);

#endif
