/* op_reduce.c - ReduceSum, Mean, Max, Min, Prod, L1, L2, SumSquare, LogSum, LogSumExp.
 *
 *     axes joined by role:   [N,C,H,W] over H,W  ->  kept N*C, reduced H*W
 *
 * The input is walked once in memory order. Accumulators are wide: double for floats, 64 bits for integers (wrapping).
 * Nothing to reduce gives the neutral element: 0, 1, the least or the greatest of the type.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "src/ops/family.h"

typedef enum Fold { FOLD_SUM, FOLD_ABS, FOLD_SQUARE, FOLD_PROD, FOLD_MAX, FOLD_MIN, N_FOLDS } Fold;
typedef enum Finish { FINISH_NONE, FINISH_MEAN, FINISH_SQRT, FINISH_LOG } Finish;

/* Folds n elements of x into accumulators: all into acc[0] (`across` false), or x[i] into acc[i]. */
typedef void (*FoldRow)(const void *x, int64_t n, bool across, void *acc);
typedef void (*FinishRow)(const void *acc, int64_t n, void *out);

/* `next(a, x)` is the accumulator after x. Four chains hide the latency of the addition; joined in fixed order. */
#define FOLD_ROW(name, T, W, neutral, next)                                                                            \
    static void name(const void *in, int64_t n, bool across, void *out)                                               \
    {                                                                                                                  \
        const T *from = in;                                                                                            \
        W *acc = out;                                                                                                  \
        if (across) {                                                                                                  \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                W a = acc[i], x = (W)from[i];                                                                          \
                acc[i] = next;                                                                                         \
            }                                                                                                          \
            return;                                                                                                    \
        }                                                                                                              \
        W chain[4] = {acc[0], neutral, neutral, neutral};                                                              \
        int64_t i = 0;                                                                                                 \
        for (; i + 4 <= n; i += 4)                                                                                     \
            for (int k = 0; k < 4; k++) {                                                                              \
                W a = chain[k], x = (W)from[i + k];                                                                    \
                chain[k] = next;                                                                                       \
            }                                                                                                          \
        for (; i < n; i++) {                                                                                           \
            W a = chain[0], x = (W)from[i];                                                                            \
            chain[0] = next;                                                                                           \
        }                                                                                                              \
        acc[0] = name##_join(chain);                                                                                   \
    }
/* Joining chains is the fold itself, except where it maps x first (absolute values, squares): there it is the sum. */
#define JOIN(name, W, next)                                                                                            \
    static inline W name##_join(const W *chain)                                                                        \
    {                                                                                                                  \
        W a = chain[0];                                                                                                \
        for (int k = 1; k < 4; k++) {                                                                                  \
            W x = chain[k];                                                                                            \
            a = next;                                                                                                  \
        }                                                                                                              \
        return a;                                                                                                      \
    }
#define FOLD_OF(name, T, W, neutral, next, join) JOIN(name, W, join) FOLD_ROW(name, T, W, neutral, next)

