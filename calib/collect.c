/* collect.c - runs the model over the data and watches: one histogram a float value.
 *
 *     samples - team - worker 0: Runner, Tally -+
 *                    - worker 1: Runner, Tally -+-> histograms, a lock each -> Sights (sights.c makes ranges of them)
 *
 * Which worker takes which sample is chance; histograms do not care (see quant.h), skipped samples are kept by number,
 * so the result is the same for any team. Which elements of a large value are counted follows from the number of the
 * sample. Memory grows with the values of the model, and a little with the workers, never with the samples (but for
 * their names). Models that carry state from sample to sample are run in order by one worker.
 */
#include "calib/calib.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* What one value showed. The histogram comes with the first sample. */
typedef struct Watch {
    pthread_mutex_t lock; /* guards what follows */
    const Value *value;
    Histogram *histogram;
    int64_t bad_sample; /* the least sample with NaN or infinities; -1: none */
} Watch;

typedef struct Worker {
    struct Collect *collect;
    Runner *runner;
    Tally *tally;
    int64_t sample; /* now running */
    bool observed;  /* anything of it */
    Tensor *inputs, *outputs;
    States *states;
} Worker;

typedef struct Collect {
    const Plan *plan;
    const Dataset *dataset;
    const Progress *progress;
    CollectOptions options;
    int64_t most;     /* elements counted of one value of one sample */
    bool *unwanted;   /* (n_watches,) */
    Watch *watches;   /* (n_watches,) by value id */
    size_t n_watches;
    int64_t total;
    Worker *workers;
    int n_workers;
    char **skipped; /* (total,) why sample i was left out, or NULL */

    pthread_mutex_t lock; /* guards what follows, and the progress call */
    int64_t done, run;
    Status failure;
    bool stop;
} Collect;

/* ---- one sample -------------------------------------------------------------------------------------------------- */

static bool is_counted(const Collect *collect, const Value *value)
{
    return collect->options.levels == NULL || collect->options.levels[value->id] == WATCH_HISTOGRAM;
}

/* Adds the worker's tally; the histogram comes with the first one. Holds the watch's lock. */
static Status add_tally(Worker *worker, Watch *watch, const Value *value)
{
    if (watch->histogram == NULL) {
        TRY(histogram_new(is_counted(worker->collect, value), &watch->histogram));
        watch->value = value;
        watch->bad_sample = -1;
    }
    int64_t bad = watch->histogram->not_finite;
    histogram_take(watch->histogram, worker->tally);
    if (watch->histogram->not_finite > bad && (watch->bad_sample < 0 || worker->sample < watch->bad_sample))
        watch->bad_sample = worker->sample;
    return NULL;
}

static Status watch_value(void *context, const Value *value, Tensor *tensor)
{
    Worker *worker = context;
    const Collect *collect = worker->collect;
    worker->observed = true;
    if (tensor->dtype != DT_FLOAT)
        return NULL;
    Watch *watch = &collect->watches[value->id];
    tally_take(worker->tally, tensor->data, tensor->count, is_counted(collect, value), collect->most,
               (uint64_t)dataset_number(collect->dataset, worker->sample));
    pthread_mutex_lock(&watch->lock);
    Status status = add_tally(worker, watch, value);
    pthread_mutex_unlock(&watch->lock);
    return status;
}

static Status run_sample(Worker *worker, int64_t i, bool *ret_skip)
{
    const Collect *collect = worker->collect;
    *ret_skip = false;
    TRY(interrupt_check());
    if (worker->runner == NULL) {
        worker->runner = runner_new(collect->plan, NULL);
        worker->tally = tally_new();
        worker->inputs = xcalloc((size_t)MAX(plan_n_inputs(collect->plan), 1), sizeof(Tensor));
        worker->outputs = xcalloc((size_t)MAX(plan_n_outputs(collect->plan), 1), sizeof(Tensor));
        worker->states = states_new(collect->options.links, collect->options.n_links, plan_n_inputs(collect->plan));
    }
    Status status = dataset_load(collect->dataset, i, worker->inputs);
    if (status != NULL) {
        *ret_skip = status_code(status) == CODE_DATA;
        return status;
    }
    worker->sample = i;
    worker->observed = false;
    Observer observer = {
        .value = watch_value, .context = worker, .unwanted = collect->unwanted, .any_order = true};
    const Tensor *fed = states_feed(worker->states, dataset_continues(collect->dataset, i), worker->inputs);
    status = runner_run(worker->runner, fed, &observer, worker->outputs);
    if (status == NULL)
        status = states_keep(worker->states, worker->outputs);
    if (status == NULL && collect->options.kept != NULL)
        kept_outputs_put(collect->options.kept, i, worker->outputs);
    for (int k = 0; k < plan_n_inputs(collect->plan); k++)
        tensor_release(&worker->inputs[k]);
    /* An input that does not fit is the sample's fault; half a run is in the histograms and cannot be taken out again.
     */
    *ret_skip = status_code(status) == CODE_DATA && !worker->observed;
    return status_prefix(status, "%s", dataset_file(collect->dataset, i));
}

