/* quantized.c - see quantized.h. */
#include "tests/passes/quantized.h"
#include "src/ops/ops.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

/* Values in [-1, 1) that depend on the sample and the place alone. */
static Tensor random_input(const Value *input, int sample)
{
    int64_t dims[TENSOR_MAX_RANK];
    Tensor tensor = {0};
    for (int i = 0; i < input->type.shape.rank; i++)
        dims[i] = dim_is_known(input->type.shape.dims[i]) ? input->type.shape.dims[i].size : 2;
    CHECK_OK(tensor_alloc(&tensor, DT_FLOAT, input->type.shape.rank, dims));
    uint32_t state = 12345u + (uint32_t)sample * 7919u;
    for (int64_t i = 0; i < tensor.count; i++) {
        state = state * 1664525u + 1013904223u;
        ((float *)tensor.data)[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
    return tensor;
}

static Status watch(void *context, const Value *value, Tensor *tensor)
{
    if (tensor->dtype != DT_FLOAT)
        return NULL;
    const Range *before = ranges_get(context, value->name);
    Range range = before != NULL ? *before : (Range){.name = value->name};
    for (int64_t i = 0; i < tensor->count; i++) {
        range.low = fminf(range.low, ((const float *)tensor->data)[i]);
        range.high = fmaxf(range.high, ((const float *)tensor->data)[i]);
    }
    range.elements += tensor->count;
    ranges_put(context, &range);
    return NULL;
}

/* The first output on one sample; the caller releases it. */
Tensor quantized_run(const Model *model, const PlanOptions *options, int sample, const Observer *observer)
{
    Plan *plan = NULL;
    Tensor result = {0};
    if (!CHECK_OK(plan_new(model, options, &plan)))
        return result;
    Runner *runner = runner_new(plan, NULL);
    Tensor *inputs = xcalloc((size_t)plan_n_inputs(plan), sizeof inputs[0]);
    Tensor *outputs = xcalloc((size_t)plan_n_outputs(plan), sizeof outputs[0]);
    for (int i = 0; i < plan_n_inputs(plan); i++)
        inputs[i] = random_input(plan_input(plan, i), sample + 100 * i);
    if (CHECK_OK(runner_run(runner, inputs, observer, outputs)))
        CHECK_OK(tensor_copy(&result, &outputs[0]));
    for (int i = 0; i < plan_n_inputs(plan); i++)
        tensor_release(&inputs[i]);
    free(inputs);
    free(outputs);
    runner_free(runner);
    plan_free(plan);
    return result;
}

Model *quantized_build(void (*build)(Model *model))
{
    Model *model = model_new();
    model->graph = graph_new(model, "g", NULL);
    model_set_opset(model, "", 14);
    model->ir_version = 7;
    build(model);
    ops_bind(model);
    CHECK_OK(ops_infer(model));
    return model;
}

/* A stage, with the channels that it asks for. */
static void run_stage(Model *model, PassStage stage, ChannelTable *channels, const RangeTable *ranges, const Target *target, QuantPlan *plan)
{
    PassRecord *records = xcalloc(pass_count(), sizeof records[0]);
    PassOptions options = {.channels = channels, .strength = 0.5};
    CHECK_OK(passes_run(model, stage, &options, ranges, target, plan, records));
    free(records);
}

static void equalize(Quantized *f, const QuantizedHow *how, const Target *target)
{
    ChannelTable *channels = channels_new();
    equalize_list(f->floats, EQUALIZE_WEIGHTS | EQUALIZE_NORMS, channels);
    how->look(f->floats, channels);
    run_stage(f->floats, PASS_EQUALIZE, channels, NULL, target, NULL);
    run_stage(f->integers, PASS_EQUALIZE, channels, NULL, target, NULL);
    channels_free(channels);
}

Quantized quantized_how(void (*build)(Model *model), const Target *target, const QuantizedHow *how)
{
    Quantized f = {quantized_build(build), quantized_build(build), ranges_new(), NULL};
    ChannelTable *channels = NULL;
    run_stage(f.floats, PASS_TARGET, NULL, NULL, target, NULL);
    run_stage(f.integers, PASS_TARGET, NULL, NULL, target, NULL);
    if (how != NULL && how->equalize)
        equalize(&f, how, target);
    if (how != NULL && how->correct) {
        channels = channels_new();
        quantize_bias_list(f.floats, channels);
        how->look(f.floats, channels);
    }
    Observer observer = {.value = watch, .context = f.ranges};
    for (int sample = 0; sample < QUANTIZED_SAMPLES; sample++) {
        Tensor output = quantized_run(f.floats, NULL, sample, &observer);
        tensor_release(&output);
    }
    f.decisions = quant_plan_new(f.integers);
    f.decisions->integer_gelu = how != NULL && how->integer_gelu;
    run_stage(f.integers, PASS_QUANTIZE, channels, f.ranges, target, f.decisions);
    CHECK_OK(model_verify(f.integers));
    channels_free(channels);
    return f;
}

Quantized quantized_for(void (*build)(Model *model), const Target *target)
{
    return quantized_how(build, target, NULL);
}

void quantized_release(Quantized *f)
{
    model_free(f->floats);
    model_free(f->integers);
    ranges_free(f->ranges);
    quant_plan_free(f->decisions);
}

/* The ops of the steps in order: "QuantizeLinear QLinearConv DequantizeLinear". */
char *quantized_steps(const Model *model)
{
    Plan *plan = NULL;
    Text text = {0};
    text_add(&text, "");
    if (CHECK_OK(plan_new(model, NULL, &plan)))
        for (int i = 0; i < plan_n_steps(plan); i++)
            text_addf(&text, "%s%s", i == 0 ? "" : " ", plan_step_op(plan, i));
    plan_free(plan);
    return text.data;
}

double quantized_sqnr_db(const Tensor *a, const Tensor *b)
{
    double signal = 0.0, noise = 0.0;
    for (int64_t i = 0; i < a->count; i++) {
        double x = tensor_get(a, i), y = tensor_get(b, i);
        signal += x * x;
        noise += (x - y) * (x - y);
    }
    return 10.0 * log10(signal / noise);
}
