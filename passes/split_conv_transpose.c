/* split_conv_transpose.c - on request: a ConvTranspose whose windows do not overlap becomes Conv 1x1 and DepthToSpace.
 *
 *     x: NxCxHxW -> ConvTranspose s x s, stride s -> NxMxsHxsW
 *         ->
 *     x -> Conv 1x1, M s s channels -> DepthToSpace s, CRD -> NxMxsHxsW
 *
 *     W'[m s s + i s + j, c] = W[c, m, i, j]       b'[m s s + i s + j] = b[m]
 *
 * Two nodes for one, but both run in integers where ConvTranspose does not.
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

#include <string.h>

static bool all_equal(const Node *node, const char *name, int64_t value, int64_t otherwise)
{
    int64_t n;
    const int64_t *list = node_ints(node, name, &n);
    for (int64_t i = 0; i < n; i++)
        if (list[i] != value)
            return false;
    return n > 0 || otherwise == value;
}

static bool is_plain(const Node *node)
{
    const Tensor *weight = pass_constant(node, 1), *bias = pass_constant(node, 2);
    const char *pad = node_string(node, "auto_pad", "NOTSET");
    return weight != NULL && weight->dtype == DT_FLOAT && weight->rank == 4 && weight->count > 0 &&
           weight->dims[2] == weight->dims[3] && weight->dims[2] > 1 && node_int(node, "group", 1) == 1 &&
           all_equal(node, "strides", weight->dims[2], 1) && all_equal(node, "dilations", 1, 1) &&
           all_equal(node, "pads", 0, 0) && all_equal(node, "output_padding", 0, 0) && node_attr(node, "output_shape") == NULL &&
           (strcmp(pad, "NOTSET") == 0 || strcmp(pad, "VALID") == 0) &&
           (node_in(node, 2) == NULL || (bias != NULL && bias->dtype == DT_FLOAT && bias->count == weight->dims[1]));
}

/* W (C, M, s, s) to (M s s, C, 1, 1) */
static Status move_weight(Model *model, const Tensor *from, Tensor **ret)
{
    int64_t channels = from->dims[0], columns = from->count / channels;
    TRY(tensor_new(model->arena, DT_FLOAT, 4, (int64_t[]){columns, channels, 1, 1}, ret));
    for (int64_t i = 0; i < columns; i++)
        for (int64_t c = 0; c < channels; c++)
            ((float *)(*ret)->data)[i * channels + c] = ((const float *)from->data)[c * columns + i];
    return NULL;
}

static Status repeat_bias(Model *model, const Tensor *from, int64_t columns, Tensor **ret)
{
    int64_t times = columns / from->count;
    TRY(tensor_new(model->arena, DT_FLOAT, 1, &columns, ret));
    for (int64_t i = 0; i < columns; i++)
        ((float *)(*ret)->data)[i] = ((const float *)from->data)[i / times];
    return NULL;
}

static Status visit(PassContext *context, Node *node)
{
    Model *model = context->model;
    Tensor *weight, *bias;
    if (!node_is(node, "ConvTranspose") || node->out[0] == NULL || !is_plain(node))
        return NULL;
    int64_t size = pass_constant(node, 1)->dims[2];
    TRY(move_weight(model, pass_constant(node, 1), &weight));
    Value *in[3] = {node->in[0], graph_add_constant(node->graph, model_fresh_name(model, node->in[1]->name), weight), NULL};
    if (node_in(node, 2) != NULL) {
        TRY(repeat_bias(model, pass_constant(node, 2), weight->dims[0], &bias));
        in[2] = graph_add_constant(node->graph, model_fresh_name(model, node->in[2]->name), bias);
    }
    Node *conv = pass_add_node(node->graph, node, "Conv", node->name, in[2] != NULL ? 3 : 2, in);
    TRY(ops_infer_node(conv));
    Node *spread = pass_add_node(node->graph, node, "DepthToSpace", node->name, 1, conv->out);
    node_set_int(spread, "blocksize", size);
    node_set_string(spread, "mode", "CRD");
    TRY(ops_infer_node(spread));
    ++*context->changes;
    return pass_replace_node(node, spread->out[0]);
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_split_conv_transpose = {
    .name = "split_conv_transpose",
    .stage = PASS_SIMPLIFY,
    .on_request = true,
    .ops = "ConvTranspose",
    .summary = "ConvTranspose with a stride of its kernel becomes Conv 1x1 and DepthToSpace",
    .run = run,
};
