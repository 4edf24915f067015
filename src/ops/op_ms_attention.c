/* op_ms_attention.c - com.microsoft's Attention and MultiHeadAttention, as ONNX Runtime's transformer tools fuse them.
 *
 *     Attention            x (B, S, I) . w (I, q+k+v) + bias ─ q | k | v ─┐
 *     MultiHeadAttention   q (B, S, .) k (B, L, .) v (B, L, .) + bias ────┴─ heads ─ past before k, v ─ attention.h ─ y
 *
 * Letters of attention.h. A mask of the keys is lengths (B), ends and beginnings (2B), or 0 and 1 as (B, T) or (B, S, T);
 * what it masks gets mask_filter_value added. Source: docs/ContribOperators.md of ONNX Runtime.
 */
#include "src/kernels/kernels.h"
#include "src/ops/attention.h"
#include "src/ops/heavy.h"

#include <math.h>

enum { ATT_X, ATT_WEIGHT, ATT_BIAS, ATT_MASK, ATT_PAST, ATT_ADDED, ATT_PAST_LENGTH };
enum { MHA_Q, MHA_K, MHA_V, MHA_BIAS, MHA_MASK, MHA_ADDED, MHA_PAST_KEY, MHA_PAST_VALUE, MHA_PAST_LENGTH };
enum { Q, K, V };

/* One of q, k, v before it is laid out by heads: element (b, s, h, d) at data[b * sample + s * token + h * head + d]. */
typedef struct Part {
    const float *data;
    int64_t n, size; /* tokens, elements of a head */
    int64_t sample, token, head;
    const float *bias; /* (heads * size), or NULL */
    const float *past; /* (B, heads, n_past, size), or NULL */
} Part;

typedef struct Setup {
    int64_t batch, heads, n_past;
    Part part[3];
    int mask, added;         /* inputs */
    float *present[3];       /* where k and v go with their past, NULL: scratch */
} Setup;

/* ---- shared ------------------------------------------------------------------------------------------------------ */

/* (B, heads, n_past + n, size): the past, then the new tokens with their bias. */
static Status lay_out(EvalCtx *ctx, const Setup *setup, const Part *part, int64_t n_past, float *to, Heads *ret)
{
    int64_t total = n_past + part->n, dims[4] = {setup->batch, setup->heads, total, part->size}, count;
    size_t bytes;
    void *data = to;

    TRY(tensor_measure(DT_FLOAT, 4, dims, &count, &bytes));
    if (to == NULL)
        TRY(eval_scratch(ctx, bytes, &data));
    float *row = data;
    for (int64_t b = 0; b < setup->batch; b++)
        for (int64_t h = 0; h < setup->heads; h++)
            for (int64_t t = 0; t < total; t++, row += part->size) {
                const float *from = t < n_past ? part->past + ((b * setup->heads + h) * n_past + t) * part->size
                                               : part->data + b * part->sample + (t - n_past) * part->token + h * part->head;
                const float *bias = t < n_past || part->bias == NULL ? NULL : part->bias + h * part->size;
                for (int64_t d = 0; d < part->size; d++)
                    row[d] = from[d] + (bias == NULL ? 0 : bias[d]);
            }
    *ret = (Heads){data, setup->heads, total, part->size};
    return NULL;
}

/* Does the mask leave key t to query s of sample b? */
static bool is_masked(const Tensor *mask, int64_t batch, int64_t b, int64_t s, int64_t t)
{
    int64_t keys = mask->dims[mask->rank - 1];

    if (mask->rank == 1 && mask->count == batch)
        return t >= tensor_get_int(mask, b);
    if (mask->rank == 1)
        return t >= tensor_get_int(mask, b) || t < tensor_get_int(mask, b + batch);
    return tensor_get_int(mask, mask->rank == 2 ? b * keys + t : (b * mask->dims[1] + s) * keys + t) == 0;
}

