/* tensor.c - dense tensors: sizes, memory, comparison. Single elements are read and written in element.c. */
#include "src/ir/ir.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of `count` elements; elements below a byte are packed. */
static bool measure_bytes(DType dtype, size_t count, size_t *ret)
{
    size_t bits = (size_t)dtype_bits(dtype);
    if (dtype == DT_STRING)
        return size_mul(count, sizeof(TensorString), ret);
    if (bits >= 8)
        return size_mul(count, bits / 8, ret);
    size_t per_byte = 8 / bits;
    *ret = count / per_byte + (count % per_byte != 0);
    return true;
}

Status tensor_measure(DType dtype, int rank, const int64_t *dims, int64_t *ret_count, size_t *ret_bytes)
{
    if (dtype != DT_STRING && dtype_bits(dtype) == 0)
        return status_new(CODE_MODEL, "element type %d of a tensor is not one of ONNX", (int)dtype);
    if (rank < 0 || rank > TENSOR_MAX_RANK)
        return status_new(CODE_MODEL, "a tensor of rank %d; up to %d is supported", rank, TENSOR_MAX_RANK);
    size_t product = 1, bytes = 0;
    bool empty = false, fits = true;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0)
            return status_new(CODE_MODEL, "dimension %d of a tensor is %" PRId64 "; it must be 0 or more", i, dims[i]);
        empty = empty || dims[i] == 0;
        fits = fits && (dims[i] == 0 || size_mul(product, (size_t)dims[i], &product));
    }
    fits = fits && measure_bytes(dtype, product, &bytes) && bytes <= PTRDIFF_MAX && product <= INT64_MAX;
    if (!fits)
        return status_new(CODE_MODEL, "a tensor of type %s and rank %d has more elements than can be addressed",
                          dtype_name(dtype), rank);
    if (ret_count != NULL)
        *ret_count = empty ? 0 : (int64_t)product;
    if (ret_bytes != NULL)
        *ret_bytes = empty ? 0 : bytes;
    return NULL;
}

/* Everything but the data. */
static Status describe(Tensor *ret, DType dtype, int rank, const int64_t *dims)
{
    Tensor tensor = {.dtype = dtype, .rank = rank};
    TRY(tensor_measure(dtype, rank, dims, &tensor.count, &tensor.bytes));
    for (int i = 0; i < rank; i++)
        tensor.dims[i] = dims[i];
    *ret = tensor;
    return NULL;
}

Status tensor_alloc(Tensor *ret, DType dtype, int rank, const int64_t *dims)
{
    Tensor tensor;
    TRY(describe(&tensor, dtype, rank, dims));
    if (tensor.bytes > 0) {
        TRY(memory_alloc(tensor.bytes, &tensor.data));
        tensor.owned = true;
    }
    *ret = tensor;
    return NULL;
}

Status tensor_view(Tensor *ret, DType dtype, int rank, const int64_t *dims, void *data)
{
    Tensor tensor;
    TRY(describe(&tensor, dtype, rank, dims));
    tensor.data = tensor.bytes > 0 ? data : NULL;
    *ret = tensor;
    return NULL;
}

Status tensor_copy(Tensor *ret, const Tensor *from)
{
    Tensor copy;
    TRY(tensor_alloc(&copy, from->dtype, from->rank, from->dims));
    if (copy.bytes > 0)
        memcpy(copy.data, from->data, copy.bytes);
    *ret = copy;
    return NULL;
}

void tensor_release(Tensor *tensor)
{
    if (tensor == NULL)
        return;
    if (tensor->owned)
        memory_free(tensor->data);
    *tensor = (Tensor){0};
}

bool tensor_same_shape(const Tensor *a, const Tensor *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i])
            return false;
    return true;
}

static bool strings_equal(const Tensor *a, const Tensor *b)
{
    const TensorString *x = a->data, *y = b->data;
    for (int64_t i = 0; i < a->count; i++)
        if (x[i].length != y[i].length || (x[i].length > 0 && memcmp(x[i].data, y[i].data, x[i].length) != 0))
            return false;
    return true;
}

bool tensor_equal(const Tensor *a, const Tensor *b)
{
    if (a->dtype != b->dtype || !tensor_same_shape(a, b))
        return false;
    if (a->bytes == 0)
        return true;
    if (a->dtype == DT_STRING)
        return strings_equal(a, b);
    /* In the last byte of packed elements only the bits in use count. */
    int used = (int)((uint64_t)a->count % 8 * (uint64_t)dtype_bits(a->dtype) % 8);
    if (used == 0)
        return memcmp(a->data, b->data, a->bytes) == 0;
    const unsigned char *x = a->data, *y = b->data;
    size_t last = a->bytes - 1;
    return memcmp(x, y, last) == 0 && ((x[last] ^ y[last]) & ((1u << used) - 1)) == 0;
}

/* A small tensor whose data lies in the arena besides it, zeroed. The shape is the program's own: it cannot fail. */
static Tensor *new_small(Arena *arena, DType dtype, int rank, const int64_t *dims)
{
    Tensor *tensor = arena_alloc(arena, sizeof *tensor);
    status_free(describe(tensor, dtype, rank, dims));
    if (tensor->bytes > 0)
        tensor->data = arena_alloc(arena, tensor->bytes);
    return tensor;
}

Tensor *tensor_new_floats(Arena *arena, int rank, const int64_t *dims, const float *data)
{
    Tensor *tensor = new_small(arena, DT_FLOAT, rank, dims);
    if (tensor->bytes > 0)
        memcpy(tensor->data, data, tensor->bytes);
    return tensor;
}

Tensor *tensor_new_ints(Arena *arena, int rank, const int64_t *dims, const int64_t *data)
{
    Tensor *tensor = new_small(arena, DT_INT64, rank, dims);
    if (tensor->bytes > 0)
        memcpy(tensor->data, data, tensor->bytes);
    return tensor;
}

Tensor *tensor_new_scalar(Arena *arena, DType dtype, double value)
{
    Tensor *tensor = new_small(arena, dtype, 0, NULL);
    tensor_set(tensor, 0, value);
    return tensor;
}

static void release_object(void *object)
{
    tensor_release(object);
    free(object);
}

Status tensor_new(Arena *arena, DType dtype, int rank, const int64_t *dims, Tensor **ret)
{
    Tensor tensor;
    TRY(tensor_alloc(&tensor, dtype, rank, dims));
    Tensor *kept = xcalloc(1, sizeof *kept); /* not in the arena: it must outlive a rewind, until the release runs */
    *kept = tensor;
    arena_on_free(arena, release_object, kept);
    *ret = kept;
    return NULL;
}

char *tensor_shape_text(Arena *arena, const Tensor *tensor)
{
    Shape shape = shape_of_tensor(tensor);
    return shape_text(arena, &shape);
}
