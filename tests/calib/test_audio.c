/* test_audio.c - recordings as samples: windows, what is left of them, channels, rates, and files that are none. */
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

/* Channel c holds a tone of (c + 1) * hz, its level 0.5 / (c + 1). */
static void put_tone(const char *path, int format, int rate, int channels, int n, double hz)
{
    float *x = xcalloc((size_t)n * (size_t)channels, sizeof *x);
    for (int i = 0; i < n; i++)
        for (int c = 0; c < channels; c++)
            x[i * channels + c] = (float)(0.5 / (c + 1) * sin(2 * PI * hz * (c + 1) * i / rate));
    SF_INFO info = {.samplerate = rate, .channels = channels, .format = format};
    write_file(path, "", 0); /* makes the folder */
    SNDFILE *file = sf_open(path, SFM_WRITE, &info);
    CHECK(file != NULL);
    if (file != NULL) {
        CHECK_INT(sf_writef_float(file, x, n), n);
        sf_close(file);
    }
    free(x);
}

static Dataset *open(const char *folder, int64_t time, const AudioOptions *audio)
{
    Value input = {.name = "x", .type = {.kind = TYPE_TENSOR, .dtype = DT_FLOAT, .shape = {.rank = 2}}};
    input.type.shape.dims[0] = DIM_UNKNOWN;
    input.type.shape.dims[1] = time > 0 ? dim_known(time) : DIM_UNKNOWN;
    DatasetOptions options = {.preprocess = preprocess_default()};
    if (audio != NULL)
        options.preprocess.audio = *audio;
    Dataset *dataset = NULL;
    CHECK_OK(dataset_open(in(folder, ""), (const Value *[]){&input}, 1, &options, &dataset));
    return dataset;
}

TEST(recordings_are_cut_into_windows)
{
    put_tone(in("windows", "a.wav"), SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 40000, 100);
    put_tone(in("windows", "b.flac"), SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 16000, 1, 9000, 100);
    static const struct {
        AudioRest rest;
        double hop;
        int64_t samples, of_first;
    } rows[] = {{REST_AUTO, 0, 3, 2}, {REST_AUTO, 0.5, 5, 4}, {REST_PAD, 0, 4, 3}, {REST_SKIP, 0, 3, 2}};
    for (size_t r = 0; r < COUNT_OF(rows); r++) {
        AudioOptions audio = audio_default();
        audio.rest = rows[r].rest;
        audio.hop = rows[r].hop;
        Dataset *dataset = open("windows", 16000, &audio);
        if (dataset == NULL)
            continue;
        CHECK_TEXT(dataset_reader(dataset), "audio");
        CHECK_INT(dataset_count(dataset), rows[r].samples);
        CHECK_TEXT(path_base(dataset_file(dataset, 1)), "a.wav#2");
        CHECK(dataset_continues(dataset, 1));
        CHECK(!dataset_continues(dataset, rows[r].of_first));
        Tensor tensor;
        if (CHECK_OK(dataset_load(dataset, 1, &tensor))) {
            CHECK_INT(tensor.count, 16000);
            int64_t from = rows[r].hop > 0 ? 8000 : 16000;
            CHECK_NEAR(((float *)tensor.data)[37], 0.5 * sin(2 * PI * 100 * (double)(from + 37) / 16000), 1e-4);
            tensor_release(&tensor);
        }
        int64_t last = rows[r].samples - 1;
        if (rows[r].rest == REST_SKIP) {
            CHECK_FAILS(dataset_load(dataset, last, &tensor), CODE_DATA, "shorter than the window");
        } else if (CHECK_OK(dataset_load(dataset, last, &tensor))) {
            CHECK(((float *)tensor.data)[8990] != 0 && ((float *)tensor.data)[9000] == 0);
            tensor_release(&tensor);
        }
        dataset_free(dataset);
    }
}

TEST(windows_of_another_rate_sound_as_the_whole_does)
{
    put_tone(in("rates", "a.wav"), SF_FORMAT_WAV | SF_FORMAT_FLOAT, 44100, 1, 44100 * 2, 440);
    AudioOptions audio = audio_default();
    audio.sample_rate = 16000;
    audio.window = 0.25;
    Dataset *dataset = open("rates", 0, &audio);
    Tensor tensor;
    CHECK_INT(dataset_count(dataset), 8);
    for (int64_t w = 1; w < 7; w++) {
        if (!CHECK_OK(dataset_load(dataset, w, &tensor)))
            continue;
        double worst = 0;
        for (int i = 0; i < 4000; i++)
            worst = fmax(worst, fabs((double)((float *)tensor.data)[i] -
                                     0.5 * sin(2 * PI * 440 * (double)(w * 4000 + i) / 16000)));
        if (!(worst < 1e-3))
            test_fail(__FILE__, __LINE__, "window %d is off by %g", (int)w, worst);
        tensor_release(&tensor);
    }
    dataset_free(dataset);
}

