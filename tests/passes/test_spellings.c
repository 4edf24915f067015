/* test_spellings.c - how exporters write activations, normalizations and shapes, and what is left of them: torch (TorchScript and
 * dynamo), tf2onnx, Keras, Paddle, PyTorch's and the transformers' own functions.
 */
#include "tests/passes/graphs.h"
#include "tests/test.h"

#define X "x = float[N,3,4]; "
#define NUMBERS "half = float[] 0.5; one = float[] 1; two = float[] 2; root = float[] 1.4142135; inverse = float[] 0.70710678; "

TEST(spellings_of_gelu)
{
#define ERF X NUMBERS "d = Div(x, root); f = Erf(d); g = Add(f, one); "
#define TANH X NUMBERS "k = float[] 0.044715; s = float[] 0.7978845608; three = float[] 3; "
    static const TextCase cases[] = {
        {20, "(x * gate) * 0.5", ERF "h = Mul(x, g); y = Mul(h, half)", "Gelu"},
        {20, "0.5 * (x * gate)", ERF "h = Mul(g, x); y = Mul(half, h)", "Gelu"},
        {20, "(0.5 * x) * gate", ERF "h = Mul(half, x); y = Mul(h, g)", "Gelu"},
        {20, "x * (0.5 * gate)", ERF "h = Mul(half, g); y = Mul(x, h)", "Gelu"},
        {20, "(x / 2) * gate", ERF "h = Div(x, two); y = Mul(g, h)", "Gelu"},
        {20, "x * (gate / 2)", ERF "h = Div(g, two); y = Mul(h, x)", "Gelu"},
        {20, "(x * gate) / 2", ERF "h = Mul(x, g); y = Div(h, two)", "Gelu"},
        {20, "x * 1/sqrt 2", X NUMBERS "d = Mul(inverse, x); f = Erf(d); g = Add(one, f); h = Mul(x, half); y = Mul(h, g)", "Gelu"},
        {20, "x / sqrt(2)", X NUMBERS "r = Sqrt(two); d = Div(x, r); f = Erf(d); g = Add(one, f); h = Mul(x, half); y = Mul(h, g)",
         "Gelu"},
        {20, "0.5 + 0.5 erf", X NUMBERS "d = Mul(inverse, x); f = Erf(d); e = Mul(f, half); g = Add(e, half); y = Mul(x, g)", "Gelu"},
        {20, "1 - erf(-x)", X NUMBERS "n = Neg(x); d = Mul(n, inverse); f = Erf(d); g = Sub(one, f); h = Mul(x, g); y = Mul(h, half)",
         "Gelu"},
        {20, "tanh, cube by Pow", TANH "c = Pow(x, three); e = Mul(c, k); a = Add(x, e); b = Mul(a, s); t = Tanh(b); g = Add(t, one); "
         "h = Mul(x, g); y = Mul(h, half)", "Gelu"},
        {20, "tanh, 0.5 x first", TANH "c = Pow(x, three); e = Mul(k, c); a = Add(x, e); b = Mul(s, a); t = Tanh(b); g = Add(one, t); "
         "h = Mul(half, x); y = Mul(h, g)", "Gelu"},
        {20, "tanh, cube by Mul", TANH "q = Mul(x, x); c = Mul(q, x); e = Mul(k, c); a = Add(x, e); b = Mul(s, a); t = Tanh(b); "
         "g = Add(one, t); h = Mul(half, x); y = Mul(h, g)", "Gelu"},
        {20, "tanh, x (1 + k x x)", TANH "q = Mul(x, x); e = Mul(k, q); i = Add(e, one); a = Mul(x, i); b = Mul(s, a); t = Tanh(b); "
         "g = Add(one, t); h = Mul(half, x); y = Mul(h, g)", "Gelu"},
        {20, "tanh, s x (1 + k x x)", TANH "sx = Mul(x, s); kx = Mul(x, k); q = Mul(kx, x); i = Add(one, q); b = Mul(sx, i); t = Tanh(b); "
         "g = Add(one, t); h = Mul(half, x); y = Mul(h, g)", "Gelu"},
        {20, "tanh, half gate", TANH "c = Pow(x, three); e = Mul(k, c); a = Add(x, e); b = Mul(s, a); t = Tanh(b); g = Add(one, t); "
         "h = Mul(half, g); y = Mul(h, x)", "Gelu"},
        {13, "no op before 20", ERF "h = Mul(x, g); y = Mul(h, half)", "Div Erf Add Mul Mul"},
        {13, "quick", X "k = float[] 1.702; a = Mul(x, k); b = Sigmoid(a); y = Mul(x, b)", "Mul Sigmoid Mul"},
        {24, "quick at 24", X "k = float[] 1.702; a = Mul(x, k); b = Sigmoid(a); y = Mul(x, b)", "Swish"},
    };
    test_texts(cases, COUNT_OF(cases));
}

