/* arena.c - memory with one lifetime: pieces cut from blocks, given back all at once or down to a mark.
 *
 *     top ->  | block 3: piece piece ..free.. |      a piece larger than a block gets a block of its own;
 *                | below                             a rewind drops the blocks above the mark and cuts `used` there,
 *             | block 2: piece piece piece . |       keeping one dropped block as spare so that a loop of
 *                | below                             mark / alloc / rewind does not go to the system each time
 *             | block 1: piece .............. |
 */
#include "src/base/base.h"
#include "src/base/poison.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGNMENT 16
#define BLOCK_FIRST ((size_t)8 << 10)
#define BLOCK_LAST HUGE_PAGE
/* Blocks of this size and more are mapped in multiples of it, for the system to back with large pages: a graph of 100,000 nodes
 * is walked many times, and with small pages each step would be a miss of the address cache too. */
#define HUGE_PAGE ((size_t)2 << 20)
#define SPARE_MOST (4 * HUGE_PAGE)

typedef struct Block {
    struct Block *below;
    size_t size, used; /* bytes of data */
    size_t dirty;      /* data[dirty..] was never handed out: still zero */
    _Alignas(ALIGNMENT) unsigned char data[];
} Block;

typedef struct Release {
    struct Release *next;
    void (*release)(void *object);
    void *object;
} Release;

struct Arena {
    Block *top, *spare;
    size_t next_size;
    Release *releases;
};

static bool block_is_mapped(const Block *block)
{
    return sizeof(Block) + block->size >= HUGE_PAGE;
}

static void block_free(Block *block)
{
    if (block == NULL)
        return;
    unpoison_bytes(block->data, block->size);
    if (block_is_mapped(block))
        munmap(block, sizeof(Block) + block->size);
    else
        free(block);
}

/* A zeroed block of `bytes`, a multiple of HUGE_PAGE, aligned to it: more is mapped, and what lies around given back. */
static Block *block_map(size_t bytes)
{
    size_t wide = 0;
    void *mapped = MAP_FAILED;
    if (size_add(bytes, HUGE_PAGE, &wide))
        mapped = mmap(NULL, wide, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED)
        xcalloc(SIZE_MAX, 1); /* ends the process */
    char *start = mapped;
    size_t before = (HUGE_PAGE - (uintptr_t)start % HUGE_PAGE) % HUGE_PAGE;
    if (before > 0)
        munmap(start, before);
    if (wide - before > bytes)
        munmap(start + before + bytes, wide - before - bytes);
    madvise(start + before, bytes, MADV_HUGEPAGE); /* a wish: without it all works as well */
    return (Block *)(void *)(start + before);
}

static void block_push(Arena *arena, size_t need)
{
    Block *block = arena->spare;
    if (block != NULL && block->size >= need) {
        arena->spare = NULL;
    } else {
        size_t size = MAX(need, arena->next_size), bytes = SIZE_MAX;
        if (!size_add(sizeof(Block), size, &bytes))
            bytes = SIZE_MAX; /* xcalloc ends the process */
        if (bytes >= HUGE_PAGE && size_add(bytes, HUGE_PAGE - 1, &bytes)) {
            bytes -= bytes % HUGE_PAGE;
            block = block_map(bytes);
        } else {
            block = xcalloc(bytes, 1);
        }
        block->size = size = bytes - sizeof(Block);
        poison_bytes(block->data, size);
        arena->next_size = MIN(arena->next_size * 2, BLOCK_LAST);
    }
    block->below = arena->top;
    arena->top = block;
}

static void block_pop(Arena *arena)
{
    Block *block = arena->top;
    arena->top = block->below;
    if (block->size > SPARE_MOST || (arena->spare != NULL && arena->spare->size >= block->size)) {
        block_free(block);
        return;
    }
    poison_bytes(block->data, block->used);
    block->used = 0;
    block_free(arena->spare);
    arena->spare = block;
}

Arena *arena_new(void)
{
    Arena *arena = xcalloc(1, sizeof *arena);
    arena->next_size = BLOCK_FIRST;
    return arena;
}

void arena_free(Arena *arena)
{
    if (arena == NULL)
        return;
    while (arena->releases != NULL) { /* before the blocks go: the objects may lie in them */
        Release *release = arena->releases;
        arena->releases = release->next;
        release->release(release->object);
        free(release);
    }
    while (arena->top != NULL) {
        Block *block = arena->top;
        arena->top = block->below;
        block_free(block);
    }
    block_free(arena->spare);
    free(arena);
}

void *arena_alloc(Arena *arena, size_t bytes)
{
    size_t need = SIZE_MAX;
    if (!size_add(MAX(bytes, 1), ALIGNMENT - 1 + POISON_GAP, &need))
        xcalloc(SIZE_MAX, 1); /* ends the process */
    need -= need % ALIGNMENT;
    if (arena->top == NULL || arena->top->size - arena->top->used < need)
        block_push(arena, need);
    Block *block = arena->top;
    unsigned char *p = block->data + block->used;
    unpoison_bytes(p, bytes);
    if (block->dirty > block->used)
        memset(p, 0, MIN(bytes, block->dirty - block->used));
    block->used += need;
    block->dirty = MAX(block->dirty, block->used);
    return p;
}

void *arena_array(Arena *arena, size_t n, size_t size)
{
    size_t bytes = SIZE_MAX;
    if (!size_mul(n, size, &bytes))
        bytes = SIZE_MAX; /* arena_alloc ends the process */
    return arena_alloc(arena, bytes);
}

void *arena_copy(Arena *arena, const void *data, size_t bytes)
{
    void *p = arena_alloc(arena, bytes);
    if (bytes > 0)
        memcpy(p, data, bytes);
    return p;
}

char *arena_strdup(Arena *arena, const char *s)
{
    return arena_copy(arena, s, strlen(s) + 1);
}

char *arena_strndup(Arena *arena, const char *s, size_t n)
{
    size_t length = n == 0 ? 0 : strnlen(s, n);
    char *copy = arena_alloc(arena, length + 1);
    if (length > 0)
        memcpy(copy, s, length);
    return copy;
}

char *arena_printf(Arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = xvprintf(format, arguments);
    va_end(arguments);
    char *copy = arena_strdup(arena, text);
    free(text);
    return copy;
}

ArenaMark arena_mark(Arena *arena)
{
    return (ArenaMark){arena->top, arena->top == NULL ? 0 : arena->top->used};
}

void arena_rewind(Arena *arena, ArenaMark mark)
{
    while (arena->top != mark.block) {
        assert(arena->top != NULL); /* a mark of another arena, or one already rewound past */
        block_pop(arena);
    }
    Block *block = arena->top;
    if (block == NULL)
        return;
    assert(mark.used <= block->used);
    poison_bytes(block->data + mark.used, block->used - mark.used);
    block->used = mark.used;
}

size_t arena_bytes(const Arena *arena)
{
    size_t bytes = 0;
    for (const Block *block = arena->top; block != NULL; block = block->below)
        bytes += block->used;
    return bytes;
}

void arena_on_free(Arena *arena, void (*release)(void *object), void *object)
{
    Release *entry = xcalloc(1, sizeof *entry);
    *entry = (Release){arena->releases, release, object};
    arena->releases = entry;
}
