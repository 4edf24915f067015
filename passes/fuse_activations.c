/* fuse_activations.c - activations that exporters write out become the op.
 *
 *     1 / (1 + Exp(-x)),  Exp(x) / (1 + Exp(x)),  (1 + Tanh(x / 2)) / 2      ->      Sigmoid(x)
 *     Log(1 + Exp(x)),  Relu(x) + Log(1 + Exp(-|x|))                         ->      Softplus(x)
 *     x / (1 + |x|)                                                          ->      Softsign(x)
 *     Max(x, -x),  Sqrt(x^2),  Relu(x) + Relu(-x)                            ->      Abs(x)
 *     Relu(x) + Min(0, a (Exp(x / a) - 1))                                   ->      Celu(x), Elu(x) where a = 1
 *     Relu(x) + a (Exp(Min(x, 0)) - 1)                                       ->      Elu(x)
 *     Relu(x) - a Relu(-x),  Relu(x) + a Min(x, 0),  .. + a/2 (x - |x|)      ->      LeakyRelu(x), PRelu(x, a)
 *     Max(x, a x), 0 <= a <= 1;  PRelu(x, a), all of a equal                 ->      LeakyRelu(x)
 *     Pow(x, 0.5),  Pow(x, -1),  1 / x                                       ->      Sqrt(x),  Reciprocal(x)
 *
 * Sums and products in whatever order. The forms with Where stand in fuse_where.c, GELU and Mish in fuse_gelu.c.
 */
#include "passes/match.h"

#include "src/ops/ops.h"

#include <math.h>
#include <string.h>

/* The operand of a sum or product of two that this op makes; *ret_other is the other one. */
static Node *operand(const Node *node, const char *op_type, Value **ret_other)
{
    for (int i = 0; node->n_in == 2 && i < 2; i++) {
        Node *made = match_maker(node->in[i], op_type);
        if (made == NULL || node->in[1 - i] == NULL)
            continue;
        *ret_other = node->in[1 - i];
        return made;
    }
    return NULL;
}

/* scale f + shift, f made by this op; f's node. */
static Node *affine_of(const Value *value, const char *op_type, double scale, double shift)
{
    double a, b;
    Value *other;
    const Node *outer = value == NULL ? NULL : value->producer;
    if (outer == NULL || value->n_outputs > 0 || outer->n_in != 2)
        return NULL;
    Node *inner = operand(outer, op_type, &other);
    for (int i = 0; inner == NULL && i < 2; i++) {
        const Node *below = node_in(outer, i) == NULL ? NULL : outer->in[i]->producer;
        inner = below == NULL || below->n_in != 2 ? NULL : operand(below, op_type, &other);
    }
    if (inner == NULL || !match_affine(value, inner->out[0], &a, &b) || !match_is_close(a, scale) ||
        !match_is_close(b, shift))
        return NULL;
    return inner;
}

static Value *match_sigmoid(const Node *node)
{
    double v, shift;
    const Value *below = NULL;
    if (node_is(node, "Reciprocal") || (node_is(node, "Div") && pass_is_scalar_constant(node->in[0], &v) && v == 1 &&
                                        node->in[0]->constant->rank == 0))
        below = node->in[node->n_in - 1];
    const Node *exp = affine_of(below, "Exp", 1, 1);
    if (exp != NULL)
        return match_negated(exp->in[0]);
    if (node_is(node, "Div") && (exp = match_maker(node->in[0], "Exp")) != NULL &&
        match_affine(node->in[1], exp->out[0], &v, &shift) && v == 1 && shift == 1)
        return exp->in[0];
    return NULL;
}

