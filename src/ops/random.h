/* random.h - the generator behind Dropout, Bernoulli, RandomUniform and their kin: MT19937 (Matsumoto and Nishimura 1998),
 * seeded and read as NumPy's RandomState does it, since ONNX's own cases of Dropout draw from that. The specification
 * names none; other runtimes give other numbers.
 */
#ifndef QUANTIZE_OPS_RANDOM_H
#define QUANTIZE_OPS_RANDOM_H

#include <stdint.h>

enum { RANDOM_WORDS = 624 };

typedef struct Random {
    uint32_t state[RANDOM_WORDS];
    int used; /* words of the state that were given out */
} Random;

void random_seed(Random *random, uint32_t seed);
double random_uniform(Random *random); /* [0, 1), 53 bits */
double random_normal(Random *random);  /* mean 0, deviation 1 */

#endif
