/* channels.c - what calibration saw of the channels of a value: the greatest magnitude and the mean of each. */
#include "src/quant/quant.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ChannelTable {
    Arena *arena;
    Map *rows; /* name -> Channels */
};

ChannelTable *channels_new(void)
{
    ChannelTable *table = xcalloc(1, sizeof *table);
    table->arena = arena_new();
    table->rows = map_new();
    return table;
}

void channels_free(ChannelTable *table)
{
    if (table == NULL)
        return;
    map_free(table->rows);
    arena_free(table->arena);
    free(table);
}

Channels *channels_put(ChannelTable *table, const char *name, int axis, int64_t n)
{
    Channels *row = map_get(table->rows, name);
    if (row != NULL)
        return row;
    row = arena_alloc(table->arena, sizeof *row);
    *row = (Channels){.axis = axis,
                      .n = n,
                      .max_abs = arena_array(table->arena, (size_t)n, sizeof row->max_abs[0]),
                      .sum = arena_array(table->arena, (size_t)n, sizeof row->sum[0])};
    map_put(table->rows, arena_strdup(table->arena, name), row);
    return row;
}

Channels *channels_get(const ChannelTable *table, const char *name)
{
    return table == NULL ? NULL : map_get(table->rows, name);
}

size_t channels_count(const ChannelTable *table)
{
    return map_count(table->rows);
}

void channels_add(Channels *channels, const Tensor *tensor)
{
    int axis = channels->axis < 0 ? channels->axis + tensor->rank : channels->axis;
    if (tensor->dtype != DT_FLOAT || axis < 0 || axis >= tensor->rank || tensor->dims[axis] != channels->n || tensor->count == 0)
        return;
    int64_t inner = 1;
    for (int d = axis + 1; d < tensor->rank; d++)
        inner *= tensor->dims[d];
    const float *x = tensor->data;
    for (int64_t i = 0; i < tensor->count; i += inner) {
        int64_t c = i / inner % channels->n;
        float greatest = 0.0f;
        double sum = 0.0;
        for (int64_t k = 0; k < inner; k++) {
            float magnitude = fabsf(x[i + k]);
            greatest = magnitude <= FLT_MAX && magnitude > greatest ? magnitude : greatest;
            sum += magnitude <= FLT_MAX ? (double)x[i + k] : 0.0;
        }
        channels->max_abs[c] = fmaxf(channels->max_abs[c], greatest);
        channels->sum[c] += sum;
    }
    channels->elements += tensor->count / channels->n;
}
