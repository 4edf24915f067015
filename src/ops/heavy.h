/* heavy.h - what the families that work through src/kernels share: window geometry, float views, 8-bit parameters, and
 * the slot that keeps a prepared oneDNN object. Internal to src/ops.
 */
#ifndef QUANTIZE_OPS_HEAVY_H
#define QUANTIZE_OPS_HEAVY_H

#include "src/kernels/kernels.h"
#include "src/ops/family.h"

/* ---- geometry.c: kernel_shape, strides, pads, dilations, auto_pad, ceil_mode ------------------------------------- */

typedef enum AutoPad { AUTO_PAD_NOTSET, AUTO_PAD_VALID, AUTO_PAD_SAME_UPPER, AUTO_PAD_SAME_LOWER } AutoPad;

/* A text for node_error() or eval_error(): infer and eval read the same rules and report in their own way. */
typedef struct Problem {
    char text[200];
} Problem;

/* The attributes of a node, checked; axis 0 is the first spatial one. */
typedef struct Geometry {
    int space;
    AutoPad auto_pad;
    bool ceil_mode;
    int64_t kernel[KERNEL_MAX_SPACE], stride[KERNEL_MAX_SPACE], dilation[KERNEL_MAX_SPACE];
    int64_t pad_begin[KERNEL_MAX_SPACE], pad_end[KERNEL_MAX_SPACE];
} Geometry;

/* kernel: sizes known from a weight (-1 unknown), or NULL: the attribute is required. */
MUST_USE bool geometry_read(const Node *node, int space, const int64_t *kernel, Geometry *ret, Problem *problem);
/* Output size and pads of one axis with `in` elements. */
MUST_USE bool geometry_axis(const Geometry *geometry, int axis, int64_t in, int64_t *ret_out, int64_t *ret_begin,
                            int64_t *ret_end, Problem *problem);
/* All axes of a tensor N C D1..Dk. Channels and groups are left to the caller. */
MUST_USE bool geometry_window(const Geometry *geometry, const int64_t *dims, Window *ret, Problem *problem);
void problem_set(Problem *problem, const char *format, ...) PRINTF_LIKE(2, 3);
/* Spatial rank of a tensor of `rank` dims; false beyond 1..3. */
MUST_USE bool geometry_space(int rank, int *ret, Problem *problem);

/* ---- heavy.c ----------------------------------------------------------------------------------------------------- */

/* Input i as floats: itself, or a converted copy in scratch when it is double. */
MUST_USE Status heavy_floats(EvalCtx *ctx, int i, const float **ret);
/* The float buffer of an output of floating type; for another type than float it is scratch until heavy_finish(). */
typedef struct FloatOutput {
    int index;
    DType dtype;
    int rank;
    int64_t dims[TENSOR_MAX_RANK];
    float *data;
} FloatOutput;
MUST_USE Status heavy_output(EvalCtx *ctx, int i, DType dtype, int rank, const int64_t *dims, FloatOutput *ret);
MUST_USE Status heavy_finish(EvalCtx *ctx, const FloatOutput *output);
int heavy_threads(const EvalCtx *ctx);
/* For kernels that know row-major images alone, when ctx->channels_last: input i turned into scratch; a place for output 0, which
 * exists; and what was put there turned into the output. Otherwise these are the tensors themselves. */
MUST_USE Status heavy_turn_in(EvalCtx *ctx, int i, const void **ret);
MUST_USE Status heavy_turn_room(EvalCtx *ctx, void **ret);
void heavy_turn_back(EvalCtx *ctx, const void *room);

/* An object prepared for this node: from the cache when `constant`, else made for this run alone and *ret_owned. NULL
 * when make() gives none, which is remembered too. */
typedef void *(*HeavyMake)(const void *context);
void *heavy_prepare(EvalCtx *ctx, const void *key, size_t key_bytes, bool constant, HeavyMake make, const void *context,
                    void (*release)(void *), bool *ret_owned);

/* The packed forms of this node's constant weight. */
FastPacks *heavy_packs(EvalCtx *ctx);

/* The float matrix b (k, n), part `part` of input i, in panels: kept with the node when the input is constant, else made for this
 * run. */
MUST_USE Status heavy_panels(EvalCtx *ctx, int i, int64_t part, int64_t k, int64_t n, Matrix b, const float **ret);

/* A float product by tiles; b is packed once where input b_input is constant (-1: it is none of the inputs). Fills in `packed`. */
MUST_USE Status heavy_product(EvalCtx *ctx, FloatProduct *product, int b_input);

bool is_8_bit(const Tensor *tensor);      /* uint8 or int8; NULL is not */
KernelType kernel_type(DType dtype);      /* of float, uint8, int8, int32 */
/* Scale and zero point of an 8-bit tensor of type `dtype`; both must hold one element, the zero point may be
 * omitted. */
