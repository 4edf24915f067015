/* options.c - the option table: parsing, nearest names, --help. One row an option; a row says which commands take it. */
#include "src/app/app.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum OptionKind { OPTION_FLAG, OPTION_TEXT, OPTION_COUNT, OPTION_NUMBER, OPTION_LIST } OptionKind;

typedef struct OptionRow {
    const char *name; /* without the dashes */
    char letter;      /* short form, or 0 */
    OptionKind kind;
    size_t offset; /* in Options */
    unsigned commands;
    const char *argument;
    const char *help;
    const char *choices; /* the words it takes, '|' between them; NULL: any text */
} OptionRow;

#define ALL       (COMMAND_QUANTIZE | COMMAND_RUN | COMMAND_EVAL | COMMAND_COMPARE | COMMAND_INSPECT | COMMAND_SIMPLIFY | \
                   COMMAND_EXPLAIN | COMMAND_BENCH | COMMAND_CALIBRATE | COMMAND_MERGE)
#define CALIBRATE (COMMAND_QUANTIZE | COMMAND_CALIBRATE)
#define DATA      (CALIBRATE | COMMAND_RUN | COMMAND_EVAL | COMMAND_COMPARE | COMMAND_BENCH)
#define PASSES    (CALIBRATE | COMMAND_SIMPLIFY)
#define AT(field) offsetof(Options, field)

