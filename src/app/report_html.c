/* report_html.c - the JSON report as one page for a browser: no script, nothing loaded from elsewhere.
 *
 *     {"tensors": [{"name": "x", "sqnr_db": 31.2}, ...]}   ──>   <h2>Ranges</h2> <table> x | 31.2 ... </table>
 *
 * What is shown is read from the JSON alone, so that both tell the same. A section is a row of `sections`, a column a row of its
 * columns; what a model or a file is called is written so that it cannot become markup.
 */
#include "src/app/job.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum Show {
    SHOW_TEXT, SHOW_NUMBER, SHOW_SHARE /* 0..1 as a percentage */, SHOW_DB, SHOW_COUNT, SHOW_MARK, /* a tick where true */
    SHOW_BAR /* a number, and a bar as long as its share of the column's greatest */
} Show;

typedef struct Column {
    const char *key, *heading;
    Show show;
} Column;

enum { MAX_COLUMNS = 8 };

/* An array of objects at `path` ("a.b") as a table. `least`: sorted by this key, least first. */
static const struct Section {
    const char *path, *title, *note, *least;
    Column columns[MAX_COLUMNS];
} sections[] = {
    {"accuracy.outputs", "Outputs", "How far the integer model's outputs are from the float model's.", NULL,
     {{"name", "output", SHOW_TEXT}, {"sqnr_db", "SQNR, dB", SHOW_DB}, {"cosine", "cosine", SHOW_NUMBER},
      {"max_abs_diff", "greatest difference", SHOW_NUMBER}}},
    {"fallback.left_float", "Left in float", NULL, NULL,
     {{"node", "node", SHOW_TEXT}, {"op", "op", SHOW_TEXT}, {"reason", "why", SHOW_TEXT},
      {"macs", "multiply-accumulates", SHOW_COUNT}}},
    {"search.trials", "What was tried", "Recipes, each measured on calibration samples.", NULL,
     {{"what", "recipe", SHOW_TEXT}, {"sqnr_db", "SQNR, dB", SHOW_DB}, {"best_so_far", "best so far", SHOW_MARK}}},
    {"search.sensitivity", "Sensitivity", "The outputs' SQNR when this node alone is quantized, worst first.", NULL,
     {{"node", "node", SHOW_TEXT}, {"sqnr_db", "SQNR, dB", SHOW_DB}, {"macs", "multiply-accumulates", SHOW_BAR}}},
    {"nodes", "Nodes", NULL, NULL,
     {{"name", "node", SHOW_TEXT}, {"op", "op", SHOW_TEXT}, {"decision", "runs in", SHOW_TEXT}, {"runs_as", "as", SHOW_TEXT},
      {"reason", "why not", SHOW_TEXT}, {"weight_sqnr_db", "weight SQNR, dB", SHOW_DB},
      {"macs", "multiply-accumulates", SHOW_BAR}}},
    {"tensors", "Ranges", "Least signal to noise first.", "sqnr_db",
     {{"name", "value", SHOW_TEXT}, {"sqnr_db", "SQNR, dB", SHOW_DB}, {"observed_min", "seen from", SHOW_NUMBER},
      {"observed_max", "to", SHOW_NUMBER}, {"chosen_min", "chosen from", SHOW_NUMBER}, {"chosen_max", "to", SHOW_NUMBER},
      {"clipped_share", "clipped", SHOW_SHARE}, {"method", "method", SHOW_TEXT}}},
    {"simplify.passes", "Simplification", NULL, NULL,
     {{"name", "pass", SHOW_TEXT}, {"changes", "changes", SHOW_COUNT}, {"nodes_before", "nodes before", SHOW_COUNT},
      {"nodes_after", "after", SHOW_COUNT}}},
    {"calibration.skipped", "Files that were skipped", NULL, NULL,
     {{"file", "file", SHOW_TEXT}, {"reason", "why", SHOW_TEXT}}},
};

static const char style[] =
    "body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em;color:#222}"
    "h1{font-size:1.5em;overflow-wrap:anywhere}h2{font-size:1.15em;margin-top:2em}table{border-collapse:collapse}"
    "th,td{padding:.2em .8em .2em 0;text-align:left;vertical-align:top;border-bottom:1px solid #ddd}"
    "td{overflow-wrap:anywhere}.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
    ".big td{font-size:1.25em;padding-right:2em}.warning{background:#fff3cd;padding:.4em .8em;margin:.3em 0}"
    ".track{display:inline-block;width:6em;margin-left:.5em;text-align:left}"
    ".bar{display:inline-block;height:.7em;background:#4a7db8}"
    ".note{color:#666}"
    "summary{cursor:pointer;color:#666}";

