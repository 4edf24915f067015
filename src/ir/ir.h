/* ir.h - the model as a graph: Model, Graph, Node, Value, Tensor, Attr.
 *
 *     Model ── Graph ── nodes (list, topological order) ── Node ── in[] / out[] ── Value ── constant Tensor
 *                └ inputs[], outputs[]                       └ attrs[] ── Attr ── Tensor | Graph (If, Loop, Scan)
 *
 * A Value is named once and linked both ways: its producer and its uses. Inner graphs point at outer values directly,
 * so a captured value shows its inner uses too. Only edit.c changes links. All of it lives in the model's arena.
 *
 * Shapes: a Dim is a size, or unknown (-1) with or without a symbolic name. Letters: N batch, C channels, H W space.
 */
#ifndef QUANTIZE_IR_H
#define QUANTIZE_IR_H

#include "src/base/base.h"

/* ---- dtype.c ----------------------------------------------------------------------------------------------------- */

/* Numbers are those of TensorProto.DataType. */
typedef enum DType {
    DT_UNDEFINED = 0,
    DT_FLOAT = 1,
    DT_UINT8 = 2,
    DT_INT8 = 3,
    DT_UINT16 = 4,
    DT_INT16 = 5,
    DT_INT32 = 6,
    DT_INT64 = 7,
    DT_STRING = 8,
    DT_BOOL = 9,
    DT_FLOAT16 = 10,
    DT_DOUBLE = 11,
    DT_UINT32 = 12,
    DT_UINT64 = 13,
    DT_COMPLEX64 = 14,
    DT_COMPLEX128 = 15,
    DT_BFLOAT16 = 16,
    DT_FLOAT8E4M3FN = 17,
    DT_FLOAT8E4M3FNUZ = 18,
    DT_FLOAT8E5M2 = 19,
    DT_FLOAT8E5M2FNUZ = 20,
    DT_UINT4 = 21,
    DT_INT4 = 22,
    DT_FLOAT4E2M1 = 23,
    DT_FLOAT8E8M0 = 24,
    DT_UINT2 = 25,
    DT_INT2 = 26,
    DT_LAST = DT_INT2,
    DT_LIST = 27 /* never in a file: what a sequence or an empty optional is while it runs, see tensor_list_pack */
} DType;

const char *dtype_name(DType dtype);      /* as in ONNX's text syntax: "float", "int64", ...; "undefined" otherwise */
DType dtype_from_name(const char *name);  /* DT_UNDEFINED when unknown */
int dtype_bits(DType dtype);              /* bits an element takes; 0 for string and undefined */
bool dtype_is_float(DType dtype);         /* float, double, float16, bfloat16 */
bool dtype_is_integer(DType dtype);       /* signed and unsigned of 2..64 bits, not bool */

/* ---- tensor.c, element.c (single elements) ----------------------------------------------------------------------- */

#define TENSOR_MAX_RANK 16

/* An element of a string tensor; not NUL-terminated in general. */
typedef struct TensorString {
    const char *data;
    size_t length;
} TensorString;

/* Dense, row-major. 4- and 2-bit elements are packed low bits first, as in ONNX. Does it own its data? See `owned`. */
typedef struct Tensor {
    DType dtype;
    int rank;                       /* 0 = scalar */
    int64_t dims[TENSOR_MAX_RANK];
    int64_t count;                  /* elements: product of dims */
    size_t bytes;                   /* of data */
    void *data;                     /* not NULL, even when bytes is 0; DT_STRING: TensorString[count] */
    bool owned;                     /* data came from memory_alloc() and tensor_release() frees it */
} Tensor;

/* Element count and byte size of a shape; fails (CODE_MODEL) on a negative dim, rank > TENSOR_MAX_RANK or overflow (of
 * the product of the dims that are not 0, so that strides are safe too). ret_count and ret_bytes may be NULL. */
