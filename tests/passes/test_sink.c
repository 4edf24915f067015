/* test_sink.c - what moves past its neighbours until it meets another: Transposes, Pads; and shape arithmetic made
 * short. */
#include "tests/passes/graphs.h"
#include "tests/test.h"

#include "passes/pass.h"
#include "src/ops/ops.h"

static Value *transpose(Model *m, const char *name, Value *x, int n, const int64_t *perm)
{
    Value *y = TEST_NODE(m, "Transpose", name, x);
    test_set_ints(y, "perm", n, perm);
    return y;
}

#define NHWC ((int64_t[]){0, 2, 3, 1})
#define NCHW ((int64_t[]){0, 3, 1, 2})

static void nhwc_block(Model *m) /* Transpose - bias - Relu - Transpose, as NHWC exporters write it */
{
    Value *t = transpose(m, "t", test_input(m, "x", "N,4,5,6"), 4, NHWC);
    Value *a = TEST_NODE(m, "Relu", "a", TEST_NODE(m, "Add", "s", t, test_floats(m, "b", "4")));
    test_output(TEST_NODE(m, "Abs", "y", transpose(m, "u", a, 4, NCHW)));
}

static void residual(Model *m)
{
    Value *a = transpose(m, "a", test_input(m, "x", "N,4,5,6"), 4, NHWC);
    Value *b = transpose(m, "b", test_input(m, "z", "N,4,5,6"), 4, NHWC);
    test_output(transpose(m, "y", TEST_NODE(m, "Sub", "s", a, b), 4, NCHW));
}

static void concat(Model *m)
{
    Value *a = transpose(m, "a", test_input(m, "x", "N,4,5,6"), 4, NHWC);
    Value *b = transpose(m, "b", test_input(m, "z", "N,3,5,6"), 4, NHWC);
    Value *y = TEST_NODE(m, "Concat", "y", a, b);
    node_set_int(y->producer, "axis", -1);
    test_output(y);
}

static void unlike(Model *m) /* different permutations */
{
    Value *a = transpose(m, "a", test_input(m, "x", "N,4,5,5"), 4, NHWC);
    Value *b = transpose(m, "b", test_input(m, "z", "N,5,4,5"), 4, ((int64_t[]){0, 1, 3, 2}));
    test_output(TEST_NODE(m, "Add", "y", a, b));
}

static void matrix_constant(Model *m) /* its elements would have to move */
{
    Value *a = transpose(m, "a", test_input(m, "x", "N,4,5"), 3, ((int64_t[]){0, 2, 1}));
    test_output(TEST_NODE(m, "Add", "y", a, test_floats(m, "c", "5,4")));
}

static void two_readers(Model *m)
{
    Value *a = transpose(m, "a", test_input(m, "x", "N,4,5,6"), 4, NHWC);
    test_output(TEST_NODE(m, "Relu", "y", a));
    test_output(TEST_NODE(m, "Exp", "z", a));
}

static void moves_a_one(Model *m)
{
    Value *a = transpose(m, "a", test_input(m, "x", "N,6,1,8"), 4, NHWC); /* Nx1x8x6 */
    test_output(TEST_NODE(m, "Reshape", "y", a, TEST_INTS(m, "s", 0, 8, 6, 1)));
}

static void moves_more(Model *m) /* joins two sizes */
{
    Value *a = transpose(m, "a", test_input(m, "x", "2,6,2,8"), 4, NHWC);
    test_output(TEST_NODE(m, "Reshape", "y", a, TEST_INTS(m, "s", 2, 16, 6, 1)));
}

static void one_then_transpose(Model *m)
{
    Value *a = TEST_NODE(m, "Reshape", "a", test_input(m, "x", "N,1,6,8"), TEST_INTS(m, "s", 0, 6, 8, 1));
    test_output(transpose(m, "y", a, 4, ((int64_t[]){0, 2, 3, 1})));
}

static void pad_between(Model *m)
{
    Value *a = TEST_NODE(m, "Reshape", "a", test_input(m, "x", "N,1,1,8"), TEST_INTS(m, "s", 0, 1, 8));
    Value *p = TEST_NODE(m, "Pad", "p", a, TEST_INTS(m, "pads", 0, 0, 2, 0, 0, 1));
    node_set_string(p->producer, "mode", "reflect");
    test_output(TEST_NODE(m, "Reshape", "y", p, TEST_INTS(m, "t", 0, 1, 1, 11)));
}

static void pad_makes_it_wide(Model *m)
{
    Value *a = TEST_NODE(m, "Reshape", "a", test_input(m, "x", "2,1,1,8"), TEST_INTS(m, "s", 2, 1, 8));
    Value *p = TEST_NODE(m, "Pad", "p", a, TEST_INTS(m, "pads", 0, 1, 0, 0, 1, 0));
    test_output(TEST_NODE(m, "Reshape", "y", p, TEST_INTS(m, "t", 2, 1, 3, 8)));
}

