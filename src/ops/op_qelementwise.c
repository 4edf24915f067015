/* op_qelementwise.c - com.microsoft's 8-bit ops on single elements: QLinearAdd, QLinearMul, QLinearSigmoid,
 * QLinearLeakyRelu, QLinearConcat.
 *
 *     binary  a a_scale a_zero b b_scale b_zero y_scale y_zero        unary  x x_scale x_zero y_scale y_zero
 *     concat  y_scale y_zero (x x_scale x_zero)...                    a zero point may be left out: 0
 */
#include "src/ops/heavy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- QLinearAdd, QLinearMul: numpy broadcast --------------------------------------------------------------------- */

typedef void (*BinaryRow)(const void *a, int64_t a_step, Scale8 a_scale, const void *b, int64_t b_step, Scale8 b_scale,
                          int64_t n, Scale8 y_scale, void *y);

typedef struct Binary {
    BinaryRow row;
    Scale8 a_scale, b_scale, y_scale;
} Binary;

static void binary_row(const void *context, int64_t n, const void *const *in, const int64_t *step, void *out)
{
    const Binary *job = context;

    job->row(in[0], step[0], job->a_scale, in[1], step[1], job->b_scale, n, job->y_scale, out);
}

static Status infer_binary(Node *node)
{
    Shape a = infer_shape(node, 0), b = infer_shape(node, 3), out;

    Status status = shape_broadcast(&a, &b, &out);
    if (status != NULL) {
        Status error = node_error(node, CODE_MODEL, "%s", status_message(status));
        status_free(status);
        return error;
    }
    infer_output(node, 0, infer_dtype(node, 0), &out);
    return NULL;
}

static Status eval_binary(EvalCtx *ctx, BinaryRow row)
{
    const Tensor *in[2] = {ctx->in[0], eval_in(ctx, 3)};
    Binary job = {.row = row};
    Broadcast plan;

    if (in[1] == NULL)
        return eval_error(ctx, CODE_MODEL, "input 3 is missing");
    TRY(eval_require_same_dtype(ctx, 0, 3));
    TRY(read_scale8(ctx, 1, 2, in[0]->dtype, &job.a_scale));
    TRY(read_scale8(ctx, 4, 5, in[0]->dtype, &job.b_scale));
    TRY(read_scale8(ctx, 6, 7, in[0]->dtype, &job.y_scale));
    TRY(broadcast_plan(ctx, in, 2, &plan));
    TRY(eval_output(ctx, 0, in[0]->dtype, plan.out_rank, plan.out_dims));
    broadcast_visit(ctx->team, &plan, in, ctx->out[0].data, 1, binary_row, &job);
    return NULL;
}

static Status eval_add(EvalCtx *ctx)
{
    return eval_binary(ctx, qlinear_add_row);
}

static Status eval_mul(EvalCtx *ctx)
{
    return eval_binary(ctx, qlinear_mul_row);
}

/* ---- functions of one element: a table of all 256 ---------------------------------------------------------------- */

static float identity(float x, float unused)
{
    (void)unused;
    return x;
}

static float sigmoid(float x, float unused)
{
    (void)unused;
    return (float)(1.0 / (1.0 + exp(-(double)x)));
}

static float leaky_relu(float x, float alpha)
{
    return x >= 0.0F ? x : alpha * x;
}

static Status eval_table(EvalCtx *ctx, float (*function)(float x, float parameter), float parameter)
{
    const Tensor *x = ctx->in[0];
    Scale8 from, to;
    uint8_t table[256];

    TRY(read_scale8(ctx, 1, 2, x->dtype, &from));
    TRY(read_scale8(ctx, 3, 4, x->dtype, &to));
    TRY(eval_output(ctx, 0, x->dtype, x->rank, x->dims));
    table_build(from, to, function, parameter, table);
    table_apply(ctx->team, table, x->data, x->count, ctx->out[0].data);
    return NULL;
}

static Status eval_sigmoid(EvalCtx *ctx)
{
    return eval_table(ctx, sigmoid, 0.0F);
}

static Status eval_leaky_relu(EvalCtx *ctx)
{
    return eval_table(ctx, leaky_relu, node_float(ctx->node, "alpha", 0.01F));
}

