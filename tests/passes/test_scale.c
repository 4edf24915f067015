/* test_scale.c - large graphs simplify as far as small ones do; and a way to measure the time.
 *
 *     repeated blocks: Conv - BatchNormalization - Relu - Shape-Gather-Concat-Reshape - Transpose pairs - Mul, Add ...
 *
 * SCALE_NODES=N in the environment: sizes N and ten times N (default 2,000), with the seconds each took. Time is printed
 * and not judged: a busy machine would decide the test.
 */
#include "tests/passes/graphs.h"
#include "tests/test.h"

#include "passes/pass.h"
#include "src/ops/ops.h"

#include <stdio.h>
#include <stdlib.h>

#define NODES_A_BLOCK 20

static Value *add(Model *m, const char *op_type, int n_in, Value *const *in)
{
    return test_node(m, op_type, model_fresh_name(m, "v"), n_in, in);
}

#define ADD(m, op_type, ...)                                                                                           \
    add(m, op_type, (int)(sizeof((Value *[]){__VA_ARGS__}) / sizeof(Value *)), (Value *[]){__VA_ARGS__})

static Value *block(Model *m, Value *x, Value *w, Value *statistics, Value *zero, Value *rest, Value *scale)
{
    Value *y = ADD(m, "Conv", x, w);
    y = ADD(m, "BatchNormalization", y, statistics, statistics, statistics, statistics);
    y = ADD(m, "Relu", y);
    Value *size = ADD(m, "Gather", ADD(m, "Shape", y), zero);
    Value *target = ADD(m, "Concat", size, rest);
    node_set_int(target->producer, "axis", 0);
    Value *flat = ADD(m, "Reshape", ADD(m, "Identity", y), target);
    Value *back = ADD(m, "Reshape", flat, ADD(m, "Shape", y));
    for (int i = 0; i < 2; i++) {
        back = ADD(m, "Transpose", back);
        TEST_SET_INTS(back, "perm", 0, i == 0 ? 2 : 3, i == 0 ? 3 : 1, i == 0 ? 1 : 2);
        back = ADD(m, "Sigmoid", back);
    }
    back = ADD(m, "Mul", back, scale);
    back = ADD(m, "Add", back, scale);
    back = ADD(m, "Div", back, scale);
    ADD(m, "Exp", back); /* dead */
    Value *twin = ADD(m, "Add", ADD(m, "Tanh", back), ADD(m, "Tanh", back));
    return ADD(m, "Add", twin, y);
}

static Model *build(int nodes)
{
    Model *m = model_new();
    m->ir_version = 8;
    model_set_opset(m, "", 13);
    graph_new(m, "test", NULL);
    Value *x = test_input(m, "x", "N,4,5,6"), *w = test_floats(m, "w", "4,4,1,1");
    Value *statistics = test_positive(m, "statistics", "4"), *scale = test_positive(m, "scale", "");
    Value *zero = TEST_INTS(m, "zero", 0), *rest = TEST_INTS(m, "rest", -1);
    for (int i = 0; i < nodes / NODES_A_BLOCK; i++)
        x = block(m, x, w, statistics, zero, rest, scale);
    test_output(x);
    return m;
}

/* Nodes left of a graph of about `nodes`. */
static int simplified(int nodes)
{
    Model *m = build(nodes);
    PassRecord *records = xcalloc(pass_count(), sizeof(*records));
    double start = clock_seconds();
    CHECK_OK(passes_run(m, PASS_RAISE, NULL, NULL, NULL, NULL, records));
    CHECK_OK(passes_run(m, PASS_SIMPLIFY, NULL, NULL, NULL, NULL, records));
    double seconds = clock_seconds() - start;
    if (getenv("SCALE_NODES") != NULL)
        fprintf(stderr, "%d nodes: %.3f s, %d left\n", nodes, seconds, model_count_nodes(m));
    int left = model_count_nodes(m);
    free(records);
    model_free(m);
    return left;
}

/* A block is the same wherever it stands, so ten times the blocks leave ten times the nodes (the ends aside). */
TEST(simplify_goes_as_far_in_large_graphs)
{
    const char *text = getenv("SCALE_NODES");
    int nodes = text == NULL ? 2000 : (int)strtol(text, NULL, 10);
    int once = simplified(nodes), ten = simplified(10 * nodes);
    CHECK(once < nodes * 3 / 4);
    CHECK(abs(ten - 10 * once) <= 10 * NODES_A_BLOCK);
}
