/* split_skip_norm.c - keeps a target from joining a residual sum and the normalization behind it into a slow kernel.
 *
 *     Add(x, y) ─ LayerNormalization      ==>      Sum(x, y) ─ LayerNormalization
 *
 * The same numbers. ONNX Runtime makes SkipLayerNormalization of the first (3.8 ns an element), and leaves the second alone (0.1
 * for the sum, 0.35 for the normalization). In a float model the Add usually has readers that keep it from that; Q/DQ take
 * them away.
 */
#include "passes/pass.h"
#include "src/ops/ops.h"

/* The op, or the mean that it begins with where it is written out. */
static bool is_norm(const Node *node)
{
    return node_is(node, "LayerNormalization") || node_is(node, "ReduceMean");
}

static bool feeds_norm(const Node *node)
{
    for (size_t i = 0; i < node->out[0]->n_uses; i++)
        if (is_norm(node->out[0]->uses[i].node))
            return true;
    return false;
}

static Status replace(PassContext *context, Node *node)
{
    Model *model = context->model;
    Value *sum = graph_value(node->graph, model_fresh_name(model, arena_printf(model->arena, "%s_sum", node->out[0]->name)));
    TRY(ops_add_node(node->graph, node, "Sum", "", node->name[0] != '\0' ? node->name : sum->name, 2, node->in, sum, NULL));
    TRY(pass_replace_node(node, sum));
    ++*context->changes;
    return NULL;
}

static Status visit(PassContext *context, Node *node)
{
    bool fits = node_is(node, "Add") && node->out[0] != NULL && value_is_float(node->out[0]) &&
                node_constant(node, 0) == NULL && node_constant(node, 1) == NULL && feeds_norm(node);
    return fits ? replace(context, node) : NULL;
}

static Status run(PassContext *context)
{
    if (!context->target->slow_skip_norm)
        return NULL;
    return pass_each_outer(context, visit);
}

const Pass pass_split_skip_norm = {
    .name = "split_skip_norm",
    .stage = PASS_TARGET,
    .summary = "writes a residual Add in front of a normalization as Sum, which runtimes do not join with it",
    .run = run,
};
