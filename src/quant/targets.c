/* targets.c - what each runtime executes in integers, as data.
 *
 *                                        ort-x86     ort-arm     openvino                  tensorrt
 *     activations                        uint8       int8        uint8                     int8, zero point 0
 *     x ─ Conv ─ a ─ Relu ─ b ─ Conv     Q at a      Q at a      Q at b                    Q at b
 *     Conv ─ a ─ Add(a, r) ─ b           Q at a r b  Q at a r b  Q at a r, b where read    Q at r, b where read
 *     bias                               int32       int32       float                     float
 *
 * Sources: ort-x86 - ONNX Runtime 1.30 on x86 (its QDQ selectors and kernels, checked against its optimized graph); ort-arm -
 * the same selectors; openvino and tensorrt - what their guides to quantized ONNX models ask for.
 */
#include "src/quant/quant.h"

#include <math.h>
#include <string.h>

/* Ops that have an integer kernel, or whose Q and DQ the runtime drops because the op only moves data. */
static const char *const ort_ops[] = {
    /* weighted */ "Conv", "Gemm", "MatMul",
    /* a scale for each edge */ "Add", "Mul", "LeakyRelu", "GlobalAveragePool", "Concat",
    /* as an addition and as Sigmoid, see passes/quantize_gates.c */ "HardSigmoid", "Tanh",
    /* as a convolution, see passes/quantize_average_pool.c */ "AveragePool",
    /* output in [0, 1) */ "Sigmoid",
    /* data movement */ "MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Expand",
    "Gather", "Tile", "DepthToSpace", "Resize", "ReduceMax", "ReduceMin",
    NULL,
};

static const char *const openvino_ops[] = {
    "Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Mul", "AveragePool", "GlobalAveragePool", "Concat",
    "MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "DepthToSpace", "Resize",
    NULL,
};

/* Data movement needs no pair of its own there: the builder carries a Q through it. */
static const char *const tensorrt_ops[] = {"Conv", "ConvTranspose", "Gemm", "MatMul", "Add", NULL};

static const char *const fused_activations[] = {
    "Relu", "LeakyRelu", "PRelu", "Clip",      "Elu", "Selu", "Sigmoid",  "HardSigmoid",        "HardSwish",
    "Tanh", "Swish",     "Gelu",  "Softplus", "Mish", "Erf",  "Softsign", "BatchNormalization", NULL,
};

static const Target targets[] = {
    {
        .name = "ort-x86",
        .summary = "ONNX Runtime on x86: uint8 activations, int8 symmetric weights per channel, int32 bias",
        .activation = DT_UINT8,
        .per_channel = true,
        .requantizes = true,
        .has_costs = true,
        .open_products = true,
        .quantizes_weights = true,
        .slow_prelu = true,
        .slow_resize = true,
        .slow_softmax = true,
        .slow_skip_norm = true,
        .average_by_conv = true,
        .depthwise_channels = 16,
        .conv_channels = 4,
        .least_conv_outputs = 16,
        .group_width = 32,
        .integer_ops = ort_ops,
    },
    {
        .name = "ort-arm",
        .summary = "ONNX Runtime on ARM: int8 activations with a zero point, the rest as ort-x86",
        .activation = DT_INT8,
        .per_channel = true,
        .requantizes = true,
        .open_products = true,
        .quantizes_weights = true,
        .slow_prelu = true,
        .slow_resize = true,
        .slow_softmax = true,
        .slow_skip_norm = true,
        .average_by_conv = true,
        .integer_ops = ort_ops,
    },
    {
        .name = "openvino",
        .summary = "OpenVINO: uint8 activations, quantized behind the activation, one scale at a Concat, float bias",
        .activation = DT_UINT8,
        .per_channel = true,
        .float_bias = true,
        .one_concat_scale = true,
        .integer_ops = openvino_ops,
        .activations = fused_activations,
    },
    {
        .name = "tensorrt",
        .summary = "TensorRT: int8 symmetric activations, quantized where a weighted op reads them, float bias",
        .activation = DT_INT8,
        .symmetric = true,
        .per_channel = true,
        .float_bias = true,
        .one_concat_scale = true,
        .fuses_residual = true,
        .integer_ops = tensorrt_ops,
        .activations = fused_activations,
    },
};

const Target *target_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(targets); i++)
        if (strcmp(targets[i].name, name) == 0)
            return &targets[i];
    return NULL;
}

const char *const *target_names(void)
{
    static const char *names[COUNT_OF(targets) + 1];
    for (size_t i = 0; i < COUNT_OF(targets); i++)
        names[i] = targets[i].name;
    return names;
}

static bool holds(const char *const *list, const char *op_type)
{
    for (; list != NULL && *list != NULL; list++)
        if (strcmp(*list, op_type) == 0)
            return true;
    return false;
}

bool target_runs(const Target *target, const char *op_type)
{
    return holds(target->integer_ops, op_type);
}

bool target_fuses(const Target *target, const char *op_type)
{
    return holds(target->activations, op_type);
}

QParams target_params(const Target *target, float low, float high)
{
    if (target->symmetric)
        return qparams_symmetric(fmaxf(fabsf(low), fabsf(high)), target->activation);
    return qparams_asymmetric(low, high, target->activation);
}
