/* op_concat.c - Concat, Split, Tile: blocks of a tensor put side by side or taken apart along an axis.
 */
#include <string.h>

#include "src/ops/family.h"

/* ---- Concat ------------------------------------------------------------------------------------------------------ */

static Status infer_concat(Node *node)
{
    Shape out = infer_shape(node, 0);
    Dim content[INFER_MAX_CONTENT], sum = dim_known(0);
    int axis = 0, n = 0;

    for (int i = 1; i < node->n_in && out.rank < 0; i++)
        out = infer_shape(node, i);
    if (out.rank >= 0)
        TRY(infer_axis(node, node_int(node, "axis", 1), out.rank, &axis));
    for (int i = 0; i < node->n_in && out.rank >= 0; i++) {
        Shape in = infer_shape(node, i);
        if (in.rank < 0) {
            sum = DIM_UNKNOWN;
            continue;
        }
        if (in.rank != out.rank)
            return node_error(node, CODE_MODEL, "input %d has rank %d, others %d", i, in.rank, out.rank);
        for (int k = 0; k < in.rank; k++) {
            if (k == axis)
                continue;
            if (dim_is_known(in.dims[k]) && dim_is_known(out.dims[k]) && in.dims[k].size != out.dims[k].size)
                return node_error(node, CODE_MODEL, "input %d has size %lld on axis %d, others %lld", i,
                                  (long long)in.dims[k].size, k, (long long)out.dims[k].size);
            if (dim_is_known(in.dims[k]) || (!dim_is_known(out.dims[k]) && out.dims[k].name == NULL))
                out.dims[k] = in.dims[k];
        }
        if (node->n_in == 1)
            sum = in.dims[axis];
        else if (!dim_is_known(sum) || !dim_is_known(in.dims[axis]) ||
                 __builtin_add_overflow(sum.size, in.dims[axis].size, &sum.size))
            sum = DIM_UNKNOWN;
    }
    if (out.rank >= 0)
        out.dims[axis] = sum;
    infer_output(node, 0, infer_dtype(node, 0), &out);
    for (int i = 0; i < node->n_in && n >= 0 && out.rank == 1; i++) {
        int more = infer_content(node, i, content + n, INFER_MAX_CONTENT - n);
        n = more < 0 ? -1 : n + more;
    }
    if (out.rank == 1)
        infer_set_content(node, 0, content, n);
    return NULL;
}

static Status eval_concat(EvalCtx *ctx)
{
    const Tensor *first = ctx->in[0];
    int64_t dims[TENSOR_MAX_RANK];
    size_t bytes;
    int axis;

    TRY(eval_element_bytes(ctx, 0, &bytes));
    TRY(eval_axis(ctx, node_int(ctx->node, "axis", 1), first->rank, &axis));
    for (int k = 0; k < first->rank; k++)
        dims[k] = first->dims[k];
    for (int i = 1; i < ctx->n_in; i++) {
        if (ctx->in[i] == NULL)
            return eval_error(ctx, CODE_MODEL, "input %d is missing", i);
        TRY(eval_require_same_dtype(ctx, 0, i));
        bool fits = ctx->in[i]->rank == first->rank;
        for (int k = 0; fits && k < first->rank; k++)
            fits = k == axis || ctx->in[i]->dims[k] == first->dims[k];
        if (!fits || __builtin_add_overflow(dims[axis], ctx->in[i]->dims[axis], &dims[axis]))
            return eval_error(ctx, CODE_MODEL, "input %d is %s, input 0 is %s: they differ beyond axis %d", i,
                              tensor_shape_text(ctx->scratch, ctx->in[i]), tensor_shape_text(ctx->scratch, first),
                              axis);
    }
    TRY(eval_output(ctx, 0, first->dtype, first->rank, dims));
    if (ctx->out[0].bytes == 0)
        return NULL;
    size_t inner = (size_t)count_of(dims, axis + 1, first->rank) * bytes;
    ConcatPart *parts = arena_array(ctx->scratch, (size_t)ctx->n_in, sizeof *parts);
    for (int i = 0; i < ctx->n_in; i++)
        parts[i] = (ConcatPart){.data = ctx->in[i]->data, .bytes = (size_t)ctx->in[i]->dims[axis] * inner};
    concat_rows(ctx->team, count_of(dims, 0, axis), parts, ctx->n_in, ctx->out[0].data);
    return NULL;
}

/* ---- Split ------------------------------------------------------------------------------------------------------- */

