/* own_weights.c - the weights and biases that ONNX Runtime quantizes by itself while it loads a model.
 *
 *     x_q ─ DQ ─ Conv w, b (float) ─ (Relu) ─ Q         w_q = w / s + z,  s = (max - min) / 255,  z = -128 - min / s
 *                                                       b_q = b / (x_s s)
 *
 * Between a DequantizeLinear with one scale and a QuantizeLinear it takes them for forgotten, since 1.20: its
 * weight_bias_quantization.cc, its numbers as its optimized graph has them. Range and zero point take in 0; all of a weight has
 * one scale. Models of other tools with float biases run so too.
 */
#include "src/exec/internal.h"

#include <math.h>

Value *integer_constant(Arena *arena, Tensor *tensor)
{
    Value *value = arena_alloc(arena, sizeof *value);
    value->name = "";
    value->constant = tensor;
    return value;
}

static double clamp(double x, double low, double high)
{
    return fmin(fmax(x, low), high);
}

static Status own_weight(Arena *arena, const Tensor *from, Edge *ret)
{
    const float *w = from->data;
    float low = 0.0f, high = 0.0f;
    Tensor *to = NULL;
    for (int64_t i = 0; i < from->count; i++) {
        low = fminf(low, w[i]);
        high = fmaxf(high, w[i]);
    }
    float scale = high == low ? 1.0f : (high - low) / 255.0f;
    float zero = rintf((float)clamp(-128.0f - low / scale, -128.0, 127.0));
    TRY(tensor_new(arena, DT_INT8, from->rank, from->dims, &to));
    for (int64_t i = 0; i < from->count; i++)
        ((int8_t *)to->data)[i] = (int8_t)clamp(rintf(w[i] / scale) + zero, -128.0, 127.0);
    *ret = (Edge){integer_constant(arena, to), integer_constant(arena, tensor_new_scalar(arena, DT_FLOAT, scale)),
                  integer_constant(arena, tensor_new_scalar(arena, DT_INT8, zero))};
    return NULL;
}

static Status own_bias(Arena *arena, const Tensor *from, const Tensor *x_scale, const Tensor *w_scale, Edge *ret)
{
    Tensor *to = NULL, *scales = NULL;
    TRY(tensor_new(arena, DT_INT32, from->rank, from->dims, &to));
    TRY(tensor_new(arena, DT_FLOAT, w_scale->rank, w_scale->dims, &scales));
    for (int64_t c = 0; c < w_scale->count; c++)
        ((float *)scales->data)[c] = (float)tensor_get(x_scale, 0) * (float)tensor_get(w_scale, c);
    for (int64_t c = 0; c < from->count; c++) {
        float scale = ((const float *)scales->data)[w_scale->count == 1 ? 0 : c];
        ((int32_t *)to->data)[c] = (int32_t)clamp(rintf(((const float *)from->data)[c] / scale), INT32_MIN, INT32_MAX);
    }
    *ret = (Edge){integer_constant(arena, to), integer_constant(arena, scales),
                  integer_constant(arena, tensor_new_scalar(arena, DT_INT32, 0.0))};
    return NULL;
}

static const Tensor *float_constant(const Node *node, int i)
{
    const Tensor *constant = node_constant(node, i);
    return constant != NULL && constant->dtype == DT_FLOAT ? constant : NULL;
}

void integer_own_weights(Arena *arena, const Node *node, Edge *inputs)
{
    const Tensor *weight = float_constant(node, 1), *bias = float_constant(node, 2), *x_scale, *w_scale;
    if (node->n_in < 2 || inputs[0].quantized == NULL || (x_scale = inputs[0].scale->constant)->count != 1 ||
        (node_in(node, 2) != NULL && (bias == NULL || bias->rank != 1)) || (weight == NULL && inputs[1].quantized == NULL))
        return;
    Edge made[2] = {inputs[1], node->n_in > 2 ? inputs[2] : (Edge){0}};
    Status status = weight != NULL ? own_weight(arena, weight, &made[0]) : NULL;
    w_scale = made[0].scale != NULL ? made[0].scale->constant : NULL;
    if (status == NULL && bias != NULL && (w_scale->count == 1 || w_scale->count == bias->count))
        status = own_bias(arena, bias, x_scale, w_scale, &made[1]);
    if (status != NULL) { /* no memory for it: the float op then */
        status_free(status);
        return;
    }
    inputs[1] = made[0];
    if (bias != NULL)
        inputs[2] = made[1];
}
