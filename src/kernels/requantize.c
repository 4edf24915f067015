/* requantize.c - the int32 sums of convolutions and matrix products: to 8 bits, to floats, shifted row by row.
 *
 *     q = round_half_even(clamp((sum + shift) * multiplier, low - zero, high - zero)) + zero
 *
 * One float multiplier a channel, as in ONNX Runtime, so that results agree to the bit.
 */
#include "src/kernels/rounding.h"

#define ROWS_BLOCK 4096 /* about so many elements are an item of the team */

typedef struct Requantize {
    const int32_t *acc, *bias;
    int64_t rows, channels, inner, rows_a_block;
    const float *multiplier;
    int64_t multipliers;
    Scale8 y_scale;
    void *y;
} Requantize;

/* n sums side by side: bias has one for each or is NULL; multiplier has one for each, or `single` for all. Each loop is
 * free of choices and of aliases, so that it vectorizes. */
CPU_BODY void run_body(const int32_t *restrict acc, int64_t n, uint32_t shift, const int32_t *restrict bias,
                       const float *restrict multiplier, bool single, Scale8 to, uint8_t *restrict y)
{
    float all = multiplier[0];

    if (bias == NULL && single)
        for (int64_t i = 0; i < n; i++)
            y[i] = requantize_one((uint32_t)acc[i] + shift, all, to);
    else if (bias == NULL)
        for (int64_t i = 0; i < n; i++)
            y[i] = requantize_one((uint32_t)acc[i] + shift, multiplier[i], to);
    else if (single)
        for (int64_t i = 0; i < n; i++)
            y[i] = requantize_one((uint32_t)acc[i] + shift + (uint32_t)bias[i], all, to);
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = requantize_one((uint32_t)acc[i] + shift + (uint32_t)bias[i], multiplier[i], to);
}

CPU_LEVELS(static, run,
           (const int32_t *restrict acc, int64_t n, uint32_t shift, const int32_t *restrict bias,
            const float *restrict multiplier, bool single, Scale8 to, uint8_t *restrict y),
           (acc, n, shift, bias, multiplier, single, to, y))

/* A plane of one channel. */
static void requantize_plane(void *context, int64_t plane, int worker)
{
    const Requantize *job = context;
    int64_t channel = plane % job->channels;
    uint32_t bias = job->bias == NULL ? 0 : (uint32_t)job->bias[channel];

    (void)worker;
    run(job->acc + plane * job->inner, job->inner, bias, NULL, job->multiplier + (job->multipliers == 1 ? 0 : channel), true,
        job->y_scale, (uint8_t *)job->y + plane * job->inner);
}

/* Some rows of all channels. */
static void requantize_block(void *context, int64_t block, int worker)
{
    const Requantize *job = context;
    int64_t begin = block * job->rows_a_block, end = MIN(job->rows, begin + job->rows_a_block), n = job->channels;

    (void)worker;
    for (int64_t row = begin; row < end; row++)
        run(job->acc + row * n, n, 0, job->bias, job->multiplier,
            job->multipliers == 1, job->y_scale, (uint8_t *)job->y + row * n);
}

static int64_t rows_of_block(int64_t columns)
{
    return MAX(1, ROWS_BLOCK / MAX(columns, 1));
}

static void run_blocks(Team *team, Requantize *job, TeamWork work)
{
    job->rows_a_block = rows_of_block(job->channels);
    team_run(team, (job->rows + job->rows_a_block - 1) / job->rows_a_block, work, job);
}

void requantize(Team *team, const int32_t *acc, int64_t outer, int64_t channels, int64_t inner, const float *multiplier,
                int64_t multipliers, const int32_t *bias, Scale8 y_scale, void *y)
{
    Requantize job = {.acc = acc, .bias = bias, .rows = outer, .channels = channels, .inner = inner,
                      .multiplier = multiplier, .multipliers = multipliers, .y_scale = y_scale, .y = y};
    if (inner == 1)
        run_blocks(team, &job, requantize_block);
    else
        team_run(team, outer * channels, requantize_plane, &job);
}

