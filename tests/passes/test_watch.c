/* test_watch.c - which values calibration keeps a histogram of, and whose range stands for which other's. */
#include "passes/quantize.h"
#include "src/ops/ops.h"
#include "tests/passes/graphs.h"
#include "tests/test.h"

#include <string.h>

static Model *begin(void)
{
    Model *model = model_new();
    model_set_opset(model, "", 13);
    graph_new(model, "net", NULL);
    return model;
}

/* name=source:h/e/- for every node's output: its range's source, and whether there is a histogram, extremes or nothing. */
static void check_levels(Model *model, const char *expected)
{
    ops_bind(model);
    if (!CHECK_OK(ops_infer(model)))
        return;
    Arena *arena = arena_new();
    const WatchLevel *levels = quant_watch_levels(model, target_find("ort-x86"), arena);
    Text text = {0};
    for (const Node *node = model->graph->first; node != NULL; node = node->next)
        text_addf(&text, "%s%s=%s:%c", text.length == 0 ? "" : " ", node->out[0]->name,
                  quant_range_source(node->out[0])->name, "-eh"[levels[node->out[0]->id]]);
    CHECK_TEXT(text.data, expected);
    text_free(&text);
    arena_free(arena);
    model_free(model);
}

TEST(what_goes_into_an_absorbed_op_has_the_range_of_what_comes_out)
{
    Model *m = begin();
    Value *x = test_input(m, "x", "N,4,6,6");
    Value *a = TEST_NODE(m, "Conv", "a", x, test_floats(m, "w", "8,4,3,3"));
    Value *b = TEST_NODE(m, "Relu", "b", a);
    Value *c = TEST_NODE(m, "Conv", "c", b, test_floats(m, "v", "8,8,3,3"));
    Value *d = TEST_NODE(m, "Clip", "d", c, test_fill(m, "zero", "", 0), test_fill(m, "six", "", 6));
    Value *e = TEST_NODE(m, "Reshape", "e", d, TEST_INTS(m, "flat", -1, 32));
    test_output(TEST_NODE(m, "MatMul", "f", e, test_floats(m, "u", "32,5")));
    check_levels(m, "a=b:- b=b:h c=d:- d=d:h e=d:- f=f:h");
}

TEST(a_value_that_others_read_too_is_watched_itself)
{
    Model *m = begin();
    Value *x = test_input(m, "x", "N,4,6,6");
    Value *a = TEST_NODE(m, "Conv", "a", x, test_floats(m, "w", "8,4,3,3"));
    Value *b = TEST_NODE(m, "Relu", "b", a);
    Value *low = TEST_NODE(m, "Clip", "low", b, test_fill(m, "below", "", -1), NULL);
    test_output(TEST_NODE(m, "Add", "c", low, a));
    Value *d = TEST_NODE(m, "Conv", "d", x, test_floats(m, "v", "8,4,3,3"));
    test_output(d);
    test_output(TEST_NODE(m, "Relu", "e", d));
    check_levels(m, "a=a:h b=b:h low=low:h c=c:h d=d:h e=e:h");
}

TEST(what_nothing_quantizes_needs_no_histogram)
{
    Model *m = begin();
    Value *x = test_input(m, "x", "N,32");
    Value *a = TEST_NODE(m, "Exp", "a", x);
    Value *b = TEST_NODE(m, "Sqrt", "b", a);
    Value *c = TEST_NODE(m, "MatMul", "c", b, test_floats(m, "w", "32,8"));
    Value *d = TEST_NODE(m, "Sigmoid", "d", c);
    Value *e = TEST_NODE(m, "Transpose", "e", d);
    Value *f = TEST_NODE(m, "Sqrt", "f", e);
    test_output(f);
    check_levels(m, "a=a:e b=b:h c=c:h d=d:h e=d:- f=f:e");
}

TEST(a_sigmoid_behind_which_nothing_is_quantized_shows_its_extremes)
{
    Model *m = begin();
    Value *c = TEST_NODE(m, "MatMul", "c", test_input(m, "x", "N,32"), test_floats(m, "w", "32,8"));
    test_output(TEST_NODE(m, "Sigmoid", "d", c));
    check_levels(m, "c=c:h d=d:e");
}
