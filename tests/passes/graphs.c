/* graphs.c - see graphs.h. */
#include "tests/passes/graphs.h"
#include "tests/ops/mini.h"

#include "passes/pass.h"
#include "src/exec/exec.h"
#include "src/ops/ops.h"
#include "tests/test.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNKNOWN_SIZE 2 /* of dims with a name, when a graph is run */

/* ---- building ---------------------------------------------------------------------------------------------------- */

static int read_shape(Model *model, const char *text, Dim *ret)
{
    int rank = 0;
    while (*text != '\0' && rank < TENSOR_MAX_RANK) {
        size_t length = strcspn(text, ",");
        if (*text >= '0' && *text <= '9')
            ret[rank] = dim_known(strtoll(text, NULL, 10));
        else
            ret[rank] = (Dim){-1, *text == '?' ? NULL : arena_strndup(model->arena, text, length)};
        rank++;
        text += length + (text[length] == ',');
    }
    return rank;
}

static int known_shape(Model *model, const char *text, int64_t *ret)
{
    Dim dims[TENSOR_MAX_RANK];
    int rank = read_shape(model, text, dims);
    for (int i = 0; i < rank; i++)
        ret[i] = dims[i].size;
    return rank;
}

Value *test_input_of(Model *model, const char *name, DType dtype, const char *shape)
{
    Value *value = graph_value(model->graph, name);
    value->type.kind = TYPE_TENSOR;
    value->type.dtype = dtype;
    value->type.shape.rank = read_shape(model, shape, value->type.shape.dims);
    graph_add_input(model->graph, value);
    return value;
}

Value *test_input(Model *model, const char *name, const char *shape)
{
    return test_input_of(model, name, DT_FLOAT, shape);
}

/* A fixed sequence in [-1, 1), from a seed. */
static float next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(*state >> 40) / (double)(1 << 23) - 1.0);
}

static Value *random_constant(Model *model, const char *name, const char *shape, float scale, float shift)
{
    int64_t dims[TENSOR_MAX_RANK];
    int rank = known_shape(model, shape, dims);
    uint64_t state = hash_bytes(name, strlen(name), 1);
    Tensor *tensor;
    if (!CHECK_OK(tensor_new(model->arena, DT_FLOAT, rank, dims, &tensor)))
        abort();
    for (int64_t i = 0; i < tensor->count; i++)
        ((float *)tensor->data)[i] = scale * next_random(&state) + shift;
    return graph_add_constant(model->graph, name, tensor);
}

Value *test_floats(Model *model, const char *name, const char *shape)
{
    return random_constant(model, name, shape, 1.0f, 0.0f);
}

Value *test_positive(Model *model, const char *name, const char *shape)
{
    return random_constant(model, name, shape, 0.5f, 1.0f);
}

Value *test_fill(Model *model, const char *name, const char *shape, float value)
{
    return random_constant(model, name, shape, 0.0f, value);
}

Value *test_number(Model *model, const char *name, float value)
{
    return test_fill(model, name, "", value);
}

Value *test_ints(Model *model, const char *name, int64_t n, const int64_t *values)
{
    return graph_add_constant(model->graph, name, tensor_new_ints(model->arena, 1, &n, values));
}

Value *test_node(Model *model, const char *op_type, const char *out, int n_in, Value *const *in)
{
    Value *value = graph_value(model->graph, out);
    Node *node = graph_add_node(model->graph, NULL, op_type, "", out, n_in, in, 1, &value);
    ops_bind_node(node);
    return value;
}

void test_set_ints(Value *of, const char *name, int64_t n, const int64_t *values)
{
    node_set_ints(of->producer, name, values, n);
}

void test_output(Value *value)
{
    graph_add_output(value->graph, value);
}

static Model *build_graph(void (*build)(Model *model), int opset)
{
    Model *model = model_new();
    model->ir_version = 8;
    model_set_opset(model, "", opset);
    graph_new(model, "test", NULL);
    build(model);
    return model;
}

static Model *build_model(const PassCase *test)
{
    return build_graph(test->build, test->opset);
}

/* ---- rewriting --------------------------------------------------------------------------------------------------- */

static Status run_stage(Model *model, PassStage stage, int64_t *changes)
{
    PassRecord *records = xcalloc(pass_count(), sizeof(*records));
    Status status = passes_run(model, stage, NULL, NULL, NULL, NULL, records);
    for (size_t i = 0; i < pass_count(); i++)
        *changes += records[i].changes;
    free(records);
    return status;
}

