/* quantize_decide.c - which nodes run in integers, and the scale and zero point of every value that is quantized.
 *
 *     x ─ Conv ─ Relu ─ MaxPool ─ Conv ─ Sigmoid ─ y          integer: Conv (Relu absorbed), MaxPool, Conv
 *                                                             float:   Sigmoid - no weighted op behind it
 *
 * Weighted ops (Conv, Gemm, MatMul) always run in integers where the target has the kernel and the pattern can be made. What
 * stands between them does too, so that no value goes to float and back on its way from one weighted op to the next. What
 * stands behind the last of them - scores, boxes, the final Concat - stays float: it costs little, and there a scale
 * shared by pixels and probabilities would wreck the result.
 *
 * A target that does not requantize (src/quant/targets.c) gets a Q in front of what reads integers only, so behind the
 * activation that its runtime fuses:
 *
 *     x ─ Conv ─ a ─ Relu ─ b ─ Conv                          quantized: x and b; a and the Relu stay as they are
 *
 * Only decides; quantize_absorb, quantize_weights and quantize_activations carry it out.
 */
#include "passes/pass.h"
#include "passes/quantize.h"
#include "src/ops/ops.h"

#include <math.h>
#include <string.h>

#define MAX_ROUNDS 8 /* of leaving islands float: each may strand others */

typedef struct Decider {
    PassContext *context;
    const Target *target;
    QuantPlan *plan;
    bool *leads;     /* by value id: a weighted integer op can be reached through ops that can run in integers */
    bool *flows;     /* by value id: an integer op gives it, through fused activations perhaps */
    bool *candidate; /* by node id */
    ScaleGroups *groups; /* of values that share a scale for a Concat; NULL: the target asks for none */
} Decider;

static NodeDecision *decision_of(Decider *decider, const Node *node)
{
    return &decider->plan->nodes[node->id];
}

static bool reject(Decider *decider, const Node *node, const char *reason)
{
    decision_of(decider, node)->reason = reason;
    return false;
}

/* What calibration saw of it; else of the value that its range follows from. */
static const Range *range_of(const Decider *decider, const Value *value)
{
    const Range *range = ranges_get(decider->context->ranges, value->name);
    return range != NULL ? range : ranges_get(decider->context->ranges, quant_range_source(value)->name);
}

/* A float tensor that calibration has seen, so it can be given a scale. */
static bool has_range(const Decider *decider, const Value *value)
{
    if (value == NULL || !value_is_float(value) || value->constant != NULL)
        return false;
    const Range *range = range_of(decider, value);
    return range != NULL && range->elements > range->not_finite;
}

static bool is_finite_constant(const Value *value)
{
    if (value == NULL || value->constant == NULL || value->constant->dtype != DT_FLOAT || value->constant->count == 0)
        return false;
    for (int64_t i = 0; i < value->constant->count; i++)
        if (!isfinite(((const float *)value->constant->data)[i]))
            return false;
    return true;
}

/* ---- what the target fuses ------------------------------------------------------------------------------------------ */

/* x * f(x) with an activation f: SiLU and its kin. */
static bool is_gate(const Decider *decider, const Node *node)
{
    for (int i = 0; node_is(node, "Mul") && i < 2; i++) {
        const Node *gate = node->in[i]->producer;
        if (gate != NULL && gate->n_in > 0 && gate->in[0] == node->in[1 - i] && target_fuses(decider->target, gate->op_type))
            return true;
    }
    return false;
}

/* The runtime does it behind the op in front of it, in float: no Q belongs between the two. */
static bool is_activation(const Decider *decider, const Node *node)
{
    static const char *const binary[] = {"Add", "Mul", "Sub", "Div"};
    if (decider->target->activations == NULL || node->domain[0] != '\0')
        return false;
    for (size_t i = 0; i < COUNT_OF(binary); i++)
        if (node_is(node, binary[i]) && (node_constant(node, 0) != NULL || node_constant(node, 1) != NULL))
            return true;
    return target_fuses(decider->target, node->op_type) || is_gate(decider, node);
}

/* Input of an Add that comes straight from a weighted op, which the runtime joins with it; -1: none. */
static int fused_input(const Decider *decider, const Node *node)
{
    if (!decider->target->fuses_residual || !node_is(node, "Add"))
        return -1;
    for (int i = 0; i < 2; i++) {
        const Node *producer = node->in[i]->producer;
        if (producer != NULL && decider->candidate[producer->id] && producer->def->quant.kind == QUANT_WEIGHTED &&
            value_only_user(node->in[i]) == node && node->in[i]->n_outputs == 0)
            return i;
    }
    return -1;
}

