/* test_judge.c - the noise of a candidate, of outputs that are kept whole and of those that are kept in part. */
#include "src/app/search.h"
#include "src/ops/ops.h"
#include "tests/calib/pictures.h"
#include "tests/passes/graphs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* y = x * c with c: rows x 200, the rows from `from` on times `factor`. */
static Model *product(int64_t rows, int64_t from, float factor)
{
    Model *model = model_new();
    model->graph = graph_new(model, "g", NULL);
    model_set_opset(model, "", 13);
    model->ir_version = 7;
    char *shape = xprintf("%lld,200", (long long)rows);
    Value *c = test_floats(model, "c", shape);
    float *numbers = c->constant->data;
    for (int64_t i = from * 200; i < rows * 200; i++)
        numbers[i] *= factor;
    test_output(TEST_NODE(model, "Mul", "y", test_input(model, "x", "1,1"), c));
    ops_bind(model);
    CHECK_OK(ops_infer(model));
    free(shape);
    return model;
}

static double noise_between(Model *model, Model *candidate)
{
    static const int64_t dims[] = {1, 1};
    Tensor x = {0};
    CHECK_OK(tensor_alloc(&x, DT_FLOAT, 2, dims));
    *(float *)x.data = 3.0f;
    CHECK_OK(npy_write(picture_path("judged/a.npy"), &x));
    tensor_release(&x);
    Plan *plans[2] = {NULL, NULL};
    Dataset *dataset = NULL;
    Judge *judge = NULL;
    double noise = NAN;
    DatasetOptions options = {.preprocess = preprocess_default()};
    if (CHECK_OK(plan_new(model, NULL, &plans[0])) && CHECK_OK(plan_new(candidate, NULL, &plans[1])) &&
        CHECK_OK(dataset_open(picture_path("judged"), (const Value *[]){plan_input(plans[0], 0)}, 1, &options, &dataset)) &&
        CHECK_OK(judge_new(plans[0], dataset, 8, &judge))) {
        CHECK_INT(judge_samples(judge), 1);
        CHECK_OK(judge_noise(judge, plans[1], NULL, &noise, NULL));
    }
    judge_free(judge);
    dataset_free(dataset);
    plan_free(plans[0]);
    plan_free(plans[1]);
    model_free(model);
    model_free(candidate);
    return noise;
}

TEST(judge_hears_small_outputs_whole)
{
    CHECK_NEAR(noise_between(product(7, 7, 1.0f), product(7, 7, 1.0f)), 0.0, 0.0);
    CHECK_NEAR(noise_between(product(7, 7, 1.0f), product(7, 0, 1.1f)), 0.01, 1e-6);
}

/* 5000 x 200 elements, of which a quarter is kept. */
TEST(judge_hears_large_outputs_in_part)
{
    CHECK_NEAR(noise_between(product(5000, 0, 1.0f), product(5000, 0, 1.1f)), 0.01, 1e-6);
    CHECK_NEAR(noise_between(product(5000, 0, 1.0f), product(5000, 2500, 1.1f)), 0.005, 2e-4);
    CHECK_NEAR(noise_between(product(5000, 0, 1.0f), product(5000, 4900, 2.0f)), 0.02, 2e-3);
}

TEST(judge_takes_another_shape_for_the_worst)
{
    CHECK_NEAR(noise_between(product(5000, 0, 1.0f), product(4999, 0, 1.0f)), 10.0, 0.0);
    CHECK_NEAR(noise_between(product(7, 0, 1.0f), product(8, 0, 1.0f)), 10.0, 0.0);
}
