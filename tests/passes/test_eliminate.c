/* test_eliminate.c - passes that only remove. */
#include "tests/passes/graphs.h"
#include "tests/test.h"

/* ---- eliminate_noop: builders of x -> op -> Relu, and of the same with an op that is none ------------------------ */

static void output_relu(Model *m, Value *value)
{
    test_output(TEST_NODE(m, "Relu", "y", value));
}

static void transpose_identity(Model *m)
{
    Value *t = TEST_NODE(m, "Transpose", "t", test_input(m, "x", "N,3,4"));
    TEST_SET_INTS(t, "perm", 0, 1, 2);
    output_relu(m, t);
}

static void transpose_real(Model *m)
{
    Value *t = TEST_NODE(m, "Transpose", "t", test_input(m, "x", "N,3,4"));
    TEST_SET_INTS(t, "perm", 0, 2, 1);
    output_relu(m, t);
}

static void cast_same(Model *m)
{
    Value *t = TEST_NODE(m, "Cast", "t", test_input(m, "x", "N,3"));
    node_set_int(t->producer, "to", DT_FLOAT);
    output_relu(m, t);
}

static void reshape_same(Model *m)
{
    output_relu(m, TEST_NODE(m, "Reshape", "t", test_input(m, "x", "N,3,4"), TEST_INTS(m, "s", -1, 3, 4)));
}

static void reshape_real(Model *m)
{
    output_relu(m, TEST_NODE(m, "Reshape", "t", test_input(m, "x", "N,3,4"), TEST_INTS(m, "s", -1, 4, 3)));
}

static void flatten_matrix(Model *m)
{
    output_relu(m, TEST_NODE(m, "Flatten", "t", test_input(m, "x", "N,12")));
}

static void slice_all(Model *m)
{
    output_relu(m, TEST_NODE(m, "Slice", "t", test_input(m, "x", "N,8"), TEST_INTS(m, "b", 0, 0),
                             TEST_INTS(m, "e", INT64_MAX, 8)));
}

static void slice_backwards(Model *m)
{
    output_relu(m, TEST_NODE(m, "Slice", "t", test_input(m, "x", "N,8"), TEST_INTS(m, "b", -1), TEST_INTS(m, "e", -100),
                             TEST_INTS(m, "a", 1), TEST_INTS(m, "d", -1)));
}

static void slice_part(Model *m)
{
    output_relu(m, TEST_NODE(m, "Slice", "t", test_input(m, "x", "N,8"), TEST_INTS(m, "b", 0), TEST_INTS(m, "e", 7),
                             TEST_INTS(m, "a", 1)));
}

static void pad_zero(Model *m)
{
    output_relu(m, TEST_NODE(m, "Pad", "t", test_input(m, "x", "N,8"), TEST_INTS(m, "p", 0, 0, 0, 0)));
}

static void concat_one(Model *m)
{
    Value *t = TEST_NODE(m, "Concat", "t", test_input(m, "x", "N,8"));
    node_set_int(t->producer, "axis", 1);
    output_relu(m, t);
}

static void add_zero(Model *m)
{
    output_relu(m, TEST_NODE(m, "Add", "t", test_input(m, "x", "?,8"), test_fill(m, "c", "", 0)));
}

static void add_zero_left(Model *m)
{
    output_relu(m, TEST_NODE(m, "Add", "t", test_fill(m, "c", "8", 0), test_input(m, "x", "N,8")));
}

static void add_zero_widens(Model *m)
{
    output_relu(m, TEST_NODE(m, "Add", "t", test_input(m, "x", "N,1"), test_fill(m, "c", "1,8", 0)));
}

static void add_zero_unknown(Model *m) /* ? may be 1, and then grows to 2 */
{
    output_relu(m, TEST_NODE(m, "Add", "t", test_input(m, "x", "N,?"), test_fill(m, "c", "1,2", 0)));
}

static void sub_from_zero(Model *m)
{
    output_relu(m, TEST_NODE(m, "Sub", "t", test_fill(m, "c", "", 0), test_input(m, "x", "N,8")));
}

static void mul_one(Model *m)
{
    output_relu(m, TEST_NODE(m, "Mul", "t", test_input(m, "x", "N,8"), test_fill(m, "c", "8", 1)));
}

static void expand_same(Model *m)
{
    output_relu(m, TEST_NODE(m, "Expand", "t", test_input(m, "x", "4,8"), TEST_INTS(m, "s", 4, 1)));
}

