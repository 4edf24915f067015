/* command_eval.c - `quantize eval` and `quantize compare`: one model against labels, two models against each other. */
#include "src/app/app.h"
#include "src/ops/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Side {
    Model *model;
    Plan *plan;
} Side;

static Status open_side(const Options *options, const char *path, Side *side)
{
    TRY(model_open(path, &side->model, NULL));
    return setup_plan(options, side->model, &side->plan);
}

static void print_evaluation(const Options *options, const Evaluation *e, bool two)
{
    char room[32];
    if (e->skipped > 0)
        console_warn("%lld files could not be read", (long long)e->skipped);
    if (e->labelled > 0) {
        printf("top-1      %8.2f %%", e->top1[0]);
        if (two)
            printf(" %8.2f %%   drop %+.2f points", e->top1[1], e->top1[0] - e->top1[1]);
        printf("   %lld labelled samples\ntop-5      %8.2f %%", (long long)e->labelled, e->top5[0]);
        if (two)
            printf(" %8.2f %%", e->top5[1]);
        printf("\n");
    }
    if (two && e->classes)
        printf("agreement  %8.2f %%   same best class, %lld samples\n", e->agreement, (long long)e->samples);
    for (int i = 0; i < e->n_outputs; i++)
        printf("SQNR       %11s  cosine %.6f, max difference %.4g, output '%s'\n", sqnr_text(e->outputs[i].sqnr_db, room),
               e->outputs[i].cosine, e->outputs[i].max_abs_diff, e->outputs[i].name);
    (void)options;
}

static Status evaluate_sides(const Options *options, Side sides[2], Evaluation *ret)
{
    Arena *arena = arena_new();
    Team *team = team_new((int)MIN(options->threads, 4096));
    Preprocess preprocess;
    const char *source = "";
    Dataset *dataset = NULL;
    Labels *labels = NULL;
    StateLink links[TEXTS_MAX];
    int n_links = 0;
    Status status = setup_preprocess(options, sides[0].model, arena, &preprocess, &source);
    if (status == NULL && options->labels != NULL)
        status = labels_read(options->labels, &labels);
    if (status == NULL)
        status = setup_states(options, sides[0].plan, links, &n_links);
    if (status == NULL)
        status = setup_dataset(options, sides[0].plan, &preprocess, options->data, options->samples, &dataset);
    if (status == NULL) {
        console_note(options, "data: %lld samples (%s), %s [%s]", (long long)dataset_count(dataset),
                     dataset_reader(dataset), dataset_describe(dataset), source);
        ProgressBar bar;
        progress_begin(&bar, "measuring", options);
        Progress progress = progress_hook(&bar);
        const EvaluateOptions given = {.labels = labels, .links = links, .n_links = n_links, .progress = &progress};
        status = evaluate(sides[0].plan, sides[1].plan, dataset, &given, team, ret);
        if (status == NULL)
            progress_end(&bar);
    }
    dataset_free(dataset);
    labels_free(labels);
    team_free(team);
    arena_free(arena);
    return status;
}

static Status run_sides(const Options *options, const char *second, int *ret_exit)
{
    if (options->list_presets) {
        list_tables(options);
        return NULL;
    }
    if (options->data == NULL && options->inputs.n == 0)
        return status_new(CODE_USAGE, "no data; give a folder with --data DIR");
    Side sides[2] = {{0}, {0}};
    Evaluation evaluation = {0};
    Status status = open_side(options, options->model, &sides[0]);
    if (status == NULL && second != NULL)
        status = open_side(options, second, &sides[1]);
    if (status == NULL)
        status = evaluate_sides(options, sides, &evaluation);
    if (status == NULL) {
        print_evaluation(options, &evaluation, second != NULL);
        double drop =
            evaluation.labelled > 0 ? evaluation.top1[0] - evaluation.top1[1] : 100.0 - evaluation.agreement;
        if (second != NULL && !isnan(options->max_drop) && !(drop <= options->max_drop))
            *ret_exit = CODE_SHORT;
        evaluation_release(&evaluation);
    }
    for (int i = 0; i < 2; i++) {
        plan_free(sides[i].plan);
        model_free(sides[i].model);
    }
    return status;
}

Status command_eval(const Options *options, int *ret_exit)
{
    if (options->labels == NULL && !options->list_presets)
        return status_new(CODE_USAGE, "no labels; give lines of `file index` with --labels FILE");
    return run_sides(options, NULL, ret_exit);
}

Status command_compare(const Options *options, int *ret_exit)
{
    return run_sides(options, options->second_model, ret_exit);
}
