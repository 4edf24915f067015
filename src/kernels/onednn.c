/* onednn.c - engine, threads, reorders and the making of a oneDNN job; see onednn.h.
 *
 * Debian's oneDNN runs on OpenMP, as our own team does (src/base/threads.c). How many threads it may use belongs to the task that
 * a thread is at.
 */
#include "src/kernels/onednn.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN 64

void omp_set_num_threads(int threads); /* libgomp's */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static dnnl_engine_t engine;

/* oneDNN keeps to the same instructions as our own loops. */
static void limit_instructions(void)
{
    static const struct {
        CpuLevel level;
        dnnl_cpu_isa_t isa;
    } limits[] = {{CPU_BASELINE, dnnl_cpu_isa_sse41}, {CPU_AVX2, dnnl_cpu_isa_avx2}, {CPU_AVX512, dnnl_cpu_isa_avx512_core}};

    for (size_t i = 0; i < COUNT_OF(limits); i++)
        if (cpu_level() == limits[i].level)
            (void)dnnl_set_max_cpu_isa(limits[i].isa); /* refused only when oneDNN was used before: it was not */
}

static void start(void)
{
    limit_instructions();
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success)
        engine = NULL;
}

dnnl_engine_t fast_engine(void)
{
    pthread_once(&once, start);
    return engine;
}

void fast_set_threads(int threads)
{
    omp_set_num_threads(MAX(threads, 1));
}

dnnl_data_type_t fast_type(KernelType type)
{
    static const dnnl_data_type_t types[] = {[KERNEL_FLOAT] = dnnl_f32, [KERNEL_U8] = dnnl_u8, [KERNEL_S8] = dnnl_s8,
                                             [KERNEL_S32] = dnnl_s32};
    return types[type];
}

bool fast_plain(dnnl_memory_desc_t *ret, int rank, const dnnl_dim_t *dims, KernelType type)
{
    dnnl_dims_t strides;

    if (rank < 1 || rank > DNNL_MAX_NDIMS)
        return false;
    strides[rank - 1] = 1;
    for (int d = rank - 1; d > 0; d--)
        strides[d - 1] = strides[d] * MAX(dims[d], 1);
    return dnnl_memory_desc_init_by_strides(ret, rank, dims, fast_type(type), strides) == dnnl_success;
}

bool fast_channels_last(dnnl_memory_desc_t *ret, int rank, const dnnl_dim_t *dims, KernelType type)
{
    static const dnnl_format_tag_t tags[] = {dnnl_acb, dnnl_acdb, dnnl_acdeb};
    return dnnl_memory_desc_init_by_tag(ret, rank, dims, fast_type(type), tags[rank - 3]) == dnnl_success;
}

bool fast_image(dnnl_memory_desc_t *ret, int rank, const dnnl_dim_t *dims, KernelType type, bool channels_last)
{
    return (channels_last ? fast_channels_last : fast_plain)(ret, rank, dims, type);
}

bool fast_any(dnnl_memory_desc_t *ret, int rank, const dnnl_dim_t *dims, KernelType type)
{
    return dnnl_memory_desc_init_by_tag(ret, rank, dims, fast_type(type), dnnl_format_tag_any) == dnnl_success;
}

dnnl_primitive_attr_t fast_attributes(const FastInt *integer)
{
    dnnl_primitive_attr_t attributes = NULL;

    if (dnnl_primitive_attr_create(&attributes) != dnnl_success)
        return NULL;
    bool good = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user) == dnnl_success;
    if (good && integer != NULL && integer->x_zero != 0)
        good = dnnl_primitive_attr_set_zero_points(attributes, DNNL_ARG_SRC, 1, 0, &integer->x_zero) == dnnl_success;
    if (!good) {
        dnnl_primitive_attr_destroy(attributes);
        return NULL;
    }
    return attributes;
}

