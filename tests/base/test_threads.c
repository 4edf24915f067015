/* test_threads.c - the team: every item once, sleeping helpers, signals left to the main thread. */
#include "tests/test.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ITEMS = 5000, WORKERS = 4 };

typedef struct Tally {
    atomic_int runs[ITEMS];
    int64_t sums[WORKERS]; /* each written by its worker only */
    atomic_bool bad_worker, helper_takes_signals;
    pthread_t caller;
} Tally;

static void count_item(void *context, int64_t item, int worker)
{
    Tally *tally = context;
    atomic_fetch_add(&tally->runs[item], 1);
    if (worker < 0 || worker >= WORKERS || (worker == 0) != (pthread_equal(pthread_self(), tally->caller) != 0)) {
        atomic_store(&tally->bad_worker, true);
        return;
    }
    tally->sums[worker] += item;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    if (worker != 0 && (!sigismember(&mask, SIGINT) || sigismember(&mask, SIGSEGV)))
        atomic_store(&tally->helper_takes_signals, true);
}

static void check_run(Team *team, int64_t n)
{
    static Tally tally;
    tally = (Tally){.caller = pthread_self()};
    team_run(team, n, count_item, &tally);
    int64_t sum = 0, wrong = 0;
    for (int i = 0; i < ITEMS; i++)
        wrong += atomic_load(&tally.runs[i]) != (i < n);
    for (int i = 0; i < WORKERS; i++)
        sum += tally.sums[i];
    CHECK_INT(wrong, 0);
    CHECK_INT(sum, n * (n - 1) / 2);
    CHECK(!atomic_load(&tally.bad_worker));
    CHECK(!atomic_load(&tally.helper_takes_signals));
}

TEST(team_runs_every_item_once)
{
    Team *team = team_new(WORKERS);
    CHECK_INT(team_size(team), WORKERS);
    for (int64_t n = 0; n < 12; n++)
        check_run(team, n);
    for (int i = 0; i < 20; i++)
        check_run(team, ITEMS);
    team_free(team);
    check_run(NULL, 100);
    CHECK_INT(team_size(NULL), 1);
    team = team_new(1);
    CHECK_INT(team_size(team), 1);
    check_run(team, 100);
    team_free(team);
    team_free(NULL);
    team = team_new(0);
    CHECK_INT(team_size(team), cpu_count());
    team_free(team);
}

static void finish_late(void *context, int64_t item, int worker)
{
    atomic_int *finished = context;
    (void)item;
    nanosleep(&(struct timespec){0, worker == 0 ? 100000 : 10000000}, NULL);
    atomic_fetch_add(finished, 1);
}

TEST(team_waits_for_its_helpers)
{
    Team *team = team_new(WORKERS);
    for (int round = 0; round < 10; round++) {
        atomic_int finished = 0;
        int items = 40; /* the caller is through with them while the helpers are at their first */
        team_run(team, items, finish_late, &finished);
        CHECK_INT(atomic_load(&finished), items);
    }
    team_free(team);
}

typedef struct Trial {
    int sizes[8], n, enough; /* teams that were tried; how many threads there is memory for */
    Code code;
} Trial;

static Status try_team(void *context, Team *team)
{
    Trial *trial = context;
    trial->sizes[trial->n++] = team_size(team);
    return team_size(team) > trial->enough ? status_new(trial->code, "too many") : NULL;
}