static const OptionRow rows[] = {
    {"calib", 0, OPTION_TEXT, AT(calib), CALIBRATE, "DIR",
     "calibration data: a folder (or list.txt) of images, recordings, .npy, .npz, .pb or .bin; random: none at hand",
     NULL},
    {"output", 'o', OPTION_TEXT, AT(output), PASSES | COMMAND_RUN | COMMAND_MERGE, "FILE",
     "what to write (default: MODEL.int8.onnx here; run: a folder for .npy)", NULL},
    {"report", 0, OPTION_TEXT, AT(report), COMMAND_QUANTIZE | COMMAND_BENCH, "FILE",
     "JSON report to write (the main job: default MODEL.int8.json here)", NULL},
    {"html", 0, OPTION_TEXT, AT(html), COMMAND_QUANTIZE, "FILE", "the report as a page for a browser, too", NULL},
    {"target", 0, OPTION_TEXT, AT(target), CALIBRATE, "NAME", "where the model will run (default ort-x86)",
     "ort-x86|ort-arm|openvino|tensorrt"},
    {"act", 0, OPTION_TEXT, AT(act), CALIBRATE, "TYPE", "type of activations, in place of the target's", "u8|s8"},
    {"per-tensor", 0, OPTION_FLAG, AT(per_tensor), COMMAND_QUANTIZE, NULL, "one scale for a whole weight", NULL},
    {"per-channel", 0, OPTION_FLAG, AT(per_channel), COMMAND_QUANTIZE, NULL,
     "a scale for each output channel of a weight (default)", NULL},
    {"external-data", 0, OPTION_TEXT, AT(external_data), COMMAND_QUANTIZE | COMMAND_SIMPLIFY, "WHEN",
     "weights in a file beside the model",
     "auto|always|never"},
    {"depfile", 0, OPTION_TEXT, AT(depfile), COMMAND_QUANTIZE, "FILE", "Make dependencies of the output to write",
     NULL},
    {"input", 0, OPTION_LIST, AT(inputs), COMMAND_RUN | COMMAND_BENCH, "PATH",
     "a file or a folder of inputs (bench: default random numbers); NAME=PATH for one input of several, repeated", NULL},
    {"input", 0, OPTION_LIST, AT(inputs), DATA & ~(COMMAND_RUN | COMMAND_BENCH), "NAME=DIR",
     "data of one input of several, matched by file stems (one file: the same for all); may be repeated", NULL},
    {"state", 0, OPTION_LIST, AT(states), DATA & ~COMMAND_BENCH, "IN[=OUT]",
     "input IN starts as zeros, and takes output OUT of the sample before; may be repeated", NULL},
    {"save-inputs", 0, OPTION_TEXT, AT(save_inputs), COMMAND_RUN | COMMAND_SIMPLIFY, "DIR",
     "write what the model is fed (run: preprocessed; simplify: what the proof draws) as .npy", NULL},
    {"data", 0, OPTION_TEXT, AT(data), COMMAND_EVAL | COMMAND_COMPARE, "DIR", "evaluation data", NULL},
    {"eval", 0, OPTION_TEXT, AT(eval), COMMAND_QUANTIZE, "DIR", "evaluation data, as --calib (default: the calibration data)",
     NULL},
    {"labels", 0, OPTION_TEXT, AT(labels), DATA & ~COMMAND_BENCH, "FILE", "lines `file index` for the evaluation data", NULL},
    {"max-drop", 0, OPTION_NUMBER, AT(max_drop), COMMAND_QUANTIZE | COMMAND_COMPARE, "POINTS",
     "exit 1 when top-1 (agreement without labels) drops by more", NULL},
    {"min-sqnr", 0, OPTION_NUMBER, AT(min_sqnr), COMMAND_QUANTIZE, "DB",
     "leave nodes float until the worst output's SQNR is at least this; exit 1 when out of reach", NULL},
    {"min-agreement", 0, OPTION_NUMBER, AT(min_agreement), COMMAND_QUANTIZE, "PERCENT",
     "the same for samples on which the best class is that of the float model", NULL},
    {"placement", 0, OPTION_TEXT, AT(placement), COMMAND_QUANTIZE, "WHICH",
     "quantize what is faster in integers (default), or all that the target can run in integers", "faster|all"},
    {"requantize", 0, OPTION_FLAG, AT(requantize), COMMAND_QUANTIZE, NULL,
     "a model that is quantized already, or of 16-bit floats: turn it back into float and quantize it anew", NULL},
    {"exclude", 0, OPTION_LIST, AT(exclude), COMMAND_QUANTIZE, "NODE",
     "leave this node float (* and ? match); may be repeated", NULL},
    {"exclude-op", 0, OPTION_LIST, AT(exclude_ops), COMMAND_QUANTIZE, "TYPE",
     "leave ops of this type float; may be repeated", NULL},
    {"only", 0, OPTION_LIST, AT(only), COMMAND_QUANTIZE, "NODE",
     "quantize these weighted nodes and no others (* and ? match); may be repeated", NULL},
    {"effort", 0, OPTION_TEXT, AT(effort), COMMAND_QUANTIZE, "HOW",
     "how many recipes are tried and measured (default: default); the same model for the same data at each", "fast|default|max"},
    {"equalize", 0, OPTION_TEXT, AT(equalize), COMMAND_QUANTIZE, "WHEN",
     "spread channels over one range between two weights (auto: where it is measured to help)", "auto|on|off"},
    {"smooth-quant", 0, OPTION_TEXT, AT(smooth_quant), COMMAND_QUANTIZE, "WHEN",
     "the same between a normalization and the weights behind it", "auto|on|off"},
    {"bias-correction", 0, OPTION_TEXT, AT(bias_correction), COMMAND_QUANTIZE, "WHEN",
     "make up in the biases for what rounding the weights adds to the means (auto: where it is measured to help)", "auto|on|off"},
    {"integer-gelu", 0, OPTION_TEXT, AT(integer_gelu), COMMAND_QUANTIZE, "WHEN",
     "GELU as a table and a product of bytes (auto: unless the outputs lose over 2 dB)", "auto|on|off"},
    {"samples", 0, OPTION_COUNT, AT(samples), DATA, "N", "use N samples, evenly spread (default: all; bench: 1)", NULL},
    {"seed", 0, OPTION_COUNT, AT(seed), DATA, "S", "draw the N samples at random, the same ones for the same S", NULL},
    {"method", 0, OPTION_TEXT, AT(method), CALIBRATE | COMMAND_MERGE, "NAME",
     "ranges: auto (default: of all the others what gives least squared error), mse (least squared error), minmax (all "
     "that was seen), mean-minmax (mean of the samples' extremes), percentile[=99.99] (keeps that share), entropy (least "
     "KL divergence); all cost the same run, docs/calibration.md compares them", NULL},
    {"ranges-in", 0, OPTION_TEXT, AT(ranges_in), COMMAND_QUANTIZE, "FILE", "ranges from a table instead of a calibration",
     NULL},
    {"ranges-out", 0, OPTION_TEXT, AT(ranges_out), COMMAND_QUANTIZE, "FILE", "write the range table, to be read or edited",
     NULL},
    {"shard", 0, OPTION_TEXT, AT(shard), COMMAND_CALIBRATE, "I/N", "run the I-th of N shares of the samples; -o gets a part",
     NULL},
    {"preset", 0, OPTION_TEXT, AT(preset), DATA, "NAME", "preprocessing by name; see --list-presets", NULL},
    {"list-presets", 0, OPTION_FLAG, AT(list_presets), DATA, NULL, "show the presets and stop", NULL},
    {"preprocess", 0, OPTION_TEXT, AT(preprocess), DATA, "F.json", "preprocessing from a JSON file", NULL},
    {"size", 0, OPTION_TEXT, AT(size), DATA, "WxH", "size of the model's image input, when it is dynamic", NULL},
    {"resize", 0, OPTION_TEXT, AT(resize), DATA, "HOW", "stretch, scale and crop the centre, or letterbox",
     "stretch|crop|pad"},
    {"shorter", 0, OPTION_COUNT, AT(shorter), DATA, "N", "shorter side before a crop (default: size * 256 / 224)",
     NULL},
    {"pad-value", 0, OPTION_COUNT, AT(pad_value), DATA, "0..255", "grey level of the letterbox", NULL},
    {"interp", 0, OPTION_TEXT, AT(interp), DATA, "HOW", "interpolation, antialiased; opencv: its bilinear, which is not",
     "nearest|bilinear|bicubic|area|opencv"},
    {"color", 0, OPTION_TEXT, AT(color), DATA, "ORDER", "channel order", "rgb|bgr|gray"},
    {"layout", 0, OPTION_TEXT, AT(layout), DATA, "ORDER", "layout of the input", "nchw|nhwc"},
    {"scale", 0, OPTION_NUMBER, AT(scale), DATA, "X", "value = (pixel * scale - mean) / std", NULL},
    {"mean", 0, OPTION_TEXT, AT(mean), DATA, "A,B,C", "mean of each channel", NULL},
    {"std", 0, OPTION_TEXT, AT(std), DATA, "A,B,C", "standard deviation of each channel", NULL},
    {"sample-rate", 0, OPTION_COUNT, AT(sample_rate), DATA, "HZ", "rate the model hears (default 16000)", NULL},
    {"mono", 0, OPTION_FLAG, AT(mono), DATA, NULL, "mix all channels (the default)", NULL},
    {"channel", 0, OPTION_TEXT, AT(channel), DATA, "N", "take one channel, from 1 up, instead of mixing all", NULL},
    {"window", 0, OPTION_NUMBER, AT(window), DATA, "SECONDS", "cut recordings into windows (default: the model's length)",
     NULL},
    {"hop", 0, OPTION_NUMBER, AT(hop), DATA, "SECONDS", "from window to window (default: the window)", NULL},
    {"rest", 0, OPTION_TEXT, AT(rest), DATA, "HOW", "what is left behind the last whole window: pad it with zeros, skip it "
     "(auto: skip, but pad a recording that is shorter than one)", "auto|pad|skip"},
    {"features", 0, OPTION_TEXT, AT(features), DATA, "SPEC",
     "raw, stft, mel, logmel or mfcc, with parameters: logmel:n_fft=512,hop_length=160,n_mels=64; docs/calibration.md", NULL},
    {"no-simplify", 0, OPTION_FLAG, AT(no_simplify), PASSES | COMMAND_BENCH, NULL,
     "leave the graph as it is (opset raising excepted)", NULL},
    {"passes", 0, OPTION_TEXT, AT(passes), PASSES | COMMAND_BENCH, "-a,-b",
     "passes left out; see --list-passes", NULL},
    {"fold-limit", 0, OPTION_TEXT, AT(fold_limit), PASSES, "4K",
     "bytes by which a computed constant may be larger than what it replaces", NULL},
    {"opset", 0, OPTION_COUNT, AT(opset), COMMAND_SIMPLIFY, "N",
     "raise to opset N (13 to 24), for its fused ops: 14 HardSwish, 17 LayerNormalization, 18 Mish, 20 Gelu, 24 Swish", NULL},
    {"shape", 0, OPTION_TEXT, AT(shape), COMMAND_SIMPLIFY | DATA, "x=1x3x64x64,...",
     "sizes of inputs with dynamic axes: for images, recordings, raw .bin, random data and zeros; simplify: for the proof", NULL},
    {"no-proof", 0, OPTION_FLAG, AT(no_proof), COMMAND_SIMPLIFY, NULL, "do not run the model before and after", NULL},
    {"list-passes", 0, OPTION_FLAG, AT(list_passes), PASSES | COMMAND_BENCH, NULL, "show the passes and stop", NULL},
    {"print-after", 0, OPTION_TEXT, AT(print_after), PASSES, "PASS", "print the graph after a pass (stderr)", NULL},
    {"executor", 0, OPTION_TEXT, AT(executor), DATA | COMMAND_SIMPLIFY, "WHICH",
     "oneDNN where it serves, or plain C loops", "auto|reference"},
    {"top", 0, OPTION_COUNT, AT(top), COMMAND_RUN | COMMAND_BENCH, "K",
     "run: print the K greatest elements of the first output; bench: the K slowest nodes", NULL},
    {"batch", 0, OPTION_COUNT, AT(batch), COMMAND_BENCH, "N", "size of the first axis of inputs that leave it open", NULL},
    {"duration", 0, OPTION_NUMBER, AT(duration), COMMAND_BENCH, "SECONDS", "how long to measure (default 3)", NULL},
    {"parallel", 0, OPTION_FLAG, AT(parallel), COMMAND_BENCH, NULL,
     "each thread runs samples of its own, instead of all of them one sample", NULL},
    {"profile", 0, OPTION_FLAG, AT(profile), COMMAND_BENCH, NULL, "time by node and by op, beside what the machine can do", NULL},
    {"trace", 0, OPTION_TEXT, AT(trace), COMMAND_BENCH, "FILE", "each step of the runs, for chrome://tracing or Perfetto", NULL},
    {"threads", 0, OPTION_COUNT, AT(threads), DATA, "N", "threads (default: one for each core)", NULL},
    {"max-memory", 0, OPTION_TEXT, AT(max_memory), ALL, "2G", "upper bound for tensors; exit 6 beyond it", NULL},
    {"max-iterations", 0, OPTION_COUNT, AT(max_iterations), DATA | COMMAND_SIMPLIFY, "N",
     "upper bound for the iterations of all loops of the model in one run (default 1048576); exit 3 beyond it", NULL},
    {"dry-run", 0, OPTION_FLAG, AT(dry_run), PASSES, NULL, "do everything but write", NULL},
    {"quiet", 'q', OPTION_FLAG, AT(quiet), ALL, NULL, "no progress and no notes", NULL},
    {"verbose", 'v', OPTION_FLAG, AT(verbose), ALL, NULL, "say more", NULL},
    {"version", 0, OPTION_FLAG, AT(version), ALL, NULL, "print the version", NULL},
    {"help", 'h', OPTION_FLAG, AT(help), ALL, NULL, "this text", NULL},
};

