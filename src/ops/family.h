/* family.h - what the op families of this room share: checks, walks over strided and broadcast tensors, attribute rows.
 *
 * Internal to src/ops. Letters: n elements of a row, r rank.
 */
#ifndef QUANTIZE_OPS_FAMILY_H
#define QUANTIZE_OPS_FAMILY_H

#include "src/ops/ops.h"

/* ---- tables of dtypes: X(suffix of the DT_ name, C type, what else was passed) ----------------------------------- */

#define FAMILY_SIGNED(X, ...) \
    X(INT8, int8_t, __VA_ARGS__) \
    X(INT16, int16_t, __VA_ARGS__) X(INT32, int32_t, __VA_ARGS__) X(INT64, int64_t, __VA_ARGS__)
#define FAMILY_UNSIGNED(X, ...) \
    X(UINT8, uint8_t, __VA_ARGS__) X(UINT16, uint16_t, __VA_ARGS__) X(UINT32, uint32_t, __VA_ARGS__) \
    X(UINT64, uint64_t, __VA_ARGS__)
#define FAMILY_FLOATS(X, ...) X(FLOAT, float, __VA_ARGS__) X(DOUBLE, double, __VA_ARGS__)
#define FAMILY_INTEGERS(X, ...) FAMILY_SIGNED(X, __VA_ARGS__) FAMILY_UNSIGNED(X, __VA_ARGS__)
#define FAMILY_NUMBERS(X, ...) FAMILY_FLOATS(X, __VA_ARGS__) FAMILY_INTEGERS(X, __VA_ARGS__)
/* A row of a table of functions, one a dtype: FAMILY_ENTRY(FLOAT, float, add) is [DT_FLOAT] = add_FLOAT. */
#define FAMILY_ENTRY(suffix, T, name) [DT_##suffix] = name##_##suffix,
#define FAMILY_DTYPES (DT_LIST + 1)

/* ---- infer.c ----------------------------------------------------------------------------------------------------- */

/* A literal -1 among the elements of a content array, where size -1 alone means unknown: {-1, dim_minus_one}. Literals
 * below -1 stand in size as they are. */
extern const char dim_minus_one[];
bool content_literal(Dim dim, int64_t *ret); /* true and the number when the element is known, negative ones included */
Dim content_element(int64_t literal);
Dim content_to_dim(Dim element);             /* as a size in a shape: unknown (name kept) unless a literal >= 0 */

#define INFER_MAX_CONTENT 64 /* elements of a tensor whose values are followed */
/* Elements of a constant number tensor of rank 0 or 1 as content; -1 when it is none or has more than max. */
int content_of_tensor(const Tensor *tensor, Dim *ret, int max);

MUST_USE Status infer_graph(Graph *graph);   /* one graph, in order; inner graphs through their nodes */
MUST_USE Status infer_rank_at_least(const Node *node, int i, int rank); /* unknown rank passes */
/* The axes of ReduceX, Squeeze ...: from input `input` (>= 0, when given) or the attribute `axes`. *ret_n = -1 when
 * they are an input that is not known; 0 when absent. Normalised for `rank` and checked. */
MUST_USE Status infer_axes(const Node *node, int input, int rank, int ret[TENSOR_MAX_RANK], int *ret_n);
Dim dim_product(const Dim *dims, int n);     /* known when all are; the one name when the others are 1 */

/* ---- eval.c ------------------------------------------------------------------------------------------------------ */

MUST_USE Status eval_axis(const EvalCtx *ctx, int64_t axis, int rank, int *ret);
/* "float16 is not supported for input 1 ('w')". */
MUST_USE Status eval_bad_dtype(const EvalCtx *ctx, int i);
MUST_USE Status eval_require_dtype(const EvalCtx *ctx, int i, DType dtype);   /* omitted passes */
MUST_USE Status eval_require_number(const EvalCtx *ctx, int i);                /* an integer of 8 bits or a float of 16, or more */
MUST_USE Status eval_require_same_dtype(const EvalCtx *ctx, int i, int j);
const Tensor *eval_in(const EvalCtx *ctx, int i);                              /* NULL when omitted or beyond the end */
/* An int32 or int64 input of rank 0 or 1 as numbers in scratch; *ret_n = -1 when omitted. */
MUST_USE Status eval_ints(EvalCtx *ctx, int i, int64_t **ret, int64_t *ret_n);
/* Like infer_axes with real numbers; *ret_n = 0 when absent. Duplicates are an error. */
MUST_USE Status eval_axes(EvalCtx *ctx, int input, int rank, int ret[TENSOR_MAX_RANK], int *ret_n);
/* An index with negative ones counting from the end, checked; the message names axis and size. */
MUST_USE Status eval_index(const EvalCtx *ctx, int64_t index, int64_t size, int axis, int64_t *ret);
/* Bytes of an element that loops can move; CODE_UNSUPPORTED for packed types of fewer than 8 bits. */
MUST_USE Status eval_element_bytes(const EvalCtx *ctx, int i, size_t *ret);

/* Reads tensor element-wise into `dtype` (numbers, bool) in scratch; itself when it has that type already. */
MUST_USE Status eval_converted(EvalCtx *ctx, const Tensor *tensor, DType dtype, const Tensor **ret);

