/* test_sizes.c - random inputs: sizes for what the model leaves open, integers that the graph can use. */
#include "src/app/app.h"
#include "src/ops/ops.h"
#include "tests/passes/graphs.h"
#include "tests/test.h"

#include <string.h>

static Plan *plan_of(Model *model)
{
    Plan *plan = NULL;
    ops_bind(model);
    CHECK_OK(ops_infer(model));
    CHECK_OK(plan_new(model, NULL, &plan));
    return plan;
}

/* x Nx3xHx48 -> MaxPool of `kernel` rows -> Squeeze of what is left of them: one height runs, or none does. */
static Model *pooled(int64_t kernel)
{
    Model *model = model_new();
    model->graph = graph_new(model, "g", NULL);
    model_set_opset(model, "", 13);
    model->ir_version = 7;
    Value *x = test_input(model, "x", "N,3,H,48");
    Value *pooled = TEST_NODE(model, "MaxPool", "p", x);
    TEST_SET_INTS(pooled, "kernel_shape", kernel, 1);
    TEST_SET_INTS(pooled, "strides", kernel, 1);
    test_output(TEST_NODE(model, "Squeeze", "y", pooled, TEST_INTS(model, "axes", 2)));
    return model;
}

TEST(open_sizes_are_those_that_the_model_runs_with)
{
    static const struct {
        int64_t kernel, height;
    } cases[] = {{64, 64}, {576, 576}, {48, 64}, {7, 7}, {1, 1}, {90, 96}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Model *model = pooled(cases[i].kernel);
        Plan *plan = plan_of(model);
        Arena *arena = arena_new();
        InputShape *shapes = NULL;
        RandomInput *randoms = NULL;
        if (plan != NULL && CHECK_OK(sizes_find(plan, NULL, 0, arena, &shapes, &randoms))) {
            CHECK(strcmp(shapes[0].input, "x") == 0);
            CHECK_INT(shapes[0].dims[0], 1);
            CHECK_INT(shapes[0].dims[1], 3);
            CHECK_INT(shapes[0].dims[2], cases[i].height);
            CHECK_INT(shapes[0].dims[3], 48);
        }
        arena_free(arena);
        plan_free(plan);
        model_free(model);
    }
}

TEST(sizes_that_were_given_stay_and_misfits_are_told)
{
    Model *model = pooled(5000);
    Plan *plan = plan_of(model);
    Arena *arena = arena_new();
    InputShape *shapes = NULL, given = {"x", 4, {2, 3, 5000, 48}}, odd = {"x", 4, {2, 4, 5000, 48}};
    RandomInput *randoms = NULL;
    if (plan != NULL && CHECK_OK(sizes_find(plan, &given, 1, arena, &shapes, &randoms)))
        CHECK_INT(shapes[0].dims[2], 5000);
    if (plan != NULL) {
        CHECK_FAILS(sizes_find(plan, NULL, 0, arena, &shapes, &randoms), CODE_MODEL, "give --shape");
        Sizes sizes = sizes_new(plan, &odd, 1);
        CHECK_FAILS(sizes_of(&sizes, plan_input(plan, 0), &shapes[0]), CODE_USAGE, "has 3 at dimension 1, its --shape 4");
        sizes_release(&sizes);
    }
    arena_free(arena);
    plan_free(plan);
    model_free(model);
}

TEST(integers_stay_below_the_rows_of_their_table)
{
    Model *model = model_new();
    model->graph = graph_new(model, "g", NULL);
    model_set_opset(model, "", 13);
    model->ir_version = 7;
    Value *ids = test_input_of(model, "ids", DT_INT64, "N,L"), *mask = test_input_of(model, "attention_mask", DT_INT64, "N,L");
    Value *rows = TEST_NODE(model, "Gather", "rows", test_floats(model, "table", "3,4"), ids);
    test_output(rows);
    test_output(TEST_NODE(model, "Neg", "y", mask));
    Plan *plan = plan_of(model);
    Options options = {.seed = -1};
    Preprocess preprocess = preprocess_default();
    Dataset *dataset = NULL;
    Tensor inputs[2];
    if (plan != NULL && CHECK_OK(setup_dataset(&options, plan, &preprocess, DATASET_RANDOM, 4, &dataset)) &&
        CHECK_OK(dataset_load(dataset, 2, inputs))) {
        CHECK(strstr(dataset_describe(dataset), "'ids' 1x64") != NULL);
        bool seen[3] = {false, false, false};
        for (int64_t i = 0; i < inputs[0].count; i++) {
            int64_t id = tensor_get_int(&inputs[0], i);
            CHECK(id >= 0 && id < 3);
            seen[MAX(id, 0) % 3] = true;
            CHECK_INT(tensor_get_int(&inputs[1], i), 1);
        }
        CHECK(seen[0] && seen[1] && seen[2]);
        CHECK_INT(inputs[0].count, 64);
        tensor_release(&inputs[0]);
        tensor_release(&inputs[1]);
    }
    dataset_free(dataset);
    plan_free(plan);
    model_free(model);
}
