/* onednn_matmul.c - batches of matrix products by oneDNN, float or u8/s8 by s8 into int32 sums. */
#include "src/kernels/onednn.h"

#include <stdlib.h>

struct FastMatmul {
    FastJob job;
};

/* Row-major in memory but with the last two axes swapped when `transposed`. */
static bool plain_matrix(dnnl_memory_desc_t *ret, int rank, const int64_t *dims, bool transposed, KernelType type)
{
    dnnl_dims_t strides, sizes;
    int64_t step = dims[rank - 1] * dims[rank - 2];

    for (int d = 0; d < rank; d++)
        sizes[d] = dims[d];
    strides[rank - 1] = transposed ? dims[rank - 2] : 1;
    strides[rank - 2] = transposed ? 1 : dims[rank - 1];
    for (int d = rank - 3; d >= 0; d--) {
        strides[d] = step;
        step *= dims[d];
    }
    return dnnl_memory_desc_init_by_strides(ret, rank, sizes, fast_type(type), strides) == dnnl_success;
}

static dnnl_primitive_desc_t describe(const FastInt *integer, const dnnl_memory_desc_t *a,
                                      const dnnl_memory_desc_t *b, const dnnl_memory_desc_t *bias,
                                      const dnnl_memory_desc_t *c)
{
    dnnl_matmul_desc_t op;
    dnnl_primitive_desc_t desc = NULL;

    dnnl_primitive_attr_t attributes = fast_attributes(integer);
    if (attributes == NULL)
        return NULL;
    bool good = dnnl_matmul_desc_init(&op, a, b, bias, c) == dnnl_success &&
                dnnl_primitive_desc_create(&desc, &op, attributes, fast_engine(), NULL) == dnnl_success;
    dnnl_primitive_attr_destroy(attributes);
    return good ? desc : NULL;
}

static bool is_empty(const FastMatmulShape *shape)
{
    for (int d = 0; d < shape->rank; d++)
        if (shape->a[d] == 0 || shape->b[d] == 0 || shape->c[d] == 0)
            return true;
    return false;
}

FastMatmul *fast_matmul_new(const FastMatmulShape *shape, KernelType a_type, const FastInt *integer, const void *bias)
{
    int rank = shape->rank;
    KernelType b_type = integer != NULL ? KERNEL_S8 : KERNEL_FLOAT;
    KernelType c_type = integer != NULL ? KERNEL_S32 : KERNEL_FLOAT;
    dnnl_memory_desc_t a_desc, b_desc, c_desc, bias_desc;
    dnnl_dims_t bias_dims;

    if (rank < 2 || rank > FAST_MATMUL_MAX_RANK || fast_engine() == NULL || is_empty(shape) ||
        (integer != NULL && !fast_integer_exact()))
        return NULL;
    for (int d = 0; d < rank; d++)
        bias_dims[d] = d == rank - 1 ? shape->c[d] : 1;
    if (!plain_matrix(&a_desc, rank, shape->a, shape->a_transposed, a_type) ||
        !plain_matrix(&b_desc, rank, shape->b, shape->b_transposed, b_type) ||
        !plain_matrix(&c_desc, rank, shape->c, false, c_type) ||
        !fast_plain(&bias_desc, rank, bias_dims, KERNEL_FLOAT))
        return NULL;
    dnnl_primitive_desc_t desc = describe(integer, &a_desc, &b_desc, bias != NULL ? &bias_desc : NULL, &c_desc);
    if (desc == NULL)
        return NULL;
    FastMatmul *matmul = xcalloc(1, sizeof *matmul);
    FastJob *job = &matmul->job;
    job->edges[0].plain = a_desc;
    job->edges[1].plain = b_desc;
    job->edges[2].plain = c_desc;
    bool good = fast_worth_it(job, desc) && fast_edge(job, desc, DNNL_ARG_SRC, false) &&
                fast_edge(job, desc, DNNL_ARG_WEIGHTS, false) && fast_edge(job, desc, DNNL_ARG_DST, true) &&
                (bias == NULL || fast_bias(job, &bias_desc, bias)) && fast_finish(job, desc);
    dnnl_primitive_desc_destroy(desc);
    if (!good) {
        fast_matmul_free(matmul);
        return NULL;
    }
    return matmul;
}

void fast_matmul_free(void *matmul)
{
    if (matmul == NULL)
        return;
    fast_release(&((FastMatmul *)matmul)->job);
    free(matmul);
}

size_t fast_matmul_scratch(const FastMatmul *matmul)
{
    return matmul->job.scratch_bytes;
}

bool fast_matmul_run(const FastMatmul *matmul, int threads, const void *a, const void *b, void *c, void *scratch)
{
    void *data[3] = {(void *)(uintptr_t)a, (void *)(uintptr_t)b, c};
    return fast_run(&matmul->job, threads, data, scratch);
}

const char *fast_matmul_info(const FastMatmul *matmul)
{
    return matmul->job.info;
}
