/* op_loss.c - NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss.
 *
 *     x (N,C,d1...), target (N,d1...), weight (C) ── loss[n,d] = -weight[t] * log p[n,t,d] ──> none, sum, or mean:
 *     the sum divided by the sum of the weights that were used
 *
 * Formulas: the ONNX operator specification. Targets equal to ignore_index count for nothing.
 */
#include <math.h>
#include <string.h>

#include "src/ops/family.h"

typedef enum Reduction { REDUCE_NONE, REDUCE_SUM, REDUCE_MEAN } Reduction;

typedef struct Loss {
    Reduction reduction;
    bool ignores;
    int64_t ignored;
} Loss;

static Status read_loss(const Node *node, Loss *ret)
{
    const char *reduction = node_string(node, "reduction", "mean");

    ret->reduction = strcmp(reduction, "mean") == 0 ? REDUCE_MEAN : strcmp(reduction, "sum") == 0 ? REDUCE_SUM
                                                                                                  : REDUCE_NONE;
    if (ret->reduction == REDUCE_NONE && strcmp(reduction, "none") != 0)
        return node_error(node, CODE_MODEL, "reduction '%s' is not none, sum or mean", reduction);
    ret->ignores = node_attr(node, "ignore_index") != NULL;
    ret->ignored = node_int(node, "ignore_index", 0);
    return NULL;
}

static Status check_inputs(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0], *target = ctx->in[1], *weight = eval_in(ctx, 2);
    bool fits = x->rank >= 2 && target->rank == x->rank - 1 && target->dims[0] == x->dims[0];

    if (x->dtype != DT_FLOAT && x->dtype != DT_DOUBLE)
        return eval_bad_dtype(ctx, 0);
    if (target->dtype != DT_INT64 && target->dtype != DT_INT32)
        return eval_bad_dtype(ctx, 1);
    TRY(eval_require_same_dtype(ctx, 0, 2));
    for (int i = 1; fits && i < target->rank; i++)
        fits = target->dims[i] == x->dims[i + 1];
    if (!fits || (weight != NULL && (weight->rank != 1 || weight->dims[0] != x->dims[1])))
        return eval_error(ctx, CODE_MODEL, "input %s, target %s and weight do not fit",
                          tensor_shape_text(ctx->scratch, x), tensor_shape_text(ctx->scratch, target));
    return NULL;
}

/* Losses from log probabilities (N,C,D): D = d1 * d2 ... */
static Status eval_loss(EvalCtx *ctx, const Loss *loss, const Tensor *log_p)
{
    const Tensor *target = ctx->in[1], *weight = eval_in(ctx, 2);
    int64_t classes = log_p->dims[1], inner = count_of(log_p->dims, 2, log_p->rank);
    double sum = 0, weights = 0;
    bool single = loss->reduction != REDUCE_NONE;

    TRY(eval_output(ctx, 0, ctx->in[0]->dtype, single ? 0 : target->rank, target->dims));
    for (int64_t i = 0; i < target->count; i++) {
        int64_t class = tensor_get_int(target, i);
        double value = 0;
        if (!loss->ignores || class != loss->ignored) {
            if (class < 0 || class >= classes)
                return eval_error(ctx, CODE_MODEL, "target %lld is not one of %lld classes", (long long)class,
                                  (long long)classes);
            double w = weight != NULL ? tensor_get(weight, class) : 1;
            value = -w * tensor_get(log_p, (i / inner * classes + class) * inner + i % inner);
            weights += w;
        }
        sum += value;
        if (!single)
            tensor_set(&ctx->out[0], i, value);
    }
    if (single)
        tensor_set(&ctx->out[0], 0, loss->reduction == REDUCE_SUM ? sum : sum / weights);
    return NULL;
}

static Status eval_nll(EvalCtx *ctx)
{
    Loss loss;

    TRY(read_loss(ctx->node, &loss));
    TRY(check_inputs(ctx));
    return eval_loss(ctx, &loss, ctx->in[0]);
}

/* log softmax over axis 1 */
static void log_softmax(const Tensor *x, Tensor *out)
{
    int64_t classes = x->dims[1], inner = count_of(x->dims, 2, x->rank);

    for (int64_t line = 0; line < x->dims[0] * inner; line++) {
        int64_t first = line / inner * classes * inner + line % inner;
        double most = -INFINITY, sum = 0;
        for (int64_t c = 0; c < classes; c++)
            most = fmax(most, tensor_get(x, first + c * inner));
        for (int64_t c = 0; c < classes; c++)
            sum += exp(tensor_get(x, first + c * inner) - most);
        for (int64_t c = 0; c < classes; c++)
            tensor_set(out, first + c * inner, tensor_get(x, first + c * inner) - most - log(sum));
    }
}

static Status eval_cross_entropy(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    Tensor log_p;
    Loss loss;

    TRY(read_loss(ctx->node, &loss));
    TRY(check_inputs(ctx));
    if (eval_wants(ctx, 1)) {
        TRY(eval_output(ctx, 1, x->dtype, x->rank, x->dims));
        log_p = ctx->out[1];
    } else {
        void *data;
        TRY(eval_scratch(ctx, x->bytes, &data));
        TRY(tensor_view(&log_p, x->dtype, x->rank, x->dims, data));
    }
    log_softmax(x, &log_p);
    return eval_loss(ctx, &loss, &log_p);
}

static Status infer_loss(Node *node)
{
    Shape x = infer_shape(node, 0), target = infer_shape(node, 1), scalar = {.rank = 0};
    Loss loss;

    TRY(read_loss(node, &loss));
    if (target.rank < 0 && x.rank >= 2) {
        target.rank = x.rank - 1;
        for (int i = 0; i < target.rank; i++)
            target.dims[i] = x.dims[i == 0 ? 0 : i + 1];
    }
    infer_output(node, 0, infer_dtype(node, 0), loss.reduction == REDUCE_NONE ? &target : &scalar);
    infer_output(node, 1, infer_dtype(node, 0), &x);
    return NULL;
}

static const AttrSpec loss_attrs[] = {
    {"ignore_index", ATTR_INT, false},
    {"reduction", ATTR_STRING, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_negativeloglikelihoodloss = {
    .type = "NegativeLogLikelihoodLoss", .domain = "", .versions = {12, 13, 22}, .min_in = 2, .max_in = 3, .min_out = 1,
    .max_out = 1, .attrs = loss_attrs, .infer = infer_loss, .eval = eval_nll, .quant = RULE_FLOAT, .widen_half = true,
};
const OpDef op_softmaxcrossentropyloss = {
    .type = "SoftmaxCrossEntropyLoss", .domain = "", .versions = {12, 13}, .min_in = 2, .max_in = 3, .min_out = 1,
    .max_out = 2, .attrs = loss_attrs, .infer = infer_loss, .eval = eval_cross_entropy, .quant = RULE_FLOAT,
    .widen_half = true,
};
