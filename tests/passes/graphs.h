/* graphs.h - small graphs for the tests of passes: built in a few lines, rewritten, and run before and after.
 *
 *     static void build(Model *m)
 *     {
 *         Value *x = test_input(m, "x", "N,4,6,6");
 *         test_output(TEST_NODE(m, "Conv", "y", x, test_floats(m, "w", "8,4,3,3")));
 *     }
 *     {"conv alone", build, 13, "eliminate_noop", 0, "Conv"},
 */
#ifndef QUANTIZE_TESTS_PASSES_GRAPHS_H
#define QUANTIZE_TESTS_PASSES_GRAPHS_H

#include "src/ir/ir.h"

/* Shapes are written "N,3,8,8": a letter is an unknown size of that name (2 when the graph is run), "" is a scalar, "?"
 * an unknown size without a name. */
Value *test_input(Model *model, const char *name, const char *shape);
Value *test_input_of(Model *model, const char *name, DType dtype, const char *shape);
Value *test_floats(Model *model, const char *name, const char *shape); /* random in [-1, 1), from the name */
Value *test_positive(Model *model, const char *name, const char *shape); /* random in [0.5, 1.5) */
Value *test_fill(Model *model, const char *name, const char *shape, float value);
Value *test_number(Model *model, const char *name, float value); /* a scalar */
Value *test_ints(Model *model, const char *name, int64_t n, const int64_t *values); /* (n,) */
#define TEST_INTS(model, name, ...)                                                                                    \
    test_ints(model, name, (int64_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})

/* A node at the end of the main graph with one output. An omitted input is NULL. */
Value *test_node(Model *model, const char *op_type, const char *out, int n_in, Value *const *in);
#define TEST_NODE(model, op_type, out, ...)                                                                            \
    test_node(model, op_type, out, (int)(sizeof((Value *[]){__VA_ARGS__}) / sizeof(Value *)), (Value *[]){__VA_ARGS__})
void test_set_ints(Value *of, const char *name, int64_t n, const int64_t *values); /* on the producer of a value */
#define TEST_SET_INTS(of, name, ...)                                                                                   \
    test_set_ints(of, name, (int64_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})
void test_output(Value *value);

typedef struct PassCase {
    const char *name;
    void (*build)(Model *model);
    int opset;
    const char *pass;   /* "simplify" and "raise": the whole stage */
    int changes;        /* of the pass; -1: any number but none */
    const char *after;  /* ops of the main graph in order: "Conv Relu" */
} PassCase;

/* Builds the graph twice, runs the pass on one, checks structure, and that both give the same numbers. */
void test_pass(const PassCase *cases, size_t n);
/* Builds the graph twice, raises and simplifies one, and checks that both give the same numbers within `tolerance` of the
 * greatest, and that simplifying again changes nothing. True when all is well. */
bool test_simplify(const char *name, void (*build)(Model *model), int opset, double tolerance);
/* A graph in the syntax of tests/ops/mini.h, raised and simplified: it has these ops then, gives the same numbers, and
 * simplifying again changes nothing. */
typedef struct TextCase {
    int opset;
    const char *name, *text;
    const char *after;  /* ops of the main graph in order */
} TextCase;
void test_texts(const TextCase *cases, size_t n);

/* Both models give the same within `tolerance` of the greatest, under the same names of outputs. */
bool test_same_answers(const char *name, const Model *before, const Model *after, double tolerance);
/* As the pass leaves it, for checks of other kinds; model_free() it. NULL when the pass fails. */
Model *test_rewritten(const PassCase *test);

#endif
