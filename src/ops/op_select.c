/* op_select.c - Where, Compress, NonZero, OneHot, Trilu: elements taken, listed or blanked by a condition.
 */
#include <string.h>

#include "src/ops/family.h"

/* ---- Where: y = condition ? a : b, broadcast --------------------------------------------------------------------- */

typedef struct Wide {
    uint64_t a, b;
} Wide;

#define WHERE_ROW(suffix, T)                                                                                           \
    static void where_##suffix(int64_t n, const void *const *in, const int64_t *step, void *out)                       \
    {                                                                                                                  \
        const uint8_t *condition = in[0];                                                                              \
        const T *a = in[1], *b = in[2];                                                                                \
        T *y = out;                                                                                                    \
        for (int64_t i = 0; i < n; i++)                                                                                \
            y[i] = condition[i * step[0]] != 0 ? a[i * step[1]] : b[i * step[2]];                                      \
    }
WHERE_ROW(1, uint8_t)
WHERE_ROW(2, uint16_t)
WHERE_ROW(4, uint32_t)
WHERE_ROW(8, uint64_t)
WHERE_ROW(16, Wide)
static const BroadcastRow where_rows[17] = {
    [1] = where_1, [2] = where_2, [4] = where_4, [8] = where_8, [16] = where_16};

static Status eval_where(EvalCtx *ctx)
{
    Broadcast plan;
    size_t bytes;

    TRY(eval_require_dtype(ctx, 0, DT_BOOL));
    TRY(eval_require_same_dtype(ctx, 1, 2));
    TRY(eval_element_bytes(ctx, 1, &bytes));
    TRY(broadcast_plan(ctx, ctx->in, 3, &plan));
    TRY(eval_output(ctx, 0, ctx->in[1]->dtype, plan.out_rank, plan.out_dims));
    broadcast_run(ctx->team, &plan, ctx->in, ctx->out[0].data, bytes, where_rows[bytes]);
    return NULL;
}

static Status infer_where(Node *node)
{
    Dim content[3][INFER_MAX_CONTENT];
    int count[3], n = 1;
    Shape shape;

    TRY(infer_broadcast(node));
    if (node->out[0] == NULL)
        return NULL;
    shape = node->out[0]->type.shape;
    infer_output(node, 0, infer_dtype(node, infer_dtype(node, 1) != DT_UNDEFINED ? 1 : 2), &shape);
    for (int i = 0; i < 3; i++) {
        count[i] = infer_content(node, i, content[i], INFER_MAX_CONTENT);
        if (count[i] < 0 || (count[i] != 1 && n != 1 && count[i] != n))
            return NULL;
        n = count[i] != 1 ? count[i] : n;
    }
    for (int i = n - 1; i >= 0; i--) { /* from the end: content[0] is written over, its one element read last */
        Dim a = content[1][count[1] == 1 ? 0 : i], b = content[2][count[2] == 1 ? 0 : i];
        int64_t choice;
        if (content_literal(content[0][count[0] == 1 ? 0 : i], &choice))
            content[0][i] = choice != 0 ? a : b;
        else
            content[0][i] = dim_equal(a, b) ? a : DIM_UNKNOWN;
    }
    infer_set_content(node, 0, content[0], n);
    return NULL;
}

/* ---- Compress ---------------------------------------------------------------------------------------------------- */

static Status infer_compress(Node *node)
{
    Shape in = infer_shape(node, 0), out = {.rank = 1, .dims = {DIM_UNKNOWN}};
    int axis;

    if (node_attr(node, "axis") != NULL) {
        out = in;
        if (in.rank >= 0) {
            TRY(infer_axis(node, node_int(node, "axis", 0), in.rank, &axis));
            out.dims[axis] = DIM_UNKNOWN;
        }
    }
    infer_output(node, 0, infer_dtype(node, 0), &out);
    return NULL;
}