MUST_USE Status read_scale8(const EvalCtx *ctx, int scale, int zero, DType dtype, Scale8 *ret);
/* Zero point alone (ConvInteger): 0 when omitted. */
MUST_USE Status read_zero(const EvalCtx *ctx, int zero, DType dtype, int32_t *ret);
/* One scale and zero point, or one for each of n channels; arrays in scratch. scale < 0: zero points only. */
typedef struct ChannelScales {
    const float *scale;
    int64_t scales;
    const int32_t *zero;
    int64_t zeros;
    bool all_zero; /* every zero point is 0 */
} ChannelScales;
MUST_USE Status read_channel_scales(EvalCtx *ctx, int scale, int zero, DType dtype, int64_t n, ChannelScales *ret);
/* multiplier[c] = x * w[c] / y, in the runtime's order. */
const float *make_multipliers(EvalCtx *ctx, float x, const ChannelScales *w, float y);
/* Int32 input of n elements, or NULL when omitted. */
MUST_USE Status read_bias32(const EvalCtx *ctx, int i, int64_t n, const int32_t **ret);

/* ---- ready.c: a convolution of constant weight, once it is prepared for inputs of one size -------------------------- */

typedef enum ReadyForm { READY_ALONE, READY_WITH_POSTS } ReadyForm;
/* Runs it, when it was kept for inputs like x, input 0: output 0 of type `dtype`, starting from input z where that is not -1.
 * *ret_done is false when it was not, or could not run: the long way tells why. */
MUST_USE Status ready_run(EvalCtx *ctx, ReadyForm form, DType dtype, int z, bool *ret_done);
/* Keeps what heavy_prepare() gave, which has run and left its sizes in output 0. */
void ready_keep(EvalCtx *ctx, ReadyForm form, const FastConv *conv);

/* ---- op_conv.c, shared with op_qconv.c and op_fused.c ------------------------------------------------------------ */

MUST_USE Status conv_infer(Node *node, int x, int weight, DType dtype);
MUST_USE Status conv_window(const EvalCtx *ctx, const Tensor *x, const Tensor *weight, Window *ret);
/* A float Conv whose sums go through `posts` before they are stored, input z for POST_ADD. *ret_done is false when no primitive
 * does it all. */
MUST_USE Status conv_run_posts(EvalCtx *ctx, const FastPost *posts, int n_posts, int z, bool *ret_done);
void conv_output_dims(const Window *window, int64_t dims[TENSOR_MAX_RANK]);
extern const AttrSpec conv_attrs[];

/* ---- op_pool.c, shared with op_qpool.c --------------------------------------------------------------------------- */

MUST_USE Status pool_infer(Node *node);
MUST_USE Status pool_infer_global(Node *node);
MUST_USE Status pool_window(const EvalCtx *ctx, const Tensor *x, Window *ret);

/* ---- op_norm.c, shared with op_rms_norm.c ------------------------------------------------------------------------- */

/* Input i (scale, bias) broadcast against input 0 normalized over its axes from `axis` on: row r takes its n floats at
 * *ret + r * *ret_step, which is 0 when all rows take the same. */
MUST_USE Status norm_parameter(EvalCtx *ctx, int i, int axis, const float **ret, int64_t *ret_step);

/* ---- op_matmul.c, shared with op_qmatmul.c ----------------------------------------------------------------------- */

/* numpy's matmul of two tensors: batches of (m, k) x (k, n). */
typedef struct MatmulPlan {
    int64_t m, n, k, batch;
    int64_t *pairs;              /* 2 * batch element offsets */
    int rank;                    /* of the output */
    int64_t dims[TENSOR_MAX_RANK];
    bool b_is_matrix;            /* b has no batch of its own: a's batch joins m */
    int batch_rank;              /* of the broadcast batch */
    int64_t a_batch[TENSOR_MAX_RANK], b_batch[TENSOR_MAX_RANK];
} MatmulPlan;
MUST_USE Status matmul_plan(EvalCtx *ctx, const Tensor *a, const Tensor *b, MatmulPlan *ret);
MUST_USE Status matmul_infer(Node *node, int a, int b, DType dtype);
MUST_USE Status matmul_infer_shapes(Node *node, Shape left, Shape right, DType dtype);
/* The same for oneDNN; false when it has too many axes. */
MUST_USE bool matmul_fast_shape(const MatmulPlan *plan, FastMatmulShape *ret);

/* ---- int_product.c, for op_qmatmul.c and op_ms_matmul.c ------------------------------------------------------------ */

/* A product of 8-bit matrices. Of `bytes`, sizes, zero points and what becomes of the sums are filled in, the matrices are not. */
typedef struct IntProduct {
    ByteProduct bytes;
    const Tensor *a, *b;
    int a_zero_input;      /* where a's zero point comes from, -1 when it is worked out anew in each run */
    int b_input;
    FastMatmulShape shape; /* how the matrices lie, also for oneDNN; rank 0: row-major, and not for oneDNN */
    bool fast;
} IntProduct;
/* The sizes of a plan; everything else is 0. */
IntProduct int_product_of_plan(const MatmulPlan *plan);
MUST_USE Status int_product(EvalCtx *ctx, const IntProduct *product);
/* Whether anything but the plain loops can run here: for OpImpl.accepts. */
bool int_product_accepts(const EvalCtx *ctx);
/* Room for int32 sums in scratch. */
MUST_USE Status int_product_room(EvalCtx *ctx, int64_t count, int32_t **ret);

/* Gemm's sizes from shapes of rank 2. */
MUST_USE Status gemm_sizes(const EvalCtx *ctx, const Tensor *a, const Tensor *b, int64_t *ret_m, int64_t *ret_n,
                           int64_t *ret_k);
MUST_USE Status gemm_infer(Node *node, int a, int b, DType dtype);

#endif
