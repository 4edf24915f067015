/* Shape inference: symbolic dims, the chains that exporters write, contradictions. */
#include "tests/ops/mini.h"
#include "tests/test.h"

#include <string.h>

static const MiniCase types[] = {
    /* numpy broadcasting with names */
    {13, "x = float[N,3]; b = float[3] 1 2 3; y = Add(x, b)", "float[N,3]"},
    {13, "x = float[N,1]; z = float[1,M]; y = Mul(x, z)", "float[N,M]"},
    {13, "x = float[2,?]; z = float[3]; y = Sub(x, z)", "float[2,3]"},
    {13, "x = float[2]; z = float[3]; y = Sub(x, z)", "! do not broadcast"},
    /* Reshape */
    {13, "x = float[N,3,4,4]; s = int64[2] 0 -1; y = Reshape(x, s)", "float[N,48]"},
    {13, "x = float[N,512,1,1]; s = int64[2] -1 512; y = Reshape(x, s)", "float[N,512]"},
    {13, "x = float[N,4]; s = int64[2] -1 2; y = Reshape(x, s)", "float[?,2]"},
    {13, "x = float[?,4]; s = int64[3] 0 2 -1; y = Reshape(x, s)", "float[?,2,2]"},
    {13, "x = float[N,4]; s = int64[3]; y = Reshape(x, s)", "float[?,?,?]"},
    {13, "x = float[2,3]; s = int64[1] 7; y = Reshape(x, s)", "! cannot become 7"},
    /* x.view(x.size(0), -1) */
    {11, "x = float[N,3,8,8]; h = Shape(x); i = int64[] 0; n = Gather(h, i); u = Unsqueeze<axes=[0]>(n);"
         "m = int64[1] -1; s = Concat<axis=0>(u, m); y = Reshape(x, s)", "float[N,192]"},
    {11, "x = float[N,3,8,8]; h = Shape(x); i = int64[] 0; n = Gather(h, i); u = Unsqueeze<axes=[0]>(n);"
         "m = int64[1] -1; s = Concat<axis=0>(u, m)", "int64[2] N -1"},
    /* heads: view(b, t, h, d / h) and back */
    {13, "x = float[B,T,64]; h = Shape(x); i = int64[] 2; d = Gather(h, i); e = int64[] 4; q = Div(d, e); a = int64[1] 0;"
         "y = Unsqueeze(q, a)", "int64[1] 16"},
    {13, "x = float[B,T,64]; h = Shape(x); z = int64[1] 0; e = int64[1] 2; b = Slice(h, z, e); k = int64[2] 4 16;"
         "s = Concat<axis=0>(b, k); y = Reshape(x, s)", "float[B,T,4,16]"},
    /* torch.expand: ConstantOfShape, Mul, Equal, Where */
    {13, "x = float[N,1]; h = int64[2] -1 5; n = Shape(h); o = ConstantOfShape<value={int64[1] 1}>(n); m = int64[] -1;"
         "t = Mul(o, m); e = Equal(h, t); s = Where(e, o, h); y = Expand(x, s)", "float[N,5]"},
    /* upsampling to twice the size through float arithmetic */
    {11, "x = float[N,3,7,5]; h = Shape(x); a = int64[1] 2; b = int64[1] 4; p = Slice(h, a, b); f = Cast<to=1>(p);"
         "t = float[] 2; g = Mul(f, t); r = Floor(g); k = Cast<to=7>(r); a0 = int64[1] 0; b0 = int64[1] 2;"
         "q = Slice(h, a0, b0); s = Concat<axis=0>(q, k); e = float[0]; y = Resize(x, e, e, s)", "float[N,3,14,10]"},
    {13, "x = float[N,3]; h = Shape(x); i = int64[] 1; n = Gather(h, i); z = int64[] 0; o = int64[] 1; y = Range(z, n, o)",
     "int64[3] 0 1 2"},
    {13, "x = float[N,3]; h = Shape(x); i = int64[] 0; n = Gather(h, i); z = int64[] 0; o = int64[] 1; y = Range(z, n, o)",
     "int64[N]"},
    {13, "x = float[N,3]; h = Shape(x); y = ConstantOfShape(h)", "float[N,3]"},
    {13, "x = float[N,3]; h = Shape(x); y = ReduceProd<keepdims=0>(h)", "int64[]"},
    {13, "x = float[2,3]; h = Shape(x); y = ReduceProd<keepdims=0>(h)", "int64[] 6"},
    {15, "x = float[N,3,4]; y = Shape<start=1>(x)", "int64[2] 3 4"},
    /* movement */
    {13, "x = float[N,C,H,W]; y = Transpose<perm=[0,2,3,1]>(x)", "float[N,H,W,C]"},
    {13, "x = float[*]; y = Transpose<perm=[1,0]>(x)", "float[?,?]"},
    {13, "x = float[N,3]; z = float[N,5]; y = Concat<axis=1>(x, z)", "float[N,8]"},
    {13, "x = float[N,6]; y, z, w = Split<axis=1>(x)", "w|float[N,2]"},
    {13, "x = float[N]; s = int64[2] -3 4; y, z = Split(x, s)", "! part 0 has size -3"},
    {13, "x = float[N]; s = int64[2] 9223372036854775807 9223372036854775807; y, z = Split(x, s)", "z|float[9223372036854775807]"},
    {13, "x = float[N,9]; a = int64[1] 1; b = int64[1] -1; c = int64[1] 1; d = int64[1] 2; y = Slice(x, a, b, c, d)",
     "float[N,4]"},
    {13, "x = float[N,9]; a = int64[1] 0; b = int64[1] 1e19; y = Slice(x, a, b)", "float[N,9]"},
    {13, "x = float[N,3]; p = int64[4] 0 1 0 2; y = Pad(x, p)", "float[N,6]"},
    {13, "x = float[N,3]; r = int64[2] 1 4; y = Tile(x, r)", "float[N,12]"},
    {13, "x = float[N,12,H,W]; y = DepthToSpace<blocksize=2>(x)", "float[N,3,?,?]"},
    {13, "x = float[N,1,5]; a = int64[1] 1; y = Squeeze(x, a)", "float[N,5]"},
    {13, "x = float[N,1,5]; y = Squeeze(x)", "float[*]"},
    {13, "x = float[N,2,3]; y = Flatten<axis=2>(x)", "float[?,3]"},
    {13, "x = float[1,N,3]; y = Flatten<axis=2>(x)", "float[N,3]"},
    {13, "x = float[N,7]; i = int64[2,K]; y = Gather<axis=1>(x, i)", "float[N,2,K]"},
    {13, "x = float[N,7]; y = ReduceMean<axes=[1]>(x)", "float[N,1]"},
    {13, "x = float[N,7]; a = int64[1]; y = ReduceSum<keepdims=0>(x, a)", "float[*]"},
    {13, "x = float[N,7]; y = ArgMax<axis=1 keepdims=0>(x)", "int64[N]"},
    {11, "x = float[N,7]; k = int64[1] 3; y, i = TopK(x, k)", "i|int64[N,3]"},
    {13, "x = float[N,7]; y = Cast<to=10>(x)", "float16[N,7]"},
    {13, "x = float[N,7]; y = Less(x, x)", "bool[N,7]"},
    {13, "x = float[N,3,7]; y = NonZero(x)", "int64[3,?]"},
    {13, "i = int64[N]; d = int64[] 5; v = float[2] 0 1; y = OneHot(i, d, v)", "float[N,5]"},
    {12, "a = float[B,T,8]; b = float[8,4]; y = Einsum<equation='bij,jk->bik'>(a, b)", "float[B,T,4]"},
    {14, "x = float[T,N,5]; w = float[2,16,5]; r = float[2,16,4]; y, h, c = LSTM<hidden_size=4 direction='bidirectional'>"
         "(x, w, r)", "float[T,2,N,4]"},
    {11, "x = float[N,3,4,4]; s = float[4] 1 1 2 2; y = Resize(x, s, s)", "float[N,3,8,8]"},
};

