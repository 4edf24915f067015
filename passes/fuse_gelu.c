/* fuse_gelu.c - activations that are written out become the op, where the opset has it.
 *
 *     x * (1 + Erf(x / sqrt 2)) * 0.5                              ->      Gelu(x)                  opset 20
 *     x * (1 + Tanh(sqrt(2/pi) (x + 0.044715 x^3))) * 0.5          ->      Gelu(x), tanh            opset 20
 *     x * Tanh(Softplus(x))                                        ->      Mish(x)                  opset 18
 *
 * In whatever order and place the factor 0.5 stands. None of the ops inside runs in integers anywhere.
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

#include <math.h>
#include <string.h>

#define GELU_SINCE 20
#define MISH_SINCE 18
#define CLOSE 1e-5

static bool is_close(double a, double b)
{
    return fabs(a - b) <= CLOSE * fabs(b);
}

static Node *maker(const Value *value, const char *op_type)
{
    Node *node = value == NULL ? NULL : value->producer;
    return node != NULL && node_is(node, op_type) && node->n_out == 1 && value->n_outputs == 0 ? node : NULL;
}

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

/* a in a + constant. */
static Value *strip_sum(Value *value, double constant)
{
    double v;
    Node *node = maker(value, "Add");
    for (int i = 0; node != NULL && i < 2; i++)
        if (pass_is_scalar_constant(node->in[i], &v) && is_close(v, constant))
            return node->in[1 - i];
    return NULL;
}

/* x + 0.044715 x^3 */
static bool is_cubic(Value *value, const Value *x)
{
    double factor, exponent;
    Node *add = maker(value, "Add");
    for (int i = 0; add != NULL && i < 2; i++) {
        Value *cube = strip_factor(add->in[1 - i], &factor);
        Node *pow = maker(cube, "Pow");
        if (add->in[i] == x && pow != NULL && pow->in[0] == x && is_close(factor, 0.044715) &&
            pass_is_scalar_constant(pow->in[1], &exponent) && exponent == 3)
            return true;
    }
    return false;
}

/* f(x) of f(x) + 1: "none", "tanh", or NULL when it is neither. */
static const char *match_gate(Value *value, const Value *x)
{
    double factor;
    Value *gate = strip_sum(value, 1);
    Node *erf = maker(gate, "Erf"), *tanh = maker(gate, "Tanh");
    if (erf != NULL && strip_factor(erf->in[0], &factor) == x && is_close(factor, 0.70710678118654752))
        return "none";
    if (tanh == NULL)
        return NULL;
    Value *cubic = strip_factor(tanh->in[0], &factor);
    return is_close(factor, 0.79788456080286536) && is_cubic(cubic, x) ? "tanh" : NULL;
}

/* The last Mul of a GELU: its operands, each with its factor, are x and the gate, or it applies the last factor. */
static const char *match_gelu(Node *node, Value **ret_x)
{
    double factor[3] = {1, 1, 1};
    Value *whole = read_factor(node, &factor[2]);
    Node *product = whole == NULL ? node : maker(whole, "Mul");
    if (product == NULL || !node_is(product, "Mul"))
        return NULL;
    for (int i = 0; i < 2; i++) {
        Value *x = strip_factor(product->in[i], &factor[0]), *gate = strip_factor(product->in[1 - i], &factor[1]);
        for (int stripped = 0; stripped < 2; stripped++, x = product->in[i], factor[0] = 1) {
            const char *kind = match_gate(gate, x);
            if (kind != NULL && is_close(factor[0] * factor[1] * factor[2], 0.5)) {
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
        Node *tanh = maker(node->in[i], "Tanh"), *softplus = tanh == NULL ? NULL : maker(tanh->in[0], "Softplus");
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
    .summary = "GELU and Mish written out become the op (opset 20, 18)",
    .run = run,
};
