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
    if (type->dtype != DT_UNDEFINED && type->dtype != tensor->dtype && !wide)
        return mismatch(input, tensor);
    if (type->shape.rank >= 0 && !dims_fit(&type->shape, 0, tensor)) {
        if (!lacks_batch(&type->shape, tensor))
            return mismatch(input, tensor);
        memmove(tensor->dims + 1, tensor->dims, (size_t)tensor->rank * sizeof tensor->dims[0]);
        tensor->dims[0] = 1;
        tensor->rank++;
    }
    return wide ? narrow(tensor) : NULL;
}

Status tensor_fit(const Value *input, Tensor *tensor)
{
    Status status = fit(input, tensor);
    if (status != NULL)
        tensor_release(tensor);
    return status;
}

void describe_tensors(Dataset *dataset)
{
    bool float_input = false;
    for (int i = 0; i < dataset->n_inputs; i++)
        float_input = float_input || dataset->inputs[i]->type.dtype == DT_FLOAT;
    dataset->description = arena_printf(dataset->arena, "tensors as stored in .%s files%s", dataset->reader->name,
                                        float_input ? " (double is made float, a missing batch axis is added)"
                                                    : " (a missing batch axis is added)");
}
