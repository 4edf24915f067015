/* test_activations.c - activations, bounds, Softmax and reductions that are written out become the op. */
#include "tests/passes/graphs.h"
#include "tests/test.h"

#include "passes/pass.h"
#include "src/ops/ops.h"

static Value *input(Model *m)
{
    return test_input(m, "x", "N,3,4");
}

static Value *one(Model *m, const char *op_type, Value *x) /* node named as its op, lower case not needed */
{
    return TEST_NODE(m, op_type, model_fresh_name(m, op_type), x);
}

static Value *two(Model *m, const char *op_type, Value *a, Value *b)
{
    return TEST_NODE(m, op_type, model_fresh_name(m, op_type), a, b);
}

static Value *number(Model *m, float value)
{
    return test_number(m, model_fresh_name(m, "c"), value);
}

/* ---- fuse_bounds --------------------------------------------------------------------------------------------------- */

static void max_zero(Model *m)
{
    test_output(two(m, "Max", number(m, 0), input(m)));
}

static void min_of_relu(Model *m)
{
    test_output(two(m, "Min", one(m, "Relu", input(m)), number(m, 0.5f)));
}

static void relu_of_min(Model *m)
{
    test_output(one(m, "Relu", two(m, "Min", input(m), number(m, 0.5f))));
}

static void clips(Model *m) /* the bounds do not overlap */
{
    Value *a = TEST_NODE(m, "Clip", "a", input(m), number(m, -0.5f), number(m, -0.25f));
    test_output(TEST_NODE(m, "Clip", "y", a, number(m, 0), number(m, 0.5f)));
}

static void clip_to_greatest(Model *m)
{
    test_output(TEST_NODE(m, "Clip", "y", input(m), number(m, 0), number(m, 3.4028235e38f)));
}

static void clip_to_all(Model *m)
{
    Value *a = TEST_NODE(m, "Clip", "a", input(m), number(m, -3.4028235e38f), number(m, 3.4028235e38f));
    test_output(one(m, "Exp", a));
}

static void relu_read_twice(Model *m)
{
    Value *a = one(m, "Relu", input(m));
    test_output(two(m, "Min", a, number(m, 0.5f)));
    test_output(one(m, "Exp", a));
}

static void bound_widens(Model *m) /* the constant gives the result a dimension more */
{
    test_output(two(m, "Max", input(m), test_fill(m, "c", "1,1,1,1", 0)));
}

TEST(bounds_in_a_row)
{
    static const PassCase cases[] = {
        {"max with 0", max_zero, 13, "fuse_bounds", 1, "Relu"},
        {"min of relu", min_of_relu, 13, "fuse_bounds", 1, "Clip"},
        {"relu of min", relu_of_min, 13, "fuse_bounds", 1, "Clip"},
        {"clips apart", clips, 13, "fuse_bounds", 1, "Clip"},
        {"clip to the greatest", clip_to_greatest, 13, "fuse_bounds", 1, "Relu"},
        {"clip to all floats", clip_to_all, 13, "fuse_bounds", 1, "Exp"},
        {"relu read twice", relu_read_twice, 13, "fuse_bounds", 0, "Relu Min Exp"},
        {"bound widens", bound_widens, 13, "fuse_bounds", 0, "Max"},
    };
    test_pass(cases, COUNT_OF(cases));
}

/* ---- fuse_activations ---------------------------------------------------------------------------------------------- */

static void sigmoid_div(Model *m)
{
    Value *d = two(m, "Add", one(m, "Exp", one(m, "Neg", input(m))), number(m, 1));
    test_output(two(m, "Div", number(m, 1), d));
}

static void sigmoid_reciprocal(Model *m)
{
    Value *d = two(m, "Add", number(m, 1), one(m, "Exp", two(m, "Mul", input(m), number(m, -1))));
    test_output(one(m, "Reciprocal", d));
}

static void sigmoid_of_exp(Model *m)
{
    Value *e = one(m, "Exp", input(m));
    test_output(two(m, "Div", e, two(m, "Add", number(m, 1), e)));
}

static void sigmoid_by_tanh(Model *m)
{
    Value *t = one(m, "Tanh", two(m, "Mul", number(m, 0.5f), input(m)));
    test_output(two(m, "Mul", two(m, "Add", t, number(m, 1)), number(m, 0.5f)));
}

static void sigmoid_by_tanh_sum(Model *m)
{
    Value *t = one(m, "Tanh", two(m, "Div", input(m), number(m, 2)));
    test_output(two(m, "Add", two(m, "Mul", t, number(m, 0.5f)), number(m, 0.5f)));
}

