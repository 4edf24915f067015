/* preprocess_json.c - a preprocessing file: one JSON object, one row of the table for each key it may have.
 *
 *     {"preset": "imagenet", "size": [224, 224], "mean": [0.5, 0.5, 0.5], "std": 0.5}
 *
 * "preset" is the start whatever its place; the other keys change it. One number for mean or std stands for all
 * channels.
 */
#include "calib/calib.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cJSON.h>

typedef Status (*ReadKey)(const cJSON *item, Preprocess *p);

static Status wrong(const cJSON *item, const char *expected)
{
    return status_new(CODE_USAGE, "'%s' expects %s", item->string, expected);
}

static bool read_whole(const cJSON *item, int low, int high, int *ret)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= low && item->valuedouble <= high) ||
        item->valuedouble != floor(item->valuedouble))
        return false;
    *ret = (int)item->valuedouble;
    return true;
}

static bool read_float(const cJSON *item, float *ret)
{
    if (!cJSON_IsNumber(item) || !(fabs(item->valuedouble) <= 1e30))
        return false;
    *ret = (float)item->valuedouble;
    return true;
}

static Status read_size(const cJSON *item, Preprocess *p)
{
    int width, height;
    if (!cJSON_IsArray(item) || cJSON_GetArraySize(item) != 2 ||
        !read_whole(cJSON_GetArrayItem(item, 0), 1, IMAGE_SIDE_MAX, &width) ||
        !read_whole(cJSON_GetArrayItem(item, 1), 1, IMAGE_SIDE_MAX, &height))
        return wrong(item, "[width, height], e.g. [224, 224]");
    p->width = width;
    p->height = height;
    return NULL;
}

/* The number of the word among `count` names that `name_of` gives. */
static Status read_word(const cJSON *item, const char *(*name_of)(int i), int count, int *ret)
{
    Text words = {0};
    for (int i = 0; i < count; i++) {
        if (cJSON_IsString(item) && strcmp(item->valuestring, name_of(i)) == 0) {
            *ret = i;
            text_free(&words);
            return NULL;
        }
        text_addf(&words, "%s%s", i == 0 ? "" : ", ", name_of(i));
    }
    Status status = status_new(CODE_USAGE, "'%s' expects one of %s", item->string, words.data);
    text_free(&words);
    return status;
}

static const char *resize_word(int i)
{
    return resize_name((ResizeMode)i);
}

static const char *interp_word(int i)
{
    return interp_name((Interp)i);
}

static const char *color_word(int i)
{
    return color_name((Color)i);
}

static const char *layout_word(int i)
{
    return layout_name((Layout)i);
}

static Status read_resize(const cJSON *item, Preprocess *p)
{
    int i;
    TRY(read_word(item, resize_word, RESIZE_PAD + 1, &i));
    p->resize = (ResizeMode)i;
    return NULL;
}

static Status read_interp(const cJSON *item, Preprocess *p)
{
    int i;
    TRY(read_word(item, interp_word, INTERP_OPENCV + 1, &i));
    p->interp = (Interp)i;
    return NULL;
}

static Status read_color(const cJSON *item, Preprocess *p)
{
    int i;
    TRY(read_word(item, color_word, COLOR_GRAY + 1, &i));
    p->color = (Color)i;
    return NULL;
}

static Status read_layout(const cJSON *item, Preprocess *p)
{
    int i;
    TRY(read_word(item, layout_word, LAYOUT_NHWC + 1, &i));
    p->layout = (Layout)i;
    return NULL;
}

static Status read_shorter(const cJSON *item, Preprocess *p)
{
    return read_whole(item, 1, IMAGE_SIDE_MAX, &p->resize_shorter) ? NULL : wrong(item, "a number of pixels");
}

static Status read_pad_value(const cJSON *item, Preprocess *p)
{
    return read_whole(item, 0, 255, &p->pad_value) ? NULL : wrong(item, "a number 0..255");
}

static Status read_scale(const cJSON *item, Preprocess *p)
{
    return read_float(item, &p->scale) ? NULL : wrong(item, "a number");
}

static Status read_floats(const cJSON *item, float values[4])
{
    int n = cJSON_IsArray(item) ? cJSON_GetArraySize(item) : 1;
    float read[4];
    bool good = n == 1 || n == 3 || n == 4;
    for (int c = 0; good && c < n; c++)
        good = read_float(cJSON_IsArray(item) ? cJSON_GetArrayItem(item, c) : item, &read[c]);
    if (!good)
        return wrong(item, "a number, or a number for each channel");
    for (int c = 0; c < 4; c++)
        if (n == 1 || c < n)
            values[c] = read[n == 1 ? 0 : c];
    return NULL;
}

static Status read_mean(const cJSON *item, Preprocess *p)
{
    return read_floats(item, p->mean);
}

static Status read_std(const cJSON *item, Preprocess *p)
{
    float values[4];
    memcpy(values, p->std, sizeof values);
    TRY(read_floats(item, values));
    for (int c = 0; c < 4; c++)
        if (values[c] == 0)
            return wrong(item, "numbers that are not zero");
    memcpy(p->std, values, sizeof values);
    return NULL;
}

static Status read_preset(const cJSON *item, Preprocess *p)
{
    if (!cJSON_IsString(item))
        return wrong(item, "the name of a preset");
    return preset_apply(item->valuestring, p);
}

/* ---- recordings -------------------------------------------------------------------------------------------------- */

