/* heavy.c - small services of the families that work through src/kernels; see heavy.h. */
#include "src/ops/heavy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

Status heavy_floats(EvalCtx *ctx, int i, const float **ret)
{
    const Tensor *converted;

    if (!dtype_is_float(ctx->in[i]->dtype))
        return eval_bad_dtype(ctx, i);
    TRY(eval_converted(ctx, ctx->in[i], DT_FLOAT, &converted));
    *ret = converted->data;
    return NULL;
}

Status heavy_output(EvalCtx *ctx, int i, DType dtype, int rank, const int64_t *dims, FloatOutput *ret)
{
    FloatOutput output = {.index = i, .dtype = dtype, .rank = rank};
    int64_t count;
    size_t bytes;
    void *data;

    for (int d = 0; d < rank; d++)
        output.dims[d] = dims[d];
    if (dtype == DT_FLOAT) {
        TRY(eval_output(ctx, i, dtype, rank, dims));
        data = ctx->out[i].data;
    } else {
        TRY(tensor_measure(DT_FLOAT, rank, dims, &count, &bytes));
        TRY(eval_scratch(ctx, bytes, &data));
    }
    output.data = data;
    *ret = output;
    return NULL;
}

Status heavy_finish(EvalCtx *ctx, const FloatOutput *output)
{
    if (output->dtype == DT_FLOAT)
        return NULL;
    TRY(eval_output(ctx, output->index, output->dtype, output->rank, output->dims));
    for (int64_t i = 0; i < ctx->out[output->index].count; i++)
        tensor_set(&ctx->out[output->index], i, (double)output->data[i]);
    return NULL;
}

static void turn(EvalCtx *ctx, const Tensor *shape, bool to_last, const void *from, void *to)
{
    int64_t channels = shape->dims[1], places = count_of(shape->dims, 2, shape->rank);

    turn_planes(ctx->team, (size_t)dtype_bits(shape->dtype) / 8, shape->dims[0], to_last ? channels : places,
                to_last ? places : channels, from, to);
}

Status heavy_turn_in(EvalCtx *ctx, int i, const void **ret)
{
    void *data;

    *ret = ctx->in[i]->data;
    if (!ctx->channels_last)
        return NULL;
    TRY(eval_scratch(ctx, ctx->in[i]->bytes, &data));
    turn(ctx, ctx->in[i], false, ctx->in[i]->data, data);
    *ret = data;
    return NULL;
}

Status heavy_turn_room(EvalCtx *ctx, void **ret)
{
    *ret = ctx->out[0].data;
    return ctx->channels_last ? eval_scratch(ctx, ctx->out[0].bytes, ret) : NULL;
}

void heavy_turn_back(EvalCtx *ctx, const void *room)
{
    if (ctx->channels_last)
        turn(ctx, &ctx->out[0], true, room, ctx->out[0].data);
}

int heavy_threads(const EvalCtx *ctx)
{
    return ctx->team == NULL ? 1 : team_size(ctx->team);
}

/* What the cache holds: an object, or the knowledge that there is none. */
typedef struct Slot {
    void *object;
    void (*release)(void *object);
} Slot;

static void slot_release(void *slot)
{
    Slot *mine = slot;

    mine->release(mine->object);
    free(mine);
}

void *heavy_prepare(EvalCtx *ctx, const void *key, size_t key_bytes, bool constant, HeavyMake make, const void *context,
                    void (*release)(void *), bool *ret_owned)
{
    Slot *slot;
    int64_t threads = heavy_threads(ctx);
    size_t full_bytes = key_bytes + sizeof threads;
    char *full = arena_alloc(ctx->scratch, full_bytes); /* oneDNN's plans are made for one number of threads */

    fast_set_threads((int)threads);
    *ret_owned = !constant;
    if (!constant)
        return make(context);
    memcpy(full, key, key_bytes);
    memcpy(full + key_bytes, &threads, sizeof threads);
    slot = eval_cache_get(ctx, full, full_bytes);
    if (slot == NULL) {
        uint64_t refusals = memory_refusals();
        void *object = make(context);
        if (object == NULL && memory_refusals() != refusals)
            return NULL; /* not for want of an implementation: whoever has more room tries again */
        slot = xcalloc(1, sizeof *slot);
        slot->object = object;
        slot->release = release;
        slot = eval_cache_put(ctx, full, full_bytes, slot, slot_release);
    }
    return slot->object;
}

