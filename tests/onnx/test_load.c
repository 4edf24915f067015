/* Loading: what becomes of a graph, and what is refused and how. */
#include "src/ops/ops.h"
#include "tests/onnx/protos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t dims_2x3[] = {2, 3};

TEST(load_a_graph)
{
    Arena *arena = arena_new();
    Onnx__ModelProto *proto = pb_relu_model(arena);
    PB_APPEND(arena, proto, metadata_props, pb_entry(arena, "key", "value"));
    proto->producer_name = PB_TEXT("maker");
    proto->opset_import[0]->domain = PB_TEXT("ai.onnx");
    proto->graph->node[0]->domain = PB_TEXT("ai.onnx");
    Model *model = NULL;
    CHECK_OK(pb_load(proto, &model));
    if (model != NULL) {
        Graph *graph = model->graph;
        CHECK_OK(model_verify(model));
        CHECK_INT(model->ir_version, 8);
        CHECK_INT(model_opset(model, ""), 13);
        CHECK_TEXT(model->producer_name, "maker");
        CHECK_TEXT(model_metadata(model, "key"), "value");
        CHECK_TEXT(graph->name, "g");
        CHECK_INT(graph->n_nodes, 1);
        CHECK(node_is(graph->first, "Relu"));
        CHECK_TEXT(graph->first->name, "r");
        CHECK_INT(graph->first->opset, 13);
        CHECK(graph->first->def == op_find("", "Relu", 13));
        CHECK(graph->first->in[0] == graph->inputs[0]);
        CHECK(graph->first->out[0] == graph->outputs[0]);
        CHECK_TEXT(shape_text(model->arena, &graph->inputs[0]->type.shape), "2x3");
        CHECK_INT(graph->outputs[0]->type.dtype, DT_FLOAT);
    }
    model_free(model);
    arena_free(arena);
}

TEST(load_sorts_nodes)
{
    Arena *arena = arena_new();
    Onnx__ModelProto *proto = pb_model(arena);
    pb_input(arena, proto->graph, "x", DT_FLOAT, 2, dims_2x3);
    pb_node(arena, proto->graph, "Relu", "c", "b", "y");
    pb_node(arena, proto->graph, "Relu", "b", "a", "b");
    pb_node(arena, proto->graph, "Relu", "a", "x", "a");
    pb_output(arena, proto->graph, "y", DT_FLOAT, 2, dims_2x3);
    Model *model = NULL;
    CHECK_OK(pb_load(proto, &model));
    if (model != NULL) {
        CHECK_OK(model_verify(model));
        CHECK_TEXT(model->graph->first->name, "a");
        CHECK_TEXT(model->graph->last->name, "c");
    }
    model_free(model);
    arena_free(arena);
}

/* If(c) { then: Relu(a) -> out } { else: Neg(a) -> out }: both read `a` of the outer graph and share a name. */
static Onnx__ModelProto *if_model(Arena *arena)
{
    Onnx__ModelProto *proto = pb_model(arena);
    Onnx__GraphProto *then_graph = pb_graph(arena, "then"), *else_graph = pb_graph(arena, "else");
    pb_input(arena, proto->graph, "c", DT_BOOL, 0, NULL);
    pb_input(arena, proto->graph, "x", DT_FLOAT, 2, dims_2x3);
    Onnx__NodeProto *node = pb_node(arena, proto->graph, "If", "if", "c", "y");
    pb_node(arena, proto->graph, "Relu", "late", "x", "a"); /* stands behind its use inside the branches */
    pb_node(arena, then_graph, "Relu", "t", "a", "out");
    pb_output(arena, then_graph, "out", DT_FLOAT, 2, dims_2x3);
    pb_node(arena, else_graph, "Neg", "e", "a", "out");
    pb_output(arena, else_graph, "out", DT_FLOAT, 2, dims_2x3);
    pb_attr(arena, node, "then_branch", ATTR_GRAPH)->g = then_graph;
    pb_attr(arena, node, "else_branch", ATTR_GRAPH)->g = else_graph;
    pb_output(arena, proto->graph, "y", DT_FLOAT, 2, dims_2x3);
    return proto;
}

