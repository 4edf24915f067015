/* norm.c - reference normalizations. Means and variances are summed in double: rows may be long and far from zero.
 *
 * Formulas: ONNX BatchNormalization (as one multiply and add), InstanceNormalization, LayerNormalization, LRN,
 * LpNormalization.
 */
#include "src/kernels/kernels.h"

#include <math.h>

typedef struct Norm {
    int64_t channels, inner, size;
    float alpha, beta, bias, epsilon;
    int p;
    const float *x, *scale, *shift;
    int64_t scale_step, shift_step; /* floats from row to row */
    float *y, *mean, *inverse;
} Norm;

static void affine_plane(void *context, int64_t plane, int worker)
{
    const Norm *norm = context;
    int64_t channel = plane % norm->channels;
    const float *x = norm->x + plane * norm->inner;
    float *y = norm->y + plane * norm->inner;
    float scale = norm->scale[channel], shift = norm->shift[channel];

    (void)worker;
    for (int64_t i = 0; i < norm->inner; i++)
        y[i] = x[i] * scale + shift;
}

#define LANES 8 /* sums of a row, joined in one order: the same on every processor */

CPU_BODY double join(const double *lanes)
{
    double sum = 0.0;

    for (int64_t l = 0; l < LANES; l++)
        sum += lanes[l];
    return sum;
}

CPU_BODY void rows_row_body(const Norm *norm, int64_t row)
{
    int64_t n = norm->inner, whole = n - n % LANES;
    const float *x = norm->x + row * n;
    float *y = norm->y + row * n;
    double sums[LANES] = {0}, squares[LANES] = {0};

    for (int64_t i = 0; i < whole; i += LANES)
        for (int64_t l = 0; l < LANES; l++)
            sums[l] += (double)x[i + l];
    for (int64_t i = whole; i < n; i++)
        sums[i - whole] += (double)x[i];
    double mean = n == 0 ? 0.0 : join(sums) / (double)n;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int64_t l = 0; l < LANES; l++) {
            double difference = (double)x[i + l] - mean;
            squares[l] += difference * difference;
        }
    for (int64_t i = whole; i < n; i++) {
        double difference = (double)x[i] - mean;
        squares[i - whole] += difference * difference;
    }
    double inverse = 1.0 / sqrt((n == 0 ? 0.0 : join(squares) / (double)n) + (double)norm->epsilon);
    const float *scale = norm->scale == NULL ? NULL : norm->scale + row * norm->scale_step;
    const float *shift = norm->shift == NULL ? NULL : norm->shift + row * norm->shift_step;
    if (scale == NULL)
        for (int64_t i = 0; i < n; i++)
            y[i] = (float)(((double)x[i] - mean) * inverse);
    else if (shift == NULL)
        for (int64_t i = 0; i < n; i++)
            y[i] = (float)(((double)x[i] - mean) * inverse) * scale[i];
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = (float)(((double)x[i] - mean) * inverse) * scale[i] + shift[i];
    if (norm->mean != NULL)
        norm->mean[row] = (float)mean;
    if (norm->inverse != NULL)
        norm->inverse[row] = (float)inverse;
}

CPU_LEVELS(static, rows_row, (const Norm *norm, int64_t row), (norm, row))

static void rows_range(void *context, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    for (int64_t row = begin; row < end; row++)
        rows_row(context, row);
}

/* One image: square sums over the channels c - (size - 1) / 2 ... c + size / 2 (both ends included, cut at the
 * edges). */
static void lrn_plane(void *context, int64_t plane, int worker)
{
    const Norm *norm = context;
    int64_t channel = plane % norm->channels, image = plane / norm->channels;
    int64_t begin = MAX(channel - (norm->size - 1) / 2, 0), end = MIN(channel + norm->size / 2 + 1, norm->channels);
    float ratio = norm->alpha / (float)norm->size;

    (void)worker;
    for (int64_t i = 0; i < norm->inner; i++) {
        float squares = 0.0F;
        for (int64_t c = begin; c < end; c++) {
            float value = norm->x[(image * norm->channels + c) * norm->inner + i];
            squares += value * value;
        }
        norm->y[plane * norm->inner + i] =
            norm->x[plane * norm->inner + i] * powf(norm->bias + ratio * squares, -norm->beta);
    }
}

static void lp_block(void *context, int64_t outer, int worker)
{
    const Norm *norm = context;
    int64_t n = norm->channels, inner = norm->inner;

    (void)worker;
    for (int64_t i = 0; i < inner; i++) {
        const float *x = norm->x + outer * n * inner + i;
        float *y = norm->y + outer * n * inner + i;
        double sum = 0.0;
        for (int64_t k = 0; k < n; k++) {
            double value = fabs((double)x[k * inner]);
            sum += norm->p == 1 ? value : value * value;
        }
        float length = (float)(norm->p == 1 ? sum : sqrt(sum));
        for (int64_t k = 0; k < n; k++)
            y[k * inner] = length > 0.0F ? x[k * inner] / length : 0.0F;
    }
}

void norm_affine(Team *team, int64_t outer, int64_t channels, int64_t inner, const float *x, const float *scale,
                 const float *shift, float *y)
{
    Norm norm = {.channels = channels, .inner = inner, .x = x, .scale = scale, .shift = shift, .y = y};
    team_run(team, outer * channels, affine_plane, &norm);
}

void norm_rows(Team *team, int64_t rows, int64_t n, float epsilon, const float *x, const float *scale, int64_t scale_step,
               const float *shift, int64_t shift_step, float *y, float *ret_mean, float *ret_inverse)
{
    enum { ENOUGH = 1 << 12 };
    Norm norm = {.inner = n, .epsilon = epsilon, .x = x, .scale = scale, .scale_step = scale_step, .shift = shift,
                 .shift_step = shift_step, .y = y, .mean = ret_mean, .inverse = ret_inverse};
    team_split(team, rows, ENOUGH / MAX(n, 1) + 1, rows_range, &norm);
}

void norm_lrn(Team *team, int64_t outer, int64_t channels, int64_t inner, int64_t size, float alpha, float beta,
              float bias, const float *x, float *y)
{
    Norm norm = {.channels = channels, .inner = inner, .size = size, .alpha = alpha, .beta = beta, .bias = bias, .x = x,
                 .y = y};
    team_run(team, outer * channels, lrn_plane, &norm);
}

void norm_lp(Team *team, int64_t outer, int64_t n, int64_t inner, int p, const float *x, float *y)
{
    Norm norm = {.channels = n, .inner = inner, .p = p, .x = x, .y = y};
    team_run(team, outer, lp_block, &norm);
}
