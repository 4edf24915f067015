/* run.c - visits the steps of a plan: inputs in, ops run, dead values given back, the observer called.
 *
 * Buffers come from a pool: a value's buffer returns to it with its last reader, and a later value of about that size takes
 * it. Reshape and its kin share the buffer of their input (a count says how many values stand on it). Buffers that a whole
 * run did not use are freed, so changing shapes do not pile up memory.
 */
#include "src/exec/internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct Buffer {
    struct Buffer *next; /* in the free list */
    void *data;
    size_t bytes;
    int users;
    unsigned used_in_run;
} Buffer;

typedef struct Slot {
    Tensor tensor;
    Buffer
        *buffer; /* NULL: the data belongs to someone else (input of the run, constant) or is owned by the tensor */
    bool full;
} Slot;

struct Runner {
    EvalHost host; /* first: the callbacks get &host */
    const Plan *plan;
    Team *team;
    const Observer *observer;
    const Profiler *profiler;
    int depth; /* of inner graphs */
    Slot *slots; /* by value id */
    Buffer *free_buffers;
    Buffer *scratch_buffers; /* of the node at work */
    Buffer *text_buffers;    /* strings made in this run: kept until the next */
    Arena *scratch;
    unsigned run;
};

/* One node at work. The callbacks find it behind the EvalCtx they are given. */
typedef struct Call {
    EvalCtx ctx; /* first */
    Step *step;
    Buffer **out_buffers;
} Call;

/* ---- buffers ----------------------------------------------------------------------------------------------------- */

/* The smallest free buffer that holds `bytes` and wastes less than half of itself. */
static Buffer *take_free_buffer(Runner *runner, size_t bytes)
{
    Buffer **best = NULL;
    for (Buffer **link = &runner->free_buffers; *link != NULL; link = &(*link)->next)
        if ((*link)->bytes >= bytes && (*link)->bytes / 2 <= bytes + 4096 &&
            (best == NULL || (*link)->bytes < (*best)->bytes))
            best = link;
    if (best == NULL)
        return NULL;
    Buffer *buffer = *best;
    *best = buffer->next;
    return buffer;
}

static Status get_buffer(Runner *runner, size_t bytes, Buffer **ret)
{
    Buffer *buffer = take_free_buffer(runner, bytes);
    if (buffer == NULL) {
        void *data = NULL;
        TRY(memory_alloc(bytes, &data));
        buffer = xcalloc(1, sizeof *buffer);
        buffer->data = data;
        buffer->bytes = bytes;
    }
    buffer->next = NULL;
    buffer->users = 1;
    buffer->used_in_run = runner->run;
    *ret = buffer;
    return NULL;
}

static void drop_buffer(Runner *runner, Buffer *buffer)
{
    if (buffer == NULL || --buffer->users > 0)
        return;
    buffer->next = runner->free_buffers;
    runner->free_buffers = buffer;
}

/* Frees what this run had no use for. */
static void trim_buffers(Runner *runner, bool all)
{
    for (Buffer **link = &runner->free_buffers; *link != NULL;) {
        Buffer *buffer = *link;
        if (!all && buffer->used_in_run == runner->run) {
            link = &buffer->next;
            continue;
        }
        *link = buffer->next;
        memory_free(buffer->data);
        free(buffer);
    }
}

static void clear_slot(Runner *runner, Slot *slot)
{
    if (!slot->full)
        return;
    drop_buffer(runner, slot->buffer);
    if (slot->buffer == NULL)
        tensor_release(&slot->tensor);
    *slot = (Slot){0};
}

static const Tensor *value_tensor(const Runner *runner, const Value *value)
{
    if (value == NULL)
        return NULL;
    if (value->constant != NULL)
        return value->constant;
    const Slot *slot = &runner->slots[value->id];
    return slot->full ? &slot->tensor : NULL;
}

/* ---- what ops ask for (EvalHost) --------------------------------------------------------------------------------- */

static Status host_alloc(EvalHost *host, EvalCtx *ctx, int output, size_t bytes, void **ret)
{
    Runner *runner = (Runner *)host;
    Call *call = (Call *)ctx;
    drop_buffer(runner, call->out_buffers[output]);
    call->out_buffers[output] = NULL;
    TRY(get_buffer(runner, bytes, &call->out_buffers[output]));
    *ret = call->out_buffers[output]->data;
    return NULL;
}

