/* test_layout.c - images with the channels last: whole small nets against the reference executor, which never turns them. */
#include "src/exec/exec.h"
#include "src/ops/ops.h"
#include "tests/kernels/random.h"
#include "tests/ops/mini.h"
#include "tests/test.h"

#include <string.h>

/* Each ends in y. Every input is filled with random numbers; all of them lead through a convolution. */
static const char *const nets[] = {
    /* squeeze and excite: an image by one value a channel */
    "x = float[2,3,9,8]; w = float[6,3,3,3]; c = Conv<pads=[1,1,1,1]>(x, w); g = GlobalAveragePool(c); v = float[6,6,1,1];"
    "e = Conv(g, v); s = Sigmoid(e); m = Mul(c, s); y = Relu(m)",
    /* a residual sum, a value read in both orders, a bias of lower rank and one scalar */
    "x = float[1,4,5,7]; w = float[4,4,1,1]; c = Conv(x, w); a = Add(c, x); b = float[4,1,1]; t = Add(a, b);"
    "k = float[] 2.5; u = Mul(t, k); f = Flatten(c); h = float[140,3]; p = MatMul(f, h); q = Flatten(u); r = MatMul(q, h);"
    "y = Add(p, r)",
    /* a factor of the last axis alone, of lower rank: the same bytes in neither order */
    "x = float[1,4,5,7]; w = float[3,4,2,2]; c = Conv(x, w); b = float[6]; m = Mul(c, b); y = Relu(m)",
    /* the same with a whole image that comes row-major, and is made no other way */
    "x = float[2,4,5,7]; w = float[4,4,1,1]; c = Conv(x, w); z = float[1,4,5,7]; y = Sub(c, z)",
    /* joined, taken apart, pooled, enlarged, softened: along an axis */
    "x = float[1,3,8,8]; w = float[5,3,3,3]; c = Conv<pads=[1,1,1,1] strides=[2,2]>(x, w); v = float[3,3,3,3];"
    "d = Conv<pads=[1,1,1,1] strides=[2,2]>(x, v); j = Concat<axis=1>(c, d); n = int64[2] 6 2; p, q = Split<axis=1>(j, n);"
    "s = float[4] 1 1 2 2; o = MaxPool<kernel_shape=[2,2] strides=[2,2]>(p); r = Resize<mode='nearest'>(o, , s);"
    "t = Softmax<axis=1>(r); i = AveragePool<kernel_shape=[3,3] pads=[1,1,1,1]>(t); y = Concat<axis=-3>(i, q)",
    "x = float[1,3,6,6]; w = float[5,3,3,3]; c = Conv(x, w); s = float[4] 1 1 1.5 2; r = Resize<mode='linear'>(c, , s);"
    "y = LogSoftmax<axis=-1>(r)",
    /* by one and by three axes of space; grouped, transposed */
    "x = float[2,4,11]; w = float[6,2,3]; c = Conv<group=2 dilations=[2]>(x, w); m = MaxPool<kernel_shape=[2]>(c); y = Tanh(m)",
    "x = float[1,2,4,5,3]; w = float[4,2,2,2,2]; c = Conv(x, w); g = GlobalAveragePool(c); y = Sub(c, g)",
    "x = float[1,4,5,5]; w = float[4,3,2,2]; c = ConvTranspose<strides=[2,2]>(x, w); y = Neg(c)",
    /* row-major wanted behind: another order of axes, another shape */
    "x = float[1,3,6,5]; w = float[8,3,1,1]; c = Conv(x, w); t = Transpose<perm=[0,2,3,1]>(c); k = int64[2] 30 8;"
    "y = Reshape(t, k)",
    "x = float[1,3,6,5]; w = float[8,3,1,1]; c = Conv(x, w); i = Identity(c); k = int64[3] 1 8 30; r = Reshape(i, k);"
    "y = Softmax<axis=2>(r)",
    /* there and back by name, changed in between, the first still read; from an input of the run; a line; what is no image */
    "x = float[1,4,6,5]; w = float[8,4,1,1]; c = Conv(x, w); t = Transpose<perm=[0,2,3,1]>(c); r = Relu(t);"
    "b = Transpose<perm=[0,3,1,2]>(r); v = float[8,8,3,3]; d = Conv<pads=[1,1,1,1]>(b, v); y = Add(d, c)",
    "x = float[2,6,5,4]; t = Transpose<perm=[0,3,1,2]>(x); w = float[8,4,3,3]; c = Conv(t, w); k = int64[4] 0 0 0 2;"
    "b = Transpose<perm=[0,2,3,1]>(c); n = Neg(b); i = Transpose<perm=[0,3,1,2]>(n); y = Sub(i, c)",
    "x = float[2,4,9]; w = float[6,4,3]; c = Conv(x, w); t = Transpose<perm=[0,2,1]>(c); e = Exp(t); y = Transpose<perm=[0,2,1]>(e)",
    "x = float[2,4,6,5]; w = float[8,4,1,1]; c = Conv(x, w); t = Transpose<perm=[0,3,2,1]>(c); y = Transpose<perm=[1,0,2,3]>(t)",
    /* joined with what follows: sums and activations */
    "x = float[1,4,6,5]; w = float[4,4,1,1]; c = Conv(x, w); a = Add(c, x); y = Relu(a)",
    "x = float[2,4,6,5]; w = float[16,4,3,3]; c = Conv<pads=[1,1,1,1]>(x, w); v = float[16,4,3,3];"
    "d = Conv<pads=[1,1,1,1]>(x, v); a = Add(c, d); r = Relu(a); e = Mul(r, r); y = Add(e, d)",
    "x = float[1,4,6,5]; w = float[16,4,1,1]; c = Conv(x, w); s = Sigmoid(c); m = Mul(c, s); v = float[16,16,1,1];"
    "d = Conv(m, v); h = HardSigmoid<alpha=0.16666667 beta=0.5>(d); n = Mul(h, d); y = Add(n, m)",
    "x = float[1,4,6,5]; w = float[16,4,1,1]; c = Conv(x, w); l = float[] -0.2; h = float[] 0.3; k = Clip(c, l, h);"
    "v = float[8,16,1,1]; d = Conv(k, v); e = HardSwish(d); u = float[8,8,1,1]; f = Conv(e, u); g = LeakyRelu<alpha=0.3>(f);"
    "o = Conv(g, u); p = Sigmoid(o); q = Conv(p, u); y = Tanh(q)",
    /* not joined: read twice, the result of the net, of another size */
    "x = float[1,4,6,5]; w = float[4,4,1,1]; c = Conv(x, w); r = Relu(c); s = Sigmoid(c); t = Add(c, r); y = Mul(t, s)",
    "x = float[1,4,6,5]; w = float[4,4,1,1]; c = Conv(x, w); b = float[1,4,1,1]; a = Add(c, b); y = Relu(a)",
    /* gates of 8 bits joined into a table: a sum with a constant, on either side, and a Sigmoid; read twice, not joined */
    "x = float[2,5,6]; s = float[] 0.009; z = uint8[] 120; q = QuantizeLinear(x, s, z); b = float[] 0.0015;"
    "m = DequantizeLinear(q, s, z);"
    "d = DequantizeLinear(q, b, z); k = uint8[] 128; e = float[] 0.0039; f = uint8[] 0; c = DequantizeLinear(k, e, f);"
    "a = Add(d, c); g = QuantizeLinear(a, e, f); n = DequantizeLinear(g, e, f); p = Mul(m, n);"
    "t = float[] 0.006; u = uint8[] 90; r = QuantizeLinear(p, t, u); y = DequantizeLinear(r, t, u)",
    "x = float[2,5,6]; s = float[] 0.009; z = uint8[] 120; q = QuantizeLinear(x, s, z); b = float[] 0.0015;"
    "m = DequantizeLinear(q, s, z);"
    "d = DequantizeLinear(q, b, z); k = uint8[] 128; e = float[] 0.0039; f = uint8[] 0; c = DequantizeLinear(k, e, f);"
    "a = Add(c, d); g = QuantizeLinear(a, e, f); n = DequantizeLinear(g, e, f); p = Mul(m, n);"
    "t = float[] 0.006; u = uint8[] 90; r = QuantizeLinear(p, t, u); y = DequantizeLinear(r, t, u)",
    "x = float[2,5,6]; s = float[] 0.009; z = uint8[] 120; q = QuantizeLinear(x, s, z); b = float[] 0.0015;"
    "m = DequantizeLinear(q, s, z);"
    "d = DequantizeLinear(q, b, z); k = uint8[] 128; e = float[] 0.0039; f = uint8[] 0; c = DequantizeLinear(k, e, f);"
    "a = Sigmoid(m); g = QuantizeLinear(a, e, f); n = DequantizeLinear(g, e, f); p = Mul(m, n);"
    "t = float[] 0.006; u = uint8[] 90; r = QuantizeLinear(p, t, u); y = DequantizeLinear(r, t, u)",
    "x = float[2,5,6]; s = float[] 0.009; z = uint8[] 120; q = QuantizeLinear(x, s, z); b = float[] 0.0015;"
    "m = DequantizeLinear(q, s, z);"
    "d = DequantizeLinear(q, b, z); k = uint8[] 128; e = float[] 0.0039; f = uint8[] 0; c = DequantizeLinear(k, e, f);"
    "a = Add(d, c); g = QuantizeLinear(a, e, f); n = DequantizeLinear(g, e, f); p = Mul(m, n);"
    "t = float[] 0.006; u = uint8[] 90; r = QuantizeLinear(p, t, u); v = DequantizeLinear(r, t, u); y = Sub(v, n)",
    /* one row, one channel, one place */
    "x = float[1,1,6,1]; w = float[1,1,1,1]; c = Conv(x, w); r = Relu(c); y = Concat<axis=1>(r, c)",
};

