/* fuzz.c - libFuzzer's target: bytes are a model, which goes all the way through the program (`make fuzz`).
 *
 *     bytes ─ load ─ save, load ─ infer ─ run ─ simplify ─ run ─ quantize (ranges of one run) ─ save ─ load ─ run
 *
 * Any step may refuse the model with a Status, which ends the case. Findings are what sanitizers, memory and time limits
 * report, a graph that is broken after a pass, and a file of ours that we cannot load. Memory and iterations are held low,
 * so that a case is slow only when something counts without doing work.
 */
#include "tests/fuzz/fuzz.h"

#include "passes/pass.h"
#include "passes/quantize.h"
#include "src/exec/exec.h"
#include "src/onnx/onnx.h"
#include "src/ops/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_LIMIT ((size_t)4 << 20)
#define ITERATIONS 64
#define INPUT_MAX 2048 /* elements of an input that is made up */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    memory_set_limit(MEMORY_LIMIT);
    eval_limit_iterations(ITERATIONS);
    return 0;
}

/* A step that must not fail did: libFuzzer keeps the bytes. */
static void finding(const char *what, Status status)
{
    fprintf(stderr, "fuzz: %s: %s\n", what, status_message(status));
    abort();
}

static bool done(Status status)
{
    bool ok = status == NULL;
    status_free(status);
    return ok;
}

/* ---- one run ----------------------------------------------------------------------------------------------------- */

static void fill(Tensor *tensor, uint32_t state)
{
    static const char *const words[] = {"", "a", "b c", "\xc3\xa4", "17"};
    if (tensor->dtype == DT_STRING) {
        for (int64_t i = 0; i < tensor->count; i++) {
            const char *word = words[(size_t)i % COUNT_OF(words)];
            ((TensorString *)tensor->data)[i] = (TensorString){word, strlen(word)};
        }
        return;
    }
    if (tensor->bytes > 0)
        memset(tensor->data, 0, tensor->bytes);
    for (int64_t i = 0; i < tensor->count && dtype_bits(tensor->dtype) >= 8; i++) {
        state = state * 1664525u + 1013904223u;
        tensor_set(tensor, i, dtype_is_float(tensor->dtype) ? (double)(state >> 8) / 8388608.0 - 1.0 : (double)(state >> 30));
    }
}

static bool make_input(const Value *value, uint32_t seed, Tensor *ret)
{
    const Type *type = &value->type;
    int64_t dims[TENSOR_MAX_RANK] = {2}, n = 1;
    int rank = type->kind == TYPE_TENSOR && type->shape.rank >= 0 ? type->shape.rank : 1;
    if (type->kind == TYPE_SEQUENCE || type->kind == TYPE_OPTIONAL) {
        return done(tensor_view(ret, DT_LIST, type->kind == TYPE_SEQUENCE ? 1 : LIST_NONE_RANK, (int64_t[]){0, 0}, NULL));
    }
    for (int d = 0; d < rank && type->kind == TYPE_TENSOR && type->shape.rank >= 0; d++) {
        dims[d] = dim_is_known(type->shape.dims[d]) ? type->shape.dims[d].size : 1 + (int64_t)(seed + (uint32_t)d) % 3;
        if (dims[d] > INPUT_MAX || (n *= MAX(dims[d], 1)) > INPUT_MAX)
            return false;
    }
    DType dtype = type->kind == TYPE_TENSOR && type->dtype != DT_UNDEFINED ? type->dtype : DT_FLOAT;
    if (!done(tensor_alloc(ret, dtype, rank, dims)))
        return false;
    fill(ret, seed);
    return true;
}

static bool run(const Plan *plan, const Observer *observer)
{
    int n_in = plan_n_inputs(plan), made = 0;
    Tensor *inputs = xcalloc((size_t)n_in + 1, sizeof *inputs);
    Tensor *outputs = xcalloc((size_t)plan_n_outputs(plan) + 1, sizeof *outputs);
    while (made < n_in && make_input(plan_input(plan, made), (uint32_t)made, &inputs[made]))
        made++;
    bool ok = made == n_in;
    if (ok) {
        Runner *runner = runner_new(plan, NULL);
        ok = done(runner_run(runner, inputs, observer, outputs));
        runner_free(runner);
    }
    while (made > 0)
        tensor_release(&inputs[--made]);
    free(inputs);
    free(outputs);
    return ok;
}

static bool run_model(Model *model, bool reference, const Observer *observer)
{
    Plan *plan = NULL;
    bool ok = done(ops_infer_file(model)) && done(plan_new(model, &(PlanOptions){.reference = reference}, &plan)) &&
              run(plan, observer);
    plan_free(plan);
    return ok;
}

/* ---- the way of a model ------------------------------------------------------------------------------------------ */

static Model *save_and_load(const Model *model, const char *what)
{
    unsigned char *data = NULL;
    size_t bytes = 0;
    Model *again = NULL;
    if (!done(onnx_save_memory(model, &data, &bytes)))
        return NULL;
    Status status = onnx_load_memory(data, bytes, "", &again);
    free(data);
    if (status != NULL && status_code(status) != CODE_MEMORY)
        finding(what, status);
    status_free(status);
    return again;
}

static bool pass_stage(Model *model, PassStage stage, const RangeTable *ranges, QuantPlan *plan, PassRecord *records)
{
    bool ok = done(passes_run(model, stage, NULL, ranges, target_find("ort-x86"), plan, records));
    Status broken = model_verify(model);
    if (broken != NULL)
        finding("graph is broken", broken);
    return ok;
}

static Status watch(void *context, const Value *value, Tensor *tensor)
{
    if (tensor->dtype != DT_FLOAT)
        return NULL;
    const Range *before = ranges_get(context, value->name);
    Range range = before != NULL ? *before : (Range){.name = value->name};
    for (int64_t i = 0; i < tensor->count; i++) {
        float x = ((const float *)tensor->data)[i];
        range.low = isfinite(x) ? fminf(range.low, x) : range.low;
        range.high = isfinite(x) ? fmaxf(range.high, x) : range.high;
    }
    range.elements += tensor->count;
    ranges_put(context, &range);
    return NULL;
}

static void quantize(Model *model, PassRecord *records)
{
    RangeTable *ranges = ranges_new();
    QuantPlan *decisions = quant_plan_new(model);
    Observer observer = {.value = watch, .context = ranges};
    if (run_model(model, false, &observer) && pass_stage(model, PASS_QUANTIZE, ranges, decisions, records)) {
        Model *integers = save_and_load(model, "the integer model cannot be loaded");
        if (integers != NULL)
            run_model(integers, false, NULL);
        model_free(integers);
    }
    quant_plan_free(decisions);
    ranges_free(ranges);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Model *model = NULL;
    if (!done(onnx_load_memory(data, size, "", &model)))
        return 0;
    Status broken = model_verify(model);
    if (broken != NULL)
        finding("graph is broken", broken);
    model_free(save_and_load(model, "a model that was loaded cannot be loaded again"));
    PassRecord *records = xcalloc(pass_count(), sizeof *records);
    run_model(model, true, NULL);
    run_model(model, false, NULL);
    if (pass_stage(model, PASS_RAISE, NULL, NULL, records) && pass_stage(model, PASS_SIMPLIFY, NULL, NULL, records)) {
        run_model(model, false, NULL);
        if (pass_stage(model, PASS_TARGET, NULL, NULL, records))
            quantize(model, records);
    }
    free(records);
    model_free(model);
    return 0;
}
