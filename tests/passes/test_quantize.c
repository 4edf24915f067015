/* test_quantize.c - the quantize_* passes and the integer steps they lead to: structure, and numbers through the executor.
 *
 *     float graph ─ run on samples ─ ranges ─ quantize ─┬─ plan: QLinearConv ... in the steps expected
 *                                                       └─ output close to the float one; integer run = Q/DQ run
 */
#include "passes/pass.h"
#include "passes/quantize.h"
#include "src/exec/exec.h"
#include "src/ops/ops.h"
#include "tests/passes/graphs.h"
#include "tests/passes/quantized.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Steps as expected; close to float on a sample that calibration did not see; the integer run equals the run node by node in
 * float arithmetic to within one step of the output. */
static void check_quantized_how(void (*build)(Model *model), const QuantizedHow *how, const char *steps, double least_sqnr_db)
{
    Quantized f = quantized_how(build, target_find("ort-x86"), how);
    char *names = quantized_steps(f.integers);
    CHECK_TEXT(names, steps);
    free(names);
    Tensor expected = quantized_run(f.floats, NULL, QUANTIZED_SAMPLES, NULL);
    Tensor integer = quantized_run(f.integers, NULL, QUANTIZED_SAMPLES, NULL);
    Tensor reference = quantized_run(f.integers, &(PlanOptions){.reference = true}, QUANTIZED_SAMPLES, NULL);
    Tensor emulated = quantized_run(f.integers, &(PlanOptions){.no_integer = true}, QUANTIZED_SAMPLES, NULL);
    CHECK(tensor_same_shape(&expected, &integer));
    double reached = quantized_sqnr_db(&expected, &integer);
    if (reached < least_sqnr_db)
        test_fail(__FILE__, __LINE__, "SQNR %.1f dB, expected %.1f", reached, least_sqnr_db);
    CHECK(quantized_sqnr_db(&integer, &reference) > least_sqnr_db + 6.0 || tensor_equal(&integer, &reference));
    CHECK(quantized_sqnr_db(&integer, &emulated) > least_sqnr_db + 6.0 || tensor_equal(&integer, &emulated));
    tensor_release(&expected);
    tensor_release(&integer);
    tensor_release(&reference);
    tensor_release(&emulated);
    quantized_release(&f);
}

static void check_quantized(void (*build)(Model *model), const char *steps, double least_sqnr_db)
{
    check_quantized_how(build, NULL, steps, least_sqnr_db);
}

/* ---- graphs ------------------------------------------------------------------------------------------------------ */

static void conv_relu_conv(Model *m)
{
    Value *x = test_input(m, "x", "N,4,9,9");
    Value *a = TEST_NODE(m, "Conv", "a", x, test_floats(m, "w1", "8,4,3,3"), test_floats(m, "b1", "8"));
    Value *r = TEST_NODE(m, "Relu", "r", a);
    test_output(TEST_NODE(m, "Conv", "y", r, test_floats(m, "w2", "6,8,3,3"), test_floats(m, "b2", "6")));
}

TEST(quantize_absorbs_relu_between_convolutions)
{
    check_quantized(conv_relu_conv, "QuantizeLinear QLinearConv QLinearConv DequantizeLinear", 28.0);
}

static void conv_clip_conv(Model *m)
{
    Value *x = test_input(m, "x", "N,4,9,9");
    Value *a = TEST_NODE(m, "Conv", "a", x, test_floats(m, "w1", "8,4,3,3"), test_floats(m, "b1", "8"));
    Value *c = TEST_NODE(m, "Clip", "c", a, test_fill(m, "low", "", 0.0f), test_fill(m, "high", "", 1.5f));
    test_output(TEST_NODE(m, "Conv", "y", c, test_floats(m, "w2", "6,8,3,3"), test_floats(m, "b2", "6")));
}

TEST(quantize_absorbs_clip_and_its_bounds)
{
    check_quantized(conv_clip_conv, "QuantizeLinear QLinearConv QLinearConv DequantizeLinear", 28.0);
    Quantized f = quantized_for(conv_clip_conv, target_find("ort-x86"));
    for (int i = 0; i < f.integers->graph->n_initializers; i++)
        CHECK(f.integers->graph->initializers[i]->n_uses > 0);
    quantized_release(&f);
}

