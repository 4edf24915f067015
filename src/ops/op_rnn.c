/* op_rnn.c - LSTM, GRU and RNN: all directions, layouts, activations, sequence lengths, peepholes; and com.microsoft's
 * DynamicQuantizeLSTM, whose weights are 8-bit and whose left factors are rounded to 8 bits before each product. What is checked
 * and what is kept; the steps are in rnn.c, the letters in rnn.h.
 */
#include <string.h>

#include "src/ops/rnn.h"

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

/* The right sides of the products of direction d. */
static Status take_weights(EvalCtx *ctx, Rnn *rnn, int d, bool panels)
{
    int64_t n = rnn->hidden, wide = rnn->gates * n;
    bool apart = rnn->cell == CELL_GRU && !rnn->linear_before_reset;
    const float *w = rnn->w + d * wide * rnn->inputs, *r = rnn->r + d * wide * n;
    Weights *weights = &rnn->weights[d];
    struct {
        Factor *factor;
        int input;
        int64_t k;
    } parts[] = {{&weights->w, 1, rnn->inputs}, {&weights->r, 2, n}, {&weights->r_candidate, 2, n}};

    weights->w = (Factor){w, NULL, wide};
    weights->r = (Factor){r, NULL, apart ? 2 * n : wide};
    weights->r_candidate = (Factor){r + 2 * n * n * (apart ? 1 : 0), NULL, apart ? n : 0};
    for (size_t i = 0; panels && i < COUNT_OF(parts); i++) {
        Factor *factor = parts[i].factor;
        Matrix turned = {.data = factor->rows, .type = KERNEL_FLOAT, .row = 1, .column = parts[i].k};
        if (factor->n > 0)
            TRY(heavy_panels(ctx, parts[i].input, d * (int64_t)COUNT_OF(parts) + (int64_t)i, parts[i].k, factor->n, turned,
                             &factor->panels));
    }
    return NULL;
}

static Status take_buffers(EvalCtx *ctx, const Rnn *rnn, bool rounded, int threads, Buffers *ret)
{
    int64_t batch = rnn->batch, n = rnn->hidden;
    Buffers buffers = {.rows = arena_array(ctx->scratch, (size_t)batch, sizeof(int64_t)),
                       .active = arena_array(ctx->scratch, (size_t)batch, sizeof(bool))};

    if (rounded)
        TRY(take_floats(ctx, MAX(rnn->steps, 1), batch, MAX(rnn->inputs, n), &buffers.rounded));
    TRY(take_floats(ctx, rnn->steps, batch, rnn->gates * n, &buffers.gates));
    TRY(take_floats(ctx, 1, batch, rnn->gates * n, &buffers.recurrent));
    TRY(take_floats(ctx, 1, batch, n, &buffers.reset));
    TRY(take_floats(ctx, 1, batch, n, &buffers.h));
    TRY(take_floats(ctx, 1, batch, n, &buffers.c));
    TRY(eval_scratch(ctx, rnn_scratch(rnn, threads), &buffers.scratch));
    memset(buffers.reset, 0, (size_t)(batch * n) * sizeof(float));
    *ret = buffers;
    return NULL;
}

typedef struct Both {
    const Rnn *rnn;
    bool reverse;
    Buffers buffers[2];
} Both;

static void run_one(void *context, int64_t d, int worker)
{
    const Both *both = context;

    (void)worker;
    rnn_run_direction(NULL, both->rnn, (int)d, both->reverse || d == 1, &both->buffers[d]);
}

