/* op_deform.c - DeformConv (opset 19): a convolution of images whose taps are moved by offsets and weighed by a mask.
 *
 *     y[n,o,p,q] = B[o] + sum over c,i,j of W[o,c,i,j] * mask[n,g,i,j,p,q] * x(n, c, v, w)
 *     v = p*stride + i*dilation - pad + dy      w = q*stride + j*dilation - pad + dx
 *
 * (dy, dx) = offset[n, (g*I*J + i*J + j)*2 + {0, 1}, p, q]; x between elements is bilinear, 0 outside. g is the offset
 * group of channel c. Letters: I x J the kernel, P x Q the output.
 */
#include <math.h>

#include "src/ops/heavy.h"

enum { IN_X, IN_WEIGHT, IN_OFFSET, IN_BIAS, IN_MASK };

typedef struct Deform {
    int64_t batch, channels, groups, offset_groups, out_channels;
    int64_t in_h, in_w, out_h, out_w, kernel_h, kernel_w;
    int64_t stride[2], dilation[2], pad[2];
    const float *x, *weight, *offset, *bias, *mask;
    float *columns;                          /* (C, I*J, P*Q) of one image */
    float *y;
} Deform;

static float element(const float *plane, int64_t h, int64_t w, int64_t row, int64_t column)
{
    return row < 0 || row >= h || column < 0 || column >= w ? 0 : plane[row * w + column];
}

static float bilinear(const float *plane, int64_t h, int64_t w, float y, float x)
{
    if (!(y > -1 && y < (float)h && x > -1 && x < (float)w)) /* NaN too */
        return 0;
    int64_t row = (int64_t)floorf(y), column = (int64_t)floorf(x);
    float fy = y - (float)row, fx = x - (float)column;

    return (1 - fy) * ((1 - fx) * element(plane, h, w, row, column) + fx * element(plane, h, w, row, column + 1)) +
           fy * ((1 - fx) * element(plane, h, w, row + 1, column) + fx * element(plane, h, w, row + 1, column + 1));
}

/* The moved taps of channel c of image n: columns[c]. */
static void gather_channel(const Deform *d, int64_t n, int64_t c)
{
    int64_t group = c / (d->channels / d->offset_groups);
    int64_t taps = d->kernel_h * d->kernel_w, spots = d->out_h * d->out_w;
    const float *plane = d->x + (n * d->channels + c) * d->in_h * d->in_w;

    for (int64_t k = 0; k < taps; k++) {
        int64_t at = ((n * d->offset_groups + group) * taps + k) * spots;
        int64_t row = k / d->kernel_w, column = k % d->kernel_w;
        const float *dy = d->offset + 2 * at, *dx = dy + spots, *mask = d->mask == NULL ? NULL : d->mask + at;
        float *to = d->columns + (c * taps + k) * spots;
        for (int64_t i = 0; i < spots; i++) {
            float y = (float)(i / d->out_w * d->stride[0] - d->pad[0] + row * d->dilation[0]) + dy[i];
            float x = (float)(i % d->out_w * d->stride[1] - d->pad[1] + column * d->dilation[1]) + dx[i];
            to[i] = bilinear(plane, d->in_h, d->in_w, y, x) * (mask == NULL ? 1 : mask[i]);
        }
    }
}

static void run_image(const Deform *d, int64_t n)
{
    int64_t taps = d->kernel_h * d->kernel_w, spots = d->out_h * d->out_w, per_group = d->channels / d->groups * taps;

    for (int64_t c = 0; c < d->channels; c++)
        gather_channel(d, n, c);
    for (int64_t o = 0; o < d->out_channels; o++) {
        int64_t group = o / (d->out_channels / d->groups);
        const float *weight = d->weight + o * per_group, *columns = d->columns + group * per_group * spots;
        float *y = d->y + (n * d->out_channels + o) * spots;
        for (int64_t i = 0; i < spots; i++)
            y[i] = d->bias == NULL ? 0 : d->bias[o];
        for (int64_t k = 0; k < per_group; k++)
            for (int64_t i = 0; i < spots; i++)
                y[i] += weight[k] * columns[k * spots + i];
    }
}

/* Shape of input i against what it must be. */
static Status expect_shape(const EvalCtx *ctx, int i, int rank, const int64_t *dims)
{
    const Tensor *in = eval_in(ctx, i);
    bool fits = in == NULL || in->rank == rank;

    for (int d = 0; in != NULL && fits && d < rank; d++)
        fits = in->dims[d] == dims[d];
    if (!fits) {
        const Tensor expected = {.rank = rank, .dims = {dims[0], rank > 1 ? dims[1] : 0, rank > 2 ? dims[2] : 0,
                                                        rank > 3 ? dims[3] : 0}};
        return eval_error(ctx, CODE_MODEL, "input %d is %s, expected %s", i, tensor_shape_text(ctx->scratch, in),
                          tensor_shape_text(ctx->scratch, &expected));
    }
    return NULL;
}

