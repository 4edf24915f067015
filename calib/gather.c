/* gather.c - which files make which sample.
 *
 *     one input            each file of the kind that most files are of: a.jpg, b.jpg ...     sample = file
 *     several inputs       a.npz, b.npz with arrays named as the inputs                       sample = file
 *                          set_0/input_0.pb set_0/input_1.pb   set_1/input_0.pb ...           sample = folder
 *                          ids/a.npy ids/b.npy   mask/a.npy mask/b.npy                        sample = stem
 *
 * A file's kind comes from its first bytes; only where no reader knows them does the name count, so that a damaged
 * a.jpg is a sample that is skipped with its reason and a labels.txt is none.
 */
#include "calib/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

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

const Reader *reader_of(const char *path)
{
    int r = find_reader(path);
    return r < 0 ? NULL : readers[r];
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

static bool is_folder(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

/* ---- samples of the folder of all -------------------------------------------------------------------------------- */

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

/* A file feeds every input that has no other source: one input, or the arrays of an .npz. */
static void gather_files(Dataset *dataset, const int *kinds, int kind)
{
    for (size_t i = 0; i < dataset->list.n; i++) {
        if (kinds[i] != kind)
            continue;
        Sample *sample = add_sample(dataset, dataset->list.paths[i]);
        for (int input = 0; input < dataset->n_inputs; input++)
            if (dataset->feeds[input].kind == FEED_MAIN)
                sample->parts[input] = (Part){dataset->list.paths[i], readers[kind], 0};
    }
}

static void gather_folders(Dataset *dataset, const int *kinds)
{
    Map *folders = map_new(); /* folder -> index of its sample + 1 */
    for (size_t i = 0; i < dataset->list.n; i++) {
        const char *path = dataset->list.paths[i];
        int input = part_number(path, "input_");
        if (kinds[i] < 0 || input < 0 || input >= dataset->n_inputs || dataset->feeds[input].kind != FEED_MAIN)
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
            *part = (Part){path, readers[kinds[i]], 0};
    }
    map_free(folders);
}

static Status nothing_found(const char *path, size_t n)
{
    Text kinds = {0};
    for (size_t r = 0; r < N_READERS; r++)
        text_addf(&kinds, "%s%s", r == 0 ? "" : r + 1 == N_READERS ? " or " : ", ", readers[r]->what);
    Status status = n == 0 ? status_new(CODE_DATA, "%s: the folder is empty", path)
                           : status_new(CODE_DATA, "%s: %zu file%s, none %s", path, n, n == 1 ? "" : "s", kinds.data);
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

/* The kind that most files are of; kinds[i] is a reader's number or -1. */
static Status majority(Dataset *dataset, const char *path, const int *kinds, size_t n, bool warn, int *ret)
{
    size_t counts[N_READERS] = {0};
    for (size_t i = 0; i < n; i++)
        if (kinds[i] >= 0)
            counts[kinds[i]]++;
    int most = 0;
    for (int r = 1; r < (int)N_READERS; r++)
        if (counts[r] > counts[most])
            most = r;
    if (counts[most] == 0)
        return nothing_found(path, n);
    char *others = warn ? left_out(dataset->arena, counts, most) : NULL;
    if (others != NULL)
        dataset_warn(dataset, arena_printf(dataset->arena, "%s: %zu %s files are read, others are left out: %s", path,
                                           counts[most], readers[most]->name, others));
    *ret = most;
    return NULL;
}

static Status find_main(Dataset *dataset, int *kinds)
{
    for (size_t i = 0; i < dataset->list.n; i++)
        kinds[i] = find_reader(dataset->list.paths[i]);
    drop_outputs(dataset, kinds);
    int most = 0;
    bool several = dataset->n_main > 1;
    TRY(majority(dataset, dataset->path, kinds, dataset->list.n, !several, &most));
    dataset->reader = readers[most];
    if (!several || dataset->reader == &reader_image || dataset->reader == &reader_audio ||
        dataset->reader == &reader_npz) {
        gather_files(dataset, kinds, most);
        return NULL;
    }
    gather_folders(dataset, kinds);
    if (dataset->n_samples == 0)
        return status_new(CODE_DATA,
                          "%s: the model has %d inputs ('%s', '%s' ...): expects .npz files with arrays of these names, "
                          "a folder for each input, or folders with input_0.pb (or .npy), input_1.pb ... each",
                          dataset->path, dataset->n_inputs, dataset->inputs[0]->name, dataset->inputs[1]->name);
    const Reader *first = dataset->samples[0].parts[0].reader;
    dataset->reader = first != NULL ? first : dataset->reader;
    return NULL;
}

static Status gather_main(Dataset *dataset)
{
    TRY(data_list(dataset->path, &dataset->list));
    int *kinds = xcalloc(MAX(dataset->list.n, 1), sizeof kinds[0]);
    Status status = find_main(dataset, kinds);
    free(kinds);
    return status;
}

/* ---- inputs with sources of their own ---------------------------------------------------------------------------- */

/* The path below the folder without its extension. */
static char *stem_of(Arena *arena, const char *folder, const char *path)
{
    size_t length = strlen(folder);
    if (strncmp(path, folder, length) == 0 && path[length] != '\0')
        path += length + strspn(path + length, "/");
    else
        path = path_base(path);
    const char *extension = path_extension(path);
    size_t n = strlen(path);
    return arena_strndup(arena, path, *extension == '\0' ? n : n - strlen(extension) - 1);
}

static Status gather_own(Dataset *dataset, int input, bool creates)
{
    Feed *feed = &dataset->feeds[input];
    FileList *list = &dataset->lists[input];
    TRY(data_list(feed->path, list));
    int *kinds = xcalloc(MAX(list->n, 1), sizeof kinds[0]);
    for (size_t i = 0; i < list->n; i++)
        kinds[i] = find_reader(list->paths[i]);
    int most = 0;
    Status status = majority(dataset, feed->path, kinds, list->n, true, &most);
    Map *stems = map_new(); /* stem -> index of its sample + 1 */
    for (size_t s = 0; status == NULL && s < dataset->n_samples && !creates; s++) {
        const Sample *sample = &dataset->samples[s];
        map_put(stems, sample->stem != NULL ? sample->stem : stem_of(dataset->arena, dataset->path, sample->name),
                (void *)(uintptr_t)(s + 1));
    }
    for (size_t i = 0; status == NULL && i < list->n; i++) {
        if (kinds[i] != most)
            continue;
        char *stem = stem_of(dataset->arena, feed->path, list->paths[i]);
        if (creates)
            add_sample(dataset, list->paths[i])->stem = stem;
        size_t at = creates ? dataset->n_samples : (size_t)(uintptr_t)map_get(stems, stem);
        if (at > 0)
            dataset->samples[at - 1].parts[input] = (Part){list->paths[i], readers[most], 0};
    }
    if (status == NULL && dataset->reader == NULL)
        dataset->reader = readers[most];
    map_free(stems);
    free(kinds);
    return status;
}

static Status gather_one(Dataset *dataset, int input)
{
    Feed *feed = &dataset->feeds[input];
    const Reader *reader = reader_of(feed->path);
    if (reader == NULL)
        return nothing_found(feed->path, 1);
    if (dataset->n_samples == 0)
        add_sample(dataset, feed->path);
    if (dataset->reader == NULL)
        dataset->reader = reader;
    for (size_t s = 0; s < dataset->n_samples; s++)
        dataset->samples[s].parts[input] = (Part){feed->path, reader, 0};
    return NULL;
}

/* DIR/ids and DIR/mask when the inputs are called so. */
static void find_named_folders(Dataset *dataset)
{
    if (dataset->n_main < 2 || dataset->path == NULL)
        return;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < dataset->n_inputs; i++) {
            Feed *feed = &dataset->feeds[i];
            if (feed->kind != FEED_MAIN)
                continue;
            const char *folder = arena_printf(dataset->arena, "%s/%s", dataset->path, dataset->inputs[i]->name);
            if (pass == 0 && !is_folder(folder))
                return;
            if (pass == 1) {
                *feed = (Feed){.kind = FEED_FOLDER, .path = folder, .shape = feed->shape};
                dataset->n_main--;
            }
        }
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static Status gather_random(Dataset *dataset)
{
    int64_t n = dataset->options.max_samples > 0 ? dataset->options.max_samples : 32;
    if (n > 1000000)
        return status_new(CODE_USAGE, "%lld random samples are too many", (long long)n);
    for (int64_t i = 0; i < n; i++)
        add_sample(dataset, arena_printf(dataset->arena, "random %lld", (long long)i));
    dataset->reader_name = DATASET_RANDOM;
    dataset_warn(dataset, "the calibration data is random numbers: ranges, and any accuracy measured on it, mean little");
    return NULL;
}

Status gather_samples(Dataset *dataset)
{
    for (int i = 0; i < dataset->n_inputs; i++)
        if (dataset->feeds[i].kind == FEED_RANDOM)
            return gather_random(dataset);
    find_named_folders(dataset);
    if (dataset->n_main > 0)
        TRY(gather_main(dataset));
    bool any = dataset->n_main > 0;
    for (int i = 0; i < dataset->n_inputs; i++) {
        if (dataset->feeds[i].kind != FEED_FOLDER && dataset->feeds[i].kind != FEED_FILE)
            continue;
        if (!is_folder(dataset->feeds[i].path))
            dataset->feeds[i].kind = FEED_FILE;
        if (dataset->feeds[i].kind == FEED_FOLDER) {
            TRY(gather_own(dataset, i, !any));
            any = true;
        }
    }
    for (int i = 0; i < dataset->n_inputs; i++) /* last, when it is known how many samples there are */
        if (dataset->feeds[i].kind == FEED_FILE)
            TRY(gather_one(dataset, i));
    if (dataset->n_samples == 0)
        return status_new(CODE_DATA, "no sample: every input is fed with zeros; give data for one of them");
    dataset->reader_name = dataset->reader->name;
    return NULL;
}
