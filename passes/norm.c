/* norm.c - see norm.h. */
#include "passes/norm.h"

#include "passes/match.h"
#include "src/ops/ops.h"

#include <math.h>
#include <stdlib.h>

static int compare_axis(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* ReduceMean that keeps its sizes. */
static bool read_mean(const Node *mean, Norm *ret)
{
    if (mean == NULL || node_in(mean, 0) == NULL || node_int(mean, "keepdims", 1) == 0)
        return false;
    ret->rank = infer_shape(mean, 0).rank;
    if (!pass_read_axes(mean, ret->rank, &ret->n_axes, ret->axes) || ret->n_axes == 0)
        return false;
    qsort(ret->axes, (size_t)ret->n_axes, sizeof(ret->axes[0]), compare_axis);
    return true;
}

static bool same_axes(const Norm *a, const Norm *b)
{
    bool same = a->rank == b->rank && a->n_axes == b->n_axes;
    for (int i = 0; same && i < a->n_axes; i++)
        same = a->axes[i] == b->axes[i];
    return same;
}

/* d^2, as Pow or Mul, read by the mean alone. */
static bool is_square(const Value *value, const Value *d)
{
    double exponent;
    const Node *mul = match_maker(value, "Mul"), *pow = match_maker(value, "Pow");
    if (value->n_uses != 1)
        return false;
    if (mul != NULL)
        return mul->in[0] == d && mul->in[1] == d;
    return pow != NULL && pow->in[0] == d && match_scalar_operand(pow, &exponent) == 0 && exponent == 2;
}

/* v + epsilon, read by `root` alone; the node that makes v. */
static Node *match_variance(const Node *root, double *ret_epsilon)
{
    Node *add = root == NULL ? NULL : match_own(root->in[0], "Add", root);
    int data = add == NULL ? -1 : match_scalar_operand(add, ret_epsilon);
    if (data < 0 || !(*ret_epsilon >= 0) || !isfinite(*ret_epsilon))
        return NULL;
    return match_own(add->in[data], "ReduceMean", add);
}

/* Sqrt (v + epsilon), read by `reader` alone; the node that makes v. */
static Node *match_sqrt(const Value *value, const Node *reader, double *ret_epsilon)
{
    return match_variance(match_own(value, "Sqrt", reader), ret_epsilon);
}

/* 1 / Sqrt (v + epsilon), as Reciprocal or as Pow by -0.5. */
static Node *match_inverse(const Value *value, const Node *reader, double *ret_epsilon)
{
    double exponent;
    const Node *reciprocal = match_own(value, "Reciprocal", reader), *pow = match_own(value, "Pow", reader);
    if (reciprocal != NULL)
        return match_sqrt(reciprocal->in[0], reciprocal, ret_epsilon);
    return pow != NULL && match_scalar_operand(pow, &exponent) == 0 && exponent == -0.5 ? match_variance(pow, ret_epsilon) : NULL;
}

Value *norm_match_root(const Node *node, Node **ret_mean, double *ret_epsilon)
{
    if (node->n_in != 2 || node->out[0] == NULL || !value_is_float(node->out[0]))
        return NULL;
    if (node_is(node, "Div"))
        return (*ret_mean = match_sqrt(node->in[1], node, ret_epsilon)) == NULL ? NULL : node->in[0];
    for (int i = 0; node_is(node, "Mul") && i < 2; i++) {
        *ret_mean = match_inverse(node->in[i], node, ret_epsilon);
        if (*ret_mean != NULL)
            return node->in[1 - i];
    }
    return NULL;
}

/* n = d / Sqrt (v + epsilon); d is read by n and by the square. */
static bool match_plain(Node *node, Norm *ret)
{
    Node *variance;
    Norm other;
    const Value *d = norm_match_root(node, &variance, &ret->epsilon);
    const Node *sub = match_maker(d, "Sub"), *mean = sub == NULL ? NULL : match_own(sub->in[1], "ReduceMean", sub);
    if (mean == NULL || mean->in[0] != sub->in[0] || !read_mean(mean, ret) || !read_mean(variance, &other) ||
        !same_axes(ret, &other) || !is_square(variance->in[0], d))
        return false;
    ret->x = sub->in[0];
    ret->last = node;
    return sub->graph == node->graph && value_is_float(ret->x) &&
           d->n_uses == (node_is(variance->in[0]->producer, "Mul") ? 3u : 2u);
}

/* r: Reciprocal (Sqrt (v + epsilon)), times gamma or not; the node of v. */
static Node *match_factor(const Node *node, Value **ret_gamma, double *ret_epsilon)
{
    const Node *inverse = node;
    *ret_gamma = NULL;
    for (int i = 0; node_is(node, "Mul") && i < 2; i++) {
        if (pass_constant(node, 1 - i) == NULL)
            continue;
        *ret_gamma = node->in[1 - i];
        inverse = match_own(node->in[i], "Reciprocal", node);
    }
    return inverse == NULL || !node_is(inverse, "Reciprocal") ? NULL : match_sqrt(inverse->in[0], inverse, ret_epsilon);
}

/* y = x * r + (beta - mean * r); the mean is read by d and here, r by the two products. */
static bool match_shifted(Node *node, Norm *ret)
{
    Norm other;
    for (int i = 0; node_is(node, "Add") && node->n_in == 2 && i < 2; i++) {
        const Node *scaled = match_own(node->in[i], "Mul", node), *shift = match_own(node->in[1 - i], "Sub", node);
        const Node *moved = shift == NULL || pass_constant(shift, 0) == NULL ? NULL : match_own(shift->in[1], "Mul", shift);
        for (int k = 0; scaled != NULL && moved != NULL && k < 4; k++) {
            const Value *r = scaled->in[k & 1];
            const Node *mean = match_maker(moved->in[k >> 1], "ReduceMean");
            const Node *factor = r->n_outputs == 0 && r->n_uses == 2 ? r->producer : NULL;
            if (mean == NULL || factor == NULL || moved->in[1 - (k >> 1)] != r || factor->graph != node->graph)
                continue;
            Node *variance = match_factor(factor, &ret->gamma, &ret->epsilon);
            const Node *square = variance == NULL ? NULL : variance->in[0]->producer;
            const Node *sub = square == NULL ? NULL : match_maker(node_in(square, 0), "Sub");
            ret->x = scaled->in[1 - (k & 1)];
            if (sub == NULL || sub->in[0] != ret->x || sub->in[1] != mean->out[0] || mean->in[0] != ret->x ||
                mean->out[0]->n_uses != 2 || !is_square(variance->in[0], sub->out[0]) || !value_is_float(ret->x) ||
                sub->out[0]->n_uses != (node_is(square, "Mul") ? 2u : 1u) || !read_mean(mean, ret) ||
                !read_mean(variance, &other) || !same_axes(ret, &other))
                continue;
            ret->beta = shift->in[0];
            ret->last = node;
            return true;
        }
    }
    return false;
}

bool norm_match(Node *node, Norm *ret)
{
    *ret = (Norm){.x = NULL};
    if (node->n_out != 1 || node->out[0] == NULL || !value_is_float(node->out[0]))
        return false;
    return match_plain(node, ret) || match_shifted(node, ret);
}

static Value *take(Norm *norm, const char *op_type, bool (*fits)(const Norm *norm, const Tensor *constant))
{
    Node *next = value_only_user(norm->last->out[0]);
    if (next == NULL || !node_is(next, op_type) || next->graph != norm->last->graph || next->n_in != 2 || next->out[0] == NULL)
        return NULL;
    int i = next->in[0] == norm->last->out[0] ? 1 : 0;
    const Tensor *constant = pass_constant(next, i);
    if (constant == NULL || constant->dtype != DT_FLOAT || !fits(norm, constant))
        return NULL;
    norm->last = next;
    return next->in[i];
}

void norm_take_gamma(Norm *norm, bool (*fits)(const Norm *norm, const Tensor *constant))
{
    if (norm->gamma == NULL && norm->beta == NULL)
        norm->gamma = take(norm, "Mul", fits);
}

void norm_take_beta(Norm *norm, bool (*fits)(const Norm *norm, const Tensor *constant))
{
    if (norm->beta == NULL)
        norm->beta = take(norm, "Add", fits);
}

bool norm_over_last(const Norm *norm, int *ret_first)
{
    *ret_first = norm->rank - norm->n_axes;
    return norm->axes[0] == *ret_first;
}

bool norm_is_per_channel(const Norm *norm, const Tensor *constant)
{
    const Shape *shape = &norm->x->type.shape;
    int channel = constant->rank - norm->rank + 1; /* axis 1 of x */
    if (constant->rank > norm->rank || channel < 0 || shape->rank != norm->rank)
        return false;
    for (int i = 0; i < constant->rank; i++)
        if (constant->dims[i] != (i == channel ? shape->dims[1].size : 1))
            return false;
    return true;
}

Status norm_constant(Graph *graph, const char *name, const Tensor *from, int64_t count, double otherwise, Value **ret)
{
    Tensor *tensor;
    TRY(tensor_new(graph->model->arena, DT_FLOAT, 1, &count, &tensor));
    for (int64_t i = 0; i < count; i++)
        ((float *)tensor->data)[i] = from == NULL ? (float)otherwise : ((const float *)from->data)[from->count == 1 ? 0 : i];
    *ret = graph_add_constant(graph, model_fresh_name(graph->model, name), tensor);
    return NULL;
}
