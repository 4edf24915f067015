/* pool.c - reference pooling over windows and over whole planes.
 *
 * A team item is one plane (image, channel). Rows of outputs are worked on whole, tap by tap, so the inner loop runs
 * along the width. Formulas: ONNX MaxPool, AveragePool, LpPool and their Global forms; an empty window of MaxPool gives
 * the least value of the type, of AveragePool zero, as ONNX Runtime does.
 */
#include "src/kernels/kernels.h"

#include <float.h>
#include <math.h>
#include <string.h>

typedef struct Pool {
    const Window *window;
    KernelType type;
    const void *x;
    void *y;
    int64_t *indices;
    bool column_major, include_pad;
    int p; /* 0: mean */
} Pool;

typedef struct GlobalPool {
    int64_t n;
    KernelType type;
    const void *x;
    void *y;
    int p;
    int64_t channels; /* with the channels last */
} GlobalPool;

#define POOL_STRIP 64 /* channels summed at a time */

/* y[i] = max(y[i], x[i * stride]) for each type. */
#define DEFINE_MAX_RUN(name, ctype)                                                                                    \
    static void name(ctype *y, const ctype *x, int64_t stride, int64_t n)                                              \
    {                                                                                                                  \
        if (stride == 1)                                                                                               \
            for (int64_t i = 0; i < n; i++)                                                                            \
                y[i] = x[i] > y[i] ? x[i] : y[i];                                                                      \
        else                                                                                                           \
            for (int64_t i = 0; i < n; i++)                                                                            \
                y[i] = x[i * stride] > y[i] ? x[i * stride] : y[i];                                                    \
    }
DEFINE_MAX_RUN(max_run_float, float)
DEFINE_MAX_RUN(max_run_u8, uint8_t)
DEFINE_MAX_RUN(max_run_s8, int8_t)

static void max_run(KernelType type, void *y, int64_t y_at, const void *x, int64_t x_at, int64_t stride, int64_t n)
{
    if (type == KERNEL_FLOAT)
        max_run_float((float *)y + y_at, (const float *)x + x_at, stride, n);
    else if (type == KERNEL_U8)
        max_run_u8((uint8_t *)y + y_at, (const uint8_t *)x + x_at, stride, n);
    else
        max_run_s8((int8_t *)y + y_at, (const int8_t *)x + x_at, stride, n);
}

static void fill_least(KernelType type, void *y, int64_t at, int64_t n)
{
    if (type == KERNEL_FLOAT)
        for (int64_t i = 0; i < n; i++)
            ((float *)y)[at + i] = -FLT_MAX;
    else
        memset((char *)y + at, type == KERNEL_U8 ? 0 : 0x80, (size_t)n);
}

/* Row of the input that output row o reads at tap k of axis d; -1 in the padding. */
static int64_t source_row(const Window *window, int d, int64_t o, int64_t k)
{
    int64_t at = o * window->stride[d] - window->pad_begin[d] + k * window->dilation[d];
    return at >= 0 && at < window->in[d] ? at : -1;
}

/* Calls run() for every tap and the part of output row (od, oh) that reads the input there. */
typedef void (*TapRun)(const Pool *pool, int64_t y_at, int64_t x_at, int64_t n);
static void visit_row(const Pool *pool, int64_t plane, int64_t od, int64_t oh, TapRun run)
{
    const Window *window = pool->window;
    int64_t y_row = ((plane * window->out[0] + od) * window->out[1] + oh) * window->out[2];

    for (int64_t kd = 0; kd < window->kernel[0]; kd++) {
        int64_t d = source_row(window, 0, od, kd);
        for (int64_t kh = 0; d >= 0 && kh < window->kernel[1]; kh++) {
            int64_t h = source_row(window, 1, oh, kh);
            for (int64_t kw = 0; h >= 0 && kw < window->kernel[2]; kw++) {
                int64_t begin, end;
                window_span(window, 2, kw, &begin, &end);
                if (begin >= end)
                    continue;
                int64_t first = begin * window->stride[2] - window->pad_begin[2] + kw * window->dilation[2];
                int64_t x_at = ((plane * window->in[0] + d) * window->in[1] + h) * window->in[2] + first;
                run(pool, y_row + begin, x_at, end - begin);
            }
        }
    }
}

static void tap_max(const Pool *pool, int64_t y_at, int64_t x_at, int64_t n)
{
    max_run(pool->type, pool->y, y_at, pool->x, x_at, pool->window->stride[2], n);
}

