/* test_conv_pool.c - Conv, ConvTranspose and the pools as nodes: geometry from attributes, inference, errors. */
#include "tests/test.h"

#include "tests/ops/one_node.h"

static const float nine[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
static const float ones[] = {1, 1, 1, 1, 1, 1, 1, 1, 1};

static void check_out(const OneNode *one, const float *expected, int64_t n)
{
    CHECK_INT(one->out[0].count, n);
    for (int64_t i = 0; i < n && i < one->out[0].count; i++)
        CHECK_NEAR(tensor_get(&one->out[0], i), expected[i], 1e-5);
}

static void check_both(OneNode *one, const float *expected, int64_t n)
{
    for (int reference = 0; reference < 2; reference++)
        if (CHECK_OK(one_node_run(one, reference == 1)))
            check_out(one, expected, n);
}

TEST(conv_node_pads_and_strides)
{
    Tensor x = over(DT_FLOAT, 4, DIMS(1, 1, 3, 3), nine), weight = over(DT_FLOAT, 4, DIMS(1, 1, 2, 2), ones);
    float bias = 100;
    OneNode one = one_node("Conv", "", 11, (Tensor[]){x, weight, over(DT_FLOAT, 1, DIMS(1), &bias)}, 3, 1);

    node_set_ints(one.node, "pads", DIMS(1, 0, 0, 1), 4); /* a row above, a column behind */
    node_set_ints(one.node, "strides", DIMS(2, 1), 2);
    check_both(&one, (float[]){103, 105, 103, 124, 128, 115}, 6);
    one_node_free(&one);
}

TEST(conv_node_auto_pad_same)
{
    Tensor x = over(DT_FLOAT, 3, DIMS(1, 1, 5), nine), weight = over(DT_FLOAT, 3, DIMS(1, 1, 2), ones);
    const char *const names[] = {"SAME_UPPER", "SAME_LOWER", "VALID"};
    const float expected[3][5] = {{3, 5, 7, 9, 5}, {1, 3, 5, 7, 9}, {3, 5, 7, 9, 0}};

    for (int i = 0; i < 3; i++) {
        OneNode one = one_node("Conv", "", 11, (Tensor[]){x, weight}, 2, 1);
        node_set_string(one.node, "auto_pad", names[i]);
        check_both(&one, expected[i], i == 2 ? 4 : 5);
        one_node_free(&one);
    }
}

TEST(conv_node_knows_double)
{
    const double x[] = {1, 2, 3}, weight[] = {2};
    OneNode one =
        one_node("Conv", "", 11,
                 (Tensor[]){over(DT_DOUBLE, 3, DIMS(1, 1, 3), x), over(DT_DOUBLE, 3, DIMS(1, 1, 1), weight)}, 2, 1);

    check_both(&one, (float[]){2, 4, 6}, 3);
    CHECK_INT(one.out[0].dtype, DT_DOUBLE);
    one_node_free(&one);
}

TEST(conv_node_infers_with_unknown_dims)
{
    Tensor x = over(DT_FLOAT, 4, DIMS(1, 1, 3, 3), nine), weight = over(DT_FLOAT, 4, DIMS(1, 1, 2, 2), ones);
    OneNode one = one_node("Conv", "", 11, (Tensor[]){x, weight}, 2, 1);
    Shape *shape = &one.node->in[0]->type.shape;

    shape->dims[0] = (Dim){-1, "N"};
    shape->dims[2] = DIM_UNKNOWN;
    CHECK_OK(ops_infer_node(one.node));
    const Shape *out = &one.node->out[0]->type.shape;
    CHECK_INT(out->rank, 4);
    CHECK_TEXT(out->dims[0].name, "N");
    CHECK_INT(out->dims[1].size, 1);
    CHECK_INT(out->dims[2].size, -1);
    CHECK_INT(out->dims[3].size, 2);
    one_node_free(&one);
}

/* Each wrong geometry is named by inference and by evaluation alike. */
static void check_wrong(const char *op_type, const Tensor *in, int n, const char *attr, const int64_t *list,
                        int64_t n_list, const char *message)
{
    OneNode one = one_node(op_type, "", 11, in, n, 1);

    if (n_list == 0)
        node_set_int(one.node, attr, list[0]);
    else
        node_set_ints(one.node, attr, list, n_list);
    if (n == 1 && attr[0] != 'k')
        node_set_ints(one.node, "kernel_shape", DIMS(2, 2), 2);
    CHECK_FAILS(ops_infer_node(one.node), CODE_MODEL, message);
    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, message);
    one_node_free(&one);
}

