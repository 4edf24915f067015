/* onednn.h - what the adapters to oneDNN share: the engine, jobs with their reorders, threads. Internal to src/kernels.
 *
 *     x (plain) ── reorder ──> primitive's own layout ── primitive ── reorder ──> y (plain)
 *
 * A job owns the primitive, the reorders it needs and the packed weights; nothing else sees it change after it is made. What a run
 * needs besides - reordered activations, oneDNN's scratchpad - lies in the caller's scratch.
 */
#ifndef QUANTIZE_KERNELS_ONEDNN_H
#define QUANTIZE_KERNELS_ONEDNN_H

#include <oneapi/dnnl/dnnl.h>

#include "src/kernels/kernels.h"

/* One tensor of a job: how the caller lays it out, how the primitive wants it. */
typedef struct FastEdge {
    dnnl_memory_desc_t plain, inner;
    dnnl_primitive_t reorder; /* NULL when the layouts are one */
    size_t offset;            /* of the inner copy in the scratch */
} FastEdge;

#define FAST_MAX_EDGES 3 /* a, b, out */

/* The memory objects and the stream of one run at a time; see onednn_run.c. */
typedef struct FastBindings FastBindings;

typedef struct FastJob {
    dnnl_primitive_t primitive;
    FastEdge edges[FAST_MAX_EDGES];
    int arguments[FAST_MAX_EDGES]; /* DNNL_ARG_SRC ... of each; the last edge is the output */
    int n_edges;
    dnnl_memory_t weights, bias;   /* fixed arguments, or NULL */
    void *weights_data, *bias_data; /* owned, or NULL */
    dnnl_memory_desc_t scratchpad;
    size_t scratchpad_offset, scratch_bytes;
    FastBindings *bindings; /* what runs use again; the one part that changes, safely for several threads */
    char info[64];
} FastJob;

dnnl_engine_t fast_engine(void);          /* NULL when there is none */
dnnl_memory_t fast_memory(const dnnl_memory_desc_t *desc, void *data); /* NULL when it fails */
dnnl_data_type_t fast_type(KernelType type);
/* A plain row-major description. */
bool fast_plain(dnnl_memory_desc_t *ret, int rank, const dnnl_dim_t *dims, KernelType type);
/* N D1..Dk C in memory: the layout of all 8-bit convolutions and pools. rank 3 to 5. */
bool fast_channels_last(dnnl_memory_desc_t *ret, int rank, const dnnl_dim_t *dims, KernelType type);
/* The same sizes with the layout left to the primitive. */
bool fast_any(dnnl_memory_desc_t *ret, int rank, const dnnl_dim_t *dims, KernelType type);
/* Attributes with a scratchpad of the user, and the zero point of x of an integer job. */
dnnl_primitive_attr_t fast_attributes(const FastInt *integer);
/* The same sizes row-major or channels last: how an image comes from the caller. */
bool fast_image(dnnl_memory_desc_t *ret, int rank, const dnnl_dim_t *dims, KernelType type, bool channels_last);
/* False for oneDNN's plain loops, which are no faster than ours. Fills job->info. */
bool fast_worth_it(FastJob *job, const_dnnl_primitive_desc_t desc);
/* Fills edge->inner from what the primitive chose for argument `argument` and makes its reorder. */
bool fast_edge(FastJob *job, const_dnnl_primitive_desc_t desc, int argument, bool output);
/* Packs plain weights into the layout the primitive chose; see fast_conv_new(). */
bool fast_pack(FastJob *job, const_dnnl_primitive_desc_t desc, const dnnl_memory_desc_t *plain, const void *data,
               FastPacks *packs);
bool fast_bias(FastJob *job, const dnnl_memory_desc_t *desc, const void *data);
/* Lays out the scratch and makes the primitive. */
bool fast_finish(FastJob *job, const_dnnl_primitive_desc_t desc);
/* ---- onednn_run.c ---- */
struct FastBindings {
    _Atomic(void *) spare; /* a Binding that no run uses, or NULL */
};
/* data[n_edges]: the plain buffers. */
bool fast_run(const FastJob *job, int threads, void *const *data, void *scratch);
void fast_unbind(FastJob *job);
void fast_release(FastJob *job);

#endif
