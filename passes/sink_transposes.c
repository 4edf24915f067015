/* sink_transposes.c - Transposes move towards the outputs, past what does not care for the order of axes, until they
 * meet, cancel, or stand in front of an op that needs them.
 *
 *     x -> Transpose p -> Relu -> y                           ->      x -> Relu -> Transpose p -> y
 *     Transpose p (a) + Transpose p (b)                       ->      Transpose p (a + b)
 *     Concat (Transpose p (a), Transpose p (b))               ->      Transpose p (Concat (a, b))
 *     x: Nx36x1x8 -> Transpose [0, 2, 3, 1] -> Reshape Nx8x36x1       ->      x -> Transpose [0, 3, 1, 2]
 *
 * The last one holds because only axes of size 1 change their place. A Transpose with several readers stays where it
 * is. One sweep takes a Transpose past a whole chain, and joins it with those it meets on the way.
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

#include <string.h>

/* The Transpose that makes the value for this reader alone; its permutation. */
static Node *read_transpose(const Value *value, int64_t *ret_perm, int *ret_rank)
{
    int64_t n;
    Node *node = value == NULL ? NULL : value->producer;
    if (node == NULL || !node_is(node, "Transpose") || node_in(node, 0) == NULL || value_only_user(value) == NULL)
        return NULL;
    const int64_t *perm = node_ints(node, "perm", &n);
    if (perm == NULL || n < 2 || n > TENSOR_MAX_RANK || infer_shape(node, 0).rank != n)
        return NULL;
    memcpy(ret_perm, perm, (size_t)n * sizeof(perm[0]));
    *ret_rank = (int)n;
    return node;
}

static Status add_transpose(Node *before, Value *x, const int64_t *perm, int rank, Value **ret)
{
    Node *node = pass_add_node(before->graph, before, "Transpose", before->name, 1, &x);
    node_set_ints(node, "perm", perm, rank);
    TRY(ops_infer_node(node));
    *ret = node->out[0];
    return NULL;
}

/* Replaces `node` by Transpose(made), where `made` stands before it. */
static Status finish(PassContext *context, Node *node, Node *made, const int64_t *perm, int rank)
{
    Value *y;
    made->out[0]->type = (Type){.kind = TYPE_UNKNOWN}; /* that of `node` has the axes in the other order */
    TRY(ops_infer_node(made));
    TRY(add_transpose(node, made->out[0], perm, rank, &y));
    ++*context->changes;
    return pass_replace_node(node, y);
}

/* The Transpose in front of `node`, which nobody else reads, goes behind it; the node reads `in` instead. No node or value is
 * made: a long chain would fill memory with them.
 *
 *     x -> transpose -> between -> node -> y         ->       x -> node -> between -> transpose -> y
 */
static Status swap(PassContext *context, Node *node, Node *transpose, Value *const *in)
{
    Value *between = transpose->out[0], *y = node->out[0];
    for (int i = 0; i < node->n_in; i++)
        node_set_input(node, i, in[i]);
    node_set_output(transpose, 0, NULL);
    node_set_output(node, 0, NULL);
    node_set_output(node, 0, between);
    node_set_output(transpose, 0, y);
    node_set_input(transpose, 0, between);
    node_move_before(transpose, node->next);
    between->type = (Type){.kind = TYPE_UNKNOWN}; /* what was said of it held for the other order of axes */
    between->origin = NULL;
    TRY(ops_infer_node(node));
    ++*context->changes;
    return ops_infer_node(transpose);
}

/* ---- past elementwise ops ---------------------------------------------------------------------------------------- */

/* The constant as it looks before the permutation: dims of the padded shape, data in the same order, because it has at
 * most one size that is not 1. */
static bool untranspose_constant(Node *node, int i, const int64_t *perm, int rank, Value **ret)
{
    const Tensor *from = pass_constant(node, i);
    int64_t dims[TENSOR_MAX_RANK];
    int wide = 0;
    Tensor *to;
    if (from == NULL || from->rank > rank)
        return false;
    if (from->count == 1) {
        *ret = node->in[i];
        return true;
    }
    for (int j = 0; j < rank; j++) {
        int own = j - (rank - from->rank);
        int64_t size = own < 0 ? 1 : from->dims[own];
        dims[perm[j]] = size;
        wide += size != 1;
    }
    if (wide != 1)
        return false;
    Model *model = node->graph->model;
    Status status = tensor_new(model->arena, from->dtype, rank, dims, &to);
    if (status != NULL || to->bytes != from->bytes || from->dtype == DT_STRING) {
        status_free(status);
        return false;
    }
    memcpy(to->data, from->data, from->bytes);
    *ret = graph_add_constant(node->graph, model_fresh_name(model, node->in[i]->name), to);
    return true;
}

static Status pass_binary(PassContext *context, Node *node)
{
    int64_t perm[TENSOR_MAX_RANK], other[TENSOR_MAX_RANK];
    int rank, other_rank;
    for (int i = 0; i < 2; i++) {
        Node *first = read_transpose(node->in[i], perm, &rank), *second;
        Value *in[2];
        if (first == NULL || first->graph != node->graph || infer_shape(node, i).rank != rank)
            continue;
        in[i] = first->in[0];
        second = read_transpose(node->in[1 - i], other, &other_rank);
        if (second != NULL && second->graph == node->graph && other_rank == rank &&
            memcmp(perm, other, (size_t)rank * sizeof(perm[0])) == 0)
            in[1 - i] = second->in[0];
        else if (!untranspose_constant(node, 1 - i, perm, rank, &in[1 - i]))
            continue;
        TRY(swap(context, node, first, in));
        if (second != NULL && second->graph == node->graph && second->out[0]->n_uses == 0)
            pass_remove_dead(second);
        return NULL;
    }
    return NULL;
}

