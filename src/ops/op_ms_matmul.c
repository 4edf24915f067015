/* op_ms_matmul.c - com.microsoft's products of quantized weights with a float result: MatMulIntegerToFloat,
 * DynamicQuantizeMatMul, MatMulNBits.
 *
 *     MatMulIntegerToFloat   y = a_scale * b_scale * sum (a - a_zero)(b - b_zero) + bias
 *     DynamicQuantizeMatMul  the same with a float on the left, quantized as DynamicQuantizeLinear does
 *     MatMulNBits            b is (N, blocks, bytes): each block of block_size elements along K has a scale and a zero
 *                            point, elements of `bits` bits packed low bits first
 */
#include <math.h>
#include <string.h>

#include "src/ops/heavy.h"

/* ---- 8 bits on both sides ---------------------------------------------------------------------------------------- */

/* Where the inputs of either op stand; -1: it has none. */
typedef struct Slots {
    int a, b, a_scale, b_scale, a_zero, b_zero, bias;
} Slots;

static const Slots to_float_slots = {0, 1, 2, 3, 4, 5, 6};
static const Slots dynamic_slots = {0, 1, -1, 2, -1, 3, 4};

/* A float bias (n,), or NULL. */
static Status read_bias(EvalCtx *ctx, int input, int64_t n, const float **ret)
{
    const Tensor *bias = eval_in(ctx, input);

    *ret = NULL;
    if (bias == NULL)
        return NULL;
    if (bias->count != n)
        return eval_error(ctx, CODE_MODEL, "bias (input %d) has %lld elements, expected %lld", input,
                          (long long)bias->count, (long long)n);
    return heavy_floats(ctx, input, ret);
}

/* y = a * b with the scale and zero point of all of a; b's per tensor or column. */
static Status integer_product(EvalCtx *ctx, const Slots *slots, const Tensor *a, Scale8 a_scale, bool fast)
{
    const Tensor *b = ctx->in[slots->b];
    ChannelScales columns;
    MatmulPlan plan;

    if (!is_8_bit(b))
        return eval_bad_dtype(ctx, slots->b);
    TRY(matmul_plan(ctx, a, b, &plan));
    TRY(read_channel_scales(ctx, slots->b_scale, slots->b_zero, b->dtype, plan.n, &columns));
    TRY(eval_output(ctx, 0, DT_FLOAT, plan.rank, plan.dims));
    Tensor *y = &ctx->out[0];
    if (y->count == 0)
        return NULL;
    IntProduct product = int_product_of_plan(&plan);
    product.a = a;
    product.bytes.a.zero = &a_scale.zero;
    product.bytes.a.zeros = 1;
    product.a_zero_input = slots->a_zero;
    product.b = b;
    product.bytes.b.zero = columns.zero;
    product.bytes.b.zeros = columns.zeros;
    product.b_input = slots->b;
    product.fast = fast;
    product.bytes.result = BYTE_FLOATS;
    product.bytes.multiplier = make_multipliers(ctx, a_scale.scale, &columns, 1.0F);
    product.bytes.multipliers = columns.scales;
    product.bytes.y = y->data;
    TRY(read_bias(ctx, slots->bias, plan.n, &product.bytes.float_bias));
    return int_product(ctx, &product);
}

static Status run_to_float(EvalCtx *ctx, bool fast)
{
    const Slots *slots = &to_float_slots;
    Scale8 a_scale;

    if (!is_8_bit(ctx->in[slots->a]))
        return eval_bad_dtype(ctx, slots->a);
    TRY(read_scale8(ctx, slots->a_scale, slots->a_zero, ctx->in[slots->a]->dtype, &a_scale));
    return integer_product(ctx, slots, ctx->in[slots->a], a_scale, fast);
}

/* Range of a widened to 0 over the 256 codes of uint8. */
static Status run_dynamic(EvalCtx *ctx, bool fast)
{
    const Tensor *x = ctx->in[dynamic_slots.a];
    float low = 0, high = 0;
    Scale8 scale = {KERNEL_U8, 1, 0};
    const float *floats;
    Tensor a;
    void *data;

    TRY(heavy_floats(ctx, dynamic_slots.a, &floats));
    for (int64_t i = 0; i < x->count; i++) {
        low = floats[i] < low ? floats[i] : low;
        high = floats[i] > high ? floats[i] : high;
    }
    if (!isfinite(low) || !isfinite(high))
        return eval_error(ctx, CODE_MODEL, "the input holds an infinity, no scale fits");
    if ((high - low) / 255 > 0 && isfinite((high - low) / 255))
        scale.scale = (high - low) / 255;
    scale.zero = (int32_t)nearbyintf(MIN(MAX(-low / scale.scale, 0.0F), 255.0F));
    TRY(eval_scratch(ctx, (size_t)x->count, &data));
    TRY(tensor_view(&a, DT_UINT8, x->rank, x->dims, data));
    quantize_floats(floats, x->count, scale, data);
    return integer_product(ctx, &dynamic_slots, &a, scale, fast);
}

