/* test_turn.c - transposed batches of matrices of every size, beside a plain loop, on one thread and three. */
#include "tests/test.h"

#include "src/kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

static void check_turn(Team *team, size_t bytes, int64_t outer, int64_t rows, int64_t columns)
{
    size_t n = (size_t)(outer * rows * columns), wrong = 0;
    uint8_t *x = calloc(n + 1, bytes), *y = calloc(n + 1, bytes);
    for (size_t i = 0; i < n * bytes; i++)
        x[i] = (uint8_t)(i * 167 + (i >> 8) * 13);
    turn_planes(team, bytes, outer, rows, columns, x, y);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < columns; c++) {
                size_t from = (size_t)((o * rows + r) * columns + c), to = (size_t)((o * columns + c) * rows + r);
                wrong += memcmp(x + from * bytes, y + to * bytes, bytes) != 0;
            }
    CHECK_INT((int64_t)wrong, 0);
    for (size_t i = 0; i < bytes; i++)
        CHECK_INT(y[n * bytes + i], 0); /* nothing behind the end */
    free(x);
    free(y);
}

TEST(turn_planes_of_all_sizes)
{
    static const int64_t sizes[][2] = {{1, 1},   {1, 50},    {50, 1},   {2, 33},   {3, 3},    {3, 3000}, {3000, 3}, {4, 2050},
                                       {2050, 4}, {5, 7},    {7, 5},    {16, 16},  {17, 16},  {16, 31},  {32, 32},  {33, 65},
                                       {64, 196}, {196, 64}, {20, 1100}, {1100, 20}, {2, 4},  {4, 2},    {0, 5},    {5, 0}};
    static const size_t bytes[] = {1, 2, 4, 8};
    Team *team = team_new(3);
    for (size_t s = 0; s < COUNT_OF(sizes); s++)
        for (size_t b = 0; b < COUNT_OF(bytes); b++) {
            check_turn(NULL, bytes[b], 2, sizes[s][0], sizes[s][1]);
            check_turn(team, bytes[b], 3, sizes[s][0], sizes[s][1]);
        }
    team_free(team);
}
