/* test_functions.c - functions of a file become the nodes of their bodies: names, attributes, versions, limits. */
#include "src/exec/exec.h"
#include "src/ops/ops.h"
#include "passes/pass.h"
#include "tests/onnx/protos.h"

#include <stdlib.h>
#include <string.h>

static Onnx__OperatorSetIdProto *opset(Arena *arena, const char *domain, int64_t version)
{
    Onnx__OperatorSetIdProto *import = proto_new(arena, &onnx__operator_set_id_proto__descriptor, NULL);
    import->domain = PB_TEXT(domain);
    import->has_version = 1;
    import->version = version;
    return import;
}

/* Opset 13, x (2, 3) -> y (2, 3), and the domain "t". */
static Onnx__ModelProto *model_new_proto(Arena *arena)
{
    const int64_t dims[] = {2, 3};
    Onnx__ModelProto *model = pb_model(arena);
    pb_input(arena, model->graph, "x", DT_FLOAT, 2, dims);
    pb_output(arena, model->graph, "y", DT_FLOAT, 2, dims);
    PB_APPEND(arena, model, opset_import, opset(arena, "t", 1));
    return model;
}

/* Function t.NAME with the body's nodes in `body`; it imports ai.onnx `version` and t. */
static Onnx__FunctionProto *function(Arena *arena, Onnx__ModelProto *model, const char *name, const char *in, const char *out,
                                     int64_t version, const Onnx__GraphProto *body)
{
    Onnx__FunctionProto *f = proto_new(arena, &onnx__function_proto__descriptor, NULL);
    const Onnx__NodeProto *names = pb_node(arena, pb_graph(arena, ""), "", "", in, out); /* for its lists of names */
    f->name = arena_strdup(arena, name);
    f->domain = PB_TEXT("t");
    f->n_input = names->n_input;
    f->input = names->input;
    f->n_output = names->n_output;
    f->output = names->output;
    f->n_node = body->n_node;
    f->node = body->node;
    PB_APPEND(arena, f, opset_import, opset(arena, "", version));
    PB_APPEND(arena, f, opset_import, opset(arena, "t", 1));
    PB_APPEND(arena, model, functions, f);
    return f;
}

static Onnx__NodeProto *call(Arena *arena, Onnx__GraphProto *graph, const char *op, const char *name, const char *in,
                             const char *out)
{
    Onnx__NodeProto *node = pb_node(arena, graph, op, name, in, out);
    node->domain = PB_TEXT("t");
    return node;
}

static Onnx__AttributeProto *refer(Arena *arena, Onnx__NodeProto *node, const char *name, AttrKind kind, const char *to)
{
    Onnx__AttributeProto *attr = pb_attr(arena, node, name, kind);
    attr->ref_attr_name = PB_TEXT(to);
    return attr;
}

static void set_float(Onnx__AttributeProto *attr, float f)
{
    attr->has_f = 1;
    attr->f = f;
}

/* "y = Op(a, b); ..." of a graph and those in it, in braces. */
static void list_graph(const Graph *graph, Text *text)
{
    for (const Node *node = graph->first; node != NULL; node = node->next) {
        for (int i = 0; i < node->n_out; i++)
            text_addf(text, "%s%s", i > 0 ? ", " : "", node->out[i] == NULL ? "" : node->out[i]->name);
        text_addf(text, " = %s", node->op_type);
        for (int i = 0; i < node->n_attrs; i++) {
            Graph *const *inner;
            if (node->attrs[i].kind == ATTR_FLOAT)
                text_addf(text, "<%s=%g>", node->attrs[i].name, (double)node->attrs[i].f);
            for (int64_t k = 0, n = attr_graphs(&node->attrs[i], &inner); k < n; k++) {
                text_add(text, "{");
                list_graph(inner[k], text);
                text_add(text, "}");
            }
        }
        for (int i = 0; i < node->n_in; i++)
            text_addf(text, "%s%s", i > 0 ? ", " : "(", node->in[i] == NULL ? "" : node->in[i]->name);
        text_add(text, node->n_in > 0 ? "); " : "; ");
    }
}

static void check_listed(const char *file, int line, const Onnx__ModelProto *proto, const char *expected)
{
    Model *model = NULL;
    Text text = {0};
    if (test_status(file, line, pb_load(proto, &model), CODE_OK, NULL)) {
        test_status(file, line, model_verify(model), CODE_OK, NULL);
        list_graph(model->graph, &text);
        if (strcmp(text.data, expected) != 0)
            test_fail(file, line, "the graph is\n  %s, expected\n  %s", text.data, expected);
    }
    text_free(&text);
    model_free(model);
}
#define CHECK_LISTED(proto, expected) check_listed(__FILE__, __LINE__, proto, expected)

