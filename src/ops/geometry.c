/* geometry.c - where windows lie: attributes of convolutions and pools, checked once, and the sizes that follow.
 *
 *     reach = (kernel - 1) * dilation + 1
 *     out = (in + begin + end - reach) / stride + 1     ceil_mode: rounded up, but no window starts beyond the input
 *     out = ceil(in / stride)                           auto_pad SAME_UPPER, SAME_LOWER
 *
 * Source: ONNX Conv, MaxPool, AveragePool; the last rule of ceil_mode as in PyTorch and ONNX from opset 22 on.
 */
#include <stdio.h>
#include <string.h>

#include "src/ops/heavy.h"

#define SIZE_LIMIT ((int64_t)1 << 30) /* of a kernel, stride, dilation or pad: products stay far below 2^63 */
#define IN_LIMIT ((int64_t)1 << 60)

void problem_set(Problem *problem, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vsnprintf(problem->text, sizeof problem->text, format, list);
    va_end(list);
}

bool geometry_space(int rank, int *ret, Problem *problem)
{
    if (rank < 3 || rank > 2 + KERNEL_MAX_SPACE) {
        problem_set(problem, "input has rank %d, expected 3 to 5 (batch, channels, 1 to 3 spatial axes)", rank);
        return false;
    }
    *ret = rank - 2;
    return true;
}

static bool read_list(const Node *node, const char *name, int64_t expected, int64_t least, const int64_t **ret,
                      Problem *problem)
{
    int64_t n;
    const int64_t *list = node_ints(node, name, &n);

    *ret = NULL;
    if (list == NULL || n == 0)
        return true;
    if (n != expected) {
        problem_set(problem, "attribute '%s' has %lld numbers, expected %lld", name, (long long)n, (long long)expected);
        return false;
    }
    for (int64_t i = 0; i < n; i++)
        if (list[i] < least || list[i] > SIZE_LIMIT) {
            problem_set(problem, "attribute '%s' holds %lld, expected %lld or more", name, (long long)list[i],
                        (long long)least);
            return false;
        }
    *ret = list;
    return true;
}

static bool read_auto_pad(const Node *node, AutoPad *ret, Problem *problem)
{
    static const char *const names[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
    const char *name = node_string(node, "auto_pad", "NOTSET");

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(name, names[i]) == 0 || (i == 0 && name[0] == '\0')) {
            *ret = (AutoPad)i;
            return true;
        }
    problem_set(problem, "attribute 'auto_pad' is '%s', expected NOTSET, VALID, SAME_UPPER or SAME_LOWER", name);
    return false;
}

bool geometry_read(const Node *node, int space, const int64_t *kernel, Geometry *ret, Problem *problem)
{
    Geometry geometry = {.space = space, .ceil_mode = node_int(node, "ceil_mode", 0) != 0};
    const int64_t *shape, *strides, *dilations, *pads;

    if (!read_list(node, "kernel_shape", space, 1, &shape, problem) ||
        !read_list(node, "strides", space, 1, &strides, problem) ||
        !read_list(node, "dilations", space, 1, &dilations, problem) ||
        !read_list(node, "pads", 2 * (int64_t)space, 0, &pads, problem) ||
        !read_auto_pad(node, &geometry.auto_pad, problem))
        return false;
    if (shape == NULL && kernel == NULL) {
        problem_set(problem, "attribute 'kernel_shape' is missing");
        return false;
    }
    for (int d = 0; d < space; d++) {
        if (shape != NULL && kernel != NULL && kernel[d] >= 0 && kernel[d] != shape[d]) {
            problem_set(problem, "attribute 'kernel_shape' says %lld on axis %d, the weight has %lld",
                        (long long)shape[d], d, (long long)kernel[d]);
            return false;
        }
        geometry.kernel[d] = shape != NULL ? shape[d] : kernel[d];
        if (geometry.kernel[d] == 0 || geometry.kernel[d] > SIZE_LIMIT) {
            problem_set(problem, "the kernel has %lld elements on axis %d", (long long)geometry.kernel[d], d);
            return false;
        }
        geometry.stride[d] = strides != NULL ? strides[d] : 1;
        geometry.dilation[d] = dilations != NULL ? dilations[d] : 1;
        if (pads != NULL && geometry.auto_pad == AUTO_PAD_NOTSET) {
            geometry.pad_begin[d] = pads[d];
            geometry.pad_end[d] = pads[space + d];
        }
    }
    *ret = geometry;
    return true;
}

bool geometry_axis(const Geometry *geometry, int axis, int64_t in, int64_t *ret_out, int64_t *ret_begin,
                   int64_t *ret_end, Problem *problem)
{
    int64_t stride = geometry->stride[axis], reach = (geometry->kernel[axis] - 1) * geometry->dilation[axis] + 1;
    int64_t begin = geometry->pad_begin[axis], end = geometry->pad_end[axis], out;

    if (in > IN_LIMIT) {
        problem_set(problem, "spatial axis %d has %lld elements, too many", axis, (long long)in);
        return false;
    }
    if (geometry->auto_pad == AUTO_PAD_SAME_UPPER || geometry->auto_pad == AUTO_PAD_SAME_LOWER) {
        out = in / stride + (in % stride != 0);
        int64_t total = out == 0 ? 0 : MAX((out - 1) * stride + reach - in, 0);
        begin = geometry->auto_pad == AUTO_PAD_SAME_UPPER ? total / 2 : total - total / 2;
        end = total - begin;
    } else {
        int64_t free_room = in + begin + end - reach;
        if (free_room < 0) {
            problem_set(problem, "the kernel reaches over %lld elements on spatial axis %d, the padded input has %lld",
                        (long long)reach, axis, (long long)(in + begin + end));
            return false;
        }
        out = free_room / stride + 1;
        if (geometry->ceil_mode && free_room % stride != 0 && out * stride < in + begin)
            out++;
    }
    *ret_out = out;
    *ret_begin = begin;
    *ret_end = end;
    return true;
}

bool geometry_window(const Geometry *geometry, const int64_t *dims, Window *ret, Problem *problem)
{
    int from = KERNEL_MAX_SPACE - geometry->space;

    window_init(ret, geometry->space);
    ret->batch = dims[0];
    ret->channels_in = ret->channels_out = dims[1];
    for (int d = 0; d < geometry->space; d++) {
        ret->in[from + d] = dims[2 + d];
        ret->kernel[from + d] = geometry->kernel[d];
        ret->stride[from + d] = geometry->stride[d];
        ret->dilation[from + d] = geometry->dilation[d];
        if (!geometry_axis(geometry, d, dims[2 + d], &ret->out[from + d], &ret->pad_begin[from + d],
                           &ret->pad_end[from + d], problem))
            return false;
    }
    return true;
}