#define PRODUCT_EVAL(name)                                                                                             \
    static Status eval_##name(EvalCtx *ctx)                                                                            \
    {                                                                                                                  \
        return run_##name(ctx, false);                                                                                 \
    }                                                                                                                  \
    static Status eval_##name##_fast(EvalCtx *ctx)                                                                     \
    {                                                                                                                  \
        return run_##name(ctx, true);                                                                                  \
    }                                                                                                                  \
    static const OpImpl name##_impls[] = {{"integer", int_product_accepts, eval_##name##_fast}, {NULL, NULL, NULL}};
PRODUCT_EVAL(to_float)
PRODUCT_EVAL(dynamic)

static Status infer_to_float(Node *node)
{
    return matmul_infer(node, 0, 1, DT_FLOAT);
}

/* ---- MatMulNBits ------------------------------------------------------------------------------------------------- */

enum { NB_A, NB_B, NB_SCALES, NB_ZEROS, NB_GROUPS, NB_BIAS };

typedef struct NBits {
    int64_t n, k, bits, block, blocks;
    const uint8_t *codes;   /* (n, blocks, block * bits / 8) */
    const float *scales;    /* (n, blocks) */
    const uint8_t *zeros;   /* packed as the codes, each row in whole bytes; or NULL */
    const float *zero_floats;
} NBits;

static int64_t code_at(const uint8_t *data, int64_t i, int64_t bits)
{
    int64_t per_byte = 8 / bits;

    return data[i / per_byte] >> (i % per_byte * bits) & ((1 << bits) - 1);
}

static Status read_nbits(EvalCtx *ctx, NBits *ret)
{
    const Tensor *zeros = eval_in(ctx, NB_ZEROS), *codes = ctx->in[NB_B];
    int64_t count, row_bytes;
    NBits b = {
        .n = node_int(ctx->node, "N", 0),
        .k = node_int(ctx->node, "K", 0),
        .bits = node_int(ctx->node, "bits", 4),
        .block = node_int(ctx->node, "block_size", 0),
    };

    if (b.n < 1 || b.k < 1 || b.n > INT32_MAX || b.k > INT32_MAX || b.block < 16 || b.block > INT32_MAX ||
        (b.block & (b.block - 1)) != 0)
        return eval_error(ctx, CODE_MODEL, "N %lld, K %lld and block_size %lld are not possible", (long long)b.n,
                          (long long)b.k, (long long)b.block);
    if (b.bits != 2 && b.bits != 4 && b.bits != 8)
        return eval_error(ctx, CODE_UNSUPPORTED, "%lld bits are not supported, only 2, 4 and 8", (long long)b.bits);
    if (eval_in(ctx, NB_GROUPS) != NULL)
        return eval_error(ctx, CODE_UNSUPPORTED, "the order of groups (input %d) is not supported", NB_GROUPS);
    b.blocks = (b.k + b.block - 1) / b.block;
    count = b.n * b.blocks;
    row_bytes = (b.blocks * b.bits + 7) / 8;
    TRY(eval_require_dtype(ctx, NB_B, DT_UINT8));
    if (codes->count != count * (b.block * b.bits / 8) || ctx->in[NB_SCALES]->count != count)
        return eval_error(ctx, CODE_MODEL, "weight is %s with scales %s, expected %lld blocks of %lld bytes",
                          tensor_shape_text(ctx->scratch, codes), tensor_shape_text(ctx->scratch, ctx->in[NB_SCALES]),
                          (long long)count, (long long)(b.block * b.bits / 8));
    b.codes = codes->data;
    TRY(heavy_floats(ctx, NB_SCALES, &b.scales));
    if (zeros != NULL && zeros->count != (zeros->dtype == DT_UINT8 ? b.n * row_bytes : count))
        return eval_error(ctx, CODE_MODEL, "the zero points are %s, expected %lld",
                          tensor_shape_text(ctx->scratch, zeros),
                          (long long)(zeros->dtype == DT_UINT8 ? b.n * row_bytes : count));
    if (zeros != NULL && zeros->dtype == DT_UINT8)
        b.zeros = zeros->data;
    else if (zeros != NULL)
        TRY(heavy_floats(ctx, NB_ZEROS, &b.zero_floats));
    *ret = b;
    return NULL;
}

