/* test_convs.c - convolutions that are written in another way; Casts in a row. */
#include "tests/passes/graphs.h"
#include "tests/test.h"

#include "passes/pass.h"
#include "src/ops/ops.h"

#include <stdlib.h>

/* x: N,4,9 -> Unsqueeze -> Conv -> Squeeze, the size of 1 on `axis`; along it the kernel is `idle` and padded by `pad`. */
static void build_1d(Model *m, int64_t axis, int64_t back, int64_t idle, int64_t pad)
{
    Value *x = TEST_NODE(m, "Unsqueeze", "u", test_input(m, "x", "N,4,9"), TEST_INTS(m, "to", axis));
    bool first = axis == 2;
    const char *shape = arena_printf(m->arena, "6,2,%lld,%lld", (long long)(first ? idle : 3), (long long)(first ? 3 : idle));
    Value *c = TEST_NODE(m, "Conv", "c", x, test_floats(m, "w", shape), test_floats(m, "b", "6"));
    node_set_int(c->producer, "group", 2);
    TEST_SET_INTS(c, "kernel_shape", first ? idle : 3, first ? 3 : idle);
    TEST_SET_INTS(c, "strides", first ? 1 : 2, first ? 2 : 1);
    TEST_SET_INTS(c, "pads", first ? pad : 2, first ? 2 : pad, first ? pad : 1, first ? 1 : pad);
    test_output(TEST_NODE(m, "Squeeze", "y", c, TEST_INTS(m, "from", back)));
}

static void conv_row(Model *m)
{
    build_1d(m, 2, -2, 1, 0);
}

static void conv_column(Model *m)
{
    build_1d(m, 3, 3, 1, 0);
}

static void conv_padded(Model *m) /* the kernel sees padding along the axis of size 1 */
{
    build_1d(m, 2, 2, 3, 1);
}

static void conv_reshaped(Model *m)
{
    Value *x = TEST_NODE(m, "Reshape", "u", test_input(m, "x", "N,4,9"), TEST_INTS(m, "to", 0, 4, 1, 9));
    Value *c = TEST_NODE(m, "Conv", "c", x, test_floats(m, "w", "6,4,1,3"));
    test_output(TEST_NODE(m, "Reshape", "y", c, TEST_INTS(m, "from", -1, 6, 7)));
}

TEST(convolutions_in_another_form)
{
    static const PassCase cases[] = {
        {"row", conv_row, 13, "fuse_conv_1d", 1, "Conv"},
        {"column", conv_column, 13, "fuse_conv_1d", 1, "Conv"},
        {"padded", conv_padded, 13, "fuse_conv_1d", 0, "Unsqueeze Conv Squeeze"},
        {"reshaped", conv_reshaped, 13, "fuse_conv_1d", 1, "Conv"},
    };
    test_pass(cases, COUNT_OF(cases));
}

static Value *cast(Model *m, Value *x, DType to)
{
    Value *y = TEST_NODE(m, "Cast", model_fresh_name(m, "cast"), x);
    node_set_int(y->producer, "to", to);
    return y;
}

static void there_and_back(Model *m)
{
    Value *x = test_input_of(m, "x", DT_INT32, "N,3");
    test_output(TEST_NODE(m, "Neg", "y", cast(m, cast(m, x, DT_INT64), DT_INT32)));
}

static void over_wider(Model *m)
{
    test_output(cast(m, cast(m, test_input_of(m, "x", DT_INT32, "N,3"), DT_INT64), DT_FLOAT));
}

static void truth_and_back(Model *m)
{
    test_output(TEST_NODE(m, "Not", "y", cast(m, cast(m, test_input_of(m, "x", DT_BOOL, "N,3"), DT_FLOAT), DT_BOOL)));
}

static void cut_off(Model *m)
{
    test_output(cast(m, cast(m, test_input(m, "x", "N,3"), DT_INT64), DT_FLOAT));
}

static void rounded(Model *m) /* an int32 need not be a float */
{
    test_output(cast(m, cast(m, test_input_of(m, "x", DT_INT32, "N,3"), DT_FLOAT), DT_INT32));
}

static void sign_lost(Model *m)
{
    test_output(cast(m, cast(m, test_input_of(m, "x", DT_INT8, "N,3"), DT_UINT16), DT_INT32));
}

TEST(casts_in_a_row)
{
    static const PassCase cases[] = {
        {"there and back", there_and_back, 13, "fuse_casts", 1, "Neg"},
        {"over a wider type", over_wider, 13, "fuse_casts", 1, "Cast"},
        {"truth and back", truth_and_back, 13, "fuse_casts", 1, "Not"},
        {"cut off", cut_off, 13, "fuse_casts", 0, "Cast Cast"},
        {"rounded", rounded, 13, "fuse_casts", 0, "Cast Cast"},
        {"sign lost", sign_lost, 13, "fuse_casts", 0, "Cast Cast"},
    };
    test_pass(cases, COUNT_OF(cases));
}
