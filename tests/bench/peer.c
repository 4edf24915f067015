/* peer.c - our side of `make bench`: runs a model when told, line by line; ort_peer.js is the other side and speaks the same.
 *
 *     peer MODEL THREADS          one line of JSON when it is ready: times of start-up, names of the inputs
 *     input I FILE.npy            -> {}
 *     run SECONDS                 -> {"seconds": [...], "cpu": [...]}  runs until the time is up, once at least
 *     write FOLDER                -> {"outputs": [names]}    outputs of the last run as FOLDER/K.npy
 *     memory                      -> {"peak": bytes}
 */
#include "src/app/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct Peer {
    Model *model;
    Plan *plan;
    Team *team;
    Runner *runner;
    Tensor *inputs, *outputs;
    double load, simplify, plan_seconds;
} Peer;

static void answer(cJSON *object)
{
    char *text = cJSON_PrintUnformatted(object);
    printf("%s\n", text == NULL ? "{}" : text);
    fflush(stdout);
    free(text);
    cJSON_Delete(object);
}

static Status open_model(Peer *peer, const char *path, int threads)
{
    PassOptions passes = {0};
    double start = clock_seconds();
    TRY(onnx_load(path, &peer->model));
    TRY(ops_infer_file(peer->model));
    double loaded = clock_seconds();
    PassRecord *records = xcalloc(pass_count(), sizeof records[0]);
    Status status = passes_run(peer->model, PASS_RAISE, &passes, NULL, NULL, NULL, records);
    if (status == NULL)
        status = passes_run(peer->model, PASS_SIMPLIFY, &passes, NULL, NULL, NULL, records);
    free(records);
    TRY(status);
    double simplified = clock_seconds();
    TRY(plan_new(peer->model, NULL, &peer->plan));
    peer->load = loaded - start;
    peer->simplify = simplified - loaded;
    peer->plan_seconds = clock_seconds() - simplified;
    peer->team = threads > 1 ? team_new(threads) : NULL;
    peer->runner = runner_new(peer->plan, peer->team);
    peer->inputs = xcalloc((size_t)plan_n_inputs(peer->plan) + 1, sizeof peer->inputs[0]);
    peer->outputs = xcalloc((size_t)plan_n_outputs(peer->plan) + 1, sizeof peer->outputs[0]);
    cJSON *ready = cJSON_CreateObject();
    cJSON_AddNumberToObject(ready, "load", peer->load);
    cJSON_AddNumberToObject(ready, "simplify", peer->simplify);
    cJSON_AddNumberToObject(ready, "plan", peer->plan_seconds);
    cJSON *names = cJSON_AddArrayToObject(ready, "inputs");
    for (int i = 0; i < plan_n_inputs(peer->plan); i++)
        cJSON_AddItemToArray(names, cJSON_CreateString(plan_input(peer->plan, i)->name));
    answer(ready);
    return NULL;
}

static Status read_input(Peer *peer, const char *words)
{
    int i = -1, used = 0;
    if (sscanf(words, "%9d %n", &i, &used) != 1 || i < 0 || i >= plan_n_inputs(peer->plan))
        return status_new(CODE_USAGE, "no input '%s'", words);
    tensor_release(&peer->inputs[i]);
    TRY(npy_read(words + used, &peer->inputs[i]));
    answer(cJSON_CreateObject());
    return NULL;
}

/* Of all threads of the process. */
static double cpu_seconds(void)
{
    struct timespec now;
    return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) != 0 ? 0.0 : (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static Status run(Peer *peer, double seconds)
{
    cJSON *result = cJSON_CreateObject(), *times = cJSON_AddArrayToObject(result, "seconds");
    cJSON *cpu = cJSON_AddArrayToObject(result, "cpu");
    double start = clock_seconds(), end = start, cpu_end = cpu_seconds();
    do {
        double begin = end, cpu_begin = cpu_end;
        Status status = runner_run(peer->runner, peer->inputs, NULL, peer->outputs);
        if (status != NULL) {
            cJSON_Delete(result);
            return status;
        }
        end = clock_seconds();
        cpu_end = cpu_seconds();
        cJSON_AddItemToArray(times, cJSON_CreateNumber(end - begin));
        cJSON_AddItemToArray(cpu, cJSON_CreateNumber(cpu_end - cpu_begin));
    } while (end - start < seconds);
    answer(result);
    return NULL;
}

static Status write_outputs(const Peer *peer, const char *folder)
{
    cJSON *result = cJSON_CreateObject(), *names = cJSON_AddArrayToObject(result, "outputs");
    Status status = NULL;
    for (int i = 0; i < plan_n_outputs(peer->plan) && status == NULL; i++) {
        char *path = xprintf("%s/%d.npy", folder, i);
        status = npy_write(path, &peer->outputs[i]);
        free(path);
        cJSON_AddItemToArray(names, cJSON_CreateString(plan_output(peer->plan, i)->name));
    }
    if (status == NULL)
        answer(result);
    else
        cJSON_Delete(result);
    return status;
}

static Status obey(Peer *peer, const char *line)
{
    if (strncmp(line, "input ", 6) == 0)
        return read_input(peer, line + 6);
    if (strncmp(line, "run ", 4) == 0)
        return run(peer, strtod(line + 4, NULL));
    if (strncmp(line, "write ", 6) == 0)
        return write_outputs(peer, line + 6);
    if (strcmp(line, "memory") != 0)
        return status_new(CODE_USAGE, "what is '%s'?", line);
    cJSON *result = cJSON_CreateObject();
    cJSON_AddNumberToObject(result, "peak", (double)peak_memory_bytes());
    answer(result);
    return NULL;
}

static Status serve(Peer *peer)
{
    char line[4096];
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        TRY(obey(peer, line));
    }
    return NULL;
}

int main(int argc, char **argv)
{
    Peer peer = {0};
    if (argc != 3)
        return CODE_USAGE;
    settle_waiting(argv);
    Status status = open_model(&peer, argv[1], (int)strtol(argv[2], NULL, 10));
    if (status == NULL)
        status = serve(&peer);
    int code = status_code(status);
    if (status != NULL)
        fprintf(stderr, "peer: %s\n", status_message(status));
    status_free(status);
    for (int i = 0; peer.plan != NULL && i < plan_n_inputs(peer.plan); i++)
        tensor_release(&peer.inputs[i]);
    runner_free(peer.runner);
    plan_free(peer.plan);
    team_free(peer.team);
    model_free(peer.model);
    free(peer.inputs);
    free(peer.outputs);
    return code;
}
