/* op_dropout.c - Dropout: the identity, or in training mode y = x * mask / (1 - ratio) with a random mask. */
#include "src/ops/family.h"
#include "src/ops/random.h"

/* The mask was of the data's type before opset 10. */
static DType mask_dtype(const Node *node, DType data)
{
    return node->opset < 10 ? data : DT_BOOL;
}

static Status infer_dropout(Node *node)
{
    Shape shape = infer_shape(node, 0);

    infer_output(node, 0, infer_dtype(node, 0), &shape);
    infer_output(node, 1, mask_dtype(node, infer_dtype(node, 0)), &shape);
    return NULL;
}

static Status eval_identity(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];

    TRY(eval_output_alias(ctx, 0, x, x->rank, x->dims));
    if (!eval_wants(ctx, 1))
        return NULL;
    TRY(eval_output(ctx, 1, mask_dtype(ctx->node, x->dtype), x->rank, x->dims));
    for (int64_t i = 0; i < ctx->out[1].count; i++)
        tensor_set(&ctx->out[1], i, 1);
    return NULL;
}

static Status eval_training(EvalCtx *ctx, double ratio)
{
    const Tensor *x = ctx->in[0];
    bool has_mask = eval_wants(ctx, 1);
    Random random;

    random_seed(&random, (uint32_t)node_int(ctx->node, "seed", ctx->node->id));
    TRY(eval_output(ctx, 0, x->dtype, x->rank, x->dims));
    if (has_mask)
        TRY(eval_output(ctx, 1, mask_dtype(ctx->node, x->dtype), x->rank, x->dims));
    for (int64_t i = 0; i < x->count; i++) {
        bool kept = random_uniform(&random) >= ratio;
        tensor_set(&ctx->out[0], i, kept ? tensor_get(x, i) / (1 - ratio) : 0);
        if (has_mask)
            tensor_set(&ctx->out[1], i, kept);
    }
    return NULL;
}

static Status eval_dropout(EvalCtx *ctx)
{
    const Tensor *ratio_in = eval_in(ctx, 1), *training = eval_in(ctx, 2);
    double ratio = ratio_in != NULL && ratio_in->count == 1 ? tensor_get(ratio_in, 0) : 0.5;

    if (training == NULL || training->count != 1 || tensor_get(training, 0) == 0 || ratio == 0)
        return eval_identity(ctx);
    if (!dtype_is_float(ctx->in[0]->dtype))
        return eval_bad_dtype(ctx, 0);
    if (!(ratio > 0 && ratio < 1))
        return eval_error(ctx, CODE_MODEL, "the ratio is %g, expected a number in [0, 1)", ratio);
    return eval_training(ctx, ratio);
}

static const AttrSpec dropout_attrs[] = {
    {"ratio", ATTR_FLOAT, false},
    {"seed", ATTR_INT, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_dropout = {
    .type = "Dropout", .domain = "", .versions = {7, 10, 12, 13, 22}, .min_in = 1, .max_in = 3, .min_out = 1,
    .max_out = 2, .attrs = dropout_attrs, .infer = infer_dropout, .eval = eval_dropout, .quant = RULE_SAME_SCALE,
};
