/* test_raise.c - a model of an older opset gives the same after it was raised to 13. */
#include "tests/passes/graphs.h"
#include "tests/test.h"

#include "passes/pass.h"

#include <stdlib.h>

static void softmax_last(Model *m)
{
    Value *y = TEST_NODE(m, "Softmax", "y", test_input(m, "x", "N,5"));
    test_output(y);
}

static void softmax_flattened(Model *m)
{
    test_output(TEST_NODE(m, "Softmax", "y", test_input(m, "x", "N,3,4,5")));
}

static void softmax_dynamic(Model *m)
{
    Value *y = TEST_NODE(m, "LogSoftmax", "y", test_input(m, "x", "N,3,T"));
    node_set_int(y->producer, "axis", 1);
    test_output(y);
}

static void softmax_trailing_ones(Model *m)
{
    test_output(TEST_NODE(m, "Softmax", "y", test_input(m, "x", "N,3,1,1")));
}

static void attributes(Model *m)
{
    Value *x = test_input(m, "x", "N,6,4,4");
    Value *s = TEST_NODE(m, "Slice", "s", x);
    TEST_SET_INTS(s, "starts", 1, 0);
    TEST_SET_INTS(s, "ends", 5, 3);
    TEST_SET_INTS(s, "axes", 1, 2);
    Value *p = TEST_NODE(m, "Pad", "p", s);
    TEST_SET_INTS(p, "pads", 0, 0, 1, 0, 0, 0, 0, 1);
    node_set_float(p->producer, "value", 0.25f);
    Value *c = TEST_NODE(m, "Clip", "c", p);
    node_set_float(c->producer, "max", 0.5f);
    Value *r = TEST_NODE(m, "ReduceSum", "r", c);
    TEST_SET_INTS(r, "axes", 3);
    Value *q = TEST_NODE(m, "Squeeze", "q", r);
    TEST_SET_INTS(q, "axes", 3);
    Value *u = TEST_NODE(m, "Unsqueeze", "u", q);
    TEST_SET_INTS(u, "axes", 0, 4);
    Value *d = TEST_NODE(m, "Dropout", "d", u);
    node_set_float(d->producer, "ratio", 0.5f);
    test_output(TEST_NODE(m, "Relu", "y", d));
}

static void split_top_k(Model *m)
{
    Value *x = test_input(m, "x", "N,6");
    Value *a = TEST_NODE(m, "Split", "a", x);
    node_set_output(a->producer, 1, graph_value(m->graph, "b"));
    node_set_int(a->producer, "axis", 1);
    TEST_SET_INTS(a, "split", 2, 4);
    Value *k = TEST_NODE(m, "TopK", "k", a->producer->out[1]);
    node_set_output(k->producer, 1, graph_value(m->graph, "i"));
    node_set_int(k->producer, "k", 3);
    test_output(a);
    test_output(k);
    test_output(k->producer->out[1]);
}

static void upsample_attribute(Model *m)
{
    static const float scales[4] = {1, 1, 2, 3};
    Value *y = TEST_NODE(m, "Upsample", "y", test_input(m, "x", "N,2,3,3"));
    Attr *attr = node_add_attr(y->producer, "scales", ATTR_FLOATS);
    attr->n = 4;
    attr->floats = arena_copy(m->arena, scales, sizeof(scales));
    test_output(y);
}

static Value *add_scales(Model *m, float h, float w)
{
    float scales[4] = {1, 1, h, w};
    int64_t n = 4;
    return graph_add_constant(m->graph, "scales", tensor_new_floats(m->arena, 1, &n, scales));
}

static void upsample_linear(Model *m)
{
    Value *y = TEST_NODE(m, "Upsample", "y", test_input(m, "x", "N,2,3,3"), add_scales(m, 2, 2));
    node_set_string(y->producer, "mode", "linear");
    test_output(y);
}

static void resize_shrinks(Model *m)
{
    test_output(TEST_NODE(m, "Resize", "y", test_input(m, "x", "N,2,5,5"), add_scales(m, 0.6f, 0.6f)));
}

static void resize_both(Model *m)
{
    test_output(TEST_NODE(m, "Resize", "y", test_input(m, "x", "N,2,5,5"), add_scales(m, 0.6f, 2)));
}

static void normalization(Model *m)
{
    Value *y = TEST_NODE(m, "BatchNormalization", "y", test_input(m, "x", "N,4,3"), test_floats(m, "gamma", "4"),
                         test_floats(m, "beta", "4"), test_floats(m, "mean", "4"), test_positive(m, "var", "4"));
    node_set_int(y->producer, "spatial", 1);
    test_output(y);
}