/* ---- strided.c: moving elements ---------------------------------------------------------------------------------- */

/* Copies a block of dims[rank] elements of `bytes` each; strides in elements, may be 0 (source) or negative. */
void strided_copy(void *to, const int64_t *to_strides, const void *from, const int64_t *from_strides, int rank,
                  const int64_t *dims, size_t bytes);
/* The same by a team, for copies of which no two elements go to one place. */
void strided_copy_shared(Team *team, void *to, const int64_t *to_strides, const void *from, const int64_t *from_strides, int rank,
                         const int64_t *dims, size_t bytes);
/* The same between tensors of one type, elements of fewer than 8 bits included; offsets and strides in elements. */
void strided_copy_elements(Tensor *to, int64_t to_offset, const int64_t *to_strides, const Tensor *from, int64_t from_offset,
                           const int64_t *from_strides, int rank, const int64_t *dims);
void strided_fill(void *to, int64_t n, const void *element, size_t bytes); /* n copies of one element */
void row_major_strides(int rank, const int64_t *dims, int64_t *ret);
int64_t count_of(const int64_t *dims, int begin, int end); /* product of dims[begin..end) */

/* Calls of `row` that together visit every element of the numpy broadcast of up to BROADCAST_MAX inputs. */
#define BROADCAST_MAX 3
typedef struct Broadcast {
    int n_in;
    int out_rank;
    int64_t out_dims[TENSOR_MAX_RANK];
    int rank;                                          /* after neighbouring axes were joined */
    int64_t dims[TENSOR_MAX_RANK];
    int64_t strides[BROADCAST_MAX][TENSOR_MAX_RANK];   /* elements; 0: broadcast */
} Broadcast;
/* n outputs in a row; step[i] is the stride of input i (0, 1 or more). */
typedef void (*BroadcastRow)(int64_t n, const void *const *in, const int64_t *step, void *out);
/* Plans over in[first .. first + n). Shapes that clash: CODE_MODEL. */
MUST_USE Status broadcast_plan(const EvalCtx *ctx, const Tensor *const *in, int n, Broadcast *ret);
/* The rows together are the output, in order; each is called from one thread of the team, several at a time. */
void broadcast_run(Team *team, const Broadcast *plan, const Tensor *const *in, void *out, size_t out_bytes, BroadcastRow row);
/* The same for rows that need to know more. */
typedef void (*BroadcastVisit)(const void *context, int64_t n, const void *const *in, const int64_t *step, void *out);
void broadcast_visit(Team *team, const Broadcast *plan, const Tensor *const *in, void *out, size_t out_bytes,
                     BroadcastVisit visit, const void *context);

/* What one input gives to each row of a Concat: its rows of `bytes`, one after the other; with a table, each byte replaced by that
 * of the table. */
typedef struct ConcatPart {
    const void *data;
    size_t bytes;
    const uint8_t *table; /* [256], or NULL */
} ConcatPart;
/* out: `rows` rows, each of one row of every part in turn. */
void concat_rows(Team *team, int64_t rows, const ConcatPart *parts, int n, void *out);

/* Advances `index` over dims (row-major); false when it wraps. */
bool odometer_next(int rank, const int64_t *dims, int64_t *index);

/* ---- op_cast.c --------------------------------------------------------------------------------------------------- */

/* Element i of a float8 or float4 tensor: rounded half to even; beyond the greatest, that or, without `saturate`, the
 * infinity or NaN of the type. */
void cast_set_small_float(Tensor *to, int64_t i, double value, bool saturate);

/* ---- op_elementwise_binary.c ------------------------------------------------------------------------------------- */

/* The row of a reduction named add, mul, max or min; NULL when the name or the dtype has none. */
BroadcastRow reduction_row(const char *name, DType dtype);

/* ---- op_elementwise_unary.c -------------------------------------------------------------------------------------- */

typedef void (*UnaryRow)(int64_t n, const void *in, void *out);
/* Output 0 has the shape of input 0; out DT_UNDEFINED: its dtype too. rows[FAMILY_DTYPES] by the input's dtype. */
MUST_USE Status eval_unary(EvalCtx *ctx, const UnaryRow *rows, DType out);

/* ---- cast_text.c ------------------------------------------------------------------------------------------------- */

/* Output 0 is input 0 as strings; is the numbers that its strings say. */
MUST_USE Status cast_to_text(EvalCtx *ctx);
MUST_USE Status cast_from_text(EvalCtx *ctx, DType to);

/* ---- common quantization rules ----------------------------------------------------------------------------------- */

#define RULE_FLOAT {QUANT_FLOAT, 0, 0, -1, NULL}
#define RULE_ELEMENTWISE(inputs) {QUANT_ELEMENTWISE, (inputs), 0, -1, NULL}
#define RULE_SAME_SCALE {QUANT_SAME_SCALE, 1, 0, -1, NULL}
#define RULE_FIXED_SCALE {QUANT_FIXED_SCALE, 1, 0, -1, NULL}
#define RULE_ABSORBED {QUANT_ABSORBED, 1, 0, -1, NULL}

#endif
