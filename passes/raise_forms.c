/* raise_forms.c - ops that a newer opset spells with another op or gives another meaning.
 *
 *     Softmax {axis = 1} (x: NxCxHxW)      ->      Flatten {axis = 1} -> Softmax {axis = -1} -> Reshape [shape of x]
 *     Upsample (x, scales)                 ->      Resize {asymmetric, floor} (x, , scales)
 */
#include "passes/pass.h"
#include "passes/raise.h"

#include "src/ops/ops.h"

#include <math.h>
#include <string.h>

static Model *model_of(const Node *node)
{
    return node->graph->model;
}

static Value *add_ints(const Node *node, const char *base, const int64_t *values, int64_t n)
{
    Tensor *tensor = tensor_new_ints(model_of(node)->arena, 1, &n, values);
    return graph_add_constant(node->graph, model_fresh_name(model_of(node), base), tensor);
}

/* ---- Softmax, LogSoftmax, Hardmax: before 13 over all axes from `axis` on, then over that axis alone ------------- */

/* The shape of x as the target of a Reshape: a constant with at most one -1, else computed. */
static Status add_shape(Node *node, Value **ret)
{
    int64_t target[TENSOR_MAX_RANK];
    Shape shape = infer_shape(node, 0);
    int unknown = 0;
    bool empty = false;
    for (int i = 0; i < shape.rank; i++) {
        target[i] = shape.dims[i].size;
        unknown += target[i] < 0;
        empty = empty || target[i] == 0;
    }
    if (shape.rank >= 0 && unknown <= 1 && !empty) {
        *ret = add_ints(node, "shape", target, shape.rank);
        return NULL;
    }
    Node *shaper = pass_add_node(node->graph, node, "Shape", "", 1, &node->in[0]);
    *ret = shaper->out[0];
    return ops_infer_node(shaper);
}

Status raise_softmax(Node *node)
{
    int64_t axis = node_int(node, "axis", 1);
    Shape shape = infer_shape(node, 0);
    if (shape.rank >= 0) {
        int64_t positive = axis < 0 ? axis + shape.rank : axis;
        bool alone = positive >= 0;
        for (int64_t i = positive + 1; alone && i < shape.rank; i++)
            alone = shape.dims[i].size == 1;
        if (alone) {
            node_set_int(node, "axis", positive == shape.rank - 1 ? -1 : positive);
            return NULL;
        }
    }
    Node *flatten = pass_add_node(node->graph, node, "Flatten", "", 1, &node->in[0]);
    node_set_int(flatten, "axis", axis);
    TRY(ops_infer_node(flatten));
    Node *softmax = pass_add_node(node->graph, node, node->op_type, node->name, 1, &flatten->out[0]);
    node_set_int(softmax, "axis", -1);
    TRY(ops_infer_node(softmax));
    Value *in[2] = {softmax->out[0], NULL};
    TRY(add_shape(node, &in[1]));
    Node *reshape = pass_add_node(node->graph, node, "Reshape", "", 2, in);
    TRY(ops_infer_node(reshape));
    return pass_replace_node(node, reshape->out[0]);
}

/* ---- Upsample and Resize: positions are x_out / scale ------------------------------------------------------------ */

static void make_resize(Node *node, Value *scales, const char *nearest)
{
    const char *mode = node_string(node, "mode", "nearest");
    node->op_type = "Resize";
    node_trim_inputs(node, 1);
    node_set_input(node, 1, NULL);
    node_set_input(node, 2, scales);
    /* opset 7 to 10 also write "bilinear" */
    if (strcmp(mode, "bilinear") == 0)
        node_set_string(node, "mode", "linear");
    else
        node_set_string(node, "mode", arena_strdup(model_of(node)->arena, mode));
    node_set_string(node, "coordinate_transformation_mode", "asymmetric");
    if (strcmp(mode, "nearest") == 0)
        node_set_string(node, "nearest_mode", nearest);
}

Status raise_upsample(Node *node)
{
    Value *scales = node_in(node, 1);
    if (scales == NULL) { /* opset 7: an attribute */
        int64_t n;
        const float *values = node_floats(node, "scales", &n);
        if (values == NULL)
            return node_error(node, CODE_MODEL, "has no scales");
        Tensor *tensor = tensor_new_floats(model_of(node)->arena, 1, &n, values);
        scales = graph_add_constant(node->graph, model_fresh_name(model_of(node), "scales"), tensor);
        node_remove_attr(node, "scales");
    }
    make_resize(node, scales, "floor");
    return NULL;
}

/* Opset 10 does not say how a position is rounded; runtimes take the element at or before it when they enlarge and
 * at or after it when they shrink. Axes of both kinds in one node are resized one kind after the other. */