MUST_USE Status tensor_measure(DType dtype, int rank, const int64_t *dims, int64_t *ret_count, size_t *ret_bytes);
/* A tensor with fresh, uninitialised, owned data. */
MUST_USE Status tensor_alloc(Tensor *ret, DType dtype, int rank, const int64_t *dims);
/* A tensor that points at `data`, which must be large enough and outlive it. */
MUST_USE Status tensor_view(Tensor *ret, DType dtype, int rank, const int64_t *dims, void *data);
MUST_USE Status tensor_copy(Tensor *ret, const Tensor *from); /* deep, owned (strings still point at their bytes) */
void tensor_release(Tensor *tensor);                          /* frees owned data, zeroes the struct; NULL is fine */
/* A sequence while it runs: rank 1, data is Tensor[count], the elements' data behind it in the same block. Strings
 * still point at their bytes. An empty optional has rank 2 (0 x 0); one that holds something is what it holds. */
#define LIST_NONE_RANK 2
MUST_USE Status tensor_list_measure(const Tensor *elements, int64_t n, size_t *ret_bytes);
void tensor_list_pack(const Tensor *elements, int64_t n, void *block);
/* Gives an owned string tensor its own copy of its strings' bytes, in the block that tensor_release() frees. */
MUST_USE Status tensor_own_text(Tensor *tensor);
bool tensor_same_shape(const Tensor *a, const Tensor *b);
bool tensor_equal(const Tensor *a, const Tensor *b);          /* dtype, shape and bytes */
/* Element i of any numeric or bool tensor as double / int64 (floats truncate; saturating). */
double tensor_get(const Tensor *tensor, int64_t i);
int64_t tensor_get_int(const Tensor *tensor, int64_t i);
/* Elements [from, from + n), each as tensor_get() gives it; quick for float, which outputs of models are. */
void tensor_read(const Tensor *tensor, int64_t from, int64_t n, double *ret);
/* Numeric and bool; integers saturate and round half to even. */
void tensor_set(Tensor *tensor, int64_t i, double value);
/* New constant in `arena` (data too). Small constants for rewrites. */
Tensor *tensor_new_floats(Arena *arena, int rank, const int64_t *dims, const float *data);
Tensor *tensor_new_ints(Arena *arena, int rank, const int64_t *dims, const int64_t *data);
/* Uninitialised data in the arena's lifetime through memory_alloc(), for large constants. */
MUST_USE Status tensor_new(Arena *arena, DType dtype, int rank, const int64_t *dims, Tensor **ret);
Tensor *tensor_new_scalar(Arena *arena, DType dtype, double value);  /* rank 0, value as by tensor_set */
char *tensor_shape_text(Arena *arena, const Tensor *tensor);  /* "1x3x224x224", "scalar" */

/* ---- shape.c: types with symbolic dims --------------------------------------------------------------------------- */

typedef struct Dim {
    int64_t size;     /* >= 0, or -1 when unknown */
    const char *name; /* symbolic name of an unknown dim, or NULL; equal names (strcmp) mean equal sizes */
} Dim;

typedef struct Shape {
    int rank; /* -1: unknown */
    Dim dims[TENSOR_MAX_RANK];
} Shape;

typedef enum TypeKind { TYPE_UNKNOWN, TYPE_TENSOR, TYPE_SEQUENCE, TYPE_OPTIONAL, TYPE_OTHER } TypeKind;

typedef struct Type {
    TypeKind kind;
    DType dtype; /* of TYPE_TENSOR */
    Shape shape; /* of TYPE_TENSOR */
    struct Type *element; /* of TYPE_SEQUENCE and TYPE_OPTIONAL */
} Type;

/* *to = *from, of the dims only those that are there: most values have few. */
static inline void shape_copy(Shape *to, const Shape *from)
{
    to->rank = from->rank;
    for (int i = 0; i < from->rank; i++)
        to->dims[i] = from->dims[i];
}
static inline void type_copy(Type *to, const Type *from)
{
    to->kind = from->kind;
    to->dtype = from->dtype;
    to->element = from->element;
    shape_copy(&to->shape, &from->shape);
}

