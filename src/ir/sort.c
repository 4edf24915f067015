/* sort.c - topological order of a graph's nodes.
 *
 * Depth first from each node in the present order, dependencies before the node itself:
 *
 *     c = Add(a, b)   a = Relu(x)   b = Abs(x)     ->     a   b   c
 *
 * so what is in order already stays where it is. A node depends on the producers of its inputs and, when its attributes
 * hold graphs, of all outer values these read. Time and memory: nodes + edges.
 */
#include "src/ir/ir.h"

#include <stdlib.h>

typedef struct Sort {
    Graph *graph;
    Node **nodes;       /* (n,) in the present order; node->order is the index */
    uint32_t *deps;     /* of node i: deps[start[i]] .. deps[start[i + 1] - 1] */
    size_t n_deps, cap_deps;
    size_t *start;      /* (n + 1,) */
} Sort;

static void add_dep(Sort *sort, const Value *value)
{
    if (value == NULL || value->producer == NULL || value->graph != sort->graph)
        return;
    sort->deps = array_reserve(sort->deps, &sort->cap_deps, sort->n_deps + 1, sizeof *sort->deps);
    sort->deps[sort->n_deps++] = value->producer->order;
}

/* Of a node and of all nodes inside it. */
static void add_node_deps(Sort *sort, const Node *node)
{
    for (int i = 0; i < node->n_in; i++)
        add_dep(sort, node->in[i]);
    for (int i = 0; i < node_graph_attrs(node); i++) {
        Graph *const *inner;
        int64_t n = attr_graphs(&node->attrs[i], &inner);
        for (int64_t k = 0; k < n; k++) {
            for (const Node *within = inner[k]->first; within != NULL; within = within->next)
                add_node_deps(sort, within);
            for (int o = 0; o < inner[k]->n_outputs; o++)
                add_dep(sort, inner[k]->outputs[o]);
        }
    }
}

/* Fills order[n] with the nodes sorted. */
static Status visit_all(const Sort *sort, uint32_t n, Node **ret_order)
{
    enum { NEW = 0, OPEN, DONE };
    unsigned char *state = xcalloc(n, 1);
    size_t *next = xcalloc(n, sizeof *next);     /* dependency to look at next */
    uint32_t *stack = xcalloc(n, sizeof *stack); /* open nodes, each depends on the one above it */
    uint32_t depth = 0, sorted = 0;
    Status status = NULL;

    for (uint32_t root = 0; root < n && status == NULL; root++) {
        if (state[root] == NEW) {
            stack[depth++] = root;
            state[root] = OPEN;
            next[root] = sort->start[root];
        }
        while (depth > 0 && status == NULL) {
            uint32_t at = stack[depth - 1];
            if (next[at] == sort->start[at + 1]) {
                state[at] = DONE;
                ret_order[sorted++] = sort->nodes[at];
                depth--;
                continue;
            }
            uint32_t dep = sort->deps[next[at]++];
            if (state[dep] == OPEN)
                status = node_error(sort->nodes[at], CODE_MODEL,
                                    "is part of a cycle: it reads %s, which depends on it; a graph must be acyclic",
                                    node_describe(sort->nodes[dep]));
            if (state[dep] != NEW)
                continue;
            stack[depth++] = dep;
            state[dep] = OPEN;
            next[dep] = sort->start[dep];
        }
    }
    free(state);
    free(next);
    free(stack);
    return status;
}

/* Most files are: then no node has to be touched again. */
static bool is_sorted(const Sort *sort, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        for (size_t k = sort->start[i]; k < sort->start[i + 1]; k++)
            if (sort->deps[k] >= i)
                return false;
    return true;
}

static Status sort_one(Graph *graph)
{
    uint32_t n = 0;
    Sort sort = {.graph = graph};
    if (graph->n_nodes == 0)
        return NULL;
    sort.nodes = xcalloc((size_t)graph->n_nodes, sizeof *sort.nodes);
    sort.start = xcalloc((size_t)graph->n_nodes + 1, sizeof *sort.start);
    Node **order = xcalloc((size_t)graph->n_nodes, sizeof(Node *));
    for (Node *node = graph->first; node != NULL; node = node->next) {
        node->order = n;
        sort.nodes[n++] = node;
    }
    for (uint32_t i = 0; i < n; i++) {
        sort.start[i] = sort.n_deps;
        add_node_deps(&sort, sort.nodes[i]);
    }
    sort.start[n] = sort.n_deps;

    Status status = NULL;
    if (!is_sorted(&sort, n)) {
        status = visit_all(&sort, n, order);
        for (uint32_t i = 0; i < n && status == NULL; i++)
            node_move_before(order[i], NULL);
    }
    free(sort.nodes);
    free(sort.deps);
    free(sort.start);
    free(order);
    return status;
}

Status graph_sort(Graph *graph)
{
    TRY(sort_one(graph));
    for (Node *node = graph->first; node != NULL; node = node->next) {
        for (int i = 0; i < node_graph_attrs(node); i++) {
            Graph *const *inner;
            int64_t n = attr_graphs(&node->attrs[i], &inner);
            for (int64_t k = 0; k < n; k++)
                TRY(graph_sort(inner[k]));
        }
    }
    return NULL;
}
