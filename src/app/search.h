/* search.h - recipes tried by measuring: how ranges are chosen, whether channels are equalized, which nodes stay float.
 *
 *     simplified float model ─ clone ─ quantize passes ─ plan ─ judge ─> noise       one trial
 *
 * How much is tried depends on --effort and on the model's size, never on the clock: the same input and options give the same
 * model. Ranges are made from all calibration samples; trials are judged on a few of them.
 */
#ifndef QUANTIZE_SEARCH_H
#define QUANTIZE_SEARCH_H

#include "src/app/app.h"

/* ---- judge.c: the noise of a quantized model on a few samples ----------------------------------------------------- */

/* view.c: what is judged in place of the outputs of a model that ends in a selection (TopK, NonMaxSuppression, ArgMax ...): there
 * the least noise changes which box stands where, and no difference of elements tells anything. It is the floats that go into what
 * selects, and the outputs that no selection has touched. */
typedef struct View {
    const char **names; /* of values of the float model, arena */
    size_t n;           /* 0: the outputs are judged as they are */
} View;
View view_of(const Model *model, Arena *arena);
/* The model gives these values and nothing else. decisions: of a quantized clone, or NULL. */
void view_apply(const View *view, Model *model, const QuantPlan *decisions);

typedef struct Judge Judge;
/* Runs the float model on at most `samples` of the data, evenly spread, and keeps what went in and came out. */
MUST_USE Status judge_new(const Plan *plan, const Dataset *dataset, int samples, Judge **ret);
void judge_free(Judge *judge); /* NULL is fine */
int judge_samples(const Judge *judge);
/* Share of the outputs' power that the candidate gets wrong, a mean over the outputs; NAN when none is of floats.
 * ret_each (judge_samples,) takes that of each sample, or NULL. */
MUST_USE Status judge_noise(const Judge *judge, const Plan *candidate, Team *team, double *ret, double *ret_each);
double noise_to_db(double noise); /* 999 for none */

/* ---- samples.c: some of the data, kept ------------------------------------------------------------------------------ */

typedef struct Samples {
    int n, n_inputs;
    Tensor *inputs; /* [sample * n_inputs + input], owned */
} Samples;
/* At most `wanted` samples, evenly spread, between those that judge_new() takes where there are enough; those that cannot be read
 * are left out: calibration has told of them. */
MUST_USE Status samples_load(const Dataset *dataset, int n_inputs, int wanted, Samples *ret);
void samples_release(Samples *samples);

/* ---- candidate.c ------------------------------------------------------------------------------------------------- */

/* What candidates are made from. kept_float: by node id why a node must stay float, or NULL entries. */
typedef struct Recipe {
    const RangeTable *ranges;
    const char *const *kept_float;
    bool ignore_costs; /* see QuantPlan */
    const ChannelTable *means; /* biases are corrected by them; NULL: they are not */
    const MomentTable *moments; /* weights are rounded by them; NULL: to the nearest */
    bool integer_gelu; /* see QuantPlan */
} Recipe;

typedef struct Trial {
    const char *what; /* in words */
    double noise;
    bool kept;        /* the best so far at its time */
} Trial;

typedef struct Search {
    const Options *options;
    const Model *model;          /* simplified, float */
    const Target *target;
    ElementCounts counts;        /* of one sample */
    int64_t macs;
    Judge *judge;
    View view;
    ChannelTable *means;         /* that the finished model's biases are corrected by; NULL: they are not */
    MomentTable *moments;        /* that the finished model's weights are rounded by; NULL: to the nearest */
    bool integer_gelu;           /* see QuantPlan; of the finished model, and of all that is tried */
    Team *team;
    Arena *arena;
    Trial *trials;               /* what was tried, in order */
    size_t n_trials, cap_trials;
} Search;

