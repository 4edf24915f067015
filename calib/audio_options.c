/* audio_options.c - the audio front end as a text: one row of the table a key.
 *
 *     "logmel:n_fft=512,win_length=400,hop_length=160,n_mels=64,fmin=20,fmax=7600,htk=1,norm=none,offset=1e-6"
 *
 * Names and defaults are librosa's; torchaudio's names for the same (f_min, f_max, mel_scale) are understood too.
 */
#include "calib/audio.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define UNSET (-1.0)

AudioOptions audio_default(void)
{
    return (AudioOptions){.n_fft = 2048, .n_mels = 128, .n_mfcc = 20, .slaney_norm = true, .center = true,
                          .reflect = true, .periodic = true, .power = 2, .scale = 1, .log = FEATURE_LINEAR,
                          .amin = UNSET, .top_db = UNSET, .ref = 1, .std = 1, .gain = 0.98, .bias = 2,
                          .pcen_power = 0.5, .time_constant = 0.4, .eps = 1e-6};
}

static const char *const kinds[] = {"raw", "stft", "mel", "logmel", "mfcc", NULL};
static const char *const logs[] = {"none", "ln", "log10", "db", "pcen", NULL};
static const char *const shapes[] = {"hann", "hamming", "blackman", "boxcar", NULL};
static const char *const scales[] = {"slaney", "htk", NULL};
static const char *const norms[] = {"none", "slaney", NULL};
static const char *const pads[] = {"constant", "reflect", NULL};

const char *audio_feature_name(FeatureKind kind)
{
    return kinds[kind];
}

const char *audio_log_name(FeatureLog log)
{
    return logs[log];
}

typedef enum KeyKind { KEY_COUNT, KEY_NUMBER, KEY_FLAG, KEY_WORD, KEY_FLAG_WORD, KEY_LAYOUT } KeyKind;

typedef struct Key {
    const char *name;
    KeyKind kind;
    size_t offset;
    double low, high;
    const char *const *words;  /* of KEY_WORD: an int or enum; of KEY_FLAG_WORD: a bool */
    const char *special;       /* a word that stands for 0 */
} Key;

#define AT(field) offsetof(AudioOptions, field)

static const Key keys[] = {
    {"n_fft", KEY_COUNT, AT(n_fft), 2, 1 << 16, NULL, NULL},
    {"win_length", KEY_COUNT, AT(win_length), 1, 1 << 16, NULL, NULL},
    {"hop_length", KEY_COUNT, AT(hop_length), 1, 1 << 20, NULL, NULL},
    {"n_mels", KEY_COUNT, AT(n_mels), 1, 4096, NULL, NULL},
    {"n_mfcc", KEY_COUNT, AT(n_mfcc), 1, 4096, NULL, NULL},
    {"fmin", KEY_NUMBER, AT(fmin), 0, 1e6, NULL, NULL},
    {"f_min", KEY_NUMBER, AT(fmin), 0, 1e6, NULL, NULL},
    {"fmax", KEY_NUMBER, AT(fmax), 0, 1e6, NULL, "none"},
    {"f_max", KEY_NUMBER, AT(fmax), 0, 1e6, NULL, "none"},
    {"htk", KEY_FLAG, AT(htk), 0, 0, NULL, NULL},
    {"mel_scale", KEY_FLAG_WORD, AT(htk), 0, 0, scales, NULL},
    {"norm", KEY_FLAG_WORD, AT(slaney_norm), 0, 0, norms, NULL},
    {"center", KEY_FLAG, AT(center), 0, 0, NULL, NULL},
    {"pad_mode", KEY_FLAG_WORD, AT(reflect), 0, 0, pads, NULL},
    {"periodic", KEY_FLAG, AT(periodic), 0, 0, NULL, NULL},
    {"drop_last", KEY_FLAG, AT(drop_last), 0, 0, NULL, NULL},
    {"window", KEY_WORD, AT(shape), 0, 0, shapes, NULL},
    {"power", KEY_NUMBER, AT(power), 1, 2, NULL, NULL},
    {"scale", KEY_NUMBER, AT(scale), -1e12, 1e12, NULL, NULL},
    {"log", KEY_WORD, AT(log), 0, 0, logs, NULL},
    {"amin", KEY_NUMBER, AT(amin), 0, 1, NULL, NULL},
    {"offset", KEY_NUMBER, AT(offset), 0, 1e12, NULL, NULL},
    {"top_db", KEY_NUMBER, AT(top_db), 0, 1000, NULL, "none"},
    {"ref", KEY_NUMBER, AT(ref), 1e-30, 1e30, NULL, "max"},
    {"mean", KEY_NUMBER, AT(mean), -1e12, 1e12, NULL, NULL},
    {"std", KEY_NUMBER, AT(std), 1e-12, 1e12, NULL, NULL},
    {"normalize", KEY_FLAG, AT(normalize), 0, 0, NULL, NULL},
    {"gain", KEY_NUMBER, AT(gain), 0, 100, NULL, NULL},
    {"bias", KEY_NUMBER, AT(bias), 0, 1e6, NULL, NULL},
    {"pcen_power", KEY_NUMBER, AT(pcen_power), 0, 100, NULL, NULL},
    {"time_constant", KEY_NUMBER, AT(time_constant), 1e-6, 1e6, NULL, NULL},
    {"eps", KEY_NUMBER, AT(eps), 1e-30, 1, NULL, NULL},
    {"layout", KEY_LAYOUT, AT(layout), 0, 0, NULL, NULL},
};

