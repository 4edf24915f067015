/* ranges.c - the range table: what calibration found of each value, in order of insertion, found by name. */
#include "src/quant/quant.h"

#include <stdlib.h>

struct RangeTable {
    Arena *arena;
    Map *by_name; /* name -> index + 1 */
    Range *ranges;
    size_t n, cap;
};

RangeTable *ranges_new(void)
{
    RangeTable *table = xcalloc(1, sizeof *table);
    table->arena = arena_new();
    table->by_name = map_new();
    return table;
}

void ranges_free(RangeTable *table)
{
    if (table == NULL)
        return;
    map_free(table->by_name);
    arena_free(table->arena);
    free(table->ranges);
    free(table);
}

static const char *keep_method(RangeTable *table, const char *method)
{
    return method == NULL ? NULL : arena_strdup(table->arena, method);
}

void ranges_put(RangeTable *table, const Range *range)
{
    size_t at = (size_t)(uintptr_t)map_get(table->by_name, range->name);
    if (at > 0) {
        const char *name = table->ranges[at - 1].name;
        table->ranges[at - 1] = *range;
        table->ranges[at - 1].name = name;
        table->ranges[at - 1].method = keep_method(table, range->method);
        return;
    }
    table->ranges = array_reserve(table->ranges, &table->cap, table->n + 1, sizeof table->ranges[0]);
    Range *row = &table->ranges[table->n++];
    *row = *range;
    row->name = arena_strdup(table->arena, range->name);
    row->method = keep_method(table, range->method);
    map_put(table->by_name, row->name, (void *)(uintptr_t)table->n);
}

const Range *ranges_get(const RangeTable *table, const char *name)
{
    size_t at = (size_t)(uintptr_t)map_get(table->by_name, name);
    return at == 0 ? NULL : &table->ranges[at - 1];
}

size_t ranges_count(const RangeTable *table)
{
    return table->n;
}

const Range *ranges_at(const RangeTable *table, size_t i)
{
    return &table->ranges[i];
}
