/* presets.c - how well-known families of models were trained to see a picture. One row a preset. */
#include "calib/calib.h"

#include <string.h>

#define FROM_MODEL .width = 0, .height = 0, .interp = INTERP_BILINEAR, .layout = LAYOUT_AUTO
#define NO_MEAN .mean = {0, 0, 0, 0}, .std = {1, 1, 1, 1}

static const Preset presets[] = {
    {"imagenet",
     "shorter side to 256 (of 224), centre crop, RGB, / 255, ImageNet mean and standard deviation (torchvision, timm)",
     {FROM_MODEL, .resize = RESIZE_CROP, .color = COLOR_RGB, .scale = 1.0f / 255, .mean = {0.485f, 0.456f, 0.406f, 0},
      .std = {0.229f, 0.224f, 0.225f, 1}, .default_size = 224}},
    {"caffe",
     "shorter side to 256 (of 224), centre crop, BGR 0..255 minus the ImageNet mean (Caffe, older zoo models)",
     {FROM_MODEL, .resize = RESIZE_CROP, .color = COLOR_BGR, .scale = 1, .mean = {103.939f, 116.779f, 123.68f, 0},
      .std = {1, 1, 1, 1}, .default_size = 224}},
    {"tf",
     "stretched, RGB, -1..1 (TensorFlow, MobileNet and Inception)",
     {FROM_MODEL, .resize = RESIZE_STRETCH, .color = COLOR_RGB, .scale = 1, .mean = {127.5f, 127.5f, 127.5f, 0},
      .std = {127.5f, 127.5f, 127.5f, 1}, .default_size = 224}},
    {"yolo",
     "fitted into the frame, padded with 114, RGB, 0..1 (YOLOv5 and later)",
     {FROM_MODEL, .resize = RESIZE_PAD, .pad_value = 114, .color = COLOR_RGB, .scale = 1.0f / 255, NO_MEAN,
      .default_size = 640}},
    {"unit",
     "stretched, RGB or gray, 0..1",
     {FROM_MODEL, .resize = RESIZE_STRETCH, .color = COLOR_AUTO, .scale = 1.0f / 255, NO_MEAN}},
    {"raw",
     "stretched, RGB or gray, 0..255",
     {FROM_MODEL, .resize = RESIZE_STRETCH, .color = COLOR_AUTO, .scale = 1, NO_MEAN}},
    {"mnist",
     "stretched, gray, 0..255, 28x28 (white on black)",
     {FROM_MODEL, .resize = RESIZE_STRETCH, .color = COLOR_GRAY, .scale = 1, NO_MEAN, .default_size = 28}},
};

static const char *const names[] = {"imagenet", "caffe", "tf", "yolo", "unit", "raw", "mnist", NULL};
_Static_assert(COUNT_OF(names) == COUNT_OF(presets) + 1, "a name for each preset");

const Preset *preset_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(presets); i++)
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
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
