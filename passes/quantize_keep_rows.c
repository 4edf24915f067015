/* quantize_keep_rows.c - between products that are matrices the rows stay a matrix.
 *
 *     Gemm ─ Reshape B,S,N ─ Add, LayerNormalization ─ Reshape BS,N ─ Gemm      ==>      Gemm ─ Add, LayerNormalization ─ Gemm
 *     Gemm ─ Reshape B,S,N ─ Reshape B,S,heads,N/heads                          ==>      Gemm ─ Reshape B,S,heads,N/heads
 *
 * quantize_join_biases puts a Reshape on both sides of each product. What stands in between works on rows, or on single elements,
 * and does not care which rows lie together. Each call costs ONNX Runtime 3 us, which is nothing in a large model, and a twentieth
 * of a small one. Values are changed in place, with what was decided of them; who needs the sizes again gets a Reshape.
 */
#include "passes/pass.h"
#include "passes/quantize.h"
#include "src/ops/ops.h"

#include <string.h>

#define MOST_ROUNDS 8 /* of taking nodes out again; beyond it nothing is changed */

/* A value of more axes that is held as rows, BS x N. */
typedef struct Rows {
    Value *matrix; /* that holds them: itself, once changed in place, or what was reshaped */
    Value *shape;  /* operand of a Reshape back, its last size that of some matrix */
    Shape type;    /* as it was */
} Rows;

typedef struct Keeper {
    PassContext *context;
    Graph *graph;
    Rows *rows;      /* by value id; type.rank 0: it is not held */
    bool *converts;  /* by node id */
    bool *flattens;  /* by node id: it makes a matrix of more axes */
    uint32_t n_values, n_nodes;
} Keeper;

static Rows *rows_of(const Keeper *keeper, const Value *value)
{
    bool held = value != NULL && value->id < keeper->n_values && keeper->rows[value->id].type.rank > 0;
    return held ? &keeper->rows[value->id] : NULL;
}

static bool converts(const Keeper *keeper, const Node *node)
{
    return node->id < keeper->n_nodes && keeper->converts[node->id];
}

static bool flattens(const Keeper *keeper, const Node *node)
{
    return node->id < keeper->n_nodes && keeper->flattens[node->id];
}

/* ---- what can be held as rows ----------------------------------------------------------------------------------------- */

static Dim last_of(const Shape *shape)
{
    return shape->dims[shape->rank - 1];
}

static bool same_leading(const Shape *a, const Shape *b)
{
    bool same = a->rank == b->rank;
    for (int i = 0; same && i < a->rank - 1; i++)
        same = dim_equal(a->dims[i], b->dims[i]);
    return same;
}

/* The leading sizes can be had for other last ones: numbers, or what a Concat puts in front of the last. */
static bool tells_leading(const Value *shape, int rank)
{
    if (shape->constant != NULL) {
        bool copies = shape->constant->count != rank;
        for (int64_t i = 0; i < shape->constant->count; i++)
            copies = copies || tensor_get_int(shape->constant, i) == 0;
        return !copies;
    }
    const Node *concat = shape->producer;
    return concat != NULL && node_is(concat, "Concat") && concat->n_in == 2 && pass_constant(concat, 1) != NULL &&
           concat->in[1]->constant->count == 1;
}

/* BS x N to B,S,N. */
static bool is_back(const Node *node)
{
    if (!node_is(node, "Reshape") || node->out[0] == NULL || node->in[0]->producer == NULL ||
        !node_is(node->in[0]->producer, "Gemm"))
        return false;
    Shape from = infer_shape(node, 0), to = node->out[0]->type.shape;
    return from.rank == 2 && to.rank > 2 && dim_is_known(last_of(&to)) && dim_equal(last_of(&from), last_of(&to)) &&
           node->in[1]->graph == node->graph && node_int(node, "allowzero", 0) == 0 && tells_leading(node->in[1], to.rank);
}

/* B,S,N to -1,N. */
static bool is_flatten(const Node *node)
{
    if (!node_is(node, "Reshape") || node->out[0] == NULL || node_int(node, "allowzero", 0) != 0)
        return false;
    const Tensor *to = pass_constant(node, 1);
    Shape from = infer_shape(node, 0);
    return to != NULL && to->count == 2 && tensor_get_int(to, 0) == -1 && from.rank > 2 && dim_is_known(last_of(&from)) &&
           tensor_get_int(to, 1) == last_of(&from).size;
}

