/* test_sources.c - where the tensors of several inputs come from: .npz, folders matched by stems, raw files, zeros, random
 * numbers; which samples are drawn, and which a shard gets. */
#include "calib/reader.h"
#include "tests/calib/pictures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static Value input_of(const char *name, DType dtype, int rank, const int64_t *dims)
{
    Value input = {.name = name, .type = {.kind = TYPE_TENSOR, .dtype = dtype, .shape = {.rank = rank}}};
    for (int i = 0; i < rank; i++)
        input.type.shape.dims[i] = dims[i] < 0 ? DIM_UNKNOWN : dim_known(dims[i]);
    return input;
}

static const char *in(const char *folder, const char *file)
{
    char name[128];
    snprintf(name, sizeof name, "%s/%s", folder, file);
    return picture_path(name);
}

static void put_npy(const char *path, DType dtype, int64_t n, double first)
{
    Tensor tensor;
    if (!CHECK_OK(tensor_alloc(&tensor, dtype, 2, (int64_t[]){1, n})))
        return;
    for (int64_t i = 0; i < n; i++)
        tensor_set(&tensor, i, first + (double)i);
    CHECK_OK(npy_write(path, &tensor));
    tensor_release(&tensor);
}

/* ---- zip files --------------------------------------------------------------------------------------------------- */

typedef struct Member {
    const char *name;
    bool deflate;
    uint32_t claims; /* size in the directory; 0: the true one */
} Member;

static void add_number(Text *text, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) { /* text_add stops at zeros */
        text->data = array_reserve(text->data, &text->cap, text->length + 2, 1);
        text->data[text->length++] = (char)(i < 4 ? value >> (8 * i) & 0xff : 0);
    }
}

static void add_bytes(Text *text, const void *data, size_t n)
{
    text->data = array_reserve(text->data, &text->cap, text->length + n + 1, 1);
    memcpy(text->data + text->length, data, n);
    text->length += n;
}

