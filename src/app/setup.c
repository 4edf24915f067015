/* setup.c - from options to the objects the stages take. */
#include "src/app/app.h"
#include "src/ops/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define METADATA_PREPROCESS "quantize.preprocess" /* key in the model's metadata_props: a preprocessing object */

/* ---- preprocessing ----------------------------------------------------------------------------------------------- */

/* "0.485,0.456,0.406" or "0.5" -> [numbers] */
static Status add_numbers(cJSON *object, const char *key, const char *text)
{
    if (text == NULL)
        return NULL;
    cJSON *array = cJSON_AddArrayToObject(object, key);
    for (const char *at = text;;) {
        char *end = NULL;
        double value = strtod(at, &end);
        if (end == at || (*end != ',' && *end != '\0') || !isfinite(value))
            return status_new(CODE_USAGE, "option '--%s' takes numbers with commas between them, not '%s'", key,
                              text);
        cJSON_AddItemToArray(array, cJSON_CreateNumber(value));
        if (*end == '\0')
            break;
        at = end + 1;
    }
    if (cJSON_GetArraySize(array) == 1) { /* one number stands for all channels */
        double value = cJSON_GetArrayItem(array, 0)->valuedouble;
        cJSON_DeleteItemFromObject(object, key);
        cJSON_AddNumberToObject(object, key, value);
    }
    return NULL;
}

static Status add_size(cJSON *object, const char *text)
{
    if (text == NULL)
        return NULL;
    int width = 0, height = 0, used = 0;
    if (sscanf(text, "%5dx%5d%n", &width, &height, &used) != 2 || text[used] != '\0' || width <= 0 || height <= 0)
        return status_new(CODE_USAGE, "option '--size' takes WIDTHxHEIGHT such as 224x224, not '%s'", text);
    cJSON *array = cJSON_AddArrayToObject(object, "size");
    cJSON_AddItemToArray(array, cJSON_CreateNumber(width));
    cJSON_AddItemToArray(array, cJSON_CreateNumber(height));
    return NULL;
}

static void add_text(cJSON *object, const char *key, const char *text)
{
    if (text != NULL)
        cJSON_AddStringToObject(object, key, text);
}

/* The single options as the JSON object that says the same, so that there is one reader for both. */
static Status options_object(const Options *options, cJSON *object)
{
    add_text(object, "resize", options->resize);
    add_text(object, "interp", options->interp);
    add_text(object, "color", options->color);
    add_text(object, "layout", options->layout);
    if (options->shorter >= 0)
        cJSON_AddNumberToObject(object, "shorter", (double)options->shorter);
    if (options->pad_value >= 0)
        cJSON_AddNumberToObject(object, "pad_value", (double)options->pad_value);
    if (!isnan(options->scale))
        cJSON_AddNumberToObject(object, "scale", options->scale);
    add_text(object, "features", options->features);
    add_text(object, "rest", options->rest);
    if (options->sample_rate > 0)
        cJSON_AddNumberToObject(object, "sample_rate", (double)options->sample_rate);
    if (options->mono)
        add_text(object, "channel", "mix");
    if (options->channel != NULL) {
        char *end = NULL;
        double channel = strtod(options->channel, &end);
        if (*end == '\0' && end != options->channel)
            cJSON_AddNumberToObject(object, "channel", channel);
        else
            add_text(object, "channel", options->channel);
    }
    if (!isnan(options->window))
        cJSON_AddNumberToObject(object, "window", options->window);
    if (!isnan(options->hop))
        cJSON_AddNumberToObject(object, "hop", options->hop);
    TRY(add_size(object, options->size));
    TRY(add_numbers(object, "mean", options->mean));
    return add_numbers(object, "std", options->std);
}

static Status apply_options(const Options *options, Preprocess *p, bool *ret_any)
{
    cJSON *object = cJSON_CreateObject();
    Status status = options_object(options, object);
    *ret_any = cJSON_GetArraySize(object) > 0;
    char *text = cJSON_PrintUnformatted(object);
    if (status == NULL)
        status = preprocess_update_json(text, "options", p);
    free(text);
    cJSON_Delete(object);
    return status;
}

