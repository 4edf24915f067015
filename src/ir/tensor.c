/* tensor.c - dense tensors: sizes, memory, comparison. Single elements are read and written in element.c. */
#include "src/ir/ir.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of `count` elements; elements below a byte are packed. */
static bool measure_bytes(DType dtype, size_t count, size_t *ret)
{
    size_t bits = (size_t)dtype_bits(dtype);
    if (dtype == DT_STRING || dtype == DT_LIST)
        return size_mul(count, dtype == DT_STRING ? sizeof(TensorString) : sizeof(Tensor), ret);
    if (bits >= 8)
        return size_mul(count, bits / 8, ret);
    size_t per_byte = 8 / bits;
    *ret = count / per_byte + (count % per_byte != 0);
    return true;
}

Status tensor_measure(DType dtype, int rank, const int64_t *dims, int64_t *ret_count, size_t *ret_bytes)
{
    if (dtype != DT_STRING && dtype != DT_LIST && dtype_bits(dtype) == 0)
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
/* Where empty tensors point: adding 0 to NULL is undefined, and kernels step through rows of no elements. */
static _Alignas(64) char nothing[64];

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
    tensor.data = nothing;
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
    tensor.data = tensor.bytes > 0 ? data : nothing;
    *ret = tensor;
    return NULL;
}

/* Elements stand on 64 bytes, as memory_alloc() gives them. */
static bool list_add(size_t *bytes, size_t more)
{
    size_t up = -more & 63;
    return size_add(*bytes, more, bytes) && size_add(*bytes, up, bytes);
}

Status tensor_list_measure(const Tensor *elements, int64_t n, size_t *ret_bytes)
{
    size_t bytes = 0, head = 0;
    bool fits = size_mul((size_t)n, sizeof(Tensor), &head) && list_add(&bytes, head);
    for (int64_t i = 0; i < n && fits; i++) {
        if (elements[i].dtype == DT_LIST)
            return status_new(CODE_UNSUPPORTED, "a sequence of sequences is not supported");
        fits = list_add(&bytes, elements[i].bytes);
    }
    if (!fits)
        return status_new(CODE_MEMORY, "a sequence of %" PRId64 " elements is larger than memory", n);
    *ret_bytes = bytes;
    return NULL;
}

void tensor_list_pack(const Tensor *elements, int64_t n, void *block)
{
    Tensor *to = block;
    size_t at = ((size_t)n * sizeof(Tensor) + 63) & ~(size_t)63;
    for (int64_t i = 0; i < n; i++) {
        to[i] = elements[i];
        to[i].owned = false;
        to[i].data = elements[i].bytes > 0 ? (char *)block + at : nothing;
        if (elements[i].bytes > 0)
            memcpy(to[i].data, elements[i].data, elements[i].bytes);
        at += (elements[i].bytes + 63) & ~(size_t)63;
    }
}

static Status list_copy(Tensor *ret, const Tensor *from)
{
    Tensor copy = *from;
    TRY(tensor_list_measure(from->data, from->count, &copy.bytes));
    TRY(memory_alloc(MAX(copy.bytes, 1), &copy.data));
    copy.owned = true;
    tensor_list_pack(from->data, from->count, copy.data);
    *ret = copy;
    return NULL;
}

Status tensor_own_text(Tensor *tensor)
{
    if (tensor->dtype != DT_STRING || tensor->count == 0)
        return NULL;
    const TensorString *from = tensor->data;
    size_t all = tensor->bytes;
    for (int64_t i = 0; i < tensor->count; i++)
        if (!size_add(all, from[i].length, &all))
            return status_new(CODE_MEMORY, "a string tensor is larger than memory");
    void *block;
    TRY(memory_alloc(all, &block));
    TensorString *to = block;
    char *text = (char *)block + tensor->bytes;
    for (int64_t i = 0; i < tensor->count; i++) {
        to[i] = (TensorString){text, from[i].length};
        if (from[i].length > 0)
            memcpy(text, from[i].data, from[i].length);
        text += from[i].length;
    }
    if (tensor->owned)
        memory_free(tensor->data);
    tensor->data = block;
    tensor->owned = true;
    return NULL;
}

Status tensor_copy(Tensor *ret, const Tensor *from)
{
    Tensor copy;
    if (from->dtype == DT_LIST)
        return list_copy(ret, from);
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
    tensor->data = tensor->bytes > 0 ? arena_alloc(arena, tensor->bytes) : nothing;
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
