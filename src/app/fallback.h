/* fallback.h - which nodes stay float so that a target is reached. */
#ifndef QUANTIZE_FALLBACK_H
#define QUANTIZE_FALLBACK_H

#include "src/app/product.h"

typedef struct FallbackNode {
    const Node *node;
    int64_t macs;
    double noise;       /* of the outputs with it alone in integers */
    const char *reason; /* for the report */
    bool needed;        /* giving it back was tried and missed the target */
} FallbackNode;

typedef struct Fallback {
    Search *search;
    const char *const *kept_float; /* what stays float anyway */
    Status (*make)(void *context, const char *const *kept_float, Product *ret); /* builds and measures */
    void *context;
    Product *best;      /* in: with nothing more in float; out: the best found */
    /* out */
    double distance;    /* of the best from the targets, 0: reached */
    int64_t float_macs;
    int rounds;         /* models that were built and measured */
    FallbackNode *nodes;
    size_t n_nodes;
} Fallback;

/* rows: of search_sensitivity(); sorted anew. */
MUST_USE Status fallback_reach(Fallback *fallback, Sensitivity *rows, size_t n);

#endif
