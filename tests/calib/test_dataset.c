/* test_dataset.c - which files of a folder become samples, and what comes out of them. */
#include "calib/reader.h"
#include "src/onnx/onnx.h"
#include "tests/calib/pictures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <png.h>

static Value input_of(const char *name, DType dtype, int rank, const int64_t *dims)
{
    Value input = {.name = name, .type = {.kind = TYPE_TENSOR, .dtype = dtype, .shape = {.rank = rank}}};
    for (int i = 0; i < rank; i++)
        input.type.shape.dims[i] = dims[i] < 0 ? DIM_UNKNOWN : dim_known(dims[i]);
    return input;
}

/* A fresh folder, with the slash. */
static const char *fresh_folder(void)
{
    static int number;
    static char name[32];
    snprintf(name, sizeof name, "set%d/", ++number);
    return name;
}

static const char *in_folder(const char *folder, const char *file)
{
    char name[128];
    snprintf(name, sizeof name, "%s%s", folder, file);
    return picture_path(name);
}

static void put_picture(const char *folder, const char *file)
{
    unsigned char *rgb = draw_picture(12, 8, 3);
    write_png(in_folder(folder, file), 12, 8, 8, PNG_COLOR_TYPE_RGB, false, rgb);
    free(rgb);
}

static void put_floats(const char *folder, const char *file, DType dtype, int rank, const int64_t *dims, double first)
{
    Tensor tensor;
    if (!CHECK_OK(tensor_alloc(&tensor, dtype, rank, dims)))
        return;
    for (int64_t i = 0; i < tensor.count; i++)
        tensor_set(&tensor, i, first + (double)i);
    CHECK_OK(npy_write(in_folder(folder, file), &tensor));
    tensor_release(&tensor);
}

static const DatasetOptions *standard(void)
{
    static DatasetOptions options;
    options = (DatasetOptions){.preprocess = preprocess_default(), .read_pb = onnx_read_tensor};
    return &options;
}

static const int64_t picture_dims[] = {-1, 3, 8, 12}, vector_dims[] = {-1, 2};

TEST(dataset_reads_pictures_sorted_and_skips_the_damaged_one)
{
    const char *folder = fresh_folder();
    put_picture(folder, "b.png");
    put_picture(folder, "sub/a.png");
    put_picture(folder, "named-wrongly.txt");
    write_file(in_folder(folder, "a.jpg"), "no picture", 10);
    write_file(in_folder(folder, "labels.txt"), "b.png 1\n", 8);
    Value input = input_of("x", DT_FLOAT, 4, picture_dims);
    Dataset *dataset;
    if (!CHECK_OK(dataset_open(in_folder(folder, ""), (const Value *[]){&input}, 1, standard(), &dataset)))
        return;
    CHECK_INT(dataset_count(dataset), 4);
    CHECK_TEXT(path_base(dataset_file(dataset, 0)), "a.jpg");
    CHECK_TEXT(path_base(dataset_file(dataset, 1)), "b.png");
    CHECK_TEXT(path_base(dataset_file(dataset, 2)), "named-wrongly.txt");
    CHECK_TEXT(dataset_reader(dataset), "image");
    CHECK(dataset_warning(dataset) == NULL);
    CHECK_INT(dataset_preprocess(dataset)->width, 12);
    CHECK(strstr(dataset_describe(dataset), "RGB 12x8 NCHW float, stretched") != NULL);
    Tensor tensor = {.rank = 99};
    CHECK_FAILS(dataset_load(dataset, 0, &tensor), CODE_DATA, "a.jpg: not an image");
    CHECK_INT(tensor.rank, 99);
    for (int64_t i = 1; i < 4; i++) {
        if (!CHECK_OK(dataset_load(dataset, i, &tensor)))
            continue;
        CHECK_INT(tensor.count, 3 * 8 * 12);
        CHECK_NEAR(((float *)tensor.data)[11], 233.0 / 255, 1e-6); /* red of the last column */
        tensor_release(&tensor);
    }
    dataset_free(dataset);
}

