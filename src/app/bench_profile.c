/* bench_profile.c - where the time of a run goes: by op, by node, and step by step in Chrome's trace format.
 *
 *     op               ms   share  calls    GFLOP/s  of peak      GB/s  of peak
 *     Conv         35.120  91.2 %     53      234.1     81 %       9.8     30 %
 *
 * Times are means a run. Operations are those of multiply-accumulates; bytes are those of a step's inputs and outputs, each once.
 */
#include "src/app/bench.h"

#include "src/ops/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MAX 200000 /* of a trace */

typedef struct StepSum {
    double seconds;
    int64_t runs;
    double bytes;   /* of one run */
    const char *implementation;
    char shapes[96]; /* of the first input and the first output, for people */
} StepSum;

typedef struct Event {
    int step, worker;
    double begin, end;
} Event;

typedef struct Worker {
    Profile *profile;
    int number;
    bool counted;
    int64_t runs;   /* counted */
    StepSum *steps; /* by step */
    Event *events;
    size_t n_events, cap_events;
} Worker;

struct Profile {
    const Plan *plan;
    bool trace;
    int n_steps, n_workers;
    Worker *workers;
    int64_t *elements; /* by value id, of the last run of worker 0 */
};

/* A row of a table: a node, or all nodes of an op. */
typedef struct Row {
    const char *op;
    int step, calls; /* step: one of them */
    double seconds, operations, bytes; /* of one run */
    bool integer;
} Row;

Profile *profile_new(const Plan *plan, int workers, bool trace)
{
    Profile *profile = xcalloc(1, sizeof *profile);
    *profile = (Profile){.plan = plan, .trace = trace, .n_steps = plan_n_steps(plan), .n_workers = workers};
    profile->workers = xcalloc((size_t)workers, sizeof profile->workers[0]);
    profile->elements = xcalloc(MAX(plan_model(plan)->n_ids, 1), sizeof profile->elements[0]);
    for (int w = 0; w < workers; w++) {
        profile->workers[w] = (Worker){.profile = profile, .number = w};
        profile->workers[w].steps = xcalloc((size_t)MAX(profile->n_steps, 1), sizeof(StepSum));
    }
    return profile;
}

void profile_free(Profile *profile)
{
    if (profile == NULL)
        return;
    for (int w = 0; w < profile->n_workers; w++) {
        free(profile->workers[w].steps);
        free(profile->workers[w].events);
    }
    free(profile->workers);
    free(profile->elements);
    free(profile);
}

void profile_run_begins(Profile *profile, int worker, bool counted)
{
    profile->workers[worker].counted = counted;
    profile->workers[worker].runs += counted;
}

static void write_shape(const Tensor *tensor, char *ret, size_t size)
{
    size_t at = 0;
    for (int d = 0; tensor != NULL && d < tensor->rank && at < size; d++) {
        int n = snprintf(ret + at, size - at, "%s%lld", d > 0 ? "x" : "", (long long)tensor->dims[d]);
        at += n > 0 ? (size_t)n : 0;
    }
}

/* selects: it reads no more of an input than it writes. */
static void describe_step(const StepSeen *seen, bool selects, StepSum *sum)
{
    char in[40] = "", out[40] = "";
    write_shape(seen->n_in > 0 ? seen->in[0] : NULL, in, sizeof in);
    write_shape(seen->n_out > 0 ? &seen->out[0] : NULL, out, sizeof out);
    snprintf(sum->shapes, sizeof sum->shapes, "%s -> %s", in, out);
    sum->implementation = seen->implementation;
    size_t out_bytes = 0;
    for (int i = 0; i < seen->n_out; i++)
        out_bytes += seen->out[i].bytes;
    sum->bytes = (double)out_bytes;
    for (int i = 0; i < seen->n_in; i++)
        sum->bytes += seen->in[i] == NULL ? 0.0 : (double)(selects ? MIN(seen->in[i]->bytes, out_bytes) : seen->in[i]->bytes);
    if (seen->n_in > 0 && seen->n_out > 0 && seen->in[0] != NULL && seen->in[0]->data == seen->out[0].data)
        sum->bytes = 0.0; /* the same buffer under another shape */
}

static void see_step(void *context, const StepSeen *seen)
{
    Worker *worker = context;
    Profile *profile = worker->profile;
    StepSum *sum = &worker->steps[seen->step];
    if (!worker->counted)
        return;
    if (sum->runs++ == 0) {
        const char *op = plan_step_op(profile->plan, seen->step);
        describe_step(seen, strcmp(op, "Gather") == 0 || strcmp(op, "Slice") == 0, sum);
        for (int i = 0; i < seen->n_out && worker->number == 0; i++)
            if (plan_step_out(profile->plan, seen->step, i) != NULL)
                profile->elements[plan_step_out(profile->plan, seen->step, i)->id] = seen->out[i].count;
    }
    sum->seconds += seen->end - seen->begin;
    if (profile->trace && worker->n_events < EVENTS_MAX / (size_t)profile->n_workers) {
        worker->events =
            array_reserve(worker->events, &worker->cap_events, worker->n_events + 1, sizeof worker->events[0]);
        worker->events[worker->n_events++] = (Event){seen->step, worker->number, seen->begin, seen->end};
    }
}

