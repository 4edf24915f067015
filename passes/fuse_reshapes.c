/* fuse_reshapes.c - of two nodes in a row that only change the shape, the second reads from before the first.
 *
 *     x -> Reshape -> Reshape s -> y           ->      x -> Reshape s -> y
 *     x -> Unsqueeze -> Squeeze -> y           ->      x -> Reshape [shape of y] -> y
 *
 * Where the last shape is that of x, eliminate_noop takes the Reshape away.
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

#include <string.h>

static const char *const shapers[] = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", NULL};

static bool is_shaper(const Node *node)
{
    if (node == NULL || node->def == NULL || node->domain[0] != '\0' || node_in(node, 0) == NULL)
        return false;
    for (const char *const *name = shapers; *name != NULL; name++)
        if (strcmp(node->op_type, *name) == 0)
            return true;
    return false;
}

/* The target of this Reshape means the same whatever shape its input has: it copies no size. */
static bool target_stands_alone(const Node *node)
{
    if (!node_is(node, "Reshape"))
        return false;
    const Tensor *target = pass_constant(node, 1);
    if (target == NULL)
        return false;
    for (int64_t i = 0; i < target->count; i++)
        if (tensor_get_int(target, i) == 0)
            return false;
    return true;
}

/* The shape of the output as a target of a Reshape of what has the shape `in`: 0 for an open size that stands there too, -1 for
 * at most one other. */
static bool target_of_output(const Value *out, const Shape *in, int64_t *ret_n, int64_t *ret)
{
    int unknown = 0;
    const Shape *shape = &out->type.shape;
    if (out->type.kind != TYPE_TENSOR || shape->rank < 0)
        return false;
    for (int i = 0; i < shape->rank; i++) {
        Dim dim = shape->dims[i];
        bool copied = !dim_is_known(dim) && i < in->rank && dim_equal(dim, in->dims[i]);
        if (dim.size == 0)
            return false;
        ret[i] = copied ? 0 : dim.size;
        unknown += ret[i] < 0;
    }
    *ret_n = shape->rank;
    return unknown <= 1;
}

static void make_reshape(Model *model, Node *node, const int64_t *target, int64_t n)
{
    Tensor *tensor = tensor_new_ints(model->arena, 1, &n, target);
    Value *constant = graph_add_constant(node->graph, model_fresh_name(model, "shape"), tensor);
    while (node->n_attrs > 0)
        node_remove_attr(node, node->attrs[0].name);
    node->op_type = "Reshape";
    node_trim_inputs(node, 1);
    node_set_input(node, 1, constant);
    ops_bind_node(node);
}

static Status visit(PassContext *context, Node *node)
{
    int64_t target[TENSOR_MAX_RANK], n;
    if (!is_shaper(node) || node->out[0] == NULL || !is_shaper(node->in[0]->producer))
        return NULL;
    Node *before = node->in[0]->producer;
    if (!target_stands_alone(node)) {
        Shape in = infer_shape(before, 0);
        if (!target_of_output(node->out[0], &in, &n, target))
            return NULL;
        make_reshape(context->model, node, target, n);
    }
    node_set_input(node, 0, before->in[0]);
    pass_remove_dead(before);
    ++*context->changes;
    return NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fuse_reshapes = {
    .name = "fuse_reshapes",
    .stage = PASS_SIMPLIFY,
    .summary = "of two changes of shape in a row only the last stays",
    .run = run,
};
