/* reader_audio.c - samples that are recordings, or windows of them: libsndfile decodes, libsamplerate changes the rate.
 *
 *     file ─ frames [from - margin, to + margin) ─ one channel or their mean ─ resampled ─ margin cut off ─ features
 *
 * A window is read and resampled with a margin on both sides, so that its ends sound as they do within the whole, and from
 * a frame that falls on a sample of the new rate, so that it is not shifted by a part of one.
 */
#include "calib/reader.h"

#include <math.h>
#include <samplerate.h>
#include <sndfile.h>
#include <stdlib.h>
#include <string.h>

#define CHANNELS_MAX 64
#define FRAMES_MAX ((int64_t)1 << 28)
#define LENGTH_UNKNOWN ((int64_t)1 << 40)
#define CHUNK 65536          /* frames decoded in one go */
#define MARGIN_SECONDS 0.05

/* Those that libsndfile does not read too: such a file is a sample that is skipped with the reason. */
static const char *const extensions[] = {"wav", "flac", "ogg", "oga", "opus", "mp3", "aif", "aiff", "aifc", "au", "snd",
                                         "w64", "rf64", "caf", "m4a", "aac",  "wma", NULL};

static bool claims(const unsigned char *head, size_t n)
{
    static const struct {
        const char *mark;
        size_t at;
        const char *first; /* what must stand at 0 besides */
    } marks[] = {{"WAVE", 8, "RIFF"}, {"WAVE", 8, "RIFX"}, {"WAVE", 8, "RF64"}, {"fLaC", 0, ""}, {"OggS", 0, ""},
                 {"AIFF", 8, "FORM"}, {"AIFC", 8, "FORM"}, {".snd", 0, ""},     {"ID3", 0, ""},  {"caff", 0, ""},
                 {"riff\x2e\x91\xcf\x11", 0, ""}};
    for (size_t i = 0; i < COUNT_OF(marks); i++) {
        size_t length = strlen(marks[i].mark);
        if (n >= marks[i].at + length && memcmp(head + marks[i].at, marks[i].mark, length) == 0 &&
            memcmp(head, marks[i].first, strlen(marks[i].first)) == 0)
            return true;
    }
    return false;
}

/* Streams that do not say how long they are (frames is then near the greatest number) are decoded once to count. */
static void count_frames(SNDFILE *file, SF_INFO *info)
{
    if (info->channels < 1 || info->channels > CHANNELS_MAX)
        return;
    float *chunk = xcalloc((size_t)CHUNK * (size_t)info->channels, sizeof chunk[0]);
    sf_count_t frames = 0, got;
    while (frames < FRAMES_MAX && (got = sf_readf_float(file, chunk, CHUNK)) > 0)
        frames += got;
    free(chunk);
    info->frames = frames;
}

static Status open_file(const char *path, SNDFILE **ret, SF_INFO *info)
{
    *info = (SF_INFO){0};
    SNDFILE *file = sf_open(path, SFM_READ, info);
    if (file == NULL)
        return status_new(CODE_DATA, "%s: not a recording that can be read: %s", path, sf_strerror(NULL));
    if (info->frames >= LENGTH_UNKNOWN) {
        count_frames(file, info);
        sf_close(file);
        SF_INFO again = {0};
        file = sf_open(path, SFM_READ, &again);
        if (file == NULL)
            return status_new(CODE_DATA, "%s: not a recording that can be read: %s", path, sf_strerror(NULL));
    }
    const char *wrong = info->channels < 1 || info->channels > CHANNELS_MAX         ? "channels"
                        : info->samplerate < 1 || info->samplerate > AUDIO_RATE_MAX ? "sample rate"
                        : info->frames < 1                                          ? "length" : NULL;
    if (wrong != NULL) {
        sf_close(file);
        return status_new(CODE_DATA, "%s: its %s makes no sense (%d channels, %d Hz, %lld frames)", path, wrong,
                          info->channels, info->samplerate, (long long)info->frames);
    }
    *ret = file;
    return NULL;
}

/* ---- windows ----------------------------------------------------------------------------------------------------- */

/* Length at the model's rate. */
static int64_t length_of(const AudioPlan *plan, const SF_INFO *info)
{
    double n = (double)info->frames * plan->options.sample_rate / info->samplerate;
    return (int64_t)MIN(n, 1e15);
}

