/* run.c - visits the steps of a plan: inputs in, ops run, dead values given back, the observer called.
 *
 * Values and buffers live in a Store (store.h). Whether a step sees its images row-major or with the channels last is decided
 * when it runs, by the table in layout.c and the form its inputs have.
 */
#include "src/exec/internal.h"
#include "src/exec/store.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct Runner {
    EvalHost host; /* first: the callbacks get &host */
    const Plan *plan;
    Team *team;
    const Observer *observer;
    const Profiler *profiler;
    int depth; /* of inner graphs */
    Store store;
    Buffer *scratch_buffers; /* of the node at work */
    Buffer *text_buffers;    /* strings made in this run: kept until the next */
    Arena *scratch;
};

/* One node at work. The callbacks find it behind the EvalCtx they are given. */
typedef struct Call {
    EvalCtx ctx; /* first */
    Step *step;
    bool last;  /* images have the channels last */
    bool shown; /* and the op is shown their dims that way (LAYOUT_ANY, LAYOUT_AXIS) */
    Buffer **out_buffers;
} Call;

/* ---- what ops ask for (EvalHost) --------------------------------------------------------------------------------- */

static Status host_alloc(EvalHost *host, EvalCtx *ctx, int output, size_t bytes, void **ret)
{
    Runner *runner = (Runner *)host;
    Call *call = (Call *)ctx;
    store_drop(&runner->store, call->out_buffers[output]);
    call->out_buffers[output] = NULL;
    TRY(store_take(&runner->store, bytes, &call->out_buffers[output]));
    *ret = call->out_buffers[output]->data;
    return NULL;
}

static void share_buffer(Runner *runner, Call *call, int output, Buffer *buffer)
{
    buffer->users++;
    store_drop(&runner->store, call->out_buffers[output]);
    call->out_buffers[output] = buffer;
}

static Status host_alias(EvalHost *host, EvalCtx *ctx, int output, const Tensor *from, bool *ret_done)
{
    Runner *runner = (Runner *)host;
    *ret_done = false;
    for (int i = 0; i < ctx->n_in; i++) {
        if (ctx->in[i] != from)
            continue;
        const Form *form = store_form_of(&runner->store, ctx->node->in[i], from->data);
        if (form == NULL || form->buffer == NULL)
            return NULL; /* constants and inputs of the run are copied: observers may write to what they are shown */
        share_buffer(runner, (Call *)ctx, output, form->buffer);
        *ret_done = true;
        return NULL;
    }
    return NULL;
}

static bool is_last_reader(const Step *step, const Value *value)
{
    for (int i = 0; i < step->n_release; i++)
        if (step->release[i] == value)
            return true;
    return false;
}

static bool host_reuse(EvalHost *host, EvalCtx *ctx, int output, int input, size_t bytes, void **ret)
{
    Runner *runner = (Runner *)host;
    Call *call = (Call *)ctx;
    const Value *value = ctx->node->in[input];
    const Form *form = store_form_of(&runner->store, value, ctx->in[input]->data);
    if (form == NULL || form->buffer == NULL || form->buffer->users > 1 || form->buffer->bytes < bytes ||
        form->tensor.data != form->buffer->data || !is_last_reader(call->step, value))
        return false;
    share_buffer(runner, call, output, form->buffer);
    *ret = form->buffer->data;
    return true;
}

static Status host_scratch(EvalHost *host, size_t bytes, void **ret)
{
    Runner *runner = (Runner *)host;
    return store_take_listed(&runner->store, bytes, &runner->scratch_buffers, ret);
}

static Status host_text(EvalHost *host, size_t bytes, void **ret)
{
    Runner *runner = (Runner *)host;
    return store_take_listed(&runner->store, bytes, &runner->text_buffers, ret);
}

/* Entries are only ever put in front, so that they are found without a lock. */
static void *find_cached(Step *step, const void *key, size_t key_bytes)
{
    for (const CacheEntry *entry = atomic_load_explicit(&step->cache, memory_order_acquire); entry != NULL; entry = entry->next)
        if (entry->key_bytes == key_bytes && memcmp(entry->key, key, key_bytes) == 0)
            return entry->object;
    return NULL;
}

static void *host_cache_get(EvalHost *host, EvalCtx *ctx, const void *key, size_t key_bytes)
{
    (void)host;
    return find_cached(((Call *)ctx)->step, key, key_bytes);
}

