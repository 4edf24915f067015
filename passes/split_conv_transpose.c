/* split_conv_transpose.c - for targets without an integer ConvTranspose, before ranges are measured: all its phases become output
 * channels of one convolution, and then places.
 *
 *     x: N,C,H,W ─ ConvTranspose C,M,kh,kw, strides s,t ─ y: N,M,sH,tW
 *         ==>
 *     x ─ Conv stM,C,.,. ─ Transpose N,H,W,stM ─ Reshape N,H,W,s,tM ─ Transpose N,H,s,W,tM ─ Reshape N,sH,tW,M ─ Transpose ─ y
 *
 * With one spatial axis, or a stride of 1 along the first, a Reshape does it all: what lies next to each other stays so. Place
 * s q + i of the result takes the inputs q + d and the elements k of the kernel with i + p - k = s d, so a phase i is a convolution
 * of the few d that there are, and all phases are one with the union of their d (Shi et al. 2016, "Is the deconvolution layer the
 * same as a convolutional layer?"). Where sizes do not divide, a Slice takes the last places away.
 *
 * The zeros of the union are multiplied, too: 16 by 9 for a kernel of 3 and a stride of 2. In ONNX Runtime, one thread, a decoder
 * of Conv, ConvTranspose, Conv takes 0.66 of the time by it, all else in integers either way, for that kernel; 0.54 to 0.62 for 4
 * and 2, 0.73 to 0.86 for 2 and 2. By way of channels last, blocks are copied as they are; DepthToSpace would move every byte
 * alone (0.93).
 */
#include "passes/places.h"
#include "src/ops/ops.h"

#include <string.h>

#define WORTH 600 /* multiplications for each output row that pay for its copy: a block costs 12 ns, float gives 50 a ns */
#define LEAST_ELEMENTS 4096 /* of the result: with fewer the calls cost more than they save */

/* One spatial axis. */
typedef struct Axis {
    int64_t kernel, stride, pads[2]; /* of the ConvTranspose */
    int64_t first, taps;             /* of the convolution: inputs q + first ... q + first + taps - 1 */
    int64_t conv_pads[2];
    int64_t crop;                    /* places at the end that are too many */
} Axis;

typedef struct Split {
    int axes; /* 1 or 2 */
    Axis axis[2];
    int64_t inputs, outputs; /* C, M */
} Split;

static int64_t divide_up(int64_t a, int64_t b)
{
    return a >= 0 ? (a + b - 1) / b : -(-a / b);
}

static bool is_filled_with(const Node *node, const char *name, int64_t value)
{
    int64_t n;
    const int64_t *list = node_ints(node, name, &n);
    for (int64_t i = 0; i < n; i++)
        if (list[i] != value)
            return false;
    return true;
}

static int64_t attribute(const Node *node, const char *name, int64_t i, int64_t otherwise)
{
    int64_t n;
    const int64_t *list = node_ints(node, name, &n);
    return i < n ? list[i] : otherwise;
}

static bool read_axis(const Node *node, const Tensor *weight, int i, int axes, Axis *ret)
{
    const int64_t most = 1 << 12;
    int64_t extra = attribute(node, "output_padding", i, 0);
    *ret = (Axis){.kernel = weight->dims[2 + i], .stride = attribute(node, "strides", i, 1),
                  .pads = {attribute(node, "pads", i, 0), attribute(node, "pads", axes + i, 0)}};
    if (ret->kernel < 1 || ret->kernel > most || ret->stride < 1 || ret->stride > most || ret->pads[0] < 0 || ret->pads[1] < 0 ||
        ret->pads[0] >= ret->kernel || ret->pads[1] > most || extra < 0 || extra > most)
        return false;
    /* i + p - k = s d, for i from 0 to s - 1 and k from 0 to kernel - 1 */
    ret->first = divide_up(ret->pads[0] - ret->kernel + 1, ret->stride);
    int64_t last = (ret->stride - 1 + ret->pads[0]) / ret->stride;
    int64_t longer = ret->kernel + extra - ret->stride - ret->pads[0] - ret->pads[1]; /* the result is s times the input and this */
    int64_t more = divide_up(longer, ret->stride);
    ret->taps = last - ret->first + 1;
    ret->conv_pads[0] = -ret->first;
    ret->conv_pads[1] = last + more;
    ret->crop = more * ret->stride - longer;
    return ret->conv_pads[1] >= 0;
}

/* A stride far beyond the kernel would make a weight of zeros. */
static bool is_dense(const Split *split)
{
    const int64_t most = 8; /* times the weight */
    int64_t before = 1, after = 1;
    for (int i = 0; i < split->axes; i++) {
        before *= split->axis[i].kernel;
        after *= split->axis[i].stride * split->axis[i].taps;
    }
    return after <= most * before;
}

