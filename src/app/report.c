/* report.c - the JSON report and the closing table. docs/report.schema.json describes the object.
 *
 * Keys stand in a fixed order with their unit in the name. What varies from run to run stands under `timing` and `host`
 * alone; the rest is equal byte for byte for equal input and options.
 */
#include "src/app/job.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- small helpers: a number that is not one is null ------------------------------------------------------------- */

/* Rounded to `digits` significant digits: the report is for people too, and the last bits of a sum are noise. */
static void add_number(cJSON *object, const char *key, double value, int digits)
{
    if (!isfinite(value)) {
        cJSON_AddNullToObject(object, key);
        return;
    }
    char text[40];
    snprintf(text, sizeof text, "%.*g", digits, value);
    cJSON_AddNumberToObject(object, key, strtod(text, NULL));
}

static void add_count(cJSON *object, const char *key, int64_t value)
{
    cJSON_AddNumberToObject(object, key, (double)value);
}

static void add_text(cJSON *object, const char *key, const char *value)
{
    if (value == NULL)
        cJSON_AddNullToObject(object, key);
    else
        cJSON_AddStringToObject(object, key, value);
}

/* ---- sections ---------------------------------------------------------------------------------------------------- */

static void add_model(cJSON *root, const char *key, const char *path, const ModelFacts *facts)
{
    cJSON *object = cJSON_AddObjectToObject(root, key);
    add_text(object, "path", path);
    add_text(object, "sha256", facts->sha256);
    add_count(object, "bytes", (int64_t)facts->bytes);
    add_count(object, "external_bytes", (int64_t)facts->external_bytes);
    add_count(object, "ir_version", facts->ir_version);
    add_count(object, "opset", facts->opset);
    add_count(object, "nodes", facts->nodes);
    add_count(object, "parameters", facts->parameters);
    add_count(object, "macs", facts->macs);
    cJSON_AddItemToObject(object, "ops", cJSON_Duplicate(facts->ops, true));
}

static void add_restored(cJSON *root, const Job *job)
{
    if (job->restored.form == NULL) {
        cJSON_AddNullToObject(root, "restored");
        return;
    }
    cJSON *object = cJSON_AddObjectToObject(root, "restored");
    add_text(object, "form", job->restored.form);
    add_number(object, "sqnr_db", job->restored.sqnr_db, 5);
}

static void add_simplify(cJSON *root, const Job *job)
{
    cJSON *object = cJSON_AddObjectToObject(root, "simplify");
    cJSON *passes = cJSON_AddArrayToObject(object, "passes");
    for (size_t i = 0; i < pass_count(); i++) {
        const PassRecord *record = &job->records[i];
        if (record->changes == 0 || record->pass->stage == PASS_QUANTIZE)
            continue;
        cJSON *row = cJSON_CreateObject();
        cJSON_AddItemToArray(passes, row);
        add_text(row, "name", record->pass->name);
        add_count(row, "changes", record->changes);
        add_count(row, "nodes_before", record->nodes_before);
        add_count(row, "nodes_after", record->nodes_after);
    }
    cJSON *equal = cJSON_AddObjectToObject(object, "equal");
    add_number(equal, "max_abs_diff", job->proof.max_abs_diff, 3);
    add_number(equal, "max_relative_diff", job->proof.max_relative_diff, 3);
}

static void add_calibration(cJSON *root, const Job *job)
{
    cJSON *object = cJSON_AddObjectToObject(root, "calibration");
    add_text(object, "data", job->options->calib);
    add_text(object, "reader", job->data_reader);
    add_text(object, "method", job->ranges_source.rule);
    add_text(object, "ranges_in", job->options->ranges_in);
    add_count(object, "samples", job->calibration.sights.samples);
    cJSON *skipped = cJSON_AddArrayToObject(object, "skipped");
    for (size_t i = 0; i < job->calibration.sights.n_skipped; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddItemToArray(skipped, row);
        add_text(row, "file", job->calibration.sights.skipped[i].file);
        add_text(row, "reason", job->calibration.sights.skipped[i].reason);
    }
    cJSON *bad = cJSON_AddArrayToObject(object, "not_finite");
    for (size_t i = 0; i < job->calibration.sights.n; i++) {
        const Sight *sight = &job->calibration.sights.rows[i];
        if (sight->bad_sample < 0)
            continue;
        cJSON *row = cJSON_CreateObject();
        cJSON_AddItemToArray(bad, row);
        add_text(row, "value", sight->name);
        add_text(row, "node", sight->node);
        add_text(row, "sample", sight->bad_file);
        const Range *range = ranges_get(job->calibration.ranges, sight->name);
        add_count(row, "elements", range == NULL ? 0 : range->not_finite);
    }
    add_text(object, "preprocessing", job->data_description);
    add_text(object, "preprocessing_from", job->preprocess_source);
}

