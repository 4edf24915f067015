/* quantize_activations.c - puts a Q/DQ pair behind every value that is quantized.
 *
 *     Conv ─ v ─┬─ Conv          Conv ─ v' ─ Q ─ DQ ─ v ─┬─ Conv
 *               └─ (output v)  ==>                       └─ (output v)
 *
 *     Sigmoid ─ v ─┬─ Conv       Sigmoid ─ v ─┬─ Q ─ DQ ─ Conv         a float producer keeps its float readers exact
 *                  └─ Exp    ==>              └─ Exp
 *
 *     Sigmoid 2x ─ Q, DQ (1/128, 128)      ==>    Sigmoid ─ Q (1/256, 0) ─ DQ (1/128, 128) ─     a Tanh, see quantize_gates.c
 *
 *     x_q ─ DQ (s) ─ Mul 0.125 ─ v          ==>    x_q ─ DQ (0.125 s) ─ v               the same integers: no op is left
 *
 * One Q and one DQ a value; values of one scale (in and out of MaxPool, Reshape ...) share their scale initializers.
 */
#include "passes/pass.h"
#include "passes/quantize.h"
#include "src/ops/ops.h"

/* Scale and zero point as initializers, made once for all values that share them. */
static Status get_parameters(PassContext *context, const Value *value, const ValueDecision *decision, Value *ret[2])
{
    ValueDecision *owner = &context->plan->values[decision->scale_of];
    if (owner->scale == NULL) {
        Model *model = context->model;
        Tensor *zero = NULL;
        TRY(tensor_new(model->arena, decision->params.dtype, 0, NULL, &zero));
        tensor_set(zero, 0, decision->params.zero_point);
        Tensor *scale = tensor_new_floats(model->arena, 0, NULL, &decision->params.scale);
        const char *name = model_fresh_name(model, arena_printf(model->arena, "%s_scale", value->name));
        owner->scale = graph_add_constant(model->graph, name, scale);
        name = model_fresh_name(model, arena_printf(model->arena, "%s_zero_point", value->name));
        owner->zero_point = graph_add_constant(model->graph, name, zero);
    }
    ret[0] = owner->scale;
    ret[1] = owner->zero_point;
    return NULL;
}

/* What Q writes with, where that is not what the DQ reads with. */
static void get_written(const PassContext *context, const Value *value, Value *written[2])
{
    const Node *producer = value->producer;
    if (producer == NULL || producer->id >= context->plan->n_nodes || !(context->plan->nodes[producer->id].written.scale > 0.0f))
        return;
    Graph *graph = context->model->graph;
    const QParams *params = &context->plan->nodes[producer->id].written;
    written[0] = graph_add_float(graph, "written_scale", params->scale);
    written[1] = graph_add_scalar(graph, "written_zero_point", params->dtype, params->zero_point);
}

static Status add_pair(PassContext *context, Value *value, Node *before, Value *const parameters[2], Value *const written[2],
                       Value **ret)
{
    Model *model = context->model;
    Graph *graph = model->graph;
    const char *base = value->name;
    Value *quantized = graph_value(graph, model_fresh_name(model, arena_printf(model->arena, "%s_quantized", base)));
    Value *real = graph_value(graph, model_fresh_name(model, arena_printf(model->arena, "%s_dequantized", base)));
    Value *in[3] = {value, written[0], written[1]};
    /* nodes are named after their outputs, which are unique: ONNX Runtime refuses two nodes of one name */
    TRY(ops_add_node(graph, before, "QuantizeLinear", "", quantized->name, 3, in, quantized, NULL));
    Value *out[3] = {quantized, parameters[0], parameters[1]};
    *ret = real;
    return ops_add_node(graph, before, "DequantizeLinear", "", real->name, 3, out, real, NULL);
}

/* A DQ that reads the integers of `real` with another scale, for a node that multiplies by a constant first. */
static Status read_rescaled(PassContext *context, Node *node, int input, const Value *real, float factor)
{
    Model *model = context->model;
    const Node *dequantize = real->producer;
    float scale = ((const float *)dequantize->in[1]->constant->data)[0] * factor;
    Value *rescaled = graph_value(node->graph, model_fresh_name(model, arena_printf(model->arena, "%s_rescaled", real->name)));
    Value *in[3] = {dequantize->in[0], graph_add_float(node->graph, "rescaled_scale", scale), dequantize->in[2]};
    TRY(ops_add_node(node->graph, node, "DequantizeLinear", "", rescaled->name, 3, in, rescaled, NULL));
    node_set_input(node, input, rescaled);
    return NULL;
}

