/* quantize_cost.c - whether an island of integer nodes is worth its Q and DQ.
 *
 *     float ─ Q ─ [ Conv ─ Add ─ Conv ] ─ DQ ─ float          saves: float cost - integer cost of the three
 *                                                             pays:  Q and DQ on its shores
 *
 * An island is what integer nodes reach from each other. A small one that would be clearly slower stays float as a whole: nodes
 * with few channels or a handful of elements cost their runtime's overhead, in integers as in float, and each shore two nodes
 * more. The costs are too coarse to judge an island that holds much of the work. A model that runs in next to no time is judged
 * as a whole: where integers would clearly slow it down (a picture of one channel, a handful of filters), it stays float.
 *
 * Costs are of ONNX Runtime 1.30 on an x86 core with AVX-512 VNNI (EPYC), one thread; ns per element, MACs per us. Those of
 * convolutions were measured op by op in its profile; those of products, elementwise ops and shores on a core twice as fast, from
 * graphs with few and many nodes of one op, and are scaled to this one. Their ratios, not their size, decide. Predicted and
 * measured ratio of int8 to fp32 of whole models: MNIST of CNTK 1.36 and 1.46, kws_cnn_bn 0.87 and 0.90, mbv2_cifar 0.66 and 0.62,
 * squeezenet1.1 0.38 and 0.42, EfficientNet-B0 0.76 and 0.71. Where the float model has layers that the runtime is slow with
 * (PRelu, odd channels), integers gain more.
 */
#include "passes/quantize.h"
#include "src/ops/ops.h"

#include <math.h>

static const double small = 0.02;        /* share of the multiply-accumulates that a small island has at most */
static const double clearly = 0.02;      /* slower by this share of the float cost */
static const double next_to_no_us = 300; /* of all integer nodes together, in float */
static const double as_a_whole = 1.2;    /* as often the time of the float model is too slow for one of those */
static const double run_us = 15;         /* of the runtime before the first node and behind the last */
static const double fixed_us = 0.7;      /* of any node */
static const double quantize_ns = 0.1;   /* a QuantizeLinear */
static const double dequantize_ns = 0.12;
static const double layout_ns = 0.12;    /* integer convolutions run channels last: transposes at their shores */

/* Elements are those of output 0, or of input 0 where `of_input`. Ops that are not listed only move data. */
static const struct ElementCost {
    const char *op_type;
    double float_ns, integer_ns;
    bool of_input;
} element_costs[] = {
    {"Add", 0.15, 0.17, false},      {"Mul", 0.15, 0.33, false},         {"Sigmoid", 0.42, 0.314, false},
    {"Tanh", 3.8, 0.314, false},     {"LeakyRelu", 0.336, 0.314, false}, {"Concat", 0.1, 0.17, false},
    {"MaxPool", 0.68, 0.46, false},  {"GlobalAveragePool", 0.18, 0.06, true}, {"HardSigmoid", 0.172, 0.108, false},
    {"Resize", 0.134, 0.06, false},  {"Transpose", 0.34, 0.32, false},   {"AveragePool", 0.5, 0.8, false},
};

static double elements_of(const QuantPlan *plan, const Value *value)
{
    if (value == NULL || value->id >= plan->counts.n)
        return 0.0;
    return (double)plan->counts.by_value[value->id];
}

/* ---- weighted nodes ---------------------------------------------------------------------------------------------- */

typedef struct Cost {
    double floats, integers; /* us */
} Cost;

static double round_up(double n, double step)
{
    return ceil(n / step) * step;
}

/*
 * A float convolution runs at a rate that its channels hardly move. One in integers looks up a pointer for each position of its
 * kernel at each pixel, whatever the channels: of a picture of one channel that is most of its time.
 */
