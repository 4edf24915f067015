/* op_matmul.c - MatMul with numpy's batching, and Gemm.
 *
 *     MatMul  a (batch.., m, k) b (batch.., k, n) -> (batch.., m, n); a list on the left counts as one row, on the
 *             right as one column, and that axis is taken out again
 *     Gemm    alpha * a' b' + beta * c, a' (m, k), b' (k, n) perhaps transposed, c broadcast to (m, n) or absent
 */
#include "src/ops/heavy.h"

#include <math.h>
#include <string.h>

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

Status matmul_infer(Node *node, int a, int b, DType dtype)
{
    return matmul_infer_shapes(node, infer_shape(node, a), infer_shape(node, b), dtype);
}

Status matmul_infer_shapes(Node *node, Shape left, Shape right, DType dtype)
{
    Shape out = shape_unknown();

    if (left.rank < 0 || right.rank < 0) {
        infer_output(node, 0, dtype, &out);
        return NULL;
    }
    if (left.rank == 0 || right.rank == 0)
        return node_error(node, CODE_MODEL, "a scalar cannot be multiplied as a matrix");
    Dim k_left = left.dims[left.rank - 1], k_right = right.dims[right.rank == 1 ? 0 : right.rank - 2];
    if (dim_is_known(k_left) && dim_is_known(k_right) && k_left.size != k_right.size)
        return node_error(node, CODE_MODEL, "the left matrix has %lld columns, the right one %lld rows",
                          (long long)k_left.size, (long long)k_right.size);
    Dim m = left.rank > 1 ? left.dims[left.rank - 2] : dim_known(1), n = right.dims[right.rank - 1];
    bool has_m = left.rank > 1, has_n = right.rank > 1;
    left.rank = MAX(left.rank - 2, 0);
    right.rank = MAX(right.rank - 2, 0);
    Status status = shape_broadcast(&left, &right, &out);
    if (status != NULL) {
        status_free(status);
        return node_error(node, CODE_MODEL, "the batch axes of the two inputs do not fit together");
    }
    if (out.rank + 2 > TENSOR_MAX_RANK)
        return node_error(node, CODE_MODEL, "too many axes");
    if (has_m)
        out.dims[out.rank++] = m;
    if (has_n)
        out.dims[out.rank++] = n;
    infer_output(node, 0, dtype, &out);
    return NULL;
}

static int64_t batch_dim(const Tensor *tensor, int batch_rank, int d)
{
    int at = d - (batch_rank - (tensor->rank - 2));
    return tensor->rank <= 2 || at < 0 ? 1 : tensor->dims[at];
}

/* Offsets of the i-th pair of matrices. */
static Status plan_pairs(EvalCtx *ctx, MatmulPlan *plan)
{
    int64_t index[TENSOR_MAX_RANK] = {0}, dims[TENSOR_MAX_RANK];
    size_t bytes;
    void *data;

    if (!size_mul((size_t)plan->batch, 2 * sizeof(int64_t), &bytes))
        return eval_error(ctx, CODE_MODEL, "too many batches");
    TRY(eval_scratch(ctx, bytes, &data));
    plan->pairs = data;
    for (int d = 0; d < plan->batch_rank; d++)
        dims[d] = MAX(plan->a_batch[d], plan->b_batch[d]);
    for (int64_t i = 0; i < plan->batch; i++) {
        int64_t a = 0, b = 0;
        for (int d = 0; d < plan->batch_rank; d++) {
            a = a * plan->a_batch[d] + (plan->a_batch[d] == 1 ? 0 : index[d]);
            b = b * plan->b_batch[d] + (plan->b_batch[d] == 1 ? 0 : index[d]);
        }
        plan->pairs[2 * i] = a * plan->m * plan->k;
        plan->pairs[2 * i + 1] = b * plan->k * plan->n;
        odometer_next(plan->batch_rank, dims, index);
    }
    return NULL;
}

