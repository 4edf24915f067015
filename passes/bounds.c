/* bounds.c - between which numbers the elements of a value lie, as far as the graph itself says.
 *
 *     Range(0, n, 1) -> Unsqueeze -> GreaterOrEqual 0        [0, inf) and then [1, 1]: true everywhere
 *     zeros: 1x258 -> Expand -> GatherElements               [0, 0]
 *
 * Exporters write masks and positions for the general case, of which a given model uses a special one: the window of a
 * causal mask begins at 0, every token is of type 0. Numbers that come from sizes are taken as what they are; inputs of
 * the graph are bounded by their types alone.
 */
#include "passes/bounds.h"

#include "passes/pass.h"
#include "src/ops/ops.h"

#include <math.h>

#define MAX_STEPS 64            /* producers asked for one value */
#define MAX_ELEMENTS (1 << 16)  /* of a constant that is looked through */
#define EXACT 9007199254740992. /* 2^53: integers up to here are doubles */

/* Every element lies in [low, high]; what is not known is infinite. A float value may hold NaN besides, unless both are equal. */
typedef struct Bounds {
    double low, high;
} Bounds;

typedef Bounds (*BoundsRule)(const Node *node, int *left);

static Bounds bounds_at(const Value *value, int *left);

static Bounds bounds_of_type(DType dtype)
{
    if (dtype == DT_BOOL)
        return (Bounds){0, 1};
    bool is_unsigned = dtype == DT_UINT8 || dtype == DT_UINT16 || dtype == DT_UINT32 || dtype == DT_UINT64;
    return (Bounds){is_unsigned ? 0 : -INFINITY, INFINITY};
}

static Bounds bounds_of_tensor(const Tensor *tensor)
{
    Bounds all = bounds_of_type(tensor->dtype), bounds = {INFINITY, -INFINITY};
    if ((!dtype_is_float(tensor->dtype) && !dtype_is_integer(tensor->dtype) && tensor->dtype != DT_BOOL) ||
        tensor->count < 1 || tensor->count > MAX_ELEMENTS)
        return all;
    for (int64_t i = 0; i < tensor->count; i++) {
        double x = tensor_get(tensor, i);
        if (isnan(x) || fabs(x) > EXACT || (x == 0 && signbit(x))) /* to some ops -0 is another number than 0 */
            return all;
        bounds.low = fmin(bounds.low, x);
        bounds.high = fmax(bounds.high, x);
    }
    return bounds;
}

/* ---- rules ------------------------------------------------------------------------------------------------------- */

/* What moves or repeats elements of input 0. */
static Bounds bounds_moved(const Node *node, int *left)
{
    return bounds_at(node_in(node, 0), left);
}

static Bounds bounds_filled(const Node *node, int *left)
{
    const Attr *attr = node_attr(node, "value");
    (void)left;
    return attr == NULL ? (Bounds){0, 0} : attr->kind == ATTR_TENSOR ? bounds_of_tensor(attr->t) : bounds_of_type(DT_UNDEFINED);
}

static Bounds bounds_sizes(const Node *node, int *left)
{
    (void)node;
    (void)left;
    return (Bounds){0, INFINITY};
}

/* start, start + delta, ... */
static Bounds bounds_range(const Node *node, int *left)
{
    Bounds start = bounds_at(node_in(node, 0), left), delta = bounds_at(node_in(node, 2), left);
    return (Bounds){delta.low >= 0 ? start.low : -INFINITY, delta.high <= 0 ? start.high : INFINITY};
}

static Bounds either(Bounds a, Bounds b)
{
    return (Bounds){fmin(a.low, b.low), fmax(a.high, b.high)};
}

static Bounds bounds_joined(const Node *node, int *left)
{
    Bounds bounds = {INFINITY, -INFINITY};
    for (int i = 0; i < node->n_in; i++)
        bounds = either(bounds, bounds_at(node->in[i], left));
    return bounds;
}

static Bounds bounds_cast(const Node *node, int *left)
{
    Bounds in = bounds_at(node_in(node, 0), left);
    DType to = (DType)node_int(node, "to", DT_UNDEFINED);
    Bounds all = bounds_of_type(to);
    if (to == DT_BOOL)
        return in.low > 0 || in.high < 0 ? (Bounds){1, 1} : in.low == 0 && in.high == 0 ? in : all;
    DType from = infer_dtype(node, 0);
    bool is_count = dtype_is_integer(from) || from == DT_BOOL;
    bool holds = in.low >= 0 && in.high <= 127 && (dtype_is_float(to) || dtype_is_integer(to)) &&
                 dtype_bits(to) >= 8; /* every type of 8 bits or more has these */
    return is_count && (holds || (to == DT_INT64 && from != DT_UINT64)) ? in : all;
}

