/* test_fused.c - com.microsoft's fused float ops and its products of quantized weights. */
#include "tests/test.h"

#include "tests/ops/one_node.h"

static void check_output(OneNode *one, const float *expected, int64_t n)
{
    for (int reference = 0; reference < 2; reference++) {
        if (!CHECK_OK(one_node_run(one, reference == 1)))
            continue;
        CHECK_INT(one->out[0].count, n);
        for (int64_t i = 0; i < n && i < one->out[0].count; i++)
            CHECK_NEAR(tensor_get(&one->out[0], i), expected[i], 1e-5);
    }
}

TEST(fused_conv_adds_and_activates)
{
    const float x[] = {1, -2, 3}, w[] = {2}, b[] = {1}, z[] = {-10, 0, 1};
    Tensor in[] = {over(DT_FLOAT, 3, DIMS(1, 1, 3), x), over(DT_FLOAT, 3, DIMS(1, 1, 1), w),
                   over(DT_FLOAT, 1, DIMS(1), b), over(DT_FLOAT, 3, DIMS(1, 1, 3), z)};
    OneNode one = one_node("FusedConv", DOMAIN_MICROSOFT, 17, in, 4, 1);
    OneNode plain = one_node("FusedConv", DOMAIN_MICROSOFT, 17, in, 3, 1);

    check_output(&one, (float[]){-7, -3, 8}, 3);
    node_set_string(one.node, "activation", "Relu");
    check_output(&one, (float[]){0, 0, 8}, 3);
    node_set_string(plain.node, "activation", "LeakyRelu");
    Attr *params = node_add_attr(plain.node, "activation_params", ATTR_FLOATS);
    params->floats = (float[]){0.5F, 0};
    params->n = 1;
    check_output(&plain, (float[]){3, -1.5F, 7}, 3);
    params->n = 2;
    CHECK_FAILS(one_node_eval(&plain), CODE_MODEL, "activation 'LeakyRelu' has 1 parameters, 2 are given");
    node_set_string(plain.node, "activation", "Sinus");
    CHECK_FAILS(one_node_eval(&plain), CODE_UNSUPPORTED, "activation 'Sinus' is not supported");
    one_node_free(&one), one_node_free(&plain);
}

TEST(fused_matmul_transposes_and_scales)
{
    const float a[] = {1, 2, 3, 4}, b[] = {1, 0, 0, 10};
    Tensor in[] = {over(DT_FLOAT, 2, DIMS(2, 2), a), over(DT_FLOAT, 2, DIMS(2, 2), b)};
    OneNode one = one_node("FusedMatMul", DOMAIN_MICROSOFT, 17, in, 2, 1);
    Tensor batch[] = {over(DT_FLOAT, 3, DIMS(2, 2, 1), a), over(DT_FLOAT, 2, DIMS(1, 1), b)};
    OneNode moved = one_node("FusedMatMul", DOMAIN_MICROSOFT, 17, batch, 2, 1);

    node_set_float(one.node, "alpha", 0.5F);
    check_output(&one, (float[]){0.5F, 10, 1.5F, 20}, 4);
    node_set_int(one.node, "transA", 1);
    check_output(&one, (float[]){0.5F, 15, 1, 20}, 4);
    node_set_int(moved.node, "transBatchA", 1); /* the first axis counts rows, the second is the batch */
    check_output(&moved, (float[]){1, 3, 2, 4}, 4);
    one_node_free(&one), one_node_free(&moved);
}

TEST(gelu_family_of_the_runtime)
{
    const float x[] = {0, 2}, bias[] = {1, -1};
    Tensor in[] = {over(DT_FLOAT, 2, DIMS(1, 2), x), over(DT_FLOAT, 1, DIMS(2), bias)};
    OneNode exact = one_node("BiasGelu", DOMAIN_MICROSOFT, 17, in, 2, 1);
    OneNode fast = one_node("FastGelu", DOMAIN_MICROSOFT, 17, in, 2, 1);
    OneNode quick = one_node("QuickGelu", DOMAIN_MICROSOFT, 17, in, 1, 1);

    check_output(&exact, (float[]){0.84134475F, 0.84134475F}, 2); /* the normal distribution at 1 */
    check_output(&fast, (float[]){0.84119199F, 0.84119199F}, 2);
    check_output(&quick, (float[]){0, 1.93565979F}, 2); /* 2 / (1 + e^-3.404) */
    one_node_free(&exact), one_node_free(&fast), one_node_free(&quick);
}

TEST(integer_products_with_a_float_result)
{
    const uint8_t a[] = {12, 8};
    const int8_t b[] = {3, -1, 0, 4};
    const float a_scale[] = {0.5F}, b_scale[] = {1, 2}, bias[] = {0, 100}, x[] = {-255, 0};
    const uint8_t zero[] = {10};
    Tensor right = over(DT_INT8, 2, DIMS(2, 2), b), scales = over(DT_FLOAT, 1, DIMS(2), b_scale);
    OneNode one = one_node("MatMulIntegerToFloat", DOMAIN_MICROSOFT, 17,
                           (Tensor[]){over(DT_UINT8, 2, DIMS(1, 2), a), right, over(DT_FLOAT, 0, NULL, a_scale), scales,
                                      over(DT_UINT8, 0, NULL, zero), OMITTED, over(DT_FLOAT, 1, DIMS(2), bias)},
                           7, 1);
    OneNode dynamic = one_node("DynamicQuantizeMatMul", DOMAIN_MICROSOFT, 17,
                               (Tensor[]){over(DT_FLOAT, 2, DIMS(1, 2), x), right, scales}, 3, 1);

    check_output(&one, (float[]){3, 90}, 2); /* (2, -2) times b: (6, -10), times (0.5, 1) */
    check_output(&dynamic, (float[]){-765, 510}, 2);
    one_node_free(&one), one_node_free(&dynamic);
}

TEST(matmul_of_packed_weights)
{
    uint8_t codes[8] = {0}; /* one block of 16 elements of 4 bits: 1, 2, then the zero point 8 */
    const float scale[] = {0.5F};
    float x[16] = {1, 2};
    const uint8_t zero[] = {1};

    codes[0] = 0x21;
    for (int i = 1; i < 8; i++)
        codes[i] = 0x88;
    Tensor in[] = {over(DT_FLOAT, 2, DIMS(1, 16), x), over(DT_UINT8, 3, DIMS(1, 1, 8), codes),
                   over(DT_FLOAT, 1, DIMS(1), scale), over(DT_UINT8, 1, DIMS(1), zero)};
    OneNode one = one_node("MatMulNBits", DOMAIN_MICROSOFT, 17, in, 3, 1);
    OneNode zeros = one_node("MatMulNBits", DOMAIN_MICROSOFT, 17, in, 4, 1);
    OneNode *both[] = {&one, &zeros};

    for (int i = 0; i < 2; i++) {
        node_set_int(both[i]->node, "K", 16);
        node_set_int(both[i]->node, "N", 1);
        node_set_int(both[i]->node, "block_size", 16);
    }
    check_output(&one, (float[]){-9.5F}, 1);  /* ((1 - 8) * 1 + (2 - 8) * 2) / 2 */
    check_output(&zeros, (float[]){1}, 1);    /* (0 * 1 + 1 * 2) / 2 */
    node_set_int(one.node, "bits", 3);
    CHECK_FAILS(one_node_eval(&one), CODE_UNSUPPORTED, "3 bits are not supported");
    one_node_free(&one), one_node_free(&zeros);
}
