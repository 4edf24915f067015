/* pass.h - graph rewrites: one pass a file, one row a pass in passes.def, run by manager.c.
 *
 * A pass is a verb: eliminate_*, fold_*, fuse_*, hoist_*, raise_*, quantize_*. It sees the model and, when quantizing, the range
 * table and the target; never images or histograms. On any doubt about equality a rewrite is not made.
 */
#ifndef QUANTIZE_PASS_H
#define QUANTIZE_PASS_H

#include "src/ir/ir.h"
#include "src/quant/quant.h"

typedef enum PassStage {
    PASS_RAISE,    /* once, first: constants as initializers, opset to 13 or more */
    PASS_RESTORE,  /* once, of a raised model, when it is quantized and wanted float: --requantize */
    PASS_SIMPLIFY, /* to a fixed point, in the order of the table */
    PASS_TARGET,   /* once, before ranges are measured: forms that the target runs in integers */
    PASS_EQUALIZE, /* once, before ranges are measured: channels share one range */
    PASS_QUANTIZE  /* once, in order */
} PassStage;

struct Roster;
struct OpSet;

typedef struct PassContext {
    Model *model;
    Arena *scratch;              /* rewound after each pass */
    int64_t *changes;            /* the pass adds one for each rewrite */
    int opset;                   /* of PASS_RAISE: raise to it at least; 0: no wish */
    /* of PASS_EQUALIZE, and channels of PASS_QUANTIZE: */
    const ChannelTable *channels; /* of the values that equalize_list() or quantize_bias_list() asks for; NULL: none were seen */
    double strength;             /* 0..1: how much of its spread a value gives to the weights that read it */
    int64_t fold_limit;          /* of fold_constants: as below */
    /* of PASS_TARGET and PASS_QUANTIZE: target; of PASS_QUANTIZE: the others */
    const RangeTable *ranges;
    const Target *target;
    struct QuantPlan *plan;      /* decisions, passes/quantize.h */
    struct Roster *roster;       /* of PASS_SIMPLIFY: the manager's, for pass_each_node */
    const struct OpSet *wanted;  /* what the running pass looks at, NULL: every node */
    void *own;                   /* the pass's: for its visitor */
} PassContext;

typedef Status (*PassVisit)(PassContext *context, Node *node);

typedef struct Pass {
    const char *name;            /* the file's name without .c */
    PassStage stage;
    const char *ops;             /* the ops, a blank between, of the nodes that may start a rewrite; NULL: all. Debug builds
                                    visit the others too and fail where one does */
    const char *summary;         /* one line for --list-passes */
    Status (*run)(PassContext *context);
} Pass;

/* What a pass did over all rounds, for the report. */
typedef struct PassRecord {
    const Pass *pass;
    int64_t changes;
    int nodes_before, nodes_after; /* main graph, before its first and after its last change */
} PassRecord;

size_t pass_count(void);
const Pass *pass_at(size_t i);
const Pass *pass_find(const char *name);
const char *const *pass_names(void);

#define FOLD_LIMIT 4096

typedef struct PassOptions {
    const char *const *disabled; /* NULL-terminated names, or NULL */
    const char *print_after;     /* name, or NULL */
    void (*print)(void *context, const Pass *pass, const Model *model);
    void *print_context;
    int opset;                   /* raise the model to it at least; 0: to what is needed */
    const ChannelTable *channels; /* of PASS_EQUALIZE and PASS_QUANTIZE, as in PassContext */
    double strength;
    int64_t fold_limit;          /* bytes by which a folded constant may be larger than what goes: 0 FOLD_LIMIT, -1 none */
} PassOptions;

/* Runs a stage; the verifier runs after every pass in debug builds (and always once at the end). records: pass_count() rows,
 * zeroed by the caller before the first stage. Failures name the pass and the node. */
MUST_USE Status passes_run(Model *model, PassStage stage, const PassOptions *options, const RangeTable *ranges,
                           const Target *target,
                           struct QuantPlan *plan, PassRecord *records);
int model_count_nodes(const Model *model); /* main graph */

/* equalize_channels.c: asks for the channels of every value that could be equalized: those between two weights, those behind
 * a normalization, or both. The pass changes the values that the table has. */
enum { EQUALIZE_WEIGHTS = 1, EQUALIZE_NORMS = 2 };
void equalize_list(const Model *model, unsigned kinds, ChannelTable *table);

/* quantized_form.c: how the node shows that its model is quantized already, in words: "Q/DQ nodes"; NULL: it does not. */
const char *pass_quantized_form(const Node *node);

/* The ops that work element by element over the numpy broadcast of their inputs, in order of their names: for pass_is_elementwise()
 * and, as PASS_WORD makes words of them, for a pass's list of ops. */
