/* eval.c - running one node: picks the implementation, hands out buffers, and checks that all families share.
 *
 *     op_eval:  impls[0] accepts? ── impls[1] accepts? ── ... ── reference eval
 *                                                          └─ 16-bit floats widened to float and back, where asked
 */
#include <stdlib.h>
#include <string.h>

#include "src/ops/family.h"

/* ---- types that eval does not know through one that it does: 16-bit floats (and double where asked) through float, elements
 * of fewer than 8 bits, as they are, through uint8 ------------------------------------------------------------------ */

static bool is_half(DType dtype)
{
    return dtype == DT_FLOAT16 || dtype == DT_BFLOAT16;
}

static bool is_packed(DType dtype)
{
    int bits = dtype_bits(dtype);

    return bits > 0 && bits < 8;
}

/* The type in whose place eval of the op wants this input; DT_UNDEFINED: as it is. */
static DType stand_in(const OpDef *def, const Tensor *tensor)
{
    if (tensor == NULL)
        return DT_UNDEFINED;
    if ((def->widen_half && is_half(tensor->dtype)) || (def->narrow_double && tensor->dtype == DT_DOUBLE))
        return DT_FLOAT;
    return def->unpack && is_packed(tensor->dtype) ? DT_UINT8 : DT_UNDEFINED;
}

/* Low bits of bytes to packed elements and back. */
static void unpack(const Tensor *from, uint8_t *to)
{
    int bits = dtype_bits(from->dtype), each = 8 / bits;

    for (int64_t i = 0; i < from->count; i++)
        to[i] = (uint8_t)(((const uint8_t *)from->data)[i / each] >> (i % each * bits) & ((1 << bits) - 1));
}

static void pack(const uint8_t *from, Tensor *to)
{
    int bits = dtype_bits(to->dtype), each = 8 / bits;

    memset(to->data, 0, to->bytes);
    for (int64_t i = 0; i < to->count; i++)
        ((uint8_t *)to->data)[i / each] |= (uint8_t)(from[i] << (i % each * bits));
}

static void widen(const Tensor *from, float *to)
{
    const uint16_t *h = from->data;

    if (from->dtype == DT_DOUBLE)
        for (int64_t i = 0; i < from->count; i++)
            to[i] = (float)((const double *)from->data)[i];
    else if (from->dtype == DT_FLOAT16)
        for (int64_t i = 0; i < from->count; i++)
            to[i] = half_to_float(h[i]);
    else
        for (int64_t i = 0; i < from->count; i++)
            to[i] = bfloat_to_float(h[i]);
}

static void narrow(const float *from, int64_t n, DType dtype, void *data)
{
    uint16_t *to = data;

    if (dtype == DT_DOUBLE)
        for (int64_t i = 0; i < n; i++)
            ((double *)data)[i] = (double)from[i];
    else if (dtype == DT_FLOAT16)
        for (int64_t i = 0; i < n; i++)
            to[i] = float_to_half(from[i]);
    else
        for (int64_t i = 0; i < n; i++)
            to[i] = float_to_bfloat(from[i]);
}

/* The host of the inner run: outputs are scratch of the outer one. */
typedef struct WideHost {
    EvalHost host;
    EvalCtx *outer;
} WideHost;

static Status wide_alloc(EvalHost *host, EvalCtx *ctx, int output, size_t bytes, void **ret)
{
    (void)ctx;
    (void)output;
    return eval_scratch(((WideHost *)host)->outer, bytes, ret);
}

static Status wide_scratch(EvalHost *host, size_t bytes, void **ret)
{
    return eval_scratch(((WideHost *)host)->outer, bytes, ret);
}

static Status wide_text(EvalHost *host, size_t bytes, void **ret)
{
    char *text;

    TRY(eval_text(((WideHost *)host)->outer, bytes, &text));
    *ret = text;
    return NULL;
}

