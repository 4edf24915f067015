/* exact_sum.c - sums of floats without rounding, so that any order and any split over machines gives the same bits.
 *
 *     a float is m * 2^(e - 149), |m| < 2^24, 0 <= e <= 253   ->   m is added at bit e of a 384-bit integer
 *
 * Room for 2^100 of the greatest floats. Source of the idea: Kulisch's long accumulator.
 */
#include "src/quant/quant.h"

#include <math.h>
#include <string.h>

#define LIMBS 6

/* Adds a 64-bit word at limb i and carries on. */
static void add_at(ExactSum *sum, int i, uint64_t word)
{
    for (; i < LIMBS && word != 0; i++) {
        sum->limbs[i] += word;
        word = sum->limbs[i] < word;
    }
}

static void negate(ExactSum *sum)
{
    for (int i = 0; i < LIMBS; i++)
        sum->limbs[i] = ~sum->limbs[i];
    add_at(sum, 0, 1);
}

void exact_sum_add(ExactSum *sum, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t exponent = bits >> 23 & 0xff, mantissa = bits & 0x7fffff;
    if (exponent > 0)
        mantissa |= 0x800000;
    int at = exponent > 0 ? (int)exponent - 1 : 0;
    ExactSum term = {{0}};
    int limb = at / 64, shift = at % 64;
    term.limbs[limb] = (uint64_t)mantissa << shift;
    if (shift > 40)
        term.limbs[limb + 1] = (uint64_t)mantissa >> (64 - shift);
    if (bits >> 31)
        negate(&term);
    exact_sum_merge(sum, &term);
}

void exact_sum_merge(ExactSum *into, const ExactSum *from)
{
    unsigned carry = 0;
    for (int i = 0; i < LIMBS; i++) {
        uint64_t a = into->limbs[i], b = from->limbs[i], s = a + b;
        into->limbs[i] = s + carry;
        carry = (s < a) || (into->limbs[i] < s);
    }
}

double exact_sum_get(const ExactSum *sum)
{
    ExactSum magnitude = *sum;
    bool negative = sum->limbs[LIMBS - 1] >> 63;
    if (negative)
        negate(&magnitude);
    double value = 0;
    for (int i = LIMBS - 1; i >= 0; i--)
        value += ldexp((double)magnitude.limbs[i], 64 * i - 149);
    return negative ? -value : value;
}
