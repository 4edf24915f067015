/* qparams.c - scale and zero point from a range, and numbers through them.
 *
 *     asymmetric, 8 bits: s = (max - min) / 255, z = round(qmin - min / s), the range widened to hold 0 exactly
 *     symmetric, int8:    s = max|x| / 127, z = 0
 *
 * Source: ONNX QuantizeLinear; Jacob et al. 2018 (integer-arithmetic-only inference).
 */
#include "src/quant/quant.h"

#include <float.h>
#include <math.h>

void quant_limits(DType dtype, int32_t *ret_low, int32_t *ret_high)
{
    static const struct {
        DType dtype;
        int32_t low, high;
    } limits[] = {
        {DT_UINT8, 0, 255},        {DT_INT8, -128, 127}, {DT_UINT16, 0, 65535},
        {DT_INT16, -32768, 32767}, {DT_UINT4, 0, 15},    {DT_INT4, -8, 7},
    };
    *ret_low = INT32_MIN;
    *ret_high = INT32_MAX;
    for (size_t i = 0; i < COUNT_OF(limits); i++)
        if (limits[i].dtype == dtype) {
            *ret_low = limits[i].low;
            *ret_high = limits[i].high;
        }
}

/* A scale must be a normal float with room for its product with another scale: runtimes multiply two of them. */
static float usable_scale(double scale)
{
    const double least = 1e-18, greatest = 1e18;
    if (!(scale > 0.0))
        return 1.0f;
    return (float)MIN(MAX(scale, least), greatest);
}

QParams qparams_asymmetric(float low, float high, DType dtype)
{
    int32_t q_low, q_high;
    quant_limits(dtype, &q_low, &q_high);
    double least = isfinite(low) ? MIN((double)low, 0.0) : 0.0;
    double greatest = isfinite(high) ? MAX((double)high, 0.0) : 0.0;
    QParams p = {
        .scale = usable_scale((greatest - least) / ((double)q_high - q_low)), .zero_point = q_low, .dtype = dtype};
    double zero = nearbyint(q_low - least / (double)p.scale);
    p.zero_point = (int32_t)MIN(MAX(zero, (double)q_low), (double)q_high);
    return p;
}

QParams qparams_symmetric(float max_abs, DType dtype)
{
    int32_t q_low, q_high;
    quant_limits(dtype, &q_low, &q_high);
    double greatest = isfinite(max_abs) ? fabs((double)max_abs) : 0.0;
    return (QParams){.scale = usable_scale(greatest / q_high), .zero_point = 0, .dtype = dtype};
}

int32_t quant_value(float x, QParams p)
{
    int32_t q_low, q_high;
    quant_limits(p.dtype, &q_low, &q_high);
    if (isnan(x))
        return p.zero_point;
    double q = nearbyint((double)(x / p.scale)) + p.zero_point;
    return (int32_t)MIN(MAX(q, (double)q_low), (double)q_high);
}

void quant_array(const float *x, int64_t n, QParams p, void *ret)
{
    uint8_t *bytes = ret;
    for (int64_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(quant_value(x[i], p) & 0xff);
}

void dequant_array(const void *q, int64_t n, QParams p, float *ret)
{
    const uint8_t *u = q;
    const int8_t *s = q;
    for (int64_t i = 0; i < n; i++)
        ret[i] = p.scale * (float)((p.dtype == DT_INT8 ? s[i] : u[i]) - p.zero_point);
}
