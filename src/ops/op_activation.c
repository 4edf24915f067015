/* op_activation.c - activation functions with their parameters a, b (alpha, beta, or gamma): Relu LeakyRelu Sigmoid
 * HardSigmoid HardSwish Elu Selu Celu Softplus Softsign ThresholdedRelu Shrink Gelu Mish Swish, and Clip.
 *
 * Formulas: the ONNX operator specification, written beside each row.
 */
#include <string.h>
#include <tgmath.h>

#include "src/ops/family.h"
#include "src/kernels/vector_math.h"

typedef void (*ActivationRow)(int64_t n, const void *in, void *out, double a_wide, double b_wide);
typedef struct Activation {
    ActivationRow on_float, on_double;
    const char *a_name, *b_name; /* attributes; NULL: a constant of the formula */
    double a, b;                 /* defaults */
} Activation;

/* exp, tanh and the logistic function: vectorisable for float, the library's for double. */
static inline double exp_double(double x)
{
    return exp(x);
}

static inline double tanh_double(double x)
{
    return tanh(x);
}

static inline double erf_double(double x)
{
    return erf(x);
}

static inline double sigmoid_double(double x)
{
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

#define EXP(x) _Generic((x), float: vector_exp, double: exp_double)(x)
#define TANH(x) _Generic((x), float: vector_tanh, double: tanh_double)(x)
#define ERF(x) _Generic((x), float: vector_erf, double: erf_double)(x)
#define SIGMOID(x) _Generic((x), float: vector_sigmoid, double: sigmoid_double)(x)
#define UNIT(v) ((v) < 0 ? 0 : (v) > 1 ? 1 : (v)) /* into [0, 1] */

#define ACTIVATION_ROW(suffix, T, name, expression)                                                                    \
    CPU_BODY void name##_##suffix##_body(int64_t n, const void *in, void *out, double a_wide, double b_wide)           \
    {                                                                                                                  \
        const T *from = in;                                                                                            \
        T *y = out;                                                                                                    \
        const T a = (T)a_wide, b = (T)b_wide;                                                                          \
        (void)a;                                                                                                       \
        (void)b;                                                                                                       \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            T x = from[i];                                                                                             \
            y[i] = (T)(expression);                                                                                    \
        }                                                                                                              \
    }                                                                                                                  \
    CPU_LEVELS(static, name##_##suffix, (int64_t n, const void *in, void *out, double a_wide, double b_wide),          \
               (n, in, out, a_wide, b_wide))
