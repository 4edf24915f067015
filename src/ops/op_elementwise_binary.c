/* op_elementwise_binary.c - arithmetic of two (or many) tensors under numpy broadcasting: Add Sub Mul Div Mod Pow
 * PRelu, Min Max Sum Mean, BitShift and the bitwise ops.
 *
 * One row function a dtype; its loops have a constant step, so they vectorise: same shape (1,1), scalar or channel
 * (1,0). Integers wrap as two's complement: computed in uint64_t, where that is defined.
 */
#include <string.h>
#include <tgmath.h>

#include "src/ops/family.h"

#define BINARY_ROW(name, TX, TZ, TY, expression)                                                                       \
    static void name(int64_t n, const void *const *in, const int64_t *step, void *out)                                \
    {                                                                                                                  \
        const TX *a = in[0];                                                                                           \
        const TZ *b = in[1];                                                                                           \
        TY *y = out;                                                                                                   \
        if (step[0] == 1 && step[1] == 1) {                                                                            \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                TX x = a[i];                                                                                           \
                TZ z = b[i];                                                                                           \
                y[i] = (TY)(expression);                                                                               \
            }                                                                                                          \
        } else if (step[0] == 1 && step[1] == 0) {                                                                     \
            TZ z = *b;                                                                                                 \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                TX x = a[i];                                                                                           \
                y[i] = (TY)(expression);                                                                               \
            }                                                                                                          \
        } else if (step[0] == 0 && step[1] == 1) {                                                                     \
            TX x = *a;                                                                                                 \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                TZ z = b[i];                                                                                           \
                y[i] = (TY)(expression);                                                                               \
            }                                                                                                          \
        } else {                                                                                                       \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                TX x = a[i * step[0]];                                                                                 \
                TZ z = b[i * step[1]];                                                                                 \
                y[i] = (TY)(expression);                                                                               \
            }                                                                                                          \
        }                                                                                                              \
    }
#define SAME_TYPE_ROW(suffix, T, name, expression) BINARY_ROW(name##_##suffix, T, T, T, expression)

typedef const BroadcastRow BinaryTable[FAMILY_DTYPES];

FAMILY_FLOATS(SAME_TYPE_ROW, add, x + z)
FAMILY_INTEGERS(SAME_TYPE_ROW, add, (uint64_t)x + (uint64_t)z)
static BinaryTable add_rows = {FAMILY_NUMBERS(FAMILY_ENTRY, add)};

FAMILY_FLOATS(SAME_TYPE_ROW, sub, x - z)
FAMILY_INTEGERS(SAME_TYPE_ROW, sub, (uint64_t)x - (uint64_t)z)
static BinaryTable sub_rows = {FAMILY_NUMBERS(FAMILY_ENTRY, sub)};

FAMILY_FLOATS(SAME_TYPE_ROW, mul, x *z)
FAMILY_INTEGERS(SAME_TYPE_ROW, mul, (uint64_t)x *(uint64_t)z)
static BinaryTable mul_rows = {FAMILY_NUMBERS(FAMILY_ENTRY, mul)};

/* Integers truncate towards zero; zero divisors were refused, and the least number by -1 wraps. */
FAMILY_FLOATS(SAME_TYPE_ROW, div, x / z)
FAMILY_SIGNED(SAME_TYPE_ROW, div, z == -1 ? 0 - (uint64_t)x : (uint64_t)(x / z))
FAMILY_UNSIGNED(SAME_TYPE_ROW, div, x / z)
static BinaryTable div_rows = {FAMILY_NUMBERS(FAMILY_ENTRY, div)};

/* Mod: sign of the divisor (fmod=0), or of the dividend as C's fmod (fmod=1). */
#define FLOOR_MOD_ROW(suffix, T, name) SAME_TYPE_ROW(suffix, T, name, floor_mod_##T(x, z))
#define FLOOR_MOD(suffix, T, unused)                                                                                   \
    static inline T floor_mod_##T(T x, T z)                                                                            \
    {                                                                                                                  \
        T rest = z == (T)-1 ? (T)0 : (T)(x % z);                                                                       \
        return rest != 0 && ((rest < 0) != (z < 0)) ? (T)(rest + z) : rest;                                            \
    }
