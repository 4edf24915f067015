/* command_calibrate.c - `quantize calibrate` writes a range table, or one shard's part of it; `quantize merge` joins parts.
 *
 *     calibrate --shard 1/4 -o 1.json ─┐
 *     ...                              ├─ merge 1.json ... 4.json -o ranges.json = calibrate -o ranges.json
 *     calibrate --shard 4/4 -o 4.json ─┘
 */
#include "src/app/app.h"
#include "src/ops/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- calibrate --------------------------------------------------------------------------------------------------- */

typedef struct Calibrate {
    const Options *options;
    Arena *arena;
    Team *team;
    Model *model;
    Plan *plan;
    Dataset *dataset;
    ModelFacts facts;
    Sights sights;
} Calibrate;

static void tell_oddities(const Sights *sights, Arena *arena)
{
    const char *lines[] = {calibration_skipped(sights, arena), calibration_not_finite(sights, arena)};
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        if (lines[i] != NULL)
            console_warn("%s", lines[i]);
}

static Status write_table(const Options *options, const RangeSource *source, const Sights *sights, Team *team,
                          double seconds)
{
    double started = clock_seconds();
    RangeRule rule;
    if (!range_rule_parse(source->rule, &rule))
        return status_new(CODE_DATA, "unknown method '%s'", source->rule);
    RangeTable *ranges = sights_choose(sights, rule, team);
    Status status = ranges_write(options->output, source, ranges, sights);
    if (status == NULL)
        printf("%s: %zu ranges from %lld samples, method %s, %.2f s, peak memory %.1f MB\n", options->output,
               ranges_count(ranges), (long long)sights->samples, source->rule, seconds + clock_seconds() - started,
               (double)peak_memory_bytes() / 1e6);
    ranges_free(ranges);
    return status;
}

static Status open_model(Calibrate *c)
{
    const Options *options = c->options;
    TRY(model_open(options->model, &c->model, NULL));
    TRY(facts_read(c->model, options->model, &c->facts));
    PassRecord *records = arena_array(c->arena, pass_count(), sizeof records[0]);
    TRY(setup_simplify(options, c->model, setup_target(options), records));
    return setup_plan(options, c->model, &c->plan);
}

static Status calibrate(Calibrate *c)
{
    const Options *options = c->options;
    RangeRule rule;
    Preprocess preprocess;
    const char *from = "";
    double seconds;
    TRY(setup_method(options, &rule));
    TRY(open_model(c));
    TRY(setup_preprocess(options, c->model, c->arena, &preprocess, &from));
    TRY(setup_dataset(options, c->plan, &preprocess, options->calib, options->samples, &c->dataset));
    if (dataset_warning(c->dataset) != NULL)
        console_warn("%s", dataset_warning(c->dataset));
    console_note(options, "calibration data: %lld of %lld samples (%s), %s [%s]", (long long)dataset_count(c->dataset),
                 (long long)dataset_total(c->dataset), dataset_reader(c->dataset), dataset_describe(c->dataset), from);
    TRY(calibration_run(options, c->plan, c->dataset, c->team, NULL, &seconds, &c->sights));
    tell_oddities(&c->sights, c->arena);
    RangeSource source = calibration_source(options, c->facts.sha256, c->dataset, c->arena);
    if (options->dry_run)
        return NULL;
    if (options->shard == NULL)
        return write_table(options, &source, &c->sights, c->team, seconds);
    TRY(part_write(options->output, &source, &c->sights));
    printf("%s: shard %s, %lld samples\n", options->output, options->shard, (long long)c->sights.samples);
    return NULL;
}

Status command_calibrate(const Options *options, int *ret_exit)
{
    (void)ret_exit;
    if (options->list_passes || options->list_presets) {
        list_tables(options);
        return NULL;
    }
    if (options->calib == NULL && options->inputs.n == 0)
        return status_new(CODE_USAGE, "no calibration data; give a folder with --calib DIR");
    if (options->output == NULL && !options->dry_run)
        return status_new(CODE_USAGE, "no output; name the range table or part with -o FILE.json");
    Calibrate c = {.options = options, .arena = arena_new(), .team = team_new((int)MIN(options->threads, 4096))};
    Status status = calibrate(&c);
    sights_release(&c.sights);
    dataset_free(c.dataset);
    plan_free(c.plan);
    facts_release(&c.facts);
    model_free(c.model);
    team_free(c.team);
    arena_free(c.arena);
    return status;
}

/* ---- merge ------------------------------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static Status check_part(const char *path, const RangeSource *part, const RangeSource *first, const char *first_path,
                         const char **by_shard)
{
    const struct {
        const char *what;
        bool same;
    } facts[] = {
        {"model", same_text(part->model_sha256, first->model_sha256)},
        {"passes", same_text(part->passes, first->passes)},
        {"preprocessing", same_text(part->preprocessing, first->preprocessing)},
        {"method", same_text(part->rule, first->rule)},
        {"list of samples", same_text(part->data_sha256, first->data_sha256)},
        {"number of shards", part->shards == first->shards},
    };
    for (size_t i = 0; i < COUNT_OF(facts); i++)
        if (!facts[i].same)
            return status_new(CODE_DATA, "%s: another %s than %s", path, facts[i].what, first_path);
    if (by_shard[part->shard - 1] != NULL)
        return status_new(CODE_DATA, "%s: shard %lld is in %s already", path, (long long)part->shard,
                          by_shard[part->shard - 1]);
    by_shard[part->shard - 1] = path;
    return NULL;
}

/* Parts in the order given: it does not show in the result. */
static Status merge_parts(const Options *options, Arena *arena, RangeSource *ret_source, Sights *ret)
{
    const char **by_shard = NULL;
    Sights all = {0};
    Status status = NULL;
    for (int i = 0; i < options->n_words && status == NULL; i++) {
        RangeSource source;
        Sights part;
        status = part_read(options->words[i], arena, &source, &part);
        if (status != NULL)
            break;
        if (i == 0 && source.shards != options->n_words) {
            status = status_new(CODE_DATA, "%s: one of %lld shards, %d part%s given", options->words[i],
                                (long long)source.shards, options->n_words, options->n_words == 1 ? "" : "s");
        } else if (i == 0) {
            *ret_source = source;
            by_shard = arena_array(arena, (size_t)source.shards, sizeof by_shard[0]);
        }
        if (status == NULL)
            status = check_part(options->words[i], &source, ret_source, options->words[0], by_shard);
        all.arena = arena;
        if (status == NULL)
            sights_merge(&all, &part);
        sights_release(&part);
    }
    all.arena = NULL; /* the caller's */
    if (status != NULL)
        sights_release(&all);
    else
        *ret = all;
    return status;
}

Status command_merge(const Options *options, int *ret_exit)
{
    (void)ret_exit;
    RangeRule rule;
    TRY(setup_method(options, &rule));
    if (options->output == NULL)
        return status_new(CODE_USAGE, "no output; name the range table with -o RANGES.json");
    Arena *arena = arena_new();
    Team *team = team_new(0);
    RangeSource source = {0};
    Sights sights;
    Status status = merge_parts(options, arena, &source, &sights);
    if (status == NULL) {
        tell_oddities(&sights, arena);
        if (options->method != NULL)
            source.rule = options->method;
        status = write_table(options, &source, &sights, team, 0);
        sights_release(&sights);
    }
    team_free(team);
    arena_free(arena);
    return status;
}
