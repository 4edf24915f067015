/* eliminate_if.c - an If whose condition is constant gives way to the nodes of the branch that is taken.
 *
 *     If (true) { then: a = Exp(x), b = Add(a, w) } -> y           ->      Exp(x) -> a, Add(a, w) -> y
 *
 * Nodes and initializers of the branch get fresh names in the graph around it. A branch whose nodes hold graphs
 * themselves stays until those are gone; inner nodes are visited first.
 */
#include "passes/inline.h"

static Graph *branch_of(const Node *node, const char *name)
{
    const Attr *attr = node_attr(node, name);
    return attr != NULL && attr->kind == ATTR_GRAPH ? attr->g : NULL;
}

static Status visit(PassContext *context, Node *node)
{
    double condition;
    if (!node_is(node, "If") || node->n_in != 1 || node->in[0] == NULL || !pass_value_is_constant(node->in[0]) ||
        node->in[0]->constant->count != 1)
        return NULL;
    condition = tensor_get(node->in[0]->constant, 0);
    Graph *branch = branch_of(node, condition != 0 ? "then_branch" : "else_branch");
    if (branch == NULL || branch->n_outputs != node->n_out || !inline_is_plain(branch))
        return NULL;
    Map *moved = map_new();
    inline_constants(branch, node, moved);
    Status status = inline_nodes(context, branch, node, moved, false);
    for (int i = 0; i < node->n_out && status == NULL; i++)
        if (node->out[i] != NULL)
            status = inline_replace_output(node, node->out[i], inline_find(moved, branch, branch->outputs[i]));
    map_free(moved);
    TRY(status);
    node_remove(node);
    ++*context->changes;
    return NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_eliminate_if = {
    .name = "eliminate_if",
    .stage = PASS_SIMPLIFY,
    .ops = "If",
    .summary = "an If with a constant condition gives way to the branch that is taken",
    .run = run,
};
