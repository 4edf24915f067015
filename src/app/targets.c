/* targets.c - the figures a user may ask for: --max-drop, --min-sqnr, --min-agreement. One row a target. */
#include "src/app/product.h"

#include <math.h>
#include <string.h>

/* Top-1 where there are labels, else agreement with the float model. */
static double drop_of(const Evaluation *e)
{
    return e->labelled > 0 ? e->top1[0] - e->top1[1] : 100.0 - e->agreement;
}

/* Of the worst output. */
static double sqnr_of(const Evaluation *e)
{
    double least = e->n_outputs > 0 ? 999.0 : NAN;
    for (int i = 0; i < e->n_outputs; i++)
        least = fmin(least, e->outputs[i].sqnr_db);
    return least;
}

static double agreement_of(const Evaluation *e)
{
    return e->agreement;
}

typedef struct TargetRow {
    const char *option, *what, *unit;
    size_t offset; /* of the wanted figure in Options */
    double (*figure)(const Evaluation *e); /* NAN: there is none */
    bool at_most;
} TargetRow;

static const TargetRow rows[] = {
    {"--max-drop", "the drop (top-1 with labels, else agreement)", " points", offsetof(Options, max_drop), drop_of, true},
    {"--min-sqnr", "the worst output's SQNR", " dB", offsetof(Options, min_sqnr), sqnr_of, false},
    {"--min-agreement", "agreement with the float model", " %", offsetof(Options, min_agreement), agreement_of, false},
};

static double wanted(const TargetRow *row, const Options *options)
{
    double value;
    memcpy(&value, (const char *)options + row->offset, sizeof value);
    return value;
}

/* How far the figure is on the wrong side; 0 when it is not, infinite when there is none. */
static double short_by(const TargetRow *row, const Options *options, const Evaluation *evaluation)
{
    double figure = row->figure(evaluation), bound = wanted(row, options);
    if (isnan(bound))
        return 0.0;
    if (isnan(figure))
        return INFINITY;
    return fmax(row->at_most ? figure - bound : bound - figure, 0.0);
}

bool targets_given(const Options *options)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (!isnan(wanted(&rows[i], options)))
            return true;
    return false;
}

double targets_distance(const Options *options, const Evaluation *evaluation)
{
    double distance = 0.0;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        distance += short_by(&rows[i], options, evaluation);
    return distance;
}

const char *targets_shortfall(const Options *options, const Evaluation *evaluation, Arena *arena)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        double figure = rows[i].figure(evaluation);
        if (!(short_by(&rows[i], options, evaluation) > 0.0))
            continue;
        if (isnan(figure))
            return arena_printf(arena, "%s has nothing to judge by: the output is no class scores and there are no labels",
                                rows[i].option);
        return arena_printf(arena, "%s is %.2f%s, %s than %s %g", rows[i].what, figure, rows[i].unit,
                            rows[i].at_most ? "more" : "less", rows[i].option, wanted(&rows[i], options));
    }
    return NULL;
}
