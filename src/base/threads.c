/* threads.c - a team of threads that takes items of a job one by one.
 *
 * The threads are libgomp's, the same that oneDNN's primitives run on. A run of a model goes from one to the other hundreds of
 * times; threads of our own beside them would find the cores taken by those, which wait at full speed for the next primitive. So a
 * job costs about a microsecond to hand out when the last one was not long ago; src/app/commands.c says how long.
 */
#include "src/base/base.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#define THREADS_MAX 1024

/* What compilers call for "omp parallel"; straight, so that it is libgomp, as in oneDNN, whichever compiler builds us. */
void GOMP_parallel(void (*body)(void *data), void *data, unsigned threads, unsigned flags);
int omp_get_thread_num(void);

struct Team {
    int size;
    atomic_bool running;
};

typedef struct Job {
    TeamWork work;
    void *context;
    uint64_t n;
    _Atomic uint64_t next;
} Job;

/* Leaves to the main thread all signals but those a thread causes itself. */
static void block_signals(void)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    static _Thread_local bool blocked;
    sigset_t signals;
    if (blocked)
        return;
    sigfillset(&signals);
    for (size_t i = 0; i < COUNT_OF(own); i++)
        sigdelset(&signals, own[i]);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    blocked = true;
}

static void take_items(void *data)
{
    Job *job = data;
    int worker = omp_get_thread_num();
    uint64_t item;
    if (worker > 0)
        block_signals();
    while ((item = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed)) < job->n)
        job->work(job->context, (int64_t)item, worker);
}

static void *pass_lock(void *lock)
{
    pthread_mutex_lock(lock);
    pthread_mutex_unlock(lock);
    return NULL;
}

/* How many of `threads` the system lets live at once, the caller among them: libgomp ends the program where it gets too few. */
static int count_possible(int threads)
{
    pthread_t *others = xcalloc((size_t)threads, sizeof others[0]);
    pthread_mutex_t lock;
    int n = 0;
    pthread_mutex_init(&lock, NULL);
    pthread_mutex_lock(&lock);
    while (n + 1 < threads && pthread_create(&others[n], NULL, pass_lock, &lock) == 0)
        n++;
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < n; i++)
        pthread_join(others[i], NULL);
    pthread_mutex_destroy(&lock);
    free(others);
    return n + 1;
}

Team *team_new(int threads)
{
    if (threads <= 0)
        threads = cpu_count();
    Team *team = xcalloc(1, sizeof *team);
    team->size = count_possible(MIN(threads, THREADS_MAX));
    return team;
}

void team_free(Team *team)
{
    free(team);
}

int team_size(const Team *team)
{
    return team == NULL ? 1 : team->size;
}

void team_run(Team *team, int64_t n, TeamWork work, void *context)
{
    if (team == NULL || team->size == 1 || n <= 1) {
        for (int64_t i = 0; i < n; i++)
            work(context, i, 0);
        return;
    }
    bool nested = atomic_exchange(&team->running, true);
    assert(!nested);
    (void)nested;
    Job job = {.work = work, .context = context, .n = (uint64_t)n};
    GOMP_parallel(take_items, &job, (unsigned)team->size, 0);
    atomic_store(&team->running, false);
}

typedef struct Split {
    TeamRange work;
    void *context;
    int64_t n, parts;
} Split;

static void split_part(void *data, int64_t part, int worker)
{
    const Split *split = data;
    int64_t each = split->n / split->parts, more = split->n % split->parts; /* the first `more` parts have one item more */
    int64_t begin = part * each + MIN(part, more);
    split->work(split->context, begin, begin + each + (part < more ? 1 : 0), worker);
}

void team_split(Team *team, int64_t n, int64_t least, TeamRange work, void *context)
{
    enum { PARTS_A_THREAD = 4 }; /* so that a thread that is held up leaves work to the others */
    int64_t parts = team_size(team) == 1 ? 1 : MIN((int64_t)team->size * PARTS_A_THREAD, n / MAX(least, 1));
    Split split = {work, context, n, MAX(parts, 1)};
    if (n > 0)
        team_run(team, split.parts, split_part, &split);
}

Status team_try(Team *team, Status (*attempt)(void *context, Team *team), void *context)
{
    int size = team == NULL ? 1 : team->size;
    Status status = attempt(context, team);
    while (status_code(status) == CODE_MEMORY && size > 1) {
        status_free(status);
        size /= 2;
        Team *smaller = size > 1 ? team_new(size) : NULL;
        status = attempt(context, smaller);
        team_free(smaller);
    }
    return status;
}
