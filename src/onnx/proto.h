/* proto.h - what the files of this room share: between the wire, the messages of protobuf-c and the graph.
 *
 *     file ── wire_check ── proto_unpack ── tensor/type/attr_from_proto ── Model        load.c
 *     Model ── tensor/type_to_proto ── ModelProto ── file                               save.c
 *
 * Messages of a loaded model live as long as the model; tensors point into them.
 */
#ifndef QUANTIZE_ONNX_PROTO_H
#define QUANTIZE_ONNX_PROTO_H

#include "schema/onnx.pb-c.h"
#include "src/onnx/onnx.h"

/* Messages inside messages. 100 is protobuf's own default, so what others read is read here too. */
#define PROTO_MAX_DEPTH 100
/* Protobuf's limit for one message. */
#define PROTO_MAX_BYTES ((size_t)INT32_MAX)

#define LOCATION_EXTERNAL 1 /* TensorProto.data_location */

static inline const char *proto_text(const char *s)
{
    return s == NULL ? "" : s;
}

/* A message to write: a copy of `origin` (pointers shared) with all that we do not know of it; NULL: an empty one. */
void *proto_new(Arena *arena, const ProtobufCMessageDescriptor *descriptor, const void *origin);

/* ---- wire.c ------------------------------------------------------------------------------------------------------ */

/* Walks a serialized message by its schema before protobuf-c does: truncated and malformed fields, nesting beyond
 * PROTO_MAX_DEPTH and single messages given twice are CODE_MODEL with the byte offset. Recursion is bounded. */
MUST_USE Status wire_check(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t bytes);

/* ---- unpack.c ---------------------------------------------------------------------------------------------------- */

/* wire_check, then unpack; the message lives as long as the arena. Big pieces count against the memory limit. */
MUST_USE Status proto_unpack(Arena *arena, const ProtobufCMessageDescriptor *descriptor, const void *data, size_t bytes,
                             void **ret);
/* The same from a file, whose pages are given back as they are copied: the weights are in memory once. */
MUST_USE Status proto_unpack_file(Arena *arena, const ProtobufCMessageDescriptor *descriptor, const FileMap *map, void **ret);
/* What a file that is no ONNX model is by its first bytes: "a JPEG image"; NULL when nothing is recognised. */
const char *sniff_format(const void *data, size_t bytes);
bool sniff_is_text(const void *data, size_t bytes);

/* ---- external.c: tensors in files beside the model --------------------------------------------------------------- */

typedef struct External External; /* the data files of one model, each mapped once, as long as the arena lives */
External *external_new(Arena *arena, const char *model_path);
/* The `bytes` bytes of a tensor whose data_location is external. They may stand at any address. */
MUST_USE Status external_find(External *external, const Onnx__TensorProto *proto, size_t bytes, const void **ret);

/* ---- tensor_proto.c ---------------------------------------------------------------------------------------------- */

/* The tensor points at the message's bytes (or the data file's) where they stand as a Tensor wants them, else at
 * converted ones in the arena's lifetime. `external` NULL: tensors in other files are refused. */
MUST_USE Status tensor_from_proto(Arena *arena, const Onnx__TensorProto *proto, External *external, Tensor **ret);
/* The dense form of a sparse tensor. */
MUST_USE Status tensor_from_sparse(Arena *arena, const Onnx__SparseTensorProto *proto, External *external,
                                   Tensor **ret);
/* Data in raw_data, pointing at the tensor's; name NULL: none. Doc string and metadata are `origin`'s, if any. */
Onnx__TensorProto *tensor_to_proto(Arena *arena, const Tensor *tensor, const char *name,
                                   const Onnx__TensorProto *origin);

/* ---- type_proto.c ------------------------------------------------------------------------------------------------ */

MUST_USE Status type_from_proto(Arena *arena, const Onnx__TypeProto *proto, Type *ret);
/* NULL when nothing is known. Denotations are those of `origin`, if any; what the graph does not model is `origin`. */
Onnx__TypeProto *type_to_proto(Arena *arena, const Type *type, const Onnx__TypeProto *origin);

/* ---- load_attr.c, load_graph.c ----------------------------------------------------------------------------------- */

/* Graphs in graphs and functions in functions, together. */
#define NESTING_MAX 100
/* What functions may add to a model: nodes, values, graphs and calls; bytes of their messages and names. */
#define INLINED_MAX ((int64_t)1 << 20)
#define INLINED_MAX_BYTES ((size_t)256 << 20)
/* No operator has nearly as many; keeps the search by name short. */
#define ATTRS_MAX 1024

