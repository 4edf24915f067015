/* convnets.c - image classifiers: ResNet-18 and -50, MobileNetV2, EfficientNet-B0, SqueezeNet 1.1, as torchvision builds them.
 *
 * He et al. 2016; Sandler et al. 2018; Tan and Le 2019; Iandola et al. 2016.
 */
#include "tests/bench/models.h"

#define CLASSES 1000
#define BRANCH 0.5f /* residual branches are added at this share of their natural size, so that sums do not grow */

static Value *relu(Net *net, Value *x)
{
    return NET_OP(net, "Relu", x);
}

static Value *relu6(Net *net, Value *x)
{
    Value *low = net_float(net, 0.0f), *high = net_float(net, 6.0f);
    return NET_OP(net, "Clip", x, low, high);
}

static Value *silu(Net *net, Value *x)
{
    Value *gate = NET_OP(net, "Sigmoid", x);
    return NET_OP(net, "Mul", x, gate);
}

static Value *max_pool(Net *net, Value *x, int64_t kernel, int64_t pad, bool ceil_mode)
{
    Node *node = net_node(net, "MaxPool", 1, &x, 1);
    node_set_int(node, "ceil_mode", ceil_mode);
    node_set_ints(node, "kernel_shape", (const int64_t[]){kernel, kernel}, 2);
    node_set_ints(node, "pads", (const int64_t[]){pad, pad, pad, pad}, 4);
    node_set_ints(node, "strides", (const int64_t[]){2, 2}, 2);
    return node->out[0];
}

static Value *pool_and_flatten(Net *net, Value *x)
{
    Value *pooled = NET_OP(net, "GlobalAveragePool", x);
    Node *node = net_node(net, "Flatten", 1, &pooled, 1);
    node_set_int(node, "axis", 1);
    return node->out[0];
}

static void classify(Net *net, Value *x, int64_t channels)
{
    net_scope(net, "%s", "");
    x = pool_and_flatten(net, x);
    net_scope(net, "/fc");
    net->next_name = "logits";
    net_output(net, net_gemm(net, x, "fc", channels, CLASSES, 2.0f));
}

/* ---- ResNet ------------------------------------------------------------------------------------------------------------ */

/* x ─ 1x1 or 3x3 ... ─ (+) ─ Relu; a 1x1 convolution on the other arm where the shape changes. */
static Value *residual_block(Net *net, Value *x, int64_t in, int64_t width, int64_t stride, bool bottleneck)
{
    int64_t out = bottleneck ? 4 * width : width;
    Value *y = x, *shortcut = x;
    if (bottleneck) {
        y = relu(net, net_conv(net, y, "conv1", (ConvSpec){in, width, 1, 1, 0, 1, GAIN_RELU, false}));
        y = relu(net, net_conv(net, y, "conv2", (ConvSpec){width, width, 3, stride, 1, 1, GAIN_RELU, false}));
        y = net_conv(net, y, "conv3", (ConvSpec){width, out, 1, 1, 0, 1, GAIN_RELU * BRANCH, false});
    } else {
        y = relu(net, net_conv(net, y, "conv1", (ConvSpec){in, width, 3, stride, 1, 1, GAIN_RELU, false}));
        y = net_conv(net, y, "conv2", (ConvSpec){width, width, 3, 1, 1, 1, GAIN_RELU * BRANCH, false});
    }
    if (stride != 1 || in != out)
        shortcut = net_conv(net, x, "downsample.0", (ConvSpec){in, out, 1, stride, 0, 1, GAIN_LINEAR, false});
    return relu(net, NET_OP(net, "Add", y, shortcut));
}

static void resnet(Net *net, const int *blocks, bool bottleneck)
{
    Value *x = net_input(net, "input", DT_FLOAT, "batch,3,224,224");
    x = relu(net, net_conv(net, x, "conv1", (ConvSpec){3, 64, 7, 2, 3, 1, GAIN_LINEAR, false}));
    x = max_pool(net, x, 3, 1, false);
    int64_t in = 64;
    for (int stage = 0; stage < 4; stage++) {
        int64_t width = (int64_t)64 << stage;
        for (int block = 0; block < blocks[stage]; block++) {
            net_scope(net, "/layer%d/layer%d.%d", stage + 1, stage + 1, block);
            x = residual_block(net, x, in, width, stage > 0 && block == 0 ? 2 : 1, bottleneck);
            in = bottleneck ? 4 * width : width;
        }
    }
    classify(net, x, in);
}

