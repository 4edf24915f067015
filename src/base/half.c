/* half.c - 16-bit floats by their bits.
 *
 *     binary32   s eeeeeeee mmmmmmmmmmmmmmmmmmmmmmm     exponent bias 127
 *     binary16   s eeeee mmmmmmmmmm                     bias 15, smallest normal 2^-14, subnormal 2^-24
 *     bfloat16   s eeeeeeee mmmmmmm                     the upper half of binary32
 */
#include "src/base/base.h"

#include <string.h>

static float float_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t bits_of_float(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* x / 2^shift, a tie to the even neighbour; 1 <= shift <= 31 and no carry out of 32 bits. */
static uint32_t shift_to_even(uint32_t x, unsigned shift)
{
    uint32_t half = (uint32_t)1 << (shift - 1);
    return (x + half - 1 + (x >> shift & 1)) >> shift;
}

float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 0x3FF;
    if (exponent == 31)
        return float_of_bits(sign | 0x7F800000 | mantissa << 13);
    if (exponent != 0)
        return float_of_bits(sign | (exponent + 127 - 15) << 23 | mantissa << 13);
    float value = (float)mantissa * 0x1p-24f; /* exact: 10 bits */
    return sign != 0 ? -value : value;
}

uint16_t float_to_half(float f)
{
    uint32_t bits = bits_of_float(f), magnitude = bits & 0x7FFFFFFF;
    uint32_t sign = bits >> 16 & 0x8000, half;
    if (magnitude > 0x7F800000) { /* NaN: quiet, the payload's upper bits kept */
        half = 0x7E00 | (magnitude >> 13 & 0x3FF);
    } else if (magnitude >= 0x477FF000) { /* 65520 = 65504 + half a step, and infinity */
        half = 0x7C00;
    } else if (magnitude >= 0x38800000) { /* 2^-14: normal; a carry out of the mantissa raises the exponent */
        half = shift_to_even(magnitude - ((uint32_t)(127 - 15) << 23), 13);
    } else if (magnitude >= 0x33000000) { /* 2^-25: subnormal, in steps of 2^-24 */
        uint32_t mantissa = (magnitude & 0x7FFFFF) | 0x800000;
        half = shift_to_even(mantissa, 126 - (magnitude >> 23));
    } else {
        half = 0;
    }
    return (uint16_t)(sign | half);
}

float bfloat_to_float(uint16_t b)
{
    return float_of_bits((uint32_t)b << 16);
}

uint16_t float_to_bfloat(float f)
{
    uint32_t bits = bits_of_float(f);
    if ((bits & 0x7FFFFFFF) > 0x7F800000) /* rounding could make it infinity */
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)shift_to_even(bits, 16);
}
