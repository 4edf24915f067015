/* process.c - the running process: its clock, its memory, and whether the user asked it to stop. */
#include "src/base/base.h"

#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

static atomic_int interrupted; /* lock-free, so a signal handler may set it */

double clock_seconds(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return 0.0;
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

size_t peak_memory_bytes(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0 || usage.ru_maxrss < 0)
        return 0;
    return (size_t)usage.ru_maxrss * 1024; /* Linux counts in KiB */
}

void interrupt_request(void)
{
    atomic_store(&interrupted, 1);
}

bool interrupt_requested(void)
{
    return atomic_load_explicit(&interrupted, memory_order_relaxed) != 0;
}

Status interrupt_check(void)
{
    return interrupt_requested() ? status_new(CODE_INTERRUPTED, "interrupted") : NULL;
}
