/* large.c - the graphs of large.h. All are valid and run in an instant: values have a few elements each. */
#include "tests/simplify/large.h"

#include "src/ops/ops.h"

#define BLOCK_NODES 20

static const int64_t four[] = {1, 4, 5, 6};

/* ---- parts ------------------------------------------------------------------------------------------------------------ */

static Value *add(Model *m, const char *op_type, int n_in, Value *const *in)
{
    Node *node = graph_add_node(m->graph, NULL, op_type, "", NULL, n_in, in, 1, NULL);
    ops_bind_node(node);
    return node->out[0];
}

#define ADD(m, op_type, ...)                                                                                           \
    add(m, op_type, (int)(sizeof((Value *[]){__VA_ARGS__}) / sizeof(Value *)), (Value *[]){__VA_ARGS__})

/* float[N,4,5,6] */
static Value *input(Model *m)
{
    Value *x = graph_value(m->graph, "x");
    Shape shape = shape_of(4, four);
    shape.dims[0] = (Dim){-1, "N"};
    x->type = type_tensor(DT_FLOAT, &shape);
    graph_add_input(m->graph, x);
    return x;
}

/* No two are equal: they start at `first`. */
static Value *floats(Model *m, int rank, const int64_t *dims, int first)
{
    float data[16 + 1];
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dims[i];
    for (int64_t i = 0; i < count && i < 16; i++)
        data[i] = 0.5f + (float)(first % 4096) / 4096 + (float)i / 64;
    return graph_add_constant(m->graph, model_fresh_name(m, "c"), tensor_new_floats(m->arena, rank, dims, data));
}

static Value *ints(Model *m, int64_t n, const int64_t *data)
{
    return graph_add_constant(m->graph, model_fresh_name(m, "i"), tensor_new_ints(m->arena, 1, &n, data));
}

static void set_perm(Value *of, int64_t a, int64_t b, int64_t c, int64_t d)
{
    node_set_ints(of->producer, "perm", (int64_t[]){a, b, c, d}, 4);
}

static Value *leaky(Model *m, Value *x, int i)
{
    Value *y = ADD(m, "LeakyRelu", x);
    node_set_float(y->producer, "alpha", (float)(i % 65536) / 65536 + (float)(i / 65536));
    return y;
}

/* ---- kinds ------------------------------------------------------------------------------------------------------------ */

/* What exporters write: Conv, BatchNormalization, islands of shape arithmetic, Transposes that cancel, twins, dead ends. */
static void build_blocks(Model *m, int nodes)
{
    Value *x = input(m), *scale = floats(m, 0, NULL, 7), *zero = ints(m, 1, (int64_t[]){0}), *rest = ints(m, 1, (int64_t[]){-1});
    Value *statistics = floats(m, 1, (int64_t[]){4}, 3), *weight = floats(m, 4, (int64_t[]){4, 4, 1, 1}, 5);
    for (int i = 0; i < nodes / BLOCK_NODES; i++) {
        Value *y = ADD(m, "Relu", ADD(m, "BatchNormalization", ADD(m, "Conv", x, weight), statistics, statistics, statistics,
                                      statistics));
        Value *size = ADD(m, "Gather", ADD(m, "Shape", y), zero);
        Value *target = ADD(m, "Concat", size, rest);
        node_set_int(target->producer, "axis", 0);
        Value *back = ADD(m, "Reshape", ADD(m, "Reshape", ADD(m, "Identity", y), target), ADD(m, "Shape", y));
        back = ADD(m, "Transpose", back);
        set_perm(back, 0, 2, 3, 1);
        back = ADD(m, "Transpose", ADD(m, "Sigmoid", back));
        set_perm(back, 0, 3, 1, 2);
        back = ADD(m, "Div", ADD(m, "Add", ADD(m, "Mul", ADD(m, "Sigmoid", back), scale), scale), scale);
        ADD(m, "Exp", back);
        x = ADD(m, "Add", ADD(m, "Add", ADD(m, "Tanh", back), ADD(m, "Tanh", back)), y);
    }
    graph_add_output(m->graph, x);
}

/* One op after the other, nothing to do. */
static void build_chain(Model *m, int nodes)
{
    Value *x = input(m);
    for (int i = 0; i < nodes; i++)
        x = i % 2 == 0 ? ADD(m, "Relu", x) : ADD(m, "Sigmoid", x);
    graph_add_output(m->graph, x);
}

/* One value with half of the nodes as readers, whose results a Concat joins; each reads it through an Identity. */
static void build_hub(Model *m, int nodes)
{
    Value *x = ADD(m, "Relu", input(m));
    int n = MAX(nodes / 2, 1);
    Value **parts = arena_array(m->arena, (size_t)n, sizeof *parts);
    for (int i = 0; i < n; i++)
        parts[i] = leaky(m, ADD(m, "Identity", x), i);
    Value *y = add(m, "Concat", n, parts);
    node_set_int(y->producer, "axis", 1);
    graph_add_output(m->graph, y);
}

/* Readers of one value that ask for its shape and change it: what looks at all readers of x for each reader is quadratic. */
static void build_shapes(Model *m, int nodes)
{
    Value *x = ADD(m, "Relu", input(m)), *zero = ints(m, 1, (int64_t[]){0}), *rest = ints(m, 1, (int64_t[]){-1});
    int n = MAX(nodes / 5, 1);
    Value **parts = arena_array(m->arena, (size_t)n, sizeof *parts);
    for (int i = 0; i < n; i++) {
        Value *target = ADD(m, "Concat", ADD(m, "Gather", ADD(m, "Shape", x), zero), rest);
        node_set_int(target->producer, "axis", 0);
        parts[i] = leaky(m, ADD(m, "Reshape", x, target), i);
    }
    Value *y = add(m, "Concat", n, parts);
    node_set_int(y->producer, "axis", 1);
    graph_add_output(m->graph, y);
}

