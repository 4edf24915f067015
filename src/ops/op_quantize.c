/* op_quantize.c - QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear.
 *
 *     q = saturate(round_half_even(x / scale) + zero)        x = (q - zero) * scale
 *
 * scale: one for all, (C,) along `axis`, or in blocks of `block_size` along it (opset 21): then it has the rank of x.
 * q is an integer of 2 to 16 bits (x also int32), or a float8 or float4 (opset 19, 23), which is not rounded to whole
 * numbers; the zero point of a float8 must be 0.
 */
#include "src/ops/heavy.h"

#include <math.h>

/* How scales lie over x, seen as (outer, n, inner). */
typedef struct Blocks {
    int64_t outer, n, inner;
    int64_t scales; /* along n: 1, n, or the number of blocks */
    int64_t block;  /* elements of n under one scale */
    bool blocked;   /* scales vary over outer and inner too */
} Blocks;

static Status find_blocks(const EvalCtx *ctx, const Tensor *x, const Tensor *scale, const Tensor *zero, Blocks *ret)
{
    int64_t block = node_int(ctx->node, "block_size", 0);
    Blocks blocks = {1, x->count, 1, 1, x->count, false};
    int axis;

    if (zero != NULL && !tensor_same_shape(zero, scale) && !(zero->count == 1 && scale->count == 1))
        return eval_error(ctx, CODE_MODEL, "scale and zero point differ in shape: %s and %s",
                          tensor_shape_text(ctx->scratch, scale), tensor_shape_text(ctx->scratch, zero));
    if (block < 0)
        return eval_error(ctx, CODE_MODEL, "attribute 'block_size' is %lld, expected 0 or more", (long long)block);
    if (scale->rank == 0 || (scale->rank == 1 && scale->count == 1 && block == 0)) {
        *ret = blocks;
        return NULL;
    }
    TRY(eval_axis(ctx, node_int(ctx->node, "axis", 1), x->rank, &axis));
    blocks.outer = count_of(x->dims, 0, axis);
    blocks.n = x->dims[axis];
    blocks.inner = count_of(x->dims, axis + 1, x->rank);
    if (block == 0) {
        if (scale->rank != 1 || scale->count != blocks.n)
            return eval_error(ctx, CODE_MODEL, "scale is %s, axis %d of the input has %lld elements",
                              tensor_shape_text(ctx->scratch, scale), axis, (long long)blocks.n);
        blocks.scales = blocks.n;
        blocks.block = 1;
        *ret = blocks;
        return NULL;
    }
    bool fits = scale->rank == x->rank;
    for (int d = 0; fits && d < x->rank; d++)
        fits = scale->dims[d] == (d == axis ? x->dims[d] / block + (x->dims[d] % block != 0) : x->dims[d]);
    if (!fits)
        return eval_error(ctx, CODE_MODEL,
                          "scale is %s, which does not cut the input into blocks of %lld along axis %d",
                          tensor_shape_text(ctx->scratch, scale), (long long)block, axis);
    blocks.scales = scale->dims[axis];
    blocks.block = block;
    blocks.blocked = true;
    *ret = blocks;
    return NULL;
}

/* Calls run() for each piece of x under one scale: n elements from `at` on, scale number `which`. */
typedef struct Walk {
    const Tensor *x, *scale, *zero;
    Tensor *y;
    int32_t low, high;
    bool saturate;      /* QuantizeLinear to float8 */
    DType precision;    /* of its division; DT_FLOAT but where the attribute `precision` asks for another */
} Walk;
typedef void (*Piece)(const Walk *walk, int64_t at, int64_t n, int64_t which);

/* Under one scale: by ranges of whole bytes, also of elements of fewer than 8 bits. */
typedef struct Single {
    const Walk *walk;
    Piece run;
    int64_t n;
} Single;

enum { STEP = 64, LEAST_STEPS = (1 << 12) / STEP };

static void single_range(void *context, int64_t begin, int64_t end, int worker)
{
    const Single *single = context;

    (void)worker;
    single->run(single->walk, begin * STEP, MIN(end * STEP, single->n) - begin * STEP, 0);
}

