/* test_evaluate.c - two models against each other, where the figures could lie: NaN, unlike shapes, wrong labels. */
#include "src/app/app.h"
#include "src/ops/ops.h"
#include "tests/calib/pictures.h"
#include "tests/passes/graphs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static Model *one_node(const char *op_type, const char *shape)
{
    Model *model = model_new();
    model->graph = graph_new(model, "g", NULL);
    model_set_opset(model, "", 13);
    model->ir_version = 7;
    test_output(TEST_NODE(model, op_type, "y", test_input(model, "x", shape)));
    ops_bind(model);
    CHECK_OK(ops_infer(model));
    return model;
}

static const char *put_sample(const char *folder, int rank, const int64_t *dims, const float *x)
{
    Tensor tensor = {0};
    CHECK_OK(tensor_alloc(&tensor, DT_FLOAT, rank, dims));
    memcpy(tensor.data, x, tensor.bytes);
    const char *path = picture_path(folder);
    CHECK_OK(npy_write(path, &tensor));
    tensor_release(&tensor);
    return path;
}

/* Evaluates two ops on the one file at `path`; `labels` may be NULL. */
static Status evaluate_ops(Model *a, Model *b, const char *path, const Labels *labels, Evaluation *ret)
{
    Plan *plans[2] = {NULL, NULL};
    Dataset *dataset = NULL;
    DatasetOptions options = {.preprocess = preprocess_default()};
    Status status = plan_new(a, NULL, &plans[0]);
    if (status == NULL)
        status = plan_new(b, NULL, &plans[1]);
    if (status == NULL)
        status = dataset_open(path, (const Value *[]){plan_input(plans[0], 0)}, 1, &options, &dataset);
    if (status == NULL)
        status = evaluate(plans[0], plans[1], dataset, &(EvaluateOptions){.labels = labels}, NULL, ret);
    dataset_free(dataset);
    plan_free(plans[0]);
    plan_free(plans[1]);
    model_free(a);
    model_free(b);
    return status;
}

TEST(evaluation_takes_nan_in_one_model_for_an_infinite_error)
{
    const char *path = put_sample("nan/a.npy", 2, (const int64_t[]){1, 3}, (const float[]){-1.0f, 1.0f, 2.0f});
    Evaluation result;
    if (!CHECK_OK(evaluate_ops(one_node("Identity", "1,3"), one_node("Log", "1,3"), path, NULL, &result)))
        return;
    CHECK_NEAR(result.outputs[0].sqnr_db, -999.0, 0);
    CHECK_NEAR(result.outputs[0].cosine, 0.0, 0);
    CHECK(isinf(result.outputs[0].max_abs_diff));
    evaluation_release(&result);
}

TEST(evaluation_takes_nan_in_both_models_for_equal)
{
    const char *path = put_sample("nans/a.npy", 2, (const int64_t[]){1, 3}, (const float[]){-1.0f, 1.0f, 2.0f});
    Evaluation result;
    if (!CHECK_OK(evaluate_ops(one_node("Log", "1,3"), one_node("Log", "1,3"), path, NULL, &result)))
        return;
    CHECK_NEAR(result.outputs[0].sqnr_db, 999.0, 0);
    CHECK_NEAR(result.outputs[0].max_abs_diff, 0.0, 0);
    evaluation_release(&result);
}

TEST(evaluation_refuses_outputs_of_unlike_shape)
{
    const char *path = put_sample("shape/a.npy", 2, (const int64_t[]){1, 3}, (const float[]){1.0f, 2.0f, 3.0f});
    Evaluation result;
    CHECK_FAILS(evaluate_ops(one_node("Relu", "1,3"), one_node("Transpose", "1,3"), path, NULL, &result), CODE_MODEL,
                "output 'y' and output 'y' of the other model");
}

TEST(evaluation_takes_another_number_of_finds_for_an_infinite_error)
{
    const char *path = put_sample("finds/a.npy", 2, (const int64_t[]){1, 3}, (const float[]){-1.0f, 0.0f, 3.0f});
    Model *a = one_node("NonZero", "1,3"), *b = model_new();
    b->graph = graph_new(b, "g", NULL);
    model_set_opset(b, "", 13);
    Value *relu = TEST_NODE(b, "Relu", "r", test_input(b, "x", "1,3"));
    test_output(TEST_NODE(b, "NonZero", "y", relu));
    ops_bind(b);
    CHECK_OK(ops_infer(b));
    Evaluation result;
    if (!CHECK_OK(evaluate_ops(a, b, path, NULL, &result)))
        return;
    CHECK_NEAR(result.outputs[0].sqnr_db, -999.0, 0);
    CHECK_NEAR(result.outputs[0].cosine, 0.0, 0);
    evaluation_release(&result);
}

