/* op_shape.c - ops that change a tensor's shape and none of its elements: Reshape Flatten Squeeze Unsqueeze
 * Identity; and those that read it: Shape Size.
 *
 *     Reshape   [N,3,4,4] by [0,-1]  ->  [N,48]       0 copies a dim (unless allowzero), -1 takes what is left
 */
#include "src/ops/family.h"

/* ---- Reshape ----------------------------------------------------------------------------------------------------- */

/* What -1 stands for: the product of the input's dims over that of the output's others; equal names cancel. */
static Dim missing_dim(const Shape *in, const Dim *out, int n_out, int missing)
{
    bool used[TENSOR_MAX_RANK] = {false};
    int64_t dividend = 1, divisor = 1;
    Dim left = dim_known(1);

    for (int o = 0; o < n_out; o++) {
        bool found = dim_is_known(out[o]);
        if (o == missing)
            continue;
        if (found && __builtin_mul_overflow(divisor, out[o].size, &divisor))
            return DIM_UNKNOWN;
        for (int i = 0; i < in->rank && !found; i++)
            if (!used[i] && dim_equal(in->dims[i], out[o]))
                found = used[i] = true;
        /* An unnamed unknown copied by 0 is that of the same place. */
        if (!found && o < in->rank && !used[o] && !dim_is_known(in->dims[o]) && in->dims[o].name == NULL &&
            out[o].name == NULL)
            found = used[o] = true;
        if (!found)
            return DIM_UNKNOWN;
    }
    for (int i = 0; i < in->rank; i++) {
        if (used[i])
            continue;
        if (dim_is_known(in->dims[i])) {
            if (__builtin_mul_overflow(dividend, in->dims[i].size, &dividend))
                return DIM_UNKNOWN;
        } else if (dim_is_known(left)) {
            left = in->dims[i];
        } else {
            return DIM_UNKNOWN;
        }
    }
    if (divisor == 0 || dividend % divisor != 0)
        return DIM_UNKNOWN;
    if (dim_is_known(left))
        return dim_known(dividend / divisor);
    return dividend == divisor ? left : DIM_UNKNOWN;
}

static Status infer_reshape(Node *node)
{
    Dim content[TENSOR_MAX_RANK], elements[INFER_MAX_CONTENT];
    Shape in = infer_shape(node, 0), out = {.rank = -1};
    bool allow_zero = node_int(node, "allowzero", 0) != 0;
    int n = infer_content(node, 1, content, TENSOR_MAX_RANK), missing = -1;

    for (int i = 0; i < n; i++) {
        int64_t size;
        bool literal = content_literal(content[i], &size);
        out.dims[i] = content_to_dim(content[i]);
        if (literal && size < -1)
            return node_error(node, CODE_MODEL, "shape holds the size %lld", (long long)size);
        if (literal && size == -1) {
            if (missing >= 0)
                return node_error(node, CODE_MODEL, "shape holds -1 twice");
            missing = i;
        } else if (literal && size == 0 && !allow_zero) {
            if (in.rank >= 0 && i >= in.rank)
                return node_error(node, CODE_MODEL, "shape copies dim %d of an input of rank %d", i, in.rank);
            out.dims[i] = in.rank >= 0 ? in.dims[i] : DIM_UNKNOWN;
        }
    }
    out.rank = n;
    if (missing >= 0 && in.rank >= 0)
        out.dims[missing] = missing_dim(&in, out.dims, n, missing);
    if (shape_is_known(&in) && shape_is_known(&out) && shape_count(&in) != shape_count(&out)) {
        Arena *arena = node->graph->model->arena;
        return node_error(node, CODE_MODEL, "%s cannot become %s", shape_text(arena, &in), shape_text(arena, &out));
    }
    infer_output(node, 0, infer_dtype(node, 0), &out);
    if (out.rank == 0 || out.rank == 1)
        infer_set_content(node, 0, elements, infer_content(node, 0, elements, INFER_MAX_CONTENT));
    return NULL;
}