FAMILY_SIGNED(FLOOR_MOD, 0)
FAMILY_SIGNED(FLOOR_MOD_ROW, mod)
FAMILY_UNSIGNED(SAME_TYPE_ROW, mod, x % z)
static BinaryTable mod_rows = {FAMILY_INTEGERS(FAMILY_ENTRY, mod)};
FAMILY_FLOATS(SAME_TYPE_ROW, fmod, fmod(x, z))
FAMILY_SIGNED(SAME_TYPE_ROW, fmod, z == -1 ? 0 : x % z)
FAMILY_UNSIGNED(SAME_TYPE_ROW, fmod, x % z)
static BinaryTable fmod_rows = {FAMILY_NUMBERS(FAMILY_ENTRY, fmod)};

/* A NaN on either side wins, as in numpy. */
FAMILY_FLOATS(SAME_TYPE_ROW, max, x > z || x != x ? x : z)
FAMILY_INTEGERS(SAME_TYPE_ROW, max, x > z ? x : z)
static BinaryTable max_rows = {FAMILY_NUMBERS(FAMILY_ENTRY, max)};
FAMILY_FLOATS(SAME_TYPE_ROW, min, x < z || x != x ? x : z)
FAMILY_INTEGERS(SAME_TYPE_ROW, min, x < z ? x : z)
static BinaryTable min_rows = {FAMILY_NUMBERS(FAMILY_ENTRY, min)};

FAMILY_FLOATS(SAME_TYPE_ROW, prelu, x < 0 ? x * z : x)
FAMILY_SIGNED(SAME_TYPE_ROW, prelu, x < 0 ? (uint64_t)x * (uint64_t)z : (uint64_t)x)
FAMILY_UNSIGNED(SAME_TYPE_ROW, prelu, ((void)z, x))
static BinaryTable prelu_rows = {FAMILY_NUMBERS(FAMILY_ENTRY, prelu)};

FAMILY_INTEGERS(SAME_TYPE_ROW, bitwise_and, x &z)
static BinaryTable bitwise_and_rows = {FAMILY_INTEGERS(FAMILY_ENTRY, bitwise_and)};
FAMILY_INTEGERS(SAME_TYPE_ROW, bitwise_or, x | z)
static BinaryTable bitwise_or_rows = {FAMILY_INTEGERS(FAMILY_ENTRY, bitwise_or)};
FAMILY_INTEGERS(SAME_TYPE_ROW, bitwise_xor, x ^ z)
static BinaryTable bitwise_xor_rows = {FAMILY_INTEGERS(FAMILY_ENTRY, bitwise_xor)};
/* Shifted out altogether from the width of the type on. */
FAMILY_UNSIGNED(SAME_TYPE_ROW, shift_left, z >= 8 * sizeof x ? 0 : (uint64_t)x << z)
static BinaryTable shift_left_rows = {FAMILY_UNSIGNED(FAMILY_ENTRY, shift_left)};
FAMILY_UNSIGNED(SAME_TYPE_ROW, shift_right, z >= 8 * sizeof x ? 0 : x >> z)
static BinaryTable shift_right_rows = {FAMILY_UNSIGNED(FAMILY_ENTRY, shift_right)};

/* Pow: the exponent comes as the type of a float base; for an integer base as double or int64. */
static int64_t power(int64_t base, int64_t exponent)
{
    uint64_t result = 1, factor = (uint64_t)base;

    if (exponent < 0)
        return base == 1 ? 1 : base == -1 ? (exponent % 2 == 0 ? 1 : -1) : 0;
    for (; exponent > 0; exponent >>= 1) {
        if (exponent & 1)
            result *= factor;
        factor *= factor;
    }
    return (int64_t)result;
}

static inline int64_t saturated(double x)
{
    return x != x ? 0 : x >= 9223372036854775807.0 ? INT64_MAX : x <= -9223372036854775808.0 ? INT64_MIN : (int64_t)x;
}

#define POW_REAL_ROW(suffix, T, name) BINARY_ROW(name##_##suffix, T, double, T, saturated((pow)((double)x, z)))
#define POW_WHOLE_ROW(suffix, T, name) BINARY_ROW(name##_##suffix, T, int64_t, T, power((int64_t)x, z))
#define POW_SQUARE(T) (z == (T)2 ? x * x : z == (T)0.5 ? sqrt(x) : pow(x, z))
BINARY_ROW(pow_real_FLOAT, float, float, float, POW_SQUARE(float))
BINARY_ROW(pow_real_DOUBLE, double, double, double, POW_SQUARE(double))
FAMILY_INTEGERS(POW_REAL_ROW, pow_real)
FAMILY_INTEGERS(POW_WHOLE_ROW, pow_whole)
static BinaryTable pow_real_rows = {FAMILY_NUMBERS(FAMILY_ENTRY, pow_real)};
static BinaryTable pow_whole_rows = {FAMILY_INTEGERS(FAMILY_ENTRY, pow_whole)};

