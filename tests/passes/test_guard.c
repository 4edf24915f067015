/* test_guard.c - float ops between 8-bit values that ONNX Runtime would quantize by itself get a DequantizeLinear that it does not
 * know: quantize_guard_floats.
 */
#include "passes/pass.h"
#include "src/exec/exec.h"
#include "src/ops/ops.h"
#include "tests/passes/graphs.h"
#include "tests/passes/quantized.h"
#include "tests/test.h"

#include <stdlib.h>

static Value *pair_at(Model *m, const char *name, Value *x, double zero_point)
{
    Value *scale = graph_add_float(m->graph, "scale", 0.02f), *zero = graph_add_scalar(m->graph, "zero", DT_UINT8, zero_point);
    Value *q = TEST_NODE(m, "QuantizeLinear", model_fresh_name(m, "q"), x, scale, zero);
    return TEST_NODE(m, "DequantizeLinear", name, q, scale, zero);
}

static Value *pair(Model *m, const char *name, Value *x)
{
    return pair_at(m, name, x, 100.0);
}

static void relu_between(Model *m)
{
    Value *c = TEST_NODE(m, "Conv", "c", pair(m, "d", test_input(m, "x", "N,4,5,5")), test_floats(m, "w", "4,1,3,3"),
                         test_floats(m, "b", "4"));
    TEST_SET_INTS(c, "kernel_shape", 3, 3);
    node_set_int(c->producer, "group", 4);
    test_output(pair_at(m, "y", TEST_NODE(m, "Relu", "r", c), 0.0));
}

static void gemm_between(Model *m)
{
    test_output(pair(m, "y", TEST_NODE(m, "Gemm", "g", pair(m, "d", test_input(m, "x", "N,6")), test_floats(m, "w", "6,3"))));
}

static void matmul_and_bias(Model *m)
{
    Value *p = TEST_NODE(m, "MatMul", "p", pair(m, "d", test_input(m, "x", "N,6")), test_floats(m, "w", "6,3"));
    test_output(pair(m, "y", TEST_NODE(m, "Add", "a", p, test_floats(m, "b", "3"))));
}

static void read_by_floats(Model *m)
{
    Value *c = TEST_NODE(m, "Conv", "c", pair(m, "d", test_input(m, "x", "N,4,5,5")), test_floats(m, "w", "3,4,1,1"));
    test_output(TEST_NODE(m, "Tanh", "y", c));
}

static void read_twice(Model *m)
{
    Value *c = TEST_NODE(m, "Conv", "c", pair(m, "d", test_input(m, "x", "N,4,5,5")), test_floats(m, "w", "3,4,1,1"));
    test_output(pair(m, "y", c));
    test_output(TEST_NODE(m, "Tanh", "z", c));
}

/* Guarded: the scale of the DQ in front of the op is a vector, and the answers node by node are the same bits. */
static void check_guard(void (*build)(Model *m), const char *target, int changes)
{
    Model *before = quantized_build(build), *after = quantized_build(build);
    int64_t made = 0;
    PassContext context = {.model = after, .scratch = arena_new(), .changes = &made, .target = target_find(target)};
    CHECK_OK(pass_find("quantize_guard_floats")->run(&context));
    CHECK_INT(made, changes);
    int vectors = 0;
    for (const Node *node = after->graph->first; node != NULL; node = node->next)
        vectors += node_is(node, "DequantizeLinear") && infer_shape(node, 1).rank == 1;
    CHECK_INT(vectors, changes);
    const PlanOptions options = {.no_integer = true};
    Tensor a = quantized_run(before, &options, 0, NULL), b = quantized_run(after, &options, 0, NULL);
    CHECK(tensor_equal(&a, &b));
    tensor_release(&a);
    tensor_release(&b);
    arena_free(context.scratch);
    model_free(before);
    model_free(after);
}

/* Without the guard the executor does what the runtime does; the weight is off by half a step of its range at most. */
static void check_own_weights(void (*build)(Model *m), const char *steps)
{
    Model *model = quantized_build(build);
    char *names = quantized_steps(model);
    CHECK_TEXT(names, steps);
    free(names);
    const PlanOptions in_floats = {.no_integer = true}, plain = {.reference = true};
    Tensor a = quantized_run(model, &in_floats, 0, NULL), b = quantized_run(model, NULL, 0, NULL),
           c = quantized_run(model, &plain, 0, NULL);
    CHECK(!tensor_equal(&a, &b));
    CHECK(quantized_sqnr_db(&a, &b) > 30.0);
    CHECK(tensor_equal(&b, &c));
    tensor_release(&a);
    tensor_release(&b);
    tensor_release(&c);
    model_free(model);
}

TEST(float_weights_between_8_bits_run_as_in_the_runtime)
{
    check_own_weights(relu_between, "QuantizeLinear QLinearConv DequantizeLinear");
    check_own_weights(gemm_between, "QuantizeLinear QGemm DequantizeLinear");
}

TEST(guard_what_the_runtime_would_quantize)
{
    check_guard(relu_between, "ort-x86", 1);
    check_guard(gemm_between, "ort-arm", 1);
    check_guard(matmul_and_bias, "ort-x86", 1);
}

TEST(guard_nothing_else)
{
    check_guard(read_by_floats, "ort-x86", 0);
    check_guard(read_twice, "ort-x86", 0);
    check_guard(relu_between, "openvino", 0);
}
