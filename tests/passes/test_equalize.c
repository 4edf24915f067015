/* test_equalize.c - channels of unlike size: equalized models answer the same, and their values share one range. */
#include "passes/pass.h"
#include "src/exec/exec.h"
#include "src/ops/ops.h"
#include "tests/passes/graphs.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

/* Output channels of a weight (C, ...) grow from 1 to 100. */
static Value *spread(Value *weight, int64_t channels)
{
    float *w = weight->constant->data;
    int64_t inner = weight->constant->count / channels;
    for (int64_t i = 0; i < weight->constant->count; i++)
        w[i] *= powf(100.0f, (float)(i / inner) / (float)(channels - 1));
    return weight;
}

static void between_depthwise(Model *m)
{
    Value *x = test_input(m, "x", "N,3,6,6");
    x = TEST_NODE(m, "Conv", "a", x, spread(test_floats(m, "w1", "8,3,1,1"), 8), test_floats(m, "b1", "8"));
    x = TEST_NODE(m, "LeakyRelu", "v", x);
    x = TEST_NODE(m, "Conv", "y", x, test_floats(m, "w2", "8,1,3,3"), test_floats(m, "b2", "8"));
    node_set_int(x->producer, "group", 8);
    test_output(x);
}

static void between_full(Model *m)
{
    Value *x = test_input(m, "x", "N,3,6,6");
    x = TEST_NODE(m, "Conv", "a", x, spread(test_floats(m, "w1", "8,3,3,3"), 8), test_floats(m, "b1", "8"));
    x = TEST_NODE(m, "Relu", "r", x);
    x = TEST_NODE(m, "MaxPool", "v", x);
    TEST_SET_INTS(x, "kernel_shape", 2, 2);
    Value *left = TEST_NODE(m, "Conv", "left", x, test_floats(m, "w2", "4,8,1,1"));
    Value *right = TEST_NODE(m, "ConvTranspose", "right", x, test_floats(m, "w3", "8,4,1,1"));
    test_output(TEST_NODE(m, "Add", "y", left, right));
}

static void behind_norm(Model *m)
{
    Value *x = test_input(m, "x", "N,5,8");
    x = TEST_NODE(m, "LayerNormalization", "v", x, spread(test_positive(m, "scale", "8"), 8), test_floats(m, "bias", "8"));
    Value *q = TEST_NODE(m, "MatMul", "q", x, test_floats(m, "wq", "8,6"));
    Value *k = TEST_NODE(m, "MatMul", "k", x, test_floats(m, "wk", "8,6"));
    test_output(TEST_NODE(m, "Add", "y", q, k));
}

static void between_gemms(Model *m)
{
    Value *x = test_input(m, "x", "N,5");
    x = TEST_NODE(m, "Gemm", "a", x, spread(test_floats(m, "w1", "8,5"), 8), test_floats(m, "b1", "8"));
    node_set_int(x->producer, "transB", 1);
    x = TEST_NODE(m, "LeakyRelu", "v", x);
    test_output(TEST_NODE(m, "Gemm", "y", x, test_floats(m, "w2", "8,4"), test_floats(m, "b2", "4")));
}

/* Sigmoid is not homogeneous; a graph output is read by the user; an Add needs both sides alike. */
static void behind_sigmoid(Model *m)
{
    Value *x = test_input(m, "x", "N,3,6,6");
    x = TEST_NODE(m, "Conv", "a", x, spread(test_floats(m, "w1", "8,3,1,1"), 8));
    x = TEST_NODE(m, "Sigmoid", "v", x);
    test_output(TEST_NODE(m, "Conv", "y", x, test_floats(m, "w2", "4,8,1,1")));
}

static void read_outside(Model *m)
{
    Value *x = test_input(m, "x", "N,3,6,6");
    x = TEST_NODE(m, "Conv", "v", x, spread(test_floats(m, "w1", "8,3,1,1"), 8));
    test_output(x);
    test_output(TEST_NODE(m, "Conv", "y", x, test_floats(m, "w2", "4,8,1,1")));
}

static void read_by_add(Model *m)
{
    Value *x = test_input(m, "x", "N,3,6,6");
    x = TEST_NODE(m, "Conv", "v", x, spread(test_floats(m, "w1", "8,3,1,1"), 8));
    Value *y = TEST_NODE(m, "Conv", "c", x, test_floats(m, "w2", "8,8,1,1"));
    test_output(TEST_NODE(m, "Add", "y", x, y));
}

