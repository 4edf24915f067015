/* mutate.c - libFuzzer's mutations on the level of protobuf messages, so that most of what it tries is still a model.
 *
 *     bytes ── unpack ── [ a field of a message, drawn at random ] ── changed ── tensors made whole ── pack ── bytes
 *                          number  another one, often an odd one
 *                          text    an op type, the name of an attribute, a text from elsewhere in the model
 *                          list    an element doubled, dropped, swapped with another
 *                          message one of its kind from elsewhere in the model, or from a second model
 *
 * It knows no field by name but those of TensorProto, whose data is cut or filled to its dims: three mutants of four load.
 */
#include "src/onnx/proto.h"
#include "src/ops/ops.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#define SITES_MAX 20000
#define TENSOR_BYTES_MAX 8192

typedef const ProtobufCFieldDescriptor Field;

/* A field of a message, present or not. */
typedef struct Site {
    ProtobufCMessage *message;
    Field *field;
} Site;

typedef struct Mutator {
    Arena *arena;
    uint64_t random;
    Site *sites;
    size_t n, cap;
} Mutator;

static uint64_t draw(Mutator *m, uint64_t below)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return below == 0 ? 0 : (m->random >> 11) % below;
}

/* ---- fields by their descriptors --------------------------------------------------------------------------------- */

static void *member(const Site *site)
{
    return (char *)site->message + site->field->offset;
}

/* Flag, count or case of the field; NULL when the pointer says all. */
static void *quantifier(const Site *site)
{
    return site->field->quantifier_offset == 0 ? NULL : (char *)site->message + site->field->quantifier_offset;
}

static size_t element_bytes(Field *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4;
    }
}

static bool is_oneof(Field *field)
{
    return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}

static size_t count_of(const Site *site)
{
    Field *field = site->field;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t n;
        memcpy(&n, quantifier(site), sizeof n);
        return n;
    }
    if (is_oneof(field)) {
        uint32_t chosen;
        memcpy(&chosen, quantifier(site), sizeof chosen);
        return chosen == field->id;
    }
    if (field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE) {
        void *pointer;
        memcpy(&pointer, member(site), sizeof pointer);
        return pointer != NULL && pointer != field->default_value;
    }
    protobuf_c_boolean has = 1;
    if (quantifier(site) != NULL)
        memcpy(&has, quantifier(site), sizeof has);
    return has != 0;
}

static void set_count(const Site *site, size_t n)
{
    Field *field = site->field;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        memcpy(quantifier(site), &n, sizeof n);
    } else if (is_oneof(field)) {
        uint32_t chosen = n > 0 ? field->id : 0;
        memcpy(quantifier(site), &chosen, sizeof chosen);
    } else if (field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE) {
        if (n == 0)
            memset(member(site), 0, sizeof(void *));
    } else if (quantifier(site) != NULL) {
        protobuf_c_boolean has = n > 0;
        memcpy(quantifier(site), &has, sizeof has);
    }
}

/* Where element i of the field stands. */
static char *element(const Site *site, size_t i)
{
    char *array;
    if (site->field->label != PROTOBUF_C_LABEL_REPEATED)
        return member(site);
    memcpy(&array, member(site), sizeof array);
    return array + i * element_bytes(site->field);
}

static void add_sites(Mutator *m, ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    for (unsigned f = 0; f < descriptor->n_fields && m->n < SITES_MAX; f++) {
        Site site = {message, &descriptor->fields[f]};
        size_t n = count_of(&site);
        m->sites = array_reserve(m->sites, &m->cap, m->n + 1, sizeof *m->sites);
        m->sites[m->n++] = site;
        for (size_t i = 0; i < n && site.field->type == PROTOBUF_C_TYPE_MESSAGE; i++) {
            ProtobufCMessage *inner;
            memcpy(&inner, element(&site, i), sizeof inner);
            add_sites(m, inner);
        }
    }
}

