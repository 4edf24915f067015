/* one_node.h - a model of one node for tests of ops: built from tensors, inferred, evaluated by the fast and the
 * reference implementation. For data too large or too exact to be written as text (mini.h).
 *
 *     OneNode one = one_node("Conv", "", 11, (Tensor[]){x, weight}, 2, 1);
 *     node_set_ints(one.node, "pads", pads, 4);
 *     CHECK_OK(one_node_run(&one, true));   ... one.out[0] ...
 *     one_node_free(&one);
 */
#ifndef QUANTIZE_TESTS_ONE_NODE_H
#define QUANTIZE_TESTS_ONE_NODE_H

#include "src/ops/ops.h"

#define ONE_NODE_MAX 12

typedef struct OneNode {
    Model *model;
    Node *node;
    Tensor in[ONE_NODE_MAX];
    int n_in, n_out;
    Tensor out[3];
} OneNode;

/* Tensors of dtype DT_UNDEFINED are omitted inputs. Data is pointed at. */
static inline OneNode one_node(const char *op_type, const char *domain, int opset, const Tensor *in, int n_in,
                               int n_out)
{
    OneNode one = {.model = model_new(), .n_in = n_in, .n_out = n_out};
    Value *inputs[ONE_NODE_MAX], *outputs[3];

    one.model->graph = one.model->graph != NULL ? one.model->graph : graph_new(one.model, "g", NULL);
    model_set_opset(one.model, "", opset);
    model_set_opset(one.model, DOMAIN_MICROSOFT, 1);
    for (int i = 0; i < n_in; i++) {
        inputs[i] = NULL;
        one.in[i] = in[i];
        if (in[i].dtype == DT_UNDEFINED)
            continue;
        inputs[i] = graph_value(one.model->graph, model_fresh_name(one.model, "x"));
        inputs[i]->type = (Type){TYPE_TENSOR, in[i].dtype, shape_of_tensor(&in[i]), NULL};
        graph_add_input(one.model->graph, inputs[i]);
    }
    for (int i = 0; i < n_out; i++)
        outputs[i] = graph_value(one.model->graph, model_fresh_name(one.model, "y"));
    one.node = graph_add_node(one.model->graph, NULL, op_type, domain, "n", n_in, inputs, n_out, outputs);
    ops_bind_node(one.node);
    return one;
}

/* Infers anew and evaluates; what was inferred must be what comes out. */
MUST_USE static inline Status one_node_run(OneNode *one, bool reference)
{
    const Tensor *in[ONE_NODE_MAX];

    for (int i = 0; i < one->n_out; i++)
        one->node->out[i]->type = (Type){.kind = TYPE_UNKNOWN};
    TRY(ops_infer_node(one->node));
    for (int i = 0; i < one->n_in; i++)
        in[i] = one->in[i].dtype == DT_UNDEFINED ? NULL : &one->in[i];
    for (int i = 0; i < one->n_out; i++)
        tensor_release(&one->out[i]);
    TRY(op_eval_alone(one->node, in, one->n_in, one->out, one->n_out, reference));
    for (int i = 0; i < one->n_out; i++) {
        const Type *type = &one->node->out[i]->type;
        Shape real = shape_of_tensor(&one->out[i]);
        if (type->dtype != one->out[i].dtype || !shape_equal(&type->shape, &real))
            return status_new(CODE_MODEL, "inferred %s %s, got %s %s", dtype_name(type->dtype),
                              shape_text(one->model->arena, &type->shape), dtype_name(one->out[i].dtype),
                              tensor_shape_text(one->model->arena, &one->out[i]));
    }
    return NULL;
}

/* Evaluates without inferring first: what only eval sees. */
MUST_USE static inline Status one_node_eval(OneNode *one)
{
    const Tensor *in[ONE_NODE_MAX];

    for (int i = 0; i < one->n_in; i++)
        in[i] = one->in[i].dtype == DT_UNDEFINED ? NULL : &one->in[i];
    return op_eval_alone(one->node, in, one->n_in, one->out, one->n_out, true);
}

static inline void one_node_free(OneNode *one)
{
    for (int i = 0; i < 3; i++)
        tensor_release(&one->out[i]);
    model_free(one->model);
}

/* A tensor over data of the test. */
static inline Tensor over(DType dtype, int rank, const int64_t *dims, const void *data)
{
    Tensor tensor = {.dtype = DT_UNDEFINED};
    status_free(tensor_view(&tensor, dtype, rank, dims, (void *)(uintptr_t)data));
    return tensor;
}

#define DIMS(...) (const int64_t[]){__VA_ARGS__}
#define OMITTED ((Tensor){.dtype = DT_UNDEFINED})

#endif