TEST(evaluation_refuses_labels_for_what_is_no_class_scores)
{
    const char *path = put_sample("label/a.npy", 2, (const int64_t[]){2, 2}, (const float[]){1, 2, 3, 4});
    char *list = xstrdup(picture_path("labels-of-one.txt"));
    write_file(list, "a.npy 1\n", 8);
    Labels *labels = NULL;
    if (CHECK_OK(labels_read(list, &labels))) {
        Evaluation result;
        CHECK_FAILS(evaluate_ops(one_node("Relu", "2,2"), one_node("Relu", "2,2"), path, labels, &result), CODE_DATA,
                    "labels need class scores");
    }
    labels_free(labels);
    free(list);
}

static Model *accumulator(const char *op_type)
{
    Model *model = model_new();
    model->graph = graph_new(model, "g", NULL);
    model_set_opset(model, "", 13);
    model->ir_version = 7;
    Value *x = test_input(model, "x", "1,1"), *h = test_input(model, "h", "1,1");
    test_output(TEST_NODE(model, op_type, "y", x, h));
    ops_bind(model);
    CHECK_OK(ops_infer(model));
    return model;
}

/* x = 1, 1, 1 and h the output before: x + h is 1, 2, 3 and x - h is 1, 0, 1; errors 0, 2 and 2 of 14 in all. */
TEST(evaluation_gives_each_model_its_own_state)
{
    put_sample("steps/a.npy", 2, (const int64_t[]){1, 1}, (const float[]){1});
    put_sample("steps/b.npy", 2, (const int64_t[]){1, 1}, (const float[]){1});
    put_sample("steps/c.npy", 2, (const int64_t[]){1, 1}, (const float[]){1});
    Model *models[2] = {accumulator("Add"), accumulator("Sub")};
    Plan *plans[2];
    if (!CHECK_OK(plan_new(models[0], NULL, &plans[0])) || !CHECK_OK(plan_new(models[1], NULL, &plans[1])))
        return;
    DatasetOptions options = {.preprocess = preprocess_default(), .states = &(StateInput){"h", NULL}, .n_states = 1};
    const StateLink link = {1, 0};
    Dataset *dataset = NULL;
    CHECK_OK(dataset_open(picture_path("steps"), (const Value *[]){plan_input(plans[0], 0), plan_input(plans[0], 1)}, 2,
                          &options, &dataset));
    Team *team = team_new(3);
    for (int linked = 0; linked < 2 && dataset != NULL; linked++) {
        Evaluation result;
        const EvaluateOptions given = {.links = &link, .n_links = linked};
        if (!CHECK_OK(evaluate(plans[0], plans[1], dataset, &given, team, &result)))
            continue;
        CHECK_NEAR(result.outputs[0].sqnr_db, linked ? 10 * log10(14.0 / 8) : 999.0, 1e-9);
        evaluation_release(&result);
    }
    team_free(team);
    dataset_free(dataset);
    for (int m = 0; m < 2; m++) {
        plan_free(plans[m]);
        model_free(models[m]);
    }
}

typedef struct Pair {
    Model *models[2];
    Plan *plans[2];
    Dataset *dataset;
} Pair;

/* Identity against Abs on three samples, of which the second is of another shape: that file cannot be used. */
static bool open_pair(Pair *pair)
{
    put_sample("kept/a.npy", 2, (const int64_t[]){1, 3}, (const float[]){1, -2, 3});
    put_sample("kept/b.npy", 2, (const int64_t[]){1, 2}, (const float[]){1, 2});
    put_sample("kept/c.npy", 2, (const int64_t[]){1, 3}, (const float[]){-4, 5, 6});
    DatasetOptions options = {.preprocess = preprocess_default()};
    *pair = (Pair){.models = {one_node("Identity", "1,3"), one_node("Abs", "1,3")}};
    return CHECK_OK(plan_new(pair->models[0], NULL, &pair->plans[0])) && CHECK_OK(plan_new(pair->models[1], NULL, &pair->plans[1])) &&
           CHECK_OK(dataset_open(picture_path("kept"), (const Value *[]){plan_input(pair->plans[0], 0)}, 1, &options, &pair->dataset));
}

