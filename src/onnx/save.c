/* save.c - a Model to a file, whole or not at all.
 *
 *     Model ── model_pack ── pieces ──┬── MODEL.onnx (a temporary, renamed at the end)
 *                                     └── sha256
 *     weights ── MODEL.onnx.data (the same way, when external data is wanted or the model passes 2 GB)
 *
 * The weights are among the pieces where they stand; no serialized model is held in memory.
 */
#include "src/onnx/proto.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a model inside one file may take; behind it is room for what readers add. */
#define INSIDE_MAX (PROTO_MAX_BYTES - ((size_t)16 << 20))
#define PIECE_BYTES ((size_t)8 << 20)

/* In pieces, so that Ctrl-C does not wait for gigabytes. */
static MUST_USE Status write_pieces(AtomicFile *file, const void *data, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += MIN(PIECE_BYTES, bytes - at)) {
        TRY(interrupt_check());
        TRY(atomic_write(file, (const char *)data + at, MIN(PIECE_BYTES, bytes - at)));
    }
    return NULL;
}

static void find_other_opset(void *context, Graph *graph)
{
    const Node **found = context;
    for (const Node *node = graph->first; node != NULL && *found == NULL; node = node->next)
        if (node->opset != 0 && node->opset != model_opset(graph->model, node->domain))
            *found = node;
}

/* A file has one version of each domain. */
static MUST_USE Status check_opsets(const Model *model)
{
    const Node *found = NULL;
    graph_each(model->graph, find_other_opset, &found);
    if (found == NULL)
        return NULL;
    return node_error(found, CODE_MODEL, "comes from a function of opset %d, the model is of opset %d: it can be saved when "
                      "the pass raise_opset has run", found->opset, model_opset(model, found->domain));
}

static MUST_USE Status too_large(size_t bytes)
{
    return status_new(CODE_MODEL, "the model takes %zu bytes, one file holds at most 2 GB; weights must go to an "
                      "external data file", bytes);
}

static MUST_USE Status write_packed(const Pack *pack, AtomicFile *file, char ret_sha[65])
{
    Sha256 sha;
    sha256_init(&sha);
    for (size_t i = 0; i < pack->n; i++) {
        sha256_add(&sha, pack->pieces[i].data, pack->pieces[i].bytes);
        TRY(write_pieces(file, pack->pieces[i].data, pack->pieces[i].bytes));
    }
    sha256_hex(&sha, ret_sha);
    return NULL;
}

static MUST_USE Status write_model(const Pack *pack, const char *path, AtomicFile **ret, char ret_sha[65])
{
    AtomicFile *file;
    TRY(atomic_open(path, &file));
    Status status = write_packed(pack, file, ret_sha);
    if (status != NULL) {
        atomic_abandon(file);
        return status;
    }
    *ret = file;
    return NULL;
}

static MUST_USE Status write_placed(const Builder *builder, AtomicFile *file)
{
    static const char zeros[EXTERNAL_ALIGN];
    uint64_t at = 0;
    for (size_t i = 0; i < builder->n_placed; i++) {
        const Placed *placed = &builder->placed[i];
        TRY(atomic_write(file, zeros, (size_t)(placed->offset - at)));
        TRY(write_pieces(file, placed->data, placed->bytes));
        at = placed->offset + placed->bytes;
    }
    return NULL;
}

static MUST_USE Status write_data(const Builder *builder, const char *path, AtomicFile **ret)
{
    AtomicFile *file;
    TRY(atomic_open(path, &file));
    Status status = write_placed(builder, file);
    if (status != NULL) {
        atomic_abandon(file);
        return status;
    }
    *ret = file;
    return NULL;
}

static MUST_USE Status check_target(const Model *model, const char *path)
{
    if (!onnx_reads_from(model, path))
        return NULL;
    return status_new(CODE_WRITE, "'%s' holds weights of the input model and would be overwritten; write to "
                      "another folder", path);
}

/* Both files are written before either gets its name, the data first: a model never stands without its weights. */
static MUST_USE Status write_files(const Builder *builder, const Model *model, const char *path, const char *data_path,
                                   char ret_sha[65])
{
    AtomicFile *data = NULL, *file = NULL;
    TRY(check_target(model, path));
    if (builder->n_placed > 0) {
        TRY(check_target(model, data_path));
        TRY(write_data(builder, data_path, &data));
    }
    Status status = write_model(&builder->model, path, &file, ret_sha);
    if (status != NULL) {
        atomic_abandon(data);
        return status;
    }
    if (data != NULL)
        status = atomic_commit(data);
    if (status != NULL) {
        atomic_abandon(file);
        return status;
    }
    status = atomic_commit(file);
    if (status != NULL && data != NULL)
        (void)unlink(data_path);
    return status;
}

Status onnx_save(const Model *model, const char *path, ExternalData external, SaveResult *ret)
{
    TRY(check_opsets(model));
    char *data_path = xprintf("%s.data", path);
    const char *location = path_base(data_path);
    SaveResult result = {0};
    Builder builder;
    model_pack(&builder, model, external == EXTERNAL_ALWAYS ? location : NULL);

    if (builder.model.bytes > INSIDE_MAX && external == EXTERNAL_AUTO) {
        builder_free(&builder);
        model_pack(&builder, model, location);
    }
    size_t bytes = builder.model.bytes;
    Status status = bytes > PROTO_MAX_BYTES ? too_large(bytes)
                                            : write_files(&builder, model, path, data_path, result.sha256);
    result.model_bytes = bytes;
    result.external_bytes = builder.external_bytes;
    builder_free(&builder);
    free(data_path);
    if (status == NULL && ret != NULL)
        *ret = result;
    return status;
}

Status onnx_save_memory(const Model *model, unsigned char **ret, size_t *ret_bytes)
{
    TRY(check_opsets(model));
    Builder builder;
    model_pack(&builder, model, NULL);
    size_t bytes = builder.model.bytes;
    Status status = NULL;
    unsigned char *memory = NULL;

    if (bytes > PROTO_MAX_BYTES) {
        status = too_large(bytes);
    } else if ((memory = malloc(bytes)) == NULL) {
        status = status_new(CODE_MEMORY, "out of memory for a model of %zu bytes", bytes);
    } else {
        for (size_t i = 0, at = 0; i < builder.model.n; at += builder.model.pieces[i++].bytes)
            memcpy(memory + at, builder.model.pieces[i].data, builder.model.pieces[i].bytes);
        *ret = memory;
        *ret_bytes = bytes;
    }
    builder_free(&builder);
    return status;
}
