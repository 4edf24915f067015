/* test_run.c - plans and runners: order of release, aliases, observers, inner graphs, bad inputs, what cannot run. */
#include "src/exec/exec.h"
#include "src/ops/ops.h"
#include "tests/passes/graphs.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

static Model *new_model(void)
{
    Model *model = model_new();
    model->graph = graph_new(model, "g", NULL);
    model_set_opset(model, "", 13);
    model->ir_version = 7;
    return model;
}

static void finish(Model *model)
{
    ops_bind(model);
    CHECK_OK(ops_infer(model));
}

static Tensor floats(int64_t n, float first)
{
    Tensor tensor = {0};
    CHECK_OK(tensor_alloc(&tensor, DT_FLOAT, 1, &n));
    for (int64_t i = 0; i < n; i++)
        ((float *)tensor.data)[i] = first + (float)i;
    return tensor;
}

/* x + x, reshaped twice (aliases of one buffer), read again later: the buffer must live until its last alias is read. */
TEST(runner_shares_buffers_until_the_last_reader)
{
    Model *model = new_model();
    Value *x = test_input(model, "x", "N");
    Value *sum = TEST_NODE(model, "Add", "sum", x, x);
    Value *a = TEST_NODE(model, "Unsqueeze", "a", sum, TEST_INTS(model, "axis", 0));
    Value *b = TEST_NODE(model, "Squeeze", "b", a);
    Value *twice = TEST_NODE(model, "Mul", "twice", sum, sum);
    test_output(TEST_NODE(model, "Sub", "y", twice, b));
    finish(model);
    Plan *plan = NULL;
    CHECK_OK(plan_new(model, NULL, &plan));
    Runner *runner = runner_new(plan, NULL);
    for (int64_t n = 1; n < 40; n += 13) { /* another shape on every run */
        Tensor input = floats(n, 1.0f), output;
        CHECK_OK(runner_run(runner, &input, NULL, &output));
        for (int64_t i = 0; i < n; i++) {
            double s = 2.0 * (1.0 + (double)i);
            CHECK_NEAR(tensor_get(&output, i), s * s - s, 1e-4);
        }
        tensor_release(&input);
    }
    runner_free(runner);
    plan_free(plan);
    model_free(model);
}

TEST(runner_checks_its_inputs)
{
    Model *model = new_model();
    test_output(TEST_NODE(model, "Relu", "y", test_input(model, "x", "N,3")));
    finish(model);
    Plan *plan = NULL;
    CHECK_OK(plan_new(model, NULL, &plan));
    Runner *runner = runner_new(plan, NULL);
    Tensor input = floats(3, 0.0f), output;
    CHECK_FAILS(runner_run(runner, &input, NULL, &output), CODE_DATA, "expects shape Nx3, given 3");
    input.dtype = DT_INT32;
    CHECK_FAILS(runner_run(runner, &input, NULL, &output), CODE_DATA, "expects float, given int32");
    input.dtype = DT_FLOAT;
    tensor_release(&input);
    runner_free(runner);
    plan_free(plan);
    model_free(model);
}

TEST(plan_names_an_op_that_cannot_run)
{
    Model *model = new_model();
    Value *x = test_input(model, "x", "N");
    Value *out = graph_value(model->graph, "y");
    graph_add_node(model->graph, NULL, "Frobnicate", "org.example", "f1", 1, &x, 1, &out);
    test_output(out);
    ops_bind(model);
    Plan *plan = NULL;
    CHECK_FAILS(plan_new(model, NULL, &plan), CODE_UNSUPPORTED, "'f1'");
    CHECK_FAILS(plan_new(model, NULL, &plan), CODE_UNSUPPORTED, "org.example");
    model_free(model);
}

/* What nobody reads is not run, so an op without an implementation does no harm there. */
TEST(plan_drops_what_nobody_reads)
{
    Model *model = new_model();
    Value *x = test_input(model, "x", "N"), *lost = graph_value(model->graph, "lost");
    graph_add_node(model->graph, NULL, "Frobnicate", "org.example", "f1", 1, &x, 1, &lost);
    TEST_NODE(model, "Relu", "unused", x);
    test_output(TEST_NODE(model, "Neg", "y", x));
    ops_bind(model);
    Plan *plan = NULL;
    CHECK_OK(plan_new(model, NULL, &plan));
    CHECK_INT(plan_n_steps(plan), 1);
    plan_free(plan);
    CHECK_FAILS(plan_new(model, &(PlanOptions){.keep_all = true}, &plan), CODE_UNSUPPORTED, "Frobnicate");
    model_free(model);
}

