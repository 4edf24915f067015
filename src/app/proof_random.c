/* proof_random.c - that simplification changed nothing, on random inputs drawn from the declared shapes.
 *
 *     round 0   batch 1, other unknown sizes: the first of a list that the model as it was runs with
 *     round 1   batch 2, ...                  the next ones
 *
 * Sizes of one name are equal. Floats lie in [-1, 1), integers in 0..3, so that they may be indices or masks.
 */
#include "src/app/app.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BATCH 1
#define MAX_INPUT_ELEMENTS ((int64_t)1 << 26)

/* What unknown sizes other than the batch are tried with: images, text, one second of sound, very little. */
static const int64_t candidates[PROOF_ROUNDS][6] = {{64, 16000, 576, 320, 7, 1}, {96, 48, 24000, 640, 9, 2}};

typedef struct Sizes {
    const char *given; /* --shape */
    int64_t batch, other;
    Map *batches; /* names of dims that are some input's first */
} Sizes;

/* "1x3x64x64" behind "NAME=" in the list; false when the input is not in it. */
static bool read_given(const Sizes *sizes, const Value *input, int64_t *ret_dims, int *ret_rank)
{
    size_t length = strlen(input->name);
    for (const char *at = sizes->given; at != NULL; at = strchr(at, ',') == NULL ? NULL : strchr(at, ',') + 1) {
        if (strncmp(at, input->name, length) != 0 || at[length] != '=')
            continue;
        int rank = 0;
        for (const char *text = at + length; (*text == '=' || *text == 'x') && rank < TENSOR_MAX_RANK;) {
            char *end = NULL;
            long long size = strtoll(text + 1, &end, 10);
            if (end == text + 1 || size < 0 || size > MAX_INPUT_ELEMENTS)
                return false;
            ret_dims[rank++] = size;
            text = end;
        }
        *ret_rank = rank;
        return true;
    }
    return false;
}

static Status check_given(const Plan *plan, const char *given)
{
    for (const char *at = given; at != NULL; at = strchr(at, ',') == NULL ? NULL : strchr(at, ',') + 1) {
        size_t length = strcspn(at, "=,");
        bool known = false;
        for (int i = 0; i < plan_n_inputs(plan) && at[length] == '='; i++)
            known = known || (strlen(plan_input(plan, i)->name) == length &&
                              strncmp(plan_input(plan, i)->name, at, length) == 0);
        if (!known)
            return status_new(CODE_USAGE, "option '--shape' takes NAME=1x3x64x64,... with names of inputs, not '%s'",
                              at);
    }
    return NULL;
}

static void collect_batches(const Plan *plan, Map *batches)
{
    for (int i = 0; i < plan_n_inputs(plan); i++) {
        const Shape *shape = &plan_input(plan, i)->type.shape;
        if (shape->rank > 0 && shape->dims[0].size < 0 && shape->dims[0].name != NULL)
            map_put(batches, shape->dims[0].name, batches);
    }
}

static Status choose_dims(const Sizes *sizes, const Value *input, int64_t *ret_dims, int *ret_rank)
{
    const Type *type = &input->type;
    if (type->kind != TYPE_TENSOR || type->dtype == DT_STRING || dtype_bits(type->dtype) < 8)
        return status_new(CODE_UNSUPPORTED, "input '%s' is no tensor of numbers", input->name);
    if (sizes->given != NULL && read_given(sizes, input, ret_dims, ret_rank))
        return NULL;
    if (type->shape.rank < 0)
        return status_new(CODE_UNSUPPORTED, "input '%s' has no declared shape; give it with --shape", input->name);
    *ret_rank = type->shape.rank;
    for (int i = 0; i < type->shape.rank; i++) {
        Dim dim = type->shape.dims[i];
        bool batch = dim.name == NULL ? i == 0 : map_has(sizes->batches, dim.name);
        ret_dims[i] = dim_is_known(dim) ? dim.size : batch ? sizes->batch : sizes->other;
    }
    return NULL;
}

