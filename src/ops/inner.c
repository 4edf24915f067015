/* inner.c - see inner.h. */
#include "src/ops/inner.h"

#include <string.h>

Status inner_graph(const Node *node, const char *name, Graph **ret)
{
    const Attr *attr = node_attr(node, name);

    if (attr == NULL || attr->kind != ATTR_GRAPH || attr->g == NULL)
        return node_error(node, CODE_MODEL, "attribute '%s' is missing", name);
    *ret = attr->g;
    return NULL;
}

void inner_input_type(Graph *graph, int i, DType dtype, const Shape *shape)
{
    Type *type;
    Shape merged;
    Status status;

    if (i >= graph->n_inputs)
        return;
    type = &graph->inputs[i]->type;
    if (type->kind == TYPE_UNKNOWN)
        *type = (Type){.kind = TYPE_TENSOR, .dtype = DT_UNDEFINED, .shape = {.rank = -1}};
    if (type->kind != TYPE_TENSOR)
        return;
    if (type->dtype == DT_UNDEFINED)
        type->dtype = dtype;
    status = shape_merge(shape, &type->shape, &merged);
    if (status == NULL)
        type->shape = merged;
    status_free(status); /* a contradiction shows where the body uses it, if it matters */
}

Status inner_counts(const Node *node, const Graph *graph, int n_inputs, int n_outputs)
{
    if (graph->n_inputs != n_inputs || graph->n_outputs != n_outputs)
        return node_error(node, CODE_MODEL, "inner graph '%s' has %d inputs and %d outputs, expected %d and %d",
                          graph->name, graph->n_inputs, graph->n_outputs, n_inputs, n_outputs);
    return NULL;
}

Status inner_output(EvalCtx *ctx, int i, const Tensor *from)
{
    if (!eval_wants(ctx, i))
        return NULL;
    return eval_output_copy(ctx, i, from);
}

void inner_release(Tensor *tensors, int n)
{
    for (int i = 0; i < n; i++)
        tensor_release(&tensors[i]);
}

static Status stack_push(const EvalCtx *ctx, Stack *stack, const Tensor *item)
{
    size_t used, need;
    bool same = stack->n == 0 || (stack->dtype == item->dtype && stack->rank == item->rank);

    if (stack->n == 0) {
        stack->dtype = item->dtype;
        stack->rank = item->rank;
        memcpy(stack->dims, item->dims, sizeof stack->dims);
        stack->item_bytes = item->bytes;
    }
    for (int i = 0; same && i < item->rank; i++)
        same = stack->dims[i] == item->dims[i];
    if (!same || item->rank >= TENSOR_MAX_RANK || item->dtype == DT_LIST)
        return eval_error(ctx, CODE_MODEL, "a scan output changes its shape from iteration to iteration");
    if (!size_mul((size_t)stack->n, stack->item_bytes, &used) || !size_add(used, stack->item_bytes, &need))
        return eval_error(ctx, CODE_MEMORY, "a scan output is too large");
    if (need > stack->cap) {
        void *grown;
        size_t cap = MAX(need, need > SIZE_MAX / 2 ? need : 2 * stack->cap);
        TRY(memory_alloc(cap, &grown));
        if (used > 0)
            memcpy(grown, stack->data, used);
        memory_free(stack->data);
        stack->data = grown;
        stack->cap = cap;
    }
    if (stack->item_bytes > 0)
        memcpy(stack->data + used, item->data, stack->item_bytes);
    stack->n++;
    return NULL;
}

Status stack_output(EvalCtx *ctx, int i, const Stack *stack, const Value *declared, int64_t axis, bool reverse)
{
    int64_t dims[TENSOR_MAX_RANK], to[TENSOR_MAX_RANK], inner_to[TENSOR_MAX_RANK], inner_from[TENSOR_MAX_RANK];
    const Type *type = &declared->type;
    int rank = stack->n > 0 ? stack->rank : type->kind == TYPE_TENSOR ? MAX(type->shape.rank, 0) : 0, at;
    DType dtype = stack->n > 0 ? stack->dtype : type->dtype != DT_UNDEFINED ? type->dtype : DT_FLOAT;

    if (!eval_wants(ctx, i))
        return NULL;
    if (rank >= TENSOR_MAX_RANK)
        return eval_error(ctx, CODE_MODEL, "a scan output has a rank above %d", TENSOR_MAX_RANK);
    TRY(eval_axis(ctx, axis, rank + 1, &at));
    for (int k = 0; k <= rank; k++) {
        int own = k < at ? k : k - 1;
        dims[k] = k == at ? stack->n : stack->n > 0 ? stack->dims[own] : MAX(type->shape.dims[own].size, 0);
    }
    TRY(eval_output(ctx, i, dtype, rank + 1, dims));
    if (ctx->out[i].count == 0)
        return NULL;
    row_major_strides(rank + 1, dims, to);
    row_major_strides(rank, stack->dims, inner_from);
    for (int k = 0; k < rank; k++)
        inner_to[k] = to[k < at ? k : k + 1];
    for (int64_t k = 0; k < stack->n; k++) {
        int64_t place = reverse ? stack->n - 1 - k : k;
        Tensor item;
        TRY(tensor_view(&item, dtype, rank, stack->dims, stack->data + (size_t)k * stack->item_bytes));
        strided_copy_elements(&ctx->out[i], place * to[at], inner_to, &item, 0, inner_from, rank, stack->dims);
    }
    return NULL;
}

Carried carried_new(EvalCtx *ctx, const Graph *body, int first_input, int n_state, int n_stacks)
{
    Carried ret = {.n_state = n_state, .n_stacks = n_stacks};

    ret.state = arena_array(ctx->scratch, (size_t)n_state + 1, sizeof *ret.state);
    ret.owned = arena_array(ctx->scratch, (size_t)n_state + 1, sizeof *ret.owned);
    ret.stacks = arena_array(ctx->scratch, (size_t)n_stacks + 1, sizeof *ret.stacks);
    ret.results = arena_array(ctx->scratch, (size_t)body->n_outputs + 1, sizeof *ret.results);
    ret.inputs = arena_array(ctx->scratch, (size_t)body->n_inputs + 1, sizeof *ret.inputs);
    for (int i = 0; i < n_state; i++)
        ret.state[i] = eval_in(ctx, first_input + i);
    return ret;
}

void carried_free(Carried *carried)
{
    inner_release(carried->owned, carried->n_state);
    for (int i = 0; i < carried->n_stacks; i++)
        memory_free(carried->stacks[i].data);
}

Status carried_step(EvalCtx *ctx, Carried *carried, const Graph *body, int first)
{
    int n = body->n_outputs;
    Status status = NULL;

    memset(carried->results, 0, (size_t)n * sizeof(Tensor));
    TRY(eval_subgraph(ctx, body, carried->inputs, body->n_inputs, carried->results, n));
    for (int i = 0; i < carried->n_state; i++) {
        tensor_release(&carried->owned[i]);
        carried->owned[i] = carried->results[first + i];
        carried->results[first + i] = (Tensor){0};
        carried->state[i] = &carried->owned[i];
    }
    for (int i = 0; i < carried->n_stacks && status == NULL; i++)
        status = stack_push(ctx, &carried->stacks[i], &carried->results[first + carried->n_state + i]);
    return status;
}

Tensor inner_view(const Tensor *tensor)
{
    Tensor view = *tensor;

    view.owned = false;
    return view;
}