static void no_sigmoid(Model *m) /* 1 / (2 + Exp(-x)) */
{
    Value *d = two(m, "Add", one(m, "Exp", one(m, "Neg", input(m))), number(m, 2));
    test_output(one(m, "Reciprocal", d));
}

static void softplus(Model *m)
{
    test_output(one(m, "Log", two(m, "Add", one(m, "Exp", input(m)), number(m, 1))));
}

static void softplus_stable(Model *m)
{
    Value *x = input(m);
    Value *e = one(m, "Exp", one(m, "Neg", one(m, "Abs", x)));
    test_output(two(m, "Add", one(m, "Log", two(m, "Add", number(m, 1), e)), one(m, "Relu", x)));
}

static void softsign(Model *m)
{
    Value *x = input(m);
    test_output(two(m, "Div", x, two(m, "Add", one(m, "Abs", x), number(m, 1))));
}

static void abs_max(Model *m)
{
    Value *x = input(m);
    test_output(two(m, "Max", one(m, "Neg", x), x));
}

static void abs_sqrt(Model *m)
{
    Value *x = input(m);
    test_output(one(m, "Sqrt", two(m, "Mul", x, x)));
}

static void abs_relus(Model *m)
{
    Value *x = input(m);
    test_output(two(m, "Add", one(m, "Relu", x), one(m, "Relu", one(m, "Neg", x))));
}

static Value *exp_minus_one(Model *m, Value *x)
{
    return two(m, "Sub", one(m, "Exp", x), number(m, 1));
}

static void elu(Model *m)
{
    Value *x = input(m);
    Value *e = two(m, "Mul", exp_minus_one(m, two(m, "Min", x, number(m, 0))), number(m, 0.5f));
    test_output(two(m, "Add", one(m, "Relu", x), e));
}

static void celu(Model *m)
{
    Value *x = input(m);
    Value *e = two(m, "Mul", exp_minus_one(m, two(m, "Div", x, number(m, 0.5f))), number(m, 0.5f));
    test_output(two(m, "Add", two(m, "Min", e, number(m, 0)), two(m, "Max", x, number(m, 0))));
}

static void leaky_sub(Model *m)
{
    Value *x = input(m);
    Value *n = two(m, "Mul", one(m, "Relu", one(m, "Neg", x)), number(m, 0.25f));
    test_output(two(m, "Sub", one(m, "Relu", x), n));
}

static void prelu_abs(Model *m) /* as MXNet and TensorFlow models write it */
{
    Value *x = input(m);
    Value *n = two(m, "Mul", test_floats(m, "a", "3,1"), two(m, "Sub", x, one(m, "Abs", x)));
    test_output(two(m, "Add", one(m, "Relu", x), two(m, "Mul", n, number(m, 0.5f))));
}

static void prelu_relu(Model *m)
{
    Value *x = input(m);
    Value *n = two(m, "Mul", one(m, "Neg", test_floats(m, "a", "4")), one(m, "Relu", one(m, "Neg", x)));
    test_output(two(m, "Add", n, one(m, "Relu", x)));
}

static void slope_of_another(Model *m)
{
    Value *n = two(m, "Mul", two(m, "Min", test_input(m, "z", "N,3,4"), number(m, 0)), number(m, 0.25f));
    test_output(two(m, "Add", one(m, "Relu", input(m)), n));
}

static void prelu_equal(Model *m)
{
    test_output(two(m, "PRelu", input(m), test_fill(m, "a", "3,1", 0.25f)));
}

static void prelu_slopes(Model *m)
{
    test_output(two(m, "PRelu", input(m), test_floats(m, "a", "3,1")));
}

static void half_power(Model *m)
{
    test_output(two(m, "Pow", one(m, "Abs", input(m)), number(m, 0.5f)));
}

static void one_over(Model *m)
{
    test_output(two(m, "Div", number(m, 1), one(m, "Exp", input(m))));
}