TEST(spellings_of_gates)
{
#define HARD X "three = float[] 3; six = float[] 6; zero = float[] 0; sixth = float[] 0.16666667; one = float[] 1; half = float[] 0.5; "
    static const TextCase cases[] = {
        {14, "x clip / 6", HARD "a = Add(x, three); b = Clip(a, zero, six); c = Mul(x, b); y = Div(c, six)", "HardSwish"},
        {14, "x (clip / 6)", HARD "a = Add(x, three); b = Clip(a, zero, six); c = Div(b, six); y = Mul(x, c)", "HardSwish"},
        {14, "clip times sixth", HARD "a = Add(three, x); b = Clip(a, zero, six); c = Mul(b, sixth); y = Mul(c, x)", "HardSwish"},
        {14, "sixth at the end", HARD "a = Add(three, x); b = Clip(a, zero, six); c = Mul(b, x); y = Mul(sixth, c)", "HardSwish"},
        {14, "relu 6 by Min", HARD "a = Add(three, x); r = Relu(a); b = Min(r, six); c = Mul(b, x); y = Mul(sixth, c)", "HardSwish"},
        {14, "hard sigmoid by clip", HARD "a = Add(three, x); b = Clip(a, zero, six); y = Div(b, six)", "HardSigmoid"},
        {14, "hard sigmoid by 0..1", HARD "a = Mul(sixth, x); b = Add(a, half); c = Clip(b, zero, one); y = Mul(c, x)", "HardSwish"},
        {14, "hard sigmoid by Relu", HARD "a = Add(three, x); b = Relu(a); c = Min(b, six); y = Mul(c, sixth)", "HardSigmoid"},
        {18, "mish", X "a = Softplus(x); b = Tanh(a); y = Mul(x, b)", "Mish"},
        {18, "mish by log", X "one = float[] 1; e = Exp(x); p = Add(e, one); a = Log(p); b = Tanh(a); y = Mul(b, x)", "Mish"},
        {18, "mish by log 1 +", X "one = float[] 1; e = Exp(x); p = Add(one, e); a = Log(p); b = Tanh(a); y = Mul(x, b)", "Mish"},
        {24, "swish", X "a = Sigmoid(x); y = Mul(a, x)", "Swish"},
        {13, "swish by Div", X "one = float[] 1; n = Neg(x); e = Exp(n); p = Add(e, one); y = Div(x, p)", "Neg Exp Add Div"},
        {13, "sigmoid by Div", X "one = float[] 1; n = Neg(x); e = Exp(n); p = Add(one, e); y = Div(one, p)", "Sigmoid"},
        {13, "sigmoid by tanh", X "one = float[] 1; half = float[] 0.5; a = Mul(x, half); t = Tanh(a); b = Add(t, one); y = Mul(b, half)",
         "Sigmoid"},
        {13, "relu by Where", X "zero = float[] 0; c = Greater(x, zero); y = Where(c, x, zero)", "Relu"},
        {13, "relu by Where >=", X "zero = float[] 0; c = GreaterOrEqual(x, zero); y = Where(c, x, zero)", "Relu"},
        {13, "relu by Less", X "zero = float[] 0; c = Less(x, zero); y = Where(c, zero, x)", "Relu"},
        {13, "leaky relu by Max", X "k = float[] 0.1; a = Mul(x, k); y = Max(x, a)", "LeakyRelu"},
        {13, "relu 6", X "six = float[] 6; a = Relu(x); y = Min(a, six)", "Clip"},
        {13, "softplus", X "one = float[] 1; e = Exp(x); p = Add(e, one); y = Log(p)", "Softplus"},
        {13, "log sigmoid", X "a = Sigmoid(x); y = Log(a)", "Sigmoid Log"},
        {13, "softmax", X "m = ReduceMax<axes=[-1], keepdims=1>(x); d = Sub(x, m); e = Exp(d); k = int64[1] -1; s = ReduceSum<keepdims=1>(e, k); y = Div(e, s)",
         "Softmax"},
        {13, "softmax, plain", X "e = Exp(x); k = int64[1] 2; s = ReduceSum<keepdims=1>(e, k); y = Div(e, s)", "Softmax"},
        {13, "softmax, reciprocal", X "e = Exp(x); k = int64[1] 1; s = ReduceSum<keepdims=1>(e, k); r = Reciprocal(s); y = Mul(e, r)", "Softmax"},
        {13, "log softmax", X "k = int64[1] 2; l = ReduceLogSumExp<axes=[2], keepdims=1>(x); y = Sub(x, l)", "LogSoftmax"},
        {13, "log of softmax", X "a = Softmax<axis=-1>(x); y = Log(a)", "LogSoftmax"},
    };
    test_texts(cases, COUNT_OF(cases));
}

