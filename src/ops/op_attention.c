/* op_attention.c - Attention (opset 23, 24): scaled dot product attention with many heads.
 *
 *     q (B, Hq, S, D) ─┐
 *     k (B, Hk, T, D) ─┴─ q . k * scale ─ softcap ─ + mask ─ softmax ─ (B, Hq, S, T) ─┐
 *     v (B, Hk, T, V) ────────────────────────────────────────────────────────────────┴─ y (B, Hq, S, V)
 *
 * Letters: B batch, Hq and Hk heads of the queries and of the keys (query head h reads key head h / (Hq / Hk)),
 * S queries, T keys with the past before the new ones, D and V elements of a head. Of rank 3 the inputs are
 * (B, S, heads * D).
 *
 * softcap c: c * tanh(x / c), before the mask is added, as the corrected specification (ONNX 1.22) and the runtime have
 * it, so that what is masked stays so. qk_matmul_output_mode 1 names, as first published, the product with the mask, 2
 * that with both; since the correction 1 names the product after softcap: it gives that where there is a softcap.
 */
#include "src/ops/attention.h"
#include "src/ops/heavy.h"

#include <math.h>
#include <string.h>

enum { IN_Q, IN_K, IN_V, IN_MASK, IN_PAST_KEY, IN_PAST_VALUE, IN_NONPAD };
enum { OUT_Y, OUT_KEY, OUT_VALUE, OUT_QK };

/* ---- inputs ------------------------------------------------------------------------------------------------------ */

/* Heads of input i: the second axis, or of rank 3 what the attribute says. */
static Status count_heads(const EvalCtx *ctx, int i, int64_t *ret)
{
    const char *attr = i == IN_Q ? "q_num_heads" : "kv_num_heads";
    const Tensor *x = ctx->in[i];

    *ret = x->rank == 4 ? x->dims[1] : node_int(ctx->node, attr, 0);
    if (*ret < 1)
        return eval_error(ctx, CODE_MODEL, "input %d of rank %d has %lld heads; attribute '%s' must say how many", i,
                          x->rank, (long long)*ret, attr);
    if (x->rank == 3 && x->dims[2] % *ret != 0)
        return eval_error(ctx, CODE_MODEL, "input %d: %lld elements do not divide into %lld heads", i,
                          (long long)x->dims[2], (long long)*ret);
    return NULL;
}

/* Copies input i, head-major, behind `past` keys into to (B, heads, past + n, size), whose data is there already. */
static void copy_heads(const Tensor *x, const float *floats, int64_t past, Heads to, float *data)
{
    int64_t n = x->rank == 4 ? x->dims[2] : x->dims[1];
    int64_t dims[4] = {x->dims[0], to.heads, n, to.size}, target[4], source[4];
    int64_t whole[4] = {x->dims[0], to.heads, to.n, to.size};

    row_major_strides(4, whole, target);
    row_major_strides(4, dims, source);
    if (x->rank == 3) {
        source[1] = to.size;
        source[2] = to.heads * to.size;
    }
    strided_copy(data + past * to.size, target, floats, source, 4, dims, sizeof(float));
}

/* Input i with its past before it as (B, heads, past + n, size): output `out` when that is wanted, else scratch. */
static Status read_heads(EvalCtx *ctx, int i, int past_input, int out, FloatOutput *present, Heads *ret)
{
    const Tensor *x = ctx->in[i], *past = past_input < 0 ? NULL : eval_in(ctx, past_input);
    int64_t n_past = past == NULL || past->rank != 4 ? 0 : past->dims[2], bytes_count;
    const float *floats, *past_floats = NULL;
    Heads heads = {0};
    size_t bytes;
    void *data;

    TRY(count_heads(ctx, i, &heads.heads));
    heads.n = n_past + (x->rank == 4 ? x->dims[2] : x->dims[1]);
    heads.size = x->rank == 4 ? x->dims[3] : x->dims[2] / heads.heads;
    if (past != NULL && (past->rank != 4 || past->dims[0] != x->dims[0] || past->dims[1] != heads.heads ||
                         past->dims[3] != heads.size))
        return eval_error(ctx, CODE_MODEL, "the past is %s, expected %lldx%lldx?x%lld",
                          tensor_shape_text(ctx->scratch, past), (long long)x->dims[0], (long long)heads.heads,
                          (long long)heads.size);
    TRY(heavy_floats(ctx, i, &floats));
    if (past != NULL)
        TRY(heavy_floats(ctx, past_input, &past_floats));
    int64_t dims[4] = {x->dims[0], heads.heads, heads.n, heads.size};
    if (out >= 0 && eval_wants(ctx, out)) {
        TRY(heavy_output(ctx, out, x->dtype, 4, dims, present));
        data = present->data;
    } else {
        if (out < 0 && x->rank == 4) {
            heads.data = floats;
            *ret = heads;
            return NULL;
        }
        TRY(tensor_measure(DT_FLOAT, 4, dims, &bytes_count, &bytes));
        TRY(eval_scratch(ctx, bytes, &data));
    }
    if (past != NULL)
        copy_heads(past, past_floats, 0, heads, data);
    copy_heads(x, floats, n_past, heads, data);
    heads.data = data;
    *ret = heads;
    return NULL;
}