static const OptionRow *find_long(const Command *command, const char *name, size_t length)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if ((rows[i].commands & command->bit) != 0 && strlen(rows[i].name) == length &&
            strncmp(rows[i].name, name, length) == 0)
            return &rows[i];
    return NULL;
}

static const OptionRow *find_short(const Command *command, char letter)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if ((rows[i].commands & command->bit) != 0 && rows[i].letter == letter && letter != 0)
            return &rows[i];
    return NULL;
}

static Status unknown_option(const Command *command, const char *word)
{
    const char *names[COUNT_OF(rows) + 1];
    size_t n = 0;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if ((rows[i].commands & command->bit) != 0)
            names[n++] = rows[i].name;
    names[n] = NULL;
    char name[64];
    const char *start = word + strspn(word, "-");
    snprintf(name, sizeof name, "%.*s", (int)MIN(strcspn(start, "="), sizeof name - 1), start);
    const char *nearest = text_nearest(name, names);
    const char *space = command->name[0] == '\0' ? "" : " ";
    if (nearest != NULL)
        return status_new(CODE_USAGE, "unknown option '%s'; did you mean '--%s'?", word, nearest);
    return status_new(CODE_USAGE, "unknown option '%s'; 'quantize%s%s --help' lists the options", word, space,
                      command->name);
}

