/* map.c - string -> pointer: entries in the order in which they came, and an index of them by hash, open addressing with linear
 * probing, at most three quarters full.
 *
 *     places (8 bytes each)  | . | h1:0 | h2:2 | h3:1 | . |     hash and number of the entry; the home of "b" is that of "a", so it
 *     entries                | a | c | b |                      stands behind it; removing "a" moves the followers of its run back
 *                                                               towards their homes, so the index needs no tombstones
 *
 * Names are mostly asked for in the order in which they came: then entries are read in the order of memory, and the index is small
 * enough for the cache where a table of entries would not be.
 */
#include "src/base/base.h"

#include <stdlib.h>
#include <string.h>

#define PLACES_FIRST 16

typedef struct Place {
    uint32_t hash;
    uint32_t entry; /* its number, from 1; 0: empty */
} Place;

struct Map {
    Place *places;
    size_t n_places;       /* a power of two */
    MapEntry *entries;     /* key NULL: removed */
    size_t n, n_removed, cap;
    uint64_t seed;
};

/* All 32 bits count: the low ones say the home, the rest tell keys of one run apart. */
static uint32_t key_hash(const Map *map, const char *key)
{
    return (uint32_t)hash_bytes(key, strlen(key), map->seed);
}

/* The place that holds `key`, or the empty one where it would go. */
static size_t place_find(const Map *map, const char *key, uint32_t hash)
{
    size_t i = hash & (map->n_places - 1);
    for (; map->places[i].entry != 0; i = (i + 1) & (map->n_places - 1)) {
        const Place *place = &map->places[i];
        if (place->hash == hash && strcmp(map->entries[place->entry - 1].key, key) == 0)
            break;
    }
    return i;
}

static MapEntry *entry_of(const Map *map, const char *key)
{
    const Place *place = &map->places[place_find(map, key, key_hash(map, key))];
    return place->entry == 0 ? NULL : &map->entries[place->entry - 1];
}

/* Closes the gaps between the entries: `numbers[old number]` is the new one. */
static void close_gaps(Map *map, Place *places, size_t n_places)
{
    uint32_t *numbers = xcalloc(map->n + 1, sizeof *numbers);
    size_t kept = 0;
    for (size_t i = 0; i < map->n; i++) {
        if (map->entries[i].key == NULL)
            continue;
        map->entries[kept++] = map->entries[i];
        numbers[i + 1] = (uint32_t)kept;
    }
    for (size_t i = 0; i < n_places; i++)
        places[i].entry = numbers[places[i].entry];
    free(numbers);
    map->n = kept;
    map->n_removed = 0;
}

static void index_resize(Map *map, size_t n_places)
{
    Place *old = map->places;
    size_t n_old = map->n_places;
    map->n_places = n_places;
    map->places = xcalloc(n_places, sizeof *map->places);
    for (size_t i = 0; i < n_old; i++) {
        if (old[i].entry == 0)
            continue;
        size_t j = old[i].hash & (n_places - 1);
        while (map->places[j].entry != 0)
            j = (j + 1) & (n_places - 1);
        map->places[j] = old[i];
    }
    free(old);
}

/* Room for one entry more. Gaps are closed when half of the entries are such: each removal pays for it once. */
static void make_room(Map *map)
{
    if (map->n < map->cap)
        return;
    if (map->n_removed * 2 > map->n)
        close_gaps(map, map->places, map->n_places);
    if (map->n >= UINT32_MAX - 1)
        xcalloc(SIZE_MAX, 1); /* ends the process */
    map->entries = array_reserve(map->entries, &map->cap, map->n + 1, sizeof *map->entries);
}

Map *map_new(void)
{
    Map *map = xcalloc(1, sizeof *map);
    map->n_places = PLACES_FIRST;
    map->places = xcalloc(map->n_places, sizeof *map->places);
    /* The place in memory as seed: a model file cannot be made so that all its names collide. */
    map->seed = (uint64_t)(uintptr_t)map;
    return map;
}

void map_free(Map *map)
{
    if (map == NULL)
        return;
    free(map->places);
    free(map->entries);
    free(map);
}

void *map_get(const Map *map, const char *key)
{
    const MapEntry *entry = entry_of(map, key);
    return entry == NULL ? NULL : entry->value;
}

bool map_has(const Map *map, const char *key)
{
    return entry_of(map, key) != NULL;
}

MapEntry *map_entry(Map *map, const char *key)
{
    uint32_t hash = key_hash(map, key);
    size_t i = place_find(map, key, hash);
    if (map->places[i].entry != 0)
        return &map->entries[map->places[i].entry - 1];
    make_room(map);
    if ((map_count(map) + 1) * 4 > map->n_places * 3)
        index_resize(map, map->n_places * 2);
    i = place_find(map, key, hash);
    map->entries[map->n++] = (MapEntry){key, NULL};
    map->places[i] = (Place){hash, (uint32_t)map->n};
    return &map->entries[map->n - 1];
}

void map_put(Map *map, const char *key, void *value)
{
    *map_entry(map, key) = (MapEntry){key, value};
}

void map_remove(Map *map, const char *key)
{
    size_t mask = map->n_places - 1;
    size_t hole = place_find(map, key, key_hash(map, key));
    if (map->places[hole].entry == 0)
        return;
    map->entries[map->places[hole].entry - 1] = (MapEntry){NULL, NULL};
    map->n_removed++;
    for (size_t i = (hole + 1) & mask; map->places[i].entry != 0; i = (i + 1) & mask) {
        size_t home = map->places[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) { /* its home does not lie between the hole and it */
            map->places[hole] = map->places[i];
            hole = i;
        }
    }
    map->places[hole] = (Place){0, 0};
}

size_t map_count(const Map *map)
{
    return map->n - map->n_removed;
}

void map_ask(const Map *map, const char *key)
{
    __builtin_prefetch(&map->places[key_hash(map, key) & (map->n_places - 1)]);
}

const MapEntry *map_next(const Map *map, size_t *at)
{
    while (*at < map->n && map->entries[*at].key == NULL)
        ++*at;
    return *at < map->n ? &map->entries[(*at)++] : NULL;
}

void map_reserve(Map *map, size_t n)
{
    size_t n_places = map->n_places;
    while (n > n_places / 4 * 3 && n_places <= SIZE_MAX / 4)
        n_places *= 2;
    if (n_places > map->n_places)
        index_resize(map, n_places);
    map->entries = array_reserve(map->entries, &map->cap, n, sizeof *map->entries);
}
