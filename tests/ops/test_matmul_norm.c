/* test_matmul_norm.c - MatMul, Gemm, the normalizations and Softmax as nodes. */
#include "tests/test.h"

#include <math.h>

#include "tests/ops/one_node.h"

static const float six[] = {1, 2, 3, 4, 5, 6};

static void check_both(OneNode *one, const float *expected, int64_t n)
{
    for (int reference = 0; reference < 2; reference++) {
        if (!CHECK_OK(one_node_run(one, reference == 1)))
            continue;
        CHECK_INT(one->out[0].count, n);
        for (int64_t i = 0; i < n && i < one->out[0].count; i++)
            CHECK_NEAR(tensor_get(&one->out[0], i), expected[i], 1e-5);
    }
}

static void check_matmul(Tensor a, Tensor b, int rank, const float *expected, int64_t n)
{
    OneNode one = one_node("MatMul", "", 13, (Tensor[]){a, b}, 2, 1);

    check_both(&one, expected, n);
    CHECK_INT(one.out[0].rank, rank);
    one_node_free(&one);
}

TEST(matmul_node_follows_numpy)
{
    Tensor row = over(DT_FLOAT, 1, DIMS(3), six), wide = over(DT_FLOAT, 2, DIMS(2, 3), six);
    Tensor tall = over(DT_FLOAT, 2, DIMS(3, 2), six);

    check_matmul(row, row, 0, (float[]){14}, 1);
    check_matmul(wide, row, 1, (float[]){14, 32}, 2);
    check_matmul(row, tall, 1, (float[]){22, 28}, 2);
    check_matmul(wide, tall, 2, (float[]){22, 28, 49, 64}, 4);
    check_matmul(over(DT_FLOAT, 3, DIMS(2, 1, 3), six), tall, 3, (float[]){22, 28, 49, 64}, 4);
    /* (2, 1, 1, 2) by (3, 2, 1): batches (2, 3) */
    check_matmul(over(DT_FLOAT, 4, DIMS(2, 1, 1, 2), six), over(DT_FLOAT, 3, DIMS(3, 2, 1), six), 4,
                 (float[]){5, 11, 17, 11, 25, 39}, 6);
}

TEST(matmul_node_multiplies_integers_and_doubles)
{
    const int64_t a[] = {1LL << 40, -3}, b[] = {5, 7};
    const double c[] = {0.5, 2}, d[] = {4, 0.25};
    OneNode ints =
        one_node("MatMul", "", 13, (Tensor[]){over(DT_INT64, 1, DIMS(2), a), over(DT_INT64, 1, DIMS(2), b)}, 2, 1);
    OneNode doubles =
        one_node("MatMul", "", 13, (Tensor[]){over(DT_DOUBLE, 1, DIMS(2), c), over(DT_DOUBLE, 1, DIMS(2), d)}, 2, 1);

    CHECK_OK(one_node_run(&ints, true));
    CHECK_INT(*(int64_t *)ints.out[0].data, 5 * (1LL << 40) - 21);
    CHECK_OK(one_node_run(&doubles, true));
    CHECK_NEAR(*(double *)doubles.out[0].data, 2.5, 0);
    one_node_free(&ints), one_node_free(&doubles);
}

TEST(matmul_node_names_what_does_not_fit)
{
    Tensor wide = over(DT_FLOAT, 2, DIMS(2, 3), six), batch = over(DT_FLOAT, 3, DIMS(3, 2, 1), six);
    Tensor other = over(DT_FLOAT, 3, DIMS(2, 1, 3), six), scalar = over(DT_FLOAT, 0, NULL, six);
    OneNode inner = one_node("MatMul", "", 13, (Tensor[]){wide, wide}, 2, 1);
    OneNode batches = one_node("MatMul", "", 13, (Tensor[]){batch, other}, 2, 1);
    OneNode scalars = one_node("MatMul", "", 13, (Tensor[]){wide, scalar}, 2, 1);

    CHECK_FAILS(ops_infer_node(inner.node), CODE_MODEL, "the left matrix has 3 columns, the right one 2 rows");
    CHECK_FAILS(one_node_eval(&inner), CODE_MODEL, "the left matrix has 3 columns, the right one 2 rows");
    CHECK_FAILS(ops_infer_node(batches.node), CODE_MODEL, "batch");
    CHECK_FAILS(one_node_eval(&batches), CODE_MODEL, "batch axis 0");
    CHECK_FAILS(one_node_eval(&scalars), CODE_MODEL, "scalar");
    one_node_free(&inner), one_node_free(&batches), one_node_free(&scalars);
}