/* Two directions go side by side, on a thread each; one has the whole team for its products. */
static Status eval_cell(EvalCtx *ctx, Cell cell, bool rounded, bool panels)
{
    Rnn rnn = {.cell = cell, .gates = cell == CELL_LSTM ? 4 : cell == CELL_GRU ? 3 : 1};
    Both both = {.rnn = &rnn};

    TRY(read_direction(ctx->node, &rnn.directions, &both.reverse));
    rnn.batch_first = node_int(ctx->node, "layout", 0) != 0;
    rnn.input_forget = node_int(ctx->node, "input_forget", 0) != 0;
    rnn.linear_before_reset = cell == CELL_GRU && node_int(ctx->node, "linear_before_reset", 0) != 0;
    rnn.clip = node_float(ctx->node, "clip", 0);
    TRY(rnn_read_activations(ctx, &rnn));
    TRY(read_sizes(ctx, &rnn));
    TRY(take_outputs(ctx, &rnn));
    if (rnn.batch == 0 || rnn.hidden == 0)
        return NULL;
    for (int d = 0; d < (int)rnn.directions; d++) {
        TRY(take_weights(ctx, &rnn, d, panels));
        TRY(take_buffers(ctx, &rnn, rounded, rnn.directions == 1 ? heavy_threads(ctx) : 1, &both.buffers[d]));
        initial_state(&rnn, eval_in(ctx, 5), d, both.buffers[d].h);
        initial_state(&rnn, cell == CELL_LSTM ? eval_in(ctx, 6) : NULL, d, both.buffers[d].c);
    }
    if (rnn.directions == 1)
        rnn_run_direction(ctx->team, &rnn, 0, both.reverse, &both.buffers[0]);
    else
        team_run(ctx->team, rnn.directions, run_one, &both);
    return NULL;
}

#define RNN_EVAL(name, cell)                                                                                           \
    static Status eval_##name(EvalCtx *ctx)                                                                            \
    {                                                                                                                  \
        return eval_cell(ctx, cell, false, false);                                                                     \
    }                                                                                                                  \
    static Status eval_##name##_fast(EvalCtx *ctx)                                                                     \
    {                                                                                                                  \
        return eval_cell(ctx, cell, false, true);                                                                      \
    }
RNN_EVAL(lstm, CELL_LSTM)
RNN_EVAL(gru, CELL_GRU)
RNN_EVAL(rnn, CELL_RNN)

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
    Status status = eval_cell(ctx, CELL_LSTM, true, false);
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

static bool accepts_floats(const EvalCtx *ctx)
{
    return ctx->in[0]->dtype == DT_FLOAT && ctx->in[1]->dtype == DT_FLOAT && ctx->in[2]->dtype == DT_FLOAT;
}

static const OpImpl lstm_impls[] = {{"panels", accepts_floats, eval_lstm_fast}, {NULL, NULL, NULL}};
static const OpImpl gru_impls[] = {{"panels", accepts_floats, eval_gru_fast}, {NULL, NULL, NULL}};
static const OpImpl rnn_impls[] = {{"panels", accepts_floats, eval_rnn_fast}, {NULL, NULL, NULL}};

const OpDef op_lstm = {
    .type = "LSTM", .domain = "", .versions = {7, 14, 22}, .min_in = 3, .max_in = 8, .min_out = 0, .max_out = 3,
    .attrs = lstm_attrs, .infer = infer_rnn, .eval = eval_lstm, .impls = lstm_impls, .quant = RULE_FLOAT,
    .widen_half = true, .narrow_double = true,
};
const OpDef op_ms_dynamicquantizelstm = {
    .type = "DynamicQuantizeLSTM", .domain = DOMAIN_MICROSOFT, .versions = {1}, .min_in = 3, .max_in = 12, .min_out = 0,
    .max_out = 3, .attrs = lstm_attrs, .infer = infer_dynamic_lstm, .eval = eval_dynamic_lstm, .quant = RULE_FLOAT,
};
const OpDef op_gru = {
    .type = "GRU", .domain = "", .versions = {7, 14, 22}, .min_in = 3, .max_in = 6, .min_out = 0, .max_out = 2,
    .attrs = gru_attrs, .infer = infer_rnn, .eval = eval_gru, .impls = gru_impls, .quant = RULE_FLOAT,
    .widen_half = true, .narrow_double = true,
};
const OpDef op_rnn = {
    .type = "RNN", .domain = "", .versions = {7, 14, 22}, .min_in = 3, .max_in = 6, .min_out = 0, .max_out = 2,
    .attrs = rnn_attrs, .infer = infer_rnn, .eval = eval_rnn, .impls = rnn_impls, .quant = RULE_FLOAT,
    .widen_half = true, .narrow_double = true,
};
