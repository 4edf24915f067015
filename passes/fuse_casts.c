/* fuse_casts.c - of two Casts in a row only the last stays where the first loses nothing.
 *
 *     x: int32 -> Cast int64 -> Cast int32 -> y         ->      x
 *     x: int32 -> Cast int64 -> Cast float -> y         ->      x -> Cast float -> y
 *     x: float -> Cast int64 -> Cast float -> y         stays: the first cuts off
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

/* Bits that hold a magnitude exactly: of an integer without its sign, of a float's significand. 0: not looked at. */
static int exact_bits(DType dtype)
{
    switch (dtype) {
    case DT_BOOL: return 1;
    case DT_INT8: case DT_INT16: case DT_INT32: case DT_INT64: return dtype_bits(dtype) - 1;
    case DT_UINT8: case DT_UINT16: case DT_UINT32: case DT_UINT64: return dtype_bits(dtype);
    case DT_FLOAT16: return 11;
    case DT_FLOAT: return 24;
    case DT_DOUBLE: return 53;
    default: return 0;
    }
}

static bool is_unsigned(DType dtype)
{
    return dtype == DT_BOOL || dtype == DT_UINT8 || dtype == DT_UINT16 || dtype == DT_UINT32 || dtype == DT_UINT64;
}

/* Every element of `from` is one of `to`. A float type with more bits has the greater exponents too; integers go into a
 * float16 by its 11 bits, whose range is wider. */
static bool holds(DType to, DType from)
{
    if (exact_bits(from) == 0 || exact_bits(to) < exact_bits(from))
        return false;
    if (dtype_is_float(from))
        return dtype_is_float(to);
    return dtype_is_float(to) || is_unsigned(from) || !is_unsigned(to);
}

/* From `first` over `middle` to `last` is the same as straight there. Floats are not cut to integers here: what is out of
 * range differs from type to type. */
static bool may_skip(DType first, DType middle, DType last)
{
    if (!holds(middle, first))
        return false;
    if (last == first)
        return true;
    return exact_bits(last) > 0 && dtype_is_float(first) == dtype_is_float(middle) &&
           (!dtype_is_float(first) || dtype_is_float(last));
}

static Status visit(PassContext *context, Node *node)
{
    if (!node_is(node, "Cast") || node_in(node, 0) == NULL || node->out[0] == NULL || node->in[0]->producer == NULL ||
        !node_is(node->in[0]->producer, "Cast"))
        return NULL;
    Value *x = node_in(node->in[0]->producer, 0);
    DType first = infer_dtype(node->in[0]->producer, 0), last = (DType)node_int(node, "to", DT_UNDEFINED);
    if (x == NULL || !may_skip(first, infer_dtype(node, 0), last))
        return NULL;
    if (first == last) {
        if (!pass_can_replace(node, x))
            return NULL;
        ++*context->changes;
        return pass_replace_node(node, x);
    }
    Node *before = node->in[0]->producer;
    node_set_input(node, 0, x);
    pass_remove_dead(before);
    ++*context->changes;
    return NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fuse_casts = {
    .name = "fuse_casts",
    .stage = PASS_SIMPLIFY,
    .ops = "Cast",
    .summary = "of two Casts in a row only the last stays where the first loses nothing",
    .run = run,
};