/* A weight for each node. */
static void build_weights(Model *m, int nodes)
{
    Value *x = input(m);
    for (int i = 0; i < nodes; i++)
        x = ADD(m, "PRelu", x, floats(m, 3, (int64_t[]){4, 1, 1}, i));
    graph_add_output(m->graph, x);
}

static void build_identities(Model *m, int nodes)
{
    Value *x = input(m);
    for (int i = 0; i < nodes; i++)
        x = ADD(m, "Identity", x);
    graph_add_output(m->graph, ADD(m, "Relu", x));
}

/* All of it is constant. */
static void build_constants(Model *m, int nodes)
{
    Value *x = input(m), *c = floats(m, 1, (int64_t[]){6}, 1);
    for (int i = 0; i < nodes; i++)
        c = i % 2 == 0 ? ADD(m, "Tanh", c) : ADD(m, "Add", c, c);
    graph_add_output(m->graph, ADD(m, "Max", x, c));
}

/* A chain of sums and products by constants: one Mul and one Add at its end. */
static void build_affine(Model *m, int nodes)
{
    Value *x = input(m);
    for (int i = 0; i < nodes; i++)
        x = i % 2 == 0 ? ADD(m, "Sub", x, floats(m, 3, (int64_t[]){4, 1, 1}, i)) : ADD(m, "Add", x, floats(m, 0, NULL, i));
    graph_add_output(m->graph, x);
}

/* Transposes that meet only at the end of the chain, past all that stands between. */
static void build_transposes(Model *m, int nodes)
{
    Value *x = input(m);
    for (int i = 0; i < nodes; i++) {
        x = ADD(m, i % 2 == 0 ? "Transpose" : "Sigmoid", x);
        if (i % 2 == 0)
            set_perm(x, 0, 2, 3, 1);
    }
    graph_add_output(m->graph, x);
}

static void build_reshapes(Model *m, int nodes)
{
    Value *x = input(m), *flat = ints(m, 2, (int64_t[]){0, -1}), *back = ints(m, 4, (int64_t[]){0, 4, 5, 6});
    for (int i = 0; i < nodes; i++)
        x = i % 3 == 2 ? ADD(m, "Relu", x) : ADD(m, "Reshape", x, i % 3 == 0 ? flat : back);
    graph_add_output(m->graph, x);
}

/* Every other node computes what another one does. */
static void build_twins(Model *m, int nodes)
{
    Value *x = input(m);
    for (int i = 0; i < nodes / 3; i++)
        x = ADD(m, "Add", ADD(m, "Tanh", x), ADD(m, "Tanh", x));
    graph_add_output(m->graph, x);
}

/* Half of it leads nowhere. */
static void build_dead(Model *m, int nodes)
{
    Value *x = input(m), *end = x;
    for (int i = 0; i < nodes / 2; i++) {
        x = ADD(m, "Relu", x);
        end = ADD(m, "Exp", i % 64 == 0 ? x : end);
    }
    graph_add_output(m->graph, x);
}

/* A condition that is known for each If; branches read outer values, and their values are named alike. */
static void build_ifs(Model *m, int nodes)
{
    Value *x = input(m);
    Tensor *truth = tensor_new_scalar(m->arena, DT_BOOL, 1);
    Value *condition = graph_add_constant(m->graph, "condition", truth);
    for (int i = 0; i < nodes / 3; i++) {
        Value *y = ADD(m, "If", condition);
        for (int branch = 0; branch < 2; branch++) {
            Graph *graph = graph_new(m, "branch", y->producer);
            node_add_attr(y->producer, branch == 0 ? "then_branch" : "else_branch", ATTR_GRAPH)->g = graph;
            Value *in[] = {x}, *out = graph_value(graph, i % 2 == 0 ? "inner_a" : "inner_b");
            ops_bind_node(graph_add_node(graph, NULL, branch == 0 ? "Relu" : "Tanh", "", NULL, 1, in, 1, &out));
            graph_add_output(graph, out);
        }
        x = ADD(m, "Sigmoid", y);
    }
    graph_add_output(m->graph, x);
}

const LargeKind large_kinds[] = {
    {"blocks", "blocks as exporters write them", build_blocks},
    {"chain", "unary ops in a row", build_chain},
    {"hub", "one value with half of the nodes as readers, a Concat of as many inputs", build_hub},
    {"shapes", "a computed Reshape for each reader of one value", build_shapes},
    {"weights", "an initializer a node", build_weights},
    {"identities", "Identity in a row", build_identities},
    {"constants", "all nodes foldable", build_constants},
    {"affine", "constants added one after the other", build_affine},
    {"transposes", "Transposes that meet at the end", build_transposes},
    {"reshapes", "Reshapes in a row", build_reshapes},
    {"twins", "duplicated nodes", build_twins},
    {"dead", "half leads nowhere", build_dead},
    {"ifs", "Ifs of a known condition", build_ifs},
    {NULL, NULL, NULL},
};

Model *large_model(const LargeKind *kind, int nodes)
{
    Model *model = model_new();
    model->ir_version = 8;
    model_set_opset(model, "", 13);
    graph_new(model, "large", NULL);
    kind->build(model, nodes);
    return model;
}
