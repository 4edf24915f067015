/* fuse.h - what the files that join steps share; see fuse.c. Internal to src/exec. */
#ifndef QUANTIZE_EXEC_FUSE_H
#define QUANTIZE_EXEC_FUSE_H

#include "src/exec/internal.h"

enum { PARTS_MAX = 9 };

typedef struct Fuser {
    Arena *arena;
    GraphPlan *plan;
    int *producer; /* step by value id, -1: none */
    int *readers;  /* steps that read it, twice where it stands twice; an output of the graph counts, by value id */
    int *reader;   /* one of them, by value id */
    bool *taken;   /* by step */
} Fuser;

typedef struct Chain {
    int parts[PARTS_MAX]; /* steps in order */
    int n;
    Value *out;           /* of the last part */
    Value *added;
    const char *activation;
    float params[2];
    int n_params;
} Chain;

/* Whether step s is that op and no part of a joined step yet; s < 0 is none. */
bool fuse_is_step(const Fuser *fuser, int s, const char *domain, const char *op_type);
/* The one step that reads a value; -1 when there are more, or none. */
int fuse_only_reader(const Fuser *fuser, const Value *value);
void fuse_append(Chain *chain, int step, Value *out);
/* A node for the place of `like`, with room for n_in inputs and n_attrs attributes, none set. */
Node *fuse_new_node(const Fuser *fuser, const Node *like, const OpDef *def, int n_in, int n_attrs, Value *out);
/* Puts the joined step where the last part stood. */
void fuse_join(Fuser *fuser, const Chain *chain, Node *node);

/* fuse_float.c: try at step s. */
void fuse_bias(Fuser *fuser, int s);
void fuse_gelu(Fuser *fuser, int s);
void fuse_norm(Fuser *fuser, int s);

#endif