static Status host_alias(EvalHost *host, EvalCtx *ctx, int output, const Tensor *from, bool *ret_done)
{
    Runner *runner = (Runner *)host;
    Call *call = (Call *)ctx;
    *ret_done = false;
    for (int i = 0; i < ctx->n_in; i++) {
        if (ctx->in[i] != from)
            continue;
        const Value *value = ctx->node->in[i];
        Slot *slot = &runner->slots[value->id];
        if (!slot->full || slot->buffer == NULL)
            return NULL; /* constants and inputs of the run are copied: observers may write to what they are shown */
        slot->buffer->users++;
        drop_buffer(runner, call->out_buffers[output]);
        call->out_buffers[output] = slot->buffer;
        *ret_done = true;
        return NULL;
    }
    return NULL;
}

/* A buffer on one of the runner's lists, given back with the list. */
static Status take_listed(Runner *runner, size_t bytes, Buffer **list, void **ret)
{
    Buffer *buffer = NULL;
    TRY(get_buffer(runner, bytes, &buffer));
    buffer->next = *list;
    *list = buffer;
    *ret = buffer->data;
    return NULL;
}

static Status host_scratch(EvalHost *host, size_t bytes, void **ret)
{
    Runner *runner = (Runner *)host;
    return take_listed(runner, bytes, &runner->scratch_buffers, ret);
}

static Status host_text(EvalHost *host, size_t bytes, void **ret)
{
    Runner *runner = (Runner *)host;
    return take_listed(runner, bytes, &runner->text_buffers, ret);
}

static void *host_cache_get(EvalHost *host, EvalCtx *ctx, const void *key, size_t key_bytes)
{
    (void)host;
    Step *step = ((Call *)ctx)->step;
    void *object = NULL;
    pthread_mutex_lock(step->cache_lock);
    for (CacheEntry *entry = step->cache; entry != NULL && object == NULL; entry = entry->next)
        if (entry->key_bytes == key_bytes && memcmp(entry->key, key, key_bytes) == 0)
            object = entry->object;
    pthread_mutex_unlock(step->cache_lock);
    return object;
}

/* Two threads may prepare the same thing at once; the first to arrive keeps, the other releases its own. */
static void *host_cache_put(EvalHost *host, EvalCtx *ctx, const void *key, size_t key_bytes, void *object,
                            void (*release)(void *object))
{
    (void)host;
    Step *step = ((Call *)ctx)->step;
    void *kept = NULL;
    pthread_mutex_lock(step->cache_lock);
    for (CacheEntry *entry = step->cache; entry != NULL && kept == NULL; entry = entry->next)
        if (entry->key_bytes == key_bytes && memcmp(entry->key, key, key_bytes) == 0)
            kept = entry->object;
    if (kept == NULL) {
        CacheEntry *entry = xcalloc(1, sizeof *entry);
        entry->key = xcalloc(1, key_bytes);
        memcpy(entry->key, key, key_bytes);
        entry->key_bytes = key_bytes;
        entry->object = object;
        entry->release = release;
        entry->next = step->cache;
        step->cache = entry;
        kept = object;
        object = NULL;
    }
    pthread_mutex_unlock(step->cache_lock);
    if (object != NULL)
        release(object);
    return kept;
}

static bool host_is_constant(EvalHost *host, const EvalCtx *ctx, int input)
{
    (void)host;
    const Value *value = node_in(ctx->node, input);
    return value != NULL && value->constant != NULL && value->producer == NULL;
}

static Status run_graph(Runner *runner, const GraphPlan *plan);

/* Gives a result of an inner graph to a caller who will own it. */
static Status give_away(Runner *runner, const Value *value, Tensor *ret)
{
    const Tensor *tensor = value_tensor(runner, value);
    if (tensor == NULL)
        return status_new(CODE_MODEL, "output '%s' of an inner graph has no value", value->name);
    return tensor_copy(ret, tensor);
}