FastPacks *heavy_packs(EvalCtx *ctx)
{
    static const char key[] = "packs";
    FastPacks *packs = eval_cache_get(ctx, key, sizeof key);

    return packs != NULL ? packs : eval_cache_put(ctx, key, sizeof key, fast_packs_new(), fast_packs_free);
}

Status heavy_panels(EvalCtx *ctx, int i, int64_t part, int64_t k, int64_t n, Matrix b, const float **ret)
{
    const int64_t key[] = {i, part};
    bool constant = eval_is_constant(ctx, i);
    size_t bytes;
    void *panels = constant ? eval_cache_get(ctx, key, sizeof key) : NULL;

    *ret = panels;
    if (panels != NULL)
        return NULL;
    if (!size_mul((size_t)panels_count(k, n), sizeof(float), &bytes))
        return eval_error(ctx, CODE_MODEL, "input %d is too large", i);
    if (constant)
        TRY(memory_alloc(bytes, &panels));
    else
        TRY(eval_scratch(ctx, bytes, &panels));
    pack_floats(ctx->team, k, n, b, panels);
    *ret = constant ? eval_cache_put(ctx, key, sizeof key, panels, memory_free) : panels;
    return NULL;
}

Status heavy_product(EvalCtx *ctx, FloatProduct *product, int b_input)
{
    void *scratch;

    if (product->batch == 1 && b_input >= 0 && eval_is_constant(ctx, b_input))
        TRY(heavy_panels(ctx, b_input, 0, product->k, product->n, product->b, &product->packed));
    TRY(eval_scratch(ctx, product_floats_scratch(product, heavy_threads(ctx)), &scratch));
    product_floats(ctx->team, product, scratch);
    return NULL;
}

bool is_8_bit(const Tensor *tensor)
{
    return tensor != NULL && (tensor->dtype == DT_UINT8 || tensor->dtype == DT_INT8);
}

KernelType kernel_type(DType dtype)
{
    return dtype == DT_UINT8 ? KERNEL_U8 : dtype == DT_INT8 ? KERNEL_S8 : dtype == DT_INT32 ? KERNEL_S32 : KERNEL_FLOAT;
}

/* Scales are floats, of opset 21 on also 16-bit ones. */
static Status check_scale_dtype(const EvalCtx *ctx, int i)
{
    DType dtype = ctx->in[i]->dtype;

    return dtype == DT_FLOAT16 || dtype == DT_BFLOAT16 ? NULL : eval_require_dtype(ctx, i, DT_FLOAT);
}

static Status check_scale(const EvalCtx *ctx, int i, float scale)
{
    if (!(scale > 0.0F) || !isfinite(scale))
        return eval_error(ctx, CODE_MODEL, "input %d: a scale is %g, expected a positive number", i, (double)scale);
    return NULL;
}

Status read_zero(const EvalCtx *ctx, int zero, DType dtype, int32_t *ret)
{
    const Tensor *tensor = eval_in(ctx, zero);

    *ret = 0;
    if (tensor == NULL)
        return NULL;
    TRY(eval_require_dtype(ctx, zero, dtype));
    if (tensor->count != 1)
        return eval_error(ctx, CODE_UNSUPPORTED, "zero point (input %d) has %lld elements, expected 1", zero,
                          (long long)tensor->count);
    *ret = (int32_t)tensor_get_int(tensor, 0);
    return NULL;
}

