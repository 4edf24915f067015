/* fold_scale_into_next.c - a factor in front of Conv, ConvTranspose, Gemm or MatMul becomes part of its weights.
 *
 *     x -> Mul s -> Conv W, b -> y                 ->      x -> Conv s W, b -> y
 *     x -> Mul s -> Add t -> Conv W, b -> y        ->      x -> Add t/s -> Conv s W, b -> y
 *     x -> Add t -> Conv W, b (no pads) -> y       ->      x -> Conv W, b + t sum(W) -> y
 *
 * s and t have one element. Every reader must take the factor. A factor for each channel stays: it belongs to a
 * normalization that runtimes know as one op, and it would spread the weights of a channel. So does the 0.5 of a GELU
 * written out, x * (1 + erf(..)) * 0.5, which they know too.
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

#include <math.h>
#include <string.h>

#define MAX_READERS 8

static bool all_zero(const Node *node, const char *name)
{
    int64_t n;
    const int64_t *list = node_ints(node, name, &n);
    for (int64_t i = 0; i < n; i++)
        if (list[i] != 0)
            return false;
    return true;
}

/* A weighted op that reads the value as its data and nowhere else. */
static bool takes_scale(const Use *use)
{
    const Node *node = use->node;
    const Tensor *weight = pass_constant(node, 1);
    if (use->input != 0 || weight == NULL || weight->dtype != DT_FLOAT || weight->count == 0 || weight->rank < 2)
        return false;
    if (node_is(node, "Gemm"))
        return node_int(node, "transA", 0) == 0 && weight->rank == 2;
    return node_is(node, "Conv") || node_is(node, "ConvTranspose") || node_is(node, "MatMul");
}

static bool takes_shift(const Use *use)
{
    const Node *node = use->node;
    if (!takes_scale(use) || (!node_is(node, "Conv") && !node_is(node, "Gemm")))
        return false;
    const Value *bias = node_in(node, 2);
    const Tensor *constant = pass_constant(node, 2);
    if (bias != NULL && (constant == NULL || constant->dtype != DT_FLOAT))
        return false;
    if (node_is(node, "Gemm")) {
        int64_t columns = node->in[1]->constant->dims[node_int(node, "transB", 0) != 0 ? 0 : 1];
        return bias == NULL || (constant->rank <= 2 && constant->count == columns &&
                                constant->dims[constant->rank - 1] == columns);
    }
    const char *pad = node_string(node, "auto_pad", "NOTSET");
    return (strcmp(pad, "NOTSET") == 0 || strcmp(pad, "VALID") == 0) && all_zero(node, "pads");
}

static bool every_reader(const Value *value, const Graph *graph, bool (*takes)(const Use *use))
{
    if (value->n_outputs > 0 || value->n_uses == 0 || value->n_uses > MAX_READERS)
        return false;
    for (size_t i = 0; i < value->n_uses; i++)
        if (value->uses[i].node->graph != graph || !takes(&value->uses[i]))
            return false;
    return true;
}

static Status scale_weight(Node *node, double scale)
{
    const Tensor *from = node->in[1]->constant;
    Tensor *to;
    TRY(tensor_new(node->graph->model->arena, DT_FLOAT, from->rank, from->dims, &to));
    for (int64_t i = 0; i < from->count; i++)
        ((float *)to->data)[i] = (float)(((const float *)from->data)[i] * scale);
    pass_replace_constant(node, 1, to);
    return NULL;
}

/* b[c] += shift * sum of the weights of channel c */
static Status shift_bias(Node *node, double shift)
{
    const Tensor *weight = node->in[1]->constant, *old = pass_constant(node, 2);
    bool columns = node_is(node, "Gemm") && node_int(node, "transB", 0) == 0;
    double alpha = node_is(node, "Gemm") ? (double)node_float(node, "alpha", 1.0f) : 1;
    double beta = node_is(node, "Gemm") ? (double)node_float(node, "beta", 1.0f) : 1;
    int64_t channels = weight->dims[columns ? 1 : 0], inner = weight->count / channels;
    Tensor *to;
    TRY(tensor_new(node->graph->model->arena, DT_FLOAT, 1, &channels, &to));
    for (int64_t c = 0; c < channels; c++) {
        double sum = 0;
        for (int64_t i = 0; i < inner; i++)
            sum += (double)((const float *)weight->data)[columns ? i * channels + c : c * inner + i];
        ((float *)to->data)[c] = (float)(alpha * shift * sum + (old == NULL ? 0 : beta * tensor_get(old, c)));
    }
    pass_replace_constant(node, 2, to);
    node_remove_attr(node, "beta");
    return NULL;
}

