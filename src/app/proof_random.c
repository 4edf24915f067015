/* proof_random.c - that simplification changed nothing, on random inputs drawn from the declared shapes.
 *
 *     round 0   batch 1, other unknown sizes: the first of a list that the model as it was runs with
 *     round 1   batch 2, ...                  the next ones
 */
#include "src/app/app.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Ways {
    const char *save_inputs;
    const PlanOptions *other_way; /* of running the model */
} Ways;

/* Outputs of one run, deep copies. */
static Status run_plan(const Plan *plan, const Tensor *inputs, Tensor *ret_outputs)
{
    int n = plan_n_outputs(plan);
    Tensor *views = xcalloc((size_t)MAX(n, 1), sizeof views[0]);
    Runner *runner = runner_new(plan, NULL);
    Status status = runner_run(runner, inputs, NULL, views);
    for (int i = 0; i < n && status == NULL; i++)
        status = tensor_copy(&ret_outputs[i], &views[i]);
    runner_free(runner);
    free(views);
    return status;
}

static void release_all(Tensor *tensors, int n)
{
    for (int i = 0; i < n; i++)
        tensor_release(&tensors[i]);
}

/* The order of the inputs is the same in both unless one was dropped. */
static Status compare_runs(const Plan *before, const Plan *after, const Tensor *inputs, const Tensor *expected,
                           RandomProof *proof)
{
    int n = plan_n_outputs(before);
    if (plan_n_inputs(after) != plan_n_inputs(before) || plan_n_outputs(after) != n)
        return status_new(CODE_MODEL, "the simplified model has other inputs or outputs");
    Tensor *outputs = xcalloc((size_t)MAX(n, 1), sizeof outputs[0]);
    Status status = run_plan(after, inputs, outputs);
    for (int i = 0; i < n && status == NULL; i++)
        proof_compare(&expected[i], &outputs[i], &proof->max_abs_diff, &proof->max_relative_diff);
    release_all(outputs, n);
    free(outputs);
    return status_prefix(status, "the simplified model");
}

static Status measure_noise(const Plan *plan, const PlanOptions *other_way, const Tensor *inputs, const Tensor *expected,
                            RandomProof *proof)
{
    Plan *other = NULL;
    RandomProof noise = {.runs = 0};
    Status status = plan_new(plan_model(plan), other_way, &other);
    if (status == NULL)
        status = compare_runs(plan, other, inputs, expected, &noise);
    plan_free(other);
    proof->own_noise = fmax(proof->own_noise, noise.max_relative_diff);
    return status;
}

static void describe(const Plan *plan, const Tensor *inputs, char *ret, size_t size)
{
    Arena *arena = arena_new();
    size_t at = 0;
    ret[0] = '\0';
    for (int i = 0; i < plan_n_inputs(plan) && at < size; i++) {
        int n = snprintf(ret + at, size - at, "%s%s %s", i > 0 ? ", " : "", plan_input(plan, i)->name,
                         tensor_shape_text(arena, &inputs[i]));
        at += n > 0 ? (size_t)n : 0;
    }
    arena_free(arena);
}

/* One round at one size. *ret_ran says whether the model as it was could be run; then a failure is that of the other. */
static Status try_sizes(const Plan *after, const Sizes *sizes, const Ways *ways, RandomProof *proof, bool *ret_ran)
{
    const Plan *before = sizes->plan;
    int n_in = plan_n_inputs(before), n_out = plan_n_outputs(before);
    Tensor *inputs = xcalloc((size_t)MAX(n_in, 1), sizeof inputs[0]);
    Tensor *outputs = xcalloc((size_t)MAX(n_out, 1), sizeof outputs[0]);
    Status status = NULL;
    *ret_ran = false;
    for (int i = 0; i < n_in && status == NULL; i++)
        status = sizes_fill(sizes, plan_input(before, i), &inputs[i]);
    if (status == NULL)
        status = run_plan(before, inputs, outputs);
    if (status == NULL) {
        *ret_ran = true;
        describe(before, inputs, proof->sizes[proof->runs], sizeof proof->sizes[proof->runs]);
        if (ways->save_inputs != NULL)
            status = dump_tensors(ways->save_inputs, sizes->round == 0 ? "0" : "1", before, n_in, plan_input, inputs);
        if (status == NULL)
            status = compare_runs(before, after, inputs, outputs, proof);
        if (status == NULL && proof->max_relative_diff > PROOF_TOLERANCE)
            status = measure_noise(before, ways->other_way, inputs, outputs, proof);
    }
    release_all(inputs, n_in);
    release_all(outputs, n_out);
    free(inputs);
    free(outputs);
    return status;
}

/* Tries until one runs. */
static Status prove_round(const Plan *after, Sizes *sizes, const Ways *ways, RandomProof *proof)
{
    bool ran = false;
    for (int i = 0; i < sizes_tries(sizes) && !ran; i++) {
        sizes_take(sizes, i);
        Status status = try_sizes(after, sizes, ways, proof, &ran);
        if (status != NULL && (ran || status_code(status) == CODE_INTERRUPTED))
            return status;
        if (status != NULL && proof->reason == NULL)
            proof->reason = xstrdup(status_message(status));
        status_free(status);
    }
    proof->runs += ran;
    return NULL;
}

static Status prove(const Plan *before, const Plan *after, const char *shapes, const Ways *ways, RandomProof *proof)
{
    Arena *arena = arena_new();
    const InputShape *given = NULL;
    int n_given = 0;
    Status status = setup_shapes(shapes, before, arena, &given, &n_given);
    if (status == NULL) {
        Sizes sizes = sizes_new(before, given, n_given);
        int rounds = sizes_tries(&sizes) > 1 ? PROOF_ROUNDS : 1;
        for (; sizes.round < rounds && status == NULL; sizes.round++, sizes.batch++)
            status = prove_round(after, &sizes, ways, proof);
        sizes_release(&sizes);
    }
    arena_free(arena);
    return status;
}

Status proof_random(const Model *before, const Model *after, const char *shapes, const char *save_inputs,
                    const PlanOptions *options, RandomProof *ret)
{
    RandomProof proof = {.runs = 0};
    Plan *plan_before = NULL, *plan_after = NULL;
    PlanOptions other_way = {.reference = !options->reference};
    Ways ways = {.save_inputs = save_inputs, .other_way = &other_way};
    Status status = plan_new(before, options, &plan_before);
    if (status_code(status) == CODE_UNSUPPORTED) {
        proof.reason = xstrdup(status_message(status));
        status_free(status);
        status = NULL;
    } else if (status == NULL) {
        status = plan_new(after, options, &plan_after);
        if (status == NULL)
            status = prove(plan_before, plan_after, shapes, &ways, &proof);
    }
    plan_free(plan_before);
    plan_free(plan_after);
    if (status != NULL)
        free(proof.reason);
    else
        *ret = proof;
    return status;
}
