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
    product->a_zero = &a_scale->zero;
    product->a_zeros = 1;
    product->a_zero_input = A_ZERO;
    product->b = ctx->in[B];
    product->b_zero = columns->zero;
    product->b_zeros = columns->zeros;
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
    const int32_t *shift;
    int32_t *sums;

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
    TRY(int_product_room(ctx, y->count, &sums));
    TRY(int_product(ctx, &product, sums, &shift));
    requantize_rows(ctx->team, sums, plan.batch * plan.m, plan.n, shift,
                    make_multipliers(ctx, a_scale.scale, &columns, y_scale.scale), columns.scales, y_scale, y->data);
    return NULL;
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

/* c, broadcast to (m, n), is added to the sums. */
static Status add_c(EvalCtx *ctx, int32_t *sums, int64_t m, int64_t n)
{
    const Tensor *c = eval_in(ctx, GEMM_C);

    if (c == NULL)
        return NULL;
    TRY(eval_require_dtype(ctx, GEMM_C, DT_INT32));
    int64_t columns = c->rank > 0 ? c->dims[c->rank - 1] : 1, rows = c->rank > 1 ? c->dims[c->rank - 2] : 1;
    if (c->rank > 2 || (rows != 1 && rows != m) || (columns != 1 && columns != n))
        return eval_error(ctx, CODE_MODEL, "input %d is %s, it cannot be broadcast to %lldx%lld", GEMM_C,
                          tensor_shape_text(ctx->scratch, c), (long long)m, (long long)n);
    const int32_t *from = c->data;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            uint32_t bias = (uint32_t)from[(rows == 1 ? 0 : i) * columns + (columns == 1 ? 0 : j)];
            sums[i * n + j] = (int32_t)((uint32_t)sums[i * n + j] + bias);
        }
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
    const int32_t *shift;
    int64_t m, n, k;
    int32_t *sums;

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
    IntProduct product = {.m = m, .n = n, .k = k, .batch = 1,
                          .shape = {.rank = 2, .a = {m, k}, .b = {k, n}, .c = {m, n}, .a_transposed = a_transposed,
                                    .b_transposed = b_transposed}};
    set_operands(&product, ctx, &a_scale, &columns, fast);
    TRY(int_product_room(ctx, y->count, &sums));
    TRY(int_product(ctx, &product, sums, &shift));
    TRY(add_c(ctx, sums, m, n));
    if (real)
        dequantize_rows(ctx->team, sums, m, n, shift, multiplier, columns.scales, y->data);
    else
        requantize_rows(ctx->team, sums, m, n, shift, multiplier, columns.scales, y_scale, y->data);
    return NULL;
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
    const int32_t *shift;

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
    product.a_zero = left.zero;
    product.a_zeros = left.zeros;
    product.a_zero_input = 2;
    product.b = b;
    product.b_zero = right.zero;
    product.b_zeros = right.zeros;
    product.b_input = 1;
    product.fast = fast;
    TRY(int_product(ctx, &product, ctx->out[0].data, &shift));
    if (shift != NULL)
        add_row_shift(ctx->out[0].data, plan.batch * plan.m, plan.n, shift);
    return NULL;
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

static bool accepts_int(const EvalCtx *ctx)
{
    (void)ctx;
    return fast_integer_exact();
}

static const AttrSpec qgemm_attrs[] = {{"alpha", ATTR_FLOAT, false},
                                       {"transA", ATTR_INT, false},
                                       {"transB", ATTR_INT, false},
                                       {NULL, ATTR_UNDEFINED, false}};
static const OpImpl qmatmul_impls[] = {{"onednn", accepts_int, eval_qmatmul_fast}, {NULL, NULL, NULL}};
static const OpImpl matmul_integer_impls[] = {{"onednn", accepts_int, eval_matmul_integer_fast}, {NULL, NULL, NULL}};
static const OpImpl qgemm_impls[] = {{"onednn", accepts_int, eval_qgemm_fast}, {NULL, NULL, NULL}};

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