TEST(gemm_node_scales_transposes_and_broadcasts)
{
    Tensor tall = over(DT_FLOAT, 2, DIMS(3, 2), six), wide = over(DT_FLOAT, 2, DIMS(2, 3), six);
    const float column[] = {10, 20};
    OneNode one = one_node("Gemm", "", 13, (Tensor[]){tall, wide, over(DT_FLOAT, 2, DIMS(2, 1), column)}, 3, 1);

    node_set_int(one.node, "transA", 1);
    node_set_int(one.node, "transB", 1);
    node_set_float(one.node, "alpha", 2);
    node_set_float(one.node, "beta", 0.5F);
    check_both(&one, (float[]){49, 103, 66, 138}, 4); /* 2 * (22 49; 28 64) + half a column */
    one_node_free(&one);
    one = one_node("Gemm", "", 13, (Tensor[]){wide, tall, over(DT_FLOAT, 1, DIMS(3), six)}, 3, 1);
    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "cannot be broadcast to 2x2");
    one_node_free(&one);
}

TEST(gemm_quantization_axis_follows_transB)
{
    Tensor wide = over(DT_FLOAT, 2, DIMS(2, 3), six), tall = over(DT_FLOAT, 2, DIMS(3, 2), six);
    OneNode one = one_node("Gemm", "", 13, (Tensor[]){wide, tall}, 2, 1);

    CHECK_INT(one.node->def->quant.weight_axis(one.node), 1);
    node_set_int(one.node, "transB", 1);
    CHECK_INT(one.node->def->quant.weight_axis(one.node), 0);
    one_node_free(&one);
}

TEST(batch_normalization_node)
{
    const float scale[] = {2}, bias[] = {1}, mean[] = {3}, variance[] = {3.99999F};
    Tensor x = over(DT_FLOAT, 3, DIMS(2, 1, 3), six);
    Tensor in[] = {x, over(DT_FLOAT, 1, DIMS(1), scale), over(DT_FLOAT, 1, DIMS(1), bias),
                   over(DT_FLOAT, 1, DIMS(1), mean), over(DT_FLOAT, 1, DIMS(1), variance)};
    OneNode one = one_node("BatchNormalization", "", 9, in, 5, 1);

    check_both(&one, (float[]){-1, 0, 1, 2, 3, 4}, 6);
    one_node_free(&one);
    one = one_node("BatchNormalization", "", 15, in, 5, 3);
    node_set_int(one.node, "training_mode", 1);
    CHECK_OK(one_node_run(&one, true)); /* mean 3.5, variance 35/12 */
    CHECK_NEAR((double)((const float *)one.out[0].data)[0], 1 - 5 / 1.7078280, 1e-5);
    CHECK_NEAR((double)((const float *)one.out[1].data)[0], 0.9 * 3 + 0.1 * 3.5, 1e-5);
    CHECK_NEAR((double)((const float *)one.out[2].data)[0], 0.9 * 3.99999 + 0.1 * 35 / 12, 1e-5);
    one_node_free(&one);
    in[1] = over(DT_FLOAT, 1, DIMS(2), six);
    one = one_node("BatchNormalization", "", 9, in, 5, 1);
    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "input 1 has 2 elements, expected 1");
    one_node_free(&one);
}