static bool is_elementwise(const Node *node)
{
    static const char *const ops[] = {"Add",  "Sub",  "Mul", "Div", "Sum", "Pow",  "Sqrt",        "Erf",      "Tanh",
                                      "Relu", "Gelu", "Exp", "Neg", "Abs", "Clip", "HardSigmoid", "LeakyRelu", "Sigmoid"};
    for (size_t i = 0; i < COUNT_OF(ops); i++)
        if (node_is(node, ops[i]))
            return true;
    return false;
}

/* Along the last axis alone, and that as an attribute which -1 may stand in. */
static const char *row_axis(const Node *node, int rank)
{
    int64_t n = 0;
    if (node_is(node, "LayerNormalization") || node_is(node, "Softmax")) {
        int64_t axis = node_int(node, "axis", -1);
        return axis == -1 || axis == rank - 1 ? "axis" : NULL;
    }
    const int64_t *axes = node_is(node, "ReduceMean") && node->n_in == 1 ? node_ints(node, "axes", &n) : NULL;
    return n == 1 && (axes[0] == -1 || axes[0] == rank - 1) && node_int(node, "keepdims", 1) != 0 ? "axes" : NULL;
}

/* A constant that next to a matrix means what it meant next to more axes. */
static bool fits_rows(const Value *value)
{
    return value->constant != NULL && (value->constant->count == 1 ? value->constant->rank <= 2 : value->constant->rank == 1);
}

static bool can_convert(const Keeper *keeper, const Node *node, const Rows **ret)
{
    const Rows *first = NULL;
    bool adds = (node_is(node, "Add") || node_is(node, "Sum")) && quant_fate(keeper->context->plan, node) == FATE_FLOAT;
    if (node->domain[0] != '\0' || node->n_out != 1 || node->out[0] == NULL || node->out[0]->n_outputs > 0)
        return false;
    for (int i = 0; i < node->n_in && first == NULL; i++)
        first = rows_of(keeper, node->in[i]);
    if (first == NULL || (!is_elementwise(node) && row_axis(node, first->type.rank) == NULL))
        return false;
    for (int i = 0; i < node->n_in; i++) {
        const Rows *rows = rows_of(keeper, node->in[i]);
        const Value *in = node->in[i];
        if (in == NULL || (rows != NULL ? same_leading(&rows->type, &first->type) : fits_rows(in)))
            continue;
        /* a sum with what is no matrix yet: it becomes one */
        if (!adds || rows != NULL || in->constant != NULL || !same_leading(&in->type.shape, &first->type) ||
            !dim_equal(last_of(&in->type.shape), last_of(&first->type)))
            return false;
    }
    *ret = first;
    return same_leading(&node->out[0]->type.shape, &first->type);
}

static void find_rows(Keeper *keeper)
{
    for (Node *node = keeper->graph->first; node != NULL; node = node->next) {
        const Rows *from = NULL;
        keeper->flattens[node->id] = is_flatten(node);
        if (is_back(node)) {
            keeper->rows[node->out[0]->id] = (Rows){node->in[0], node->in[1], node->out[0]->type.shape};
        } else if (can_convert(keeper, node, &from)) {
            keeper->converts[node->id] = true;
            keeper->rows[node->out[0]->id] = (Rows){node->out[0], from->shape, node->out[0]->type.shape};
        }
    }
}

/* What reads it works on its elements or rows, too, but not on a matrix: a Reshape in between would split what runtimes take for
 * one op (a GELU, a normalization written out). */
static bool is_split(const Keeper *keeper, const Node *node)
{
    for (size_t i = 0; i < node->out[0]->n_uses; i++) {
        const Node *reader = node->out[0]->uses[i].node;
        if (!converts(keeper, reader) && (node_is(node, "ReduceMean") || is_elementwise(reader) ||
                                          row_axis(reader, node->out[0]->type.shape.rank) != NULL))
            return true;
    }
    return false;
}

/* Takes nodes out again whose neighbours are not rows; false: there were some. */
static bool take_out(Keeper *keeper)
{
    bool all = true;
    for (Node *node = keeper->graph->first; node != NULL; node = node->next) {
        const Rows *unused = NULL;
        if (node->n_out < 1 || rows_of(keeper, node->out[0]) == NULL)
            continue;
        if ((!converts(keeper, node) || can_convert(keeper, node, &unused)) && !is_split(keeper, node))
            continue;
        keeper->converts[node->id] = false;
        keeper->rows[node->out[0]->id].type.rank = 0;
        all = false;
    }
    return all;
}

/* ---- shapes back ------------------------------------------------------------------------------------------------------- */

