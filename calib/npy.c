/* npy.c - NumPy's array files, read and written.
 *
 *     "\x93NUMPY" major minor | header length (2 bytes; 4 from version 2 on) | header | data
 *     header: {'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 224, 224), }
 *
 * Any byte order, C and Fortran order, every numeric type and bool. Refused by name: objects (they would need pickle),
 * strings, structured arrays. Source: numpy.lib.format.
 */
#include "src/ir/ir.h"

#include "calib/calib.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are little-endian in memory");

#define MAGIC "\x93NUMPY"
#define MAGIC_BYTES 6

typedef struct NpyType {
    char kind;
    int size;   /* bytes */
    int parts;  /* numbers an element holds: 2 for complex */
    DType dtype;
} NpyType;

static const NpyType npy_types[] = {
    {'f', 4, 1, DT_FLOAT},     {'f', 8, 1, DT_DOUBLE},   {'f', 2, 1, DT_FLOAT16},   {'b', 1, 1, DT_BOOL},
    {'u', 1, 1, DT_UINT8},     {'u', 2, 1, DT_UINT16},   {'u', 4, 1, DT_UINT32},    {'u', 8, 1, DT_UINT64},
    {'i', 1, 1, DT_INT8},      {'i', 2, 1, DT_INT16},    {'i', 4, 1, DT_INT32},     {'i', 8, 1, DT_INT64},
    {'c', 8, 2, DT_COMPLEX64}, {'c', 16, 2, DT_COMPLEX128},
};

typedef struct NpyHeader {
    const NpyType *type;
    bool big_endian, fortran;
    bool has_descr, has_order, has_shape;
    int rank;
    int64_t dims[TENSOR_MAX_RANK];
} NpyHeader;

/* ---- the header: a Python literal -------------------------------------------------------------------------------- */

typedef struct Cursor {
    const char *at, *end;
} Cursor;

static bool take(Cursor *cursor, char c)
{
    while (cursor->at < cursor->end &&
           (*cursor->at == ' ' || *cursor->at == '\n' || *cursor->at == '\t' || *cursor->at == '\r'))
        cursor->at++;
    if (cursor->at == cursor->end || *cursor->at != c)
        return false;
    cursor->at++;
    return true;
}

static bool take_word(Cursor *cursor, const char *word)
{
    size_t length = strlen(word);
    if (!take(cursor, word[0]))
        return false;
    if ((size_t)(cursor->end - cursor->at) < length - 1 || memcmp(cursor->at, word + 1, length - 1) != 0) {
        cursor->at--;
        return false;
    }
    cursor->at += length - 1;
    return true;
}

/* A quoted string without escapes; points into the header. */
static bool take_string(Cursor *cursor, const char **ret, int *ret_length)
{
    char quote = take(cursor, '\'') ? '\'' : take(cursor, '"') ? '"' : '\0';
    const char *end = quote == '\0' ? NULL : memchr(cursor->at, quote, (size_t)(cursor->end - cursor->at));
    if (end == NULL || end - cursor->at > 64)
        return false;
    *ret = cursor->at;
    *ret_length = (int)(end - cursor->at);
    cursor->at = end + 1;
    return true;
}

static Status read_descr(Cursor *cursor, NpyHeader *header)
{
    const char *text;
    int length;
    if (!take_string(cursor, &text, &length))
        return status_new(CODE_DATA, "structured arrays are not read; save each field as an array of its own");
    if (length < 3)
        return status_new(CODE_DATA, "unknown type '%.*s'", length, text);
    if (text[1] == 'O')
        return status_new(CODE_DATA, "an array of Python objects is not read; save numbers (astype)");
    int size = 0;
    for (int i = 2; i < length; i++)
        size = text[i] >= '0' && text[i] <= '9' && size < 1000 ? size * 10 + (text[i] - '0') : 1000;
    for (size_t i = 0; i < COUNT_OF(npy_types) && strchr("<>|=", text[0]) != NULL; i++)
        if (npy_types[i].kind == text[1] && npy_types[i].size == size)
            header->type = &npy_types[i];
    if (header->type == NULL)
        return status_new(CODE_DATA, "arrays of type '%.*s' are not read; save numbers (astype)", length, text);
    header->big_endian = text[0] == '>';
    header->has_descr = true;
    return NULL;
}

