/* test_pool.c - reference pooling on small cases worked by hand, and oneDNN against it. */
#include "tests/test.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "src/kernels/kernels.h"
#include "tests/kernels/random.h"

/* 1-D: x = 1 5 2 4 3 */
static Window line(int64_t kernel, int64_t stride, int64_t dilation, int64_t begin, int64_t end, int64_t out)
{
    Window window;

    window_init(&window, 1);
    window.in[2] = 5;
    window.out[2] = out;
    window.kernel[2] = kernel;
    window.stride[2] = stride;
    window.dilation[2] = dilation;
    window.pad_begin[2] = begin;
    window.pad_end[2] = end;
    return window;
}

static const float five[] = {1, 5, 2, 4, 3};

static void check_floats(const float *actual, const float *expected, int n)
{
    for (int i = 0; i < n; i++)
        CHECK_NEAR(actual[i], expected[i], 1e-6);
}

TEST(pool_max_finds_values_and_places)
{
    Window window = line(3, 2, 1, 1, 1, 3);
    float y[3];
    int64_t at[3];

    pool_max(NULL, &window, KERNEL_FLOAT, five, y, at, false);
    check_floats(y, (float[]){5, 5, 4}, 3);
    CHECK_INT(at[0], 1);
    CHECK_INT(at[1], 1);
    CHECK_INT(at[2], 3);
    window = line(2, 1, 3, 0, 0, 2);
    pool_max(NULL, &window, KERNEL_FLOAT, five, y, NULL, false);
    check_floats(y, (float[]){4, 5}, 2);
}

TEST(pool_max_knows_signed_and_unsigned_bytes)
{
    Window window = line(2, 1, 1, 0, 0, 4);
    const uint8_t bytes[] = {0x7F, 0x80, 0xFF, 0x00, 0x01};
    uint8_t y[4];

    pool_max(NULL, &window, KERNEL_U8, bytes, y, NULL, false);
    CHECK(memcmp(y, (uint8_t[]){0x80, 0xFF, 0xFF, 0x01}, 4) == 0);
    pool_max(NULL, &window, KERNEL_S8, bytes, y, NULL, false);
    CHECK(memcmp(y, (uint8_t[]){0x7F, 0xFF, 0x00, 0x01}, 4) == 0);
}

TEST(pool_max_counts_columns_when_asked)
{
    Window window;
    const float x[] = {1, 2, 9, 4, 5, 6}; /* 2 rows of 3: the 9 stands at row 0, column 2 */
    float y;
    int64_t at;

    window_init(&window, 2);
    window.in[1] = window.kernel[1] = 2;
    window.in[2] = window.kernel[2] = 3;
    pool_max(NULL, &window, KERNEL_FLOAT, x, &y, &at, true);
    CHECK_INT(at, 4); /* 2 columns of 2 before it */
    pool_max(NULL, &window, KERNEL_FLOAT, x, &y, &at, false);
    CHECK_INT(at, 2);
}

TEST(pool_average_counts_what_it_should)
{
    Window window = line(3, 2, 1, 1, 1, 3);
    float y[4];

    pool_average(NULL, &window, false, five, y);
    check_floats(y, (float[]){3, 11.0F / 3, 3.5F}, 3);
    pool_average(NULL, &window, true, five, y);
    check_floats(y, (float[]){2, 11.0F / 3, 7.0F / 3}, 3);
    window = line(3, 2, 1, 1, 0, 3); /* rounded up: the last window sticks out of the padding and counts two */
    pool_average(NULL, &window, true, five, y);
    check_floats(y, (float[]){2, 11.0F / 3, 3.5F}, 3);
}

TEST(pool_lp_takes_the_root)
{
    Window window = line(2, 2, 1, 0, 0, 2);
    const float x[] = {3, -4, 6, 8, 1};
    float y[2];

    pool_lp(NULL, &window, 2, x, y);
    check_floats(y, (float[]){5, 10}, 2);
    pool_lp(NULL, &window, 1, x, y);
    check_floats(y, (float[]){7, 14}, 2);
}

TEST(pool_global_forms_reduce_planes)
{
    const float x[] = {1, 2, 3, 6, -1, -2, -3, -6};
    float y[2];

    pool_global_average(NULL, 2, 4, x, y);
    check_floats(y, (float[]){3, -3}, 2);
    pool_global_max(NULL, 2, 4, KERNEL_FLOAT, x, y);
    check_floats(y, (float[]){6, -1}, 2);
    pool_global_lp(NULL, 2, 4, 1, x, y);
    check_floats(y, (float[]){12, 12}, 2);
}

TEST(onednn_pooling_agrees_with_the_reference)
{
    Random random = {21};
    int ran = 0;

    for (int round = 0; round < 150; round++) {
        Window window;
        int space = (int)random_range(&random, 1, 3);
        KernelType type = round % 3 == 0 ? KERNEL_U8 : KERNEL_FLOAT;
        PoolKind kind = type == KERNEL_U8 ? POOL_MAX : (PoolKind)(round % 4 % 3);
        window_init(&window, space);
        window.batch = random_range(&random, 1, 2);
        window.channels_in = window.channels_out = random_range(&random, 1, 20);
        for (int d = KERNEL_MAX_SPACE - space; d < KERNEL_MAX_SPACE; d++) {
            int64_t kernel = random_range(&random, 1, 3), dilation = random_range(&random, 1, 2);
            int64_t reach = (kernel - 1) * dilation + 1, stride = random_range(&random, 1, 3);
            window.kernel[d] = kernel;
            window.stride[d] = stride;
            window.dilation[d] = dilation;
            window.pad_begin[d] = random_range(&random, 0, kernel - 1);
            window.pad_end[d] = random_range(&random, 0, kernel - 1);
            window.in[d] = reach + random_range(&random, 0, 8);
            int64_t free_room = window.in[d] + window.pad_begin[d] + window.pad_end[d] - reach;
            window.out[d] = free_room / stride + 1;
            if (round % 2 == 0 && free_room % stride != 0 &&
                window.out[d] * stride < window.in[d] + window.pad_begin[d])
                window.out[d]++; /* ceil_mode */
        }
        int64_t planes = window.batch * window.channels_in;
        int64_t nx = planes * window_in_count(&window), ny = planes * window_out_count(&window);
        size_t size = kernel_type_bytes(type);
        void *x = xcalloc((size_t)nx, size), *y = xcalloc((size_t)ny, size), *fast = xcalloc((size_t)ny, size);
        if (type == KERNEL_FLOAT)
            random_floats(&random, x, nx);
        else
            random_bytes(&random, x, nx);
        if (kind == POOL_MAX)
            pool_max(NULL, &window, type, x, y, NULL, false);
        else
            pool_average(NULL, &window, kind == POOL_AVERAGE_WITH_PAD, x, y);
        FastPool *pool = fast_pool_new(&window, kind, type, false);
        void *scratch = NULL;
        if (pool != NULL) {
            CHECK_OK(memory_alloc(fast_pool_scratch(pool), &scratch));
            CHECK(fast_pool_run(pool, 1, x, fast, scratch));
            for (int64_t i = 0; i < ny; i++)
                if (type == KERNEL_FLOAT)
                    CHECK_NEAR(((float *)fast)[i], ((float *)y)[i], 1e-6);
                else
                    CHECK_INT(((uint8_t *)fast)[i], ((uint8_t *)y)[i]);
            ran++;
        }
        memory_free(scratch);
        fast_pool_free(pool);
        free(x), free(y), free(fast);
    }
    CHECK(ran > 30);
}