static Status run_pass(Model *model, const Pass *pass, int64_t *changes)
{
    PassContext context = {.model = model, .scratch = arena_new(), .changes = changes,
                           .target = pass->stage == PASS_TARGET ? target_find("ort-x86") : NULL};
    Status status = ops_infer(model);
    if (status == NULL)
        status = pass->run(&context);
    arena_free(context.scratch);
    if (status == NULL)
        status = model_verify(model);
    return status != NULL ? status : ops_infer(model);
}

static Status rewrite(const PassCase *test, Model *model, int64_t *changes)
{
    *changes = 0;
    if (strcmp(test->pass, "raise") == 0)
        return run_stage(model, PASS_RAISE, changes);
    if (strcmp(test->pass, "simplify") == 0)
        return run_stage(model, PASS_SIMPLIFY, changes);
    const Pass *pass = pass_find(test->pass);
    return pass == NULL ? status_new(CODE_USAGE, "no pass '%s'", test->pass) : run_pass(model, pass, changes);
}

Model *test_rewritten(const PassCase *test)
{
    Model *model = build_model(test);
    int64_t changes;
    if (CHECK_OK(rewrite(test, model, &changes)))
        return model;
    model_free(model);
    return NULL;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* The same numbers for inputs of the same name. */
static Status make_input(const Value *value, Tensor *ret)
{
    int64_t dims[TENSOR_MAX_RANK];
    const Shape *shape = &value->type.shape;
    uint64_t state = hash_bytes(value->name, strlen(value->name), 2);
    for (int i = 0; i < shape->rank; i++)
        dims[i] = shape->dims[i].size < 0 ? UNKNOWN_SIZE : shape->dims[i].size;
    TRY(tensor_alloc(ret, value->type.dtype, shape->rank, dims));
    for (int64_t i = 0; i < ret->count; i++)
        tensor_set(ret, i, dtype_is_float(ret->dtype) ? (double)next_random(&state) : (double)(i % 2));
    return NULL;
}

static Status run_model(const Model *model, Tensor *ret_outputs)
{
    PlanOptions options = {.reference = true};
    Plan *plan;
    TRY(plan_new(model, &options, &plan));
    Runner *runner = runner_new(plan, NULL);
    Tensor *inputs = xcalloc((size_t)plan_n_inputs(plan) + 1, sizeof(*inputs));
    Tensor *outputs = xcalloc((size_t)plan_n_outputs(plan) + 1, sizeof(*outputs));
    Status status = NULL;
    for (int i = 0; i < plan_n_inputs(plan) && status == NULL; i++)
        status = make_input(plan_input(plan, i), &inputs[i]);
    if (status == NULL)
        status = runner_run(runner, inputs, NULL, outputs);
    for (int i = 0; i < plan_n_outputs(plan) && status == NULL; i++)
        status = tensor_copy(&ret_outputs[i], &outputs[i]);
    for (int i = 0; i < plan_n_inputs(plan); i++)
        tensor_release(&inputs[i]);
    free(inputs);
    free(outputs);
    runner_free(runner);
    plan_free(plan);
    return status;
}

static bool compare_tensors(const char *test, const char *name, const Tensor *a, const Tensor *b, double tolerance, double rounding)
{
    double largest = 0, difference = 0;
    if (a->dtype != b->dtype || !tensor_same_shape(a, b)) {
        test_fail(__FILE__, __LINE__, "%s: output '%s' has another type or shape", test, name);
        return false;
    }
    for (int64_t i = 0; i < a->count; i++) {
        double x = tensor_get(a, i), y = tensor_get(b, i);
        largest = fmax(largest, fabs(x));
        difference = fmax(difference, isnan(x) && isnan(y) ? 0 : fabs(x - y));
        if (isnan(x) != isnan(y))
            difference = INFINITY;
    }
    if (difference <= tolerance * largest || difference <= rounding)
        return true;
    test_fail(__FILE__, __LINE__, "%s: output '%s' differs by %g of %g", test, name, difference, largest);
    return false;
}

static double largest_of(const Tensor *outputs, int n)
{
    double largest = 0;
    for (int i = 0; i < n; i++)
        for (int64_t k = 0; k < outputs[i].count && outputs[i].dtype == DT_FLOAT; k++)
            largest = fmax(largest, fabs(tensor_get(&outputs[i], k)));
    return isfinite(largest) ? largest : 0;
}

/* cancels: the graph may subtract values that are nearly equal; what is left of them is the last bit of either, and so may
 * differ by that of the greatest output. */
static bool same_answers(const char *test, const Model *before, const Model *after, double tolerance, bool cancels)
{
    int n = before->graph->n_outputs;
    bool same = false;
    Tensor *outputs = xcalloc(2 * (size_t)n, sizeof(*outputs));
    CHECK_INT(after->graph->n_outputs, n);
    if (after->graph->n_outputs == n && CHECK_OK(run_model(before, outputs)) &&
        CHECK_OK(run_model(after, outputs + n))) {
        double rounding = cancels ? (double)FLT_EPSILON * largest_of(outputs, n) : 0;
        same = true;
        for (int i = 0; i < n; i++) {
            CHECK_TEXT(after->graph->outputs[i]->name, before->graph->outputs[i]->name);
            same = compare_tensors(test, before->graph->outputs[i]->name, &outputs[i], &outputs[n + i], tolerance, rounding) && same;
        }
    }
    for (int i = 0; i < 2 * n; i++)
        tensor_release(&outputs[i]);
    free(outputs);
    return same;
}

bool test_same_answers(const char *test, const Model *before, const Model *after, double tolerance)
{
    return same_answers(test, before, after, tolerance, false);
}

static void check_ops(const char *name, const char *expected, const Model *model)
{
    Text ops = {0};
    text_add(&ops, "");
    for (const Node *node = model->graph->first; node != NULL; node = node->next)
        text_addf(&ops, "%s%s", node == model->graph->first ? "" : " ", node->op_type);
    if (strcmp(ops.data, expected) != 0)
        test_fail(__FILE__, __LINE__, "%s: ops are \"%s\", expected \"%s\"", name, ops.data, expected);
    text_free(&ops);
}

void test_pass(const PassCase *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const PassCase *test = &cases[i];
        Model *before = build_model(test), *after = build_model(test);
        int64_t changes = 0;
        if (CHECK_OK(ops_infer(before)) && CHECK_OK(rewrite(test, after, &changes))) {
            if (test->changes < 0 ? changes == 0 : changes != test->changes)
                test_fail(__FILE__, __LINE__, "%s: %lld changes, expected %d", test->name, (long long)changes,
                          test->changes);
            check_ops(test->name, test->after, after);
            (void)test_same_answers(test->name, before, after, 1e-5);
        }
        model_free(before);
        model_free(after);
    }
}

