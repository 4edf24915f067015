/* test_hoist.c - values that are selected from before they are computed, and those that are not spread out. */
#include "tests/passes/graphs.h"
#include "tests/test.h"

TEST(hoist_selection_moves_over_products)
{
#define X "x = float[N,6,4]; w = float[4,3] 1 2 3 4 5 6 7 8 9 1 2 3; zero = int64[] 0; "
#define ATTENTION "x = float[N,6,4]; v = float[4,4] 1 2 3 4 5 6 7 8 8 7 6 5 4 3 2 1; u = float[4,4] 2 1 1 0 1 0 0 1 3 1 0 1 0 0 1 1; " \
    "q = MatMul(x, v); k = MatMul(x, u); s = float[] 0.01; t = Transpose<perm=[0,2,1]>(k); a = MatMul(q, t); b = Mul(a, s); p = Softmax<axis=-1>(b); "
    static const TextCase cases[] = {
        {13, "first token of a product", X "m = MatMul(x, w); r = Tanh(m); y = Gather<axis=1>(r, zero)", "Gather MatMul Tanh Squeeze"},
        {13, "last token", X "m = MatMul(x, w); l = int64[] -1; y = Gather<axis=1>(m, l)", "Gather MatMul Squeeze"},
        {13, "two tokens keep their axis", X "m = MatMul(x, w); l = int64[2] -1 2; y = Gather<axis=1>(m, l)", "Gather MatMul"},
        {13, "by Slice", X "m = MatMul(x, w); a = int64[1] 1; b = int64[1] 3; c = int64[1] -2; y = Slice(m, a, b, c)", "Slice MatMul"},
        {13, "by Slice with a step", X "m = MatMul(x, w); a = int64[1] 0; b = int64[1] 6; c = int64[1] 1; d = int64[1] 3; y = Slice(m, a, b, c, d)",
         "Slice MatMul"},
        {13, "most tokens stay", X "m = MatMul(x, w); a = int64[1] 1; b = int64[1] 6; c = int64[1] 1; y = Slice(m, a, b, c)", "MatMul Slice"},
        {13, "no product, no move", X "m = Tanh(x); y = Gather<axis=1>(m, zero)", "Tanh Gather"},
        {13, "columns of a product stay", X "m = MatMul(x, w); y = Gather<axis=2>(m, zero)", "MatMul Gather"},
        {13, "an open batch stays", X "m = MatMul(x, w); y = Gather<axis=0>(m, zero)", "MatMul Gather"},
        {13, "others read the product", X "m = MatMul(x, w); g = Gather<axis=1>(m, zero); one = int64[1] 1; s = ReduceSum<keepdims=0>(m, one); y = Add(g, s)",
         "MatMul Gather ReduceSum Add"},
        {13, "residual and mean", X "c = float[3] 1 2 3; m = MatMul(x, w); a = Add(m, c); e = ReduceMean<axes=[-1]>(a); d = Sub(a, e); y = Gather<axis=1>(d, zero)",
         "Gather MatMul Add ReduceMean Sub Squeeze"},
        {13, "a constant along the axis is selected too", X "c = float[6,1] 1 2 3 4 5 6; m = MatMul(x, w); a = Mul(m, c); b = Tanh(a); l = int64[] 3; y = Gather<axis=1>(b, l)",
         "Gather MatMul Tanh Squeeze"},
        {13, "queries of attention", ATTENTION "zero = int64[] 0; o = MatMul(p, x); y = Gather<axis=1>(o, zero)",
         "Gather MatMul MatMul Transpose MatMul Mul Softmax MatMul Squeeze"},
        {13, "keys of attention stay whole", ATTENTION "zero = int64[] 0; y = Gather<axis=2>(p, zero)",
         "MatMul MatMul Transpose MatMul Mul Softmax Gather"},
        {13, "heads", X "v = float[4,4] 1 2 3 4 5 6 7 8 8 7 6 5 4 3 2 1; m = MatMul(x, v); h = int64[4] 0 0 2 2; r = Reshape(m, h); t = Transpose<perm=[0,2,1,3]>(r); "
         "e = Exp(t); y = Gather<axis=2>(e, zero)", "Gather MatMul Reshape Exp Transpose Squeeze"},
        {13, "heads of known sizes", "x = float[1,6,4]; v = float[4,4] 1 2 3 4 5 6 7 8 8 7 6 5 4 3 2 1; m = MatMul(x, v); h = int64[4] 1 6 2 2; r = Reshape(m, h); "
         "t = Transpose<perm=[0,2,1,3]>(r); zero = int64[] 0; y = Gather<axis=2>(t, zero)", "Gather MatMul Reshape Transpose Squeeze"},
        {13, "a target that spells the axis", X "v = float[4,4] 1 2 3 4 5 6 7 8 8 7 6 5 4 3 2 1; m = MatMul(x, v); h = int64[4] -1 6 2 2; r = Reshape(m, h); l = int64[1] 0; y = Gather<axis=1>(r, l)",
         "Gather MatMul Reshape"},
        {13, "by Slice with int32", X "m = MatMul(x, w); a = int32[1] 1; b = int32[1] 3; c = int32[1] -2; y = Slice(m, a, b, c)", "Slice MatMul"},
        {13, "a Reshape that mixes the axis stays", X "m = MatMul(x, w); h = int64[3] 0 9 2; r = Reshape(m, h); y = Gather<axis=1>(r, zero)",
         "MatMul Reshape Gather"},
        {17, "layer normalization", X "c = float[3] 1 2 3; m = MatMul(x, w); n = LayerNormalization<axis=-1>(m, c, c); y = Gather<axis=1>(n, zero)",
         "Gather MatMul LayerNormalization Squeeze"},
        {17, "a scale along the axis", X "c = float[6,3] 1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9; d = float[3] 1 2 3; m = MatMul(x, w); n = LayerNormalization<axis=-1>(m, c, d); y = Gather<axis=1>(n, zero)",
         "MatMul LayerNormalization Gather"},
        {17, "normalized over the axis", X "c = float[6,3] 1 2 3 1 2 3 1 2 3 1 2 3 1 2 3 1 2 3; m = MatMul(x, w); n = LayerNormalization<axis=1>(m, c, c); y = Gather<axis=1>(n, zero)",
         "MatMul LayerNormalization Gather"},
        {13, "rows of a Gemm", "x = float[6,4]; w = float[4,3] 1 2 3 4 5 6 7 8 9 1 2 3; b = float[3] 1 2 3; m = MatMul(x, w); a = Add(m, b); zero = int64[] 0; y = Gather<axis=0>(a, zero)",
         "Gather Gemm Squeeze"},
        {13, "joined tokens", "x = float[N,2,4]; z = float[N,2,4]; w = float[8,2] 1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7; c = Concat<axis=2>(x, z); m = MatMul(c, w); zero = int64[] 0; y = Gather<axis=1>(m, zero)",
         "Gather Gather Concat MatMul Squeeze"},
    };
    test_texts(cases, COUNT_OF(cases));
#undef X
#undef ATTENTION
}

