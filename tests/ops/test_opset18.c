/* test_opset18.c - operators and types that came with opset 18 to 25: Col2Im, CenterCropPad, DeformConv, casts to small
 * types, quantization to them, RegexFullMatch.
 */
#include "tests/test.h"

#include <math.h>

#include "tests/ops/mini.h"
#include "tests/ops/one_node.h"

TEST(columns_crops_and_moved_windows)
{
    static const MiniCase cases[] = {
        /* blocks of 2 along 3 places overlap in the middle */
        {18, "x = float[1,2,2] 1 2 10 20; s = int64[1] 3; b = int64[1] 2; y = Col2Im(x, s, b)", "float[1,1,3] 1 12 20"},
        {18, "x = float[1,2,2] 1 2 10 20; s = int64[1] 3; b = int64[1] 2; y = Col2Im<pads=[1,0] strides=[2]>(x, s, b)",
         "float[1,1,3] 10 2 20"},
        {18, "x = float[1,2,2] 1 2 10 20; s = int64[1] 9; b = int64[1] 2; y = Col2Im(x, s, b)", "! expected 8 columns"},
        {18, "x = float[1,2,2] 1 2 10 20; s = int64[1] 1; b = int64[1] 2; y = Col2Im(x, s, b)", "! does not fit an image"},
        {18, "x = int8[5] 1 2 3 4 5; s = int64[1] 2; y = CenterCropPad(x, s)", "int8[2] 2 3"},
        {18, "x = int8[2] 1 2; s = int64[1] 5; y = CenterCropPad(x, s)", "int8[5] 0 1 2 0 0"},
        {18, "x = int8[1,3] 1 2 3; s = int64[1] 1; y = CenterCropPad<axes=[-1]>(x, s)", "int8[1,1] 2"},
        {18, "x = int8[1,3] 1 2 3; s = int64[1] 1; y = CenterCropPad(x, s)", "! 1 sizes for 2 axes"},
        {18, "x = int8[3] 1 2 3; s = int64[1] -1; y = CenterCropPad(x, s)", "! "},
        /* one tap, moved down by half a row and right by a whole column */
        {19, "x = float[1,1,2,2] 1 2 3 4; w = float[1,1,1,1] 10; o = float[1,2,1,1] 0.5 1; b = float[1] 1; "
             "m = float[1,1,1,1] 0.5; y = DeformConv<strides=[2,2]>(x, w, o, b, m)", "float[1,1,1,1] 16"},
        {19, "x = float[1,1,2,2] 1 2 3 4; w = float[1,1,1,1] 10; o = float[1,2,1,1] 9 0; "
             "y = DeformConv<strides=[2,2]>(x, w, o)", "float[1,1,1,1] 0"},
        {19, "x = float[1,1,2,2] 1 2 3 4; w = float[1,1,1,1] 10; o = float[1,1,1,1] 9; "
             "y = DeformConv<strides=[2,2]>(x, w, o)", "! input 2 is 1x1x1x1, expected 1x2x1x1"},
    };

    mini_check_values(__FILE__, cases, COUNT_OF(cases));
}