static Status host_subgraph(EvalHost *host, EvalCtx *ctx, const Graph *graph, const Tensor *inputs, int n_inputs,
                            Tensor *ret, int n_ret)
{
    Runner *runner = (Runner *)host;
    const Step *step = ((Call *)ctx)->step;
    const GraphPlan *plan = NULL;
    for (int i = 0; i < step->n_inner; i++)
        if (step->inner[i]->graph == graph)
            plan = step->inner[i];
    if (plan == NULL || n_inputs != graph->n_inputs || n_ret != graph->n_outputs)
        return node_error(ctx->node, CODE_MODEL,
                          "inner graph '%s' has %d inputs and %d outputs, the op gives %d and takes %d", graph->name,
                          graph->n_inputs, graph->n_outputs, n_inputs, n_ret);
    for (int i = 0; i < n_inputs; i++) {
        Slot *slot = &runner->slots[graph->inputs[i]->id];
        *slot = (Slot){.tensor = inputs[i], .full = true};
        slot->tensor.owned = false;
    }
    runner->depth++;
    Status status = run_graph(runner, plan);
    runner->depth--;
    int given = 0;
    while (status == NULL && given < n_ret) {
        status = give_away(runner, graph->outputs[given], &ret[given]);
        given += status == NULL;
    }
    while (status != NULL && given > 0)
        tensor_release(&ret[--given]);
    for (int i = 0; i < graph->n_outputs; i++)
        if (graph->outputs[i]->graph == graph)
            clear_slot(runner, &runner->slots[graph->outputs[i]->id]);
    for (int i = 0; i < n_inputs; i++)
        runner->slots[graph->inputs[i]->id] = (Slot){0};
    return status;
}

/* ---- one node ---------------------------------------------------------------------------------------------------- */

static Status observe(Runner *runner, const Value *value)
{
    Slot *slot = &runner->slots[value->id];
    if (runner->observer == NULL || !slot->full ||
        (runner->observer->unwanted != NULL && runner->observer->unwanted[value->id]))
        return NULL;
    return runner->observer->value(runner->observer->context, value, &slot->tensor);
}

/* The outputs of a finished node move into their slots; each is checked against what the file declares. */
static Status store_outputs(Runner *runner, Call *call)
{
    const Node *node = call->ctx.node;
    for (int i = 0; i < node->n_out; i++) {
        if (node->out[i] == NULL || call->ctx.out[i].dtype == DT_UNDEFINED) {
            drop_buffer(runner, call->out_buffers[i]);
            continue;
        }
        Slot *slot = &runner->slots[node->out[i]->id];
        clear_slot(runner, slot);
        *slot = (Slot){.tensor = call->ctx.out[i], .buffer = call->out_buffers[i], .full = true};
    }
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] != NULL)
            TRY(observe(runner, node->out[i]));
    return NULL;
}

static Status gather_inputs(Runner *runner, const Node *node, const Tensor **in)
{
    for (int i = 0; i < node->n_in; i++) {
        in[i] = value_tensor(runner, node->in[i]);
        if (node->in[i] != NULL && in[i] == NULL)
            return node_error(node, CODE_MODEL, "input '%s' has no value yet", node->in[i]->name);
    }
    return NULL;
}

static void profile_step(const Runner *runner, const Call *call, double begin)
{
    if (runner->profiler == NULL || runner->depth > 0)
        return;
    StepSeen seen = {(int)(call->step - runner->plan->main->steps), begin, clock_seconds(), call->ctx.implementation,
                     call->ctx.n_in, call->ctx.n_out, call->ctx.in, call->ctx.out};
    runner->profiler->step(runner->profiler->context, &seen);
}

static Status run_step(Runner *runner, Step *step)
{
    const Node *node = step->node;
    ArenaMark mark = arena_mark(runner->scratch);
    Buffer *outer_scratch = runner->scratch_buffers;
    runner->scratch_buffers = NULL;

    const Tensor **in = arena_array(runner->scratch, (size_t)node->n_in, sizeof in[0]);
    Call call = {
        .ctx = {.node = node,
                .def = step->def,
                .n_in = node->n_in,
                .n_out = node->n_out,
                .in = in,
                .scratch = runner->scratch,
                .team = runner->team,
                .reference = runner->plan->options.reference,
                .host = &runner->host},
        .step = step,
        .out_buffers = arena_array(runner->scratch, (size_t)node->n_out, sizeof(Buffer *)),
    };
    call.ctx.out = arena_array(runner->scratch, (size_t)node->n_out, sizeof(Tensor));
    Status status = gather_inputs(runner, node, in);
    double begin = runner->profiler == NULL ? 0.0 : clock_seconds();
    if (status == NULL)
        status = op_eval(&call.ctx);
    if (status == NULL)
        profile_step(runner, &call, begin);
    if (status == NULL) {
        status = store_outputs(runner, &call);
    } else {
        for (int i = 0; i < node->n_out; i++)
            drop_buffer(runner, call.out_buffers[i]);
    }
    while (runner->scratch_buffers != NULL) {
        Buffer *buffer = runner->scratch_buffers;
        runner->scratch_buffers = buffer->next;
        drop_buffer(runner, buffer);
    }
    runner->scratch_buffers = outer_scratch;
    arena_rewind(runner->scratch, mark);
    for (int i = 0; i < step->n_release; i++)
        clear_slot(runner, &runner->slots[step->release[i]->id]);
    return status;
}