#define ACTIVATION(name, a_attr, a_default, b_attr, b_default, expression)                                             \
    FAMILY_FLOATS(ACTIVATION_ROW, name, expression)                                                                    \
    static const Activation name = {name##_FLOAT, name##_DOUBLE, a_attr, b_attr, a_default, b_default};

/* tanh(ln(1 + e^x)) = (w^2 + 2 w) / (w^2 + 2 w + 2) with w = e^x; 1 to the last bit from x = 20 on. */
#define MISH_ROW(suffix, T, unused)                                                                                    \
    CPU_BODY T mish_of_##suffix(T x)                                                                                   \
    {                                                                                                                  \
        T w = EXP(x > 20 ? 20 : x);                                                                                    \
        T s = w * w + 2 * w;                                                                                           \
        return x * (s / (s + 2));                                                                                      \
    }
FAMILY_FLOATS(MISH_ROW, 0)
#define MISH(x) _Generic((x), float: mish_of_FLOAT, double: mish_of_DOUBLE)(x)

ACTIVATION(leaky_relu, "alpha", 0.01f, NULL, 0, x < 0 ? a * x : x)
ACTIVATION(elu, "alpha", 1, NULL, 0, x < 0 ? a * (EXP(x) - 1) : x)
ACTIVATION(selu, "alpha", 1.67326319217681884765625, "gamma", 1.05070102214813232421875,
           b * (x <= 0 ? a * EXP(x) - a : x))
ACTIVATION(celu, "alpha", 1, NULL, 0, (x > 0 ? x : 0) + (x < 0 ? a * (EXP(x / a) - 1) : 0))
ACTIVATION(sigmoid, NULL, 0, NULL, 0, SIGMOID(x))
ACTIVATION(hard_sigmoid, "alpha", 0.2f, "beta", 0.5, UNIT(a * x + b))
ACTIVATION(hard_swish, NULL, 1.0 / 6, NULL, 0.5, x * UNIT(a * x + b))
ACTIVATION(softplus, NULL, 0, NULL, 0, (x > 0 ? x : 0) + log1p(EXP(-fabs(x)))) /* ln(1 + e^x) */
ACTIVATION(softsign, NULL, 0, NULL, 0, x / (1 + fabs(x)))
ACTIVATION(thresholded_relu, "alpha", 1, NULL, 0, x > a ? x : 0)
ACTIVATION(shrink, "lambd", 0.5, "bias", 0, x < -a ? x + b : x > a ? x - b : 0)
ACTIVATION(gelu_erf, NULL, 0.70710678118654752, NULL, 0, x / 2 * (1 + ERF(a * x)))
ACTIVATION(gelu_tanh, NULL, 0.79788456080286536, NULL, 0.044715, x / 2 * (1 + TANH(a * (x + b * x * x * x))))
ACTIVATION(mish, NULL, 0, NULL, 0, MISH(x))
ACTIVATION(swish, "alpha", 1, NULL, 0, x * SIGMOID(a * x))

/* Relu and Clip know integers too. A NaN stays. */
#define RELU_ROW(suffix, T, name)                                                                                      \
    static void name##_##suffix(int64_t n, const void *in, void *out)                                                  \
    {                                                                                                                  \
        const T *x = in;                                                                                               \
        T *y = out;                                                                                                    \
        for (int64_t i = 0; i < n; i++)                                                                                \
            y[i] = x[i] < 0 ? 0 : x[i];                                                                                \
    }
FAMILY_FLOATS(RELU_ROW, relu)
FAMILY_SIGNED(RELU_ROW, relu)
static const UnaryRow relu_rows[FAMILY_DTYPES] = {FAMILY_FLOATS(FAMILY_ENTRY, relu) FAMILY_SIGNED(FAMILY_ENTRY, relu)};

typedef void (*ClipRow)(int64_t n, const void *in, const void *low, const void *high, void *out);
/* A bound that is NULL does not bind; with low > high the result is high. */
#define CLIP_ROW(suffix, T, name)                                                                                      \
    static void name##_##suffix(int64_t n, const void *in, const void *low, const void *high, void *out)               \
    {                                                                                                                  \
        const T *x = in;                                                                                               \
        T *y = out;                                                                                                    \
        T least = low != NULL ? *(const T *)low : 0, most = high != NULL ? *(const T *)high : 0;                       \
        if (low != NULL && high != NULL)                                                                               \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                T v = x[i] < least ? least : x[i];                                                                     \
                y[i] = v > most ? most : v;                                                                            \
            }                                                                                                          \
        else if (low != NULL)                                                                                          \
            for (int64_t i = 0; i < n; i++)                                                                            \
                y[i] = x[i] < least ? least : x[i];                                                                    \
        else if (high != NULL)                                                                                         \
            for (int64_t i = 0; i < n; i++)                                                                            \
                y[i] = x[i] > most ? most : x[i];                                                                      \
        else if (n > 0)                                                                                                \
            memcpy(y, x, (size_t)n * sizeof(T));                                                                       \
    }
FAMILY_NUMBERS(CLIP_ROW, clip)
static const ClipRow clip_rows[FAMILY_DTYPES] = {FAMILY_NUMBERS(FAMILY_ENTRY, clip)};

/* ---- evaluation -------------------------------------------------------------------------------------------------- */

enum { LEAST = 1 << 12 }; /* elements worth handing to a thread */

