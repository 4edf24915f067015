/* inline.c - see inline.h. */
#include "passes/inline.h"

#include "src/ops/ops.h"

bool inline_is_plain(const Graph *inner)
{
    for (const Node *node = inner->first; node != NULL; node = node->next)
        if (node_has_graph(node))
            return false;
    return true;
}

Value *inline_find(const Map *moved, const Graph *inner, Value *value)
{
    return value == NULL || value->graph != inner ? value : map_get(moved, value->name);
}

void inline_constants(const Graph *inner, const Node *owner, Map *moved)
{
    Graph *to = owner->graph;
    for (int i = 0; i < inner->n_initializers; i++) {
        Value *from = inner->initializers[i];
        map_put(moved, from->name, graph_add_constant(to, model_fresh_name(to->model, from->name), from->constant));
    }
}

Status inline_nodes(PassContext *context, const Graph *inner, Node *owner, Map *moved, bool repeated)
{
    for (Node *node = inner->first; node != NULL; node = node->next) {
        ArenaMark mark = arena_mark(context->scratch);
        Value **in = arena_array(context->scratch, (size_t)node->n_in + 1, sizeof(in[0]));
        for (int i = 0; i < node->n_in; i++)
            in[i] = inline_find(moved, inner, node->in[i]);
        Node *copy = pass_copy_node(node, owner->graph, owner, in);
        arena_rewind(context->scratch, mark);
        for (int i = 0; i < node->n_out; i++) {
            if (node->out[i] == NULL)
                continue;
            map_put(moved, node->out[i]->name, copy->out[i]);
            if (repeated && copy->def != NULL && copy->out[i]->type.kind == TYPE_TENSOR)
                copy->out[i]->type.shape = shape_unknown();
        }
        if (repeated)
            TRY(ops_infer_node(copy));
    }
    return NULL;
}

Status inline_replace_output(Node *owner, Value *out, Value *replacement)
{
    if (out->n_outputs == 0) {
        value_replace_uses(out, replacement);
        return NULL;
    }
    value_replace_node_uses(out, replacement);
    if (!value_can_take_name(replacement, out)) {
        Node *identity = pass_add_node(owner->graph, owner, "Identity", owner->name, 1, &replacement);
        TRY(ops_infer_node(identity));
        replacement = identity->out[0];
    }
    value_take_name(replacement, out);
    return NULL;
}
