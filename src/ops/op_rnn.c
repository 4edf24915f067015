/* op_rnn.c - LSTM, GRU and RNN: all directions, layouts, activations, sequence lengths, peepholes; and com.microsoft's
 * DynamicQuantizeLSTM, whose weights are 8-bit and whose left factors are rounded to 8 bits before each product.
 *
 * Letters: S steps, B batch, I input size, H hidden size, D directions, G gates (LSTM 4 iofc, GRU 3 zrh, RNN 1).
 *
 *     gates (S*B, G*H) = X W^T + biases        for all steps at once
 *     for each step:   gates[t] + h R^T  ->  h (B, H)
 *
 * Formulas: the ONNX operator specification.
 */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "src/kernels/kernels.h"
#include "src/ops/family.h"
#include "src/kernels/vector_math.h"

typedef enum Cell { CELL_RNN, CELL_GRU, CELL_LSTM } Cell;

typedef struct Act {
    float (*fn)(float x, float a, float b);
    float a, b;
} Act;

typedef struct Rnn {
    Cell cell;
    int64_t steps, batch, inputs, hidden, directions, gates;
    bool batch_first, input_forget, linear_before_reset;
    float clip;              /* 0: none */
    Act act[2][3];           /* by direction */
    const int64_t *lengths;  /* (B,) or NULL */
    const float *x, *w, *r, *b, *peephole;
    float *y, *y_h, *y_c;    /* outputs, NULL when not wanted */
    float *rounded;          /* room for X or h rounded to 8 bits, NULL: they are taken as they are */
} Rnn;

/* ---- activation functions ---------------------------------------------------------------------------------------- */

static float act_relu(float x, float a, float b)
{
    (void)a, (void)b;
    return x < 0 ? 0 : x;
}

static float act_tanh(float x, float a, float b)
{
    (void)a, (void)b;
    return vector_tanh(x);
}

static float act_sigmoid(float x, float a, float b)
{
    (void)a, (void)b;
    return vector_sigmoid(x);
}

static float act_affine(float x, float a, float b)
{
    return a * x + b;
}

static float act_leaky_relu(float x, float a, float b)
{
    (void)b;
    return x < 0 ? a * x : x;
}

static float act_thresholded_relu(float x, float a, float b)
{
    (void)b;
    return x > a ? x : 0;
}

static float act_scaled_tanh(float x, float a, float b)
{
    return a * vector_tanh(b * x);
}

static float act_hard_sigmoid(float x, float a, float b)
{
    return fminf(fmaxf(a * x + b, 0), 1);
}

static float act_elu(float x, float a, float b)
{
    (void)b;
    return x < 0 ? a * (vector_exp(x) - 1) : x;
}

static float act_softsign(float x, float a, float b)
{
    (void)a, (void)b;
    return x / (1 + fabsf(x));
}

static float act_softplus(float x, float a, float b)
{
    (void)a, (void)b;
    return fmaxf(x, 0) + log1pf(expf(-fabsf(x)));
}

static const struct {
    const char *name;
    float (*fn)(float x, float a, float b);
    bool has_a, has_b;
    float a, b; /* defaults */
} activations[] = {
    {"Relu", act_relu, false, false, 0, 0},
    {"Tanh", act_tanh, false, false, 0, 0},
    {"Sigmoid", act_sigmoid, false, false, 0, 0},
    {"Affine", act_affine, true, true, 1, 0},
    {"LeakyRelu", act_leaky_relu, true, false, 0.01f, 0},
    {"ThresholdedRelu", act_thresholded_relu, true, false, 1, 0},
    {"ScaledTanh", act_scaled_tanh, true, true, 1, 1},
    {"HardSigmoid", act_hard_sigmoid, true, true, 0.2f, 0.5f},
    {"Elu", act_elu, true, false, 1, 0},
    {"Softsign", act_softsign, false, false, 0, 0},
    {"Softplus", act_softplus, false, false, 0, 0},
};

