/* op_elementwise_unary.c - one number in, one number out: Abs Neg Sign, rounding, roots, exponentials, trigonometry,
 * Erf, Not, BitwiseNot, IsNaN, IsInf.
 */
#include <tgmath.h>

#include "src/ops/family.h"
#include "src/kernels/vector_math.h"

#define UNARY_ROW(name, TX, TY, expression)                                                                            \
    static void name(int64_t n, const void *in, void *out)                                                            \
    {                                                                                                                  \
        const TX *a = in;                                                                                              \
        TY *y = out;                                                                                                   \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            TX x = a[i];                                                                                               \
            y[i] = (TY)(expression);                                                                                   \
        }                                                                                                              \
    }
/* The same for each level of vector instructions. */
#define UNARY_ROW_LEVELS(name, TX, TY, expression)                                                                     \
    CPU_BODY void name##_body(int64_t n, const void *in, void *out)                                                    \
    {                                                                                                                  \
        const TX *a = in;                                                                                              \
        TY *y = out;                                                                                                   \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            TX x = a[i];                                                                                               \
            y[i] = (TY)(expression);                                                                                   \
        }                                                                                                              \
    }                                                                                                                  \
    CPU_LEVELS(static, name, (int64_t n, const void *in, void *out), (n, in, out))
#define SAME_TYPE_ROW(suffix, T, name, expression) UNARY_ROW(name##_##suffix, T, T, expression)
#define TO_BOOL_ROW(suffix, T, name, expression) UNARY_ROW(name##_##suffix, T, uint8_t, expression)

typedef const UnaryRow UnaryTable[FAMILY_DTYPES];

FAMILY_FLOATS(SAME_TYPE_ROW, abs, fabs(x))
FAMILY_SIGNED(SAME_TYPE_ROW, abs, x < 0 ? 0 - (uint64_t)x : (uint64_t)x)
FAMILY_UNSIGNED(SAME_TYPE_ROW, abs, x)
static UnaryTable abs_rows = {FAMILY_NUMBERS(FAMILY_ENTRY, abs)};
FAMILY_FLOATS(SAME_TYPE_ROW, neg, -x)
FAMILY_SIGNED(SAME_TYPE_ROW, neg, 0 - (uint64_t)x)
static UnaryTable neg_rows = {FAMILY_FLOATS(FAMILY_ENTRY, neg) FAMILY_SIGNED(FAMILY_ENTRY, neg)};
FAMILY_FLOATS(SAME_TYPE_ROW, sign, x > 0 ? 1 : x < 0 ? -1 : x)
FAMILY_SIGNED(SAME_TYPE_ROW, sign, x > 0 ? 1 : x < 0 ? -1 : 0)
FAMILY_UNSIGNED(SAME_TYPE_ROW, sign, x > 0)
static UnaryTable sign_rows = {FAMILY_NUMBERS(FAMILY_ENTRY, sign)};

/* One table of floating types for each function of a real number. round: half to even (the default rounding mode). */
#define REAL_ROWS(name, expression)                                                                                    \
    FAMILY_FLOATS(SAME_TYPE_ROW, name, expression)                                                                     \
    static UnaryTable name##_rows = {FAMILY_FLOATS(FAMILY_ENTRY, name)};
REAL_ROWS(floor, floor(x))
REAL_ROWS(ceil, ceil(x))
REAL_ROWS(round, nearbyint(x))
REAL_ROWS(sqrt, sqrt(x))
REAL_ROWS(log, log(x))
REAL_ROWS(reciprocal, 1 / x)
REAL_ROWS(sin, sin(x))
REAL_ROWS(cos, cos(x))
REAL_ROWS(tan, tan(x))
REAL_ROWS(asin, asin(x))
REAL_ROWS(acos, acos(x))
REAL_ROWS(atan, atan(x))
REAL_ROWS(sinh, sinh(x))
REAL_ROWS(cosh, cosh(x))
REAL_ROWS(asinh, asinh(x))
REAL_ROWS(acosh, acosh(x))
REAL_ROWS(atanh, atanh(x))
UNARY_ROW_LEVELS(exp_FLOAT, float, float, vector_exp(x))
UNARY_ROW(exp_DOUBLE, double, double, exp(x))
static UnaryTable exp_rows = {FAMILY_FLOATS(FAMILY_ENTRY, exp)};
UNARY_ROW_LEVELS(erf_FLOAT, float, float, vector_erf(x))
UNARY_ROW(erf_DOUBLE, double, double, erf(x))
static UnaryTable erf_rows = {FAMILY_FLOATS(FAMILY_ENTRY, erf)};
UNARY_ROW_LEVELS(tanh_FLOAT, float, float, vector_tanh(x))
UNARY_ROW(tanh_DOUBLE, double, double, tanh(x))
static UnaryTable tanh_rows = {FAMILY_FLOATS(FAMILY_ENTRY, tanh)};

