/* synthesize.c - inputs that no file feeds: zeros for states, random numbers where there is no data at all. */
#include "calib/reader.h"

#include <math.h>
#include <string.h>

#define INTEGERS_BELOW 10 /* where the graph was not asked */

Status feed_shape(const Dataset *dataset, int input, int *ret_rank, int64_t dims[TENSOR_MAX_RANK])
{
    const Shape *shape = &dataset->inputs[input]->type.shape;
    const InputShape *given = dataset->feeds[input].shape;
    if (shape->rank < 0 && given == NULL)
        return status_new(CODE_USAGE, "input '%s' has no known shape; give --shape %s=1x...",
                          dataset->inputs[input]->name, dataset->inputs[input]->name);
    if (given != NULL && shape->rank >= 0 && given->rank != shape->rank)
        return status_new(CODE_USAGE, "input '%s' has %d dimensions, its --shape %d", dataset->inputs[input]->name,
                          shape->rank, given->rank);
    *ret_rank = given != NULL ? given->rank : shape->rank;
    for (int d = 0; d < *ret_rank; d++) {
        bool known = shape->rank >= 0 && dim_is_known(shape->dims[d]);
        dims[d] = given != NULL ? given->dims[d] : known ? shape->dims[d].size : 1;
        if (known && dims[d] != shape->dims[d].size)
            return status_new(CODE_USAGE, "input '%s' has %lld at dimension %d, its --shape %lld",
                              dataset->inputs[input]->name, (long long)shape->dims[d].size, d, (long long)dims[d]);
    }
    return NULL;
}

Status feed_input(const Dataset *dataset, int input, Value *ret)
{
    *ret = *dataset->inputs[input];
    if (dataset->feeds[input].shape == NULL)
        return NULL;
    int64_t dims[TENSOR_MAX_RANK];
    TRY(feed_shape(dataset, input, &ret->type.shape.rank, dims));
    for (int d = 0; d < ret->type.shape.rank; d++)
        ret->type.shape.dims[d] = dim_known(dims[d]);
    return NULL;
}

static Status allocate(const Dataset *dataset, int input, Tensor *ret)
{
    int rank;
    int64_t dims[TENSOR_MAX_RANK];
    DType dtype = dataset->inputs[input]->type.dtype;
    if (dtype_bits(dtype) < 8)
        return status_new(CODE_DATA, "input '%s' of type %s cannot be made up", dataset->inputs[input]->name,
                          dtype_name(dtype));
    TRY(feed_shape(dataset, input, &rank, dims));
    return tensor_alloc(ret, dtype, rank, dims);
}

Status feed_zeros(const Dataset *dataset, int input, Tensor *ret)
{
    TRY(allocate(dataset, input, ret));
    if (ret->bytes > 0)
        memset(ret->data, 0, ret->bytes);
    return NULL;
}

int64_t integer_drawn(const IntegerHints *hints, bool single, double x)
{
    int turn = hints->attempt - (single ? hints->n_choices : 0);
    if (single && hints->attempt < hints->n_choices)
        return hints->choices[hints->attempt];
    if (!single && hints->n_choices > 0 && x < 0.25)
        return hints->choices[(int)(x * 4 * hints->n_choices)];
    int64_t below = hints->below != INT64_MAX ? hints->below : 4;
    if (turn == 1)
        return MIN((int64_t)1, below - 1);
    return turn == 2 ? MIN(hints->size, below - 1) : MIN((int64_t)(x * (double)below), below - 1);
}

Status feed_random(const Dataset *dataset, int input, int64_t number, Tensor *ret)
{
    TRY(allocate(dataset, input, ret));
    struct {
        int64_t seed, number;
        int32_t input, part;
    } key = {dataset->options.seed, number, input, 0};
    const IntegerHints *integers = dataset->feeds[input].integers;
    for (int64_t i = 0; i < ret->count; i += 2) {
        uint64_t bits[2];
        struct {
            uint64_t key;
            int64_t i;
        } at = {hash_bytes(&key, sizeof key, 1), i};
        bits[0] = hash_bytes(&at, sizeof at, 2);
        bits[1] = hash_bytes(&at, sizeof at, 3);
        double u = ((double)(bits[0] >> 11) + 0.5) * 0x1p-53, v = (double)(bits[1] >> 11) * 0x1p-53;
        double radius = sqrt(-2 * log(u)), angle = 6.283185307179586 * v; /* Box and Muller */
        double pair[2] = {radius * cos(angle), radius * sin(angle)};
        for (int k = 0; k < 2 && i + k < ret->count; k++)
            tensor_set(ret, i + k,
                       dtype_is_float(ret->dtype) ? pair[k]
                       : ret->dtype == DT_BOOL    ? (double)(bits[k] >> 63)
                       : integers != NULL ? (double)integer_drawn(integers, ret->count == 1, (double)(bits[k] >> 11) * 0x1p-53)
                                          : (double)(bits[k] % INTEGERS_BELOW));
    }
    return NULL;
}