/* The lists activation_alpha and activation_beta are consumed by the functions that have the parameter, in order. */
static Status read_activations(const EvalCtx *ctx, Rnn *rnn)
{
    static const char *const defaults[][3] = {
        {"Tanh", NULL, NULL}, {"Sigmoid", "Tanh", NULL}, {"Sigmoid", "Tanh", "Tanh"}};
    const Attr *names = node_attr(ctx->node, "activations");
    int64_t n_alpha = 0, n_beta = 0, next_alpha = 0, next_beta = 0;
    const float *alpha = node_floats(ctx->node, "activation_alpha", &n_alpha);
    const float *beta = node_floats(ctx->node, "activation_beta", &n_beta);
    int each = (int)rnn->cell + 1;

    if (names != NULL && (names->kind != ATTR_STRINGS || names->n != each * rnn->directions))
        return eval_error(ctx, CODE_MODEL, "activations must name %d functions", each * (int)rnn->directions);
    for (int i = 0; i < each * (int)rnn->directions; i++) {
        const char *name = names != NULL ? names->strings[i].data : defaults[rnn->cell][i % each];
        size_t length = names != NULL ? names->strings[i].length : strlen(name), k = 0;
        Act *act = &rnn->act[i / each][i % each];
        while (k < COUNT_OF(activations) &&
               !(strlen(activations[k].name) == length && strncasecmp(activations[k].name, name, length) == 0))
            k++;
        if (k == COUNT_OF(activations))
            return eval_error(ctx, CODE_UNSUPPORTED, "activation '%.*s' is not known", (int)MIN(length, 40), name);
        *act = (Act){activations[k].fn, activations[k].a, activations[k].b};
        if (activations[k].has_a && next_alpha < n_alpha)
            act->a = alpha[next_alpha++];
        if (activations[k].has_b && next_beta < n_beta)
            act->b = beta[next_beta++];
    }
    return NULL;
}

static void apply(Act act, float *x, int64_t n)
{
    if (act.fn == act_sigmoid)
        for (int64_t i = 0; i < n; i++)
            x[i] = vector_sigmoid(x[i]);
    else if (act.fn == act_tanh)
        for (int64_t i = 0; i < n; i++)
            x[i] = vector_tanh(x[i]);
    else
        for (int64_t i = 0; i < n; i++)
            x[i] = act.fn(x[i], act.a, act.b);
}

/* ---- one step of one sample -------------------------------------------------------------------------------------- */

static void clip(const Rnn *rnn, float *x, int64_t n)
{
    for (int64_t i = 0; rnn->clip > 0 && i < n; i++)
        x[i] = fminf(fmaxf(x[i], -rnn->clip), rnn->clip);
}

/* gates: (4H) i o f c before activation; p: peepholes (3H) i o f or NULL. */
static void lstm_cell(const Rnn *rnn, const Act *act, float *gates, const float *p, float *h, float *c)
{
    int64_t n = rnn->hidden;
    float *in = gates, *out = gates + n, *forget = gates + 2 * n, *cell = gates + 3 * n;

    for (int64_t k = 0; p != NULL && k < n; k++) {
        in[k] += p[k] * c[k];
        forget[k] += p[2 * n + k] * c[k];
    }
    clip(rnn, in, n);
    clip(rnn, forget, 2 * n); /* and cell */
    apply(act[0], in, n);
    apply(act[0], forget, n);
    apply(act[1], cell, n);
    for (int64_t k = 0; k < n; k++) {
        float f = rnn->input_forget ? 1 - in[k] : forget[k];
        c[k] = f * c[k] + in[k] * cell[k];
        h[k] = c[k];
        if (p != NULL)
            out[k] += p[n + k] * c[k];
    }
    clip(rnn, out, n);
    apply(act[0], out, n);
    apply(act[2], h, n);
    for (int64_t k = 0; k < n; k++)
        h[k] *= out[k];
}

