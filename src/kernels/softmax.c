/* softmax.c - reference Softmax and LogSoftmax along the middle axis of (outer, n, inner).
 *
 *     softmax = exp(x - max) / sum exp(x - max)     log: x - max - log(sum)
 */
#include "src/kernels/kernels.h"
#include "src/kernels/vector_math.h"

#include <math.h>

typedef struct Softmax {
    SoftmaxKind kind;
    int64_t n, inner;
    const float *x;
    float *y;
} Softmax;

#define LANES 16  /* sums of a row, joined in one order: the same on every processor */
#define STRIP 128 /* columns side by side */

/* LogSoftmax of one line: sums in double, so that the logarithm of a sum near 1 keeps its digits. */
static void log_line(const float *x, float *y, int64_t n, int64_t step)
{
    float greatest = x[0];
    double sum = 0.0;

    for (int64_t k = 1; k < n; k++)
        greatest = x[k * step] > greatest ? x[k * step] : greatest;
    for (int64_t k = 0; k < n; k++)
        sum += exp((double)x[k * step] - (double)greatest);
    double log_sum = log(sum);
    for (int64_t k = 0; k < n; k++)
        y[k * step] = (float)((double)x[k * step] - (double)greatest - log_sum);
}

CPU_BODY void soft_row_body(const float *x, float *y, int64_t n)
{
    float most[LANES], greatest = x[0];
    double sums[LANES] = {0}, sum = 0.0;
    int64_t whole = n - n % LANES;

    for (int64_t l = 0; l < LANES; l++)
        most[l] = x[0];
    for (int64_t k = 0; k < whole; k += LANES)
        for (int64_t l = 0; l < LANES; l++)
            most[l] = x[k + l] > most[l] ? x[k + l] : most[l];
    for (int64_t l = 0; l < LANES; l++)
        greatest = most[l] > greatest ? most[l] : greatest;
    for (int64_t k = whole; k < n; k++)
        greatest = x[k] > greatest ? x[k] : greatest;
    for (int64_t k = 0; k < n; k++)
        y[k] = vector_exp(x[k] - greatest);
    for (int64_t k = 0; k < whole; k += LANES)
        for (int64_t l = 0; l < LANES; l++)
            sums[l] += (double)y[k + l];
    for (int64_t k = whole; k < n; k++)
        sums[k - whole] += (double)y[k];
    for (int64_t l = 0; l < LANES; l++)
        sum += sums[l];
    float inverse = (float)(1.0 / sum);
    for (int64_t k = 0; k < n; k++)
        y[k] *= inverse;
}

CPU_LEVELS(static, soft_row, (const float *x, float *y, int64_t n), (x, y, n))

/* Columns side by side, each along its own elements. */
CPU_BODY void soft_strip_body(const float *x, float *y, int64_t n, int64_t inner, int64_t columns)
{
    float greatest[STRIP];
    double sums[STRIP];

    for (int64_t c = 0; c < columns; c++) {
        greatest[c] = x[c];
        sums[c] = 0.0;
    }
    for (int64_t k = 1; k < n; k++)
        for (int64_t c = 0; c < columns; c++)
            greatest[c] = x[k * inner + c] > greatest[c] ? x[k * inner + c] : greatest[c];
    for (int64_t k = 0; k < n; k++)
        for (int64_t c = 0; c < columns; c++) {
            float part = vector_exp(x[k * inner + c] - greatest[c]);
            y[k * inner + c] = part;
            sums[c] += (double)part;
        }
    for (int64_t c = 0; c < columns; c++)
        greatest[c] = (float)(1.0 / sums[c]);
    for (int64_t k = 0; k < n; k++)
        for (int64_t c = 0; c < columns; c++)
            y[k * inner + c] *= greatest[c];
}

CPU_LEVELS(static, soft_strip, (const float *x, float *y, int64_t n, int64_t inner, int64_t columns),
           (x, y, n, inner, columns))

/* Item: a strip of one outer index. */
static void run_item(const Softmax *softmax, int64_t item)
{
    int64_t strips = (softmax->inner + STRIP - 1) / STRIP, first = item % strips * STRIP;
    int64_t at = item / strips * softmax->n * softmax->inner + first, columns = MIN(softmax->inner - first, STRIP);

    if (softmax->kind == LOG_SOFTMAX)
        for (int64_t c = 0; c < columns; c++)
            log_line(softmax->x + at + c, softmax->y + at + c, softmax->n, softmax->inner);
    else if (softmax->inner == 1)
        soft_row(softmax->x + at, softmax->y + at, softmax->n);
    else
        soft_strip(softmax->x + at, softmax->y + at, softmax->n, softmax->inner, columns);
}

static void run_range(void *context, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    for (int64_t item = begin; item < end; item++)
        run_item(context, item);
}

void softmax_float(Team *team, SoftmaxKind kind, int64_t outer, int64_t n, int64_t inner, const float *x, float *y)
{
    enum { ENOUGH = 1 << 11 }; /* elements worth handing to a thread */
    Softmax softmax = {kind, n, inner, x, y};
    if (n > 0 && inner > 0)
        team_split(team, outer * ((inner + STRIP - 1) / STRIP), ENOUGH / (n * MIN(inner, STRIP)) + 1, run_range, &softmax);
}