/* More is saved than the copies cost. */
static bool is_worth_it(const Node *node, const Split *split)
{
    int64_t work = split->inputs * split->outputs;
    for (int i = 0; i < split->axes; i++)
        work *= split->axis[i].kernel;
    bool copies = split->axes == 2 && split->axis[0].stride > 1;
    return pass_has_elements(&node->out[0]->type.shape, 0, LEAST_ELEMENTS) && (!copies || work >= WORTH * split->axis[0].stride);
}

static bool read_split(const Node *node, Split *ret)
{
    const Tensor *weight = pass_constant(node, 1), *bias = pass_constant(node, 2);
    const char *pad = node_string(node, "auto_pad", "NOTSET");
    if (weight == NULL || weight->dtype != DT_FLOAT || (weight->rank != 3 && weight->rank != 4) || weight->count == 0 ||
        node_int(node, "group", 1) != 1 || !is_filled_with(node, "dilations", 1) || node_attr(node, "output_shape") != NULL ||
        (strcmp(pad, "NOTSET") != 0 && strcmp(pad, "VALID") != 0) || infer_shape(node, 0).rank != weight->rank)
        return false;
    *ret = (Split){.axes = weight->rank - 2, .inputs = weight->dims[0], .outputs = weight->dims[1]};
    bool bias_fits = node_in(node, 2) == NULL || (bias != NULL && bias->dtype == DT_FLOAT && bias->count == ret->outputs);
    for (int i = 0; i < ret->axes; i++)
        if (!read_axis(node, weight, i, ret->axes, &ret->axis[i]))
            return false;
    return bias_fits && is_dense(ret) && is_worth_it(node, ret);
}

/* ---- weights --------------------------------------------------------------------------------------------------------- */

/* Along an axis the kernel's element for phase i and tap; -1: none. */
static int64_t element_at(const Axis *axis, int64_t phase, int64_t tap)
{
    int64_t k = phase + axis->pads[0] - axis->stride * (axis->first + tap);
    return k >= 0 && k < axis->kernel ? k : -1;
}

/* (C, M, kernel ...) to (phases M, C, taps ...), phases of the first axis outside. */
static Status phase_weight(Model *model, const Split *split, const Tensor *from, Tensor **ret)
{
    static const Axis none = {.kernel = 1, .stride = 1, .taps = 1};
    const Axis *h = split->axes == 2 ? &split->axis[0] : &none, *w = &split->axis[split->axes - 1];
    int64_t dims[4] = {h->stride * w->stride * split->outputs, split->inputs, h->taps, w->taps};
    if (split->axes == 1)
        dims[2] = w->taps;
    TRY(tensor_new(model->arena, DT_FLOAT, split->axes + 2, dims, ret));
    float *to = (*ret)->data;
    for (int64_t row = 0; row < dims[0]; row++) {
        int64_t m = row % split->outputs, j = row / split->outputs % w->stride, i = row / split->outputs / w->stride;
        for (int64_t c = 0; c < split->inputs; c++)
            for (int64_t y = 0; y < h->taps; y++)
                for (int64_t x = 0; x < w->taps; x++, to++) {
                    int64_t ky = element_at(h, i, y), kx = element_at(w, j, x);
                    const float *kernel = (const float *)from->data + (c * split->outputs + m) * h->kernel * w->kernel;
                    *to = ky < 0 || kx < 0 ? 0.0f : kernel[ky * w->kernel + kx];
                }
    }
    return NULL;
}

static Status phase_bias(Model *model, const Tensor *from, int64_t rows, Tensor **ret)
{
    TRY(tensor_new(model->arena, DT_FLOAT, 1, &rows, ret));
    for (int64_t i = 0; i < rows; i++)
        ((float *)(*ret)->data)[i] = ((const float *)from->data)[i % from->count];
    return NULL;
}

/* ---- nodes ----------------------------------------------------------------------------------------------------------- */

static Status add_conv(Node *node, const Split *split, Value **ret)
{
    Graph *graph = node->graph;
    Model *model = graph->model;
    Tensor *weight, *bias;
    TRY(phase_weight(model, split, pass_constant(node, 1), &weight));
    Value *in[3] = {node->in[0], graph_add_constant(graph, model_fresh_name(model, node->in[1]->name), weight), NULL};
    if (node_in(node, 2) != NULL) {
        TRY(phase_bias(model, pass_constant(node, 2), weight->dims[0], &bias));
        in[2] = graph_add_constant(graph, model_fresh_name(model, node->in[2]->name), bias);
    }
    Node *conv = pass_add_node(graph, node, "Conv", node->name, in[2] != NULL ? 3 : 2, in);
    int64_t pads[4];
    for (int i = 0; i < split->axes; i++) {
        pads[i] = split->axis[i].conv_pads[0];
        pads[split->axes + i] = split->axis[i].conv_pads[1];
    }
    node_set_ints(conv, "pads", pads, 2 * (int64_t)split->axes);
    *ret = conv->out[0];
    return ops_infer_node(conv);
}

