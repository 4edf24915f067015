/* weights.c - a float weight into symmetric int8, one scale for each output channel.
 *
 *     w (C, ...) ─> q = clip(round(w / s[c]), -127, 127), s[c] = t * max|w[c]| / 127
 *
 * t is 1 or a little less: of a short list the one with the least squared error for the channel, since one far weight can
 * cost all the others their resolution. Source: MQBench's MSE observer, applied per channel.
 */
#include "src/quant/quant.h"

#include <math.h>
#include <string.h>

static const float shrinks[] = {1.0f, 0.97f, 0.94f, 0.91f, 0.88f, 0.85f, 0.82f, 0.79f, 0.76f};

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

static double channel_error(const float *w, WeightChannels c, int64_t channel, float scale)
{
    double sum = 0.0;
    for (int64_t o = 0; o < c.outer; o++) {
        const float *row = w + (o * c.n + channel) * c.inner;
        float row_sum = 0.0f;
        for (int64_t i = 0; i < c.inner; i++) {
            float q = rintf(row[i] / scale);
            q = q > 127.0f ? 127.0f : q < -127.0f ? -127.0f : q;
            float error = row[i] - q * scale;
            row_sum += error * error;
        }
        sum += (double)row_sum;
    }
    return sum;
}

static float channel_max(const float *w, WeightChannels c, int64_t channel)
{
    float greatest = 0.0f;
    for (int64_t o = 0; o < c.outer; o++) {
        const float *row = w + (o * c.n + channel) * c.inner;
        for (int64_t i = 0; i < c.inner; i++)
            greatest = fmaxf(greatest, fabsf(row[i]));
    }
    return greatest;
}

static float choose_scale(const float *w, WeightChannels c, int64_t channel, float least)
{
    float full = qparams_symmetric(channel_max(w, c, channel), DT_INT8).scale;
    if (full < least)
        return least;
    float best = full;
    double best_error = channel_error(w, c, channel, full);
    for (size_t i = 1; i < COUNT_OF(shrinks) && best_error > 0.0; i++) {
        float scale = full * shrinks[i];
        double error = scale < least ? INFINITY : channel_error(w, c, channel, scale);
        if (error < best_error) {
            best_error = error;
            best = scale;
        }
    }
    return best;
}

static void quantize_channel(const float *w, WeightChannels c, int64_t channel, float scale, int8_t *q)
{
    for (int64_t o = 0; o < c.outer; o++) {
        int64_t at = (o * c.n + channel) * c.inner;
        for (int64_t i = 0; i < c.inner; i++) {
            float value = rintf(w[at + i] / scale);
            q[at + i] = (int8_t)(value > 127.0f ? 127.0f : value < -127.0f ? -127.0f : value);
        }
    }
}

Status weights_quantize(Arena *arena, const Tensor *weight, int axis, const float *min_scale, Tensor **ret_q,
                        Tensor **ret_scales, double *ret_sqnr_db)
{
    const float *w = weight->data;
    for (int64_t i = 0; i < weight->count; i++)
        if (!isfinite(w[i]))
            return status_new(CODE_MODEL,
                              "weight holds a value that is not finite (element %lld): train or repair it first",
                              (long long)i);
    WeightChannels c = split_channels(weight, axis);
    Tensor *q = NULL, *scales = NULL;
    TRY(tensor_new(arena, DT_INT8, weight->rank, weight->dims, &q));
    TRY(tensor_new(arena, DT_FLOAT, axis < 0 ? 0 : 1, &c.n, &scales));
    float *scale = scales->data;
    double signal = 0.0, noise = 0.0;
    for (int64_t i = 0; i < weight->count; i++)
        signal += (double)w[i] * w[i];
    for (int64_t channel = 0; channel < c.n; channel++) {
        scale[channel] = choose_scale(w, c, channel, min_scale == NULL ? 0.0f : min_scale[channel]);
        quantize_channel(w, c, channel, scale[channel], q->data);
        noise += channel_error(w, c, channel, scale[channel]);
    }
    *ret_q = q;
    *ret_scales = scales;
    *ret_sqnr_db = noise > 0.0 && signal > 0.0 ? 10.0 * log10(signal / noise) : 999.0;
    return NULL;
}