void requantize_rows(Team *team, const int32_t *acc, int64_t rows, int64_t columns, const float *multiplier,
                     int64_t multipliers, Scale8 y_scale, void *y)
{
    Requantize job = {.acc = acc, .rows = rows, .channels = columns, .inner = 1,
                      .multiplier = multiplier, .multipliers = multipliers, .y_scale = y_scale, .y = y};
    run_blocks(team, &job, requantize_block);
}

/* ---- channels last: a tile of places is requantized along the channels, then turned --------------------------------- */

#define TILE_PLACES 32
#define TILE_CHANNELS 256

static void requantize_tiles(void *context, int64_t item, int worker)
{
    const Requantize *job = context;
    int64_t tiles = (job->inner + TILE_PLACES - 1) / TILE_PLACES;
    int64_t outer = item / tiles, first = item % tiles * TILE_PLACES, places = MIN(job->inner - first, TILE_PLACES);
    uint8_t tile[TILE_PLACES * TILE_CHANNELS];

    (void)worker;
    for (int64_t channel = 0; channel < job->channels; channel += TILE_CHANNELS) {
        int64_t n = MIN(job->channels - channel, TILE_CHANNELS);
        for (int64_t p = 0; p < places; p++)
            run(job->acc + (outer * job->inner + first + p) * job->channels + channel, n, 0,
                job->bias == NULL ? NULL : job->bias + channel, job->multiplier + (job->multipliers == 1 ? 0 : channel),
                job->multipliers == 1, job->y_scale, tile + p * TILE_CHANNELS);
        for (int64_t c = 0; c < n; c++) {
            uint8_t *y = (uint8_t *)job->y + (outer * job->channels + channel + c) * job->inner + first;
            for (int64_t p = 0; p < places; p++)
                y[p] = tile[p * TILE_CHANNELS + c];
        }
    }
}

void requantize_channels_last(Team *team, const int32_t *acc, int64_t outer, int64_t channels, int64_t inner,
                              const float *multiplier, int64_t multipliers, const int32_t *bias, Scale8 y_scale, void *y)
{
    Requantize job = {.acc = acc, .bias = bias, .channels = channels, .inner = inner, .multiplier = multiplier,
                      .multipliers = multipliers, .y_scale = y_scale, .y = y};
    team_run(team, outer * ((inner + TILE_PLACES - 1) / TILE_PLACES), requantize_tiles, &job);
}

/* ---- sums to floats, sums of rows ------------------------------------------------------------------------------------ */

CPU_BODY void floats_body(const int32_t *restrict acc, int64_t n, const float *restrict multiplier, bool single, float *restrict y)
{
    float all = multiplier[0];

    if (single)
        for (int64_t i = 0; i < n; i++)
            y[i] = (float)acc[i] * all;
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = (float)acc[i] * multiplier[i];
}

CPU_LEVELS(static, floats,
           (const int32_t *restrict acc, int64_t n, const float *restrict multiplier, bool single, float *restrict y),
           (acc, n, multiplier, single, y))

static void dequantize_block(void *context, int64_t block, int worker)
{
    const Requantize *job = context;
    int64_t begin = block * job->rows_a_block, end = MIN(job->rows, begin + job->rows_a_block), n = job->channels;

    (void)worker;
    for (int64_t row = begin; row < end; row++)
        floats(job->acc + row * n, n, job->multiplier, job->multipliers == 1, (float *)job->y + row * n);
}

void dequantize_rows(Team *team, const int32_t *acc, int64_t rows, int64_t columns, const float *multiplier,
                     int64_t multipliers, float *y)
{
    Requantize job = {.acc = acc, .rows = rows, .channels = columns, .multiplier = multiplier,
                      .multipliers = multipliers, .y = y};
    run_blocks(team, &job, dequantize_block);
}

void add_row_shift(int32_t *acc, int64_t rows, int64_t columns, const int32_t *row_shift)
{
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < columns; i++)
            acc[row * columns + i] = (int32_t)((uint32_t)acc[row * columns + i] + (uint32_t)row_shift[row]);
}
