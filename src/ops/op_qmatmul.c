/* op_qmatmul.c - QLinearMatMul, MatMulInteger, and com.microsoft's QGemm: 8-bit products with 32-bit sums.
 *
 *     QLinearMatMul  a a_scale a_zero b b_scale b_zero y_scale y_zero
 *     QGemm          a a_scale a_zero b b_scale b_zero [c] [y_scale] [y_zero]: alpha a' b' + c, float without y_scale
 *     MatMulInteger  a b [a_zero] [b_zero] -> int32
 */
#include "src/ops/heavy.h"

enum { A, A_SCALE, A_ZERO, B, B_SCALE, B_ZERO, MM_Y_SCALE, MM_Y_ZERO, GEMM_C = 6, GEMM_Y_SCALE, GEMM_Y_ZERO };

static Status check_8_bit(const EvalCtx *ctx, int a, int b)
{
    if (!is_8_bit(ctx->in[a]))
        return eval_bad_dtype(ctx, a);
    return is_8_bit(ctx->in[b]) ? NULL : eval_bad_dtype(ctx, b);
}

/* Zero points and scales of b stand for its columns: one number, or n along its last axis. */
static Status check_columns(const EvalCtx *ctx, int i, int64_t n)
{
    const Tensor *tensor = eval_in(ctx, i);

    if (tensor != NULL && tensor->count > 1 && tensor->dims[tensor->rank - 1] != n)
        return eval_error(ctx, CODE_UNSUPPORTED, "input %d is %s, expected one number or one for each of %lld columns",
                          i, tensor_shape_text(ctx->scratch, tensor), (long long)n);
    return NULL;
}

static void set_operands(IntProduct *product, const EvalCtx *ctx, const Scale8 *a_scale, const ChannelScales *columns, bool fast)
{
    product->a = ctx->in[A];
    product->bytes.a.zero = &a_scale->zero;
    product->bytes.a.zeros = 1;
    product->a_zero_input = A_ZERO;
    product->b = ctx->in[B];
    product->bytes.b.zero = columns->zero;
    product->bytes.b.zeros = columns->zeros;
    product->bytes.multipliers = columns->scales;
    product->b_input = B;
    product->fast = fast;
}

/* ---- QLinearMatMul ----------------------------------------------------------------------------------------------- */

static Status infer_qmatmul(Node *node)
{
    return matmul_infer(node, A, B, infer_dtype(node, MM_Y_ZERO));
}

static Status run_qmatmul(EvalCtx *ctx, bool fast)
{
    const Tensor *a = ctx->in[A], *b = ctx->in[B];
    Scale8 a_scale, y_scale;
    ChannelScales columns;
    MatmulPlan plan;

    TRY(check_8_bit(ctx, A, B));
    TRY(matmul_plan(ctx, a, b, &plan));
    TRY(read_scale8(ctx, A_SCALE, A_ZERO, a->dtype, &a_scale));
    TRY(check_columns(ctx, B_SCALE, plan.n));
    TRY(check_columns(ctx, B_ZERO, plan.n));
    TRY(read_channel_scales(ctx, B_SCALE, B_ZERO, b->dtype, plan.n, &columns));
    TRY(read_scale8(ctx, MM_Y_SCALE, MM_Y_ZERO, ctx->in[MM_Y_ZERO]->dtype, &y_scale));
    TRY(eval_output(ctx, 0, ctx->in[MM_Y_ZERO]->dtype, plan.rank, plan.dims));
    Tensor *y = &ctx->out[0];
    if (y->count == 0)
        return NULL;
    IntProduct product = int_product_of_plan(&plan);
    set_operands(&product, ctx, &a_scale, &columns, fast);
    product.bytes.result = BYTE_CODES;
    product.bytes.multiplier = make_multipliers(ctx, a_scale.scale, &columns, y_scale.scale);
    product.bytes.y_scale = y_scale;
    product.bytes.y = y->data;
    return int_product(ctx, &product);
}

static Status eval_qmatmul(EvalCtx *ctx)
{
    return run_qmatmul(ctx, false);
}

static Status eval_qmatmul_fast(EvalCtx *ctx)
{
    return run_qmatmul(ctx, true);
}

/* ---- QGemm ------------------------------------------------------------------------------------------------------- */