TEST(dataset_takes_samples_evenly)
{
    const char *folder = fresh_folder();
    for (int i = 0; i < 10; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d.png", i);
        put_picture(folder, name);
    }
    Value input = input_of("x", DT_FLOAT, 4, picture_dims);
    DatasetOptions options = *standard();
    options.max_samples = 4;
    Dataset *dataset;
    if (!CHECK_OK(dataset_open(in_folder(folder, ""), (const Value *[]){&input}, 1, &options, &dataset)))
        return;
    CHECK_INT(dataset_count(dataset), 4);
    static const char *const expected[] = {"0.png", "2.png", "5.png", "7.png"};
    for (int i = 0; i < 4; i++)
        CHECK_TEXT(path_base(dataset_file(dataset, i)), expected[i]);
    dataset_free(dataset);
}

TEST(dataset_without_anything_readable_says_what_it_found)
{
    const char *folder = fresh_folder();
    write_file(in_folder(folder, "a.txt"), "text", 4);
    write_file(in_folder(folder, "b.txt"), "text", 4);
    Value input = input_of("x", DT_FLOAT, 4, picture_dims);
    const Value *inputs[] = {&input};
    Dataset *dataset = NULL;
    CHECK_FAILS(dataset_open(in_folder(folder, ""), inputs, 1, standard(), &dataset), CODE_DATA,
                "2 files, none an image, a recording, .npy, .npz, .pb or raw .bin");
    const char *empty = fresh_folder();
    CHECK_FAILS(dataset_open(in_folder(empty, ""), inputs, 1, standard(), &dataset), CODE_DATA, "empty");
    CHECK_FAILS(dataset_open(picture_path("no-such-folder"), inputs, 1, standard(), &dataset), CODE_DATA,
                "no-such-folder");
    CHECK_FAILS(dataset_open(in_folder(folder, ""), inputs, 0, standard(), &dataset), CODE_DATA, "no input");
    CHECK(dataset == NULL);
}

TEST(dataset_of_mixed_kinds_takes_the_majority_and_warns)
{
    const char *folder = fresh_folder();
    put_floats(folder, "a.npy", DT_FLOAT, 2, (int64_t[]){1, 2}, 0);
    put_floats(folder, "b.npy", DT_FLOAT, 2, (int64_t[]){1, 2}, 0);
    put_picture(folder, "c.png");
    Value input = input_of("x", DT_FLOAT, 2, vector_dims);
    Dataset *dataset;
    if (!CHECK_OK(dataset_open(in_folder(folder, ""), (const Value *[]){&input}, 1, standard(), &dataset)))
        return;
    CHECK_TEXT(dataset_reader(dataset), "npy");
    CHECK_INT(dataset_count(dataset), 2);
    CHECK(dataset_warning(dataset) != NULL && strstr(dataset_warning(dataset), "left out: 1 image") != NULL);
    dataset_free(dataset);
}

TEST(tensors_are_made_to_fit_or_refused)
{
    const char *folder = fresh_folder();
    put_floats(folder, "a.npy", DT_FLOAT, 2, (int64_t[]){1, 2}, 5);
    put_floats(folder, "b.npy", DT_DOUBLE, 2, (int64_t[]){3, 2}, 7);
    put_floats(folder, "c.npy", DT_FLOAT, 1, (int64_t[]){2}, 9);
    put_floats(folder, "d.npy", DT_FLOAT, 2, (int64_t[]){1, 3}, 0);
    put_floats(folder, "e.npy", DT_INT32, 2, (int64_t[]){1, 2}, 0);
    put_floats(folder, "f.npy", DT_FLOAT, 3, (int64_t[]){1, 1, 2}, 0);
    Value input = input_of("x", DT_FLOAT, 2, vector_dims);
    Dataset *dataset;
    if (!CHECK_OK(dataset_open(in_folder(folder, ""), (const Value *[]){&input}, 1, standard(), &dataset)))
        return;
    CHECK(strstr(dataset_describe(dataset), "double is made float") != NULL);
    static const int64_t rows[] = {1, 3, 1};
    for (int i = 0; i < 3; i++) {
        Tensor tensor;
        if (!CHECK_OK(dataset_load(dataset, i, &tensor)))
            continue;
        CHECK_INT(tensor.dtype, DT_FLOAT);
        CHECK_INT(tensor.rank, 2);
        CHECK_INT(tensor.dims[0], rows[i]);
        CHECK(((float *)tensor.data)[1] == (float)(6 + 2 * i));
        tensor_release(&tensor);
    }
    Tensor tensor;
    CHECK_FAILS(dataset_load(dataset, 3, &tensor), CODE_DATA, "'x' expects float ?x2, the file has float 1x3");
    CHECK_FAILS(dataset_load(dataset, 4, &tensor), CODE_DATA, "the file has int32 1x2");
    CHECK_FAILS(dataset_load(dataset, 5, &tensor), CODE_DATA, "the file has float 1x1x2");
    dataset_free(dataset);
}

