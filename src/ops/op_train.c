/* op_train.c - one step of an optimizer (ai.onnx.preview.training): Adagrad, Adam, Momentum.
 *
 *     R, T, X1.. Xn, G1.. Gn, states ──> X1'.. Xn', states'       R rate, T steps done, X tensor, G its gradient
 *
 * Formulas: the ONNX operator specification.
 */
#include <math.h>
#include <string.h>

#include "src/ops/family.h"

#define MAX_STATES 2

typedef struct Optimizer {
    double rate, steps, decay, epsilon, norm, norm_post, alpha, beta;
    bool nesterov;
} Optimizer;

/* New x and states of one element with gradient g (its regularization added). */
typedef double (*StepFn)(const Optimizer *o, double x, double g, double states[MAX_STATES]);

static double step_adagrad(const Optimizer *o, double x, double g, double states[MAX_STATES])
{
    states[0] += g * g;
    return x - o->rate / (1 + o->steps * o->decay) * g / (sqrt(states[0]) + o->epsilon);
}

static double step_adam(const Optimizer *o, double x, double g, double states[MAX_STATES])
{
    double rate = o->rate;

    states[0] = o->alpha * states[0] + (1 - o->alpha) * g;
    states[1] = o->beta * states[1] + (1 - o->beta) * g * g;
    if (o->steps > 0)
        rate *= sqrt(1 - pow(o->beta, o->steps)) / (1 - pow(o->alpha, o->steps));
    return (1 - o->norm_post) * (x - rate * states[0] / (sqrt(states[1]) + o->epsilon));
}

static double step_momentum(const Optimizer *o, double x, double g, double states[MAX_STATES])
{
    states[0] = o->alpha * states[0] + (o->steps > 0 ? o->beta : 1) * g;
    return x - o->rate * (o->nesterov ? g + o->alpha * states[0] : states[0]);
}

static Status step_one(EvalCtx *ctx, const Optimizer *o, StepFn step, int k, int n, int n_states)
{
    const Tensor *x = ctx->in[2 + k], *g = ctx->in[2 + n + k], *from[MAX_STATES];
    Tensor *to[MAX_STATES];

    TRY(eval_output(ctx, k, x->dtype, x->rank, x->dims));
    bool fits = tensor_same_shape(x, g) && (x->dtype == DT_FLOAT || x->dtype == DT_DOUBLE) && g->dtype == x->dtype;
    for (int s = 0; s < n_states && fits; s++) {
        from[s] = ctx->in[2 + (s + 2) * n + k];
        fits = tensor_same_shape(x, from[s]) && from[s]->dtype == x->dtype;
        TRY(eval_output(ctx, (s + 1) * n + k, x->dtype, x->rank, x->dims));
        to[s] = &ctx->out[(s + 1) * n + k];
    }
    if (!fits)
        return eval_error(ctx, CODE_MODEL, "tensor %d, its gradient and its states differ in shape or type", k);
    for (int64_t i = 0; i < x->count; i++) {
        double states[MAX_STATES] = {0}, value = tensor_get(x, i);
        for (int s = 0; s < n_states; s++)
            states[s] = tensor_get(from[s], i);
        tensor_set(&ctx->out[k], i, step(o, value, o->norm * value + tensor_get(g, i), states));
        for (int s = 0; s < n_states; s++)
            tensor_set(to[s], i, states[s]);
    }
    return NULL;
}

static Status eval_optimizer(EvalCtx *ctx, StepFn step, int n_states)
{
    const Node *node = ctx->node;
    Optimizer o = {
        .decay = (double)node_float(node, "decay_factor", 0),
        .epsilon = (double)node_float(node, "epsilon", step == step_adagrad || step == step_adam ? 1e-6f : 0),
        .norm = (double)node_float(node, "norm_coefficient", 0),
        .norm_post = (double)node_float(node, "norm_coefficient_post", 0),
        .alpha = (double)node_float(node, "alpha", 0.9f),
        .beta = (double)node_float(node, "beta", 0.999f),
        .nesterov = strcmp(node_string(node, "mode", "standard"), "nesterov") == 0,
    };
    int n = (ctx->n_in - 2) / (n_states + 2);

    for (int i = 0; i < ctx->n_in; i++)
        if (ctx->in[i] == NULL)
            return eval_error(ctx, CODE_MODEL, "input %d is missing", i);
    if (n < 1 || ctx->n_in != 2 + n * (n_states + 2) || ctx->n_out != n * (n_states + 1) || ctx->in[0]->count != 1 ||
        ctx->in[1]->count != 1)
        return eval_error(ctx, CODE_MODEL, "%d inputs and %d outputs do not fit", ctx->n_in, ctx->n_out);
    o.rate = tensor_get(ctx->in[0], 0);
    o.steps = tensor_get(ctx->in[1], 0);
    for (int k = 0; k < n; k++)
        TRY(step_one(ctx, &o, step, k, n, n_states));
    return NULL;
}

static Status eval_adagrad(EvalCtx *ctx)
{
    return eval_optimizer(ctx, step_adagrad, 1);
}

static Status eval_adam(EvalCtx *ctx)
{
    return eval_optimizer(ctx, step_adam, 2);
}

static Status eval_momentum(EvalCtx *ctx)
{
    return eval_optimizer(ctx, step_momentum, 1);
}

/* Outputs are of the types of X.., then of the states, which follow the gradients. */
static Status infer_optimizer(Node *node)
{
    int n_states = strcmp(node->op_type, "Adam") == 0 ? 2 : 1, n = node->n_out / (n_states + 1);

    for (int i = 0; i < node->n_out; i++) {
        int in = 2 + (i < n ? i : i + n);
        Shape shape = infer_shape(node, in);
        infer_output(node, i, infer_dtype(node, in), &shape);
    }
    return NULL;
}

static const AttrSpec optimizer_attrs[] = {
    {"alpha", ATTR_FLOAT, false},
    {"beta", ATTR_FLOAT, false},
    {"decay_factor", ATTR_FLOAT, false},
    {"epsilon", ATTR_FLOAT, false},
    {"mode", ATTR_STRING, false},
    {"norm_coefficient", ATTR_FLOAT, false},
    {"norm_coefficient_post", ATTR_FLOAT, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_train_adagrad = {
    .type = "Adagrad", .domain = "ai.onnx.preview.training", .versions = {1}, .min_in = 5, .max_in = OP_VARIADIC,
    .min_out = 2, .max_out = OP_VARIADIC, .attrs = optimizer_attrs, .infer = infer_optimizer, .eval = eval_adagrad,
    .quant = RULE_FLOAT,
};
const OpDef op_train_adam = {
    .type = "Adam", .domain = "ai.onnx.preview.training", .versions = {1}, .min_in = 6, .max_in = OP_VARIADIC,
    .min_out = 3, .max_out = OP_VARIADIC, .attrs = optimizer_attrs, .infer = infer_optimizer, .eval = eval_adam,
    .quant = RULE_FLOAT,
};
const OpDef op_train_momentum = {
    .type = "Momentum", .domain = "ai.onnx.preview.training", .versions = {1}, .min_in = 5, .max_in = OP_VARIADIC,
    .min_out = 2, .max_out = OP_VARIADIC, .attrs = optimizer_attrs, .infer = infer_optimizer, .eval = eval_momentum,
    .quant = RULE_FLOAT,
};
