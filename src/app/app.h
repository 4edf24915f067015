/* app.h - the program: commands, options, the pipeline, what is printed. The only room that sees every stage and prints.
 *
 *     argv ── commands.c ──> command_*.c ──> pipeline.c / evaluate.c ──> report.c
 */
#ifndef QUANTIZE_APP_H
#define QUANTIZE_APP_H

#include "calib/calib.h"
#include "passes/pass.h"
#include "passes/quantize.h"
#include "src/exec/exec.h"
#include "src/onnx/onnx.h"
#include "src/quant/quant.h"

#include <cjson/cJSON.h>

#define QUANTIZE_VERSION "0.1.0"

/* ---- options.c: one row an option -------------------------------------------------------------------------------- */

/* An option that may be given several times. */
#define TEXTS_MAX 64
typedef struct Texts {
    const char *items[TEXTS_MAX];
    int n;
} Texts;

typedef struct Options {
    const char *model, *second_model; /* positional */
    char **words; /* all of them; the first argv's that are none of the options */
    int n_words;
    /* output */
    const char *output, *report, *html, *target, *external_data, *depfile;
    const char *act; /* type of activations, in place of the target's */
    bool per_tensor, per_channel;
    Target target_profile; /* what all of these come to */
    /* data */
    const char *calib, *data, *eval, *labels, *save_inputs;
    int64_t samples;
    int64_t seed; /* -1: not given */
    Texts inputs; /* NAME=DIR; of `run` also a PATH for all */
    Texts states; /* IN or IN=OUT */
    /* recordings */
    const char *features, *channel, *rest;
    int64_t sample_rate;
    double window, hop; /* NAN: not given */
    bool mono;
    /* images */
    const char *preset, *preprocess, *size, *resize, *interp, *color, *layout, *mean, *std;
    double scale; /* NAN: not given */
    int64_t shorter, pad_value; /* -1: not given */
    /* calibration and quantization */
    const char *method, *ranges_in, *ranges_out, *shard;
    double max_drop, min_sqnr, min_agreement; /* targets; NAN: not given */
    const char *effort, *equalize, *smooth_quant, *bias_correction, *integer_gelu, *placement;
    Texts exclude, exclude_ops, only; /* patterns */
    /* passes */
    const char *shape; /* sizes of inputs with dynamic axes: "x=1x3x64x64,..." */
    int64_t opset;     /* simplify: raise to it at least; 0: not given */
    const char *fold_limit; /* bytes, as --max-memory */
    bool no_proof;
    bool requantize;
    bool no_simplify, list_passes, list_presets;
    const char *passes, *print_after;
    /* execution and output of the program */
    const char *executor; /* auto | reference */
    int64_t threads, top;
    /* bench */
    int64_t batch;   /* 0: not given */
    double duration; /* s, NAN: not given */
    bool profile, parallel;
    const char *trace;
    const char *max_memory;
    int64_t max_iterations;
    bool dry_run, quiet, verbose, help, version;
} Options;

struct Command;
/* Fills `ret` from argv; CODE_USAGE names the option, and the nearest one when it is unknown. */
MUST_USE Status options_parse(const struct Command *command, int argc, char **argv, Options *ret);
void options_print_help(const struct Command *command);

/* ---- commands.c -------------------------------------------------------------------------------------------------- */

typedef struct Command {
    const char *name;       /* "" is the main job */
    const char *arguments;  /* for the usage line */
    const char *summary;
    unsigned bit;           /* options of this command carry it */
    int min_models, max_models;
    Status (*run)(const Options *options, int *ret_exit);
} Command;

int app_main(int argc, char **argv);
/* Sets how long the threads of a team wait for each other at full speed; may start the program over with the same argv. */
void settle_waiting(char **argv);
const Command *const *command_list(void); /* NULL-terminated */

#define COMMAND_QUANTIZE 1u
#define COMMAND_RUN 2u
#define COMMAND_EVAL 4u
#define COMMAND_COMPARE 8u
#define COMMAND_INSPECT 16u
#define COMMAND_SIMPLIFY 32u
#define COMMAND_CALIBRATE 64u
#define COMMAND_MERGE 128u
#define COMMAND_EXPLAIN 512u
#define COMMAND_BENCH 1024u

