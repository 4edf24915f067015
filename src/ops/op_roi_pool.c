/* op_roi_pool.c - MaxRoiPool: each region of an image pooled to a fixed size.
 *
 *     x (N,C,H,W), rois (R,5) of (image, x1, y1, x2, y2) ──> (R,C,h,w), the greatest element of each bin
 *
 * Formula: Fast R-CNN (Girshick 2015); bounds are rounded to whole elements, both ends belong to the region.
 */
#include <math.h>
#include <string.h>

#include "src/ops/family.h"

static Status pooled_shape(const Node *node, int64_t ret[2])
{
    int64_t n = 0;
    const int64_t *shape = node_ints(node, "pooled_shape", &n);

    if (n != 2 || shape[0] < 1 || shape[1] < 1)
        return node_error(node, CODE_MODEL, "pooled_shape has %lld elements or one below 1, expected 2",
                          (long long)n);
    ret[0] = shape[0];
    ret[1] = shape[1];
    return NULL;
}

/* Elements [*ret_begin, *ret_end) of bin k of n of a region, within an axis of `size` elements. */
static void bin_range(double low, double high, int64_t k, int64_t n, int64_t size, int64_t *ret_begin, int64_t *ret_end)
{
    double length = fmax(high - low + 1, 1) / (double)n;

    *ret_begin = (int64_t)fmin(fmax(floor((double)k * length) + low, 0), (double)size);
    *ret_end = (int64_t)fmin(fmax(ceil((double)(k + 1) * length) + low, 0), (double)size);
}

static float greatest(const float *plane, int64_t width, const int64_t rows[2], const int64_t columns[2])
{
    float most = -INFINITY;

    if (rows[0] >= rows[1] || columns[0] >= columns[1])
        return 0;
    for (int64_t y = rows[0]; y < rows[1]; y++)
        for (int64_t x = columns[0]; x < columns[1]; x++)
            most = fmaxf(most, plane[y * width + x]);
    return most;
}

static Status eval_roi_pool(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0], *rois = ctx->in[1];
    double scale = (double)node_float(ctx->node, "spatial_scale", 1);
    int64_t shape[2];

    TRY(pooled_shape(ctx->node, shape));
    if (x->dtype != DT_FLOAT || rois->dtype != DT_FLOAT)
        return eval_bad_dtype(ctx, x->dtype != DT_FLOAT ? 0 : 1);
    if (x->rank != 4 || rois->rank != 2 || rois->dims[1] != 5)
        return eval_error(ctx, CODE_MODEL, "input %s and rois %s do not fit", tensor_shape_text(ctx->scratch, x),
                          tensor_shape_text(ctx->scratch, rois));
    TRY(eval_output(ctx, 0, DT_FLOAT, 4, (int64_t[]){rois->dims[0], x->dims[1], shape[0], shape[1]}));
    float *out = ctx->out[0].data;
    for (int64_t r = 0; r < rois->dims[0] && ctx->out[0].count > 0; r++) {
        const float *roi = (const float *)rois->data + r * 5;
        double bounds[4];
        for (int i = 0; i < 4; i++)
            bounds[i] = round((double)roi[i + 1] * scale);
        if (!(roi[0] >= 0) || !(roi[0] < (float)x->dims[0]))
            return eval_error(ctx, CODE_MODEL, "region %lld is of image %g, there are %lld", (long long)r,
                              (double)roi[0], (long long)x->dims[0]);
        for (int i = 0; i < 4; i++)
            if (!(fabs(bounds[i]) < 1e9))
                return eval_error(ctx, CODE_MODEL, "region %lld has a bound of %g", (long long)r, bounds[i]);
        for (int64_t c = 0; c < x->dims[1]; c++) {
            const float *plane = (const float *)x->data +
                                 ((int64_t)roi[0] * x->dims[1] + c) * x->dims[2] * x->dims[3];
            for (int64_t k = 0; k < shape[0] * shape[1]; k++) {
                int64_t rows[2], columns[2];
                bin_range(bounds[1], bounds[3], k / shape[1], shape[0], x->dims[2], &rows[0], &rows[1]);
                bin_range(bounds[0], bounds[2], k % shape[1], shape[1], x->dims[3], &columns[0], &columns[1]);
                *out++ = greatest(plane, x->dims[3], rows, columns);
            }
        }
    }
    return NULL;
}

static Status infer_roi_pool(Node *node)
{
    Shape x = infer_shape(node, 0), rois = infer_shape(node, 1), out = {.rank = 4};
    int64_t shape[2];

    TRY(pooled_shape(node, shape));
    out.dims[0] = rois.rank == 2 ? rois.dims[0] : DIM_UNKNOWN;
    out.dims[1] = x.rank == 4 ? x.dims[1] : DIM_UNKNOWN;
    out.dims[2] = dim_known(shape[0]);
    out.dims[3] = dim_known(shape[1]);
    infer_output(node, 0, infer_dtype(node, 0), &out);
    return NULL;
}

static const AttrSpec roi_pool_attrs[] = {
    {"pooled_shape", ATTR_INTS, true},
    {"spatial_scale", ATTR_FLOAT, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_maxroipool = {
    .type = "MaxRoiPool", .domain = "", .versions = {1, 22}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = roi_pool_attrs, .infer = infer_roi_pool, .eval = eval_roi_pool, .quant = RULE_FLOAT, .widen_half = true,
    .narrow_double = true,
};
