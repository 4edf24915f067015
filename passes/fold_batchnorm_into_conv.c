/* fold_batchnorm_into_conv.c - BatchNormalization behind a Conv, ConvTranspose, Gemm or MatMul becomes part of its weights.
 *
 *     x -> Conv W, b -> BatchNormalization -> y      ->      x -> Conv W', b' -> y
 *     x: NxK -> MatMul W -> BatchNormalization -> y  ->      x -> MatMul W' -> Add b' -> y       (a Gemm in the end)
 *
 *     y = gamma * (v - mean) / sqrt(var + epsilon) + beta        (onnx operator BatchNormalization, inference)
 *       = a * v + (beta - a * mean)                              a = gamma / sqrt(var + epsilon)
 */
#include "passes/affine.h"
#include "passes/pass.h"

#include "src/ops/ops.h"

#include <math.h>

enum { GAMMA = 1, BETA, MEAN, VAR };

static bool is_inference(const Node *node)
{
    if (!node_is(node, "BatchNormalization") || node->n_in != 5 || node_int(node, "training_mode", 0) != 0 ||
        node_int(node, "spatial", 1) != 1 || node->out[0] == NULL)
        return false;
    for (int i = 1; i < node->n_out; i++)
        if (node->out[i] != NULL && (node->out[i]->n_uses > 0 || node->out[i]->n_outputs > 0))
            return false;
    return true;
}

/* a and the shift for each of C channels; false when one is not finite. */
static bool read_affine(const Node *node, int64_t channels, double *scale, double *shift)
{
    const Tensor *parameter[VAR + 1] = {NULL};
    for (int i = GAMMA; i <= VAR; i++) {
        parameter[i] = pass_constant(node, i);
        if (parameter[i] == NULL || parameter[i]->count != channels || !dtype_is_float(parameter[i]->dtype))
            return false;
    }
    double epsilon = (double)node_float(node, "epsilon", 1e-5f);
    for (int64_t c = 0; c < channels; c++) {
        double variance = tensor_get(parameter[VAR], c) + epsilon;
        if (!(variance > 0))
            return false;
        scale[c] = tensor_get(parameter[GAMMA], c) / sqrt(variance);
        shift[c] = tensor_get(parameter[BETA], c) - scale[c] * tensor_get(parameter[MEAN], c);
        if (!isfinite((float)scale[c]) || !isfinite((float)shift[c]))
            return false;
    }
    return true;
}

/* A MatMul has no bias: the shift becomes an Add behind it. */
static Status add_shift(Node *product, Node *before, const double *shift, int64_t channels, Value **ret)
{
    Model *model = product->graph->model;
    Tensor *bias;
    TRY(tensor_new(model->arena, product->in[1]->constant->dtype, 1, &channels, &bias));
    for (int64_t c = 0; c < channels; c++)
        tensor_set(bias, c, shift[c]);
    Value *in[] = {product->out[0], graph_add_constant(product->graph, model_fresh_name(model, "bias"), bias)};
    Node *add = pass_add_node(product->graph, before, "Add", before->name, 2, in);
    *ret = add->out[0];
    return ops_infer_node(add);
}

static Status visit(PassContext *context, Node *node)
{
    AffineTarget target;
    if (!is_inference(node) || node_in(node, 0) == NULL || node->in[0]->producer == NULL)
        return NULL;
    Node *weighted = node->in[0]->producer;
    if (value_only_user(node->in[0]) != node || weighted->graph != node->graph || !affine_accepts(weighted, &target) ||
        (!target.takes_shift && target.rank != 2))
        return NULL;
    double *scale = arena_array(context->scratch, (size_t)target.channels, sizeof(*scale));
    double *shift = arena_array(context->scratch, (size_t)target.channels, sizeof(*shift));
    if (!read_affine(node, target.channels, scale, shift))
        return NULL;
    TRY(affine_fold(weighted, scale, shift));
    Value *result = weighted->out[0];
    if (!target.takes_shift)
        TRY(add_shift(weighted, node, shift, target.channels, &result));
    TRY(pass_replace_node(node, result));
    ++*context->changes;
    return NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fold_batchnorm_into_conv = {
    .name = "fold_batchnorm_into_conv",
    .stage = PASS_SIMPLIFY,
    .ops = "BatchNormalization",
    .summary = "BatchNormalization behind Conv, ConvTranspose, Gemm or MatMul becomes part of its weights",
    .run = run,
};
