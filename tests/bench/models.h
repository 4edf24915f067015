/* models.h - the generated models; generate.c has their table. */
#ifndef QUANTIZE_TESTS_BENCH_MODELS_H
#define QUANTIZE_TESTS_BENCH_MODELS_H

#include "tests/bench/net.h"

void bench_resnet18(Net *net);
void bench_resnet50(Net *net);
void bench_mobilenetv2(Net *net);
void bench_efficientnet_b0(Net *net);
void bench_efficientnet_b0_mel(Net *net);
void bench_squeezenet1_1(Net *net);
void bench_vit_small_16(Net *net);
void bench_bert_base(Net *net);
void bench_text_transformer(Net *net);

#endif