static void fill(Random *random, Tensor *tensor, const Value *input)
{
    int64_t dims[TENSOR_MAX_RANK];
    for (int d = 0; d < input->type.shape.rank; d++)
        dims[d] = input->type.shape.dims[d].size;
    CHECK_OK(tensor_alloc(tensor, input->type.dtype, input->type.shape.rank, dims));
    random_floats(random, tensor->data, tensor->count);
}

typedef struct Seen {
    int n;
    double sum; /* of the logarithms of magnitudes of all elements: one wrong place shows */
} Seen;

static Status add_up(void *context, const Value *value, Tensor *tensor)
{
    Seen *seen = context;
    seen->n++;
    for (int64_t i = 0; i < tensor->count && tensor->dtype == DT_FLOAT && strcmp(value->name, "y") == 0; i++)
        seen->sum += tensor_get(tensor, i) * (double)(i % 17 + 1);
    return NULL;
}

/* observed: an observer looks at every value row-major, which leaves the next step another form to start from. */
static Tensor run(const Model *model, const Tensor *inputs, bool reference, bool observed, Seen *seen)
{
    Plan *plan = NULL;
    Tensor view, result = {0};
    Observer observer = {.value = add_up, .context = seen};
    *seen = (Seen){0};
    CHECK_OK(plan_new(model, &(PlanOptions){.reference = reference}, &plan));
    Runner *runner = runner_new(plan, NULL);
    CHECK_OK(runner_run(runner, inputs, observed ? &observer : NULL, &view));
    CHECK_OK(runner_run(runner, inputs, observed ? &observer : NULL, &view)); /* buffers of the first run lie about */
    CHECK_OK(tensor_copy(&result, &view));
    runner_free(runner);
    plan_free(plan);
    return result;
}