TEST(what_sinks)
{
    static const PassCase cases[] = {
        {"nhwc block", nhwc_block, 13, "simplify", -1, "Add Relu Abs"},
        {"residual", residual, 13, "simplify", -1, "Sub"},
        {"concat", concat, 13, "sink_transposes", 1, "Concat Transpose"},
        {"unlike", unlike, 13, "sink_transposes", 0, "Transpose Transpose Add"},
        {"matrix", matrix_constant, 13, "sink_transposes", 0, "Transpose Add"},
        {"two readers", two_readers, 13, "sink_transposes", 0, "Transpose Relu Exp"},
        {"moves a one", moves_a_one, 13, "sink_transposes", 1, "Transpose"},
        {"moves more", moves_more, 13, "sink_transposes", 0, "Transpose Reshape"},
        {"a one first", one_then_transpose, 13, "sink_transposes", 1, "Transpose"},
        {"pad between", pad_between, 13, "simplify", -1, "Pad"},
        {"pad makes it wide", pad_makes_it_wide, 13, "simplify", -1, "Pad"},
    };
    test_pass(cases, COUNT_OF(cases));
}

/* ---- fold_shape_arithmetic ------------------------------------------------------------------------------------------- */

static Value *size_of(Model *m, const char *name, Value *shape, int64_t axis)
{
    char *base = arena_printf(m->arena, "%s_", name);
    Value *index = graph_add_constant(m->graph, base, tensor_new_ints(m->arena, 0, NULL, &axis));
    Value *size = TEST_NODE(m, "Gather", arena_printf(m->arena, "%sg", base), shape, index);
    return TEST_NODE(m, "Unsqueeze", name, size, TEST_INTS(m, arena_printf(m->arena, "%sa", base), 0));
}

static Value *join(Model *m, const char *name, int n, Value *const *parts)
{
    Value *y = test_node(m, "Concat", name, n, parts);
    node_set_int(y->producer, "axis", 0);
    return y;
}

static void resize_to_another(Model *m) /* channels of x, sizes of z, as exporters write interpolate() */
{
    Value *x = test_input(m, "x", "N,3,H,W"), *z = test_input(m, "z", "N,5,A,B");
    Value *shape = TEST_NODE(m, "Shape", "shape", TEST_NODE(m, "Relu", "r", z)), *own = TEST_NODE(m, "Shape", "own", x);
    Value *hw[2] = {size_of(m, "h", shape, 2), size_of(m, "w", shape, 3)};
    Value *nc = TEST_NODE(m, "Slice", "nc", own, TEST_INTS(m, "from", 0), TEST_INTS(m, "to", 2), TEST_INTS(m, "ax", 0));
    Value *sizes = join(m, "sizes", 2, (Value *[]){nc, join(m, "hw", 2, hw)});
    test_output(TEST_NODE(m, "Resize", "y", x, NULL, NULL, sizes));
}

static void expand_with_minus_one(Model *m) /* Where (Equal (target, -1), 1, target) */
{
    Value *x = test_input(m, "x", "N,T,4");
    Value *size = size_of(m, "n", TEST_NODE(m, "Shape", "shape", x), 0);
    Value *target = join(m, "target", 3, (Value *[]){size, TEST_INTS(m, "a", -1), TEST_INTS(m, "b", -1)});
    Value *equal = TEST_NODE(m, "Equal", "equal", target, TEST_INTS(m, "minus", -1, -1, -1));
    Value *shape = TEST_NODE(m, "Where", "where", equal, TEST_INTS(m, "ones", 1, 1, 1), target);
    test_output(TEST_NODE(m, "Expand", "y", test_floats(m, "token", "1,1,4"), shape));
}

static void whole_shape(Model *m) /* every size of z again: the Shape itself, and one number that z has there */
{
    Value *z = test_input(m, "z", "N,5,T");
    Value *shape = TEST_NODE(m, "Shape", "shape", z);
    Value *parts[3] = {size_of(m, "a", shape, 0), TEST_INTS(m, "five", 5), size_of(m, "c", shape, 2)};
    test_output(TEST_NODE(m, "Expand", "y", test_floats(m, "token", "1,5,1"), join(m, "target", 3, parts)));
}

static void sizes_of_two(Model *m) /* unrelated: nothing shorter */
{
    Value *x = test_input(m, "x", "N,3"), *z = test_input(m, "z", "T,5");
    Value *parts[2] = {size_of(m, "a", TEST_NODE(m, "Shape", "p", x), 0),
                       size_of(m, "b", TEST_NODE(m, "Shape", "q", z), 0)};
    test_output(TEST_NODE(m, "Expand", "y", test_floats(m, "token", "1,1"), join(m, "target", 2, parts)));
}

TEST(shape_arithmetic_is_short)
{
    static const PassCase cases[] = {
        {"resize", resize_to_another, 13, "simplify", -1, "Shape Concat Gather Resize"},
        {"expand", expand_with_minus_one, 13, "simplify", -1, "Shape Concat Gather Expand"},
        {"whole", whole_shape, 13, "simplify", -1, "Shape Expand"},
        {"two values", sizes_of_two, 13, "fold_shape_arithmetic", 0,
         "Shape Gather Unsqueeze Shape Gather Unsqueeze Concat Expand"},
    };
    test_pass(cases, COUNT_OF(cases));
}
