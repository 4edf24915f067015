/* intake.c - the model of the main job as it comes: recognised when it is quantized already, refused, or turned back into float.
 *
 *     model.onnx ─ load ─┬─ float ──────────────────────────────────────> the job
 *                        └─ Q/DQ, QLinear*, *Integer, 16-bit floats ─┬──> refused, with what it is and a node that shows it
 *                                                  with --requantize └──> float again (passes/restore_*.c) ─> the job
 */
#include "src/app/app.h"
#include "src/ops/ops.h"

#include <math.h>
#include <stdlib.h>

static bool is_half(const Value *value)
{
    return value != NULL && value->type.kind == TYPE_TENSOR &&
           (value->type.dtype == DT_FLOAT16 || value->type.dtype == DT_BFLOAT16);
}

/* In words, behind "the model is"; NULL: it is float. */
static const char *form_of(const Node *node)
{
    if (node->def != NULL && node->def->quant.kind == QUANT_WEIGHTED && (is_half(node_in(node, 0)) || is_half(node_in(node, 1))))
        return "of 16-bit floats";
    const char *form = pass_quantized_form(node);
    return form == NULL ? NULL : arena_printf(node->graph->model->arena, "already quantized, %s", form);
}

static bool holds_nan(const Node *node)
{
    for (int i = 0; i < node->n_in && op_is_weighted(node); i++) {
        const Tensor *weight = node_constant(node, i);
        for (int64_t k = 0; weight != NULL && weight->dtype == DT_FLOAT && k < weight->count; k++)
            if (!isfinite(((const float *)weight->data)[k]))
                return true;
    }
    return false;
}

/* The first node that shows a form of quantization, and the first with a weight that is none. */
typedef struct Signs {
    const Node *quantized, *bad;
    const char *form;
} Signs;

/* In inner graphs too. */
static void look(void *context, Graph *graph)
{
    Signs *signs = context;
    for (const Node *node = graph->first; node != NULL && signs->quantized == NULL; node = node->next) {
        signs->form = form_of(node);
        if (signs->form != NULL)
            signs->quantized = node;
        if (signs->bad == NULL && holds_nan(node))
            signs->bad = node;
    }
}

static Status check_weights(const Options *options, const Signs *signs)
{
    return signs->bad == NULL ? NULL
                              : status_new(CODE_MODEL, "%s: a weight that is NaN or infinite (%s); train or repair it first",
                                           options->model, node_describe(signs->bad));
}

static Status restore(const Options *options, Model *model, PassRecord *records)
{
    const PassStage stages[] = {PASS_RAISE, PASS_RESTORE};
    Status status = NULL;
    for (size_t i = 0; i < COUNT_OF(stages) && status == NULL; i++)
        status = passes_run(model, stages[i], NULL, NULL, NULL, NULL, records);
    return status_prefix(status, "%s: requantize", options->model);
}

Status intake_restore(const Options *options, Model *model, PassRecord *records, const char **ret_form)
{
    Signs signs = {0};
    *ret_form = NULL;
    graph_each(model->graph, look, &signs);
    if (signs.quantized == NULL)
        return check_weights(options, &signs);
    if (!options->requantize)
        return status_new(CODE_MODEL, "%s: the model is %s (%s); give the float model it was made from, or --requantize to turn it "
                          "back into float and quantize it anew", options->model, signs.form, node_describe(signs.quantized));
    TRY(restore(options, model, records));
    *ret_form = signs.form;
    signs = (Signs){0};
    graph_each(model->graph, look, &signs); /* a Q or DQ at the border of the model may be left, and does no harm */
    return check_weights(options, &signs);
}