/* h becomes (1 - z) * candidate + z * h. */
static void gru_mix(const Rnn *rnn, const float *z, const float *candidate, float *h)
{
    for (int64_t k = 0; k < rnn->hidden; k++)
        h[k] = (1 - z[k]) * candidate[k] + z[k] * h[k];
}

static void add(float *to, const float *from, int64_t n)
{
    for (int64_t k = 0; k < n; k++)
        to[k] += from[k];
}

/* ---- one direction ----------------------------------------------------------------------------------------------- */

typedef struct Buffers {
    float *gates;     /* (S*B, G*H) */
    float *recurrent; /* (B, G*H): h R^T of this step */
    float *reset;     /* (B, H): GRU, r * h */
    float *h, *c;     /* (B, H) */
} Buffers;

static Matrix matrix(const float *data, int64_t row, int64_t column)
{
    return (Matrix){.data = data, .row = row, .column = column};
}

/* What DynamicQuantizeLinear and DequantizeLinear make of n numbers. */
static void round_to_8_bits(const float *from, int64_t n, float *to)
{
    float low = 0, high = 0;

    for (int64_t i = 0; i < n; i++) {
        low = fminf(low, from[i]);
        high = fmaxf(high, from[i]);
    }
    float scale = (high - low) / 255, step = scale > 0 && isfinite(scale) ? scale : 1;
    float zero = rintf(fminf(fmaxf(0 - low / step, 0), 255));
    for (int64_t i = 0; i < n; i++)
        to[i] = (fminf(fmaxf(rintf(from[i] / step) + zero, 0), 255) - zero) * step;
}

/* c (m, n) = a (m, k) * weight (n, k)^T */
static void product(Team *team, const Rnn *rnn, int64_t m, int64_t n, int64_t k, const float *a, const float *weight,
                    float *c)
{
    if (rnn->rounded != NULL) {
        round_to_8_bits(a, m * k, rnn->rounded);
        a = rnn->rounded;
    }
    gemm_float(team, 1, NULL, m, n, k, matrix(a, k, 1), matrix(weight, 1, k), c);
}

static void gru_step(Team *team, const Rnn *rnn, int d, const Buffers *buffers, const int64_t *rows, const bool *active)
{
    int64_t n = rnn->hidden, wide = 3 * n;
    const float *r = rnn->r + d * wide * n, *bias = rnn->b != NULL ? rnn->b + d * 2 * wide + wide + 2 * n : NULL;

    product(team, rnn, rnn->batch, rnn->linear_before_reset ? wide : 2 * n, n, buffers->h, r, buffers->recurrent);
    for (int64_t b = 0; b < rnn->batch; b++) {
        float *gates = buffers->gates + rows[b] * wide;
        float *recurrent = buffers->recurrent + b * (rnn->linear_before_reset ? wide : 2 * n);
        if (!active[b])
            continue;
        add(gates, recurrent, 2 * n);
        clip(rnn, gates, 2 * n);
        apply(rnn->act[d][0], gates, 2 * n);
        for (int64_t k = 0; k < n; k++) {
            if (rnn->linear_before_reset)
                gates[2 * n + k] += gates[n + k] * (recurrent[2 * n + k] + (bias != NULL ? bias[k] : 0));
            else
                buffers->reset[b * n + k] = gates[n + k] * buffers->h[b * n + k];
        }
    }
    if (!rnn->linear_before_reset)
        product(team, rnn, rnn->batch, n, n, buffers->reset, r + 2 * n * n, buffers->recurrent);
    for (int64_t b = 0; b < rnn->batch; b++) {
        float *gates = buffers->gates + rows[b] * wide, *candidate = gates + 2 * n;
        if (!active[b])
            continue;
        if (!rnn->linear_before_reset)
            add(candidate, buffers->recurrent + b * n, n);
        clip(rnn, candidate, n);
        apply(rnn->act[d][1], candidate, n);
        gru_mix(rnn, gates, candidate, buffers->h + b * n);
    }
}