typedef struct ActivationWork {
    ActivationRow row;
    const char *in;
    char *out;
    size_t bytes; /* of an element */
    double a, b;
} ActivationWork;

static void run_range(void *context, int64_t begin, int64_t end, int worker)
{
    const ActivationWork *work = context;
    size_t offset = (size_t)begin * work->bytes;

    (void)worker;
    work->row(end - begin, work->in + offset, work->out + offset, work->a, work->b);
}

static Status eval_activation(EvalCtx *ctx, const Activation *activation)
{
    const Tensor *x = ctx->in[0];
    ActivationWork work = {.a = activation->a, .b = activation->b, .in = x->data};

    if (x->dtype != DT_FLOAT && x->dtype != DT_DOUBLE)
        return eval_bad_dtype(ctx, 0);
    if (activation->a_name != NULL && node_attr(ctx->node, activation->a_name) != NULL)
        work.a = (double)node_float(ctx->node, activation->a_name, 0);
    if (activation->b_name != NULL && node_attr(ctx->node, activation->b_name) != NULL)
        work.b = (double)node_float(ctx->node, activation->b_name, 0);
    TRY(eval_output(ctx, 0, x->dtype, x->rank, x->dims));
    work.row = x->dtype == DT_FLOAT ? activation->on_float : activation->on_double;
    work.bytes = (size_t)dtype_bits(x->dtype) / 8;
    work.out = ctx->out[0].data;
    team_split(ctx->team, x->count, LEAST, run_range, &work);
    return NULL;
}

static Status eval_relu(EvalCtx *ctx)
{
    return eval_unary(ctx, relu_rows, DT_UNDEFINED);
}

static Status eval_gelu(EvalCtx *ctx)
{
    const char *approximate = node_string(ctx->node, "approximate", "none");

    if (strcmp(approximate, "tanh") == 0)
        return eval_activation(ctx, &gelu_tanh);
    if (strcmp(approximate, "none") == 0)
        return eval_activation(ctx, &gelu_erf);
    return eval_error(ctx, CODE_MODEL, "approximate '%s' is neither none nor tanh", approximate);
}

