/* eliminate_loop.c - a Loop that runs a known, small number of times gives way to that many copies of its body.
 *
 *     Loop (2, true, v) { i, c, v: w = Add(v, x), s = Mul(x, i) -> c, w, s } -> y, t
 *         ->
 *     Add(v, x) -> w0,  Add(w0, x) -> y,   Mul(x, 0), Mul(x, 1) -> Unsqueeze, Unsqueeze -> Concat -> t
 *
 * The body must leave the condition true. What one iteration does not hand to the next becomes parallel branches by
 * itself. Values of the graphs around are read as before. A body whose nodes hold graphs stays until those are gone.
 * Types that a body declares need not hold for each iteration, so shapes are inferred anew.
 */
#include "passes/inline.h"

#include "src/ops/ops.h"

#include <stdlib.h>

#define MAX_NODES 128 /* made of one Loop; a Loop that runs once may be of any size */

typedef struct Unroll {
    Node *loop;
    Graph *body;
    int64_t trips;
    int n_carried, n_scans;
    Value **carried; /* n_carried: what the next iteration reads */
    Value **scans;   /* n_scans x trips */
} Unroll;

static const Value *without_identity(const Value *value)
{
    while (value->producer != NULL && node_is(value->producer, "Identity") && node_in(value->producer, 0) != NULL)
        value = value->producer->in[0];
    return value;
}

/* The body never ends the loop: it hands on its condition, or true. */
static bool stays_true(const Graph *body)
{
    const Value *condition = without_identity(body->outputs[0]);
    return condition == body->inputs[1] || (pass_value_is_constant(condition) && condition->constant->count == 1 &&
                                            tensor_get(condition->constant, 0) != 0);
}

static bool read_loop(Node *node, Unroll *ret)
{
    const Attr *attr = node_is(node, "Loop") ? node_attr(node, "body") : NULL;
    const Tensor *trips = attr == NULL ? NULL : pass_constant(node, 0), *condition = attr == NULL ? NULL : pass_constant(node, 1);
    if (trips == NULL || trips->count != 1 || attr->kind != ATTR_GRAPH || attr->g == NULL ||
        (node_in(node, 1) != NULL && (condition == NULL || condition->count != 1)))
        return false;
    Graph *body = attr->g;
    *ret = (Unroll){.loop = node, .body = body, .trips = MAX(tensor_get_int(trips, 0), 0), .n_carried = MAX(node->n_in - 2, 0)};
    ret->n_scans = node->n_out - ret->n_carried;
    if (condition != NULL && tensor_get(condition, 0) == 0)
        ret->trips = 0;
    if (ret->n_scans < 0 || body->n_inputs != ret->n_carried + 2 || body->n_outputs != node->n_out + 1 ||
        !inline_is_plain(body))
        return false;
    for (int i = 0; i < ret->n_carried; i++)
        if (node->in[i + 2] == NULL)
            return false;
    for (int i = ret->n_carried; i < node->n_out; i++) { /* of no iteration: a shape that need not be known; stacks of lists */
        const Value *out = node->out[i];
        if (out != NULL && (ret->trips == 0 || body->outputs[i + 1]->type.kind != TYPE_TENSOR))
            return false;
    }
    return (ret->trips == 1 || ret->trips <= MAX_NODES / (body->n_nodes + ret->n_scans + 1)) &&
           (ret->trips == 0 || stays_true(body));
}

static Status run_body(PassContext *context, Unroll *unroll, const Map *constants, int64_t iteration)
{
    Graph *body = unroll->body, *graph = unroll->loop->graph;
    Map *moved = map_new();
    for (int i = 0; i < body->n_initializers; i++)
        map_put(moved, body->initializers[i]->name, map_get(constants, body->initializers[i]->name));
    map_put(moved, body->inputs[0]->name, graph_add_scalar(graph, "iteration", DT_INT64, (double)iteration));
    map_put(moved, body->inputs[1]->name, graph_add_scalar(graph, "condition", DT_BOOL, 1));
    for (int i = 0; i < unroll->n_carried; i++)
        map_put(moved, body->inputs[i + 2]->name, unroll->carried[i]);
    Status status = inline_nodes(context, body, unroll->loop, moved, true);
    for (int i = 0; i < unroll->n_carried; i++)
        unroll->carried[i] = inline_find(moved, body, body->outputs[i + 1]);
    for (int i = 0; i < unroll->n_scans; i++)
        unroll->scans[i * unroll->trips + iteration] = inline_find(moved, body, body->outputs[unroll->n_carried + i + 1]);
    map_free(moved);
    return status;
}

static Status stack(const Unroll *unroll, Value **items, Value **ret)
{
    Node *loop = unroll->loop;
    Graph *graph = loop->graph;
    Value *axes = graph_add_ints(graph, "axes", 1, (int64_t[]){0});
    for (int64_t k = 0; k < unroll->trips; k++) {
        Node *unsqueeze = pass_add_node(graph, loop, "Unsqueeze", loop->name, 2, (Value *[]){items[k], axes});
        TRY(ops_infer_node(unsqueeze));
        items[k] = unsqueeze->out[0];
    }
    *ret = items[0];
    if (unroll->trips == 1)
        return NULL;
    Node *concat = pass_add_node(graph, loop, "Concat", loop->name, (int)unroll->trips, items);
    node_set_int(concat, "axis", 0);
    TRY(ops_infer_node(concat));
    *ret = concat->out[0];
    return NULL;
}

static Status replace_outputs(const Unroll *unroll)
{
    Node *loop = unroll->loop;
    for (int i = 0; i < loop->n_out; i++) {
        Value *replacement = i < unroll->n_carried ? unroll->carried[i] : NULL;
        if (loop->out[i] == NULL || (loop->out[i]->n_uses == 0 && loop->out[i]->n_outputs == 0))
            continue;
        if (replacement == NULL)
            TRY(stack(unroll, unroll->scans + (i - unroll->n_carried) * unroll->trips, &replacement));
        TRY(inline_replace_output(loop, loop->out[i], replacement));
    }
    return NULL;
}

static Status visit(PassContext *context, Node *node)
{
    Unroll unroll;
    if (!read_loop(node, &unroll))
        return NULL;
    Map *constants = map_new();
    unroll.carried = arena_array(context->scratch, (size_t)unroll.n_carried + 1, sizeof(Value *));
    unroll.scans = arena_array(context->scratch, (size_t)unroll.n_scans * (size_t)unroll.trips + 1, sizeof(Value *));
    for (int i = 0; i < unroll.n_carried; i++)
        unroll.carried[i] = node->in[i + 2];
    inline_constants(unroll.body, node, constants);
    Status status = NULL;
    for (int64_t k = 0; k < unroll.trips && status == NULL; k++)
        status = run_body(context, &unroll, constants, k);
    map_free(constants);
    TRY(status);
    TRY(replace_outputs(&unroll));
    node_remove(node);
    ++*context->changes;
    return NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_eliminate_loop = {
    .name = "eliminate_loop",
    .stage = PASS_SIMPLIFY,
    .ops = "Loop",
    .summary = "a Loop that runs a known, small number of times gives way to copies of its body",
    .run = run,
};
