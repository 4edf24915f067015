/* keep.c - the head of range tables and parts, written and read. */
#include "calib/keep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)4 << 30)

void keep_add_text(Text *text, const char *s)
{
    if (s == NULL) {
        text_add(text, "null");
        return;
    }
    cJSON *item = cJSON_CreateString(s);
    char *quoted = cJSON_PrintUnformatted(item);
    text_add(text, quoted);
    free(quoted);
    cJSON_Delete(item);
}

static void add_pair(Text *text, const char *before, const char *key, const char *value)
{
    text_addf(text, "%s\"%s\": ", before, key);
    keep_add_text(text, value);
}

void keep_add_head(Text *text, const char *kind, const RangeSource *source, const Sights *sights)
{
    add_pair(text, "{", "format", kind);
    add_pair(text, ",\n ", "model_sha256", source->model_sha256);
    add_pair(text, ",\n ", "passes", source->passes);
    add_pair(text, ",\n ", "method", source->rule);
    add_pair(text, ",\n \"data\": {", "path", source->data);
    add_pair(text, ", ", "reader", source->reader);
    add_pair(text, ", ", "preprocessing", source->preprocessing);
    add_pair(text, ", ", "sha256", source->data_sha256);
    text_addf(text, "},\n \"shard\": %lld, \"shards\": %lld, \"samples\": %lld, \"offered\": %lld,\n \"skipped\": [",
              (long long)source->shard, (long long)source->shards, (long long)sights->samples,
              (long long)sights->offered);
    for (size_t i = 0; i < sights->n_skipped; i++) {
        text_addf(text, "%s\n  {\"number\": %lld", i == 0 ? "" : ",", (long long)sights->skipped[i].number);
        add_pair(text, ", ", "file", sights->skipped[i].file);
        add_pair(text, ", ", "reason", sights->skipped[i].reason);
        text_add(text, "}");
    }
    text_add(text, "],\n \"values\": [");
}

Status keep_write(const char *path, Text *text)
{
    AtomicFile *file;
    Status status = atomic_open(path, &file);
    if (status == NULL) {
        status = atomic_write(file, text->data, text->length);
        if (status == NULL)
            status = atomic_commit(file);
        else
            atomic_abandon(file);
    }
    text_free(text);
    return status;
}

Status keep_text(const cJSON *object, const char *key, Arena *arena, const char **ret)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsString(item) && !cJSON_IsNull(item))
        return status_new(CODE_DATA, "'%s' is missing or no text", key);
    *ret = cJSON_IsNull(item) ? NULL : arena_strdup(arena, item->valuestring);
    return NULL;
}

Status keep_number(const cJSON *object, const char *key, double *ret)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble))
        return status_new(CODE_DATA, "'%s' is missing or no number", key);
    *ret = item->valuedouble;
    return NULL;
}

Status keep_count(const cJSON *object, const char *key, int64_t *ret)
{
    double value;
    TRY(keep_number(object, key, &value));
    if (!(value >= -1 && value <= 0x1p53) || value != floor(value))
        return status_new(CODE_DATA, "'%s' is no count", key);
    *ret = (int64_t)value;
    return NULL;
}

static Status read_skipped(const cJSON *root, Arena *arena, Sights *sights)
{
    const cJSON *item, *array = cJSON_GetObjectItemCaseSensitive(root, "skipped");
    if (!cJSON_IsArray(array))
        return status_new(CODE_DATA, "'skipped' is missing");
    cJSON_ArrayForEach(item, array)
    {
        Skipped row;
        TRY(keep_count(item, "number", &row.number));
        TRY(keep_text(item, "file", arena, &row.file));
        TRY(keep_text(item, "reason", arena, &row.reason));
        sights->skipped =
            array_reserve(sights->skipped, &sights->cap_skipped, sights->n_skipped + 1, sizeof sights->skipped[0]);
        sights->skipped[sights->n_skipped++] = row;
    }
    return NULL;
}

static Status read_head(const cJSON *root, const char *kind, Arena *arena, RangeSource *source, Sights *sights)
{
    const cJSON *format = cJSON_GetObjectItemCaseSensitive(root, "format");
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(root, "data");
    if (!cJSON_IsString(format) || strcmp(format->valuestring, kind) != 0)
        return status_new(CODE_DATA, "expects \"format\": \"%s\"%s%s%s", kind, cJSON_IsString(format) ? ", not \"" : "",
                          cJSON_IsString(format) ? format->valuestring : "", cJSON_IsString(format) ? "\"" : "");
    TRY(keep_text(root, "model_sha256", arena, &source->model_sha256));
    TRY(keep_text(root, "passes", arena, &source->passes));
    TRY(keep_text(root, "method", arena, &source->rule));
    TRY(keep_text(data, "path", arena, &source->data));
    TRY(keep_text(data, "reader", arena, &source->reader));
    TRY(keep_text(data, "preprocessing", arena, &source->preprocessing));
    TRY(keep_text(data, "sha256", arena, &source->data_sha256));
    TRY(keep_count(root, "shard", &source->shard));
    TRY(keep_count(root, "shards", &source->shards));
    TRY(keep_count(root, "samples", &sights->samples));
    TRY(keep_count(root, "offered", &sights->offered));
    if (source->model_sha256 == NULL || source->passes == NULL || source->rule == NULL || source->shard < 1 ||
        source->shards < source->shard)
        return status_new(CODE_DATA, "'model_sha256', 'passes', 'method', 'shard' or 'shards' is damaged");
    if (!cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(root, "values")))
        return status_new(CODE_DATA, "'values' is missing");
    return read_skipped(root, arena, sights);
}

Status keep_read(const char *path, const char *kind, Arena *arena, RangeSource *ret_source, Sights *ret_sights,
                 cJSON **ret_root)
{
    FileMap map;
    TRY(file_map(path, CODE_DATA, &map));
    if (map.size > FILE_MAX) {
        file_unmap(&map);
        return status_new(CODE_DATA, "%s: too large for a range table", path);
    }
    const char *end = NULL;
    cJSON *root = map.size == 0 ? NULL
                                : cJSON_ParseWithLengthOpts((const char *)map.data, map.size, &end, 0);
    ptrdiff_t at = end == NULL || map.size == 0 ? 0 : end - (const char *)map.data;
    file_unmap(&map);
    if (root == NULL)
        return status_new(CODE_DATA, "%s: not JSON at byte %td", path, at);
    RangeSource source = {0};
    Sights sights = {.arena = arena};
    Status status = status_prefix(read_head(root, kind, arena, &source, &sights), "%s", path);
    if (status != NULL) {
        free(sights.skipped);
        cJSON_Delete(root);
        return status;
    }
    *ret_source = source;
    *ret_sights = sights;
    *ret_root = root;
    return NULL;
}
