/* Elementwise ops: values by the formulas of the specification, broadcasting, dtypes, zero sizes. */
#include "tests/ops/mini.h"
#include "tests/test.h"

static const MiniCase binary[] = {
    {13, "a = float[2,3] 1 2 3 4 5 6; b = float[3] 10 20 30; y = Add(a, b)", "float[2,3] 11 22 33 14 25 36"},
    {13, "a = float[1,2,2] 1 2 3 4; b = float[2,1,1] 10 20; y = Mul(a, b)", "float[2,2,2] 10 20 30 40 20 40 60 80"},
    {13, "a = float[2,1] 1 2; b = float[1,3] 1 2 3; y = Sub(a, b)", "float[2,3] 0 -1 -2 1 0 -1"},
    {13, "a = float[] 6; b = float[2] 2 -4; y = Div(a, b)", "float[2] 3 -1.5"},
    {13, "a = float[0,3]; b = float[3] 1 2 3; y = Add(a, b)", "float[0,3]"},
    {13, "a = float[2,2,2] 1 2 3 4 5 6 7 8; b = float[1,2,1] 1 2; y = Add(a, b)", "float[2,2,2] 2 3 5 6 6 7 9 10"},
    {14, "a = uint8[2] 250 3; b = uint8[2] 10 4; y = Add(a, b)", "uint8[2] 4 7"},
    {14, "a = int8[2] 127 -128; b = int8[] 1; y = Sub(a, b)", "int8[2] 126 127"},
    {13, "a = int32[3] -7 7 -2147483648; b = int32[3] 2 -2 -1; y = Div(a, b)", "int32[3] -3 -3 -2147483648"},
    {13, "a = int64[2] 1 2; b = int64[2] 1 0; y = Div(a, b)", "! integer division by zero"},
    {13, "a = float[2] 1 2; b = float[3] 1 2 3; y = Add(a, b)", "! do not broadcast"},
    {13, "a = float[2] 1 2; b = int64[2] 1 2; y = Add(a, b)", "! differ in type"},
    {13, "a = int32[4] -7 7 -7 7; b = int32[4] 3 -3 -3 3; y = Mod(a, b)", "int32[4] 2 -2 -1 1"},
    {13, "a = float[2] -7.5 7.5; b = float[] 2; y = Mod<fmod=1>(a, b)", "float[2] -1.5 1.5"},
    {13, "a = float[2] 1 2; y = Mod(a, a)", "! fmod must be 1"},
    {15, "a = float[3] 2 3 4; b = float[] 2; y = Pow(a, b)", "float[3] 4 9 16"},
    {15, "a = float[2] 2 4; b = int64[2] 3 -1; y = Pow(a, b)", "float[2] 8 0.25"},
    {15, "a = int32[3] 2 -1 3; b = int32[3] 10 3 0; y = Pow(a, b)", "int32[3] 1024 -1 1"},
    {15, "a = float16[2] 2 3; b = float16[2] 2 2; y = Pow(a, b)", "float16[2] 4 9"},
    {13, "a = bfloat16[2] 1 2; b = bfloat16[] 0.5; y = Mul(a, b)", "bfloat16[2] 0.5 1"},
    {13, "a = float[2] 1 nan; b = float[2] 3 1; c = float[] 2; y = Max(a, b, c)", "float[2] 3 nan"},
    {13, "a = float[2] 1 5; b = float[2,1] 3 4; y = Min(a, b)", "float[2,2] 1 3 1 4"},
    {13, "a = float[2] 1 5; b = float[2] 3 4; c = float[2] 5 0; y = Mean(a, b, c)", "float[2] 3 3"},
    {13, "a = float[2] 1 5; y = Sum(a)", "float[2] 1 5"},
    {16, "a = float[1,2,2] -1 2 -3 4; s = float[2,1] 0.5 0.1; y = PRelu(a, s)", "float[1,2,2] -0.5 2 -0.3 4"},
    {16, "a = float[2] -1 2; s = float[2,2] 1 1 1 1; y = PRelu(a, s)", "! does not broadcast"},
    {11, "a = uint8[3] 16 4 1; b = uint8[3] 1 2 9; y = BitShift<direction='RIGHT'>(a, b)", "uint8[3] 8 1 0"},
    {11, "a = uint8[3] 16 4 1; b = uint8[3] 1 2 9; y = BitShift<direction='LEFT'>(a, b)", "uint8[3] 32 16 0"},
    {11, "a = uint8[1] 1; y = BitShift<direction='UP'>(a, a)", "! neither LEFT nor RIGHT"},
    {18, "a = int32[2] 12 -1; b = int32[2] 10 6; y = BitwiseAnd(a, b)", "int32[2] 8 6"},
    {18, "a = int32[2] 12 0; b = int32[2] 10 6; y = BitwiseXor(a, b)", "int32[2] 6 6"},
};