static Status pass_unary(PassContext *context, Node *node)
{
    int64_t perm[TENSOR_MAX_RANK];
    int rank;
    Node *transpose = read_transpose(node_in(node, 0), perm, &rank);
    Value *in[3];
    if (transpose == NULL || transpose->graph != node->graph || node->n_in > 3)
        return NULL;
    for (int i = 0; i < node->n_in; i++)
        in[i] = i == 0 ? transpose->in[0] : node->in[i];
    return swap(context, node, transpose, in);
}

/* ---- past Concat ------------------------------------------------------------------------------------------------- */

#define MAX_PARTS 64

static Status pass_concat(PassContext *context, Node *node)
{
    int64_t perm[TENSOR_MAX_RANK], other[TENSOR_MAX_RANK];
    int rank, other_rank;
    Value *in[MAX_PARTS];
    if (node->n_in < 2 || node->n_in > MAX_PARTS || read_transpose(node->in[0], perm, &rank) == NULL)
        return NULL;
    for (int i = 0; i < node->n_in; i++) {
        Node *transpose = read_transpose(node->in[i], other, &other_rank);
        if (transpose == NULL || transpose->graph != node->graph || other_rank != rank ||
            memcmp(perm, other, (size_t)rank * sizeof(perm[0])) != 0)
            return NULL;
        in[i] = transpose->in[0];
    }
    int64_t axis = node_int(node, "axis", 0);
    axis += axis < 0 ? rank : 0;
    if (axis < 0 || axis >= rank)
        return NULL;
    Node *made = pass_copy_node(node, node->graph, node, in);
    node_set_int(made, "axis", perm[axis]);
    return finish(context, node, made, perm, rank);
}

/* ---- with a Reshape that only moves sizes of 1 ------------------------------------------------------------------- */

static bool is_one(Dim dim)
{
    return dim.size == 1;
}

/* map[j] = axis of `from` that axis j of `to` is; axes of size 1 in order. Needs the same sizes otherwise. */
static bool match_axes(const Shape *from, const Shape *to, int *map)
{
    int at = 0, one = 0, unsure = 0;
    if (from->rank < 0 || from->rank != to->rank)
        return false;
    for (int j = 0; j < to->rank; j++) {
        if (is_one(to->dims[j])) {
            while (one < from->rank && !is_one(from->dims[one]))
                one++;
            map[j] = one++;
        } else {
            while (at < from->rank && is_one(from->dims[at]))
                at++;
            if (at == from->rank || from->dims[at].size == 0)
                return false;
            if (!dim_equal(from->dims[at], to->dims[j])) {
                if (dim_is_known(from->dims[at]) || dim_is_known(to->dims[j]))
                    return false;
                unsure++;
            }
            map[j] = at++;
        }
        if (map[j] >= from->rank)
            return false;
    }
    return unsure <= 1;
}

/* Reshape behind a Transpose. */
static Status pass_reshape(PassContext *context, Node *node)
{
    int64_t perm[TENSOR_MAX_RANK], joined[TENSOR_MAX_RANK];
    int rank, map[TENSOR_MAX_RANK];
    Value *y;
    Node *transpose = node_in(node, 0) == NULL ? NULL : read_transpose(node->in[0], perm, &rank);
    Shape from = infer_shape(node, 0);
    if (transpose == NULL || transpose->graph != node->graph || node->out[0]->type.kind != TYPE_TENSOR ||
        !match_axes(&from, &node->out[0]->type.shape, map))
        return NULL;
    for (int j = 0; j < rank; j++)
        joined[j] = perm[map[j]];
    TRY(add_transpose(node, transpose->in[0], joined, rank, &y));
    ++*context->changes;
    return pass_replace_node(node, y);
}

/* Transpose behind a Reshape. */
static Status join_reshape(PassContext *context, Node *node)
{
    int64_t n, joined[TENSOR_MAX_RANK];
    int map[TENSOR_MAX_RANK];
    const int64_t *perm = node_ints(node, "perm", &n);
    Node *reshape = node_in(node, 0) == NULL ? NULL : node->in[0]->producer;
    if (reshape == NULL || !node_is(reshape, "Reshape") || reshape->graph != node->graph || perm == NULL ||
        value_only_user(node->in[0]) == NULL)
        return NULL;
    Shape from = infer_shape(reshape, 0), to = infer_shape(node, 0);
    if (to.rank != n || !match_axes(&from, &to, map))
        return NULL;
    for (int64_t j = 0; j < n; j++)
        joined[j] = map[perm[j]];
    node_set_ints(node, "perm", joined, n);
    node_set_input(node, 0, reshape->in[0]);
    pass_remove_dead(reshape);
    ++*context->changes;
    return NULL;
}

static Status visit(PassContext *context, Node *node)
{
    if (node->domain[0] != '\0' || node->n_out != 1 || node->out[0] == NULL)
        return NULL;
    if (node_is(node, "Transpose")) {
        *context->changes += pass_join_transposes(node);
        return join_reshape(context, node);
    }
    if (node_is(node, "Reshape"))
        return pass_reshape(context, node);
    if (node_is(node, "Concat"))
        return pass_concat(context, node);
    if (pass_is_unary(node))
        return pass_unary(context, node);
    return pass_is_elementwise(node) && node->n_in == 2 ? pass_binary(context, node) : NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_sink_transposes = {
    .name = "sink_transposes",
    .stage = PASS_SIMPLIFY,
    .ops = "Transpose Reshape Concat " PASS_ELEMENTWISE(PASS_WORD),
    .summary = "Transposes move past elementwise ops, Concat and sizes of 1 until they meet and cancel",
    .run = run,
};