static void residual(Model *m)
{
    Value *x = test_input(m, "x", "N,8,6,6");
    Value *a = TEST_NODE(m, "Conv", "a", x, test_floats(m, "w1", "8,8,1,1"));
    Value *b = TEST_NODE(m, "Conv", "b", a, test_floats(m, "w2", "8,8,1,1"));
    Value *sum = TEST_NODE(m, "Add", "sum", a, b);
    Value *r = TEST_NODE(m, "Relu", "r", sum);
    Value *p = TEST_NODE(m, "MaxPool", "p", r);
    TEST_SET_INTS(p, "kernel_shape", 2, 2);
    TEST_SET_INTS(p, "strides", 2, 2);
    test_output(TEST_NODE(m, "Conv", "y", p, test_floats(m, "w3", "4,8,1,1")));
}

TEST(quantize_keeps_residuals_and_pooling_in_integers)
{
    check_quantized(residual, "QuantizeLinear QLinearConv QLinearConv QLinearAdd MaxPool QLinearConv DequantizeLinear", 26.0);
}

static void silu_concat(Model *m)
{
    Value *x = test_input(m, "x", "N,4,6,6");
    Value *a = TEST_NODE(m, "Conv", "a", x, test_floats(m, "w1", "8,4,1,1"), test_floats(m, "b1", "8"));
    Value *s = TEST_NODE(m, "Sigmoid", "s", a);
    Value *u = TEST_NODE(m, "Mul", "u", a, s);
    Value *both = TEST_NODE(m, "Concat", "both", u, a);
    node_set_int(both->producer, "axis", 1);
    test_output(TEST_NODE(m, "Conv", "y", both, test_floats(m, "w2", "4,16,1,1")));
}

TEST(quantize_runs_silu_and_concat_in_integers)
{
    check_quantized(silu_concat,
                    "QuantizeLinear QLinearConv QLinearSigmoid QLinearMul QLinearConcat QLinearConv DequantizeLinear", 26.0);
}

static void hardswish(Model *m)
{
    Value *x = test_input(m, "x", "N,4,6,6");
    Value *a = TEST_NODE(m, "Conv", "a", x, test_floats(m, "w1", "8,4,1,1"), test_floats(m, "b1", "8"));
    Value *h = TEST_NODE(m, "HardSwish", "h", a);
    test_output(TEST_NODE(m, "Conv", "y", h, test_floats(m, "w2", "4,8,1,1")));
}

TEST(quantize_runs_hardswish_in_integers)
{
    check_quantized(hardswish, "QuantizeLinear QLinearConv QLinearAdd QLinearMul QLinearConv DequantizeLinear", 26.0);
}

/* Squeeze and excitation; alpha and beta are not HardSwish's, and the weights are read by another node, too. */
static void hard_gate(Model *m)
{
    Value *x = test_input(m, "x", "N,4,6,6");
    Value *a = TEST_NODE(m, "Conv", "a", x, test_floats(m, "w1", "8,4,1,1"), test_floats(m, "b1", "8"));
    Value *squeezed = TEST_NODE(m, "GlobalAveragePool", "squeezed", a), *w = test_floats(m, "w2", "8,8,1,1");
    Value *gate = TEST_NODE(m, "HardSigmoid", "gate", TEST_NODE(m, "Conv", "excited", squeezed, w));
    node_set_float(gate->producer, "alpha", 0.75f);
    node_set_float(gate->producer, "beta", 0.25f);
    test_output(TEST_NODE(m, "Conv", "y", TEST_NODE(m, "Mul", "gated", a, gate), w));
}

TEST(quantize_puts_a_hard_gate_into_the_weights_in_front)
{
    check_quantized(hard_gate, "QuantizeLinear QLinearConv QLinearGlobalAveragePool QLinearConv QLinearMul QLinearConv "
                               "DequantizeLinear", 26.0);
    Model *plain = quantized_build(hard_gate);
    Quantized f = quantized_for(hard_gate, target_find("ort-x86"));
    CHECK(test_same_answers("a hard gate in the weights", plain, f.floats, 1e-6));
    quantized_release(&f);
    model_free(plain);
}

static void swish(Model *m)
{
    model_set_opset(m, "", 24);
    Value *x = test_input(m, "x", "N,4,6,6");
    Value *a = TEST_NODE(m, "Conv", "a", x, test_floats(m, "w1", "8,4,1,1"), test_floats(m, "b1", "8"));
    Value *s = TEST_NODE(m, "Swish", "s", a);
    test_output(TEST_NODE(m, "Conv", "y", s, test_floats(m, "w2", "4,8,1,1")));
}

