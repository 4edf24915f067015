/* eliminate_identity.c - Identity nodes go where names allow it.
 *
 *     Conv -> a -> Identity -> y (output)      ->      Conv -> y
 *
 * One that gives a graph input, an initializer or another output a second name as a graph output stays.
 */
#include "passes/pass.h"

static Status visit(PassContext *context, Node *node)
{
    if (!node_is(node, "Identity") || node_in(node, 0) == NULL || node->n_out != 1 || node->out[0] == NULL)
        return NULL;
    if (pass_can_replace(node, node->in[0])) {
        TRY(pass_replace_node(node, node->in[0]));
        ++*context->changes;
    } else if (node->out[0]->n_uses > 0) {
        value_replace_node_uses(node->out[0], node->in[0]);
        ++*context->changes;
    }
    return NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_eliminate_identity = {
    .name = "eliminate_identity",
    .stage = PASS_SIMPLIFY,
    .ops = "Identity",
    .summary = "Identity nodes go",
    .run = run,
};
