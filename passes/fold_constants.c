/* fold_constants.c - nodes that give the same on every run are computed now.
 *
 *     Add(2, 3) -> y              ->      initializer y = 5
 *     Shape(x: 1x3x8x8) -> s      ->      initializer s = [1, 3, 8, 8]
 *
 * A node folds when all its inputs are constants, or when shape inference knows every element of its output. The file must not
 * grow by it: a result may be larger than what goes with the node by fold_limit bytes.
 *
 *     W: 1 MB ─┬─ Slice ─ a quarter          all readers of W fold, so W goes and each Slice has a quarter of it to spend
 *              └─ Slice ... (4 in all)
 *     ids ─ Expand ─ 1 MB                    8 bytes go: stays a node
 *
 * Weights are folded whatever they cost: a MatMul by a computed matrix could not run in integers. In a branch of an If the result
 * goes to the graph that its inputs come from, where that of the other branch is found to be the same.
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

#include <string.h>

#define LARGE_BYTES ((size_t)16 << 20)  /* a weight never grows beyond, unless it was as large before */
#define GROWTH 4                        /* nor to more than so many times what it is made from */
#define MAX_READERS 16                  /* of a constant that are looked at; one with more is taken to stay */
#define MAX_INPUTS 64
#define MAX_OUTPUTS 64

/* A dequantized weight is stored as its integers; Constant has a pass of its own; Identity needs no second tensor. */
static const char *const never_folded[] = {"Constant", "DequantizeLinear", "Identity", NULL};

/* What a node has for its result. */
typedef struct Budget {
    size_t in_bytes; /* of its constants */
    size_t spared;   /* bytes of them that go when the node goes, with the room that any result has */
    bool weight;     /* the result is a weight of an op that could run in integers */
} Budget;

static bool may_grow_to(const Budget *budget, size_t out_bytes)
{
    if (out_bytes <= budget->spared)
        return true;
    return budget->weight && (out_bytes <= budget->in_bytes ||
                              (out_bytes <= LARGE_BYTES && out_bytes / GROWTH <= budget->in_bytes));
}

static bool is_candidate(const Node *node)
{
    if (node->def == NULL || node->def->random || node->n_out == 0 || node_has_graph(node))
        return false;
    for (const char *const *name = never_folded; *name != NULL; name++)
        if (strcmp(node->op_type, *name) == 0)
            return false;
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] != NULL && node->out[i]->type.kind != TYPE_TENSOR && node->out[i]->type.kind != TYPE_UNKNOWN)
            return false;
    return true;
}

/* The output's elements are all known to shape inference. */
static bool content_is_known(const Value *value)
{
    const Type *type = &value->type;
    if (value->content == NULL || type->kind != TYPE_TENSOR || (type->dtype != DT_INT64 && type->dtype != DT_INT32) ||
        !shape_is_known(&type->shape) || shape_count(&type->shape) != value->n_content)
        return false;
    for (int i = 0; i < value->n_content; i++)
        if (!dim_is_known(value->content[i]))
            return false;
    return true;
}

static Status fold_content(PassContext *context, Node *node)
{
    Value *out = node->out[0];
    Tensor *tensor;
    int64_t dims[TENSOR_MAX_RANK];
    for (int i = 0; i < out->type.shape.rank; i++)
        dims[i] = out->type.shape.dims[i].size;
    TRY(tensor_new(context->model->arena, out->type.dtype, out->type.shape.rank, dims, &tensor));
    for (int i = 0; i < out->n_content; i++) {
        if (tensor->dtype == DT_INT64)
            ((int64_t *)tensor->data)[i] = out->content[i].size;
        else
            ((int32_t *)tensor->data)[i] = (int32_t)out->content[i].size;
    }
    TRY(pass_make_constant(node, 0, tensor));
    pass_remove_dead(node);
    ++*context->changes;
    return NULL;
}

/* All inputs constant. */
static bool inputs_are_constant(const Node *node, const Tensor **in)
{
    int present = 0;
    if (node->n_in > MAX_INPUTS)
        return false;
    for (int i = 0; i < node->n_in; i++) {
        in[i] = NULL;
        if (node->in[i] == NULL)
            continue;
        in[i] = pass_constant(node, i);
        if (in[i] == NULL || in[i]->dtype == DT_STRING)
            return false;
        present++;
    }
    return present > 0;
}

/* The share of a constant that goes with each of its readers: none when one of them will keep it. */
static size_t share_of(const Value *value)
{
    if (value->n_outputs > 0 || value->n_uses > MAX_READERS)
        return 0;
    for (size_t i = 0; i < value->n_uses; i++) {
        const Node *reader = value->uses[i].node;
        const Tensor *in[MAX_INPUTS];
        if (!is_candidate(reader) || reader->def->eval == NULL || !inputs_are_constant(reader, in))
            return 0;
    }
    return value->constant->bytes / MAX(value->n_uses, 1);
}

