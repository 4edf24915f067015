/* fuse_affine_chain.c - a chain of additions and multiplications by constants becomes the shortest that does the same.
 *
 *     x -> Mul a -> Div b -> y                ->      x -> Mul a/b -> y
 *     x -> Sub m -> Mul a -> Add b -> y       ->      x -> Mul a -> Add b - a m -> y
 *
 * From the last node of the chain upwards y = scale * x + shift is composed in double and rounded once; Neg counts as
 * Mul -1. Constants meet by broadcasting, but never grow beyond the larger of two. Left alone: chains that would not
 * get shorter, and additions of large numbers that nearly cancel (rounding by adding 2^23 and taking it away).
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

#include <math.h>
#include <string.h>

#define MAX_CHAIN 32 /* steps composed at once; of a longer chain the result is composed with the next */
#define MAX_ELEMENTS (1 << 16)
#define LARGE_SHIFT 4096.0
#define MAX_CANCEL 16.0 /* a sum may be so many times smaller than a large part of it */

/* A constant in double. */
typedef struct Factor {
    int rank;
    int64_t dims[TENSOR_MAX_RANK];
    int64_t count;
    double *data;
} Factor;

typedef struct Step {
    int data;          /* the operand that is not constant; the result is +-data */
    const Tensor *constant; /* NULL: Neg */
} Step;

static bool read_step(const Node *node, Step *ret)
{
    if (node->n_out != 1 || node->out[0] == NULL || node->domain[0] != '\0')
        return false;
    if (node_is(node, "Neg")) {
        *ret = (Step){0, NULL};
        return value_is_float(node->out[0]);
    }
    bool divides = node_is(node, "Div");
    if ((!divides && !node_is(node, "Mul") && !node_is(node, "Add") && !node_is(node, "Sub")) || node->n_in != 2)
        return false;
    for (int data = 0; data < 2; data++) {
        const Tensor *constant = pass_constant(node, 1 - data);
        if (node_in(node, data) == NULL || pass_value_is_constant(node->in[data]) || constant == NULL ||
            constant->dtype != DT_FLOAT || constant->count == 0 || constant->count > MAX_ELEMENTS ||
            (divides && data == 1))
            continue;
        *ret = (Step){data, constant};
        return true;
    }
    return false;
}

static Factor factor_new(Arena *arena, double value)
{
    Factor factor = {.rank = 0, .count = 1, .data = arena_alloc(arena, sizeof(double))};
    factor.data[0] = value;
    return factor;
}

static Factor factor_of(Arena *arena, const Tensor *tensor)
{
    Factor factor = {.rank = tensor->rank, .count = tensor->count,
                     .data = arena_array(arena, (size_t)tensor->count, sizeof(double))};
    memcpy(factor.dims, tensor->dims, sizeof(factor.dims));
    for (int64_t i = 0; i < tensor->count; i++)
        factor.data[i] = tensor_get(tensor, i);
    return factor;
}

/* Element of `from` that broadcasting puts at the place `at` of the shape `dims`. */
static int64_t broadcast_index(const Factor *from, int rank, const int64_t *dims, int64_t at)
{
    int64_t index = 0, stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        int64_t place = at % dims[i];
        int own = i - (rank - from->rank);
        at /= dims[i];
        if (own < 0)
            continue;
        if (from->dims[own] != 1)
            index += place * stride;
        stride *= from->dims[own];
    }
    return index;
}

/* a * b or a + b by broadcasting; false when the result would have more elements than either. */
static bool factor_join(Arena *arena, const Factor *a, const Factor *b, bool multiply, Factor *ret)
{
    Factor result = {.rank = MAX(a->rank, b->rank), .count = 1};
    for (int i = 0; i < result.rank; i++) {
        int64_t x = i < result.rank - a->rank ? 1 : a->dims[i - (result.rank - a->rank)];
        int64_t y = i < result.rank - b->rank ? 1 : b->dims[i - (result.rank - b->rank)];
        if (x != y && x != 1 && y != 1)
            return false;
        result.dims[i] = MAX(x, y);
        if (!__builtin_mul_overflow(result.count, result.dims[i], &result.count) && result.count <= MAX_ELEMENTS)
            continue;
        return false;
    }
    if (result.count > MAX(a->count, b->count))
        return false;
    result.data = arena_array(arena, (size_t)result.count, sizeof(double));
    for (int64_t i = 0; i < result.count; i++) {
        double x = a->data[broadcast_index(a, result.rank, result.dims, i)];
        double y = b->data[broadcast_index(b, result.rank, result.dims, i)];
        result.data[i] = multiply ? x * y : x + y;
    }
    *ret = result;
    return true;
}

static double factor_most(const Factor *factor)
{
    double most = 0;
    for (int64_t i = 0; i < factor->count; i++)
        most = fmax(most, fabs(factor->data[i]));
    return most;
}

static bool factor_is(const Factor *factor, double value)
{
    for (int64_t i = 0; i < factor->count; i++)
        if (factor->data[i] != value)
            return false;
    return true;
}

