/* zip.c - one member of a zip file in memory, as .npz are: stored or deflated, 32-bit sizes and zip64.
 *
 *     local header + data ... | central directory: a record for each member | end record
 *
 * Everything that is read comes out of the central directory and is checked against the file's size first; a member may
 * say to be 1032 times its packed size and no more, which is what deflate can do, and is unpacked into exactly what it
 * says. Source: PKWARE's APPNOTE.TXT 6.3; zlib unpacks.
 */
#include "calib/reader.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define END_RECORD 22
#define CENTRAL_RECORD 46
#define LOCAL_RECORD 30
#define COMMENT_MAX 65535
#define DEFLATE_MOST 1032 /* bytes that one packed byte can stand for */

static uint64_t number(const unsigned char *p, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--)
        value = value << 8 | p[i];
    return value;
}

typedef struct Entry {
    const unsigned char *name;
    size_t name_length;
    int method;
    bool encrypted;
    uint32_t checksum;
    uint64_t packed, size, offset;
} Entry;

static Status damaged(void)
{
    return status_new(CODE_DATA, "the zip directory is damaged");
}

/* Offset and number of records of the central directory. */
static Status find_directory(const unsigned char *data, size_t size, uint64_t *ret_at, uint64_t *ret_count)
{
    if (size < END_RECORD)
        return status_new(CODE_DATA, "the file ends early");
    size_t lowest = size - END_RECORD > COMMENT_MAX ? size - END_RECORD - COMMENT_MAX : 0;
    size_t at = size - END_RECORD;
    while (number(data + at, 4) != 0x06054b50) {
        if (at == lowest)
            return status_new(CODE_DATA, "not a zip file, or cut off: its directory is missing");
        at--;
    }
    *ret_count = number(data + at + 10, 2);
    *ret_at = number(data + at + 16, 4);
    if ((*ret_count == 0xffff || *ret_at == 0xffffffff) && at >= 20 && number(data + at - 20, 4) == 0x07064b50) {
        uint64_t end64 = number(data + at - 12, 8);
        if (end64 > size || size - end64 < 56 || number(data + end64, 4) != 0x06064b50)
            return damaged();
        *ret_count = number(data + end64 + 32, 8);
        *ret_at = number(data + end64 + 48, 8);
    }
    return NULL;
}

/* Sizes that do not fit 32 bits stand in an extra field, in this order. */
static bool read_zip64(const unsigned char *extra, size_t length, Entry *entry)
{
    uint64_t *fields[] = {&entry->size, &entry->packed, &entry->offset};
    while (length >= 4) {
        size_t id = number(extra, 2), bytes = number(extra + 2, 2);
        if (bytes > length - 4)
            return false;
        const unsigned char *p = extra + 4, *end = p + bytes;
        for (size_t i = 0; id == 1 && i < COUNT_OF(fields); i++) {
            if (*fields[i] != 0xffffffff)
                continue;
            if (end - p < 8)
                return false;
            *fields[i] = number(p, 8);
            p += 8;
        }
        extra += 4 + bytes;
        length -= 4 + bytes;
    }
    return true;
}

/* The record at *at; moves it on. */
static Status read_entry(const unsigned char *data, size_t size, uint64_t *at, Entry *ret)
{
    if (*at > size || size - *at < CENTRAL_RECORD || number(data + *at, 4) != 0x02014b50)
        return damaged();
    const unsigned char *p = data + *at;
    size_t name = number(p + 28, 2), extra = number(p + 30, 2), comment = number(p + 32, 2);
    if (size - *at - CENTRAL_RECORD < name + extra + comment)
        return damaged();
    *ret = (Entry){p + CENTRAL_RECORD, name, (int)number(p + 10, 2), (p[8] & 1) != 0, (uint32_t)number(p + 16, 4),
                   number(p + 20, 4), number(p + 24, 4), number(p + 42, 4)};
    if (!read_zip64(p + CENTRAL_RECORD + name, extra, ret))
        return damaged();
    *at += CENTRAL_RECORD + name + extra + comment;
    return NULL;
}