/* Two threads may prepare the same thing at once; the first to arrive keeps, the other releases its own. */
static void *host_cache_put(EvalHost *host, EvalCtx *ctx, const void *key, size_t key_bytes, void *object,
                            void (*release)(void *object))
{
    (void)host;
    Step *step = ((Call *)ctx)->step;
    pthread_mutex_lock(step->cache_lock);
    void *kept = find_cached(step, key, key_bytes);
    if (kept == NULL) {
        CacheEntry *entry = xcalloc(1, sizeof *entry);
        entry->key = xcalloc(1, key_bytes);
        memcpy(entry->key, key, key_bytes);
        entry->key_bytes = key_bytes;
        entry->object = object;
        entry->release = release;
        entry->next = atomic_load_explicit(&step->cache, memory_order_relaxed);
        atomic_store_explicit(&step->cache, entry, memory_order_release);
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
    const Tensor *tensor;
    TRY(store_plain(&runner->store, runner->team, value, &tensor));
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
        Slot *slot = store_slot(&runner->store, graph->inputs[i]);
        *slot = (Slot){.plain = {.tensor = inputs[i], .full = true}};
        slot->plain.tensor.owned = false;
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
            store_clear_slot(&runner->store, store_slot(&runner->store, graph->outputs[i]));
    for (int i = 0; i < n_inputs; i++)
        store_clear_slot(&runner->store, store_slot(&runner->store, graph->inputs[i]));
    return status;
}

/* ---- one node ---------------------------------------------------------------------------------------------------- */

static Status observe(Runner *runner, const Value *value)
{
    const Observer *observer = runner->observer;
    Slot *slot = store_slot(&runner->store, value);
    const Tensor *plain;
    if (observer == NULL || (!slot->plain.full && !slot->last.full) ||
        (observer->unwanted != NULL && observer->unwanted[value->id]))
        return NULL;
    if (observer->any_order)
        return observer->value(observer->context, value, slot->last.full ? &slot->last.tensor : &slot->plain.tensor);
    TRY(store_plain(&runner->store, runner->team, value, &plain));
    store_clear_form(&runner->store, &slot->last); /* the observer may change the data */
    return observer->value(observer->context, value, &slot->plain.tensor);
}

/* The outputs of a finished node move into their slots; each is checked against what the file declares. */
static Status store_outputs(Runner *runner, Call *call)
{
    const Node *node = call->step->node;
    for (int i = 0; i < node->n_out; i++) {
        if (node->out[i] == NULL || call->ctx.out[i].dtype == DT_UNDEFINED) {
            store_drop(&runner->store, call->out_buffers[i]);
            continue;
        }
        Slot *slot = store_slot(&runner->store, node->out[i]);
        Form form = {.tensor = call->ctx.out[i], .buffer = call->out_buffers[i], .full = true};
        store_clear_slot(&runner->store, slot);
        *(call->last ? &slot->last : &slot->plain) = form;
    }
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] != NULL)
            TRY(observe(runner, node->out[i]));
    return NULL;
}

/* ---- the order in which a step sees its images --------------------------------------------------------------------- */

/* The tensor of a value in a form that it has; NULL when it has none. */
static const Tensor *any_form(Runner *runner, const Value *value, bool *ret_only_last)
{
    *ret_only_last = false;
    if (value == NULL || value->constant != NULL)
        return value == NULL ? NULL : value->constant;
    const Slot *slot = store_slot(&runner->store, value);
    *ret_only_last = slot->last.full && !slot->plain.full;
    return slot->plain.full ? &slot->plain.tensor : slot->last.full ? &slot->last.tensor : NULL;
}

/* For an op that goes element by element: an image among its inputs has the channels last, and all of them can have it.
 * Returns the rank, or 0. */
static int shown_rank(Runner *runner, const Step *step)
{
    const Node *node = step->node;
    bool only_last, some = false;
    int rank = 0;
    for (int i = 0; i < node->n_in; i++) {
        const Tensor *tensor = layout_is_image(&step->layout, i) ? any_form(runner, node->in[i], &only_last) : NULL;
        rank = tensor == NULL ? rank : MAX(rank, tensor->rank);
    }
    for (int i = 0; i < node->n_in; i++) {
        const Tensor *tensor = layout_is_image(&step->layout, i) ? any_form(runner, node->in[i], &only_last) : NULL;
        if (tensor == NULL || (tensor->rank < rank && tensor->count == 1))
            continue;
        Tensor raised = layout_raise(tensor, rank);
        if (!layout_can_turn(&raised) || (tensor->rank < rank && !layout_is_neutral(&raised)))
            return 0;
        some = some || (only_last && !layout_is_neutral(tensor));
    }
    return some ? rank : 0;
}

