/* eliminate_einsum.c - an Einsum of one or two operands becomes MatMul, Mul, ReduceSum and the Transposes they need.
 *
 *     "ij->ji"               ->      Transpose                      "bij->bj"          ->      ReduceSum
 *     "bij,bjk->bik"         ->      MatMul                         "bij,bij->bij"     ->      Mul
 *     "bqhd,bkhd->bhqk"      ->      Transpose, Transpose, MatMul   "bi,bi->b"         ->      Mul, ReduceSum
 *     "bsd,dhe->bshe"        ->      Reshape of the second to d x he, MatMul, Reshape
 *
 * Letters: batch - in both and in the result; rows - in the left only; columns - in the right only; inner - in both and
 * summed. MatMul wants left: batch rows inner, right: batch inner columns. Either operand may be the left one; the order that
 * needs the fewest nodes is taken, with a constant on the right, where it has an integer form. A letter twice in a
 * term (a diagonal), one that is summed over one operand of two alone, and three operands stay.
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

#include <ctype.h>
#include <string.h>

#define LEFT_CONSTANT_COST 3 /* nodes that a constant on the right is worth */

typedef struct Term {
    int n;
    char label[TENSOR_MAX_RANK]; /* letters; '0' + k: axis k of the ellipsis, counted from the last */
} Term;

typedef struct Side {
    Value *value;
    Term term;
    Dim dims[TENSOR_MAX_RANK];
} Side;

typedef struct Sum {
    Node *node;
    Side side[2];
    int n_sides;
    Term out;
} Sum;

/* ---- reading ------------------------------------------------------------------------------------------------------- */

static bool has(const Term *term, char label)
{
    return memchr(term->label, label, (size_t)term->n) != NULL;
}

static bool push(Term *term, char label)
{
    if (term->n == TENSOR_MAX_RANK || has(term, label))
        return false;
    term->label[term->n++] = label;
    return true;
}

/* One term; its ellipsis stands for `spare` axes. NULL when it is malformed or has a letter twice. */
static const char *read_term(const char *s, int spare, Term *ret)
{
    bool ellipsis = false;
    ret->n = 0;
    for (; *s != '\0' && *s != ',' && *s != '-'; s++) {
        if (*s == ' ')
            continue;
        if (*s == '.' && s[1] == '.' && s[2] == '.' && !ellipsis) {
            for (int k = spare - 1; k >= 0; k--)
                if (!push(ret, (char)('0' + k)))
                    return NULL;
            ellipsis = true;
            s += 2;
        } else if (!isalpha((unsigned char)*s) || !push(ret, *s)) {
            return NULL;
        }
    }
    return s;
}

static int count_letters(const char *s)
{
    int n = 0;
    for (; *s != '\0' && *s != ',' && *s != '-'; s++)
        n += isalpha((unsigned char)*s) != 0;
    return n;
}

/* Without "->": the axes of the ellipsis, then the letters that stand once, in the order of the alphabet. */
static void implicit_output(Sum *sum, int spare)
{
    sum->out.n = 0;
    for (int k = spare - 1; k >= 0; k--)
        (void)push(&sum->out, (char)('0' + k));
    for (int c = 'A'; c <= 'z'; c++) {
        int n = 0;
        for (int i = 0; i < sum->n_sides; i++)
            n += isalpha(c) && has(&sum->side[i].term, (char)c);
        if (n == 1)
            (void)push(&sum->out, (char)c);
    }
}

static bool read_sum(Node *node, Sum *ret)
{
    const char *s = node_string(node, "equation", "");
    int spare = 0;
    if (!node_is(node, "Einsum") || node->n_in < 1 || node->n_in > 2 || node->out[0] == NULL || !value_is_float(node->out[0]))
        return false;
    *ret = (Sum){.node = node, .n_sides = node->n_in};
    for (int i = 0; i < node->n_in; i++) {
        Side *side = &ret->side[i];
        Shape shape = infer_shape(node, i);
        int own = shape.rank - count_letters(s);
        side->value = node->in[i];
        if (side->value == NULL || shape.rank < 0 || own < 0 || own > 9 || (s = read_term(s, own, &side->term)) == NULL ||
            side->term.n != shape.rank)
            return false;
        memcpy(side->dims, shape.dims, sizeof(side->dims));
        spare = MAX(spare, own);
        if (i + 1 < node->n_in && *s++ != ',')
            return false;
    }
    if (*s == '\0') {
        implicit_output(ret, spare);
        return true;
    }
    if (s[0] != '-' || s[1] != '>' || (s = read_term(s + 2, spare, &ret->out)) == NULL || *s != '\0')
        return false;
    for (int k = 0; k < spare; k++) /* axes of an ellipsis are not summed */
        if (!has(&ret->out, (char)('0' + k)))
            return false;
    for (int k = 0; k < ret->out.n; k++)
        if (!has(&ret->side[0].term, ret->out.label[k]) && (ret->n_sides < 2 || !has(&ret->side[1].term, ret->out.label[k])))
            return false;
    return true;
}