static Status read_mask(EvalCtx *ctx, const Attention *a, int64_t batch, Mask *ret)
{
    const Tensor *x = eval_in(ctx, IN_MASK);
    const int64_t sizes[4] = {batch, a->q.heads, a->q.n, a->k.n};
    int64_t own[TENSOR_MAX_RANK];

    *ret = (Mask){.n = a->k.n};
    if (x == NULL)
        return NULL;
    if (x->rank < 2 || x->rank > 4)
        return eval_error(ctx, CODE_MODEL, "the mask has rank %d, expected 2 to 4", x->rank);
    row_major_strides(x->rank, x->dims, own);
    for (int d = 0; d < x->rank; d++) {
        int at = 4 - x->rank + d;
        bool fits = x->dims[d] == sizes[at] || (at < 3 ? x->dims[d] == 1 : x->dims[d] < sizes[at]);
        if (!fits)
            return eval_error(ctx, CODE_MODEL, "the mask is %s; it does not broadcast to %lldx%lldx%lldx%lld",
                              tensor_shape_text(ctx->scratch, x), (long long)sizes[0], (long long)sizes[1],
                              (long long)sizes[2], (long long)sizes[3]);
        ret->strides[at] = x->dims[d] == 1 && at < 3 ? 0 : own[d];
    }
    ret->n = x->dims[x->rank - 1];
    if (x->dtype == DT_BOOL)
        ret->bools = x->data;
    else
        TRY(heavy_floats(ctx, IN_MASK, &ret->floats));
    return NULL;
}

static Status read_nonpad(EvalCtx *ctx, int64_t batch, const int64_t **ret)
{
    int64_t *lengths, n;

    TRY(eval_ints(ctx, IN_NONPAD, &lengths, &n));
    if (n >= 0 && n != batch)
        return eval_error(ctx, CODE_MODEL, "nonpad_kv_seqlen has %lld elements for a batch of %lld", (long long)n,
                          (long long)batch);
    *ret = lengths;
    return NULL;
}

static Status check_shapes(const EvalCtx *ctx)
{
    const Tensor *q = ctx->in[IN_Q];

    for (int i = IN_Q; i <= IN_V; i++)
        if (ctx->in[i]->rank != q->rank || (q->rank != 3 && q->rank != 4) || ctx->in[i]->dims[0] != q->dims[0])
            return eval_error(ctx, CODE_MODEL,
                              "input %d is %s; queries, keys and values have rank 3 or 4 and one batch", i,
                              tensor_shape_text(ctx->scratch, ctx->in[i]));
    if ((eval_in(ctx, IN_PAST_KEY) == NULL) != (eval_in(ctx, IN_PAST_VALUE) == NULL))
        return eval_error(ctx, CODE_MODEL, "past_key and past_value must be given together");
    return NULL;
}

/* ---- evaluation -------------------------------------------------------------------------------------------------- */

static Status eval_attention(EvalCtx *ctx)
{
    const Tensor *q = ctx->in[IN_Q];
    FloatOutput y, key = {.dtype = DT_FLOAT}, value = {.dtype = DT_FLOAT}, qk = {.dtype = DT_FLOAT};
    int64_t batch = q->dims[0], mode = node_int(ctx->node, "qk_matmul_output_mode", 0);
    Attention a = {
        .causal = node_int(ctx->node, "is_causal", 0) != 0,
        .softcap = node_float(ctx->node, "softcap", 0),
        .has_past = eval_in(ctx, IN_PAST_KEY) != NULL,
        .y_is_flat = q->rank == 3,
    };

    TRY(check_shapes(ctx));
    if (mode < QK_PLAIN || mode > QK_SOFTMAX)
        return eval_error(ctx, CODE_MODEL, "attribute 'qk_matmul_output_mode' is %lld, expected 0 to 3",
                          (long long)mode);
    if (!(a.softcap >= 0))
        return eval_error(ctx, CODE_MODEL, "attribute 'softcap' is %g, expected 0 or more", (double)a.softcap);
    a.mode = (int)mode;
    TRY(read_heads(ctx, IN_Q, -1, -1, NULL, &a.q));
    TRY(read_heads(ctx, IN_K, IN_PAST_KEY, OUT_KEY, &key, &a.k));
    TRY(read_heads(ctx, IN_V, IN_PAST_VALUE, OUT_VALUE, &value, &a.v));
    if (a.k.heads != a.v.heads || a.k.n != a.v.n || a.q.size != a.k.size || a.q.heads % a.k.heads != 0)
        return eval_error(ctx, CODE_MODEL,
                          "%lld query heads of %lld, %lld key heads of %lld over %lld and %lld value heads over %lld do "
                          "not fit",
                          (long long)a.q.heads, (long long)a.q.size, (long long)a.k.heads, (long long)a.k.size,
                          (long long)a.k.n, (long long)a.v.heads, (long long)a.v.n);
    a.past = a.has_past ? ctx->in[IN_PAST_KEY]->dims[2] : 0;
    a.scale = node_float(ctx->node, "scale", (float)(1 / sqrt((double)MAX(a.q.size, 1))));
    TRY(read_mask(ctx, &a, batch, &a.mask));
    TRY(read_nonpad(ctx, batch, &a.nonpad));
    int64_t flat[3] = {batch, a.q.n, 0}, dims[4] = {batch, a.q.heads, a.q.n, a.v.size};
    int64_t scores[4] = {batch, a.q.heads, a.q.n, a.k.n};
    if (__builtin_mul_overflow(a.q.heads, a.v.size, &flat[2]))
        return eval_error(ctx, CODE_MODEL, "the heads are too large");
    TRY(heavy_output(ctx, OUT_Y, q->dtype, q->rank, q->rank == 3 ? flat : dims, &y));
    a.y = y.data;
    if (eval_wants(ctx, OUT_QK)) {
        TRY(heavy_output(ctx, OUT_QK, q->dtype, 4, scores, &qk));
        a.qk = qk.data;
    }
    TRY(attention_run(ctx, &a, batch));
    TRY(heavy_finish(ctx, &key));
    TRY(heavy_finish(ctx, &value));
    TRY(heavy_finish(ctx, &qk));
    return heavy_finish(ctx, &y);
}

