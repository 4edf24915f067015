/* test_target.c - the forms that PASS_TARGET writes for ort-x86: the ops that are left, and the same results. */
#include "passes/pass.h"
#include "tests/passes/graphs.h"
#include "tests/test.h"

/* x: N,5,8 times W, heads in front: N,2,5,4 (or for keys N,2,4,5). */
static Value *heads(Model *m, const char *name, Value *x, bool bias, bool keys)
{
    Value *y = TEST_NODE(m, "MatMul", arena_printf(m->arena, "%s_m", name), x,
                         test_floats(m, arena_printf(m->arena, "%s_w", name), "8,8"));
    if (bias)
        y = TEST_NODE(m, "Add", arena_printf(m->arena, "%s_a", name), test_floats(m, arena_printf(m->arena, "%s_b", name), "8"), y);
    y = TEST_NODE(m, "Reshape", arena_printf(m->arena, "%s_r", name), y,
                  TEST_INTS(m, arena_printf(m->arena, "%s_s", name), 0, 5, 2, 4));
    y = TEST_NODE(m, "Transpose", arena_printf(m->arena, "%s_t", name), y);
    if (keys)
        TEST_SET_INTS(y, "perm", 0, 2, 3, 1);
    else
        TEST_SET_INTS(y, "perm", 0, 2, 1, 3);
    return y;
}

static void attention(Model *m) /* one factor behind the product */
{
    Value *x = test_input(m, "x", "N,5,8");
    Value *scores = TEST_NODE(m, "MatMul", "scores", heads(m, "q", x, true, false), heads(m, "k", x, true, true));
    Value *scaled = TEST_NODE(m, "Div", "scaled", scores, test_number(m, "root", 1.7f));
    test_output(TEST_NODE(m, "Softmax", "y", scaled));
}

static void two_factors(Model *m) /* as PyTorch writes scaled_dot_product_attention: the root of the factor at both */
{
    Value *x = test_input(m, "x", "N,5,8");
    Value *q = TEST_NODE(m, "Mul", "qs", heads(m, "q", x, true, false), test_number(m, "root", 0.7f));
    Value *k = TEST_NODE(m, "Mul", "ks", test_fill(m, "other", "1", 0.7f), heads(m, "k", x, false, true));
    test_output(TEST_NODE(m, "MatMul", "y", q, k));
}

static void shown(Model *m) /* queries that are an output, and keys whose product has other readers */
{
    Value *x = test_input(m, "x", "N,5,8");
    Value *q = heads(m, "q", x, true, false), *k = heads(m, "k", x, false, true);
    Value *scores = TEST_NODE(m, "MatMul", "scores", q, k);
    test_output(TEST_NODE(m, "Mul", "y", scores, test_number(m, "s", 0.5f)));
    test_output(q);
    test_output(TEST_NODE(m, "Neg", "z", k));
}

static void shared_weight(Model *m) /* queries by a weight that another product reads, keys without one */
{
    Value *x = test_input(m, "x", "N,5,8"), *w = test_floats(m, "w", "8,8");
    Value *q = TEST_NODE(m, "MatMul", "q", x, w), *k = TEST_NODE(m, "Transpose", "k", x);
    TEST_SET_INTS(k, "perm", 0, 2, 1);
    test_output(TEST_NODE(m, "Mul", "y", TEST_NODE(m, "MatMul", "scores", q, k), test_number(m, "s", 0.5f)));
    test_output(TEST_NODE(m, "MatMul", "z", x, w));
}

static void shared_bias(Model *m)
{
    Value *x = test_input(m, "x", "N,5,8"), *b = test_floats(m, "b", "8");
    Value *q = TEST_NODE(m, "Add", "q", TEST_NODE(m, "MatMul", "qm", x, test_floats(m, "w", "8,8")), b);
    test_output(TEST_NODE(m, "Mul", "y", TEST_NODE(m, "Unsqueeze", "u", q, TEST_INTS(m, "axes", 0)), test_number(m, "s", 0.5f)));
    test_output(TEST_NODE(m, "Add", "z", x, b));
}

