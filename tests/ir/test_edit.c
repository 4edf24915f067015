/* edit.c and sort.c: links stay right through every change; the verifier is asked after each. */
#include "src/ir/ir.h"
#include "tests/test.h"

#include <stdio.h>
#include <string.h>

typedef struct Net {
    Model *model;
    Graph *graph;
    Value *x, *w, *h, *y;
    Node *mul, *relu;
} Net;

/* x, w -> Mul -> h -> Relu -> y (output) */
static Net net_new(void)
{
    Net net = {.model = model_new()};
    net.graph = graph_new(net.model, "net", NULL);
    net.x = graph_value(net.graph, "x");
    graph_add_input(net.graph, net.x);
    net.w = graph_add_float(net.graph, "w", 2);
    net.h = graph_value(net.graph, "h");
    net.y = graph_value(net.graph, "y");
    net.mul = graph_add_node(net.graph, NULL, "Mul", "", "mul", 2, (Value *[]){net.x, net.w}, 1, &net.h);
    net.relu = graph_add_node(net.graph, NULL, "Relu", "", "relu", 1, &net.h, 1, &net.y);
    graph_add_output(net.graph, net.y);
    CHECK_OK(model_verify(net.model));
    return net;
}

TEST(nodes_are_linked_and_unlinked)
{
    Net net = net_new();
    Node *first = graph_add_node(net.graph, net.mul, "Abs", NULL, NULL, 1, &net.x, 1, NULL);
    CHECK(net.graph->first == first && first->next == net.mul && net.mul->prev == first);
    CHECK_INT(net.graph->n_nodes, 3);
    CHECK_INT(net.x->n_uses, 2);
    CHECK_OK(model_verify(net.model));
    Value *gone = first->out[0];
    node_remove(first);
    CHECK(first->graph == NULL && first->next == net.mul && gone->graph == NULL);
    CHECK(!map_has(net.model->names, gone->name));
    CHECK_INT(net.x->n_uses, 1);
    CHECK_OK(model_verify(net.model));
    node_remove(net.relu);
    CHECK(net.y->producer == NULL && net.y->graph == net.graph); /* still the output: waits for another producer */
    CHECK_FAILS(model_verify(net.model), CODE_MODEL, "output 'y'");
    Node *abs = graph_add_node(net.graph, NULL, "Abs", NULL, NULL, 1, &net.h, 1, &net.y);
    CHECK(net.y->producer == abs && net.graph->last == abs);
    CHECK_OK(model_verify(net.model));
    model_free(net.model);
}

TEST(inputs_are_set_extended_trimmed)
{
    Net net = net_new();
    node_set_input(net.mul, 0, net.w);
    CHECK_INT(net.w->n_uses, 2);
    CHECK_INT(net.x->n_uses, 0);
    node_set_input(net.mul, 0, net.w); /* by itself */
    CHECK_INT(net.w->n_uses, 2);
    for (int i = 2; i < 40; i++)
        node_set_input(net.mul, i, i % 3 == 0 ? NULL : net.x);
    CHECK_INT(net.mul->n_in, 40);
    CHECK_OK(model_verify(net.model));
    node_set_input(net.mul, 5, NULL);
    CHECK(node_in(net.mul, 5) == NULL && node_in(net.mul, 40) == NULL);
    CHECK_OK(model_verify(net.model));
    node_trim_inputs(net.mul, 1);
    node_trim_inputs(net.mul, 3); /* nothing there */
    CHECK_INT(net.mul->n_in, 1);
    CHECK_INT(net.x->n_uses, 0);
    CHECK_INT(net.w->n_uses, 1);
    CHECK_OK(model_verify(net.model));
    model_free(net.model);
}

