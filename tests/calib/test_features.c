/* test_features.c - features against a reference in double, written from the formulas: a plain DFT, filters as ramps. */
#include "calib/audio.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PI 3.14159265358979323846

typedef struct Case {
    const char *name, *spec;
    int rate, n_fft, win, hop, mels;
    double fmin, fmax;
    bool htk, area, drop_last;
    int log;               /* 0 ln(x + 1e-6), 1 dB, 2 log10 */
    double amin, top, mean, std;
} Case;

static const Case cases[] = {
    {"16 kHz HTK", "logmel:n_fft=512,win_length=400,hop_length=160,n_mels=64,fmin=20,fmax=7600,htk=1,norm=none,offset=1e-6",
     16000, 512, 400, 160, 64, 20, 7600, true, false, false, 0, 0, 0, 0, 1},
    {"22 kHz Slaney", "logmel:n_fft=2048,hop_length=512,n_mels=128,log=db,top_db=none", 22050, 2048, 2048, 512, 128, 0,
     11025, false, true, false, 1, 1e-10, 0, 0, 1},
    {"32 kHz dB", "logmel:n_fft=1024,hop_length=320,n_mels=128,f_min=50,f_max=14000,mel_scale=htk,norm=none,log=db,top_db=80",
     32000, 1024, 1024, 320, 128, 50, 14000, true, false, false, 1, 1e-10, 80, 0, 1},
    {"Whisper", "logmel:n_fft=400,hop_length=160,n_mels=80,log=log10,top_db=80,mean=-4,std=4,drop_last=1", 16000, 400, 400,
     160, 80, 0, 8000, false, true, true, 2, 1e-10, 8, -4, 4},
};

/* A chirp, two tones and noise, about speech's level; a quiet stretch at the end. */
static float *make_sound(int rate, int64_t n)
{
    float *x = xcalloc((size_t)n, sizeof *x);
    uint64_t state = 12345;
    for (int64_t i = 0; i < n; i++) {
        double t = (double)i / rate;
        state = state * 6364136223846793005u + 1442695040888963407u;
        double noise = (double)(state >> 40) / (1 << 24) - 0.5;
        double loud = i > n * 3 / 4 ? 0.01 : 1;
        x[i] = (float)(loud * (0.2 * sin(2 * PI * (300 + 2000 * t) * t) + 0.1 * sin(2 * PI * 440 * t) +
                               0.05 * sin(2 * PI * 5000 * t) + 0.02 * noise));
    }
    return x;
}

static double to_mel(double f, bool htk)
{
    if (htk)
        return 2595 * log10(1 + f / 700);
    return f >= 1000 ? 15 + log(f / 1000) / (log(6.4) / 27) : f / (200.0 / 3);
}

static double from_mel(double m, bool htk)
{
    if (htk)
        return 700 * (pow(10, m / 2595) - 1);
    return m >= 15 ? 1000 * exp(log(6.4) / 27 * (m - 15)) : m * (200.0 / 3);
}

static double mirrored(const float *x, int64_t n, int64_t i)
{
    return (double)x[i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i];
}

