/* plan.c - from a graph to an ordered list of steps that knows what is needed and when each value dies.
 *
 *     nodes in order ─> integer groups joined ─> steps nobody needs dropped ─> steps joined ─> last reader of each value found
 */
#include "src/exec/internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct Builder {
    Plan *plan;
    const Node **replacement; /* by node id */
    const char **problem;     /* by node id */
    bool *covered;            /* by node id */
    bool *needed;             /* by value id */
    bool *read_later;         /* by value id, while walking backwards */
} Builder;

static Status plan_graph(Builder *builder, const Graph *graph, GraphPlan **ret);

/* ---- values an inner graph reads from outside -------------------------------------------------------------------- */

typedef struct Captures {
    const Value **values;
    size_t n, cap;
} Captures;

static bool graph_is_inside(const Graph *graph, const Graph *outer)
{
    for (; graph != NULL; graph = graph->owner == NULL ? NULL : graph->owner->graph)
        if (graph == outer)
            return true;
    return false;
}

static void capture_value(Captures *captures, const Value *value, const Graph *inner)
{
    if (value == NULL || value->constant != NULL || graph_is_inside(value->graph, inner))
        return;
    captures->values = array_reserve(captures->values, &captures->cap, captures->n + 1, sizeof captures->values[0]);
    captures->values[captures->n++] = value;
}

static void capture_graph(Captures *captures, const Graph *graph, const Graph *inner)
{
    for (const Node *node = graph->first; node != NULL; node = node->next) {
        for (int i = 0; i < node->n_in; i++)
            capture_value(captures, node->in[i], inner);
        for (int i = 0; i < node->n_attrs; i++)
            if (node->attrs[i].kind == ATTR_GRAPH)
                capture_graph(captures, node->attrs[i].g, inner);
    }
    for (int i = 0; i < graph->n_outputs; i++)
        capture_value(captures, graph->outputs[i], inner);
}