static const MiniCase compare[] = {
    {13, "a = float[3] 1 2 3; b = float[] 2; y = Less(a, b)", "bool[3] 1 0 0"},
    {13, "a = int64[3] 1 2 3; b = int64[3] 3 2 1; y = GreaterOrEqual(a, b)", "bool[3] 0 1 1"},
    {13, "a = int64[2,1] 1 2; b = int64[2] 1 2; y = Equal(a, b)", "bool[2,2] 1 0 0 1"},
    {13, "a = float[2] nan 1; y = Equal(a, a)", "bool[2] 0 1"},
    {13, "a = bool[4] 0 0 1 1; b = bool[4] 0 1 0 1; y = Xor(a, b)", "bool[4] 0 1 1 0"},
    {13, "a = bool[4] 0 0 1 1; b = bool[4] 0 1 0 1; y = And(a, b)", "bool[4] 0 0 0 1"},
    {13, "a = bool[4] 0 0 1 1; b = bool[4] 0 1 0 1; y = Or(a, b)", "bool[4] 0 1 1 1"},
    {13, "a = float[2] 1 2; y = And(a, a)", "! float is not supported"},
    {16, "c = bool[2,1] 1 0; a = float[2] 1 2; b = float[] 9; y = Where(c, a, b)", "float[2,2] 1 2 9 9"},
};

static const MiniCase unary[] = {
    {13, "x = float[3] -1.5 0 2; y = Abs(x)", "float[3] 1.5 0 2"},
    {13, "x = int8[2] -128 5; y = Neg(x)", "int8[2] -128 -5"},
    {13, "x = float[4] -1.5 1.2 -0.2 nan; y = Floor(x)", "float[4] -2 1 -1 nan"},
    {13, "x = float[3] -1.5 1.2 -0.2; y = Ceil(x)", "float[3] -1 2 0"},
    {13, "x = float[5] 0.5 1.5 2.5 -0.5 -1.5; y = Round(x)", "float[5] 0 2 2 0 -2"},
    {13, "x = float[3] -3 0 7; y = Sign(x)", "float[3] -1 0 1"},
    {13, "x = float[5] 0 1 -1 88 -200; y = Exp(x)", "float[5] 1 2.7182818 0.36787944 1.6516363e38 0"},
    {13, "x = float[4] inf -inf nan 100; y = Exp(x)", "float[4] inf 0 nan inf"},
    {13, "x = float[6] 0 0.1 -0.29 0.31 20 -inf; y = Tanh(x)",
     "float[6] 0 0.099667995 -0.28213482 0.30043709 1 -1"},
    {13, "x = double[2] 0.5 -3; y = Tanh(x)", "double[2] 0.46211715726 -0.99505475369"},
    {13, "x = float[3] 0 0.5 -2; y = Erf(x)", "float[3] 0 0.52049988 -0.99532227"},
    {13, "x = float16[2] 4 9; y = Sqrt(x)", "float16[2] 2 3"},
    {13, "x = float[2] 0 1; y = Reciprocal(x)", "float[2] inf 1"},
    {13, "x = bool[2] 0 1; y = Not(x)", "bool[2] 1 0"},
    {18, "x = uint8[2] 0 5; y = BitwiseNot(x)", "uint8[2] 255 250"},
    {13, "x = float[2] nan 1; y = IsNaN(x)", "bool[2] 1 0"},
    {13, "x = float[3] inf -inf 1; y = IsInf<detect_negative=0>(x)", "bool[3] 1 0 0"},
    {13, "x = float[0]; y = Sin(x)", "float[0]"},
    {13, "x = int32[1] 4; y = Sqrt(x)", "! int32 is not supported"},
};