/* The channels of x become places: N,C,H,W to N,M,sH,tW. */
static Status add_shuffle(Node *before, const Split *split, Value *x, Value **ret)
{
    Graph *graph = before->graph;
    Value *places = NULL;
    int64_t line[] = {0, -1, split->outputs}, rows[] = {0, 0, -1, split->outputs};
    int64_t blocks[] = {0, 0, 0, split->axis[0].stride, split->axis[1].stride * split->outputs};
    if (split->axes == 1) {
        TRY(places_transpose(before, x, 3, (int64_t[]){0, 2, 1}, &x));
        TRY(places_reshape(before, x, graph_add_ints(graph, "places", 3, line), &x));
        return places_transpose(before, x, 3, (int64_t[]){0, 2, 1}, ret);
    }
    TRY(places_transpose(before, x, 4, (int64_t[]){0, 2, 3, 1}, &x));
    if (split->axis[0].stride == 1) {
        places = graph_add_ints(graph, "places", 4, rows);
    } else {
        TRY(places_shape(before, x, (int64_t[]){split->axis[0].stride, split->axis[1].stride}, split->outputs, &places));
        TRY(places_reshape(before, x, graph_add_ints(graph, "blocks", 5, blocks), &x));
        TRY(places_transpose(before, x, 5, (int64_t[]){0, 1, 3, 2, 4}, &x));
    }
    TRY(places_reshape(before, x, places, &x));
    return places_transpose(before, x, 4, (int64_t[]){0, 3, 1, 2}, ret);
}

static Status add_crop(Node *before, const Split *split, Value *x, Value **ret)
{
    int64_t starts[2] = {0, 0}, ends[2], axes[2] = {2, 3}, any = 0;
    for (int i = 0; i < split->axes; i++) {
        ends[i] = split->axis[i].crop > 0 ? -split->axis[i].crop : INT64_MAX;
        any += split->axis[i].crop;
    }
    *ret = x;
    if (any == 0)
        return NULL;
    Graph *graph = before->graph;
    Value *in[4] = {x, graph_add_ints(graph, "starts", split->axes, starts), graph_add_ints(graph, "ends", split->axes, ends),
                    graph_add_ints(graph, "axes", split->axes, axes)};
    Node *slice = pass_add_node(graph, before, "Slice", "", 4, in);
    *ret = slice->out[0];
    return ops_infer_node(slice);
}

/* What follows element by element stays behind the convolution, where its Q takes it over; NULL: nothing does. */
static Node *find_activation(const Node *node)
{
    static const char *const ops[] = {"Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh"};
    Node *next = node->n_out < 1 || node->out[0] == NULL ? NULL : value_only_user(node->out[0]);
    if (next == NULL || next->graph != node->graph || next->domain[0] != '\0' || next->in[0] != node->out[0])
        return NULL;
    for (int i = 1; i < next->n_in; i++)
        if (next->in[i] != NULL && pass_constant(next, i) == NULL)
            return NULL;
    for (size_t i = 0; i < COUNT_OF(ops); i++)
        if (node_is(next, ops[i]))
            return next;
    return NULL;
}

static Status split_node(PassContext *context, Node *node, Node *activation)
{
    Split split;
    Value *y = NULL;
    if (!node_is(node, "ConvTranspose") || node->out[0] == NULL || !value_is_float(node->out[0]) || !read_split(node, &split))
        return NULL;
    TRY(add_conv(node, &split, &y));
    if (activation != NULL) {
        Node *copy = pass_copy_node(activation, node->graph, node, (Value *[]){y, node_in(activation, 1), node_in(activation, 2)});
        copy->out[0]->type = y->type;
        TRY(ops_infer_node(copy));
        y = copy->out[0];
    }
    if (split.axis[0].stride > 1 || split.axis[split.axes - 1].stride > 1)
        TRY(add_shuffle(node, &split, y, &y));
    TRY(add_crop(node, &split, y, &y));
    ++*context->changes;
    return pass_replace_node(activation != NULL ? activation : node, y);
}

static Status run(PassContext *context)
{
    if (!context->target->requantizes || target_runs(context->target, "ConvTranspose"))
        return NULL;
    for (Node *node = context->model->graph->first, *next; node != NULL; node = next) {
        Node *activation = find_activation(node);
        next = node->next == activation && activation != NULL ? activation->next : node->next;
        TRY(split_node(context, node, activation));
    }
    return NULL;
}

const Pass pass_split_conv_transpose = {
    .name = "split_conv_transpose",
    .stage = PASS_TARGET,
    .summary = "writes ConvTranspose as one Conv for all its phases, whose channels become places",
    .run = run,
};
