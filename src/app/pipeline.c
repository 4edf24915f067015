/* pipeline.c - the main job, straight down one screen:
 *
 *     load ─ run once ─ simplify ─ run again ─ calibrate ─ decide and rewrite
 *          ─ save beside the target ─ load that file again ─ measure ─ commit
 *
 * Nothing is visible under its final name before the last step; a run that fails or is interrupted leaves what was there.
 */
#include "src/app/app.h"
#include "src/ops/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Pipeline {
    Job job;
    Arena *arena;
    Team *team;
    Model *model; /* the float model, then the quantized one */
    Preprocess preprocess;
    Dataset *calibration, *evaluation; /* evaluation may be the same object */
    Labels *labels;
    bool external;         /* weights go to a file of their own */
    AtomicFile *model_file, *report_file, *depfile;
    int *exit_code;
} Pipeline;

static void warn(Pipeline *p, const char *message)
{
    p->job.warnings =
        array_reserve(p->job.warnings, &p->job.cap_warnings, p->job.n_warnings + 1, sizeof p->job.warnings[0]);
    p->job.warnings[p->job.n_warnings++] = arena_strdup(p->arena, message);
    console_warn("%s", message);
}

/* "dir/net.onnx" -> "net.int8.onnx" in the current folder. */
static const char *default_name(Pipeline *p, const char *extension)
{
    const char *base = path_base(p->job.options->model);
    size_t length = strlen(base);
    if (length > 5 && strcmp(base + length - 5, ".onnx") == 0)
        length -= 5;
    return arena_printf(p->arena, "%.*s.int8.%s", (int)length, base, extension);
}

static Status choose_outputs(Pipeline *p)
{
    const Options *options = p->job.options;
    p->job.output_path = options->output != NULL ? options->output : default_name(p, "onnx");
    p->job.report_path = options->report;
    if (p->job.report_path == NULL) {
        const char *output = p->job.output_path;
        size_t length = strlen(output);
        bool onnx = length > 5 && strcmp(output + length - 5, ".onnx") == 0;
        p->job.report_path = arena_printf(p->arena, "%.*s.json", (int)(onnx ? length - 5 : length), output);
    }
    const char *outputs[] = {p->job.output_path, p->job.report_path, options->depfile, options->ranges_out};
    for (size_t i = 0; i < COUNT_OF(outputs); i++)
        for (size_t k = 0; outputs[i] != NULL && k <= i; k++) {
            const char *other = k == i ? options->model : outputs[k];
            if (other != NULL && path_same_target(outputs[i], other))
                return status_new(
                    CODE_USAGE, "'%s' would be overwritten by another file of this job; name different files", other);
        }
    for (size_t i = 0; i < COUNT_OF(outputs); i++)
        if (outputs[i] != NULL && onnx_reads_from(p->model, outputs[i]))
            return status_new(CODE_USAGE, "'%s' holds weights of the model and would be overwritten; name another file",
                              outputs[i]);
    if (options->dry_run)
        return NULL;
    /* Opened now, so that a folder that cannot be written is found out before the work and not after it. */
    TRY(atomic_open(p->job.output_path, &p->model_file));
    TRY(atomic_open(p->job.report_path, &p->report_file));
    return options->depfile == NULL ? NULL : atomic_open(options->depfile, &p->depfile);
}

static Status load_model(Pipeline *p)
{
    TRY(onnx_load(p->job.options->model, &p->model));
    TRY(status_prefix(ops_infer(p->model), "%s: shape inference", p->job.options->model));
    const int newest_opset = 25;
    if (model_opset(p->model, "") > newest_opset)
        warn(p, arena_printf(p->arena, "the model imports opset %d of ai.onnx, newer than the newest known here (%d)",
                             model_opset(p->model, ""), newest_opset));
    return facts_read(p->model, p->job.options->model, &p->job.input);
}

