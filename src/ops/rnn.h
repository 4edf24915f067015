/* rnn.h - what LSTM, GRU and RNN share: sizes and weights of a node, and the run of one direction. Internal to src/ops.
 *
 * Letters: S steps, B batch, I input size, H hidden size, D directions, G gates (LSTM 4 iofc, GRU 3 zrh, RNN 1).
 *
 *     gates (S*B, G*H) = X W^T + biases        for all steps at once
 *     for each step:   gates[t] + h R^T  ->  h (B, H)
 */
#ifndef QUANTIZE_OPS_RNN_H
#define QUANTIZE_OPS_RNN_H

#include "src/ops/heavy.h"

typedef enum Cell { CELL_RNN, CELL_GRU, CELL_LSTM } Cell;

typedef struct Act {
    float (*fn)(float x, float a, float b);
    float a, b;
} Act;

/* The right side of a product: rows (n, k) of a weight, and the same in panels where they are used. */
typedef struct Factor {
    const float *rows, *panels;
    int64_t n;
} Factor;

/* Of one direction. GRU takes R for the gates z and r apart from that for the candidate, unless linear_before_reset. */
typedef struct Weights {
    Factor w, r, r_candidate;
} Weights;

typedef struct Rnn {
    Cell cell;
    int64_t steps, batch, inputs, hidden, directions, gates;
    bool batch_first, input_forget, linear_before_reset;
    float clip;              /* 0: none */
    Act act[2][3];           /* by direction */
    const int64_t *lengths;  /* (B,) or NULL */
    const float *x, *w, *r, *b, *peephole;
    Weights weights[2];      /* by direction */
    float *y, *y_h, *y_c;    /* outputs, NULL when not wanted */
} Rnn;

/* What a direction needs for itself while it runs. */
typedef struct Buffers {
    float *gates;     /* (S*B, G*H) */
    float *recurrent; /* (B, G*H): h R^T of this step */
    float *reset;     /* (B, H): GRU, r * h */
    float *h, *c;     /* (B, H) */
    float *rounded;   /* room for X or h rounded to 8 bits, NULL: they are taken as they are */
    int64_t *rows;    /* (B,) where the step of each sample stands in the gates */
    bool *active;     /* (B,) */
    void *scratch;    /* of the products in panels */
} Buffers;

MUST_USE Status rnn_read_activations(const EvalCtx *ctx, Rnn *rnn);
/* Bytes that the products of a direction need besides, with that many threads. */
size_t rnn_scratch(const Rnn *rnn, int threads);
void rnn_run_direction(Team *team, const Rnn *rnn, int d, bool backward, const Buffers *buffers);

#endif
