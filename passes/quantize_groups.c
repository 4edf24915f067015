/* quantize_groups.c - values that share one scale because they meet in a Concat.
 *
 *     a ─────────── Concat ─ c        a, b, d and c: one scale, from the union of what the Concats of the group give
 *     b ─ MaxPool ─ d ─┘
 *
 * A set of values grows over Concats and over ops that keep the scale; what comes out of a Concat holds all that went in, so
 * its range serves them all.
 */
#include "passes/pass.h"
#include "passes/quantize.h"

struct ScaleGroups {
    uint32_t *parent; /* by value id: another one of its set, itself at the root */
    float *low, *high; /* by the id of the root */
    bool *joined;     /* likewise: there is a Concat */
};

static uint32_t find_root(const ScaleGroups *groups, uint32_t id)
{
    while (groups->parent[id] != id) {
        groups->parent[id] = groups->parent[groups->parent[id]];
        id = groups->parent[id];
    }
    return id;
}

static void join(ScaleGroups *groups, const Value *a, const Value *b)
{
    if (a != NULL && b != NULL && a->constant == NULL && b->constant == NULL)
        groups->parent[find_root(groups, a->id)] = find_root(groups, b->id);
}

static void widen(ScaleGroups *groups, const RangeTable *ranges, const Value *value)
{
    const Range *range = ranges_get(ranges, value->name);
    uint32_t root = find_root(groups, value->id);
    if (range == NULL)
        range = ranges_get(ranges, quant_range_source(value)->name);
    if (range == NULL)
        return;
    groups->low[root] = MIN(groups->low[root], range->low);
    groups->high[root] = MAX(groups->high[root], range->high);
    groups->joined[root] = true;
}

ScaleGroups *scale_groups_new(PassContext *context, const bool *candidate, const bool *leads)
{
    size_t n = context->model->n_ids;
    ScaleGroups *groups = arena_array(context->scratch, 1, sizeof *groups);
    *groups = (ScaleGroups){arena_array(context->scratch, n, sizeof(uint32_t)), arena_array(context->scratch, n, sizeof(float)),
                            arena_array(context->scratch, n, sizeof(float)), arena_array(context->scratch, n, sizeof(bool))};
    for (uint32_t id = 0; id < n; id++)
        groups->parent[id] = id;
    const Node *first = context->model->graph->first;
    for (const Node *node = first; node != NULL; node = node->next) {
        bool concat = node_is(node, "Concat");
        if (!candidate[node->id] || !leads[node->out[0]->id] || (!concat && node->def->quant.kind != QUANT_SAME_SCALE))
            continue;
        for (int i = 0; concat && i < node->n_in; i++)
            join(groups, node->in[i], node->out[0]);
        for (int i = 0; !concat && i < node->n_out; i++)
            join(groups, node->in[0], node->out[i]);
    }
    for (const Node *node = first; node != NULL; node = node->next)
        if (candidate[node->id] && leads[node->out[0]->id] && node_is(node, "Concat"))
            widen(groups, context->ranges, node->out[0]);
    return groups;
}

bool scale_group_range(const ScaleGroups *groups, const Value *value, uint32_t *ret_id, float *ret_low, float *ret_high)
{
    uint32_t root = find_root(groups, value->id);
    if (!groups->joined[root])
        return false;
    *ret_id = root;
    *ret_low = groups->low[root];
    *ret_high = groups->high[root];
    return true;
}
