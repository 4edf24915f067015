/* labels.c - which class each file is: lines `file index`, by blanks or a TAB, `class/file index` too.
 *
 *     labels_get("/data/cat/01.png")   asks for "/data/cat/01.png", "data/cat/01.png", "cat/01.png", "01.png",
 *                                      and last for the one entry whose base name is "01.png"
 *
 * So lists that name paths relative to any folder above the file fit; a bare name that stands for two files fits none.
 */
#include "calib/calib.h"

#include <stdlib.h>
#include <string.h>

#define INDEX_MAX 100000000

typedef struct Label {
    int64_t index;
} Label;

struct Labels {
    Arena *arena;
    Map *by_path; /* as written, "./" left out -> Label */
    Map *by_base; /* base name -> Label; index -1 when several files share it */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Digits up to `end`; -1 when it is anything else. */
static int64_t read_index(const char *text, const char *end)
{
    int64_t index = 0;
    for (const char *p = text; p < end; p++) {
        if (*p < '0' || *p > '9' || index > INDEX_MAX)
            return -1;
        index = index * 10 + (*p - '0');
    }
    return text < end && index <= INDEX_MAX ? index : -1;
}

static Status add_line(Labels *labels, const char *line, const char *end)
{
    while (line < end && is_blank(*line))
        line++;
    while (end > line && is_blank(end[-1]))
        end--;
    if (line == end)
        return NULL;
    const char *number = end;
    while (number > line && !is_blank(number[-1]))
        number--;
    const char *file_end = number;
    while (file_end > line && is_blank(file_end[-1]))
        file_end--;
    int64_t index = read_index(number, end);
    if (file_end == line || index < 0)
        return status_new(CODE_DATA, "expects `file index`, e.g. `cat/01.jpg 3`");
    if (memchr(line, '\0', (size_t)(end - line)) != NULL)
        return status_new(CODE_DATA, "is no text");
    if (file_end - line > 2 && line[0] == '.' && line[1] == '/')
        line += 2;
    const char *file = arena_strndup(labels->arena, line, (size_t)(file_end - line));
    if (map_has(labels->by_path, file))
        return status_new(CODE_DATA, "'%s' is listed twice", file);
    Label *label = arena_alloc(labels->arena, sizeof *label);
    label->index = index;
    map_put(labels->by_path, file, label);
    Label *base = arena_alloc(labels->arena, sizeof *base);
    base->index = map_has(labels->by_base, path_base(file)) ? -1 : index;
    map_put(labels->by_base, path_base(file), base);
    return NULL;
}

static Status read_lines(Labels *labels, const char *path, const char *text, size_t size)
{
    int64_t line = 1;
    for (size_t at = 0; at < size; line++) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end == NULL ? size - at : (size_t)(end - (text + at));
        TRY(status_prefix(add_line(labels, text + at, text + at + length), "%s:%lld", path, (long long)line));
        at += length + 1;
    }
    if (map_count(labels->by_path) == 0)
        return status_new(CODE_DATA, "%s: no labels in it: expects lines `file index`", path);
    return NULL;
}

Status labels_read(const char *path, Labels **ret)
{
    FileMap map;
    TRY(file_map(path, CODE_DATA, &map));
    Labels *labels = xcalloc(1, sizeof *labels);
    labels->arena = arena_new();
    labels->by_path = map_new();
    labels->by_base = map_new();
    Status status = read_lines(labels, path, (const char *)map.data, map.size);
    file_unmap(&map);
    if (status != NULL)
        labels_free(labels);
    else
        *ret = labels;
    return status;
}

void labels_free(Labels *labels)
{
    if (labels == NULL)
        return;
    map_free(labels->by_path);
    map_free(labels->by_base);
    arena_free(labels->arena);
    free(labels);
}

int64_t labels_get(const Labels *labels, const char *file)
{
    for (const char *suffix = file; suffix != NULL;) {
        const Label *label = map_get(labels->by_path, suffix);
        if (label != NULL)
            return label->index;
        const char *slash = strchr(suffix, '/');
        suffix = slash == NULL ? NULL : slash + 1;
    }
    const Label *label = map_get(labels->by_base, path_base(file));
    return label == NULL ? -1 : label->index;
}

size_t labels_count(const Labels *labels)
{
    return map_count(labels->by_path);
}
