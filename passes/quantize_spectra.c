/* quantize_spectra.c - finds spectrograms that a model computes itself: weighted ops in front of a logarithm of powers.
 *
 *     x ─ Conv (DFT) ─ Pow 2 ─ Add ─ MatMul (mel) ─ Clip ─ Log ─ Conv ─ ...
 *         └────────────── stays float ────────────┘            └ int8
 *
 * A logarithm asks for the same relative precision of great and of small numbers; one int8 scale over all of them has none
 * left for the small ones, and everything behind the Log would hear silence. So what is linear in front of a Log (sums,
 * products, moves) stays float as far back as the ops that make spectra, where a square, a magnitude or a root shows that it
 * is one. The Log of Softplus (an Exp in front of it) and those of probabilities are none.
 */
#include "passes/quantize.h"

#include <string.h>

typedef enum Road {
    ROAD_NONE,
    ROAD_LOG,   /* a Log is reached through ops that keep ratios and sums */
    ROAD_POWER  /* and there is a power or magnitude on the way */
} Road;

static bool is_one_of(const Node *node, const char *const *ops)
{
    for (int i = 0; ops[i] != NULL; i++)
        if (node_is(node, ops[i]))
            return true;
    return false;
}

static bool is_power(const Node *node)
{
    static const char *const ops[] = {"Pow", "Abs", "Sqrt", "ReduceSumSquare", "ReduceL2", NULL};
    return is_one_of(node, ops) || (node_is(node, "Mul") && node->in[0] == node->in[1]);
}

static bool is_linear(const Node *node)
{
    static const char *const ops[] = {"Add",       "Sub",     "Mul",     "Div",    "Max",     "Clip",  "Sum",  "ReduceSum",
                                      "Transpose", "Reshape", "Squeeze", "Slice",  "Unsqueeze", "Split", "Concat", "Pad",
                                      "Flatten",   "Gather",  "Cast",    "Relu",   "Identity", NULL};
    return is_one_of(node, ops);
}

static Road road_of(const Road *roads, const Node *node)
{
    Road road = ROAD_NONE;
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] != NULL)
            road = MAX(road, roads[node->out[i]->id]);
    return road;
}

static void raise_inputs(Road *roads, const Node *node, Road road)
{
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] != NULL && node->in[i]->constant == NULL)
            roads[node->in[i]->id] = MAX(roads[node->in[i]->id], road);
}

static bool any_input(const bool *marks, const Node *node)
{
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] != NULL && marks[node->in[i]->id])
            return true;
    return false;
}

bool *quantize_find_spectra(const Model *model, Arena *scratch)
{
    Road *roads = arena_array(scratch, model->n_ids, sizeof roads[0]);     /* by value id, to the end */
    bool *powers = arena_array(scratch, model->n_ids, sizeof powers[0]);   /* made of powers that go to a Log */
    bool *found = arena_array(scratch, model->n_node_ids, sizeof found[0]);
    for (const Node *node = model->graph->last; node != NULL; node = node->prev) {
        Road road = road_of(roads, node);
        if (node_is(node, "Log"))
            raise_inputs(roads, node, ROAD_LOG);
        else if (road != ROAD_NONE && is_power(node))
            raise_inputs(roads, node, ROAD_POWER);
        else if (road != ROAD_NONE && is_linear(node))
            raise_inputs(roads, node, road);
        else if (road == ROAD_LOG && op_is_weighted(node)) /* mel bands: linear too */
            raise_inputs(roads, node, road);
    }
    for (const Node *node = model->graph->first; node != NULL; node = node->next) {
        Road road = road_of(roads, node);
        bool passes = any_input(powers, node) && (is_linear(node) || op_is_weighted(node));
        bool made = road != ROAD_NONE && (is_power(node) || passes);
        for (int i = 0; made && i < node->n_out; i++)
            if (node->out[i] != NULL)
                powers[node->out[i]->id] = true;
        found[node->id] = op_is_weighted(node) && (road == ROAD_POWER || (road == ROAD_LOG && any_input(powers, node)));
    }
    return found;
}
