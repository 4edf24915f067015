/* audio_plan.c - an audio front end fitted to a model's input: layout, lengths, window, mel bands, DCT.
 *
 *     mel scales   HTK     m = 2595 log10(1 + f / 700)
 *                  Slaney  linear below 1000 Hz (200 / 3 Hz a mel), above it 27 mels for each factor 6.4
 *     bands        triangles between neighbouring points, height 1, or area 1 (Slaney: 2 / (f[i + 2] - f[i]))
 *     DCT-II       orthonormal: sqrt(2 / M) cos(pi k (2 m + 1) / (2 M)), row 0 by sqrt(1 / 2)
 *
 * Sources: the HTK Book; Slaney, Auditory Toolbox (1998); conventions as librosa and torchaudio document them.
 */
#include "calib/audio.h"

#include <kiss_fft.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PI 3.14159265358979323846
#define RATE_ASSUMED 16000
#define WINDOW_MAX ((int64_t)1 << 28) /* samples */

/* ---- layout ------------------------------------------------------------------------------------------------------ */

static int64_t axis_size(const AudioPlan *plan, char axis)
{
    return axis == '1' ? 1 : axis == 'm' ? plan->n_features : axis == 'c' ? plan->parts : -1;
}

/* Whether the axes go with dims first.. of the shape. */
static bool axes_fit(const AudioPlan *plan, const Shape *shape, const char *axes, int first)
{
    if (shape->rank - first != (int)strlen(axes))
        return false;
    for (int d = first; d < shape->rank; d++) {
        int64_t size = axis_size(plan, axes[d - first]);
        if (size >= 0 && dim_is_known(shape->dims[d]) && shape->dims[d].size != size)
            return false;
    }
    return true;
}

static bool feature_axes_known(const Shape *shape, const char *axes, int first)
{
    for (const char *axis = axes; *axis != '\0'; axis++)
        if ((*axis == 'm' || *axis == 'c') && !dim_is_known(shape->dims[first + (axis - axes)]))
            return false;
    return true;
}