static void plain_step(Team *team, const Rnn *rnn, int d, const Buffers *buffers, const int64_t *rows,
                       const bool *active)
{
    int64_t n = rnn->hidden, wide = rnn->gates * n;

    product(team, rnn, rnn->batch, wide, n, buffers->h, rnn->r + d * wide * n, buffers->recurrent);
    for (int64_t b = 0; b < rnn->batch; b++) {
        float *gates = buffers->gates + rows[b] * wide, *h = buffers->h + b * n;
        if (!active[b])
            continue;
        add(gates, buffers->recurrent + b * wide, wide);
        if (rnn->cell == CELL_LSTM) {
            lstm_cell(rnn, rnn->act[d], gates, rnn->peephole != NULL ? rnn->peephole + d * 3 * n : NULL, h,
                      buffers->c + b * n);
            continue;
        }
        clip(rnn, gates, n);
        apply(rnn->act[d][0], gates, n);
        memcpy(h, gates, (size_t)n * sizeof(float));
    }
}

/* W's bias and R's, (G*H) each, onto every row; GRU adds R's for the candidate inside the reset when it is linear
 * before. */
static void add_biases(const Rnn *rnn, int d, float *gates)
{
    int64_t wide = rnn->gates * rnn->hidden, second = rnn->linear_before_reset ? 2 * rnn->hidden : wide;
    const float *bias = rnn->b != NULL ? rnn->b + d * 2 * wide : NULL;

    for (int64_t row = 0; bias != NULL && row < rnn->steps * rnn->batch; row++) {
        add(gates + row * wide, bias, wide);
        add(gates + row * wide, bias + wide, second);
    }
}

static void run_direction(EvalCtx *ctx, const Rnn *rnn, int d, bool backward, const Buffers *buffers)
{
    int64_t n = rnn->hidden, wide = rnn->gates * n;
    int64_t *rows = arena_array(ctx->scratch, (size_t)rnn->batch, sizeof *rows);
    bool *active = arena_array(ctx->scratch, (size_t)rnn->batch, sizeof *active);

    product(ctx->team, rnn, rnn->steps * rnn->batch, wide, rnn->inputs, rnn->x, rnn->w + d * wide * rnn->inputs,
            buffers->gates);
    add_biases(rnn, d, buffers->gates);
    for (int64_t s = 0; s < rnn->steps; s++) {
        for (int64_t b = 0; b < rnn->batch; b++) {
            int64_t length = rnn->lengths != NULL ? rnn->lengths[b] : rnn->steps, t = backward ? length - 1 - s : s;
            active[b] = s < length;
            rows[b] = !active[b] ? 0 : rnn->batch_first ? b * rnn->steps + t : t * rnn->batch + b;
        }
        if (rnn->cell == CELL_GRU)
            gru_step(ctx->team, rnn, d, buffers, rows, active);
        else
            plain_step(ctx->team, rnn, d, buffers, rows, active);
        for (int64_t b = 0; b < rnn->batch && rnn->y != NULL; b++) {
            int64_t t = rnn->batch_first ? rows[b] - b * rnn->steps : (rows[b] - b) / MAX(rnn->batch, 1);
            int64_t place = rnn->batch_first ? (b * rnn->steps + t) * rnn->directions + d
                                             : (t * rnn->directions + d) * rnn->batch + b;
            if (active[b])
                memcpy(rnn->y + place * n, buffers->h + b * n, (size_t)n * sizeof(float));
        }
    }
    for (int64_t b = 0; b < rnn->batch; b++) {
        int64_t place = (rnn->batch_first ? b * rnn->directions + d : d * rnn->batch + b) * n;
        if (rnn->y_h != NULL)
            memcpy(rnn->y_h + place, buffers->h + b * n, (size_t)n * sizeof(float));
        if (rnn->y_c != NULL)
            memcpy(rnn->y_c + place, buffers->c + b * n, (size_t)n * sizeof(float));
    }
}

/* ---- checks and buffers ------------------------------------------------------------------------------------------ */