TEST(spellings_of_layer_norm)
{
#define LAYER X "two = float[] 2; e = float[] 0.00001; g = float[4] 1 2 3 4; b = float[4] 0.1 0.2 0.3 0.4; one = float[] 1; m5 = float[] -0.5; p5 = float[] 0.5; "
#define MEAN13 "m = ReduceMean<axes=[-1], keepdims=1>(x); d = Sub(x, m); "
#define VAR13 "q = Pow(d, two); v = ReduceMean<axes=[-1], keepdims=1>(q); ve = Add(v, e); "
#define ENDS "s = Mul(n, g); y = Add(s, b)"
    static const TextCase cases[] = {
        {17, "pow sqrt div", LAYER MEAN13 VAR13 "r = Sqrt(ve); n = Div(d, r); " ENDS, "LayerNormalization"},
        {17, "mul x x", LAYER MEAN13 "q = Mul(d, d); v = ReduceMean<axes=[2], keepdims=1>(q); ve = Add(e, v); r = Sqrt(ve); n = Div(d, r); " ENDS,
         "LayerNormalization"},
        {17, "sub twice", LAYER MEAN13 VAR13 "d2 = Sub(x, m); r = Sqrt(ve); n = Div(d2, r); " ENDS, "LayerNormalization"},
        {17, "pow 0.5", LAYER MEAN13 VAR13 "r = Pow(ve, p5); n = Div(d, r); " ENDS, "LayerNormalization"},
        {17, "pow -0.5", LAYER MEAN13 VAR13 "r = Pow(ve, m5); n = Mul(d, r); " ENDS, "LayerNormalization"},
        {17, "reciprocal", LAYER MEAN13 VAR13 "r = Sqrt(ve); i = Reciprocal(r); n = Mul(d, i); " ENDS, "LayerNormalization"},
        {17, "one over", LAYER MEAN13 VAR13 "r = Sqrt(ve); i = Div(one, r); n = Mul(i, d); " ENDS, "LayerNormalization"},
        {18, "axes an input", LAYER "k = int64[1] -1; m = ReduceMean(x, k); d = Sub(x, m); q = Pow(d, two); v = ReduceMean(q, k); ve = Add(v, e); "
         "r = Sqrt(ve); n = Div(d, r); " ENDS, "LayerNormalization"},
        {17, "no bias", LAYER MEAN13 VAR13 "r = Sqrt(ve); n = Div(d, r); y = Mul(g, n)", "LayerNormalization"},
        {17, "nothing behind", LAYER MEAN13 VAR13 "r = Sqrt(ve); y = Div(d, r)", "LayerNormalization"},
        {17, "keras: g r first", LAYER MEAN13 VAR13 "r = Sqrt(ve); i = Reciprocal(r); gr = Mul(i, g); xg = Mul(x, gr); mg = Mul(m, gr); c = Sub(b, mg); y = Add(xg, c)",
         "LayerNormalization"},
        {17, "casts around", "x = float[N,3,4]; two = float[] 2; e = float[] 0.00001; g = float[4] 1 2 3 4; b = float[4] 0.1 0.2 0.3 0.4; c = Cast<to=1>(x); "
         "m = ReduceMean<axes=[-1], keepdims=1>(c); d = Sub(c, m); q = Pow(d, two); v = ReduceMean<axes=[-1], keepdims=1>(q); ve = Add(v, e); r = Sqrt(ve); "
         "n0 = Div(d, r); n = Cast<to=1>(n0); " ENDS, "LayerNormalization"},
        {17, "pow with a double exponent", X "p = double[] 2; e = float[] 0.00001; g = float[4] 1 2 3 4; b = float[4] 0.1 0.2 0.3 0.4; " MEAN13
         "q = Pow(d, p); v = ReduceMean<axes=[-1], keepdims=1>(q); ve = Add(v, e); r = Sqrt(ve); n = Div(d, r); " ENDS, "LayerNormalization"},
        {13, "no op before 17", LAYER MEAN13 VAR13 "r = Sqrt(ve); n = Div(d, r); " ENDS,
         "ReduceMean Sub Pow ReduceMean Add Sqrt Div Mul Add"},
        {23, "rms", LAYER "k = int64[1] -1; q = Pow(x, two); v = ReduceMean(q, k); ve = Add(v, e); r = Sqrt(ve); n = Div(x, r); y = Mul(n, g)",
         "RMSNormalization"},
        {23, "rms, rsqrt", LAYER "k = int64[1] -1; q = Mul(x, x); v = ReduceMean(q, k); ve = Add(v, e); r = Sqrt(ve); i = Reciprocal(r); n = Mul(x, i); y = Mul(g, n)",
         "RMSNormalization"},
        {23, "rms, one over", LAYER "k = int64[1] -1; q = Pow(x, two); v = ReduceMean(q, k); ve = Add(v, e); r = Sqrt(ve); i = Div(one, r); n = Mul(x, i); y = Mul(g, n)",
         "RMSNormalization"},
        {23, "rms, pow", LAYER "k = int64[1] -1; q = Pow(x, two); v = ReduceMean(q, k); ve = Add(v, e); i = Pow(ve, m5); n = Mul(x, i); y = Mul(g, n)",
         "RMSNormalization"},
    };
    test_texts(cases, COUNT_OF(cases));
}