typedef struct Loader {
    Model *model;
    External *external;
    Map *functions;       /* see function_find(); NULL: the file has none */
    int nesting;          /* of graphs and calls, now */
    int calls;            /* those of them that are calls */
    int64_t inlined;      /* against INLINED_MAX */
    size_t inlined_bytes; /* against INLINED_MAX_BYTES */
    int64_t highest;      /* version of ai.onnx that an inlined function imports */
} Loader;

/* Names in sight: those of the graph, then those of the graphs around it. The body of a function sees its own alone. */
typedef struct Scope {
    Map *values; /* name -> Value; NULL for an input of a function that the call omits */
    const struct Scope *outer;
    const struct Call *call; /* of a function's body; NULL for a graph */
    const Graph *main;       /* the main graph, whose names are the model's own: `values` is that map, and holds others too */
} Scope;

/* A node that calls a function, while its body is read. */
typedef struct Call {
    const Onnx__FunctionProto *function;
    const Onnx__NodeProto *proto;
    const Scope *scope; /* in which the call stands */
    const char *prefix; /* of the names inside */
    Map *results;       /* output of the function -> Value that the caller wants it in */
} Call;

/* The call in whose body the scope lies, or NULL. */
const Call *scope_call(const Scope *scope);
/* Fills `graph` from the message, inner graphs included. */
MUST_USE Status graph_from_proto(Loader *loader, const Onnx__GraphProto *proto, const Scope *outer, Graph *graph);
/* Adds the nodes before `before` (NULL: at the end), inputs and attributes linked and calls of functions inlined. */
MUST_USE Status nodes_from_proto(Loader *loader, size_t n, Onnx__NodeProto *const *protos, const Scope *scope, Graph *graph,
                                 Node *before);
/* The attributes of a node whose outputs and inputs are linked. */
MUST_USE Status attrs_from_proto(Loader *loader, const Onnx__NodeProto *proto, const Scope *scope, Node *node);

/* ---- functions.c: calls of the file's functions become their bodies ---------------------------------------------- */

MUST_USE Status functions_read(Loader *loader, const Onnx__ModelProto *proto);
/* The function that the node calls, or NULL: ops that the program knows are not looked up. */
const Onnx__FunctionProto *function_find(const Loader *loader, const Scope *scope, const Onnx__NodeProto *proto);
/* Puts the body in the place of a node whose inputs and outputs are linked; the node is gone then. */
MUST_USE Status function_inline(Loader *loader, const Onnx__FunctionProto *function, const Scope *scope, Node *node);
/* What an attribute of a function's node stands for: *proto and *scope become the caller's attribute or the function's
 * default, and where its names are looked up; *proto NULL: it is left out. */
MUST_USE Status function_attribute(const Node *node, const Onnx__AttributeProto **proto, const Scope **scope);
/* Counts what functions add to the model; nothing outside of calls. */
MUST_USE Status inlined_charge(Loader *loader, size_t bytes);
/* Sets node->opset where the function imports another version of its domain than the model. */
MUST_USE Status function_set_opset(Loader *loader, const Scope *scope, Node *node);

/* ---- pack.c: messages -> bytes ----------------------------------------------------------------------------------- */

typedef struct Piece {
    const char *data;
    size_t bytes;
} Piece;

/* Bytes in pieces. Small ones are copied to the arena; the others must stay where they are: they are the model's. */
typedef struct Pack {
    ProtobufCBuffer base; /* first: protobuf-c hands it back */
    Arena *arena;
    Piece *pieces; /* on the heap */
    size_t n, cap, bytes;
    char *room; /* of the arena, not yet used */
    size_t left;
} Pack;

void pack_message(Pack *pack, const void *message);
/* As field `field` of the message around it; pack_head() alone says that `bytes` bytes of it follow. */
void pack_field(Pack *pack, unsigned field, const void *message);
void pack_head(Pack *pack, unsigned field, size_t bytes);
void pack_pieces(Pack *pack, const Pack *from);

/* ---- build.c: Model -> bytes of a ModelProto ------------------------------------------------------------------------------ */

/* A tensor that goes into the data file. */
typedef struct Placed {
    const void *data;
    size_t bytes;
    uint64_t offset;
} Placed;

/* What is being written. With a `location`, initializers of EXTERNAL_MIN bytes and more are placed in that file. */
typedef struct Builder {
    Arena *arena;         /* of messages, each part's until it is packed */
    Pack graph, model;
    const char *location; /* file name that the tensors give, or NULL: all stay inside */
    Placed *placed;
    size_t n_placed, cap_placed;
    uint64_t external_bytes;
} Builder;

#define EXTERNAL_MIN 1024  /* bytes of a tensor that is worth a place in the data file */
#define EXTERNAL_ALIGN 4096 /* a page, so that readers can map a tensor by itself */

/* Fills builder->model. The weights are pointed at: the model must not change before the bytes are written. */
void model_pack(Builder *builder, const Model *model, const char *location);
void builder_free(Builder *builder);

#endif