static void tap_sum(const Pool *pool, int64_t y_at, int64_t x_at, int64_t n)
{
    float *y = (float *)pool->y + y_at;
    const float *x = (const float *)pool->x + x_at;
    int64_t stride = pool->window->stride[2];

    if (pool->p == 0)
        for (int64_t i = 0; i < n; i++)
            y[i] += x[i * stride];
    else if (pool->p == 1)
        for (int64_t i = 0; i < n; i++)
            y[i] += fabsf(x[i * stride]);
    else
        for (int64_t i = 0; i < n; i++)
            y[i] += powf(fabsf(x[i * stride]), (float)pool->p);
}

static float value_at(const Pool *pool, int64_t i)
{
    if (pool->type == KERNEL_FLOAT)
        return ((const float *)pool->x)[i];
    return pool->type == KERNEL_U8 ? (float)((const uint8_t *)pool->x)[i] : (float)((const int8_t *)pool->x)[i];
}

/* Position of the first greatest element of one window; -1 when the window lies in the padding alone. */
static int64_t find_max(const Pool *pool, int64_t plane, const int64_t o[KERNEL_MAX_SPACE])
{
    const Window *window = pool->window;
    int64_t best = -1, best_row_major = -1, size = window_in_count(window);
    float greatest = 0.0F;

    for (int64_t kd = 0; kd < window->kernel[0]; kd++) {
        int64_t d = source_row(window, 0, o[0], kd);
        for (int64_t kh = 0; d >= 0 && kh < window->kernel[1]; kh++) {
            int64_t h = source_row(window, 1, o[1], kh);
            for (int64_t kw = 0; h >= 0 && kw < window->kernel[2]; kw++) {
                int64_t w = source_row(window, 2, o[2], kw);
                if (w < 0)
                    continue;
                int64_t at = plane * size + (d * window->in[1] + h) * window->in[2] + w;
                float value = value_at(pool, at);
                if (best_row_major >= 0 && !(value > greatest))
                    continue;
                greatest = value;
                best_row_major = at;
                best = at;
                if (pool->column_major) /* first spatial axis runs fastest; the absent leading ones have size 1 */
                    best = plane * size + d + window->in[0] * (h + window->in[1] * w);
            }
        }
    }
    return best;
}

static void max_plane(void *context, int64_t plane, int worker)
{
    const Pool *pool = context;
    const Window *window = pool->window;
    int64_t o[KERNEL_MAX_SPACE];

    (void)worker;
    for (o[0] = 0; o[0] < window->out[0]; o[0]++)
        for (o[1] = 0; o[1] < window->out[1]; o[1]++) {
            int64_t row = ((plane * window->out[0] + o[0]) * window->out[1] + o[1]) * window->out[2];
            fill_least(pool->type, pool->y, row, window->out[2]);
            visit_row(pool, plane, o[0], o[1], tap_max);
            for (o[2] = 0; pool->indices != NULL && o[2] < window->out[2]; o[2]++)
                pool->indices[row + o[2]] = find_max(pool, plane, o);
        }
}

/* Taps of output o on axis d that count in the mean: those inside the input, or with padding inside the padded
 * input. */
static int64_t count_taps(const Pool *pool, int d, int64_t o)
{
    const Window *window = pool->window;
    int64_t start = o * window->stride[d] - window->pad_begin[d], count = 0;
    int64_t low = pool->include_pad ? -window->pad_begin[d] : 0;
    int64_t high = pool->include_pad ? window->in[d] + window->pad_end[d] : window->in[d];

    for (int64_t k = 0; k < window->kernel[d]; k++) {
        int64_t at = start + k * window->dilation[d];
        count += at >= low && at < high;
    }
    return count;
}

static void sum_plane(void *context, int64_t plane, int worker)
{
    const Pool *pool = context;
    const Window *window = pool->window;

    (void)worker;
    for (int64_t od = 0; od < window->out[0]; od++)
        for (int64_t oh = 0; oh < window->out[1]; oh++) {
            float *y = (float *)pool->y + ((plane * window->out[0] + od) * window->out[1] + oh) * window->out[2];
            memset(y, 0, (size_t)window->out[2] * sizeof *y);
            visit_row(pool, plane, od, oh, tap_sum);
            if (pool->p > 0) {
                for (int64_t i = 0; pool->p > 1 && i < window->out[2]; i++)
                    y[i] = powf(y[i], 1.0F / (float)pool->p);
                continue;
            }
            int64_t rows = count_taps(pool, 0, od) * count_taps(pool, 1, oh);
            for (int64_t i = 0; i < window->out[2]; i++) {
                int64_t count = rows * count_taps(pool, 2, i);
                y[i] = count == 0 ? 0.0F : y[i] / (float)count;
            }
        }
}

