/* half.c - a float model with its inner values as 16-bit floats, as converters write them: what goes in and comes out stays float.
 *
 *     x: float ─ Cast ─ Conv (w: float16) ─ Cast ─ y: float
 */
#include "tests/oracle/half.h"

#include "src/onnx/onnx.h"
#include "src/ops/ops.h"

static Status narrow(Model *model, const Tensor *from, Tensor **ret)
{
    TRY(tensor_new(model->arena, DT_FLOAT16, from->rank, from->dims, ret));
    for (int64_t i = 0; i < from->count; i++)
        tensor_set(*ret, i, tensor_get(from, i));
    return NULL;
}

static Status narrow_constants(Graph *graph)
{
    Tensor *tensor = NULL;
    for (int i = 0; i < graph->n_initializers; i++) {
        Value *value = graph->initializers[i];
        if (value->constant->dtype != DT_FLOAT)
            continue;
        TRY(narrow(graph->model, value->constant, &tensor));
        value_set_constant(value, tensor);
    }
    for (Node *node = graph->first; node != NULL; node = node->next) {
        const Attr *value = node_attr(node, "value");
        if (value != NULL && value->kind == ATTR_TENSOR && value->t->dtype == DT_FLOAT) {
            TRY(narrow(graph->model, value->t, &tensor));
            node_set_tensor(node, "value", tensor);
        }
        for (int i = 0; i < node->n_out; i++)
            if (node->out[i] != NULL && value_is_float(node->out[i]))
                node->out[i]->type.dtype = DT_FLOAT16;
    }
    return NULL;
}

static Node *add_cast(Graph *graph, Node *before, Value *from, DType to)
{
    Node *cast = graph_add_node(graph, before, "Cast", "", "", 1, &from, 1, NULL);
    node_set_int(cast, "to", to);
    cast->out[0]->type = from->type;
    cast->out[0]->type.dtype = to;
    return cast;
}

Status write_half(const char *path, const char *out)
{
    Model *model = NULL;
    TRY(onnx_load(path, &model));
    Graph *graph = model->graph;
    Status status = ops_infer(model);
    if (status == NULL)
        status = narrow_constants(graph);
    for (int i = 0; i < graph->n_inputs && status == NULL; i++) {
        Value *input = graph->inputs[i];
        if (!value_is_float(input))
            continue;
        Node *cast = add_cast(graph, graph->first, input, DT_FLOAT16);
        value_replace_node_uses(input, cast->out[0]);
        node_set_input(cast, 0, input);
    }
    for (int i = 0; i < graph->n_outputs && status == NULL; i++) {
        Value *output = graph->outputs[i];
        if (output->type.dtype != DT_FLOAT16)
            continue;
        Value *floats = add_cast(graph, NULL, output, DT_FLOAT)->out[0];
        value_take_name(floats, output);
        output->type.dtype = DT_FLOAT16;
    }
    if (status == NULL)
        status = onnx_save(model, out, EXTERNAL_AUTO, NULL);
    model_free(model);
    return status;
}
