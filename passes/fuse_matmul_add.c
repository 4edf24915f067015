/* fuse_matmul_add.c - a matrix product with a bias behind it becomes a Gemm.
 *
 *     a: MxK -> MatMul B (KxN) -> Add b (N) -> y      ->      a -> Gemm B, b -> y
 *
 * Gemm takes matrices only, so a must be known to have rank 2. The bias becomes one element a column.
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

static bool is_matrix_product(const Node *node)
{
    const Tensor *b = pass_constant(node, 1);
    return node_is(node, "MatMul") && b != NULL && b->rank == 2 && b->count > 0 && dtype_is_float(b->dtype) &&
           infer_shape(node, 0).rank == 2;
}

/* One element, or N along the last axis, of a rank that does not widen the result. */
static bool is_bias(const Tensor *constant, const Tensor *b)
{
    if (constant == NULL || constant->dtype != b->dtype || constant->rank > 2)
        return false;
    return constant->count == 1 ||
           (constant->count == b->dims[1] && constant->dims[constant->rank - 1] == b->dims[1]);
}

static Status visit(PassContext *context, Node *node)
{
    if (!node_is(node, "Add") || node->n_in != 2 || node->out[0] == NULL)
        return NULL;
    for (int data = 0; data < 2; data++) {
        Value *product = node_in(node, data);
        Node *matmul = product != NULL ? product->producer : NULL;
        if (matmul == NULL || matmul->graph != node->graph || !is_matrix_product(matmul) ||
            value_only_user(product) != node || !is_bias(pass_constant(node, 1 - data), matmul->in[1]->constant))
            continue;
        Value *in[3] = {matmul->in[0], matmul->in[1], NULL};
        TRY(pass_column_bias(node, 1 - data, matmul->in[1]->constant->dims[1], &in[2]));
        Node *gemm = pass_add_node(node->graph, node, "Gemm", matmul->name, 3, in);
        TRY(ops_infer_node(gemm));
        TRY(pass_replace_node(node, gemm->out[0]));
        ++*context->changes;
        return NULL;
    }
    return NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fuse_matmul_add = {
    .name = "fuse_matmul_add",
    .stage = PASS_SIMPLIFY,
    .ops = "Add",
    .summary = "MatMul with a constant matrix and a bias behind it becomes Gemm",
    .run = run,
};
