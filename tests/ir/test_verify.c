/* verify.c: each broken link is found. The fields are broken by hand; edit.c cannot make such graphs. */
#include "src/ir/ir.h"
#include "tests/test.h"

typedef struct Net {
    Model *model;
    Graph *graph;
    Value *x, *w, *h, *y;
    Node *mul, *relu;
} Net;

static Net net_new(void)
{
    Net net = {.model = model_new()};
    net.graph = graph_new(net.model, "net", NULL);
    net.x = graph_value(net.graph, "x");
    graph_add_input(net.graph, net.x);
    net.w = graph_add_float(net.graph, "w", 2);
    net.mul = graph_add_node(net.graph, NULL, "Mul", "", "mul", 2, (Value *[]){net.x, net.w}, 1, NULL);
    net.h = net.mul->out[0];
    net.relu = graph_add_node(net.graph, NULL, "Relu", "", "relu", 1, &net.h, 1, NULL);
    net.y = net.relu->out[0];
    graph_add_output(net.graph, net.y);
    return net;
}

static Graph *add_inner(Net *net)
{
    Graph *inner = graph_new(net->model, "inner", net->relu);
    node_add_attr(net->relu, "body", ATTR_GRAPH)->g = inner;
    return inner;
}

/* Builds a net, breaks it, and expects the verifier to say so. */
#define CHECK_BROKEN(part, ...)                                                                                        \
    do {                                                                                                               \
        Net net = net_new();                                                                                           \
        CHECK_OK(model_verify(net.model));                                                                             \
        __VA_ARGS__;                                                                                                   \
        CHECK_FAILS(model_verify(net.model), CODE_MODEL, part);                                                        \
        model_free(net.model);                                                                                         \
    } while (0)

TEST(verify_finds_broken_uses)
{
    CHECK_BROKEN("missing in the uses of value 'w'", net.w->n_uses = 0);
    CHECK_BROKEN("missing in the uses of value 'x'", net.x->uses[0].input = 1);
    CHECK_BROKEN("missing in the uses", node_slots(net.mul)[0] = 1);
    CHECK_BROKEN("missing in the uses", net.mul->in[0] = net.w);
    CHECK_BROKEN("a removed node still reads", net.mul->n_in = 1);
}

TEST(verify_finds_broken_producers)
{
    CHECK_BROKEN("another producer", net.y->producer = net.mul);
    CHECK_BROKEN("another producer", net.y->producer_output = 1);
    CHECK_BROKEN("input or initializer", net.y->is_input = true);
    CHECK_BROKEN("nothing computes it", net.relu->out[0] = NULL; node_set_input(net.mul, 1, net.y));
    CHECK_BROKEN("nothing computes the output", net.relu->out[0] = NULL);
    CHECK_BROKEN("input 'x' is the output of a node", net.x->producer = net.relu);
}

TEST(verify_finds_broken_lists)
{
    CHECK_BROKEN("list of nodes", net.graph->n_nodes = 1);
    CHECK_BROKEN("list of nodes", net.graph->n_nodes = 3);
    CHECK_BROKEN("list of nodes", net.graph->last = net.mul);
    CHECK_BROKEN("list of nodes", net.relu->prev = NULL);
    CHECK_BROKEN("list of nodes", net.relu->graph = NULL);
    CHECK_BROKEN("list of nodes", net.relu->next = net.mul);
    CHECK_BROKEN("counts as 0 graph outputs", net.y->n_outputs = 0);
    CHECK_BROKEN("counts as 1 graph outputs", net.h->n_outputs = 1);
    CHECK_BROKEN("does not know that it is one", net.x->is_input = false);
    CHECK_BROKEN("whether it is an input", net.w->is_input = true);
    CHECK_BROKEN("does not know its place", net.w->initializer_slot = 3);
    CHECK_BROKEN("has no tensor", net.w->constant = NULL);
    CHECK_BROKEN("do not match", net.w->constant->count = 2);
    CHECK_BROKEN("of type int8 has a tensor of type float", net.w->type.dtype = DT_INT8);
}

TEST(verify_finds_names_and_ids_taken_twice)
{
    CHECK_BROKEN("two values are named 'x'", net.h->name = "x");
    CHECK_BROKEN("has no name", net.h->name = "");
    CHECK_BROKEN("missing in the model's table", net.h->name = "unlisted");
    CHECK_BROKEN("has the id", net.h->id = net.x->id);
    CHECK_BROKEN("has the id", net.h->id = 1000);
    CHECK_BROKEN("has the id", net.relu->id = net.mul->id);
}

TEST(verify_finds_values_out_of_scope)
{
    CHECK_BROKEN("out of scope", Graph *inner = add_inner(&net); Value *v = graph_add_float(inner, "v", 1);
                 node_set_input(graph_add_node(net.graph, NULL, "Abs", NULL, NULL, 0, NULL, 1, NULL), 0, v));
    CHECK_BROKEN("before it is computed", Graph *inner = add_inner(&net);
                 graph_add_node(inner, NULL, "Abs", NULL, NULL, 1, &net.y, 1, NULL));
    CHECK_BROKEN("graph of another node", add_inner(&net)->owner = net.mul);
    CHECK_BROKEN("another model", add_inner(&net)->model = NULL);
    CHECK_BROKEN("belongs to another graph", net.h->graph = NULL);
}

TEST(verify_wants_a_graph)
{
    Model *model = model_new();
    CHECK_FAILS(model_verify(model), CODE_MODEL, "no graph");
    model_free(model);
}