FAMILY_INTEGERS(SAME_TYPE_ROW, bitwise_not, ~x)
static UnaryTable bitwise_not_rows = {FAMILY_INTEGERS(FAMILY_ENTRY, bitwise_not)};
UNARY_ROW(not_BOOL, uint8_t, uint8_t, x == 0)
static UnaryTable not_rows = {[DT_BOOL] = not_BOOL};
FAMILY_FLOATS(TO_BOOL_ROW, is_nan, x != x)
static UnaryTable is_nan_rows = {FAMILY_FLOATS(FAMILY_ENTRY, is_nan)};
FAMILY_FLOATS(TO_BOOL_ROW, is_inf, x == INFINITY || x == -INFINITY)
FAMILY_FLOATS(TO_BOOL_ROW, is_plus_inf, x == INFINITY)
FAMILY_FLOATS(TO_BOOL_ROW, is_minus_inf, x == -INFINITY)
FAMILY_FLOATS(TO_BOOL_ROW, never, ((void)x, 0))
static UnaryTable is_inf_tables[4] = { /* bit 0: positive infinity counts, bit 1: negative */
    {FAMILY_FLOATS(FAMILY_ENTRY, never)},
    {FAMILY_FLOATS(FAMILY_ENTRY, is_plus_inf)},
    {FAMILY_FLOATS(FAMILY_ENTRY, is_minus_inf)},
    {FAMILY_FLOATS(FAMILY_ENTRY, is_inf)},
};

/* ---- evaluation -------------------------------------------------------------------------------------------------- */

enum { LEAST = 1 << 12 }; /* elements worth handing to a thread */

typedef struct UnaryWork {
    UnaryRow row;
    const char *in;
    char *out;
    size_t in_bytes, out_bytes; /* of an element */
} UnaryWork;

static void run_range(void *context, int64_t begin, int64_t end, int worker)
{
    const UnaryWork *work = context;

    (void)worker;
    work->row(end - begin, work->in + (size_t)begin * work->in_bytes, work->out + (size_t)begin * work->out_bytes);
}

Status eval_unary(EvalCtx *ctx, const UnaryRow *rows, DType out)
{
    const Tensor *x = ctx->in[0];
    DType dtype = out == DT_UNDEFINED ? x->dtype : out;
    UnaryWork work = {.in = x->data, .in_bytes = (size_t)dtype_bits(x->dtype) / 8};

    if (rows[x->dtype] == NULL)
        return eval_bad_dtype(ctx, 0);
    TRY(eval_output(ctx, 0, dtype, x->rank, x->dims));
    work.row = rows[x->dtype];
    work.out = ctx->out[0].data;
    work.out_bytes = (size_t)dtype_bits(dtype) / 8;
    team_split(ctx->team, x->count, LEAST, run_range, &work);
    return NULL;
}

static Status eval_is_nan(EvalCtx *ctx)
{
    return eval_unary(ctx, is_nan_rows, DT_BOOL);
}

static Status eval_is_inf(EvalCtx *ctx)
{
    bool positive = node_int(ctx->node, "detect_positive", 1) != 0,
         negative = node_int(ctx->node, "detect_negative", 1) != 0;

    return eval_unary(ctx, is_inf_tables[(positive ? 1 : 0) | (negative ? 2 : 0)], DT_BOOL);
}

static Status infer_to_bool(Node *node)
{
    Shape shape = infer_shape(node, 0);

    infer_output(node, 0, DT_BOOL, &shape);
    return NULL;
}

