/* test_npy.c - arrays written by hand, byte for byte, and read back. */
#include "tests/calib/pictures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file of the version with that header text and data. */
static void write_npy(const char *path, int version, const char *header, const void *data, size_t bytes)
{
    size_t length = strlen(header), start = version == 1 ? 10 : 12;
    unsigned char *file = xcalloc(start + length + bytes, 1);
    memcpy(file, "\x93NUMPY", 6);
    file[6] = (unsigned char)version;
    file[8] = (unsigned char)length;
    file[9] = (unsigned char)(length >> 8);
    memcpy(file + start, header, length);
    if (bytes > 0)
        memcpy(file + start + length, data, bytes);
    write_file(path, file, start + length + bytes);
    free(file);
}

TEST(npy_reads_every_number_type)
{
    static const struct {
        const char *descr;
        DType dtype;
        unsigned char bytes[16];
        size_t size;
        double value;
    } cases[] = {
        {"<f4", DT_FLOAT, {0, 0, 0xc0, 0x3f}, 4, 1.5},
        {">f4", DT_FLOAT, {0x3f, 0xc0, 0, 0}, 4, 1.5},
        {"=f4", DT_FLOAT, {0, 0, 0xc0, 0x3f}, 4, 1.5},
        {"<f8", DT_DOUBLE, {0, 0, 0, 0, 0, 0, 0xf8, 0x3f}, 8, 1.5},
        {">f8", DT_DOUBLE, {0x3f, 0xf8}, 8, 1.5},
        {"<f2", DT_FLOAT16, {0, 0x3e}, 2, 1.5},
        {">f2", DT_FLOAT16, {0x3e, 0}, 2, 1.5},
        {"|b1", DT_BOOL, {7}, 1, 1},
        {"|u1", DT_UINT8, {200}, 1, 200},
        {"|i1", DT_INT8, {200}, 1, -56},
        {"<u2", DT_UINT16, {1, 2}, 2, 513},
        {">i2", DT_INT16, {0xff, 0xfe}, 2, -2},
        {"<i4", DT_INT32, {0xfe, 0xff, 0xff, 0xff}, 4, -2},
        {">u4", DT_UINT32, {0, 0, 1, 0}, 4, 256},
        {"<i8", DT_INT64, {3}, 8, 3},
        {">u8", DT_UINT64, {0, 0, 0, 0, 0, 0, 0, 9}, 8, 9},
    };
    const char *path = picture_path("a.npy");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (int version = 1; version <= 3; version++) {
            char header[128];
            snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (1, 1), }\n",
                     cases[i].descr);
            write_npy(path, version, header, cases[i].bytes, cases[i].size);
            Tensor tensor;
            if (!CHECK_OK(npy_read(path, &tensor)))
                continue;
            CHECK_INT(tensor.dtype, cases[i].dtype);
            CHECK_INT(tensor.rank, 2);
            CHECK(tensor_get(&tensor, 0) == cases[i].value);
            tensor_release(&tensor);
        }
    }
}

TEST(npy_reads_shapes_and_fortran_order)
{
    const char *path = picture_path("b.npy");
    static const uint8_t data[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    Tensor tensor;
    write_npy(path, 1, "{\"shape\": (2, 3, 2), 'fortran_order': True, 'descr': '|u1'}", data, 12);
    if (CHECK_OK(npy_read(path, &tensor))) {
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 3; j++)
                for (int k = 0; k < 2; k++)
                    CHECK_INT(((uint8_t *)tensor.data)[(i * 3 + j) * 2 + k], i + 2 * j + 6 * k);
        tensor_release(&tensor);
    }
    write_npy(path, 1, "{'descr': '|u1', 'fortran_order': False, 'shape': (), }", data, 1);
    if (CHECK_OK(npy_read(path, &tensor))) {
        CHECK_INT(tensor.rank, 0);
        CHECK_INT(tensor.count, 1);
        tensor_release(&tensor);
    }
    write_npy(path, 1, "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 0, 2), }", data, 0);
    if (CHECK_OK(npy_read(path, &tensor))) {
        CHECK_INT(tensor.count, 0);
        tensor_release(&tensor);
    }
    write_npy(path, 1, "{'descr': '|u1', 'fortran_order': False, 'shape': (12L,), }", data, 12);
    if (CHECK_OK(npy_read(path, &tensor))) {
        CHECK_INT(tensor.dims[0], 12);
        tensor_release(&tensor);
    }
}

