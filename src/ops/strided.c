/* strided.c - walks over strided blocks: the one loop behind Transpose, Slice, Concat, Expand, Pad, Tile ... */
#include <string.h>

#include "src/ops/family.h"

typedef struct Axis {
    int64_t n, to, from;
} Axis;

/* n elements, any strides; the switch is outside the loops so that each of them vectorises. */
#define COPY_ROW(T)                                                                                                    \
    do {                                                                                                               \
        T *y = (T *)to;                                                                                                \
        const T *x = (const T *)from;                                                                                  \
        if (to_step == 1 && from_step == 0)                                                                            \
            for (int64_t i = 0; i < n; i++)                                                                            \
                y[i] = *x;                                                                                             \
        else if (to_step == 1)                                                                                         \
            for (int64_t i = 0; i < n; i++)                                                                            \
                y[i] = x[i * from_step];                                                                               \
        else                                                                                                           \
            for (int64_t i = 0; i < n; i++)                                                                            \
                y[i * to_step] = x[i * from_step];                                                                     \
    } while (0)

typedef struct Wide {
    uint64_t a, b;
} Wide;

static void copy_row(char *to, int64_t to_step, const char *from, int64_t from_step, int64_t n, size_t bytes)
{
    if (to_step == 1 && from_step == 1) {
        memcpy(to, from, (size_t)n * bytes);
        return;
    }
    switch (bytes) {
    case 1:
        COPY_ROW(uint8_t);
        break;
    case 2:
        COPY_ROW(uint16_t);
        break;
    case 4:
        COPY_ROW(uint32_t);
        break;
    case 8:
        COPY_ROW(uint64_t);
        break;
    default:
        for (int64_t i = 0; i < n; i++)
            memcpy(to + i * to_step * (int64_t)bytes, from + i * from_step * (int64_t)bytes, bytes);
    }
}

/* A transposed plane in tiles, so that both sides stay in cache: axis `a` is contiguous in `from`, `b` in `to`. */
static void copy_plane(char *to, const char *from, Axis a, Axis b, size_t bytes)
{
    enum { TILE = 32 };

    for (int64_t i = 0; i < a.n; i += TILE)
        for (int64_t k = 0; k < b.n; k += TILE) {
            int64_t rows = MIN(TILE, a.n - i), columns = MIN(TILE, b.n - k);
            for (int64_t r = 0; r < rows; r++)
                copy_row(to + ((i + r) * a.to + k * b.to) * (int64_t)bytes, b.to,
                         from + ((i + r) * a.from + k * b.from) * (int64_t)bytes, b.from, columns, bytes);
        }
}

/* Drops axes of size 1 and joins neighbours that are one run on both sides. False when there is nothing to copy. */
static bool join_axes(int rank, const int64_t *dims, const int64_t *to_strides, const int64_t *from_strides, Axis *ret,
                      int *ret_rank)
{
    int n = 0;

    for (int i = 0; i < rank; i++) {
        Axis axis = {dims[i], to_strides[i], from_strides[i]};
        if (axis.n == 0)
            return false;
        if (axis.n == 1)
            continue;
        if (n > 0 && ret[n - 1].to == axis.n * axis.to && ret[n - 1].from == axis.n * axis.from) {
            axis.n *= ret[n - 1].n;
            ret[n - 1] = axis;
        } else {
            ret[n++] = axis;
        }
    }
    *ret_rank = n;
    return true;
}

void strided_copy(void *to, const int64_t *to_strides, const void *from, const int64_t *from_strides, int rank,
                  const int64_t *dims, size_t bytes)
{
    Axis axes[TENSOR_MAX_RANK + 1];
    int64_t index[TENSOR_MAX_RANK + 1] = {0};
    int n, inner = 1, plane = -1;
    const char *source = from;
    char *target = to;

    if (!join_axes(rank, dims, to_strides, from_strides, axes, &n))
        return;
    if (n == 0) {
        memcpy(to, from, bytes);
        return;
    }
    /* The last axis reads with a jump: pair it with the axis that is contiguous in the source. */
    if (axes[n - 1].from != 1 && axes[n - 1].from != 0)
        for (int i = 0; i < n - 1; i++)
            if (axes[i].from == 1)
                plane = i;
    if (plane >= 0) {
        Axis axis = axes[plane];
        for (int i = plane; i < n - 2; i++)
            axes[i] = axes[i + 1];
        axes[n - 2] = axis;
        inner = 2;
    }
    for (;;) {
        int i = n - inner - 1;
        if (inner == 2)
            copy_plane(target, source, axes[n - 2], axes[n - 1], bytes);
        else
            copy_row(target, axes[n - 1].to, source, axes[n - 1].from, axes[n - 1].n, bytes);
        for (; i >= 0; i--) {
            target += axes[i].to * (int64_t)bytes;
            source += axes[i].from * (int64_t)bytes;
            if (++index[i] < axes[i].n)
                break;
            target -= axes[i].to * axes[i].n * (int64_t)bytes;
            source -= axes[i].from * axes[i].n * (int64_t)bytes;
            index[i] = 0;
        }
        if (i < 0)
            return;
    }
}