Profiler profile_of_worker(Profile *profile, int worker)
{
    return (Profiler){see_step, &profile->workers[worker]};
}

/* ---- tables ---------------------------------------------------------------------------------------------------------- */

static Row row_of_step(const Profile *profile, int step)
{
    ElementCounts counts = {profile->elements, plan_model(profile->plan)->n_ids};
    int64_t macs = op_macs(plan_step_node(profile->plan, step), &counts), runs = 0;
    const char *op = plan_step_op(profile->plan, step);
    Row row = {.op = op, .step = step, .calls = 1, .operations = 2.0 * (double)MAX(macs, 0),
               .integer = plan_step_is_integer(profile->plan, step) || strncmp(op, "QLinear", 7) == 0};
    for (int w = 0; w < profile->n_workers; w++) {
        row.seconds += profile->workers[w].steps[step].seconds;
        runs += profile->workers[w].runs;
        row.bytes = MAX(row.bytes, profile->workers[w].steps[step].bytes);
    }
    row.seconds /= (double)MAX(runs, 1);
    return row;
}

static int by_time(const void *a, const void *b)
{
    const Row *x = a, *y = b;
    return x->seconds != y->seconds ? (x->seconds < y->seconds ? 1 : -1) : x->step - y->step;
}

static int by_op(const void *a, const void *b)
{
    const Row *x = a, *y = b;
    int order = strcmp(x->op, y->op);
    return order != 0 ? order : x->step - y->step;
}

/* Rows of equal op are joined; returns how many are left, the slowest first. */
static size_t join_ops(Row *rows, size_t n)
{
    size_t kept = 0;
    qsort(rows, n, sizeof rows[0], by_op);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || strcmp(rows[kept - 1].op, rows[i].op) != 0) {
            rows[kept++] = rows[i];
            continue;
        }
        Row *row = &rows[kept - 1];
        row->calls += rows[i].calls;
        row->seconds += rows[i].seconds;
        row->operations += rows[i].operations;
        row->bytes += rows[i].bytes;
    }
    qsort(rows, kept, sizeof rows[0], by_time);
    return kept;
}

static Row *all_rows(const Profile *profile, double *ret_total)
{
    Row *rows = xcalloc((size_t)MAX(profile->n_steps, 1), sizeof rows[0]);
    *ret_total = 0.0;
    for (int s = 0; s < profile->n_steps; s++) {
        rows[s] = row_of_step(profile, s);
        *ret_total += rows[s].seconds;
    }
    return rows;
}

/* "   234.1   81 %", or blanks where there is nothing to tell. */
static void print_rate(double amount, double seconds, double peak)
{
    double rate = seconds > 0.0 ? amount / seconds : 0.0;
    if (amount <= 0.0 || seconds <= 0.0)
        printf("  %9s  %7s", "", "");
    else if (peak <= 0.0)
        printf("  %9.1f  %7s", rate / 1e9, "");
    else
        printf("  %9.1f  %5.0f %%", rate / 1e9, 100.0 * rate / peak);
}

static double compute_peak(const Row *row, const Peaks *peaks)
{
    return row->integer ? peaks->ops : peaks->flops;
}

static void print_figures(const Row *row, double total, const Peaks *peaks)
{
    printf("  %9.3f  %5.1f %%", 1e3 * row->seconds, total > 0.0 ? 100.0 * row->seconds / total : 0.0);
    print_rate(row->operations, row->seconds, compute_peak(row, peaks));
    print_rate(row->bytes, row->seconds, peaks->bytes);
}

void profile_print(const Profile *profile, const Peaks *peaks, int64_t top)
{
    static const char head[] = "         ms    share    GFLOP/s  of peak       GB/s  of peak";
    double total;
    Row *rows = all_rows(profile, &total);
    size_t n = (size_t)profile->n_steps;
    qsort(rows, n, sizeof rows[0], by_time);
    printf("\npeaks        %.1f GFLOP/s float, %.1f GOP/s int8, %.1f GB/s, measured\n", peaks->flops / 1e9, peaks->ops / 1e9,
           peaks->bytes / 1e9);
    printf("\n%-36s%s\n", "node", head);
    for (size_t i = 0; i < n && (int64_t)i < top; i++) {
        const Node *node = plan_step_node(profile->plan, rows[i].step);
        const StepSum *sum = &profile->workers[0].steps[rows[i].step];
        const char *name = node->name[0] != '\0' ? node->name : node->n_out > 0 && node->out[0] != NULL ? node->out[0]->name : "";
        size_t length = strlen(name);
        printf("%-36.36s", length > 36 ? name + length - 36 : name);
        print_figures(&rows[i], total, peaks);
        printf("  %s %s [%s]\n", rows[i].op, sum->shapes, sum->implementation == NULL ? "" : sum->implementation);
    }
    n = join_ops(rows, n);
    printf("\n%-28s%8s%s\n", "op", "calls", head);
    for (size_t i = 0; i < n; i++) {
        printf("%-28.28s%8d", rows[i].op, rows[i].calls);
        print_figures(&rows[i], total, peaks);
        printf("\n");
    }
    free(rows);
}

