/* restore_half.c - a model of 16-bit floats becomes one of 32 bits: weights, Casts, types. What goes in and comes out of the model
 * keeps its type.
 *
 *     x: float16 ─ Conv (w: float16) ─ y: float16      ->      x ─ Cast float ─ Conv (w: float) ─ Cast float16 ─ y
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

#include <string.h>

static bool is_half(DType dtype)
{
    return dtype == DT_FLOAT16 || dtype == DT_BFLOAT16;
}

static Status widen_tensor(PassContext *context, const Tensor *from, Tensor **ret)
{
    TRY(tensor_new(context->model->arena, DT_FLOAT, from->rank, from->dims, ret));
    for (int64_t i = 0; i < from->count; i++)
        ((float *)(*ret)->data)[i] = (float)tensor_get(from, i);
    ++*context->changes;
    return NULL;
}

static void widen_type(Type *type)
{
    if (type->kind == TYPE_TENSOR && is_half(type->dtype))
        type->dtype = DT_FLOAT;
    for (Type *element = type->element; element != NULL; element = element->element)
        if (element->kind == TYPE_TENSOR && is_half(element->dtype))
            element->dtype = DT_FLOAT;
}

/* Attributes that name a type. */
static bool names_type(const Attr *attr)
{
    static const char *const names[] = {"to", "dtype", "output_dtype", "softmax_precision"};
    bool is_type = false;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        is_type = is_type || strcmp(attr->name, names[i]) == 0;
    return is_type && attr->kind == ATTR_INT && is_half((DType)attr->i);
}

static Status widen_node(PassContext *context, Node *node)
{
    for (int i = 0; i < node->n_attrs; i++) {
        Attr *attr = &node->attrs[i];
        if (names_type(attr)) {
            node_set_int(node, attr->name, DT_FLOAT);
            ++*context->changes;
        } else if (attr->kind == ATTR_TENSOR && is_half(attr->t->dtype)) {
            Tensor *tensor;
            TRY(widen_tensor(context, attr->t, &tensor));
            node_set_tensor(node, attr->name, tensor);
        }
    }
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] != NULL)
            widen_type(&node->out[i]->type);
    return NULL;
}

typedef struct Widening {
    PassContext *context;
    Status status;
} Widening;

static void widen_graph(void *pointer, Graph *graph)
{
    Widening *widening = pointer;
    for (int i = 0; i < graph->n_initializers && widening->status == NULL; i++) {
        Value *value = graph->initializers[i];
        Tensor *tensor;
        if (!is_half(value->constant->dtype))
            continue;
        widening->status = widen_tensor(widening->context, value->constant, &tensor);
        if (widening->status == NULL)
            value_set_constant(value, tensor);
    }
    for (Node *node = graph->first; node != NULL && widening->status == NULL; node = node->next)
        widening->status = widen_node(widening->context, node);
    for (int i = 0; i < graph->n_inputs; i++)
        if (graph->owner != NULL)
            widen_type(&graph->inputs[i]->type);
}

static Status add_cast(Node *before, Graph *graph, Value *from, DType to, Value **ret)
{
    Node *cast = pass_add_node(graph, before, "Cast", "", 1, &from);
    node_set_int(cast, "to", to);
    *ret = cast->out[0];
    return ops_infer_node(cast);
}

static Status cast_inputs(PassContext *context)
{
    Graph *graph = context->model->graph;
    for (int i = 0; i < graph->n_inputs; i++) {
        Value *input = graph->inputs[i], *cast;
        if (input->type.kind != TYPE_TENSOR || !is_half(input->type.dtype) || input->n_uses == 0)
            continue;
        TRY(add_cast(graph->first, graph, input, DT_FLOAT, &cast));
        Node *node = cast->producer;
        value_replace_node_uses(input, cast);
        node_set_input(node, 0, input);
        ++*context->changes;
    }
    return NULL;
}

/* The node gives a value of its own, and a Cast behind it the output. */
static Status cast_outputs(PassContext *context, const DType *types)
{
    Graph *graph = context->model->graph;
    for (int i = 0; i < graph->n_outputs; i++) {
        Value *output = graph->outputs[i], *cast;
        if (!is_half(types[i]) || output->producer == NULL || output->type.dtype != DT_FLOAT)
            continue;
        TRY(add_cast(NULL, graph, output, types[i], &cast));
        value_take_name(cast, output);
        cast->type.dtype = types[i];
        output->type.dtype = DT_FLOAT;
        ++*context->changes;
    }
    return NULL;
}

static Status run(PassContext *context)
{
    Graph *graph = context->model->graph;
    Widening widening = {.context = context};
    DType *types = arena_array(context->scratch, (size_t)MAX(graph->n_outputs, 1), sizeof types[0]);
    for (int i = 0; i < graph->n_outputs; i++)
        types[i] = graph->outputs[i]->type.kind == TYPE_TENSOR ? graph->outputs[i]->type.dtype : DT_UNDEFINED;
    graph_each(graph, widen_graph, &widening);
    TRY(widening.status);
    TRY(cast_inputs(context));
    TRY(cast_outputs(context, types));
    return *context->changes == 0 ? NULL : ops_infer(context->model);
}

const Pass pass_restore_half = {
    .name = "restore_half",
    .stage = PASS_RESTORE,
    .summary = "--requantize: 16-bit floats become floats of 32 bits",
    .run = run,
};
