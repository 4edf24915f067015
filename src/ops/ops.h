/* ops.h - what the program knows of each operator: one OpDef an op, one row in ops.def, everything else reads them.
 *
 *     ops.def ── OpDef ── infer     types and shapes of the outputs from those of the inputs
 *                     ├── impls     fast implementations, first that accepts wins (oneDNN)
 *                     ├── eval      the plain reference: any supported dtype, always last, the oracle
 *                     └── quant     how the op behaves in an integer model (a kind, not a routine)
 */
#ifndef QUANTIZE_OPS_H
#define QUANTIZE_OPS_H

#include "src/ir/ir.h"

typedef struct OpDef OpDef;
typedef struct EvalCtx EvalCtx;

#define OP_MAX_VERSIONS 12
#define OP_VARIADIC INT32_MAX
#define DOMAIN_MICROSOFT "com.microsoft"
#define DOMAIN_ML "ai.onnx.ml"

/* ---- attributes: checked against these rows when a model is loaded ----------------------------------------------- */

typedef struct AttrSpec {
    const char *name;
    AttrKind kind;
    bool required;
} AttrSpec;

/* ---- quantization rule: see docs/architecture.md; targets decide which ops they run in integers ------------------ */

typedef enum QuantKind {
    QUANT_FLOAT = 0,    /* no integer form */
    QUANT_WEIGHTED,     /* Conv, Gemm, MatMul: multiply-accumulate in int32, requantized; output has a scale of its own */
    QUANT_ELEMENTWISE,  /* Add, Mul, GlobalAveragePool ...: every edge has its own scale */
    QUANT_SAME_SCALE,   /* moves or selects data (MaxPool, Reshape ...): output has the scale of input 0 */
    QUANT_FIXED_SCALE,  /* Sigmoid, Softmax: output in [0, 1), scale 1/256 and zero point 0 (u8) */
    QUANT_ABSORBED      /* Relu, Clip: vanishes in the Q of its producer */
} QuantKind;

typedef struct QuantRule {
    QuantKind kind;
    unsigned data_inputs;  /* bit i: input i carries data that is quantized; bit 31: all inputs from the highest set bit on */
    int weight;            /* QUANT_WEIGHTED: index of the weight input */
    int bias;              /* QUANT_WEIGHTED: index of the bias input, -1 when the op has none */
    int (*weight_axis)(const Node *node); /* QUANT_WEIGHTED: axis of the output channels in the weight, -1: per tensor only */
} QuantRule;

/* ---- shape inference --------------------------------------------------------------------------------------------- */

/* Reads node->in[i]->type (and ->constant, ->content), writes node->out[i]->type (and ->content). A type that cannot be
 * told is left TYPE_UNKNOWN or with unknown rank or dims; what contradicts itself is CODE_MODEL via node_error(). */
typedef Status (*InferFn)(Node *node);

/* infer.c: helpers for the families' infer functions. None allocates but in the model's arena. */
const Type *infer_type(const Node *node, int i);        /* a TYPE_UNKNOWN type when omitted */
DType infer_dtype(const Node *node, int i);             /* DT_UNDEFINED when unknown */
Shape infer_shape(const Node *node, int i);             /* unknown rank when unknown */
void infer_output(Node *node, int i, DType dtype, const Shape *shape); /* nothing happens when the output is omitted */
/* Elements of a small int64/int32 input as dims, from its constant or its content; -1 when not known. */
int infer_content(const Node *node, int i, Dim *ret, int max); /* returns count, -1 = unknown */
void infer_set_content(Node *node, int i, const Dim *dims, int n);
MUST_USE Status infer_axis(const Node *node, int64_t axis, int rank, int *ret); /* negative counts from the end; checked */
MUST_USE Status infer_same_as_input(Node *node);        /* output 0 = type of input 0 (unary ops) */
MUST_USE Status infer_broadcast(Node *node);            /* output 0: dtype of input 0, numpy broadcast of all inputs */
/* Infers the whole graph in order, inner graphs included, merging with what the file declared: inferred wins where exact,
 * a contradiction with a declared shape is CODE_MODEL. Unknown ops leave their outputs as declared. */
MUST_USE Status ops_infer(Model *model);
/* The same for a model as it was filed: exporters declare wrong shapes (a rank short, a batch fixed), which ONNX Runtime
 * forgives. The op's shape stands, and model->n_contradicted and ->contradiction tell. A contradicted type
 * is CODE_MODEL as ever. */
