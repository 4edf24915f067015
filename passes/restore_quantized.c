/* restore_quantized.c - a model in Q/DQ form, of integer operators, or dynamically quantized, becomes the float model that it was
 * made from, but for the rounding of its weights.
 *
 *     w8 ─ DQ ─ Conv             ->      w (float) ─ Conv
 *     x ─ Q ─ DQ ─ Conv ─ Q ─    ->      x ─ Conv ─                          restore_twin.c, restore_integer.c
 *     x ─ Q ─ graph output       stays: the user of the model reads codes there; so does a DQ of an input that holds codes
 *
 * What reads quantized values and has no float form is an error that names it; so are scales that are computed as the model runs.
 */
#include "passes/restore.h"

#include "src/ops/ops.h"

#include <stdlib.h>
#include <string.h>

static void release_twins(void *context)
{
    free(((Restorer *)context)->twins);
}

static bool is_code(DType dtype)
{
    return dtype_is_integer(dtype) && dtype_bits(dtype) <= 16;
}

/* ---- nodes of quantization ------------------------------------------------------------------------------------------- */

static Twin scales_of(const Node *node)
{
    return (Twin){.scale = node_in(node, 1), .zero = node_in(node, 2), .axis = (int)node_int(node, "axis", 1),
                  .block = node_int(node, "block_size", 0)};
}

static Status restore_quantizer(Restorer *restorer, Node *node)
{
    Twin twin = scales_of(node);
    if (!pass_value_is_constant(twin.scale) || (twin.zero != NULL && !pass_value_is_constant(twin.zero)))
        return restore_refuse(node, "its scales are computed while the model runs");
    TRY(twin_clamp(restorer, node, node->in[0], &twin, &twin.real));
    twin_set(restorer, node->out[0], &twin);
    ++*restorer->context->changes;
    return NULL;
}

static Status fold(Restorer *restorer, Node *node, const Tensor *const *in)
{
    Model *model = restorer->context->model;
    Tensor out = {0};
    TRY(status_prefix(op_eval_alone(node, in, node->n_in, &out, 1, true), "%s", node_describe(node)));
    TRY(pass_make_constant(node, 0, pass_keep_tensor(model, &out)));
    pass_remove_dead(node);
    ++*restorer->context->changes;
    return NULL;
}

/* Codes that are moved about before they are dequantized: by nodes of constants alone. */
static bool is_constant_code(const Node *node, const Tensor **in)
{
    enum { MOST = 8 };
    bool codes = false;
    if (node->def == NULL || node->def->eval == NULL || node->n_in > MOST || node->n_out != 1 || node->def->random ||
        node_has_graph(node) || node_is(node, "QuantizeLinear"))
        return false;
    for (int i = 0; i < node->n_in; i++) {
        in[i] = pass_constant(node, i);
        if (node->in[i] != NULL && in[i] == NULL)
            return false;
        codes = codes || (i == 0 && in[0] != NULL && (is_code(in[0]->dtype) || node_is(node, "DequantizeLinear")));
    }
    return codes;
}

static Status restore_dequantizer(Restorer *restorer, Node *node)
{
    Twin as = scales_of(node);
    Value *real;
    if (twin_of(restorer, node->in[0]) == NULL)
        return NULL; /* of codes that the user gives */
    TRY(twin_read(restorer, node, node->in[0], &as, &real));
    ++*restorer->context->changes;
    return pass_replace_node(node, real);
}

/* The codes become x itself, in the scale 1. */
static Status restore_dynamic(Restorer *restorer, Node *node)
{
    Model *model = restorer->context->model;
    twin_set(restorer, node->out[0], &(Twin){.real = node->in[0]});
    for (int i = 1; i < node->n_out; i++) {
        if (node->out[i] == NULL)
            continue;
        Tensor *tensor = tensor_new_scalar(model->arena, i == 1 ? DT_FLOAT : DT_UINT8, i == 1 ? 1.0 : 0.0);
        value_replace_node_uses(node->out[i], graph_add_constant(node->graph, model_fresh_name(model, node->out[i]->name), tensor));
    }
    ++*restorer->context->changes;
    return NULL;
}

/* ---- nodes that move codes ------------------------------------------------------------------------------------------- */

/* Which inputs hold what is moved: 0..; -1: none. */
static bool moved_inputs(const Node *node, int *first, int *last)
{
    static const struct {
        const char *op_type;
        int first, last;
    } rows[] = {{"Concat", 0, OP_VARIADIC}, {"Max", 0, OP_VARIADIC}, {"Min", 0, OP_VARIADIC}, {"Where", 1, 2},
                {"GatherElements", 0, 0}, {"GatherND", 0, 0}, {"Pad", 0, 2}};
    if (node->def == NULL)
        return false;
    *first = *last = 0;
    if (node->def->quant.kind == QUANT_SAME_SCALE)
        return true;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (node_is(node, rows[i].op_type)) {
            *first = rows[i].first;
            *last = rows[i].last;
            return true;
        }
    return false;
}

/* What a Pad without a value puts there: code 0. */
static Value *zero_code(const Node *node, const Twin *as)
{
    double scale = 1.0, zero = 0.0;
    bool known = (as->scale == NULL || pass_is_scalar_constant(as->scale, &scale)) &&
                 (as->zero == NULL || pass_is_scalar_constant(as->zero, &zero));
    return known && zero != 0.0 ? graph_add_float(node->graph, node->name, (float)(-zero * scale)) : NULL;
}

