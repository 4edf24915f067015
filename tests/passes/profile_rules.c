/* profile_rules.c - the rules of each target, read off a quantized graph. Written from the runtimes' rules and not from the passes
 * that follow them: it knows the graph alone.
 *
 *     all        a Q is read by DQs of its scale; 8-bit activations of the target's type; int8 weights with zero point 0
 *     ort-*      a weighted op has its Q right behind it; int32 bias with the scale of the sum
 *     openvino   a DQ is read by ops that run in integers, never by an activation; no DQ gives a graph output; float bias;
 *                the inputs of a Concat have one scale
 *     tensorrt   likewise, zero point 0, and an Add reads one DQ and one weighted op
 */
#include "tests/passes/profile_rules.h"
#include "src/ops/ops.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct Check {
    const Target *target;
    ProfileFound found;
} Check;

static void require(Check *check, bool holds, const Node *node, const char *rule)
{
    if (!holds && check->found.problem[0] == '\0')
        snprintf(check->found.problem, sizeof check->found.problem, "%s: %s", node_describe(node), rule);
}

static bool is_one_of(const Node *node, const char *const *names)
{
    for (; node != NULL && *names != NULL; names++)
        if (node_is(node, *names))
            return true;
    return false;
}

static bool is_weighted(const Node *node)
{
    static const char *const ops[] = {"Conv", "ConvTranspose", "Gemm", "MatMul", NULL};
    return is_one_of(node, ops);
}

/* The DQ that gives an input, or NULL. */
static const Node *dequantizer(const Node *node, int i)
{
    const Value *value = i < node->n_in ? node->in[i] : NULL;
    return value != NULL && value->producer != NULL && node_is(value->producer, "DequantizeLinear") ? value->producer : NULL;
}

static bool same_parameters(const Node *a, const Node *b)
{
    for (int i = 1; i < 3; i++)
        if (!tensor_equal(a->in[i]->constant, b->in[i]->constant))
            return false;
    return true;
}

/* A Pad of channels to the kernel's number, or the Slice that drops them. */
static bool moves_bytes(const Check *check, const Node *node)
{
    return check->target->conv_channels > 0 && (node_is(node, "Pad") || node_is(node, "Slice")) && node->out[0]->n_uses > 0;
}

static void check_readers(Check *check, const Node *quantize, const Value *bytes)
{
    for (size_t i = 0; i < bytes->n_uses; i++) {
        const Node *reader = bytes->uses[i].node;
        if (moves_bytes(check, reader)) {
            check_readers(check, quantize, reader->out[0]);
            continue;
        }
        require(check, node_is(reader, "DequantizeLinear"), quantize, "only a DequantizeLinear reads it");
        /* HardSigmoid reads the same integers with another scale */
        require(check, check->target->requantizes || same_parameters(quantize, reader), quantize, "Q and DQ agree");
    }
}

static void check_quantizer(Check *check, const Node *node)
{
    const Tensor *scale = node_constant(node, 1), *zero = node_constant(node, 2);
    check->found.pairs++;
    require(check, scale != NULL && scale->count == 1 && zero != NULL && zero->count == 1, node, "scale and zero point are scalars");
    if (zero == NULL || scale == NULL)
        return;
    require(check, zero->dtype == check->target->activation, node, "activations have the type of the target");
    require(check, !check->target->symmetric || tensor_get(zero, 0) == 0.0, node, "the zero point is 0");
    require(check, node->out[0]->n_outputs == 0, node, "integers are no output");
    check_readers(check, node, node->out[0]);
}

static void check_bias(Check *check, const Node *node, int i)
{
    const Node *dequantize = dequantizer(node, i), *x = dequantizer(node, 0), *w = dequantizer(node, 1);
    if (node_in(node, i) == NULL)
        return;
    if (check->target->float_bias) {
        require(check, dequantize == NULL, node, "the bias stays float");
        return;
    }
    require(check, dequantize != NULL && dequantize->in[0]->constant->dtype == DT_INT32, node, "the bias is int32");
    for (int64_t c = 0; dequantize != NULL && c < dequantize->in[1]->constant->count; c++) {
        const Tensor *w_scale = w->in[1]->constant;
        double wanted = tensor_get(x->in[1]->constant, 0) * tensor_get(w_scale, w_scale->count == 1 ? 0 : c);
        double scale = tensor_get(dequantize->in[1]->constant, c);
        require(check, fabs(scale - wanted) <= 1e-6 * wanted, node, "the scale of the bias is that of the sum");
    }
}

