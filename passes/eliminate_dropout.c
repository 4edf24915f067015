/* eliminate_dropout.c - Dropout gives its input when it does not train.
 *
 *     x -> Dropout -> y      ->      x
 */
#include "passes/pass.h"

/* Opset 12 has training_mode as input 2, false when omitted; before, the op never trains. */
static bool is_training(const Node *node)
{
    if (node_in(node, 2) == NULL)
        return false;
    const Tensor *mode = pass_constant(node, 2);
    return mode == NULL || mode->count != 1 || tensor_get_int(mode, 0) != 0;
}

static bool is_read(const Node *node, int i)
{
    return i < node->n_out && node->out[i] != NULL && (node->out[i]->n_uses > 0 || node->out[i]->n_outputs > 0);
}

static Status visit(PassContext *context, Node *node)
{
    if (!node_is(node, "Dropout") || node_in(node, 0) == NULL || node->n_out < 1 || node->out[0] == NULL ||
        is_read(node, 1) || is_training(node) || !pass_can_replace(node, node->in[0]))
        return NULL;
    TRY(pass_replace_node(node, node->in[0]));
    ++*context->changes;
    return NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_eliminate_dropout = {
    .name = "eliminate_dropout",
    .stage = PASS_SIMPLIFY,
    .ops = "Dropout",
    .summary = "Dropout outside training goes",
    .run = run,
};