/* (1 + Tanh(x / 2)) / 2; node makes `value`, a graph output or not. */
static Value *match_tanh(const Node *node)
{
    double scale, shift;
    Value *other;
    const Node *tanh = operand(node, "Tanh", &other);
    for (int i = 0; tanh == NULL && i < 2; i++) {
        const Node *below = node->in[i] == NULL ? NULL : node->in[i]->producer;
        tanh = below == NULL || below->n_in != 2 || node->in[i]->n_outputs > 0 ? NULL : operand(below, "Tanh", &other);
    }
    const Node *half = tanh == NULL || tanh->in[0] == NULL ? NULL : tanh->in[0]->producer;
    if (half == NULL || half->n_in != 2 || half->in[0] == NULL || half->in[1] == NULL)
        return NULL;
    int data = match_scalar_operand(half, &scale);
    if (data < 0 || !match_affine(tanh->in[0], half->in[data], &scale, &shift) || scale != 0.5 || shift != 0)
        return NULL;
    /* The node itself may be a graph output, so its operands are looked at. */
    double p[2], q[2];
    if (!match_affine(node->in[0], tanh->out[0], &p[1], &p[0]) || !match_affine(node->in[1], tanh->out[0], &q[1], &q[0]))
        return NULL;
    if (node_is(node, "Add") && p[0] + q[0] == 0.5 && p[1] + q[1] == 0.5)
        return half->in[data];
    if (node_is(node, "Mul") && p[0] * q[0] == 0.5 && p[0] * q[1] + p[1] * q[0] == 0.5 && p[1] * q[1] == 0)
        return half->in[data];
    return node_is(node, "Div") && q[1] == 0 && q[0] == 2 && p[0] == 1 && p[1] == 1 ? half->in[data] : NULL;
}

/* x of Log(1 + Exp(x)). */
static Value *match_softplus(const Node *log)
{
    const Node *exp = log == NULL || !node_is(log, "Log") ? NULL : affine_of(log->in[0], "Exp", 1, 1);
    return exp == NULL ? NULL : exp->in[0];
}

static Value *match_stable_softplus(const Node *node)
{
    for (int i = 0; i < 2; i++) {
        Value *x = match_relu(node->in[i]);
        const Node *log = match_maker(node->in[1 - i], "Log"), *fused = match_maker(node->in[1 - i], "Softplus");
        const Value *below = fused != NULL ? fused->in[0] : match_softplus(log);
        const Node *abs = below == NULL ? NULL : match_maker(match_negated(below), "Abs");
        if (x != NULL && abs != NULL && abs->in[0] == x)
            return x;
    }
    return NULL;
}

static Value *match_softsign(const Node *node)
{
    Value *x = node->in[0];
    const Node *abs = affine_of(node->in[1], "Abs", 1, 1);
    return abs != NULL && abs->in[0] == x ? x : NULL;
}

static Value *match_abs(const Node *node)
{
    double exponent;
    if (node_is(node, "Sqrt")) {
        const Node *mul = match_maker(node->in[0], "Mul"), *pow = match_maker(node->in[0], "Pow");
        if (mul != NULL && mul->in[0] == mul->in[1])
            return mul->in[0];
        return pow != NULL && match_scalar_operand(pow, &exponent) == 0 && exponent == 2 ? pow->in[0] : NULL;
    }
    for (int i = 0; node->n_in == 2 && i < 2; i++) {
        Value *x = node_is(node, "Max") ? node->in[i] : match_relu(node->in[i]);
        Value *other = node_is(node, "Max") ? node->in[1 - i] : match_relu(node->in[1 - i]);
        if (x != NULL && other != NULL && match_negated(other) == x)
            return x;
    }
    return NULL;
}

/* value = a (Exp(below) - 1) */
static const Value *match_exp_minus_one(const Value *value, double *ret_a)
{
    double scale, shift;
    Value *other;
    const Node *outer = value == NULL ? NULL : value->producer, *exp = NULL;
    if (outer == NULL || outer->n_in != 2)
        return NULL;
    exp = operand(outer, "Exp", &other);
    for (int i = 0; exp == NULL && i < 2; i++) {
        const Node *below = outer->in[i] == NULL ? NULL : outer->in[i]->producer;
        exp = below == NULL || below->n_in != 2 ? NULL : operand(below, "Exp", &other);
    }
    if (exp == NULL || !match_affine(value, exp->out[0], &scale, &shift) || scale <= 0 || !match_is_close(shift, -scale))
        return NULL;
    *ret_a = scale;
    return exp->in[0];
}

static Value *match_min_zero(const Value *value)
{
    double v;
    const Node *min = match_maker(value, "Min");
    int data = min == NULL ? -1 : match_scalar_operand(min, &v);
    return data >= 0 && v == 0 ? min->in[data] : NULL;
}

