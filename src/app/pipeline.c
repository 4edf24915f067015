/* pipeline.c - the main job, straight down one screen:
 *
 *     load ─ run once ─ simplify ─ run again ─ calibrate ─ decide and rewrite
 *          ─ save beside the target ─ load that file again ─ measure ─ commit
 *
 * Nothing is visible under its final name before the last step; a run that fails or is interrupted leaves what was there.
 */
#include "src/app/app.h"
#include "src/app/fallback.h"
#include "src/app/job.h"
#include "src/ops/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Pipeline {
    Job job;
    Arena *arena;
    Team *team;
    Model *model; /* float: as loaded, then simplified, then with equalized channels */
    Model *plain; /* what an equalized model was made of, or NULL */
    Search search;
    const char **kept_float; /* by node id: why it must stay float, or NULL */
    Preprocess preprocess;
    Dataset *calibration, *evaluation; /* evaluation may be the same object */
    Labels *labels;
    KeptOutputs *kept; /* of the float model on the calibration data, or NULL */
    AtomicFile *model_file, *report_file, *html_file, *depfile;
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
    const char *outputs[] = {p->job.output_path, p->job.report_path, options->html, options->depfile, options->ranges_out};
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
    if (options->html != NULL)
        TRY(atomic_open(options->html, &p->html_file));
    return options->depfile == NULL ? NULL : atomic_open(options->depfile, &p->depfile);
}

static Status load_model(Pipeline *p)
{
    const char *doubt = NULL;
    TRY(model_open(p->job.options->model, &p->model, &doubt));
    if (doubt != NULL)
        warn(p, doubt);
    const int newest_opset = 25;
    if (model_opset(p->model, "") > newest_opset)
        warn(p, arena_printf(p->arena, "the model imports opset %d of ai.onnx, newer than the newest known here (%d)",
                             model_opset(p->model, ""), newest_opset));
    TRY(facts_read(p->model, p->job.options->model, &p->job.input));
    return intake_restore(p->job.options, p->model, p->job.records, &p->job.restored.form);
}