#define DIM_UNKNOWN ((Dim){-1, NULL})
static inline Dim dim_known(int64_t size)
{
    return (Dim){size, NULL};
}
static inline bool dim_is_known(Dim dim)
{
    return dim.size >= 0;
}
bool dim_equal(Dim a, Dim b);  /* surely equal: same size, or same non-NULL name */
Shape shape_unknown(void);
Shape shape_of(int rank, const int64_t *dims);
Shape shape_of_tensor(const Tensor *tensor);
Type type_of_tensor(const Tensor *tensor);
Type type_tensor(DType dtype, const Shape *shape); /* shape NULL: unknown rank */
bool shape_is_known(const Shape *shape);  /* rank and every size */
bool shape_equal(const Shape *a, const Shape *b);  /* surely equal */
int64_t shape_count(const Shape *shape);  /* elements, -1 when not known */
int64_t shape_area(const Shape *shape);   /* elements of a channel, the dimensions behind [N, C]; -1 when not known */
/* Shape of numpy broadcasting; CODE_MODEL when sizes clash. Unknown against 1 stays the unknown one; unknown against
 * n > 1 gives n. */
MUST_USE Status shape_broadcast(const Shape *a, const Shape *b, Shape *ret);
/* The more exact of declared and inferred, dim by dim; of two symbolic names that of `a`. CODE_MODEL when two known
 * sizes or ranks clash. */
MUST_USE Status shape_merge(const Shape *a, const Shape *b, Shape *ret);
char *shape_text(Arena *arena, const Shape *shape);  /* "Nx3x224x224", "?" for an unknown dim, "unknown rank" */

/* ---- the graph --------------------------------------------------------------------------------------------------- */

typedef struct Model Model;
typedef struct Graph Graph;
typedef struct Node Node;
typedef struct Value Value;
struct OpDef; /* src/ops/ops.h; ir only carries the pointer */

typedef enum AttrKind { /* numbers are those of AttributeProto.AttributeType */
    ATTR_UNDEFINED = 0,
    ATTR_FLOAT = 1,
    ATTR_INT = 2,
    ATTR_STRING = 3,
    ATTR_TENSOR = 4,
    ATTR_GRAPH = 5,
    ATTR_FLOATS = 6,
    ATTR_INTS = 7,
    ATTR_STRINGS = 8,
    ATTR_TENSORS = 9,
    ATTR_GRAPHS = 10,
    ATTR_SPARSE_TENSOR = 11,
    ATTR_SPARSE_TENSORS = 12,
    ATTR_TYPE_PROTO = 13,
    ATTR_TYPE_PROTOS = 14
} AttrKind;

typedef struct Attr {
    const char *name;
    AttrKind kind;
    int64_t n; /* of the list kinds */
    union {
        float f;
        int64_t i;
        TensorString s; /* data is NUL-terminated besides */
        Tensor *t;
        Graph *g;
        float *floats;
        int64_t *ints;
        TensorString *strings;
        Tensor **tensors;
        Graph **graphs;
    };
    const void *origin; /* the message it was read from (onnx only), or NULL when we made it */
} Attr;

typedef struct Use {
    Node *node;
    int input; /* node->in[input] is the value */
} Use;

/* What every pass asks of every value and node stands first: large graphs are walked at the speed of memory, a line of 64 bytes
 * of the cache at a time, so what is read together stands in one. list.h puts them at the start of lines. */
