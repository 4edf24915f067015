/* facts.c - what a model is: counted before the graph is changed, for the report and for `inspect`. */
#include "src/app/app.h"
#include "src/ops/ops.h"

#include <stdlib.h>
#include <string.h>

typedef struct OpCount {
    const char *op;
    int count;
} OpCount;

typedef struct Counter {
    Map *by_op; /* op -> index + 1 */
    OpCount *ops;
    size_t n, cap;
    Arena *arena;
    int64_t macs, parameters;
} Counter;

static void count_node(Counter *counter, const Node *node)
{
    const char *op =
        node->domain[0] == '\0' ? node->op_type : arena_printf(counter->arena, "%s::%s", node->domain, node->op_type);
    size_t at = (size_t)(uintptr_t)map_get(counter->by_op, op);
    if (at == 0) {
        counter->ops = array_reserve(counter->ops, &counter->cap, counter->n + 1, sizeof counter->ops[0]);
        counter->ops[counter->n++] = (OpCount){op, 0};
        at = counter->n;
        map_put(counter->by_op, op, (void *)(uintptr_t)at);
    }
    counter->ops[at - 1].count++;
    counter->macs += MAX(op_macs(node, NULL), 0);
    for (int i = 0; i < node->n_attrs; i++) /* weights kept in Constant nodes */
        if (node->attrs[i].kind == ATTR_TENSOR)
            counter->parameters += node->attrs[i].t->count;
}

static void count_graph(void *context, Graph *graph)
{
    Counter *counter = context;
    for (const Node *node = graph->first; node != NULL; node = node->next)
        count_node(counter, node);
    for (int i = 0; i < graph->n_initializers; i++)
        counter->parameters += graph->initializers[i]->constant->count;
}

static int more_frequent(const void *a, const void *b)
{
    const OpCount *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count ? 1 : -1) : strcmp(x->op, y->op);
}

static Status hash_file(const char *path, ModelFacts *facts)
{
    FileMap file;
    TRY(file_map(path, CODE_MODEL, &file));
    Sha256 sha;
    sha256_init(&sha);
    sha256_add(&sha, file.data, file.size);
    sha256_hex(&sha, facts->sha256);
    facts->bytes = file.size;
    file_unmap(&file);
    return NULL;
}

void facts_count(const Model *model, ModelFacts *ret)
{
    ModelFacts facts = {
        .ir_version = model->ir_version, .opset = model_opset(model, ""), .nodes = model_count_nodes(model)};
    Counter counter = {.by_op = map_new(), .arena = arena_new()};
    graph_each(model->graph, count_graph, &counter);
    facts.parameters = counter.parameters;
    facts.macs = counter.macs;
    if (counter.n > 0)
        qsort(counter.ops, counter.n, sizeof counter.ops[0], more_frequent);
    facts.ops = cJSON_CreateObject();
    for (size_t i = 0; i < counter.n; i++)
        cJSON_AddNumberToObject(facts.ops, counter.ops[i].op, counter.ops[i].count);
    map_free(counter.by_op);
    arena_free(counter.arena);
    free(counter.ops);
    *ret = facts;
}

Status facts_read(const Model *model, const char *path, ModelFacts *ret)
{
    ModelFacts facts;
    facts_count(model, &facts);
    facts.external_bytes = onnx_external_bytes(model);
    Status status = hash_file(path, &facts);
    if (status != NULL) {
        facts_release(&facts);
        return status;
    }
    *ret = facts;
    return NULL;
}

void facts_release(ModelFacts *facts)
{
    cJSON_Delete(facts->ops);
    *facts = (ModelFacts){0};
}