static void each_piece(Team *team, const Blocks *blocks, const Walk *walk, Piece run)
{
    if (blocks->scales == 1 && !blocks->blocked) {
        Single single = {walk, run, blocks->n};
        team_split(team, (blocks->n + STEP - 1) / STEP, LEAST_STEPS, single_range, &single);
        return;
    }
    for (int64_t o = 0; o < blocks->outer; o++)
        for (int64_t c = 0; c < blocks->n; c++) {
            int64_t at = (o * blocks->n + c) * blocks->inner, which = c / blocks->block;
            if (!blocks->blocked)
                run(walk, at, blocks->inner, which);
            else
                for (int64_t i = 0; i < blocks->inner; i++)
                    run(walk, at + i, 1, (o * blocks->scales + which) * blocks->inner + i);
        }
}

static int32_t zero_at(const Walk *walk, int64_t which)
{
    return walk->zero == NULL ? 0 : (int32_t)tensor_get_int(walk->zero, walk->zero->count == 1 ? 0 : which);
}

static float scale_at(const Walk *walk, int64_t which)
{
    return walk->scale->dtype == DT_FLOAT ? ((const float *)walk->scale->data)[which]
                                          : (float)tensor_get(walk->scale, which);
}

static Status check_scales(const EvalCtx *ctx, const Tensor *scale)
{
    if (!dtype_is_float(scale->dtype) && scale->dtype != DT_FLOAT8E8M0)
        return eval_bad_dtype(ctx, 1);
    for (int64_t i = 0; i < scale->count; i++) {
        double value = tensor_get(scale, i);
        if (!isfinite(value) || value == 0.0)
            return eval_error(ctx, CODE_MODEL, "scale %lld is %g", (long long)i, value);
    }
    return NULL;
}

/* Least and greatest of the integers that hold quantized values; false for any other type. */
static bool limits(DType dtype, int32_t *ret_low, int32_t *ret_high)
{
    switch (dtype) {
    case DT_UINT8:
    case DT_UINT16:
    case DT_UINT4:
    case DT_UINT2:
        *ret_low = 0;
        *ret_high = (1 << dtype_bits(dtype)) - 1;
        return true;
    case DT_INT8:
    case DT_INT16:
    case DT_INT4:
    case DT_INT2:
        *ret_low = -(1 << (dtype_bits(dtype) - 1));
        *ret_high = (1 << (dtype_bits(dtype) - 1)) - 1;
        return true;
    default:
        return false;
    }
}

static bool is_small_float(DType dtype)
{
    return (dtype >= DT_FLOAT8E4M3FN && dtype <= DT_FLOAT8E5M2FNUZ) || dtype == DT_FLOAT4E2M1;
}

/* The zero point of a float8 says nothing but its type. */
static Status check_small_float_zero(const EvalCtx *ctx, const Tensor *zero)
{
    for (int64_t i = 0; zero != NULL && i < zero->count; i++)
        if (tensor_get(zero, i) != 0)
            return eval_error(ctx, CODE_MODEL, "the zero point of %s must be 0, it is %g", dtype_name(zero->dtype),
                              tensor_get(zero, i));
    return NULL;
}

/* ---- QuantizeLinear ---------------------------------------------------------------------------------------------- */

static DType quantized_dtype(const Node *node, DType zero)
{
    if (zero != DT_UNDEFINED)
        return zero;
    int64_t dtype = node_int(node, "output_dtype", 0);
    return dtype > 0 && dtype <= DT_LAST ? (DType)dtype : DT_UINT8;
}

static Status infer_quantize(Node *node)
{
    Shape shape = infer_shape(node, 0);
    DType zero = infer_dtype(node, 2);

    if (node_in(node, 2) != NULL && zero == DT_UNDEFINED)
        infer_output(node, 0, DT_UNDEFINED, &shape);
    else
        infer_output(node, 0, quantized_dtype(node, zero), &shape);
    return NULL;
}

static void quantize_piece(const Walk *walk, int64_t at, int64_t n, int64_t which)
{
    float scale = scale_at(walk, which);
    int32_t zero = zero_at(walk, which);
    const float *x = (const float *)walk->x->data + at;

    if (is_small_float(walk->y->dtype)) {
        for (int64_t i = 0; i < n; i++)
            cast_set_small_float(walk->y, at + i, (double)(x[i] / scale), walk->saturate);
        return;
    }
    if (is_8_bit(walk->y) && scale > 0.0F) {
        quantize_floats(x, n, (Scale8){kernel_type(walk->y->dtype), scale, zero}, (char *)walk->y->data + at);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        float q = x[i] / scale, low = (float)(walk->low - zero), high = (float)(walk->high - zero);
        q = q > low ? q : low; /* NaN too */
        q = q < high ? q : high;
        tensor_set(walk->y, at + i, (double)(nearbyintf(q) + (float)zero));
    }
}