static bool reads_integers(const Decider *decider, const Node *node, int i)
{
    return node->in[i] != NULL && quant_reads(&node->def->quant, i) && i != fused_input(decider, node);
}

/* ---- can the pattern be made? ------------------------------------------------------------------------------------ */

static bool weighted_can(Decider *decider, const Node *node)
{
    const QuantRule *rule = &node->def->quant;
    const Value *weight = node_in(node, rule->weight), *bias = rule->bias < 0 ? NULL : node_in(node, rule->bias);
    if (node_constant(node, 0) != NULL)
        return reject(decider, node, "its constant stands on the left; only a weight on the right has an integer form");
    if (!has_range(decider, node->in[0]))
        return reject(decider, node, "its input is no float tensor that calibration has seen");
    if (!has_range(decider, node->out[0]))
        return reject(decider, node, "its output is no float tensor that calibration has seen");
    if (weight == NULL)
        return reject(decider, node, "it has no weight");
    if (weight->constant != NULL && !is_finite_constant(weight))
        return reject(decider, node, "its weight is not finite float");
    if (weight->constant == NULL && (!node_is(node, "MatMul") || !has_range(decider, weight)))
        return reject(decider, node, "its weight is computed while the model runs");
    if (weight->constant != NULL && weight->constant->rank < 2)
        return reject(decider, node, "its weight has fewer than two dimensions");
    if (bias != NULL && !is_finite_constant(bias))
        return reject(decider, node, "its bias is not a finite float constant");
    if (!node_is(node, "Gemm"))
        return true;
    int64_t columns = weight->constant->dims[node_int(node, "transB", 0) != 0 ? 0 : 1];
    if (node_float(node, "alpha", 1.0f) != 1.0f || node_float(node, "beta", 1.0f) != 1.0f)
        return reject(decider, node, "alpha or beta is not 1");
    if (bias != NULL && bias->constant->count != columns)
        return reject(decider, node, "its C is not one value for each column");
    return true;
}

static bool outputs_have_ranges(const Decider *decider, const Node *node)
{
    for (int i = 0; i < node->n_out; i++)
        if (!has_range(decider, node->out[i]))
            return false;
    return true;
}

static bool elementwise_can(Decider *decider, const Node *node)
{
    if (!outputs_have_ranges(decider, node))
        return reject(decider, node, "its output is no float tensor that calibration has seen");
    for (int i = 0; i < node->n_in; i++)
        if (!has_range(decider, node->in[i]) && !is_finite_constant(node->in[i]))
            return reject(decider, node, "an input is no float tensor that calibration has seen");
    return true;
}

/* The factor goes into a scale, so it must be positive. */
static bool hardsigmoid_can(Decider *decider, const Node *node)
{
    float alpha = node_float(node, "alpha", 0.2f), beta = node_float(node, "beta", 0.5f);
    if (!(alpha > 0.0f) || !isfinite(alpha) || !isfinite(beta))
        return reject(decider, node, "its alpha is not positive");
    return true;
}

/* The table has 128 steps to 1 whatever x is: too few for results that stay near 0. */
static bool tanh_can(Decider *decider, const Node *node)
{
    const double least = 0.25;
    const Range *range = range_of(decider, node->out[0]);
    if (fmax(fabs((double)range->low), fabs((double)range->high)) < least)
        return reject(decider, node, "its results are too near 0 for the steps of an integer Tanh");
    return true;
}

/* Where the target has a form of its own for the op, that one's conditions besides. */
static bool form_can(Decider *decider, const Node *node)
{
    if (node_is(node, "Tanh"))
        return tanh_can(decider, node);
    if (node_is(node, "HardSigmoid"))
        return hardsigmoid_can(decider, node);
    const char *problem = node_is(node, "AveragePool") && decider->target->average_by_conv ? quant_average_problem(node) : NULL;
    return problem == NULL || reject(decider, node, problem);
}

