/* test_random_graphs.c - valid small graphs at random: simplified, they give the same numbers.
 *
 *     seed ─> inputs, 4 to 24 nodes from the table below ─┬─ run ──────────────┬─ equal?
 *                                                         └─ simplify ─ run ───┘
 *
 * RANDOM_GRAPHS=N in the environment: that many graphs; RANDOM_SEED=S: the first seed, to repeat one that failed.
 * Sizes are those of the run; `dynamic` is the axis whose size the graph does not say.
 */
#include "tests/passes/graphs.h"
#include "tests/test.h"

#include "src/ops/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_GRAPHS 300
#define BATCH 2 /* as graphs.c runs unknown sizes */
#define MAX_VALUES 64
#define MAX_ELEMENTS 4096

typedef struct Item {
    Value *value;
    int rank, dynamic; /* -1: every size is said */
    int64_t dims[TENSOR_MAX_RANK];
    bool used;
} Item;

typedef struct Maker {
    Model *model;
    uint64_t state;
    Item items[MAX_VALUES];
    int n, names;
} Maker;

static uint64_t seed_now;

static int pick(Maker *m, int n) /* 0..n-1 */
{
    m->state = m->state * 6364136223846793005u + 1442695040888963407u;
    return (int)((m->state >> 33) % (uint64_t)n);
}

static const char *name(Maker *m, const char *base)
{
    return arena_printf(m->model->arena, "%s%d", base, m->names++);
}

static Item *pick_item(Maker *m)
{
    /* Late ones more often, so that chains grow. */
    int i = MAX(pick(m, m->n), pick(m, m->n));
    m->items[i].used = true;
    return &m->items[i];
}

static int64_t count(const Item *item)
{
    int64_t n = 1;
    for (int i = 0; i < item->rank; i++)
        n *= item->dims[i];
    return n;
}

static const char *shape_of_dims(Maker *m, int rank, const int64_t *dims)
{
    Text text = {0};
    text_add(&text, "");
    for (int i = 0; i < rank; i++)
        text_addf(&text, "%s%lld", i > 0 ? "," : "", (long long)dims[i]);
    const char *shape = arena_strdup(m->model->arena, text.data);
    text_free(&text);
    return shape;
}

static Value *constant(Maker *m, int rank, const int64_t *dims)
{
    return test_floats(m->model, name(m, "c"), shape_of_dims(m, rank, dims));
}

static Value *ints(Maker *m, int64_t n, const int64_t *values)
{
    return test_ints(m->model, name(m, "i"), n, values);
}

static Value *node(Maker *m, const char *op_type, int n_in, Value *const *in)
{
    return test_node(m->model, op_type, name(m, "v"), n_in, in);
}

#define NODE(m, op_type, ...)                                                                                          \
    node(m, op_type, (int)(sizeof((Value *[]){__VA_ARGS__}) / sizeof(Value *)), (Value *[]){__VA_ARGS__})

static void keep(Maker *m, Value *value, int rank, const int64_t *dims, int dynamic)
{
    Item *item = &m->items[m->n++];
    *item = (Item){.value = value, .rank = rank, .dynamic = dynamic};
    memcpy(item->dims, dims, (size_t)rank * sizeof(dims[0]));
}

static void keep_like(Maker *m, Value *value, const Item *like)
{
    Item from = *like;
    keep(m, value, from.rank, from.dims, from.dynamic);
}

/* ---- the table ---------------------------------------------------------------------------------------------------- */

static void make_unary(Maker *m)
{
    static const char *const ops[] = {"Relu", "Sigmoid", "Tanh", "Neg", "Abs", "Identity", "LeakyRelu", "HardSigmoid",
                                      "Erf", "Softplus", "Elu"};
    Item *x = pick_item(m);
    keep_like(m, NODE(m, ops[pick(m, (int)COUNT_OF(ops))], x->value), x);
}

static Value *broadcast_constant(Maker *m, const Item *x)
{
    int64_t dims[TENSOR_MAX_RANK];
    int rank = pick(m, 3) == 0 ? 0 : x->rank, wide = x->rank == 0 ? -1 : pick(m, x->rank);
    for (int i = 0; i < rank; i++)
        dims[i] = i == wide && i != x->dynamic ? x->dims[i] : 1;
    return constant(m, rank, dims);
}

