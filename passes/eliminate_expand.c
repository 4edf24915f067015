/* eliminate_expand.c - what broadcasting does anyway is not written out.
 *
 *     x / Expand(c, shape of x)                                              ->  x / c
 *     x: Bx4xSxS + Where(And(m: Bx1x1xS, t: 1x1xSx1, true everywhere), 0, k) ->  x + Where(And(m, true), 0, k)
 *     x: BxSx64 + Gather(table: 1x64, i: BxS)                                ->  x + the table's only row
 *
 * An input of an elementwise op that is a smaller value spread out (the Expand of one, one number everywhere, one row of a
 * table) gives way to the smaller one. That may make the output smaller too; then all its readers must be elementwise ops to
 * whom that is the same, down to those whose other input has the full shape, and no two ways may meet before.
 */
#include "passes/bounds.h"
#include "passes/pass.h"

#include "src/ops/ops.h"

#define MAX_NARROWED 32 /* nodes looked at for one rewrite */

/* The shape of the output when `wide` is of shape `narrow`; unknown rank where it cannot be told. */
static Shape narrowed_shape(const Node *node, const Value *wide, const Shape *narrow)
{
    Shape shape = shape_of(0, NULL);
    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] == NULL)
            continue;
        Shape in = node->in[i] == wide ? *narrow : infer_shape(node, i), before = shape;
        Status failed = in.rank < 0 ? NULL : shape_broadcast(&before, &in, &shape);
        if (in.rank < 0 || failed != NULL) {
            status_free(failed);
            return shape_unknown();
        }
    }
    return shape;
}

/* The nodes that one rewrite would touch. */
typedef struct Walk {
    const Node *nodes[MAX_NARROWED];
    int n;
} Walk;

static bool reader_allows(const Node *node, const Value *wide, const Shape *narrow, Walk *walk);

/* No earlier input of the node is the same value. */
static bool is_first_use(const Use *use)
{
    for (int i = 0; i < use->input; i++)
        if (use->node->in[i] == use->node->in[use->input])
            return false;
    return true;
}

/* Is it the same to all readers of `wide` when it is of shape `narrow`? */
static bool readers_allow(const Value *wide, const Shape *narrow, Walk *walk)
{
    for (uint32_t u = 0; u < wide->n_uses; u++)
        if (is_first_use(&wide->uses[u]) && !reader_allows(wide->uses[u].node, wide, narrow, walk))
            return false;
    return wide->n_outputs == 0;
}

/* A node that is reached on two ways is refused: with both of its inputs smaller its output may be smaller than with either. */
static bool reader_allows(const Node *node, const Value *wide, const Shape *narrow, Walk *walk)
{
    if (walk->n == MAX_NARROWED || !pass_is_elementwise(node) || node->graph != wide->graph)
        return false;
    for (int i = 0; i < walk->n; i++)
        if (walk->nodes[i] == node)
            return false;
    walk->nodes[walk->n++] = node;
    Shape shape = narrowed_shape(node, wide, narrow);
    return shape.rank >= 0 &&
           (shape_equal(&shape, &node->out[0]->type.shape) || readers_allow(node->out[0], &shape, walk));
}

/* The node reads `narrow` in place of `wide`. Where its output becomes smaller a new one takes its place; the old one dies. */
static Status read_narrow(PassContext *context, Node *node, const Value *wide, Value *narrow)
{
    Shape shape = narrowed_shape(node, wide, &narrow->type.shape);
    if (shape_equal(&shape, &node->out[0]->type.shape)) {
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i] == wide)
                node_set_input(node, i, narrow);
        return NULL;
    }
    Value **in = arena_alloc(context->scratch, (size_t)node->n_in * sizeof(Value *));
    for (int i = 0; i < node->n_in; i++)
        in[i] = node->in[i] == wide ? narrow : node->in[i];
    Node *made = pass_copy_node(node, node->graph, node, in);
    made->out[0]->type.shape = shape_unknown();
    TRY(ops_infer_node(made));
    Value *out = node->out[0];
    int n = 0;
    Node **readers = arena_alloc(context->scratch, (out->n_uses + 1) * sizeof(Node *)); /* uses move while they are rewritten */
    for (uint32_t u = 0; u < out->n_uses; u++)
        if (is_first_use(&out->uses[u]))
            readers[n++] = out->uses[u].node;
    for (int i = 0; i < n; i++)
        TRY(read_narrow(context, readers[i], out, made->out[0]));
    return NULL;
}