/* ---- words and numbers ------------------------------------------------------------------------------------------- */

static void add_escaped(Text *page, const char *words)
{
    for (const char *c = words; *c != '\0'; c++) {
        char one[2] = {*c, '\0'};
        text_add(page, *c == '<' ? "&lt;" : *c == '>' ? "&gt;" : *c == '&' ? "&amp;" : *c == '"' ? "&quot;" : one);
    }
}

static const cJSON *at(const cJSON *root, const char *path)
{
    char key[32];
    while (root != NULL && *path != '\0') {
        size_t length = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)length, path);
        root = cJSON_GetObjectItemCaseSensitive(root, key);
        path += length + (path[length] == '.');
    }
    return root;
}

static const char *words_at(const cJSON *root, const char *path)
{
    const cJSON *item = at(root, path);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static double number_at(const cJSON *root, const char *path)
{
    const cJSON *item = at(root, path);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

/* 1234567 -> "1 234 567" with narrow spaces. */
static void add_count(Text *page, double value)
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%.0f", value);
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-')
            text_add(page, "&#8239;");
        text_addf(page, "%c", digits[i]);
    }
}

static void add_cell(Text *page, const cJSON *item, Show show, double greatest)
{
    text_add(page, show == SHOW_TEXT || show == SHOW_MARK ? "<td>" : "<td class=n>");
    if (show == SHOW_MARK) {
        text_add(page, cJSON_IsTrue(item) ? "&#10003;" : "");
    } else if (cJSON_IsString(item)) {
        add_escaped(page, item->valuestring);
    } else if (cJSON_IsNumber(item)) {
        double value = item->valuedouble;
        if (show == SHOW_DB)
            text_addf(page, value >= 999.0 ? "equal" : "%.1f", value);
        else if (show == SHOW_SHARE)
            text_addf(page, "%.3f&#8239;%%", 100.0 * value);
        else if (show == SHOW_COUNT || show == SHOW_BAR)
            add_count(page, value);
        else
            text_addf(page, "%.6g", value);
        if (show == SHOW_BAR)
            text_addf(page, "<span class=track><span class=bar style=\"width:%.1f%%\"></span></span>",
                      greatest > 0.0 ? 100.0 * value / greatest : 0.0);
    }
    text_add(page, "</td>");
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

typedef struct Row {
    const cJSON *object;
    double key;
    int index; /* equal keys stay in order */
} Row;

static int by_key(const void *left, const void *right)
{
    const Row *a = left, *b = right;
    if (a->key < b->key || b->key < a->key)
        return a->key < b->key ? -1 : 1;
    return a->index < b->index ? -1 : 1;
}

/* Rows in the order they are shown; what has no number at `least` comes last. */
static Row *rows_of(const cJSON *array, const char *least, int n)
{
    Row *rows = xcalloc((size_t)n, sizeof rows[0]);
    const cJSON *object;
    int i = 0;
    cJSON_ArrayForEach(object, array) {
        double key = least == NULL ? (double)i : number_at(object, least);
        rows[i] = (Row){.object = object, .key = isnan(key) ? INFINITY : key, .index = i};
        i++;
    }
    qsort(rows, (size_t)n, sizeof rows[0], by_key);
    return rows;
}

static double greatest_of(const Row *rows, int n, const char *key)
{
    double greatest = 0.0;
    for (int i = 0; i < n; i++)
        greatest = fmax(greatest, number_at(rows[i].object, key));
    return greatest;
}

/* A long table is folded up: the page opens on what matters. */
static void add_section(Text *page, const cJSON *root, const struct Section *section)
{
    enum { LONG = 16 };
    const cJSON *array = at(root, section->path);
    int n = cJSON_GetArraySize(array), n_columns = 0;
    if (n == 0)
        return;
    Row *rows = rows_of(array, section->least, n);
    double greatest[MAX_COLUMNS] = {0.0};
    text_addf(page, "<h2>%s</h2>\n", section->title);
    if (section->note != NULL)
        text_addf(page, "<p class=note>%s</p>\n", section->note);
    if (n > LONG)
        text_addf(page, "<details><summary>%d rows</summary>\n", n);
    text_add(page, "<table><tr>");
    for (; n_columns < MAX_COLUMNS && section->columns[n_columns].key != NULL; n_columns++) {
        const Column *column = &section->columns[n_columns];
        bool words = column->show == SHOW_TEXT || column->show == SHOW_MARK;
        greatest[n_columns] = column->show == SHOW_BAR ? greatest_of(rows, n, column->key) : 0.0;
        text_addf(page, "<th%s>%s</th>", words ? "" : " class=n", column->heading);
    }
    for (int i = 0; i < n; i++) {
        text_add(page, "</tr>\n<tr>");
        for (int c = 0; c < n_columns; c++)
            add_cell(page, at(rows[i].object, section->columns[c].key), section->columns[c].show, greatest[c]);
    }
    text_addf(page, "</tr></table>\n%s", n > LONG ? "</details>\n" : "");
    free(rows);
}

/* ---- the head of the page ---------------------------------------------------------------------------------------- */

/* With `digits` behind the point; nothing where there is no number. */
static void add_figure(Text *page, const char *what, int digits, double before, double after)
{
    if (isnan(after))
        return;
    text_addf(page, "<tr><th>%s</th><td class=n>", what);
    if (!isnan(before))
        text_addf(page, "%.*f", digits, before);
    text_addf(page, "</td><td class=n>%.*f</td></tr>\n", digits, after);
}

static void add_figures(Text *page, const cJSON *root)
{
    double least = INFINITY;
    const cJSON *output;
    cJSON_ArrayForEach(output, at(root, "accuracy.outputs")) least = fmin(least, number_at(output, "sqnr_db"));
    bool top1 = strcmp(words_at(root, "accuracy.metric"), "top1_percent") == 0;
    text_add(page, "<table class=big><tr><th></th><th class=n>fp32</th><th class=n>int8</th></tr>\n");
    add_figure(page, "size, MB", 2, number_at(root, "size.fp32_bytes") / 1e6, number_at(root, "size.int8_bytes") / 1e6);
    if (top1) {
        add_figure(page, "top-1, %", 2, number_at(root, "accuracy.fp32"), number_at(root, "accuracy.int8"));
        add_figure(page, "top-5, %", 2, number_at(root, "accuracy.fp32_top5"), number_at(root, "accuracy.int8_top5"));
    }
    add_figure(page, "same best class, %", 2, NAN, number_at(root, "accuracy.agreement_percent"));
    add_figure(page, "SQNR of the worst output, dB", 1, NAN, least);
    add_figure(page, "multiply-accumulates in integers, %", 1, NAN,
               100.0 * number_at(root, "speed.share_of_macs_in_int8"));
    text_add(page, "</table>\n");
}

/* `label` and what stands at `path`, where it says anything. */
static void add_line(Text *page, const cJSON *root, const char *label, const char *path)
{
    const cJSON *item = at(root, path);
    if (!cJSON_IsString(item) && !cJSON_IsNumber(item))
        return;
    text_addf(page, "<tr><th>%s</th><td>", label);
    if (cJSON_IsNumber(item))
        add_count(page, item->valuedouble);
    else
        add_escaped(page, item->valuestring);
    text_add(page, "</td></tr>\n");
}

static void add_facts(Text *page, const cJSON *root)
{
    static const char *const lines[][2] = {
        {"model", "input.path"},          {"SHA-256", "input.sha256"},         {"written", "output.path"},
        {"SHA-256", "output.sha256"},     {"target", "args.target"},           {"calibration data", "calibration.data"},
        {"samples", "calibration.samples"}, {"read as", "calibration.preprocessing"}, {"ranges", "calibration.method"},
        {"measured on", "accuracy.data"}, {"samples", "accuracy.samples"},     {"processor", "host.cpu"},
    };
    text_add(page, "<h2>The job</h2>\n<table>");
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        add_line(page, root, lines[i][0], lines[i][1]);
    text_add(page, "</table>\n");
    if (cJSON_IsTrue(at(root, "accuracy.on_calibration_data")))
        text_add(page, "<p class=note>Accuracy was measured on the calibration data.</p>\n");
}

char *report_html(const char *json)
{
    cJSON *root = cJSON_Parse(json);
    Text page = {0};
    text_add(&page, "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8><title>");
    add_escaped(&page, path_base(words_at(root, "output.path")));
    text_addf(&page, "</title>\n<style>%s</style></head><body>\n<h1>", style);
    add_escaped(&page, path_base(words_at(root, "output.path")));
    text_add(&page, "</h1>\n<p class=note>Quantized by ");
    add_escaped(&page, words_at(root, "tool"));
    text_add(&page, ".</p>\n");
    add_figures(&page, root);
    const cJSON *warning;
    cJSON_ArrayForEach(warning, at(root, "warnings")) {
        text_add(&page, "<p class=warning>");
        add_escaped(&page, cJSON_IsString(warning) ? warning->valuestring : "");
        text_add(&page, "</p>\n");
    }
    add_facts(&page, root);
    for (size_t i = 0; i < COUNT_OF(sections); i++)
        add_section(&page, root, &sections[i]);
    text_add(&page, "</body></html>\n");
    cJSON_Delete(root);
    return page.data;
}