TEST(load_inner_graphs)
{
    Arena *arena = arena_new();
    Model *model = NULL;
    CHECK_OK(pb_load(if_model(arena), &model));
    if (model != NULL) {
        CHECK_OK(model_verify(model));
        Node *outer = model->graph->last;
        CHECK_TEXT(outer->op_type, "If");
        CHECK_TEXT(model->graph->first->name, "late");
        const Graph *then_graph = node_attr(outer, "then_branch")->g, *else_graph = node_attr(outer, "else_branch")->g;
        CHECK(then_graph->owner == outer);
        CHECK(then_graph->first->in[0] == model->graph->first->out[0]);
        CHECK_INT(model->graph->first->out[0]->n_uses, 2);
        CHECK_TEXT(then_graph->outputs[0]->name, "out");
        CHECK_TEXT(else_graph->outputs[0]->name, "out");
        CHECK(then_graph->outputs[0] != else_graph->outputs[0]);
    }
    model_free(model);
    Onnx__ModelProto *direct = if_model(arena);
    direct->graph->node[0]->attribute[0]->g->output[0]->name = PB_TEXT("a");
    CHECK_REFUSED(direct, "Identity");
    arena_free(arena);
}

TEST(load_omitted_inputs_and_outputs)
{
    Arena *arena = arena_new();
    Onnx__ModelProto *proto = pb_model(arena);
    pb_input(arena, proto->graph, "x", DT_FLOAT, 2, dims_2x3);
    Onnx__NodeProto *node = pb_node(arena, proto->graph, "Thing", "t", "x,,x", ",y");
    node->domain = PB_TEXT("test.things");
    pb_output(arena, proto->graph, "y", DT_FLOAT, 2, dims_2x3);
    Model *model = NULL;
    CHECK_OK(pb_load(proto, &model));
    if (model != NULL) {
        Node *thing = model->graph->first;
        CHECK_INT(thing->n_in, 3);
        CHECK(thing->in[1] == NULL && thing->in[2] == thing->in[0]);
        CHECK(thing->n_out == 2 && thing->out[0] == NULL);
        CHECK(thing->def == NULL && thing->opset == 0);
    }
    model_free(model);
    arena_free(arena);
}

TEST(load_initializers_that_are_inputs)
{
    Arena *arena = arena_new();
    const float data[6] = {1, 2, 3, 4, 5, 6};
    Onnx__ModelProto *proto = pb_model(arena);
    proto->ir_version = 3;
    pb_input(arena, proto->graph, "x", DT_FLOAT, 2, dims_2x3);
    pb_input(arena, proto->graph, "w", DT_FLOAT, 2, dims_2x3);
    pb_node(arena, proto->graph, "Add", "add", "x,w", "y");
    pb_output(arena, proto->graph, "y", DT_FLOAT, 2, dims_2x3);
    pb_initializer(arena, proto->graph, "w", DT_FLOAT, 2, dims_2x3, data, sizeof data);
    Model *model = NULL;
    CHECK_OK(pb_load(proto, &model));
    if (model != NULL) {
        CHECK_OK(model_verify(model));
        Value *w = model->graph->inputs[1];
        CHECK(w->is_input && w->constant != NULL && model->graph->n_initializers == 1);
        CHECK_NEAR(tensor_get(w->constant, 5), 6, 0);
        Onnx__ModelProto *saved = pb_saved(arena, model);
        CHECK(saved != NULL && saved->ir_version == 3);
        CHECK(saved != NULL && saved->graph->n_input == 2 && saved->graph->n_initializer == 1);
    }
    model_free(model);
    arena_free(arena);
}

TEST(load_symbolic_dims)
{
    Arena *arena = arena_new();
    Onnx__ModelProto *proto = pb_relu_model(arena);
    Onnx__TensorShapeProto *shape = proto->graph->input[0]->type->tensor_type->shape;
    shape->dim[0]->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
    shape->dim[0]->dim_param = PB_TEXT("batch");
    shape->dim[1]->dim_value = -1;
    proto->graph->output[0]->type->tensor_type->shape = NULL;
    Model *model = NULL;
    CHECK_OK(pb_load(proto, &model));
    if (model != NULL) {
        const Shape *in = &model->graph->inputs[0]->type.shape;
        CHECK_TEXT(in->dims[0].name, "batch");
        CHECK(!dim_is_known(in->dims[1]) && in->dims[1].name == NULL);
        CHECK_INT(model->graph->outputs[0]->type.shape.rank, -1);
    }
    model_free(model);
    arena_free(arena);
}

