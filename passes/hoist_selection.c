/* hoist_selection.c - what is taken from a result is taken before it is computed.
 *
 *     x: BxSx64 -> MatMul -> Add -> Erf ... -> Gather [0] axis 1            (a classifier reads the first token)
 * ->
 *     x -> Gather [[0]] axis 1 -> MatMul -> Add -> Erf ... -> Squeeze       (S times less to do)
 *
 * In the last layer of a transformer that classifies by one token, only keys and values need the others. From the selection
 * upwards all nodes are found whose results nobody but the selection sees and that work on each index of the axis by itself;
 * where that ends, what they read is selected. Only when a product is among them, and when little is selected.
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

#include <string.h>

#define MAX_IN 8
#define MAX_MOVED 4096
#define FEW 4 /* indices of an open axis that are certainly a small part of it */

/* A node that computes the selected part alone: axis is that of its output, in[i] that of input i or -1: all of it is read. */
typedef struct Move {
    Node *node;
    int axis;
    int in[MAX_IN];
    int64_t *target; /* of a Reshape: its new one, made while all shapes are as they were; of others NULL */
} Move;

typedef struct Seen {
    uint32_t selection;  /* the number of the selection that came here last */
    uint32_t uses;       /* of the value, by nodes that move */
    int axis;
    bool clash;          /* it is selected along two axes */
    bool moves;          /* its producer does */
    Value *selected;     /* along axis, once it is made */
} Seen;

typedef struct Sweep {
    Seen *seen;          /* by value id; later values do not move in this sweep */
    uint32_t n_seen, selection;
    Move *moves;
    int n_moves, cap_moves;
} Sweep;

/* ---- which axis of the inputs stands behind an axis of the output ------------------------------------------------ */

typedef bool (*AxisRule)(const Node *node, int axis, int *in);

/* Of an operand of a numpy broadcast: `back` is the axis counted from the end, 1 the last. -1: it has no such axis. */
static bool broadcast_axis(const Node *node, int i, int back, Dim size, int *ret)
{
    Shape shape = infer_shape(node, i);
    if (shape.rank < 0)
        return false;
    *ret = shape.rank - back;
    if (*ret < 0 || shape.dims[*ret].size == 1)
        *ret = -1;
    return *ret < 0 || dim_equal(shape.dims[*ret], size);
}

static bool axis_elementwise(const Node *node, int axis, int *in)
{
    const Shape *out = &node->out[0]->type.shape;
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] != NULL && !broadcast_axis(node, i, out->rank - axis, out->dims[axis], &in[i]))
            return false;
    return true;
}

/* Softmax: every index but those along its axis by itself; the default is that of opset 13. */
static bool axis_softmax(const Node *node, int axis, int *in)
{
    int rank = node->out[0]->type.shape.rank;
    int64_t own = node_int(node, "axis", -1);
    in[0] = axis;
    return own + (own < 0 ? rank : 0) != axis;
}

/* LayerNormalization: the axes in front of its own, along which scale and bias must not vary. */
static bool axis_norm(const Node *node, int axis, int *in)
{
    int rank = node->out[0]->type.shape.rank;
    int64_t own = node_int(node, "axis", -1);
    own += own < 0 ? rank : 0;
    for (int i = 1; i < node->n_in; i++) {
        int parameters = node->in[i] != NULL ? infer_shape(node, i).rank : 0;
        if (parameters < 0 || parameters > rank - own)
            return false;
    }
    in[0] = axis;
    return own > axis;
}

static bool axis_reduce(const Node *node, int axis, int *in)
{
    int n, axes[TENSOR_MAX_RANK], rank = infer_shape(node, 0).rank;
    if (rank < 1 || !pass_read_axes(node, rank, &n, axes))
        return false;
    bool reduced[TENSOR_MAX_RANK] = {false};
    for (int i = 0; i < n; i++)
        reduced[axes[i]] = true;
    in[0] = axis;
    if (node_int(node, "keepdims", 1) == 0)
        for (int i = 0; i <= in[0] && i < rank; i++)
            in[0] += reduced[i];
    return in[0] < rank && !reduced[in[0]];
}