/* ---- inference --------------------------------------------------------------------------------------------------- */

static Dim add_dims(Dim a, Dim b)
{
    int64_t sum;

    return dim_is_known(a) && dim_is_known(b) && !__builtin_add_overflow(a.size, b.size, &sum) ? dim_known(sum)
                                                                                                : DIM_UNKNOWN;
}

/* Input i as (B, heads, n, size); false when its rank is not known. */
static bool head_dims(const Node *node, int i, Dim ret[4])
{
    Shape shape = infer_shape(node, i);
    int64_t heads = node_int(node, i == IN_Q ? "q_num_heads" : "kv_num_heads", 0);

    if (shape.rank != 3 && shape.rank != 4)
        return false;
    ret[0] = shape.dims[0];
    if (shape.rank == 4) {
        memcpy(ret + 1, shape.dims + 1, 3 * sizeof *ret);
        return true;
    }
    ret[1] = heads > 0 ? dim_known(heads) : DIM_UNKNOWN;
    ret[2] = shape.dims[1];
    ret[3] = heads > 0 && dim_is_known(shape.dims[2]) ? dim_known(shape.dims[2].size / heads) : DIM_UNKNOWN;
    return true;
}

static Status infer_attention(Node *node)
{
    Shape in = infer_shape(node, IN_Q), past = infer_shape(node, IN_PAST_KEY), unknown = shape_unknown();
    bool has_past = node_in(node, IN_PAST_KEY) != NULL;
    Dim q[4], k[4], v[4];

    for (int i = 0; i < 4; i++)
        infer_output(node, i, infer_dtype(node, i == OUT_VALUE ? IN_V : i == OUT_KEY ? IN_K : IN_Q), &unknown);
    if (in.rank >= 0 && in.rank != 3 && in.rank != 4)
        return node_error(node, CODE_MODEL, "input 0 has rank %d, expected 3 or 4", in.rank);
    if (!head_dims(node, IN_Q, q) || !head_dims(node, IN_K, k) || !head_dims(node, IN_V, v))
        return NULL;
    Dim keys = !has_past ? k[2] : past.rank == 4 ? add_dims(k[2], past.dims[2]) : DIM_UNKNOWN;
    Shape y = {.rank = 4, .dims = {q[0], q[1], q[2], v[3]}}, flat = {.rank = 3, .dims = {q[0], q[2], DIM_UNKNOWN}};
    Shape key = {.rank = 4, .dims = {k[0], k[1], keys, k[3]}}, value = {.rank = 4, .dims = {v[0], v[1], keys, v[3]}};
    Shape qk = {.rank = 4, .dims = {q[0], q[1], q[2], keys}};
    flat.dims[2] = dim_product((Dim[]){q[1], v[3]}, 2);
    infer_output(node, OUT_Y, infer_dtype(node, IN_Q), in.rank == 3 ? &flat : &y);
    infer_output(node, OUT_KEY, infer_dtype(node, IN_K), &key);
    infer_output(node, OUT_VALUE, infer_dtype(node, IN_V), &value);
    infer_output(node, OUT_QK, infer_dtype(node, IN_Q), &qk);
    return NULL;
}

static const AttrSpec attention_attrs[] = {
    {"is_causal", ATTR_INT, false},
    {"kv_num_heads", ATTR_INT, false},
    {"q_num_heads", ATTR_INT, false},
    {"qk_matmul_output_mode", ATTR_INT, false},
    {"scale", ATTR_FLOAT, false},
    {"softcap", ATTR_FLOAT, false},
    {"softmax_precision", ATTR_INT, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_attention = {
    .type = "Attention", .domain = "", .versions = {23, 24}, .min_in = 3, .max_in = 7, .min_out = 1, .max_out = 4,
    .attrs = attention_attrs, .infer = infer_attention, .eval = eval_attention, .quant = RULE_FLOAT,
    .widen_half = true,
};