TEST(expand_is_not_written_out)
{
#define X "x = float[N,3,4]; "
#define COUNT "s = Shape(x); z = int64[] 0; i = int64[] 1; j = int64[1] 1; n = Gather(s, i); r = Range(z, n, i); u = Unsqueeze(r, j); "
    static const TextCase cases[] = {
        {13, "behind the reader", X "c = float[4] 1 2 3 4; s = Shape(x); e = Expand(c, s); y = Mul(x, e)", "Mul"},
        {13, "through elementwise ops", X "c = float[N,1,1]; t = int64[3] 1 3 1; e = Expand(c, t); a = Exp(e); y = Add(x, a)", "Exp Add"},
        {13, "a graph output stays whole", X "t = int64[3] 1 3 4; c = float[N,1,1]; e = Expand(c, t); y = Neg(e)", "Expand Neg"},
        {13, "a reader that must have all of it", X "c = float[N,1,1]; t = int64[3] 1 3 1; e = Expand(c, t); a = Exp(e); k = int64[1] 1; b = ReduceSum<keepdims=1>(a, k); y = Add(x, b)",
         "Expand Exp ReduceSum Add"},
        {13, "two ways that meet", "c = float[N,1]; t = int64[2] 1 8; e = Expand(c, t); k = float[] 2; a = Add(e, k); b = Cos(a); d = Mul(a, b); l = int64[1] 1; y = ReduceSum<keepdims=1>(d, l)",
         "Expand Add Cos Mul ReduceSum"},
        {13, "a square", "c = float[N,1]; t = int64[2] 1 8; e = Expand(c, t); x = float[N,8]; d = Mul(e, e); y = Add(d, x)", "Mul Add"},
        {13, "the window of a mask", "x = float[N,S,4]; " COUNT "g = GreaterOrEqual(u, z); m = bool[N,1,4]; a = And(m, g); f = float[] 0; k = float[] -9; w = Where(a, f, k); y = Add(x, w)",
         "Where Add"},
        {13, "a window that cuts", "x = float[N,S,4]; " COUNT "g = Greater(u, z); m = bool[N,1,4]; a = And(m, g); f = float[] 0; k = float[] -9; w = Where(a, f, k); y = Add(x, w)",
         "Shape Gather Range Unsqueeze Greater And Where Add"},
        {13, "one type of tokens", X "t = float[1,4] 1 2 3 4; r = int64[N,3]; z = int64[] 0; i = Mul(r, z); y0 = Gather(t, i); y = Add(x, y0)", "Add"},
        {13, "the first type of tokens", X "t = float[2,4] 1 2 3 4 5 6 7 8; s = Shape(x); a = int64[1] 0; b = int64[1] 2; q = Slice(s, a, b); i = ConstantOfShape<value={int64[1] 1}>(q); "
         "e = Gather(t, i); y = Add(x, e)", "Add"},
    };
    test_texts(cases, COUNT_OF(cases));
#undef X
#undef COUNT
}