/* Sizes of the parts of `total`: as given (n of them), else equal; opset 18 allows a smaller last one. */
static Status split_sizes(const Node *node, int n_out, int64_t total, const int64_t *given, int64_t n, int64_t *ret)
{
    int64_t sum = 0, part;

    if (given != NULL) {
        if (n != n_out)
            return node_error(node, CODE_MODEL, "split has %lld sizes for %d outputs", (long long)n, n_out);
        for (int i = 0; i < n_out; i++) {
            if (given[i] < 0 || __builtin_add_overflow(sum, given[i], &sum))
                return node_error(node, CODE_MODEL, "split holds the size %lld", (long long)given[i]);
            ret[i] = given[i];
        }
        if (sum != total)
            return node_error(node, CODE_MODEL, "split adds up to %lld, the axis has %lld", (long long)sum,
                              (long long)total);
        return NULL;
    }
    if (node_int(node, "num_outputs", n_out) != n_out)
        return node_error(node, CODE_MODEL, "num_outputs is %lld, the node has %d",
                          (long long)node_int(node, "num_outputs", n_out), n_out);
    if (node->opset < 18 && total % n_out != 0)
        return node_error(node, CODE_MODEL, "size %lld does not split into %d equal parts", (long long)total, n_out);
    part = total / n_out + (total % n_out != 0);
    for (int i = 0; i < n_out; i++) {
        ret[i] = MAX(MIN(part, total - sum), 0);
        sum += ret[i];
    }
    return NULL;
}

static Status infer_split(Node *node)
{
    Shape in = infer_shape(node, 0);
    int64_t n = 0;
    const int64_t *given = node_ints(node, "split", &n);
    Arena *arena = node->graph->model->arena;
    int64_t *sizes = arena_array(arena, (size_t)MAX(node->n_out, 1), sizeof *sizes);
    bool from_input = node->opset >= 13 && node_in(node, 1) != NULL, known = true;
    int axis = 0;

    if (in.rank >= 0)
        TRY(infer_axis(node, node_int(node, "axis", 0), in.rank, &axis));
    if (from_input) {
        Dim content[INFER_MAX_CONTENT];
        int64_t *listed = arena_array(arena, INFER_MAX_CONTENT, sizeof *listed);
        n = infer_content(node, 1, content, INFER_MAX_CONTENT);
        for (int i = 0; i < (int)n; i++)
            known = content_literal(content[i], &listed[i]) && known;
        known = known && n >= 0;
        given = listed;
    }
    if (known && in.rank >= 0 && dim_is_known(in.dims[axis]))
        TRY(split_sizes(node, node->n_out, in.dims[axis].size, given, n, sizes));
    else if (known && given != NULL && n == node->n_out)
        for (int i = 0; i < node->n_out; i++) {
            if (given[i] < 0)
                return node_error(node, CODE_MODEL, "part %d has size %lld", i, (long long)given[i]);
            sizes[i] = given[i];
        }
    else
        known = false;
    for (int i = 0; i < node->n_out; i++) {
        Shape out = in;
        if (in.rank >= 0)
            out.dims[axis] = known ? dim_known(sizes[i]) : DIM_UNKNOWN;
        infer_output(node, i, infer_dtype(node, 0), &out);
    }
    if (known && in.rank == 1) {
        Dim content[INFER_MAX_CONTENT];
        int64_t begin = 0;
        n = infer_content(node, 0, content, INFER_MAX_CONTENT);
        for (int i = 0; i < node->n_out && sizes[i] <= n - begin; i++) {
            infer_set_content(node, i, content + begin, (int)sizes[i]);
            begin += sizes[i];
        }
    }
    return NULL;
}

static Status eval_split(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t n = 0, *listed = NULL, dims[TENSOR_MAX_RANK], outer, begin = 0;
    const int64_t *given = node_ints(ctx->node, "split", &n);
    int64_t *sizes = arena_array(ctx->scratch, (size_t)MAX(ctx->n_out, 1), sizeof *sizes);
    size_t bytes, inner;
    int axis;

    TRY(eval_element_bytes(ctx, 0, &bytes));
    TRY(eval_axis(ctx, node_int(ctx->node, "axis", 0), x->rank, &axis));
    if (ctx->node->opset >= 13 && eval_in(ctx, 1) != NULL) {
        TRY(eval_ints(ctx, 1, &listed, &n));
        given = listed;
    }
    TRY(split_sizes(ctx->node, ctx->n_out, x->dims[axis], given, n, sizes));
    for (int k = 0; k < x->rank; k++)
        dims[k] = x->dims[k];
    outer = count_of(dims, 0, axis);
    inner = (size_t)count_of(dims, axis + 1, x->rank) * bytes;
    for (int i = 0; i < ctx->n_out; i++) {
        size_t part = (size_t)sizes[i] * inner;
        dims[axis] = sizes[i];
        if (eval_wants(ctx, i)) {
            TRY(eval_output(ctx, i, x->dtype, x->rank, dims));
            for (int64_t o = 0; o < outer && part > 0; o++)
                memcpy((char *)ctx->out[i].data + (size_t)o * part,
                       (const char *)x->data + ((size_t)o * (size_t)x->dims[axis] + (size_t)begin) * inner, part);
        }
        begin += sizes[i];
    }
    return NULL;
}

