/* rnn.c - one direction of LSTM, GRU and RNN, step by step; see rnn.h.
 *
 * Products of constant weights run in panels, activations and products in vectors; with plain gemm_float() instead it is the
 * reference. Formulas: the ONNX operator specification.
 */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "src/kernels/vector_math.h"
#include "src/ops/rnn.h"

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
Status rnn_read_activations(const EvalCtx *ctx, Rnn *rnn)
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

CPU_BODY void sigmoid_row_body(float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = vector_sigmoid(x[i]);
}

CPU_BODY void tanh_row_body(float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = vector_tanh(x[i]);
}

CPU_LEVELS(static, sigmoid_row, (float *x, int64_t n), (x, n))
CPU_LEVELS(static, tanh_row, (float *x, int64_t n), (x, n))

static void apply(Act act, float *x, int64_t n)
{
    if (act.fn == act_sigmoid)
        sigmoid_row(x, n);
    else if (act.fn == act_tanh)
        tanh_row(x, n);
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

/* c (m, n) = a (m, k) * factor (n, k)^T */
static FloatProduct panel_product(int64_t m, int64_t k, const float *a, const Factor *factor, float *c)
{
    return (FloatProduct){.batch = 1, .m = m, .n = factor->n, .k = k, .a = matrix(a, k, 1), .packed = factor->panels, .c = c};
}

static void product(Team *team, const Buffers *buffers, int64_t m, int64_t k, const float *a, const Factor *factor, float *c)
{
    if (buffers->rounded != NULL) {
        round_to_8_bits(a, m * k, buffers->rounded);
        a = buffers->rounded;
    }
    if (factor->panels != NULL) {
        FloatProduct fast = panel_product(m, k, a, factor, c);
        product_floats(team, &fast, buffers->scratch);
    } else {
        gemm_float(team, 1, NULL, m, factor->n, k, matrix(a, k, 1), matrix(factor->rows, 1, k), c);
    }
}

size_t rnn_scratch(const Rnn *rnn, int threads)
{
    const Weights *weights = &rnn->weights[0];
    FloatProduct of_inputs = panel_product(rnn->steps * rnn->batch, rnn->inputs, NULL, &weights->w, NULL);
    FloatProduct of_step = panel_product(rnn->batch, rnn->hidden, NULL, &weights->r, NULL);
    FloatProduct of_candidate = panel_product(rnn->batch, rnn->hidden, NULL, &weights->r_candidate, NULL);
    size_t steps = MAX(product_floats_scratch(&of_step, threads), product_floats_scratch(&of_candidate, threads));

    return MAX(product_floats_scratch(&of_inputs, threads), steps);
}

static void gru_step(Team *team, const Rnn *rnn, int d, const Buffers *buffers)
{
    const int64_t *rows = buffers->rows;
    const bool *active = buffers->active;
    int64_t n = rnn->hidden, wide = 3 * n;
    const Weights *weights = &rnn->weights[d];
    const float *bias = rnn->b != NULL ? rnn->b + d * 2 * wide + wide + 2 * n : NULL;

    product(team, buffers, rnn->batch, n, buffers->h, &weights->r, buffers->recurrent);
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
        product(team, buffers, rnn->batch, n, buffers->reset, &weights->r_candidate, buffers->recurrent);
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

static void plain_step(Team *team, const Rnn *rnn, int d, const Buffers *buffers)
{
    const int64_t *rows = buffers->rows;
    const bool *active = buffers->active;
    int64_t n = rnn->hidden, wide = rnn->gates * n;

    product(team, buffers, rnn->batch, n, buffers->h, &rnn->weights[d].r, buffers->recurrent);
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

void rnn_run_direction(Team *team, const Rnn *rnn, int d, bool backward, const Buffers *buffers)
{
    int64_t n = rnn->hidden, *rows = buffers->rows;
    bool *active = buffers->active;

    product(team, buffers, rnn->steps * rnn->batch, rnn->inputs, rnn->x, &rnn->weights[d].w, buffers->gates);
    add_biases(rnn, d, buffers->gates);
    for (int64_t s = 0; s < rnn->steps; s++) {
        for (int64_t b = 0; b < rnn->batch; b++) {
            int64_t length = rnn->lengths != NULL ? rnn->lengths[b] : rnn->steps, t = backward ? length - 1 - s : s;
            active[b] = s < length;
            rows[b] = !active[b] ? 0 : rnn->batch_first ? b * rnn->steps + t : t * rnn->batch + b;
        }
        if (rnn->cell == CELL_GRU)
            gru_step(team, rnn, d, buffers);
        else
            plain_step(team, rnn, d, buffers);
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