static void make_with_constant(Maker *m)
{
    static const char *const ops[] = {"Add", "Sub", "Mul", "Max", "Min", "Add", "Mul"};
    Item *x = pick_item(m);
    const char *op = ops[pick(m, (int)COUNT_OF(ops))];
    Value *c = broadcast_constant(m, x);
    keep_like(m, pick(m, 3) == 0 ? NODE(m, op, c, x->value) : NODE(m, op, x->value, c), x);
}

static void make_neutral(Maker *m)
{
    Item *x = pick_item(m);
    bool zero = pick(m, 2) == 0;
    static const char *const zeros[] = {"Add", "Sub"}, *const ones[] = {"Mul", "Div", "Pow"};
    Value *c = test_fill(m->model, name(m, "c"), "", zero ? 0.0f : 1.0f);
    keep_like(m, NODE(m, zero ? zeros[pick(m, 2)] : ones[pick(m, 3)], x->value, c), x);
}

static void make_scaled(Maker *m) /* by something that is not 0 */
{
    Item *x = pick_item(m);
    keep_like(m, NODE(m, pick(m, 2) == 0 ? "Div" : "Mul", x->value, test_positive(m->model, name(m, "c"), "")), x);
}

static void make_binary(Maker *m)
{
    static const char *const ops[] = {"Add", "Sub", "Mul", "Max", "Min"};
    Item *x = pick_item(m);
    for (int i = 0; i < 8; i++) {
        Item *y = pick_item(m);
        if (y->rank != x->rank || y->dynamic != x->dynamic ||
            memcmp(x->dims, y->dims, (size_t)x->rank * sizeof(x->dims[0])) != 0)
            continue;
        keep_like(m, NODE(m, ops[pick(m, (int)COUNT_OF(ops))], x->value, y->value), x);
        return;
    }
}

static void make_transpose(Maker *m)
{
    Item *x = pick_item(m);
    int64_t perm[TENSOR_MAX_RANK], dims[TENSOR_MAX_RANK];
    int dynamic = -1;
    if (x->rank < 2)
        return;
    for (int i = 0; i < x->rank; i++)
        perm[i] = i;
    for (int i = x->rank - 1; i > 0; i--) {
        int j = pick(m, i + 1);
        int64_t swap = perm[i];
        perm[i] = perm[j];
        perm[j] = swap;
    }
    for (int i = 0; i < x->rank; i++) {
        dims[i] = x->dims[perm[i]];
        dynamic = perm[i] == x->dynamic ? i : dynamic;
    }
    Value *y = NODE(m, "Transpose", x->value);
    test_set_ints(y, "perm", x->rank, perm);
    keep(m, y, x->rank, dims, dynamic);
}

/* Splits a size, joins two neighbours, or moves a size of 1. */
static void make_reshape(Maker *m)
{
    Item *x = pick_item(m);
    int64_t dims[TENSOR_MAX_RANK], target[TENSOR_MAX_RANK];
    int rank = x->rank, first = x->dynamic + 1;
    if (x->dynamic > 0 || rank - first < 1 || rank > 5)
        return;
    memcpy(dims, x->dims, (size_t)rank * sizeof(dims[0]));
    int at = first + pick(m, rank - first);
    if (pick(m, 2) == 0 && rank - first >= 2 && at + 1 < rank) {
        dims[at] *= dims[at + 1];
        memmove(&dims[at + 1], &dims[at + 2], (size_t)(rank - at - 2) * sizeof(dims[0]));
        rank--;
    } else {
        int64_t part = dims[at] % 2 == 0 && pick(m, 2) == 0 ? 2 : 1;
        memmove(&dims[at + 1], &dims[at], (size_t)(rank - at) * sizeof(dims[0]));
        dims[at] = part;
        dims[at + 1] /= part;
        rank++;
    }
    memcpy(target, dims, (size_t)rank * sizeof(dims[0]));
    if (x->dynamic == 0)
        target[0] = pick(m, 2) == 0 ? 0 : -1;
    else if (pick(m, 2) == 0)
        target[pick(m, rank)] = -1;
    keep(m, NODE(m, "Reshape", x->value, ints(m, rank, target)), rank, dims, x->dynamic);
}

