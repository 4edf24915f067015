/* op_cast.c - Cast and CastLike between numeric types and bool; strings are in cast_text.c.
 *
 *     from ── chunk of double (floats) or int64 (integers, bool) ── to
 *
 * A float becomes an integer by truncation, out of range by saturating at 64 bits and then wrapping to the width; a NaN
 * becomes 0. Integers wrap. Float8 saturates unless `saturate` is 0; float8e8m0 is a power of two, rounded as
 * `round_mode` says; float4e2m1 always saturates.
 */
#include <math.h>
#include <string.h>

#include "src/ops/family.h"

enum { CHUNK = 512 };

/* What the attributes say of the small floats. */
typedef enum RoundMode { ROUND_UP, ROUND_DOWN, ROUND_NEAREST } RoundMode;
typedef struct CastRule {
    bool saturate;
    RoundMode round;
} CastRule;

typedef void (*ReadReal)(const void *from, int64_t n, double *to);
typedef void (*ReadWhole)(const void *from, int64_t n, int64_t *to);
typedef void (*WriteReal)(const double *from, int64_t n, void *to);
typedef void (*WriteWhole)(const int64_t *from, int64_t n, void *to);

/* The loops of one type: reading as the wide type of its kind, writing from either. */
#define LOOP(name, TX, TY, expression)                                                                                 \
    {                                                                                                                  \
        const TX *a = from;                                                                                            \
        TY *y = to;                                                                                                    \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            TX x = a[i];                                                                                               \
            y[i] = (TY)(expression);                                                                                   \
        }                                                                                                              \
    }
#define READ_REAL(suffix, T, expression)                                                                               \
    static void read_real_##suffix(const void *from, int64_t n, double *to) LOOP(, T, double, expression)
#define READ_WHOLE(suffix, T, expression)                                                                              \
    static void read_whole_##suffix(const void *from, int64_t n, int64_t *to) LOOP(, T, int64_t, expression)
#define WRITE_REAL(suffix, T, expression)                                                                              \
    static void write_real_##suffix(const double *from, int64_t n, void *to) LOOP(, double, T, expression)
#define WRITE_WHOLE(suffix, T, expression)                                                                             \
    static void write_whole_##suffix(const int64_t *from, int64_t n, void *to) LOOP(, int64_t, T, expression)

static inline int64_t truncated(double x)
{
    return x != x ? 0 : x >= 9223372036854775807.0 ? INT64_MAX : x <= -9223372036854775808.0 ? INT64_MIN : (int64_t)x;
}

static inline uint64_t truncated_unsigned(double x)
{
    return x >= 9223372036854775808.0 ? (x >= 18446744073709551615.0 ? UINT64_MAX : (uint64_t)x)
                                      : (uint64_t)truncated(x);
}

FAMILY_FLOATS(READ_REAL, x)
READ_REAL(UINT64, uint64_t, x)
READ_REAL(FLOAT16, uint16_t, half_to_float(x))
READ_REAL(BFLOAT16, uint16_t, bfloat_to_float(x))
FAMILY_INTEGERS(READ_WHOLE, x)
READ_WHOLE(BOOL, uint8_t, x != 0)
FAMILY_FLOATS(WRITE_REAL, x)
FAMILY_SIGNED(WRITE_REAL, truncated(x))
FAMILY_UNSIGNED(WRITE_REAL, truncated_unsigned(x))
WRITE_REAL(FLOAT16, uint16_t, float_to_half((float)x))
WRITE_REAL(BFLOAT16, uint16_t, float_to_bfloat((float)x))
WRITE_REAL(BOOL, uint8_t, x != 0)
FAMILY_NUMBERS(WRITE_WHOLE, x)
WRITE_WHOLE(FLOAT16, uint16_t, float_to_half((float)x))
WRITE_WHOLE(BFLOAT16, uint16_t, float_to_bfloat((float)x))
WRITE_WHOLE(BOOL, uint8_t, x != 0)

static const ReadReal read_real[FAMILY_DTYPES] = {
    FAMILY_FLOATS(FAMILY_ENTRY, read_real)[DT_FLOAT16] = read_real_FLOAT16,
    [DT_BFLOAT16] = read_real_BFLOAT16,
};
static const ReadWhole read_whole[FAMILY_DTYPES] = {
    FAMILY_INTEGERS(FAMILY_ENTRY, read_whole)[DT_BOOL] = read_whole_BOOL,
};
static const WriteReal write_real[FAMILY_DTYPES] = {
    FAMILY_NUMBERS(FAMILY_ENTRY, write_real)[DT_FLOAT16] = write_real_FLOAT16,
    [DT_BFLOAT16] = write_real_BFLOAT16,
    [DT_BOOL] = write_real_BOOL,
};
static const WriteWhole write_whole[FAMILY_DTYPES] = {
    FAMILY_NUMBERS(FAMILY_ENTRY, write_whole)[DT_FLOAT16] = write_whole_FLOAT16,
    [DT_BFLOAT16] = write_whole_BFLOAT16,
    [DT_BOOL] = write_whole_BOOL,
};

