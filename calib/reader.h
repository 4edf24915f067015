/* reader.h - inside calib/: what dataset.c and the readers share. One row of readers.def and one file a reader.
 *
 *     Dataset ── samples ── parts (one an input) ── Reader.read ──> the tensor of that input
 */
#ifndef QUANTIZE_CALIB_READER_H
#define QUANTIZE_CALIB_READER_H

#include "calib/calib.h"
#include "calib/preprocess.h"

#define READER_HEAD 64 /* bytes of a file that `claims` is shown */

typedef struct Reader {
    const char *name;              /* "image" */
    const char *what;              /* "an image", for messages */
    const char *const *extensions; /* without the dot, lower case, ended by NULL: for files that no head claims */
    bool (*claims)(const unsigned char *head, size_t n); /* by the first bytes; NULL when the format has no mark */
    /* Once, when the dataset is opened: checks the inputs, fills dataset->description. */
    Status (*prepare)(Dataset *dataset);
    /* The tensor of input `input` from one file; owned. Thread-safe. */
    Status (*read)(const Dataset *dataset, const char *path, int input, Tensor *ret);
} Reader;

typedef struct Part {
    const char *path;     /* NULL: the sample lacks it */
    const Reader *reader;
} Part;

typedef struct Sample {
    const char *name; /* the file, or the folder of several inputs */
    Part *parts;      /* (n_inputs,) */
} Sample;

struct Dataset {
    Arena *arena;
    DatasetOptions options;
    const char *path;
    const Value **inputs;
    int n_inputs;
    FileList list;
    Sample *samples;
    size_t n_samples, cap_samples;
    const Reader *reader;
    char *description;
    char *warning;      /* NULL when none */
    PixelPlan *pixels;  /* of images */
};

/* reader_tensor.c: makes a tensor that was read fit its input: double becomes float, a missing batch axis is added;
 * dtype and shape must agree otherwise. CODE_DATA names expected and given. The tensor is released on failure. */
MUST_USE Status tensor_fit(const Value *input, Tensor *tensor);
/* dataset->description of a dataset of tensors. */
void describe_tensors(Dataset *dataset);

/* list.c: the files of a folder (recursively, sorted), one file, or the files that a .txt or .lst names, in its order. */
MUST_USE Status data_list(const char *path, FileList *ret);

#endif
