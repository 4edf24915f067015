/* raise_inputs.c - attributes that a newer version of the op takes as inputs.
 *
 *     Slice {starts = [0], ends = [4], axes = [1]} (x)      ->      Slice (x, [0], [4], [1])
 */
#include "passes/pass.h"
#include "passes/raise.h"

#include "src/ops/ops.h"

static Model *model_of(const Node *node)
{
    return node->graph->model;
}

static Value *add_ints(const Node *node, const char *base, int rank, const int64_t *values, int64_t n)
{
    Tensor *tensor = tensor_new_ints(model_of(node)->arena, rank, &n, values);
    return graph_add_constant(node->graph, model_fresh_name(model_of(node), base), tensor);
}

/* A list attribute becomes input i; those before it that are missing are omitted. */
static void move_ints(Node *node, const char *name, int i)
{
    int64_t n;
    const int64_t *values = node_ints(node, name, &n);
    if (values == NULL && node_attr(node, name) == NULL)
        return;
    while (node->n_in < i)
        node_set_input(node, node->n_in, NULL);
    node_set_input(node, i, add_ints(node, name, 1, values, n));
    node_remove_attr(node, name);
}

/* A float attribute becomes scalar input i of the data's type. */
static Status move_float(Node *node, const char *name, int i)
{
    const Attr *attr = node_attr(node, name);
    DType dtype = infer_dtype(node, 0);
    if (attr == NULL)
        return NULL;
    if (dtype == DT_UNDEFINED)
        dtype = DT_FLOAT;
    Tensor *tensor;
    TRY(tensor_new(model_of(node)->arena, dtype, 0, NULL, &tensor));
    tensor_set(tensor, 0, (double)node_float(node, name, 0.0f));
    while (node->n_in < i)
        node_set_input(node, node->n_in, NULL);
    node_set_input(node, i, graph_add_constant(node->graph, model_fresh_name(model_of(node), name), tensor));
    node_remove_attr(node, name);
    return NULL;
}

/* Squeeze, Unsqueeze, ReduceSum of 13. */
Status raise_axes(Node *node)
{
    move_ints(node, "axes", 1);
    return NULL;
}

Status raise_split(Node *node)
{
    move_ints(node, "split", 1);
    return NULL;
}

Status raise_slice(Node *node)
{
    move_ints(node, "starts", 1);
    move_ints(node, "ends", 2);
    move_ints(node, "axes", 3);
    return NULL;
}

/* The old defaults are the ends of float's range: no bound at all. */
Status raise_clip(Node *node)
{
    TRY(move_float(node, "min", 1));
    return move_float(node, "max", 2);
}

Status raise_pad(Node *node)
{
    move_ints(node, "pads", 1);
    return move_float(node, "value", 2);
}

Status raise_top_k(Node *node)
{
    int64_t k = node_int(node, "k", 0);
    if (node_attr(node, "k") == NULL)
        return node_error(node, CODE_MODEL, "attribute 'k' is missing");
    node_set_input(node, 1, add_ints(node, "k", 1, &k, 1));
    node_remove_attr(node, "k");
    return NULL;
}

/* Outside training the ratio has no effect. Before opset 10 the mask had the type of the data. */
Status raise_dropout(Node *node)
{
    node_remove_attr(node, "ratio");
    if (node->opset >= 10 || node->n_out < 2 || node->out[1] == NULL ||
        (node->out[1]->n_uses == 0 && node->out[1]->n_outputs == 0)) {
        if (node->opset < 10 && node->n_out > 1 && node->out[1] != NULL)
            node->out[1]->type.dtype = DT_BOOL;
        return NULL;
    }
    return node_error(node, CODE_UNSUPPORTED, "the mask of a Dropout older than opset 10 is read by another node");
}
