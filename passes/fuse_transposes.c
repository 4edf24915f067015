/* fuse_transposes.c - two Transposes in a row become one.
 *
 *     x -> Transpose p -> Transpose q -> y      ->      x -> Transpose r -> y      r[i] = p[q[i]]
 *
 * Two that cancel leave the identity permutation, which eliminate_noop takes away.
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

/* The permutation of a Transpose; without the attribute the axes are reversed, for which the rank must be known. */
static bool read_permutation(const Node *node, int *ret_rank, int64_t *ret)
{
    int64_t n;
    const int64_t *perm = node_ints(node, "perm", &n);
    Shape shape = infer_shape(node, 0);
    if (perm == NULL) {
        n = shape.rank;
        if (n < 0)
            return false;
    }
    if (n > TENSOR_MAX_RANK)
        return false;
    for (int64_t i = 0; i < n; i++) {
        ret[i] = perm != NULL ? perm[i] : n - 1 - i;
        if (ret[i] < 0 || ret[i] >= n)
            return false;
    }
    *ret_rank = (int)n;
    return true;
}

bool pass_join_transposes(Node *node)
{
    int64_t first[TENSOR_MAX_RANK], second[TENSOR_MAX_RANK], joined[TENSOR_MAX_RANK];
    int first_rank, rank;
    if (!node_is(node, "Transpose") || node_in(node, 0) == NULL || node->in[0]->producer == NULL)
        return false;
    Node *before = node->in[0]->producer;
    if (!node_is(before, "Transpose") || node_in(before, 0) == NULL || !read_permutation(before, &first_rank, first) ||
        !read_permutation(node, &rank, second) || first_rank != rank)
        return false;
    for (int i = 0; i < rank; i++)
        joined[i] = first[second[i]];
    node_set_ints(node, "perm", joined, rank);
    node_set_input(node, 0, before->in[0]);
    pass_remove_dead(before);
    return true;
}

static Status visit(PassContext *context, Node *node)
{
    *context->changes += pass_join_transposes(node);
    return NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fuse_transposes = {
    .name = "fuse_transposes",
    .stage = PASS_SIMPLIFY,
    .ops = "Transpose",
    .summary = "two Transposes in a row become one",
    .run = run,
};
