/* error_text.c - an errno in words, with the cure where there is one. */
#include "src/base/error_text.h"
#include "src/base/base.h"

#include <errno.h>
#include <string.h>

static const struct {
    int error;
    const char *text;
} texts[] = {
    {ENOENT, "no such file or folder"},
    {ENOTDIR, "a part of the path is not a folder"},
    {EISDIR, "is a folder"},
    {EACCES, "permission denied"},
    {EPERM, "not permitted"},
    {EROFS, "the file system is read-only; choose another folder"},
    {ENOSPC, "no space left on the device; free some or choose another folder"},
    {EDQUOT, "disk quota used up; free some or choose another folder"},
    {EFBIG, "larger than the file system or the limit of this process allows (ulimit -f)"},
    {EIO, "the device failed to read or write"},
    {ELOOP, "symbolic links go in a circle"},
    {ENAMETOOLONG, "the name is too long"},
    {EMFILE, "too many open files; raise ulimit -n"},
    {ENFILE, "too many open files in the system"},
    {ENOMEM, "out of memory"},
    {EPIPE, "the reader has gone"},
    {ENXIO, "nobody reads from it"},
    {ETXTBSY, "is a running program"},
};

const char *error_text(int error)
{
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (texts[i].error == error)
            return texts[i].text;
    }
    const char *text = strerrordesc_np(error); /* glibc's own words: constant, unlike strerror()'s buffer */
    return text != NULL ? text : "unknown error";
}
