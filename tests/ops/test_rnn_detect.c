/* LSTM, GRU, RNN with one input and one hidden unit (numbers from the formulas, computed apart), NonMaxSuppression and
 * RoiAlign. */
#include "tests/ops/mini.h"
#include "tests/test.h"

#define LSTM_INPUTS                                                                                                    \
    "x = float[2,1,1] 1 2; w = float[1,4,1] 0.5 -0.5 0.25 1; r = float[1,4,1] 0.1 0.2 0.3 0.4;"                        \
    "b = float[1,8] 0.1 0 0 0 0 0 1 0;"
#define GRU_INPUTS                                                                                                     \
    "x = float[2,1,1] 1 2; w = float[1,3,1] 0.5 -0.5 1; r = float[1,3,1] 0.1 0.2 0.3; b = float[1,6] 0.1 0 0 0 0 0.5;"

static const MiniCase recurrent[] = {
    {14, LSTM_INPUTS "y, h, c = LSTM<hidden_size=1>(x, w, r, b)", "float[2,1,1,1] 0.17200258 0.22416608"},
    {14, LSTM_INPUTS "y, h, c = LSTM<hidden_size=1>(x, w, r, b)", "h|float[1,1,1] 0.22416608"},
    {14, LSTM_INPUTS "y, h, c = LSTM<hidden_size=1>(x, w, r, b)", "c|float[1,1,1] 1.1355414"},
    {14, LSTM_INPUTS "y, h, c = LSTM<hidden_size=1 direction='reverse'>(x, w, r, b)",
     "float[2,1,1,1] 0.30573049 0.16645635"},
    {14, LSTM_INPUTS "p = float[1,3] 0.5 0.25 -0.5; y = LSTM<hidden_size=1>(x, w, r, b, , , , p)",
     "float[2,1,1,1] 0.18534836 0.27721401"},
    {14, LSTM_INPUTS "y = LSTM<hidden_size=1 input_forget=1>(x, w, r, b)", "float[2,1,1,1] 0.17200258 0.19071522"},
    {14, LSTM_INPUTS "n = int32[1] 1; y, h = LSTM<hidden_size=1>(x, w, r, b, n)", "float[2,1,1,1] 0.17200258 0"},
    {14, LSTM_INPUTS "n = int32[1] 1; y, h = LSTM<hidden_size=1>(x, w, r, b, n)", "h|float[1,1,1] 0.17200258"},
    {14, LSTM_INPUTS "n = int32[1] 3; y = LSTM<hidden_size=1>(x, w, r, b, n)", "! beyond 2 steps"},
    {14, LSTM_INPUTS "y = LSTM<hidden_size=2>(x, w, r, b)", "! hidden_size is 2, R has 1"},
    {14, LSTM_INPUTS "y = LSTM<direction='bidirectional'>(x, w, r, b)", "! W is 1x4x1"},
    {14, LSTM_INPUTS "y = LSTM<activations=['Sigmoid','Tanh','Sine']>(x, w, r, b)", "! activation 'Sine' is not known"},
    {14, "x = float[1,2,1] 1 2; w = float[1,4,1] 0.5 -0.5 0.25 1; r = float[1,4,1] 0.1 0.2 0.3 0.4;"
         "b = float[1,8] 0.1 0 0 0 0 0 1 0; y = LSTM<layout=1>(x, w, r, b)", "float[1,2,1,1] 0.17200258 0.22416608"},
    {14, GRU_INPUTS "y = GRU(x, w, r, b)", "float[2,1,1,1] 0.32073358 0.48323221"},
    {14, GRU_INPUTS "y = GRU<linear_before_reset=1>(x, w, r, b)", "float[2,1,1,1] 0.29417511 0.46023802"},
    {14, "x = float[2,1,1] 1 2; w = float[1,1,1] 0.5; r = float[1,1,1] 0.25; b = float[1,2] 0.1 0; y = RNN(x, w, r, b)",
     "float[2,1,1,1] 0.53704957 0.84381124"},
    {14, "x = float[1,1,1] 4; w = float[1,1,1] -1; r = float[1,1,1] 0; y = RNN<activations=['Affine'] "
         "activation_alpha=[2.0] activation_beta=[1.0] clip=3.0>(x, w, r)", "float[1,1,1,1] -5"},
};

#define BOXES "b = float[1,3,4] 0 0 2 2 0 0 2 1.9 5 5 6 6; s = float[1,1,3] 0.8 0.9 0.7; m = int64[1] 10;"

static const MiniCase detection[] = {
    {11, BOXES "i = float[1] 0.5; y = NonMaxSuppression(b, s, m, i)", "int64[2,3] 0 0 1 0 0 2"},
    {11, BOXES "i = float[1] 0.99; y = NonMaxSuppression(b, s, m, i)", "int64[3,3] 0 0 1 0 0 0 0 0 2"},
    {11, BOXES "i = float[1] 0.5; t = float[1] 0.75; y = NonMaxSuppression(b, s, m, i, t)", "int64[1,3] 0 0 1"},
    {11, BOXES "y = NonMaxSuppression(b, s)", "int64[0,3]"},
    {11, "b = float[1,2,4] 1 1 2 2 1 1 2 2; s = float[1,1,3] 1 2 3; y = NonMaxSuppression(b, s)", "! do not fit"},
    {16, "x = float[1,1,2,2] 1 2 3 4; r = float[1,4] 0.5 0.5 1.5 1.5; i = int64[1] 0;"
         "y = RoiAlign<output_height=1 output_width=1 sampling_ratio=1>(x, r, i)", "float[1,1,1,1] 2.5"},
    {10, "x = float[1,1,3,3] 1 2 3 4 5 6 7 8 9; r = float[1,4] 0 0 2 2; i = int64[1] 0;"
         "y = RoiAlign<output_height=2 output_width=2 sampling_ratio=1>(x, r, i)", "float[1,1,2,2] 3 4 6 7"},
    {10, "x = float[1,1,2,2] 1 2 3 -4; r = float[1,4] 0 0 2 2; i = int64[1] 0; "
         "y = RoiAlign<sampling_ratio=2 mode='max'>(x, r, i)", "float[1,1,1,1] 1.5"},
    /* a million samples on each axis, two of which lie in the image */
    {10, "x = float[1,1,2,2] 1e12 1e12 1e12 1e12; r = float[1,4] 0 0 1 1; i = int64[1] 0; "
         "y = RoiAlign<spatial_scale=1000000.0>(x, r, i)", "float[1,1,1,1] 4"},
    {16, "x = float[1,1,2,2] 1 2 3 4; r = float[1,4] 0 0 1 1; i = int64[1] 0; y = RoiAlign<sampling_ratio=5000>(x, r, i)",
     "! not possible"},
    {16, "x = float[1,1,2,2] 1 2 3 4; r = float[1,4] 0 0 1 1; i = int64[1] 1; y = RoiAlign(x, r, i)", "! out of bounds"},
};

TEST(rnn_values)
{
    mini_check_values(__FILE__, recurrent, COUNT_OF(recurrent));
}

TEST(detect_values)
{
    mini_check_values(__FILE__, detection, COUNT_OF(detection));
}
