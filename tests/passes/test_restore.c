/* test_restore.c - quantized graphs of every form become float ones that give nearly the same.
 *
 *     graph of codes ─ raise, restore ─> float graph       ops in order, outputs within a few steps of 8 bits
 */
#include "tests/passes/graphs.h"
#include "tests/test.h"

#include "passes/pass.h"
#include "src/ops/ops.h"

#include <stdlib.h>
#include <string.h>

/* ---- building -------------------------------------------------------------------------------------------------------- */

static Value *code(Model *m, const char *name, DType dtype, double number)
{
    return graph_add_constant(m->graph, name, tensor_new_scalar(m->arena, dtype, number));
}

/* Codes -20 ... 20 (or 108 ... 148 of uint8), in no order. */
static Value *codes(Model *m, const char *name, DType dtype, int rank, const int64_t *dims)
{
    Tensor *tensor = NULL;
    CHECK_OK(tensor_new(m->arena, dtype, rank, dims, &tensor));
    for (int64_t i = 0; i < tensor->count; i++)
        tensor_set(tensor, i, (double)(i * 17 % 41 - 20 + (dtype == DT_UINT8 ? 128 : 0)));
    return graph_add_constant(m->graph, name, tensor);
}
#define CODES(m, name, dtype, ...)                                                                                      \
    codes(m, name, dtype, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})

static Value *microsoft(Model *m, Value *value)
{
    model_set_opset(m, DOMAIN_MICROSOFT, 1);
    value->producer->domain = DOMAIN_MICROSOFT;
    ops_bind_node(value->producer);
    return value;
}
#define MS_NODE(m, ...) microsoft(m, TEST_NODE(m, __VA_ARGS__))

/* The random inputs are in [-1, 1): scale 1/100, zero point 120. */
static Value *quantized(Model *m, const char *name, Value *x)
{
    return TEST_NODE(m, "QuantizeLinear", name, x, code(m, arena_printf(m->arena, "%s_s", name), DT_FLOAT, 0.01),
                     code(m, arena_printf(m->arena, "%s_z", name), DT_UINT8, 120));
}

static Value *scale_of(const Value *quantized)
{
    return quantized->producer->in[1];
}

static Value *zero_of(const Value *quantized)
{
    return quantized->producer->in[2];
}

static Value *dequantized(Model *m, const char *name, Value *q, Value *scale, Value *zero)
{
    return TEST_NODE(m, "DequantizeLinear", name, q, scale, zero);
}

/* ---- Q/DQ ------------------------------------------------------------------------------------------------------------ */

/* Conv with a scale for each channel and an int32 bias. */
static Value *qdq_conv(Model *m)
{
    Value *q = quantized(m, "xq", test_input(m, "x", "1,2,6,6")), *x = dequantized(m, "xd", q, scale_of(q), zero_of(q));
    Value *scales = test_positive(m, "ws", "3"), *ws = CODES(m, "w", DT_INT8, 3, 2, 3, 3);
    Value *w = TEST_NODE(m, "DequantizeLinear", "wd", ws, scales);
    node_set_int(w->producer, "axis", 0);
    Value *b = TEST_NODE(m, "DequantizeLinear", "bd", CODES(m, "b", DT_INT32, 3), test_positive(m, "bs", "3"));
    node_set_int(b->producer, "axis", 0);
    return TEST_NODE(m, "Conv", "c", x, w, b);
}

static void relu_in_the_scale(Model *m)
{
    Value *c = qdq_conv(m), *s = code(m, "ys", DT_FLOAT, 0.5), *z = code(m, "yz", DT_UINT8, 0);
    test_output(dequantized(m, "y", TEST_NODE(m, "QuantizeLinear", "yq", c, s, z), s, z));
}

static void relu_of_its_own(Model *m)
{
    Value *c = TEST_NODE(m, "Relu", "r", qdq_conv(m)), *s = code(m, "ys", DT_FLOAT, 0.5), *z = code(m, "yz", DT_UINT8, 0);
    c = TEST_NODE(m, "MaxPool", "p", dequantized(m, "rd", TEST_NODE(m, "QuantizeLinear", "rq", c, s, z), s, z));
    TEST_SET_INTS(c, "kernel_shape", 2, 2);
    test_output(dequantized(m, "y", TEST_NODE(m, "QuantizeLinear", "yq", c, s, z), s, z));
}

