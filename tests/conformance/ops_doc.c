/* ops_doc.c - writes docs/ops.md (`make docs`): what ops.def holds, what the standard has besides, which tests fail.
 *
 *     ops.def ──────────────────┐
 *     samples.def ─ run ─ types ┼─> docs/ops.md
 *     standard ops (below) ─────┤
 *     expected-failures.txt ────┘
 */
#include "src/ops/ops.h"

#include <stdio.h>
#include <string.h>

#include "tests/ops/accepted.h"

/* ai.onnx up to opset 24; names as in Operators.md. */
static const char *const standard_ops[] = {
    "Abs", "Acos", "Acosh", "Add", "AffineGrid", "And", "ArgMax", "ArgMin", "Asin", "Asinh", "Atan", "Atanh",
    "Attention", "AveragePool", "BatchNormalization", "Bernoulli", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr",
    "BitwiseXor", "BlackmanWindow", "Cast", "CastLike", "Ceil", "Celu", "CenterCropPad", "Clip", "Col2Im", "Compress",
    "Concat", "ConcatFromSequence", "Constant", "ConstantOfShape", "Conv", "ConvInteger", "ConvTranspose", "Cos",
    "Cosh", "CumSum", "DFT", "DeformConv", "DepthToSpace", "DequantizeLinear", "Det", "Div", "Dropout",
    "DynamicQuantizeLinear",
    "Einsum", "Elu", "Equal", "Erf", "Exp", "Expand", "EyeLike", "Flatten", "Floor", "GRU", "Gather", "GatherElements",
    "GatherND", "Gelu", "Gemm", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "Greater", "GreaterOrEqual",
    "GridSample", "GroupNormalization", "HammingWindow", "HannWindow", "HardSigmoid", "HardSwish", "Hardmax",
    "Identity", "If", "ImageDecoder", "InstanceNormalization", "IsInf", "IsNaN", "LRN", "LSTM", "LayerNormalization",
    "LeakyRelu", "Less", "LessOrEqual", "Log", "LogSoftmax", "Loop", "LpNormalization", "LpPool", "MatMul",
    "MatMulInteger", "Max", "MaxPool", "MaxRoiPool", "MaxUnpool", "Mean", "MeanVarianceNormalization",
    "MelWeightMatrix", "Min", "Mish", "Mod", "Mul", "Multinomial", "Neg", "NegativeLogLikelihoodLoss",
    "NonMaxSuppression", "NonZero", "Not", "OneHot", "Optional", "OptionalGetElement", "OptionalHasElement", "Or",
    "PRelu", "Pad", "Pow", "QLinearConv", "QLinearMatMul", "QuantizeLinear", "RMSNormalization", "RNN", "RandomNormal",
    "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Range", "Reciprocal", "ReduceL1", "ReduceL2",
    "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
    "ReduceSumSquare", "RegexFullMatch", "Relu", "Reshape", "Resize", "ReverseSequence", "RoiAlign", "RotaryEmbedding",
    "Round", "STFT", "Scan", "Scatter", "ScatterElements", "ScatterND", "Selu", "SequenceAt", "SequenceConstruct",
    "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength", "SequenceMap", "Shape", "Shrink", "Sigmoid",
    "Sign", "Sin", "Sinh", "Size", "Slice", "Softmax", "SoftmaxCrossEntropyLoss", "Softplus", "Softsign",
    "SpaceToDepth", "Split", "SplitToSequence", "Sqrt", "Squeeze", "StringConcat", "StringNormalizer", "StringSplit",
    "Sub", "Sum", "Swish", "Tan", "Tanh", "TensorScatter", "TfIdfVectorizer", "ThresholdedRelu", "Tile", "TopK",
    "Transpose", "Trilu", "Unique", "Unsqueeze", "Upsample", "Where", "Xor",
};

static const char *const rule_names[] = {
    [QUANT_FLOAT] = "float",           [QUANT_WEIGHTED] = "weighted",       [QUANT_ELEMENTWISE] = "elementwise",
    [QUANT_SAME_SCALE] = "same scale", [QUANT_FIXED_SCALE] = "fixed scale", [QUANT_ABSORBED] = "absorbed",
};

