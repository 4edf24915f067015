/* quantize.h - what the quantize_* passes hand to each other: one decision a node, one a value.
 *
 *     quantize_decide ──> QuantPlan ──> quantize_absorb ──> quantize_weights ──> quantize_activations
 */
#ifndef QUANTIZE_QUANTIZE_H
#define QUANTIZE_QUANTIZE_H

#include "src/ir/ir.h"
#include "src/ops/ops.h"
#include "src/quant/quant.h"

typedef enum NodeFate {
    FATE_FLOAT,    /* stays as it is */
    FATE_INTEGER,  /* gets DQ in front and Q behind */
    FATE_ABSORBED  /* Relu or Clip that the Q of its producer does */
} NodeFate;

/* Rows of the report; texts live in the plan's arena. */
typedef struct NodeDecision {
    const char *node, *op_type;
    NodeFate fate;
    const char *reason;     /* why it stays float, "" otherwise */
    const char *runs_as;    /* what the target makes of it: "QLinearConv", "Conv (float)" ... */
    bool weighted;          /* Conv, Gemm, MatMul and their like with constant weights */
    int64_t macs;           /* multiply-accumulates a sample, 0 when it has none or they are not known */
    bool rereads;           /* Mul by a number: what it gives are the integers of its input, read with another scale */
    float rescale;          /* its input 0 is read with the scale times this (HardSigmoid, Tanh); 0: as it is */
    QParams written;        /* of its output's Q, where its DQ reads another scale (Tanh, GELU); scale 0: they are the same */
    double weight_sqnr_db;  /* of its int8 weight; NAN when it has none */
} NodeDecision;

typedef struct ValueDecision {
    const char *name;       /* of the value when its range was taken */
    const Range *range;     /* in the range table: its own, or that of the value it follows from */
    bool quantized;         /* a Q/DQ pair stands behind it */
    bool by_integer;        /* its producer is an integer node: only the quantized form exists */
    QParams params;
    uint32_t scale_of;      /* id of the value whose scale this one has: its own, or that of the input of a same-scale op */
    Value *scale, *zero_point; /* initializers, once made; at the value scale_of */
} ValueDecision;

/* What the inputs of weighted nodes are like: by node id, NULL for those not looked at. */
typedef struct MomentTable {
    Moments **rows;
    uint32_t n;
} MomentTable;

typedef struct QuantPlan {
    Arena *arena;
    NodeDecision *nodes;    /* by node id, n_node_ids of the model when decided; op_type NULL: no such node */
    uint32_t n_nodes;
    ValueDecision *values;  /* by value id, likewise */
    uint32_t n_values;
    ElementCounts counts;   /* of one sample, for MACs; may be empty */
    bool integer_gelu;      /* GELU behind integers becomes a table and a product of bytes */
    bool ignore_costs;      /* nodes that would be slower in integers are quantized all the same */
    const char *const *kept_float; /* by node id: why the node must stay float, NULL: it need not; or NULL: no node must */
    const MomentTable *moments; /* weights are rounded by them; NULL: to the nearest */
} QuantPlan;

/* ---- quantize_watch.c: what calibration must see so that quantize_decide can decide ---------------------------------- */

/* The value whose range this one's is: what goes into a Relu that is absorbed has the range of what comes out of it, what
 * only comes in another order has that of what went in. The value itself otherwise. */
const Value *quant_range_source(const Value *value);
/* Relu, or Clip from 0 up to a positive constant: what a Q with its zero point at the least q does by saturating. NULL, or
 * why not. */
const char *quant_absorb_problem(const Node *node);
bool quant_reads(const QuantRule *rule, int i); /* input i is data that is quantized */
/* The operand of a Mul by one positive number, which is a matter of the scale alone; -1: it is no such node. */
int quant_scaled_operand(const Node *node, float *ret_factor);
/* By value id, in arena. */
const WatchLevel *quant_watch_levels(const Model *model, const Target *target, Arena *arena);

struct PassContext;

/* ---- quantize_bias.c ------------------------------------------------------------------------------------------------- */

/* Asks for the channels of every value whose mean a correction needs; PassOptions.channels takes the table to PASS_QUANTIZE. */
void quantize_bias_list(const Model *model, ChannelTable *table);
/* The node's float bias (one of its own, new where there was none) makes up for what its weight's rounding adds to the mean of each
 * output channel. Nothing happens where no channels were seen. */
MUST_USE Status quantize_correct_bias(struct PassContext *context, Node *node, const Tensor *q, const Tensor *scales, int axis);

/* ---- quantize_rounding.c --------------------------------------------------------------------------------------------- */

/* Inputs that an output channel of the node's weight multiplies, and the groups of these; false: its weights are rounded to the
 * nearest. */
bool quantize_rounding_shape(const Node *node, int64_t *ret_groups, int64_t *ret_length);
/* Rounds q anew where the plan has moments of the node. */
void quantize_round_weight(const struct PassContext *context, const Node *node, const Tensor *scales, Tensor *q);

/* ---- quantize_groups.c: one scale for all that meet in a Concat ------------------------------------------------------ */

typedef struct ScaleGroups ScaleGroups;
/* Of the candidates (by node id) that lead (by value id of their output) to a weighted op; lives in scratch. */
ScaleGroups *scale_groups_new(struct PassContext *context, const bool *candidate, const bool *leads);
/* The range of the value's group and the id its scale is kept under; false: it meets nothing in a Concat. */
bool scale_group_range(const ScaleGroups *groups, const Value *value, uint32_t *ret_id, float *ret_low, float *ret_high);

/* ---- quantize_plan.c ------------------------------------------------------------------------------------------------- */

QuantPlan *quant_plan_new(const Model *model);
void quant_plan_grow(QuantPlan *plan, const Model *model); /* rows for nodes and values made since; those there may move */
void quant_plan_free(QuantPlan *plan); /* NULL is fine */
/* quantize_spectra.c: by node id, the weighted nodes that make a spectrogram in front of a Log; lives in scratch. */
bool *quantize_find_spectra(const Model *model, Arena *scratch);
NodeFate quant_fate(const QuantPlan *plan, const Node *node); /* FATE_FLOAT for nodes made since */
ValueDecision *quant_value_decision(const QuantPlan *plan, const Value *value); /* NULL for values made since */

/* quantize_average_pool.c: why the AveragePool cannot become a convolution; NULL: it can. */
const char *quant_average_problem(const Node *node);

/* quantize_merge_groups.c: how many groups of a convolution become one; 1: none do. */
int64_t quant_groups_merged(const Target *target, const Node *node);

/* quantize_cost.c: marks (by node id) the nodes of islands that would be slower in integers than in float, or all of a very quick
 * model that would, with a reason in the plan; false when there are none, or no sizes to tell by. */
bool quantize_find_costly(const Graph *graph, QuantPlan *plan, Arena *scratch, bool *marks);

#endif
