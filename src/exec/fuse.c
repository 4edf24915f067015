/* fuse.c - joins steps whose inner values nobody has to see: a convolution with what is done to its result, and 8-bit chains that
 * are one function of a byte.
 *
 *     x ─ Conv ─ Add z ─ Relu ─ y               ==>   x, z ─ FusedConv ─ y
 *     x ─ Conv ─┬─ Sigmoid ─┐
 *               └────────── Mul ─ y             ==>   x ─ FusedConv ─ y
 *     x ─┬─ QLinearSigmoid ─┐
 *        └───────────────── QLinearMul ─ y      ==>   x ─ QLinearGated ─ y        (a table of 256; QLinearAdd of a constant too)
 *     biases of products; GELU in five ops, LayerNormalization in nine: fuse_float.c
 *
 * A joined step keeps its parts, and runs them one by one when an observer wants a value in between: so calibration, comparison and
 * plain runs share one plan. The parts stand where the last of them stood; nobody else reads what they hand on.
 */
#include "src/exec/fuse.h"

#include <string.h>

static Step *step_at(const Fuser *fuser, int s)
{
    return &fuser->plan->steps[s];
}

bool fuse_is_step(const Fuser *fuser, int s, const char *domain, const char *op_type)
{
    if (s < 0 || fuser->taken[s])
        return false;
    const Node *node = step_at(fuser, s)->node;
    return strcmp(node->op_type, op_type) == 0 && strcmp(node->domain, domain) == 0;
}

int fuse_only_reader(const Fuser *fuser, const Value *value)
{
    return fuser->readers[value->id] == 1 ? fuser->reader[value->id] : -1;
}

/* ---- activations behind a convolution ------------------------------------------------------------------------------ */

typedef struct ActivationRow {
    const char *op_type, *activation; /* what FusedConv calls it */
    const char *a_name, *b_name;      /* attributes that become its parameters, or NULL */
    float a, b;                       /* their defaults */
} ActivationRow;

static const ActivationRow activation_rows[] = {
    {"Relu", "Relu", NULL, NULL, 0, 0},
    {"LeakyRelu", "LeakyRelu", "alpha", NULL, 0.01F, 0},
    {"Sigmoid", "Sigmoid", NULL, NULL, 0, 0},
    {"Tanh", "Tanh", NULL, NULL, 0, 0},
    {"Swish", "Swish", "alpha", NULL, 1, 0},
    {"HardSwish", "HardSwish", NULL, NULL, 0, 0},
    {"Gelu", "Gelu", NULL, NULL, 0, 0},
};

void fuse_append(Chain *chain, int step, Value *out)
{
    chain->parts[chain->n++] = step;
    chain->out = out;
}

static void set_activation(Chain *chain, const char *name, int n_params, float a, float b)
{
    chain->activation = name;
    chain->n_params = n_params;
    chain->params[0] = a;
    chain->params[1] = b;
}

static bool match_clip(const Fuser *fuser, Chain *chain, int s)
{
    if (!fuse_is_step(fuser, s, "", "Clip"))
        return false;
    const Node *node = step_at(fuser, s)->node;
    const Tensor *low = node_constant(node, 1), *high = node_constant(node, 2);
    if (node->opset < 11 || node->in[0] != chain->out || low == NULL || high == NULL || low->count != 1 || high->count != 1 ||
        low->dtype != DT_FLOAT || high->dtype != DT_FLOAT || tensor_get(low, 0) > tensor_get(high, 0))
        return false;
    set_activation(chain, "Clip", 2, (float)tensor_get(low, 0), (float)tensor_get(high, 0));
    fuse_append(chain, s, node->out[0]);
    return true;
}

