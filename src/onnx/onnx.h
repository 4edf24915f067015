/* onnx.h - ONNX files: the only room that knows protobuf.
 *
 *     model.onnx (+ external data) ─ onnx_load ─> Model ─ onnx_save ─> model.onnx (+ model.onnx.data)
 *
 * What the program does not understand stays attached through the `origin` pointers and is written back as it was read.
 */
#ifndef QUANTIZE_ONNX_H
#define QUANTIZE_ONNX_H

#include "src/ir/ir.h"

/* Loads, checks and binds a model: ops_bind, ops_check, topological order (a cycle is an error), types as declared.
 * Every failure names the file. Limits: nesting depth before protobuf recurses, sizes before allocation. */
MUST_USE Status onnx_load(const char *path, Model **ret);
/* The same from memory; `name` stands for the path in messages, external data is looked for beside it. Data is not
 * kept. */
MUST_USE Status onnx_load_memory(const void *data, size_t bytes, const char *name, Model **ret);

typedef enum ExternalData { EXTERNAL_AUTO, EXTERNAL_ALWAYS, EXTERNAL_NEVER } ExternalData;

typedef struct SaveResult {
    uint64_t model_bytes, external_bytes;
    char sha256[65]; /* of the model file */
} SaveResult;

/* Writes PATH whole or not at all; tensors go to PATH.data when external data is asked for or (auto) when they pass
 * 2 GB minus a margin. ret may be NULL. */
MUST_USE Status onnx_save(const Model *model, const char *path, ExternalData external, SaveResult *ret);
/* Serialises into memory (malloc'ed, caller frees); CODE_MODEL when it passes 2 GB. */
MUST_USE Status onnx_save_memory(const Model *model, unsigned char **ret, size_t *ret_bytes);
/* Whether weights of a loaded model stand in the file at `path`, so that writing there would destroy them; how many
 * bytes of its weights stand in files beside it. */
bool onnx_reads_from(const Model *model, const char *path);
uint64_t onnx_external_bytes(const Model *model);
/* One TensorProto (.pb): owned tensor; its name in `arena` when arena is given. */
MUST_USE Status onnx_read_tensor(const char *path, Arena *arena, Tensor *ret, const char **ret_name);
/* The same for a SequenceProto or OptionalProto, as the type of the value it is meant for says. */
MUST_USE Status onnx_read_value(const char *path, TypeKind kind, Tensor *ret);

#endif