/* ---- QLinearGated: x x_scale x_zero, gate_scale gate_zero, y_scale y_zero, and what the gate has ------------------------
 *
 * QLinearMul of x and its QLinearSigmoid (x_scale x_zero, y_scale y_zero); or of x and the QLinearAdd that has the next six, in
 * which x itself is left out and the other side is one constant, and then y_scale y_zero. The same bytes may be written with one
 * scale and read with another.
 */

enum { GATE_OWN = 7, GATE_SUM_B = 10, GATE_SIGMOID_INPUTS = 11, GATE_INPUTS = 15 };

/* The gate of each of the 256 bytes. */
static Status gate_table(const EvalCtx *ctx, const uint8_t bytes[256], uint8_t ret[256])
{
    DType dtype = ctx->in[0]->dtype;
    Scale8 a, b, gate;

    TRY(read_scale8(ctx, ctx->n_in - 2, ctx->n_in - 1, dtype, &gate));
    if (ctx->n_in == GATE_SIGMOID_INPUTS) {
        TRY(read_scale8(ctx, GATE_OWN, GATE_OWN + 1, dtype, &a));
        table_build(a, gate, sigmoid, 0.0F, ret);
        return NULL;
    }
    const Tensor *left = eval_in(ctx, GATE_OWN), *right = eval_in(ctx, GATE_SUM_B);
    TRY(read_scale8(ctx, GATE_OWN + 1, GATE_OWN + 2, dtype, &a));
    TRY(read_scale8(ctx, GATE_SUM_B + 1, GATE_SUM_B + 2, dtype, &b));
    qlinear_add_row(left == NULL ? bytes : left->data, left == NULL, a, right == NULL ? bytes : right->data, right == NULL, b,
                    256, gate, ret);
    return NULL;
}

static Status gated_table(const EvalCtx *ctx, uint8_t ret[256])
{
    Scale8 x, gate, y;
    uint8_t bytes[256], gates[256];
    DType dtype = ctx->in[0]->dtype;

    TRY(read_scale8(ctx, 1, 2, dtype, &x));
    TRY(read_scale8(ctx, 3, 4, dtype, &gate));
    TRY(read_scale8(ctx, 5, 6, dtype, &y));
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    TRY(gate_table(ctx, bytes, gates));
    qlinear_mul_row(bytes, 1, x, gates, 1, gate, 256, y, ret);
    return NULL;
}

static Status eval_gated(EvalCtx *ctx)
{
    static const char key[] = "table";
    const Tensor *x = ctx->in[0];
    uint8_t *table = eval_cache_get(ctx, key, sizeof key); /* its scales are constants of the model */

    if (table == NULL) {
        uint8_t made[256];
        TRY(gated_table(ctx, made));
        table = xcalloc(1, sizeof made);
        memcpy(table, made, sizeof made);
        table = eval_cache_put(ctx, key, sizeof key, table, free);
    }
    TRY(eval_output_over(ctx, 0, 0, x->dtype, x->rank, x->dims));
    table_apply(ctx->team, table, x->data, x->count, ctx->out[0].data);
    return NULL;
}

/* ---- QLinearConcat ----------------------------------------------------------------------------------------------- */

enum { CONCAT_FIRST = 2, CONCAT_STEP = 3 };

static Status infer_concat(Node *node)
{
    Shape out = infer_shape(node, CONCAT_FIRST);
    int axis;

    if ((node->n_in - CONCAT_FIRST) % CONCAT_STEP != 0)
        return node_error(node, CODE_MODEL, "%d inputs, expected 2 and 3 for each tensor", node->n_in);
    if (out.rank >= 0) {
        TRY(infer_axis(node, node_int(node, "axis", 0), out.rank, &axis));
        for (int i = CONCAT_FIRST + CONCAT_STEP; i < node->n_in; i += CONCAT_STEP) {
            Shape next = infer_shape(node, i);
            if (next.rank >= 0 && next.rank != out.rank)
                return node_error(node, CODE_MODEL, "inputs have rank %d and %d", out.rank, next.rank);
            bool known = next.rank >= 0 && dim_is_known(next.dims[axis]) && dim_is_known(out.dims[axis]);
            int64_t sum;
            if (known && !__builtin_add_overflow(next.dims[axis].size, out.dims[axis].size, &sum))
                out.dims[axis] = dim_known(sum);
            else
                out.dims[axis] = DIM_UNKNOWN;
        }
    }
    infer_output(node, 0, infer_dtype(node, CONCAT_FIRST), &out);
    return NULL;
}

