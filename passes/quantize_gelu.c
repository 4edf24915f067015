/* quantize_gelu.c - GELU in integers: a table of Sigmoid and a product, where the plan asks for it.
 *
 *     Gemm ─ x ─ x (1 + Erf(x / sqrt 2)) / 2 ─ Q                ==>      Gemm ─ Q ─┬─ DQ (1.62 s) ─ Sigmoid ─ Q ─ DQ' ─┐
 *     QGemm -> floats, Gelu, QuantizeLinear                                        └─ DQ (s) ─────────────────────── Mul ─ Q
 *                                                                       QGemm, QLinearSigmoid, QLinearMul: all of bytes
 *
 * GELU(x) = x Phi(x), and Phi is nearly a Sigmoid: x Sigmoid(1.702 x) (Hendrycks and Gimpel 2016) is off by 0.020. What is written
 * into the gate and what is read out of it may have other scales, for free, and x saturates where its range ends:
 *
 *     x' = max(x, -2.5)          y = x' min(1, 1.03 Sigmoid(1.62 x') - 4/251)            off by 0.011, 0.0036 in the mean square
 *
 * (least squares over a normal x of deviation 2). That is less than 8 bits of y round away, but x is rounded to 8 bits too, so
 * that it costs accuracy: it is tried by measuring (src/app/recipe_gelu.c). In ONNX Runtime 256 x 512 elements: 67 us instead of
 * 103, and the product in front writes bytes, another 27.
 */
#include "passes/match.h"
#include "passes/quantize.h"
#include "src/ops/ops.h"

#include <math.h>

#define STEEPNESS 1.62f
#define STRETCH 1.03f
#define GATE_STEPS 251
#define LEAST_X (-2.5f)
#define DEEPEST 6 /* ops of a GELU written out, one behind the other */

typedef struct Gelu {
    Node *node;   /* the last of it, which gives y */
    Value *x;
    Node *bias;   /* Add that makes x of a product; NULL: x is what a weighted op gives */
    const Range *range; /* of x */
} Gelu;

static bool is_integer(const PassContext *context, const Node *node)
{
    return node != NULL && quant_fate(context->plan, node) == FATE_INTEGER;
}

/* Everybody who reads it does so in integers. */
static bool read_by_integers(const PassContext *context, const Value *value)
{
    for (size_t i = 0; i < value->n_uses; i++)
        if (!is_integer(context, value->uses[i].node))
            return false;
    return value->n_uses > 0 && value->n_outputs == 0;
}

/* The node is the last one of the GELU, or all that comes of it ends there and nowhere else. */
static bool ends_in(const Node *node, const Node *last)
{
    for (int i = 0; node != NULL && node != last && i < DEEPEST; i++)
        node = node->n_out == 1 && node->out[0] != NULL ? value_only_user(node->out[0]) : NULL;
    return node == last;
}

/* x comes out of an integer kernel, perhaps with a bias added behind it, and nothing but the GELU reads it. */
static bool find_source(const PassContext *context, Gelu *gelu)
{
    Node *maker = gelu->x->producer;
    if (maker == NULL || gelu->x->n_outputs > 0)
        return false;
    for (size_t i = 0; i < gelu->x->n_uses; i++)
        if (!ends_in(gelu->x->uses[i].node, gelu->node))
            return false;
    if (is_integer(context, maker) && op_is_weighted(maker))
        return true;
    if (!node_is(maker, "Add"))
        return false;
    int bias = pass_constant(maker, 0) != NULL ? 0 : 1;
    const Node *product = maker->in[1 - bias]->producer;
    if (pass_constant(maker, bias) == NULL || !is_integer(context, product) || !op_is_weighted(product) ||
        value_only_user(maker->in[1 - bias]) != maker)
        return false;
    gelu->bias = maker;
    return true;
}

static bool find_gelu(const PassContext *context, Node *node, Gelu *ret)
{
    *ret = (Gelu){.node = node};
    if (node->n_out != 1 || node->out[0] == NULL || quant_fate(context->plan, node) != FATE_FLOAT)
        return false;
    const char *kind = node_is(node, "Gelu") ? node_string(node, "approximate", "none") : match_gelu(node, &ret->x);
    if (node_is(node, "Gelu"))
        ret->x = node->in[0];
    if (kind == NULL || ret->x == NULL || ret->x->graph != node->graph)
        return false;
    const ValueDecision *y = quant_value_decision(context->plan, node->out[0]);
    ret->range = ranges_get(context->ranges, ret->x->name);
    return y != NULL && y->quantized && !y->by_integer && read_by_integers(context, node->out[0]) && find_source(context, ret) &&
           ret->range != NULL && ret->range->high > 0.0f;
}