static bool same_scale_can(Decider *decider, const Node *node)
{
    if (!has_range(decider, node->in[0]) || !outputs_have_ranges(decider, node))
        return reject(decider, node, "its data is no float tensor that calibration has seen");
    if (node_is(node, "Resize") && strcmp(node_string(node, "mode", "nearest"), "nearest") != 0)
        return reject(decider, node, "only nearest Resize has an integer form");
    if (node_is(node, "MaxPool") && node->n_out > 1)
        return reject(decider, node, "MaxPool with Indices has no integer form");
    return true;
}

static bool absorbed_can(Decider *decider, const Node *node)
{
    if (!has_range(decider, node->in[0]) || !outputs_have_ranges(decider, node))
        return reject(decider, node, "its data is no float tensor that calibration has seen");
    const char *problem = quant_absorb_problem(node);
    return problem == NULL || reject(decider, node, problem);
}

static bool can_run(Decider *decider, const Node *node)
{
    if (decider->plan->kept_float != NULL && decider->plan->kept_float[node->id] != NULL)
        return reject(decider, node, decider->plan->kept_float[node->id]);
    if (node->def == NULL || node->domain[0] != '\0')
        return reject(decider, node, "not an op of the standard");
    if (is_activation(decider, node))
        return reject(decider, node, "the target fuses it behind the op in front of it");
    if (node->def->quant.kind == QUANT_FLOAT ||
        (node->def->quant.kind != QUANT_ABSORBED && !target_runs(decider->target, node->op_type)))
        return reject(decider, node, "the target has no integer kernel for this op");
    switch (node->def->quant.kind) {
    case QUANT_WEIGHTED: return weighted_can(decider, node);
    case QUANT_ELEMENTWISE: /* as the next */
    case QUANT_FIXED_SCALE:
        return elementwise_can(decider, node) && form_can(decider, node);
    case QUANT_SAME_SCALE: return same_scale_can(decider, node);
    case QUANT_ABSORBED: return absorbed_can(decider, node);
    case QUANT_FLOAT: break;
    }
    return false;
}

/* ---- is it worth it? --------------------------------------------------------------------------------------------- */

static void mark_leading(Decider *decider, const Graph *graph)
{
    for (const Node *node = graph->last; node != NULL; node = node->prev) {
        bool candidate = decider->candidate[node->id], fused = !candidate && is_activation(decider, node);
        bool leads = candidate && node->def->quant.kind == QUANT_WEIGHTED;
        for (int i = 0; !leads && (candidate || fused) && i < node->n_out; i++)
            leads = node->out[i] != NULL && decider->leads[node->out[i]->id];
        for (int i = 0; leads && i < node->n_in; i++)
            if (node->in[i] != NULL && node->in[i]->constant == NULL && (fused || quant_reads(&node->def->quant, i)))
                decider->leads[node->in[i]->id] = true;
    }
}

/* Marks the outputs of integer ops, and of what is fused behind them. */
static void mark_flowing(Decider *decider, const Node *node, NodeFate fate)
{
    bool flows = fate != FATE_FLOAT;
    for (int i = 0; !flows && is_activation(decider, node) && i < node->n_in; i++)
        flows = node->in[i] != NULL && decider->flows[node->in[i]->id];
    for (int i = 0; flows && i < node->n_out; i++)
        if (node->out[i] != NULL)
            decider->flows[node->out[i]->id] = true;
}

/* The producer's Q takes over only when nobody reads the value before the Relu, and when the producer requantizes. */
static bool can_absorb(const Decider *decider, const Node *node)
{
    const Node *producer = node->in[0]->producer;
    if (producer == NULL || value_only_user(node->in[0]) != node ||
        quant_fate(decider->plan, producer) != FATE_INTEGER)
        return false;
    QuantKind kind = producer->def->quant.kind;
    return kind == QUANT_WEIGHTED || kind == QUANT_ELEMENTWISE;
}

/* Its integers are there, or are made for somebody else anyway. */
static bool is_ready(const Decider *decider, const Value *value)
{
    return value == NULL || value->constant != NULL || decider->plan->values[value->id].quantized;
}

static bool all_ready(const Decider *decider, const Node *node)
{
    for (int i = 0; i < node->n_in; i++)
        if (quant_reads(&node->def->quant, i) && !is_ready(decider, node->in[i]))
            return false;
    return true;
}

