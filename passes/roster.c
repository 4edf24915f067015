/* roster.c - the nodes of a model in the order of a sweep, side by side, with the number of their op: a pass that looks at a few
 * ops finds them without touching the others. In large graphs a step from node to node is a miss of the cache, and there are
 * thirty passes a round.
 *
 *     graph ─ build ─> rows   [ 12  3  3 40 12 ...]   two bytes a node, read by every pass
 *                      nodes  [ *   *  *  *  *  ...]   followed where the row is one that the pass wants
 */
#include "passes/roster.h"

#include <stdlib.h>
#include <string.h>

#include "src/ir/ahead.h"
#include "src/ops/ops.h"

struct Roster {
    Node **nodes;
    uint16_t *rows; /* of ops.def, op_count() for unknown ops */
    uint32_t *places; /* of the nodes that the running sweep wants */
    size_t n, cap, cap_rows, cap_places;
    bool stale;
};

Roster *roster_new(void)
{
    Roster *roster = xcalloc(1, sizeof *roster);
    roster->stale = true;
    return roster;
}

void roster_free(Roster *roster)
{
    if (roster == NULL)
        return;
    free(roster->nodes);
    free(roster->rows);
    free(roster->places);
    free(roster);
}

void roster_forget(Roster *roster)
{
    roster->stale = true;
}

OpSet roster_wanted(const char *ops)
{
    char name[64];
    OpSet ret = {{0}};

    while (*ops != '\0') {
        size_t length = strcspn(ops, " ");
        memcpy(name, ops, MIN(length, sizeof name - 1));
        name[MIN(length, sizeof name - 1)] = '\0';
        size_t row = op_row(op_find("", name, INT32_MAX));
        ret.bits[row / 64] |= UINT64_C(1) << row % 64;
        ops += length;
        ops += *ops == ' ';
    }
    return ret;
}

static bool is_wanted(const OpSet *wanted, size_t row)
{
    return (wanted->bits[row / 64] >> row % 64 & 1) != 0;
}

bool roster_holds(const OpSet *wanted, const Node *node)
{
    return is_wanted(wanted, op_row(node->def));
}

static void add_graph(Roster *roster, Graph *graph)
{
    for (Node *node = graph->first; node != NULL; node = node->next) {
        for (int i = 0; i < node_graph_attrs(node); i++) {
            Graph *const *inner;
            int64_t n = attr_graphs(&node->attrs[i], &inner);
            for (int64_t j = 0; j < n; j++)
                add_graph(roster, inner[j]);
        }
        roster->nodes = array_reserve(roster->nodes, &roster->cap, roster->n + 1, sizeof roster->nodes[0]);
        roster->rows = array_reserve(roster->rows, &roster->cap_rows, roster->n + 1, sizeof roster->rows[0]);
        roster->nodes[roster->n] = node;
        roster->rows[roster->n++] = (uint16_t)op_row(node->def);
    }
}

static void ask_ahead(const Roster *roster, size_t n, size_t at)
{
    if (at + AHEAD_NODE < n)
        ahead_lines(roster->nodes[roster->places[at + AHEAD_NODE]]);
    if (at + AHEAD_LINKS < n)
        ahead_links(roster->nodes[roster->places[at + AHEAD_LINKS]]);
    if (at + AHEAD_VALUES < n)
        ahead_values(roster->nodes[roster->places[at + AHEAD_VALUES]]);
}

/* The places of the wanted nodes, in order. */
static size_t find_places(Roster *roster, const OpSet *wanted)
{
    size_t n = 0;
    roster->places = array_reserve(roster->places, &roster->cap_places, roster->n, sizeof roster->places[0]);
    for (size_t i = 0; i < roster->n; i++) {
        roster->places[n] = (uint32_t)i;
        n += is_wanted(wanted, roster->rows[i]);
    }
    return n;
}

Status roster_each(Roster *roster, const OpSet *wanted, PassContext *context, PassVisit visit)
{
    if (roster->stale) {
        roster->n = 0;
        context->model->steps += (uint64_t)context->model->graph->n_nodes;
        add_graph(roster, context->model->graph);
        roster->stale = false;
    }
    size_t n = find_places(roster, wanted);
    for (size_t i = 0; i < n; i++) {
        Node *node = roster->nodes[roster->places[i]];
        ask_ahead(roster, n, i);
        if (node->graph == NULL) /* gone in this very sweep */
            continue;
        context->model->steps++;
        TRY(visit(context, node));
    }
    return NULL;
}
