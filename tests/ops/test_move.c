/* Ops that move, select and count elements. */
#include "tests/ops/mini.h"
#include "tests/test.h"

static const MiniCase shapes[] = {
    {13, "x = float[2,3] 1 2 3 4 5 6; s = int64[2] 3 -1; y = Reshape(x, s)", "float[3,2] 1 2 3 4 5 6"},
    {13, "x = float[2,3] 1 2 3 4 5 6; s = int64[3] 0 1 -1; y = Reshape(x, s)", "float[2,1,3] 1 2 3 4 5 6"},
    {14, "x = float[0,3]; s = int64[2] 3 0; y = Reshape<allowzero=1>(x, s)", "float[3,0]"},
    {13, "x = float[2,3] 1 2 3 4 5 6; s = int64[2] 4 -1; y = Reshape(x, s)", "! do not divide"},
    {13, "x = float[2] 1 2; s = int64[1] 3; y = Reshape(x, s)", "! cannot become 3"},
    {13, "x = float[2] 1 2; s = int64[3] 1 2 0; y = Reshape(x, s)", "! copies dim 2"},
    {13, "x = float[2,1,2] 1 2 3 4; y = Flatten<axis=-1>(x)", "float[2,2] 1 2 3 4"},
    {13, "x = float[2,2] 1 2 3 4; y = Flatten<axis=0>(x)", "float[1,4] 1 2 3 4"},
    {11, "x = float[1,2,1] 1 2; y = Squeeze<axes=[-1]>(x)", "float[1,2] 1 2"},
    {13, "x = float[1,2,1] 1 2; y = Squeeze(x)", "float[2] 1 2"},
    {13, "x = float[1,2,1] 1 2; a = int64[1] 1; y = Squeeze(x, a)", "! only 1 can be squeezed"},
    {13, "x = float[2] 1 2; a = int64[2] 0 -1; y = Unsqueeze(x, a)", "float[1,2,1] 1 2"},
    {11, "x = float[2] 1 2; y = Unsqueeze<axes=[0,0]>(x)", "! given twice"},
    {13, "x = float[2,0,3]; y = Shape(x)", "int64[3] 2 0 3"},
    {15, "x = float[2,0,3]; y = Shape<start=-2 end=9>(x)", "int64[2] 0 3"},
    {13, "x = float[2,3] 1 2 3 4 5 6; y = Size(x)", "int64[] 6"},
    {13, "x = float[2] 1 2; y, m = Dropout(x)", "m|bool[2] 1 1"},
    {13, "s = int64[2] 2 2; y = ConstantOfShape<value={int32[1] 7}>(s)", "int32[2,2] 7 7 7 7"},
    {13, "s = int64[0]; y = ConstantOfShape(s)", "float[] 0"},
    {13, "s = int64[2] 2 -1; y = ConstantOfShape(s)", "! holds the size -1"},
    {13, "y = Constant<value_ints=[1,2]>()", "int64[2] 1 2"},
    {13, "a = int64[] 5; b = int64[] 0; c = int64[] -2; y = Range(a, b, c)", "int64[3] 5 3 1"},
    {13, "a = float[] 0; b = float[] 1; c = float[] 0.3; y = Range(a, b, c)", "float[4] 0 0.3 0.6 0.9"},
    {13, "a = int64[] 0; y = Range(a, a, a)", "! delta is 0"},
    {13, "x = float[2,1] 1 2; s = int64[3] 2 1 2; y = Expand(x, s)", "float[2,2,2] 1 1 2 2 1 1 2 2"},
    {13, "x = float[3] 1 2 3; s = int64[1] 2; y = Expand(x, s)", "! does not expand"},
    {13, "x = float[2,3] 0 0 0 0 0 0; y = EyeLike<k=1 dtype=7>(x)", "int64[2,3] 0 1 0 0 0 1"},
    {13, "x = float[6] 1.9 -1.9 300 -1 nan 1e30; y = Cast<to=2>(x)", "uint8[6] 1 255 44 255 0 255"},
    {13, "x = float[3] 0.5 0 nan; y = Cast<to=9>(x)", "bool[3] 1 0 1"},
    {13, "x = int64[2] 300 -1; y = Cast<to=3>(x)", "int8[2] 44 -1"},
    {13, "x = float[2] 1.5 -2; y = Cast<to=10>(x)", "float16[2] 1.5 -2"},
    {13, "x = float[1] 1.5; y = Cast<to=99>(x)", "! no type 99"},
};