static Status expect_shape(const EvalCtx *ctx, int i, const char *name, int rank, int64_t a, int64_t b, int64_t c)
{
    const Tensor *x = eval_in(ctx, i);
    int64_t dims[3] = {a, b, c};
    bool fits;

    if (x == NULL)
        return NULL;
    if (x->dtype != DT_FLOAT)
        return eval_bad_dtype(ctx, i);
    fits = x->rank == rank;
    for (int k = 0; fits && k < rank; k++)
        fits = x->dims[k] == dims[k];
    if (!fits)
        return eval_error(ctx, CODE_MODEL, "%s is %s, expected %lldx%lldx%lld", name,
                          tensor_shape_text(ctx->scratch, x), (long long)a, (long long)b, (long long)c);
    return NULL;
}

/* Directions: 1, or 2 when bidirectional. */
static Status read_direction(const Node *node, int64_t *ret_directions, bool *ret_reverse)
{
    const char *direction = node_string(node, "direction", "forward");
    bool both = strcmp(direction, "bidirectional") == 0;

    *ret_directions = both ? 2 : 1;
    *ret_reverse = strcmp(direction, "reverse") == 0;
    if (!both && !*ret_reverse && strcmp(direction, "forward") != 0)
        return node_error(node, CODE_MODEL, "direction '%s' is not one of forward, reverse, bidirectional", direction);
    return NULL;
}

static Status read_sizes(EvalCtx *ctx, Rnn *rnn)
{
    const Tensor *x = ctx->in[0], *r = ctx->in[2];
    int64_t b, h, n, *lengths, d = rnn->directions;
    bool first = rnn->batch_first;

    if (x->dtype != DT_FLOAT)
        return eval_bad_dtype(ctx, 0);
    if (x->rank != 3 || r->rank != 3)
        return eval_error(ctx, CODE_MODEL, "X and R must have rank 3");
    rnn->steps = x->dims[first ? 1 : 0];
    rnn->batch = b = x->dims[first ? 0 : 1];
    rnn->inputs = x->dims[2];
    rnn->hidden = h = r->dims[2];
    if (node_int(ctx->node, "hidden_size", h) != h)
        return eval_error(ctx, CODE_MODEL, "hidden_size is %lld, R has %lld",
                          (long long)node_int(ctx->node, "hidden_size", h), (long long)h);
    TRY(expect_shape(ctx, 1, "W", 3, d, rnn->gates * h, rnn->inputs));
    TRY(expect_shape(ctx, 2, "R", 3, d, rnn->gates * h, h));
    TRY(expect_shape(ctx, 3, "B", 2, d, 2 * rnn->gates * h, 1));
    TRY(expect_shape(ctx, 5, "initial_h", 3, first ? b : d, first ? d : b, h));
    if (rnn->cell == CELL_LSTM) {
        TRY(expect_shape(ctx, 6, "initial_c", 3, first ? b : d, first ? d : b, h));
        TRY(expect_shape(ctx, 7, "P", 2, d, 3 * h, 1));
    }
    TRY(eval_ints(ctx, 4, &lengths, &n));
    if (n >= 0 && n != b)
        return eval_error(ctx, CODE_MODEL, "%lld sequence lengths for a batch of %lld", (long long)n, (long long)b);
    for (int64_t i = 0; i < n; i++)
        if (lengths[i] < 0 || lengths[i] > rnn->steps)
            return eval_error(ctx, CODE_MODEL, "sequence length %lld is beyond %lld steps", (long long)lengths[i],
                              (long long)rnn->steps);
    rnn->lengths = lengths;
    rnn->x = x->data;
    rnn->w = ctx->in[1]->data;
    rnn->r = r->data;
    rnn->b = eval_in(ctx, 3) != NULL ? ctx->in[3]->data : NULL;
    rnn->peephole = rnn->cell == CELL_LSTM && eval_in(ctx, 7) != NULL ? ctx->in[7]->data : NULL;
    return NULL;
}

