/* reader_npy.c - samples that are NumPy arrays. */
#include "calib/reader.h"

#include <string.h>

static const char *const extensions[] = {"npy", NULL};

static bool claims(const unsigned char *head, size_t n)
{
    return n >= 6 && memcmp(head, "\x93NUMPY", 6) == 0;
}

static Status prepare(Dataset *dataset, int input)
{
    (void)input;
    describe_tensors(dataset, &reader_npy);
    return NULL;
}

static Status read(const Dataset *dataset, const Part *part, int input, Tensor *ret)
{
    Tensor tensor;
    TRY(npy_read(part->path, &tensor));
    TRY(status_prefix(tensor_fit(dataset->inputs[input], &tensor), "%s", part->path));
    *ret = tensor;
    return NULL;
}

const Reader reader_npy = {"npy", ".npy", extensions, claims, prepare, read, NULL};
