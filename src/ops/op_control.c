/* op_control.c - If and Loop: ops that run graphs held in their attributes. Scan is in op_scan.c.
 *
 *     Loop   (iteration, condition, v...) ── body ──> (condition, v..., scan...) scan outputs are stacked on axis 0
 *
 * Outer values that a body reads are the business of whoever runs it.
 */
#include <string.h>

#include "src/ops/inner.h"

/* What is true of both types. */
static Type common_type(const Type *a, const Type *b)
{
    Type ret = *a;

    if (a->kind != TYPE_TENSOR || b->kind != TYPE_TENSOR)
        return a->kind == b->kind ? *a : (Type){.kind = TYPE_UNKNOWN, .shape = {.rank = -1}};
    if (a->dtype != b->dtype)
        ret.dtype = a->dtype == DT_UNDEFINED ? b->dtype : a->dtype;
    if (a->shape.rank != b->shape.rank)
        ret.shape = shape_unknown();
    for (int i = 0; i < ret.shape.rank; i++)
        if (!dim_equal(a->shape.dims[i], b->shape.dims[i]))
            ret.shape.dims[i] = DIM_UNKNOWN;
    return ret;
}

/* A scalar bool or int64, also as a list of one. */
static Status scalar_of(const EvalCtx *ctx, const Tensor *tensor, DType dtype, const char *what, int64_t *ret)
{
    if (tensor->dtype != dtype || tensor->count != 1)
        return eval_error(ctx, CODE_MODEL, "%s is %s of %lld elements, expected one %s", what,
                          dtype_name(tensor->dtype), (long long)tensor->count, dtype_name(dtype));
    *ret = tensor_get_int(tensor, 0);
    return NULL;
}

/* ---- If ---------------------------------------------------------------------------------------------------------- */

static Status infer_if(Node *node)
{
    Graph *yes, *no;

    TRY(inner_graph(node, "then_branch", &yes));
    TRY(inner_graph(node, "else_branch", &no));
    TRY(inner_counts(node, yes, 0, node->n_out));
    TRY(inner_counts(node, no, 0, node->n_out));
    TRY(infer_graph(yes));
    TRY(infer_graph(no));
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] != NULL)
            node->out[i]->type = common_type(&yes->outputs[i]->type, &no->outputs[i]->type);
    return NULL;
}

static Status eval_if(EvalCtx *ctx)
{
    Tensor *results = arena_array(ctx->scratch, (size_t)ctx->n_out + 1, sizeof *results);
    int64_t condition;
    Status status = NULL;
    Graph *branch;

    TRY(scalar_of(ctx, ctx->in[0], DT_BOOL, "the condition", &condition));
    TRY(inner_graph(ctx->node, condition != 0 ? "then_branch" : "else_branch", &branch));
    TRY(inner_counts(ctx->node, branch, 0, ctx->n_out));
    TRY(eval_subgraph(ctx, branch, NULL, 0, results, ctx->n_out));
    for (int i = 0; i < ctx->n_out && status == NULL; i++)
        status = inner_output(ctx, i, &results[i]);
    inner_release(results, ctx->n_out);
    return status;
}

/* ---- Loop -------------------------------------------------------------------------------------------------------- */

static Status infer_loop(Node *node)
{
    Shape scalar = {.rank = 0}, unknown = shape_unknown();
    int n_state = MAX(node->n_in - 2, 0);
    Graph *body;

    TRY(inner_graph(node, "body", &body));
    if (node->n_out < n_state)
        return node_error(node, CODE_MODEL, "has %d outputs for %d carried values", node->n_out, n_state);
    TRY(inner_counts(node, body, n_state + 2, node->n_out + 1));
    inner_input_type(body, 0, DT_INT64, &scalar);
    inner_input_type(body, 1, DT_BOOL, &scalar);
    for (int i = 0; i < n_state; i++) /* the shape may change from iteration to iteration */
        if (infer_type(node, i + 2)->kind == TYPE_TENSOR)
            inner_input_type(body, i + 2, infer_dtype(node, i + 2), &unknown);
    TRY(infer_graph(body));
    for (int i = 0; i < node->n_out; i++) {
        const Type *inner = &body->outputs[i + 1]->type;
        Shape shape = inner->shape;
        if (node->out[i] == NULL)
            continue;
        if (i < n_state) {
            node->out[i]->type = common_type(infer_type(node, i + 2), inner);
            continue;
        }
        if (inner->kind != TYPE_TENSOR)
            continue;
        if (shape.rank >= 0 && shape.rank < TENSOR_MAX_RANK) {
            memmove(shape.dims + 1, shape.dims, (size_t)shape.rank * sizeof(Dim));
            shape.dims[0] = DIM_UNKNOWN;
            shape.rank++;
        }
        infer_output(node, i, inner->dtype, &shape);
    }
    return NULL;
}