static void check_weighted(Check *check, const Node *node)
{
    const Node *x = dequantizer(node, 0), *w = dequantizer(node, 1);
    if (!target_runs(check->target, node->op_type))
        return;
    check->found.weighted += x != NULL && w != NULL;
    check->found.floats += x == NULL;
    require(check, (x == NULL) == (w == NULL), node, "input and weight are 8-bit both or none");
    if (x == NULL || w == NULL)
        return;
    const Tensor *q = w->in[0]->constant, *scale = w->in[1]->constant;
    if (q != NULL) {
        require(check, q->dtype == DT_INT8, node, "the weight is int8");
        for (int64_t i = 0; i < w->in[2]->constant->count; i++)
            require(check, tensor_get(w->in[2]->constant, i) == 0.0, node, "the weight's zero point is 0");
        bool grouped = node_is(node, "ConvTranspose") && node_int(node, "group", 1) > 1;
        require(check, grouped || (scale->rank == 1) == check->target->per_channel, node, "scales of the weight are per channel");
    }
    if (!node_is(node, "MatMul"))
        check_bias(check, node, 2);
    const Node *behind = value_only_user(node->out[0]);
    bool open = check->target->open_products && (node_is(node, "MatMul") || node_is(node, "Gemm")); /* gives floats at once */
    for (size_t i = 0; open && i < node->out[0]->n_uses; i++)
        open = !node_is(node->out[0]->uses[i].node, "QuantizeLinear");
    if (check->target->requantizes && !open)
        require(check, behind != NULL && node_is(behind, "QuantizeLinear"), node, "a Q stands behind it");
}

/* Readers of what was dequantized, on targets that fuse activations behind integer ops. */
static void check_reader(Check *check, const Node *node)
{
    static const char *const tensorrt[] = {"Conv", "ConvTranspose", "Gemm", "MatMul", "Add", NULL};
    static const char *const never[] = {"Relu",      "LeakyRelu", "PRelu",   "Clip",  "Sigmoid", "HardSigmoid",
                                        "HardSwish", "Tanh",      "Softmax", "Swish", "BatchNormalization", NULL};
    int n = 0, weighted = 0;
    for (int i = 0; i < node->n_in; i++) {
        n += dequantizer(node, i) != NULL;
        weighted += node->in[i] != NULL && is_weighted(node->in[i]->producer);
    }
    if (n == 0)
        return;
    require(check, !is_one_of(node, never), node, "no Q stands in front of an activation");
    if (check->target->fuses_residual) {
        require(check, is_one_of(node, tensorrt), node, "only weighted ops and residual additions read integers");
        if (node_is(node, "Add"))
            require(check, n == 1 && weighted == 1, node, "an Add reads one DQ and one weighted op");
    }
}

static void check_concat(Check *check, const Node *node)
{
    const Node *first = dequantizer(node, 0);
    for (int i = 0; i < node->n_in; i++) {
        const Node *other = dequantizer(node, i);
        require(check, (other == NULL) == (first == NULL), node, "inputs of a Concat are integers all or none");
        if (first != NULL && other != NULL)
            require(check, same_parameters(first, other), node, "inputs of a Concat have one scale");
    }
}

ProfileFound profile_check(const Model *model, const Target *target)
{
    Check check = {.target = target};
    for (const Node *node = model->graph->first; node != NULL; node = node->next) {
        if (node_is(node, "QuantizeLinear"))
            check_quantizer(&check, node);
        else if (is_weighted(node))
            check_weighted(&check, node);
        if (!target->requantizes && !node_is(node, "QuantizeLinear") && !node_is(node, "DequantizeLinear"))
            check_reader(&check, node);
        if (target->one_concat_scale && node_is(node, "Concat"))
            check_concat(&check, node);
    }
    for (int i = 0; i < model->graph->n_outputs && !target->requantizes; i++) {
        const Node *producer = model->graph->outputs[i]->producer;
        if (producer != NULL)
            require(&check, !node_is(producer, "DequantizeLinear"), producer, "no quantizer stands on an output");
    }
    return check.found;
}