/* The first node that only a quantized model has, in inner graphs too. */
static void find_quantized(void *context, Graph *graph)
{
    static const char *const ops[] = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger",
                                      "ConvInteger",    "QGemm",            "QAttention",            "MatMulNBits"};
    const Node **found = context;
    for (const Node *node = graph->first; node != NULL && *found == NULL; node = node->next) {
        bool quantized = strncmp(node->op_type, "QLinear", 7) == 0;
        for (size_t i = 0; i < COUNT_OF(ops) && !quantized; i++)
            quantized = strcmp(node->op_type, ops[i]) == 0;
        if (quantized)
            *found = node;
    }
}

static Status check_quantizable(Pipeline *p)
{
    const Node *found = NULL;
    graph_each(p->model->graph, find_quantized, &found);
    if (found == NULL)
        return NULL;
    return status_new(CODE_MODEL, "%s: already quantized (%s); give the float model it was made from",
                      p->job.options->model, node_describe(found));
}

/* An output must not take the place of a file the job reads. */
static Status check_outputs_against_data(const Pipeline *p)
{
    const char *outputs[] = {p->job.output_path, p->job.report_path, p->job.options->depfile};
    for (int64_t i = 0; i < dataset_count(p->calibration); i++)
        for (size_t k = 0; k < COUNT_OF(outputs); k++)
            if (outputs[k] != NULL && path_same_file(outputs[k], dataset_file(p->calibration, i)))
                return status_new(CODE_USAGE, "output '%s' is a file of the calibration data; name another", outputs[k]);
    return NULL;
}

static Status open_data(Pipeline *p, const Plan *plan)
{
    const Options *options = p->job.options;
    if (options->labels != NULL)
        TRY(labels_read(options->labels, &p->labels));
    TRY(setup_dataset(options, plan, &p->preprocess, options->calib, options->samples, &p->calibration));
    if (options->eval != NULL)
        TRY(setup_dataset(options, plan, &p->preprocess, options->eval, 0, &p->evaluation));
    TRY(check_outputs_against_data(p));
    p->job.data_reader = dataset_reader(p->calibration);
    p->job.data_description = dataset_describe(p->calibration);
    if (dataset_warning(p->calibration) != NULL)
        warn(p, dataset_warning(p->calibration));
    console_note(options, "calibration data: %lld samples (%s), %s [%s]", (long long)dataset_count(p->calibration),
                 p->job.data_reader, p->job.data_description, p->job.preprocess_source);
    return NULL;
}

/* What goes wrong in a node while the model runs names the model too; data and Ctrl-C are no fault of it. */
static Status name_model(const Pipeline *p, Status status)
{
    Code code = status_code(status);
    bool own = code == CODE_MODEL || code == CODE_UNSUPPORTED || code == CODE_MEMORY;
    return own ? status_prefix(status, "%s: run", p->job.options->model) : status;
}

/* The file as it is answers one sample, before the graph is touched. */
static Status begin_proof(Pipeline *p)
{
    TRY(setup_preprocess(p->job.options, p->model, p->arena, &p->preprocess, &p->job.preprocess_source));
    Plan *plan = NULL;
    TRY(setup_plan(p->job.options, p->model, &plan));
    Status status = open_data(p, plan);
    if (status == NULL)
        status = name_model(p, proof_begin(plan, p->calibration, &p->job.proof));
    if (status == NULL)
        p->job.input.macs = p->job.proof.macs;
    plan_free(plan);
    return status;
}

/* Float sums in another order differ in the last bits; more than that means a rewrite was wrong, and the user must know. */
static Status end_proof(Pipeline *p, const Plan *plan)
{
    const double tolerance = 1e-4;
    TRY(name_model(p, proof_end(plan, &p->job.proof)));
    if (!(p->job.proof.max_relative_diff <= tolerance))
        warn(p, arena_printf(p->arena,
                             "simplification changed an output by %.2g of its greatest element; try --no-simplify",
                             p->job.proof.max_relative_diff));
    return NULL;
}