/* y = scale * x + shift with one of them trivial, from a constant of one element that does not widen x. */
static bool read_affine(const Node *node, int *ret_data, double *scale, double *shift)
{
    double v;
    *scale = 1;
    *shift = 0;
    if (node->n_in != 2 || node->n_out != 1 || node->out[0] == NULL || !value_is_float(node->out[0]))
        return false;
    for (int data = 0; data < 2; data++) {
        if (node_in(node, data) == NULL || !pass_is_scalar_constant(node_in(node, 1 - data), &v) || !isfinite(v) ||
            node->in[1 - data]->constant->rank > MAX(infer_shape(node, data).rank, 0))
            continue;
        *ret_data = data;
        if (node_is(node, "Mul"))
            *scale = v;
        else if (node_is(node, "Div") && data == 0)
            *scale = 1 / v;
        else if (node_is(node, "Add"))
            *shift = v;
        else if (node_is(node, "Sub") && data == 0)
            *shift = -v;
        else
            return false;
        return *scale != 0 && isfinite((float)*scale);
    }
    return false;
}

/* 1 + erf(..) */
static bool is_erf_sum(const Value *value)
{
    const Node *add = value == NULL ? NULL : value->producer;
    if (add == NULL || !node_is(add, "Add"))
        return false;
    for (int i = 0; i < 2; i++)
        if (add->in[i]->producer != NULL && node_is(add->in[i]->producer, "Erf"))
            return true;
    return false;
}

static bool is_gelu(const Value *value)
{
    const Node *product = value->producer;
    return product != NULL && node_is(product, "Mul") && (is_erf_sum(product->in[0]) || is_erf_sum(product->in[1]));
}

static Status fold_scale(PassContext *context, Node *node, int data, const Value *read, double scale)
{
    for (size_t i = 0; i < read->n_uses; i++)
        TRY(scale_weight(read->uses[i].node, scale));
    ++*context->changes;
    return pass_replace_node(node, node->in[data]);
}

/* Mul s -> Add t: the sum of x and t/s, where every reader of it takes s. */
static Status fold_before_add(PassContext *context, Node *node, int data, double scale)
{
    int add_data;
    double one, shift;
    Node *add = value_only_user(node->out[0]);
    if (add == NULL || add->graph != node->graph || !read_affine(add, &add_data, &one, &shift) || one != 1 ||
        add->in[add_data] != node->out[0] || !isfinite((float)(shift / scale)) ||
        !every_reader(add->out[0], node->graph, takes_scale) || fabs(shift / scale) > 1e4)
        return NULL;
    Value *value = graph_add_scalar(node->graph, "shift", DT_FLOAT, shift / scale);
    if (node_is(add, "Sub")) {
        add->op_type = "Add";
        ops_bind_node(add);
    }
    node_set_input(add, 1 - add_data, value);
    return fold_scale(context, node, data, add->out[0], scale);
}

static Status visit(PassContext *context, Node *node)
{
    int data;
    double scale, shift;
    if (!read_affine(node, &data, &scale, &shift) || is_gelu(node->in[data]))
        return NULL;
    if (shift == 0 && scale != 1)
        return every_reader(node->out[0], node->graph, takes_scale)
                   ? fold_scale(context, node, data, node->out[0], scale)
                   : fold_before_add(context, node, data, scale);
    if (shift == 0 || !every_reader(node->out[0], node->graph, takes_shift))
        return NULL;
    for (size_t i = 0; i < node->out[0]->n_uses; i++)
        TRY(shift_bias(node->out[0]->uses[i].node, shift));
    ++*context->changes;
    return pass_replace_node(node, node->in[data]);
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fold_scale_into_next = {
    .name = "fold_scale_into_next",
    .stage = PASS_SIMPLIFY,
    .ops = "Mul Div Add Sub",
    .summary = "a factor in front of Conv, ConvTranspose, Gemm or MatMul becomes part of its weights",
    .run = run,
};
