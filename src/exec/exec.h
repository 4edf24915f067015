/* exec.h - running a model: plan once, run many times.
 *
 *     Model ── plan_new ──> Plan (const, shared by threads) ── runner_new ──> Runner (one a thread: buffers) ── runner_run
 *
 * A plan orders the steps, knows when each value dies, and joins the DQ-op-Q groups of a quantized model into one integer
 * step each (integer.c). Buffers come from a pool that a value's last reader gives back to; shapes may differ from run to
 * run. One hook, called when a value is complete, serves calibration, comparison and dumps.
 */
#ifndef QUANTIZE_EXEC_H
#define QUANTIZE_EXEC_H

#include "src/ir/ir.h"

typedef struct Plan Plan;
typedef struct Runner Runner;

typedef struct PlanOptions {
    bool reference;       /* plain C loops only: the oracle */
    bool no_integer;      /* run Q/DQ nodes one by one in float arithmetic instead of joining them */
    bool keep_all;        /* every value the file names is computed and shown to the observer, nothing is skipped */
} PlanOptions;

/* The model must outlive the plan. CODE_UNSUPPORTED names an op that cannot run. */
MUST_USE Status plan_new(const Model *model, const PlanOptions *options, Plan **ret);
void plan_free(Plan *plan); /* NULL is fine */
const Model *plan_model(const Plan *plan);
int plan_n_inputs(const Plan *plan);              /* graph inputs that no initializer shadows */
const Value *plan_input(const Plan *plan, int i);
int plan_n_outputs(const Plan *plan);
const Value *plan_output(const Plan *plan, int i);
/* Steps, for reports and tests: what runs, e.g. "QLinearConv"; the node whose output it gives. Joined steps (fuse.c) are counted
 * by their parts. */
int plan_n_steps(const Plan *plan);
const char *plan_step_op(const Plan *plan, int i);
const Node *plan_step_node(const Plan *plan, int i);
bool plan_step_is_integer(const Plan *plan, int i); /* a DQ-op-Q group run in integers */
const char *plan_step_problem(const Plan *plan, int i); /* why an op with an integer form runs in float, or NULL */
int plan_step_n_out(const Plan *plan, int i);
const Value *plan_step_out(const Plan *plan, int i, int output); /* NULL when omitted */

/* Called on the running thread each time a value is complete: real elements, row-major. It may change the data in place
 * (that is how a test feeds every node the same inputs). A failure ends the run. */
typedef struct Observer {
    Status (*value)(void *context, const Value *value, Tensor *tensor);
    void *context;
    const bool *unwanted; /* by value id: what need not be shown, nor made where ops can be joined; NULL: all is shown */
    bool any_order; /* it only looks, and the order of elements is nothing to it: images may come with the channels last */
} Observer;

/* Called on the running thread after each step of the main graph (inner graphs count to the step that runs them, joined steps to
 * the first of them): seconds of
 * clock_seconds() at its start and end, the implementation that ran, and its tensors (omitted ones NULL or undefined). */
typedef struct StepSeen {
    int step;
    double begin, end;
    const char *implementation;
    int n_in, n_out;
    const Tensor *const *in;
    const Tensor *out;
} StepSeen;
typedef struct Profiler {
    void (*step)(void *context, const StepSeen *seen);
    void *context;
} Profiler;

/* team: threads this runner may use inside ops, or NULL (one). */
Runner *runner_new(const Plan *plan, Team *team);
void runner_set_profiler(Runner *runner, const Profiler *profiler); /* NULL: none; it must outlive its use */
void runner_free(Runner *runner); /* NULL is fine */
/* inputs[plan_n_inputs], checked against the declared types (CODE_DATA names the input, expected and given);
 * ret_outputs[plan_n_outputs]: views into the runner, good until its next run. observer may be NULL. */
MUST_USE Status runner_run(Runner *runner, const Tensor *inputs, const Observer *observer, Tensor *ret_outputs);

#endif
