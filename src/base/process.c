/* process.c - the running process: its clock, its memory, and whether the user asked it to stop. */
#include "src/base/base.h"

#include <stdatomic.h>
#include <stdio.h>
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

/* VmHWM, not getrusage()'s ru_maxrss: that one also holds what the program that started this one had resident at the time. */
size_t peak_memory_bytes(void)
{
    unsigned long long kib = 0;
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    bool found = false;
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL)
        found = sscanf(line, "VmHWM: %llu kB", &kib) == 1;
    if (file != NULL)
        fclose(file);
    struct rusage usage;
    if (!found && getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss >= 0)
        kib = (unsigned long long)usage.ru_maxrss; /* Linux counts in KiB */
    return (size_t)kib * 1024;
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
