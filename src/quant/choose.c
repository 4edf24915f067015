/* choose.c - a range from a histogram, one row a method; and what a range costs.
 *
 *     auto         of all the others (percentiles 99.9, 99.99, 99.999) the one with the least expected squared error
 *     mse          choose_mse.c        entropy      choose_entropy.c
 *     minmax       all that was seen   mean-minmax  the mean over the samples of each one's extremes
 *     percentile   the share of elements that is kept; what goes is taken evenly from both ends, from the one end
 *                  there is where all elements are on one side of zero
 *
 * A linear consumer's error is that of its input times the energy of its weights, the same factor for every range: least
 * squared error of the tensor is least squared error there. That is what `auto` minimises. No method cuts off anything
 * that does not pay: where the clipped range is not better by a thousandth, `auto` and `mse` keep all that was seen.
 */
#include "src/quant/distribution.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SQNR_EXACT 999.0
#define EXACT_SHARE 1e-13 /* error below this share of the energy is rounding of the sums */
#define WORTH 0.999       /* the share of min-max's error that clipping must get below */
#define PERCENTILE_DEFAULT 99.99

/* ---- methods ----------------------------------------------------------------------------------------------------- */

typedef struct Question {
    const Histogram *histogram;
    const Distribution *d;
    Ends seen;
    int levels;
    double percentile;
} Question;

static Ends by_minmax(const Question *q)
{
    return q->seen;
}

static Ends by_mse(const Question *q)
{
    return choose_mse(q->d, q->seen, q->levels);
}

static Ends by_entropy(const Question *q)
{
    return choose_entropy(q->d, q->seen, q->levels);
}

static Ends by_mean_minmax(const Question *q)
{
    double runs = (double)MAX(q->histogram->runs, 1);
    double low = exact_sum_get(&q->histogram->run_min) / runs, high = exact_sum_get(&q->histogram->run_max) / runs;
    return (Ends){MIN(low, 0.0), MAX(high, 0.0)};
}

/* The point with n elements that are not zero below it: within the bin that holds the n-th. */
static double point_of_rank(const Distribution *d, double n)
{
    int low = d->first, high = d->last; /* the first bin with before[bin + 1] >= n */
    while (low < high) {
        int middle = (low + high) / 2;
        if (d->before[middle + 1].n >= n)
            high = middle;
        else
            low = middle + 1;
    }
    Ends edges = bin_edges(d, low);
    double held = (double)d->bins[low];
    double u = held > 0 ? (n - d->before[low].n) / held : 1;
    return edges.low + (edges.high - edges.low) * MIN(MAX(u, 0.0), 1.0);
}

static Ends by_percentile(const Question *q)
{
    const Distribution *d = q->d;
    double all = d->before[HISTOGRAM_BINS].n, cut = (1 - q->percentile / 100) * (double)q->histogram->counted;
    bool both = q->seen.low < 0 && q->seen.high > 0;
    double each = both ? cut / 2 : cut;
    Ends ends = q->seen;
    if (q->seen.low < 0)
        ends.low = MIN(MAX(point_of_rank(d, MIN(each, all)), q->seen.low), 0.0);
    if (q->seen.high > 0)
        ends.high = MAX(MIN(point_of_rank(d, MAX(all - each, 0.0)), q->seen.high), 0.0);
    return ends;
}

static const struct {
    const char *name;
    Ends (*choose)(const Question *question);
} methods[] = {
    [RANGE_AUTO] = {"auto", NULL},
    [RANGE_MSE] = {"mse", by_mse},
    [RANGE_MINMAX] = {"minmax", by_minmax},
    [RANGE_MEAN_MINMAX] = {"mean-minmax", by_mean_minmax},
    [RANGE_PERCENTILE] = {"percentile", by_percentile},
    [RANGE_ENTROPY] = {"entropy", by_entropy},
};

/* ---- choosing ---------------------------------------------------------------------------------------------------- */

static double sqnr_db(double energy, double error)
{
    if (error <= energy * EXACT_SHARE)
        return SQNR_EXACT;
    return 10 * log10(energy / error);
}