static void scaled_swish(Model *m)
{
    model_set_opset(m, "", 24);
    Value *x = test_input(m, "x", "N,4,6,6");
    Value *a = TEST_NODE(m, "Conv", "a", x, test_floats(m, "w1", "8,4,1,1"), test_floats(m, "b1", "8"));
    Value *s = TEST_NODE(m, "Swish", "s", a);
    node_set_float(s->producer, "alpha", 1.702f);
    test_output(TEST_NODE(m, "Conv", "y", s, test_floats(m, "w2", "4,8,1,1")));
}

TEST(quantize_runs_swish_in_integers)
{
    check_quantized(swish, "QuantizeLinear QLinearConv QLinearSigmoid QLinearMul QLinearConv DequantizeLinear", 26.0);
    check_quantized(scaled_swish, "QuantizeLinear QLinearConv QLinearSigmoid QLinearMul QLinearConv DequantizeLinear",
                    26.0);
}

static void head(Model *m)
{
    Value *x = test_input(m, "x", "N,4,6,6");
    Value *a = TEST_NODE(m, "Conv", "a", x, test_floats(m, "w1", "8,4,3,3"));
    Value *g = TEST_NODE(m, "GlobalAveragePool", "g", a);
    Value *flat = TEST_NODE(m, "Flatten", "flat", g);
    Value *y = TEST_NODE(m, "Gemm", "logits", flat, test_floats(m, "w2", "8,5"), test_floats(m, "b2", "5"));
    test_output(TEST_NODE(m, "Softmax", "y", y));
}

TEST(quantize_leaves_the_tail_float)
{
    check_quantized(head, "QuantizeLinear QLinearConv QLinearGlobalAveragePool Flatten QGemm Softmax", 28.0);
}

static void matmul_bias(Model *m)
{
    Value *x = test_input(m, "x", "N,5,12");
    Value *a = TEST_NODE(m, "MatMul", "a", x, test_floats(m, "w1", "12,16"));
    Value *b = TEST_NODE(m, "Add", "b", a, test_floats(m, "b1", "16"));
    test_output(TEST_NODE(m, "MatMul", "y", b, test_floats(m, "w2", "16,8")));
}

TEST(quantize_matmul_with_bias)
{
    check_quantized(matmul_bias, "QuantizeLinear QLinearMatMul QLinearAdd MatMulIntegerToFloat", 26.0);
}

static void float_island(Model *m)
{
    Value *x = test_input(m, "x", "N,4,6,6");
    Value *a = TEST_NODE(m, "Conv", "a", x, test_floats(m, "w1", "8,4,1,1"));
    Value *t = TEST_NODE(m, "Tanh", "t", a);
    Value *e = TEST_NODE(m, "Elu", "e", t);
    test_output(TEST_NODE(m, "Conv", "y", e, test_floats(m, "w2", "4,8,1,1")));
}

TEST(quantize_leaves_float_islands_whole)
{
    check_quantized(float_island,
                    "QuantizeLinear QLinearConv DequantizeLinear Tanh Elu QuantizeLinear QLinearConv DequantizeLinear", 26.0);
}

static Value *product(Model *m, const char *name, Value *x, const char *weight, const char *columns)
{
    Value *y = TEST_NODE(m, "MatMul", arena_printf(m->arena, "%s_m", name), x,
                         test_floats(m, arena_printf(m->arena, "%s_w", name), weight));
    return TEST_NODE(m, "Add", name, y, test_floats(m, arena_printf(m->arena, "%s_b", name), columns));
}

static Value *norm(Model *m, const char *name, Value *x)
{
    return TEST_NODE(m, "LayerNormalization", name, x, test_positive(m, arena_printf(m->arena, "%s_s", name), "64"));
}

/* Of a transformer: sum, norm, two products with an activation between, sum, norm, heads. The first sum is of what is no matrix. */
static void block(Model *m, const char *x)
{
    model_set_opset(m, "", 17);
    Value *in = test_input(m, "x", x), *a = product(m, "a", in, "64,64", "64");
    Value *first = norm(m, "first", TEST_NODE(m, "Add", "s", in, a));
    Value *f = TEST_NODE(m, "Tanh", "f", product(m, "b", first, "64,80", "80"));
    Value *second = norm(m, "second", TEST_NODE(m, "Add", "t", first, product(m, "c", f, "80,64", "64")));
    Value *heads = TEST_NODE(m, "Reshape", "heads", product(m, "d", second, "64,64", "64"), TEST_INTS(m, "h", 0, 0, 4, 16));
    Value *turned = TEST_NODE(m, "Transpose", "turned", heads);
    TEST_SET_INTS(turned, "perm", 0, 2, 1, 3);
    Value *k = TEST_NODE(m, "Transpose", "k", heads);
    TEST_SET_INTS(k, "perm", 0, 2, 3, 1);
    test_output(TEST_NODE(m, "MatMul", "y", turned, k));
}