Status raise_resize_10(Node *node)
{
    Value *scales = node_in(node, 1);
    const Tensor *tensor = pass_constant(node, 1);
    int shrinking = 0, growing = 0;
    if (scales == NULL)
        return node_error(node, CODE_MODEL, "has no scales");
    for (int64_t i = 0; tensor != NULL && i < tensor->count; i++) {
        shrinking += tensor_get(tensor, i) < 1;
        growing += tensor_get(tensor, i) > 1;
    }
    if (shrinking > 0 && growing > 0 && strcmp(node_string(node, "mode", "nearest"), "nearest") == 0) {
        Tensor *part[2];
        for (int k = 0; k < 2; k++) {
            TRY(tensor_new(model_of(node)->arena, tensor->dtype, tensor->rank, tensor->dims, &part[k]));
            for (int64_t i = 0; i < tensor->count; i++) {
                double scale = tensor_get(tensor, i);
                tensor_set(part[k], i, (scale < 1) == (k == 0) ? scale : 1);
            }
        }
        Value *in[3] = {node->in[0], NULL, NULL};
        in[2] = graph_add_constant(node->graph, model_fresh_name(model_of(node), scales->name), part[0]);
        Node *shrink = pass_add_node(node->graph, node, "Resize", node->name, 3, in);
        node_set_string(shrink, "mode", "nearest");
        node_set_string(shrink, "coordinate_transformation_mode", "asymmetric");
        node_set_string(shrink, "nearest_mode", "ceil");
        TRY(ops_infer_node(shrink));
        node_set_input(node, 0, shrink->out[0]);
        scales = graph_add_constant(node->graph, model_fresh_name(model_of(node), scales->name), part[1]);
        shrinking = 0;
    }
    make_resize(node, scales, shrinking > 0 ? "ceil" : "floor");
    return NULL;
}

/* Opset 11 had no way to omit roi and scales but an empty tensor. */
Status raise_resize_11(Node *node)
{
    for (int i = 1; i < 3; i++) {
        const Tensor *tensor = pass_constant(node, i);
        if (tensor != NULL && tensor->count == 0)
            node_set_input(node, i, NULL);
    }
    return NULL;
}

/* ---- others ------------------------------------------------------------------------------------------------------ */

/* spatial = 0: a mean and variance for each element of a sample, shapes CxHxW; that is y = a * x + b over the
 * trailing axes. */
static Status split_normalization(Node *node)
{
    const Tensor *parameter[5] = {NULL};
    Tensor *scale, *shift;
    for (int i = 1; i < 5; i++) {
        parameter[i] = pass_constant(node, i);
        if (parameter[i] == NULL || !tensor_same_shape(parameter[1], parameter[i]))
            return node_error(node, CODE_UNSUPPORTED, "BatchNormalization with spatial = 0 needs constant parameters");
    }
    Arena *arena = model_of(node)->arena;
    TRY(tensor_new(arena, parameter[1]->dtype, parameter[1]->rank, parameter[1]->dims, &scale));
    TRY(tensor_new(arena, parameter[1]->dtype, parameter[1]->rank, parameter[1]->dims, &shift));
    double epsilon = (double)node_float(node, "epsilon", 1e-5f);
    for (int64_t i = 0; i < scale->count; i++) {
        double a = tensor_get(parameter[1], i) / sqrt(tensor_get(parameter[4], i) + epsilon);
        tensor_set(scale, i, a);
        tensor_set(shift, i, tensor_get(parameter[2], i) - a * tensor_get(parameter[3], i));
    }
    Value *in[2] = {node->in[0], graph_add_constant(node->graph, model_fresh_name(model_of(node), "scale"), scale)};
    Node *mul = pass_add_node(node->graph, node, "Mul", node->name, 2, in);
    TRY(ops_infer_node(mul));
    in[0] = mul->out[0];
    in[1] = graph_add_constant(node->graph, model_fresh_name(model_of(node), "shift"), shift);
    Node *add = pass_add_node(node->graph, node, "Add", "", 2, in);
    TRY(ops_infer_node(add));
    return pass_replace_node(node, add->out[0]);
}

Status raise_batch_normalization(Node *node)
{
    if (node_int(node, "spatial", 1) == 0)
        return split_normalization(node);
    node_remove_attr(node, "spatial");
    return NULL;
}

Status raise_scatter(Node *node)
{
    node->op_type = "ScatterElements";
    return NULL;
}

/* Experimental, in converters of opset 7 to 9: y = scale * x + bias[c]. */
Status raise_image_scaler(Node *node)
{
    int64_t n;
    const float *bias = node_floats(node, "bias", &n);
    int64_t dims[3] = {n, 1, 1};
    if (bias == NULL || n < 1 || node_in(node, 0) == NULL || node->n_out != 1 || node->out[0] == NULL)
        return node_error(node, CODE_MODEL, "has no bias, no input or no output");
    Value *in[2] = {node->in[0], graph_add_float(node->graph, "scale", node_float(node, "scale", 1.0f))};
    Node *mul = pass_add_node(node->graph, node, "Mul", node->name, 2, in);
    TRY(ops_infer_node(mul));
    in[0] = mul->out[0];
    Tensor *tensor = tensor_new_floats(model_of(node)->arena, 3, dims, bias);
    in[1] = graph_add_constant(node->graph, model_fresh_name(model_of(node), "bias"), tensor);
    Node *add = pass_add_node(node->graph, node, "Add", "", 2, in);
    TRY(ops_infer_node(add));
    return pass_replace_node(node, add->out[0]);
}

Status raise_scan(Node *node)
{
    return node_error(node, CODE_UNSUPPORTED, "Scan of opset 8 works on batches; "
                      "export the model with opset 9 or newer");
}
