/* list.c - which files a data set is made of: a folder, one file, or a text file that lists them.
 *
 *     calib.txt:   cats/001.jpg            paths are relative to the list's folder; a label behind the path is left to
 *                  dogs/017.jpg 1          labels.c, so one file may serve as list and as labels
 *                  # comments and empty lines are skipped; of a folder's name its files are taken
 */
#include "calib/reader.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_LIST_BYTES ((size_t)1 << 28)

/* Length of the path on a line: without a last word that is a whole number. */
static size_t path_length(const char *line, size_t length)
{
    while (length > 0 && isspace((unsigned char)line[length - 1]))
        length--;
    size_t digits = length;
    while (digits > 0 && isdigit((unsigned char)line[digits - 1]))
        digits--;
    size_t blanks = digits;
    while (blanks > 0 && (line[blanks - 1] == ' ' || line[blanks - 1] == '\t'))
        blanks--;
    return digits < length && blanks < digits && blanks > 0 ? blanks : length;
}

/* Files that are missing stay in the list: they are told where samples are read. Pipes and devices would never end. */
static Status add_path(FileList *list, char *path)
{
    struct stat facts;
    FileList inside;
    Status status = NULL;
    if (stat(path, &facts) == 0 && S_ISDIR(facts.st_mode)) {
        status = file_list(path, CODE_DATA, &inside);
        for (size_t i = 0; status == NULL && i < inside.n; i++) {
            list->paths = array_reserve(list->paths, &list->cap, list->n + 1, sizeof list->paths[0]);
            list->paths[list->n++] = inside.paths[i];
            inside.paths[i] = NULL;
        }
        if (status == NULL)
            file_list_free(&inside);
        free(path);
        return status;
    }
    if (stat(path, &facts) == 0 && !S_ISREG(facts.st_mode)) {
        status = status_new(CODE_DATA, "'%s' is neither a file nor a folder", path);
        free(path);
        return status;
    }
    list->paths = array_reserve(list->paths, &list->cap, list->n + 1, sizeof list->paths[0]);
    list->paths[list->n++] = path;
    return NULL;
}

static Status add_line(FileList *list, const char *folder, size_t folder_length, const char *line, size_t length)
{
    while (length > 0 && isspace((unsigned char)*line)) {
        line++;
        length--;
    }
    length = path_length(line, length);
    if (length == 0 || line[0] == '#')
        return NULL;
    if (line[0] == '/')
        folder_length = 0;
    return add_path(list, xprintf("%.*s%.*s", (int)folder_length, folder, (int)length, line));
}

static Status read_list(const char *path, FileList *ret)
{
    FileMap map;
    FileList list = {0};
    TRY(file_map(path, CODE_DATA, &map));
    if (map.size > MAX_LIST_BYTES || memchr(map.data == NULL ? (const unsigned char *)"" : map.data, '\0', map.size) != NULL) {
        file_unmap(&map);
        return status_new(CODE_DATA, "'%s' is no list of files", path);
    }
    const char *at = (const char *)map.data, *end = at + map.size;
    Status status = NULL;
    while (at != NULL && at < end && status == NULL) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t length = newline == NULL ? (size_t)(end - at) : (size_t)(newline - at);
        status = add_line(&list, path, (size_t)(path_base(path) - path), at, length);
        at = newline == NULL ? end : newline + 1;
    }
    file_unmap(&map);
    if (status == NULL)
        *ret = list;
    else
        file_list_free(&list);
    return status_prefix(status, "%s", path);
}

Status data_list(const char *path, FileList *ret)
{
    const char *extension = path_extension(path);
    if (strcmp(extension, "txt") == 0 || strcmp(extension, "lst") == 0)
        return read_list(path, ret);
    return file_list(path, CODE_DATA, ret);
}
