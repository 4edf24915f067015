/* manager.c - runs the passes of a stage in the order of passes.def.
 *
 *     RAISE, QUANTIZE   every pass once
 *     SIMPLIFY          rounds over the table until one changes nothing, at most MAX_ROUNDS
 *
 * A round is linear in the graph: each pass is one sweep over the nodes of its ops (roster.c), and types are inferred again once a
 * round. A pass that found nothing to do is not asked again before the graph or a type has changed.
 */
#include "passes/roster.h"

#include "src/ops/ops.h"

#include <string.h>

/* Real models need 3 to 5 rounds; the bound only keeps a pair of passes that undo each other from running for ever. */
#define MAX_ROUNDS 24

#define PASS(name) extern const Pass pass_##name;
#include "passes/passes.def"
#undef PASS

static const Pass *const passes[] = {
#define PASS(name) &pass_##name,
#include "passes/passes.def"
#undef PASS
};

static const char *const names[] = {
#define PASS(name) #name,
#include "passes/passes.def"
#undef PASS
    NULL};

size_t pass_count(void)
{
    return COUNT_OF(passes);
}

const Pass *pass_at(size_t i)
{
    return passes[i];
}

const Pass *pass_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(passes); i++)
        if (strcmp(passes[i]->name, name) == 0)
            return passes[i];
    return NULL;
}

const char *const *pass_names(void)
{
    return names;
}

int model_count_nodes(const Model *model)
{
    return model->graph->n_nodes;
}

static bool is_listed(const char *const *list, const Pass *pass)
{
    for (const char *const *name = list; name != NULL && *name != NULL; name++)
        if (strcmp(*name, pass->name) == 0)
            return true;
    return false;
}

static bool is_disabled(const PassOptions *options, const Pass *pass)
{
    return options != NULL && is_listed(options->disabled, pass);
}

static Status run_pass(const Pass *pass, PassContext *context, const PassOptions *options, bool again,
                       PassRecord *record, bool *changed)
{
    Model *model = context->model;
    int64_t changes = 0;
    int before = model_count_nodes(model);
    ArenaMark mark = arena_mark(context->scratch);
    OpSet wanted;
    context->changes = &changes;
    context->wanted = NULL;
    if (pass->ops != NULL && context->roster != NULL) {
        wanted = roster_wanted(pass->ops);
        context->wanted = &wanted;
    }
    Status status = pass->run(context);
    context->changes = NULL;
    context->wanted = NULL;
    if (changes > 0 && context->roster != NULL)
        roster_forget(context->roster);
    arena_rewind(context->scratch, mark);
    TRY(status_prefix(status, "%s", pass->name));
#ifdef QUANTIZE_DEBUG
    TRY(status_prefix(model_verify(model), "after %s", pass->name));
#endif
    if (changes > 0) {
        if (record->changes == 0)
            record->nodes_before = before;
        record->nodes_after = model_count_nodes(model);
        record->changes += changes;
        *changed = true;
    }
    if (options != NULL && options->print_after != NULL && strcmp(options->print_after, pass->name) == 0 &&
        (changes > 0 || !again))
        options->print(options->print_context, pass, model);
    return interrupt_check();
}

/* What there was to see when a pass last found nothing. */
typedef struct Seen {
    uint64_t now;                    /* grows with every change of the graph or of a type */
    uint64_t clean[COUNT_OF(passes)];
} Seen;

static Status run_round(PassStage stage, PassContext *context, const PassOptions *options, bool again,
                        PassRecord *records, Seen *seen, bool *ret_changed)
{
    uint64_t learned = context->model->learned;
    TRY(ops_infer(context->model));
    seen->now += context->model->learned != learned;
    for (size_t i = 0; i < COUNT_OF(passes); i++) {
        bool changed = false;
        if (passes[i]->stage != stage || is_disabled(options, passes[i]) || seen->clean[i] == seen->now)
            continue;
        records[i].pass = passes[i];
        learned = context->model->learned;
        TRY(run_pass(passes[i], context, options, again, &records[i], &changed));
        if (changed || context->model->learned != learned)
            ++seen->now;
        else
            seen->clean[i] = seen->now;
        *ret_changed = *ret_changed || changed;
    }
    return NULL;
}

/* New nodes take the name of what they replace; where several do, all but the first get a number. Runtimes refuse two
 * nodes of one name. The map leads to the node that has the name; `order` counts how often it was asked for. */
static void name_nodes(void *context, Graph *graph)
{
    Map *seen = context;
    Model *model = graph->model;
    for (Node *node = graph->first; node != NULL; node = node->next) {
        if (*node->name == '\0')
            continue;
        MapEntry *entry = map_entry(seen, node->name);
        Node *first = entry->value;
        node->order = 0;
        while (entry->value != NULL) {
            node->name = arena_printf(model->arena, "%s_%u", first->name, ++first->order);
            entry = map_entry(seen, node->name);
        }
        entry->value = node;
    }
}

static Status run_stage(PassStage stage, PassContext *context, const PassOptions *options, PassRecord *records)
{
    int rounds = stage == PASS_SIMPLIFY ? MAX_ROUNDS : 1;
    bool changed = true;
    Seen seen = {.now = 1};
    for (int round = 0; round < rounds && changed; round++) {
        changed = false;
        TRY(run_round(stage, context, options, round > 0, records, &seen, &changed));
    }
    if (changed)
        TRY(ops_infer(context->model));
    Map *node_names = map_new();
    graph_each(context->model->graph, name_nodes, node_names);
    map_free(node_names);
    return stage == PASS_RAISE ? NULL : model_verify(context->model); /* simplify follows, and verifies what it leaves */
}

Status passes_run(Model *model, PassStage stage, const PassOptions *options, const RangeTable *ranges,
                  const Target *target, struct QuantPlan *plan, PassRecord *records)
{
    PassContext context = {.model = model, .scratch = arena_new(), .ranges = ranges, .target = target, .plan = plan,
                           .opset = options == NULL ? 0 : options->opset,
                           .channels = options == NULL ? NULL : options->channels,
                           .strength = options == NULL ? 0.5 : options->strength,
                           .fold_limit = options == NULL ? 0 : options->fold_limit};
    if (stage == PASS_SIMPLIFY && op_count() < (size_t)OP_SET_WORDS * 64)
        context.roster = roster_new();
    Status status = run_stage(stage, &context, options, records);
    roster_free(context.roster);
    arena_free(context.scratch);
    return status;
}