static bool runs_last(Runner *runner, const Step *step, int *ret_rank)
{
    bool only_last;
    *ret_rank = 0;
    if (step->layout.kind == LAYOUT_PLAIN || step->layout.kind >= LAYOUT_TO_LAST || runner->plan->options.reference ||
        step->node->n_in == 0)
        return false;
    if (step->layout.kind == LAYOUT_ANY || step->layout.kind == LAYOUT_AXIS) {
        *ret_rank = shown_rank(runner, step);
        return *ret_rank > 0;
    }
    const Tensor *image = any_form(runner, step->node->in[0], &only_last);
    return image != NULL && layout_can_turn(image) && image->count > 0 &&
           (image->dtype == DT_FLOAT || image->dtype == DT_UINT8 || image->dtype == DT_INT8) &&
           (step->layout.kind == LAYOUT_SEEKS || only_last);
}

static Status gather_input(Runner *runner, const Call *call, const Value *value, int i, int rank, const Tensor **ret)
{
    const Tensor *tensor;
    if (!call->last || !layout_is_image(&call->step->layout, i)) {
        TRY(store_plain(&runner->store, runner->team, value, ret));
        return NULL;
    }
    bool only_last;
    tensor = any_form(runner, value, &only_last);
    if (tensor == NULL || (call->shown && tensor->rank < rank && tensor->count == 1)) {
        *ret = tensor;
        return NULL;
    }
    if (!call->shown)
        return store_last(&runner->store, runner->team, value, ret);
    if (tensor->rank == rank)
        TRY(store_last(&runner->store, runner->team, value, &tensor));
    Tensor raised = layout_raise(tensor, rank), *shown = arena_alloc(runner->scratch, sizeof *shown);
    *shown = layout_show(&raised);
    *ret = shown;
    return NULL;
}

static Status gather_inputs(Runner *runner, Call *call, const Tensor **in)
{
    const Node *node = call->step->node;
    int rank;
    call->last = runs_last(runner, call->step, &rank);
    call->shown = rank > 0;
    call->ctx.channels_last = call->last && !call->shown;
    if (call->shown && call->step->layout.kind == LAYOUT_AXIS)
        call->ctx.node = layout_node(runner->scratch, node, &call->step->layout, rank);
    for (int i = 0; i < node->n_in; i++) {
        in[i] = NULL;
        if (node->in[i] == NULL)
            continue;
        TRY(gather_input(runner, call, node->in[i], i, rank, &in[i]));
        if (in[i] == NULL)
            return node_error(node, CODE_MODEL, "input '%s' has no value yet", node->in[i]->name);
    }
    return NULL;
}

/* A Transpose between the two orders of an image moves nothing: the bytes of one are those of the other. */
static Status rename_order(Runner *runner, Call *call, const Tensor **in, bool *ret_done)
{
    LayoutKind kind = call->step->layout.kind;
    const Value *x = call->step->node->in[0];
    const Tensor *from;
    bool unused, to_last = kind == LAYOUT_TO_LAST;
    *ret_done = false;
    if (kind < LAYOUT_TO_LAST || runner->plan->options.reference || x->constant != NULL)
        return NULL;
    from = any_form(runner, x, &unused);
    if (from == NULL || !layout_can_turn(from) || from->count == 0)
        return NULL;
    TRY((to_last ? store_last : store_plain)(&runner->store, runner->team, x, &from));
    const Form *form = store_form_of(&runner->store, x, from->data);
    if (form == NULL || form->buffer == NULL)
        return NULL; /* inputs of the run are copied: observers may write to what they are shown */
    in[0] = from;
    call->ctx.out[0] = to_last ? layout_show(from) : layout_hide(from);
    call->ctx.out[0].owned = false;
    call->last = !to_last;
    share_buffer(runner, call, 0, form->buffer);
    *ret_done = true;
    return NULL;
}

