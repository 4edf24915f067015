/* op_grid.c - GridSample and AffineGrid: images read at given places.
 *
 *     AffineGrid  theta (N,2,3) x base grid in [-1, 1] ──> grid (N,H,W,2)
 *     GridSample  x (N,C,H,W), grid (N,h,w,2) of (x, y) in [-1, 1] ──> (N,C,h,w); volumes the same with one axis more
 *
 * Formulas: the ONNX operator specification; cubic convolution with A = -0.75.
 */
#include <math.h>
#include <string.h>

#include "src/ops/family.h"

#define MAX_SPACE 3

typedef enum Mode { MODE_NEAREST, MODE_LINEAR, MODE_CUBIC } Mode;
typedef enum Padding { PADDING_ZEROS, PADDING_BORDER, PADDING_REFLECTION } Padding;

typedef struct Sampler {
    Mode mode;
    Padding padding;
    bool align;
    int64_t size[MAX_SPACE]; /* of the image, outer axis first; 1 where it has fewer axes */
} Sampler;

static Status find_word(const Node *node, const char *name, const char *otherwise, const char *const *words, int *ret)
{
    const char *given = node_string(node, name, otherwise);

    for (int i = 0; words[i] != NULL; i++)
        if (strcmp(words[i], given) == 0) {
            *ret = i;
            return NULL;
        }
    return node_error(node, CODE_MODEL, "%s '%s' is not known", name, given);
}

static Status read_sampler(const Node *node, Sampler *ret)
{
    static const char *const modes[] = {"nearest", "bilinear", "bicubic", "linear", "cubic", NULL};
    static const char *const paddings[] = {"zeros", "border", "reflection", NULL};
    static const Mode of_word[] = {MODE_NEAREST, MODE_LINEAR, MODE_CUBIC, MODE_LINEAR, MODE_CUBIC};
    int mode, padding;

    TRY(find_word(node, "mode", node->opset < 20 ? "bilinear" : "linear", modes, &mode));
    TRY(find_word(node, "padding_mode", "zeros", paddings, &padding));
    ret->mode = of_word[mode];
    ret->padding = (Padding)padding;
    ret->align = node_int(node, "align_corners", 0) != 0;
    return NULL;
}

/* Position in elements of x in [-1, 1]. */
static double place(const Sampler *sampler, double x, int64_t size)
{
    return sampler->align ? (x + 1) / 2 * (double)(size - 1) : ((x + 1) * (double)size - 1) / 2;
}

/* Mirrored between low and high as often as it takes. */
static double reflect(double x, double low, double high)
{
    double range = high - low;

    if (!(range > 0))
        return 0;
    double away = x < low ? low - x : x > high ? x - high : 0;
    if (!(away > 0))
        return x;
    double turns = floor(away / range), rest = away - turns * range;
    bool even = fmod(turns, 2) == 0;
    if (x < low)
        return even ? low + rest : high - rest;
    return even ? high - rest : low + rest;
}

/* Index of the element that stands at position i (a whole number); -1: a zero. */
static int64_t element_at(const Sampler *sampler, double i, int64_t size)
{
    double last = (double)(size - 1);

    if (sampler->padding == PADDING_BORDER)
        i = fmin(fmax(i, 0), last);
    else if (sampler->padding == PADDING_REFLECTION)
        i = sampler->align ? reflect(i, 0, last) : reflect(i, -0.5, last + 0.5);
    return i >= 0 && i <= last ? (int64_t)i : -1; /* NaN: -1 */
}

