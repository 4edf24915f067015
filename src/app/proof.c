/* proof.c - that simplification changed nothing: the same sample through the graph before and after.
 *
 *     proof_begin(plan of the file as it is)  ─ passes ─  proof_end(plan of the simplified graph) ─> greatest difference
 *
 * Only the outputs of one sample are kept in between, so the two forms of the model never stand in memory together.
 */
#include "src/app/app.h"
#include "src/ops/ops.h"

#include <math.h>
#include <stdlib.h>

/* The first sample that can be read: unreadable ones are told by calibration, which sees all of them. */
static Status load_first(const Dataset *dataset, Tensor *ret_inputs)
{
    for (int64_t i = 0; i < dataset_count(dataset); i++) {
        Status status = dataset_load(dataset, i, ret_inputs);
        if (status_code(status) != CODE_DATA)
            return status;
        if (i + 1 == dataset_count(dataset))
            return status_prefix(status, "none of the %lld samples can be read; the last",
                                 (long long)dataset_count(dataset));
        status_free(status);
    }
    return status_new(CODE_DATA, "there are no samples");
}

static Status count_elements(void *context, const Value *value, Tensor *tensor)
{
    ElementCounts *counts = context;
    if (value->id < counts->n)
        counts->by_value[value->id] = tensor->count;
    return NULL;
}

/* Runs the sample and notes the size of every value. */
static Status run_counting(const Plan *plan, Proof *proof, Tensor *ret_views, Runner *runner)
{
    const Model *model = plan_model(plan);
    free(proof->counts.by_value);
    proof->counts = (ElementCounts){xcalloc(MAX(model->n_ids, 1), sizeof(int64_t)), model->n_ids};
    Observer observer = {.value = count_elements, .context = &proof->counts, .any_order = true};
    return runner_run(runner, proof->inputs, &observer, ret_views);
}

static int64_t sum_macs(const Model *model, const ElementCounts *counts)
{
    int64_t macs = 0;
    for (const Node *node = model->graph->first; node != NULL; node = node->next)
        macs += MAX(op_macs(node, counts), 0);
    return macs;
}

Status proof_begin(const Plan *plan, const Dataset *dataset, Proof *ret)
{
    Proof proof = {.n_inputs = plan_n_inputs(plan),
                   .n_outputs = plan_n_outputs(plan),
                   .max_abs_diff = NAN,
                   .max_relative_diff = NAN};
    proof.inputs = xcalloc((size_t)MAX(proof.n_inputs, 1), sizeof proof.inputs[0]);
    proof.outputs = xcalloc((size_t)MAX(proof.n_outputs, 1), sizeof proof.outputs[0]);
    Tensor *views = xcalloc((size_t)MAX(proof.n_outputs, 1), sizeof views[0]);
    Runner *runner = runner_new(plan, NULL);
    Status status = load_first(dataset, proof.inputs);
    if (status == NULL)
        status = run_counting(plan, &proof, views, runner);
    if (status == NULL)
        proof.macs = sum_macs(plan_model(plan), &proof.counts);
    for (int i = 0; i < proof.n_outputs && status == NULL; i++)
        status = tensor_copy(&proof.outputs[i], &views[i]);
    runner_free(runner);
    free(views);
    if (status != NULL)
        proof_release(&proof);
    else
        *ret = proof;
    return status;
}

void proof_compare(const Tensor *before, const Tensor *after, double *abs_diff, double *relative_diff)
{
    double greatest = 0.0, difference = 0.0;
    if (!tensor_same_shape(before, after) || before->dtype != after->dtype)
        difference = INFINITY;
    for (int64_t i = 0; i < before->count && isfinite(difference) && before->dtype != DT_STRING; i++) {
        double a = tensor_get(before, i), b = tensor_get(after, i);
        if (isfinite(a))
            greatest = fmax(greatest, fabs(a));
        if (!(a == b) && !(isnan(a) && isnan(b)))
            difference = isfinite(a) && isfinite(b) ? fmax(difference, fabs(a - b)) : INFINITY;
    }
    *abs_diff = fmax(*abs_diff, difference);
    *relative_diff = fmax(*relative_diff, difference == 0.0 ? 0.0 : difference / greatest);
}

Status proof_end(const Plan *plan, Proof *proof)
{
    Tensor *views = xcalloc((size_t)MAX(proof->n_outputs, 1), sizeof views[0]);
    Runner *runner = runner_new(plan, NULL);
    Status status = run_counting(plan, proof, views, runner);
    for (int i = 0; i < proof->n_outputs && status == NULL; i++)
        proof_compare(&proof->outputs[i], &views[i], &proof->max_abs_diff, &proof->max_relative_diff);
    runner_free(runner);
    free(views);
    return status;
}

void proof_release(Proof *proof)
{
    for (int i = 0; proof->inputs != NULL && i < proof->n_inputs; i++)
        tensor_release(&proof->inputs[i]);
    for (int i = 0; proof->outputs != NULL && i < proof->n_outputs; i++)
        tensor_release(&proof->outputs[i]);
    free(proof->inputs);
    free(proof->outputs);
    proof->inputs = proof->outputs = NULL;
    free(proof->counts.by_value);
    proof->counts = (ElementCounts){0};
}