static Status take_outputs(EvalCtx *ctx, Rnn *rnn)
{
    int64_t s = rnn->steps, b = rnn->batch, d = rnn->directions, h = rnn->hidden;
    const int64_t y[4] = {rnn->batch_first ? b : s, rnn->batch_first ? s : d, rnn->batch_first ? d : b, h};
    const int64_t last[3] = {rnn->batch_first ? b : d, rnn->batch_first ? d : b, h};

    if (eval_wants(ctx, 0)) {
        TRY(eval_output(ctx, 0, DT_FLOAT, 4, y));
        rnn->y = ctx->out[0].data;
        if (ctx->out[0].bytes > 0)
            memset(rnn->y, 0, ctx->out[0].bytes);
    }
    if (eval_wants(ctx, 1)) {
        TRY(eval_output(ctx, 1, DT_FLOAT, 3, last));
        rnn->y_h = ctx->out[1].data;
    }
    if (eval_wants(ctx, 2)) {
        TRY(eval_output(ctx, 2, DT_FLOAT, 3, last));
        rnn->y_c = ctx->out[2].data;
    }
    return NULL;
}

static Status take_floats(EvalCtx *ctx, int64_t a, int64_t b, int64_t c, float **ret)
{
    const int64_t dims[3] = {a, b, c};
    size_t bytes;
    void *data;

    TRY(tensor_measure(DT_FLOAT, 3, dims, NULL, &bytes));
    TRY(eval_scratch(ctx, bytes, &data));
    *ret = data;
    return NULL;
}

static void initial_state(const Rnn *rnn, const Tensor *from, int d, float *to)
{
    size_t row = (size_t)rnn->hidden * sizeof(float);

    for (int64_t b = 0; b < rnn->batch; b++) {
        int64_t place = rnn->batch_first ? b * rnn->directions + d : d * rnn->batch + b;
        if (from != NULL)
            memcpy(to + b * rnn->hidden, (const float *)from->data + place * rnn->hidden, row);
        else
            memset(to + b * rnn->hidden, 0, row);
    }
}

static Status eval_cell(EvalCtx *ctx, Cell cell, bool rounded)
{
    Rnn rnn = {.cell = cell, .gates = cell == CELL_LSTM ? 4 : cell == CELL_GRU ? 3 : 1};
    Buffers buffers = {0};
    bool reverse;

    TRY(read_direction(ctx->node, &rnn.directions, &reverse));
    rnn.batch_first = node_int(ctx->node, "layout", 0) != 0;
    rnn.input_forget = node_int(ctx->node, "input_forget", 0) != 0;
    rnn.linear_before_reset = cell == CELL_GRU && node_int(ctx->node, "linear_before_reset", 0) != 0;
    rnn.clip = node_float(ctx->node, "clip", 0);
    TRY(read_activations(ctx, &rnn));
    TRY(read_sizes(ctx, &rnn));
    TRY(take_outputs(ctx, &rnn));
    if (rnn.batch == 0 || rnn.hidden == 0)
        return NULL;
    if (rounded)
        TRY(take_floats(ctx, MAX(rnn.steps, 1), rnn.batch, MAX(rnn.inputs, rnn.hidden), &rnn.rounded));
    TRY(take_floats(ctx, rnn.steps, rnn.batch, rnn.gates * rnn.hidden, &buffers.gates));
    TRY(take_floats(ctx, 1, rnn.batch, rnn.gates * rnn.hidden, &buffers.recurrent));
    TRY(take_floats(ctx, 1, rnn.batch, rnn.hidden, &buffers.reset));
    TRY(take_floats(ctx, 1, rnn.batch, rnn.hidden, &buffers.h));
    TRY(take_floats(ctx, 1, rnn.batch, rnn.hidden, &buffers.c));
    memset(buffers.reset, 0, (size_t)(rnn.batch * rnn.hidden) * sizeof(float));
    for (int d = 0; d < (int)rnn.directions; d++) {
        initial_state(&rnn, eval_in(ctx, 5), d, buffers.h);
        initial_state(&rnn, cell == CELL_LSTM ? eval_in(ctx, 6) : NULL, d, buffers.c);
        run_direction(ctx, &rnn, d, reverse || d == 1, &buffers);
    }
    return NULL;
}