static void block_of_open_sizes(Model *m)
{
    block(m, "N,S,64");
}

static void block_of_known_sizes(Model *m)
{
    block(m, "3,40,64");
}

static void block_with_an_output(Model *m) /* the first norm is read with its sizes, too */
{
    model_set_opset(m, "", 17);
    Value *in = test_input(m, "x", "N,S,64"), *a = product(m, "a", in, "64,64", "64");
    Value *first = norm(m, "first", TEST_NODE(m, "Add", "s", in, a));
    Value *turned = TEST_NODE(m, "Transpose", "turned", first);
    TEST_SET_INTS(turned, "perm", 1, 0, 2);
    test_output(turned);
    test_output(product(m, "b", first, "64,80", "80"));
}

TEST(quantize_keeps_rows_between_products)
{
    check_quantized(block_of_known_sizes,
                    "QuantizeLinear Reshape QGemm Reshape Sum LayerNormalization QuantizeLinear QGemm QLinearSigmoid QGemm Sum "
                    "LayerNormalization QuantizeLinear QGemm Reshape Transpose Transpose MatMulIntegerToFloat", 24.0);
    check_quantized(block_of_open_sizes,
                    "QuantizeLinear Shape Slice Reshape QGemm Reshape Sum LayerNormalization QuantizeLinear QGemm QLinearSigmoid "
                    "QGemm Sum LayerNormalization QuantizeLinear QGemm Concat Reshape Transpose Transpose MatMulIntegerToFloat", 24.0);
    check_quantized(block_with_an_output,
                    "QuantizeLinear Shape Slice Reshape QGemm Reshape Sum LayerNormalization QuantizeLinear Concat Reshape "
                    "Transpose Shape Slice Concat QGemm Reshape", 24.0);
}

/* Scores of attention, in which queries and keys are of one product, so that no weight can take the factors. */
static void scaled_scores(Model *m)
{
    Value *a = TEST_NODE(m, "MatMul", "a", test_input(m, "x", "N,6,12"), test_floats(m, "w1", "12,16"));
    Value *q = TEST_NODE(m, "Mul", "q", a, test_number(m, "root", 0.35f));
    Value *k = TEST_NODE(m, "Transpose", "k", TEST_NODE(m, "Mul", "kd", test_fill(m, "other", "1", 0.4f), a));
    TEST_SET_INTS(k, "perm", 0, 2, 1);
    test_output(TEST_NODE(m, "MatMul", "y", q, k));
}

static void scaled_and_shown(Model *m) /* to floats, too */
{
    Value *a = TEST_NODE(m, "MatMul", "a", test_input(m, "x", "N,6,12"), test_floats(m, "w1", "12,16"));
    Value *s = TEST_NODE(m, "Mul", "s", test_number(m, "root", 0.35f), a);
    test_output(TEST_NODE(m, "MatMul", "y", s, test_floats(m, "w2", "16,8")));
    test_output(TEST_NODE(m, "Exp", "z", s));
    test_output(s);
}

static void turned(Model *m) /* a scale is positive */
{
    Value *a = TEST_NODE(m, "MatMul", "a", test_input(m, "x", "N,6,12"), test_floats(m, "w1", "12,16"));
    Value *s = TEST_NODE(m, "Mul", "s", a, test_number(m, "minus", -0.35f));
    test_output(TEST_NODE(m, "MatMul", "y", s, test_floats(m, "w2", "16,8")));
    test_output(a);
}

TEST(quantize_takes_a_factor_for_a_scale)
{
    check_quantized(scaled_scores, "QuantizeLinear QLinearMatMul Transpose MatMulIntegerToFloat", 28.0);
    check_quantized(scaled_and_shown, "QuantizeLinear QLinearMatMul DequantizeLinear MatMulIntegerToFloat Exp", 28.0);
    check_quantized(turned, "QuantizeLinear QLinearMatMul DequantizeLinear QLinearMul MatMulIntegerToFloat", 28.0);
}

