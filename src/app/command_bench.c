/* command_bench.c - `quantize bench MODEL`: how fast the executor runs a model here, and where the time goes.
 *
 *     load ─ simplify ─ plan ─ first run ─ warm-up ─ runs for --duration ─> median, p90, p99, samples a second, memory
 *
 * All threads work on one sample; with --parallel each runs samples of its own. Inputs are random numbers unless --input gives
 * data. The graph is simplified first, as runtimes do when they load a model.
 */
#include "src/app/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS_DEFAULT 3.0
#define TOP_DEFAULT 20
#define SAMPLES_MAX 64 /* kept in memory and run in turn */

typedef struct Bench {
    const Options *options;
    Model *model;
    Plan *plan;
    Team *team;
    BenchSamples samples;
    int64_t batch; /* of the first input's first axis */
    char shapes[256];
    Profile *profile;
    Peaks peaks;
    double load, simplify, planning; /* s */
    size_t peak_memory;
    BenchTimes times;
    AtomicFile *trace_file, *report_file; /* opened before the work: a path that cannot be written is told at once */
} Bench;

/* ---- inputs ------------------------------------------------------------------------------------------------------------ */

/* Whether the list "a=1x3,b=1x7" names it. */
static bool shape_given(const char *shapes, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = shapes; at != NULL; at = strchr(at, ',') == NULL ? NULL : strchr(at, ',') + 1)
        if (strncmp(at, name, length) == 0 && at[length] == '=')
            return true;
    return false;
}

/* --shape with the sizes that --batch gives put in for the inputs it does not name. Random data needs every size. */
static Status complete_shapes(const Options *options, const Plan *plan, bool random, Arena *arena, const char **ret)
{
    const char *all = options->shape == NULL ? "" : options->shape;
    bool unnamed = options->shape != NULL && plan_n_inputs(plan) == 1; /* any shape given is that of the only input */
    for (int i = 0; i < plan_n_inputs(plan); i++) {
        const Value *input = plan_input(plan, i);
        if (unnamed || shape_given(options->shape, input->name) || input->type.shape.rank < 1)
            continue;
        Shape shape = input->type.shape;
        if (options->batch > 0 && dim_is_known(shape.dims[0]) && shape.dims[0].size != options->batch)
            return status_new(CODE_USAGE, "input '%s' has a fixed batch of %lld, not %lld", input->name,
                              (long long)shape.dims[0].size, (long long)options->batch);
        if (!dim_is_known(shape.dims[0]))
            shape.dims[0] = dim_known(options->batch > 0 ? options->batch : 1);
        if (!shape_is_known(&shape) && random)
            return status_new(CODE_USAGE, "input '%s' has sizes that the model leaves open (%s); give them with --shape %s=...",
                              input->name, shape_text(arena, &input->type.shape), input->name);
        if (shape_is_known(&shape))
            all = arena_printf(arena, "%s%s%s=%s", all, all[0] == '\0' ? "" : ",", input->name, shape_text(arena, &shape));
    }
    *ret = all[0] == '\0' ? NULL : all;
    return NULL;
}

static Status load_samples(Bench *bench, const Dataset *dataset)
{
    int n_inputs = plan_n_inputs(bench->plan);
    int64_t n = MIN(dataset_count(dataset), SAMPLES_MAX);
    bench->samples.inputs = xcalloc((size_t)MAX(n * n_inputs, 1), sizeof(Tensor));
    while (bench->samples.n < n) {
        TRY(interrupt_check());
        TRY(dataset_load(dataset, bench->samples.n, bench->samples.inputs + bench->samples.n * n_inputs));
        bench->samples.n++;
    }
    const Tensor *first = bench->samples.inputs;
    bench->batch = n_inputs > 0 && first->rank > 0 ? first->dims[0] : 1;
    Arena *arena = arena_new();
    size_t at = 0;
    for (int i = 0; i < n_inputs && at < sizeof bench->shapes; i++) {
        int wrote = snprintf(bench->shapes + at, sizeof bench->shapes - at, "%s%s %s", i > 0 ? ", " : "",
                             plan_input(bench->plan, i)->name, tensor_shape_text(arena, &first[i]));
        at += wrote > 0 ? (size_t)wrote : 0;
    }
    arena_free(arena);
    return NULL;
}

