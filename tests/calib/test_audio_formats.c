/* test_audio_formats.c - what libsndfile writes, in every format people have, is what we read; presets; nonsense. */
#include "calib/reader.h"
#include "tests/calib/pictures.h"

#include <math.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PI 3.14159265358979323846

static const char *in(const char *folder, const char *file)
{
    char name[128];
    snprintf(name, sizeof name, "%s/%s", folder, file);
    return picture_path(name);
}

/* 0.4 sin of 300 Hz, and 0.2 sin of 700 Hz in a second channel. False where libsndfile was built without the format. */
static bool put_sound(const char *path, int format, int rate, int channels, int n)
{
    SF_INFO info = {.samplerate = rate, .channels = channels, .format = format};
    write_file(path, "", 0); /* makes the folder */
    SNDFILE *file = sf_format_check(&info) ? sf_open(path, SFM_WRITE, &info) : NULL;
    if (file == NULL)
        return false;
    float *x = xcalloc((size_t)n * (size_t)channels, sizeof *x);
    for (int i = 0; i < n; i++)
        for (int c = 0; c < channels; c++)
            x[i * channels + c] = (float)(0.4 / (c + 1) * sin(2 * PI * (300 + 400 * c) * i / rate));
    CHECK_INT(sf_writef_float(file, x, n), n);
    sf_close(file);
    free(x);
    return true;
}

static Status open(const char *path, const AudioOptions *audio, Dataset **ret)
{
    Value input = {.name = "x", .type = {.kind = TYPE_TENSOR, .dtype = DT_FLOAT, .shape = {.rank = 2}}};
    input.type.shape.dims[0] = input.type.shape.dims[1] = DIM_UNKNOWN;
    DatasetOptions options = {.preprocess = preprocess_default()};
    if (audio != NULL)
        options.preprocess.audio = *audio;
    return dataset_open(path, (const Value *[]){&input}, 1, &options, ret);
}

/* Energy of x at a frequency, as the amplitude of a sine there. */
static double amplitude(const float *x, int64_t n, double hz, double rate)
{
    double re = 0, im = 0;
    for (int64_t i = 0; i < n; i++) {
        re += (double)x[i] * cos(2 * PI * hz * (double)i / rate);
        im += (double)x[i] * sin(2 * PI * hz * (double)i / rate);
    }
    return 2 * hypot(re, im) / (double)n;
}

