/* edit.c - the only file that changes links. What always holds between two calls (verify.c checks it):
 *
 *     node->in[i] == v     <=>  v->uses[node_slots(node)[i]] is {node, i}
 *     node->out[i] == v    <=>  v->producer == node and v->producer_output == i
 *     v listed in ...       <=>  v->is_input, v->n_outputs, v->constant with v->initializer_slot
 *
 * A use knows its place in the list, so adding and removing one takes the same time however many there are:
 *
 *     v->uses  a b c d      remove b:  a d c      d's slot becomes 1
 */
#include "src/ir/ir.h"
#include "src/ir/list.h"

#include <assert.h>
#include <string.h>

static Arena *arena_of(const Graph *graph)
{
    return graph->model->arena;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* The map forgets the value's name; a name that other graphs share stays reserved. */
static void name_release(Value *value)
{
    Map *names = value->graph->model->names;
    if (map_get(names, value->name) != value)
        return;
    if (value->shares_name)
        map_put(names, value->name, NULL);
    else
        map_remove(names, value->name);
}

/* Nothing points at it any more. */
static void value_forget(Value *value)
{
    name_release(value);
    value->graph = NULL;
}

/* ---- uses -------------------------------------------------------------------------------------------------------- */

static void use_add(Value *value, Node *node, int input)
{
    if (value->cap_uses == 0) { /* most values are read once */
        value->uses = &value->first_use;
        value->cap_uses = 1;
    }
    LIST_ROOM(arena_of(value->graph), value->uses, value->n_uses, value->cap_uses);
    node->in[input] = value;
    node_slots(node)[input] = value->n_uses;
    value->uses[value->n_uses++] = (Use){node, input};
    node->graph->model->steps++;
}

static void use_remove(Node *node, int input)
{
    Value *value = node->in[input];
    if (value == NULL)
        return;
    size_t slot = node_slots(node)[input];
    Use moved = value->uses[--value->n_uses];
    value->uses[slot] = moved;
    node_slots(moved.node)[moved.input] = slot;
    node->in[input] = NULL;
    node->graph->model->steps++;
}

_Static_assert(sizeof(Value *) == sizeof(size_t), "inputs and their slots are cut from one piece");

static void grow_inputs(Node *node)
{
    size_t n = (size_t)node->n_in, cap = n < 2 ? 2 : n * 2;
    size_t *slots = node_slots(node);
    node->in = list_grow(arena_of(node->graph), node->in, n, 2 * cap, sizeof *node->in);
    node->cap_in = (int)cap;
    memcpy(node_slots(node), slots, n * sizeof *slots);
}

void node_set_input(Node *node, int i, Value *value)
{
    assert(i >= 0 && i <= node->n_in);
    if (i == node->n_in) {
        if (node->n_in == node->cap_in)
            grow_inputs(node);
        node->in[node->n_in++] = NULL;
    }
    use_remove(node, i);
    if (value != NULL)
        use_add(value, node, i);
}

void node_trim_inputs(Node *node, int n)
{
    for (int i = n; i < node->n_in; i++)
        use_remove(node, i);
    node->n_in = MIN(node->n_in, n);
}

void value_replace_node_uses(Value *from, Value *to)
{
    if (from == to)
        return;
    for (size_t i = 0; i < from->n_uses; i++)
        use_add(to, from->uses[i].node, from->uses[i].input);
    from->n_uses = 0;
}

/* ---- graph outputs ----------------------------------------------------------------------------------------------- */

void graph_add_input(Graph *graph, Value *value)
{
    if (value->is_input)
        return;
    LIST_ROOM(arena_of(graph), graph->inputs, graph->n_inputs, graph->cap_inputs);
    graph->inputs[graph->n_inputs++] = value;
    value->is_input = true;
}

void graph_remove_input(Graph *graph, Value *value)
{
    if (!value->is_input)
        return;
    int i = graph->n_inputs - 1;
    while (graph->inputs[i] != value)
        i--;
    graph->n_inputs--;
    memmove(&graph->inputs[i], &graph->inputs[i + 1], (size_t)(graph->n_inputs - i) * sizeof *graph->inputs);
    value->is_input = false;
}

static void output_link(Graph *graph, int i, Value *value)
{
    graph->outputs[i] = value;
    value->n_outputs++;
    value->output_slot = i;
}

void graph_add_output(Graph *graph, Value *value)
{
    LIST_ROOM(arena_of(graph), graph->outputs, graph->n_outputs, graph->cap_outputs);
    output_link(graph, graph->n_outputs++, value);
}

void graph_set_output(Graph *graph, int i, Value *value)
{
    graph->outputs[i]->n_outputs--;
    output_link(graph, i, value);
}

/* Moves each listing of `from` in its own graph to `to`. The remembered slot keeps the usual case, one, short. */
static void outputs_move(Value *to, Value *from)
{
    Graph *graph = from->graph;
    int hint = from->output_slot;
    if (from->n_outputs > 0 && hint < graph->n_outputs && graph->outputs[hint] == from)
        graph_set_output(graph, hint, to);
    for (int i = 0; i < graph->n_outputs && from->n_outputs > 0; i++)
        if (graph->outputs[i] == from)
            graph_set_output(graph, i, to);
}

typedef struct Move {
    Value *to, *from;
} Move;

static void inner_outputs_move(void *context, Graph *graph)
{
    const Move *move = context;
    for (int i = 0; i < graph->n_outputs && graph != move->from->graph; i++)
        if (graph->outputs[i] == move->from)
            graph_set_output(graph, i, move->to);
}

bool value_can_take_name(const Value *to, const Value *from)
{
    return to != from && to->producer != NULL && to->graph == from->graph && to->n_outputs == 0;
}

/* What is known of `to`, made more exact by what was declared of the output it becomes. */
static void type_adopt(Type *to, const Type *declared)
{
    Shape shape;
    if (to->kind == TYPE_UNKNOWN) {
        *to = *declared;
    } else if (to->kind == TYPE_TENSOR && declared->kind == TYPE_TENSOR) {
        if (to->dtype == DT_UNDEFINED)
            to->dtype = declared->dtype;
        Status status = shape_merge(&declared->shape, &to->shape, &shape);
        if (status == NULL)
            to->shape = shape;
        status_free(status);
    }
}

void value_take_name(Value *to, Value *from)
{
    Model *model = from->graph->model;
    const char *name = from->name;
    bool shared = from->shares_name;
    assert(from->n_outputs == 0 || value_can_take_name(to, from));
    if (to == from)
        return;
    name_release(to);
    name_release(from);
    to->name = name;
    to->shares_name = shared;
    map_put(model->names, to->name, to);
    from->name = model_fresh_name(model, name);
    from->shares_name = false;
    map_put(model->names, from->name, from);

    type_adopt(&to->type, &from->type);
    to->origin = from->origin;
    from->origin = NULL;
    outputs_move(to, from);
}

void value_replace_uses(Value *from, Value *to)
{
    const Graph *graph = from->graph;
    if (from == to)
        return;
    value_replace_node_uses(from, to);
    bool listed_once = from->n_outputs == 1 && from->output_slot < graph->n_outputs &&
                       graph->outputs[from->output_slot] == from;
    if (from->n_outputs > 0 && !listed_once) /* an inner graph may hand out an outer value, under any name */
        graph_each(from->graph, inner_outputs_move, &(Move){to, from});
    if (from->n_outputs > 0 && value_can_take_name(to, from))
        value_take_name(to, from);
}

/* ---- initializers ------------------------------------------------------------------------------------------------ */

void value_set_constant(Value *value, Tensor *tensor)
{
    Graph *graph = value->graph;
    assert(value->producer == NULL);
    if (tensor != NULL && value->constant == NULL) {
        LIST_ROOM(arena_of(graph), graph->initializers, graph->n_initializers, graph->cap_initializers);
        value->initializer_slot = graph->n_initializers;
        graph->initializers[graph->n_initializers++] = value;
    } else if (tensor == NULL && value->constant != NULL) {
        Value *last = graph->initializers[--graph->n_initializers];
        graph->initializers[value->initializer_slot] = last;
        last->initializer_slot = value->initializer_slot;
    }
    value->constant = tensor;
    value->content = NULL;
    value->n_content = 0;
    value->tensor_origin = NULL;
    if (tensor != NULL)
        value->type = type_of_tensor(tensor);
}

void value_remove(Value *value)
{
    assert(value->producer == NULL && value->n_uses == 0 && value->n_outputs == 0);
    graph_remove_input(value->graph, value);
    value_set_constant(value, NULL);
    value_forget(value);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static void node_link(Graph *graph, Node *node, Node *before)
{
    node->graph = graph;
    node->next = before;
    node->prev = before != NULL ? before->prev : graph->last;
    if (node->prev != NULL)
        node->prev->next = node;
    else
        graph->first = node;
    if (before != NULL)
        before->prev = node;
    else
        graph->last = node;
    graph->n_nodes++;
}

/* Leaves node->next as it is: see ir.h. */
static void node_unlink(Node *node)
{
    Graph *graph = node->graph;
    if (node->prev != NULL)
        node->prev->next = node->next;
    else
        graph->first = node->next;
    if (node->next != NULL)
        node->next->prev = node->prev;
    else
        graph->last = node->prev;
    node->prev = NULL;
    node->graph = NULL;
    graph->n_nodes--;
}

void node_set_output(Node *node, int i, Value *value)
{
    assert(i >= 0 && i <= node->n_out);
    if (i == node->n_out) {
        size_t n = (size_t)node->n_out++;
        node->out = list_grow(arena_of(node->graph), node->out, n, n + 1, sizeof *node->out);
    }
    if (node->out[i] != NULL)
        node->out[i]->producer = NULL;
    node->out[i] = value;
    if (value != NULL) {
        assert(value->producer == NULL);
        value->producer = node;
        value->producer_output = i;
    }
}

/* Room for the n_in inputs with their slots and n_out outputs, side by side. */
static void add_links(Arena *arena, Node *node)
{
    size_t n_in = (size_t)node->n_in, n_out = (size_t)node->n_out;
    node->in = arena_array(arena, n_in + n_in + n_out, sizeof *node->in);
    node->out = node->in + n_in + n_in;
}

Node *graph_add_node(Graph *graph, Node *before, const char *op_type, const char *domain, const char *name, int n_in,
                     Value *const *in, int n_out, Value *const *out)
{
    Model *model = graph->model;
    Arena *arena = model->arena;
    Node *node = slab_take(arena, &model->node_slab, sizeof *node);
    node->name = name != NULL && *name != '\0' ? arena_strdup(arena, name) : "";
    node->op_type = model_word(model, op_type);
    node->domain = domain == NULL || *domain == '\0' || strcmp(domain, "ai.onnx") == 0 ? "" : model_word(model, domain);
    node->overload = "";
    node->id = model->n_node_ids++;
    node_link(graph, node, before);

    node->n_in = node->cap_in = n_in;
    node->n_out = n_out;
    add_links(arena, node);
    for (int i = 0; i < n_in; i++)
        if (in[i] != NULL)
            use_add(in[i], node, i);
    for (int i = 0; i < n_out; i++) {
        const char *base = *node->name != '\0' ? node->name : node->op_type;
        if (out == NULL)
            node_set_output(node, i, graph_value(graph, model_fresh_name(model, base)));
        else if (out[i] != NULL)
            node_set_output(node, i, out[i]);
    }
    return node;
}

void node_move_before(Node *node, Node *before)
{
    Graph *graph = node->graph;
    if (node == before)
        return;
    node_unlink(node);
    node_link(graph, node, before);
}

void node_remove(Node *node)
{
    for (int i = 0; i < node_graph_attrs(node); i++) {
        Graph *const *inner;
        int64_t n = attr_graphs(&node->attrs[i], &inner);
        for (int64_t k = 0; k < n; k++)
            graph_drop(inner[k]);
    }
    node_trim_inputs(node, 0);
    for (int i = 0; i < node->n_out; i++) {
        Value *value = node->out[i];
        if (value == NULL)
            continue;
        node_set_output(node, i, NULL);
        if (value->n_uses == 0 && value->n_outputs == 0)
            value_forget(value);
    }
    node_unlink(node);
}

void graph_clear_outputs(Graph *graph)
{
    for (int i = 0; i < graph->n_outputs; i++)
        graph->outputs[i]->n_outputs--;
    graph->n_outputs = 0;
}

void graph_drop(Graph *graph)
{
    graph_clear_outputs(graph);
    while (graph->last != NULL)
        node_remove(graph->last);
    while (graph->n_initializers > 0)
        value_remove(graph->initializers[graph->n_initializers - 1]);
    while (graph->n_inputs > 0)
        value_remove(graph->inputs[graph->n_inputs - 1]);
}
