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
            "images feed one input; this model has %d ('%s', '%s' ...): give the others data of their own with --input "
            "NAME=DIR (a file serves every image), or --state NAME for zeros",
            dataset->n_main, dataset->inputs[0]->name, dataset->inputs[1]->name);
    PixelPlan *pixels = arena_alloc(dataset->arena, sizeof *pixels);
    Value value;
    TRY(feed_input(dataset, input, &value));
    TRY(pixels_plan(&value, &dataset->options.preprocess, pixels));
    dataset->feeds[input].pixels = pixels;
    dataset->preprocess = pixels->preprocess;
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
