/* command_run.c - `quantize run MODEL --input PATH [-o DIR] [--save-inputs DIR] [--top K]`: what the model answers.
 *
 * With --output every output of every sample is written as DIR/SAMPLE.OUTPUT.npy; else a line a sample: the greatest K
 * elements of the first output. --save-inputs writes what the model was fed, after preprocessing, as DIR/SAMPLE.INPUT.npy.
 * SAMPLE is the file's path below PATH, with '_' for '/': files of equal name in two folders stay apart.
 *
 *     many samples    each thread one of its own, decoding included
 *     few, or states  one after the other, all threads inside the model
 */
#include "src/app/app.h"
#include "src/ops/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES_TO_SHARE 8 /* of a net too small to share itself */

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

static void add_top(Text *text, const char *sample, const Tensor *output, int64_t k)
{
    text_addf(text, "%s:", sample);
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
        text_addf(text, " %lld (%.6g)", (long long)best, above);
    }
    text_add(text, "\n");
}

/* What a sample came to; told in the order of the samples. */
typedef struct Slot {
    Status status;
    bool unread; /* the sample, not the model, is at fault */
    Text line;
} Slot;

typedef struct Run {
    const Options *options;
    const char *folder;
    const Plan *plan;
    const Dataset *dataset;
    States *states;
    Runner **runners; /* by worker */
    Slot *slots;      /* of the samples from `first` on */
    int64_t first;
} Run;

static Status run_sample(const Run *run, int64_t sample, Runner *runner, const Tensor *inputs, Tensor *outputs, Text *line)
{
    const Options *options = run->options;
    const Tensor *fed = states_feed(run->states, dataset_continues(run->dataset, sample), inputs);
    const char *name = sample_name(run->folder, dataset_file(run->dataset, sample));
    if (options->save_inputs != NULL)
        TRY(dump_tensors(options->save_inputs, name, run->plan, plan_n_inputs(run->plan), plan_input, fed));
    TRY(runner_run(runner, fed, NULL, outputs));
    if (options->output != NULL)
        TRY(dump_tensors(options->output, name, run->plan, plan_n_outputs(run->plan), plan_output, outputs));
    else
        add_top(line, name, &outputs[0], options->top > 0 ? options->top : 5);
    return states_keep(run->states, outputs);
}

static void work_on(void *context, int64_t item, int worker)
{
    Run *run = context;
    Slot *slot = &run->slots[item];
    int n_inputs = plan_n_inputs(run->plan);
    Tensor *inputs = xcalloc((size_t)MAX(n_inputs, 1), sizeof inputs[0]);
    Tensor *outputs = xcalloc((size_t)MAX(plan_n_outputs(run->plan), 1), sizeof outputs[0]);
    slot->status = interrupt_check();
    if (slot->status == NULL) {
        slot->status = dataset_load(run->dataset, run->first + item, inputs);
        slot->unread = status_code(slot->status) == CODE_DATA;
    }
    if (slot->status == NULL) {
        if (run->runners[worker] == NULL)
            run->runners[worker] = runner_new(run->plan, NULL);
        slot->status = run_sample(run, run->first + item, run->runners[worker], inputs, outputs, &slot->line);
        for (int i = 0; i < n_inputs; i++)
            tensor_release(&inputs[i]);
    }
    free(inputs);
    free(outputs);
}

/* Prints what n slots came to and empties them; the first failure ends the run. */
static Status tell(const Run *run, int64_t n)
{
    Status status = NULL;
    for (int64_t i = 0; i < n; i++) {
        Slot *slot = &run->slots[i];
        if (status == NULL && slot->status != NULL && slot->unread && dataset_count(run->dataset) > 1) {
            console_warn("skipped '%s': %s", dataset_file(run->dataset, run->first + i), status_message(slot->status));
        } else if (status == NULL) {
            if (slot->line.length > 0)
                fputs(slot->line.data, stdout);
            status = slot->status;
            slot->status = NULL;
        }
        status_free(slot->status);
        text_free(&slot->line);
        *slot = (Slot){0};
    }
    return status;
}

static Status run_samples(Run *run, Team *team)
{
    StateLink links[TEXTS_MAX];
    int n_links = 0;
    int64_t count = dataset_count(run->dataset);
    TRY(setup_states(run->options, run->plan, links, &n_links));
    bool apart = n_links == 0 && count >= 2 * team_size(team);
    int64_t batch = apart ? 8 * (int64_t)team_size(team) : 1;
    run->states = states_new(links, n_links, plan_n_inputs(run->plan));
    run->runners = xcalloc((size_t)team_size(team), sizeof run->runners[0]);
    run->slots = xcalloc((size_t)batch, sizeof run->slots[0]);
    if (!apart)
        run->runners[0] = runner_new(run->plan, team);
    Status status = NULL;
    for (; run->first < count && status == NULL; run->first += batch) {
        int64_t n = MIN(batch, count - run->first);
        if (apart)
            team_run(team, n, work_on, run);
        else
            work_on(run, 0, 0);
        status = tell(run, n);
    }
    for (int i = 0; i < team_size(team); i++)
        runner_free(run->runners[i]);
    free(run->runners);
    free(run->slots);
    states_free(run->states);
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
    Team *team = NULL;
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
        /* Without a wish, one thread runs a net too small to share: handing pieces round would cost more than it saves. */
        bool small = options->threads == 0 && dataset_count(dataset) < SAMPLES_TO_SHARE && model_macs(model) < 100000000;
        Run run = {.options = &own, .folder = path, .plan = plan, .dataset = dataset};
        team = team_new(small ? 1 : (int)MIN(options->threads, 4096));
        status = run_samples(&run, team);
    }
    team_free(team);
    dataset_free(dataset);
    plan_free(plan);
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
