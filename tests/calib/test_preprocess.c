/* test_preprocess.c - what a model's input makes of the options, geometry, numbers, presets and preprocessing files. */
#include "src/image/image.h"
#include "calib/preprocess.h"
#include "tests/calib/pictures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static Value input_of(DType dtype, int rank, const int64_t *dims)
{
    Value input = {.name = "x", .type = {.kind = TYPE_TENSOR, .dtype = dtype, .shape = {.rank = rank}}};
    for (int i = 0; i < rank; i++)
        input.type.shape.dims[i] = dims[i] < 0 ? (Dim){-1, "N"} : dim_known(dims[i]);
    return input;
}

#define INPUT(dtype, ...) \
    input_of(dtype, (int)COUNT_OF(((int64_t[]){__VA_ARGS__})), (int64_t[]){__VA_ARGS__})

static Image make_image(int width, int height, int channels)
{
    Image image = {0};
    CHECK_OK(image_alloc(width, height, channels, &image));
    unsigned char *pixels = draw_picture(width, height, channels);
    memcpy(image.pixels, pixels, (size_t)(width * height * channels));
    free(pixels);
    return image;
}

static Preprocess raw(void)
{
    Preprocess p = preset_find("raw")->preprocess;
    p.interp = INTERP_NEAREST;
    return p;
}

TEST(layout_and_size_come_from_the_input)
{
    static const struct {
        int64_t dims[4];
        int rank;
        Layout layout;
        int channels, width, height;
        int64_t batch;
    } cases[] = {
        {{1, 3, 20, 30}, 4, LAYOUT_NCHW, 3, 30, 20, 1}, {{-1, 20, 30, 3}, 4, LAYOUT_NHWC, 3, 30, 20, 1},
        {{4, 1, 28, 28}, 4, LAYOUT_NCHW, 1, 28, 28, 4}, {{-1, 28, 28, 1}, 4, LAYOUT_NHWC, 1, 28, 28, 1},
        {{3, 20, 30}, 3, LAYOUT_NCHW, 3, 30, 20, 1},    {{20, 30, 1}, 3, LAYOUT_NHWC, 1, 30, 20, 1},
    };
    Preprocess p = preprocess_default();
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Value input = input_of(DT_FLOAT, cases[i].rank, cases[i].dims);
        PixelPlan plan;
        if (!CHECK_OK(pixels_plan(&input, &p, &plan)))
            continue;
        CHECK_INT(plan.preprocess.layout, cases[i].layout);
        CHECK_INT(plan.channels, cases[i].channels);
        CHECK_INT(plan.preprocess.width, cases[i].width);
        CHECK_INT(plan.preprocess.height, cases[i].height);
        CHECK_INT(plan.batch, cases[i].batch);
        CHECK_INT(plan.preprocess.color, cases[i].channels == 1 ? COLOR_GRAY : COLOR_RGB);
    }
}

TEST(inputs_that_are_no_pictures_are_refused_by_name)
{
    Preprocess p = preprocess_default();
    PixelPlan plan = {.rank = 77};
    Value both = INPUT(DT_FLOAT, 1, 3, 32, 3), neither = INPUT(DT_FLOAT, 1, 4, 31, 47), flat = INPUT(DT_FLOAT, 1, 784);
    Value integers = INPUT(DT_INT64, 1, 3, 8, 8), open = INPUT(DT_FLOAT, -1, 3, -1, -1),
          large = INPUT(DT_FLOAT, 1, 3, 8, 99999);
    CHECK_FAILS(pixels_plan(&both, &p, &plan), CODE_DATA, "--layout");
    CHECK_FAILS(pixels_plan(&neither, &p, &plan), CODE_DATA, "'x' has shape 1x4x31x47");
    CHECK_FAILS(pixels_plan(&flat, &p, &plan), CODE_DATA, "1x784");
    CHECK_FAILS(pixels_plan(&integers, &p, &plan), CODE_DATA, "int64");
    CHECK_FAILS(pixels_plan(&open, &p, &plan), CODE_USAGE, "--size WxH");
    CHECK_FAILS(pixels_plan(&large, &p, &plan), CODE_DATA, "99999");
    CHECK_INT(plan.rank, 77);
    p.layout = LAYOUT_NHWC;
    CHECK_FAILS(pixels_plan(&neither, &p, &plan), CODE_DATA, "47 channels");
    CHECK_OK(pixels_plan(&both, &p, &plan));
}

