/* op_cache.c - TensorScatter (opset 24): writes new entries into a cache of keys or values.
 *
 *     cache (B, .., M, ..)   update (B, .., S, ..)   present[b, .., w[b] + s, ..] = update[b, .., s, ..]
 *
 * M is the axis of positions; in mode circular the position is taken modulo M.
 */
#include <string.h>

#include "src/ops/family.h"

enum { IN_CACHE, IN_UPDATE, IN_INDICES };

static Status check_scatter(const EvalCtx *ctx, int axis)
{
    const Tensor *cache = ctx->in[IN_CACHE], *update = ctx->in[IN_UPDATE];
    bool fits = cache->rank == update->rank;

    for (int d = 0; d < cache->rank && fits; d++)
        fits = d == axis ? update->dims[d] <= cache->dims[d] : update->dims[d] == cache->dims[d];
    if (!fits)
        return eval_error(ctx, CODE_MODEL, "an update of %s does not fit a cache of %s along axis %d",
                          tensor_shape_text(ctx->scratch, update), tensor_shape_text(ctx->scratch, cache), axis);
    return NULL;
}

static Status eval_tensor_scatter(EvalCtx *ctx)
{
    const Tensor *cache = ctx->in[IN_CACHE], *update = ctx->in[IN_UPDATE];
    const char *mode = node_string(ctx->node, "mode", "linear");
    bool circular = strcmp(mode, "circular") == 0;
    int64_t *starts, n;
    size_t bytes;
    int axis;

    if (!circular && strcmp(mode, "linear") != 0)
        return eval_error(ctx, CODE_MODEL, "mode '%s' is neither linear nor circular", mode);
    TRY(eval_axis(ctx, node_int(ctx->node, "axis", -2), cache->rank, &axis));
    if (axis == 0)
        return eval_error(ctx, CODE_MODEL, "axis 0 is the batch and cannot hold the positions");
    TRY(check_scatter(ctx, axis));
    TRY(eval_require_same_dtype(ctx, IN_CACHE, IN_UPDATE));
    TRY(eval_element_bytes(ctx, IN_CACHE, &bytes));
    TRY(eval_ints(ctx, IN_INDICES, &starts, &n));
    if (n >= 0 && n != cache->dims[0])
        return eval_error(ctx, CODE_MODEL, "%lld write indices for a batch of %lld", (long long)n,
                          (long long)cache->dims[0]);
    TRY(eval_output(ctx, 0, cache->dtype, cache->rank, cache->dims));
    if (cache->bytes == 0)
        return NULL;
    memcpy(ctx->out[0].data, cache->data, cache->bytes);
    int64_t length = update->dims[axis], room = cache->dims[axis], inner = count_of(cache->dims, axis + 1, cache->rank);
    int64_t blocks = count_of(cache->dims, 1, axis);
    for (int64_t b = 0; b < cache->dims[0]; b++) {
        int64_t start = n < 0 ? 0 : starts[b];
        if (start < 0 || (circular ? start > INT64_MAX - length : start > room - length))
            return eval_error(ctx, CODE_MODEL, "%lld entries from position %lld on are beyond the cache of %lld",
                              (long long)length, (long long)start, (long long)room);
        for (int64_t i = b * blocks; i < (b + 1) * blocks; i++)
            for (int64_t s = 0; s < length; s++)
                memcpy((char *)ctx->out[0].data + (size_t)((i * room + (start + s) % room) * inner) * bytes,
                       (const char *)update->data + (size_t)((i * length + s) * inner) * bytes, (size_t)inner * bytes);
    }
    return NULL;
}

static const AttrSpec tensor_scatter_attrs[] = {
    {"axis", ATTR_INT, false},
    {"mode", ATTR_STRING, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_tensorscatter = {
    .type = "TensorScatter", .domain = "", .versions = {24}, .min_in = 2, .max_in = 3, .min_out = 1, .max_out = 1,
    .attrs = tensor_scatter_attrs, .infer = infer_same_as_input, .eval = eval_tensor_scatter, .quant = RULE_FLOAT,
};
