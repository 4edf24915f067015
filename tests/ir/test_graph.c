/* graph.c: names, attributes, asking */
#include "src/ir/ir.h"
#include "tests/test.h"

#include <stdio.h>
#include <string.h>

TEST(fresh_names_are_never_given_twice)
{
    Model *model = model_new();
    Graph *graph = graph_new(model, "g", NULL);
    CHECK(model->graph == graph);
    graph_value(graph, "x");
    graph_value(graph, "x_1");
    CHECK_TEXT(model_fresh_name(model, "free"), "free");
    const char *a = model_fresh_name(model, "x"), *b = model_fresh_name(model, "x");
    const char *c = model_fresh_name(model, "free");
    CHECK(strcmp(a, "x") != 0 && strcmp(a, "x_1") != 0 && strcmp(a, b) != 0 && strcmp(c, "free") != 0);
    CHECK(*model_fresh_name(model, "") != '\0');
    Value *value = graph_value(graph, a);
    CHECK(map_get(model->names, a) == value);
    CHECK_OK(model_verify(model));
    model_free(model);
    model_free(NULL);
}

TEST(fresh_names_in_a_crowd_take_linear_time)
{
    Model *model = model_new();
    Graph *graph = graph_new(model, "g", NULL);
    char name[32];
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, i == 0 ? "x" : "x_%d", i);
        graph_value(graph, name);
    }
    for (int i = 0; i < 20000; i++)
        graph_value(graph, model_fresh_name(model, "x"));
    CHECK_INT(map_count(model->names), 40000);
    CHECK(model->next_fresh <= 40000); /* tries, all together */
    model_free(model);
}

TEST(opsets_of_domains)
{
    Model *model = model_new();
    model_set_opset(model, "ai.onnx", 12);
    model_set_opset(model, "com.microsoft", 1);
    model_set_opset(model, "", 13);
    CHECK_INT(model->n_opsets, 2);
    CHECK_INT(model_opset(model, ""), 13);
    CHECK_INT(model_opset(model, "ai.onnx"), 13);
    CHECK_INT(model_opset(model, "com.microsoft"), 1);
    CHECK_INT(model_opset(model, "ai.onnx.ml"), 0);
    model_set_opset(model, "far", INT64_MAX);
    model_set_opset(model, "odd", -4);
    CHECK_INT(model_opset(model, "far"), INT32_MAX);
    CHECK_INT(model_opset(model, "odd"), 0);
    Metadata metadata[] = {{"author", "me"}};
    model->metadata = metadata;
    model->n_metadata = 1;
    CHECK_TEXT(model_metadata(model, "author"), "me");
    CHECK(model_metadata(model, "title") == NULL);
    model_free(model);
}

TEST(attributes_set_read_replaced_removed)
{
    Model *model = model_new();
    Graph *graph = graph_new(model, "g", NULL);
    Node *node = graph_add_node(graph, NULL, "Conv", "ai.onnx", "c", 0, NULL, 1, NULL);
    int64_t n = -1, pads[] = {1, 2, 3};
    char name[] = "group";
    node_set_int(node, name, 4);
    name[0] = 'X'; /* the name was copied */
    node_set_ints(node, "pads", pads, 3);
    node_set_ints(node, "none", NULL, 0);
    node_set_float(node, "alpha", 0.5f);
    node_set_string(node, "mode", "linear");
    node_set_tensor(node, "value", tensor_new_scalar(model->arena, DT_FLOAT, 3));
    CHECK_INT(node->n_attrs, 6);
    CHECK_INT(node_int(node, "group", 1), 4);
    CHECK_INT(node_int(node, "groups", 1), 1);
    CHECK_INT(node_int(node, "alpha", 9), 9); /* another kind reads as absent */
    CHECK_NEAR(node_float(node, "alpha", 0), 0.5, 0);
    CHECK_TEXT(node_string(node, "mode", ""), "linear");
    CHECK_INT(node_ints(node, "pads", &n)[2], 3);
    CHECK_INT(n, 3);
    CHECK(node_ints(node, "none", &n) != NULL && n == 0);
    CHECK(node_ints(node, "absent", &n) == NULL && n == 0);
    CHECK(node_floats(node, "pads", &n) == NULL && n == 0);
    CHECK_NEAR(tensor_get(node_attr(node, "value")->t, 0), 3, 0);

    node_set_string(node, "group", "now text");
    CHECK_INT(node->n_attrs, 6);
    CHECK_TEXT(node_string(node, "group", ""), "now text");
    node_remove_attr(node, "pads");
    node_remove_attr(node, "pads");
    CHECK_INT(node->n_attrs, 5);
    CHECK(node_attr(node, "pads") == NULL);
    CHECK_TEXT(node_string(node, "mode", ""), "linear");
    float *floats = arena_array(model->arena, 2, sizeof *floats);
    Attr *attr = node_add_attr(node, "scales", ATTR_FLOATS);
    attr->n = 2;
    attr->floats = floats;
    CHECK(node_floats(node, "scales", &n) == floats && n == 2);
    model_free(model);
}

