/* softmax.c - reference Softmax and LogSoftmax along the middle axis of (outer, n, inner).
 *
 *     softmax = exp(x - max) / sum exp(x - max)     log: x - max - log(sum)
 */
#include "src/kernels/kernels.h"

#include <math.h>

typedef struct Softmax {
    SoftmaxKind kind;
    int64_t n, inner;
    const float *x;
    float *y;
} Softmax;

static void soft_line(SoftmaxKind kind, const float *x, float *y, int64_t n, int64_t step)
{
    float greatest = x[0];
    double sum = 0.0;

    for (int64_t k = 1; k < n; k++)
        greatest = x[k * step] > greatest ? x[k * step] : greatest;
    if (kind == LOG_SOFTMAX) {
        for (int64_t k = 0; k < n; k++)
            sum += exp((double)x[k * step] - (double)greatest);
        double log_sum = log(sum);
        for (int64_t k = 0; k < n; k++)
            y[k * step] = (float)((double)x[k * step] - (double)greatest - log_sum);
        return;
    }
    for (int64_t k = 0; k < n; k++) {
        y[k * step] = expf(x[k * step] - greatest);
        sum += (double)y[k * step];
    }
    float inverse = (float)(1.0 / sum);
    for (int64_t k = 0; k < n; k++)
        y[k * step] *= inverse;
}

static void run_outer(void *context, int64_t outer, int worker)
{
    const Softmax *softmax = context;
    int64_t base = outer * softmax->n * softmax->inner;

    (void)worker;
    for (int64_t i = 0; i < softmax->inner; i++) {
        const float *x = softmax->x + base + i;
        float *y = softmax->y + base + i;
        soft_line(softmax->kind, x, y, softmax->n, softmax->inner);
    }
}

void softmax_float(Team *team, SoftmaxKind kind, int64_t outer, int64_t n, int64_t inner, const float *x, float *y)
{
    Softmax softmax = {kind, n, inner, x, y};
    if (n > 0 && inner > 0)
        team_run(team, outer, run_outer, &softmax);
}
