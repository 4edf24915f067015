/* test_attention.c - Attention, RotaryEmbedding, the RMS normalizations and TensorScatter, numbers worked out by hand. */
#include "tests/test.h"

#include <math.h>
#include <string.h>

#include "tests/ops/one_node.h"

static void check_output(OneNode *one, int output, const float *expected, int64_t n)
{
    if (!CHECK_OK(one_node_run(one, true)))
        return;
    CHECK_INT(one->out[output].count, n);
    for (int64_t i = 0; i < n && i < one->out[output].count; i++)
        CHECK_NEAR(tensor_get(&one->out[output], i), expected[i], 1e-5);
}

/* One head of one element: scores are q * k, so that a softmax over them can be written down. */
static const float query[] = {1, 2}, key[] = {0, 0.69314718F}, value[] = {3, 6}; /* ln 2 */

static OneNode small_attention(int n_in, const Tensor *more, int n_out)
{
    Tensor in[7] = {over(DT_FLOAT, 4, DIMS(1, 1, 2, 1), query), over(DT_FLOAT, 4, DIMS(1, 1, 2, 1), key),
                    over(DT_FLOAT, 4, DIMS(1, 1, 2, 1), value)};

    for (int i = 3; i < n_in; i++)
        in[i] = more[i - 3];
    return one_node("Attention", "", 24, in, n_in, n_out);
}

TEST(attention_weighs_values_by_softmax)
{
    OneNode one = small_attention(3, NULL, 1);

    check_output(&one, 0, (float[]){5, 5.4F}, 2); /* (1 * 3 + 2 * 6) / 3, (1 * 3 + 4 * 6) / 5 */
    node_set_int(one.node, "is_causal", 1);
    check_output(&one, 0, (float[]){3, 5.4F}, 2);
    node_set_float(one.node, "scale", 0);
    check_output(&one, 0, (float[]){3, 4.5F}, 2);
    one_node_free(&one);
}

TEST(attention_masks_by_bool_float_and_length)
{
    const uint8_t bools[] = {0, 1, 0, 0};
    const float floats[] = {0, -0.69314718F, 0, -INFINITY};
    const int64_t one_key[] = {1};
    OneNode b = small_attention(4, (Tensor[]){over(DT_BOOL, 2, DIMS(2, 2), bools)}, 1);
    OneNode f = small_attention(4, (Tensor[]){over(DT_FLOAT, 2, DIMS(2, 2), floats)}, 1);
    OneNode narrow = small_attention(4, (Tensor[]){over(DT_FLOAT, 2, DIMS(2, 1), floats)}, 1);
    OneNode n = small_attention(7, (Tensor[]){OMITTED, OMITTED, OMITTED, over(DT_INT64, 1, DIMS(1), one_key)}, 1);
    OneNode wrong = small_attention(4, (Tensor[]){over(DT_FLOAT, 2, DIMS(1, 3), floats)}, 1);

    check_output(&b, 0, (float[]){6, 0}, 2); /* a row that is masked altogether gives 0 */
    check_output(&f, 0, (float[]){4.5F, 3}, 2);
    check_output(&narrow, 0, (float[]){3, 3}, 2); /* keys beyond the mask take no part */
    check_output(&n, 0, (float[]){3, 3}, 2);
    CHECK_FAILS(one_node_eval(&wrong), CODE_MODEL, "the mask is 1x3; it does not broadcast to 1x1x2x2");
    one_node_free(&b), one_node_free(&f), one_node_free(&narrow), one_node_free(&n), one_node_free(&wrong);
}

TEST(attention_caps_scores_before_it_masks_them)
{
    const float mask[] = {0, -INFINITY, 0, 0};
    OneNode one = small_attention(4, (Tensor[]){over(DT_FLOAT, 2, DIMS(2, 2), mask)}, 1);

    node_set_float(one.node, "softcap", 1);
    double capped = exp(tanh(2 * 0.69314718)); /* 2 q.k of the second row */
    check_output(&one, 0, (float[]){3, (float)((3 + 6 * capped) / (1 + capped))}, 2);
    one_node_free(&one);
}

TEST(attention_keeps_the_past_and_shows_the_scores)
{
    const float past_key[] = {0}, past_value[] = {9};
    Tensor more[] = {OMITTED, over(DT_FLOAT, 4, DIMS(1, 1, 1, 1), past_key),
                     over(DT_FLOAT, 4, DIMS(1, 1, 1, 1), past_value)};
    OneNode one = small_attention(6, more, 3);

    node_set_int(one.node, "is_causal", 1);
    check_output(&one, 0, (float[]){6, 6}, 2); /* (9 + 3) / 2, (9 + 3 + 4 * 6) / 6 */
    check_output(&one, 1, (float[]){0, 0, 0.69314718F}, 3);
    check_output(&one, 2, (float[]){9, 3, 6}, 3);
    one_node_free(&one);
    more[2] = OMITTED;
    one = small_attention(6, more, 1);
    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "must be given together");
    one_node_free(&one);
}

