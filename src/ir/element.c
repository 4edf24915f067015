/* element.c - one element of a tensor of any numeric type, as double or int64.
 *
 * An element is first its raw bits in the low end of a uint64 (real part of a complex number), then a number:
 *
 *     int4 [.. 0x3f ..] ── raw_get(i = 1) ──> 0x3 ── sign ──> 3
 *
 * Formulas of the 8- and 4-bit floats: ONNX's "Float stored in 8 bits" and the OCP microscaling formats.
 */
#include "src/ir/ir.h"

#include <math.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "ONNX stores tensors little-endian and so must the machine");

/* Bits that raw_get() and raw_set() move: half of a complex number. */
static int raw_bits(DType dtype)
{
    int bits = dtype_bits(dtype);
    return dtype == DT_COMPLEX64 || dtype == DT_COMPLEX128 ? bits / 2 : bits;
}

static uint64_t low_bits(int bits)
{
    return bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
}

static uint64_t raw_get(const Tensor *tensor, int64_t i)
{
    const unsigned char *data = tensor->data;
    int bits = raw_bits(tensor->dtype), stride = dtype_bits(tensor->dtype);
    uint64_t raw = 0;
    if (stride < 8) {
        int64_t per_byte = 8 / stride;
        return (uint64_t)data[i / per_byte] >> (i % per_byte * stride) & low_bits(stride);
    }
    memcpy(&raw, data + (size_t)i * ((size_t)stride / 8), (size_t)bits / 8);
    return raw;
}

static void raw_set(Tensor *tensor, int64_t i, uint64_t raw)
{
    unsigned char *data = tensor->data;
    int bits = raw_bits(tensor->dtype), stride = dtype_bits(tensor->dtype);
    if (stride < 8) {
        int64_t per_byte = 8 / stride;
        int shift = (int)(i % per_byte * stride);
        unsigned mask = (unsigned)low_bits(stride) << shift;
        data[i / per_byte] = (unsigned char)((data[i / per_byte] & ~mask) | ((unsigned)raw << shift & mask));
        return;
    }
    data += (size_t)i * ((size_t)stride / 8);
    memset(data, 0, (size_t)stride / 8);
    memcpy(data, &raw, (size_t)bits / 8);
}

/* ---- integers ---------------------------------------------------------------------------------------------------- */

static bool is_signed(DType dtype)
{
    return dtype == DT_INT8 || dtype == DT_INT16 || dtype == DT_INT32 || dtype == DT_INT64 || dtype == DT_INT4 ||
           dtype == DT_INT2;
}

/* Of every integer type but uint64. */
static int64_t integer_from_raw(uint64_t raw, DType dtype)
{
    int bits = dtype_bits(dtype);
    if (is_signed(dtype) && (raw >> (bits - 1) & 1) != 0)
        raw |= ~low_bits(bits);
    int64_t value;
    memcpy(&value, &raw, sizeof value);
    return value;
}

static uint64_t integer_to_raw(double value, DType dtype)
{
    int bits = dtype_bits(dtype);
    double rounded = isnan(value) ? 0.0 : rint(value); /* half to even: nobody changes the rounding mode */
    double low = is_signed(dtype) ? -ldexp(1.0, bits - 1) : 0.0;
    double beyond = ldexp(1.0, is_signed(dtype) ? bits - 1 : bits);
    uint64_t greatest = low_bits(is_signed(dtype) ? bits - 1 : bits);
    if (rounded >= beyond)
        return greatest;
    rounded = MAX(rounded, low);
    return rounded < 0 ? (uint64_t)(int64_t)rounded : (uint64_t)rounded;
}

static int64_t integer_from_double(double value)
{
    if (isnan(value))
        return 0;
    if (value >= 0x1p63)
        return INT64_MAX;
    return value <= -0x1p63 ? INT64_MIN : (int64_t)value;
}

/* ---- small floats ------------------------------------------------------------------------------------------------ */

typedef struct SmallFloat {
    DType dtype;
    int sign_bits, mantissa_bits, bias;
    unsigned greatest;  /* code of the greatest finite magnitude */
    bool infinite;      /* the code behind it is infinity */
    int nan;            /* a code of NaN, -1 when there is none: a NaN becomes -0 */
} SmallFloat;

static const SmallFloat small_floats[] = {
    {DT_FLOAT8E4M3FN, 1, 3, 7, 0x7e, false, 0x7f},   {DT_FLOAT8E4M3FNUZ, 1, 3, 8, 0x7f, false, 0x80},
    {DT_FLOAT8E5M2, 1, 2, 15, 0x7b, true, 0x7f},     {DT_FLOAT8E5M2FNUZ, 1, 2, 16, 0x7f, false, 0x80},
    {DT_FLOAT4E2M1, 1, 1, 1, 0x7, false, -1},        {DT_FLOAT8E8M0, 0, 0, 127, 0xfe, false, 0xff},
};

static const SmallFloat *small_float(DType dtype)
{
    for (size_t i = 0; i < COUNT_OF(small_floats); i++)
        if (small_floats[i].dtype == dtype)
            return &small_floats[i];
    return NULL;
}

