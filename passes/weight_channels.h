/* weight_channels.h - which channels an element of the weight of Conv, ConvTranspose, Gemm or MatMul stands between. */
#ifndef QUANTIZE_PASSES_WEIGHT_CHANNELS_H
#define QUANTIZE_PASSES_WEIGHT_CHANNELS_H

#include "src/ir/ir.h"

/* Input channel that element i of the weight multiplies, and how many there are. */
int64_t weight_input_channel(const Node *node, const Tensor *weight, int64_t i);
int64_t weight_input_channels(const Node *node, const Tensor *weight);
/* Output channel it adds to, and how many there are. */
int64_t weight_output_channel(const Node *node, const Tensor *weight, int64_t i);
int64_t weight_output_channels(const Node *node, const Tensor *weight);

#endif
