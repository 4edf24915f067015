/* op_fill.c - tensors that come from a rule instead of data: Constant ConstantOfShape Range EyeLike; and Expand.
 */
#include <math.h>
#include <string.h>

#include "src/ops/family.h"

/* ---- Constant ---------------------------------------------------------------------------------------------------- */

/* The one value attribute as a tensor that points into the attribute. */
static Status constant_value(const Node *node, Tensor *ret)
{
    const Attr *attr = NULL;

    for (int i = 0; i < node->n_attrs && attr == NULL; i++)
        if (strncmp(node->attrs[i].name, "value", 5) == 0 || strcmp(node->attrs[i].name, "sparse_value") == 0)
            attr = &node->attrs[i];
    if (attr == NULL)
        return node_error(node, CODE_MODEL, "has no value attribute");
    switch (attr->kind) {
    case ATTR_TENSOR:
        *ret = *attr->t;
        ret->owned = false;
        return NULL;
    case ATTR_FLOAT:
        return tensor_view(ret, DT_FLOAT, 0, NULL, (void *)(uintptr_t)&attr->f);
    case ATTR_INT:
        return tensor_view(ret, DT_INT64, 0, NULL, (void *)(uintptr_t)&attr->i);
    case ATTR_STRING:
        return tensor_view(ret, DT_STRING, 0, NULL, (void *)(uintptr_t)&attr->s);
    case ATTR_FLOATS:
        return tensor_view(ret, DT_FLOAT, 1, &attr->n, attr->floats);
    case ATTR_INTS:
        return tensor_view(ret, DT_INT64, 1, &attr->n, attr->ints);
    case ATTR_STRINGS:
        return tensor_view(ret, DT_STRING, 1, &attr->n, attr->strings);
    default:
        return node_error(node, CODE_UNSUPPORTED, "attribute '%s': sparse constants are not supported", attr->name);
    }
}

static Status infer_constant(Node *node)
{
    Dim content[INFER_MAX_CONTENT];
    Tensor value;
    Shape shape;
    Status status = constant_value(node, &value);

    if (status != NULL && status_code(status) == CODE_UNSUPPORTED) {
        status_free(status); /* its type is not known; the error comes when it has to run */
        return NULL;
    }
    if (status != NULL)
        return status;
    shape = shape_of_tensor(&value);
    infer_output(node, 0, value.dtype, &shape);
    infer_set_content(node, 0, content, content_of_tensor(&value, content, INFER_MAX_CONTENT));
    return NULL;
}

static Status eval_constant(EvalCtx *ctx)
{
    Tensor value;

    TRY(constant_value(ctx->node, &value));
    return eval_output_alias(ctx, 0, &value, value.rank, value.dims);
}

/* ---- ConstantOfShape --------------------------------------------------------------------------------------------- */

static Status infer_constant_of_shape(Node *node)
{
    const Attr *attr = node_attr(node, "value");
    Dim content[TENSOR_MAX_RANK], elements[INFER_MAX_CONTENT];
    Shape shape = {.rank = infer_content(node, 0, content, TENSOR_MAX_RANK)};
    const Tensor *value = attr != NULL && attr->kind == ATTR_TENSOR ? attr->t : NULL;

    for (int i = 0; i < shape.rank; i++) {
        int64_t size;
        if (content_literal(content[i], &size) && size < 0)
            return node_error(node, CODE_MODEL, "shape holds the size %lld", (long long)size);
        shape.dims[i] = content_to_dim(content[i]);
    }
    infer_output(node, 0, value != NULL ? value->dtype : DT_FLOAT, &shape);
    if (value != NULL && value->count == 1 && (value->dtype == DT_INT64 || value->dtype == DT_INT32) &&
        shape.rank == 1 && dim_is_known(shape.dims[0]) && shape.dims[0].size <= INFER_MAX_CONTENT) {
        for (int64_t i = 0; i < shape.dims[0].size; i++)
            elements[i] = content_element(tensor_get_int(value, 0));
        infer_set_content(node, 0, elements, (int)shape.dims[0].size);
    }
    return NULL;
}

