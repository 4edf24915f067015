/* op_detect.c - NonMaxSuppression and RoiAlign: the ops at the end of detectors.
 *
 * Formulas: the ONNX operator specification; RoiAlign as in Mask R-CNN (He et al. 2017).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/ops/family.h"

/* ---- NonMaxSuppression ------------------------------------------------------------------------------------------- */

typedef struct Box {
    float x1, y1, x2, y2, score;
    int64_t index;
} Box;

/* Corners in order, whichever way they were given. */
static Box read_box(const float *from, bool center, float score, int64_t index)
{
    if (center) { /* x_center, y_center, width, height */
        float w = from[2] / 2, h = from[3] / 2;
        return (Box){from[0] - w, from[1] - h, from[0] + w, from[1] + h, score, index};
    }
    return (Box){.x1 = fminf(from[1], from[3]), .y1 = fminf(from[0], from[2]), .x2 = fmaxf(from[1], from[3]),
                 .y2 = fmaxf(from[0], from[2]), .score = score, .index = index};
}

/* Intersection over union above the threshold. */
static bool overlaps(const Box *a, const Box *b, float threshold)
{
    float w = fminf(a->x2, b->x2) - fmaxf(a->x1, b->x1), h = fminf(a->y2, b->y2) - fmaxf(a->y1, b->y1);
    float area_a = (a->x2 - a->x1) * (a->y2 - a->y1), area_b = (b->x2 - b->x1) * (b->y2 - b->y1), both;

    if (!(w > 0) || !(h > 0) || !(area_a > 0) || !(area_b > 0))
        return false;
    both = w * h;
    return both / (area_a + area_b - both) > threshold;
}

