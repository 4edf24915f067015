/* fuse_float.c - joins floats that a transformer would send through memory once more: the bias of a product, and GELU written out.
 *
 *     a, b ─ MatMul ─ Add c ─ y                        ==>   a, b, c ─ BiasedMatMul ─ y      c constant, one number a column
 *     a, b ─ MatMulIntegerToFloat ─ Add c ─ y          ==>   the same op, c as its bias
 *     x ─┬─ Div sqrt(2) ─ Erf ─ Add 1 ─┐
 *        └──────────────────────────── Mul ─ Mul 1/2   ==>   x ─ Gelu ─ y
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
    if (x == NULL || x->constant != NULL || x->type.dtype != DT_FLOAT || fuser->readers[x->id] != 2 ||
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