TEST(uses_survive_random_edits)
{
    enum { VALUES = 5, NODES = 20, INPUTS = 4 };
    Net net = net_new();
    Value *values[VALUES];
    Node *nodes[NODES];
    for (int i = 0; i < VALUES; i++)
        values[i] = graph_add_float(net.graph, "v", (float)i);
    for (int i = 0; i < NODES; i++)
        nodes[i] = graph_add_node(net.graph, NULL, "Sum", NULL, NULL, INPUTS, (Value *[INPUTS]){values[0]}, 1, NULL);
    uint32_t random = 1;
    for (int round = 0; round < 2000; round++) {
        random = random * 1664525u + 1013904223u;
        uint32_t r = random >> 8;
        Value *value = r % 7 == 0 ? NULL : values[r / 7 % VALUES];
        node_set_input(nodes[r / 64 % NODES], (int)(r / 2048 % INPUTS), value);
        if (round % 500 == 250)
            value_replace_node_uses(values[r % VALUES], values[(r + 1) % VALUES]);
        if (round % 100 == 0)
            CHECK_OK(model_verify(net.model));
    }
    CHECK_OK(model_verify(net.model));
    model_free(net.model);
}

TEST(many_uses_of_one_value_come_and_go_in_linear_time)
{
    enum { MANY = 100000 };
    Net net = net_new();
    for (int i = 0; i < MANY; i++)
        graph_add_node(net.graph, NULL, "Abs", NULL, NULL, 1, &net.x, 1, NULL);
    CHECK_INT(net.x->n_uses, MANY + 1);
    Node *next;
    for (Node *node = net.relu->next; node != NULL; node = next) {
        next = node->next;
        node_remove(node);
    }
    CHECK_INT(net.x->n_uses, 1);
    CHECK_INT(net.graph->n_nodes, 2);
    CHECK_OK(model_verify(net.model));
    model_free(net.model);
}

TEST(replaced_uses_give_the_output_its_name)
{
    Net net = net_new();
    graph_add_output(net.graph, graph_add_node(net.graph, NULL, "Abs", NULL, NULL, 1, &net.y, 1, NULL)->out[0]);
    int declared = 0;
    net.y->origin = &declared;
    net.y->type = type_tensor(DT_FLOAT, &(Shape){.rank = 1, .dims = {{-1, "N"}}});
    value_replace_uses(net.y, net.h); /* Relu becomes dead */
    CHECK_TEXT(net.h->name, "y");
    CHECK(net.graph->outputs[0] == net.h && net.h->n_outputs == 1 && net.y->n_outputs == 0);
    CHECK(map_get(net.model->names, "y") == net.h && !map_has(net.model->names, "h"));
    CHECK(strcmp(net.y->name, "y") != 0 && map_get(net.model->names, net.y->name) == net.y);
    CHECK(net.h->origin == &declared && net.y->origin == NULL);
    CHECK_TEXT(net.h->type.shape.dims[0].name, "N");
    CHECK(net.graph->last->in[0] == net.h);
    CHECK_OK(model_verify(net.model));
    CHECK_INT(net.h->n_uses, 2);
    node_remove(net.relu);
    CHECK_OK(model_verify(net.model));
    model_free(net.model);
}

TEST(an_output_keeps_its_producer_when_the_other_cannot_be_renamed)
{
    Net net = net_new();
    value_replace_uses(net.y, net.x);
    CHECK(!value_can_take_name(net.x, net.y) && !value_can_take_name(net.w, net.y));
    CHECK(!value_can_take_name(net.y, net.y));
    CHECK_INT(net.y->n_outputs, 1);
    CHECK_TEXT(net.x->name, "x");
    graph_add_output(net.graph, net.h);
    CHECK(!value_can_take_name(net.h, net.y)); /* its own name is promised, too */
    value_replace_uses(net.y, net.h);
    CHECK(net.graph->outputs[0] == net.y && net.graph->outputs[1] == net.h);
    CHECK_OK(model_verify(net.model));
    model_free(net.model);
}