static Status plan_deform(EvalCtx *ctx, Deform *d)
{
    const Tensor *x = ctx->in[IN_X], *weight = ctx->in[IN_WEIGHT];
    int64_t out[2], begin, end;
    Geometry geometry;
    Problem problem;

    if (x->rank != 4 || weight->rank != 4)
        return eval_error(ctx, x->rank == weight->rank && x->rank > 2 ? CODE_UNSUPPORTED : CODE_MODEL,
                          "input is %s and weight %s; images (N, C, H, W) can be executed",
                          tensor_shape_text(ctx->scratch, x), tensor_shape_text(ctx->scratch, weight));
    d->groups = node_int(ctx->node, "group", 1);
    d->offset_groups = node_int(ctx->node, "offset_group", 1);
    d->batch = x->dims[0];
    d->channels = x->dims[1];
    d->out_channels = weight->dims[0];
    d->in_h = x->dims[2];
    d->in_w = x->dims[3];
    if (d->groups < 1 || d->offset_groups < 1 || d->channels % d->groups != 0 || d->out_channels % d->groups != 0 ||
        d->channels % d->offset_groups != 0 || weight->dims[1] != d->channels / d->groups)
        return eval_error(ctx, CODE_MODEL,
                          "%lld channels, a weight of %s, %lld groups and %lld offset groups do not fit",
                          (long long)d->channels, tensor_shape_text(ctx->scratch, weight), (long long)d->groups,
                          (long long)d->offset_groups);
    if (!geometry_read(ctx->node, 2, weight->dims + 2, &geometry, &problem))
        return eval_error(ctx, CODE_MODEL, "%s", problem.text);
    for (int axis = 0; axis < 2; axis++) {
        if (!geometry_axis(&geometry, axis, x->dims[2 + axis], &out[axis], &begin, &end, &problem))
            return eval_error(ctx, CODE_MODEL, "%s", problem.text);
        d->stride[axis] = geometry.stride[axis];
        d->dilation[axis] = geometry.dilation[axis];
        d->pad[axis] = begin;
    }
    d->kernel_h = weight->dims[2];
    d->kernel_w = weight->dims[3];
    d->out_h = out[0];
    d->out_w = out[1];
    int64_t taps = d->kernel_h * d->kernel_w, moved;
    if (__builtin_mul_overflow(taps, 2 * d->offset_groups, &moved))
        return eval_error(ctx, CODE_MODEL, "%lld offset groups are too many", (long long)d->offset_groups);
    TRY(expect_shape(ctx, IN_OFFSET, 4, (int64_t[]){d->batch, moved, d->out_h, d->out_w}));
    TRY(expect_shape(ctx, IN_BIAS, 1, (int64_t[]){d->out_channels}));
    return expect_shape(ctx, IN_MASK, 4, (int64_t[]){d->batch, moved / 2, d->out_h, d->out_w});
}

static Status eval_deform(EvalCtx *ctx)
{
    Deform d = {0};
    size_t bytes;
    void *data;
    FloatOutput y;

    TRY(plan_deform(ctx, &d));
    int64_t dims[4] = {d.batch, d.out_channels, d.out_h, d.out_w};
    TRY(heavy_floats(ctx, IN_X, &d.x));
    TRY(heavy_floats(ctx, IN_WEIGHT, &d.weight));
    TRY(heavy_floats(ctx, IN_OFFSET, &d.offset));
    if (eval_in(ctx, IN_BIAS) != NULL)
        TRY(heavy_floats(ctx, IN_BIAS, &d.bias));
    if (eval_in(ctx, IN_MASK) != NULL)
        TRY(heavy_floats(ctx, IN_MASK, &d.mask));
    TRY(heavy_output(ctx, 0, ctx->in[IN_X]->dtype, 4, dims, &y));
    int64_t columns[3] = {d.channels, d.kernel_h * d.kernel_w, d.out_h * d.out_w};
    TRY(tensor_measure(DT_FLOAT, 3, columns, NULL, &bytes));
    TRY(eval_scratch(ctx, bytes, &data));
    d.columns = data;
    d.y = y.data;
    for (int64_t n = 0; n < d.batch; n++)
        run_image(&d, n);
    return heavy_finish(ctx, &y);
}

static Status infer_deform(Node *node)
{
    return conv_infer(node, IN_X, IN_WEIGHT, infer_dtype(node, IN_X));
}

static const AttrSpec deform_attrs[] = {
    {"dilations", ATTR_INTS, false},
    {"group", ATTR_INT, false},
    {"kernel_shape", ATTR_INTS, false},
    {"offset_group", ATTR_INT, false},
    {"pads", ATTR_INTS, false},
    {"strides", ATTR_INTS, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_deformconv = {
    .type = "DeformConv", .domain = "", .versions = {19, 22}, .min_in = 3, .max_in = 5, .min_out = 1, .max_out = 1,
    .attrs = deform_attrs, .infer = infer_deform, .eval = eval_deform, .quant = RULE_FLOAT, .widen_half = true,
};
