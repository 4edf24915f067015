/* reader_npy.c - samples that are NumPy arrays. */
#include "calib/reader.h"

#include <string.h>

static const char *const extensions[] = {"npy", NULL};

static bool claims(const unsigned char *head, size_t n)
{
    return n >= 6 && memcmp(head, "\x93NUMPY", 6) == 0;
}

static Status prepare(Dataset *dataset)
{
    describe_tensors(dataset);
    return NULL;
}

static Status read(const Dataset *dataset, const char *path, int input, Tensor *ret)
{
    Tensor tensor;
    TRY(npy_read(path, &tensor));
    TRY(status_prefix(tensor_fit(dataset->inputs[input], &tensor), "%s", path));
    *ret = tensor;
    return NULL;
}

const Reader reader_npy = {"npy", ".npy", extensions, claims, prepare, read};
