/* onednn_run.c - runs a oneDNN job.
 *
 * oneDNN wants an object for each buffer and a stream, whose making costs a small primitive as much as its work. A binding holds
 * all that one run needs; a run takes the spare one of its job, points it at its buffers, and puts it back. A second run at the
 * same time makes a second one, and the one that comes back last stays.
 */
#include "src/kernels/onednn.h"

#include <stdatomic.h>
#include <stdlib.h>

typedef struct Binding {
    dnnl_stream_t stream;
    dnnl_memory_t plain[FAST_MAX_EDGES], inner[FAST_MAX_EDGES]; /* plain: NULL where there is no reorder */
    dnnl_memory_t scratchpad;                                   /* NULL: none needed */
    dnnl_exec_arg_t arguments[FAST_MAX_EDGES + 3];
    int n;
} Binding;

static void destroy(dnnl_memory_t memory)
{
    if (memory != NULL)
        dnnl_memory_destroy(memory);
}

static void binding_free(Binding *binding)
{
    if (binding == NULL)
        return;
    for (int i = 0; i < FAST_MAX_EDGES; i++) {
        destroy(binding->plain[i]);
        destroy(binding->inner[i]);
    }
    destroy(binding->scratchpad);
    if (binding->stream != NULL)
        dnnl_stream_destroy(binding->stream);
    free(binding);
}

static bool bind_argument(Binding *binding, int argument, dnnl_memory_t memory)
{
    binding->arguments[binding->n++] = (dnnl_exec_arg_t){argument, memory};
    return memory != NULL;
}

static bool fill(const FastJob *job, Binding *binding)
{
    bool good = dnnl_stream_create(&binding->stream, fast_engine(), dnnl_stream_default_flags) == dnnl_success;

    for (int i = 0; i < job->n_edges && good; i++) {
        const FastEdge *edge = &job->edges[i];
        binding->inner[i] = fast_memory(&edge->inner, DNNL_MEMORY_NONE);
        good = bind_argument(binding, job->arguments[i], binding->inner[i]);
        if (edge->reorder != NULL) {
            binding->plain[i] = fast_memory(&edge->plain, DNNL_MEMORY_NONE);
            good = good && binding->plain[i] != NULL;
        }
    }
    if (job->weights != NULL)
        bind_argument(binding, DNNL_ARG_WEIGHTS, job->weights);
    if (job->bias != NULL)
        bind_argument(binding, DNNL_ARG_BIAS, job->bias);
    if (good && dnnl_memory_desc_get_size(&job->scratchpad) > 0) {
        binding->scratchpad = fast_memory(&job->scratchpad, DNNL_MEMORY_NONE);
        good = bind_argument(binding, DNNL_ARG_SCRATCHPAD, binding->scratchpad);
    }
    return good;
}

static Binding *take(const FastJob *job)
{
    Binding *binding = atomic_exchange(&job->bindings->spare, NULL);

    if (binding != NULL)
        return binding;
    binding = xcalloc(1, sizeof *binding);
    if (fill(job, binding))
        return binding;
    binding_free(binding);
    return NULL;
}

static bool point(dnnl_memory_t memory, void *data)
{
    return memory == NULL || dnnl_memory_set_data_handle(memory, data) == dnnl_success;
}

static bool reorder(const Binding *binding, const FastEdge *edge, dnnl_memory_t from, dnnl_memory_t to)
{
    dnnl_exec_arg_t arguments[2] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};

    return dnnl_primitive_execute(edge->reorder, binding->stream, 2, arguments) == dnnl_success;
}

static bool run_bound(const FastJob *job, const Binding *binding, void *const *data, char *room)
{
    int last = job->n_edges - 1;
    bool good = point(binding->scratchpad, room + job->scratchpad_offset);

    for (int i = 0; i <= last && good; i++) {
        const FastEdge *edge = &job->edges[i];
        good = point(binding->plain[i], data[i]) &&
               point(binding->inner[i], edge->reorder != NULL ? room + edge->offset : data[i]);
        if (good && i < last && edge->reorder != NULL)
            good = reorder(binding, edge, binding->plain[i], binding->inner[i]);
    }
    good = good && dnnl_primitive_execute(job->primitive, binding->stream, binding->n, binding->arguments) == dnnl_success;
    const FastEdge *out = &job->edges[last];
    if (good && out->reorder != NULL)
        good = reorder(binding, out, binding->inner[last], binding->plain[last]);
    return good && dnnl_stream_wait(binding->stream) == dnnl_success;
}

bool fast_run(const FastJob *job, int threads, void *const *data, void *scratch)
{
    fast_set_threads(threads);
    Binding *binding = take(job);

    if (binding == NULL)
        return false;
    bool good = run_bound(job, binding, data, scratch);
    binding_free(atomic_exchange(&job->bindings->spare, binding));
    return good;
}

void fast_unbind(FastJob *job)
{
    if (job->bindings == NULL)
        return;
    binding_free(atomic_exchange(&job->bindings->spare, NULL));
    free(job->bindings);
}