/* TensorProto { dims: 1 2, data_type: FLOAT, raw_data: 1.0 2.0 } */
static const unsigned char tensor_pb[] = {0x0a, 2, 1, 2, 0x10, 1, 0x4a, 8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40};

TEST(dataset_outlives_the_values_it_was_opened_for)
{
    const char *folder = fresh_folder();
    put_floats(folder, "a.npy", DT_FLOAT, 2, (const int64_t[]){1, 2}, 5);
    char *name = xstrdup("x");
    Value *input = xcalloc(1, sizeof *input);
    *input = input_of(name, DT_FLOAT, 2, vector_dims);
    Dataset *dataset;
    bool opened = CHECK_OK(dataset_open(in_folder(folder, ""), (const Value *[]){input}, 1, standard(), &dataset));
    memset(name, 'y', strlen(name));
    memset(input, 0, sizeof *input);
    free(name);
    free(input);
    if (!opened)
        return;
    Tensor tensor;
    if (CHECK_OK(dataset_load(dataset, 0, &tensor))) {
        CHECK_INT(tensor.rank, 2);
        tensor_release(&tensor);
    }
    dataset_free(dataset);
}

TEST(protobuf_tensors_are_read_and_outputs_left_out)
{
    const char *folder = fresh_folder();
    write_file(in_folder(folder, "test_data_set_0/input_0.pb"), tensor_pb, sizeof tensor_pb);
    write_file(in_folder(folder, "test_data_set_0/output_0.pb"), tensor_pb, sizeof tensor_pb);
    write_file(in_folder(folder, "test_data_set_1/input_0.pb"), tensor_pb, sizeof tensor_pb - 3);
    Value input = input_of("x", DT_FLOAT, 2, vector_dims);
    Dataset *dataset;
    if (!CHECK_OK(dataset_open(in_folder(folder, ""), (const Value *[]){&input}, 1, standard(), &dataset)))
        return;
    CHECK_TEXT(dataset_reader(dataset), "pb");
    CHECK_INT(dataset_count(dataset), 2);
    Tensor tensor;
    if (CHECK_OK(dataset_load(dataset, 0, &tensor))) {
        CHECK(((float *)tensor.data)[1] == 2.0f);
        tensor_release(&tensor);
    }
    CHECK_FAILS(dataset_load(dataset, 1, &tensor), CODE_DATA, "input_0.pb");
    dataset_free(dataset);
    DatasetOptions options = *standard();
    options.read_pb = NULL;
    CHECK_FAILS(dataset_open(in_folder(folder, ""), (const Value *[]){&input}, 1, &options, &dataset), CODE_DATA,
                "not read");
}

