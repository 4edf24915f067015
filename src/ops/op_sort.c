/* op_sort.c - TopK, ArgMax, ArgMin, Hardmax, Unique: ops that compare the elements along an axis.
 *
 * Elements are compared by keys: double for floats, int64 for integers (uint64 with its top bit turned, which keeps the
 * order). A NaN is greater than any number. Equal elements keep their order.
 */
#include <stdlib.h>
#include <string.h>

#include "src/ops/family.h"

typedef struct Key {
    double real;
    int64_t whole; /* one of the two is used, the other is 0 */
    int64_t index;
} Key;

static Key key_of(const Tensor *x, int64_t element, int64_t index)
{
    Key key = {0, 0, index};

    if (x->dtype == DT_UINT64)
        key.whole = (int64_t)(((const uint64_t *)x->data)[element] ^ (UINT64_C(1) << 63));
    else if (dtype_is_float(x->dtype))
        key.real = tensor_get(x, element);
    else
        key.whole = tensor_get_int(x, element);
    return key;
}

/* -1, 0, 1 by value alone. */
static int compare_values(const Key *a, const Key *b)
{
    if (a->whole != b->whole)
        return a->whole < b->whole ? -1 : 1;
    if (a->real != a->real || b->real != b->real)
        return (a->real != a->real) - (b->real != b->real);
    return (a->real > b->real) - (a->real < b->real);
}

static int by_index(const Key *a, const Key *b)
{
    return (a->index > b->index) - (a->index < b->index);
}

static int ascending(const void *a, const void *b)
{
    int order = compare_values(a, b);
    return order != 0 ? order : by_index(a, b);
}

static int descending(const void *a, const void *b)
{
    int order = compare_values(b, a);
    return order != 0 ? order : by_index(a, b);
}

static bool is_number(DType dtype)
{
    return dtype_is_float(dtype) || dtype_is_integer(dtype) || dtype == DT_BOOL;
}

/* ---- TopK -------------------------------------------------------------------------------------------------------- */

static Status infer_top_k(Node *node)
{
    Shape out = infer_shape(node, 0);
    Dim k = DIM_UNKNOWN;
    int axis;

    if (out.rank >= 0) {
        TRY(infer_axis(node, node_int(node, "axis", -1), out.rank, &axis));
        if (node->opset < 10)
            k = content_element(node_int(node, "k", -1));
        else if (infer_content(node, 1, &k, 1) != 1)
            k = DIM_UNKNOWN;
        out.dims[axis] = content_to_dim(k);
    }
    infer_output(node, 0, infer_dtype(node, 0), &out);
    infer_output(node, 1, DT_INT64, &out);
    return NULL;
}

static Status eval_top_k(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    bool largest = node_int(ctx->node, "largest", 1) != 0;
    int64_t dims[TENSOR_MAX_RANK], k = node_int(ctx->node, "k", -1), n, outer, inner, *listed, n_listed = 0;
    size_t bytes, key_bytes;
    void *scratch;
    Key *keys;
    int axis;

    TRY(eval_element_bytes(ctx, 0, &bytes));
    if (!is_number(x->dtype))
        return eval_bad_dtype(ctx, 0);
    TRY(eval_axis(ctx, node_int(ctx->node, "axis", -1), x->rank, &axis));
    if (ctx->node->opset >= 10) {
        if (eval_in(ctx, 1) == NULL)
            return eval_error(ctx, CODE_MODEL, "input 1 is missing");
        TRY(eval_ints(ctx, 1, &listed, &n_listed));
        if (n_listed != 1)
            return eval_error(ctx, CODE_MODEL, "k has %lld elements, expected one", (long long)n_listed);
        k = listed[0];
    }
    n = x->dims[axis];
    if (k < 0 || k > n)
        return eval_error(ctx, CODE_MODEL, "k is %lld, the axis has %lld elements", (long long)k, (long long)n);
    for (int i = 0; i < x->rank; i++)
        dims[i] = i == axis ? k : x->dims[i];
    TRY(eval_output(ctx, 0, x->dtype, x->rank, dims));
    TRY(eval_output(ctx, 1, DT_INT64, x->rank, dims));
    if (ctx->out[0].count == 0)
        return NULL;
    if (!size_mul((size_t)n, sizeof(Key), &key_bytes))
        return eval_error(ctx, CODE_MODEL, "the axis is too long");
    TRY(eval_scratch(ctx, key_bytes, &scratch));
    keys = scratch;
    outer = count_of(x->dims, 0, axis);
    inner = count_of(x->dims, axis + 1, x->rank);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            for (int64_t s = 0; s < n; s++)
                keys[s] = key_of(x, (o * n + s) * inner + i, s);
            qsort(keys, (size_t)n, sizeof(Key), largest ? descending : ascending);
            for (int64_t s = 0; s < k; s++) {
                size_t to = (size_t)((o * k + s) * inner + i);
                memcpy((char *)ctx->out[0].data + to * bytes,
                       (const char *)x->data + (size_t)((o * n + keys[s].index) * inner + i) * bytes, bytes);
                ((int64_t *)ctx->out[1].data)[to] = keys[s].index;
            }
        }
    return NULL;
}