struct Value {
    Node *producer;         /* NULL for graph inputs and initializers */
    Use *uses;              /* order has no meaning */
    Tensor *constant;       /* initializer, or NULL */
    Use first_use;          /* edit.c's: room for one use */
    uint32_t n_uses, cap_uses;
    int producer_output;    /* producer->out[producer_output] is this value */
    int n_outputs;          /* how often it is listed in graph->outputs */
    uint32_t id;            /* unique in the model, dense: index of side tables; model->n_ids bounds it */
    bool is_input;          /* listed in graph->inputs */
    bool shares_name;       /* edit.c's: a sibling graph has (or had) a value of the same name */
    Type type;              /* the second line, up to three sizes */
    const char *name;
    Graph *graph;           /* where it is defined; NULL once it was removed */
    Dim *content;           /* elements of a small integer tensor as far as known (shape arithmetic), or NULL */
    int n_content;
    int room_content;       /* infer.c's: of content_room */
    Dim *content_room;      /* infer.c's: what content may be stored in */
    int output_slot;        /* edit.c's: a hint where in graph->outputs it stands */
    int initializer_slot;   /* edit.c's: where in graph->initializers it stands, while it has a constant */
    const void *origin;     /* ValueInfoProto (onnx only), or NULL */
    const void *tensor_origin; /* TensorProto of the initializer it was read with, or NULL */
};

struct Node {
    Node *next;          /* that of a removed node still leads on: a loop may remove the node it stands on */
    const char *op_type;
    const char *domain;  /* "" is ai.onnx (an "ai.onnx" in a file reads as "") */
    const struct OpDef *def; /* NULL for an op we do not know */
    Value **in;          /* NULL for an omitted input */
    Value **out;         /* NULL for an omitted output */
    int n_in, n_out;
    int opset;           /* version of its domain that the model imports; 0 when it imports none. A node of an inlined
                            function may have another one until raise_opset has run; it cannot be saved before */
    uint16_t cap_attrs;
    bool may_hold_graphs; /* an attribute is or was a graph: see node_graph_attrs() */
    Node *prev;          /* the second line */
    Attr *attrs;
    Graph *graph;        /* NULL once it was removed */
    const char *name;    /* "" when it has none */
    const char *overload;
    const void *origin;  /* NodeProto (onnx only), or NULL */
    int n_attrs;
    int cap_in;
    uint32_t order;      /* edit.c's scratch */
    uint32_t id;         /* unique in the model among nodes: index of side tables; model->n_node_ids bounds it */
};

struct Graph {
    const char *name;
    Model *model;
    Node *owner;         /* node whose attribute holds this graph; NULL for the main graph */
    Node *first, *last;  /* topological order */
    int n_nodes;
    Value **inputs;
    int n_inputs, cap_inputs;
    Value **outputs;
    int n_outputs, cap_outputs;
    Value **initializers; /* values with a constant and no producer, in the file's order; the last fills a gap */
    int n_initializers, cap_initializers;
    const void *origin;
};

typedef struct OpsetImport {
    const char *domain; /* "" is ai.onnx */
    int64_t version;
} OpsetImport;

typedef struct Metadata {
    const char *key, *value;
} Metadata;

/* Room for objects of one kind: list.h */
typedef struct Slab {
    void *next;
    int left;
} Slab;

struct Model {
    Arena *arena;          /* owns everything below */
    const char *path;      /* as given; for messages */
    int64_t ir_version;
    OpsetImport *opsets;
    int n_opsets;
    Metadata *metadata;
    int n_metadata;
    const char *producer_name, *producer_version;
    Graph *graph;
    uint32_t n_ids, n_node_ids;
    Slab node_slab, value_slab;
    Map *words;            /* see model_word() */
    Map *names;            /* name in use -> Value* (NULL: reserved); of sibling graphs' equal names the first one */
    uint32_t next_fresh;
    uint64_t steps;        /* uses linked and unlinked, nodes inferred and visited by passes: tests count what is linear */
    uint64_t learned;      /* types and contents that inference found other than they were */
    const void *origin;    /* ModelProto (onnx only), or NULL */
    bool as_filed;         /* being inferred for the first time: what the file declares is not yet held against anything */
    int n_contradicted;    /* shapes that the file declared and the ops contradict */
    const char *contradiction; /* the first of them, in words */
};

/* ---- graph.c: building and asking -------------------------------------------------------------------------------- */

