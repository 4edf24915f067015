/* test_open_products.c - products of integers without a Q behind them: which are joined, as ONNX Runtime 1.30 joins them, and that
 * oneDNN, the plain loops and the nodes one by one agree.
 *
 *     x ─ Q ─ DQ ─ MatMul ─ (Add ...) ─ y      the steps that are left
 *     w_q ─── DQ ─┘
 */
#include "src/ops/ops.h"
#include "tests/passes/graphs.h"
#include "tests/passes/quantized.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

/* Codes over the whole type. */
static Value *codes(Model *m, const char *name, DType dtype, int rank, const int64_t *dims)
{
    Tensor *tensor;
    if (!CHECK_OK(tensor_new(m->arena, dtype, rank, dims, &tensor)))
        abort();
    for (int64_t i = 0; i < tensor->count; i++)
        ((uint8_t *)tensor->data)[i] = (uint8_t)(i * 89 + i / 7 * 31);
    return graph_add_constant(m->graph, name, tensor);
}

static Value *zero(Model *m, const char *name, DType dtype, int n, int code)
{
    Tensor *tensor;
    if (!CHECK_OK(tensor_new(m->arena, dtype, n > 0 ? 1 : 0, (int64_t[]){n}, &tensor)))
        abort();
    memset(tensor->data, code, (size_t)tensor->count);
    return graph_add_constant(m->graph, name, tensor);
}

/* x, quantized to uint8 around 117. */
static Value *left(Model *m, const char *shape)
{
    Value *scale = test_number(m, "as", 0.0173f), *point = zero(m, "az", DT_UINT8, 0, 117);
    return TEST_NODE(m, "DequantizeLinear", "ad", TEST_NODE(m, "QuantizeLinear", "aq", test_input(m, "x", shape), scale, point),
                     scale, point);
}

/* (16, 5) int8, a scale for each column. */
static Value *right(Model *m)
{
    return TEST_NODE(m, "DequantizeLinear", "bd", codes(m, "bq", DT_INT8, 2, (int64_t[]){16, 5}), test_positive(m, "bs", "5"),
                     zero(m, "bz", DT_INT8, 5, 0));
}

static Value *product(Model *m, const char *shape)
{
    Value *a = left(m, shape);
    return TEST_NODE(m, "MatMul", "p", a, right(m));
}

static void alone(Model *m)
{
    test_output(product(m, "N,7,16"));
}

static void before_tanh(Model *m)
{
    test_output(TEST_NODE(m, "Tanh", "y", product(m, "7,16")));
}

static void before_relu(Model *m)
{
    test_output(TEST_NODE(m, "Relu", "y", product(m, "7,16")));
}

static void bias_by_add(Model *m)
{
    test_output(TEST_NODE(m, "Add", "y", test_floats(m, "bias", "5"), product(m, "N,7,16")));
}

static void bias_by_add_of_a_row(Model *m)
{
    test_output(TEST_NODE(m, "Add", "y", product(m, "N,16"), test_floats(m, "bias", "1,5")));
}

static void bias_row_next_to_rank_3(Model *m)
{
    test_output(TEST_NODE(m, "Add", "y", product(m, "N,7,16"), test_floats(m, "bias", "1,5")));
}

static void bias_of_one_number(Model *m)
{
    test_output(TEST_NODE(m, "Add", "y", product(m, "N,7,16"), test_number(m, "bias", 2)));
}

static void bias_by_sum(Model *m)
{
    test_output(TEST_NODE(m, "Sum", "y", product(m, "N,7,16"), test_floats(m, "bias", "5")));
}

static void bias_and_another_reader(Model *m)
{
    Value *p = product(m, "N,7,16");
    test_output(TEST_NODE(m, "Add", "y", p, test_floats(m, "bias", "5")));
    test_output(TEST_NODE(m, "Tanh", "z", p));
}

static void q_and_another_reader(Model *m)
{
    Value *p = product(m, "7,16"), *scale = test_number(m, "ys", 1), *point = zero(m, "yz", DT_UINT8, 0, 120);
    test_output(TEST_NODE(m, "Tanh", "z", p));
    test_output(TEST_NODE(m, "QuantizeLinear", "y", p, scale, point));
}

static void relu_and_q(Model *m)
{
    Value *r = TEST_NODE(m, "Relu", "r", product(m, "7,16")), *scale = test_number(m, "ys", 1);
    Value *point = zero(m, "yz", DT_UINT8, 0, 0);
    test_output(TEST_NODE(m, "DequantizeLinear", "y", TEST_NODE(m, "QuantizeLinear", "q", r, scale, point), scale, point));
}