/* Whether a value rounds to a float8 beyond the greatest one: more than half a step above it, or at the half when the
 * greatest code is odd. */
static bool beyond_float8(DType dtype, double value)
{
    double magnitude = fabs(value);

    switch (dtype) {
    case DT_FLOAT8E4M3FN:
        return magnitude > 464;
    case DT_FLOAT8E4M3FNUZ:
        return magnitude >= 248;
    case DT_FLOAT8E5M2:
    case DT_FLOAT8E5M2FNUZ:
        return magnitude >= 61440;
    default:
        return false;
    }
}

void cast_set_small_float(Tensor *to, int64_t i, double value, bool saturate)
{
    if (saturate || !beyond_float8(to->dtype, value)) {
        tensor_set(to, i, value);
        return;
    }
    tensor_set(to, i, (double)NAN);
    if (to->dtype == DT_FLOAT8E5M2)
        ((uint8_t *)to->data)[i] = signbit(value) ? 0xfc : 0x7c; /* it has infinities */
    else if (to->dtype == DT_FLOAT8E4M3FN && signbit(value))
        ((uint8_t *)to->data)[i] = 0xff;
}

/* The exponent of a power of two, as code of float8e8m0: 2^(code - 127). */
static uint8_t power_code(double value, const CastRule *rule)
{
    int exponent;
    double part;

    if (value != value || value < 0)
        return 0xff;
    if (value == 0)
        return 0;
    if (isinf(value))
        return rule->saturate ? 0xfe : 0xff;
    part = frexp(value, &exponent); /* value = part * 2^exponent, part in [1/2, 1) */
    exponent--;
    if (rule->round == ROUND_UP ? part > 0.5 : rule->round == ROUND_NEAREST && part >= 0.75)
        exponent++;
    if (exponent > 127)
        return rule->saturate ? 0xfe : 0xff;
    return (uint8_t)MAX(exponent + 127, 0);
}

/* Types of fewer than 8 bits and float8: one element at a time. Small integers wrap to their bits; a float is rounded
 * half to even on the way there, as the specification has it for them alone. */
static void cast_slowly(const Tensor *from, Tensor *to, const CastRule *rule)
{
    int bits = dtype_bits(to->dtype);
    bool is_signed = to->dtype == DT_INT4 || to->dtype == DT_INT2;

    for (int64_t i = 0; i < from->count; i++) {
        if (to->dtype == DT_FLOAT8E8M0) {
            ((uint8_t *)to->data)[i] = power_code(tensor_get(from, i), rule);
        } else if (bits < 8 && dtype_is_integer(to->dtype)) {
            bool real = !dtype_is_integer(from->dtype) && from->dtype != DT_BOOL;
            int64_t whole = real ? truncated(rint(tensor_get(from, i))) : tensor_get_int(from, i);
            int64_t low = (int64_t)((uint64_t)whole & ((1u << bits) - 1));
            tensor_set(to, i, (double)(is_signed && low >> (bits - 1) != 0 ? low - (1 << bits) : low));
        } else {
            double x = tensor_get(from, i);
            cast_set_small_float(to, i, dtype_is_integer(to->dtype) && x == x ? trunc(x) : x, rule->saturate);
        }
    }
}

static void cast_elements(const Tensor *from, Tensor *to, const CastRule *rule)
{
    bool unsigned_to_real = from->dtype == DT_UINT64 && dtype_is_float(to->dtype);
    ReadReal real = unsigned_to_real ? read_real_UINT64 : read_real[from->dtype];
    ReadWhole whole = read_whole[from->dtype];
    size_t from_bytes = (size_t)dtype_bits(from->dtype) / 8, to_bytes = (size_t)dtype_bits(to->dtype) / 8;
    union {
        double real[CHUNK];
        int64_t whole[CHUNK];
    } chunk;

    if ((real == NULL && whole == NULL) || write_real[to->dtype] == NULL) {
        cast_slowly(from, to, rule);
        return;
    }
    for (int64_t i = 0; i < from->count; i += CHUNK) {
        int64_t n = MIN(CHUNK, from->count - i);
        const char *source = (const char *)from->data + (size_t)i * from_bytes;
        char *target = (char *)to->data + (size_t)i * to_bytes;
        if (real != NULL) {
            real(source, n, chunk.real);
            write_real[to->dtype](chunk.real, n, target);
        } else {
            whole(source, n, chunk.whole);
            write_whole[to->dtype](chunk.whole, n, target);
        }
    }
}

static Status read_round_mode(const EvalCtx *ctx, RoundMode *ret)
{
    static const char *const modes[] = {"up", "down", "nearest"};
    const char *mode = node_string(ctx->node, "round_mode", "up");

    for (size_t i = 0; i < COUNT_OF(modes); i++)
        if (strcmp(mode, modes[i]) == 0) {
            *ret = (RoundMode)i;
            return NULL;
        }
    return eval_error(ctx, CODE_MODEL, "attribute 'round_mode' is '%s', expected up, down or nearest", mode);
}