Status read_scale8(const EvalCtx *ctx, int scale, int zero, DType dtype, Scale8 *ret)
{
    const Tensor *tensor = eval_in(ctx, scale);
    Scale8 result = {.type = kernel_type(dtype)};

    if (dtype != DT_UINT8 && dtype != DT_INT8)
        return eval_error(ctx, CODE_UNSUPPORTED, "%s is not supported, expected uint8 or int8", dtype_name(dtype));
    if (tensor == NULL)
        return eval_error(ctx, CODE_MODEL, "the scale (input %d) is missing", scale);
    TRY(check_scale_dtype(ctx, scale));
    if (tensor->count != 1)
        return eval_error(ctx, CODE_UNSUPPORTED, "scale (input %d) has %lld elements, expected 1", scale,
                          (long long)tensor->count);
    result.scale = (float)tensor_get(tensor, 0);
    TRY(check_scale(ctx, scale, result.scale));
    TRY(read_zero(ctx, zero, dtype, &result.zero));
    *ret = result;
    return NULL;
}

Status read_channel_scales(EvalCtx *ctx, int scale, int zero, DType dtype, int64_t n, ChannelScales *ret)
{
    const Tensor *scales = scale < 0 ? NULL : eval_in(ctx, scale), *zeros = eval_in(ctx, zero);
    ChannelScales result = {.zeros = 1, .all_zero = true};
    void *data;

    if (scale >= 0 && scales == NULL)
        return eval_error(ctx, CODE_MODEL, "the scale (input %d) is missing", scale);
    if (scales != NULL) {
        TRY(check_scale_dtype(ctx, scale));
        TRY(eval_converted(ctx, scales, DT_FLOAT, &scales));
        if (scales->count != 1 && scales->count != n)
            return eval_error(ctx, CODE_MODEL, "scale (input %d) has %lld elements, expected 1 or %lld", scale,
                              (long long)scales->count, (long long)n);
        result.scale = scales->data;
        result.scales = scales->count;
        for (int64_t i = 0; i < scales->count; i++)
            TRY(check_scale(ctx, scale, result.scale[i]));
    }
    if (zeros != NULL) {
        TRY(eval_require_dtype(ctx, zero, dtype));
        if (zeros->count != 1 && zeros->count != n)
            return eval_error(ctx, CODE_MODEL, "zero point (input %d) has %lld elements, expected 1 or %lld", zero,
                              (long long)zeros->count, (long long)n);
        result.zeros = zeros->count;
    }
    TRY(eval_scratch(ctx, (size_t)MAX(result.zeros, 1) * sizeof(int32_t), &data)); /* none of a matrix without rows */
    int32_t *values = data;
    values[0] = 0;
    if (zeros != NULL && dtype == DT_UINT8)
        for (int64_t i = 0; i < result.zeros; i++)
            values[i] = ((const uint8_t *)zeros->data)[i];
    else if (zeros != NULL && dtype == DT_INT8)
        for (int64_t i = 0; i < result.zeros; i++)
            values[i] = ((const int8_t *)zeros->data)[i];
    else
        for (int64_t i = 0; zeros != NULL && i < result.zeros; i++)
            values[i] = (int32_t)tensor_get_int(zeros, i);
    for (int64_t i = 0; i < result.zeros; i++)
        result.all_zero = result.all_zero && values[i] == 0;
    result.zero = values;
    *ret = result;
    return NULL;
}

const float *make_multipliers(EvalCtx *ctx, float x, const ChannelScales *w, float y)
{
    float *multiplier = arena_array(ctx->scratch, (size_t)MAX(w->scales, 1), sizeof *multiplier);

    for (int64_t i = 0; i < w->scales; i++)
        multiplier[i] = x * w->scale[i] / y;
    return multiplier;
}

Status read_bias32(const EvalCtx *ctx, int i, int64_t n, const int32_t **ret)
{
    const Tensor *bias = eval_in(ctx, i);

    *ret = NULL;
    if (bias == NULL)
        return NULL;
    TRY(eval_require_dtype(ctx, i, DT_INT32));
    if (bias->count != n)
        return eval_error(ctx, CODE_MODEL, "bias (input %d) has %lld elements, expected %lld", i,
                          (long long)bias->count, (long long)n);
    *ret = bias->data;
    return NULL;
}