TEST(conv_node_names_wrong_geometry)
{
    Tensor x = over(DT_FLOAT, 4, DIMS(1, 1, 3, 3), nine), weight = over(DT_FLOAT, 4, DIMS(1, 1, 2, 2), ones);
    Tensor wide = over(DT_FLOAT, 4, DIMS(1, 2, 2, 2), ones), flat = over(DT_FLOAT, 3, DIMS(1, 1, 2), ones);
    Tensor pair[] = {x, weight}, two_channels[] = {x, wide}, other_rank[] = {x, flat};

    check_wrong("Conv", pair, 2, "strides", DIMS(0, 1), 2, "'strides' holds 0");
    check_wrong("Conv", pair, 2, "strides", DIMS(1, 1, 1), 3, "'strides' has 3 numbers, expected 2");
    check_wrong("Conv", pair, 2, "dilations", DIMS(4, 1), 2, "reaches over 5 elements on spatial axis 0");
    check_wrong("Conv", pair, 2, "dilations", DIMS(INT64_MAX, 1), 2, "'dilations' holds");
    check_wrong("Conv", pair, 2, "pads", DIMS(-1, 0, 0, 0), 4, "'pads' holds -1");
    check_wrong("Conv", pair, 2, "kernel_shape", DIMS(3, 2), 2, "the weight has 2");
    check_wrong("Conv", pair, 2, "group", DIMS(0), 0, "'group' is 0");
    check_wrong("Conv", pair, 2, "group", DIMS(2), 0, "weight expects 1 input channels in each of 2 groups");
    check_wrong("Conv", two_channels, 2, "group", DIMS(1), 0, "weight expects 2 input channels");
    check_wrong("Conv", other_rank, 2, "group", DIMS(1), 0, "weight has rank 3");
    check_wrong("MaxPool", pair, 1, "kernel_shape", DIMS(4, 2), 2, "the padded input has 3");
    check_wrong("AveragePool", pair, 1, "strides", DIMS(0, 1), 2, "'strides' holds 0");
}

TEST(conv_node_checks_its_bias)
{
    Tensor x = over(DT_FLOAT, 4, DIMS(1, 1, 3, 3), nine), weight = over(DT_FLOAT, 4, DIMS(1, 1, 2, 2), ones);
    OneNode one = one_node("Conv", "", 11, (Tensor[]){x, weight, over(DT_FLOAT, 1, DIMS(2), ones)}, 3, 1);

    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "node 'n' (Conv): bias has 2 elements, expected 1");
    one_node_free(&one);
}

TEST(conv_node_of_an_empty_batch)
{
    Tensor x = over(DT_FLOAT, 4, DIMS(0, 1, 3, 3), NULL), weight = over(DT_FLOAT, 4, DIMS(1, 1, 2, 2), ones);
    OneNode one = one_node("Conv", "", 11, (Tensor[]){x, weight}, 2, 1);

    check_both(&one, NULL, 0);
    CHECK_INT(one.out[0].dims[0], 0);
    CHECK_INT(one.out[0].dims[3], 2);
    one_node_free(&one);
}

