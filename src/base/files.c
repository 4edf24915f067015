/* files.c - reading: whole files mapped, folders listed, paths taken apart. Writing is in atomic.c. */
#include "src/base/base.h"
#include "src/base/error_text.h"
#include "src/base/pages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 64 /* folders within folders */

/* ---- mapping ----------------------------------------------------------------------------------------------------- */

Status file_map(const char *path, Code code, FileMap *ret)
{
    Status status = NULL;
    struct stat about;
    void *data = NULL;
    /* Non-blocking, or opening a pipe that nobody writes to would wait for ever. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return status_new(code, "cannot read '%s': %s", path, error_text(errno));
    if (fstat(fd, &about) != 0) {
        status = status_new(code, "cannot read '%s': %s", path, error_text(errno));
    } else if (S_ISDIR(about.st_mode)) {
        status = status_new(code, "cannot read '%s': is a folder, a file is needed", path);
    } else if (!S_ISREG(about.st_mode)) {
        status = status_new(code, "cannot read '%s': not a regular file; save the data to a file first", path);
    } else if ((uintmax_t)about.st_size > PTRDIFF_MAX) {
        status = status_new(code, "cannot read '%s': too large for this machine", path);
    } else if (about.st_size > 0) {
        data = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            status = status_new(code, "cannot read '%s': %s", path, error_text(errno));
    }
    close(fd);
    if (status == NULL)
        *ret = (FileMap){data, (size_t)about.st_size};
    return status;
}

void file_unmap(FileMap *map)
{
    if (map->data != NULL)
        munmap((void *)(uintptr_t)map->data, map->size);
    *map = (FileMap){NULL, 0};
}

void file_forget(const FileMap *map, size_t from, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t begin = (from + page - 1) / page * page, end = MIN(from + bytes, map->size) / page * page;
    if (map->data != NULL && begin < end)
        (void)madvise((void *)(uintptr_t)(map->data + begin), end - begin, MADV_DONTNEED); /* a wish */
}

/* ---- listing ----------------------------------------------------------------------------------------------------- */

typedef struct Folder {
    char *path;
    int depth;
} Folder;

typedef struct Folders {
    Folder *items;
    size_t n, cap;
} Folders;

/* A walk through a tree. Real folders come first, folders behind links after them in batches sorted by name: which of
 * several paths to one folder is taken then does not depend on the order in which the system lists names. */
typedef struct Walk {
    Code code;
    Folders real, links;
    Map *entered; /* "device:inode" of each folder entered */
    Arena *arena; /* the keys */
    FileList found;
} Walk;

static void folders_push(Folders *folders, char *path, int depth)
{
    folders->items = array_reserve(folders->items, &folders->cap, folders->n + 1, sizeof *folders->items);
    folders->items[folders->n++] = (Folder){path, depth};
}

static void folders_free(Folders *folders)
{
    for (size_t i = 0; i < folders->n; i++)
        free(folders->items[i].path);
    free(folders->items);
    *folders = (Folders){NULL, 0, 0};
}

static int compare_folders(const void *a, const void *b)
{
    return strcmp(((const Folder *)a)->path, ((const Folder *)b)->path);
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_push(FileList *list, char *path)
{
    list->paths = array_reserve(list->paths, &list->cap, list->n + 1, sizeof *list->paths);
    list->paths[list->n++] = path;
}

/* Sorts one name of a folder into files, folders and folders behind links; other kinds (pipes, devices) are left out.
 * A link that leads nowhere is listed as a file, so that whoever reads it reports it instead of missing data unseen. */
static Status walk_name(Walk *walk, const char *folder, const char *name, int depth)
{
    struct stat itself, target;
    bool slash = folder[0] != '\0' && folder[strlen(folder) - 1] == '/';
    char *path = xprintf("%s%s%s", folder, slash ? "" : "/", name);
    if (lstat(path, &itself) != 0) {
        int error = errno;
        bool gone = error == ENOENT; /* removed since the folder was read */
        Status status = gone ? NULL : status_new(walk->code, "cannot read '%s': %s", path, error_text(error));
        free(path);
        return status;
    }
    bool link = S_ISLNK(itself.st_mode);
    bool broken = link && stat(path, &target) != 0;
    if (!link)
        target = itself;
    if (broken || S_ISREG(target.st_mode))
        list_push(&walk->found, path);
    else if (S_ISDIR(target.st_mode))
        folders_push(link ? &walk->links : &walk->real, path, depth + 1);
    else
        free(path);
    return NULL;
}

/* Reads one folder, unless the walk has been there; consumes nothing. */
static Status walk_folder(Walk *walk, Folder folder)
{
    if (folder.depth > DEPTH_MAX)
        return status_new(walk->code, "'%s': folders are nested deeper than %d levels", folder.path, DEPTH_MAX);
    struct stat about;
    DIR *stream = opendir(folder.path);
    if (stream == NULL)
        return status_new(walk->code, "cannot read folder '%s': %s", folder.path, error_text(errno));
    Status status = NULL;
    if (fstat(dirfd(stream), &about) != 0) {
        status = status_new(walk->code, "cannot read folder '%s': %s", folder.path, error_text(errno));
        goto end;
    }
    const char *key = arena_printf(walk->arena, "%ju:%ju", (uintmax_t)about.st_dev, (uintmax_t)about.st_ino);
    if (map_has(walk->entered, key))
        goto end;
    map_put(walk->entered, key, NULL);
    while (status == NULL) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (entry == NULL) {
            if (errno != 0)
                status = status_new(walk->code, "cannot read folder '%s': %s", folder.path, error_text(errno));
            break;
        }
        if (entry->d_name[0] != '.')
            status = walk_name(walk, folder.path, entry->d_name, folder.depth);
    }
end:
    closedir(stream);
    return status;
}