static double cubic_weight(double distance)
{
    const double a = -0.75, d = fabs(distance);

    if (d <= 1)
        return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/* Elements and weights of one axis that make up a position: ret_n of them. */
typedef struct Taps {
    int n;
    int64_t index[4];
    double weight[4];
} Taps;

static Taps taps_at(const Sampler *sampler, double x, int64_t size)
{
    Taps taps = {.n = 1, .index = {-1}, .weight = {1}};
    double at = place(sampler, x, size);

    if (!(fabs(at) < 1e15)) /* NaN and what no image reaches */
        at = sampler->padding == PADDING_ZEROS || at != at ? -1e15 : at > 0 ? 1e15 : -1e15;
    /* Border and reflection act on the position itself; for cubic, on each of its elements. */
    if (sampler->mode != MODE_CUBIC && sampler->padding == PADDING_BORDER)
        at = fmin(fmax(at, 0), (double)(size - 1));
    else if (sampler->mode != MODE_CUBIC && sampler->padding == PADDING_REFLECTION)
        at = fmin(fmax(sampler->align ? reflect(at, 0, (double)(size - 1)) : reflect(at, -0.5, (double)size - 0.5), 0),
                  (double)(size - 1));
    double below = floor(at);
    if (sampler->mode == MODE_NEAREST) {
        taps.index[0] = element_at(sampler, rint(at), size);
        return taps;
    }
    taps.n = sampler->mode == MODE_LINEAR ? 2 : 4;
    for (int k = 0; k < taps.n; k++) {
        double i = below + (taps.n == 2 ? k : k - 1);
        taps.index[k] = element_at(sampler, i, size);
        taps.weight[k] = taps.n == 2 ? (k == 0 ? 1 - (at - below) : at - below) : cubic_weight(at - i);
    }
    return taps;
}

/* Sum over the taps of all axes; those that the image lacks have one tap. */
static double sample(const Sampler *sampler, const Tensor *x, int64_t plane, const Taps taps[MAX_SPACE])
{
    double sum = 0;

    for (int i = 0; i < taps[0].n; i++)
        for (int j = 0; j < taps[1].n; j++)
            for (int k = 0; k < taps[2].n; k++) {
                int64_t z = taps[0].index[i], y = taps[1].index[j], at = taps[2].index[k];
                if (z < 0 || y < 0 || at < 0)
                    continue;
                at += ((plane * sampler->size[0] + z) * sampler->size[1] + y) * sampler->size[2];
                sum += taps[0].weight[i] * taps[1].weight[j] * taps[2].weight[k] * tensor_get(x, at);
            }
    return sum;
}

static Status eval_grid_sample(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0], *grid = ctx->in[1];
    int64_t dims[TENSOR_MAX_RANK];
    Sampler sampler;

    TRY(read_sampler(ctx->node, &sampler));
    int space = x->rank - 2;
    if (space < 1 || space > MAX_SPACE || grid->rank != x->rank ||
        grid->dims[grid->rank - 1] != space || grid->dims[0] != x->dims[0])
        return eval_error(ctx, CODE_MODEL, "input %s and grid %s do not fit", tensor_shape_text(ctx->scratch, x),
                          tensor_shape_text(ctx->scratch, grid));
    if (!dtype_is_float(x->dtype) && !dtype_is_integer(x->dtype) && x->dtype != DT_BOOL)
        return eval_bad_dtype(ctx, 0);
    if (!dtype_is_float(grid->dtype))
        return eval_bad_dtype(ctx, 1);
    dims[0] = x->dims[0];
    dims[1] = x->dims[1];
    for (int a = 0; a < MAX_SPACE; a++)
        sampler.size[a] = a < MAX_SPACE - space ? 1 : x->dims[a - MAX_SPACE + x->rank];
    for (int a = 0; a < space; a++)
        dims[a + 2] = grid->dims[a + 1];
    TRY(eval_output(ctx, 0, x->dtype, x->rank, dims));
    if (ctx->out[0].count == 0)
        return NULL;
    if (x->count == 0)
        return eval_error(ctx, CODE_MODEL, "input %s is empty", tensor_shape_text(ctx->scratch, x));
    int64_t places = count_of(dims, 2, x->rank);
    for (int64_t p = 0; p < dims[0] * places; p++) {
        Taps taps[MAX_SPACE];
        for (int a = 0; a < MAX_SPACE; a++) /* the grid gives the innermost axis first */
            taps[a] = a < MAX_SPACE - space
                          ? (Taps){.n = 1, .index = {0}, .weight = {1}}
                          : taps_at(&sampler, tensor_get(grid, p * space + MAX_SPACE - 1 - a), sampler.size[a]);
        for (int64_t c = 0; c < dims[1]; c++) {
            int64_t plane = p / places * dims[1] + c;
            tensor_set(&ctx->out[0], plane * places + p % places, sample(&sampler, x, plane, taps));
        }
    }
    return NULL;
}