static Status check_mask(const EvalCtx *ctx, const Tensor *mask, int64_t batch, int64_t queries, int64_t keys)
{
    bool fits = mask->rank == 1   ? mask->count == batch || mask->count == 2 * batch
                : mask->rank == 2 ? mask->dims[0] == batch && mask->dims[1] == keys
                                  : mask->rank == 3 && mask->dims[0] == batch && mask->dims[1] == queries &&
                                        mask->dims[2] == keys;

    if (mask->dtype != DT_INT32 && mask->dtype != DT_INT64 && mask->dtype != DT_BOOL)
        return eval_error(ctx, CODE_UNSUPPORTED, "a mask of %s is not supported", dtype_name(mask->dtype));
    if (!fits)
        return eval_error(ctx, CODE_UNSUPPORTED, "a mask of %s is not supported for %lld samples, %lld queries, %lld keys",
                          tensor_shape_text(ctx->scratch, mask), (long long)batch, (long long)queries, (long long)keys);
    return NULL;
}

/* What is added to the scores: the attention bias, and mask_filter_value where the mask says so. */
static Status make_mask(EvalCtx *ctx, const Setup *setup, int64_t queries, int64_t keys, Mask *ret)
{
    const Tensor *mask = eval_in(ctx, setup->mask), *added = eval_in(ctx, setup->added);
    float filter = node_float(ctx->node, "mask_filter_value", -10000);
    const float *floats = NULL;
    int64_t dims[4] = {setup->batch, 1, queries, keys}, strides[4], count;
    size_t bytes;
    void *data;

    *ret = (Mask){.n = keys};
    if (mask == NULL && added == NULL)
        return NULL;
    if (mask != NULL)
        TRY(check_mask(ctx, mask, setup->batch, queries, keys));
    if (added != NULL) {
        bool fits = added->rank == 4 && (added->dims[0] == 1 || added->dims[0] == setup->batch) &&
                    (added->dims[1] == 1 || added->dims[1] == setup->heads) && added->dims[2] == queries &&
                    added->dims[3] == keys;
        if (!fits)
            return eval_error(ctx, CODE_MODEL, "the attention bias is %s; it does not broadcast to %lldx%lldx%lldx%lld",
                              tensor_shape_text(ctx->scratch, added), (long long)setup->batch, (long long)setup->heads,
                              (long long)queries, (long long)keys);
        dims[1] = added->dims[1];
        TRY(heavy_floats(ctx, setup->added, &floats));
    }
    TRY(tensor_measure(DT_FLOAT, 4, dims, &count, &bytes));
    TRY(eval_scratch(ctx, bytes, &data));
    float *to = data;
    for (int64_t b = 0; b < dims[0]; b++)
        for (int64_t h = 0; h < dims[1]; h++)
            for (int64_t s = 0; s < queries; s++)
                for (int64_t t = 0; t < keys; t++) {
                    int64_t from = ((added != NULL && added->dims[0] == 1 ? 0 : b) * dims[1] + h) * queries + s;
                    *to = floats == NULL ? 0 : floats[from * keys + t];
                    *to++ += mask != NULL && is_masked(mask, setup->batch, b, s, t) ? filter : 0;
                }
    row_major_strides(4, dims, strides);
    for (int d = 0; d < 4; d++)
        ret->strides[d] = dims[d] == 1 ? 0 : strides[d];
    ret->floats = data;
    return NULL;
}

static Status attend(EvalCtx *ctx, const Setup *setup)
{
    const Part *q = &setup->part[Q], *v = &setup->part[V];
    Attention a = {
        .past = setup->n_past,
        .has_past = true,
        .causal = node_int(ctx->node, "unidirectional", 0) != 0,
        .scale = node_float(ctx->node, "scale", 0),
        .y_is_flat = true,
    };
    FloatOutput y;
    int64_t dims[3] = {setup->batch, q->n, 0};

    if (__builtin_mul_overflow(setup->heads, v->size, &dims[2]))
        return eval_error(ctx, CODE_MODEL, "the heads are too large");
    if (a.scale == 0)
        a.scale = (float)(1 / sqrt((double)MAX(q->size, 1)));
    TRY(lay_out(ctx, setup, q, 0, NULL, &a.q));
    TRY(lay_out(ctx, setup, &setup->part[K], setup->n_past, setup->present[K], &a.k));
    TRY(lay_out(ctx, setup, v, setup->n_past, setup->present[V], &a.v));
    if (a.k.n != a.v.n || a.q.size != a.k.size)
        return eval_error(ctx, CODE_MODEL, "%lld keys of %lld elements do not fit %lld values and queries of %lld",
                          (long long)a.k.n, (long long)a.k.size, (long long)a.v.n, (long long)a.q.size);
    TRY(make_mask(ctx, setup, q->n, a.k.n, &a.mask));
    TRY(heavy_output(ctx, 0, ctx->in[0]->dtype, 3, dims, &y));
    a.y = y.data;
    TRY(attention_run(ctx, &a, setup->batch));
    return heavy_finish(ctx, &y);
}