TEST(options_must_fit_the_input)
{
    Preprocess p = preprocess_default();
    PixelPlan plan;
    Value gray = INPUT(DT_FLOAT, 1, 1, 8, 8), fixed = INPUT(DT_FLOAT, 1, 3, 8, 8), open = INPUT(DT_FLOAT, 1, 3, -1, -1);
    p.color = COLOR_BGR;
    CHECK_FAILS(pixels_plan(&gray, &p, &plan), CODE_USAGE, "--color gray");
    p = preprocess_default();
    p.width = p.height = 16;
    CHECK_FAILS(pixels_plan(&fixed, &p, &plan), CODE_USAGE, "--size");
    CHECK_OK(pixels_plan(&open, &p, &plan));
    CHECK_INT(plan.preprocess.width, 16);
    p.resize = RESIZE_CROP;
    p.resize_shorter = 12;
    CHECK_FAILS(pixels_plan(&open, &p, &plan), CODE_USAGE, "cropped to 16x16");
    Preprocess imagenet = preset_find("imagenet")->preprocess;
    CHECK_OK(pixels_plan(&open, &imagenet, &plan));
    CHECK_INT(plan.preprocess.width, 224);
    CHECK_INT(plan.preprocess.resize_shorter, 256);
    Value larger = INPUT(DT_FLOAT, 1, 3, 299, 299);
    CHECK_OK(pixels_plan(&larger, &imagenet, &plan));
    CHECK_INT(plan.preprocess.resize_shorter, 342);
}

TEST(every_preset_gives_its_numbers)
{
    static const struct {
        const char *name;
        float black, white[3]; /* of pixel 0 in channel 0, of pixel 255 in each */
    } cases[] = {
        {"imagenet", -2.117904f, {2.2489083f, 2.4285715f, 2.64f}},
        {"caffe", -103.939f, {151.061f, 138.221f, 131.32f}},
        {"tf", -1, {1, 1, 1}},
        {"yolo", 0, {1, 1, 1}},
        {"unit", 0, {1, 1, 1}},
        {"raw", 0, {255, 255, 255}},
    };
    Value input = INPUT(DT_FLOAT, 1, 3, 224, 224);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const Preset *preset = preset_find(cases[i].name);
        CHECK(preset != NULL);
        PixelPlan plan;
        if (preset == NULL || !CHECK_OK(pixels_plan(&input, &preset->preprocess, &plan)))
            continue;
        CHECK_NEAR(plan.table[0].floats[0], cases[i].black, 1e-4);
        for (int c = 0; c < 3; c++)
            CHECK_NEAR(plan.table[c].floats[255], cases[i].white[c], 1e-4);
    }
    CHECK(preset_find("nothing") == NULL);
    Preprocess p = preprocess_default();
    CHECK_FAILS(preset_apply("imagenett", &p), CODE_USAGE, "did you mean 'imagenet'");
    CHECK_OK(preset_apply("imagenet", &p));
    CHECK_OK(preset_apply("whisper", &p)); /* recordings leave pictures alone, and the other way round */
    CHECK(p.resize == RESIZE_CROP && p.audio.sample_rate == 16000 && p.audio.n_mels == 80);
    CHECK_OK(preset_apply("yolo", &p));
    CHECK(p.resize == RESIZE_PAD && p.audio.n_mels == 80);
    for (size_t i = 0; i < preset_count(); i++)
        CHECK_TEXT(preset_names()[i], preset_at(i)->name);
    CHECK(preset_names()[preset_count()] == NULL);
}

