/* command_inspect.c - `quantize inspect MODEL`: what is in it, and which of its ops the executor cannot run. */
#include "src/app/app.h"
#include "src/ops/ops.h"

#include <stdio.h>

static void print_values(const char *label, Value *const *values, int n, Arena *arena)
{
    for (int i = 0; i < n; i++) {
        if (values[i]->constant != NULL && values[i]->is_input)
            continue; /* an initializer that an old exporter lists as an input too */
        const Type *type = &values[i]->type;
        printf("%-8s %s: %s[%s]\n", label, values[i]->name,
               type->kind == TYPE_TENSOR ? dtype_name(type->dtype) : "not a tensor",
               type->kind == TYPE_TENSOR ? shape_text(arena, &type->shape) : "");
    }
}

static void print_unsupported(void *context, Graph *graph)
{
    int *count = context;
    for (const Node *node = graph->first; node != NULL; node = node->next)
        if (node->def == NULL || node->def->eval == NULL) {
            printf("cannot be executed: %s, domain '%s', opset %d\n", node_describe(node),
                   node->domain[0] == '\0' ? "ai.onnx" : node->domain, node->opset);
            ++*count;
        }
}

static void print_model(Model *model, const ModelFacts *facts)
{
    Arena *arena = arena_new();
    printf("model    %s\n", model->path);
    printf("size     %llu bytes, %lld parameters, %lld multiply-accumulates a sample\n",
           (unsigned long long)facts->bytes, (long long)facts->parameters, (long long)facts->macs);
    printf("version  IR %lld, producer %s %s\n", (long long)model->ir_version,
           model->producer_name == NULL ? "" : model->producer_name,
           model->producer_version == NULL ? "" : model->producer_version);
    for (int i = 0; i < model->n_opsets; i++)
        printf("opset    %s %lld\n", model->opsets[i].domain[0] == '\0' ? "ai.onnx" : model->opsets[i].domain,
               (long long)model->opsets[i].version);
    print_values("input", model->graph->inputs, model->graph->n_inputs, arena);
    print_values("output", model->graph->outputs, model->graph->n_outputs, arena);
    for (int i = 0; i < model->n_metadata; i++)
        printf("metadata %s = %.200s\n", model->metadata[i].key, model->metadata[i].value);
    printf("nodes    %d\n", facts->nodes);
    for (const cJSON *op = facts->ops->child; op != NULL; op = op->next)
        printf("  %5d  %s\n", op->valueint, op->string);
    int unsupported = 0;
    graph_each(model->graph, print_unsupported, &unsupported);
    if (unsupported == 0)
        printf("every op can be executed\n");
    arena_free(arena);
}

static Status inspect(const Options *options, Model *model)
{
    ModelFacts facts;
    TRY(facts_read(model, options->model, &facts));
    print_model(model, &facts);
    if (options->verbose) {
        Text text = {0};
        model_print(model, &text, true);
        printf("%s\n", text.data == NULL ? "" : text.data);
        text_free(&text);
    }
    facts_release(&facts);
    return NULL;
}

Status command_inspect(const Options *options, int *ret_exit)
{
    (void)ret_exit;
    Model *model = NULL;
    TRY(model_open(options->model, &model, NULL));
    Status status = inspect(options, model);
    model_free(model);
    return status;
}