static Status infer_qgemm(Node *node)
{
    return gemm_infer(node, A, B, node_in(node, GEMM_Y_SCALE) == NULL ? DT_FLOAT : infer_dtype(node, A));
}

/* c broadcast to one number a column, NULL when there is none; sums are needed first where it differs from row to row. */
static Status read_c(EvalCtx *ctx, int64_t m, int64_t n, const int32_t **ret_row, bool *ret_rows_differ)
{
    const Tensor *c = eval_in(ctx, GEMM_C);

    *ret_row = NULL;
    *ret_rows_differ = false;
    if (c == NULL)
        return NULL;
    TRY(eval_require_dtype(ctx, GEMM_C, DT_INT32));
    int64_t columns = c->rank > 0 ? c->dims[c->rank - 1] : 1, rows = c->rank > 1 ? c->dims[c->rank - 2] : 1;
    if (c->rank > 2 || (rows != 1 && rows != m) || (columns != 1 && columns != n))
        return eval_error(ctx, CODE_MODEL, "input %d is %s, it cannot be broadcast to %lldx%lld", GEMM_C,
                          tensor_shape_text(ctx->scratch, c), (long long)m, (long long)n);
    *ret_rows_differ = rows != 1;
    *ret_row = c->data;
    if (rows != 1 || columns == n)
        return NULL;
    int32_t *row;
    TRY(int_product_room(ctx, n, &row));
    for (int64_t j = 0; j < n; j++)
        row[j] = ((const int32_t *)c->data)[0];
    *ret_row = row;
    return NULL;
}

/* The sums, a c that differs from row to row added, then what QGemm gives. */
static Status qgemm_by_sums(EvalCtx *ctx, IntProduct *product)
{
    ByteProduct *bytes = &product->bytes, finish = *bytes;
    const Tensor *c = ctx->in[GEMM_C];
    int64_t m = bytes->m, n = bytes->n, columns = c->dims[c->rank - 1];
    int32_t *sums;

    TRY(int_product_room(ctx, m * n, &sums));
    bytes->result = BYTE_SUMS;
    bytes->bias = NULL;
    bytes->y = sums;
    TRY(int_product(ctx, product));
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            uint32_t more = (uint32_t)((const int32_t *)c->data)[i * columns + (columns == 1 ? 0 : j)];
            sums[i * n + j] = (int32_t)((uint32_t)sums[i * n + j] + more);
        }
    if (finish.result == BYTE_FLOATS)
        dequantize_rows(ctx->team, sums, m, n, finish.multiplier, finish.multipliers, finish.y);
    else
        requantize_rows(ctx->team, sums, m, n, finish.multiplier, finish.multipliers, finish.y_scale, finish.y);
    return NULL;
}

static Status run_qgemm(EvalCtx *ctx, bool fast)
{
    const Tensor *a = ctx->in[A], *b = ctx->in[B];
    bool a_transposed = node_int(ctx->node, "transA", 0) != 0, b_transposed = node_int(ctx->node, "transB", 0) != 0;
    bool real = eval_in(ctx, GEMM_Y_SCALE) == NULL;
    float alpha = node_float(ctx->node, "alpha", 1.0F);
    Scale8 a_scale, y_scale = {KERNEL_U8, 1.0F, 0};
    ChannelScales columns;
    int64_t m, n, k;
    bool rows_differ;

    TRY(check_8_bit(ctx, A, B));
    TRY(gemm_sizes(ctx, a, b, &m, &n, &k));
    TRY(read_scale8(ctx, A_SCALE, A_ZERO, a->dtype, &a_scale));
    TRY(read_channel_scales(ctx, B_SCALE, B_ZERO, b->dtype, n, &columns));
    if (!real)
        TRY(read_scale8(ctx, GEMM_Y_SCALE, GEMM_Y_ZERO, a->dtype, &y_scale));
    const float *multiplier = make_multipliers(ctx, alpha * a_scale.scale, &columns, y_scale.scale);
    TRY(eval_output(ctx, 0, real ? DT_FLOAT : a->dtype, 2, (int64_t[]){m, n}));
    Tensor *y = &ctx->out[0];
    if (y->count == 0)
        return NULL;
    IntProduct product = {.bytes = {.m = m, .n = n, .k = k, .batch = 1, .result = real ? BYTE_FLOATS : BYTE_CODES,
                                    .multiplier = multiplier, .y_scale = y_scale, .y = y->data},
                          .shape = {.rank = 2, .a = {m, k}, .b = {k, n}, .c = {m, n}, .a_transposed = a_transposed,
                                    .b_transposed = b_transposed}};
    set_operands(&product, ctx, &a_scale, &columns, fast);
    TRY(read_c(ctx, m, n, &product.bytes.bias, &rows_differ));
    return rows_differ ? qgemm_by_sums(ctx, &product) : int_product(ctx, &product);
}

