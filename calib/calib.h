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
#include "src/image/image.h"
#include "src/ir/ir.h"
#include "src/quant/quant.h"

/* ---- preprocess.c: pixels to tensors ----------------------------------------------------------------------------- */

typedef enum ResizeMode { RESIZE_STRETCH, RESIZE_CROP, RESIZE_PAD } ResizeMode;
typedef enum Color { COLOR_AUTO, COLOR_RGB, COLOR_BGR, COLOR_GRAY } Color;
typedef enum Layout { LAYOUT_AUTO, LAYOUT_NCHW, LAYOUT_NHWC } Layout;

/* audio_options.c: how recordings become tensors; names of parameters as librosa and torchaudio have them. */
typedef enum FeatureKind { FEATURE_RAW, FEATURE_STFT, FEATURE_MEL, FEATURE_LOGMEL, FEATURE_MFCC } FeatureKind;
typedef enum FeatureLog { FEATURE_LINEAR, FEATURE_LN, FEATURE_LOG10, FEATURE_DB, FEATURE_PCEN } FeatureLog;
typedef enum WindowShape { WINDOW_HANN, WINDOW_HAMMING, WINDOW_BLACKMAN, WINDOW_BOX, WINDOW_SQRT_HANN } WindowShape;
typedef enum SpectrumNorm { SPECTRUM_PLAIN, SPECTRUM_BY_WINDOW, SPECTRUM_BY_LENGTH } SpectrumNorm;
typedef enum AudioRest { REST_AUTO, REST_PAD, REST_SKIP } AudioRest;

typedef struct AudioOptions {
    bool given;             /* anything of it was set: sounds are expected */
    int sample_rate;        /* Hz the model wants; 0: 16000, said to be assumed */
    int channel;            /* 0 = the mean of all, else 1-based */
    double window, hop;     /* seconds; 0 = from the model's time axis or the whole recording; hop 0 = window */
    AudioRest rest;         /* what is left of a recording behind the last whole window; auto: padded when it is all there is */
    bool has_features;      /* kind was chosen */
    FeatureKind kind;
    int n_fft, win_length, hop_length, n_mels, n_mfcc; /* win_length 0 = n_fft, hop_length 0 = win_length / 4 */
    double fmin, fmax;      /* Hz; fmax 0 = half the rate */
    bool htk, slaney_norm, center, reflect, periodic;
    bool drop_last;         /* the last frame is left out (Whisper) */
    WindowShape shape;
    SpectrumNorm normalized; /* the spectrum divided by the root of the window's energy, or of n_fft */
    double power;           /* 1 magnitude, 2 power, 0 real and imaginary parts */
    double scale;           /* of the samples, which are -1..1 */
    FeatureLog log;
    double amin, offset;    /* log(max(x, amin) + offset) */
    double top_db;          /* 0 = no floor; else values below the greatest - top_db are raised to it */
    double ref;             /* of dB; 0 = the greatest of the sample */
    double mean, std;       /* (x - mean) / std */
    bool normalize;         /* mean 0 and deviation 1 over each sample, before mean and std */
    double gain, bias, pcen_power, time_constant, eps; /* PCEN */
    char layout[8];         /* axes behind the batch: t time, m feature, c real and imaginary, 1; "" = from the model */
} AudioOptions;

AudioOptions audio_default(void);
/* "logmel:n_fft=512,hop_length=160,n_mels=64": over what *options holds. CODE_USAGE names the key. */
MUST_USE Status audio_update_features(const char *spec, AudioOptions *options);
/* One key of it, for JSON objects: numbers as text. */
MUST_USE Status audio_update_key(const char *key, const char *value, AudioOptions *options);

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
    AudioOptions audio;     /* of recordings */
    int default_size;       /* width and height when neither the model nor the user gives them (presets); 0 = none */
} Preprocess;

typedef struct Preset {
    const char *name, *summary;
    Preprocess preprocess; /* of pictures */
    int sample_rate;       /* of recordings: more than 0, and what follows counts in place of preprocess */
    double window;         /* seconds; 0 = from the model or the whole recording */
    const char *features;  /* as --features takes them */
} Preset;

Preprocess preprocess_default(void);                 /* stretch, bilinear, scale 1/255, mean 0, std 1 */
const Preset *preset_find(const char *name);
/* Sets what the preset is about, pictures or recordings; the other stays. CODE_USAGE with the nearest name. */
MUST_USE Status preset_apply(const char *name, Preprocess *p);
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

/* ---- readers.def, dataset.c -------------------------------------------------------------------------------------- */

typedef struct Skipped {
    const char *file, *reason;
    int64_t number; /* of the sample in the data */
} Skipped;

/* Where one input comes from when not from the folder of all: a folder whose files go with the others by their stems, or
 * one file for every sample. */
typedef struct InputSource {
    const char *input, *path;
} InputSource;

/* Sizes for an input with dynamic axes (raw .bin, random data, zeros). */
typedef struct InputShape {
    const char *input;
    int rank;
    int64_t dims[TENSOR_MAX_RANK];
} InputShape;