/* `shape` with other sizes behind the leading ones; NULL: more than one would be open. */
static Status shape_with(Node *before, Value *shape, int leading, int n_tail, const int64_t *tail, Value **ret)
{
    Graph *graph = before->graph;
    int64_t sizes[TENSOR_MAX_RANK];
    int open = 0;
    *ret = NULL;
    for (int i = 0; i < n_tail; i++)
        open += tail[i] < 0;
    if (shape->constant != NULL && shape->constant->count == leading + 1 && leading + n_tail <= TENSOR_MAX_RANK) {
        for (int i = 0; i < leading; i++)
            open += (sizes[i] = tensor_get_int(shape->constant, i)) < 0;
        memcpy(sizes + leading, tail, (size_t)n_tail * sizeof tail[0]);
        if (open <= 1)
            *ret = graph_add_ints(graph, "shape", leading + n_tail, sizes);
        return NULL;
    }
    if (shape->constant != NULL || open > 1)
        return NULL;
    const Node *concat = shape->producer;
    Node *node = pass_add_node(graph, before, "Concat", "", 2,
                               (Value *[]){concat->in[0], graph_add_ints(graph, "sizes", n_tail, tail)});
    node_set_int(node, "axis", 0);
    *ret = node->out[0];
    return ops_infer_node(node);
}

/* The same decision for what only lies otherwise. */
static void decide_like(const Keeper *keeper, const Node *reshape, const Value *value)
{
    QuantPlan *plan = keeper->context->plan;
    quant_plan_grow(plan, keeper->context->model);
    const ValueDecision *from = quant_value_decision(plan, value);
    ValueDecision *to = quant_value_decision(plan, reshape->out[0]);
    *to = *from;
    to->range = NULL; /* one row of the report for one range */
    plan->nodes[reshape->id].fate = from->quantized && from->by_integer ? FATE_INTEGER : FATE_FLOAT;
}

/* A Q where some reader is of integers. */
static void decide_by_readers(const Keeper *keeper, const Value *value)
{
    const QuantPlan *plan = keeper->context->plan;
    ValueDecision *decision = quant_value_decision(plan, value);
    bool any = false;
    for (size_t i = 0; i < value->n_uses; i++)
        any = any || quant_fate(plan, value->uses[i].node) == FATE_INTEGER;
    decision->quantized = decision->quantized && (any || decision->by_integer);
}

/* ---- the rewrite --------------------------------------------------------------------------------------------------------- */

/* The operand of a sum as a matrix of floats, which the flatten in front of a product then reads, too. */
static Status add_matrix(Keeper *keeper, Node *before, Value *x, Value **ret)
{
    QuantPlan *plan = keeper->context->plan;
    int64_t sizes[2] = {-1, last_of(&x->type.shape).size};
    Node *reshape = pass_add_node(keeper->graph, before, "Reshape", "", 2,
                                  (Value *[]){x, graph_add_ints(keeper->graph, "shape", 2, sizes)});
    TRY(ops_infer_node(reshape));
    quant_plan_grow(plan, keeper->context->model);
    *ret = reshape->out[0];
    return NULL;
}

static Status convert(Keeper *keeper, Node *node)
{
    const Rows *own = rows_of(keeper, node->out[0]);
    Shape matrix = {.rank = 2, .dims = {DIM_UNKNOWN, last_of(&own->type)}};
    const char *axis = is_elementwise(node) ? NULL : row_axis(node, own->type.rank);
    int64_t last = -1;
    for (int i = 0; i < node->n_in; i++) {
        const Rows *rows = rows_of(keeper, node->in[i]);
        Value *x = node->in[i];
        if (x == NULL || x->constant != NULL)
            continue;
        if (rows == NULL)
            TRY(add_matrix(keeper, node, x, &x));
        node_set_input(node, i, rows == NULL ? x : rows->matrix);
    }
    if (axis != NULL && strcmp(axis, "axis") == 0)
        node_set_int(node, axis, last);
    else if (axis != NULL)
        node_set_ints(node, axis, &last, 1);
    node->out[0]->type = type_tensor(node->out[0]->type.dtype, &matrix);
    return ops_infer_node(node);
}

/* A Reshape to heads reads the matrix: B,S (as zeros, or as they are) and sizes. */
static Status reshape_matrix(Node *node, const Rows *rows, bool *ret_done)
{
    const Tensor *to = pass_constant(node, 1);
    int leading = rows->type.rank - 1, n_tail = to == NULL ? 0 : (int)to->count - leading;
    int64_t tail[TENSOR_MAX_RANK];
    Value *shape = NULL;
    *ret_done = false;
    if (to == NULL || n_tail < 1 || to->count > TENSOR_MAX_RANK || node_int(node, "allowzero", 0) != 0)
        return NULL;
    for (int i = 0; i < (int)to->count; i++) {
        int64_t size = tensor_get_int(to, i);
        if (i < leading ? size != 0 : size == 0)
            return NULL;
        if (i >= leading)
            tail[i - leading] = size;
    }
    TRY(shape_with(node, rows->shape, leading, n_tail, tail, &shape));
    if (shape == NULL)
        return NULL;
    node_set_input(node, 0, rows->matrix);
    node_set_input(node, 1, shape);
    *ret_done = true;
    return ops_infer_node(node);
}

