/* attention.h - scaled dot product attention over head-major tensors: the core of ai.onnx's Attention and com.microsoft's.
 *
 *     q (B, Hq, S, D) ─┐
 *     k (B, Hk, T, D) ─┴─ q . k * scale ─ softcap ─ + mask ─ softmax ─ (B, Hq, S, T) ─┐
 *     v (B, Hk, T, V) ────────────────────────────────────────────────────────────────┴─ y (B, Hq, S, V)
 *
 * Letters: B batch, Hq and Hk heads of the queries and of the keys (query head h reads key head h / (Hq / Hk)),
 * S queries, T keys with the past before the new ones, D and V elements of a head.
 */
#ifndef QUANTIZE_OPS_ATTENTION_H
#define QUANTIZE_OPS_ATTENTION_H

#include "src/ops/family.h"

enum { QK_PLAIN, QK_MASKED, QK_CAPPED, QK_SOFTMAX };

/* One head-major tensor: element (b, h, s, d) at data[((b * heads + h) * n + s) * size + d]. */
typedef struct Heads {
    const float *data;
    int64_t heads, n, size;
} Heads;

typedef struct Mask {
    const float *floats;   /* added; NULL when there is none or it is of bool */
    const uint8_t *bools;  /* true takes part */
    int64_t strides[4];    /* 0 where it is broadcast */
    int64_t n;             /* elements of its last axis; keys beyond are masked */
} Mask;

typedef struct Attention {
    Heads q, k, v;
    Mask mask;
    const int64_t *nonpad; /* (B) valid keys, or NULL */
    int64_t past;          /* keys before the first new one */
    bool causal, has_past;
    float scale, softcap;
    int mode;
    float *y;              /* (B, Hq, S, V), or (B, S, Hq, V) */
    bool y_is_flat;
    float *qk;             /* (B, Hq, S, T), or NULL */
    float *rows;           /* T for each worker; attention_run takes them */
} Attention;

/* Runs all heads of all samples. */
MUST_USE Status attention_run(EvalCtx *ctx, Attention *attention, int64_t batch);

#endif
