/* eliminate_initializer_inputs.c - initializers leave the list of graph inputs.
 *
 *     inputs x, w   initializers w      ->      inputs x   initializers w
 *
 * Before IR version 4 every initializer had to be listed as an input, which makes each weight a default that the
 * caller may override. A quantized model has its weights fixed, so they become plain constants. IR 4 is the first to
 * allow that.
 */
#include "passes/pass.h"

#define FIRST_IR_WITHOUT_SHADOWS 4

static Status run(PassContext *context)
{
    Model *model = context->model;
    Graph *graph = model->graph;
    int64_t before = *context->changes;
    for (int i = graph->n_inputs - 1; i >= 0; i--) {
        if (graph->inputs[i]->constant == NULL)
            continue;
        graph_remove_input(graph, graph->inputs[i]);
        ++*context->changes;
    }
    if (*context->changes == before)
        return NULL;
    if (model->ir_version < FIRST_IR_WITHOUT_SHADOWS)
        model->ir_version = FIRST_IR_WITHOUT_SHADOWS;
    return NULL;
}

const Pass pass_eliminate_initializer_inputs = {
    .name = "eliminate_initializer_inputs",
    .stage = PASS_RAISE,
    .summary = "initializers that are listed as graph inputs become plain constants",
    .run = run,
};
