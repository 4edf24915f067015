/* fold_hard_sigmoid.c - for targets whose integer kernels saturate: the line of HardSigmoid goes into the weights in front.
 *
 *     x ─ Conv W, b ─ HardSigmoid (alpha, beta) ─ y      ==>      x ─ Conv alpha W, alpha b + beta ─ Clip [0, 1] ─ y
 *
 * Exact: HardSigmoid(v) = max(0, min(1, alpha v + beta)). What is left of it is a Clip that the Q behind it does by saturating,
 * so the gate of a squeeze-and-excitation costs no op. A Conv whose result is also read plainly (HardSwish) keeps its weights.
 */
#include "passes/affine.h"
#include "passes/pass.h"
#include "src/ops/ops.h"

#include <math.h>

static Status fold(PassContext *context, Node *node)
{
    AffineTarget target;
    Model *model = context->model;
    Node *weighted = node->in[0]->producer;
    float alpha = node_float(node, "alpha", 0.2f), beta = node_float(node, "beta", 0.5f);
    if (weighted == NULL || weighted->graph != node->graph || value_only_user(node->in[0]) != node || !isfinite(alpha) ||
        !isfinite(beta) || alpha == 0.0f || !affine_accepts(weighted, &target) || !target.takes_shift)
        return NULL;
    double *scale = arena_array(context->scratch, (size_t)target.channels, sizeof scale[0]);
    double *shift = arena_array(context->scratch, (size_t)target.channels, sizeof shift[0]);
    for (int64_t c = 0; c < target.channels; c++) {
        scale[c] = (double)alpha;
        shift[c] = (double)beta;
    }
    TRY(affine_fold(weighted, scale, shift));
    const char *name = node->name[0] != '\0' ? node->name : node->out[0]->name;
    Value *y = graph_value(node->graph, model_fresh_name(model, arena_printf(model->arena, "%s_clipped", name)));
    Value *in[3] = {node->in[0], graph_add_float(node->graph, "least", 0.0f), graph_add_float(node->graph, "greatest", 1.0f)};
    Node *clip;
    TRY(ops_add_node(node->graph, node, "Clip", "", y->name, 3, in, y, &clip));
    TRY(pass_replace_node(node, y));
    ++*context->changes;
    return NULL;
}

static Status visit(PassContext *context, Node *node)
{
    bool fits = node_is(node, "HardSigmoid") && node->out[0] != NULL && value_is_float(node->out[0]);
    return fits ? fold(context, node) : NULL;
}

static Status run(PassContext *context)
{
    if (!target_runs(context->target, "HardSigmoid") || !context->target->requantizes)
        return NULL;
    return pass_each_outer(context, visit);
}

const Pass pass_fold_hard_sigmoid = {
    .name = "fold_hard_sigmoid",
    .stage = PASS_TARGET,
    .summary = "puts the line of HardSigmoid into the weights in front of it and leaves a Clip, which quantization does",
    .run = run,
};