/* ---- before opset 7 ---------------------------------------------------------------------------------------------- */

static bool is_legacy(const Node *node)
{
    return node->opset > 0 && node->opset < 7 && node->domain[0] == '\0';
}

static Status check_legacy(const Node *node)
{
    if (!is_legacy(node) && node->n_attrs > 0)
        return node_error(node, CODE_MODEL, "attribute '%s' is not one that %s has since opset 7", node->attrs[0].name,
                          node->op_type);
    return NULL;
}

/* ---- evaluation -------------------------------------------------------------------------------------------------- */

/* Before opset 7 the second input stands at `axis` of the first, the last axes when that is absent; the slope of
 * PRelu at the channels. From then on both are numpy's. */
static Status read_pair(EvalCtx *ctx, const Tensor *in[2], Tensor *view)
{
    const Tensor *a = ctx->in[0], *b = ctx->in[1];
    int64_t dims[TENSOR_MAX_RANK] = {0};

    in[0] = a;
    in[1] = b;
    if (ctx->node == NULL || !is_legacy(ctx->node) || b->rank >= a->rank || b->rank == 0)
        return NULL;
    int64_t axis = node_is(ctx->node, "PRelu") ? b->count > 1 : node_int(ctx->node, "axis", a->rank - b->rank);
    axis += axis < 0 ? a->rank : 0;
    if (axis < 0 || axis > a->rank - b->rank)
        return eval_error(ctx, CODE_MODEL, "axis %lld leaves no room for %s in %s", (long long)axis,
                          tensor_shape_text(ctx->scratch, b), tensor_shape_text(ctx->scratch, a));
    for (int i = 0; i < a->rank - (int)axis; i++)
        dims[i] = i < b->rank ? b->dims[i] : 1;
    TRY(tensor_view(view, b->dtype, a->rank - (int)axis, dims, b->data));
    in[1] = view;
    return NULL;
}

static Status eval_pair(EvalCtx *ctx, const BroadcastRow *rows)
{
    Broadcast plan;
    const Tensor *in[2];
    Tensor view;
    DType dtype = ctx->in[0]->dtype;

    TRY(eval_require_same_dtype(ctx, 0, 1));
    if (rows[dtype] == NULL)
        return eval_bad_dtype(ctx, 0);
    TRY(read_pair(ctx, in, &view));
    TRY(broadcast_plan(ctx, in, 2, &plan));
    TRY(eval_output(ctx, 0, dtype, plan.out_rank, plan.out_dims));
    broadcast_run(ctx->team, &plan, in, ctx->out[0].data, (size_t)dtype_bits(dtype) / 8, rows[dtype]);
    return NULL;
}

static Status refuse_zero_divisor(const EvalCtx *ctx)
{
    const Tensor *b = ctx->in[1];

    if (dtype_is_float(b->dtype))
        return NULL;
    for (int64_t i = 0; i < b->count; i++)
        if (tensor_get(b, i) == 0)
            return eval_error(ctx, CODE_DATA, "integer division by zero");
    return NULL;
}

static Status eval_add(EvalCtx *ctx)
{
    return eval_pair(ctx, add_rows);
}

static Status eval_sub(EvalCtx *ctx)
{
    return eval_pair(ctx, sub_rows);
}

static Status eval_mul(EvalCtx *ctx)
{
    return eval_pair(ctx, mul_rows);
}

static Status eval_div(EvalCtx *ctx)
{
    TRY(refuse_zero_divisor(ctx));
    return eval_pair(ctx, div_rows);
}

static Status eval_mod(EvalCtx *ctx)
{
    bool c_style = node_int(ctx->node, "fmod", 0) != 0;

    if (!c_style && dtype_is_float(ctx->in[0]->dtype))
        return eval_error(ctx, CODE_MODEL, "fmod must be 1 for %s", dtype_name(ctx->in[0]->dtype));
    TRY(refuse_zero_divisor(ctx));
    return eval_pair(ctx, c_style ? fmod_rows : mod_rows);
}