static void for_each_channel(Model *m)
{
    Value *x = test_input(m, "x", "N,5,8");
    Value *q = TEST_NODE(m, "Transpose", "t", TEST_NODE(m, "MatMul", "q", x, test_floats(m, "w", "8,8")));
    TEST_SET_INTS(q, "perm", 0, 2, 1);
    test_output(TEST_NODE(m, "Mul", "y", q, test_floats(m, "s", "8,1")));
}

static void widened(Model *m) /* by a factor of more axes */
{
    Value *q = TEST_NODE(m, "Transpose", "t", TEST_NODE(m, "MatMul", "q", test_input(m, "x", "5,8"), test_floats(m, "w", "8,8")));
    TEST_SET_INTS(q, "perm", 1, 0);
    test_output(TEST_NODE(m, "Mul", "y", q, test_fill(m, "s", "1,1,1", 0.5f)));
}

TEST(the_factor_of_attention_goes_into_weights)
{
    static const char pass[] = "fold_scale_into_product";
    static const PassCase cases[] = {
        {"behind the product", attention, 13, pass, 1,
         "MatMul Add Reshape Transpose MatMul Add Reshape Transpose MatMul Softmax"},
        {"in front of it", two_factors, 13, pass, 2, "MatMul Add Reshape Transpose MatMul Reshape Transpose MatMul"},
        {"others see the operands", shown, 13, pass, 0,
         "MatMul Add Reshape Transpose MatMul Reshape Transpose MatMul Mul Neg"},
        {"others read the weight", shared_weight, 13, pass, 0, "MatMul Transpose MatMul Mul MatMul"},
        {"others read the bias", shared_bias, 13, pass, 0, "MatMul Add Unsqueeze Mul Add"},
        {"a factor for each channel", for_each_channel, 13, pass, 0, "MatMul Transpose Mul"},
        {"a factor of more axes", widened, 13, pass, 0, "MatMul Transpose Mul"},
    };
    test_pass(cases, COUNT_OF(cases));
}

static void conv_gate(Model *m)
{
    Value *x = test_input(m, "x", "N,4,6,6");
    Value *gate = TEST_NODE(m, "HardSigmoid", "y", TEST_NODE(m, "Conv", "c", x, test_floats(m, "w", "8,4,1,1")));
    node_set_float(gate->producer, "alpha", 0.75f);
    test_output(gate);
}

static void gemm_gate(Model *m)
{
    Value *x = test_input(m, "x", "N,4");
    test_output(TEST_NODE(m, "HardSigmoid", "y", TEST_NODE(m, "Gemm", "g", x, test_floats(m, "w", "4,8"), test_floats(m, "b", "8"))));
}

static void read_twice(Model *m)
{
    Value *c = TEST_NODE(m, "Conv", "c", test_input(m, "x", "N,4,6,6"), test_floats(m, "w", "8,4,1,1"));
    test_output(TEST_NODE(m, "Mul", "y", c, TEST_NODE(m, "HardSigmoid", "h", c)));
}

static void flat_gate(Model *m) /* nothing is left of what it reads */
{
    Value *c = TEST_NODE(m, "Conv", "c", test_input(m, "x", "N,4,6,6"), test_floats(m, "w", "8,4,1,1"));
    Value *gate = TEST_NODE(m, "HardSigmoid", "y", c);
    node_set_float(gate->producer, "alpha", 0.0f);
    test_output(gate);
}

TEST(hard_sigmoid_goes_into_weights)
{
    static const char pass[] = "fold_hard_sigmoid";
    static const PassCase cases[] = {
        {"behind a convolution", conv_gate, 13, pass, 1, "Conv Clip"},
        {"behind a matrix", gemm_gate, 13, pass, 1, "Gemm Clip"},
        {"HardSwish", read_twice, 13, pass, 0, "Conv HardSigmoid Mul"},
        {"alpha 0", flat_gate, 13, pass, 0, "Conv HardSigmoid"},
    };
    test_pass(cases, COUNT_OF(cases));
}

/* ---- ConvTranspose --------------------------------------------------------------------------------------------------- */

