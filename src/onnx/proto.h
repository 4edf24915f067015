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

/* wire_check, then unpack; big pieces count against the memory limit. Free with proto_free(). */
MUST_USE Status proto_unpack(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t bytes, void **ret);
void proto_free(void *message);
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

typedef struct Loader {
    Model *model;
    External *external;
} Loader;

/* Names in sight: those of the graph, then those of the graphs around it. */
typedef struct Scope {
    Map *values;
    const struct Scope *outer;
} Scope;

/* Fills `graph` from the message, inner graphs included. */
MUST_USE Status graph_from_proto(Loader *loader, const Onnx__GraphProto *proto, const Scope *outer, Graph *graph);
/* The attributes of a node whose outputs and inputs are linked. */
MUST_USE Status attrs_from_proto(Loader *loader, const Onnx__NodeProto *proto, const Scope *scope, Node *node);

/* ---- build.c: Model -> ModelProto -------------------------------------------------------------------------------- */

/* A tensor that goes into the data file. */
typedef struct Placed {
    const void *data;
    size_t bytes;
    uint64_t offset;
} Placed;

/* What is being written. With a `location`, initializers of EXTERNAL_MIN bytes and more are placed in that file. */
typedef struct Builder {
    Arena *arena;
    const char *location; /* file name that the tensors give, or NULL: all stay inside */
    Placed *placed;
    size_t n_placed, cap_placed;
    uint64_t external_bytes;
} Builder;

#define EXTERNAL_MIN 1024  /* bytes of a tensor that is worth a place in the data file */
#define EXTERNAL_ALIGN 4096 /* a page, so that readers can map a tensor by itself */

Onnx__ModelProto *model_to_proto(Builder *builder, const Model *model);
void builder_free(Builder *builder);

#endif
