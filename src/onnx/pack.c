/* pack.c - messages to the bytes of a file, in pieces: what is small is copied, weights are pointed at.
 *
 *     NodeProto ── pack_field ──> | tag length bytes | tag length bytes | ...      copied, side by side
 *     TensorProto ──────────────> | tag length dims ... |──> the tensor's data     pointed at
 *
 * So the messages of a node can go as soon as they are packed, and the bytes behind them are counted.
 */
#include "src/onnx/proto.h"

#include <stdlib.h>
#include <string.h>

#define POINT_AT ((size_t)1024) /* bytes that are worth a piece of their own */
#define CHUNK ((size_t)64 << 10)

static void add_piece(Pack *pack, const void *data, size_t bytes)
{
    pack->pieces = array_reserve(pack->pieces, &pack->cap, pack->n + 1, sizeof *pack->pieces);
    pack->pieces[pack->n++] = (Piece){data, bytes};
}

static void append(ProtobufCBuffer *base, size_t bytes, const uint8_t *data)
{
    Pack *pack = (Pack *)base;
    pack->bytes += bytes;
    if (bytes >= POINT_AT) {
        add_piece(pack, data, bytes);
        return;
    }
    if (bytes == 0)
        return;
    if (pack->left < bytes) {
        pack->room = arena_alloc(pack->arena, CHUNK);
        pack->left = CHUNK;
    }
    Piece *last = pack->n == 0 ? NULL : &pack->pieces[pack->n - 1];
    memcpy(pack->room, data, bytes);
    if (last != NULL && last->data + last->bytes == pack->room)
        last->bytes += bytes;
    else
        add_piece(pack, pack->room, bytes);
    pack->room += bytes;
    pack->left -= bytes;
}

void pack_message(Pack *pack, const void *message)
{
    pack->base.append = append;
    protobuf_c_message_pack_to_buffer(message, &pack->base);
}

void pack_head(Pack *pack, unsigned field, size_t bytes)
{
    uint8_t head[20];
    size_t n = 0;
    for (uint64_t tag = (uint64_t)field << 3 | 2; tag != 0; tag >>= 7) /* 2: a length and bytes */
        head[n++] = (uint8_t)((tag & 0x7f) | (tag > 0x7f ? 0x80 : 0));
    do
        head[n++] = (uint8_t)((bytes & 0x7f) | (bytes > 0x7f ? 0x80 : 0));
    while ((bytes >>= 7) != 0);
    append(&pack->base, n, head);
}

void pack_field(Pack *pack, unsigned field, const void *message)
{
    pack_head(pack, field, protobuf_c_message_get_packed_size(message));
    pack_message(pack, message);
}

void pack_pieces(Pack *pack, const Pack *from)
{
    for (size_t i = 0; i < from->n; i++)
        add_piece(pack, from->pieces[i].data, from->pieces[i].bytes);
    pack->bytes += from->bytes;
}
