/* vector_math.h - exp, tanh, erf of float without branches or calls, so that loops over them vectorise.
 *
 * exp: x = k ln 2 + r with |r| <= ln(2) / 2, e^x = 2^k * (1 + r + r^2/2! + ... + r^7/7!); the first term left out is
 * below 6e-9 of the result. ln 2 is taken off in two parts (Cody and Waite) so that k ln 2 is exact; 2^k is applied as two
 * factors, so that results overflow to infinity and fade to 0 by themselves. A NaN gives NaN.
 */
#ifndef QUANTIZE_KERNELS_VECTOR_MATH_H
#define QUANTIZE_KERNELS_VECTOR_MATH_H

#include "src/base/base.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

CPU_BODY uint32_t vector_bits(float x)
{
    uint32_t ret;

    memcpy(&ret, &x, sizeof ret);
    return ret;
}

CPU_BODY float vector_float(uint32_t bits)
{
    float ret;

    memcpy(&ret, &bits, sizeof ret);
    return ret;
}

/* x into [-106, 89], where e^x is 0 and infinite. On the bits: integers have a minimum, while comparing floats against
 * constants makes compilers branch. Non-negative floats order as signed integers, negative ones backwards as unsigned. */
CPU_BODY float vector_exp_bounded(float x)
{
    const uint32_t greatest = 0x42b20000u, least = 0xc2d40000u; /* 89, -106 */
    int32_t upper = (int32_t)vector_bits(x);
    uint32_t lower;

    upper = upper < (int32_t)greatest ? upper : (int32_t)greatest;
    lower = (uint32_t)upper;
    return vector_float(lower < least ? lower : least);
}

CPU_BODY float vector_exp(float x)
{
    const float round_shift = 12582912.0f; /* 1.5 * 2^23: adding it leaves a whole number in the low bits */
    float bounded = vector_exp_bounded(x), shifted = bounded * 1.44269504f + round_shift, k = shifted - round_shift, r, p;
    int32_t whole = (int32_t)(vector_bits(shifted) - 0x4b400000u), half = whole >> 1; /* k as an integer */
    uint32_t nan = (vector_bits(x) & 0x7fffffffu) > 0x7f800000u ? 0x7fc00000u : 0;

    r = bounded - k * 0.693145752f;
    r = r - k * 1.42860677e-6f;
    p = 1.0f / 5040.0f;
    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    p = p * vector_float(((uint32_t)half + 127) << 23) * vector_float(((uint32_t)(whole - half) + 127) << 23);
    return vector_float(vector_bits(p) | nan);
}

/* 1 / (1 + e^-x). */
CPU_BODY float vector_sigmoid(float x)
{
    return 1.0f / (1.0f + vector_exp(-x));
}

/* (1 - e^-2|x|) / (1 + e^-2|x|); near 0, where that cancels: x - x^3/3 + 2x^5/15 - 17x^7/315 + 62x^9/2835. */
CPU_BODY float vector_tanh(float x)
{
    float a = fabsf(x), e = vector_exp(-2.0f * a), s = x * x;
    float far = (1.0f - e) / (1.0f + e);
    float near = a * (1.0f + s * (-1.0f / 3 + s * (2.0f / 15 + s * (-17.0f / 315 + s * (62.0f / 2835)))));

    return copysignf(a < 0.3f ? near : far, x);
}

/* 1 - (a1 t + ... + a5 t^5) e^-x^2 with t = 1 / (1 + p x) (Abramowitz and Stegun 7.1.26, error below 1.5e-7); near 0 the
 * series 2/sqrt(pi) * sum (-1)^n x^(2n+1) / (n! (2n+1)). */
CPU_BODY float vector_erf(float x)
{
    float a = fabsf(x), s = x * x, t = 1.0f / (1.0f + 0.3275911f * a), p = 1.061405429f, q;

    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    q = 1.0f / 9360;
    q = q * s - 1.0f / 1320;
    q = q * s + 1.0f / 216;
    q = q * s - 1.0f / 42;
    q = q * s + 0.1f;
    q = q * s - 1.0f / 3;
    q = q * s + 1.0f;
    return copysignf(a < 0.5f ? 1.12837917f * a * q : 1.0f - p * t * vector_exp(-s), x);
}

#endif