TEST(pixels_land_where_layout_and_color_say)
{
    for (int nhwc = 0; nhwc < 2; nhwc++) {
        for (Color color = COLOR_RGB; color <= COLOR_GRAY; color++) {
            Value planar = INPUT(DT_FLOAT, 2, 3, 5, 7), packed = INPUT(DT_FLOAT, 2, 5, 7, 3);
            Preprocess p = raw();
            p.color = color;
            PixelPlan plan;
            Tensor tensor;
            Image image = make_image(7, 5, 3), copy = make_image(7, 5, 3);
            if (!CHECK_OK(pixels_plan(nhwc ? &packed : &planar, &p, &plan)) ||
                !CHECK_OK(pixels_to_tensor(&plan, &image, &tensor)))
                break;
            CHECK_INT(tensor.count, 2 * 3 * 5 * 7);
            if (color == COLOR_GRAY)
                CHECK_OK(image_to_gray(&copy));
            const float *data = tensor.data;
            for (int n = 0; n < 2; n++)
                for (int c = 0; c < 3; c++)
                    for (int i = 0; i < 5 * 7; i++) {
                        int from = color == COLOR_GRAY ? 0 : color == COLOR_BGR ? 2 - c : c;
                        float value = data[n * 105 + (nhwc ? i * 3 + c : c * 35 + i)];
                        CHECK(value == copy.pixels[i * copy.channels + from]);
                    }
            tensor_release(&tensor);
            image_release(&copy);
        }
    }
}

TEST(gray_pictures_fill_three_channels_and_half_and_byte_inputs_work)
{
    Value half = INPUT(DT_FLOAT16, 1, 3, 4, 4), byte = INPUT(DT_UINT8, 1, 4, 4, 3);
    Preprocess p = preset_find("unit")->preprocess;
    PixelPlan plan;
    Tensor tensor;
    Image image = make_image(4, 4, 1);
    if (CHECK_OK(pixels_plan(&half, &p, &plan)) && CHECK_OK(pixels_to_tensor(&plan, &image, &tensor))) {
        CHECK_INT(tensor.dtype, DT_FLOAT16);
        for (int c = 0; c < 3; c++)
            CHECK_NEAR(tensor_get(&tensor, c * 16 + 3), 191.0 / 255, 1e-3); /* column 3 of 4 */
        tensor_release(&tensor);
    }
    /* A byte input with nothing said wants the pixels themselves. */
    image = make_image(4, 4, 1);
    p = preprocess_default();
    if (CHECK_OK(pixels_plan(&byte, &p, &plan)) && CHECK_OK(pixels_to_tensor(&plan, &image, &tensor))) {
        CHECK_INT(tensor.dtype, DT_UINT8);
        CHECK_INT(((uint8_t *)tensor.data)[3 * 3 + 1], 191);
        CHECK(plan.preprocess.scale == 1);
        tensor_release(&tensor);
    }
}

TEST(padding_centres_the_picture_and_fills_the_rest)
{
    Value input = INPUT(DT_UINT8, 1, 8, 8, 1);
    Preprocess p = raw();
    p.resize = RESIZE_PAD;
    p.pad_value = 114;
    PixelPlan plan;
    Tensor tensor;
    Image image;
    if (!CHECK_OK(image_alloc(4, 2, 1, &image)) || !CHECK_OK(pixels_plan(&input, &p, &plan)))
        return;
    memset(image.pixels, 9, 8);
    if (CHECK_OK(pixels_to_tensor(&plan, &image, &tensor))) {
        for (int y = 0; y < 8; y++)
            for (int x = 0; x < 8; x++)
                CHECK_INT(((uint8_t *)tensor.data)[y * 8 + x], y >= 2 && y < 6 ? 9 : 114);
        tensor_release(&tensor);
    }
}