TEST(load_attributes_of_every_kind)
{
    Arena *arena = arena_new();
    Onnx__ModelProto *proto = pb_relu_model(arena);
    Onnx__NodeProto *node = proto->graph->node[0];
    const float one = 1;
    node->domain = PB_TEXT("test.things");
    Onnx__AttributeProto *f = pb_attr(arena, node, "f", ATTR_FLOAT);
    f->has_f = 1;
    f->f = 1.5f;
    pb_attr(arena, node, "zero", ATTR_INT); /* a writer may leave out zeros */
    Onnx__AttributeProto *s = pb_attr(arena, node, "s", ATTR_STRING);
    s->has_s = 1;
    s->s = (ProtobufCBinaryData){5, (uint8_t *)"abc\0d"};
    Onnx__AttributeProto *floats = pb_attr(arena, node, "floats", ATTR_FLOATS);
    PB_APPEND(arena, floats, floats, 0.25f);
    Onnx__AttributeProto *ints = pb_attr(arena, node, "ints", ATTR_UNDEFINED); /* IR 1 had no kinds */
    PB_APPEND(arena, ints, ints, 7);
    PB_APPEND(arena, ints, ints, -8);
    Onnx__AttributeProto *strings = pb_attr(arena, node, "strings", ATTR_STRINGS);
    PB_APPEND(arena, strings, strings, ((ProtobufCBinaryData){0, NULL}));
    Onnx__AttributeProto *tensor = pb_attr(arena, node, "tensor", ATTR_TENSOR);
    tensor->t = pb_tensor(arena, "", DT_FLOAT, 0, NULL);
    PB_APPEND(arena, tensor->t, float_data, one);
    Onnx__AttributeProto *tensors = pb_attr(arena, node, "tensors", ATTR_TENSORS);
    PB_APPEND(arena, tensors, tensors, tensor->t);
    Onnx__AttributeProto *type = pb_attr(arena, node, "type", ATTR_TYPE_PROTO);
    type->tp = proto->graph->input[0]->type;
    Onnx__AttributeProto *graphs = pb_attr(arena, node, "graphs", ATTR_GRAPHS);
    PB_APPEND(arena, graphs, graphs, pb_graph(arena, "inner"));
    Model *model = NULL;
    CHECK_OK(pb_load(proto, &model));
    if (model != NULL) {
        const Node *thing = model->graph->first;
        int64_t n;
        CHECK_INT(thing->n_attrs, 10);
        CHECK_NEAR(node_float(thing, "f", 0), 1.5, 0);
        CHECK_INT(node_int(thing, "zero", 5), 0);
        CHECK_TEXT(node_string(thing, "s", ""), "abc");
        CHECK_INT(node_attr(thing, "s")->s.length, 5);
        CHECK_NEAR(node_floats(thing, "floats", &n)[0], 0.25, 0);
        CHECK_INT(node_ints(thing, "ints", &n)[1], -8);
        CHECK_INT(n, 2);
        CHECK_TEXT(node_attr(thing, "strings")->strings[0].data, "");
        CHECK_NEAR(tensor_get(node_attr(thing, "tensor")->t, 0), 1, 0);
        CHECK_INT(node_attr(thing, "tensors")->n, 1);
        CHECK_INT(node_attr(thing, "type")->kind, ATTR_TYPE_PROTO);
        CHECK_TEXT(node_attr(thing, "graphs")->graphs[0]->name, "inner");
        Onnx__ModelProto *saved = pb_saved(arena, model);
        if (saved != NULL) {
            const Onnx__NodeProto *back = saved->graph->node[0];
            CHECK_INT(back->n_attribute, 10);
            CHECK(back->attribute[1]->has_i && back->attribute[1]->i == 0);
            CHECK(back->attribute[2]->s.len == 5 && memcmp(back->attribute[2]->s.data, "abc\0d", 5) == 0);
            CHECK_INT(back->attribute[4]->type, ATTR_INTS);
            CHECK_INT(back->attribute[4]->ints[1], -8);
            CHECK_INT(back->attribute[6]->t->raw_data.len, sizeof(float));
            CHECK(back->attribute[8]->tp != NULL);
            CHECK_TEXT(back->attribute[9]->graphs[0]->name, "inner");
        }
    }
    model_free(model);
    arena_free(arena);
}