static int by_score(const void *a, const void *b)
{
    const Box *x = a, *y = b;

    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static Status scalar_input(const EvalCtx *ctx, int i, double otherwise, double *ret)
{
    const Tensor *x = eval_in(ctx, i);

    *ret = otherwise;
    if (x == NULL || x->count == 0)
        return NULL;
    if (x->count != 1 || x->dtype == DT_STRING)
        return eval_error(ctx, CODE_MODEL, "input %d has %lld elements, expected a number", i, (long long)x->count);
    *ret = tensor_get(x, 0);
    return NULL;
}

typedef struct Picked {
    int64_t *triples; /* batch, class, box */
    size_t n, cap;
} Picked;

/* Greedy: the best box left is kept unless it overlaps one that was. `boxes` is sorted; the kept ones move to its
 * front. */
static void suppress(Box *boxes, int64_t n, int64_t most, float threshold, int64_t batch, int64_t class, Picked *picked)
{
    int64_t kept = 0;

    for (int64_t i = 0; i < n && kept < most; i++) {
        bool free_box = true;
        for (int64_t k = 0; k < kept && free_box; k++)
            free_box = !overlaps(&boxes[k], &boxes[i], threshold);
        if (!free_box)
            continue;
        Box box = boxes[i];
        boxes[kept++] = box;
        picked->triples = array_reserve(picked->triples, &picked->cap, picked->n + 3, sizeof(int64_t));
        picked->triples[picked->n++] = batch;
        picked->triples[picked->n++] = class;
        picked->triples[picked->n++] = box.index;
    }
}

static Status eval_nms(EvalCtx *ctx)
{
    const Tensor *boxes = ctx->in[0], *scores = ctx->in[1];
    bool center = node_int(ctx->node, "center_point_box", 0) != 0;
    double most, iou, least;
    int64_t batches, classes, n, dims[2] = {0, 3};
    Picked picked = {0};
    Status status;
    size_t bytes;
    void *scratch;
    Box *sorted;

    if (boxes->dtype != DT_FLOAT || scores->dtype != DT_FLOAT)
        return eval_bad_dtype(ctx, boxes->dtype != DT_FLOAT ? 0 : 1);
    if (boxes->rank != 3 || scores->rank != 3 || boxes->dims[2] != 4 || boxes->dims[0] != scores->dims[0] ||
        boxes->dims[1] != scores->dims[2])
        return eval_error(ctx, CODE_MODEL, "boxes %s and scores %s do not fit", tensor_shape_text(ctx->scratch, boxes),
                          tensor_shape_text(ctx->scratch, scores));
    TRY(scalar_input(ctx, 2, 0, &most));
    TRY(scalar_input(ctx, 3, 0, &iou));
    TRY(scalar_input(ctx, 4, -INFINITY, &least));
    batches = boxes->dims[0];
    classes = scores->dims[1];
    n = boxes->dims[1];
    if (!size_mul((size_t)n, sizeof(Box), &bytes))
        return eval_error(ctx, CODE_MODEL, "too many boxes");
    TRY(eval_scratch(ctx, bytes, &scratch));
    sorted = scratch;
    for (int64_t b = 0; b < batches && n > 0; b++)
        for (int64_t c = 0; c < classes; c++) {
            const float *row = (const float *)scores->data + (b * classes + c) * n;
            int64_t candidates = 0;
            for (int64_t i = 0; i < n; i++)
                if (least == -INFINITY || (double)row[i] > least)
                    sorted[candidates++] = read_box((const float *)boxes->data + (b * n + i) * 4, center, row[i], i);
            if (candidates > 0)
                qsort(sorted, (size_t)candidates, sizeof(Box), by_score);
            suppress(sorted, candidates, most >= (double)n ? n : (int64_t)MAX(most, 0), (float)iou, b, c, &picked);
        }
    dims[0] = (int64_t)picked.n / 3;
    status = eval_output(ctx, 0, DT_INT64, 2, dims);
    if (status == NULL && picked.n > 0)
        memcpy(ctx->out[0].data, picked.triples, picked.n * sizeof(int64_t));
    free(picked.triples);
    return status;
}

static Status infer_nms(Node *node)
{
    Shape shape = {.rank = 2, .dims = {DIM_UNKNOWN, dim_known(3)}};

    infer_output(node, 0, DT_INT64, &shape);
    return NULL;
}

/* ---- RoiAlign ---------------------------------------------------------------------------------------------------- */

typedef struct RoiAlign {
    int64_t channels, height, width, out_height, out_width;
    int64_t sampling;
    bool max;
    double offset, scale;
} RoiAlign;

/*
 * Bilinear samples of a bin along one axis, summed up by the pixels they read. Weights of the two axes multiply, so that the
 * mean and the greatest corner over all samples of a bin follow from those sums, and the cost is that of samples of y + of x
 * + pixels, not of their products.
 */
typedef struct AxisSamples {
    int64_t n, first, last; /* pixels on the axis; the range that samples read, empty where first > last */
    double *sum;            /* [n] of the weights with which samples read each pixel */
    double *least, *most;   /* [n] of those weights */
    bool outside;           /* some sample lies outside: it counts, as 0 */
} AxisSamples;

static void sample_pixel(AxisSamples *axis, int64_t at, double weight)
{
    if (at < axis->first || at > axis->last) {
        axis->first = MIN(axis->first, at);
        axis->last = MAX(axis->last, at);
    }
    axis->sum[at] += weight;
    axis->least[at] = MIN(axis->least[at], weight);
    axis->most[at] = MAX(axis->most[at], weight);
}

/* The samples (i + 1/2) / grid of a bin from `start` on; only those near the axis are looked at, however wide the bin is. */
static void sample_axis(AxisSamples *axis, double start, double bin, int64_t grid)
{
    double step = grid > 0 ? bin / (double)grid : 0;
    double low = 0, high = (double)grid - 1;
    int64_t from, to;

    for (int64_t i = axis->first; i <= axis->last; i++) {
        axis->sum[i] = axis->most[i] = 0;
        axis->least[i] = INFINITY;
    }
    axis->first = axis->n;
    axis->last = -1;
    if (!isfinite(start) || !isfinite(step)) {
        high = -1;
    } else if (step > 0) {
        low = MAX(low, floor((-1 - start) / step - 0.5) - 1);
        high = MIN(high, ceil(((double)axis->n - start) / step - 0.5) + 1);
    }
    axis->outside = low > 0 || high < (double)grid - 1;
    from = low <= high ? (int64_t)low : 0;
    to = low <= high ? (int64_t)high : -1;
    for (int64_t i = from; i <= to; i++) {
        double at = start + ((double)i + 0.5) * bin / (double)grid, part;
        int64_t pixel;
        if (!(at >= -1) || at > (double)axis->n) {
            axis->outside = true;
            continue;
        }
        at = MAX(at, 0);
        pixel = MIN((int64_t)at, axis->n - 1);
        part = pixel < axis->n - 1 ? at - (double)pixel : 0;
        sample_pixel(axis, pixel, 1 - part);
        sample_pixel(axis, MIN(pixel + 1, axis->n - 1), part);
    }
}

static Status axis_new(EvalCtx *ctx, int64_t n, AxisSamples *ret)
{
    void *room;

    TRY(eval_scratch(ctx, (size_t)n * 3 * sizeof(double), &room));
    *ret = (AxisSamples){.n = n, .last = n - 1, .sum = room};
    ret->least = ret->sum + n;
    ret->most = ret->least + n;
    return NULL;
}

/* The sum of a bin's samples, one channel. */
static double sum_bin(const RoiAlign *roi, const float *plane, const AxisSamples *y, const AxisSamples *x)
{
    double sum = 0;

    for (int64_t r = y->first; r <= y->last; r++) {
        double row = 0;
        for (int64_t c = x->first; c <= x->last; c++)
            row += x->sum[c] * (double)plane[r * roi->width + c];
        sum += y->sum[r] * row;
    }
    return sum;
}

/* The greatest weighted corner, as the specification has it. */
static double greatest_of_bin(const RoiAlign *roi, const float *plane, const AxisSamples *y, const AxisSamples *x)
{
    double best = y->outside || x->outside ? 0 : -INFINITY;

    for (int64_t r = y->first; r <= y->last; r++)
        for (int64_t c = x->first; c <= x->last; c++) {
            double value = (double)plane[r * roi->width + c];
            if (y->most[r] >= y->least[r] && x->most[c] >= x->least[c])
                best = MAX(best, value < 0 ? y->least[r] * x->least[c] * value : y->most[r] * x->most[c] * value);
        }
    return best;
}

static void align_one(const RoiAlign *roi, const float *image, const float *box, AxisSamples *y, AxisSamples *x, float *out)
{
    double x0 = (double)box[0] * roi->scale - roi->offset, y0 = (double)box[1] * roi->scale - roi->offset;
    double width = (double)box[2] * roi->scale - roi->offset - x0,
           height = (double)box[3] * roi->scale - roi->offset - y0;
    double bin_w, bin_h, samples;
    int64_t grid_w, grid_h, area = roi->out_height * roi->out_width;

    if (roi->offset == 0) { /* malformed boxes are made 1x1 */
        width = MAX(width, 1);
        height = MAX(height, 1);
    }
    bin_w = width / (double)roi->out_width;
    bin_h = height / (double)roi->out_height;
    grid_w = roi->sampling > 0 ? roi->sampling : (int64_t)MIN(MAX(ceil(bin_w), 0), 1e9);
    grid_h = roi->sampling > 0 ? roi->sampling : (int64_t)MIN(MAX(ceil(bin_h), 0), 1e9);
    samples = (double)grid_h * (double)grid_w;
    for (int64_t py = 0; py < roi->out_height; py++) {
        sample_axis(y, y0 + (double)py * bin_h, bin_h, grid_h);
        for (int64_t px = 0; px < roi->out_width; px++) {
            sample_axis(x, x0 + (double)px * bin_w, bin_w, grid_w);
            for (int64_t c = 0; c < roi->channels; c++) {
                const float *plane = image + c * roi->height * roi->width;
                float *bin = &out[c * area + py * roi->out_width + px];
                if (samples == 0)
                    *bin = 0;
                else
                    *bin = (float)(roi->max ? greatest_of_bin(roi, plane, y, x) : sum_bin(roi, plane, y, x) / samples);
            }
        }
    }
}

static Status read_roi_align(const Node *node, RoiAlign *ret)
{
    const char *mode = node_string(node, "mode", "avg");
    const char *coords = node_string(node, "coordinate_transformation_mode",
                                     node->opset < 16 ? "output_half_pixel" : "half_pixel");

    ret->max = strcmp(mode, "max") == 0;
    ret->offset = strcmp(coords, "half_pixel") == 0 ? 0.5 : 0;
    ret->scale = (double)node_float(node, "spatial_scale", 1);
    ret->sampling = node_int(node, "sampling_ratio", 0);
    ret->out_height = node_int(node, "output_height", 1);
    ret->out_width = node_int(node, "output_width", 1);
    if (!ret->max && strcmp(mode, "avg") != 0)
        return node_error(node, CODE_MODEL, "mode '%s' is neither avg nor max", mode);
    if (ret->offset == 0 && strcmp(coords, "output_half_pixel") != 0)
        return node_error(node, CODE_MODEL, "coordinate_transformation_mode '%s' is not known", coords);
    if (ret->out_height < 1 || ret->out_width < 1 || ret->sampling < 0 || ret->sampling > 4096)
        return node_error(node, CODE_MODEL, "output size %lldx%lld with sampling_ratio %lld is not possible",
                          (long long)ret->out_height, (long long)ret->out_width, (long long)ret->sampling);
    return NULL;
}

static Status eval_roi_align(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0], *boxes = ctx->in[1], *batch = ctx->in[2];
    AxisSamples x_axis, y_axis;
    RoiAlign roi;
    int64_t dims[4], image;

    TRY(read_roi_align(ctx->node, &roi));
    if (x->dtype != DT_FLOAT || boxes->dtype != DT_FLOAT)
        return eval_bad_dtype(ctx, x->dtype != DT_FLOAT ? 0 : 1);
    if (x->rank != 4 || boxes->rank != 2 || boxes->dims[1] != 4 || batch->rank != 1 ||
        batch->dims[0] != boxes->dims[0] || (batch->dtype != DT_INT64 && batch->dtype != DT_INT32))
        return eval_error(ctx, CODE_MODEL, "input %s, rois %s and batch indices do not fit",
                          tensor_shape_text(ctx->scratch, x), tensor_shape_text(ctx->scratch, boxes));
    roi.channels = x->dims[1];
    roi.height = x->dims[2];
    roi.width = x->dims[3];
    dims[0] = boxes->dims[0];
    dims[1] = roi.channels;
    dims[2] = roi.out_height;
    dims[3] = roi.out_width;
    TRY(eval_output(ctx, 0, DT_FLOAT, 4, dims));
    if (ctx->out[0].count == 0)
        return NULL;
    if (roi.height == 0 || roi.width == 0)
        return eval_error(ctx, CODE_MODEL, "input %s is empty", tensor_shape_text(ctx->scratch, x));
    image = roi.channels * roi.height * roi.width;
    TRY(axis_new(ctx, roi.height, &y_axis));
    TRY(axis_new(ctx, roi.width, &x_axis));
    for (int64_t i = 0; i < dims[0]; i++) {
        int64_t b;
        TRY(eval_index(ctx, tensor_get_int(batch, i), x->dims[0], 0, &b));
        align_one(&roi, (const float *)x->data + b * image, (const float *)boxes->data + i * 4,
                  &y_axis, &x_axis, (float *)ctx->out[0].data + i * dims[1] * dims[2] * dims[3]);
    }
    return NULL;
}

