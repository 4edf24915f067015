/* memory.c - checked sizes, counted tensor memory under one limit, and small allocations that never fail.
 *
 * A counted piece carries its size in front, so that memory_free() can give it back to the account:
 *
 *     | size ... 64 bytes | the caller's bytes, 64-byte aligned |
 */
#include "src/base/base.h"
#include "src/base/poison.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HEADER 64
#define HUGE_FROM ((size_t)4 << 20) /* bytes of a piece whose memory is asked for in huge pages, of 2 MiB each */
/* No single tensor is larger on any machine this runs on; keeps absurd sizes from allocators that abort on them. */
#define PIECE_MAX ((size_t)1 << (sizeof(size_t) > 4 ? 40 : 30))

static _Atomic size_t limit_bytes, used_bytes;
static _Thread_local uint64_t refusals;
static void (*exhausted_handler)(void);

static _Noreturn void memory_exhausted(void)
{
    if (exhausted_handler != NULL)
        exhausted_handler();
    abort();
}

/* Takes `bytes` from the account; false when the limit does not allow it. */
static bool account_take(size_t bytes)
{
    size_t limit = atomic_load(&limit_bytes);
    size_t used = atomic_load(&used_bytes);
    size_t sum;
    do {
        if (!size_add(used, bytes, &sum) || (limit != 0 && sum > limit))
            return false;
    } while (!atomic_compare_exchange_weak(&used_bytes, &used, sum));
    return true;
}

static double mebibytes(size_t bytes)
{
    return (double)bytes / (1024.0 * 1024.0);
}

bool size_mul(size_t a, size_t b, size_t *ret)
{
    size_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *ret = product;
    return true;
}

bool size_add(size_t a, size_t b, size_t *ret)
{
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *ret = sum;
    return true;
}

void memory_set_limit(size_t bytes)
{
    atomic_store(&limit_bytes, bytes);
}

size_t memory_in_use(void)
{
    return atomic_load(&used_bytes);
}

uint64_t memory_refusals(void)
{
    return refusals;
}

/* Hundreds of times fewer page faults and translations; systems that do not have them refuse, and nothing changes. */
static void ask_for_huge_pages(void *piece, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    static const uintptr_t page = (uintptr_t)2 << 20;
    uintptr_t begin = ((uintptr_t)piece + page - 1) / page * page, end = ((uintptr_t)piece + bytes) / page * page;
    if (bytes >= HUGE_FROM && end > begin)
        (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE);
#else
    (void)piece;
    (void)bytes;
#endif
}

Status memory_alloc(size_t bytes, void **ret)
{
    refusals++; /* until it is granted */
    if (bytes > PIECE_MAX)
        return status_new(CODE_MEMORY, "a buffer of %.1f MiB is beyond what one buffer may hold", mebibytes(bytes));
    if (!account_take(bytes)) {
        return status_new(CODE_MEMORY, "memory limit: %.1f MiB more needed, %.1f MiB in use, limit %.1f MiB; "
                          "raise --max-memory", mebibytes(bytes), mebibytes(memory_in_use()),
                          mebibytes(atomic_load(&limit_bytes)));
    }
    void *piece;
    if (posix_memalign(&piece, 64, HEADER + bytes) != 0) {
        atomic_fetch_sub(&used_bytes, bytes);
        return status_new(CODE_MEMORY, "out of memory: %.1f MiB more needed, %.1f MiB in use", mebibytes(bytes),
                          mebibytes(memory_in_use()));
    }
    refusals--;
    ask_for_huge_pages(piece, HEADER + bytes);
    memcpy(piece, &bytes, sizeof bytes);
    poison_bytes(piece, HEADER);
    *ret = (char *)piece + HEADER;
    return NULL;
}

void memory_free(void *p)
{
    if (p == NULL)
        return;
    char *piece = (char *)p - HEADER;
    size_t bytes;
    unpoison_bytes(piece, HEADER);
    memcpy(&bytes, piece, sizeof bytes);
    atomic_fetch_sub(&used_bytes, bytes);
    free(piece);
}

void *xcalloc(size_t n, size_t size)
{
    size_t bytes;
    if (!size_mul(n, size, &bytes) || bytes > PIECE_MAX)
        memory_exhausted();
    void *p = calloc(1, bytes == 0 ? 1 : bytes);
    if (p == NULL)
        memory_exhausted();
    return p;
}

void *xrealloc(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (!size_mul(n, size, &bytes) || bytes > PIECE_MAX)
        memory_exhausted();
    p = realloc(p, bytes == 0 ? 1 : bytes);
    if (p == NULL)
        memory_exhausted();
    return p;
}

char *xstrdup(const char *s)
{
    size_t bytes = strlen(s) + 1;
    return memcpy(xcalloc(bytes, 1), s, bytes);
}

char *xvprintf(const char *format, va_list arguments)
{
    char *s;
    if (vasprintf(&s, format, arguments) < 0)
        memory_exhausted();
    return s;
}

char *xprintf(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *s = xvprintf(format, arguments);
    va_end(arguments);
    return s;
}

void memory_set_exhausted_handler(void (*handler)(void))
{
    exhausted_handler = handler;
}

void *array_reserve(void *array, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap)
        return array;
    size_t grown = *cap < 8 ? 8 : *cap;
    while (grown < need && size_mul(grown, 2, &grown))
        continue;
    array = xrealloc(array, MAX(grown, need), size);
    *cap = MAX(grown, need);
    return array;
}
