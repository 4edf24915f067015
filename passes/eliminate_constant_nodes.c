/* eliminate_constant_nodes.c - Constant nodes become initializers.
 *
 *     Constant {value = [1, 2]} -> y      ->      initializer y = [1, 2]
 *
 * Also the short forms value_float(s) and value_int(s) of opset 12. Strings and sparse tensors stay nodes.
 */
#include "passes/pass.h"

/* The tensor a Constant node gives, NULL for the kinds that stay. */
static Tensor *constant_of(const Node *node)
{
    Arena *arena = node->graph->model->arena;
    for (int i = 0; i < node->n_attrs; i++) {
        const Attr *attr = &node->attrs[i];
        switch (attr->kind) {
        case ATTR_TENSOR:
            return attr->t;
        case ATTR_FLOAT:
            return tensor_new_floats(arena, 0, NULL, &attr->f);
        case ATTR_INT:
            return tensor_new_ints(arena, 0, NULL, &attr->i);
        case ATTR_FLOATS:
            return tensor_new_floats(arena, 1, &attr->n, attr->floats);
        case ATTR_INTS:
            return tensor_new_ints(arena, 1, &attr->n, attr->ints);
        default:
            break;
        }
    }
    return NULL;
}

static Status visit(PassContext *context, Node *node)
{
    if (!node_is(node, "Constant") || node->n_out != 1 || node->out[0] == NULL || node->out[0]->n_outputs > 0)
        return NULL;
    Tensor *tensor = constant_of(node);
    if (tensor == NULL)
        return NULL;
    TRY(pass_make_constant(node, 0, tensor));
    node_remove(node);
    ++*context->changes;
    return NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_eliminate_constant_nodes = {
    .name = "eliminate_constant_nodes",
    .stage = PASS_RAISE,
    .summary = "Constant nodes become initializers",
    .run = run,
};