TEST(a_value_listed_twice_as_output_moves_as_a_whole)
{
    Net net = net_new();
    graph_add_output(net.graph, net.y);
    CHECK_INT(net.y->n_outputs, 2);
    value_take_name(net.h, net.y);
    CHECK(net.graph->outputs[0] == net.h && net.graph->outputs[1] == net.h);
    CHECK_INT(net.h->n_outputs, 2);
    CHECK_INT(net.relu->in[0] == net.h, 1);
    CHECK_OK(model_verify(net.model));
    graph_set_output(net.graph, 1, net.y);
    CHECK_INT(net.h->n_outputs, 1);
    CHECK_OK(model_verify(net.model));
    model_free(net.model);
}

TEST(many_outputs_are_renamed_in_linear_time)
{
    enum { MANY = 50000 };
    Net net = net_new();
    Node *first = NULL;
    for (int i = 0; i < MANY; i++) {
        Node *node = graph_add_node(net.graph, NULL, "Abs", NULL, NULL, 1, &net.x, 1, NULL);
        first = first == NULL ? node : first;
        graph_add_output(net.graph, node->out[0]);
    }
    for (Node *node = first; node != NULL; node = node->next) {
        Value *old = node->out[0];
        node_set_output(node, 0, graph_value(net.graph, model_fresh_name(net.model, "new")));
        value_take_name(node->out[0], old);
        value_remove(old);
    }
    CHECK_OK(model_verify(net.model));
    CHECK_INT(net.graph->n_outputs, MANY + 1);
    model_free(net.model);
}

TEST(outputs_of_nodes_change_hands)
{
    Net net = net_new();
    node_set_output(net.relu, 0, NULL);
    CHECK(net.y->producer == NULL);
    node_set_output(net.mul, 1, net.y); /* one beyond the end */
    CHECK(net.mul->n_out == 2 && net.y->producer == net.mul && net.y->producer_output == 1);
    CHECK_OK(model_verify(net.model));
    model_free(net.model);
}

TEST(initializers_come_and_go)
{
    Net net = net_new();
    Value *values[4];
    for (int i = 0; i < 4; i++)
        values[i] = graph_add_float(net.graph, "c", (float)i);
    value_remove(values[1]);
    CHECK_INT(net.graph->n_initializers, 4);
    CHECK_OK(model_verify(net.model));
    int origin = 0;
    net.w->tensor_origin = &origin;
    value_set_constant(net.w, tensor_new_scalar(net.model->arena, DT_INT64, 5)); /* replaced in place */
    CHECK_INT(net.graph->n_initializers, 4);
    CHECK_INT(net.w->type.dtype, DT_INT64);
    CHECK(net.w->tensor_origin == NULL);
    CHECK_OK(model_verify(net.model));
    value_set_constant(net.w, NULL);
    CHECK_FAILS(model_verify(net.model), CODE_MODEL, "'w'"); /* nothing computes it */
    node_set_input(net.mul, 1, NULL);
    value_remove(net.w);
    value_remove(values[3]);
    value_remove(values[0]);
    value_remove(values[2]);
    CHECK_INT(net.graph->n_initializers, 0);
    CHECK(!map_has(net.model->names, "w"));
    CHECK_OK(model_verify(net.model));
    model_free(net.model);
}

TEST(an_initializer_that_is_an_input_too_is_unlisted)
{
    Net net = net_new();
    graph_add_input(net.graph, net.w);
    graph_add_input(net.graph, net.w);
    CHECK_INT(net.graph->n_inputs, 2);
    CHECK_OK(model_verify(net.model));
    graph_remove_input(net.graph, net.x);
    CHECK(net.graph->inputs[0] == net.w && net.graph->n_inputs == 1 && !net.x->is_input);
    node_trim_inputs(net.mul, 0);
    value_remove(net.w);
    CHECK_INT(net.graph->n_inputs, 0);
    CHECK_INT(net.graph->n_initializers, 0);
    CHECK_OK(model_verify(net.model));
    model_free(net.model);
}

