/* test_norms.c - normalizations that are written out become the op. */
#include "tests/passes/graphs.h"
#include "tests/test.h"

#include "passes/pass.h"
#include "src/ops/ops.h"

static Value *one(Model *m, const char *op_type, Value *x)
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

/* The axes are an attribute before 18. */
static Value *mean(Model *m, Value *x, int64_t n, const int64_t *axes)
{
    if (model_opset(m, "") >= 18)
        return two(m, "ReduceMean", x, test_ints(m, model_fresh_name(m, "axes"), n, axes));
    Value *y = one(m, "ReduceMean", x);
    test_set_ints(y, "axes", n, axes);
    return y;
}

#define MEAN(m, x, ...)                                                                                                \
    mean(m, x, (int64_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})

/* (x - mean) / sqrt (variance + epsilon) over these axes */
static Value *normalize(Model *m, Value *x, int64_t n, const int64_t *axes)
{
    Value *d = two(m, "Sub", x, mean(m, x, n, axes));
    Value *v = mean(m, two(m, "Mul", d, d), n, axes);
    return two(m, "Div", d, one(m, "Sqrt", two(m, "Add", v, number(m, 1e-3f))));
}

static void instance(Model *m)
{
    Value *n = normalize(m, test_input(m, "x", "N,3,4,5"), 2, (int64_t[]){2, 3});
    test_output(two(m, "Add", two(m, "Mul", n, test_floats(m, "g", "3,1,1")), test_floats(m, "b", "1,3,1,1")));
}

static void instance_plain(Model *m)
{
    test_output(normalize(m, test_input(m, "x", "N,3,4,5"), 2, (int64_t[]){2, 3}));
}

static void layer_over_space(Model *m) /* a gamma for each place */
{
    Value *n = normalize(m, test_input(m, "x", "N,3,4,5"), 2, (int64_t[]){2, 3});
    test_output(two(m, "Mul", n, test_floats(m, "g", "4,5")));
}

static void last_axis(Model *m) /* a LayerNormalization to whom opset 17 is given */
{
    test_output(normalize(m, test_input(m, "x", "N,3,4"), 1, (int64_t[]){2}));
}

static void instance_1d(Model *m)
{
    Value *n = normalize(m, test_input(m, "x", "N,3,4"), 1, (int64_t[]){2});
    test_output(two(m, "Mul", n, test_floats(m, "g", "3,1")));
}

static void over_height(Model *m)
{
    test_output(normalize(m, test_input(m, "x", "N,3,4,5"), 1, (int64_t[]){2}));
}

/* x * r + (beta - mean * r), r = gamma / sqrt (variance + epsilon) */
static void by_tensorflow(Model *m, const char *shape, const char *parameters, int64_t n, const int64_t *axes)
{
    Value *x = test_input(m, "x", shape), *u = mean(m, x, n, axes);
    Value *d = two(m, "Sub", x, u), *v = mean(m, two(m, "Mul", d, d), n, axes);
    Value *r = one(m, "Reciprocal", one(m, "Sqrt", two(m, "Add", v, number(m, 1e-3f))));
    r = two(m, "Mul", r, test_floats(m, "g", parameters));
    Value *shift = two(m, "Sub", test_floats(m, "b", parameters), two(m, "Mul", u, r));
    test_output(two(m, "Add", two(m, "Mul", x, r), shift));
}

static void tensorflow_layer(Model *m)
{
    by_tensorflow(m, "N,3,4", "4", 1, (int64_t[]){-1});
}

static void tensorflow_instance(Model *m)
{
    by_tensorflow(m, "N,3,4,5", "3,1,1", 2, (int64_t[]){3, 2});
}

static void layer_leading(Model *m) /* gamma with sizes of 1 in front */
{
    Value *n = normalize(m, test_input(m, "x", "N,3,4"), 1, (int64_t[]){-1});
    test_output(two(m, "Add", two(m, "Mul", n, test_floats(m, "g", "1,1,4")), test_floats(m, "b", "1,4")));
}

