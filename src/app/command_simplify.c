/* command_simplify.c - `quantize simplify MODEL -o OUT`: raise and simplify, then write. */
#include "src/app/app.h"
#include "src/ops/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Status simplify(const Options *options, Model *model)
{
    PassRecord *records = xcalloc(pass_count(), sizeof records[0]);
    Status status = status_prefix(ops_infer(model), "%s: shape inference", options->model);
    int before = model_count_nodes(model);
    if (status == NULL)
        status = setup_simplify(options, model, records);
    if (status == NULL) {
        for (size_t i = 0; i < pass_count(); i++)
            if (records[i].changes > 0)
                printf("%-30s %6lld changes, %d -> %d nodes\n", records[i].pass->name, (long long)records[i].changes,
                       records[i].nodes_before, records[i].nodes_after);
        printf("nodes %d -> %d\n", before, model_count_nodes(model));
    }
    free(records);
    if (status == NULL && options->output != NULL && !options->dry_run) {
        status = onnx_save(model, options->output, setup_external(options), NULL);
        if (status == NULL)
            printf("written %s\n", options->output);
    }
    return status;
}

Status command_simplify(const Options *options, int *ret_exit)
{
    (void)ret_exit;
    if (options->list_passes) {
        list_tables(options);
        return NULL;
    }
    if (options->output == NULL && !options->dry_run)
        return status_new(CODE_USAGE, "no output given; name it with -o OUT.onnx, or try with --dry-run");
    if (options->output != NULL && path_same_file(options->output, options->model))
        return status_new(CODE_USAGE, "'%s' is the model itself; name another output", options->output);
    Model *model = NULL;
    TRY(onnx_load(options->model, &model));
    Status status = simplify(options, model);
    model_free(model);
    return status;
}