static Status eval_compress(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0], *condition = ctx->in[1];
    bool flat = node_attr(ctx->node, "axis") == NULL;
    const uint8_t *wanted = condition->data;
    int64_t dims[TENSOR_MAX_RANK], size, outer, kept = 0, n;
    size_t bytes, inner;
    char *to;
    int axis = 0;

    TRY(eval_element_bytes(ctx, 0, &bytes));
    TRY(eval_require_dtype(ctx, 1, DT_BOOL));
    if (!flat)
        TRY(eval_axis(ctx, node_int(ctx->node, "axis", 0), x->rank, &axis));
    size = flat ? x->count : x->dims[axis];
    if (condition->rank != 1 || condition->count > size)
        return eval_error(ctx, CODE_MODEL, "condition has %lld elements for an axis of %lld",
                          (long long)condition->count, (long long)size);
    n = condition->count;
    for (int64_t i = 0; i < n; i++)
        kept += wanted[i] != 0;
    for (int k = 0; k < x->rank; k++)
        dims[k] = x->dims[k];
    dims[flat ? 0 : axis] = kept;
    TRY(eval_output(ctx, 0, x->dtype, flat ? 1 : x->rank, dims));
    if (ctx->out[0].count == 0)
        return NULL;
    outer = flat ? 1 : count_of(x->dims, 0, axis);
    inner = flat ? bytes : (size_t)count_of(x->dims, axis + 1, x->rank) * bytes;
    to = ctx->out[0].data;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < n; i++)
            if (wanted[i] != 0) {
                memcpy(to, (const char *)x->data + (size_t)(o * size + i) * inner, inner);
                to += inner;
            }
    return NULL;
}

/* ---- NonZero: indices of the elements that are not zero, (rank, n) ----------------------------------------------- */

static Status infer_non_zero(Node *node)
{
    Shape in = infer_shape(node, 0), out = {.rank = 2, .dims = {DIM_UNKNOWN, DIM_UNKNOWN}};

    if (in.rank >= 0)
        out.dims[0] = dim_known(MAX(in.rank, 1));
    infer_output(node, 0, DT_INT64, &out);
    return NULL;
}

static Status eval_non_zero(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t index[TENSOR_MAX_RANK] = {0}, dims[2] = {MAX(x->rank, 1), 0}, at = 0, *y;

    if (x->dtype == DT_STRING)
        return eval_bad_dtype(ctx, 0);
    for (int64_t i = 0; i < x->count; i++)
        dims[1] += tensor_get(x, i) != 0;
    TRY(eval_output(ctx, 0, DT_INT64, 2, dims));
    y = ctx->out[0].data;
    for (int64_t i = 0; i < x->count; i++) {
        if (tensor_get(x, i) != 0) {
            for (int k = 0; k < (int)dims[0]; k++)
                y[k * dims[1] + at] = index[k];
            at++;
        }
        odometer_next(x->rank, x->dims, index);
    }
    return NULL;
}

/* ---- OneHot ------------------------------------------------------------------------------------------------------ */

static Status one_hot_axis(const Node *node, int rank, int *ret)
{
    return infer_axis(node, node_int(node, "axis", -1), rank + 1, ret);
}

static Status infer_one_hot(Node *node)
{
    Shape in = infer_shape(node, 0), out = shape_unknown();
    Dim depth = DIM_UNKNOWN;
    int axis;

    if (in.rank >= TENSOR_MAX_RANK)
        return node_error(node, CODE_MODEL, "gives a rank above %d", TENSOR_MAX_RANK);
    if (in.rank >= 0) {
        TRY(one_hot_axis(node, in.rank, &axis));
        if (infer_content(node, 1, &depth, 1) != 1)
            depth = DIM_UNKNOWN;
        out.rank = in.rank + 1;
        for (int i = 0; i < out.rank; i++)
            out.dims[i] = i == axis ? content_to_dim(depth) : in.dims[i < axis ? i : i - 1];
    }
    infer_output(node, 0, infer_dtype(node, 2), &out);
    return NULL;
}

