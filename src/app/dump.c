/* dump.c - tensors of a plan as .npy files: FOLDER/SAMPLE.VALUE.npy. */
#include "src/app/app.h"

#include "calib/calib.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* Names of files hold no slashes; names of values may. */
static char *file_name(Arena *arena, const char *folder, const char *sample, const char *value)
{
    char *name = arena_printf(arena, "%s.%s.npy", sample, value);
    for (char *at = name; *at != '\0'; at++)
        if (*at == '/' || *at == ':')
            *at = '_';
    return arena_printf(arena, "%s/%s", folder, name);
}

Status dump_folder(const char *path)
{
    if (path == NULL || mkdir(path, 0777) == 0 || errno == EEXIST)
        return NULL;
    return status_new(CODE_WRITE, "cannot make the folder '%s': %s", path, strerror(errno));
}

Status dump_tensors(const char *folder, const char *sample, const Plan *plan, int n,
                    const Value *(*value)(const Plan *plan, int i), const Tensor *tensors)
{
    Arena *arena = arena_new();
    Status status = NULL;
    for (int i = 0; i < n && status == NULL; i++)
        status = npy_write(file_name(arena, folder, sample, value(plan, i)->name), &tensors[i]);
    arena_free(arena);
    return status;
}
