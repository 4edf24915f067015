/* mini.h - small graphs written as text, for the tests of operators.
 *
 *     "x = float[2,2] 1 2 3 4; k = int64[1] 0; y = ReduceSum<keepdims=0>(x, k)"
 *
 * NAME = DTYPE[DIMS] NUMBERS is a constant; without numbers (and with a dim that is a name, ? or a size) it is an input:
 * "x = float[N,3]"; DTYPE[*] has no known rank. NAME, NAME = OP<KEY=VALUE ...>(NAME, , NAME) is a node; a value is a whole
 * number, a number with a point, 'text', a list of one of these in brackets, a constant in braces, or an inner graph
 * {{ x = float[]; y = Relu(x) -> y }}, which may read outer names.
 */
#ifndef QUANTIZE_TESTS_OPS_MINI_H
#define QUANTIZE_TESTS_OPS_MINI_H

#include "src/ops/ops.h"

/* The graph that `text` describes, bound to opset `opset` of ai.onnx. A mistake in the text ends the test program. */
Model *mini_model(int opset, const char *text);
/* ops_check, ops_infer, then every node evaluated with its own op (no inner graphs). Returns the value of NAME as text,
 * "float[2] 1 2", or the message of the failure. The text lives in the model's arena. */
const char *mini_run(Model *model, const char *name);
/* Its inferred type, "float[N,3]", with the content behind it when there is any: "int64[2] N 3"; or a failure's message. */
const char *mini_infer(Model *model, const char *name);

typedef struct MiniCase {
    int opset;
    const char *text;     /* the last NAME defined is looked at, or that before '|' in `expected` */
    const char *expected; /* "float[2] 1 2"; numbers agree within 1e-5; "! part" expects a failure with that part */
} MiniCase;
void mini_check_values(const char *file, const MiniCase *cases, size_t n);
void mini_check_types(const char *file, const MiniCase *cases, size_t n);

#endif