static Value *conv_transpose(Model *m, const char *x, const char *w, bool bias)
{
    Value *in[3] = {test_input(m, "x", x), test_floats(m, "w", w), bias ? test_floats(m, "b", "12") : NULL};
    Value *y = test_node(m, "ConvTranspose", "y", bias ? 3 : 2, in);
    test_output(y);
    return y;
}

static void kernel_of_the_stride(Model *m)
{
    TEST_SET_INTS(conv_transpose(m, "N,40,5,6", "40,12,2,2", true), "strides", 2, 2);
}

static void kernel_of_3(Model *m) /* PyTorch's: padding 1, output_padding 1 */
{
    Value *y = conv_transpose(m, "N,16,5,6", "16,12,3,3", true);
    TEST_SET_INTS(y, "strides", 2, 2);
    TEST_SET_INTS(y, "pads", 1, 1, 1, 1);
    TEST_SET_INTS(y, "output_padding", 1, 1);
}

static void kernel_of_4(Model *m)
{
    Value *y = conv_transpose(m, "N,16,5,6", "16,12,4,4", false);
    TEST_SET_INTS(y, "strides", 2, 2);
    TEST_SET_INTS(y, "pads", 1, 1, 1, 1);
}

static void open_sizes(Model *m)
{
    Value *y = conv_transpose(m, "N,16,H,W", "16,12,4,4", true);
    TEST_SET_INTS(y, "strides", 2, 2);
    TEST_SET_INTS(y, "pads", 1, 1, 1, 1);
}

static void open_height(Model *m)
{
    TEST_SET_INTS(conv_transpose(m, "N,16,H,7", "16,12,4,4", true), "strides", 2, 2);
}

static void open_width(Model *m)
{
    TEST_SET_INTS(conv_transpose(m, "N,16,7,W", "16,12,4,4", true), "strides", 2, 2);
}

static void odd_all_over(Model *m) /* other kernels, strides and pads at each side */
{
    Value *y = conv_transpose(m, "N,16,5,6", "16,12,5,7", true);
    TEST_SET_INTS(y, "strides", 3, 2);
    TEST_SET_INTS(y, "pads", 2, 0, 1, 3);
    TEST_SET_INTS(y, "output_padding", 1, 0);
}

static void stride_beyond_the_kernel(Model *m) /* places that no input reaches */
{
    TEST_SET_INTS(conv_transpose(m, "N,40,4,5", "40,12,2,3", true), "strides", 3, 4);
}

static void along_the_width(Model *m)
{
    Value *y = conv_transpose(m, "N,16,5,6", "16,12,3,5", true);
    TEST_SET_INTS(y, "strides", 1, 2);
    TEST_SET_INTS(y, "pads", 1, 2, 1, 2);
}

static void stride_of_1(Model *m)
{
    TEST_SET_INTS(conv_transpose(m, "N,16,5,6", "16,12,3,3", true), "pads", 1, 1, 1, 1);
}

static void line(Model *m)
{
    Value *y = conv_transpose(m, "N,16,L", "16,12,8", true);
    TEST_SET_INTS(y, "strides", 4);
    TEST_SET_INTS(y, "pads", 2, 2);
}

static void line_cropped(Model *m)
{
    Value *y = conv_transpose(m, "N,16,9", "16,12,5", false);
    TEST_SET_INTS(y, "strides", 2);
    TEST_SET_INTS(y, "pads", 2, 2);
}

static void in_groups(Model *m)
{
    Value *y = conv_transpose(m, "N,16,5,6", "16,6,4,4", true);
    TEST_SET_INTS(y, "strides", 2, 2);
    node_set_int(y->producer, "group", 2);
}

static void dilated(Model *m)
{
    Value *y = conv_transpose(m, "N,16,5,6", "16,12,4,4", true);
    TEST_SET_INTS(y, "strides", 2, 2);
    TEST_SET_INTS(y, "dilations", 2, 2);
}

static void to_few_channels(Model *m)
{
    TEST_SET_INTS(conv_transpose(m, "N,40,5,6", "40,1,2,2", false), "strides", 2, 2);
}

static void mostly_zeros(Model *m)
{
    TEST_SET_INTS(conv_transpose(m, "N,40,5,6", "40,12,2,2", true), "strides", 9, 9);
}

