/* test_memory.c - status, checked sizes, counted memory, arenas. */
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static Status inner(bool good)
{
    return good ? NULL : status_new(CODE_MODEL, "value '%s' has %d channels", "x", 3);
}

static Status outer(bool good, int *ret)
{
    TRY(status_prefix(inner(good), "node '%s'", "conv1"));
    *ret = 1;
    return NULL;
}

TEST(status_carries_code_and_words)
{
    int reached = 0;
    CHECK_OK(outer(true, &reached));
    CHECK_INT(reached, 1);
    reached = 0;
    Status status = outer(false, &reached);
    CHECK_INT(reached, 0);
    CHECK_INT(status_code(status), CODE_MODEL);
    CHECK_TEXT(status_message(status), "node 'conv1': value 'x' has 3 channels");
    status_free(status);
    CHECK_INT(status_code(NULL), CODE_OK);
    CHECK_TEXT(status_message(NULL), "");
}

TEST(size_arithmetic_detects_overflow)
{
    size_t r = 7;
    CHECK(!size_mul(SIZE_MAX / 2 + 1, 2, &r));
    CHECK(!size_add(SIZE_MAX, 1, &r));
    CHECK_INT(r, 7);
    CHECK(size_mul(SIZE_MAX / 2, 2, &r));
    CHECK(r == SIZE_MAX - 1);
    CHECK(size_add(r, 1, &r));
    CHECK(r == SIZE_MAX);
    CHECK(size_mul(0, SIZE_MAX, &r));
    CHECK_INT(r, 0);
}

TEST(memory_is_aligned_and_counted)
{
    size_t before = memory_in_use();
    void *a = NULL, *b = NULL;
    CHECK_OK(memory_alloc(100, &a));
    CHECK_OK(memory_alloc(0, &b));
    CHECK(a != NULL && b != NULL && a != b);
    CHECK_INT((uintptr_t)a % 64, 0);
    CHECK_INT((uintptr_t)b % 64, 0);
    CHECK_INT(memory_in_use() - before, 100);
    memset(a, 1, 100);
    memory_free(a);
    memory_free(b);
    memory_free(NULL);
    CHECK_INT(memory_in_use(), before);
}

TEST(memory_limit_holds)
{
    size_t before = memory_in_use();
    void *a = NULL, *b = NULL;
    memory_set_limit(before + 1000);
    CHECK_OK(memory_alloc(600, &a));
    CHECK_FAILS(memory_alloc(401, &b), CODE_MEMORY, "--max-memory");
    CHECK(b == NULL);
    CHECK_INT(memory_in_use() - before, 600);
    CHECK_OK(memory_alloc(400, &b));
    memory_free(a);
    memory_free(b);
    memory_set_limit(0);
    b = NULL;
    CHECK_FAILS(memory_alloc(SIZE_MAX - 10, &b), CODE_MEMORY, "beyond");
    CHECK(b == NULL);
    CHECK_INT(memory_in_use(), before);
}

static void leave_with_6(void)
{
    _exit(6);
}

TEST(exhausted_memory_ends_through_the_handler)
{
    pid_t child = fork();
    if (child == 0) {
        memory_set_exhausted_handler(leave_with_6);
        xcalloc(SIZE_MAX / 2, 3);
        _exit(0);
    }
    int ended = 0;
    CHECK(child > 0 && waitpid(child, &ended, 0) == child);
    CHECK(WIFEXITED(ended));
    CHECK_INT(WEXITSTATUS(ended), 6);
}

TEST(small_allocations)
{
    int *zeros = xcalloc(3, sizeof *zeros);
    CHECK(zeros[0] == 0 && zeros[1] == 0 && zeros[2] == 0);
    free(zeros);
    void *none = xcalloc(0, 8);
    CHECK(none != NULL);
    none = xrealloc(none, 0, 8);
    CHECK(none != NULL);
    free(none);
    char *s = xprintf("%s-%d", "a", 5), *copy = xstrdup(s);
    CHECK_TEXT(copy, "a-5");
    free(s);
    free(copy);
}

