/* probe.c - what the ONNX Runtime tests need to see of our own program; run.js calls it.
 *
 *     probe copy MODEL OUT                     load and save, nothing else
 *     probe half MODEL OUT                     the same model in 16-bit floats
 *     probe expose MODEL OUT                   every quantized value becomes a graph output too
 *     probe nodewise MODEL FOLDER INPUT.npy... our executor against FOLDER/K.npy (line K of FOLDER/names.txt names it)
 *     probe weighted MODEL [BEFORE]            which heavy ops of a graph run on float weights; with the model that it was
 *                                              made of, each with the node of it that its output comes from
 *     probe large KIND NODES OUT               a generated graph of tests/simplify/large.c; without words: the kinds
 *     probe run MODEL FOLDER INPUT.npy...      both executors: FOLDER/fast.K.npy and plain.K.npy for output K; every value
 *                                              must have the type that inference gave it
 *
 * nodewise feeds every step the runtime's data: a value is compared when it is complete and then overwritten, so that a
 * difference is that of one step and never what earlier ones left behind.
 *
 *     x ─ step ─ y   compare with the runtime's y, y := the runtime's y ─ step ─ z   compare ...
 */
#include "calib/calib.h"
#include "src/exec/exec.h"
#include "src/onnx/onnx.h"
#include "src/ops/ops.h"
#include "tests/conformance/types.h"
#include "tests/oracle/half.h"
#include "tests/passes/profile_rules.h"
#include "tests/simplify/large.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_INPUTS 16

static Status load(const char *path, Model **ret)
{
    TRY(onnx_load(path, ret));
    return status_prefix(ops_infer_file(*ret), "%s: shape inference", path);
}

static void print_json(cJSON *object)
{
    char *text = cJSON_PrintUnformatted(object);
    printf("%s\n", text == NULL ? "null" : text);
    free(text);
    cJSON_Delete(object);
}

/* ---- copy, expose ------------------------------------------------------------------------------------------------ */

static Status copy(const char *path, const char *out)
{
    Model *model = NULL;
    TRY(onnx_load(path, &model));
    Status status = onnx_save(model, out, EXTERNAL_AUTO, NULL);
    model_free(model);
    return status;
}

/* Only outputs of QuantizeLinear: a float value made an output would keep its op from running in integers. */
static Status expose(const char *path, const char *out)
{
    Model *model = NULL;
    TRY(load(path, &model));
    for (Node *node = model->graph->first; node != NULL; node = node->next)
        if (node_is(node, "QuantizeLinear") && node->out[0]->n_outputs == 0 && node_constant(node, 0) == NULL)
            graph_add_output(model->graph, node->out[0]);
    Status status = onnx_save(model, out, EXTERNAL_AUTO, NULL);
    model_free(model);
    return status;
}

/* ---- nodewise ---------------------------------------------------------------------------------------------------- */

/* Difference of one value: in steps for 8-bit types, else relative to the greatest magnitude. */
typedef struct Difference {
    double most;
    int64_t unequal;
} Difference;

typedef struct Nodewise {
    Map *expected;        /* name -> Tensor */
    Map *producers;       /* name -> op that made it, as our plan runs it */
    size_t seen;
} Nodewise;

static Difference compare_steps(const Tensor *ours, const Tensor *theirs)
{
    Difference d = {0};
    for (int64_t i = 0; i < ours->count; i++) {
        double steps = fabs((double)(tensor_get_int(ours, i) - tensor_get_int(theirs, i)));
        d.most = fmax(d.most, steps);
        d.unequal += steps != 0.0;
    }
    return d;
}

static Difference compare_floats(const Tensor *ours, const Tensor *theirs)
{
    Difference d = {0};
    double greatest = 0.0;
    for (int64_t i = 0; i < ours->count; i++) {
        double x = tensor_get(ours, i), y = tensor_get(theirs, i);
        greatest = fmax(greatest, fabs(y));
        if (x == y || (isnan(x) && isnan(y)))
            continue;
        d.most = isfinite(x - y) ? fmax(d.most, fabs(x - y)) : INFINITY;
        d.unequal++;
    }
    if (d.most > 0.0)
        d.most = greatest > 0.0 ? d.most / greatest : INFINITY;
    return d;
}

