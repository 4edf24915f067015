/* eliminate_if.c - an If whose condition is constant gives way to the nodes of the branch that is taken.
 *
 *     If (true) { then: a = Exp(x), b = Add(a, w) } -> y           ->      Exp(x) -> a, Add(a, w) -> y
 *
 * Nodes and initializers of the branch get fresh names in the graph around it. A branch whose nodes hold graphs
 * themselves stays until those are gone; inner nodes are visited first.
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

#include <string.h>

static Graph *branch_of(const Node *node, const char *name)
{
    const Attr *attr = node_attr(node, name);
    return attr != NULL && attr->kind == ATTR_GRAPH ? attr->g : NULL;
}

static bool is_plain(const Graph *graph)
{
    for (const Node *node = graph->first; node != NULL; node = node->next)
        if (node_has_graph(node))
            return false;
    return true;
}

/* What a value of the branch is outside; values from further out are themselves. */
static Value *find(Map *moved, const Graph *branch, Value *value)
{
    return value == NULL || value->graph != branch ? value : map_get(moved, value->name);
}

static void move_constants(Graph *branch, Graph *to, Map *moved)
{
    for (int i = 0; i < branch->n_initializers; i++) {
        Value *from = branch->initializers[i];
        map_put(moved, from->name, graph_add_constant(to, model_fresh_name(to->model, from->name), from->constant));
    }
}

static void move_nodes(PassContext *context, Graph *branch, Node *owner, Map *moved)
{
    for (Node *node = branch->first; node != NULL; node = node->next) {
        Value **in = arena_array(context->scratch, (size_t)node->n_in + 1, sizeof(in[0]));
        for (int i = 0; i < node->n_in; i++)
            in[i] = find(moved, branch, node->in[i]);
        Node *copy = pass_copy_node(node, owner->graph, owner, in);
        for (int i = 0; i < node->n_out; i++)
            if (node->out[i] != NULL)
                map_put(moved, node->out[i]->name, copy->out[i]);
    }
}

static Status replace_output(Node *node, Value *out, Value *replacement)
{
    if (out->n_outputs == 0) {
        value_replace_uses(out, replacement);
        return NULL;
    }
    value_replace_node_uses(out, replacement);
    if (!value_can_take_name(replacement, out)) {
        Node *identity = pass_add_node(node->graph, node, "Identity", node->name, 1, &replacement);
        TRY(ops_infer_node(identity));
        replacement = identity->out[0];
    }
    value_take_name(replacement, out);
    return NULL;
}

static Status visit(PassContext *context, Node *node)
{
    double condition;
    if (!node_is(node, "If") || node->n_in != 1 || node->in[0] == NULL || !pass_value_is_constant(node->in[0]) ||
        node->in[0]->constant->count != 1)
        return NULL;
    condition = tensor_get(node->in[0]->constant, 0);
    Graph *branch = branch_of(node, condition != 0 ? "then_branch" : "else_branch");
    if (branch == NULL || branch->n_outputs != node->n_out || !is_plain(branch))
        return NULL;
    Map *moved = map_new();
    move_constants(branch, node->graph, moved);
    move_nodes(context, branch, node, moved);
    Status status = NULL;
    for (int i = 0; i < node->n_out && status == NULL; i++)
        if (node->out[i] != NULL)
            status = replace_output(node, node->out[i], find(moved, branch, branch->outputs[i]));
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
    .summary = "an If with a constant condition gives way to the branch that is taken",
    .run = run,
};
