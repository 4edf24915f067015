/* random.h - seeded random numbers and buffers for the kernel tests: the same on every machine and run. */
#ifndef QUANTIZE_TESTS_RANDOM_H
#define QUANTIZE_TESTS_RANDOM_H

#include <stdint.h>

typedef struct Random {
    uint64_t state;
} Random;

static inline uint32_t random_next(Random *random) /* splitmix64, upper half */
{
    uint64_t z = random->state += 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

static inline int64_t random_range(Random *random, int64_t low, int64_t high) /* both included */
{
    return low + (int64_t)(random_next(random) % (uint64_t)(high - low + 1));
}

static inline float random_float(Random *random) /* [-1, 1) */
{
    return (float)((double)random_next(random) / 2147483648.0 - 1.0);
}

static inline void random_floats(Random *random, float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = random_float(random);
}

static inline void random_bytes(Random *random, void *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        ((uint8_t *)x)[i] = (uint8_t)random_next(random);
}

#endif