static Ends choose_auto(Question *question, RangeMethod *ret_method)
{
    static const struct {
        RangeMethod method;
        double percentile;
    } candidates[] = {{RANGE_MINMAX, 0},         {RANGE_MSE, 0},           {RANGE_ENTROPY, 0},
                      {RANGE_MEAN_MINMAX, 0},    {RANGE_PERCENTILE, 99.9}, {RANGE_PERCENTILE, 99.99},
                      {RANGE_PERCENTILE, 99.999}};
    Ends best = question->seen;
    double least = range_error(question->d, best, question->levels) * WORTH;
    *ret_method = RANGE_MINMAX;
    for (size_t i = 1; i < COUNT_OF(candidates); i++) {
        question->percentile = candidates[i].percentile;
        Ends ends = methods[candidates[i].method].choose(question);
        double error = range_error(question->d, ends, question->levels);
        if (error < least) {
            least = error;
            best = ends;
            *ret_method = candidates[i].method;
        }
    }
    return best;
}

static Ends choose_ends(Question *question, RangeRule rule, RangeMethod *ret_method)
{
    *ret_method = rule.method;
    if (rule.method == RANGE_AUTO)
        return choose_auto(question, ret_method);
    question->percentile = rule.percentile > 0 ? rule.percentile : PERCENTILE_DEFAULT;
    Ends ends = methods[rule.method].choose(question);
    if (rule.method == RANGE_MSE && !(range_error(question->d, ends, question->levels) <
                                      WORTH * range_error(question->d, question->seen, question->levels)))
        return question->seen;
    return ends;
}

static void observe(const Histogram *histogram, Range *range)
{
    range->elements = histogram->count + histogram->not_finite;
    range->not_finite = histogram->not_finite;
    range->observed_min = histogram->count > 0 ? histogram->min : 0;
    range->observed_max = histogram->count > 0 ? histogram->max : 0;
}

static void judge(const Histogram *histogram, const Distribution *d, int levels, Range *range)
{
    Ends ends = {range->low, range->high};
    range->sqnr_db = sqnr_db(d->before[HISTOGRAM_BINS].xx, range_error(d, ends, levels));
    double below = range->low > MIN(range->observed_min, 0.0f) ? sums_below(d, ends.low).n : 0;
    double above = range->high < MAX(range->observed_max, 0.0f)
                       ? d->before[HISTOGRAM_BINS].n - sums_below(d, ends.high).n : 0;
    range->clipped_share = MAX(below + above, 0.0) / (double)histogram->counted;
}

/* Whether there are counts to choose by; what stands for them otherwise. */
static bool tells_more(const Histogram *histogram, Range *range)
{
    range->clipped_share = 0;
    range->sqnr_db = histogram->has_bins || histogram->empty ? SQNR_EXACT : (double)NAN;
    return histogram->counted > histogram->zeros;
}

void range_judge(const Histogram *histogram, int levels, Range *range)
{
    observe(histogram, range);
    if (!tells_more(histogram, range))
        return;
    Distribution *d = distribution_new(histogram);
    judge(histogram, d, levels, range);
    free(d);
}

void range_choose(const Histogram *histogram, RangeRule rule, int levels, Range *range)
{
    observe(histogram, range);
    range->low = MIN(range->observed_min, 0.0f);
    range->high = MAX(range->observed_max, 0.0f);
    range->method = methods[rule.method == RANGE_AUTO || !histogram->has_bins ? RANGE_MINMAX : rule.method].name;
    if (!tells_more(histogram, range))
        return;
    Distribution *d = distribution_new(histogram);
    Question question = {histogram, d, {range->low, range->high}, levels, 0};
    RangeMethod method;
    Ends ends = choose_ends(&question, rule, &method);
    range->low = (float)ends.low;
    range->high = (float)ends.high;
    range->method = methods[method].name;
    judge(histogram, d, levels, range);
    free(d);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

const char *range_method_name(RangeMethod method)
{
    return methods[method].name;
}

bool range_rule_parse(const char *text, RangeRule *ret)
{
    size_t length = strcspn(text, "=");
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        if (strlen(methods[i].name) != length || strncmp(text, methods[i].name, length) != 0)
            continue;
        RangeRule rule = {(RangeMethod)i, i == RANGE_PERCENTILE ? PERCENTILE_DEFAULT : 0};
        if (text[length] == '=') {
            char *end = NULL;
            rule.percentile = strtod(text + length + 1, &end);
            if (i != RANGE_PERCENTILE || end == text + length + 1 || *end != '\0' ||
                !(rule.percentile > 50 && rule.percentile <= 100))
                return false;
        }
        *ret = rule;
        return true;
    }
    return false;
}