/* x (1 + Erf(x / sqrt 2)) / 2 behind a product with a bias, in front of `after`. */
static Value *erf_gelu(Model *m, Value *x)
{
    Value *f = TEST_NODE(m, "Erf", "erf", TEST_NODE(m, "Div", "scaled", x, test_number(m, "root", 1.41421356f)));
    Value *g = TEST_NODE(m, "Mul", "gated", x, TEST_NODE(m, "Add", "shifted", f, test_number(m, "one", 1.0f)));
    return TEST_NODE(m, "Mul", "gelu", g, test_number(m, "half", 0.5f));
}

static Value *biased_product(Model *m)
{
    Value *a = TEST_NODE(m, "MatMul", "a", test_input(m, "x", "N,50,12"), test_floats(m, "w1", "12,64"));
    return TEST_NODE(m, "Add", "b", a, test_floats(m, "b1", "64"));
}

static void gelu_between_products(Model *m)
{
    test_output(TEST_NODE(m, "MatMul", "y", erf_gelu(m, biased_product(m)), test_floats(m, "w2", "64,8")));
}

static void gelu_op_between_matrices(Model *m)
{
    model_set_opset(m, "", 20);
    Value *a = TEST_NODE(m, "Gemm", "a", test_input(m, "x", "N,12"), test_floats(m, "w1", "12,64"), test_floats(m, "b1", "64"));
    test_output(TEST_NODE(m, "Gemm", "y", TEST_NODE(m, "Gelu", "g", a), test_floats(m, "w2", "64,8")));
}

static void gelu_at_the_end(Model *m)
{
    test_output(erf_gelu(m, biased_product(m)));
}

static void gelu_of_what_others_read(Model *m)
{
    Value *b = biased_product(m);
    test_output(TEST_NODE(m, "MatMul", "y", erf_gelu(m, b), test_floats(m, "w2", "64,8")));
    test_output(TEST_NODE(m, "Exp", "z", b));
}

static void gelu_with_float_readers(Model *m)
{
    Value *g = erf_gelu(m, biased_product(m));
    test_output(TEST_NODE(m, "MatMul", "y", g, test_floats(m, "w2", "64,8")));
    test_output(TEST_NODE(m, "Exp", "z", g));
}

static void gelu_whose_inside_others_read(Model *m) /* x beyond what the table keeps of it */
{
    Value *b = biased_product(m), *g = erf_gelu(m, b), *inside = NULL;
    for (size_t i = 0; i < b->n_uses; i++)
        inside = node_is(b->uses[i].node, "Div") ? b->uses[i].node->out[0] : inside;
    test_output(TEST_NODE(m, "Neg", "z", inside));
    test_output(TEST_NODE(m, "MatMul", "y", g, test_floats(m, "w2", "64,8")));
}

TEST(quantize_runs_gelu_in_integers_where_asked)
{
    static const QuantizedHow asked = {.integer_gelu = true};
    check_quantized_how(gelu_between_products, &asked,
                        "QuantizeLinear Reshape QGemm QLinearSigmoid QLinearMul Reshape MatMulIntegerToFloat", 30.0);
    check_quantized_how(gelu_op_between_matrices, &asked, "QuantizeLinear QGemm QLinearSigmoid QLinearMul QGemm", 30.0);
    check_quantized_how(gelu_at_the_end, &asked, "QuantizeLinear Reshape QGemm Reshape Div Erf Add Mul Mul", 30.0);
    check_quantized_how(gelu_of_what_others_read, &asked,
                        "QuantizeLinear Reshape QGemm Reshape Div Erf Add Mul Mul QuantizeLinear MatMulIntegerToFloat Exp", 30.0);
    check_quantized_how(gelu_whose_inside_others_read, &asked,
                        "QuantizeLinear Reshape QGemm Reshape Div Erf Add Mul Mul QuantizeLinear Neg MatMulIntegerToFloat", 30.0);
    check_quantized_how(gelu_with_float_readers, &asked,
                        "QuantizeLinear Reshape QGemm Reshape Div Erf Add Mul Mul QuantizeLinear MatMulIntegerToFloat Exp", 30.0);
    check_quantized(gelu_between_products,
                    "QuantizeLinear Reshape QGemm Div Erf Add Mul Mul Reshape QuantizeLinear MatMulIntegerToFloat", 30.0);
}

