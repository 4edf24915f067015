/* fold_constants.c - nodes that give the same on every run are computed now.
 *
 *     Add(2, 3) -> y              ->      initializer y = 5
 *     Shape(x: 1x3x8x8) -> s      ->      initializer s = [1, 3, 8, 8]
 *
 * A node folds when all its inputs are constants, or when shape inference knows every element of its output. Bounds
 * keep an Expand or ConstantOfShape from blowing up the file: see may_grow_to().
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

#include <string.h>

#define SMALL_BYTES ((size_t)64 << 10)  /* folded whatever it was made from */
#define LARGE_BYTES ((size_t)16 << 20)  /* never grows beyond */
#define GROWTH 4
#define MAX_INPUTS 64
#define MAX_OUTPUTS 64

/* A dequantized weight is stored as its integers; Constant has a pass of its own; Identity needs no second tensor. */
static const char *const never_folded[] = {"Constant", "DequantizeLinear", "Identity", NULL};

static bool may_grow_to(size_t in_bytes, size_t out_bytes)
{
    if (out_bytes <= SMALL_BYTES || out_bytes <= in_bytes)
        return true;
    return out_bytes <= LARGE_BYTES && out_bytes / GROWTH <= in_bytes;
}

static void release_tensor(void *tensor)
{
    tensor_release(tensor);
}

/* Moves an owned tensor into the life of the model. */
static Tensor *adopt(Model *model, Tensor *from)
{
    Tensor *tensor = arena_alloc(model->arena, sizeof(*tensor));
    *tensor = *from;
    *from = (Tensor){0};
    arena_on_free(model->arena, release_tensor, tensor);
    return tensor;
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

/* All inputs constant; *ret_bytes is what they take together. */
static bool inputs_are_constant(const Node *node, const Tensor **in, size_t *ret_bytes)
{
    size_t bytes = 0;
    int present = 0;
    if (node->n_in > MAX_INPUTS)
        return false;
    for (int i = 0; i < node->n_in; i++) {
        in[i] = NULL;
        if (node->in[i] == NULL)
            continue;
        in[i] = pass_constant(node, i);
        if (in[i] == NULL || in[i]->dtype == DT_STRING || !size_add(bytes, in[i]->bytes, &bytes))
            return false;
        present++;
    }
    *ret_bytes = bytes;
    return present > 0;
}

/* Refuses before anything is computed what inference already knows to be too large. */
static bool outputs_may_fit(const Node *node, size_t in_bytes)
{
    for (int i = 0; i < node->n_out; i++) {
        if (node->out[i] == NULL || node->out[i]->type.kind != TYPE_TENSOR)
            continue;
        const Type *type = &node->out[i]->type;
        int64_t count = shape_count(&type->shape);
        if (count < 0)
            continue;
        size_t bytes;
        if (!size_mul((size_t)count, (size_t)dtype_bits(type->dtype), &bytes) || !may_grow_to(in_bytes, bytes / 8))
            return false;
    }
    return true;
}

static bool results_fit(const Tensor *out, int n_out, size_t in_bytes)
{
    for (int i = 0; i < n_out; i++)
        if (out[i].dtype == DT_STRING || !may_grow_to(in_bytes, out[i].bytes))
            return false;
    return true;
}

static Status fold_inputs(PassContext *context, Node *node)
{
    const Tensor *in[MAX_INPUTS];
    Tensor out[MAX_OUTPUTS];
    size_t in_bytes;
    if (node->def->eval == NULL || node->n_out > MAX_OUTPUTS || !inputs_are_constant(node, in, &in_bytes))
        return NULL;
    TRY(ops_infer_node(node)); /* its inputs may have become constant in this very sweep */
    if (!outputs_may_fit(node, in_bytes))
        return NULL;
    memset(out, 0, sizeof(out));
    Status status = op_eval_alone(node, in, node->n_in, out, node->n_out, true);
    if (status != NULL) {
        if (status_code(status) == CODE_INTERRUPTED || status_code(status) == CODE_MEMORY)
            return status;
        status_free(status); /* what cannot be computed here is left as it is */
        return NULL;
    }
    bool fits = results_fit(out, node->n_out, in_bytes);
    for (int i = 0; i < node->n_out && status == NULL; i++)
        if (fits && node->out[i] != NULL)
            status = pass_make_constant(node, i, adopt(context->model, &out[i]));
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
