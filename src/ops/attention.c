/* attention.c - see attention.h. */
#include "src/ops/attention.h"

#include <math.h>
#include <string.h>

#include "src/ops/heavy.h"
#include "src/kernels/vector_math.h"

static float dot(const float *a, const float *b, int64_t n)
{
    enum { LANES = 8 };
    float lane[LANES] = {0}, sum = 0;
    int64_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            lane[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        sum += a[i] * b[i];
    for (int k = 0; k < LANES; k++)
        sum += lane[k];
    return sum;
}

/* What the mask, the diagonal and the padding add to score (b, h, s, t): 0, a number, or minus infinity. */
static float bias_of(const Attention *a, int64_t b, int64_t h, int64_t s, int64_t t)
{
    const Mask *mask = &a->mask;
    int64_t offset = a->has_past || a->nonpad == NULL ? a->past : a->nonpad[b] - a->q.n;
    bool out = a->causal && t > s + offset;

    out = out || (a->nonpad != NULL && t >= a->nonpad[b]);
    if (out || (mask->floats == NULL && mask->bools == NULL))
        return out ? -INFINITY : 0;
    if (t >= mask->n)
        return -INFINITY;
    int64_t at = b * mask->strides[0] + h * mask->strides[1] + s * mask->strides[2] + t * mask->strides[3];
    if (mask->bools != NULL)
        return mask->bools[at] != 0 ? 0 : -INFINITY;
    return mask->floats[at];
}

/* Softmax in place; a row that is masked altogether becomes 0. */
static void softmax_row(float *row, int64_t n)
{
    float peak = -INFINITY;
    double sum = 0;

    for (int64_t t = 0; t < n; t++)
        peak = row[t] > peak || row[t] != row[t] ? row[t] : peak;
    for (int64_t t = 0; t < n; t++) {
        row[t] = peak == -INFINITY ? 0 : vector_exp(row[t] - peak);
        sum += (double)row[t];
    }
    for (int64_t t = 0; t < n && sum > 0; t++)
        row[t] = (float)((double)row[t] / sum);
}

static void attend_row(const Attention *a, int64_t b, int64_t h, int64_t s, float *row)
{
    int64_t n = a->k.n, kh = b * a->k.heads + h / (a->q.heads / a->k.heads), at = (b * a->q.heads + h) * a->q.n + s;
    const float *q = a->q.data + at * a->q.size;
    float *qk = a->qk == NULL ? NULL : a->qk + at * n;
    float *y = a->y + (a->y_is_flat ? (b * a->q.n + s) * a->q.heads + h : at) * a->v.size;

    for (int64_t t = 0; t < n; t++) {
        float x = dot(q, a->k.data + (kh * n + t) * a->k.size, a->q.size) * a->scale, bias = bias_of(a, b, h, s, t);
        float capped = a->softcap > 0 ? a->softcap * vector_tanh(x / a->softcap) : x;
        row[t] = capped + bias;
        if (qk != NULL && a->mode != QK_SOFTMAX)
            qk[t] = a->mode == QK_PLAIN ? x : a->mode == QK_MASKED && a->softcap > 0 ? capped : row[t];
    }
    softmax_row(row, n);
    if (qk != NULL && a->mode == QK_SOFTMAX)
        memcpy(qk, row, (size_t)n * sizeof *qk);
    for (int64_t d = 0; d < a->v.size; d++)
        y[d] = 0;
    for (int64_t t = 0; t < n; t++) {
        const float *v = a->v.data + (kh * n + t) * a->v.size;
        if (row[t] != 0)
            for (int64_t d = 0; d < a->v.size; d++)
                y[d] += row[t] * v[d];
    }
}

static void attend_head(void *context, int64_t item, int worker)
{
    const Attention *a = context;

    for (int64_t s = 0; s < a->q.n; s++)
        attend_row(a, item / a->q.heads, item % a->q.heads, s, a->rows + worker * a->k.n);
}

Status attention_run(EvalCtx *ctx, Attention *a, int64_t batch)
{
    int64_t items;
    size_t bytes;
    void *rows;

    if (__builtin_mul_overflow(batch, a->q.heads, &items))
        return eval_error(ctx, CODE_MODEL, "the heads are too large");
    if (!size_mul((size_t)a->k.n, sizeof(float) * (size_t)heavy_threads(ctx), &bytes))
        return eval_error(ctx, CODE_MODEL, "%lld keys are too many", (long long)a->k.n);
    TRY(eval_scratch(ctx, bytes, &rows));
    a->rows = rows;
    team_run(ctx->team, items, attend_head, a);
    return NULL;
}