Model *model_new(void);
void model_free(Model *model); /* NULL is fine */
int model_opset(const Model *model, const char *domain); /* 0 when not imported */
void model_set_opset(Model *model, const char *domain, int64_t version);
const char *model_metadata(const Model *model, const char *key); /* NULL when absent */
/* The model's one copy of a word that many nodes have: an operator's type, a domain, the name of an attribute. */
const char *model_word(Model *model, const char *text);
/* `base` if free, else base_N. The name is reserved: no two calls give the same one. */
const char *model_fresh_name(Model *model, const char *base);

/* Without an owner it becomes the model's main graph when that has none yet. */
Graph *graph_new(Model *model, const char *name, Node *owner);
/* New value. Its name must be free in this graph (see model_fresh_name); a file's sibling graphs may share names. */
Value *graph_value(Graph *graph, const char *name);
/* The same with a name that lives as long as the model: it is not copied. */
Value *graph_value_named(Graph *graph, const char *name);
void graph_add_input(Graph *graph, Value *value);
void graph_add_output(Graph *graph, Value *value);
/* New initializer; type set from the tensor. */
Value *graph_add_constant(Graph *graph, const char *name, Tensor *tensor);
/* Scalar initializers of a fresh name from base; the value as by tensor_set. */
Value *graph_add_float(Graph *graph, const char *base, float value);
Value *graph_add_scalar(Graph *graph, const char *base, DType dtype, double value);
Value *graph_add_ints(Graph *graph, const char *base, int64_t n, const int64_t *values); /* int64, rank 1, likewise */

const Attr *node_attr(const Node *node, const char *name); /* NULL when absent */
/* The value of an attribute or `otherwise`. Kinds were checked against the op's table when the model was loaded; a
 * wrong kind reads as absent. */
int64_t node_int(const Node *node, const char *name, int64_t otherwise);
float node_float(const Node *node, const char *name, float otherwise);
const char *node_string(const Node *node, const char *name, const char *otherwise);
const int64_t *node_ints(const Node *node, const char *name, int64_t *ret_n); /* NULL and 0 when absent */
const float *node_floats(const Node *node, const char *name, int64_t *ret_n);
void node_set_int(Node *node, const char *name, int64_t value);  /* adds or replaces */
void node_set_ints(Node *node, const char *name, const int64_t *values, int64_t n);
void node_set_float(Node *node, const char *name, float value);
void node_set_string(Node *node, const char *name, const char *value);
void node_set_tensor(Node *node, const char *name, Tensor *value);
/* An attribute of any kind, added or replaced, with n = 0 and an empty payload for the caller to fill; good until the
 * next one is added. A graph's
 * owner must be the node. */
Attr *node_add_attr(Node *node, const char *name, AttrKind kind);
void node_remove_attr(Node *node, const char *name);
/* Inner graphs of an attribute: *ret_graphs of the returned count (ATTR_GRAPH, ATTR_GRAPHS); 0 for the other kinds. */
int64_t attr_graphs(const Attr *attr, Graph *const **ret_graphs);
/* How many attributes may hold graphs, for loops that look for those alone: all of them, or none. */
static inline int node_graph_attrs(const Node *node)
{
    return node->may_hold_graphs ? node->n_attrs : 0;
}
/* edit.c's: in[i]->uses[node_slots(node)[i]] is this use; they stand behind the inputs. */
static inline size_t *node_slots(const Node *node)
{
    return (size_t *)(void *)(node->in + node->cap_in);
}
/* Is it this op of ai.onnx, in a version that is known? (Only then its inputs and attributes were checked.) */
static inline bool node_is(const Node *node, const char *op_type)
{
    return node->def != NULL && *node->op_type == *op_type && *node->domain == '\0' &&
           __builtin_strcmp(node->op_type, op_type) == 0;
}
/* NULL when omitted or beyond the end. */
static inline Value *node_in(const Node *node, int i)
{
    return i >= 0 && i < node->n_in ? node->in[i] : NULL;
}
const Tensor *node_constant(const Node *node, int i); /* constant of input i, or NULL */
/* "node 'conv1' (Conv)"; an unnamed one: "node with output 'y' (Conv)". In the model's arena. */
const char *node_describe(const Node *node);
/* Describes the node, then the message. */
MUST_USE NEVER_NULL Status node_error(const Node *node, Code code, const char *format, ...) PRINTF_LIKE(3, 4);
/* The single consumer of a value that is no graph output; NULL otherwise. */
Node *value_only_user(const Value *value);
bool value_is_float(const Value *value); /* tensor of dtype float */
/* Runs visit(context, graph) for the graph and every graph inside it, outer first. */
void graph_each(Graph *graph, void (*visit)(void *context, Graph *graph), void *context);