static Status read_heads(const EvalCtx *ctx, Setup *setup)
{
    setup->heads = node_int(ctx->node, "num_heads", 0);
    if (setup->heads < 1)
        return eval_error(ctx, CODE_MODEL, "attribute 'num_heads' is %lld, expected 1 or more", (long long)setup->heads);
    return NULL;
}

/* ---- Attention --------------------------------------------------------------------------------------------------- */

/* Elements of q, k, v in a row of the product: the attribute, or equal parts. */
static bool hidden_sizes(const Node *node, int64_t columns, int64_t ret[3])
{
    int64_t n = 0, sum = 0;
    const int64_t *sizes = node_ints(node, "qkv_hidden_sizes", &n);

    for (int i = 0; i < 3; i++) {
        ret[i] = n == 3 ? sizes[i] : columns / 3;
        if (ret[i] < 0 || ret[i] > columns)
            return false;
        sum += ret[i];
    }
    return sum == columns;
}

static Status project(EvalCtx *ctx, const Tensor *x, int64_t columns, float **ret)
{
    const float *floats, *weights, *bias = NULL;
    int64_t rows = x->dims[0] * x->dims[1], inputs = x->dims[2], count;
    size_t bytes;
    void *data;

    TRY(heavy_floats(ctx, ATT_X, &floats));
    TRY(heavy_floats(ctx, ATT_WEIGHT, &weights));
    if (eval_in(ctx, ATT_BIAS) != NULL) {
        if (ctx->in[ATT_BIAS]->count != columns)
            return eval_error(ctx, CODE_MODEL, "the bias has %lld elements, expected %lld",
                              (long long)ctx->in[ATT_BIAS]->count, (long long)columns);
        TRY(heavy_floats(ctx, ATT_BIAS, &bias));
    }
    TRY(tensor_measure(DT_FLOAT, 2, (int64_t[]){rows, columns}, &count, &bytes));
    TRY(eval_scratch(ctx, bytes, &data));
    float *product = data;
    gemm_float(ctx->team, 1, NULL, rows, columns, inputs, (Matrix){.data = floats, .row = inputs, .column = 1},
               (Matrix){.data = weights, .row = columns, .column = 1}, product);
    for (int64_t i = 0; bias != NULL && i < count; i++)
        product[i] += bias[i % columns];
    *ret = product;
    return NULL;
}

/* past and present: (2, B, heads, n, size), keys before values. */
static Status attention_past(EvalCtx *ctx, Setup *setup, FloatOutput *present)
{
    const Tensor *past = eval_in(ctx, ATT_PAST);
    Part *k = &setup->part[K], *v = &setup->part[V];
    const float *floats;

    if (past != NULL) {
        if (past->rank != 5 || past->dims[0] != 2 || past->dims[1] != setup->batch || past->dims[2] != setup->heads ||
            past->dims[4] != k->size || v->size != k->size)
            return eval_error(ctx, CODE_MODEL, "the past is %s, expected 2x%lldx%lldx?x%lld",
                              tensor_shape_text(ctx->scratch, past), (long long)setup->batch, (long long)setup->heads,
                              (long long)k->size);
        TRY(heavy_floats(ctx, ATT_PAST, &floats));
        setup->n_past = past->dims[3];
        k->past = floats;
        v->past = floats + past->count / 2;
    }
    if (!eval_wants(ctx, 1))
        return NULL;
    if (v->size != k->size)
        return eval_error(ctx, CODE_UNSUPPORTED, "a present of keys of %lld and values of %lld is not possible",
                          (long long)k->size, (long long)v->size);
    int64_t dims[5] = {2, setup->batch, setup->heads, setup->n_past + k->n, k->size};
    TRY(heavy_output(ctx, 1, ctx->in[0]->dtype, 5, dims, present));
    setup->present[K] = present->data;
    setup->present[V] = present->data + count_of(dims, 1, 5);
    return NULL;
}