static Model *build(void (*fill)(Model *m))
{
    Model *m = model_new();
    m->ir_version = 8;
    model_set_opset(m, "", 17);
    graph_new(m, "test", NULL);
    fill(m);
    ops_bind(m);
    CHECK_OK(ops_infer(m));
    return m;
}

static Status watch(void *context, const Value *value, Tensor *tensor)
{
    Channels *row = channels_get(context, value->name);
    if (row != NULL)
        channels_add(row, tensor);
    return NULL;
}

/* The first output; channels may be NULL. */
static Tensor run(const Model *model, ChannelTable *channels)
{
    Plan *plan = NULL;
    Tensor result = {0}, input = {0}, outputs[2] = {{0}};
    PlanOptions options = {.reference = true};
    if (!CHECK_OK(plan_new(model, &options, &plan)))
        return result;
    int64_t dims[TENSOR_MAX_RANK];
    const Shape *shape = &plan_input(plan, 0)->type.shape;
    for (int i = 0; i < shape->rank; i++)
        dims[i] = dim_is_known(shape->dims[i]) ? shape->dims[i].size : 2;
    CHECK_OK(tensor_alloc(&input, DT_FLOAT, shape->rank, dims));
    for (int64_t i = 0; i < input.count; i++)
        ((float *)input.data)[i] = sinf((float)i * 1.7f);
    Runner *runner = runner_new(plan, NULL);
    Observer observer = {.value = watch, .context = channels};
    if (CHECK_OK(runner_run(runner, &input, channels == NULL ? NULL : &observer, outputs)))
        CHECK_OK(tensor_copy(&result, &outputs[0]));
    runner_free(runner);
    plan_free(plan);
    tensor_release(&input);
    return result;
}

static double spread_of(const Channels *row)
{
    double least = INFINITY, greatest = 0.0;
    for (int64_t c = 0; c < row->n; c++) {
        least = fmin(least, (double)row->max_abs[c]);
        greatest = fmax(greatest, (double)row->max_abs[c]);
    }
    return greatest / least;
}

/* limit: the greatest ratio of two channels' ranges afterwards. 0: nothing may change. */
static void check_equalized(void (*fill)(Model *m), double limit)
{
    Model *m = build(fill);
    ChannelTable *before = channels_new(), *after = channels_new();
    equalize_list(m, EQUALIZE_WEIGHTS | EQUALIZE_NORMS, before);
    CHECK_INT(channels_count(before), limit > 0.0);
    Tensor expected = run(m, before);
    PassRecord *records = xcalloc(pass_count(), sizeof records[0]);
    PassOptions options = {.channels = before, .strength = 0.5};
    CHECK_OK(passes_run(m, PASS_EQUALIZE, &options, NULL, NULL, NULL, records));
    equalize_list(m, EQUALIZE_WEIGHTS | EQUALIZE_NORMS, after);
    Tensor actual = run(m, after);
    double greatest = 0.0, worst = 0.0;
    for (int64_t i = 0; i < expected.count && tensor_same_shape(&expected, &actual); i++) {
        greatest = fmax(greatest, fabs(tensor_get(&expected, i)));
        worst = fmax(worst, fabs(tensor_get(&expected, i) - tensor_get(&actual, i)));
    }
    CHECK(greatest > 0.0 && worst <= 1e-5 * greatest);
    if (limit > 0.0) {
        double was = spread_of(channels_get(before, "v")), is = spread_of(channels_get(after, "v"));
        CHECK(was > 10.0);
        CHECK(is <= limit && is < was);
    }
    tensor_release(&expected);
    tensor_release(&actual);
    channels_free(before);
    channels_free(after);
    free(records);
    model_free(m);
}

TEST(channels_before_a_depthwise_convolution_share_one_range)
{
    check_equalized(between_depthwise, 1.001);
}

TEST(channels_between_weights_meet_half_way)
{
    check_equalized(between_full, 40.0);
    check_equalized(between_gemms, 40.0);
}

TEST(channels_behind_a_normalization_are_smoothed)
{
    check_equalized(behind_norm, 40.0);
}

TEST(channels_that_others_read_stay)
{
    check_equalized(behind_sigmoid, 0.0);
    check_equalized(read_outside, 0.0);
    check_equalized(read_by_add, 0.0);
}