/* The finite magnitude of a code without its sign. */
static double small_magnitude(const SmallFloat *format, unsigned code)
{
    unsigned mantissa = code & ((1u << format->mantissa_bits) - 1);
    int exponent = (int)(code >> format->mantissa_bits);
    if (format->sign_bits == 0)
        return ldexp(1.0, exponent - format->bias);
    if (exponent == 0)
        return ldexp((double)mantissa, 1 - format->bias - format->mantissa_bits);
    return ldexp((double)(mantissa + (1u << format->mantissa_bits)), exponent - format->bias - format->mantissa_bits);
}

static double small_from_raw(const SmallFloat *format, unsigned raw)
{
    unsigned sign = format->sign_bits == 0 ? 0 : 1u << (dtype_bits(format->dtype) - 1);
    unsigned code = raw & ~sign;
    if ((int)raw == format->nan || (code > format->greatest && !(format->infinite && code == format->greatest + 1)))
        return (double)NAN;
    double magnitude = code > format->greatest ? (double)INFINITY : small_magnitude(format, code);
    return (raw & sign) != 0 ? -magnitude : magnitude;
}

/* The nearest code, ties to the even one; saturates. Magnitudes grow with their codes. */
static unsigned small_to_raw(const SmallFloat *format, double value)
{
    unsigned sign = format->sign_bits == 0 ? 0 : 1u << (dtype_bits(format->dtype) - 1);
    if (isnan(value))
        return format->nan < 0 ? sign : (unsigned)format->nan;
    double magnitude = format->sign_bits == 0 ? MAX(value, 0.0) : fabs(value);
    unsigned low = 0, high = format->greatest;
    while (low < high) { /* least code whose magnitude is at least the value's */
        unsigned middle = (low + high) / 2;
        if (small_magnitude(format, middle) < magnitude)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0) {
        double above = small_magnitude(format, low) - magnitude, below = magnitude - small_magnitude(format, low - 1);
        if (below < above || (below == above && low % 2 == 1))
            low--;
    }
    bool zero_is_unsigned = format->nan == 0x80;
    return signbit(value) && !(zero_is_unsigned && low == 0) ? low | sign : low;
}

/* ---- public ------------------------------------------------------------------------------------------------------ */

static double float_from_raw(uint64_t raw, DType dtype)
{
    float f;
    double d;
    uint32_t word = (uint32_t)raw;
    const SmallFloat *format;
    switch (dtype) {
    case DT_FLOAT:
    case DT_COMPLEX64:
        memcpy(&f, &word, sizeof f);
        return (double)f;
    case DT_DOUBLE:
    case DT_COMPLEX128:
        memcpy(&d, &raw, sizeof d);
        return d;
    case DT_FLOAT16:
        return (double)half_to_float((uint16_t)raw);
    case DT_BFLOAT16:
        return (double)bfloat_to_float((uint16_t)raw);
    default:
        format = small_float(dtype);
        return format == NULL ? (double)NAN : small_from_raw(format, (unsigned)raw);
    }
}

static uint64_t float_to_raw(double value, DType dtype)
{
    float f = (float)value; /* beyond float: infinity, as IEC 60559 has it */
    uint32_t word;
    uint64_t raw;
    const SmallFloat *format;
    switch (dtype) {
    case DT_FLOAT:
    case DT_COMPLEX64:
        memcpy(&word, &f, sizeof word);
        return word;
    case DT_DOUBLE:
    case DT_COMPLEX128:
        memcpy(&raw, &value, sizeof raw);
        return raw;
    case DT_FLOAT16:
        return float_to_half(f);
    case DT_BFLOAT16:
        return float_to_bfloat(f);
    default:
        format = small_float(dtype);
        return format == NULL ? 0 : small_to_raw(format, value);
    }
}

double tensor_get(const Tensor *tensor, int64_t i)
{
    DType dtype = tensor->dtype;
    if (dtype_bits(dtype) == 0)
        return (double)NAN;
    uint64_t raw = raw_get(tensor, i);
    if (dtype == DT_UINT64)
        return (double)raw;
    if (dtype == DT_BOOL)
        return raw != 0 ? 1.0 : 0.0;
    return dtype_is_integer(dtype) ? (double)integer_from_raw(raw, dtype) : float_from_raw(raw, dtype);
}

void tensor_read(const Tensor *tensor, int64_t from, int64_t n, double *ret)
{
    const float *floats = tensor->dtype == DT_FLOAT ? (const float *)tensor->data + from : NULL;
    for (int64_t i = 0; i < n; i++)
        ret[i] = floats != NULL ? (double)floats[i] : tensor_get(tensor, from + i);
}

int64_t tensor_get_int(const Tensor *tensor, int64_t i)
{
    DType dtype = tensor->dtype;
    if (dtype_bits(dtype) == 0)
        return 0;
    uint64_t raw = raw_get(tensor, i);
    if (dtype == DT_UINT64)
        return raw > INT64_MAX ? INT64_MAX : (int64_t)raw;
    if (dtype == DT_BOOL)
        return raw != 0;
    return dtype_is_integer(dtype) ? integer_from_raw(raw, dtype) : integer_from_double(float_from_raw(raw, dtype));
}

void tensor_set(Tensor *tensor, int64_t i, double value)
{
    DType dtype = tensor->dtype;
    if (dtype_bits(dtype) == 0)
        return;
    if (dtype == DT_BOOL)
        raw_set(tensor, i, value != 0);
    else
        raw_set(tensor, i, dtype_is_integer(dtype) ? integer_to_raw(value, dtype) : float_to_raw(value, dtype));
}
