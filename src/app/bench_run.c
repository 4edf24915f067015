/* bench_run.c - the loop that is timed.
 *
 *     first run | warm-up ... | run run run run ... until the time is up
 */
#include "src/app/bench.h"

#include <math.h>
#include <stdlib.h>

#define WARM_UP_RUNS 3
#define WARM_UP_SHARE 0.1 /* of the duration: runs before that are not counted either */

typedef struct Loop {
    const Plan *plan;
    const BenchSamples *samples;
    Profile *profile;
    double until, warm_until;
    int workers;
    struct Worker {
        Runner *runner;
        Tensor *outputs;
        Profiler profiler;
        int64_t runs;
        double started, ended;
        BenchTimes times;
        Status status;
    } *each; /* (workers,) */
} Loop;

static Status run_once(Loop *loop, struct Worker *worker, double *ret_begin, double *ret_end)
{
    int64_t sample = worker->runs++ % loop->samples->n;
    *ret_begin = clock_seconds();
    TRY(runner_run(worker->runner, loop->samples->inputs + sample * plan_n_inputs(loop->plan), NULL, worker->outputs));
    *ret_end = clock_seconds();
    return NULL;
}

static void add_time(BenchTimes *times, double seconds)
{
    times->runs = array_reserve(times->runs, &times->cap, times->n + 1, sizeof times->runs[0]);
    times->runs[times->n++] = seconds;
}

static Status loop_worker(Loop *loop, int number)
{
    struct Worker *worker = &loop->each[number];
    for (bool counted = false;;) {
        double begin, end;
        counted = counted || (worker->runs >= WARM_UP_RUNS && clock_seconds() >= loop->warm_until);
        if (loop->profile != NULL)
            profile_run_begins(loop->profile, number, counted);
        TRY(run_once(loop, worker, &begin, &end));
        TRY(interrupt_check());
        if (counted) {
            worker->started = worker->times.n == 0 ? begin : worker->started;
            worker->ended = end;
            add_time(&worker->times, end - begin);
        }
        if (counted && end >= loop->until)
            return NULL;
    }
}

static void work(void *context, int64_t item, int worker)
{
    (void)worker; /* an item is a runner, whichever thread takes it */
    Loop *loop = context;
    loop->each[item].status = loop_worker(loop, (int)item);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Times of all workers into one, sorted. */
static Status gather(Loop *loop, BenchTimes *ret)
{
    double started = INFINITY, ended = -INFINITY;
    for (int w = 0; w < loop->workers; w++) {
        struct Worker *worker = &loop->each[w];
        if (worker->status != NULL) {
            Status status = worker->status;
            worker->status = NULL;
            return status;
        }
        for (size_t i = 0; i < worker->times.n; i++)
            add_time(ret, worker->times.runs[i]);
        started = fmin(started, worker->started);
        ended = fmax(ended, worker->ended);
    }
    ret->elapsed = ended - started;
    qsort(ret->runs, ret->n, sizeof ret->runs[0], by_size);
    return NULL;
}

Status bench_run(const Plan *plan, const BenchSamples *samples, Team *team, bool parallel, double seconds, Profile *profile,
                 BenchTimes *ret)
{
    Loop loop = {.plan = plan, .samples = samples, .profile = profile, .workers = parallel ? team_size(team) : 1};
    loop.each = xcalloc((size_t)loop.workers, sizeof loop.each[0]);
    for (int w = 0; w < loop.workers; w++) {
        loop.each[w].runner = runner_new(plan, parallel ? NULL : team);
        loop.each[w].outputs = xcalloc((size_t)MAX(plan_n_outputs(plan), 1), sizeof(Tensor));
        if (profile == NULL)
            continue;
        loop.each[w].profiler = profile_of_worker(profile, w);
        profile_run_begins(profile, w, false);
        runner_set_profiler(loop.each[w].runner, &loop.each[w].profiler);
    }
    BenchTimes times = {0};
    double begin, end;
    Status status = run_once(&loop, &loop.each[0], &begin, &end);
    if (status == NULL) {
        times.first = end - begin;
        loop.warm_until = end + seconds * WARM_UP_SHARE;
        loop.until = loop.warm_until + seconds;
        team_run(parallel ? team : NULL, loop.workers, work, &loop);
        status = gather(&loop, &times);
    }
    for (int w = 0; w < loop.workers; w++) {
        status_free(loop.each[w].status);
        runner_free(loop.each[w].runner);
        bench_times_release(&loop.each[w].times);
        free(loop.each[w].outputs);
    }
    free(loop.each);
    if (status != NULL)
        bench_times_release(&times);
    else
        *ret = times;
    return status;
}

void bench_times_release(BenchTimes *times)
{
    free(times->runs);
    *times = (BenchTimes){0};
}

/* The least time that at least that share of the runs needed at most. */
double bench_percentile(const BenchTimes *times, double share)
{
    size_t at = (size_t)ceil(share * (double)times->n);
    return times->n == 0 ? 0.0 : times->runs[MIN(MAX(at, (size_t)1), times->n) - 1];
}