static void small(Model *m)
{
    TEST_SET_INTS(conv_transpose(m, "1,40,2,2", "40,12,2,2", true), "strides", 2, 2);
}

static void with_a_clip(Model *m) /* which stays with the convolution */
{
    Value *x[] = {test_input(m, "x", "N,40,5,6"), test_floats(m, "w", "40,12,2,2")};
    Value *t = test_node(m, "ConvTranspose", "t", 2, x);
    TEST_SET_INTS(t, "strides", 2, 2);
    test_output(TEST_NODE(m, "Clip", "y", t, test_number(m, "low", 0.0f), test_number(m, "high", 0.7f)));
}

static void with_a_gate(Model *m)
{
    Value *x[] = {test_input(m, "x", "N,40,5,6"), test_floats(m, "w", "40,12,2,2")};
    Value *t = test_node(m, "ConvTranspose", "t", 2, x);
    TEST_SET_INTS(t, "strides", 2, 2);
    test_output(TEST_NODE(m, "Mul", "y", t, TEST_NODE(m, "Sigmoid", "s", t)));
}

#define SHUFFLED "Conv Transpose Reshape Transpose Reshape Transpose"

TEST(a_conv_transpose_becomes_a_convolution_for_all_its_phases)
{
    static const char pass[] = "split_conv_transpose";
    static const PassCase cases[] = {
        {"2 and 2", kernel_of_the_stride, 13, pass, 1, SHUFFLED},
        {"3 and 2", kernel_of_3, 13, pass, 1, SHUFFLED},
        {"4 and 2", kernel_of_4, 13, pass, 1, SHUFFLED},
        {"open sizes", open_sizes, 13, pass, 1,
         "Conv Transpose Shape Slice Mul Concat Reshape Transpose Reshape Transpose"},
        {"open height", open_height, 13, pass, 1, SHUFFLED},
        {"open width", open_width, 13, pass, 1, SHUFFLED},
        {"odd all over", odd_all_over, 13, pass, 1, SHUFFLED},
        {"a stride beyond the kernel", stride_beyond_the_kernel, 13, pass, 1, SHUFFLED " Slice"},
        {"along the width", along_the_width, 13, pass, 1, "Conv Transpose Reshape Transpose Slice"},
        {"a stride of 1", stride_of_1, 13, pass, 1, "Conv"},
        {"a line", line, 13, pass, 1, "Conv Transpose Reshape Transpose"},
        {"a line, cropped", line_cropped, 13, pass, 1, "Conv Transpose Reshape Transpose Slice"},
        {"with a Clip", with_a_clip, 13, pass, 1, "Conv Clip Transpose Reshape Transpose Reshape Transpose"},
        {"with a gate", with_a_gate, 13, pass, 1, SHUFFLED " Sigmoid Mul"},
        {"in groups", in_groups, 13, pass, 0, "ConvTranspose"},
        {"dilated", dilated, 13, pass, 0, "ConvTranspose"},
        {"to few channels", to_few_channels, 13, pass, 0, "ConvTranspose"},
        {"mostly zeros", mostly_zeros, 13, pass, 0, "ConvTranspose"},
        {"small", small, 13, pass, 0, "ConvTranspose"},
    };
    test_pass(cases, COUNT_OF(cases));
}

/* ---- Resize ---------------------------------------------------------------------------------------------------------- */

static void resize(Model *m, const char *x, const char *coordinates, const char *rounding, float height, float width)
{
    Value *scales = test_fill(m, "scales", "4", 1.0f);
    ((float *)scales->constant->data)[2] = height;
    ((float *)scales->constant->data)[3] = width;
    Value *in[3] = {test_input(m, "x", x), NULL, scales};
    Value *y = test_node(m, "Resize", "r", 3, in);
    node_set_string(y->producer, "mode", "nearest");
    node_set_string(y->producer, "coordinate_transformation_mode", coordinates);
    node_set_string(y->producer, "nearest_mode", rounding);
    test_output(TEST_NODE(m, "Neg", "y", y));
}

static void twice(Model *m)
{
    resize(m, "N,8,5,6", "asymmetric", "floor", 2, 2);
}

