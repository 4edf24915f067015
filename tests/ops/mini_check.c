/* mini_check.c - see mini.h: tables of graphs against what they give. */
#include "tests/ops/mini.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

/* Same text up to the first number that differs by more than 1e-5 of its size (and 1e-6). */
static bool agree(const char *a, const char *b)
{
    while (*a != '\0' || *b != '\0') {
        char *end_a, *end_b;
        while (*a == ' ' && *b == ' ') {
            a++;
            b++;
        }
        if (*a == ' ' || *b == ' ' || a[0] == '\0' || b[0] == '\0')
            return *a == *b;
        double x = strtod(a, &end_a), y = strtod(b, &end_b);
        if (end_a == a || end_b == b) {
            if (*a++ != *b++)
                return false;
            continue;
        }
        if (!(isnan(x) && isnan(y)) && x != y && !(fabs(x - y) <= 1e-6 + 1e-5 * fabs(y)))
            return false;
        a = end_a;
        b = end_b;
    }
    return true;
}

static void check(const char *file, const MiniCase *cases, size_t n, const char *(*get)(Model *model, const char *name))
{
    for (size_t i = 0; i < n; i++) {
        const char *expected = cases[i].expected, *bar = strchr(expected, '|'), *got;
        Model *model = mini_model(cases[i].opset, cases[i].text);
        const char *name = model->graph->outputs[0]->name;
        bool good;
        if (bar != NULL) {
            name = arena_strndup(model->arena, expected, (size_t)(bar - expected));
            expected = bar + 1;
        }
        got = get(model, name);
        good = *expected == '!' ? strstr(got, expected + 2) != NULL : agree(got, expected);
        if (!good)
            test_fail(file, 0, "opset %d: %s\n    gives    %s\n    expected %s", cases[i].opset, cases[i].text, got, expected);
        model_free(model);
    }
}

void mini_check_values(const char *file, const MiniCase *cases, size_t n)
{
    check(file, cases, n, mini_run);
}

void mini_check_types(const char *file, const MiniCase *cases, size_t n)
{
    check(file, cases, n, mini_infer);
}
