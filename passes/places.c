/* places.c - see places.h. */
#include "passes/places.h"

#include "src/ops/ops.h"

Status places_transpose(Node *before, Value *x, int n, const int64_t *perm, Value **ret)
{
    Node *node = pass_add_node(before->graph, before, "Transpose", "", 1, &x);
    node_set_ints(node, "perm", perm, n);
    *ret = node->out[0];
    return ops_infer_node(node);
}

Status places_reshape(Node *before, Value *x, Value *shape, Value **ret)
{
    Node *node = pass_add_node(before->graph, before, "Reshape", "", 2, (Value *[]){x, shape});
    *ret = node->out[0];
    return ops_infer_node(node);
}

Status places_shape(Node *before, Value *x, const int64_t strides[2], int64_t channels, Value **ret)
{
    Graph *graph = before->graph;
    int64_t sizes[4] = {0, -1, -1, channels}, one = 1, three = 3;
    for (int i = 0; i < 2; i++)
        if (dim_is_known(x->type.shape.dims[1 + i]) &&
            __builtin_mul_overflow(x->type.shape.dims[1 + i].size, strides[i], &sizes[1 + i]))
            sizes[1 + i] = -1;
    if (sizes[1] >= 0 || sizes[2] >= 0) {
        *ret = graph_add_ints(graph, "places", 4, sizes);
        return NULL;
    }
    Node *shape = pass_add_node(graph, before, "Shape", "", 1, &x);
    TRY(ops_infer_node(shape));
    Node *inner = pass_add_node(graph, before, "Slice", "", 3, (Value *[]){shape->out[0], graph_add_ints(graph, "from", 1, &one),
                                                                           graph_add_ints(graph, "to", 1, &three)});
    TRY(ops_infer_node(inner));
    Node *product = pass_add_node(graph, before, "Mul", "", 2,
                                  (Value *[]){inner->out[0], graph_add_ints(graph, "strides", 2, strides)});
    TRY(ops_infer_node(product));
    Node *all = pass_add_node(graph, before, "Concat", "", 3, (Value *[]){graph_add_ints(graph, "batch", 1, &sizes[0]),
                                                                          product->out[0],
                                                                          graph_add_ints(graph, "channels", 1, &sizes[3])});
    node_set_int(all, "axis", 0);
    *ret = all->out[0];
    return ops_infer_node(all);
}