static Dim dim_of(const Sum *sum, char label)
{
    Dim found = DIM_UNKNOWN;
    for (int i = 0; i < sum->n_sides; i++)
        for (int k = 0; k < sum->side[i].term.n; k++)
            if (sum->side[i].term.label[k] == label && !dim_is_known(found))
                found = sum->side[i].dims[k];
    return found;
}

/* The two operands disagree about a size: it would broadcast, and a sum over it is no product of matrices. */
static bool sizes_differ(const Sum *sum)
{
    const Side *a = &sum->side[0], *b = &sum->side[1];
    for (int i = 0; i < a->term.n; i++)
        for (int k = 0; k < b->term.n; k++)
            if (a->term.label[i] == b->term.label[k] && dim_is_known(a->dims[i]) && dim_is_known(b->dims[k]) &&
                a->dims[i].size != b->dims[k].size)
                return true;
    return false;
}

/* ---- making nodes -------------------------------------------------------------------------------------------------- */

static Status emit(Node *sum, const char *op_type, int n_in, Value *const *in, const char *list, const int64_t *values, int n,
                   Value **ret)
{
    Node *made = pass_add_node(sum->graph, sum, op_type, sum->name, n_in, in);
    if (list != NULL)
        node_set_ints(made, list, values, n);
    TRY(ops_infer_node(made));
    *ret = made->out[0];
    return NULL;
}

/* As emit, for ops that take their list as input 1: Reshape, Unsqueeze, Squeeze. */
static Status emit_with(Node *sum, const char *op_type, Value *x, const int64_t *values, int n, Value **ret)
{
    return emit(sum, op_type, 2, (Value *[]){x, graph_add_ints(sum->graph, "list", n, values)}, NULL, NULL, 0, ret);
}

static bool same_term(const Term *a, const Term *b)
{
    return a->n == b->n && memcmp(a->label, b->label, (size_t)a->n) == 0;
}

static Status transpose(Node *sum, Value *x, const Term *from, const Term *to, Value **ret)
{
    int64_t perm[TENSOR_MAX_RANK];
    *ret = x;
    if (same_term(from, to))
        return NULL;
    for (int i = 0; i < to->n; i++)
        perm[i] = (const char *)memchr(from->label, to->label[i], (size_t)from->n) - from->label;
    return emit(sum, "Transpose", 1, &x, "perm", perm, to->n, ret);
}

/* Sums the axes of the labels that are not in `kept`; `all` is then without them. */
static Status reduce(Node *sum, Value *x, Term *all, const Term *kept, Value **ret)
{
    int64_t axes[TENSOR_MAX_RANK];
    int n = 0, left = 0;
    for (int i = 0; i < all->n; i++) {
        if (has(kept, all->label[i]))
            all->label[left++] = all->label[i];
        else
            axes[n++] = i;
    }
    all->n = left;
    *ret = x;
    if (n == 0)
        return NULL;
    Value *in[2] = {x, graph_add_ints(sum->graph, "list", n, axes)};
    Node *made = pass_add_node(sum->graph, sum, "ReduceSum", sum->name, 2, in);
    node_set_int(made, "keepdims", 0);
    *ret = made->out[0];
    return ops_infer_node(made);
}

/* ---- products of matrices ------------------------------------------------------------------------------------------ */

typedef struct Groups {
    Term batch, rows, columns, inner;
} Groups;

static bool read_groups(const Sum *sum, Groups *ret)
{
    const Term *a = &sum->side[0].term, *b = &sum->side[1].term, *y = &sum->out;
    *ret = (Groups){.batch = {.n = 0}};
    for (int i = 0; i < y->n; i++) {
        char label = y->label[i];
        Term *group = has(a, label) ? has(b, label) ? &ret->batch : &ret->rows : &ret->columns;
        (void)push(group, label);
    }
    for (int i = 0; i < a->n; i++) {
        if (!has(b, a->label[i]) && !has(y, a->label[i]))
            return false;
        if (has(b, a->label[i]) && !has(y, a->label[i]))
            (void)push(&ret->inner, a->label[i]);
    }
    for (int i = 0; i < b->n; i++)
        if (!has(a, b->label[i]) && !has(y, b->label[i]))
            return false;
    return true;
}