/* Rows of values that got a scale; `decisions` know them by the id they had when the ranges were taken. */
static void add_tensors(cJSON *root, const Job *job)
{
    cJSON *array = cJSON_AddArrayToObject(root, "tensors");
    for (uint32_t id = 0; id < job->product.decisions->n_values; id++) {
        const ValueDecision *decision = &job->product.decisions->values[id];
        const Range *range = decision->quantized ? decision->range : NULL;
        if (range == NULL)
            continue;
        cJSON *row = cJSON_CreateObject();
        cJSON_AddItemToArray(array, row);
        add_text(row, "name", decision->name);
        add_number(row, "scale", (double)decision->params.scale, 9);
        add_count(row, "zero_point", decision->params.zero_point);
        add_number(row, "observed_min", (double)range->observed_min, 9);
        add_number(row, "observed_max", (double)range->observed_max, 9);
        add_number(row, "chosen_min", (double)range->low, 9);
        add_number(row, "chosen_max", (double)range->high, 9);
        add_text(row, "method", range->method);
        add_number(row, "clipped_share", range->clipped_share, 4);
        add_number(row, "sqnr_db", range->sqnr_db, 4);
        add_count(row, "not_finite", range->not_finite);
    }
}

static const char *fate_name(NodeFate fate)
{
    static const char *const names[] = {
        [FATE_FLOAT] = "float", [FATE_INTEGER] = "integer", [FATE_ABSORBED] = "absorbed"};
    return names[fate];
}

static void add_nodes(cJSON *root, const Job *job)
{
    cJSON *array = cJSON_AddArrayToObject(root, "nodes");
    for (uint32_t id = 0; id < job->product.decisions->n_nodes; id++) {
        const NodeDecision *decision = &job->product.decisions->nodes[id];
        if (decision->op_type == NULL)
            continue;
        cJSON *row = cJSON_CreateObject();
        cJSON_AddItemToArray(array, row);
        add_text(row, "name", decision->node);
        add_text(row, "op", decision->op_type);
        add_text(row, "decision", fate_name(decision->fate));
        add_text(row, "reason", decision->reason);
        add_text(row, "runs_as", decision->runs_as);
        add_number(row, "weight_sqnr_db", decision->weight_sqnr_db, 4);
        add_count(row, "macs", decision->macs);
    }
}

static void add_accuracy(cJSON *root, const Job *job)
{
    const Evaluation *e = &job->product.evaluation;
    bool labelled = e->labelled > 0;
    cJSON *object = cJSON_AddObjectToObject(root, "accuracy");
    add_text(object, "data", job->evaluated_on);
    cJSON_AddBoolToObject(object, "on_calibration_data", job->evaluated_on_calibration);
    add_text(object, "fp32_run", job->fp32_kept ? "calibration" : "evaluation");
    add_count(object, "samples", e->samples);
    add_count(object, "skipped", e->skipped);
    add_text(object, "metric", labelled ? "top1_percent" : e->classes ? "agreement_percent" : "sqnr_db");
    add_number(object, "fp32", labelled ? e->top1[0] : NAN, 6);
    add_number(object, "int8", labelled ? e->top1[1] : NAN, 6);
    add_number(object, "drop", labelled ? e->top1[0] - e->top1[1] : NAN, 6);
    add_number(object, "fp32_top5", labelled ? e->top5[0] : NAN, 6);
    add_number(object, "int8_top5", labelled ? e->top5[1] : NAN, 6);
    add_number(object, "agreement_percent", e->agreement, 6);
    cJSON *outputs = cJSON_AddArrayToObject(object, "outputs");
    for (int i = 0; i < e->n_outputs; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddItemToArray(outputs, row);
        add_text(row, "name", e->outputs[i].name);
        add_number(row, "sqnr_db", e->outputs[i].sqnr_db, 5);
        add_number(row, "cosine", e->outputs[i].cosine, 7);
        add_number(row, "max_abs_diff", e->outputs[i].max_abs_diff, 5);
    }
}

typedef struct Shares {
    int64_t macs, integer_macs;
    int weighted, integer_weighted, float_nodes;
} Shares;