Status matmul_plan(EvalCtx *ctx, const Tensor *a, const Tensor *b, MatmulPlan *ret)
{
    MatmulPlan plan = {.m = 1, .n = 1, .batch = 1, .b_is_matrix = true};

    if (a->rank == 0 || b->rank == 0)
        return eval_error(ctx, CODE_MODEL, "a scalar cannot be multiplied as a matrix");
    plan.k = a->dims[a->rank - 1];
    int64_t rows = b->dims[b->rank == 1 ? 0 : b->rank - 2];
    if (rows != plan.k)
        return eval_error(ctx, CODE_MODEL, "the left matrix has %lld columns, the right one %lld rows",
                          (long long)plan.k, (long long)rows);
    if (a->rank > 1)
        plan.m = a->dims[a->rank - 2];
    if (b->rank > 1)
        plan.n = b->dims[b->rank - 1];
    plan.batch_rank = MAX(MAX(a->rank, b->rank) - 2, 0);
    for (int d = 0; d < plan.batch_rank; d++) {
        plan.a_batch[d] = batch_dim(a, plan.batch_rank, d);
        plan.b_batch[d] = batch_dim(b, plan.batch_rank, d);
        if (plan.a_batch[d] != plan.b_batch[d] && plan.a_batch[d] != 1 && plan.b_batch[d] != 1)
            return eval_error(ctx, CODE_MODEL, "batch axis %d has %lld elements on the left, %lld on the right", d,
                              (long long)plan.a_batch[d], (long long)plan.b_batch[d]);
        int64_t size = plan.a_batch[d] == 1 ? plan.b_batch[d] : plan.a_batch[d];
        plan.dims[plan.rank++] = size;
        plan.b_is_matrix = plan.b_is_matrix && plan.b_batch[d] == 1;
        if (__builtin_mul_overflow(plan.batch, size, &plan.batch))
            return eval_error(ctx, CODE_MODEL, "too many batches");
    }
    if (a->rank > 1)
        plan.dims[plan.rank++] = plan.m;
    if (b->rank > 1)
        plan.dims[plan.rank++] = plan.n;
    if (plan.b_is_matrix) { /* one tall product; no overflow: this is the size of a */
        plan.m *= plan.batch;
        plan.batch = plan.m == 0 ? 0 : 1;
        plan.batch_rank = 0;
    }
    TRY(plan_pairs(ctx, &plan));
    *ret = plan;
    return NULL;
}

bool matmul_fast_shape(const MatmulPlan *plan, FastMatmulShape *ret)
{
    int rank = plan->batch_rank + 2;

    if (rank > FAST_MATMUL_MAX_RANK)
        return false;
    memset(ret, 0, sizeof *ret); /* it is a key */
    ret->rank = rank;
    for (int d = 0; d < plan->batch_rank; d++) {
        ret->a[d] = plan->a_batch[d];
        ret->b[d] = plan->b_batch[d];
        ret->c[d] = MAX(plan->a_batch[d], plan->b_batch[d]);
    }
    ret->a[rank - 2] = ret->c[rank - 2] = plan->m;
    ret->a[rank - 1] = ret->b[rank - 2] = plan->k;
    ret->b[rank - 1] = ret->c[rank - 1] = plan->n;
    return true;
}

Status gemm_infer(Node *node, int a, int b, DType dtype)
{
    bool a_transposed = node_int(node, "transA", 0) != 0, b_transposed = node_int(node, "transB", 0) != 0;
    Shape left = infer_shape(node, a), right = infer_shape(node, b),
          out = {.rank = 2, .dims = {DIM_UNKNOWN, DIM_UNKNOWN}};

    if ((left.rank >= 0 && left.rank != 2) || (right.rank >= 0 && right.rank != 2))
        return node_error(node, CODE_MODEL, "inputs have rank %d and %d, expected 2", left.rank, right.rank);
    if (left.rank == 2)
        out.dims[0] = left.dims[a_transposed ? 1 : 0];
    if (right.rank == 2)
        out.dims[1] = right.dims[b_transposed ? 0 : 1];
    if (left.rank == 2 && right.rank == 2) {
        Dim k_left = left.dims[a_transposed ? 0 : 1], k_right = right.dims[b_transposed ? 1 : 0];
        if (dim_is_known(k_left) && dim_is_known(k_right) && k_left.size != k_right.size)
            return node_error(node, CODE_MODEL, "the left matrix has %lld columns, the right one %lld rows",
                              (long long)k_left.size, (long long)k_right.size);
    }
    infer_output(node, 0, dtype, &out);
    return NULL;
}

