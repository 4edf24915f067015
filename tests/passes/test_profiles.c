/* test_profiles.c - small graphs quantized for every target: where Q and DQ stand, by the rules of each runtime. */
#include "tests/passes/graphs.h"
#include "tests/passes/profile_rules.h"
#include "tests/passes/quantized.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

/* ---- graphs ------------------------------------------------------------------------------------------------------ */

static Value *conv(Model *m, Value *x, const char *name, const char *weight_shape)
{
    const char *weight = arena_printf(m->arena, "%s_w", name), *bias = arena_printf(m->arena, "%s_b", name);
    return TEST_NODE(m, "Conv", name, x, test_floats(m, weight, weight_shape),
                     test_floats(m, bias, arena_printf(m->arena, "%d", atoi(weight_shape))));
}

static void chain(Model *m)
{
    Value *a = conv(m, test_input(m, "x", "N,4,8,8"), "a", "8,4,3,3");
    Value *p = TEST_NODE(m, "MaxPool", "p", TEST_NODE(m, "Relu", "r", a));
    TEST_SET_INTS(p, "kernel_shape", 2, 2);
    test_output(conv(m, p, "y", "6,8,3,3"));
}

static void residual(Model *m)
{
    Value *a = TEST_NODE(m, "Relu", "ra", conv(m, test_input(m, "x", "N,8,6,6"), "a", "8,8,1,1"));
    Value *b = TEST_NODE(m, "Relu", "rb", conv(m, a, "b", "8,8,1,1"));
    Value *sum = TEST_NODE(m, "Add", "sum", conv(m, b, "c", "8,8,1,1"), a);
    Value *r = TEST_NODE(m, "Relu", "r", sum);
    Value *down = TEST_NODE(m, "Add", "down", conv(m, r, "d", "8,8,1,1"), conv(m, r, "e", "8,8,1,1"));
    test_output(conv(m, TEST_NODE(m, "Relu", "rd", down), "y", "4,8,1,1"));
}

static void silu_gate(Model *m)
{
    Value *a = conv(m, test_input(m, "x", "N,4,6,6"), "a", "8,4,1,1");
    Value *u = TEST_NODE(m, "Mul", "u", a, TEST_NODE(m, "Sigmoid", "s", a));
    Value *g = conv(m, TEST_NODE(m, "GlobalAveragePool", "g", u), "e", "8,8,1,1");
    Value *scaled = TEST_NODE(m, "Mul", "scaled", u, TEST_NODE(m, "Sigmoid", "gate", g));
    test_output(conv(m, scaled, "y", "4,8,1,1"));
}

static void hardswish(Model *m)
{
    Value *a = conv(m, test_input(m, "x", "N,4,6,6"), "a", "8,4,1,1");
    test_output(conv(m, TEST_NODE(m, "HardSwish", "h", a), "y", "4,8,1,1"));
}

static Value *concat(Model *m, const char *name, Value *a, Value *b)
{
    Value *both = TEST_NODE(m, "Concat", name, a, b);
    node_set_int(both->producer, "axis", 1);
    return both;
}

/* Every Concat shares inputs with the next one: one scale for all. */
static void dense(Model *m)
{
    Value *a = TEST_NODE(m, "Relu", "ra", conv(m, test_input(m, "x", "N,4,6,6"), "a", "4,4,1,1"));
    Value *b = TEST_NODE(m, "Relu", "rb", conv(m, a, "b", "4,4,1,1"));
    Value *ab = concat(m, "ab", a, b);
    Value *c = TEST_NODE(m, "Relu", "rc", conv(m, ab, "c", "4,8,1,1"));
    test_output(conv(m, concat(m, "abc", ab, c), "y", "4,12,1,1"));
}

static void decoder(Model *m)
{
    Value *a = TEST_NODE(m, "Relu", "ra", conv(m, test_input(m, "x", "N,4,6,6"), "a", "8,4,1,1"));
    Value *up = TEST_NODE(m, "ConvTranspose", "up", a, test_floats(m, "up_w", "8,6,3,3"), test_floats(m, "up_b", "6"));
    TEST_SET_INTS(up, "strides", 2, 2);
    test_output(conv(m, TEST_NODE(m, "Relu", "r", up), "y", "4,6,1,1"));
}

static void attention(Model *m)
{
    Value *x = test_input(m, "x", "N,5,12");
    Value *q = TEST_NODE(m, "MatMul", "q", x, test_floats(m, "wq", "12,16"));
    Value *k = TEST_NODE(m, "MatMul", "k", x, test_floats(m, "wk", "12,16"));
    Value *t = TEST_NODE(m, "Transpose", "t", TEST_NODE(m, "Add", "kb", k, test_floats(m, "bk", "16")));
    TEST_SET_INTS(t, "perm", 0, 2, 1);
    Value *p = TEST_NODE(m, "Softmax", "p", TEST_NODE(m, "MatMul", "scores", q, t));
    test_output(TEST_NODE(m, "MatMul", "y", p, x));
}