static Status eval_lstm(EvalCtx *ctx)
{
    return eval_cell(ctx, CELL_LSTM, false);
}

static Status eval_gru(EvalCtx *ctx)
{
    return eval_cell(ctx, CELL_GRU, false);
}

static Status eval_rnn(EvalCtx *ctx)
{
    return eval_cell(ctx, CELL_RNN, false);
}

/* ---- DynamicQuantizeLSTM ----------------------------------------------------------------------------------------- */

enum { DYNAMIC_W_SCALE = 8, DYNAMIC_W_ZERO, DYNAMIC_R_SCALE, DYNAMIC_R_ZERO, LSTM_INPUTS = 8 };

/* Weight i (D, k, 4H) with a scale and a zero point for each direction, or for each column, as floats (D, 4H, k). */
static Status dequantize_weight(EvalCtx *ctx, int i, int scale_input, Tensor *ret)
{
    const Tensor *weight = ctx->in[i], *scale = eval_in(ctx, scale_input), *zero = eval_in(ctx, scale_input + 1);
    float *data;

    if (weight->dtype != DT_UINT8 && weight->dtype != DT_INT8)
        return eval_bad_dtype(ctx, i);
    if (weight->rank != 3 || scale == NULL || scale->dtype != DT_FLOAT || scale->rank < 1 ||
        (scale->count != weight->dims[0] && scale->count != weight->dims[0] * weight->dims[2]) ||
        (zero != NULL && (zero->count != scale->count || zero->dtype != weight->dtype)))
        return eval_error(ctx, CODE_MODEL, "input %d (%s) does not fit its scale and zero point", i,
                          tensor_shape_text(ctx->scratch, weight));
    int64_t k = weight->dims[1], n = weight->dims[2], each = scale->count == weight->dims[0] ? 1 : n;
    TRY(take_floats(ctx, weight->dims[0], n, k, &data));
    TRY(tensor_view(ret, DT_FLOAT, 3, (int64_t[]){weight->dims[0], n, k}, data));
    for (int64_t d = 0; d < weight->dims[0]; d++)
        for (int64_t column = 0; column < n; column++)
            for (int64_t row = 0; row < k; row++) {
                int64_t at = d * each + (each == 1 ? 0 : column);
                int64_t q = tensor_get_int(weight, (d * k + row) * n + column) - (zero == NULL ? 0 : tensor_get_int(zero, at));
                data[(d * n + column) * k + row] = (float)q * ((const float *)scale->data)[at];
            }
    return NULL;
}

static Status eval_dynamic_lstm(EvalCtx *ctx)
{
    const Tensor *in[LSTM_INPUTS], *const *own = ctx->in;
    int n_own = ctx->n_in;
    Tensor w, r;

    TRY(dequantize_weight(ctx, 1, DYNAMIC_W_SCALE, &w));
    TRY(dequantize_weight(ctx, 2, DYNAMIC_R_SCALE, &r));
    for (int i = 0; i < LSTM_INPUTS; i++)
        in[i] = i == 1 ? &w : i == 2 ? &r : eval_in(ctx, i);
    ctx->in = in; /* those of an LSTM, for a moment */
    ctx->n_in = LSTM_INPUTS;
    Status status = eval_cell(ctx, CELL_LSTM, true);
    ctx->in = own;
    ctx->n_in = n_own;
    return status;
}

/* ---- inference --------------------------------------------------------------------------------------------------- */