static Status eval_constant_of_shape(EvalCtx *ctx)
{
    const Attr *attr = node_attr(ctx->node, "value");
    const Tensor *value = attr != NULL && attr->kind == ATTR_TENSOR ? attr->t : NULL;
    int64_t *dims, n;

    TRY(eval_ints(ctx, 0, &dims, &n));
    if (n > TENSOR_MAX_RANK)
        return eval_error(ctx, CODE_MODEL, "shape has %lld dims, at most %d are supported", (long long)n,
                          TENSOR_MAX_RANK);
    if (value != NULL && value->count != 1)
        return eval_error(ctx, CODE_MODEL, "value has %lld elements, expected one", (long long)value->count);
    TRY(eval_output(ctx, 0, value != NULL ? value->dtype : DT_FLOAT, (int)n, dims));
    if (ctx->out[0].count == 0)
        return NULL;
    if (value != NULL && dtype_bits(value->dtype) < 8 && value->dtype != DT_STRING)
        for (int64_t i = 0; i < ctx->out[0].count; i++)
            tensor_set(&ctx->out[0], i, tensor_get(value, 0)); /* exact: these types fit a double */
    else if (value != NULL && value->dtype == DT_STRING)
        strided_fill(ctx->out[0].data, ctx->out[0].count, value->data, sizeof(TensorString));
    else if (value != NULL)
        strided_fill(ctx->out[0].data, ctx->out[0].count, value->data, (size_t)dtype_bits(value->dtype) / 8);
    else
        memset(ctx->out[0].data, 0, ctx->out[0].bytes);
    return NULL;
}

/* ---- Range: start, start + delta, ... below limit ---------------------------------------------------------------- */

static int64_t range_count(double start, double limit, double delta)
{
    double n = ceil((limit - start) / delta);

    return n > 0 ? (n < 9e18 ? (int64_t)n : INT64_MAX) : 0;
}

static Status infer_range(Node *node)
{
    Dim content[3], elements[INFER_MAX_CONTENT];
    Shape shape = {.rank = 1, .dims = {DIM_UNKNOWN}};
    DType dtype = infer_dtype(node, 0);
    int64_t numbers[3], n = -1;
    bool known = true, whole = dtype == DT_INT64 || dtype == DT_INT32 || dtype == DT_INT16;

    for (int i = 0; i < 3; i++) {
        content[i] = DIM_UNKNOWN;
        if (infer_content(node, i, &content[i], 1) != 1)
            content[i] = DIM_UNKNOWN;
        known = content_literal(content[i], &numbers[i]) && known;
    }
    if (known && numbers[2] != 0 && (whole || dtype == DT_FLOAT || dtype == DT_DOUBLE)) {
        n = range_count((double)numbers[0], (double)numbers[1], (double)numbers[2]);
        shape.dims[0] = dim_known(n);
    } else if (content_literal(content[0], &numbers[0]) && numbers[0] == 0 &&
               content_literal(content[2], &numbers[2]) && numbers[2] == 1) {
        shape.dims[0] = content_to_dim(content[1]); /* Range(0, N, 1) has N elements */
    }
    infer_output(node, 0, dtype, &shape);
    if (n >= 0 && n <= INFER_MAX_CONTENT && whole) {
        for (int64_t i = 0; i < n; i++)
            elements[i] = content_element((int64_t)((uint64_t)numbers[0] + (uint64_t)i * (uint64_t)numbers[2]));
        infer_set_content(node, 0, elements, (int)n);
    }
    return NULL;
}

/* Integers wrap on the way, in uint64_t; the elements themselves lie between start and limit. */
#define RANGE_FILL(suffix, T, wide)                                                                                  \
    static void range_##suffix(const void *start, const void *delta, int64_t n, void *out)                             \
    {                                                                                                                  \
        T first = *(const T *)start, step = *(const T *)delta, *y = out;                                               \
        for (int64_t i = 0; i < n; i++)                                                                                \
            y[i] = (T)((wide)first + (wide)i * (wide)step);                                                           \
    }
