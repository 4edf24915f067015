/* test_types.c - samples.def: every operator has a sample, and every element type that it takes gives the same numbers. */
#include "tests/ops/accepted.h"

#include <math.h>
#include <string.h>

#include "tests/test.h"

/* Rows whose result depends on the type: random numbers, a saturated or truncated one, bits read anew, text, a mean of whole
 * numbers. */
static const char *const by_type[] = {
    "Bernoulli", "BitCast", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial",
    "BitwiseNot", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMean",
};

static bool is_by_type(const char *type)
{
    for (size_t i = 0; i < COUNT_OF(by_type); i++)
        if (strcmp(by_type[i], type) == 0)
            return true;
    return false;
}

/* Element i as a number; text that is a number is one, a complex number its real part. */
static double element(const Tensor *tensor, int64_t i)
{
    if (tensor->dtype != DT_STRING)
        return tensor_get(tensor, i);
    const TensorString *text = (const TensorString *)tensor->data + i;
    return text->length == 1 ? text->data[0] - '0' : NAN;
}

static bool is_near(const Tensor *a, const Tensor *b)
{
    if (!tensor_same_shape(a, b))
        return false;
    for (int64_t i = 0; i < a->count; i++) {
        double x = element(a, i), y = element(b, i);
        bool both_finite = isfinite(x) && isfinite(y);
        /* bool, and 8-bit floats, of which one has no 0, hold little */
        if (both_finite && fabs(x - y) > 0.02 * fmax(fabs(x), fabs(y)) + 1e-3)
            return a->dtype == DT_BOOL ? (x != 0) == (y != 0) : a->dtype == DT_FLOAT8E8M0 && y == 0;
    }
    return true;
}

static void check_slot(const OpSample *sample, const SampleSlot *slots, int slot)
{
    Tensor expected, got;
    Status status = sample_run(sample, slot, slots[slot].start, &expected);

    if (status != NULL) {
        test_fail(__FILE__, __LINE__, "%s does not take %s: %s", sample->type, dtype_name(slots[slot].start),
                  status_message(status));
        status_free(status);
        return;
    }
    for (int d = DT_UNDEFINED + 1; d <= DT_LAST; d++) {
        status = sample_run(sample, slot, (DType)d, &got);
        Code code = status_code(status);
        if (status != NULL && ((code != CODE_MODEL && code != CODE_UNSUPPORTED) ||
                               strstr(status_message(status), "is inferred") != NULL))
            test_fail(__FILE__, __LINE__, "%s with %s as %s: %s", sample->type, dtype_name((DType)d), slots[slot].name,
                      status_message(status));
        if (status == NULL && !is_by_type(sample->type) && !is_near(&got, &expected))
            test_fail(__FILE__, __LINE__, "%s gives other numbers with %s as %s than with %s", sample->type,
                      dtype_name((DType)d), slots[slot].name, dtype_name(slots[slot].start));
        if (status == NULL)
            tensor_release(&got);
        status_free(status);
    }
    tensor_release(&expected);
}

TEST(types_that_an_op_takes_give_the_same_numbers)
{
    for (size_t i = 0; i < sample_count(); i++) {
        SampleSlot slots[SAMPLE_MAX_SLOTS];
        int n = sample_slots(sample_at(i), slots);
        for (int k = 0; k < n; k++)
            check_slot(sample_at(i), slots, k);
    }
}

TEST(types_every_op_has_a_sample)
{
    for (size_t i = 0; i < op_count(); i++) {
        bool found = false;
        for (size_t k = 0; k < sample_count() && !found; k++)
            found = strcmp(sample_at(k)->type, op_at(i)->type) == 0 && strcmp(sample_at(k)->domain, op_at(i)->domain) == 0;
        if (!found)
            test_fail(__FILE__, __LINE__, "samples.def has no row for %s '%s'", op_at(i)->type, op_at(i)->domain);
    }
}
