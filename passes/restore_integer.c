/* restore_integer.c - integer ops become their float ones on the values that the integers stand for: one row an op.
 *
 *     QLinearConv (x, xs, xz, w, ws, wz, ys, yz, b)      ->      Conv (x', w', b')       behind it a Clip where the output has one
 *     DynamicQuantizeLinear (x) -> q, s, z               ->      q is x, s is 1, z is 0
 *     MatMulInteger (q, w, z, wz) -> Cast -> Mul (s ws)  ->      MatMul (x, w - wz) -> Mul (ws)
 */
#include "passes/restore.h"

#include "src/ops/ops.h"

#include <string.h>

/* Along which axis of an operand its scales stand. */
typedef enum Along { ALONG_NONE, ALONG_FIRST, ALONG_LAST, ALONG_GEMM } Along;

typedef struct Slots {
    int q, scale, zero; /* inputs; -1: it has none */
    Along along;
} Slots;

typedef enum Gives {
    GIVES_CODES,  /* y_scale and y_zero say of what */
    GIVES_SUMS,   /* int32: products of codes without their zero points */
    GIVES_FLOATS
} Gives;

#define NO_SLOTS {-1, -1, -1, ALONG_NONE}
#define UNARY {{0, 1, 2, ALONG_NONE}, NO_SLOTS}, GIVES_CODES, 3, 4, -1
#define BINARY(along) {{0, 1, 2, ALONG_NONE}, {3, 4, 5, along}}, GIVES_CODES, 6, 7

static const struct Row {
    const char *op_type, *domain, *float_type;
    Slots operands[2];
    Gives gives;
    int y_scale, y_zero;
    int bias; /* int32 in the scale of the products where codes or sums come out of it, else float */
} rows[] = {
    {"QLinearConv", "", "Conv", BINARY(ALONG_FIRST), 8},
    {"QLinearMatMul", "", "MatMul", BINARY(ALONG_LAST), -1},
    {"MatMulInteger", "", "MatMul", {{0, -1, 2, ALONG_NONE}, {1, -1, 3, ALONG_LAST}}, GIVES_SUMS, -1, -1, -1},
    {"ConvInteger", "", "Conv", {{0, -1, 2, ALONG_NONE}, {1, -1, 3, ALONG_FIRST}}, GIVES_SUMS, -1, -1, -1},
    {"QGemm", DOMAIN_MICROSOFT, "Gemm", {{0, 1, 2, ALONG_NONE}, {3, 4, 5, ALONG_GEMM}}, GIVES_CODES, 7, 8, 6},
    {"QLinearAdd", DOMAIN_MICROSOFT, "Add", BINARY(ALONG_NONE), -1},
    {"QLinearMul", DOMAIN_MICROSOFT, "Mul", BINARY(ALONG_NONE), -1},
    {"QLinearSigmoid", DOMAIN_MICROSOFT, "Sigmoid", UNARY},
    {"QLinearLeakyRelu", DOMAIN_MICROSOFT, "LeakyRelu", UNARY},
    {"QLinearSoftmax", DOMAIN_MICROSOFT, "Softmax", UNARY},
    {"QLinearAveragePool", DOMAIN_MICROSOFT, "AveragePool", UNARY},
    {"QLinearGlobalAveragePool", DOMAIN_MICROSOFT, "GlobalAveragePool", UNARY},
    {"MatMulIntegerToFloat", DOMAIN_MICROSOFT, "MatMul", {{0, 2, 4, ALONG_NONE}, {1, 3, 5, ALONG_LAST}}, GIVES_FLOATS, -1, -1, 6},
    {"DynamicQuantizeMatMul", DOMAIN_MICROSOFT, "MatMul", {NO_SLOTS, {1, 2, 3, ALONG_LAST}}, GIVES_FLOATS, -1, -1, 4},
};

/* Attributes that the float op does not have. */
static const char *const own_attrs[] = {"channels_last", "opset", NULL};

static int along_axis(const Node *node, Along along, const Value *q)
{
    int rank = q->type.kind == TYPE_TENSOR ? q->type.shape.rank : -1;
    switch (along) {
    case ALONG_LAST: return MAX(rank, 1) - 1;
    case ALONG_GEMM: return node_int(node, "transB", 0) != 0 ? 0 : 1;
    default: return 0;
    }
}

