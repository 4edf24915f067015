/* Reductions, Resize and Upsample, Einsum. Resize: values of the specification's formulas on small rows. */
#include "tests/ops/mini.h"
#include "tests/test.h"

static const MiniCase reductions[] = {
    {13, "x = float[2,3] 1 2 3 4 5 6; a = int64[1] 1; y = ReduceSum<keepdims=0>(x, a)", "float[2] 6 15"},
    {11, "x = float[2,3] 1 2 3 4 5 6; y = ReduceSum<axes=[0]>(x)", "float[1,3] 5 7 9"},
    {13, "x = float[2,2] 1 2 3 4; y = ReduceSum<keepdims=0>(x)", "float[] 10"},
    {13, "x = float[2,2] 1 2 3 4; a = int64[0]; y = ReduceSum<noop_with_empty_axes=1>(x, a)", "float[2,2] 1 2 3 4"},
    {13, "x = float[2,2,2] 1 2 3 4 5 6 7 8; y = ReduceMean<axes=[0,2] keepdims=0>(x)", "float[2] 3.5 5.5"},
    {18, "x = float[1,9] 1 2 3 4 5 6 7 8 9; a = int64[1] -1; y = ReduceMean(x, a)", "float[1,1] 5"},
    {13, "x = int8[3] -5 3 1; y = ReduceMax(x)", "int8[1] 3"},
    {13, "x = float[3] -5 nan 1; y = ReduceMin(x)", "float[1] nan"},
    {13, "x = int32[0,2]; y = ReduceMin<axes=[0]>(x)", "int32[1,2] 2147483647 2147483647"},
    {13, "x = float[0]; y = ReduceMax(x)", "float[1] -inf"},
    {13, "x = int64[3] 2 3 4; y = ReduceProd(x)", "int64[1] 24"},
    {13, "x = float[2] -3 4; y = ReduceL1(x)", "float[1] 7"},
    {13, "x = float[5] -3 4 0 0 0; y = ReduceL2(x)", "float[1] 5"},
    {13, "x = float[5] 1 2 3 4 5; y = ReduceSumSquare(x)", "float[1] 55"},
    {13, "x = float[2] 1 1.7182818; y = ReduceLogSum(x)", "float[1] 1"},
    {13, "x = float[2] 1000 1000; y = ReduceLogSumExp(x)", "float[1] 1000.6931472"},
    {13, "x = float[2] 1 2; y = ReduceMax<axes=[1]>(x)", "! axis 1 is out of range"},
    {13, "x = bfloat16[3] 1 2 3; y = ReduceMean(x)", "bfloat16[1] 2"},
};

static const MiniCase resizes[] = {
    {13, "x = float[1,1,1,2] 1 2; s = float[4] 1 1 1 2; y = Resize(x, , s)", "float[1,1,1,4] 1 1 2 2"},
    {13, "x = float[2] 1 2; n = int64[1] 4; y = Resize<mode='linear'>(x, , , n)", "float[4] 1 1.25 1.75 2"},
    {13, "x = float[2] 1 3; n = int64[1] 3; y = Resize<mode='linear' coordinate_transformation_mode='align_corners'>"
         "(x, , , n)", "float[3] 1 2 3"},
    {13, "x = float[2] 1 3; n = int64[1] 4; y = Resize<mode='linear' coordinate_transformation_mode='asymmetric'>"
         "(x, , , n)", "float[4] 1 2 3 3"},
    {13, "x = float[4] 1 2 3 4; n = int64[1] 1; y = Resize<mode='linear' coordinate_transformation_mode="
         "'pytorch_half_pixel'>(x, , , n)", "float[1] 1"},
    {13, "x = float[4] 1 2 3 4; n = int64[1] 8; y = Resize<mode='cubic'>(x, , , n)",
     "float[8] 0.89453125 1.19140625 1.66796875 2.296875 2.703125 3.33203125 3.80859375 4.10546875"},
    {13, "x = float[4] 1 2 3 4; n = int64[1] 2; y = Resize<coordinate_transformation_mode='asymmetric' "
         "nearest_mode='ceil'>(x, , , n)", "float[2] 1 3"},
    {10, "x = float[1,4] 1 2 3 4; s = float[2] 1 0.6; y = Resize(x, s)", "float[1,2] 1 3"},
    {7, "x = float[1,1,1,2] 1 2; y = Upsample<scales=[1.0,1.0,2.0,2.0]>(x)", "float[1,1,2,4] 1 1 2 2 1 1 2 2"},
    {9, "x = float[2] 1 3; s = float[1] 2; y = Upsample<mode='linear'>(x, s)", "float[4] 1 2 3 3"},
    {18, "x = float[4] 1 2 3 4; n = int64[1] 2; y = Resize<mode='linear' antialias=1>(x, , , n)", "float[2] 1.625 3.375"},
    {18, "x = float[1,4,2] 1 2 3 4 5 6 7 8; n = int64[2] 2 2; y = Resize<axes=[1,2] keep_aspect_ratio_policy='not_larger'>"
         "(x, , , n)", "float[1,2,1] 1 5"},
    {13, "x = float[3] 1 2 3; r = float[2] 0.5 1.5; n = int64[1] 3; y = Resize<mode='linear' extrapolation_value=9.0 "
         "coordinate_transformation_mode='tf_crop_and_resize'>(x, r, , n)", "float[3] 2 3 9"},
    {13, "x = uint8[2] 10 21; n = int64[1] 4; y = Resize<mode='linear'>(x, , , n)", "uint8[4] 10 12 18 21"},
    {13, "x = float[2] 1 2; s = float[1] -1; y = Resize(x, , s)", "! scale -1 cannot be applied"},
    {13, "x = float[2] 1 2; s = float[2] 1 1; y = Resize(x, , s)", "! 2 scales for 1 axes"},
    {13, "x = float[2] 1 2; s = float[1] 2; y = Resize<mode='best'>(x, , s)", "! mode 'best' is not supported"},
};

static const MiniCase einsums[] = {
    {12, "a = float[2,2] 1 2 3 4; b = float[2,2] 5 6 7 8; y = Einsum<equation='ij,jk->ik'>(a, b)", "float[2,2] 19 22 43 50"},
    {12, "a = float[2,2] 1 2 3 4; y = Einsum<equation='ii'>(a)", "float[] 5"},
    {12, "a = float[2,2] 1 2 3 4; y = Einsum<equation='ji'>(a)", "float[2,2] 1 3 2 4"},
    {12, "a = float[2,1,2] 1 2 3 4; b = float[2,1] 1 10; y = Einsum<equation='...ij, jk -> ...ik'>(a, b)",
     "float[2,1,1] 21 43"},
    {12, "a = float[2] 1 2; y = Einsum<equation='ij'>(a)", "! does not fit"},
    {12, "a = float[2] 1 2; y = Einsum<equation='i->k'>(a)", "! no operand has"},
};

TEST(reduce_values)
{
    mini_check_values(__FILE__, reductions, COUNT_OF(reductions));
}

TEST(resize_values)
{
    mini_check_values(__FILE__, resizes, COUNT_OF(resizes));
}

TEST(einsum_values)
{
    mini_check_values(__FILE__, einsums, COUNT_OF(einsums));
}