/* The target made from Shape, as exporters do. */
static void make_flatten(Maker *m)
{
    Item *x = pick_item(m);
    if (x->dynamic != 0 || x->rank < 2)
        return;
    int64_t dims[2] = {x->dims[0], count(x) / x->dims[0]};
    Value *y;
    if (pick(m, 2) == 0) {
        y = NODE(m, "Flatten", x->value);
    } else {
        Value *size = NODE(m, "Gather", NODE(m, "Shape", x->value),
                           graph_add_constant(m->model->graph, name(m, "i"),
                                              tensor_new_ints(m->model->arena, 0, NULL, (int64_t[]){0})));
        Value *target = NODE(m, "Concat", NODE(m, "Unsqueeze", size, ints(m, 1, (int64_t[]){0})),
                             ints(m, 1, (int64_t[]){pick(m, 2) == 0 ? -1 : dims[1]}));
        node_set_int(target->producer, "axis", 0);
        y = NODE(m, "Reshape", x->value, target);
    }
    keep(m, y, 2, dims, 0);
}

static void make_unsqueeze(Maker *m)
{
    Item *x = pick_item(m);
    int64_t dims[TENSOR_MAX_RANK];
    if (x->rank > 4)
        return;
    int at = pick(m, x->rank + 1);
    memcpy(dims, x->dims, (size_t)x->rank * sizeof(dims[0]));
    memmove(&dims[at + 1], &dims[at], (size_t)(x->rank - at) * sizeof(dims[0]));
    dims[at] = 1;
    keep(m, NODE(m, "Unsqueeze", x->value, ints(m, 1, (int64_t[]){at})), x->rank + 1, dims,
         x->dynamic >= at ? x->dynamic + 1 : x->dynamic);
}

static void make_squeeze(Maker *m)
{
    Item *x = pick_item(m);
    int64_t dims[TENSOR_MAX_RANK];
    for (int i = 0; i < x->rank; i++) {
        if (x->dims[i] != 1 || i == x->dynamic)
            continue;
        memcpy(dims, x->dims, (size_t)x->rank * sizeof(dims[0]));
        memmove(&dims[i], &dims[i + 1], (size_t)(x->rank - i - 1) * sizeof(dims[0]));
        keep(m, NODE(m, "Squeeze", x->value, ints(m, 1, (int64_t[]){i})), x->rank - 1, dims,
             x->dynamic > i ? x->dynamic - 1 : x->dynamic);
        return;
    }
}

static Value *slice(Maker *m, Value *x, int64_t start, int64_t end, int64_t axis)
{
    return NODE(m, "Slice", x, ints(m, 1, &start), ints(m, 1, &end), ints(m, 1, &axis));
}

/* One or both halves. */
static void make_slices(Maker *m)
{
    Item x = *pick_item(m);
    int axis = x.rank == 0 ? -1 : pick(m, x.rank);
    if (axis < 0 || axis == x.dynamic || x.dims[axis] < 2 || m->n + 2 > MAX_VALUES)
        return;
    int64_t size = x.dims[axis], cut = 1 + pick(m, (int)size - 1);
    x.dims[axis] = cut;
    keep(m, slice(m, x.value, 0, cut, axis), x.rank, x.dims, x.dynamic);
    if (pick(m, 3) == 0)
        return;
    x.dims[axis] = size - cut;
    keep(m, slice(m, x.value, pick(m, 2) == 0 ? cut : cut - size, pick(m, 2) == 0 ? size : INT64_MAX, axis), x.rank,
         x.dims, x.dynamic);
}

