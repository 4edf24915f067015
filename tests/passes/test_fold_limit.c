/* test_fold_limit.c - constants are folded where the file does not grow by it. */
#include "tests/passes/graphs.h"
#include "tests/test.h"

#include "src/ops/ops.h"

#define TEST_SLICE(m, name, x, from, to)                                                                               \
    TEST_NODE(m, "Slice", name, x, TEST_INTS(m, name "_from", from), TEST_INTS(m, name "_to", to),                      \
              TEST_INTS(m, name "_axes", 0))

/* 4 KiB of ones out of 4 bytes: the most that FOLD_LIMIT allows; and one element more. */
static void expand_within(Model *m)
{
    Value *wide = TEST_NODE(m, "Expand", "e", test_floats(m, "c", "1"), TEST_INTS(m, "s", 1024));
    test_output(TEST_NODE(m, "Add", "y", test_input(m, "x", "N,1"), wide));
}

static void expand_beyond(Model *m)
{
    Value *wide = TEST_NODE(m, "Expand", "e", test_floats(m, "c", "1"), TEST_INTS(m, "s", 1040));
    test_output(TEST_NODE(m, "Add", "y", test_input(m, "x", "N,1"), wide));
}

/* All readers of w fold, so it goes, and the quarters take no more than it did. */
static void slices(Model *m)
{
    Value *w = test_floats(m, "w", "64,32");
    Value *joined = TEST_NODE(m, "Concat", "c", TEST_SLICE(m, "a", w, 32, 64), TEST_SLICE(m, "b", w, 0, 32));
    node_set_int(joined->producer, "axis", 0);
    test_output(TEST_NODE(m, "Mul", "y", test_input(m, "x", "N,64,32"), joined));
}

/* x reads w too, so it stays, and a half of it would come on top. */
static void slice_of_kept(Model *m)
{
    Value *w = test_floats(m, "w", "64,64");
    Value *y = TEST_NODE(m, "Mul", "y", test_input(m, "x", "N,64,64"), w);
    test_output(TEST_NODE(m, "Add", "z", y, TEST_SLICE(m, "a", w, 0, 1)));   /* 256 bytes: folds */
    test_output(TEST_NODE(m, "ReduceMax", "r", TEST_SLICE(m, "b", w, 0, 32))); /* 8 KiB: does not */
}

/* A tied weight: read as it is and transposed. Without the copy the MatMul could not run in integers. */
static void tied(Model *m)
{
    Value *w = test_floats(m, "w", "64,64");
    Value *t = TEST_NODE(m, "Transpose", "t", w);
    TEST_SET_INTS(t, "perm", 1, 0);
    Value *y = TEST_NODE(m, "MatMul", "y", test_input(m, "x", "N,64"), t);
    test_output(TEST_NODE(m, "MatMul", "z", y, w));
}

TEST(fold_constants_keeps_the_file_small)
{
    static const PassCase cases[] = {
        {"Expand within the limit", expand_within, 13, "fold_constants", 1, "Add"},
        {"Expand beyond it", expand_beyond, 13, "fold_constants", 0, "Expand Add"},
        {"slices of what goes", slices, 13, "fold_constants", 3, "Mul"},
        {"slices of what stays", slice_of_kept, 13, "fold_constants", 1, "Mul Add Slice ReduceMax"},
        {"a tied weight", tied, 13, "fold_constants", 1, "MatMul MatMul"},
    };
    test_pass(cases, COUNT_OF(cases));
}

/* Both branches take the same half of an outer w: the halves go to the graph that w is in and become one. */
static void branches(Model *m)
{
    Value *x = test_input(m, "x", "N,32,32"), *w = test_floats(m, "w", "64,32"), *out[2];
    Value *condition = TEST_NODE(m, "Greater", "c", TEST_NODE(m, "ReduceMax", "top", x), test_number(m, "zero", 0));
    TEST_NODE(m, "Squeeze", "flag", condition);
    Value *y = TEST_NODE(m, "If", "y", condition->uses[0].node->out[0]);
    for (int i = 0; i < 2; i++) {
        Graph *graph = graph_new(m, "branch", y->producer);
        node_add_attr(y->producer, i == 0 ? "then_branch" : "else_branch", ATTR_GRAPH)->g = graph;
        int64_t from = 0, to = 32, one = 1;
        Value *in[] = {w, graph_add_constant(graph, model_fresh_name(m, "from"), tensor_new_ints(m->arena, 1, &one, &from)),
                       graph_add_constant(graph, model_fresh_name(m, "to"), tensor_new_ints(m->arena, 1, &one, &to))};
        Node *slice = graph_add_node(graph, NULL, "Slice", "", NULL, 3, in, 1, NULL);
        Value *pair[] = {x, slice->out[0]};
        Node *node = graph_add_node(graph, NULL, i == 0 ? "Add" : "Mul", "", NULL, 2, pair, 1, NULL);
        ops_bind_node(slice);
        ops_bind_node(node);
        out[i] = node->out[0];
        graph_add_output(graph, out[i]);
    }
    test_output(y);
}

TEST(fold_constants_of_two_branches_are_one)
{
    PassCase test = {"branches", branches, 13, "simplify", -1, NULL};
    CHECK(test_simplify("branches", branches, 13, 1e-6));
    Model *m = test_rewritten(&test);
    if (m == NULL)
        return;
    int halves = 0;
    for (int i = 0; i < m->graph->n_initializers; i++)
        halves += m->graph->initializers[i]->constant->count == 32 * 32;
    CHECK_INT(halves, 1);
    model_free(m);
}
