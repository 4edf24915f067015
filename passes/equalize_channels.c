/* equalize_channels.c - spreads the channels of a value over one range, by factors that cancel between two weights.
 *
 *     Conv W1, b1 ─ Relu ─ v ─ Conv W2        ==>      Conv W1 / s, b1 / s ─ Relu ─ v / s ─ Conv W2 s
 *     LayerNormalization g, b ─ v ─ MatMul W  ==>      LayerNormalization g / s, b / s ─ v / s ─ MatMul W s
 *
 * The result is the same, since what stands between is positively homogeneous: f(x / s) = f(x) / s for s > 0. But 8 bits for
 * the whole of v serve a channel that uses a hundredth of its range badly, and one outlier channel spoils all others.
 *
 *     s[c] = max|v[c]|                                behind it only depthwise convolutions: scales per channel take s for nothing
 *     s[c] = max|v[c]|^a / max|W2[c]|^(1 - a)         else, a = strength: what v gains the rows of W2 lose
 *
 * Sources: cross-layer equalization (Nagel et al. 2019), SmoothQuant (Xiao et al. 2022); a = 0.5 in both.
 */
#include "passes/affine.h"
#include "passes/pass.h"
#include "passes/weight_channels.h"
#include "src/ops/ops.h"

#include <math.h>
#include <string.h>

#define SPREAD 256.0 /* greatest ratio of two factors: a channel that is all but dead needs no more */
#define MAX_READERS 8
#define ROUNDS 6      /* where weights have one scale */

/* A value between a producer and readers that take the factors. */
typedef struct Link {
    Node *producer;
    Value *first, *value; /* output of the producer; what the readers read, behind homogeneous ops */
    int axis;             /* of the channels: 1 or -1 */
    int64_t channels;
} Link;

/* ---- the weights of a reader ------------------------------------------------------------------------------------- */

static bool is_convolution(const Node *node)
{
    return node_is(node, "Conv") || node_is(node, "ConvTranspose");
}

static bool is_depthwise(const Node *node)
{
    const Tensor *weight = pass_constant(node, 1);
    return node_is(node, "Conv") && weight->dims[1] == 1 && node_int(node, "group", 1) > 1;
}

static bool takes_factors(const Use *use, const Link *link)
{
    const Node *node = use->node;
    const Tensor *weight = pass_constant(node, 1);
    if (use->input != 0 || node->graph != link->producer->graph || weight == NULL || weight->dtype != DT_FLOAT ||
        weight->count == 0 || weight->rank < 2)
        return false;
    if (link->axis == 1 ? !is_convolution(node) : !node_is(node, "Gemm") && !node_is(node, "MatMul"))
        return false;
    if (node_is(node, "Gemm") && (node_int(node, "transA", 0) != 0 || weight->rank != 2))
        return false;
    return weight_input_channels(node, weight) == link->channels;
}

static Status scale_reader(Node *node, const double *factors)
{
    const Tensor *from = node->in[1]->constant;
    Tensor *to = NULL;
    TRY(tensor_new(node->graph->model->arena, DT_FLOAT, from->rank, from->dims, &to));
    for (int64_t i = 0; i < from->count; i++)
        ((float *)to->data)[i] = (float)((double)((const float *)from->data)[i] * factors[weight_input_channel(node, from, i)]);
    pass_replace_constant(node, 1, to);
    return NULL;
}

/* ---- links ------------------------------------------------------------------------------------------------------- */

/* f(x / s) = f(x) / s for every channel on its own. */
static bool is_homogeneous(const Node *node, int axis)
{
    static const char *const anywhere[] = {"Relu", "LeakyRelu", NULL}, *const in_space[] = {"MaxPool", "AveragePool",
                                                                                            "GlobalAveragePool", NULL};
    for (const char *const *op = anywhere; *op != NULL; op++)
        if (node_is(node, *op))
            return true;
    for (const char *const *op = in_space; axis == 1 && *op != NULL; op++)
        if (node_is(node, *op))
            return node->n_out == 1;
    return node_is(node, "PRelu") && pass_constant(node, 1) != NULL;
}

