/* test_concat_rows.c - rows of several parts side by side, some through a table, on one thread and three. */
#include "tests/test.h"

#include "src/ops/family.h"

#include <stdlib.h>

static void check_concat(Team *team, int64_t rows, const size_t *bytes, int n, int with_table)
{
    ConcatPart parts[4];
    uint8_t table[256], *data[4];
    size_t pitch = 0, wrong = 0, at = 0;
    for (int i = 0; i < 256; i++)
        table[i] = (uint8_t)(255 - i);
    for (int i = 0; i < n; i++) {
        data[i] = calloc((size_t)rows * bytes[i] + 1, 1);
        for (size_t k = 0; k < (size_t)rows * bytes[i]; k++)
            data[i][k] = (uint8_t)(k * 31 + (size_t)i * 97);
        parts[i] = (ConcatPart){data[i], bytes[i], i == with_table ? table : NULL};
        pitch += bytes[i];
    }
    uint8_t *out = calloc((size_t)rows * pitch + 1, 1);
    concat_rows(team, rows, parts, n, out);
    for (int64_t r = 0; r < rows; r++)
        for (int i = 0; i < n; i++)
            for (size_t k = 0; k < bytes[i]; k++, at++) {
                uint8_t x = data[i][(size_t)r * bytes[i] + k];
                wrong += out[at] != (i == with_table ? table[x] : x);
            }
    CHECK_INT((int64_t)wrong, 0);
    CHECK_INT(out[at], 0);
    free(out);
    for (int i = 0; i < n; i++)
        free(data[i]);
}

TEST(concat_rows_of_all_sizes)
{
    static const size_t parts[][4] = {{1, 1, 1, 1}, {4, 8, 2, 1}, {16, 32, 64, 3}, {0, 5, 0, 7}, {100, 28, 1, 900},
                                       {70000, 3, 0, 1}};
    static const int64_t rows[] = {0, 1, 3, 2000};
    Team *team = team_new(3);
    for (size_t p = 0; p < COUNT_OF(parts); p++)
        for (size_t r = 0; r < COUNT_OF(rows); r++) {
            int64_t n = parts[p][0] > 1000 ? MIN(rows[r], 3) : rows[r];
            for (int table = -1; table < 4; table += 2) {
                check_concat(NULL, n, parts[p], 4, table);
                check_concat(team, n, parts[p], 4, table);
            }
        }
    team_free(team);
}