static NodeFate choose_fate(Decider *decider, const Node *node)
{
    NodeDecision *decision = decision_of(decider, node);
    if (!decider->candidate[node->id])
        return FATE_FLOAT;
    if (node->def->quant.kind == QUANT_WEIGHTED)
        return FATE_INTEGER;
    if (node->def->quant.kind == QUANT_ABSORBED) {
        if (can_absorb(decider, node))
            return FATE_ABSORBED;
        decision->reason = "nothing in front of it can absorb it";
        return FATE_FLOAT;
    }
    if (!decider->leads[node->out[0]->id]) {
        decision->reason = "no weighted op behind it: the tail of the model stays float";
        return FATE_FLOAT;
    }
    if (decider->target->fuses_residual && node_is(node, "Add") && fused_input(decider, node) < 0) {
        decision->reason = "no weighted op in front of it to fuse it with";
        return FATE_FLOAT;
    }
    /* As dear as DQ and Q, and GELU stays whole. */
    if (decider->target->requantizes && node_is(node, "Mul") && !all_ready(decider, node)) {
        decision->reason = "one of its factors is float";
        return FATE_FLOAT;
    }
    for (int i = 0; i < node->n_in; i++)
        if (reads_integers(decider, node, i) && decider->flows[node->in[i]->id])
            return FATE_INTEGER;
    decision->reason = "no integer op in front of it";
    return FATE_FLOAT;
}

/* ---- scales ------------------------------------------------------------------------------------------------------ */

/* The range of a Clip that calibration saw at 0 only ends at the Clip's bound: its Q must not let more through. */
static float high_end(const Value *value, const Range *range)
{
    const Node *producer = value->producer;
    const Tensor *bound = producer != NULL && node_is(producer, "Clip") ? node_constant(producer, 2) : NULL;
    if (range->high > 0.0f || range->low < 0.0f || bound == NULL || bound->count != 1)
        return range->high;
    return (float)tensor_get(bound, 0);
}

static QParams params_from_range(const Decider *decider, const Value *value)
{
    const Range *range = range_of(decider, value);
    return target_params(decider->target, range->low, high_end(value, range));
}

/* The scale of the value's own range, or that of the values it meets in a Concat. */
static void set_params(Decider *decider, const Value *value, ValueDecision *decision)
{
    float low = 0.0f, high = 0.0f;
    if (decider->groups != NULL && scale_group_range(decider->groups, value, &decision->scale_of, &low, &high)) {
        decision->params = target_params(decider->target, low, high);
        return;
    }
    decision->scale_of = value->id;
    decision->params = params_from_range(decider, value);
}

static void quantize_value(Decider *decider, const Value *value)
{
    ValueDecision *decision = &decider->plan->values[value->id];
    if (value->constant != NULL || decision->quantized)
        return;
    decision->quantized = true;
    decision->name = arena_strdup(decider->plan->arena, value->name);
    decision->range = range_of(decider, value);
    if (!(decision->params.scale > 0.0f)) /* else it was handed down by an op that moves data */
        set_params(decider, value, decision);
}

/* What moves data hands its scale on, in case somebody reads integers behind it. */
static void hand_down_scale(Decider *decider, const Node *node)
{
    const ValueDecision *from = &decider->plan->values[node->in[0]->id];
    for (int i = 0; node->def->quant.kind == QUANT_SAME_SCALE && i < node->n_out; i++) {
        decider->plan->values[node->out[i]->id].params = from->params;
        decider->plan->values[node->out[i]->id].scale_of = from->scale_of;
    }
}

/* What only the tail of the model reads - scores, boxes, masks - keeps all that was seen: a detector's scores are few among
 * thousands of elements, and a range that cuts rare elements to serve the others cuts just them. */
static const Range *whole_range(Decider *decider, const Value *value)
{
    const Range *range = range_of(decider, value);
    if (decider->leads[value->id] || range == NULL || !decider->target->requantizes)
        return range;
    Range *whole = arena_copy(decider->plan->arena, range, sizeof *range);
    whole->low = fminf(range->observed_min, 0.0f);
    whole->high = fmaxf(range->observed_max, 0.0f);
    whole->clipped_share = 0.0;
    whole->method = "minmax";
    return isfinite(whole->low) && isfinite(whole->high) && whole->low < whole->high ? whole : range;
}