static void relu_that_works_and_q(Model *m)
{
    Value *r = TEST_NODE(m, "Relu", "r", product(m, "7,16")), *scale = test_number(m, "ys", 1);
    Value *point = zero(m, "yz", DT_UINT8, 0, 9);
    test_output(TEST_NODE(m, "DequantizeLinear", "y", TEST_NODE(m, "QuantizeLinear", "q", r, scale, point), scale, point));
}

static void two_activations(Model *m)
{
    Value *a = left(m, "N,7,16"), *scale = test_number(m, "bs", 0.011f), *point = zero(m, "bz", DT_UINT8, 0, 120);
    Value *b = TEST_NODE(m, "QuantizeLinear", "bq", test_input(m, "b", "N,16,5"), scale, point);
    test_output(TEST_NODE(m, "MatMul", "y", a, TEST_NODE(m, "DequantizeLinear", "bd", b, scale, point)));
}

static void gemm(Model *m)
{
    Value *a = left(m, "N,16");
    test_output(TEST_NODE(m, "Gemm", "y", a, right(m)));
}

static void gemm_with_float_bias(Model *m)
{
    Value *a = left(m, "N,16"), *b = right(m);
    test_output(TEST_NODE(m, "Gemm", "y", a, b, test_floats(m, "bias", "5")));
}

/* Steps from the product on. */
static const struct {
    const char *name;
    void (*build)(Model *model);
    const char *steps;
} cases[] = {
    {"alone", alone, "MatMulIntegerToFloat"},
    {"before Tanh", before_tanh, "MatMulIntegerToFloat Tanh"},
    {"before Relu", before_relu, "MatMulIntegerToFloat Relu"},
    {"bias by Add", bias_by_add, "MatMul Add"},
    {"bias by Add of a row", bias_by_add_of_a_row, "MatMul Add"},
    {"bias row next to rank 3", bias_row_next_to_rank_3, "MatMulIntegerToFloat Add"},
    {"bias of one number", bias_of_one_number, "MatMulIntegerToFloat Add"},
    {"bias by Sum", bias_by_sum, "MatMulIntegerToFloat Sum"},
    {"bias and another reader", bias_and_another_reader, "MatMulIntegerToFloat Add Tanh"},
    {"Q and another reader", q_and_another_reader, "MatMul Tanh QuantizeLinear"},
    {"Relu that its Q takes over", relu_and_q, "QLinearMatMul DequantizeLinear"},
    {"Relu that works before a Q", relu_that_works_and_q, "MatMul Relu QuantizeLinear DequantizeLinear"},
    {"two activations", two_activations, "MatMulIntegerToFloat"},
    {"Gemm", gemm, "QGemm"},
    {"Gemm with a float bias", gemm_with_float_bias, "Gemm"},
};

TEST(products_without_a_quantization_behind_them)
{
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Model *model = model_new();
        model->ir_version = 8;
        model_set_opset(model, "", 17);
        graph_new(model, "test", NULL);
        cases[i].build(model);
        ops_bind(model);
        CHECK_OK(ops_infer(model));
        char *steps = quantized_steps(model);
        const char *from = strstr(steps, "MatMul") != NULL ? strstr(steps, "MatMul") : strstr(steps, "Gemm");
        while (from != NULL && from > steps && from[-1] != ' ')
            from--;
        if (from == NULL || strcmp(from, cases[i].steps) != 0)
            test_fail(__FILE__, __LINE__, "%s: steps are '%s', expected '%s'", cases[i].name, steps, cases[i].steps);
        free(steps);
        Tensor fast = quantized_run(model, NULL, 0, NULL);
        Tensor plain = quantized_run(model, &(PlanOptions){.reference = true}, 0, NULL);
        Tensor floats = quantized_run(model, &(PlanOptions){.no_integer = true}, 0, NULL);
        if (strncmp(cases[i].steps, "MatMulIntegerToFloat", 20) == 0 && !tensor_equal(&fast, &plain))
            test_fail(__FILE__, __LINE__, "%s: oneDNN and the plain loops differ", cases[i].name);
        if (!(quantized_sqnr_db(&floats, &fast) > 60.0))
            test_fail(__FILE__, __LINE__, "%s: integers and floats differ", cases[i].name);
        tensor_release(&fast);
        tensor_release(&plain);
        tensor_release(&floats);
        model_free(model);
    }
}
