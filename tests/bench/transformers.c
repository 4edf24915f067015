/* transformers.c - ViT-S/16 as timm exports it, BERT as Hugging Face does, and a small text model with LayerNorm in pieces.
 *
 *     attention   q k v = linear(x); softmax(q k^T / sqrt(d) + mask) v; linear
 *
 * Dosovitskiy et al. 2021; Devlin et al. 2019. BERT has its sizes taken from the input while it runs (Shape, Gather, Concat).
 */
#include "tests/bench/models.h"

#include <math.h>

#define OUTLIER 50.0f       /* how much greater the planted channels are */
#define OUTLIER_EVERY 128   /* one channel of so many */
#define GROWTH 1.55f        /* what a residual sum makes of the variance 1 of the other channels, about: they stay near 1 */

/* ---- pieces ------------------------------------------------------------------------------------------------------------ */

static Value *softmax(Net *net, Value *x)
{
    Node *node = net_node(net, "Softmax", 1, &x, 1);
    node_set_int(node, "axis", -1);
    return node->out[0];
}

static Value *concat(Net *net, int axis, int n, Value *const *parts)
{
    Node *node = net_node(net, "Concat", n, parts, 1);
    node_set_int(node, "axis", axis);
    return node->out[0];
}

/* 0.5 x (1 + erf(x / sqrt 2)) in the order of the exporter. */
static Value *gelu(Net *net, Value *x)
{
    Value *part = NET_OP(net, "Div", x, net_float(net, sqrtf(2.0f)));
    part = NET_OP(net, "Add", NET_OP(net, "Erf", part), net_float(net, 1.0f));
    return NET_OP(net, "Mul", NET_OP(net, "Mul", x, part), net_float(net, 0.5f));
}

static Value *layer_norm(Net *net, Value *x, const char *name, int64_t width)
{
    Arena *arena = net->model->arena;
    Value *scale = NET_NORMAL(net, arena_printf(arena, "%s.weight", name), 1.0f, 0.05f, width);
    Value *bias = NET_NORMAL(net, arena_printf(arena, "%s.bias", name), 0.0f, 0.05f, width);
    Node *node = net_node(net, "LayerNormalization", 3, (Value *[]){x, scale, bias}, 1);
    node_set_int(node, "axis", -1);
    node_set_float(node, "epsilon", 1e-5f);
    return node->out[0];
}

static Value *reduce_mean(Net *net, Value *x)
{
    Node *node = net_node(net, "ReduceMean", 1, &x, 1);
    node_set_ints(node, "axes", (const int64_t[]){-1}, 1);
    return node->out[0];
}

/* The form below opset 17. */
static Value *layer_norm_in_pieces(Net *net, Value *x, const char *name, int64_t width)
{
    Arena *arena = net->model->arena;
    Value *centred = NET_OP(net, "Sub", x, reduce_mean(net, x));
    Value *square = NET_OP(net, "Pow", centred, net_float(net, 2.0f));
    Value *variance = NET_OP(net, "Add", reduce_mean(net, square), net_float(net, 1e-5f));
    Value *unit = NET_OP(net, "Div", centred, NET_OP(net, "Sqrt", variance));
    Value *scale = NET_NORMAL(net, arena_printf(arena, "%s.weight", name), 1.0f, 0.05f, width);
    Value *bias = NET_NORMAL(net, arena_printf(arena, "%s.bias", name), 0.0f, 0.05f, width);
    return NET_OP(net, "Add", NET_OP(net, "Mul", unit, scale), bias);
}

/* ---- ViT-S/16 ------------------------------------------------------------------------------------------------------------ */

enum { VIT_WIDTH = 384, VIT_HEADS = 6, VIT_HEAD = 64, VIT_TOKENS = 197, VIT_LAYERS = 12 };