/* An output must not take the place of a file the job reads. */
static Status check_outputs_against_data(const Pipeline *p)
{
    const char *outputs[] = {p->job.output_path, p->job.report_path, p->job.options->html, p->job.options->depfile};
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

/* How near the float model is to the quantized one that it was made of. */
static Status compare_restored(Pipeline *p)
{
    const Options *options = p->job.options;
    const double least_db = 10.0;
    const int64_t most = 16;
    Restored *restored = &p->job.restored;
    Plan *plans[2] = {NULL, NULL};
    Model *given = NULL;
    Dataset *few = NULL;
    Evaluation evaluation = {0};
    if (restored->form == NULL)
        return NULL;
    const char *said_before;
    Status status = model_open(options->model, &given, &said_before);
    if (status == NULL)
        status = setup_plan(options, given, &plans[0]);
    if (status == NULL)
        status = setup_plan(options, p->model, &plans[1]);
    if (status == NULL)
        status = setup_dataset(options, plans[1], &p->preprocess, options->calib,
                               options->samples > 0 ? MIN(options->samples, most) : most, &few);
    if (status == NULL)
        status = name_model(p, evaluate(plans[0], plans[1], few, &(EvaluateOptions){0}, p->team, &evaluation));
    if (status == NULL) {
        char room[32];
        restored->sqnr_db = INFINITY;
        for (int i = 0; i < evaluation.n_outputs; i++)
            restored->sqnr_db = fmin(restored->sqnr_db, evaluation.outputs[i].sqnr_db);
        console_note(options, "the model is %s; turned back into float it answers as before (SQNR: %s)", restored->form,
                     sqnr_text(restored->sqnr_db, room));
        if (!(restored->sqnr_db >= least_db))
            warn(p, arena_printf(p->arena, "turned back into float the model answers otherwise than the model given (SQNR %.1f dB)",
                                 restored->sqnr_db));
        evaluation_release(&evaluation);
    }
    dataset_free(few);
    plan_free(plans[0]);
    plan_free(plans[1]);
    model_free(given);
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

/* What the simplified model answers stands for what the file would, where it does so closely and the data is the same. */
static KeptOutputs *new_kept(const Pipeline *p, const Plan *plan)
{
    const size_t most = (size_t)64 << 20; /* bytes */
    if (p->evaluation != NULL || p->plain != NULL || !(p->job.proof.max_relative_diff <= PROOF_TOLERANCE))
        return NULL;
    return kept_outputs_new(dataset_count(p->calibration), plan_n_outputs(plan), most);
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
        p->kept = new_kept(p, plan);
        TRY(calibration_run(options, plan, p->calibration, p->team, p->kept, &p->job.seconds_calibration, &calibration->sights));
        calibration->ranges = sights_choose(&calibration->sights, method, p->team);
        p->job.ranges_source = calibration_source(options, p->job.input.sha256, p->calibration, p->arena);
    }
    const char *odd[] = {calibration_skipped(&calibration->sights, p->arena),
                         calibration_not_finite(&calibration->sights, p->arena)};
    for (size_t i = 0; i < COUNT_OF(odd); i++)
        if (odd[i] != NULL)
            warn(p, odd[i]);
    return NULL;
}

static Status write_ranges(const Pipeline *p)
{
    const char *path = p->job.options->ranges_out;
    if (path == NULL || p->job.options->dry_run)
        return NULL;
    return ranges_write(path, &p->job.ranges_source, p->job.calibration.ranges, &p->job.calibration.sights);
}

/* What can be tried: ranges from a table, or written to one, are of the graph as it is. */
static Search new_search(Pipeline *p)
{
    const Options *options = p->job.options;
    return (Search){.options = options,
                    .model = p->model,
                    .target = setup_target(options),
                    .counts = p->job.proof.counts,
                    .macs = p->job.proof.macs,
                    .team = p->team,
                    .arena = p->arena};
}

static bool keeps_graph(const Options *options)
{
    return options->ranges_in != NULL || options->ranges_out != NULL;
}

/* The better of the model as it is and with equalized channels, by ranges of a few samples. */
static Status equalize(Pipeline *p, const Plan *plan)
{
    const Options *options = p->job.options;
    Dataset *few = NULL;
    Model *equalized = NULL;
    int64_t wanted = 16;
    if (options->samples > 0)
        wanted = MIN(wanted, options->samples);
    TRY(setup_dataset(options, plan, &p->preprocess, options->calib, wanted, &few));
    Status status = recipe_equalize(&p->search, p->calibration, few, &equalized, &p->job.equalized);
    dataset_free(few);
    if (equalized != NULL) {
        p->plain = p->model;
        p->model = equalized;
    }
    return status;
}

/* A table of ranges without data leaves nothing to judge by. */
static bool may_search(const Options *options)
{
    bool fast = options->effort != NULL && strcmp(options->effort, "fast") == 0;
    return !fast && !(options->ranges_in != NULL && strcmp(options->calib == NULL ? "" : options->calib, DATASET_RANDOM) == 0);
}

static Status begin_judge(Pipeline *p)
{
    Search *search = &p->search;
    search->view = view_of(p->model, p->arena);
    Model *viewed = model_clone(p->model);
    Plan *plan = NULL;
    view_apply(&search->view, viewed, NULL);
    Status status = setup_plan(p->job.options, viewed, &plan);
    if (status == NULL)
        status = judge_new(plan, p->calibration, recipe_judges(search->macs), &search->judge);
    plan_free(plan);
    model_free(viewed);
    return status;
}

static Status begin_search(Pipeline *p, Plan **plan)
{
    if (may_search(p->job.options))
        TRY(begin_judge(p));
    TRY(recipe_means(&p->search, p->calibration));
    if (keeps_graph(p->job.options))
        return NULL;
    TRY(equalize(p, *plan));
    if (p->plain == NULL)
        return NULL;
    plan_free(*plan);
    *plan = NULL;
    return setup_plan(p->job.options, p->model, plan);
}

static Status end_search(Pipeline *p)
{
    RangeTable **ranges = &p->job.calibration.ranges;
    TRY(recipe_ranges(&p->search, &p->job.calibration.sights, p->kept_float, ranges));
    if (!recipe_measures_nodes(&p->search))
        return NULL;
    return search_sensitivity(&p->search, *ranges, p->kept_float, &p->job.sensitivity, &p->job.n_sensitivity);
}

static Status calibrate(Pipeline *p)
{
    Plan *plan = NULL;
    TRY(setup_plan(p->job.options, p->model, &plan));
    Status status = end_proof(p, plan);
    p->search = new_search(p);
    p->search.integer_gelu = recipe_wants_gelu(&p->search);
    p->job.search = &p->search;
    bool searching = may_search(p->job.options);
    if (status == NULL)
        status = begin_search(p, &plan);
    if (status == NULL)
        status = name_model(p, collect(p, plan));
    plan_free(plan);
    if (status == NULL && searching)
        status = end_search(p);
    if (status == NULL)
        status = recipe_gelu(&p->search, p->job.calibration.ranges, p->kept_float);
    if (status == NULL)
        status = recipe_bias(&p->search, p->job.calibration.ranges, p->kept_float);
    if (status == NULL)
        status = recipe_rounding(&p->search, p->calibration, p->job.calibration.ranges, p->kept_float);
    return status == NULL ? write_ranges(p) : status;
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
static Status save_external(Pipeline *p)
{
    SaveResult result;
    ModelFacts *facts = &p->job.product.facts;
    TRY(interrupt_check());
    atomic_abandon(p->model_file);
    p->model_file = NULL;
    TRY(onnx_save(p->job.product.quantized, p->job.output_path, EXTERNAL_ALWAYS, &result));
    memcpy(facts->sha256, result.sha256, sizeof result.sha256);
    facts->bytes = result.model_bytes;
    facts->external_bytes = result.external_bytes;
    return NULL;
}

/* To the temporary file, or, with external data, to both files. */
static Status save(Pipeline *p)
{
    if (p->job.product.bytes == NULL)
        return p->job.options->dry_run ? NULL : save_external(p);
    return p->model_file == NULL ? NULL : atomic_write(p->model_file, p->job.product.bytes, p->job.product.n_bytes);
}

static Status measure_models(Pipeline *p, const Model *fp32, const Model *int8, Evaluation *ret)
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
    const EvaluateOptions given = {p->labels, links, n_links, p->job.fp32_kept ? p->kept : NULL, &progress};
    if (status == NULL)
        status = evaluate(plans[0], plans[1], data, &given, p->team, ret);
    if (status == NULL)
        progress_end(&bar);
    p->job.seconds_evaluation += clock_seconds() - bar.started;
    plan_free(plans[0]);
    plan_free(plans[1]);
    return status;
}

/* The model given, or what it was turned back into, once more. */
static Status open_again(const Pipeline *p, PassRecord *records, Model **ret)
{
    const char *said_before = NULL;
    TRY(model_open(p->job.options->model, ret, &said_before));
    return intake_restore(p->job.options, *ret, records, &said_before);
}

/* The float side of the measurement: the user's file as it is, or what it was turned back into, not our simplified form of it,
 * unless the outputs of that were kept. ret_original: what the caller frees, NULL when it is not needed. */
static Status load_original(Pipeline *p, Model **ret_original)
{
    *ret_original = NULL;
    p->job.fp32_kept = kept_outputs_whole(p->kept);
    return p->job.fp32_kept ? NULL : open_again(p, arena_array(p->arena, pass_count(), sizeof(PassRecord)), ret_original);
}

/* Forms that the target is quick with in integers are of no use to a model that stays float: it is simplified alone, and the
 * report tells of that. */
static Status leave_target_forms(Pipeline *p, Product *product)
{
    Model *simple = NULL;
    PassRecord *records = arena_array(p->arena, pass_count(), sizeof records[0]);
    Status status = open_again(p, records, &simple);
    if (status == NULL)
        status = setup_simplify(p->job.options, simple, NULL, records);
    if (status != NULL) {
        model_free(simple);
        return status;
    }
    p->job.records = records;
    return product_replace(product, simple, p->job.output_path, needs_external_data(p));
}

/* One quantized model, measured. */
static Status make_product(void *context, const char *const *kept_float, Product *ret)
{
    Pipeline *p = context;
    Product product;
    TRY(product_build(&p->search, p->job.calibration.ranges, kept_float, p->job.output_path, needs_external_data(p), &product));
    Model *original = NULL;
    Status status = product_has_integers(&product) ? NULL : leave_target_forms(p, &product);
    if (status == NULL)
        status = load_original(p, &original);
    if (status == NULL)
        status = measure_models(p, original == NULL ? p->model : original, product_model(&product), &product.evaluation);
    model_free(original);
    if (status == NULL)
        *ret = product;
    else
        product_release(&product);
    return status;
}

/* Leaves nodes float until the figures asked for are reached; the best model found stays in p->job.product. */
static Status reach_targets(Pipeline *p)
{
    const Options *options = p->job.options;
    Product *best = &p->job.product;
    if (!targets_given(options) || targets_distance(options, &best->evaluation) == 0.0 || p->search.judge == NULL)
        return NULL;
    if (p->job.sensitivity == NULL)
        TRY(search_sensitivity(&p->search, p->job.calibration.ranges, p->kept_float, &p->job.sensitivity, &p->job.n_sensitivity));
    Sensitivity *rows =
        arena_copy(p->arena, p->job.sensitivity, p->job.n_sensitivity * sizeof rows[0]); /* sorted in another order */
    Fallback fallback = {.search = &p->search, .kept_float = p->kept_float, .make = make_product, .context = p, .best = best};
    TRY(fallback_reach(&fallback, rows, p->job.n_sensitivity));
    p->job.fallback_rounds = fallback.rounds;
    return NULL;
}

static void check_product(Pipeline *p)
{
    const Options *options = p->job.options;
    const char *shortfall = targets_shortfall(options, &p->job.product.evaluation, p->arena);
    if (shortfall != NULL) {
        warn(p, p->job.fallback_rounds > 0
                    ? arena_printf(p->arena,
                                   "%s, and out of reach with half of the multiply-accumulates in integers; the best model of %d "
                                   "is written", shortfall, p->job.fallback_rounds + 1)
                    : shortfall);
        *p->exit_code = CODE_SHORT;
    }
    if (!product_has_integers(&p->job.product))
        warn(p, "nothing in this model can run in integers on the target, or would be faster there; the simplified float model is "
                "written (--placement all quantizes what can be)");
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

static Status write_report(Pipeline *p)
{
    char *json = report_json(&p->job), *html = p->html_file == NULL ? NULL : report_html(json);
    Status status = atomic_write(p->report_file, json, strlen(json));
    if (status == NULL)
        status = atomic_write(p->report_file, "\n", 1);
    if (status == NULL && html != NULL)
        status = atomic_write(p->html_file, html, strlen(html));
    free(json);
    free(html);
    return status;
}

static Status commit(Pipeline *p)
{
    if (p->report_file == NULL)
        return NULL;
    TRY(write_report(p));
    TRY(write_depfile(p));
    TRY(interrupt_check());
    AtomicFile *files[] = {p->model_file, p->report_file, p->html_file, p->depfile};
    for (size_t i = 0; i < COUNT_OF(files); i++) /* a disk that is full is found out before the first one is renamed */
        if (files[i] != NULL)
            TRY(atomic_settle(files[i]));
    p->model_file = p->report_file = p->html_file = p->depfile = NULL;
    Status status = NULL;
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
    TRY(load_model(p));
    TRY(choose_outputs(p));
    TRY(begin_proof(p));
    TRY(compare_restored(p));
    TRY(setup_simplify(p->job.options, p->model, setup_target(p->job.options), p->job.records));
    p->kept_float = xcalloc(p->model->n_node_ids, sizeof p->kept_float[0]);
    TRY(select_nodes(p->job.options, p->model, p->kept_float));
    TRY(calibrate(p));
    TRY(make_product(p, p->kept_float, &p->job.product));
    TRY(reach_targets(p));
    TRY(save(p));
    check_product(p);
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
    atomic_abandon(p->html_file);
    atomic_abandon(p->depfile);
    product_release(&p->job.product);
    collect_release(&p->job.calibration);
    facts_release(&p->job.input);
    dataset_free(p->evaluation);
    dataset_free(p->calibration);
    labels_free(p->labels);
    kept_outputs_free(p->kept);
    model_free(p->model);
    model_free(p->plain);
    judge_free(p->search.judge);
    channels_free(p->search.means);
    moment_table_free(p->search.moments);
    free(p->search.trials);
    free(p->kept_float);
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