/* x * Sigmoid(x), x * HardSigmoid(x) with 1/6 and 1/2: two readers. */
static bool match_gated(const Fuser *fuser, Chain *chain)
{
    const Value *x = chain->out;
    if (fuser->readers[x->id] != 2)
        return false;
    for (size_t u = 0; u < x->n_uses; u++) {
        const Node *gate = x->uses[u].node;
        bool hard = node_is(gate, "HardSigmoid");
        if ((!hard && !node_is(gate, "Sigmoid")) || gate->out[0] == NULL || fuser->producer[gate->out[0]->id] < 0)
            continue;
        int g = fuser->producer[gate->out[0]->id], m = fuse_only_reader(fuser, gate->out[0]);
        if (step_at(fuser, g)->node != gate || fuser->taken[g] || !fuse_is_step(fuser, m, "", "Mul"))
            continue;
        const Node *mul = step_at(fuser, m)->node;
        if ((mul->in[0] != x || mul->in[1] != gate->out[0]) && (mul->in[1] != x || mul->in[0] != gate->out[0]))
            continue;
        if (hard && (node_float(gate, "alpha", 0.2F) != 1.0F / 6.0F || node_float(gate, "beta", 0.5F) != 0.5F))
            continue;
        set_activation(chain, hard ? "HardSwish" : "Swish", hard ? 0 : 1, 1.0F, 0.0F);
        fuse_append(chain, g, gate->out[0]);
        fuse_append(chain, m, mul->out[0]);
        return true;
    }
    return false;
}

static void match_activation(const Fuser *fuser, Chain *chain)
{
    int s = fuse_only_reader(fuser, chain->out);
    if (match_clip(fuser, chain, s) || match_gated(fuser, chain))
        return;
    for (size_t i = 0; i < COUNT_OF(activation_rows); i++) {
        const ActivationRow *row = &activation_rows[i];
        if (!fuse_is_step(fuser, s, "", row->op_type))
            continue;
        const Node *node = step_at(fuser, s)->node;
        bool approximate = strcmp(node_string(node, "approximate", "none"), "none") != 0;
        set_activation(chain, approximate ? "GeluTanh" : row->activation, row->a_name != NULL ? 1 : 0,
                       row->a_name != NULL ? node_float(node, row->a_name, row->a) : 0.0F, 0.0F);
        fuse_append(chain, s, node->out[0]);
        return;
    }
}

/* Sums of two images of the same size. */
static void match_add(const Fuser *fuser, Chain *chain)
{
    int s = fuse_only_reader(fuser, chain->out);
    if (!fuse_is_step(fuser, s, "", "Add"))
        return;
    const Node *add = step_at(fuser, s)->node;
    Value *other = add->in[add->in[0] == chain->out ? 1 : 0];
    if (other == chain->out || other->constant != NULL || !value_is_float(other) ||
        !shape_equal(&other->type.shape, &chain->out->type.shape))
        return;
    chain->added = other;
    fuse_append(chain, s, add->out[0]);
}

/* ---- the joined step ------------------------------------------------------------------------------------------------ */

void fuse_join(Fuser *fuser, const Chain *chain, Node *node)
{
    Step *last = step_at(fuser, chain->parts[chain->n - 1]);
    Step *parts = arena_array(fuser->arena, (size_t)chain->n, sizeof parts[0]);
    for (int i = 0; i < chain->n; i++) {
        parts[i] = *step_at(fuser, chain->parts[i]);
        fuser->taken[chain->parts[i]] = true;
    }
    *last = (Step){.node = node, .shown = parts[0].shown, .def = node->def, .layout = layout_rule(node),
                   .integer = parts[0].integer, .parts = parts, .n_parts = chain->n, .cache_lock = parts[0].cache_lock};
    fuser->producer[chain->out->id] = chain->parts[chain->n - 1];
}