/* ---- Tile -------------------------------------------------------------------------------------------------------- */

static Status infer_tile(Node *node)
{
    Shape in = infer_shape(node, 0), out = in;
    Dim repeats[TENSOR_MAX_RANK], content[INFER_MAX_CONTENT];
    int n = infer_content(node, 1, repeats, TENSOR_MAX_RANK), n_content;

    if (in.rank >= 0 && n >= 0 && n != in.rank)
        return node_error(node, CODE_MODEL, "%d repeats for an input of rank %d", n, in.rank);
    for (int i = 0; i < in.rank; i++) {
        int64_t times = -1, size = in.dims[i].size;
        bool known = n >= 0 && content_literal(repeats[i], &times);
        if (known && times < 0)
            return node_error(node, CODE_MODEL, "repeats hold %lld", (long long)times);
        if (known && times == 1)
            continue;
        if (known && size >= 0 && !__builtin_mul_overflow(size, times, &size))
            out.dims[i] = dim_known(size);
        else
            out.dims[i] = in.dims[i].size == 1 && n >= 0 ? content_to_dim(repeats[i]) : DIM_UNKNOWN;
    }
    infer_output(node, 0, infer_dtype(node, 0), &out);
    n_content = infer_content(node, 0, content, INFER_MAX_CONTENT);
    if (out.rank == 1 && n_content > 0 && dim_is_known(out.dims[0]) && out.dims[0].size <= INFER_MAX_CONTENT) {
        for (int i = n_content; i < (int)out.dims[0].size; i++)
            content[i] = content[i - n_content];
        infer_set_content(node, 0, content, (int)out.dims[0].size);
    }
    return NULL;
}

static Status eval_tile(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t out[TENSOR_MAX_RANK], dims[2 * TENSOR_MAX_RANK], from[2 * TENSOR_MAX_RANK], to[2 * TENSOR_MAX_RANK],
        *repeats, n;
    int64_t from_stride = 1, to_stride = 1;
    int rank = x->rank, used = 0;
    size_t bytes;

    TRY(eval_element_bytes(ctx, 0, &bytes));
    TRY(eval_ints(ctx, 1, &repeats, &n));
    if (n != rank)
        return eval_error(ctx, CODE_MODEL, "%lld repeats for an input of rank %d", (long long)n, rank);
    for (int i = 0; i < rank; i++)
        if (repeats[i] < 0 || __builtin_mul_overflow(x->dims[i], repeats[i], &out[i]))
            return eval_error(ctx, CODE_MODEL, "repeats hold %lld", (long long)repeats[i]);
    TRY(eval_output(ctx, 0, x->dtype, rank, out));
    if (ctx->out[0].count == 0)
        return NULL;
    /* Each axis is two: which copy, and where in it; axes of one step fall away, so the rank stays in bounds. */
    for (int i = rank - 1; i >= 0; i--) {
        if (x->dims[i] != 1) {
            dims[used] = x->dims[i];
            from[used] = from_stride;
            to[used++] = to_stride;
        }
        if (repeats[i] != 1) {
            dims[used] = repeats[i];
            from[used] = 0;
            to[used++] = to_stride * x->dims[i];
        }
        from_stride *= x->dims[i];
        to_stride *= out[i];
    }
    for (int i = 0; i < used / 2; i++) {
        int k = used - 1 - i;
        int64_t d = dims[i], f = from[i], t = to[i];
        dims[i] = dims[k], from[i] = from[k], to[i] = to[k];
        dims[k] = d, from[k] = f, to[k] = t;
    }
    if (used > TENSOR_MAX_RANK)
        return eval_error(ctx, CODE_UNSUPPORTED, "too many axes are repeated");
    strided_copy(ctx->out[0].data, to, x->data, from, used, dims, bytes);
    return NULL;
}

static const AttrSpec concat_attrs[] = {{"axis", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec split_attrs[] = {
    {"axis", ATTR_INT, false},
    {"split", ATTR_INTS, false},
    {"num_outputs", ATTR_INT, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_concat = {
    .type = "Concat", .domain = "", .versions = {1, 4, 11, 13}, .min_in = 1, .max_in = OP_VARIADIC, .min_out = 1,
    .max_out = 1, .attrs = concat_attrs, .infer = infer_concat, .eval = eval_concat,
    .quant = RULE_ELEMENTWISE(1u << 31 | 1),
};
const OpDef op_split = {
    .type = "Split", .domain = "", .versions = {2, 11, 13, 18}, .min_in = 1, .max_in = 2, .min_out = 1,
    .max_out = OP_VARIADIC, .attrs = split_attrs, .infer = infer_split, .eval = eval_split, .quant = RULE_SAME_SCALE,
};
const OpDef op_tile = {
    .type = "Tile", .domain = "", .versions = {6, 13}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .infer = infer_tile, .eval = eval_tile, .quant = RULE_SAME_SCALE,
};