MUST_USE Status ops_infer_file(Model *model);
MUST_USE Status ops_infer_node(Node *node);

/* ---- evaluation -------------------------------------------------------------------------------------------------- */

/* What an op sees while it runs. Inputs are read only (NULL = omitted). An op asks for each output's buffer with
 * eval_output(), computes, and leaves everything else alone. */
struct EvalCtx {
    const Node *node;
    const OpDef *def;
    int n_in, n_out;
    const Tensor *const *in;
    Tensor *out;                /* zeroed; out[i].data comes from eval_output(); omitted outputs may be skipped: eval_wants() */
    Arena *scratch;             /* rewound after the node; small things. Big scratch: eval_scratch() */
    Team *team;                 /* threads that this run may use, or NULL */
    bool reference;             /* no fast implementations, please */
    bool channels_last;         /* input 0, what FusedConv adds, and output 0 lie N D1..Dk C in memory, their dims are N C D1..Dk
                                   as ever. Only for the ops that src/exec/layout.c says know it */
    struct EvalHost *host;      /* the executor behind the functions below; never read by ops */
    const char *implementation; /* set by op_eval(): the name of what ran, for profiles */
};

/* The buffer of output i: sizes are checked, out[i] is filled, data is uninitialised. */
MUST_USE Status eval_output(EvalCtx *ctx, int i, DType dtype, int rank, const int64_t *dims);
/* The same for an op that reads element k of `input` before it writes element k of the output and never again: it may get the
 * buffer of that input where nobody else reads it. */
MUST_USE Status eval_output_over(EvalCtx *ctx, int i, int input, DType dtype, int rank, const int64_t *dims);
/* Output i is the same bytes as `from` under another shape (Reshape, Squeeze, Identity): may share the buffer. */
MUST_USE Status eval_output_alias(EvalCtx *ctx, int i, const Tensor *from, int rank, const int64_t *dims);
/* Output i is a copy of `from`, which may be a sequence; is the sequence of these elements; is an empty optional. */
MUST_USE Status eval_output_copy(EvalCtx *ctx, int i, const Tensor *from);
MUST_USE Status eval_output_list(EvalCtx *ctx, int i, const Tensor *elements, int64_t n);
MUST_USE Status eval_output_none(EvalCtx *ctx, int i);
/* Bytes for the strings of an output; they live as long as the run, so tensors of strings are copied without them. */
MUST_USE Status eval_text(EvalCtx *ctx, size_t bytes, char **ret);
bool eval_wants(const EvalCtx *ctx, int i);             /* output i exists and is named */
MUST_USE Status eval_scratch(EvalCtx *ctx, size_t bytes, void **ret); /* big scratch, 64-byte aligned, freed after the node */
/* What an implementation prepared for this node and key (packed weights, a primitive): shared by all threads, kept for the
 * life of the plan. Returns NULL when absent. `prepare` results are kept by eval_cache_put, which returns the one that
 * won when two threads raced (the loser is released). */