/* Could an output of this type have been computed as that stand-in? */
static bool stands_for(DType standing, DType dtype)
{
    return standing == DT_FLOAT ? dtype_is_float(dtype) : standing == DT_UINT8 && is_packed(dtype);
}

/* What output i becomes: the type that was inferred for it, else that of the first input in whose place another stood. */
static DType narrow_dtype(const EvalCtx *ctx, int i, DType computed)
{
    const Value *value = ctx->node != NULL && i < ctx->node->n_out ? ctx->node->out[i] : NULL;

    if (value != NULL && value->type.kind == TYPE_TENSOR && value->type.dtype != DT_UNDEFINED)
        return stands_for(computed, value->type.dtype) ? value->type.dtype : computed;
    for (int k = 0; k < ctx->n_in; k++)
        if (ctx->in[k] != NULL && stands_for(computed, ctx->in[k]->dtype))
            return ctx->in[k]->dtype;
    return computed;
}

static Status eval_widened(EvalCtx *ctx)
{
    WideHost wide = {.outer = ctx};
    EvalCtx inner = *ctx;
    Tensor *tensors = arena_array(ctx->scratch, (size_t)MAX(ctx->n_in, 1), sizeof *tensors);
    const Tensor **in = arena_array(ctx->scratch, (size_t)MAX(ctx->n_in, 1), sizeof *in);
    Tensor *out = arena_array(ctx->scratch, (size_t)MAX(ctx->n_out, 1), sizeof *out);

    wide.host = (EvalHost){.alloc = wide_alloc, .scratch = wide_scratch, .text = wide_text};
    for (int i = 0; i < ctx->n_in; i++) {
        void *data;
        in[i] = ctx->in[i];
        DType standing = stand_in(ctx->def, ctx->in[i]);
        if (standing == DT_UNDEFINED)
            continue;
        TRY(eval_scratch(ctx, (size_t)ctx->in[i]->count * (size_t)dtype_bits(standing) / 8, &data));
        TRY(tensor_view(&tensors[i], standing, ctx->in[i]->rank, ctx->in[i]->dims, data));
        if (standing == DT_FLOAT)
            widen(ctx->in[i], data);
        else
            unpack(ctx->in[i], data);
        in[i] = &tensors[i];
    }
    inner.in = in;
    inner.out = out;
    inner.host = &wide.host;
    TRY(ctx->def->eval(&inner));
    for (int i = 0; i < ctx->n_out; i++) {
        if (out[i].dtype == DT_UNDEFINED)
            continue;
        DType dtype = narrow_dtype(ctx, i, out[i].dtype);
        TRY(eval_output(ctx, i, dtype, out[i].rank, out[i].dims));
        if (dtype != out[i].dtype && is_packed(dtype))
            pack(out[i].data, &ctx->out[i]);
        else if (dtype != out[i].dtype)
            narrow(out[i].data, out[i].count, dtype, ctx->out[i].data);
        else if (out[i].bytes > 0)
            memcpy(ctx->out[i].data, out[i].data, out[i].bytes);
    }
    return NULL;
}

/* ---- what ops call ----------------------------------------------------------------------------------------------- */

Status eval_output(EvalCtx *ctx, int i, DType dtype, int rank, const int64_t *dims)
{
    return eval_output_over(ctx, i, -1, dtype, rank, dims);
}

Status eval_output_over(EvalCtx *ctx, int i, int input, DType dtype, int rank, const int64_t *dims)
{
    Tensor tensor = {.dtype = dtype, .rank = rank};
    Status status = tensor_measure(dtype, rank, dims, &tensor.count, &tensor.bytes);

    if (status != NULL) {
        Code code = status_code(status);
        Status error = eval_error(ctx, code, "output %d: %s", i, status_message(status));
        status_free(status);
        return error;
    }
    if (i >= ctx->n_out)
        return eval_error(ctx, CODE_MODEL, "output %d is beyond the last", i);
    for (int k = 0; k < rank; k++)
        tensor.dims[k] = dims[k];
    if (input < 0 || ctx->host->reuse == NULL ||
        !ctx->host->reuse(ctx->host, ctx, i, input, tensor.bytes, &tensor.data))
        TRY(ctx->host->alloc(ctx->host, ctx, i, tensor.bytes, &tensor.data));
    ctx->out[i] = tensor;
    return NULL;
}

