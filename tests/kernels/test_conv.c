/* test_conv.c - reference convolutions against the definition written out, and oneDNN against the reference. */
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/kernels/kernels.h"
#include "tests/kernels/random.h"

static void set_axis(Window *window, int d, int64_t in, int64_t kernel, int64_t stride, int64_t dilation, int64_t begin,
                     int64_t end)
{
    window->in[d] = in;
    window->kernel[d] = kernel;
    window->stride[d] = stride;
    window->dilation[d] = dilation;
    window->pad_begin[d] = begin;
    window->pad_end[d] = end;
    window->out[d] = (in + begin + end - ((kernel - 1) * dilation + 1)) / stride + 1;
}

/* A random geometry whose windows fit. */
static Window random_window(Random *random)
{
    Window window;
    int space = (int)random_range(random, 1, 3);

    window_init(&window, space);
    window.batch = random_range(random, 1, 2);
    window.groups = random_range(random, 0, 2) == 0 ? random_range(random, 1, 4) : 1;
    window.channels_in = window.groups * random_range(random, 1, 9);
    window.channels_out = window.groups * random_range(random, 1, 9);
    if (random_range(random, 0, 3) == 0) /* depthwise */
        window.channels_in = window.channels_out = window.groups = random_range(random, 1, 20);
    for (int d = KERNEL_MAX_SPACE - space; d < KERNEL_MAX_SPACE; d++) {
        int64_t kernel = random_range(random, 1, 4), dilation = random_range(random, 1, 2);
        int64_t begin = random_range(random, 0, kernel - 1), end = random_range(random, 0, kernel - 1);
        int64_t reach = (kernel - 1) * dilation + 1;
        int64_t in = MAX(reach - begin - end, 1) + random_range(random, 0, 9);
        set_axis(&window, d, in, kernel, random_range(random, 1, 3), dilation, begin, end);
    }
    return window;
}

/* Calls add() for every product that the definition of the convolution names. */
typedef void (*Product)(void *context, int64_t y, int64_t x, int64_t weight);
static void each_product(const Window *w, Product add, void *context)
{
    int64_t in_group = w->channels_in / w->groups, out_group = w->channels_out / w->groups, y = 0;

    for (int64_t n = 0; n < w->batch; n++)
        for (int64_t m = 0; m < w->channels_out; m++)
            for (int64_t place = 0; place < window_out_count(w); place++, y++) {
                int64_t o[3] = {place / (w->out[1] * w->out[2]), place / w->out[2] % w->out[1], place % w->out[2]};
                for (int64_t c = 0; c < in_group; c++)
                    for (int64_t tap = 0; tap < window_kernel_count(w); tap++) {
                        int64_t k[3] = {tap / (w->kernel[1] * w->kernel[2]), tap / w->kernel[2] % w->kernel[1],
                                        tap % w->kernel[2]};
                        int64_t at = n * w->channels_in + m / out_group * in_group + c;
                        bool inside = true;
                        for (int d = 0; d < 3; d++) {
                            int64_t i = o[d] * w->stride[d] - w->pad_begin[d] + k[d] * w->dilation[d];
                            inside = inside && i >= 0 && i < w->in[d];
                            at = at * w->in[d] + i;
                        }
                        if (inside)
                            add(context, y, at, (m * in_group + c) * window_kernel_count(w) + tap);
                    }
            }
}

typedef struct Floats {
    const float *x, *weight;
    double *y;
} Floats;

static void add_float(void *context, int64_t y, int64_t x, int64_t weight)
{
    Floats *floats = context;
    floats->y[y] += (double)floats->x[x] * (double)floats->weight[weight];
}

typedef struct Ints {
    const uint8_t *x, *weight;
    bool x_signed, weight_signed;
    int32_t x_zero;
    const int32_t *weight_zero;
    int64_t per_channel; /* weights of one output channel */
    int64_t *y;
} Ints;

static void add_int(void *context, int64_t y, int64_t x, int64_t weight)
{
    Ints *ints = context;
    int32_t a = ints->x_signed ? (int8_t)ints->x[x] : ints->x[x];
    int32_t b = ints->weight_signed ? (int8_t)ints->weight[weight] : ints->weight[weight];
    ints->y[y] += (int64_t)(a - ints->x_zero) * (b - ints->weight_zero[weight / ints->per_channel]);
}

static int64_t x_count(const Window *w)
{
    return w->batch * w->channels_in * window_in_count(w);
}