static void expand_real(Model *m)
{
    output_relu(m, TEST_NODE(m, "Expand", "t", test_input(m, "x", "1,8"), TEST_INTS(m, "s", 4, 1)));
}

static void tile_one(Model *m)
{
    output_relu(m, TEST_NODE(m, "Tile", "t", test_input(m, "x", "N,8"), TEST_INTS(m, "s", 1, 1)));
}

static void reshape_to_output(Model *m) /* nothing can take the name of the output: an input keeps its own */
{
    test_output(TEST_NODE(m, "Reshape", "y", test_input(m, "x", "2,3"), TEST_INTS(m, "s", 2, 3)));
}

static void reshape_behind_relu_to_output(Model *m)
{
    Value *t = TEST_NODE(m, "Relu", "t", test_input(m, "x", "2,3"));
    test_output(TEST_NODE(m, "Reshape", "y", t, TEST_INTS(m, "s", 2, 3)));
}

TEST(noop_nodes_go)
{
    static const PassCase cases[] = {
        {"transpose identity", transpose_identity, 13, "eliminate_noop", 1, "Relu"},
        {"transpose", transpose_real, 13, "eliminate_noop", 0, "Transpose Relu"},
        {"cast to its type", cast_same, 13, "eliminate_noop", 1, "Relu"},
        {"reshape same", reshape_same, 13, "eliminate_noop", 1, "Relu"},
        {"reshape", reshape_real, 13, "eliminate_noop", 0, "Reshape Relu"},
        {"flatten matrix", flatten_matrix, 13, "eliminate_noop", 1, "Relu"},
        {"slice all", slice_all, 13, "eliminate_noop", 1, "Relu"},
        {"slice backwards", slice_backwards, 13, "eliminate_noop", 0, "Slice Relu"},
        {"slice part", slice_part, 13, "eliminate_noop", 0, "Slice Relu"},
        {"pad zero", pad_zero, 13, "eliminate_noop", 1, "Relu"},
        {"concat of one", concat_one, 13, "eliminate_noop", 1, "Relu"},
        {"add 0", add_zero, 13, "eliminate_noop", 1, "Relu"},
        {"0 add", add_zero_left, 13, "eliminate_noop", 1, "Relu"},
        {"add 0 that widens", add_zero_widens, 13, "eliminate_noop", 0, "Add Relu"},
        {"add 0 to unknown", add_zero_unknown, 13, "eliminate_noop", 0, "Add Relu"},
        {"0 sub", sub_from_zero, 13, "eliminate_noop", 0, "Sub Relu"},
        {"mul 1", mul_one, 13, "eliminate_noop", 1, "Relu"},
        {"expand same", expand_same, 13, "eliminate_noop", 1, "Relu"},
        {"expand", expand_real, 13, "eliminate_noop", 0, "Expand Relu"},
        {"tile 1", tile_one, 13, "eliminate_noop", 1, "Relu"},
        {"input to output", reshape_to_output, 13, "eliminate_noop", 0, "Reshape"},
        {"output takes the name", reshape_behind_relu_to_output, 13, "eliminate_noop", 1, "Relu"},
    };
    test_pass(cases, COUNT_OF(cases));
}

/* ---- identity, dropout, constants -------------------------------------------------------------------------------- */

static void identity_chain(Model *m)
{
    Value *a = TEST_NODE(m, "Identity", "a", test_input(m, "x", "N,8"));
    Value *b = TEST_NODE(m, "Relu", "b", TEST_NODE(m, "Identity", "c", a));
    test_output(TEST_NODE(m, "Identity", "y", b));
}

static void identity_of_input(Model *m) /* y must exist, z reads x directly */
{
    Value *y = TEST_NODE(m, "Identity", "y", test_input(m, "x", "N,8"));
    test_output(y);
    test_output(TEST_NODE(m, "Relu", "z", y));
}

static void two_outputs_of_one(Model *m)
{
    Value *a = TEST_NODE(m, "Relu", "a", test_input(m, "x", "N,8"));
    test_output(TEST_NODE(m, "Identity", "y", a));
    test_output(TEST_NODE(m, "Identity", "z", a));
}

static void dropout(Model *m)
{
    Value *d = TEST_NODE(m, "Dropout", "d", test_input(m, "x", "N,8"), graph_add_float(m->graph, "r", 0.3f));
    output_relu(m, d);
}

