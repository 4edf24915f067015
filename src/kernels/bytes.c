/* bytes.c - from real numbers to 8 bits and back, and the 8-bit elementwise ops.
 *
 *     q = round_half_even(clamp(real / scale, low - zero, high - zero)) + zero
 *
 * The order of float operations is the one ONNX Runtime's CPU kernels use, so results agree to the bit wherever its own
 * depend on nothing but the formula: Add folds all constants into one term and adds two fused products to it; Mul scales
 * the int32 product; Softmax works on a table of exponentials.
 */
#include "src/kernels/rounding.h"

#include <float.h>
#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define BLOCK 16384 /* elements of a team item */
#define ROW 256     /* elements unpacked at a time */

CPU_BODY void round_row(const float *x, int64_t n, KernelType type, uint8_t *y)
{
    if (type == KERNEL_U8)
        for (int64_t i = 0; i < n; i++)
            y[i] = (uint8_t)(uint32_t)round_shifted(x[i], KERNEL_U8);
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = (uint8_t)(uint32_t)round_shifted(x[i], KERNEL_S8);
}

/* n elements as floats, less zero; step 0 repeats one. */
CPU_BODY void load_floats(KernelType type, const void *data, int64_t at, int64_t step, int64_t n, int32_t zero,
                        float *ret)
{
    const uint8_t *u8 = (const uint8_t *)data + at * step;
    const int8_t *s8 = (const int8_t *)data + at * step;

    float first = (float)(load8(type, data, 0) - zero);

    if (step == 0)
        for (int64_t i = 0; i < n; i++)
            ret[i] = first;
    else if (step == 1 && type == KERNEL_U8)
        for (int64_t i = 0; i < n; i++)
            ret[i] = (float)(u8[i] - zero);
    else if (step == 1)
        for (int64_t i = 0; i < n; i++)
            ret[i] = (float)(s8[i] - zero);
    else if (type == KERNEL_U8)
        for (int64_t i = 0; i < n; i++)
            ret[i] = (float)(u8[i * step] - zero);
    else
        for (int64_t i = 0; i < n; i++)
            ret[i] = (float)(s8[i * step] - zero);
}

CPU_BODY void quantize_floats_body(const float *restrict x, int64_t n, Scale8 to, void *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        store8(y, i, round_clamped(x[i] / to.scale, to));
}

CPU_BODY void quantize_floats_shifted_body(const float *restrict x, int64_t n, Scale8 to, void *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        store8(y, i, round_shifted(x[i] / to.scale + (float)to.zero, to.type));
}

CPU_BODY void dequantize_bytes_body(const void *restrict x, int64_t n, Scale8 from, float *restrict y)
{
    if (from.type == KERNEL_U8)
        for (int64_t i = 0; i < n; i++)
            y[i] = from.scale * (float)(((const uint8_t *)x)[i] - from.zero);
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = from.scale * (float)(((const int8_t *)x)[i] - from.zero);
}

CPU_LEVELS(, quantize_floats, (const float *restrict x, int64_t n, Scale8 to, void *restrict y), (x, n, to, y))
CPU_LEVELS(, quantize_floats_shifted, (const float *restrict x, int64_t n, Scale8 to, void *restrict y), (x, n, to, y))
CPU_LEVELS(, dequantize_bytes, (const void *restrict x, int64_t n, Scale8 from, float *restrict y), (x, n, from, y))

void table_build(Scale8 from, Scale8 to, float (*function)(float x, float parameter), float parameter,
                 uint8_t table[256])
{
    for (int32_t i = 0; i < 256; i++) {
        int32_t q = from.type == KERNEL_S8 && i > 127 ? i - 256 : i;
        float y = function(from.scale * (float)(q - from.zero), parameter);
        store8(table, i, round_clamped(y / to.scale, to));
    }
}

typedef struct TableJob {
    const uint8_t *table, *x;
    uint8_t *y;
    int64_t n;
} TableJob;

#if defined(__x86_64__)
/* 64 bytes at once: two permutations of 128 table bytes each, the top bit chooses. */
__attribute__((target("avx512f,avx512bw,avx512vbmi"))) static int64_t table_permute(const uint8_t *table, const uint8_t *x,
                                                                                    int64_t n, uint8_t *y)
{
    __m512i t0 = _mm512_loadu_si512(table), t1 = _mm512_loadu_si512(table + 64);
    __m512i t2 = _mm512_loadu_si512(table + 128), t3 = _mm512_loadu_si512(table + 192);
    int64_t i = 0;

    for (; i + 64 <= n; i += 64) {
        __m512i at = _mm512_loadu_si512(x + i);
        __m512i low = _mm512_permutex2var_epi8(t0, at, t1), high = _mm512_permutex2var_epi8(t2, at, t3);
        _mm512_storeu_si512(y + i, _mm512_mask_blend_epi8(_mm512_movepi8_mask(at), low, high));
    }
    return i;
}
#endif

