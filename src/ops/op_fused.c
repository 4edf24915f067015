/* op_fused.c - what ONNX Runtime's optimizer makes of neighbouring float ops, domain com.microsoft: FusedConv,
 * FusedMatMul, and the Gelu family.
 *
 *     FusedConv    activation(Conv(x, w, b) + z)
 *     FusedMatMul  alpha * a' b', the last two axes of a' and b' perhaps exchanged, or their first axis moved in front
 *                  of the last (transBatch)
 *     Gelu, BiasGelu   v/2 (1 + erf(v / sqrt 2))        FastGelu   v/2 (1 + tanh(sqrt(2/pi) (v + 0.044715 v^3)))
 *     QuickGelu        v / (1 + e^(-alpha v))            v = x + bias, the bias along the last axis
 */
#include <string.h>

#include "src/ops/heavy.h"
#include "src/kernels/vector_math.h"

extern const OpDef op_conv;

/* ---- FusedConv --------------------------------------------------------------------------------------------------- */

enum { CONV_Z = 3 };

typedef struct FusedActivation {
    const char *name;
    int n_params;
    float defaults[2];
    float (*run)(float x, const float *params);
    int post; /* a FastPostKind, or -1 */
} FusedActivation;

static float fused_identity(float x, const float *params)
{
    (void)params;
    return x;
}

static float fused_relu(float x, const float *params)
{
    (void)params;
    return x < 0 ? 0 : x;
}

static float fused_leaky(float x, const float *params)
{
    return x < 0 ? params[0] * x : x;
}

static float fused_clip(float x, const float *params)
{
    float low = x < params[0] ? params[0] : x;
    return low > params[1] ? params[1] : low;
}

static float fused_hard_sigmoid(float x, const float *params)
{
    float y = params[0] * x + params[1];
    return y < 0 ? 0 : y > 1 ? 1 : y;
}

static float fused_sigmoid(float x, const float *params)
{
    (void)params;
    return vector_sigmoid(x);
}

static float fused_tanh(float x, const float *params)
{
    (void)params;
    return vector_tanh(x);
}

/* What follows is not in ONNX Runtime's list: the executor joins them too. */
static float fused_swish(float x, const float *params)
{
    return x * vector_sigmoid(params[0] * x);
}

static float fused_hard_swish(float x, const float *params)
{
    float y = x / 6 + 0.5F;
    (void)params;
    return x * (y < 0 ? 0 : y > 1 ? 1 : y);
}

static float fused_gelu(float x, const float *params)
{
    (void)params;
    return x / 2 * (1 + vector_erf(x * 0.70710678118654752F));
}

static float fused_gelu_tanh(float x, const float *params)
{
    (void)params;
    return x / 2 * (1 + vector_tanh(0.79788456080286536F * (x + 0.044715F * x * x * x)));
}

static const FusedActivation fused_activations[] = {
    {"", 0, {0, 0}, fused_identity, -1},
    {"Relu", 0, {0, 0}, fused_relu, POST_RELU},
    {"LeakyRelu", 1, {0.01F, 0}, fused_leaky, POST_RELU},
    {"Clip", 2, {-3.402823466e+38F, 3.402823466e+38F}, fused_clip, POST_CLIP},
    {"HardSigmoid", 2, {0.2F, 0.5F}, fused_hard_sigmoid, -1},
    {"Sigmoid", 0, {0, 0}, fused_sigmoid, POST_SIGMOID},
    {"Tanh", 0, {0, 0}, fused_tanh, POST_TANH},
    {"Swish", 1, {1, 0}, fused_swish, POST_SWISH},
    {"HardSwish", 0, {0, 0}, fused_hard_swish, POST_HARD_SWISH},
    {"Gelu", 0, {0, 0}, fused_gelu, POST_GELU},
    {"GeluTanh", 0, {0, 0}, fused_gelu_tanh, POST_GELU_TANH},
};