Status gemm_sizes(const EvalCtx *ctx, const Tensor *a, const Tensor *b, int64_t *ret_m, int64_t *ret_n, int64_t *ret_k)
{
    bool a_transposed = node_int(ctx->node, "transA", 0) != 0, b_transposed = node_int(ctx->node, "transB", 0) != 0;

    if (a->rank != 2 || b->rank != 2)
        return eval_error(ctx, CODE_MODEL, "inputs have rank %d and %d, expected 2", a->rank, b->rank);
    int64_t k = a->dims[a_transposed ? 0 : 1], rows = b->dims[b_transposed ? 1 : 0];
    if (k != rows)
        return eval_error(ctx, CODE_MODEL, "the left matrix has %lld columns, the right one %lld rows", (long long)k,
                          (long long)rows);
    *ret_m = a->dims[a_transposed ? 1 : 0];
    *ret_n = b->dims[b_transposed ? 0 : 1];
    *ret_k = k;
    return NULL;
}

static Status infer_matmul(Node *node)
{
    return matmul_infer(node, 0, 1, infer_dtype(node, 0));
}

static Status infer_gemm(Node *node)
{
    return gemm_infer(node, 0, 1, infer_dtype(node, 0));
}

/* ---- types other than float: written out ------------------------------------------------------------------------- */

/* c[i][j] = sum a[i * a_row + k * a_column] * b[...]; unsigned sums wrap as the hardware's do. */
typedef struct Strides {
    int64_t a_row, a_column, b_row, b_column;
} Strides;

#define DEFINE_PLAIN(name, ctype, sumtype)                                                                             \
    static void name(const void *a_data, const void *b_data, void *c_data, int64_t m, int64_t n, int64_t k, Strides s) \
    {                                                                                                                  \
        const ctype *a = a_data, *b = b_data;                                                                          \
        ctype *c = c_data;                                                                                             \
        for (int64_t i = 0; i < m; i++)                                                                                \
            for (int64_t j = 0; j < n; j++) {                                                                          \
                sumtype sum = 0;                                                                                       \
                for (int64_t p = 0; p < k; p++)                                                                        \
                    sum += (sumtype)a[i * s.a_row + p * s.a_column] * (sumtype)b[p * s.b_row + j * s.b_column];        \
                c[i * n + j] = (ctype)sum;                                                                             \
            }                                                                                                          \
    }
DEFINE_PLAIN(plain_double, double, double)
DEFINE_PLAIN(plain_32, uint32_t, uint32_t)
DEFINE_PLAIN(plain_64, uint64_t, uint64_t)

typedef void (*PlainProduct)(const void *a, const void *b, void *c, int64_t m, int64_t n, int64_t k, Strides s);

static PlainProduct plain_product(DType dtype)
{
    switch (dtype) {
    case DT_DOUBLE:
        return plain_double;
    case DT_INT32:
    case DT_UINT32:
        return plain_32;
    case DT_INT64:
    case DT_UINT64:
        return plain_64;
    default:
        return NULL;
    }
}

/* ---- MatMul ------------------------------------------------------------------------------------------------------ */

static Matrix float_matrix(const float *data, int64_t row, int64_t column)
{
    return (Matrix){.data = data, .type = KERNEL_FLOAT, .row = row, .column = column};
}

