/* cast_text.c - Cast between numbers and strings.
 *
 *     0.1f <─> "0.1"        the shortest decimal that reads back as the same number; NaN, INF, -INF by name
 *
 * Rules: the ONNX operator specification of Cast.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/ops/family.h"

enum { NUMBER_MAX = 64 }; /* characters of a number */

static void print_real(DType dtype, double x, char text[NUMBER_MAX])
{
    bool single = dtype != DT_DOUBLE;

    if (isnan(x) || isinf(x)) {
        snprintf(text, NUMBER_MAX, "%s", isnan(x) ? "NaN" : x > 0 ? "INF" : "-INF");
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, NUMBER_MAX, "%.*g", digits, x);
        if (single ? strtof(text, NULL) == (float)x : strtod(text, NULL) == x)
            return;
    }
}

Status cast_to_text(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    bool whole = dtype_is_integer(x->dtype);
    char text[NUMBER_MAX], *bytes;
    size_t all = 0;

    if (!whole && !dtype_is_float(x->dtype) && x->dtype != DT_BOOL)
        return eval_error(ctx, CODE_UNSUPPORTED, "cannot cast %s to string", dtype_name(x->dtype));
    TRY(eval_output(ctx, 0, DT_STRING, x->rank, x->dims));
    if (!size_mul((size_t)x->count, NUMBER_MAX, &all))
        return eval_error(ctx, CODE_MEMORY, "the strings are larger than memory");
    TRY(eval_text(ctx, all, &bytes));
    TensorString *strings = ctx->out[0].data;
    for (int64_t i = 0; i < x->count; i++) {
        if (x->dtype == DT_BOOL)
            snprintf(text, sizeof text, "%d", tensor_get_int(x, i) != 0);
        else if (x->dtype == DT_UINT64)
            snprintf(text, sizeof text, "%" PRIu64, ((const uint64_t *)x->data)[i]);
        else if (whole)
            snprintf(text, sizeof text, "%" PRId64, tensor_get_int(x, i));
        else
            print_real(x->dtype, tensor_get(x, i), text);
        size_t length = strlen(text);
        memcpy(bytes, text, length);
        strings[i] = (TensorString){bytes, length};
        bytes += length;
    }
    return NULL;
}

/* strtod knows "inf", "nan" and their kin in any case. Floats are read as floats: one rounding. */
static bool read_number(const char *text, DType dtype, double *ret_real, int64_t *ret_whole)
{
    char *end = NULL;

    if (dtype_is_integer(dtype))
        *ret_whole = strtoll(text, &end, 10);
    else
        *ret_real = dtype == DT_DOUBLE ? strtod(text, &end) : (double)strtof(text, &end);
    return end != text && *end == '\0';
}

Status cast_from_text(EvalCtx *ctx, DType to)
{
    const Tensor *x = ctx->in[0];
    const TensorString *strings = x->data;
    char text[NUMBER_MAX * 4];

    if (!dtype_is_integer(to) && !dtype_is_float(to))
        return eval_error(ctx, CODE_UNSUPPORTED, "cannot cast string to %s", dtype_name(to));
    TRY(eval_output(ctx, 0, to, x->rank, x->dims));
    for (int64_t i = 0; i < x->count; i++) {
        double real = 0;
        int64_t whole = 0;
        size_t length = MIN(strings[i].length, sizeof text - 1);
        if (length > 0)
            memcpy(text, strings[i].data, length);
        text[length] = '\0';
        if (length < strings[i].length || !read_number(text, to, &real, &whole))
            return eval_error(ctx, CODE_MODEL, "string '%s' is no %s", text, dtype_name(to));
        if (to == DT_INT64 || to == DT_UINT64)
            ((int64_t *)ctx->out[0].data)[i] = whole;
        else
            tensor_set(&ctx->out[0], i, dtype_is_integer(to) ? (double)whole : real);
    }
    return NULL;
}
