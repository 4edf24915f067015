/* op_transpose.c - Transpose, DepthToSpace, SpaceToDepth: elements in another order, one strided copy each.
 *
 *     DepthToSpace   N (b b C) H W  ->  N C (H b) (W b)     DCR; CRD has the channels as (C b b)
 */
#include <string.h>

#include "src/ops/family.h"

/* The attribute `perm`, by default all axes reversed; a permutation of 0..rank-1. */
static Status permutation(const Node *node, int rank, int ret[TENSOR_MAX_RANK])
{
    int64_t n;
    const int64_t *perm = node_ints(node, "perm", &n);
    bool seen[TENSOR_MAX_RANK] = {false};

    if (perm != NULL && n != rank)
        return node_error(node, CODE_MODEL, "perm has %lld axes, the input has %d", (long long)n, rank);
    for (int i = 0; i < rank; i++) {
        int64_t axis = perm != NULL ? perm[i] : rank - 1 - i;
        if (axis < 0 || axis >= rank || seen[axis])
            return node_error(node, CODE_MODEL, "perm is not a permutation of 0..%d", rank - 1);
        seen[axis] = true;
        ret[i] = (int)axis;
    }
    return NULL;
}

static Status infer_transpose(Node *node)
{
    Shape in = infer_shape(node, 0), out = in;
    int perm[TENSOR_MAX_RANK];
    int64_t n = 0;

    if (in.rank >= 0) {
        TRY(permutation(node, in.rank, perm));
        for (int i = 0; i < in.rank; i++)
            out.dims[i] = in.dims[perm[i]];
    } else if (node_ints(node, "perm", &n) != NULL && n <= TENSOR_MAX_RANK) {
        out.rank = (int)n;
        for (int i = 0; i < out.rank; i++)
            out.dims[i] = DIM_UNKNOWN;
    }
    infer_output(node, 0, infer_dtype(node, 0), &out);
    return NULL;
}

/* Elements of fewer than 8 bits, one at a time. from: strides of the input along the axes of the output. */
static void transpose_packed(const Tensor *x, const int64_t *from, Tensor *y)
{
    int64_t index[TENSOR_MAX_RANK] = {0};

    for (int64_t i = 0; i < y->count; i++) {
        int64_t at = 0;
        for (int d = 0; d < y->rank; d++)
            at += index[d] * from[d];
        tensor_set(y, i, tensor_get(x, at)); /* exact: these types fit a double */
        odometer_next(y->rank, y->dims, index);
    }
}

static Status eval_transpose(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int perm[TENSOR_MAX_RANK], moved = 0, last = -1;
    int64_t dims[TENSOR_MAX_RANK], from[TENSOR_MAX_RANK], to[TENSOR_MAX_RANK], strides[TENSOR_MAX_RANK];
    bool packed = x->dtype != DT_STRING && dtype_bits(x->dtype) < 8;
    size_t bytes = 0;

    if (!packed)
        TRY(eval_element_bytes(ctx, 0, &bytes));
    TRY(permutation(ctx->node, x->rank, perm));
    row_major_strides(x->rank, x->dims, strides);
    for (int i = 0; i < x->rank; i++) {
        dims[i] = x->dims[perm[i]];
        from[i] = strides[perm[i]];
        if (dims[i] != 1) {
            moved += perm[i] < last;
            last = perm[i];
        }
    }
    if (moved == 0) /* only axes of size 1 change places */
        return eval_output_alias(ctx, 0, x, x->rank, dims);
    TRY(eval_output(ctx, 0, x->dtype, x->rank, dims));
    if (packed) {
        if (ctx->out[0].bytes > 0)
            memset(ctx->out[0].data, 0, ctx->out[0].bytes); /* the bits behind the last element too */
        transpose_packed(x, from, &ctx->out[0]);
        return NULL;
    }
    row_major_strides(x->rank, dims, to);
    strided_copy_shared(ctx->team, ctx->out[0].data, to, x->data, from, x->rank, dims, bytes);
    return NULL;
}

/* ---- DepthToSpace, SpaceToDepth ---------------------------------------------------------------------------------- */

