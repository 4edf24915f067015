/* vector_math.h - exp and tanh of float without branches or calls, so that loops over them vectorise.
 *
 * exp: x = k ln 2 + r with |r| <= ln(2) / 2, e^x = 2^k * (1 + r + r^2/2! + ... + r^7/7!); the first term left out is
 * below 6e-9 of the result. ln 2 is taken off in two parts (Cody and Waite) so that k ln 2 is exact. Results
 * below 2.5e-38 are 0.
 */
#ifndef QUANTIZE_OPS_VECTOR_MATH_H
#define QUANTIZE_OPS_VECTOR_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float vector_exp(float x)
{
    const float round_shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number */
    float bounded = x > 88.8f ? 88.8f : x;
    float k, r, p, power;
    int32_t bits;

    bounded = bounded < -86.6f ? -86.6f : bounded; /* false for NaN, which goes on as it is */
    bounded = bounded == bounded ? bounded : 0.0f;
    k = (bounded * 1.44269504f + round_shift) - round_shift;
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
    bits = ((int32_t)k + 126) << 23; /* 2^(k-1), doubled below: k may be 128 */
    memcpy(&power, &bits, sizeof power);
    p = p * power * 2.0f;
    p = x < -86.6f ? 0.0f : p;
    p = x > 88.7228394f ? INFINITY : p;
    return x == x ? p : x;
}

/* 1 / (1 + e^-x). */
static inline float vector_sigmoid(float x)
{
    return 1.0f / (1.0f + vector_exp(-x));
}

/* (1 - e^-2|x|) / (1 + e^-2|x|); near 0, where that cancels, the series x - x^3/3 + 2x^5/15 - 17x^7/315 + 62x^9/2835.
 */
static inline float vector_tanh(float x)
{
    float a = fabsf(x), e = vector_exp(-2.0f * a), s = x * x;
    float far = (1.0f - e) / (1.0f + e);
    float near = a * (1.0f + s * (-1.0f / 3 + s * (2.0f / 15 + s * (-17.0f / 315 + s * (62.0f / 2835)))));

    return copysignf(a < 0.3f ? near : far, x);
}

#endif