TEST(team_shrinks_until_the_memory_is_enough)
{
    Team *team = team_new(9);
    Trial three = {.enough = 3, .code = CODE_MEMORY}, none = {.enough = 0, .code = CODE_MEMORY},
          other = {.enough = 0, .code = CODE_DATA}, all = {.enough = 9, .code = CODE_MEMORY};
    CHECK_OK(team_try(team, try_team, &three)); /* 9, 4, 2 */
    CHECK_INT(three.n, 3);
    CHECK_INT(three.sizes[2], 2);
    CHECK_FAILS(team_try(team, try_team, &none), CODE_MEMORY, "too many"); /* 9, 4, 2, 1 */
    CHECK_INT(none.n, 4);
    CHECK_INT(none.sizes[3], 1);
    CHECK_FAILS(team_try(team, try_team, &other), CODE_DATA, "too many");
    CHECK_INT(other.n, 1);
    CHECK_OK(team_try(team, try_team, &all));
    CHECK_INT(all.n, 1);
    CHECK_FAILS(team_try(NULL, try_team, &none), CODE_MEMORY, "too many");
    CHECK_INT(none.n, 5);
    team_free(team);
}

static void note_item(void *context, int64_t item, int worker)
{
    int64_t *last = context;
    CHECK_INT(worker, 0);
    CHECK_INT(item, *last + 1);
    *last = item;
}

TEST(team_of_none_runs_in_order)
{
    int64_t last = -1;
    team_run(NULL, 10, note_item, &last);
    CHECK_INT(last, 9);
}

typedef struct Ranges {
    atomic_int seen[1000];
    int64_t least, total;
    atomic_int short_ones;
} Ranges;

static void mark_range(void *context, int64_t begin, int64_t end, int worker)
{
    Ranges *ranges = context;
    (void)worker;
    if (end - begin < MIN(ranges->least, ranges->total))
        atomic_fetch_add(&ranges->short_ones, 1);
    for (int64_t i = begin; i < end; i++)
        atomic_fetch_add(&ranges->seen[i], 1);
}

TEST(split_ranges_are_all_items_once_and_none_too_short)
{
    static const int64_t totals[] = {0, 1, 2, 7, 64, 999, 1000}, leasts[] = {0, 1, 3, 100, 5000};
    Team *team = team_new(WORKERS);
    for (size_t t = 0; t < COUNT_OF(totals); t++)
        for (size_t l = 0; l < COUNT_OF(leasts); l++)
            for (int alone = 0; alone < 2; alone++) {
                Ranges ranges = {.least = leasts[l], .total = totals[t]};
                team_split(alone == 1 ? NULL : team, totals[t], leasts[l], mark_range, &ranges);
                for (int64_t i = 0; i < (int64_t)COUNT_OF(ranges.seen); i++)
                    CHECK_INT(ranges.seen[i], i < totals[t]);
                CHECK_INT(ranges.short_ones, 0);
            }
    team_free(team);
}

static void wait_for_others(void *context, int64_t item, int worker)
{
    (void)item;
    (void)worker;
    pthread_barrier_wait(context);
}

/* All workers must be in the work at the same time, or the barrier never opens (the alarm then ends the tests). */
TEST(team_runs_items_at_the_same_time)
{
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 3);
    Team *team = team_new(3);
    alarm(60);
    for (int i = 0; i < 50; i++)
        team_run(team, 3, wait_for_others, &barrier);
    alarm(0);
    team_free(team);
    CHECK_INT(pthread_barrier_destroy(&barrier), 0);
}

TEST(team_sleeps_when_idle)
{
    Team *team = team_new(WORKERS);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    nanosleep(&(struct timespec){0, 100000000}, NULL);
    getrusage(RUSAGE_SELF, &after);
    double seconds = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec) +
                     1e-6 * (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec);
    CHECK(seconds < 0.05);
    team_free(team);
}

TEST(interrupt_is_seen)
{
    CHECK(!interrupt_requested());
    CHECK_OK(interrupt_check());
    pid_t child = fork(); /* it cannot be taken back */
    if (child == 0) {
        interrupt_request();
        Status status = interrupt_check();
        int code = interrupt_requested() ? (int)status_code(status) : 0;
        status_free(status);
        _exit(code);
    }
    int ended = 0;
    CHECK(child > 0 && waitpid(child, &ended, 0) == child);
    CHECK(WIFEXITED(ended));
    CHECK_INT(WEXITSTATUS(ended), CODE_INTERRUPTED);
}