TEST(load_refuses_wrong_attributes)
{
    Arena *arena = arena_new();
    Onnx__ModelProto *proto = pb_relu_model(arena);
    Onnx__NodeProto *node = proto->graph->node[0];
    node->domain = PB_TEXT("test.things");
    Onnx__AttributeProto *attr = pb_attr(arena, node, "a", ATTR_INT);
    PB_APPEND(arena, attr, floats, 1.0f);
    CHECK_REFUSED(proto, "node 'r' (test.things.Relu): attribute 'a' is said to be of kind int, but holds floats");
    attr->n_floats = 0;
    attr->type = ATTR_GRAPH;
    CHECK_REFUSED(proto, "attribute 'a' is said to hold a graph, but is empty");
    attr->type = 99;
    CHECK_REFUSED(proto, "type 99");
    attr->type = ATTR_INT;
    attr->ref_attr_name = PB_TEXT("b");
    CHECK_REFUSED(proto, "of a function");
    attr->ref_attr_name = NULL;
    pb_attr(arena, node, "a", ATTR_INT);
    CHECK_REFUSED(proto, "attribute 'a' is given twice");
    arena_free(arena);
}

/* The op's own table says what kind an attribute has. */
TEST(load_refuses_an_attribute_of_the_wrong_kind_for_its_op)
{
    Arena *arena = arena_new();
    Onnx__ModelProto *proto = pb_relu_model(arena);
    proto->graph->node[0]->op_type = PB_TEXT("Concat");
    Onnx__AttributeProto *axis = pb_attr(arena, proto->graph->node[0], "axis", ATTR_FLOAT);
    axis->has_f = 1;
    CHECK_REFUSED(proto, "attribute 'axis'");
    arena_free(arena);
}

TEST(load_refuses_a_cycle)
{
    Arena *arena = arena_new();
    Onnx__ModelProto *proto = pb_relu_model(arena);
    pb_node(arena, proto->graph, "Relu", "p", "q", "p");
    pb_node(arena, proto->graph, "Relu", "q", "p", "q");
    CHECK_REFUSED(proto, "cycle");
    arena_free(arena);
}

TEST(load_refuses_duplicate_and_undefined_names)
{
    Arena *arena = arena_new();
    Onnx__ModelProto *proto = pb_relu_model(arena);
    pb_node(arena, proto->graph, "Neg", "n", "x", "y");
    CHECK_REFUSED(proto, "node 'n' (Neg): output 'y' is also an output of node 'r' (Relu)");
    proto->graph->node[1]->output[0] = PB_TEXT("x");
    CHECK_REFUSED(proto, "output 'x' is also an input of the graph");
    proto->graph->node[1]->output[0] = PB_TEXT("z");
    proto->graph->node[1]->input[0] = PB_TEXT("nowhere");
    CHECK_REFUSED(proto, "node 'n' (Neg): input 0 reads 'nowhere'");
    proto->graph->n_node = 1;
    proto->graph->output[0]->name = PB_TEXT("nowhere");
    CHECK_REFUSED(proto, "output 0 is 'nowhere'");

    const float data[6] = {0};
    proto = pb_relu_model(arena);
    pb_initializer(arena, proto->graph, "y", DT_FLOAT, 2, dims_2x3, data, sizeof data);
    CHECK_REFUSED(proto, "output 'y' is also an initializer");
    proto->graph->initializer[0]->name = PB_TEXT("w");
    pb_initializer(arena, proto->graph, "w", DT_FLOAT, 2, dims_2x3, data, sizeof data);
    CHECK_REFUSED(proto, "initializer 'w' is given twice");
    proto = pb_relu_model(arena);
    pb_input(arena, proto->graph, "x", DT_FLOAT, 2, dims_2x3);
    CHECK_REFUSED(proto, "input 'x' is listed twice");
    proto = pb_relu_model(arena);
    proto->graph->node[0]->op_type = PB_TEXT("");
    CHECK_REFUSED(proto, "has no operator type");
    proto = pb_model(arena);
    pb_input(arena, proto->graph, "x", DT_FLOAT, 2, dims_2x3);
    pb_node(arena, proto->graph, "Split", "s", "x", "y,y");
    CHECK_REFUSED(proto, "another output of the node");
    arena_free(arena);
}

