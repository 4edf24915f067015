/* presets.c - how well-known families of models were trained to see a picture or to hear a recording. One row a preset. */
#include "calib/calib.h"

#include <string.h>

#define FROM_MODEL .width = 0, .height = 0, .interp = INTERP_BILINEAR, .layout = LAYOUT_AUTO
#define NO_MEAN .mean = {0, 0, 0, 0}, .std = {1, 1, 1, 1}

static const Preset presets[] = {
    {"imagenet",
     "shorter side to 256 (of 224), centre crop, RGB, / 255, ImageNet mean and standard deviation (torchvision, timm)",
     .preprocess = {FROM_MODEL, .resize = RESIZE_CROP, .color = COLOR_RGB, .scale = 1.0f / 255, .mean = {0.485f, 0.456f, 0.406f, 0},
      .std = {0.229f, 0.224f, 0.225f, 1}, .default_size = 224}},
    {"caffe",
     "shorter side to 256 (of 224), centre crop, BGR 0..255 minus the ImageNet mean (Caffe, older zoo models)",
     .preprocess = {FROM_MODEL, .resize = RESIZE_CROP, .color = COLOR_BGR, .scale = 1, .mean = {103.939f, 116.779f, 123.68f, 0},
      .std = {1, 1, 1, 1}, .default_size = 224}},
    {"tf",
     "stretched, RGB, -1..1 (TensorFlow, MobileNet and Inception)",
     .preprocess = {FROM_MODEL, .resize = RESIZE_STRETCH, .color = COLOR_RGB, .scale = 1, .mean = {127.5f, 127.5f, 127.5f, 0},
      .std = {127.5f, 127.5f, 127.5f, 1}, .default_size = 224}},
    {"yolo",
     "fitted into the frame, padded with 114, RGB, 0..1 (YOLOv5 and later)",
     .preprocess = {FROM_MODEL, .resize = RESIZE_PAD, .pad_value = 114, .color = COLOR_RGB, .scale = 1.0f / 255, NO_MEAN,
      .default_size = 640}},
    {"unit",
     "stretched, RGB or gray, 0..1",
     .preprocess = {FROM_MODEL, .resize = RESIZE_STRETCH, .color = COLOR_AUTO, .scale = 1.0f / 255, NO_MEAN}},
    {"raw",
     "stretched, RGB or gray, 0..255",
     .preprocess = {FROM_MODEL, .resize = RESIZE_STRETCH, .color = COLOR_AUTO, .scale = 1, NO_MEAN}},
    {"mnist",
     "stretched, gray, 0..255, 28x28 (white on black)",
     .preprocess = {FROM_MODEL, .resize = RESIZE_STRETCH, .color = COLOR_GRAY, .scale = 1, NO_MEAN, .default_size = 28}},
    {"raw-16k", "16 kHz samples, -1..1", .sample_rate = 16000, .features = "raw"},
    {"logmel-16k",
     "16 kHz, 64 log-mels (HTK) of 25 ms every 10 ms, ln(x + 1e-6)",
     .sample_rate = 16000,
     .features = "logmel:n_fft=512,win_length=400,hop_length=160,n_mels=64,htk=1,norm=none,offset=1e-6"},
    {"kws",
     "16 kHz, 1 s, 10 MFCC out of 40 mels 20..4000 Hz, 30 ms every 20 ms (MLPerf Tiny keyword spotting)",
     .sample_rate = 16000, .window = 1,
     .features = "mfcc:n_fft=480,hop_length=320,n_mels=40,n_mfcc=10,fmin=20,fmax=4000,center=0,htk=1,norm=none,log=ln"},
    {"whisper",
     "16 kHz, 30 s, 80 log-mels (Slaney) of 25 ms every 10 ms, log10, 8 below the greatest, (x + 4) / 4",
     .sample_rate = 16000, .window = 30,
     .features = "logmel:n_fft=400,hop_length=160,n_mels=80,log=log10,top_db=80,mean=-4,std=4,drop_last=1"},
    {"yamnet",
     "16 kHz, 64 mels (HTK) 125..7500 Hz of magnitudes, 25 ms every 10 ms, ln(x + 0.001)",
     .sample_rate = 16000,
     .features = "logmel:n_fft=512,win_length=400,hop_length=160,n_mels=64,fmin=125,fmax=7500,htk=1,norm=none,power=1,"
                 "center=0,offset=0.001"},
    {"panns",
     "32 kHz, 64 mels (Slaney) 50..14000 Hz, 32 ms every 10 ms, dB without a floor",
     .sample_rate = 32000,
     .features = "logmel:n_fft=1024,hop_length=320,n_mels=64,fmin=50,fmax=14000,log=db,top_db=none"},
};

static const char *const names[] = {"imagenet", "caffe", "tf", "yolo", "unit", "raw", "mnist",
                                    "raw-16k",  "logmel-16k", "kws", "whisper", "yamnet", "panns", NULL};
_Static_assert(COUNT_OF(names) == COUNT_OF(presets) + 1, "a name for each preset");

const Preset *preset_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(presets); i++)
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    return NULL;
}

Status preset_apply(const char *name, Preprocess *p)
{
    const Preset *preset = preset_find(name);
    if (preset == NULL) {
        const char *near = text_nearest(name, names);
        return status_new(CODE_USAGE, "unknown preset '%s'%s%s%s; --list-presets shows them", name,
                          near == NULL ? "" : "; did you mean '", near == NULL ? "" : near, near == NULL ? "" : "'?");
    }
    AudioOptions audio = p->audio;
    if (preset->sample_rate > 0) {
        audio = audio_default();
        audio.given = true;
        audio.sample_rate = preset->sample_rate;
        audio.window = preset->window;
        TRY(audio_update_features(preset->features, &audio));
    } else {
        *p = preset->preprocess;
    }
    p->audio = audio;
    return NULL;
}

size_t preset_count(void)
{
    return COUNT_OF(presets);
}

const Preset *preset_at(size_t i)
{
    return &presets[i];
}

const char *const *preset_names(void)
{
    return names;
}
