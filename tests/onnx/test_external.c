/* External data: found, missing, too short, outside the folder; written and read again. */
#include "tests/onnx/protos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A path in the test folder that lives as long as the arena. */
static const char *at(Arena *arena, const char *name)
{
    return arena_printf(arena, "%s/%s", test_folder(), name);
}

static void write_file(const char *path, const void *data, size_t bytes)
{
    AtomicFile *file;
    CHECK_OK(atomic_open(path, &file));
    CHECK_OK(atomic_write(file, data, bytes));
    CHECK_OK(atomic_commit(file));
}

/* Add(x, w) where w (2, 3) stands in another file. */
static Onnx__ModelProto *outside_model(Arena *arena, const char *location, const char *offset, const char *length)
{
    Onnx__ModelProto *proto = pb_relu_model(arena);
    Onnx__NodeProto *node = proto->graph->node[0];
    Onnx__TensorProto *w = pb_tensor(arena, "w", DT_FLOAT, 2, (int64_t[]){2, 3});
    w->has_data_location = 1;
    w->data_location = LOCATION_EXTERNAL;
    if (location != NULL)
        PB_APPEND(arena, w, external_data, pb_entry(arena, "location", location));
    if (offset != NULL)
        PB_APPEND(arena, w, external_data, pb_entry(arena, "offset", offset));
    if (length != NULL)
        PB_APPEND(arena, w, external_data, pb_entry(arena, "length", length));
    PB_APPEND(arena, proto->graph, initializer, w);
    node->op_type = PB_TEXT("Add");
    PB_APPEND(arena, node, input, PB_TEXT("w"));
    return proto;
}

static Status load_at(Arena *arena, const char *name, const Onnx__ModelProto *proto, Model **ret)
{
    size_t bytes;
    unsigned char *data = pb_pack(proto, &bytes);
    write_file(at(arena, name), data, bytes);
    free(data);
    return onnx_load(at(arena, name), ret);
}

static void refused(const char *file, int line, const char *location, const char *offset, const char *length,
                    const char *part)
{
    Arena *arena = arena_new();
    Model *model = NULL;
    Status status = load_at(arena, "x.onnx", outside_model(arena, location, offset, length), &model);
    test_status(file, line, status, CODE_MODEL, part);
    model_free(model);
    arena_free(arena);
}
#define CHECK_PLACE(location, offset, length, part) refused(__FILE__, __LINE__, location, offset, length, part)

TEST(external_data_is_pointed_at)
{
    Arena *arena = arena_new();
    float weights[1024 + 8] = {0};
    weights[1024] = 1.5f;
    weights[1029] = -2.5f;
    mkdir(at(arena, "sub"), 0777);
    write_file(at(arena, "sub/w.bin"), weights, sizeof weights);
    Model *model = NULL;
    CHECK_OK(load_at(arena, "x.onnx", outside_model(arena, "sub/../sub/w.bin", "4096", "24"), &model));
    if (model != NULL) {
        const Tensor *w = node_constant(model->graph->first, 1);
        CHECK_NEAR(tensor_get(w, 0), 1.5, 0);
        CHECK_NEAR(tensor_get(w, 5), -2.5, 0);
        CHECK(!w->owned && (uintptr_t)w->data % 4096 == 0); /* the mapped page itself */
        CHECK_INT(onnx_external_bytes(model), 24);
        CHECK(onnx_reads_from(model, at(arena, "sub/w.bin")));
        CHECK(!onnx_reads_from(model, at(arena, "x.onnx")));
    }
    model_free(model);
    /* A place that no float may stand at is copied. */
    char *shifted = arena_alloc(arena, 27);
    memcpy(shifted + 3, &weights[1024], 24);
    write_file(at(arena, "sub/w.bin"), shifted, 27);
    CHECK_OK(load_at(arena, "x.onnx", outside_model(arena, "sub/w.bin", "3", NULL), &model));
    if (model != NULL)
        CHECK_NEAR(tensor_get(node_constant(model->graph->first, 1), 5), -2.5, 0);
    model_free(model);
    arena_free(arena);
}

TEST(external_data_is_refused)
{
    Arena *arena = arena_new();
    const char bytes[24] = {0};
    write_file(at(arena, "w.bin"), bytes, sizeof bytes);
    CHECK_PLACE("none.bin", NULL, NULL, "none.bin' (24 bytes) cannot be found");
    CHECK_PLACE("w.bin", "1", NULL, "'w.bin' is too short: 24 bytes expected at offset 1, the file has 24");
    CHECK_PLACE("w.bin", "9223372036854775807", NULL, "too short");
    CHECK_PLACE("w.bin", "0", "20", "has length 20");
    CHECK_PLACE("w.bin", "-1", NULL, "offset '-1'");
    CHECK_PLACE("w.bin", "4k", NULL, "offset '4k'");
    CHECK_PLACE("w.bin", NULL, "99999999999999999999", "length '99999999999999999999'");
    CHECK_PLACE(NULL, NULL, NULL, "no location");
    CHECK_PLACE("", NULL, NULL, "no location");
    CHECK_PLACE("/etc/passwd", NULL, NULL, "lies outside the model's folder");
    CHECK_PLACE("../w.bin", NULL, NULL, "lies outside the model's folder");
    CHECK_PLACE("a/../../w.bin", NULL, NULL, "lies outside the model's folder");
    CHECK_PLACE(".", NULL, NULL, "no regular file");
    CHECK(symlink("/etc/passwd", at(arena, "link.bin")) == 0);
    CHECK_PLACE("link.bin", NULL, NULL, "a link out of the model's folder");
    arena_free(arena);
}