static void give_outputs(Decider *decider, const Node *node)
{
    QuantKind kind = node->def->quant.kind;
    float factor = 1.0f;
    int scaled = quant_scaled_operand(node, &factor);
    for (int i = 0; i < node->n_out; i++) {
        ValueDecision *decision = &decider->plan->values[node->out[i]->id];
        decision->quantized = true;
        decision->by_integer = true;
        decision->name = arena_strdup(decider->plan->arena, node->out[i]->name);
        decision->range = whole_range(decider, node->out[i]);
        decision->scale_of = node->out[i]->id;
        if (kind == QUANT_SAME_SCALE) {
            decision->params = decider->plan->values[node->in[0]->id].params;
            decision->scale_of = decider->plan->values[node->in[0]->id].scale_of;
        } else if (kind == QUANT_FIXED_SCALE) {
            int32_t low, high;
            quant_limits(decider->target->activation, &low, &high);
            decision->params = (QParams){1.0f / 256.0f, low, decider->target->activation};
        } else if (scaled >= 0) {
            decision->params = decider->plan->values[node->in[scaled]->id].params;
            decision->params.scale *= factor;
            decider->plan->nodes[node->id].rereads = true;
        } else if (node_is(node, "Tanh")) {
            int32_t low, high;
            quant_limits(decider->target->activation, &low, &high);
            decision->params = (QParams){1.0f / 128.0f, low + 128, decider->target->activation};
        } else if (node_is(node, "HardSigmoid")) { /* saturation is part of the op: the range is [0, 1], seen or not */
            decision->params = target_params(decider->target, 0.0f, 1.0f);
        } else {
            decision->params = target_params(decider->target, decision->range->low, high_end(node->out[i], decision->range));
        }
    }
}

static void decide_node(Decider *decider, const Node *node)
{
    NodeDecision *decision = decision_of(decider, node);
    decision->fate = choose_fate(decider, node);
    decision->rereads = false;
    mark_flowing(decider, node, decision->fate);
    if (decision->fate == FATE_FLOAT)
        return;
    decision->reason = "";
    if (decision->fate == FATE_ABSORBED) {
        ValueDecision *before = &decider->plan->values[node->in[0]->id];
        *before = (ValueDecision){0};
    }
    for (int i = 0; decision->fate == FATE_INTEGER && i < node->n_in; i++)
        if (reads_integers(decider, node, i))
            quantize_value(decider, node->in[i]);
    if (decider->target->requantizes)
        give_outputs(decider, node);
    else
        hand_down_scale(decider, node);
}

static void decide_all(Decider *decider, const Graph *graph)
{
    mark_leading(decider, graph);
    if (decider->target->one_concat_scale)
        decider->groups = scale_groups_new(decider->context, decider->candidate, decider->leads);
    for (const Node *node = graph->first; node != NULL; node = node->next)
        decide_node(decider, node);
}

/* Again, with the marked nodes float. What was decided of the others may depend on them: all of it is taken back. */
static void decide_without(Decider *decider, const Graph *graph, const bool *marks)
{
    QuantPlan *plan = decider->plan;
    memset(plan->values, 0, plan->n_values * sizeof plan->values[0]);
    memset(decider->leads, 0, decider->context->model->n_ids * sizeof decider->leads[0]);
    memset(decider->flows, 0, decider->context->model->n_ids * sizeof decider->flows[0]);
    for (const Node *node = graph->first; node != NULL; node = node->next)
        if (marks[node->id])
            decider->candidate[node->id] = false;
    decide_all(decider, graph);
}

/* A bias behind a product, in integers, but read by floats alone: it may as well be added in float, where the product needs no Q
 * (quantize_open_products) and a GELU behind it stays whole. */
static bool find_trailing_biases(const Decider *decider, const Graph *graph, bool *marks)
{
    bool any = false;
    for (const Node *node = graph->first; node != NULL && decider->target->open_products; node = node->next) {
        if (!node_is(node, "Add") || quant_fate(decider->plan, node) != FATE_INTEGER)
            continue;
        int data = node_constant(node, 0) != NULL ? 1 : 0;
        const Node *product = node->in[data]->producer;
        bool trails = node_constant(node, 1 - data) != NULL && product != NULL && node_is(product, "MatMul") &&
                      quant_fate(decider->plan, product) == FATE_INTEGER && value_only_user(node->in[data]) == node;
        for (size_t i = 0; i < node->out[0]->n_uses; i++)
            trails = trails && quant_fate(decider->plan, node->out[0]->uses[i].node) == FATE_FLOAT;
        if (!trails)
            continue;
        decider->plan->nodes[node->id].reason = "what reads it is float";
        any = marks[node->id] = true;
    }
    return any;
}