Status eval_output_alias(EvalCtx *ctx, int i, const Tensor *from, int rank, const int64_t *dims)
{
    bool done = false;
    int64_t count;

    if (i >= ctx->n_out)
        return eval_error(ctx, CODE_MODEL, "output %d is beyond the last", i);
    TRY(tensor_measure(from->dtype, rank, dims, &count, NULL));
    if (count != from->count)
        return eval_error(ctx, CODE_MODEL, "%lld elements cannot become %lld", (long long)from->count,
                          (long long)count);
    if (ctx->host->alias != NULL)
        TRY(ctx->host->alias(ctx->host, ctx, i, from, &done));
    if (!done) {
        if (from->dtype == DT_LIST)
            return eval_output_copy(ctx, i, from);
        TRY(eval_output(ctx, i, from->dtype, rank, dims));
        if (from->bytes > 0)
            memcpy(ctx->out[i].data, from->data, from->bytes);
        return NULL;
    }
    ctx->out[i] = (Tensor){.dtype = from->dtype, .rank = rank, .count = count,
                            .bytes = from->bytes, .data = from->data};
    for (int k = 0; k < rank; k++)
        ctx->out[i].dims[k] = dims[k];
    return NULL;
}

/* Lists are measured with their elements: `bytes` of their tensor is that of the block. */
static Status output_list(EvalCtx *ctx, int i, int rank, const Tensor *elements, int64_t n)
{
    Tensor list = {.dtype = DT_LIST, .rank = rank, .count = n};

    if (i >= ctx->n_out)
        return eval_error(ctx, CODE_MODEL, "output %d is beyond the last", i);
    list.dims[0] = n;
    TRY(tensor_list_measure(elements, n, &list.bytes));
    TRY(ctx->host->alloc(ctx->host, ctx, i, list.bytes, &list.data));
    tensor_list_pack(elements, n, list.data);
    ctx->out[i] = list;
    return NULL;
}

Status eval_output_list(EvalCtx *ctx, int i, const Tensor *elements, int64_t n)
{
    return output_list(ctx, i, 1, elements, n);
}

Status eval_output_none(EvalCtx *ctx, int i)
{
    return output_list(ctx, i, LIST_NONE_RANK, NULL, 0);
}

Status eval_output_copy(EvalCtx *ctx, int i, const Tensor *from)
{
    if (from->dtype == DT_LIST)
        return output_list(ctx, i, from->rank, from->data, from->count);
    TRY(eval_output(ctx, i, from->dtype, from->rank, from->dims));
    if (from->bytes > 0)
        memcpy(ctx->out[i].data, from->data, from->bytes);
    return NULL;
}

Status eval_text(EvalCtx *ctx, size_t bytes, char **ret)
{
    void *text = NULL;

    if (ctx->host->text != NULL)
        TRY(ctx->host->text(ctx->host, MAX(bytes, 1), &text));
    else
        TRY(eval_scratch(ctx, bytes, &text));
    *ret = text;
    return NULL;
}

bool eval_wants(const EvalCtx *ctx, int i)
{
    return i < ctx->n_out && (ctx->node == NULL || (i < ctx->node->n_out && ctx->node->out[i] != NULL));
}

Status eval_scratch(EvalCtx *ctx, size_t bytes, void **ret)
{
    bytes = MAX(bytes, 1); /* never NULL */
    if (ctx->host->scratch != NULL)
        return ctx->host->scratch(ctx->host, bytes, ret);
    TRY(memory_alloc(bytes, ret));
    arena_on_free(ctx->scratch, memory_free, *ret);
    return NULL;
}