/* The same node on the twins; all that meets in it is read in the scale of the first. */
static Status move(Restorer *restorer, Node *node, const Twin *first_twin, int first, int last)
{
    Twin as = *first_twin;
    Value **in = arena_copy(restorer->context->scratch, node->in, (size_t)node->n_in * sizeof node->in[0]);
    for (int i = first; i <= last && i < node->n_in; i++)
        if (node->in[i] != NULL && !(node_is(node, "Pad") && i == 1))
            TRY(twin_read(restorer, node, node->in[i], &as, &in[i]));
    if (as.scale != NULL && as.scale->constant->count > 1)
        return restore_refuse(node, "moves values with several scales");
    Node *floats = pass_copy_node(node, node->graph, node, in);
    if (node_is(node, "Pad") && node_in(node, 2) == NULL)
        node_set_input(floats, 2, zero_code(node, &as));
    for (int i = 0; i < node->n_out; i++) {
        Value *from = node->out[i], *to = floats->out[i];
        if (from == NULL)
            continue;
        if (i > 0 && !node_is(node, "Split")) { /* indices of MaxPool, a mask */
            value_replace_node_uses(from, to);
            continue;
        }
        to->type.dtype = DT_FLOAT;
        as.real = to;
        TRY(twin_give(restorer, node, from, &as));
    }
    ++*restorer->context->changes;
    return ops_infer_node(floats);
}

static Status restore_moved(Restorer *restorer, Node *node)
{
    int first, last;
    bool moves = moved_inputs(node, &first, &last);
    for (int i = 0; i < node->n_in; i++) {
        const Twin *twin = twin_of(restorer, node->in[i]);
        if (twin == NULL)
            continue;
        if (moves && i >= first && i <= last)
            return move(restorer, node, twin, first, last);
        if (node_is(node, "Shape") || node_is(node, "Size"))
            node_set_input(node, i, twin->real);
        else if (node_is(node, "Cast") && node_int(node, "to", 0) == DT_FLOAT) {
            Value *real;
            TRY(twin_read(restorer, node, node->in[i], &(Twin){0}, &real));
            return pass_replace_node(node, real);
        }
    }
    return NULL;
}

static Status visit(PassContext *context, Node *node)
{
    Restorer *restorer = context->own;
    const Tensor *in[8] = {NULL};
    bool done;
    if (node->n_out == 0 || node->out[0] == NULL || node->n_in == 0)
        return NULL;
    if (is_constant_code(node, in))
        return fold(restorer, node, in);
    if (node_is(node, "QuantizeLinear"))
        return restore_quantizer(restorer, node);
    if (node_is(node, "DequantizeLinear"))
        return restore_dequantizer(restorer, node);
    if (node_is(node, "DynamicQuantizeLinear"))
        return restore_dynamic(restorer, node);
    int64_t *changes = restorer->context->changes;
    TRY(restore_integer(restorer, node, &done));
    *changes += done;
    return done ? NULL : restore_moved(restorer, node);
}

/* ---- what is left ---------------------------------------------------------------------------------------------------- */

/* Taking away a node takes along those in front of it that nobody reads any more. */
static void remove_unread(void *context, Graph *graph)
{
    (void)context;
    for (Node *node = graph->first; node != NULL; node = node->next)
        if (node->graph != NULL && !node_has_graph(node))
            pass_remove_dead(node);
}

/* A node that still reads the codes of a twin. */
static const Node *reader_of_codes(const Restorer *restorer, const Value *value)
{
    for (size_t i = 0; twin_of(restorer, value) != NULL && i < value->n_uses; i++)
        return value->uses[i].node;
    return NULL;
}

typedef struct Rest {
    const Restorer *restorer;
    const Node *node;
    const char *why;
} Rest;

static void find_rest(void *context, Graph *graph)
{
    Rest *rest = context;
    for (const Node *node = graph->first; node != NULL && rest->node == NULL; node = node->next) {
        bool border = node_is(node, "QuantizeLinear") || node_is(node, "DequantizeLinear");
        for (int i = 0; i < node->n_out && rest->node == NULL; i++)
            if (node->out[i] != NULL) {
                rest->node = reader_of_codes(rest->restorer, node->out[i]);
                rest->why = "reads quantized values and has no float form";
            }
        if (rest->node == NULL && !border && pass_quantized_form(node) != NULL) {
            rest->node = node;
            rest->why = "has no float form";
        }
    }
}

static Status run(PassContext *context)
{
    Restorer restorer = {.context = context};
    context->own = &restorer;
    Status status = pass_each_node(context, visit);
    context->own = NULL;
    if (status == NULL) {
        Rest rest = {.restorer = &restorer};
        graph_each(context->model->graph, remove_unread, NULL);
        graph_each(context->model->graph, find_rest, &rest);
        if (rest.node != NULL)
            status = restore_refuse(rest.node, rest.why);
    }
    release_twins(&restorer);
    return status;
}

const Pass pass_restore_quantized = {
    .name = "restore_quantized",
    .stage = PASS_RESTORE,
    .summary = "--requantize: what is quantized becomes float again",
    .run = run,
};
