/* atomic.c - a file that appears whole or not at all.
 *
 *     open     out/.model.onnx.k3v9xq   created beside the target (a rename works within one file system only)
 *     write    ...                      the target, if there is one, is still the old file
 *     commit   fsync, rename to out/model.onnx, fsync of out/: after a crash the old file is there or the new one
 *     abandon  unlink
 *
 * The names of open temporaries stand in a table that a signal handler may read. A pipe, a device or /dev/stdout cannot
 * be replaced: those are written straight.
 */
#include "src/base/base.h"
#include "src/base/error_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES ((size_t)64 << 10)
#define WRITE_BYTES ((size_t)1 << 30) /* at most so much in one system call, which takes no more than 2 GiB */
#define OPEN_MAX_FILES 64
#define NAME_PART_MAX 200 /* of the target's name in the temporary's: file systems allow 255 bytes in all */
#define ATTEMPTS 100

struct AtomicFile {
    int fd;
    char *path;      /* as the caller named it, for messages */
    char *target;    /* what is replaced: path, or what it links to */
    char *temporary; /* NULL: written straight */
    int slot;        /* of `temporary` in the table below */
    bool failed;     /* a write has failed: never commit */
    bool skip_sync;
    unsigned char *buffer;
    size_t held;
};

/* The names of open temporaries. Whoever takes a name out of the table owns it: the file's owner frees it, the signal
 * handler must not and leaves it in `left` (the process is about to end). */
static struct {
    char *_Atomic name;
    char *left;
} temporaries[OPEN_MAX_FILES];

static int register_temporary(char *name)
{
    for (int i = 0; i < OPEN_MAX_FILES; i++) {
        char *empty = NULL;
        if (atomic_compare_exchange_strong(&temporaries[i].name, &empty, name))
            return i;
    }
    return -1;
}

/* Takes the name out and frees it, unless atomic_abandon_all() has it. */
static void forget_temporary(int slot)
{
    free(atomic_exchange(&temporaries[slot].name, NULL));
}

static Status write_error(const AtomicFile *file, int error)
{
    return status_new(CODE_WRITE, "cannot write '%s': %s", file->path, error_text(error));
}

/* Frees all but the temporary on disk. */
static void release(AtomicFile *file)
{
    if (file->fd >= 0)
        close(file->fd);
    if (file->slot >= 0)
        forget_temporary(file->slot);
    free(file->buffer);
    free(file->target);
    free(file->path);
    free(file);
}

/* "out/model.onnx" -> "out/.model.onnx.k3v9xq" */
static char *temporary_name(const char *target)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
    const char *base = path_base(target);
    unsigned char random[6];
    char suffix[7] = "";
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return NULL;
    for (size_t i = 0; i < sizeof random; i++)
        suffix[i] = letters[random[i] % 32];
    return xprintf("%.*s.%.*s.%s", (int)(base - target), target, NAME_PART_MAX, base, suffix);
}

/* The folder of a path, as a new string: "out/model.onnx" -> "out/", "model.onnx" -> ".". */
static char *folder_of(const char *path)
{
    size_t length = (size_t)(path_base(path) - path);
    return length == 0 ? xstrdup(".") : xprintf("%.*s", (int)length, path);
}

/* Names for streams that are open already: a file behind them must not be replaced, and a socket cannot be opened. */
static int stream_of(const char *path)
{
    static const struct {
        const char *name;
        int fd;
    } streams[] = {
        {"/dev/stdout", STDOUT_FILENO}, {"/dev/fd/1", STDOUT_FILENO}, {"/proc/self/fd/1", STDOUT_FILENO},
        {"/dev/stderr", STDERR_FILENO}, {"/dev/fd/2", STDERR_FILENO}, {"/proc/self/fd/2", STDERR_FILENO},
    };
    for (size_t i = 0; i < COUNT_OF(streams); i++) {
        if (strcmp(path, streams[i].name) == 0)
            return streams[i].fd;
    }
    return -1;
}

static Status open_straight(AtomicFile *file)
{
    int stream = stream_of(file->path);
    file->fd = stream >= 0 ? fcntl(stream, F_DUPFD_CLOEXEC, 3) : open(file->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return file->fd < 0 ? write_error(file, errno) : NULL;
}

static Status open_temporary(AtomicFile *file)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        file->temporary = temporary_name(file->target);
        if (file->temporary == NULL)
            return write_error(file, errno);
        /* Entered before it exists: a signal in between must not leave it behind. */
        file->slot = register_temporary(file->temporary);
        if (file->slot < 0) {
            free(file->temporary);
            return status_new(CODE_WRITE, "cannot write '%s': more than %d outputs open at once", file->path,
                              OPEN_MAX_FILES);
        }
        /* The system takes the umask (or the folder's default rights) off the mode, as for any new file. */
        file->fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (file->fd >= 0)
            return NULL;
        int error = errno;
        forget_temporary(file->slot);
        file->slot = -1;
        if (error == EEXIST)
            continue;
        char *folder = folder_of(file->target);
        Status status;
        if (error == ENOENT)
            status = status_new(CODE_WRITE, "cannot write '%s': folder '%s' does not exist; create it first",
                                file->path, folder);
        else
            status = status_new(CODE_WRITE, "cannot write '%s': no file can be created in folder '%s': %s", file->path,
                                folder, error_text(error));
        free(folder);
        return status;
    }
    return write_error(file, EEXIST);
}

