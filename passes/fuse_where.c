/* fuse_where.c - a choice by the sign of x that spells an activation becomes the op.
 *
 *     Where (x > 0, x, a x)                     ->      LeakyRelu (x), alpha = a; Relu where a = 0
 *     Where (x > 0, x, s x), s a constant       ->      PRelu (x, s)
 *     Where (x > 0, x, a (Exp (x) - 1))         ->      Elu (x), alpha = a
 *     Where (x > 0, x, a (Exp (x / a) - 1))     ->      Celu (x), alpha = a
 *     Where (x > 0, g x, g a (Exp (x) - 1))     ->      Selu (x), alpha = a, gamma = g
 *     Where (x > a, x, 0)                       ->      ThresholdedRelu (x), alpha = a
 *
 * At 0 both choices agree, so >= is as good as >, and < and <= choose the other way round.
 */
#include "passes/match.h"

#include "src/ops/ops.h"

#include <math.h>

typedef struct Choice {
    Value *x, *above, *below; /* above: where x > bound */
    double bound;
    bool strict; /* at the bound itself `below` is chosen */
} Choice;

static bool read_choice(const Node *node, Choice *ret)
{
    static const struct {
        const char *op_type;
        bool greater, equal;
    } rows[] = {{"Greater", true, false}, {"GreaterOrEqual", true, true}, {"Less", false, false}, {"LessOrEqual", false, true}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const Node *compare = match_maker(node->in[0], rows[i].op_type);
        int data = compare == NULL ? -1 : match_scalar_operand(compare, &ret->bound);
        if (data < 0 || compare->graph != node->graph)
            continue;
        bool greater = rows[i].greater == (data == 0);
        ret->x = compare->in[data];
        ret->above = node->in[greater ? 1 : 2];
        ret->below = node->in[greater ? 2 : 1];
        ret->strict = greater != rows[i].equal;
        return ret->above != NULL && ret->below != NULL;
    }
    return false;
}

/* below = scale * (Exp (inner) - 1) */
static const Value *match_exp(const Value *below, double *ret_scale)
{
    double shift;
    const Node *node = below->producer;
    const Node *exp = NULL;
    for (int depth = 0; node != NULL && exp == NULL && depth < 4; depth++) {
        const Node *next = NULL;
        for (int i = 0; i < node->n_in && exp == NULL; i++) {
            exp = match_maker(node->in[i], "Exp");
            if (node->in[i] != NULL && node->in[i]->producer != NULL)
                next = node->in[i]->producer;
        }
        node = next;
    }
    if (exp == NULL || !match_affine(below, exp->out[0], ret_scale, &shift) || *ret_scale == 0 ||
        !match_is_close(shift, -*ret_scale))
        return NULL;
    return exp->in[0];
}

static Status fuse_exp(PassContext *context, Node *node, const Choice *choice)
{
    double gamma, scale, inner_scale, zero;
    const Value *inner = match_exp(choice->below, &scale);
    if (inner == NULL || !match_affine(choice->above, choice->x, &gamma, &zero) || zero != 0 || !(gamma > 0) ||
        !match_affine(inner, choice->x, &inner_scale, &zero) || zero != 0)
        return NULL;
    if (gamma == 1 && inner_scale == 1)
        return match_replace_unary(context, node, "Elu", choice->x, "alpha", scale);
    if (gamma == 1)
        return scale > 0 && match_is_close(inner_scale * scale, 1)
                   ? match_replace_unary(context, node, "Celu", choice->x, "alpha", scale)
                   : NULL;
    if (inner_scale != 1)
        return NULL;
    Node *selu = pass_add_node(node->graph, node, "Selu", node->name, 1, &choice->x);
    node_set_float(selu, "alpha", (float)(scale / gamma));
    node_set_float(selu, "gamma", (float)gamma);
    TRY(ops_infer_node(selu));
    ++*context->changes;
    return pass_replace_node(node, selu->out[0]);
}

/* x times a constant that stretches to the shape of x. */
static Value *match_slope(const Value *below, const Value *x)
{
    const Node *mul = match_maker(below, "Mul");
    for (int i = 0; mul != NULL && mul->n_in == 2 && i < 2; i++) {
        const Tensor *slope = pass_constant(mul, 1 - i);
        if (mul->in[i] == x && slope != NULL && slope->dtype == DT_FLOAT && match_fits_into(slope, &x->type.shape))
            return mul->in[1 - i];
    }
    return NULL;
}

static Status visit(PassContext *context, Node *node)
{
    Choice choice;
    double scale, shift;
    if (!node_is(node, "Where") || node->n_in != 3 || node->out[0] == NULL || !value_is_float(node->out[0]) ||
        node->in[0] == NULL || !read_choice(node, &choice) || choice.x->graph != node->graph)
        return NULL;
    bool affine = match_affine(choice.below, choice.x, &scale, &shift);
    if (choice.bound != 0)
        return affine && choice.above == choice.x && choice.strict && scale == 0 && shift == 0
                   ? match_replace_unary(context, node, "ThresholdedRelu", choice.x, "alpha", choice.bound)
                   : NULL;
    if (!affine || shift != 0)
        TRY(fuse_exp(context, node, &choice));
    if (node->graph == NULL || choice.above != choice.x)
        return NULL;
    if (affine && shift == 0)
        return scale == 0 ? match_replace_unary(context, node, "Relu", choice.x, NULL, 0)
                          : match_replace_unary(context, node, "LeakyRelu", choice.x, "alpha", scale);
    Value *in[2] = {choice.x, match_slope(choice.below, choice.x)};
    if (in[1] == NULL)
        return NULL;
    Node *prelu = pass_add_node(node->graph, node, "PRelu", node->name, 2, in);
    TRY(ops_infer_node(prelu));
    ++*context->changes;
    return pass_replace_node(node, prelu->out[0]);
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fuse_where = {
    .name = "fuse_where",
    .stage = PASS_SIMPLIFY,
    .ops = "Where",
    .summary = "a Where by the sign of x that spells LeakyRelu, PRelu, Elu, Celu or Selu becomes the op",
    .run = run,
};