void list_tables(const Options *options); /* lists.c: --list-passes, --list-presets on stdout */
Status command_quantize(const Options *options, int *ret_exit); /* pipeline.c */
Status command_run(const Options *options, int *ret_exit);
Status command_eval(const Options *options, int *ret_exit);
Status command_compare(const Options *options, int *ret_exit);
Status command_inspect(const Options *options, int *ret_exit);
Status command_simplify(const Options *options, int *ret_exit);
Status command_calibrate(const Options *options, int *ret_exit);
Status command_merge(const Options *options, int *ret_exit); /* command_calibrate.c */
Status command_explain(const Options *options, int *ret_exit);
Status command_bench(const Options *options, int *ret_exit);

/* ---- console.c: stderr ------------------------------------------------------------------------------------------- */

/* A stage that takes a while: a bar with rate and remaining time on a terminal, one plain line at the end elsewhere. */
typedef struct ProgressBar {
    const char *label;
    bool terminal, quiet;
    double started, drawn;
    int64_t done, total;
} ProgressBar;

void progress_begin(ProgressBar *bar, const char *label, const Options *options);
Progress progress_hook(ProgressBar *bar);
void progress_end(ProgressBar *bar);
void console_note(const Options *options, const char *format, ...) PRINTF_LIKE(2, 3); /* a line on stderr unless --quiet */
void console_warn(const char *format, ...) PRINTF_LIKE(1, 2);
void console_fail(const char *format, ...) PRINTF_LIKE(1, 2); /* the one line that says why a command ends */

/* ---- open.c ------------------------------------------------------------------------------------------------------ */

/* Loads a model and infers its types (errors: those of both, with the file's name). Where the file declares a shape that
 * contradicts what the op gives, the op's stands; that is said on stderr, or left to the caller in *ret_doubt (the model's; NULL:
 * nothing to say) when ret_doubt is given. */
MUST_USE Status model_open(const char *path, Model **ret, const char **ret_doubt);

/* ---- intake.c: the model as it comes ---------------------------------------------------------------------------------- */

/* A model that is quantized already is turned back into float (--requantize), and *ret_form tells what it was (the model's
 * arena; NULL: float as it came), or refused. Weights that are NaN or infinite are refused, named. */
MUST_USE Status intake_restore(const Options *options, Model *model, PassRecord *records, const char **ret_form);

/* ---- setup.c: from options to the objects the stages take -------------------------------------------------------- */

/* Preprocessing: defaults, then the model's metadata, then --preset, --preprocess and single options, each over the last.
 * ret_source says where it came from, in words (arena). */
MUST_USE Status setup_preprocess(const Options *options, const Model *model, Arena *arena, Preprocess *ret,
                                 const char **ret_source);
/* Opens `path` for the inputs of `plan`. Random data takes sizes that the plan runs with where it leaves some open. */
MUST_USE Status setup_dataset(const Options *options, const Plan *plan, const Preprocess *preprocess, const char *path,
                              int64_t max_samples, Dataset **ret);
/* What among several --input is no NAME=DIR with the name of an input: the PATH for all (NULL: none is); takes it out. */
MUST_USE Status setup_input_path(const Plan *plan, Texts *inputs, const char **ret);
/* --shape "a=1x3,b=1x7", sizes without a name for the only input; ret_shapes in the arena. CODE_USAGE. */
MUST_USE Status setup_shapes(const char *text, const Plan *plan, Arena *arena, const InputShape **ret_shapes, int *ret_n);
/* The links of --state IN=OUT, by places in the plan; ret_links[TEXTS_MAX]. */
MUST_USE Status setup_states(const Options *options, const Plan *plan, StateLink *ret_links, int *ret_n);
MUST_USE Status setup_method(const Options *options, RangeRule *ret);
MUST_USE Status setup_plan(const Options *options, const Model *model, Plan **ret);
/* Pass options from --no-simplify, --passes, --print-after; lives in arena. */
MUST_USE Status setup_passes(const Options *options, Arena *arena, PassOptions *ret);
MUST_USE Status setup_limits(const Options *options); /* --max-memory, --max-iterations */
ExternalData setup_external(const Options *options);
const Target *setup_target(const Options *options);
/* raise and simplify as the options ask, and with a target give the graph the forms it likes; records[pass_count()]. */
MUST_USE Status setup_simplify(const Options *options, Model *model, const Target *target, PassRecord *records);