static void make_concat(Maker *m)
{
    Item *x = pick_item(m), *y = pick_item(m);
    int64_t dims[TENSOR_MAX_RANK];
    int axis = x->rank == 0 ? -1 : pick(m, x->rank);
    if (axis < 0 || axis == x->dynamic || y->rank != x->rank || y->dynamic != x->dynamic ||
        memcmp(x->dims, y->dims, (size_t)x->rank * sizeof(x->dims[0])) != 0)
        y = x;
    if (axis < 0 || axis == x->dynamic || 2 * count(x) > MAX_ELEMENTS)
        return;
    memcpy(dims, x->dims, (size_t)x->rank * sizeof(dims[0]));
    dims[axis] *= 2;
    Value *v = NODE(m, "Concat", x->value, y->value);
    node_set_int(v->producer, "axis", pick(m, 2) == 0 ? axis : axis - x->rank);
    keep(m, v, x->rank, dims, x->dynamic);
}

static void make_pad(Maker *m)
{
    Item *x = pick_item(m);
    int64_t pads[2 * TENSOR_MAX_RANK] = {0}, dims[TENSOR_MAX_RANK];
    if (x->rank < 1)
        return;
    memcpy(dims, x->dims, (size_t)x->rank * sizeof(dims[0]));
    for (int i = 0; i < x->rank; i++) {
        if (i == x->dynamic || pick(m, 2) == 0)
            continue;
        pads[i] = pick(m, 2);
        pads[i + x->rank] = pick(m, 2);
        dims[i] += pads[i] + pads[i + x->rank];
    }
    keep(m, NODE(m, "Pad", x->value, ints(m, 2 * x->rank, pads)), x->rank, dims, x->dynamic);
}

static void make_conv(Maker *m)
{
    Item *x = pick_item(m);
    if (x->rank != 4 || x->dynamic > 0 || x->dims[2] < 3 || x->dims[3] < 3)
        return;
    bool depthwise = pick(m, 3) == 0;
    int64_t kernel = 1 + 2 * pick(m, 2), channels = depthwise ? x->dims[1] : 1 + pick(m, 6), pad = pick(m, 2);
    int64_t weight[4] = {channels, depthwise ? 1 : x->dims[1], kernel, kernel};
    int64_t grow = 2 * pad + 1 - kernel, dims[4] = {x->dims[0], channels, x->dims[2] + grow, x->dims[3] + grow};
    Value *in[3] = {x->value, constant(m, 4, weight), pick(m, 2) == 0 ? constant(m, 1, &channels) : NULL};
    Value *y = node(m, "Conv", in[2] != NULL ? 3 : 2, in);
    if (depthwise)
        node_set_int(y->producer, "group", channels);
    TEST_SET_INTS(y, "pads", pad, pad, pad, pad);
    keep(m, y, 4, dims, x->dynamic);
}

static void make_normalization(Maker *m)
{
    Item *x = pick_item(m);
    if (x->rank < 2 || x->dynamic == 1)
        return;
    const char *channels = shape_of_dims(m, 1, &x->dims[1]);
    Value *in[5] = {x->value};
    for (int i = 1; i < 5; i++)
        in[i] = test_positive(m->model, name(m, "c"), channels);
    keep_like(m, node(m, "BatchNormalization", 5, in), x);
}

static void make_product(Maker *m)
{
    Item *x = pick_item(m);
    if (x->rank < 2 || x->dynamic == x->rank - 1)
        return;
    int64_t dims[TENSOR_MAX_RANK], weight[2] = {x->dims[x->rank - 1], 1 + pick(m, 6)};
    memcpy(dims, x->dims, (size_t)x->rank * sizeof(dims[0]));
    dims[x->rank - 1] = weight[1];
    Value *y = NODE(m, "MatMul", x->value, constant(m, 2, weight));
    if (pick(m, 2) == 0)
        y = NODE(m, "Add", y, constant(m, 1, &weight[1]));
    keep(m, y, x->rank, dims, x->dynamic);
}

static void make_gather(Maker *m)
{
    Item *x = pick_item(m);
    int axis = x->rank < 2 ? -1 : pick(m, x->rank);
    int64_t dims[TENSOR_MAX_RANK], index;
    if (axis < 0 || axis == x->dynamic)
        return;
    index = pick(m, (int)x->dims[axis]);
    memcpy(dims, x->dims, (size_t)x->rank * sizeof(dims[0]));
    memmove(&dims[axis], &dims[axis + 1], (size_t)(x->rank - axis - 1) * sizeof(dims[0]));
    Value *y = NODE(m, "Gather", x->value, graph_add_constant(m->model->graph, name(m, "i"),
                                                              tensor_new_ints(m->model->arena, 0, NULL, &index)));
    node_set_int(y->producer, "axis", axis);
    keep(m, y, x->rank - 1, dims, x->dynamic > axis ? x->dynamic - 1 : x->dynamic);
}

