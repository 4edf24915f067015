/* reader_image.c - samples that are pictures, for models with one picture input. */
#include "src/image/image.h"
#include "calib/reader.h"

/* Also formats that are only known by name: a file called .gif is a sample that gets skipped with the reason. */
static const char *const extensions[] = {"jpg", "jpeg", "jpe", "jfif", "png",  "webp", "bmp", "pbm",  "pgm",
                                         "ppm", "pnm",  "gif", "tif",  "tiff", "avif", "jxl", "heic", "tga", NULL};

static Status prepare(Dataset *dataset, int input)
{
    if (dataset->n_main > 1)
        return status_new(
            CODE_DATA,
            "images feed models with one input; this one has %d ('%s', '%s' ...): give folders with input_0.pb "
            "(or .npy), input_1.pb ... each",
            dataset->n_inputs, dataset->inputs[0]->name, dataset->inputs[1]->name);
    PixelPlan *pixels = arena_alloc(dataset->arena, sizeof *pixels);
    TRY(pixels_plan(dataset->inputs[input], &dataset->options.preprocess, pixels));
    dataset->feeds[input].pixels = pixels;
    dataset->options.preprocess = pixels->preprocess;
    describe_add(dataset, pixels_describe(dataset->arena, pixels));
    return NULL;
}

static Status read(const Dataset *dataset, const Part *part, int input, Tensor *ret)
{
    Image image;
    TRY(image_read(part->path, &image));
    return status_prefix(pixels_to_tensor(dataset->feeds[input].pixels, &image, ret), "%s", part->path);
}

const Reader reader_image = {"image", "an image", extensions, image_magic, prepare, read, NULL};