/* A quantized clone and its decisions; the float model must outlive both. records (pass_count rows) may be NULL. */
MUST_USE Status candidate_build(const Options *options, const Model *model, const Target *target, ElementCounts counts,
                                const Recipe *recipe, PassRecord *records, Model **ret_model, QuantPlan **ret_plan);
/* Its noise; a row of `trials` unless what is NULL. ret_each as in judge_noise. */
MUST_USE Status candidate_noise(Search *search, const Recipe *recipe, const char *what, double *ret, double *ret_each);

/* Trials that are in proportion to the rest of the job: made from the cost of the model, not from a clock. */
int search_trials(const Search *search);

/* ---- search_ranges.c --------------------------------------------------------------------------------------------- */

/* Ranges of every method for the whole model, then for pieces of it; the best table found. The caller frees it. */
MUST_USE Status search_ranges(Search *search, const Sights *sights, const char *const *kept_float, RangeTable **ret,
                              double *ret_noise);

/* ---- search_nodes.c ---------------------------------------------------------------------------------------------- */

/* Noise of the outputs when one weighted node alone is quantized. */
typedef struct Sensitivity {
    const Node *node;
    const char *name; /* or that of its first output */
    int64_t macs;
    double noise;
} Sensitivity;

/* Nodes whose lone quantization leaves the outputs under WRECK_DB, and of noisy models cheap ones that make much of the noise, each
 * with a reason in kept_float (by node id, arena). */
#define WRECK_DB 15.0
MUST_USE Status search_wreckers(Search *search, const RangeTable *ranges, const char **kept_float, int *ret_found);
/* Of each weighted node that is quantized with `kept_float`, worst first; arena. */
MUST_USE Status search_sensitivity(Search *search, const RangeTable *ranges, const char *const *kept_float,
                                   Sensitivity **ret, size_t *ret_n);

/* ---- select.c ---------------------------------------------------------------------------------------------------- */

const char *node_label(const Node *node); /* its name, or that of its first output */
/* Marks in kept_float (by node id) what --exclude, --exclude-op and --only leave float. CODE_USAGE: a pattern fits nothing. */
MUST_USE Status select_nodes(const Options *options, const Model *model, const char **kept_float);

/* ---- recipe.c ---------------------------------------------------------------------------------------------------- */

int recipe_judges(int64_t macs); /* samples a trial is judged on */
/* Whether the effort pays for the sensitivity of every node. */
bool recipe_measures_nodes(const Search *search);
/* The model with channels equalized where that lowers the noise (or where options ask for it), or NULL; `few`: some samples.
 * What it is made of must outlive it. ret_how says what was done, in words. The means of search follow. */
MUST_USE Status recipe_equalize(Search *search, const Dataset *all, const Dataset *few, Model **ret, const char **ret_how);
/* recipe_bias.c: search->means, of search->model, unless options forbid it. */
MUST_USE Status recipe_means(Search *search, const Dataset *dataset);
/* recipe_rounding.c: search->moments, where rounding by them lowers the noise; more of them at --effort max. */
MUST_USE Status recipe_rounding(Search *search, const Dataset *dataset, const RangeTable *ranges, const char *const *kept_float);
void moment_table_free(MomentTable *table); /* NULL is fine */
/* recipe_gelu.c: whether GELU starts in integers: there is one, the target is quick with it, and options do not forbid it. */
bool recipe_wants_gelu(const Search *search);
/* Back in float where that makes the outputs far more exact, unless options ask for integers. */
MUST_USE Status recipe_gelu(Search *search, const RangeTable *ranges, const char *const *kept_float);
/* recipe_bias.c: lets go of the means where they do not lower the noise, unless options ask for them. */
MUST_USE Status recipe_bias(Search *search, const RangeTable *ranges, const char *const *kept_float);
/* Replaces *ranges by the best found, and marks in kept_float (by node id, all NULL or given) what must stay float. */
MUST_USE Status recipe_ranges(Search *search, const Sights *sights, const char **kept_float, RangeTable **ranges);

#endif