typedef struct Chain {
    Factor scale, shift; /* y = scale * x + shift of the nodes so far */
    Node *top;           /* the first of them */
    Value *data;         /* x */
    int length;
    int widest;          /* rank that the constants give the result at least */
} Chain;

/* Puts the step of `node` in front: y = scale * step(x) + shift. */
static bool prepend(Arena *arena, Chain *chain, Node *node, const Step *step)
{
    Factor constant = step->constant == NULL ? factor_new(arena, -1) : factor_of(arena, step->constant);
    Factor minus = factor_new(arena, -1), moved, sum, scale = chain->scale, shift = chain->shift;
    if (node_is(node, "Mul") || node_is(node, "Div") || step->constant == NULL) {
        if (node_is(node, "Div")) {
            for (int64_t i = 0; i < constant.count; i++)
                constant.data[i] = 1 / constant.data[i];
        }
        if (!factor_join(arena, &chain->scale, &constant, true, &scale))
            return false;
    } else { /* + c, - c, c - x */
        if (node_is(node, "Sub") && step->data == 0 && !factor_join(arena, &constant, &minus, true, &constant))
            return false;
        if (!factor_join(arena, &chain->scale, &constant, true, &moved) ||
            !factor_join(arena, &moved, &chain->shift, false, &sum))
            return false;
        double part = fmax(factor_most(&moved), factor_most(&shift));
        if (part > LARGE_SHIFT && part > MAX_CANCEL * factor_most(&sum))
            return false;
        shift = sum;
        if (node_is(node, "Sub") && step->data == 1 && !factor_join(arena, &chain->scale, &minus, true, &scale))
            return false;
    }
    for (int64_t i = 0; i < scale.count; i++)
        if (!isfinite((float)scale.data[i]))
            return false;
    for (int64_t i = 0; i < shift.count; i++)
        if (!isfinite((float)shift.data[i]))
            return false;
    chain->scale = scale;
    chain->shift = shift;
    chain->top = node;
    chain->data = node->in[step->data];
    chain->widest = MAX(chain->widest, constant.rank);
    chain->length++;
    return true;
}

/* Its single reader goes on with the chain, so it is not the end. */
static bool goes_on(const Node *node)
{
    Step step;
    const Node *user = value_only_user(node->out[0]);
    return user != NULL && user->graph == node->graph && read_step(user, &step) &&
           user->in[step.data] == node->out[0];
}

static Status add_node(PassContext *context, Node *end, const char *op_type, const Factor *factor, Value **value)
{
    Tensor *tensor;
    TRY(tensor_new(context->model->arena, DT_FLOAT, factor->rank, factor->dims, &tensor));
    for (int64_t i = 0; i < factor->count; i++)
        ((float *)tensor->data)[i] = (float)factor->data[i];
    Value *in[2] = {*value, graph_add_constant(end->graph, model_fresh_name(context->model, "factor"), tensor)};
    Node *node = pass_add_node(end->graph, end, op_type, end->name, 2, in);
    TRY(ops_infer_node(node));
    *value = node->out[0];
    return NULL;
}

/* Shortens the chain that ends in `node` by up to MAX_CHAIN steps; *ret_end is its end then, NULL when nothing was done. */
static Status shorten(PassContext *context, Node *node, Node **ret_end)
{
    Step step;
    *ret_end = NULL;
    ArenaMark mark = arena_mark(context->scratch);
    Chain chain = {.scale = factor_new(context->scratch, 1), .shift = factor_new(context->scratch, 0)}, best = {0};
    for (Node *at = node; at != NULL && chain.length < MAX_CHAIN && read_step(at, &step);) {
        if (!prepend(context->scratch, &chain, at, &step))
            break;
        int needed = !factor_is(&chain.scale, 1) + !factor_is(&chain.shift, 0);
        if (needed < chain.length && needed > 0 && MAX(chain.scale.rank, chain.shift.rank) >= chain.widest)
            best = chain;
        at = chain.data->producer;
        if (at == NULL || at->graph != node->graph || value_only_user(chain.data) == NULL)
            break;
    }
    Status status = NULL;
    if (best.length > 0) {
        Value *value = best.data;
        if (!factor_is(&best.scale, 1))
            status = add_node(context, node, "Mul", &best.scale, &value);
        if (status == NULL && !factor_is(&best.shift, 0))
            status = add_node(context, node, "Add", &best.shift, &value);
        if (status == NULL)
            status = pass_replace_node(node, value);
        ++*context->changes;
        *ret_end = value->producer;
    }
    arena_rewind(context->scratch, mark);
    return status;
}

static Status visit(PassContext *context, Node *node)
{
    Step step;
    while (node != NULL && read_step(node, &step) && !goes_on(node))
        TRY(shorten(context, node, &node));
    return NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fuse_affine_chain = {
    .name = "fuse_affine_chain",
    .stage = PASS_SIMPLIFY,
    .ops = "Neg Div Mul Add Sub",
    .summary = "chains of Add, Sub, Mul, Div, Neg with constants become one Mul and one Add at most",
    .run = run,
};
