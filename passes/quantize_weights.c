/* quantize_weights.c - constants of integer nodes become 8-bit initializers behind a DQ, biases int32.
 *
 *     w (float) ─ Conv        ==>     w_q (int8, per channel) ─ DQ ─ Conv
 *     b (float) ─┘                    b_q (int32, scale x_s * w_s[c]) ─ DQ ─┘
 *
 * The bias must fit its int32 at the scale the runtime expects: |b| / (x_s * w_s) < 2^30 (one bit left for the products). A
 * channel with tiny weights and a large bias gets a wider w_s, which costs it resolution it has no use for.
 */
#include "passes/pass.h"
#include "passes/quantize.h"
#include "src/ops/ops.h"

#include <math.h>
#include <string.h>

static const double bias_limit = 1073741824.0; /* 2^30 */

static Value *add_constant(Graph *graph, const char *base, const char *suffix, Tensor *tensor)
{
    Model *model = graph->model;
    return graph_add_constant(graph, model_fresh_name(model, arena_printf(model->arena, "%s%s", base, suffix)),
                              tensor);
}

/* Input i of the node reads `quantized` through a DQ of its own; the value it read before goes when nobody needs it. axis -1:
 * per tensor. zero may be NULL: int32 has no zero point, and the runtimes take its absence for 0. */
static Status put_behind_dequantize(Node *node, int i, Tensor *quantized, Tensor *scales, Tensor *zero, int axis)
{
    Graph *graph = node->graph;
    Model *model = graph->model;
    Value *before = node->in[i];
    const char *base = before->name;
    Value *in[3] = {add_constant(graph, base, "_quantized", quantized), add_constant(graph, base, "_scale", scales),
                    zero == NULL ? NULL : add_constant(graph, base, "_zero_point", zero)};
    Value *out = graph_value(graph, model_fresh_name(model, arena_printf(model->arena, "%s_dequantized", base)));
    Node *dequantize = NULL; /* named after its output, which is unique: ONNX Runtime refuses two nodes of one name */
    TRY(ops_add_node(graph, node, "DequantizeLinear", "", out->name, zero == NULL ? 2 : 3, in, out, &dequantize));
    if (axis >= 0)
        node_set_int(dequantize, "axis", axis);
    node_set_input(node, i, out);
    if (before->n_uses == 0 && before->n_outputs == 0 && !before->is_input)
        value_remove(before);
    return NULL;
}

/* Least scale of each channel at which its bias fits, for weights_quantize(). */
static float *least_scales(Arena *arena, const Tensor *bias, int64_t channels, float x_scale)
{
    float *least = arena_array(arena, (size_t)channels, sizeof least[0]);
    const float *b = bias->data;
    for (int64_t c = 0; c < bias->count; c++) {
        int64_t channel = channels == 1 ? 0 : c;
        least[channel] = fmaxf(least[channel], (float)(fabs((double)b[c]) / (bias_limit * (double)x_scale)));
    }
    return least;
}

static Status quantize_bias(Node *node, int i, float x_scale, const Tensor *weight_scales)
{
    Arena *arena = node->graph->model->arena;
    const Tensor *bias = node->in[i]->constant;
    Tensor *q = NULL, *scales = NULL;
    TRY(tensor_new(arena, DT_INT32, 1, &bias->count, &q));
    TRY(tensor_new(arena, DT_FLOAT, 1, &bias->count, &scales));
    for (int64_t c = 0; c < bias->count; c++) {
        float scale = x_scale * ((const float *)weight_scales->data)[weight_scales->count == 1 ? 0 : c];
        double value = nearbyint((double)((const float *)bias->data)[c] / (double)scale);
        ((float *)scales->data)[c] = scale;
        ((int32_t *)q->data)[c] = (int32_t)MIN(MAX(value, -2147483647.0), 2147483647.0);
    }
    return put_behind_dequantize(node, i, q, scales, NULL, 0);
}

static Status quantize_weighted(PassContext *context, Node *node)
{
    const QuantRule *rule = &node->def->quant;
    const Value *weight = node->in[rule->weight];
    if (weight->constant == NULL)
        return NULL; /* MatMul of two activations */
    const Target *target = context->target;
    int axis = rule->weight_axis == NULL || !target->per_channel ? -1 : rule->weight_axis(node);
    int64_t channels = axis < 0 ? 1 : weight->constant->dims[axis];
    float x_scale = quant_value_decision(context->plan, node->in[0])->params.scale;
    const Value *bias = rule->bias < 0 || target->float_bias ? NULL : node_in(node, rule->bias);
    const float *least = bias == NULL ? NULL : least_scales(context->scratch, bias->constant, channels, x_scale);

    Tensor *q = NULL, *scales = NULL;
    NodeDecision *decision = &context->plan->nodes[node->id];
    Status status = weights_quantize(context->model->arena, weight->constant, axis, least, &q, &scales,
                                     &decision->weight_sqnr_db);
    TRY(status_prefix(status, "%s", node_describe(node)));
    quantize_round_weight(context, node, scales, q);
    Tensor *zero = NULL;
    TRY(tensor_new(context->model->arena, DT_INT8, scales->rank, scales->dims, &zero));
    if (zero->bytes > 0)
        memset(zero->data, 0, zero->bytes);
    TRY(quantize_correct_bias(context, node, q, scales, axis));
    TRY(put_behind_dequantize(node, rule->weight, q, scales, zero, axis));
    if (!target->float_bias && rule->bias >= 0 && node_in(node, rule->bias) != NULL)
        TRY(quantize_bias(node, rule->bias, x_scale, scales));
    return NULL;
}

/* A constant operand of Add or Mul: per tensor, in the type of activations. */
static Status quantize_operand(PassContext *context, Node *node, int i)
{
    Arena *arena = context->model->arena;
    const Tensor *constant = node->in[i]->constant;
    const float *x = constant->data;
    float low = 0.0f, high = 0.0f;
    for (int64_t k = 0; k < constant->count; k++) {
        low = fminf(low, x[k]);
        high = fmaxf(high, x[k]);
    }
    QParams params = target_params(context->target, low, high);
    Tensor *q = NULL, *zero = NULL, *scale = tensor_new_floats(arena, 0, NULL, &params.scale);
    TRY(tensor_new(arena, params.dtype, constant->rank, constant->dims, &q));
    quant_array(x, constant->count, params, q->data);
    TRY(tensor_new(arena, params.dtype, 0, NULL, &zero));
    tensor_set(zero, 0, params.zero_point);

    return put_behind_dequantize(node, i, q, scale, zero, -1);
}

static Status run(PassContext *context)
{
    for (Node *node = context->model->graph->first; node != NULL; node = node->next) {
        if (quant_fate(context->plan, node) != FATE_INTEGER || context->plan->nodes[node->id].rereads)
            continue;
        if (node->def->quant.kind == QUANT_WEIGHTED)
            TRY(quantize_weighted(context, node));
        for (int i = 0; node->def->quant.kind == QUANT_ELEMENTWISE && i < node->n_in; i++)
            if (node->in[i] != NULL && node->in[i]->constant != NULL && node->in[i]->constant->dtype == DT_FLOAT)
                TRY(quantize_operand(context, node, i));
        ++*context->changes;
    }
    return NULL;
}

const Pass pass_quantize_weights = {
    .name = "quantize_weights",
    .stage = PASS_QUANTIZE,
    .summary = "stores weights as int8 per channel, biases as int32, constant operands as 8 bits",
    .run = run,
};
