/* dataset.c - samples, whatever they are made of: opened, drawn, split into shards, loaded.
 *
 *     gather.c: files -> samples ─ readers prepare ─ recordings cut into windows ─ --samples ─ --shard ─> Dataset
 */
#include "calib/reader.h"
#include "calib/tape.h"

#include <stdlib.h>
#include <string.h>

#define WINDOWS_MAX 10000000 /* samples that recordings may be cut into */

void describe_add(Dataset *dataset, const char *text)
{
    dataset->description = dataset->description == NULL
                               ? arena_strdup(dataset->arena, text)
                               : arena_printf(dataset->arena, "%s; %s", dataset->description, text);
}

void dataset_warn(Dataset *dataset, const char *text)
{
    dataset->warning = dataset->warning == NULL ? arena_strdup(dataset->arena, text)
                                                : arena_printf(dataset->arena, "%s; %s", dataset->warning, text);
}

/* ---- which input comes from where -------------------------------------------------------------------------------- */

/* Index of the input; CODE_USAGE with the nearest name. */
static Status find_input(const Dataset *dataset, const char *name, int *ret)
{
    const char **names = xcalloc((size_t)dataset->n_inputs + 1, sizeof names[0]);
    int found = -1;
    for (int i = 0; i < dataset->n_inputs; i++) {
        names[i] = dataset->inputs[i]->name;
        if (strcmp(names[i], name) == 0)
            found = i;
    }
    const char *nearest = found < 0 ? text_nearest(name, names) : NULL;
    if (found < 0 && nearest == NULL && dataset->n_inputs > 0)
        nearest = names[0];
    free(names);
    if (found < 0)
        return status_new(CODE_USAGE, "the model has no input '%s'; one of its inputs is '%s'", name,
                          nearest == NULL ? "" : nearest);
    *ret = found;
    return NULL;
}

static Status plan_feeds(Dataset *dataset)
{
    const DatasetOptions *options = &dataset->options;
    int i;
    for (int k = 0; k < options->n_sources; k++) {
        TRY(find_input(dataset, options->sources[k].input, &i));
        if (dataset->feeds[i].kind != FEED_MAIN)
            return status_new(CODE_USAGE, "input '%s' is given data twice", options->sources[k].input);
        dataset->feeds[i] =
            (Feed){.kind = FEED_FOLDER, .path = arena_strdup(dataset->arena, options->sources[k].path)};
    }
    for (int k = 0; k < options->n_shapes; k++) {
        TRY(find_input(dataset, options->shapes[k].input, &i));
        InputShape *shape = arena_copy(dataset->arena, &options->shapes[k], sizeof options->shapes[k]);
        shape->input = dataset->inputs[i]->name;
        dataset->feeds[i].shape = shape;
        int rank;
        int64_t dims[TENSOR_MAX_RANK];
        TRY(feed_shape(dataset, i, &rank, dims));
    }
    for (int k = 0; k < options->n_randoms; k++) {
        TRY(find_input(dataset, options->randoms[k].input, &i));
        dataset->feeds[i].integers =
            arena_copy(dataset->arena, &options->randoms[k].integers, sizeof options->randoms[k].integers);
    }
    for (int k = 0; k < options->n_states; k++) {
        TRY(find_input(dataset, options->states[k].input, &i));
        if (dataset->feeds[i].kind != FEED_MAIN)
            return status_new(CODE_USAGE, "input '%s' is given data twice", options->states[k].input);
        const char *output = options->states[k].output;
        dataset->feeds[i] = (Feed){.kind = FEED_ZERO, .shape = dataset->feeds[i].shape,
                                   .path = output == NULL ? NULL : arena_strdup(dataset->arena, output)};
    }
    bool random = dataset->path != NULL && strcmp(dataset->path, DATASET_RANDOM) == 0;
    for (i = 0; i < dataset->n_inputs; i++) {
        if (dataset->feeds[i].kind != FEED_MAIN)
            continue;
        if (dataset->path == NULL)
            return status_new(CODE_USAGE, "input '%s' has no data; give a folder for it", dataset->inputs[i]->name);
        if (random)
            dataset->feeds[i].kind = FEED_RANDOM;
        else
            dataset->n_main++;
    }
    return NULL;
}