static void codes_are_moved(Model *m)
{
    Value *q = quantized(m, "xq", test_input(m, "x", "1,2,6,6")), *p = TEST_NODE(m, "MaxPool", "p", q);
    TEST_SET_INTS(p, "kernel_shape", 2, 2);
    Value *padded = TEST_NODE(m, "Pad", "pad", p, TEST_INTS(m, "pads", 0, 0, 1, 1, 0, 0, 0, 0));
    Value *both = TEST_NODE(m, "Concat", "both", padded, CODES(m, "more", DT_UINT8, 1, 1, 6, 6));
    node_set_int(both->producer, "axis", 1);
    Value *flat = TEST_NODE(m, "Reshape", "flat", both, TEST_NODE(m, "Slice", "whole", TEST_NODE(m, "Shape", "shape", both),
                                                                  TEST_INTS(m, "from", 0), TEST_INTS(m, "to", 4)));
    test_output(dequantized(m, "y", flat, scale_of(q), zero_of(q)));
}

static void read_in_another_scale(Model *m)
{
    Value *q = quantized(m, "xq", test_input(m, "x", "2,5"));
    test_output(dequantized(m, "y", q, code(m, "s2", DT_FLOAT, 0.03), zero_of(q)));
    test_output(dequantized(m, "v", q, code(m, "s3", DT_FLOAT, 0.01), code(m, "z3", DT_UINT8, 100)));
}

static void one_weight_in_two_scales(Model *m)
{
    Value *q = quantized(m, "xq", test_input(m, "x", "2,4")), *w = CODES(m, "w", DT_INT8, 4, 4);
    Value *none = code(m, "none", DT_INT8, 0);
    Value *x = dequantized(m, "xd", q, scale_of(q), zero_of(q));
    Value *a = TEST_NODE(m, "MatMul", "a", x, dequantized(m, "wa", w, code(m, "sa", DT_FLOAT, 0.1), none));
    Value *b = dequantized(m, "wb", TEST_NODE(m, "Transpose", "wt", w), code(m, "sb", DT_FLOAT, 0.02), none);
    test_output(TEST_NODE(m, "MatMul", "y", a, b));
}

static void weight_quantized_on_the_way(Model *m)
{
    Value *q = quantized(m, "xq", test_input(m, "x", "2,4")), *w = test_floats(m, "w", "4,4");
    Value *s = code(m, "ws", DT_FLOAT, 0.01), *z = code(m, "wz", DT_INT8, 0);
    w = dequantized(m, "wd", TEST_NODE(m, "QuantizeLinear", "wq", w, s, z), s, z);
    test_output(TEST_NODE(m, "MatMul", "y", dequantized(m, "xd", q, scale_of(q), zero_of(q)), w));
}

/* What goes in and comes out stays codes. */
static void codes_at_the_border(Model *m)
{
    Value *x = test_input_of(m, "x", DT_UINT8, "1,2,6,6"), *s = code(m, "s", DT_FLOAT, 0.01), *z = code(m, "z", DT_UINT8, 3);
    Value *a = TEST_NODE(m, "LeakyRelu", "a", dequantized(m, "xd", x, s, z));
    Value *q = TEST_NODE(m, "QuantizeLinear", "q", a, s, z);
    test_output(q);
    Value *p = TEST_NODE(m, "GlobalMaxPool", "g", dequantized(m, "qd", q, s, z));
    test_output(TEST_NODE(m, "QuantizeLinear", "y", p, s, z));
}

/* ---- integer operators ------------------------------------------------------------------------------------------------ */

