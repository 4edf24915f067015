/* dataset.c - a folder seen as samples: which files, which reader, which input each file feeds.
 *
 *     one input         each file of the kind that most files are of: a.jpg, b.jpg ...     sample = file
 *     several inputs    set_0/input_0.pb set_0/input_1.pb   set_1/input_0.pb ...           sample = folder
 *
 * A file's kind comes from its first bytes; only where no reader knows them does the name count, so that a damaged
 * a.jpg is a sample that is skipped with its reason and a labels.txt is none.
 */
#include "calib/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define READER(name) extern const Reader reader_##name;
#include "calib/readers.def"
#undef READER

static const Reader *const readers[] = {
#define READER(name) &reader_##name,
#include "calib/readers.def"
#undef READER
};
#define N_READERS COUNT_OF(readers)

/* ---- kinds of files ---------------------------------------------------------------------------------------------- */

static int find_reader(const char *path)
{
    unsigned char head[READER_HEAD];
    FILE *file = fopen(path, "rb");
    size_t n = file == NULL ? 0 : fread(head, 1, sizeof head, file);
    if (file != NULL)
        fclose(file);
    for (size_t r = 0; r < N_READERS; r++)
        if (n > 0 && readers[r]->claims != NULL && readers[r]->claims(head, n))
            return (int)r;
    const char *extension = path_extension(path);
    for (size_t r = 0; r < N_READERS; r++)
        for (const char *const *e = readers[r]->extensions; *e != NULL; e++)
            if (strcasecmp(extension, *e) == 0)
                return (int)r;
    return -1;
}

/* K of a base name "input_K.pb" (or output_K); -1 otherwise. */
static int part_number(const char *path, const char *prefix)
{
    const char *base = path_base(path);
    size_t length = strlen(prefix);
    if (strncmp(base, prefix, length) != 0)
        return -1;
    int number = 0;
    const char *p = base + length;
    for (; *p >= '0' && *p <= '9' && number < 10000; p++)
        number = number * 10 + (*p - '0');
    return p > base + length && *p == '.' ? number : -1;
}

