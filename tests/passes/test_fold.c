/* test_fold.c - passes that compute now what would be computed on every run. */
#include "tests/passes/graphs.h"
#include "tests/test.h"

#include "passes/pass.h"
#include "src/ops/ops.h"

#include <stdlib.h>

/* ---- constants --------------------------------------------------------------------------------------------------- */

static void constant_chain(Model *m)
{
    Value *a = TEST_NODE(m, "Add", "a", test_floats(m, "p", "4,3"), test_floats(m, "q", "3"));
    Value *b = TEST_NODE(m, "Transpose", "b", a);
    test_output(TEST_NODE(m, "MatMul", "y", test_input(m, "x", "N,3"), b));
}

static void known_shape(Model *m)
{
    Value *x = test_input(m, "x", "2,3,4");
    Value *shape = TEST_NODE(m, "Shape", "s", x);
    Value *first = TEST_NODE(m, "Gather", "g", shape, TEST_INTS(m, "i", 0));
    Value *target = TEST_NODE(m, "Concat", "t", first, TEST_INTS(m, "r", -1));
    node_set_int(target->producer, "axis", 0);
    test_output(TEST_NODE(m, "Reshape", "y", x, target));
}

static void dynamic_shape(Model *m)
{
    Value *x = test_input(m, "x", "N,3,4");
    Value *shape = TEST_NODE(m, "Shape", "s", x);
    Value *first = TEST_NODE(m, "Gather", "g", shape, TEST_INTS(m, "i", 0));
    Value *target = TEST_NODE(m, "Concat", "t", first, TEST_INTS(m, "r", 12));
    node_set_int(target->producer, "axis", 0);
    test_output(TEST_NODE(m, "Reshape", "y", x, target));
}

static void too_large(Model *m) /* 4 bytes would become 32 MiB */
{
    Value *big = TEST_NODE(m, "Expand", "e", test_floats(m, "c", "1,1"), TEST_INTS(m, "s", 4096, 2048));
    test_output(TEST_NODE(m, "ReduceMax", "y", TEST_NODE(m, "Add", "a", test_input(m, "x", "1"), big)));
}

static void constant_output(Model *m)
{
    test_output(TEST_NODE(m, "Neg", "y", test_floats(m, "c", "3")));
    test_output(TEST_NODE(m, "Relu", "z", test_input(m, "x", "3")));
}

static void weight_in_integers(Model *m) /* must stay a DequantizeLinear of integers */
{
    static int8_t q[4] = {1, -2, 3, 4};
    int64_t dims[2] = {2, 2};
    Tensor *tensor = arena_alloc(m->arena, sizeof(*tensor));
    CHECK_OK(tensor_view(tensor, DT_INT8, 2, dims, q));
    Value *integers = graph_add_constant(m->graph, "q", tensor);
    Value *w = TEST_NODE(m, "DequantizeLinear", "w", integers, test_fill(m, "s", "", 0.5f));
    test_output(TEST_NODE(m, "MatMul", "y", test_input(m, "x", "N,2"), w));
}

TEST(constants_fold)
{
    static const PassCase cases[] = {
        {"chain", constant_chain, 13, "fold_constants", 2, "MatMul"},
        {"known shape", known_shape, 13, "fold_constants", 3, "Reshape"},
        {"dynamic shape", dynamic_shape, 13, "fold_constants", 0, "Shape Gather Concat Reshape"},
        {"too large", too_large, 13, "fold_constants", 0, "Expand Add ReduceMax"},
        {"constant output", constant_output, 13, "fold_constants", 1, "Identity Relu"},
        {"integer weight", weight_in_integers, 13, "fold_constants", 0, "DequantizeLinear MatMul"},
        {"computed target", dynamic_shape, 13, "fold_reshape_shape", 1, "Reshape"},
    };
    test_pass(cases, COUNT_OF(cases));
}

/* ---- into weights: x -> weighted -> ... -------------------------------------------------------------------------- */

static Value *add_conv(Model *m, Value *x, const char *weight, int64_t group, bool bias)
{
    Value *w = test_floats(m, "w", weight), *b = bias ? test_floats(m, "b", "8") : NULL;
    Value *y = bias ? TEST_NODE(m, "Conv", "c", x, w, b) : TEST_NODE(m, "Conv", "c", x, w);
    node_set_int(y->producer, "group", group);
    return y;
}

static Value *add_normalization(Model *m, Value *x, const char *out)
{
    return TEST_NODE(m, "BatchNormalization", out, x, test_floats(m, "gamma", "8"), test_floats(m, "beta", "8"),
                     test_floats(m, "mean", "8"), test_positive(m, "var", "8"));
}

static void conv_normalization(Model *m)
{
    test_output(add_normalization(m, add_conv(m, test_input(m, "x", "N,4,6,6"), "8,4,3,3", 1, true), "y"));
}

static void grouped_normalization(Model *m)
{
    test_output(add_normalization(m, add_conv(m, test_input(m, "x", "N,4,6,6"), "8,2,3,3", 2, false), "y"));
}