static Status read_shape(Cursor *cursor, NpyHeader *header)
{
    bool good = take(cursor, '(');
    header->rank = 0;
    while (good && !take(cursor, ')')) {
        int64_t dim = 0;
        take(cursor, ' '); /* skips white space in front of the digits */
        const char *digits = cursor->at;
        while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9' && dim < INT64_MAX / 10 - 10)
            dim = dim * 10 + (*cursor->at++ - '0');
        good = cursor->at > digits;
        take(cursor, 'L'); /* Python 2 wrote 3L */
        if (good && header->rank == TENSOR_MAX_RANK)
            return status_new(CODE_DATA, "more than %d dimensions", TENSOR_MAX_RANK);
        if (good)
            header->dims[header->rank++] = dim;
        if (good && !take(cursor, ',')) {
            good = take(cursor, ')');
            break;
        }
    }
    if (!good)
        return status_new(CODE_DATA, "the header's shape is damaged");
    header->has_shape = true;
    return NULL;
}

static Status read_header(Cursor cursor, NpyHeader *header)
{
    bool good = take(&cursor, '{');
    while (good && !take(&cursor, '}')) {
        const char *key;
        int length;
        good = take_string(&cursor, &key, &length) && take(&cursor, ':');
        if (good && length == 5 && memcmp(key, "descr", 5) == 0 && !header->has_descr) {
            TRY(read_descr(&cursor, header));
        } else if (good && length == 13 && memcmp(key, "fortran_order", 13) == 0 && !header->has_order) {
            header->fortran = take_word(&cursor, "True");
            good = header->has_order = header->fortran || take_word(&cursor, "False");
        } else if (good && length == 5 && memcmp(key, "shape", 5) == 0 && !header->has_shape) {
            TRY(read_shape(&cursor, header));
        } else {
            good = false;
        }
        if (good && !take(&cursor, ',')) {
            good = take(&cursor, '}');
            break;
        }
    }
    if (!good || !header->has_descr || !header->has_order || !header->has_shape)
        return status_new(CODE_DATA, "the header is damaged");
    return NULL;
}

/* ---- the data ---------------------------------------------------------------------------------------------------- */

static void swap_bytes(unsigned char *data, size_t bytes, size_t size)
{
    for (size_t at = 0; at < bytes; at += size)
        for (size_t i = 0; i < size / 2; i++) {
            unsigned char other = data[at + i];
            data[at + i] = data[at + size - 1 - i];
            data[at + size - 1 - i] = other;
        }
}

/* Elements whose first index runs fastest, put in row-major order. */
static void copy_fortran(const Tensor *tensor, const unsigned char *from, size_t size)
{
    int64_t index[TENSOR_MAX_RANK] = {0};
    unsigned char *out = tensor->data;
    for (int64_t n = 0; n < tensor->count; n++, out += size) {
        int64_t at = 0;
        for (int d = tensor->rank - 1; d >= 0; d--)
            at = at * tensor->dims[d] + index[d];
        memcpy(out, from + (size_t)at * size, size);
        for (int d = tensor->rank - 1; d >= 0 && ++index[d] == tensor->dims[d]; d--)
            index[d] = 0;
    }
}

static Status read_data(const NpyHeader *header, const unsigned char *data, size_t size, Tensor *ret)
{
    int64_t count;
    size_t bytes;
    Status status = tensor_measure(header->type->dtype, header->rank, header->dims, &count, &bytes);
    if (status != NULL) {
        status_free(status);
        return status_new(CODE_DATA, "the header's shape is too large");
    }
    if (bytes != size)
        return status_new(CODE_DATA, "the shape asks for %zu bytes of data, the file has %zu", bytes, size);
    Tensor tensor;
    TRY(tensor_alloc(&tensor, header->type->dtype, header->rank, header->dims));
    unsigned char *out = tensor.data;
    if (bytes > 0 && header->fortran && header->rank > 1)
        copy_fortran(&tensor, data, (size_t)header->type->size);
    else if (bytes > 0)
        memcpy(out, data, bytes);
    if (header->big_endian)
        swap_bytes(out, bytes, (size_t)(header->type->size / header->type->parts));
    if (header->type->dtype == DT_BOOL)
        for (size_t i = 0; i < bytes; i++)
            out[i] = out[i] != 0;
    *ret = tensor;
    return NULL;
}