/* The weight as (n, k) floats. */
static void unpack_nbits(const NBits *b, float *to)
{
    int64_t block_bytes = b->block * b->bits / 8, row_bytes = (b->blocks * b->bits + 7) / 8;

    for (int64_t row = 0; row < b->n; row++)
        for (int64_t i = 0; i < b->blocks; i++) {
            int64_t at = row * b->blocks + i, begin = i * b->block, end = MIN(begin + b->block, b->k);
            float zero = (float)(1 << (b->bits - 1));
            if (b->zeros != NULL)
                zero = (float)code_at(b->zeros + row * row_bytes, i, b->bits);
            else if (b->zero_floats != NULL)
                zero = b->zero_floats[at];
            for (int64_t k = begin; k < end; k++)
                to[row * b->k + k] =
                    ((float)code_at(b->codes + at * block_bytes, k - begin, b->bits) - zero) * b->scales[at];
        }
}

static Status eval_nbits(EvalCtx *ctx)
{
    const Tensor *a = ctx->in[NB_A];
    int64_t dims[TENSOR_MAX_RANK];
    const float *floats, *bias;
    FloatOutput y;
    NBits b;
    size_t bytes;
    void *weight;

    TRY(read_nbits(ctx, &b));
    if (a->rank < 1 || a->dims[a->rank - 1] != b.k)
        return eval_error(ctx, CODE_MODEL, "input is %s, expected rows of %lld", tensor_shape_text(ctx->scratch, a),
                          (long long)b.k);
    TRY(heavy_floats(ctx, NB_A, &floats));
    memcpy(dims, a->dims, (size_t)a->rank * sizeof *dims);
    dims[a->rank - 1] = b.n;
    TRY(heavy_output(ctx, 0, a->dtype, a->rank, dims, &y));
    TRY(tensor_measure(DT_FLOAT, 2, (int64_t[]){b.n, b.k}, NULL, &bytes));
    TRY(eval_scratch(ctx, bytes, &weight));
    unpack_nbits(&b, weight);
    int64_t rows = count_of(a->dims, 0, a->rank - 1);
    gemm_float(ctx->team, 1, NULL, rows, b.n, b.k,
               (Matrix){.data = floats, .type = KERNEL_FLOAT, .row = b.k, .column = 1},
               (Matrix){.data = weight, .type = KERNEL_FLOAT, .row = 1, .column = b.k}, y.data);
    TRY(read_bias(ctx, NB_BIAS, b.n, &bias));
    for (int64_t i = 0; bias != NULL && i < rows * b.n; i++)
        y.data[i] += bias[i % b.n];
    return heavy_finish(ctx, &y);
}

static Status infer_nbits(Node *node)
{
    Shape out = infer_shape(node, NB_A);
    int64_t n = node_int(node, "N", -1);

    TRY(infer_rank_at_least(node, NB_A, 1));
    if (out.rank >= 1)
        out.dims[out.rank - 1] = n >= 0 ? dim_known(n) : DIM_UNKNOWN;
    infer_output(node, 0, infer_dtype(node, NB_A), &out);
    return NULL;
}

static const AttrSpec nbits_attrs[] = {
    {"K", ATTR_INT, true},          {"N", ATTR_INT, true},
    {"bits", ATTR_INT, false},      {"block_size", ATTR_INT, true},
    {"accuracy_level", ATTR_INT, false}, {"weight_prepacked", ATTR_INT, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_ms_matmulintegertofloat = {
    .type = "MatMulIntegerToFloat", .domain = DOMAIN_MICROSOFT, .versions = {1}, .min_in = 4, .max_in = 7, .min_out = 1,
    .max_out = 1, .infer = infer_to_float, .eval = eval_to_float, .impls = to_float_impls, .quant = RULE_FLOAT,
};
const OpDef op_ms_dynamicquantizematmul = {
    .type = "DynamicQuantizeMatMul", .domain = DOMAIN_MICROSOFT, .versions = {1}, .min_in = 3, .max_in = 5,
    .min_out = 1, .max_out = 1, .infer = infer_to_float, .eval = eval_dynamic, .impls = dynamic_impls, .quant = RULE_FLOAT,
};
const OpDef op_ms_matmulnbits = {
    .type = "MatMulNBits", .domain = DOMAIN_MICROSOFT, .versions = {1}, .min_in = 3, .max_in = 6, .min_out = 1,
    .max_out = 1, .attrs = nbits_attrs, .infer = infer_nbits, .eval = eval_nbits, .quant = RULE_FLOAT,
    .widen_half = true,
};
