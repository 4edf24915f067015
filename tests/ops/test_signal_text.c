/* Signals, grids, strings, sequences, losses and random numbers: values from the formulas. What ONNX's own tests hold
 * is not repeated here (make conformance). */
#include "tests/ops/mini.h"
#include "tests/ops/one_node.h"
#include "tests/test.h"

static const MiniCase values[] = {
    {20, "x = float[1,4,1] 1 2 3 4; y = DFT(x)", "float[1,4,2] 10 0 -2 2 -2 0 -2 -2"},
    {20, "x = float[1,4,1] 1 2 3 4; y = DFT<onesided=1>(x)", "float[1,3,2] 10 0 -2 2 -2 0"},
    {20, "x = float[1,3,2] 10 0 -2 2 -2 0; y = DFT<onesided=1 inverse=1>(x)", "float[1,4,1] 1 2 3 4"},
    {20, "x = float[2,1,1] 1 2; a = int64[] 0; y = DFT(x, , a)", "float[2,1,2] 3 0 -1 0"},
    {20, "x = float[1,3,1] 1 2 3; n = int64[] 1; y = DFT(x, n)", "float[1,1,2] 1 0"},
    {17, "x = float[1,4,1] 1 2 3 4; y = DFT<axis=2>(x)", "! axis 2 is not a signal axis"},
    {17, "x = float[1,4,3] 1 2 3 4 5 6 7 8 9 10 11 12; y = DFT(x)", "! the last axis has size 3"},
    {17, "x = float[1,4] 1 2 3 4; s = int64[] 1; w = float[2] 1 1; y = STFT(x, s, w)",
     "float[1,3,2,2] 3 0 -1 0 5 0 -1 0 7 0 -1 0"},
    {17, "x = float[1,4] 1 2 3 4; s = int64[] 1; w = float[5] 1 1 1 1 1; y = STFT(x, s, w)", "! do not fit a signal"},
    {17, "x = float[1,4] 1 2 3 4; s = int64[] 0; w = float[2] 1 1; y = STFT(x, s, w)", "! do not fit a signal"},
    {17, "n = int64[] 4; y = HannWindow(n)", "float[4] 0 0.5 1 0.5"},
    {17, "n = int64[] 1; y = BlackmanWindow<periodic=0>(n)", "float[1] 1"},
    {17, "n = int64[] -3; y = HannWindow(n)", "! size -3"},
    {20, "t = float[1,2,3] 1 0 0 0 1 0; s = int64[4] 1 1 1 2; y = AffineGrid(t, s)", "float[1,1,2,2] -0.5 0 0.5 0"},
    {20, "t = float[1,2,3] 1 0 5 0 1 0; s = int64[4] 1 1 1 2; y = AffineGrid<align_corners=1>(t, s)",
     "float[1,1,2,2] 4 0 6 0"},
    {20, "t = float[2,2,3] 1 0 5 0 1 0 1 0 5 0 1 0; s = int64[4] 1 1 1 2; y = AffineGrid(t, s)", "! does not fit"},
    {20, "x = float[1,1,1,2] 1 3; g = float[1,1,2,2] 0 0 9 9; y = GridSample(x, g)", "float[1,1,1,2] 2 0"},
    {20, "x = float[1,1,1,2] 1 3; g = float[1,1,1,2] 9 9; y = GridSample<padding_mode='border'>(x, g)",
     "float[1,1,1,1] 3"},
    {20, "x = float[1,1,1,2] 1 3; g = float[1,1,1,2] 0 0; y = GridSample<mode='spline'>(x, g)", "! 'spline'"},
    {11, "x = float[1,2,2] 1 2 3 4; y = Det(x)", "float[1] -2"},
    {11, "x = float[2,3] 1 2 3 4 5 6; y = Det(x)", "! no square matrix"},
    {11, "x = float[1,1,2] 5 6; i = int64[1,1,2] 1 2; y = MaxUnpool<kernel_shape=[2] strides=[2] "
         "pads=[9223372036854775807, 2]>(x, i)", "! out of range"},
    {11, "x = float[1,1,2] 5 6; i = int64[1,1,2] 1 2; y = MaxUnpool<kernel_shape=[2] strides=[2]>(x, i)",
     "float[1,1,4] 0 5 6 0"},
    {11, "x = float[1,1,2] 5 6; i = int64[1,1,2] 1 4; y = MaxUnpool<kernel_shape=[2] strides=[2]>(x, i)",
     "! index 4 is outside"},
    {7, "x = float[1,1,2,2] 1 2 3 4; r = float[1,5] 0 0 0 1 1; y = MaxRoiPool<pooled_shape=[1,2]>(x, r)",
     "float[1,1,1,2] 3 4"},
    {7, "x = float[1,1,2,2] 1 2 3 4; r = float[1,5] 1 0 0 1 1; y = MaxRoiPool<pooled_shape=[1,2]>(x, r)",
     "! of image 1"},
    {13, "x = float[1,2] 0 0; t = int64[1] 1; y = SoftmaxCrossEntropyLoss(x, t)", "float[] 0.69314718"},
    {13, "x = float[1,2] -1 -2; t = int64[1] 2; y = NegativeLogLikelihoodLoss(x, t)", "! target 2 is not one of 2"},
    {11, "a = float[2] 1 2; b = float[1] 3; p = int64[] 1; s = SequenceConstruct(a, b); y = SequenceAt(s, p)",
     "float[1] 3"},
    {11, "a = float[2] 1 2; b = float[1] 3; s = SequenceConstruct(a, b); y = ConcatFromSequence<axis=0>(s)",
     "float[3] 1 2 3"},
    {11, "a = float[2] 1 2; b = float[2] 3 4; s = SequenceConstruct(a, b);"
         "y = ConcatFromSequence<axis=1 new_axis=1>(s)",
     "float[2,2] 1 3 2 4"},
    {11, "a = float[2] 1 2; b = float[1] 3; s = SequenceConstruct(a, b); y = ConcatFromSequence<axis=0 new_axis=1>(s)",
     "! does not fit the first"},
    {11, "a = float[2] 1 2; s = SequenceConstruct(a, a); p = int64[] -3; y = SequenceAt(s, p)", "! outside a sequence"},
    {11, "a = float[2] 1 2; s = SequenceConstruct(a, a); e = SequenceErase(s); y = SequenceLength(e)", "int64[] 1"},
    {11, "a = float[2] 1 2; s = SequenceConstruct(a, a); y = Relu(s)", "! which Relu does not take"},
    {11, "a = float[2] 1 2; y = SequenceLength(a)", "! no sequence"},
    {11, "x = float[3] 1 2 3; k = int64[] 2; s = SplitToSequence(x, k); p = int64[] 1; y = SequenceAt(s, p)",
     "float[1] 3"},
    {18, "o = Optional<>(); y = OptionalHasElement(o)", "bool[] 0"},
    {18, "o = Optional<>(); y = OptionalGetElement(o)", "! the optional is empty"},
    {15, "y = RandomUniform<shape=[3] low=2.0 high=2.0>()", "float[3] 2 2 2"},
    {15, "x = float[3] 0 1 1; y = Bernoulli(x)", "float[3] 0 1 1"},
    /* numpy.random.seed(0); numpy.random.uniform(size=6) */
    {22, "y = RandomUniform<shape=[6] seed=0.0>()", "float[6] 0.5488135 0.71518937 0.60276338 0.54488318 0.4236548 0.64589411"},
    {22, "x = float[6] 1 2 3 4 5 6; r = float[] 0.5; t = bool[] 1; y, m = Dropout<seed=0>(x, r, t)", "y|float[6] 2 4 6 8 0 12"},
    {22, "x = float[6] 1 2 3 4 5 6; r = float[] 0.5; t = bool[] 1; y, m = Dropout<seed=0>(x, r, t)", "m|bool[6] 1 1 1 1 0 1"},
    {22, "x = float[2] 1 2; r = float[] 0.0; t = bool[] 1; y, m = Dropout(x, r, t)", "m|bool[2] 1 1"},
    {22, "x = float[2] 1 2; r = float[] 1.5; t = bool[] 1; y = Dropout(x, r, t)", "! the ratio is 1.5"},
    /* a picture of one pixel: red 10, green 20, blue 30 */
    {20, "x = uint8[14] 80 54 32 49 32 49 32 50 53 53 10 10 20 30; y = ImageDecoder(x)", "uint8[1,1,3] 10 20 30"},
    {20, "x = uint8[14] 80 54 32 49 32 49 32 50 53 53 10 10 20 30; y = ImageDecoder<pixel_format='BGR'>(x)",
     "uint8[1,1,3] 30 20 10"},
    {20, "x = uint8[14] 80 54 32 49 32 49 32 50 53 53 10 10 20 30; y = ImageDecoder<pixel_format='Grayscale'>(x)",
     "uint8[1,1,1] 18"},
    {20, "x = uint8[12] 80 53 32 49 32 49 32 50 53 53 10 7; y = ImageDecoder(x)", "uint8[1,1,3] 7 7 7"},
    {20, "x = uint8[3] 1 2 3; y = ImageDecoder(x)", "! not an image"},
    {20, "x = uint8[1,3] 1 2 3; y = ImageDecoder(x)", "! has rank 2"},
    {20, "x = uint8[3] 1 2 3; y = ImageDecoder<pixel_format='CMYK'>(x)", "! expected RGB, BGR or Grayscale"},
    {7, "x = float[1,3] -100 50 -100; y = Multinomial<sample_size=2>(x)", "int32[1,2] 1 1"},
    {6, "x = float[2,2] 1 2 3 4; b = float[2] 10 20; y = Add<broadcast=1 axis=0>(x, b)", "float[2,2] 11 12 23 24"},
    {6, "x = float[2,2] 1 2 3 4; b = float[2] 10 20; y = Add<broadcast=1 axis=2>(x, b)", "! leaves no room"},
    {6, "x = float[2,2] 1 2 3 4; b = float[2] 10 20; y = Add<broadcast=1 axis=9223372036854775807>(x, b)", "! leaves no room"},
    {7, "x = float[2,2] 1 2 3 4; b = float[2] 10 20; y = Add<broadcast=1 axis=0>(x, b)", "! since opset 7"},
};