TEST(conv_transpose_node_spreads_its_input)
{
    Tensor x = over(DT_FLOAT, 3, DIMS(1, 1, 3), nine), weight = over(DT_FLOAT, 3, DIMS(1, 1, 3), nine);
    OneNode one = one_node("ConvTranspose", "", 11, (Tensor[]){x, weight}, 2, 1);

    node_set_ints(one.node, "strides", DIMS(2), 1);
    check_both(&one, (float[]){1, 2, 5, 4, 9, 6, 9}, 7);
    node_set_ints(one.node, "pads", DIMS(1, 1), 2);
    node_set_ints(one.node, "output_padding", DIMS(1), 1);
    check_both(&one, (float[]){2, 5, 4, 9, 6, 9}, 6);
    node_set_ints(one.node, "output_padding", DIMS(2), 1);
    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "output_padding");
    one_node_free(&one);
}

TEST(conv_transpose_node_makes_a_wanted_size)
{
    Tensor x = over(DT_FLOAT, 3, DIMS(1, 1, 3), nine), weight = over(DT_FLOAT, 3, DIMS(1, 1, 3), nine);
    OneNode one = one_node("ConvTranspose", "", 11, (Tensor[]){x, weight}, 2, 1);

    node_set_ints(one.node, "strides", DIMS(2), 1);
    node_set_ints(one.node, "output_shape", DIMS(6), 1); /* one less than 7: cut at the begin */
    check_both(&one, (float[]){2, 5, 4, 9, 6, 9}, 6);
    node_set_string(one.node, "auto_pad", "SAME_UPPER");  /* then at the end */
    check_both(&one, (float[]){1, 2, 5, 4, 9, 6}, 6);
    one_node_free(&one);
}

TEST(max_pool_node_rounds_up_when_asked)
{
    Tensor x = over(DT_FLOAT, 4, DIMS(1, 1, 3, 3), nine);
    OneNode one = one_node("MaxPool", "", 12, &x, 1, 2);

    node_set_ints(one.node, "kernel_shape", DIMS(2, 2), 2);
    node_set_ints(one.node, "strides", DIMS(2, 2), 2);
    check_both(&one, (float[]){5}, 1);
    CHECK_INT(tensor_get_int(&one.out[1], 0), 4);
    node_set_int(one.node, "ceil_mode", 1);
    check_both(&one, (float[]){5, 6, 8, 9}, 4);
    CHECK_INT(tensor_get_int(&one.out[1], 3), 8);
    one_node_free(&one);
}

TEST(max_pool_node_needs_a_kernel)
{
    Tensor x = over(DT_FLOAT, 4, DIMS(1, 1, 3, 3), nine);
    OneNode one = one_node("MaxPool", "", 12, &x, 1, 1);

    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "'kernel_shape' is missing");
    one_node_free(&one);
}

TEST(average_pool_node_counts_pads_when_asked)
{
    Tensor x = over(DT_FLOAT, 3, DIMS(1, 1, 3), nine);
    OneNode one = one_node("AveragePool", "", 11, &x, 1, 1);

    node_set_ints(one.node, "kernel_shape", DIMS(2), 1);
    node_set_ints(one.node, "pads", DIMS(1, 1), 2);
    check_both(&one, (float[]){1, 1.5, 2.5, 3}, 4);
    node_set_int(one.node, "count_include_pad", 1);
    check_both(&one, (float[]){0.5, 1.5, 2.5, 1.5}, 4);
    one_node_free(&one);
}

TEST(global_pool_nodes_keep_the_rank)
{
    Tensor x = over(DT_FLOAT, 4, DIMS(1, 1, 3, 3), nine), empty = over(DT_FLOAT, 4, DIMS(1, 1, 0, 3), NULL);
    OneNode average = one_node("GlobalAveragePool", "", 11, &x, 1, 1),
            greatest = one_node("GlobalMaxPool", "", 11, &x, 1, 1);
    OneNode none = one_node("GlobalAveragePool", "", 11, &empty, 1, 1);

    check_both(&average, (float[]){5}, 1);
    CHECK_INT(average.out[0].rank, 4);
    check_both(&greatest, (float[]){9}, 1);
    CHECK_FAILS(one_node_eval(&none), CODE_MODEL, "no elements");
    one_node_free(&average), one_node_free(&greatest), one_node_free(&none);
}