/* Looks at what stands at the path now and opens what is to be written. */
static Status open_output(AtomicFile *file)
{
    struct stat about;
    const char *path = file->path;
    if (*path_base(path) == '\0')
        return status_new(CODE_WRITE, "cannot write '%s': the name of a file is needed", path);
    if (stream_of(path) >= 0)
        return open_straight(file);
    if (stat(path, &about) != 0) {
        if (errno != ENOENT)
            return write_error(file, errno);
        file->target = xstrdup(path);
        return open_temporary(file);
    }
    if (S_ISDIR(about.st_mode))
        return status_new(CODE_WRITE, "cannot write '%s': is a folder; give the name of a file in it", path);
    if (!S_ISREG(about.st_mode))
        return open_straight(file);
    if (access(path, W_OK) != 0)
        return status_new(CODE_WRITE, "cannot replace '%s': the file is write-protected", path);
    file->target = realpath(path, NULL); /* a link stays, what it points to is replaced */
    if (file->target == NULL)
        return write_error(file, errno);
    TRY(open_temporary(file));
    if (fchmod(file->fd, about.st_mode & 0777) != 0) { /* the old file's rights, as when it is overwritten */
        int error = errno;
        unlink(file->temporary);
        return write_error(file, error);
    }
    return NULL;
}

static Status write_all(AtomicFile *file, const unsigned char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t written = write(file->fd, data, MIN(bytes, WRITE_BYTES));
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            file->failed = true;
            return write_error(file, written < 0 ? errno : EIO);
        }
        data += written;
        bytes -= (size_t)written;
    }
    return NULL;
}

static Status flush(AtomicFile *file)
{
    size_t held = file->held;
    file->held = 0;
    return write_all(file, file->buffer, held);
}

/* Makes the new name in the folder last; file systems that cannot do that are as safe as they get. */
static Status sync_folder(const AtomicFile *file)
{
    char *folder = folder_of(file->target);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    Status status = NULL;
    if (fd >= 0) {
        if (fsync(fd) != 0 && (errno == EIO || errno == ENOSPC || errno == EDQUOT))
            status = write_error(file, errno);
        close(fd);
    }
    free(folder);
    return status;
}

Status atomic_settle(AtomicFile *file)
{
    if (file->failed)
        return status_new(CODE_WRITE, "cannot write '%s': an earlier write to it failed", file->path);
    TRY(flush(file));
    if (!file->skip_sync && fsync(file->fd) != 0 && errno != EINVAL && errno != ENOTSUP && errno != EROFS)
        return write_error(file, errno);
    return NULL;
}

static Status commit_steps(AtomicFile *file)
{
    TRY(atomic_settle(file));
    int fd = file->fd;
    file->fd = -1;
    if (close(fd) != 0 && errno != EINTR)
        return write_error(file, errno);
    if (file->temporary == NULL)
        return NULL;
    if (rename(file->temporary, file->target) != 0)
        return write_error(file, errno);
    return file->skip_sync ? NULL : sync_folder(file);
}

Status atomic_open(const char *path, AtomicFile **ret)
{
    AtomicFile *file = xcalloc(1, sizeof *file);
    *file = (AtomicFile){.fd = -1, .slot = -1, .path = xstrdup(path), .buffer = xcalloc(BUFFER_BYTES, 1)};
    Status status = open_output(file);
    if (status != NULL) {
        release(file);
        return status;
    }
    *ret = file;
    return NULL;
}

Status atomic_write(AtomicFile *file, const void *data, size_t bytes)
{
    if (bytes == 0)
        return NULL;
    if (bytes > BUFFER_BYTES - file->held)
        TRY(flush(file));
    if (bytes >= BUFFER_BYTES)
        return write_all(file, data, bytes);
    memcpy(file->buffer + file->held, data, bytes);
    file->held += bytes;
    return NULL;
}

void atomic_skip_sync(AtomicFile *file)
{
    file->skip_sync = true;
}

Status atomic_commit(AtomicFile *file)
{
    Status status = commit_steps(file);
    if (status != NULL && file->temporary != NULL)
        unlink(file->temporary); /* gone already when only the folder's sync failed */
    release(file);
    return status;
}

void atomic_abandon(AtomicFile *file)
{
    if (file == NULL)
        return;
    if (file->temporary != NULL)
        unlink(file->temporary);
    release(file);
}

void atomic_abandon_all(void)
{
    int error = errno;
    for (int i = 0; i < OPEN_MAX_FILES; i++) {
        char *name = atomic_exchange(&temporaries[i].name, NULL);
        if (name == NULL)
            continue;
        unlink(name);
        temporaries[i].left = name;
    }
    errno = error;
}
