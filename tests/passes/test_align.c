/* test_align.c - channels brought to the numbers that the target's kernels take: the same results, and no others are touched. */
#include "passes/pass.h"
#include "src/exec/exec.h"
#include "src/ops/ops.h"
#include "tests/passes/graphs.h"
#include "tests/passes/quantized.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- graphs ------------------------------------------------------------------------------------------------------ */

static Value *conv(Model *m, const char *name, Value *x, const char *weight, int64_t group, int64_t pad)
{
    Value *y = TEST_NODE(m, "Conv", name, x, test_floats(m, arena_printf(m->arena, "%s_w", name), weight),
                         test_floats(m, arena_printf(m->arena, "%s_b", name), arena_printf(m->arena, "%d", atoi(weight))));
    node_set_int(y->producer, "group", group);
    TEST_SET_INTS(y, "pads", pad, pad, pad, pad);
    return y;
}

/* Expansion to 24, depthwise, squeeze and excitation on the same 24, projection. */
static void bottleneck(Model *m)
{
    Value *x = conv(m, "stem", test_input(m, "x", "N,3,12,12"), "16,3,3,3", 1, 1);
    Value *e = TEST_NODE(m, "HardSwish", "eh", conv(m, "expand", x, "24,16,1,1", 1, 0));
    Value *d = TEST_NODE(m, "PRelu", "dp", conv(m, "depth", e, "24,1,3,3", 24, 1), test_floats(m, "slopes", "24,1,1"));
    Value *s = TEST_NODE(m, "GlobalAveragePool", "pool", d);
    s = TEST_NODE(m, "Relu", "fr", conv(m, "f1", s, "6,24,1,1", 1, 0));
    s = TEST_NODE(m, "HardSigmoid", "gate", conv(m, "f2", s, "24,6,1,1", 1, 0));
    Value *scaled = TEST_NODE(m, "Mul", "scaled", d, s);
    Value *shifted = TEST_NODE(m, "Add", "shifted", scaled, test_floats(m, "shift", "1,24,1,1"));
    test_output(TEST_NODE(m, "Add", "y", conv(m, "project", shifted, "16,24,1,1", 1, 0), x));
}

/* 30 channels between plain convolutions. */
static void plain(Model *m)
{
    Value *a = conv(m, "a", test_input(m, "x", "N,8,9,9"), "30,8,3,3", 1, 1);
    test_output(conv(m, "y", TEST_NODE(m, "Relu", "r", a), "16,30,3,3", 1, 1));
}

/* 24 channels that an output shows. */
static void shown(Model *m)
{
    Value *a = conv(m, "a", test_input(m, "x", "N,8,9,9"), "24,8,1,1", 1, 0);
    test_output(conv(m, "y", conv(m, "d", a, "24,1,3,3", 24, 1), "16,24,1,1", 1, 0));
    test_output(a);
}

/* 24 channels that meet others in a Concat, whose order would change. */
static void concatenated(Model *m)
{
    Value *a = conv(m, "d", conv(m, "a", test_input(m, "x", "N,8,9,9"), "24,8,1,1", 1, 0), "24,1,3,3", 24, 1);
    Value *both = TEST_NODE(m, "Concat", "both", a, conv(m, "b", a, "8,24,1,1", 1, 0));
    node_set_int(both->producer, "axis", 1);
    test_output(conv(m, "y", both, "16,32,1,1", 1, 0));
}

/* 4 channels: 16 would be four times as many. */
static void few(Model *m)
{
    Value *a = conv(m, "a", test_input(m, "x", "N,8,9,9"), "4,8,1,1", 1, 0);
    test_output(conv(m, "y", conv(m, "d", a, "4,1,3,3", 4, 1), "16,4,1,1", 1, 0));
}