/* A spectrogram in the model: the filters and the mel bands stay float, what hears the logarithm does not. */
static void log_mel(Model *m)
{
    Value *x = test_input(m, "x", "N,1,1,64");
    Value *a = TEST_NODE(m, "Conv", "a", x, test_floats(m, "w1", "6,1,1,16"));
    Value *p = TEST_NODE(m, "Mul", "p", a, a);
    Value *t = TEST_NODE(m, "MatMul", "t", p, test_positive(m, "bands", "49,7"));
    Value *c = TEST_NODE(m, "Clip", "c", t, test_fill(m, "low", "", 1e-5f));
    Value *l = TEST_NODE(m, "Log", "l", c);
    test_output(TEST_NODE(m, "Conv", "y", l, test_floats(m, "w2", "4,6,1,3")));
}

TEST(quantize_leaves_spectrograms_float)
{
    check_quantized(log_mel, "Conv Mul MatMul Clip Log QuantizeLinear QLinearConv DequantizeLinear", 30.0);
}

/* Softplus written out, and probabilities: logarithms, but of no powers. */
static void softplus(Model *m)
{
    Value *x = test_input(m, "x", "N,4,6,6");
    Value *a = TEST_NODE(m, "Conv", "a", x, test_floats(m, "w1", "8,4,1,1"));
    Value *e = TEST_NODE(m, "Exp", "e", TEST_NODE(m, "Abs", "b", a));
    Value *l = TEST_NODE(m, "Log", "l", TEST_NODE(m, "Add", "s", e, test_fill(m, "one", "", 1.0f)));
    test_output(TEST_NODE(m, "Conv", "y", l, test_floats(m, "w2", "4,8,1,1")));
}

TEST(quantize_runs_what_stands_before_other_logarithms)
{
    check_quantized(softplus,
                    "QuantizeLinear QLinearConv DequantizeLinear Abs Exp Add Log QuantizeLinear QLinearConv DequantizeLinear",
                    26.0);
}

/* Output of an integer node that is a graph output and read on: its name stays, and both readers see the same numbers. */
static void inner_output(Model *m)
{
    Value *x = test_input(m, "x", "N,4,6,6");
    Value *a = TEST_NODE(m, "Conv", "a", x, test_floats(m, "w1", "8,4,1,1"));
    test_output(a);
    test_output(TEST_NODE(m, "Conv", "y", a, test_floats(m, "w2", "4,8,1,1")));
}

TEST(quantize_keeps_names_of_outputs)
{
    Quantized f = quantized_for(inner_output, target_find("ort-x86"));
    CHECK_TEXT(f.integers->graph->outputs[0]->name, "a");
    CHECK_TEXT(f.integers->graph->outputs[1]->name, "y");
    CHECK(node_is(f.integers->graph->outputs[0]->producer, "DequantizeLinear"));
    quantized_release(&f);
}

/* A bias far too large for int32 at the scale of its tiny weights: the channel's scale is widened until it fits. */
static void huge_bias(Model *m)
{
    Value *x = test_input(m, "x", "N,2,3,3");
    Value *a = TEST_NODE(m, "Conv", "a", x, test_fill(m, "w1", "2,2,1,1", 1e-9f), test_fill(m, "b1", "2", 3.0f));
    test_output(TEST_NODE(m, "Conv", "y", a, test_floats(m, "w2", "2,2,1,1")));
}

TEST(quantize_guards_the_bias_against_overflow)
{
    check_quantized(huge_bias, "QuantizeLinear QLinearConv QLinearConv DequantizeLinear", 30.0);
    Quantized f = quantized_for(huge_bias, target_find("ort-x86"));
    for (int i = 0; i < f.integers->graph->n_initializers; i++) {
        const Tensor *t = f.integers->graph->initializers[i]->constant;
        for (int64_t k = 0; t->dtype == DT_INT32 && k < t->count; k++)
            CHECK(llabs((long long)tensor_get_int(t, k)) <= 1073741824LL);
    }
    quantized_release(&f);
}

static void not_finite(Model *m)
{
    Value *x = test_input(m, "x", "N,2,3,3");
    test_output(TEST_NODE(m, "Conv", "y", x, test_fill(m, "w1", "2,2,1,1", INFINITY)));
}