/* The value with its sizes, for readers that are no rows; it was changed in place. */
static Status add_back(Keeper *keeper, const Value *value, const Rows *rows, Value **ret)
{
    Node *before = value->producer->next;
    Value *shape = NULL;
    int64_t last = last_of(&rows->type).size;
    TRY(shape_with(before, rows->shape, rows->type.rank - 1, 1, &last, &shape));
    Node *reshape = pass_add_node(keeper->graph, before, "Reshape", "", 2, (Value *[]){rows->matrix, shape});
    TRY(ops_infer_node(reshape));
    decide_like(keeper, reshape, value);
    *ret = reshape->out[0];
    return NULL;
}

/* Readers that are no rows: a flatten goes, a Reshape reads the matrix, all others get the sizes back. */
static Status serve_readers(Keeper *keeper, Value *value)
{
    const Rows *rows = rows_of(keeper, value);
    size_t n = value->n_uses;
    Use *uses = arena_copy(keeper->context->scratch, value->uses, n * sizeof uses[0]);
    Value *back = NULL;
    for (size_t i = 0; i < n; i++) {
        Node *reader = uses[i].node;
        bool done = converts(keeper, reader);
        if (!done && uses[i].input == 0 && flattens(keeper, reader)) {
            TRY(pass_replace_node(reader, rows->matrix));
            done = true;
        }
        if (!done && uses[i].input == 0 && node_is(reader, "Reshape"))
            TRY(reshape_matrix(reader, rows, &done));
        if (done || rows->matrix != value)
            continue;
        if (back == NULL)
            TRY(add_back(keeper, value, rows, &back));
        node_set_input(reader, uses[i].input, back);
    }
    if (back != NULL) {
        decide_by_readers(keeper, back);
        decide_by_readers(keeper, value);
    }
    return NULL;
}

/* Reshape, flatten: the flatten alone. */
static void join_flatten(const Keeper *keeper, Node *node)
{
    Node *before = flattens(keeper, node) ? node->in[0]->producer : NULL;
    if (before == NULL || !node_is(before, "Reshape") || before->graph != node->graph ||
        quant_fate(keeper->context->plan, before) != quant_fate(keeper->context->plan, node))
        return;
    node_set_input(node, 0, before->in[0]);
    pass_remove_dead(before);
}

static Status keep_rows(Keeper *keeper)
{
    find_rows(keeper);
    int rounds = 0;
    while (rounds < MOST_ROUNDS && !take_out(keeper))
        rounds++;
    if (rounds == MOST_ROUNDS)
        return NULL;
    for (Node *node = keeper->graph->first; node != NULL; node = node->next)
        if (converts(keeper, node)) {
            TRY(convert(keeper, node));
            ++*keeper->context->changes;
        }
    for (Node *node = keeper->graph->first, *next; node != NULL; node = next) {
        if (node->out[0] != NULL && rows_of(keeper, node->out[0]) != NULL)
            TRY(serve_readers(keeper, node->out[0]));
        else
            join_flatten(keeper, node);
        next = node->next; /* not before: readers behind it may be gone by now */
    }
    for (Node *node = keeper->graph->first, *next; node != NULL; node = next) { /* at last: they hold what shapes are made of */
        next = node->next;
        if (is_back(node))
            pass_remove_dead(node);
    }
    return NULL;
}

static Status run(PassContext *context)
{
    const Model *model = context->model;
    if (!context->target->open_products)
        return NULL;
    Keeper keeper = {.context = context,
                     .graph = model->graph,
                     .rows = arena_array(context->scratch, model->n_ids, sizeof keeper.rows[0]),
                     .converts = arena_array(context->scratch, model->n_node_ids, sizeof keeper.converts[0]),
                     .flattens = arena_array(context->scratch, model->n_node_ids, sizeof keeper.flattens[0]),
                     .n_values = model->n_ids,
                     .n_nodes = model->n_node_ids};
    return keep_rows(&keeper);
}

const Pass pass_quantize_keep_rows = {
    .name = "quantize_keep_rows",
    .stage = PASS_QUANTIZE,
    .summary = "leaves out the Reshapes between products that are matrices: what stands there works on rows",
    .run = run,
};