static const MiniCase blocks[] = {
    {13, "x = float[2,3] 1 2 3 4 5 6; y = Transpose(x)", "float[3,2] 1 4 2 5 3 6"},
    {13, "x = int16[1,2,3] 1 2 3 4 5 6; y = Transpose<perm=[2,0,1]>(x)", "int16[3,1,2] 1 4 2 5 3 6"},
    {13, "x = float[2,3] 1 2 3 4 5 6; y = Transpose<perm=[0,0]>(x)", "! not a permutation"},
    {13, "x = float[1,4,1,1] 1 2 3 4; y = DepthToSpace<blocksize=2>(x)", "float[1,1,2,2] 1 2 3 4"},
    {13, "x = float[1,8,1,1] 1 2 3 4 5 6 7 8; y = DepthToSpace<blocksize=2>(x)", "float[1,2,2,2] 1 3 5 7 2 4 6 8"},
    {13, "x = float[1,8,1,1] 1 2 3 4 5 6 7 8; y = DepthToSpace<blocksize=2 mode='CRD'>(x)",
     "float[1,2,2,2] 1 2 3 4 5 6 7 8"},
    {13, "x = float[1,1,2,2] 1 2 3 4; y = SpaceToDepth<blocksize=2>(x)", "float[1,4,1,1] 1 2 3 4"},
    {13, "x = float[1,3,1,1] 1 2 3; y = DepthToSpace<blocksize=2>(x)", "! does not divide by 4"},
    {13, "a = float[2,1] 1 2; b = float[2,2] 3 4 5 6; y = Concat<axis=-1>(a, b)", "float[2,3] 1 3 4 2 5 6"},
    {13, "a = float[2,0]; b = float[2,1] 1 2; y = Concat<axis=1>(a, b)", "float[2,1] 1 2"},
    {13, "a = float[2] 1 2; b = float[1,2] 3 4; y = Concat<axis=0>(a, b)", "! rank"},
    {13, "x = float[2,3] 1 2 3 4 5 6; s = int64[2] 2 1; y, z = Split<axis=1>(x, s)", "z|float[2,1] 3 6"},
    {11, "x = float[4] 1 2 3 4; y, z = Split(x)", "z|float[2] 3 4"},
    {18, "x = float[5] 1 2 3 4 5; y, z = Split<num_outputs=2>(x)", "z|float[2] 4 5"},
    {13, "x = float[5] 1 2 3 4 5; y, z = Split(x)", "! does not split"},
    {13, "x = float[2,2] 1 2 3 4; r = int64[2] 1 2; y = Tile(x, r)", "float[2,4] 1 2 1 2 3 4 3 4"},
    {13, "x = float[2] 1 2; r = int64[1] 0; y = Tile(x, r)", "float[0]"},
    {13, "x = float[5] 1 2 3 4 5; a = int64[1] 1; b = int64[1] -1; y = Slice(x, a, b)", "float[3] 2 3 4"},
    {13, "x = float[5] 1 2 3 4 5; a = int64[1] -1; b = int64[1] -1e19; c = int64[1] 0; d = int64[1] -2;"
         "y = Slice(x, a, b, c, d)", "float[3] 5 3 1"},
    {9, "x = float[2,3] 1 2 3 4 5 6; y = Slice<axes=[1] starts=[1] ends=[99]>(x)", "float[2,2] 2 3 5 6"},
    {13, "x = float[2] 1 2; a = int64[1] 2; b = int64[1] 5; y = Slice(x, a, b)", "float[0]"},
    {13, "x = float[2] 1 2; a = int64[1] 0; d = int64[1] 0; y = Slice(x, a, a, a, d)", "! step is 0"},
    {13, "x = float[3] 1 2 3; p = int64[2] 1 2; y = Pad(x, p)", "float[6] 0 1 2 3 0 0"},
    {13, "x = float[3] 1 2 3; p = int64[2] 2 2; y = Pad<mode='reflect'>(x, p)", "float[7] 3 2 1 2 3 2 1"},
    {13, "x = float[2,2] 1 2 3 4; p = int64[4] 1 0 0 1; y = Pad<mode='edge'>(x, p)", "float[3,3] 1 2 2 1 2 2 3 4 4"},
    {19, "x = float[3] 1 2 3; p = int64[2] 1 1; y = Pad<mode='wrap'>(x, p)", "float[5] 3 1 2 3 1"},
    {13, "x = float[3] 1 2 3; p = int64[2] -1 1; v = float[] 9; y = Pad(x, p, v)", "float[3] 2 3 9"},
    {10, "x = float[1] 1; y = Pad<pads=[0,1] value=5.0>(x)", "float[2] 1 5"},
    {18, "x = float[1,2] 1 2; p = int64[2] 1 0; a = int64[1] 1; y = Pad(x, p, , a)", "float[1,3] 0 1 2"},
    {13, "x = float[3] 1 2 3; p = int64[2] -4 0; y = Pad(x, p)", "! cannot be padded"},
};