static Status compare_value(void *context, const Value *value, Tensor *tensor)
{
    Nodewise *nodewise = context;
    const Tensor *expected = map_get(nodewise->expected, value->name);
    if (expected == NULL)
        return NULL;
    nodewise->seen++;
    if (expected->dtype != tensor->dtype || !tensor_same_shape(expected, tensor))
        return status_new(CODE_MODEL, "value '%s' has another type or shape than ONNX Runtime gives it", value->name);
    bool steps = tensor->dtype == DT_UINT8 || tensor->dtype == DT_INT8;
    Difference d = steps ? compare_steps(tensor, expected) : compare_floats(tensor, expected);
    const char *op = map_get(nodewise->producers, value->name);
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "value", value->name);
    cJSON_AddStringToObject(row, "op", op == NULL ? "" : op);
    cJSON_AddStringToObject(row, "unit", steps ? "steps" : "relative");
    cJSON_AddNumberToObject(row, "elements", (double)tensor->count);
    cJSON_AddNumberToObject(row, "most", isfinite(d.most) ? d.most : 1e300);
    cJSON_AddNumberToObject(row, "unequal", (double)d.unequal);
    print_json(row);
    if (tensor->bytes > 0)
        memcpy(tensor->data, expected->data, tensor->bytes);
    return NULL;
}

static void release_tensor(void *tensor)
{
    tensor_release(tensor);
}

/* FOLDER/names.txt: a name a line; line K (from 0) belongs to FOLDER/K.npy. */
static Status read_expected(Arena *arena, const char *folder, Map *expected)
{
    FileMap file;
    TRY(file_map(arena_printf(arena, "%s/names.txt", folder), CODE_DATA, &file));
    char *text = arena_strndup(arena, file.data == NULL ? "" : (const char *)file.data, file.size);
    file_unmap(&file);
    int k = 0;
    for (char *line = text; *line != '\0'; k++) {
        char *end = line + strcspn(line, "\n");
        char *next = *end == '\0' ? end : end + 1;
        *end = '\0';
        Tensor *tensor = arena_alloc(arena, sizeof *tensor);
        TRY(npy_read(arena_printf(arena, "%s/%d.npy", folder, k), tensor));
        arena_on_free(arena, release_tensor, tensor);
        map_put(expected, line, tensor);
        line = next;
    }
    return NULL;
}

static void name_producers(const Plan *plan, Map *producers)
{
    for (int s = 0; s < plan_n_steps(plan); s++)
        for (int i = 0; i < plan_step_n_out(plan, s); i++)
            if (plan_step_out(plan, s, i) != NULL)
                map_put(producers, plan_step_out(plan, s, i)->name, (void *)(uintptr_t)plan_step_op(plan, s));
}

static Status run_nodewise(const Plan *plan, Nodewise *nodewise, int n_inputs, char **paths)
{
    if (n_inputs != plan_n_inputs(plan) || n_inputs > MAX_INPUTS)
        return status_new(CODE_USAGE, "the model has %d inputs, %d files were given", plan_n_inputs(plan), n_inputs);
    Tensor inputs[MAX_INPUTS] = {{0}};
    Tensor *outputs = xcalloc((size_t)MAX(plan_n_outputs(plan), 1), sizeof outputs[0]);
    Runner *runner = runner_new(plan, NULL);
    Observer observer = {.value = compare_value, .context = nodewise};
    Status status = NULL;
    for (int i = 0; i < n_inputs && status == NULL; i++)
        status = npy_read(paths[i], &inputs[i]);
    if (status == NULL)
        status = runner_run(runner, inputs, &observer, outputs);
    if (status == NULL && nodewise->seen != map_count(nodewise->expected))
        status = status_new(CODE_MODEL, "of %zu values of ONNX Runtime %zu were computed here",
                            map_count(nodewise->expected), nodewise->seen);
    for (int i = 0; i < n_inputs; i++)
        tensor_release(&inputs[i]);
    runner_free(runner);
    free(outputs);
    return status;
}

static Status nodewise(const char *path, const char *folder, int n_inputs, char **inputs)
{
    Model *model = NULL;
    Plan *plan = NULL;
    Arena *arena = arena_new();
    Nodewise state = {.expected = map_new(), .producers = map_new()};
    Status status = load(path, &model);
    if (status == NULL)
        status = plan_new(model, NULL, &plan);
    if (status == NULL)
        status = read_expected(arena, folder, state.expected);
    if (status == NULL) {
        name_producers(plan, state.producers);
        status = run_nodewise(plan, &state, n_inputs, inputs);
    }
    map_free(state.expected);
    map_free(state.producers);
    plan_free(plan);
    model_free(model);
    arena_free(arena);
    return status;
}

/* ---- run --------------------------------------------------------------------------------------------------------- */

static Status write_outputs(const Plan *plan, const Tensor *outputs, const char *folder, const char *kind)
{
    for (int k = 0; k < plan_n_outputs(plan); k++) {
        Arena *arena = arena_new();
        Status status = npy_write(arena_printf(arena, "%s/%s.%d.npy", folder, kind, k), &outputs[k]);
        arena_free(arena);
        TRY(status);
    }
    return NULL;
}

