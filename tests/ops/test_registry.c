/* The table of operators: lookup by opset, checks of arity and attributes, every row consistent. */
#include <string.h>

#include "tests/ops/mini.h"
#include "tests/test.h"

TEST(registry_rows_are_consistent)
{
    for (size_t i = 0; i < op_count(); i++) {
        const OpDef *def = op_at(i);
        int n = 0;
        CHECK(def->domain != NULL && def->type != NULL);
        while (n < OP_MAX_VERSIONS && def->versions[n] != 0)
            n++;
        if (n == 0 || n == OP_MAX_VERSIONS)
            test_fail(__FILE__, __LINE__, "%s has no versions, or no end of them", def->type);
        for (int k = 1; k < n; k++)
            if (def->versions[k] <= def->versions[k - 1])
                test_fail(__FILE__, __LINE__, "%s: versions do not ascend", def->type);
        if (def->min_in > def->max_in || def->min_out > def->max_out)
            test_fail(__FILE__, __LINE__, "%s: arity", def->type);
        if (op_find(def->domain, def->type, def->versions[0]) != def)
            test_fail(__FILE__, __LINE__, "%s is not found by its name", def->type);
        if (def->infer == NULL)
            test_fail(__FILE__, __LINE__, "%s cannot be inferred", def->type);
    }
    CHECK(op_at(op_count()) == NULL);
}

TEST(registry_finds_by_opset)
{
    CHECK(op_find("", "Relu", 13) != NULL);
    CHECK(op_find("ai.onnx", "Relu", 13) == op_find("", "Relu", 13));
    CHECK(op_find("", "HardSwish", 13) == NULL);
    CHECK(op_find("", "HardSwish", 99) != NULL);
    CHECK(op_find("", "Relu", 0) == NULL);
    CHECK(op_find("", "Rleu", 13) == NULL);
    CHECK(op_find("com.example", "Relu", 13) == NULL);
    CHECK_TEXT(text_nearest("LeakyReLU", op_names()), "LeakyRelu");
}

static void check_fails(const char *text, const char *part)
{
    Model *model = mini_model(13, text);

    CHECK_FAILS(ops_check(model), CODE_MODEL, part);
    model_free(model);
}

TEST(registry_checks_nodes)
{
    check_fails("x = float[1] 1; y = Add(x)", "input 1 is missing");
    check_fails("x = float[1] 1; y = Add(x, )", "input 1 is missing");
    check_fails("x = float[1] 1; y = Relu(x, x)", "takes at most 1");
    check_fails("x = float[1] 1; y, z = Relu(x)", "gives at most 1");
    check_fails("x = float[1] 1; y = Flatten<axis=1.5>(x)", "attribute 'axis' is of kind float, Flatten expects int");
    check_fails("x = float[1] 1; y = Flatten<axes=1>(x)", "attribute 'axes' is not one that Flatten has");
    check_fails("x = float[1] 1; y = Cast(x)", "attribute 'to' is missing");
}

TEST(registry_names_what_cannot_run)
{
    Model *model = mini_model(13, "x = float[1] 1; y = Unheard(x)");
    const Tensor *in = model->graph->initializers[0]->constant;
    Tensor out = {0};

    CHECK_OK(ops_check(model));
    CHECK_OK(ops_infer(model));
    CHECK_FAILS(op_eval_alone(model->graph->first, &in, 1, &out, 1, true), CODE_UNSUPPORTED, "Unheard");
    CHECK(out.data == NULL);
    model_free(model);
}

/* A node made by a pass is bound and typed. */
TEST(registry_adds_nodes)
{
    Model *model = mini_model(13, "x = float[N,4]; y = Relu(x)");
    Graph *graph = model->graph;
    Value *in[1] = {graph->inputs[0]}, *out = graph_value(graph, "z");
    Node *node = NULL;

    CHECK_OK(ops_add_node(graph, graph->first, "Sigmoid", "", "made", 1, in, out, &node));
    CHECK(node != NULL && node->def == op_find("", "Sigmoid", 13));
    CHECK_INT(out->type.dtype, DT_FLOAT);
    CHECK_INT(out->type.shape.rank, 2);
    model_free(model);
}
