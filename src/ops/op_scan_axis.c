/* op_scan_axis.c - CumSum, CumProd (opset 26) and ReverseSequence: ops that run along one axis.
 *
 *     CumSum   1 2 3 4  ->  1 3 6 10     exclusive: 0 1 3 6     reverse: 10 9 7 4
 *     CumProd  1 2 3 4  ->  1 2 6 24     exclusive: 1 1 2 6     reverse: 24 24 12 4
 */
#include <string.h>

#include "src/ops/family.h"

/* The neutral element comes first when exclusive. */
#define CUMULATE(suffix, T, wide, name, neutral, op)                                                                   \
    static void name##_##suffix(const void *in, int64_t n, int64_t inner, bool exclusive, bool reverse, void *out)     \
    {                                                                                                                  \
        for (int64_t s = 0; s < n; s++) {                                                                              \
            int64_t at = reverse ? n - 1 - s : s, before = reverse ? at + 1 : at - 1, from = exclusive ? before : at;  \
            const T *x = (const T *)in + from * inner, *sum = (const T *)out + before * inner;                         \
            T *y = (T *)out + at * inner;                                                                              \
            if (s == 0 && exclusive)                                                                                   \
                for (int64_t i = 0; i < inner; i++)                                                                    \
                    y[i] = neutral;                                                                                    \
            else if (s == 0)                                                                                           \
                memcpy(y, x, (size_t)inner * sizeof(T));                                                               \
            else                                                                                                       \
                for (int64_t i = 0; i < inner; i++)                                                                    \
                    y[i] = (T)((wide)sum[i] op (wide)x[i]);                                                            \
        }                                                                                                              \
    }
typedef void (*Cumulate)(const void *in, int64_t n, int64_t inner, bool exclusive, bool reverse, void *out);
CUMULATE(FLOAT, float, float, cum_sum, 0, +)
CUMULATE(DOUBLE, double, double, cum_sum, 0, +)
FAMILY_INTEGERS(CUMULATE, uint64_t, cum_sum, 0, +)
CUMULATE(FLOAT, float, float, cum_prod, 1, *)
CUMULATE(DOUBLE, double, double, cum_prod, 1, *)
FAMILY_INTEGERS(CUMULATE, uint64_t, cum_prod, 1, *)
static const Cumulate cum_sums[FAMILY_DTYPES] = {FAMILY_NUMBERS(FAMILY_ENTRY, cum_sum)};
static const Cumulate cum_prods[FAMILY_DTYPES] = {FAMILY_NUMBERS(FAMILY_ENTRY, cum_prod)};

static Status run_cumulate(EvalCtx *ctx, const Cumulate *rows)
{
    const Tensor *x = ctx->in[0];
    bool exclusive = node_int(ctx->node, "exclusive", 0) != 0, reverse = node_int(ctx->node, "reverse", 0) != 0;
    int64_t *listed, n_listed, n, outer, inner;
    size_t block;
    int axis;

    if (rows[x->dtype] == NULL)
        return eval_bad_dtype(ctx, 0);
    TRY(eval_ints(ctx, 1, &listed, &n_listed));
    if (n_listed != 1)
        return eval_error(ctx, CODE_MODEL, "axis has %lld elements, expected one", (long long)n_listed);
    TRY(eval_axis(ctx, listed[0], x->rank, &axis));
    TRY(eval_output(ctx, 0, x->dtype, x->rank, x->dims));
    if (x->count == 0)
        return NULL;
    outer = count_of(x->dims, 0, axis);
    n = x->dims[axis];
    inner = count_of(x->dims, axis + 1, x->rank);
    block = (size_t)(n * inner) * (size_t)dtype_bits(x->dtype) / 8;
    for (int64_t o = 0; o < outer; o++)
        rows[x->dtype]((const char *)x->data + (size_t)o * block, n, inner, exclusive, reverse,
                       (char *)ctx->out[0].data + (size_t)o * block);
    return NULL;
}

static Status eval_cum_sum(EvalCtx *ctx)
{
    return run_cumulate(ctx, cum_sums);
}

static Status eval_cum_prod(EvalCtx *ctx)
{
    return run_cumulate(ctx, cum_prods);
}

static Status eval_reverse_sequence(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t batch_axis = node_int(ctx->node, "batch_axis", 1), time_axis = node_int(ctx->node, "time_axis", 0);
    int64_t *lengths, n, strides[TENSOR_MAX_RANK], dims[TENSOR_MAX_RANK];
    size_t bytes;

    TRY(eval_element_bytes(ctx, 0, &bytes));
    TRY(eval_ints(ctx, 1, &lengths, &n));
    if (x->rank < 2 || batch_axis < 0 || batch_axis > 1 || time_axis < 0 || time_axis > 1 || batch_axis == time_axis)
        return eval_error(ctx, CODE_MODEL, "batch_axis and time_axis must be 0 and 1, each once");
    if (n != x->dims[batch_axis])
        return eval_error(ctx, CODE_MODEL, "%lld lengths for a batch of %lld", (long long)n,
                          (long long)x->dims[batch_axis]);
    TRY(eval_output(ctx, 0, x->dtype, x->rank, x->dims));
    if (x->count == 0)
        return NULL;
    memcpy(ctx->out[0].data, x->data, x->bytes);
    row_major_strides(x->rank, x->dims, strides);
    for (int i = 0; i < x->rank; i++)
        dims[i] = x->dims[i];
    dims[batch_axis] = 1;
    for (int64_t b = 0; b < n; b++) {
        int64_t from[TENSOR_MAX_RANK], length = lengths[b], begin = b * strides[batch_axis];
        if (length < 0 || length > x->dims[time_axis])
            return eval_error(ctx, CODE_MODEL, "length %lld is beyond the time axis of %lld", (long long)length,
                              (long long)x->dims[time_axis]);
        if (length == 0)
            continue;
        memcpy(from, strides, sizeof from);
        from[time_axis] = -strides[time_axis];
        dims[time_axis] = length;
        strided_copy((char *)ctx->out[0].data + (size_t)begin * bytes, strides,
                     (const char *)x->data + (size_t)(begin + (length - 1) * strides[time_axis]) * bytes, from, x->rank,
                     dims, bytes);
    }
    return NULL;
}

static const AttrSpec cum_sum_attrs[] = {
    {"exclusive", ATTR_INT, false},
    {"reverse", ATTR_INT, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec reverse_sequence_attrs[] = {
    {"batch_axis", ATTR_INT, false},
    {"time_axis", ATTR_INT, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_cumsum = {
    .type = "CumSum", .domain = "", .versions = {11, 14}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = cum_sum_attrs, .infer = infer_same_as_input, .eval = eval_cum_sum, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_cumprod = {
    .type = "CumProd", .domain = "", .versions = {26}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = cum_sum_attrs, .infer = infer_same_as_input, .eval = eval_cum_prod, .quant = RULE_FLOAT,
    .widen_half = true,
};
const OpDef op_reversesequence = {
    .type = "ReverseSequence", .domain = "", .versions = {10}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = reverse_sequence_attrs, .infer = infer_same_as_input, .eval = eval_reverse_sequence, .quant = RULE_FLOAT,
};