TEST(layer_normalization_node_broadcasts_its_scale)
{
    const float scale[] = {10}, bias[] = {0, 1, 2};
    Tensor in[] = {over(DT_FLOAT, 2, DIMS(2, 3), six), over(DT_FLOAT, 1, DIMS(1), scale),
                   over(DT_FLOAT, 1, DIMS(3), bias)};
    OneNode one = one_node("LayerNormalization", "", 17, in, 3, 3);

    node_set_float(one.node, "epsilon", 0);
    check_both(&one, (float[]){-12.247449F, 1, 14.247449F, -12.247449F, 1, 14.247449F}, 6);
    CHECK_INT(one.out[1].dims[1], 1);
    CHECK_NEAR(tensor_get(&one.out[1], 1), 5, 1e-6);
    CHECK_NEAR(tensor_get(&one.out[2], 0), 1.2247449, 1e-6);
    one_node_free(&one);
}

TEST(group_and_instance_normalization_nodes)
{
    const float x[] = {1, 3, 5, 7, 0, 2, 4, 6}, scale[] = {1, 1, 1, 2}, bias[] = {0, 0, 0, 1};
    Tensor four = over(DT_FLOAT, 1, DIMS(4), scale), shift = over(DT_FLOAT, 1, DIMS(4), bias);
    OneNode instance =
        one_node("InstanceNormalization", "", 6, (Tensor[]){over(DT_FLOAT, 3, DIMS(1, 4, 2), x), four, shift}, 3, 1);
    OneNode group =
        one_node("GroupNormalization", "", 21, (Tensor[]){over(DT_FLOAT, 3, DIMS(1, 4, 2), x), four, shift}, 3, 1);
    OneNode wrong =
        one_node("GroupNormalization", "", 21, (Tensor[]){over(DT_FLOAT, 3, DIMS(1, 4, 2), x), four, shift}, 3, 1);

    node_set_float(instance.node, "epsilon", 0);
    node_set_float(group.node, "epsilon", 0);
    node_set_int(group.node, "num_groups", 2);
    node_set_int(wrong.node, "num_groups", 3);
    check_both(&instance, (float[]){-1, 1, -1, 1, -1, 1, -1, 3}, 8);
    const float a = 1.3416408F, b = 0.4472136F; /* 3 and 1 over the root of 5 */
    check_both(&group, (float[]){-a, -b, b, a, -a, -b, 2 * b + 1, 2 * a + 1}, 8);
    CHECK_FAILS(one_node_eval(&wrong), CODE_MODEL, "4 channels do not divide into 3 groups");
    one_node_free(&instance), one_node_free(&group), one_node_free(&wrong);
}

/* (2, 1, 2): up to opset 12 axis 1 takes two elements as one row, from 13 on an axis of one element. */
TEST(softmax_node_changed_its_meaning_at_13)
{
    const float x[] = {0, 0, 1, 1};
    Tensor in = over(DT_FLOAT, 3, DIMS(2, 1, 2), x);
    OneNode before = one_node("Softmax", "", 12, &in, 1, 1), after = one_node("Softmax", "", 13, &in, 1, 1);

    check_both(&before, (float[]){0.5F, 0.5F, 0.5F, 0.5F}, 4); /* default axis 1 */
    check_both(&after, (float[]){0.5F, 0.5F, 0.5F, 0.5F}, 4);  /* default axis -1 */
    node_set_int(after.node, "axis", 1);
    check_both(&after, (float[]){1, 1, 1, 1}, 4);
    node_set_int(before.node, "axis", 0);
    const float low = 0.13447071F, high = 0.36552929F;
    check_both(&before, (float[]){low, low, high, high}, 4);
    node_set_int(after.node, "axis", 3);
    CHECK_FAILS(ops_infer_node(after.node), CODE_MODEL, "axis 3 is out of range for rank 3");
    one_node_free(&before), one_node_free(&after);
}
