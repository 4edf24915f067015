/* quantized_form.c - the ops, of any domain, that only a quantized model has. */
#include "passes/pass.h"

#include <string.h>

const char *pass_quantized_form(const Node *node)
{
    static const char *const integers = "with integer operators", *const pairs = "with Q/DQ nodes", *const dynamic = "dynamically",
                             *const blocks = "its weights in blocks";
    const struct {
        const char *op_type, *form;
    } rows[] = {
        {"QuantizeLinear", pairs},          {"DequantizeLinear", pairs},           {"DynamicQuantizeLinear", dynamic},
        {"MatMulInteger", dynamic},         {"ConvInteger", dynamic},              {"DynamicQuantizeMatMul", dynamic},
        {"DynamicQuantizeLSTM", dynamic},   {"MatMulIntegerToFloat", integers},    {"QGemm", integers},
        {"QAttention", integers},           {"QEmbedLayerNormalization", integers}, {"NhwcMaxPool", integers},
        {"MatMulNBits", blocks},            {"MatMulBnb4", blocks},                {"GatherBlockQuantized", blocks},
    };
    if (strncmp(node->op_type, "QLinear", 7) == 0)
        return integers;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (strcmp(rows[i].op_type, node->op_type) == 0)
            return rows[i].form;
    return NULL;
}
