/* window.c - geometry that convolutions and pools share: which outputs read inside the input at one tap of the kernel.
 *
 *     input      . . [x x x x x] . .      pad 2, 5 elements
 *     tap k = 0  o---o---o---o            stride 2: outputs 0 and 3 read padding, 1 and 2 read x
 */
#include "src/kernels/kernels.h"

#include <string.h>

void window_init(Window *window, int space)
{
    memset(window, 0, sizeof *window);
    window->space = space;
    window->batch = window->channels_in = window->channels_out = window->groups = 1;
    for (int d = 0; d < KERNEL_MAX_SPACE; d++)
        window->in[d] = window->out[d] = window->kernel[d] = window->stride[d] = window->dilation[d] = 1;
}

int64_t window_in_count(const Window *window)
{
    return window->in[0] * window->in[1] * window->in[2];
}

int64_t window_out_count(const Window *window)
{
    return window->out[0] * window->out[1] * window->out[2];
}

int64_t window_kernel_count(const Window *window)
{
    return window->kernel[0] * window->kernel[1] * window->kernel[2];
}

void window_span(const Window *window, int d, int64_t k, int64_t *ret_begin, int64_t *ret_end)
{
    int64_t stride = window->stride[d];
    int64_t offset = window->pad_begin[d] - k * window->dilation[d]; /* input = o * stride - offset */
    int64_t last = window->in[d] - 1 + offset;
    int64_t begin = offset > 0 ? (offset + stride - 1) / stride : 0;
    int64_t end = last < 0 ? 0 : last / stride + 1;

    end = MIN(end, window->out[d]);
    *ret_begin = MIN(begin, end);
    *ret_end = end;
}

size_t kernel_type_bytes(KernelType type)
{
    return type == KERNEL_FLOAT || type == KERNEL_S32 ? 4 : 1;
}