/* Lossless formats to the step of their width; lossy ones shift and filter, so the tone is measured. */
TEST(recordings_of_every_format_are_read)
{
    static const struct {
        const char *name;
        int format, rate;
        double error; /* of each sample; 0: lossy */
    } rows[] = {
        {"u8.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_U8, 16000, 1.0 / 120},
        {"s16.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1.0 / 32000},
        {"s24.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_24, 16000, 2e-7},
        {"s32.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_32, 16000, 1e-7},
        {"float.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 16000, 1e-7},
        {"double.wav", SF_FORMAT_WAV | SF_FORMAT_DOUBLE, 16000, 1e-7},
        {"extensible.wav", SF_FORMAT_WAVEX | SF_FORMAT_PCM_24, 16000, 2e-7},
        {"s16.aiff", SF_FORMAT_AIFF | SF_FORMAT_PCM_16, 16000, 1.0 / 32000},
        {"s24.aiff", SF_FORMAT_AIFF | SF_FORMAT_PCM_24, 16000, 2e-7},
        {"s24.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_24, 16000, 2e-7},
        {"float.caf", SF_FORMAT_CAF | SF_FORMAT_FLOAT, 16000, 1e-7},
        {"s16.au", SF_FORMAT_AU | SF_FORMAT_PCM_16, 16000, 1.0 / 32000},
        {"vorbis.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 16000, 0},
        {"opus.ogg", SF_FORMAT_OGG | SF_FORMAT_OPUS, 48000, 0},
        {"layer3.mp3", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, 44100, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *path = in("formats", rows[i].name);
        if (!put_sound(path, rows[i].format, rows[i].rate, 1, rows[i].rate)) {
            printf("%s: not tried, this libsndfile does not write it\n", rows[i].name);
            continue;
        }
        Dataset *dataset;
        Tensor tensor;
        if (!CHECK_OK(open(path, NULL, &dataset)))
            continue;
        CHECK_TEXT(dataset_reader(dataset), "audio");
        if (CHECK_OK(dataset_load(dataset, 0, &tensor))) {
            const float *x = tensor.data;
            double worst = 0;
            CHECK(llabs(tensor.count - 16000) <= (rows[i].error > 0 ? 0 : 1600)); /* lossy ones may add silence */
            for (int64_t k = 0; rows[i].error > 0 && k < tensor.count; k++)
                worst = fmax(worst, fabs((double)x[k] - 0.4 * sin(2 * PI * 300 * (double)k / 16000)));
            if (worst > rows[i].error)
                test_fail(__FILE__, __LINE__, "%s: off by %g", rows[i].name, worst);
            CHECK_NEAR(amplitude(x + 4000, 8000, 300, 16000), 0.4, 0.02);
            CHECK_NEAR(amplitude(x + 4000, 8000, 800, 16000), 0, 0.01);
            tensor_release(&tensor);
        }
        dataset_free(dataset);
    }
}

/* Whatever was read before, and however badly a decoder seeks: a window is what the whole recording has there, to the bit. */
TEST(windows_are_the_same_in_any_order)
{
    static const struct {
        const char *name;
        int format, rate;
    } rows[] = {
        {"x.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 8000},
        {"gsm.wav", SF_FORMAT_WAV | SF_FORMAT_GSM610, 8000},
        {"ima.wav", SF_FORMAT_WAV | SF_FORMAT_IMA_ADPCM, 8000},
        {"x.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 8000},
        {"vorbis.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 8000},
        {"opus.ogg", SF_FORMAT_OGG | SF_FORMAT_OPUS, 8000},
        {"layer3.mp3", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, 8000},
    };
    AudioOptions audio = audio_default();
    audio.sample_rate = 8000;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *path = in("windows", rows[i].name);
        if (!put_sound(path, rows[i].format, rows[i].rate, 1, 70 * rows[i].rate))
            continue;
        Dataset *whole = NULL, *cut = NULL;
        Tensor all, one;
        audio.window = audio.hop = 0;
        bool good = CHECK_OK(open(path, &audio, &whole)) && CHECK_OK(dataset_load(whole, 0, &all));
        audio.window = 0.7;
        audio.hop = 0.4;
        good = good && CHECK_OK(open(path, &audio, &cut));
        int64_t n = good ? dataset_count(cut) : 0, wrong = 0;
        for (int64_t k = 0; k < MIN(n, (int64_t)16); k++) {
            int64_t w = k < 4 ? n - 1 - k : k * 37 % n, at = w * 3200; /* from the end at first: a step that goes forward only */
            if (!CHECK_OK(dataset_load(cut, w, &one)))
                break;
            int64_t there = MIN(one.count, all.count - at);
            wrong += memcmp(one.data, (const float *)all.data + at, (size_t)there * sizeof(float)) != 0;
            tensor_release(&one);
        }
        if (wrong > 0 || n < 170)
            test_fail(__FILE__, __LINE__, "%s: %d of %d windows are wrong", rows[i].name, (int)wrong, (int)n);
        if (good)
            tensor_release(&all);
        dataset_free(whole);
        dataset_free(cut);
    }
}

TEST(recordings_and_options_that_make_no_sense)
{
    const char *folder = "nonsense";
    /* A WAV header of 16-bit mono with the rate at 24, little-endian. */
    static const unsigned char rates[][4] = {{0, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff}, {0, 0xca, 0x9a, 0x3b}};
    CHECK(put_sound(in(folder, "good.wav"), SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 3000));
    size_t size;
    unsigned char *bytes = read_bytes(in(folder, "good.wav"), &size);
    for (size_t i = 0; i < COUNT_OF(rates); i++) { /* 0, -1 and 1e9 Hz */
        char name[16];
        snprintf(name, sizeof name, "rate%d.wav", (int)i);
        memcpy(bytes + 24, rates[i], 4);
        write_file(in(folder, name), bytes, size);
        Dataset *dataset;
        Tensor tensor;
        if (!CHECK_OK(open(in(folder, name), NULL, &dataset)))
            continue;
        CHECK_FAILS(dataset_load(dataset, 0, &tensor), CODE_DATA, name);
        dataset_free(dataset);
    }
    memcpy(bytes + 24, (unsigned char[]){0x80, 0x3e, 0, 0}, 4); /* 16000 again, but no sound in it */
    memset(bytes + 40, 0, 4);
    write_file(in(folder, "silent.wav"), bytes, 44);
    write_file(in(folder, "empty.wav"), "", 0);
    free(bytes);
    Dataset *dataset;
    Tensor tensor;
    if (CHECK_OK(open(in(folder, "silent.wav"), NULL, &dataset))) {
        CHECK_FAILS(dataset_load(dataset, 0, &tensor), CODE_DATA, "it is empty");
        dataset_free(dataset);
    }
    if (CHECK_OK(open(in(folder, "empty.wav"), NULL, &dataset))) {
        CHECK_FAILS(dataset_load(dataset, 0, &tensor), CODE_DATA, "empty.wav");
        dataset_free(dataset);
    }
    /* A window longer than the file: zeros behind it, unless the rest is to be skipped. */
    AudioOptions audio = audio_default();
    audio.given = true;
    audio.window = 1;
    if (CHECK_OK(open(in(folder, "good.wav"), &audio, &dataset))) {
        CHECK_INT(dataset_count(dataset), 1);
        if (CHECK_OK(dataset_load(dataset, 0, &tensor))) {
            CHECK_INT(tensor.count, 16000);
            CHECK(((float *)tensor.data)[2990] != 0 && ((float *)tensor.data)[3000] == 0);
            tensor_release(&tensor);
        }
        dataset_free(dataset);
    }
    audio.rest = REST_SKIP;
    if (CHECK_OK(open(in(folder, "good.wav"), &audio, &dataset))) {
        CHECK_FAILS(dataset_load(dataset, 0, &tensor), CODE_DATA, "0.1875 s are shorter than the window of 1 s");
        dataset_free(dataset);
    }
    audio.window = 1e9;
    CHECK_FAILS(open(in(folder, "good.wav"), &audio, &dataset), CODE_USAGE, "too long");
    audio.window = 1e-9;
    CHECK_FAILS(open(in(folder, "good.wav"), &audio, &dataset), CODE_USAGE, "shorter than one sample");
    /* The model's rate far from the file's: we go to a factor of 256. */
    audio = audio_default();
    audio.given = true;
    audio.sample_rate = 10;
    if (CHECK_OK(open(in(folder, "good.wav"), &audio, &dataset))) {
        CHECK_FAILS(dataset_load(dataset, 0, &tensor), CODE_DATA, "too far from what the model takes");
        dataset_free(dataset);
    }
}

/* MFCC of frames against the formulas in double: |DFT|^2, HTK triangles, ln, orthonormal DCT-II. */
TEST(mfcc_of_the_keyword_preset_equals_the_formulas)
{
    enum { N = 480, HOP = 320, MELS = 40, MFCC = 10, SAMPLES = 16000, FRAMES = 49 };
    Preprocess p = preprocess_default();
    Value input = {.name = "x", .type = {.kind = TYPE_TENSOR, .dtype = DT_FLOAT, .shape = {.rank = 4}}};
    static const int64_t dims[] = {1, FRAMES, MFCC, 1};
    for (int d = 0; d < 4; d++)
        input.type.shape.dims[d] = dim_known(dims[d]);
    AudioPlan *plan;
    Tensor tensor;
    if (!CHECK_OK(preset_apply("kws", &p)) || !CHECK_OK(audio_plan_new(&input, &p.audio, &plan)))
        return;
    float *x = xcalloc(SAMPLES, sizeof *x);
    uint64_t state = 7;
    for (int i = 0; i < SAMPLES; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)(0.3 * sin(2 * PI * (400 + 0.05 * i) * i / 16000) + 0.1 * ((double)(state >> 40) / (1 << 24) - 0.5));
    }
    double worst = 0, mel_low = 2595 * log10(1 + 20 / 700.0), mel_high = 2595 * log10(1 + 4000 / 700.0), hz[MELS + 2];
    for (int m = 0; m < MELS + 2; m++)
        hz[m] = 700 * (pow(10, (mel_low + (mel_high - mel_low) * m / (MELS + 1)) / 2595) - 1);
    if (CHECK_OK(audio_to_tensor(plan, x, SAMPLES, &tensor))) {
        CHECK_INT(tensor.count, FRAMES * MFCC);
        for (int t = 0; t < FRAMES && tensor.count == FRAMES * MFCC; t += 6) {
            double logs[MELS] = {0}, power[N / 2 + 1];
            for (int k = 0; k <= N / 2; k++) {
                double re = 0, im = 0;
                for (int i = 0; i < N; i++) {
                    double value = (double)x[t * HOP + i] * (0.5 - 0.5 * cos(2 * PI * i / N)), turn = 2 * PI * (i * k % N) / N;
                    re += value * cos(turn);
                    im += value * sin(turn);
                }
                power[k] = re * re + im * im;
            }
            for (int m = 0; m < MELS; m++) {
                for (int k = 0; k <= N / 2; k++) {
                    double f = 16000.0 * k / N;
                    double up = (f - hz[m]) / (hz[m + 1] - hz[m]), down = (hz[m + 2] - f) / (hz[m + 2] - hz[m + 1]);
                    logs[m] += power[k] * fmax(0, fmin(up, down));
                }
                logs[m] = log(fmax(logs[m], 1e-10));
            }
            for (int c = 0; c < MFCC; c++) {
                double sum = 0;
                for (int m = 0; m < MELS; m++)
                    sum += logs[m] * cos(PI * c * (2 * m + 1) / (2 * MELS));
                sum *= sqrt((c == 0 ? 1.0 : 2.0) / MELS);
                worst = fmax(worst, fabs((double)((float *)tensor.data)[t * MFCC + c] - sum) / fmax(fabs(sum), 1));
            }
        }
        if (!(worst <= 1e-4))
            test_fail(__FILE__, __LINE__, "off by %g", worst);
        tensor_release(&tensor);
    }
    free(x);
    audio_plan_free(plan);
}

TEST(audio_presets_fit_the_inputs_of_their_models)
{
    static const struct {
        const char *name, *layout;
        int rank;
        int64_t dims[4], window;
    } rows[] = {
        {"raw-16k", "t", 2, {1, 16000}, 16000},
        {"logmel-16k", "1mt", 4, {1, 1, 64, 101}, 16000},
        {"kws", "tm1", 4, {1, 49, 10, 1}, 16000},
        {"whisper", "mt", 3, {1, 80, 3000}, 480000},
        {"yamnet", "1tm", 4, {1, 1, 96, 64}, 95 * 160 + 512},
        {"panns", "1tm", 4, {1, 1, -1, 64}, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Preprocess p = preprocess_default();
        Value input = {.name = "x", .type = {.kind = TYPE_TENSOR, .dtype = DT_FLOAT, .shape = {.rank = rows[i].rank}}};
        for (int d = 0; d < rows[i].rank; d++)
            input.type.shape.dims[d] = rows[i].dims[d] < 0 ? DIM_UNKNOWN : dim_known(rows[i].dims[d]);
        AudioPlan *plan;
        if (!CHECK_OK(preset_apply(rows[i].name, &p)) || !CHECK_OK(audio_plan_new(&input, &p.audio, &plan)))
            continue;
        CHECK_TEXT(plan->options.layout, rows[i].layout);
        CHECK_INT(plan->window, rows[i].window);
        CHECK(!plan->rate_assumed);
        audio_plan_free(plan);
    }
}

/* ((v - mean) / deviation - m) / s over each sample, and the last channel of three. */
TEST(samples_are_normalized_each_by_itself)
{
    const char *path = in("normalized", "a.wav");
    CHECK(put_sound(path, SF_FORMAT_WAV | SF_FORMAT_FLOAT, 16000, 3, 1600));
    AudioOptions audio = audio_default();
    audio.given = true;
    audio.channel = 3;
    audio.normalize = true;
    audio.mean = 0.5;
    audio.std = 2;
    Dataset *dataset;
    Tensor tensor;
    if (!CHECK_OK(open(path, &audio, &dataset)))
        return;
    if (CHECK_OK(dataset_load(dataset, 0, &tensor))) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < tensor.count; i++) {
            double v = (double)((float *)tensor.data)[i] * 2 + 0.5;
            sum += v;
            squares += v * v;
        }
        CHECK_NEAR(sum / (double)tensor.count, 0, 1e-5);
        CHECK_NEAR(squares / (double)tensor.count, 1, 1e-5);
        CHECK_NEAR(((float *)tensor.data)[5], (sqrt(2) * sin(2 * PI * 1100 * 5 / 16000.0) - 0.5) / 2, 1e-4);
        tensor_release(&tensor);
    }
    dataset_free(dataset);
}
