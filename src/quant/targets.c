/* targets.c - what each runtime executes in integers, as data.
 *
 * Source of the ort-x86 rows: ONNX Runtime 1.30 on x86 (its QDQ selectors and kernels, checked against its optimized graph).
 */
#include "src/quant/quant.h"

#include <string.h>

/* Ops that have an integer kernel, or whose Q and DQ the runtime drops because the op only moves data. */
static const char *const ort_ops[] = {
    /* weighted */ "Conv", "Gemm", "MatMul",
    /* a scale for each edge */ "Add", "Mul", "LeakyRelu", "GlobalAveragePool", "Concat",
    /* as an addition, see passes/quantize_hardsigmoid.c */ "HardSigmoid",
    /* output in [0, 1) */ "Sigmoid",
    /* data movement */ "MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Expand",
    "Gather", "Tile", "DepthToSpace", "Resize", "ReduceMax", "ReduceMin",
    NULL,
};

static const Target targets[] = {
    {
        .name = "ort-x86",
        .summary = "ONNX Runtime on x86: uint8 activations, int8 symmetric weights per channel, int32 bias",
        .activation = DT_UINT8,
        .integer_ops = ort_ops,
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

bool target_runs(const Target *target, const char *op_type)
{
    for (const char *const *op = target->integer_ops; *op != NULL; op++)
        if (strcmp(*op, op_type) == 0)
            return true;
    return false;
}
