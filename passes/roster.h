/* roster.h - which nodes a pass has to look at, see roster.c. */
#ifndef QUANTIZE_ROSTER_H
#define QUANTIZE_ROSTER_H

#include "passes/pass.h"

#define OP_SET_WORDS 8 /* more bits than there are ops; manager.c checks it */

typedef struct OpSet {
    uint64_t bits[OP_SET_WORDS]; /* by row of ops.def */
} OpSet;

typedef struct Roster Roster;

Roster *roster_new(void);
void roster_free(Roster *roster); /* NULL is fine */
void roster_forget(Roster *roster); /* the graph has changed: the next sweep reads it again */
OpSet roster_wanted(const char *ops); /* names of ai.onnx, a blank between */
bool roster_holds(const OpSet *wanted, const Node *node);
/* As pass_each_node, of the wanted ops only; nodes that the sweep itself adds are not met. */
MUST_USE Status roster_each(Roster *roster, const OpSet *wanted, PassContext *context, PassVisit visit);

#endif