static Status plan_inner_graphs(Builder *builder, Step *step)
{
    const Node *node = step->node;
    int n = 0;
    for (int i = 0; i < node->n_attrs; i++)
        n += node->attrs[i].kind == ATTR_GRAPH;
    if (n == 0)
        return NULL;
    Captures captures = {0};
    step->inner = arena_array(builder->plan->arena, (size_t)n, sizeof step->inner[0]);
    for (int i = 0; i < node->n_attrs; i++) {
        if (node->attrs[i].kind != ATTR_GRAPH)
            continue;
        capture_graph(&captures, node->attrs[i].g, node->attrs[i].g);
        Status status = plan_graph(builder, node->attrs[i].g, &step->inner[step->n_inner]);
        if (status != NULL) {
            free(captures.values);
            return status;
        }
        step->n_inner++;
    }
    step->n_captured = (int)captures.n;
    step->captured = arena_copy(builder->plan->arena, captures.values, captures.n * sizeof captures.values[0]);
    free(captures.values);
    return NULL;
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static bool step_is_needed(const Builder *builder, const Step *step)
{
    if (builder->plan->options.keep_all)
        return true;
    for (int i = 0; i < step->node->n_out; i++)
        if (step->node->out[i] != NULL && builder->needed[step->node->out[i]->id])
            return true;
    return false;
}

static void need(Builder *builder, const Value *value)
{
    if (value != NULL)
        builder->needed[value->id] = true;
}

/* Drops steps whose results nobody reads, last to first, so that chains fall together. */
static int drop_unneeded(Builder *builder, const Graph *graph, Step *steps, int n)
{
    for (int i = 0; i < graph->n_outputs; i++)
        need(builder, graph->outputs[i]);
    int kept = n;
    for (int s = n - 1; s >= 0; s--) {
        if (!step_is_needed(builder, &steps[s]))
            continue;
        for (int i = 0; i < steps[s].node->n_in; i++)
            need(builder, steps[s].node->in[i]);
        for (int i = 0; i < steps[s].n_captured; i++)
            need(builder, steps[s].captured[i]);
        steps[--kept] = steps[s];
    }
    memmove(steps, steps + kept, (size_t)(n - kept) * sizeof steps[0]);
    return n - kept;
}

static void release_at(Builder *builder, const Graph *graph, const Value *value, const Value **list, int *n)
{
    if (value == NULL || value->constant != NULL || value->graph != graph || builder->read_later[value->id])
        return;
    builder->read_later[value->id] = true;
    list[(*n)++] = value;
}

static void find_releases(Builder *builder, const Graph *graph, Step *step)
{
    const Node *node = step->node;
    int most = node->n_in + node->n_out + step->n_captured;
    step->release = arena_array(builder->plan->arena, (size_t)most, sizeof step->release[0]);
    for (int i = 0; i < node->n_out; i++)
        release_at(builder, graph, node->out[i], step->release, &step->n_release);
    for (int i = 0; i < node->n_in; i++)
        release_at(builder, graph, node->in[i], step->release, &step->n_release);
    for (int i = 0; i < step->n_captured; i++)
        release_at(builder, graph, step->captured[i], step->release, &step->n_release);
}

/* What the parts release, the values between them too: these have no form when the step runs as one. */
static void find_releases_of_parts(Builder *builder, const Graph *graph, Step *step)
{
    size_t n = 0;
    for (int i = step->n_parts - 1; i >= 0; i--) {
        find_releases(builder, graph, &step->parts[i]);
        n += (size_t)step->parts[i].n_release;
    }
    step->release = arena_array(builder->plan->arena, n, sizeof step->release[0]);
    for (int i = 0; i < step->n_parts; i++)
        for (int k = 0; k < step->parts[i].n_release; k++)
            step->release[step->n_release++] = step->parts[i].release[k];
}

/* A value is released by its last reader, or by its producer when it has none. Outputs of the graph are never released. */
static void find_last_readers(Builder *builder, GraphPlan *plan)
{
    const Graph *graph = plan->graph;
    for (int i = 0; i < graph->n_outputs; i++)
        builder->read_later[graph->outputs[i]->id] = true;
    for (int s = plan->n_steps - 1; s >= 0; s--)
        (plan->steps[s].n_parts > 0 ? find_releases_of_parts : find_releases)(builder, graph, &plan->steps[s]);
}

static Status plan_graph(Builder *builder, const Graph *graph, GraphPlan **ret)
{
    Plan *plan = builder->plan;
    GraphPlan *graph_plan = arena_alloc(plan->arena, sizeof *graph_plan);
    graph_plan->graph = graph;
    graph_plan->steps = arena_array(plan->arena, (size_t)graph->n_nodes, sizeof graph_plan->steps[0]);
    if (!plan->options.no_integer)
        integer_groups(graph, plan->arena, builder->replacement, builder->problem, builder->covered);
    int n = 0;
    for (const Node *node = graph->first; node != NULL; node = node->next) {
        if (builder->covered[node->id])
            continue;
        const Node *integer = builder->replacement[node->id];
        Step *step = &graph_plan->steps[n++];
        step->node = integer != NULL ? integer : node;
        step->shown = node;
        step->def = step->node->def;
        step->layout = layout_rule(step->node);
        step->integer = integer != NULL;
        step->problem = integer == NULL ? builder->problem[node->id] : NULL;
        step->cache_lock = &plan->cache_lock;
        TRY(plan_inner_graphs(builder, step));
    }
    graph_plan->n_steps = drop_unneeded(builder, graph, graph_plan->steps, n);
    for (int s = 0; s < graph_plan->n_steps; s++) {
        const Node *node = graph_plan->steps[s].node;
        if (graph_plan->steps[s].def == NULL || graph_plan->steps[s].def->eval == NULL)
            return node_error(
                node, CODE_UNSUPPORTED,
                "op '%s' of domain '%s' (opset %d) cannot be executed; cut the model before it or replace it "
                "by standard ops",
                node->op_type, node->domain[0] == '\0' ? "ai.onnx" : node->domain, node->opset);
    }
    if (graph == plan->model->graph && !plan->options.reference && !plan->options.keep_all)
        fuse_steps(graph_plan, plan->arena, plan->model->n_ids);
    find_last_readers(builder, graph_plan);
    *ret = graph_plan;
    return NULL;
}

/* How the steps of the main graph are counted from outside: by what the file has, whether or not it is joined. */
static void list_steps(Plan *plan)
{
    size_t n = 0;
    for (int s = 0; s < plan->main->n_steps; s++)
        n += (size_t)MAX(plan->main->steps[s].n_parts, 1);
    plan->listed = arena_array(plan->arena, n, sizeof plan->listed[0]);
    for (int s = 0; s < plan->main->n_steps; s++) {
        Step *step = &plan->main->steps[s];
        step->number = plan->n_listed;
        for (int i = 0; i < step->n_parts; i++) {
            step->parts[i].number = plan->n_listed;
            plan->listed[plan->n_listed++] = &step->parts[i];
        }
        if (step->n_parts == 0)
            plan->listed[plan->n_listed++] = step;
    }
}

static void plan_collect_inputs(Plan *plan)
{
    const Graph *graph = plan->model->graph;
    plan->inputs = arena_array(plan->arena, (size_t)graph->n_inputs, sizeof plan->inputs[0]);
    for (int i = 0; i < graph->n_inputs; i++)
        if (graph->inputs[i]->constant == NULL)
            plan->inputs[plan->n_inputs++] = graph->inputs[i];
}

Status plan_new(const Model *model, const PlanOptions *options, Plan **ret)
{
    Plan *plan = xcalloc(1, sizeof *plan);
    plan->arena = arena_new();
    plan->model = model;
    if (options != NULL)
        plan->options = *options;
    pthread_mutex_init(&plan->cache_lock, NULL);
    plan_collect_inputs(plan);

    Arena *scratch = arena_new();
    Builder builder = {
        .plan = plan,
        .replacement = arena_array(scratch, model->n_node_ids, sizeof(Node *)),
        .problem = arena_array(scratch, model->n_node_ids, sizeof(char *)),
        .covered = arena_array(scratch, model->n_node_ids, sizeof(bool)),
        .needed = arena_array(scratch, model->n_ids, sizeof(bool)),
        .read_later = arena_array(scratch, model->n_ids, sizeof(bool)),
    };
    Status status = plan_graph(&builder, model->graph, &plan->main);
    arena_free(scratch);
    if (status != NULL) {
        plan_free(plan);
        return status;
    }
    list_steps(plan);
    *ret = plan;
    return NULL;
}

static void free_caches(GraphPlan *graph_plan);

static void free_step_caches(Step *step)
{
    for (CacheEntry *entry = step->cache, *next; entry != NULL; entry = next) {
        next = entry->next;
        entry->release(entry->object);
        free(entry->key);
        free(entry);
    }
    for (int i = 0; i < step->n_inner; i++)
        free_caches(step->inner[i]);
    for (int i = 0; i < step->n_parts; i++)
        free_step_caches(&step->parts[i]);
}

static void free_caches(GraphPlan *graph_plan)
{
    for (int s = 0; graph_plan != NULL && s < graph_plan->n_steps; s++)
        free_step_caches(&graph_plan->steps[s]);
}

void plan_free(Plan *plan)
{
    if (plan == NULL)
        return;
    free_caches(plan->main);
    pthread_mutex_destroy(&plan->cache_lock);
    arena_free(plan->arena);
    free(plan);
}

const Model *plan_model(const Plan *plan)
{
    return plan->model;
}

int plan_n_inputs(const Plan *plan)
{
    return plan->n_inputs;
}

const Value *plan_input(const Plan *plan, int i)
{
    return plan->inputs[i];
}

int plan_n_outputs(const Plan *plan)
{
    return plan->model->graph->n_outputs;
}

const Value *plan_output(const Plan *plan, int i)
{
    return plan->model->graph->outputs[i];
}

int plan_n_steps(const Plan *plan)
{
    return plan->n_listed;
}

const char *plan_step_op(const Plan *plan, int i)
{
    return plan->listed[i]->node->op_type;
}

bool plan_step_is_integer(const Plan *plan, int i)
{
    return plan->listed[i]->integer;
}

const char *plan_step_problem(const Plan *plan, int i)
{
    return plan->listed[i]->problem;
}

const Node *plan_step_node(const Plan *plan, int i)
{
    return plan->listed[i]->shown;
}

int plan_step_n_out(const Plan *plan, int i)
{
    return plan->listed[i]->node->n_out;
}

const Value *plan_step_out(const Plan *plan, int i, int output)
{
    return plan->listed[i]->node->out[output];
}