static Status eval_reshape(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    bool allow_zero = node_int(ctx->node, "allowzero", 0) != 0;
    int64_t dims[TENSOR_MAX_RANK], known = 1, *shape, n;
    int missing = -1;

    TRY(eval_ints(ctx, 1, &shape, &n));
    if (n > TENSOR_MAX_RANK)
        return eval_error(ctx, CODE_MODEL, "shape has %lld dims, at most %d are supported", (long long)n,
                          TENSOR_MAX_RANK);
    for (int i = 0; i < (int)n; i++) {
        dims[i] = shape[i];
        if (shape[i] == 0 && !allow_zero) {
            if (i >= x->rank)
                return eval_error(ctx, CODE_MODEL, "shape copies dim %d of an input of rank %d", i, x->rank);
            dims[i] = x->dims[i];
        } else if (shape[i] == -1 && missing < 0) {
            missing = i;
            continue;
        }
        if (dims[i] < 0 || __builtin_mul_overflow(known, dims[i], &known))
            return eval_error(ctx, CODE_MODEL, "shape holds the size %lld", (long long)dims[i]);
    }
    if (missing >= 0) {
        if (known == 0 || x->count % known != 0)
            return eval_error(ctx, CODE_MODEL, "%lld elements do not divide by %lld", (long long)x->count,
                              (long long)known);
        dims[missing] = x->count / known;
    }
    return eval_output_alias(ctx, 0, x, (int)n, dims);
}

/* ---- Flatten ----------------------------------------------------------------------------------------------------- */

static Status flatten_axis(const Node *node, int rank, int *ret)
{
    int64_t axis = node_int(node, "axis", 1);

    if (axis < -rank || axis > rank)
        return node_error(node, CODE_MODEL, "axis %lld is out of range for rank %d", (long long)axis, rank);
    *ret = (int)(axis < 0 ? axis + rank : axis);
    return NULL;
}

static Status infer_flatten(Node *node)
{
    Shape in = infer_shape(node, 0), out = {.rank = 2, .dims = {DIM_UNKNOWN, DIM_UNKNOWN}};
    int axis;

    if (in.rank >= 0) {
        TRY(flatten_axis(node, in.rank, &axis));
        out.dims[0] = dim_product(in.dims, axis);
        out.dims[1] = dim_product(in.dims + axis, in.rank - axis);
    }
    infer_output(node, 0, infer_dtype(node, 0), &out);
    return NULL;
}

static Status eval_flatten(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t dims[2];
    int axis;

    TRY(flatten_axis(ctx->node, x->rank, &axis));
    dims[0] = count_of(x->dims, 0, axis);
    dims[1] = count_of(x->dims, axis, x->rank);
    return eval_output_alias(ctx, 0, x, 2, dims);
}

/* ---- Squeeze, Unsqueeze ------------------------------------------------------------------------------------------ */

/* Since opset 13 the axes are input 1, before they were an attribute. */
static int axes_input(const Node *node)
{
    return node->opset >= 13 ? 1 : -1;
}

static Status infer_squeeze(Node *node)
{
    Shape in = infer_shape(node, 0), out = {.rank = 0};
    Dim elements[INFER_MAX_CONTENT];
    int axes[TENSOR_MAX_RANK], n;
    bool drop[TENSOR_MAX_RANK] = {false}, clear = true;

    if (in.rank < 0) {
        infer_output(node, 0, infer_dtype(node, 0), &in);
        return NULL;
    }
    TRY(infer_axes(node, axes_input(node), in.rank, axes, &n));
    for (int i = 0; i < n; i++) {
        Dim dim = in.dims[axes[i]];
        if (dim_is_known(dim) && dim.size != 1)
            return node_error(node, CODE_MODEL, "axis %d has size %lld, only 1 can be squeezed", axes[i],
                              (long long)dim.size);
        drop[axes[i]] = true;
    }
    for (int i = 0; i < in.rank; i++) {
        if (n == 0) {
            clear = clear && dim_is_known(in.dims[i]);
            drop[i] = in.dims[i].size == 1;
        }
        if (!drop[i])
            out.dims[out.rank++] = in.dims[i];
    }
    if (!clear || n < 0)
        out = shape_unknown();
    infer_output(node, 0, infer_dtype(node, 0), &out);
    if (out.rank == 0 || out.rank == 1)
        infer_set_content(node, 0, elements, infer_content(node, 0, elements, INFER_MAX_CONTENT));
    return NULL;
}