TEST(infer_types)
{
    mini_check_types(__FILE__, types, COUNT_OF(types));
}

/* What the file declares and what is inferred are merged; a clash names the node. */
TEST(infer_merges_with_what_is_declared)
{
    Model *model = mini_model(13, "x = float[?,3]; y = Relu(x)");
    Value *y = model->graph->outputs[0];

    y->type = (Type){.kind = TYPE_TENSOR, .dtype = DT_FLOAT, .shape = {.rank = 2, .dims = {{-1, "batch"}, {-1, NULL}}}};
    CHECK_OK(ops_infer(model));
    CHECK_TEXT(y->type.shape.dims[0].name, "batch");
    CHECK_INT(y->type.shape.dims[1].size, 3);
    y->type.shape.dims[1] = dim_known(4);
    CHECK_FAILS(ops_infer(model), CODE_MODEL, "declared");
    y->type.shape.dims[1] = dim_known(3);
    y->type.dtype = DT_INT64;
    CHECK_FAILS(ops_infer(model), CODE_MODEL, "declared int64 but the op gives float");
    model_free(model);
}

/* Of a file a wrong shape is forgiven and told, a wrong type is not; afterwards a contradiction is an error again. */
TEST(infer_forgives_a_file_its_shapes)
{
    Model *model = mini_model(13, "x = float[?,3]; y = Relu(x); z = Abs(y)");
    Value *x = model->graph->inputs[0], *z = model->graph->outputs[0], *y = z->producer->in[0];

    y->type = (Type){.kind = TYPE_TENSOR, .dtype = DT_FLOAT, .shape = {.rank = 1, .dims = {{-1, "sequence"}}}};
    z->type = (Type){.kind = TYPE_TENSOR, .dtype = DT_FLOAT, .shape = {.rank = 2, .dims = {{-1, NULL}, {4, NULL}}}};
    CHECK_OK(ops_infer_file(model));
    CHECK_INT(model->n_contradicted, 2);
    CHECK(strstr(model->contradiction, "is declared sequence but the op gives ?x3") != NULL);
    CHECK_INT(y->type.shape.rank, 2);
    CHECK_INT(z->type.shape.dims[1].size, 3);
    CHECK_OK(ops_infer(model));
    x->type.shape.dims[1] = dim_known(5);
    CHECK_FAILS(ops_infer(model), CODE_MODEL, "declared");
    z->type.dtype = DT_INT64;
    CHECK_FAILS(ops_infer_file(model), CODE_MODEL, "declared int64 but the op gives float");
    model_free(model);
}