Node *fuse_new_node(const Fuser *fuser, const Node *like, const OpDef *def, int n_in, int n_attrs, Value *out)
{
    Node *node = arena_alloc(fuser->arena, sizeof *node);
    *node = *like;
    node->op_type = def->type;
    node->domain = def->domain;
    node->opset = 1;
    node->def = def;
    node->in = arena_array(fuser->arena, (size_t)n_in, sizeof node->in[0]);
    node->n_in = n_in;
    node->out = arena_array(fuser->arena, 1, sizeof node->out[0]);
    node->out[0] = out;
    node->n_out = 1;
    node->attrs = arena_array(fuser->arena, (size_t)MAX(n_attrs, 1), sizeof node->attrs[0]);
    node->n_attrs = 0;
    return node;
}

static Node *conv_node(const Fuser *fuser, const Chain *chain, const Node *conv, const OpDef *def)
{
    Node *node = fuse_new_node(fuser, conv, def, 4, conv->n_attrs + 2, chain->out);
    node->in[0] = conv->in[0];
    node->in[1] = conv->in[1];
    node->in[2] = node_in(conv, 2);
    node->in[3] = chain->added;
    node->n_in = chain->added != NULL ? 4 : 3;
    for (int i = 0; i < conv->n_attrs; i++)
        node->attrs[node->n_attrs++] = conv->attrs[i];
    if (chain->activation == NULL)
        return node;
    node->attrs[node->n_attrs++] = (Attr){.name = "activation", .kind = ATTR_STRING, .n = 1,
                                          .s = {chain->activation, strlen(chain->activation)}};
    if (chain->n_params > 0)
        node->attrs[node->n_attrs++] =
            (Attr){.name = "activation_params", .kind = ATTR_FLOATS, .n = chain->n_params,
                   .floats = arena_copy(fuser->arena, chain->params, sizeof chain->params)};
    return node;
}

static void fuse_conv(Fuser *fuser, int s)
{
    static const char fused[] = "FusedConv";
    const OpDef *def = op_find(DOMAIN_MICROSOFT, fused, 1);
    const Node *conv = step_at(fuser, s)->node;
    Chain chain = {.n = 0};
    if (def == NULL || !fuse_is_step(fuser, s, "", "Conv") || !value_is_float(conv->out[0]))
        return;
    fuse_append(&chain, s, conv->out[0]);
    match_add(fuser, &chain);
    match_activation(fuser, &chain);
    if (chain.n > 1)
        fuse_join(fuser, &chain, conv_node(fuser, &chain, conv, def));
}

enum { MUL_A = 0, MUL_B = 3, MUL_Y = 6, GATE_OWN = 7 };

/* An 8-bit gate of x alone: its QLinearSigmoid, or its QLinearAdd with a constant, which is what HardSigmoid becomes. */
static bool is_gate_of(const Fuser *fuser, int g, const Value *x)
{
    if (fuse_is_step(fuser, g, DOMAIN_MICROSOFT, "QLinearSigmoid"))
        return step_at(fuser, g)->node->in[0] == x;
    if (!fuse_is_step(fuser, g, DOMAIN_MICROSOFT, "QLinearAdd"))
        return false;
    const Node *add = step_at(fuser, g)->node;
    for (int side = MUL_A; side <= MUL_B; side += MUL_B) {
        const Value *other = add->in[MUL_B - side];
        if (add->in[side] == x && other->constant != NULL && other->constant->count == 1 &&
            (other->constant->rank == 0 || other->constant->rank <= x->type.shape.rank))
            return true;
    }
    return false;
}

/* x, its scale and zero point; scales and zero points that the product reads the gate with and writes; what the gate has. */
static Node *gated_node(const Fuser *fuser, const Node *mul, int x_side, const Node *gate)
{
    bool sum = strcmp(gate->op_type, "QLinearAdd") == 0;
    int own = sum ? MUL_Y + 2 : 4; /* scales and zero points of QLinearSigmoid; with the data between them of QLinearAdd */
    Node *node = fuse_new_node(fuser, mul, &op_private_qlineargated, GATE_OWN + own, 0, mul->out[0]);
    for (int i = 0; i < 3; i++)
        node->in[i] = mul->in[x_side + i];
    for (int i = 0; i < 2; i++) {
        node->in[3 + i] = node_in(mul, MUL_B - x_side + 1 + i);
        node->in[5 + i] = node_in(mul, MUL_Y + i);
    }
    for (int i = 0; i < own; i++) { /* x itself is left out: input 0 stands for it */
        Value *in = node_in(gate, sum ? i : i + 1);
        node->in[GATE_OWN + i] = in == mul->in[x_side] ? NULL : in;
    }
    return node;
}

