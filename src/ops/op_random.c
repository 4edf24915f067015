/* op_random.c - RandomUniform RandomNormal, their Like forms, Bernoulli, Multinomial.
 *
 * The numbers are not those of other runtimes, but they are the same on every run: the generator of random.h starts
 * from the attribute `seed`, or from the node's place in the model when there is none.
 */
#include <math.h>
#include <string.h>

#include "src/ops/family.h"
#include "src/ops/random.h"

static Random random_new(const Node *node)
{
    const Attr *seed = node_attr(node, "seed");
    uint32_t bits = node->id;
    Random random;

    if (seed != NULL && seed->kind == ATTR_FLOAT)
        memcpy(&bits, &seed->f, sizeof bits);
    random_seed(&random, bits);
    return random;
}

static bool is_like(const Node *node)
{
    return node->n_in > 0;
}

static DType chosen_dtype(const Node *node, DType otherwise)
{
    int64_t dtype = node_int(node, "dtype", otherwise);

    return dtype > 0 && dtype <= DT_LAST ? (DType)dtype : DT_UNDEFINED;
}

/* Output 0, of the shape that the attribute or the input gives. */
static Status random_output(EvalCtx *ctx, DType dtype)
{
    int64_t n = 0;
    const int64_t *shape = node_ints(ctx->node, "shape", &n);

    if (!dtype_is_float(dtype) && !(strcmp(ctx->node->op_type, "Bernoulli") == 0 && dtype_bits(dtype) >= 8))
        return eval_error(ctx, CODE_MODEL, "random numbers of type %lld are not possible",
                          (long long)node_int(ctx->node, "dtype", dtype));
    if (is_like(ctx->node))
        return eval_output(ctx, 0, dtype, ctx->in[0]->rank, ctx->in[0]->dims);
    if (n > TENSOR_MAX_RANK)
        return eval_error(ctx, CODE_MODEL, "shape has %lld dims, at most %d are supported", (long long)n,
                          TENSOR_MAX_RANK);
    return eval_output(ctx, 0, dtype, (int)n, shape);
}

static Status infer_random(Node *node)
{
    int64_t n = 0;
    const int64_t *dims = node_ints(node, "shape", &n);
    Shape shape = is_like(node) ? infer_shape(node, 0) : shape_unknown();

    if (!is_like(node) && n <= TENSOR_MAX_RANK) {
        shape.rank = (int)n;
        for (int i = 0; i < shape.rank; i++)
            shape.dims[i] = dims[i] >= 0 ? dim_known(dims[i]) : DIM_UNKNOWN;
    }
    infer_output(node, 0, chosen_dtype(node, is_like(node) ? infer_dtype(node, 0) : DT_FLOAT), &shape);
    return NULL;
}

static DType own_dtype(const EvalCtx *ctx)
{
    return chosen_dtype(ctx->node, is_like(ctx->node) ? ctx->in[0]->dtype : DT_FLOAT);
}

static Status eval_uniform(EvalCtx *ctx)
{
    double low = (double)node_float(ctx->node, "low", 0), high = (double)node_float(ctx->node, "high", 1);
    Random random = random_new(ctx->node);

    TRY(random_output(ctx, own_dtype(ctx)));
    for (int64_t i = 0; i < ctx->out[0].count; i++)
        tensor_set(&ctx->out[0], i, low + (high - low) * random_uniform(&random));
    return NULL;
}

static Status eval_normal(EvalCtx *ctx)
{
    double mean = (double)node_float(ctx->node, "mean", 0), scale = (double)node_float(ctx->node, "scale", 1);
    Random random = random_new(ctx->node);

    TRY(random_output(ctx, own_dtype(ctx)));
    for (int64_t i = 0; i < ctx->out[0].count; i++)
        tensor_set(&ctx->out[0], i, mean + scale * random_normal(&random));
    return NULL;
}

static Status eval_bernoulli(EvalCtx *ctx)
{
    Random random = random_new(ctx->node);

    if (!dtype_is_float(ctx->in[0]->dtype))
        return eval_bad_dtype(ctx, 0);
    TRY(random_output(ctx, own_dtype(ctx)));
    for (int64_t i = 0; i < ctx->out[0].count; i++)
        tensor_set(&ctx->out[0], i, random_uniform(&random) < tensor_get(ctx->in[0], i));
    return NULL;
}