static Status infer_rnn(Node *node)
{
    Shape x = infer_shape(node, 0), r = infer_shape(node, 2), y = {.rank = 4}, last = {.rank = 3};
    bool first = node_int(node, "layout", 0) != 0, reverse;
    int64_t directions, hidden = node_int(node, "hidden_size", -1);
    Dim s = DIM_UNKNOWN, b = DIM_UNKNOWN, h = DIM_UNKNOWN, d;

    TRY(read_direction(node, &directions, &reverse));
    d = dim_known(directions);
    if (x.rank >= 0 && x.rank != 3)
        return node_error(node, CODE_MODEL, "X has rank %d, expected 3", x.rank);
    if (x.rank == 3) {
        s = x.dims[first ? 1 : 0];
        b = x.dims[first ? 0 : 1];
    }
    if (r.rank == 3)
        h = r.dims[2];
    if (!dim_is_known(h) && hidden >= 0)
        h = dim_known(hidden);
    y.dims[0] = first ? b : s;
    y.dims[1] = first ? s : d;
    y.dims[2] = first ? d : b;
    y.dims[3] = h;
    last.dims[0] = first ? b : d;
    last.dims[1] = first ? d : b;
    last.dims[2] = h;
    infer_output(node, 0, infer_dtype(node, 0), &y);
    infer_output(node, 1, infer_dtype(node, 0), &last);
    infer_output(node, 2, infer_dtype(node, 0), &last);
    return NULL;
}

/* R is (D, H, 4H) there. */
static Status infer_dynamic_lstm(Node *node)
{
    Shape r = infer_shape(node, 2);

    if (r.rank >= 0 && r.rank != 3)
        return node_error(node, CODE_MODEL, "R has rank %d, expected 3", r.rank);
    TRY(infer_rnn(node));
    for (int i = 0; i < 3; i++) {
        Value *out = i < node->n_out ? node->out[i] : NULL;
        if (out != NULL && r.rank == 3)
            out->type.shape.dims[out->type.shape.rank - 1] = r.dims[1];
    }
    return NULL;
}

#define RNN_ATTRS                                                                                                      \
    {"activation_alpha", ATTR_FLOATS, false}, {"activation_beta", ATTR_FLOATS, false},                                 \
        {"activations", ATTR_STRINGS, false}, {"clip", ATTR_FLOAT, false}, {"direction", ATTR_STRING, false},          \
        {"hidden_size", ATTR_INT, false}, {"layout", ATTR_INT, false}, {"output_sequence", ATTR_INT, false}
static const AttrSpec rnn_attrs[] = {RNN_ATTRS, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec gru_attrs[] = {
    RNN_ATTRS, {"linear_before_reset", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec lstm_attrs[] = {RNN_ATTRS, {"input_forget", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};

const OpDef op_lstm = {
    .type = "LSTM", .domain = "", .versions = {7, 14, 22}, .min_in = 3, .max_in = 8, .min_out = 0, .max_out = 3,
    .attrs = lstm_attrs, .infer = infer_rnn, .eval = eval_lstm, .quant = RULE_FLOAT, .widen_half = true,
    .narrow_double = true,
};
const OpDef op_ms_dynamicquantizelstm = {
    .type = "DynamicQuantizeLSTM", .domain = DOMAIN_MICROSOFT, .versions = {1}, .min_in = 3, .max_in = 12, .min_out = 0,
    .max_out = 3, .attrs = lstm_attrs, .infer = infer_dynamic_lstm, .eval = eval_dynamic_lstm, .quant = RULE_FLOAT,
};
const OpDef op_gru = {
    .type = "GRU", .domain = "", .versions = {7, 14, 22}, .min_in = 3, .max_in = 6, .min_out = 0, .max_out = 2,
    .attrs = gru_attrs, .infer = infer_rnn, .eval = eval_gru, .quant = RULE_FLOAT, .widen_half = true,
    .narrow_double = true,
};
const OpDef op_rnn = {
    .type = "RNN", .domain = "", .versions = {7, 14, 22}, .min_in = 3, .max_in = 6, .min_out = 0, .max_out = 2,
    .attrs = rnn_attrs, .infer = infer_rnn, .eval = eval_rnn, .quant = RULE_FLOAT, .widen_half = true,
    .narrow_double = true,
};
