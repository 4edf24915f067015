/* recipe.c - what the main job tries before it quantizes, and how much of it at which effort.
 *
 *     simplified model ─┬─ as it is ────────── ranges of a few samples ─ noise ─┐
 *                       └─ equalized channels ─ ranges of a few samples ─ noise ─┴─ the better ─ calibrate ─ ranges, wreckers
 */
#include "src/app/search.h"
#include "src/ops/ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHANNEL_SAMPLES 16 /* greatest magnitudes need few */
#define LEAST_GAIN 0.1     /* of the noise: less may be chance */
#define STRENGTH 0.5       /* of equalization; Nagel et al. 2019 and Xiao et al. 2022 both take half */

/* More samples where the model is small: figures of a few are chance, and they cost little there. */
int recipe_judges(int64_t macs)
{
    const double budget = 6e9;
    return (int)fmin(fmax(budget / (double)MAX(macs, 1), 8.0), 64.0);
}

bool recipe_measures_nodes(const Search *search)
{
    const double budget = 4e10; /* multiply-accumulates: seconds */
    const char *effort = search->options->effort;
    if (search->judge == NULL || (effort != NULL && strcmp(effort, "fast") == 0))
        return false;
    int nodes = 0;
    for (const Node *node = search->model->graph->first; node != NULL; node = node->next)
        nodes += op_is_weighted(node);
    return (effort != NULL && strcmp(effort, "max") == 0) ||
           (double)search->macs * judge_samples(search->judge) * nodes < budget;
}

/* Ranges of a few samples and the noise they give. */
static Status quick_noise(Search *search, const Dataset *few, const char *what, double *ret)
{
    Plan *plan = NULL;
    Sights sights = {0};
    double seconds = 0.0;
    RangeRule rule;
    TRY(setup_method(search->options, &rule));
    TRY(setup_plan(search->options, search->model, &plan));
    Options quiet = *search->options;
    quiet.quiet = true;
    Status status = calibration_run(&quiet, plan, few, search->team, NULL, &seconds, &sights);
    plan_free(plan);
    if (status != NULL)
        return status;
    RangeTable *ranges = sights_choose(&sights, rule, search->team);
    Recipe recipe = {.ranges = ranges, .means = search->means, .integer_gelu = search->integer_gelu};
    status = candidate_noise(search, &recipe, what, ret, NULL);
    ranges_free(ranges);
    sights_release(&sights);
    return status;
}

static Status equalized_clone(Search *search, const Dataset *few, unsigned kinds, Model **ret, int64_t *ret_links)
{
    Plan *plan = NULL;
    PassOptions passes;
    ChannelTable *channels = channels_new();
    *ret = NULL;
    equalize_list(search->model, kinds, channels);
    Status status = setup_passes(search->options, search->arena, &passes);
    if (status == NULL)
        status = setup_plan(search->options, search->model, &plan);
    if (status == NULL && channels_count(channels) > 0)
        status = collect_channels(plan, few, CHANNEL_SAMPLES, search->team, channels);
    plan_free(plan);
    PassRecord *records = arena_array(search->arena, pass_count(), sizeof records[0]);
    passes.channels = channels;
    passes.strength = STRENGTH;
    if (status == NULL && channels_count(channels) > 0) {
        Model *clone = model_clone(search->model);
        status = passes_run(clone, PASS_EQUALIZE, &passes, NULL, search->target, NULL, records);
        *ret_links = 0;
        for (size_t i = 0; i < pass_count(); i++)
            *ret_links += records[i].changes;
        if (status == NULL && *ret_links > 0)
            *ret = clone;
        else
            model_free(clone);
    }
    channels_free(channels);
    return status;
}

/* --equalize, --smooth-quant: on, off, or auto: where it helps. */
static bool is_on(const char *word, const char *value)
{
    return strcmp(word == NULL ? "auto" : word, value) == 0;
}

/* Makes the clone the model of the search where it is asked for or lowers the noise; *before is that without and with it. */
static Status judge_clone(Search *search, const Dataset *data[2], Model *clone, bool asked, const char *what, double *before,
                          bool *ret_keep)
{
    const Model *plain = search->model;
    ChannelTable *plain_means = search->means;
    double noise = NAN;
    Status status = NULL;
    if (!asked && isnan(*before))
        status = quick_noise(search, data[1], "channels as they are", before);
    if (status == NULL) {
        search->model = clone;
        search->means = NULL;
        status = recipe_means(search, data[0]);
    }
    if (status == NULL && !asked)
        status = quick_noise(search, data[1], what, &noise);
    *ret_keep = status == NULL && (asked || noise < (1.0 - LEAST_GAIN) * *before);
    if (search->model == plain)
        return status;
    channels_free(*ret_keep ? plain_means : search->means);
    if (*ret_keep) {
        *before = noise;
        return NULL;
    }
    search->model = plain;
    search->means = plain_means;
    return status;
}

Status recipe_equalize(Search *search, const Dataset *all, const Dataset *few, Model **ret, const char **ret_how)
{
    static const struct {
        unsigned kind;
        const char *name;
    } kinds[] = {
        {EQUALIZE_WEIGHTS, "channels equalized between weights"},
        {EQUALIZE_NORMS, "channels smoothed behind normalizations"},
    };
    const char *words[] = {search->options->equalize, search->options->smooth_quant};
    const Dataset *data[2] = {all, few};
    double before = NAN;
    *ret = NULL;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        Model *clone = NULL;
        int64_t links = 0;
        bool keep = false;
        if (is_on(words[i], "off") || (is_on(words[i], "auto") && is_on(search->options->effort, "fast")))
            continue;
        TRY(equalized_clone(search, few, kinds[i].kind, &clone, &links));
        if (clone == NULL)
            continue;
        Status status = judge_clone(search, data, clone, is_on(words[i], "on"), kinds[i].name, &before, &keep);
        if (!keep) {
            model_free(clone);
            TRY(status);
            continue;
        }
        /* a second clone is made of the first one: both live on in it */
        arena_on_free(clone->arena, (void (*)(void *))model_free, *ret);
        *ret = clone;
        *ret_how = *ret_how == NULL ? kinds[i].name : arena_printf(search->arena, "%s, %s", *ret_how, kinds[i].name);
    }
    return NULL;
}

Status recipe_ranges(Search *search, const Sights *sights, const char **kept_float, RangeTable **ranges)
{
    RangeTable *found = NULL;
    double noise = 0.0;
    bool given = search->options->method != NULL || search->options->ranges_in != NULL;
    int wreckers = 0;
    if (!given) {
        TRY(search_ranges(search, sights, kept_float, &found, &noise));
        ranges_free(*ranges);
        *ranges = found;
    }
    TRY(search_wreckers(search, *ranges, kept_float, &wreckers));
    if (wreckers > 0 && !given) { /* they drowned what the methods differ by */
        TRY(search_ranges(search, sights, kept_float, &found, &noise));
        ranges_free(*ranges);
        *ranges = found;
    }
    return NULL;
}