/* Input (N,C): logarithms of weights. A sample is the class where the running sum of weights passes a random part. */
static Status eval_multinomial(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t samples = node_int(ctx->node, "sample_size", 1);
    DType dtype = chosen_dtype(ctx->node, DT_INT32);
    Random random = random_new(ctx->node);

    if (!dtype_is_float(x->dtype))
        return eval_bad_dtype(ctx, 0);
    if (x->rank != 2 || x->dims[1] < 1 || samples < 1 || (dtype != DT_INT32 && dtype != DT_INT64))
        return eval_error(ctx, CODE_MODEL, "%lld samples of type %s from %s are not possible", (long long)samples,
                          dtype_name(dtype), tensor_shape_text(ctx->scratch, x));
    TRY(eval_output(ctx, 0, dtype, 2, (int64_t[]){x->dims[0], samples}));
    for (int64_t row = 0; row < x->dims[0]; row++) {
        double most = -INFINITY, sum = 0;
        for (int64_t c = 0; c < x->dims[1]; c++)
            most = fmax(most, tensor_get(x, row * x->dims[1] + c));
        for (int64_t c = 0; c < x->dims[1]; c++)
            sum += exp(tensor_get(x, row * x->dims[1] + c) - most);
        for (int64_t k = 0; k < samples; k++) {
            double left = random_uniform(&random) * sum;
            int64_t class = 0;
            for (; class < x->dims[1] - 1; class++) {
                left -= exp(tensor_get(x, row * x->dims[1] + class) - most);
                if (left < 0)
                    break;
            }
            tensor_set(&ctx->out[0], row * samples + k, (double)class);
        }
    }
    return NULL;
}

static Status infer_multinomial(Node *node)
{
    Shape x = infer_shape(node, 0), out = {.rank = 2, .dims = {DIM_UNKNOWN, DIM_UNKNOWN}};
    int64_t samples = node_int(node, "sample_size", 1);

    if (x.rank == 2)
        out.dims[0] = x.dims[0];
    if (samples > 0)
        out.dims[1] = dim_known(samples);
    infer_output(node, 0, chosen_dtype(node, DT_INT32), &out);
    return NULL;
}

static const AttrSpec uniform_attrs[] = {
    {"dtype", ATTR_INT, false},
    {"high", ATTR_FLOAT, false},
    {"low", ATTR_FLOAT, false},
    {"seed", ATTR_FLOAT, false},
    {"shape", ATTR_INTS, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec normal_attrs[] = {
    {"dtype", ATTR_INT, false},
    {"mean", ATTR_FLOAT, false},
    {"scale", ATTR_FLOAT, false},
    {"seed", ATTR_FLOAT, false},
    {"shape", ATTR_INTS, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec bernoulli_attrs[] = {
    {"dtype", ATTR_INT, false},
    {"seed", ATTR_FLOAT, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec multinomial_attrs[] = {
    {"dtype", ATTR_INT, false},
    {"sample_size", ATTR_INT, false},
    {"seed", ATTR_FLOAT, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_randomuniform = {
    .type = "RandomUniform", .domain = "", .versions = {1, 22}, .min_in = 0, .max_in = 0, .min_out = 1, .max_out = 1,
    .attrs = uniform_attrs, .infer = infer_random, .eval = eval_uniform, .quant = RULE_FLOAT, .random = true,
};
const OpDef op_randomuniformlike = {
    .type = "RandomUniformLike", .domain = "", .versions = {1, 22}, .min_in = 1, .max_in = 1, .min_out = 1,
    .max_out = 1, .attrs = uniform_attrs, .infer = infer_random, .eval = eval_uniform, .quant = RULE_FLOAT,
    .random = true,
};
const OpDef op_randomnormal = {
    .type = "RandomNormal", .domain = "", .versions = {1, 22}, .min_in = 0, .max_in = 0, .min_out = 1, .max_out = 1,
    .attrs = normal_attrs, .infer = infer_random, .eval = eval_normal, .quant = RULE_FLOAT, .random = true,
};
const OpDef op_randomnormallike = {
    .type = "RandomNormalLike", .domain = "", .versions = {1, 22}, .min_in = 1, .max_in = 1, .min_out = 1,
    .max_out = 1, .attrs = normal_attrs, .infer = infer_random, .eval = eval_normal, .quant = RULE_FLOAT,
    .random = true,
};
const OpDef op_bernoulli = {
    .type = "Bernoulli", .domain = "", .versions = {15, 22}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .attrs = bernoulli_attrs, .infer = infer_random, .eval = eval_bernoulli, .quant = RULE_FLOAT, .random = true,
};
const OpDef op_multinomial = {
    .type = "Multinomial", .domain = "", .versions = {7, 22}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .attrs = multinomial_attrs, .infer = infer_multinomial, .eval = eval_multinomial, .quant = RULE_FLOAT,
    .random = true,
};