static Status read_bytes(const unsigned char *data, size_t size, Tensor *ret)
{
    if (size < MAGIC_BYTES + 4 || memcmp(data, MAGIC, MAGIC_BYTES) != 0)
        return status_new(CODE_DATA, size == 0 ? "the file is empty" : "not a .npy file");
    int major = data[MAGIC_BYTES];
    size_t at = major == 1 ? 10 : 12;
    if (major < 1 || major > 3)
        return status_new(CODE_DATA, ".npy version %d is not read", major);
    if (size < at)
        return status_new(CODE_DATA, "the file ends early");
    size_t length = (size_t)data[8] | (size_t)data[9] << 8;
    if (major > 1)
        length |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
    if (length > size - at)
        return status_new(CODE_DATA, "the file ends early");
    NpyHeader header = {0};
    const char *text = (const char *)data + at;
    TRY(read_header((Cursor){text, text + length}, &header));
    return read_data(&header, data + at + length, size - at - length, ret);
}

Status npy_read(const char *path, Tensor *ret)
{
    FileMap map;
    TRY(file_map(path, CODE_DATA, &map));
    Status status = status_prefix(read_bytes(map.data, map.size, ret), "%s", path);
    file_unmap(&map);
    return status;
}

Status npy_parse(const unsigned char *data, size_t size, const char *name, Tensor *ret)
{
    return status_prefix(read_bytes(data, size, ret), "%s", name);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static const NpyType *find_type(DType dtype)
{
    for (size_t i = 0; i < COUNT_OF(npy_types); i++)
        if (npy_types[i].dtype == dtype)
            return &npy_types[i];
    return NULL;
}

/* Version 1.0; the header is padded so that the data begins at a multiple of 64. */
static void write_header(Text *text, const NpyType *type, const Tensor *tensor)
{
    text_addf(text, "{'descr': '%c%c%d', 'fortran_order': False, 'shape': (", type->size == 1 ? '|' : '<', type->kind,
              type->size);
    for (int d = 0; d < tensor->rank; d++)
        text_addf(text, "%s%lld", d == 0 ? "" : ", ", (long long)tensor->dims[d]);
    text_add(text, tensor->rank == 1 ? ",), }" : "), }");
    while ((10 + text->length + 1) % 64 != 0)
        text_add(text, " ");
    text_add(text, "\n");
}

static Status write_whole(AtomicFile *file, const NpyType *type, const Tensor *tensor)
{
    Text header = {0};
    write_header(&header, type, tensor);
    unsigned char start[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)header.length,
                               (unsigned char)(header.length >> 8)};
    Status status = atomic_write(file, start, sizeof start);
    if (status == NULL)
        status = atomic_write(file, header.data, header.length);
    if (status == NULL && tensor->bytes > 0)
        status = atomic_write(file, tensor->data, tensor->bytes);
    text_free(&header);
    return status;
}

/* Types that NumPy lacks, as the next larger one that holds all their values; *ret is owned then. */
static Status widen(const Tensor *tensor, Tensor *ret)
{
    DType dtype;
    switch (tensor->dtype) {
    case DT_BFLOAT16:
        dtype = DT_FLOAT;
        break;
    case DT_INT4:
    case DT_INT2:
        dtype = DT_INT8;
        break;
    case DT_UINT4:
    case DT_UINT2:
        dtype = DT_UINT8;
        break;
    default:
        return status_new(CODE_WRITE, "a tensor of %s cannot be written as .npy", dtype_name(tensor->dtype));
    }
    TRY(tensor_alloc(ret, dtype, tensor->rank, tensor->dims));
    for (int64_t i = 0; i < tensor->count; i++)
        tensor_set(ret, i, tensor_get(tensor, i));
    return NULL;
}

Status npy_write(const char *path, const Tensor *tensor)
{
    Tensor wide = {0};
    const NpyType *type = find_type(tensor->dtype);
    if (type == NULL) {
        TRY(status_prefix(widen(tensor, &wide), "%s", path));
        tensor = &wide;
        type = find_type(wide.dtype);
    }
    AtomicFile *file;
    Status status = atomic_open(path, &file);
    if (status == NULL) {
        atomic_skip_sync(file); /* written by the thousand, and made again by the same command */
        status = write_whole(file, type, tensor);
        if (status == NULL)
            status = atomic_commit(file);
        else
            atomic_abandon(file);
    }
    tensor_release(&wide);
    return status;
}