static Status run_matmul(EvalCtx *ctx, bool fast)
{
    const Tensor *a = ctx->in[0], *b = ctx->in[1];
    PlainProduct plain = plain_product(a->dtype);
    MatmulPlan plan;

    TRY(eval_require_same_dtype(ctx, 0, 1));
    if (plain == NULL && a->dtype != DT_FLOAT)
        return eval_bad_dtype(ctx, 0);
    TRY(matmul_plan(ctx, a, b, &plan));
    TRY(eval_output(ctx, 0, a->dtype, plan.rank, plan.dims));
    Tensor *c = &ctx->out[0];
    if (plain != NULL) {
        size_t bytes = (size_t)dtype_bits(a->dtype) / 8;
        Strides strides = {plan.k, 1, plan.n, 1};
        for (int64_t i = 0; i < plan.batch && c->count > 0; i++)
            plain((const char *)a->data + (size_t)plan.pairs[2 * i] * bytes,
                  (const char *)b->data + (size_t)plan.pairs[2 * i + 1] * bytes,
                  (char *)c->data + (size_t)(i * plan.m * plan.n) * bytes, plan.m, plan.n, plan.k, strides);
        return NULL;
    }
    FloatProduct product = {.batch = plan.batch, .m = plan.m, .n = plan.n, .k = plan.k, .pairs = plan.pairs,
                            .a = float_matrix(a->data, plan.k, 1), .b = float_matrix(b->data, plan.n, 1), .c = c->data};
    const Tensor *bias = eval_in(ctx, 2); /* of BiasedMatMul, a constant row */
    product.bias = bias == NULL ? NULL : bias->data;
    if (fast)
        return heavy_product(ctx, &product, 1);
    gemm_float(ctx->team, plan.batch, plan.pairs, plan.m, plan.n, plan.k, product.a, product.b, c->data);
    for (int64_t i = 0; bias != NULL && i < c->count; i++)
        ((float *)c->data)[i] += product.bias[i % plan.n];
    return NULL;
}

static Status eval_matmul(EvalCtx *ctx)
{
    return run_matmul(ctx, false);
}

static Status eval_matmul_fast(EvalCtx *ctx)
{
    return run_matmul(ctx, true);
}

/* ---- Gemm -------------------------------------------------------------------------------------------------------- */

/* y = alpha * y + beta * c, c broadcast. */
static Status add_c(EvalCtx *ctx, Tensor *y, double alpha, double beta)
{
    const Tensor *c = eval_in(ctx, 2);
    int64_t m = y->dims[0], n = y->dims[1], rows = 1, columns = 1;

    if (c != NULL) {
        TRY(eval_require_same_dtype(ctx, 0, 2));
        columns = c->rank > 0 ? c->dims[c->rank - 1] : 1;
        rows = c->rank > 1 ? c->dims[c->rank - 2] : 1;
        if (c->rank > 2 || (rows != 1 && rows != m) || (columns != 1 && columns != n))
            return eval_error(ctx, CODE_MODEL, "input 2 is %s, it cannot be broadcast to %lldx%lld",
                              tensor_shape_text(ctx->scratch, c), (long long)m, (long long)n);
    }
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            int64_t from = (rows == 1 ? 0 : i) * columns + (columns == 1 ? 0 : j);
            if (y->dtype == DT_INT64 || y->dtype == DT_UINT64) {
                uint64_t *to = (uint64_t *)y->data + i * n + j;
                *to = (uint64_t)(int64_t)alpha * *to +
                      (c == NULL ? 0 : (uint64_t)(int64_t)beta * ((const uint64_t *)c->data)[from]);
            } else if (y->dtype == DT_INT32 || y->dtype == DT_UINT32) {
                uint32_t *to = (uint32_t *)y->data + i * n + j;
                *to = (uint32_t)(int32_t)alpha * *to +
                      (c == NULL ? 0 : (uint32_t)(int32_t)beta * ((const uint32_t *)c->data)[from]);
            } else if (y->dtype == DT_FLOAT) {
                float *to = (float *)y->data + i * n + j;
                float sum = alpha == 1.0 ? *to : (float)alpha * *to;
                *to = c == NULL ? sum : sum + (beta == 1.0 ? 1.0F : (float)beta) * ((const float *)c->data)[from];
            } else {
                double *to = (double *)y->data + i * n + j;
                *to = alpha * *to + (c == NULL ? 0.0 : beta * ((const double *)c->data)[from]);
            }
        }
    return NULL;
}

