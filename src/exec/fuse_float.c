/* fuse_float.c - joins floats that a transformer would send through memory once more: the bias of a product, and GELU written out.
 *
 *     a, b ─ MatMul ─ Add c ─ y                        ==>   a, b, c ─ BiasedMatMul ─ y      c constant, one number a column
 *     a, b ─ MatMulIntegerToFloat ─ Add c ─ y          ==>   the same op, c as its bias
 *     x ─┬─ Div sqrt(2) ─ Erf ─ Add 1 ─┐
 *        └──────────────────────────── Mul ─ Mul 1/2   ==>   x ─ Gelu ─ y
 *     x ─┬─ ReduceMean ─┐   ┌─ Pow 2 ─ ReduceMean ─ Add e ─ Sqrt ─┐
 *        └───────────── Sub ┴──────────────────────────────────── Div ─ Mul s ─ Add b   ==>   x, s, b ─ LayerNormalization ─ y
 */
#include "src/exec/fuse.h"

#include <math.h>

/* ---- bias ---------------------------------------------------------------------------------------------------------- */

/* A float constant of n elements along the last axis. */
static bool is_row(const Value *value, int64_t n, int rank)
{
    const Tensor *tensor = value->constant;
    return tensor != NULL && value->producer == NULL && tensor->dtype == DT_FLOAT && tensor->rank >= 1 && tensor->rank <= rank &&
           tensor->count == n && tensor->dims[tensor->rank - 1] == n;
}

void fuse_bias(Fuser *fuser, int s)
{
    enum { TO_FLOAT_BIAS = 6 };
    bool plain = fuse_is_step(fuser, s, "", "MatMul");
    if (!plain && !fuse_is_step(fuser, s, DOMAIN_MICROSOFT, "MatMulIntegerToFloat"))
        return;
    const Node *product = fuser->plan->steps[s].node;
    Value *sum = product->out[0];
    const Shape *weight = &product->in[1]->type.shape, *shape = &sum->type.shape;
    if (!value_is_float(sum) || sum->type.dtype != DT_FLOAT || weight->rank < 2 || shape->rank < 1 ||
        !dim_is_known(weight->dims[weight->rank - 1]) || (!plain && node_in(product, TO_FLOAT_BIAS) != NULL))
        return;
    int a = fuse_only_reader(fuser, sum);
    if (!fuse_is_step(fuser, a, "", "Add") && !fuse_is_step(fuser, a, "", "Sum"))
        return;
    const Node *add = fuser->plan->steps[a].node;
    if (add->n_in != 2 || add->opset < 7)
        return;
    Value *bias = add->in[add->in[0] == sum ? 1 : 0];
    if (bias == sum || bias == NULL || !is_row(bias, weight->dims[weight->rank - 1].size, shape->rank))
        return;
    const OpDef *def = plain ? &op_private_biasedmatmul : product->def;
    Node *node = fuse_new_node(fuser, product, def, TO_FLOAT_BIAS + 1, product->n_attrs, add->out[0]);
    node->n_in = plain ? 3 : TO_FLOAT_BIAS + 1;
    for (int i = 0; i < node->n_in - 1; i++)
        node->in[i] = node_in(product, i);
    node->in[node->n_in - 1] = bias;
    Chain chain = {.n = 0};
    fuse_append(&chain, s, sum);
    fuse_append(&chain, a, add->out[0]);
    fuse_join(fuser, &chain, node);
}

/* ---- GELU ---------------------------------------------------------------------------------------------------------- */

static bool is_number(const Value *value, double number)
{
    const Tensor *tensor = value == NULL ? NULL : value->constant;
    return tensor != NULL && tensor->dtype == DT_FLOAT && tensor->count == 1 && fabs(tensor_get(tensor, 0) - number) < 1e-6;
}

/* The step that reads `value` alone and is op(value, number), in either order where that is the same; -1: none. */
static int reads_with_number(const Fuser *fuser, const Value *value, int s, const char *op_type, bool either, double number)
{
    if (!fuse_is_step(fuser, s, "", op_type))
        return -1;
    const Node *node = fuser->plan->steps[s].node;
    if (node->n_in != 2 || node->opset < 7)
        return -1;
    bool fits = (node->in[0] == value && is_number(node->in[1], number)) ||
                (either && node->in[1] == value && is_number(node->in[0], number));
    return fits ? s : -1;
}

static Value *out_of(const Fuser *fuser, int s)
{
    return fuser->plan->steps[s].node->out[0];
}

/* From x / sqrt(2), at step s, on. */
static bool match_gelu(const Fuser *fuser, int s, Chain *chain)
{
    const double root = 1.4142135623730951;
    const Node *first = fuser->plan->steps[s].node;
    Value *x = first->in[0];
    if (x == NULL || x->constant != NULL || x->type.dtype != DT_FLOAT ||
        (reads_with_number(fuser, x, s, "Div", false, root) < 0 && reads_with_number(fuser, x, s, "Mul", false, 1 / root) < 0))
        return false;
    int erf = fuse_only_reader(fuser, out_of(fuser, s));
    if (!fuse_is_step(fuser, erf, "", "Erf"))
        return false;
    int more = fuse_only_reader(fuser, out_of(fuser, erf));
    more = reads_with_number(fuser, out_of(fuser, erf), more, "Add", true, 1);
    int mul = more < 0 ? -1 : fuse_only_reader(fuser, out_of(fuser, more));
    if (!fuse_is_step(fuser, mul, "", "Mul"))
        return false;
    const Node *node = fuser->plan->steps[mul].node;
    const Value *plus = out_of(fuser, more), *other = node->in[node->in[0] == plus ? 1 : 0];
    if (other != x)
        return false;
    int half = reads_with_number(fuser, node->out[0], fuse_only_reader(fuser, node->out[0]), "Mul", true, 0.5);
    if (half < 0)
        return false;
    const int parts[] = {s, erf, more, mul, half};
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        fuse_append(chain, parts[i], out_of(fuser, parts[i]));
    return true;
}