/* Rounding a whole number leaves it: shape arithmetic goes through. */
static Status infer_rounding(Node *node)
{
    Dim content[INFER_MAX_CONTENT];

    TRY(infer_same_as_input(node));
    infer_set_content(node, 0, content, infer_content(node, 0, content, INFER_MAX_CONTENT));
    return NULL;
}

static const AttrSpec is_inf_attrs[] = {
    {"detect_positive", ATTR_INT, false},
    {"detect_negative", ATTR_INT, false},
    {NULL, ATTR_UNDEFINED, false},
};

#define UNARY_RULE_OP(symbol, name, rows, infer_fn, rule, ...)                                                         \
    static Status eval_##symbol(EvalCtx *ctx)                                                                          \
    {                                                                                                                  \
        return eval_unary(ctx, rows, DT_UNDEFINED);                                                                    \
    }                                                                                                                  \
    const OpDef symbol = {                                                                                             \
        .type = name, .domain = "", .versions = {__VA_ARGS__}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,   \
        .infer = infer_fn, .eval = eval_##symbol, .quant = rule, .widen_half = true,                                   \
    };
#define UNARY_OP(symbol, name, rows, infer_fn, ...)                                                                    \
    UNARY_RULE_OP(symbol, name, rows, infer_fn, RULE_FLOAT, __VA_ARGS__)

UNARY_OP(op_abs, "Abs", abs_rows, infer_same_as_input, 6, 13)
UNARY_OP(op_neg, "Neg", neg_rows, infer_same_as_input, 6, 13)
UNARY_OP(op_sign, "Sign", sign_rows, infer_same_as_input, 9, 13)
UNARY_OP(op_floor, "Floor", floor_rows, infer_rounding, 6, 13)
UNARY_OP(op_ceil, "Ceil", ceil_rows, infer_rounding, 6, 13)
UNARY_OP(op_round, "Round", round_rows, infer_rounding, 11, 22)
UNARY_OP(op_sqrt, "Sqrt", sqrt_rows, infer_same_as_input, 6, 13)
UNARY_OP(op_exp, "Exp", exp_rows, infer_same_as_input, 6, 13)
UNARY_OP(op_log, "Log", log_rows, infer_same_as_input, 6, 13)
UNARY_OP(op_reciprocal, "Reciprocal", reciprocal_rows, infer_same_as_input, 6, 13)
UNARY_OP(op_sin, "Sin", sin_rows, infer_same_as_input, 7, 22)
UNARY_OP(op_cos, "Cos", cos_rows, infer_same_as_input, 7, 22)
UNARY_OP(op_tan, "Tan", tan_rows, infer_same_as_input, 7, 22)
UNARY_OP(op_asin, "Asin", asin_rows, infer_same_as_input, 7, 22)
UNARY_OP(op_acos, "Acos", acos_rows, infer_same_as_input, 7, 22)
UNARY_OP(op_atan, "Atan", atan_rows, infer_same_as_input, 7, 22)
UNARY_OP(op_sinh, "Sinh", sinh_rows, infer_same_as_input, 9, 22)
UNARY_OP(op_cosh, "Cosh", cosh_rows, infer_same_as_input, 9, 22)
UNARY_RULE_OP(op_tanh, "Tanh", tanh_rows, infer_same_as_input, RULE_ELEMENTWISE(1), 6, 13)
UNARY_OP(op_asinh, "Asinh", asinh_rows, infer_same_as_input, 9, 22)
UNARY_OP(op_acosh, "Acosh", acosh_rows, infer_same_as_input, 9, 22)
UNARY_OP(op_atanh, "Atanh", atanh_rows, infer_same_as_input, 9, 22)
UNARY_OP(op_erf, "Erf", erf_rows, infer_same_as_input, 9, 13)
UNARY_OP(op_not, "Not", not_rows, infer_same_as_input, 1)
UNARY_OP(op_bitwisenot, "BitwiseNot", bitwise_not_rows, infer_same_as_input, 18)

const OpDef op_isnan = {
    .type = "IsNaN", .domain = "", .versions = {9, 13, 20}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .infer = infer_to_bool, .eval = eval_is_nan, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_isinf = {
    .type = "IsInf", .domain = "", .versions = {10, 20}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .attrs = is_inf_attrs, .infer = infer_to_bool, .eval = eval_is_inf, .quant = RULE_FLOAT, .widen_half = true,
};