/* ---- new contents ------------------------------------------------------------------------------------------------ */

static int64_t any_integer(Mutator *m)
{
    static const int64_t odd[] = {0,         1,         -1,        2,         3,       -2,           4,       5,  7,
                                  8,         16,        31,        32,        63,      64,           65,      127, 128,
                                  255,       256,       1000,      65535,     65536,   1 << 20,      INT32_MAX, INT32_MIN,
                                  INT64_MAX, INT64_MIN, 1LL << 31, 1LL << 32, 1LL << 40, INT64_MAX - 1, -1000, 10};
    return draw(m, 3) > 0 ? (int64_t)draw(m, 30) - 4 : odd[draw(m, COUNT_OF(odd))];
}

static double any_float(Mutator *m)
{
    static const double odd[] = {0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e-30, 1e30, -1e30, 1e-45, 3.4e38, 1e300, 255.0, 1e9};
    uint64_t k = draw(m, COUNT_OF(odd) + 8);
    if (k < COUNT_OF(odd))
        return odd[k];
    if (k == COUNT_OF(odd))
        return __builtin_inf();
    if (k == COUNT_OF(odd) + 1)
        return __builtin_nan("");
    return ((double)draw(m, 2001) - 1000.0) / 100.0;
}

/* Element of another site of the same kind, or NULL. */
static const char *elsewhere(Mutator *m, Field *like)
{
    for (int tries = 0; tries < 200 && m->n > 0; tries++) {
        const Site *site = &m->sites[draw(m, m->n)];
        size_t n = count_of(site);
        if (n > 0 && site->field->type == like->type && site->field->descriptor == like->descriptor)
            return element(site, draw(m, n));
    }
    return NULL;
}

static const char *any_attribute(Mutator *m)
{
    for (int tries = 0; tries < 20; tries++) {
        const AttrSpec *attrs = op_at(draw(m, op_count()))->attrs;
        size_t n = 0;
        while (attrs != NULL && attrs[n].name != NULL)
            n++;
        if (n > 0)
            return attrs[draw(m, n)].name;
    }
    return "axis";
}

static const char *any_text(Mutator *m, Field *like)
{
    const char *text = NULL;
    const char *other = elsewhere(m, like);
    switch (draw(m, 8)) {
    case 0:
    case 1:
        return op_at(draw(m, op_count()))->type;
    case 2:
        return any_attribute(m);
    case 3:
        return draw(m, 2) == 0 ? "" : op_at(draw(m, op_count()))->domain;
    default:
        if (other != NULL)
            memcpy(&text, other, sizeof text);
        return text == NULL ? "" : text;
    }
}

static ProtobufCBinaryData any_bytes(Mutator *m, const ProtobufCBinaryData *old)
{
    size_t bytes = draw(m, 3) > 0 ? old->len : draw(m, 40);
    uint8_t *data = arena_alloc(m->arena, bytes + 1);
    if (bytes > 0 && old->len > 0)
        memcpy(data, old->data, MIN(bytes, old->len));
    for (size_t i = draw(m, 4); bytes > 0 && i > 0; i--)
        data[draw(m, bytes)] = (uint8_t)draw(m, 256);
    return (ProtobufCBinaryData){bytes, data};
}

/* A new value of the field's type at `at`; what stands there is a value too. */
static void renew(Mutator *m, Field *field, char *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64: {
        int64_t value = any_integer(m);
        memcpy(at, &value, sizeof value);
        break;
    }
    case PROTOBUF_C_TYPE_FLOAT: {
        float value = (float)any_float(m);
        memcpy(at, &value, sizeof value);
        break;
    }
    case PROTOBUF_C_TYPE_DOUBLE: {
        double value = any_float(m);
        memcpy(at, &value, sizeof value);
        break;
    }
    case PROTOBUF_C_TYPE_STRING: {
        char *text = arena_strdup(m->arena, any_text(m, field));
        memcpy(at, &text, sizeof text);
        break;
    }
    case PROTOBUF_C_TYPE_BYTES: {
        ProtobufCBinaryData old;
        memcpy(&old, at, sizeof old);
        ProtobufCBinaryData value = any_bytes(m, &old);
        memcpy(at, &value, sizeof value);
        break;
    }
    case PROTOBUF_C_TYPE_MESSAGE: {
        const char *other = elsewhere(m, field);
        if (other != NULL)
            memcpy(at, other, sizeof(void *));
        break;
    }
    default: {
        int32_t value = (int32_t)any_integer(m);
        memcpy(at, &value, sizeof value);
    }
    }
}

