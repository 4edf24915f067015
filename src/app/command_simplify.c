/* command_simplify.c - `quantize simplify MODEL -o OUT`: raise and simplify, prove by execution, then write.
 *
 *     MODEL ─┬─ passes ─ simplified ─┬─ the same outputs on random inputs? ─ yes ─ OUT
 *            └─ as it is ────────────┘                                     └ no ── exit 1, nothing written
 */
#include "src/app/app.h"
#include "src/ops/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int count_of(const cJSON *ops, const char *op)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(ops, op);
    return item == NULL ? 0 : item->valueint;
}

/* Ops whose number changed, in the order of the model as it was, then those that are new. */
static void print_ops(const cJSON *before, const cJSON *after)
{
    printf("%-30s %7s %7s\n", "op", "before", "after");
    for (const cJSON *op = before->child; op != NULL; op = op->next)
        if (count_of(after, op->string) != op->valueint)
            printf("%-30s %7d %7d\n", op->string, op->valueint, count_of(after, op->string));
    for (const cJSON *op = after->child; op != NULL; op = op->next)
        if (count_of(before, op->string) == 0)
            printf("%-30s %7d %7d\n", op->string, 0, op->valueint);
}

static void print_passes(const PassRecord *records)
{
    printf("%-30s %7s %7s %7s\n", "pass", "changes", "before", "after");
    for (size_t i = 0; i < pass_count(); i++)
        if (records[i].changes > 0)
            printf("%-30s %7lld %7d %7d\n", records[i].pass->name, (long long)records[i].changes,
                   records[i].nodes_before, records[i].nodes_after);
}

static Status prove(const Options *options, const Model *simplified, bool *ret_equal)
{
    RandomProof proof;
    PlanOptions plan_options = {.reference = options->executor != NULL && strcmp(options->executor, "reference") == 0};
    Model *original = NULL;
    TRY(dump_folder(options->save_inputs));
    const char *said_before = NULL;
    TRY(model_open(options->model, &original, &said_before));
    Status status = status_prefix(proof_random(original, simplified, options->shape, options->save_inputs, &plan_options,
                                               &proof), "proof");
    model_free(original);
    if (status_code(status) == CODE_USAGE || status_code(status) == CODE_INTERRUPTED)
        return status;
    double limit = status == NULL ? fmax(PROOF_TOLERANCE, PROOF_NOISE * proof.own_noise) : 0.0;
    *ret_equal = status == NULL && !(proof.max_relative_diff > limit);
    if (status != NULL) {
        printf("%s\n", status_message(status));
        status_free(status);
        return NULL;
    }
    for (int i = 0; i < proof.runs; i++)
        printf("proof  run on %s\n", proof.sizes[i]);
    if (proof.runs == 0)
        printf("proof  none: %s\n", proof.reason == NULL ? "the model has no run" : proof.reason);
    else
        printf("proof  outputs %s: greatest difference %.3g, %.3g of max |output|\n",
               *ret_equal ? "equal" : "differ", proof.max_abs_diff, proof.max_relative_diff);
    if (proof.own_noise > 0)
        printf("proof  another order of its sums moves the outputs of the model as it was by %.3g of max |output|\n",
               proof.own_noise);
    free(proof.reason);
    return NULL;
}

static Status simplify(const Options *options, Model *model, int *ret_exit)
{
    PassRecord *records = xcalloc(pass_count(), sizeof records[0]);
    ModelFacts before = {0}, after = {0};
    bool equal = true;
    int nodes = model_count_nodes(model);
    facts_count(model, &before);
    Status status = setup_simplify(options, model, NULL, records);
    if (status == NULL) {
        facts_count(model, &after);
        print_ops(before.ops, after.ops);
        print_passes(records);
        printf("nodes %d -> %d\n", nodes, model_count_nodes(model));
        if (!options->no_proof)
            status = prove(options, model, &equal);
    }
    facts_release(&before);
    facts_release(&after);
    free(records);
    if (status == NULL && !equal) {
        printf("not written: the outputs differ\n");
        *ret_exit = CODE_SHORT;
    } else if (status == NULL && options->output != NULL && !options->dry_run) {
        status = onnx_save(model, options->output, setup_external(options), NULL);
        if (status == NULL)
            printf("written %s\n", options->output);
    }
    return status;
}

Status command_simplify(const Options *options, int *ret_exit)
{
    if (options->list_passes) {
        list_tables(options);
        return NULL;
    }
    if (options->output == NULL && !options->dry_run)
        return status_new(CODE_USAGE, "no output given; name it with -o OUT.onnx, or try with --dry-run");
    if (options->output != NULL && path_same_file(options->output, options->model))
        return status_new(CODE_USAGE, "'%s' is the model itself; name another output", options->output);
    Model *model = NULL;
    TRY(model_open(options->model, &model, NULL));
    Status status = simplify(options, model, ret_exit);
    model_free(model);
    return status;
}