typedef void (*RangeFill)(const void *start, const void *delta, int64_t n, void *out);
FAMILY_FLOATS(RANGE_FILL, double)
RANGE_FILL(INT16, int16_t, uint64_t)
RANGE_FILL(INT32, int32_t, uint64_t)
RANGE_FILL(INT64, int64_t, uint64_t)
static const RangeFill range_fills[FAMILY_DTYPES] = {
    FAMILY_FLOATS(FAMILY_ENTRY, range)[DT_INT16] = range_INT16,
    [DT_INT32] = range_INT32,
    [DT_INT64] = range_INT64,
};

static Status eval_range(EvalCtx *ctx)
{
    DType dtype = ctx->in[0]->dtype;
    int64_t n;

    for (int i = 0; i < 3; i++) {
        TRY(eval_require_same_dtype(ctx, 0, i));
        if (ctx->in[i]->count != 1)
            return eval_error(ctx, CODE_MODEL, "input %d has %lld elements, expected a scalar", i,
                              (long long)ctx->in[i]->count);
    }
    if (range_fills[dtype] == NULL)
        return eval_bad_dtype(ctx, 0);
    if (tensor_get(ctx->in[2], 0) == 0)
        return eval_error(ctx, CODE_MODEL, "delta is 0");
    n = range_count(tensor_get(ctx->in[0], 0), tensor_get(ctx->in[1], 0), tensor_get(ctx->in[2], 0));
    TRY(eval_output(ctx, 0, dtype, 1, &n));
    range_fills[dtype](ctx->in[0]->data, ctx->in[2]->data, n, ctx->out[0].data);
    return NULL;
}

/* ---- Expand ------------------------------------------------------------------------------------------------------ */

static Status infer_expand(Node *node)
{
    Dim content[TENSOR_MAX_RANK], elements[INFER_MAX_CONTENT];
    Shape in = infer_shape(node, 0), to = {.rank = infer_content(node, 1, content, TENSOR_MAX_RANK)}, out;
    Status status;
    int n;

    for (int i = 0; i < to.rank; i++)
        to.dims[i] = content_to_dim(content[i]);
    status = shape_broadcast(&in, &to, &out);
    if (status != NULL) {
        Arena *arena = node->graph->model->arena;
        status_free(status);
        return node_error(node, CODE_MODEL, "%s does not expand to %s", shape_text(arena, &in), shape_text(arena, &to));
    }
    infer_output(node, 0, infer_dtype(node, 0), &out);
    n = infer_content(node, 0, elements, 1);
    if (n == 1 && out.rank == 1 && dim_is_known(out.dims[0]) && out.dims[0].size <= INFER_MAX_CONTENT) {
        for (int64_t i = 1; i < out.dims[0].size; i++)
            elements[i] = elements[0];
        infer_set_content(node, 0, elements, (int)out.dims[0].size);
    }
    return NULL;
}

static Status eval_expand(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t dims[TENSOR_MAX_RANK], from[TENSOR_MAX_RANK], to[TENSOR_MAX_RANK], *shape, n;
    size_t bytes;
    int rank;

    TRY(eval_element_bytes(ctx, 0, &bytes));
    TRY(eval_ints(ctx, 1, &shape, &n));
    if (n > TENSOR_MAX_RANK)
        return eval_error(ctx, CODE_MODEL, "shape has %lld dims, at most %d are supported", (long long)n,
                          TENSOR_MAX_RANK);
    rank = MAX((int)n, x->rank);
    for (int i = 0; i < rank; i++) {
        int own = i - (rank - x->rank), given = i - (rank - (int)n);
        int64_t a = own < 0 ? 1 : x->dims[own], b = given < 0 ? 1 : shape[given];
        if (a != b && a != 1 && b != 1)
            return eval_error(ctx, CODE_MODEL, "size %lld of axis %d does not expand to %lld", (long long)a, i,
                              (long long)b);
        dims[i] = a == 1 ? b : a;
        from[i] = a == 1 ? 0 : count_of(x->dims, own + 1, x->rank);
    }
    TRY(eval_output(ctx, 0, x->dtype, rank, dims));
    row_major_strides(rank, dims, to);
    strided_copy_shared(ctx->team, ctx->out[0].data, to, x->data, from, rank, dims, bytes);
    return NULL;
}