static Value *reduce(Maker *m, const char *op_type, Value *x, int64_t axis) /* axes are an input since 18 */
{
    if (model_opset(m->model, "") >= 18)
        return NODE(m, op_type, x, ints(m, 1, &axis));
    Value *y = NODE(m, op_type, x);
    TEST_SET_INTS(y, "axes", axis);
    return y;
}

static void make_mean(Maker *m)
{
    Item *x = pick_item(m);
    int axis = x->rank < 1 ? -1 : pick(m, x->rank);
    int64_t dims[TENSOR_MAX_RANK];
    if (axis < 0 || axis == x->dynamic)
        return;
    memcpy(dims, x->dims, (size_t)x->rank * sizeof(dims[0]));
    dims[axis] = 1;
    keep(m, reduce(m, pick(m, 2) == 0 ? "ReduceMean" : "ReduceMax", x->value, axis), x->rank, dims, x->dynamic);
}

static void make_softmax(Maker *m)
{
    Item *x = pick_item(m);
    if (x->rank < 1)
        return;
    Value *y = NODE(m, "Softmax", x->value);
    node_set_int(y->producer, "axis", pick(m, x->rank) - x->rank);
    keep_like(m, y, x);
}

static Value *scalar(Maker *m, float value)
{
    return test_fill(m->model, name(m, "c"), "", value);
}

static void make_hard_swish(Maker *m)
{
    Item *x = pick_item(m);
    Value *gate = NODE(m, "Clip", NODE(m, "Add", x->value, scalar(m, 3)), scalar(m, 0), scalar(m, 6));
    keep_like(m, NODE(m, "Div", NODE(m, "Mul", x->value, gate), scalar(m, 6)), x);
}

static void make_gelu(Maker *m)
{
    Item *x = pick_item(m);
    Value *gate = NODE(m, "Add", NODE(m, "Erf", NODE(m, "Div", x->value, scalar(m, 1.4142135f))), scalar(m, 1));
    keep_like(m, NODE(m, "Mul", NODE(m, "Mul", x->value, gate), scalar(m, 0.5f)), x);
}

/* Activations as exporters write them out, with what they are made of read elsewhere now and then. */
static void make_activation(Maker *m)
{
    Item *item = pick_item(m);
    Value *x = item->value, *y = NULL, *z = NODE(m, "Mul", x, scalar(m, 0.5f)), *relu = NODE(m, "Relu", x);
    Value *e = NODE(m, "Exp", NODE(m, "Tanh", x)); /* small, so that the sums of random graphs stay so */
    switch (pick(m, 12)) {
    case 0: y = NODE(m, "Reciprocal", NODE(m, "Add", NODE(m, "Exp", NODE(m, "Neg", NODE(m, "Tanh", x))), scalar(m, 1))); break;
    case 1: y = NODE(m, "Div", e, NODE(m, "Add", e, scalar(m, 1))); break;
    case 2: y = NODE(m, "Log", NODE(m, "Add", scalar(m, 1), e)); break;
    case 3: y = NODE(m, "Div", x, NODE(m, "Add", NODE(m, "Abs", x), scalar(m, 1))); break;
    case 4: y = NODE(m, "Sub", relu, NODE(m, "Mul", scalar(m, 0.3f), NODE(m, "Relu", NODE(m, "Neg", x)))); break;
    case 5: y = NODE(m, "Add", relu, NODE(m, "Mul", broadcast_constant(m, item), NODE(m, "Sub", x, NODE(m, "Abs", x)))); break;
    case 6: y = NODE(m, "Where", NODE(m, "Greater", x, scalar(m, 0)), x, z); break;
    case 7: y = NODE(m, "Where", NODE(m, "Less", x, scalar(m, 0)), NODE(m, "Sub", e, scalar(m, 1)), x); break;
    case 8: y = NODE(m, "Min", NODE(m, "Max", x, scalar(m, -0.5f)), scalar(m, 1)); break;
    case 9: y = NODE(m, "Clip", NODE(m, "Add", z, scalar(m, 0.5f)), scalar(m, 0), scalar(m, 1)); break;
    case 10: y = NODE(m, "Mul", x, NODE(m, "Sigmoid", pick(m, 2) == 0 ? x : z)); break;
    default: y = NODE(m, "Max", x, pick(m, 2) == 0 ? NODE(m, "Neg", x) : z); break;
    }
    Item like = *item;
    keep_like(m, y, &like);
    if (pick(m, 3) == 0)
        keep_like(m, pick(m, 2) == 0 ? e : z, &like);
}