static Status infer_grid_sample(Node *node)
{
    Shape x = infer_shape(node, 0), grid = infer_shape(node, 1), out = shape_unknown();
    int rank = MAX(x.rank, grid.rank);
    Sampler sampler;

    TRY(read_sampler(node, &sampler));
    if (x.rank >= 0 && grid.rank >= 0 && x.rank != grid.rank)
        return node_error(node, CODE_MODEL, "input has rank %d, grid %d", x.rank, grid.rank);
    if (rank > 2) {
        out.rank = rank;
        for (int i = 0; i < rank; i++)
            out.dims[i] = i < 2 && x.rank > 0      ? x.dims[i]
                          : i >= 2 && grid.rank > 0 ? grid.dims[i - 1]
                                                    : DIM_UNKNOWN;
    }
    infer_output(node, 0, infer_dtype(node, 0), &out);
    return NULL;
}

/* ---- AffineGrid -------------------------------------------------------------------------------------------------- */

static double base_at(bool align, int64_t i, int64_t size)
{
    if (align)
        return size > 1 ? -1 + 2 * (double)i / (double)(size - 1) : 0;
    return -1 + (2 * (double)i + 1) / (double)size;
}

static Status eval_affine_grid(EvalCtx *ctx)
{
    const Tensor *theta = ctx->in[0];
    bool align = node_int(ctx->node, "align_corners", 0) != 0;
    int64_t *size, n, dims[TENSOR_MAX_RANK], index[MAX_SPACE] = {0};

    TRY(eval_ints(ctx, 1, &size, &n));
    int space = (int)n - 2;
    if ((n != 4 && n != 5) || theta->rank != 3 || theta->dims[0] != size[0] || theta->dims[1] != space ||
        theta->dims[2] != space + 1)
        return eval_error(ctx, CODE_MODEL, "theta %s does not fit a size of %lld dims",
                          tensor_shape_text(ctx->scratch, theta), (long long)n);
    if (theta->dtype != DT_FLOAT && theta->dtype != DT_DOUBLE)
        return eval_bad_dtype(ctx, 0);
    dims[0] = size[0];
    for (int a = 0; a < space; a++)
        dims[a + 1] = size[a + 2];
    dims[space + 1] = space;
    TRY(eval_output(ctx, 0, theta->dtype, space + 2, dims));
    int64_t places = ctx->out[0].count / space;
    for (int64_t p = 0; p < places; p++) {
        int64_t batch = p / count_of(dims, 1, space + 1);
        for (int row = 0; row < space; row++) {
            const int64_t first = (batch * space + row) * (space + 1);
            double sum = tensor_get(theta, first + space);
            for (int a = 0; a < space; a++) /* coordinates run from the innermost axis out */
                sum += tensor_get(theta, first + a) * base_at(align, index[space - 1 - a], dims[space - a]);
            tensor_set(&ctx->out[0], p * space + row, sum);
        }
        (void)odometer_next(space, dims + 1, index);
    }
    return NULL;
}

static Status infer_affine_grid(Node *node)
{
    Dim size[5];
    int n = infer_content(node, 1, size, 5);
    Shape out = shape_unknown();

    if (n == 4 || n == 5) {
        out.rank = n;
        out.dims[0] = content_to_dim(size[0]);
        for (int i = 1; i < n - 1; i++)
            out.dims[i] = content_to_dim(size[i + 1]);
        out.dims[n - 1] = dim_known(n - 2);
    }
    infer_output(node, 0, infer_dtype(node, 0), &out);
    return NULL;
}

static const AttrSpec grid_sample_attrs[] = {
    {"align_corners", ATTR_INT, false},
    {"mode", ATTR_STRING, false},
    {"padding_mode", ATTR_STRING, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec affine_grid_attrs[] = {{"align_corners", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};

const OpDef op_gridsample = {
    .type = "GridSample", .domain = "", .versions = {16, 20, 22}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = grid_sample_attrs, .infer = infer_grid_sample, .eval = eval_grid_sample, .quant = RULE_FLOAT,
};
const OpDef op_affinegrid = {
    .type = "AffineGrid", .domain = "", .versions = {20}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = affine_grid_attrs, .infer = infer_affine_grid, .eval = eval_affine_grid, .quant = RULE_FLOAT,
    .widen_half = true,
};