static Shares count_shares(const Job *job)
{
    Shares shares = {0};
    for (uint32_t id = 0; id < job->product.decisions->n_nodes; id++) {
        const NodeDecision *decision = &job->product.decisions->nodes[id];
        if (decision->op_type == NULL)
            continue;
        bool integer = decision->fate == FATE_INTEGER;
        shares.macs += decision->macs;
        shares.integer_macs += integer ? decision->macs : 0;
        shares.weighted += decision->weighted;
        shares.integer_weighted += decision->weighted && integer;
    }
    return shares;
}

/* Weighted nodes that stay float, each with its reason: nothing heavy is left behind in silence. */
static void add_fallback(cJSON *root, const Job *job)
{
    cJSON *object = cJSON_AddObjectToObject(root, "fallback");
    cJSON *array = cJSON_AddArrayToObject(object, "left_float");
    for (uint32_t id = 0; id < job->product.decisions->n_nodes; id++) {
        const NodeDecision *decision = &job->product.decisions->nodes[id];
        if (decision->op_type == NULL || !decision->weighted || decision->fate == FATE_INTEGER)
            continue;
        cJSON *row = cJSON_CreateObject();
        cJSON_AddItemToArray(array, row);
        add_text(row, "node", decision->node);
        add_text(row, "op", decision->op_type);
        add_text(row, "reason", decision->reason);
        add_count(row, "macs", decision->macs);
    }
}

/* What was tried before the model was made, and what each node costs; with --effort fast nothing was. */
static void add_search(cJSON *root, const Job *job)
{
    const Search *search = job->search;
    cJSON *object = cJSON_AddObjectToObject(root, "search");
    add_text(object, "effort", job->options->effort == NULL ? "default" : job->options->effort);
    add_count(object, "judged_on_samples", search->judge == NULL ? 0 : judge_samples(search->judge));
    add_text(object, "equalized", job->equalized);
    cJSON_AddBoolToObject(object, "biases_corrected", search->means != NULL);
    cJSON_AddBoolToObject(object, "rounding_learned", search->moments != NULL);
    cJSON_AddBoolToObject(object, "integer_gelu", search->integer_gelu);
    cJSON *trials = cJSON_AddArrayToObject(object, "trials");
    for (size_t i = 0; i < search->n_trials; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddItemToArray(trials, row);
        add_text(row, "what", search->trials[i].what);
        add_number(row, "sqnr_db", noise_to_db(search->trials[i].noise), 4);
        cJSON_AddBoolToObject(row, "best_so_far", search->trials[i].kept);
    }
    cJSON *nodes = cJSON_AddArrayToObject(object, "sensitivity");
    for (size_t i = 0; i < job->n_sensitivity; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddItemToArray(nodes, row);
        add_text(row, "node", job->sensitivity[i].name);
        add_number(row, "sqnr_db", noise_to_db(job->sensitivity[i].noise), 4);
        add_count(row, "macs", job->sensitivity[i].macs);
    }
    add_count(object, "fallback_rounds", job->fallback_rounds);
}

static double size_ratio(const Job *job)
{
    double before = (double)(job->input.bytes + job->input.external_bytes);
    return before > 0.0 ? (double)(job->product.facts.bytes + job->product.facts.external_bytes) / before : NAN;
}

static void add_size(cJSON *root, const Job *job)
{
    cJSON *object = cJSON_AddObjectToObject(root, "size");
    add_count(object, "fp32_bytes", (int64_t)(job->input.bytes + job->input.external_bytes));
    add_count(object, "int8_bytes", (int64_t)(job->product.facts.bytes + job->product.facts.external_bytes));
    add_number(object, "ratio", size_ratio(job), 5);
}

static void add_speed(cJSON *root, const Job *job)
{
    Shares shares = count_shares(job);
    cJSON *object = cJSON_AddObjectToObject(root, "speed");
    add_count(object, "weighted_ops", shares.weighted);
    add_count(object, "weighted_ops_int8", shares.integer_weighted);
    add_number(object, "share_of_macs_in_int8",
               shares.macs > 0 ? (double)shares.integer_macs / (double)shares.macs : NAN, 6);
}

static void add_run(cJSON *root, const Job *job)
{
    cJSON *warnings = cJSON_AddArrayToObject(root, "warnings");
    for (size_t i = 0; i < job->n_warnings; i++)
        cJSON_AddItemToArray(warnings, cJSON_CreateString(job->warnings[i]));
    cJSON *timing = cJSON_AddObjectToObject(root, "timing");
    add_number(timing, "calibration_s", job->seconds_calibration, 4);
    add_number(timing, "evaluation_s", job->seconds_evaluation, 4);
    add_number(timing, "total_s", job->seconds_total, 4);
    cJSON *host = cJSON_AddObjectToObject(root, "host");
    CpuFeatures cpu = cpu_features();
    add_text(host, "cpu", cpu_name());
    add_count(host, "cores", cpu_count());
    add_count(host, "threads", job->options->threads > 0 ? job->options->threads : cpu_count());
    cJSON_AddBoolToObject(host, "avx2", cpu.avx2);
    cJSON_AddBoolToObject(host, "avx512", cpu.avx512);
    cJSON_AddBoolToObject(host, "vnni", cpu.vnni);
    cJSON_AddBoolToObject(host, "amx_int8", cpu.amx_int8);
    add_count(host, "peak_memory_bytes", (int64_t)peak_memory_bytes());
}