static bool is_choice(const char *choices, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = choices; at != NULL; at = strchr(at, '|') == NULL ? NULL : strchr(at, '|') + 1)
        if (strcspn(at, "|") == length && strncmp(at, word, length) == 0)
            return true;
    return false;
}

static Status store(const OptionRow *row, const char *text, Options *ret)
{
    void *field = (char *)ret + row->offset;
    char *end = NULL;
    errno = 0;
    if (row->kind == OPTION_FLAG) {
        *(bool *)field = true;
    } else if (row->kind == OPTION_TEXT) {
        if (row->choices != NULL && !is_choice(row->choices, text))
            return status_new(CODE_USAGE, "option '--%s' takes %s, not '%s'", row->name, row->choices, text);
        *(const char **)field = text;
    } else if (row->kind == OPTION_LIST) {
        Texts *texts = field;
        if (texts->n == TEXTS_MAX)
            return status_new(CODE_USAGE, "option '--%s' is given more than %d times", row->name, TEXTS_MAX);
        texts->items[texts->n++] = text;
    } else if (row->kind == OPTION_COUNT) {
        long long value = strtoll(text, &end, 10);
        if (errno != 0 || *text == '\0' || *end != '\0' || value < 0)
            return status_new(CODE_USAGE, "option '--%s' takes a whole number from 0 up, not '%s'", row->name, text);
        *(int64_t *)field = value;
    } else {
        double value = strtod(text, &end);
        if (*end == '%')
            end++;
        if (errno != 0 || *text == '\0' || *end != '\0' || !isfinite(value))
            return status_new(CODE_USAGE, "option '--%s' takes a number, not '%s'", row->name, text);
        *(double *)field = value;
    }
    return NULL;
}