static const char *domain_name(const char *domain)
{
    return domain[0] == '\0' ? "ai.onnx" : domain;
}

/* Element types that go together under one name, the greater sets first. */
static const struct {
    const char *name;
    uint32_t dtypes;
} type_sets[] = {
#define BIT(dtype) (UINT32_C(1) << (dtype))
#define FLOAT_BITS (BIT(DT_FLOAT) | BIT(DT_DOUBLE) | BIT(DT_FLOAT16) | BIT(DT_BFLOAT16))
#define INT_BITS (BIT(DT_INT8) | BIT(DT_INT16) | BIT(DT_INT32) | BIT(DT_INT64))
#define UINT_BITS (BIT(DT_UINT8) | BIT(DT_UINT16) | BIT(DT_UINT32) | BIT(DT_UINT64))
#define FLOAT8_BITS (BIT(DT_FLOAT8E4M3FN) | BIT(DT_FLOAT8E4M3FNUZ) | BIT(DT_FLOAT8E5M2) | BIT(DT_FLOAT8E5M2FNUZ))
#define SMALL_BITS (BIT(DT_UINT4) | BIT(DT_INT4) | BIT(DT_UINT2) | BIT(DT_INT2))
#define COMPLEX_BITS (BIT(DT_COMPLEX64) | BIT(DT_COMPLEX128))
    {"all", FLOAT_BITS | INT_BITS | UINT_BITS | FLOAT8_BITS | SMALL_BITS | COMPLEX_BITS | BIT(DT_BOOL) | BIT(DT_STRING) |
                BIT(DT_FLOAT4E2M1) | BIT(DT_FLOAT8E8M0)},
    {"whole bytes", FLOAT_BITS | INT_BITS | UINT_BITS | FLOAT8_BITS | COMPLEX_BITS | BIT(DT_BOOL) | BIT(DT_STRING) |
                        BIT(DT_FLOAT8E8M0)},
    {"floats", FLOAT_BITS}, {"ints", INT_BITS | UINT_BITS}, {"signed ints", INT_BITS}, {"unsigned ints", UINT_BITS},
    {"float8s", FLOAT8_BITS}, {"small ints", SMALL_BITS}, {"complex", COMPLEX_BITS},
};

static void print_types(uint32_t dtypes)
{
    const char *gap = "";

    for (size_t i = 0; i < COUNT_OF(type_sets); i++)
        if ((dtypes & type_sets[i].dtypes) == type_sets[i].dtypes) {
            printf("%s%s", gap, type_sets[i].name);
            dtypes &= ~type_sets[i].dtypes;
            gap = ", ";
        }
    for (int d = DT_UNDEFINED + 1; d <= DT_LAST; d++)
        if ((dtypes & BIT(d)) != 0) {
            printf("%s%s", gap, dtype_name((DType)d));
            gap = ", ";
        }
}

/* The types of the op's data, then of those inputs whose type is another. */
static void print_slots(const OpDef *def)
{
    for (size_t i = 0; i < sample_count(); i++) {
        const OpSample *sample = sample_at(i);
        SampleSlot slots[SAMPLE_MAX_SLOTS];
        if (strcmp(sample->type, def->type) != 0 || strcmp(sample->domain, def->domain) != 0)
            continue;
        int n = sample_slots(sample, slots);
        for (int k = 0; k < n; k++) {
            if (k > 0)
                printf("; %s: ", slots[k].name);
            print_types(sample_accepts(def, slots[k].name));
        }
        if (n == 0)
            printf("-");
        return;
    }
}

static void print_op(const OpDef *def)
{
    printf("| %s | ", def->type);
    for (int i = 0; i < OP_MAX_VERSIONS && def->versions[i] != 0; i++)
        printf("%s%d", i > 0 ? " " : "", def->versions[i]);
    printf(" | ");
    print_slots(def);
    printf(" | %s", def->eval == NULL ? "no" : "C");
    for (const OpImpl *impl = def->impls; impl != NULL && impl->name != NULL; impl++)
        printf(", %s", impl->name);
    printf(" | %s | %s |\n", def->infer == NULL ? "no" : "yes", rule_names[def->quant.kind]);
}

