/* list.h - growing arrays in the model's arena, for this room alone. */
#ifndef QUANTIZE_IR_LIST_H
#define QUANTIZE_IR_LIST_H

#include "src/base/base.h"

#include <string.h>

/* The first n elements of `list` in a fresh array with room for `cap`. The old one stays in the arena: doubling keeps
 * that below the size of the new one. */
static inline void *list_grow(Arena *arena, const void *list, size_t n, size_t cap, size_t size)
{
    void *grown = arena_array(arena, cap, size);
    if (n > 0)
        memcpy(grown, list, n * size);
    return grown;
}

/* Makes room for one more element behind the n of `list`; n and cap are of any integer type. */
#define LIST_ROOM(arena, list, n, cap)                                                                                 \
    do {                                                                                                               \
        if ((n) >= (cap)) {                                                                                            \
            (cap) = (n) < 2 ? 2 : (n) * 2;                                                                             \
            (list) = list_grow((arena), (list), (size_t)(n), (size_t)(cap), sizeof *(list));                           \
        }                                                                                                              \
    } while (0)

/* Objects of one kind that are made one by one, cut from common pieces: what is made one after the other lies side by
 * side, so that a walk along a list of them reads memory in order. In a large graph that is ten times faster than one
 * cache miss a step. */
#define SLAB_OBJECTS 128
#define CACHE_LINE 64

static inline void *slab_take(Arena *arena, Slab *slab, size_t size)
{
    size = (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    if (slab->left == 0) {
        char *room = arena_alloc(arena, SLAB_OBJECTS * size + CACHE_LINE - 1);
        slab->next = room + (CACHE_LINE - (uintptr_t)room % CACHE_LINE) % CACHE_LINE;
        slab->left = SLAB_OBJECTS;
    }
    void *object = slab->next;
    slab->next = (char *)object + size;
    slab->left--;
    return object;
}

#endif
