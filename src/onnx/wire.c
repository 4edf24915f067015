/* wire.c - checks a serialized message before protobuf-c reads it.
 *
 *     tag (field << 3 | kind)  payload                  kind 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes
 *
 * Protobuf-c recurses as deep as a file says, and tells nothing about what is wrong; this walk follows the schema's own
 * message fields, knows where it is, and is bounded. Encoding: https://protobuf.dev/programming-guides/encoding
 */
#include "src/onnx/proto.h"

#include <string.h>

typedef enum WireKind { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 } WireKind;

typedef struct Wire {
    const unsigned char *data;
    size_t bytes;
    size_t at;
} Wire;

static const unsigned char wire_kinds[] = {
    [PROTOBUF_C_TYPE_INT32] = WIRE_VARINT,  [PROTOBUF_C_TYPE_SINT32] = WIRE_VARINT,
    [PROTOBUF_C_TYPE_SFIXED32] = WIRE_32,   [PROTOBUF_C_TYPE_INT64] = WIRE_VARINT,
    [PROTOBUF_C_TYPE_SINT64] = WIRE_VARINT, [PROTOBUF_C_TYPE_SFIXED64] = WIRE_64,
    [PROTOBUF_C_TYPE_UINT32] = WIRE_VARINT, [PROTOBUF_C_TYPE_FIXED32] = WIRE_32,
    [PROTOBUF_C_TYPE_UINT64] = WIRE_VARINT, [PROTOBUF_C_TYPE_FIXED64] = WIRE_64,
    [PROTOBUF_C_TYPE_FLOAT] = WIRE_32,      [PROTOBUF_C_TYPE_DOUBLE] = WIRE_64,
    [PROTOBUF_C_TYPE_BOOL] = WIRE_VARINT,   [PROTOBUF_C_TYPE_ENUM] = WIRE_VARINT,
    [PROTOBUF_C_TYPE_STRING] = WIRE_BYTES,  [PROTOBUF_C_TYPE_BYTES] = WIRE_BYTES,
    [PROTOBUF_C_TYPE_MESSAGE] = WIRE_BYTES,
};

static MUST_USE Status truncated(const char *message, size_t at, const char *field, size_t need, size_t left)
{
    return status_new(CODE_MODEL, "damaged or cut short at byte %zu: %s.%s takes %zu bytes, %zu are left", at, message,
                      field, need, left);
}

/* Reads a varint of at most `max` bytes before `end`. */
static bool read_varint(Wire *wire, size_t end, int max, uint64_t *ret)
{
    uint64_t value = 0;
    for (int i = 0; i < max && wire->at < end; i++) {
        unsigned char byte = wire->data[wire->at++];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) == 0) {
            *ret = value;
            return true;
        }
    }
    return false;
}

/* Many numbers in one length-delimited field. */
static MUST_USE Status check_packed(const Wire *wire, const ProtobufCMessageDescriptor *message,
                                    const ProtobufCFieldDescriptor *field, size_t start, size_t length)
{
    unsigned char kind = wire_kinds[field->type];
    if (kind == WIRE_32 || kind == WIRE_64) {
        size_t each = kind == WIRE_32 ? 4 : 8;
        if (length % each == 0)
            return NULL;
        return status_new(CODE_MODEL, "damaged at byte %zu: %s.%s has %zu bytes, no multiple of %zu", start,
                          message->short_name, field->name, length, each);
    }
    int run = 0; /* bytes of the varint so far */
    for (size_t i = 0; i < length; i++) {
        run = (wire->data[start + i] & 0x80) != 0 ? run + 1 : 0;
        if (run == 10)
            break;
    }
    if (run == 0)
        return NULL;
    return status_new(CODE_MODEL, "damaged at byte %zu: %s.%s holds a malformed number", start, message->short_name,
                      field->name);
}

static MUST_USE Status check_message(Wire *wire, const ProtobufCMessageDescriptor *message, size_t end, int depth);