#define PASS_ELEMENTWISE(OP)                                                                                           \
    OP("Abs") OP("Add") OP("And") OP("Cast") OP("Ceil") OP("Clip") OP("Cos") OP("Div") OP("Elu") OP("Equal") OP("Erf") \
    OP("Exp") OP("Floor") OP("Gelu") OP("Greater") OP("GreaterOrEqual") OP("HardSigmoid") OP("HardSwish")              \
    OP("LeakyRelu") OP("Less") OP("LessOrEqual") OP("Log") OP("Max") OP("Mean") OP("Min") OP("Mish") OP("Mul")         \
    OP("Neg") OP("Not") OP("Or") OP("Pow") OP("Reciprocal") OP("Relu") OP("Round") OP("Selu") OP("Sigmoid") OP("Sign") \
    OP("Sin") OP("Softplus") OP("Sqrt") OP("Sub") OP("Sum") OP("Swish") OP("Tanh") OP("Where") OP("Xor")
#define PASS_WORD(op) op " "

/* helpers.c: what several passes need */
/* The row of this op, or NULL, in a table in order of the names that its rows begin with. */
const void *pass_find_row(const char *op_type, const void *rows, size_t n, size_t size);
#define PASS_ROW(op_type, rows) pass_find_row(op_type, rows, COUNT_OF(rows), sizeof((rows)[0]))
bool pass_is_elementwise(const Node *node); /* one of PASS_ELEMENTWISE */
bool pass_is_unary(const Node *node);       /* and of one value; Clip's bounds do not count */
/* Moves an owned tensor into the life of the model. */
Tensor *pass_keep_tensor(Model *model, Tensor *from);
/* The node's output 0 becomes `replacement` everywhere and the node is removed; graph outputs keep their name (an Identity is
 * left where an input or initializer would have to be renamed). */
MUST_USE Status pass_replace_node(Node *node, Value *replacement);
bool pass_is_scalar_constant(const Value *value, double *ret); /* one-element numeric constant */
/* Removes the producer chain that nobody reads any more. */
void pass_remove_dead(Node *node);
/* True when pass_replace_node() would end without an Identity. */
bool pass_can_replace(const Node *node, const Value *replacement);
/* Constant of input i, or NULL; a graph input with a default that the caller may override is not constant. */
const Tensor *pass_constant(const Node *node, int i);
bool pass_value_is_constant(const Value *value);
/* Output i of the node becomes the initializer `tensor` (in the model's arena) under the same name; a graph output stays
 * behind an Identity. The node must be removed by the caller when its last output is gone. */
MUST_USE Status pass_make_constant(Node *node, int i, Tensor *tensor);
/* A new node before `before` with one fresh output, bound but not inferred: set its attributes, then ops_infer_node(). */
Node *pass_add_node(Graph *graph, Node *before, const char *op_type, const char *name, int n_in, Value *const *in);
/* The same op, attributes and types with other inputs (from->n_in) and fresh outputs, before `before` in `graph`. The node
 * must hold no inner graph. */
Node *pass_copy_node(const Node *from, Graph *graph, Node *before, Value *const *in);
/* Visits every node of the ops that the pass names, inner graphs too (inner nodes before the node that holds them), in
 * topological order. The visitor may remove nodes and add nodes before the one it is given. */
MUST_USE Status pass_each_node(PassContext *context, PassVisit visit);
/* Visits every node of the main graph once, for passes of PASS_TARGET and PASS_QUANTIZE. The visitor may remove the node and what
 * only it reads, and add nodes before it. */
MUST_USE Status pass_each_outer(PassContext *context, PassVisit visit);
/* At least n elements along the axes from `from` on, an open size counting as n. */
bool pass_has_elements(const Shape *shape, int from, int64_t n);
/* The axes of a reduction, from its attribute or constant input, in 0..rank-1; false when they are not known. */
bool pass_read_axes(const Node *node, int rank, int *ret_n, int ret[TENSOR_MAX_RANK]);
/* fuse_transposes.c: a Transpose behind a Transpose takes over its permutation and reads past it. */
bool pass_join_transposes(Node *node);
/* Constant i of an addition, one element or one for each of `columns`, as an initializer of rank 1 with one for each. */
MUST_USE Status pass_column_bias(const Node *add, int i, int64_t columns, Value **ret);
bool node_has_graph(const Node *node); /* If, Loop, Scan and their kin */

/* Input i becomes the initializer `tensor` (in the model's arena): in place when nobody else reads the one that stands there,
 * else under a fresh name. */
void pass_replace_constant(Node *node, int i, Tensor *tensor);
/* The same with the constant that stands there, zeros up to `size` along the axis. */
MUST_USE Status pass_widen_constant(Node *node, int i, int axis, int64_t size);

#endif
