/* gemm.c - reference matrix products over matrices of any strides: transposed or not, float, or bytes with
 * zero points. */
#include "src/kernels/product.h"

#include <string.h>

typedef struct Gemm {
    int64_t m, n, k;
    Matrix a, b;
    const int64_t *pairs;
    float *c;
    int32_t *c_int;
} Gemm;

/* n elements `stride` apart from element `from` on, as floats less the zero point; ret with its own stride. */
static void load(const Matrix *matrix, int64_t from, int64_t stride, int64_t n, int32_t zero, float *ret,
                 int64_t ret_stride)
{
    if (matrix->type == KERNEL_FLOAT) {
        const float *data = (const float *)matrix->data + from;
        if (stride == 1 && ret_stride == 1)
            memcpy(ret, data, (size_t)n * sizeof *ret);
        else
            for (int64_t i = 0; i < n; i++)
                ret[i * ret_stride] = data[i * stride];
    } else if (matrix->type == KERNEL_U8) {
        const uint8_t *data = (const uint8_t *)matrix->data + from;
        for (int64_t i = 0; i < n; i++)
            ret[i * ret_stride] = (float)((int32_t)data[i * stride] - zero);
    } else {
        const int8_t *data = (const int8_t *)matrix->data + from;
        for (int64_t i = 0; i < n; i++)
            ret[i * ret_stride] = (float)((int32_t)data[i * stride] - zero);
    }
}

static int32_t zero_of(const Matrix *matrix, int64_t i)
{
    return matrix->zero == NULL ? 0 : matrix->zero[matrix->zeros == 1 ? 0 : i];
}

static void pack_rows(const Product *product, int64_t row0, int64_t n, int64_t k0, int64_t n_k, float *ret)
{
    const Gemm *gemm = product->context;
    int64_t base = gemm->pairs == NULL ? 0 : gemm->pairs[2 * product->index];

    for (int64_t i = 0; i < PRODUCT_ROWS; i++)
        if (i < n)
            load(&gemm->a, base + (row0 + i) * gemm->a.row + k0 * gemm->a.column, gemm->a.column, n_k,
                 zero_of(&gemm->a, row0 + i), ret + i, PRODUCT_ROWS);
        else
            for (int64_t k = 0; k < n_k; k++)
                ret[k * PRODUCT_ROWS + i] = 0.0F;
}

static void pack_columns(const Product *product, int64_t column0, int64_t n, int64_t k0, int64_t n_k, float *ret)
{
    const Gemm *gemm = product->context;
    const Matrix *b = &gemm->b;
    int64_t base = (gemm->pairs == NULL ? 0 : gemm->pairs[2 * product->index + 1]) + k0 * b->row + column0 * b->column;
    int64_t padded = (n + 7) / 8 * 8;

    if (b->column == 1 && (b->zero == NULL || b->zeros == 1)) {
        for (int64_t k = 0; k < n_k; k++)
            load(b, base + k * b->row, 1, n, zero_of(b, 0), ret + k * PRODUCT_COLUMNS, 1);
    } else {
        for (int64_t j = 0; j < n; j++)
            load(b, base + j * b->column, b->row, n_k, zero_of(b, column0 + j), ret + j, PRODUCT_COLUMNS);
    }
    for (int64_t k = 0; k < n_k; k++)
        for (int64_t j = n; j < padded; j++)
            ret[k * PRODUCT_COLUMNS + j] = 0.0F;
}

static void make_product(const void *context, int64_t index, Product *ret)
{
    const Gemm *gemm = context;

    *ret = (Product){.rows = gemm->m, .columns = gemm->n, .depth = gemm->k, .pack_rows = pack_rows,
                     .pack_columns = pack_columns, .context = gemm, .index = index};
    if (gemm->c_int != NULL)
        ret->out_int = gemm->c_int + index * gemm->m * gemm->n;
    else
        ret->out = gemm->c + index * gemm->m * gemm->n;
}

void gemm_float(Team *team, int64_t batch, const int64_t *pairs, int64_t m, int64_t n, int64_t k, Matrix a, Matrix b,
                float *c)
{
    Gemm gemm = {m, n, k, a, b, pairs, c, NULL};
    product_run(team, batch, make_product, &gemm);
}

void gemm_int(Team *team, int64_t batch, const int64_t *pairs, int64_t m, int64_t n, int64_t k, Matrix a, Matrix b,
              int32_t *c)
{
    Gemm gemm = {m, n, k, a, b, pairs, NULL, c};
    product_run(team, batch, make_product, &gemm);
}
