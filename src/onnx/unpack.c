/* unpack.c - bytes to protobuf-c messages, with memory that is counted, and a guess at what else a file may be.
 *
 * Big pieces (weights) come from memory_alloc(), so that they count against --max-memory and stand on 64 bytes; small ones
 * are cut from the arena one behind the other: names and lists of a node lie side by side, and go all at once. Every piece
 * says in front of it which it is:
 *
 *     | its neighbours among the big ones | kind, 8 bytes | what protobuf-c sees |        big: 64 bytes in front
 *                                         | kind, 8 bytes | what protobuf-c sees |        small
 */
#include "src/base/pages.h"
#include "src/onnx/proto.h"

#include <stdlib.h>
#include <string.h>

#define BIG_PIECE 4096
#define KIND_BYTES sizeof(uint64_t)
#define CHUNK ((size_t)64 << 10) /* of the arena, from which small pieces are cut */

typedef enum PieceKind { PIECE_SMALL, PIECE_BIG } PieceKind;

/* In front of a big piece. */
typedef struct Big {
    struct Big *next, *before;
    char unused[40];
    uint64_t kind; /* the last: it stands where that of a small piece does */
} Big;
_Static_assert(sizeof(Big) == 64, "pieces behind it are aligned as memory_alloc() aligns");

/* What protobuf-c's allocator is told; `first` lives as long as the arena. */
typedef struct Unpacking {
    Arena *arena;
    Big *first;             /* the newest big piece that is not free */
    char *room;             /* of the chunk that small pieces are cut from */
    size_t left;
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

static void *big_alloc(Unpacking *unpacking, size_t bytes)
{
    size_t all;
    void *base = NULL;
    if (!size_add(bytes, sizeof(Big), &all))
        return NULL;
    if (unpacking->map != NULL)
        forget_copied(unpacking, bytes);
    Status status = memory_alloc(all, &base);
    if (status != NULL) {
        if (unpacking->failure == NULL)
            unpacking->failure = status;
        else
            status_free(status);
        return NULL;
    }
    Big *big = base;
    *big = (Big){.next = unpacking->first, .kind = PIECE_BIG};
    if (big->next != NULL)
        big->next->before = big;
    unpacking->first = big;
    return big + 1;
}

static void big_free(Unpacking *unpacking, Big *big)
{
    if (big->next != NULL)
        big->next->before = big->before;
    if (big->before != NULL)
        big->before->next = big->next;
    else
        unpacking->first = big->next;
    memory_free(big);
}

static void *piece_alloc(void *context, size_t bytes)
{
    Unpacking *unpacking = context;
    if (bytes >= BIG_PIECE)
        return big_alloc(unpacking, bytes);
    size_t all = KIND_BYTES + (bytes + KIND_BYTES - 1) / KIND_BYTES * KIND_BYTES;
    if (unpacking->left < all) {
        unpacking->room = arena_alloc(unpacking->arena, CHUNK);
        unpacking->left = CHUNK;
    }
    uint64_t *piece = (void *)unpacking->room;
    unpacking->room += all;
    unpacking->left -= all;
    *piece = PIECE_SMALL;
    return piece + 1;
}

/* Small ones stay until the arena goes. */
static void piece_free(void *context, void *pointer)
{
    if (pointer != NULL && ((uint64_t *)pointer)[-1] == PIECE_BIG)
        big_free(context, (Big *)pointer - 1);
}

static void free_big_pieces(void *unpacking)
{
    Big *next;
    for (Big *big = ((Unpacking *)unpacking)->first; big != NULL; big = next) {
        next = big->next;
        memory_free(big);
    }
}

static MUST_USE Status unpack(Arena *arena, const ProtobufCMessageDescriptor *descriptor, const void *data, size_t bytes,
                              const FileMap *map, void **ret)
{
    TRY(wire_check(descriptor, data, bytes));
    Unpacking *unpacking = arena_alloc(arena, sizeof *unpacking);
    *unpacking = (Unpacking){.arena = arena, .map = map};
    arena_on_free(arena, free_big_pieces, unpacking);
    ProtobufCAllocator allocator = {piece_alloc, piece_free, unpacking};
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, bytes, data);
    Status failure = unpacking->failure;
    if (message == NULL && failure == NULL)
        failure = status_new(CODE_MODEL, "damaged: protobuf cannot read it as a %s", descriptor->short_name);
    *ret = message;
    return failure;
}

Status proto_unpack(Arena *arena, const ProtobufCMessageDescriptor *descriptor, const void *data, size_t bytes, void **ret)
{
    return unpack(arena, descriptor, data, bytes, NULL, ret);
}

Status proto_unpack_file(Arena *arena, const ProtobufCMessageDescriptor *descriptor, const FileMap *map, void **ret)
{
    return unpack(arena, descriptor, map->data, map->size, map, ret);
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
