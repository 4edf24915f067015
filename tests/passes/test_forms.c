/* test_forms.c - ops written out become the op, chains become short, factors go into weights. */
#include "tests/passes/graphs.h"
#include "tests/test.h"

#include "passes/pass.h"
#include "src/ops/ops.h"

#include <stdlib.h>

/* ---- fuse_slices --------------------------------------------------------------------------------------------------- */

static Value *cut(Model *m, const char *name, Value *x, int64_t start, int64_t end, int64_t axis)
{
    char *base = arena_printf(m->arena, "%s_", name);
    return TEST_NODE(m, "Slice", name, x, TEST_INTS(m, arena_printf(m->arena, "%sstart", base), start),
                     TEST_INTS(m, arena_printf(m->arena, "%send", base), end),
                     TEST_INTS(m, arena_printf(m->arena, "%saxis", base), axis));
}

static void three_pieces(Model *m) /* out of order, one from the end */
{
    Value *x = test_input(m, "x", "N,9,4");
    test_output(cut(m, "c", x, -3, INT64_MAX, 1));
    test_output(TEST_NODE(m, "Relu", "y", cut(m, "a", x, 0, 2, 1)));
    test_output(cut(m, "b", x, 2, 6, -2));
}

static void with_a_gap(Model *m)
{
    Value *x = test_input(m, "x", "N,9,4");
    test_output(cut(m, "a", x, 0, 2, 1));
    test_output(cut(m, "b", x, 3, 9, 1));
}

static void with_overlap(Model *m)
{
    Value *x = test_input(m, "x", "N,9,4");
    test_output(cut(m, "a", x, 0, 5, 1));
    test_output(cut(m, "b", x, 4, 9, 1));
}

static void unknown_size(Model *m)
{
    Value *x = test_input(m, "x", "N,4");
    test_output(cut(m, "a", x, 0, 1, 0));
    test_output(cut(m, "b", x, 1, INT64_MAX, 0));
}

static void two_axes(Model *m)
{
    Value *x = test_input(m, "x", "4,6");
    test_output(cut(m, "a", x, 0, 1, 0));
    test_output(cut(m, "b", x, 0, 3, 1));
    test_output(cut(m, "c", x, 3, 6, 1));
}

/* ---- fuse_affine_chain ---------------------------------------------------------------------------------------------- */

static void mul_div(Model *m)
{
    Value *a = TEST_NODE(m, "Mul", "a", test_input(m, "x", "N,4"), test_floats(m, "c", "4"));
    test_output(TEST_NODE(m, "Div", "y", a, test_number(m, "d", 6)));
}

static void sub_mul_add(Model *m)
{
    Value *a = TEST_NODE(m, "Sub", "a", test_number(m, "c", 2), test_input(m, "x", "N,4"));
    Value *b = TEST_NODE(m, "Mul", "b", a, test_floats(m, "d", "4"));
    test_output(TEST_NODE(m, "Add", "y", b, test_floats(m, "e", "1,4")));
}

static void negated_twice(Model *m) /* nothing is left but two additions of the same sign */
{
    Value *a = TEST_NODE(m, "Neg", "a", test_input(m, "x", "N,4"));
    Value *b = TEST_NODE(m, "Add", "b", a, test_number(m, "c", 1));
    test_output(TEST_NODE(m, "Neg", "y", b));
}

static void mul_add(Model *m) /* already the shortest */
{
    Value *a = TEST_NODE(m, "Mul", "a", test_input(m, "x", "N,4"), test_number(m, "c", 2));
    test_output(TEST_NODE(m, "Add", "y", a, test_number(m, "d", 1)));
}

static void rounding(Model *m) /* x + 2^23 - 2^23 rounds; folding it away would not */
{
    Value *a = TEST_NODE(m, "Add", "a", test_input(m, "x", "N,4"), test_number(m, "c", 8388608));
    test_output(TEST_NODE(m, "Sub", "y", a, test_number(m, "d", 8388607)));
}

static void outer_sum(Model *m) /* a column and a row would make a matrix */
{
    Value *a = TEST_NODE(m, "Add", "a", test_input(m, "x", "3,4"), test_floats(m, "c", "3,1"));
    test_output(TEST_NODE(m, "Add", "y", a, test_floats(m, "d", "1,4")));
}

static void read_twice(Model *m)
{
    Value *a = TEST_NODE(m, "Mul", "a", test_input(m, "x", "N,4"), test_number(m, "c", 2));
    test_output(TEST_NODE(m, "Mul", "y", a, test_number(m, "d", 3)));
    test_output(TEST_NODE(m, "Relu", "z", a));
}

