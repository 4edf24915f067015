/* quantize_bias.c - what rounding the weights adds to the mean of an output goes into the bias.
 *
 *     y = W x + b          Q(W) x + b'          b' = b + (W - Q(W)) E[x]
 *
 * E[x] is the mean of each input channel, from calibration. The rounding errors of a channel's few weights do not cancel, least
 * of all in a depthwise convolution with its nine, and x behind a Relu has a mean: the sum is off by the same amount everywhere.
 * (The borders of a padded image see less of it.) Sources: Nagel et al. 2019, Banner et al. 2019.
 */
#include "passes/pass.h"
#include "passes/quantize.h"
#include "passes/weight_channels.h"

#include <math.h>

static bool takes_correction(const Node *node)
{
    const Tensor *weight = node_constant(node, 1);
    bool known = node_is(node, "Conv") || node_is(node, "ConvTranspose") || node_is(node, "Gemm");
    return known && weight != NULL && weight->dtype == DT_FLOAT && weight->rank >= 2 && weight->count > 0 &&
           node_int(node, "transA", 0) == 0;
}

void quantize_bias_list(const Model *model, ChannelTable *table)
{
    for (const Node *node = model->graph->first; node != NULL; node = node->next)
        if (takes_correction(node) && node->in[0]->constant == NULL)
            (void)channels_put(table, node->in[0]->name, node_is(node, "Gemm") ? -1 : 1,
                               weight_input_channels(node, node->in[1]->constant));
}

/* Of the kernel's elements an output of a strided ConvTranspose sees only one in so many. */
static double overlap(const Node *node)
{
    const Attr *strides = node_is(node, "ConvTranspose") ? node_attr(node, "strides") : NULL;
    double product = 1.0;
    for (int64_t i = 0; strides != NULL && i < strides->n; i++)
        product *= (double)MAX(strides->ints[i], 1);
    return 1.0 / product;
}

static int64_t scale_of(const Tensor *weight, int axis, int64_t i)
{
    int64_t inner = 1;
    if (axis < 0)
        return 0;
    for (int d = axis + 1; d < weight->rank; d++)
        inner *= weight->dims[d];
    return i / inner % weight->dims[axis];
}

Status quantize_correct_bias(PassContext *context, Node *node, const Tensor *q, const Tensor *scales, int axis)
{
    const ValueDecision *input = quant_value_decision(context->plan, node->in[0]);
    const Channels *seen = input == NULL || input->name == NULL ? NULL : channels_get(context->channels, input->name);
    if (!takes_correction(node) || seen == NULL || seen->elements == 0)
        return NULL;
    const Tensor *weight = node->in[1]->constant, *bias = node_constant(node, 2);
    int64_t n = weight_output_channels(node, weight);
    if (seen->n != weight_input_channels(node, weight) || (node_in(node, 2) != NULL && (bias == NULL || bias->count != n)))
        return NULL;
    double share = overlap(node), *missing = arena_array(context->scratch, (size_t)n, sizeof missing[0]);
    const float *w = weight->data, *s = scales->data;
    for (int64_t i = 0; i < weight->count; i++) {
        double error = (double)w[i] - (double)s[scale_of(weight, axis, i)] * ((const int8_t *)q->data)[i];
        double mean = seen->sum[weight_input_channel(node, weight, i)] / (double)seen->elements;
        missing[weight_output_channel(node, weight, i)] += error * mean * share;
    }
    Tensor *corrected = NULL;
    TRY(tensor_new(context->model->arena, DT_FLOAT, 1, &n, &corrected));
    for (int64_t c = 0; c < n; c++) {
        double before = bias == NULL ? 0.0 : (double)((const float *)bias->data)[c];
        ((float *)corrected->data)[c] = (float)(isfinite(missing[c]) ? before + missing[c] : before);
    }
    pass_replace_constant(node, 2, corrected);
    return NULL;
}
