/* eliminate_noop.c - nodes that give back their input go.
 *
 *     x -> Transpose [0, 1, 2] -> y        x -> Add 0 -> y        x: Nx8 -> Reshape [-1, 8] -> y      ->      x
 *
 * One row an op: a predicate that says which input the output equals, -1 for none. A row may only say so when it is
 * sure of both the elements and the shape: sizes that are unknown and have no name are equal to nothing.
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

#include <string.h>

static bool same_shape(const Node *node, int i)
{
    Shape in = infer_shape(node, i);
    const Type *out = &node->out[0]->type;
    return out->kind == TYPE_TENSOR && shape_equal(&in, &out->shape);
}

/* As same_shape for ops that keep the number of elements: one size may then be unknown on both sides. */
static bool same_shape_and_count(const Node *node)
{
    Shape in = infer_shape(node, 0);
    const Type *out = &node->out[0]->type;
    int unknown = 0;
    if (out->kind != TYPE_TENSOR || in.rank < 0 || in.rank != out->shape.rank)
        return false;
    for (int i = 0; i < in.rank; i++) {
        if (in.dims[i].size == 0)
            return false;
        unknown += !dim_equal(in.dims[i], out->shape.dims[i]);
        if (dim_is_known(in.dims[i]) && dim_is_known(out->shape.dims[i]) && in.dims[i].size != out->shape.dims[i].size)
            return false;
    }
    return unknown <= 1;
}

static bool all_equal(const Tensor *tensor, double value)
{
    if (tensor == NULL || !(dtype_is_float(tensor->dtype) || dtype_is_integer(tensor->dtype) || tensor->dtype == DT_BOOL))
        return false;
    for (int64_t i = 0; i < tensor->count; i++)
        if (tensor_get(tensor, i) != value)
            return false;
    return tensor->count > 0;
}

static bool ints_equal(const int64_t *list, int64_t n, int64_t value)
{
    for (int64_t i = 0; i < n; i++)
        if (list[i] != value)
            return false;
    return true;
}

static int noop_shaper(const Node *node)
{
    return same_shape_and_count(node) ? 0 : -1;
}

static int noop_transpose(const Node *node)
{
    int64_t n;
    const int64_t *perm = node_ints(node, "perm", &n);
    if (perm == NULL) {
        Shape shape = infer_shape(node, 0);
        return shape.rank == 0 || shape.rank == 1 ? 0 : -1;
    }
    for (int64_t i = 0; i < n; i++)
        if (perm[i] != i)
            return -1;
    return 0;
}

static int noop_cast(const Node *node)
{
    DType dtype = infer_dtype(node, 0);
    return dtype != DT_UNDEFINED && node_int(node, "to", DT_UNDEFINED) == (int64_t)dtype ? 0 : -1;
}

static int noop_slice(const Node *node)
{
    const Tensor *starts = pass_constant(node, 1), *ends = pass_constant(node, 2);
    if (node_in(node, 4) != NULL && !all_equal(pass_constant(node, 4), 1))
        return -1;
    if (same_shape(node, 0))
        return 0;
    if (!all_equal(starts, 0) || ends == NULL)
        return -1;
    for (int64_t i = 0; i < ends->count; i++)
        if (tensor_get_int(ends, i) < INT32_MAX)
            return -1;
    return 0;
}

static int noop_pad(const Node *node)
{
    return all_equal(pass_constant(node, 1), 0) ? 0 : -1;
}

static int noop_single_input(const Node *node)
{
    return node->n_in == 1 ? 0 : -1;
}

static int noop_single_output(const Node *node)
{
    return node->n_out == 1 && same_shape(node, 0) ? 0 : -1;
}

static int noop_expand(const Node *node)
{
    return same_shape(node, 0) ? 0 : -1;
}

static int noop_tile(const Node *node)
{
    return all_equal(pass_constant(node, 1), 1) ? 0 : -1;
}

/* Scales of exactly 1, or sizes equal to the input's, map every position onto itself. */
static int noop_resize(const Node *node)
{
    if (strcmp(node_string(node, "coordinate_transformation_mode", "half_pixel"), "tf_crop_and_resize") == 0 ||
        !same_shape(node, 0))
        return -1;
    return node_in(node, 3) != NULL || all_equal(pass_constant(node, 2), 1) ? 0 : -1;
}

