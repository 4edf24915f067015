/* part_file.c - one shard's share of a calibration as a file: histograms to the last count, so that parts join exactly.
 *
 *     {"name": "y", "order": 7, "exponent": -9, .., "bins": "4096+12,3,5;4200+1,2"}
 *
 * "bins" are runs of counts, each behind the index of its first bin. Sums of extremes are the words of an ExactSum in
 * hexadecimal.
 */
#include "calib/keep.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SUM_WORDS 6

static void add_sum(Text *text, const char *key, const ExactSum *sum)
{
    text_addf(text, ", \"%s\": \"", key);
    for (int i = 0; i < SUM_WORDS; i++)
        text_addf(text, "%016" PRIx64, sum->limbs[i]);
    text_add(text, "\"");
}

static void add_bins(Text *text, const Histogram *h)
{
    if (!h->has_bins) {
        text_add(text, ", \"bins\": null}");
        return;
    }
    text_add(text, ", \"bins\": \"");
    bool first = true;
    for (int i = 0; i < HISTOGRAM_BINS; i++) {
        if (h->bins[i] == 0)
            continue;
        if (i > 0 && h->bins[i - 1] > 0)
            text_addf(text, ",%" PRIu64, h->bins[i]);
        else
            text_addf(text, "%s%d+%" PRIu64, first ? "" : ";", i, h->bins[i]);
        first = false;
    }
    text_add(text, "\"}");
}

static void add_sight(Text *text, const Sight *sight)
{
    const Histogram *h = sight->histogram;
    text_add(text, "  {\"name\": ");
    keep_add_text(text, sight->name);
    text_addf(text, ", \"order\": %u, \"node\": ", sight->order);
    keep_add_text(text, sight->node);
    text_addf(text, ", \"bad_sample\": %lld, \"bad_file\": ", (long long)sight->bad_sample);
    keep_add_text(text, sight->bad_file);
    text_addf(text,
              ", \"exponent\": %d, \"empty\": %d, \"min\": %.9g, \"max\": %.9g, \"count\": %lld, "
              "\"counted\": %lld, \"zeros\": %lld, \"not_finite\": %lld, \"runs\": %lld",
              h->exponent, h->empty ? 1 : 0, (double)h->min, (double)h->max, (long long)h->count, (long long)h->counted,
              (long long)h->zeros, (long long)h->not_finite, (long long)h->runs);
    add_sum(text, "run_min", &h->run_min);
    add_sum(text, "run_max", &h->run_max);
    add_bins(text, h);
}

Status part_write(const char *path, const RangeSource *source, const Sights *sights)
{
    Text text = {0};
    keep_add_head(&text, KEEP_PART, source, sights);
    for (size_t i = 0; i < sights->n; i++) {
        text_add(&text, i == 0 ? "\n" : ",\n");
        add_sight(&text, &sights->rows[i]);
    }
    text_add(&text, "\n]}\n");
    return keep_write(path, &text);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static Status read_sum(const cJSON *row, const char *key, ExactSum *ret)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(row, key);
    const char *text = cJSON_IsString(item) ? item->valuestring : "";
    if (strlen(text) != 16 * SUM_WORDS || strspn(text, "0123456789abcdef") != 16 * SUM_WORDS)
        return status_new(CODE_DATA, "'%s' is damaged", key);
    for (int i = 0; i < SUM_WORDS; i++) {
        char word[17] = "";
        memcpy(word, text + 16 * i, 16);
        ret->limbs[i] = strtoull(word, NULL, 16);
    }
    return NULL;
}