/* ---- fold_scale_into_next ------------------------------------------------------------------------------------------- */

static void scale_conv(Model *m)
{
    Value *a = TEST_NODE(m, "Div", "a", test_input(m, "x", "N,4,5,5"), test_number(m, "c", 3));
    Value *y = TEST_NODE(m, "Conv", "y", a, test_floats(m, "w", "6,2,3,3"));
    node_set_int(y->producer, "group", 2);
    TEST_SET_INTS(y, "pads", 1, 1, 1, 1);
    test_output(y);
}

static void scale_add_conv(Model *m) /* padding knows the factor, but not the summand */
{
    Value *a = TEST_NODE(m, "Mul", "a", test_input(m, "x", "N,4,5,5"), test_number(m, "c", 0.25f));
    Value *b = TEST_NODE(m, "Add", "b", a, test_number(m, "d", -0.5f));
    Value *y = TEST_NODE(m, "Conv", "y", b, test_floats(m, "w", "6,4,3,3"), test_floats(m, "e", "6"));
    TEST_SET_INTS(y, "pads", 1, 1, 1, 1);
    test_output(y);
}

static void shift_conv(Model *m)
{
    Value *a = TEST_NODE(m, "Sub", "a", test_input(m, "x", "N,4,5,5"), test_number(m, "c", 0.5f));
    test_output(TEST_NODE(m, "Conv", "y", a, test_floats(m, "w", "6,4,3,3")));
}

static void shift_gemm(Model *m)
{
    Value *a = TEST_NODE(m, "Add", "a", test_input(m, "x", "N,4"), test_number(m, "c", 0.5f));
    Value *y = TEST_NODE(m, "Gemm", "y", a, test_floats(m, "w", "3,4"), test_floats(m, "b", "3"));
    node_set_int(y->producer, "transB", 1);
    node_set_float(y->producer, "alpha", 2);
    node_set_float(y->producer, "beta", 0.5f);
    test_output(y);
}

static void scale_two_readers(Model *m)
{
    Value *a = TEST_NODE(m, "Mul", "a", test_input(m, "x", "N,3,4"), test_number(m, "c", 0.5f));
    test_output(TEST_NODE(m, "MatMul", "y", a, test_floats(m, "w", "4,3")));
    test_output(TEST_NODE(m, "MatMul", "z", a, test_floats(m, "v", "4,2")));
}

static void scale_other_reader(Model *m)
{
    Value *a = TEST_NODE(m, "Mul", "a", test_input(m, "x", "N,3,4"), test_number(m, "c", 0.5f));
    test_output(TEST_NODE(m, "MatMul", "y", a, test_floats(m, "w", "4,3")));
    test_output(TEST_NODE(m, "Relu", "z", a));
}

static Value *gelu(Model *m, Value *x)
{
    Value *e = TEST_NODE(m, "Erf", "e", TEST_NODE(m, "Div", "d", x, test_number(m, "c", 1.4142135f)));
    Value *p = TEST_NODE(m, "Mul", "p", x, TEST_NODE(m, "Add", "s", e, test_number(m, "one", 1)));
    return TEST_NODE(m, "Mul", "g", p, test_number(m, "half", 0.5f));
}

static void gelu_product(Model *m)
{
    test_output(TEST_NODE(m, "MatMul", "y", gelu(m, test_input(m, "x", "N,3,4")), test_floats(m, "w", "4,3")));
}