static Status concat_dims(EvalCtx *ctx, int *ret_axis, int64_t dims[TENSOR_MAX_RANK])
{
    const Tensor *first = eval_in(ctx, CONCAT_FIRST);

    if (first == NULL || (ctx->n_in - CONCAT_FIRST) % CONCAT_STEP != 0)
        return eval_error(ctx, CODE_MODEL, "%d inputs, expected 2 and 3 for each tensor", ctx->n_in);
    TRY(eval_axis(ctx, node_int(ctx->node, "axis", 0), first->rank, ret_axis));
    for (int d = 0; d < first->rank; d++)
        dims[d] = first->dims[d];
    for (int i = CONCAT_FIRST + CONCAT_STEP; i < ctx->n_in; i += CONCAT_STEP) {
        const Tensor *next = ctx->in[i];
        if (next == NULL)
            return eval_error(ctx, CODE_MODEL, "input %d is missing", i);
        TRY(eval_require_same_dtype(ctx, CONCAT_FIRST, i));
        for (int d = 0; d < first->rank; d++)
            if (next->rank != first->rank || (d != *ret_axis && next->dims[d] != first->dims[d]))
                return eval_error(ctx, CODE_MODEL, "inputs %d and %d do not fit together: %s and %s", CONCAT_FIRST, i,
                                  tensor_shape_text(ctx->scratch, first), tensor_shape_text(ctx->scratch, next));
        if (__builtin_add_overflow(dims[*ret_axis], next->dims[*ret_axis], &dims[*ret_axis]))
            return eval_error(ctx, CODE_MODEL, "the output is too large");
    }
    return NULL;
}

/* From the scale of each input to that of the output, 256 bytes for each; same: nothing to do. */
typedef struct ConcatTables {
    int n;
    bool *same;
    uint8_t (*tables)[256];
} ConcatTables;

static void concat_tables_free(void *tables)
{
    ConcatTables *mine = tables;

    free(mine->same);
    free(mine->tables);
    free(mine);
}

static Status read_concat_tables(const EvalCtx *ctx, Scale8 to, ConcatTables *ret)
{
    for (int k = 0; k < ret->n; k++) {
        int i = CONCAT_FIRST + k * CONCAT_STEP;
        Scale8 from;
        TRY(read_scale8(ctx, i + 1, i + 2, ctx->in[i]->dtype, &from));
        ret->same[k] = from.scale == to.scale && from.zero == to.zero;
        table_build(from, to, identity, 0.0F, ret->tables[k]);
    }
    return NULL;
}

/* Kept where the scales are constants of the model; else they live as long as the scratch. */
static Status concat_tables(EvalCtx *ctx, const ConcatTables **ret)
{
    static const char key[] = "tables";
    bool constant = eval_is_constant(ctx, 0) && (eval_in(ctx, 1) == NULL || eval_is_constant(ctx, 1));
    Scale8 to;

    for (int i = CONCAT_FIRST; i < ctx->n_in; i += CONCAT_STEP)
        constant = constant && eval_is_constant(ctx, i + 1) && (eval_in(ctx, i + 2) == NULL || eval_is_constant(ctx, i + 2));
    *ret = constant ? eval_cache_get(ctx, key, sizeof key) : NULL;
    if (*ret != NULL)
        return NULL;
    TRY(read_scale8(ctx, 0, 1, ctx->in[CONCAT_FIRST]->dtype, &to));
    ConcatTables *tables = xcalloc(1, sizeof *tables);
    tables->n = (ctx->n_in - CONCAT_FIRST) / CONCAT_STEP;
    tables->same = xcalloc((size_t)tables->n, sizeof tables->same[0]);
    tables->tables = xcalloc((size_t)tables->n, sizeof tables->tables[0]);
    Status status = read_concat_tables(ctx, to, tables);
    if (status != NULL) {
        concat_tables_free(tables);
        return status;
    }
    if (constant)
        tables = eval_cache_put(ctx, key, sizeof key, tables, concat_tables_free);
    else
        arena_on_free(ctx->scratch, concat_tables_free, tables);
    *ret = tables;
    return NULL;
}

