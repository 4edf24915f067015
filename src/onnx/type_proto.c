/* type_proto.c - TypeProto <-> Type: tensors, sequences and optionals of them; the rest keeps its message. */
#include "src/onnx/proto.h"

static MUST_USE Status shape_from_proto(Arena *arena, const Onnx__TensorShapeProto *proto, Shape *ret)
{
    Shape shape = {0};
    if (proto->n_dim > TENSOR_MAX_RANK)
        return status_new(CODE_MODEL, "has %zu dimensions, at most %d are supported", proto->n_dim, TENSOR_MAX_RANK);
    shape.rank = (int)proto->n_dim;
    for (int d = 0; d < shape.rank; d++) {
        const Onnx__TensorShapeProto__Dimension *dim = proto->dim[d];
        shape.dims[d] = DIM_UNKNOWN;
        /* Exporters write -1, too, for a size that is not known. */
        if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE && dim->dim_value >= 0)
            shape.dims[d] = dim_known(dim->dim_value);
        else if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM && dim->dim_param[0] != '\0')
            shape.dims[d].name = arena_strdup(arena, dim->dim_param);
    }
    *ret = shape;
    return NULL;
}

static MUST_USE Status tensor_type_from_proto(Arena *arena, const Onnx__TypeProto__Tensor *proto, Type *ret)
{
    Type type = {.kind = TYPE_TENSOR, .shape = shape_unknown()};
    if (proto->elem_type < 0 || proto->elem_type > DT_LAST)
        return status_new(CODE_MODEL, "has element type %d, which is unknown", proto->elem_type);
    type.dtype = (DType)proto->elem_type;
    if (proto->shape != NULL)
        TRY(shape_from_proto(arena, proto->shape, &type.shape));
    *ret = type;
    return NULL;
}

Status type_from_proto(Arena *arena, const Onnx__TypeProto *proto, Type *ret)
{
    Type type = {.kind = TYPE_OTHER, .shape = shape_unknown()};
    const Onnx__TypeProto *element = NULL;

    switch (proto->value_case) {
    case ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE:
        return tensor_type_from_proto(arena, proto->tensor_type, ret);
    case ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE:
        type.kind = TYPE_SEQUENCE;
        element = proto->sequence_type->elem_type;
        break;
    case ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE:
        type.kind = TYPE_OPTIONAL;
        element = proto->optional_type->elem_type;
        break;
    case ONNX__TYPE_PROTO__VALUE__NOT_SET:
        type.kind = TYPE_UNKNOWN;
        break;
    default:
        break;
    }
    if (type.kind == TYPE_SEQUENCE || type.kind == TYPE_OPTIONAL) {
        type.element = arena_alloc(arena, sizeof *type.element);
        type.element->shape = shape_unknown();
        if (element != NULL)
            TRY(type_from_proto(arena, element, type.element));
    }
    *ret = type;
    return NULL;
}

static Onnx__TensorShapeProto *shape_to_proto(Arena *arena, const Shape *shape, const Onnx__TensorShapeProto *origin)
{
    Onnx__TensorShapeProto *proto = proto_new(arena, &onnx__tensor_shape_proto__descriptor, origin);
    bool alike = origin != NULL && origin->n_dim == (size_t)shape->rank;

    proto->n_dim = (size_t)shape->rank;
    proto->dim = arena_array(arena, proto->n_dim, sizeof *proto->dim);
    for (int d = 0; d < shape->rank; d++) {
        const Dim *dim = &shape->dims[d];
        Onnx__TensorShapeProto__Dimension *to =
            proto_new(arena, &onnx__tensor_shape_proto__dimension__descriptor, alike ? origin->dim[d] : NULL);
        to->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE__NOT_SET;
        if (dim_is_known(*dim)) {
            to->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            to->dim_value = dim->size;
        } else if (dim->name != NULL) {
            to->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            to->dim_param = (char *)dim->name;
        }
        proto->dim[d] = to;
    }
    return proto;
}

Onnx__TypeProto *type_to_proto(Arena *arena, const Type *type, const Onnx__TypeProto *origin)
{
    if (type->kind == TYPE_UNKNOWN || type->kind == TYPE_OTHER)
        return (Onnx__TypeProto *)origin;

    Onnx__TypeProto *proto = proto_new(arena, &onnx__type_proto__descriptor, origin);
    if (type->kind == TYPE_TENSOR) {
        const Onnx__TypeProto__Tensor *old = NULL;
        if (origin != NULL && origin->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
            old = origin->tensor_type;
        Onnx__TypeProto__Tensor *to = proto_new(arena, &onnx__type_proto__tensor__descriptor, old);
        to->has_elem_type = 1;
        to->elem_type = (int32_t)type->dtype;
        to->shape = NULL;
        if (type->shape.rank >= 0)
            to->shape = shape_to_proto(arena, &type->shape, old == NULL ? NULL : old->shape);
        proto->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
        proto->tensor_type = to;
    } else if (type->kind == TYPE_SEQUENCE) {
        const Onnx__TypeProto__Sequence *old = NULL;
        if (origin != NULL && origin->value_case == ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE)
            old = origin->sequence_type;
        Onnx__TypeProto__Sequence *to = proto_new(arena, &onnx__type_proto__sequence__descriptor, old);
        to->elem_type = type_to_proto(arena, type->element, old == NULL ? NULL : old->elem_type);
        proto->value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
        proto->sequence_type = to;
    } else {
        const Onnx__TypeProto__Optional *old = NULL;
        if (origin != NULL && origin->value_case == ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE)
            old = origin->optional_type;
        Onnx__TypeProto__Optional *to = proto_new(arena, &onnx__type_proto__optional__descriptor, old);
        to->elem_type = type_to_proto(arena, type->element, old == NULL ? NULL : old->elem_type);
        proto->value_case = ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE;
        proto->optional_type = to;
    }
    return proto;
}