static Status run_gemm(EvalCtx *ctx, bool fast)
{
    const Tensor *a = ctx->in[0], *b = ctx->in[1];
    bool a_transposed = node_int(ctx->node, "transA", 0) != 0, b_transposed = node_int(ctx->node, "transB", 0) != 0;
    double alpha = (double)node_float(ctx->node, "alpha", 1.0F), beta = (double)node_float(ctx->node, "beta", 1.0F);
    int64_t m, n, k;

    TRY(eval_require_same_dtype(ctx, 0, 1));
    PlainProduct plain = plain_product(a->dtype);
    if (plain == NULL && a->dtype != DT_FLOAT)
        return eval_bad_dtype(ctx, 0);
    if (dtype_is_integer(a->dtype) && (rint(alpha) != alpha || rint(beta) != beta || fabs(alpha) > 1e9 || fabs(beta) > 1e9))
        return eval_error(ctx, CODE_UNSUPPORTED, "alpha %g and beta %g are not whole, the matrices are %s", alpha, beta,
                          dtype_name(a->dtype));
    TRY(gemm_sizes(ctx, a, b, &m, &n, &k));
    TRY(eval_output(ctx, 0, a->dtype, 2, (int64_t[]){m, n}));
    Tensor *y = &ctx->out[0];
    Strides s = {a_transposed ? 1 : k, a_transposed ? m : 1, b_transposed ? 1 : n, b_transposed ? k : 1};
    if (plain != NULL) {
        plain(a->data, b->data, y->data, m, n, k, s);
        return add_c(ctx, y, alpha, beta);
    }
    FloatProduct product = {.batch = 1, .m = m, .n = n, .k = k, .a = float_matrix(a->data, s.a_row, s.a_column),
                            .b = float_matrix(b->data, s.b_row, s.b_column), .c = y->data};
    if (!fast) {
        gemm_float(ctx->team, 1, NULL, m, n, k, product.a, product.b, y->data);
        return add_c(ctx, y, alpha, beta);
    }
    const Tensor *c = eval_in(ctx, 2);
    bool joined = c != NULL && c->dtype == DT_FLOAT && c->count == n && c->rank > 0 && c->dims[c->rank - 1] == n && c->rank <= 2 &&
                  alpha == 1.0 && beta == 1.0;
    product.bias = joined ? c->data : NULL;
    TRY(heavy_product(ctx, &product, 1));
    return joined || (c == NULL && alpha == 1.0) ? NULL : add_c(ctx, y, alpha, beta);
}

static Status eval_gemm(EvalCtx *ctx)
{
    return run_gemm(ctx, false);
}

static Status eval_gemm_fast(EvalCtx *ctx)
{
    return run_gemm(ctx, true);
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

static bool accepts_float(const EvalCtx *ctx)
{
    return ctx->in[0]->dtype == DT_FLOAT && ctx->in[1]->dtype == DT_FLOAT;
}

static int weight_axis_gemm(const Node *node)
{
    return node_int(node, "transB", 0) != 0 ? 0 : 1;
}

static int weight_axis_matmul(const Node *node)
{
    Shape weight = infer_shape(node, 1);
    const Tensor *constant = node_constant(node, 1);
    int rank = constant != NULL ? constant->rank : weight.rank;
    return rank == 2 ? 1 : -1;
}

static const AttrSpec gemm_attrs[] = {{"alpha", ATTR_FLOAT, false},   {"beta", ATTR_FLOAT, false},
                                      {"broadcast", ATTR_INT, false}, {"transA", ATTR_INT, false},
                                      {"transB", ATTR_INT, false},    {NULL, ATTR_UNDEFINED, false}};

static const OpImpl matmul_impls[] = {{"tiles", accepts_float, eval_matmul_fast}, {NULL, NULL, NULL}};
static const OpImpl gemm_impls[] = {{"tiles", accepts_float, eval_gemm_fast}, {NULL, NULL, NULL}};

const OpDef op_matmul = {
    .type = "MatMul",
    .domain = "",
    .versions = {1, 9, 13},
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    .infer = infer_matmul,
    .eval = eval_matmul,
    .impls = matmul_impls,
    .quant = {QUANT_WEIGHTED, 3, 1, -1, weight_axis_matmul},
    .widen_half = true,
};

const OpDef op_private_biasedmatmul = {
    .type = "BiasedMatMul",
    .domain = DOMAIN_MICROSOFT,
    .versions = {1},
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    .infer = infer_matmul,
    .eval = eval_matmul,
    .impls = matmul_impls,
    .quant = RULE_FLOAT,
};

const OpDef op_gemm = {
    .type = "Gemm",
    .domain = "",
    .versions = {1, 6, 7, 9, 11, 13},
    .min_in = 2,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    .attrs = gemm_attrs,
    .infer = infer_gemm,
    .eval = eval_gemm,
    .impls = gemm_impls,
    .quant = {QUANT_WEIGHTED, 1, 1, 2, weight_axis_gemm},
    .widen_half = true,
};
