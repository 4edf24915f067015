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
static const char *const shapes[] = {"hann", "hamming", "blackman", "boxcar", "sqrt_hann", NULL};
static const char *const spectra[] = {"none", "window", "frame_length", NULL};
static const char *const scales[] = {"slaney", "htk", NULL};
static const char *const norms[] = {"none", "slaney", NULL};
static const char *const pads[] = {"constant", "reflect", NULL};

const char *audio_feature_name(FeatureKind kind)
{
    return kinds[kind];
}

typedef enum KeyKind { KEY_COUNT, KEY_NUMBER, KEY_FLAG, KEY_WORD, KEY_FLAG_WORD, KEY_LAYOUT } KeyKind;

/* Of which front ends a key is a part. */
typedef enum KeyPart { PART_ALL, PART_SPECTRUM, PART_MEL, PART_MFCC, PART_LOG, PART_PCEN } KeyPart;

typedef struct Key {
    const char *name;
    KeyKind kind;
    KeyPart part;
    size_t offset;
    double low, high;
    const char *const *words;  /* of KEY_WORD: an int or enum; of KEY_FLAG_WORD: a bool */
    const char *special;       /* a word that stands for 0 */
    enum { SHOWN_CHANGED, SHOWN_ALWAYS, SHOWN_NEVER } shown; /* in descriptions: never for a second name */
} Key;

#define AT(field) offsetof(AudioOptions, field)