static Status eval_qgemm(EvalCtx *ctx)
{
    return run_qgemm(ctx, false);
}

static Status eval_qgemm_fast(EvalCtx *ctx)
{
    return run_qgemm(ctx, true);
}

/* ---- MatMulInteger ----------------------------------------------------------------------------------------------- */

static Status infer_matmul_integer(Node *node)
{
    return matmul_infer(node, 0, 1, DT_INT32);
}

static Status run_matmul_integer(EvalCtx *ctx, bool fast)
{
    const Tensor *a = ctx->in[0], *b = ctx->in[1];
    ChannelScales left, right;
    MatmulPlan plan;

    TRY(check_8_bit(ctx, 0, 1));
    TRY(matmul_plan(ctx, a, b, &plan));
    TRY(check_columns(ctx, 3, plan.n));
    TRY(read_channel_scales(ctx, -1, 2, a->dtype, plan.m, &left));
    TRY(read_channel_scales(ctx, -1, 3, b->dtype, plan.n, &right));
    TRY(eval_output(ctx, 0, DT_INT32, plan.rank, plan.dims));
    if (ctx->out[0].count == 0)
        return NULL;
    IntProduct product = int_product_of_plan(&plan);
    product.a = a;
    product.bytes.a.zero = left.zero;
    product.bytes.a.zeros = left.zeros;
    product.a_zero_input = 2;
    product.b = b;
    product.bytes.b.zero = right.zero;
    product.bytes.b.zeros = right.zeros;
    product.b_input = 1;
    product.fast = fast;
    product.bytes.result = BYTE_SUMS;
    product.bytes.y = ctx->out[0].data;
    return int_product(ctx, &product);
}

static Status eval_matmul_integer(EvalCtx *ctx)
{
    return run_matmul_integer(ctx, false);
}

static Status eval_matmul_integer_fast(EvalCtx *ctx)
{
    return run_matmul_integer(ctx, true);
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

static const AttrSpec qgemm_attrs[] = {{"alpha", ATTR_FLOAT, false},
                                       {"transA", ATTR_INT, false},
                                       {"transB", ATTR_INT, false},
                                       {NULL, ATTR_UNDEFINED, false}};
static const OpImpl qmatmul_impls[] = {{"integer", int_product_accepts, eval_qmatmul_fast}, {NULL, NULL, NULL}};
static const OpImpl matmul_integer_impls[] = {{"integer", int_product_accepts, eval_matmul_integer_fast}, {NULL, NULL, NULL}};
static const OpImpl qgemm_impls[] = {{"integer", int_product_accepts, eval_qgemm_fast}, {NULL, NULL, NULL}};

const OpDef op_qlinearmatmul = {
    .type = "QLinearMatMul",
    .domain = "",
    .versions = {10, 21},
    .min_in = 8,
    .max_in = 8,
    .min_out = 1,
    .max_out = 1,
    .infer = infer_qmatmul,
    .eval = eval_qmatmul,
    .impls = qmatmul_impls,
    .quant = RULE_FLOAT,
};

const OpDef op_matmulinteger = {
    .type = "MatMulInteger",
    .domain = "",
    .versions = {10},
    .min_in = 2,
    .max_in = 4,
    .min_out = 1,
    .max_out = 1,
    .infer = infer_matmul_integer,
    .eval = eval_matmul_integer,
    .impls = matmul_integer_impls,
    .quant = RULE_FLOAT,
};

const OpDef op_ms_qgemm = {
    .type = "QGemm",
    .domain = DOMAIN_MICROSOFT,
    .versions = {1},
    .min_in = 6,
    .max_in = 9,
    .min_out = 1,
    .max_out = 1,
    .attrs = qgemm_attrs,
    .infer = infer_qgemm,
    .eval = eval_qgemm,
    .impls = qgemm_impls,
    .quant = RULE_FLOAT,
};