/* Readers that take the dequantized value: integer nodes always, float nodes only when there is no exact one. What asks for the
 * shape alone reads the integers then: nobody need dequantize for it. */
static Status redirect_uses(PassContext *context, Value *value, Value *real, const Node *quantize, bool all)
{
    for (size_t i = value->n_uses; i-- > 0;) {
        Use use = value->uses[i];
        NodeFate fate = quant_fate(context->plan, use.node);
        float factor = fate == FATE_INTEGER ? context->plan->nodes[use.node->id].rescale : 0.0f;
        if (use.node == quantize || (!all && fate != FATE_INTEGER))
            continue;
        if (all && (node_is(use.node, "Shape") || node_is(use.node, "Size")) && use.node->domain[0] == '\0')
            node_set_input(use.node, use.input, real->producer->in[0]);
        else if (factor != 0.0f)
            TRY(read_rescaled(context, use.node, use.input, real, factor));
        else
            node_set_input(use.node, use.input, real);
    }
    return NULL;
}

/* The integers in front of a Mul by a number, read with the scale behind it. */
static Status reread(PassContext *context, Value *value, Value *const parameters[2], Value **ret)
{
    float unused;
    Node *mul = value->producer;
    const Node *dequantize = mul->in[quant_scaled_operand(mul, &unused)]->producer;
    const char *name = arena_printf(context->model->arena, "%s_dequantized", value->name);
    Value *real = graph_value(mul->graph, model_fresh_name(context->model, name));
    Value *in[3] = {dequantize->in[0], parameters[0], parameters[1]};
    *ret = real;
    return ops_add_node(mul->graph, mul->next, "DequantizeLinear", "", real->name, 3, in, real, NULL);
}

static bool rereads(const PassContext *context, const Value *value)
{
    const Node *producer = value->producer;
    return producer != NULL && producer->id < context->plan->n_nodes && context->plan->nodes[producer->id].rereads;
}

static Status quantize_value(PassContext *context, Value *value)
{
    ValueDecision *decision = quant_value_decision(context->plan, value);
    if (decision == NULL || !decision->quantized)
        return NULL;
    bool by_integer = decision->by_integer;
    Value *parameters[2], *real = NULL;
    TRY(get_parameters(context, value, decision, parameters));
    if (rereads(context, value)) {
        TRY(reread(context, value, parameters, &real));
        TRY(redirect_uses(context, value, real, real->producer, by_integer));
    } else {
        Node *before = value->producer == NULL ? context->model->graph->first : value->producer->next;
        Value *written[2] = {parameters[0], parameters[1]};
        get_written(context, value, written);
        TRY(add_pair(context, value, before, parameters, written, &real));
        TRY(redirect_uses(context, value, real, real->producer->prev, by_integer));
    }
    if (by_integer && value->n_outputs > 0)
        value_take_name(real, value);
    if (real->n_uses == 0 && real->n_outputs == 0) /* every reader wanted another scale */
        node_remove(real->producer);
    ++*context->changes;
    return NULL;
}

/* Its readers have been given what they read; a Mul by a number that is one of scales goes. */
static void drop_scale(PassContext *context, Node *node)
{
    if (node->id >= context->plan->n_nodes || !context->plan->nodes[node->id].rereads)
        return;
    context->plan->nodes[node->id].fate = FATE_ABSORBED;
    pass_remove_dead(node);
}

static Status run(PassContext *context)
{
    Graph *graph = context->model->graph;
    for (int i = 0; i < graph->n_inputs; i++)
        TRY(quantize_value(context, graph->inputs[i]));
    for (Node *node = graph->first, *next; node != NULL; node = next) {
        next = node->next;
        for (int i = 0; i < node->n_out; i++)
            if (node->out[i] != NULL)
                TRY(quantize_value(context, node->out[i]));
        drop_scale(context, node);
    }
    return NULL;
}

const Pass pass_quantize_activations = {
    .name = "quantize_activations",
    .stage = PASS_QUANTIZE,
    .summary = "puts a QuantizeLinear/DequantizeLinear pair behind every quantized value",
    .run = run,
};
