/* test_rnn_fast.c - recurrent nets of odd sizes: products in panels give what the plain loops give. */
#include "tests/test.h"

#include <stdlib.h>

#include "tests/kernels/random.h"
#include "tests/ops/one_node.h"

typedef struct Size {
    int64_t steps, batch, inputs, hidden;
} Size;

static Tensor random_tensor(Random *random, int64_t a, int64_t b, int64_t c)
{
    float *data = a * b * c == 0 ? NULL : xcalloc((size_t)(a * b * c), sizeof *data);
    Tensor ret;
    random_floats(random, data, a * b * c);
    CHECK_OK(tensor_view(&ret, DT_FLOAT, 3, (int64_t[]){a, b, c}, data));
    return ret;
}

static void check_cell(const char *op_type, int64_t gates, Size size, bool both, bool lengths, Random *random)
{
    int64_t d = both ? 2 : 1, n = gates * size.hidden;
    int32_t *ends = xcalloc((size_t)MAX(size.batch, 1), sizeof *ends);
    Tensor in[6] = {random_tensor(random, size.steps, size.batch, size.inputs), random_tensor(random, d, n, size.inputs),
                    random_tensor(random, d, n, size.hidden), random_tensor(random, d, 2 * n, 1)};
    in[3].rank = 2;
    for (int64_t i = 0; i < size.batch; i++)
        ends[i] = (int32_t)(i % (size.steps + 1));
    if (lengths)
        CHECK_OK(tensor_view(&in[4], DT_INT32, 1, &size.batch, ends));
    OneNode one = one_node(op_type, "", 14, in, lengths ? 5 : 4, 2);
    node_set_int(one.node, "hidden_size", size.hidden);
    if (both)
        node_set_string(one.node, "direction", "bidirectional");
    if (gates == 3)
        node_set_int(one.node, "linear_before_reset", size.hidden % 2);
    CHECK_OK(one_node_run(&one, true));
    Tensor expected[2] = {one.out[0], one.out[1]};
    one.out[0] = one.out[1] = (Tensor){0};
    CHECK_OK(one_node_run(&one, false));
    for (int i = 0; i < 2; i++) {
        CHECK_INT(one.out[i].count, expected[i].count);
        for (int64_t k = 0; k < MIN(one.out[i].count, expected[i].count); k++)
            CHECK_NEAR(tensor_get(&one.out[i], k), tensor_get(&expected[i], k), 1e-5);
        tensor_release(&expected[i]);
    }
    one_node_free(&one);
    for (int i = 0; i < 4; i++)
        if (in[i].count > 0) /* else tensor_view() put something of its own there */
            free(in[i].data);
    free(ends);
}

TEST(recurrent_nets_in_panels_agree_with_the_plain_loops)
{
    static const Size sizes[] = {{0, 1, 3, 5}, {1, 1, 1, 1}, {3, 2, 5, 7}, {2, 3, 40, 16}, {4, 1, 64, 33}, {2, 0, 3, 4}};
    Random random = {41};

    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (int kind = 0; kind < 4; kind++) {
            check_cell("LSTM", 4, sizes[i], kind % 2 == 1, kind / 2 == 1, &random);
            check_cell("GRU", 3, sizes[i], kind % 2 == 1, kind / 2 == 1, &random);
            check_cell("RNN", 1, sizes[i], kind % 2 == 1, kind / 2 == 1, &random);
        }
}