static int word_number(const char *const *words, const char *text)
{
    for (int i = 0; words[i] != NULL; i++)
        if (strcmp(words[i], text) == 0)
            return i;
    return -1;
}

static bool read_number(const Key *key, const char *text, double *ret)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (key->special != NULL && strcmp(text, key->special) == 0)
        value = 0;
    else if (end == text || *end != '\0' || !(value >= key->low && value <= key->high))
        return false;
    if (key->kind == KEY_COUNT && value != floor(value))
        return false;
    *ret = value;
    return true;
}

static bool is_layout(const char *text)
{
    static const char *const layouts[] = {"t", "1t", "t1", "mt", "tm", "1mt", "1tm", "mt1", "tm1", NULL};
    return word_number(layouts, text) >= 0;
}

static bool store(const Key *key, const char *text, AudioOptions *options)
{
    void *field = (char *)options + key->offset;
    double value;
    int word = key->words == NULL ? -1 : word_number(key->words, text);
    switch (key->kind) {
    case KEY_COUNT:
        if (!read_number(key, text, &value))
            return false;
        *(int *)field = (int)value;
        return true;
    case KEY_NUMBER:
        return read_number(key, text, field);
    case KEY_FLAG:
        *(bool *)field = strcmp(text, "1") == 0 || strcmp(text, "true") == 0;
        return *(bool *)field || strcmp(text, "0") == 0 || strcmp(text, "false") == 0;
    case KEY_WORD:
        if (word >= 0)
            memcpy(field, &word, sizeof word); /* enums are ints here */
        return word >= 0;
    case KEY_FLAG_WORD:
        *(bool *)field = word == 1;
        return word >= 0;
    case KEY_LAYOUT:
        if (is_layout(text))
            memcpy(field, text, strlen(text) + 1);
        return is_layout(text);
    }
    return false;
}

_Static_assert(sizeof(FeatureLog) == sizeof(int) && sizeof(WindowShape) == sizeof(int), "words are stored as ints");

static Status set_kind(const char *text, AudioOptions *options)
{
    int kind = word_number(kinds, text);
    if (kind < 0)
        return status_new(CODE_USAGE, "features are raw, stft, mel, logmel or mfcc, not '%s'", text);
    options->kind = (FeatureKind)kind;
    options->has_features = true;
    options->log = kind == FEATURE_LOGMEL ? FEATURE_LN : kind == FEATURE_MFCC ? FEATURE_DB : FEATURE_LINEAR;
    return NULL;
}

Status audio_update_key(const char *key, const char *value, AudioOptions *options)
{
    const char *names[COUNT_OF(keys) + 1] = {NULL};
    options->given = true;
    if (strcmp(key, "kind") == 0)
        return set_kind(value, options);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        names[i] = keys[i].name;
        if (strcmp(keys[i].name, key) == 0)
            return store(&keys[i], value, options)
                       ? NULL : status_new(CODE_USAGE, "feature parameter '%s' cannot be '%s'", key, value);
    }
    const char *near = text_nearest(key, names);
    return status_new(CODE_USAGE, "unknown feature parameter '%s'%s%s%s", key, near == NULL ? "" : "; did you mean '",
                      near == NULL ? "" : near, near == NULL ? "" : "'?");
}

Status audio_update_features(const char *spec, AudioOptions *options)
{
    AudioOptions updated = *options;
    char *copy = xstrdup(spec);
    char *at = copy + strcspn(copy, ":");
    bool more = *at == ':';
    *at++ = '\0';
    Status status = audio_update_key("kind", copy, &updated);
    while (status == NULL && more) {
        char *end = at + strcspn(at, ",");
        more = *end == ',';
        *end = '\0';
        char *equals = strchr(at, '=');
        if (equals == NULL) {
            status = status_new(CODE_USAGE, "feature parameters are key=value, not '%s'", at);
            break;
        }
        *equals = '\0';
        status = audio_update_key(at, equals + 1, &updated);
        at = end + 1;
    }
    free(copy);
    if (status == NULL)
        *options = updated;
    return status;
}