/* ---- edit.c: the only file that changes links -------------------------------------------------------------------- */

/* New node before `before` (NULL: at the end), inputs as given (NULL = omitted). out NULL: n_out new values with fresh
 * names; else the outputs as given, producerless (out[i] NULL = omitted). name may be NULL. def and opset are set by
 * the caller's room above (ops_bind). */
Node *graph_add_node(Graph *graph, Node *before, const char *op_type, const char *domain, const char *name, int n_in,
                     Value *const *in, int n_out, Value *const *out);
void node_set_input(Node *node, int i, Value *value);  /* extends the inputs when i is one beyond the end */
void node_trim_inputs(Node *node, int n);              /* drops inputs n.. */
/* Takes over as producer of a producerless value; NULL lets go of the output. The one before is left without a
 * producer. Extends the outputs when i is one beyond the end. */
void node_set_output(Node *node, int i, Value *value);
/* Unlinks it, with its inner graphs, and forgets its outputs. Those still read or listed as graph outputs stay, without
 * a producer, for another node to take over. */
void node_remove(Node *node);
void node_move_before(Node *node, Node *before);       /* within its graph; NULL: to the end */
/* All uses (inner graphs too) of `from` now read `to`. When `from` is an output of its graph, `to` becomes it and takes
 * its name; if that cannot be (value_can_take_name) the output stays with `from`: from->n_outputs tells. */
void value_replace_uses(Value *from, Value *to);
/* Like value_replace_uses for the uses by nodes only. */
void value_replace_node_uses(Value *from, Value *to);
/* May `to` be renamed so as to become the graph output `from` is? It must be made by a node of the same graph, and be
 * no graph output itself. */
bool value_can_take_name(const Value *to, const Value *from);
/* `to` takes the name, the declared type and the output role of `from`, e.g. when the producer of a graph output is
 * replaced; `from` gets a fresh name. Uses stay where they are. value_can_take_name must hold when `from` is an
 * output. */
void value_take_name(Value *to, Value *from);
/* Makes it an initializer, its type that of the tensor; it must have no producer (NULL: ends being one). */
void value_set_constant(Value *value, Tensor *tensor);
void value_remove(Value *value); /* no producer, no uses, no output: forgets it; an input or initializer is unlisted */
void graph_drop(Graph *graph);   /* removes all that is in it: before the attribute that holds it goes */
void graph_remove_input(Graph *graph, Value *value);
void graph_set_output(Graph *graph, int i, Value *value);
void graph_clear_outputs(Graph *graph); /* none is listed any more */

/* ---- clone.c ----------------------------------------------------------------------------------------------------- */

/* The same graph with links of its own, to try rewrites on; ids of values and nodes are the same. Constants, texts and origins
 * are shared: the original must outlive it. */
Model *model_clone(const Model *model);

/* ---- sort.c ------------------------------------------------------------------------------------------------------ */

/* Sorts the nodes topologically, inner graphs included; nodes in order stay as they are. CODE_MODEL on a cycle, naming
 * a node on it. */
MUST_USE Status graph_sort(Graph *graph);

/* ---- verify.c ---------------------------------------------------------------------------------------------------- */

/* Checks every invariant of the graph (links both ways, order, one producer, unique names, list membership). */
MUST_USE Status model_verify(const Model *model);

/* ---- text.c ------------------------------------------------------------------------------------------------------ */

/* The model in ONNX's text syntax (onnx/docs/Syntax.md); large constants are abbreviated when `abbreviate`. */
void model_print(const Model *model, Text *text, bool abbreviate);

#endif
