/* calibration.c - what the main job and `quantize calibrate` share: the run over the data, range tables, and what was odd. */
#include "src/app/app.h"

#include <stdlib.h>
#include <string.h>

RangeSource calibration_source(const Options *options, const char *model_sha256, const Dataset *dataset, Arena *arena)
{
    char hash[65] = "";
    if (dataset != NULL)
        dataset_hash(dataset, hash);
    int64_t shard = 1, shards = 1;
    if (options->shard != NULL) { /* setup_dataset has checked it */
        shard = strtoll(options->shard, NULL, 10);
        shards = strtoll(strchr(options->shard, '/') + 1, NULL, 10);
    }
    return (RangeSource){
        .model_sha256 = model_sha256,
        .passes = arena_printf(arena, "target=%s%s%s%s", setup_target(options)->name,
                               options->no_simplify ? " no-simplify" : "", options->passes == NULL ? "" : " passes=",
                               options->passes == NULL ? "" : options->passes),
        .data = options->calib,
        .reader = dataset == NULL ? NULL : dataset_reader(dataset),
        .preprocessing = dataset == NULL ? NULL : dataset_describe(dataset),
        .data_sha256 = arena_strdup(arena, hash),
        .rule = options->method == NULL ? "auto" : options->method,
        .shard = shard,
        .shards = shards};
}

Status calibration_run(const Options *options, const Plan *plan, const Dataset *dataset, Team *team, KeptOutputs *kept,
                       double *ret_seconds, Sights *ret)
{
    StateLink links[TEXTS_MAX];
    CollectOptions collect = {.links = links, .kept = kept};
    TRY(setup_states(options, plan, links, &collect.n_links));
    Arena *arena = arena_new();
    collect.levels = quant_watch_levels(plan_model(plan), setup_target(options), arena);
    ProgressBar bar;
    progress_begin(&bar, "calibrating", options);
    Progress progress = progress_hook(&bar);
    Status status = collect_sights(plan, dataset, &collect, team, &progress, ret);
    arena_free(arena);
    if (status == NULL)
        progress_end(&bar);
    *ret_seconds = clock_seconds() - bar.started;
    return status;
}

/* A table may lack values - they stay float - but may not name any that the graph has not. */
static Status check_names(const char *path, const Model *model, const RangeTable *ranges)
{
    for (size_t i = 0; i < ranges_count(ranges); i++)
        if (!map_has(model->names, ranges_at(ranges, i)->name))
            return status_new(CODE_DATA, "%s: the model has no value '%s'", path, ranges_at(ranges, i)->name);
    return NULL;
}

Status calibration_read(const Options *options, const Model *model, const char *model_sha256, Arena *arena,
                        RangeSource *ret_source, CollectResult *ret)
{
    RangeSource expected = calibration_source(options, model_sha256, NULL, arena);
    CollectResult result = {0};
    TRY(ranges_read(options->ranges_in, &expected, arena, ret_source, &result.ranges, &result.sights));
    Status status = check_names(options->ranges_in, model, result.ranges);
    if (status != NULL)
        collect_release(&result);
    else
        *ret = result;
    return status;
}

char *calibration_skipped(const Sights *sights, Arena *arena)
{
    if (sights->n_skipped == 0)
        return NULL;
    return arena_printf(arena, "%zu of %lld calibration files were skipped; the first: '%s': %s", sights->n_skipped,
                        (long long)sights->offered, sights->skipped[0].file, sights->skipped[0].reason);
}

char *calibration_not_finite(const Sights *sights, Arena *arena)
{
    const Sight *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < sights->n; i++) {
        if (sights->rows[i].bad_sample < 0)
            continue;
        n++;
        first = first == NULL ? &sights->rows[i] : first;
    }
    if (first == NULL)
        return NULL;
    return arena_printf(arena, "%zu value%s held NaN or infinities, which the ranges leave out; the first: '%s'%s%s, sample '%s'",
                        n, n == 1 ? "" : "s", first->name, first->node[0] == '\0' ? ", an input" : " of ", first->node,
                        first->bad_file == NULL ? "" : first->bad_file);
}
