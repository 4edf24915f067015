/* random.c - see random.h. */
#include "src/ops/random.h"

#include <math.h>

enum { MIDDLE = 397 };

void random_seed(Random *random, uint32_t seed)
{
    random->state[0] = seed;
    for (uint32_t i = 1; i < RANDOM_WORDS; i++)
        random->state[i] = 1812433253u * (random->state[i - 1] ^ random->state[i - 1] >> 30) + i;
    random->used = RANDOM_WORDS;
}

static void renew(Random *random)
{
    uint32_t *s = random->state;

    for (int i = 0; i < RANDOM_WORDS; i++) {
        uint32_t word = (s[i] & 0x80000000u) | (s[(i + 1) % RANDOM_WORDS] & 0x7fffffffu);
        s[i] = s[(i + MIDDLE) % RANDOM_WORDS] ^ word >> 1 ^ ((word & 1) != 0 ? 0x9908b0dfu : 0);
    }
    random->used = 0;
}

static uint32_t next_word(Random *random)
{
    if (random->used == RANDOM_WORDS)
        renew(random);
    uint32_t word = random->state[random->used++];
    word ^= word >> 11;
    word ^= word << 7 & 0x9d2c5680u;
    word ^= word << 15 & 0xefc60000u;
    return word ^ word >> 18;
}

double random_uniform(Random *random)
{
    uint32_t high = next_word(random) >> 5, low = next_word(random) >> 6;

    return ((double)high * 0x1p26 + (double)low) * 0x1p-53;
}

/* Box and Muller. */
double random_normal(Random *random)
{
    double radius = sqrt(-2 * log(1 - random_uniform(random)));

    return radius * cos(2 * M_PI * random_uniform(random));
}