/* e / ReduceSum(e), its log, or a sum of squares or magnitudes. */
static void make_sum_form(Maker *m)
{
    Item x = *pick_item(m);
    int axis = x.rank < 1 ? -1 : pick(m, x.rank);
    if (axis < 0 || axis == x.dynamic || x.dims[axis] == 1) /* of size 1, a LogSoftmax is 0 but for rounding */
        return;
    Value *axes = ints(m, 1, (int64_t[]){pick(m, 2) == 0 ? axis : axis - x.rank});
    if (pick(m, 2) == 0) {
        Value *z = NODE(m, "Sub", x.value, reduce(m, "ReduceMax", x.value, pick(m, 4) == 0 ? 0 : axis));
        Value *e = NODE(m, "Exp", z), *sum = NODE(m, "ReduceSum", e, axes);
        keep_like(m, pick(m, 2) == 0 ? NODE(m, "Div", e, sum) : NODE(m, "Sub", z, NODE(m, "Log", sum)), &x);
        return;
    }
    Value *inner = pick(m, 2) == 0 ? NODE(m, "Mul", x.value, x.value) : NODE(m, "Abs", x.value);
    Value *y = NODE(m, "ReduceSum", inner, axes);
    x.dims[axis] = 1;
    keep(m, pick(m, 2) == 0 ? NODE(m, "Sqrt", y) : y, x.rank, x.dims, x.dynamic);
}

/* x times a constant that has some of its axes and a new one, the axes of the result in any order. */
static void make_einsum(Maker *m)
{
    Item x = *pick_item(m);
    char left[TENSOR_MAX_RANK + 1] = "", right[TENSOR_MAX_RANK + 1] = "", out[TENSOR_MAX_RANK + 1] = "";
    int64_t dims[TENSOR_MAX_RANK], weight[TENSOR_MAX_RANK];
    int n_right = 0, n_out = 0, dynamic = -1, summed = pick(m, MAX(x.rank, 1)); /* one axis: of more, the sum may cancel */
    if (x.rank < 2 || x.rank > 5)
        return;
    for (int i = 0; i < x.rank; i++) {
        int kind = i == x.dynamic ? 0 : i == summed ? 3 : pick(m, 3); /* 2: in both, 3: summed */
        left[i] = (char)('a' + i);
        if (kind >= 2) {
            right[n_right] = left[i];
            weight[n_right++] = x.dims[i];
        }
        if (kind == 3)
            continue;
        out[n_out] = left[i];
        dims[n_out++] = x.dims[i];
    }
    if (pick(m, 3) > 0) {
        right[n_right] = out[n_out] = 'z';
        weight[n_right++] = dims[n_out++] = 1 + pick(m, 3);
    }
    for (int i = n_out - 1; i > 0; i--) {
        int j = pick(m, i + 1);
        char label = out[i];
        int64_t size = dims[i];
        out[i] = out[j];
        dims[i] = dims[j];
        out[j] = label;
        dims[j] = size;
    }
    for (int i = 0; i < n_out; i++)
        dynamic = x.dynamic >= 0 && out[i] == 'a' + x.dynamic ? i : dynamic;
    Value *w = constant(m, n_right, weight);
    bool turned = pick(m, 2) == 0;
    Value *y = NODE(m, "Einsum", turned ? w : x.value, turned ? x.value : w);
    node_set_string(y->producer, "equation",
                    arena_printf(m->model->arena, "%s,%s->%s", turned ? right : left, turned ? left : right, out));
    keep(m, y, n_out, dims, dynamic);
}

