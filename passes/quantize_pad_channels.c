/* quantize_pad_channels.c - the first and the last convolutions get the channels that they are quick with.
 *
 *     x ─ Q ─ DQ ─ Conv (3 channels)        ==>      x ─ Q ─ Pad (8 bits, zero point) ─ DQ ─ Conv (4 channels)
 *     Conv (to 6 channels) ─ Q ─ DQ         ==>      Conv (to 16 channels) ─ Q ─ Slice (8 bits) ─ DQ
 *
 * Exact: the new channels have no weights, or nobody reads them. This is align_channels where the channels come from outside or go
 * there; a Pad or Slice of bytes costs little. ONNX Runtime's convolution 3x3 of 3 channels to 32, stride 2, on 224x224: 367 us,
 * of 4 channels 179, the Pad 8. 3x3 of 64 channels to 3 on 40x80: 336 us, to 16 channels 186, the Slice 5. With many positions
 * in its kernel the padding of an input costs as much as it gains. So it does behind a Transpose from channels last, which the
 * runtime takes out and pads pixel by pixel: 21 ns each, a millisecond for 224x224.
 */
#include "passes/pass.h"
#include "passes/quantize.h"
#include "src/ops/ops.h"

#define MOST_POSITIONS 25  /* of a kernel: 5x5 */
#define LEAST_ELEMENTS 256 /* of an output channel */

static int64_t round_up(int64_t n, int64_t step)
{
    return (n + step - 1) / step * step;
}

/* The 8-bit weight of a plain convolution in integers; NULL for other nodes. */
static const Tensor *plain_weight(const Node *conv)
{
    if (!node_is(conv, "Conv") || node_int(conv, "group", 1) != 1 || conv->in[1]->producer == NULL ||
        !node_is(conv->in[1]->producer, "DequantizeLinear"))
        return NULL;
    return pass_constant(conv->in[1]->producer, 0);
}

static int64_t positions_of(const Tensor *weight)
{
    return weight->count / (weight->dims[0] * weight->dims[1]);
}

/* ---- inputs ------------------------------------------------------------------------------------------------------ */

/* The DQ of a value that no integer op gives, in front of a plain convolution that would be quicker with more channels. */
static Node *find_shore(const PassContext *context, const Node *conv)
{
    const Target *target = context->target;
    const Tensor *w = plain_weight(conv);
    Node *dequantize = conv->n_in > 0 && conv->in[0] != NULL ? conv->in[0]->producer : NULL;
    if (w == NULL || dequantize == NULL || !node_is(dequantize, "DequantizeLinear"))
        return NULL;
    const Node *quantize = dequantize->in[0]->producer, *producer = quantize == NULL ? NULL : quantize->in[0]->producer;
    bool quicker = w->dims[1] % target->conv_channels != 0 && w->dims[0] % target->conv_channels == 0 &&
                   w->dims[0] >= target->least_conv_outputs && positions_of(w) > 1 && positions_of(w) <= MOST_POSITIONS;
    bool outside = quantize != NULL && (producer == NULL || (quant_fate(context->plan, producer) == FATE_FLOAT &&
                                                             !node_is(producer, "Transpose")));
    return quicker && outside && node_is(quantize, "QuantizeLinear") ? dequantize : NULL;
}

/* A DQ of the same integers with so many channels in front. */
static Status add_padded(const Node *dequantize, int rank, int64_t more, Value **ret)
{
    Graph *graph = dequantize->graph;
    Model *model = graph->model;
    Value *bytes = dequantize->in[0];
    int64_t pads[2 * TENSOR_MAX_RANK] = {[0] = 0};
    pads[rank + 1] = more;
    Value *padded = graph_value(graph, model_fresh_name(model, arena_printf(model->arena, "%s_padded", bytes->name)));
    Value *real = graph_value(graph, model_fresh_name(model, arena_printf(model->arena, "%s_dequantized", padded->name)));
    Value *amounts = graph_add_ints(graph, "channel_pads", 2 * rank, pads);
    Node *before = dequantize->next;
    TRY(ops_add_node(graph, before, "Pad", "", padded->name, 3, (Value *[]){bytes, amounts, dequantize->in[2]}, padded, NULL));
    *ret = real;
    return ops_add_node(graph, before, "DequantizeLinear", "", real->name, 3,
                        (Value *[]){padded, dequantize->in[1], dequantize->in[2]}, real, NULL);
}

