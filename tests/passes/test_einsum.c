/* test_einsum.c - Einsum becomes the products, sums and permutations it says. */
#include "tests/passes/graphs.h"
#include "tests/test.h"

#include "passes/pass.h"
#include "src/ops/ops.h"

/* What the next model is built from. */
static struct {
    const char *equation, *a, *b; /* shapes; "=..." is a constant, NULL: no second operand */
} next;

static Value *operand(Model *m, const char *name, const char *shape)
{
    return shape[0] == '=' ? test_floats(m, name, shape + 1) : test_input(m, name, shape);
}

static void build(Model *m)
{
    Value *in[2] = {operand(m, "a", next.a), next.b == NULL ? NULL : operand(m, "b", next.b)};
    Value *y = test_node(m, "Einsum", "y", next.b == NULL ? 1 : 2, in);
    node_set_string(y->producer, "equation", next.equation);
    test_output(y);
}

static void check(const char *equation, const char *a, const char *b, const char *after)
{
    next.equation = equation;
    next.a = a;
    next.b = b;
    const PassCase test = {equation, build, 13, "simplify", after[0] == 'E' ? 0 : -1, after};
    test_pass(&test, 1);
}

TEST(einsum_of_one_operand)
{
    check("ij->ji", "3,N", NULL, "Transpose");
    check("bij->bj", "N,3,4", NULL, "ReduceSum");
    check("bij->jb", "N,3,4", NULL, "ReduceSum Transpose");
    check("ij->", "3,4", NULL, "ReduceSum");
    check("...ij->...ji", "N,2,3,4", NULL, "Transpose");
    check("ba", "3,4", NULL, "Transpose"); /* the result in the order of the alphabet */
    check("ii->i", "3,3", NULL, "Einsum");
}

TEST(einsum_of_two_operands)
{
    check("bij,bjk->bik", "N,3,4", "N,4,5", "MatMul");
    check("ij,jk", "N,4", "4,5", "MatMul");
    check("bhid,bhjd->bhij", "N,2,3,4", "N,2,5,4", "Transpose MatMul");
    check("bqhd,bkhd->bhqk", "N,Q,2,4", "N,K,2,4", "Transpose Transpose MatMul");
    check("bhqk,bkhd->bqhd", "N,2,Q,K", "N,K,2,4", "Transpose MatMul Transpose");
    check("abc,cd->abd", "N,T,4", "4,5", "MatMul");
    check("abc,cd->abd", "N,T,4", "=4,5", "MatMul");
    check("oc,bct->bot", "=5,4", "N,4,T", "Transpose MatMul Transpose"); /* the constant stands on the right */
    check("bsd,dhe->bshe", "N,T,4", "=4,2,3", "MatMul Reshape");
    check("bshe,hed->bsd", "N,3,2,4", "=2,4,5", "Reshape MatMul");
    check("bij,bj->bi", "N,3,4", "N,4", "Unsqueeze MatMul Squeeze");
    check("bj,bij->bi", "N,4", "N,3,4", "Unsqueeze MatMul Squeeze");
    check("ij,j->i", "N,4", "4", "MatMul");
    check("i,i->", "4", "4", "MatMul");
    check("i,j->ij", "3", "4", "Unsqueeze Mul");
    check("bij,bij->bij", "N,3,4", "N,3,4", "Mul");
    check("bij,bi->bij", "N,3,4", "N,3", "Unsqueeze Mul");
    check("bi,bi->b", "N,4", "N,4", "Mul ReduceSum");
    check("bchw,bkcw->bkhw", "N,3,4,5", "N,2,3,5", "Transpose Transpose MatMul Transpose");
    check("...ij,...jk->...ik", "N,2,3,4", "N,2,4,5", "MatMul");
    check("nctv,vw->nctw", "N,3,T,5", "=5,6", "MatMul");
    check("ij,jk->k", "3,4", "4,5", "Einsum"); /* i is summed over one operand alone */
    check("ij,jk->ik", "3,1", "4,5", "Einsum"); /* broadcasts */
}

TEST(einsum_of_three_operands_stays)
{
    Model *m = model_new();
    model_set_opset(m, "", 13);
    graph_new(m, "test", NULL);
    Value *a = test_input(m, "a", "3,3");
    Value *y = TEST_NODE(m, "Einsum", "y", a, a, a);
    node_set_string(y->producer, "equation", "ij,jk,kl->il");
    test_output(y);
    int64_t changes = 0;
    PassContext context = {.model = m, .scratch = arena_new(), .changes = &changes};
    CHECK_OK(ops_infer(m));
    CHECK_OK(pass_find("eliminate_einsum")->run(&context));
    CHECK_INT(changes, 0);
    arena_free(context.scratch);
    model_free(m);
}
