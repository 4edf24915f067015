/* op_qmatmul.c - QLinearMatMul, MatMulInteger, and com.microsoft's QGemm: 8-bit products with 32-bit sums.
 *
 *     QLinearMatMul  a a_scale a_zero b b_scale b_zero y_scale y_zero
 *     QGemm          a a_scale a_zero b b_scale b_zero [c] [y_scale] [y_zero]: alpha a' b' + c, float without y_scale
 *     MatMulInteger  a b [a_zero] [b_zero] -> int32
 */
#include "src/ops/heavy.h"

#include <string.h>

enum { A, A_SCALE, A_ZERO, B, B_SCALE, B_ZERO, MM_Y_SCALE, MM_Y_ZERO, GEMM_C = 6, GEMM_Y_SCALE, GEMM_Y_ZERO };

/* Everything between the sums and the output. */
typedef struct QProduct {
    Scale8 a_scale, y_scale;
    ChannelScales b;
    const float *multiplier;
    FastMatmulShape shape;
} QProduct;

/* All but the matrices themselves: the primitive holds the zero point of a. */
static bool parameters_constant(const EvalCtx *ctx)
{
    for (int i = A_SCALE; i < ctx->n_in; i++)
        if (i != B && ctx->in[i] != NULL && !eval_is_constant(ctx, i))
            return false;
    return true;
}

static void *make_fast(const void *context)
{
    const QProduct *product = context;
    FastInt integer = {product->a_scale.zero};

    return fast_matmul_new(&product->shape, product->a_scale.type, &integer, NULL);
}

/* With constant parameters the primitive is made once, else for this run. */
static Status run_fast(EvalCtx *ctx, const QProduct *product, int32_t *sums, bool *ret_done)
{
    bool constant = parameters_constant(ctx), owned;
    void *scratch;

    FastMatmul *fast = heavy_prepare(ctx, &product->shape, sizeof product->shape, constant, make_fast, product,
                                     fast_matmul_free, &owned);
    *ret_done = false;
    if (fast == NULL)
        return NULL;
    Status status = eval_scratch(ctx, fast_matmul_scratch(fast), &scratch);
    if (status == NULL)
        *ret_done = fast_matmul_run(fast, heavy_threads(ctx), ctx->in[A]->data, ctx->in[B]->data, sums, scratch);
    if (owned)
        fast_matmul_free(fast);
    return status;
}

static Matrix int_matrix(const Tensor *tensor, int64_t row, int64_t column, const int32_t *zero, int64_t zeros)
{
    return (Matrix){tensor->data, kernel_type(tensor->dtype), row, column, zero, zeros};
}

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

static Status take_sums(EvalCtx *ctx, int64_t count, int32_t **ret)
{
    size_t bytes;
    void *data;

    if (!size_mul((size_t)count, sizeof(int32_t), &bytes))
        return eval_error(ctx, CODE_MODEL, "the output is too large");
    TRY(eval_scratch(ctx, bytes, &data));
    *ret = data;
    return NULL;
}

/* ---- QLinearMatMul ----------------------------------------------------------------------------------------------- */

static Status infer_qmatmul(Node *node)
{
    return matmul_infer(node, A, B, infer_dtype(node, MM_Y_ZERO));
}

