/* test_bad_inputs.c - wrong ranks, dtypes, axes, indices and sizes, an op a line: each is an error that names the node. */
#include "tests/ops/mini.h"
#include "tests/test.h"

#define FAILS "! node with output 'y'"

TEST(ops_refuse_what_does_not_fit_and_name_the_node)
{
    static const MiniCase cases[] = {
        {13, "x = float[2,3] 1 2 3 4 5 6; y = Transpose<perm=[0]>(x)", FAILS},
        {13, "x = float[2,3] 1 2 3 4 5 6; y = Transpose<perm=[0,0]>(x)", FAILS},
        {13, "x = float[2,3] 1 2 3 4 5 6; y = Softmax<axis=2>(x)", FAILS},
        {13, "x = float[2,3] 1 2 3 4 5 6; y = Flatten<axis=-3>(x)", FAILS},
        {13, "x = float[2,3] 1 2 3 4 5 6; s = int64[2] 4 2; y = Reshape(x, s)", FAILS},
        {13, "x = float[2,3] 1 2 3 4 5 6; s = int64[2] -1 -1; y = Reshape(x, s)", FAILS},
        {13, "x = float[2,3] 1 2 3 4 5 6; a = int64[1] 0; y = Squeeze(x, a)", FAILS},
        {13, "x = float[2] 1 2; a = int64[2] 0 0; y = Unsqueeze(x, a)", FAILS},
        {13, "x = float[2] 1 2; i = int64[1] 2; y = Gather(x, i)", FAILS},
        {13, "x = float[2] 1 2; i = float[1] 0; y = Gather(x, i)", FAILS},
        {13, "x = float[2] 1 2; i = int64[1] 0; y = Gather<axis=1>(x, i)", FAILS},
        {13, "x = float[2,2] 1 2 3 4; i = int64[1,3] 0 0 0; y = GatherND(x, i)", FAILS},
        {13, "x = float[2,2] 1 2 3 4; i = int64[1,2] 0 5; y = GatherElements<axis=1>(x, i)", FAILS},
        {18, "x = float[2] 1 2; i = int64[1] 7; u = float[1] 0; y = ScatterElements(x, i, u)", FAILS},
        {18, "x = float[2] 1 2; i = int64[1,1] 7; u = float[1] 0; y = ScatterND(x, i, u)", FAILS},
        {13, "x = float[2] 1 2; z = float[3] 1 2 3; y = Add(x, z)", FAILS},
        {13, "x = float[2] 1 2; z = int32[2] 1 2; y = Add(x, z)", FAILS},
        {13, "x = float[2] 1 2; z = float[1,2] 1 2; y = Concat<axis=0>(x, z)", FAILS},
        {13, "x = float[2,1] 1 2; z = float[1,2] 1 2; y = Concat<axis=0>(x, z)", FAILS},
        {13, "x = float[2,3] 1 2 3 4 5 6; z = float[2,2] 1 2 3 4; y = MatMul(x, z)", FAILS},
        {13, "x = float[2,3] 1 2 3 4 5 6; z = float[2,2] 1 2 3 4; y = Gemm(x, z)", FAILS},
        {13, "x = float[1,1,2,2] 1 2 3 4; w = float[1,2,1,1] 1 1; y = Conv(x, w)", FAILS},
        {13, "x = float[1,1,2,2] 1 2 3 4; w = float[1,1,3,3] 1 1 1 1 1 1 1 1 1; y = Conv(x, w)", FAILS},
        {13, "x = float[2,2] 1 2 3 4; y = MaxPool<kernel_shape=[2,2]>(x)", FAILS},
        {13, "x = float[1,1,2,2] 1 2 3 4; y = MaxPool<kernel_shape=[2,2] strides=[0,1]>(x)", FAILS},
        {13, "x = float[4] 1 2 3 4; s = int64[2] 1 2; y = Split(x, s)", FAILS},
        {13, "x = float[2] 1 2; s = int64[1] -3; y = Expand(x, s)", FAILS},
        {13, "x = float[2] 1 2; s = int64[1] -3; y = Tile(x, s)", FAILS},
        {13, "x = float[2] 1 2; p = int64[3] 1 1 1; y = Pad(x, p)", FAILS},
        {13, "s = int64[1] -2; y = ConstantOfShape(s)", FAILS},
        {11, "a = int64[] 0; b = int64[] 5; d = int64[] 0; y = Range(a, b, d)", FAILS},
        {13, "x = float[4] 1 2 3 4; k = int64[1] 9; y, i = TopK(x, k)", FAILS},
        {13, "x = float[2,3] 1 2 3 4 5 6; a = int64[1] 2; y = ReduceSum(x, a)", FAILS},
        {13, "x = float[2] 1 2; c = float[2] 1 0; y = Where(c, x, x)", FAILS},
        {13, "x = float[1,3,2,2] 1 2 3 4 5 6 7 8 9 10 11 12; y = DepthToSpace<blocksize=2>(x)", FAILS},
        {13, "x = float[2] 1 2; y = Cast<to=99>(x)", FAILS},
        {13, "x = float[2] 1 2; s = float[] 0; z = uint8[] 0; y = QuantizeLinear(x, s, z)", FAILS},
        {13, "x = float[2,2] 1 2 3 4; y = Einsum<equation='ijk->i'>(x)", FAILS},
        {14, "x = float[3] 1 2 3; y = Trilu(x)", FAILS},
        {11, "x = float[3] 1 2 3; a = int64[] 4; y = CumSum(x, a)", FAILS},
    };

    mini_check_values(__FILE__, cases, COUNT_OF(cases));
}
