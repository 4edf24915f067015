/* kernels.h - raw number crunching on plain buffers: the reference loops and, beside each, the adapter to oneDNN.
 *
 * Buffers are dense and row-major in ONNX's layouts: activations N C D1..Dk, weights M C/g K1..Kk. Nothing here knows
 * nodes. The reference is the oracle of the fast path and what runs where oneDNN declines. It takes sums in one fixed
 * order, so its results do not depend on the size of the team. oneDNN's integers do not either; its float convolutions
 * may differ in the last bits between one thread and several, which is why calibration and evaluation give each sample
 * one thread.
 */
#ifndef QUANTIZE_KERNELS_H
#define QUANTIZE_KERNELS_H

#include "src/base/base.h"

#define KERNEL_MAX_SPACE 3 /* spatial dims: 1-D, 2-D, 3-D */

/* What a buffer holds. */
typedef enum KernelType { KERNEL_FLOAT, KERNEL_U8, KERNEL_S8, KERNEL_S32 } KernelType;

/* Geometry of a convolution or a pooling window, every size checked by the caller. The arrays are always three long: a
 * 1-D or 2-D op stands at the end, with sizes 1 and pads 0 in front (window_init()). */
typedef struct Window {
    int space;                          /* k: 1..3 as the op states it */
    int64_t batch, channels_in, channels_out, groups;
    int64_t in[KERNEL_MAX_SPACE], out[KERNEL_MAX_SPACE];
    int64_t kernel[KERNEL_MAX_SPACE], stride[KERNEL_MAX_SPACE], dilation[KERNEL_MAX_SPACE];
    int64_t pad_begin[KERNEL_MAX_SPACE], pad_end[KERNEL_MAX_SPACE];
} Window;

/* ---- window.c ---------------------------------------------------------------------------------------------------- */

void window_init(Window *window, int space);          /* all zero bytes but sizes, strides and dilations of 1 */
int64_t window_in_count(const Window *window);        /* elements of one input plane */
int64_t window_out_count(const Window *window);       /* of one output plane */
int64_t window_kernel_count(const Window *window);
/* Outputs o in [*ret_begin, *ret_end) read inside the input at tap k of axis d: 0 <= o * stride - pad + k * dilation <
 * in. An empty range has begin == end. */
void window_span(const Window *window, int d, int64_t k, int64_t *ret_begin, int64_t *ret_end);
size_t kernel_type_bytes(KernelType type);

/* ---- conv.c: reference convolutions ------------------------------------------------------------------------------ */

/* y (N, M, out) = x (N, C, in) * weight (M, C/g, kernel) + bias (M,) or NULL. */
void conv_float(Team *team, const Window *window, const float *x, const float *weight, const float *bias, float *y);
/* The transposed form: weight (C, M/g, kernel); the window is the op's own: out from in by stride * (in - 1) ... */
void conv_transpose_float(Team *team, const Window *window, const float *x, const float *weight, const float *bias,
                          float *y);
/* acc (N, M, out) = sum (x - x_zero) * (weight - weight_zero[m]), exact, modulo 2^32; padding is real zero.
 * weight_zero: (1,) or (M,) by weight_zeros. */
void conv_int(Team *team, const Window *window, KernelType x_type, const void *x, int32_t x_zero,
              KernelType weight_type, const void *weight, const int32_t *weight_zero, int64_t weight_zeros,
              int32_t *acc);

/* ---- turn.c ------------------------------------------------------------------------------------------------------ */

/* x (outer, rows, columns) to y (outer, columns, rows), elements of 1, 2, 4 or 8 bytes: N C S to N S C and back. */
void turn_planes(Team *team, size_t bytes, int64_t outer, int64_t rows, int64_t columns, const void *x, void *y);

/* ---- gemm.c: reference matrix products --------------------------------------------------------------------------- */