/* What was seen and the ranges made of it; or those of a table. */
static Status collect(Pipeline *p, const Plan *plan)
{
    const Options *options = p->job.options;
    CollectResult *calibration = &p->job.calibration;
    RangeRule method;
    TRY(setup_method(options, &method));
    if (options->ranges_in != NULL) {
        TRY(calibration_read(options, p->model, p->job.input.sha256, p->arena, &p->job.ranges_source, calibration));
    } else {
        TRY(calibration_run(options, plan, p->calibration, p->team, &p->job.seconds_calibration, &calibration->sights));
        calibration->ranges = sights_choose(&calibration->sights, method, p->team);
        p->job.ranges_source = calibration_source(options, p->job.input.sha256, p->calibration, p->arena);
    }
    const char *odd[] = {calibration_skipped(&calibration->sights, p->arena),
                         calibration_not_finite(&calibration->sights, p->arena)};
    for (size_t i = 0; i < COUNT_OF(odd); i++)
        if (odd[i] != NULL)
            warn(p, odd[i]);
    if (options->ranges_out == NULL || options->dry_run)
        return NULL;
    return ranges_write(options->ranges_out, &p->job.ranges_source, calibration->ranges, &calibration->sights);
}

static Status calibrate(Pipeline *p)
{
    Plan *plan = NULL;
    TRY(setup_plan(p->job.options, p->model, &plan));
    Status status = end_proof(p, plan);
    if (status == NULL)
        status = name_model(p, collect(p, plan));
    plan_free(plan);
    return status;
}

static Status quantize(Pipeline *p)
{
    PassOptions passes;
    TRY(setup_passes(p->job.options, p->arena, &passes));
    p->job.decisions = quant_plan_new(p->model);
    p->job.decisions->counts = p->job.proof.counts;
    Status status = passes_run(p->model, PASS_QUANTIZE, &passes, p->job.calibration.ranges,
                               setup_target(p->job.options), p->job.decisions, p->job.records);
    TRY(status_prefix(status, "%s: quantize", p->job.options->model));
    bool any = false;
    for (uint32_t id = 0; id < p->job.decisions->n_nodes; id++)
        any = any || p->job.decisions->nodes[id].fate == FATE_INTEGER;
    if (!any)
        warn(p, "nothing in this model can run in integers on the target; the simplified float model is written");
    return NULL;
}

/* Whether the tensors pass what one protobuf file can hold, with room for the rest of the model. */
static bool needs_external_data(const Pipeline *p)
{
    const size_t limit = (size_t)2000 << 20;
    size_t bytes = 0;
    for (int i = 0; i < p->model->graph->n_initializers; i++)
        if (!size_add(bytes, p->model->graph->initializers[i]->constant->bytes, &bytes))
            return true;
    ExternalData choice = setup_external(p->job.options);
    return choice == EXTERNAL_ALWAYS || (choice == EXTERNAL_AUTO && bytes > limit);
}

/* Two files whose names refer to each other cannot wait under other names: they are written last, the data first, and what
 * is measured is the model as it stands in memory. */
static Status save_external(Pipeline *p, const Model *model)
{
    SaveResult result;
    TRY(interrupt_check());
    atomic_abandon(p->model_file);
    p->model_file = NULL;
    TRY(onnx_save(model, p->job.output_path, EXTERNAL_ALWAYS, &result));
    memcpy(p->job.output.sha256, result.sha256, sizeof result.sha256);
    p->job.output.bytes = result.model_bytes;
    p->job.output.external_bytes = result.external_bytes;
    return NULL;
}