/* Dims of the output for block size b; `deeper`: space becomes depth. Unknown sizes stay unknown. */
static Status block_dims(const Node *node, const Shape *in, bool deeper, Shape *ret, int64_t *ret_block)
{
    int64_t block = node_int(node, "blocksize", 0), square;

    if (block < 1 || __builtin_mul_overflow(block, block, &square))
        return node_error(node, CODE_MODEL, "blocksize is %lld", (long long)block);
    *ret_block = block;
    *ret = shape_unknown();
    if (in->rank < 0)
        return NULL;
    if (in->rank != 4)
        return node_error(node, CODE_MODEL, "input has rank %d, expected 4", in->rank);
    *ret = *in;
    for (int i = 1; i < 4; i++) {
        int64_t size = in->dims[i].size, factor = i == 1 ? square : block;
        bool divide = (i == 1) != deeper, overflow = false;
        ret->dims[i] = DIM_UNKNOWN;
        if (size < 0)
            continue;
        if (divide && size % factor != 0)
            return node_error(node, CODE_MODEL, "size %lld of axis %d does not divide by %lld", (long long)size, i,
                              (long long)factor);
        overflow = !divide && __builtin_mul_overflow(size, factor, &size);
        if (overflow)
            return node_error(node, CODE_MODEL, "blocksize %lld is too large", (long long)block);
        ret->dims[i] = dim_known(divide ? size / factor : size);
    }
    return NULL;
}

static Status infer_blocks(Node *node, bool deeper)
{
    Shape in = infer_shape(node, 0), out;
    int64_t block;

    TRY(block_dims(node, &in, deeper, &out, &block));
    infer_output(node, 0, infer_dtype(node, 0), &out);
    return NULL;
}

static Status infer_depth_to_space(Node *node)
{
    return infer_blocks(node, false);
}

static Status infer_space_to_depth(Node *node)
{
    return infer_blocks(node, true);
}

static Status block_output(EvalCtx *ctx, bool deeper, int64_t *ret_block)
{
    Shape in = shape_of_tensor(ctx->in[0]), out;
    int64_t dims[4];

    TRY(block_dims(ctx->node, &in, deeper, &out, ret_block));
    for (int i = 0; i < 4; i++)
        dims[i] = out.dims[i].size;
    return eval_output(ctx, 0, ctx->in[0]->dtype, 4, dims);
}

static Status eval_depth_to_space(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    const char *mode = node_string(ctx->node, "mode", "DCR");
    bool crd = strcmp(mode, "CRD") == 0;
    int64_t b, to[6];
    size_t bytes;

    if (!crd && strcmp(mode, "DCR") != 0)
        return eval_error(ctx, CODE_MODEL, "mode '%s' is neither DCR nor CRD", mode);
    TRY(eval_element_bytes(ctx, 0, &bytes));
    TRY(block_output(ctx, false, &b));
    int64_t c = ctx->out[0].dims[1], h = x->dims[2], w = x->dims[3], plane = h * w;
    const int64_t dims[6] = {x->dims[0], c, h, b, w, b};
    const int64_t from[6] = {
        x->dims[1] * plane, crd ? b * b * plane : plane, w, crd ? b * plane : b * c * plane, 1, crd ? plane : c * plane,
    };
    row_major_strides(6, dims, to);
    strided_copy_shared(ctx->team, ctx->out[0].data, to, x->data, from, 6, dims, bytes);
    return NULL;
}

static Status eval_space_to_depth(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t b, to[6];
    size_t bytes;

    TRY(eval_element_bytes(ctx, 0, &bytes));
    TRY(block_output(ctx, true, &b));
    int64_t h = ctx->out[0].dims[2], w = ctx->out[0].dims[3], row = x->dims[3], plane = x->dims[2] * row;
    const int64_t dims[6] = {x->dims[0], b, b, x->dims[1], h, w};
    const int64_t from[6] = {x->dims[1] * plane, row, 1, plane, b * row, b};
    row_major_strides(6, dims, to);
    strided_copy_shared(ctx->team, ctx->out[0].data, to, x->data, from, 6, dims, bytes);
    return NULL;
}

static const AttrSpec transpose_attrs[] = {{"perm", ATTR_INTS, false}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec block_attrs[] = {
    {"blocksize", ATTR_INT, true},
    {"mode", ATTR_STRING, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_transpose = {
    .type = "Transpose", .domain = "", .versions = {1, 13, 21, 23, 24, 25}, .min_in = 1, .max_in = 1, .min_out = 1,
    .max_out = 1, .attrs = transpose_attrs, .infer = infer_transpose, .eval = eval_transpose, .quant = RULE_SAME_SCALE,
};
const OpDef op_depthtospace = {
    .type = "DepthToSpace", .domain = "", .versions = {1, 11, 13}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .attrs = block_attrs, .infer = infer_depth_to_space, .eval = eval_depth_to_space, .quant = RULE_SAME_SCALE,
};
const OpDef op_spacetodepth = {
    .type = "SpaceToDepth", .domain = "", .versions = {1, 13}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .attrs = block_attrs, .infer = infer_space_to_depth, .eval = eval_space_to_depth, .quant = RULE_SAME_SCALE,
};
