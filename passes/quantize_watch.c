/* quantize_watch.c - what calibration must see of each value so that quantize_decide can decide.
 *
 *     x ─ Conv ─ a ─ Relu ─ b ─ Reshape ─ c ─ MatMul ─ d ─ Sigmoid ─ e ─ Exp ─ f
 *     hist.      as b       hist.         as b         hist.         extremes  extremes
 *
 * A histogram costs most of what calibration costs beyond inference, so it is kept of those values alone that may get a
 * scale made from it. The rules are those of the kinds in the operator table, not of single ops.
 */
#include "passes/match.h"
#include "passes/quantize.h"

#include <string.h>

bool quant_reads(const QuantRule *rule, int i)
{
    const unsigned rest = 1u << 31;
    if ((rule->data_inputs & rest) != 0)
        return (rule->data_inputs & ~rest) == 0 || (1u << MIN(i, 30)) >= (rule->data_inputs & ~rest);
    return i < 31 && (rule->data_inputs >> i & 1u) != 0;
}

const char *quant_absorb_problem(const Node *node)
{
    if (node_is(node, "Relu"))
        return NULL;
    const Tensor *low = node_constant(node, 1), *high = node_constant(node, 2);
    if (low == NULL || low->count != 1 || tensor_get(low, 0) != 0.0)
        return "a Clip that does not start at 0 cannot be absorbed";
    if (node_in(node, 2) != NULL && (high == NULL || high->count != 1 || !(tensor_get(high, 0) > 0.0)))
        return "its upper bound is no positive constant";
    return NULL;
}

int quant_scaled_operand(const Node *node, float *ret_factor)
{
    const double least = 1e-6;
    double factor = 0.0;
    int data = node_is(node, "Mul") && node->domain[0] == '\0' ? match_scalar_operand(node, &factor) : -1;
    if (data < 0 || node->in[data]->constant != NULL || !(factor >= least && factor <= 1.0 / least))
        return -1;
    *ret_factor = (float)factor;
    return data;
}

static bool is_standard(const Node *node)
{
    return node != NULL && node->def != NULL && node->domain[0] == '\0';
}

/* Ops whose output holds the elements of input 0, all of them, once each. */
static bool only_reorders(const Node *node)
{
    static const char *const ops[] = {"Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity", "DepthToSpace"};
    for (size_t i = 0; is_standard(node) && i < COUNT_OF(ops); i++)
        if (node_is(node, ops[i]))
            return true;
    return false;
}

static bool goes_with(const Value *value, const Value *other)
{
    return other != NULL && other->graph == value->graph && other->constant == NULL && value_is_float(other);
}

const Value *quant_range_source(const Value *value)
{
    if (value->constant != NULL || !value_is_float(value))
        return value;
    const Node *user = value_only_user(value);
    /* Whoever clips at 0 by a Q in front of the Relu changes nothing that the Relu would not: its range is right with and
     * without it. */
    if (is_standard(user) && user->def->quant.kind == QUANT_ABSORBED && user->graph == value->graph &&
        value->producer != NULL && user->in[0] == value && quant_absorb_problem(user) == NULL &&
        goes_with(value, user->out[0]))
        return user->out[0];
    while (only_reorders(value->producer) && goes_with(value, value->producer->in[0]))
        value = value->producer->in[0];
    return value;
}

/* ---- levels ------------------------------------------------------------------------------------------------------ */

/* May stand in integers and so give its inputs, or its outputs, a scale. */
static bool may_quantize(const Node *node, const Target *target)
{
    return is_standard(node) && node->def->quant.kind != QUANT_FLOAT && node->def->quant.kind != QUANT_ABSORBED &&
           target_runs(target, node->op_type);
}

static bool gets_scale_as_output(const Node *node, const Target *target)
{
    if (!is_standard(node))
        return false;
    QuantKind kind = node->def->quant.kind; /* a Sigmoid's scale is fixed */
    return kind == QUANT_ABSORBED || (kind != QUANT_FIXED_SCALE && may_quantize(node, target));
}

static bool gets_scale_as_input(const Value *value, const Target *target)
{
    for (size_t i = 0; i < value->n_uses; i++) {
        const Use *use = &value->uses[i];
        if (may_quantize(use->node, target) && quant_reads(&use->node->def->quant, use->input))
            return true;
    }
    return false;
}

typedef struct Levels {
    const Target *target;
    WatchLevel *levels;
} Levels;

static void set_level(const Levels *l, const Value *value)
{
    if (value == NULL || value->constant != NULL || value->type.kind != TYPE_TENSOR)
        return;
    WatchLevel *level = &l->levels[value->id];
    const Value *source = quant_range_source(value);
    bool counted = gets_scale_as_output(value->producer, l->target) || gets_scale_as_input(value, l->target);
    if (!counted)
        *level = MAX(*level, WATCH_EXTREMES);
    else if (source == value)
        *level = WATCH_HISTOGRAM;
    else
        l->levels[source->id] = WATCH_HISTOGRAM;
}

const WatchLevel *quant_watch_levels(const Model *model, const Target *target, Arena *arena)
{
    Levels l = {target, arena_array(arena, MAX(model->n_ids, 1), sizeof(WatchLevel))};
    for (uint32_t id = 0; id < model->n_ids; id++)
        l.levels[id] = WATCH_EXTREMES; /* of inner graphs: they stay float */
    const Graph *graph = model->graph;
    for (int pass = 0; pass < 2; pass++) { /* first nothing, then what is needed: a source may stand before or behind */
        for (const Node *node = graph->first; node != NULL; node = node->next)
            for (int i = 0; i < node->n_out; i++) {
                if (pass == 1)
                    set_level(&l, node->out[i]);
                else if (node->out[i] != NULL && quant_range_source(node->out[i]) != node->out[i])
                    l.levels[node->out[i]->id] = WATCH_NOTHING;
            }
        for (int i = 0; pass == 1 && i < graph->n_inputs; i++)
            set_level(&l, graph->inputs[i]);
    }
    return l.levels;
}