TEST(functions_become_their_bodies)
{
    Arena *arena = arena_new();
    Onnx__ModelProto *model = model_new_proto(arena);
    Onnx__GraphProto *body = pb_graph(arena, "");
    Onnx__FunctionProto *f = function(arena, model, "F", "a", "b", 13, body);
    Onnx__NodeProto *leaky = pb_node(arena, body, "LeakyRelu", "n", "a", "h");
    pb_node(arena, body, "Neg", "", "h", "b");
    f->n_node = body->n_node;
    f->node = body->node;
    refer(arena, leaky, "alpha", ATTR_FLOAT, "slope");
    Onnx__NodeProto *first = call(arena, model->graph, "F", "c", "x", "c/h");
    call(arena, model->graph, "F", "", "c/h", "y");

    /* left out by the call and without a default: the op's own default stands */
    CHECK_LISTED(model, "c/h_1 = LeakyRelu(x); c/h = Neg(c/h_1); y/h = LeakyRelu(c/h); y = Neg(y/h); ");
    set_float(pb_attr(arena, first, "slope", ATTR_FLOAT), 0.25f);
    Onnx__NodeProto *defaults = pb_node(arena, pb_graph(arena, ""), "", "", "", "");
    set_float(pb_attr(arena, defaults, "slope", ATTR_FLOAT), 0.5f);
    PB_APPEND(arena, f, attribute_proto, defaults->attribute[0]);
    CHECK_LISTED(model, "c/h_1 = LeakyRelu<alpha=0.25>(x); c/h = Neg(c/h_1); y/h = LeakyRelu<alpha=0.5>(c/h); y = Neg(y/h); ");

    first->attribute[0]->type = ATTR_INT;
    first->attribute[0]->has_f = 0;
    CHECK_REFUSED(model, "node 'c/n' (LeakyRelu): attribute 'alpha' refers to attribute 'slope' of function 'F', which is "
                         "of another kind");
    arena_free(arena);
}

TEST(functions_take_omitted_inputs_and_give_inputs_back)
{
    Arena *arena = arena_new();
    Onnx__ModelProto *model = model_new_proto(arena);
    Onnx__GraphProto *inner = pb_graph(arena, ""), *outer = pb_graph(arena, "");
    pb_node(arena, inner, "Clip", "", "h,lo,hi", "clipped");
    function(arena, model, "Limit", "h,lo,hi", "clipped,h,clipped", 13, inner);
    call(arena, outer, "Limit", "g", "x,,m", "h,p");
    call(arena, outer, "Limit", "g", "h", "q,,r");
    pb_node(arena, outer, "Sum", "", "q,p,r", "y");
    function(arena, model, "Twice", "x,m", "y", 13, outer);
    pb_initializer(arena, model->graph, "m", DT_FLOAT, 0, NULL, &(float){1}, sizeof(float));
    call(arena, model->graph, "Twice", "c", "x,m", "y");
    CHECK_LISTED(model, "c/h = Clip(x, , m); c/p = Identity(x); c/q = Clip(c/h, , ); c/r = Identity(c/q); "
                        "y = Sum(c/q, c/p, c/r); ");

    PB_APPEND(arena, model->graph->node[0], input, PB_TEXT("x"));
    CHECK_REFUSED(model, "node 'c' (t.Twice): has 3 inputs and 1 outputs; the function takes at most 2 and gives 1");
    model->graph->node[0]->n_input = 1;
    CHECK_LISTED(model, "c/h = Clip(x, , ); c/p = Identity(x); c/q = Clip(c/h, , ); c/r = Identity(c/q); "
                        "y = Sum(c/q, c/p, c/r); ");
    arena_free(arena);
}