static Status eval_squeeze(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int axes[TENSOR_MAX_RANK], n, rank = 0;
    int64_t dims[TENSOR_MAX_RANK];
    bool drop[TENSOR_MAX_RANK] = {false};

    TRY(eval_axes(ctx, axes_input(ctx->node), x->rank, axes, &n));
    for (int i = 0; i < n; i++) {
        if (x->dims[axes[i]] != 1)
            return eval_error(ctx, CODE_MODEL, "axis %d has size %lld, only 1 can be squeezed", axes[i],
                              (long long)x->dims[axes[i]]);
        drop[axes[i]] = true;
    }
    for (int i = 0; i < x->rank; i++)
        if (!(n == 0 ? x->dims[i] == 1 : drop[i]))
            dims[rank++] = x->dims[i];
    return eval_output_alias(ctx, 0, x, rank, dims);
}

static Status infer_unsqueeze(Node *node)
{
    Shape in = infer_shape(node, 0), out = {.rank = 0};
    Dim elements[INFER_MAX_CONTENT], listed[TENSOR_MAX_RANK];
    int axes[TENSOR_MAX_RANK], n = -1, from = 0;
    bool added[TENSOR_MAX_RANK] = {false};
    int64_t n_axes = -1;

    if (axes_input(node) >= 0)
        n_axes = infer_content(node, 1, listed, TENSOR_MAX_RANK);
    else
        node_ints(node, "axes", &n_axes);
    if (n_axes > TENSOR_MAX_RANK - MAX(in.rank, 0))
        return node_error(node, CODE_MODEL, "gives rank %lld, at most %d is supported", (long long)(in.rank + n_axes),
                          TENSOR_MAX_RANK);
    if (in.rank >= 0 && n_axes >= 0)
        TRY(infer_axes(node, axes_input(node), in.rank + (int)n_axes, axes, &n));
    if (n < 0) {
        out = shape_unknown();
        infer_output(node, 0, infer_dtype(node, 0), &out);
        return NULL;
    }
    for (int i = 0; i < n; i++)
        added[axes[i]] = true;
    for (out.rank = 0; out.rank < in.rank + n; out.rank++)
        out.dims[out.rank] = added[out.rank] ? dim_known(1) : in.dims[from++];
    infer_output(node, 0, infer_dtype(node, 0), &out);
    if (out.rank == 1)
        infer_set_content(node, 0, elements, infer_content(node, 0, elements, INFER_MAX_CONTENT));
    return NULL;
}

static Status eval_unsqueeze(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int axes[TENSOR_MAX_RANK], n, from = 0;
    int64_t dims[TENSOR_MAX_RANK], n_axes = 0, *listed;
    bool added[TENSOR_MAX_RANK] = {false};

    if (axes_input(ctx->node) >= 0)
        TRY(eval_ints(ctx, 1, &listed, &n_axes));
    else
        node_ints(ctx->node, "axes", &n_axes);
    if (n_axes < 0 || n_axes > TENSOR_MAX_RANK - x->rank)
        return eval_error(ctx, CODE_MODEL, "%lld axes for an input of rank %d; at most rank %d is supported",
                          (long long)n_axes, x->rank, TENSOR_MAX_RANK);
    TRY(eval_axes(ctx, axes_input(ctx->node), x->rank + (int)n_axes, axes, &n));
    for (int i = 0; i < n; i++)
        added[axes[i]] = true;
    for (int i = 0; i < x->rank + n; i++)
        dims[i] = added[i] ? 1 : x->dims[from++];
    return eval_output_alias(ctx, 0, x, x->rank + n, dims);
}

/* ---- Identity ---------------------------------------------------------------------------------------------------- */

static Status infer_identity(Node *node)
{
    Dim elements[INFER_MAX_CONTENT];

    if (node->out[0] != NULL)
        node->out[0]->type = *infer_type(node, 0);
    infer_set_content(node, 0, elements, infer_content(node, 0, elements, INFER_MAX_CONTENT));
    return NULL;
}

static Status eval_identity(EvalCtx *ctx)
{
    return eval_output_alias(ctx, 0, ctx->in[0], ctx->in[0]->rank, ctx->in[0]->dims);
}

/* ---- Shape, Size ------------------------------------------------------------------------------------------------- */

/* Part [begin, end) of the dims that `start` and `end` select; both are clamped. */
static void shape_range(const Node *node, int rank, int *ret_begin, int *ret_end)
{
    int64_t start = node_int(node, "start", 0), end = node_int(node, "end", rank);

    start = start < 0 ? MAX(start, -rank) + rank : MIN(start, rank);
    end = end < 0 ? MAX(end, -rank) + rank : MIN(end, rank);
    *ret_begin = (int)start;
    *ret_end = (int)MAX(start, end);
}