static void groups(Model *m, const char *gamma)
{
    Value *x = test_input(m, "x", "N,6,4,5");
    Value *r = two(m, "Reshape", x, TEST_INTS(m, "to", 0, 2, -1));
    Value *n = TEST_NODE(m, "InstanceNormalization", "n", r, test_floats(m, "scale", "2"), test_floats(m, "shift", "2"));
    Value *y = two(m, "Reshape", n, TEST_INTS(m, "back", -1, 6, 4, 5));
    if (gamma != NULL)
        y = two(m, "Add", two(m, "Mul", y, test_floats(m, "g", gamma)), test_floats(m, "b", gamma));
    test_output(y);
}

static void groups_affine(Model *m)
{
    groups(m, "6,1,1");
}

static void groups_plain(Model *m)
{
    groups(m, NULL);
}

static void groups_along_width(Model *m) /* no factor of a channel */
{
    groups(m, "5");
}

static Value *rms(Model *m, Value *x)
{
    return one(m, "Sqrt", two(m, "Add", MEAN(m, two(m, "Pow", x, number(m, 2)), -1), number(m, 1e-3f)));
}

static void rms_llama(Model *m) /* gamma * (x * (1 / root)) */
{
    Value *x = test_input(m, "x", "N,3,4");
    test_output(two(m, "Mul", test_floats(m, "g", "4"), two(m, "Mul", x, one(m, "Reciprocal", rms(m, x)))));
}

static void rms_plain(Model *m)
{
    Value *x = test_input(m, "x", "N,3,4");
    test_output(two(m, "Add", two(m, "Div", x, rms(m, x)), test_floats(m, "b", "4")));
}

static void rms_of_another(Model *m)
{
    Value *x = test_input(m, "x", "N,3,4"), *z = test_input(m, "z", "N,3,4");
    test_output(two(m, "Div", x, rms(m, z)));
}

TEST(normalizations_written_out)
{
    static const PassCase cases[] = {
        {"instance", instance, 13, "fuse_instance_norm", 1, "InstanceNormalization"},
        {"instance, plain", instance_plain, 20, "simplify", -1, "InstanceNormalization"},
        {"instance, 1-D", instance_1d, 13, "fuse_instance_norm", 1, "InstanceNormalization"},
        {"over space", layer_over_space, 17, "simplify", -1, "LayerNormalization"},
        {"over space at 13", layer_over_space, 13, "simplify", -1, "InstanceNormalization Mul"},
        {"last axis", last_axis, 13, "fuse_instance_norm", 0, "ReduceMean Sub Mul ReduceMean Add Sqrt Div"},
        {"last axis at 17", last_axis, 17, "simplify", -1, "LayerNormalization"},
        {"over height", over_height, 20, "simplify", -1, "ReduceMean Sub Mul ReduceMean Add Sqrt Div"},
        {"layer as TensorFlow", tensorflow_layer, 17, "fuse_layer_norm", 1, "LayerNormalization"},
        {"layer as TensorFlow, 13", tensorflow_layer, 13, "fuse_layer_norm", 0,
         "ReduceMean Sub Mul ReduceMean Add Sqrt Reciprocal Mul Mul Sub Mul Add"},
        {"instance as TensorFlow", tensorflow_instance, 13, "fuse_instance_norm", 1, "InstanceNormalization"},
        {"layer, leading ones", layer_leading, 17, "fuse_layer_norm", 1, "LayerNormalization"},
        {"groups", groups_affine, 21, "fuse_instance_norm", 1, "GroupNormalization"},
        {"groups, plain", groups_plain, 21, "fuse_instance_norm", 1, "GroupNormalization"},
        {"groups, no channels", groups_along_width, 21, "fuse_instance_norm", 1, "GroupNormalization Mul Add"},
        {"groups before 21", groups_affine, 20, "fuse_instance_norm", 0, "Reshape InstanceNormalization Reshape Mul Add"},
        {"rms", rms_llama, 23, "fuse_rms_norm", 1, "RMSNormalization"},
        {"rms, plain", rms_plain, 23, "simplify", -1, "RMSNormalization Add"},
        {"rms before 23", rms_plain, 21, "fuse_rms_norm", 0, "Pow ReduceMean Add Sqrt Div Add"},
        {"rms of another", rms_of_another, 23, "fuse_rms_norm", 0, "Pow ReduceMean Add Sqrt Div"},
    };
    test_pass(cases, COUNT_OF(cases));
}
