/* fuse_gelu.c - activations that are written out become the op, where the opset has it.
 *
 *     x * (1 + Erf(x / sqrt 2)) * 0.5                              ->      Gelu(x)                  opset 20
 *     x * (1 + Tanh(sqrt(2/pi) (x + 0.044715 x^3))) * 0.5          ->      Gelu(x), tanh            opset 20
 *     x * Tanh(Softplus(x))                                        ->      Mish(x)                  opset 18
 *
 * In whatever order and place the factor 0.5 stands; with 1 - Erf(-x / sqrt 2) as well. None of the ops inside runs in
 * integers anywhere.
 */
#include "passes/match.h"

#include "src/ops/ops.h"

#include <math.h>
#include <string.h>

#define GELU_SINCE 20
#define MISH_SINCE 18
#define ROOT_2_PI 0.79788456080286536

/* Of a product with or quotient by a constant: the other operand, and the factor; NULL for other nodes. */
static Value *read_factor(const Node *node, double *factor)
{
    double v;
    for (int i = 0; node_is(node, "Mul") && i < 2; i++)
        if (pass_is_scalar_constant(node->in[i], &v)) {
            *factor = v;
            return node->in[1 - i];
        }
    if (node_is(node, "Div") && pass_is_scalar_constant(node->in[1], &v) && v != 0) {
        *factor = 1 / v;
        return node->in[0];
    }
    return NULL;
}

/* The value without the factor that makes it; itself and 1 when there is none. */
static Value *strip_factor(Value *value, double *factor)
{
    const Node *node = value->n_outputs == 0 ? value->producer : NULL;
    Value *before = node == NULL || node->n_out != 1 ? NULL : read_factor(node, factor);
    *factor = before == NULL ? 1 : *factor;
    return before == NULL ? value : before;
}

/* f in c + a f and c - a f, with `ret_a` relative to c: the factor that is left is c. */
static Value *strip_sum(Value *value, double *ret_c, double *ret_a)
{
    Node *add = match_maker(value, "Add"), *node = add != NULL ? add : match_maker(value, "Sub");
    for (int i = 0; node != NULL && i < (add != NULL ? 2 : 1); i++) {
        if (!pass_is_scalar_constant(node->in[i], ret_c) || *ret_c == 0)
            continue;
        Value *f = strip_factor(node->in[1 - i], ret_a);
        *ret_a /= add != NULL ? *ret_c : -*ret_c;
        return f;
    }
    return NULL;
}

/* sqrt(2/pi) (x + 0.044715 x^3), however it is multiplied out. */
static bool is_cubic(const Value *value, const Value *x)
{
    double p[MATCH_DEGREE + 1];
    return match_polynomial(value, x, p) && p[0] == 0 && match_is_close(p[1], ROOT_2_PI) && p[2] == 0 &&
           match_is_close(p[3], 0.044715 * ROOT_2_PI);
}

/* f(x) of c (f(x) + 1), or of c (1 - f(-x)), which is the same for Erf: "none", "tanh", or NULL when it is neither. */
static const char *match_gate(Value *value, const Value *x, double *ret_c)
{
    double scale, shift, a = 0;
    Value *gate = strip_sum(value, ret_c, &a);
    const Node *erf = match_maker(gate, "Erf"), *tanh = match_maker(gate, "Tanh");
    if (erf != NULL && match_is_close(fabs(a), 1) && match_affine(erf->in[0], x, &scale, &shift) && shift == 0 &&
        match_is_close(a > 0 ? scale : -scale, 0.70710678118654752))
        return "none";
    return tanh != NULL && match_is_close(a, 1) && is_cubic(tanh->in[0], x) ? "tanh" : NULL;
}

/* The last Mul of a GELU: its operands, each with its factor, are x and the gate, or it applies the last factor. */
const char *match_gelu(Node *node, Value **ret_x)
{
    double factor[3] = {1, 1, 1};
    if (node->n_in != 2)
        return NULL;
    Value *whole = read_factor(node, &factor[2]);
    Node *product = whole == NULL ? node : match_maker(whole, "Mul");
    if (product == NULL || !node_is(product, "Mul"))
        return NULL;
    for (int i = 0; i < 2; i++) {
        Value *x = strip_factor(product->in[i], &factor[0]), *gate = strip_factor(product->in[1 - i], &factor[1]);
        for (int stripped = 0; stripped < 2; stripped++, x = product->in[i], factor[0] = 1) {
            double c = 1;
            const char *kind = match_gate(gate, x, &c);
            if (kind != NULL && match_is_close(c * factor[0] * factor[1] * factor[2], 0.5)) {
                *ret_x = x;
                return kind;
            }
        }
    }
    return NULL;
}

static Value *match_mish(const Node *node)
{
    for (int i = 0; i < 2; i++) {
        Node *tanh = match_maker(node->in[i], "Tanh"), *softplus = tanh == NULL ? NULL : match_maker(tanh->in[0], "Softplus");
        if (softplus != NULL && softplus->in[0] == node->in[1 - i])
            return node->in[1 - i];
    }
    return NULL;
}

static Status visit(PassContext *context, Node *node)
{
    Value *x = NULL;
    if (!node_is(node, "Mul") && !node_is(node, "Div"))
        return NULL;
    if (node->n_in != 2 || node->out[0] == NULL || !value_is_float(node->out[0]) || node->opset < MISH_SINCE)
        return NULL;
    const char *kind = node->opset >= GELU_SINCE ? match_gelu(node, &x) : NULL;
    if (kind == NULL)
        x = node_is(node, "Mul") ? match_mish(node) : NULL;
    if (x == NULL || x->graph != node->graph)
        return NULL;
    Node *made = pass_add_node(node->graph, node, kind != NULL ? "Gelu" : "Mish", node->name, 1, &x);
    if (kind != NULL && strcmp(kind, "tanh") == 0)
        node_set_string(made, "approximate", kind);
    TRY(ops_infer_node(made));
    ++*context->changes;
    return pass_replace_node(node, made->out[0]);
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fuse_gelu = {
    .name = "fuse_gelu",
    .stage = PASS_SIMPLIFY,
    .ops = "Mul Div",
    .summary = "GELU and Mish written out become the op (opset 20, 18)",
    .run = run,
};