/* ---- the rewrite --------------------------------------------------------------------------------------------------- */

static void decide_x(PassContext *context, const Gelu *gelu)
{
    QuantPlan *plan = context->plan;
    ValueDecision *x = quant_value_decision(plan, gelu->x);
    Range *range = arena_copy(plan->arena, gelu->range, sizeof *gelu->range);
    range->low = MAX(range->low, LEAST_X);
    *x = (ValueDecision){.name = arena_strdup(plan->arena, gelu->x->name), .range = range, .quantized = true, .by_integer = true,
                         .params = target_params(context->target, range->low, range->high), .scale_of = gelu->x->id};
    if (gelu->bias == NULL)
        return;
    NodeDecision *bias = &plan->nodes[gelu->bias->id];
    bias->fate = FATE_INTEGER;
    bias->reason = "";
    bias->runs_as = "QLinearAdd";
}

static void decide_node(QuantPlan *plan, const Node *node, const char *runs_as)
{
    const char *name = node->name[0] != '\0' ? node->name : node->out[0]->name;
    plan->nodes[node->id] = (NodeDecision){.node = arena_strdup(plan->arena, name), .op_type = node->op_type,
                                           .fate = FATE_INTEGER, .reason = "", .runs_as = runs_as, .weight_sqnr_db = NAN};
}

static void decide_gate(PassContext *context, const Node *gate)
{
    QuantPlan *plan = context->plan;
    DType dtype = context->target->activation;
    int32_t low, high;
    quant_limits(dtype, &low, &high);
    decide_node(plan, gate, "QLinearSigmoid");
    plan->nodes[gate->id].rescale = STEEPNESS;
    plan->nodes[gate->id].written = (QParams){1.0f / (STRETCH * GATE_STEPS), low, dtype};
    *quant_value_decision(plan, gate->out[0]) =
        (ValueDecision){.name = arena_strdup(plan->arena, gate->out[0]->name), .quantized = true, .by_integer = true,
                        .params = {1.0f / GATE_STEPS, high - GATE_STEPS, dtype}, .scale_of = gate->out[0]->id};
}

/* Rows of the report for what goes. */
static void absorb(QuantPlan *plan, const Node *node, int depth)
{
    NodeDecision *decision = &plan->nodes[node->id];
    if (depth > DEEPEST || decision->fate != FATE_FLOAT)
        return;
    decision->fate = FATE_ABSORBED;
    decision->reason = "";
    decision->runs_as = "part of a GELU in integers";
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] != NULL && node->in[i]->producer != NULL)
            absorb(plan, node->in[i]->producer, depth + 1);
}

static Status rewrite(PassContext *context, const Gelu *gelu)
{
    Node *node = gelu->node;
    Graph *graph = node->graph;
    const char *name = arena_printf(context->model->arena, "%s_gate", node->name[0] != '\0' ? node->name : node->out[0]->name);
    Value *opening = graph_value(graph, model_fresh_name(context->model, name));
    Node *gate = NULL;
    TRY(ops_add_node(graph, node, "Sigmoid", "", opening->name, 1, &gelu->x, opening, &gate));
    Node *product = pass_add_node(graph, node, "Mul", node->name, 2, (Value *[]){gelu->x, opening});
    TRY(ops_infer_node(product));
    quant_plan_grow(context->plan, context->model);
    decide_x(context, gelu);
    absorb(context->plan, node, 0);
    decide_gate(context, gate);
    decide_node(context->plan, product, "QLinearMul");
    ValueDecision *before = quant_value_decision(context->plan, node->out[0]);
    ValueDecision *after = quant_value_decision(context->plan, product->out[0]);
    *after = *before;
    after->by_integer = true;
    before->quantized = false; /* one value, one row; it still keeps the scale for those that share it */
    ++*context->changes;
    return pass_replace_node(node, product->out[0]);
}

static Status visit(PassContext *context, Node *node)
{
    Gelu gelu;
    return find_gelu(context, node, &gelu) ? rewrite(context, &gelu) : NULL;
}

static Status run(PassContext *context)
{
    if (!context->plan->integer_gelu || !context->target->requantizes)
        return NULL;
    return pass_each_outer(context, visit);
}

const Pass pass_quantize_gelu = {
    .name = "quantize_gelu",
    .stage = PASS_QUANTIZE,
    .summary = "writes GELU as a table and a product of bytes, where that was measured to be close enough",
    .run = run,
};
