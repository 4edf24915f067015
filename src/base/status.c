/* status.c - a failure: its exit code and its words, growing outwards as callers add where it happened.
 *
 *     status_new     "weight expects 64 input channels, value 'x' has 3"
 *     status_prefix  "node 'conv1' (Conv): weight expects 64 input channels, value 'x' has 3"
 */
#include "src/base/base.h"

#include <stdlib.h>

struct StatusInfo {
    Code code;
    char *message;
};

Status status_new(Code code, const char *format, ...)
{
    Status status = xcalloc(1, sizeof *status);
    va_list arguments;
    va_start(arguments, format);
    status->code = code;
    status->message = xvprintf(format, arguments);
    va_end(arguments);
    return status;
}

Status status_prefix(Status status, const char *format, ...)
{
    if (status == NULL)
        return NULL;
    va_list arguments;
    va_start(arguments, format);
    char *prefix = xvprintf(format, arguments);
    va_end(arguments);
    char *message = xprintf("%s: %s", prefix, status->message);
    free(prefix);
    free(status->message);
    status->message = message;
    return status;
}

Code status_code(const struct StatusInfo *status)
{
    return status == NULL ? CODE_OK : status->code;
}

const char *status_message(const struct StatusInfo *status)
{
    return status == NULL ? "" : status->message;
}

void status_free(Status status)
{
    if (status == NULL)
        return;
    free(status->message);
    free(status);
}