void *eval_cache_get(EvalCtx *ctx, const void *key, size_t key_bytes);
void *eval_cache_put(EvalCtx *ctx, const void *key, size_t key_bytes, void *object, void (*release)(void *));
bool eval_is_constant(const EvalCtx *ctx, int i);       /* input i is the same tensor on every run */
/* Runs an inner graph (If, Loop, Scan) with its inputs in order; results go to ret[n_outputs], owned. */
MUST_USE Status eval_subgraph(EvalCtx *ctx, const Graph *graph, const Tensor *inputs, int n_inputs, Tensor *ret, int n_ret);
MUST_USE NEVER_NULL Status eval_error(const EvalCtx *ctx, Code code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Upper bound for the times that inner graphs (bodies of Loop and Scan, branches) run in one run of a model; 1048576 unless
 * set. Process-wide, to be set before anything runs. */
void eval_limit_iterations(int64_t limit);

/* The one who runs ops: src/exec for models, the folder of constants, a test. */
typedef struct EvalHost {
    Status (*alloc)(struct EvalHost *host, EvalCtx *ctx, int output, size_t bytes, void **ret);
    Status (*alias)(struct EvalHost *host, EvalCtx *ctx, int output, const Tensor *from, bool *ret_done);
    bool (*reuse)(struct EvalHost *host, EvalCtx *ctx, int output, int input, size_t bytes, void **ret);
    Status (*scratch)(struct EvalHost *host, size_t bytes, void **ret);
    Status (*text)(struct EvalHost *host, size_t bytes, void **ret);
    void *(*cache_get)(struct EvalHost *host, EvalCtx *ctx, const void *key, size_t key_bytes);
    void *(*cache_put)(struct EvalHost *host, EvalCtx *ctx, const void *key, size_t key_bytes, void *object,
                       void (*release)(void *));
    bool (*is_constant)(struct EvalHost *host, const EvalCtx *ctx, int input);
    Status (*subgraph)(struct EvalHost *host, EvalCtx *ctx, const Graph *graph, const Tensor *inputs, int n_inputs,
                       Tensor *ret, int n_ret);
    int64_t iterations; /* times that inner graphs have been run; set to 0 before each run of the model */
} EvalHost; /* alloc is required; a NULL for the others means: never alias or reuse, malloc, no cache, not constant, unsupported */

/* A fast implementation of an op. */
typedef struct OpImpl {
    const char *name;                         /* "onednn" */
    bool (*accepts)(const EvalCtx *ctx);      /* dtypes, ranks, attributes; cheap */
    Status (*eval)(EvalCtx *ctx);
} OpImpl;

/* ---- the definition ---------------------------------------------------------------------------------------------- */

struct OpDef {
    const char *domain;               /* "" = ai.onnx */
    const char *type;
    int versions[OP_MAX_VERSIONS];    /* since-versions it knows, ascending, ended by 0 */
    int min_in, max_in;               /* OP_VARIADIC: no upper bound */
    int min_out, max_out;
    const AttrSpec *attrs;            /* ended by a NULL name; NULL = none */
    InferFn infer;
    Status (*eval)(EvalCtx *ctx);     /* NULL: cannot be executed (named in the error, exit 5) */
    const OpImpl *impls;              /* ended by a NULL name; NULL = none */
    QuantRule quant;
    bool random;                      /* differs from run to run or by position: never folded, never merged */
    bool widen_half;                  /* eval knows no 16-bit floats: op_eval() widens them to float and rounds back */
    bool narrow_double;               /* eval knows no double: computed in float, 24 bits of it are right */
    bool unpack;                      /* eval moves whole bytes: smaller elements go through uint8 */
    bool lists;                       /* takes sequences and optionals; for other ops they are an error */
};

/* Ops that no file can name: the executor makes them of others. */
extern const OpDef op_private_qlineargated; /* op_qelementwise.c */
extern const OpDef op_private_biasedmatmul; /* op_matmul.c: MatMul and a bias (n,), input 2 */

/* registry.c */
const OpDef *op_find(const char *domain, const char *type, int opset); /* NULL when unknown or older than versions[0] */
size_t op_count(void);
const OpDef *op_at(size_t i);                /* rows of ops.def in order */
size_t op_row(const OpDef *def);             /* op_at(op_row(def)) is def; op_count() for NULL and private ops */
const char *const *op_names(void);           /* NULL-terminated, for near misses */
/* Sets opset and def of a node (inner graphs not included) from the model's imports; of every node of a model, where one
 * that has its opset already keeps it (a function's, see src/onnx/functions.c). */
void ops_bind_node(Node *node);
void ops_bind(Model *model);
/* Arity and attribute kinds of every known node: CODE_MODEL naming the node. Unknown ops pass. */
MUST_USE Status ops_check(const Model *model);
/* graph_add_node + bind + infer: how passes make nodes. */
MUST_USE Status ops_add_node(Graph *graph, Node *before, const char *op_type, const char *domain, const char *name, int n_in,
                             Value *const *in, Value *out, Node **ret);

/* macs.c: multiply-accumulates of a Conv, ConvTranspose, Gemm or MatMul, or of an integer form of these; -1 for other ops and
 * where nothing is known. With counts of a run the figure is that of its sample, dynamic sizes included; without (NULL) unknown
 * dims count as 1.
 * op_is_weighted: one of the float ops with a constant weight. */
typedef struct ElementCounts {
    int64_t *by_value; /* by value id; 0 = not seen */
    uint32_t n;
} ElementCounts;
int64_t op_macs(const Node *node, const ElementCounts *counts);
bool op_is_weighted(const Node *node);

/* eval.c: runs a node on given inputs: the first implementation that accepts, else the reference. CODE_UNSUPPORTED names
 * the op, its domain and node. */
MUST_USE Status op_eval(EvalCtx *ctx);
/* Evaluates one node on tensors without an executor (constant folding, tests): outputs owned by the caller. */
MUST_USE Status op_eval_alone(const Node *node, const Tensor *const *in, int n_in, Tensor *ret_out, int n_out, bool reference);

#endif
