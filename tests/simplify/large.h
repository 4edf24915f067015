/* large.h - generated graphs of any size, each hard in its own way: do the passes stay linear in it? */
#ifndef QUANTIZE_TESTS_LARGE_H
#define QUANTIZE_TESTS_LARGE_H

#include "src/ir/ir.h"

typedef struct LargeKind {
    const char *name, *summary;
    void (*build)(Model *model, int nodes);
} LargeKind;

extern const LargeKind large_kinds[]; /* ended by a NULL name */

/* A model with a main graph of about `nodes` nodes. */
Model *large_model(const LargeKind *kind, int nodes);

#endif