static void qlinear_ops(Model *m)
{
    Value *q = quantized(m, "xq", test_input(m, "x", "1,2,6,6")), *s = scale_of(q), *z = zero_of(q);
    Value *ws = test_positive(m, "ws", "3"), *wz = CODES(m, "wz", DT_INT8, 3);
    Value *big = code(m, "big", DT_FLOAT, 0.6), *mid = code(m, "mid", DT_UINT8, 100);
    memset(wz->constant->data, 0, wz->constant->bytes);
    Value *w = CODES(m, "w", DT_INT8, 3, 2, 1, 1);
    Value *c = TEST_NODE(m, "QLinearConv", "c", q, s, z, w, ws, wz, big, mid, CODES(m, "b", DT_INT32, 3));
    Value *leaky = MS_NODE(m, "QLinearLeakyRelu", "leaky", c, big, mid, big, mid);
    Value *sum = MS_NODE(m, "QLinearAdd", "sum", c, big, mid, leaky, big, mid, code(m, "ss", DT_FLOAT, 1.2), mid);
    Value *pool = MS_NODE(m, "QLinearGlobalAveragePool", "pool", sum, sum->producer->in[6], mid,
                          big, mid);
    Value *flat = TEST_NODE(m, "Flatten", "flat", pool);
    Value *dense = TEST_NODE(m, "QLinearMatMul", "dense", flat, big, mid, CODES(m, "v", DT_INT8, 3, 4),
                             code(m, "vs", DT_FLOAT, 0.05), code(m, "vz", DT_INT8, 1), code(m, "ds", DT_FLOAT, 0.15), mid);
    Value *gemm = MS_NODE(m, "QGemm", "gemm", dense, code(m, "ds2", DT_FLOAT, 0.15), mid, CODES(m, "u", DT_INT8, 5, 4),
                          test_positive(m, "us", "5"), CODES(m, "uz", DT_INT8, 5), CODES(m, "ub", DT_INT32, 5));
    memset(gemm->producer->in[5]->constant->data, 0, 5);
    node_set_int(gemm->producer, "transB", 1);
    node_set_float(gemm->producer, "alpha", 0.5F);
    test_output(gemm);
}

static void qlinear_conv_at_the_border(Model *m)
{
    Value *x = test_input_of(m, "x", DT_UINT8, "1,2,6,6"), *s = code(m, "s", DT_FLOAT, 0.1), *z = code(m, "z", DT_UINT8, 0);
    test_output(TEST_NODE(m, "QLinearConv", "y", x, s, z, CODES(m, "w", DT_INT8, 3, 2, 1, 1), code(m, "ws", DT_FLOAT, 0.1),
                          code(m, "wz", DT_INT8, 0), code(m, "ys", DT_FLOAT, 0.05), z));
}

static void qlinear_concat(Model *m)
{
    Value *a = quantized(m, "aq", test_input(m, "a", "1,3")), *b = quantized(m, "bq", test_input(m, "b", "1,2"));
    Value *s = code(m, "s", DT_FLOAT, 0.02), *z = code(m, "z", DT_UINT8, 127);
    Value *y = MS_NODE(m, "QLinearConcat", "q", s, z, a, scale_of(a), zero_of(a), b, scale_of(b), zero_of(b));
    node_set_int(y->producer, "axis", 1);
    test_output(dequantized(m, "y", y, s, z));
}

/* ---- dynamic ---------------------------------------------------------------------------------------------------------- */

static Value *dynamic(Model *m, Value *x, Value **scale, Value **zero)
{
    Value *q = TEST_NODE(m, "DynamicQuantizeLinear", "q", x);
    *scale = graph_value(m->graph, "s");
    *zero = graph_value(m->graph, "z");
    node_set_output(q->producer, 1, *scale);
    node_set_output(q->producer, 2, *zero);
    return q;
}

static void dynamic_conv(Model *m)
{
    Value *s, *z, *q = dynamic(m, test_input(m, "x", "1,2,6,6"), &s, &z);
    Value *c = TEST_NODE(m, "ConvInteger", "c", q, CODES(m, "w", DT_UINT8, 3, 2, 3, 3), z, code(m, "wz", DT_UINT8, 128));
    TEST_SET_INTS(c, "pads", 1, 1, 1, 1);
    c = TEST_NODE(m, "Cast", "f", c);
    node_set_int(c->producer, "to", DT_FLOAT);
    test_output(TEST_NODE(m, "Mul", "y", c, TEST_NODE(m, "Mul", "scales", s, code(m, "ws", DT_FLOAT, 0.02))));
}

