/* search_ranges.c - how the ranges of the activations are chosen, judged by the outputs.
 *
 *     1. every method for the whole model           auto | minmax | mean-minmax | percentile | entropy
 *     2. the best one, but in one piece of the model at a time the next best ones:
 *
 *            values in order   | a a a a | a a a a | e e e e | a a a a |      kept where the noise falls
 *
 * No method is best everywhere: what a range costs at the outputs depends on what reads the value, which a histogram does not
 * show. (MobileNetV2 gains 3.5 dB by the mean of extremes, a text recognizer 4.7 dB by a percentile, a detector loses 12 dB by
 * entropy; docs/calibration.md has the table.)
 */
#include "src/app/search.h"

#include <stdlib.h>
#include <string.h>

/* Ranges by each of them cost nothing but their choice: they come from the same histograms. */
static const struct {
    RangeRule rule;
    const char *name;
} methods[] = {
    {{RANGE_AUTO, 0.0}, "auto"},
    {{RANGE_MINMAX, 0.0}, "minmax"},
    {{RANGE_MEAN_MINMAX, 0.0}, "mean-minmax"},
    {{RANGE_PERCENTILE, 99.99}, "percentile=99.99"},
    {{RANGE_ENTROPY, 0.0}, "entropy"},
};
enum { N_METHODS = COUNT_OF(methods), PIECES = 8, RIVALS = 2, MANY_TRIALS = 40 };
#define FAR_WORSE 3.0 /* noise */

/* A piece takes another method when the noise falls by this much, and on most samples or by far: less may be chance. */
static const double least_gain = 0.1, far_gain = 0.3;

typedef struct Choice {
    const Sights *sights;
    RangeTable *tables[N_METHODS];
    double noise[N_METHODS];
    int order[N_METHODS]; /* of the methods, best first */
} Choice;

static void copy_ranges(const Choice *choice, int method, size_t from, size_t to, RangeTable *into)
{
    for (size_t i = from; i < to; i++)
        ranges_put(into, ranges_get(choice->tables[method], choice->sights->rows[i].name));
}

/* The first method is the default: others must be better by more than chance. */
static double handicapped(const Choice *choice, int method)
{
    return method == 0 ? choice->noise[0] * (1.0 - least_gain) : choice->noise[method];
}

static void sort_methods(Choice *choice)
{
    for (int m = 0; m < N_METHODS; m++) {
        int at = m;
        for (; at > 0 && handicapped(choice, choice->order[at - 1]) > handicapped(choice, m); at--)
            choice->order[at] = choice->order[at - 1];
        choice->order[at] = m;
    }
}

static bool is_better(const Search *search, const double *each, const double *each_before, double noise, double before)
{
    int better = 0, n = judge_samples(search->judge);
    for (int s = 0; s < n; s++)
        better += each[s] < each_before[s];
    return noise < before * (1.0 - (2 * better > n ? least_gain : far_gain));
}

/* Tries method m in rows [from, to) of `best`; keeps it there when it is better. */
static Status try_piece(Search *search, const Choice *choice, const char *const *kept_float, int m, const size_t rows[2],
                        RangeTable **best, double *noise, double *each)
{
    size_t samples = (size_t)judge_samples(search->judge);
    double tried_noise = 0.0, *tried_each = xcalloc(MAX(samples, 1), sizeof tried_each[0]);
    RangeTable *tried = ranges_new();
    for (size_t i = 0; i < ranges_count(*best); i++)
        ranges_put(tried, ranges_at(*best, i));
    copy_ranges(choice, m, rows[0], rows[1], tried);
    char *what = xprintf("ranges by %s from '%s' to '%s'", methods[m].name, choice->sights->rows[rows[0]].name,
                         choice->sights->rows[rows[1] - 1].name);
    Recipe recipe = {.ranges = tried, .kept_float = kept_float, .means = search->means,
                     .integer_gelu = search->integer_gelu};
    Status status = candidate_noise(search, &recipe, what, &tried_noise, tried_each);
    if (status == NULL && is_better(search, tried_each, each, tried_noise, *noise)) {
        *noise = tried_noise;
        memcpy(each, tried_each, samples * sizeof each[0]);
        RangeTable *before = *best;
        *best = tried;
        tried = before;
    }
    ranges_free(tried);
    free(tried_each);
    free(what);
    return status;
}

/* Methods that are far worse as a whole are no better in a piece. */
static bool is_rival(const Choice *choice, int method, double noise)
{
    return choice->noise[method] < FAR_WORSE * noise;
}

static Status try_pieces(Search *search, const Choice *choice, const char *const *kept_float, RangeTable **best, double *noise,
                         double *each)
{
    int rivals = search_trials(search) >= MANY_TRIALS ? RIVALS : 1;
    int most = MAX((search_trials(search) - N_METHODS) / (2 * rivals), 2);
    size_t n = choice->sights->n, pieces = MIN(n, (size_t)MIN(most, PIECES));
    for (size_t piece = 0; piece < pieces; piece++) {
        size_t rows[2] = {n * piece / pieces, n * (piece + 1) / pieces};
        for (int rival = 1; rival <= rivals; rival++)
            if (is_rival(choice, choice->order[rival], *noise))
                TRY(try_piece(search, choice, kept_float, choice->order[rival], rows, best, noise, each));
    }
    return NULL;
}

static Status try_methods(Search *search, Choice *choice, const char *const *kept_float, double *each)
{
    size_t samples = (size_t)judge_samples(search->judge);
    double *tried = xcalloc(MAX(samples, 1), sizeof tried[0]), least = 0.0;
    Status status = NULL;
    for (int m = 0; m < N_METHODS && status == NULL; m++) {
        char *what = xprintf("ranges by %s", methods[m].name);
        Recipe recipe = {.ranges = choice->tables[m], .kept_float = kept_float, .means = search->means,
                         .integer_gelu = search->integer_gelu};
        status = candidate_noise(search, &recipe, what, &choice->noise[m], tried);
        if (status == NULL && (m == 0 || choice->noise[m] < least)) {
            least = choice->noise[m];
            memcpy(each, tried, samples * sizeof each[0]);
        }
        free(what);
    }
    free(tried);
    return status;
}

Status search_ranges(Search *search, const Sights *sights, const char *const *kept_float, RangeTable **ret, double *ret_noise)
{
    Choice choice = {.sights = sights};
    double *each = xcalloc((size_t)MAX(judge_samples(search->judge), 1), sizeof each[0]);
    for (int m = 0; m < N_METHODS; m++)
        choice.tables[m] = sights_choose(sights, methods[m].rule, search->team);
    Status status = try_methods(search, &choice, kept_float, each);
    RangeTable *best = ranges_new();
    if (status == NULL) {
        sort_methods(&choice);
        copy_ranges(&choice, choice.order[0], 0, sights->n, best);
        *ret_noise = choice.noise[choice.order[0]];
        status = try_pieces(search, &choice, kept_float, &best, ret_noise, each);
    }
    for (int m = 0; m < N_METHODS; m++)
        ranges_free(choice.tables[m]);
    free(each);
    if (status == NULL)
        *ret = best;
    else
        ranges_free(best);
    return status;
}
