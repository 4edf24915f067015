/* test_qparams.c - scale and zero point at the edges, and int8 weights. */
#include "src/quant/quant.h"
#include "tests/test.h"

#include <float.h>
#include <math.h>
#include <string.h>

TEST(qparams_asymmetric_holds_zero_exactly)
{
    static const struct {
        float low, high;
        int32_t zero;
    } rows[] = {{0.0f, 6.0f, 0}, {-1.0f, 1.1f, 121}, {2.0f, 5.0f, 0}, {-5.0f, -2.0f, 255}, {-1.0f, 254.0f, 1}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        QParams p = qparams_asymmetric(rows[i].low, rows[i].high, DT_UINT8);
        CHECK_INT(p.zero_point, rows[i].zero);
        CHECK_INT(quant_value(0.0f, p), p.zero_point);
    }
    CHECK_NEAR(qparams_asymmetric(0.0f, 6.0f, DT_UINT8).scale, 6.0 / 255.0, 1e-9);
}

TEST(qparams_scale_is_always_usable)
{
    static const float ends[][2] = {{0.0f, 0.0f}, {0.0f, 1e-30f}, {-FLT_MAX, FLT_MAX}, {NAN, NAN}, {-INFINITY, INFINITY}};
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        QParams p = qparams_asymmetric(ends[i][0], ends[i][1], DT_UINT8);
        CHECK(isnormal(p.scale) && p.scale > 0.0f);
        CHECK(isnormal(p.scale * p.scale));
        CHECK(p.zero_point >= 0 && p.zero_point <= 255);
        p = qparams_symmetric(ends[i][1], DT_INT8);
        CHECK(isnormal(p.scale) && p.zero_point == 0);
    }
}

TEST(quant_value_rounds_half_to_even_and_saturates)
{
    QParams p = {1.0f, 10, DT_UINT8};
    CHECK_INT(quant_value(0.5f, p), 10);
    CHECK_INT(quant_value(1.5f, p), 12);
    CHECK_INT(quant_value(-0.5f, p), 10);
    CHECK_INT(quant_value(-11.0f, p), 0);
    CHECK_INT(quant_value(1e30f, p), 255);
    CHECK_INT(quant_value(NAN, p), 10);
    CHECK_INT(quant_value(-INFINITY, p), 0);
}

TEST(quant_array_and_back)
{
    const float x[] = {-1.0f, 0.0f, 0.25f, 1.0f};
    QParams p = qparams_symmetric(1.0f, DT_INT8);
    int8_t q[4];
    float back[4];
    quant_array(x, 4, p, q);
    dequant_array(q, 4, p, back);
    CHECK_INT(q[0], -127);
    for (int i = 0; i < 4; i++)
        CHECK_NEAR(back[i], x[i], p.scale / 2.0 + 1e-7);
}

TEST(weights_quantize_by_channel)
{
    Arena *arena = arena_new();
    const int64_t dims[] = {3, 2};
    const float w[] = {1.0f, -0.5f, 0.0f, 0.0f, 100.0f, 50.0f};
    Tensor *weight = tensor_new_floats(arena, 2, dims, w), *q = NULL, *scales = NULL;
    double sqnr = 0.0;
    CHECK_OK(weights_quantize(arena, weight, 0, NULL, &q, &scales, &sqnr));
    CHECK_INT(scales->count, 3);
    CHECK_INT(tensor_get_int(q, 0), 127);
    CHECK_INT(tensor_get_int(q, 2), 0);
    CHECK_INT(tensor_get_int(q, 4), 127);
    CHECK_NEAR(tensor_get(scales, 1), 1.0, 0.0);
    CHECK(sqnr > 40.0);
    const float least[] = {1.0f, 0.0f, 0.0f}; /* the guard widens channel 0 alone */
    CHECK_OK(weights_quantize(arena, weight, 0, least, &q, &scales, &sqnr));
    CHECK_INT(tensor_get_int(q, 0), 1);
    CHECK_INT(tensor_get_int(q, 4), 127);
    arena_free(arena);
}

/* Channels that lie across the memory give what the same channels give one behind the other. */
TEST(weights_quantize_channels_of_any_axis_alike)
{
    Arena *arena = arena_new();
    enum { ROWS = 37, CHANNELS = 21 };
    Tensor *across = NULL, *along = NULL, *q[2], *scales[2];
    double sqnr[2];
    CHECK_OK(tensor_new(arena, DT_FLOAT, 2, (int64_t[]){ROWS, CHANNELS}, &across));
    CHECK_OK(tensor_new(arena, DT_FLOAT, 2, (int64_t[]){CHANNELS, ROWS}, &along));
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < CHANNELS; c++) {
            float x = (float)((r * 131 + c * 71) % 257 - 128) * (float)(c + 1) / 100.0f;
            ((float *)across->data)[r * CHANNELS + c] = ((float *)along->data)[c * ROWS + r] = x;
        }
    CHECK_OK(weights_quantize(arena, across, 1, NULL, &q[0], &scales[0], &sqnr[0]));
    CHECK_OK(weights_quantize(arena, along, 0, NULL, &q[1], &scales[1], &sqnr[1]));
    CHECK(memcmp(scales[0]->data, scales[1]->data, scales[0]->bytes) == 0);
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < CHANNELS; c++) {
            float x = ((float *)across->data)[r * CHANNELS + c] / ((float *)scales[0]->data)[c];
            int64_t wanted = (int64_t)fminf(fmaxf(rintf(x), -127.0f), 127.0f);
            CHECK_INT(tensor_get_int(q[0], r * CHANNELS + c), wanted);
            CHECK_INT(tensor_get_int(q[1], c * ROWS + r), wanted);
        }
    CHECK_NEAR(sqnr[0], sqnr[1], 0.0);
    ((float *)across->data)[5] = NAN;
    CHECK_FAILS(weights_quantize(arena, across, 1, NULL, &q[0], &scales[0], &sqnr[0]), CODE_MODEL, "element 5");
    arena_free(arena);
}

TEST(weights_quantize_clips_a_far_weight_when_that_is_better)
{
    Arena *arena = arena_new();
    enum { N = 4001 };
    Tensor *weight = NULL, *q = NULL, *scales = NULL;
    CHECK_OK(tensor_new(arena, DT_FLOAT, 1, (int64_t[]){N}, &weight));
    for (int i = 0; i < N - 1; i++)
        ((float *)weight->data)[i] = (float)(i - 2000) / 2000.0f;
    ((float *)weight->data)[N - 1] = 1.1f;
    double sqnr = 0.0;
    CHECK_OK(weights_quantize(arena, weight, -1, NULL, &q, &scales, &sqnr));
    CHECK(tensor_get(scales, 0) < 1.1 / 127.0);
    arena_free(arena);
}

TEST(targets_are_found_by_name)
{
    CHECK(target_find("ort-x86") != NULL);
    CHECK(target_find("ort") == NULL);
    CHECK(target_runs(target_find("ort-x86"), "Conv"));
    CHECK(!target_runs(target_find("ort-x86"), "Erf"));
}

TEST(ranges_replace_by_name)
{
    RangeTable *table = ranges_new();
    ranges_put(table, &(Range){.name = "a", .low = -1.0f});
    ranges_put(table, &(Range){.name = "b", .low = -2.0f});
    ranges_put(table, &(Range){.name = "a", .low = -3.0f});
    CHECK_INT(ranges_count(table), 2);
    CHECK_NEAR(ranges_get(table, "a")->low, -3.0, 0.0);
    CHECK(ranges_get(table, "c") == NULL);
    ranges_free(table);
}