/* ---- ArgMax, ArgMin ---------------------------------------------------------------------------------------------- */

static Status infer_arg(Node *node)
{
    Shape in = infer_shape(node, 0), out = in;
    bool keep = node_int(node, "keepdims", 1) != 0;
    int axis;

    if (in.rank >= 0) {
        TRY(infer_axis(node, node_int(node, "axis", 0), in.rank, &axis));
        out.rank = 0;
        for (int i = 0; i < in.rank; i++)
            if (i != axis || keep)
                out.dims[out.rank++] = i == axis ? dim_known(1) : in.dims[i];
    }
    infer_output(node, 0, DT_INT64, &out);
    return NULL;
}

static Status eval_arg(EvalCtx *ctx, bool greatest)
{
    const Tensor *x = ctx->in[0];
    bool keep = node_int(ctx->node, "keepdims", 1) != 0, last = node_int(ctx->node, "select_last_index", 0) != 0;
    int64_t dims[TENSOR_MAX_RANK], n, outer, inner;
    int axis, rank = 0;

    if (!is_number(x->dtype))
        return eval_bad_dtype(ctx, 0);
    TRY(eval_axis(ctx, node_int(ctx->node, "axis", 0), x->rank, &axis));
    for (int i = 0; i < x->rank; i++)
        if (i != axis || keep)
            dims[rank++] = i == axis ? 1 : x->dims[i];
    TRY(eval_output(ctx, 0, DT_INT64, rank, dims));
    if (ctx->out[0].count == 0)
        return NULL;
    n = x->dims[axis];
    if (n == 0)
        return eval_error(ctx, CODE_MODEL, "axis %d is empty", axis);
    outer = count_of(x->dims, 0, axis);
    inner = count_of(x->dims, axis + 1, x->rank);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            Key best = key_of(x, o * n * inner + i, 0);
            for (int64_t s = 1; s < n; s++) {
                Key key = key_of(x, (o * n + s) * inner + i, s);
                int order = greatest ? compare_values(&key, &best) : compare_values(&best, &key);
                if (order > 0 || (order == 0 && last))
                    best = key;
            }
            ((int64_t *)ctx->out[0].data)[o * inner + i] = best.index;
        }
    return NULL;
}

static Status eval_arg_max(EvalCtx *ctx)
{
    return eval_arg(ctx, true);
}

static Status eval_arg_min(EvalCtx *ctx)
{
    return eval_arg(ctx, false);
}

/* ---- Hardmax: 1 at the first greatest element, 0 elsewhere ------------------------------------------------------- */

/* Before opset 13 all axes from `axis` on are one. */
static Status eval_hardmax(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    bool joined = ctx->node->opset < 13;
    int64_t n, outer, inner;
    int axis;

    if (x->dtype != DT_FLOAT && x->dtype != DT_DOUBLE)
        return eval_bad_dtype(ctx, 0);
    TRY(eval_axis(ctx, node_int(ctx->node, "axis", joined ? 1 : -1), x->rank, &axis));
    TRY(eval_output(ctx, 0, x->dtype, x->rank, x->dims));
    if (x->count == 0)
        return NULL;
    outer = count_of(x->dims, 0, axis);
    n = joined ? count_of(x->dims, axis, x->rank) : x->dims[axis];
    inner = joined ? 1 : count_of(x->dims, axis + 1, x->rank);
    memset(ctx->out[0].data, 0, ctx->out[0].bytes);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            Key best = key_of(x, o * n * inner + i, 0);
            for (int64_t s = 1; s < n; s++) {
                Key key = key_of(x, (o * n + s) * inner + i, s);
                if (compare_values(&key, &best) > 0)
                    best = key;
            }
            tensor_set(&ctx->out[0], (o * n + best.index) * inner + i, 1);
        }
    return NULL;
}