/* ---- EyeLike ----------------------------------------------------------------------------------------------------- */

static Status eye_dtype(const Node *node, DType like, DType *ret)
{
    int64_t dtype = node_int(node, "dtype", (int64_t)like);

    if (dtype <= 0 || dtype > DT_LAST)
        return node_error(node, CODE_MODEL, "there is no type %lld", (long long)dtype);
    *ret = (DType)dtype;
    return NULL;
}

static Status infer_eye_like(Node *node)
{
    Shape shape = infer_shape(node, 0);
    DType dtype = infer_dtype(node, 0);

    if (dtype != DT_UNDEFINED || node_attr(node, "dtype") != NULL)
        TRY(eye_dtype(node, dtype, &dtype));
    infer_output(node, 0, dtype, &shape);
    return NULL;
}

static Status eval_eye_like(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t k = node_int(ctx->node, "k", 0);
    DType dtype;

    TRY(eye_dtype(ctx->node, x->dtype, &dtype));
    if (x->rank != 2)
        return eval_error(ctx, CODE_MODEL, "input has rank %d, expected 2", x->rank);
    if (!dtype_is_float(dtype) && dtype != DT_BOOL && (!dtype_is_integer(dtype) || dtype_bits(dtype) < 8))
        return eval_error(ctx, CODE_UNSUPPORTED, "type %s is not supported", dtype_name(dtype));
    TRY(eval_output(ctx, 0, dtype, 2, x->dims));
    if (ctx->out[0].bytes > 0)
        memset(ctx->out[0].data, 0, ctx->out[0].bytes);
    for (int64_t row = 0; row < x->dims[0]; row++)
        if (k < x->dims[1] && k > -x->dims[0] && row + k >= 0 && row + k < x->dims[1])
            tensor_set(&ctx->out[0], row * x->dims[1] + row + k, 1);
    return NULL;
}

static const AttrSpec constant_attrs[] = {
    {"value", ATTR_TENSOR, false},
    {"sparse_value", ATTR_SPARSE_TENSOR, false},
    {"value_float", ATTR_FLOAT, false},
    {"value_floats", ATTR_FLOATS, false},
    {"value_int", ATTR_INT, false},
    {"value_ints", ATTR_INTS, false},
    {"value_string", ATTR_STRING, false},
    {"value_strings", ATTR_STRINGS, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec constant_of_shape_attrs[] = {{"value", ATTR_TENSOR, false}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec eye_like_attrs[] = {
    {"dtype", ATTR_INT, false}, {"k", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};

const OpDef op_constant = {
    .type = "Constant", .domain = "", .versions = {1, 9, 11, 12, 13, 19, 21, 23, 24, 25}, .min_in = 0, .max_in = 0,
    .min_out = 1, .max_out = 1, .attrs = constant_attrs, .infer = infer_constant, .eval = eval_constant,
    .quant = RULE_FLOAT,
};
const OpDef op_constantofshape = {
    .type = "ConstantOfShape", .domain = "", .versions = {9, 20, 21, 23, 24, 25}, .min_in = 1, .max_in = 1,
    .min_out = 1, .max_out = 1, .attrs = constant_of_shape_attrs, .infer = infer_constant_of_shape,
    .eval = eval_constant_of_shape, .quant = RULE_FLOAT,
};
const OpDef op_range = {
    .type = "Range", .domain = "", .versions = {11}, .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
    .infer = infer_range, .eval = eval_range, .quant = RULE_FLOAT,
};
const OpDef op_expand = {
    .type = "Expand", .domain = "", .versions = {8, 13}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .infer = infer_expand, .eval = eval_expand, .quant = RULE_SAME_SCALE,
};
const OpDef op_eyelike = {
    .type = "EyeLike", .domain = "", .versions = {9, 22}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .attrs = eye_like_attrs, .infer = infer_eye_like, .eval = eval_eye_like, .quant = RULE_FLOAT,
};
