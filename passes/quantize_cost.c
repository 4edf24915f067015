/* quantize_cost.c - whether an island of integer nodes is worth its Q and DQ.
 *
 *     float ─ Q ─ [ Conv ─ Add ─ Conv ] ─ DQ ─ float          saves: float cost - integer cost of the three
 *                                                             pays:  Q and DQ on its shores
 *
 * An island is what integer nodes reach from each other. A small one that would be clearly slower stays float as a whole: nodes
 * with few channels or a handful of elements cost their runtime's overhead, in integers as in float, and each shore two nodes
 * more. The costs are too coarse to judge an island that holds much of the work; and a model that runs in next to no time is
 * quantized all the same: there a smaller file is what int8 is for.
 *
 * Costs are of ONNX Runtime 1.30 on an x86 core with AVX-512 VNNI, one thread, measured op by op (differences of graphs with
 * few and many nodes of one op); ns per element, GMAC/s. Their ratios, not their size, decide.
 */
#include "passes/quantize.h"
#include "src/ops/ops.h"

#include <math.h>

static const double small = 0.02;        /* share of the multiply-accumulates that a small island has at most */
static const double clearly = 0.02;      /* slower by this share of the float cost */
static const double next_to_no_us = 150; /* of all integer nodes together, in float */
static const double fixed_us = 0.35;     /* of any node */
static const double quantize_ns = 0.05;  /* a QuantizeLinear */
static const double dequantize_ns = 0.08;
static const double layout_ns = 0.08;    /* integer convolutions run channels last: transposes at their shores */

/* Elements are those of output 0, or of input 0 where `of_input`. Ops that are not listed only move data. */
static const struct ElementCost {
    const char *op_type;
    double float_ns, integer_ns;
    bool of_input;
} element_costs[] = {
    {"Add", 0.075, 0.085, false},        {"Mul", 0.075, 0.165, false},
    {"Sigmoid", 0.21, 0.157, false},     {"Tanh", 1.9, 0.157, false},     {"LeakyRelu", 0.168, 0.157, false},
    {"Concat", 0.05, 0.085, false},      {"GlobalAveragePool", 0.09, 0.03, true},
    {"HardSigmoid", 0.086, 0.054, false}, {"MaxPool", 0.34, 0.23, false},
    {"Resize", 0.067, 0.03, false},      {"Transpose", 0.17, 0.16, false},
    {"AveragePool", 0.25, 0.4, false},
};

static double elements_of(const QuantPlan *plan, const Value *value)
{
    if (value == NULL || value->id >= plan->counts.n)
        return 0.0;
    return (double)plan->counts.by_value[value->id];
}

/* ---- weighted nodes ---------------------------------------------------------------------------------------------- */

typedef struct Rate {
    double floats, integers; /* GMAC/s */
} Rate;

/* A sum of few products fills no vector: the rate rises with the channels that are summed over. */
static Rate conv_rate(const Node *node)
{
    const Tensor *weight = node_constant(node, 1);
    double channels = weight == NULL || weight->rank < 2 ? 64.0 : (double)weight->dims[1];
    double groups = (double)node_int(node, "group", 1);
    if (groups > 1.0 && channels == 1.0) {
        double rate = 56.0 * groups / (groups + 40.0); /* half of it where align_channels could do nothing */
        return (Rate){groups < 16.0 ? 42.0 : 70.0, fmod(groups, 16.0) != 0.0 ? 0.5 * rate : rate};
    }
    if (groups > 1.0) /* integers: as quantize_merge_groups leaves it */
        return (Rate){fmin(2.7 * channels, 128.0), fmin(6.6 * channels, 270.0)};
    if (channels < 16.0) { /* the first of a net: its kernel's area helps */
        double products = weight == NULL ? 64.0 : (double)(weight->count / weight->dims[0]);
        return (Rate){100.0 * products / (products + 20.0), fmin(1.2 * products, 450.0)};
    }
    return (Rate){135.0, 560.0 * channels / (channels + 25.0)};
}

static Rate product_rate(const Node *node, double rows)
{
    const Tensor *weight = node_constant(node, 1);
    if (weight == NULL)
        return (Rate){127.0, 150.0};
    double inner = (double)weight->dims[weight->rank - 2];
    if (rows < 4.0)
        return (Rate){22.0, 90.0 * inner / (inner + 300.0) + 5.0};
    return (Rate){127.0, 560.0 * inner / (inner + 150.0)};
}

/* What the runtime fuses into the float convolution or product in front of it, and has at little cost there; a Tanh costs the same
 * there as alone. */
static bool is_fused(const Node *node)
{
    static const char *const activations[] = {"Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSigmoid", NULL};
    const Node *producer = node->n_in > 0 && node->in[0] != NULL ? node->in[0]->producer : NULL;
    if (producer == NULL || !(node_is(producer, "Conv") || node_is(producer, "Gemm")) || value_only_user(node->in[0]) != node)
        return false;
    for (const char *const *op = activations; *op != NULL; op++)
        if (node_is(node, *op))
            return true;
    return false;
}

