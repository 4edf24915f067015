/* ready.c - convolutions that have been prepared: what they need to run again is found by the size of their input alone.
 *
 * Reading attributes, scales and zero points, and checking them, takes longer than the work of a small convolution. All but the
 * image is constant, so the answer is the same each time.
 */
#include <stdlib.h>
#include <string.h>

#include "src/ops/heavy.h"

enum { MAX_RANK = 2 + KERNEL_MAX_SPACE };

/* What tells one prepared convolution of a node from another; all bytes count. */
typedef struct ReadyKey {
    int64_t dims[MAX_RANK];
    int rank, threads;
    ReadyForm form;
    DType dtype;
    bool channels_last;
} ReadyKey;

typedef struct Ready {
    const FastConv *conv; /* the step's, kept by heavy_prepare() */
    int64_t dims[MAX_RANK]; /* of output 0 */
} Ready;

static bool make_key(const EvalCtx *ctx, ReadyForm form, ReadyKey *ret)
{
    const Tensor *x = ctx->in[0];

    if (x->rank > MAX_RANK)
        return false;
    memset(ret, 0, sizeof *ret);
    ret->rank = x->rank;
    ret->form = form;
    ret->dtype = x->dtype;
    ret->threads = heavy_threads(ctx);
    ret->channels_last = ctx->channels_last;
    memcpy(ret->dims, x->dims, (size_t)x->rank * sizeof x->dims[0]);
    return true;
}

/* A sum starts from z, best where z lies; not where the convolution still reads it as x. */
static Status take_output(EvalCtx *ctx, const Ready *ready, DType dtype, int z)
{
    const Tensor *x = ctx->in[0], *added = z < 0 ? NULL : eval_in(ctx, z);

    TRY(eval_output_over(ctx, 0, added != NULL && added->data != x->data ? z : -1, dtype, x->rank, ready->dims));
    if (added != NULL && added->data != ctx->out[0].data)
        memcpy(ctx->out[0].data, added->data, added->bytes);
    return NULL;
}

static bool fits(const Tensor *added, int rank, const int64_t *dims)
{
    return added->rank == rank && memcmp(added->dims, dims, (size_t)rank * sizeof dims[0]) == 0;
}

Status ready_run(EvalCtx *ctx, ReadyForm form, DType dtype, int z, bool *ret_done)
{
    const Tensor *added = z < 0 ? NULL : eval_in(ctx, z);
    ReadyKey key;
    void *scratch;

    *ret_done = false;
    const Ready *ready = make_key(ctx, form, &key) ? eval_cache_get(ctx, &key, sizeof key) : NULL;
    if (ready == NULL || (added != NULL && !fits(added, key.rank, ready->dims)))
        return NULL;
    TRY(take_output(ctx, ready, dtype, z));
    TRY(eval_scratch(ctx, fast_conv_scratch(ready->conv), &scratch));
    *ret_done = fast_conv_run(ready->conv, ctx->in[0]->data, ctx->out[0].data, scratch);
    return NULL;
}

void ready_keep(EvalCtx *ctx, ReadyForm form, const FastConv *conv)
{
    ReadyKey key;

    if (!make_key(ctx, form, &key) || ctx->out[0].rank > MAX_RANK)
        return;
    Ready *ready = xcalloc(1, sizeof *ready);
    ready->conv = conv;
    memcpy(ready->dims, ctx->out[0].dims, (size_t)ctx->out[0].rank * sizeof ready->dims[0]);
    (void)eval_cache_put(ctx, &key, sizeof key, ready, free);
}