static Status run_executor(const Model *model, bool reference, const char *folder, const Tensor *inputs, int n_inputs,
                           TypeCheck *ret)
{
    const char *kind = reference ? "plain" : "fast";
    PlanOptions options = {.reference = reference, .keep_all = true};
    Plan *plan = NULL;
    TRY(plan_new(model, &options, &plan));
    Runner *runner = runner_new(plan, NULL);
    Tensor *outputs = xcalloc((size_t)MAX(plan_n_outputs(plan), 1), sizeof outputs[0]);
    *ret = types_check_new(plan);
    Observer observer = {.value = types_check, .context = ret};
    Status status = NULL;
    if (n_inputs != plan_n_inputs(plan))
        status = status_new(CODE_USAGE, "the model has %d inputs, %d files were given", plan_n_inputs(plan), n_inputs);
    if (status == NULL)
        status = runner_run(runner, inputs, &observer, outputs);
    if (status == NULL)
        status = write_outputs(plan, outputs, folder, kind);
    runner_free(runner);
    free(outputs);
    plan_free(plan);
    return status_prefix(status, "%s", kind);
}

static Status run_both(const char *path, const char *folder, int n_inputs, char **paths)
{
    Model *model = NULL;
    Tensor inputs[MAX_INPUTS] = {{0}};
    TypeCheck check;
    Status status = n_inputs > MAX_INPUTS ? status_new(CODE_USAGE, "more than %d inputs", MAX_INPUTS) : load(path, &model);
    for (int i = 0; i < n_inputs && status == NULL; i++)
        status = npy_read(paths[i], &inputs[i]);
    for (int reference = 0; reference < 2 && status == NULL; reference++)
        status = run_executor(model, reference == 1, folder, inputs, n_inputs, &check);
    if (status == NULL)
        printf("{\"values\":%lld,\"exact\":%lld}\n", (long long)check.values, (long long)check.exact);
    for (int i = 0; i < MIN(n_inputs, MAX_INPUTS); i++)
        tensor_release(&inputs[i]);
    model_free(model);
    return status;
}

/* ---- weighted ---------------------------------------------------------------------------------------------------- */

/* Float forms of the heavy ops, those that the runtime's own rewrites make included; any domain. */
static const char *const float_ops[] = {
    "Conv", "ConvTranspose", "Gemm", "MatMul", "FusedConv", "FusedGemm", "FusedMatMul", "FusedMatMulActivation", NULL,
};

static bool is_float_op(const char *op_type)
{
    for (size_t i = 0; float_ops[i] != NULL; i++)
        if (strcmp(float_ops[i], op_type) == 0)
            return true;
    return false;
}

/* A constant behind any chain of ops whose inputs are all constants: DequantizeLinear, Transpose, Cast ... */
static bool is_constant_float(const Value *value, int depth)
{
    if (value == NULL)
        return false;
    if (value->constant != NULL)
        return depth > 0 || dtype_is_float(value->constant->dtype);
    if (value->producer == NULL || depth == 8)
        return false;
    if (value->producer->n_in == 0)
        return node_is(value->producer, "Constant");
    for (int i = 0; i < value->producer->n_in; i++)
        if (value->producer->in[i] != NULL && !is_constant_float(value->producer->in[i], depth + 1))
            return false;
    return true;
}

/* The float op of `before` that made a value. Names of values outlive those of nodes that are joined; where the layout is the
 * runtime's own, a node is called as its value was, with a word behind. NULL when it is none. */
static const Node *node_behind(const Model *before, const char *output)
{
    size_t length = strlen(output), tail = strlen("_nchwc");
    length -= length > tail && strcmp(output + length - tail, "_nchwc") == 0 ? tail : 0;
    const Node *made = NULL;
    for (const Node *node = before->graph->first; node != NULL && made == NULL; node = node->next)
        for (int i = 0; i < node->n_out; i++)
            if (node->out[i] != NULL && strncmp(node->out[i]->name, output, length) == 0 && node->out[i]->name[length] == '\0')
                made = node;
    for (int steps = 0; made != NULL && !is_float_op(made->op_type); steps++)
        made = steps == 4 || node_in(made, 0) == NULL ? NULL : node_in(made, 0)->producer;
    return made;
}

typedef struct Weighted {
    const Model *before; /* or NULL */
    cJSON *floats; /* rows of ops that run on float weights */
    cJSON *ops;    /* op type -> count */
} Weighted;