static void change_list(Mutator *m, const Site *site)
{
    size_t n = count_of(site), bytes = element_bytes(site->field);
    char *grown = arena_alloc(m->arena, (n + 1) * bytes);
    if (n > 0)
        memcpy(grown, element(site, 0), n * bytes);
    if (n > 0 && draw(m, 3) == 0) { /* one less */
        size_t at = draw(m, n);
        memmove(grown + at * bytes, grown + (at + 1) * bytes, (n - at - 1) * bytes);
        n--;
    } else if (n > 1 && draw(m, 2) == 0) { /* two change places */
        size_t a = draw(m, n), b = draw(m, n);
        memcpy(grown + n * bytes, grown + a * bytes, bytes);
        memmove(grown + a * bytes, grown + b * bytes, bytes);
        memcpy(grown + b * bytes, grown + n * bytes, bytes);
    } else { /* one more */
        const char *other = n > 0 ? grown + draw(m, n) * bytes : elsewhere(m, site->field);
        if (other != NULL)
            memcpy(grown + n * bytes, other, bytes);
        else if (site->field->type == PROTOBUF_C_TYPE_MESSAGE || site->field->type == PROTOBUF_C_TYPE_STRING)
            return;
        n++;
    }
    memcpy(member(site), &grown, sizeof grown);
    set_count(site, n);
}

