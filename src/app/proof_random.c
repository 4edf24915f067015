/* proof_random.c - that simplification changed nothing, on random inputs drawn from the declared shapes.
 *
 *     round 0   batch 1, other unknown sizes: the first of a list that the model as it was runs with
 *     round 1   batch 2, ...                  the next ones
 *
 * Sizes of one name are equal. At each size the ways of draw.c to fill integers are tried one after the other.
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
    const char *save_inputs;
    const PlanOptions *other_way; /* of running the model */
    int64_t batch, other;
    int round, attempt;
    bool inner_batch; /* a nameless unknown size behind a known first one is the batch, too: states of recurrent nets */
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

static int first_unknown(const Type *type)
{
    int i = 0;
    while (i < type->shape.rank && dim_is_known(type->shape.dims[i]))
        i++;
    return i;
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
        bool batch = dim.name == NULL ? i == 0 || (sizes->inner_batch && i == first_unknown(type))
                                      : map_has(sizes->batches, dim.name);
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
    draw_input(input, sizes->round, sizes->attempt, sizes->other, ret);
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
static Status try_sizes(const Plan *before, const Plan *after, const Sizes *sizes, RandomProof *proof, bool *ret_ran)
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
        describe(before, inputs, proof->sizes[proof->runs], sizeof proof->sizes[proof->runs]);
        if (sizes->save_inputs != NULL)
            status = dump_tensors(sizes->save_inputs, sizes->round == 0 ? "0" : "1", before, n_in, plan_input, inputs);
        if (status == NULL)
            status = compare_runs(before, after, inputs, outputs, proof);
        if (status == NULL && proof->max_relative_diff > PROOF_TOLERANCE)
            status = measure_noise(before, sizes->other_way, inputs, outputs, proof);
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

static int count_attempts(const Plan *plan)
{
    int attempts = 1;
    for (int i = 0; i < plan_n_inputs(plan); i++)
        attempts = MAX(attempts, draw_attempts(plan_input(plan, i)));
    return attempts;
}

/* Whether it matters what Sizes.inner_batch says. */
static bool has_inner_batch(const Plan *plan)
{
    for (int i = 0; i < plan_n_inputs(plan); i++) {
        const Type *type = &plan_input(plan, i)->type;
        int first = first_unknown(type);
        if (first > 0 && first < type->shape.rank && type->shape.dims[first].name == NULL)
            return true;
    }
    return false;
}

/* Readings of the batch x sizes x attempts until one runs. */
static Status prove_round(const Plan *before, const Plan *after, Sizes *sizes, int n_sizes, int n_attempts, RandomProof *proof)
{
    bool ran = false;
    int readings = has_inner_batch(before) ? 2 : 1;
    for (int i = 0; i < readings * n_sizes * n_attempts && !ran; i++) {
        sizes->inner_batch = i / n_attempts / n_sizes > 0;
        sizes->other = candidates[sizes->round][i / n_attempts % n_sizes];
        sizes->attempt = i % n_attempts;
        Status status = try_sizes(before, after, sizes, proof, &ran);
        if (status != NULL && (ran || status_code(status) == CODE_INTERRUPTED))
            return status;
        if (status != NULL && proof->reason == NULL)
            proof->reason = xstrdup(status_message(status));
        status_free(status);
    }
    proof->runs += ran;
    return NULL;
}

static Status prove(const Plan *before, const Plan *after, Sizes *sizes, RandomProof *proof)
{
    bool open = has_unknown_sizes(before) && sizes->given == NULL;
    int n_attempts = count_attempts(before);
    int rounds = open || n_attempts > 1 ? PROOF_ROUNDS : 1, n_sizes = open ? (int)COUNT_OF(candidates[0]) : 1;
    for (sizes->round = 0; sizes->round < rounds; sizes->round++) {
        sizes->batch = FIRST_BATCH + sizes->round;
        TRY(prove_round(before, after, sizes, n_sizes, n_attempts, proof));
    }
    return NULL;
}

Status proof_random(const Model *before, const Model *after, const char *shapes, const char *save_inputs,
                    const PlanOptions *options, RandomProof *ret)
{
    RandomProof proof = {.runs = 0};
    Plan *plan_before = NULL, *plan_after = NULL;
    PlanOptions other_way = {.reference = !options->reference};
    Sizes sizes = {.given = shapes, .save_inputs = save_inputs, .other_way = &other_way, .batches = map_new()};
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