/* A matrix in memory: element (i, j) at data[i * row + j * column]. */
typedef struct Matrix {
    const void *data;
    KernelType type;
    int64_t row, column;
    const int32_t *zero; /* (1,) or one a row (left) or column (right); NULL = 0. Integer types only */
    int64_t zeros;
} Matrix;

/* c (m, n) = a (m, k) * b (k, n), row-major, `batch` of them: pairs[2 * i], pairs[2 * i + 1] are the element offsets of
 * the i-th a and b, NULL = 0. */
void gemm_float(Team *team, int64_t batch, const int64_t *pairs, int64_t m, int64_t n, int64_t k, Matrix a, Matrix b,
                float *c);
/* The same on integers: zero points subtracted, exact, modulo 2^32. */
void gemm_int(Team *team, int64_t batch, const int64_t *pairs, int64_t m, int64_t n, int64_t k, Matrix a, Matrix b,
              int32_t *c);

/* ---- packed_float.c: fast float products, the right side in panels ------------------------------------------------- */

#define PANEL_COLUMNS 32
/* A matrix (k, n) as panels of 32 columns, each k rows of 32, zeros behind column n: its elements, and the packing. */
int64_t panels_count(int64_t k, int64_t n);
void pack_floats(Team *team, int64_t k, int64_t n, Matrix b, float *ret);

/* c (m, n) = a (m, k) * b (k, n) + bias (n,), `batch` of them, sizes and pairs as of gemm_float(). One element takes its
 * products in order of k, with one rounding each where the CPU multiplies and adds in one step: the same for any team. */
typedef struct FloatProduct {
    int64_t batch, m, n, k;
    const int64_t *pairs; /* NULL: all offsets are 0 */
    Matrix a, b;
    const float *packed;  /* b as pack_floats() gives it, for a batch of 1; NULL: from b itself */
    const float *bias;    /* NULL: none */
    float *c;
} FloatProduct;
/* scratch: 64-byte aligned room for a team of that size. */
size_t product_floats_scratch(const FloatProduct *product, int threads);
void product_floats(Team *team, const FloatProduct *product, void *scratch);

/* ---- shift.c: right operands that oneDNN does not take ------------------------------------------------------------ */

/* x - 128. */
void bytes_to_signed(Team *team, const uint8_t *x, int64_t n, int8_t *y);
/* What each row of `batch` products of (m, k) by something with zero point b_zero lacks when that is left out:
 * ret[i * m + row] = -b_zero * sum over k of (a - a_zero). One zero point of a, or none. */
void gemm_row_shift(int64_t batch, const int64_t *pairs, int64_t m, int64_t k, Matrix a, int32_t b_zero, int32_t *ret);

/* ---- requantize.c: int32 sums to 8 bits, with ONNX Runtime's rounding ---------------------------------------------- */

/* Parameters of an 8-bit tensor: real = scale * (q - zero). */
typedef struct Scale8 {
    KernelType type; /* KERNEL_U8 or KERNEL_S8 */
    float scale;
    int32_t zero;
} Scale8;

/* y = clamp(round_half_even((acc + bias) * multiplier)) + zero over planes (outer, channels, inner). multiplier: (1,)
 * or (channels,) by multipliers; bias (channels,) or NULL. */
void requantize(Team *team, const int32_t *acc, int64_t outer, int64_t channels, int64_t inner, const float *multiplier,
                int64_t multipliers, const int32_t *bias, Scale8 y_scale, void *y);
/* The same from sums with the channels last, (outer, inner, channels), into y (outer, channels, inner). */
void requantize_channels_last(Team *team, const int32_t *acc, int64_t outer, int64_t channels, int64_t inner,
                              const float *multiplier, int64_t multipliers, const int32_t *bias, Scale8 y_scale, void *y);
/* Rows of a matrix product: the same, and to floats sum * multiplier. */
void requantize_rows(Team *team, const int32_t *acc, int64_t rows, int64_t columns, const float *multiplier,
                     int64_t multipliers, Scale8 y_scale, void *y);