static Status apply_file(const char *path, Preprocess *p)
{
    FileMap file;
    TRY(file_map(path, CODE_USAGE, &file));
    char *text =
        xprintf("%.*s", (int)MIN(file.size, (size_t)1 << 20), file.data == NULL ? "" : (const char *)file.data);
    file_unmap(&file);
    Status status = preprocess_update_json(text, path, p);
    free(text);
    return status;
}

Status setup_preprocess(const Options *options, const Model *model, Arena *arena, Preprocess *ret,
                        const char **ret_source)
{
    Preprocess p = preprocess_default();
    const char *source = "";
    const char *metadata = model_metadata(model, METADATA_PREPROCESS);
    if (metadata != NULL) {
        Status status = preprocess_update_json(metadata, "metadata '" METADATA_PREPROCESS "'", &p);
        if (status != NULL) { /* the model's fault, not that of the command line */
            Status told = status_new(CODE_MODEL, "%s: %s; correct or remove the entry", model->path,
                                     status_message(status));
            status_free(status);
            return told;
        }
        source = "the model's metadata";
    }
    if (options->preset != NULL) {
        TRY(preset_apply(options->preset, &p));
        source = arena_printf(arena, "preset '%s'", options->preset);
    }
    if (options->preprocess != NULL) {
        TRY(apply_file(options->preprocess, &p));
        source = arena_printf(arena, "%s%s'%s'", source, source[0] == '\0' ? "" : ", ", options->preprocess);
    }
    bool any = false;
    TRY(apply_options(options, &p, &any));
    if (any)
        source = arena_printf(arena, "%s%soptions", source, source[0] == '\0' ? "" : ", ");
    *ret = p;
    *ret_source = source[0] == '\0' ? "assumed: nothing was given" : source;
    return NULL;
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

/* "NAME=REST" cut at the first '='; false without one. The name lives in arena. */
static bool split_at_equals(Arena *arena, const char *text, const char **ret_name, const char **ret_rest)
{
    const char *equals = strchr(text, '=');
    *ret_name = equals == NULL ? arena_strdup(arena, text) : arena_strndup(arena, text, (size_t)(equals - text));
    *ret_rest = equals == NULL ? NULL : equals + 1;
    return equals != NULL && equals != text && equals[1] != '\0';
}

/* "1x3x224x224" up to `end` */
static bool read_dims(const char *text, const char *end, InputShape *ret)
{
    ret->rank = 0;
    while (ret->rank < TENSOR_MAX_RANK) {
        char *stop = NULL;
        long long size = strtoll(text, &stop, 10);
        if (stop == text || stop > end || size < 0 || size > INT32_MAX)
            return false;
        ret->dims[ret->rank++] = size;
        if (stop == end)
            return true;
        if (*stop != 'x')
            return false;
        text = stop + 1;
    }
    return false;
}

static int find_value(const char *name, const Plan *plan, int n, const Value *(*value)(const Plan *plan, int i))
{
    for (int i = 0; i < n; i++)
        if (strcmp(value(plan, i)->name, name) == 0)
            return i;
    return -1;
}

Status setup_shapes(const char *text, const Plan *plan, Arena *arena, const InputShape **ret_shapes, int *ret_n)
{
    InputShape *shapes = arena_array(arena, TEXTS_MAX, sizeof shapes[0]);
    int n = 0;
    for (const char *at = text; at != NULL && *at != '\0';) {
        const char *end = at + strcspn(at, ","), *dims = at;
        const char *equals = NULL;
        for (const char *c = at; c < end; c++) /* names may hold '=' */
            equals = *c == '=' ? c : equals;
        InputShape *shape = &shapes[n];
        if (equals != NULL) {
            shape->input = arena_strndup(arena, at, (size_t)(equals - at));
            dims = equals + 1;
        } else if (plan_n_inputs(plan) == 1) {
            shape->input = plan_input(plan, 0)->name;
        }
        if (shape->input == NULL || n == TEXTS_MAX - 1 || !read_dims(dims, end, shape))
            return status_new(CODE_USAGE, "option '--shape' takes NAME=1x3x224x224, several with commas, not '%s'", text);
        if (find_value(shape->input, plan, plan_n_inputs(plan), plan_input) < 0)
            return status_new(CODE_USAGE, "option '--shape': the model has no input '%s'; one of its inputs is '%s'",
                              shape->input, plan_n_inputs(plan) > 0 ? plan_input(plan, 0)->name : "");
        n++;
        at = *end == ',' ? end + 1 : end;
    }
    *ret_shapes = shapes;
    *ret_n = n;
    return NULL;
}

/* Random numbers for every input: of sizes that the model runs with. */
static Status read_randoms(const Plan *plan, Arena *arena, DatasetOptions *ret)
{
    InputShape *shapes;
    RandomInput *randoms;
    TRY(sizes_find(plan, ret->shapes, ret->n_shapes, arena, &shapes, &randoms));
    ret->shapes = shapes;
    ret->randoms = randoms;
    ret->n_shapes = ret->n_randoms = plan_n_inputs(plan);
    return NULL;
}

static Status read_sources(const Options *options, Arena *arena, DatasetOptions *ret)
{
    InputSource *sources = arena_array(arena, TEXTS_MAX, sizeof sources[0]);
    StateInput *states = arena_array(arena, TEXTS_MAX, sizeof states[0]);
    for (int i = 0; i < options->inputs.n; i++)
        if (!split_at_equals(arena, options->inputs.items[i], &sources[i].input, &sources[i].path))
            return status_new(CODE_USAGE, "option '--input' takes NAME=DIR, not '%s'", options->inputs.items[i]);
    for (int i = 0; i < options->states.n; i++) {
        if (!split_at_equals(arena, options->states.items[i], &states[i].input, &states[i].output) && states[i].output != NULL)
            return status_new(CODE_USAGE, "option '--state' takes IN or IN=OUT, not '%s'", options->states.items[i]);
        ret->in_order = ret->in_order || states[i].output != NULL;
    }
    ret->sources = sources;
    ret->n_sources = options->inputs.n;
    ret->states = states;
    ret->n_states = options->states.n;
    return NULL;
}

/* "2/4" */
static Status read_shard(const Options *options, DatasetOptions *ret)
{
    long long shard = 0, shards = 0;
    int used = 0;
    if (options->shard == NULL)
        return NULL;
    if (sscanf(options->shard, "%9lld/%9lld%n", &shard, &shards, &used) != 2 || options->shard[used] != '\0' ||
        shard < 1 || shards < shard)
        return status_new(CODE_USAGE, "option '--shard' takes I/N with I from 1 to N, not '%s'", options->shard);
    ret->shard = shard;
    ret->shards = shards;
    return NULL;
}

static Status open_dataset(const Options *options, const Plan *plan, const char *path, Arena *arena,
                           DatasetOptions *dataset_options, Dataset **ret)
{
    TRY(setup_shapes(options->shape, plan, arena, &dataset_options->shapes, &dataset_options->n_shapes));
    TRY(read_sources(options, arena, dataset_options));
    TRY(read_shard(options, dataset_options));
    if (path != NULL && strcmp(path, DATASET_RANDOM) == 0 && dataset_options->n_sources == 0)
        TRY(read_randoms(plan, arena, dataset_options));
    int n = plan_n_inputs(plan);
    const Value **inputs = arena_array(arena, (size_t)MAX(n, 1), sizeof inputs[0]);
    for (int i = 0; i < n; i++)
        inputs[i] = plan_input(plan, i);
    return dataset_open(path, inputs, n, dataset_options, ret);
}

Status setup_dataset(const Options *options, const Plan *plan, const Preprocess *preprocess, const char *path,
                     int64_t max_samples, Dataset **ret)
{
    DatasetOptions dataset_options = {.preprocess = *preprocess, .max_samples = max_samples,
                                      .draw = options->seed >= 0, .seed = MAX(options->seed, (int64_t)0),
                                      .read_pb = onnx_read_tensor};
    Arena *arena = arena_new();
    Status status = open_dataset(options, plan, path, arena, &dataset_options, ret);
    arena_free(arena);
    return status;
}

Status setup_input_path(const Plan *plan, Texts *inputs, const char **ret)
{
    Arena *arena = arena_new();
    const char *path = NULL, *name, *rest;
    Status status = NULL;
    int kept = 0;
    for (int i = 0; i < inputs->n && status == NULL; i++) {
        const char *item = inputs->items[i];
        if (split_at_equals(arena, item, &name, &rest) && find_value(name, plan, plan_n_inputs(plan), plan_input) >= 0)
            inputs->items[kept++] = item;
        else if (path != NULL)
            status = status_new(CODE_USAGE, "option '--input': two folders for all inputs, '%s' and '%s'", path, item);
        else
            path = item;
    }
    arena_free(arena);
    inputs->n = kept;
    *ret = path;
    return status;
}

Status setup_states(const Options *options, const Plan *plan, StateLink *ret_links, int *ret_n)
{
    Arena *arena = arena_new();
    Status status = NULL;
    int n = 0;
    for (int i = 0; i < options->states.n && status == NULL; i++) {
        const char *input, *output;
        if (!split_at_equals(arena, options->states.items[i], &input, &output))
            continue; /* zeros for every sample */
        StateLink link = {find_value(input, plan, plan_n_inputs(plan), plan_input),
                          find_value(output, plan, plan_n_outputs(plan), plan_output)};
        if (link.input < 0 || link.output < 0)
            status = status_new(CODE_USAGE, "option '--state': the model has no %s '%s'",
                                link.input < 0 ? "input" : "output", link.input < 0 ? input : output);
        else
            ret_links[n++] = link;
    }
    arena_free(arena);
    *ret_n = n;
    return status;
}

Status setup_method(const Options *options, RangeRule *ret)
{
    if (range_rule_parse(options->method == NULL ? "auto" : options->method, ret))
        return NULL;
    return status_new(CODE_USAGE,
                      "option '--method' takes auto, mse, minmax, mean-minmax, percentile, percentile=P with P above 50 "
                      "and at most 100, or entropy, not '%s'",
                      options->method);
}

Status setup_plan(const Options *options, const Model *model, Plan **ret)
{
    PlanOptions plan_options = {.reference =
                                    options->executor != NULL && strcmp(options->executor, "reference") == 0};
    if (model->graph->n_outputs == 0)
        return status_new(CODE_MODEL, "%s: the graph has no outputs: there is nothing to compute", model->path);
    return status_prefix(plan_new(model, &plan_options, ret), "%s: plan", model->path);
}

static void print_model(void *context, const Pass *pass, const Model *model)
{
    (void)context;
    Text text = {0};
    model_print(model, &text, true);
    fprintf(stderr, "after %s:\n%s\n", pass->name, text.data == NULL ? "" : text.data);
    text_free(&text);
}

/* "2G", "512M", "1000000"; CODE_USAGE names the option. */
static Status read_bytes(const char *option, const char *text, double least, size_t *ret)
{
    static const struct {
        char letter;
        int shift;
    } units[] = {{'\0', 0}, {'K', 10}, {'M', 20}, {'G', 30}, {'k', 10}, {'m', 20}, {'g', 30}};
    char *end = NULL;
    double value = strtod(text, &end);
    for (size_t i = 0; i < COUNT_OF(units); i++)
        if (end != text && *end == units[i].letter && (*end == '\0' || end[1] == '\0') && value >= least && value < 1e12) {
            *ret = (size_t)ldexp(value, units[i].shift);
            return NULL;
        }
    return status_new(CODE_USAGE, "option '--%s' takes a size such as 2G or 512M, not '%s'", option, text);
}

static Status unknown_pass(const char *name)
{
    const char *nearest = text_nearest(name, pass_names());
    return status_new(CODE_USAGE, "unknown pass '%s'%s%s%s; --list-passes shows them", name,
                      nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                      nearest == NULL ? "" : "'?");
}

/* Passes that would leave no node of an op that --exclude-op names. */
static void keep_excluded(const Options *options, const char **disabled, size_t *n)
{
    static const struct {
        const char *op_type, *pass;
    } rows[] = {{"ConvTranspose", "split_conv_transpose"}, {"Resize", "split_resize"}, {"Softmax", "split_softmax"},
                {"HardSwish", "split_hardswish"}, {"HardSigmoid", "fold_hard_sigmoid"}, {"Swish", "split_swish"},
                {"PRelu", "split_prelu"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (int k = 0; k < options->exclude_ops.n; k++)
            if (text_glob(options->exclude_ops.items[k], rows[i].op_type) && *n < pass_count() * 2)
                disabled[(*n)++] = rows[i].pass;
}

/* "-a,-b": the passes left out. */
Status setup_passes(const Options *options, Arena *arena, PassOptions *ret)
{
    PassOptions passes = {.print_after = options->print_after, .print = print_model, .opset = (int)MIN(options->opset, 99)};
    size_t fold_limit = FOLD_LIMIT;
    if (options->fold_limit != NULL)
        TRY(read_bytes("fold-limit", options->fold_limit, 0.0, &fold_limit));
    passes.fold_limit = fold_limit == 0 ? -1 : (int64_t)fold_limit;
    if (options->print_after != NULL && pass_find(options->print_after) == NULL)
        return unknown_pass(options->print_after);
    const char **disabled = arena_array(arena, pass_count() * 2 + 1, sizeof disabled[0]);
    size_t n = 0;
    for (const char *at = options->passes; at != NULL && *at != '\0' && n < pass_count() * 2;) {
        size_t length = strcspn(at, ",");
        const char *word = arena_strndup(arena, at, length);
        at += length + (at[length] == ',');
        if (word[0] != '-')
            return status_new(CODE_USAGE, "option '--passes' takes names with - before them, not '%s'", word);
        if (pass_find(word + 1) == NULL)
            return unknown_pass(word + 1);
        disabled[n++] = word + 1;
    }
    if (options->no_simplify)
        for (size_t i = 0; i < pass_count(); i++)
            if (pass_at(i)->stage == PASS_SIMPLIFY && n < pass_count() * 2)
                disabled[n++] = pass_at(i)->name;
    keep_excluded(options, disabled, &n);
    passes.disabled = disabled;
    *ret = passes;
    return NULL;
}

const Target *setup_target(const Options *options)
{
    return &options->target_profile;
}

Status setup_simplify(const Options *options, Model *model, const Target *target, PassRecord *records)
{
    Arena *arena = arena_new();
    PassOptions passes;
    Status status = setup_passes(options, arena, &passes);
    if (status == NULL)
        status = passes_run(model, PASS_RAISE, &passes, NULL, NULL, NULL, records);
    if (status == NULL)
        status = passes_run(model, PASS_SIMPLIFY, &passes, NULL, NULL, NULL, records);
    if (status == NULL && target != NULL)
        status = passes_run(model, PASS_TARGET, &passes, NULL, target, NULL, records);
    arena_free(arena);
    return status == NULL || status_code(status) == CODE_USAGE ? status
                                                               : status_prefix(status, "%s: simplify", model->path);
}

ExternalData setup_external(const Options *options)
{
    static const struct {
        const char *word;
        ExternalData choice;
    } words[] = {{"auto", EXTERNAL_AUTO}, {"always", EXTERNAL_ALWAYS}, {"never", EXTERNAL_NEVER}};
    for (size_t i = 0; options->external_data != NULL && i < COUNT_OF(words); i++)
        if (strcmp(words[i].word, options->external_data) == 0)
            return words[i].choice;
    return EXTERNAL_AUTO;
}

static MUST_USE Status limit_memory(const Options *options)
{
    size_t bytes = 0;
    if (options->max_memory == NULL)
        return NULL;
    TRY(read_bytes("max-memory", options->max_memory, 1.0, &bytes));
    memory_set_limit(bytes);
    return NULL;
}

Status setup_limits(const Options *options)
{
    if (options->max_iterations >= 0)
        eval_limit_iterations(options->max_iterations);
    return limit_memory(options);
}