static Value *match_elu(const Node *node, bool *ret_celu, double *ret_a)
{
    double scale, shift;
    for (int i = 0; i < 2; i++) {
        Value *x = match_relu(node->in[i]);
        if (x == NULL)
            continue;
        *ret_celu = false;
        const Value *below = match_exp_minus_one(node->in[1 - i], ret_a);
        if (below != NULL && match_min_zero(below) == x)
            return x;
        below = match_exp_minus_one(match_min_zero(node->in[1 - i]), ret_a);
        if (below == NULL || !match_affine(below, x, &scale, &shift) || shift != 0 || !match_is_close(scale * *ret_a, 1))
            continue;
        *ret_celu = *ret_a != 1;
        return x;
    }
    return NULL;
}

/* ---- slopes -------------------------------------------------------------------------------------------------------- */

/* Min(x, 0) times *factor: Min(x, 0) itself, -Relu(-x), or (x - |x|) / 2. */
static Value *match_negative_part(const Value *value, double *factor)
{
    Value *x = match_min_zero(value);
    const Node *sub = match_maker(value, "Sub");
    *factor = 1;
    if (x != NULL)
        return x;
    *factor = -1;
    if ((x = match_relu(value)) != NULL)
        return match_negated(x);
    *factor = 2;
    const Node *abs = sub == NULL ? NULL : match_maker(sub->in[1], "Abs");
    return abs != NULL && abs->in[0] == sub->in[0] ? abs->in[0] : NULL;
}

typedef struct Slope {
    Value *x;
    const Tensor *constant; /* NULL: the factor alone */
    double factor;
} Slope;

/* Min(x, 0) * factor * constant. */
static bool match_slope(const Value *value, Slope *ret)
{
    double v, part;
    *ret = (Slope){NULL, NULL, 1};
    for (int depth = 0; value != NULL && depth < 5; depth++) {
        ret->x = match_negative_part(value, &part);
        if (ret->x != NULL) {
            ret->factor *= part;
            return true;
        }
        const Node *node = value->n_outputs == 0 ? value->producer : NULL;
        if (node == NULL || node->n_out != 1)
            return false;
        int data = match_scalar_operand(node, &v);
        if (node_is(node, "Neg")) {
            ret->factor = -ret->factor;
            value = node->in[0];
        } else if (data >= 0 && (node_is(node, "Mul") || (node_is(node, "Div") && data == 0 && v != 0))) {
            ret->factor *= node_is(node, "Mul") ? v : 1 / v;
            value = node->in[data];
        } else if (node_is(node, "Mul") && ret->constant == NULL) {
            int i = pass_constant(node, 0) != NULL ? 0 : 1;
            ret->constant = pass_constant(node, i);
            value = node->in[1 - i];
            if (ret->constant == NULL || ret->constant->dtype != DT_FLOAT)
                return false;
        } else {
            return false;
        }
    }
    return false;
}

static Status replace_by_slope(PassContext *context, Node *node, const Slope *slope)
{
    if (slope->constant == NULL)
        return match_replace_unary(context, node, "LeakyRelu", slope->x, "alpha", slope->factor);
    const Tensor *from = slope->constant;
    Tensor *to;
    TRY(tensor_new(context->model->arena, DT_FLOAT, from->rank, from->dims, &to));
    for (int64_t i = 0; i < to->count; i++)
        ((float *)to->data)[i] = (float)(slope->factor * (double)((const float *)from->data)[i]);
    Value *in[2] = {slope->x, graph_add_constant(node->graph, model_fresh_name(context->model, "slope"), to)};
    Node *made = pass_add_node(node->graph, node, "PRelu", node->name, 2, in);
    TRY(ops_infer_node(made));
    ++*context->changes;
    return pass_replace_node(node, made->out[0]);
}

static Status fuse_slope(PassContext *context, Node *node)
{
    Slope slope;
    for (int i = 0; i < (node_is(node, "Sub") ? 1 : 2); i++) {
        const Value *x = match_relu(node->in[i]);
        if (x == NULL || !match_slope(node->in[1 - i], &slope) || slope.x != x || x->graph != node->graph)
            continue;
        if (node_is(node, "Sub"))
            slope.factor = -slope.factor;
        if (isfinite((float)slope.factor) && (slope.constant == NULL || match_fits_into(slope.constant, &x->type.shape)))
            return replace_by_slope(context, node, &slope);
    }
    return NULL;
}