/* A graph that is handed to a function finds its names around the call; graphs in a body find those of the body. */
TEST(functions_hold_graphs_and_take_them)
{
    Arena *arena = arena_new();
    const int64_t dims[] = {2, 3};
    Onnx__ModelProto *model = model_new_proto(arena);
    Onnx__GraphProto *given = pb_graph(arena, "given"), *own = pb_graph(arena, "own"), *body = pb_graph(arena, "");
    Onnx__GraphProto *negate = pb_graph(arena, "");
    pb_node(arena, negate, "Neg", "", "a", "b");
    function(arena, model, "Negate", "a", "b", 13, negate);
    call(arena, given, "Negate", "i", "x", "t"); /* the x around the call, not that of the body */
    pb_output(arena, given, "t", DT_FLOAT, 2, dims);
    call(arena, own, "Negate", "", "x", "e");
    pb_output(arena, own, "e", DT_FLOAT, 2, dims);
    Onnx__NodeProto *branch = pb_node(arena, body, "If", "", "c", "b");
    refer(arena, branch, "then_branch", ATTR_GRAPH, "p");
    pb_attr(arena, branch, "else_branch", ATTR_GRAPH)->g = own;
    function(arena, model, "F", "c,x", "b", 13, body);
    pb_initializer(arena, model->graph, "c", DT_BOOL, 0, NULL, "\1", 1);
    pb_node(arena, model->graph, "Relu", "", "x", "r");
    pb_attr(arena, call(arena, model->graph, "F", "f", "c,r", "y"), "p", ATTR_GRAPH)->g = given;
    CHECK_LISTED(model, "r = Relu(x); y = If{t = Neg(x); }{f/e = Neg(r); }(c); ");
    arena_free(arena);
}

/* Softmax of a function of opset 11 is over all axes from 1 on, in a model of 13, too; raised, it says so itself. */
TEST(functions_keep_their_opset_until_raised)
{
    Arena *arena = arena_new();
    Onnx__ModelProto *proto = model_new_proto(arena);
    Onnx__GraphProto *body = pb_graph(arena, "");
    pb_node(arena, body, "Softmax", "", "a", "b");
    function(arena, proto, "F", "a", "b", 11, body);
    call(arena, proto->graph, "F", "", "x", "y");
    proto->graph->input[0] = pb_info(arena, "x", DT_FLOAT, 3, (int64_t[]){1, 2, 2});
    proto->graph->output[0] = pb_info(arena, "y", DT_FLOAT, 3, (int64_t[]){1, 2, 2});
    Model *model = NULL;
    CHECK_OK(pb_load(proto, &model));
    CHECK_INT(model->graph->first->opset, 11);
    CHECK_INT(model_opset(model, ""), 13);
    unsigned char *data = NULL;
    size_t bytes;
    CHECK_FAILS(onnx_save_memory(model, &data, &bytes), CODE_MODEL, "comes from a function of opset 11");

    for (int raised = 0; raised < 2; raised++) {
        PassRecord *records = xcalloc(pass_count(), sizeof *records);
        if (raised)
            CHECK_OK(passes_run(model, PASS_RAISE, NULL, NULL, NULL, NULL, records));
        Plan *plan = NULL;
        Tensor output;
        float zeros[4] = {0};
        CHECK_OK(ops_infer(model));
        CHECK_OK(plan_new(model, NULL, &plan));
        Runner *runner = runner_new(plan, NULL);
        Tensor input;
        CHECK_OK(tensor_view(&input, DT_FLOAT, 3, (int64_t[]){1, 2, 2}, zeros));
        CHECK_OK(runner_run(runner, &input, NULL, &output));
        for (int64_t i = 0; i < 4; i++)
            CHECK_NEAR(tensor_get(&output, i), 0.25, 1e-6);
        runner_free(runner);
        plan_free(plan);
        free(records);
    }
    CHECK_OK(onnx_save_memory(model, &data, &bytes));
    free(data);
    model_free(model);

    proto->functions[0]->opset_import[0]->version = 18; /* newer than the model, which becomes 18 */
    CHECK_OK(pb_load(proto, &model));
    CHECK_INT(model->graph->first->opset, 18);
    CHECK_INT(model_opset(model, ""), 18);
    model_free(model);
    arena_free(arena);
}

TEST(functions_lose_to_ops_that_are_known)
{
    Arena *arena = arena_new();
    Onnx__ModelProto *model = model_new_proto(arena);
    Onnx__GraphProto *body = pb_graph(arena, "");
    pb_node(arena, body, "Neg", "", "a", "b");
    Onnx__FunctionProto *f = function(arena, model, "Relu", "a", "b", 13, body);
    f->domain = PB_TEXT("ai.onnx");
    pb_node(arena, model->graph, "Relu", "", "x", "y");
    CHECK_LISTED(model, "y = Relu(x); ");
    f->domain = PB_TEXT("t");
    CHECK_LISTED(model, "y = Relu(x); ");
    model->graph->node[0]->domain = PB_TEXT("t");
    CHECK_LISTED(model, "y = Neg(x); ");
    f->overload = PB_TEXT("other");
    CHECK_LISTED(model, "y = Relu(x); "); /* an op t.Relu of which nothing is known */
    model->graph->node[0]->overload = PB_TEXT("other");
    CHECK_LISTED(model, "y = Neg(x); ");

    Model *loaded = NULL;
    CHECK_OK(pb_load(model, &loaded));
    Onnx__ModelProto *saved = pb_saved(arena, loaded);
    CHECK_INT(saved->n_functions, 0);
    model_free(loaded);
    arena_free(arena);
}

