/* unpack.c - bytes to protobuf-c messages, with memory that is counted, and a guess at what else a file may be.
 *
 * Every piece that protobuf-c takes says in front of it where it came from. Big pieces (weights) come from
 * memory_alloc(), so that they count against --max-memory and stand on 64 bytes; small ones from malloc():
 *
 *     | 48 bytes unused | kind, 16 bytes | what protobuf-c sees |        big
 *                       | kind, 16 bytes | what protobuf-c sees |        small
 */
#include "src/base/pages.h"
#include "src/onnx/proto.h"

#include <stdlib.h>
#include <string.h>

#define BIG_PIECE 4096
#define BIG_HEADER 64
#define SMALL_HEADER 16

/* What protobuf-c's allocator is told. */
typedef struct Unpacking {
    Status failure;
    const FileMap *map;     /* NULL: the bytes are not a file's */
    size_t copied, forgotten; /* bytes of big pieces, which come in the order of the file; of the file */
} Unpacking;

/* Before a new piece is made those before it are filled. */
static void forget_copied(Unpacking *unpacking, size_t next)
{
    enum { STRETCH = 16 << 20 };
    if (unpacking->copied - unpacking->forgotten >= STRETCH) {
        file_forget(unpacking->map, unpacking->forgotten, unpacking->copied - unpacking->forgotten);
        unpacking->forgotten = unpacking->copied;
    }
    unpacking->copied += next;
}

static void *piece_alloc(void *context, size_t bytes)
{
    Unpacking *unpacking = context;
    Status *failure = unpacking == NULL ? NULL : &unpacking->failure;
    bool big = bytes >= BIG_PIECE;
    void *base = NULL;
    size_t all;

    if (!size_add(bytes, big ? BIG_HEADER : SMALL_HEADER, &all))
        return NULL;
    if (big) {
        if (unpacking != NULL && unpacking->map != NULL)
            forget_copied(unpacking, bytes);
        Status status = memory_alloc(all, &base);
        if (status != NULL) {
            if (failure != NULL && *failure == NULL)
                *failure = status;
            else
                status_free(status);
            return NULL;
        }
    } else {
        base = malloc(all);
        if (base == NULL)
            return NULL;
    }
    char *piece = (char *)base + (big ? BIG_HEADER : SMALL_HEADER);
    piece[-SMALL_HEADER] = big;
    return piece;
}

static void piece_free(void *context, void *pointer)
{
    (void)context;
    if (pointer == NULL)
        return;
    char *piece = pointer;
    if (piece[-SMALL_HEADER] != 0)
        memory_free(piece - BIG_HEADER);
    else
        free(piece - SMALL_HEADER);
}

static MUST_USE Status unpack(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t bytes, const FileMap *map,
                              void **ret)
{
    Unpacking unpacking = {.map = map};
    ProtobufCAllocator allocator = {piece_alloc, piece_free, &unpacking};

    TRY(wire_check(descriptor, data, bytes));
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, bytes, data);
    if (message == NULL && unpacking.failure == NULL)
        unpacking.failure = status_new(CODE_MODEL, "damaged: protobuf cannot read it as a %s", descriptor->short_name);
    if (unpacking.failure != NULL) {
        proto_free(message);
        return unpacking.failure;
    }
    *ret = message;
    return NULL;
}

Status proto_unpack(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t bytes, void **ret)
{
    return unpack(descriptor, data, bytes, NULL, ret);
}

Status proto_unpack_file(const ProtobufCMessageDescriptor *descriptor, const FileMap *map, void **ret)
{
    return unpack(descriptor, map->data, map->size, map, ret);
}

void proto_free(void *message)
{
    ProtobufCAllocator allocator = {piece_alloc, piece_free, NULL};
    if (message != NULL)
        protobuf_c_message_free_unpacked(message, &allocator);
}

void *proto_new(Arena *arena, const ProtobufCMessageDescriptor *descriptor, const void *origin)
{
    if (origin != NULL)
        return arena_copy(arena, origin, descriptor->sizeof_message);
    void *message = arena_alloc(arena, descriptor->sizeof_message);
    descriptor->message_init(message);
    return message;
}

const char *sniff_format(const void *data, size_t bytes)
{
    static const struct {
        size_t offset, length;
        const char *bytes, *name;
    } formats[] = {
        {0, 3, "\xff\xd8\xff", "a JPEG image"},
        {0, 4, "\x89PNG", "a PNG image"},
        {0, 4, "GIF8", "a GIF image"},
        {0, 4, "RIFF", "a RIFF file (WAV or WebP)"},
        {0, 4, "%PDF", "a PDF document"},
        {0, 23, "version https://git-lfs", "a git-lfs pointer (run `git lfs pull` to fetch the model itself)"},
        {0, 4, "PK\x03\x04", "a zip archive (a PyTorch checkpoint is one; export it with torch.onnx.export)"},
        {0, 2, "\x1f\x8b", "a gzip file (unpack it first)"},
        {0, 6, "\xfd" "7zXZ\0", "an xz file (unpack it first)"},
        {0, 4, "\x28\xb5\x2f\xfd", "a zstd file (unpack it first)"},
        {0, 4, "\x89HDF", "an HDF5 file (Keras; export it with tf2onnx)"},
        {4, 4, "TFL3", "a TensorFlow Lite model (convert it with tf2onnx)"},
        {4, 4, "ORTM", "a model in ONNX Runtime's own format (give the .onnx it was made from)"},
        {0, 6, "\x93NUMPY", "a NumPy array"},
        {0, 4, "GGUF", "a GGUF file"},
        {0, 2, "\x80\x02", "a Python pickle (an old PyTorch checkpoint is one; export it with torch.onnx.export)"},
        {0, 4, "\x7f" "ELF", "a program"},
    };
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        if (bytes >= formats[i].offset + formats[i].length &&
            memcmp((const char *)data + formats[i].offset, formats[i].bytes, formats[i].length) == 0)
            return formats[i].name;
    }
    return NULL;
}

bool sniff_is_text(const void *data, size_t bytes)
{
    const unsigned char *p = data;
    size_t n = MIN(bytes, (size_t)1024);
    for (size_t i = 0; i < n; i++)
        if (p[i] < 32 && p[i] != '\n' && p[i] != '\r' && p[i] != '\t' && p[i] != '\f')
            return false;
    return n > 0;
}