static void table_bytes(const uint8_t table[256], const uint8_t *x, int64_t n, uint8_t *y)
{
    int64_t i = 0;

#if defined(__x86_64__)
    if (cpu_features().vbmi)
        i = table_permute(table, x, n, y);
#endif
    for (; i < n; i++)
        y[i] = table[x[i]];
}

static void table_block(void *context, int64_t block, int worker)
{
    const TableJob *job = context;
    int64_t begin = block * BLOCK;

    (void)worker;
    table_bytes(job->table, job->x + begin, MIN(job->n - begin, BLOCK), job->y + begin);
}

void table_apply(Team *team, const uint8_t table[256], const void *x, int64_t n, void *y)
{
    TableJob job = {table, x, y, n};
    team_run(team, (n + BLOCK - 1) / BLOCK, table_block, &job);
}

/* a * b + c rounded once, as the fused instruction does: the product of 8 and 24 bits is exact in double, and so is the
 * sum unless the parts lie 2^20 apart. */
static inline float fused(float a, float b, float c)
{
    return (float)((double)a * (double)b + (double)c);
}

typedef struct BinaryRow8 {
    const void *a, *b;
    int64_t a_step, b_step, n;
    Scale8 a_scale, b_scale;
    KernelType type; /* of y */
    float a_ratio, b_ratio, fixed;
    uint8_t *y;
} BinaryRow8;

/* Steps are 0 or 1 but for odd broadcasts; instruction: the processor has the fused one. */
CPU_BODY void add_row_pieces(const BinaryRow8 *row, bool instruction)
{
    float a_row[ROW], b_row[ROW];

    for (int64_t at = 0; at < row->n; at += ROW) {
        int64_t piece = MIN(row->n - at, ROW);
        load_floats(row->a_scale.type, row->a, at, row->a_step, piece, 0, a_row);
        load_floats(row->b_scale.type, row->b, at, row->b_step, piece, 0, b_row);
        if (instruction)
            for (int64_t i = 0; i < piece; i++)
                a_row[i] = __builtin_fmaf(a_row[i], row->a_ratio, __builtin_fmaf(b_row[i], row->b_ratio, row->fixed));
        else
            for (int64_t i = 0; i < piece; i++)
                a_row[i] = fused(a_row[i], row->a_ratio, fused(b_row[i], row->b_ratio, row->fixed));
        round_row(a_row, piece, row->type, row->y + at);
    }
}

CPU_BODY void mul_row_body(const BinaryRow8 *row)
{
    float a_row[ROW], b_row[ROW];

    for (int64_t at = 0; at < row->n; at += ROW) {
        int64_t piece = MIN(row->n - at, ROW);
        load_floats(row->a_scale.type, row->a, at, row->a_step, piece, row->a_scale.zero, a_row);
        load_floats(row->b_scale.type, row->b, at, row->b_step, piece, row->b_scale.zero, b_row);
        for (int64_t i = 0; i < piece; i++) /* products below 2^24 are exact */
            a_row[i] = a_row[i] * b_row[i] * row->a_ratio + row->fixed;
        round_row(a_row, piece, row->type, row->y + at);
    }
}

CPU_BODY void add_row_plain_body(const BinaryRow8 *row)
{
    add_row_pieces(row, false);
}

CPU_LEVELS(static, add_row_plain, (const BinaryRow8 *row), (row))
CPU_LEVELS(static, mul_row, (const BinaryRow8 *row), (row))

#if defined(__x86_64__)
CPU_BODY void add_row_fused_body(const BinaryRow8 *row)
{
    add_row_pieces(row, true);
}

CPU_LEVELS(static, add_row_fused, (const BinaryRow8 *row), (row))
#endif