void test_texts(const TextCase *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const TextCase *test = &cases[i];
        Model *before = mini_model(test->opset, test->text), *after = mini_model(test->opset, test->text);
        int64_t changes = 0, again = 0;
        if (CHECK_OK(ops_infer(before)) && CHECK_OK(run_stage(after, PASS_RAISE, &changes)) &&
            CHECK_OK(run_stage(after, PASS_SIMPLIFY, &changes))) {
            check_ops(test->name, test->after, after);
            (void)test_same_answers(test->name, before, after, 1e-5);
            if (CHECK_OK(run_stage(after, PASS_SIMPLIFY, &again)) && again != 0)
                test_fail(__FILE__, __LINE__, "%s: simplifying again makes %lld changes", test->name, (long long)again);
        }
        model_free(before);
        model_free(after);
    }
}

bool test_simplify(const char *name, void (*build)(Model *model), int opset, double tolerance)
{
    Model *before = build_graph(build, opset), *after = build_graph(build, opset);
    int64_t changes = 0, again = 0;
    bool same = CHECK_OK(ops_infer(before)) && CHECK_OK(run_stage(after, PASS_RAISE, &changes)) &&
                CHECK_OK(run_stage(after, PASS_SIMPLIFY, &changes)) &&
                same_answers(name, before, after, tolerance, true) && CHECK_OK(run_stage(after, PASS_SIMPLIFY, &again));
    if (same && again != 0) {
        test_fail(__FILE__, __LINE__, "%s: simplifying again makes %lld changes", name, (long long)again);
        same = false;
    }
    if (!same) {
        Text text = {0};
        model_print(before, &text, true);
        fprintf(stderr, "%s\n", text.data);
        text_free(&text);
    }
    model_free(before);
    model_free(after);
    return same;
}
