/* quantize_sweep.c - initializers that rewrites for the target or for integers have left unread: weights in another form, bounds of
 * a Clip that a Q does, factors that went into scales. ONNX Runtime warns of each, and they take room in the file.
 */
#include "passes/pass.h"

static Status run(PassContext *context)
{
    Graph *graph = context->model->graph;
    for (int i = graph->n_initializers; i-- > 0;) {
        Value *value = graph->initializers[i];
        if (value->n_uses > 0 || value->n_outputs > 0 || value->is_input)
            continue;
        value_remove(value);
        ++*context->changes;
    }
    return NULL;
}

const Pass pass_quantize_sweep = {
    .name = "quantize_sweep",
    .stage = PASS_QUANTIZE,
    .summary = "removes the initializers that nobody reads any more",
    .run = run,
};