static bool is_weight(const Value *value)
{
    for (size_t i = 0; i < MIN(value->n_uses, MAX_READERS); i++) {
        const OpDef *def = value->uses[i].node->def;
        if (def != NULL && def->quant.kind == QUANT_WEIGHTED && value->uses[i].input == def->quant.weight)
            return true;
    }
    return false;
}

static Budget budget_of(const PassContext *context, const Node *node)
{
    Budget budget = {.spared = context->fold_limit == 0 ? FOLD_LIMIT : (size_t)MAX(context->fold_limit, 0)};
    for (int i = 0; i < node->n_in; i++) {
        const Value *value = node->in[i];
        if (value == NULL || !size_add(budget.in_bytes, value->constant->bytes, &budget.in_bytes) ||
            !size_add(budget.spared, share_of(value), &budget.spared))
            continue;
    }
    for (int i = 0; i < node->n_out; i++)
        budget.weight = budget.weight || (node->out[i] != NULL && is_weight(node->out[i]));
    return budget;
}

/* Refuses before anything is computed what inference already knows to be too large. */
static bool outputs_may_fit(const Node *node, const Budget *budget)
{
    size_t sum = 0;
    for (int i = 0; i < node->n_out; i++) {
        if (node->out[i] == NULL || node->out[i]->type.kind != TYPE_TENSOR)
            continue;
        const Type *type = &node->out[i]->type;
        int64_t count = shape_count(&type->shape);
        if (count < 0)
            continue;
        size_t bytes;
        if (!size_mul((size_t)count, (size_t)dtype_bits(type->dtype), &bytes) || !size_add(sum, bytes / 8, &sum))
            return false;
    }
    return may_grow_to(budget, sum);
}

static bool results_fit(const Tensor *out, int n_out, const Budget *budget)
{
    size_t sum = 0;
    for (int i = 0; i < n_out; i++)
        if (out[i].dtype == DT_STRING || out[i].dtype == DT_LIST || !size_add(sum, out[i].bytes, &sum))
            return false;
    return may_grow_to(budget, sum);
}

/* The graph that the largest input comes from. */
static Graph *home_of(const Node *node)
{
    const Value *largest = NULL;
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] != NULL && (largest == NULL || node->in[i]->constant->bytes > largest->constant->bytes))
            largest = node->in[i];
    return largest == NULL ? node->graph : largest->graph;
}

static Status place(Node *node, int i, Tensor *tensor)
{
    Graph *home = home_of(node);
    Value *out = node->out[i];
    if (home == node->graph || out->n_outputs > 0)
        return pass_make_constant(node, i, tensor);
    Value *constant = graph_add_constant(home, model_fresh_name(home->model, out->name), tensor);
    value_replace_node_uses(out, constant);
    return NULL;
}

static Status fold_inputs(PassContext *context, Node *node)
{
    const Tensor *in[MAX_INPUTS];
    Tensor out[MAX_OUTPUTS];
    if (node->def->eval == NULL || node->n_out > MAX_OUTPUTS || !inputs_are_constant(node, in))
        return NULL;
    TRY(ops_infer_node(node)); /* its inputs may have become constant in this very sweep */
    Budget budget = budget_of(context, node);
    if (!outputs_may_fit(node, &budget))
        return NULL;
    memset(out, 0, sizeof(out));
    Status status = op_eval_alone(node, in, node->n_in, out, node->n_out, true);
    if (status != NULL) {
        if (status_code(status) == CODE_INTERRUPTED || status_code(status) == CODE_MEMORY)
            return status;
        status_free(status); /* what cannot be computed here is left as it is */
        return NULL;
    }
    bool fits = results_fit(out, node->n_out, &budget);
    for (int i = 0; i < node->n_out && status == NULL; i++)
        if (fits && node->out[i] != NULL)
            status = place(node, i, pass_keep_tensor(context->model, &out[i]));
    for (int i = 0; i < node->n_out; i++)
        tensor_release(&out[i]);
    TRY(status);
    if (fits) {
        pass_remove_dead(node);
        ++*context->changes;
    }
    return NULL;
}

static Status visit(PassContext *context, Node *node)
{
    if (!is_candidate(node))
        return NULL;
    if (node->n_out == 1 && node->out[0] != NULL && content_is_known(node->out[0]))
        return fold_content(context, node);
    return fold_inputs(context, node);
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fold_constants = {
    .name = "fold_constants",
    .stage = PASS_SIMPLIFY,
    .summary = "nodes whose result is known are computed now",
    .run = run,
};