TEST(channels_are_mixed_or_chosen)
{
    put_tone(in("channels", "a.wav"), SF_FORMAT_WAV | SF_FORMAT_FLOAT, 16000, 2, 1000, 200);
    for (int channel = 0; channel <= 3; channel++) {
        AudioOptions audio = audio_default();
        audio.channel = channel;
        audio.scale = 32768;
        Dataset *dataset = open("channels", 0, &audio);
        Tensor tensor;
        double first = 0.5 * sin(2 * PI * 200 * 33.0 / 16000), second = 0.25 * sin(2 * PI * 400 * 33.0 / 16000);
        if (channel == 3) {
            CHECK_FAILS(dataset_load(dataset, 0, &tensor), CODE_DATA, "channel 3 was asked for, it has 2");
        } else if (CHECK_OK(dataset_load(dataset, 0, &tensor))) {
            CHECK_INT(tensor.dims[1], 1000);
            CHECK_NEAR(((float *)tensor.data)[33],
                       32768 * (channel == 0 ? (first + second) / 2 : channel == 1 ? first : second), 0.02);
            tensor_release(&tensor);
        }
        dataset_free(dataset);
    }
}

TEST(what_is_no_recording_is_skipped_with_the_reason)
{
    write_file(in("noise", "a.wav"), "RIFF\x24\0\0\0WAVEfmt ", 16);
    write_file(in("noise", "b.mp3"), "not a sound", 11);
    put_tone(in("noise", "c.wav"), SF_FORMAT_WAV | SF_FORMAT_PCM_24, 8000, 1, 100, 50);
    Dataset *dataset = open("noise", 0, NULL);
    Tensor tensor;
    CHECK_INT(dataset_count(dataset), 3);
    CHECK_FAILS(dataset_load(dataset, 0, &tensor), CODE_DATA, "a.wav");
    CHECK_FAILS(dataset_load(dataset, 1, &tensor), CODE_DATA, "not a recording");
    if (CHECK_OK(dataset_load(dataset, 2, &tensor))) {
        CHECK(tensor.count >= 198 && tensor.count <= 202); /* 8 to 16 kHz */
        tensor_release(&tensor);
    }
    dataset_free(dataset);
}

/* Four recordings of 4, 1, 4 and 4 windows. */
TEST(states_take_recordings_from_their_first_window_on)
{
    static const int lengths[] = {400, 100, 400, 400};
    static const char *const files[] = {"a.wav", "b.wav", "c.wav", "d.wav"};
    for (size_t i = 0; i < COUNT_OF(files); i++)
        put_tone(in("runs", files[i]), SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, lengths[i], 100);
    Value input = {.name = "x", .type = {.kind = TYPE_TENSOR, .dtype = DT_FLOAT, .shape = {.rank = 2}}};
    input.type.shape.dims[0] = DIM_UNKNOWN;
    input.type.shape.dims[1] = dim_known(100);
    for (int random = 0; random < 2; random++) {
        DatasetOptions options = {.preprocess = preprocess_default(), .max_samples = 5, .in_order = true, .draw = random,
                                  .seed = 3};
        Dataset *dataset = NULL;
        if (!CHECK_OK(dataset_open(in("runs", ""), (const Value *[]){&input}, 1, &options, &dataset)))
            continue;
        CHECK_INT(dataset_count(dataset), 5);
        int starts = 0;
        for (int64_t i = 0; i < dataset_count(dataset); i++) {
            bool first = strchr(dataset_file(dataset, i), '#') == NULL;
            CHECK(first == !dataset_continues(dataset, i));
            starts += first;
        }
        CHECK_INT(starts, 2);
        dataset_free(dataset);
    }
}

/* Shards take whole recordings then, too: together they are all, in order within each. */
TEST(states_go_on_within_a_shard)
{
    static const int lengths[] = {400, 100, 400, 400};
    static const char *const files[] = {"a.wav", "b.wav", "c.wav", "d.wav"}, *const expected[] = {"a.wav#2", "d.wav"};
    for (size_t i = 0; i < COUNT_OF(files); i++)
        put_tone(in("sharded", files[i]), SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, lengths[i], 100);
    Value input = {.name = "x", .type = {.kind = TYPE_TENSOR, .dtype = DT_FLOAT, .shape = {.rank = 2}}};
    input.type.shape.dims[0] = DIM_UNKNOWN;
    input.type.shape.dims[1] = dim_known(100);
    int64_t all = 0;
    for (int shard = 1; shard <= 3; shard++) {
        DatasetOptions options = {.preprocess = preprocess_default(), .in_order = true, .shard = shard, .shards = 3};
        Dataset *dataset = NULL;
        if (!CHECK_OK(dataset_open(in("sharded", ""), (const Value *[]){&input}, 1, &options, &dataset)))
            continue;
        int64_t n = dataset_count(dataset);
        all += n;
        CHECK_INT(n, shard == 1 ? 8 : shard == 2 ? 1 : 4);
        for (int k = 0; k < 2 && shard == 1 && n == 8; k++)
            CHECK_TEXT(path_base(dataset_file(dataset, k == 0 ? 1 : 4)), expected[k]);
        for (int64_t i = 0; i < n; i++)
            CHECK(dataset_continues(dataset, i) == (strchr(dataset_file(dataset, i), '#') != NULL));
        dataset_free(dataset);
    }
    CHECK_INT(all, 13);
    DatasetOptions options = {.preprocess = preprocess_default(), .in_order = true, .shard = 5, .shards = 5};
    Dataset *dataset = NULL;
    CHECK_FAILS(dataset_open(in("sharded", ""), (const Value *[]){&input}, 1, &options, &dataset), CODE_DATA, "4 recordings");
}