void *eval_cache_get(EvalCtx *ctx, const void *key, size_t key_bytes)
{
    return ctx->host->cache_get != NULL ? ctx->host->cache_get(ctx->host, ctx, key, key_bytes) : NULL;
}

void *eval_cache_put(EvalCtx *ctx, const void *key, size_t key_bytes, void *object, void (*release)(void *))
{
    if (ctx->host->cache_put != NULL)
        return ctx->host->cache_put(ctx->host, ctx, key, key_bytes, object, release);
    arena_on_free(ctx->scratch, release, object); /* nothing to keep it in: it lives as long as the scratch */
    return object;
}

bool eval_is_constant(const EvalCtx *ctx, int i)
{
    return ctx->host->is_constant != NULL && ctx->host->is_constant(ctx->host, ctx, i);
}

static int64_t iteration_limit = INT64_C(1) << 20;

void eval_limit_iterations(int64_t limit)
{
    iteration_limit = limit;
}

Status eval_subgraph(EvalCtx *ctx, const Graph *graph, const Tensor *inputs, int n_inputs, Tensor *ret, int n_ret)
{
    if (ctx->host->subgraph == NULL)
        return eval_error(ctx, CODE_UNSUPPORTED, "an inner graph cannot run here");
    TRY(interrupt_check());
    if (++ctx->host->iterations > iteration_limit)
        return eval_error(ctx, CODE_MODEL, "has not ended after %lld iterations, the most of all loops in one run; if they "
                          "do end, raise --max-iterations", (long long)iteration_limit);
    return ctx->host->subgraph(ctx->host, ctx, graph, inputs, n_inputs, ret, n_ret);
}

Status eval_error(const EvalCtx *ctx, Code code, const char *format, ...)
{
    va_list list;
    char *message;
    Status status;

    va_start(list, format);
    message = xvprintf(format, list);
    va_end(list);
    status = ctx->node != NULL ? node_error(ctx->node, code, "%s", message) : status_new(code, "%s", message);
    free(message);
    return status;
}

Status eval_axis(const EvalCtx *ctx, int64_t axis, int rank, int *ret)
{
    if (axis < -rank || axis >= rank)
        return eval_error(ctx, CODE_MODEL, "axis %lld is out of range for rank %d", (long long)axis, rank);
    *ret = (int)(axis < 0 ? axis + rank : axis);
    return NULL;
}

const Tensor *eval_in(const EvalCtx *ctx, int i)
{
    return i < ctx->n_in ? ctx->in[i] : NULL;
}

Status eval_bad_dtype(const EvalCtx *ctx, int i)
{
    const Value *value = ctx->node != NULL ? node_in(ctx->node, i) : NULL;

    return eval_error(ctx, CODE_UNSUPPORTED, "%s is not supported for input %d ('%s')", dtype_name(ctx->in[i]->dtype),
                      i, value != NULL ? value->name : "");
}

Status eval_require_dtype(const EvalCtx *ctx, int i, DType dtype)
{
    const Tensor *in = eval_in(ctx, i);

    if (in != NULL && in->dtype != dtype)
        return eval_error(ctx, CODE_MODEL, "input %d is %s, expected %s", i, dtype_name(in->dtype), dtype_name(dtype));
    return NULL;
}

Status eval_require_number(const EvalCtx *ctx, int i)
{
    const Tensor *in = eval_in(ctx, i);

    if (in == NULL || dtype_is_float(in->dtype) || (dtype_is_integer(in->dtype) && dtype_bits(in->dtype) >= 8))
        return NULL;
    return eval_bad_dtype(ctx, i);
}