TEST(chains_and_factors)
{
    static const PassCase cases[] = {
        {"three pieces", three_pieces, 13, "fuse_slices", 1, "Split Relu"},
        {"a gap", with_a_gap, 13, "fuse_slices", 0, "Slice Slice"},
        {"an overlap", with_overlap, 13, "fuse_slices", 0, "Slice Slice"},
        {"an unknown size", unknown_size, 13, "fuse_slices", 0, "Slice Slice"},
        {"two axes", two_axes, 13, "fuse_slices", 1, "Slice Split"},
        {"mul and div", mul_div, 13, "fuse_affine_chain", 1, "Mul"},
        {"sub, mul, add", sub_mul_add, 13, "fuse_affine_chain", 1, "Mul Add"},
        {"negated twice", negated_twice, 13, "fuse_affine_chain", 1, "Add"},
        {"mul and add", mul_add, 13, "fuse_affine_chain", 0, "Mul Add"},
        {"rounding", rounding, 13, "fuse_affine_chain", 0, "Add Sub"},
        {"column and row", outer_sum, 13, "fuse_affine_chain", 0, "Add Add"},
        {"read twice", read_twice, 13, "fuse_affine_chain", 0, "Mul Mul Relu"},
        {"factor before conv", scale_conv, 13, "fold_scale_into_next", 1, "Conv"},
        {"factor, summand, conv", scale_add_conv, 13, "fold_scale_into_next", 1, "Add Conv"},
        {"summand before conv", shift_conv, 13, "fold_scale_into_next", 1, "Conv"},
        {"summand before gemm", shift_gemm, 13, "fold_scale_into_next", 1, "Gemm"},
        {"two readers", scale_two_readers, 13, "fold_scale_into_next", 1, "MatMul MatMul"},
        {"another reader", scale_other_reader, 13, "fold_scale_into_next", 0, "Mul MatMul Relu"},
        {"gelu keeps its factor", gelu_product, 13, "fold_scale_into_next", 0, "Div Erf Add Mul Mul MatMul"},
    };
    test_pass(cases, COUNT_OF(cases));
}

/* ---- ops written out ------------------------------------------------------------------------------------------------ */

static void neg_conv(Model *m)
{
    Value *c = TEST_NODE(m, "Conv", "c", test_input(m, "x", "N,4,5,5"), test_floats(m, "w", "6,4,3,3"),
                         test_floats(m, "b", "6"));
    test_output(TEST_NODE(m, "Neg", "y", c));
}

static Value *relu6(Model *m, Value *x)
{
    return TEST_NODE(m, "Clip", "r", TEST_NODE(m, "Add", "s", x, test_number(m, "three", 3)), test_number(m, "zero", 0),
                     test_number(m, "six", 6));
}

static void hard_swish_div(Model *m)
{
    Value *x = test_input(m, "x", "N,4");
    test_output(TEST_NODE(m, "Div", "y", TEST_NODE(m, "Mul", "p", x, relu6(m, x)), test_number(m, "d", 6)));
}

static void hard_swish_mul(Model *m) /* with another factor behind it */
{
    Value *x = test_input(m, "x", "N,4");
    test_output(TEST_NODE(m, "Mul", "y", TEST_NODE(m, "Mul", "p", relu6(m, x), x), test_number(m, "d", 0.1f)));
}

static void hard_sigmoid(Model *m)
{
    Value *x = test_input(m, "x", "N,4");
    test_output(TEST_NODE(m, "Mul", "y", TEST_NODE(m, "Div", "p", relu6(m, x), test_number(m, "d", 6)), x));
}

static void relu6_alone(Model *m)
{
    test_output(relu6(m, test_input(m, "x", "N,4")));
}

static void layer_norm(Model *m)
{
    Value *x = test_input(m, "x", "N,3,4");
    Value *mean = TEST_NODE(m, "ReduceMean", "mean", x);
    TEST_SET_INTS(mean, "axes", -1);
    Value *d = TEST_NODE(m, "Sub", "d", x, mean);
    Value *v = TEST_NODE(m, "ReduceMean", "v", TEST_NODE(m, "Pow", "q", d, test_number(m, "two", 2)));
    TEST_SET_INTS(v, "axes", -1);
    Value *s = TEST_NODE(m, "Sqrt", "s", TEST_NODE(m, "Add", "e", v, test_number(m, "epsilon", 1e-5f)));
    Value *g = TEST_NODE(m, "Mul", "g", TEST_NODE(m, "Div", "n", d, s), test_floats(m, "gamma", "4"));
    test_output(TEST_NODE(m, "Add", "y", g, test_floats(m, "beta", "4")));
}

static void layer_norm_over_two(Model *m) /* the last two axes, d * d, no gamma */
{
    Value *x = test_input(m, "x", "N,3,4");
    Value *mean = TEST_NODE(m, "ReduceMean", "mean", x);
    TEST_SET_INTS(mean, "axes", 2, 1);
    Value *d = TEST_NODE(m, "Sub", "d", x, mean);
    Value *v = TEST_NODE(m, "ReduceMean", "v", TEST_NODE(m, "Mul", "q", d, d));
    TEST_SET_INTS(v, "axes", -2, -1);
    Value *s = TEST_NODE(m, "Sqrt", "s", TEST_NODE(m, "Add", "e", test_number(m, "epsilon", 1e-5f), v));
    test_output(TEST_NODE(m, "Div", "y", d, s));
}