static void dynamic_product(Model *m)
{
    Value *s, *z, *x = test_input(m, "x", "2,4"), *q = dynamic(m, x, &s, &z);
    Value *a = MS_NODE(m, "MatMulIntegerToFloat", "a", q, CODES(m, "w", DT_INT8, 4, 3), s, test_positive(m, "ws", "3"), z, NULL,
                       test_floats(m, "b", "3"));
    Value *b = MS_NODE(m, "DynamicQuantizeMatMul", "b2", x, CODES(m, "v", DT_INT8, 4, 3), code(m, "vs", DT_FLOAT, 0.5));
    test_output(TEST_NODE(m, "Add", "y", a, b));
}

static void dynamic_lstm(Model *m)
{
    enum { HIDDEN = 3 };
    Value *x = test_input(m, "x", "4,1,5");
    Value *w = CODES(m, "w", DT_INT8, 1, 5, 4 * HIDDEN), *r = CODES(m, "r", DT_INT8, 1, HIDDEN, 4 * HIDDEN);
    Value *ws = test_fill(m, "ws", "1", 0.02F), *rs = test_fill(m, "rs", "1", 0.02F);
    Value *y = MS_NODE(m, "DynamicQuantizeLSTM", "y", x, w, r, NULL, NULL, NULL, NULL, NULL, ws, CODES(m, "wz", DT_INT8, 1), rs,
                       CODES(m, "rz", DT_INT8, 1));
    node_set_int(y->producer, "hidden_size", HIDDEN);
    test_output(y);
}

/* ---- 16-bit floats ------------------------------------------------------------------------------------------------------ */

static Value *half(Model *m, Value *constant)
{
    Tensor *tensor = NULL;
    CHECK_OK(tensor_new(m->arena, DT_FLOAT16, constant->constant->rank, constant->constant->dims, &tensor));
    for (int64_t i = 0; i < tensor->count; i++)
        tensor_set(tensor, i, tensor_get(constant->constant, i));
    value_set_constant(constant, tensor);
    return constant;
}

static void half_conv(Model *m)
{
    Value *x = test_input_of(m, "x", DT_FLOAT16, "1,2,6,6");
    Value *c = TEST_NODE(m, "Conv", "c", x, half(m, test_floats(m, "w", "3,2,3,3")), half(m, test_floats(m, "b", "3")));
    Value *more = TEST_NODE(m, "ConstantOfShape", "more", TEST_INTS(m, "shape", 1, 3, 1, 1));
    node_set_tensor(more->producer, "value", tensor_new_scalar(m->arena, DT_FLOAT16, 2.0));
    more->producer->attrs[0].t->rank = 1;
    more->producer->attrs[0].t->dims[0] = 1;
    test_output(TEST_NODE(m, "Add", "y", c, more));
}

/* ---- the tests ----------------------------------------------------------------------------------------------------------- */

static const struct Case {
    const char *name;
    void (*build)(Model *model);
    const char *after;
    double tolerance;
} cases[] = {
    {"a Relu in the scale", relu_in_the_scale, "Conv Clip", 0.02},
    {"a Relu of its own", relu_of_its_own, "Conv Relu MaxPool", 0.02},
    {"codes are moved", codes_are_moved, "MaxPool Pad Concat Shape Slice Reshape", 0.02},
    {"read in another scale", read_in_another_scale, "Mul Add", 0.02},
    {"one weight in two scales", one_weight_in_two_scales, "MatMul MatMul", 0.03},
    {"a weight quantized on the way", weight_quantized_on_the_way, "MatMul", 0.03},
    {"codes at the border", codes_at_the_border, "DequantizeLinear LeakyRelu QuantizeLinear GlobalMaxPool QuantizeLinear", 0.02},
    {"QLinear ops", qlinear_ops, "Conv LeakyRelu Add GlobalAveragePool Flatten MatMul Gemm", 0.05},
    {"QLinearConv at the border", qlinear_conv_at_the_border, "DequantizeLinear Conv Clip QuantizeLinear", 0.02},
    {"QLinearConcat", qlinear_concat, "Concat", 0.02},
    {"dynamic Conv", dynamic_conv, "Conv Mul Mul", 0.02},
    {"dynamic products", dynamic_product, "MatMul Add MatMul Add", 0.03},
    {"dynamic LSTM", dynamic_lstm, "LSTM", 0.05},
    {"Conv of 16 bits", half_conv, "Cast Conv ConstantOfShape Add Cast", 0.01},
};

