/* profile_rules.h - whether a quantized model keeps the rules of its target. */
#ifndef QUANTIZE_TESTS_PASSES_PROFILE_RULES_H
#define QUANTIZE_TESTS_PASSES_PROFILE_RULES_H

#include "src/ir/ir.h"
#include "src/quant/quant.h"

typedef struct ProfileFound {
    int weighted;  /* weighted ops whose input and weight are both 8-bit */
    int floats;    /* those of the target's ops that are not */
    int pairs;     /* Q/DQ pairs of activations */
    char problem[256]; /* the first rule that is broken, or "" */
} ProfileFound;

ProfileFound profile_check(const Model *model, const Target *target);

#endif