/* ---- Unique ------------------------------------------------------------------------------------------------------ */

/* One thing to be unique: an element, or a slice along the axis; its elements start at `index` * width. */
typedef struct Item {
    const Tensor *x;   /* items in order, each contiguous */
    int64_t width;     /* elements of an item */
    int64_t index;
    int64_t group;     /* which unique item it is */
} Item;

static int compare_strings(TensorString a, TensorString b)
{
    size_t n = MIN(a.length, b.length);
    int order = n > 0 ? memcmp(a.data, b.data, n) : 0;

    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static int compare_items(const Item *a, const Item *b)
{
    for (int64_t i = 0; i < a->width; i++) {
        int64_t p = a->index * a->width + i, q = b->index * b->width + i;
        int order;
        if (a->x->dtype == DT_STRING) {
            order = compare_strings(((const TensorString *)a->x->data)[p], ((const TensorString *)a->x->data)[q]);
        } else {
            Key x = key_of(a->x, p, 0), y = key_of(a->x, q, 0);
            order = compare_values(&x, &y);
        }
        if (order != 0)
            return order;
    }
    return 0;
}

static int by_value(const void *a, const void *b)
{
    const Item *x = a, *y = b;
    int order = compare_items(x, y);

    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

static int by_place(const void *a, const void *b)
{
    const Item *x = a, *y = b;

    return (x->index > y->index) - (x->index < y->index);
}

static Status infer_unique(Node *node)
{
    Shape in = infer_shape(node, 0), list = {.rank = 1, .dims = {DIM_UNKNOWN}}, out = list, inverse = list;
    int axis;

    if (node_attr(node, "axis") != NULL) {
        out = in;
        if (in.rank >= 0) {
            TRY(infer_axis(node, node_int(node, "axis", 0), in.rank, &axis));
            out.dims[axis] = DIM_UNKNOWN;
            inverse.dims[0] = in.dims[axis];
        }
    } else if (in.rank >= 0) {
        inverse.dims[0] = dim_product(in.dims, in.rank);
    }
    infer_output(node, 0, infer_dtype(node, 0), &out);
    infer_output(node, 1, DT_INT64, &list);
    infer_output(node, 2, DT_INT64, &inverse);
    infer_output(node, 3, DT_INT64, &list);
    return NULL;
}

static Status eval_unique(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    bool flat = node_attr(ctx->node, "axis") == NULL, sorted = node_int(ctx->node, "sorted", 1) != 0;
    int64_t dims[TENSOR_MAX_RANK] = {0}, from[TENSOR_MAX_RANK + 1], to[TENSOR_MAX_RANK + 1], n, groups = 0, *first,
            *count;
    int64_t *name; /* (groups) of a group in value order: its place in the output */
    Tensor rows = *x;
    size_t bytes, scratch_bytes;
    void *data;
    Item *items;
    int axis = 0;

    TRY(eval_element_bytes(ctx, 0, &bytes));
    if (!is_number(x->dtype) && x->dtype != DT_STRING)
        return eval_bad_dtype(ctx, 0);
    if (!flat)
        TRY(eval_axis(ctx, node_int(ctx->node, "axis", 0), x->rank, &axis));
    n = flat ? x->count : x->dims[axis];
    for (int i = 0; i < x->rank; i++)
        dims[i] = x->dims[i];
    if (!flat && x->count > 0) { /* the axis comes first, so that an item is one run */
        int64_t strides[TENSOR_MAX_RANK], moved[TENSOR_MAX_RANK];
        row_major_strides(x->rank, x->dims, strides);
        for (int i = 0, k = 1; i < x->rank; i++) {
            int place = i == axis ? 0 : k++;
            moved[place] = x->dims[i];
            from[place] = strides[i];
        }
        row_major_strides(x->rank, moved, to);
        TRY(eval_scratch(ctx, x->bytes, &data));
        strided_copy(data, to, x->data, from, x->rank, moved, bytes);
        rows.data = data;
    }
    if (!size_mul((size_t)n, sizeof(Item) + 3 * sizeof(int64_t), &scratch_bytes))
        return eval_error(ctx, CODE_MODEL, "the axis is too long");
    TRY(eval_scratch(ctx, scratch_bytes, &data));
    items = data;
    first = (int64_t *)(void *)(items + n);
    count = first + n;
    name = count + n;
    for (int64_t i = 0; i < n; i++)
        items[i] = (Item){&rows, n > 0 ? x->count / n : 0, i, 0};
    if (n > 0)
        qsort(items, (size_t)n, sizeof(Item), by_value);
    for (int64_t i = 0; i < n; i++) {
        if (i == 0 || compare_items(&items[i - 1], &items[i]) != 0) {
            first[groups] = items[i].index;
            count[groups++] = 0;
        }
        items[i].group = groups - 1;
        count[groups - 1]++;
    }
    if (n > 0)
        qsort(items, (size_t)n, sizeof(Item), by_place);
    if (sorted)
        for (int64_t g = 0; g < groups; g++)
            name[g] = g;
    else
        for (int64_t i = 0, next = 0; i < n; i++)
            if (first[items[i].group] == i)
                name[items[i].group] = next++;

    dims[flat ? 0 : axis] = groups;
    TRY(eval_output(ctx, 0, x->dtype, flat ? 1 : x->rank, dims));
    if (ctx->out[0].count > 0) {
        int64_t outer = flat ? 1 : count_of(x->dims, 0, axis);
        size_t inner = flat ? bytes : (size_t)count_of(x->dims, axis + 1, x->rank) * bytes;
        for (int64_t o = 0; o < outer; o++)
            for (int64_t g = 0; g < groups; g++)
                memcpy((char *)ctx->out[0].data + (size_t)(o * groups + name[g]) * inner,
                       (const char *)x->data + (size_t)(o * n + first[g]) * inner, inner);
    }
    for (int output = 1; output < 4; output++) {
        const int64_t size = output == 2 ? n : groups;
        int64_t *y;
        if (!eval_wants(ctx, output))
            continue;
        TRY(eval_output(ctx, output, DT_INT64, 1, &size));
        y = ctx->out[output].data;
        for (int64_t i = 0; i < size; i++) {
            if (output == 2)
                y[i] = name[items[i].group];
            else
                y[name[i]] = output == 1 ? first[i] : count[i];
        }
    }
    return NULL;
}

static const AttrSpec top_k_attrs[] = {
    {"axis", ATTR_INT, false},
    {"k", ATTR_INT, false},
    {"largest", ATTR_INT, false},
    {"sorted", ATTR_INT, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec arg_attrs[] = {
    {"axis", ATTR_INT, false},
    {"keepdims", ATTR_INT, false},
    {"select_last_index", ATTR_INT, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec axis_attrs[] = {{"axis", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec unique_attrs[] = {
    {"axis", ATTR_INT, false}, {"sorted", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};

const OpDef op_topk = {
    .type = "TopK", .domain = "", .versions = {1, 10, 11, 24}, .min_in = 1, .max_in = 2, .min_out = 2, .max_out = 2,
    .attrs = top_k_attrs, .infer = infer_top_k, .eval = eval_top_k, .quant = RULE_FLOAT,
};
const OpDef op_argmax = {
    .type = "ArgMax", .domain = "", .versions = {1, 11, 12, 13}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .attrs = arg_attrs, .infer = infer_arg, .eval = eval_arg_max, .quant = RULE_FLOAT,
};
const OpDef op_argmin = {
    .type = "ArgMin", .domain = "", .versions = {1, 11, 12, 13}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .attrs = arg_attrs, .infer = infer_arg, .eval = eval_arg_min, .quant = RULE_FLOAT,
};
const OpDef op_hardmax = {
    .type = "Hardmax", .domain = "", .versions = {1, 11, 13}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .attrs = axis_attrs, .infer = infer_same_as_input, .eval = eval_hardmax, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_unique = {
    .type = "Unique", .domain = "", .versions = {11}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 4,
    .attrs = unique_attrs, .infer = infer_unique, .eval = eval_unique, .quant = RULE_FLOAT,
};
