/* test_fuse.c - passes that make one node of several, and the manager that runs all. */
#include "tests/passes/graphs.h"
#include "tests/test.h"

#include "passes/pass.h"
#include "src/ops/ops.h"

#include <stdlib.h>

static void two_transposes(Model *m)
{
    Value *a = TEST_NODE(m, "Transpose", "a", test_input(m, "x", "N,3,4,5"));
    Value *b = TEST_NODE(m, "Transpose", "b", a);
    TEST_SET_INTS(a, "perm", 0, 2, 3, 1);
    TEST_SET_INTS(b, "perm", 1, 0, 3, 2);
    test_output(b);
}

static void transposes_cancel(Model *m)
{
    Value *a = TEST_NODE(m, "Transpose", "a", test_input(m, "x", "N,3,4,5"));
    Value *b = TEST_NODE(m, "Transpose", "b", a);
    TEST_SET_INTS(a, "perm", 0, 2, 3, 1);
    TEST_SET_INTS(b, "perm", 0, 3, 1, 2);
    test_output(TEST_NODE(m, "Relu", "y", b));
}

static void two_reshapes(Model *m)
{
    Value *a = TEST_NODE(m, "Reshape", "a", test_input(m, "x", "N,3,4"), TEST_INTS(m, "s", 0, 12));
    test_output(TEST_NODE(m, "Reshape", "y", a, TEST_INTS(m, "t", -1, 6, 2)));
}

static void reshape_copies(Model *m) /* the 0 copies a size of the one before */
{
    Value *a = TEST_NODE(m, "Reshape", "a", test_input(m, "x", "N,3,4"), TEST_INTS(m, "s", 0, 6, 2));
    test_output(TEST_NODE(m, "Reshape", "y", a, TEST_INTS(m, "t", 0, 0, 2, 1)));
}

static void unsqueeze_squeeze(Model *m)
{
    Value *a = TEST_NODE(m, "Unsqueeze", "a", test_input(m, "x", "N,3,4"), TEST_INTS(m, "s", 1));
    Value *b = TEST_NODE(m, "Squeeze", "b", a, TEST_INTS(m, "t", 1));
    test_output(TEST_NODE(m, "Relu", "y", b));
}

static void two_unknown(Model *m) /* no constant target can say which of two sizes is which */
{
    Value *a = TEST_NODE(m, "Unsqueeze", "a", test_input(m, "x", "N,T,4"), TEST_INTS(m, "s", 1));
    test_output(TEST_NODE(m, "Unsqueeze", "y", a, TEST_INTS(m, "t", 0)));
}

static void matmul_add(Model *m)
{
    Value *p = TEST_NODE(m, "MatMul", "p", test_input(m, "x", "N,5"), test_floats(m, "w", "5,6"));
    test_output(TEST_NODE(m, "Add", "y", test_floats(m, "b", "1,6"), p));
}

static void matmul_add_scalar(Model *m)
{
    Value *p = TEST_NODE(m, "MatMul", "p", test_input(m, "x", "N,5"), test_floats(m, "w", "5,6"));
    test_output(TEST_NODE(m, "Add", "y", p, test_floats(m, "b", "")));
}

static void matmul_add_batch(Model *m) /* rank 3: Gemm has none */
{
    Value *p = TEST_NODE(m, "MatMul", "p", test_input(m, "x", "N,T,5"), test_floats(m, "w", "5,6"));
    test_output(TEST_NODE(m, "Add", "y", p, test_floats(m, "b", "6")));
}

static void matmul_add_rows(Model *m)
{
    Value *p = TEST_NODE(m, "MatMul", "p", test_input(m, "x", "1,5"), test_floats(m, "w", "5,6"));
    test_output(TEST_NODE(m, "Add", "y", p, test_floats(m, "b", "3,6")));
}

