/* test_cost.c - islands of integer nodes that are not worth their Q and DQ stay float, those that are do not. */
#include "passes/pass.h"
#include "passes/quantize.h"
#include "src/ops/ops.h"
#include "tests/passes/graphs.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

/* A depthwise convolution of few channels over few pixels. */
static void tiny(Model *m)
{
    Value *x = TEST_NODE(m, "Exp", "e", test_input(m, "x", "1,8,16,16"));
    x = TEST_NODE(m, "Conv", "c", x, test_floats(m, "w", "8,1,3,3"));
    node_set_int(x->producer, "group", 8);
    test_output(TEST_NODE(m, "Exp", "y", x));
}

/* One of enough channels. */
static void little(Model *m)
{
    Value *x = TEST_NODE(m, "Exp", "e", test_input(m, "x", "1,16,16,16"));
    x = TEST_NODE(m, "Conv", "c", x, test_floats(m, "w", "16,16,3,3"));
    test_output(TEST_NODE(m, "Exp", "y", x));
}

/* Two of 64 channels over 1024 pixels, an activation between them. */
static void large(Model *m)
{
    Value *x = TEST_NODE(m, "Exp", "e", test_input(m, "x", "1,64,32,32"));
    x = TEST_NODE(m, "Conv", "c", x, test_floats(m, "w", "64,64,3,3"));
    x = TEST_NODE(m, "Relu", "r", x);
    x = TEST_NODE(m, "Conv", "d", x, test_floats(m, "v", "64,64,3,3"));
    test_output(TEST_NODE(m, "Exp", "y", x));
}

/* Both: the island that is worth it stays. */
static void both(Model *m)
{
    Value *x = TEST_NODE(m, "Exp", "e", test_input(m, "x", "1,64,32,32"));
    x = TEST_NODE(m, "Conv", "c", x, test_floats(m, "w", "64,64,3,3"));
    x = TEST_NODE(m, "GlobalAveragePool", "g", TEST_NODE(m, "Exp", "f", x));
    x = TEST_NODE(m, "Exp", "h", x);
    x = TEST_NODE(m, "Conv", "d", x, test_floats(m, "v", "16,64,1,1"));
    test_output(TEST_NODE(m, "Exp", "y", x));
}

/* A picture of one channel, few filters of many positions: all there is to this model. */
static void one_channel(Model *m)
{
    Value *x = TEST_NODE(m, "Conv", "c", test_input(m, "x", "1,1,64,64"), test_floats(m, "w", "8,1,5,5"));
    node_set_ints(x->producer, "pads", (int64_t[]){2, 2, 2, 2}, 4);
    test_output(TEST_NODE(m, "Relu", "y", x));
}

static int count_integers(void (*build)(Model *m), bool ignore_costs)
{
    Model *m = model_new();
    m->ir_version = 8;
    model_set_opset(m, "", 13);
    graph_new(m, "test", NULL);
    build(m);
    ops_bind(m);
    CHECK_OK(ops_infer(m));
    RangeTable *ranges = ranges_new();
    QuantPlan *plan = quant_plan_new(m);
    plan->ignore_costs = ignore_costs;
    plan->counts = (ElementCounts){xcalloc(m->n_ids, sizeof(int64_t)), m->n_ids};
    for (const Node *node = m->graph->first; node != NULL; node = node->next)
        for (int i = -1; i < node->n_out; i++) {
            const Value *value = i < 0 ? node->in[0] : node->out[i];
            ranges_put(ranges, &(Range){.name = value->name, .low = -1.0f, .high = 1.0f, .elements = 1});
            plan->counts.by_value[value->id] = shape_count(&value->type.shape);
        }
    PassRecord *records = xcalloc(pass_count(), sizeof records[0]);
    CHECK_OK(passes_run(m, PASS_QUANTIZE, NULL, ranges, target_find("ort-x86"), plan, records));
    int integers = 0;
    for (uint32_t id = 0; id < plan->n_nodes; id++) {
        const NodeDecision *decision = &plan->nodes[id];
        integers += decision->op_type != NULL && decision->fate == FATE_INTEGER && decision->weighted;
        if (decision->op_type != NULL && decision->weighted && decision->fate == FATE_FLOAT)
            CHECK(strstr(decision->reason, "slower in integers") != NULL);
    }
    free(plan->counts.by_value);
    free(records);
    quant_plan_free(plan);
    ranges_free(ranges);
    model_free(m);
    return integers;
}

TEST(islands_that_cost_more_than_they_save_stay_float)
{
    CHECK_INT(count_integers(large, false), 2);
    CHECK_INT(count_integers(both, false), 1);
}

TEST(models_that_run_in_no_time_are_judged_as_a_whole)
{
    CHECK_INT(count_integers(tiny, false), 0);
    CHECK_INT(count_integers(little, false), 1);
    CHECK_INT(count_integers(one_channel, false), 0);
}

TEST(costs_can_be_ignored)
{
    CHECK_INT(count_integers(both, true), 2);
    CHECK_INT(count_integers(one_channel, true), 1);
}
