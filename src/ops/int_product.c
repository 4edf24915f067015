/* int_product.c - products of two 8-bit matrices of any signedness into int32 sums: by oneDNN where it can, else plainly.
 *
 *     b uint8 ── turned to int8, kept when it is constant ──┐
 *     b int8 ───────────────────────────────────────────────┴─> oneDNN ─> sums, each row short of what b's zero point
 *                                                                         adds to it (src/kernels/shift.c)
 */
#include "src/ops/heavy.h"

#include <string.h>

/* All that the primitive depends on. */
typedef struct Key {
    FastMatmulShape shape;
    int64_t a_type, a_zero;
} Key;

static void *make_fast(const void *context)
{
    const Key *key = context;
    FastInt integer = {(int32_t)key->a_zero};

    return fast_matmul_new(&key->shape, (KernelType)key->a_type, &integer, NULL);
}

/* b as int8: itself, or a copy that is kept with the node when b is constant. */
static Status signed_b(EvalCtx *ctx, const IntProduct *product, const void **ret)
{
    static const char key[] = "signed";
    const Tensor *b = product->b;
    bool constant = eval_is_constant(ctx, product->b_input);
    void *copy;

    *ret = b->data;
    if (b->dtype == DT_INT8)
        return NULL;
    if (!constant) {
        TRY(eval_scratch(ctx, (size_t)b->count, &copy));
    } else {
        *ret = eval_cache_get(ctx, key, sizeof key);
        if (*ret != NULL)
            return NULL;
        TRY(memory_alloc((size_t)b->count, &copy));
    }
    bytes_to_signed(ctx->team, b->data, b->count, copy);
    *ret = constant ? eval_cache_put(ctx, key, sizeof key, copy, memory_free) : copy;
    return NULL;
}

Status int_product_room(EvalCtx *ctx, int64_t count, int32_t **ret)
{
    size_t bytes;
    void *data;

    if (!size_mul((size_t)count, sizeof(int32_t), &bytes))
        return eval_error(ctx, CODE_MODEL, "the output is too large");
    TRY(eval_scratch(ctx, bytes, &data));
    *ret = data;
    return NULL;
}

static Status row_shift(EvalCtx *ctx, const IntProduct *product, const Matrix *a, int32_t b_zero, const int32_t **ret)
{
    int32_t *shift;

    TRY(int_product_room(ctx, product->batch * product->m, &shift));
    gemm_row_shift(product->batch, product->pairs, product->m, product->k, *a, b_zero, shift);
    *ret = shift;
    return NULL;
}

static Status run_fast(EvalCtx *ctx, const IntProduct *product, const Matrix *a, int32_t *sums, const int32_t **ret_shift,
                       bool *ret_done)
{
    int32_t b_zero = product->b_zero[0] - (product->b->dtype == DT_UINT8 ? 128 : 0);
    bool known = product->a_zero_input >= 0 &&
                 (eval_in(ctx, product->a_zero_input) == NULL || eval_is_constant(ctx, product->a_zero_input)), owned;
    const void *b;
    void *scratch;
    Key key;

    memset(&key, 0, sizeof key);
    memcpy(&key.shape, &product->shape, sizeof key.shape);
    key.a_type = a->type;
    key.a_zero = a->zero[0];
    FastMatmul *fast = heavy_prepare(ctx, &key, sizeof key, known, make_fast, &key, fast_matmul_free, &owned);
    *ret_done = false;
    if (fast == NULL)
        return NULL;
    Status status = signed_b(ctx, product, &b);
    if (status == NULL)
        status = eval_scratch(ctx, fast_matmul_scratch(fast), &scratch);
    if (status == NULL)
        *ret_done = fast_matmul_run(fast, heavy_threads(ctx), a->data, b, sums, scratch);
    if (owned)
        fast_matmul_free(fast);
    if (status == NULL && *ret_done && b_zero != 0)
        status = row_shift(ctx, product, a, b_zero, ret_shift);
    return status;
}

static bool all_equal(const int32_t *values, int64_t n)
{
    for (int64_t i = 1; i < n; i++)
        if (values[i] != values[0])
            return false;
    return n > 0;
}

Status int_product(EvalCtx *ctx, const IntProduct *product, int32_t *sums, const int32_t **ret_shift)
{
    const FastMatmulShape *shape = &product->shape;
    const Tensor *a = product->a, *b = product->b;
    int64_t m = product->m, n = product->n, k = product->k;
    bool turned_a = shape->a_transposed, turned_b = shape->b_transposed, done = false;
    Matrix left = {a->data, kernel_type(a->dtype), turned_a ? 1 : k, turned_a ? m : 1, product->a_zero, product->a_zeros};
    Matrix right = {b->data, kernel_type(b->dtype), turned_b ? 1 : n, turned_b ? k : 1, product->b_zero, product->b_zeros};

    *ret_shift = NULL;
    if (product->fast && shape->rank > 0 && k > 0 && all_equal(product->a_zero, product->a_zeros) &&
        all_equal(product->b_zero, product->b_zeros))
        TRY(run_fast(ctx, product, &left, sums, ret_shift, &done));
    if (!done)
        gemm_int(ctx->team, product->batch, product->pairs, m, n, k, left, right, sums);
    return NULL;
}

IntProduct int_product_of_plan(const MatmulPlan *plan)
{
    IntProduct ret = {.m = plan->m, .n = plan->n, .k = plan->k, .batch = plan->batch, .pairs = plan->pairs};

    if (!matmul_fast_shape(plan, &ret.shape))
        ret.shape.rank = 0;
    return ret;
}
