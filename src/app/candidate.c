/* candidate.c - one quantized form of the model, beside the float one, which stays as it is. */
#include "src/app/search.h"

#include <math.h>
#include <string.h>

Status candidate_build(const Options *options, const Model *model, const Target *target, ElementCounts counts, const Recipe *recipe,
                       PassRecord *records, Model **ret_model, QuantPlan **ret_plan)
{
    PassOptions passes;
    Model *clone = model_clone(model);
    QuantPlan *plan = quant_plan_new(clone);
    PassRecord *own = arena_array(clone->arena, pass_count(), sizeof own[0]);
    plan->counts = counts;
    plan->kept_float = recipe->kept_float;
    plan->integer_gelu = recipe->integer_gelu;
    plan->ignore_costs = recipe->ignore_costs || (options->placement != NULL && strcmp(options->placement, "all") == 0);
    Status status = setup_passes(options, clone->arena, &passes);
    passes.channels = recipe->means;
    plan->moments = recipe->moments;
    if (status == NULL)
        status = passes_run(clone, PASS_QUANTIZE, &passes, recipe->ranges, target, plan, records == NULL ? own : records);
    if (status != NULL) {
        quant_plan_free(plan);
        model_free(clone);
        return status_prefix(status, "%s: quantize", model->path);
    }
    *ret_model = clone;
    *ret_plan = plan;
    return NULL;
}

static void note(Search *search, const char *what, double noise)
{
    double best = noise;
    for (size_t i = 0; i < search->n_trials; i++)
        best = search->trials[i].noise < best ? search->trials[i].noise : best;
    search->trials = array_reserve(search->trials, &search->cap_trials, search->n_trials + 1, sizeof search->trials[0]);
    search->trials[search->n_trials++] = (Trial){arena_strdup(search->arena, what), noise, noise <= best};
}

int search_trials(const Search *search)
{
    const double work = 2e11, least = 14.0, most = 96.0; /* multiply-accumulates */
    const double node = 2e7;                             /* of making a plan and its kernels */
    double trial = (double)judge_samples(search->judge) * (double)search->macs + node * search->model->graph->n_nodes;
    return (int)fmin(fmax(work / trial, least), most);
}

Status candidate_noise(Search *search, const Recipe *recipe, const char *what, double *ret, double *ret_each)
{
    Model *model = NULL;
    QuantPlan *decisions = NULL;
    Plan *plan = NULL;
    TRY(candidate_build(search->options, search->model, search->target, search->counts, recipe, NULL, &model, &decisions));
    view_apply(&search->view, model, decisions);
    Status status = setup_plan(search->options, model, &plan);
    if (status == NULL)
        status = judge_noise(search->judge, plan, search->team, ret, ret_each);
    if (status == NULL && what != NULL)
        note(search, what, *ret);
    if (status == NULL && search->options->verbose)
        console_note(search->options, "trial: %.2f dB  %s", noise_to_db(*ret), what == NULL ? "some nodes alone" : what);
    plan_free(plan);
    quant_plan_free(decisions);
    model_free(model);
    return status;
}
