/* op_rotary.c - RotaryEmbedding (opset 23): turns pairs of elements of a head by the angle of their position.
 *
 *     (a, b) -> (a cos - b sin, a sin + b cos)     pairs: (i, i + R/2), or (2i, 2i + 1) when interleaved
 *
 * x is (B, heads, S, D) or (B, S, heads * D); R of the D elements are turned. cos and sin are (B, S, R/2), or
 * (positions, R/2) looked up by position_ids (B, S).
 */
#include <string.h>

#include "src/ops/heavy.h"

typedef struct Rotary {
    int64_t batch, heads, n, size;  /* B, heads, S, D */
    int64_t steps[3];               /* of b, h, s in x, elements */
    int64_t turned;                 /* R */
    bool interleaved;
    const float *x, *cosines, *sines;
    const int64_t *positions;       /* (B, S), or NULL */
    float *y;
} Rotary;

static void turn(const Rotary *r, const float *x, const float *cosines, const float *sines, float *y)
{
    int64_t half = r->turned / 2, step = r->interleaved ? 2 : 1, apart = r->interleaved ? 1 : half;

    for (int64_t i = 0; i < half; i++) {
        float a = x[i * step], b = x[i * step + apart];
        y[i * step] = cosines[i] * a - sines[i] * b;
        y[i * step + apart] = sines[i] * a + cosines[i] * b;
    }
    if (r->size > r->turned)
        memcpy(y + r->turned, x + r->turned, (size_t)(r->size - r->turned) * sizeof *y);
}

static Status read_layout(const EvalCtx *ctx, Rotary *r)
{
    const Tensor *x = ctx->in[0];
    int64_t turned = node_int(ctx->node, "rotary_embedding_dim", 0);

    if (x->rank != 3 && x->rank != 4)
        return eval_error(ctx, CODE_MODEL, "input has rank %d, expected 3 or 4", x->rank);
    r->batch = x->dims[0];
    r->heads = x->rank == 4 ? x->dims[1] : node_int(ctx->node, "num_heads", 0);
    if (x->rank == 3 && (r->heads < 1 || x->dims[2] % r->heads != 0))
        return eval_error(ctx, CODE_MODEL, "attribute 'num_heads' is %lld, which does not divide %lld elements",
                          (long long)r->heads, (long long)x->dims[2]);
    r->n = x->rank == 4 ? x->dims[2] : x->dims[1];
    r->size = x->rank == 4 ? x->dims[3] : x->dims[2] / r->heads;
    r->steps[0] = count_of(x->dims, 1, x->rank);
    r->steps[1] = x->rank == 4 ? r->n * r->size : r->size;
    r->steps[2] = x->rank == 4 ? r->size : r->heads * r->size;
    r->turned = turned == 0 ? r->size : turned;
    if (r->turned < 0 || r->turned > r->size || r->turned % 2 != 0)
        return eval_error(ctx, CODE_MODEL, "%lld of %lld elements of a head cannot be turned in pairs",
                          (long long)r->turned, (long long)r->size);
    r->interleaved = node_int(ctx->node, "interleaved", 0) != 0;
    return NULL;
}

static Status read_angles(EvalCtx *ctx, Rotary *r)
{
    const Tensor *cosines = ctx->in[1], *sines = ctx->in[2], *ids = eval_in(ctx, 3), *whole;
    bool fits = tensor_same_shape(cosines, sines);

    if (ids != NULL) {
        fits = fits && cosines->rank == 2 && cosines->dims[1] == r->turned / 2;
        if (ids->rank != 2 || ids->dims[0] != r->batch || ids->dims[1] != r->n ||
            (ids->dtype != DT_INT64 && ids->dtype != DT_INT32))
            return eval_error(ctx, CODE_MODEL, "position_ids is %s of %s, expected %lldx%lld of int64",
                              tensor_shape_text(ctx->scratch, ids), dtype_name(ids->dtype), (long long)r->batch,
                              (long long)r->n);
        TRY(eval_converted(ctx, ids, DT_INT64, &whole));
        r->positions = whole->data;
        for (int64_t i = 0; fits && i < ids->count; i++)
            if (r->positions[i] < 0 || r->positions[i] >= cosines->dims[0])
                return eval_error(ctx, CODE_MODEL, "position %lld is beyond the %lld of the cache",
                                  (long long)r->positions[i], (long long)cosines->dims[0]);
    } else {
        fits = fits && cosines->rank == 3 && cosines->dims[0] == r->batch && cosines->dims[1] == r->n &&
               cosines->dims[2] == r->turned / 2;
    }
    if (!fits)
        return eval_error(ctx, CODE_MODEL, "the caches are %s and %s, which does not fit %lld turned elements",
                          tensor_shape_text(ctx->scratch, cosines), tensor_shape_text(ctx->scratch, sines),
                          (long long)r->turned);
    TRY(heavy_floats(ctx, 1, &r->cosines));
    return heavy_floats(ctx, 2, &r->sines);
}

static Status eval_rotary(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    Rotary r = {0};
    FloatOutput y;

    TRY(read_layout(ctx, &r));
    TRY(read_angles(ctx, &r));
    TRY(heavy_floats(ctx, 0, &r.x));
    TRY(heavy_output(ctx, 0, x->dtype, x->rank, x->dims, &y));
    for (int64_t b = 0; b < r.batch && x->count > 0; b++)
        for (int64_t s = 0; s < r.n; s++) {
            int64_t row = (r.positions != NULL ? r.positions[b * r.n + s] : b * r.n + s) * (r.turned / 2);
            for (int64_t h = 0; h < r.heads; h++) {
                int64_t at = b * r.steps[0] + h * r.steps[1] + s * r.steps[2];
                turn(&r, r.x + at, r.cosines + row, r.sines + row, y.data + at);
            }
        }
    return heavy_finish(ctx, &y);
}

static const AttrSpec rotary_attrs[] = {
    {"interleaved", ATTR_INT, false},
    {"num_heads", ATTR_INT, false},
    {"rotary_embedding_dim", ATTR_INT, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_rotaryembedding = {
    .type = "RotaryEmbedding", .domain = "", .versions = {23}, .min_in = 3, .max_in = 4, .min_out = 1, .max_out = 1,
    .attrs = rotary_attrs, .infer = infer_same_as_input, .eval = eval_rotary, .quant = RULE_FLOAT, .widen_half = true,
};
