/* observe.c - how fast calibration sees: G elements/s on one core, of tensors that fit the cache and that do not.
 *
 *     make bench-observe
 */
#include "src/quant/quant.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LARGEST ((int64_t)1 << 24)
#define WORK ((int64_t)1 << 27) /* elements a figure */

/* A sum of six uniform numbers, near enough a normal one. */
static float draw(uint64_t *state)
{
    double sum = -3;
    for (int i = 0; i < 6; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        sum += (double)(*state >> 40) * 0x1p-24;
    }
    return (float)sum;
}

/* The best of many rounds. */
static double speed(const float *x, int64_t n, bool counts, int64_t most)
{
    Histogram *histogram = NULL;
    Status status = histogram_new(counts, &histogram);
    if (status != NULL) {
        fprintf(stderr, "%s\n", status_message(status));
        exit(1);
    }
    Tally *tally = tally_new();
    double best = 0;
    for (int round = 0; round < 40; round++) {
        int64_t times = MAX(WORK / 40 / n, 1);
        double started = clock_seconds();
        for (int64_t i = 0; i < times; i++) {
            tally_take(tally, x, n, counts, most, (uint64_t)i);
            histogram_take(histogram, tally);
        }
        best = fmax(best, (double)(times * n) / (clock_seconds() - started) * 1e-9);
    }
    tally_free(tally);
    histogram_free(histogram);
    return best;
}

int main(void)
{
    static const struct {
        const char *name;
        float shift; /* of a normal distribution, before what is below 0 becomes 0 */
        bool relu;
    } kinds[] = {{"normal", 0, false}, {"half zeros", 0, true}, {"nine of ten zeros", -1, true}};
    float *x = xcalloc((size_t)LARGEST, sizeof x[0]);
    printf("G elements/s on one core of %s\n\n| data | elements | extremes | every element counted | 20000 counted |\n"
           "|---|---|---|---|---|\n", cpu_name());
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        uint64_t state = 1;
        for (int64_t i = 0; i < LARGEST; i++) {
            float value = draw(&state) + kinds[k].shift;
            x[i] = kinds[k].relu && value < 0 ? 0 : value;
        }
        for (int64_t n = 1 << 12; n <= LARGEST; n <<= 4)
            printf("| %s | %lld | %.2f | %.2f | %.2f |\n", kinds[k].name, (long long)n, speed(x, n, false, 0),
                   speed(x, n, true, 0), speed(x, n, true, 20000));
    }
    free(x);
    return 0;
}
