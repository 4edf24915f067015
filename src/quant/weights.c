/* weights.c - a float weight into symmetric int8, one scale for each output channel.
 *
 *     w (C, ...) ─> q = clip(round(w / s[c]), -127, 127), s[c] = t * max|w[c]| / 127
 *
 * t is 1 or a little less: of a short list the one with the least squared error for the channel, since one far weight can
 * cost all the others their resolution. Source: MQBench's MSE observer, applied per channel.
 */
#include "src/quant/quant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SHRINKS 9
#define LANES 16   /* sums taken side by side: the same numbers whatever vectors the CPU has */
#define BLOCK 1024 /* elements: in the first cache for all shrinks, and few enough for sums in float */
#define TOGETHER 16 /* channels gathered in one go */

static const float shrinks[SHRINKS] = {1.0f, 0.97f, 0.94f, 0.91f, 0.88f, 0.85f, 0.82f, 0.79f, 0.76f};

/* The tensor seen as (outer, C, inner) around the channel axis. */
typedef struct WeightChannels {
    int64_t outer, n, inner;
} WeightChannels;

static WeightChannels split_channels(const Tensor *weight, int axis)
{
    WeightChannels c = {1, 1, 1};
    if (axis < 0) {
        c.inner = weight->count;
        return c;
    }
    for (int i = 0; i < axis; i++)
        c.outer *= weight->dims[i];
    c.n = weight->dims[axis];
    for (int i = axis + 1; i < weight->rank; i++)
        c.inner *= weight->dims[i];
    return c;
}

/* ---- loops over one channel, whose elements lie together --------------------------------------------------------- */

/* The nearest of -127..127, ties to even: adding and taking off 1.5 * 2^23 rounds a small float. */
static inline __attribute__((always_inline)) float round_step(float x)
{
    const float magic = 12582912.0f;
    x = x > 127.0f ? 127.0f : x < -127.0f ? -127.0f : x;
    return (x + magic) - magic;
}

static inline __attribute__((always_inline)) float square_error(float x, float scale)
{
    float error = x - round_step(x / scale) * scale;
    return error * error;
}

/* ret[s]: sum of the squared errors at scales[s]. */
CPU_BODY void sum_errors_body(const float *restrict x, int64_t n, const float *restrict scales, int n_scales, double *restrict ret)
{
    for (int s = 0; s < n_scales; s++)
        ret[s] = 0.0;
    for (int64_t at = 0; at < n; at += BLOCK) {
        int64_t length = MIN(n - at, (int64_t)BLOCK), whole = length / LANES * LANES;
        for (int s = 0; s < n_scales; s++) {
            float sums[LANES] = {0}, scale = scales[s], all = 0.0f;
            for (int64_t i = 0; i < whole; i += LANES)
                for (int lane = 0; lane < LANES; lane++)
                    sums[lane] += square_error(x[at + i + lane], scale);
            for (int64_t i = whole; i < length; i++)
                sums[i - whole] += square_error(x[at + i], scale);
            for (int lane = 0; lane < LANES; lane++)
                all += sums[lane];
            ret[s] += (double)all;
        }
    }
}

CPU_LEVELS(static, sum_errors,
           (const float *restrict x, int64_t n, const float *restrict scales, int n_scales, double *restrict ret),
           (x, n, scales, n_scales, ret))

/* The greatest |x|, and the sum of squares; NaN and infinities show in the sum. */
CPU_BODY void measure_body(const float *restrict x, int64_t n, float *ret_greatest, double *ret_squares)
{
    float greatest[LANES] = {0};
    double squares[LANES] = {0};
    int64_t whole = n / LANES * LANES;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int lane = 0; lane < LANES; lane++) {
            float one = x[i + lane], size = fabsf(one);
            greatest[lane] = size > greatest[lane] ? size : greatest[lane];
            squares[lane] += (double)one * one;
        }
    for (int64_t i = whole; i < n; i++) {
        greatest[i - whole] = MAX(greatest[i - whole], fabsf(x[i]));
        squares[i - whole] += (double)x[i] * x[i];
    }
    *ret_greatest = 0.0f;
    *ret_squares = 0.0;
    for (int lane = 0; lane < LANES; lane++) {
        *ret_greatest = MAX(*ret_greatest, greatest[lane]);
        *ret_squares += squares[lane];
    }
}

CPU_LEVELS(static, measure, (const float *restrict x, int64_t n, float *ret_greatest, double *ret_squares),
           (x, n, ret_greatest, ret_squares))

CPU_BODY void round_all_body(const float *restrict x, int64_t n, float scale, int8_t *restrict q)
{
    for (int64_t i = 0; i < n; i++)
        q[i] = (int8_t)(int32_t)round_step(x[i] / scale);
}

