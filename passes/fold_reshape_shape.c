/* fold_reshape_shape.c - the computed target of a Reshape becomes a constant where its unknown parts need no computing.
 *
 *     Reshape(x: Nx8x4x4, [N, 128])      ->      Reshape(x, [0, 128])       N is the size x has there
 *     Reshape(x, [?, 10])                ->      Reshape(x, [-1, 10])       only one size can fit
 *
 * The Shape-Gather-Concat chain that computed the target dies with its last reader.
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

/* The target with 0 for sizes copied from the input and -1 for at most one other; false when more than one is
 * unknown. */
static bool solve_target(const Shape *in, const Dim *target, int n, int64_t *ret)
{
    int wild = -1;
    for (int i = 0; i < n; i++) {
        if (target[i].size > 0) {
            ret[i] = target[i].size;
        } else if (target[i].size == 0 && in->rank > i) {
            ret[i] = 0;
        } else if (target[i].size != -1) {
            return false;
        } else if (in->rank > i && target[i].name != NULL && dim_equal(target[i], in->dims[i])) {
            ret[i] = 0;
        } else if (wild < 0) {
            wild = i;
            ret[i] = -1;
        } else {
            return false;
        }
    }
    return true;
}

static Status visit(PassContext *context, Node *node)
{
    if (!node_is(node, "Reshape") || node->n_in != 2 || node->in[1] == NULL || pass_value_is_constant(node->in[1]) ||
        node_int(node, "allowzero", 0) != 0)
        return NULL;
    Dim target[TENSOR_MAX_RANK];
    int64_t solved[TENSOR_MAX_RANK];
    Shape in = infer_shape(node, 0);
    int n = infer_content(node, 1, target, TENSOR_MAX_RANK);
    if (n < 0 || !solve_target(&in, target, n, solved))
        return NULL;
    Model *model = context->model;
    int64_t rank = n;
    Node *shaper = node->in[1]->producer;
    Tensor *tensor = tensor_new_ints(model->arena, 1, &rank, solved);
    node_set_input(node, 1, graph_add_constant(node->graph, model_fresh_name(model, node->in[1]->name), tensor));
    if (shaper != NULL)
        pass_remove_dead(shaper);
    ++*context->changes;
    return NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fold_reshape_shape = {
    .name = "fold_reshape_shape",
    .stage = PASS_SIMPLIFY,
    .ops = "Reshape",
    .summary = "computed targets of Reshape become constants with 0 and -1",
    .run = run,
};