static void gap_of_pixels(Model *m) /* 24 channels of 3x3 are not worth it */
{
    Value *a = conv(m, "a", test_input(m, "x", "N,8,3,3"), "24,8,1,1", 1, 0);
    test_output(conv(m, "y", conv(m, "d", a, "24,1,3,3", 24, 1), "16,24,1,1", 1, 0));
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static int64_t outputs_of(const Model *m, const char *name)
{
    for (const Node *node = m->graph->first; node != NULL; node = node->next)
        if (strcmp(node->out[0]->name, name) == 0)
            return node_constant(node, 1)->dims[0];
    return -1;
}

static int64_t target_changes(Model *m, const char *target)
{
    PassRecord *records = xcalloc(pass_count(), sizeof records[0]);
    CHECK_OK(passes_run(m, PASS_TARGET, NULL, NULL, target_find(target), NULL, records));
    int64_t changes = 0;
    for (size_t i = 0; i < pass_count(); i++)
        changes += strcmp(pass_at(i)->name, "align_channels") == 0 ? records[i].changes : 0;
    free(records);
    CHECK_OK(model_verify(m));
    return changes;
}

/* The pass changes `changes` regions, and no result. */
static void check_aligned(void (*build)(Model *m), int64_t changes)
{
    Model *before = quantized_build(build), *after = quantized_build(build);
    CHECK_INT(target_changes(after, "ort-x86"), changes);
    CHECK_OK(ops_infer(after)); /* the shapes that the pass wrote are those that the ops give */
    Tensor a = quantized_run(before, &(PlanOptions){.reference = true}, 0, NULL);
    Tensor b = quantized_run(after, &(PlanOptions){.reference = true}, 0, NULL);
    CHECK(tensor_same_shape(&a, &b));
    for (int64_t i = 0; i < MIN(a.count, b.count); i++)
        CHECK(fabs(tensor_get(&a, i) - tensor_get(&b, i)) <= 1e-5);
    tensor_release(&a);
    tensor_release(&b);
    model_free(before);
    model_free(after);
}

TEST(channels_are_aligned_and_nothing_changes)
{
    check_aligned(bottleneck, 1);
    check_aligned(plain, 1);
    check_aligned(shown, 0);
    check_aligned(concatenated, 0);
    check_aligned(few, 0);
    check_aligned(gap_of_pixels, 0);
}

TEST(channels_get_the_number_that_the_kernels_take)
{
    Model *m = quantized_build(bottleneck);
    target_changes(m, "ort-x86");
    static const struct {
        const char *name;
        int64_t outputs;
    } rows[] = {{"stem", 16}, {"expand", 32}, {"depth", 32}, {"f1", 6}, {"f2", 32}, {"project", 16}};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        CHECK_INT(outputs_of(m, rows[i].name), rows[i].outputs);
    model_free(m);
    m = quantized_build(plain);
    target_changes(m, "ort-x86");
    CHECK_INT(outputs_of(m, "a"), 32);
    model_free(m);
    m = quantized_build(bottleneck);
    CHECK_INT(target_changes(m, "tensorrt"), 0);
    CHECK_INT(outputs_of(m, "depth"), 24);
    model_free(m);
}

/* 4 windows of 3x3, padding counted; of 2x2; and one that does not count it, which has no such form. */
static void pools(Model *m, bool counts)
{
    Value *a = conv(m, "a", test_input(m, "x", "N,4,9,9"), "16,4,1,1", 1, 0);
    Value *p = TEST_NODE(m, "AveragePool", "p", a);
    TEST_SET_INTS(p, "kernel_shape", 3, 3);
    TEST_SET_INTS(p, "strides", 2, 1);
    TEST_SET_INTS(p, "pads", 1, 1, 1, 1);
    node_set_int(p->producer, "count_include_pad", counts);
    Value *q = TEST_NODE(m, "AveragePool", "q", p);
    TEST_SET_INTS(q, "kernel_shape", 2, 2);
    test_output(conv(m, "y", q, "16,16,1,1", 1, 0));
}

static void counting(Model *m)
{
    pools(m, true);
}

static void not_counting(Model *m)
{
    pools(m, false);
}

static void check_steps(void (*build)(Model *m), const char *target, const char *steps)
{
    Quantized f = quantized_for(build, target_find(target));
    char *names = quantized_steps(f.integers);
    CHECK_TEXT(names, steps);
    free(names);
    Tensor expected = quantized_run(f.floats, NULL, QUANTIZED_SAMPLES, NULL);
    Tensor integer = quantized_run(f.integers, NULL, QUANTIZED_SAMPLES, NULL);
    CHECK(quantized_sqnr_db(&expected, &integer) > 26.0);
    tensor_release(&expected);
    tensor_release(&integer);
    quantized_release(&f);
}

TEST(average_pools_run_as_depthwise_convolutions)
{
    check_steps(counting, "ort-x86", "QuantizeLinear QLinearConv QLinearConv QLinearConv QLinearConv DequantizeLinear");
    check_steps(not_counting, "ort-x86", "QuantizeLinear QLinearConv DequantizeLinear AveragePool AveragePool QuantizeLinear QLinearConv DequantizeLinear");
}

/* Two convolutions read an input of 3 channels: one gains by a fourth, one (1x1) does not. */
static void stem(Model *m)
{
    Value *x = test_input(m, "x", "N,3,12,12");
    Value *a = TEST_NODE(m, "Relu", "r", conv(m, "a", x, "16,3,3,3", 1, 1));
    Value *sum = TEST_NODE(m, "Add", "sum", a, conv(m, "b", x, "16,3,1,1", 1, 0));
    test_output(conv(m, "y", sum, "16,16,1,1", 1, 0));
}

TEST(the_bytes_of_an_input_are_padded_to_more_channels)
{
    check_steps(stem, "ort-x86",
                "QuantizeLinear Pad QLinearConv QLinearConv QLinearAdd QLinearConv DequantizeLinear");
    check_steps(stem, "ort-arm", "QuantizeLinear QLinearConv QLinearConv QLinearAdd QLinearConv DequantizeLinear");
}

/* The last convolution makes 6 channels of 18x18. */
static void head(Model *m)
{
    Value *a = TEST_NODE(m, "Relu", "r", conv(m, "a", test_input(m, "x", "N,4,18,18"), "16,4,3,3", 1, 1));
    test_output(TEST_NODE(m, "Sigmoid", "s", conv(m, "b", a, "6,16,3,3", 1, 1)));
    Value *y = TEST_NODE(m, "Conv", "y", a, test_floats(m, "yw", "1,16,3,3")); /* without a bias */
    test_output(y);
}

/* A filter of one channel, in and out. */
static void filter(Model *m)
{
    test_output(conv(m, "y", test_input(m, "x", "N,1,20,20"), "1,1,3,3", 1, 1));
}

TEST(last_convolutions_make_more_channels_than_are_read)
{
    check_steps(head, "ort-x86", "QuantizeLinear QLinearConv QLinearConv Slice DequantizeLinear Sigmoid QLinearConv Slice DequantizeLinear");
    check_steps(filter, "ort-x86", "QuantizeLinear Pad QLinearConv Slice DequantizeLinear");
    check_steps(head, "ort-arm", "QuantizeLinear QLinearConv QLinearConv DequantizeLinear Sigmoid QLinearConv DequantizeLinear");
}

/* 8 groups of 2 channels, of 2 channels to 3, and two filters for each of 16 channels. */
static void grouped(Model *m)
{
    Value *a = conv(m, "a", test_input(m, "x", "N,16,9,9"), "16,2,3,3", 8, 1);
    Value *b = conv(m, "b", TEST_NODE(m, "Relu", "r", a), "24,2,1,1", 8, 0);
    Value *c = conv(m, "c", conv(m, "p", b, "16,24,1,1", 1, 0), "32,1,3,3", 16, 1);
    test_output(conv(m, "y", c, "64,2,1,1", 16, 0));
}

static int64_t group_of(const Model *m, const char *name)
{
    for (const Node *node = m->graph->first; node != NULL; node = node->next)
        if (strcmp(node->name, name) == 0 || strcmp(node->out[0]->name, name) == 0)
            return node_int(node, "group", 1);
    return -1;
}

TEST(small_groups_of_a_convolution_become_wide_ones)
{
    check_steps(grouped, "ort-x86", "QuantizeLinear QLinearConv QLinearConv QLinearConv QLinearConv QLinearConv DequantizeLinear");
    Quantized f = quantized_for(grouped, target_find("ort-x86"));
    CHECK_INT(group_of(f.integers, "a"), 1);
    CHECK_INT(group_of(f.integers, "b"), 1);
    CHECK_INT(group_of(f.integers, "c"), 1);
    CHECK_INT(group_of(f.integers, "y"), 1);
    CHECK_INT(group_of(f.floats, "a"), 8);
    quantized_release(&f);
}

/* A separable convolution of 3 channels, two filters for each, biases in both; one whose middle is an output stays. */
static void separable(Model *m)
{
    Value *d = conv(m, "d", test_input(m, "x", "N,3,12,12"), "6,1,3,3", 3, 1);
    test_output(TEST_NODE(m, "Relu", "r", conv(m, "y", d, "16,6,1,1", 1, 0)));
}

static void separable_shown(Model *m)
{
    separable(m);
    graph_add_output(m->graph, m->graph->first->out[0]);
}

TEST(a_depthwise_convolution_of_few_channels_joins_the_1x1_behind_it)
{
    check_steps(separable, "ort-x86", "QuantizeLinear Pad QLinearConv DequantizeLinear");
    Quantized f = quantized_for(separable, target_find("ort-x86"));
    CHECK_INT(group_of(f.integers, "y"), 1);
    CHECK_INT(group_of(f.integers, "d"), -1);
    quantized_release(&f);
    check_steps(separable, "ort-arm", "QuantizeLinear QLinearConv QLinearConv DequantizeLinear");
    Model *shown = quantized_build(separable_shown);
    target_changes(shown, "ort-x86");
    CHECK_INT(group_of(shown, "d"), 3);
    model_free(shown);
}

/* A Tanh between convolutions. */
static void tangent(Model *m)
{
    Value *a = conv(m, "a", test_input(m, "x", "N,4,9,9"), "16,4,3,3", 1, 1);
    test_output(conv(m, "y", TEST_NODE(m, "Tanh", "t", a), "16,16,3,3", 1, 1));
}

TEST(tanh_runs_as_the_table_of_sigmoid)
{
    check_steps(tangent, "ort-x86", "QuantizeLinear QLinearConv QLinearSigmoid QLinearConv DequantizeLinear");
    check_steps(tangent, "ort-arm", "QuantizeLinear QLinearConv QLinearSigmoid QLinearConv DequantizeLinear");
}