/* An If whose branches read `captured` of the outer graph; equal names in both branches. */
static Node *add_if(Net *net, Value *captured)
{
    Node *node = graph_add_node(net->graph, NULL, "If", NULL, "if", 1, &net->x, 1, NULL);
    static const char *const names[] = {"then_branch", "else_branch"};
    for (int i = 0; i < 2; i++) {
        Graph *branch = graph_new(net->model, names[i], node);
        node_add_attr(node, names[i], ATTR_GRAPH)->g = branch;
        Value *inner = graph_value(branch, "inner");
        graph_add_node(branch, NULL, "Add", NULL, NULL, 2, (Value *[]){captured, graph_add_float(branch, "one", 1)}, 1,
                       &inner);
        graph_add_output(branch, inner);
    }
    return node;
}

TEST(inner_graphs_show_in_the_uses_of_what_they_capture)
{
    Net net = net_new();
    Node *node = add_if(&net, net.h);
    CHECK_OK(model_verify(net.model));
    CHECK_INT(net.h->n_uses, 3);
    value_replace_uses(net.h, net.x); /* inner uses too */
    CHECK_INT(net.h->n_uses, 0);
    CHECK_INT(net.x->n_uses, 5);
    CHECK_OK(model_verify(net.model));
    node_remove_attr(node, "else_branch");
    CHECK_INT(net.x->n_uses, 4);
    CHECK_OK(model_verify(net.model));
    node_remove(node);
    CHECK_INT(net.x->n_uses, 2);
    CHECK_OK(model_verify(net.model));
    model_free(net.model);
}

TEST(inner_graphs_may_hand_out_outer_values)
{
    Net net = net_new();
    Graph *branch = node_attr(add_if(&net, net.h), "then_branch")->g;
    Value *abs = graph_add_node(net.graph, net.relu, "Abs", NULL, NULL, 1, &net.x, 1, NULL)->out[0];
    node_move_before(abs->producer, net.mul);
    graph_add_output(branch, net.h);
    CHECK_OK(model_verify(net.model));
    value_replace_uses(net.h, abs);
    CHECK(branch->outputs[1] == abs && net.h->n_outputs == 0);
    CHECK_TEXT(net.h->name, "h"); /* no output of its own graph: nothing was renamed */
    CHECK_OK(model_verify(net.model));
    node_remove(branch->owner);
    CHECK_INT(abs->n_outputs, 0);
    CHECK_OK(model_verify(net.model));
    model_free(net.model);
}

TEST(names_shared_by_sibling_graphs_are_never_fresh)
{
    Net net = net_new();
    Node *node = add_if(&net, net.h);
    Value *first = node_attr(node, "then_branch")->g->outputs[0];
    CHECK(map_get(net.model->names, "inner") == first);
    value_take_name(graph_add_node(first->graph, NULL, "Abs", NULL, NULL, 1, &first, 1, NULL)->out[0], first);
    CHECK_OK(model_verify(net.model));
    node_remove_attr(node, "then_branch");
    CHECK(strcmp(model_fresh_name(net.model, "inner"), "inner") != 0);
    CHECK_OK(model_verify(net.model));
    Value *second = node_attr(node, "else_branch")->g->outputs[0];
    value_take_name(graph_add_node(second->graph, NULL, "Abs", NULL, NULL, 1, &second, 1, NULL)->out[0], second);
    CHECK_TEXT(second->graph->outputs[0]->name, "inner");
    CHECK_OK(model_verify(net.model));
    model_free(net.model);
}

/* ---- sort -------------------------------------------------------------------------------------------------------- */

