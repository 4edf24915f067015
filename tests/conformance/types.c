/* types.c - see types.h. */
#include "tests/conformance/types.h"

#include <string.h>

TypeCheck types_check_new(const Plan *plan)
{
    return (TypeCheck){.graph = plan_n_outputs(plan) > 0 ? plan_output(plan, 0)->graph : NULL};
}

static bool symbol_holds(TypeCheck *check, const char *name, int64_t size)
{
    for (int i = 0; i < check->n; i++)
        if (strcmp(check->symbols[i].name, name) == 0)
            return check->symbols[i].size == size;
    if (check->n < TYPE_CHECK_SYMBOLS) {
        check->symbols[check->n].name = name;
        check->symbols[check->n++].size = size;
    }
    return true;
}

static bool shape_holds(TypeCheck *check, const Value *value, const Tensor *tensor)
{
    const Shape *shape = &value->type.shape;
    bool holds = shape->rank < 0 || shape->rank == tensor->rank;
    for (int d = 0; holds && d < shape->rank; d++) {
        if (dim_is_known(shape->dims[d]))
            holds = shape->dims[d].size == tensor->dims[d];
        else if (shape->dims[d].name != NULL && value->graph == check->graph)
            holds = symbol_holds(check, shape->dims[d].name, tensor->dims[d]);
    }
    return holds;
}

Status types_check(void *context, const Value *value, Tensor *tensor)
{
    TypeCheck *check = context;
    if (value->type.kind != TYPE_TENSOR)
        return NULL;
    check->values++;
    check->exact += value->type.dtype != DT_UNDEFINED && shape_is_known(&value->type.shape);
    bool dtype_holds = value->type.dtype == DT_UNDEFINED || value->type.dtype == tensor->dtype;
    if (dtype_holds && shape_holds(check, value, tensor))
        return NULL;
    Arena *arena = arena_new();
    Status status = status_new(CODE_MODEL, "'%s' is inferred %s %s, computed %s %s", value->name,
                               dtype_name(value->type.dtype), shape_text(arena, &value->type.shape),
                               dtype_name(tensor->dtype), tensor_shape_text(arena, tensor));
    arena_free(arena);
    return status;
}