static void compare(const Tensor *a, const Tensor *b)
{
    CHECK(tensor_same_shape(a, b));
    for (int64_t i = 0; i < a->count; i++)
        CHECK_NEAR(tensor_get(a, i), tensor_get(b, i), 2e-5);
}

TEST(nets_with_channels_last_equal_the_reference)
{
    Random random = {11};
    for (size_t n = 0; n < COUNT_OF(nets); n++) {
        Model *model = mini_model(18, nets[n]);
        Tensor inputs[5] = {{0}};
        Seen seen, expected_seen;
        CHECK_OK(ops_infer(model));
        for (int i = 0; i < model->graph->n_inputs; i++)
            fill(&random, &inputs[i], model->graph->inputs[i]);
        Tensor expected = run(model, inputs, true, true, &expected_seen), fast = run(model, inputs, false, false, &seen);
        Tensor watched = run(model, inputs, false, true, &seen);
        compare(&fast, &expected);
        compare(&watched, &expected);
        CHECK_INT(seen.n, expected_seen.n);
        CHECK_NEAR(seen.sum, expected_seen.sum, 1e-2);
        tensor_release(&expected);
        tensor_release(&fast);
        tensor_release(&watched);
        for (int i = 0; i < model->graph->n_inputs; i++)
            tensor_release(&inputs[i]);
        model_free(model);
    }
}