static void add_args(cJSON *root, const Job *job)
{
    cJSON *object = cJSON_AddObjectToObject(root, "args");
    add_text(object, "model", job->options->model);
    add_text(object, "target", job->options->target == NULL ? "ort-x86" : job->options->target);
    add_text(object, "executor", job->options->executor == NULL ? "auto" : job->options->executor);
    add_text(object, "preset", job->options->preset);
    add_count(object, "samples", job->options->samples);
}

char *report_json(const Job *job)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "schema_version", 1);
    add_text(root, "tool", "quantize " QUANTIZE_VERSION);
    add_args(root, job);
    add_model(root, "input", job->options->model, &job->input);
    add_model(root, "output", job->output_path, &job->product.facts);
    add_restored(root, job);
    add_simplify(root, job);
    add_calibration(root, job);
    add_tensors(root, job);
    add_nodes(root, job);
    add_accuracy(root, job);
    add_search(root, job);
    add_fallback(root, job);
    add_size(root, job);
    add_speed(root, job);
    add_run(root, job);
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    return text;
}

/* ---- the closing table ------------------------------------------------------------------------------------------- */

static void print_size(uint64_t bytes, char *ret, size_t size)
{
    if (bytes < 1000000)
        snprintf(ret, size, "%.1f kB", (double)bytes / 1e3);
    else
        snprintf(ret, size, "%.2f MB", (double)bytes / 1e6);
}

static void print_accuracy(const Job *job)
{
    char room[32];
    const Evaluation *e = &job->product.evaluation;
    if (e->labelled > 0) {
        printf("%-12s %11.2f %% %11.2f %%   drop %+.2f points, %lld labelled samples\n", "top-1", e->top1[0],
               e->top1[1], e->top1[0] - e->top1[1], (long long)e->labelled);
        printf("%-12s %11.2f %% %11.2f %%\n", "top-5", e->top5[0], e->top5[1]);
    }
    if (e->classes)
        printf("%-12s %27.2f %%   same best class, %lld samples\n", "agreement", e->agreement, (long long)e->samples);
    for (int i = 0; i < e->n_outputs && i < 8; i++)
        printf("%-12s %29s   cosine %.6f, output '%s'\n", "SQNR", sqnr_text(e->outputs[i].sqnr_db, room),
               e->outputs[i].cosine, e->outputs[i].name);
    if (e->n_outputs > 8)
        printf("%-12s and %d more outputs in the report\n", "", e->n_outputs - 8);
}

void report_print_table(const Job *job)
{
    Shares shares = count_shares(job);
    char before[32], after[32];
    print_size(job->input.bytes + job->input.external_bytes, before, sizeof before);
    print_size(job->product.facts.bytes + job->product.facts.external_bytes, after, sizeof after);
    printf("%-12s %13s %13s\n", "", "fp32", "int8");
    printf("%-12s %13s %13s   ratio %.3f\n", "size", before, after, size_ratio(job));
    printf("%-12s %13d %13d\n", "nodes", job->input.nodes, job->product.facts.nodes);
    print_accuracy(job);
    printf("%-12s %d of %d weighted ops, %.1f %% of the multiply-accumulates\n", "in integers",
           shares.integer_weighted, shares.weighted,
           shares.macs > 0 ? 100.0 * (double)shares.integer_macs / (double)shares.macs : 0.0);
    if (job->evaluated_on_calibration)
        printf("measured on the calibration data; --eval DIR --labels FILE measures on data of your own\n");
    for (uint32_t id = 0, shown = 0; id < job->product.decisions->n_nodes && shown < 8; id++) {
        const NodeDecision *decision = &job->product.decisions->nodes[id];
        if (decision->op_type == NULL || !decision->weighted || decision->fate == FATE_INTEGER)
            continue;
        printf("left float   %s '%s': %s\n", decision->op_type, decision->node, decision->reason);
        shown++;
    }
    if (!job->options->dry_run)
        printf("written      %s\n             %s\n", job->output_path, job->report_path);
}