static int64_t y_count(const Window *w)
{
    return w->batch * w->channels_out * window_out_count(w);
}

static int64_t weight_count(const Window *w)
{
    return w->channels_out * (w->channels_in / w->groups) * window_kernel_count(w);
}

static void *room(int64_t n, size_t size)
{
    return xcalloc((size_t)MAX(n, 1), size);
}

static void check_fast(const Window *window, bool transposed, const float *x, const float *weight, const float *bias,
                       const float *expected, int *ran)
{
    FastConvSpec spec = {.window = *window, .transposed = transposed, .x_type = KERNEL_FLOAT, .y_type = KERNEL_FLOAT,
                         .weight = weight, .bias = bias};
    FastConv *conv = fast_conv_new(&spec, NULL);
    float *y = room(y_count(window), sizeof *y);
    void *scratch = NULL;

    if (conv != NULL) {
        CHECK_OK(memory_alloc(fast_conv_scratch(conv), &scratch));
        CHECK(fast_conv_run(conv, x, y, scratch));
        for (int64_t i = 0; i < y_count(window); i++)
            CHECK_NEAR(y[i], expected[i], 2e-5);
        ++*ran;
    }
    memory_free(scratch);
    fast_conv_free(conv);
    free(y);
}

TEST(conv_float_is_the_definition_and_onednn_agrees)
{
    Random random = {1};
    int ran = 0;

    for (int round = 0; round < 150; round++) {
        Window window = random_window(&random);
        int64_t nx = x_count(&window), ny = y_count(&window), nw = weight_count(&window);
        float *x = room(nx, 4), *weight = room(nw, 4), *bias = room(window.channels_out, 4), *y = room(ny, 4);
        double *exact = room(ny, 8);
        random_floats(&random, x, nx);
        random_floats(&random, weight, nw);
        random_floats(&random, bias, window.channels_out);
        bool with_bias = round % 2 == 0;
        for (int64_t i = 0; i < ny; i++)
            exact[i] = with_bias ? (double)bias[i / window_out_count(&window) % window.channels_out] : 0.0;
        each_product(&window, add_float, &(Floats){x, weight, exact});
        conv_float(NULL, &window, x, weight, with_bias ? bias : NULL, y);
        for (int64_t i = 0; i < ny; i++)
            CHECK_NEAR(y[i], exact[i], 2e-5);
        check_fast(&window, false, x, weight, with_bias ? bias : NULL, y, &ran);
        free(x), free(weight), free(bias), free(y), free(exact);
    }
    CHECK(ran > 75);
}

/* Both directions of one geometry are adjoint: sum y * conv(x) = sum x * transposed(y), with the weights seen as (M,
 * C/g, K) by one and, read backwards, as (C', M'/g, K) by the other. */
TEST(conv_transpose_is_the_adjoint_and_onednn_agrees)
{
    Random random = {2};
    int ran = 0;

    for (int round = 0; round < 100; round++) {
        Window window = random_window(&random), back = window;
        back.channels_in = window.channels_out;
        back.channels_out = window.channels_in;
        for (int d = 0; d < 3; d++) {
            back.in[d] = window.out[d];
            back.out[d] = window.in[d];
        }
        int64_t nx = x_count(&window), ny = y_count(&window), nw = weight_count(&window);
        float *x = room(nx, 4), *weight = room(nw, 4), *y = room(ny, 4), *forward = room(ny, 4),
              *backward = room(nx, 4);
        random_floats(&random, x, nx);
        random_floats(&random, y, ny);
        random_floats(&random, weight, nw);
        conv_float(NULL, &window, x, weight, NULL, forward);
        conv_transpose_float(NULL, &back, y, weight, NULL, backward);
        double left = 0.0, right = 0.0;
        for (int64_t i = 0; i < ny; i++)
            left += (double)y[i] * (double)forward[i];
        for (int64_t i = 0; i < nx; i++)
            right += (double)x[i] * (double)backward[i];
        CHECK_NEAR(left, right, 1e-3);
        /* oneDNN checks sizes exactly: the end padding is what makes in come out of out. */
        for (int d = 0; d < 3; d++)
            back.pad_end[d] = (back.in[d] - 1) * back.stride[d] + (back.kernel[d] - 1) * back.dilation[d] + 1 -
                              back.pad_begin[d] - back.out[d];
        check_fast(&back, true, y, weight, NULL, backward, &ran);
        free(x), free(weight), free(y), free(forward), free(backward);
    }
    CHECK(ran > 30);
}