static Status eval_pow(EvalCtx *ctx)
{
    DType base = ctx->in[0]->dtype, exponent = ctx->in[1]->dtype;
    bool whole = dtype_is_integer(base) && dtype_is_integer(exponent);
    const BroadcastRow *rows = whole ? pow_whole_rows : pow_real_rows;
    const Tensor *in[2];
    Tensor view;
    Broadcast plan;

    if (rows[base] == NULL)
        return eval_bad_dtype(ctx, 0);
    TRY(eval_require_number(ctx, 1));
    TRY(read_pair(ctx, in, &view));
    TRY(eval_converted(ctx, in[1], whole ? DT_INT64 : base == DT_FLOAT ? DT_FLOAT : DT_DOUBLE, &in[1]));
    TRY(broadcast_plan(ctx, in, 2, &plan));
    TRY(eval_output(ctx, 0, base, plan.out_rank, plan.out_dims));
    broadcast_run(ctx->team, &plan, in, ctx->out[0].data, (size_t)dtype_bits(base) / 8, rows[base]);
    return NULL;
}

static Status eval_prelu(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    const Tensor *in[2];
    Tensor view;
    Broadcast plan;

    TRY(eval_require_same_dtype(ctx, 0, 1));
    if (prelu_rows[x->dtype] == NULL)
        return eval_bad_dtype(ctx, 0);
    TRY(read_pair(ctx, in, &view));
    TRY(broadcast_plan(ctx, in, 2, &plan));
    if (plan.out_rank != x->rank || count_of(plan.out_dims, 0, plan.out_rank) != x->count)
        return eval_error(ctx, CODE_MODEL, "slope %s does not broadcast to %s",
                          tensor_shape_text(ctx->scratch, ctx->in[1]), tensor_shape_text(ctx->scratch, x));
    return eval_pair(ctx, prelu_rows);
}

static Status eval_bitwise_and(EvalCtx *ctx)
{
    return eval_pair(ctx, bitwise_and_rows);
}

static Status eval_bitwise_or(EvalCtx *ctx)
{
    return eval_pair(ctx, bitwise_or_rows);
}

static Status eval_bitwise_xor(EvalCtx *ctx)
{
    return eval_pair(ctx, bitwise_xor_rows);
}

static Status eval_bit_shift(EvalCtx *ctx)
{
    const char *direction = node_string(ctx->node, "direction", "");

    if (strcmp(direction, "LEFT") == 0)
        return eval_pair(ctx, shift_left_rows);
    if (strcmp(direction, "RIGHT") == 0)
        return eval_pair(ctx, shift_right_rows);
    return eval_error(ctx, CODE_MODEL, "direction '%s' is neither LEFT nor RIGHT", direction);
}

/* Folds the inputs from left to right; all but the last result are scratch. */
static Status eval_fold(EvalCtx *ctx, const BroadcastRow *rows)
{
    const Tensor *left = ctx->in[0];
    DType dtype = left->dtype;
    size_t bytes = (size_t)dtype_bits(dtype) / 8;

    for (int i = 0; i < ctx->n_in; i++) {
        if (ctx->in[i] == NULL)
            return eval_error(ctx, CODE_MODEL, "input %d is missing", i);
        TRY(eval_require_same_dtype(ctx, 0, i));
    }
    if (rows[dtype] == NULL)
        return eval_bad_dtype(ctx, 0);
    if (ctx->n_in == 1)
        return eval_output_alias(ctx, 0, left, left->rank, left->dims);
    for (int i = 1; i < ctx->n_in; i++) {
        const Tensor *in[2] = {left, ctx->in[i]};
        Tensor *result;
        Broadcast plan;
        void *data;
        TRY(broadcast_plan(ctx, in, 2, &plan));
        if (i == ctx->n_in - 1) {
            TRY(eval_output(ctx, 0, dtype, plan.out_rank, plan.out_dims));
            broadcast_run(ctx->team, &plan, in, ctx->out[0].data, bytes, rows[dtype]);
            break;
        }
        int64_t count;
        size_t size;
        TRY(tensor_measure(dtype, plan.out_rank, plan.out_dims, &count, &size));
        TRY(eval_scratch(ctx, size, &data));
        broadcast_run(ctx->team, &plan, in, data, bytes, rows[dtype]);
        result = arena_alloc(ctx->scratch, sizeof *result);
        TRY(tensor_view(result, dtype, plan.out_rank, plan.out_dims, data));
        left = result;
    }
    return NULL;
}

