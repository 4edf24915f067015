/* op_fold.c - Col2Im (opset 18): sums the columns of sliding blocks back into images. CenterCropPad (18): a window in
 * the middle.
 *
 *     col2im   (N, C * K1..Kr, L) -> (N, C, image)     column (k, l) is added at  l * stride - pad + k * dilation
 *     crop     size 5 -> 2:  . [x x] . .     size 2 -> 5:  0 [x x] 0 0     half the difference in front, rounded down
 */
#include <string.h>

#include "src/ops/heavy.h"

/* ---- Col2Im ------------------------------------------------------------------------------------------------------ */

typedef struct Fold {
    int space;
    int64_t image[TENSOR_MAX_RANK], block[TENSOR_MAX_RANK];
    int64_t stride[TENSOR_MAX_RANK], dilation[TENSOR_MAX_RANK], pad[TENSOR_MAX_RANK]; /* pad in front */
    int64_t steps[TENSOR_MAX_RANK];                                                   /* blocks along each axis */
    int64_t n_blocks, taps;
} Fold;

static Status fold_list(const EvalCtx *ctx, const char *name, int64_t n, int64_t least, const int64_t **ret)
{
    int64_t count;

    *ret = node_ints(ctx->node, name, &count);
    if (*ret != NULL && count != n)
        return eval_error(ctx, CODE_MODEL, "attribute '%s' has %lld numbers, expected %lld", name, (long long)count,
                          (long long)n);
    for (int64_t i = 0; *ret != NULL && i < n; i++)
        if ((*ret)[i] < least || (*ret)[i] > INT32_MAX)
            return eval_error(ctx, CODE_MODEL, "attribute '%s' holds %lld, expected %lld or more", name,
                              (long long)(*ret)[i], (long long)least);
    return NULL;
}

static Status plan_fold(EvalCtx *ctx, Fold *ret)
{
    int64_t *image, *block, n_image, n_block;
    const int64_t *strides, *dilations, *pads;

    TRY(eval_ints(ctx, 1, &image, &n_image));
    TRY(eval_ints(ctx, 2, &block, &n_block));
    if (n_image < 1 || n_image > TENSOR_MAX_RANK - 2 || n_block != n_image)
        return eval_error(ctx, CODE_MODEL, "image_shape has %lld numbers and block_shape %lld", (long long)n_image,
                          (long long)n_block);
    TRY(fold_list(ctx, "strides", n_image, 1, &strides));
    TRY(fold_list(ctx, "dilations", n_image, 1, &dilations));
    TRY(fold_list(ctx, "pads", 2 * n_image, 0, &pads));
    *ret = (Fold){.space = (int)n_image, .n_blocks = 1, .taps = 1};
    for (int d = 0; d < ret->space; d++) {
        if (image[d] < 1 || image[d] > INT32_MAX || block[d] < 1 || block[d] > INT32_MAX)
            return eval_error(ctx, CODE_MODEL, "a block of %lld in an image of %lld is not possible",
                              (long long)block[d], (long long)image[d]);
        ret->image[d] = image[d];
        ret->block[d] = block[d];
        ret->stride[d] = strides == NULL ? 1 : strides[d];
        ret->dilation[d] = dilations == NULL ? 1 : dilations[d];
        ret->pad[d] = pads == NULL ? 0 : pads[d];
        int64_t free_space = image[d] + ret->pad[d] + (pads == NULL ? 0 : pads[ret->space + d]) -
                             ret->dilation[d] * (block[d] - 1) - 1;
        if (free_space < 0)
            return eval_error(ctx, CODE_MODEL, "a block of %lld does not fit an image of %lld", (long long)block[d],
                              (long long)image[d]);
        ret->steps[d] = free_space / ret->stride[d] + 1;
        if (__builtin_mul_overflow(ret->n_blocks, ret->steps[d], &ret->n_blocks) ||
            __builtin_mul_overflow(ret->taps, block[d], &ret->taps))
            return eval_error(ctx, CODE_MODEL, "the image is too large");
    }
    return NULL;
}