static int64_t windows(const Dataset *dataset, const char *path, int input)
{
    const AudioPlan *plan = dataset->feeds[input].audio;
    SNDFILE *file;
    SF_INFO info;
    if (plan->window == 0)
        return 1;
    Status status = open_file(path, &file, &info);
    if (status != NULL) { /* told when it is read */
        status_free(status);
        return 1;
    }
    sf_close(file);
    return audio_windows(plan, length_of(plan, &info));
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

typedef struct Sound {
    float *x;  /* memory_alloc'ed */
    int64_t n;
} Sound;

/* One channel of `want` frames from `from` on; fewer where the file ends. */
static Status decode(SNDFILE *file, const SF_INFO *info, int channel, int64_t from, int64_t want, Sound *ret)
{
    void *memory;
    if (from > 0 && sf_seek(file, from, SEEK_SET) != from)
        return status_new(CODE_DATA, "frame %lld cannot be found", (long long)from);
    TRY(memory_alloc((size_t)want * sizeof(float), &memory));
    float *x = memory, *chunk = xcalloc((size_t)CHUNK * (size_t)info->channels, sizeof chunk[0]);
    int64_t n = 0;
    while (n < want) {
        sf_count_t got = sf_readf_float(file, chunk, MIN((int64_t)CHUNK, want - n));
        if (got <= 0)
            break;
        for (sf_count_t i = 0; i < got; i++) {
            const float *frame = chunk + i * info->channels;
            double sum = 0;
            for (int c = 0; c < info->channels; c++)
                sum += (double)frame[c];
            x[n++] = channel > 0 ? frame[channel - 1] : (float)(sum / info->channels);
        }
    }
    free(chunk);
    if (n == 0) {
        memory_free(x);
        return status_new(CODE_DATA, "no sound can be read from %g s on: %s", (double)from / info->samplerate,
                          sf_error(file) == SF_ERR_NO_ERROR ? "the file is cut off" : sf_strerror(file));
    }
    *ret = (Sound){x, n};
    return NULL;
}

static Status resample(double ratio, Sound *sound)
{
    void *memory;
    if (!src_is_valid_ratio(ratio))
        return status_new(CODE_DATA, "its sample rate is too far from what the model takes (factor %g)", ratio);
    int64_t n = (int64_t)ceil((double)sound->n * ratio) + 1;
    TRY(memory_alloc((size_t)n * sizeof(float), &memory));
    SRC_DATA data = {.data_in = sound->x, .data_out = memory, .input_frames = (long)sound->n,
                     .output_frames = (long)n, .src_ratio = ratio};
    int error = src_simple(&data, SRC_SINC_MEDIUM_QUALITY, 1);
    memory_free(sound->x);
    *sound = (Sound){memory, data.output_frames_gen};
    return error == 0 ? NULL : status_new(CODE_DATA, "resampling: %s", src_strerror(error));
}

/* Cuts `skip` samples off the front and makes it n long, with zeros behind. */
static Status trim(int64_t skip, int64_t n, Sound *sound)
{
    void *memory;
    TRY(memory_alloc((size_t)n * sizeof(float), &memory));
    float *x = memory;
    skip = MIN(skip, sound->n);
    int64_t kept = MIN(n, sound->n - skip);
    memcpy(x, sound->x + skip, (size_t)kept * sizeof x[0]);
    memset(x + kept, 0, (size_t)(n - kept) * sizeof x[0]);
    memory_free(sound->x);
    *sound = (Sound){x, n};
    return NULL;
}

static int64_t greatest_divisor(int64_t a, int64_t b)
{
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* One window, or all there is. sound->x is freed by the caller, also after a failure. */
static Status read_sound(const AudioPlan *plan, SNDFILE *file, const SF_INFO *info, int64_t window, Sound *sound)
{
    const AudioOptions *o = &plan->options;
    if (o->channel > info->channels)
        return status_new(CODE_DATA, "channel %d was asked for, it has %d", o->channel, info->channels);
    double ratio = (double)o->sample_rate / info->samplerate;
    int64_t all = length_of(plan, info), wanted = plan->window > 0 ? plan->window : all;
    int64_t start = window * plan->hop; /* at the model's rate */
    if (plan->window > 0 && o->rest == REST_SKIP && start + wanted > all)
        return status_new(CODE_DATA, "%g s are shorter than the window of %g s", (double)all / o->sample_rate,
                          (double)wanted / o->sample_rate);
    int64_t margin = ratio == 1 ? 0 : (int64_t)(MARGIN_SECONDS * info->samplerate) + 1;
    int64_t unit = info->samplerate / greatest_divisor(info->samplerate, o->sample_rate);
    int64_t from = MAX((int64_t)floor((double)start / ratio) - margin, (int64_t)0) / unit * unit;
    int64_t to = MIN((int64_t)ceil((double)(start + wanted) / ratio) + margin, (int64_t)info->frames);
    if (to - from > FRAMES_MAX)
        return status_new(CODE_DATA, "%g s are too long for one sample; give --window",
                          (double)(to - from) / info->samplerate);
    if (from >= to)
        return status_new(CODE_DATA, "window %lld lies behind the end", (long long)window + 1);
    TRY(decode(file, info, o->channel, from, to - from, sound));
    if (ratio != 1)
        TRY(resample(ratio, sound));
    int64_t skip = start - (int64_t)llround((double)from * ratio);
    TRY(trim(MAX(skip, (int64_t)0), plan->window > 0 ? wanted : MAX(sound->n, (int64_t)1), sound));
    for (int64_t i = 0; o->scale != 1 && i < sound->n; i++)
        sound->x[i] *= (float)o->scale;
    return NULL;
}

static Status read(const Dataset *dataset, const Part *part, int input, Tensor *ret)
{
    const AudioPlan *plan = dataset->feeds[input].audio;
    SNDFILE *file;
    SF_INFO info;
    TRY(open_file(part->path, &file, &info));
    Sound sound = {0};
    Status status = read_sound(plan, file, &info, part->window, &sound);
    sf_close(file);
    if (status == NULL)
        status = audio_to_tensor(plan, sound.x, sound.n, ret);
    memory_free(sound.x);
    return status_prefix(status, "%s", part->path);
}

static Status prepare(Dataset *dataset, int input)
{
    if (dataset->n_main > 1)
        return status_new(CODE_DATA,
                          "recordings feed one input; this model has %d ('%s', '%s' ...): give the others data of their "
                          "own with --input NAME=DIR, or --state NAME for zeros, --state NAME=OUTPUT for what OUTPUT gave for "
                          "the sample before",
                          dataset->n_main, dataset->inputs[0]->name, dataset->inputs[1]->name);
    Feed *feed = &dataset->feeds[input];
    TRY(audio_plan_new(dataset->inputs[input], &dataset->options.preprocess.audio, &feed->audio));
    describe_add(dataset, audio_describe(dataset->arena, feed->audio));
    return NULL;
}

const Reader reader_audio = {"audio", "a recording", extensions, claims, prepare, read, windows};