static Status eval_sum(EvalCtx *ctx)
{
    return eval_fold(ctx, add_rows);
}

static Status eval_max(EvalCtx *ctx)
{
    return eval_fold(ctx, max_rows);
}

static Status eval_min(EvalCtx *ctx)
{
    return eval_fold(ctx, min_rows);
}

static Status eval_mean(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];

    if (x->dtype != DT_FLOAT && x->dtype != DT_DOUBLE)
        return eval_bad_dtype(ctx, 0);
    if (ctx->n_in == 1)
        return eval_output_alias(ctx, 0, x, x->rank, x->dims);
    TRY(eval_fold(ctx, add_rows));
    if (x->dtype == DT_FLOAT) {
        float *y = ctx->out[0].data, n = (float)ctx->n_in;
        for (int64_t i = 0; i < ctx->out[0].count; i++)
            y[i] /= n;
    } else {
        double *y = ctx->out[0].data;
        for (int64_t i = 0; i < ctx->out[0].count; i++)
            y[i] /= ctx->n_in;
    }
    return NULL;
}

BroadcastRow reduction_row(const char *name, DType dtype)
{
    static const struct {
        const char *name;
        const BroadcastRow *rows;
    } reductions[] = {{"add", add_rows}, {"mul", mul_rows}, {"max", max_rows}, {"min", min_rows}};

    for (size_t i = 0; i < COUNT_OF(reductions); i++)
        if (strcmp(name, reductions[i].name) == 0)
            return reductions[i].rows[dtype];
    return NULL;
}

/* ---- inference: shape, and the value of shape arithmetic --------------------------------------------------------- */

/* One element of a (op) b where both are known, or where the other is neutral. */
static Dim content_arithmetic(char op, Dim a, Dim b)
{
    int64_t x = 0, z = 0, y = 0;
    bool a_known = content_literal(a, &x), b_known = content_literal(b, &z);

    if (a_known && b_known) {
        bool bad = op == '+'   ? __builtin_add_overflow(x, z, &y)
                   : op == '-' ? __builtin_sub_overflow(x, z, &y)
                   : op == '*' ? __builtin_mul_overflow(x, z, &y)
                               : z == 0 || (z == -1 && x == INT64_MIN);
        if (bad)
            return DIM_UNKNOWN;
        return content_element(op == '/' ? x / z : y);
    }
    if (b_known && (((op == '+' || op == '-') && z == 0) || ((op == '*' || op == '/') && z == 1)))
        return a;
    if (a_known && ((op == '+' && x == 0) || (op == '*' && x == 1)))
        return b;
    if (op == '/' && dim_equal(a, b) && a.name != NULL)
        return DIM_UNKNOWN; /* N/N is 1 but for N = 0 */
    return DIM_UNKNOWN;
}

static Status infer_arithmetic(Node *node, char op)
{
    Dim a[INFER_MAX_CONTENT], b[INFER_MAX_CONTENT], y[INFER_MAX_CONTENT];
    DType dtype = infer_dtype(node, 0);
    int n_a, n_b, n;

    TRY(check_legacy(node));
    if (is_legacy(node))
        return infer_same_as_input(node);
    TRY(infer_broadcast(node));
    if (dtype != DT_INT64 && dtype != DT_INT32 && dtype != DT_FLOAT)
        return NULL;
    n_a = infer_content(node, 0, a, INFER_MAX_CONTENT);
    n_b = infer_content(node, 1, b, INFER_MAX_CONTENT);
    if (n_a < 0 || n_b < 0 || (n_a != n_b && n_a != 1 && n_b != 1))
        return NULL;
    n = n_a == 1 ? n_b : n_a;
    for (int i = 0; i < n; i++) {
        y[i] = content_arithmetic(op, a[n_a == 1 ? 0 : i], b[n_b == 1 ? 0 : i]);
        /* A quotient of floats is a whole number only when it divides. */
        int64_t x, z;
        if (op == '/' && dtype == DT_FLOAT && content_literal(a[n_a == 1 ? 0 : i], &x) &&
            content_literal(b[n_b == 1 ? 0 : i], &z) && z != 0 && x % z != 0)
            y[i] = DIM_UNKNOWN;
    }
    infer_set_content(node, 0, y, n);
    return NULL;
}

static Status infer_add(Node *node)
{
    return infer_arithmetic(node, '+');
}