static Status eval_concat(EvalCtx *ctx)
{
    int64_t dims[TENSOR_MAX_RANK];
    const ConcatTables *tables;
    int axis;

    TRY(concat_dims(ctx, &axis, dims));
    const Tensor *first = ctx->in[CONCAT_FIRST];
    TRY(concat_tables(ctx, &tables));
    TRY(eval_output(ctx, 0, first->dtype, first->rank, dims));
    int64_t inner = count_of(dims, axis + 1, first->rank);
    ConcatPart *parts = arena_array(ctx->scratch, (size_t)tables->n, sizeof *parts);
    for (int k = 0; k < tables->n; k++) {
        const Tensor *x = ctx->in[CONCAT_FIRST + k * CONCAT_STEP];
        parts[k] = (ConcatPart){x->data, (size_t)(x->dims[axis] * inner), tables->same[k] ? NULL : tables->tables[k]};
    }
    concat_rows(ctx->team, count_of(dims, 0, axis), parts, tables->n, ctx->out[0].data);
    return NULL;
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

static const AttrSpec leaky_attrs[] = {{"alpha", ATTR_FLOAT, false}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec concat_attrs[] = {{"axis", ATTR_INT, true}, {NULL, ATTR_UNDEFINED, false}};

const OpDef op_ms_qlinearadd = {
    .type = "QLinearAdd",
    .domain = DOMAIN_MICROSOFT,
    .versions = {1},
    .min_in = 2, /* zero points may be omitted in the middle; the rest is checked as it is read */
    .max_in = 8,
    .min_out = 1,
    .max_out = 1,
    .infer = infer_binary,
    .eval = eval_add,
    .quant = RULE_FLOAT,
};

const OpDef op_ms_qlinearmul = {
    .type = "QLinearMul",
    .domain = DOMAIN_MICROSOFT,
    .versions = {1},
    .min_in = 2, /* zero points may be omitted in the middle; the rest is checked as it is read */
    .max_in = 8,
    .min_out = 1,
    .max_out = 1,
    .infer = infer_binary,
    .eval = eval_mul,
    .quant = RULE_FLOAT,
};

const OpDef op_ms_qlinearsigmoid = {
    .type = "QLinearSigmoid",
    .domain = DOMAIN_MICROSOFT,
    .versions = {1},
    .min_in = 2,
    .max_in = 5,
    .min_out = 1,
    .max_out = 1,
    .infer = infer_same_as_input,
    .eval = eval_sigmoid,
    .quant = RULE_FLOAT,
};

const OpDef op_ms_qlinearleakyrelu = {
    .type = "QLinearLeakyRelu",
    .domain = DOMAIN_MICROSOFT,
    .versions = {1},
    .min_in = 2,
    .max_in = 5,
    .min_out = 1,
    .max_out = 1,
    .attrs = leaky_attrs,
    .infer = infer_same_as_input,
    .eval = eval_leaky_relu,
    .quant = RULE_FLOAT,
};

const OpDef op_ms_qlinearconcat = {
    .type = "QLinearConcat",
    .domain = DOMAIN_MICROSOFT,
    .versions = {1},
    .min_in = 5,
    .max_in = OP_VARIADIC,
    .min_out = 1,
    .max_out = 1,
    .attrs = concat_attrs,
    .infer = infer_concat,
    .eval = eval_concat,
    .quant = RULE_FLOAT,
};

const OpDef op_private_qlineargated = {
    .type = "QLinearGated",
    .domain = DOMAIN_MICROSOFT,
    .versions = {1},
    .min_in = GATE_OWN,
    .max_in = GATE_INPUTS,
    .min_out = 1,
    .max_out = 1,
    .infer = infer_same_as_input,
    .eval = eval_gated,
    .quant = RULE_FLOAT,
};
