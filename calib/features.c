/* features.c - samples of sound to the model's tensor.
 *
 *     x (n,) ─ pad ─ frames (T, n_fft) x window ─ FFT ─┬─ |X|^power (T, B) ─ mel bands (T, M) ─ log ─ DCT (T, K)
 *                                                      └─ real, imaginary (T, B, 2)
 *            ─ floor at top_db ─ normalize ─ (v - mean) / std ─ axes of the layout
 *
 * Sums and logarithms are in double, the FFT in float (kissfft). Sources: as audio_plan.c; PCEN: Wang et al. 2017.
 */
#include "calib/audio.h"

#include <kiss_fft.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES_MAX ((int64_t)1 << 24)

typedef struct Scratch {
    kiss_fft_cpx *in, *out; /* (n_fft,) */
    double *spectrum;       /* (B, P) */
} Scratch;

/* x[i] with the signal mirrored at its ends (the end itself not repeated), or 0 outside. */
static float padded(const AudioPlan *plan, const float *x, int64_t n, int64_t i)
{
    if (i >= 0 && i < n)
        return x[i];
    if (!plan->options.reflect)
        return 0;
    if (n == 1)
        return x[0];
    int64_t period = 2 * (n - 1);
    i = ((i % period) + period) % period;
    return x[i < n ? i : period - i];
}

static void transform_frame(const AudioPlan *plan, const float *x, int64_t n, int64_t start, Scratch *s)
{
    const AudioOptions *o = &plan->options;
    bool inside = start >= 0 && start + o->n_fft <= n;
    for (int i = 0; i < o->n_fft; i++) {
        float value = inside ? x[start + i] : padded(plan, x, n, start + i);
        s->in[i] = (kiss_fft_cpx){value * plan->shape[i], 0};
    }
    kiss_fft(plan->fft, s->in, s->out);
    for (int k = 0; k <= o->n_fft / 2; k++) {
        double re = (double)s->out[k].r, im = (double)s->out[k].i, power = re * re + im * im;
        if (plan->parts == 2) {
            s->spectrum[2 * k] = re;
            s->spectrum[2 * k + 1] = im;
            continue;
        }
        s->spectrum[k] = o->power == 2 ? power : o->power == 1 ? sqrt(power) : pow(power, o->power / 2);
    }
}

static void apply_bands(const AudioPlan *plan, const double *spectrum, double *out)
{
    for (int m = 0; m < plan->options.n_mels; m++) {
        const MelBand *band = &plan->bands[m];
        double sum = 0;
        for (int k = 0; k < band->n; k++)
            sum += band->weights[k] * spectrum[band->first + k];
        out[m] = sum;
    }
}

/* Smooth each band over time and divide by it: librosa.pcen with its defaults' meaning. */
static void apply_pcen(const AudioOptions *o, double *v, int64_t frames, int width)
{
    double t = o->time_constant * o->sample_rate / o->hop_length;
    double b = (sqrt(1 + 4 * t * t) - 1) / (2 * t * t);
    for (int m = 0; m < width; m++) {
        double smooth = 1; /* the filter's steady state for ones */
        for (int64_t f = 0; f < frames; f++) {
            double *x = &v[f * width + m];
            smooth = b * *x + (1 - b) * smooth;
            double gain = exp(-o->gain * (log(o->eps) + log1p(smooth / o->eps)));
            if (o->pcen_power == 0)
                *x = log1p(*x * gain);
            else if (o->bias == 0)
                *x = exp(o->pcen_power * (log(*x) + log(gain)));
            else
                *x = pow(o->bias, o->pcen_power) * expm1(o->pcen_power * log1p(*x * gain / o->bias));
        }
    }
}

static void apply_log(const AudioOptions *o, double *v, int64_t n)
{
    double most = -INFINITY, ref = 0;
    /* units a dB of power stands for, and a factor in front of log10 */
    double factor = o->log == FEATURE_DB ? 20 / o->power : o->log == FEATURE_LOG10 ? 1 : log(10);
    if (o->log == FEATURE_DB) {
        double greatest = o->ref;
        for (int64_t i = 0; o->ref == 0 && i < n; i++)
            greatest = MAX(greatest, v[i]);
        ref = factor * log10(MAX(greatest, MAX(o->amin, 1e-300)));
    }
    for (int64_t i = 0; i < n; i++) {
        v[i] = factor * log10(MAX(v[i], o->amin) + o->offset) - ref;
        most = MAX(most, v[i]);
    }
    if (o->top_db <= 0)
        return;
    double floor_at = most - o->top_db * factor / (20 / o->power);
    for (int64_t i = 0; i < n; i++)
        v[i] = MAX(v[i], floor_at);
}

static void apply_dct(const AudioPlan *plan, double *v, int64_t frames)
{
    int n_mels = plan->options.n_mels, n_mfcc = plan->options.n_mfcc;
    double *row = xcalloc((size_t)n_mfcc, sizeof row[0]);
    for (int64_t f = 0; f < frames; f++) { /* in place: rows only get shorter */
        for (int k = 0; k < n_mfcc; k++) {
            double sum = 0;
            for (int m = 0; m < n_mels; m++)
                sum += plan->dct[k * n_mels + m] * v[f * n_mels + m];
            row[k] = sum;
        }
        memcpy(v + f * n_mfcc, row, (size_t)n_mfcc * sizeof row[0]);
    }
    free(row);
}