/* (mels, frames) */
static double *reference(const Case *c, const float *x, int64_t n, int64_t frames)
{
    int bins = c->n_fft / 2 + 1;
    double *out = xcalloc((size_t)(c->mels * frames), sizeof *out), *power = xcalloc((size_t)bins, sizeof *power);
    double *cosines = xcalloc((size_t)c->n_fft, sizeof *cosines), *frame = xcalloc((size_t)c->n_fft, sizeof *frame);
    for (int i = 0; i < c->n_fft; i++)
        cosines[i] = cos(2 * PI * i / c->n_fft);
    for (int64_t t = 0; t < frames; t++) {
        int left = (c->n_fft - c->win) / 2;
        for (int i = 0; i < c->n_fft; i++) {
            double window = i < left || i >= left + c->win ? 0 : pow(sin(PI * (i - left) / c->win), 2);
            frame[i] = window * mirrored(x, n, t * c->hop - c->n_fft / 2 + i);
        }
        for (int k = 0; k < bins; k++) {
            double re = 0, im = 0;
            for (int i = 0; i < c->n_fft; i++) {
                int phase = (int)((int64_t)i * k % c->n_fft);
                re += frame[i] * cosines[phase];
                im += frame[i] * cosines[(phase + c->n_fft - c->n_fft / 4) % c->n_fft];
            }
            power[k] = re * re + im * im;
        }
        for (int m = 0; m < c->mels; m++) {
            double step = (to_mel(c->fmax, c->htk) - to_mel(c->fmin, c->htk)) / (c->mels + 1), f[3], sum = 0;
            for (int k = 0; k < 3; k++)
                f[k] = from_mel(to_mel(c->fmin, c->htk) + (m + k) * step, c->htk);
            for (int k = 0; k < bins; k++) {
                double hz = (double)k * c->rate / c->n_fft;
                sum += power[k] * fmax(0, fmin((hz - f[0]) / (f[1] - f[0]), (f[2] - hz) / (f[2] - f[1])));
            }
            sum *= c->area ? 2 / (f[2] - f[0]) : 1;
            out[m * frames + t] = c->log == 0   ? log(sum + 1e-6)
                                  : c->log == 1 ? 10 * log10(fmax(sum, c->amin)) : log10(fmax(sum, c->amin));
        }
    }
    double most = -INFINITY;
    for (int64_t i = 0; i < c->mels * frames; i++)
        most = fmax(most, out[i]);
    for (int64_t i = 0; i < c->mels * frames; i++)
        out[i] = ((c->top > 0 ? fmax(out[i], most - c->top) : out[i]) - c->mean) / c->std;
    free(power);
    free(cosines);
    free(frame);
    return out;
}

static Value input_of(int rank, const int64_t *dims)
{
    Value input = {.name = "x", .type = {.kind = TYPE_TENSOR, .dtype = DT_FLOAT, .shape = {.rank = rank}}};
    for (int i = 0; i < rank; i++)
        input.type.shape.dims[i] = dims[i] < 0 ? DIM_UNKNOWN : dim_known(dims[i]);
    return input;
}

TEST(log_mel_equals_a_reference_in_double)
{
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const Case *c = &cases[i];
        AudioOptions options = audio_default();
        options.sample_rate = c->rate;
        Value input = input_of(4, (int64_t[]){-1, 1, c->mels, -1});
        AudioPlan *plan;
        if (!CHECK_OK(audio_update_features(c->spec, &options)) || !CHECK_OK(audio_plan_new(&input, &options, &plan)))
            continue;
        int64_t n = c->rate / 4 + 77, frames = n / c->hop + (c->drop_last ? 0 : 1);
        float *x = make_sound(c->rate, n);
        double *expected = reference(c, x, n, frames), worst = 0;
        Tensor tensor;
        if (CHECK_OK(audio_to_tensor(plan, x, n, &tensor))) {
            CHECK_INT(tensor.rank, 4);
            CHECK_INT(tensor.dims[2], c->mels);
            CHECK_INT(tensor.dims[3], frames);
            const float *got = tensor.data;
            for (int64_t k = 0; k < tensor.count; k++)
                worst = fmax(worst, fabs((double)got[k] - expected[k]) / fmax(fabs(expected[k]), 0.1));
            if (!(worst <= 1e-4))
                test_fail(__FILE__, __LINE__, "%s: off by %g", c->name, worst);
            tensor_release(&tensor);
        }
        free(expected);
        free(x);
        audio_plan_free(plan);
    }
}

