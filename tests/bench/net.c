/* net.c - see net.h. */
#include "tests/bench/net.h"

#include "src/onnx/onnx.h"
#include "src/ops/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPSET 17
#define IR_VERSION 8

static void must(Status status)
{
    if (status == NULL)
        return;
    fprintf(stderr, "bench-models: %s\n", status_message(status));
    exit(status_code(status));
}

/* ---- random numbers ---------------------------------------------------------------------------------------------------- */

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(Net *net)
{
    uint64_t z = net->random += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Near enough to N(0, 1): the sum of four uniform parts, whose variance is 4 * 2^32 / 12. */
static float next_normal(Net *net)
{
    uint64_t z = next_random(net);
    double sum = (double)(z & 0xFFFF) + (double)(z >> 16 & 0xFFFF) + (double)(z >> 32 & 0xFFFF) + (double)(z >> 48);
    return (float)((sum - 2.0 * 65535.0) / (65536.0 * 0.57735026918962576));
}

/* ---- the model --------------------------------------------------------------------------------------------------------- */

void net_begin(Net *net, const NetOptions *options)
{
    *net = (Net){.options = *options, .model = model_new(), .random = options->seed};
    net->model->ir_version = IR_VERSION;
    net->model->producer_name = "bench-models";
    net->model->graph = graph_new(net->model, "main_graph", NULL);
    model_set_opset(net->model, "", OPSET);
}

void net_end(Net *net, const char *path)
{
    ops_bind(net->model);
    must(ops_check(net->model));
    must(ops_infer(net->model));
    must(onnx_save(net->model, path, EXTERNAL_NEVER, NULL));
    model_free(net->model);
}

void net_scope(Net *net, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(net->scope, sizeof net->scope, format, arguments);
    va_end(arguments);
}

Value *net_input(Net *net, const char *name, DType dtype, const char *dims)
{
    Shape shape = {0};
    for (const char *at = dims; *at != '\0'; at += strcspn(at, ","), at += *at == ',') {
        char *end = NULL;
        long long size = strtoll(at, &end, 10);
        Dim *dim = &shape.dims[shape.rank++];
        *dim = end != at ? dim_known(size) : (Dim){-1, arena_strndup(net->model->arena, at, strcspn(at, ","))};
    }
    Value *value = graph_value(net->model->graph, name);
    value->type = type_tensor(dtype, &shape);
    graph_add_input(net->model->graph, value);
    return value;
}

void net_output(Net *net, Value *value)
{
    graph_add_output(net->model->graph, value);
}

/* ---- constants --------------------------------------------------------------------------------------------------------- */

Value *net_normal(Net *net, const char *name, float mean, float deviation, int rank, const int64_t *dims)
{
    Tensor *tensor = NULL;
    must(tensor_new(net->model->arena, DT_FLOAT, rank, dims, &tensor));
    float *data = tensor->data;
    for (int64_t i = 0; i < tensor->count; i++)
        data[i] = mean + deviation * next_normal(net);
    const char *full = net->scope[0] == '\0' ? name : arena_printf(net->model->arena, "%s.%s", net->scope + 1, name);
    return graph_add_constant(net->model->graph, model_fresh_name(net->model, full), tensor);
}

float *net_data(Value *value)
{
    return value->constant->data;
}

static Value *constant_node(Net *net, Tensor *tensor)
{
    Node *node = net_node(net, "Constant", 0, NULL, 1);
    node_set_tensor(node, "value", tensor);
    return node->out[0];
}

Value *net_float(Net *net, float value)
{
    return constant_node(net, tensor_new_scalar(net->model->arena, DT_FLOAT, (double)value));
}

Value *net_index(Net *net, int64_t value)
{
    return constant_node(net, tensor_new_scalar(net->model->arena, DT_INT64, (double)value));
}

Value *net_ints(Net *net, int n, const int64_t *values)
{
    return constant_node(net, tensor_new_ints(net->model->arena, 1, (const int64_t[]){n}, values));
}

/* ---- nodes ------------------------------------------------------------------------------------------------------------- */

Node *net_node(Net *net, const char *op_type, int n_in, Value *const *in, int n_out)
{
    Model *model = net->model;
    const char *name = model_fresh_name(model, arena_printf(model->arena, "%s/%s", net->scope, op_type));
    Value **out = arena_array(model->arena, (size_t)n_out, sizeof out[0]);
    for (int i = 0; i < n_out; i++) {
        const char *given = i == 0 ? net->next_name : NULL;
        out[i] = graph_value(model->graph, model_fresh_name(model, given != NULL ? given
                                                                                 : arena_printf(model->arena, "%s_output_%d",
                                                                                                name, i)));
    }
    if (n_out > 0)
        net->next_name = NULL;
    return graph_add_node(model->graph, NULL, op_type, "", name, n_in, in, n_out, out);
}

Value *net_linear(Net *net, Value *x, const char *name, int64_t n, int64_t m, float gain)
{
    const char *output = net->next_name;
    net->next_name = NULL;
    Value *weight = NET_NORMAL(net, arena_printf(net->model->arena, "%s.weight", name), 0, gain / sqrtf((float)n), n, m);
    Value *bias = NET_NORMAL(net, arena_printf(net->model->arena, "%s.bias", name), 0, 0.02f, m);
    Value *product = NET_OP(net, "MatMul", x, weight);
    net->next_name = output;
    return NET_OP(net, "Add", bias, product);
}

Value *net_gemm(Net *net, Value *x, const char *name, int64_t n, int64_t m, float gain)
{
    Value *weight = NET_NORMAL(net, arena_printf(net->model->arena, "%s.weight", name), 0, gain / sqrtf((float)n), m, n);
    Value *bias = NET_NORMAL(net, arena_printf(net->model->arena, "%s.bias", name), 0, 0.02f, m);
    Node *node = net_node(net, "Gemm", 3, (Value *[]){x, weight, bias}, 1);
    node_set_float(node, "alpha", 1.0f);
    node_set_float(node, "beta", 1.0f);
    node_set_int(node, "transB", 1);
    return node->out[0];
}

Value *net_transpose(Net *net, Value *x, int n, const int64_t *perm)
{
    Node *node = net_node(net, "Transpose", 1, &x, 1);
    node_set_ints(node, "perm", perm, n);
    return node->out[0];
}

/* Statistics of a trained net's kind: the convolution's output has about unit variance, so these are near 0 and 1. */
static Value *batch_norm(Net *net, Value *x, const char *name, int64_t channels)
{
    Arena *arena = net->model->arena;
    Value *scale = NET_NORMAL(net, arena_printf(arena, "%s.weight", name), 1.0f, 0.1f, channels);
    Value *bias = NET_NORMAL(net, arena_printf(arena, "%s.bias", name), 0.0f, 0.1f, channels);
    Value *mean = NET_NORMAL(net, arena_printf(arena, "%s.running_mean", name), 0.0f, 0.1f, channels);
    Value *variance = NET_NORMAL(net, arena_printf(arena, "%s.running_var", name), 1.0f, 0.1f, channels);
    Node *node = net_node(net, "BatchNormalization", 5, (Value *[]){x, scale, bias, mean, variance}, 1);
    node_set_float(node, "epsilon", 1e-5f);
    node_set_float(node, "momentum", 0.9f);
    node_set_int(node, "training_mode", 0);
    return node->out[0];
}

Value *net_conv(Net *net, Value *x, const char *name, ConvSpec spec)
{
    Arena *arena = net->model->arena;
    int64_t groups = spec.groups == 0 ? 1 : spec.groups, k = spec.kernel, fan_in = spec.in / groups * k * k;
    bool norm = net->options.keep_bn && !spec.plain;
    Value *weight = NET_NORMAL(net, arena_printf(arena, "%s.weight", name), 0.0f, spec.gain / sqrtf((float)fan_in), spec.out,
                               spec.in / groups, k, k);
    Value *bias = norm ? NULL : NET_NORMAL(net, arena_printf(arena, "%s.bias", name), 0.0f, 0.1f, spec.out);
    Node *node = net_node(net, "Conv", norm ? 2 : 3, (Value *[]){x, weight, bias}, 1);
    node_set_ints(node, "dilations", (const int64_t[]){1, 1}, 2);
    node_set_int(node, "group", groups);
    node_set_ints(node, "kernel_shape", (const int64_t[]){k, k}, 2);
    node_set_ints(node, "pads", (const int64_t[]){spec.pad, spec.pad, spec.pad, spec.pad}, 4);
    node_set_ints(node, "strides", (const int64_t[]){spec.stride, spec.stride}, 2);
    return norm ? batch_norm(net, node->out[0], arena_printf(arena, "%s.bn", name), spec.out) : node->out[0];
}