static void scale_all(const AudioOptions *o, double *v, int64_t n)
{
    double mean = o->mean, deviation = o->std;
    if (o->normalize) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < n; i++)
            sum += v[i];
        for (int64_t i = 0; i < n; i++)
            squares += (v[i] - sum / (double)n) * (v[i] - sum / (double)n);
        double own = MAX(sqrt(squares / (double)n), 1e-10);
        mean = sum / (double)n + o->mean * own; /* ((v - m) / s - mean) / std */
        deviation = own * o->std;
    }
    for (int64_t i = 0; i < n; i++)
        v[i] = (v[i] - mean) / deviation;
}

/* (T, F, P) features of n samples; memory_alloc'ed. */
static Status make_features(const AudioPlan *plan, const float *x, int64_t n, int64_t frames, double **ret)
{
    const AudioOptions *o = &plan->options;
    int wide = o->kind == FEATURE_STFT ? plan->n_features * plan->parts : o->n_mels;
    void *memory;
    TRY(memory_alloc((size_t)frames * (size_t)wide * sizeof(double), &memory));
    double *v = memory;
    Scratch s = {xcalloc((size_t)o->n_fft, sizeof s.in[0]), xcalloc((size_t)o->n_fft, sizeof s.out[0]),
                 xcalloc(2 * ((size_t)o->n_fft / 2 + 1), sizeof s.spectrum[0])};
    for (int64_t f = 0; f < frames; f++) {
        transform_frame(plan, x, n, f * o->hop_length - (o->center ? o->n_fft / 2 : 0), &s);
        if (o->kind == FEATURE_STFT)
            memcpy(v + f * wide, s.spectrum, (size_t)wide * sizeof v[0]);
        else
            apply_bands(plan, s.spectrum, v + f * wide);
    }
    free(s.in);
    free(s.out);
    free(s.spectrum);
    if (o->log == FEATURE_PCEN)
        apply_pcen(o, v, frames, wide);
    else if (o->log != FEATURE_LINEAR)
        apply_log(o, v, frames * wide);
    if (o->kind == FEATURE_MFCC)
        apply_dct(plan, v, frames);
    scale_all(o, v, frames * plan->n_features * plan->parts);
    *ret = v;
    return NULL;
}

/* Element (t, f, part) of the layout's axes, the batch left out. */
static int64_t place(const AudioPlan *plan, int64_t frames, int64_t t, int64_t f, int part)
{
    int64_t at = 0;
    for (const char *axis = plan->options.layout; *axis != '\0'; axis++)
        at = *axis == 't' ? at * frames + t : *axis == 'm' ? at * plan->n_features + f : *axis == 'c' ? at * 2 + part : at;
    return at;
}

static void put(const AudioPlan *plan, Tensor *tensor, int64_t at, double value)
{
    if (plan->dtype == DT_FLOAT)
        ((float *)tensor->data)[at] = (float)value;
    else
        ((uint16_t *)tensor->data)[at] = float_to_half((float)value);
}

static Status fill(const AudioPlan *plan, const float *x, int64_t n, int64_t frames, Tensor *tensor)
{
    const AudioOptions *o = &plan->options;
    int64_t each = frames * plan->n_features * plan->parts;
    double *v = NULL;
    if (o->kind == FEATURE_RAW) {
        void *memory;
        TRY(memory_alloc((size_t)n * sizeof v[0], &memory));
        v = memory;
        for (int64_t i = 0; i < n; i++)
            v[i] = (double)x[i];
        scale_all(o, v, n);
    } else {
        TRY(make_features(plan, x, n, frames, &v));
    }
    for (int64_t b = 0; b < plan->batch; b++)
        for (int64_t t = 0; t < frames; t++)
            for (int64_t f = 0; f < plan->n_features; f++)
                for (int part = 0; part < plan->parts; part++)
                    put(plan, tensor, b * each + place(plan, frames, t, f, part),
                        v[(t * plan->n_features + f) * plan->parts + part]);
    memory_free(v);
    return NULL;
}

Status audio_to_tensor(const AudioPlan *plan, const float *x, int64_t n, Tensor *ret)
{
    int64_t frames = audio_frames(plan, n), dims[TENSOR_MAX_RANK];
    if (n < 1 || frames < 1)
        return status_new(CODE_DATA, "%lld samples are too few for one frame", (long long)n);
    if (plan->options.kind != FEATURE_RAW && frames > FRAMES_MAX)
        return status_new(CODE_DATA, "%lld frames are too many; give --window", (long long)frames);
    int d = 0;
    if (plan->batched)
        dims[d++] = plan->batch;
    for (const char *axis = plan->options.layout; *axis != '\0'; axis++)
        dims[d++] = *axis == 't' ? frames : *axis == 'm' ? plan->n_features : *axis == 'c' ? plan->parts : 1;
    TRY(tensor_alloc(ret, plan->dtype, plan->rank, dims));
    Status status = fill(plan, x, n, frames, ret);
    if (status != NULL)
        tensor_release(ret);
    return status;
}
