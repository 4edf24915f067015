/* raise_opset.c - a model of ai.onnx opset 7 to 12 becomes one of opset 13, the first with Q/DQ per channel, or of
 * a higher one that was asked for.
 *
 *     Squeeze {axes = [1]} (x)      ->      Squeeze (x, [1])
 *
 * One row for each change of form between two versions of an op; ops without a row mean the same in both (onnx/docs/
 * Changelog.md: new element types, negative axes, new optional attributes). Models of opset 13 and above stay as
 * they are unless a higher one is asked for, and so do nodes of other domains. Nodes of inlined functions may be older
 * than the model, and are raised to its opset.
 */
#include "passes/pass.h"
#include "passes/raise.h"

#include "src/ops/ops.h"

#include <string.h>

#define LOWEST_OPSET 7
#define RAISED_OPSET 13
#define HIGHEST_OPSET 24

/* The IR version that came with each opset from 13 on. */
static const int ir_of[HIGHEST_OPSET - RAISED_OPSET + 1] = {7, 7, 8, 8, 8, 8, 9, 9, 10, 10, 11, 12};

/* Sorted by op; a node takes the rows of its op in order, those whose version is above the model's. */
static const struct Row {
    const char *op_type;
    int since; /* the version with the new form */
    RaiseFn raise;
} rows[] = {
    {"BatchNormalization", 9, raise_batch_normalization}, /* spatial */
    {"Clip", 11, raise_clip},                             /* min, max */
    {"DFT", 20, raise_dft},                               /* axis */
    {"Dropout", 12, raise_dropout},                       /* ratio */
    {"GridSample", 20, raise_grid_sample},                /* names of modes */
    {"GroupNormalization", 21, raise_group_normalization}, /* scale and bias for each channel */
    {"Hardmax", 13, raise_softmax},                       /* flattened to 2-D before */
    {"ImageScaler", 10, raise_image_scaler},              /* experimental, gone */
    {"LogSoftmax", 13, raise_softmax},
    {"Pad", 11, raise_pad}, /* pads, value */
    {"ReduceL1", 18, raise_axes},
    {"ReduceL2", 18, raise_axes},
    {"ReduceLogSum", 18, raise_axes},
    {"ReduceLogSumExp", 18, raise_axes},
    {"ReduceMax", 18, raise_axes},
    {"ReduceMean", 18, raise_axes},
    {"ReduceMin", 18, raise_axes},
    {"ReduceProd", 18, raise_axes},
    {"ReduceSum", 13, raise_axes},
    {"ReduceSumSquare", 18, raise_axes},
    {"Resize", 11, raise_resize_10},
    {"Resize", 13, raise_resize_11}, /* empty tensors became omitted inputs */
    {"RoiAlign", 16, raise_roi_align}, /* another default */
    {"Scan", 9, raise_scan},         /* batch axis, gone */
    {"Scatter", 11, raise_scatter},  /* renamed */
    {"Slice", 10, raise_slice},      /* starts, ends, axes */
    {"Softmax", 13, raise_softmax},
    {"Split", 13, raise_split},
    {"Split", 18, raise_split_18},
    {"Squeeze", 13, raise_axes},
    {"TopK", 10, raise_top_k}, /* k */
    {"Unsqueeze", 13, raise_axes},
    {"Upsample", 10, raise_upsample}, /* became Resize */
};

/* The first row of an op, or NULL. */
static const struct Row *find_rows(const char *op_type)
{
    const struct Row *row = PASS_ROW(op_type, rows);
    while (row != NULL && row > rows && strcmp(row[-1].op_type, op_type) == 0)
        row--;
    return row;
}

static Status visit(PassContext *context, Node *node)
{
    if (node->domain[0] != '\0' || node->opset >= model_opset(context->model, ""))
        return NULL;
    if (node->opset < LOWEST_OPSET)
        return node_error(node, CODE_UNSUPPORTED, "opset %d is older than %d, the oldest that can be raised; export the "
                          "model with a newer opset", node->opset, LOWEST_OPSET);
    const char *op_type = node->op_type;
    int opset = node->opset, target = model_opset(context->model, "");
    for (const struct Row *row = find_rows(op_type); row != NULL; row++) {
        if (row == rows + COUNT_OF(rows) || strcmp(row->op_type, op_type) != 0)
            break;
        if (opset >= row->since || target < row->since || (node->def == NULL && row->raise != raise_image_scaler))
            continue; /* without a definition: the op came later, its form was not checked */
        TRY(row->raise(node));
        ++*context->changes;
        if (node->graph == NULL) /* replaced */
            return NULL;
    }
    ops_bind_node(node);
    return NULL;
}

static Status run(PassContext *context)
{
    Model *model = context->model;
    int opset = model_opset(model, ""), target = MAX(RAISED_OPSET, context->opset);
    int64_t before = *context->changes;
    if (target > HIGHEST_OPSET)
        return status_new(CODE_USAGE, "opset %d is beyond %d, the highest that models can be raised to", target,
                          HIGHEST_OPSET);
    if (opset == 0)
        return NULL;
    if (opset < target) {
        if (opset < LOWEST_OPSET)
            return status_new(CODE_UNSUPPORTED, "opset %d is older than %d, the oldest that can be raised to %d; "
                              "export the model with a newer opset", opset, LOWEST_OPSET, target);
        model_set_opset(model, "", target);
        model->ir_version = MAX(model->ir_version, ir_of[target - RAISED_OPSET]);
        ++*context->changes;
    }
    TRY(pass_each_node(context, visit));
    if (*context->changes == before)
        return NULL;
    TRY(ops_check(model)); /* an op that its version did not have yet was not looked at before */
    return ops_infer(model);
}

const Pass pass_raise_opset = {
    .name = "raise_opset",
    .stage = PASS_RAISE,
    .summary = "opset 7 to 12 is raised to 13, the first with Q/DQ per channel, or to what --opset asks for",
    .run = run,
};
