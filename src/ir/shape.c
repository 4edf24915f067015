/* shape.c - types with symbolic dims: what is surely equal, what broadcasts, which of two knows more. */
#include "src/ir/ir.h"

#include <inttypes.h>
#include <string.h>

bool dim_equal(Dim a, Dim b)
{
    if (dim_is_known(a) || dim_is_known(b))
        return a.size == b.size;
    return a.name != NULL && b.name != NULL && strcmp(a.name, b.name) == 0;
}

Shape shape_unknown(void)
{
    Shape shape;
    shape.rank = -1;
    return shape;
}

Shape shape_of(int rank, const int64_t *dims)
{
    Shape shape;
    shape.rank = rank;
    for (int i = 0; i < rank; i++)
        shape.dims[i] = dims[i] >= 0 ? dim_known(dims[i]) : DIM_UNKNOWN;
    return shape;
}

Shape shape_of_tensor(const Tensor *tensor)
{
    return shape_of(tensor->rank, tensor->dims);
}

Type type_tensor(DType dtype, const Shape *shape)
{
    return (Type){.kind = TYPE_TENSOR, .dtype = dtype, .shape = shape != NULL ? *shape : shape_unknown()};
}

Type type_of_tensor(const Tensor *tensor)
{
    Shape shape = shape_of_tensor(tensor);
    return type_tensor(tensor->dtype, &shape);
}

bool shape_is_known(const Shape *shape)
{
    for (int i = 0; i < shape->rank; i++)
        if (!dim_is_known(shape->dims[i]))
            return false;
    return shape->rank >= 0;
}

bool shape_equal(const Shape *a, const Shape *b)
{
    if (a->rank < 0 || a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (!dim_equal(a->dims[i], b->dims[i]))
            return false;
    return true;
}

/* The product of the dimensions from `first` on; -1 when one is not known or it is beyond 64 bits. */
static int64_t product_from(const Shape *shape, int first)
{
    int64_t count = 1;
    for (int i = first; i < shape->rank; i++)
        if (shape->dims[i].size < 0 || __builtin_mul_overflow(count, shape->dims[i].size, &count))
            return -1;
    return count;
}

int64_t shape_count(const Shape *shape)
{
    return shape->rank < 0 ? -1 : product_from(shape, 0);
}

int64_t shape_area(const Shape *shape)
{
    return shape->rank < 2 ? -1 : product_from(shape, 2);
}

static void add_shape(Text *text, const Shape *shape)
{
    if (shape->rank <= 0)
        text_add(text, shape->rank < 0 ? "unknown rank" : "scalar");
    for (int i = 0; i < shape->rank; i++) {
        Dim dim = shape->dims[i];
        text_add(text, i == 0 ? "" : "x");
        if (dim_is_known(dim))
            text_addf(text, "%" PRId64, dim.size);
        else
            text_add(text, dim.name != NULL ? dim.name : "?");
    }
}

/* "shapes '2x3' and '4x3' HOW" */
static Status clash(const Shape *a, const Shape *b, const char *how)
{
    Text text = {0};
    text_add(&text, "shapes '");
    add_shape(&text, a);
    text_add(&text, "' and '");
    add_shape(&text, b);
    text_addf(&text, "' %s", how);
    Status status = status_new(CODE_MODEL, "%s", text.data);
    text_free(&text);
    return status;
}

static bool broadcast_dim(Dim a, Dim b, Dim *ret)
{
    if (dim_equal(a, b) || (dim_is_known(b) && b.size == 1))
        *ret = a;
    else if (dim_is_known(a) && a.size == 1)
        *ret = b;
    else if (dim_is_known(a) && dim_is_known(b))
        return false;
    else if (dim_is_known(a) || dim_is_known(b))
        *ret = dim_is_known(a) ? a : b; /* the unknown one can only be 1 or the same */
    else
        *ret = DIM_UNKNOWN;
    return true;
}

Status shape_broadcast(const Shape *a, const Shape *b, Shape *ret)
{
    if (a->rank < 0 || b->rank < 0) {
        *ret = shape_unknown();
        return NULL;
    }
    Shape shape;
    shape.rank = MAX(a->rank, b->rank);
    for (int i = 0; i < shape.rank; i++) { /* aligned at the last dims, missing ones are 1 */
        int in_a = i - (shape.rank - a->rank), in_b = i - (shape.rank - b->rank);
        Dim one = dim_known(1);
        if (!broadcast_dim(in_a < 0 ? one : a->dims[in_a], in_b < 0 ? one : b->dims[in_b], &shape.dims[i]))
            return clash(a, b, "do not broadcast: sizes must be equal or 1, counted from the last dimension");
    }
    shape_copy(ret, &shape);
    return NULL;
}

Status shape_merge(const Shape *a, const Shape *b, Shape *ret)
{
    if (a->rank < 0 || b->rank < 0) {
        shape_copy(ret, a->rank < 0 ? b : a);
        return NULL;
    }
    if (a->rank != b->rank)
        return clash(a, b, "contradict each other: their ranks differ");
    Shape shape;
    shape.rank = a->rank;
    for (int i = 0; i < shape.rank; i++) {
        Dim x = a->dims[i], y = b->dims[i];
        if (dim_is_known(x) && dim_is_known(y) && x.size != y.size)
            return clash(a, b, "contradict each other");
        if (dim_is_known(x) || dim_is_known(y))
            shape.dims[i] = dim_is_known(x) ? x : y;
        else
            shape.dims[i] = x.name != NULL ? x : y;
    }
    shape_copy(ret, &shape);
    return NULL;
}

char *shape_text(Arena *arena, const Shape *shape)
{
    Text text = {0};
    add_shape(&text, shape);
    char *kept = arena_strndup(arena, text.data, text.length);
    text_free(&text);
    return kept;
}