/* ---- calibration.c ----------------------------------------------------------------------------------------------- */

/* What ranges are made from; dataset NULL: only what says whether a table fits this run. */
RangeSource calibration_source(const Options *options, const char *model_sha256, const Dataset *dataset, Arena *arena);
/* kept: takes the outputs of each sample, or NULL. */
MUST_USE Status calibration_run(const Options *options, const Plan *plan, const Dataset *dataset, Team *team, KeptOutputs *kept,
                                double *ret_seconds, Sights *ret);
/* --ranges-in, checked against the simplified model. */
MUST_USE Status calibration_read(const Options *options, const Model *model, const char *model_sha256, Arena *arena,
                                 RangeSource *ret_source, CollectResult *ret);
char *calibration_skipped(const Sights *sights, Arena *arena);    /* one line of warning; NULL: nothing was */
char *calibration_not_finite(const Sights *sights, Arena *arena); /* the same for NaN and infinities */

/* ---- evaluate.c: one or two models over data --------------------------------------------------------------------- */

typedef struct OutputScore {
    const char *name;
    double sqnr_db;   /* of b against a; 999 when equal, -999 when only one is finite, or only b is anything but 0 */
    double cosine;
    double max_abs_diff;
} OutputScore;

/* "31.2 dB", "equal" or "nothing alike", in `room`, which it returns. */
const char *sqnr_text(double sqnr_db, char room[32]);

typedef struct Evaluation {
    int64_t samples, labelled, skipped;
    bool classes;            /* output 0 looks like class scores: agreement means something */
    double top1[2], top5[2]; /* percent of the labelled samples, of models a and b; NAN without labels */
    double agreement;        /* percent of samples on which both models' best class is the same; NAN when not classes */
    OutputScore *outputs;
    int n_outputs;
    Arena *arena;
} Evaluation;

/* What evaluate() may be given; all 0: nothing. */
typedef struct EvaluateOptions {
    const Labels *labels;
    const StateLink *links; /* with them samples are run in order, each model with its own states */
    int n_links;
    const KeptOutputs *kept; /* what plan a answers to each sample of the data set: it is not run */
    const Progress *progress;
} EvaluateOptions;

/* Runs plan a and, unless it is NULL, plan b on every sample. Deterministic for any team. */
MUST_USE Status evaluate(const Plan *a, const Plan *b, const Dataset *dataset, const EvaluateOptions *options, Team *team,
                         Evaluation *ret);
void evaluation_release(Evaluation *evaluation);

/* ---- proof.c: one sample through the model before and after simplification --------------------------------------- */

typedef struct Proof {
    Tensor *inputs, *outputs; /* of the model as it was */
    int n_inputs, n_outputs;
    double max_abs_diff;      /* NAN until proof_end(); infinite when shapes or types differ */
    double max_relative_diff; /* greatest over the outputs of max |difference| / max |output| */
    ElementCounts counts;     /* sizes the values had in the latest of the two runs */
    int64_t macs;             /* of the model as it was, with the sizes of the sample */
} Proof;

MUST_USE Status proof_begin(const Plan *plan, const Dataset *dataset, Proof *ret);
MUST_USE Status proof_end(const Plan *plan, Proof *proof);
void proof_release(Proof *proof);
/* Raises both to what two outputs differ by: the greatest |difference|, and that by the greatest |element| of `before`.
 * NAN counts as less than anything and equals NAN. */
void proof_compare(const Tensor *before, const Tensor *after, double *abs_diff, double *relative_diff);

/* ---- draw.c, sizes.c: inputs at random -------------------------------------------------------------------------------- */

/* What the graph does with integers of the input. */
IntegerHints draw_hints(const Value *input);
/* Ways to fill the input that are worth a try: more than one for integers, of which the graph says what they may be. */
int draw_attempts(const Value *input);
/* Fills the tensor, which has the input's type. size: what unknown dims have; other numbers for another round. */
void draw_input(const Value *input, int round, int attempt, int64_t size, Tensor *tensor);

#define PROOF_ROUNDS 2          /* values of each dynamic dim */

/* Sizes for the inputs of a model that leaves some open, and ways to fill integers: tried one after the other until the model
 * runs with them. */