/* Adds the (taps, n_blocks) columns of one channel to its image, which starts as 0. */
static void fold_channel(const Fold *fold, const double *columns, double *image)
{
    int64_t tap[TENSOR_MAX_RANK] = {0};

    for (int64_t k = 0; k < fold->taps; k++) {
        int64_t step[TENSOR_MAX_RANK] = {0};
        for (int64_t l = 0; l < fold->n_blocks; l++) {
            int64_t at = 0;
            bool inside = true;
            for (int d = 0; d < fold->space; d++) {
                int64_t x = step[d] * fold->stride[d] - fold->pad[d] + tap[d] * fold->dilation[d];
                inside = inside && x >= 0 && x < fold->image[d];
                at = at * fold->image[d] + (inside ? x : 0);
            }
            if (inside)
                image[at] += columns[k * fold->n_blocks + l];
            odometer_next(fold->space, fold->steps, step);
        }
        odometer_next(fold->space, fold->block, tap);
    }
}

static Status eval_col2im(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0], *wide;
    int64_t dims[TENSOR_MAX_RANK], pixels;
    size_t bytes;
    void *data;
    Fold fold;

    TRY(plan_fold(ctx, &fold));
    if (x->rank != 3 || x->dims[1] % fold.taps != 0 || x->dims[2] != fold.n_blocks)
        return eval_error(ctx, CODE_MODEL, "input is %s, expected %lld columns of a multiple of %lld elements",
                          tensor_shape_text(ctx->scratch, x), (long long)fold.n_blocks, (long long)fold.taps);
    if (dtype_bits(x->dtype) < 8 || dtype_bits(x->dtype) > 64 || x->dtype == DT_COMPLEX64)
        return eval_bad_dtype(ctx, 0);
    dims[0] = x->dims[0];
    dims[1] = x->dims[1] / fold.taps;
    memcpy(dims + 2, fold.image, (size_t)fold.space * sizeof *dims);
    TRY(eval_output(ctx, 0, x->dtype, fold.space + 2, dims));
    TRY(eval_converted(ctx, x, DT_DOUBLE, &wide));
    TRY(tensor_measure(DT_DOUBLE, fold.space, fold.image, &pixels, &bytes));
    TRY(eval_scratch(ctx, bytes, &data));
    for (int64_t c = 0; c < dims[0] * dims[1]; c++) {
        memset(data, 0, bytes);
        fold_channel(&fold, (const double *)wide->data + c * fold.taps * fold.n_blocks, data);
        for (int64_t i = 0; i < pixels; i++)
            tensor_set(&ctx->out[0], c * pixels + i, ((const double *)data)[i]);
    }
    return NULL;
}

static Status infer_col2im(Node *node)
{
    Shape in = infer_shape(node, 0), out = shape_unknown();
    Dim image[TENSOR_MAX_RANK], block[TENSOR_MAX_RANK], taps;
    int n_image = infer_content(node, 1, image, TENSOR_MAX_RANK - 2);
    int n_block = infer_content(node, 2, block, TENSOR_MAX_RANK - 2);

    if (n_image > 0) {
        out.rank = n_image + 2;
        out.dims[0] = in.rank == 3 ? in.dims[0] : DIM_UNKNOWN;
        out.dims[1] = DIM_UNKNOWN;
        for (int d = 0; d < n_image; d++)
            out.dims[2 + d] = content_to_dim(image[d]);
        for (int d = 0; d < n_block; d++)
            block[d] = content_to_dim(block[d]);
        taps = n_block == n_image ? dim_product(block, n_block) : DIM_UNKNOWN;
        if (in.rank == 3 && dim_is_known(in.dims[1]) && taps.size > 0)
            out.dims[1] = dim_known(in.dims[1].size / taps.size);
    }
    infer_output(node, 0, infer_dtype(node, 0), &out);
    return NULL;
}