/* ---- the pass ---------------------------------------------------------------------------------------------------- */

static const char *runs_as(const Decider *decider, const Node *node, NodeFate fate)
{
    static const struct {
        const char *op_type, *integer_type;
    } kernels[] = {
        {"Conv", "QLinearConv"}, {"MatMul", "QLinearMatMul"}, {"Gemm", "QGemm"}, {"HardSigmoid", "QLinearAdd"},
        {"Tanh", "QLinearSigmoid"}, {"AveragePool", "QLinearConv"}};
    if (fate == FATE_ABSORBED)
        return "part of the quantization in front of it";
    if (fate == FATE_FLOAT)
        return arena_printf(decider->plan->arena, "%s (float)", node->op_type);
    if (decider->plan->nodes[node->id].rereads)
        return "a scale of what reads it";
    if (node->def->quant.kind == QUANT_SAME_SCALE)
        return arena_printf(decider->plan->arena, "%s (on 8-bit data)", node->op_type);
    if (!decider->target->requantizes)
        return arena_printf(decider->plan->arena, "%s (int8)", node->op_type);
    for (size_t i = 0; i < COUNT_OF(kernels); i++)
        if (strcmp(kernels[i].op_type, node->op_type) == 0)
            return kernels[i].integer_type;
    return arena_printf(decider->plan->arena, "QLinear%s", node->op_type);
}

static void describe(Decider *decider, const Node *node)
{
    NodeDecision *decision = decision_of(decider, node);
    bool has_out = node->n_out > 0 && node->out[0] != NULL;
    decision->node = arena_strdup(decider->plan->arena, node->name[0] != '\0' ? node->name
                                                        : has_out              ? node->out[0]->name
                                                                               : "");
    decision->op_type = arena_strdup(decider->plan->arena, node->op_type);
    decision->runs_as = runs_as(decider, node, decision->fate);
    decision->weighted = op_is_weighted(node);
    decision->macs = MAX(op_macs(node, &decider->plan->counts), 0);
    decision->weight_sqnr_db = NAN;
    if (decision->reason == NULL)
        decision->reason = "";
}

/* Nodes of inner graphs stay float, and the report says so. */
static void describe_inner(void *context, Graph *graph)
{
    Decider *decider = context;
    for (const Node *node = graph->first; node != NULL && graph->owner != NULL; node = node->next) {
        decision_of(decider, node)->reason = "it stands in an inner graph (of If, Loop or Scan): those stay float";
        describe(decider, node);
    }
}

static Status run(PassContext *context)
{
    Graph *graph = context->model->graph;
    Decider decider = {
        .context = context,
        .target = context->target,
        .plan = context->plan,
        .leads = arena_array(context->scratch, context->model->n_ids, sizeof(bool)),
        .flows = arena_array(context->scratch, context->model->n_ids, sizeof(bool)),
        .candidate = arena_array(context->scratch, context->model->n_node_ids, sizeof(bool)),
    };
    const bool *spectra = quantize_find_spectra(context->model, context->scratch);
    for (const Node *node = graph->first; node != NULL; node = node->next) {
        bool can = node->n_out > 0 && node->out[0] != NULL && can_run(&decider, node);
        if (can && spectra[node->id])
            can = reject(&decider, node, "its result goes into a logarithm of powers, where 8 bits hold no small numbers");
        decider.candidate[node->id] = can;
    }
    decide_all(&decider, graph);
    bool *trailing = arena_array(context->scratch, context->model->n_node_ids, sizeof trailing[0]);
    if (find_trailing_biases(&decider, graph, trailing))
        decide_without(&decider, graph, trailing);
    bool *costly = arena_array(context->scratch, context->model->n_node_ids, sizeof costly[0]);
    for (int round = 0; context->target->has_costs && round < MAX_ROUNDS &&
                        quantize_find_costly(graph, decider.plan, context->scratch, costly); round++)
        decide_without(&decider, graph, costly);
    for (const Node *node = graph->first; node != NULL; node = node->next) {
        describe(&decider, node);
        *context->changes += quant_fate(decider.plan, node) != FATE_FLOAT;
    }
    graph_each(graph, describe_inner, &decider);
    return NULL;
}

const Pass pass_quantize_decide = {
    .name = "quantize_decide",
    .stage = PASS_QUANTIZE,
    .summary = "chooses which nodes run in integers, and the scale of every quantized value",
    .run = run,
};