static Status run_graph(Runner *runner, const GraphPlan *plan)
{
    for (int s = 0; s < plan->n_steps; s++)
        TRY(run_step(runner, &plan->steps[s]));
    return NULL;
}

/* ---- the whole model --------------------------------------------------------------------------------------------- */

Runner *runner_new(const Plan *plan, Team *team)
{
    Runner *runner = xcalloc(1, sizeof *runner);
    runner->host = (EvalHost){
        .alloc = host_alloc,
        .alias = host_alias,
        .scratch = host_scratch,
        .text = host_text,
        .cache_get = host_cache_get,
        .cache_put = host_cache_put,
        .is_constant = host_is_constant,
        .subgraph = host_subgraph,
    };
    runner->plan = plan;
    runner->team = team;
    runner->slots = xcalloc(MAX(plan->model->n_ids, 1), sizeof runner->slots[0]);
    runner->scratch = arena_new();
    return runner;
}

void runner_set_profiler(Runner *runner, const Profiler *profiler)
{
    runner->profiler = profiler;
}

static void clear_all(Runner *runner)
{
    for (uint32_t id = 0; id < runner->plan->model->n_ids; id++)
        clear_slot(runner, &runner->slots[id]);
    while (runner->text_buffers != NULL) {
        Buffer *buffer = runner->text_buffers;
        runner->text_buffers = buffer->next;
        drop_buffer(runner, buffer);
    }
}

void runner_free(Runner *runner)
{
    if (runner == NULL)
        return;
    clear_all(runner);
    trim_buffers(runner, true);
    arena_free(runner->scratch);
    free(runner->slots);
    free(runner);
}

static Status check_input(Runner *runner, const Value *value, const Tensor *tensor)
{
    const Type *type = &value->type;
    bool list = tensor->dtype == DT_LIST;
    if ((type->kind == TYPE_TENSOR && list) || (type->kind == TYPE_SEQUENCE && (!list || tensor->rank != 1)))
        return status_new(CODE_DATA, "input '%s' expects a %s, given a %s", value->name,
                          type->kind == TYPE_TENSOR ? "tensor" : "sequence", list ? "sequence" : "tensor");
    if (type->kind != TYPE_TENSOR)
        return NULL;
    if (type->dtype != DT_UNDEFINED && type->dtype != tensor->dtype)
        return status_new(CODE_DATA, "input '%s' expects %s, given %s", value->name, dtype_name(type->dtype),
                          dtype_name(tensor->dtype));
    bool fits = type->shape.rank < 0 || type->shape.rank == tensor->rank;
    for (int i = 0; fits && i < type->shape.rank; i++)
        fits = type->shape.dims[i].size < 0 || type->shape.dims[i].size == tensor->dims[i];
    if (fits)
        return NULL;
    ArenaMark mark = arena_mark(runner->scratch);
    Status status = status_new(CODE_DATA, "input '%s' expects shape %s, given %s", value->name,
                               shape_text(runner->scratch, &type->shape), tensor_shape_text(runner->scratch, tensor));
    arena_rewind(runner->scratch, mark);
    return status;
}

static Status collect_outputs(Runner *runner, Tensor *ret_outputs)
{
    const Graph *graph = runner->plan->model->graph;
    for (int i = 0; i < graph->n_outputs; i++) {
        const Tensor *tensor = value_tensor(runner, graph->outputs[i]);
        if (tensor == NULL)
            return status_new(CODE_MODEL, "output '%s' has no value", graph->outputs[i]->name);
        ret_outputs[i] = *tensor;
        ret_outputs[i].owned = false;
    }
    return NULL;
}

Status runner_run(Runner *runner, const Tensor *inputs, const Observer *observer, Tensor *ret_outputs)
{
    const Plan *plan = runner->plan;
    clear_all(runner);
    runner->run++;
    runner->observer = observer;
    for (int i = 0; i < plan->n_inputs; i++) {
        TRY(check_input(runner, plan->inputs[i], &inputs[i]));
        Slot *slot = &runner->slots[plan->inputs[i]->id];
        *slot = (Slot){.tensor = inputs[i], .full = true};
        slot->tensor.owned = false;
    }
    for (int i = 0; i < plan->n_inputs; i++)
        TRY(observe(runner, plan->inputs[i]));
    TRY(run_graph(runner, plan->main));
    TRY(collect_outputs(runner, ret_outputs));
    trim_buffers(runner, false);
    return NULL;
}