/* Real and imaginary parts of one frame after the other, as a streaming net takes them, against a plain DFT. */
TEST(complex_spectra_equal_the_formula)
{
    enum { N = 64, HOP = 32, BINS = N / 2 + 1 };
    static const struct {
        int64_t dims[4];
        const char *layout;
    } rows[] = {{{1, BINS, 1, 2}, "mtc"}, {{1, 3, BINS, 2}, "tmc"}, {{1, 2, BINS, -1}, "cmt"}, {{-1, 2, -1, BINS}, "ctm"}};
    float x[4 * HOP];
    for (int i = 0; i < 4 * HOP; i++)
        x[i] = (float)(0.3 * sin(0.7 * i) + 0.2 * cos(2.1 * i + 0.4) + 0.1);
    for (size_t r = 0; r < COUNT_OF(rows); r++) {
        AudioOptions options = audio_default();
        Value input = input_of(4, rows[r].dims);
        AudioPlan *plan;
        Tensor tensor;
        if (!CHECK_OK(audio_update_features("stft:n_fft=64,hop_length=32,power=none,center=0,window=sqrt_hann,normalized=window",
                                            &options)) ||
            !CHECK_OK(audio_plan_new(&input, &options, &plan)))
            continue;
        CHECK_TEXT(plan->options.layout, rows[r].layout);
        int64_t n = r == 0 ? N : 4 * HOP, frames = r == 0 ? 1 : 3;
        if (CHECK_OK(audio_to_tensor(plan, x, n, &tensor))) {
            CHECK_INT(tensor.count, frames * BINS * 2);
            double worst = 0;
            for (int t = 0; t < frames; t++)
                for (int k = 0; k < BINS; k++)
                    for (int c = 0; c < 2; c++) {
                        double sum = 0;
                        for (int i = 0; i < N; i++)
                            sum += (double)x[t * HOP + i] * sin(PI * i / N) * (c == 0 ? cos(2 * PI * i * k / N) : -sin(2 * PI * i * k / N));
                        int64_t at = r == 0   ? (k * frames + t) * 2 + c
                                     : r == 1 ? (t * BINS + k) * 2 + c
                                     : r == 2 ? (c * BINS + k) * frames + t : (c * frames + t) * BINS + k;
                        worst = fmax(worst, fabs((double)((float *)tensor.data)[at] - sum / sqrt(N / 2.0)));
                    }
            if (!(worst <= 1e-6))
                test_fail(__FILE__, __LINE__, "%s: off by %g", rows[r].layout, worst);
            tensor_release(&tensor);
        }
        audio_plan_free(plan);
    }
}

TEST(layouts_follow_the_model)
{
    static const struct {
        const char *spec;
        int rank;
        int64_t dims[4];
        const char *layout;
        int64_t window; /* samples that the time axis asks for */
    } layouts[] = {
        {"raw", 2, {-1, 16000}, "t", 16000},
        {"raw", 3, {1, 1, -1}, "1t", 0},
        {"mel:n_mels=40,n_fft=512,hop_length=160", 3, {-1, 40, -1}, "mt", 0},
        {"mel:n_mels=40,n_fft=512,hop_length=160", 3, {1, 98, 40}, "tm", 97 * 160},
        {"mfcc:n_mels=40,n_mfcc=10,n_fft=480,hop_length=320", 4, {-1, 49, 10, 1}, "tm1", 48 * 320},
        {"logmel:n_mels=64,n_fft=512,hop_length=160,center=0", 4, {1, 1, 64, 101}, "1mt", 100 * 160 + 512},
        {"stft:n_fft=512,hop_length=128,power=1", 3, {1, -1, 257}, "tm", 0},
    };
    for (size_t i = 0; i < COUNT_OF(layouts); i++) {
        AudioOptions options = audio_default();
        Value input = input_of(layouts[i].rank, layouts[i].dims);
        AudioPlan *plan;
        if (!CHECK_OK(audio_update_features(layouts[i].spec, &options)) ||
            !CHECK_OK(audio_plan_new(&input, &options, &plan)))
            continue;
        CHECK_TEXT(plan->options.layout, layouts[i].layout);
        CHECK_INT(plan->window, layouts[i].window);
        audio_plan_free(plan);
    }
}

