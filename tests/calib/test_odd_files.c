/* test_odd_files.c - odd, damaged and absurd pictures and recordings, as a list tells what a careful reader makes of them.
 *
 *     QUANTIZE_SHARED/data/odd/LIST.tsv     file, bytes, source, expectation, what Pillow or ffmpeg said ("ffmpeg error")
 *
 * The files are not part of the project (../shared, where it is there); the test says so when it has none to read. Each one is
 * read, or refused with a message; which, the list tells, or the table below with the reason why we differ.
 */
#include "src/image/image.h"
#include "calib/reader.h"
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 4096
#define MEMORY_LIMIT ((size_t)256 << 20) /* of tensors and pixels, at any time */
#define GROWTH_LIMIT ((size_t)1 << 30)   /* of the whole process over all files; a header of the list asks for ten times that */

/* Where we differ from the list, and what the message says when we do not read what it reads. */
static const struct {
    const char *file, *reason; /* NULL: we read what it does not */
} others[] = {
    {"img/gen.gif", "GIF images are not read; convert it"},
    {"img/gen.tga", "not an image"}, /* has no mark at its beginning to know it by */
    {"pngsuite/xcsn0g01.png", "PNG"}, /* a wrong checksum, "must be rejected": Pillow reads it */
    {"audio/gen_aac.m4a", "not a recording"},
    /* libsndfile has no AAC, and its FLAC and WAV readers are of another mind than ffmpeg: */
    {"audio/flac_07_-_15_bit_per_sample.flac", "not a recording"},
    {"audio/flac_11_-_incorrect_metadata_block_length.flac", "not a recording"},
    {"audio/bad_datasize_ffffffff.wav", NULL}, /* streamed: the size is not known, all that is there is sound */
    {"audio/bad_trunc.wav", NULL},             /* the sound up to the end of the file is whole */
    {"audio/flac_03_-_wrong_bit_depth.flac", NULL},
    {"audio/flac_04_-_changing_bitdepth.flac", NULL},
};

static bool is_expected_read(const char *file, const char *reference, const char **ret_reason)
{
    *ret_reason = NULL;
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        if (strcmp(others[i].file, file) == 0) {
            *ret_reason = others[i].reason;
            return others[i].reason == NULL;
        }
    }
    return strstr(reference, "rror") == NULL; /* "ffmpeg error", "Pillow OSError" */
}

/* As calibration does, in windows: the first one tells whether it can be read; of a file that is cut off, later ones may fail. */
static Status read_recording(const char *path)
{
    Value input = {.name = "x", .type = {.kind = TYPE_TENSOR, .dtype = DT_FLOAT, .shape = {.rank = 2}}};
    input.type.shape.dims[0] = DIM_UNKNOWN;
    input.type.shape.dims[1] = DIM_UNKNOWN;
    DatasetOptions options = {.preprocess = preprocess_default()};
    options.preprocess.audio.window = 1;
    Dataset *dataset = NULL;
    TRY(dataset_open(path, (const Value *[]){&input}, 1, &options, &dataset));
    Status first = NULL;
    for (int64_t i = 0; i < dataset_count(dataset); i++) {
        Tensor window = {0};
        Status status = dataset_load(dataset, i, &window);
        tensor_release(&window);
        if (i == 0)
            first = status;
        else if (status != NULL && (status_code(status) != CODE_DATA || strstr(status_message(status), path) == NULL))
            test_fail(__FILE__, __LINE__, "%s: \"%s\"", dataset_file(dataset, i), status_message(status));
        if (i > 0)
            status_free(status);
    }
    dataset_free(dataset);
    return first;
}

static Status read_odd(const char *folder, const char *file)
{
    char *path = xprintf("%s/%s", folder, file);
    Status status;
    if (strncmp(file, "audio/", 6) == 0) {
        status = read_recording(path);
    } else {
        Image image = {0};
        status = image_read(path, &image);
        image_release(&image);
    }
    free(path);
    return status;
}

static void check_odd(const char *folder, const char *file, const char *reference)
{
    const char *reason;
    bool expected = is_expected_read(file, reference, &reason);
    Status status = read_odd(folder, file);
    if ((status == NULL) != expected)
        test_fail(__FILE__, __LINE__, "%s (%s): %s%s", file, reference, status == NULL ? "read, to be refused" : "",
                  status_message(status));
    if (status != NULL && (status_code(status) != CODE_DATA || strstr(status_message(status), path_base(file)) == NULL ||
                           (reason != NULL && strstr(status_message(status), reason) == NULL)))
        test_fail(__FILE__, __LINE__, "%s: refused as \"%s\"", file, status_message(status));
    if (strcmp(file, "img/bad_huge_dims.png") == 0)
        CHECK(strstr(status_message(status), "the limits are") != NULL);
    status_free(status);
}

TEST(odd_files_are_read_or_refused_with_a_reason)
{
    const char *shared = getenv("QUANTIZE_SHARED");
    char *folder = xprintf("%s/data/odd", shared == NULL ? "../shared" : shared), *list = xprintf("%s/LIST.tsv", folder);
    FILE *file = fopen(list, "r");
    char line[1024];
    int n = 0;
    if (file == NULL)
        printf("odd files: none tried, %s is not there; QUANTIZE_SHARED names the folder\n", list);
    size_t before = peak_memory_bytes();
    memory_set_limit(memory_in_use() + MEMORY_LIMIT);
    while (file != NULL && n < LINES_MAX && fgets(line, sizeof line, file) != NULL) {
        char *fields[5], *at = line;
        int k = 0;
        line[strcspn(line, "\n")] = '\0';
        while (k < 5 && at != NULL)
            fields[k++] = strsep(&at, "\t");
        if (k == 5 && strcmp(fields[0], "file") != 0) {
            check_odd(folder, fields[0], fields[4]);
            n++;
        }
    }
    memory_set_limit(0);
    if (file != NULL) {
        fclose(file);
        CHECK(n > 0);
        CHECK(peak_memory_bytes() - before < GROWTH_LIMIT);
        printf("odd files: %d tried\n", n);
    }
    free(folder);
    free(list);
}