TEST(conv_int_is_exact)
{
    Random random = {3};

    for (int round = 0; round < 120; round++) {
        Window window = random_window(&random);
        int64_t nx = x_count(&window), ny = y_count(&window), nw = weight_count(&window), m = window.channels_out;
        uint8_t *x = room(nx, 1), *weight = room(nw, 1);
        int32_t *zeros = room(m, 4), *acc = room(ny, 4);
        int64_t *exact = room(ny, 8);
        bool x_signed = round % 2 == 0, weight_signed = round % 3 != 0;
        int32_t x_zero = (int32_t)random_range(&random, x_signed ? -128 : 0, x_signed ? 127 : 255);
        random_bytes(&random, x, nx);
        random_bytes(&random, weight, nw);
        if (round % 5 == 0) { /* everything at its greatest magnitude */
            memset(x, x_signed ? 0x80 : 0xFF, (size_t)nx);
            memset(weight, weight_signed ? 0x80 : 0xFF, (size_t)nw);
            x_zero = x_signed ? 127 : 0;
        }
        for (int64_t i = 0; i < m; i++)
            zeros[i] = (int32_t)random_range(&random, weight_signed ? -128 : 0, weight_signed ? 127 : 255);
        each_product(&window, add_int, &(Ints){x, weight, x_signed, weight_signed, x_zero, zeros, nw / m, exact});
        conv_int(NULL, &window, x_signed ? KERNEL_S8 : KERNEL_U8, x, x_zero, weight_signed ? KERNEL_S8 : KERNEL_U8,
                 weight, zeros, m, acc);
        for (int64_t i = 0; i < ny; i++)
            CHECK_INT(acc[i], exact[i]);
        free(x), free(weight), free(zeros), free(acc), free(exact);
    }
}

/* A deep sum: chunks of the float product are put together as integers beyond 2^24. */
TEST(conv_int_stays_exact_beyond_the_digits_of_a_float)
{
    enum { CHANNELS = 3001 };
    Window window;
    int32_t zero = 0, acc = 0;
    uint8_t *x = room(CHANNELS, 1), *weight = room(CHANNELS, 1);

    window_init(&window, 1);
    window.channels_in = CHANNELS;
    memset(x, 255, CHANNELS);
    memset(weight, 255, CHANNELS);
    weight[0] = 254;
    conv_int(NULL, &window, KERNEL_U8, x, 0, KERNEL_U8, weight, &zero, 1, &acc);
    CHECK_INT(acc, CHANNELS * 65025 - 255);
    free(x), free(weight);
}

TEST(conv_does_not_depend_on_the_team)
{
    Random random = {4};
    Window window;
    Team *team = team_new(3);

    window_init(&window, 2);
    window.channels_in = 37;
    window.channels_out = 150;
    set_axis(&window, 1, 9, 3, 1, 1, 1, 1);
    set_axis(&window, 2, 11, 3, 1, 1, 1, 1);
    int64_t nx = x_count(&window), ny = y_count(&window), nw = weight_count(&window);
    float *x = room(nx, 4), *weight = room(nw, 4), *alone = room(ny, 4), *together = room(ny, 4);
    random_floats(&random, x, nx);
    random_floats(&random, weight, nw);
    conv_float(NULL, &window, x, weight, NULL, alone);
    conv_float(team, &window, x, weight, NULL, together);
    CHECK(memcmp(alone, together, (size_t)ny * 4) == 0);
    team_free(team);
    free(x), free(weight), free(alone), free(together);
}

TEST(conv_of_an_empty_batch_is_empty)
{
    Window window;
    float weight = 1.0F, untouched = 7.0F;

    window_init(&window, 2);
    window.batch = 0;
    conv_float(NULL, &window, NULL, &weight, NULL, &untouched);
    CHECK(untouched == 7.0F);
    FastConvSpec spec = {.window = window, .x_type = KERNEL_FLOAT, .y_type = KERNEL_FLOAT, .weight = &weight};
    CHECK(fast_conv_new(&spec, NULL) == NULL);
}

static void turn(const Window *w, size_t bytes, int64_t channels, int64_t places, bool to_last, const void *x, void *y)
{
    turn_planes(NULL, bytes, w->batch, to_last ? channels : places, to_last ? places : channels, x, y);
}

