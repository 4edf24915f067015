/* command_run.c - `quantize run MODEL --input PATH [-o DIR] [--save-inputs DIR] [--top K]`: what the model answers.
 *
 * With --output every output of every sample is written as DIR/SAMPLE.OUTPUT.npy; else a line a sample: the greatest K
 * elements of the first output. --save-inputs writes what the model was fed, after preprocessing, as DIR/SAMPLE.INPUT.npy.
 * SAMPLE is the file's path below PATH, with '_' for '/': files of equal name in two folders stay apart.
 */
#include "src/app/app.h"
#include "src/ops/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The part of a sample's path below the folder that was given, or below that of the list. */
static const char *sample_name(const char *folder, const char *file)
{
    if (folder == NULL)
        return path_base(file);
    size_t length = strlen(folder);
    if (strncmp(file, folder, length) == 0 && file[length] != '\0')
        return file + length + strspn(file + length, "/");
    length = (size_t)(path_base(folder) - folder); /* a list: its paths begin with its folder, or are absolute */
    return strncmp(file, folder, length) == 0 ? file + length : file;
}

static void print_top(const char *sample, const Tensor *output, int64_t k)
{
    printf("%s:", sample);
    double above = 0.0;
    int64_t last = -1;
    for (int64_t rank = 0; rank < k && rank < output->count; rank++) { /* the next one below (above, last) in order */
        int64_t best = -1;
        for (int64_t i = 0; i < output->count; i++) {
            double x = tensor_get(output, i);
            bool taken = rank > 0 && (x > above || (x == above && i <= last));
            if (!taken && (best < 0 || x > tensor_get(output, best)))
                best = i;
        }
        if (best < 0)
            break;
        above = tensor_get(output, best);
        last = best;
        printf(" %lld (%.6g)", (long long)best, above);
    }
    printf("\n");
}

static Status run_sample(const Options *options, const Plan *plan, const char *sample, Runner *runner,
                         const Tensor *inputs, Tensor *outputs)
{
    if (options->save_inputs != NULL)
        TRY(dump_tensors(options->save_inputs, sample, plan, plan_n_inputs(plan), plan_input, inputs));
    TRY(runner_run(runner, inputs, NULL, outputs));
    if (options->output != NULL)
        return dump_tensors(options->output, sample, plan, plan_n_outputs(plan), plan_output, outputs);
    print_top(sample, &outputs[0], options->top > 0 ? options->top : 5);
    return NULL;
}

static Status run_samples(const Options *options, const char *folder, const Plan *plan, const Dataset *dataset,
                          Runner *runner)
{
    Tensor *inputs = xcalloc((size_t)MAX(plan_n_inputs(plan), 1), sizeof inputs[0]);
    Tensor *outputs = xcalloc((size_t)MAX(plan_n_outputs(plan), 1), sizeof outputs[0]);
    StateLink links[TEXTS_MAX];
    int n_links = 0;
    Status status = setup_states(options, plan, links, &n_links);
    States *states = states_new(links, n_links, plan_n_inputs(plan));
    for (int64_t s = 0; s < dataset_count(dataset) && status == NULL; s++) {
        const char *file = dataset_file(dataset, s);
        status = interrupt_check();
        if (status == NULL)
            status = dataset_load(dataset, s, inputs);
        if (status_code(status) == CODE_DATA && dataset_count(dataset) > 1) {
            console_warn("skipped '%s': %s", file, status_message(status));
            status_free(status);
            status = NULL;
            continue;
        }
        if (status != NULL)
            break;
        const Tensor *fed = states_feed(states, dataset_continues(dataset, s), inputs);
        status = run_sample(options, plan, sample_name(folder, file), runner, fed, outputs);
        if (status == NULL)
            status = states_keep(states, outputs);
        for (int i = 0; i < plan_n_inputs(plan); i++)
            tensor_release(&inputs[i]);
    }
    states_free(states);
    free(inputs);
    free(outputs);
    return status;
}

static int64_t model_macs(const Model *model)
{
    int64_t macs = 0;
    for (const Node *node = model->graph->first; node != NULL; node = node->next)
        macs += MAX(op_macs(node, NULL), 0);
    return macs;
}

static Status run_model(const Options *options, const Model *model)
{
    Arena *arena = arena_new();
    /* Without a wish, a net too small to share is run by one thread: handing pieces round would cost more than it saves. */
    int64_t threads = options->threads == 0 && model_macs(model) < 100000000 ? 1 : options->threads;
    Team *team = team_new((int)MIN(threads, 4096));
    Plan *plan = NULL;
    Dataset *dataset = NULL;
    Preprocess preprocess;
    const char *source = "", *path = NULL;
    Options own = *options; /* without the path among its inputs */
    Status status = setup_plan(options, model, &plan);
    if (status == NULL)
        status = setup_input_path(plan, &own.inputs, &path);
    if (status == NULL)
        status = setup_preprocess(options, model, arena, &preprocess, &source);
    if (status == NULL)
        status = setup_dataset(&own, plan, &preprocess, path, options->samples, &dataset);
    if (status == NULL) {
        console_note(options, "data: %lld samples (%s), %s [%s]", (long long)dataset_count(dataset),
                     dataset_reader(dataset), dataset_describe(dataset), source);
        Runner *runner = runner_new(plan, team);
        status = run_samples(&own, path, plan, dataset, runner);
        runner_free(runner);
    }
    dataset_free(dataset);
    plan_free(plan);
    team_free(team);
    arena_free(arena);
    return status;
}

Status command_run(const Options *options, int *ret_exit)
{
    (void)ret_exit;
    if (options->list_presets) {
        list_tables(options);
        return NULL;
    }
    if (options->inputs.n == 0)
        return status_new(CODE_USAGE, "no input; give a file or a folder with --input PATH");
    TRY(dump_folder(options->output));
    TRY(dump_folder(options->save_inputs));
    Model *model = NULL;
    TRY(model_open(options->model, &model, NULL));
    Status status = run_model(options, model);
    model_free(model);
    return status;
}