static void twice_open(Model *m)
{
    resize(m, "N,8,H,W", "half_pixel", "round_prefer_ceil", 2, 3);
}

static void thrice(Model *m)
{
    resize(m, "N,8,5,6", "pytorch_half_pixel", "round_prefer_floor", 3, 1);
}

static void asymmetric_2(Model *m)
{
    resize(m, "N,8,5,6", "asymmetric", "round_prefer_floor", 2, 2);
}

static void asymmetric_3(Model *m) /* does not repeat */
{
    resize(m, "N,8,5,6", "asymmetric", "round_prefer_floor", 3, 3);
}

static void by_corners(Model *m)
{
    resize(m, "N,8,5,6", "align_corners", "floor", 2, 2);
}

static void by_a_half(Model *m)
{
    resize(m, "N,8,5,6", "asymmetric", "floor", 1.5f, 2);
}

static void few_channels(Model *m)
{
    resize(m, "N,3,50,60", "asymmetric", "floor", 2, 2);
}

static void by_sizes(Model *m)
{
    Value *in[4] = {test_input(m, "x", "N,8,5,6"), NULL, NULL, TEST_INTS(m, "sizes", 2, 8, 20, 12)};
    Value *y = test_node(m, "Resize", "r", 4, in);
    node_set_string(y->producer, "mode", "nearest");
    node_set_string(y->producer, "coordinate_transformation_mode", "tf_half_pixel_for_nn");
    node_set_string(y->producer, "nearest_mode", "floor");
    test_output(TEST_NODE(m, "Neg", "y", y));
}

#define COPIED "Transpose Reshape Expand Reshape Transpose Neg"

TEST(nearest_resize_becomes_copies)
{
    static const char pass[] = "split_resize";
    static const PassCase cases[] = {
        {"twice", twice, 13, pass, 1, COPIED},
        {"open sizes", twice_open, 13, pass, 1, "Transpose Shape Slice Mul Concat Reshape Expand Reshape Transpose Neg"},
        {"thrice along the height", thrice, 13, pass, 1, COPIED},
        {"asymmetric, a half goes down", asymmetric_2, 13, pass, 1, COPIED},
        {"asymmetric, two thirds go up", asymmetric_3, 13, pass, 0, "Resize Neg"},
        {"corners", by_corners, 13, pass, 0, "Resize Neg"},
        {"one and a half", by_a_half, 13, pass, 0, "Resize Neg"},
        {"few channels", few_channels, 13, pass, 0, "Resize Neg"},
        {"sizes, the batch is open", by_sizes, 13, pass, 0, "Resize Neg"},
    };
    test_pass(cases, COUNT_OF(cases));
}

/* ---- Softmax --------------------------------------------------------------------------------------------------------- */

static void softmax(Model *m, const char *x, int64_t axis)
{
    Value *y = TEST_NODE(m, "Softmax", "y", test_input(m, "x", x));
    node_set_int(y->producer, "axis", axis);
    test_output(y);
}

static void of_boxes(Model *m)
{
    softmax(m, "N,16,4,21", 1);
}

static void of_boxes_newer(Model *m)
{
    model_set_opset(m, "", 18);
    of_boxes(m);
}

static void of_pixels(Model *m)
{
    softmax(m, "N,5,H,W", -3);
}

static void of_rows(Model *m)
{
    softmax(m, "N,16,4,21", -1);
}

static void of_little(Model *m)
{
    softmax(m, "N,16,4", 1);
}

TEST(softmax_of_inner_axes_is_written_out)
{
    static const char pass[] = "split_softmax", apart[] = "ReduceMax Sub Exp ReduceSum Div";
    static const PassCase cases[] = {
        {"boxes", of_boxes, 13, pass, 1, apart},
        {"boxes, opset 18", of_boxes_newer, 18, pass, 1, apart},
        {"pixels", of_pixels, 13, pass, 1, apart},
        {"rows", of_rows, 13, pass, 0, "Softmax"},
        {"little", of_little, 13, pass, 0, "Softmax"},
    };
    test_pass(cases, COUNT_OF(cases));
}
