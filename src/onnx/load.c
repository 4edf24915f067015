/* load.c - a file of ModelProto becomes a Model that is checked and bound.
 *
 *     map ── what is it? ── wire_check ── unpack ── unmap ── graph, functions inlined ── order ── ops
 *
 * The messages live as long as the model, which points into them: names, attributes and above all weights.
 */
#include "src/onnx/proto.h"
#include "src/ops/ops.h"

#include <string.h>

#define IR_VERSION_MIN 3 /* the first with opset imports */
#define OPSETS_MAX 1000  /* they are looked up one after another */

static void copy_opsets(Model *model, const Onnx__ModelProto *proto)
{
    for (size_t i = 0; i < proto->n_opset_import; i++) {
        const char *domain = proto_text(proto->opset_import[i]->domain);
        int64_t version = proto->opset_import[i]->version;
        /* Of two for one domain the higher one counts; one that makes no sense is kept while nothing needs it. */
        if (model_opset(model, domain) < version || (version <= 0 && model_opset(model, domain) == 0))
            model_set_opset(model, domain, version);
    }
}

static void copy_metadata(Model *model, const Onnx__ModelProto *proto)
{
    model->metadata = arena_array(model->arena, proto->n_metadata_props, sizeof *model->metadata);
    for (size_t i = 0; i < proto->n_metadata_props; i++)
        model->metadata[i] =
            (Metadata){proto_text(proto->metadata_props[i]->key), proto_text(proto->metadata_props[i]->value)};
    model->n_metadata = (int)proto->n_metadata_props;
}

static MUST_USE Status check_head(const Onnx__ModelProto *proto)
{
    if (proto->graph == NULL)
        return status_new(CODE_MODEL, "holds no graph; not an ONNX model, or one cut short");
    if (!proto->has_ir_version)
        return status_new(CODE_MODEL, "has no IR version; not an ONNX model, or one cut short");
    if (proto->ir_version < IR_VERSION_MIN)
        return status_new(CODE_MODEL, "IR version %lld is older than %d, the first that names its operator sets; "
                          "export the model again", (long long)proto->ir_version, IR_VERSION_MIN);
    if (proto->n_opset_import == 0)
        return status_new(CODE_MODEL, "imports no opset; the file is cut short or not complete");
    if (proto->n_opset_import > OPSETS_MAX || proto->n_metadata_props > INT32_MAX)
        return status_new(CODE_MODEL, "has %zu opset imports and %zu metadata entries, which is beyond reason",
                          proto->n_opset_import, proto->n_metadata_props);
    return NULL;
}

static MUST_USE Status fill_model(Model *model, const Onnx__ModelProto *proto)
{
    Loader loader = {.model = model, .external = external_new(model->arena, model->path)};

    TRY(check_head(proto));
    model->ir_version = proto->ir_version;
    model->producer_name = proto_text(proto->producer_name);
    model->producer_version = proto_text(proto->producer_version);
    copy_opsets(model, proto);
    copy_metadata(model, proto);
    TRY(functions_read(&loader, proto));
    Status status = graph_from_proto(&loader, proto->graph, NULL, graph_new(model, proto_text(proto->graph->name), NULL));
    map_free(loader.functions);
    TRY(status);
    TRY(graph_sort(model->graph));
    ops_bind(model);
    if (loader.highest > model_opset(model, "")) /* its own nodes keep the version they were bound to: raise_opset */
        model_set_opset(model, "", loader.highest);
    return ops_check(model);
}

/* Bytes that are no ModelProto: says what they are instead, where that can be told. */
static MUST_USE Status unpack_model(Arena *arena, const void *data, size_t bytes, const FileMap *map, void **ret)
{
    if (bytes == 0)
        return status_new(CODE_MODEL, "not an ONNX model: the file is empty");
    const char *format = sniff_format(data, bytes);
    if (format != NULL)
        return status_new(CODE_MODEL, "not an ONNX model but %s", format);
    Status status = map != NULL ? proto_unpack_file(arena, &onnx__model_proto__descriptor, map, ret)
                                : proto_unpack(arena, &onnx__model_proto__descriptor, data, bytes, ret);
    if (status_code(status) != CODE_MODEL)
        return status;
    if (sniff_is_text(data, bytes)) {
        status_free(status);
        return status_new(CODE_MODEL, "not an ONNX model but a text file");
    }
    return status_prefix(status, "not a valid ONNX model (copy or export it again)");
}

/* map: the file that the bytes are, or NULL. */
static MUST_USE Status load_bytes(const void *data, size_t bytes, const FileMap *map, const char *name, Model **ret)
{
    void *proto;
    Model *model = model_new();
    Status status = unpack_model(model->arena, data, bytes, map, &proto);
    if (status != NULL) {
        model_free(model);
        return status;
    }
    model->path = arena_strdup(model->arena, name);
    model->origin = proto;
    *ret = model;
    return NULL;
}

static MUST_USE Status finish(Status status, Model *model, const char *name, Model **ret)
{
    if (status == NULL)
        status = fill_model(model, model->origin);
    if (status == NULL) {
        *ret = model;
        return NULL;
    }
    model_free(model);
    return name[0] == '\0' ? status : status_prefix(status, "%s", name);
}

Status onnx_load(const char *path, Model **ret)
{
    FileMap map;
    Model *model = NULL;
    TRY(file_map(path, CODE_MODEL, &map));
    Status status = load_bytes(map.data, map.size, &map, path, &model);
    file_unmap(&map); /* before the graph is built: the weights are in memory once */
    return finish(status, model, path, ret);
}

Status onnx_load_memory(const void *data, size_t bytes, const char *name, Model **ret)
{
    Model *model = NULL;
    Status status = load_bytes(data, bytes, NULL, proto_text(name), &model);
    return finish(status, model, proto_text(name), ret);
}
