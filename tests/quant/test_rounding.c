/* test_rounding.c - weights rounded by what the output is off, against weights rounded to the nearest. */
#include "src/quant/quant.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

#define POSITIONS 3000

static uint32_t state;

/* In [-1, 1). */
static float draw(void)
{
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}

/* Inputs that go together, as pixels beside each other do: each is half of the one before it. */
static void draw_inputs(float *x, int64_t n)
{
    float last = draw();
    for (int64_t i = 0; i < n; i++)
        x[i] = last = 0.9f * last + 0.3f * draw();
}

/* Variance of what the output is off, over positions of their own. */
static double output_error(const float *w, const int8_t *q, float scale, int64_t n)
{
    float *x = xcalloc((size_t)n, sizeof x[0]);
    double sum = 0.0, squares = 0.0;
    state = 77u;
    for (int k = 0; k < POSITIONS; k++) {
        double error = 0.0;
        draw_inputs(x, n);
        for (int64_t i = 0; i < n; i++)
            error += ((double)w[i] - (double)scale * q[i]) * (double)x[i];
        sum += error / POSITIONS;
        squares += error * error / POSITIONS;
    }
    free(x);
    return squares - sum * sum;
}

/* `groups` of inputs, one output channel each. */
static void check_length(int64_t length, int64_t groups)
{
    Moments *moments = moments_new(groups, length);
    float *x = xcalloc((size_t)length, sizeof x[0]), *w = xcalloc((size_t)length, sizeof w[0]);
    int8_t *nearest = xcalloc((size_t)length, 1), *q = xcalloc((size_t)length, 1);
    const float scale = 0.01f;
    RoundingBlocks blocks;
    state = 1234u;
    for (int k = 0; k < POSITIONS; k++) {
        for (int64_t group = 0; group < groups; group++) {
            draw_inputs(x, length);
            moments_add(moments, group, x);
        }
        moments->count++;
    }
    rounding_prepare(moments, &blocks);
    for (int64_t group = 0; group < groups; group++) {
        for (int64_t i = 0; i < length; i++) {
            w[i] = 1.3f * draw(); /* some beyond 127 steps */
            nearest[i] = q[i] = (int8_t)fmaxf(fminf(rintf(w[i] / scale), 127.0f), -127.0f);
        }
        int64_t changes = rounding_descend(&blocks, group, w, 1, scale, q);
        for (int64_t i = 0; i < length; i++) {
            int off = q[i] - nearest[i];
            CHECK(off >= -1 && off <= 1 && q[i] >= -127);
            CHECK(fabsf(w[i]) > 127.0f * scale || fabsf(w[i] - scale * q[i]) <= scale);
        }
        double before = output_error(w, nearest, scale, length), after = output_error(w, q, scale, length);
        if (!(changes > 0 && after < 0.6 * before))
            test_fail(__FILE__, __LINE__, "%d inputs, group %d: error %g to %g", (int)length, (int)group, before, after);
    }
    rounding_release(&blocks);
    moments_free(moments);
    free(x);
    free(w);
    free(q);
    free(nearest);
}

TEST(rounding_by_the_output_beats_the_nearest)
{
    check_length(9, 5);                     /* a depthwise kernel */
    check_length(72, 1);
    check_length(MOMENTS_BLOCK + 40, 1);    /* two blocks */
}

TEST(rounding_without_positions_changes_nothing)
{
    Moments *moments = moments_new(1, 3);
    const float w[3] = {0.014f, -0.006f, 0.02f};
    int8_t q[3] = {1, -1, 2};
    RoundingBlocks blocks;
    rounding_prepare(moments, &blocks);
    CHECK_INT(rounding_descend(&blocks, 0, w, 1, 0.01f, q), 0);
    CHECK(q[0] == 1 && q[1] == -1 && q[2] == 2);
    rounding_release(&blocks);
    moments_free(moments);
}
