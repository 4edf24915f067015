/* protos.h - small models in memory, made with protobuf-c, for the tests of this folder.
 *
 *     Onnx__ModelProto *model = pb_model(arena);                      IR 8, opset 13
 *     pb_input(arena, model->graph, "x", DT_FLOAT, 2, (int64_t[]){2, 3});
 *     pb_node(arena, model->graph, "Relu", "r", "x", "y");            names separated by commas, "" for an omitted one
 *     pb_output(arena, model->graph, "y", DT_FLOAT, 2, (int64_t[]){2, 3});
 *     CHECK_OK(pb_load(model, &loaded));
 */
#ifndef QUANTIZE_TESTS_ONNX_PROTOS_H
#define QUANTIZE_TESTS_ONNX_PROTOS_H

#include "src/onnx/proto.h"
#include "tests/test.h"

/* Appends `item` to the repeated field `field` of `message`; quadratic, for small messages. */
#define PB_APPEND(arena, message, field, item)                                                                         \
    ((message)->field = pb_grown((arena), (message)->field, (message)->n_##field, sizeof *(message)->field),           \
     (message)->field[(message)->n_##field++] = (item))
void *pb_grown(Arena *arena, const void *array, size_t n, size_t size);

/* A literal for a field of protobuf-c's, which has no const and writes to none. */
#define PB_TEXT(text) ((char *)(text))

Onnx__ModelProto *pb_model(Arena *arena);
Onnx__GraphProto *pb_graph(Arena *arena, const char *name);
Onnx__ValueInfoProto *pb_info(Arena *arena, const char *name, DType dtype, int rank, const int64_t *dims);
void pb_input(Arena *arena, Onnx__GraphProto *graph, const char *name, DType dtype, int rank, const int64_t *dims);
void pb_output(Arena *arena, Onnx__GraphProto *graph, const char *name, DType dtype, int rank, const int64_t *dims);
Onnx__NodeProto *pb_node(Arena *arena, Onnx__GraphProto *graph, const char *op, const char *name, const char *in,
                         const char *out);
Onnx__AttributeProto *pb_attr(Arena *arena, Onnx__NodeProto *node, const char *name, AttrKind type);
/* Without data, and in no graph. */
Onnx__TensorProto *pb_tensor(Arena *arena, const char *name, DType dtype, int rank, const int64_t *dims);
/* The same with raw data, as initializer. */
Onnx__TensorProto *pb_initializer(Arena *arena, Onnx__GraphProto *graph, const char *name, DType dtype, int rank,
                                  const int64_t *dims, const void *data, size_t bytes);
Onnx__StringStringEntryProto *pb_entry(Arena *arena, const char *key, const char *value);
/* x (2, 3) -> Relu "r" -> y, whole and valid. */
Onnx__ModelProto *pb_relu_model(Arena *arena);

/* Packed, on the heap by itself: reading beyond its end is seen. */
unsigned char *pb_pack(const void *message, size_t *ret_bytes);
MUST_USE Status pb_load(const Onnx__ModelProto *model, Model **ret);
/* Checks that the model is refused with CODE_MODEL and `part` in the message. */
void pb_refused(const char *file, int line, const Onnx__ModelProto *model, const char *part);
#define CHECK_REFUSED(model, part) pb_refused(__FILE__, __LINE__, (model), (part))
/* What onnx_save_memory() writes, unpacked into the arena. NULL when saving failed. */
Onnx__ModelProto *pb_saved(Arena *arena, const Model *model);

#endif