void fuse_gelu(Fuser *fuser, int s)
{
    enum { GELU_OPSET = 20 };
    const OpDef *def = op_find("", "Gelu", GELU_OPSET);
    Chain chain = {.n = 0};
    if (def == NULL || (!fuse_is_step(fuser, s, "", "Div") && !fuse_is_step(fuser, s, "", "Mul")) || !match_gelu(fuser, s, &chain))
        return;
    const Node *first = fuser->plan->steps[s].node;
    Node *node = fuse_new_node(fuser, first, def, 1, 0, chain.out);
    node->opset = GELU_OPSET;
    node->in[0] = first->in[0];
    fuse_join(fuser, &chain, node);
}

/* ---- LayerNormalization -------------------------------------------------------------------------------------------- */

static const Node *node_at(const Fuser *fuser, int s)
{
    return fuser->plan->steps[s].node;
}

/* A mean over the last axis alone that stays as an axis of 1. */
static bool is_row_mean(const Fuser *fuser, int s)
{
    if (!fuse_is_step(fuser, s, "", "ReduceMean"))
        return false;
    const Node *node = node_at(fuser, s);
    int rank = node->in[0] == NULL ? -1 : node->in[0]->type.shape.rank;
    const Tensor *given = node_constant(node, 1);
    int64_t n = 0, axis = 0;
    const int64_t *axes = node_ints(node, "axes", &n);
    if (axes != NULL && n == 1 && node_in(node, 1) == NULL)
        axis = axes[0];
    else if (given != NULL && given->dtype == DT_INT64 && given->count == 1)
        axis = tensor_get_int(given, 0);
    else
        return false;
    return rank > 0 && (axis == -1 || axis == rank - 1) && node_int(node, "keepdims", 1) != 0;
}

/* The step that squares d, where nobody but it and one more reads d; -1: none. */
static int find_square(const Fuser *fuser, const Value *d)
{
    for (size_t u = 0; u < d->n_uses; u++) {
        const Node *node = d->uses[u].node;
        bool pow = node_is(node, "Pow") && node->in[0] == d && is_number(node->in[1], 2);
        bool mul = node_is(node, "Mul") && node->in[0] == d && node->in[1] == d;
        int s = node->out[0] == NULL ? -1 : fuser->producer[node->out[0]->id];
        if ((pow || mul) && fuser->readers[d->id] == (pow ? 2 : 3) && s >= 0 && node_at(fuser, s) == node &&
            fuse_is_step(fuser, s, "", node->op_type))
            return s;
    }
    return -1;
}

static int reader_that_is(const Fuser *fuser, int s, const char *op_type)
{
    int reader = s < 0 ? -1 : fuse_only_reader(fuser, out_of(fuser, s));
    return fuse_is_step(fuser, reader, "", op_type) ? reader : -1;
}

/* The other input of a step of two, where one is the result of step s. */
static Value *other_input(const Fuser *fuser, int step, int s)
{
    const Node *node = node_at(fuser, step);
    return node->n_in != 2 || node->opset < 7 ? NULL : node->in[node->in[0] == out_of(fuser, s) ? 1 : 0];
}

void fuse_norm(Fuser *fuser, int s)
{
    enum { NORM_OPSET = 17 };
    const OpDef *def = op_find("", "LayerNormalization", NORM_OPSET);
    if (def == NULL || !is_row_mean(fuser, s))
        return;
    Value *x = node_at(fuser, s)->in[0];
    int sub = reader_that_is(fuser, s, "Sub");
    if (x->type.dtype != DT_FLOAT || sub < 0 || node_at(fuser, sub)->in[0] != x || node_at(fuser, sub)->in[1] != out_of(fuser, s))
        return;
    const Value *d = out_of(fuser, sub);
    int square = find_square(fuser, d), mean = reader_that_is(fuser, square, "ReduceMean");
    int add = is_row_mean(fuser, mean) ? reader_that_is(fuser, mean, "Add") : -1;
    int root = reader_that_is(fuser, add, "Sqrt"), div = reader_that_is(fuser, root, "Div");
    int mul = reader_that_is(fuser, div, "Mul"), end = reader_that_is(fuser, mul, "Add");
    if (end < 0 || node_at(fuser, div)->in[0] != d)
        return;
    Value *epsilon = other_input(fuser, add, mean), *scale = other_input(fuser, mul, div), *bias = other_input(fuser, end, mul);
    const Tensor *small = epsilon == NULL ? NULL : epsilon->constant;
    Dim n = x->type.shape.dims[x->type.shape.rank - 1];
    if (small == NULL || small->dtype != DT_FLOAT || small->count != 1 || scale == NULL || bias == NULL || !dim_is_known(n) ||
        !is_row(scale, n.size, x->type.shape.rank) || !is_row(bias, n.size, x->type.shape.rank))
        return;
    const int parts[] = {s, sub, square, mean, add, root, div, mul, end};
    Chain chain = {.n = 0};
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        fuse_append(&chain, parts[i], out_of(fuser, parts[i]));
    Node *node = fuse_new_node(fuser, node_at(fuser, s), def, 3, 1, chain.out);
    node->opset = NORM_OPSET;
    node->in[0] = x;
    node->in[1] = scale;
    node->in[2] = bias;
    node->attrs[node->n_attrs++] = (Attr){.name = "epsilon", .kind = ATTR_FLOAT, .n = 1, .f = (float)tensor_get(small, 0)};
    fuse_join(fuser, &chain, node);
}