/* y = If(max(x) > 0, Conv(x, w), Conv(x, v)) */
static void branches(Model *m)
{
    Value *x = test_input(m, "x", "N,4,9,9");
    Value *greatest = TEST_NODE(m, "ReduceMax", "greatest", x);
    Value *condition = TEST_NODE(m, "Greater", "c", greatest, test_fill(m, "zero", "1", 0.0f));
    Value *weights[] = {test_floats(m, "w", "8,4,3,3"), test_floats(m, "v", "8,4,3,3")};
    Value *y = graph_value(m->graph, "y");
    Node *node = graph_add_node(m->graph, NULL, "If", "", "if", 1, &condition, 1, &y);
    for (int i = 0; i < 2; i++) {
        Graph *inner = graph_new(m, i == 0 ? "then" : "else", node);
        Value *out = graph_value(inner, i == 0 ? "yes" : "no");
        graph_add_node(inner, NULL, "Conv", "", i == 0 ? "conv_then" : "conv_else", 2, (Value *[]){x, weights[i]}, 1,
                       &out);
        graph_add_output(inner, out);
        node_add_attr(node, i == 0 ? "then_branch" : "else_branch", ATTR_GRAPH)->g = inner;
    }
    test_output(y);
}

TEST(quantize_names_the_weighted_nodes_of_inner_graphs)
{
    Quantized f = quantized_for(branches, target_find("ort-x86"));
    int named = 0;
    for (uint32_t id = 0; id < f.decisions->n_nodes; id++) {
        const NodeDecision *decision = &f.decisions->nodes[id];
        if (decision->op_type == NULL || strcmp(decision->op_type, "Conv") != 0)
            continue;
        CHECK(decision->weighted);
        CHECK_INT(decision->fate, FATE_FLOAT);
        CHECK(strstr(decision->reason, "inner graph") != NULL);
        named++;
    }
    CHECK_INT(named, 2);
    quantized_release(&f);
}

TEST(quantize_leaves_weights_that_are_not_finite)
{
    Quantized f = quantized_for(not_finite, target_find("ort-x86"));
    const Node *conv = f.integers->graph->first;
    CHECK(node_is(conv, "Conv"));
    CHECK_INT(quant_fate(f.decisions, conv), FATE_FLOAT);
    CHECK(strstr(f.decisions->nodes[conv->id].reason, "finite") != NULL);
    quantized_release(&f);
}

/* ---- forms for the target ---------------------------------------------------------------------------------------- */

/* A product, its bias, GELU written out, a product: the first gives floats at once, and the bias is added by Sum. */
static void feed_forward(Model *m)
{
    Value *x = test_input(m, "x", "N,6,16");
    x = TEST_NODE(m, "MatMul", "p", x, test_floats(m, "w1", "16,24"));
    x = TEST_NODE(m, "Add", "b", x, test_floats(m, "bias", "24"));
    Value *e = TEST_NODE(m, "Erf", "e", x);
    x = TEST_NODE(m, "Mul", "g", x, e);
    test_output(TEST_NODE(m, "MatMul", "y", x, test_floats(m, "w2", "24,8")));
}

TEST(a_product_that_floats_read_has_no_quantization_behind_it)
{
    Quantized f = quantized_for(feed_forward, target_find("ort-x86"));
    int quantizers = 0, sums = 0;
    for (const Node *node = f.integers->graph->first; node != NULL; node = node->next) {
        quantizers += node_is(node, "QuantizeLinear");
        sums += node_is(node, "Sum");
        if (node_is(node, "Sum"))
            CHECK(node->in[0]->producer != NULL && node_is(node->in[0]->producer, "MatMul"));
    }
    CHECK_INT(sums, 1);
    CHECK_INT(quantizers, 2); /* in front of the products */
    Tensor expected = quantized_run(f.floats, NULL, QUANTIZED_SAMPLES, NULL), actual = quantized_run(f.integers, NULL, QUANTIZED_SAMPLES, NULL);
    CHECK(quantized_sqnr_db(&expected, &actual) > 26.0);
    tensor_release(&expected);
    tensor_release(&actual);
    quantized_release(&f);
}

/* Three products of one value, with biases: of matrices, which take them along. Two sizes are open, as those of the input are. */
static void three_products(Model *m)
{
    Value *x = test_input(m, "x", "N,S,64"), *sum = NULL;
    for (int i = 0; i < 3; i++) {
        static const char *const names[3][4] = {{"p", "w", "b", "q"}, {"p2", "w2", "b2", "q2"}, {"p3", "w3", "b3", "q3"}};
        Value *y = TEST_NODE(m, "MatMul", names[i][0], x, test_floats(m, names[i][1], "64,512"));
        y = TEST_NODE(m, "Add", names[i][3], y, test_floats(m, names[i][2], "512"));
        sum = sum == NULL ? TEST_NODE(m, "Relu", "r", y) : TEST_NODE(m, "Add", i == 1 ? "s" : "s2", sum, y);
    }
    test_output(TEST_NODE(m, "MatMul", "y", sum, test_floats(m, "w4", "512,8")));
}

