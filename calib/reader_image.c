/* reader_image.c - samples that are pictures, for models with one picture input. */
#include "calib/image.h"
#include "calib/reader.h"

/* Also formats that are only known by name: a file called .gif is a sample that gets skipped with the reason. */
static const char *const extensions[] = {"jpg", "jpeg", "jpe", "jfif", "png",  "webp", "bmp", "pbm",  "pgm",
                                         "ppm", "pnm",  "gif", "tif",  "tiff", "avif", "jxl", "heic", "tga", NULL};

static Status prepare(Dataset *dataset)
{
    if (dataset->n_inputs != 1)
        return status_new(
            CODE_DATA,
            "images feed models with one input; this one has %d ('%s', '%s' ...): give folders with input_0.pb "
            "(or .npy), input_1.pb ... each",
            dataset->n_inputs, dataset->inputs[0]->name, dataset->inputs[1]->name);
    dataset->pixels = arena_alloc(dataset->arena, sizeof *dataset->pixels);
    TRY(pixels_plan(dataset->inputs[0], &dataset->options.preprocess, dataset->pixels));
    dataset->options.preprocess = dataset->pixels->preprocess;
    dataset->description = pixels_describe(dataset->arena, dataset->pixels);
    return NULL;
}

static Status read(const Dataset *dataset, const char *path, int input, Tensor *ret)
{
    (void)input;
    Image image;
    TRY(image_read(path, &image));
    return status_prefix(pixels_to_tensor(dataset->pixels, &image, ret), "%s", path);
}

const Reader reader_image = {"image", "an image", extensions, image_magic, prepare, read};