/* (1, 1, 2 * 2): two query heads of one element read the one key head, which is of two here. */
TEST(attention_shares_key_heads_among_query_heads)
{
    const float q[] = {1, 2}, k[] = {0, 0.69314718F}, v[] = {3, 6};
    OneNode one = one_node("Attention", "", 23,
                           (Tensor[]){over(DT_FLOAT, 3, DIMS(1, 1, 2), q), over(DT_FLOAT, 3, DIMS(1, 2, 1), k),
                                      over(DT_FLOAT, 3, DIMS(1, 2, 1), v)},
                           3, 1);

    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "attribute 'q_num_heads' must say how many");
    node_set_int(one.node, "q_num_heads", 2);
    node_set_int(one.node, "kv_num_heads", 1);
    check_output(&one, 0, (float[]){5, 5.4F}, 2);
    CHECK_INT(one.out[0].rank, 3);
    one_node_free(&one);
}

TEST(rotary_embedding_turns_pairs)
{
    const float x[] = {1, 2, 3, 4}, cosines[] = {1, 0, 0, 1}, sines[] = {0, 1, 1, 0};
    const int64_t ids[] = {1};
    Tensor in[] = {over(DT_FLOAT, 4, DIMS(1, 1, 1, 4), x), over(DT_FLOAT, 2, DIMS(2, 2), cosines),
                   over(DT_FLOAT, 2, DIMS(2, 2), sines), over(DT_INT64, 2, DIMS(1, 1), ids)};
    const int64_t beyond[] = {2};
    OneNode one = one_node("RotaryEmbedding", "", 23, in, 4, 1);

    check_output(&one, 0, (float[]){-3, 2, 1, 4}, 4); /* (1, 3) by a right angle, (2, 4) by none */
    node_set_int(one.node, "interleaved", 1);
    check_output(&one, 0, (float[]){-2, 1, 3, 4}, 4);
    one_node_free(&one);
    in[3] = over(DT_INT64, 2, DIMS(1, 1), beyond);
    one = one_node("RotaryEmbedding", "", 23, in, 4, 1);
    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "position 2 is beyond the 2 of the cache");
    node_set_int(one.node, "rotary_embedding_dim", 3);
    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "3 of 4 elements of a head cannot be turned in pairs");
    one_node_free(&one);
    one = one_node("RotaryEmbedding", "", 23,
                   (Tensor[]){over(DT_FLOAT, 3, DIMS(1, 2, 2), x), over(DT_FLOAT, 3, DIMS(1, 2, 1), cosines),
                              over(DT_FLOAT, 3, DIMS(1, 2, 1), sines)},
                   3, 1);
    node_set_int(one.node, "num_heads", 1);
    check_output(&one, 0, (float[]){1, 2, -4, 3}, 4);
    one_node_free(&one);
}

TEST(rms_normalizations)
{
    const float x[] = {3, 4, 0, 5}, scale[] = {1, 2}, rows[] = {1, 1, 10, 10};
    Tensor in = over(DT_FLOAT, 2, DIMS(2, 2), x);
    OneNode one = one_node("RMSNormalization", "", 23, (Tensor[]){in, over(DT_FLOAT, 1, DIMS(2), scale)}, 2, 1);
    OneNode whole = one_node("RMSNormalization", "", 23, (Tensor[]){in, over(DT_FLOAT, 2, DIMS(2, 2), rows)}, 2, 1);
    OneNode old = one_node("SimplifiedLayerNormalization", "", 17, (Tensor[]){in, over(DT_FLOAT, 1, DIMS(2), scale)},
                           2, 2);
    const float r = 0.28284271F; /* 1 / sqrt(25 / 2) */

    node_set_float(one.node, "epsilon", 0);
    check_output(&one, 0, (float[]){3 * r, 8 * r, 0, 10 * r}, 4);
    node_set_float(whole.node, "epsilon", 0);
    check_output(&whole, 0, (float[]){3 * r, 4 * r, 0, 50 * r}, 4);
    node_set_float(old.node, "epsilon", 0);
    check_output(&old, 1, (float[]){r, r}, 2);
    one_node_free(&one), one_node_free(&whole), one_node_free(&old);
}