static double round_to(DType dtype, double value)
{
    switch (dtype) {
    case DT_FLOAT16: return (double)half_to_float(float_to_half((float)value));
    case DT_BFLOAT16: return (double)bfloat_to_float(float_to_bfloat((float)value));
    default: return value;
    }
}

/* quantize_piece() with operands and quotient in a precision asked for (opset 23); the operands are held as doubles. */
static void quantize_piece_precisely(const Walk *walk, int64_t at, int64_t n, int64_t which)
{
    const double *x = (const double *)walk->x->data + at;
    double scale = round_to(walk->precision, tensor_get(walk->scale, which)), zero = zero_at(walk, which);

    for (int64_t i = 0; i < n; i++) {
        double q = round_to(walk->precision, round_to(walk->precision, x[i]) / scale);
        if (is_small_float(walk->y->dtype)) {
            cast_set_small_float(walk->y, at + i, q, walk->saturate);
            continue;
        }
        q = q > walk->low - zero ? q : walk->low - zero; /* NaN too */
        q = q < walk->high - zero ? q : walk->high - zero;
        tensor_set(walk->y, at + i, nearbyint(q) + zero);
    }
}

/* The attribute `precision`: a float type, or 0 for that of the scale, whose 16 bits are divided as floats: ONNX Runtime does
 * so, too. */
static Status find_precision(EvalCtx *ctx, DType *ret)
{
    int64_t asked = node_int(ctx->node, "precision", 0);
    *ret = asked == 0 ? DT_FLOAT : (DType)asked;
    if (asked < 0 || asked > DT_LAST || !dtype_is_float(*ret))
        return eval_error(ctx, CODE_MODEL, "precision %lld is none of the float types", (long long)asked);
    return NULL;
}

static Status eval_quantize(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0], *scale = ctx->in[1], *zero = eval_in(ctx, 2);
    DType dtype = quantized_dtype(ctx->node, zero == NULL ? DT_UNDEFINED : zero->dtype);
    Walk walk = {.scale = scale, .zero = zero, .y = &ctx->out[0]};
    Blocks blocks;

    walk.saturate = node_int(ctx->node, "saturate", 1) != 0;
    if (is_small_float(dtype))
        TRY(check_small_float_zero(ctx, zero));
    else if (!limits(dtype, &walk.low, &walk.high))
        return eval_error(ctx, CODE_UNSUPPORTED, "quantizing to %s is not supported", dtype_name(dtype));
    if (!dtype_is_float(x->dtype) && x->dtype != DT_INT32)
        return eval_bad_dtype(ctx, 0);
    TRY(check_scales(ctx, scale));
    TRY(find_blocks(ctx, x, scale, zero, &blocks));
    TRY(find_precision(ctx, &walk.precision));
    bool single = walk.precision == DT_FLOAT;
    TRY(eval_converted(ctx, x, single ? DT_FLOAT : DT_DOUBLE, &walk.x));
    TRY(eval_output(ctx, 0, dtype, x->rank, x->dims));
    each_piece(ctx->team, &blocks, &walk, single ? quantize_piece : quantize_piece_precisely);
    return NULL;
}

/* ---- DequantizeLinear -------------------------------------------------------------------------------------------- */

static Status infer_dequantize(Node *node)
{
    Shape shape = infer_shape(node, 0);
    int64_t asked = node_int(node, "output_dtype", 0);

    infer_output(node, 0, asked > 0 && asked <= DT_LAST ? (DType)asked : infer_dtype(node, 1), &shape);
    return NULL;
}

static void dequantize_piece(const Walk *walk, int64_t at, int64_t n, int64_t which)
{
    float scale = scale_at(walk, which);
    int32_t zero = zero_at(walk, which);
    const Tensor *x = walk->x;

    if (is_small_float(x->dtype)) {
        for (int64_t i = 0; i < n; i++)
            tensor_set(walk->y, at + i, (double)((float)tensor_get(x, at + i) * scale));
        return;
    }
    if (walk->y->dtype != DT_FLOAT) {
        for (int64_t i = 0; i < n; i++)
            tensor_set(walk->y, at + i, (double)((float)(tensor_get_int(x, at + i) - zero) * scale));
        return;
    }
    float *y = (float *)walk->y->data + at;
    if (is_8_bit(x))
        dequantize_bytes((const char *)x->data + at, n, (Scale8){kernel_type(x->dtype), scale, zero}, y);
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = (float)(tensor_get_int(x, at + i) - zero) * scale;
}