static Status open_samples(Bench *bench, Arena *arena)
{
    Options options = *bench->options;
    const char *path, *source;
    Preprocess preprocess;
    Dataset *dataset = NULL;
    TRY(setup_input_path(bench->plan, &options.inputs, &path));
    bool random = path == NULL && options.inputs.n == 0;
    if (random)
        path = DATASET_RANDOM;
    TRY(complete_shapes(&options, bench->plan, random, arena, &options.shape));
    TRY(setup_preprocess(&options, bench->model, arena, &preprocess, &source));
    TRY(setup_dataset(&options, bench->plan, &preprocess, path, options.samples > 0 ? options.samples : 1, &dataset));
    Status status = load_samples(bench, dataset);
    dataset_free(dataset);
    return status;
}

/* ---- the run ------------------------------------------------------------------------------------------------------------ */

static Status prepare(Bench *bench)
{
    const Options *options = bench->options;
    double start = clock_seconds();
    TRY(model_open(options->model, &bench->model, NULL));
    double loaded = clock_seconds();
    if (!options->no_simplify) {
        PassRecord *records = xcalloc(pass_count(), sizeof records[0]);
        Status status = setup_simplify(options, bench->model, NULL, records);
        free(records);
        TRY(status);
    }
    double simplified = clock_seconds();
    TRY(setup_plan(options, bench->model, &bench->plan));
    bench->load = loaded - start;
    bench->simplify = simplified - loaded;
    bench->planning = clock_seconds() - simplified;
    return NULL;
}

static Status open_outputs(Bench *bench)
{
    const Options *options = bench->options;
    if (options->trace != NULL && options->report != NULL && path_same_target(options->trace, options->report))
        return status_new(CODE_USAGE, "--trace and --report name the same file '%s'", options->report);
    if (options->trace != NULL)
        TRY(atomic_open(options->trace, &bench->trace_file));
    return options->report == NULL ? NULL : atomic_open(options->report, &bench->report_file);
}

static Status measure(Bench *bench)
{
    const Options *options = bench->options;
    bool profiled = options->profile || options->trace != NULL;
    if (profiled)
        bench->profile = profile_new(bench->plan, options->parallel ? team_size(bench->team) : 1, options->trace != NULL);
    double seconds = isnan(options->duration) ? SECONDS_DEFAULT : options->duration;
    TRY(bench_run(bench->plan, &bench->samples, bench->team, options->parallel, seconds, bench->profile, &bench->times));
    bench->peak_memory = peak_memory_bytes(); /* before the arrays of the peaks */
    if (options->profile)
        TRY(bench_peaks(bench->team, options->parallel ? 1 : team_size(bench->team), &bench->peaks));
    return NULL;
}

/* ---- what is told ------------------------------------------------------------------------------------------------------ */

static double throughput(const Bench *bench)
{
    return bench->times.elapsed > 0.0 ? (double)bench->times.n * (double)bench->batch / bench->times.elapsed : 0.0;
}

static void print_times(const Bench *bench)
{
    const BenchTimes *times = &bench->times;
    int threads = team_size(bench->team);
    printf("model        %s, %d steps, %s\n", bench->options->model, plan_n_steps(bench->plan), bench->shapes);
    printf("cpu          %s, %d thread%s%s\n", cpu_name(), threads, threads == 1 ? "" : "s",
           threads == 1 ? "" : bench->options->parallel ? ", a sample each" : " on one sample");
    printf("start        load %.1f ms, simplify %.1f ms, plan %.1f ms, first run %.1f ms\n", 1e3 * bench->load,
           1e3 * bench->simplify, 1e3 * bench->planning, 1e3 * times->first);
    printf("runs         %zu in %.2f s\n", times->n, times->elapsed);
    printf("median       %.3f ms\n", 1e3 * bench_percentile(times, 0.5));
    printf("p90          %.3f ms\n", 1e3 * bench_percentile(times, 0.9));
    printf("p99          %.3f ms\n", 1e3 * bench_percentile(times, 0.99));
    printf("throughput   %.1f samples/s\n", throughput(bench));
    printf("peak memory  %.1f MB\n", (double)bench->peak_memory / 1e6);
}