static bool layer_norm_channels(const Node *node, int64_t *ret)
{
    const Tensor *scale = pass_constant(node, 1), *bias = pass_constant(node, 2);
    if (!node_is(node, "LayerNormalization") || node->n_out != 1 || scale == NULL || scale->rank != 1 || scale->dtype != DT_FLOAT)
        return false;
    if (node_in(node, 2) != NULL && (bias == NULL || bias->rank != 1 || bias->count != scale->count || bias->dtype != DT_FLOAT))
        return false;
    int64_t axis = node_int(node, "axis", -1);
    Shape shape = infer_shape(node, 0);
    if (axis != -1 && (shape.rank < 1 || axis != shape.rank - 1))
        return false;
    *ret = scale->count;
    return true;
}

static bool begins(Node *node, Link *ret)
{
    AffineTarget target;
    *ret = (Link){.producer = node, .axis = -1};
    if (node->n_out < 1 || node->out[0] == NULL || !value_is_float(node->out[0]))
        return false;
    ret->first = ret->value = node->out[0];
    if (layer_norm_channels(node, &ret->channels))
        return true;
    if (!affine_accepts(node, &target) || !target.takes_shift) /* a MatMul's bias stands in an Add behind it */
        return false;
    ret->channels = target.channels;
    ret->axis = is_convolution(node) ? 1 : -1;
    return true;
}

/* Follows the value past homogeneous ops to readers that all take the factors. */
static bool find_link(Node *node, Link *ret)
{
    if (!begins(node, ret))
        return false;
    for (;;) {
        Node *next = value_only_user(ret->value);
        if (next == NULL || next->graph != node->graph || next->in[0] != ret->value || !is_homogeneous(next, ret->axis))
            break;
        ret->value = next->out[0];
    }
    const Value *value = ret->value;
    if (value->n_outputs > 0 || value->n_uses == 0 || value->n_uses > MAX_READERS)
        return false;
    for (size_t i = 0; i < value->n_uses; i++)
        if (!takes_factors(&value->uses[i], ret))
            return false;
    return true;
}

/* ---- factors ----------------------------------------------------------------------------------------------------- */

/* Greatest |weight| of each input channel over the readers, each weight counted in its own greatest. */
static void reader_maxima(const Link *link, double *ret)
{
    for (size_t u = 0; u < link->value->n_uses; u++) {
        const Node *node = link->value->uses[u].node;
        const Tensor *weight = node->in[1]->constant;
        const float *w = weight->data;
        double greatest = 0.0;
        for (int64_t i = 0; i < weight->count; i++)
            greatest = fmax(greatest, fabs((double)w[i]));
        for (int64_t i = 0; greatest > 0.0 && i < weight->count; i++) {
            double *channel = &ret[weight_input_channel(node, weight, i)];
            *channel = fmax(*channel, fabs((double)w[i]) / greatest);
        }
    }
}

/* s (C,), scaled so that the range of the whole value stays what it was. False when there is nothing to gain. */
static bool choose_factors(const Link *link, const Channels *seen, double strength, bool per_channel, Arena *scratch, double *ret)
{
    bool depthwise = per_channel;
    double *weights = arena_array(scratch, (size_t)link->channels, sizeof weights[0]);
    for (size_t u = 0; u < link->value->n_uses; u++)
        depthwise = depthwise && is_depthwise(link->value->uses[u].node);
    reader_maxima(link, weights);
    double a = depthwise ? 1.0 : strength, before = 0.0, after = 0.0, greatest = 0.0;
    for (int64_t c = 0; c < link->channels; c++) {
        double x = (double)seen->max_abs[c], w = weights[c];
        ret[c] = x > 0.0 && (a >= 1.0 || w > 0.0) ? pow(x, a) / (a >= 1.0 ? 1.0 : pow(w, 1.0 - a)) : 0.0;
        greatest = fmax(greatest, ret[c]);
    }
    if (!(greatest > 0.0) || !isfinite(greatest))
        return false;
    for (int64_t c = 0; c < link->channels; c++) {
        ret[c] = fmax(ret[c], greatest / SPREAD);
        before = fmax(before, (double)seen->max_abs[c]);
        after = fmax(after, (double)seen->max_abs[c] / ret[c]);
    }
    bool any = false;
    for (int64_t c = 0; c < link->channels; c++) {
        ret[c] = seen->max_abs[c] > 0.0f ? ret[c] * after / before : 1.0; /* a dead one stays as it is */
        any = any || fabs(ret[c] - 1.0) > 0.1;
    }
    return any;
}