static Status read_operand(Restorer *restorer, Node *node, const Slots *slots, Value **ret)
{
    Value *q = node_in(node, slots->q);
    if (q == NULL)
        return node_error(node, CODE_MODEL, "input %d is missing", slots->q);
    Twin as = {.scale = node_in(node, slots->scale), .zero = node_in(node, slots->zero), .axis = along_axis(node, slots->along, q)};
    return twin_read(restorer, node, q, &as, ret);
}

/* bias_int32 * alpha * scale of a * scale of b, of each channel. */
static Status read_int_bias(const struct Row *row, const Node *node, Value **ret)
{
    const Tensor *bias = pass_constant(node, row->bias), *a = pass_constant(node, row->operands[0].scale),
                 *b = pass_constant(node, row->operands[1].scale);
    double alpha = strcmp(row->float_type, "Gemm") == 0 ? (double)node_float(node, "alpha", 1.0F) : 1.0;
    int64_t columns = bias != NULL && bias->rank > 0 ? bias->dims[bias->rank - 1] : 1;
    Tensor *tensor;
    if (bias == NULL || a == NULL || b == NULL || a->count != 1 || (b->count != 1 && b->count != columns && columns != 1))
        return restore_refuse(node, "its bias or scales are not constant");
    bool widen = columns == 1 && b->count > 1; /* one code for all, and a scale for each */
    TRY(tensor_new(node->graph->model->arena, DT_FLOAT, widen ? 1 : bias->rank, widen ? b->dims : bias->dims, &tensor));
    for (int64_t i = 0; i < tensor->count; i++) {
        double scale = tensor_get(a, 0) * tensor_get(b, b->count == 1 ? 0 : i % b->count);
        ((float *)tensor->data)[i] = (float)(tensor_get(bias, widen ? 0 : i) * alpha * scale);
    }
    *ret = graph_add_constant(node->graph, model_fresh_name(node->graph->model, node->in[row->bias]->name), tensor);
    return NULL;
}

/* The output and its quantized form take the place of the node's. */
static Status give_codes(Restorer *restorer, Node *node, Value *real, Value *scale, Value *zero)
{
    Twin twin = {.scale = scale, .zero = zero};
    double number;
    if (!pass_is_scalar_constant(scale, &number) || (zero != NULL && !pass_is_scalar_constant(zero, &number)))
        return restore_refuse(node, "the scale of its output is not constant");
    TRY(twin_clamp(restorer, node, real, &twin, &twin.real));
    return twin_give(restorer, node, node->out[0], &twin);
}

static Status give_floats(Node *node, Value *real, Value *bias)
{
    if (bias != NULL) {
        Value *in[] = {real, bias};
        TRY(twin_node(node, "Add", 2, in, NULL, &real));
    }
    return pass_replace_node(node, real);
}

static Status check_form(const Node *node)
{
    if (node_int(node, "channels_last", 0) != 0)
        return restore_refuse(node, "has its channels last");
    if (strcmp(node->op_type, "QLinearSoftmax") == 0 && node_int(node, "opset", 13) < 13) {
        int rank = infer_shape(node, 0).rank;
        int64_t axis = node_int(node, "axis", 1);
        if (rank < 0 || (axis != -1 && axis != rank - 1))
            return restore_refuse(node, "is a Softmax of opset 12 over several axes");
    }
    return NULL;
}

static Status restore_row(Restorer *restorer, Node *node, const struct Row *row)
{
    Value *in[3] = {node_in(node, 0)}, *bias = node_in(node, row->bias), *real;
    int n = row->operands[1].q < 0 ? 1 : 2;
    TRY(check_form(node));
    for (int i = 0; i < n; i++)
        if (row->operands[i].q >= 0)
            TRY(read_operand(restorer, node, &row->operands[i], &in[i]));
    if (bias != NULL && row->gives == GIVES_CODES)
        TRY(read_int_bias(row, node, &in[n++]));
    TRY(twin_node(node, row->float_type, n, in, own_attrs, &real));
    if (row->gives == GIVES_SUMS) {
        twin_set(restorer, node->out[0], &(Twin){.real = real});
        return NULL;
    }
    Value *scale = node_in(node, row->y_scale);
    if (row->gives == GIVES_FLOATS || scale == NULL) /* QGemm without a scale for its output */
        return give_floats(node, real, row->gives == GIVES_FLOATS ? bias : NULL);
    return give_codes(restorer, node, real, scale, node_in(node, row->y_zero));
}