static Status run_loop(EvalCtx *ctx, const Graph *body, Carried *carried, int64_t limit, int64_t condition)
{
    for (int64_t k = 0; k < limit && condition != 0; k++) {
        uint8_t go_on = 1;
        int64_t iteration = k;
        Status status;
        TRY(tensor_view(&carried->inputs[0], DT_INT64, 0, NULL, &iteration));
        TRY(tensor_view(&carried->inputs[1], DT_BOOL, 0, NULL, &go_on));
        for (int i = 0; i < carried->n_state; i++)
            carried->inputs[i + 2] = inner_view(carried->state[i]);
        status = carried_step(ctx, carried, body, 1);
        if (status == NULL)
            status = scalar_of(ctx, &carried->results[0], DT_BOOL, "the condition", &condition);
        inner_release(carried->results, body->n_outputs);
        if (status != NULL)
            return status;
    }
    return NULL;
}

static Status eval_loop(EvalCtx *ctx)
{
    const Tensor *trips = eval_in(ctx, 0), *start = eval_in(ctx, 1);
    int64_t limit = INT64_MAX, condition = 1;
    int n_state = MAX(ctx->n_in - 2, 0);
    Status status;
    Carried carried;
    Graph *body;

    TRY(inner_graph(ctx->node, "body", &body));
    TRY(inner_counts(ctx->node, body, n_state + 2, ctx->n_out + 1));
    if (trips != NULL)
        TRY(scalar_of(ctx, trips, DT_INT64, "the trip count", &limit));
    if (start != NULL)
        TRY(scalar_of(ctx, start, DT_BOOL, "the condition", &condition));
    for (int i = 0; i < n_state; i++)
        if (eval_in(ctx, i + 2) == NULL)
            return eval_error(ctx, CODE_MODEL, "input %d is missing", i + 2);
    carried = carried_new(ctx, body, 2, n_state, ctx->n_out - n_state);
    status = run_loop(ctx, body, &carried, limit, condition);
    for (int i = 0; i < n_state && status == NULL; i++)
        status = inner_output(ctx, i, carried.state[i]);
    for (int i = 0; i < carried.n_stacks && status == NULL; i++)
        status = stack_output(ctx, n_state + i, &carried.stacks[i], body->outputs[n_state + 1 + i], 0, false);
    carried_free(&carried);
    return status;
}

static const AttrSpec if_attrs[] = {
    {"then_branch", ATTR_GRAPH, true},
    {"else_branch", ATTR_GRAPH, true},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec loop_attrs[] = {{"body", ATTR_GRAPH, true}, {NULL, ATTR_UNDEFINED, false}};

const OpDef op_if = {
    .type = "If", .domain = "", .versions = {1, 11, 13, 16, 19, 21, 23, 24, 25}, .min_in = 1, .max_in = 1, .min_out = 1,
    .max_out = OP_VARIADIC, .attrs = if_attrs, .infer = infer_if, .eval = eval_if, .quant = RULE_FLOAT,
    .lists = true,
};
const OpDef op_loop = {
    .type = "Loop", .domain = "", .versions = {1, 11, 13, 16, 19, 21, 23, 24, 25}, .min_in = 0, .max_in = OP_VARIADIC,
    .min_out = 1, .max_out = OP_VARIADIC, .attrs = loop_attrs, .infer = infer_loop, .eval = eval_loop,
    .quant = RULE_FLOAT, .lists = true,
};