TEST(older_opsets_are_raised)
{
    static const PassCase cases[] = {
        {"softmax, last axis", softmax_last, 11, "raise", -1, "Softmax"},
        {"softmax, flattened", softmax_flattened, 9, "raise", -1, "Flatten Softmax Reshape"},
        {"softmax, dynamic", softmax_dynamic, 12, "raise", -1, "Flatten LogSoftmax Shape Reshape"},
        {"softmax, trailing ones", softmax_trailing_ones, 8, "raise", -1, "Softmax"},
        {"attributes to inputs", attributes, 9, "raise", -1,
         "Slice Pad Clip ReduceSum Squeeze Unsqueeze Dropout Relu"},
        {"split and top k", split_top_k, 9, "raise", -1, "Split TopK"},
        {"upsample 7", upsample_attribute, 8, "raise", -1, "Resize"},
        {"upsample 9, linear", upsample_linear, 9, "raise", -1, "Resize"},
        {"resize 10 down", resize_shrinks, 10, "raise", -1, "Resize"},
        {"resize 10 down and up", resize_both, 10, "raise", -1, "Resize Resize"},
        {"normalization 7", normalization, 7, "raise", -1, "BatchNormalization"},
        {"already 13", softmax_flattened, 13, "raise", 0, "Softmax"},
        {"newer", softmax_flattened, 17, "raise", 0, "Softmax"},
    };
    test_pass(cases, COUNT_OF(cases));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Model *m = test_rewritten(&cases[i]);
        if (m != NULL)
            CHECK_INT(model_opset(m, ""), cases[i].opset < 13 ? 13 : cases[i].opset);
        model_free(m);
    }
}

static void per_element(Model *m)
{
    Value *y = TEST_NODE(m, "BatchNormalization", "y", test_input(m, "x", "N,2,3"), test_floats(m, "gamma", "2,3"),
                         test_floats(m, "beta", "2,3"), test_floats(m, "mean", "2,3"), test_positive(m, "var", "2,3"));
    node_set_int(y->producer, "spatial", 0);
    test_output(y);
}

TEST(normalization_per_element_becomes_mul_add)
{
    static const PassCase test = {"spatial 0", per_element, 7, "raise", -1, "Mul Add"};
    Model *m = test_rewritten(&test);
    if (m != NULL) {
        CHECK_TEXT(m->graph->first->op_type, "Mul");
        CHECK_TEXT(m->graph->last->op_type, "Add");
        const Tensor *scale = node_constant(m->graph->first, 1);
        CHECK(scale != NULL && scale->rank == 2 && scale->dims[0] == 2 && scale->dims[1] == 3);
    }
    model_free(m);
}

static void scatter(Model *m)
{
    Value *x = test_input(m, "x", "4");
    test_output(TEST_NODE(m, "Scatter", "y", x, TEST_INTS(m, "i", 1, 3), test_floats(m, "u", "2")));
}

static void image_scaler(Model *m)
{
    static const float bias[3] = {1, 2, 3};
    Value *y = TEST_NODE(m, "ImageScaler", "y", test_input(m, "x", "N,3,4,4"));
    node_set_float(y->producer, "scale", 0.5f);
    Attr *attr = node_add_attr(y->producer, "bias", ATTR_FLOATS);
    attr->n = 3;
    attr->floats = arena_copy(m->arena, bias, sizeof(bias));
    test_output(y);
}

TEST(ops_that_are_gone_are_replaced)
{
    static const PassCase cases[] = {{"scatter", scatter, 9, "raise", -1, "ScatterElements"}};
    static const PassCase scaler = {"image scaler", image_scaler, 8, "raise", -1, "Mul Add"};
    test_pass(cases, COUNT_OF(cases));

    Model *m = test_rewritten(&scaler);
    if (m != NULL) {
        CHECK_INT(m->graph->n_nodes, 2);
        CHECK_TEXT(m->graph->first->op_type, "Mul");
        CHECK_TEXT(m->graph->last->op_type, "Add");
        CHECK_TEXT(m->graph->outputs[0]->name, "y");
        const Tensor *bias = node_constant(m->graph->last, 1);
        CHECK(bias != NULL && bias->rank == 3 && bias->dims[0] == 3 && tensor_get(bias, 2) == 3);
    }
    model_free(m);
}

TEST(too_old_opsets_are_refused)
{
    Model *m = model_new();
    PassRecord *records = xcalloc(pass_count(), sizeof(*records));
    model_set_opset(m, "", 6);
    graph_new(m, "test", NULL);
    CHECK_FAILS(passes_run(m, PASS_RAISE, NULL, NULL, NULL, NULL, records), CODE_UNSUPPORTED, "opset 6");
    free(records);
    model_free(m);
}

/* Det came with 11, HardSwish with 14: before, a node of that name is an op of which nothing is known, whatever its inputs. */
TEST(ops_of_later_versions_are_no_ops_yet)
{
    static const struct {
        const char *op_type;
        int opset;
        Code code;
        const char *part;
    } cases[] = {{"HardSwish", 11, CODE_OK, NULL}, {"Det", 10, CODE_MODEL, "input 0 is missing; Det takes at least 1"},
                 {"GroupNormalization", 17, CODE_OK, NULL}, {"Reshape", 4, CODE_UNSUPPORTED, "opset 4"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Model *m = model_new();
        PassRecord *records = xcalloc(pass_count(), sizeof(*records));
        graph_new(m, "test", NULL);
        model_set_opset(m, "", cases[i].opset);
        test_output(test_node(m, cases[i].op_type, "y", 0, NULL));
        CHECK(!node_is(m->graph->first, cases[i].op_type));
        test_status(__FILE__, __LINE__, passes_run(m, PASS_RAISE, NULL, NULL, NULL, NULL, records), cases[i].code,
                    cases[i].part);
        if (cases[i].code == CODE_OK) {
            CHECK_OK(passes_run(m, PASS_SIMPLIFY, NULL, NULL, NULL, NULL, records));
            CHECK_OK(passes_run(m, PASS_TARGET, NULL, NULL, target_find("ort-x86"), NULL, records));
            CHECK_TEXT(m->graph->first->op_type, cases[i].op_type);
        }
        free(records);
        model_free(m);
    }
}