static Status eval_cast_to(EvalCtx *ctx, DType to)
{
    const Tensor *x = ctx->in[0];
    CastRule rule = {.saturate = node_int(ctx->node, "saturate", 1) != 0};

    TRY(read_round_mode(ctx, &rule.round));
    if (to <= DT_UNDEFINED || to > DT_LAST)
        return eval_error(ctx, CODE_MODEL, "there is no type %d to cast to", (int)to);
    if (x->dtype == to)
        return eval_output_alias(ctx, 0, x, x->rank, x->dims);
    if (to == DT_STRING)
        return cast_to_text(ctx);
    if (x->dtype == DT_STRING)
        return cast_from_text(ctx, to);
    if (dtype_bits(x->dtype) == 0 || dtype_bits(to) == 0 || dtype_bits(x->dtype) > 64 || dtype_bits(to) > 64 ||
        to == DT_COMPLEX64 || x->dtype == DT_COMPLEX64)
        return eval_error(ctx, CODE_UNSUPPORTED, "cannot cast %s to %s", dtype_name(x->dtype), dtype_name(to));
    TRY(eval_output(ctx, 0, to, x->rank, x->dims));
    cast_elements(x, &ctx->out[0], &rule);
    return NULL;
}

static Status eval_cast(EvalCtx *ctx)
{
    int64_t to = node_int(ctx->node, "to", 0);

    return eval_cast_to(ctx, to > 0 && to <= DT_LAST ? (DType)to : DT_UNDEFINED);
}

static Status eval_cast_like(EvalCtx *ctx)
{
    return eval_cast_to(ctx, ctx->in[1]->dtype);
}

static Status infer_cast_to(Node *node, DType to)
{
    Shape shape = infer_shape(node, 0);
    Dim content[INFER_MAX_CONTENT];

    infer_output(node, 0, to, &shape);
    if (to == DT_INT64 || to == DT_INT32 || to == DT_FLOAT || to == DT_DOUBLE)
        infer_set_content(node, 0, content, infer_content(node, 0, content, INFER_MAX_CONTENT));
    return NULL;
}

static Status infer_cast(Node *node)
{
    int64_t to = node_int(node, "to", 0);

    if (to <= 0 || to > DT_LAST)
        return node_error(node, CODE_MODEL, "there is no type %lld to cast to", (long long)to);
    return infer_cast_to(node, (DType)to);
}

static Status infer_cast_like(Node *node)
{
    return infer_cast_to(node, infer_dtype(node, 1));
}

/* ---- BitCast (opset 26): the same bits under another type of as many --------------------------------------------- */

static Status eval_bitcast(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t to = node_int(ctx->node, "to", 0);
    int bits = to > 0 && to <= DT_LAST ? dtype_bits((DType)to) : 0;
    Tensor view = *x;

    if (bits == 0 || bits != dtype_bits(x->dtype))
        return eval_error(ctx, CODE_MODEL, "%s cannot be read as type %lld: elements of %d and %d bits",
                          dtype_name(x->dtype), (long long)to, dtype_bits(x->dtype), bits);
    view.dtype = (DType)to;
    return eval_output_alias(ctx, 0, &view, x->rank, x->dims);
}

static Status infer_bitcast(Node *node)
{
    int64_t to = node_int(node, "to", 0);
    Shape shape = infer_shape(node, 0);

    if (to <= 0 || to > DT_LAST)
        return node_error(node, CODE_MODEL, "there is no type %lld to cast to", (long long)to);
    infer_output(node, 0, (DType)to, &shape);
    return NULL;
}

static const AttrSpec bitcast_attrs[] = {{"to", ATTR_INT, true}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec cast_attrs[] = {
    {"to", ATTR_INT, true},
    {"saturate", ATTR_INT, false},
    {"round_mode", ATTR_STRING, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec cast_like_attrs[] = {
    {"saturate", ATTR_INT, false},
    {"round_mode", ATTR_STRING, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_cast = {
    .type = "Cast", .domain = "", .versions = {6, 9, 13, 19, 21, 23, 24, 25}, .min_in = 1, .max_in = 1, .min_out = 1,
    .max_out = 1, .attrs = cast_attrs, .infer = infer_cast, .eval = eval_cast, .quant = RULE_FLOAT,
};
const OpDef op_castlike = {
    .type = "CastLike", .domain = "", .versions = {15, 19, 21, 23, 24, 25}, .min_in = 2, .max_in = 2, .min_out = 1,
    .max_out = 1, .attrs = cast_like_attrs, .infer = infer_cast_like, .eval = eval_cast_like, .quant = RULE_FLOAT,
};
const OpDef op_bitcast = {
    .type = "BitCast", .domain = "", .versions = {26}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .attrs = bitcast_attrs, .infer = infer_bitcast, .eval = eval_bitcast, .quant = RULE_FLOAT,
};