TEST(products_with_a_bias_become_those_of_matrices)
{
    Quantized f = quantized_for(three_products, target_find("ort-x86"));
    int reshapes = 0, gemms = 0, adds = 0, shapes = 0;
    for (const Node *node = f.integers->graph->first; node != NULL; node = node->next) {
        reshapes += node_is(node, "Reshape");
        gemms += node_is(node, "Gemm");
        adds += node_is(node, "Add");
        shapes += node_is(node, "Shape");
    }
    CHECK_INT(gemms, 3);
    CHECK_INT(reshapes, 2); /* one in front, one behind the sum */
    CHECK_INT(shapes, 1);
    CHECK_INT(adds, 2);
    Tensor expected = quantized_run(f.floats, NULL, QUANTIZED_SAMPLES, NULL), actual = quantized_run(f.integers, NULL, QUANTIZED_SAMPLES, NULL);
    CHECK(quantized_sqnr_db(&expected, &actual) > 26.0);
    tensor_release(&expected);
    tensor_release(&actual);
    quantized_release(&f);
}

/* Of two open sizes behind a Transpose of the input no input of the model tells the order. */
static void turned_product(Model *m)
{
    Value *x = TEST_NODE(m, "Transpose", "t", test_input(m, "x", "N,S,64"));
    node_set_ints(x->producer, "perm", (int64_t[]){1, 0, 2}, 3);
    x = TEST_NODE(m, "MatMul", "p", x, test_floats(m, "w", "64,512"));
    x = TEST_NODE(m, "Relu", "r", TEST_NODE(m, "Add", "q", x, test_floats(m, "b", "512")));
    test_output(TEST_NODE(m, "MatMul", "y", x, test_floats(m, "w2", "512,8")));
}

TEST(products_stay_where_the_sizes_behind_them_cannot_be_told_or_do_not_matter)
{
    void (*const builds[])(Model *m) = {turned_product, matmul_bias};
    for (size_t i = 0; i < COUNT_OF(builds); i++) {
        Quantized f = quantized_for(builds[i], target_find("ort-x86"));
        int products = 0;
        for (const Node *node = f.integers->graph->first; node != NULL; node = node->next) {
            products += node_is(node, "MatMul");
            CHECK(!node_is(node, "Gemm"));
        }
        CHECK_INT(products, 2);
        quantized_release(&f);
    }
}

static void gentle_prelu(Model *m)
{
    Value *x = test_input(m, "x", "N,4,5,5");
    test_output(TEST_NODE(m, "PRelu", "y", x, test_floats(m, "slopes", "4,1,1"))); /* in [-1, 1) */
}

static void steep_prelu(Model *m)
{
    Value *x = test_input(m, "x", "N,4,5,5");
    test_output(TEST_NODE(m, "PRelu", "y", x, test_fill(m, "slopes", "4,1,1", 1.5f)));
}

static void residual_norm(Model *m)
{
    Value *x = test_input(m, "x", "N,4,8"), *y = TEST_NODE(m, "Add", "r", x, TEST_NODE(m, "Tanh", "t", x));
    Value *mean = TEST_NODE(m, "ReduceMean", "mean", y);
    TEST_SET_INTS(mean, "axes", -1);
    test_output(TEST_NODE(m, "Sub", "y", y, mean));
}

/* The same numbers to the bit, with `op` in it or not. */
static void check_target_form(void (*build)(Model *m), const char *op, int expected)
{
    Quantized f = quantized_for(build, target_find("ort-x86")); /* floats: formed for the target already */
    Model *plain = model_new(), *formed = f.floats;
    plain->ir_version = 8;
    model_set_opset(plain, "", 13);
    graph_new(plain, "test", NULL);
    build(plain);
    ops_bind(plain);
    CHECK_OK(ops_infer(plain));
    int found = 0;
    for (const Node *node = formed->graph->first; node != NULL; node = node->next)
        found += node_is(node, op);
    CHECK_INT(found, expected);
    Tensor a = quantized_run(plain, NULL, 0, NULL), b = quantized_run(formed, NULL, 0, NULL);
    CHECK(tensor_equal(&a, &b));
    tensor_release(&a);
    tensor_release(&b);
    model_free(plain);
    quantized_release(&f);
}

TEST(forms_the_target_is_quick_at)
{
    check_target_form(gentle_prelu, "Max", 1);
    check_target_form(steep_prelu, "PRelu", 1);
    check_target_form(residual_norm, "Sum", 1);
}
