/* fold_scale_into_product.c - the factor of attention goes into the weights that make its queries.
 *
 *     x ─ MatMul W ─ Add b ─ Reshape ─ Transpose ─ q ─┐
 *                                                     MatMul ─ Mul s ─        ==>      s W, s b, and no Mul
 *     ... keys ───────────────────────────────────────┘
 *
 * Exact but for rounding: all in between is linear. ONNX Runtime applies the factor within its float product (FusedMatMul),
 * but not within the integer one, where it is a pass over all scores: 128 tokens x 128 tokens x heads. Also where queries and
 * keys each have a factor, in front of their product. Weights that others read, too, stay.
 */
#include "passes/affine.h"
#include "passes/match.h"

#include <math.h>

#define MAX_STEPS 8    /* between the factor and the weights */
#define MOST_SCALE 1e4 /* either way: beyond it weights could leave the range of float */

typedef struct Path {
    Node *weighted;
    Node *biases[MAX_STEPS]; /* Add of a constant on the way: it takes the factor, too */
    int bias_input[MAX_STEPS];
    int n_biases, steps;
} Path;

static bool moves_data(const Node *node)
{
    return node_is(node, "Reshape") || node_is(node, "Transpose") || node_is(node, "Squeeze") || node_is(node, "Unsqueeze") ||
           node_is(node, "Flatten") || node_is(node, "Identity");
}

static bool is_sole_constant(const Node *node, int i)
{
    const Value *value = node_in(node, i);
    return pass_constant(node, i) != NULL && value->constant->dtype == DT_FLOAT && value->n_uses == 1 && value->n_outputs == 0;
}

/* From the value up to a weighted op, through what only `reader` and its like read. */
static bool climb(const Value *value, const Node *reader, Path *path)
{
    AffineTarget target;
    Node *node = value == NULL ? NULL : value->producer;
    if (node == NULL || node->graph != reader->graph || value_only_user(value) != reader || ++path->steps > MAX_STEPS)
        return false;
    if (moves_data(node))
        return climb(node->in[0], node, path);
    if (affine_accepts(node, &target)) {
        path->weighted = node;
        return is_sole_constant(node, 1);
    }
    if (node_is(node, "Add")) {
        int constant = pass_constant(node, 0) != NULL ? 0 : 1;
        if (!is_sole_constant(node, constant))
            return false;
        path->biases[path->n_biases] = node;
        path->bias_input[path->n_biases++] = constant;
        return climb(node->in[1 - constant], node, path);
    }
    if (!node_is(node, "MatMul") || node_in(node, 0) == node_in(node, 1))
        return false;
    for (int i = 0; i < 2; i++) {
        Path before = *path;
        if (climb(node->in[i], node, path))
            return true;
        *path = before;
    }
    return false;
}

/* The operand that a Mul or Div by one constant number scales; -1: it is no such node. */
static int scaled_operand(const Node *node, double *ret)
{
    double v = 0.0;
    bool divides = node_is(node, "Div");
    int data = (divides || node_is(node, "Mul")) && node->out[0] != NULL ? match_scalar_operand(node, &v) : -1;
    if (data < 0 || (divides && data != 0) || v == 0.0 || !isfinite(v))
        return -1;
    *ret = divides ? 1.0 / v : v;
    return fabs(*ret) <= MOST_SCALE && fabs(*ret) >= 1.0 / MOST_SCALE ? data : -1;
}

static Status scale_bias(Node *add, int input, double scale)
{
    const Tensor *from = add->in[input]->constant;
    Tensor *to;
    TRY(tensor_new(add->graph->model->arena, from->dtype, from->rank, from->dims, &to));
    for (int64_t i = 0; i < from->count; i++)
        tensor_set(to, i, tensor_get(from, i) * scale);
    pass_replace_constant(add, input, to);
    return NULL;
}

static Status fold(PassContext *context, Node *node)
{
    AffineTarget target;
    Path path = {0};
    double factor = 1.0;
    int data = scaled_operand(node, &factor);
    if (data < 0 || !climb(node->in[data], node, &path) || !affine_accepts(path.weighted, &target))
        return NULL;
    double *scale = arena_array(context->scratch, (size_t)target.channels, sizeof scale[0]);
    double *shift = arena_array(context->scratch, (size_t)target.channels, sizeof shift[0]); /* 0 */
    for (int64_t c = 0; c < target.channels; c++)
        scale[c] = factor;
    TRY(affine_fold(path.weighted, scale, shift));
    for (int i = 0; i < path.n_biases; i++)
        TRY(scale_bias(path.biases[i], path.bias_input[i], factor));
    TRY(pass_replace_node(node, node->in[data]));
    ++*context->changes;
    return NULL;
}

static Status run(PassContext *context)
{
    if (!context->target->requantizes)
        return NULL;
    return pass_each_outer(context, fold);
}

const Pass pass_fold_scale_into_product = {
    .name = "fold_scale_into_product",
    .stage = PASS_TARGET,
    .summary = "puts the factor of attention, behind a product of two computed values, into the weights of one",
    .run = run,
};