/* The message without the name of the file in front, which is told apart. */
static char *reason_of(const struct StatusInfo *status, const char *file)
{
    const char *message = status_message(status);
    size_t length = strlen(file);
    while (strncmp(message, file, length) == 0 && strncmp(message + length, ": ", 2) == 0)
        message += length + 2;
    return xstrdup(message);
}

static void collect_item(void *context, int64_t i, int worker)
{
    Collect *collect = context;
    pthread_mutex_lock(&collect->lock);
    bool stop = collect->stop;
    pthread_mutex_unlock(&collect->lock);
    if (stop)
        return;
    bool skip;
    Status status = run_sample(&collect->workers[worker], i, &skip);
    pthread_mutex_lock(&collect->lock);
    if (skip) {
        collect->skipped[i] = reason_of(status, dataset_file(collect->dataset, i));
        status_free(status);
    } else if (status != NULL) {
        collect->stop = true;
        if (collect->failure == NULL)
            collect->failure = status;
        else
            status_free(status);
    } else {
        collect->run++;
    }
    collect->done++;
    if (collect->progress != NULL && collect->progress->step != NULL && !collect->stop)
        collect->progress->step(collect->progress->context, collect->done, collect->total);
    pthread_mutex_unlock(&collect->lock);
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

/* `from` is left without a histogram. */
static void merge_watch(Watch *into, Watch *from)
{
    histogram_merge(into->histogram, from->histogram);
    histogram_free(from->histogram);
    from->histogram = NULL;
    if (from->bad_sample >= 0 && (into->bad_sample < 0 || from->bad_sample < into->bad_sample))
        into->bad_sample = from->bad_sample;
}

/* One sight a name: values of sibling graphs (branches of an If) may share theirs. */
static void merge_names(Collect *collect)
{
    Map *names = map_new();
    for (size_t id = 0; id < collect->n_watches; id++) {
        Watch *watch = &collect->watches[id];
        if (watch->histogram == NULL)
            continue;
        Watch *same = map_get(names, watch->value->name);
        if (same != NULL)
            merge_watch(same, watch);
        else
            map_put(names, watch->value->name, watch);
    }
    map_free(names);
}

/* The histograms go over to the sights. */
static void take_sights(Collect *collect, Sights *sights)
{
    merge_names(collect);
    for (size_t id = 0; id < collect->n_watches; id++) {
        Watch *watch = &collect->watches[id];
        if (watch->histogram == NULL)
            continue;
        const Node *node = watch->value->producer;
        bool bad = watch->bad_sample >= 0;
        sights->rows = array_reserve(sights->rows, &sights->cap, sights->n + 1, sizeof sights->rows[0]);
        sights->rows[sights->n++] = (Sight){
            .name = arena_strdup(sights->arena, watch->value->name),
            .order = watch->value->id,
            .node = node == NULL ? "" : arena_strdup(sights->arena, node_describe(node)),
            .histogram = watch->histogram,
            .bad_sample = bad ? dataset_number(collect->dataset, watch->bad_sample) : -1,
            .bad_file = bad ? arena_strdup(sights->arena, dataset_file(collect->dataset, watch->bad_sample)) : NULL};
        watch->histogram = NULL;
    }
}

static void list_skipped(const Collect *collect, Sights *sights)
{
    for (int64_t i = 0; i < collect->total; i++) {
        if (collect->skipped[i] == NULL)
            continue;
        sights->skipped =
            array_reserve(sights->skipped, &sights->cap_skipped, sights->n_skipped + 1, sizeof sights->skipped[0]);
        sights->skipped[sights->n_skipped++] =
            (Skipped){arena_strdup(sights->arena, dataset_file(collect->dataset, i)),
                      arena_strdup(sights->arena, collect->skipped[i]), dataset_number(collect->dataset, i)};
    }
}

static Status nothing_read(const Collect *collect)
{
    for (int64_t i = 0; i < collect->total; i++)
        if (collect->skipped[i] != NULL)
            return status_new(CODE_DATA, "none of the %lld samples can be used; the first: %s: %s",
                              (long long)collect->total, dataset_file(collect->dataset, i), collect->skipped[i]);
    return status_new(CODE_DATA, "there are no samples");
}

static void free_workers(Collect *collect)
{
    for (int w = 0; w < collect->n_workers; w++) {
        Worker *worker = &collect->workers[w];
        runner_free(worker->runner);
        tally_free(worker->tally);
        states_free(worker->states);
        free(worker->inputs);
        free(worker->outputs);
    }
    free(collect->workers);
}

static void open_watches(Collect *collect)
{
    const WatchLevel *levels = collect->options.levels;
    collect->n_watches = plan_model(collect->plan)->n_ids;
    collect->watches = xcalloc(MAX(collect->n_watches, 1), sizeof collect->watches[0]);
    collect->unwanted = xcalloc(MAX(collect->n_watches, 1), sizeof collect->unwanted[0]);
    for (size_t id = 0; id < collect->n_watches; id++) {
        pthread_mutex_init(&collect->watches[id].lock, NULL);
        collect->unwanted[id] = levels != NULL && levels[id] == WATCH_NOTHING;
    }
}

static void free_watches(Collect *collect)
{
    for (size_t id = 0; id < collect->n_watches; id++) {
        histogram_free(collect->watches[id].histogram);
        pthread_mutex_destroy(&collect->watches[id].lock);
    }
    free(collect->watches);
    free(collect->unwanted);
}

/* The arguments of collect_sights(). */
typedef struct Request {
    const Plan *plan;
    const Dataset *dataset;
    const CollectOptions *options;
    const Progress *progress;
    Sights *ret;
} Request;

static Status collect_with(void *context, Team *team)
{
    const Request *request = context;
    const Dataset *dataset = request->dataset;
    Collect collect = {.plan = request->plan, .dataset = dataset, .progress = request->progress};
    if (request->options != NULL)
        collect.options = *request->options;
    int64_t counts = collect.options.counts > 0 ? collect.options.counts : COLLECT_COUNTS;
    collect.most = MAX(MIN(counts / MAX(dataset_total(dataset), 1), COLLECT_COUNTS_MOST), COLLECT_COUNTS_LEAST);
    collect.total = dataset_count(dataset);
    open_watches(&collect);
    collect.n_workers = team == NULL ? 1 : team_size(team);
    collect.workers = xcalloc((size_t)collect.n_workers, sizeof collect.workers[0]);
    for (int w = 0; w < collect.n_workers; w++)
        collect.workers[w].collect = &collect;
    collect.skipped = xcalloc((size_t)MAX(collect.total, 1), sizeof collect.skipped[0]);
    pthread_mutex_init(&collect.lock, NULL);

    team_run(team, collect.total, collect_item, &collect);
    Status status = collect.failure;
    if (status == NULL && collect.run == 0)
        status = nothing_read(&collect);
    if (status == NULL) {
        Sights sights = {.samples = collect.run, .offered = collect.total, .arena = arena_new()};
        list_skipped(&collect, &sights);
        take_sights(&collect, &sights);
        *request->ret = sights;
    }
    pthread_mutex_destroy(&collect.lock);
    for (int64_t i = 0; i < collect.total; i++)
        free(collect.skipped[i]);
    free(collect.skipped);
    free_workers(&collect);
    free_watches(&collect);
    return status;
}

Status collect_sights(const Plan *plan, const Dataset *dataset, const CollectOptions *options, Team *team,
                      const Progress *progress, Sights *ret)
{
    bool in_order = options != NULL && options->n_links > 0;
    Request request = {plan, dataset, options, progress, ret};
    return team_try(in_order ? NULL : team, collect_with, &request);
}

Status collect_ranges(const Plan *plan, const Dataset *dataset, RangeRule rule, Team *team, const Progress *progress,
                      CollectResult *ret)
{
    CollectResult result = {0};
    TRY(collect_sights(plan, dataset, NULL, team, progress, &result.sights));
    result.ranges = sights_choose(&result.sights, rule, team);
    *ret = result;
    return NULL;
}

void collect_release(CollectResult *result)
{
    if (result == NULL)
        return;
    ranges_free(result->ranges);
    sights_release(&result->sights);
    *result = (CollectResult){0};
}