bool fast_worth_it(FastJob *job, const_dnnl_primitive_desc_t desc)
{
    const char *info = NULL;

    if (dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &info) != dnnl_success || info == NULL)
        return false;
    size_t length = MIN(strlen(info), sizeof job->info - 1);
    memcpy(job->info, info, length);
    job->info[length] = '\0';
    return strncmp(info, "ref", 3) != 0 && strncmp(info, "gemm:ref", 8) != 0 && strncmp(info, "simple:any", 10) != 0;
}

static dnnl_primitive_t make_reorder(const dnnl_memory_desc_t *from, const dnnl_memory_desc_t *to)
{
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_t reorder = NULL;

    if (dnnl_reorder_primitive_desc_create(&desc, from, engine, to, engine, NULL) != dnnl_success)
        return NULL;
    if (dnnl_primitive_create(&reorder, desc) != dnnl_success)
        reorder = NULL;
    dnnl_primitive_desc_destroy(desc);
    return reorder;
}

dnnl_memory_t fast_memory(const dnnl_memory_desc_t *desc, void *data)
{
    dnnl_memory_t memory = NULL;
    return dnnl_memory_create(&memory, desc, engine, data) == dnnl_success ? memory : NULL;
}

static bool run_reorder(const_dnnl_primitive_t reorder, const dnnl_memory_desc_t *from_desc, void *from,
                        const dnnl_memory_desc_t *to_desc, void *to)
{
    dnnl_exec_arg_t arguments[2] = {{DNNL_ARG_FROM, fast_memory(from_desc, from)}, {DNNL_ARG_TO, fast_memory(to_desc, to)}};
    dnnl_stream_t stream = NULL;
    bool good = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags) == dnnl_success &&
                arguments[0].memory != NULL && arguments[1].memory != NULL &&
                dnnl_primitive_execute(reorder, stream, 2, arguments) == dnnl_success &&
                dnnl_stream_wait(stream) == dnnl_success;

    for (int i = 0; i < 2; i++)
        if (arguments[i].memory != NULL)
            dnnl_memory_destroy(arguments[i].memory);
    if (stream != NULL)
        dnnl_stream_destroy(stream);
    return good;
}

bool fast_edge(FastJob *job, const_dnnl_primitive_desc_t desc, int argument, bool output)
{
    FastEdge *edge = &job->edges[job->n_edges];
    const dnnl_memory_desc_t *inner = dnnl_primitive_desc_query_md(desc, dnnl_query_exec_arg_md, argument);

    if (inner == NULL)
        return false;
    edge->inner = *inner;
    job->arguments[job->n_edges++] = argument;
    if (dnnl_memory_desc_equal(&edge->inner, &edge->plain))
        return true;
    edge->reorder = output ? make_reorder(&edge->inner, &edge->plain) : make_reorder(&edge->plain, &edge->inner);
    return edge->reorder != NULL;
}

typedef struct Pack {
    dnnl_memory_desc_t desc;
    void *data;
    struct Pack *next;
} Pack;

struct FastPacks {
    pthread_mutex_t lock;
    Pack *first;
};

FastPacks *fast_packs_new(void)
{
    FastPacks *packs = xcalloc(1, sizeof *packs);

    pthread_mutex_init(&packs->lock, NULL);
    return packs;
}

void fast_packs_free(void *packs)
{
    FastPacks *mine = packs;

    if (mine == NULL)
        return;
    for (Pack *pack = mine->first, *next; pack != NULL; pack = next) {
        next = pack->next;
        memory_free(pack->data);
        free(pack);
    }
    pthread_mutex_destroy(&mine->lock);
    free(mine);
}

/* A packed copy of `plain` data in memory_alloc()'s; NULL when that fails. */
static void *pack_copy(const dnnl_memory_desc_t *plain, void *data, const dnnl_memory_desc_t *inner)
{
    void *copy = NULL;
    Status status = memory_alloc(dnnl_memory_desc_get_size(inner), &copy);

    if (status != NULL) {
        status_free(status);
        return NULL;
    }
    dnnl_primitive_t reorder = make_reorder(plain, inner);
    bool good = reorder != NULL && run_reorder(reorder, plain, data, inner, copy);
    if (reorder != NULL)
        dnnl_primitive_destroy(reorder);
    if (good)
        return copy;
    memory_free(copy);
    return NULL;
}

