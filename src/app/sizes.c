/* sizes.c - inputs for a model that nobody gave data for: sizes where it leaves some open, found by running it.
 *
 *     image  ?x3x?x?   batch 1; 64, 16000, 576 ... for the rest: the first that the model runs with
 *     tokens ?x?       1x64, ids below the rows of the table they go to
 *
 * Sizes of one name are equal. At each size the ways of draw.c to fill integers are tried one after the other.
 */
#include "src/app/app.h"

#include <stdlib.h>
#include <string.h>

#define MAX_INPUT_ELEMENTS ((int64_t)1 << 26)

/* What unknown sizes other than the batch are tried with: images, text, one second of sound, very little. */
static const int64_t candidates[PROOF_ROUNDS][6] = {{64, 16000, 576, 320, 7, 1}, {96, 48, 24000, 640, 9, 2}};

static const InputShape *given_for(const Sizes *sizes, const Value *input)
{
    for (int i = 0; i < sizes->n_given; i++)
        if (strcmp(sizes->given[i].input, input->name) == 0)
            return &sizes->given[i];
    return NULL;
}

Sizes sizes_new(const Plan *plan, const InputShape *given, int n_given)
{
    Sizes sizes = {.plan = plan, .given = given, .n_given = n_given, .batches = map_new(), .batch = 1};
    for (int i = 0; i < plan_n_inputs(plan); i++) {
        const Shape *shape = &plan_input(plan, i)->type.shape;
        if (shape->rank > 0 && shape->dims[0].size < 0 && shape->dims[0].name != NULL)
            map_put(sizes.batches, shape->dims[0].name, sizes.batches);
    }
    return sizes;
}

void sizes_release(Sizes *sizes)
{
    map_free(sizes->batches);
    sizes->batches = NULL;
}

bool sizes_open(const Sizes *sizes)
{
    for (int i = 0; i < plan_n_inputs(sizes->plan); i++) {
        const Value *input = plan_input(sizes->plan, i);
        if (!shape_is_known(&input->type.shape) && given_for(sizes, input) == NULL)
            return true;
    }
    return false;
}