TEST(nodes_fuse)
{
    static const PassCase cases[] = {
        {"transposes", two_transposes, 13, "fuse_transposes", 1, "Transpose"},
        {"transposes cancel", transposes_cancel, 13, "simplify", -1, "Relu"},
        {"reshapes", two_reshapes, 13, "fuse_reshapes", 1, "Reshape"},
        {"reshape copies", reshape_copies, 13, "fuse_reshapes", 1, "Reshape"},
        {"unsqueeze and squeeze", unsqueeze_squeeze, 13, "simplify", -1, "Relu"},
        {"two unknown sizes", two_unknown, 13, "fuse_reshapes", 0, "Unsqueeze Unsqueeze"},
        {"matmul and bias", matmul_add, 13, "fuse_matmul_add", 1, "Gemm"},
        {"matmul and scalar", matmul_add_scalar, 13, "fuse_matmul_add", 1, "Gemm"},
        {"matmul of batches", matmul_add_batch, 13, "fuse_matmul_add", 0, "MatMul Add"},
        {"matmul and rows", matmul_add_rows, 13, "fuse_matmul_add", 0, "MatMul Add"},
    };
    test_pass(cases, COUNT_OF(cases));
}

/* ---- inner graphs ------------------------------------------------------------------------------------------------ */

/* If(c) then Identity(Exp(w)) else Relu(x): w and x come from outside. */
static void branches(Model *m)
{
    Value *x = test_input(m, "x", "3"), *c = test_input_of(m, "c", DT_BOOL, "");
    Value *w = TEST_NODE(m, "Identity", "i", test_floats(m, "w", "3"));
    Value *y = TEST_NODE(m, "If", "y", c);
    static const char *const names[2] = {"then_branch", "else_branch"};
    for (int i = 0; i < 2; i++) {
        Attr *attr = node_add_attr(y->producer, names[i], ATTR_GRAPH);
        attr->g = graph_new(m, names[i], y->producer);
        Value *in = i == 0 ? w : x;
        Node *a = graph_add_node(attr->g, NULL, i == 0 ? "Exp" : "Relu", "", names[i], 1, &in, 1, NULL);
        Node *b = graph_add_node(attr->g, NULL, "Identity", "", "", 1, a->out, 1, NULL);
        ops_bind_node(a);
        ops_bind_node(b);
        graph_add_output(attr->g, b->out[0]);
    }
    ops_bind_node(y->producer);
    test_output(y);
}

static int count_inner(const Model *m, int branch)
{
    const Attr *attr = node_attr(m->graph->first, branch == 0 ? "then_branch" : "else_branch");
    return attr->g->n_nodes;
}

TEST(inner_graphs_are_simplified)
{
    static const PassCase cases[] = {{"branches", branches, 13, "simplify", -1, "If"}};
    test_pass(cases, COUNT_OF(cases));
    Model *m = test_rewritten(&cases[0]);
    if (m != NULL) {
        CHECK_INT(count_inner(m, 0), 1);
        CHECK_INT(count_inner(m, 1), 1);
    }
    model_free(m);
}

/* The same with a condition that is known: initializers, a graph output from outside and one that is read further on. */
static void constant_branch(Model *m)
{
    Value *x = test_input(m, "x", "3"), *w = test_floats(m, "w", "3");
    Tensor *yes;
    CHECK_OK(tensor_new(m->arena, DT_BOOL, 0, NULL, &yes));
    tensor_set(yes, 0, 1);
    Value *y = TEST_NODE(m, "If", "y", graph_add_constant(m->graph, "c", yes));
    node_set_output(y->producer, 1, graph_value(m->graph, "z"));
    static const char *const names[2] = {"then_branch", "else_branch"};
    for (int i = 0; i < 2; i++) {
        Attr *attr = node_add_attr(y->producer, names[i], ATTR_GRAPH);
        attr->g = graph_new(m, names[i], y->producer);
        Value *own = graph_add_constant(attr->g, model_fresh_name(m, "own"), w->constant);
        Value *in[2] = {i == 0 ? x : w, own};
        Node *a = graph_add_node(attr->g, NULL, i == 0 ? "Add" : "Sub", "", names[i], 2, in, 1, NULL);
        ops_bind_node(a);
        graph_add_output(attr->g, a->out[0]);
        graph_add_output(attr->g, own);
    }
    ops_bind_node(y->producer);
    test_output(y);
    test_output(y->producer->out[1]);
    test_output(TEST_NODE(m, "Mul", "p", y, y->producer->out[1]));
}

