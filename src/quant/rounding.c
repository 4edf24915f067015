/* rounding.c - which weights are rounded up and which down, so that the layer's output is off least.
 *
 *     output error of a channel   E[(e . x)^2] - E[e . x]^2 = e' H e      e = w - s q,  H = covariance of the inputs x
 *
 * Rounding each weight to the nearest minimises |e|^2, not e' H e: inputs that go together can make up for each other's errors.
 * Starting there, weight after weight goes to its other neighbour where that lowers the error, until none does. The mean of the
 * error is left out: the bias takes it (passes/quantize_bias.c). Source of the objective: AdaRound (Nagel et al. 2020), whose
 * quadratic form is
 * descended here weight by weight instead of by gradients of a relaxed one.
 *
 * H is kept in blocks along its diagonal (MOMENTS_BLOCK weights each), since a whole one grows with the square of the inputs.
 */
#include "src/quant/quant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_SWEEPS 12
#define RIDGE 0.02 /* of the mean variance, on the diagonal: covariances of few positions are partly chance */

Moments *moments_new(int64_t groups, int64_t length)
{
    Moments *m = xcalloc(1, sizeof *m);
    m->groups = groups;
    m->length = length;
    m->sums = xcalloc((size_t)(groups * length), sizeof m->sums[0]);
    m->products = xcalloc((size_t)(groups * length * MIN(length, MOMENTS_BLOCK)), sizeof m->products[0]);
    return m;
}

void moments_free(Moments *m)
{
    if (m == NULL)
        return;
    free(m->sums);
    free(m->products);
    free(m);
}

/* The square of sums that begins at weight `from`; its row i has `width` columns. */
static double *block_of(const Moments *m, int64_t group, int64_t from, int64_t *ret_width)
{
    *ret_width = MIN(MOMENTS_BLOCK, m->length - from);
    return &m->products[(group * m->length + from) * MIN(m->length, MOMENTS_BLOCK)];
}

void moments_add(Moments *m, int64_t group, const float *x)
{
    double *sums = &m->sums[group * m->length];
    for (int64_t i = 0; i < m->length; i++)
        sums[i] += (double)x[i];
    for (int64_t from = 0; from < m->length; from += MOMENTS_BLOCK) {
        int64_t width;
        double *products = block_of(m, group, from, &width);
        for (int64_t i = 0; i < width; i++) {
            double xi = (double)x[from + i];
            if (xi == 0.0)
                continue;
            for (int64_t j = i; j < width; j++) /* the other half is the same */
                products[i * width + j] += xi * (double)x[from + j];
        }
    }
}

/* Covariances of a block into ret (width, width), with the ridge. */
static void covariances(const Moments *m, int64_t group, int64_t from, int64_t count, double *ret)
{
    int64_t width;
    const double *products = block_of(m, group, from, &width), *sums = &m->sums[group * m->length + from];
    double trace = 0.0, n = (double)count;
    for (int64_t i = 0; i < width; i++) {
        for (int64_t j = i; j < width; j++)
            ret[j * width + i] = ret[i * width + j] = products[i * width + j] / n - sums[i] / n * (sums[j] / n);
        trace += fmax(ret[i * width + i], 0.0);
    }
    for (int64_t i = 0; i < width; i++)
        ret[i * width + i] += RIDGE * trace / (double)width;
}

/* e (width,) and g = H e follow each change of q; step: between two weights of the channel in memory. */
static int64_t sweep(const double *h, int64_t width, double scale, double *e, double *g, int8_t *q, int64_t step)
{
    int64_t flips = 0;
    for (int64_t i = 0; i < width; i++) {
        double d = e[i] > 0.0 ? -scale : scale; /* of e when q goes to the other neighbour */
        int to = q[i * step] + (e[i] > 0.0 ? 1 : -1);
        double change = 2.0 * d * g[i] + d * d * h[i * width + i];
        if (to < -127 || to > 127 || fabs(e[i]) > scale || !(change < -1e-6 * scale * scale * h[i * width + i]))
            continue;
        q[i * step] = (int8_t)to;
        e[i] += d;
        for (int64_t j = 0; j < width; j++)
            g[j] += d * h[i * width + j];
        flips++;
    }
    return flips;
}

void rounding_prepare(const Moments *m, RoundingBlocks *ret)
{
    int64_t across = MIN(m->length, MOMENTS_BLOCK);
    ret->moments = m;
    ret->covariances = xcalloc((size_t)(m->groups * m->length * across), sizeof ret->covariances[0]);
    for (int64_t group = 0; group < m->groups; group++)
        for (int64_t from = 0; from < m->length && m->count > 0; from += MOMENTS_BLOCK)
            covariances(m, group, from, m->count, &ret->covariances[(group * m->length + from) * across]);
}

void rounding_release(RoundingBlocks *blocks)
{
    free(blocks->covariances);
}

int64_t rounding_descend(const RoundingBlocks *blocks, int64_t group, const float *w, int64_t step, float scale, int8_t *q)
{
    const Moments *m = blocks->moments;
    int64_t across = MIN(m->length, MOMENTS_BLOCK), flips = 0;
    double *e = xcalloc((size_t)across * 2, sizeof e[0]), *g = e + across;
    for (int64_t from = 0; from < m->length && m->count > 0; from += MOMENTS_BLOCK) {
        int64_t width = MIN(MOMENTS_BLOCK, m->length - from), moved = 1;
        const double *h = &blocks->covariances[(group * m->length + from) * across];
        for (int64_t i = 0; i < width; i++)
            e[i] = (double)w[(from + i) * step] - (double)scale * q[(from + i) * step];
        for (int64_t i = 0; i < width; i++) {
            g[i] = 0.0;
            for (int64_t j = 0; j < width; j++)
                g[i] += h[i * width + j] * e[j];
        }
        for (int round = 0; round < MOST_SWEEPS && moved > 0; round++) {
            moved = sweep(h, width, (double)scale, e, g, &q[from * step], step);
            flips += moved;
        }
    }
    free(e);
    return flips;
}