static Status find_activation(const EvalCtx *ctx, const FusedActivation **ret, float params[2])
{
    const char *name = node_string(ctx->node, "activation", "");
    int64_t n;
    const float *listed = node_floats(ctx->node, "activation_params", &n);

    for (size_t i = 0; i < COUNT_OF(fused_activations); i++) {
        const FusedActivation *row = &fused_activations[i];
        if (strcmp(row->name, name) != 0)
            continue;
        if (n != 0 && n != row->n_params)
            return eval_error(ctx, CODE_MODEL, "activation '%s' has %d parameters, %lld are given", name, row->n_params,
                              (long long)n);
        for (int k = 0; k < 2; k++)
            params[k] = k < n ? listed[k] : row->defaults[k];
        *ret = row;
        return NULL;
    }
    return eval_error(ctx, CODE_UNSUPPORTED, "activation '%s' is not supported", name);
}

/* Conv itself is that op; the rest is done where its output lies. */
static Status finish_conv(EvalCtx *ctx, Status (*conv)(EvalCtx *ctx))
{
    const Tensor *z = eval_in(ctx, CONV_Z);
    const FusedActivation *activation;
    float params[2], *y;

    TRY(eval_require_dtype(ctx, 0, DT_FLOAT));
    TRY(eval_require_dtype(ctx, CONV_Z, DT_FLOAT));
    TRY(find_activation(ctx, &activation, params));
    TRY(conv(ctx));
    if (z != NULL && !tensor_same_shape(z, &ctx->out[0]))
        return eval_error(ctx, CODE_MODEL, "input %d is %s, expected %s as the output", CONV_Z,
                          tensor_shape_text(ctx->scratch, z), tensor_shape_text(ctx->scratch, &ctx->out[0]));
    y = ctx->out[0].data;
    for (int64_t i = 0; i < ctx->out[0].count; i++)
        y[i] = activation->run(z == NULL ? y[i] : y[i] + ((const float *)z->data)[i], params);
    return NULL;
}

static Status eval_fused_conv(EvalCtx *ctx)
{
    return finish_conv(ctx, op_conv.eval);
}

static bool accepts_fused_conv(const EvalCtx *ctx)
{
    return op_conv.impls != NULL && op_conv.impls[0].accepts(ctx);
}

/* One primitive where oneDNN has it, else Conv and what follows. */
static Status eval_fused_conv_fast(EvalCtx *ctx)
{
    const FusedActivation *activation;
    FastPost posts[FAST_MAX_POSTS];
    float params[2];
    int n = 0;
    bool done = false;

    TRY(eval_require_dtype(ctx, CONV_Z, DT_FLOAT));
    TRY(ready_run(ctx, READY_WITH_POSTS, DT_FLOAT, CONV_Z, &done));
    if (done)
        return NULL;
    TRY(find_activation(ctx, &activation, params));
    if (eval_in(ctx, CONV_Z) != NULL)
        posts[n++] = (FastPost){.kind = POST_ADD};
    if (activation->post >= 0)
        posts[n++] = (FastPost){(FastPostKind)activation->post, params[0], params[1]};
    if (activation->post >= 0 || activation->run == fused_identity)
        TRY(conv_run_posts(ctx, posts, n, CONV_Z, &done));
    return done ? NULL : finish_conv(ctx, op_conv.impls[0].eval);
}

static Status infer_fused_conv(Node *node)
{
    return conv_infer(node, 0, 1, infer_dtype(node, 0));
}

/* ---- FusedMatMul ------------------------------------------------------------------------------------------------- */

/* The axes of input i in the order they are multiplied in. False: as they are. */
static bool fused_order(const Node *node, int i, int rank, int ret[TENSOR_MAX_RANK])
{
    bool last = node_int(node, i == 0 ? "transA" : "transB", 0) != 0;
    bool batch = node_int(node, i == 0 ? "transBatchA" : "transBatchB", 0) != 0;

    for (int d = 0; d < rank; d++)
        ret[d] = batch && rank > 2 && d < rank - 1 ? (d + 1) % (rank - 1) : d;
    if (rank >= 2 && last) {
        int axis = ret[rank - 1];
        ret[rank - 1] = ret[rank - 2];
        ret[rank - 2] = axis;
    }
    return rank >= 2 && (last || (batch && rank > 2));
}