Status eval_require_same_dtype(const EvalCtx *ctx, int i, int j)
{
    const Tensor *a = eval_in(ctx, i), *b = eval_in(ctx, j);

    if (a != NULL && b != NULL && a->dtype != b->dtype)
        return eval_error(ctx, CODE_MODEL, "inputs %d and %d differ in type: %s and %s", i, j, dtype_name(a->dtype),
                          dtype_name(b->dtype));
    return NULL;
}

Status eval_ints(EvalCtx *ctx, int i, int64_t **ret, int64_t *ret_n)
{
    const Tensor *in = eval_in(ctx, i);
    void *data;
    int64_t *ints;

    if (in == NULL) {
        *ret = NULL;
        *ret_n = -1;
        return NULL;
    }
    if (in->dtype != DT_INT64 && in->dtype != DT_INT32)
        return eval_error(ctx, CODE_MODEL, "input %d is %s, expected int64", i, dtype_name(in->dtype));
    if (in->rank > 1)
        return eval_error(ctx, CODE_MODEL, "input %d has rank %d, expected a list", i, in->rank);
    TRY(eval_scratch(ctx, (size_t)in->count * sizeof(int64_t), &data));
    ints = data;
    for (int64_t k = 0; k < in->count; k++)
        ints[k] = tensor_get_int(in, k);
    *ret = ints;
    *ret_n = in->count;
    return NULL;
}

Status eval_axes(EvalCtx *ctx, int input, int rank, int ret[TENSOR_MAX_RANK], int *ret_n)
{
    const int64_t *listed = NULL;
    int64_t *given = NULL;
    int64_t n = 0;
    bool seen[TENSOR_MAX_RANK] = {false};

    if (input >= 0) {
        TRY(eval_ints(ctx, input, &given, &n));
        listed = given;
        n = MAX(n, 0);
    } else {
        listed = node_ints(ctx->node, "axes", &n);
    }
    if (n > rank)
        return eval_error(ctx, CODE_MODEL, "%lld axes for rank %d", (long long)n, rank);
    for (int64_t i = 0; i < n; i++) {
        TRY(eval_axis(ctx, listed[i], rank, &ret[i]));
        if (seen[ret[i]])
            return eval_error(ctx, CODE_MODEL, "axis %lld is given twice", (long long)listed[i]);
        seen[ret[i]] = true;
    }
    *ret_n = (int)n;
    return NULL;
}

Status eval_index(const EvalCtx *ctx, int64_t index, int64_t size, int axis, int64_t *ret)
{
    if (index < -size || index >= size)
        return eval_error(ctx, CODE_MODEL, "index %lld is out of bounds for axis %d of size %lld", (long long)index,
                          axis, (long long)size);
    *ret = index < 0 ? index + size : index;
    return NULL;
}

Status eval_element_bytes(const EvalCtx *ctx, int i, size_t *ret)
{
    DType dtype = ctx->in[i]->dtype;

    if (dtype == DT_STRING) {
        *ret = sizeof(TensorString);
        return NULL;
    }
    if (dtype_bits(dtype) < 8)
        return eval_bad_dtype(ctx, i);
    *ret = (size_t)dtype_bits(dtype) / 8;
    return NULL;
}