static void look_at_graph(void *context, Graph *graph)
{
    Weighted *weighted = context;
    for (const Node *node = graph->first; node != NULL; node = node->next) {
        cJSON *count = cJSON_GetObjectItemCaseSensitive(weighted->ops, node->op_type);
        if (count == NULL)
            cJSON_AddNumberToObject(weighted->ops, node->op_type, 1);
        else
            cJSON_SetNumberValue(count, count->valuedouble + 1);
        if (!is_float_op(node->op_type))
            continue;
        bool constant = is_constant_float(node_in(node, 1), 0) ||
                        (strstr(node->op_type, "Conv") == NULL && is_constant_float(node_in(node, 0), 0));
        if (!constant)
            continue;
        cJSON *row = cJSON_CreateObject();
        cJSON_AddItemToArray(weighted->floats, row);
        cJSON_AddStringToObject(row, "op", node->op_type);
        cJSON_AddStringToObject(row, "name", node->name);
        cJSON_AddStringToObject(row, "output", node->n_out > 0 && node->out[0] != NULL ? node->out[0]->name : "");
        cJSON_AddStringToObject(row, "weight", node_in(node, 1) == NULL ? "" : node_in(node, 1)->name);
        const Node *behind = weighted->before == NULL ? NULL : node_behind(weighted->before, node->name);
        if (behind == NULL && weighted->before != NULL && node->n_out > 0 && node->out[0] != NULL)
            behind = node_behind(weighted->before, node->out[0]->name);
        cJSON_AddStringToObject(row, "node", behind == NULL ? "" : behind->name);
    }
}

static Status list_weighted(const char *path, const char *before_path)
{
    Model *model = NULL, *before = NULL;
    if (before_path != NULL)
        TRY(onnx_load(before_path, &before));
    Status status = onnx_load(path, &model);
    if (status != NULL) {
        model_free(before);
        return status;
    }
    cJSON *root = cJSON_CreateObject();
    Weighted weighted = {.before = before, .floats = cJSON_AddArrayToObject(root, "float"), .ops = cJSON_AddObjectToObject(root, "ops")};
    graph_each(model->graph, look_at_graph, &weighted);
    print_json(root);
    model_free(before);
    model_free(model);
    return NULL;
}

/* ---- profile ----------------------------------------------------------------------------------------------------- */

/* {"weighted": in integers, "floats": not, "problem": the first rule of the target that is broken, or ""} */
static Status list_profile(const char *path, const char *name)
{
    Model *model = NULL;
    const Target *target = target_find(name);
    if (target == NULL)
        return status_new(CODE_USAGE, "no target '%s'", name);
    TRY(onnx_load(path, &model));
    ProfileFound found = profile_check(model, target);
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "weighted", found.weighted);
    cJSON_AddNumberToObject(root, "floats", found.floats);
    cJSON_AddStringToObject(root, "problem", found.problem);
    print_json(root);
    model_free(model);
    return NULL;
}

/* ---- large ------------------------------------------------------------------------------------------------------- */

static Status write_large(const char *name, const char *nodes, const char *out)
{
    const LargeKind *kind = large_kinds;
    while (kind->name != NULL && strcmp(kind->name, name) != 0)
        kind++;
    if (kind->name == NULL)
        return status_new(CODE_USAGE, "no kind of graph '%s'", name);
    Model *model = large_model(kind, (int)strtol(nodes, NULL, 10));
    Status status = onnx_save(model, out, EXTERNAL_AUTO, NULL);
    model_free(model);
    return status;
}

static Status list_large(void)
{
    for (const LargeKind *kind = large_kinds; kind->name != NULL; kind++)
        printf("%s\n", kind->name);
    return NULL;
}

static Status dispatch(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    if (strcmp(command, "copy") == 0 && argc == 4)
        return copy(argv[2], argv[3]);
    if (strcmp(command, "half") == 0 && argc == 4)
        return write_half(argv[2], argv[3]);
    if (strcmp(command, "expose") == 0 && argc == 4)
        return expose(argv[2], argv[3]);
    if (strcmp(command, "nodewise") == 0 && argc >= 4)
        return nodewise(argv[2], argv[3], argc - 4, argv + 4);
    if (strcmp(command, "weighted") == 0 && (argc == 3 || argc == 4))
        return list_weighted(argv[2], argc > 3 ? argv[3] : NULL);
    if (strcmp(command, "profile") == 0 && argc == 4)
        return list_profile(argv[2], argv[3]);
    if (strcmp(command, "large") == 0 && argc == 5)
        return write_large(argv[2], argv[3], argv[4]);
    if (strcmp(command, "large") == 0 && argc == 2)
        return list_large();
    if (strcmp(command, "run") == 0 && argc >= 4)
        return run_both(argv[2], argv[3], argc - 4, argv + 4);
    return status_new(CODE_USAGE, "usage: probe copy|half|expose MODEL OUT, probe nodewise|run MODEL FOLDER INPUT.npy..., "
                                  "probe weighted MODEL [BEFORE], probe profile MODEL TARGET, probe large [KIND NODES OUT]");
}

int main(int argc, char **argv)
{
    Status status = dispatch(argc, argv);
    if (status == NULL)
        return 0;
    fprintf(stderr, "probe: %s\n", status_message(status));
    int code = status_code(status);
    status_free(status);
    return code;
}