TEST(nodes_say_who_they_are)
{
    Model *model = model_new();
    Graph *graph = graph_new(model, "g", NULL);
    Value *y = graph_value(graph, "y");
    Node *named = graph_add_node(graph, NULL, "Conv", NULL, "conv1", 0, NULL, 0, NULL);
    Node *unnamed = graph_add_node(graph, NULL, "Gelu", "com.microsoft", NULL, 0, NULL, 1, &y);
    CHECK_TEXT(node_describe(named), "node 'conv1' (Conv)");
    CHECK_TEXT(node_describe(unnamed), "node with output 'y' (com.microsoft.Gelu)");
    Status status = node_error(named, CODE_UNSUPPORTED, "has %d legs", 3);
    CHECK_FAILS(status, CODE_UNSUPPORTED, "node 'conv1' (Conv): has 3 legs");
    CHECK(!node_is(named, "Conv")); /* nothing is known of it */
    named->def = (const struct OpDef *)(const void *)model;
    CHECK(node_is(named, "Conv") && !node_is(named, "Con") && !node_is(unnamed, "Gelu"));
    CHECK(node_in(named, 0) == NULL && node_in(named, -1) == NULL && node_constant(named, 0) == NULL);
    model_free(model);
}

TEST(constants_are_initializers)
{
    Model *model = model_new();
    Graph *graph = graph_new(model, "g", NULL);
    Value *a = graph_add_float(graph, "scale", 0.25f), *b = graph_add_scalar(graph, "zero_point", DT_UINT8, 300);
    CHECK_INT(graph->n_initializers, 2);
    CHECK_TEXT(a->name, "scale");
    CHECK(value_is_float(a) && !value_is_float(b));
    CHECK_INT(a->type.shape.rank, 0);
    CHECK_INT(tensor_get_int(b->constant, 0), 255);
    Node *node = graph_add_node(graph, NULL, "Mul", NULL, NULL, 2, (Value *[]){a, a}, 1, NULL);
    CHECK(node_constant(node, 1) == a->constant);
    CHECK(value_only_user(a) == NULL); /* two uses */
    node_set_input(node, 1, b);
    CHECK(value_only_user(a) == node);
    graph_add_output(graph, a);
    CHECK(value_only_user(a) == NULL);
    CHECK_OK(model_verify(model));
    model_free(model);
}

static void count_graph(void *context, Graph *graph)
{
    Text *text = context;
    text_add(text, graph->name);
}

TEST(graph_each_visits_outer_graphs_first)
{
    Model *model = model_new();
    Graph *graph = graph_new(model, "a", NULL);
    Node *node = graph_add_node(graph, NULL, "If", NULL, NULL, 0, NULL, 1, NULL);
    Graph *then = graph_new(model, "b", node);
    node_add_attr(node, "then_branch", ATTR_GRAPH)->g = then;
    Node *inner = graph_add_node(then, NULL, "Loop", NULL, NULL, 0, NULL, 1, NULL);
    node_add_attr(inner, "body", ATTR_GRAPH)->g = graph_new(model, "c", inner);
    Attr *list = node_add_attr(node, "more", ATTR_GRAPHS);
    Graph *graphs[] = {graph_new(model, "d", node), graph_new(model, "e", node)};
    list->n = 2;
    list->graphs = graphs;
    Text text = {0};
    graph_each(graph, count_graph, &text);
    CHECK_TEXT(text.data, "abcde");
    text_free(&text);
    model_free(model);
}
