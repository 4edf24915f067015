/* recipe_bias.c - whether biases are corrected by the means of the channels: --bias-correction.
 *
 *     means of some samples ─ all that is tried is tried with them ─ at last once without ─ the better
 *
 * They come first, since what else is tried shows only when the mean errors of the rounded weights are gone.
 */
#include "passes/quantize.h"
#include "src/app/search.h"

#include <string.h>

#define MEAN_SAMPLES 4   /* times those a trial is judged on, */
#define MOST_SAMPLES 64  /* and at most so many */

static const char *word_of(const Search *search)
{
    return search->options->bias_correction == NULL ? "auto" : search->options->bias_correction;
}

Status recipe_means(Search *search, const Dataset *dataset)
{
    bool on = strcmp(word_of(search), "on") == 0;
    if (strcmp(word_of(search), "off") == 0 || (!on && search->judge == NULL))
        return NULL;
    ChannelTable *means = channels_new();
    Plan *plan = NULL;
    quantize_bias_list(search->model, means);
    Status status = channels_count(means) == 0 ? NULL : setup_plan(search->options, search->model, &plan);
    if (plan != NULL)
        status = collect_channels(plan, dataset, MIN(MEAN_SAMPLES * recipe_judges(search->macs), MOST_SAMPLES), search->team,
                                  means);
    plan_free(plan);
    if (status == NULL && channels_count(means) > 0) {
        search->means = means;
        return NULL;
    }
    channels_free(means);
    return status;
}

Status recipe_bias(Search *search, const RangeTable *ranges, const char *const *kept_float)
{
    const Recipe with = {.ranges = ranges, .kept_float = kept_float, .means = search->means, .integer_gelu = search->integer_gelu};
    Recipe without = with;
    without.means = NULL;
    double before = 0.0, after = 0.0;
    if (search->means == NULL || strcmp(word_of(search), "on") == 0 || search->judge == NULL)
        return NULL;
    TRY(candidate_noise(search, &without, "biases as they are", &before, NULL));
    TRY(candidate_noise(search, &with, "biases corrected by channel means", &after, NULL));
    if (after < before)
        return NULL;
    channels_free(search->means);
    search->means = NULL;
    return NULL;
}