TEST(gather_of_everything_is_a_reshape)
{
#define COUNT "s = Shape(x); z = int64[] 0; i = int64[] 1; a0 = int64[3] 1 2 3; a3 = int64[3] 0 1 2; b = Gather(s, z); n = Gather(s, i); " \
    "rb = Range(z, b, i); rn = Range(z, n, i); ub = Unsqueeze(rb, a0); un = Unsqueeze(rn, a3); "
    static const TextCase cases[] = {
        {13, "a mask looked up by all pairs", "x = float[B,S]; " COUNT "m = Mul(ub, n); k = Add(m, un); f = Flatten<axis=2>(x); g = Gather(f, k); t = Shape(k); r = Reshape(g, t); y = Relu(r)",
         "Reshape Relu"},
        {13, "by Reshape to rows", "x = float[B,S]; " COUNT "m = Mul(n, ub); k = Add(un, m); l = int64[1] -1; f = Reshape(x, l); g = Gather(f, k); y = Relu(g)", "Unsqueeze Relu"},
        {13, "rows with a third axis", "x = float[B,S,3]; " COUNT "m = Mul(n, ub); k = Add(un, m); f = Flatten<axis=2>(x); g = Gather(f, k); y = Relu(g)", "Unsqueeze Relu"},
        {13, "along the second axis", "x = float[B,S,3]; " COUNT "g = Gather<axis=1>(x, rn); y = Relu(g)", "Relu"},
        {13, "backwards it is another thing", "x = float[B,S]; " COUNT "c = int64[] -1; q = Range(c, b, c); g = Gather<axis=1>(x, q); y = Relu(g)",
         "Shape Gather Range Gather Relu"},
        {13, "columns first", "x = float[B,S]; " COUNT "m = Mul(un, b); k = Add(m, ub); f = Flatten<axis=2>(x); g = Gather(f, k); y = Relu(g)",
         "Shape Gather Gather Range Range Unsqueeze Unsqueeze Mul Add Flatten Gather Relu"},
    };
    test_texts(cases, COUNT_OF(cases));
#undef COUNT
}