static const MiniCase indexed[] = {
    {13, "x = float[3,2] 1 2 3 4 5 6; i = int64[2] -1 0; y = Gather(x, i)", "float[2,2] 5 6 1 2"},
    {13, "x = float[2,3] 1 2 3 4 5 6; i = int64[1,2] 0 2; y = Gather<axis=1>(x, i)", "float[2,1,2] 1 3 4 6"},
    {13, "x = float[3] 1 2 3; i = int64[] 3; y = Gather(x, i)", "! out of bounds"},
    {13, "x = float[2,2] 1 2 3 4; i = int64[2,2] 0 0 1 0; y = GatherElements<axis=1>(x, i)", "float[2,2] 1 1 4 3"},
    {13, "x = float[2,2] 1 2 3 4; i = int64[2,2] 0 0 1 1; y = GatherND(x, i)", "float[2] 1 4"},
    {13, "x = float[2,2] 1 2 3 4; i = int64[2,1] 1 0; y = GatherND<batch_dims=1>(x, i)", "float[2] 2 3"},
    {13, "x = float[2,2] 1 2 3 4; i = int64[1,2] 0 2; y = GatherND(x, i)", "! out of bounds"},
    {16, "x = float[3] 1 2 3; i = int64[2] 1 1; u = float[2] 5 6; y = ScatterElements<reduction='add'>(x, i, u)",
     "float[3] 1 13 3"},
    {13, "x = float[3] 1 2 3; i = int64[1] -1; u = float[1] 9; y = ScatterElements(x, i, u)", "float[3] 1 2 9"},
    {13, "x = float[2,2] 1 2 3 4; i = int64[1,1] 1; u = float[1,2] 8 9; y = ScatterND(x, i, u)", "float[2,2] 1 2 8 9"},
    {18, "x = int32[2] 4 5; i = int64[2,1] 0 0; u = int32[2] 7 2; y = ScatterND<reduction='max'>(x, i, u)", "int32[2] 7 5"},
    {13, "x = float[2] 1 2; i = int64[1,1] 5; u = float[1] 8; y = ScatterND(x, i, u)", "! out of bounds"},
    {13, "x = float[2,3] 1 0 0 0 2 3; y = NonZero(x)", "int64[2,3] 0 1 1 0 1 2"},
    {13, "x = float[4] 1 2 3 4; c = bool[3] 1 0 1; y = Compress(x, c)", "float[2] 1 3"},
    {13, "x = float[2,2] 1 2 3 4; c = bool[2] 0 1; y = Compress<axis=1>(x, c)", "float[2,1] 2 4"},
    {13, "i = int64[3] 0 -1 7; d = int64[] 3; v = float[2] 0 1; y = OneHot(i, d, v)", "float[3,3] 1 0 0 0 0 1 0 0 0"},
    {14, "x = float[2,3] 1 2 3 4 5 6; y = Trilu(x)", "float[2,3] 1 2 3 0 5 6"},
    {14, "x = float[2,3] 1 2 3 4 5 6; k = int64[] 1; y = Trilu<upper=0>(x, k)", "float[2,3] 1 2 0 4 5 6"},
};