static Status infer_fused_matmul(Node *node)
{
    Shape shapes[2];

    for (int i = 0; i < 2; i++) {
        Shape in = shapes[i] = infer_shape(node, i);
        int order[TENSOR_MAX_RANK];
        if (in.rank > 0 && fused_order(node, i, in.rank, order))
            for (int d = 0; d < in.rank; d++)
                shapes[i].dims[d] = in.dims[order[d]];
    }
    return matmul_infer_shapes(node, shapes[0], shapes[1], infer_dtype(node, 0));
}

/* Input i as floats with its axes in order. */
static Status ordered_input(EvalCtx *ctx, int i, Tensor *ret)
{
    const Tensor *x = ctx->in[i];
    int64_t dims[TENSOR_MAX_RANK], own[TENSOR_MAX_RANK], from[TENSOR_MAX_RANK], to[TENSOR_MAX_RANK];
    int order[TENSOR_MAX_RANK];
    void *data;

    *ret = *x;
    ret->owned = false;
    if (!fused_order(ctx->node, i, x->rank, order))
        return NULL;
    row_major_strides(x->rank, x->dims, own);
    for (int d = 0; d < x->rank; d++) {
        dims[d] = x->dims[order[d]];
        from[d] = own[order[d]];
    }
    row_major_strides(x->rank, dims, to);
    TRY(eval_scratch(ctx, x->bytes, &data));
    TRY(tensor_view(ret, DT_FLOAT, x->rank, dims, data));
    strided_copy(data, to, x->data, from, x->rank, dims, sizeof(float));
    return NULL;
}

static Status run_fused_matmul(EvalCtx *ctx, bool fast)
{
    float alpha = node_float(ctx->node, "alpha", 1), *y;
    Tensor a, b;
    MatmulPlan plan;

    TRY(eval_require_dtype(ctx, 0, DT_FLOAT));
    TRY(eval_require_dtype(ctx, 1, DT_FLOAT));
    TRY(ordered_input(ctx, 0, &a));
    TRY(ordered_input(ctx, 1, &b));
    TRY(matmul_plan(ctx, &a, &b, &plan));
    TRY(eval_output(ctx, 0, DT_FLOAT, plan.rank, plan.dims));
    y = ctx->out[0].data;
    FloatProduct product = {.batch = plan.batch, .m = plan.m, .n = plan.n, .k = plan.k, .pairs = plan.pairs,
                            .a = {.data = a.data, .row = plan.k, .column = 1}, .b = {.data = b.data, .row = plan.n, .column = 1},
                            .c = y};
    if (fast)
        TRY(heavy_product(ctx, &product, b.data == ctx->in[1]->data ? 1 : -1));
    else
        gemm_float(ctx->team, plan.batch, plan.pairs, plan.m, plan.n, plan.k, product.a, product.b, y);
    for (int64_t i = 0; alpha != 1 && i < ctx->out[0].count; i++)
        y[i] *= alpha;
    return NULL;
}

static Status eval_fused_matmul(EvalCtx *ctx)
{
    return run_fused_matmul(ctx, false);
}

static Status eval_fused_matmul_fast(EvalCtx *ctx)
{
    return run_fused_matmul(ctx, true);
}

static bool accepts_fused_matmul(const EvalCtx *ctx)
{
    return ctx->in[0]->dtype == DT_FLOAT && ctx->in[1]->dtype == DT_FLOAT;
}

/* ---- Gelu family ------------------------------------------------------------------------------------------------- */

static float gelu_exact(float x, float unused)
{
    (void)unused;
    return x / 2 * (1 + vector_erf(0.70710678F * x));
}

static float gelu_fast(float x, float unused)
{
    (void)unused;
    return x / 2 * (1 + vector_tanh(0.79788456F * (x + 0.044715F * x * x * x)));
}

static float gelu_quick(float x, float alpha)
{
    return x * vector_sigmoid(alpha * x);
}