/* us in float and in integers, shores not counted. */
static Rate node_cost(const QuantPlan *plan, const Node *node)
{
    Rate cost = {fixed_us, fixed_us};
    if (node->def->quant.kind == QUANT_ABSORBED)
        return is_fused(node) ? (Rate){0.0, 0.0} : (Rate){fixed_us + elements_of(plan, node->out[0]) * 0.06e-3, 0.0};
    if (node->def->quant.kind == QUANT_WEIGHTED) {
        const Tensor *weight = node_constant(node, 1);
        double columns = weight == NULL ? 1.0 : (double)weight->dims[weight->rank - 1];
        Rate rate = node_is(node, "Conv") ? conv_rate(node) : product_rate(node, elements_of(plan, node->out[0]) / columns);
        double macs = (double)MAX(op_macs(node, &plan->counts), 0);
        cost.floats += macs / rate.floats * 1e-3;
        cost.integers += macs / rate.integers * 1e-3 + 0.3; /* and the requantization of each */
        return cost;
    }
    for (size_t i = 0; i < COUNT_OF(element_costs); i++) {
        const struct ElementCost *row = &element_costs[i];
        if (!node_is(node, row->op_type))
            continue;
        double elements = elements_of(plan, row->of_input ? node->in[0] : node->out[0]);
        cost.floats = is_fused(node) ? 0.0 : cost.floats + elements * row->float_ns * 1e-3;
        cost.integers += elements * row->integer_ns * 1e-3;
    }
    return cost;
}

/* ---- islands ----------------------------------------------------------------------------------------------------- */

typedef struct Islands {
    const QuantPlan *plan;
    uint32_t *parent;  /* by node id: union-find */
    double *gain;      /* by node id of the root: us */
    double *spent;     /* us of the island in integers, shores included */
    double *macs;
} Islands;

static uint32_t root_of(Islands *islands, uint32_t id)
{
    while (islands->parent[id] != id) {
        islands->parent[id] = islands->parent[islands->parent[id]];
        id = islands->parent[id];
    }
    return id;
}

static bool is_inside(const QuantPlan *plan, const Node *node)
{
    return node != NULL && quant_fate(plan, node) != FATE_FLOAT;
}

static void join(Islands *islands, const Node *node)
{
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] != NULL && is_inside(islands->plan, node->in[i]->producer))
            islands->parent[root_of(islands, node->in[i]->producer->id)] = root_of(islands, node->id);
}

/* The same value read by several islands is quantized once; each pays it, which is a little too much. */
static void pay_shores(Islands *islands, const Node *node)
{
    const QuantPlan *plan = islands->plan;
    double paid = 0.0;
    for (int i = 0; i < node->n_in; i++) {
        const Value *value = node->in[i];
        if (value == NULL || value->constant != NULL || !quant_reads(&node->def->quant, i) || is_inside(plan, value->producer))
            continue;
        double share = 1.0 / (double)MAX(value->n_uses, (size_t)1);
        paid += share * (fixed_us + elements_of(plan, value) * (quantize_ns + (node_is(node, "Conv") ? layout_ns : 0.0)) * 1e-3);
    }
    for (int o = 0; o < node->n_out; o++) {
        const Value *value = node->out[o];
        bool leaves = value != NULL && value->n_outputs > 0;
        for (size_t u = 0; value != NULL && u < value->n_uses; u++)
            leaves = leaves || !is_inside(plan, value->uses[u].node);
        if (leaves)
            paid += fixed_us + elements_of(plan, value) * (dequantize_ns + (node_is(node, "Conv") ? layout_ns : 0.0)) * 1e-3;
    }
    uint32_t root = root_of(islands, node->id);
    islands->gain[root] -= paid;
    islands->spent[root] += paid;
}

bool quantize_find_costly(const Graph *graph, QuantPlan *plan, Arena *scratch, bool *marks)
{
    bool any = false;
    double all = 0.0, macs = 0.0;
    if (plan->counts.n == 0 || plan->ignore_costs)
        return false;
    Islands islands = {.plan = plan,
                       .parent = arena_array(scratch, plan->n_nodes, sizeof(uint32_t)),
                       .gain = arena_array(scratch, plan->n_nodes, sizeof(double)),
                       .spent = arena_array(scratch, plan->n_nodes, sizeof(double)),
                       .macs = arena_array(scratch, plan->n_nodes, sizeof(double))};
    for (uint32_t id = 0; id < plan->n_nodes; id++)
        islands.parent[id] = id;
    for (const Node *node = graph->first; node != NULL; node = node->next)
        if (is_inside(plan, node))
            join(&islands, node);
    for (const Node *node = graph->first; node != NULL; node = node->next) {
        if (!is_inside(plan, node))
            continue;
        Rate cost = node_cost(plan, node);
        uint32_t root = root_of(&islands, node->id);
        double own = (double)MAX(op_macs(node, &plan->counts), 0);
        all += cost.floats;
        macs += own;
        islands.macs[root] += own;
        islands.gain[root] += cost.floats - cost.integers;
        islands.spent[root] += cost.integers;
        pay_shores(&islands, node);
    }
    for (const Node *node = graph->first; node != NULL && all > next_to_no_us; node = node->next) {
        uint32_t root = is_inside(plan, node) ? root_of(&islands, node->id) : node->id;
        double spent = islands.spent[root], gain = islands.gain[root];
        if (!is_inside(plan, node) || islands.macs[root] > small * macs || gain >= -clearly * (spent + gain))
            continue;
        plan->nodes[node->id].reason =
            arena_printf(plan->arena, "it stands with others that would be slower in integers: about %.1f us instead of %.1f",
                         spent, spent + gain);
        any = marks[node->id] = true;
    }
    return any;
}