TEST(signal_values)
{
    mini_check_values(__FILE__, values, COUNT_OF(values));
}

static const TensorString words[] = {{"1.5", 3}, {"-INF", 4}, {"nope", 4}};

static bool is_string(const Tensor *tensor, int64_t i, const char *expected)
{
    const TensorString *string = &((const TensorString *)tensor->data)[i];
    return string->length == __builtin_strlen(expected) &&
           (string->length == 0 || __builtin_memcmp(string->data, expected, string->length) == 0);
}

TEST(text_from_numbers_and_back)
{
    const float numbers[] = {0.1f, 1, 1e20f};
    Tensor x = over(DT_FLOAT, 1, DIMS(3), numbers), s = over(DT_STRING, 1, DIMS(2), words);
    Tensor bad = over(DT_STRING, 1, DIMS(3), words);
    OneNode to = one_node("Cast", "", 13, &x, 1, 1), from = one_node("Cast", "", 13, &s, 1, 1);
    OneNode fails = one_node("Cast", "", 13, &bad, 1, 1);

    node_set_int(to.node, "to", DT_STRING);
    CHECK_OK(one_node_run(&to, true));
    CHECK(is_string(&to.out[0], 0, "0.1") && is_string(&to.out[0], 1, "1") && is_string(&to.out[0], 2, "1e+20"));
    node_set_int(from.node, "to", DT_FLOAT);
    CHECK_OK(one_node_run(&from, true));
    CHECK(((const float *)from.out[0].data)[0] == 1.5f && ((const float *)from.out[0].data)[1] == -__builtin_inff());
    node_set_int(fails.node, "to", DT_FLOAT);
    CHECK_FAILS(one_node_eval(&fails), CODE_MODEL, "'nope' is no float");
    one_node_free(&to);
    one_node_free(&from);
    one_node_free(&fails);
}

TEST(text_concat_and_split)
{
    static const TensorString left[] = {{"a,b", 3}, {"", 0}}, right[] = {{",c", 2}};
    Tensor in[] = {over(DT_STRING, 1, DIMS(2), left), over(DT_STRING, 1, DIMS(1), right)};
    OneNode concat = one_node("StringConcat", "", 20, in, 2, 1);
    CHECK_OK(one_node_run(&concat, true));
    CHECK(is_string(&concat.out[0], 0, "a,b,c") && is_string(&concat.out[0], 1, ",c"));
    OneNode split = one_node("StringSplit", "", 20, concat.out, 1, 2);
    node_set_string(split.node, "delimiter", ",");
    CHECK_OK(one_node_eval(&split));
    CHECK_INT(split.out[0].dims[1], 3);
    CHECK(is_string(&split.out[0], 2, "c") && is_string(&split.out[0], 3, "") && is_string(&split.out[0], 5, ""));
    CHECK_INT(((const int64_t *)split.out[1].data)[1], 2);
    one_node_free(&split);
    one_node_free(&concat);
}