static void transposed_normalization(Model *m) /* 4 channels in, 2 groups of 4 out */
{
    Value *x = test_input(m, "x", "N,4,5,5");
    Value *c = TEST_NODE(m, "ConvTranspose", "c", x, test_floats(m, "w", "4,4,2,2"), test_floats(m, "b", "8"));
    node_set_int(c->producer, "group", 2);
    TEST_SET_INTS(c, "strides", 2, 2);
    test_output(add_normalization(m, c, "y"));
}

static void gemm_normalization(Model *m)
{
    Value *w = test_floats(m, "w", "8,5"), *b = test_floats(m, "b", "1,8");
    Value *g = TEST_NODE(m, "Gemm", "g", test_input(m, "x", "N,5"), w, b);
    node_set_int(g->producer, "transB", 1);
    node_set_float(g->producer, "alpha", 0.5f);
    node_set_float(g->producer, "beta", 2.0f);
    test_output(add_normalization(m, g, "y"));
}

static void normalization_of_shared(Model *m) /* the convolution's output is read twice */
{
    Value *c = add_conv(m, test_input(m, "x", "N,4,6,6"), "8,4,3,3", 1, true);
    Value *n = add_normalization(m, c, "n");
    test_output(TEST_NODE(m, "Add", "y", n, c));
}

static void normalization_of_output(Model *m)
{
    Value *c = add_conv(m, test_input(m, "x", "N,4,6,6"), "8,4,3,3", 1, true);
    test_output(c);
    test_output(add_normalization(m, c, "n"));
}

static void shared_weight(Model *m) /* the other convolution keeps its weight */
{
    Value *x = test_input(m, "x", "N,4,6,6"), *w = test_floats(m, "w", "8,4,3,3"), *b = test_floats(m, "b", "8");
    Value *n = add_normalization(m, TEST_NODE(m, "Conv", "c", x, w, b), "n");
    test_output(TEST_NODE(m, "Add", "y", n, TEST_NODE(m, "Conv", "d", x, w, b)));
}

static void normalization_alone(Model *m)
{
    test_output(add_normalization(m, TEST_NODE(m, "Relu", "r", test_input(m, "x", "N,8,3,3")), "y"));
}

TEST(normalization_folds_into_weights)
{
    static const char pass[] = "fold_batchnorm_into_conv";
    static const PassCase cases[] = {
        {"conv", conv_normalization, 13, pass, 1, "Conv"},
        {"grouped, no bias", grouped_normalization, 13, pass, 1, "Conv"},
        {"transposed", transposed_normalization, 13, pass, 1, "ConvTranspose"},
        {"gemm", gemm_normalization, 13, pass, 1, "Gemm"},
        {"shared output", normalization_of_shared, 13, pass, 0, "Conv BatchNormalization Add"},
        {"graph output", normalization_of_output, 13, pass, 0, "Conv BatchNormalization"},
        {"shared weight", shared_weight, 13, pass, 1, "Conv Conv Add"},
        {"behind relu", normalization_alone, 13, pass, 0, "Relu BatchNormalization"},
        {"opset 14", conv_normalization, 15, pass, 1, "Conv"},
    };
    test_pass(cases, COUNT_OF(cases));
}

static void conv_mul_add(Model *m)
{
    Value *c = add_conv(m, test_input(m, "x", "N,4,6,6"), "8,4,3,3", 1, false);
    Value *s = TEST_NODE(m, "Mul", "s", test_floats(m, "scale", "1,8,1,1"), c);
    test_output(TEST_NODE(m, "Add", "y", s, test_floats(m, "shift", "8,1,1")));
}

static void conv_sub_div(Model *m)
{
    Value *c = add_conv(m, test_input(m, "x", "N,4,6,6"), "8,4,3,3", 1, true);
    Value *s = TEST_NODE(m, "Sub", "s", test_floats(m, "from", ""), c);
    test_output(TEST_NODE(m, "Div", "y", s, test_positive(m, "by", "8,1,1")));
}

static void conv_add_spatial(Model *m) /* (8) lies along the width */
{
    Value *c = add_conv(m, test_input(m, "x", "N,4,10,10"), "8,4,3,3", 1, true);
    test_output(TEST_NODE(m, "Add", "y", c, test_floats(m, "shift", "8")));
}

static void conv_add_widens(Model *m)
{
    Value *c = add_conv(m, test_input(m, "x", "1,4,3,3"), "8,4,3,3", 1, true);
    test_output(TEST_NODE(m, "Add", "y", c, test_floats(m, "shift", "1,8,2,2")));
}

static void conv_add_more_axes(Model *m)
{
    Value *c = add_conv(m, test_input(m, "x", "1,4,3,3"), "8,4,3,3", 1, true);
    test_output(TEST_NODE(m, "Add", "y", c, test_floats(m, "shift", "1,1,1,1,1")));
}

static void conv_of_one_channel(Model *m) /* 8 constants would make 8 channels of 1 */
{
    Value *c = TEST_NODE(m, "Conv", "c", test_input(m, "x", "N,4,6,6"), test_floats(m, "w", "1,4,3,3"));
    test_output(TEST_NODE(m, "Mul", "y", c, test_floats(m, "scale", "8,1,1")));
}