static Status run_qmatmul(EvalCtx *ctx, bool fast)
{
    const Tensor *a = ctx->in[A], *b = ctx->in[B];
    QProduct product = {.shape = {0}};
    MatmulPlan plan;
    int32_t *sums;
    bool done = false;

    TRY(check_8_bit(ctx, A, B));
    TRY(matmul_plan(ctx, a, b, &plan));
    TRY(read_scale8(ctx, A_SCALE, A_ZERO, a->dtype, &product.a_scale));
    TRY(check_columns(ctx, B_SCALE, plan.n));
    TRY(check_columns(ctx, B_ZERO, plan.n));
    TRY(read_channel_scales(ctx, B_SCALE, B_ZERO, b->dtype, plan.n, &product.b));
    TRY(read_scale8(ctx, MM_Y_SCALE, MM_Y_ZERO, ctx->in[MM_Y_ZERO]->dtype, &product.y_scale));
    product.multiplier = make_multipliers(ctx, product.a_scale.scale, &product.b, product.y_scale.scale);
    TRY(eval_output(ctx, 0, ctx->in[MM_Y_ZERO]->dtype, plan.rank, plan.dims));
    Tensor *y = &ctx->out[0];
    if (y->count == 0)
        return NULL;
    TRY(take_sums(ctx, y->count, &sums));
    if (fast && product.b.all_zero && b->dtype == DT_INT8 && plan.k > 0 && matmul_fast_shape(&plan, &product.shape))
        TRY(run_fast(ctx, &product, sums, &done));
    if (!done)
        gemm_int(ctx->team, plan.batch, plan.pairs, plan.m, plan.n, plan.k,
             int_matrix(a, plan.k, 1, &product.a_scale.zero, 1),
             int_matrix(b, plan.n, 1, product.b.zero, product.b.zeros), sums);
    requantize(ctx->team, sums, plan.batch * plan.m, plan.n, 1, product.multiplier, product.b.scales, NULL,
               product.y_scale, y->data);
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
    bool real = eval_in(ctx, GEMM_Y_SCALE) == NULL, done = false;
    float alpha = node_float(ctx->node, "alpha", 1.0F);
    QProduct product = {.shape = {0}};
    int64_t m, n, k;
    int32_t *sums;

    TRY(check_8_bit(ctx, A, B));
    TRY(gemm_sizes(ctx, a, b, &m, &n, &k));
    TRY(read_scale8(ctx, A_SCALE, A_ZERO, a->dtype, &product.a_scale));
    TRY(read_channel_scales(ctx, B_SCALE, B_ZERO, b->dtype, n, &product.b));
    product.y_scale = (Scale8){KERNEL_U8, 1.0F, 0};
    if (!real)
        TRY(read_scale8(ctx, GEMM_Y_SCALE, GEMM_Y_ZERO, a->dtype, &product.y_scale));
    product.multiplier = make_multipliers(ctx, alpha * product.a_scale.scale, &product.b, product.y_scale.scale);
    TRY(eval_output(ctx, 0, real ? DT_FLOAT : a->dtype, 2, (int64_t[]){m, n}));
    Tensor *y = &ctx->out[0];
    if (y->count == 0)
        return NULL;
    TRY(take_sums(ctx, y->count, &sums));
    if (fast && product.b.all_zero && b->dtype == DT_INT8 && k > 0) {
        memset(&product.shape, 0, sizeof product.shape);
        product.shape.rank = 2;
        product.shape.a[0] = product.shape.c[0] = m;
        product.shape.a[1] = product.shape.b[0] = k;
        product.shape.b[1] = product.shape.c[1] = n;
        product.shape.a_transposed = a_transposed;
        product.shape.b_transposed = b_transposed;
        TRY(run_fast(ctx, &product, sums, &done));
    }
    if (!done)
        gemm_int(ctx->team, 1, NULL, m, n, k,
             int_matrix(a, a_transposed ? 1 : k, a_transposed ? m : 1, &product.a_scale.zero, 1),
             int_matrix(b, b_transposed ? 1 : n, b_transposed ? k : 1, product.b.zero, product.b.zeros), sums);
    TRY(add_c(ctx, sums, m, n));
    if (!real) {
        requantize(ctx->team, sums, m, n, 1, product.multiplier, product.b.scales, NULL, product.y_scale, y->data);
        return NULL;
    }
    for (int64_t i = 0; i < y->count; i++)
        ((float *)y->data)[i] = (float)sums[i] * product.multiplier[product.b.scales == 1 ? 0 : i % n];
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

static Status eval_matmul_integer(EvalCtx *ctx)
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
    if (ctx->out[0].count > 0)
        gemm_int(ctx->team, plan.batch, plan.pairs, plan.m, plan.n, plan.k,
                 int_matrix(a, plan.k, 1, left.zero, left.zeros), int_matrix(b, plan.n, 1, right.zero, right.zeros),
                 ctx->out[0].data);
    return NULL;
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

static bool accepts_int(const EvalCtx *ctx)
{
    return is_8_bit(ctx->in[A]) && ctx->in[B]->dtype == DT_INT8 && fast_integer_exact();
}

static const AttrSpec qgemm_attrs[] = {{"alpha", ATTR_FLOAT, false},
                                       {"transA", ATTR_INT, false},
                                       {"transB", ATTR_INT, false},
                                       {NULL, ATTR_UNDEFINED, false}};
static const OpImpl qmatmul_impls[] = {{"onednn", accepts_int, eval_qmatmul_fast}, {NULL, NULL, NULL}};
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
