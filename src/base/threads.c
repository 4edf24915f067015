/* threads.c - one team of threads that takes items of a job one by one.
 *
 *     team_run(n)  sets the job, hands out tickets (one for each helper that can find work), works as worker 0
 *     helper       sleeps until a ticket is left, takes it, takes items until none is left, sleeps again
 *     team_run     when no item is left: takes back the tickets nobody took, waits for the helpers still at work
 *
 * A helper that wakes late finds no ticket and is not waited for, so a short job does not pay for a long team.
 */
#include "src/base/base.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#define THREADS_MAX 1024

typedef struct Helper {
    Team *team;
    pthread_t thread;
    int worker;
} Helper;

struct Team {
    int size;
    Helper *helpers; /* (size - 1,) workers 1..size-1 */
    atomic_bool running;

    pthread_mutex_t lock; /* guards what follows up to `ending` */
    pthread_cond_t wake, done;
    int tickets, at_work;
    bool ending;

    /* The job: set before tickets are handed out, read only by ticket holders. */
    TeamWork work;
    void *context;
    uint64_t n;
    _Atomic uint64_t next;
};

static void take_items(Team *team, int worker)
{
    uint64_t item;
    while ((item = atomic_fetch_add_explicit(&team->next, 1, memory_order_relaxed)) < team->n)
        team->work(team->context, (int64_t)item, worker);
}

static void *helper_main(void *argument)
{
    Helper *helper = argument;
    Team *team = helper->team;
    pthread_mutex_lock(&team->lock);
    for (;;) {
        while (team->tickets == 0 && !team->ending)
            pthread_cond_wait(&team->wake, &team->lock);
        if (team->ending)
            break;
        team->tickets--;
        team->at_work++;
        pthread_mutex_unlock(&team->lock);
        take_items(team, helper->worker);
        pthread_mutex_lock(&team->lock);
        if (--team->at_work == 0)
            pthread_cond_signal(&team->done);
    }
    pthread_mutex_unlock(&team->lock);
    return NULL;
}

/* The signals that helpers leave to the main thread: all but those a thread causes itself. */
static void asynchronous_signals(sigset_t *ret)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigfillset(ret);
    for (size_t i = 0; i < COUNT_OF(own); i++)
        sigdelset(ret, own[i]);
}

Team *team_new(int threads)
{
    if (threads <= 0)
        threads = cpu_count();
    threads = MIN(threads, THREADS_MAX);
    Team *team = xcalloc(1, sizeof *team);
    team->helpers = xcalloc((size_t)threads, sizeof *team->helpers);
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->wake, NULL);
    pthread_cond_init(&team->done, NULL);
    sigset_t blocked, before;
    asynchronous_signals(&blocked);
    pthread_sigmask(SIG_BLOCK, &blocked, &before); /* a new thread inherits the mask */
    for (team->size = 1; team->size < threads; team->size++) {
        Helper *helper = &team->helpers[team->size - 1];
        helper->team = team;
        helper->worker = team->size;
        if (pthread_create(&helper->thread, NULL, helper_main, helper) != 0)
            break; /* the system gives no more threads: a smaller team does the same work */
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return team;
}

void team_free(Team *team)
{
    if (team == NULL)
        return;
    pthread_mutex_lock(&team->lock);
    team->ending = true;
    pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->lock);
    for (int i = 0; i < team->size - 1; i++)
        pthread_join(team->helpers[i].thread, NULL);
    pthread_cond_destroy(&team->done);
    pthread_cond_destroy(&team->wake);
    pthread_mutex_destroy(&team->lock);
    free(team->helpers);
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
    int helpers = n < team->size ? (int)n - 1 : team->size - 1;
    pthread_mutex_lock(&team->lock);
    team->work = work;
    team->context = context;
    team->n = (uint64_t)n;
    atomic_store(&team->next, 0);
    team->tickets = helpers;
    if (helpers == team->size - 1) {
        pthread_cond_broadcast(&team->wake);
    } else {
        for (int i = 0; i < helpers; i++)
            pthread_cond_signal(&team->wake);
    }
    pthread_mutex_unlock(&team->lock);

    take_items(team, 0);

    pthread_mutex_lock(&team->lock);
    team->tickets = 0;
    while (team->at_work > 0)
        pthread_cond_wait(&team->done, &team->lock);
    pthread_mutex_unlock(&team->lock);
    atomic_store(&team->running, false);
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