/* Members that all hold the file `content`. */
static void write_zip(const char *path, const char *content, const Member *members, int n)
{
    size_t size;
    unsigned char *bytes = read_bytes(content, &size), packed[4096];
    Text zip = {0}, directory = {0};
    for (int i = 0; i < n; i++) {
        z_stream stream = {.next_in = bytes, .avail_in = (uInt)size, .next_out = packed, .avail_out = sizeof packed};
        if (members[i].deflate) {
            CHECK_INT(deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
            CHECK_INT(deflate(&stream, Z_FINISH), Z_STREAM_END);
            deflateEnd(&stream);
        }
        uint32_t stored = members[i].deflate ? (uint32_t)stream.total_out : (uint32_t)size, at = (uint32_t)zip.length;
        uint32_t claims = members[i].claims > 0 ? members[i].claims : (uint32_t)size;
        uint32_t crc = (uint32_t)crc32(0, bytes, (uInt)size), method = members[i].deflate ? 8 : 0;
        uint32_t name = (uint32_t)strlen(members[i].name);
        for (int k = 0; k < 2; k++) { /* the local header, then the record of the directory */
            Text *text = k == 0 ? &zip : &directory;
            add_number(text, k == 0 ? 0x04034b50 : 0x02014b50, 4);
            add_number(text, 20, k == 0 ? 2 : 4);
            add_number(text, 0, 2);
            add_number(text, method, 2);
            add_number(text, 0, 4);
            add_number(text, crc, 4);
            add_number(text, stored, 4);
            add_number(text, claims, 4);
            add_number(text, name, 2);
            add_number(text, 0, k == 0 ? 2 : 12);
            if (k == 1)
                add_number(text, at, 4);
            add_bytes(text, members[i].name, name);
        }
        add_bytes(&zip, members[i].deflate ? packed : bytes, stored);
    }
    uint32_t at = (uint32_t)zip.length;
    add_bytes(&zip, directory.data, directory.length);
    add_number(&zip, 0x06054b50, 4);
    add_number(&zip, 0, 4);
    add_number(&zip, (uint32_t)n, 2);
    add_number(&zip, (uint32_t)n, 2);
    add_number(&zip, (uint32_t)directory.length, 4);
    add_number(&zip, at, 4);
    add_number(&zip, 0, 2);
    write_file(path, zip.data, zip.length);
    free(bytes);
    text_free(&zip);
    text_free(&directory);
}

static Dataset *open(const char *path, const Value *const *inputs, int n, const DatasetOptions *options)
{
    DatasetOptions standard = {.preprocess = preprocess_default()};
    Dataset *dataset = NULL;
    CHECK_OK(dataset_open(path, inputs, n, options == NULL ? &standard : options, &dataset));
    return dataset;
}

TEST(npz_feeds_inputs_by_name)
{
    const char *folder = "npz-good";
    char *content = xstrdup(in("npz-content", "a.npy"));
    put_npy(content, DT_INT32, 3, 7);
    write_zip(in(folder, "a.npz"), content, (Member[]){{"ids.npy", false, 0}, {"mask.npy", true, 0}}, 2);
    write_zip(in(folder, "b.npz"), content, (Member[]){{"ids.npy", true, 0}}, 1);
    Value ids = input_of("ids", DT_INT64, 2, (int64_t[]){-1, -1}), mask = input_of("mask", DT_INT64, 2, (int64_t[]){-1, -1});
    Dataset *dataset = open(in(folder, ""), (const Value *[]){&ids, &mask}, 2, NULL);
    Tensor tensors[2];
    if (dataset != NULL) {
        CHECK_TEXT(dataset_reader(dataset), "npz");
        CHECK_INT(dataset_count(dataset), 2);
        if (CHECK_OK(dataset_load(dataset, 0, tensors))) {
            for (int i = 0; i < 2; i++) {
                CHECK_INT(tensors[i].dtype, DT_INT64); /* int32 in the file */
                CHECK_INT(tensor_get_int(&tensors[i], 2), 9);
                tensor_release(&tensors[i]);
            }
        }
        CHECK_FAILS(dataset_load(dataset, 1, tensors), CODE_DATA, "no array 'mask.npy'");
        dataset_free(dataset);
    }
    free(content);
}

TEST(npz_that_lies_is_refused)
{
    const char *folder = "npz-bad";
    char *content = xstrdup(in("npz-content", "b.npy"));
    put_npy(content, DT_INT64, 3, 7);
    write_zip(in(folder, "bomb.npz"), content, (Member[]){{"x.npy", true, 0xfffffff0}}, 1);
    write_zip(in(folder, "long.npz"), content, (Member[]){{"x.npy", true, 400}}, 1);
    write_zip(in(folder, "stored.npz"), content, (Member[]){{"x.npy", false, 400}}, 1);
    write_zip(in(folder, "two.npz"), content, (Member[]){{"y.npy", false, 0}, {"z.npy", false, 0}}, 2);
    write_zip(in(folder, "whole.npz"), content, (Member[]){{"any.npy", true, 0}}, 1);
    size_t size;
    unsigned char *bytes = read_bytes(in(folder, "whole.npz"), &size);
    bytes[size - 22 - 46 - 7 + 16] ^= 1; /* the checksum in the directory */
    write_file(in(folder, "crc.npz"), bytes, size);
    write_file(in(folder, "cut.npz"), bytes, size / 2);
    free(bytes);
    static const char *const reasons[] = {"more than its", "the checksum is wrong", "its directory is missing",
                                          "the packed data is damaged", "directory is damaged", "2 arrays in it", NULL};
    Value input = input_of("x", DT_INT64, 2, (int64_t[]){-1, -1});
    Dataset *dataset = open(in(folder, ""), (const Value *[]){&input}, 1, NULL);
    if (dataset != NULL) {
        CHECK_INT(dataset_count(dataset), COUNT_OF(reasons));
        for (size_t i = 0; i < COUNT_OF(reasons); i++) {
            Tensor tensor;
            if (reasons[i] != NULL) {
                CHECK_FAILS(dataset_load(dataset, (int64_t)i, &tensor), CODE_DATA, reasons[i]);
            } else if (CHECK_OK(dataset_load(dataset, (int64_t)i, &tensor))) { /* one array may have any name */
                CHECK_INT(tensor_get_int(&tensor, 0), 7);
                tensor_release(&tensor);
            }
        }
        dataset_free(dataset);
    }
    free(content);
}

TEST(inputs_in_folders_of_their_own_go_together_by_stem)
{
    put_npy(in("stems/ids", "a.1.npy"), DT_INT64, 3, 10);
    put_npy(in("stems/ids", "b.npy"), DT_INT64, 5, 20);
    put_npy(in("stems/mask", "a.1.npy"), DT_INT64, 3, 0);
    put_npy(in("stems/mask", "c.npy"), DT_INT64, 5, 0);
    put_npy(in("stems-rate", "rate.npy"), DT_INT64, 1, 16000);
    char *folder = xstrdup(in("stems", "")), *rate = xstrdup(in("stems-rate", "rate.npy"));
    Value ids = input_of("ids", DT_INT64, 2, (int64_t[]){-1, -1}), mask = input_of("mask", DT_INT64, 2, (int64_t[]){-1, -1}),
          sr = input_of("sr", DT_INT64, 2, (int64_t[]){1, 1}), state = input_of("h", DT_FLOAT, 2, (int64_t[]){2, -1});
    const Value *inputs[] = {&ids, &mask, &sr, &state};
    InputSource source = {"sr", rate};
    InputShape shape = {"h", 2, {2, 4}};
    DatasetOptions options = {.preprocess = preprocess_default(), .sources = &source, .n_sources = 1, .shapes = &shape,
                              .n_shapes = 1, .states = &(StateInput){"h", NULL}, .n_states = 1};
    Dataset *dataset = open(folder, inputs, 4, &options);
    Tensor tensors[4];
    if (dataset != NULL) {
        CHECK_INT(dataset_count(dataset), 2);
        if (CHECK_OK(dataset_load(dataset, 0, tensors))) {
            CHECK_INT(tensors[0].dims[1], 3);
            CHECK_INT(tensor_get_int(&tensors[0], 0), 10);
            CHECK_INT(tensor_get_int(&tensors[1], 2), 2);
            CHECK_INT(tensor_get_int(&tensors[2], 0), 16000);
            CHECK_INT(tensors[3].count, 8);
            CHECK(((float *)tensors[3].data)[7] == 0);
            for (int i = 0; i < 4; i++)
                tensor_release(&tensors[i]);
        }
        CHECK_FAILS(dataset_load(dataset, 1, tensors), CODE_DATA, "no file of that stem for input 'mask'");
        CHECK(dataset_continues(dataset, 1) && !dataset_continues(dataset, 0));
        dataset_free(dataset);
    }
    source.input = "sz";
    CHECK_FAILS(dataset_open(folder, inputs, 4, &options, &dataset), CODE_USAGE, "no input 'sz'");
    source.input = "sr";
    shape.dims[0] = 3;
    CHECK_FAILS(dataset_open(folder, inputs, 4, &options, &dataset), CODE_USAGE, "has 2 at dimension 0");
    free(folder);
    free(rate);
}

TEST(raw_files_take_their_shape_from_the_model_or_the_user)
{
    static const float numbers[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    write_file(in("raw", "a.bin"), numbers, sizeof numbers);
    write_file(in("raw", "b.bin"), numbers, 10);
    Value input = input_of("x", DT_FLOAT, 2, (int64_t[]){-1, 4});
    const Value *inputs[] = {&input};
    Dataset *dataset = open(in("raw", ""), inputs, 1, NULL);
    Tensor tensor;
    if (dataset != NULL) {
        if (CHECK_OK(dataset_load(dataset, 0, &tensor))) {
            CHECK_INT(tensor.dims[0], 3); /* from the size of the file */
            CHECK(((float *)tensor.data)[11] == 12);
            tensor_release(&tensor);
        }
        CHECK_FAILS(dataset_load(dataset, 1, &tensor), CODE_DATA, "takes 16 bytes or a multiple, the file has 10");
        dataset_free(dataset);
    }
    InputShape shape = {"x", 2, {2, 4}};
    DatasetOptions options = {.preprocess = preprocess_default(), .shapes = &shape, .n_shapes = 1};
    dataset = open(in("raw", ""), inputs, 1, &options);
    if (dataset != NULL) {
        CHECK_FAILS(dataset_load(dataset, 0, &tensor), CODE_DATA, "takes 32 bytes, the file has 48");
        dataset_free(dataset);
    }
}

TEST(random_data_repeats_and_warns)
{
    Value x = input_of("x", DT_FLOAT, 2, (int64_t[]){-1, 2000}), ids = input_of("ids", DT_INT64, 1, (int64_t[]){50});
    const Value *inputs[] = {&x, &ids};
    DatasetOptions options = {.preprocess = preprocess_default(), .max_samples = 3};
    Tensor a[2], b[2], c[2];
    Dataset *dataset = open(DATASET_RANDOM, inputs, 2, &options);
    if (dataset == NULL)
        return;
    CHECK_INT(dataset_count(dataset), 3);
    CHECK(dataset_path(dataset, 0) == NULL);
    CHECK(dataset_warning(dataset) != NULL && strstr(dataset_warning(dataset), "mean little") != NULL);
    if (CHECK_OK(dataset_load(dataset, 1, a)) && CHECK_OK(dataset_load(dataset, 1, b)) && CHECK_OK(dataset_load(dataset, 2, c))) {
        CHECK(tensor_equal(&a[0], &b[0]) && tensor_equal(&a[1], &b[1]));
        CHECK(!tensor_equal(&a[0], &c[0]));
        double sum = 0, squares = 0;
        for (int i = 0; i < 2000; i++) {
            sum += (double)((float *)a[0].data)[i];
            squares += (double)((float *)a[0].data)[i] * (double)((float *)a[0].data)[i];
        }
        CHECK_NEAR(sum / 2000, 0, 0.1);
        CHECK_NEAR(squares / 2000, 1, 0.15);
        for (int i = 0; i < 50; i++)
            CHECK(tensor_get_int(&a[1], i) >= 0 && tensor_get_int(&a[1], i) < 10);
        for (int i = 0; i < 2; i++) {
            tensor_release(&a[i]);
            tensor_release(&b[i]);
            tensor_release(&c[i]);
        }
    }
    dataset_free(dataset);
}

TEST(draws_repeat_and_shards_split)
{
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "%02d.npy", i);
        put_npy(in("draw", name), DT_FLOAT, 2, i);
    }
    Value input = input_of("x", DT_FLOAT, 2, (int64_t[]){1, 2});
    const Value *inputs[] = {&input};
    DatasetOptions options = {.preprocess = preprocess_default(), .max_samples = 10, .draw = true, .seed = 1};
    Dataset *one = open(in("draw", ""), inputs, 1, &options), *same = open(in("draw", ""), inputs, 1, &options);
    options.seed = 2;
    Dataset *other = open(in("draw", ""), inputs, 1, &options);
    int differ = 0;
    for (int i = 0; i < 10; i++) {
        CHECK_TEXT(dataset_file(same, i), dataset_file(one, i));
        CHECK(i == 0 || strcmp(dataset_file(one, i - 1), dataset_file(one, i)) < 0); /* each once, in order */
        differ += strcmp(dataset_file(one, i), dataset_file(other, i)) != 0;
    }
    CHECK(differ > 0);
    int seen = 0;
    options.seed = 1;
    for (int s = 1; s <= 3; s++) {
        options.shard = s;
        options.shards = 3;
        Dataset *shard = open(in("draw", ""), inputs, 1, &options);
        char hash[2][65];
        dataset_hash(shard, hash[0]);
        dataset_hash(one, hash[1]);
        CHECK_TEXT(hash[0], hash[1]);
        CHECK_INT(dataset_total(shard), 10);
        for (int64_t i = 0; i < dataset_count(shard); i++, seen++)
            CHECK_TEXT(dataset_file(shard, i), dataset_file(one, dataset_number(shard, i)));
        dataset_free(shard);
    }
    CHECK_INT(seen, 10);
    options.shard = 11;
    options.shards = 11;
    Dataset *none = NULL;
    CHECK_FAILS(dataset_open(in("draw", ""), inputs, 1, &options, &none), CODE_DATA, "holds no sample");
    dataset_free(one);
    dataset_free(same);
    dataset_free(other);
}