/* Written out, over the last axis; a large epsilon, because rounding is divided by its root. */
static void make_norm(Maker *m)
{
    Item x = *pick_item(m);
    int last = x.rank - 1;
    if (x.rank < 2 || x.dynamic == last || x.dims[last] == 1)
        return;
    bool centred = pick(m, 2) == 0;
    Value *d = centred ? NODE(m, "Sub", x.value, reduce(m, "ReduceMean", x.value, last)) : x.value;
    Value *square = pick(m, 2) == 0 ? NODE(m, "Mul", d, d) : NODE(m, "Pow", d, scalar(m, 2));
    Value *root = NODE(m, "Sqrt", NODE(m, "Add", reduce(m, "ReduceMean", square, last), scalar(m, 0.5f)));
    Value *y = pick(m, 2) == 0 ? NODE(m, "Div", d, root) : NODE(m, "Mul", d, NODE(m, "Reciprocal", root));
    if (pick(m, 2) == 0)
        y = NODE(m, "Mul", y, broadcast_constant(m, &x));
    keep_like(m, NODE(m, "Add", y, broadcast_constant(m, &x)), &x); /* a mean of it would be 0 but for rounding */
}

static void make_pool(Maker *m)
{
    Item *x = pick_item(m);
    if (x->rank != 4 || x->dynamic > 0)
        return;
    int64_t dims[4] = {x->dims[0], x->dims[1], 1, 1};
    keep(m, NODE(m, "GlobalAveragePool", x->value), 4, dims, x->dynamic);
}

/* A mean spread out again, what is made of it on one way or two, and its reader. */
static void make_expanded(Maker *m)
{
    Item x = *pick_item(m);
    int axis = x.rank < 1 ? -1 : pick(m, x.rank);
    int64_t shape[TENSOR_MAX_RANK];
    if (axis < 0 || axis == x.dynamic)
        return;
    for (int i = 0; i < x.rank; i++)
        shape[i] = i == axis ? x.dims[i] : 1;
    Value *wide = NODE(m, "Expand", reduce(m, "ReduceMean", x.value, axis), ints(m, x.rank, shape)), *y = wide;
    if (pick(m, 2) == 0)
        y = NODE(m, "Add", y, scalar(m, 0.5f));
    if (pick(m, 2) == 0)
        y = NODE(m, "Mul", y, NODE(m, "Sigmoid", y));
    if (pick(m, 3) > 0)
        y = NODE(m, "Add", x.value, y);
    keep_like(m, y, &x);
    if (pick(m, 4) == 0)
        keep_like(m, wide, &x);
}

/* A product, some of what follows it in a transformer, and one or two indices of its rows. */
static void make_token(Maker *m)
{
    Item x = *pick_item(m);
    if (x.rank != 3 || x.dynamic > 0 || x.dims[1] < 2)
        return;
    int64_t dims[TENSOR_MAX_RANK] = {x.dims[0], x.dims[1], 4}, weight[2] = {x.dims[2], 4};
    int64_t heads[4] = {0, pick(m, 2) == 0 ? 0 : x.dims[1], 2, pick(m, 2) == 0 ? 2 : -1}, index = pick(m, (int)x.dims[1]);
    int rank = 3, axis = 1;
    Value *y = NODE(m, "MatMul", x.value, constant(m, 2, weight));
    if (pick(m, 2) == 0)
        y = NODE(m, "Tanh", NODE(m, "Add", y, pick(m, 2) == 0 ? constant(m, 1, &weight[1]) : constant(m, 2, (int64_t[]){dims[1], 1})));
    if (pick(m, 3) == 0)
        y = NODE(m, "Sub", y, reduce(m, "ReduceMean", y, 2));
    if (pick(m, 2) == 0) {
        y = NODE(m, "Transpose", NODE(m, "Reshape", y, ints(m, 4, heads)));
        TEST_SET_INTS(y, "perm", 0, 2, 1, 3);
        memcpy(dims, (int64_t[]){x.dims[0], 2, x.dims[1], 2}, 4 * sizeof dims[0]);
        rank = 4;
        axis = 2;
    }
    if (pick(m, 2) == 0) {
        y = NODE(m, "Gather", y, graph_add_constant(m->model->graph, name(m, "i"), tensor_new_ints(m->model->arena, 0, NULL, &index)));
        node_set_int(y->producer, "axis", axis);
        memmove(&dims[axis], &dims[axis + 1], (size_t)(rank-- - axis - 1) * sizeof dims[0]);
    } else {
        y = NODE(m, "Slice", y, ints(m, 1, &index), ints(m, 1, (int64_t[]){index + 1}), ints(m, 1, (int64_t[]){axis - rank}));
        dims[axis] = 1;
    }
    keep(m, y, rank, dims, x.dynamic);
}