/* cache/x.onnx and cache/w.bin are links into blobs/: how download caches keep a model. */
TEST(external_data_of_a_linked_model)
{
    Arena *arena = arena_new();
    const float weights[6] = {3};
    Model *model = NULL;
    mkdir(at(arena, "cache"), 0777);
    mkdir(at(arena, "blobs"), 0777);
    write_file(at(arena, "blobs/1"), weights, sizeof weights);
    size_t bytes;
    unsigned char *data = pb_pack(outside_model(arena, "w.bin", NULL, NULL), &bytes);
    write_file(at(arena, "blobs/2"), data, bytes);
    free(data);
    CHECK(symlink("../blobs/1", at(arena, "cache/w.bin")) == 0);
    CHECK(symlink("../blobs/2", at(arena, "cache/x.onnx")) == 0);
    CHECK_OK(onnx_load(at(arena, "cache/x.onnx"), &model));
    CHECK(model != NULL && tensor_get(node_constant(model->graph->first, 1), 0) == 3);
    model_free(model);
    arena_free(arena);
}

/* Two weights above the threshold and one below. */
static Onnx__ModelProto *heavy_model(Arena *arena)
{
    float *data = arena_array(arena, 3000, sizeof *data);
    Onnx__ModelProto *proto = pb_relu_model(arena);
    for (int i = 0; i < 3000; i++)
        data[i] = (float)i;
    pb_initializer(arena, proto->graph, "a", DT_FLOAT, 1, (int64_t[]){3000}, data, 12000);
    pb_initializer(arena, proto->graph, "small", DT_FLOAT, 1, (int64_t[]){255}, data, 1020);
    pb_initializer(arena, proto->graph, "b", DT_FLOAT, 1, (int64_t[]){256}, data + 7, 1024);
    return proto;
}

TEST(external_data_is_written)
{
    Arena *arena = arena_new();
    Model *model = NULL, *again = NULL;
    SaveResult result;
    struct stat info;
    CHECK_OK(pb_load(heavy_model(arena), &model));
    CHECK_OK(onnx_save(model, at(arena, "out.onnx"), EXTERNAL_ALWAYS, &result));
    CHECK_INT(result.external_bytes, 3 * 4096 + 1024);
    CHECK(stat(at(arena, "out.onnx.data"), &info) == 0 && (uint64_t)info.st_size == result.external_bytes);
    CHECK(stat(at(arena, "out.onnx"), &info) == 0 && (uint64_t)info.st_size == result.model_bytes);
    CHECK_OK(onnx_load(at(arena, "out.onnx"), &again));
    if (again != NULL) {
        CHECK_INT(again->graph->n_initializers, 3);
        for (int i = 0; i < 3; i++) {
            const Onnx__TensorProto *proto = again->graph->initializers[i]->tensor_origin;
            CHECK_TEXT(again->graph->initializers[i]->name, model->graph->initializers[i]->name);
            CHECK(tensor_equal(again->graph->initializers[i]->constant, model->graph->initializers[i]->constant));
            CHECK_INT(proto->data_location == LOCATION_EXTERNAL, i != 1);
            CHECK_INT(proto->n_external_data, i == 1 ? 0 : 3);
            if (i == 2)
                CHECK_TEXT(proto->external_data[0]->value, "out.onnx.data");
        }
        /* Its own weights are not written over; in one file they come home. */
        CHECK_FAILS(onnx_save(again, at(arena, "out.onnx"), EXTERNAL_ALWAYS, NULL), CODE_WRITE, "would be overwritten");
        CHECK_OK(onnx_save(again, at(arena, "inside.onnx"), EXTERNAL_AUTO, &result));
        CHECK_INT(result.external_bytes, 0);
        model_free(again);
        CHECK_OK(onnx_load(at(arena, "inside.onnx"), &again));
        const Tensor *first = model->graph->initializers[0]->constant;
        CHECK(again != NULL && tensor_equal(again->graph->initializers[0]->constant, first));
    }
    model_free(again);
    model_free(model);
    arena_free(arena);
}

TEST(external_data_leaves_nothing_behind_when_it_fails)
{
    Arena *arena = arena_new();
    Model *model = NULL;
    struct stat info;
    CHECK_OK(pb_load(heavy_model(arena), &model));
    mkdir(at(arena, "taken.onnx"), 0777); /* a folder stands where the model should go */
    Status status = onnx_save(model, at(arena, "taken.onnx"), EXTERNAL_ALWAYS, NULL);
    CHECK_INT(status_code(status), CODE_WRITE);
    status_free(status);
    CHECK(stat(at(arena, "taken.onnx.data"), &info) != 0);
    CHECK_FAILS(onnx_save(model, at(arena, "nowhere/m.onnx"), EXTERNAL_NEVER, NULL), CODE_WRITE, "nowhere");
    model_free(model);
    arena_free(arena);
}