static Status eval_clip(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    const void *bounds[2] = {NULL, NULL};
    float attributes[2];

    if (clip_rows[x->dtype] == NULL)
        return eval_bad_dtype(ctx, 0);
    if (ctx->node->opset < 11) { /* bounds were attributes, of float alone */
        static const char *const names[2] = {"min", "max"};
        if (x->dtype != DT_FLOAT && x->dtype != DT_DOUBLE)
            return eval_bad_dtype(ctx, 0);
        double *wide = arena_array(ctx->scratch, 2, sizeof *wide);
        for (int k = 0; k < 2; k++) {
            if (node_attr(ctx->node, names[k]) == NULL)
                continue;
            attributes[k] = node_float(ctx->node, names[k], 0);
            wide[k] = (double)attributes[k];
            bounds[k] = x->dtype == DT_FLOAT ? (const void *)&attributes[k] : &wide[k];
        }
    }
    for (int k = 0; k < 2; k++) {
        const Tensor *bound = eval_in(ctx, k + 1);
        if (bound == NULL)
            continue;
        TRY(eval_require_same_dtype(ctx, 0, k + 1));
        if (bound->count != 1)
            return eval_error(ctx, CODE_MODEL, "%s has %lld elements, expected a scalar", k == 0 ? "min" : "max",
                              (long long)bound->count);
        bounds[k] = bound->data;
    }
    TRY(eval_output(ctx, 0, x->dtype, x->rank, x->dims));
    clip_rows[x->dtype](x->count, x->data, bounds[0], bounds[1], ctx->out[0].data);
    return NULL;
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

#define NO_MORE_ATTRS {NULL, ATTR_UNDEFINED, false}
static const AttrSpec alpha_attrs[] = {{"alpha", ATTR_FLOAT, false}, NO_MORE_ATTRS};
static const AttrSpec alpha_beta_attrs[] = {{"alpha", ATTR_FLOAT, false}, {"beta", ATTR_FLOAT, false}, NO_MORE_ATTRS};
static const AttrSpec selu_attrs[] = {{"alpha", ATTR_FLOAT, false}, {"gamma", ATTR_FLOAT, false}, NO_MORE_ATTRS};
static const AttrSpec shrink_attrs[] = {{"lambd", ATTR_FLOAT, false}, {"bias", ATTR_FLOAT, false}, NO_MORE_ATTRS};
static const AttrSpec gelu_attrs[] = {{"approximate", ATTR_STRING, false}, NO_MORE_ATTRS};
static const AttrSpec clip_attrs[] = {{"min", ATTR_FLOAT, false}, {"max", ATTR_FLOAT, false}, NO_MORE_ATTRS};

#define ACTIVATION_OP(symbol, name, activation, attributes, rule, ...)                                                 \
    static Status eval_##symbol(EvalCtx *ctx)                                                                          \
    {                                                                                                                  \
        return eval_activation(ctx, &activation);                                                                      \
    }                                                                                                                  \
    const OpDef symbol = {                                                                                             \
        .type = name, .domain = "", .versions = {__VA_ARGS__}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,   \
        .attrs = attributes, .infer = infer_same_as_input, .eval = eval_##symbol, .quant = rule, .widen_half = true,   \
    };

ACTIVATION_OP(op_leakyrelu, "LeakyRelu", leaky_relu, alpha_attrs, RULE_ELEMENTWISE(1), 6, 16)
ACTIVATION_OP(op_elu, "Elu", elu, alpha_attrs, RULE_FLOAT, 6, 22)
ACTIVATION_OP(op_selu, "Selu", selu, selu_attrs, RULE_FLOAT, 6, 22)
ACTIVATION_OP(op_celu, "Celu", celu, alpha_attrs, RULE_FLOAT, 12)
ACTIVATION_OP(op_sigmoid, "Sigmoid", sigmoid, NULL, RULE_FIXED_SCALE, 6, 13)
ACTIVATION_OP(op_hardsigmoid, "HardSigmoid", hard_sigmoid, alpha_beta_attrs, RULE_ELEMENTWISE(1), 6, 22)
ACTIVATION_OP(op_hardswish, "HardSwish", hard_swish, NULL, RULE_FLOAT, 14, 22)
ACTIVATION_OP(op_softplus, "Softplus", softplus, NULL, RULE_FLOAT, 1, 22)
ACTIVATION_OP(op_softsign, "Softsign", softsign, NULL, RULE_FLOAT, 1, 22)
ACTIVATION_OP(op_thresholdedrelu, "ThresholdedRelu", thresholded_relu, alpha_attrs, RULE_FLOAT, 10, 22)
ACTIVATION_OP(op_shrink, "Shrink", shrink, shrink_attrs, RULE_FLOAT, 9)
ACTIVATION_OP(op_mish, "Mish", mish, NULL, RULE_FLOAT, 18, 22)
ACTIVATION_OP(op_swish, "Swish", swish, alpha_attrs, RULE_FLOAT, 24)

const OpDef op_relu = {
    .type = "Relu", .domain = "", .versions = {6, 13, 14}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .infer = infer_same_as_input, .eval = eval_relu, .quant = RULE_ABSORBED, .widen_half = true,
};
const OpDef op_clip = {
    .type = "Clip", .domain = "", .versions = {6, 11, 12, 13}, .min_in = 1, .max_in = 3, .min_out = 1, .max_out = 1,
    .attrs = clip_attrs, .infer = infer_same_as_input, .eval = eval_clip, .quant = RULE_ABSORBED, .widen_half = true,
};
const OpDef op_gelu = {
    .type = "Gelu", .domain = "", .versions = {20}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .attrs = gelu_attrs, .infer = infer_same_as_input, .eval = eval_gelu, .quant = RULE_FLOAT, .widen_half = true,
};