/* ---- samples of samples ------------------------------------------------------------------------------------------ */

/* Each reader looks at each input it feeds once. Inputs of one sample may come by different readers: the first that
 * there is counts. */
static Status prepare_readers(Dataset *dataset)
{
    for (int i = 0; i < dataset->n_inputs; i++) {
        Feed *feed = &dataset->feeds[i];
        for (size_t s = 0; s < dataset->n_samples && feed->reader == NULL; s++)
            feed->reader = dataset->samples[s].parts[i].reader;
        if (feed->reader != NULL && feed->reader->prepare != NULL)
            TRY(feed->reader->prepare(dataset, i));
        else if (feed->kind == FEED_ZERO)
            describe_add(dataset, feed->path == NULL
                                      ? arena_printf(dataset->arena, "zeros for '%s'", dataset->inputs[i]->name)
                                      : arena_printf(dataset->arena, "'%s' zeros at first, then '%s' of the sample before",
                                                     dataset->inputs[i]->name, feed->path));
    }
    return NULL;
}

/* A recording of three windows becomes three samples: "a.wav", "a.wav#2", "a.wav#3". */
static Status cut_windows(Dataset *dataset)
{
    int cut = -1;
    for (int i = 0; i < dataset->n_inputs && cut < 0; i++)
        if (dataset->feeds[i].reader != NULL && dataset->feeds[i].reader->windows != NULL)
            cut = i;
    if (cut < 0)
        return NULL;
    Sample *whole = dataset->samples;
    size_t n_whole = dataset->n_samples;
    dataset->samples = NULL;
    dataset->n_samples = dataset->cap_samples = 0;
    Status status = NULL;
    for (size_t s = 0; s < n_whole && status == NULL; s++) {
        const Part *part = &whole[s].parts[cut];
        int64_t windows = part->path == NULL || part->reader->windows == NULL
                              ? 1 : MAX(part->reader->windows(dataset, part->path, cut), (int64_t)1);
        if ((int64_t)dataset->n_samples + windows > WINDOWS_MAX)
            status = status_new(CODE_DATA, "%s: %lld windows are too many; give a larger --hop", part->path,
                                (long long)windows);
        for (int64_t w = 0; w < windows && status == NULL; w++) {
            dataset->samples =
                array_reserve(dataset->samples, &dataset->cap_samples, dataset->n_samples + 1, sizeof(Sample));
            Sample *sample = &dataset->samples[dataset->n_samples++];
            *sample = whole[s];
            if (w == 0)
                continue;
            sample->name = arena_printf(dataset->arena, "%s#%lld", whole[s].name, (long long)w + 1);
            sample->parts = arena_copy(dataset->arena, whole[s].parts, (size_t)dataset->n_inputs * sizeof(Part));
            for (int i = 0; i < dataset->n_inputs; i++)
                if (sample->parts[i].reader != NULL && sample->parts[i].reader->windows != NULL)
                    sample->parts[i].window = w;
        }
    }
    free(whole);
    return status;
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Takes `most` of so many in their order: evenly spread, number i of n' is i * n / n'; or drawn, each set alike (Knuth's
 * selection sampling). */
typedef struct Draw {
    uint64_t of, most, seen, taken, state;
    bool random;
} Draw;

static bool draw_next(Draw *draw)
{
    uint64_t i = draw->seen++;
    if (draw->taken >= draw->most)
        return false;
    bool take = draw->random ? next_random(&draw->state) % (draw->of - i) < draw->most - draw->taken
                             : i == draw->taken * draw->of / draw->most;
    draw->taken += take;
    return take;
}

/* Whether a recording starts with sample i, where states go from sample to sample; else every sample stands alone. */
static bool starts_run(const Dataset *dataset, int64_t i)
{
    return !dataset->options.in_order || !dataset_continues(dataset, i);
}

/* With states from sample to sample what is drawn are recordings, each from its first window on. */
static void thin_out(Dataset *dataset)
{
    uint64_t most = dataset->options.max_samples > 0 ? (uint64_t)dataset->options.max_samples : UINT64_MAX;
    uint64_t n = dataset->n_samples, kept = 0, runs = 0;
    if (most >= n)
        return;
    bool *starts = xcalloc(n, sizeof starts[0]); /* of a run: told before samples move */
    for (uint64_t i = 0; i < n; i++) {
        starts[i] = starts_run(dataset, (int64_t)i);
        runs += starts[i];
    }
    uint64_t wanted = MAX((most * runs + n - 1) / n, (uint64_t)1);
    Draw draw = {.of = runs, .most = wanted, .state = (uint64_t)dataset->options.seed, .random = dataset->options.draw};
    bool take = false;
    for (uint64_t i = 0; i < n && kept < most; i++) {
        take = starts[i] ? draw_next(&draw) : take;
        if (take)
            dataset->samples[kept++] = dataset->samples[i];
    }
    free(starts);
    dataset->n_samples = kept;
}

static Status take_shard(Dataset *dataset)
{
    dataset->total = (int64_t)dataset->n_samples;
    Sha256 sha;
    sha256_init(&sha);
    for (size_t i = 0; i < dataset->n_samples; i++) {
        const char *name = dataset->samples[i].name;
        sha256_add(&sha, name, strlen(name) + 1);
        dataset->samples[i].number = (int64_t)i;
    }
    sha256_hex(&sha, dataset->hash);
    int64_t shard = dataset->options.shard, shards = dataset->options.shards;
    if (shards <= 0)
        return NULL;
    int64_t run = -1;
    size_t kept = 0;
    for (int64_t i = 0; i < dataset->total; i++) {
        run += starts_run(dataset, i);
        dataset->samples[i].kept = run % shards == shard - 1;
    }
    for (int64_t i = 0; i < dataset->total; i++)
        if (dataset->samples[i].kept)
            dataset->samples[kept++] = dataset->samples[i];
    dataset->n_samples = kept;
    if (kept == 0)
        return status_new(CODE_DATA, "shard %lld of %lld holds no sample: there are %lld%s", (long long)shard,
                          (long long)shards, (long long)run + 1, dataset->options.in_order ? " recordings" : "");
    return NULL;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* With the sizes that stand for open ones. */
static void describe_random(Dataset *dataset)
{
    describe_add(dataset, "random numbers: normal with deviation 1, integers as the graph bounds them");
    for (int i = 0; i < dataset->n_inputs; i++) {
        const InputShape *given = dataset->feeds[i].shape;
        if (given == NULL || shape_is_known(&dataset->inputs[i]->type.shape))
            continue;
        Shape shape = {.rank = given->rank};
        for (int d = 0; d < given->rank; d++)
            shape.dims[d] = dim_known(given->dims[d]);
        describe_add(dataset, arena_printf(dataset->arena, "'%s' %s", dataset->inputs[i]->name,
                                           shape_text(dataset->arena, &shape)));
    }
}

static Status open_dataset(Dataset *dataset)
{
    if (dataset->n_inputs < 1)
        return status_new(CODE_DATA, "the model has no input that data could feed");
    TRY(plan_feeds(dataset));
    TRY(gather_samples(dataset));
    const char *path = dataset->path == NULL ? dataset->samples[0].name : dataset->path;
    TRY(status_prefix(prepare_readers(dataset), "%s", path));
    if (dataset->options.preprocess.audio.given && strcmp(dataset->reader_name, "audio") != 0)
        dataset_warn(dataset, arena_printf(dataset->arena, "audio options have no effect: the data is read as %s",
                                           dataset->reader_name));
    if (dataset->description == NULL)
        describe_random(dataset);
    TRY(cut_windows(dataset));
    thin_out(dataset);
    return take_shard(dataset);
}

/* Name and type of an input in a lifetime of its own: the main job lets go of the float model before it measures. */
static const Value *copy_input(Arena *arena, const Value *input)
{
    Value *copy = arena_alloc(arena, sizeof *copy);
    copy->name = arena_strdup(arena, input->name);
    copy->type = input->type;
    copy->type.element = NULL; /* of sequences, which no reader feeds */
    for (int d = 0; d < copy->type.shape.rank; d++) {
        Dim *dim = &copy->type.shape.dims[d];
        dim->name = dim->name == NULL ? NULL : arena_strdup(arena, dim->name);
    }
    return copy;
}

Status dataset_open(const char *path, const Value *const *inputs, int n_inputs, const DatasetOptions *options,
                    Dataset **ret)
{
    Dataset *dataset = xcalloc(1, sizeof *dataset);
    dataset->arena = arena_new();
    dataset->options = *options;
    dataset->preprocess = options->preprocess;
    dataset->tapes = tapes_new();
    dataset->path = path == NULL ? NULL : arena_strdup(dataset->arena, path);
    dataset->inputs = arena_array(dataset->arena, (size_t)MAX(n_inputs, 1), sizeof dataset->inputs[0]);
    dataset->feeds = arena_array(dataset->arena, (size_t)MAX(n_inputs, 1), sizeof dataset->feeds[0]);
    dataset->lists = arena_array(dataset->arena, (size_t)MAX(n_inputs, 1), sizeof dataset->lists[0]);
    for (int i = 0; i < n_inputs; i++)
        dataset->inputs[i] = copy_input(dataset->arena, inputs[i]);
    dataset->n_inputs = n_inputs;
    Status status = open_dataset(dataset);
    dataset->options.sources = NULL; /* the caller's; used up */
    dataset->options.shapes = NULL;
    dataset->options.states = NULL;
    dataset->options.randoms = NULL;
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
    for (int i = 0; i < dataset->n_inputs; i++) {
        file_list_free(&dataset->lists[i]);
        audio_plan_free(dataset->feeds[i].audio);
    }
    tapes_free(dataset->tapes);
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

int64_t dataset_total(const Dataset *dataset)
{
    return dataset->total;
}

const char *dataset_file(const Dataset *dataset, int64_t i)
{
    return dataset->samples[i].name;
}

const char *dataset_path(const Dataset *dataset, int64_t i)
{
    for (int k = 0; k < dataset->n_inputs; k++)
        if (dataset->samples[i].parts[k].path != NULL)
            return dataset->samples[i].parts[k].path;
    return NULL;
}

int64_t dataset_number(const Dataset *dataset, int64_t i)
{
    return dataset->samples[i].number;
}

bool dataset_continues(const Dataset *dataset, int64_t i)
{
    if (i == 0)
        return false;
    for (int k = 0; k < dataset->n_inputs; k++) {
        const Part *part = &dataset->samples[i].parts[k], *last = &dataset->samples[i - 1].parts[k];
        if (part->reader != NULL && part->reader->windows != NULL)
            return last->path == part->path && last->window + 1 == part->window;
    }
    return true;
}

void dataset_hash(const Dataset *dataset, char ret_hex[65])
{
    memcpy(ret_hex, dataset->hash, sizeof dataset->hash);
}

const char *dataset_reader(const Dataset *dataset)
{
    return dataset->reader_name;
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
    return &dataset->preprocess;
}

static Status load_input(const Dataset *dataset, const Sample *sample, int input, Tensor *ret)
{
    const Feed *feed = &dataset->feeds[input];
    const Part *part = &sample->parts[input];
    if (feed->kind == FEED_ZERO)
        return feed_zeros(dataset, input, ret);
    if (feed->kind == FEED_RANDOM)
        return feed_random(dataset, input, sample->number, ret);
    if (part->path != NULL)
        return part->reader->read(dataset, part, input, ret);
    if (feed->kind == FEED_FOLDER)
        return status_new(CODE_DATA, "%s: %s has no file of that stem for input '%s'", sample->name, feed->path,
                          dataset->inputs[input]->name);
    return status_new(CODE_DATA, "%s: input_%d is missing (input '%s')", sample->name, input,
                      dataset->inputs[input]->name);
}

Status dataset_load(const Dataset *dataset, int64_t i, Tensor *ret)
{
    Tensor *tensors = xcalloc((size_t)dataset->n_inputs, sizeof tensors[0]);
    Status status = NULL;
    int n = 0;
    for (; n < dataset->n_inputs && status == NULL; n++)
        status = load_input(dataset, &dataset->samples[i], n, &tensors[n]);
    if (status == NULL)
        memcpy(ret, tensors, (size_t)dataset->n_inputs * sizeof tensors[0]);
    else
        for (int k = 0; k < n; k++)
            tensor_release(&tensors[k]); /* zeroed where nothing was read */
    free(tensors);
    return status;
}