static Value *vit_attention(Net *net, Value *x)
{
    Value *qkv = net_linear(net, x, "qkv", VIT_WIDTH, 3 * VIT_WIDTH, GAIN_LINEAR);
    qkv = NET_OP(net, "Reshape", qkv, NET_INTS(net, -1, VIT_TOKENS, 3, VIT_HEADS, VIT_HEAD));
    qkv = NET_TRANSPOSE(net, qkv, 2, 0, 3, 1, 4);
    Node *split = net_node(net, "Split", 2, (Value *[]){qkv, NET_INTS(net, 1, 1, 1)}, 3);
    node_set_int(split, "axis", 0);
    Value *axis = NET_INTS(net, 0);
    Value *q = NET_OP(net, "Squeeze", split->out[0], axis), *k = NET_OP(net, "Squeeze", split->out[1], axis);
    Value *v = NET_OP(net, "Squeeze", split->out[2], axis);
    q = NET_OP(net, "Mul", q, net_float(net, 0.125f));
    Value *weights = softmax(net, NET_OP(net, "MatMul", q, NET_TRANSPOSE(net, k, 0, 1, 3, 2)));
    Value *mixed = NET_TRANSPOSE(net, NET_OP(net, "MatMul", weights, v), 0, 2, 1, 3);
    mixed = NET_OP(net, "Reshape", mixed, NET_INTS(net, -1, VIT_TOKENS, VIT_WIDTH));
    return net_linear(net, mixed, "proj", VIT_WIDTH, VIT_WIDTH, GAIN_LINEAR);
}

void bench_vit_small_16(Net *net)
{
    Value *image = net_input(net, "input", DT_FLOAT, "batch,3,224,224");
    net_scope(net, "/patch_embed");
    Value *x = net_conv(net, image, "proj", (ConvSpec){3, VIT_WIDTH, 16, 16, 0, 1, GAIN_LINEAR, true});
    x = NET_OP(net, "Reshape", x, NET_INTS(net, 0, VIT_WIDTH, 196));
    x = NET_TRANSPOSE(net, x, 0, 2, 1);
    net_scope(net, "%s", "");
    Value *batch = NET_OP(net, "Gather", NET_OP(net, "Shape", image), net_index(net, 0));
    Value *shape = concat(net, 0, 3, (Value *[]){NET_OP(net, "Unsqueeze", batch, NET_INTS(net, 0)), NET_INTS(net, 1),
                                                  NET_INTS(net, VIT_WIDTH)});
    Value *token = NET_OP(net, "Expand", NET_NORMAL(net, "cls_token", 0, 1, 1, 1, VIT_WIDTH), shape);
    x = concat(net, 1, 2, (Value *[]){token, x});
    x = NET_OP(net, "Add", x, NET_NORMAL(net, "pos_embed", 0, 0.5f, 1, VIT_TOKENS, VIT_WIDTH));
    for (int layer = 0; layer < VIT_LAYERS; layer++) {
        net_scope(net, "/blocks/blocks.%d/attn", layer);
        x = NET_OP(net, "Add", x, vit_attention(net, layer_norm(net, x, "norm1", VIT_WIDTH)));
        net_scope(net, "/blocks/blocks.%d/mlp", layer);
        Value *y = layer_norm(net, x, "norm2", VIT_WIDTH);
        y = gelu(net, net_linear(net, y, "fc1", VIT_WIDTH, 4 * VIT_WIDTH, GAIN_LINEAR));
        x = NET_OP(net, "Add", x, net_linear(net, y, "fc2", 4 * VIT_WIDTH, VIT_WIDTH, GAIN_LINEAR));
    }
    net_scope(net, "/head");
    x = layer_norm(net, x, "norm", VIT_WIDTH);
    Node *first = net_node(net, "Gather", 2, (Value *[]){x, net_index(net, 0)}, 1);
    node_set_int(first, "axis", 1);
    net->next_name = "logits";
    net_output(net, net_gemm(net, first->out[0], "head", VIT_WIDTH, 1000, 2.0f));
}

/* ---- BERT ---------------------------------------------------------------------------------------------------------------- */

typedef struct TextSpec {
    int64_t width, heads, layers, vocabulary, positions, classes;
    bool pieces; /* LayerNorm in pieces */
} TextSpec;