TEST(spellings_of_shapes)
{
    static const TextCase cases[] = {
        {13, "torch flatten", "x = float[N,3,4,5]; s = Shape(x); z = int64[] 0; n = Gather(s, z); a = int64[1] 0; nu = Unsqueeze(n, a); m = int64[1] -1; "
         "t = Concat<axis=0>(nu, m); y = Reshape(x, t)", "Reshape"},
        {13, "torch view(n, -1) by Slice", "x = float[N,3,4,5]; s = Shape(x); a = int64[1] 0; b = int64[1] 1; n = Slice(s, a, b, a); m = int64[1] -1; "
         "t = Concat<axis=0>(n, m); y = Reshape(x, t)", "Reshape"},
        {13, "torch view by products", "x = float[N,3,4,5]; s = Shape(x); z = int64[] 0; n = Gather(s, z); i = int64[] 1; c = Gather(s, i); j = int64[] 2; h = Gather(s, j); "
         "ch = Mul(c, h); a = int64[1] 0; nu = Unsqueeze(n, a); cu = Unsqueeze(ch, a); m = int64[1] 5; t = Concat<axis=0>(nu, cu, m); y = Reshape(x, t)", "Reshape"},
        {13, "channel shuffle", "x = float[N,4,3,3]; a = int64[5] 0 2 2 3 3; b = Reshape(x, a); c = Transpose<perm=[0,2,1,3,4]>(b); d = int64[4] 0 4 3 3; y = Reshape(c, d)",
         "Reshape Transpose Reshape"},
        {13, "dynamic channel shuffle", "x = float[N,4,H,W]; s = Shape(x); z = int64[1] 0; i2 = int64[1] 2; i3 = int64[1] 3; n = Gather(s, z); h = Gather(s, i2); w = Gather(s, i3); "
         "two = int64[1] 2; four = int64[1] 4; t = Concat<axis=0>(n, two, two, h, w); b = Reshape(x, t); c = Transpose<perm=[0,2,1,3,4]>(b); t2 = Concat<axis=0>(n, four, h, w); y = Reshape(c, t2)",
         "Shape Concat Gather Reshape Transpose Reshape"},
        {13, "upsample by sizes", "x = float[N,3,H,W]; s = Shape(x); a = int64[1] 0; b = int64[1] 2; c = int64[1] 4; nc = Slice(s, a, b); hw = Slice(s, b, c); two = int64[2] 2 2; hw2 = Mul(hw, two); "
         "t = Concat<axis=0>(nc, hw2); y = Resize<mode='nearest', coordinate_transformation_mode='asymmetric', nearest_mode='floor'>(x, , , t)", "Shape Split Mul Concat Resize"},
        {9, "upsample of opset 9", "x = float[N,3,4,4]; k = float[4] 1 1 2 2; y = Upsample<mode='nearest'>(x, k)", "Resize"},
        {13, "focus", "x = float[N,3,4,4]; s0 = int64[1] 0; s1 = int64[1] 1; big = int64[1] 9223372036854775807; two = int64[1] 2; a2 = int64[1] 2; a3 = int64[1] 3; "
         "r0 = Slice(x, s0, big, a2, two); r1 = Slice(x, s1, big, a2, two); a = Slice(r0, s0, big, a3, two); b = Slice(r1, s0, big, a3, two); c = Slice(r0, s1, big, a3, two); "
         "d = Slice(r1, s1, big, a3, two); y = Concat<axis=1>(a, b, c, d)", "Slice Slice Slice Slice Slice Slice Concat"},
        {13, "squeeze and excite by ReduceMean", "x = float[N,2,3,3]; p = ReduceMean<axes=[2,3], keepdims=1>(x); w = float[2,2,1,1] 1 2 3 4; q = Conv(p, w); s = Sigmoid(q); y = Mul(x, s)",
         "GlobalAveragePool Conv Sigmoid Mul"},
        {13, "mean without the axes, then view", "x = float[N,2,3,3]; p = ReduceMean<axes=[2,3], keepdims=0>(x); t = int64[4] 0 2 1 1; q = Reshape(p, t); y = Mul(x, q)",
         "ReduceMean Reshape Mul"},
        {13, "adaptive pool to 1 by GlobalAveragePool and Flatten", "x = float[N,2,3,3]; p = GlobalAveragePool(x); y = Flatten(p)", "GlobalAveragePool Flatten"},
        {13, "keras: Reshape with -1", "x = float[N,2,3,4]; t = int64[2] -1 24; y = Reshape(x, t)", "Reshape"},
        {13, "squeeze and unsqueeze", "x = float[N,1,4]; a = int64[1] 1; b = Squeeze(x, a); y0 = Unsqueeze(b, a); y = Relu(y0)", "Relu"},
        {13, "expand to its own shape", "x = float[N,3,4]; s = Shape(x); e = Expand(x, s); y = Relu(e)", "Relu"},
        {13, "expand by ones", "x = float[N,3,4]; three = int64[1] 3; c = ConstantOfShape<value={int64[1] 1}>(three); e = Expand(x, c); y = Relu(e)", "Relu"},
        {13, "Where around -1 (torch expand)", "x = float[N,1,4]; t = int64[3] -1 3 4; o = int64[3] 1 1 1; m = int64[3] -1 -1 -1; c = Equal(t, m); w = Where(c, o, t); y = Expand(x, w)", "Expand"},
    };
    test_texts(cases, COUNT_OF(cases));
}

