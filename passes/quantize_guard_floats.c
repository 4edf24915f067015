/* quantize_guard_floats.c - what was left float stays float in ONNX Runtime.
 *
 *     DQ ─ Conv w (float) ─ Relu ─ Q            the runtime makes 8 bits of w, with one scale, and runs QLinearConv
 * ==>
 *     DQ per channel ─ Conv w (float) ─ Relu ─ Q      runs as it stands: the scale of the DQ is no scalar
 *
 * Since 1.20 it takes a Conv, ConvTranspose or Gemm of constant weight and bias between a DequantizeLinear with one scale and
 * a QuantizeLinear (over Relu and Clip) for an oversight of who made the model (its weight_bias_quantization.cc). A depthwise
 * convolution that was left float because it wrecks the model in integers was so wrecked after all: scrfd_500m with its
 * Conv_2 float fell from 18.8 to 11.8 dB. A MatMul and the Add behind it are a Gemm by then.
 */
#include "passes/pass.h"
#include "passes/quantize.h"
#include "src/ops/ops.h"

static bool is_float_constant(const Node *node, int i)
{
    const Tensor *constant = pass_constant(node, i);
    return constant != NULL && constant->dtype == DT_FLOAT;
}

/* Does the one path from the node's output lead to a Q, past nothing but Relu, Clip and the bias of a MatMul? */
static bool leads_to_quantizer(const Node *node)
{
    const Node *at = value_only_user(node->out[0]);
    if (at != NULL && node_is(node, "MatMul") && node_is(at, "Add"))
        at = value_only_user(at->out[0]);
    while (at != NULL && (node_is(at, "Relu") || node_is(at, "Clip")))
        at = value_only_user(at->out[0]);
    return at != NULL && node_is(at, "QuantizeLinear");
}

static bool looks_forgotten(const Node *node)
{
    if (!node_is(node, "Conv") && !node_is(node, "ConvTranspose") && !node_is(node, "Gemm") && !node_is(node, "MatMul"))
        return false;
    const Node *dq = node_in(node, 0) != NULL ? node->in[0]->producer : NULL;
    return dq != NULL && node_is(dq, "DequantizeLinear") && infer_shape(dq, 1).rank == 0 && is_float_constant(node, 1) &&
           (node_in(node, 2) == NULL || is_float_constant(node, 2)) && leads_to_quantizer(node);
}

/* The last axis of a known size above 1, the channels first; -1: there is none. */
static int axis_of(const Shape *shape)
{
    if (shape->rank > 1 && shape->dims[1].size > 1)
        return 1;
    for (int i = shape->rank; i-- > 0;)
        if (shape->dims[i].size > 1)
            return i;
    return -1;
}

/* n copies of a constant's one element. */
static Status repeat(Node *node, const Value *from, int64_t n, Value **ret)
{
    Model *model = node->graph->model;
    Tensor *tensor = NULL;
    TRY(tensor_new(model->arena, from->constant->dtype, 1, &n, &tensor));
    for (int64_t i = 0; i < n; i++)
        tensor_set(tensor, i, tensor_get(from->constant, 0));
    *ret = graph_add_constant(node->graph, model_fresh_name(model, from->name), tensor);
    return NULL;
}

static Status visit(PassContext *context, Node *node)
{
    if (!looks_forgotten(node))
        return NULL;
    const Node *dq = node->in[0]->producer;
    const Shape *shape = &node->in[0]->type.shape;
    int axis = axis_of(shape);
    if (axis < 0 || pass_constant(dq, 1) == NULL || (node_in(dq, 2) != NULL && pass_constant(dq, 2) == NULL))
        return NULL;
    Value *in[3] = {dq->in[0]};
    TRY(repeat(node, dq->in[1], shape->dims[axis].size, &in[1]));
    if (node_in(dq, 2) != NULL)
        TRY(repeat(node, dq->in[2], shape->dims[axis].size, &in[2]));
    Value *before = node->in[0];
    Model *model = node->graph->model;
    Value *real = graph_value(node->graph, model_fresh_name(model, arena_printf(model->arena, "%s_guarded", before->name)));
    Node *made = NULL;
    TRY(ops_add_node(node->graph, node, "DequantizeLinear", "", real->name, in[2] != NULL ? 3 : 2, in, real, &made));
    node_set_int(made, "axis", axis);
    TRY(ops_infer_node(made));
    node_set_input(node, 0, real);
    if (before->n_uses == 0 && before->n_outputs == 0)
        node_remove(before->producer);
    ++*context->changes;
    return NULL;
}

static Status run(PassContext *context)
{
    return context->target->quantizes_weights ? pass_each_outer(context, visit) : NULL;
}

const Pass pass_quantize_guard_floats = {
    .name = "quantize_guard_floats",
    .stage = PASS_QUANTIZE,
    .summary = "hides what is left float between 8-bit values from the runtime, which would quantize it, by a DequantizeLinear per "
               "channel",
    .run = run,
};