static const MiniCase ordered[] = {
    {11, "x = float[4] 3 1 3 2; k = int64[1] 3; y, i = TopK(x, k)", "i|int64[3] 0 2 3"},
    {11, "x = int64[2,2] 1 2 4 3; k = int64[1] 1; y, i = TopK<axis=0 largest=0>(x, k)", "int64[1,2] 1 2"},
    {9, "x = float[3] 1 2 3; y, i = TopK<k=2>(x)", "float[2] 3 2"},
    {11, "x = float[2] 1 2; k = int64[1] 3; y, i = TopK(x, k)", "! k is 3"},
    {13, "x = float[2,3] 1 3 3 5 4 5; y = ArgMax<axis=1 keepdims=0>(x)", "int64[2] 1 0"},
    {13, "x = float[2,3] 1 3 3 5 4 5; y = ArgMax<axis=1 select_last_index=1>(x)", "int64[2,1] 2 2"},
    {13, "x = uint8[3] 9 4 7; y = ArgMin(x)", "int64[1] 1"},
    {13, "x = float[2,2] 1 2 4 4; y = Hardmax(x)", "float[2,2] 0 1 1 0"},
    {11, "x = float[2,2] 1 2 4 3; y = Hardmax<axis=0>(x)", "float[2,2] 0 0 1 0"},
    {14, "x = float[3] 1 2 3; a = int64[] 0; y = CumSum(x, a)", "float[3] 1 3 6"},
    {14, "x = int32[3] 1 2 3; a = int64[] -1; y = CumSum<exclusive=1 reverse=1>(x, a)", "int32[3] 5 3 0"},
    {10, "x = float[3,2] 1 2 3 4 5 6; l = int64[2] 2 3; y = ReverseSequence(x, l)", "float[3,2] 3 6 1 4 5 2"},
    {11, "x = float[5] 2 1 1 3 2; y, i, j, c = Unique(x)", "j|int64[5] 1 0 0 2 1"},
    {11, "x = float[5] 2 1 1 3 2; y, i, j, c = Unique<sorted=0>(x)", "c|int64[3] 2 2 1"},
    {11, "x = float[3,2] 1 2 0 1 1 2; y = Unique<axis=0>(x)", "float[2,2] 0 1 1 2"},
};

TEST(move_shapes)
{
    mini_check_values(__FILE__, shapes, COUNT_OF(shapes));
}

TEST(move_blocks)
{
    mini_check_values(__FILE__, blocks, COUNT_OF(blocks));
}

TEST(move_indexed)
{
    mini_check_values(__FILE__, indexed, COUNT_OF(indexed));
}

TEST(move_ordered)
{
    mini_check_values(__FILE__, ordered, COUNT_OF(ordered));
}

/* Large enough for tiles and chunks: every element of a transpose lands where it should. */
TEST(move_transposes_a_large_block)
{
    enum { ROWS = 67, COLUMNS = 45 };
    Model *model = mini_model(13, "x = float[67,45]; y = Transpose(x)");
    const int64_t dims[2] = {ROWS, COLUMNS};
    Tensor x, y = {0};
    const Tensor *in = &x;
    int wrong = 0;

    CHECK_OK(tensor_alloc(&x, DT_FLOAT, 2, dims));
    for (int i = 0; i < ROWS * COLUMNS; i++)
        ((float *)x.data)[i] = (float)i;
    CHECK_OK(op_eval_alone(model->graph->first, &in, 1, &y, 1, true));
    CHECK_INT(y.dims[0], COLUMNS);
    for (int r = 0; r < ROWS && y.count == ROWS * COLUMNS; r++)
        for (int c = 0; c < COLUMNS; c++)
            wrong += ((const float *)y.data)[c * ROWS + r] != (float)(r * COLUMNS + c);
    CHECK_INT(wrong, 0);
    tensor_release(&x);
    tensor_release(&y);
    model_free(model);
}