TEST(spellings_of_layers)
{
#define W2 "w = float[2,2,1,1] 1 2 3 4; "
    static const TextCase cases[] = {
        {13, "tf2onnx: NHWC around a Conv, BiasAdd in NHWC", "x = float[N,3,3,2]; " W2 "b = float[2] 0.5 1; t = Transpose<perm=[0,3,1,2]>(x); c = Conv(t, w); u = Transpose<perm=[0,2,3,1]>(c); "
         "a = Add(u, b); r = Relu(a); v = Transpose<perm=[0,3,1,2]>(r); d = Conv(v, w); y = Transpose<perm=[0,2,3,1]>(d)", "Transpose Conv Relu Conv Transpose"},
        {13, "BatchNormalization by hand", "x = float[N,2,3,3]; " W2 "c = Conv(x, w); m = float[1,2,1,1] 0.5 1; s = float[1,2,1,1] 2 3; b = float[1,2,1,1] 4 5; d = Sub(c, m); e = Mul(d, s); y = Add(e, b)", "Conv"},
        {13, "paddle: scale with a scalar", "x = float[N,2,3,3]; " W2 "c = Conv(x, w); k = float[1] 2; b = float[1] 0.5; t = int64[0]; e = Mul(c, k); y = Add(e, b)", "Conv"},
        {13, "paddle: bias by Reshape", "x = float[N,2,3,3]; " W2 "b = float[2] 1 2; t = int64[4] 1 -1 1 1; r = Reshape(b, t); c = Conv(x, w); y = Add(c, r)", "Conv"},
        {13, "BatchNormalization behind MatMul", "x = float[N,2]; w = float[2,3] 1 2 3 4 5 6; p = float[3] 1 2 3; q = float[3] 0.5 1 2; m = MatMul(x, w); y = BatchNormalization(m, p, q, p, q)", "Gemm"},
        {13, "BatchNormalization behind MatMul and Add", "x = float[N,2]; w = float[2,3] 1 2 3 4 5 6; p = float[3] 1 2 3; q = float[3] 0.5 1 2; m = MatMul(x, w); a = Add(m, p); y = BatchNormalization(a, p, q, p, q)", "Gemm"},
        {13, "BatchNormalization 1-D behind Conv 1-D", "x = float[N,2,5]; w = float[2,2,1] 1 2 3 4; p = float[2] 1 2; m = Conv(x, w); y = BatchNormalization(m, p, p, p, p)", "Conv"},
        {13, "linear by Transpose of the weight", "x = float[N,2]; w = float[3,2] 1 2 3 4 5 6; b = float[3] 1 2 3; t = Transpose<perm=[1,0]>(w); m = MatMul(x, t); y = Add(m, b)", "Gemm"},
        {13, "linear over three axes", "x = float[N,4,2]; w = float[2,3] 1 2 3 4 5 6; b = float[3] 1 2 3; m = MatMul(x, w); y = Add(b, m)", "MatMul Add"},
        {13, "Gemm with alpha and beta", "x = float[N,2]; w = float[2,3] 1 2 3 4 5 6; b = float[3] 1 2 3; g = Gemm<alpha=0.5, beta=2.0>(x, w, b); k = float[] 3; y = Mul(g, k)", "Gemm"},
        {21, "group normalization", "x = float[N,4,3,3]; g = float[4,1,1] 1 2 3 4; b = float[4,1,1] 4 3 2 1; t = int64[3] 0 2 -1; r = Reshape(x, t); s = float[2] 1 1; o = float[2] 0 0; "
         "i = InstanceNormalization(r, s, o); u = Shape(x); v = Reshape(i, u); w = Mul(v, g); y = Add(w, b)", "GroupNormalization"},
        {13, "instance normalization of torch", "x = float[N,4,3,3]; g = float[1,4,1,1] 1 2 3 4; b = float[1,4,1,1] 4 3 2 1; s = float[4] 1 1 1 1; o = float[4] 0 0 0 0; i = InstanceNormalization(x, s, o); w = Mul(i, g); y = Add(w, b)",
         "InstanceNormalization Mul Add"},
        {13, "padding of Keras in front of Conv", "x = float[N,2,3,3]; p = int64[8] 0 0 1 1 0 0 1 1; z = float[] 0; q = Pad(x, p, z); " W2 "y = Conv<kernel_shape=[1,1], pads=[0,0,0,0]>(q, w)", "Conv"},
        {13, "padding in NHWC", "x = float[N,3,3,2]; p = int64[8] 0 1 1 0 0 1 1 0; q = Pad(x, p); t = Transpose<perm=[0,3,1,2]>(q); " W2 "y = Conv(t, w)", "Pad Transpose Conv"},
        {13, "normalized input", "x = float[N,2,3,3]; m = float[1,2,1,1] 0.5 0.4; s = float[1,2,1,1] 0.2 0.3; a = Sub(x, m); b = Div(a, s); " W2 "y = Conv(b, w)", "Sub Div Conv"},
        {13, "attention", "q = float[N,2,4]; k = float[N,2,4]; v = float[N,2,4]; r = float[] 2; t = Transpose<perm=[0,2,1]>(k); s = MatMul(q, t); d = Div(s, r); p = Softmax<axis=-1>(d); y = MatMul(p, v)",
         "Transpose MatMul Div Softmax MatMul"},
        {13, "mean of squares", "x = float[N,3]; a = int64[1] 1; q = Mul(x, x); s = ReduceSum<keepdims=1>(q, a); y = Sqrt(s)", "ReduceL2"},
        {13, "normalize by Clip", "x = float[N,3]; n = ReduceL2<axes=[1], keepdims=1>(x); e = float[] 0.000001; c = Clip(n, e); s = Shape(x); w = Expand(c, s); y = Div(x, w)", "ReduceL2 Clip Div"},
    };
    test_texts(cases, COUNT_OF(cases));
}