void strided_copy_elements(Tensor *to, int64_t to_offset, const int64_t *to_strides, const Tensor *from, int64_t from_offset,
                           const int64_t *from_strides, int rank, const int64_t *dims)
{
    int64_t index[TENSOR_MAX_RANK] = {0};
    int bits = from->dtype == DT_STRING ? (int)sizeof(TensorString) * 8 : dtype_bits(from->dtype);

    if (bits >= 8) {
        size_t bytes = (size_t)bits / 8;
        strided_copy((char *)to->data + to_offset * (int64_t)bytes, to_strides,
                     (const char *)from->data + from_offset * (int64_t)bytes, from_strides, rank, dims, bytes);
        return;
    }
    if (count_of(dims, 0, rank) == 0)
        return;
    do {
        int64_t a = to_offset, b = from_offset;
        for (int d = 0; d < rank; d++) {
            a += index[d] * to_strides[d];
            b += index[d] * from_strides[d];
        }
        tensor_set(to, a, tensor_get(from, b)); /* exact: these types fit a double */
    } while (odometer_next(rank, dims, index));
}

typedef struct SharedCopy {
    char *to;
    const char *from;
    const int64_t *to_strides, *from_strides, *dims; /* from `axis` on */
    int rank;
    size_t bytes;
} SharedCopy;

static void copy_range(void *context, int64_t begin, int64_t end, int worker)
{
    const SharedCopy *copy = context;
    int64_t dims[TENSOR_MAX_RANK], size = (int64_t)copy->bytes;

    (void)worker;
    memcpy(dims, copy->dims, (size_t)copy->rank * sizeof dims[0]);
    dims[0] = end - begin;
    strided_copy(copy->to + begin * copy->to_strides[0] * size, copy->to_strides,
                 copy->from + begin * copy->from_strides[0] * size, copy->from_strides, copy->rank, dims, copy->bytes);
}

void strided_copy_shared(Team *team, void *to, const int64_t *to_strides, const void *from, const int64_t *from_strides, int rank,
                         const int64_t *dims, size_t bytes)
{
    enum { ENOUGH_BYTES = 1 << 15 };
    int axis = 0;

    while (axis < rank - 1 && dims[axis] == 1)
        axis++;
    if (rank == 0) {
        strided_copy(to, to_strides, from, from_strides, rank, dims, bytes);
        return;
    }
    SharedCopy copy = {to, from, to_strides + axis, from_strides + axis, dims + axis, rank - axis, bytes};
    int64_t inner = count_of(dims, axis + 1, rank) * (int64_t)bytes;
    team_split(team, dims[axis], ENOUGH_BYTES / MAX(inner, 1) + 1, copy_range, &copy);
}

void strided_fill(void *to, int64_t n, const void *element, size_t bytes)
{
    static const int64_t one = 1, zero = 0;

    strided_copy(to, &one, element, &zero, 1, &n, bytes);
}

void row_major_strides(int rank, const int64_t *dims, int64_t *ret)
{
    for (int i = rank - 1; i >= 0; i--)
        ret[i] = count_of(dims, i + 1, rank);
}

int64_t count_of(const int64_t *dims, int begin, int end)
{
    int64_t count = 1;

    for (int i = begin; i < end; i++)
        if (__builtin_mul_overflow(count, dims[i], &count))
            return 0; /* only where another axis is empty: nothing will be visited */
    return count;
}

bool odometer_next(int rank, const int64_t *dims, int64_t *index)
{
    for (int i = rank - 1; i >= 0; i--) {
        if (++index[i] < dims[i])
            return true;
        index[i] = 0;
    }
    return false;
}