/* Counts must add up to what the row says, so a damaged file is not taken for data. */
static Status read_bins(const cJSON *row, Histogram *h)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(row, "bins");
    if (!h->has_bins)
        return h->counted == 0 ? NULL : status_new(CODE_DATA, "'bins' is missing");
    const char *at = cJSON_IsString(item) ? item->valuestring : "+";
    uint64_t total = 0, expected = (uint64_t)(h->counted - h->zeros);
    long long bin = -1;
    while (*at != '\0') {
        char *end = NULL;
        if (bin < 0) {
            bin = strtoll(at, &end, 10);
            if (end == at || *end != '+' || bin < 0)
                break;
            at = end + 1;
        }
        unsigned long long count = strtoull(at, &end, 10);
        if (end == at || bin >= HISTOGRAM_BINS || count > expected - total || h->bins[bin] != 0 ||
            (*end != '\0' && *end != ',' && *end != ';'))
            break;
        h->bins[bin] = count;
        total += count;
        bin = *end == ';' ? -1 : bin + 1;
        at = *end == '\0' ? end : end + 1;
    }
    return *at == '\0' && total == expected ? NULL : status_new(CODE_DATA, "'bins' is damaged");
}

static Status read_histogram(const cJSON *row, Histogram *h)
{
    int64_t exponent, empty;
    double low, high;
    cJSON *item = cJSON_GetObjectItemCaseSensitive(row, "exponent");
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= -200 && item->valuedouble <= 200))
        return status_new(CODE_DATA, "'exponent' is damaged");
    exponent = (int64_t)item->valuedouble;
    TRY(keep_count(row, "empty", &empty));
    TRY(keep_number(row, "min", &low));
    TRY(keep_number(row, "max", &high));
    TRY(keep_count(row, "count", &h->count));
    TRY(keep_count(row, "counted", &h->counted));
    TRY(keep_count(row, "zeros", &h->zeros));
    TRY(keep_count(row, "not_finite", &h->not_finite));
    TRY(keep_count(row, "runs", &h->runs));
    h->exponent = (int)exponent;
    h->empty = empty != 0;
    h->min = (float)low;
    h->max = (float)high;
    if (h->zeros < 0 || h->zeros > h->counted || h->counted > h->count || h->not_finite < 0 || h->runs < 0 ||
        !isfinite(h->min) || !isfinite(h->max) || h->min > h->max || (h->empty && h->counted != h->zeros))
        return status_new(CODE_DATA, "its counts are damaged");
    TRY(read_sum(row, "run_min", &h->run_min));
    TRY(read_sum(row, "run_max", &h->run_max));
    return read_bins(row, h);
}

static Status read_sight(const cJSON *row, Arena *arena, Sights *sights)
{
    Sight sight = {0};
    int64_t order;
    TRY(keep_text(row, "name", arena, &sight.name));
    TRY(keep_text(row, "node", arena, &sight.node));
    TRY(keep_text(row, "bad_file", arena, &sight.bad_file));
    TRY(keep_count(row, "order", &order));
    TRY(keep_count(row, "bad_sample", &sight.bad_sample));
    if (sight.name == NULL || order < 0 || order > UINT32_MAX)
        return status_new(CODE_DATA, "a value has no name or order");
    sight.order = (uint32_t)order;
    Histogram *histogram;
    TRY(histogram_new(!cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(row, "bins")), &histogram));
    sight.histogram = histogram;
    Status status = status_prefix(read_histogram(row, histogram), "value '%s'", sight.name);
    if (status != NULL) {
        histogram_free(histogram);
        return status;
    }
    sights->rows = array_reserve(sights->rows, &sights->cap, sights->n + 1, sizeof sights->rows[0]);
    sights->rows[sights->n++] = sight;
    return NULL;
}

Status part_read(const char *path, Arena *arena, RangeSource *ret_source, Sights *ret_sights)
{
    RangeSource source;
    Sights sights;
    cJSON *root;
    TRY(keep_read(path, KEEP_PART, arena, &source, &sights, &root));
    Status status = NULL;
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(root, "values"))
    {
        if (status == NULL)
            status = read_sight(row, arena, &sights);
    }
    cJSON_Delete(root);
    sights.arena = NULL; /* the caller's */
    if (status != NULL) {
        sights_release(&sights);
        return status_prefix(status, "%s", path);
    }
    *ret_source = source;
    *ret_sights = sights;
    return NULL;
}