/* Rows of the left side, and what both sides have in front; the columns of the right side stay whole. */
static bool axis_matmul(const Node *node, int axis, int *in)
{
    const Shape *out = &node->out[0]->type.shape;
    int back = out->rank - axis, left = infer_shape(node, 0).rank;
    if (left < 2 || infer_shape(node, 1).rank < 2 || back == 1)
        return false;
    if (back == 2) {
        in[0] = left - 2;
        return true;
    }
    return broadcast_axis(node, 0, back, out->dims[axis], &in[0]) && broadcast_axis(node, 1, back, out->dims[axis], &in[1]);
}

static bool axis_gemm(const Node *node, int axis, int *in)
{
    Shape bias = node_in(node, 2) != NULL ? infer_shape(node, 2) : shape_of(0, NULL);
    in[0] = 0;
    return axis == 0 && node_int(node, "transA", 0) == 0 &&
           (bias.rank == 0 || bias.rank == 1 || (bias.rank == 2 && bias.dims[0].size == 1));
}

static bool axis_transpose(const Node *node, int axis, int *in)
{
    int64_t n;
    const int64_t *perm = node_ints(node, "perm", &n);
    int rank = node->out[0]->type.shape.rank;
    in[0] = perm == NULL ? rank - 1 - axis : axis < n ? (int)perm[axis] : -1;
    return in[0] >= 0;
}

static bool axis_concat(const Node *node, int axis, int *in)
{
    int rank = node->out[0]->type.shape.rank;
    int64_t own = node_int(node, "axis", 0);
    for (int i = 0; i < node->n_in; i++)
        in[i] = axis;
    return own + (own < 0 ? rank : 0) != axis;
}

/* The new target of a Reshape, all of whose axes up to this one are those of the input. */
static bool reshape_target(const Node *node, int axis, int64_t *ret)
{
    Shape from = infer_shape(node, 0), to = node->out[0]->type.shape;
    int unknown = 0;
    for (int i = 0; i < to.rank; i++) {
        if (i <= axis && (i >= from.rank || !dim_equal(from.dims[i], to.dims[i])))
            return false;
        ret[i] = i <= axis ? 0 : to.dims[i].size;
        if (i > axis && ret[i] == 0)
            return false;
        unknown += ret[i] < 0;
    }
    return unknown <= 1;
}

static bool axis_reshape(const Node *node, int axis, int *in)
{
    int64_t target[TENSOR_MAX_RANK];
    in[0] = axis;
    return reshape_target(node, axis, target);
}

static const struct Row {
    const char *op_type;
    AxisRule rule;
} rows[] = { /* besides what is elementwise */
    {"Concat", axis_concat},
    {"Gemm", axis_gemm},
    {"LayerNormalization", axis_norm},
    {"MatMul", axis_matmul},
    {"RMSNormalization", axis_norm},
    {"ReduceL2", axis_reduce},
    {"ReduceMax", axis_reduce},
    {"ReduceMean", axis_reduce},
    {"ReduceMin", axis_reduce},
    {"ReduceSum", axis_reduce},
    {"ReduceSumSquare", axis_reduce},
    {"Reshape", axis_reshape},
    {"Softmax", axis_softmax},
    {"Transpose", axis_transpose},
};

/* Does the node work on each index of this axis of its output by itself? Fills *move. */
static bool rule_allows(PassContext *context, Node *node, int axis, Move *move)
{
    if (node->def == NULL || node->domain[0] != '\0' || node->n_out != 1 || node->n_in < 1 || node->n_in > MAX_IN)
        return false;
    const struct Row *row = PASS_ROW(node->op_type, rows);
    *move = (Move){.node = node, .axis = axis};
    for (int i = 0; i < MAX_IN; i++)
        move->in[i] = -1;
    AxisRule rule = row != NULL ? row->rule : pass_is_elementwise(node) ? axis_elementwise : NULL;
    if (rule == NULL || !rule(node, axis, move->in))
        return false;
    if (rule == axis_reshape) {
        move->target = arena_array(context->scratch, TENSOR_MAX_RANK, sizeof move->target[0]);
        return reshape_target(node, axis, move->target);
    }
    return true;
}

/* ---- the selection ----------------------------------------------------------------------------------------------- */

