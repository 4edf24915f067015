/* restore_twin.c - the float values that quantized ones stand for, see restore.h. */
#include "passes/restore.h"

#include "src/ops/ops.h"

#include <math.h>
#include <string.h>

const Twin *twin_of(const Restorer *restorer, const Value *value)
{
    const Twin *twin = value != NULL && value->id < restorer->n ? &restorer->twins[value->id] : NULL;
    return twin != NULL && twin->real != NULL ? twin : NULL;
}

void twin_set(Restorer *restorer, const Value *value, const Twin *twin)
{
    size_t need = (size_t)value->id + 1;
    if (need > restorer->n) {
        restorer->twins = array_reserve(restorer->twins, &restorer->cap, need, sizeof restorer->twins[0]);
        memset(restorer->twins + restorer->n, 0, (need - restorer->n) * sizeof restorer->twins[0]);
        restorer->n = need;
    }
    restorer->twins[value->id] = *twin;
}

Status restore_refuse(const Node *node, const char *why)
{
    return node_error(node, CODE_UNSUPPORTED, "%s; it cannot be turned back into float", why);
}

Status twin_node(const Node *from, const char *op_type, int n_in, Value *const *in, const char *const *without, Value **ret)
{
    Node *node = pass_add_node(from->graph, (Node *)from, op_type, from->name, n_in, in);
    for (int i = 0; i < from->n_attrs && without != NULL; i++) {
        bool skip = false;
        for (const char *const *name = without; *name != NULL; name++)
            skip = skip || strcmp(*name, from->attrs[i].name) == 0;
        if (!skip)
            *node_add_attr(node, from->attrs[i].name, from->attrs[i].kind) = from->attrs[i];
    }
    *ret = node->out[0];
    return ops_infer_node(node);
}

Status twin_give(Restorer *restorer, Node *node, Value *value, const Twin *twin)
{
    Value *in[] = {twin->real, twin->scale, twin->zero}, *codes;
    twin_set(restorer, value, twin);
    if (value->n_outputs == 0 || twin->scale == NULL) /* sums: an error at the end */
        return NULL;
    TRY(twin_node(node, "QuantizeLinear", twin->zero == NULL ? 2 : 3, in, NULL, &codes));
    twin_set(restorer, codes, twin);
    value_take_name(codes, value);
    return NULL;
}

/* ---- scales ---------------------------------------------------------------------------------------------------------- */

static bool read_scalar(const Value *value, double otherwise, double *ret)
{
    *ret = otherwise;
    return value == NULL || pass_is_scalar_constant(value, ret);
}

static bool same_constant(const Value *a, const Value *b)
{
    double x, y;
    if (a == b)
        return true;
    if (read_scalar(a, NAN, &x) && read_scalar(b, NAN, &y))
        return x == y;
    return a != NULL && b != NULL && pass_value_is_constant(a) && pass_value_is_constant(b) &&
           tensor_equal(a->constant, b->constant);
}

static bool same_scale(const Twin *a, const Twin *b)
{
    bool whole = a->scale == NULL || (pass_value_is_constant(a->scale) && a->scale->constant->count == 1);
    return same_constant(a->scale, b->scale) && same_constant(a->zero, b->zero) &&
           (whole || (a->axis == b->axis && a->block == b->block));
}

static Status scale_and_shift(const Node *reader, double factor, double shift, Value **value)
{
    Graph *graph = reader->graph;
    const struct {
        const char *op_type;
        double operand, neutral;
    } steps[] = {{"Mul", factor, 1.0}, {"Add", shift, 0.0}};
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        if (steps[i].operand == steps[i].neutral)
            continue;
        Value *in[] = {*value, graph_add_float(graph, reader->name, (float)steps[i].operand)};
        TRY(twin_node(reader, steps[i].op_type, 2, in, NULL, value));
    }
    return NULL;
}

/* q = real / scale + zero, read as (q - zero') * scale'. */
static Status rescale(const Node *reader, const Twin *twin, const Twin *as, Value **ret)
{
    double scale, zero, other_scale, other_zero;
    *ret = twin->real;
    if (same_scale(twin, as))
        return NULL;
    if (!read_scalar(twin->scale, 1.0, &scale) || !read_scalar(twin->zero, 0.0, &zero) ||
        !read_scalar(as->scale, 1.0, &other_scale) || !read_scalar(as->zero, 0.0, &other_zero) || !(scale > 0.0))
        return restore_refuse(reader, "reads quantized values with other scales than they were made with");
    return scale_and_shift(reader, other_scale / scale, (zero - other_zero) * other_scale, ret);
}

/* ---- constants ------------------------------------------------------------------------------------------------------- */

static int normal_axis(int axis, int rank)
{
    return axis < 0 ? axis + rank : axis;
}

static Status dequantize(const Node *reader, const Tensor *q, const Twin *as, Tensor **ret)
{
    const Tensor *scale = as->scale == NULL ? NULL : as->scale->constant, *zero = as->zero == NULL ? NULL : as->zero->constant;
    int64_t n = MAX(scale == NULL ? 1 : scale->count, zero == NULL ? 1 : zero->count), inner = 1;
    int axis = normal_axis(as->axis, q->rank);
    if (n > 1 && (axis < 0 || axis >= q->rank || q->dims[axis] != n || (scale != NULL && scale->count != 1 && scale->count != n) ||
                  (zero != NULL && zero->count != 1 && zero->count != n)))
        return node_error(reader, CODE_MODEL, "a constant has scales that do not fit its shape");
    for (int i = axis + 1; n > 1 && i < q->rank; i++)
        inner *= q->dims[i];
    TRY(tensor_new(reader->graph->model->arena, DT_FLOAT, q->rank, q->dims, ret));
    float *to = (*ret)->data;
    for (int64_t i = 0; i < q->count; i++) {
        int64_t c = n > 1 ? i / inner % n : 0;
        double s = scale == NULL ? 1.0 : tensor_get(scale, scale->count == 1 ? 0 : c);
        to[i] = (float)((tensor_get(q, i) - (zero == NULL ? 0.0 : tensor_get(zero, zero->count == 1 ? 0 : c))) * s);
    }
    return NULL;
}

