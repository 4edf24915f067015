/* test_broadcast.c - every element of a numpy broadcast is visited once, at its place: rows joined and not, on threads. */
#include "tests/test.h"

#include "src/ops/family.h"
#include "tests/kernels/random.h"

#include <stdlib.h>

/* Tells a from b, and where each was. */
static void pair_floats(int64_t n, const void *const *in, const int64_t *step, void *out)
{
    for (int64_t i = 0; i < n; i++)
        ((float *)out)[i] = ((const float *)in[0])[i * step[0]] * 1000.0F + ((const float *)in[1])[i * step[1]];
}

static void pair_bytes(int64_t n, const void *const *in, const int64_t *step, void *out)
{
    for (int64_t i = 0; i < n; i++)
        ((uint8_t *)out)[i] = (uint8_t)(((const uint8_t *)in[0])[i * step[0]] * 7 + ((const uint8_t *)in[1])[i * step[1]]);
}

static void pair_doubles(int64_t n, const void *const *in, const int64_t *step, void *out)
{
    for (int64_t i = 0; i < n; i++)
        ((double *)out)[i] = ((const double *)in[0])[i * step[0]] * 1000.0 + ((const double *)in[1])[i * step[1]];
}

/* The element of a tensor at a place of the output. */
static int64_t element_at(const Tensor *tensor, const Broadcast *plan, int64_t place)
{
    int64_t at = 0, step = 1;
    for (int d = plan->out_rank - 1; d >= 0; d--) {
        int own = d - (plan->out_rank - tensor->rank);
        int64_t index = place % plan->out_dims[d];
        place /= plan->out_dims[d];
        if (own < 0)
            continue;
        at += tensor->dims[own] == 1 ? 0 : index * step;
        step *= tensor->dims[own];
    }
    return at;
}

static void check_pair(Team *team, DType dtype, int rank, const int64_t *a_dims, int b_rank, const int64_t *b_dims)
{
    size_t each = (size_t)dtype_bits(dtype) / 8;
    BroadcastRow pair = each == 1 ? pair_bytes : each == sizeof(float) ? pair_floats : pair_doubles;
    Tensor tensors[2];
    const Tensor *in[2] = {&tensors[0], &tensors[1]};
    Broadcast plan;
    CHECK_OK(tensor_alloc(&tensors[0], dtype, rank, a_dims));
    CHECK_OK(tensor_alloc(&tensors[1], dtype, b_rank, b_dims));
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < tensors[k].count; i++)
            tensor_set(&tensors[k], i, (double)(i % 251));
    CHECK_OK(broadcast_plan(&(EvalCtx){.n_in = 2}, in, 2, &plan));
    int64_t n = 1, wrong = 0;
    for (int d = 0; d < plan.out_rank; d++)
        n *= plan.out_dims[d];
    uint8_t *out = calloc((size_t)n + 1, each);
    broadcast_run(team, &plan, in, out, each, pair);
    for (int64_t i = 0; i < n; i++) {
        double a = tensor_get(in[0], element_at(in[0], &plan, i)), b = tensor_get(in[1], element_at(in[1], &plan, i));
        wrong += each == 1               ? out[i] != (uint8_t)(a * 7 + b)
                 : each == sizeof(float) ? ((float *)(void *)out)[i] != (float)(a * 1000 + b)
                                         : ((double *)(void *)out)[i] != a * 1000 + b;
    }
    CHECK_INT(wrong, 0);
    CHECK_INT(out[(size_t)n * each], 0); /* nothing behind the end */
    free(out);
    tensor_release(&tensors[0]);
    tensor_release(&tensors[1]);
}

static void check_types(Team *team, int rank, const int64_t *a_dims, int b_rank, const int64_t *b_dims)
{
    static const DType dtypes[] = {DT_FLOAT, DT_UINT8, DT_DOUBLE};
    for (size_t t = 0; t < COUNT_OF(dtypes); t++) {
        check_pair(NULL, dtypes[t], rank, a_dims, b_rank, b_dims);
        check_pair(team, dtypes[t], rank, a_dims, b_rank, b_dims);
        check_pair(team, dtypes[t], b_rank, b_dims, rank, a_dims);
    }
}

TEST(broadcast_joins_short_rows)
{
    Team *team = team_new(3);
    check_types(team, 4, (int64_t[]){2, 57, 31, 16}, 4, (int64_t[]){2, 1, 1, 16});  /* one number a channel, channels last */
    check_types(team, 4, (int64_t[]){2, 61, 7, 7}, 3, (int64_t[]){61, 1, 1});       /* row-major, small planes */
    check_types(team, 3, (int64_t[]){40, 50, 3}, 3, (int64_t[]){40, 50, 1});
    check_types(team, 3, (int64_t[]){300, 1, 13}, 3, (int64_t[]){1, 11, 1});        /* neither is whole */
    check_types(team, 3, (int64_t[]){9, 700, 255}, 1, (int64_t[]){255});
    check_types(team, 3, (int64_t[]){5, 3, 2000}, 2, (int64_t[]){3, 1});            /* rows that are long enough */
    check_types(team, 2, (int64_t[]){1, 70000}, 2, (int64_t[]){1, 1});
    check_types(team, 3, (int64_t[]){4, 0, 3}, 1, (int64_t[]){3});
    check_types(team, 0, NULL, 0, NULL);
    team_free(team);
}

TEST(broadcast_of_random_shapes)
{
    static const int64_t sizes[] = {1, 1, 2, 3, 5, 8, 33, 64};
    Team *team = team_new(3);
    Random random = {7};
    for (int round = 0; round < 200; round++) {
        int64_t a[4], b[4];
        for (int d = 0; d < 4; d++) {
            int64_t size = sizes[random_next(&random) % COUNT_OF(sizes)];
            a[d] = random_next(&random) % 3 == 0 ? 1 : size;
            b[d] = random_next(&random) % 3 == 0 ? 1 : size;
        }
        int skip = (int)(random_next(&random) % 3);
        check_types(team, 4, a, 4 - skip, b + skip);
    }
    team_free(team);
}