static Status scale_layer_norm(Node *node, const double *factors)
{
    for (int input = 1; input <= 2; input++) {
        const Tensor *from = pass_constant(node, input);
        Tensor *to = NULL;
        if (from == NULL)
            continue;
        TRY(tensor_new(node->graph->model->arena, DT_FLOAT, 1, from->dims, &to));
        for (int64_t c = 0; c < from->count; c++)
            ((float *)to->data)[c] = (float)((double)((const float *)from->data)[c] / factors[c]);
        pass_replace_constant(node, input, to);
    }
    return NULL;
}

static Status scale_producer(PassContext *context, const Link *link, const double *factors)
{
    if (node_is(link->producer, "LayerNormalization"))
        return scale_layer_norm(link->producer, factors);
    double *scale = arena_array(context->scratch, (size_t)link->channels, sizeof scale[0]);
    double *shift = arena_array(context->scratch, (size_t)link->channels, sizeof shift[0]);
    for (int64_t c = 0; c < link->channels; c++)
        scale[c] = 1.0 / factors[c];
    return affine_fold(link->producer, scale, shift);
}

/* A target with one scale for a whole weight. */
static bool is_per_channel(const PassContext *context)
{
    return context->target == NULL || context->target->per_channel;
}

static Status equalize(PassContext *context, const Link *link, ChannelTable *channels)
{
    Channels *seen = channels_get(channels, link->value->name);
    double *factors = arena_array(context->scratch, (size_t)link->channels, sizeof factors[0]);
    if (seen == NULL || seen->n != link->channels || seen->elements == 0 ||
        !choose_factors(link, seen, context->strength, is_per_channel(context), context->scratch, factors))
        return NULL;
    TRY(scale_producer(context, link, factors));
    for (size_t i = 0; i < link->value->n_uses; i++)
        TRY(scale_reader(link->value->uses[i].node, factors));
    for (int64_t c = 0; c < seen->n; c++)
        seen->max_abs[c] = (float)((double)seen->max_abs[c] / factors[c]);
    ++*context->changes;
    return NULL;
}

void equalize_list(const Model *model, unsigned kinds, ChannelTable *table)
{
    Link link;
    for (Node *node = model->graph->first; node != NULL; node = node->next)
        if (find_link(node, &link) && (kinds & (node_is(node, "LayerNormalization") ? EQUALIZE_NORMS : EQUALIZE_WEIGHTS)) != 0)
            (void)channels_put(table, link.value->name, link.axis, link.channels);
}

/* What was seen, to be carried along: a value behind the factors has other channels. */
static ChannelTable *copy_channels(const Model *model, const ChannelTable *from)
{
    ChannelTable *table = channels_new();
    Link link;
    for (Node *node = model->graph->first; node != NULL; node = node->next) {
        const Channels *seen = find_link(node, &link) ? channels_get(from, link.value->name) : NULL;
        if (seen == NULL)
            continue;
        Channels *row = channels_put(table, link.value->name, seen->axis, seen->n);
        memcpy(row->max_abs, seen->max_abs, (size_t)seen->n * sizeof row->max_abs[0]);
        row->elements = seen->elements;
    }
    return table;
}

/* A weight with one scale wants its output channels alike too, which the link behind it gives: more than one round. */
static Status run(PassContext *context)
{
    ChannelTable *channels = copy_channels(context->model, context->channels);
    Status status = NULL;
    Link link;
    for (int round = 0; round < (is_per_channel(context) ? 1 : ROUNDS) && status == NULL; round++)
        for (Node *node = context->model->graph->first; node != NULL && status == NULL; node = node->next)
            if (find_link(node, &link))
                status = equalize(context, &link, channels);
    channels_free(channels);
    return status;
}

const Pass pass_equalize_channels = {
    .name = "equalize_channels",
    .stage = PASS_EQUALIZE,
    .summary = "scales channels so that they share one range, by factors that cancel between two weights",
    .run = run,
};
