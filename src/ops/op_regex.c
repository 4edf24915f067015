/* op_regex.c - RegexFullMatch (opset 20): whether all of a string matches the pattern; see regex.h. */
#include "src/ops/family.h"
#include "src/ops/regex.h"

static Status eval_regex(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    const Attr *pattern = node_attr(ctx->node, "pattern");
    const char *problem = "it is missing";
    const Regex *regex = NULL;

    TRY(eval_require_dtype(ctx, 0, DT_STRING));
    if (pattern != NULL && pattern->kind == ATTR_STRING)
        regex = regex_compile(ctx->scratch, pattern->s.data, pattern->s.length, &problem);
    if (regex == NULL)
        return eval_error(ctx, CODE_UNSUPPORTED, "pattern '%s' cannot be used: %s",
                          node_string(ctx->node, "pattern", ""), problem);
    TRY(eval_output(ctx, 0, DT_BOOL, x->rank, x->dims));
    for (int64_t i = 0; i < x->count; i++) {
        TensorString s = ((const TensorString *)x->data)[i];
        ((uint8_t *)ctx->out[0].data)[i] = regex_match_all(regex, ctx->scratch, s.data, s.length);
    }
    return NULL;
}

static Status infer_regex(Node *node)
{
    Shape shape = infer_shape(node, 0);

    infer_output(node, 0, DT_BOOL, &shape);
    return NULL;
}

static const AttrSpec regex_attrs[] = {{"pattern", ATTR_STRING, false}, {NULL, ATTR_UNDEFINED, false}};

const OpDef op_regexfullmatch = {
    .type = "RegexFullMatch", .domain = "", .versions = {20}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .attrs = regex_attrs, .infer = infer_regex, .eval = eval_regex, .quant = RULE_FLOAT,
};