static Status eval_one_hot(EvalCtx *ctx)
{
    const Tensor *indices = ctx->in[0], *depth = ctx->in[1], *values = ctx->in[2];
    int64_t dims[TENSOR_MAX_RANK + 1], n, outer, inner;
    size_t bytes;
    int axis;

    TRY(eval_element_bytes(ctx, 2, &bytes));
    TRY(eval_require_number(ctx, 0));
    TRY(eval_require_number(ctx, 1));
    if (depth->count != 1 || values->count != 2)
        return eval_error(ctx, CODE_MODEL, "expects a scalar depth and two values");
    if (indices->rank >= TENSOR_MAX_RANK)
        return eval_error(ctx, CODE_MODEL, "gives a rank above %d", TENSOR_MAX_RANK);
    TRY(one_hot_axis(ctx->node, indices->rank, &axis));
    n = tensor_get_int(depth, 0);
    for (int i = 0; i <= indices->rank; i++)
        dims[i] = i == axis ? n : indices->dims[i < axis ? i : i - 1];
    TRY(eval_output(ctx, 0, values->dtype, indices->rank + 1, dims));
    strided_fill(ctx->out[0].data, ctx->out[0].count, values->data, bytes);
    if (ctx->out[0].count == 0)
        return NULL;
    outer = count_of(dims, 0, axis);
    inner = count_of(dims, axis + 1, indices->rank + 1);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            int64_t at = tensor_get_int(indices, o * inner + i);
            at = at < 0 ? at + n : at;
            if (at >= 0 && at < n) /* others are off everywhere */
                memcpy((char *)ctx->out[0].data + (size_t)((o * n + at) * inner + i) * bytes,
                       (const char *)values->data + bytes, bytes);
        }
    return NULL;
}

/* ---- Trilu: what lies above (or below) the k-th diagonal of each matrix, zero elsewhere -------------------------- */

static Status eval_trilu(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0], *diagonal = eval_in(ctx, 1);
    bool upper = node_int(ctx->node, "upper", 1) != 0;
    int64_t k = 0, rows, columns, matrices;
    size_t bytes;

    TRY(eval_element_bytes(ctx, 0, &bytes));
    TRY(eval_require_dtype(ctx, 1, DT_INT64));
    if (x->rank < 2)
        return eval_error(ctx, CODE_MODEL, "input has rank %d, expected at least 2", x->rank);
    if (diagonal != NULL && diagonal->count != 1)
        return eval_error(ctx, CODE_MODEL, "k has %lld elements, expected a scalar", (long long)diagonal->count);
    TRY(eval_output(ctx, 0, x->dtype, x->rank, x->dims));
    if (x->count == 0)
        return NULL;
    rows = x->dims[x->rank - 2];
    columns = x->dims[x->rank - 1];
    matrices = x->count / (rows * columns);
    if (diagonal != NULL)
        k = MAX(-rows, MIN(columns, tensor_get_int(diagonal, 0)));
    memset(ctx->out[0].data, 0, x->bytes);
    for (int64_t m = 0; m < matrices; m++)
        for (int64_t r = 0; r < rows; r++) {
            int64_t edge = MAX(0, MIN(columns, upper ? r + k : r + k + 1)); /* first column kept, or first dropped */
            int64_t begin = upper ? edge : 0, end = upper ? columns : edge;
            size_t offset = (size_t)((m * rows + r) * columns + begin) * bytes;
            memcpy((char *)ctx->out[0].data + offset, (const char *)x->data + offset, (size_t)(end - begin) * bytes);
        }
    return NULL;
}

static const AttrSpec axis_attrs[] = {{"axis", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec trilu_attrs[] = {{"upper", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};

const OpDef op_where = {
    .type = "Where", .domain = "", .versions = {9, 16}, .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
    .infer = infer_where, .eval = eval_where, .quant = RULE_FLOAT,
};
const OpDef op_compress = {
    .type = "Compress", .domain = "", .versions = {9, 11}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = axis_attrs, .infer = infer_compress, .eval = eval_compress, .quant = RULE_FLOAT,
};
const OpDef op_nonzero = {
    .type = "NonZero", .domain = "", .versions = {9, 13}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .infer = infer_non_zero, .eval = eval_non_zero, .quant = RULE_FLOAT,
};
const OpDef op_onehot = {
    .type = "OneHot", .domain = "", .versions = {9, 11}, .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
    .attrs = axis_attrs, .infer = infer_one_hot, .eval = eval_one_hot, .quant = RULE_FLOAT,
};
const OpDef op_trilu = {
    .type = "Trilu", .domain = "", .versions = {14}, .min_in = 1, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = trilu_attrs, .infer = infer_same_as_input, .eval = eval_trilu, .quant = RULE_FLOAT,
};