static void norm_over_channels(Model *m) /* not the last axis */
{
    Value *x = test_input(m, "x", "N,3,4");
    Value *mean = TEST_NODE(m, "ReduceMean", "mean", x);
    TEST_SET_INTS(mean, "axes", 1);
    Value *d = TEST_NODE(m, "Sub", "d", x, mean);
    Value *v = TEST_NODE(m, "ReduceMean", "v", TEST_NODE(m, "Mul", "q", d, d));
    TEST_SET_INTS(v, "axes", 1);
    Value *s = TEST_NODE(m, "Sqrt", "s", TEST_NODE(m, "Add", "e", v, test_number(m, "epsilon", 1e-5f)));
    test_output(TEST_NODE(m, "Div", "y", d, s));
}

static void gelu_erf(Model *m)
{
    test_output(gelu(m, test_input(m, "x", "N,4")));
}

static void gelu_half_first(Model *m)
{
    Value *x = test_input(m, "x", "N,4");
    Value *e = TEST_NODE(m, "Erf", "e", TEST_NODE(m, "Mul", "d", test_number(m, "c", 0.70710678f), x));
    Value *g = TEST_NODE(m, "Mul", "g", test_number(m, "half", 0.5f), TEST_NODE(m, "Add", "s", test_number(m, "one", 1), e));
    test_output(TEST_NODE(m, "Mul", "y", g, x));
}

static void gelu_tanh(Model *m)
{
    Value *x = test_input(m, "x", "N,4");
    Value *c = TEST_NODE(m, "Mul", "c", TEST_NODE(m, "Pow", "p", x, test_number(m, "cube", 3)), test_number(m, "k", 0.044715f));
    Value *a = TEST_NODE(m, "Mul", "a", TEST_NODE(m, "Add", "s", x, c), test_number(m, "root", 0.7978846f));
    Value *g = TEST_NODE(m, "Add", "g", TEST_NODE(m, "Tanh", "t", a), test_number(m, "one", 1));
    test_output(TEST_NODE(m, "Mul", "y", TEST_NODE(m, "Mul", "h", x, test_number(m, "half", 0.5f)), g));
}

static void gelu_of_another(Model *m) /* the gate looks at another value */
{
    Value *x = test_input(m, "x", "N,4"), *z = test_input(m, "z", "N,4");
    Value *e = TEST_NODE(m, "Erf", "e", TEST_NODE(m, "Div", "d", z, test_number(m, "c", 1.4142135f)));
    Value *p = TEST_NODE(m, "Mul", "p", x, TEST_NODE(m, "Add", "s", e, test_number(m, "one", 1)));
    test_output(TEST_NODE(m, "Mul", "y", p, test_number(m, "half", 0.5f)));
}

static void mish(Model *m)
{
    Value *x = test_input(m, "x", "N,4");
    test_output(TEST_NODE(m, "Mul", "y", x, TEST_NODE(m, "Tanh", "t", TEST_NODE(m, "Softplus", "s", x))));
}

static void max_zero(Model *m)
{
    test_output(TEST_NODE(m, "Max", "y", test_number(m, "c", 0), test_input(m, "x", "N,4")));
}

static void max_half(Model *m)
{
    Value *x = test_input(m, "x", "N,4");
    test_output(TEST_NODE(m, "Max", "y", TEST_NODE(m, "Mul", "p", x, test_number(m, "c", 0.5f)), x));
}

static void max_twice(Model *m) /* the larger of x and 2 x is no LeakyRelu */
{
    Value *x = test_input(m, "x", "N,4");
    test_output(TEST_NODE(m, "Max", "y", TEST_NODE(m, "Mul", "p", x, test_number(m, "c", 2)), x));
}

static void bounds(Model *m)
{
    Value *a = TEST_NODE(m, "Max", "a", test_input(m, "x", "N,4"), test_number(m, "c", -0.25f));
    test_output(TEST_NODE(m, "Min", "y", a, test_number(m, "d", 0.5f)));
}

static void mean_over_space(Model *m)
{
    Value *y = TEST_NODE(m, "ReduceMean", "y", test_input(m, "x", "N,4,5,6"));
    TEST_SET_INTS(y, "axes", -1, 2);
    test_output(y);
}

static void mean_over_channels(Model *m)
{
    Value *y = TEST_NODE(m, "ReduceMean", "y", test_input(m, "x", "N,4,5,6"));
    TEST_SET_INTS(y, "axes", 1, 2);
    test_output(y);
}

