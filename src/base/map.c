/* map.c - string -> pointer: open addressing with linear probing, at most three quarters full.
 *
 *     key "b", home slot 2        | a | c | b . . . |        removing "a" moves the followers of its run back
 *                                   ^home of a, c            towards their homes, so no tombstones are needed
 */
#include "src/base/base.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 16

typedef struct Slot {
    MapEntry entry; /* key NULL: empty */
    uint64_t hash;
} Slot;

struct Map {
    Slot *slots;
    size_t n, cap; /* cap: a power of two */
    uint64_t seed;
};

static uint64_t key_hash(const Map *map, const char *key)
{
    return hash_bytes(key, strlen(key), map->seed);
}

/* The slot that holds `key`, or the empty one where it would go. */
static size_t slot_find(const Map *map, const char *key, uint64_t hash)
{
    size_t i = (size_t)hash & (map->cap - 1);
    while (map->slots[i].entry.key != NULL && (map->slots[i].hash != hash || strcmp(map->slots[i].entry.key, key) != 0))
        i = (i + 1) & (map->cap - 1);
    return i;
}

static void map_grow(Map *map)
{
    Slot *old = map->slots;
    size_t old_cap = map->cap;
    map->cap *= 2;
    map->slots = xcalloc(map->cap, sizeof *map->slots);
    for (size_t i = 0; i < old_cap; i++) {
        if (old[i].entry.key == NULL)
            continue;
        size_t j = (size_t)old[i].hash & (map->cap - 1);
        while (map->slots[j].entry.key != NULL)
            j = (j + 1) & (map->cap - 1);
        map->slots[j] = old[i];
    }
    free(old);
}

Map *map_new(void)
{
    Map *map = xcalloc(1, sizeof *map);
    map->cap = SLOTS_FIRST;
    map->slots = xcalloc(map->cap, sizeof *map->slots);
    /* The place in memory as seed: a model file cannot be made so that all its names collide. */
    map->seed = (uint64_t)(uintptr_t)map;
    return map;
}

void map_free(Map *map)
{
    if (map == NULL)
        return;
    free(map->slots);
    free(map);
}

void *map_get(const Map *map, const char *key)
{
    return map->slots[slot_find(map, key, key_hash(map, key))].entry.value;
}

bool map_has(const Map *map, const char *key)
{
    return map->slots[slot_find(map, key, key_hash(map, key))].entry.key != NULL;
}

MapEntry *map_entry(Map *map, const char *key)
{
    uint64_t hash = key_hash(map, key);
    size_t i = slot_find(map, key, hash);
    if (map->slots[i].entry.key != NULL)
        return &map->slots[i].entry;
    if ((map->n + 1) * 4 > map->cap * 3) {
        map_grow(map);
        i = slot_find(map, key, hash);
    }
    map->slots[i] = (Slot){{key, NULL}, hash};
    map->n++;
    return &map->slots[i].entry;
}

void map_put(Map *map, const char *key, void *value)
{
    *map_entry(map, key) = (MapEntry){key, value};
}

void map_remove(Map *map, const char *key)
{
    size_t mask = map->cap - 1;
    size_t hole = slot_find(map, key, key_hash(map, key));
    if (map->slots[hole].entry.key == NULL)
        return;
    for (size_t i = (hole + 1) & mask; map->slots[i].entry.key != NULL; i = (i + 1) & mask) {
        size_t home = (size_t)map->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) { /* its home does not lie between the hole and it */
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole] = (Slot){{NULL, NULL}, 0};
    map->n--;
}

size_t map_count(const Map *map)
{
    return map->n;
}