static Status eval_attention(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[ATT_X], *weight = ctx->in[ATT_WEIGHT];
    Setup setup = {.batch = x->dims[0], .mask = ATT_MASK, .added = ATT_ADDED};
    FloatOutput present = {.dtype = DT_FLOAT};
    int64_t sizes[3], at = 0;
    float *product;

    TRY(read_heads(ctx, &setup));
    if (node_int(ctx->node, "do_rotary", 0) != 0 || node_int(ctx->node, "past_present_share_buffer", 0) != 0)
        return eval_error(ctx, CODE_UNSUPPORTED, "do_rotary and past_present_share_buffer are not supported");
    if (x->rank != 3 || weight->rank != 2 || weight->dims[0] != x->dims[2] ||
        !hidden_sizes(ctx->node, weight->dims[1], sizes))
        return eval_error(ctx, CODE_MODEL, "an input of %s and weights of %s do not fit",
                          tensor_shape_text(ctx->scratch, x), tensor_shape_text(ctx->scratch, weight));
    TRY(project(ctx, x, weight->dims[1], &product));
    for (int i = Q; i <= V; at += sizes[i++]) {
        if (sizes[i] % setup.heads != 0)
            return eval_error(ctx, CODE_MODEL, "%lld elements do not divide into %lld heads", (long long)sizes[i],
                              (long long)setup.heads);
        int64_t size = sizes[i] / setup.heads, columns = weight->dims[1];
        setup.part[i] = (Part){product + at, x->dims[1], size, x->dims[1] * columns, columns, size, NULL, NULL};
    }
    TRY(attention_past(ctx, &setup, &present));
    TRY(attend(ctx, &setup));
    return heavy_finish(ctx, &present);
}

static Status infer_attention(Node *node)
{
    Shape x = infer_shape(node, ATT_X), weight = infer_shape(node, ATT_WEIGHT), past = infer_shape(node, ATT_PAST);
    int64_t heads = node_int(node, "num_heads", 0), sizes[3] = {0};
    Shape y = {.rank = 3, .dims = {DIM_UNKNOWN, DIM_UNKNOWN, DIM_UNKNOWN}};
    Shape present = {.rank = 5, .dims = {dim_known(2), DIM_UNKNOWN, DIM_UNKNOWN, DIM_UNKNOWN, DIM_UNKNOWN}};

    if (heads > 0)
        present.dims[2] = dim_known(heads);
    if (x.rank == 3) {
        y.dims[0] = present.dims[1] = x.dims[0];
        y.dims[1] = x.dims[1];
        if (node_in(node, ATT_PAST) == NULL)
            present.dims[3] = x.dims[1];
        else if (past.rank == 5 && dim_is_known(past.dims[3]) && dim_is_known(x.dims[1]))
            present.dims[3] = dim_known(past.dims[3].size + x.dims[1].size);
    }
    if (weight.rank == 2 && dim_is_known(weight.dims[1]) && hidden_sizes(node, weight.dims[1].size, sizes)) {
        y.dims[2] = dim_known(sizes[V]);
        if (heads > 0)
            present.dims[4] = dim_known(sizes[K] / heads);
    }
    infer_output(node, 0, infer_dtype(node, ATT_X), &y);
    infer_output(node, 1, infer_dtype(node, ATT_X), &present);
    return NULL;
}

/* ---- MultiHeadAttention ------------------------------------------------------------------------------------------ */

