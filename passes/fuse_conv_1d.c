/* fuse_conv_1d.c - a convolution over one axis that is written with two becomes one over one.
 *
 *     x: NxCxL -> Unsqueeze -> NxCx1xL -> Conv 1 x k -> NxMx1xL' -> Squeeze -> y: NxMxL'      ->      x -> Conv k -> y
 *
 * Either axis of space may be the one of size 1, and a Reshape may stand for Unsqueeze and Squeeze. The weight is the same
 * bytes under a shorter shape.
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

#include <string.h>

/* The axis of size 1 that tells the longer shape (rank 4) from the shorter (rank 3), 2 or 3; -1 when that is not sure. */
static int extra_axis(const Node *node, const Shape *shorter, const Shape *longer)
{
    bool plain = node_is(node, "Unsqueeze") || node_is(node, "Squeeze");
    const Tensor *axes = pass_constant(node, 1);
    if (shorter->rank != 3 || longer->rank != 4)
        return -1;
    if (plain) {
        int64_t axis = axes == NULL || axes->count != 1 ? 0 : tensor_get_int(axes, 0);
        axis += axis < 0 ? 4 : 0;
        return axis == 2 || axis == 3 ? (int)axis : -1;
    }
    if (!node_is(node, "Reshape") || !dim_equal(shorter->dims[0], longer->dims[0]) ||
        !dim_equal(shorter->dims[1], longer->dims[1]))
        return -1;
    for (int axis = 3; axis >= 2; axis--)
        if (longer->dims[axis].size == 1 && dim_equal(longer->dims[5 - axis], shorter->dims[2]))
            return axis;
    return -1;
}

/* The convolution does nothing along the axis but stand there. */
static bool is_idle(const Node *conv, const Tensor *weight, int axis)
{
    int64_t n;
    const int64_t *pads = node_ints(conv, "pads", &n);
    return weight->rank == 4 && weight->dims[axis] == 1 && (n == 0 || (n == 4 && pads[axis - 2] == 0 && pads[axis] == 0));
}

/* Element `axis` of a list of two. */
static void shorten(Node *node, const char *name, int axis)
{
    int64_t n;
    const int64_t *list = node_ints(node, name, &n);
    if (n == 2)
        node_set_ints(node, name, &(int64_t){list[axis]}, 1);
}

static Tensor *drop_axis(Model *model, const Tensor *from, int axis)
{
    Tensor *to = arena_alloc(model->arena, sizeof(*to));
    *to = *from;
    to->owned = false;
    to->rank = 3;
    to->dims[2] = from->dims[5 - axis];
    to->dims[3] = 0;
    return to;
}

/* node takes the size of 1 away again. */
static Status visit(PassContext *context, Node *node)
{
    Node *conv = node_in(node, 0) == NULL ? NULL : node->in[0]->producer;
    if (conv == NULL || !node_is(conv, "Conv") || node->out[0] == NULL || value_only_user(node->in[0]) != node ||
        conv->graph != node->graph || conv->in[0] == NULL || conv->in[0]->producer == NULL)
        return NULL;
    const Node *before = conv->in[0]->producer;
    const Tensor *weight = pass_constant(conv, 1);
    if (before->n_in < 1 || before->in[0] == NULL || node->out[0]->type.kind != TYPE_TENSOR || weight == NULL)
        return NULL;
    Shape shorter = infer_shape(before, 0), longer = infer_shape(conv, 0), wide = infer_shape(node, 0);
    int axis = extra_axis(before, &shorter, &longer);
    if (axis < 0 || extra_axis(node, &node->out[0]->type.shape, &wide) != axis || !is_idle(conv, weight, axis))
        return NULL;
    Value *in[3] = {before->in[0], graph_add_constant(node->graph, model_fresh_name(context->model, conv->in[1]->name),
                                                      drop_axis(context->model, weight, axis)), node_in(conv, 2)};
    Node *made = pass_add_node(node->graph, node, "Conv", conv->name, in[2] != NULL ? 3 : 2, in);
    int64_t n, kept = 3 - axis;
    const int64_t *pads = node_ints(conv, "pads", &n);
    for (int i = 0; i < conv->n_attrs; i++)
        *node_add_attr(made, conv->attrs[i].name, conv->attrs[i].kind) = conv->attrs[i];
    shorten(made, "kernel_shape", (int)kept);
    shorten(made, "strides", (int)kept);
    shorten(made, "dilations", (int)kept);
    if (n == 4)
        node_set_ints(made, "pads", (int64_t[]){pads[kept], pads[kept + 2]}, 2);
    TRY(ops_infer_node(made));
    ++*context->changes;
    return pass_replace_node(node, made->out[0]);
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fuse_conv_1d = {
    .name = "fuse_conv_1d",
    .stage = PASS_SIMPLIFY,
    .ops = "Squeeze Unsqueeze Reshape",
    .summary = "a convolution over one axis written with two, between Unsqueeze and Squeeze, becomes one over one",
    .run = run,
};