/* ---- JSON and trace ---------------------------------------------------------------------------------------------------- */

static cJSON *row_json(const Row *row)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "op", row->op);
    cJSON_AddNumberToObject(object, "ms", 1e3 * row->seconds);
    cJSON_AddNumberToObject(object, "operations", row->operations);
    cJSON_AddNumberToObject(object, "bytes", row->bytes);
    return object;
}

void profile_to_json(const Profile *profile, const Peaks *peaks, cJSON *object)
{
    double total;
    Row *rows = all_rows(profile, &total);
    cJSON *machine = cJSON_AddObjectToObject(object, "peaks");
    cJSON_AddNumberToObject(machine, "flops", peaks->flops);
    cJSON_AddNumberToObject(machine, "int8_ops", peaks->ops);
    cJSON_AddNumberToObject(machine, "bytes", peaks->bytes);
    cJSON *nodes = cJSON_AddArrayToObject(object, "nodes");
    for (int s = 0; s < profile->n_steps; s++) {
        const StepSum *sum = &profile->workers[0].steps[s];
        cJSON *row = row_json(&rows[s]);
        cJSON_AddStringToObject(row, "name", plan_step_node(profile->plan, s)->name);
        cJSON_AddStringToObject(row, "shapes", sum->shapes);
        cJSON_AddStringToObject(row, "implementation", sum->implementation == NULL ? "" : sum->implementation);
        cJSON_AddItemToArray(nodes, row);
    }
    size_t n = join_ops(rows, (size_t)profile->n_steps);
    cJSON *ops = cJSON_AddArrayToObject(object, "ops");
    for (size_t i = 0; i < n; i++) {
        cJSON *row = row_json(&rows[i]);
        cJSON_AddNumberToObject(row, "calls", rows[i].calls);
        cJSON_AddItemToArray(ops, row);
    }
    free(rows);
}

static double first_begin(const Profile *profile)
{
    double first = 0.0;
    for (int w = 0; w < profile->n_workers; w++)
        if (profile->workers[w].n_events > 0 && (first == 0.0 || profile->workers[w].events[0].begin < first))
            first = profile->workers[w].events[0].begin;
    return first;
}

/* One complete event ("ph": "X") a step, times in microseconds. */
static void write_event(const Profile *profile, const Event *event, double start, bool last, Text *text)
{
    const Node *node = plan_step_node(profile->plan, event->step);
    const StepSum *sum = &profile->workers[event->worker].steps[event->step];
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "name", node->name[0] != '\0' ? node->name : node->op_type);
    cJSON_AddStringToObject(object, "cat", plan_step_op(profile->plan, event->step));
    cJSON_AddStringToObject(object, "ph", "X");
    cJSON_AddNumberToObject(object, "ts", (event->begin - start) * 1e6);
    cJSON_AddNumberToObject(object, "dur", (event->end - event->begin) * 1e6);
    cJSON_AddNumberToObject(object, "pid", 1);
    cJSON_AddNumberToObject(object, "tid", event->worker + 1);
    cJSON *arguments = cJSON_AddObjectToObject(object, "args");
    cJSON_AddStringToObject(arguments, "shapes", sum->shapes);
    cJSON_AddStringToObject(arguments, "implementation", sum->implementation == NULL ? "" : sum->implementation);
    char *line = cJSON_PrintUnformatted(object);
    text_addf(text, "%s%s\n", line == NULL ? "{}" : line, last ? "" : ",");
    free(line);
    cJSON_Delete(object);
}

Status profile_write_trace(const Profile *profile, AtomicFile *file)
{
    Text text = {0};
    double start = first_begin(profile);
    size_t left = 0;
    for (int w = 0; w < profile->n_workers; w++)
        left += profile->workers[w].n_events;
    text_add(&text, "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n");
    for (int w = 0; w < profile->n_workers; w++)
        for (size_t i = 0; i < profile->workers[w].n_events; i++)
            write_event(profile, &profile->workers[w].events[i], start, --left == 0, &text);
    text_add(&text, "]}\n");
    Status status = atomic_write(file, text.data, text.length);
    text_free(&text);
    return status;
}
