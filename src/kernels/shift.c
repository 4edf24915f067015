/* shift.c - an integer product whose right side is uint8 or has a zero point, by a product that takes int8 without one.
 *
 *     b' = b - 128 for uint8 (the top bit turned), b otherwise; z = the zero point of b, less 128 for uint8
 *
 *     sum (a - a_zero) (b - b_zero)  =  sum (a - a_zero) (b' - z)  =  sum (a - a_zero) b'  -  z sum (a - a_zero)
 *                                                                     what oneDNN computes    one number a row of a
 * All of it in int32, modulo 2^32: exact as far as the sum itself fits.
 */
#include "src/kernels/rounding.h"

#define FLIP_BLOCK 16384

typedef struct Flip {
    const uint8_t *x;
    int64_t n;
    int8_t *y;
} Flip;

CPU_BODY void flip_body(const uint8_t *restrict x, int64_t n, uint8_t *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] ^ 0x80;
}

CPU_LEVELS(static, flip, (const uint8_t *restrict x, int64_t n, uint8_t *restrict y), (x, n, y))

static void flip_block(void *context, int64_t block, int worker)
{
    const Flip *job = context;
    int64_t begin = block * FLIP_BLOCK;

    (void)worker;
    flip(job->x + begin, MIN(FLIP_BLOCK, job->n - begin), (uint8_t *)job->y + begin);
}

void bytes_to_signed(Team *team, const uint8_t *x, int64_t n, int8_t *y)
{
    Flip job = {x, n, y};
    team_run(team, (n + FLIP_BLOCK - 1) / FLIP_BLOCK, flip_block, &job);
}

CPU_BODY void sum_bytes_body(KernelType type, const void *data, int64_t n, int64_t step, uint32_t *ret)
{
    const uint8_t *u8 = data;
    const int8_t *s8 = data;
    uint32_t sum = 0;

    if (step == 1 && type == KERNEL_U8)
        for (int64_t i = 0; i < n; i++)
            sum += u8[i];
    else if (step == 1)
        for (int64_t i = 0; i < n; i++)
            sum += (uint32_t)s8[i];
    else
        for (int64_t i = 0; i < n; i++)
            sum += (uint32_t)load8(type, data, i * step);
    *ret = sum;
}

CPU_LEVELS(static, sum_bytes, (KernelType type, const void *data, int64_t n, int64_t step, uint32_t *ret),
           (type, data, n, step, ret))

void gemm_row_shift(int64_t batch, const int64_t *pairs, int64_t m, int64_t k, Matrix a, int32_t b_zero, int32_t *ret)
{
    uint32_t zeros = (uint32_t)(a.zero == NULL ? 0 : a.zero[0]) * (uint32_t)k;

    for (int64_t i = 0; i < batch; i++)
        for (int64_t row = 0; row < m; row++) {
            const uint8_t *from = (const uint8_t *)a.data + (pairs == NULL ? 0 : pairs[2 * i]) + row * a.row;
            uint32_t sum;
            sum_bytes(a.type, from, k, a.column, &sum);
            ret[i * m + row] = (int32_t)(0u - (uint32_t)b_zero * (sum - zeros));
        }
}
