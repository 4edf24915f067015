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

#endif