static Term join(const Term *a, const Term *b, const Term *c)
{
    Term ret = *a;
    for (int i = 0; i < b->n; i++)
        (void)push(&ret, b->label[i]);
    for (int i = 0; i < c->n; i++)
        (void)push(&ret, c->label[i]);
    return ret;
}

/* The target of a Reshape to one axis a group, or back; with more than one size of -1 it cannot be said. */
typedef struct Axes {
    int n, unknown;
    bool leading; /* axes so far stand where they stood */
    int64_t dims[TENSOR_MAX_RANK];
} Axes;

static void add_axis(const Sum *sum, Axes *target, const char *labels, int n, bool in_place)
{
    int64_t size = 1;
    for (int i = 0; i < n && size >= 0; i++) {
        Dim dim = dim_of(sum, labels[i]);
        if (!dim_is_known(dim) || dim.size == 0 || __builtin_mul_overflow(size, dim.size, &size))
            size = -1;
    }
    if (size < 0 && in_place && target->leading)
        size = 0; /* copied */
    target->leading = target->leading && in_place;
    target->unknown += size < 0;
    target->dims[target->n++] = size;
}

static void add_group(const Sum *sum, Axes *target, const Term *group, bool as_one)
{
    if (as_one) {
        add_axis(sum, target, group->label, group->n, group->n == 1);
        return;
    }
    for (int i = 0; i < group->n; i++)
        add_axis(sum, target, &group->label[i], 1, true);
}

typedef struct Product {
    Groups g;
    Term left, right, out; /* as MatMul has them */
    bool join_left, join_right, widen_left, widen_right; /* Reshape to one axis a group; a size of 1 for no rows or columns */
    Axes left_target, right_target, out_target;
    int cost;
} Product;

static bool is_constant(const Side *side)
{
    return pass_value_is_constant(side->value);
}

static bool plan_product(const Sum *sum, Product *ret)
{
    *ret = (Product){.cost = 1};
    if (!read_groups(sum, &ret->g) || ret->g.inner.n == 0)
        return false;
    Groups *g = &ret->g;
    ret->left = join(&g->batch, &g->rows, &g->inner);
    ret->right = join(&g->batch, &g->inner, &g->columns);
    ret->out = join(&g->batch, &g->rows, &g->columns);
    bool join_rows = g->batch.n > 0 && g->rows.n > 1;
    ret->join_left = join_rows || g->inner.n > 1;
    ret->join_right = g->columns.n > 1 || g->inner.n > 1;
    ret->widen_left = g->rows.n == 0 && g->batch.n > 0;
    ret->widen_right = g->columns.n == 0 && g->batch.n > 0;
    if ((ret->widen_left && ret->widen_right) || (ret->join_left && ret->widen_left) || (ret->join_right && ret->widen_right))
        return false;
    ret->left_target.leading = ret->right_target.leading = ret->out_target.leading = true;
    add_group(sum, &ret->left_target, &g->batch, false);
    if (g->rows.n > 0)
        add_group(sum, &ret->left_target, &g->rows, join_rows);
    add_group(sum, &ret->left_target, &g->inner, true);
    add_group(sum, &ret->right_target, &g->batch, false);
    add_group(sum, &ret->right_target, &g->inner, true);
    if (g->columns.n > 0)
        add_group(sum, &ret->right_target, &g->columns, true);
    bool split = join_rows || g->columns.n > 1;
    add_group(sum, &ret->out_target, &g->batch, false);
    ret->out_target.leading = ret->out_target.leading && !join_rows;
    add_group(sum, &ret->out_target, &g->rows, false);
    ret->out_target.leading = false;
    add_group(sum, &ret->out_target, &g->columns, false);
    if ((ret->join_left && ret->left_target.unknown > 1) || (ret->join_right && ret->right_target.unknown > 1) ||
        (split && ret->out_target.unknown > 1))
        return false;
    if (!is_constant(&sum->side[0]))
        ret->cost += !same_term(&sum->side[0].term, &ret->left) + ret->join_left + ret->widen_left;
    else
        ret->cost += LEFT_CONSTANT_COST;
    if (!is_constant(&sum->side[1]))
        ret->cost += !same_term(&sum->side[1].term, &ret->right) + ret->join_right + ret->widen_right;
    ret->cost += split + !same_term(&ret->out, &sum->out) + (ret->widen_left || ret->widen_right);
    return true;
}