/* Input i: (B, n, heads * size), or with its heads before its tokens (B, heads, n, size). */
static Status read_part(EvalCtx *ctx, const Setup *setup, int i, Part *ret)
{
    const Tensor *x = eval_in(ctx, i);

    if (x == NULL || (x->rank != 3 && (x->rank != 4 || i == MHA_Q)))
        return eval_error(ctx, CODE_UNSUPPORTED, "input %d is %s; packed queries, keys and values are not supported", i,
                          x == NULL ? "missing" : tensor_shape_text(ctx->scratch, x));
    if (x->dims[0] != setup->batch || (x->rank == 3 ? x->dims[2] % setup->heads != 0 : x->dims[1] != setup->heads))
        return eval_error(ctx, CODE_MODEL, "input %d is %s, which does not fit %lld samples and %lld heads", i,
                          tensor_shape_text(ctx->scratch, x), (long long)setup->batch, (long long)setup->heads);
    *ret = (Part){.n = x->rank == 3 ? x->dims[1] : x->dims[2], .size = x->rank == 3 ? x->dims[2] / setup->heads : x->dims[3]};
    ret->sample = ret->n * setup->heads * ret->size;
    ret->token = x->rank == 3 ? setup->heads * ret->size : ret->size;
    ret->head = x->rank == 3 ? ret->size : ret->n * ret->size;
    return heavy_floats(ctx, i, &ret->data);
}

static Status share_bias(EvalCtx *ctx, Setup *setup)
{
    const Tensor *bias = eval_in(ctx, MHA_BIAS);
    const float *floats;
    int64_t wanted = 0;

    if (bias == NULL)
        return NULL;
    for (int i = Q; i <= V; i++)
        wanted += setup->heads * setup->part[i].size;
    if (bias->count != wanted)
        return eval_error(ctx, CODE_MODEL, "the bias has %lld elements, expected %lld", (long long)bias->count,
                          (long long)wanted);
    TRY(heavy_floats(ctx, MHA_BIAS, &floats));
    for (int i = Q; i <= V; floats += setup->heads * setup->part[i++].size)
        setup->part[i].bias = i > Q && ctx->in[i]->rank == 4 ? NULL : floats;
    return NULL;
}

static Status read_past(EvalCtx *ctx, Setup *setup, int i)
{
    const Tensor *past = eval_in(ctx, MHA_PAST_KEY + i - K);

    if (past == NULL)
        return NULL;
    if (past->rank != 4 || past->dims[0] != setup->batch || past->dims[1] != setup->heads ||
        past->dims[3] != setup->part[i].size || (i == V && past->dims[2] != setup->n_past))
        return eval_error(ctx, CODE_MODEL, "the past is %s, expected %lldx%lldx?x%lld", tensor_shape_text(ctx->scratch, past),
                          (long long)setup->batch, (long long)setup->heads, (long long)setup->part[i].size);
    setup->n_past = past->dims[2];
    return heavy_floats(ctx, MHA_PAST_KEY + i - K, &setup->part[i].past);
}

static Status eval_multi_head(EvalCtx *ctx)
{
    Setup setup = {.batch = ctx->in[MHA_Q]->rank > 0 ? ctx->in[MHA_Q]->dims[0] : 0, .mask = MHA_MASK, .added = MHA_ADDED};
    FloatOutput present[3] = {{.dtype = DT_FLOAT}, {.dtype = DT_FLOAT}, {.dtype = DT_FLOAT}};

    TRY(read_heads(ctx, &setup));
    if (eval_wants(ctx, 3) || eval_in(ctx, MHA_PAST_LENGTH) != NULL)
        return eval_error(ctx, CODE_UNSUPPORTED, "output qk and input past_sequence_length are not supported");
    if ((eval_in(ctx, MHA_PAST_KEY) == NULL) != (eval_in(ctx, MHA_PAST_VALUE) == NULL))
        return eval_error(ctx, CODE_MODEL, "past_key and past_value must be given together");
    for (int i = Q; i <= V; i++)
        TRY(read_part(ctx, &setup, i, &setup.part[i]));
    TRY(share_bias(ctx, &setup));
    TRY(read_past(ctx, &setup, K));
    TRY(read_past(ctx, &setup, V));
    for (int i = K; i <= V; i++) {
        int64_t dims[4] = {setup.batch, setup.heads, setup.n_past + setup.part[i].n, setup.part[i].size};
        if (!eval_wants(ctx, i))
            continue;
        TRY(heavy_output(ctx, i, ctx->in[0]->dtype, 4, dims, &present[i]));
        setup.present[i] = present[i].data;
    }
    TRY(attend(ctx, &setup));
    TRY(heavy_finish(ctx, &present[K]));
    return heavy_finish(ctx, &present[V]);
}

