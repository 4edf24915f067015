/* reader_bin.c - samples that are raw numbers: the input's type, little-endian, row-major, its shape from the model or from
 * --shape. One dimension that neither gives comes from the size of the file. */
#include "calib/reader.h"

#include <string.h>

static const char *const extensions[] = {"bin", "raw", "dat", NULL};

static Status prepare(Dataset *dataset, int input)
{
    const Value *value = dataset->inputs[input];
    if (dtype_bits(value->type.dtype) < 8)
        return status_new(CODE_USAGE, "input '%s' has type %s: raw files are not read for it", value->name,
                          dtype_name(value->type.dtype));
    int rank;
    int64_t dims[TENSOR_MAX_RANK];
    TRY(feed_shape(dataset, input, &rank, dims));
    describe_add(dataset, arena_printf(dataset->arena, "raw little-endian %s for '%s'", dtype_name(value->type.dtype),
                                       value->name));
    return NULL;
}

/* The last dimension that nobody gave; -1: none. */
static int open_dimension(const Dataset *dataset, int input)
{
    const Shape *shape = &dataset->inputs[input]->type.shape;
    for (int d = shape->rank - 1; d >= 0 && dataset->feeds[input].shape == NULL; d--)
        if (!dim_is_known(shape->dims[d]))
            return d;
    return -1;
}

static Status read_map(const Dataset *dataset, const FileMap *map, int input, Tensor *ret)
{
    int rank, open = open_dimension(dataset, input);
    int64_t dims[TENSOR_MAX_RANK];
    size_t bytes;
    DType dtype = dataset->inputs[input]->type.dtype;
    TRY(feed_shape(dataset, input, &rank, dims));
    TRY(tensor_measure(dtype, rank, dims, NULL, &bytes));
    if (open >= 0 && bytes > 0 && map->size % bytes == 0 && map->size > 0) {
        dims[open] = (int64_t)(map->size / bytes);
        bytes = map->size;
    }
    if (bytes != map->size)
        return status_new(CODE_DATA, "input '%s' takes %zu bytes%s, the file has %zu", dataset->inputs[input]->name,
                          bytes, open >= 0 ? " or a multiple" : "", map->size);
    TRY(tensor_alloc(ret, dtype, rank, dims));
    if (bytes > 0)
        memcpy(ret->data, map->data, bytes);
    return NULL;
}

static Status read(const Dataset *dataset, const Part *part, int input, Tensor *ret)
{
    FileMap map;
    TRY(file_map(part->path, CODE_DATA, &map));
    Status status = status_prefix(read_map(dataset, &map, input, ret), "%s", part->path);
    file_unmap(&map);
    return status;
}

const Reader reader_bin = {"bin", "raw .bin", extensions, NULL, prepare, read, NULL};