static Status make_product(const Sum *sum, const Product *p, Value **ret)
{
    Value *in[2];
    const Groups *g = &p->g;
    int64_t axis = g->batch.n + (p->widen_right ? g->inner.n : 0);
    TRY(transpose(sum->node, sum->side[0].value, &sum->side[0].term, &p->left, &in[0]));
    TRY(transpose(sum->node, sum->side[1].value, &sum->side[1].term, &p->right, &in[1]));
    if (p->join_left)
        TRY(emit_with(sum->node, "Reshape", in[0], p->left_target.dims, p->left_target.n, &in[0]));
    if (p->join_right)
        TRY(emit_with(sum->node, "Reshape", in[1], p->right_target.dims, p->right_target.n, &in[1]));
    if (p->widen_left)
        TRY(emit_with(sum->node, "Unsqueeze", in[0], &axis, 1, &in[0]));
    if (p->widen_right)
        TRY(emit_with(sum->node, "Unsqueeze", in[1], &axis, 1, &in[1]));
    TRY(emit(sum->node, "MatMul", 2, in, NULL, NULL, 0, ret));
    if (p->widen_left || p->widen_right) { /* rows or columns of 1 */
        axis = p->widen_left ? -2 : -1;
        TRY(emit_with(sum->node, "Squeeze", *ret, &axis, 1, ret));
    }
    if ((g->batch.n > 0 && g->rows.n > 1) || g->columns.n > 1)
        TRY(emit_with(sum->node, "Reshape", *ret, p->out_target.dims, p->out_target.n, ret));
    return transpose(sum->node, *ret, &p->out, &sum->out, ret);
}

/* ---- elementwise products ------------------------------------------------------------------------------------------ */

/* The operand with its axes in the order of `all`, a size of 1 for each axis it lacks behind its first. */
static Status align(const Sum *sum, const Side *side, const Term *all, Value **ret)
{
    Term own = {.n = 0};
    int64_t axes[TENSOR_MAX_RANK];
    int n = 0;
    for (int i = 0; i < all->n; i++) {
        if (has(&side->term, all->label[i])) {
            (void)push(&own, all->label[i]);
        } else if (own.n > 0) {
            axes[n] = own.n + n;
            n++;
        }
    }
    TRY(transpose(sum->node, side->value, &side->term, &own, ret));
    return n == 0 ? NULL : emit_with(sum->node, "Unsqueeze", *ret, axes, n, ret);
}

static Status make_elementwise(const Sum *sum, const Groups *g, Value **ret)
{
    Value *in[2];
    Term none = {.n = 0}, all = join(&sum->out, &g->inner, &none);
    TRY(align(sum, &sum->side[0], &all, &in[0]));
    TRY(align(sum, &sum->side[1], &all, &in[1]));
    TRY(emit(sum->node, "Mul", 2, in, NULL, NULL, 0, ret));
    return reduce(sum->node, *ret, &all, &sum->out, ret);
}

/* ---- the pass ------------------------------------------------------------------------------------------------------ */

static Status replace(PassContext *context, Node *node, Value *made)
{
    ++*context->changes;
    return pass_replace_node(node, made);
}

static Status visit_one(PassContext *context, const Sum *sum)
{
    Value *made;
    Term left = sum->side[0].term;
    TRY(reduce(sum->node, sum->side[0].value, &left, &sum->out, &made));
    TRY(transpose(sum->node, made, &left, &sum->out, &made));
    return replace(context, sum->node, made);
}

static Status visit(PassContext *context, Node *node)
{
    Sum sum, turned;
    Product a, b;
    Groups groups;
    Value *made;
    if (!read_sum(node, &sum))
        return NULL;
    if (sum.n_sides == 1)
        return visit_one(context, &sum);
    if (sizes_differ(&sum) || !read_groups(&sum, &groups) || groups.batch.n + groups.rows.n + groups.columns.n +
        groups.inner.n > TENSOR_MAX_RANK)
        return NULL;
    turned = sum;
    turned.side[0] = sum.side[1];
    turned.side[1] = sum.side[0];
    if (groups.inner.n == 0 || (groups.rows.n == 0 && groups.columns.n == 0 && groups.batch.n > 0)) {
        TRY(make_elementwise(&sum, &groups, &made));
        return replace(context, node, made);
    }
    bool first = plan_product(&sum, &a), second = plan_product(&turned, &b);
    if (!first && !second)
        return NULL;
    TRY(first && (!second || a.cost <= b.cost) ? make_product(&sum, &a, &made) : make_product(&turned, &b, &made));
    return replace(context, node, made);
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_eliminate_einsum = {
    .name = "eliminate_einsum",
    .stage = PASS_SIMPLIFY,
    .ops = "Einsum",
    .summary = "Einsum becomes MatMul, Mul, ReduceSum and the Transposes they need",
    .run = run,
};