/* Integers that an input may take where nobody gave any, as the graph tells (src/app/draw.c). */
typedef struct IntegerHints {
    int64_t below;       /* values are 0 or more and below it; INT64_MAX: not known */
    int64_t choices[16]; /* constants that it is compared with */
    int n_choices;
    int attempt;         /* there are several ways to draw where little is known; the next one when the graph refused this */
    int64_t size;        /* that unknown dims have: a length given as an input */
} IntegerHints;

/* synthesize.c. The number for x in [0, 1): the choices one after the other for a single number, mixed into many; else below
 * `below`; not known: 0 to 3, all 1, or the size. */
int64_t integer_drawn(const IntegerHints *hints, bool single, double x);

/* Numbers for one input where the data is DATASET_RANDOM. */
typedef struct RandomInput {
    const char *input;
    IntegerHints integers;
} RandomInput;

/* An input that no file feeds: zeros, and with an output what that gave for the sample before. */
typedef struct StateInput {
    const char *input, *output; /* output NULL: zeros for every sample */
} StateInput;

typedef struct DatasetOptions {
    Preprocess preprocess;
    int64_t max_samples;   /* 0 = all; else that many, evenly spread over the sorted list */
    bool draw;             /* drawn at random from `seed` instead of evenly spread */
    int64_t seed;
    bool in_order;         /* states go from sample to sample: whole recordings are kept, not single windows */
    int64_t shard, shards; /* 0 or 1-based: sample k of all (in_order: recording k) belongs to shard k % shards + 1 */
    const InputSource *sources;
    int n_sources;
    const InputShape *shapes;
    int n_shapes;
    const StateInput *states;
    int n_states;
    const RandomInput *randoms; /* inputs that it does not name: integers 0 to 9 */
    int n_randoms;
    /* Reads a TensorProto: onnx_read_tensor, which this room may not name. NULL: .pb files are refused. */
    Status (*read_pb)(const char *path, Arena *arena, Tensor *ret, const char **ret_name);
} DatasetOptions;

#define DATASET_RANDOM "random" /* a path that stands for random numbers, unless there is such a folder */

typedef struct Dataset Dataset;
/* `inputs` are the model's inputs to feed (plan_input order). Recognises images, audio, .npy, .npz, .pb and raw .bin.
 * Several inputs: a sample is an .npz with arrays of their names; or a folder with input_0.pb (or .npy), input_1.pb ...
 * (ONNX's test_data_set_N, output_K.pb beside it left out); or files of equal stems in folders named as the inputs, or
 * given one by one (options). A folder that mixes kinds: the majority, and the warning says so.
 * path may be NULL when every input has a source of its own. CODE_DATA when nothing is readable, CODE_USAGE when an option
 * does not fit the model's input. The values are copied. */
MUST_USE Status dataset_open(const char *path, const Value *const *inputs, int n_inputs, const DatasetOptions *options,
                             Dataset **ret);
void dataset_free(Dataset *dataset); /* NULL is fine */
int64_t dataset_count(const Dataset *dataset);
int64_t dataset_total(const Dataset *dataset);                   /* of all shards */
const char *dataset_file(const Dataset *dataset, int64_t i);     /* name of sample i: its path, "path#2" for a window */
const char *dataset_path(const Dataset *dataset, int64_t i);     /* a file to name in a Makefile; NULL: none */
int64_t dataset_number(const Dataset *dataset, int64_t i);       /* of sample i among those of all shards */
bool dataset_continues(const Dataset *dataset, int64_t i);       /* it follows sample i - 1 in time */
void dataset_hash(const Dataset *dataset, char ret_hex[65]);     /* of the names of all samples, all shards */
const char *dataset_reader(const Dataset *dataset);              /* "image", "audio", "npy", "npz", "pb", "bin", "random" */
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
MUST_USE Status npy_parse(const unsigned char *data, size_t size, const char *name, Tensor *ret); /* from memory */
MUST_USE Status npy_write(const char *path, const Tensor *tensor); /* atomically */

/* ---- collect.c: runs the model over the data and watches --------------------------------------------------------- */

typedef struct Progress {
    void (*step)(void *context, int64_t done, int64_t total); /* called from any thread, one at a time */
    void *context;
} Progress;

/* What one value showed. */
typedef struct Sight {
    const char *name;
    uint32_t order;        /* rows stand by it: the value's id */
    const char *node;      /* that makes it, in words; "" for an input */
    Histogram *histogram;
    int64_t bad_sample;    /* the first with NaN or infinities in it, by its number in the data; -1: none */
    const char *bad_file;  /* of that sample, or NULL */
} Sight;

/* What calibration saw, before ranges are chosen. Joins exactly: the order and the split of the samples never show. */
typedef struct Sights {
    Arena *arena; /* owns the texts */
    Sight *rows;  /* in order of value ids */
    size_t n, cap;
    int64_t samples;       /* that were run */
    int64_t offered;       /* and that the data has */
    Skipped *skipped;      /* in order of the data */
    size_t n_skipped, cap_skipped;
} Sights;