static void *find_pack(FastPacks *packs, const dnnl_memory_desc_t *plain, void *data, const dnnl_memory_desc_t *inner)
{
    void *found = NULL;

    pthread_mutex_lock(&packs->lock);
    for (Pack *pack = packs->first; pack != NULL && found == NULL; pack = pack->next)
        if (dnnl_memory_desc_equal(&pack->desc, inner))
            found = pack->data;
    if (found == NULL) {
        found = pack_copy(plain, data, inner);
        if (found != NULL) {
            Pack *pack = xcalloc(1, sizeof *pack);
            *pack = (Pack){*inner, found, packs->first};
            packs->first = pack;
        }
    }
    pthread_mutex_unlock(&packs->lock);
    return found;
}

bool fast_pack(FastJob *job, const_dnnl_primitive_desc_t desc, const dnnl_memory_desc_t *plain, const void *data,
               FastPacks *packs)
{
    const dnnl_memory_desc_t *inner = dnnl_primitive_desc_query_md(desc, dnnl_query_exec_arg_md, DNNL_ARG_WEIGHTS);
    void *readable = (void *)(uintptr_t)data; /* oneDNN's interface has no const memory; sources are only read */
    void *packed;

    if (inner == NULL)
        return false;
    if (packs != NULL && dnnl_memory_desc_equal(inner, plain))
        packed = readable;
    else if (packs != NULL)
        packed = find_pack(packs, plain, readable, inner);
    else
        packed = job->weights_data = pack_copy(plain, readable, inner);
    if (packed == NULL)
        return false;
    job->weights = fast_memory(inner, packed);
    return job->weights != NULL;
}

bool fast_bias(FastJob *job, const dnnl_memory_desc_t *desc, const void *data)
{
    size_t bytes = dnnl_memory_desc_get_size(desc);
    Status status = memory_alloc(bytes, &job->bias_data);

    if (status != NULL) {
        status_free(status);
        return false;
    }
    memcpy(job->bias_data, data, bytes);
    job->bias = fast_memory(desc, job->bias_data);
    return job->bias != NULL;
}

static size_t place(size_t *total, size_t bytes)
{
    size_t at = *total;
    *total += (bytes + ALIGN - 1) / ALIGN * ALIGN;
    return at;
}

bool fast_finish(FastJob *job, const_dnnl_primitive_desc_t desc)
{
    const dnnl_memory_desc_t *scratchpad = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);

    for (int i = 0; i < job->n_edges; i++)
        if (job->edges[i].reorder != NULL)
            job->edges[i].offset = place(&job->scratch_bytes, dnnl_memory_desc_get_size(&job->edges[i].inner));
    if (scratchpad != NULL) {
        job->scratchpad = *scratchpad;
        job->scratchpad_offset = place(&job->scratch_bytes, dnnl_memory_desc_get_size(scratchpad));
    }
    job->bindings = xcalloc(1, sizeof *job->bindings);
    return dnnl_primitive_create(&job->primitive, desc) == dnnl_success;
}

void fast_release(FastJob *job)
{
    fast_unbind(job);
    if (job->primitive != NULL)
        dnnl_primitive_destroy(job->primitive);
    for (int i = 0; i < FAST_MAX_EDGES; i++)
        if (job->edges[i].reorder != NULL)
            dnnl_primitive_destroy(job->edges[i].reorder);
    if (job->weights != NULL)
        dnnl_memory_destroy(job->weights);
    if (job->bias != NULL)
        dnnl_memory_destroy(job->bias);
    memory_free(job->weights_data);
    memory_free(job->bias_data);
}

bool fast_integer_exact(void)
{
    return cpu_features().vnni;
}
