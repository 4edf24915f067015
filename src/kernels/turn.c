/* turn.c - between channels first and channels last: batches of transposed matrices.
 *
 *     x (outer, rows, columns)  ->  y (outer, columns, rows)        N C S -> N S C: rows C, columns S, and back
 *
 * Tiles of 32 x 32 stay in the first cache, so that both sides are read and written in whole lines.
 */
#include "src/kernels/kernels.h"

#define TILE 32

typedef struct Turn {
    size_t bytes;
    int64_t rows, columns, row_tiles;
    const char *x;
    char *y;
} Turn;

#define TURN_TILE(name, T)                                                                                             \
    static void name(const Turn *job, const void *in, void *out, int64_t row, int64_t rows)                            \
    {                                                                                                                  \
        const T *x = in;                                                                                               \
        T *y = out;                                                                                                    \
        for (int64_t column = 0; column < job->columns; column += TILE) {                                              \
            int64_t end = MIN(job->columns, column + TILE);                                                            \
            for (int64_t c = column; c < end; c++)                                                                     \
                for (int64_t r = row; r < row + rows; r++)                                                             \
                    y[c * job->rows + r] = x[r * job->columns + c];                                                    \
        }                                                                                                              \
    }
TURN_TILE(turn_1, uint8_t)
TURN_TILE(turn_2, uint16_t)
TURN_TILE(turn_4, uint32_t)
TURN_TILE(turn_8, uint64_t)

/* One band of 32 rows of one matrix. */
static void turn_band(void *context, int64_t item, int worker)
{
    const Turn *job = context;
    int64_t matrix = item / job->row_tiles, row = item % job->row_tiles * TILE, rows = MIN(TILE, job->rows - row);
    size_t at = (size_t)(matrix * job->rows * job->columns) * job->bytes;

    (void)worker;
    (job->bytes == 1   ? turn_1
     : job->bytes == 2 ? turn_2
     : job->bytes == 4 ? turn_4
                       : turn_8)(job, job->x + at, job->y + at, row, rows);
}

void turn_planes(Team *team, size_t bytes, int64_t outer, int64_t rows, int64_t columns, const void *x, void *y)
{
    Turn job = {bytes, rows, columns, (rows + TILE - 1) / TILE, x, y};

    if (columns > 0)
        team_run(team, outer * job.row_tiles, turn_band, &job);
}
