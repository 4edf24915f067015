/* test_gated.c - x * gate(x) in bytes, which is one table: it gives what the nodes one by one give, also where the
 * same bytes are written with one scale and read with another.
 *
 *     x ─ Q ─┬─ DQ ─ Sigmoid ─ Q ─ DQ ─┐
 *            └─ DQ ────────────────── Mul ─ Q ─ DQ ─ y
 */
#include "src/ops/ops.h"
#include "tests/passes/graphs.h"
#include "tests/passes/quantized.h"
#include "tests/test.h"

#include <stdlib.h>

static Value *point(Model *m, const char *name, int code)
{
    Tensor *tensor;
    if (!CHECK_OK(tensor_new(m->arena, DT_UINT8, 0, NULL, &tensor)))
        abort();
    *(uint8_t *)tensor->data = (uint8_t)code;
    return graph_add_constant(m->graph, name, tensor);
}

static Value *pass_through(Model *m, const char *op, const char *name, Value *x, float scale, int zero)
{
    Value *s = test_number(m, arena_printf(m->arena, "%s_s", name), scale), *z = point(m, arena_printf(m->arena, "%s_z", name), zero);
    return TEST_NODE(m, op, name, x, s, z);
}

typedef struct Scales {
    float own, written, read, x;       /* the gate's reading of x, what it writes, what the product reads of it and of x */
    int own_zero, written_zero, read_zero, x_zero;
} Scales;

static Model *gated(const Scales *scales, bool sigmoid, bool gate_first)
{
    Model *m = model_new();
    m->ir_version = 8;
    model_set_opset(m, "", 17);
    graph_new(m, "test", NULL);
    Value *xq = pass_through(m, "QuantizeLinear", "xq", test_input(m, "x", "N,3,40"), 0.01f, 90);
    Value *own = pass_through(m, "DequantizeLinear", "own", xq, scales->own, scales->own_zero);
    Value *x = pass_through(m, "DequantizeLinear", "xd", xq, scales->x, scales->x_zero);
    Value *half = pass_through(m, "DequantizeLinear", "half", point(m, "half_q", 200), 0.0025f, 0);
    Value *gate = sigmoid ? TEST_NODE(m, "Sigmoid", "gate", own) : TEST_NODE(m, "Add", "gate", half, own);
    gate = pass_through(m, "QuantizeLinear", "gate_q", gate, scales->written, scales->written_zero);
    gate = pass_through(m, "DequantizeLinear", "gate_d", gate, scales->read, scales->read_zero);
    Value *y = gate_first ? TEST_NODE(m, "Mul", "product", gate, x) : TEST_NODE(m, "Mul", "product", x, gate);
    y = pass_through(m, "QuantizeLinear", "yq", y, 0.009f, 60);
    test_output(pass_through(m, "DequantizeLinear", "y", y, 0.009f, 60));
    ops_bind(m);
    CHECK_OK(ops_infer(m));
    return m;
}

TEST(gates_of_bytes_become_one_table)
{
    static const Scales cases[] = {
        {0.01f, 1.0f / 256, 1.0f / 256, 0.01f, 90, 0, 0, 90},   /* SiLU */
        {0.0162f, 1.0f / 258, 1.0f / 251, 0.01f, 90, 0, 4, 90}, /* GELU */
        {0.02f, 1.0f / 256, 1.0f / 128, 0.01f, 90, 0, 128, 90}, /* x tanh(x) */
        {0.01f, 1.0f / 256, 1.0f / 256, 0.03f, 90, 0, 0, 70},   /* the product reads x otherwise */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (int form = 0; form < 4; form++) {
            Model *m = gated(&cases[i], form % 2 == 0, form / 2 == 0);
            Tensor fast = quantized_run(m, NULL, 0, NULL);
            Tensor floats = quantized_run(m, &(PlanOptions){.no_integer = true}, 0, NULL);
            double db = quantized_sqnr_db(&floats, &fast);
            if (!(db > 40.0)) /* but for ties that floats round otherwise */
                test_fail(__FILE__, __LINE__, "case %zu, form %d: %.1f dB from the nodes one by one", i, form, db);
            tensor_release(&fast);
            tensor_release(&floats);
            model_free(m);
        }
}