/* Read on behind the output, and by what stays float. */
static void outputs(Model *m)
{
    Value *a = conv(m, test_input(m, "x", "N,4,6,6"), "a", "8,4,1,1");
    test_output(a);
    Value *r = TEST_NODE(m, "Relu", "r", a);
    test_output(TEST_NODE(m, "Exp", "exp", r));
    test_output(conv(m, r, "y", "4,8,1,1"));
}

static const struct {
    const char *name;
    void (*build)(Model *model);
    int weighted; /* that must be 8-bit on the targets below */
    double sqnr_db;
} graphs[] = {
    {"chain", chain, 2, 24.0},       {"residual", residual, 6, 18.0}, {"silu_gate", silu_gate, 3, 24.0}, {"hardswish", hardswish, 2, 24.0},
    {"dense", dense, 4, 24.0},       {"decoder", decoder, 3, 24.0},   {"attention", attention, 4, 20.0}, {"outputs", outputs, 2, 26.0},
};

static void check_profile(const Target *target)
{
    for (size_t i = 0; i < COUNT_OF(graphs); i++) {
        Quantized f = quantized_for(graphs[i].build, target);
        ProfileFound found = profile_check(f.integers, target);
        if (found.problem[0] != '\0')
            test_fail(__FILE__, __LINE__, "%s, %s: %s", target->name, graphs[i].name, found.problem);
        int transposed = !target_runs(target, "ConvTranspose") && graphs[i].build == decoder;
        if (found.weighted != graphs[i].weighted - transposed)
            test_fail(__FILE__, __LINE__, "%s, %s: %d weighted ops in integers", target->name, graphs[i].name, found.weighted);
        Tensor clean = quantized_run(f.floats, NULL, QUANTIZED_SAMPLES, NULL);
        Tensor noisy = quantized_run(f.integers, NULL, QUANTIZED_SAMPLES, NULL);
        double reached = quantized_sqnr_db(&clean, &noisy);
        if (!(reached > graphs[i].sqnr_db))
            test_fail(__FILE__, __LINE__, "%s, %s: SQNR %.1f dB", target->name, graphs[i].name, reached);
        tensor_release(&clean);
        tensor_release(&noisy);
        quantized_release(&f);
    }
}

TEST(profiles_keep_the_rules_of_their_runtime)
{
    for (const char *const *name = target_names(); *name != NULL; name++)
        check_profile(target_find(*name));
}

TEST(profiles_keep_them_with_one_scale_for_a_weight)
{
    for (const char *const *name = target_names(); *name != NULL; name++) {
        Target target = *target_find(*name);
        target.per_channel = false;
        check_profile(&target);
    }
}

/* The checker sees what is wrong: each model judged by the rules of every other target. */
TEST(profiles_differ_from_each_other)
{
    static const char *const names[] = {"ort-x86", "ort-arm", "openvino", "tensorrt"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        for (size_t k = 0; k < COUNT_OF(names); k++) {
            Quantized f = quantized_for(residual, target_find(names[i]));
            ProfileFound found = profile_check(f.integers, target_find(names[k]));
            if ((found.problem[0] == '\0') != (i == k))
                test_fail(__FILE__, __LINE__, "a model for %s judged by %s: '%s'", names[i], names[k], found.problem);
            quantized_release(&f);
        }
}

/* ops of the main graph: "QuantizeLinear DequantizeLinear Conv" with Q and D for the pairs */
static void check_ops(void (*build)(Model *model), const char *target, const char *expected)
{
    Quantized f = quantized_for(build, target_find(target));
    Text text = {0};
    for (const Node *node = f.integers->graph->first; node != NULL; node = node->next) {
        bool weight = node_is(node, "DequantizeLinear") && node->in[0]->constant != NULL;
        const char *name = node_is(node, "QuantizeLinear") ? "Q" : node_is(node, "DequantizeLinear") ? "D" : node->op_type;
        if (!weight)
            text_addf(&text, "%s%s", text.length == 0 ? "" : " ", name);
    }
    CHECK_TEXT(text.data, expected);
    text_free(&text);
    quantized_release(&f);
}

TEST(profiles_quantize_behind_the_activation)
{
    check_ops(chain, "ort-arm", "Q D Conv Q D MaxPool Q D Conv Q D");
    check_ops(chain, "openvino", "Q D Conv Relu Q D MaxPool Q D Conv");
    check_ops(chain, "tensorrt", "Q D Conv Relu MaxPool Q D Conv");
    check_ops(hardswish, "openvino", "Q D Conv HardSwish Q D Conv");
}