TEST(ops_written_out)
{
    static const PassCase cases[] = {
        {"conv and neg", neg_conv, 13, "fold_scale_into_conv", 1, "Conv"},
        {"hard swish / 6", hard_swish_div, 13, "fuse_hard_sigmoid", 1, "HardSigmoid Mul"},
        {"hard swish at 14", hard_swish_div, 14, "simplify", -1, "HardSwish"},
        {"hard swish * 0.1", hard_swish_mul, 13, "fuse_hard_sigmoid", 1, "HardSigmoid Mul Mul"},
        {"hard sigmoid", hard_sigmoid, 13, "fuse_hard_sigmoid", 1, "HardSigmoid Mul"},
        {"relu6", relu6_alone, 13, "fuse_hard_sigmoid", 0, "Add Clip"},
        {"layer norm", layer_norm, 17, "simplify", -1, "LayerNormalization"},
        {"layer norm over two", layer_norm_over_two, 17, "simplify", -1, "LayerNormalization"},
        {"layer norm at 13", layer_norm, 13, "fuse_layer_norm", 0, "ReduceMean Sub Pow ReduceMean Add Sqrt Div Mul Add"},
        {"over channels", norm_over_channels, 17, "fuse_layer_norm", 0, "ReduceMean Sub Mul ReduceMean Add Sqrt Div"},
        {"gelu", gelu_erf, 20, "simplify", -1, "Gelu"},
        {"gelu, half first", gelu_half_first, 20, "simplify", -1, "Gelu"},
        {"gelu, tanh", gelu_tanh, 20, "simplify", -1, "Gelu"},
        {"gelu at 17", gelu_erf, 17, "fuse_gelu", 0, "Div Erf Add Mul Mul"},
        {"gelu of another", gelu_of_another, 20, "fuse_gelu", 0, "Div Erf Add Mul Mul"},
        {"max with 0", max_zero, 13, "fuse_bounds", 1, "Relu"},
        {"max with x / 2", max_half, 13, "simplify", -1, "LeakyRelu"},
        {"max with 2 x", max_twice, 13, "fuse_activations", 0, "Mul Max"},
        {"bounds", bounds, 13, "simplify", -1, "Clip"},
        {"mean over space", mean_over_space, 13, "fuse_small_forms", 1, "GlobalAveragePool"},
        {"mean over channels", mean_over_channels, 13, "fuse_small_forms", 0, "ReduceMean"},
        {"mish", mish, 18, "simplify", -1, "Mish"},
    };
    test_pass(cases, COUNT_OF(cases));
}

/* ---- raising beyond 13 ---------------------------------------------------------------------------------------------- */

static void many_forms(Model *m)
{
    Value *x = test_input(m, "x", "N,6");
    Value *a = TEST_NODE(m, "Split", "a", x);
    node_set_output(a->producer, 1, graph_value(m->graph, "b"));
    node_set_int(a->producer, "axis", 1);
    Value *mean = TEST_NODE(m, "ReduceMean", "mean", a);
    TEST_SET_INTS(mean, "axes", 1);
    test_output(TEST_NODE(m, "ReduceMax", "y", TEST_NODE(m, "Sub", "d", a->producer->out[1], mean)));
}

TEST(opset_is_raised_as_asked)
{
    Model *m = model_new();
    PassRecord *records = xcalloc(pass_count(), sizeof(*records));
    PassOptions options = {.opset = 20};
    m->ir_version = 7;
    model_set_opset(m, "", 13);
    graph_new(m, "test", NULL);
    many_forms(m);
    CHECK_OK(passes_run(m, PASS_RAISE, &options, NULL, NULL, NULL, records));
    CHECK_INT(model_opset(m, ""), 20);
    CHECK_INT(m->ir_version, 9);
    CHECK_INT(node_int(m->graph->first, "num_outputs", 0), 2);
    CHECK(node_constant(m->graph->first->next, 1) != NULL); /* axes of ReduceMean */
    CHECK_OK(ops_check(m));
    options.opset = 12; /* lower: stays */
    CHECK_OK(passes_run(m, PASS_RAISE, &options, NULL, NULL, NULL, records));
    CHECK_INT(model_opset(m, ""), 20);
    options.opset = 99;
    CHECK_FAILS(passes_run(m, PASS_RAISE, &options, NULL, NULL, NULL, records), CODE_USAGE, "99");
    free(records);
    model_free(m);
}