static Status inflate_all(const unsigned char *packed, uint64_t packed_size, unsigned char *out, uint64_t size)
{
    z_stream stream = {0};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        return status_new(CODE_MEMORY, "no memory to unpack");
    int result = Z_OK;
    while (result == Z_OK) { /* zlib counts in 32 bits */
        stream.next_in = (unsigned char *)(uintptr_t)packed;
        stream.avail_in = (uInt)MIN(packed_size, (uint64_t)1 << 30);
        stream.next_out = out;
        stream.avail_out = (uInt)MIN(size, (uint64_t)1 << 30);
        uInt in = stream.avail_in, room = stream.avail_out;
        result = inflate(&stream, Z_NO_FLUSH);
        packed += in - stream.avail_in;
        packed_size -= in - stream.avail_in;
        out += room - stream.avail_out;
        size -= room - stream.avail_out;
        if (result == Z_OK && in == stream.avail_in && room == stream.avail_out)
            result = Z_BUF_ERROR;
    }
    inflateEnd(&stream);
    return result == Z_STREAM_END && size == 0 ? NULL : status_new(CODE_DATA, "the packed data is damaged");
}

static uint32_t checksum(const unsigned char *data, size_t size)
{
    uLong crc = crc32(0, NULL, 0);
    for (size_t at = 0; at < size;) {
        uInt n = (uInt)MIN(size - at, (size_t)1 << 30);
        crc = crc32(crc, data + at, n);
        at += n;
    }
    return (uint32_t)crc;
}

static Status unpack(const unsigned char *data, size_t size, const Entry *entry, unsigned char **ret)
{
    if (entry->encrypted || (entry->method != 0 && entry->method != 8))
        return status_new(CODE_DATA, "packed in a way that is not read (method %d%s)", entry->method,
                          entry->encrypted ? ", encrypted" : "");
    if (entry->offset > size || size - entry->offset < LOCAL_RECORD || number(data + entry->offset, 4) != 0x04034b50)
        return damaged();
    const unsigned char *local = data + entry->offset;
    uint64_t at = entry->offset + LOCAL_RECORD + number(local + 26, 2) + number(local + 28, 2);
    if (at > size || entry->packed > size - at || (entry->method == 0 && entry->packed != entry->size))
        return damaged();
    if (entry->size / DEFLATE_MOST > entry->packed)
        return status_new(CODE_DATA, "claims to be %llu bytes unpacked, more than its %llu packed ones can hold",
                          (unsigned long long)entry->size, (unsigned long long)entry->packed);
    void *bytes;
    TRY(memory_alloc(entry->size, &bytes));
    Status status = NULL;
    if (entry->method == 8)
        status = inflate_all(data + at, entry->packed, bytes, entry->size);
    else if (entry->size > 0)
        memcpy(bytes, data + at, entry->size);
    if (status == NULL && checksum(bytes, entry->size) != entry->checksum)
        status = status_new(CODE_DATA, "the checksum is wrong");
    if (status != NULL)
        memory_free(bytes);
    else
        *ret = bytes;
    return status;
}

Status zip_read(const unsigned char *data, size_t size, const char *name, ZipMember *ret)
{
    uint64_t at, count;
    TRY(find_directory(data, size, &at, &count));
    Entry entry, found = {0};
    size_t matches = 0;
    for (uint64_t i = 0; i < count; i++) {
        TRY(read_entry(data, size, &at, &entry));
        bool match = name == NULL || (entry.name_length == strlen(name) && memcmp(entry.name, name, strlen(name)) == 0);
        if (match && matches++ == 0)
            found = entry;
    }
    if (matches == 0)
        return status_new(CODE_DATA, "no array '%s' in it", name == NULL ? "" : name);
    if (name == NULL && matches > 1)
        return status_new(CODE_DATA, "%zu arrays in it and none is called as the input; name it so", matches);
    unsigned char *bytes = NULL;
    char *own = xprintf("%.*s", (int)found.name_length, (const char *)found.name);
    Status status = status_prefix(unpack(data, size, &found, &bytes), "%s", own);
    if (status != NULL) {
        free(own);
        return status;
    }
    *ret = (ZipMember){own, bytes, found.size};
    return NULL;
}

void zip_release(ZipMember *member)
{
    free(member->name);
    memory_free(member->bytes);
    *member = (ZipMember){0};
}
