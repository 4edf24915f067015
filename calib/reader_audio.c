/* reader_audio.c - samples that are recordings, or windows of them: libsndfile decodes, libsoxr changes the rate.
 *
 *     file ─ frames [from - margin, to + margin) ─ one channel or their mean ─ resampled ─ margin cut off ─ features
 *
 * A window is read and resampled with a margin on both sides, so that its ends sound as they do within the whole, and from
 * a frame that falls on a sample of the new rate, so that it is not shifted by a part of one.
 */
#include "calib/reader.h"
#include "calib/tape.h"

#include <math.h>
#include <soxr.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES_MAX ((int64_t)1 << 28) /* of one sample */
#define MARGIN_SECONDS 0.05
#define RATIO_MAX 256.0

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

/* ---- windows ----------------------------------------------------------------------------------------------------- */

/* Length at the model's rate; a part of a sample at the end is one, as librosa and torchaudio have it. */
static int64_t length_of(const AudioPlan *plan, const TapeFacts *facts)
{
    double n = (double)facts->frames * plan->options.sample_rate / facts->rate;
    return (int64_t)MIN(ceil(n - 1e-6), 1e15);
}

static int64_t windows(const Dataset *dataset, const char *path, int input)
{
    const AudioPlan *plan = dataset->feeds[input].audio;
    TapeFacts facts;
    if (plan->window == 0)
        return 1;
    Status status = tapes_facts(dataset->tapes, path, &facts);
    if (status != NULL) { /* told when it is read */
        status_free(status);
        return 1;
    }
    return audio_windows(plan, length_of(plan, &facts));
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

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

/* As librosa does by default: libsoxr's HQ, 20 bits. Where the recording ends, `silence` zeros are put behind it: the part of a
 * sample that may be left at the new rate is a whole one then. */
static Status resample(double from, double to, int64_t silence, Sound *sound)
{
    const soxr_io_spec_t floats = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
    const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
    const soxr_runtime_spec_t one_thread = soxr_runtime_spec(1);
    double ratio = to / from;
    void *memory;
    size_t done = 0;
    if (!(ratio >= 1 / RATIO_MAX && ratio <= RATIO_MAX))
        return status_new(CODE_DATA, "its sample rate is too far from what the model takes (factor %g)", ratio);
    if (silence > 0)
        TRY(trim(0, sound->n + silence, sound));
    size_t n = (size_t)ceil((double)sound->n * ratio) + 1;
    TRY(memory_alloc(n * sizeof(float), &memory));
    soxr_error_t error = soxr_oneshot(from, to, 1, sound->x, (size_t)sound->n, NULL, memory, n, &done, &floats, &quality,
                                      &one_thread);
    memory_free(sound->x);
    *sound = (Sound){memory, (int64_t)done};
    return error == NULL ? NULL : status_new(CODE_DATA, "resampling: %s", soxr_strerror(error));
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
static Status read_sound(const AudioPlan *plan, Tapes *tapes, const char *path, int64_t window, Sound *sound)
{
    const AudioOptions *o = &plan->options;
    TapeFacts facts;
    TRY(tapes_facts(tapes, path, &facts));
    double ratio = (double)o->sample_rate / facts.rate;
    int64_t all = length_of(plan, &facts), wanted = plan->window > 0 ? plan->window : all;
    int64_t start = window * plan->hop; /* at the model's rate */
    if (plan->window > 0 && o->rest == REST_SKIP && start + wanted > all)
        return status_new(CODE_DATA, "%g s are shorter than the window of %g s", (double)all / o->sample_rate,
                          (double)wanted / o->sample_rate);
    int64_t margin = ratio == 1 ? 0 : (int64_t)(MARGIN_SECONDS * facts.rate) + 1;
    int64_t unit = facts.rate / greatest_divisor(facts.rate, o->sample_rate);
    int64_t from = MAX((int64_t)floor((double)start / ratio) - margin, (int64_t)0) / unit * unit;
    int64_t to = MIN((int64_t)ceil((double)(start + wanted) / ratio) + margin, facts.frames);
    if (to - from > FRAMES_MAX)
        return status_new(CODE_DATA, "%g s are too long for one sample; give --window",
                          (double)(to - from) / facts.rate);
    if (from >= to)
        return status_new(CODE_DATA, "window %lld lies behind the end", (long long)window + 1);
    TRY(tapes_read(tapes, path, o->channel, from, to - from, sound));
    if (plan->window == 0 && sound->n < to - from) /* the head has promised more than there is */
        wanted = MAX((int64_t)ceil((double)sound->n * ratio - 1e-6), (int64_t)1);
    if (ratio != 1)
        TRY(resample(facts.rate, o->sample_rate, to == facts.frames ? margin : 0, sound));
    int64_t skip = start - (int64_t)llround((double)from * ratio);
    TRY(trim(MAX(skip, (int64_t)0), wanted, sound));
    for (int64_t i = 0; o->scale != 1 && i < sound->n; i++)
        sound->x[i] *= (float)o->scale;
    return NULL;
}

static Status read(const Dataset *dataset, const Part *part, int input, Tensor *ret)
{
    const AudioPlan *plan = dataset->feeds[input].audio;
    Sound sound = {0};
    Status status = read_sound(plan, dataset->tapes, part->path, part->window, &sound);
    if (status == NULL)
        status = audio_to_tensor(plan, sound.x, sound.n, ret);
    memory_free(sound.x);
    return status == NULL || strstr(status_message(status), part->path) != NULL ? status
                                                                                : status_prefix(status, "%s", part->path);
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
    Value value;
    TRY(feed_input(dataset, input, &value));
    TRY(audio_plan_new(&value, &dataset->options.preprocess.audio, &feed->audio));
    describe_add(dataset, audio_describe(dataset->arena, feed->audio));
    return NULL;
}

const Reader reader_audio = {"audio", "a recording", extensions, claims, prepare, read, windows};