static Status fuse_prelu(PassContext *context, Node *node)
{
    const Tensor *slope = pass_constant(node, 1);
    Shape shape = infer_shape(node, 0);
    if (slope == NULL || slope->dtype != DT_FLOAT || slope->count == 0 || !match_fits_into(slope, &shape))
        return NULL;
    const float *a = slope->data;
    for (int64_t i = 1; i < slope->count; i++)
        if (a[i] != a[0])
            return NULL;
    return match_replace_unary(context, node, "LeakyRelu", node->in[0], "alpha", (double)a[0]);
}

static Status fuse_max(PassContext *context, Node *node)
{
    double scale, shift;
    for (int i = 0; node->n_in == 2 && i < 2; i++) {
        Value *x = node->in[1 - i];
        const Node *mul = match_own(node->in[i], "Mul", node);
        if (mul != NULL && x != NULL && match_affine(mul->out[0], x, &scale, &shift) && shift == 0 && scale >= 0 && scale <= 1)
            return match_replace_unary(context, node, "LeakyRelu", x, "alpha", scale);
    }
    return NULL;
}

/* ---- the pass ------------------------------------------------------------------------------------------------------ */

static Status fuse_pow(PassContext *context, Node *node)
{
    double v;
    if (match_scalar_operand(node, &v) != (node_is(node, "Div") ? 1 : 0))
        return NULL;
    if (node_is(node, "Pow") && v == 0.5)
        return match_replace_unary(context, node, "Sqrt", node->in[0], NULL, 0);
    if (v == (node_is(node, "Div") ? 1 : -1))
        return match_replace_unary(context, node, "Reciprocal", node->in[node_is(node, "Div") ? 1 : 0], NULL, 0);
    return NULL;
}

static Status fuse_sum(PassContext *context, Node *node)
{
    bool celu;
    double a;
    Value *x = match_tanh(node);
    if (x != NULL)
        return match_replace_unary(context, node, "Sigmoid", x, NULL, 0);
    if ((x = match_stable_softplus(node)) != NULL)
        return match_replace_unary(context, node, "Softplus", x, NULL, 0);
    if ((x = match_abs(node)) != NULL)
        return match_replace_unary(context, node, "Abs", x, NULL, 0);
    if ((x = match_elu(node, &celu, &a)) != NULL)
        return match_replace_unary(context, node, celu ? "Celu" : "Elu", x, "alpha", a);
    return fuse_slope(context, node);
}

static Status visit(PassContext *context, Node *node)
{
    Value *x = NULL;
    if (node->domain[0] != '\0' || node->n_out != 1 || node->out[0] == NULL || !value_is_float(node->out[0]) ||
        node->n_in < 1 || node->in[0] == NULL || node->in[node->n_in - 1] == NULL)
        return NULL;
    if (node_is(node, "Add") && node->n_in == 2)
        return fuse_sum(context, node);
    if (node_is(node, "Sub") && node->n_in == 2)
        return fuse_slope(context, node);
    if (node_is(node, "PRelu"))
        return fuse_prelu(context, node);
    if (node_is(node, "Max") && (x = match_abs(node)) == NULL)
        return fuse_max(context, node);
    if (node_is(node, "Sqrt") || node_is(node, "Max"))
        return (x = match_abs(node)) == NULL ? NULL : match_replace_unary(context, node, "Abs", x, NULL, 0);
    if (node_is(node, "Log"))
        return (x = match_softplus(node)) == NULL ? NULL : match_replace_unary(context, node, "Softplus", x, NULL, 0);
    if (node_is(node, "Div") || node_is(node, "Reciprocal"))
        x = match_sigmoid(node);
    if (x == NULL && (node_is(node, "Div") || node_is(node, "Mul")) && node->n_in == 2)
        x = match_tanh(node);
    if (x != NULL)
        return match_replace_unary(context, node, "Sigmoid", x, NULL, 0);
    if (node_is(node, "Div") && (x = match_softsign(node)) != NULL)
        return match_replace_unary(context, node, "Softsign", x, NULL, 0);
    return node_is(node, "Pow") || node_is(node, "Div") ? fuse_pow(context, node) : NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fuse_activations = {
    .name = "fuse_activations",
    .stage = PASS_SIMPLIFY,
    .ops = "Add Sub PRelu Max Sqrt Log Div Reciprocal Mul Pow",
    .summary = "Sigmoid, Softplus, Softsign, Abs, Elu, Celu, LeakyRelu, PRelu written out become the op",
    .run = run,
};