TEST(several_inputs_come_from_folders)
{
    const char *folder = fresh_folder();
    write_file(in_folder(folder, "s0/input_0.pb"), tensor_pb, sizeof tensor_pb);
    put_floats(folder, "s0/input_1.npy", DT_FLOAT, 1, (int64_t[]){4}, 3);
    write_file(in_folder(folder, "s1/input_0.pb"), tensor_pb, sizeof tensor_pb);
    Value first = input_of("x", DT_FLOAT, 2, vector_dims), second = input_of("y", DT_FLOAT, 1, (int64_t[]){4});
    const Value *inputs[] = {&first, &second};
    Dataset *dataset;
    if (!CHECK_OK(dataset_open(in_folder(folder, ""), inputs, 2, standard(), &dataset)))
        return;
    CHECK_INT(dataset_count(dataset), 2);
    Tensor tensors[2];
    if (CHECK_OK(dataset_load(dataset, 0, tensors))) {
        CHECK(((float *)tensors[0].data)[0] == 1.0f && ((float *)tensors[1].data)[3] == 6.0f);
        tensor_release(&tensors[0]);
        tensor_release(&tensors[1]);
    }
    CHECK_FAILS(dataset_load(dataset, 1, tensors), CODE_DATA, "input_1 is missing (input 'y')");
    dataset_free(dataset);

    const char *pictures = fresh_folder();
    put_picture(pictures, "a.png");
    CHECK_FAILS(dataset_open(in_folder(pictures, ""), inputs, 2, standard(), &dataset), CODE_DATA, "this model has 2");
    const char *loose = fresh_folder();
    put_floats(loose, "a.npy", DT_FLOAT, 1, (int64_t[]){4}, 3);
    CHECK_FAILS(dataset_open(in_folder(loose, ""), inputs, 2, standard(), &dataset), CODE_DATA,
                "the model has 2 inputs");
}

TEST(data_list_reads_a_text_file_of_paths)
{
    char path[256], other[256];
    FileList list;
    snprintf(path, sizeof path, "%s/files.txt", test_folder());
    snprintf(other, sizeof other, "%s/a b 7.png", test_folder());
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    fputs("# what to read\n\nz.png\na b 7.png\t12\r\n  /abs/c.npy\nlabel/only.jpg 3", file);
    fclose(file);
    CHECK_OK(data_list(path, &list));
    CHECK_INT(list.n, 4);
    CHECK_TEXT(path_base(list.paths[0]), "z.png");
    CHECK_TEXT(list.paths[1], other);
    CHECK_TEXT(list.paths[2], "/abs/c.npy");
    CHECK_TEXT(path_base(list.paths[3]), "only.jpg");
    file_list_free(&list);
    /* A folder stands for its files; what would never end is refused. */
    char folder[256], pipe[256];
    snprintf(folder, sizeof folder, "%s/listed", test_folder());
    CHECK(mkdir(folder, 0700) == 0);
    snprintf(folder, sizeof folder, "%s/listed/x.npy", test_folder());
    snprintf(pipe, sizeof pipe, "%s/pipe", test_folder());
    write_file(folder, "", 0);
    write_file(path, "listed\n", 7);
    CHECK_OK(data_list(path, &list));
    CHECK_INT(list.n, 1);
    CHECK_TEXT(list.paths[0], folder);
    file_list_free(&list);
    CHECK(mkfifo(pipe, 0600) == 0);
    write_file(path, "listed\npipe\n", 12);
    CHECK_FAILS(data_list(path, &list), CODE_DATA, "neither a file nor a folder");
}

/* Two picture inputs, each of its own size, one of them only known from --shape. */
TEST(pictures_feed_two_inputs)
{
    const char *folder = fresh_folder();
    put_picture(folder, "left/a.png");
    put_picture(folder, "right/a.png");
    char left[512], right[512];
    snprintf(left, sizeof left, "%s", in_folder(folder, "left"));
    snprintf(right, sizeof right, "%s", in_folder(folder, "right"));
    Value first = input_of("l", DT_FLOAT, 4, picture_dims), second = input_of("r", DT_FLOAT, 4, (int64_t[]){1, 3, -1, -1});
    const InputSource sources[] = {{"l", left}, {"r", right}};
    const InputShape shape = {"r", 4, {1, 3, 20, 10}};
    DatasetOptions options = *standard();
    options.sources = sources;
    options.n_sources = 2;
    options.shapes = &shape;
    options.n_shapes = 1;
    Dataset *dataset;
    Tensor tensors[2];
    if (!CHECK_OK(dataset_open(NULL, (const Value *[]){&first, &second}, 2, &options, &dataset)))
        return;
    if (CHECK_OK(dataset_load(dataset, 0, tensors))) {
        CHECK_INT(tensors[0].count, 3 * 8 * 12);
        CHECK_INT(tensors[1].dims[2], 20);
        CHECK_INT(tensors[1].dims[3], 10);
        tensor_release(&tensors[0]);
        tensor_release(&tensors[1]);
    }
    dataset_free(dataset);
}