void dequantize_rows(Team *team, const int32_t *acc, int64_t rows, int64_t columns, const float *multiplier,
                     int64_t multipliers, float *y);
/* Each row of sums plus its row_shift (rows,). */
void add_row_shift(int32_t *acc, int64_t rows, int64_t columns, const int32_t *row_shift);

/* ---- packed_bytes.c: fast products of bytes, the right side in panels ------------------------------------------------ */

typedef enum ByteResult { BYTE_SUMS, BYTE_FLOATS, BYTE_CODES } ByteResult;

/* sum (a - a_zero) (b - b_zero) + bias, exact modulo 2^32, of bytes of any signedness; `batch` of them, sizes and pairs as of
 * gemm_int(). y (m, n): the int32 sums; or floats, sum * multiplier + float_bias; or 8 bits as requantize() makes them. */
typedef struct ByteProduct {
    int64_t batch, m, n, k;
    const int64_t *pairs;  /* NULL: all offsets are 0 */
    Matrix a, b;           /* a has one zero point, b one or one a column */
    const void *packed;    /* b as pack_bytes() gives it, for a batch of 1; NULL: from b itself */
    const int32_t *bias;   /* (n,) or NULL */
    ByteResult result;
    const float *multiplier; /* (1,) or (n,) by multipliers; not for sums */
    int64_t multipliers;
    const float *float_bias; /* (n,) or NULL */
    Scale8 y_scale;
    void *y;
} ByteProduct;
/* Whether this CPU has tiles for bytes; without, the functions below must not be called. */
bool product_bytes_fast(void);
/* Room for a packed matrix, and the packing. */
size_t packed_bytes_size(int64_t k, int64_t n);
void pack_bytes(Team *team, int64_t k, int64_t n, Matrix b, void *ret);
/* scratch: 64-byte aligned room for a team of that size. */
size_t product_bytes_scratch(const ByteProduct *product, int threads);
void product_bytes(Team *team, const ByteProduct *product, void *scratch);

/* ---- bytes.c: from floats to 8 bits and back, 8-bit elementwise ops ------------------------------------------------ */

/* x / scale, clamped, rounded half to even, plus zero; NaN gives the least value. */
void quantize_floats(const float *x, int64_t n, Scale8 to, void *y);
/* The same with the zero point added before rounding, as the runtime's average pooling does: ties fall differently. */
void quantize_floats_shifted(const float *x, int64_t n, Scale8 to, void *y);
void dequantize_bytes(const void *x, int64_t n, Scale8 from, float *y);
/* table[q as unsigned byte] of a unary function: quantize(f(dequantize(q))). */
void table_build(Scale8 from, Scale8 to, float (*function)(float x, float parameter), float parameter,
                 uint8_t table[256]);
void table_apply(Team *team, const uint8_t table[256], const void *x, int64_t n, void *y);
/* Rows of n elements; step 0 repeats the one element of that side. */
void qlinear_add_row(const void *a, int64_t a_step, Scale8 a_scale, const void *b, int64_t b_step, Scale8 b_scale,
                     int64_t n, Scale8 y_scale, void *y);
void qlinear_mul_row(const void *a, int64_t a_step, Scale8 a_scale, const void *b, int64_t b_step, Scale8 b_scale,
                     int64_t n, Scale8 y_scale, void *y);
/* Mean of each of `planes` planes of n elements; false when the ratio of scales is beyond what the runtime accepts. */
bool qlinear_global_average(Team *team, const void *x, int64_t planes, int64_t n, Scale8 x_scale, Scale8 y_scale,
                            void *y);
/* The same from x (outer, n, channels) to y (outer, channels). */
bool qlinear_global_average_last(Team *team, const void *x, int64_t outer, int64_t n, int64_t channels, Scale8 x_scale,
                                 Scale8 y_scale, void *y);
/* Softmax of rows along an axis: x (outer, n, inner). */
void qlinear_softmax(Team *team, const void *x, int64_t outer, int64_t n, int64_t inner, Scale8 x_scale, Scale8 y_scale,
                     void *y);