/* All scales and zero points are there, and the same in each run. */
static bool is_fixed(const Node *node)
{
    for (int i = 1; i < node->n_in; i++) {
        bool sum = node->n_in == GATE_OWN + MUL_Y + 2;
        bool data = sum && (i == GATE_OWN || i == GATE_OWN + MUL_B);
        if (node->in[i] == NULL ? !data : node->in[i]->constant == NULL || node->in[i]->producer != NULL)
            return false;
    }
    return true;
}

/* QLinearMul of a value and a gate of it: a function of one byte. */
static void fuse_gated(Fuser *fuser, int s)
{
    if (!fuse_is_step(fuser, s, DOMAIN_MICROSOFT, "QLinearMul"))
        return;
    const Node *mul = step_at(fuser, s)->node;
    for (int side = MUL_A; side <= MUL_B; side += MUL_B) {
        const Value *gated = mul->in[side], *x = mul->in[MUL_B - side];
        int g = gated->constant != NULL ? -1 : fuser->producer[gated->id];
        if (gated == x || g < 0 || !is_gate_of(fuser, g, x) || fuse_only_reader(fuser, gated) != s)
            continue;
        Node *node = gated_node(fuser, mul, MUL_B - side, step_at(fuser, g)->node);
        Chain chain = {.parts = {g, s}, .n = 2, .out = mul->out[0]};
        if (is_fixed(node))
            fuse_join(fuser, &chain, node);
        return;
    }
}

static void count_reader(Fuser *fuser, const Value *value, int s)
{
    if (value == NULL || value->constant != NULL)
        return;
    fuser->readers[value->id]++;
    fuser->reader[value->id] = s;
}

void fuse_steps(GraphPlan *plan, Arena *arena, uint32_t n_ids)
{
    Arena *scratch = arena_new();
    Fuser fuser = {arena,
                   plan,
                   arena_array(scratch, n_ids, sizeof(int)),
                   arena_array(scratch, n_ids, sizeof(int)),
                   arena_array(scratch, n_ids, sizeof(int)),
                   arena_array(scratch, (size_t)plan->n_steps, sizeof(bool))};
    for (uint32_t id = 0; id < n_ids; id++)
        fuser.producer[id] = -1;
    for (int s = 0; s < plan->n_steps; s++) {
        const Step *step = &plan->steps[s];
        for (int i = 0; i < step->node->n_in; i++)
            count_reader(&fuser, step->node->in[i], s);
        for (int i = 0; i < step->n_captured; i++)
            count_reader(&fuser, step->captured[i], s);
        for (int i = 0; i < step->node->n_out; i++)
            if (step->node->out[i] != NULL)
                fuser.producer[step->node->out[i]->id] = s;
    }
    for (int i = 0; i < plan->graph->n_outputs; i++)
        count_reader(&fuser, plan->graph->outputs[i], -1);
    for (int s = 0; s < plan->n_steps; s++) {
        fuse_conv(&fuser, s);
        fuse_gated(&fuser, s);
        fuse_bias(&fuser, s);
        fuse_gelu(&fuser, s);
        fuse_norm(&fuser, s);
    }
    int n = 0;
    for (int s = 0; s < plan->n_steps; s++)
        if (!fuser.taken[s] || plan->steps[s].n_parts > 0)
            plan->steps[n++] = plan->steps[s];
    plan->n_steps = n;
    arena_free(scratch);
}
