/* text.c: what is printed is ONNX's text syntax */
#include "src/ir/ir.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

static const Shape two_by_n = {.rank = 2, .dims = {{2, NULL}, {-1, "N"}}};

TEST(print_a_model_with_an_inner_graph)
{
    Model *model = model_new();
    Arena *arena = model->arena;
    Metadata metadata[] = {{"author", "\"me\""}};
    model->ir_version = 8;
    model_set_opset(model, "", 17);
    model_set_opset(model, "com.microsoft", 1);
    model->producer_name = "tests";
    model->metadata = metadata;
    model->n_metadata = 1;
    Graph *graph = graph_new(model, "net", NULL);
    Value *x = graph_value(graph, "x"), *y = graph_value(graph, "y.0");
    x->type = type_tensor(DT_FLOAT, &two_by_n);
    y->type = type_tensor(DT_FLOAT, NULL);
    graph_add_input(graph, x);
    float data[9] = {1, 0.1f, -2.5e-7f, 4, 5, 6, 7, 8, 9};
    Value *w = graph_add_constant(graph, "w", tensor_new_floats(arena, 1, (int64_t[]){9}, data));
    Value *c = graph_add_scalar(graph, "c", DT_BOOL, 1);
    Node *conv = graph_add_node(graph, NULL, "Conv", "", "conv 1", 3, (Value *[]){x, NULL, w}, 1, NULL);
    conv->out[0]->type = type_tensor(DT_FLOAT, &two_by_n);
    node_set_ints(conv, "pads", (int64_t[]){1, -1}, 2);
    node_set_ints(conv, "none", NULL, 0);
    node_set_float(conv, "alpha", 2);
    node_set_string(conv, "auto_pad", "NOT\\SET\n");
    node_set_tensor(conv, "value", tensor_new_ints(arena, 1, (int64_t[]){2}, (int64_t[]){3, INT64_MIN}));
    Node *branch = graph_add_node(graph, NULL, "If", "", NULL, 1, &c, 1, &y);
    Graph *then = graph_new(model, "then", branch);
    node_add_attr(branch, "then_branch", ATTR_GRAPH)->g = then;
    graph_add_output(then, graph_add_node(then, NULL, "Gelu", "com.microsoft", NULL, 1, conv->out, 1, NULL)->out[0]);
    graph_add_output(graph, y);
    CHECK_OK(model_verify(model));

    Text text = {0};
    model_print(model, &text, true);
    CHECK_TEXT(text.data, "<\n"
                          "  ir_version: 8,\n"
                          "  opset_import: [\"\" : 17, \"com.microsoft\" : 1],\n"
                          "  producer_name: \"tests\",\n"
                          "  metadata_props: [\"author\": \"\\\"me\\\"\"]\n"
                          ">\n"
                          "net (float[2,N] x) => (float[] \"y.0\") <\n"
                          "  float[9] w = {1, 0.1, -2.5e-07, 4, ...},\n"
                          "  bool c = {1},\n"
                          "  float[2,N] \"conv 1\"\n"
                          ">\n"
                          "{\n"
                          "  [\"conv 1\"] \"conv 1\" = Conv <pads = [1, -1], none: ints = [], alpha = 2.0, "
                          "auto_pad = \"NOT\\\\SET\\x0a\", value = int64[2] {3, -9223372036854775808}> (x, \"\", w)\n"
                          "  \"y.0\" = If <then_branch = then () => (Gelu)\n"
                          "    {\n"
                          "      Gelu = com.microsoft.Gelu (\"conv 1\")\n"
                          "    }> (c)\n"
                          "}\n");
    text_free(&text);
    model_print(model, &text, false);
    CHECK(strstr(text.data, "w = {1, 0.1, -2.5e-07, 4, 5, 6, 7, 8, 9}") != NULL);
    text_free(&text);
    model_free(model);
}

TEST(print_elements_of_all_kinds)
{
    Model *model = model_new();
    Arena *arena = model->arena;
    Graph *graph = graph_new(model, "float", NULL); /* a word of the syntax */
    Tensor *large = tensor_new_scalar(arena, DT_UINT64, 0x1p63), *third = tensor_new_scalar(arena, DT_DOUBLE, 1.0 / 3);
    TensorString strings[] = {{"a\"b", 3}, {"", 0}};
    Tensor words;
    CHECK_OK(tensor_view(&words, DT_STRING, 1, (int64_t[]){2}, strings));
    graph_add_constant(graph, "u", large);
    graph_add_constant(graph, "d", third);
    graph_add_constant(graph, "s", &words);
    graph_add_float(graph, "inf_", -INFINITY);
    graph_add_float(graph, "third", 1.0f / 3);
    graph_add_scalar(graph, "half", DT_FLOAT16, 0.5);
    graph_add_scalar(graph, "complex", DT_COMPLEX64, 1);
    graph_add_constant(graph, "none", tensor_new_floats(arena, 1, (int64_t[]){0}, NULL));
    Value *sequence = graph_value(graph, "seq");
    Type optional = {.kind = TYPE_OPTIONAL, .element = &graph->initializers[0]->type};
    sequence->type = (Type){.kind = TYPE_SEQUENCE, .element = &optional};
    graph_add_input(graph, sequence);
    graph_add_input(graph, graph_value(graph, "untyped"));
    Node *node = graph_add_node(graph, NULL, "Op", "", NULL, 0, NULL, 0, NULL);
    node_add_attr(node, "sparse", ATTR_SPARSE_TENSOR);
    Attr *list = node_add_attr(node, "f", ATTR_FLOATS);
    list->n = 2;
    list->floats = (float[]){1, 1e30f};
    list = node_add_attr(node, "s", ATTR_STRINGS);
    list->n = 2;
    list->strings = strings;

    Text text = {0};
    model_print(model, &text, false);
    const char *const parts[] = {
        "\"float\" (seq(optional(uint64)) \"seq\", untyped) => ()", "uint64 u = {9223372036854775808}",
        "double d = {0.3333333333333333}", "string[2] s = {\"a\\\"b\", \"\"}", "float inf_ = {-inf}",
        "float third = {0.33333334}", "float16 half = {0.5}", "complex64 complex = {...}", "float[0] none = {}",
        " = Op <sparse = ?, f = [1.0, 1e+30], s = [\"a\\\"b\", \"\"]> ()",
    };
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        if (strstr(text.data, parts[i]) == NULL)
            test_fail(__FILE__, __LINE__, "'%s' is not in\n%s", parts[i], text.data);
    text_free(&text);
    model_free(model);
}

TEST(print_cuts_long_strings_between_characters)
{
    Model *model = model_new();
    Graph *graph = graph_new(model, "g", NULL);
    char word[90];
    memset(word, 'a', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    memcpy(word + 79, "\xc3\xa4", 2); /* two bytes, the cut would be between them */
    node_set_string(graph_add_node(graph, NULL, "Op", "", NULL, 0, NULL, 0, NULL), "s", word);
    Text text = {0};
    model_print(model, &text, true);
    CHECK(strstr(text.data, "aaa...\"") != NULL && strchr(text.data, '\xc3') == NULL);
    text_free(&text);
    model_print(model, &text, false);
    CHECK(strstr(text.data, word) != NULL);
    text_free(&text);
    model_free(model);
}