static char *folder_of(Arena *arena, const char *path)
{
    const char *base = path_base(path);
    return base == path ? arena_strdup(arena, ".") : arena_strndup(arena, path, (size_t)(base - path));
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

static Sample *add_sample(Dataset *dataset, const char *name)
{
    dataset->samples = array_reserve(dataset->samples, &dataset->cap_samples, dataset->n_samples + 1, sizeof(Sample));
    Sample *sample = &dataset->samples[dataset->n_samples++];
    *sample = (Sample){.name = name, .parts = arena_array(dataset->arena, (size_t)dataset->n_inputs, sizeof(Part))};
    return sample;
}

/* Folders that hold input_0: there, output_K files are what the model should answer, no samples. */
static Map *folders_with_inputs(Dataset *dataset, const int *kinds)
{
    Map *folders = map_new();
    for (size_t i = 0; i < dataset->list.n; i++)
        if (kinds[i] >= 0 && part_number(dataset->list.paths[i], "input_") == 0)
            map_put(folders, folder_of(dataset->arena, dataset->list.paths[i]), dataset);
    return folders;
}

static void drop_outputs(Dataset *dataset, int *kinds)
{
    Map *folders = folders_with_inputs(dataset, kinds);
    for (size_t i = 0; i < dataset->list.n; i++) {
        const char *path = dataset->list.paths[i];
        if (kinds[i] < 0 || part_number(path, "output_") < 0)
            continue;
        ArenaMark mark = arena_mark(dataset->arena);
        if (map_has(folders, folder_of(dataset->arena, path)))
            kinds[i] = -1;
        arena_rewind(dataset->arena, mark);
    }
    map_free(folders);
}

static void gather_files(Dataset *dataset, const int *kinds, int kind)
{
    for (size_t i = 0; i < dataset->list.n; i++)
        if (kinds[i] == kind)
            add_sample(dataset, dataset->list.paths[i])->parts[0] = (Part){dataset->list.paths[i], readers[kind]};
}

static void gather_folders(Dataset *dataset, const int *kinds)
{
    Map *folders = map_new(); /* folder -> index of its sample + 1 */
    for (size_t i = 0; i < dataset->list.n; i++) {
        const char *path = dataset->list.paths[i];
        int input = part_number(path, "input_");
        if (kinds[i] < 0 || input < 0 || input >= dataset->n_inputs)
            continue;
        const char *folder = folder_of(dataset->arena, path);
        size_t number = (size_t)(uintptr_t)map_get(folders, folder);
        if (number == 0) {
            add_sample(dataset, folder);
            number = dataset->n_samples;
            map_put(folders, folder, (void *)(uintptr_t)number);
        }
        Part *part = &dataset->samples[number - 1].parts[input];
        if (part->path == NULL)
            *part = (Part){path, readers[kinds[i]]};
    }
    map_free(folders);
}

/* Keeps max_samples of them, evenly spread: sample i of n' is i * n / n'. */
static void thin_out(Dataset *dataset)
{
    size_t most = dataset->options.max_samples > 0 ? (size_t)dataset->options.max_samples : SIZE_MAX;
    size_t n = dataset->n_samples;
    if (most >= n)
        return;
    for (size_t i = 0; i < most; i++)
        dataset->samples[i] = dataset->samples[(uint64_t)i * n / most];
    dataset->n_samples = most;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static Status nothing_found(const Dataset *dataset)
{
    size_t n = dataset->list.n;
    Text kinds = {0};
    for (size_t r = 0; r < N_READERS; r++)
        text_addf(&kinds, "%s%s", r == 0 ? "" : r + 1 == N_READERS ? " or " : ", ", readers[r]->what);
    Status status =
        n == 0 ? status_new(CODE_DATA, "%s: the folder is empty", dataset->path)
               : status_new(CODE_DATA, "%s: %zu file%s, none %s", dataset->path, n, n == 1 ? "" : "s", kinds.data);
    text_free(&kinds);
    return status;
}

/* "3 .npy, 1 .pb": what is there but left out, NULL when nothing. */
static char *left_out(Arena *arena, const size_t counts[], int chosen)
{
    Text text = {0};
    for (size_t r = 0; r < N_READERS; r++)
        if ((int)r != chosen && counts[r] > 0)
            text_addf(&text, "%s%zu %s", text.length == 0 ? "" : ", ", counts[r], readers[r]->name);
    char *line = text.length == 0 ? NULL : arena_strdup(arena, text.data);
    text_free(&text);
    return line;
}

static Status find_samples(Dataset *dataset, int *kinds)
{
    for (size_t i = 0; i < dataset->list.n; i++)
        kinds[i] = find_reader(dataset->list.paths[i]);
    drop_outputs(dataset, kinds);
    size_t counts[N_READERS] = {0};
    for (size_t i = 0; i < dataset->list.n; i++)
        if (kinds[i] >= 0)
            counts[kinds[i]]++;
    int most = 0;
    for (int r = 1; r < (int)N_READERS; r++)
        if (counts[r] > counts[most])
            most = r;
    if (counts[most] == 0)
        return nothing_found(dataset);
    dataset->reader = readers[most];
    if (dataset->n_inputs > 1 && dataset->reader != &reader_image) {
        gather_folders(dataset, kinds);
        if (dataset->n_samples == 0)
            return status_new(
                CODE_DATA,
                "%s: the model has %d inputs ('%s', '%s' ...): expects folders with input_0.pb (or .npy), "
                "input_1.pb ... each",
                dataset->path, dataset->n_inputs, dataset->inputs[0]->name, dataset->inputs[1]->name);
        dataset->reader =
            dataset->samples[0].parts[0].reader != NULL ? dataset->samples[0].parts[0].reader : dataset->reader;
        return NULL;
    }
    gather_files(dataset, kinds, most);
    char *others = left_out(dataset->arena, counts, most);
    if (others != NULL)
        dataset->warning = arena_printf(dataset->arena, "%s: %zu %s files are read, others are left out: %s",
                                        dataset->path, counts[most], readers[most]->name, others);
    return NULL;
}

static Status open_dataset(Dataset *dataset)
{
    if (dataset->n_inputs < 1)
        return status_new(CODE_DATA, "the model has no input that data could feed");
    TRY(data_list(dataset->path, &dataset->list));
    int *kinds = xcalloc(MAX(dataset->list.n, 1), sizeof kinds[0]);
    Status status = find_samples(dataset, kinds);
    free(kinds);
    TRY(status);
    thin_out(dataset);
    return status_prefix(dataset->reader->prepare(dataset), "%s", dataset->path);
}

Status dataset_open(const char *path, const Value *const *inputs, int n_inputs, const DatasetOptions *options,
                    Dataset **ret)
{
    Dataset *dataset = xcalloc(1, sizeof *dataset);
    dataset->arena = arena_new();
    dataset->options = *options;
    dataset->path = arena_strdup(dataset->arena, path);
    dataset->inputs = arena_array(dataset->arena, (size_t)MAX(n_inputs, 1), sizeof dataset->inputs[0]);
    for (int i = 0; i < n_inputs; i++)
        dataset->inputs[i] = inputs[i];
    dataset->n_inputs = n_inputs;
    Status status = open_dataset(dataset);
    if (status != NULL)
        dataset_free(dataset);
    else
        *ret = dataset;
    return status;
}

void dataset_free(Dataset *dataset)
{
    if (dataset == NULL)
        return;
    file_list_free(&dataset->list);
    free(dataset->samples);
    arena_free(dataset->arena);
    free(dataset);
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

int64_t dataset_count(const Dataset *dataset)
{
    return (int64_t)dataset->n_samples;
}

const char *dataset_file(const Dataset *dataset, int64_t i)
{
    return dataset->samples[i].name;
}

const char *dataset_reader(const Dataset *dataset)
{
    return dataset->reader->name;
}

const char *dataset_describe(const Dataset *dataset)
{
    return dataset->description;
}

const char *dataset_warning(const Dataset *dataset)
{
    return dataset->warning;
}

const Preprocess *dataset_preprocess(const Dataset *dataset)
{
    return &dataset->options.preprocess;
}

Status dataset_load(const Dataset *dataset, int64_t i, Tensor *ret)
{
    const Sample *sample = &dataset->samples[i];
    Tensor *tensors = xcalloc((size_t)dataset->n_inputs, sizeof tensors[0]);
    Status status = NULL;
    int n = 0;
    for (; n < dataset->n_inputs && status == NULL; n++) {
        const Part *part = &sample->parts[n];
        status = part->path == NULL ? status_new(CODE_DATA, "%s: input_%d is missing (input '%s')", sample->name, n,
                                                 dataset->inputs[n]->name)
                                    : part->reader->read(dataset, part->path, n, &tensors[n]);
    }
    if (status == NULL)
        memcpy(ret, tensors, (size_t)dataset->n_inputs * sizeof tensors[0]);
    else
        for (int k = 0; k < n; k++)
            tensor_release(&tensors[k]); /* zeroed where nothing was read */
    free(tensors);
    return status;
}
