/* net.h - building blocks of the generated models: nodes as PyTorch's exporter writes them, weights from a seeded generator.
 *
 *     net_begin ── net_input ── net_conv, net_op, ... ── net_end ──> FILE.onnx
 *
 * Weights are scaled by their fan-in and the gain of the activation before them (He et al. 2015), so that values keep their size
 * through the net. A failure ends the program: nobody but a person at a shell runs it.
 */
#ifndef QUANTIZE_TESTS_BENCH_NET_H
#define QUANTIZE_TESTS_BENCH_NET_H

#include "src/ir/ir.h"

#define GAIN_LINEAR 1.0f
#define GAIN_RELU 1.414f /* sqrt(1 / E[relu(z)^2]) for z from N(0, 1) */
#define GAIN_SILU 1.676f /* the same for silu */

typedef struct NetOptions {
    uint64_t seed;
    bool keep_bn;  /* BatchNormalization as nodes instead of folded into the convolutions */
    bool outliers; /* transformers: some channels 50 times the rest */
} NetOptions;

typedef struct Net {
    NetOptions options;
    Model *model;
    uint64_t random;
    char scope[64];        /* "/layer1/layer1.0": in front of the names of nodes */
    const char *next_name; /* of the output of the next node, once */
} Net;

void net_begin(Net *net, const NetOptions *options);
/* Writes the model and frees it. */
void net_end(Net *net, const char *path);
void net_scope(Net *net, const char *format, ...) PRINTF_LIKE(2, 3);
/* dims "batch,3,224,224": words are symbolic. */
Value *net_input(Net *net, const char *name, DType dtype, const char *dims);
void net_output(Net *net, Value *value);

/* ---- constants: initializers are weights, Constant nodes what the exporter writes in the middle of a graph ------------- */

Value *net_normal(Net *net, const char *name, float mean, float deviation, int rank, const int64_t *dims);
#define NET_NORMAL(net, name, mean, deviation, ...)                                                                     \
    net_normal((net), (name), (mean), (deviation), (int)COUNT_OF(((const int64_t[]){__VA_ARGS__})),                     \
               (const int64_t[]){__VA_ARGS__})
/* One number, rank 0; integers of rank 1. */
Value *net_float(Net *net, float value);
Value *net_index(Net *net, int64_t value);
Value *net_ints(Net *net, int n, const int64_t *values);
#define NET_INTS(net, ...)                                                                                             \
    net_ints((net), (int)COUNT_OF(((const int64_t[]){__VA_ARGS__})), (const int64_t[]){__VA_ARGS__})
/* The initializer's data, to plant things in it. */
float *net_data(Value *value);

/* ---- nodes ------------------------------------------------------------------------------------------------------------- */

Node *net_node(Net *net, const char *op_type, int n_in, Value *const *in, int n_out);
/* A node with one output. */
#define NET_OP(net, op_type, ...)                                                                                      \
    net_node((net), (op_type), (int)COUNT_OF(((Value *[]){__VA_ARGS__})), (Value *[]){__VA_ARGS__}, 1)->out[0]
/* x (.., n) times a weight (n, m), plus a bias: torch.nn.Linear on more than two axes. */
Value *net_linear(Net *net, Value *x, const char *name, int64_t n, int64_t m, float gain);
/* torch.nn.Linear on two axes. */
Value *net_gemm(Net *net, Value *x, const char *name, int64_t n, int64_t m, float gain);
Value *net_transpose(Net *net, Value *x, int n, const int64_t *perm);
#define NET_TRANSPOSE(net, x, ...)                                                                                     \
    net_transpose((net), (x), (int)COUNT_OF(((const int64_t[]){__VA_ARGS__})), (const int64_t[]){__VA_ARGS__})

typedef struct ConvSpec {
    int64_t in, out, kernel, stride, pad, groups; /* groups 0: 1 */
    float gain;                                   /* of the activation before it; times what the branch should shrink by */
    bool plain;                                   /* no BatchNormalization behind it */
} ConvSpec;
Value *net_conv(Net *net, Value *x, const char *name, ConvSpec spec);

#endif