/* The whole op in one primitive, in both layouts. Returns how many ran. */
static int check_fused(const FastConvSpec *sums, const float *multiplier, int64_t multipliers, const int32_t *bias,
                       Scale8 y_scale, const uint8_t *x, const uint8_t *expected)
{
    const Window *w = &sums->window;
    int64_t nx = x_count(w), ny = y_count(w);
    int ran = 0;

    for (int last = 0; last < 2; last++) {
        FastConvSpec spec = *sums;
        spec.channels_last = last;
        spec.y_type = y_scale.type;
        spec.y_zero = y_scale.zero;
        spec.multiplier = multiplier;
        spec.multipliers = multipliers;
        spec.bias = bias;
        uint8_t *turned_x = room(nx, 1), *y = room(ny, 1), *turned_y = room(ny, 1);
        void *scratch = NULL;
        turn(w, 1, w->channels_in, window_in_count(w), true, x, turned_x);
        FastConv *conv = fast_conv_new(&spec, NULL);
        if (conv != NULL) {
            CHECK_OK(memory_alloc(fast_conv_scratch(conv), &scratch));
            CHECK(fast_conv_run(conv, last ? turned_x : x, y, scratch));
            turn(w, 1, w->channels_out, window_out_count(w), false, y, turned_y);
            CHECK(memcmp(last ? turned_y : y, expected, (size_t)ny) == 0);
            ran++;
        }
        memory_free(scratch);
        fast_conv_free(conv);
        free(turned_x), free(y), free(turned_y);
    }
    return ran;
}

/* oneDNN's integer convolution, requantized by us: the very bytes of the reference. */
TEST(onednn_int_conv_equals_the_reference)
{
    Random random = {5};
    int ran = 0, fused = 0;

    if (!fast_integer_exact()) {
        int8_t weight = 1;
        Window window;
        window_init(&window, 2);
        FastConvSpec spec = {.window = window, .x_type = KERNEL_U8, .y_type = KERNEL_S32, .weight = &weight};
        CHECK(fast_conv_new(&spec, NULL) == NULL);
        return;
    }
    for (int round = 0; round < 200; round++) {
        Window window = random_window(&random);
        if (round % 4 == 0) { /* a size that fills the vectors */
            window_init(&window, 2);
            window.channels_in = 32;
            window.channels_out = 48;
            set_axis(&window, 1, 8, 3, 1, 1, 1, 1);
            set_axis(&window, 2, 8, 3, 1, 1, 1, 1);
        }
        int64_t nx = x_count(&window), ny = y_count(&window), nw = weight_count(&window), m = window.channels_out;
        KernelType x_type = round % 3 == 0 ? KERNEL_S8 : KERNEL_U8, y_type = x_type;
        Scale8 y_scale = {y_type, 1.0F, y_type == KERNEL_U8 ? 3 : -5};
        int32_t x_zero = round % 2 == 0 ? 0 : x_type == KERNEL_U8 ? 117 : -7;
        uint8_t *x = room(nx, 1), *weight = room(nw, 1), *expected = room(ny, 1), *y = room(ny, 1);
        int32_t *bias = room(m, 4), *acc = room(ny, 4), zero = 0;
        float *multiplier = room(m, 4);
        int64_t multipliers = round % 5 == 0 ? 1 : m;
        random_bytes(&random, x, nx);
        random_bytes(&random, weight, nw);
        for (int64_t i = 0; i < m; i++) {
            bias[i] = (int32_t)random_range(&random, -20000, 20000);
            multiplier[i] = 0.0005F + 0.003F * fabsf(random_float(&random));
        }
        conv_int(NULL, &window, x_type, x, x_zero, KERNEL_S8, weight, &zero, 1, acc);
        requantize(NULL, acc, window.batch, m, window_out_count(&window), multiplier, multipliers, bias, y_scale,
                   expected);
        FastConvSpec spec = {.window = window, .x_type = x_type, .y_type = KERNEL_S32, .x_zero = x_zero, .weight = weight};
        fused += check_fused(&spec, multiplier, multipliers, bias, y_scale, x, expected);
        FastConv *conv = fast_conv_new(&spec, NULL);
        void *scratch = NULL;
        if (conv != NULL) {
            CHECK_OK(memory_alloc(fast_conv_scratch(conv), &scratch));
            CHECK(fast_conv_run(conv, x, acc, scratch));
            requantize_channels_last(NULL, acc, window.batch, m, window_out_count(&window), multiplier, multipliers,
                                     bias, y_scale, y);
            CHECK(memcmp(y, expected, (size_t)ny) == 0);
            ran++;
        }
        memory_free(scratch);
        fast_conv_free(conv);
        free(x), free(weight), free(expected), free(y), free(bias), free(acc), free(multiplier);
    }
    CHECK(ran > 50);
    CHECK(fused > 50);
}