static int noop_clip(const Node *node)
{
    return node_in(node, 1) == NULL && node_in(node, 2) == NULL ? 0 : -1;
}

static int noop_max_pool(const Node *node)
{
    int64_t n_kernel, n_strides, n_pads;
    const int64_t *kernel = node_ints(node, "kernel_shape", &n_kernel);
    const int64_t *strides = node_ints(node, "strides", &n_strides);
    const int64_t *pads = node_ints(node, "pads", &n_pads);
    if (node->n_out != 1 || kernel == NULL || !same_shape(node, 0))
        return -1;
    return ints_equal(kernel, n_kernel, 1) && ints_equal(strides, n_strides, 1) && ints_equal(pads, n_pads, 0) ? 0 : -1;
}

/* The constant operand leaves the shape of the other alone: it only has sizes of 1, and no more of them. */
static bool keeps_shape(const Node *node, int data)
{
    const Tensor *constant = pass_constant(node, 1 - data);
    Shape shape = infer_shape(node, data);
    if (same_shape(node, data))
        return true;
    return constant->count == 1 && (constant->rank == 0 || constant->rank <= shape.rank);
}

static int neutral(const Node *node, double value, bool commutes)
{
    if (node->n_in != 2)
        return -1;
    if (all_equal(pass_constant(node, 1), value) && keeps_shape(node, 0))
        return 0;
    if (commutes && all_equal(pass_constant(node, 0), value) && keeps_shape(node, 1))
        return 1;
    return -1;
}

static int noop_add(const Node *node)
{
    return neutral(node, 0, true);
}

static int noop_sub(const Node *node)
{
    return neutral(node, 0, false);
}

static int noop_mul(const Node *node)
{
    return neutral(node, 1, true);
}

static int noop_div(const Node *node)
{
    return neutral(node, 1, false);
}

static int noop_where(const Node *node)
{
    const Tensor *condition = pass_constant(node, 0);
    int chosen = all_equal(condition, 1) ? 1 : all_equal(condition, 0) ? 2 : -1;
    return chosen > 0 && same_shape(node, chosen) ? chosen : -1;
}

static const struct Row {
    const char *op_type;
    int (*input)(const Node *node); /* that output 0 equals, or -1 */
} rows[] = {
    {"Add", noop_add},
    {"And", noop_mul},
    {"Cast", noop_cast},
    {"Clip", noop_clip},
    {"Concat", noop_single_input},
    {"Div", noop_div},
    {"Expand", noop_expand},
    {"Flatten", noop_shaper},
    {"Max", noop_single_input},
    {"MaxPool", noop_max_pool},
    {"Mean", noop_single_input},
    {"Min", noop_single_input},
    {"Mul", noop_mul},
    {"Or", noop_add},
    {"Pad", noop_pad},
    {"Pow", noop_div}, /* x ^ 1 */
    {"Reshape", noop_shaper},
    {"Resize", noop_resize},
    {"Slice", noop_slice},
    {"Split", noop_single_output},
    {"Squeeze", noop_shaper},
    {"Sub", noop_sub},
    {"Sum", noop_single_input},
    {"Tile", noop_tile},
    {"Transpose", noop_transpose},
    {"Unsqueeze", noop_shaper},
    {"Where", noop_where},
};

static Status visit(PassContext *context, Node *node)
{
    if (node->def == NULL || node->domain[0] != '\0' || node->n_out < 1 || node->out[0] == NULL)
        return NULL;
    const struct Row *row = PASS_ROW(node->op_type, rows);
    if (row == NULL)
        return NULL;
    int input = row->input(node);
    if (input < 0 || node_in(node, input) == NULL || !pass_can_replace(node, node->in[input]))
        return NULL;
    TRY(pass_replace_node(node, node->in[input]));
    ++*context->changes;
    return NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_eliminate_noop = {
    .name = "eliminate_noop",
    .stage = PASS_SIMPLIFY,
    .ops = "Add And Cast Clip Concat Div Expand Flatten Max MaxPool Mean Min Mul Or Pad Pow Reshape Resize Slice Split "
           "Squeeze Sub Sum Tile Transpose Unsqueeze Where",
    .summary = "nodes that give back their input go: Reshape to the same shape, Add 0, Mul 1 and their kin",
    .run = run,
};
