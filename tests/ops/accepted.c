/* accepted.c - see accepted.h. */
#include "tests/ops/accepted.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "src/exec/exec.h"
#include "tests/conformance/types.h"
#include "tests/ops/mini.h"

#define SAMPLE(domain, type, opset, types, text) {domain, type, opset, types, text},
static const OpSample samples[] = {
#include "tests/ops/samples.def"
};
#undef SAMPLE

size_t sample_count(void)
{
    return COUNT_OF(samples);
}

const OpSample *sample_at(size_t i)
{
    return &samples[i];
}

int sample_slots(const OpSample *sample, SampleSlot ret[SAMPLE_MAX_SLOTS])
{
    const char *at = sample->types;
    int n = 0;

    for (; *at != '\0' && n < SAMPLE_MAX_SLOTS; n++) {
        char dtype[16];
        size_t name = strcspn(at, "="), length = strcspn(at + name + 1, " ");
        memcpy(ret[n].name, at, name);
        ret[n].name[name] = '\0';
        memcpy(dtype, at + name + 1, length);
        dtype[length] = '\0';
        ret[n].start = dtype_from_name(dtype);
        at += name + 1 + length;
        at += *at == ' ';
    }
    return n;
}

/* The text with each $NAME as its type, $#NAME as the type's number. */
static char *fill_in(const char *text, const SampleSlot *slots, int n)
{
    Text filled = {0};

    while (*text != '\0') {
        size_t plain = strcspn(text, "$"), length = 0;
        bool number;
        text_addf(&filled, "%.*s", (int)plain, text);
        text += plain;
        if (*text == '\0')
            break;
        text++;
        number = *text == '#';
        text += number;
        while (isalnum((unsigned char)text[length]))
            length++;
        for (int i = 0; i < n; i++)
            if (strlen(slots[i].name) == length && strncmp(slots[i].name, text, length) == 0) {
                if (number)
                    text_addf(&filled, "%d", (int)slots[i].start);
                else
                    text_add(&filled, dtype_name(slots[i].start));
            }
        text += length;
    }
    return filled.data;
}

static Status run(const Model *model, bool reference, Tensor *ret)
{
    PlanOptions options = {.reference = reference, .keep_all = true};
    Plan *plan = NULL;
    Tensor out;

    TRY(plan_new(model, &options, &plan));
    Runner *runner = runner_new(plan, NULL);
    TypeCheck check = types_check_new(plan);
    Status status = runner_run(runner, NULL, &(Observer){.value = types_check, .context = &check}, &out);
    if (status == NULL && ret != NULL) {
        status = tensor_copy(ret, &out);
        if (status == NULL)
            status = tensor_own_text(ret);
    }
    runner_free(runner);
    plan_free(plan);
    return status;
}

Status sample_run(const OpSample *sample, int slot, DType dtype, Tensor *ret)
{
    SampleSlot slots[SAMPLE_MAX_SLOTS];
    int n = sample_slots(sample, slots);
    if (n > 0)
        slots[slot].start = dtype;
    char *text = fill_in(sample->text, slots, n);
    Model *model = mini_model(sample->opset, text);
    Status status = ops_check(model);
    if (status == NULL)
        status = ops_infer(model);
    if (status == NULL)
        status = run(model, false, NULL);
    if (status == NULL)
        status = run(model, true, ret);
    model_free(model);
    free(text);
    return status;
}

uint32_t sample_accepts(const OpDef *def, const char *name)
{
    uint32_t accepts = 0;

    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        SampleSlot slots[SAMPLE_MAX_SLOTS];
        int n = sample_slots(&samples[i], slots), slot = 0;
        if (strcmp(samples[i].type, def->type) != 0 || strcmp(samples[i].domain, def->domain) != 0)
            continue;
        while (slot < n && strcmp(slots[slot].name, name) != 0)
            slot++;
        for (int d = DT_UNDEFINED + 1; slot < n && d <= DT_LAST; d++) {
            Status status = sample_run(&samples[i], slot, (DType)d, NULL);
            if (status == NULL)
                accepts |= UINT32_C(1) << d;
            status_free(status);
        }
    }
    return accepts;
}
