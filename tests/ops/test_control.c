/* If, Loop and Scan, run by the executor: inner graphs that read outer values, iteration counts, stacked results. */
#include <stdio.h>
#include <string.h>

#include "src/exec/exec.h"
#include "tests/ops/mini.h"
#include "tests/test.h"

/* Runs `text` on one float input `x`; the first output is expected to be `expected` (n numbers). */
static void check_run(const char *text, double x, int64_t n, const double *expected)
{
    Model *model = mini_model(16, text);
    Plan *plan = NULL;
    Runner *runner;
    Tensor input, output = {0};
    float value = (float)x;

    CHECK_OK(ops_check(model));
    CHECK_OK(ops_infer(model));
    CHECK_OK(plan_new(model, NULL, &plan));
    if (plan == NULL)
        return;
    runner = runner_new(plan, NULL);
    CHECK_OK(tensor_view(&input, DT_FLOAT, 0, NULL, &value));
    for (int run = 0; run < 2; run++) { /* nothing of the first run is left in the second */
        CHECK_OK(runner_run(runner, &input, NULL, &output));
        CHECK_INT(output.count, n);
        for (int64_t i = 0; i < n && i < output.count; i++)
            CHECK_NEAR(tensor_get(&output, i), expected[i], 1e-5);
    }
    runner_free(runner);
    plan_free(plan);
    model_free(model);
}

TEST(control_if_takes_one_branch)
{
    static const char text[] = "x = float[]; t = float[] 3; c = Less(x, t);"
                               "y = If<then_branch={{ a = Add(x, t) -> a }} else_branch={{ b = Mul(x, t) -> b }}>(c)";

    check_run(text, 1, 1, (const double[]){4});
    check_run(text, 5, 1, (const double[]){15});
}

/* v = v * 2 for 4 rounds; the scan output holds v of each round. */
#define DOUBLING                                                                                                       \
    "x = float[]; n = int64[] 4; two = float[] 2; v, s = Loop<body={{ i = int64[]; c = bool[]; w = float[];"           \
    "d = Identity(c); u = Mul(w, two); k = Identity(u) -> d, u, k }}>(n, , x);"

TEST(control_loop_carries_and_stacks)
{
    check_run(DOUBLING "y = Identity(v)", 1.5, 1, (const double[]){24});
    check_run(DOUBLING "y = Identity(s)", 1.5, 4, (const double[]){3, 6, 12, 24});
}

/* Until v is no longer below 10; without a trip count. */
TEST(control_loop_ends_by_its_condition)
{
    static const char text[] = "x = float[]; go = bool[] 1; two = float[] 2; ten = float[] 10;"
                               "y = Loop<body={{ i = int64[]; c = bool[]; w = float[]; u = Mul(w, two);"
                               "d = Less(u, ten) -> d, u }}>(, go, x)";

    check_run(text, 3, 1, (const double[]){12});
    check_run(text, 20, 1, (const double[]){40});
}

TEST(control_loop_of_no_rounds)
{
    check_run("x = float[]; n = int64[] 0; y, s = Loop<body={{ i = int64[]; c = bool[]; w = float[]; d = Identity(c);"
              "u = Add(w, w); k = Identity(u) -> d, u, k }}>(n, , x)",
              7, 1, (const double[]){7});
}

/* Running sum over a list, forwards and backwards. */
#define SCAN(attrs)                                                                                                    \
    "x = float[]; l = float[3] 1 2 3; q, y0 = Scan<num_scan_inputs=1 " attrs " body={{ s = float[]; e = float[];"       \
    "t = Add(s, e); o = Identity(t) -> t, o }}>(x, l); y = Identity(y0)"

TEST(control_scan_slices_and_stacks)
{
    check_run(SCAN(""), 10, 3, (const double[]){11, 13, 16});
    check_run(SCAN("scan_input_directions=[1]"), 10, 3, (const double[]){13, 15, 16});
    check_run(SCAN("scan_output_directions=[1]"), 10, 3, (const double[]){16, 13, 11});
}

TEST(control_loop_has_a_limit)
{
    Model *model = mini_model(16, "x = float[]; y = Loop<body={{ i = int64[]; c = bool[]; w = float[]; d = Identity(c);"
                                  "u = Identity(w) -> d, u }}>(, , x)");
    Plan *plan = NULL;
    Runner *runner;
    Tensor input, output = {0};
    float value = 1;

    CHECK_OK(ops_infer(model));
    CHECK_OK(plan_new(model, NULL, &plan));
    runner = runner_new(plan, NULL);
    CHECK_OK(tensor_view(&input, DT_FLOAT, 0, NULL, &value));
    CHECK_FAILS(runner_run(runner, &input, NULL, &output), CODE_MODEL,
                "(Loop): has not ended after 1048576 iterations, the most of all loops in one run; if they do end, raise "
                "--max-iterations");
    runner_free(runner);
    plan_free(plan);
    model_free(model);
}

TEST(control_bodies_must_fit)
{
    Model *model = mini_model(16, "x = float[]; c = bool[] 1; y = If<then_branch={{ a = Add(x, x) -> a }} "
                                  "else_branch={{ b = Mul(x, x) -> b, b }}>(c)");

    CHECK_FAILS(ops_infer(model), CODE_MODEL, "2 outputs, expected 0 and 1");
    model_free(model);
}

TEST(control_infers_through_bodies)
{
    Model *model = mini_model(16, "x = float[N,4]; c = bool[]; y = If<then_branch={{ a = Add(x, x) -> a }} "
                                  "else_branch={{ s = int64[2] 0 -1; b = Reshape(x, s) -> b }}>(c)");

    CHECK_TEXT(mini_infer(model, "y"), "float[N,4]");
    model_free(model);
    model = mini_model(16, DOUBLING "y = Identity(s)");
    CHECK_TEXT(mini_infer(model, "y"), "float[?]");
    model_free(model);
}
