/* dtype.c - the element types of tensors, one row each. */
#include "src/ir/ir.h"

#include <string.h>

enum { OTHER, FLOAT, INTEGER };

static const struct {
    const char *name; /* as in ONNX's text syntax */
    int bits;         /* of an element */
    int kind;
} rows[DT_LAST + 1] = {
    [DT_UNDEFINED] = {"undefined", 0, OTHER},
    [DT_FLOAT] = {"float", 32, FLOAT},
    [DT_UINT8] = {"uint8", 8, INTEGER},
    [DT_INT8] = {"int8", 8, INTEGER},
    [DT_UINT16] = {"uint16", 16, INTEGER},
    [DT_INT16] = {"int16", 16, INTEGER},
    [DT_INT32] = {"int32", 32, INTEGER},
    [DT_INT64] = {"int64", 64, INTEGER},
    [DT_STRING] = {"string", 0, OTHER},
    [DT_BOOL] = {"bool", 8, OTHER},
    [DT_FLOAT16] = {"float16", 16, FLOAT},
    [DT_DOUBLE] = {"double", 64, FLOAT},
    [DT_UINT32] = {"uint32", 32, INTEGER},
    [DT_UINT64] = {"uint64", 64, INTEGER},
    [DT_COMPLEX64] = {"complex64", 64, OTHER},
    [DT_COMPLEX128] = {"complex128", 128, OTHER},
    [DT_BFLOAT16] = {"bfloat16", 16, FLOAT},
    [DT_FLOAT8E4M3FN] = {"float8e4m3fn", 8, OTHER},
    [DT_FLOAT8E4M3FNUZ] = {"float8e4m3fnuz", 8, OTHER},
    [DT_FLOAT8E5M2] = {"float8e5m2", 8, OTHER},
    [DT_FLOAT8E5M2FNUZ] = {"float8e5m2fnuz", 8, OTHER},
    [DT_UINT4] = {"uint4", 4, INTEGER},
    [DT_INT4] = {"int4", 4, INTEGER},
    [DT_FLOAT4E2M1] = {"float4e2m1", 4, OTHER},
    [DT_FLOAT8E8M0] = {"float8e8m0", 8, OTHER},
    [DT_UINT2] = {"uint2", 2, INTEGER},
    [DT_INT2] = {"int2", 2, INTEGER},
};

/* A file's number may be beyond the table. */
static DType row_of(DType dtype)
{
    return (unsigned)dtype <= DT_LAST ? dtype : DT_UNDEFINED;
}

const char *dtype_name(DType dtype)
{
    if (dtype == DT_LIST)
        return "sequence";
    return rows[row_of(dtype)].name;
}

DType dtype_from_name(const char *name)
{
    for (int i = DT_UNDEFINED + 1; i <= DT_LAST; i++)
        if (strcmp(rows[i].name, name) == 0)
            return (DType)i;
    return DT_UNDEFINED;
}

int dtype_bits(DType dtype)
{
    return rows[row_of(dtype)].bits;
}

bool dtype_is_float(DType dtype)
{
    return rows[row_of(dtype)].kind == FLOAT;
}

bool dtype_is_integer(DType dtype)
{
    return rows[row_of(dtype)].kind == INTEGER;
}