/* QLinearConcat (ys, yz, x0, x0s, x0z, x1 ...) */
static Status restore_concat(Restorer *restorer, Node *node)
{
    enum { FIRST = 2, STEP = 3 };
    int n = (node->n_in - FIRST) / STEP;
    Value **in = arena_array(restorer->context->scratch, (size_t)MAX(n, 1), sizeof in[0]), *real;
    for (int i = 0; i < n; i++) {
        int at = FIRST + i * STEP;
        TRY(read_operand(restorer, node, &(Slots){at, at + 1, at + 2, ALONG_NONE}, &in[i]));
    }
    TRY(twin_node(node, "Concat", n, in, own_attrs, &real));
    return give_codes(restorer, node, real, node->in[0], node->in[1]);
}

/* DynamicQuantizeLSTM keeps W and R as (directions, inputs, 4 hidden), LSTM the other way round. */
static Status restore_lstm(Restorer *restorer, Node *node)
{
    enum { INPUTS = 8, SCALES = 8 };
    Value *in[INPUTS], *outs[3];
    (void)restorer;
    for (int i = 0; i < INPUTS; i++)
        in[i] = node_in(node, i);
    for (int i = 1; i <= 2; i++) {
        const Tensor *q = pass_constant(node, i), *scale = pass_constant(node, SCALES + 2 * (i - 1)),
                     *zero = pass_constant(node, SCALES + 2 * (i - 1) + 1);
        Tensor *tensor;
        if (q == NULL || q->rank != 3 || scale == NULL || (scale->count != q->dims[0] && scale->count != q->dims[0] * q->dims[2]) ||
            (zero != NULL && zero->count != scale->count))
            return restore_refuse(node, "its weights are not constant");
        int64_t rows_in = q->dims[1], columns = q->dims[2], each = scale->count == q->dims[0] ? 1 : columns;
        TRY(tensor_new(node->graph->model->arena, DT_FLOAT, 3, (int64_t[]){q->dims[0], columns, rows_in}, &tensor));
        for (int64_t k = 0; k < q->count; k++) {
            int64_t direction = k / (rows_in * columns), row = k / columns % rows_in, column = k % columns;
            int64_t at = direction * each + (each == 1 ? 0 : column);
            ((float *)tensor->data)[(direction * columns + column) * rows_in + row] =
                (float)((tensor_get(q, k) - (zero == NULL ? 0.0 : tensor_get(zero, at))) * tensor_get(scale, at));
        }
        in[i] = graph_add_constant(node->graph, model_fresh_name(node->graph->model, node->in[i]->name), tensor);
    }
    for (int i = 0; i < node->n_out; i++) {
        outs[i] = node->out[i];
        node_set_output(node, i, NULL);
    }
    Node *lstm = graph_add_node(node->graph, node, "LSTM", "", node->name, INPUTS, in, 0, NULL);
    for (int i = 0; i < node->n_attrs; i++)
        *node_add_attr(lstm, node->attrs[i].name, node->attrs[i].kind) = node->attrs[i];
    for (int i = 0; i < node->n_out; i++)
        node_set_output(lstm, i, outs[i]);
    ops_bind_node(lstm);
    node_remove(node);
    return ops_infer_node(lstm);
}

Status restore_integer(Restorer *restorer, Node *node, bool *ret_done)
{
    bool microsoft = node->def != NULL && strcmp(node->domain, DOMAIN_MICROSOFT) == 0;
    *ret_done = true;
    if (microsoft && strcmp(node->op_type, "QLinearConcat") == 0)
        return restore_concat(restorer, node);
    if (microsoft && strcmp(node->op_type, "DynamicQuantizeLSTM") == 0)
        return restore_lstm(restorer, node);
    for (size_t i = 0; i < COUNT_OF(rows) && node->def != NULL; i++)
        if (strcmp(rows[i].op_type, node->op_type) == 0 && strcmp(rows[i].domain, node->domain) == 0)
            return restore_row(restorer, node, &rows[i]);
    *ret_done = false;
    return NULL;
}
