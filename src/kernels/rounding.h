/* rounding.h - from real numbers to 8 bits, one element at a time, in forms that vectorize. Internal to src/kernels. */
#ifndef QUANTIZE_KERNELS_ROUNDING_H
#define QUANTIZE_KERNELS_ROUNDING_H

#include "src/kernels/kernels.h"

static inline int32_t low_of(KernelType type)
{
    return type == KERNEL_U8 ? 0 : -128;
}

static inline int32_t high_of(KernelType type)
{
    return type == KERNEL_U8 ? 255 : 127;
}

static inline int32_t load8(KernelType type, const void *data, int64_t i)
{
    return type == KERNEL_U8 ? ((const uint8_t *)data)[i] : ((const int8_t *)data)[i];
}

static inline void store8(void *data, int64_t i, int32_t value)
{
    ((uint8_t *)data)[i] = (uint8_t)(uint32_t)value; /* the low byte, for both types */
}

/* Half to even, for |x| < 2^22: adding 1.5 * 2^23 leaves no room for a fraction. Unlike nearbyintf() it vectorizes on
 * any CPU. */
CPU_BODY float round_even(float x)
{
    return (x + 0x1.8p23F) - 0x1.8p23F;
}

/* Clamped before it is rounded; NaN gives the least. */
CPU_BODY int32_t round_clamped(float x, Scale8 to)
{
    float low = (float)(low_of(to.type) - to.zero), high = (float)(high_of(to.type) - to.zero);

    x = x > low ? x : low;
    x = x < high ? x : high;
    return (int32_t)round_even(x) + to.zero;
}

/* An int32 sum (modulo 2^32) times its multiplier, as 8 bits. */
CPU_BODY uint8_t requantize_one(uint32_t sum, float multiplier, Scale8 to)
{
    return (uint8_t)(uint32_t)round_clamped((float)(int32_t)sum * multiplier, to);
}

/* The zero point is part of x already. */
CPU_BODY int32_t round_shifted(float x, KernelType type)
{
    float low = (float)low_of(type), high = (float)high_of(type);

    x = x > low ? x : low;
    x = x < high ? x : high;
    return (int32_t)round_even(x);
}

#endif