/* The axis that Gather or Slice selects along by constants, when that leaves few of many; else -1. */
static int selected_axis(const Node *node)
{
    Shape in = infer_shape(node, 0);
    int64_t axis = 0, kept;
    if (node->out[0] == NULL || in.rank < 1)
        return -1;
    if (node_is(node, "Gather")) {
        const Tensor *index = pass_constant(node, 1);
        if (index == NULL || index->rank > 1)
            return -1;
        axis = node_int(node, "axis", 0);
        kept = index->count;
    } else {
        const Tensor *starts = pass_constant(node, 1), *ends = pass_constant(node, 2), *axes = pass_constant(node, 3);
        if (!node_is(node, "Slice") || starts == NULL || ends == NULL || starts->count != 1 || ends->count != 1 ||
            (node_in(node, 3) != NULL && axes == NULL) || (node_in(node, 4) != NULL && pass_constant(node, 4) == NULL))
            return -1;
        axis = axes != NULL && axes->count == 1 ? tensor_get_int(axes, 0) : 0;
        Shape out = node->out[0]->type.shape;
        axis += axis < 0 ? in.rank : 0;
        kept = axis >= 0 && axis < out.rank ? out.dims[axis].size : -1;
    }
    axis += axis < 0 ? in.rank : 0;
    if (axis < 0 || axis >= in.rank || kept < 1)
        return -1;
    Dim size = in.dims[axis];
    /* An open first axis is the batch: nobody runs several samples to read one. */
    bool few = dim_is_known(size) ? kept <= size.size / 2 : axis > 0 && kept <= FEW;
    return few ? (int)axis : -1;
}

/* The same selection from `from` along `axis`, all axes kept. */
static Status select_from(const Node *selection, Value *from, int axis, Value **ret)
{
    Graph *graph = selection->graph;
    Value *in[5] = {from};
    for (int i = 1; i < selection->n_in; i++)
        in[i] = selection->in[i];
    int n = selection->n_in;
    if (node_is(selection, "Gather")) {
        const Tensor *index = pass_constant(selection, 1);
        int64_t number = tensor_get_int(index, 0);
        if (index->rank == 0)
            in[1] = graph_add_ints(graph, "index", 1, &number);
    } else {
        const int64_t one = 1;
        Tensor *axes = NULL; /* of the type of the other three */
        TRY(tensor_new(graph->model->arena, pass_constant(selection, 1)->dtype, 1, &one, &axes));
        tensor_set(axes, 0, axis);
        in[3] = graph_add_constant(graph, model_fresh_name(graph->model, "axes"), axes);
        n = n < 4 ? 4 : n;
    }
    Node *before = from->producer != NULL ? from->producer->next : graph->first;
    Node *made = pass_add_node(graph, before, selection->op_type, selection->name, n, in);
    if (node_is(selection, "Gather"))
        node_set_int(made, "axis", axis);
    *ret = made->out[0];
    return ops_infer_node(made);
}

/* ---- what moves -------------------------------------------------------------------------------------------------- */

static Seen *seen_of(Sweep *sweep, const Value *value)
{
    if (value->id >= sweep->n_seen)
        return NULL;
    Seen *seen = &sweep->seen[value->id];
    if (seen->selection != sweep->selection)
        *seen = (Seen){.selection = sweep->selection, .axis = -1};
    return seen;
}

static void add_move(PassContext *context, Sweep *sweep, const Move *move)
{
    if (sweep->n_moves == sweep->cap_moves) {
        int cap = 2 * sweep->cap_moves + 64;
        Move *moves = arena_alloc(context->scratch, (size_t)cap * sizeof(Move));
        if (sweep->n_moves > 0)
            memcpy(moves, sweep->moves, (size_t)sweep->n_moves * sizeof(Move));
        sweep->moves = moves;
        sweep->cap_moves = cap;
    }
    sweep->moves[sweep->n_moves++] = *move;
}

/* Input i of a node that moves is selected along `axis`; once all its readers do so, its producer moves if it can. */
static void reach(PassContext *context, Sweep *sweep, Value *value, int axis)
{
    Seen *seen = seen_of(sweep, value);
    Move move;
    if (seen == NULL)
        return;
    seen->clash = seen->clash || (seen->axis >= 0 && seen->axis != axis);
    seen->axis = axis;
    seen->uses++;
    if (seen->clash || seen->uses != value->n_uses || value->n_outputs > 0 || value->producer == NULL ||
        value->producer->graph != value->graph || value->type.kind != TYPE_TENSOR || value->type.shape.rank <= axis ||
        sweep->n_moves == MAX_MOVED || !rule_allows(context, value->producer, axis, &move))
        return;
    seen->moves = true;
    add_move(context, sweep, &move);
}