static void profile_step(const Runner *runner, const Call *call, double begin)
{
    if (runner->profiler == NULL || runner->depth > 0)
        return;
    StepSeen seen = {call->step->number, begin, clock_seconds(), call->ctx.implementation,
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
    bool renamed = false;
    Status status = rename_order(runner, &call, in, &renamed);
    if (status == NULL && !renamed)
        status = gather_inputs(runner, &call, in);
    double begin = runner->profiler == NULL ? 0.0 : clock_seconds();
    uint64_t refusals = memory_refusals();
    if (status == NULL && !renamed)
        status = op_eval(&call.ctx);
    /* An implementation that was refused memory declines, and the next one rounds in another way: the limit may stop a run, but
     * not change what it gives. */
    if (status == NULL && memory_refusals() != refusals)
        status = node_error(node, CODE_MEMORY, "the memory limit leaves no room to run it; raise --max-memory");
    for (int i = 0; call.shown && i < node->n_out; i++)
        call.ctx.out[i] = layout_hide(&call.ctx.out[i]);
    if (status == NULL)
        profile_step(runner, &call, begin);
    if (status == NULL) {
        status = store_outputs(runner, &call);
    } else {
        for (int i = 0; i < node->n_out; i++)
            store_drop(&runner->store, call.out_buffers[i]);
    }
    store_drop_list(&runner->store, &runner->scratch_buffers);
    runner->scratch_buffers = outer_scratch;
    arena_rewind(runner->scratch, mark);
    for (int i = 0; i < step->n_release; i++)
        store_clear_slot(&runner->store, store_slot(&runner->store, step->release[i]));
    return status;
}

/* A joined step hides the results of all parts but the last. */
static bool wants_hidden(const Runner *runner, const Step *step)
{
    if (runner->observer == NULL)
        return false;
    for (int i = 0; i + 1 < step->n_parts; i++)
        if (runner->observer->unwanted == NULL || !runner->observer->unwanted[step->parts[i].node->out[0]->id])
            return true;
    return false;
}

static Status run_graph(Runner *runner, const GraphPlan *plan)
{
    for (int s = 0; s < plan->n_steps; s++) {
        Step *step = &plan->steps[s];
        if (!wants_hidden(runner, step)) {
            TRY(run_step(runner, step));
            continue;
        }
        for (int i = 0; i < step->n_parts; i++)
            TRY(run_step(runner, &step->parts[i]));
    }
    return NULL;
}

/* ---- the whole model --------------------------------------------------------------------------------------------- */

Runner *runner_new(const Plan *plan, Team *team)
{
    Runner *runner = xcalloc(1, sizeof *runner);
    runner->host = (EvalHost){
        .alloc = host_alloc,
        .alias = host_alias,
        .reuse = host_reuse,
        .scratch = host_scratch,
        .text = host_text,
        .cache_get = host_cache_get,
        .cache_put = host_cache_put,
        .is_constant = host_is_constant,
        .subgraph = host_subgraph,
    };
    runner->plan = plan;
    runner->team = team;
    store_init(&runner->store, plan->model->n_ids);
    runner->scratch = arena_new();
    return runner;
}

void runner_set_profiler(Runner *runner, const Profiler *profiler)
{
    runner->profiler = profiler;
}

static void clear_all(Runner *runner)
{
    store_clear(&runner->store);
    store_drop_list(&runner->store, &runner->text_buffers);
}

void runner_free(Runner *runner)
{
    if (runner == NULL)
        return;
    clear_all(runner);
    store_release(&runner->store);
    arena_free(runner->scratch);
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
        const Tensor *tensor;
        TRY(store_plain(&runner->store, runner->team, graph->outputs[i], &tensor));
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
    runner->store.run++;
    runner->host.iterations = 0;
    runner->observer = observer;
    for (int i = 0; i < plan->n_inputs; i++) {
        TRY(check_input(runner, plan->inputs[i], &inputs[i]));
        Form *form = &store_slot(&runner->store, plan->inputs[i])->plain;
        *form = (Form){.tensor = inputs[i], .full = true};
        form->tensor.owned = false;
    }
    for (int i = 0; i < plan->n_inputs; i++)
        TRY(observe(runner, plan->inputs[i]));
    TRY(run_graph(runner, plan->main));
    TRY(collect_outputs(runner, ret_outputs));
    store_trim(&runner->store);
    return NULL;
}