static const MiniCase activation[] = {
    {13, "x = float[3] -1 0 2; y = Relu(x)", "float[3] 0 0 2"},
    {14, "x = int8[3] -1 0 2; y = Relu(x)", "int8[3] 0 0 2"},
    {13, "x = float[2] -2 3; y = LeakyRelu<alpha=0.1>(x)", "float[2] -0.2 3"},
    {13, "x = float[2] -2 3; y = LeakyRelu(x)", "float[2] -0.02 3"},
    {13, "x = float[5] 0 1 -1 100 -100; y = Sigmoid(x)", "float[5] 0.5 0.73105858 0.26894142 1 0"},
    {13, "x = float[3] -3 0 1; y = HardSigmoid(x)", "float[3] 0 0.5 0.7"},
    {14, "x = float[4] -4 -1 1 4; y = HardSwish(x)", "float[4] 0 -0.33333333 0.66666667 4"},
    {13, "x = float[2] -1 2; y = Elu<alpha=2.0>(x)", "float[2] -1.2642411 2"},
    {13, "x = float[2] -1 1; y = Selu(x)", "float[2] -1.1113307 1.0507010"},
    {13, "x = float[2] -1 1; y = Celu<alpha=2.0>(x)", "float[2] -0.78693868 1"},
    {13, "x = float[3] 0 -200 200; y = Softplus(x)", "float[3] 0.69314718 0 200"},
    {13, "x = float[2] -3 1; y = Softsign(x)", "float[2] -0.75 0.5"},
    {13, "x = float[2] 0.5 2; y = ThresholdedRelu(x)", "float[2] 0 2"},
    {13, "x = float[3] -2 0.2 2; y = Shrink<lambd=1.0 bias=0.5>(x)", "float[3] -1.5 0 1.5"},
    {20, "x = float[2] -1 2; y = Gelu(x)", "float[2] -0.15865525 1.9544997"},
    {20, "x = float[2] -1 2; y = Gelu<approximate='tanh'>(x)", "float[2] -0.15880801 1.9545977"},
    {18, "x = float[3] -1 0 30; y = Mish(x)", "float[3] -0.30340146 0 30"},
    {24, "x = float[2] -1 2; y = Swish(x)", "float[2] -0.26894142 1.7615942"},
    {10, "x = float[3] -9 0 9; y = Clip<min=0.0 max=6.0>(x)", "float[3] 0 0 6"},
    {13, "x = float[3] -9 0 9; lo = float[] -1; y = Clip(x, lo)", "float[3] -1 0 9"},
    {13, "x = uint8[3] 1 5 9; hi = uint8[] 6; y = Clip(x, , hi)", "uint8[3] 1 5 6"},
    {13, "x = float[2] 1 2; lo = float[] 3; hi = float[] 0; y = Clip(x, lo, hi)", "float[2] 0 0"},
    {13, "x = float[1] 1; lo = float[2] 1 2; y = Clip(x, lo)", "! expected a scalar"},
};

TEST(elementwise_binary)
{
    mini_check_values(__FILE__, binary, COUNT_OF(binary));
}

TEST(elementwise_compare)
{
    mini_check_values(__FILE__, compare, COUNT_OF(compare));
}

TEST(elementwise_unary)
{
    mini_check_values(__FILE__, unary, COUNT_OF(unary));
}

TEST(elementwise_activation)
{
    mini_check_values(__FILE__, activation, COUNT_OF(activation));
}