static Status infer_shape_op(Node *node)
{
    Shape in = infer_shape(node, 0), out = {.rank = 1, .dims = {DIM_UNKNOWN}};
    int begin, end;

    if (in.rank >= 0) {
        shape_range(node, in.rank, &begin, &end);
        out.dims[0] = dim_known(end - begin);
        infer_output(node, 0, DT_INT64, &out);
        infer_set_content(node, 0, in.dims + begin, end - begin);
        return NULL;
    }
    infer_output(node, 0, DT_INT64, &out);
    return NULL;
}

static Status eval_shape(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int begin, end;
    int64_t n;

    shape_range(ctx->node, x->rank, &begin, &end);
    n = end - begin;
    TRY(eval_output(ctx, 0, DT_INT64, 1, &n));
    for (int i = begin; i < end; i++)
        ((int64_t *)ctx->out[0].data)[i - begin] = x->dims[i];
    return NULL;
}

static Status infer_size(Node *node)
{
    Shape in = infer_shape(node, 0), scalar = {.rank = 0};
    Dim product;

    infer_output(node, 0, DT_INT64, &scalar);
    if (in.rank >= 0) {
        product = dim_product(in.dims, in.rank);
        infer_set_content(node, 0, &product, 1);
    }
    return NULL;
}

static Status eval_size(EvalCtx *ctx)
{
    TRY(eval_output(ctx, 0, DT_INT64, 0, NULL));
    *(int64_t *)ctx->out[0].data = ctx->in[0]->count;
    return NULL;
}

static const AttrSpec reshape_attrs[] = {{"allowzero", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec axis_attrs[] = {{"axis", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec axes_attrs[] = {{"axes", ATTR_INTS, false}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec shape_attrs[] = {
    {"start", ATTR_INT, false}, {"end", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};
const OpDef op_reshape = {
    .type = "Reshape", .domain = "", .versions = {5, 13, 14, 19, 21, 23, 24, 25}, .min_in = 2, .max_in = 2,
    .min_out = 1, .max_out = 1, .attrs = reshape_attrs, .infer = infer_reshape, .eval = eval_reshape,
    .quant = RULE_SAME_SCALE,
};
const OpDef op_flatten = {
    .type = "Flatten", .domain = "", .versions = {1, 9, 11, 13, 21, 23, 24, 25}, .min_in = 1, .max_in = 1,
    .min_out = 1, .max_out = 1, .attrs = axis_attrs, .infer = infer_flatten, .eval = eval_flatten,
    .quant = RULE_SAME_SCALE,
};
const OpDef op_squeeze = {
    .type = "Squeeze", .domain = "", .versions = {1, 11, 13, 21, 23, 24, 25}, .min_in = 1, .max_in = 2,
    .min_out = 1, .max_out = 1, .attrs = axes_attrs, .infer = infer_squeeze, .eval = eval_squeeze,
    .quant = RULE_SAME_SCALE,
};
const OpDef op_unsqueeze = {
    .type = "Unsqueeze", .domain = "", .versions = {1, 11, 13, 21, 23, 24, 25}, .min_in = 1, .max_in = 2,
    .min_out = 1, .max_out = 1, .attrs = axes_attrs, .infer = infer_unsqueeze, .eval = eval_unsqueeze,
    .quant = RULE_SAME_SCALE,
};
const OpDef op_identity = {
    .type = "Identity", .domain = "", .versions = {1, 13, 14, 16, 19, 21, 23, 24, 25}, .min_in = 1, .max_in = 1,
    .min_out = 1, .max_out = 1, .infer = infer_identity, .eval = eval_identity, .quant = RULE_SAME_SCALE,
    .lists = true,
};
const OpDef op_shape = {
    .type = "Shape", .domain = "", .versions = {1, 13, 15, 19, 21, 23, 24, 25}, .min_in = 1, .max_in = 1,
    .min_out = 1, .max_out = 1, .attrs = shape_attrs, .infer = infer_shape_op, .eval = eval_shape, .quant = RULE_FLOAT,
};
const OpDef op_size = {
    .type = "Size", .domain = "", .versions = {1, 13, 19, 21, 23, 24, 25}, .min_in = 1, .max_in = 1, .min_out = 1,
    .max_out = 1, .infer = infer_size, .eval = eval_size, .quant = RULE_FLOAT,
};