static Status read_feature(const cJSON *item, AudioOptions *audio)
{
    char number[40];
    snprintf(number, sizeof number, "%.17g", item->valuedouble);
    const char *text = cJSON_IsString(item) ? item->valuestring
                       : cJSON_IsNumber(item) ? number
                       : cJSON_IsBool(item) ? (cJSON_IsTrue(item) ? "1" : "0")
                       : cJSON_IsNull(item) ? "none" : NULL; /* Python's None: fmax, top_db, power, norm */
    return text == NULL ? wrong(item, "a number, a word or true or false") : audio_update_key(item->string, text, audio);
}

/* "logmel:n_fft=512,..." or {"kind": "logmel", "n_fft": 512, ...} */
static Status read_features(const cJSON *item, Preprocess *p)
{
    if (cJSON_IsString(item))
        return audio_update_features(item->valuestring, &p->audio);
    if (!cJSON_IsObject(item))
        return wrong(item, "a text such as \"logmel:n_mels=64\" or an object");
    const cJSON *kind = cJSON_GetObjectItemCaseSensitive(item, "kind"), *key;
    if (kind != NULL) /* first: it sets the kind's own defaults */
        TRY(read_feature(kind, &p->audio));
    cJSON_ArrayForEach(key, item)
        if (key != kind)
            TRY(read_feature(key, &p->audio));
    return NULL;
}

static Status read_sample_rate(const cJSON *item, Preprocess *p)
{
    p->audio.given = true;
    return read_whole(item, 1, 1000000, &p->audio.sample_rate) ? NULL : wrong(item, "a rate in Hz, e.g. 16000");
}

static Status read_channel(const cJSON *item, Preprocess *p)
{
    p->audio.given = true;
    if (cJSON_IsString(item) && strcmp(item->valuestring, "mix") == 0) {
        p->audio.channel = 0;
        return NULL;
    }
    return read_whole(item, 1, 64, &p->audio.channel) ? NULL : wrong(item, "\"mix\" or a channel's number from 1 up");
}

static Status read_seconds(const cJSON *item, double *ret)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble > 0 && item->valuedouble <= 1e6))
        return wrong(item, "seconds above 0");
    *ret = item->valuedouble;
    return NULL;
}

static Status read_window(const cJSON *item, Preprocess *p)
{
    p->audio.given = true;
    return read_seconds(item, &p->audio.window);
}

static Status read_hop(const cJSON *item, Preprocess *p)
{
    p->audio.given = true;
    return read_seconds(item, &p->audio.hop);
}

static const char *rest_word(int i)
{
    static const char *const words[] = {"auto", "pad", "skip"};
    return words[i];
}

static Status read_rest(const cJSON *item, Preprocess *p)
{
    int i;
    TRY(read_word(item, rest_word, REST_SKIP + 1, &i));
    p->audio.given = true;
    p->audio.rest = (AudioRest)i;
    return NULL;
}

/* In the order they are applied: the preset first. */
static const struct {
    const char *name;
    ReadKey read;
} keys[] = {
    {"preset", read_preset}, {"size", read_size},   {"resize", read_resize},       {"shorter", read_shorter},
    {"interp", read_interp}, {"color", read_color}, {"layout", read_layout},       {"pad_value", read_pad_value},
    {"scale", read_scale},   {"mean", read_mean},   {"std", read_std},             {"features", read_features},
    {"sample_rate", read_sample_rate}, {"channel", read_channel}, {"window", read_window}, {"hop", read_hop},
    {"rest", read_rest},
};

static Status check_key(const cJSON *object, const cJSON *item)
{
    const char *names[COUNT_OF(keys) + 1];
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        names[i] = keys[i].name;
    names[COUNT_OF(keys)] = NULL;
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (strcmp(keys[i].name, item->string) == 0)
            return cJSON_GetObjectItemCaseSensitive(object, item->string) == item
                       ? NULL
                       : status_new(CODE_USAGE, "'%s' is given twice", item->string);
    const char *near = text_nearest(item->string, names);
    return status_new(CODE_USAGE, "unknown key '%s'%s%s%s", item->string, near == NULL ? "" : "; did you mean '",
                      near == NULL ? "" : near, near == NULL ? "" : "'?");
}

static Status read_object(const cJSON *object, Preprocess *p)
{
    if (!cJSON_IsObject(object))
        return status_new(CODE_USAGE, "expects one JSON object");
    const cJSON *item;
    cJSON_ArrayForEach(item, object)
        TRY(check_key(object, item));
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        item = cJSON_GetObjectItemCaseSensitive(object, keys[i].name);
        if (item != NULL)
            TRY(keys[i].read(item, p));
    }
    return NULL;
}

Status preprocess_update_json(const char *json, const char *source, Preprocess *p)
{
    const char *end = NULL;
    cJSON *object = cJSON_ParseWithOpts(json, &end, 1);
    if (object == NULL)
        return status_new(CODE_USAGE, "%s: not JSON at byte %td", source, end == NULL ? (ptrdiff_t)0 : end - json);
    Preprocess updated = *p;
    Status status = status_prefix(read_object(object, &updated), "%s", source);
    cJSON_Delete(object);
    if (status == NULL)
        *p = updated;
    return status;
}

Status preprocess_from_json(const char *json, const char *source, Preprocess *ret)
{
    Preprocess p = preprocess_default();
    TRY(preprocess_update_json(json, source, &p));
    *ret = p;
    return NULL;
}