static MUST_USE Status check_bytes(Wire *wire, const ProtobufCMessageDescriptor *message,
                                   const ProtobufCFieldDescriptor *field, const char *name, size_t end, int depth)
{
    size_t start = wire->at;
    uint64_t length;
    if (!read_varint(wire, end, 10, &length))
        return status_new(CODE_MODEL, "damaged or cut short at byte %zu: the length of %s.%s is not complete", start,
                          message->short_name, name);
    if (length > end - wire->at)
        return truncated(message->short_name, start, name, (size_t)length, end - wire->at);
    size_t body = wire->at;
    if (field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE)
        return check_message(wire, field->descriptor, body + (size_t)length, depth + 1);
    wire->at += (size_t)length;
    if (field == NULL || field->type == PROTOBUF_C_TYPE_BYTES)
        return NULL;
    if (field->type != PROTOBUF_C_TYPE_STRING)
        return check_packed(wire, message, field, body, (size_t)length);
    /* A name with a NUL inside would be read cut, and might then be another's. */
    if (memchr(wire->data + body, 0, (size_t)length) != NULL && strcmp(field->name, "doc_string") != 0)
        return status_new(CODE_MODEL, "damaged at byte %zu: %s.%s holds a NUL byte", body, message->short_name, name);
    return NULL;
}

/* One field behind its tag, which stood at `tag_at`. */
static MUST_USE Status check_field(Wire *wire, const ProtobufCMessageDescriptor *message,
                                   const ProtobufCFieldDescriptor *field, unsigned kind, size_t tag_at, size_t end,
                                   int depth)
{
    const char *name = field == NULL ? "(unknown field)" : field->name;
    uint64_t ignored;
    size_t fixed = kind == WIRE_64 ? 8 : 4;

    if (field != NULL && wire_kinds[field->type] != kind &&
        !(kind == WIRE_BYTES && field->label == PROTOBUF_C_LABEL_REPEATED))
        return status_new(CODE_MODEL, "damaged at byte %zu: %s.%s has wire type %u, not %u", tag_at,
                          message->short_name, name, kind, (unsigned)wire_kinds[field->type]);
    switch (kind) {
    case WIRE_VARINT:
        if (!read_varint(wire, end, 10, &ignored))
            return status_new(CODE_MODEL, "damaged or cut short at byte %zu: the number in %s.%s is not complete",
                              tag_at, message->short_name, name);
        return NULL;
    case WIRE_64:
    case WIRE_32:
        if (end - wire->at < fixed)
            return truncated(message->short_name, tag_at, name, fixed, end - wire->at);
        wire->at += fixed;
        return NULL;
    case WIRE_BYTES:
        return check_bytes(wire, message, field, name, end, depth);
    default:
        return status_new(CODE_MODEL, "damaged at byte %zu: wire type %u in %s is not one protobuf uses", tag_at, kind,
                          message->short_name);
    }
}

static Status check_message(Wire *wire, const ProtobufCMessageDescriptor *message, size_t end, int depth)
{
    uint64_t seen = 0; /* bit i: the single message in field i was there */

    if (depth > PROTO_MAX_DEPTH)
        return status_new(CODE_MODEL, "messages are nested deeper than %d at byte %zu", PROTO_MAX_DEPTH, wire->at);
    while (wire->at < end) {
        size_t tag_at = wire->at;
        uint64_t tag;
        if (!read_varint(wire, end, 5, &tag) || tag >> 3 == 0 || tag > UINT32_MAX)
            return status_new(CODE_MODEL, "damaged or cut short at byte %zu: no field of %s starts there", tag_at,
                              message->short_name);
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(message, (unsigned)(tag >> 3));
        /* Protobuf merges such parts, which costs as much as all before it, each time; writers never make them. */
        if (field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE && field->label != PROTOBUF_C_LABEL_REPEATED) {
            uint64_t bit = (uint64_t)1 << (field->id & 63);
            if ((seen & bit) != 0)
                return status_new(CODE_MODEL, "damaged at byte %zu: %s.%s is given twice", tag_at, message->short_name,
                                  field->name);
            seen |= bit;
        }
        TRY(check_field(wire, message, field, (unsigned)(tag & 7), tag_at, end, depth));
    }
    return NULL;
}

Status wire_check(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t bytes)
{
    Wire wire = {data, bytes, 0};
    if (bytes > PROTO_MAX_BYTES)
        return status_new(CODE_MODEL, "%zu bytes are beyond the 2 GB that one file can hold; weights of that size "
                          "belong in an external data file", bytes);
    return check_message(&wire, descriptor, bytes, 1);
}
