/* quant.h - the arithmetic of quantization: parameters, ranges, target profiles. Knows no images and no files of models.
 *
 *     real = scale * (q - zero_point)        q = clip(round_half_even(real / scale) + zero_point)
 *
 * Letters: C output channels, n elements.
 */
#ifndef QUANTIZE_QUANT_H
#define QUANTIZE_QUANT_H

#include "src/ir/ir.h"

/* ---- qparams.c --------------------------------------------------------------------------------------------------- */

typedef struct QParams {
    float scale;        /* > 0 */
    int32_t zero_point;
    DType dtype;        /* DT_UINT8 or DT_INT8 */
} QParams;

/* Least and greatest q of an 8-bit (or 16-, 32-bit) integer type. */
void quant_limits(DType dtype, int32_t *ret_low, int32_t *ret_high);
/* Asymmetric over the 8-bit type: range widened to hold 0 exactly. A range of zero width gives scale 1 (or the value's
 * own magnitude so that it is exact). Never gives a scale that is zero, denormal or not finite. */
QParams qparams_asymmetric(float low, float high, DType dtype);
/* Symmetric int8, zero point 0, q in [-127, 127]: max_abs / 127. */
QParams qparams_symmetric(float max_abs, DType dtype);
int32_t quant_value(float x, QParams p); /* NaN gives the zero point */
/* Quantizes n floats into 8-bit integers of p.dtype. */
void quant_array(const float *x, int64_t n, QParams p, void *ret);
void dequant_array(const void *q, int64_t n, QParams p, float *ret);

/* ---- ranges.c: the range table - the one thing calib/ and passes/ share ------------------------------------------ */

/* What calibration saw of one value and what was made of it. */
typedef struct Range {
    const char *name;          /* of the value */
    float observed_min, observed_max; /* finite elements only */
    float low, high;           /* chosen range: low <= 0 <= high */
    double clipped_share;      /* share of elements outside [low, high] */
    double sqnr_db;            /* of the 8-bit asymmetric quantization over the histogram; 999 when exact, NAN without one */
    int64_t elements;          /* seen */
    int64_t not_finite;        /* NaN and infinities among them */
    const char *method;        /* what gave low and high: "mse", "minmax" ..., or NULL */
} Range;

typedef struct RangeTable RangeTable;
RangeTable *ranges_new(void);
void ranges_free(RangeTable *table); /* NULL is fine */
void ranges_put(RangeTable *table, const Range *range); /* copies, the texts too; replaces one of that name */
const Range *ranges_get(const RangeTable *table, const char *name); /* NULL when absent */
size_t ranges_count(const RangeTable *table);
const Range *ranges_at(const RangeTable *table, size_t i); /* in order of insertion */

/* ---- channels.c: what was seen of the channels of some values ----------------------------------------------------- */

typedef struct Channels {
    int axis;         /* of the channels; negative counts from the last */
    int64_t n;        /* C */
    float *max_abs;   /* (C,) of finite elements */
    double *sum;      /* (C,) of finite elements */
    int64_t elements; /* seen of each channel */
} Channels;

typedef struct ChannelTable ChannelTable;
ChannelTable *channels_new(void);
void channels_free(ChannelTable *table); /* NULL is fine */
Channels *channels_put(ChannelTable *table, const char *name, int axis, int64_t n); /* a row of zeros, or the one that is there */
Channels *channels_get(const ChannelTable *table, const char *name);                /* NULL when absent; table may be NULL */
size_t channels_count(const ChannelTable *table);
void channels_add(Channels *channels, const Tensor *tensor); /* a tensor of another shape is left out */

/* ---- histogram.c: counts over a grid that grows by powers of two ------------------------------------------------- */

/* H = HISTOGRAM_BINS / 2, w = 2^exponent. Bin H + k covers [k * w, (k + 1) * w), bin H - 1 - k is its mirror image
 * (-(k + 1) * w, -k * w]. Doubling w merges pairs of bins exactly, and the final w depends on the greatest magnitude
 * alone: counts are the same for any order of samples and any split over threads. Zeros are counted apart: they are
 * exact under any parameters. Extremes are always those of all elements; counts may be of a subset of them. */
