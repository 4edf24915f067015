/* raise_newer.c - changes of form after opset 13, for models that are raised beyond it.
 *
 *     Split (x) -> a, b                  ->      Split {num_outputs = 2} (x) -> a, b              opset 18
 *     GridSample {mode = "bilinear"}     ->      GridSample {mode = "linear"}                     opset 20
 */
#include "passes/pass.h"
#include "passes/raise.h"

#include "src/ops/ops.h"

#include <string.h>

Status raise_split_18(Node *node)
{
    if (node_in(node, 1) == NULL)
        node_set_int(node, "num_outputs", node->n_out);
    return NULL;
}

/* 16 samples half a pixel aside unless told otherwise. */
Status raise_roi_align(Node *node)
{
    if (node_attr(node, "coordinate_transformation_mode") == NULL)
        node_set_string(node, "coordinate_transformation_mode", "output_half_pixel");
    return NULL;
}

Status raise_grid_sample(Node *node)
{
    const char *mode = node_string(node, "mode", "bilinear");
    if (strcmp(mode, "bilinear") == 0)
        node_set_string(node, "mode", "linear");
    else if (strcmp(mode, "bicubic") == 0)
        node_set_string(node, "mode", "cubic");
    return NULL;
}

/* The axis became input 2; the default was 1 and is -2 now. */
Status raise_dft(Node *node)
{
    Model *model = node->graph->model;
    int64_t axis = node_int(node, "axis", 1);
    Tensor *tensor = tensor_new_ints(model->arena, 0, NULL, &axis);
    while (node->n_in < 2)
        node_set_input(node, node->n_in, NULL);
    node_set_input(node, 2, graph_add_constant(node->graph, model_fresh_name(model, "axis"), tensor));
    node_remove_attr(node, "axis");
    return NULL;
}

/* One scale and bias a group became one a channel. */
Status raise_group_normalization(Node *node)
{
    Model *model = node->graph->model;
    int64_t groups = node_int(node, "num_groups", 0);
    Shape shape = infer_shape(node, 0);
    if (groups < 1 || shape.rank < 2 || !dim_is_known(shape.dims[1]) || shape.dims[1].size % groups != 0)
        return node_error(node, CODE_UNSUPPORTED, "the number of channels is not known, so it cannot be raised to "
                                                  "opset 21; ask for a lower one with --opset");
    int64_t channels = shape.dims[1].size;
    for (int i = 1; i <= 2; i++) {
        const Tensor *from = pass_constant(node, i);
        Tensor *to;
        if (from == NULL || from->count != groups)
            return node_error(node, CODE_UNSUPPORTED, "input %d is no constant with one element a group, so it cannot "
                                                      "be raised to opset 21; ask for a lower one with --opset", i);
        TRY(tensor_new(model->arena, from->dtype, 1, &channels, &to));
        for (int64_t c = 0; c < channels; c++)
            tensor_set(to, c, tensor_get(from, c / (channels / groups)));
        node_set_input(node, i, graph_add_constant(node->graph, model_fresh_name(model, node->in[i]->name), to));
    }
    return NULL;
}