static Status infer_roi_align(Node *node)
{
    Shape x = infer_shape(node, 0), boxes = infer_shape(node, 1), out = {.rank = 4};
    RoiAlign roi;

    TRY(read_roi_align(node, &roi));
    out.dims[0] = boxes.rank == 2 ? boxes.dims[0] : DIM_UNKNOWN;
    out.dims[1] = x.rank == 4 ? x.dims[1] : DIM_UNKNOWN;
    out.dims[2] = dim_known(roi.out_height);
    out.dims[3] = dim_known(roi.out_width);
    infer_output(node, 0, infer_dtype(node, 0), &out);
    return NULL;
}

static const AttrSpec nms_attrs[] = {{"center_point_box", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec roi_align_attrs[] = {
    {"mode", ATTR_STRING, false},
    {"coordinate_transformation_mode", ATTR_STRING, false},
    {"output_height", ATTR_INT, false},
    {"output_width", ATTR_INT, false},
    {"sampling_ratio", ATTR_INT, false},
    {"spatial_scale", ATTR_FLOAT, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_nonmaxsuppression = {
    .type = "NonMaxSuppression", .domain = "", .versions = {10, 11}, .min_in = 2, .max_in = 5, .min_out = 1,
    .max_out = 1, .attrs = nms_attrs, .infer = infer_nms, .eval = eval_nms, .quant = RULE_FLOAT,
};
const OpDef op_roialign = {
    .type = "RoiAlign", .domain = "", .versions = {10, 16, 22}, .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
    .attrs = roi_align_attrs, .infer = infer_roi_align, .eval = eval_roi_align, .quant = RULE_FLOAT, .widen_half = true,
    .narrow_double = true,
};
