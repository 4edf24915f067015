/* external.c - tensors whose bytes stand in files beside the model.
 *
 *     external_data: location "weights.bin"   offset "4096"   length "6912"      relative to the model's folder
 *
 * A model comes from others: a location that leaves its folder, by itself or through a link, is refused. Each file is
 * mapped once, and the mappings live as long as the model, which points into them.
 */
#include "src/onnx/proto.h"

#include "src/base/error_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct External {
    Arena *arena;
    const char *model_path, *folder; /* as given */
    Map *files;         /* location -> FileMap */
};

/* What the tensor says of its place. */
typedef struct Place {
    const char *location;
    uint64_t offset, length;
    bool has_length;
} Place;

static void free_map(void *map)
{
    map_free(map);
}

static void unmap_file(void *map)
{
    file_unmap(map);
}

static const char *folder_of(Arena *arena, const char *path)
{
    const char *base = path_base(path);
    if (base == path)
        return ".";
    return arena_strndup(arena, path, base - path > 1 ? (size_t)(base - path) - 1 : 1);
}

External *external_new(Arena *arena, const char *model_path)
{
    External *external = arena_alloc(arena, sizeof *external);
    external->arena = arena;
    external->model_path = model_path;
    external->folder = folder_of(arena, model_path);
    external->files = map_new();
    arena_on_free(arena, free_map, external->files);
    return external;
}

static MUST_USE Status parse_number(const char *tensor, const char *key, const char *text, uint64_t *ret)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0)
        return status_new(CODE_MODEL, "tensor '%s': external data has %s '%s', which is no number of bytes", tensor,
                          key, text);
    *ret = (uint64_t)value;
    return NULL;
}

/* Relative, and never above the model's folder on its way. */
static bool location_stays(const char *location)
{
    int depth = 0;
    if (location[0] == '/')
        return false;
    for (const char *part = location; *part != '\0';) {
        size_t length = strcspn(part, "/");
        if (length == 2 && part[0] == '.' && part[1] == '.')
            depth--;
        else if (length > 0 && !(length == 1 && part[0] == '.'))
            depth++;
        if (depth < 0)
            return false;
        part += length;
        part += *part == '/';
    }
    return true;
}

static MUST_USE Status read_place(const Onnx__TensorProto *proto, Place *ret)
{
    const char *name = proto_text(proto->name);
    Place place = {0};
    for (size_t i = 0; i < proto->n_external_data; i++) {
        const char *key = proto_text(proto->external_data[i]->key);
        const char *value = proto_text(proto->external_data[i]->value);
        if (strcmp(key, "location") == 0) {
            place.location = value;
        } else if (strcmp(key, "offset") == 0) {
            TRY(parse_number(name, key, value, &place.offset));
        } else if (strcmp(key, "length") == 0) {
            TRY(parse_number(name, key, value, &place.length));
            place.has_length = true;
        }
    }
    if (place.location == NULL || place.location[0] == '\0')
        return status_new(CODE_MODEL, "tensor '%s': external data has no location", name);
    if (!location_stays(place.location))
        return status_new(CODE_MODEL, "tensor '%s': external data file '%s' lies outside the model's folder", name,
                          place.location);
    *ret = place;
    return NULL;
}

/* Whether `path`, links resolved, lies in `folder`, links resolved. */
static bool lies_in(const char *path, const char *folder)
{
    char *real_path = realpath(path, NULL), *real_folder = realpath(folder, NULL);
    bool inside = false;
    if (real_path != NULL && real_folder != NULL) {
        size_t n = strlen(real_folder);
        inside = strncmp(real_path, real_folder, n) == 0 && (real_path[n] == '/' || strcmp(real_folder, "/") == 0);
    }
    free(real_path);
    free(real_folder);
    return inside;
}

/* In the model's folder, or, when the model is a link itself (download caches keep models so), in that of the file it
 * leads to. */
