/* concat_rows.c - the loop behind Concat and QLinearConcat, split over the team.
 *
 *     part 0   a a a | b b b | ...
 *     part 1   x | y | ...                 out   a a a x | b b b y | ...
 */
#include <string.h>

#include "src/kernels/kernels.h"
#include "src/ops/family.h"

enum { ITEM_BYTES = 1 << 16 };

typedef struct Job {
    const ConcatPart *parts;
    int n;
    char *out;
    size_t pitch;          /* bytes of a row of out */
    int64_t rows, each;    /* each: rows of an item */
    bool by_part;          /* an item is one part, all rows */
} Job;

/* The size is constant in each loop: short rows are single moves. */
#define COPY_ROWS(SIZE)                                                                                                \
    case SIZE:                                                                                                         \
        for (int64_t r = 0; r < rows; r++)                                                                             \
            memcpy(to + (size_t)r * pitch, from + (size_t)r * (SIZE), (SIZE));                                         \
        break;

static void copy_rows(char *to, size_t pitch, const char *from, size_t bytes, int64_t rows)
{
    switch (bytes) {
        COPY_ROWS(1)
        COPY_ROWS(2)
        COPY_ROWS(4)
        COPY_ROWS(8)
        COPY_ROWS(16)
        COPY_ROWS(32)
        COPY_ROWS(64)
    default:
        for (int64_t r = 0; r < rows; r++)
            memcpy(to + (size_t)r * pitch, from + (size_t)r * bytes, bytes);
    }
}

static void place_part(const Job *job, int part, int64_t first, int64_t rows)
{
    const ConcatPart *from = &job->parts[part];
    char *to = job->out + (size_t)first * job->pitch;
    const char *data = (const char *)from->data + (size_t)first * from->bytes;

    if (from->bytes == 0)
        return;
    for (int i = 0; i < part; i++)
        to += job->parts[i].bytes;
    if (from->table == NULL)
        copy_rows(to, job->pitch, data, from->bytes, rows);
    else
        for (int64_t r = 0; r < rows; r++)
            table_apply(NULL, from->table, data + (size_t)r * from->bytes, (int64_t)from->bytes, to + (size_t)r * job->pitch);
}

static void run_item(void *context, int64_t item, int worker)
{
    const Job *job = context;
    int64_t first = item * job->each;

    (void)worker;
    if (job->by_part)
        place_part(job, (int)item, 0, job->rows);
    for (int i = 0; i < job->n && !job->by_part; i++)
        place_part(job, i, first, MIN(job->each, job->rows - first));
}

void concat_rows(Team *team, int64_t rows, const ConcatPart *parts, int n, void *out)
{
    Job job = {.parts = parts, .n = n, .out = out, .rows = rows};

    for (int i = 0; i < n; i++)
        job.pitch += parts[i].bytes;
    if (rows == 0 || job.pitch == 0)
        return;
    job.by_part = job.pitch > ITEM_BYTES;
    job.each = MAX((int64_t)(ITEM_BYTES / job.pitch), 1);
    team_run((size_t)rows * job.pitch > ITEM_BYTES ? team : NULL, job.by_part ? n : (rows - 1) / job.each + 1, run_item, &job);
}
