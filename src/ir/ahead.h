/* ahead.h - asks memory for what the visits to come will read, in the order in which one thing leads to the next:
 *
 *     node ── its inputs and outputs, a list ── the values       memory answers in 100 ns, a visit takes 10
 *
 * Prefetches only: no result depends on them, and a pointer may lead nowhere.
 */
#ifndef QUANTIZE_IR_AHEAD_H
#define QUANTIZE_IR_AHEAD_H

#include "src/ir/ir.h"

/* How many visits ahead. */
enum { AHEAD_NODE = 12, AHEAD_LINKS = 8, AHEAD_VALUES = 4 };

/* The two lines of the cache that what is read most stands in: see ir.h. */
static inline void ahead_lines(const void *object)
{
    __builtin_prefetch(object);
    __builtin_prefetch((const char *)object + 64);
}

static inline void ahead_links(const Node *node)
{
    __builtin_prefetch(node->in); /* the outputs stand behind them */
}

static inline void ahead_values(const Node *node)
{
    for (int i = 0; i < MIN(node->n_in, 2); i++)
        if (node->in[i] != NULL)
            ahead_lines(node->in[i]);
    if (node->n_out > 0 && node->out[0] != NULL)
        ahead_lines(node->out[0]);
}

/* A walk along a graph's list: nodes that were made one after the other lie side by side, so the list itself needs no help. */
typedef struct Ahead {
    const Node *links, *values;
} Ahead;

static inline Ahead ahead_of(const Graph *graph)
{
    Ahead ahead = {graph->first, graph->first};
    for (int i = 0; i < AHEAD_LINKS && ahead.links != NULL; i++, ahead.links = ahead.links->next)
        if (i < AHEAD_VALUES)
            ahead.values = ahead.links;
    return ahead;
}

/* Once a visit; the walk must not change the list. */
static inline void ahead_step(Ahead *ahead)
{
    if (ahead->links != NULL) {
        ahead_links(ahead->links);
        ahead->links = ahead->links->next;
    }
    if (ahead->values != NULL) {
        ahead_values(ahead->values);
        ahead->values = ahead->values->next;
    }
}

#endif
