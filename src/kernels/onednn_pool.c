/* onednn_pool.c - pooling windows by oneDNN: float, and 8-bit maxima. */
#include "src/kernels/onednn.h"

#include <stdlib.h>
#include <string.h>

struct FastPool {
    FastJob job;
};

typedef struct Sizes {
    int rank;
    dnnl_dims_t x, y, kernel, stride, dilation, pad_begin, pad_end;
} Sizes;

/* oneDNN wants the end padding that makes its own formula give our output size; what ceil_mode adds is part of it.
 * False when the geometry cannot be told that way. */
static bool measure(const Window *window, PoolKind kind, Sizes *ret)
{
    int from = KERNEL_MAX_SPACE - window->space;

    memset(ret, 0, sizeof *ret);
    ret->rank = window->space + 2;
    ret->x[0] = ret->y[0] = window->batch;
    ret->x[1] = ret->y[1] = window->channels_in;
    for (int d = 0; d < window->space; d++) {
        int s = from + d;
        int64_t reach = (window->kernel[s] - 1) * window->dilation[s] + 1;
        int64_t used = (window->out[s] - 1) * window->stride[s] + reach; /* of the padded input */
        int64_t end = used - window->in[s] - window->pad_begin[s];
        if (kind == POOL_AVERAGE_WITH_PAD && end > window->pad_end[s])
            return false; /* places beyond the padding do not count, oneDNN would count them */
        if (window->pad_begin[s] >= reach || end >= reach)
            return false; /* windows wholly in the padding */
        ret->x[2 + d] = window->in[s];
        ret->y[2 + d] = window->out[s];
        ret->kernel[d] = window->kernel[s];
        ret->stride[d] = window->stride[s];
        ret->dilation[d] = window->dilation[s] - 1;
        ret->pad_begin[d] = window->pad_begin[s];
        ret->pad_end[d] = end;
    }
    return true;
}

static dnnl_primitive_desc_t describe(const Sizes *sizes, PoolKind kind, const dnnl_memory_desc_t *x,
                                      const dnnl_memory_desc_t *y)
{
    static const dnnl_alg_kind_t algorithms[] = {[POOL_MAX] = dnnl_pooling_max,
                                                 [POOL_AVERAGE] = dnnl_pooling_avg_exclude_padding,
                                                 [POOL_AVERAGE_WITH_PAD] = dnnl_pooling_avg_include_padding};
    dnnl_pooling_v2_desc_t op;
    dnnl_primitive_desc_t desc = NULL;

    dnnl_primitive_attr_t attributes = fast_attributes(NULL);
    if (attributes == NULL)
        return NULL;
    bool good = dnnl_pooling_v2_forward_desc_init(&op, dnnl_forward_inference, algorithms[kind], x, y, sizes->stride,
                                                  sizes->kernel, sizes->dilation, sizes->pad_begin,
                                                  sizes->pad_end) == dnnl_success &&
                dnnl_primitive_desc_create(&desc, &op, attributes, fast_engine(), NULL) == dnnl_success;
    dnnl_primitive_attr_destroy(attributes);
    return good ? desc : NULL;
}

FastPool *fast_pool_new(const Window *window, PoolKind kind, KernelType type, bool channels_last)
{
    Sizes sizes;
    dnnl_memory_desc_t x, y;

    if (fast_engine() == NULL || window->batch == 0 || window->channels_in == 0 || window_in_count(window) == 0 ||
        window_out_count(window) == 0 || !measure(window, kind, &sizes))
        return NULL;
    bool inner = channels_last || type != KERNEL_FLOAT;
    if (!fast_image(&x, sizes.rank, sizes.x, type, inner) || !fast_image(&y, sizes.rank, sizes.y, type, inner))
        return NULL;
    dnnl_primitive_desc_t desc = describe(&sizes, kind, &x, &y);
    if (desc == NULL)
        return NULL;
    FastPool *pool = xcalloc(1, sizeof *pool);
    FastJob *job = &pool->job;
    bool good = fast_worth_it(job, desc) &&
                fast_image(&job->edges[0].plain, sizes.rank, sizes.x, type, channels_last) &&
                fast_image(&job->edges[1].plain, sizes.rank, sizes.y, type, channels_last) &&
                fast_edge(job, desc, DNNL_ARG_SRC, false) && fast_edge(job, desc, DNNL_ARG_DST, true) &&
                fast_finish(job, desc);
    dnnl_primitive_desc_destroy(desc);
    if (!good) {
        fast_pool_free(pool);
        return NULL;
    }
    return pool;
}

void fast_pool_free(void *pool)
{
    if (pool == NULL)
        return;
    fast_release(&((FastPool *)pool)->job);
    free(pool);
}

size_t fast_pool_scratch(const FastPool *pool)
{
    return pool->job.scratch_bytes;
}

bool fast_pool_run(const FastPool *pool, int threads, const void *x, void *y, void *scratch)
{
    void *data[2] = {(void *)(uintptr_t)x, y};
    return fast_run(&pool->job, threads, data, scratch);
}

const char *fast_pool_info(const FastPool *pool)
{
    return pool->job.info;
}