/* ---- CenterCropPad ----------------------------------------------------------------------------------------------- */

/* The axes of the attribute, all of them by default. */
static Status crop_axes(const Node *node, int rank, int ret[TENSOR_MAX_RANK], int *ret_n)
{
    int64_t n;

    if (node_ints(node, "axes", &n) != NULL)
        return infer_axes(node, -1, rank, ret, ret_n);
    for (*ret_n = 0; *ret_n < rank; (*ret_n)++)
        ret[*ret_n] = *ret_n;
    return NULL;
}

static Status eval_crop(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t *sizes, n, dims[TENSOR_MAX_RANK], kept[TENSOR_MAX_RANK], from[TENSOR_MAX_RANK], to[TENSOR_MAX_RANK];
    int64_t from_offset = 0, to_offset = 0;
    int axes[TENSOR_MAX_RANK], n_axes;
    size_t bytes;

    TRY(eval_element_bytes(ctx, 0, &bytes));
    TRY(crop_axes(ctx->node, x->rank, axes, &n_axes));
    TRY(eval_ints(ctx, 1, &sizes, &n));
    if (n != n_axes)
        return eval_error(ctx, CODE_MODEL, "%lld sizes for %d axes", (long long)n, n_axes);
    if (x->rank > 0)
        memcpy(dims, x->dims, (size_t)x->rank * sizeof *dims);
    for (int i = 0; i < n_axes; i++)
        dims[axes[i]] = sizes[i];
    TRY(eval_output(ctx, 0, x->dtype, x->rank, dims));
    if (ctx->out[0].count == 0)
        return NULL;
    memset(ctx->out[0].data, 0, ctx->out[0].bytes);
    if (x->count == 0)
        return NULL;
    row_major_strides(x->rank, x->dims, from);
    row_major_strides(x->rank, dims, to);
    for (int d = 0; d < x->rank; d++) {
        kept[d] = MIN(dims[d], x->dims[d]);
        from_offset += (x->dims[d] - kept[d]) / 2 * from[d];
        to_offset += (dims[d] - kept[d]) / 2 * to[d];
    }
    strided_copy((char *)ctx->out[0].data + (size_t)to_offset * bytes, to,
                 (const char *)x->data + (size_t)from_offset * bytes, from, x->rank, kept, bytes);
    return NULL;
}

static Status infer_crop(Node *node)
{
    Shape out = infer_shape(node, 0);
    Dim sizes[TENSOR_MAX_RANK];
    int axes[TENSOR_MAX_RANK], n_axes, n = infer_content(node, 1, sizes, TENSOR_MAX_RANK);

    if (out.rank >= 0) {
        TRY(crop_axes(node, out.rank, axes, &n_axes));
        if (n >= 0 && n != n_axes)
            return node_error(node, CODE_MODEL, "%d sizes for %d axes", n, n_axes);
        for (int i = 0; i < n_axes; i++)
            out.dims[axes[i]] = n < 0 ? DIM_UNKNOWN : content_to_dim(sizes[i]);
    }
    infer_output(node, 0, infer_dtype(node, 0), &out);
    return NULL;
}

static const AttrSpec col2im_attrs[] = {
    {"dilations", ATTR_INTS, false},
    {"pads", ATTR_INTS, false},
    {"strides", ATTR_INTS, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec crop_attrs[] = {{"axes", ATTR_INTS, false}, {NULL, ATTR_UNDEFINED, false}};

const OpDef op_col2im = {
    .type = "Col2Im", .domain = "", .versions = {18}, .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
    .attrs = col2im_attrs, .infer = infer_col2im, .eval = eval_col2im, .quant = RULE_FLOAT,
};
const OpDef op_centercroppad = {
    .type = "CenterCropPad", .domain = "", .versions = {18}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = crop_attrs, .infer = infer_crop, .eval = eval_crop, .quant = RULE_FLOAT,
};