TEST(casts_to_small_types)
{
    static const MiniCase cases[] = {
        {21, "x = int32[4] -9 7 8 -1; h = Cast<to=22>(x); y = Cast<to=6>(h)", "int32[4] 7 7 -8 -1"},
        {21, "x = int32[3] -9 15 17; h = Cast<to=21>(x); y = Cast<to=6>(h)", "int32[3] 7 15 1"},
        {21, "x = float[4] 1.5 2.5 -1.5 9; h = Cast<to=22>(x); y = Cast<to=1>(h)", "float[4] 2 2 -2 -7"},
        {25, "x = float[3] 1 2 -3; h = Cast<to=26>(x); y = Cast<to=1>(h)", "float[3] 1 -2 1"},
        {19, "x = float[5] 448 464 465 -1e6 0.001; h = Cast<to=17>(x); y = Cast<to=1>(h)",
         "float[5] 448 448 448 -448 0.001953125"},
        {19, "x = float[3] 464 465 -1e6; h = Cast<to=17 saturate=0>(x); y = Cast<to=1>(h)", "float[3] 448 nan nan"},
        {19, "x = float[3] 61439 61440 -1e6; h = Cast<to=19 saturate=0>(x); y = Cast<to=1>(h)", "float[3] 57344 inf -inf"},
        {19, "x = float[2] 247 248; h = Cast<to=18 saturate=0>(x); y = Cast<to=1>(h)", "float[2] 240 nan"},
        {23, "x = float[6] 0.25 0.75 5 5.1 -99 nan; h = Cast<to=23>(x); y = Cast<to=1>(h)", "float[6] 0 1 4 6 -6 -0"},
        {24, "x = float[3] 1 1.1 3; h = Cast<to=24>(x); y = Cast<to=1>(h)", "float[3] 1 2 4"},
        {24, "x = float[3] 1.9 2.9 3; h = Cast<to=24 round_mode='down'>(x); y = Cast<to=1>(h)", "float[3] 1 2 2"},
        {24, "x = float[3] 1.4 1.5 3.1; h = Cast<to=24 round_mode='nearest'>(x); y = Cast<to=1>(h)", "float[3] 1 2 4"},
        {21, "x = int4[1,3,1] 1 -2 3; y = Transpose<perm=[1,0,2]>(x)", "int4[3,1,1] 1 -2 3"},
        {21, "x = int4[2,3] 1 -2 3 -4 5 -6; h = Transpose(x); y = Cast<to=6>(h)", "int32[3,2] 1 -4 -2 5 3 -6"},
        {24, "x = float[1] 1; y = Cast<to=24 round_mode='odd'>(x)", "! expected up, down or nearest"},
    };

    mini_check_values(__FILE__, cases, COUNT_OF(cases));
}

TEST(cumulated_products_and_bit_casts)
{
    static const MiniCase cases[] = {
        {26, "x = float[4] 1 2 3 4; a = int64[] 0; y = CumProd(x, a)", "float[4] 1 2 6 24"},
        {26, "x = int32[4] 1 2 3 4; a = int64[] 0; y = CumProd<exclusive=1>(x, a)", "int32[4] 1 1 2 6"},
        {26, "x = double[1,3] 2 3 4; a = int64[] -1; y = CumProd<exclusive=1 reverse=1>(x, a)", "double[1,3] 12 4 1"},
        {26, "x = float[2] 1 -2; y = BitCast<to=6>(x)", "int32[2] 1065353216 -1073741824"},
        {26, "x = int8[2] -1 5; y = BitCast<to=2>(x)", "uint8[2] 255 5"},
        {26, "x = int8[2] -1 5; y = BitCast<to=1>(x)", "! elements of 8 and 32 bits"},
    };

    mini_check_values(__FILE__, cases, COUNT_OF(cases));
}

TEST(quantizes_to_small_floats_and_words)
{
    static const MiniCase cases[] = {
        {19, "x = float[3] 1 2.2 9999; s = float[] 2; z = float8e4m3fn[] 0; q = QuantizeLinear(x, s, z); "
             "y = DequantizeLinear(q, s, z)", "float[3] 1 2.25 896"},
        {19, "x = float[1] 9999; s = float[] 2; z = float8e4m3fn[] 0; q = QuantizeLinear<saturate=0>(x, s, z); "
             "y = DequantizeLinear(q, s)", "float[1] nan"},
        {19, "x = float[1] 1; s = float[] 2; z = float8e4m3fn[] 1; y = QuantizeLinear(x, s, z)",
         "! the zero point of float8e4m3fn must be 0"},
        {23, "x = float[3] 1 2.2 99; s = float[] 2; q = QuantizeLinear<output_dtype=23>(x, s); "
             "y = DequantizeLinear(q, s)", "float[3] 1 2 12"},
        {21, "x = float[2] 1 -1e9; s = float[] 0.5; z = int16[] 10; q = QuantizeLinear(x, s, z); y = Cast<to=6>(q)",
         "int32[2] 12 -32768"},
        {21, "x = float[1,3] 1 2 8; s = float[1,2] 1 4; q = QuantizeLinear<block_size=2 axis=1 output_dtype=22>(x, s); "
             "y = DequantizeLinear<block_size=2 axis=1>(q, s)", "float[1,3] 1 2 8"},
        /* 2.501 is 2.5 in eight bits of mantissa, and goes to the even 2 */
        {23, "x = float[1] 2.501; s = float[] 1; z = uint8[] 0; q = QuantizeLinear(x, s, z); y = Cast<to=6>(q)", "int32[1] 3"},
        {23, "x = float[1] 2.501; s = float[] 1; z = uint8[] 0; q = QuantizeLinear<precision=16>(x, s, z); y = Cast<to=6>(q)",
         "int32[1] 2"},
        {23, "x = float[1] 2.5001; s = float[] 1; z = uint8[] 0; q = QuantizeLinear<precision=10>(x, s, z); y = Cast<to=6>(q)",
         "int32[1] 2"},
        {23, "x = float[1] 2.501; s = float[] 1; z = int8[] 7; q = QuantizeLinear<precision=11>(x, s, z); y = Cast<to=6>(q)",
         "int32[1] 10"},
        {23, "x = float[1] 1; s = float[] 1; z = uint8[] 0; y = QuantizeLinear<precision=7>(x, s, z)", "! precision 7"},
    };

    mini_check_values(__FILE__, cases, COUNT_OF(cases));
}