TEST(activations_written_out)
{
    static const PassCase cases[] = {
        {"1 / (1 + exp(-x))", sigmoid_div, 13, "simplify", -1, "Sigmoid"},
        {"reciprocal", sigmoid_reciprocal, 13, "simplify", -1, "Sigmoid"},
        {"exp(x) / (1 + exp(x))", sigmoid_of_exp, 13, "fuse_activations", 1, "Sigmoid"},
        {"(tanh(x / 2) + 1) / 2", sigmoid_by_tanh, 13, "fuse_activations", 1, "Sigmoid"},
        {"tanh(x / 2) / 2 + 1/2", sigmoid_by_tanh_sum, 13, "fuse_activations", 1, "Sigmoid"},
        {"no sigmoid", no_sigmoid, 13, "fuse_activations", 0, "Neg Exp Add Reciprocal"},
        {"softplus", softplus, 13, "fuse_activations", 1, "Softplus"},
        {"softplus, stable", softplus_stable, 13, "simplify", -1, "Softplus"},
        {"softsign", softsign, 13, "fuse_activations", 1, "Softsign"},
        {"max(x, -x)", abs_max, 13, "fuse_activations", 1, "Abs"},
        {"sqrt(x * x)", abs_sqrt, 13, "fuse_activations", 1, "Abs"},
        {"relu(x) + relu(-x)", abs_relus, 13, "fuse_activations", 1, "Abs"},
        {"elu", elu, 13, "fuse_activations", 1, "Elu"},
        {"celu", celu, 13, "fuse_activations", 1, "Celu"},
        {"relu(x) - a relu(-x)", leaky_sub, 13, "fuse_activations", 1, "LeakyRelu"},
        {"relu(x) + a / 2 (x - |x|)", prelu_abs, 13, "fuse_activations", 1, "PRelu"},
        {"relu(x) + -a relu(-x)", prelu_relu, 13, "simplify", -1, "PRelu"},
        {"slope of another", slope_of_another, 13, "fuse_activations", 0, "Min Mul Relu Add"},
        {"prelu of one slope", prelu_equal, 13, "fuse_activations", 1, "LeakyRelu"},
        {"prelu of slopes", prelu_slopes, 13, "fuse_activations", 0, "PRelu"},
        {"power 0.5", half_power, 13, "fuse_activations", 1, "Abs Sqrt"},
        {"1 / x", one_over, 13, "fuse_activations", 1, "Exp Reciprocal"},
    };
    test_pass(cases, COUNT_OF(cases));
}

/* ---- fuse_where ---------------------------------------------------------------------------------------------------- */

static Value *where(Model *m, const char *compare, Value *x, float bound, Value *a, Value *b)
{
    return TEST_NODE(m, "Where", "where", two(m, compare, x, number(m, bound)), a, b);
}

static void where_leaky(Model *m)
{
    Value *x = input(m);
    test_output(where(m, "GreaterOrEqual", x, 0, x, two(m, "Mul", x, number(m, 0.25f))));
}

static void where_less(Model *m)
{
    Value *x = input(m);
    test_output(where(m, "Less", x, 0, two(m, "Mul", x, number(m, 0.25f)), x));
}

static void where_wrong_way(Model *m) /* the larger slope for what is below 0, and x itself above: no LeakyRelu of x */
{
    Value *x = input(m);
    test_output(where(m, "Less", x, 0, x, two(m, "Mul", x, number(m, 0.25f))));
}

static void where_prelu(Model *m)
{
    Value *x = input(m);
    test_output(where(m, "Greater", x, 0, x, two(m, "Mul", test_floats(m, "a", "3,1"), x)));
}

static void where_relu(Model *m)
{
    Value *x = input(m);
    test_output(where(m, "Greater", x, 0, x, number(m, 0)));
}

static void where_elu(Model *m)
{
    Value *x = input(m);
    test_output(where(m, "Greater", x, 0, x, two(m, "Mul", exp_minus_one(m, x), number(m, 0.75f))));
}

static void where_celu(Model *m)
{
    Value *x = input(m);
    Value *e = exp_minus_one(m, two(m, "Div", x, number(m, 2)));
    test_output(where(m, "Greater", x, 0, x, two(m, "Mul", e, number(m, 2))));
}

static void where_selu(Model *m)
{
    Value *x = input(m), *g = number(m, 1.05f);
    Value *e = two(m, "Mul", two(m, "Mul", exp_minus_one(m, x), number(m, 1.67f)), g);
    test_output(where(m, "Greater", x, 0, two(m, "Mul", x, g), e));
}

static void where_threshold(Model *m)
{
    Value *x = input(m);
    test_output(where(m, "Greater", x, 0.25f, x, number(m, 0)));
}

static void where_another(Model *m)
{
    Value *x = input(m), *z = test_input(m, "z", "N,3,4");
    test_output(where(m, "Greater", z, 0, x, two(m, "Mul", x, number(m, 0.25f))));
}

