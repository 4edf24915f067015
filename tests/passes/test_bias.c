/* test_bias.c - bias correction and equalization where they should help: depthwise nets with one scale for a whole weight.
 *
 *     x ─ Conv 1x1 ─ Relu ─ depthwise 3x3 ─ Relu ─ ... ─ GlobalAveragePool ─ Conv 1x1        10 classes
 *
 * The channels of the depthwise weights differ by up to 300 times, as they do when a BatchNormalization was folded into them, and
 * the weights behind make up for it.
 */
#include "passes/weight_channels.h"
#include "tests/passes/graphs.h"
#include "tests/passes/quantized.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHANNELS 24
#define TRIALS 150

/* 1 ... most, in an order that follows no channel number. */
static double channel_factor(int64_t c, double most)
{
    return pow(most, (double)(c * 7 % CHANNELS) / (CHANNELS - 1));
}

static Value *scaled(Value *weight, int64_t inner, double most, bool inverse)
{
    float *w = weight->constant->data;
    for (int64_t i = 0; i < weight->constant->count; i++) {
        double factor = channel_factor(i / inner % CHANNELS, most);
        w[i] = (float)((double)w[i] * (inverse ? 1.0 / factor : factor));
    }
    return weight;
}

static Value *block(Model *m, Value *x, int k, double most)
{
    Arena *a = m->arena;
    Value *point = test_floats(m, arena_printf(a, "point%d", k), "24,24,1,1"), *depth = test_floats(m, arena_printf(a, "depth%d", k), "24,1,3,3");
    for (int64_t i = 0; i < point->constant->count; i++) /* a sum of 24: as great as its terms */
        ((float *)point->constant->data)[i] *= 0.35f;
    if (k > 0)
        scaled(point, 1, most, true);
    x = TEST_NODE(m, "Conv", arena_printf(a, "p%d", k), x, point, test_floats(m, arena_printf(a, "pb%d", k), "24"));
    x = TEST_NODE(m, "Relu", arena_printf(a, "pr%d", k), x);
    x = TEST_NODE(m, "Conv", arena_printf(a, "d%d", k), x, scaled(depth, 9, most, false),
                  scaled(test_floats(m, arena_printf(a, "db%d", k), "24"), 1, most, false));
    node_set_int(x->producer, "group", CHANNELS);
    TEST_SET_INTS(x, "pads", 1, 1, 1, 1);
    return TEST_NODE(m, "Relu", arena_printf(a, "dr%d", k), x);
}

static void depthwise_net(Model *m, const char *shape, double most)
{
    Value *x = test_input(m, "x", shape);
    for (int k = 0; k < 3; k++)
        x = block(m, x, k, most);
    x = TEST_NODE(m, "GlobalAveragePool", "pool", x);
    x = TEST_NODE(m, "Conv", "head", x, scaled(test_floats(m, "w", "10,24,1,1"), 1, most, true), test_floats(m, "b", "10"));
    test_output(TEST_NODE(m, "Flatten", "logits", x));
}

static void unlike_net(Model *m)
{
    depthwise_net(m, "N,24,3,3", 300.0);
}

static void alike_net(Model *m)
{
    depthwise_net(m, "N,24,8,8", 1.0);
}

/* ---- by hand ------------------------------------------------------------------------------------------------------- */

static Status see_channels(void *context, const Value *value, Tensor *tensor)
{
    Channels *row = channels_get(context, value->name);
    if (row != NULL)
        channels_add(row, tensor);
    return NULL;
}

static void look(const Model *model, ChannelTable *table)
{
    Observer observer = {.value = see_channels, .context = table};
    for (int sample = 0; sample < QUANTIZED_SAMPLES; sample++) {
        Tensor output = quantized_run(model, NULL, sample, &observer);
        tensor_release(&output);
    }
}

static int best_of(const Tensor *logits, int64_t row)
{
    int64_t columns = logits->dims[1];
    int best = 0;
    for (int64_t c = 1; c < columns; c++)
        if (tensor_get(logits, row * columns + c) > tensor_get(logits, row * columns + best))
            best = (int)c;
    return best;
}

typedef struct Score {
    double sqnr_db;
    double bias_db;   /* signal over the squared mean of the error of each logit */
    double agreement; /* % */
} Score;

static Score score_of(const Model *floats, const Model *integers)
{
    double signal = 0.0, noise = 0.0, mean[10] = {0}, squared = 0.0;
    int same = 0, n = 0;
    for (int sample = QUANTIZED_SAMPLES; sample < QUANTIZED_SAMPLES + TRIALS; sample++) {
        Tensor clean = quantized_run(floats, NULL, sample, NULL), noisy = quantized_run(integers, NULL, sample, NULL);
        for (int64_t i = 0; i < clean.count; i++) {
            double x = tensor_get(&clean, i), error = x - tensor_get(&noisy, i);
            signal += x * x;
            noise += error * error;
            mean[i % 10] += error;
        }
        for (int64_t row = 0; row < clean.dims[0]; row++, n++)
            same += best_of(&clean, row) == best_of(&noisy, row);
        tensor_release(&clean);
        tensor_release(&noisy);
    }
    for (int i = 0; i < 10; i++)
        squared += mean[i] * mean[i] / n;
    return (Score){10.0 * log10(signal / noise), 10.0 * log10(signal / squared), 100.0 * same / n};
}

/* With one scale for a weight; equalized, corrected by the means of the channels. */
static Score score(void (*build)(Model *model), bool per_channel, bool equalize, bool correct)
{
    Target target = *target_find("ort-x86");
    target.per_channel = per_channel;
    QuantizedHow how = {.look = look, .equalize = equalize, .correct = correct};
    Quantized f = quantized_how(build, &target, &how);
    Model *plain = quantized_build(build);
    Score result = score_of(plain, f.integers);
    model_free(plain);
    quantized_release(&f);
    return result;
}

TEST(bias_correction_takes_the_mean_of_the_error_away)
{
    Score before = score(alike_net, false, false, false), after = score(alike_net, false, false, true);
    if (!(after.bias_db > before.bias_db + 6.0 && after.sqnr_db > before.sqnr_db + 1.0))
        test_fail(__FILE__, __LINE__, "mean error %.1f dB to %.1f, SQNR %.1f dB to %.1f", before.bias_db, after.bias_db, before.sqnr_db,
                  after.sqnr_db);
}

TEST(equalization_saves_a_depthwise_net_with_one_scale_for_a_weight)
{
    Score before = score(unlike_net, false, false, false), after = score(unlike_net, false, true, true);
    if (!(before.agreement < 50.0 && after.agreement > 90.0 && after.sqnr_db > 15.0))
        test_fail(__FILE__, __LINE__, "agreement %.1f %% to %.1f, SQNR %.1f dB to %.1f", before.agreement, after.agreement, before.sqnr_db, after.sqnr_db);
}