static Status fill_input(const Sizes *sizes, const Value *input, Tensor *ret)
{
    int64_t dims[TENSOR_MAX_RANK], count = 1;
    int rank = 0;
    TRY(choose_dims(sizes, input, dims, &rank));
    for (int i = 0; i < rank; i++)
        if (__builtin_mul_overflow(count, dims[i], &count) || count > MAX_INPUT_ELEMENTS)
            return status_new(CODE_UNSUPPORTED, "input '%s' is too large to draw at random; give a smaller --shape",
                              input->name);
    TRY(tensor_alloc(ret, input->type.dtype, rank, dims));
    uint64_t state = hash_bytes(input->name, strlen(input->name), (uint64_t)sizes->batch);
    for (int64_t i = 0; i < ret->count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        double x = (double)(state >> 40) / (double)(1 << 24);
        if (ret->dtype == DT_BOOL)
            tensor_set(ret, i, x < 0.5 ? 0 : 1);
        else
            tensor_set(ret, i, dtype_is_float(ret->dtype) ? 2 * x - 1 : floor(4 * x));
    }
    return NULL;
}

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
static Status try_sizes(const Plan *before, const Plan *after, const Sizes *sizes, int round, RandomProof *proof,
                        bool *ret_ran)
{
    int n_in = plan_n_inputs(before), n_out = plan_n_outputs(before);
    Tensor *inputs = xcalloc((size_t)MAX(n_in, 1), sizeof inputs[0]);
    Tensor *outputs = xcalloc((size_t)MAX(n_out, 1), sizeof outputs[0]);
    Status status = NULL;
    *ret_ran = false;
    for (int i = 0; i < n_in && status == NULL; i++)
        status = fill_input(sizes, plan_input(before, i), &inputs[i]);
    if (status == NULL)
        status = run_plan(before, inputs, outputs);
    if (status == NULL) {
        *ret_ran = true;
        describe(before, inputs, proof->sizes[round], sizeof proof->sizes[round]);
        status = compare_runs(before, after, inputs, outputs, proof);
    }
    release_all(inputs, n_in);
    release_all(outputs, n_out);
    free(inputs);
    free(outputs);
    return status;
}

static bool has_unknown_sizes(const Plan *plan)
{
    for (int i = 0; i < plan_n_inputs(plan); i++)
        if (!shape_is_known(&plan_input(plan, i)->type.shape))
            return true;
    return false;
}

static Status prove(const Plan *before, const Plan *after, Sizes *sizes, RandomProof *proof)
{
    int rounds = has_unknown_sizes(before) && sizes->given == NULL ? PROOF_ROUNDS : 1;
    for (int round = 0; round < rounds; round++) {
        bool ran = false;
        for (size_t i = 0; i < COUNT_OF(candidates[0]) && !ran; i++) {
            *sizes = (Sizes){sizes->given, FIRST_BATCH + round, candidates[round][i], sizes->batches};
            Status status = try_sizes(before, after, sizes, proof->runs, proof, &ran);
            if (status != NULL && (ran || status_code(status) == CODE_INTERRUPTED))
                return status;
            if (status != NULL && proof->reason == NULL)
                proof->reason = xstrdup(status_message(status));
            status_free(status);
            if (rounds == 1)
                break;
        }
        proof->runs += ran;
    }
    return NULL;
}

Status proof_random(const Model *before, const Model *after, const char *shapes, const PlanOptions *options,
                    RandomProof *ret)
{
    RandomProof proof = {.runs = 0};
    Plan *plan_before = NULL, *plan_after = NULL;
    Sizes sizes = {.given = shapes, .batches = map_new()};
    Status status = plan_new(before, options, &plan_before);
    if (status_code(status) == CODE_UNSUPPORTED) {
        proof.reason = xstrdup(status_message(status));
        status_free(status);
        status = NULL;
    } else if (status == NULL) {
        status = check_given(plan_before, shapes);
        if (status == NULL)
            status = plan_new(after, options, &plan_after);
        if (status == NULL) {
            collect_batches(plan_before, sizes.batches);
            status = prove(plan_before, plan_after, &sizes, &proof);
        }
    }
    plan_free(plan_before);
    plan_free(plan_after);
    map_free(sizes.batches);
    if (status != NULL)
        free(proof.reason);
    else
        *ret = proof;
    return status;
}