typedef struct TextNet {
    Net *net;
    const TextSpec *spec;
    Value *batch, *length; /* (1,) int64, of the run */
    Value *mask;           /* (batch, 1, 1, length): 0, or a great negative number on padding */
} TextNet;

static bool is_outlier(const Net *net, int64_t channel)
{
    return net->options.outliers && channel % OUTLIER_EVERY == OUTLIER_EVERY / 2;
}

/* With outliers: some channels come out near plus or minus OUTLIER whatever goes in, as some do in trained models. Over the
 * residual arm they fill the variance of the next norm, which the scale of the rest makes up for. */
static Value *text_norm(TextNet *t, Value *x, const char *name, bool first)
{
    Net *net = t->net;
    if (t->spec->pieces)
        return layer_norm_in_pieces(net, x, name, t->spec->width);
    Value *y = layer_norm(net, x, name, t->spec->width);
    float *scale = net_data(y->producer->in[1]), *bias = net_data(y->producer->in[2]);
    float rest = first ? 1.0f : sqrtf((GROWTH + OUTLIER * OUTLIER / (float)OUTLIER_EVERY) / GROWTH);
    for (int64_t c = 0; c < t->spec->width && net->options.outliers; c++) {
        scale[c] *= is_outlier(net, c) ? 0.1f : rest;
        bias[c] += !is_outlier(net, c) ? 0.0f : c / OUTLIER_EVERY % 2 == 0 ? OUTLIER : -OUTLIER;
    }
    return y;
}

/* Reads the stream of the residual: weights of the planted channels are smaller by as much as those are greater. */
static Value *text_linear(TextNet *t, Value *x, const char *name, int64_t m)
{
    Net *net = t->net;
    int64_t n = t->spec->width;
    Value *sum = net_linear(net, x, name, n, m, GAIN_LINEAR);
    float *weight = net_data(sum->producer->in[1]->producer->in[1]); /* Add(bias, MatMul(x, weight)) */
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m && is_outlier(net, i); j++)
            weight[i * m + j] /= OUTLIER;
    return sum;
}

static Value *one_size(Net *net, Value *shape, int64_t axis)
{
    Value *size = NET_OP(net, "Gather", shape, net_index(net, axis));
    return NET_OP(net, "Unsqueeze", size, NET_INTS(net, 0));
}

static Value *text_embed(TextNet *t, Value *ids)
{
    Net *net = t->net;
    const TextSpec *spec = t->spec;
    net_scope(net, "/embeddings");
    Value *words = NET_NORMAL(net, "word_embeddings.weight", 0.0f, 1.0f, spec->vocabulary, spec->width);
    Value *places = NET_NORMAL(net, "position_embeddings.weight", 0.0f, 0.3f, spec->positions, spec->width);
    Value *types = NET_NORMAL(net, "token_type_embeddings.weight", 0.0f, 0.3f, 2, spec->width);
    Tensor *numbers = NULL;
    Status status = tensor_new(net->model->arena, DT_INT64, 2, (const int64_t[]){1, spec->positions}, &numbers);
    if (status != NULL)
        __builtin_abort();
    for (int64_t i = 0; i < spec->positions; i++)
        ((int64_t *)numbers->data)[i] = i;
    Value *all = graph_add_constant(net->model->graph, model_fresh_name(net->model, "position_ids"), numbers);
    Value *zero = net_ints(net, 1, (const int64_t[]){0}), *one = NET_INTS(net, 1);
    Value *used = NET_OP(net, "Slice", all, zero, t->length, one, one);
    Value *x = NET_OP(net, "Add", NET_OP(net, "Gather", words, ids),
                      NET_OP(net, "Gather", types, NET_OP(net, "Mul", used, net_index(net, 0))));
    x = NET_OP(net, "Add", x, NET_OP(net, "Gather", places, used));
    return text_norm(t, x, "LayerNorm", true);
}