static void check_regex(const char *pattern, const char *text, int expected)
{
    TensorString string = {text, __builtin_strlen(text)};
    OneNode one = one_node("RegexFullMatch", "", 20, (Tensor[]){over(DT_STRING, 0, NULL, &string)}, 1, 1);

    node_set_string(one.node, "pattern", pattern);
    if (expected < 0)
        CHECK_FAILS(one_node_eval(&one), CODE_UNSUPPORTED, "cannot be used");
    else if (CHECK_OK(one_node_run(&one, true)) && *(const uint8_t *)one.out[0].data != expected)
        test_fail(__FILE__, __LINE__, "'%s' against '%s' is not %d", pattern, text, expected);
    one_node_free(&one);
}

TEST(regex_matches_all_of_a_string)
{
    static const struct {
        const char *pattern, *text;
        int expected; /* -1: the pattern is refused */
    } rows[] = {
        {"", "", 1},           {"", "a", 0},          {"abc", "abc", 1},      {"abc", "abcd", 0},    {"bc", "abc", 0},
        {"a*", "", 1},         {"a*", "aaab", 0},     {"(a*)*", "aaa", 1},    {"a+b?", "aa", 1},     {"a+b?", "b", 0},
        {"a|b|cd", "cd", 1},   {"a|b|cd", "bd", 0},   {"(a|b)*c", "abbac", 1}, {"x{2,3}", "x", 0},    {"x{2,3}", "xxx", 1},
        {"x{2}", "xxx", 0},    {"x{2,}", "xxxx", 1},  {"x{0}", "", 1},        {"[^a-c]", "d", 1},    {"[^a-c]", "b", 0},
        {"[]a]", "]", 1},      {"[a-]+", "a-a", 1},   {"[\\w.]+", "a_1.z", 1}, {"\\d\\D", "1x", 1},   {"\\s", "\t", 1},
        {"a.c", "a\nc", 0},    {"a.c", "a\xc3\xa9" "c", 1}, {"\\ba\\b", "a", 1}, {"a\\Bb", "ab", 1},   {"a\\bb", "ab", 0},
        {"^a$", "a", 1},       {"a$b", "ab", 0},      {"(?:ab)+", "abab", 1}, {"[[:upper:]]+", "AZ", 1}, {"\\x41", "A", 1},
        {"\\.", ".", 1},       {"\\.", "a", 0},       {"a{", "a{", 1},        {"a*?", "aa", 1},      {"(", "", -1},
        {")", "", -1},         {"[a", "", -1},        {"*", "", -1},          {"(?=a)", "", -1},     {"\\1", "", -1},
        {"[b-a]", "", -1},     {"a{1001}", "", -1},   {"((a{100}){100}){100}", "", -1},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_regex(rows[i].pattern, rows[i].text, rows[i].expected);
}