CPU_LEVELS(static, round_all, (const float *restrict x, int64_t n, float scale, int8_t *restrict q), (x, n, scale, q))

/* ---- channels ---------------------------------------------------------------------------------------------------- */

/* Sums over all channels. */
typedef struct Sums {
    double signal, noise;
} Sums;

static float choose_scale(const float *x, int64_t n, float greatest, float least, double *ret_error)
{
    float scales[SHRINKS], best;
    double errors[SHRINKS];
    int tried = 0;
    float full = qparams_symmetric(greatest, DT_INT8).scale;
    scales[tried++] = full < least ? least : full;
    for (int i = 1; i < SHRINKS && full * shrinks[i] >= least && full >= least && greatest > 0.0f; i++)
        scales[tried++] = full * shrinks[i];
    sum_errors(x, n, scales, tried, errors);
    best = scales[0];
    *ret_error = errors[0];
    for (int i = 1; i < tried; i++)
        if (errors[i] < *ret_error) {
            *ret_error = errors[i];
            best = scales[i];
        }
    return best;
}

static bool quantize_channel(const float *x, int64_t n, float least, float *ret_scale, int8_t *q, Sums *sums)
{
    float greatest;
    double squares, error;
    measure(x, n, &greatest, &squares);
    if (!isfinite(squares))
        return false;
    *ret_scale = choose_scale(x, n, greatest, least, &error);
    round_all(x, n, *ret_scale, q);
    sums->signal += squares;
    sums->noise += error;
    return true;
}

/* The elements of `together` channels, from `first` on, one channel behind the other. */
static void gather_channels(const float *w, WeightChannels c, int64_t first, int64_t together, float *ret)
{
    for (int64_t o = 0; o < c.outer; o++)
        for (int64_t k = 0; k < together; k++)
            for (int64_t i = 0; i < c.inner; i++)
                ret[(k * c.outer + o) * c.inner + i] = w[(o * c.n + first + k) * c.inner + i];
}

static void scatter_channels(const int8_t *q, WeightChannels c, int64_t first, int64_t together, int8_t *ret)
{
    for (int64_t o = 0; o < c.outer; o++)
        for (int64_t k = 0; k < together; k++)
            for (int64_t i = 0; i < c.inner; i++)
                ret[(o * c.n + first + k) * c.inner + i] = q[(k * c.outer + o) * c.inner + i];
}

static bool quantize_channels(const float *w, WeightChannels c, const float *min_scale, float *scale, int8_t *q, Sums *sums)
{
    int64_t n = c.outer * c.inner;
    bool scattered = c.outer > 1 && c.n > 1, fine = true;
    size_t room = (size_t)(n * MIN(c.n, (int64_t)TOGETHER));
    float *some = scattered ? xcalloc(MAX(room, 1), sizeof some[0]) : NULL;
    int8_t *some_q = scattered ? xcalloc(MAX(room, 1), 1) : NULL;
    for (int64_t first = 0; first < c.n && fine; first += TOGETHER) {
        int64_t together = MIN(c.n - first, (int64_t)TOGETHER);
        if (scattered)
            gather_channels(w, c, first, together, some);
        for (int64_t k = 0; k < together && fine; k++) {
            int64_t at = scattered ? k * n : (first + k) * n;
            fine = quantize_channel((scattered ? some : w) + at, n, min_scale == NULL ? 0.0f : min_scale[first + k],
                                    &scale[first + k], (scattered ? some_q : q) + at, sums);
        }
        if (scattered)
            scatter_channels(some_q, c, first, together, q);
    }
    free(some);
    free(some_q);
    return fine;
}

static Status not_finite(const Tensor *weight)
{
    const float *w = weight->data;
    int64_t i = 0;
    while (i + 1 < weight->count && isfinite(w[i]))
        i++;
    return status_new(CODE_MODEL, "weight holds a value that is not finite (element %lld): train or repair it first",
                      (long long)i);
}

Status weights_quantize(Arena *arena, const Tensor *weight, int axis, const float *min_scale, Tensor **ret_q,
                        Tensor **ret_scales, double *ret_sqnr_db)
{
    WeightChannels c = split_channels(weight, axis);
    Tensor *q = NULL, *scales = NULL;
    Sums sums = {0};
    TRY(tensor_new(arena, DT_INT8, weight->rank, weight->dims, &q));
    TRY(tensor_new(arena, DT_FLOAT, axis < 0 ? 0 : 1, &c.n, &scales));
    if (!quantize_channels(weight->data, c, min_scale, scales->data, q->data, &sums))
        return not_finite(weight);
    *ret_q = q;
    *ret_scales = scales;
    *ret_sqnr_db = sums.noise > 0.0 && sums.signal > 0.0 ? 10.0 * log10(sums.signal / sums.noise) : 999.0;
    return NULL;
}