#define HISTOGRAM_BINS 8192

/* exact_sum.c: a sum of floats that does not depend on their order: fixed point, 2^-149 is its last bit. */
typedef struct ExactSum {
    uint64_t limbs[6]; /* two's complement, the lowest first */
} ExactSum;
void exact_sum_add(ExactSum *sum, float x); /* finite */
void exact_sum_merge(ExactSum *into, const ExactSum *from);
double exact_sum_get(const ExactSum *sum);

typedef struct Histogram {
    int exponent;            /* w = 2^exponent; meaningful once something non-zero was added */
    bool empty;              /* nothing finite and non-zero yet */
    bool has_bins;           /* else extremes only: counted is 0 */
    float min, max;          /* of finite elements (0 included), when count > 0 */
    int64_t count;           /* finite elements */
    int64_t counted;         /* those in bins and zeros: all, or a subset */
    int64_t zeros;
    int64_t not_finite;
    int64_t runs;            /* tensors with finite elements: samples, in practice */
    ExactSum run_min, run_max; /* sums of the extremes of each run */
    uint64_t bins[];         /* (HISTOGRAM_BINS,) when has_bins */
} Histogram;

MUST_USE Status histogram_new(bool bins, Histogram **ret);
void histogram_free(Histogram *histogram); /* NULL is fine */
void histogram_add(Histogram *histogram, const float *x, int64_t n); /* every element */
void histogram_merge(Histogram *into, const Histogram *from);

/* The same in two steps, so that threads share a histogram: a tally is a thread's own (some 150 KiB), histogram_take() is
 * short and needs the histogram alone; it leaves the tally ready for the next tensor. `counts` as the histogram's has_bins.
 * most: elements to count, 0 for all; of greater tensors a subset that the seed decides. */
typedef struct Tally Tally;
Tally *tally_new(void);
void tally_free(Tally *tally); /* NULL is fine */
void tally_take(Tally *tally, const float *x, int64_t n, bool counts, int64_t most, uint64_t seed);
void histogram_take(Histogram *histogram, Tally *tally);

/* What calibration is to note of a value. */
typedef enum WatchLevel {
    WATCH_NOTHING,   /* its range follows from that of another value */
    WATCH_EXTREMES,  /* nothing quantizes it: least and greatest element, and whether all are finite */
    WATCH_HISTOGRAM
} WatchLevel;

/* ---- choose.c: a range from a histogram -------------------------------------------------------------------------- */

typedef enum RangeMethod {
    RANGE_AUTO,        /* of all below, what gives the least expected squared error */
    RANGE_MSE,         /* least expected squared error, both ends searched */
    RANGE_MINMAX,      /* all that was seen */
    RANGE_MEAN_MINMAX, /* mean over the samples of each one's extremes */
    RANGE_PERCENTILE,  /* a share of the elements is kept */
    RANGE_ENTROPY      /* least Kullback-Leibler divergence */
} RangeMethod;

typedef struct RangeRule {
    RangeMethod method;
    double percentile; /* RANGE_PERCENTILE: percent of the elements that are kept, > 50; 0 stands for 99.99 */
} RangeRule;

const char *range_method_name(RangeMethod method);
/* "mse", "percentile", "percentile=99.9" ...; false when it is none of them. */
bool range_rule_parse(const char *text, RangeRule *ret);
/* Fills all of `range` but the name: low and high by the rule, what was observed, what the range costs. levels: 256 for
 * 8 bits, 16 or 65536. */
void range_choose(const Histogram *histogram, RangeRule rule, int levels, Range *range);
/* clipped_share and sqnr_db of the low and high that `range` has, and the observed part. */
void range_judge(const Histogram *histogram, int levels, Range *range);

/* ---- weights.c: quantized constant tensors ----------------------------------------------------------------------- */