/* ---- what is spread out ------------------------------------------------------------------------------------------ */

/* The row that Gather takes whatever the index; -1 when there may be several. */
static int64_t only_row(const Node *gather)
{
    const Tensor *table = node_is(gather, "Gather") ? pass_constant(gather, 0) : NULL;
    double index = 0;
    if (table == NULL || table->rank < 1 || table->dims[0] < 1 || node_int(gather, "axis", 0) != 0 ||
        dtype_bits(table->dtype) < 8 || (table->dims[0] != 1 && !bounds_uniform(gather->in[1], &index)))
        return -1;
    index += index < 0 ? (double)table->dims[0] : 0;
    return index >= 0 && index < (double)table->dims[0] ? (int64_t)index : -1;
}

/* An initializer that points at the row of the table. */
static Status point_at_row(Model *model, Graph *graph, const Tensor *table, int64_t index, const char *name, Value **ret)
{
    Tensor *row = arena_alloc(model->arena, sizeof(*row));
    size_t bytes = table->bytes / (size_t)table->dims[0];
    TRY(tensor_view(row, table->dtype, table->rank - 1, table->dims + 1, (char *)table->data + bytes * (size_t)index));
    *ret = graph_add_constant(graph, model_fresh_name(model, name), row);
    return NULL;
}

/* In *ret a value that, broadcast, is `wide`, made where there is none; NULL when `wide` is no such value, or some reader must
 * have all of it. */
static Status find_narrow(PassContext *context, const Node *reader, Value *wide, Value **ret)
{
    const Node *node = wide->producer;
    Graph *graph = reader->graph;
    Walk walk = {.n = 0};
    int64_t row;
    double number;
    *ret = NULL;
    if (node == NULL || wide->type.kind != TYPE_TENSOR || wide->graph != graph)
        return NULL;
    Shape shape = infer_shape(node, 0);
    if (node_is(node, "Expand")) {
        if (node->in[0]->graph == graph && shape.rank >= 0 && reader_allows(reader, wide, &shape, &walk))
            *ret = node->in[0];
    } else if (bounds_uniform(wide, &number)) {
        shape = shape_of(0, NULL);
        if (reader_allows(reader, wide, &shape, &walk))
            *ret = graph_add_scalar(graph, wide->name, wide->type.dtype, number);
    } else if ((row = only_row(node)) >= 0) {
        const Tensor *table = pass_constant(node, 0);
        shape = shape_of(table->rank - 1, table->dims + 1);
        if (reader_allows(reader, wide, &shape, &walk))
            return point_at_row(context->model, graph, table, row, wide->name, ret);
    }
    return NULL;
}

static Status visit(PassContext *context, Node *node)
{
    if (!pass_is_elementwise(node) || (node->out[0]->n_uses == 0 && node->out[0]->n_outputs == 0))
        return NULL;
    for (int i = 0; i < node->n_in; i++) {
        Value *narrow = NULL;
        if (node->in[i] != NULL)
            TRY(find_narrow(context, node, node->in[i], &narrow));
        if (narrow == NULL)
            continue;
        ++*context->changes;
        return read_narrow(context, node, node->in[i], narrow);
    }
    return NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_eliminate_expand = {
    .name = "eliminate_expand",
    .stage = PASS_SIMPLIFY,
    .ops = PASS_ELEMENTWISE(PASS_WORD),
    .summary = "elementwise ops read a value before it is spread out by Expand, or one number or row in place of its copies",
    .run = run,
};
