/* recipe_bias.c - whether biases are corrected by the means of the channels: --bias-correction.
 *
 *     means of some samples ─ quantize with and without ─ noise ─ the better
 */
#include "passes/quantize.h"
#include "src/app/search.h"

#include <string.h>

#define MEAN_SAMPLES 64
#define LEAST_GAIN 0.995 /* of the noise: less is chance */

static Status collect_means(Search *search, const Dataset *dataset, ChannelTable *means)
{
    Plan *plan = NULL;
    TRY(setup_plan(search->options, search->model, &plan));
    Status status = collect_channels(plan, dataset, MEAN_SAMPLES, search->team, means);
    plan_free(plan);
    return status;
}

static Status judge_correction(Search *search, const RangeTable *ranges, const char *const *kept_float, bool *ret_helps)
{
    const Recipe without = {.ranges = ranges, .kept_float = kept_float};
    const Recipe with = {.ranges = ranges, .kept_float = kept_float, .means = search->means};
    double before = 0.0, after = 0.0;
    TRY(candidate_noise(search, &without, "biases as they are", &before, NULL));
    TRY(candidate_noise(search, &with, "biases corrected by channel means", &after, NULL));
    *ret_helps = after < LEAST_GAIN * before;
    return NULL;
}

Status recipe_bias(Search *search, const Dataset *dataset, const RangeTable *ranges, const char *const *kept_float)
{
    const char *word = search->options->bias_correction == NULL ? "auto" : search->options->bias_correction;
    bool on = strcmp(word, "on") == 0, keep = on;
    if (strcmp(word, "off") == 0 || (!on && search->judge == NULL))
        return NULL;
    ChannelTable *means = channels_new();
    quantize_bias_list(search->model, means);
    Status status = channels_count(means) == 0 ? NULL : collect_means(search, dataset, means);
    search->means = means;
    if (status == NULL && !on && channels_count(means) > 0)
        status = judge_correction(search, ranges, kept_float, &keep);
    if (status == NULL && keep && channels_count(means) > 0)
        return NULL;
    search->means = NULL;
    channels_free(means);
    return status;
}
