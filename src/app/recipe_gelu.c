/* recipe_gelu.c - whether GELU runs in integers: --integer-gelu, passes/quantize_gelu.c.
 *
 *     all that is tried has it in integers ─ at last once with it in float ─> float only where that is far more exact
 *
 * It is faster, and near enough nearly everywhere: with `--effort fast` the outputs of a vision transformer lose 1.0 dB by it,
 * those of a text classifier gain 3.1 dB (both of random weights).
 */
#include "passes/match.h"
#include "src/app/search.h"

#include <string.h>

#define WORTH_DB 2.0 /* what the outputs may lose for the speed */

static bool has_gelu(const Model *model)
{
    Value *x = NULL;
    for (Node *node = model->graph->first; node != NULL; node = node->next)
        if (node_is(node, "Gelu") || match_gelu(node, &x) != NULL)
            return true;
    return false;
}

static const char *word_of(const Search *search)
{
    return search->options->integer_gelu == NULL ? "auto" : search->options->integer_gelu;
}

bool recipe_wants_gelu(const Search *search)
{
    return search->target->requantizes && strcmp(word_of(search), "off") != 0 && has_gelu(search->model);
}

Status recipe_gelu(Search *search, const RangeTable *ranges, const char *const *kept_float)
{
    const Recipe integers = {.ranges = ranges, .kept_float = kept_float, .means = search->means, .integer_gelu = true};
    Recipe floats = integers;
    floats.integer_gelu = false;
    double with = 0.0, without = 0.0;
    if (!search->integer_gelu || search->judge == NULL || strcmp(word_of(search), "on") == 0)
        return NULL;
    TRY(candidate_noise(search, &integers, "GELU in integers", &with, NULL));
    TRY(candidate_noise(search, &floats, "GELU in float", &without, NULL));
    search->integer_gelu = !(noise_to_db(without) - noise_to_db(with) > WORTH_DB);
    return NULL;
}