/* The bytes of the model go to the temporary file; what is measured from here on is those bytes, loaded again. */
static Status save_single(Pipeline *p, Model **ret_written)
{
    unsigned char *bytes = NULL;
    size_t n = 0;
    TRY(status_prefix(onnx_save_memory(p->model, &bytes, &n), "%s: save", p->job.output_path));
    model_free(p->model);
    p->model = NULL;
    Status status = p->model_file == NULL ? NULL : atomic_write(p->model_file, bytes, n);
    if (status == NULL)
        status = onnx_load_memory(bytes, n, p->job.output_path, ret_written);
    if (status == NULL) {
        Sha256 sha;
        sha256_init(&sha);
        sha256_add(&sha, bytes, n);
        facts_count(*ret_written, &p->job.output);
        sha256_hex(&sha, p->job.output.sha256);
        p->job.output.bytes = n;
    }
    free(bytes);
    return status;
}

static Status save_model(Pipeline *p, Model **ret_written)
{
    p->external = !p->job.options->dry_run && needs_external_data(p);
    if (p->external) {
        facts_count(p->model, &p->job.output);
        *ret_written = p->model;
        p->model = NULL;
    } else {
        TRY(save_single(p, ret_written));
    }
    p->job.output.macs = 0; /* with the sizes of the sample, as those of the input */
    for (uint32_t id = 0; id < p->job.decisions->n_nodes; id++)
        p->job.output.macs += p->job.decisions->nodes[id].macs;
    return NULL;
}

static Status measure_models(Pipeline *p, const Model *fp32, const Model *int8)
{
    Plan *plans[2] = {NULL, NULL};
    Dataset *data = p->evaluation != NULL ? p->evaluation : p->calibration;
    p->job.evaluated_on_calibration = p->evaluation == NULL;
    p->job.evaluated_on = p->evaluation == NULL ? p->job.options->calib : p->job.options->eval;
    StateLink links[TEXTS_MAX];
    int n_links = 0;
    ProgressBar bar;
    progress_begin(&bar, "measuring", p->job.options);
    Progress progress = progress_hook(&bar);
    Status status = setup_plan(p->job.options, fp32, &plans[0]);
    if (status == NULL)
        status = setup_plan(p->job.options, int8, &plans[1]);
    if (status == NULL)
        status = setup_states(p->job.options, plans[0], links, &n_links);
    if (status == NULL)
        status = evaluate(plans[0], plans[1], data, p->labels, links, n_links, p->team, &progress, &p->job.evaluation);
    if (status == NULL)
        progress_end(&bar);
    p->job.seconds_evaluation = clock_seconds() - bar.started;
    plan_free(plans[0]);
    plan_free(plans[1]);
    return status;
}

/* The float side is the user's file as it is, not our simplified form of it. */
static Status measure(Pipeline *p, const Model *written)
{
    Model *original = NULL;
    TRY(onnx_load(p->job.options->model, &original));
    Status status = status_prefix(ops_infer(original), "%s: shape inference", p->job.options->model);
    if (status == NULL)
        status = measure_models(p, original, written);
    model_free(original);
    return status;
}

static void check_target_drop(Pipeline *p)
{
    const Evaluation *e = &p->job.evaluation;
    double allowed = p->job.options->max_drop;
    double drop = e->labelled > 0 ? e->top1[0] - e->top1[1] : 100.0 - e->agreement;
    if (isnan(allowed))
        return;
    if (isnan(drop)) {
        warn(p, "--max-drop has nothing to judge by: the output is no class scores and there are no labels");
        *p->exit_code = CODE_SHORT;
    } else if (drop > allowed) {
        warn(p, arena_printf(p->arena, "%s dropped by %.2f points, more than --max-drop %g",
                             e->labelled > 0 ? "top-1" : "agreement", drop, allowed));
        *p->exit_code = CODE_SHORT;
    }
}