static const Key keys[] = {
    {"n_fft", KEY_COUNT, PART_SPECTRUM, AT(n_fft), 2, 1 << 16, NULL, NULL, SHOWN_ALWAYS},
    {"win_length", KEY_COUNT, PART_SPECTRUM, AT(win_length), 1, 1 << 16, NULL, NULL, SHOWN_ALWAYS},
    {"hop_length", KEY_COUNT, PART_SPECTRUM, AT(hop_length), 1, 1 << 20, NULL, NULL, SHOWN_ALWAYS},
    {"window", KEY_WORD, PART_SPECTRUM, AT(shape), 0, 0, shapes, NULL, SHOWN_ALWAYS},
    {"periodic", KEY_FLAG, PART_SPECTRUM, AT(periodic), 0, 0, NULL, NULL, SHOWN_CHANGED},
    {"center", KEY_FLAG, PART_SPECTRUM, AT(center), 0, 0, NULL, NULL, SHOWN_ALWAYS},
    {"pad_mode", KEY_FLAG_WORD, PART_SPECTRUM, AT(reflect), 0, 0, pads, NULL, SHOWN_ALWAYS},
    {"drop_last", KEY_FLAG, PART_SPECTRUM, AT(drop_last), 0, 0, NULL, NULL, SHOWN_CHANGED},
    {"normalized", KEY_WORD, PART_SPECTRUM, AT(normalized), 0, 0, spectra, NULL, SHOWN_CHANGED},
    {"power", KEY_NUMBER, PART_SPECTRUM, AT(power), 0.1, 4, NULL, "none", SHOWN_ALWAYS},
    {"n_mels", KEY_COUNT, PART_MEL, AT(n_mels), 1, 4096, NULL, NULL, SHOWN_ALWAYS},
    {"fmin", KEY_NUMBER, PART_MEL, AT(fmin), 0, 1e6, NULL, NULL, SHOWN_ALWAYS},
    {"f_min", KEY_NUMBER, PART_MEL, AT(fmin), 0, 1e6, NULL, NULL, SHOWN_NEVER},
    {"fmax", KEY_NUMBER, PART_MEL, AT(fmax), 0, 1e6, NULL, "none", SHOWN_ALWAYS},
    {"f_max", KEY_NUMBER, PART_MEL, AT(fmax), 0, 1e6, NULL, "none", SHOWN_NEVER},
    {"mel_scale", KEY_FLAG_WORD, PART_MEL, AT(htk), 0, 0, scales, NULL, SHOWN_ALWAYS},
    {"htk", KEY_FLAG, PART_MEL, AT(htk), 0, 0, NULL, NULL, SHOWN_NEVER},
    {"norm", KEY_FLAG_WORD, PART_MEL, AT(slaney_norm), 0, 0, norms, NULL, SHOWN_ALWAYS},
    {"log", KEY_WORD, PART_ALL, AT(log), 0, 0, logs, NULL, SHOWN_CHANGED},
    {"amin", KEY_NUMBER, PART_LOG, AT(amin), 0, 1, NULL, NULL, SHOWN_ALWAYS},
    {"offset", KEY_NUMBER, PART_LOG, AT(offset), 0, 1e12, NULL, NULL, SHOWN_CHANGED},
    {"ref", KEY_NUMBER, PART_LOG, AT(ref), 1e-30, 1e30, NULL, "max", SHOWN_CHANGED},
    {"top_db", KEY_NUMBER, PART_LOG, AT(top_db), 0, 1000, NULL, "none", SHOWN_ALWAYS},
    {"gain", KEY_NUMBER, PART_PCEN, AT(gain), 0, 100, NULL, NULL, SHOWN_ALWAYS},
    {"bias", KEY_NUMBER, PART_PCEN, AT(bias), 0, 1e6, NULL, NULL, SHOWN_ALWAYS},
    {"pcen_power", KEY_NUMBER, PART_PCEN, AT(pcen_power), 0, 100, NULL, NULL, SHOWN_ALWAYS},
    {"time_constant", KEY_NUMBER, PART_PCEN, AT(time_constant), 1e-6, 1e6, NULL, NULL, SHOWN_ALWAYS},
    {"eps", KEY_NUMBER, PART_PCEN, AT(eps), 1e-30, 1, NULL, NULL, SHOWN_ALWAYS},
    {"n_mfcc", KEY_COUNT, PART_MFCC, AT(n_mfcc), 1, 4096, NULL, NULL, SHOWN_ALWAYS},
    {"scale", KEY_NUMBER, PART_ALL, AT(scale), -1e12, 1e12, NULL, NULL, SHOWN_CHANGED},
    {"normalize", KEY_FLAG, PART_ALL, AT(normalize), 0, 0, NULL, NULL, SHOWN_CHANGED},
    {"mean", KEY_NUMBER, PART_ALL, AT(mean), -1e12, 1e12, NULL, NULL, SHOWN_CHANGED},
    {"std", KEY_NUMBER, PART_ALL, AT(std), 1e-12, 1e12, NULL, NULL, SHOWN_CHANGED},
    {"layout", KEY_LAYOUT, PART_ALL, AT(layout), 0, 0, NULL, NULL, SHOWN_ALWAYS},
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

/* Each axis once, but for those of size 1, and always time. */
static bool is_layout(const char *text)
{
    size_t n = strlen(text);
    if (n >= sizeof((AudioOptions *)NULL)->layout || strspn(text, "1tmc") != n || strchr(text, 't') == NULL)
        return false;
    for (const char *axis = "tmc"; *axis != '\0'; axis++)
        if (strchr(text, *axis) != strrchr(text, *axis))
            return false;
    return true;
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

_Static_assert(sizeof(FeatureLog) == sizeof(int) && sizeof(WindowShape) == sizeof(int) && sizeof(SpectrumNorm) == sizeof(int),
               "words are stored as ints");

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

/* ---- and back ---------------------------------------------------------------------------------------------------- */

static bool is_part(const AudioOptions *options, KeyPart part)
{
    switch (part) {
    case PART_ALL:
        return true;
    case PART_SPECTRUM:
        return options->kind != FEATURE_RAW;
    case PART_MEL:
        return options->kind >= FEATURE_MEL;
    case PART_MFCC:
        return options->kind == FEATURE_MFCC;
    case PART_LOG:
        return options->log != FEATURE_LINEAR && options->log != FEATURE_PCEN;
    case PART_PCEN:
        return options->log == FEATURE_PCEN;
    }
    return false;
}

static void add_value(Text *text, const Key *key, const AudioOptions *options)
{
    const void *field = (const char *)options + key->offset;
    int word;
    double number;
    switch (key->kind) {
    case KEY_COUNT:
        memcpy(&word, field, sizeof word);
        text_addf(text, "%d", word);
        return;
    case KEY_NUMBER:
        memcpy(&number, field, sizeof number);
        if (key->special != NULL && number == 0)
            text_add(text, key->special);
        else
            text_addf(text, "%.9g", number);
        return;
    case KEY_FLAG:
        text_addf(text, "%d", *(const bool *)field);
        return;
    case KEY_WORD:
        memcpy(&word, field, sizeof word);
        text_add(text, key->words[word]);
        return;
    case KEY_FLAG_WORD:
        text_add(text, key->words[*(const bool *)field]);
        return;
    case KEY_LAYOUT:
        text_add(text, field);
        return;
    }
}

char *audio_features_text(Arena *arena, const AudioOptions *options)
{
    AudioOptions standard = audio_default();
    Text text = {0}, value = {0}, usual = {0};
    text_add(&text, kinds[options->kind]);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        text_free(&value);
        text_free(&usual);
        value = usual = (Text){0};
        add_value(&value, &keys[i], options);
        add_value(&usual, &keys[i], &standard);
        bool changed = strcmp(value.data, usual.data == NULL ? "" : usual.data) != 0;
        if (is_part(options, keys[i].part) && keys[i].shown != SHOWN_NEVER && (changed || keys[i].shown == SHOWN_ALWAYS))
            text_addf(&text, " %s=%s", keys[i].name, value.data);
    }
    char *line = arena_strdup(arena, text.data);
    text_free(&value);
    text_free(&usual);
    text_free(&text);
    return line;
}

/* ---- the whole text ---------------------------------------------------------------------------------------------- */

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