TEST(front_ends_that_make_no_sense_are_refused)
{
    static const struct {
        const char *spec, *part;
    } wrong[] = {
        {"loudness", "features are raw"},
        {"mel:n_mel=40", "did you mean 'n_mels'"},
        {"mel:n_mels=zero", "cannot be 'zero'"},
        {"mel:n_mels", "key=value"},
        {"mel:norm=l3", "'norm' cannot be"},
        {"mel:layout=tt", "'layout' cannot be"},
    };
    AudioOptions options = audio_default();
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        CHECK_FAILS(audio_update_features(wrong[i].spec, &options), CODE_USAGE, wrong[i].part);
    static const struct {
        const char *spec, *part;
    } unfit[] = {
        {"mel:n_mels=40", "fit it in no layout"},
        {"mel:n_mels=64,fmax=9000", "half the sample rate"},
        {"mel:n_mels=64,n_fft=256,win_length=512", "win_length 512 is more"},
        {"mfcc:n_mels=40,n_mfcc=64", "n_mfcc 64 is more"},
        {"mel:n_mels=64,layout=1t", "has no axis 'm'"},
        {"mel:n_mels=64,layout=mtc", "goes with stft:power=none"},
        {"stft:n_fft=126,power=none,layout=mt", "has no axis 'c'"},
        {"stft:n_fft=126,power=none", "64 complex numbers a frame fit it in no layout"},
        {"mel:n_mels=64,power=none", "only stft without a logarithm"},
    };
    Value input = input_of(4, (int64_t[]){1, 1, 64, 101});
    for (size_t i = 0; i < COUNT_OF(unfit); i++) {
        AudioPlan *plan = NULL;
        options = audio_default();
        if (CHECK_OK(audio_update_features(unfit[i].spec, &options)))
            CHECK_FAILS(audio_plan_new(&input, &options, &plan), CODE_USAGE, unfit[i].part);
    }
    Value one = input_of(3, (int64_t[]){1, 257, 1});
    AudioPlan *frame = NULL;
    options = audio_default();
    if (CHECK_OK(audio_update_features("stft:n_fft=512", &options)))
        CHECK_FAILS(audio_plan_new(&one, &options, &frame), CODE_USAGE, "give center=0");
    options = audio_default();
    options.window = 2;
    AudioPlan *plan = NULL;
    if (CHECK_OK(audio_update_features("mel:n_mels=64,n_fft=512,hop_length=160", &options)))
        CHECK_FAILS(audio_plan_new(&input, &options, &plan), CODE_USAGE, "gives 201 frames");
}

/* A steady tone: the smoothed energy tends to the energy itself, so PCEN tends to (E / (eps + E)^gain + bias)^r - bias^r. */
TEST(pcen_settles_at_its_fixed_point)
{
    AudioOptions options = audio_default();
    Value input = input_of(3, (int64_t[]){1, 20, -1});
    AudioPlan *plan, *linear;
    AudioOptions plain = options;
    if (!CHECK_OK(audio_update_features("mel:n_mels=20,n_fft=512,hop_length=160,log=pcen,time_constant=0.05", &options)) ||
        !CHECK_OK(audio_update_features("mel:n_mels=20,n_fft=512,hop_length=160", &plain)) ||
        !CHECK_OK(audio_plan_new(&input, &options, &plan)) || !CHECK_OK(audio_plan_new(&input, &plain, &linear)))
        return;
    int64_t n = 160 * 200;
    float *x = xcalloc((size_t)n, sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(0.5 * sin(2 * PI * 1000 * (double)i / 16000));
    Tensor pcen, mel;
    if (CHECK_OK(audio_to_tensor(plan, x, n, &pcen)) && CHECK_OK(audio_to_tensor(linear, x, n, &mel))) {
        int64_t frames = pcen.dims[2];
        for (int m = 0; m < 20; m++) {
            double e = (double)((float *)mel.data)[m * frames + frames - 10];
            CHECK_NEAR(((float *)pcen.data)[m * frames + frames - 10],
                       pow(e / pow(1e-6 + e, 0.98) + 2, 0.5) - sqrt(2), 2e-3);
        }
        tensor_release(&pcen);
        tensor_release(&mel);
    }
    free(x);
    audio_plan_free(plan);
    audio_plan_free(linear);
}