TEST(choices_by_sign)
{
    static const PassCase cases[] = {
        {"leaky", where_leaky, 13, "fuse_where", 1, "LeakyRelu"},
        {"leaky, less", where_less, 13, "fuse_where", 1, "LeakyRelu"},
        {"wrong way", where_wrong_way, 13, "fuse_where", 0, "Mul Less Where"},
        {"prelu", where_prelu, 13, "fuse_where", 1, "PRelu"},
        {"relu", where_relu, 13, "fuse_where", 1, "Relu"},
        {"elu", where_elu, 13, "fuse_where", 1, "Elu"},
        {"celu", where_celu, 13, "fuse_where", 1, "Celu"},
        {"selu", where_selu, 13, "fuse_where", 1, "Selu"},
        {"threshold", where_threshold, 13, "fuse_where", 1, "ThresholdedRelu"},
        {"another", where_another, 13, "fuse_where", 0, "Mul Greater Where"},
    };
    test_pass(cases, COUNT_OF(cases));
}

/* ---- HardSigmoid, GELU, Swish -------------------------------------------------------------------------------------- */

static Value *unit_clip(Model *m, Value *x)
{
    return TEST_NODE(m, "Clip", "clip", x, number(m, 0), number(m, 1));
}

static void hard_sigmoid_keras(Model *m)
{
    Value *a = two(m, "Add", two(m, "Mul", input(m), number(m, 0.2f)), number(m, 0.5f));
    test_output(unit_clip(m, a));
}

static void hard_sigmoid_div(Model *m) /* and HardSwish */
{
    Value *x = input(m);
    test_output(two(m, "Mul", x, unit_clip(m, two(m, "Div", two(m, "Add", x, number(m, 3)), number(m, 6)))));
}

static void hard_sigmoid_negative(Model *m)
{
    test_output(unit_clip(m, two(m, "Sub", number(m, 0.5f), input(m))));
}

static void hard_sigmoid_conv(Model *m) /* the weights take scale and shift */
{
    Value *c = two(m, "Conv", test_input(m, "x", "N,4,5,5"), test_floats(m, "w", "6,4,3,3"));
    test_output(unit_clip(m, two(m, "Add", two(m, "Mul", c, number(m, 0.2f)), number(m, 0.5f))));
}

static void gelu_fast(Model *m) /* x (1 + tanh (0.79788 x (1 + 0.044715 x x))) / 2 */
{
    Value *x = input(m);
    Value *s = two(m, "Add", two(m, "Mul", two(m, "Mul", x, number(m, 0.044715f)), x), number(m, 1));
    Value *t = one(m, "Tanh", two(m, "Mul", two(m, "Mul", x, number(m, 0.79788456f)), s));
    test_output(two(m, "Mul", two(m, "Mul", x, number(m, 0.5f)), two(m, "Add", t, number(m, 1))));
}

static void swish(Model *m)
{
    Value *x = input(m);
    test_output(two(m, "Mul", one(m, "Sigmoid", x), x));
}

static void quick_gelu(Model *m)
{
    Value *x = input(m);
    test_output(two(m, "Mul", x, one(m, "Sigmoid", two(m, "Mul", x, number(m, 1.702f)))));
}

static void gate_read_twice(Model *m)
{
    Value *x = input(m), *s = one(m, "Sigmoid", x);
    test_output(two(m, "Mul", x, s));
    test_output(one(m, "Exp", s));
}

TEST(gates_written_out)
{
    static const PassCase cases[] = {
        {"clip(0.2 x + 0.5)", hard_sigmoid_keras, 13, "fuse_hard_sigmoid", 1, "HardSigmoid"},
        {"x clip((x + 3) / 6)", hard_sigmoid_div, 14, "simplify", -1, "HardSwish"},
        {"clip(0.5 - x)", hard_sigmoid_negative, 13, "fuse_hard_sigmoid", 0, "Sub Clip"},
        {"conv and clip", hard_sigmoid_conv, 13, "simplify", -1, "Conv Clip"},
        {"gelu multiplied out", gelu_fast, 20, "fuse_gelu", 1, "Gelu"},
        {"swish", swish, 24, "fuse_swish", 1, "Swish"},
        {"swish before 24", swish, 22, "fuse_swish", 0, "Sigmoid Mul"},
        {"swish, alpha", quick_gelu, 24, "fuse_swish", 1, "Swish"},
        {"gate read twice", gate_read_twice, 24, "fuse_swish", 0, "Sigmoid Mul Exp"},
    };
    test_pass(cases, COUNT_OF(cases));
}