static void change(Mutator *m, const Site *site)
{
    size_t n = count_of(site);
    if (site->field->label == PROTOBUF_C_LABEL_REPEATED && (n == 0 || draw(m, 3) == 0)) {
        change_list(m, site);
    } else if (site->field->label != PROTOBUF_C_LABEL_REPEATED && n > 0 && draw(m, 8) == 0) {
        set_count(site, 0);
    } else if (n > 0 || site->field->type != PROTOBUF_C_TYPE_MESSAGE || elsewhere(m, site->field) != NULL) {
        if (n == 0 && is_oneof(site->field))
            memset(member(site), 0, element_bytes(site->field)); /* it held another kind */
        renew(m, site->field, element(site, draw(m, MAX(n, 1))));
        if (n == 0)
            set_count(site, 1);
    }
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

static void fill_tensor(Mutator *m, Onnx__TensorProto *tensor)
{
    size_t count = 1, bytes;
    int bits = dtype_bits((DType)tensor->data_type);
    for (size_t i = 0; i < tensor->n_dims; i++)
        if (tensor->dims[i] < 0 || !size_mul(count, (size_t)tensor->dims[i], &count))
            return;
    if (!tensor->has_raw_data || bits == 0 || count > TENSOR_BYTES_MAX || tensor->raw_data.len == 0)
        return;
    bytes = (count * (size_t)bits + 7) / 8;
    if (bytes == tensor->raw_data.len || bytes > TENSOR_BYTES_MAX)
        return;
    uint8_t *data = arena_alloc(m->arena, bytes + 1);
    for (size_t i = 0; i < bytes; i++)
        data[i] = tensor->raw_data.data[i % tensor->raw_data.len];
    tensor->raw_data = (ProtobufCBinaryData){bytes, data};
}

static void make_tensors_whole(Mutator *m)
{
    const ProtobufCMessage *last = NULL;
    for (size_t i = 0; i < m->n; i++) {
        ProtobufCMessage *message = m->sites[i].message;
        if (message != last && message->descriptor == &onnx__tensor_proto__descriptor)
            fill_tensor(m, (Onnx__TensorProto *)message);
        last = message;
    }
}

/* ---- what libFuzzer calls ---------------------------------------------------------------------------------------- */

static void *arena_take(void *context, size_t bytes)
{
    return arena_alloc(context, bytes);
}

static void arena_keep(void *context, void *pointer)
{
    (void)context;
    (void)pointer;
}

static ProtobufCMessage *unpack(Mutator *m, const uint8_t *data, size_t size)
{
    ProtobufCAllocator allocator = {arena_take, arena_keep, m->arena};
    Status status = wire_check(&onnx__model_proto__descriptor, data, size);
    bool whole = status == NULL;
    status_free(status);
    return whole ? protobuf_c_message_unpack(&onnx__model_proto__descriptor, &allocator, size, data) : NULL;
}

/* Depth, so that an element put into itself is seen before it is packed. */
static bool is_deep(const ProtobufCMessage *message, int depth, size_t *left)
{
    if (message == NULL || depth > 60 || (*left)-- == 0) /* NULL: nothing of its kind was found elsewhere */
        return true;
    for (unsigned f = 0; f < message->descriptor->n_fields; f++) {
        Site site = {(ProtobufCMessage *)(uintptr_t)message, &message->descriptor->fields[f]};
        size_t n = site.field->type == PROTOBUF_C_TYPE_MESSAGE ? count_of(&site) : 0;
        for (size_t i = 0; i < n; i++) {
            const ProtobufCMessage *inner;
            memcpy(&inner, element(&site, i), sizeof inner);
            if (is_deep(inner, depth + 1, left))
                return true;
        }
    }
    return false;
}

static size_t pack(const ProtobufCMessage *message, uint8_t *out, size_t max_size)
{
    size_t left = 20000;
    if (is_deep(message, 0, &left) || protobuf_c_message_get_packed_size(message) > max_size)
        return 0;
    return protobuf_c_message_pack(message, out);
}

static Mutator mutator_new(unsigned seed)
{
    return (Mutator){.arena = arena_new(), .random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1};
}

static void mutator_free(Mutator *m)
{
    free(m->sites);
    arena_free(m->arena);
}

/* Absent fields are many: they are drawn one time in eight. */
static size_t mutate(Mutator *m, ProtobufCMessage *model, uint8_t *out, size_t max_size)
{
    for (size_t left = 1 + draw(m, 4), tries = 200; left > 0 && tries > 0 && m->n > 0; tries--) {
        const Site *site = &m->sites[draw(m, m->n)];
        if (count_of(site) == 0 && draw(m, 8) > 0)
            continue;
        change(m, site);
        left--;
    }
    if (draw(m, 4) > 0)
        make_tensors_whole(m);
    return pack(model, out, max_size);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
    Mutator m = mutator_new(seed);
    ProtobufCMessage *model = draw(&m, 20) == 0 ? NULL : unpack(&m, data, size);
    size_t result = 0;
    if (model != NULL) {
        add_sites(&m, model);
        result = mutate(&m, model, data, max_size);
    }
    mutator_free(&m);
    return result > 0 ? result : LLVMFuzzerMutate(data, size, max_size);
}

/* Parts of the second model stand ready for the first. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2, size_t size2, uint8_t *out,
                                 size_t max_out_size, unsigned int seed)
{
    Mutator m = mutator_new(seed);
    ProtobufCMessage *model = unpack(&m, data1, size1), *donor = unpack(&m, data2, size2);
    size_t result = 0;
    if (model != NULL && donor != NULL) {
        add_sites(&m, model);
        add_sites(&m, donor);
        result = mutate(&m, model, out, max_out_size);
    }
    mutator_free(&m);
    return result;
}
