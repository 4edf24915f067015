/* affine.c - see affine.h. Computed in double and rounded once.
 *
 *     Conv           W (C, I/g, k...)      b (C,)
 *     ConvTranspose  W (I, C/g, k...)      b (C,)        row i is of group i / (I/g), whose channels start at C/g of it
 *     Gemm           W (K, C) or (C, K)    c (C,), (1, C) or scalar: alpha * A W + beta * c
 *     MatMul         W (K, C)              none
 */
#include "passes/affine.h"

#include "passes/pass.h"

#include <string.h>

/* The weight as rows x channels x inner: channel c of row r is output channel first(r) + c. */
typedef struct Layout {
    int64_t rows, channels, inner;
    int64_t rows_per_group; /* first(r) = r / rows_per_group * channels */
    int bias;               /* its input, -1 when the op has none */
    int64_t out_channels;
} Layout;

static bool read_layout(const Node *node, const Tensor *weight, Layout *ret)
{
    int64_t rows = 1, channels, inner = 1, rows_per_group, group = node_int(node, "group", 1);
    if (weight->count == 0)
        return false;
    if (node_is(node, "Conv")) {
        if (weight->rank < 3)
            return false;
        channels = weight->dims[0];
        rows_per_group = 1;
        group = 1;
    } else if (node_is(node, "ConvTranspose")) {
        if (weight->rank < 3 || group < 1 || weight->dims[0] % group != 0)
            return false;
        rows = weight->dims[0];
        channels = weight->dims[1];
        rows_per_group = rows / group;
    } else if (node_is(node, "Gemm") || node_is(node, "MatMul")) {
        if (weight->rank != 2)
            return false;
        bool transposed = node_is(node, "Gemm") && node_int(node, "transB", 0) != 0;
        rows = transposed ? 1 : weight->dims[0];
        channels = weight->dims[transposed ? 0 : 1];
        rows_per_group = rows;
        group = 1;
    } else {
        return false;
    }
    inner = weight->count / rows / channels;
    *ret = (Layout){rows, channels, inner, rows_per_group, node_is(node, "MatMul") ? -1 : 2, channels * group};
    return true;
}

/* Absent, or a constant with one element or one for each channel, along the last axis. */
static bool bias_is_plain(const Node *node, const Layout *layout, DType dtype)
{
    if (layout->bias < 0 || node_in(node, layout->bias) == NULL)
        return true;
    const Tensor *bias = pass_constant(node, layout->bias);
    if (bias == NULL || bias->dtype != dtype)
        return false;
    return bias->count == 1 || (bias->count == layout->out_channels && bias->rank >= 1 &&
                                bias->dims[bias->rank - 1] == layout->out_channels);
}

bool affine_accepts(const Node *node, AffineTarget *ret)
{
    Layout layout;
    const Tensor *weight = pass_constant(node, 1);
    if (weight == NULL || (weight->dtype != DT_FLOAT && weight->dtype != DT_DOUBLE) || node->n_out != 1 ||
        node->out[0] == NULL || !read_layout(node, weight, &layout) || !bias_is_plain(node, &layout, weight->dtype))
        return false;
    ret->channels = layout.out_channels;
    ret->takes_shift = layout.bias >= 0;
    ret->rank = weight->rank;
    ret->channel_axis = 1;
    if (node_is(node, "MatMul")) {
        const Type *a = &node->in[0]->type;
        ret->rank = a->kind == TYPE_TENSOR ? a->shape.rank : -1;
        ret->channel_axis = -1;
    }
    return true;
}

static Status scale_weight(Node *node, const Layout *layout, const double *scale)
{
    const Tensor *from = node->in[1]->constant;
    Tensor *to;
    TRY(tensor_new(node->graph->model->arena, from->dtype, from->rank, from->dims, &to));
    int64_t at = 0;
    for (int64_t r = 0; r < layout->rows; r++) {
        const double *row_scale = scale + r / layout->rows_per_group * layout->channels;
        for (int64_t c = 0; c < layout->channels; c++) {
            for (int64_t i = 0; i < layout->inner; i++, at++) {
                if (from->dtype == DT_FLOAT)
                    ((float *)to->data)[at] = (float)(((const float *)from->data)[at] * row_scale[c]);
                else
                    ((double *)to->data)[at] = ((const double *)from->data)[at] * row_scale[c];
            }
        }
    }
    pass_replace_constant(node, 1, to);
    return NULL;
}

static Status change_bias(Node *node, const Layout *layout, const double *scale, const double *shift)
{
    const Tensor *from = node_in(node, layout->bias) != NULL ? node->in[layout->bias]->constant : NULL;
    double beta = node_is(node, "Gemm") ? (double)node_float(node, "beta", 1.0f) : 1.0;
    Tensor *to;
    TRY(tensor_new(node->graph->model->arena, node->in[1]->constant->dtype, 1, &layout->out_channels, &to));
    for (int64_t c = 0; c < layout->out_channels; c++) {
        double old = from == NULL ? 0.0 : beta * tensor_get(from, from->count == 1 ? 0 : c);
        tensor_set(to, c, scale[c] * old + shift[c]);
    }
    pass_replace_constant(node, layout->bias, to);
    node_remove_attr(node, "beta");
    return NULL;
}

Status affine_fold(Node *node, const double *scale, const double *shift)
{
    Layout layout;
    if (!read_layout(node, node->in[1]->constant, &layout))
        return NULL;
    bool scales = false, shifts = false;
    for (int64_t c = 0; c < layout.out_channels; c++) {
        scales = scales || scale[c] != 1.0;
        shifts = shifts || shift[c] != 0.0;
    }
    if (scales)
        TRY(scale_weight(node, &layout, scale));
    if (layout.bias >= 0 && (shifts || (scales && node_in(node, layout.bias) != NULL)))
        TRY(change_bias(node, &layout, scale, shift));
    return NULL;
}