/* Symmetric int8 along `axis` (-1: per tensor) of a float weight. ret_q: same shape int8, ret_scales (C,) or (1,). scales given
 * by max|w| / 127; a channel of zeros gets scale 1. min_scale (C,) or NULL: lower bounds, for the int32
 * bias guard. Both in arena. */
MUST_USE Status weights_quantize(Arena *arena, const Tensor *weight, int axis, const float *min_scale, Tensor **ret_q,
                                 Tensor **ret_scales, double *ret_sqnr_db);

/* ---- rounding.c: weights rounded up or down by what the layer's output is off --------------------------------------- */

#define MOMENTS_BLOCK 256

/* Sums over positions of the inputs x (length,) that the weights of an output channel multiply, for each group of a convolution. */
typedef struct Moments {
    int64_t groups, length; /* of a matrix product 1 and its rows */
    int64_t count;          /* positions, of each group; counted by the caller */
    double *sums;           /* (groups, length) of x */
    double *products;       /* of x x', the upper halves of blocks along the diagonal: rows of one block, then of the next */
} Moments;
Moments *moments_new(int64_t groups, int64_t length);
void moments_free(Moments *moments); /* NULL is fine */
void moments_add(Moments *moments, int64_t group, const float *x); /* (length,) finite */

typedef struct RoundingBlocks {
    const Moments *moments;
    double *covariances;
} RoundingBlocks;
void rounding_prepare(const Moments *moments, RoundingBlocks *ret);
void rounding_release(RoundingBlocks *blocks);
/* Weights w[i * step], i < length, of one output channel, rounded in q[i * step]; changes q where that lowers the error of the
 * output. Returns how many changes were made. */
int64_t rounding_descend(const RoundingBlocks *blocks, int64_t group, const float *w, int64_t step, float scale, int8_t *q);

/* ---- targets.c: profiles as data --------------------------------------------------------------------------------- */

typedef struct Target {
    const char *name;
    const char *summary;
    DType activation;            /* DT_UINT8 / DT_INT8 */
    bool symmetric;              /* activations have the zero point 0 (int8 only) */
    bool per_channel;            /* weights have a scale for each output channel */
    bool float_bias;             /* biases stay float; else int32 with the scale of the sum */
    bool requantizes;            /* a Q stands behind every integer op, taking over its Relu or Clip; else there is none but in
                                    front of what reads integers, behind the activation that the runtime fuses */
    bool one_concat_scale;       /* what goes into a Concat and what comes out has one scale */
    bool has_costs;              /* passes/quantize_cost.c knows what its kernels cost */
    bool fuses_residual;         /* an Add reads one input as the op in front of it leaves it, and only the other as integers */
    bool slow_prelu;             /* its PRelu is better written as Max(x, slope x) */
    bool open_products;          /* a MatMul of integers may give floats: no Q behind it */
    bool quantizes_weights;      /* of its own accord, where float ops stand between 8-bit values: passes/quantize_guard_floats.c */
    bool average_by_conv;        /* its AveragePool of integers is better written as a depthwise convolution */
    bool slow_resize;            /* its nearest Resize of integers is better written as copies, channels last */
    bool slow_softmax;           /* its Softmax along another axis than the last is better written out */
    bool slow_skip_norm;         /* it joins Add and LayerNormalization into something slower */
    int64_t depthwise_channels;  /* its integer kernel for depthwise convolutions takes multiples of it; 0: any number, likewise: */
    int64_t conv_channels;       /* the one for plain convolutions takes multiples of it, in and out, */
    int64_t group_width;         /* it is quick with grouped convolutions of this many inputs a group, or more */
    int64_t least_conv_outputs;  /* and this many outputs at least */
    const char *const *integer_ops; /* ai.onnx ops that run in integers there, ended by NULL */
    const char *const *activations; /* of a target that does not requantize: what it fuses behind an integer op, likewise */
} Target;

const Target *target_find(const char *name); /* NULL when unknown */
const char *const *target_names(void);
bool target_runs(const Target *target, const char *op_type);
bool target_fuses(const Target *target, const char *op_type);
/* Scale and zero point of an activation with this range. */
QParams target_params(const Target *target, float low, float high);

#endif
