/* op_signal.c - spectra: DFT and STFT; HannWindow HammingWindow BlackmanWindow; MelWeightMatrix.
 *
 *     STFT   signal (N, L, 1|2) ── frames of n samples, each `step` later, windowed ── DFT ──> (N, frames, bins, 2)
 *
 * Formulas: the ONNX operator specification. Transforms are computed in double by Cooley and Tukey's recursion over the
 * prime factors of the length: O(n (p1 + p2 + ...)).
 */
#include <math.h>
#include <string.h>

#include "src/ops/family.h"

#define MAX_LENGTH (INT64_C(1) << 28)

typedef struct Complex {
    double re, im;
} Complex;

/* ---- the transform of one line ----------------------------------------------------------------------------------- */

typedef struct Transform {
    int64_t n;
    const Complex *roots; /* (n) exp(-2 pi i k / n), or its conjugate for the inverse */
    Complex *gathered;    /* (n) */
    Complex *line, *out;  /* (n) the caller's: samples and spectrum */
} Transform;

static Complex times(Complex a, Complex b)
{
    return (Complex){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

static int64_t least_factor(int64_t n)
{
    for (int64_t p = 2; p * p <= n; p++)
        if (n % p == 0)
            return p;
    return n;
}

/* Spectrum of in[0], in[stride] ... (n of them) into out. root(k of n) = roots[k * (transform->n / n)]. The depth
 * of the recursion is the number of prime factors. */
static void transform_line(const Transform *transform, const Complex *in, int64_t stride, int64_t n, Complex *out)
{
    if (n == 1) {
        out[0] = in[0];
        return;
    }
    int64_t p = least_factor(n), m = n / p, step = transform->n / n;
    for (int64_t r = 0; r < p; r++)
        transform_line(transform, in + r * stride, stride * p, m, out + r * m);
    for (int64_t k = 0; k < m; k++) {
        for (int64_t r = 0; r < p; r++)
            transform->gathered[r] = times(out[r * m + k], transform->roots[r * k * step]);
        for (int64_t q = 0; q < p; q++) {
            Complex sum = {0, 0};
            for (int64_t r = 0; r < p; r++) {
                Complex term = times(transform->gathered[r], transform->roots[r * q % p * m * step]);
                sum.re += term.re;
                sum.im += term.im;
            }
            out[q * m + k] = sum;
        }
    }
}

static Status transform_new(EvalCtx *ctx, int64_t n, bool inverse, Transform *ret)
{
    void *memory;

    if (n < 1 || n > MAX_LENGTH)
        return eval_error(ctx, CODE_MODEL, "a transform of length %lld is not possible", (long long)n);
    TRY(eval_scratch(ctx, 4 * (size_t)n * sizeof(Complex), &memory));
    Complex *roots = memory;
    for (int64_t k = 0; k < n; k++) {
        double angle = (inverse ? 2 : -2) * M_PI * (double)k / (double)n;
        roots[k] = (Complex){cos(angle), sin(angle)};
    }
    *ret = (Transform){n, roots, roots + n, roots + 2 * n, roots + 3 * n};
    return NULL;
}

/* ---- DFT --------------------------------------------------------------------------------------------------------- */

static bool one_sided(const Node *node)
{
    return node_int(node, "onesided", node_is(node, "STFT")) != 0;
}

static bool is_real_type(DType dtype)
{
    return dtype == DT_FLOAT || dtype == DT_DOUBLE;
}

/* An optional input that holds one number. */
static Status number_input(const EvalCtx *ctx, int i, double otherwise, double *ret)
{
    const Tensor *tensor = eval_in(ctx, i);

    *ret = otherwise;
    if (tensor == NULL)
        return NULL;
    TRY(eval_require_number(ctx, i));
    if (tensor->count != 1)
        return eval_error(ctx, CODE_MODEL, "input %d has %lld elements, expected a number", i,
                          (long long)tensor->count);
    *ret = tensor_get(tensor, 0);
    return NULL;
}

static Status whole_input(const EvalCtx *ctx, int i, int64_t otherwise, int64_t *ret)
{
    const Tensor *tensor = eval_in(ctx, i);
    double unused;

    TRY(number_input(ctx, i, 0, &unused));
    if (tensor != NULL && tensor->dtype != DT_INT64 && tensor->dtype != DT_INT32)
        return eval_error(ctx, CODE_MODEL, "input %d is %s, expected int64", i, dtype_name(tensor->dtype));
    *ret = tensor != NULL ? tensor_get_int(tensor, 0) : otherwise;
    return NULL;
}

static Status check_dft_axis(const Node *node, int64_t axis, int rank, int *ret)
{
    if (rank < 2 || axis < -rank || axis >= rank || axis == rank - 1 || axis == -1)
        return node_error(node, CODE_MODEL, "axis %lld is not a signal axis of rank %d", (long long)axis, rank);
    *ret = (int)(axis < 0 ? axis + rank : axis);
    return NULL;
}

static Status eval_dft(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    bool inverse = node_int(ctx->node, "inverse", 0) != 0, half = one_sided(ctx->node), real = inverse && half;
    int64_t axis_given = node_int(ctx->node, "axis", 1), n, dims[TENSOR_MAX_RANK], parts, bins;
    Transform transform;
    int axis;

    if (!is_real_type(x->dtype))
        return eval_bad_dtype(ctx, 0);
    if (ctx->node->opset >= 20)
        TRY(whole_input(ctx, 2, -2, &axis_given));
    TRY(check_dft_axis(ctx->node, axis_given, x->rank, &axis));
    parts = x->dims[x->rank - 1];
    if (parts != 1 && parts != 2)
        return eval_error(ctx, CODE_MODEL, "the last axis has size %lld, expected 1 (real) or 2 (complex)",
                          (long long)parts);
    if (half && (parts == 2) != inverse)
        return eval_error(ctx, CODE_MODEL, "onesided %s does not go with a %s input", inverse ? "and inverse" : "",
                          parts == 2 ? "complex" : "real");
    TRY(whole_input(ctx, 1, real ? 2 * (x->dims[axis] - 1) : x->dims[axis], &n));
    TRY(transform_new(ctx, n, inverse, &transform));
    bins = half && !real ? n / 2 + 1 : n;
    memcpy(dims, x->dims, sizeof dims);
    dims[axis] = bins;
    dims[x->rank - 1] = real ? 1 : 2;
    TRY(eval_output(ctx, 0, x->dtype, x->rank, dims));
    int64_t inner = count_of(x->dims, axis + 1, x->rank - 1), outer = count_of(x->dims, 0, axis);
    for (int64_t line = 0; line < outer * inner; line++) {
        int64_t o = line / inner, i = line % inner;
        for (int64_t k = 0; k < n; k++) {
            bool mirrored = real && k > n / 2; /* the half that is not given is the conjugate of the other */
            int64_t from = mirrored ? n - k : k, at = ((o * x->dims[axis] + from) * inner + i) * parts;
            bool inside = from < x->dims[axis];
            transform.line[k].re = inside ? tensor_get(x, at) : 0;
            transform.line[k].im = inside && parts == 2 ? (mirrored ? -1 : 1) * tensor_get(x, at + 1) : 0;
        }
        transform_line(&transform, transform.line, 1, n, transform.out);
        for (int64_t k = 0; k < bins; k++) {
            int64_t at = ((o * bins + k) * inner + i) * (real ? 1 : 2);
            tensor_set(&ctx->out[0], at, transform.out[k].re / (inverse ? (double)n : 1));
            if (!real)
                tensor_set(&ctx->out[0], at + 1, transform.out[k].im / (inverse ? (double)n : 1));
        }
    }
    return NULL;
}

/* The one number of an input when it is known. */
static bool known_number(const Node *node, int i, int64_t *ret)
{
    Dim content[1];

    return infer_content(node, i, content, 1) == 1 && content_literal(content[0], ret);
}

static Dim bins_of(Dim length, bool half)
{
    if (!half || !dim_is_known(length))
        return half ? DIM_UNKNOWN : length;
    return dim_known(length.size / 2 + 1);
}

static Status infer_dft(Node *node)
{
    Shape shape = infer_shape(node, 0);
    int64_t axis_given = node->opset >= 20 ? -2 : node_int(node, "axis", 1), length;
    bool known = node->opset < 20 || node_in(node, 2) == NULL || known_number(node, 2, &axis_given);
    int axis = 0;
    bool half = one_sided(node), real = half && node_int(node, "inverse", 0) != 0;

    if (shape.rank >= 0) {
        shape.dims[MAX(shape.rank - 1, 0)] = dim_known(real ? 1 : 2);
        if (known)
            TRY(check_dft_axis(node, axis_given, shape.rank, &axis));
        for (int i = 0; i < shape.rank - 1; i++) {
            if (known && i != axis)
                continue;
            if (node_in(node, 1) != NULL)
                shape.dims[i] =
                    known && known_number(node, 1, &length) && length >= 0 ? dim_known(length) : DIM_UNKNOWN;
            else if (real)
                shape.dims[i] = known && dim_is_known(shape.dims[i]) ? dim_known(MAX(2 * (shape.dims[i].size - 1), 0))
                                                                      : DIM_UNKNOWN;
            if (half && !real)
                shape.dims[i] = known ? bins_of(shape.dims[i], half) : DIM_UNKNOWN;
        }
    }
    infer_output(node, 0, infer_dtype(node, 0), &shape);
    return NULL;
}

/* ---- STFT -------------------------------------------------------------------------------------------------------- */

static Status eval_stft(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0], *window = eval_in(ctx, 2);
    bool half = one_sided(ctx->node);
    int64_t step, n, frames, bins, parts;
    Transform transform;

    if (!is_real_type(x->dtype))
        return eval_bad_dtype(ctx, 0);
    if ((x->rank != 2 && x->rank != 3) || (x->rank == 3 && x->dims[2] != 1 && x->dims[2] != 2))
        return eval_error(ctx, CODE_MODEL, "signal has shape %s, expected batch, length, 1 or 2",
                          tensor_shape_text(ctx->scratch, x));
    parts = x->rank == 3 ? x->dims[2] : 1;
    TRY(whole_input(ctx, 1, 0, &step));
    TRY(whole_input(ctx, 3, window != NULL ? window->count : 0, &n));
    TRY(eval_require_same_dtype(ctx, 0, 2));
    if (step < 1 || n > x->dims[1] || (window != NULL && (window->rank != 1 || window->count != n)))
        return eval_error(ctx, CODE_MODEL, "frames of %lld samples, one each %lld, and a window of %lld do not fit a "
                          "signal of %lld", (long long)n, (long long)step,
                          (long long)(window != NULL ? window->count : n), (long long)x->dims[1]);
    if (half && parts == 2)
        return eval_error(ctx, CODE_MODEL, "onesided does not go with a complex signal");
    TRY(transform_new(ctx, n, false, &transform));
    frames = (x->dims[1] - n) / step + 1;
    bins = half ? n / 2 + 1 : n;
    TRY(eval_output(ctx, 0, x->dtype, 4, (int64_t[]){x->dims[0], frames, bins, 2}));
    for (int64_t line = 0; line < x->dims[0] * frames; line++) {
        int64_t first = line / frames * x->dims[1] + line % frames * step;
        for (int64_t k = 0; k < n; k++) {
            double w = window != NULL ? tensor_get(window, k) : 1;
            transform.line[k].re = w * tensor_get(x, (first + k) * parts);
            transform.line[k].im = parts == 2 ? w * tensor_get(x, (first + k) * parts + 1) : 0;
        }
        transform_line(&transform, transform.line, 1, n, transform.out);
        for (int64_t k = 0; k < bins; k++) {
            tensor_set(&ctx->out[0], (line * bins + k) * 2, transform.out[k].re);
            tensor_set(&ctx->out[0], (line * bins + k) * 2 + 1, transform.out[k].im);
        }
    }
    return NULL;
}

static Status infer_stft(Node *node)
{
    Shape x = infer_shape(node, 0), window = infer_shape(node, 2);
    Shape out = {.rank = 4, .dims = {DIM_UNKNOWN, DIM_UNKNOWN, DIM_UNKNOWN, dim_known(2)}};
    Dim length = window.rank == 1 ? window.dims[0] : DIM_UNKNOWN;
    int64_t number, step;

    if (known_number(node, 3, &number) && number >= 0)
        length = dim_known(number);
    if (x.rank >= 2)
        out.dims[0] = x.dims[0];
    if (x.rank >= 2 && dim_is_known(x.dims[1]) && dim_is_known(length) && length.size <= x.dims[1].size &&
        known_number(node, 1, &step) && step > 0)
        out.dims[1] = dim_known((x.dims[1].size - length.size) / step + 1);
    out.dims[2] = bins_of(length, one_sided(node));
    infer_output(node, 0, infer_dtype(node, 0), &out);
    return NULL;
}

/* ---- windows: a - b cos(2 pi k / n) + c cos(4 pi k / n) ---------------------------------------------------------- */

static DType output_dtype(const Node *node)
{
    int64_t dtype = node_int(node, "output_datatype", DT_FLOAT);

    return dtype > 0 && dtype <= DT_LAST && (dtype_is_float((DType)dtype) || dtype_is_integer((DType)dtype))
               ? (DType)dtype
               : DT_UNDEFINED;
}

static Status eval_window(EvalCtx *ctx, double a, double b, double c)
{
    DType dtype = output_dtype(ctx->node);
    int64_t size;

    TRY(whole_input(ctx, 0, 0, &size));
    if (dtype == DT_UNDEFINED || size < 0)
        return eval_error(ctx, CODE_MODEL, "a window of size %lld and type %lld is not possible", (long long)size,
                          (long long)node_int(ctx->node, "output_datatype", DT_FLOAT));
    double n = (double)(node_int(ctx->node, "periodic", 1) != 0 ? size : MAX(size - 1, 1));
    TRY(eval_output(ctx, 0, dtype, 1, &size));
    for (int64_t k = 0; k < size; k++) {
        double angle = 2 * M_PI * (double)k / n;
        tensor_set(&ctx->out[0], k, size == 1 ? 1 : a - b * cos(angle) + c * cos(2 * angle));
    }
    return NULL;
}

static Status eval_hann(EvalCtx *ctx)
{
    return eval_window(ctx, 0.5, 0.5, 0);
}

static Status eval_hamming(EvalCtx *ctx)
{
    return eval_window(ctx, 25.0 / 46.0, 21.0 / 46.0, 0);
}

static Status eval_blackman(EvalCtx *ctx)
{
    return eval_window(ctx, 0.42, 0.5, 0.08);
}

static Status infer_window(Node *node)
{
    Shape shape = {.rank = 1, .dims = {DIM_UNKNOWN}};
    Dim size[1];

    if (infer_content(node, 0, size, 1) == 1)
        shape.dims[0] = content_to_dim(size[0]);
    infer_output(node, 0, output_dtype(node), &shape);
    return NULL;
}

/* ---- MelWeightMatrix: triangles between mel-spaced bins ---------------------------------------------------------- */

static double mel_of(double hertz)
{
    return 2595 * log10(1 + hertz / 700);
}

static Status eval_mel(EvalCtx *ctx)
{
    DType dtype = output_dtype(ctx->node);
    int64_t mels, length, rate, bins;
    double low, high;

    TRY(whole_input(ctx, 0, 0, &mels));
    TRY(whole_input(ctx, 1, 0, &length));
    TRY(whole_input(ctx, 2, 0, &rate));
    for (int i = 3; i < 5; i++)
        if (!dtype_is_float(ctx->in[i]->dtype))
            return eval_bad_dtype(ctx, i);
    TRY(number_input(ctx, 3, 0, &low));
    TRY(number_input(ctx, 4, 0, &high));
    if (dtype == DT_UNDEFINED || mels < 1 || mels > MAX_LENGTH || length < 1 || length > MAX_LENGTH || rate < 1 ||
        !(low >= 0) || !(high > low) || !(high <= (double)rate))
        return eval_error(ctx, CODE_MODEL, "%lld mel bins over a transform of %lld at %lld Hz from %g to %g Hz are not "
                          "possible", (long long)mels, (long long)length, (long long)rate, low, high);
    bins = length / 2 + 1;
    TRY(eval_output(ctx, 0, dtype, 2, (int64_t[]){bins, mels}));
    if (ctx->out[0].bytes > 0)
        memset(ctx->out[0].data, 0, ctx->out[0].bytes);
    double start = mel_of(low), step = (mel_of(high) - start) / (double)(mels + 2);
    int64_t edge[3]; /* lower, centre, upper bin of the triangle */
    for (int64_t i = 0; i < mels; i++) {
        for (int e = 0; e < 3; e++) {
            double hertz = 700 * (pow(10, (start + (double)(i + e) * step) / 2595) - 1);
            edge[e] = (int64_t)floor((double)(length + 1) * hertz / (double)rate);
        }
        for (int64_t j = edge[0]; j <= edge[1] && j < bins; j++)
            tensor_set(&ctx->out[0], j * mels + i,
                       edge[0] == edge[1] ? 1 : (double)(j - edge[0]) / (double)(edge[1] - edge[0]));
        for (int64_t j = edge[1]; j < edge[2] && j < bins; j++)
            tensor_set(&ctx->out[0], j * mels + i, (double)(edge[2] - j) / (double)(edge[2] - edge[1]));
    }
    return NULL;
}

static Status infer_mel(Node *node)
{
    Shape shape = {.rank = 2, .dims = {DIM_UNKNOWN, DIM_UNKNOWN}};
    int64_t number;

    if (known_number(node, 1, &number) && number >= 1)
        shape.dims[0] = dim_known(number / 2 + 1);
    if (known_number(node, 0, &number) && number >= 1)
        shape.dims[1] = dim_known(number);
    infer_output(node, 0, output_dtype(node), &shape);
    return NULL;
}

static const AttrSpec dft_attrs[] = {
    {"axis", ATTR_INT, false},
    {"inverse", ATTR_INT, false},
    {"onesided", ATTR_INT, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec stft_attrs[] = {{"onesided", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec window_attrs[] = {
    {"output_datatype", ATTR_INT, false},
    {"periodic", ATTR_INT, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec mel_attrs[] = {{"output_datatype", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};

const OpDef op_dft = {
    .type = "DFT", .domain = "", .versions = {17, 20}, .min_in = 1, .max_in = 3, .min_out = 1, .max_out = 1,
    .attrs = dft_attrs, .infer = infer_dft, .eval = eval_dft, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_stft = {
    .type = "STFT", .domain = "", .versions = {17}, .min_in = 2, .max_in = 4, .min_out = 1, .max_out = 1,
    .attrs = stft_attrs, .infer = infer_stft, .eval = eval_stft, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_hannwindow = {
    .type = "HannWindow", .domain = "", .versions = {17}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .attrs = window_attrs, .infer = infer_window, .eval = eval_hann, .quant = RULE_FLOAT,
};
const OpDef op_hammingwindow = {
    .type = "HammingWindow", .domain = "", .versions = {17}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .attrs = window_attrs, .infer = infer_window, .eval = eval_hamming, .quant = RULE_FLOAT,
};
const OpDef op_blackmanwindow = {
    .type = "BlackmanWindow", .domain = "", .versions = {17}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .attrs = window_attrs, .infer = infer_window, .eval = eval_blackman, .quant = RULE_FLOAT,
};
const OpDef op_melweightmatrix = {
    .type = "MelWeightMatrix", .domain = "", .versions = {17}, .min_in = 5, .max_in = 5, .min_out = 1, .max_out = 1,
    .attrs = mel_attrs, .infer = infer_mel, .eval = eval_mel, .quant = RULE_FLOAT,
};
