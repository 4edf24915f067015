/* op_compare.c - Equal, Greater, GreaterOrEqual, Less, LessOrEqual; And, Or, Xor: two tensors in, bool out.
 */
#include <string.h>

#include "src/ops/family.h"

#define COMPARE_ROW(suffix, T, name, expression)                                                                       \
    static void name##_##suffix(int64_t n, const void *const *in, const int64_t *step, void *out)                     \
    {                                                                                                                  \
        const T *a = in[0], *b = in[1];                                                                                \
        uint8_t *y = out;                                                                                              \
        if (step[0] == 1 && step[1] == 0) {                                                                            \
            T z = *b;                                                                                                  \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                T x = a[i];                                                                                            \
                y[i] = expression;                                                                                     \
            }                                                                                                          \
        } else {                                                                                                       \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                T x = a[i * step[0]], z = b[i * step[1]];                                                              \
                y[i] = expression;                                                                                     \
            }                                                                                                          \
        }                                                                                                              \
    }

typedef const BroadcastRow CompareTable[FAMILY_DTYPES];

static bool same_string(TensorString a, TensorString b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

FAMILY_NUMBERS(COMPARE_ROW, equal, x == z)
COMPARE_ROW(BOOL, uint8_t, equal, (x != 0) == (z != 0))
COMPARE_ROW(STRING, TensorString, equal, same_string(x, z))
static CompareTable equal_rows = {
    FAMILY_NUMBERS(FAMILY_ENTRY, equal) [DT_BOOL] = equal_BOOL,
    [DT_STRING] = equal_STRING,
};
FAMILY_NUMBERS(COMPARE_ROW, greater, x > z)
static CompareTable greater_rows = {FAMILY_NUMBERS(FAMILY_ENTRY, greater)};
FAMILY_NUMBERS(COMPARE_ROW, greater_or_equal, x >= z)
static CompareTable greater_or_equal_rows = {FAMILY_NUMBERS(FAMILY_ENTRY, greater_or_equal)};
FAMILY_NUMBERS(COMPARE_ROW, less, x < z)
static CompareTable less_rows = {FAMILY_NUMBERS(FAMILY_ENTRY, less)};
FAMILY_NUMBERS(COMPARE_ROW, less_or_equal, x <= z)
static CompareTable less_or_equal_rows = {FAMILY_NUMBERS(FAMILY_ENTRY, less_or_equal)};
COMPARE_ROW(BOOL, uint8_t, and, x != 0 && z != 0)
static CompareTable and_rows = {[DT_BOOL] = and_BOOL};
COMPARE_ROW(BOOL, uint8_t, or, x != 0 || z != 0)
static CompareTable or_rows = {[DT_BOOL] = or_BOOL};
COMPARE_ROW(BOOL, uint8_t, xor, (x != 0) != (z != 0))
static CompareTable xor_rows = {[DT_BOOL] = xor_BOOL};

static Status eval_compare(EvalCtx *ctx, const BroadcastRow *rows)
{
    DType dtype = ctx->in[0]->dtype;
    Broadcast plan;

    TRY(eval_require_same_dtype(ctx, 0, 1));
    if (rows[dtype] == NULL)
        return eval_bad_dtype(ctx, 0);
    TRY(broadcast_plan(ctx, ctx->in, 2, &plan));
    TRY(eval_output(ctx, 0, DT_BOOL, plan.out_rank, plan.out_dims));
    broadcast_run(ctx->team, &plan, ctx->in, ctx->out[0].data, 1, rows[dtype]);
    return NULL;
}

static Status infer_compare(Node *node)
{
    Shape shape;

    TRY(infer_broadcast(node));
    if (node->out[0] == NULL)
        return NULL;
    shape = node->out[0]->type.shape;
    infer_output(node, 0, DT_BOOL, &shape);
    return NULL;
}

/* Two elements of shape arithmetic: 1 equal, 0 not, -1 not known. A dim is never negative. */
static int content_equal(Dim a, Dim b)
{
    int64_t x = 0, z = 0;
    bool a_known = content_literal(a, &x), b_known = content_literal(b, &z);

    if (a_known && b_known)
        return x == z;
    if ((a_known && x < 0 && b.name != NULL) || (b_known && z < 0 && a.name != NULL))
        return 0;
    return !a_known && !b_known && dim_equal(a, b) ? 1 : -1;
}

static Status infer_equal(Node *node)
{
    Dim a[INFER_MAX_CONTENT], b[INFER_MAX_CONTENT], y[INFER_MAX_CONTENT];
    int n_a, n_b, n;

    TRY(infer_compare(node));
    if (infer_dtype(node, 0) != DT_INT64 && infer_dtype(node, 0) != DT_INT32)
        return NULL;
    n_a = infer_content(node, 0, a, INFER_MAX_CONTENT);
    n_b = infer_content(node, 1, b, INFER_MAX_CONTENT);
    if (n_a < 0 || n_b < 0 || (n_a != n_b && n_a != 1 && n_b != 1))
        return NULL;
    n = n_a == 1 ? n_b : n_a;
    for (int i = 0; i < n; i++) {
        int equal = content_equal(a[n_a == 1 ? 0 : i], b[n_b == 1 ? 0 : i]);
        y[i] = equal < 0 ? DIM_UNKNOWN : content_element(equal);
    }
    infer_set_content(node, 0, y, n);
    return NULL;
}

#define COMPARE_OP(symbol, name, rows, infer_fn, ...)                                                                  \
    static Status eval_##symbol(EvalCtx *ctx)                                                                          \
    {                                                                                                                  \
        return eval_compare(ctx, rows);                                                                                \
    }                                                                                                                  \
    const OpDef symbol = {                                                                                             \
        .type = name, .domain = "", .versions = {__VA_ARGS__}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,   \
        .infer = infer_fn, .eval = eval_##symbol, .quant = RULE_FLOAT, .widen_half = true,                             \
    };

COMPARE_OP(op_equal, "Equal", equal_rows, infer_equal, 7, 11, 13, 19)
COMPARE_OP(op_greater, "Greater", greater_rows, infer_compare, 7, 9, 13)
COMPARE_OP(op_greaterorequal, "GreaterOrEqual", greater_or_equal_rows, infer_compare, 12, 16)
COMPARE_OP(op_less, "Less", less_rows, infer_compare, 7, 9, 13)
COMPARE_OP(op_lessorequal, "LessOrEqual", less_or_equal_rows, infer_compare, 12, 16)
COMPARE_OP(op_and, "And", and_rows, infer_compare, 7)
COMPARE_OP(op_or, "Or", or_rows, infer_compare, 7)
COMPARE_OP(op_xor, "Xor", xor_rows, infer_compare, 7)