/* The rows of one domain, in the order of their names: ops.def groups them by family. */
static void print_domain(const char *domain)
{
    const char *last = "";

    printf("\n## %s\n\n| op | since | types | executor | inference | quantization |\n|---|---|---|---|---|---|\n",
           domain_name(domain));
    for (;;) {
        const OpDef *next = NULL;
        for (size_t i = 0; i < op_count(); i++) {
            const OpDef *def = op_at(i);
            if (strcmp(def->domain, domain) == 0 && strcmp(def->type, last) > 0 &&
                (next == NULL || strcmp(def->type, next->type) < 0))
                next = def;
        }
        if (next == NULL)
            return;
        print_op(next);
        last = next->type;
    }
}

static bool domain_was_printed(size_t before)
{
    for (size_t i = 0; i < before; i++)
        if (strcmp(op_at(i)->domain, op_at(before)->domain) == 0)
            return true;
    return false;
}

static void print_missing(void)
{
    int missing = 0;

    printf("\n## Standard operators that cannot be executed\n\n"
           "Models that hold one are carried through; to run it, the program ends with exit code 5 and its name.\n"
           "Gradient (ai.onnx.preview.training) differentiates a graph: training only, and out.\n\n");
    for (size_t i = 0; i < COUNT_OF(standard_ops); i++) {
        const OpDef *def = op_find("", standard_ops[i], INT32_MAX);
        if (def == NULL || def->eval == NULL)
            printf("%s%s", missing++ > 0 ? ", " : "", standard_ops[i]);
    }
    printf(missing > 0 ? "\n" : "None.\n");
}

/* Lines "PATTERN  REASON" as rows. */
static Status print_failures(const char *path)
{
    FileMap map;

    TRY(file_map(path, CODE_DATA, &map));
    printf("\n## Conformance cases that fail\n\n"
           "Of ONNX's own tests (`make conformance`, Debian's libonnx-testdata):\n\n"
           "| cases | reason |\n|---|---|\n");
    const char *at = (const char *)map.data, *end = at + map.size;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        int length = (int)((stop != NULL ? stop : end) - at), word = 0;
        while (word < length && at[word] != ' ')
            word++;
        int gap = word;
        while (gap < length && at[gap] == ' ')
            gap++;
        if (word > 0 && at[0] != '#')
            printf("| %.*s | %.*s |\n", word, at, length - gap, at + gap);
        at += length + 1;
    }
    file_unmap(&map);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: ops-doc EXPECTED-FAILURES\n");
        return 2;
    }
    printf("# Operators\n\nWritten by `make docs` from src/ops/ops.def: %zu operators. Since: the versions\n"
           "that differ; each stands until the next one. Types: the element types with which a small graph around the op\n"
           "(tests/ops/samples.def) loads, is inferred and runs, found by running it with each of them; first those of the data,\n"
           "then those of inputs with a type of their own. Floats: float, double, float16, bfloat16; ints: (u)int8 to (u)int64;\n"
           "small ints: (u)int4 and (u)int2; float8s: float8e4m3fn, float8e4m3fnuz, float8e5m2, float8e5m2fnuz; whole bytes: all\n"
           "but small ints and float4e2m1.\n"
           "Executor: C is the plain reference, names behind it are faster implementations.\n"
           "Quantization: how the op behaves in an integer model, see docs/architecture.md.\n", op_count());
    for (size_t i = 0; i < op_count(); i++)
        if (!domain_was_printed(i))
            print_domain(op_at(i)->domain);
    print_missing();
    Status status = print_failures(argv[1]);
    if (status != NULL)
        fprintf(stderr, "ops-doc: %s\n", status_message(status));
    int code = status != NULL;
    status_free(status);
    return code;
}