/* ---- pool.c ------------------------------------------------------------------------------------------------------ */

/* Greatest of each window; type FLOAT, U8 or S8. indices (like y) or NULL: position in x, counted in x's order, or with
 * column_major by columns inside a plane. */
void pool_max(Team *team, const Window *window, KernelType type, const void *x, void *y, int64_t *indices,
              bool column_major);
/* Mean; include_pad counts padded places that lie inside the padded input. */
void pool_average(Team *team, const Window *window, bool include_pad, const float *x, float *y);
/* p-norm, p >= 1. */
void pool_lp(Team *team, const Window *window, int p, const float *x, float *y);
/* Over whole planes of n elements. */
void pool_global_average(Team *team, int64_t planes, int64_t n, const float *x, float *y);
/* The same from x (outer, n, channels) to y (outer, channels). */
void pool_global_average_last(Team *team, int64_t outer, int64_t n, int64_t channels, const float *x, float *y);
void pool_global_max(Team *team, int64_t planes, int64_t n, KernelType type, const void *x, void *y);
void pool_global_lp(Team *team, int64_t planes, int64_t n, int p, const float *x, float *y);

/* ---- norm.c ------------------------------------------------------------------------------------------------------ */

/* y = x * scale[c] + shift[c] over (outer, channels, inner). */
void norm_affine(Team *team, int64_t outer, int64_t channels, int64_t inner, const float *x, const float *scale,
                 const float *shift, float *y);
/* Each row of n: (x - mean) / sqrt(variance + epsilon) * scale + shift; mean and 1 / sqrt() go to ret_mean and ret_inverse
 * (rows,) or NULL. scale and shift are n floats, `step` further for each next row, or NULL: 1 and 0; no shift without scale. y may
 * be x. */
void norm_rows(Team *team, int64_t rows, int64_t n, float epsilon, const float *x, const float *scale, int64_t scale_step,
               const float *shift, int64_t shift_step, float *y, float *ret_mean, float *ret_inverse);
/* Local response normalization over `size` neighbouring channels: x (outer, channels, inner). */
void norm_lrn(Team *team, int64_t outer, int64_t channels, int64_t inner, int64_t size, float alpha, float beta,
              float bias, const float *x, float *y);
/* x / |x|_p along the middle axis, p 1 or 2; a zero norm leaves zeros. */
void norm_lp(Team *team, int64_t outer, int64_t n, int64_t inner, int p, const float *x, float *y);

/* ---- softmax.c --------------------------------------------------------------------------------------------------- */

typedef enum SoftmaxKind { SOFTMAX, LOG_SOFTMAX } SoftmaxKind;
/* Along the middle axis of (outer, n, inner). */
void softmax_float(Team *team, SoftmaxKind kind, int64_t outer, int64_t n, int64_t inner, const float *x, float *y);

/* ---- onednn*.c: oneDNN. Each object is immutable and shared by threads; NULL means: use the reference ------------ */

/* How many threads oneDNN may use from here on in the calling thread. Objects are made for a number of threads and must
 * be run with it: set it before each ..._new(). */
void fast_set_threads(int threads);

/* An integer product: u8 or s8 by s8 into exact int32 sums, sum (x - x_zero) * w. */
typedef struct FastInt {
    int32_t x_zero;
} FastInt;

/* What a float convolution does with its sums before they are stored, in order. POST_ADD adds what
 * y holds before, channels last only; the others are functions with parameters a, b. */
typedef enum FastPostKind {
    POST_ADD,
    POST_RELU, /* x < 0 ? a x : x */
    POST_CLIP, /* into [a, b] */
    POST_SIGMOID,
    POST_TANH,
    POST_SWISH, /* x sigmoid(a x) */
    POST_HARD_SWISH,
    POST_GELU,
    POST_GELU_TANH
} FastPostKind;
typedef struct FastPost {
    FastPostKind kind;
    float a, b;
} FastPost;
#define FAST_MAX_POSTS 2