/* (batch, length, width) -> (batch, heads, length, width / heads), axes as perm says */
static Value *text_heads(TextNet *t, Value *x, const int64_t *perm)
{
    const TextSpec *spec = t->spec;
    Value *shape = concat(t->net, 0, 4, (Value *[]){t->batch, t->length, NET_INTS(t->net, spec->heads),
                                                    NET_INTS(t->net, spec->width / spec->heads)});
    return net_transpose(t->net, NET_OP(t->net, "Reshape", x, shape), 4, perm);
}

static Value *text_attention(TextNet *t, Value *x)
{
    static const int64_t plain[] = {0, 2, 1, 3}, turned[] = {0, 2, 3, 1};
    Net *net = t->net;
    int64_t width = t->spec->width;
    Value *q = text_heads(t, text_linear(t, x, "query", width), plain);
    Value *k = text_heads(t, text_linear(t, x, "key", width), turned);
    Value *v = text_heads(t, text_linear(t, x, "value", width), plain);
    Value *scores = NET_OP(net, "Div", NET_OP(net, "MatMul", q, k), net_float(net, sqrtf((float)(width / t->spec->heads))));
    Value *weights = softmax(net, NET_OP(net, "Add", scores, t->mask));
    Value *mixed = NET_TRANSPOSE(net, NET_OP(net, "MatMul", weights, v), 0, 2, 1, 3);
    Value *shape = concat(net, 0, 3, (Value *[]){t->batch, t->length, NET_INTS(net, width)});
    return net_linear(net, NET_OP(net, "Reshape", mixed, shape), "output", width, width, GAIN_LINEAR);
}

static void text_model(Net *net, const TextSpec *spec)
{
    TextNet t = {.net = net, .spec = spec};
    Value *ids = net_input(net, "input_ids", DT_INT64, "batch,sequence");
    Value *mask = net_input(net, "attention_mask", DT_INT64, "batch,sequence");
    Value *shape = NET_OP(net, "Shape", ids);
    t.batch = one_size(net, shape, 0);
    t.length = one_size(net, shape, 1);
    mask = NET_OP(net, "Unsqueeze", NET_OP(net, "Unsqueeze", mask, NET_INTS(net, 1)), NET_INTS(net, 2));
    Node *cast = net_node(net, "Cast", 1, &mask, 1);
    node_set_int(cast, "to", DT_FLOAT);
    t.mask = NET_OP(net, "Mul", NET_OP(net, "Sub", net_float(net, 1.0f), cast->out[0]), net_float(net, -3.4028235e38f));
    Value *x = text_embed(&t, ids);
    for (int layer = 0; layer < spec->layers; layer++) {
        net_scope(net, "/encoder/layer.%d/attention", layer);
        x = text_norm(&t, NET_OP(net, "Add", text_attention(&t, x), x), "LayerNorm", false);
        net_scope(net, "/encoder/layer.%d/output", layer);
        Value *y = gelu(net, text_linear(&t, x, "intermediate", 4 * spec->width));
        y = net_linear(net, y, "dense", 4 * spec->width, spec->width, GAIN_LINEAR);
        x = text_norm(&t, NET_OP(net, "Add", y, x), "LayerNorm", false);
    }
    net_scope(net, "/pooler");
    Node *first = net_node(net, "Gather", 2, (Value *[]){x, net_index(net, 0)}, 1);
    node_set_int(first, "axis", 1);
    Value *pooled = NET_OP(net, "Tanh", net_gemm(net, first->out[0], "dense", spec->width, spec->width, GAIN_LINEAR));
    net_scope(net, "/classifier");
    net->next_name = "logits";
    net_output(net, net_gemm(net, pooled, "classifier", spec->width, spec->classes, GAIN_RELU));
    net->next_name = "last_hidden_state";
    net_output(net, NET_OP(net, "Identity", x));
}

void bench_bert_base(Net *net)
{
    static const TextSpec spec = {768, 12, 12, 30522, 512, 2, false};
    text_model(net, &spec);
}

void bench_text_transformer(Net *net)
{
    static const TextSpec spec = {128, 4, 2, 1000, 128, 5, true};
    text_model(net, &spec);
}