static void matmul_scale(Model *m)
{
    Value *p = TEST_NODE(m, "MatMul", "p", test_input(m, "x", "N,T,5"), test_floats(m, "w", "5,6"));
    Value *d = TEST_NODE(m, "Div", "d", p, test_fill(m, "by", "", 8));
    test_output(TEST_NODE(m, "Add", "y", d, test_floats(m, "b", "6")));
}

static void divided_by_zero(Model *m)
{
    Value *c = add_conv(m, test_input(m, "x", "N,4,6,6"), "8,4,3,3", 1, true);
    test_output(TEST_NODE(m, "Div", "y", c, test_fill(m, "by", "", 0)));
}

TEST(scales_fold_into_weights)
{
    static const char pass[] = "fold_scale_into_conv";
    static const PassCase cases[] = {
        {"mul and add", conv_mul_add, 13, pass, 2, "Conv"},
        {"sub and div", conv_sub_div, 13, pass, 2, "Conv"},
        {"along the width", conv_add_spatial, 13, pass, 0, "Conv Add"},
        {"widens", conv_add_widens, 13, pass, 0, "Conv Add"},
        {"more axes", conv_add_more_axes, 13, pass, 0, "Conv Add"},
        {"one channel", conv_of_one_channel, 13, pass, 0, "Conv Mul"},
        {"matmul", matmul_scale, 13, pass, 1, "MatMul Add"},
        {"by zero", divided_by_zero, 13, pass, 0, "Conv Div"},
    };
    test_pass(cases, COUNT_OF(cases));
}

/* ---- padding ----------------------------------------------------------------------------------------------------- */

static Value *add_pad(Model *m, const char *mode, float value)
{
    Value *x = test_input(m, "x", "N,4,6,6");
    Value *pads = TEST_INTS(m, "pads", 0, 0, 1, 2, 0, 0, 1, 0);
    Value *p = TEST_NODE(m, "Pad", "p", x, pads, graph_add_float(m->graph, "v", value));
    node_set_string(p->producer, "mode", mode);
    return p;
}

static void pad_conv(Model *m)
{
    Value *c = add_conv(m, add_pad(m, "constant", 0), "8,4,3,3", 1, true);
    TEST_SET_INTS(c, "pads", 1, 0, 0, 1);
    test_output(c);
}

static void pad_ones_conv(Model *m)
{
    test_output(add_conv(m, add_pad(m, "constant", 1), "8,4,3,3", 1, true));
}

static void pad_reflect_conv(Model *m)
{
    test_output(add_conv(m, add_pad(m, "reflect", 0), "8,4,3,3", 1, true));
}

static void pad_average(Model *m)
{
    Value *p = TEST_NODE(m, "AveragePool", "y", add_pad(m, "constant", 0));
    TEST_SET_INTS(p, "kernel_shape", 3, 3);
    test_output(p);
}

static void pad_average_twice(Model *m) /* its own padding is not counted: both cannot be told apart afterwards */
{
    Value *p = TEST_NODE(m, "AveragePool", "y", add_pad(m, "constant", 0));
    TEST_SET_INTS(p, "kernel_shape", 4, 4);
    TEST_SET_INTS(p, "pads", 1, 1, 1, 1);
    test_output(p);
}

TEST(padding_folds)
{
    static const char pass[] = "fold_pad_into_conv";
    static const PassCase cases[] = {
        {"conv", pad_conv, 13, pass, 1, "Conv"},
        {"of ones", pad_ones_conv, 13, pass, 0, "Pad Conv"},
        {"reflected", pad_reflect_conv, 13, pass, 0, "Pad Conv"},
        {"average", pad_average, 13, pass, 1, "AveragePool"},
        {"average with its own", pad_average_twice, 13, pass, 0, "Pad AveragePool"},
    };
    test_pass(cases, COUNT_OF(cases));
}

/* In the graph of an op that nobody knows no types were inferred, so only the result shows that it is a sequence. */
TEST(sequences_are_not_folded)
{
    Model *m = model_new();
    PassRecord *records = xcalloc(pass_count(), sizeof(*records));
    model_set_opset(m, "", 16);
    graph_new(m, "test", NULL);
    Value *y = graph_value(m->graph, "y");
    Node *custom = graph_add_node(m->graph, NULL, "Custom", "test.things", NULL, 0, NULL, 1, &y);
    graph_add_output(m->graph, y);
    Graph *inner = graph_new(m, "inner", custom);
    node_add_attr(custom, "body", ATTR_GRAPH)->g = inner;
    Value *one = graph_add_float(inner, "one", 1.0f);
    Node *list = graph_add_node(inner, NULL, "SequenceConstruct", "", NULL, 1, &one, 1, NULL);
    graph_add_output(inner, graph_add_node(inner, NULL, "Optional", "", NULL, 1, list->out, 1, NULL)->out[0]);
    ops_bind(m);
    CHECK_OK(passes_run(m, PASS_SIMPLIFY, NULL, NULL, NULL, NULL, records));
    CHECK_INT(inner->n_nodes, 2);
    free(records);
    model_free(m);
}