/* One option at argv[*at]; moves *at past it and its argument. */
static Status parse_option(const Command *command, int argc, char **argv, int *at, Options *ret)
{
    const char *word = argv[*at];
    bool is_long = word[1] == '-';
    const char *equals = is_long ? strchr(word, '=') : NULL;
    size_t length = is_long ? (equals == NULL ? strlen(word + 2) : (size_t)(equals - word - 2)) : 1;
    const OptionRow *row = is_long           ? find_long(command, word + 2, length)
                           : word[2] == '\0' ? find_short(command, word[1])
                                             : NULL;
    if (row == NULL)
        return unknown_option(command, word);
    ++*at;
    if (row->kind == OPTION_FLAG) {
        if (equals != NULL)
            return status_new(CODE_USAGE, "option '--%s' takes no value", row->name);
        return store(row, "", ret);
    }
    if (equals != NULL)
        return store(row, equals + 1, ret);
    if (*at >= argc)
        return status_new(CODE_USAGE, "option '--%s' needs %s", row->name, row->argument);
    return store(row, argv[(*at)++], ret);
}

/* The target with what single options change of it. */
static Status make_profile(Options *options)
{
    options->target_profile = *target_find(options->target == NULL ? "ort-x86" : options->target);
    if (options->act != NULL)
        options->target_profile.activation = strcmp(options->act, "s8") == 0 ? DT_INT8 : DT_UINT8;
    if (options->target_profile.symmetric && options->target_profile.activation != DT_INT8)
        return status_new(CODE_USAGE, "--act u8: activations of --target %s have the zero point 0 and must be s8", options->target);
    if (options->per_tensor && options->per_channel)
        return status_new(CODE_USAGE, "--per-tensor and --per-channel exclude each other; give one of them");
    options->target_profile.per_channel = options->target_profile.per_channel ? !options->per_tensor : options->per_channel;
    return NULL;
}