TEST(npy_refuses_what_it_cannot_read)
{
    static const struct {
        const char *header;
        size_t bytes;
        const char *part;
    } cases[] = {
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", 8, "unknown type"},
        {"{'descr': '|O8', 'fortran_order': False, 'shape': (1,), }", 8, "Python objects"},
        {"{'descr': '<U4', 'fortran_order': False, 'shape': (1,), }", 16, "'<U4' are not read"},
        {"{'descr': '<f16', 'fortran_order': False, 'shape': (1,), }", 16, "'<f16'"},
        {"{'descr': '?f4', 'fortran_order': False, 'shape': (1,), }", 4, "'?f4'"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", 4, "structured"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 7, "asks for 8 bytes of data, the file has 7"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 9, "the file has 9"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", 0, "too large"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", 0, "damaged"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", 0, "shape is damaged"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,2", 8, "shape is damaged"},
        {"{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,), }", 4, "header is damaged"},
        {"{'descr': '<f4', 'shape': (1,), }", 4, "header is damaged"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", 4, "header is damaged"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1), }", 4, "dimensions"},
        {"{", 0, "header is damaged"},
        {"", 0, "header is damaged"},
    };
    const char *path = picture_path("c.npy");
    static const unsigned char data[16];
    Tensor tensor = {.rank = 55};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        write_npy(path, 1, cases[i].header, data, cases[i].bytes);
        CHECK_FAILS(npy_read(path, &tensor), CODE_DATA, cases[i].part);
    }
    write_npy(path, 4, "{}", data, 0);
    CHECK_FAILS(npy_read(path, &tensor), CODE_DATA, "version 4");
    write_file(path, "", 0);
    CHECK_FAILS(npy_read(path, &tensor), CODE_DATA, "empty");
    write_file(path, "no array at all", 15);
    CHECK_FAILS(npy_read(path, &tensor), CODE_DATA, "not a .npy file");
    CHECK_INT(tensor.rank, 55);
}

TEST(npy_cut_anywhere_is_refused)
{
    const char *path = picture_path("d.npy");
    write_npy(path, 2, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", (float[]){1, 2, 3, 4}, 16);
    size_t size;
    unsigned char *bytes = read_bytes(path, &size);
    Tensor tensor;
    for (size_t n = 0; n < size; n++) {
        write_file(path, bytes, n);
        CHECK_FAILS(npy_read(path, &tensor), CODE_DATA, NULL);
    }
    free(bytes);
}

TEST(npy_written_is_read_back)
{
    static const DType dtypes[] = {DT_FLOAT, DT_DOUBLE, DT_FLOAT16, DT_UINT8, DT_INT8,  DT_UINT16,
                                   DT_INT16, DT_INT32,  DT_INT64,   DT_BOOL,  DT_UINT64};
    const char *path = picture_path("e.npy");
    static const int64_t dims[] = {2, 1, 3};
    for (size_t i = 0; i < COUNT_OF(dtypes); i++) {
        for (int rank = 0; rank <= 3; rank++) {
            Tensor tensor, read;
            if (!CHECK_OK(tensor_alloc(&tensor, dtypes[i], rank, dims)))
                continue;
            for (int64_t k = 0; k < tensor.count; k++)
                tensor_set(&tensor, k, (double)(k % 2));
            if (CHECK_OK(npy_write(path, &tensor)) && CHECK_OK(npy_read(path, &read))) {
                CHECK(tensor_equal(&tensor, &read));
                tensor_release(&read);
            }
            tensor_release(&tensor);
        }
    }
    size_t size;
    unsigned char *bytes = read_bytes(path, &size);
    CHECK_INT((10 + (bytes[8] | bytes[9] << 8)) % 64, 0);
    free(bytes);
}

TEST(npy_widens_what_numpy_lacks)
{
    const char *path = picture_path("f.npy");
    static const int64_t dims[] = {3};
    static const struct {
        DType dtype, wide;
        double value;
    } cases[] = {{DT_BFLOAT16, DT_FLOAT, -1.5}, {DT_INT4, DT_INT8, -3}, {DT_UINT4, DT_UINT8, 13}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Tensor tensor, read;
        if (!CHECK_OK(tensor_alloc(&tensor, cases[i].dtype, 1, dims)))
            continue;
        memset(tensor.data, 0, tensor.bytes);
        tensor_set(&tensor, 1, cases[i].value);
        if (CHECK_OK(npy_write(path, &tensor)) && CHECK_OK(npy_read(path, &read))) {
            CHECK_INT(read.dtype, cases[i].wide);
            CHECK(tensor_get(&read, 1) == cases[i].value && tensor_get(&read, 2) == 0);
            tensor_release(&read);
        }
        tensor_release(&tensor);
    }
    Tensor strings = {.dtype = DT_STRING};
    CHECK_FAILS(npy_write(path, &strings), CODE_WRITE, "cannot be written");
    CHECK_FAILS(npy_write("/nowhere/at/all.npy", &(Tensor){.dtype = DT_BOOL, .rank = 1}), CODE_WRITE, "/nowhere");
}
