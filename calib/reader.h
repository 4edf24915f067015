/* reader.h - inside calib/: what dataset.c and the readers share. One row of readers.def and one file a reader.
 *
 *     Dataset ── samples ── parts (one an input) ── Reader.read ──> the tensor of that input
 */
#ifndef QUANTIZE_CALIB_READER_H
#define QUANTIZE_CALIB_READER_H

#include "calib/audio.h"
#include "calib/calib.h"
#include "calib/preprocess.h"

#define READER_HEAD 64 /* bytes of a file that `claims` is shown */

typedef struct Part {
    const char *path;               /* NULL: the sample lacks it */
    const struct Reader *reader;
    int64_t window;                 /* of a recording; 0 for all else */
} Part;

typedef struct Reader {
    const char *name;              /* "image" */
    const char *what;              /* "an image", for messages */
    const char *const *extensions; /* without the dot, lower case, ended by NULL: for files that no head claims */
    bool (*claims)(const unsigned char *head, size_t n); /* by the first bytes; NULL when the format has no mark */
    /* Once for each input it feeds, when the dataset is opened: checks the input, adds to dataset->description. */
    Status (*prepare)(Dataset *dataset, int input);
    /* The tensor of input `input` from one file; owned. Thread-safe. */
    Status (*read)(const Dataset *dataset, const Part *part, int input, Tensor *ret);
    /* How many samples a file holds; NULL: one. After prepare. A file it cannot read holds one, which says why. */
    int64_t (*windows)(const Dataset *dataset, const char *path, int input);
} Reader;

typedef struct Sample {
    const char *name; /* the file, or the folder of several inputs */
    const char *stem; /* that other folders match it by, when it is not that of the name */
    Part *parts;      /* (n_inputs,) */
    int64_t number;   /* among those of all shards */
    bool kept;        /* belongs to the shard */
} Sample;

/* Where an input's tensors come from. */
typedef enum FeedKind {
    FEED_MAIN,   /* the folder of all */
    FEED_FOLDER, /* a folder of its own, matched by stems */
    FEED_FILE,   /* one file for every sample */
    FEED_ZERO,
    FEED_RANDOM
} FeedKind;

typedef struct Feed {
    FeedKind kind;
    const char *path;      /* of FOLDER and FILE; of ZERO the output that goes on, or NULL */
    const Reader *reader;  /* that was prepared, or NULL */
    PixelPlan *pixels;     /* of images */
    AudioPlan *audio;      /* of recordings */
    const InputShape *shape; /* given by the user, or NULL */
    const IntegerHints *integers; /* of RANDOM, or NULL */
} Feed;

struct Dataset {
    Arena *arena;
    DatasetOptions options;
    const char *path;   /* NULL: every input has a source of its own */
    const Value **inputs;
    Feed *feeds;        /* (n_inputs,) */
    int n_inputs, n_main;
    FileList list;      /* of the folder of all */
    FileList *lists;    /* (n_inputs,) of folders of their own */
    Sample *samples;
    size_t n_samples, cap_samples;
    int64_t total;      /* of all shards */
    char hash[65];
    const Reader *reader;
    const char *reader_name;
    struct Tapes *tapes;   /* recordings that are open, and what is known of them */
    Preprocess preprocess; /* as resolved for the input that pictures feed */
    char *description;
    char *warning;      /* NULL when none */
};

/* ---- gather.c: which files make which sample --------------------------------------------------------------------- */

MUST_USE Status gather_samples(Dataset *dataset);
#define READER(name) extern const Reader reader_##name;
#include "calib/readers.def"
#undef READER

/* The reader of one file, NULL when none knows it. */
const Reader *reader_of(const char *path);

/* ---- synthesize.c: inputs that no file feeds --------------------------------------------------------------------- */

/* Sizes of the input: known ones, what the user gave, 1 for the rest. CODE_USAGE when what was given does not fit. */
MUST_USE Status feed_shape(const Dataset *dataset, int input, int *ret_rank, int64_t dims[TENSOR_MAX_RANK]);
/* The input with the sizes that the user gave for it, for readers that make a sample to measure. */
MUST_USE Status feed_input(const Dataset *dataset, int input, Value *ret);
MUST_USE Status feed_zeros(const Dataset *dataset, int input, Tensor *ret);
/* Normal numbers for float inputs, for integers what Feed.integers allows, from the seed, the sample and the input alone. */
MUST_USE Status feed_random(const Dataset *dataset, int input, int64_t number, Tensor *ret);

/* ---- reader_tensor.c --------------------------------------------------------------------------------------------- */

/* Makes a tensor that was read fit its input: double becomes float, integers change their width where every value fits,
 * a missing batch axis is added; dtype and shape must agree otherwise. CODE_DATA names expected and given. The tensor is
 * released on failure. */
MUST_USE Status tensor_fit(const Value *input, Tensor *tensor);
/* Adds "tensors as stored in .npy files" to the description, once. */
void describe_tensors(Dataset *dataset, const Reader *reader);
/* Adds a part to the description. */
void describe_add(Dataset *dataset, const char *text);
void dataset_warn(Dataset *dataset, const char *text);

/* ---- zip.c: members of a .npz ------------------------------------------------------------------------------------ */

typedef struct ZipMember {
    char *name;              /* xstrdup'ed */
    unsigned char *bytes;    /* memory_alloc'ed */
    size_t size;
} ZipMember;
/* The member `name`, or with name NULL the only one. Stored and deflated; sizes are bounded by what deflate can do, checked
 * against the checksum. CODE_DATA. */
MUST_USE Status zip_read(const unsigned char *data, size_t size, const char *name, ZipMember *ret);
void zip_release(ZipMember *member);

/* ---- list.c: the files of a folder (recursively, sorted), one file, or the files that a .txt or .lst names, in its
 * order ------------------------------------------------------------------------------------------------------------ */

MUST_USE Status data_list(const char *path, FileList *ret);

#endif
