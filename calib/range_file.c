/* range_file.c - the range table as a file that a person can read and edit.
 *
 *     {"name": "conv1_out", "low": -2.5, "high": 3.75, "method": "mse", "observed_min": .., ..}
 *
 * "low" and "high" count; what stands behind them is for the reader. A value whose line is taken out stays float.
 */
#include "calib/keep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void add_range(Text *text, const Range *range, const Sight *sight)
{
    text_add(text, "  {\"name\": ");
    keep_add_text(text, range->name);
    text_addf(text, ", \"low\": %.9g, \"high\": %.9g, \"method\": ", (double)range->low, (double)range->high);
    keep_add_text(text, range->method);
    text_addf(text,
              ", \"observed_min\": %.9g, \"observed_max\": %.9g, \"clipped_share\": %.9g, \"sqnr_db\": ",
              (double)range->observed_min, (double)range->observed_max, range->clipped_share);
    if (isnan(range->sqnr_db))
        text_add(text, "null");
    else
        text_addf(text, "%.9g", range->sqnr_db);
    text_addf(text, ", \"elements\": %lld, \"not_finite\": %lld", (long long)range->elements,
              (long long)range->not_finite);
    if (sight != NULL && sight->bad_sample >= 0) {
        text_add(text, ", \"not_finite_node\": ");
        keep_add_text(text, sight->node);
        text_add(text, ", \"not_finite_sample\": ");
        keep_add_text(text, sight->bad_file);
    }
    text_add(text, "}");
}

Status ranges_write(const char *path, const RangeSource *source, const RangeTable *ranges, const Sights *sights)
{
    Text text = {0};
    Map *names = map_new();
    for (size_t i = 0; i < sights->n; i++)
        map_put(names, sights->rows[i].name, &sights->rows[i]);
    RangeSource whole = *source;
    whole.shard = whole.shards = 1;
    keep_add_head(&text, KEEP_TABLE, &whole, sights);
    for (size_t i = 0; i < ranges_count(ranges); i++) {
        const Range *range = ranges_at(ranges, i);
        text_add(&text, i == 0 ? "\n" : ",\n");
        add_range(&text, range, map_get(names, range->name));
    }
    text_add(&text, "\n]}\n");
    map_free(names);
    return keep_write(path, &text);
}

static Status read_float(const cJSON *row, const char *key, float *ret)
{
    double value;
    TRY(keep_number(row, key, &value));
    *ret = (float)value;
    return isfinite(*ret) ? NULL : status_new(CODE_DATA, "'%s' is beyond the range of float", key);
}

static Status read_range(const cJSON *row, Arena *arena, Sights *sights, RangeTable *table)
{
    Range range = {0};
    TRY(keep_text(row, "name", arena, &range.name));
    if (range.name == NULL || ranges_get(table, range.name) != NULL)
        return status_new(CODE_DATA, "value '%s' %s", range.name == NULL ? "" : range.name,
                          range.name == NULL ? "has no name" : "is listed twice");
    Status status = read_float(row, "low", &range.low);
    if (status == NULL)
        status = read_float(row, "high", &range.high);
    if (status == NULL && !(range.low <= 0 && range.high >= 0))
        status = status_new(CODE_DATA, "'low' %g and 'high' %g: 0 must lie between them", (double)range.low,
                            (double)range.high);
    if (status == NULL)
        status = read_float(row, "observed_min", &range.observed_min);
    if (status == NULL)
        status = read_float(row, "observed_max", &range.observed_max);
    if (status == NULL)
        status = keep_number(row, "clipped_share", &range.clipped_share);
    range.sqnr_db = (double)NAN;
    if (status == NULL && !cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(row, "sqnr_db")))
        status = keep_number(row, "sqnr_db", &range.sqnr_db);
    if (status == NULL)
        status = keep_count(row, "elements", &range.elements);
    if (status == NULL)
        status = keep_count(row, "not_finite", &range.not_finite);
    if (status == NULL)
        status = keep_text(row, "method", arena, &range.method);
    TRY(status_prefix(status, "value '%s'", range.name));
    Sight sight = {.name = range.name, .node = "", .bad_sample = -1};
    if (range.not_finite > 0 && cJSON_HasObjectItem(row, "not_finite_sample")) {
        TRY(keep_text(row, "not_finite_node", arena, &sight.node));
        TRY(keep_text(row, "not_finite_sample", arena, &sight.bad_file));
        sight.bad_sample = 0;
    }
    sights->rows = array_reserve(sights->rows, &sights->cap, sights->n + 1, sizeof sights->rows[0]);
    sights->rows[sights->n++] = sight;
    ranges_put(table, &range);
    return NULL;
}

static Status check_source(const RangeSource *found, const RangeSource *expected)
{
    if (strcmp(found->model_sha256, expected->model_sha256) != 0)
        return status_new(CODE_DATA,
                          "made for another model, or the model has changed since (sha256 %.12s..., this one has "
                          "%.12s...); calibrate again",
                          found->model_sha256, expected->model_sha256);
    if (strcmp(found->passes, expected->passes) != 0)
        return status_new(CODE_DATA, "made with '%s', this run has '%s': values differ; calibrate again", found->passes,
                          expected->passes);
    return NULL;
}

Status ranges_read(const char *path, const RangeSource *expected, Arena *arena, RangeSource *ret_source,
                   RangeTable **ret, Sights *ret_sights)
{
    RangeSource source;
    Sights sights;
    cJSON *root;
    TRY(keep_read(path, KEEP_TABLE, arena, &source, &sights, &root));
    RangeTable *table = ranges_new();
    Status status = check_source(&source, expected);
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(root, "values"))
    {
        if (status == NULL)
            status = read_range(row, arena, &sights, table);
    }
    cJSON_Delete(root);
    sights.arena = NULL; /* the caller's */
    if (status != NULL) {
        ranges_free(table);
        free(sights.rows);
        free(sights.skipped);
        return status_prefix(status, "%s", path);
    }
    *ret_source = source;
    *ret = table;
    *ret_sights = sights;
    return NULL;
}