TEST(skip_layer_normalization_adds_first)
{
    const float x[] = {1, 2}, skip[] = {0, 3}, gamma[] = {2, 2}, beta[] = {0, 1}, bias[] = {1, 1};
    Tensor row = over(DT_FLOAT, 3, DIMS(1, 1, 2), x), list = over(DT_FLOAT, 1, DIMS(2), gamma);
    OneNode one = one_node("SkipLayerNormalization", DOMAIN_MICROSOFT, 17,
                           (Tensor[]){row, over(DT_FLOAT, 3, DIMS(1, 1, 2), skip), list,
                                      over(DT_FLOAT, 1, DIMS(2), beta), over(DT_FLOAT, 1, DIMS(2), bias)},
                           5, 2);

    check_output(&one, 0, (float[]){-2, 3}, 2); /* (2, 6): mean 4, deviation 2 */
    check_output(&one, 1, (float[]){4}, 1);
    one_node_free(&one);
}

TEST(tensor_scatter_writes_into_a_cache)
{
    const float cache[] = {1, 2, 3, 4}, update[] = {8, 9};
    const int64_t at[] = {3};
    Tensor in[] = {over(DT_FLOAT, 3, DIMS(1, 4, 1), cache), over(DT_FLOAT, 3, DIMS(1, 2, 1), update),
                   over(DT_INT64, 1, DIMS(1), at)};
    OneNode plain = one_node("TensorScatter", "", 24, in, 2, 1), one = one_node("TensorScatter", "", 24, in, 3, 1);

    check_output(&plain, 0, (float[]){8, 9, 3, 4}, 4);
    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "2 entries from position 3 on are beyond the cache of 4");
    node_set_string(one.node, "mode", "circular");
    check_output(&one, 0, (float[]){9, 2, 3, 8}, 4);
    node_set_int(one.node, "axis", 0);
    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "axis 0 is the batch");
    one_node_free(&plain), one_node_free(&one);
}

/* With one key every weight is 1: y is the third part of x . w + b. */
TEST(fused_attention_projects_and_refuses_what_does_not_fit)
{
    const float x[] = {1, 2}, w[] = {9, 9, 9, 9, 1, 2, 9, 9, 9, 9, 3, 4}, b[] = {0, 0, 0, 0, 10, 20};
    const int32_t mask[] = {1, 1, 1};
    Tensor in[] = {over(DT_FLOAT, 3, DIMS(1, 1, 2), x), over(DT_FLOAT, 2, DIMS(2, 6), w), over(DT_FLOAT, 1, DIMS(6), b),
                   over(DT_INT32, 1, DIMS(3), mask)};
    OneNode one = one_node("Attention", DOMAIN_MICROSOFT, 17, in, 3, 1);
    OneNode masked = one_node("Attention", DOMAIN_MICROSOFT, 17, in, 4, 1);

    node_set_int(one.node, "num_heads", 1);
    CHECK_OK(one_node_run(&one, true));
    CHECK_NEAR(tensor_get(&one.out[0], 0), 17, 1e-6);
    CHECK_NEAR(tensor_get(&one.out[0], 1), 30, 1e-6);
    node_set_int(one.node, "num_heads", 3);
    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "do not divide into 3 heads");
    node_set_int(one.node, "do_rotary", 1);
    CHECK_FAILS(one_node_eval(&one), CODE_UNSUPPORTED, "do_rotary");
    node_set_int(masked.node, "num_heads", 2);
    CHECK_FAILS(one_node_eval(&masked), CODE_UNSUPPORTED, "a mask of 3 is not supported");
    one_node_free(&one), one_node_free(&masked);
}

TEST(multi_head_attention_takes_the_past_first)
{
    const float q[] = {1, 0}, k[] = {0, 5}, v[] = {7, 7}, past_k[] = {0, 9}, past_v[] = {1, 3};
    Tensor in[] = {over(DT_FLOAT, 3, DIMS(1, 1, 2), q), over(DT_FLOAT, 3, DIMS(1, 1, 2), k), over(DT_FLOAT, 3, DIMS(1, 1, 2), v),
                   OMITTED, OMITTED, OMITTED, over(DT_FLOAT, 4, DIMS(1, 1, 1, 2), past_k),
                   over(DT_FLOAT, 4, DIMS(1, 1, 1, 2), past_v)};
    OneNode one = one_node("MultiHeadAttention", DOMAIN_MICROSOFT, 17, in, 8, 3);

    node_set_int(one.node, "num_heads", 1);
    CHECK_OK(one_node_run(&one, true));
    CHECK_NEAR(tensor_get(&one.out[0], 0), 4, 1e-6); /* both keys score 0: the mean of 1 and 7 */
    CHECK_NEAR(tensor_get(&one.out[0], 1), 5, 1e-6);
    CHECK(memcmp(one.out[1].data, (float[]){0, 9, 0, 5}, 16) == 0);
    CHECK(memcmp(one.out[2].data, (float[]){1, 3, 7, 7}, 16) == 0);
    one_node_free(&one);
    one = one_node("MultiHeadAttention", DOMAIN_MICROSOFT, 17, in, 7, 1);
    node_set_int(one.node, "num_heads", 1);
    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "must be given together");
    one_node_free(&one);
}
