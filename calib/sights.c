/* sights.c - what calibration saw: parts of it joined, ranges chosen from it.
 *
 *     shard 1/2: x [histogram]  y [histogram]   samples 0 2 4 -+
 *     shard 2/2: x [histogram]  y [histogram]   samples 1 3 5 -+-> as one run over samples 0..5, bit for bit
 */
#include "calib/calib.h"

#include <stdlib.h>

void sights_release(Sights *sights)
{
    if (sights == NULL)
        return;
    for (size_t i = 0; i < sights->n; i++)
        histogram_free(sights->rows[i].histogram);
    free(sights->rows);
    free(sights->skipped);
    arena_free(sights->arena);
    *sights = (Sights){0};
}

static const char *keep(const Sights *sights, const char *text)
{
    return text == NULL ? NULL : arena_strdup(sights->arena, text);
}

/* The histograms of `from` are taken over where `into` has none of that name. */
static void merge_rows(Sights *into, Sights *from)
{
    Map *names = map_new(); /* name -> index + 1 */
    for (size_t i = 0; i < into->n; i++)
        map_put(names, into->rows[i].name, (void *)(uintptr_t)(i + 1));
    for (size_t i = 0; i < from->n; i++) {
        Sight *row = &from->rows[i];
        size_t at = (size_t)(uintptr_t)map_get(names, row->name);
        if (at == 0) { /* a value that the other part's samples never reached: a branch of an If */
            into->rows = array_reserve(into->rows, &into->cap, into->n + 1, sizeof into->rows[0]);
            into->rows[into->n++] = (Sight){keep(into, row->name), row->order,      keep(into, row->node),
                                            row->histogram,        row->bad_sample, keep(into, row->bad_file)};
            row->histogram = NULL;
            continue;
        }
        Sight *same = &into->rows[at - 1];
        histogram_merge(same->histogram, row->histogram);
        if (row->bad_sample >= 0 && (same->bad_sample < 0 || row->bad_sample < same->bad_sample)) {
            same->bad_sample = row->bad_sample;
            same->bad_file = keep(into, row->bad_file);
        }
    }
    map_free(names);
}

static int by_number(const void *a, const void *b)
{
    const Skipped *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

static int by_order(const void *a, const void *b)
{
    const Sight *x = a, *y = b;
    return (x->order > y->order) - (x->order < y->order);
}

void sights_merge(Sights *into, Sights *from)
{
    merge_rows(into, from);
    if (into->n > 0)
        qsort(into->rows, into->n, sizeof into->rows[0], by_order);
    into->samples += from->samples;
    into->offered += from->offered;
    into->skipped = array_reserve(into->skipped, &into->cap_skipped, into->n_skipped + from->n_skipped + 1,
                                  sizeof into->skipped[0]);
    for (size_t i = 0; i < from->n_skipped; i++)
        into->skipped[into->n_skipped++] = (Skipped){keep(into, from->skipped[i].file),
                                                     keep(into, from->skipped[i].reason), from->skipped[i].number};
    qsort(into->skipped, into->n_skipped, sizeof into->skipped[0], by_number);
}

typedef struct Choosing {
    const Sights *sights;
    RangeRule rule;
    Range *ranges;
} Choosing;

static void choose_item(void *context, int64_t i, int worker)
{
    (void)worker;
    Choosing *choosing = context;
    choosing->ranges[i].name = choosing->sights->rows[i].name;
    range_choose(choosing->sights->rows[i].histogram, choosing->rule, 256, &choosing->ranges[i]);
}

RangeTable *sights_choose(const Sights *sights, RangeRule rule, Team *team)
{
    Choosing choosing = {sights, rule, xcalloc(MAX(sights->n, 1), sizeof(Range))};
    team_run(team, (int64_t)sights->n, choose_item, &choosing);
    RangeTable *table = ranges_new();
    for (size_t i = 0; i < sights->n; i++)
        ranges_put(table, &choosing.ranges[i]);
    free(choosing.ranges);
    return table;
}