static Status write_report(Bench *bench)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "model", bench->options->model);
    cJSON_AddStringToObject(root, "inputs", bench->shapes);
    cJSON_AddStringToObject(root, "cpu", cpu_name());
    cJSON_AddNumberToObject(root, "threads", team_size(bench->team));
    cJSON_AddBoolToObject(root, "parallel_samples", bench->options->parallel);
    cJSON_AddNumberToObject(root, "runs", (double)bench->times.n);
    cJSON_AddNumberToObject(root, "load_ms", 1e3 * bench->load);
    cJSON_AddNumberToObject(root, "simplify_ms", 1e3 * bench->simplify);
    cJSON_AddNumberToObject(root, "plan_ms", 1e3 * bench->planning);
    cJSON_AddNumberToObject(root, "first_run_ms", 1e3 * bench->times.first);
    cJSON_AddNumberToObject(root, "median_ms", 1e3 * bench_percentile(&bench->times, 0.5));
    cJSON_AddNumberToObject(root, "p10_ms", 1e3 * bench_percentile(&bench->times, 0.1));
    cJSON_AddNumberToObject(root, "p90_ms", 1e3 * bench_percentile(&bench->times, 0.9));
    cJSON_AddNumberToObject(root, "p99_ms", 1e3 * bench_percentile(&bench->times, 0.99));
    cJSON_AddNumberToObject(root, "samples_per_second", throughput(bench));
    cJSON_AddNumberToObject(root, "peak_memory_bytes", (double)bench->peak_memory);
    if (bench->options->profile)
        profile_to_json(bench->profile, &bench->peaks, root);
    char *text = cJSON_Print(root);
    Status status = atomic_write(bench->report_file, text == NULL ? "{}" : text, text == NULL ? 2 : strlen(text));
    free(text);
    cJSON_Delete(root);
    return status;
}

static Status finish(AtomicFile **file)
{
    AtomicFile *done = *file;
    *file = NULL;
    return done == NULL ? NULL : atomic_commit(done);
}

static Status tell(Bench *bench)
{
    const Options *options = bench->options;
    print_times(bench);
    if (options->profile)
        profile_print(bench->profile, &bench->peaks, options->top > 0 ? options->top : TOP_DEFAULT);
    if (bench->trace_file != NULL)
        TRY(profile_write_trace(bench->profile, bench->trace_file));
    if (bench->report_file != NULL)
        TRY(write_report(bench));
    TRY(finish(&bench->trace_file));
    return finish(&bench->report_file);
}

static void release(Bench *bench)
{
    for (int64_t i = 0; bench->plan != NULL && i < bench->samples.n * plan_n_inputs(bench->plan); i++)
        tensor_release(&bench->samples.inputs[i]);
    free(bench->samples.inputs);
    atomic_abandon(bench->trace_file);
    atomic_abandon(bench->report_file);
    profile_free(bench->profile);
    bench_times_release(&bench->times);
    team_free(bench->team);
    plan_free(bench->plan);
    model_free(bench->model);
}

Status command_bench(const Options *options, int *ret_exit)
{
    (void)ret_exit;
    if (options->list_presets || options->list_passes) {
        list_tables(options);
        return NULL;
    }
    if (!isnan(options->duration) && (options->duration < 0.0 || options->duration > 86400.0))
        return status_new(CODE_USAGE, "option '--duration' takes seconds from 0 to 86400");
    Bench bench = {.options = options};
    Arena *arena = arena_new();
    Status status = open_outputs(&bench);
    if (status == NULL)
        status = prepare(&bench);
    if (status == NULL)
        status = open_samples(&bench, arena);
    if (status == NULL) {
        bench.team = team_new((int)MIN(options->threads, 4096));
        status = measure(&bench);
    }
    if (status == NULL)
        status = tell(&bench);
    release(&bench);
    arena_free(arena);
    return status;
}