static int first_unknown(const Type *type)
{
    int i = 0;
    while (i < type->shape.rank && dim_is_known(type->shape.dims[i]))
        i++;
    return i;
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

static int count_attempts(const Plan *plan)
{
    int attempts = 1;
    for (int i = 0; i < plan_n_inputs(plan); i++)
        attempts = MAX(attempts, draw_attempts(plan_input(plan, i)));
    return attempts;
}

int sizes_tries(const Sizes *sizes)
{
    int attempts = count_attempts(sizes->plan);
    if (!sizes_open(sizes))
        return attempts;
    return (has_inner_batch(sizes->plan) ? 2 : 1) * (int)COUNT_OF(candidates[0]) * attempts;
}

/* Readings of the batch x sizes x attempts. */
void sizes_take(Sizes *sizes, int try)
{
    int n_sizes = sizes_open(sizes) ? (int)COUNT_OF(candidates[0]) : 1, n_attempts = count_attempts(sizes->plan);
    sizes->inner_batch = try / n_attempts / n_sizes > 0;
    sizes->other = candidates[sizes->round][try / n_attempts % n_sizes];
    sizes->attempt = try % n_attempts;
}

Status sizes_of(const Sizes *sizes, const Value *input, InputShape *ret)
{
    const Type *type = &input->type;
    const InputShape *given = given_for(sizes, input);
    if (type->kind != TYPE_TENSOR || type->dtype == DT_STRING || dtype_bits(type->dtype) < 8)
        return status_new(CODE_UNSUPPORTED, "input '%s' is no tensor of numbers", input->name);
    if (given == NULL && type->shape.rank < 0)
        return status_new(CODE_UNSUPPORTED, "input '%s' has no declared shape; give it with --shape", input->name);
    *ret = given != NULL ? *given : (InputShape){.input = input->name, .rank = type->shape.rank};
    for (int i = 0; i < ret->rank; i++) {
        int64_t known = i < type->shape.rank ? type->shape.dims[i].size : -1;
        if (given != NULL && known >= 0 && known != given->dims[i])
            return status_new(CODE_USAGE, "input '%s' has %lld at dimension %d, its --shape %lld", input->name,
                              (long long)known, i, (long long)given->dims[i]);
        if (given == NULL) {
            Dim dim = type->shape.dims[i];
            bool batch = dim.name == NULL ? i == 0 || (sizes->inner_batch && i == first_unknown(type))
                                          : map_has(sizes->batches, dim.name);
            ret->dims[i] = dim_is_known(dim) ? dim.size : batch ? sizes->batch : sizes->other;
        }
    }
    return NULL;
}

Status sizes_fill(const Sizes *sizes, const Value *input, Tensor *ret)
{
    InputShape shape;
    int64_t count = 1;
    TRY(sizes_of(sizes, input, &shape));
    for (int i = 0; i < shape.rank; i++)
        if (__builtin_mul_overflow(count, shape.dims[i], &count) || count > MAX_INPUT_ELEMENTS)
            return status_new(CODE_UNSUPPORTED, "input '%s' is too large to draw at random; give a smaller --shape",
                              input->name);
    TRY(tensor_alloc(ret, input->type.dtype, shape.rank, shape.dims));
    draw_input(input, sizes->round, sizes->attempt, sizes->other, ret);
    return NULL;
}

/* ---- for random data --------------------------------------------------------------------------------------------- */

static Status run_once(const Sizes *sizes)
{
    const Plan *plan = sizes->plan;
    int n = plan_n_inputs(plan);
    Tensor *inputs = xcalloc((size_t)MAX(n, 1), sizeof inputs[0]);
    Tensor *views = xcalloc((size_t)MAX(plan_n_outputs(plan), 1), sizeof views[0]);
    Status status = NULL;
    for (int i = 0; i < n && status == NULL; i++)
        status = sizes_fill(sizes, plan_input(plan, i), &inputs[i]);
    if (status == NULL) {
        Runner *runner = runner_new(plan, NULL);
        status = runner_run(runner, inputs, NULL, views);
        runner_free(runner);
    }
    for (int i = 0; i < n; i++)
        tensor_release(&inputs[i]);
    free(inputs);
    free(views);
    return status;
}

/* A mask that nothing bounds lets everything through. */
static bool is_mask(const Value *input)
{
    return strstr(input->name, "mask") != NULL && draw_hints(input).n_choices == 0;
}

static Status take_found(const Sizes *sizes, Arena *arena, InputShape **ret_shapes, RandomInput **ret_randoms)
{
    int n = plan_n_inputs(sizes->plan);
    InputShape *shapes = arena_array(arena, (size_t)MAX(n, 1), sizeof shapes[0]);
    RandomInput *randoms = arena_array(arena, (size_t)MAX(n, 1), sizeof randoms[0]);
    for (int i = 0; i < n; i++) {
        const Value *input = plan_input(sizes->plan, i);
        TRY(sizes_of(sizes, input, &shapes[i]));
        randoms[i] = (RandomInput){.input = input->name, .integers = draw_hints(input)};
        randoms[i].integers.attempt = is_mask(input) ? 1 : sizes->attempt;
        randoms[i].integers.size = sizes->other;
    }
    *ret_shapes = shapes;
    *ret_randoms = randoms;
    return NULL;
}

Status sizes_find(const Plan *plan, const InputShape *given, int n_given, Arena *arena, InputShape **ret_shapes,
                  RandomInput **ret_randoms)
{
    Sizes sizes = sizes_new(plan, given, n_given);
    Status first = NULL;
    int tries = sizes_tries(&sizes);
    bool found = tries == 1; /* nothing to choose: what is wrong shows when the data is used */
    for (int i = 0; i < PROOF_ROUNDS * tries && !found; i++) {
        sizes.round = i / tries;
        sizes_take(&sizes, i % tries);
        Status status = run_once(&sizes);
        found = status == NULL;
        if (status_code(status) == CODE_INTERRUPTED || status_code(status) == CODE_USAGE) {
            status_free(first);
            sizes_release(&sizes);
            return status;
        }
        if (first == NULL)
            first = status;
        else
            status_free(status);
    }
    if (!found) {
        sizes_release(&sizes);
        return status_prefix(first, "no sizes were found that the model runs with; give --shape NAME=1x3x...; the first tried");
    }
    status_free(first);
    Status status = take_found(&sizes, arena, ret_shapes, ret_randoms);
    sizes_release(&sizes);
    return status;
}