TEST(functions_that_are_wrong_are_refused)
{
    Arena *arena = arena_new();
    Onnx__ModelProto *model = model_new_proto(arena);
    Onnx__GraphProto *body = pb_graph(arena, "");
    Onnx__NodeProto *node = call(arena, body, "G", "g", "a", "b");
    Onnx__FunctionProto *f = function(arena, model, "F", "a", "b", 13, body);
    Onnx__GraphProto *other = pb_graph(arena, "");
    call(arena, other, "F", "back", "a", "b");
    function(arena, model, "G", "a", "b", 13, other);
    call(arena, model->graph, "F", "c", "x", "y");
    CHECK_REFUSED(model, "m.onnx: function 'F': node 'c/g/back' (t.F): function 'F' calls itself");
    other->node[0]->op_type = PB_TEXT("G");
    CHECK_REFUSED(model, "function 'G' calls itself");
    other->node[0]->domain = NULL;
    other->node[0]->op_type = PB_TEXT("Neg");
    CHECK_LISTED(model, "y = Neg(x); ");
    model->functions[1]->opset_import[0]->version = INT64_MAX;
    CHECK_REFUSED(model, "(Neg): its function imports opset 9223372036854775807 of domain '', which is beyond reason");
    model->functions[1]->opset_import[0]->version = 13;

    node->input[0] = PB_TEXT("x"); /* a name of the caller */
    CHECK_REFUSED(model, "node 'c/g' (t.G): input 0 reads 'x', which no node, input or initializer defines in its function");
    node->input[0] = PB_TEXT("a");
    node->output[0] = PB_TEXT("a");
    CHECK_REFUSED(model, "output 'a' is also");
    node->output[0] = PB_TEXT("other");
    CHECK_REFUSED(model, "call 'c': output 'b' is given by none of the function's nodes");
    node->output[0] = PB_TEXT("b");
    f->output[0] = PB_TEXT("a");
    PB_APPEND(arena, f, input, PB_TEXT("a"));
    CHECK_REFUSED(model, "input 'a' of the function is listed twice");
    f->n_input = 1;
    model->graph->node[0]->input[0] = PB_TEXT("");
    CHECK_REFUSED(model, "call 'c': output 'a' is an input of the function that the call omits");
    PB_APPEND(arena, model, functions, f);
    CHECK_REFUSED(model, "function 'F' of domain 't' is given twice");
    arena_free(arena);
}

/* F1 calls F0 twice, F2 calls F1 twice ...: 2^depth nodes. */
static Onnx__ModelProto *doubling(Arena *arena, int depth, bool twice)
{
    Onnx__ModelProto *model = model_new_proto(arena);
    for (int i = 0; i <= depth; i++) {
        Onnx__GraphProto *body = pb_graph(arena, "");
        const char *callee = arena_printf(arena, "F%d", i - 1);
        if (i == 0)
            pb_node(arena, body, "Neg", "", "a", "b");
        else
            call(arena, body, callee, "", "a", "b");
        if (i > 0 && twice)
            call(arena, body, callee, "", "a", "");
        function(arena, model, arena_printf(arena, "F%d", i), "a", "b", 13, body);
    }
    call(arena, model->graph, arena_printf(arena, "F%d", depth), "c", "x", "y");
    return model;
}

TEST(functions_are_bounded)
{
    Arena *arena = arena_new();
    Model *model = NULL;
    CHECK_OK(pb_load(doubling(arena, 6, true), &model));
    CHECK_INT(model->graph->n_nodes, 64);
    model_free(model);
    CHECK_REFUSED(doubling(arena, 60, true), "functions called by functions make a model of more than 1048576 nodes");
    CHECK_OK(pb_load(doubling(arena, 90, false), &model));
    CHECK_INT(model->graph->n_nodes, 1);
    model_free(model);
    CHECK_REFUSED(doubling(arena, 120, false), "nested deeper than 100; export the model with fewer functions");
    arena_free(arena);
}
