/* case.c - runs one case and says what is wrong with it.
 *
 *     model.onnx ─ onnx_load ─ ops_infer ─ plan_new ─ runner_run ─┬─ observer: dtype and shape as inferred?
 *     input_K.pb ─ onnx_read_tensor ──────────────────┘           └─ outputs near output_K.pb?
 *
 * Tolerance of onnx.backend.test.runner: |actual - expected| <= 1e-7 + 1e-3 |expected|; integers, bool, strings exact.
 */
#include "tests/conformance/conformance.h"
#include "tests/conformance/types.h"

#include "src/exec/exec.h"
#include "src/onnx/onnx.h"
#include "src/ops/ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RELATIVE 1e-3
#define ABSOLUTE 1e-7
#define MAX_VALUES 64 /* inputs or outputs of a case */

/* ---- computed against stored ------------------------------------------------------------------------------------- */

static bool near(double actual, double expected)
{
    if (isnan(actual) || isnan(expected))
        return isnan(actual) && isnan(expected);
    return actual == expected || fabs(actual - expected) <= ABSOLUTE + RELATIVE * fabs(expected);
}

static bool strings_equal(const TensorString *a, const TensorString *b)
{
    return a->length == b->length && (a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
}

/* Complex tensors as pairs of floats, so that the loop below knows only numbers. */
static Tensor as_numbers(const Tensor *tensor)
{
    Tensor numbers = *tensor;
    numbers.owned = false;
    if (tensor->dtype == DT_COMPLEX64 || tensor->dtype == DT_COMPLEX128) {
        numbers.dtype = tensor->dtype == DT_COMPLEX64 ? DT_FLOAT : DT_DOUBLE;
        numbers.count *= 2;
    }
    return numbers;
}

static Status compare_list(const char *name, const Tensor *computed, const Tensor *stored);

static Status compare(const char *name, const Tensor *computed, const Tensor *stored)
{
    if (computed->dtype != stored->dtype || !tensor_same_shape(computed, stored)) {
        Arena *arena = arena_new();
        Status status = status_new(CODE_MODEL, "output '%s' is %s %s, expected %s %s", name,
                                   dtype_name(computed->dtype), tensor_shape_text(arena, computed),
                                   dtype_name(stored->dtype), tensor_shape_text(arena, stored));
        arena_free(arena);
        return status;
    }
    if (stored->dtype == DT_LIST)
        return compare_list(name, computed, stored);
    if (stored->dtype == DT_STRING) {
        const TensorString *a = computed->data, *b = stored->data;
        for (int64_t i = 0; i < stored->count; i++)
            if (!strings_equal(&a[i], &b[i]))
                return status_new(CODE_MODEL, "output '%s'[%lld] is \"%.*s\", expected \"%.*s\"", name, (long long)i,
                                  (int)a[i].length, a[i].data, (int)b[i].length, b[i].data);
        return NULL;
    }
    Tensor actual = as_numbers(computed), expected = as_numbers(stored);
    bool exact = expected.dtype == DT_BOOL || dtype_is_integer(expected.dtype);
    for (int64_t i = 0; i < expected.count; i++) {
        double a = tensor_get(&actual, i), b = tensor_get(&expected, i);
        if (exact ? tensor_get_int(&actual, i) != tensor_get_int(&expected, i) : !near(a, b))
            return status_new(CODE_MODEL, "output '%s'[%lld] is %.9g, expected %.9g", name, (long long)i, a, b);
    }
    return NULL;
}

static Status compare_list(const char *name, const Tensor *computed, const Tensor *stored)
{
    const Tensor *a = computed->data, *b = stored->data;
    for (int64_t i = 0; i < stored->count; i++)
        TRY(compare(name, &a[i], &b[i]));
    return NULL;
}

/* ---- the case ---------------------------------------------------------------------------------------------------- */

/* Test data of before version 1.13 stores bfloat16 as uint16. */
static void mend_dtype(Tensor *tensor, const Type *type)
{
    if (type->kind == TYPE_TENSOR && type->dtype == DT_BFLOAT16 && tensor->dtype == DT_UINT16)
        tensor->dtype = DT_BFLOAT16;
}

/* input_0.pb, input_1.pb ... for the values in order, as far as they go. */
static Status read_all(Arena *arena, const char *set, const char *kind, const Plan *plan, int n,
                       const Value *(*value)(const Plan *plan, int i), Tensor *ret)
{
    if (n > MAX_VALUES)
        return status_new(CODE_DATA, "more than %d values", MAX_VALUES);
    for (int i = 0; i < n; i++) {
        const Type *type = &value(plan, i)->type;
        TRY(onnx_read_value(arena_printf(arena, "%s/%s_%d.pb", set, kind, i), type->kind, &ret[i]));
        mend_dtype(&ret[i], type);
    }
    return NULL;
}

typedef struct DataSet {
    Tensor inputs[MAX_VALUES], outputs[MAX_VALUES];
} DataSet;

static void data_set_release(DataSet *set)
{
    for (int i = 0; i < MAX_VALUES; i++) {
        tensor_release(&set->inputs[i]);
        tensor_release(&set->outputs[i]);
    }
}

static Status run_once(const Plan *plan, Runner *runner, const DataSet *set)
{
    TypeCheck check = types_check_new(plan);
    Observer observer = {.value = types_check, .context = &check};
    Tensor computed[MAX_VALUES];

    TRY(runner_run(runner, set->inputs, &observer, computed));
    for (int i = 0; i < plan_n_outputs(plan); i++)
        TRY(compare(plan_output(plan, i)->name, &computed[i], &set->outputs[i]));
    return NULL;
}

static Status run_set(const Model *model, const char *path, bool reference, Arena *arena)
{
    PlanOptions options = {.reference = reference, .keep_all = true};
    Plan *plan = NULL;
    TRY(plan_new(model, &options, &plan));
    Runner *runner = runner_new(plan, NULL);
    DataSet *set = arena_alloc(arena, sizeof *set);
    Status status = read_all(arena, path, "input", plan, plan_n_inputs(plan), plan_input, set->inputs);
    if (status == NULL)
        status = read_all(arena, path, "output", plan, plan_n_outputs(plan), plan_output, set->outputs);
    if (status == NULL)
        status = run_once(plan, runner, set);
    if (status == NULL)
        status = status_prefix(run_once(plan, runner, set), "second run");
    data_set_release(set);
    runner_free(runner);
    plan_free(plan);
    return status_prefix(status, "%s executor", reference ? "reference" : "default");
}

static Status run_sets(const Model *model, const char *folder, Arena *arena)
{
    for (int s = 0;; s++) {
        const char *path = arena_printf(arena, "%s/test_data_set_%d", folder, s);
        if (access(path, F_OK) != 0)
            return s > 0 ? NULL : status_new(CODE_DATA, "%s has no test_data_set_0", folder);
        TRY(run_set(model, path, true, arena));
        TRY(run_set(model, path, false, arena));
    }
}

Status case_run(const char *folder)
{
    Arena *arena = arena_new();
    Model *model = NULL;
    Status status = onnx_load(arena_printf(arena, "%s/model.onnx", folder), &model);
    if (status == NULL)
        status = status_prefix(ops_infer(model), "inference");
    if (status == NULL)
        status = model_verify(model);
    if (status == NULL)
        status = run_sets(model, folder, arena);
    model_free(model);
    arena_free(arena);
    return status;
}
