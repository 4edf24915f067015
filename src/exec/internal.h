/* internal.h - what plan.c, integer.c, fuse.c and run.c share; nobody else includes it.
 *
 * Slots are value ids: inner graphs have ids of their own, so one table serves every nesting level of a runner.
 */
#ifndef QUANTIZE_EXEC_INTERNAL_H
#define QUANTIZE_EXEC_INTERNAL_H

#include "src/exec/exec.h"
#include "src/exec/layout.h"
#include "src/ops/ops.h"

#include <pthread.h>

typedef struct GraphPlan GraphPlan;

/* What an implementation prepared for one step and key; a list, newest first. */
typedef struct CacheEntry {
    struct CacheEntry *next;
    void *key;
    size_t key_bytes;
    void *object;
    void (*release)(void *object);
} CacheEntry;

typedef struct Step {
    const Node *node;      /* what runs: a node of the graph, or one made by integer.c for a DQ-op-Q group */
    const Node *shown;     /* the node of the graph it stands for */
    const OpDef *def;
    LayoutRule layout;
    bool integer;          /* a DQ-op-Q group run in integers */
    int number;            /* plan_step_...'s: of the step, of the first part of a joined one */
    const char *problem;   /* why it is no integer step, or NULL */
    int n_captured;        /* outer values read by inner graphs of the node */
    const Value **captured;
    int n_release;         /* values of this graph whose last reader this step is */
    const Value **release;
    int n_parts;           /* the steps a joined one stands for, see fuse.c; 0: not joined */
    struct Step *parts;
    int n_inner;           /* one for each graph attribute */
    GraphPlan **inner;
    pthread_mutex_t *cache_lock; /* the plan's: of those who add to the cache */
    CacheEntry *_Atomic cache;
} Step;

struct GraphPlan {
    const Graph *graph;
    Step *steps;
    int n_steps;
};

struct Plan {
    Arena *arena;
    const Model *model;
    PlanOptions options;
    GraphPlan *main;
    int n_listed;          /* steps of the main graph, joined ones by their parts */
    const Step **listed;
    int n_inputs;
    const Value **inputs;
    pthread_mutex_t cache_lock;
};

/* One end of a DQ-op-Q group: a quantized value with its parameters. */
typedef struct Edge {
    Value *quantized, *scale, *zero_point; /* zero_point may be NULL in the file; made in the plan's arena then */
} Edge;
/* own_weights.c: edges for the float weight and bias of a Conv or Gemm between DQ and Q, whose edges these are (n_in), in the
 * plan's arena; untouched where the runtime leaves them both. */
void integer_own_weights(Arena *arena, const Node *node, Edge *inputs);
Value *integer_constant(Arena *arena, Tensor *tensor); /* it lives in the plan, not in the model */

/* integer.c: for each node of `graph` that is the op of a DQ-op-Q group, replacement[node id] is the integer node that
 * does the work of the group (its Q included); covered[node id] is set for the Q nodes and absorbed activations. For an op
 * that has an integer form but no group around it, problem[node id] says why. */
void integer_groups(const Graph *graph, Arena *arena, const Node **replacement, const char **problem, bool *covered);

/* fuse.c: joins steps of a plan whose order is final; n_ids: of the model's values. */
void fuse_steps(GraphPlan *plan, Arena *arena, uint32_t n_ids);

#endif