typedef struct Sizes {
    const Plan *plan;
    const InputShape *given; /* n_given: for single inputs, the caller's */
    int n_given;
    Map *batches;            /* names of dims that are some input's first */
    int round;               /* 0 ... PROOF_ROUNDS - 1: other sizes to try */
    int64_t batch;
    /* of one try */
    int64_t other;           /* all unknown sizes but the batch */
    int attempt;             /* draw_attempts */
    bool inner_batch;        /* a nameless unknown size behind a known first one is the batch, too: states of recurrent nets */
} Sizes;

/* given: InputShape for inputs by name, or none. */
Sizes sizes_new(const Plan *plan, const InputShape *given, int n_given);
void sizes_release(Sizes *sizes);
bool sizes_open(const Sizes *sizes);    /* the model leaves sizes open that are not given */
int sizes_tries(const Sizes *sizes);    /* in a round */
void sizes_take(Sizes *sizes, int try); /* the try'th of the round */
/* Sizes of one input in this try. CODE_UNSUPPORTED: no tensor of numbers, or no rank; CODE_USAGE: not as it was declared. */
MUST_USE Status sizes_of(const Sizes *sizes, const Value *input, InputShape *ret);
/* The input drawn, allocated. CODE_UNSUPPORTED: too large, too. */
MUST_USE Status sizes_fill(const Sizes *sizes, const Value *input, Tensor *ret);
/* For random data: the first sizes the model runs with, (plan_n_inputs) of each in the arena. Without open sizes and integers
 * nothing is run. The error of the first try, with the cure, when none runs. */
MUST_USE Status sizes_find(const Plan *plan, const InputShape *given, int n_given, Arena *arena, InputShape **ret_shapes,
                           RandomInput **ret_randoms);

/* ---- dump.c: tensors as .npy files ----------------------------------------------------------------------------------- */

MUST_USE Status dump_folder(const char *path); /* makes it; NULL: nothing to do */
/* FOLDER/SAMPLE.VALUE.npy of each of the n inputs or outputs of a plan; '_' for '/' and ':' in names of values. */
MUST_USE Status dump_tensors(const char *folder, const char *sample, const Plan *plan, int n,
                             const Value *(*value)(const Plan *plan, int i), const Tensor *tensors);

/* ---- proof_random.c: the same on random inputs, without data ----------------------------------------------------- */

#define PROOF_TOLERANCE 1e-5    /* of max |output|: beyond it a simplification counts as wrong, but see own_noise */
#define PROOF_NOISE 4.0         /* times own_noise, one order out of many: a difference that says nothing of the rewrites */

typedef struct RandomProof {
    int runs;                   /* rounds that the model as it was could be run in */
    double max_abs_diff, max_relative_diff;
    /* By how much the outputs of the model as it was move, of max |output|, when only the order of its float32 sums changes: plain
     * loops against oneDNN. Measured when the difference is beyond the tolerance, else 0; no rewrite can be held to less. */
    double own_noise;
    char sizes[PROOF_ROUNDS][160]; /* of the inputs, in words */
    char *reason;               /* why there are fewer rounds, or NULL; malloc'ed */
} RandomProof;

/* Runs both models on inputs drawn from their declared shapes. shapes: "x=1x3x64x64,mask=1x7", sizes for single inputs, or
 * NULL. CODE_USAGE when it names none; a model that cannot be run at any size tried is told in `reason`. save_inputs: a folder
 * that what was drawn is written to (dump.c, SAMPLE is the number of the round), or NULL. */
MUST_USE Status proof_random(const Model *before, const Model *after, const char *shapes, const char *save_inputs,
                             const PlanOptions *options, RandomProof *ret);

/* ---- report.c ---------------------------------------------------------------------------------------------------- */

/* What a model file is, taken before the graph is changed. */
typedef struct ModelFacts {
    char sha256[65];
    uint64_t bytes, external_bytes;
    int64_t ir_version;
    int opset, nodes;
    int64_t parameters, macs;
    cJSON *ops; /* object op -> count, most frequent first */
} ModelFacts;

MUST_USE Status facts_read(const Model *model, const char *path, ModelFacts *ret);
/* All but the hash and the sizes of the file. */
void facts_count(const Model *model, ModelFacts *ret);
void facts_release(ModelFacts *facts);

#endif