static void constant_nodes(Model *m)
{
    static float list[3] = {1, 2, 3};
    int64_t n = 3;
    Value *a = TEST_NODE(m, "Constant", "a", NULL), *b = TEST_NODE(m, "Constant", "b", NULL);
    node_trim_inputs(a->producer, 0);
    node_trim_inputs(b->producer, 0);
    node_set_tensor(a->producer, "value", tensor_new_floats(m->arena, 1, &n, list));
    node_set_float(b->producer, "value_float", 0.5f);
    Value *sum = TEST_NODE(m, "Add", "s", test_input(m, "x", "N,3"), a);
    test_output(TEST_NODE(m, "Mul", "y", sum, b));
}

static void weights_as_inputs(Model *m)
{
    Value *w = test_floats(m, "w", "4,3,3,3");
    Value *x = test_input(m, "x", "N,3,6,6");
    graph_add_input(m->graph, w);
    test_output(TEST_NODE(m, "Conv", "y", x, w));
}

TEST(identity_dropout_constants_go)
{
    static const PassCase cases[] = {
        {"identities", identity_chain, 13, "eliminate_identity", 3, "Relu"},
        {"identity of an input", identity_of_input, 13, "eliminate_identity", 1, "Identity Relu"},
        {"two names for one", two_outputs_of_one, 13, "eliminate_identity", 1, "Relu Identity"},
        {"dropout", dropout, 13, "eliminate_dropout", 1, "Relu"},
        {"constants", constant_nodes, 13, "eliminate_constant_nodes", 2, "Add Mul"},
        {"weights as inputs", weights_as_inputs, 13, "eliminate_initializer_inputs", 1, "Conv"},
    };
    test_pass(cases, COUNT_OF(cases));

    Model *m = test_rewritten(&cases[5]);
    if (m != NULL) {
        CHECK_INT(m->graph->n_inputs, 1);
        CHECK_INT(m->graph->n_initializers, 1);
    }
    model_free(m);
}

/* ---- dead, duplicates -------------------------------------------------------------------------------------------- */

static void dead_branch(Model *m)
{
    Value *x = test_input(m, "x", "N,3,6,6");
    Value *unread = TEST_NODE(m, "Conv", "u", x, test_floats(m, "w", "4,3,3,3"));
    TEST_NODE(m, "Exp", "v", TEST_NODE(m, "Relu", "t", unread));
    Value *pool = TEST_NODE(m, "MaxPool", "p", x);
    TEST_SET_INTS(pool, "kernel_shape", 2, 2);
    node_set_output(pool->producer, 1, graph_value(m->graph, "indices"));
    output_relu(m, pool);
}

static void duplicates(Model *m)
{
    Value *x = test_input(m, "x", "N,3");
    Value *a = TEST_NODE(m, "Exp", "a", TEST_NODE(m, "Mul", "ma", x, test_fill(m, "c", "3", 0.5f)));
    Value *b = TEST_NODE(m, "Exp", "b", TEST_NODE(m, "Mul", "mb", x, test_fill(m, "d", "3", 0.5f)));
    output_relu(m, TEST_NODE(m, "Add", "s", a, b));
}

static void almost_duplicates(Model *m)
{
    Value *x = test_input(m, "x", "N,3");
    Value *a = TEST_NODE(m, "LeakyRelu", "a", x), *b = TEST_NODE(m, "LeakyRelu", "b", x);
    node_set_float(a->producer, "alpha", 0.1f);
    node_set_float(b->producer, "alpha", 0.2f);
    output_relu(m, TEST_NODE(m, "Add", "s", a, b));
}

static void duplicate_outputs(Model *m) /* the first takes the name; the third has no name left to give */
{
    Value *x = test_input(m, "x", "N,3");
    Value *a = TEST_NODE(m, "Exp", "a", x);
    test_output(TEST_NODE(m, "Exp", "y", x));
    test_output(TEST_NODE(m, "Exp", "z", x));
    test_output(TEST_NODE(m, "Relu", "r", a));
}

TEST(dead_and_duplicates_go)
{
    static const PassCase cases[] = {
        {"dead branch", dead_branch, 13, "eliminate_dead", 5, "MaxPool Relu"},
        {"duplicates", duplicates, 13, "eliminate_duplicates", 3, "Mul Exp Add Relu"},
        {"other alpha", almost_duplicates, 13, "eliminate_duplicates", 0, "LeakyRelu LeakyRelu Add Relu"},
        {"duplicate outputs", duplicate_outputs, 13, "eliminate_duplicates", 1, "Exp Exp Relu"},
    };
    test_pass(cases, COUNT_OF(cases));
}