static Status eval_dequantize(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0], *scale = ctx->in[1], *zero = eval_in(ctx, 2);
    int64_t asked = node_int(ctx->node, "output_dtype", 0);
    DType dtype = asked > 0 && asked <= DT_LAST ? (DType)asked : scale->dtype;
    Walk walk = {.x = x, .scale = scale, .zero = zero, .y = &ctx->out[0]};
    Blocks blocks;

    if (is_small_float(x->dtype))
        TRY(check_small_float_zero(ctx, zero));
    else if (x->dtype != DT_INT32 && !limits(x->dtype, &walk.low, &walk.high))
        return eval_bad_dtype(ctx, 0);
    if (!dtype_is_float(dtype))
        return eval_error(ctx, CODE_UNSUPPORTED, "dequantizing to %s is not supported", dtype_name(dtype));
    TRY(check_scales(ctx, scale));
    TRY(eval_require_same_dtype(ctx, 0, 2));
    TRY(find_blocks(ctx, x, scale, zero, &blocks));
    TRY(eval_output(ctx, 0, dtype, x->rank, x->dims));
    each_piece(ctx->team, &blocks, &walk, dequantize_piece);
    return NULL;
}

/* ---- DynamicQuantizeLinear: range of the tensor itself, widened to 0, over uint8 --------------------------------- */

static Status infer_dynamic(Node *node)
{
    Shape shape = infer_shape(node, 0), scalar = {.rank = 0};

    infer_output(node, 0, DT_UINT8, &shape);
    infer_output(node, 1, DT_FLOAT, &scalar);
    infer_output(node, 2, DT_UINT8, &scalar);
    return NULL;
}

static Status eval_dynamic(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    const float *data = x->data;
    float low = 0.0F, high = 0.0F;

    TRY(eval_require_dtype(ctx, 0, DT_FLOAT));
    for (int64_t i = 0; i < x->count; i++) {
        low = data[i] < low ? data[i] : low;
        high = data[i] > high ? data[i] : high;
    }
    if (!isfinite(low) || !isfinite(high))
        return eval_error(ctx, CODE_MODEL, "the input holds an infinity, no scale fits");
    float scale = low == high ? 1.0F : (high - low) / 255.0F;
    if (!(scale > 0.0F) || !isfinite(scale))
        scale = 1.0F; /* a range that underflows, or passes the greatest float */
    float zero = nearbyintf(MIN(MAX(-low / scale, 0.0F), 255.0F));
    TRY(eval_output(ctx, 0, DT_UINT8, x->rank, x->dims));
    quantize_floats(data, x->count, (Scale8){KERNEL_U8, scale, (int32_t)zero}, ctx->out[0].data);
    if (eval_wants(ctx, 1)) {
        TRY(eval_output(ctx, 1, DT_FLOAT, 0, NULL));
        *(float *)ctx->out[1].data = scale;
    }
    if (eval_wants(ctx, 2)) {
        TRY(eval_output(ctx, 2, DT_UINT8, 0, NULL));
        *(uint8_t *)ctx->out[2].data = (uint8_t)zero;
    }
    return NULL;
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

static const AttrSpec quantize_attrs[] = {{"axis", ATTR_INT, false},      {"block_size", ATTR_INT, false},
                                          {"output_dtype", ATTR_INT, false}, {"precision", ATTR_INT, false},
                                          {"saturate", ATTR_INT, false},  {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec dequantize_attrs[] = {{"axis", ATTR_INT, false}, {"block_size", ATTR_INT, false},
                                            {"output_dtype", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};

const OpDef op_quantizelinear = {
    .type = "QuantizeLinear",
    .domain = "",
    .versions = {10, 13, 19, 21, 23, 24, 25},
    .min_in = 2,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    .attrs = quantize_attrs,
    .infer = infer_quantize,
    .eval = eval_quantize,
    .quant = RULE_FLOAT,
    .widen_half = true,
};

const OpDef op_dequantizelinear = {
    .type = "DequantizeLinear",
    .domain = "",
    .versions = {10, 13, 19, 21, 23, 24, 25},
    .min_in = 2,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    .attrs = dequantize_attrs,
    .infer = infer_dequantize,
    .eval = eval_dequantize,
    .quant = RULE_FLOAT,
};

const OpDef op_dynamicquantizelinear = {
    .type = "DynamicQuantizeLinear",
    .domain = "",
    .versions = {11},
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 3,
    .infer = infer_dynamic,
    .eval = eval_dynamic,
    .quant = RULE_FLOAT,
};
