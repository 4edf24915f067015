/* test_fuse_float.c - a bias behind a product and GELU in five ops run as one step each, and give what the ops one by one give. */
#include "src/exec/exec.h"
#include "src/ops/ops.h"
#include "tests/passes/graphs.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 3, DEPTH = 8, COLUMNS = 6 };

static Value *biased(Model *m)
{
    return TEST_NODE(m, "Add", "b", TEST_NODE(m, "MatMul", "p", test_input(m, "x", "2,3,8"), test_floats(m, "w", "8,6")),
                     test_floats(m, "bias", "6"));
}

static Value *gelu_of(Model *m, Value *x, float root, float half)
{
    Value *e = TEST_NODE(m, "Erf", "e", TEST_NODE(m, "Div", "d", x, test_number(m, "root", root)));
    Value *a = TEST_NODE(m, "Add", "a", test_number(m, "one", 1), e);
    return TEST_NODE(m, "Mul", "h", TEST_NODE(m, "Mul", "m", x, a), test_number(m, "half", half));
}

static void bias_and_gelu(Model *m)
{
    test_output(gelu_of(m, biased(m), 1.41421356f, 0.5f));
}

static void bias_that_is_seen(Model *m)
{
    Value *p = TEST_NODE(m, "MatMul", "p", test_input(m, "x", "2,3,8"), test_floats(m, "w", "8,6"));
    test_output(TEST_NODE(m, "Add", "b", test_floats(m, "bias", "6"), p));
    test_output(p);
}

static void bias_of_rows(Model *m) /* one number a row, not a column */
{
    Value *p = TEST_NODE(m, "MatMul", "p", test_input(m, "x", "2,3,8"), test_floats(m, "w", "8,6"));
    test_output(TEST_NODE(m, "Add", "b", p, test_floats(m, "bias", "3,1")));
}

static void other_root(Model *m)
{
    test_output(gelu_of(m, test_input(m, "x", "2,3,8"), 1.5f, 0.5f));
}

static void other_half(Model *m)
{
    test_output(gelu_of(m, test_input(m, "x", "2,3,8"), 1.41421356f, 0.25f));
}

static Value *norm_of(Model *m, Value *x, bool by_mul, int64_t axis)
{
    Value *mean = TEST_NODE(m, "ReduceMean", "mean", x);
    TEST_SET_INTS(mean, "axes", axis);
    Value *d = TEST_NODE(m, "Sub", "d", x, mean), *two = by_mul ? d : test_number(m, "two", 2);
    Value *variance = TEST_NODE(m, "ReduceMean", "variance", TEST_NODE(m, by_mul ? "Mul" : "Pow", "square", d, two));
    TEST_SET_INTS(variance, "axes", axis);
    Value *root = TEST_NODE(m, "Sqrt", "root", TEST_NODE(m, "Add", "more", variance, test_number(m, "epsilon", 1e-3f)));
    Value *scaled = TEST_NODE(m, "Mul", "scaled", test_floats(m, "scale", "8"), TEST_NODE(m, "Div", "n", d, root));
    return TEST_NODE(m, "Add", "y", scaled, test_floats(m, "shift", "8"));
}

static void norm(Model *m)
{
    Value *x = test_input(m, "x", "2,3,8"), *y = norm_of(m, x, false, -1);
    test_output(TEST_NODE(m, "Add", "z", x, y)); /* x is read behind it too */
}

static void norm_by_mul(Model *m)
{
    test_output(norm_of(m, test_input(m, "x", "2,3,8"), true, 2));
}

static void norm_of_columns(Model *m)
{
    test_output(norm_of(m, test_input(m, "x", "2,3,8"), false, 1));
}

static void norm_that_is_seen(Model *m)
{
    Value *y = norm_of(m, test_input(m, "x", "2,3,8"), false, -1);
    test_output(y);
    test_output(y->producer->in[0]);
}

static const struct {
    void (*build)(Model *model);
    int steps;
} cases[] = {{bias_and_gelu, 2}, {bias_that_is_seen, 2}, {bias_of_rows, 2}, {other_root, 5}, {other_half, 5},
             {norm, 2}, {norm_by_mul, 1}, {norm_of_columns, 9}, {norm_that_is_seen, 9}};

static void count_step(void *context, const StepSeen *seen)
{
    (void)seen;
    ++*(int *)context;
}

/* All outputs one after the other; the steps that ran. */
static int run(const Model *model, const PlanOptions *options, const Observer *observer, const Tensor *x, Tensor ret[2])
{
    Plan *plan = NULL;
    int steps = 0;
    Tensor views[2];
    if (!CHECK_OK(plan_new(model, options, &plan)))
        return -1;
    Runner *runner = runner_new(plan, NULL);
    Profiler profiler = {count_step, &steps};
    runner_set_profiler(runner, &profiler);
    CHECK_OK(runner_run(runner, x, observer, views));
    for (int i = 0; i < plan_n_outputs(plan); i++)
        CHECK_OK(tensor_copy(&ret[i], &views[i]));
    runner_free(runner);
    plan_free(plan);
    return steps;
}

static Status look(void *context, const Value *value, Tensor *tensor)
{
    (void)context;
    (void)value;
    (void)tensor;
    return NULL;
}

TEST(bias_and_gelu_run_as_one_step_and_alike)
{
    float data[2 * ROWS * DEPTH];
    Tensor x;
    CHECK_OK(tensor_view(&x, DT_FLOAT, 3, (int64_t[]){2, ROWS, DEPTH}, data));
    for (int i = 0; i < 2 * ROWS * DEPTH; i++)
        data[i] = sinf((float)i) * 2;
    for (size_t c = 0; c < COUNT_OF(cases); c++) {
        Model *model = model_new();
        model->ir_version = 8;
        model_set_opset(model, "", 17);
        graph_new(model, "test", NULL);
        cases[c].build(model);
        ops_bind(model);
        CHECK_OK(ops_infer(model));
        Tensor fast[2] = {0}, plain[2] = {0}, seen[2] = {0};
        const Observer all = {.value = look};
        CHECK_INT(run(model, NULL, NULL, &x, fast), cases[c].steps);
        run(model, &(PlanOptions){.reference = true}, NULL, &x, plain);
        run(model, NULL, &all, &x, seen); /* one by one */
        for (int o = 0; o < model->graph->n_outputs; o++) {
            CHECK_INT(fast[o].count, plain[o].count);
            for (int64_t i = 0; i < fast[o].count; i++) {
                CHECK_NEAR(tensor_get(&fast[o], i), tensor_get(&plain[o], i), 1e-5);
                CHECK_NEAR(tensor_get(&fast[o], i), tensor_get(&seen[o], i), 1e-5);
            }
            tensor_release(&fast[o]), tensor_release(&plain[o]), tensor_release(&seen[o]);
        }
        model_free(model);
    }
}