static void check_order(const char *file, int line, const Graph *graph, const char *expected)
{
    Text text = {0};
    for (const Node *node = graph->first; node != NULL; node = node->next)
        text_add(&text, node->name);
    if (text.data == NULL || strcmp(text.data, expected) != 0)
        test_fail(file, line, "order is %s, expected %s", text.data, expected);
    text_free(&text);
}
#define CHECK_ORDER(graph, expected) check_order(__FILE__, __LINE__, (graph), (expected))

TEST(sort_leaves_what_is_in_order)
{
    Net net = net_new();
    graph_add_node(net.graph, NULL, "Abs", NULL, "B", 1, &net.h, 1, NULL);
    graph_add_node(net.graph, NULL, "Abs", NULL, "A", 1, &net.x, 1, NULL);
    CHECK_OK(graph_sort(net.graph));
    CHECK_ORDER(net.graph, "mulreluBA");
    node_move_before(net.relu, net.mul);
    CHECK_ORDER(net.graph, "relumulBA");
    CHECK_FAILS(model_verify(net.model), CODE_MODEL, "before it is computed");
    CHECK_OK(graph_sort(net.graph));
    CHECK_ORDER(net.graph, "mulreluBA");
    CHECK_OK(model_verify(net.model));
    node_move_before(net.mul, NULL);
    CHECK_ORDER(net.graph, "reluBAmul");
    CHECK_OK(graph_sort(net.graph));
    CHECK_ORDER(net.graph, "mulreluBA");
    CHECK_OK(model_verify(net.model));
    Graph *empty = graph_new(net.model, "empty", net.mul);
    CHECK_OK(graph_sort(empty));
    model_free(net.model);
}

TEST(sort_names_a_node_on_a_cycle)
{
    Net net = net_new();
    node_set_input(net.mul, 1, net.y);
    CHECK_FAILS(graph_sort(net.graph), CODE_MODEL, "node 'relu' (Relu): is part of a cycle: it reads node 'mul' (Mul)");
    CHECK_ORDER(net.graph, "mulrelu");
    node_set_input(net.mul, 1, net.h); /* itself */
    CHECK_FAILS(graph_sort(net.graph), CODE_MODEL, "node 'mul' (Mul): is part of a cycle");
    model_free(net.model);
}

TEST(sort_counts_what_inner_graphs_capture)
{
    Net net = net_new();
    Node *node = add_if(&net, net.h);
    node_move_before(node, net.mul);
    CHECK_FAILS(model_verify(net.model), CODE_MODEL, "'h' before it is computed");
    CHECK_OK(graph_sort(net.graph));
    CHECK_ORDER(net.graph, "mulifrelu");
    CHECK_OK(model_verify(net.model));
    Graph *branch = node_attr(node, "then_branch")->g; /* inner graphs are sorted, too */
    Value *inner = branch->outputs[0];
    graph_add_node(branch, branch->first, "Abs", NULL, "late", 1, &inner, 1, NULL);
    CHECK_OK(graph_sort(net.graph));
    CHECK_TEXT(branch->last->name, "late");
    CHECK_OK(model_verify(net.model));
    graph_add_output(branch, net.y);
    CHECK_OK(graph_sort(net.graph));
    CHECK_ORDER(net.graph, "mulreluif");
    CHECK_OK(model_verify(net.model));
    node_set_input(branch->first, 1, node->out[0]); /* the branch waits for its own If */
    CHECK_FAILS(graph_sort(net.graph), CODE_MODEL, "node 'if' (If): is part of a cycle");
    model_free(net.model);
}

TEST(sort_of_a_long_reversed_chain)
{
    enum { LONG = 100000 };
    Net net = net_new();
    Value *value = net.y;
    for (int i = 0; i < LONG; i++)
        value = graph_add_node(net.graph, net.graph->first, "Abs", NULL, NULL, 1, &value, 1, NULL)->out[0];
    CHECK_OK(graph_sort(net.graph));
    CHECK(net.graph->first == net.mul && net.graph->last->out[0] == value);
    CHECK_OK(model_verify(net.model));
    model_free(net.model);
}
