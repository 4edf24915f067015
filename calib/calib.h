/* calib.h - from a folder of data to ranges: readers, preprocessing, collection.
 *
 *     folder ── dataset_open ──> Dataset ── dataset_load(i) ──> input tensors of sample i
 *                                                                └── exec ──> histograms ──> RangeTable
 *
 * dataset_load is thread-safe; memory does not grow with the number of samples.
 */
#ifndef QUANTIZE_CALIB_H
#define QUANTIZE_CALIB_H

#include "src/exec/exec.h"
#include "src/ir/ir.h"
#include "src/quant/quant.h"

/* ---- preprocess.c: pixels to tensors ----------------------------------------------------------------------------- */

typedef enum ResizeMode { RESIZE_STRETCH, RESIZE_CROP, RESIZE_PAD } ResizeMode;
typedef enum Interp { INTERP_NEAREST, INTERP_BILINEAR, INTERP_BICUBIC, INTERP_AREA } Interp;
typedef enum Color { COLOR_AUTO, COLOR_RGB, COLOR_BGR, COLOR_GRAY } Color;
typedef enum Layout { LAYOUT_AUTO, LAYOUT_NCHW, LAYOUT_NHWC } Layout;

/* value = (pixel * scale - mean[c]) / std[c]; pixel 0..255; c in the model's channel order. */
typedef struct Preprocess {
    int width, height;      /* of the model's input; 0 = from the model */
    ResizeMode resize;
    int resize_shorter;     /* RESIZE_CROP: shorter side before the centre crop; 0 = 256/224 of the crop's longer one */
    int pad_value;          /* RESIZE_PAD: 0..255 */
    Interp interp;          /* antialiased, as Pillow and torchvision do it */
    Color color;
    Layout layout;
    float scale, mean[4], std[4];
    int default_size;       /* width and height when neither the model nor the user gives them (presets); 0 = none */
} Preprocess;

typedef struct Preset {
    const char *name, *summary;
    Preprocess preprocess;
} Preset;

Preprocess preprocess_default(void);                 /* stretch, bilinear, scale 1/255, mean 0, std 1 */
const Preset *preset_find(const char *name);
size_t preset_count(void);
const Preset *preset_at(size_t i);
const char *const *preset_names(void); /* ended by NULL */
const char *resize_name(ResizeMode resize);
const char *interp_name(Interp interp);
const char *color_name(Color color);
const char *layout_name(Layout layout);
/* From JSON text {"size":[W,H],"resize":"stretch|crop|pad","shorter":256,"interp":"bilinear","color":"rgb","scale":..,
 * "mean":[..],"std":[..],"layout":"nchw","pad_value":114,"preset":"imagenet"}; unknown keys are errors (CODE_USAGE).
 * `source` names it in messages. */
MUST_USE Status preprocess_from_json(const char *json, const char *source, Preprocess *ret);
/* The same over what *p holds already: only the keys that are there change it. */
MUST_USE Status preprocess_update_json(const char *json, const char *source, Preprocess *p);

/* ---- image.c and image_*.c: decoding ----------------------------------------------------------------------------- */

/* 8-bit pixels, interleaved rows. */
typedef struct Image {
    int width, height, channels; /* channels 1 (gray) or 3 (RGB) */
    unsigned char *pixels;       /* memory_alloc'ed */
} Image;

/* JPEG, PNG, WebP, BMP, PNM by content. CODE_DATA with the reason; sizes are bounded before allocation. */
MUST_USE Status image_read(const char *path, Image *ret);
void image_release(Image *image);
/* Resizes to width x height with Pillow's antialiased kernels (fixed point, 8 bits a channel). */
MUST_USE Status image_resize(const Image *image, int width, int height, Interp interp, Image *ret);

/* ---- readers.def, dataset.c -------------------------------------------------------------------------------------- */

typedef struct Skipped {
    const char *file, *reason;
} Skipped;

typedef struct DatasetOptions {
    Preprocess preprocess;
    int64_t max_samples;   /* 0 = all; else that many, evenly spread over the sorted list */
    /* Reads a TensorProto: onnx_read_tensor, which this room may not name. NULL: .pb files are refused. */
    Status (*read_pb)(const char *path, Arena *arena, Tensor *ret, const char **ret_name);
} DatasetOptions;

typedef struct Dataset Dataset;
/* `inputs` are the model's inputs to feed (plan_input order). Recognises images (one image input), .npy, .pb; with
 * several inputs a sample is a folder that holds input_0.pb (or .npy), input_1.pb ... (ONNX's test_data_set_N).
 * output_K.pb beside input_0.pb is left out. A folder that mixes kinds: the majority, and the warning says so.
 * CODE_DATA when nothing is readable, CODE_USAGE when an option does not fit the model's input. The values must outlive
 * the dataset. */
MUST_USE Status dataset_open(const char *path, const Value *const *inputs, int n_inputs, const DatasetOptions *options,
                             Dataset **ret);
void dataset_free(Dataset *dataset); /* NULL is fine */
int64_t dataset_count(const Dataset *dataset);
const char *dataset_file(const Dataset *dataset, int64_t i);     /* path of sample i */
const char *dataset_reader(const Dataset *dataset);              /* "image", "npy", "pb" */
/* What was assumed, one line: "RGB 224x224 NCHW float, shorter side 256 and centre crop, bilinear; ...". */
const char *dataset_describe(const Dataset *dataset);
const char *dataset_warning(const Dataset *dataset);             /* NULL when none */
const Preprocess *dataset_preprocess(const Dataset *dataset);    /* as resolved against the model's input */
/* Tensors of sample i, one for each input, owned by the caller (tensor_release). CODE_DATA: an unreadable file, to be
 * skipped. Thread-safe. */
MUST_USE Status dataset_load(const Dataset *dataset, int64_t i, Tensor *ret);

/* labels.c: `file index` lines; class index by base name (or relative path) of a file. */
typedef struct Labels Labels;
MUST_USE Status labels_read(const char *path, Labels **ret);
void labels_free(Labels *labels);
int64_t labels_get(const Labels *labels, const char *file); /* -1 when absent */
size_t labels_count(const Labels *labels);

/* npy.c */
/* Numbers and bool in any byte order, C or Fortran order; owned. CODE_DATA else. */
MUST_USE Status npy_read(const char *path, Tensor *ret);
MUST_USE Status npy_write(const char *path, const Tensor *tensor); /* atomically */

/* ---- collect.c: runs the model over the data and watches --------------------------------------------------------- */

typedef struct Progress {
    void (*step)(void *context, int64_t done, int64_t total); /* called from any thread, one at a time */
    void *context;
} Progress;

typedef struct CollectResult {
    RangeTable *ranges;
    int64_t samples;         /* that were run */
    Skipped *skipped;        /* in order of the files */
    size_t n_skipped;
    Arena *arena;            /* owns the texts of skipped */
} CollectResult;

/* Ranges of every float value the plan completes (inputs too), in order of value ids. Samples are split over the team;
 * the result does not depend on it. Unreadable samples are skipped; CODE_DATA when none could be read. */
MUST_USE Status collect_ranges(const Plan *plan, const Dataset *dataset, RangeMethod method, Team *team,
                               const Progress *progress, CollectResult *ret);
void collect_release(CollectResult *result);

#endif