/* Empties walk->real, into which each folder read puts the folders it holds. */
static Status walk_real_folders(Walk *walk)
{
    Status status = NULL;
    while (status == NULL && walk->real.n > 0) {
        Folder folder = walk->real.items[--walk->real.n];
        status = walk_folder(walk, folder);
        free(folder.path);
    }
    return status;
}

static Status walk_tree(Walk *walk, const char *path)
{
    folders_push(&walk->real, xstrdup(path), 0);
    Status status = walk_real_folders(walk);
    while (status == NULL && walk->links.n > 0) {
        Folders batch = walk->links;
        walk->links = (Folders){NULL, 0, 0};
        qsort(batch.items, batch.n, sizeof *batch.items, compare_folders);
        for (size_t i = 0; i < batch.n && status == NULL; i++) {
            status = walk_folder(walk, batch.items[i]);
            if (status == NULL)
                status = walk_real_folders(walk);
        }
        folders_free(&batch);
    }
    return status;
}

Status file_list(const char *path, Code code, FileList *ret)
{
    struct stat about;
    if (stat(path, &about) != 0)
        return status_new(code, "cannot read '%s': %s", path, error_text(errno));
    if (!S_ISDIR(about.st_mode) && !S_ISREG(about.st_mode))
        return status_new(code, "cannot read '%s': neither a file nor a folder", path);
    Walk walk = {.code = code, .entered = map_new(), .arena = arena_new()};
    Status status = NULL;
    if (S_ISREG(about.st_mode)) {
        list_push(&walk.found, xstrdup(path));
    } else {
        size_t length = strlen(path);
        while (length > 1 && path[length - 1] == '/')
            length--;
        status = walk_tree(&walk, arena_strndup(walk.arena, path, length));
    }
    if (status == NULL) {
        if (walk.found.n > 1)
            qsort(walk.found.paths, walk.found.n, sizeof *walk.found.paths, compare_paths);
        *ret = walk.found;
        walk.found = (FileList){NULL, 0, 0};
    }
    file_list_free(&walk.found);
    folders_free(&walk.real);
    folders_free(&walk.links);
    map_free(walk.entered);
    arena_free(walk.arena);
    return status;
}

void file_list_free(FileList *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->paths[i]);
    free(list->paths);
    *list = (FileList){NULL, 0, 0};
}

/* ---- paths ------------------------------------------------------------------------------------------------------- */

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

const char *path_extension(const char *path)
{
    const char *base = path_base(path);
    const char *dot = strrchr(base, '.');
    return dot == NULL || dot == base ? "" : dot + 1; /* ".name" is a hidden file without extension */
}

bool path_same_file(const char *a, const char *b)
{
    struct stat about_a, about_b;
    return stat(a, &about_a) == 0 && stat(b, &about_b) == 0 && about_a.st_dev == about_b.st_dev &&
           about_a.st_ino == about_b.st_ino;
}

static bool same_folder(const char *a, const char *b)
{
    char *folder_a = xprintf("%.*s.", (int)MIN(path_base(a) - a, (ptrdiff_t)INT_MAX), a);
    char *folder_b = xprintf("%.*s.", (int)MIN(path_base(b) - b, (ptrdiff_t)INT_MAX), b);
    bool same = path_same_file(folder_a, folder_b);
    free(folder_a);
    free(folder_b);
    return same;
}

bool path_same_target(const char *a, const char *b)
{
    return strcmp(a, b) == 0 || path_same_file(a, b) || (strcmp(path_base(a), path_base(b)) == 0 && same_folder(a, b));
}