TEST(load_refuses_incomplete_heads)
{
    Arena *arena = arena_new();
    Onnx__ModelProto *proto = pb_relu_model(arena);
    proto->ir_version = 2;
    CHECK_REFUSED(proto, "m.onnx: IR version 2");
    proto->has_ir_version = 0;
    CHECK_REFUSED(proto, "no IR version");
    proto = pb_relu_model(arena);
    proto->opset_import[0]->domain = PB_TEXT("test.things");
    CHECK_REFUSED(proto, "node 'r' (Relu): the model imports no opset of ai.onnx");
    proto->n_opset_import = 0;
    CHECK_REFUSED(proto, "imports no opset");

    /* a version that makes no sense, of a domain that nothing needs, is written as it was read */
    Model *model = NULL;
    proto = pb_model(arena);
    proto->opset_import[0]->version = -1;
    CHECK_OK(pb_load(proto, &model));
    Onnx__ModelProto *saved = pb_saved(arena, model);
    CHECK(saved->n_opset_import == 1 && saved->opset_import[0]->version == -1);
    model_free(model);
    proto = pb_relu_model(arena);
    proto->graph = NULL;
    CHECK_REFUSED(proto, "holds no graph");
    arena_free(arena);
}

TEST(load_says_what_is_no_model)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *part;
    } files[] = {
        {"", 0, "the file is empty"},
        {"hello, world\nthis is no model\n", 30, "a text file"},
        {"{\"a\": 1}", 8, "a text file"},
        {"\xff\xd8\xff\xe0\0\x10JFIF", 10, "a JPEG image"},
        {"\x89PNG\r\n\x1a\n", 8, "a PNG image"},
        {"PK\x03\x04rest", 8, "a zip archive"},
        {"version https://git-lfs.github.com/spec/v1\n", 43, "git-lfs pointer"},
        {"\x1f\x8b\x08\0\0\0", 6, "a gzip file"},
        {"\x9c\x01\xf3\x80\x22\xee\x00\x17", 8, "not a valid ONNX model"},
        {"\x08\x08", 2, "holds no graph"},
    };
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        Model *model = NULL;
        unsigned char *data = xcalloc(files[i].length + 1, 1);
        memcpy(data, files[i].bytes, files[i].length);
        CHECK_FAILS(onnx_load_memory(data, files[i].length, "f", &model), CODE_MODEL, files[i].part);
        free(data);
    }
    Model *model = NULL;
    CHECK_FAILS(onnx_load("/nowhere/m.onnx", &model), CODE_MODEL, "/nowhere/m.onnx");
}

/* Where the graph and the opset are whole, what follows is not needed; before that every cut is an error. */
TEST(load_refuses_a_model_cut_anywhere)
{
    Arena *arena = arena_new();
    Onnx__ModelProto *proto = if_model(arena);
    const float data[6] = {1, 2, 3, 4, 5, 6};
    pb_initializer(arena, proto->graph, "w", DT_FLOAT, 2, dims_2x3, data, sizeof data);
    Onnx__TensorProto *typed = pb_tensor(arena, "v", DT_INT8, 1, (int64_t[]){2});
    PB_APPEND(arena, typed, int32_data, -1);
    PB_APPEND(arena, typed, int32_data, 100000);
    PB_APPEND(arena, proto->graph, initializer, typed);
    proto->producer_name = PB_TEXT("maker");
    size_t bytes;
    unsigned char *whole = pb_pack(proto, &bytes);
    for (size_t cut = 0; cut <= bytes; cut++) {
        Model *model = NULL;
        unsigned char *part = xcalloc(cut, 1);
        memcpy(part, whole, cut);
        Status status = onnx_load_memory(part, cut, "cut.onnx", &model);
        if (cut == bytes ? status != NULL : status_code(status) != CODE_MODEL)
            test_fail(__FILE__, __LINE__, "cut at %zu of %zu: %d %s", cut, bytes, status_code(status),
                      status_message(status));
        status_free(status);
        model_free(model);
        free(part);
    }
    free(whole);
    arena_free(arena);
}

