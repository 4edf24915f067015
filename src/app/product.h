/* product.h - one finished quantized model: its decisions, the bytes of its file, what it scores.
 *
 *     float model, ranges, nodes kept float ─ product_build ─> clone, bytes, the bytes loaded again ─ product_measure ─> scores
 */
#ifndef QUANTIZE_PRODUCT_H
#define QUANTIZE_PRODUCT_H

#include "src/app/search.h"

typedef struct Product {
    QuantPlan *decisions;
    const char **kept_float;  /* it was built with; by node id */
    PassRecord *records;      /* of the quantize passes, pass_count() rows */
    Model *quantized;         /* as it stands in memory */
    Model *loaded;            /* the same from its bytes; NULL when it is to be written with external data */
    unsigned char *bytes;     /* of the file, malloc'ed; NULL with external data */
    size_t n_bytes;
    ModelFacts facts;
    Evaluation evaluation;
} Product;

/* external: weights will go to a file of their own. The float model of the search and `ranges` must outlive the product. */
MUST_USE Status product_build(Search *search, const RangeTable *ranges, const char *const *kept_float, const char *output_path,
                              bool external, Product *ret);
/* Another model in the place of the quantized one, which the product owns from then on, also when this fails. */
MUST_USE Status product_replace(Product *product, Model *model, const char *output_path, bool external);
/* The model that is to be run: from its bytes where there are any. */
const Model *product_model(const Product *product);
bool product_has_integers(const Product *product);
void product_release(Product *product);

/* ---- targets.c: --max-drop, --min-sqnr, --min-agreement ----------------------------------------------------------- */

/* Whether the options ask for a figure. */
bool targets_given(const Options *options);
/* What the evaluation is short of, in words (arena), or NULL: "agreement is 97.20 %, less than --min-agreement 98". */
const char *targets_shortfall(const Options *options, const Evaluation *evaluation, Arena *arena);
/* How far it is from the targets: 0 met, else greater is worse. */
double targets_distance(const Options *options, const Evaluation *evaluation);

#endif