void qlinear_add_row(const void *a, int64_t a_step, Scale8 a_scale, const void *b, int64_t b_step, Scale8 b_scale, int64_t n,
                     Scale8 y_scale, void *y)
{
    float a_ratio = a_scale.scale / y_scale.scale, b_ratio = b_scale.scale / y_scale.scale;
    float fixed = (float)y_scale.zero - fused(a_ratio, (float)a_scale.zero, b_ratio * (float)b_scale.zero);
    BinaryRow8 row = {a, b, a_step, b_step, n, a_scale, b_scale, y_scale.type, a_ratio, b_ratio, fixed, y};

#if defined(__x86_64__)
    if (cpu_level() >= CPU_AVX2) {
        add_row_fused(&row);
        return;
    }
#endif
    add_row_plain(&row);
}

void qlinear_mul_row(const void *a, int64_t a_step, Scale8 a_scale, const void *b, int64_t b_step, Scale8 b_scale, int64_t n,
                     Scale8 y_scale, void *y)
{
    float ratio = a_scale.scale * b_scale.scale / y_scale.scale;
    BinaryRow8 row = {a, b, a_step, b_step, n, a_scale, b_scale, y_scale.type, ratio, 0.0F, (float)y_scale.zero, y};

    mul_row(&row);
}

typedef struct GlobalAverage {
    const void *x;
    void *y;
    int64_t n;
    float ratio;
    Scale8 x_scale, y_scale;
    int64_t channels; /* with the channels last */
} GlobalAverage;

static void global_average_plane(void *context, int64_t plane, int worker)
{
    const GlobalAverage *job = context;
    int32_t sum = -job->x_scale.zero * (int32_t)job->n; /* n < 2^24 by the check below, |values| <= 255 */

    (void)worker;
    for (int64_t i = 0; i < job->n; i++)
        sum = (int32_t)((uint32_t)sum + (uint32_t)load8(job->x_scale.type, job->x, plane * job->n + i));
    store8(job->y, plane, round_clamped((float)sum * job->ratio, job->y_scale));
}

#define STRIP 64

/* A strip of channels, all places. */
CPU_BODY void global_average_strip_body(void *context, int64_t item, int worker)
{
    const GlobalAverage *job = context;
    int64_t strips = (job->channels + STRIP - 1) / STRIP, first = item % strips * STRIP;
    int64_t n = MIN(STRIP, job->channels - first), from = item / strips * job->n * job->channels + first;
    int32_t sums[STRIP] = {0};

    (void)worker;
    for (int64_t i = 0; i < job->n; i++)
        for (int64_t c = 0; c < n; c++)
            sums[c] += load8(job->x_scale.type, job->x, from + i * job->channels + c);
    for (int64_t c = 0; c < n; c++) {
        int32_t sum = (int32_t)((uint32_t)sums[c] - (uint32_t)(job->x_scale.zero * (int32_t)job->n));
        store8(job->y, item / strips * job->channels + first + c, round_clamped((float)sum * job->ratio, job->y_scale));
    }
}

CPU_LEVELS(static, global_average_strip, (void *context, int64_t item, int worker), (context, item, worker))

static bool global_average_job(const void *x, int64_t n, Scale8 x_scale, Scale8 y_scale, void *y, GlobalAverage *ret)
{
    enum { GREATEST = 1 << 23 };

    if (n <= 0 || n >= GREATEST)
        return false;
    float ratio = x_scale.scale / (y_scale.scale * (float)n);
    if (!(ratio >= 0x1p-32F && ratio < 256.0F))
        return false;
    *ret = (GlobalAverage){.x = x, .y = y, .n = n, .ratio = ratio, .x_scale = x_scale, .y_scale = y_scale};
    return true;
}

bool qlinear_global_average(Team *team, const void *x, int64_t planes, int64_t n, Scale8 x_scale, Scale8 y_scale,
                            void *y)
{
    GlobalAverage job;

    if (!global_average_job(x, n, x_scale, y_scale, y, &job))
        return false;
    team_run(team, planes, global_average_plane, &job);
    return true;
}

bool qlinear_global_average_last(Team *team, const void *x, int64_t outer, int64_t n, int64_t channels, Scale8 x_scale,
                                 Scale8 y_scale, void *y)
{
    GlobalAverage job;

    if (!global_average_job(x, n, x_scale, y_scale, y, &job))
        return false;
    job.channels = channels;
    team_run(team, outer * ((channels + STRIP - 1) / STRIP), global_average_strip, &job);
    return true;
}

typedef struct QSoftmax {
    const void *x;
    void *y;
    int64_t n, inner;
    KernelType type;
    Scale8 y_scale;
    float inverse_scale;
    float table[256]; /* exp of the distance from the greatest element, times a common factor */
} QSoftmax;