static bool link_stays(const External *external, const char *path)
{
    bool inside = lies_in(path, external->folder);
    char *model = inside ? NULL : realpath(external->model_path, NULL);
    if (model != NULL)
        inside = lies_in(path, folder_of(external->arena, model));
    free(model);
    return inside;
}

static MUST_USE Status open_file(External *external, const char *tensor, const char *location, size_t bytes,
                                 FileMap **ret)
{
    FileMap *map = map_get(external->files, location);
    if (map == NULL) {
        const char *path = arena_printf(external->arena, "%s/%s", external->folder, location);
        struct stat info;
        if (stat(path, &info) != 0)
            return status_new(CODE_MODEL, "tensor '%s': external data file '%s' (%zu bytes) cannot be found: %s; "
                              "put the file beside the model", tensor, path, bytes, error_text(errno));
        if (!S_ISREG(info.st_mode))
            return status_new(CODE_MODEL, "tensor '%s': external data '%s' is no regular file", tensor, path);
        if (!link_stays(external, path))
            return status_new(CODE_MODEL, "tensor '%s': external data file '%s' is a link out of the model's folder; "
                              "copy the file there", tensor, path);
        map = arena_alloc(external->arena, sizeof *map);
        TRY(status_prefix(file_map(path, CODE_MODEL, map), "tensor '%s'", tensor));
        arena_on_free(external->arena, unmap_file, map);
        map_put(external->files, location, map); /* the key lives as long as the message, as the model */
    }
    *ret = map;
    return NULL;
}

Status external_find(External *external, const Onnx__TensorProto *proto, size_t bytes, const void **ret)
{
    const char *name = proto_text(proto->name);
    Place place;
    FileMap *map;

    TRY(read_place(proto, &place));
    if (place.has_length && place.length != bytes)
        return status_new(CODE_MODEL, "tensor '%s' takes %zu bytes, its external data in '%s' has length %llu", name,
                          bytes, place.location, (unsigned long long)place.length);
    TRY(open_file(external, name, place.location, bytes, &map));
    if (place.offset > map->size || bytes > map->size - place.offset)
        return status_new(CODE_MODEL, "tensor '%s': external data file '%s' is too short: %zu bytes expected at offset "
                          "%llu, the file has %zu", name, place.location, bytes, (unsigned long long)place.offset,
                          map->size);
    *ret = map->data == NULL ? NULL : map->data + place.offset;
    return NULL;
}

typedef struct Search {
    const char *folder, *path;
    Arena *arena;
    Map *seen;
    bool found;
} Search;

static void search_graph(void *context, Graph *graph)
{
    Search *search = context;
    for (int i = 0; i < graph->n_initializers && !search->found; i++) {
        const Onnx__TensorProto *proto = graph->initializers[i]->tensor_origin;
        for (size_t e = 0; proto != NULL && e < proto->n_external_data; e++) {
            const char *location = proto_text(proto->external_data[e]->value);
            if (strcmp(proto_text(proto->external_data[e]->key), "location") != 0 || map_has(search->seen, location))
                continue;
            map_put(search->seen, location, search);
            if (path_same_file(arena_printf(search->arena, "%s/%s", search->folder, location), search->path))
                search->found = true;
        }
    }
}

bool onnx_reads_from(const Model *model, const char *path)
{
    Arena *arena = arena_new();
    const char *model_path = model->path == NULL ? "" : model->path;
    Search search = {folder_of(arena, model_path), path, arena, map_new(), false};
    graph_each(model->graph, search_graph, &search);
    map_free(search.seen);
    arena_free(arena);
    return search.found;
}

static void add_outside(void *context, Graph *graph)
{
    uint64_t *bytes = context;
    for (int i = 0; i < graph->n_initializers; i++) {
        const Onnx__TensorProto *proto = graph->initializers[i]->tensor_origin;
        if (proto != NULL && proto->n_external_data > 0)
            *bytes += graph->initializers[i]->constant->bytes;
    }
}

uint64_t onnx_external_bytes(const Model *model)
{
    uint64_t bytes = 0;
    graph_each(model->graph, add_outside, &bytes);
    return bytes;
}