static Model *build_case(void (*build)(Model *model))
{
    Model *model = model_new();
    model->ir_version = 8;
    model_set_opset(model, "", 14);
    graph_new(model, "test", NULL);
    build(model);
    return model;
}

static Status restore(Model *model)
{
    const PassStage stages[] = {PASS_RAISE, PASS_RESTORE};
    PassRecord *records = xcalloc(pass_count(), sizeof(*records));
    Status status = ops_infer(model);
    for (size_t i = 0; i < COUNT_OF(stages) && status == NULL; i++)
        status = passes_run(model, stages[i], NULL, NULL, NULL, NULL, records);
    free(records);
    return status;
}

TEST(restore_gives_the_float_graph)
{
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Model *before = build_case(cases[i].build), *after = build_case(cases[i].build);
        Text ops = {0};
        text_add(&ops, "");
        if (CHECK_OK(ops_infer(before)) && CHECK_OK(restore(after))) {
            for (const Node *node = after->graph->first; node != NULL; node = node->next)
                text_addf(&ops, "%s%s", node == after->graph->first ? "" : " ", node->op_type);
            if (strcmp(ops.data, cases[i].after) != 0)
                test_fail(__FILE__, __LINE__, "%s: ops are \"%s\", expected \"%s\"", cases[i].name, ops.data, cases[i].after);
            (void)test_same_answers(cases[i].name, before, after, cases[i].tolerance);
        } else {
            test_fail(__FILE__, __LINE__, "%s", cases[i].name);
        }
        text_free(&ops);
        model_free(before);
        model_free(after);
    }
}

/* ---- what cannot be turned back ------------------------------------------------------------------------------------------ */

static void relu_of_codes(Model *m)
{
    Value *s = code(m, "s", DT_FLOAT, 0.01), *z = code(m, "z", DT_INT8, 3);
    Value *q = TEST_NODE(m, "QuantizeLinear", "xq", test_input(m, "x", "2,5"), s, z);
    test_output(dequantized(m, "y", TEST_NODE(m, "Relu", "relu", q), scale_of(q), zero_of(q)));
}

static void computed_scale(Model *m)
{
    Value *x = test_input(m, "x", "2,5"), *s = TEST_NODE(m, "ReduceMax", "s", x);
    node_set_int(s->producer, "keepdims", 0);
    test_output(TEST_NODE(m, "DequantizeLinear", "y", TEST_NODE(m, "QuantizeLinear", "quantizer", x, s), s));
}

static void weights_in_blocks(Model *m)
{
    Value *x = test_input(m, "x", "1,32");
    Value *y = MS_NODE(m, "MatMulNBits", "blocks", x, CODES(m, "w", DT_UINT8, 4, 1, 16), test_positive(m, "ws", "4"));
    node_set_int(y->producer, "K", 32);
    node_set_int(y->producer, "N", 4);
    node_set_int(y->producer, "bits", 4);
    node_set_int(y->producer, "block_size", 32);
    test_output(y);
}

TEST(restore_names_what_it_cannot)
{
    static const struct {
        void (*build)(Model *model);
        const char *part;
    } rows[] = {
        {relu_of_codes, "node 'relu' (Relu): reads quantized values and has no float form"},
        {computed_scale, "node 'quantizer' (QuantizeLinear): its scales are computed while the model runs"},
        {weights_in_blocks, "node 'blocks' (com.microsoft.MatMulNBits): has no float form"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Model *model = build_case(rows[i].build);
        CHECK_FAILS(restore(model), CODE_UNSUPPORTED, rows[i].part);
        model_free(model);
    }
}
