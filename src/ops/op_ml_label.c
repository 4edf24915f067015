/* op_ml_label.c - ai.onnx.ml: LabelEncoder (1, 2, 4), a map from keys to values.
 *
 *     keys_strings ["a", "b"], values_int64s [5, 6], default_int64 -1:    ["b", "z"] -> [6, -1]
 *
 * Version 1 knew strings and their places in classes_strings only, either way. The last of equal keys counts; NaN is
 * equal to NaN.
 */
#include <stdlib.h>
#include <string.h>

#include "src/ops/family.h"

/* One element of a list, comparable. */
typedef struct LabelKey {
    TensorString text;
    int64_t whole;
    double real;
    int64_t at; /* place in its list */
} LabelKey;

static int compare_text(TensorString a, TensorString b)
{
    size_t n = MIN(a.length, b.length);
    int order = n == 0 ? 0 : memcmp(a.data, b.data, n);

    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

/* NaN behind all numbers, equal to itself. */
static int compare_real(double a, double b)
{
    bool a_nan = a != a, b_nan = b != b;

    return a_nan || b_nan ? a_nan - b_nan : (a > b) - (a < b);
}

static int compare_values(const LabelKey *a, const LabelKey *b)
{
    int order = (a->whole > b->whole) - (a->whole < b->whole);

    order = order != 0 ? order : compare_real(a->real, b->real);
    return order != 0 ? order : compare_text(a->text, b->text);
}

static int compare_keys(const void *left, const void *right)
{
    const LabelKey *a = left, *b = right;
    int order = compare_values(a, b);

    return order != 0 ? order : (a->at > b->at) - (a->at < b->at);
}

static LabelKey key_of(const Tensor *list, int64_t i)
{
    LabelKey key = {.text = {"", 0}, .at = i};

    if (list->dtype == DT_STRING)
        key.text = ((const TensorString *)list->data)[i];
    else if (dtype_is_integer(list->dtype))
        key.whole = tensor_get_int(list, i);
    else
        key.real = tensor_get(list, i);
    return key;
}

/* The list of an attribute, as a tensor over its memory; dtype DT_UNDEFINED when it is absent. */
static Tensor list_of_attr(const Attr *attr)
{
    Tensor list = {.dtype = DT_UNDEFINED, .rank = 1};

    if (attr == NULL)
        return list;
    switch (attr->kind) {
    case ATTR_FLOATS:
        list.dtype = DT_FLOAT;
        list.data = attr->floats;
        break;
    case ATTR_INTS:
        list.dtype = DT_INT64;
        list.data = attr->ints;
        break;
    case ATTR_STRINGS:
        list.dtype = DT_STRING;
        list.data = attr->strings;
        break;
    case ATTR_TENSOR:
        list = *attr->t;
        list.owned = false;
        return list;
    default:
        return list;
    }
    list.count = list.dims[0] = attr->n;
    return list;
}

/* keys_* or values_*: the first that is there. */
static Tensor find_list(const Node *node, const char *const *names)
{
    for (; *names != NULL; names++)
        if (node_attr(node, *names) != NULL)
            return list_of_attr(node_attr(node, *names));
    return list_of_attr(NULL);
}

typedef struct LabelMap {
    Tensor keys, values; /* values.dtype DT_UNDEFINED: a value is its place */
    DType from, to;
} LabelMap;

static LabelMap find_map(const Node *node)
{
    static const char *const key_names[] = {"keys_strings", "keys_int64s", "keys_floats", "keys_tensor", NULL};
    static const char *const value_names[] = {"values_strings", "values_int64s", "values_floats", "values_tensor",
                                              NULL};
    LabelMap map = {.keys = find_list(node, key_names), .values = find_list(node, value_names)};
    const Attr *classes = node_attr(node, "classes_strings");

    if (classes != NULL && infer_dtype(node, 0) == DT_STRING)
        map.keys = list_of_attr(classes);
    else if (classes != NULL)
        map.values = list_of_attr(classes);
    map.from = classes != NULL && map.keys.dtype == DT_UNDEFINED ? DT_INT64 : map.keys.dtype;
    map.to = classes != NULL && map.values.dtype == DT_UNDEFINED ? DT_INT64 : map.values.dtype;
    return map;
}

static Status infer_label(Node *node)
{
    Shape shape = infer_shape(node, 0);
    bool unknown = node_attr(node, "classes_strings") != NULL && infer_dtype(node, 0) == DT_UNDEFINED;

    infer_output(node, 0, unknown ? DT_UNDEFINED : find_map(node).to, &shape);
    return NULL;
}

/* What stands for an unknown key: one element of type `to`. */
static Status read_default(EvalCtx *ctx, DType to, Tensor *ret)
{
    const Attr *given = node_attr(ctx->node, "default_tensor");
    const Attr *text = node_attr(ctx->node, "default_string");
    void *data = arena_alloc(ctx->scratch, sizeof(TensorString));

    if (given != NULL && given->kind == ATTR_TENSOR) {
        if (given->t->count != 1 || given->t->dtype != to)
            return eval_error(ctx, CODE_MODEL, "default_tensor has %lld elements of %s, expected one of %s",
                              (long long)given->t->count, dtype_name(given->t->dtype), dtype_name(to));
        *ret = *given->t;
        ret->owned = false;
        return NULL;
    }
    TRY(tensor_view(ret, to, 0, NULL, data));
    if (to == DT_STRING) {
        static const char unused[] = "_Unused";
        *(TensorString *)data = (TensorString){unused, sizeof unused - 1};
        if (text != NULL && text->kind == ATTR_STRING)
            *(TensorString *)data = text->s;
    } else if (to == DT_INT64) {
        *(int64_t *)data = node_int(ctx->node, "default_int64", -1);
    } else {
        tensor_set(ret, 0,
                   dtype_is_float(to) ? (double)node_float(ctx->node, "default_float", -0.0F)
                                      : (double)node_int(ctx->node, "default_int64", -1));
    }
    return NULL;
}

/* Keys in order, each once: of equal ones the last. */
static Status sort_keys(EvalCtx *ctx, const Tensor *list, LabelKey **ret, int64_t *ret_n)
{
    int64_t n = 0;
    size_t bytes;
    void *data;
    LabelKey *keys;

    if (!size_mul((size_t)list->count, sizeof *keys, &bytes))
        return eval_error(ctx, CODE_MODEL, "too many keys");
    TRY(eval_scratch(ctx, bytes, &data));
    keys = data;
    for (int64_t i = 0; i < list->count; i++)
        keys[i] = key_of(list, i);
    if (list->count > 0)
        qsort(keys, (size_t)list->count, sizeof *keys, compare_keys);
    for (int64_t i = 0; i < list->count; i++)
        if (n > 0 && compare_values(&keys[n - 1], &keys[i]) == 0)
            keys[n - 1] = keys[i];
        else
            keys[n++] = keys[i];
    *ret = keys;
    *ret_n = n;
    return NULL;
}

static int64_t find_key(const LabelKey *keys, int64_t n, const LabelKey *key)
{
    int64_t low = 0, high = n;

    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int order = compare_values(&keys[middle], key);
        if (order == 0)
            return keys[middle].at;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

static Status eval_label(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    LabelMap map = find_map(ctx->node);
    LabelKey *keys = NULL;
    int64_t n = 0;
    Tensor otherwise;
    size_t bytes;

    if (map.from == DT_UNDEFINED || map.to == DT_UNDEFINED)
        return eval_error(ctx, CODE_MODEL, "keys or values are missing");
    if (map.from != x->dtype)
        return eval_error(ctx, CODE_MODEL, "the keys are %s, the input is %s", dtype_name(map.from),
                          dtype_name(x->dtype));
    if (map.keys.dtype != DT_UNDEFINED && map.values.dtype != DT_UNDEFINED && map.keys.count != map.values.count)
        return eval_error(ctx, CODE_MODEL, "%lld keys and %lld values", (long long)map.keys.count,
                          (long long)map.values.count);
    if (map.to != DT_STRING && dtype_bits(map.to) < 8)
        return eval_error(ctx, CODE_UNSUPPORTED, "values of %s are not supported", dtype_name(map.to));
    bytes = map.to == DT_STRING ? sizeof(TensorString) : (size_t)dtype_bits(map.to) / 8;
    TRY(read_default(ctx, map.to, &otherwise));
    TRY(eval_output(ctx, 0, map.to, x->rank, x->dims));
    if (map.keys.dtype != DT_UNDEFINED)
        TRY(sort_keys(ctx, &map.keys, &keys, &n));
    for (int64_t i = 0; i < x->count; i++) {
        LabelKey key = key_of(x, i);
        bool inside = keys != NULL || (key.whole >= 0 && key.whole < map.values.count);
        int64_t at = keys != NULL ? find_key(keys, n, &key) : inside ? key.whole : -1;
        char *to = (char *)ctx->out[0].data + (size_t)i * bytes;
        if (at >= 0 && map.values.dtype == DT_UNDEFINED)
            ((int64_t *)ctx->out[0].data)[i] = at;
        else
            memcpy(to, at < 0 ? otherwise.data : (const char *)map.values.data + (size_t)at * bytes, bytes);
    }
    return NULL;
}

static const AttrSpec label_attrs[] = {
    {"classes_strings", ATTR_STRINGS, false}, {"default_float", ATTR_FLOAT, false},
    {"default_int64", ATTR_INT, false},       {"default_string", ATTR_STRING, false},
    {"default_tensor", ATTR_TENSOR, false},   {"keys_floats", ATTR_FLOATS, false},
    {"keys_int64s", ATTR_INTS, false},        {"keys_strings", ATTR_STRINGS, false},
    {"keys_tensor", ATTR_TENSOR, false},      {"values_floats", ATTR_FLOATS, false},
    {"values_int64s", ATTR_INTS, false},      {"values_strings", ATTR_STRINGS, false},
    {"values_tensor", ATTR_TENSOR, false},    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_ml_labelencoder = {
    .type = "LabelEncoder", .domain = DOMAIN_ML, .versions = {1, 2, 4}, .min_in = 1, .max_in = 1, .min_out = 1,
    .max_out = 1, .attrs = label_attrs, .infer = infer_label, .eval = eval_label, .quant = RULE_FLOAT,
};
