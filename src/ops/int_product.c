/* int_product.c - products of two 8-bit matrices of any signedness, finished as sums, floats or 8 bits.
 *
 *     tiles of our own      what this CPU multiplies best, but for the matrix unit; a constant b is packed once
 *     oneDNN                with the matrix unit: b uint8 turned to int8 and kept, each row of the sums short of what the
 *                           zero point of b adds to it (src/kernels/shift.c)
 *     plain loops           the reference, zero points of any number
 */
#include "src/ops/heavy.h"

#include <string.h>

/* ---- oneDNN -------------------------------------------------------------------------------------------------------- */

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

static Status run_onednn(EvalCtx *ctx, const IntProduct *product, const Matrix *a, int32_t *sums, bool *ret_done)
{
    const ByteProduct *bytes = &product->bytes;
    int32_t b_zero = bytes->b.zero[0] - (product->b->dtype == DT_UINT8 ? 128 : 0), *shift;
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
    TRY(status);
    if (!*ret_done || b_zero == 0)
        return NULL;
    TRY(int_product_room(ctx, bytes->batch * bytes->m, &shift));
    gemm_row_shift(bytes->batch, bytes->pairs, bytes->m, bytes->k, *a, b_zero, shift);
    add_row_shift(sums, bytes->batch * bytes->m, bytes->n, shift);
    return NULL;
}

/* ---- tiles --------------------------------------------------------------------------------------------------------- */

static Status run_tiles(EvalCtx *ctx, const IntProduct *product)
{
    static const char key[] = "byte panels";
    ByteProduct bytes = product->bytes;
    void *packed = NULL, *scratch;

    if (bytes.batch == 1 && eval_is_constant(ctx, product->b_input)) {
        packed = eval_cache_get(ctx, key, sizeof key);
        if (packed == NULL) {
            TRY(memory_alloc(packed_bytes_size(bytes.k, bytes.n), &packed));
            pack_bytes(ctx->team, bytes.k, bytes.n, bytes.b, packed);
            packed = eval_cache_put(ctx, key, sizeof key, packed, memory_free);
        }
    }
    bytes.packed = packed;
    TRY(eval_scratch(ctx, product_bytes_scratch(&bytes, heavy_threads(ctx)), &scratch));
    product_bytes(ctx->team, &bytes, scratch);
    return NULL;
}

/* ---- any of them --------------------------------------------------------------------------------------------------- */

static bool all_equal(const int32_t *values, int64_t n)
{
    for (int64_t i = 1; i < n; i++)
        if (values[i] != values[0])
            return false;
    return n > 0;
}

/* What follows the sums where they were made apart. */
static void finish_sums(EvalCtx *ctx, const ByteProduct *bytes, int32_t *sums)
{
    int64_t rows = bytes->batch * bytes->m, n = bytes->n;

    for (int64_t i = 0; bytes->bias != NULL && i < rows; i++)
        for (int64_t j = 0; j < n; j++)
            sums[i * n + j] = (int32_t)((uint32_t)sums[i * n + j] + (uint32_t)bytes->bias[j]);
    if (bytes->result == BYTE_CODES)
        requantize_rows(ctx->team, sums, rows, n, bytes->multiplier, bytes->multipliers, bytes->y_scale, bytes->y);
    if (bytes->result != BYTE_FLOATS)
        return;
    dequantize_rows(ctx->team, sums, rows, n, bytes->multiplier, bytes->multipliers, bytes->y);
    for (int64_t i = 0; bytes->float_bias != NULL && i < rows * n; i++)
        ((float *)bytes->y)[i] += bytes->float_bias[i % n];
}

Status int_product(EvalCtx *ctx, const IntProduct *product)
{
    const FastMatmulShape *shape = &product->shape;
    IntProduct whole = *product;
    ByteProduct *bytes = &whole.bytes;
    int64_t m = bytes->m, n = bytes->n, k = bytes->k;
    bool done = false, one_a_zero = all_equal(bytes->a.zero, bytes->a.zeros);
    int32_t *sums = bytes->y;

    bytes->a = (Matrix){product->a->data, kernel_type(product->a->dtype), shape->a_transposed ? 1 : k,
                        shape->a_transposed ? m : 1, bytes->a.zero, bytes->a.zeros};
    bytes->b = (Matrix){product->b->data, kernel_type(product->b->dtype), shape->b_transposed ? 1 : n,
                        shape->b_transposed ? k : 1, bytes->b.zero, bytes->b.zeros};
    if (product->fast && one_a_zero && product_bytes_fast() && cpu_level() != CPU_AMX)
        return run_tiles(ctx, &whole);
    if (bytes->result != BYTE_SUMS)
        TRY(int_product_room(ctx, bytes->batch * m * n, &sums));
    if (product->fast && one_a_zero && fast_integer_exact() && shape->rank > 0 && k > 0 &&
        all_equal(bytes->b.zero, bytes->b.zeros))
        TRY(run_onednn(ctx, &whole, &bytes->a, sums, &done));
    if (!done)
        gemm_int(ctx->team, bytes->batch, bytes->pairs, m, n, k, bytes->a, bytes->b, sums);
    finish_sums(ctx, bytes, sums);
    return NULL;
}

bool int_product_accepts(const EvalCtx *ctx)
{
    (void)ctx;
    return product_bytes_fast() || fast_integer_exact();
}

IntProduct int_product_of_plan(const MatmulPlan *plan)
{
    IntProduct ret = {.bytes = {.m = plan->m, .n = plan->n, .k = plan->k, .batch = plan->batch, .pairs = plan->pairs}};

    if (!matmul_fast_shape(plan, &ret.shape))
        ret.shape.rank = 0;
    return ret;
}