/* Two input sizes, one constant weight: both runs are right */
TEST(onednn_convs_of_two_sizes_share_packed_weights)
{
    Random random = {6};
    FastPacks *packs = fast_packs_new();
    float *weight = room(32 * 32 * 9, 4);
    size_t after_first = 0;

    random_floats(&random, weight, 32 * 32 * 9);
    for (int round = 0; round < 2; round++) {
        Window window;
        window_init(&window, 2);
        window.channels_in = window.channels_out = 32;
        set_axis(&window, 1, 10 + 6 * round, 3, 1, 1, 1, 1);
        set_axis(&window, 2, 12 + 6 * round, 3, 1, 1, 1, 1);
        int64_t n = x_count(&window);
        float *x = room(n, 4), *y = room(n, 4), *expected = room(n, 4);
        void *scratch = NULL;
        random_floats(&random, x, n);
        conv_float(NULL, &window, x, weight, NULL, expected);
        size_t before = memory_in_use();
        FastConvSpec spec = {.window = window, .x_type = KERNEL_FLOAT, .y_type = KERNEL_FLOAT, .weight = weight};
        FastConv *conv = fast_conv_new(&spec, packs);
        if (round == 0)
            after_first = memory_in_use() - before;
        else if (after_first > 0)
            CHECK_INT(memory_in_use() - before, 0);
        if (conv != NULL) {
            CHECK_OK(memory_alloc(fast_conv_scratch(conv), &scratch));
            CHECK(fast_conv_run(conv, x, y, scratch));
            for (int64_t i = 0; i < n; i++)
                CHECK_NEAR(y[i], expected[i], 2e-5);
        }
        memory_free(scratch);
        fast_conv_free(conv);
        free(x), free(y), free(expected);
    }
    fast_packs_free(packs);
    free(weight);
}

/* Padding so wide that it is written out first, in both orders of memory; one channel a group too, where less counts as wide. */
TEST(conv_with_wide_padding_is_the_definition)
{
    Random random = {3};

    for (int round = 0; round < 4; round++) {
        int space = round % 2 + 1;
        Window window;
        window_init(&window, space);
        window.batch = 2;
        window.channels_in = 3;
        window.channels_out = 4;
        window.groups = 1;
        set_axis(&window, 2, 40, 33, 2, 1, 16, 17);
        if (round >= 2) {
            window.channels_in = window.channels_out = window.groups = 37;
            set_axis(&window, 2, 40, 7, 1, 4, 12, 9);
        }
        if (space == 2)
            set_axis(&window, 1, 5, 3, 1, 1, 1, 0);
        int64_t nx = x_count(&window), ny = y_count(&window), nw = weight_count(&window);
        float *x = room(nx, 4), *weight = room(nw, 4), *expected = room(ny, 4), *last_x = room(nx, 4), *last_y = room(ny, 4),
              *y = room(ny, 4);
        random_floats(&random, x, nx);
        random_floats(&random, weight, nw);
        conv_float(NULL, &window, x, weight, NULL, expected);
        int ran = 0;
        check_fast(&window, false, x, weight, NULL, expected, &ran);
        FastConvSpec spec = {.window = window, .x_type = KERNEL_FLOAT, .y_type = KERNEL_FLOAT, .weight = weight,
                             .channels_last = true};
        FastConv *conv = fast_conv_new(&spec, NULL);
        turn(&window, sizeof *x, window.channels_in, window_in_count(&window), true, x, last_x);
        if (conv != NULL) {
            void *scratch;
            CHECK_OK(memory_alloc(fast_conv_scratch(conv), &scratch));
            CHECK(fast_conv_run(conv, last_x, last_y, scratch));
            turn(&window, sizeof *y, window.channels_out, window_out_count(&window), false, last_y, y);
            for (int64_t i = 0; i < ny; i++)
                CHECK_NEAR(y[i], expected[i], 2e-5);
            memory_free(scratch);
        }
        fast_conv_free(conv);
        free(x), free(weight), free(expected), free(last_x), free(last_y), free(y);
    }
}