void bench_resnet18(Net *net)
{
    resnet(net, (const int[]){2, 2, 2, 2}, false);
}

void bench_resnet50(Net *net)
{
    resnet(net, (const int[]){3, 4, 6, 3}, true);
}

/* ---- MobileNetV2 ------------------------------------------------------------------------------------------------------- */

void bench_mobilenetv2(Net *net)
{
    static const struct {
        int64_t expand, out, repeats, stride;
    } stages[] = {{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
    Value *x = net_input(net, "input", DT_FLOAT, "batch,3,224,224");
    net_scope(net, "/features/features.0");
    x = relu6(net, net_conv(net, x, "0", (ConvSpec){3, 32, 3, 2, 1, 1, GAIN_LINEAR, false}));
    int64_t in = 32, block = 1;
    for (size_t s = 0; s < COUNT_OF(stages); s++)
        for (int64_t r = 0; r < stages[s].repeats; r++, block++) {
            int64_t wide = in * stages[s].expand, out = stages[s].out, stride = r == 0 ? stages[s].stride : 1;
            bool add = stride == 1 && in == out;
            Value *y = x;
            net_scope(net, "/features/features.%d/conv", (int)block);
            if (stages[s].expand != 1)
                y = relu6(net, net_conv(net, y, "expand", (ConvSpec){in, wide, 1, 1, 0, 1, GAIN_LINEAR, false}));
            y = relu6(net, net_conv(net, y, "depthwise", (ConvSpec){wide, wide, 3, stride, 1, wide, GAIN_RELU, false}));
            y = net_conv(net, y, "project", (ConvSpec){wide, out, 1, 1, 0, 1, add ? GAIN_RELU * BRANCH : GAIN_RELU, false});
            x = add ? NET_OP(net, "Add", x, y) : y;
            in = out;
        }
    net_scope(net, "/features/features.18");
    x = relu6(net, net_conv(net, x, "0", (ConvSpec){in, 1280, 1, 1, 0, 1, GAIN_LINEAR, false}));
    classify(net, x, 1280);
}

/* ---- EfficientNet-B0 ---------------------------------------------------------------------------------------------------- */

/* x ─ mean ─ 1x1 ─ SiLU ─ 1x1 ─ Sigmoid ─ (*) x */
static Value *squeeze_excite(Net *net, Value *x, int64_t channels, int64_t squeezed)
{
    Value *mean = NET_OP(net, "GlobalAveragePool", x);
    Value *small = silu(net, net_conv(net, mean, "fc1", (ConvSpec){channels, squeezed, 1, 1, 0, 1, GAIN_SILU, true}));
    Value *gate = NET_OP(net, "Sigmoid", net_conv(net, small, "fc2", (ConvSpec){squeezed, channels, 1, 1, 0, 1, GAIN_SILU, true}));
    return NET_OP(net, "Mul", gate, x);
}

static void efficientnet(Net *net, const char *dims, int64_t channels)
{
    static const struct {
        int64_t expand, kernel, stride, out, repeats;
    } stages[] = {{1, 3, 1, 16, 1},  {6, 3, 2, 24, 2},  {6, 5, 2, 40, 2}, {6, 3, 2, 80, 3},
                  {6, 5, 1, 112, 3}, {6, 5, 2, 192, 4}, {6, 3, 1, 320, 1}};
    Value *x = net_input(net, "input", DT_FLOAT, dims);
    net_scope(net, "/features/features.0");
    x = silu(net, net_conv(net, x, "0", (ConvSpec){channels, 32, 3, 2, 1, 1, GAIN_LINEAR, false}));
    int64_t in = 32;
    for (size_t s = 0; s < COUNT_OF(stages); s++)
        for (int64_t r = 0; r < stages[s].repeats; r++) {
            int64_t wide = in * stages[s].expand, out = stages[s].out, stride = r == 0 ? stages[s].stride : 1;
            int64_t k = stages[s].kernel;
            bool add = stride == 1 && in == out;
            Value *y = x;
            net_scope(net, "/features/features.%d/features.%d.%d/block", (int)s + 1, (int)s + 1, (int)r);
            if (stages[s].expand != 1)
                y = silu(net, net_conv(net, y, "expand", (ConvSpec){in, wide, 1, 1, 0, 1, GAIN_LINEAR, false}));
            float gain = stages[s].expand == 1 ? GAIN_LINEAR : GAIN_SILU; /* behind the stem's SiLU the first block is shallow */
            y = silu(net, net_conv(net, y, "depthwise", (ConvSpec){wide, wide, k, stride, k / 2, wide, gain, false}));
            y = squeeze_excite(net, y, wide, in / 4);
            y = net_conv(net, y, "project", (ConvSpec){wide, out, 1, 1, 0, 1, 2.0f * GAIN_SILU * (add ? BRANCH : 1.0f), false});
            x = add ? NET_OP(net, "Add", y, x) : y;
            in = out;
        }
    net_scope(net, "/features/features.8");
    x = silu(net, net_conv(net, x, "0", (ConvSpec){in, 1280, 1, 1, 0, 1, GAIN_LINEAR, false}));
    classify(net, x, 1280);
}

void bench_efficientnet_b0(Net *net)
{
    efficientnet(net, "batch,3,224,224", 3);
}

/* The same net over spectrograms, as bird sound classifiers use it: 128 mel bands, 5 s of 32 kHz sound in hops of 512. */
void bench_efficientnet_b0_mel(Net *net)
{
    efficientnet(net, "batch,1,128,313", 1);
}

/* ---- SqueezeNet 1.1 ------------------------------------------------------------------------------------------------------ */

static Value *fire(Net *net, Value *x, int number, int64_t in, int64_t squeeze, int64_t expand)
{
    net_scope(net, "/features/features.%d", number);
    Value *small = relu(net, net_conv(net, x, "squeeze", (ConvSpec){in, squeeze, 1, 1, 0, 1, GAIN_RELU, true}));
    Value *one = relu(net, net_conv(net, small, "expand1x1", (ConvSpec){squeeze, expand, 1, 1, 0, 1, GAIN_RELU, true}));
    Value *three = relu(net, net_conv(net, small, "expand3x3", (ConvSpec){squeeze, expand, 3, 1, 1, 1, GAIN_RELU, true}));
    Node *node = net_node(net, "Concat", 2, (Value *[]){one, three}, 1);
    node_set_int(node, "axis", 1);
    return node->out[0];
}

void bench_squeezenet1_1(Net *net)
{
    static const struct {
        int number;
        int64_t in, squeeze, expand;
    } fires[] = {{3, 64, 16, 64},   {4, 128, 16, 64},  {6, 128, 32, 128},  {7, 256, 32, 128},
                 {9, 256, 48, 192}, {10, 384, 48, 192}, {11, 384, 64, 256}, {12, 512, 64, 256}};
    Value *x = net_input(net, "input", DT_FLOAT, "5,3,64,64");
    net_scope(net, "/features/features.0");
    x = relu(net, net_conv(net, x, "0", (ConvSpec){3, 64, 3, 2, 0, 1, GAIN_LINEAR, true}));
    for (size_t i = 0; i < COUNT_OF(fires); i++) {
        if (i == 0 || i == 2 || i == 4)
            x = max_pool(net, x, 3, 0, true);
        x = fire(net, x, fires[i].number, fires[i].in, fires[i].squeeze, fires[i].expand);
    }
    net_scope(net, "/classifier");
    x = relu(net, net_conv(net, x, "1", (ConvSpec){512, CLASSES, 1, 1, 0, 1, GAIN_RELU, true}));
    net->next_name = "logits";
    x = NET_OP(net, "GlobalAveragePool", x);
    net_output(net, x);
}