/* A convolution. Float: x, y, weight and bias are float, posts follow. Integer: x u8 or s8, weight s8, and y either int32 sums
 * sum (x - x_zero) w without bias, channels last; or 8 bits, saturate(round_half_even((sum + bias) * multiplier[m]) + y_zero),
 * to the bit what requantize() gives: made only where no sum that matters can be lost in the float it passes through. */
typedef struct FastConvSpec {
    Window window;
    int threads; /* it may use; a small one runs on fewer */
    bool transposed;
    bool channels_last; /* of x and of y that are not sums: N D1..Dk C instead of N C D1..Dk */
    KernelType x_type, y_type;
    int32_t x_zero, y_zero;
    const float *multiplier; /* (1,) or (channels_out,) by multipliers */
    int64_t multipliers;
    const void *weight;      /* M C/g K, transposed: C M/g K */
    const void *bias;        /* (channels_out,) float or int32, or NULL */
    FastPost posts[FAST_MAX_POSTS];
    int n_posts;
} FastConvSpec;

/* The packed forms of one constant weight, shared by the convolutions of all input sizes. Outlives them;
 * thread-safe. */
typedef struct FastPacks FastPacks;
FastPacks *fast_packs_new(void);
void fast_packs_free(void *packs); /* NULL is fine */

typedef struct FastConv FastConv;
/* With packs the weight is constant: packed into them, or pointed at where the layout is oneDNN's already. Without, it is copied.
 * Bias and multipliers are copied. */
FastConv *fast_conv_new(const FastConvSpec *spec, FastPacks *packs);
void fast_conv_free(void *conv); /* NULL is fine */
size_t fast_conv_scratch(const FastConv *conv);
/* False when it could not run; y may then be spoilt. scratch: 64-byte aligned. */
bool fast_conv_run(const FastConv *conv, const void *x, void *y, void *scratch);

/* Batches of matrix products c = a b (+ bias): dims[rank] of c; a and b broadcast over the batch axes (sizes 1). */
typedef struct FastMatmulShape {
    int rank; /* 2.. */
    int64_t a[6], b[6], c[6];
    bool a_transposed, b_transposed; /* the last two axes lie transposed in memory (a, b give the sizes after it) */
} FastMatmulShape;
#define FAST_MATMUL_MAX_RANK 6
typedef struct FastMatmul FastMatmul;
/* integer non-NULL: a u8 or s8, b s8, bias NULL, c int32 sums. bias float (n,) or NULL, copied. b is not packed beforehand: oneDNN
 * copies pieces as it goes, which costs little, and a constant stays in memory once. */
FastMatmul *fast_matmul_new(const FastMatmulShape *shape, KernelType a_type, const FastInt *integer, const void *bias);
void fast_matmul_free(void *matmul);
size_t fast_matmul_scratch(const FastMatmul *matmul);
bool fast_matmul_run(const FastMatmul *matmul, int threads, const void *a, const void *b, void *c, void *scratch);

typedef enum PoolKind { POOL_MAX, POOL_AVERAGE, POOL_AVERAGE_WITH_PAD } PoolKind;
typedef struct FastPool FastPool;
/* channels_last: the layout of x and y. */
FastPool *fast_pool_new(const Window *window, PoolKind kind, KernelType type, bool channels_last);
void fast_pool_free(void *pool);
size_t fast_pool_scratch(const FastPool *pool);
bool fast_pool_run(const FastPool *pool, int threads, const void *x, void *y, void *scratch);

/* Whether integer products of u8 and s8 are exact on this CPU: without VNNI oneDNN adds pairs in 16 bits,
 * saturating. */
bool fast_integer_exact(void);
/* Name of the implementation chosen, e.g. "brgconv:avx512_core_vnni"; for tests and reports. */
const char *fast_conv_info(const FastConv *conv);
const char *fast_matmul_info(const FastMatmul *matmul);
const char *fast_pool_info(const FastPool *pool);

#endif
