/* eliminate_dead.c - what nobody reads goes: nodes, initializers, optional outputs.
 *
 *     x -> Relu -> y (output)             x -> Relu -> y (output)
 *       \-> Exp -> z (unread)       ->
 *     MaxPool -> y, Indices (unread)      MaxPool -> y
 *
 * One sweep against the order of the graph: a node's readers are gone before it is looked at.
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

static bool is_read(const Value *value)
{
    return value->n_uses > 0 || value->n_outputs > 0;
}

static bool is_dead(const Node *node)
{
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] != NULL && is_read(node->out[i]))
            return false;
    return true;
}

/* The number of a variadic op's outputs means something (Split), and training mode asks for all of them. */
static bool may_omit_outputs(const Node *node)
{
    return node->def != NULL && node->def->max_out != OP_VARIADIC && !node_has_graph(node) &&
           node_int(node, "training_mode", 0) == 0;
}

static void drop_outputs(PassContext *context, Node *node)
{
    for (int i = MAX(node->def->min_out, 1); i < node->n_out; i++) {
        Value *out = node->out[i];
        if (out == NULL || is_read(out))
            continue;
        node_set_output(node, i, NULL);
        value_remove(out);
        ++*context->changes;
    }
    while (node->n_out > MAX(node->def->min_out, 1) && node->out[node->n_out - 1] == NULL)
        node->n_out--;
}

static void sweep_initializers(PassContext *context, Graph *graph)
{
    for (int i = graph->n_initializers - 1; i >= 0; i--) {
        Value *value = graph->initializers[i];
        if (is_read(value) || value->is_input)
            continue;
        value_remove(value);
        ++*context->changes;
    }
}

static void sweep(PassContext *context, Graph *graph)
{
    for (Node *node = graph->last, *previous; node != NULL; node = previous) {
        previous = node->prev;
        if (is_dead(node)) {
            node_remove(node);
            ++*context->changes;
            continue;
        }
        for (int i = 0; i < node_graph_attrs(node); i++) {
            Graph *const *inner;
            int64_t n = attr_graphs(&node->attrs[i], &inner);
            for (int64_t j = 0; j < n; j++)
                sweep(context, inner[j]);
        }
        if (may_omit_outputs(node))
            drop_outputs(context, node);
    }
    sweep_initializers(context, graph);
}

static Status run(PassContext *context)
{
    sweep(context, context->model->graph);
    return NULL;
}

const Pass pass_eliminate_dead = {
    .name = "eliminate_dead",
    .stage = PASS_SIMPLIFY,
    .summary = "nodes, initializers and optional outputs that nobody reads go",
    .run = run,
};
