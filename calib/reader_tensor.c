/* reader_tensor.c - what samples that are tensors have in common: making them fit the model's input. */
#include "calib/reader.h"

#include <string.h>

/* Double to float; a new owned tensor takes the place of the old one. */
static Status narrow(Tensor *tensor)
{
    Tensor narrowed;
    TRY(tensor_alloc(&narrowed, DT_FLOAT, tensor->rank, tensor->dims));
    const double *from = tensor->data;
    float *to = narrowed.data;
    for (int64_t i = 0; i < tensor->count; i++)
        to[i] = (float)from[i]; /* beyond the range of float: infinity */
    tensor_release(tensor);
    *tensor = narrowed;
    return NULL;
}

/* Integers of another width, where every value fits: token ids are saved as int32 as often as int64. */
static Status change_width(DType dtype, Tensor *tensor)
{
    Tensor other;
    TRY(tensor_alloc(&other, dtype, tensor->rank, tensor->dims));
    for (int64_t i = 0; i < tensor->count; i++) {
        int64_t value = tensor_get_int(tensor, i);
        tensor_set(&other, i, (double)value);
        if (tensor_get_int(&other, i) != value) {
            tensor_release(&other);
            return status_new(CODE_DATA, "%lld does not fit %s", (long long)value, dtype_name(dtype));
        }
    }
    tensor_release(tensor);
    *tensor = other;
    return NULL;
}

static bool dims_fit(const Shape *shape, int first, const Tensor *tensor)
{
    if (shape->rank - first != tensor->rank)
        return false;
    for (int d = 0; d < tensor->rank; d++)
        if (dim_is_known(shape->dims[first + d]) && shape->dims[first + d].size != tensor->dims[d])
            return false;
    return true;
}

static bool lacks_batch(const Shape *shape, const Tensor *tensor)
{
    return shape->rank >= 1 && (!dim_is_known(shape->dims[0]) || shape->dims[0].size == 1) &&
           dims_fit(shape, 1, tensor);
}

static Status mismatch(const Value *input, const Tensor *tensor)
{
    Arena *scratch = arena_new();
    Status status = status_new(CODE_DATA, "input '%s' expects %s %s, the file has %s %s", input->name,
                               dtype_name(input->type.dtype), shape_text(scratch, &input->type.shape),
                               dtype_name(tensor->dtype), tensor_shape_text(scratch, tensor));
    arena_free(scratch);
    return status;
}

static Status fit(const Value *input, Tensor *tensor)
{
    const Type *type = &input->type;
    if (type->kind != TYPE_TENSOR)
        return type->kind == TYPE_UNKNOWN ? NULL : status_new(CODE_DATA, "input '%s' is no tensor", input->name);
    bool wide = type->dtype == DT_FLOAT && tensor->dtype == DT_DOUBLE;
    bool width = dtype_is_integer(type->dtype) && dtype_is_integer(tensor->dtype) && type->dtype != tensor->dtype;
    if (type->dtype != DT_UNDEFINED && type->dtype != tensor->dtype && !wide && !width)
        return mismatch(input, tensor);
    if (type->shape.rank >= 0 && !dims_fit(&type->shape, 0, tensor)) {
        if (!lacks_batch(&type->shape, tensor))
            return mismatch(input, tensor);
        memmove(tensor->dims + 1, tensor->dims, (size_t)tensor->rank * sizeof tensor->dims[0]);
        tensor->dims[0] = 1;
        tensor->rank++;
    }
    return wide ? narrow(tensor) : width ? change_width(type->dtype, tensor) : NULL;
}

Status tensor_fit(const Value *input, Tensor *tensor)
{
    Status status = fit(input, tensor);
    if (status != NULL)
        tensor_release(tensor);
    return status;
}

void describe_tensors(Dataset *dataset, const Reader *reader)
{
    bool float_input = false;
    for (int i = 0; i < dataset->n_inputs; i++)
        float_input = float_input || dataset->inputs[i]->type.dtype == DT_FLOAT;
    const char *text = arena_printf(dataset->arena, "tensors as stored in .%s files%s", reader->name,
                                    float_input ? " (double is made float, a missing batch axis is added)"
                                                : " (a missing batch axis is added)");
    if (dataset->description == NULL || strstr(dataset->description, text) == NULL)
        describe_add(dataset, text);
}