static Cost conv_cost(const QuantPlan *plan, const Node *node, double macs)
{
    const Tensor *weight = node_constant(node, 1);
    double outputs = elements_of(plan, node->out[0]);
    if (weight == NULL || weight->rank < 3 || weight->count == 0)
        return (Cost){macs / 60e3, macs / 200e3};
    double filters = (double)weight->dims[0], channels = (double)weight->dims[1], groups = (double)node_int(node, "group", 1);
    double area = (double)weight->count / (filters * channels), lookups = outputs / filters * area;
    if (groups > 1.0 && channels == 1.0) { /* half as much again where align_channels could do nothing */
        double unaligned = fmod(groups, 16.0) != 0.0 ? 1.5 : 1.0;
        return (Cost){macs / 32e3, unaligned * (lookups * 1.2e-3 + macs / 27e3)};
    }
    if (groups > 1.0) /* integers: as quantize_merge_groups leaves it */
        return (Cost){macs / fmin(2.7e3 * channels, 55e3), macs / fmin(3.4e3 * channels, 120e3)};
    if (channels < 4.0 && area > 25.0) { /* quantize_pad_channels leaves it: rows of the kernel are copied */
        double rows = lookups / (double)weight->dims[weight->rank - 1];
        return (Cost){macs / 50e3, rows * 6e-3 + lookups * channels * 0.1e-3 + macs / 250e3};
    }
    double wide = round_up(filters, 16.0) / filters; /* align_channels and quantize_pad_channels fill vectors up */
    double deep = round_up(channels, 4.0) / channels;
    return (Cost){channels < 16.0 ? macs * wide / 50e3 : macs / 60e3,
                  lookups * 1.1e-3 + macs * wide * deep / 250e3 + outputs * 0.1e-3};
}

static Cost product_cost(const QuantPlan *plan, const Node *node, double macs)
{
    const Tensor *weight = node_constant(node, 1);
    if (weight == NULL)
        return (Cost){macs / 90e3, macs / 110e3};
    double inner = (double)weight->dims[weight->rank - 2];
    double rows = elements_of(plan, node->out[0]) / (double)weight->dims[weight->rank - 1];
    if (rows < 4.0)
        return (Cost){macs / 16e3, macs / (65e3 * inner / (inner + 300.0) + 4e3)};
    return (Cost){macs / 90e3, macs / (400e3 * inner / (inner + 150.0))};
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

/* Shores not counted. */
static Cost node_cost(const QuantPlan *plan, const Node *node, double macs)
{
    Cost cost = {fixed_us, fixed_us};
    if (node->def->quant.kind == QUANT_ABSORBED)
        return is_fused(node) ? (Cost){0.0, 0.0} : (Cost){fixed_us + elements_of(plan, node->out[0]) * 0.12e-3, 0.0};
    if (node->def->quant.kind == QUANT_WEIGHTED) {
        Cost own = node_is(node, "Conv") ? conv_cost(plan, node, macs) : product_cost(plan, node, macs);
        return (Cost){fixed_us + own.floats, fixed_us + own.integers};
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

/* Of a model in which there is so little to do: all of it stays float, or nothing does. */
static bool leave_all(const Graph *graph, const Islands *islands, bool *marks)
{
    double floats = run_us, integers = run_us;
    for (const Node *node = graph->first; node != NULL; node = node->next) {
        bool inside = is_inside(islands->plan, node);
        floats += inside ? islands->gain[node->id] + islands->spent[node->id] : fixed_us;
        integers += inside ? islands->spent[node->id] : fixed_us;
    }
    if (integers <= as_a_whole * floats)
        return false;
    const char *reason = arena_printf(islands->plan->arena, "the whole model would be slower in integers: about %.0f us instead "
                                      "of %.0f", integers, floats);
    for (const Node *node = graph->first; node != NULL; node = node->next)
        if (is_inside(islands->plan, node)) {
            islands->plan->nodes[node->id].reason = reason;
            marks[node->id] = true;
        }
    return true;
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
        double own = (double)MAX(op_macs(node, &plan->counts), 0);
        Cost cost = node_cost(plan, node, own);
        uint32_t root = root_of(&islands, node->id);
        all += cost.floats;
        macs += own;
        islands.macs[root] += own;
        islands.gain[root] += cost.floats - cost.integers;
        islands.spent[root] += cost.integers;
        pay_shores(&islands, node);
    }
    if (all <= next_to_no_us)
        return leave_all(graph, &islands, marks);
    for (const Node *node = graph->first; node != NULL; node = node->next) {
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