/* ---- Softmax and reductions ---------------------------------------------------------------------------------------- */

static Value *reduce(Model *m, const char *op_type, Value *x, int64_t axis)
{
    Value *y = one(m, op_type, x);
    TEST_SET_INTS(y, "axes", axis);
    return y;
}

static Value *sum(Model *m, Value *x, int64_t axis) /* axes are an input since 13 */
{
    return two(m, "ReduceSum", x, TEST_INTS(m, model_fresh_name(m, "axes"), axis));
}

static void softmax(Model *m)
{
    Value *e = one(m, "Exp", input(m));
    test_output(two(m, "Div", e, sum(m, e, 1)));
}

static void softmax_max(Model *m)
{
    Value *x = input(m);
    Value *e = one(m, "Exp", two(m, "Sub", x, reduce(m, "ReduceMax", x, -1)));
    test_output(two(m, "Mul", one(m, "Reciprocal", sum(m, e, 2)), e));
}

static void softmax_other_axis(Model *m) /* the greatest along another axis does not cancel: it stays */
{
    Value *x = input(m);
    Value *e = one(m, "Exp", two(m, "Sub", x, reduce(m, "ReduceMax", x, 1)));
    test_output(two(m, "Div", e, sum(m, e, 2)));
}

static void log_softmax(Model *m)
{
    Value *s = one(m, "Softmax", input(m));
    node_set_int(s->producer, "axis", 1);
    test_output(one(m, "Log", s));
}

static void log_softmax_sum(Model *m)
{
    Value *x = input(m), *z = two(m, "Sub", x, reduce(m, "ReduceMax", x, 1));
    test_output(two(m, "Sub", z, one(m, "Log", sum(m, one(m, "Exp", z), 1))));
}

static void l1(Model *m)
{
    test_output(sum(m, one(m, "Abs", input(m)), 1));
}

static void l2(Model *m)
{
    Value *x = input(m);
    test_output(one(m, "Sqrt", sum(m, two(m, "Mul", x, x), 1)));
}

static void log_sum_exp(Model *m)
{
    test_output(one(m, "Log", sum(m, one(m, "Exp", input(m)), -1)));
}

static void means(Model *m)
{
    test_output(reduce(m, "ReduceMean", reduce(m, "ReduceMean", test_input(m, "x", "N,4,5,6"), 3), 2));
}

static void squeezed(Model *m)
{
    test_output(two(m, "Squeeze", reduce(m, "ReduceMax", input(m), -1), TEST_INTS(m, "s", 2)));
}

static void unsqueezed(Model *m)
{
    Value *y = sum(m, input(m), 1);
    node_set_int(y->producer, "keepdims", 0);
    test_output(two(m, "Unsqueeze", y, TEST_INTS(m, "s", -2)));
}

static void squeezed_elsewhere(Model *m)
{
    Value *y = reduce(m, "ReduceMax", test_input(m, "x", "N,1,4"), -1);
    test_output(two(m, "Squeeze", y, TEST_INTS(m, "s", 1)));
}

TEST(softmax_and_reductions)
{
    static const PassCase cases[] = {
        {"exp / sum", softmax, 13, "fuse_softmax", 1, "Softmax"},
        {"less the greatest", softmax_max, 13, "fuse_softmax", 1, "Softmax"},
        {"greatest of another axis", softmax_other_axis, 13, "fuse_softmax", 1, "ReduceMax Sub Softmax"},
        {"log of softmax", log_softmax, 13, "fuse_softmax", 1, "LogSoftmax"},
        {"log softmax", log_softmax_sum, 13, "simplify", -1, "LogSoftmax"},
        {"sum of abs", l1, 13, "fuse_reductions", 1, "ReduceL1"},
        {"root of sum of squares", l2, 13, "fuse_reductions", 2, "ReduceL2"},
        {"log of sum of exp", log_sum_exp, 18, "fuse_reductions", 1, "ReduceLogSumExp"},
        {"means", means, 13, "simplify", -1, "GlobalAveragePool"},
        {"squeezed", squeezed, 13, "fuse_reductions", 1, "ReduceMax"},
        {"unsqueezed", unsqueezed, 13, "fuse_reductions", 1, "ReduceSum"},
        {"squeezed elsewhere", squeezed_elsewhere, 13, "fuse_reductions", 0, "ReduceMax Squeeze"},
    };
    test_pass(cases, COUNT_OF(cases));
}