/* An input that takes what an output gave for the sample before; both by their place in the plan. Samples of such a
 * model are run in order. */
typedef struct StateLink {
    int input, output;
} StateLink;

/* states.c: what such inputs are fed, one model's run after run. */
typedef struct States States;
States *states_new(const StateLink *links, int n_links, int n_inputs); /* the links must outlive it */
void states_free(States *states); /* NULL is fine */
/* `inputs` with the states in place of the zeros that the dataset gave, where the sample goes on from the one before
 * (dataset_continues). A view, good until the next call of either function. */
const Tensor *states_feed(States *states, bool goes_on, const Tensor *inputs);
MUST_USE Status states_keep(States *states, const Tensor *outputs); /* after each run */

/* Elements that are counted of one value over all samples; of larger ones a regular subset, the same for any split of the
 * samples. Extremes are always those of all elements. */
#define COLLECT_COUNTS ((int64_t)1 << 21)
/* But never fewer than these of one sample, nor more. */
#define COLLECT_COUNTS_LEAST ((int64_t)4096)
#define COLLECT_COUNTS_MOST ((int64_t)65536)

/* kept_outputs.c: the outputs of the samples, kept from calibration to the measurement. Thread-safe while they are put. */
typedef struct KeptOutputs KeptOutputs;
KeptOutputs *kept_outputs_new(int64_t samples, int n_outputs, size_t most_bytes);
void kept_outputs_free(KeptOutputs *kept); /* NULL is fine */
/* Copies the outputs (n_outputs) of a sample, in place of those it had; lets go of all where they pass the bytes allowed, and
 * where one is no tensor of numbers. */
void kept_outputs_put(KeptOutputs *kept, int64_t sample, const Tensor *outputs);
bool kept_outputs_whole(const KeptOutputs *kept); /* whether nothing was let go of; false for NULL */
/* n_outputs tensors, or NULL for a sample that was left out. */
const Tensor *kept_outputs_get(const KeptOutputs *kept, int64_t sample);

typedef struct CollectOptions {
    const StateLink *links;
    int n_links;
    const WatchLevel *levels; /* by value id of the plan's model; NULL: histograms of all */
    int64_t counts;           /* 0: COLLECT_COUNTS */
    KeptOutputs *kept;        /* takes the outputs of each sample; may be NULL */
} CollectOptions;

/* Float values the plan completes (inputs too). Samples are split over the team; the result does not depend on it.
 * Unreadable samples are skipped; CODE_DATA when none could be read. options may be NULL. */
MUST_USE Status collect_sights(const Plan *plan, const Dataset *dataset, const CollectOptions *options, Team *team,
                               const Progress *progress, Sights *ret);
void sights_release(Sights *sights);
/* Adds `from` to `into`; some of its histograms go over. Both are of one model and hold different samples. */
void sights_merge(Sights *into, Sights *from);
/* A range for each row, the same for any team. */
RangeTable *sights_choose(const Sights *sights, RangeRule rule, Team *team);

/* collect_channels.c: fills the rows of the table from at most `samples` of the data, evenly spread. */
MUST_USE Status collect_channels(const Plan *plan, const Dataset *dataset, int samples, Team *team, ChannelTable *table);

typedef struct CollectResult {
    RangeTable *ranges;
    Sights sights;
} CollectResult;

/* Both steps at once. */
MUST_USE Status collect_ranges(const Plan *plan, const Dataset *dataset, RangeRule rule, Team *team,
                               const Progress *progress, CollectResult *ret);
void collect_release(CollectResult *result);

/* ---- range_file.c, part_file.c: what is kept between runs and machines -------------------------------------------- */

/* What a table or a part was made from. */
typedef struct RangeSource {
    const char *model_sha256;
    const char *passes;        /* how the graph was simplified: names of values depend on it */
    const char *data, *reader, *preprocessing; /* path, kind, and what was done to it in words */
    const char *data_sha256;   /* of the names of all samples, in order */
    const char *rule;          /* the method */
    int64_t shard, shards;     /* 1-based; 1 of 1 for a whole run */
} RangeSource;

/* Readable JSON, a line a value; atomically. */
MUST_USE Status ranges_write(const char *path, const RangeSource *source, const RangeTable *ranges, const Sights *sights);
/* CODE_DATA when the file is no range table, or was made for another model or graph than `expected`, with the reason.
 * Texts live in arena. sights: samples, skipped, what was not finite; no histograms. */
MUST_USE Status ranges_read(const char *path, const RangeSource *expected, Arena *arena, RangeSource *ret_source,
                            RangeTable **ret, Sights *ret_sights);
MUST_USE Status part_write(const char *path, const RangeSource *source, const Sights *sights);
MUST_USE Status part_read(const char *path, Arena *arena, RangeSource *ret_source, Sights *ret_sights);

#endif