/* All nodes that move for this selection, each behind those that read it; is a product among them? */
static bool collect(PassContext *context, Sweep *sweep, const Node *selection, int axis)
{
    bool product = false;
    sweep->selection++;
    sweep->n_moves = 0;
    reach(context, sweep, selection->in[0], axis);
    for (int k = 0; k < sweep->n_moves; k++) {
        Move move = sweep->moves[k]; /* the list may move */
        product = product || node_is(move.node, "MatMul") || node_is(move.node, "Gemm");
        for (int i = 0; i < move.node->n_in; i++)
            if (move.in[i] >= 0 && move.node->in[i]->graph == selection->graph)
                reach(context, sweep, move.node->in[i], move.in[i]);
    }
    return product;
}

/* Can every value that is selected be: inputs of an outer graph cannot be told apart here. */
static bool stands_inside(const Sweep *sweep, const Graph *graph)
{
    for (int k = 0; k < sweep->n_moves; k++)
        for (int i = 0; i < sweep->moves[k].node->n_in; i++)
            if (sweep->moves[k].in[i] >= 0 && sweep->moves[k].node->in[i]->graph != graph)
                return false;
    return true;
}

static Status apply(Sweep *sweep, const Node *selection, const Move *move)
{
    Node *node = move->node;
    for (int i = 0; i < node->n_in; i++) {
        Value *value = node->in[i];
        Seen *seen = move->in[i] >= 0 ? seen_of(sweep, value) : NULL;
        if (move->in[i] < 0 || (seen != NULL && seen->moves))
            continue;
        Value *selected = seen != NULL && seen->axis == move->in[i] ? seen->selected : NULL;
        if (selected == NULL)
            TRY(select_from(selection, value, move->in[i], &selected));
        if (seen != NULL && seen->axis == move->in[i])
            seen->selected = selected;
        node_set_input(node, i, selected);
    }
    if (move->target != NULL) {
        int rank = node->out[0]->type.shape.rank;
        Node *shaper = node->in[1]->producer;
        node_set_input(node, 1, graph_add_ints(node->graph, "shape", rank, move->target));
        node_remove_attr(node, "allowzero");
        if (shaper != NULL)
            pass_remove_dead(shaper);
    }
    node->out[0]->type.shape = shape_unknown();
    node->out[0]->origin = NULL; /* what the file said of it held for all of it */
    return ops_infer_node(node);
}

static Status visit(PassContext *context, Node *node)
{
    Sweep *sweep = context->own;
    int axis = node_in(node, 0) != NULL && node->in[0]->graph == node->graph ? selected_axis(node) : -1;
    if (axis < 0 || !collect(context, sweep, node, axis) || !stands_inside(sweep, node->graph))
        return NULL;
    Value *data = node->in[0];
    for (int k = sweep->n_moves; k-- > 0;)
        TRY(apply(sweep, node, &sweep->moves[k]));
    ++*context->changes;
    if (!node_is(node, "Gather") || pass_constant(node, 1)->rank == 1)
        return pass_replace_node(node, data);
    int64_t at = axis;
    Value *in[2] = {data, graph_add_ints(node->graph, "axes", 1, &at)};
    Node *squeeze = pass_add_node(node->graph, node, "Squeeze", node->name, 2, in);
    TRY(ops_infer_node(squeeze));
    return pass_replace_node(node, squeeze->out[0]);
}

static Status run(PassContext *context)
{
    Sweep sweep = {.n_seen = context->model->n_ids};
    sweep.seen = arena_alloc(context->scratch, ((size_t)sweep.n_seen + 1) * sizeof(Seen));
    context->own = &sweep;
    Status status = pass_each_node(context, visit);
    context->own = NULL;
    return status;
}

const Pass pass_hoist_selection = {
    .name = "hoist_selection",
    .stage = PASS_SIMPLIFY,
    .ops = "Gather Slice",
    .summary = "one token or few that are taken from a result are taken before it is computed",
    .run = run,
};
