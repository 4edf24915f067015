/* test_loop.c - Loops that run a known number of times give way to copies of their bodies. */
#include "tests/passes/graphs.h"
#include "tests/test.h"

#include "src/ops/ops.h"

static Value *scalar(Model *m, DType dtype, const char *name, double value)
{
    return graph_add_constant(m->graph, name, tensor_new_scalar(m->arena, dtype, value));
}

/* Loop (trips, condition, carried...) with an empty body of that many inputs; outputs are named out0, out1, ... */
static Graph *add_loop(Model *m, Value *trips, Value *condition, int n_carried, Value *const *carried, int n_out)
{
    Value *in[4] = {trips, condition};
    for (int i = 0; i < n_carried; i++)
        in[i + 2] = carried[i];
    Node *loop = graph_add_node(m->graph, NULL, "Loop", "", "loop", n_carried + 2, in, 0, NULL);
    for (int i = 0; i < n_out; i++)
        node_set_output(loop, i, graph_value(m->graph, arena_printf(m->arena, "out%d", i)));
    ops_bind_node(loop);
    Attr *attr = node_add_attr(loop, "body", ATTR_GRAPH);
    Graph *body = graph_new(m, "body", loop);
    attr->g = body;
    for (int i = 0; i < n_carried + 2; i++) {
        Value *value = graph_value(body, arena_printf(m->arena, "in%d", i));
        value->type = (Type){.kind = TYPE_TENSOR, .dtype = i == 0 ? DT_INT64 : i == 1 ? DT_BOOL : DT_FLOAT,
                             .shape = i < 2 ? (Shape){.rank = 0} : shape_unknown()};
        graph_add_input(body, value);
    }
    return body;
}

static Value *inner(Graph *body, const char *op_type, int n_in, Value *const *in)
{
    Node *node = graph_add_node(body, NULL, op_type, "", op_type, n_in, in, 1, NULL);
    ops_bind_node(node);
    return node->out[0];
}

static void finish(Model *m, Graph *body, int n, Value *const *outputs)
{
    for (int i = 0; i < n; i++) {
        graph_add_output(body, outputs[i]);
        if (i > 0)
            test_output(body->owner->out[i - 1]);
    }
    (void)m;
}

/* v = v * w + x with w the body's own; the scan output is x + iteration. */
static void build(Model *m, int trips)
{
    Value *x = test_input(m, "x", "N,3"), *v = test_input(m, "v", "N,3");
    Graph *body = add_loop(m, scalar(m, DT_INT64, "n", trips), scalar(m, DT_BOOL, "c", 1), 1, &v, 2);
    Value *w = graph_add_constant(body, "w", tensor_new_floats(m->arena, 0, NULL, (float[]){0.5f}));
    Value *product = inner(body, "Mul", 2, (Value *[]){body->inputs[2], w});
    Value *sum = inner(body, "Add", 2, (Value *[]){product, x});
    Value *k = inner(body, "Cast", 1, body->inputs);
    node_set_int(k->producer, "to", DT_FLOAT);
    Value *scan = inner(body, "Add", 2, (Value *[]){x, k});
    Value *go_on = inner(body, "Identity", 1, &body->inputs[1]);
    finish(m, body, 3, (Value *[]){go_on, sum, scan});
}

static void twice(Model *m)
{
    build(m, 2);
}

static void once(Model *m)
{
    build(m, 1);
}

static void too_often(Model *m)
{
    build(m, 1000);
}

/* Two values change places; what is carried is a graph input and an initializer. */
static void change_places(Model *m, int trips)
{
    Value *carried[2] = {test_input(m, "x", "N,3"), test_floats(m, "w", "3")};
    Graph *body = add_loop(m, scalar(m, DT_INT64, "n", trips), NULL, 2, carried, 2);
    Value *go_on = graph_add_constant(body, "yes", tensor_new_scalar(m->arena, DT_BOOL, 1));
    finish(m, body, 3, (Value *[]){go_on, body->inputs[3], body->inputs[2]});
}

static void three_changes(Model *m)
{
    change_places(m, 3);
}

static void no_iteration(Model *m)
{
    change_places(m, 0);
}

static void no_scan(Model *m) /* nothing to stack: the shape of the empty result is not known */
{
    build(m, 0);
}

static void grows(Model *m) /* the carried value has another shape each time; the last one is declared wrong */
{
    Value *x = test_input(m, "x", "N,3");
    Graph *body = add_loop(m, scalar(m, DT_INT64, "n", 3), NULL, 1, &x, 1);
    Value *both = inner(body, "Concat", 2, (Value *[]){body->inputs[2], x});
    node_set_int(both->producer, "axis", 1);
    Value *go_on = inner(body, "Identity", 1, &body->inputs[1]);
    finish(m, body, 2, (Value *[]){go_on, both});
}

static void computed_condition(Model *m)
{
    Value *x = test_input(m, "x", "N,3");
    Graph *body = add_loop(m, scalar(m, DT_INT64, "n", 3), NULL, 1, &x, 1);
    Value *more = inner(body, "Add", 2, (Value *[]){body->inputs[2], x});
    Value *two = graph_add_constant(body, "two", tensor_new_scalar(m->arena, DT_INT64, 2));
    finish(m, body, 2, (Value *[]){inner(body, "Less", 2, (Value *[]){body->inputs[0], two}), more});
}

static void unknown_trips(Model *m)
{
    Value *x = test_input(m, "x", "N,3");
    Graph *body = add_loop(m, test_input_of(m, "n", DT_INT64, ""), NULL, 1, &x, 1);
    Value *more = inner(body, "Add", 2, (Value *[]){body->inputs[2], x});
    finish(m, body, 2, (Value *[]){inner(body, "Identity", 1, &body->inputs[1]), more});
}

TEST(loops_of_known_length_are_unrolled)
{
    static const PassCase cases[] = {
        {"twice", twice, 13, "eliminate_loop", 1,
         "Mul Add Cast Add Identity Mul Add Cast Add Identity Unsqueeze Unsqueeze Concat"},
        {"twice, then the rest", twice, 13, "simplify", -1, "Mul Add Mul Add Add Unsqueeze Unsqueeze Concat"},
        {"once", once, 13, "eliminate_loop", 1, "Mul Add Cast Add Identity Unsqueeze"},
        {"too often", too_often, 13, "eliminate_loop", 0, "Loop"},
        {"values change places", three_changes, 13, "eliminate_loop", 1, "Identity Identity"},
        {"no iteration", no_iteration, 13, "eliminate_loop", 1, "Identity Identity"},
        {"no iteration, stacked", no_scan, 13, "eliminate_loop", 0, "Loop"},
        {"growing", grows, 13, "eliminate_loop", 1, "Concat Identity Concat Identity Concat Identity"},
        {"computed condition", computed_condition, 13, "eliminate_loop", 0, "Loop"},
        {"unknown number", unknown_trips, 13, "eliminate_loop", 0, "Loop"},
    };
    test_pass(cases, COUNT_OF(cases));
}