static void run_planes(Team *team, const Pool *pool, TeamWork work)
{
    Pool copy = *pool;
    if (window_out_count(pool->window) > 0)
        team_run(team, pool->window->batch * pool->window->channels_in, work, &copy);
}

void pool_max(Team *team, const Window *window, KernelType type, const void *x, void *y, int64_t *indices,
              bool column_major)
{
    Pool pool = {.window = window, .type = type, .x = x, .y = y, .indices = indices, .column_major = column_major};
    run_planes(team, &pool, max_plane);
}

void pool_average(Team *team, const Window *window, bool include_pad, const float *x, float *y)
{
    Pool pool = {.window = window, .type = KERNEL_FLOAT, .x = x, .y = y, .include_pad = include_pad};
    run_planes(team, &pool, sum_plane);
}

void pool_lp(Team *team, const Window *window, int p, const float *x, float *y)
{
    Pool pool = {.window = window, .type = KERNEL_FLOAT, .x = x, .y = y, .p = p};
    run_planes(team, &pool, sum_plane);
}

/* Four running sums so that long planes neither lose digits nor wait for one adder. */
static double sum_power(const float *x, int64_t n, int p)
{
    double sums[4] = {0};

    for (int64_t i = 0; i < n; i++) {
        double value = p == 0 ? (double)x[i] : p == 1 ? fabs((double)x[i]) : pow(fabs((double)x[i]), p);
        sums[i & 3] += value;
    }
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

static void global_sum_plane(void *context, int64_t plane, int worker)
{
    const GlobalPool *pool = context;
    double sum = sum_power((const float *)pool->x + plane * pool->n, pool->n, pool->p);

    (void)worker;
    if (pool->p == 0)
        sum = pool->n == 0 ? 0.0 : sum / (double)pool->n;
    else if (pool->p > 1)
        sum = pow(sum, 1.0 / pool->p);
    ((float *)pool->y)[plane] = (float)sum;
}

static void global_max_plane(void *context, int64_t plane, int worker)
{
    const GlobalPool *pool = context;

    (void)worker;
    fill_least(pool->type, pool->y, plane, 1);
    for (int64_t i = 0; i < pool->n; i++)
        max_run(pool->type, pool->y, plane, pool->x, plane * pool->n + i, 1, 1);
}

void pool_global_average(Team *team, int64_t planes, int64_t n, const float *x, float *y)
{
    GlobalPool pool = {.n = n, .type = KERNEL_FLOAT, .x = x, .y = y};
    team_run(team, planes, global_sum_plane, &pool);
}

/* A strip of channels, all places. */
static void global_sum_strip(void *context, int64_t item, int worker)
{
    const GlobalPool *pool = context;
    int64_t strips = (pool->channels + POOL_STRIP - 1) / POOL_STRIP, first = item % strips * POOL_STRIP;
    int64_t n = MIN(POOL_STRIP, pool->channels - first);
    const float *x = (const float *)pool->x + item / strips * pool->n * pool->channels + first;
    float *y = (float *)pool->y + item / strips * pool->channels + first;
    double sums[POOL_STRIP] = {0};

    (void)worker;
    for (int64_t i = 0; i < pool->n; i++)
        for (int64_t c = 0; c < n; c++)
            sums[c] += (double)x[i * pool->channels + c];
    for (int64_t c = 0; c < n; c++)
        y[c] = (float)(sums[c] / (double)pool->n);
}

void pool_global_average_last(Team *team, int64_t outer, int64_t n, int64_t channels, const float *x, float *y)
{
    GlobalPool pool = {.n = n, .type = KERNEL_FLOAT, .x = x, .y = y, .channels = channels};
    team_run(team, outer * ((channels + POOL_STRIP - 1) / POOL_STRIP), global_sum_strip, &pool);
}

void pool_global_max(Team *team, int64_t planes, int64_t n, KernelType type, const void *x, void *y)
{
    GlobalPool pool = {.n = n, .type = type, .x = x, .y = y};
    team_run(team, planes, global_max_plane, &pool);
}

void pool_global_lp(Team *team, int64_t planes, int64_t n, int p, const float *x, float *y)
{
    GlobalPool pool = {.n = n, .type = KERNEL_FLOAT, .x = x, .y = y, .p = p};
    team_run(team, planes, global_sum_plane, &pool);
}