#define U(v) (uint64_t)(v)
#define FLOAT_FOLDS(suffix, T, unused)                                                                                 \
    FOLD_OF(sum_##suffix, T, double, 0, a + x, a + x)                                                                  \
    FOLD_OF(abs_##suffix, T, double, 0, a + fabs(x), a + x)                                                            \
    FOLD_OF(square_##suffix, T, double, 0, a + x * x, a + x)                                                           \
    FOLD_OF(prod_##suffix, T, double, 1, a * x, a * x)                                                                 \
    FOLD_OF(max_##suffix, T, double, -INFINITY, (x > a || x != x ? x : a), (x > a || x != x ? x : a))                  \
    FOLD_OF(min_##suffix, T, double, INFINITY, (x < a || x != x ? x : a), (x < a || x != x ? x : a))
#define SIGNED_FOLDS(suffix, T, unused)                                                                                \
    FOLD_OF(sum_##suffix, T, int64_t, 0, (int64_t)(U(a) + U(x)), (int64_t)(U(a) + U(x)))                               \
    FOLD_OF(abs_##suffix, T, int64_t, 0, (int64_t)(U(a) + (x < 0 ? 0 - U(x) : U(x))), (int64_t)(U(a) + U(x)))          \
    FOLD_OF(square_##suffix, T, int64_t, 0, (int64_t)(U(a) + U(x) * U(x)), (int64_t)(U(a) + U(x)))                     \
    FOLD_OF(prod_##suffix, T, int64_t, 1, (int64_t)(U(a) * U(x)), (int64_t)(U(a) * U(x)))                              \
    FOLD_OF(max_##suffix, T, int64_t, INT64_MIN, x > a ? x : a, x > a ? x : a)                                         \
    FOLD_OF(min_##suffix, T, int64_t, INT64_MAX, x < a ? x : a, x < a ? x : a)
#define UNSIGNED_FOLDS(suffix, T, unused)                                                                              \
    FOLD_OF(sum_##suffix, T, uint64_t, 0, a + x, a + x)                                                                \
    FOLD_OF(square_##suffix, T, uint64_t, 0, a + x * x, a + x)                                                         \
    FOLD_OF(prod_##suffix, T, uint64_t, 1, a * x, a * x)                                                               \
    FOLD_OF(max_##suffix, T, uint64_t, 0, x > a ? x : a, x > a ? x : a)                                                \
    FOLD_OF(min_##suffix, T, uint64_t, UINT64_MAX, x < a ? x : a, x < a ? x : a)
FAMILY_FLOATS(FLOAT_FOLDS, 0)
FAMILY_SIGNED(SIGNED_FOLDS, 0)
FAMILY_UNSIGNED(UNSIGNED_FOLDS, 0)

static const FoldRow fold_rows[N_FOLDS][FAMILY_DTYPES] = {
    [FOLD_SUM] = {FAMILY_NUMBERS(FAMILY_ENTRY, sum)},
    [FOLD_ABS] = {FAMILY_FLOATS(FAMILY_ENTRY, abs) FAMILY_SIGNED(FAMILY_ENTRY, abs) FAMILY_UNSIGNED(FAMILY_ENTRY, sum)},
    [FOLD_SQUARE] = {FAMILY_NUMBERS(FAMILY_ENTRY, square)},
    [FOLD_PROD] = {FAMILY_NUMBERS(FAMILY_ENTRY, prod)},
    [FOLD_MAX] = {FAMILY_NUMBERS(FAMILY_ENTRY, max)[DT_BOOL] = max_UINT8},
    [FOLD_MIN] = {FAMILY_NUMBERS(FAMILY_ENTRY, min)[DT_BOOL] = min_UINT8},
};

/* Accumulators into elements. An integer accumulator that nothing went into holds a bound of 64 bits: it saturates. */
#define FINISH_FLOAT(suffix, T, name)                                                                                  \
    static void name##_##suffix(const void *acc, int64_t n, void *out)                                                 \
    {                                                                                                                  \
        for (int64_t i = 0; i < n; i++)                                                                                \
            ((T *)out)[i] = (T)((const double *)acc)[i];                                                               \
    }
#define FINISH_WHOLE(suffix, T, name)                                                                                  \
    static void name##_##suffix(const void *acc, int64_t n, void *out)                                                 \
    {                                                                                                                  \
        for (int64_t i = 0; i < n; i++)                                                                                \
            ((T *)out)[i] = (T)((const uint64_t *)acc)[i];                                                             \
    }
FAMILY_FLOATS(FINISH_FLOAT, finish)
FAMILY_INTEGERS(FINISH_WHOLE, finish)
static const FinishRow finish_rows[FAMILY_DTYPES] = {FAMILY_NUMBERS(FAMILY_ENTRY, finish)[DT_BOOL] = finish_UINT8};

/* ---- geometry ---------------------------------------------------------------------------------------------------- */

typedef struct Reduction {
    int rank;                          /* axes joined by role */
    int64_t dims[TENSOR_MAX_RANK];
    int64_t steps[TENSOR_MAX_RANK];    /* accumulators to move on; 0: a reduced axis */
    int out_rank;
    int64_t out_dims[TENSOR_MAX_RANK];
    int64_t out_count, reduced_count;
} Reduction;

/* Since which opset the axes are an input. */
static int axes_since(const Node *node)
{
    return node_is(node, "ReduceSum") ? 13 : 18;
}

static Status plan_reduction(EvalCtx *ctx, const Tensor *x, Reduction *ret)
{
    bool as_input = ctx->node->opset >= axes_since(ctx->node), keep = node_int(ctx->node, "keepdims", 1) != 0;
    bool reduced[TENSOR_MAX_RANK] = {false}, last = false;
    int axes[TENSOR_MAX_RANK], n;
    int64_t step = 1;

    *ret = (Reduction){.out_count = 1, .reduced_count = 1};
    TRY(eval_axes(ctx, as_input ? 1 : -1, x->rank, axes, &n));
    for (int i = 0; i < n; i++)
        reduced[axes[i]] = true;
    if (n == 0 && !(as_input && node_int(ctx->node, "noop_with_empty_axes", 0) != 0))
        for (int i = 0; i < x->rank; i++)
            reduced[i] = true;
    for (int i = 0; i < x->rank; i++) {
        if (!reduced[i])
            ret->out_dims[ret->out_rank++] = x->dims[i];
        else if (keep)
            ret->out_dims[ret->out_rank++] = 1;
        if (ret->rank > 0 && last == reduced[i])
            ret->dims[ret->rank - 1] *= x->dims[i];
        else
            ret->dims[ret->rank++] = x->dims[i];
        last = reduced[i];
        ret->steps[ret->rank - 1] = reduced[i] ? 0 : 1;
        *(reduced[i] ? &ret->reduced_count : &ret->out_count) *= x->dims[i];
    }
    for (int i = ret->rank - 1; i >= 0; i--)
        if (ret->steps[i] != 0) {
            ret->steps[i] = step;
            step *= ret->dims[i];
        }
    if (ret->rank == 0) { /* a scalar */
        ret->rank = 1;
        ret->dims[0] = 1;
    }
    return NULL;
}

static void fold_all(const Reduction *plan, const Tensor *x, FoldRow row, char *acc)
{
    int last = plan->rank - 1;
    int64_t index[TENSOR_MAX_RANK] = {0}, at = 0;
    size_t row_bytes = (size_t)plan->dims[last] * (size_t)dtype_bits(x->dtype) / 8;
    const char *from = x->data;

    if (x->count == 0)
        return;
    for (;;) {
        int i = last - 1;
        row(from, plan->dims[last], plan->steps[last] != 0, acc + (size_t)at * 8);
        from += row_bytes;
        for (; i >= 0; i--) {
            at += plan->steps[i];
            if (++index[i] < plan->dims[i])
                break;
            at -= plan->steps[i] * plan->dims[i];
            index[i] = 0;
        }
        if (i < 0)
            return;
    }
}

/* The neutral element of a fold in 64 bits. Integers: of the narrow type where it is a bound. */
static void fill_neutral(Fold fold, DType dtype, int64_t n, void *acc)
{
    int bits = dtype_bits(dtype);
    bool is_signed = dtype == DT_INT8 || dtype == DT_INT16 || dtype == DT_INT32 || dtype == DT_INT64;
    uint64_t greatest = dtype == DT_BOOL ? 1 : UINT64_MAX >> (64 - bits + is_signed);
    double real = fold == FOLD_PROD ? 1 : fold == FOLD_MAX ? -INFINITY : fold == FOLD_MIN ? INFINITY : 0;
    uint64_t whole = fold == FOLD_PROD               ? 1
                     : fold == FOLD_MIN              ? greatest
                     : fold == FOLD_MAX && is_signed ? ~greatest
                                                     : 0;

    if (dtype == DT_FLOAT || dtype == DT_DOUBLE)
        strided_fill(acc, n, &real, sizeof real);
    else
        strided_fill(acc, n, &whole, sizeof whole);
}

static void finish_real(Finish finish, const Reduction *plan, double *acc)
{
    for (int64_t i = 0; i < plan->out_count; i++) {
        if (finish == FINISH_MEAN)
            acc[i] /= (double)plan->reduced_count;
        else if (finish == FINISH_SQRT)
            acc[i] = sqrt(acc[i]);
        else
            acc[i] = log(acc[i]);
    }
}

/* Integers: the mean truncates, roots and logarithms are taken as double. */
static void finish_whole(Finish finish, const Reduction *plan, int64_t *acc)
{
    for (int64_t i = 0; i < plan->out_count; i++) {
        if (finish == FINISH_MEAN)
            acc[i] = plan->reduced_count == 0 ? 0 : acc[i] / plan->reduced_count;
        else if (acc[i] > 0)
            acc[i] = (int64_t)(finish == FINISH_SQRT ? sqrt((double)acc[i]) : log((double)acc[i]));
    }
}

static Status eval_reduce(EvalCtx *ctx, Fold fold, Finish finish)
{
    const Tensor *x = ctx->in[0];
    bool real = x->dtype == DT_FLOAT || x->dtype == DT_DOUBLE;
    Reduction plan;
    size_t bytes;
    void *acc;

    if (fold_rows[fold][x->dtype] == NULL)
        return eval_bad_dtype(ctx, 0);
    TRY(plan_reduction(ctx, x, &plan));
    TRY(eval_output(ctx, 0, x->dtype, plan.out_rank, plan.out_dims));
    if (plan.out_count == 0)
        return NULL;
    if (!size_mul((size_t)plan.out_count, 8, &bytes))
        return eval_error(ctx, CODE_MODEL, "output is too large");
    TRY(eval_scratch(ctx, bytes, &acc));
    fill_neutral(fold, x->dtype, plan.out_count, acc);
    fold_all(&plan, x, fold_rows[fold][x->dtype], acc);
    if (finish != FINISH_NONE && real)
        finish_real(finish, &plan, acc);
    else if (finish != FINISH_NONE)
        finish_whole(finish, &plan, acc);
    finish_rows[x->dtype](acc, plan.out_count, ctx->out[0].data);
    return NULL;
}

/* ln(sum e^x) = m + ln(sum e^(x - m)), m the maximum of each set: the exponentials stay in range. */
static Status eval_log_sum_exp(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    Reduction plan;
    int64_t index[TENSOR_MAX_RANK] = {0}, at = 0;
    void *peaks_data, *sums_data;
    double *peaks, *sums;

    DType dtype = x->dtype;
    if (dtype != DT_FLOAT && dtype != DT_DOUBLE && (!dtype_is_integer(dtype) || dtype_bits(dtype) < 8))
        return eval_bad_dtype(ctx, 0);
    if (dtype_is_integer(dtype))
        TRY(eval_converted(ctx, x, DT_DOUBLE, &x));
    TRY(plan_reduction(ctx, x, &plan));
    TRY(eval_output(ctx, 0, dtype, plan.out_rank, plan.out_dims));
    if (plan.out_count == 0)
        return NULL;
    TRY(eval_scratch(ctx, (size_t)plan.out_count * sizeof(double), &peaks_data));
    TRY(eval_scratch(ctx, (size_t)plan.out_count * sizeof(double), &sums_data));
    peaks = peaks_data;
    sums = sums_data;
    fill_neutral(FOLD_MAX, DT_DOUBLE, plan.out_count, peaks);
    fill_neutral(FOLD_SUM, DT_DOUBLE, plan.out_count, sums);
    fold_all(&plan, x, fold_rows[FOLD_MAX][x->dtype], peaks_data);
    for (int64_t i = 0; i < x->count; i++) {
        double peak = peaks[at], value = x->dtype == DT_FLOAT ? (double)((const float *)x->data)[i]
                                                              : ((const double *)x->data)[i];
        sums[at] += isinf(peak) ? (peak > 0 ? (double)(value == peak) : 0) : exp(value - peak);
        for (int k = plan.rank - 1; k >= 0; k--) {
            at += plan.steps[k];
            if (++index[k] < plan.dims[k])
                break;
            at -= plan.steps[k] * plan.dims[k];
            index[k] = 0;
        }
    }
    for (int64_t i = 0; i < plan.out_count; i++)
        sums[i] = isinf(peaks[i]) ? peaks[i] : peaks[i] + log(sums[i]);
    if (dtype != x->dtype) /* whole numbers: as a cast truncates */
        for (int64_t i = 0; i < plan.out_count; i++)
            tensor_set(&ctx->out[0], i, trunc(sums[i]));
    else
        finish_rows[dtype](sums, plan.out_count, ctx->out[0].data);
    return NULL;
}

/* ---- inference --------------------------------------------------------------------------------------------------- */

static Status infer_reduce(Node *node)
{
    Shape in = infer_shape(node, 0), out = {.rank = 0};
    bool as_input = node->opset >= axes_since(node), keep = node_int(node, "keepdims", 1) != 0;
    bool reduced[TENSOR_MAX_RANK] = {false};
    Dim content[INFER_MAX_CONTENT], product;
    int axes[TENSOR_MAX_RANK], n;

    if (in.rank < 0) {
        infer_output(node, 0, infer_dtype(node, 0), &in);
        return NULL;
    }
    TRY(infer_axes(node, as_input ? 1 : -1, in.rank, axes, &n));
    for (int i = 0; i < n; i++)
        reduced[axes[i]] = true;
    if (n == 0 && !(as_input && node_int(node, "noop_with_empty_axes", 0) != 0))
        for (int i = 0; i < in.rank; i++)
            reduced[i] = true;
    if (n < 0 && !keep) {
        out = shape_unknown();
        infer_output(node, 0, infer_dtype(node, 0), &out);
        return NULL;
    }
    for (int i = 0; i < in.rank; i++) {
        if (n < 0)
            out.dims[out.rank++] = DIM_UNKNOWN;
        else if (!reduced[i])
            out.dims[out.rank++] = in.dims[i];
        else if (keep)
            out.dims[out.rank++] = dim_known(1);
    }
    infer_output(node, 0, infer_dtype(node, 0), &out);
    if (node_is(node, "ReduceProd") && in.rank == 1 && reduced[0]) { /* the number of elements of a shape */
        n = infer_content(node, 0, content, INFER_MAX_CONTENT);
        for (int i = 0; i < n; i++)
            content[i] = content_to_dim(content[i]);
        product = n >= 0 ? dim_product(content, n) : DIM_UNKNOWN;
        infer_set_content(node, 0, &product, 1);
    }
    return NULL;
}

static const AttrSpec reduce_attrs[] = {
    {"axes", ATTR_INTS, false},
    {"keepdims", ATTR_INT, false},
    {"noop_with_empty_axes", ATTR_INT, false},
    {NULL, ATTR_UNDEFINED, false},
};

#define REDUCE_OP(symbol, name, fold, finish, rule, ...)                                                               \
    static Status eval_##symbol(EvalCtx *ctx)                                                                          \
    {                                                                                                                  \
        return eval_reduce(ctx, fold, finish);                                                                         \
    }                                                                                                                  \
    const OpDef symbol = {                                                                                             \
        .type = name, .domain = "", .versions = {__VA_ARGS__}, .min_in = 1, .max_in = 2, .min_out = 1, .max_out = 1,   \
        .attrs = reduce_attrs, .infer = infer_reduce, .eval = eval_##symbol, .quant = rule, .widen_half = true,        \
    };

REDUCE_OP(op_reducesum, "ReduceSum", FOLD_SUM, FINISH_NONE, RULE_FLOAT, 1, 11, 13)
REDUCE_OP(op_reducemean, "ReduceMean", FOLD_SUM, FINISH_MEAN, RULE_FLOAT, 1, 11, 13, 18)
REDUCE_OP(op_reducemax, "ReduceMax", FOLD_MAX, FINISH_NONE, RULE_SAME_SCALE, 1, 11, 12, 13, 18, 20)
REDUCE_OP(op_reducemin, "ReduceMin", FOLD_MIN, FINISH_NONE, RULE_SAME_SCALE, 1, 11, 12, 13, 18, 20)
REDUCE_OP(op_reduceprod, "ReduceProd", FOLD_PROD, FINISH_NONE, RULE_FLOAT, 1, 11, 13, 18)
REDUCE_OP(op_reducel1, "ReduceL1", FOLD_ABS, FINISH_NONE, RULE_FLOAT, 1, 11, 13, 18)
REDUCE_OP(op_reducel2, "ReduceL2", FOLD_SQUARE, FINISH_SQRT, RULE_FLOAT, 1, 11, 13, 18)
REDUCE_OP(op_reducesumsquare, "ReduceSumSquare", FOLD_SQUARE, FINISH_NONE, RULE_FLOAT, 1, 11, 13, 18)
REDUCE_OP(op_reducelogsum, "ReduceLogSum", FOLD_SUM, FINISH_LOG, RULE_FLOAT, 1, 11, 13, 18)
const OpDef op_reducelogsumexp = {
    .type = "ReduceLogSumExp", .domain = "", .versions = {1, 11, 13, 18}, .min_in = 1, .max_in = 2, .min_out = 1,
    .max_out = 1, .attrs = reduce_attrs, .infer = infer_reduce, .eval = eval_log_sum_exp, .quant = RULE_FLOAT,
    .widen_half = true,
};