static Status find_layout(const Value *input, AudioPlan *plan)
{
    static const char *const raw[] = {"t", "1t", "t1", NULL}, *const framed[] = {"1mt", "1tm", "mt1", "tm1",
                                                                                 "mt",  "tm",  NULL},
                      *const complex[] = {"mtc", "tmc", "cmt", "ctm", NULL};
    const Shape *shape = &input->type.shape;
    const char *own[] = {plan->options.layout, NULL};
    const char *const *candidates = plan->options.layout[0] != '\0'           ? own
                                    : plan->options.kind == FEATURE_RAW ? raw : plan->parts == 2 ? complex : framed;
    if (shape->rank < 0 && plan->options.layout[0] == '\0')
        return status_new(CODE_USAGE, "input '%s' has no known shape; give layout=... in --features", input->name);
    if (plan->n_features > 1 && plan->options.layout[0] != '\0' && strchr(plan->options.layout, 'm') == NULL)
        return status_new(CODE_USAGE, "layout '%s' has no axis 'm' for the %d values of a frame", plan->options.layout,
                          plan->n_features);
    if (plan->options.layout[0] != '\0' && (plan->parts == 2) != (strchr(plan->options.layout, 'c') != NULL))
        return status_new(CODE_USAGE, "layout '%s' %s: axis 'c', real and imaginary parts, goes with stft:power=none",
                          plan->options.layout, plan->parts == 2 ? "has no axis 'c'" : "has an axis 'c'");
    size_t n = 0;
    while (candidates[n] != NULL)
        n++;
    for (int first = 1; first >= 0; first--)
        for (size_t k = 0; k < 2 * n; k++) { /* those whose feature axes have known sizes are surer */
            size_t i = k % n;
            if (shape->rank >= 0 && (!axes_fit(plan, shape, candidates[i], first) ||
                                     (k < n && !feature_axes_known(shape, candidates[i], first))))
                continue;
            char layout[sizeof plan->options.layout] = "";
            memcpy(layout, candidates[i], strlen(candidates[i]));
            memcpy(plan->options.layout, layout, sizeof layout);
            plan->batched = first == 1;
            plan->batch = first == 1 && shape->rank >= 0 && dim_is_known(shape->dims[0]) ? shape->dims[0].size : 1;
            plan->rank = (int)strlen(candidates[i]) + first;
            const char *time = strchr(layout, 't');
            Dim dim = shape->rank >= 0 ? shape->dims[first + (time - layout)] : DIM_UNKNOWN;
            plan->frames = dim_is_known(dim) ? dim.size : 0;
            return NULL;
        }
    Arena *scratch = arena_new();
    Status status = status_new(CODE_USAGE, "input '%s' is %s: %s features of %d %s a frame fit it in no layout%s",
                               input->name, shape_text(scratch, shape), audio_feature_name(plan->options.kind),
                               plan->n_features, plan->parts == 2 ? "complex numbers" : "values",
                               plan->options.has_features ? "" : "; say what the model hears with --features");
    arena_free(scratch);
    return status;
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static double mel_of(double hz, bool htk)
{
    if (htk)
        return 2595 * log10(1 + hz / 700);
    return hz < 1000 ? hz * 3 / 200 : 15 + 27 * log(hz / 1000) / log(6.4);
}

static double hz_of(double mel, bool htk)
{
    if (htk)
        return 700 * (pow(10, mel / 2595) - 1);
    return mel < 15 ? mel * 200 / 3 : 1000 * exp((mel - 15) * log(6.4) / 27);
}

static void make_bands(AudioPlan *plan)
{
    const AudioOptions *o = &plan->options;
    int n_bins = o->n_fft / 2 + 1;
    double least = mel_of(o->fmin, o->htk), step = (mel_of(o->fmax, o->htk) - least) / (o->n_mels + 1);
    double hz_a_bin = (double)o->sample_rate / o->n_fft;
    plan->bands = arena_array(plan->arena, (size_t)o->n_mels, sizeof plan->bands[0]);
    for (int m = 0; m < o->n_mels; m++) {
        double from = hz_of(least + m * step, o->htk), peak = hz_of(least + (m + 1) * step, o->htk),
               to = hz_of(least + (m + 2) * step, o->htk);
        int first = (int)MIN(MAX(ceil(from / hz_a_bin), 0.0), n_bins), last = (int)MIN(floor(to / hz_a_bin), n_bins - 1);
        MelBand *band = &plan->bands[m];
        *band = (MelBand){first, MAX(last - first + 1, 0), NULL};
        band->weights = arena_array(plan->arena, (size_t)MAX(band->n, 1), sizeof band->weights[0]);
        double area = o->slaney_norm ? 2 / (to - from) : 1;
        for (int k = 0; k < band->n; k++) {
            double hz = (first + k) * hz_a_bin;
            double rise = (hz - from) / (peak - from), fall = (to - hz) / (to - peak);
            band->weights[k] = area * MAX(MIN(rise, fall), 0.0);
        }
    }
}

static void make_dct(AudioPlan *plan)
{
    int n = plan->options.n_mfcc, m = plan->options.n_mels;
    plan->dct = arena_array(plan->arena, (size_t)n * (size_t)m, sizeof plan->dct[0]);
    for (int k = 0; k < n; k++)
        for (int i = 0; i < m; i++)
            plan->dct[k * m + i] = sqrt((k == 0 ? 1.0 : 2.0) / m) * cos(PI * k * (2 * i + 1) / (2.0 * m));
}

static double window_value(WindowShape shape, double phase)
{
    switch (shape) {
    case WINDOW_HANN:
        return 0.5 - 0.5 * cos(phase);
    case WINDOW_HAMMING:
        return 0.54 - 0.46 * cos(phase);
    case WINDOW_BLACKMAN:
        return 0.42 - 0.5 * cos(phase) + 0.08 * cos(2 * phase);
    case WINDOW_SQRT_HANN:
        return sqrt(0.5 - 0.5 * cos(phase));
    case WINDOW_BOX:
        break;
    }
    return 1;
}

/* win_length values in the middle of n_fft. */
static void make_window(AudioPlan *plan)
{
    const AudioOptions *o = &plan->options;
    plan->shape = arena_array(plan->arena, (size_t)o->n_fft, sizeof plan->shape[0]);
    int left = (o->n_fft - o->win_length) / 2, period = o->periodic ? o->win_length : MAX(o->win_length - 1, 1);
    double energy = 0;
    for (int i = 0; i < o->win_length; i++)
        energy += pow(window_value(o->shape, 2 * PI * i / period), 2);
    double norm = o->normalized == SPECTRUM_BY_WINDOW ? sqrt(energy) : o->normalized == SPECTRUM_BY_LENGTH ? sqrt(o->n_fft) : 1;
    for (int i = 0; i < o->win_length; i++)
        plan->shape[left + i] = (float)(window_value(o->shape, 2 * PI * i / period) / norm);
}

/* ---- lengths ----------------------------------------------------------------------------------------------------- */

int64_t audio_frames(const AudioPlan *plan, int64_t n)
{
    const AudioOptions *o = &plan->options;
    if (o->kind == FEATURE_RAW)
        return n;
    int64_t padded = n + (o->center ? 2 * (int64_t)(o->n_fft / 2) : 0);
    return padded < o->n_fft ? 0 : (padded - o->n_fft) / o->hop_length + 1 - (o->drop_last ? 1 : 0);
}

/* The least number of samples that give `frames`. */
static int64_t samples_for(const AudioPlan *plan, int64_t frames)
{
    const AudioOptions *o = &plan->options;
    if (o->kind == FEATURE_RAW)
        return frames;
    int64_t n = (frames - 1 + (o->drop_last ? 1 : 0)) * o->hop_length + o->n_fft;
    return MAX(n - (o->center ? 2 * (int64_t)(o->n_fft / 2) : 0), (int64_t)1);
}

static Status find_lengths(const Value *input, AudioPlan *plan)
{
    const AudioOptions *o = &plan->options;
    double rate = o->sample_rate;
    plan->window = o->window > 0 ? (int64_t)llround(MIN(o->window * rate, 1e15))
                   : plan->frames > 0 && plan->frames < WINDOW_MAX / MAX(o->hop_length, 1)
                       ? samples_for(plan, plan->frames) : 0;
    plan->hop = o->hop > 0 ? (int64_t)llround(MIN(o->hop * rate, 1e15)) : plan->window;
    if (o->window == 0 && plan->window > 0 && o->kind != FEATURE_RAW && o->center && plan->window <= o->n_fft / 2)
        return status_new(CODE_USAGE, "input '%s' takes %lld frames, with center=1 those of %lld samples, less than half of n_fft: "
                          "give center=0 (nothing is put in front of a window), or --window", input->name,
                          (long long)plan->frames, (long long)plan->window);
    if (plan->window > WINDOW_MAX)
        return status_new(CODE_USAGE, "a window of %g s is too long", (double)plan->window / rate);
    if ((o->window > 0 && plan->window < 1) || (o->hop > 0 && plan->hop < 1))
        return status_new(CODE_USAGE, "a window or hop shorter than one sample");
    if (o->hop > 0 && plan->window == 0)
        return status_new(CODE_USAGE, "'--hop' needs '--window': input '%s' has no fixed length", input->name);
    if (plan->window > 0 && plan->frames > 0 && audio_frames(plan, plan->window) != plan->frames)
        return status_new(CODE_USAGE, "a window of %g s gives %lld frames, input '%s' takes %lld (%g s)",
                          (double)plan->window / rate, (long long)audio_frames(plan, plan->window), input->name,
                          (long long)plan->frames, (double)samples_for(plan, plan->frames) / rate);
    return NULL;
}

int64_t audio_windows(const AudioPlan *plan, int64_t n)
{
    if (plan->window == 0 || n <= plan->window)
        return 1;
    int64_t whole = 1 + (n - plan->window) / plan->hop, covered = (whole - 1) * plan->hop + plan->window;
    return whole + (plan->options.rest == REST_PAD && covered < n);
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static Status check_options(AudioPlan *plan)
{
    AudioOptions *o = &plan->options;
    plan->rate_assumed = o->sample_rate == 0;
    if (plan->rate_assumed)
        o->sample_rate = RATE_ASSUMED;
    if (o->win_length == 0)
        o->win_length = o->n_fft;
    if (o->hop_length == 0)
        o->hop_length = MAX(o->win_length / 4, 1);
    if (o->fmax == 0)
        o->fmax = o->sample_rate / 2.0;
    if (o->amin < 0)
        o->amin = o->offset > 0 ? 0 : o->log == FEATURE_DB && o->power == 1 ? 1e-5 : 1e-10;
    if (o->top_db < 0)
        o->top_db = o->log == FEATURE_DB ? 80 : 0;
    if (o->kind == FEATURE_RAW)
        return NULL;
    if (o->power == 0 && (o->kind != FEATURE_STFT || o->log != FEATURE_LINEAR))
        return status_new(CODE_USAGE, "power=none gives complex numbers, which only stft without a logarithm can be");
    if (o->win_length > o->n_fft)
        return status_new(CODE_USAGE, "win_length %d is more than n_fft %d", o->win_length, o->n_fft);
    if (o->fmax > o->sample_rate / 2.0 || o->fmin >= o->fmax)
        return status_new(CODE_USAGE, "fmin %g and fmax %g do not lie within 0 to %g Hz, half the sample rate", o->fmin,
                          o->fmax, o->sample_rate / 2.0);
    if (o->kind == FEATURE_MFCC && o->n_mfcc > o->n_mels)
        return status_new(CODE_USAGE, "n_mfcc %d is more than n_mels %d", o->n_mfcc, o->n_mels);
    return NULL;
}

static Status fit_input(const Value *input, AudioPlan *plan)
{
    const AudioOptions *o = &plan->options;
    plan->dtype = input->type.dtype;
    if (plan->dtype != DT_FLOAT && plan->dtype != DT_FLOAT16)
        return status_new(CODE_USAGE, "input '%s' takes %s, sound gives float", input->name, dtype_name(plan->dtype));
    TRY(check_options(plan));
    plan->n_features = o->kind == FEATURE_RAW    ? 1
                       : o->kind == FEATURE_STFT ? o->n_fft / 2 + 1
                       : o->kind == FEATURE_MFCC ? o->n_mfcc : o->n_mels;
    plan->parts = o->kind == FEATURE_STFT && o->power == 0 ? 2 : 1;
    TRY(find_layout(input, plan));
    TRY(find_lengths(input, plan));
    if (o->kind == FEATURE_RAW)
        return NULL;
    make_window(plan);
    plan->fft = kiss_fft_alloc(o->n_fft, 0, NULL, NULL);
    if (plan->fft == NULL)
        return status_new(CODE_MEMORY, "no memory for a transform of %d points", o->n_fft);
    if (o->kind != FEATURE_STFT)
        make_bands(plan);
    if (o->kind == FEATURE_MFCC)
        make_dct(plan);
    return NULL;
}

Status audio_plan_new(const Value *input, const AudioOptions *options, AudioPlan **ret)
{
    AudioPlan *plan = xcalloc(1, sizeof *plan);
    plan->arena = arena_new();
    plan->options = *options;
    Status status = fit_input(input, plan);
    if (status != NULL)
        audio_plan_free(plan);
    else
        *ret = plan;
    return status;
}

void audio_plan_free(AudioPlan *plan)
{
    if (plan == NULL)
        return;
    kiss_fft_free(plan->fft);
    arena_free(plan->arena);
    free(plan);
}

char *audio_describe(Arena *arena, const AudioPlan *plan)
{
    const AudioOptions *o = &plan->options;
    char *text = arena_printf(arena, "%d Hz%s, %s", o->sample_rate, plan->rate_assumed ? " (assumed)" : "",
                              o->channel == 0 ? "channels mixed" : arena_printf(arena, "channel %d", o->channel));
    if (plan->window > 0)
        text = arena_printf(arena, "%s, windows of %g s every %g s, the rest %s", text,
                            (double)plan->window / o->sample_rate, (double)plan->hop / o->sample_rate,
                            o->rest == REST_PAD    ? "zero-padded"
                            : o->rest == REST_SKIP ? "skipped" : "skipped (padded when it is all there is)");
    return arena_printf(arena, "%s; %s", text, audio_features_text(arena, o));
}