TEST(array_reserve_grows_in_doubles)
{
    int *array = NULL;
    size_t cap = 0, moves = 0;
    for (size_t n = 0; n < 1000; n++) {
        size_t old = cap;
        array = array_reserve(array, &cap, n + 1, sizeof *array);
        moves += cap != old;
        CHECK(cap >= n + 1);
        array[n] = (int)n;
    }
    CHECK_INT(array[0], 0);
    CHECK_INT(array[999], 999);
    CHECK(moves <= 8);
    array = array_reserve(array, &cap, 5000, sizeof *array);
    CHECK(cap >= 5000);
    array[4999] = 1;
    free(array);
}

TEST(arena_gives_zeroed_aligned_pieces)
{
    Arena *arena = arena_new();
    for (size_t bytes = 0; bytes < 3000; bytes += 7) {
        unsigned char *p = arena_alloc(arena, bytes);
        CHECK(p != NULL);
        CHECK_INT((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < bytes; i++) {
            if (p[i] != 0) {
                CHECK(p[i] == 0);
                break;
            }
        }
        memset(p, 0xAB, bytes);
    }
    char *big = arena_array(arena, 3000000, 1), *after = arena_strdup(arena, "after");
    CHECK(big[0] == 0 && big[2999999] == 0);
    big[2999999] = 'x';
    CHECK_TEXT(after, "after");
    arena_free(arena);
    arena_free(NULL);
}

TEST(arena_text)
{
    Arena *arena = arena_new();
    CHECK_TEXT(arena_strndup(arena, "hello", 3), "hel");
    CHECK_TEXT(arena_strndup(arena, "hello", 9), "hello");
    CHECK_TEXT(arena_strndup(arena, NULL, 0), "");
    CHECK_TEXT(arena_printf(arena, "%d/%s", 42, "x"), "42/x");
    CHECK(memcmp(arena_copy(arena, "ab\0c", 4), "ab\0c", 4) == 0);
    CHECK(arena_copy(arena, NULL, 0) != NULL);
    arena_free(arena);
}

TEST(arena_rewinds_to_a_mark)
{
    Arena *arena = arena_new();
    ArenaMark empty = arena_mark(arena);
    char *kept = arena_strdup(arena, "kept");
    ArenaMark mark = arena_mark(arena);
    char *first = arena_alloc(arena, 64);
    memset(first, 'z', 64);
    for (int i = 0; i < 300; i++) /* over many blocks, one of them large */
        memset(arena_alloc(arena, i == 150 ? (size_t)2 << 20 : 5000), 'z', 5000);
    arena_rewind(arena, mark);
    char *again = arena_alloc(arena, 64);
    CHECK(again == first);
    for (int i = 0; i < 64; i++)
        CHECK_INT(again[i], 0);
    char *more = arena_alloc(arena, 50000); /* from the block kept as spare, dirty before */
    for (int i = 0; i < 50000; i += 100)
        CHECK_INT(more[i], 0);
    CHECK_TEXT(kept, "kept");
    arena_rewind(arena, empty);
    CHECK(arena_mark(arena).block == NULL);
    CHECK_INT(*(char *)arena_alloc(arena, 1), 0);
    arena_free(arena);
}

static char order[8];

static void note_order(void *object)
{
    strncat(order, object, 1);
}

TEST(arena_releases_last_first)
{
    Arena *arena = arena_new();
    order[0] = '\0';
    ArenaMark mark = arena_mark(arena);
    arena_on_free(arena, note_order, arena_strdup(arena, "a"));
    mark = arena_mark(arena);
    arena_alloc(arena, 10);
    arena_on_free(arena, note_order, (char[]){"b"});
    arena_rewind(arena, mark);
    CHECK_TEXT(order, "");
    arena_free(arena);
    CHECK_TEXT(order, "ba");
}

TEST(peak_memory_holds_what_was_touched)
{
    enum { MIB = 1 << 20 };
    volatile char *block = calloc(64, MIB);
    for (size_t i = 0; i < 64 * (size_t)MIB; i += 1024)
        block[i] = 1;
    size_t peak = peak_memory_bytes();
    CHECK(peak > 64 * (size_t)MIB);
    CHECK(peak < 4096 * (size_t)MIB);
    free((void *)block);
    CHECK(peak_memory_bytes() + MIB >= peak); /* the kernel sums pages of processors up in batches: the figure is off by some */
}