/* present_key, present_value: (B, heads, n_past + n, size). */
static void infer_present(Node *node, int i, int64_t heads)
{
    Shape x = infer_shape(node, i), past = infer_shape(node, MHA_PAST_KEY + i - K);
    Shape present = {.rank = 4, .dims = {DIM_UNKNOWN, DIM_UNKNOWN, DIM_UNKNOWN, DIM_UNKNOWN}};
    bool has_past = node_in(node, MHA_PAST_KEY + i - K) != NULL;

    if (heads > 0)
        present.dims[1] = dim_known(heads);
    if (x.rank == 3 || x.rank == 4) {
        Dim n = x.dims[x.rank - 2], size = x.dims[x.rank - 1];
        present.dims[0] = x.dims[0];
        if (!has_past)
            present.dims[2] = n;
        else if (past.rank == 4 && dim_is_known(past.dims[2]) && dim_is_known(n))
            present.dims[2] = dim_known(past.dims[2].size + n.size);
        if (x.rank == 4)
            present.dims[3] = size;
        else if (heads > 0 && dim_is_known(size))
            present.dims[3] = dim_known(size.size / heads);
    }
    infer_output(node, i, infer_dtype(node, MHA_Q), &present);
}

static Status infer_multi_head(Node *node)
{
    int64_t heads = node_int(node, "num_heads", 0);
    Shape q = infer_shape(node, MHA_Q), v = infer_shape(node, MHA_V), unknown = shape_unknown();
    Shape y = {.rank = 3, .dims = {DIM_UNKNOWN, DIM_UNKNOWN, DIM_UNKNOWN}};

    infer_present(node, K, heads);
    infer_present(node, V, heads);
    if (q.rank != 3) {
        infer_output(node, 0, infer_dtype(node, MHA_Q), &unknown);
        return NULL;
    }
    y.dims[0] = q.dims[0];
    y.dims[1] = q.dims[1];
    if (v.rank == 3)
        y.dims[2] = v.dims[2];
    else if (v.rank == 4 && heads > 0)
        y.dims[2] = dim_product((Dim[]){dim_known(heads), v.dims[3]}, 2);
    infer_output(node, 0, infer_dtype(node, MHA_Q), &y);
    return NULL;
}

static const AttrSpec attention_attrs[] = {
    {"do_rotary", ATTR_INT, false},
    {"mask_filter_value", ATTR_FLOAT, false},
    {"num_heads", ATTR_INT, true},
    {"past_present_share_buffer", ATTR_INT, false},
    {"qkv_hidden_sizes", ATTR_INTS, false},
    {"rotary_embedding_dim", ATTR_INT, false},
    {"scale", ATTR_FLOAT, false},
    {"unidirectional", ATTR_INT, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec multi_head_attrs[] = {
    {"mask_filter_value", ATTR_FLOAT, false},
    {"num_heads", ATTR_INT, true},
    {"scale", ATTR_FLOAT, false},
    {"unidirectional", ATTR_INT, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_ms_attention = {
    .type = "Attention", .domain = DOMAIN_MICROSOFT, .versions = {1}, .min_in = 2, .max_in = 7, .min_out = 1,
    .max_out = 2, .attrs = attention_attrs, .infer = infer_attention, .eval = eval_attention, .quant = RULE_FLOAT,
    .widen_half = true,
};
const OpDef op_ms_multiheadattention = {
    .type = "MultiHeadAttention", .domain = DOMAIN_MICROSOFT, .versions = {1}, .min_in = 1, .max_in = 10, .min_out = 1,
    .max_out = 4, .attrs = multi_head_attrs, .infer = infer_multi_head, .eval = eval_multi_head, .quant = RULE_FLOAT,
    .widen_half = true,
};