typedef struct Seen {
    int count;
    bool change;
} Seen;

static Status see(void *context, const Value *value, Tensor *tensor)
{
    Seen *seen = context;
    seen->count++;
    if (seen->change && strcmp(value->name, "a") == 0)
        tensor_set(tensor, 0, 50.0);
    return NULL;
}

static Status refuse(void *context, const Value *value, Tensor *tensor)
{
    (void)context;
    (void)tensor;
    return status_new(CODE_DATA, "no more after '%s'", value->name);
}

TEST(observer_sees_every_value_and_may_change_it)
{
    Model *model = new_model();
    Value *x = test_input(model, "x", "N");
    Value *a = TEST_NODE(model, "Neg", "a", x);
    test_output(TEST_NODE(model, "Neg", "y", a));
    finish(model);
    Plan *plan = NULL;
    CHECK_OK(plan_new(model, NULL, &plan));
    Runner *runner = runner_new(plan, NULL);
    Tensor input = floats(2, 7.0f), output;
    Seen seen = {0, true};
    CHECK_OK(runner_run(runner, &input, &(Observer){.value = see, .context = &seen}, &output));
    CHECK_INT(seen.count, 3);
    CHECK_NEAR(tensor_get(&output, 0), -50.0, 0.0);
    CHECK_NEAR(tensor_get(&output, 1), 8.0, 0.0);
    CHECK_FAILS(runner_run(runner, &input, &(Observer){.value = refuse}, &output), CODE_DATA, "no more");
    CHECK_OK(runner_run(runner, &input, NULL, &output)); /* and the runner is usable again */
    CHECK_NEAR(tensor_get(&output, 0), 7.0, 0.0);
    tensor_release(&input);
    runner_free(runner);
    plan_free(plan);
    model_free(model);
}

typedef struct Timeline {
    int n;
    double end; /* of the step before */
} Timeline;

/* The steps come in order, one behind the other, those of inner graphs not. */
static void see_step(void *context, const StepSeen *step)
{
    Timeline *seen = context;
    CHECK_INT(step->step, seen->n);
    CHECK(seen->end <= step->begin && step->begin <= step->end);
    CHECK(step->implementation != NULL && step->n_out == 1 && step->out[0].dtype == DT_FLOAT);
    seen->n++;
    seen->end = step->end;
}

/* if c then x + k else x - k, both branches reading x and k from outside. */
TEST(runner_runs_inner_graphs_with_captured_values)
{
    Model *model = new_model();
    Value *condition = test_input_of(model, "c", DT_BOOL, "");
    Value *x = test_input(model, "x", "N");
    Value *k = TEST_NODE(model, "Neg", "k", x);
    Value *y = graph_value(model->graph, "y");
    Node *node = graph_add_node(model->graph, NULL, "If", "", "if", 1, &condition, 1, &y);
    static const struct {
        const char *attribute, *op, *out;
    } branches[] = {{"then_branch", "Add", "sum"}, {"else_branch", "Sub", "difference"}};
    for (size_t i = 0; i < COUNT_OF(branches); i++) {
        Graph *inner = graph_new(model, branches[i].attribute, node);
        Value *out = graph_value(inner, branches[i].out);
        graph_add_node(inner, NULL, branches[i].op, "", branches[i].op, 2, (Value *[]){x, k}, 1, &out);
        graph_add_output(inner, out);
        node_add_attr(node, branches[i].attribute, ATTR_GRAPH)->g = inner;
    }
    test_output(y);
    finish(model);
    Plan *plan = NULL;
    CHECK_OK(plan_new(model, NULL, &plan));
    Runner *runner = runner_new(plan, NULL);
    Timeline seen = {0};
    Profiler profiler = {see_step, &seen};
    runner_set_profiler(runner, &profiler);
    for (int c = 0; c < 2; c++) {
        Tensor inputs[2] = {{0}, floats(3, 1.0f)}, output;
        CHECK_OK(tensor_alloc(&inputs[0], DT_BOOL, 0, NULL));
        tensor_set(&inputs[0], 0, c);
        CHECK_OK(runner_run(runner, inputs, NULL, &output));
        CHECK_NEAR(tensor_get(&output, 2), c ? 0.0 : 6.0, 0.0);
        CHECK_INT(seen.n, 2);
        seen.n = 0;
        tensor_release(&inputs[0]);
        tensor_release(&inputs[1]);
    }
    runner_free(runner);
    plan_free(plan);
    model_free(model);
}