static Status write_depfile(Pipeline *p)
{
    if (p->depfile == NULL)
        return NULL;
    Text text = {0};
    text_addf(&text, "%s: %s", p->job.output_path, p->job.options->model);
    const char *last = NULL; /* windows of one recording follow each other */
    for (int64_t i = 0; i < dataset_count(p->calibration); i++) {
        const char *path = dataset_path(p->calibration, i);
        if (path != NULL && path != last)
            text_addf(&text, " \\\n %s", path);
        last = path;
    }
    if (p->job.options->ranges_in != NULL)
        text_addf(&text, " \\\n %s", p->job.options->ranges_in);
    text_add(&text, "\n");
    Status status = atomic_write(p->depfile, text.data, text.length);
    text_free(&text);
    return status;
}

static Status commit(Pipeline *p)
{
    if (p->report_file == NULL)
        return NULL;
    char *json = report_json(&p->job);
    Status status = atomic_write(p->report_file, json, strlen(json));
    free(json);
    TRY(status);
    TRY(atomic_write(p->report_file, "\n", 1));
    TRY(write_depfile(p));
    TRY(interrupt_check());
    AtomicFile *files[] = {p->model_file, p->report_file, p->depfile};
    for (size_t i = 0; i < COUNT_OF(files); i++) /* a disk that is full is found out before the first one is renamed */
        if (files[i] != NULL)
            TRY(atomic_settle(files[i]));
    p->model_file = p->report_file = p->depfile = NULL;
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        if (files[i] != NULL && status == NULL)
            status = atomic_commit(files[i]);
        else
            atomic_abandon(files[i]);
    }
    return status;
}

static Status run(Pipeline *p)
{
    double started = clock_seconds();
    Model *written = NULL;
    TRY(load_model(p));
    TRY(check_quantizable(p));
    TRY(choose_outputs(p));
    TRY(begin_proof(p));
    TRY(setup_simplify(p->job.options, p->model, setup_target(p->job.options), p->job.records));
    TRY(calibrate(p));
    TRY(quantize(p));
    Status status = save_model(p, &written);
    if (status == NULL)
        status = measure(p, written);
    if (status == NULL && p->external)
        status = save_external(p, written);
    model_free(written);
    TRY(status);
    check_target_drop(p);
    p->job.seconds_total = clock_seconds() - started;
    TRY(commit(p));
    report_print_table(&p->job);
    return NULL;
}

static void release(Pipeline *p)
{
    proof_release(&p->job.proof);
    atomic_abandon(p->model_file);
    atomic_abandon(p->report_file);
    atomic_abandon(p->depfile);
    if (p->job.evaluation.arena != NULL)
        evaluation_release(&p->job.evaluation);
    collect_release(&p->job.calibration);
    quant_plan_free(p->job.decisions);
    facts_release(&p->job.input);
    facts_release(&p->job.output);
    dataset_free(p->evaluation);
    dataset_free(p->calibration);
    labels_free(p->labels);
    model_free(p->model);
    team_free(p->team);
    free(p->job.warnings);
    arena_free(p->arena);
}

Status command_quantize(const Options *options, int *ret_exit)
{
    if (options->list_passes || options->list_presets) {
        list_tables(options);
        return NULL;
    }
    Options with_data = *options;
    if (options->calib == NULL && options->inputs.n == 0 && options->ranges_in != NULL) /* to prove and measure with */
        with_data.calib = options->eval != NULL ? options->eval : DATASET_RANDOM;
    options = &with_data;
    if (options->calib == NULL && options->inputs.n == 0)
        return status_new(CODE_USAGE, "no calibration data; give a folder of images, recordings, .npy, .npz or .pb files "
                                      "with --calib DIR, or a range table with --ranges-in FILE");
    Pipeline pipeline = {.arena = arena_new(), .exit_code = ret_exit};
    pipeline.job.options = options;
    pipeline.job.records = arena_array(pipeline.arena, pass_count(), sizeof(PassRecord));
    pipeline.team = team_new((int)MIN(options->threads, 4096));
    Status status = run(&pipeline);
    release(&pipeline);
    return status;
}