static bool is_constant_or_absent(const Value *value)
{
    return value == NULL || pass_value_is_constant(value);
}

Status twin_read(Restorer *restorer, Node *reader, Value *q, const Twin *as, Value **ret)
{
    const Twin *twin = twin_of(restorer, q);
    if (!is_constant_or_absent(as->scale) || !is_constant_or_absent(as->zero))
        return restore_refuse(reader, "its scales are computed while the model runs");
    if (twin != NULL)
        return rescale(reader, twin, as, ret);
    if (pass_value_is_constant(q)) {
        Tensor *tensor;
        TRY(dequantize(reader, q->constant, as, &tensor));
        *ret = graph_add_constant(reader->graph, model_fresh_name(reader->graph->model, q->name), tensor);
        return NULL;
    }
    Value *in[] = {q, as->scale != NULL ? as->scale : graph_add_float(reader->graph, reader->name, 1.0F), as->zero};
    TRY(twin_node(reader, "DequantizeLinear", as->zero == NULL ? 2 : 3, in, NULL, ret));
    node_set_int((*ret)->producer, "axis", as->axis);
    return NULL;
}

/* ---- bounds ---------------------------------------------------------------------------------------------------------- */

/* Never below 0: the op itself, or when its input 0, or all inputs, are not. */
static bool is_nonnegative(const Value *value, int depth)
{
    static const struct {
        const char *op_type;
        enum { ALWAYS, FIRST, ALL } when;
    } rows[] = {{"Relu", ALWAYS}, {"Sigmoid", ALWAYS}, {"HardSigmoid", ALWAYS}, {"Softmax", ALWAYS}, {"Softplus", ALWAYS},
                {"Abs", ALWAYS}, {"Exp", ALWAYS}, {"Sqrt", ALWAYS}, {"ReduceL1", ALWAYS}, {"ReduceL2", ALWAYS},
                {"ReduceSumSquare", ALWAYS}, {"MaxPool", FIRST}, {"AveragePool", FIRST}, {"GlobalAveragePool", FIRST},
                {"GlobalMaxPool", FIRST}, {"ReduceMean", FIRST}, {"ReduceSum", FIRST}, {"ReduceMax", FIRST}, {"ReduceMin", FIRST},
                {"Reshape", FIRST}, {"Flatten", FIRST}, {"Transpose", FIRST}, {"Squeeze", FIRST}, {"Unsqueeze", FIRST},
                {"Slice", FIRST}, {"Split", FIRST}, {"Gather", FIRST}, {"Expand", FIRST}, {"Tile", FIRST}, {"Identity", FIRST},
                {"DepthToSpace", FIRST}, {"SpaceToDepth", FIRST}, {"Concat", ALL}, {"Add", ALL}, {"Mul", ALL}, {"Max", ALL}};
    const Node *node = value->producer;
    double low;
    if (node == NULL || depth == 0)
        return false;
    if (node_is(node, "Clip"))
        return node_in(node, 1) != NULL && pass_is_scalar_constant(node->in[1], &low) && low >= 0.0;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (!node_is(node, rows[i].op_type))
            continue;
        bool all = true;
        for (int k = 0; k < (rows[i].when == ALL ? node->n_in : rows[i].when == FIRST); k++)
            all = all && node->in[k] != NULL && is_nonnegative(node->in[k], depth - 1);
        return all;
    }
    return false;
}

static bool code_limits(DType dtype, double *low, double *high)
{
    int bits = dtype_bits(dtype);
    if (!dtype_is_integer(dtype) || bits > 16)
        return false;
    bool is_signed = dtype == DT_INT8 || dtype == DT_INT16 || dtype == DT_INT4 || dtype == DT_INT2;
    *low = is_signed ? -ldexp(1.0, bits - 1) : 0.0;
    *high = *low + ldexp(1.0, bits) - 1.0;
    return true;
}

Status twin_clamp(Restorer *restorer, Node *reader, Value *value, const Twin *as, Value **ret)
{
    const int far = 16; /* steps back that are worth looking at */
    double scale, zero, low, high;
    (void)restorer;
    *ret = value;
    DType dtype = as->zero == NULL ? DT_UINT8 : as->zero->type.dtype;
    if (value->constant != NULL || !read_scalar(as->scale, 1.0, &scale) || !read_scalar(as->zero, 0.0, &zero) ||
        !code_limits(dtype, &low, &high) || (zero != low && zero != high))
        return NULL;
    if (zero == low && is_nonnegative(value, far))
        return NULL;
    Graph *graph = reader->graph;
    Value *in[] = {value, graph_add_float(graph, reader->name, (float)((low - zero) * scale)),
                   graph_add_float(graph, reader->name, (float)((high - zero) * scale))};
    return twin_node(reader, "Clip", 3, in, NULL, ret);
}