static const struct Row {
    void (*make)(Maker *m);
    int weight;
} rows[] = {
    {make_unary, 6},   {make_with_constant, 8}, {make_neutral, 2}, {make_scaled, 4}, {make_binary, 4},
    {make_transpose, 6}, {make_reshape, 6},     {make_flatten, 2}, {make_unsqueeze, 3}, {make_squeeze, 3},
    {make_slices, 3},  {make_concat, 3},        {make_pad, 2},     {make_conv, 6},   {make_normalization, 3},
    {make_product, 4}, {make_gather, 2},        {make_mean, 2},    {make_softmax, 1}, {make_hard_swish, 2},
    {make_gelu, 1},    {make_pool, 1},          {make_activation, 4}, {make_sum_form, 2},
    {make_einsum, 2}, {make_norm, 2},           {make_expanded, 2}, {make_token, 4},
};

static void build(Model *model)
{
    static const char *const shapes[] = {"N,4,6,6", "2,4,6,6", "N,6,4", "3,8", "N,1,5,8", "1,2,1,6"};
    Maker *m = xcalloc(1, sizeof(*m));
    *m = (Maker){.model = model, .state = seed_now * 2654435761u + 1};
    for (int i = 1 + pick(m, 2); i > 0; i--) {
        const char *shape = shapes[pick(m, (int)COUNT_OF(shapes))];
        Value *x = test_input(model, name(m, "x"), shape);
        int64_t dims[TENSOR_MAX_RANK];
        for (int j = 0; j < x->type.shape.rank; j++)
            dims[j] = x->type.shape.dims[j].size < 0 ? BATCH : x->type.shape.dims[j].size;
        keep(m, x, x->type.shape.rank, dims, shape[0] == 'N' ? 0 : -1);
    }
    int inputs = m->n, total = 0;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        total += rows[i].weight;
    for (int i = 4 + pick(m, 21); i > 0 && m->n + 3 < MAX_VALUES; i--) {
        int at = pick(m, total);
        size_t row = 0;
        while (at >= rows[row].weight)
            at -= rows[row++].weight;
        rows[row].make(m);
    }
    for (int i = inputs; i < m->n; i++)
        if (!m->items[i].used || pick(m, 8) == 0)
            test_output(m->items[i].value);
    if (model->graph->n_outputs == 0)
        test_output(NODE(m, "Relu", m->items[0].value));
    free(m);
}

static int64_t from_environment(const char *variable, int64_t otherwise)
{
    const char *text = getenv(variable);
    return text == NULL ? otherwise : strtoll(text, NULL, 10);
}

TEST(random_graphs_stay_equal)
{
    static const int opsets[] = {13, 14, 17, 20, 24};
    int64_t first = from_environment("RANDOM_SEED", 1), n = from_environment("RANDOM_GRAPHS", DEFAULT_GRAPHS);
    for (int64_t seed = first; seed < first + n; seed++) {
        char label[48];
        snprintf(label, sizeof label, "RANDOM_SEED=%lld", (long long)seed);
        seed_now = (uint64_t)seed;
        int opset = opsets[seed % (int64_t)COUNT_OF(opsets)];
        if (!test_simplify(label, build, opset, 2e-5))
            return;
    }
}