static void close_pair(Pair *pair)
{
    dataset_free(pair->dataset);
    for (int m = 0; m < 2; m++) {
        plan_free(pair->plans[m]);
        model_free(pair->models[m]);
    }
}

/* What calibration saw of a model stands for running it again: errors of 16 and 64 against 91 in all. */
TEST(evaluation_takes_the_outputs_that_calibration_kept)
{
    Pair pair;
    if (!open_pair(&pair))
        return;
    Team *team = team_new(2);
    KeptOutputs *kept = kept_outputs_new(dataset_count(pair.dataset), 1, 2 * 3 * sizeof(float));
    Sights sights = {0};
    Evaluation run, taken;
    CHECK_OK(collect_sights(pair.plans[0], pair.dataset, &(CollectOptions){.kept = kept}, team, NULL, &sights));
    CHECK(kept_outputs_whole(kept));
    CHECK(kept_outputs_get(kept, 0) != NULL && kept_outputs_get(kept, 1) == NULL && kept_outputs_get(kept, 2) != NULL);
    if (CHECK_OK(evaluate(pair.plans[0], pair.plans[1], pair.dataset, &(EvaluateOptions){0}, team, &run)) &&
        CHECK_OK(evaluate(pair.plans[0], pair.plans[1], pair.dataset, &(EvaluateOptions){.kept = kept}, team, &taken))) {
        CHECK_INT(taken.samples, 2);
        CHECK_INT(taken.skipped, 1);
        CHECK_NEAR(taken.outputs[0].sqnr_db, 10 * log10(91.0 / 80.0), 1e-9);
        CHECK_NEAR(taken.outputs[0].sqnr_db, run.outputs[0].sqnr_db, 0.0);
        evaluation_release(&run);
        evaluation_release(&taken);
    }
    /* they are what is compared: the model is not asked */
    Tensor other = {0};
    CHECK_OK(tensor_view(&other, DT_FLOAT, 2, (int64_t[]){1, 3}, (float[]){1, 2, 3}));
    kept_outputs_put(kept, 0, &other);
    CHECK_OK(tensor_view(&other, DT_FLOAT, 2, (int64_t[]){1, 3}, (float[]){4, 5, 6}));
    kept_outputs_put(kept, 2, &other);
    if (CHECK_OK(evaluate(pair.plans[0], pair.plans[1], pair.dataset, &(EvaluateOptions){.kept = kept}, NULL, &taken))) {
        CHECK_NEAR(taken.outputs[0].sqnr_db, 999.0, 0.0);
        evaluation_release(&taken);
    }
    sights_release(&sights);
    kept_outputs_free(kept);
    team_free(team);
    close_pair(&pair);
}

TEST(outputs_beyond_the_bytes_allowed_are_all_let_go)
{
    float data[4] = {1, 2, 3, 4};
    Tensor tensor = {0};
    CHECK_OK(tensor_view(&tensor, DT_FLOAT, 1, (int64_t[]){4}, data));
    KeptOutputs *kept = kept_outputs_new(3, 1, 2 * sizeof data);
    kept_outputs_put(kept, 2, &tensor);
    kept_outputs_put(kept, 0, &tensor);
    kept_outputs_put(kept, 0, &tensor); /* again: in place of the first */
    CHECK(kept_outputs_whole(kept));
    CHECK_NEAR(tensor_get(kept_outputs_get(kept, 2), 3), 4.0, 0.0);
    kept_outputs_put(kept, 1, &tensor);
    CHECK(!kept_outputs_whole(kept));
    CHECK(kept_outputs_get(kept, 0) == NULL && kept_outputs_get(kept, 2) == NULL);
    kept_outputs_put(kept, 0, &tensor);
    CHECK(!kept_outputs_whole(kept) && kept_outputs_get(kept, 0) == NULL);
    CHECK(!kept_outputs_whole(NULL));
    kept_outputs_free(kept);
}