Status options_parse(const Command *command, int argc, char **argv, Options *ret)
{
    Options options = {.scale = NAN, .max_drop = NAN, .min_sqnr = NAN, .min_agreement = NAN, .shorter = -1, .pad_value = -1,
                       .seed = -1, .max_iterations = -1, .window = NAN, .hop = NAN, .duration = NAN};
    int n_models = 0;
    bool only_words = false;
    for (int i = 0; i < argc;) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
            i++;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1] != '\0') {
            TRY(parse_option(command, argc, argv, &i, &options));
        } else if (n_models == command->max_models) {
            return status_new(CODE_USAGE, "unexpected word '%s'; usage: quantize %s%s%s", argv[i], command->name,
                              command->name[0] == '\0' ? "" : " ", command->arguments);
        } else {
            argv[n_models++] = argv[i++]; /* to the front, where all has been read */
        }
    }
    options.words = argv;
    options.n_words = n_models;
    options.model = n_models > 0 ? argv[0] : NULL;
    options.second_model = n_models > 1 ? argv[1] : NULL;
    bool only_tells = options.help || options.version || options.list_passes || options.list_presets;
    if (n_models < command->min_models && !only_tells && argc > 0)
        return status_new(CODE_USAGE, "no model given; usage: quantize %s%s%s", command->name,
                          command->name[0] == '\0' ? "" : " ", command->arguments);
    TRY(make_profile(&options));
    *ret = options;
    return NULL;
}

void options_print_help(const Command *command)
{
    printf("usage: quantize %s%s%s [options]\n\n%s\n", command->name, command->name[0] == '\0' ? "" : " ",
           command->arguments, command->summary);
    if (command->name[0] == '\0') {
        printf("\nother commands (quantize COMMAND --help tells more):\n");
        for (const Command *const *other = command_list(); *other != NULL; other++)
            if ((*other)->name[0] != '\0')
                printf("  %-10s %s\n", (*other)->name, (*other)->summary);
    }
    printf("\noptions:\n");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if ((rows[i].commands & command->bit) == 0)
            continue;
        char left[64];
        snprintf(left, sizeof left, "%s%c%s--%s %s", rows[i].letter != 0 ? "-" : "  ",
                 rows[i].letter != 0 ? rows[i].letter : ' ', rows[i].letter != 0 ? ", " : " ", rows[i].name,
                 rows[i].argument == NULL ? "" : rows[i].argument);
        printf("  %-28s %s%s%s%s\n", left, rows[i].help, rows[i].choices == NULL ? "" : " (",
               rows[i].choices == NULL ? "" : rows[i].choices, rows[i].choices == NULL ? "" : ")");
    }
    printf("\nexit: 0 done, 1 short of --max-drop, 2 usage, 3 model, 4 data, 5 op not supported, 6 memory, 7 cannot "
           "write, "
           "130 interrupted\n");
}