TEST(constant_conditions_choose_a_branch)
{
    static const PassCase cases[] = {{"constant branch", constant_branch, 13, "eliminate_if", 1, "Add Identity Mul"}};
    test_pass(cases, COUNT_OF(cases));
}

/* ---- the manager ------------------------------------------------------------------------------------------------- */

#define CHAIN 20000

/* Each round of a long chain must take it all: a pass that only sees pairs would need as many rounds as nodes. */
static void long_chain(Model *m)
{
    Value *x = test_input(m, "x", "N,3");
    for (int i = 0; i < CHAIN; i++) {
        const char *name = model_fresh_name(m, "t");
        x = i % 2 == 0 ? TEST_NODE(m, "Transpose", name, x) : TEST_NODE(m, "Identity", name, x);
        if (i % 2 == 0)
            TEST_SET_INTS(x, "perm", 1, 0);
    }
    test_output(TEST_NODE(m, "Relu", "y", x));
}

TEST(passes_are_linear_in_a_chain)
{
    double start = clock_seconds();
    static const PassCase test = {"chain", long_chain, 13, "simplify", -1, "Relu"};
    Model *m = test_rewritten(&test);
    if (m != NULL)
        CHECK_INT(m->graph->n_nodes, 1);
    model_free(m);
    CHECK(clock_seconds() - start < 30);
}

static void everything(Model *m)
{
    Value *x = test_input(m, "x", "N,4,6,6");
    Value *c = TEST_NODE(m, "Conv", "c", TEST_NODE(m, "Identity", "i", x), test_floats(m, "w", "8,4,3,3"));
    Value *n = TEST_NODE(m, "BatchNormalization", "n", c, test_floats(m, "gamma", "8"), test_floats(m, "beta", "8"),
                         test_floats(m, "mean", "8"), test_positive(m, "var", "8"));
    Value *s = TEST_NODE(m, "Mul", "s", n, test_floats(m, "scale", "1,8,1,1"));
    Value *shape = TEST_NODE(m, "Shape", "shape", s);
    Value *first = TEST_NODE(m, "Gather", "g", shape, TEST_INTS(m, "zero", 0));
    Value *target = TEST_NODE(m, "Concat", "t", first, TEST_INTS(m, "rest", -1));
    node_set_int(target->producer, "axis", 0);
    Value *f = TEST_NODE(m, "Reshape", "f", s, target);
    Value *p = TEST_NODE(m, "MatMul", "p", f, test_floats(m, "w2", "128,10"));
    test_output(TEST_NODE(m, "Add", "y", p, test_floats(m, "b2", "10")));
}

TEST(simplify_reaches_a_fixed_point)
{
    static const PassCase cases[] = {{"everything", everything, 13, "simplify", -1, "Conv Reshape Gemm"}};
    test_pass(cases, COUNT_OF(cases));
    Model *m = test_rewritten(&cases[0]);
    if (m == NULL)
        return;
    PassRecord *records = xcalloc(pass_count(), sizeof(*records));
    CHECK_OK(passes_run(m, PASS_SIMPLIFY, NULL, NULL, NULL, NULL, records));
    for (size_t i = 0; i < pass_count(); i++)
        CHECK_INT(records[i].changes, 0);
    free(records);
    model_free(m);
}

TEST(disabled_passes_do_not_run)
{
    static const char *const disabled[] = {"fold_batchnorm_into_conv", NULL};
    static const PassCase test = {"everything", everything, 13, "eliminate_identity", 1, ""};
    PassOptions options = {.disabled = disabled};
    PassRecord *records = xcalloc(pass_count(), sizeof(*records));
    Model *m = test_rewritten(&test);
    int normalizations = 0;
    if (m != NULL && CHECK_OK(passes_run(m, PASS_SIMPLIFY, &options, NULL, NULL, NULL, records))) {
        for (const Node *node = m->graph->first; node != NULL; node = node->next)
            normalizations += node_is(node, "BatchNormalization");
        CHECK_INT(normalizations, 1);
    }
    free(records);
    model_free(m);
}