static Status infer_sub(Node *node)
{
    return infer_arithmetic(node, '-');
}

static Status infer_mul(Node *node)
{
    return infer_arithmetic(node, '*');
}

static Status infer_div(Node *node)
{
    return infer_arithmetic(node, '/');
}

static Status infer_pow(Node *node)
{
    TRY(check_legacy(node));
    return is_legacy(node) ? infer_same_as_input(node) : infer_broadcast(node);
}

static Status infer_prelu(Node *node)
{
    Shape x = infer_shape(node, 0);

    TRY(check_legacy(node));
    if (is_legacy(node))
        return infer_same_as_input(node);
    TRY(infer_broadcast(node));
    infer_output(node, 0, infer_dtype(node, 0), &x);
    return NULL;
}

static const AttrSpec legacy_attrs[] = {
    {"axis", ATTR_INT, false},
    {"broadcast", ATTR_INT, false},
    {"consumed_inputs", ATTR_INTS, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec mod_attrs[] = {{"fmod", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec bit_shift_attrs[] = {{"direction", ATTR_STRING, true}, {NULL, ATTR_UNDEFINED, false}};

const OpDef op_add = {
    .type = "Add", .domain = "", .versions = {1, 6, 7, 13, 14}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = legacy_attrs, .infer = infer_add, .eval = eval_add, .quant = RULE_ELEMENTWISE(3), .widen_half = true,
};
const OpDef op_sub = {
    .type = "Sub", .domain = "", .versions = {1, 6, 7, 13, 14}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = legacy_attrs, .infer = infer_sub, .eval = eval_sub, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_mul = {
    .type = "Mul", .domain = "", .versions = {1, 6, 7, 13, 14}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = legacy_attrs, .infer = infer_mul, .eval = eval_mul, .quant = RULE_ELEMENTWISE(3), .widen_half = true,
};
const OpDef op_div = {
    .type = "Div", .domain = "", .versions = {1, 6, 7, 13, 14}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = legacy_attrs, .infer = infer_div, .eval = eval_div, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_mod = {
    .type = "Mod", .domain = "", .versions = {10, 13}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = mod_attrs, .infer = infer_broadcast, .eval = eval_mod, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_pow = {
    .type = "Pow", .domain = "", .versions = {1, 7, 12, 13, 15}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = legacy_attrs, .infer = infer_pow, .eval = eval_pow, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_prelu = {
    .type = "PRelu", .domain = "", .versions = {1, 6, 7, 9, 16}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = legacy_attrs, .infer = infer_prelu, .eval = eval_prelu, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_max = {
    .type = "Max", .domain = "", .versions = {6, 8, 12, 13}, .min_in = 1, .max_in = OP_VARIADIC, .min_out = 1,
    .max_out = 1, .infer = infer_broadcast, .eval = eval_max, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_min = {
    .type = "Min", .domain = "", .versions = {6, 8, 12, 13}, .min_in = 1, .max_in = OP_VARIADIC, .min_out = 1,
    .max_out = 1, .infer = infer_broadcast, .eval = eval_min, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_sum = {
    .type = "Sum", .domain = "", .versions = {6, 8, 13}, .min_in = 1, .max_in = OP_VARIADIC, .min_out = 1, .max_out = 1,
    .infer = infer_broadcast, .eval = eval_sum, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_mean = {
    .type = "Mean", .domain = "", .versions = {6, 8, 13}, .min_in = 1, .max_in = OP_VARIADIC, .min_out = 1,
    .max_out = 1, .infer = infer_broadcast, .eval = eval_mean, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_bitshift = {
    .type = "BitShift", .domain = "", .versions = {11}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = bit_shift_attrs, .infer = infer_broadcast, .eval = eval_bit_shift, .quant = RULE_FLOAT,
};
const OpDef op_bitwiseand = {
    .type = "BitwiseAnd", .domain = "", .versions = {18}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .infer = infer_broadcast, .eval = eval_bitwise_and, .quant = RULE_FLOAT,
};
const OpDef op_bitwiseor = {
    .type = "BitwiseOr", .domain = "", .versions = {18}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .infer = infer_broadcast, .eval = eval_bitwise_or, .quant = RULE_FLOAT,
};
const OpDef op_bitwisexor = {
    .type = "BitwiseXor", .domain = "", .versions = {18}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .infer = infer_broadcast, .eval = eval_bitwise_xor, .quant = RULE_FLOAT,
};