static Status run_gelu(EvalCtx *ctx, float (*function)(float x, float parameter), float parameter)
{
    const Tensor *x = ctx->in[0], *bias = eval_in(ctx, 1);
    int64_t n = bias == NULL ? 1 : bias->count;
    const float *floats, *added = NULL;
    float *y;

    TRY(eval_require_dtype(ctx, 0, DT_FLOAT));
    TRY(eval_require_dtype(ctx, 1, DT_FLOAT));
    floats = x->data;
    if (bias != NULL) {
        if (bias->rank != 1 || x->rank < 1 || x->dims[x->rank - 1] != n)
            return eval_error(ctx, CODE_MODEL, "a bias of %s does not fit an input of %s",
                              tensor_shape_text(ctx->scratch, bias), tensor_shape_text(ctx->scratch, x));
        added = bias->data;
    }
    TRY(eval_output(ctx, 0, DT_FLOAT, x->rank, x->dims));
    y = ctx->out[0].data;
    for (int64_t i = 0; i < x->count; i++)
        y[i] = function(added == NULL ? floats[i] : floats[i] + added[i % n], parameter);
    return NULL;
}

static Status eval_gelu(EvalCtx *ctx)
{
    return run_gelu(ctx, gelu_exact, 0);
}

static Status eval_fast_gelu(EvalCtx *ctx)
{
    return run_gelu(ctx, gelu_fast, 0);
}

static Status eval_quick_gelu(EvalCtx *ctx)
{
    return run_gelu(ctx, gelu_quick, node_float(ctx->node, "alpha", 1.702F));
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

static const AttrSpec fused_conv_attrs[] = {
    {"activation", ATTR_STRING, false}, {"activation_params", ATTR_FLOATS, false}, {"auto_pad", ATTR_STRING, false},
    {"dilations", ATTR_INTS, false},    {"group", ATTR_INT, false},                {"kernel_shape", ATTR_INTS, false},
    {"pads", ATTR_INTS, false},         {"strides", ATTR_INTS, false},             {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec fused_matmul_attrs[] = {
    {"alpha", ATTR_FLOAT, false},      {"transA", ATTR_INT, false},      {"transB", ATTR_INT, false},
    {"transBatchA", ATTR_INT, false}, {"transBatchB", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec quick_gelu_attrs[] = {{"alpha", ATTR_FLOAT, false}, {NULL, ATTR_UNDEFINED, false}};
static const OpImpl fused_matmul_impls[] = {{"tiles", accepts_fused_matmul, eval_fused_matmul_fast}, {NULL, NULL, NULL}};
static const OpImpl fused_conv_impls[] = {{"onednn", accepts_fused_conv, eval_fused_conv_fast}, {NULL, NULL, NULL}};

const OpDef op_ms_fusedconv = {
    .type = "FusedConv", .domain = DOMAIN_MICROSOFT, .versions = {1}, .min_in = 2, .max_in = 4, .min_out = 1,
    .max_out = 1, .attrs = fused_conv_attrs, .infer = infer_fused_conv, .eval = eval_fused_conv,
    .impls = fused_conv_impls, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_ms_fusedmatmul = {
    .type = "FusedMatMul", .domain = DOMAIN_MICROSOFT, .versions = {1}, .min_in = 2, .max_in = 2, .min_out = 1,
    .max_out = 1, .attrs = fused_matmul_attrs, .infer = infer_fused_matmul, .eval = eval_fused_matmul,
    .impls = fused_matmul_impls,
    .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_ms_gelu = {
    .type = "Gelu", .domain = DOMAIN_MICROSOFT, .versions = {1}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .infer = infer_same_as_input, .eval = eval_gelu, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_ms_biasgelu = {
    .type = "BiasGelu", .domain = DOMAIN_MICROSOFT, .versions = {1}, .min_in = 2, .max_in = 2, .min_out = 1,
    .max_out = 1, .infer = infer_same_as_input, .eval = eval_gelu, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_ms_fastgelu = {
    .type = "FastGelu", .domain = DOMAIN_MICROSOFT, .versions = {1}, .min_in = 1, .max_in = 2, .min_out = 1,
    .max_out = 1, .infer = infer_same_as_input, .eval = eval_fast_gelu, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_ms_quickgelu = {
    .type = "QuickGelu", .domain = DOMAIN_MICROSOFT, .versions = {1}, .min_in = 1, .max_in = 1, .min_out = 1,
    .max_out = 1, .attrs = quick_gelu_attrs, .infer = infer_same_as_input, .eval = eval_quick_gelu,
    .quant = RULE_FLOAT, .widen_half = true,
};
