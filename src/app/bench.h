/* bench.h - what the files of `quantize bench` share.
 *
 *     command_bench.c ── bench_run.c ──> times ── command_bench.c prints
 *                            └ profiler ──> bench_profile.c: tables by op and node, trace
 *                                            bench_peaks.c: what the machine can do
 */
#ifndef QUANTIZE_APP_BENCH_H
#define QUANTIZE_APP_BENCH_H

#include "src/app/app.h"

/* ---- bench_run.c --------------------------------------------------------------------------------------------------- */

typedef struct BenchSamples {
    Tensor *inputs; /* (n, plan_n_inputs) */
    int64_t n;
} BenchSamples;

typedef struct BenchTimes {
    double first;   /* s, of the first run: kernels are prepared in it */
    double *runs;   /* (n,) s each, in no order */
    size_t n, cap;
    double elapsed; /* s, from the start of the first measured run to the end of the last */
} BenchTimes;

typedef struct Profile Profile;

/* Runs the plan on the samples in turn for `seconds`, once at least, after some runs that are not counted. parallel: each
 * worker of the team runs samples of its own with one thread; else all of them work on one. profile may be NULL. */
MUST_USE Status bench_run(const Plan *plan, const BenchSamples *samples, Team *team, bool parallel, double seconds,
                          Profile *profile, BenchTimes *ret);
void bench_times_release(BenchTimes *times);
double bench_percentile(const BenchTimes *times, double share); /* 0.5: the median; times must be sorted by bench_run */

/* ---- bench_peaks.c ------------------------------------------------------------------------------------------------- */

/* What this machine can do with `threads` threads, measured: the best of a few tries; 0 where it cannot be told. */
typedef struct Peaks {
    double flops;  /* float multiply-adds count two, /s */
    double ops;    /* the same of u8 by s8 into int32 */
    double bytes;  /* read and written, /s, of arrays greater than the caches */
} Peaks;

MUST_USE Status bench_peaks(Team *team, int threads, Peaks *ret);

/* ---- bench_profile.c ------------------------------------------------------------------------------------------------ */

/* Time of each step, summed over runs; with trace also each step of the first runs. */
Profile *profile_new(const Plan *plan, int workers, bool trace);
void profile_free(Profile *profile);
/* For one runner, used by one thread: worker 0..workers-1. */
Profiler profile_of_worker(Profile *profile, int worker);
void profile_run_begins(Profile *profile, int worker, bool counted);
/* Tables on stdout: by op, then the `top` nodes that take the most time. */
void profile_print(const Profile *profile, const Peaks *peaks, int64_t top);
void profile_to_json(const Profile *profile, const Peaks *peaks, cJSON *object);
MUST_USE Status profile_write_trace(const Profile *profile, AtomicFile *file);

#endif