/* Single damaged bytes: an error or a model that still holds together. */
TEST(load_survives_damaged_bytes)
{
    Arena *arena = arena_new();
    size_t bytes;
    unsigned char *data = pb_pack(if_model(arena), &bytes);
    for (size_t at = 0; at < bytes; at++) {
        for (int bit = 0; bit < 8; bit++) {
            Model *model = NULL;
            data[at] ^= (unsigned char)(1 << bit);
            Status status = onnx_load_memory(data, bytes, "damaged.onnx", &model);
            if (status == NULL)
                CHECK_OK(model_verify(model));
            else
                CHECK_INT(status_code(status), CODE_MODEL);
            status_free(status);
            model_free(model);
            data[at] ^= (unsigned char)(1 << bit);
        }
    }
    free(data);
    arena_free(arena);
}

/* A sequence of sequences of ...: `depth` levels, made on the wire from the inside out. */
static unsigned char *nested_type(size_t depth, size_t *ret_bytes)
{
    size_t cap = depth * 16 + 64, start = cap;
    unsigned char *data = xcalloc(cap, 1);
    const unsigned char tags[] = {0x0a, 0x22}; /* Sequence.elem_type, TypeProto.sequence_type */
    for (size_t i = 0; i < depth * 2; i++) {
        size_t length = cap - start;
        unsigned char varint[5];
        size_t n = 0;
        do {
            varint[n++] = (unsigned char)((length & 0x7f) | (length > 0x7f ? 0x80 : 0));
            length >>= 7;
        } while (length > 0);
        start -= n;
        memcpy(data + start, varint, n);
        data[--start] = tags[i % 2];
    }
    memmove(data, data + start, cap - start);
    *ret_bytes = cap - start;
    return data;
}

TEST(wire_refuses_deep_nesting)
{
    size_t bytes;
    unsigned char *data = nested_type(40, &bytes);
    CHECK_OK(wire_check(&onnx__type_proto__descriptor, data, bytes));
    free(data);
    data = nested_type(100000, &bytes);
    CHECK_FAILS(wire_check(&onnx__type_proto__descriptor, data, bytes), CODE_MODEL, "nested deeper than 100");
    free(data);
}

TEST(wire_refuses_malformed_fields)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *part;
    } cases[] = {
        {"\x3a\x05\x0a", 3, "byte 1: ModelProto.graph takes 5 bytes, 1 are left"},
        {"\x3a", 1, "the length of ModelProto.graph"},
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "ModelProto.ir_version is not complete"},
        {"\x0a\x01\x31", 3, "ModelProto.ir_version has wire type 2, not 0"},
        {"\x12\x02\x61\x00", 4, "ModelProto.producer_name holds a NUL byte"},
        {"\x3a\x00\x3a\x00", 4, "ModelProto.graph is given twice"},
        {"\x0b", 1, "wire type 3"},
        {"\x07", 1, "no field of ModelProto starts there"},
        {"\xff\xff\xff\xff\xff\xff", 6, "no field of ModelProto starts there"},
        {"\x3a\x07\x2a\x05\x22\x03\x00\x00\x00", 9, "TensorProto.float_data has 3 bytes, no multiple of 4"},
        {"\x3a\x05\x2a\x03\x2a\x01\x80", 7, "TensorProto.int32_data holds a malformed number"},
        {"\xfd\x3e\x00\x00", 4, "takes 4 bytes, 2 are left"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        unsigned char *data = xcalloc(cases[i].length, 1);
        memcpy(data, cases[i].bytes, cases[i].length);
        CHECK_FAILS(wire_check(&onnx__model_proto__descriptor, data, cases[i].length), CODE_MODEL, cases[i].part);
        free(data);
    }
}
