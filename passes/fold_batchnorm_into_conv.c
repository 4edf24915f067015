/* fold_batchnorm_into_conv.c - BatchNormalization behind a Conv, ConvTranspose or Gemm becomes part of its weights.
 *
 *     x -> Conv W, b -> BatchNormalization -> y      ->      x -> Conv W', b' -> y
 *
 *     y = gamma * (v - mean) / sqrt(var + epsilon) + beta        (onnx operator BatchNormalization, inference)
 *       = a * v + (beta - a * mean)                              a = gamma / sqrt(var + epsilon)
 */
#include "passes/affine.h"
#include "passes/pass.h"

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

static Status visit(PassContext *context, Node *node)
{
    AffineTarget target;
    if (!is_inference(node) || node_in(node, 0) == NULL || node->in[0]->producer == NULL)
        return NULL;
    Node *weighted = node->in[0]->producer;
    if (value_only_user(node->in[0]) != node || weighted->graph != node->graph || !affine_accepts(weighted, &target) ||
        !target.takes_shift)
        return NULL;
    double *scale = arena_array(context->scratch, (size_t)target.channels, sizeof(*scale));
    double *shift = arena_array(context->scratch, (size_t)target.channels, sizeof(*shift));
    if (!read_affine(node, target.channels, scale, shift))
        return NULL;
    TRY(affine_fold(weighted, scale, shift));
    TRY(pass_replace_node(node, weighted->out[0]));
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
    .summary = "BatchNormalization behind Conv, ConvTranspose or Gemm becomes part of its weights",
    .run = run,
};