/* Of the convolutions behind one DQ all that gain read the one that is padded. */
static Status pad_readers(PassContext *context, Node *dequantize)
{
    Value *padded = NULL, *plain = dequantize->out[0];
    for (size_t i = plain->n_uses; i-- > 0;) {
        Node *conv = plain->uses[i].node;
        if (plain->uses[i].input != 0 || find_shore(context, conv) != dequantize)
            continue;
        const Tensor *w = conv->in[1]->producer->in[0]->constant;
        int64_t width = round_up(w->dims[1], context->target->conv_channels);
        if (padded == NULL)
            TRY(add_padded(dequantize, w->rank, width - w->dims[1], &padded));
        node_set_input(conv, 0, padded);
        TRY(pass_widen_constant(conv->in[1]->producer, 0, 1, width));
        conv->in[1]->type.shape.dims[1] = dim_known(width);
        ++*context->changes;
    }
    if (plain->n_uses == 0 && plain->n_outputs == 0)
        node_remove(dequantize);
    return NULL;
}

/* ---- outputs ----------------------------------------------------------------------------------------------------- */

/* The Q behind a plain convolution that would be quicker with more outputs, and how many; NULL: it would not. */
static Node *find_narrow(const PassContext *context, const Node *conv, int64_t *ret_width)
{
    const Target *target = context->target;
    const Tensor *w = plain_weight(conv);
    Node *quantize = w == NULL ? NULL : value_only_user(conv->out[0]);
    if (quantize == NULL || !node_is(quantize, "QuantizeLinear"))
        return NULL;
    bool scalar = w->dims[0] == 1 && w->dims[1] == 1; /* goes the way of depthwise ones, and the slow one there */
    *ret_width = MAX(round_up(w->dims[0], target->conv_channels), target->least_conv_outputs);
    int64_t elements = shape_area(&conv->out[0]->type.shape);
    return *ret_width != w->dims[0] && (scalar || w->dims[1] % target->conv_channels == 0) && positions_of(w) > 1 &&
                   (elements < 0 || elements >= LEAST_ELEMENTS)
               ? quantize
               : NULL;
}

/* A constant operand of the convolution behind its DQ: zeros to `width` channels, their scales as given. */
static Status widen_rows(Node *dequantize, int64_t width, double scale)
{
    int64_t before = dequantize->in[0]->constant->dims[0];
    TRY(pass_widen_constant(dequantize, 0, 0, width));
    dequantize->out[0]->type.shape.dims[0] = dim_known(width);
    for (int i = 1; i < dequantize->n_in && node_attr(dequantize, "axis") != NULL; i++)
        if (dequantize->in[i] != NULL)
            TRY(pass_widen_constant(dequantize, i, 0, width));
    const Tensor *scales = dequantize->in[1]->constant;
    for (int64_t c = before; c < scales->count; c++)
        tensor_set(dequantize->in[1]->constant, c, scale);
    return NULL;
}

static Status widen_outputs(PassContext *context, Node *conv, Node *quantize, int64_t width)
{
    Model *model = context->model;
    Graph *graph = conv->graph;
    int64_t channels = conv->in[1]->producer->in[0]->constant->dims[0];
    TRY(widen_rows(conv->in[1]->producer, width, 1.0));
    if (node_in(conv, 2) != NULL) /* the runtime looks for the scale of input times weight */
        TRY(widen_rows(conv->in[2]->producer, width, tensor_get(conv->in[0]->producer->in[1]->constant, 0)));
    Value *bytes = quantize->out[0];
    conv->out[0]->type.shape.dims[1] = bytes->type.shape.dims[1] = dim_known(width);
    static const char *const names[] = {"slice_starts", "slice_ends", "slice_axes"};
    const int64_t bounds[] = {0, channels, 1};
    Value *in[4] = {bytes};
    for (int i = 0; i < 3; i++)
        in[i + 1] = graph_add_ints(graph, names[i], 1, &bounds[i]);
    Value *sliced = graph_value(graph, model_fresh_name(model, arena_printf(model->arena, "%s_sliced", bytes->name)));
    Node *slice = NULL;
    TRY(ops_add_node(graph, quantize->next, "Slice", "", sliced->name, 4, in, sliced, &slice));
    for (size_t i = bytes->n_uses; i-- > 0;)
        if (bytes->uses[i].node != slice)
            node_set_input(bytes->uses[i].node, bytes->uses[i].input, sliced);
    ++*context->changes;
    return NULL;
}

static Status run(PassContext *context)
{
    if (context->target->conv_channels == 0)
        return NULL;
    for (Node *node = context->model->graph->first; node != NULL; node = node->next) {
        int64_t width;
        Node *quantize = find_narrow(context, node, &width);
        if (quantize != NULL && (node_in(node, 2) == NULL || node->in[2]->producer != NULL))
            TRY(widen_outputs(context, node, quantize, width));
    }
    for (Node *node = context->model->graph->first, *next; node != NULL; node = next) {
        next = node->next;
        Node *dequantize = find_shore(context, node);
        if (dequantize != NULL)
            TRY(pad_readers(context, dequantize));
    }
    return NULL;
}

const Pass pass_quantize_pad_channels = {
    .name = "quantize_pad_channels",
    .stage = PASS_QUANTIZE,
    .summary = "pads the 8-bit inputs and outputs of the first and last convolutions to the channels that they are quick with",
    .run = run,
};