static Bounds bounds_not(const Node *node, int *left)
{
    Bounds in = bounds_at(node_in(node, 0), left);
    return (Bounds){1 - in.high, 1 - in.low};
}

static Bounds bounds_and(const Node *node, int *left)
{
    Bounds a = bounds_at(node_in(node, 0), left), b = bounds_at(node_in(node, 1), left);
    return (Bounds){fmin(a.low, b.low), fmin(a.high, b.high)};
}

static Bounds bounds_or(const Node *node, int *left)
{
    Bounds a = bounds_at(node_in(node, 0), left), b = bounds_at(node_in(node, 1), left);
    return (Bounds){fmax(a.low, b.low), fmax(a.high, b.high)};
}

/* Is a above b (or equal, where that counts) wherever? Of floats it is never known: NaN is above nothing. */
static Bounds bounds_above(const Node *node, int a, int b, bool or_equal, int *left)
{
    if (!dtype_is_integer(infer_dtype(node, a)))
        return (Bounds){0, 1};
    Bounds x = bounds_at(node_in(node, a), left), y = bounds_at(node_in(node, b), left);
    if (or_equal ? x.low >= y.high : x.low > y.high)
        return (Bounds){1, 1};
    if (or_equal ? x.high < y.low : x.high <= y.low)
        return (Bounds){0, 0};
    return (Bounds){0, 1};
}

static Bounds bounds_greater(const Node *node, int *left)
{
    return bounds_above(node, 0, 1, false, left);
}

static Bounds bounds_greater_or_equal(const Node *node, int *left)
{
    return bounds_above(node, 0, 1, true, left);
}

static Bounds bounds_less(const Node *node, int *left)
{
    return bounds_above(node, 1, 0, false, left);
}

static Bounds bounds_less_or_equal(const Node *node, int *left)
{
    return bounds_above(node, 1, 0, true, left);
}

static Bounds bounds_where(const Node *node, int *left)
{
    Bounds which = bounds_at(node_in(node, 0), left);
    Bounds yes = bounds_at(node_in(node, 1), left), no = bounds_at(node_in(node, 2), left);
    return which.low == 1 ? yes : which.high == 0 ? no : either(yes, no);
}

static const struct Row {
    const char *op_type;
    BoundsRule rule;
} rows[] = {
    {"And", bounds_and},
    {"Cast", bounds_cast},
    {"Concat", bounds_joined},
    {"ConstantOfShape", bounds_filled},
    {"Expand", bounds_moved},
    {"Flatten", bounds_moved},
    {"Gather", bounds_moved},
    {"GatherElements", bounds_moved},
    {"GatherND", bounds_moved},
    {"Greater", bounds_greater},
    {"GreaterOrEqual", bounds_greater_or_equal},
    {"Identity", bounds_moved},
    {"Less", bounds_less},
    {"LessOrEqual", bounds_less_or_equal},
    {"Not", bounds_not},
    {"Or", bounds_or},
    {"Range", bounds_range},
    {"Reshape", bounds_moved},
    {"Shape", bounds_sizes},
    {"Size", bounds_sizes},
    {"Slice", bounds_moved},
    {"Squeeze", bounds_moved},
    {"Tile", bounds_moved},
    {"Transpose", bounds_moved},
    {"Unsqueeze", bounds_moved},
    {"Where", bounds_where},
};

static Bounds bounds_at(const Value *value, int *left)
{
    if (value == NULL || value->type.kind != TYPE_TENSOR)
        return bounds_of_type(DT_UNDEFINED);
    if (pass_value_is_constant(value))
        return bounds_of_tensor(value->constant);
    const Node *node = value->producer;
    const struct Row *row = node == NULL || node->def == NULL || node->domain[0] != '\0' || *left == 0
                                ? NULL : PASS_ROW(node->op_type, rows);
    if (row == NULL)
        return bounds_of_type(value->type.dtype);
    --*left;
    return row->rule(node, left);
}

bool bounds_uniform(const Value *value, double *ret)
{
    int left = MAX_STEPS;
    Bounds bounds = bounds_at(value, &left);
    *ret = bounds.low;
    return bounds.low == bounds.high && isfinite(bounds.low);
}