Status eval_converted(EvalCtx *ctx, const Tensor *tensor, DType dtype, const Tensor **ret)
{
    Tensor *converted;
    void *data;

    if (tensor->dtype == dtype) {
        *ret = tensor;
        return NULL;
    }
    if (tensor->dtype == DT_STRING || dtype_bits(tensor->dtype) == 0)
        return eval_error(ctx, CODE_MODEL, "%s cannot be read as %s", dtype_name(tensor->dtype), dtype_name(dtype));
    converted = arena_alloc(ctx->scratch, sizeof *converted);
    TRY(eval_scratch(ctx, (size_t)tensor->count * (size_t)dtype_bits(dtype) / 8, &data));
    TRY(tensor_view(converted, dtype, tensor->rank, tensor->dims, data));
    if (dtype == DT_INT64)
        for (int64_t i = 0; i < tensor->count; i++)
            ((int64_t *)data)[i] = tensor_get_int(tensor, i);
    else
        for (int64_t i = 0; i < tensor->count; i++)
            tensor_set(converted, i, tensor_get(tensor, i));
    *ret = converted;
    return NULL;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

Status op_eval(EvalCtx *ctx)
{
    const OpDef *def = ctx->def;
    bool replaced = false;

    if (def == NULL || def->eval == NULL) {
        const Node *node = ctx->node;
        return eval_error(ctx, CODE_UNSUPPORTED, "operator %s of domain '%s' (opset %d) cannot be executed",
                          node != NULL ? node->op_type : "?",
                          node != NULL && node->domain[0] != '\0' ? node->domain : "ai.onnx",
                          node != NULL ? node->opset : 0);
    }
    for (int i = 0; i < def->min_in; i++)
        if (eval_in(ctx, i) == NULL)
            return eval_error(ctx, CODE_MODEL, "input %d is missing", i);
    for (int i = 0; i < ctx->n_in && !def->lists; i++)
        if (ctx->in[i] != NULL && ctx->in[i]->dtype == DT_LIST)
            return eval_error(ctx, CODE_MODEL, "input %d is a sequence or an optional, which %s does not take", i,
                              def->type);
    for (const OpImpl *impl = ctx->reference ? NULL : def->impls; impl != NULL && impl->name != NULL; impl++)
        if (impl->accepts(ctx)) {
            ctx->implementation = impl->name;
            return impl->eval(ctx);
        }
    ctx->implementation = "reference";
    for (int i = 0; i < ctx->n_in; i++)
        replaced = replaced || stand_in(def, ctx->in[i]) != DT_UNDEFINED;
    return replaced ? eval_widened(ctx) : def->eval(ctx);
}

/* The host of a node on its own: every buffer from memory_alloc(). */
typedef struct AloneHost {
    EvalHost host;
    void **scratch;
    size_t n_scratch, cap_scratch;
} AloneHost;

static Status alone_alloc(EvalHost *host, EvalCtx *ctx, int output, size_t bytes, void **ret)
{
    (void)host;
    (void)ctx;
    (void)output;
    return memory_alloc(bytes, ret);
}

static Status alone_scratch(EvalHost *host, size_t bytes, void **ret)
{
    AloneHost *alone = (AloneHost *)host;

    TRY(memory_alloc(bytes, ret));
    alone->scratch = array_reserve(alone->scratch, &alone->cap_scratch, alone->n_scratch + 1, sizeof *alone->scratch);
    alone->scratch[alone->n_scratch++] = *ret;
    return NULL;
}

Status op_eval_alone(const Node *node, const Tensor *const *in, int n_in, Tensor *ret_out, int n_out, bool reference)
{
    AloneHost alone = {.host = {.alloc = alone_alloc, .scratch = alone_scratch}};
    Arena *scratch = arena_new();
    Tensor *out = xcalloc((size_t)MAX(n_out, 1), sizeof *out);
    EvalCtx ctx = {
        .node = node,
        .def = node->def,
        .n_in = n_in,
        .n_out = n_out,
        .in = in,
        .out = out,
        .scratch = scratch,
        .reference = reference,
        .host = &alone.host,
    };
    Status status = op_eval(&ctx);

    for (int i = 0; i < n_out; i++) {
        out[i].owned = out[i].data != NULL;
        if (status == NULL) /* the text of strings would go with the scratch */
            status = tensor_own_text(&out[i]);
    }
    for (int i = 0; i < n_out; i++) {
        if (status == NULL)
            ret_out[i] = out[i];
        else
            tensor_release(&out[i]);
    }
    for (size_t i = 0; i < alone.n_scratch; i++)
        memory_free(alone.scratch[i]);
    free(alone.scratch);
    free(out);
    arena_free(scratch);
    return status;
}