/* 10 x 7 with a shorter side of 5: width int(5 * 10 / 7) = 7; a 4 x 4 crop begins at round(1.5) = 2, round(0.5) = 0. */
TEST(cropping_rounds_as_torchvision)
{
    Value input = INPUT(DT_UINT8, 1, 4, 4, 1);
    Preprocess p = raw();
    p.resize = RESIZE_CROP;
    p.resize_shorter = 5;
    p.interp = INTERP_BILINEAR;
    PixelPlan plan;
    Tensor tensor;
    Image image = make_image(10, 7, 1), whole;
    if (!CHECK_OK(pixels_plan(&input, &p, &plan)) || !CHECK_OK(image_resize(&image, 7, 5, INTERP_BILINEAR, &whole)))
        return;
    if (CHECK_OK(pixels_to_tensor(&plan, &image, &tensor))) {
        for (int y = 0; y < 4; y++)
            for (int x = 0; x < 4; x++)
                CHECK_INT(((uint8_t *)tensor.data)[y * 4 + x], whole.pixels[y * 7 + x + 2]);
        tensor_release(&tensor);
    }
    image_release(&whole);
}

TEST(preprocessing_file_is_read)
{
    Preprocess p;
    const char *json =
        "{\"mean\": [0.5, 0.25, 0], \"std\": 0.5, \"preset\": \"yolo\", \"size\": [320, 240], \"interp\": \"bicubic\","
        "\"color\": \"bgr\", \"layout\": \"nhwc\", \"pad_value\": 0, \"scale\": 0.01}";
    if (!CHECK_OK(preprocess_from_json(json, "p.json", &p)))
        return;
    CHECK_INT(p.resize, RESIZE_PAD);
    CHECK_INT(p.width, 320);
    CHECK_INT(p.height, 240);
    CHECK_INT(p.interp, INTERP_BICUBIC);
    CHECK_INT(p.color, COLOR_BGR);
    CHECK_INT(p.layout, LAYOUT_NHWC);
    CHECK_INT(p.pad_value, 0);
    CHECK(p.mean[1] == 0.25f && p.std[0] == 0.5f && p.std[2] == 0.5f && p.scale == 0.01f);
    CHECK_OK(preprocess_from_json("{}", "p.json", &p));
    CHECK_INT(p.resize, RESIZE_STRETCH);
    CHECK_OK(preprocess_from_json("{\"resize\": \"crop\", \"shorter\": 232}", "p.json", &p));
    CHECK_INT(p.resize_shorter, 232);
}

TEST(preprocessing_file_with_faults_is_refused)
{
    static const struct {
        const char *json, *part;
    } cases[] = {
        {"", "not JSON"},
        {"[1]", "one JSON object"},
        {"{} x", "not JSON"},
        {"{\"sise\": [1, 1]}", "did you mean 'size'"},
        {"{\"size\": [224]}", "[width, height]"},
        {"{\"size\": [224, 1e9]}", "[width, height]"},
        {"{\"size\": [2.5, 2]}", "[width, height]"},
        {"{\"resize\": \"zoom\"}", "stretch, crop, pad"},
        {"{\"interp\": 3}", "bilinear"},
        {"{\"std\": [1, 0, 1]}", "not zero"},
        {"{\"std\": [1, 2]}", "each channel"},
        {"{\"mean\": \"x\"}", "'mean'"},
        {"{\"scale\": 1e300}", "'scale'"},
        {"{\"pad_value\": 256}", "0..255"},
        {"{\"preset\": \"imagnet\"}", "did you mean 'imagenet'"},
        {"{\"scale\": 1, \"scale\": 2}", "twice"},
    };
    Preprocess p = {.width = 5};
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        CHECK_FAILS(preprocess_from_json(cases[i].json, "p.json", &p), CODE_USAGE, cases[i].part);
    CHECK_FAILS(preprocess_from_json("{\"size\": 1}", "p.json", &p), CODE_USAGE, "p.json: ");
    CHECK_INT(p.width, 5);
}

TEST(the_description_says_what_is_done)
{
    Value input = INPUT(DT_FLOAT, 2, 3, 224, 224);
    PixelPlan plan;
    Arena *arena = arena_new();
    if (CHECK_OK(pixels_plan(&input, &preset_find("imagenet")->preprocess, &plan)))
        CHECK_TEXT(
            pixels_describe(arena, &plan),
            "RGB 224x224 NCHW float, shorter side 256 and centre crop, bilinear; (pixel * 0.00392157 - mean 0.485, "
            "0.456, 0.406) / std 0.229, 0.224, 0.225; each image fills all 2 places of the batch");
    arena_free(arena);
}