/* A strip of columns side by side, each summed in the order of its elements. */
CPU_BODY void qsoftmax_strip(const QSoftmax *job, int64_t at, int64_t columns)
{
    float sum[ROW];
    int32_t from[ROW]; /* of the table */

    for (int64_t c = 0; c < columns; c++) {
        from[c] = low_of(job->type);
        sum[c] = 0.0F;
    }
    for (int64_t k = 0; k < job->n; k++)
        for (int64_t c = 0; c < columns; c++)
            from[c] = MAX(from[c], load8(job->type, job->x, at + k * job->inner + c));
    for (int64_t c = 0; c < columns; c++)
        from[c] = 255 - from[c];
    for (int64_t k = 0; k < job->n; k++)
        for (int64_t c = 0; c < columns; c++)
            sum[c] += job->table[from[c] + load8(job->type, job->x, at + k * job->inner + c)];
    for (int64_t k = 0; k < job->n; k++)
        for (int64_t c = 0; c < columns; c++) {
            float part = job->table[from[c] + load8(job->type, job->x, at + k * job->inner + c)];
            float y = sum[c] == 0.0F ? 0.0F : round_even(part * job->inverse_scale / sum[c]) + (float)job->y_scale.zero;
            store8(job->y, at + k * job->inner + c, round_shifted(y, job->y_scale.type));
        }
}

/* A row: what each of the 256 bytes comes to is worked out once, then looked up. */
CPU_BODY void qsoftmax_row(const QSoftmax *job, int64_t at)
{
    const uint8_t *x = (const uint8_t *)job->x + at;
    uint32_t flip = job->type == KERNEL_S8 ? 128 : 0; /* signed bytes order as unsigned ones with the top bit turned */
    uint8_t greatest = 0, by_order[256], by_byte[256];
    float sum = 0.0F, bytes[256];

    for (int64_t k = 0; k < job->n; k++) {
        uint8_t byte = (uint8_t)(x[k] ^ flip);
        greatest = byte > greatest ? byte : greatest;
    }
    const float *table = job->table + 255 - greatest; /* of a flipped byte up to the greatest */
    for (int64_t k = 0; k < job->n; k++)
        sum += table[x[k] ^ flip];
    for (int32_t i = 0; i < 256; i++) { /* those above the greatest do not occur */
        float part = table[MIN(i, (int32_t)greatest)];
        bytes[i] = sum == 0.0F ? 0.0F : round_even(part * job->inverse_scale / sum) + (float)job->y_scale.zero;
    }
    round_row(bytes, 256, job->y_scale.type, by_order);
    memcpy(by_byte, by_order + flip, 256 - flip);
    memcpy(by_byte + 256 - flip, by_order, flip);
    table_bytes(by_byte, x, job->n, (uint8_t *)job->y + at);
}

/* Item: a strip of columns of one outer index. Round_even() is exact below 2^22, and what is greater is clamped. */
CPU_BODY void qsoftmax_item_body(void *context, int64_t item, int worker)
{
    const QSoftmax *job = context;
    int64_t strips = (job->inner + ROW - 1) / ROW, first = item % strips * ROW, at = item / strips * job->n * job->inner;

    (void)worker;
    if (job->inner == 1)
        qsoftmax_row(job, at);
    else
        qsoftmax_strip(job, at + first, MIN(job->inner - first, ROW));
}

CPU_LEVELS(static, qsoftmax_item, (void *context, int64_t item, int worker), (context, item, worker))

void qlinear_softmax(Team *team, const void *x, int64_t outer, int64_t n, int64_t inner, Scale8 x_scale, Scale8 y_scale,
                     void *y)
{
    QSoftmax job = {.x = x, .y = y, .n = n, .inner = inner, .type = x_scale.type, .y_scale = y_scale,
                    .inverse_scale = floorf(1.0F / y_scale.scale)};

    if (n <= 0 || inner <= 0)
        return;
    /* The greatest exponential is e^shift * scale, so that a sum of n of them stays well inside float. */
    double shift = log((double)(FLT_MAX / (float)n)) - 5.0;
    shift = MAX(0.0, shift) / (double)x_scale.scale;
    for (int32_t i = 0; i < 256; i++)
        job.table[i] = (float)exp(((double)i - 255.0 + shift) * (double)x_scale.scale);
    team_run(team, outer * ((inner + ROW - 1) / ROW), qsoftmax_item, &job);
}
