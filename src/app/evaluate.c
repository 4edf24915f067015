/* evaluate.c - runs one or two models over data and scores what they answer.
 *
 *     sample ─┬─ model a ─ outputs ─┐
 *             └─ model b ─ outputs ─┴─ labels: top-1, top-5;  a against b: SQNR, cosine, agreement
 *
 * Samples are split over the team. Each leaves one row of sums, and the rows are added in the order of the samples, so the
 * figures do not depend on the number of threads.
 *
 *     SQNR = 10 log10(sum a^2 / sum (a - b)^2)        cosine = sum ab / sqrt(sum a^2 sum b^2)
 */
#include "src/app/app.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 512 /* elements read at once */

typedef struct PairSums {
    double aa, bb, ab, error, max_diff;
} PairSums;

typedef struct Row {
    bool done, skipped;
    bool hit1[2], hit5[2], agree;
    int64_t label;
} Row;

typedef struct Work {
    const Plan *plans[2];
    const Dataset *dataset;
    EvaluateOptions options;
    int n_models, n_outputs;
    Runner **runners; /* [worker * 2 + model] */
    States *states[2]; /* of each model */
    Row *rows;        /* by sample */
    PairSums *sums;   /* by sample * n_outputs + output */
    bool classes;
    pthread_mutex_t lock;
    int64_t done;
    Status failure; /* the first that ends the run */
} Work;

/* Class scores: one row of at least two numbers, such as [1, C] or [1, C, 1, 1]. */
static bool is_class_scores(const Tensor *tensor)
{
    if (tensor->rank < 1 || tensor->count < 2 || !dtype_is_float(tensor->dtype))
        return false;
    int64_t greatest = 1;
    for (int i = 0; i < tensor->rank; i++)
        greatest = MAX(greatest, tensor->dims[i]);
    return greatest == tensor->count && tensor->rank <= 4;
}

static int64_t best_class(const Tensor *tensor)
{
    int64_t best = 0;
    for (int64_t i = 1; i < tensor->count; i++)
        if (tensor_get(tensor, i) > tensor_get(tensor, best))
            best = i;
    return best;
}

/* How many elements are greater than that of the label: 0 is a top-1 hit. Ties go to the smaller index, as argmax does. */
static int64_t rank_of(const Tensor *tensor, int64_t label)
{
    if (label < 0 || label >= tensor->count)
        return INT64_MAX;
    double own = tensor_get(tensor, label);
    int64_t rank = 0;
    for (int64_t i = 0; i < tensor->count; i++) {
        double other = tensor_get(tensor, i);
        rank += other > own || (other == own && i < label) || isnan(own);
    }
    return rank;
}

/* Elements that are not finite in both alike (the -inf of a mask) say nothing; in one alone they are an infinite error. */
static void add_pair(double x, double y, PairSums *sums)
{
    double difference = x - y;
    if (!isfinite(x) || !isfinite(y)) {
        if (x != y && !(isnan(x) && isnan(y)))
            sums->max_diff = INFINITY;
        return;
    }
    sums->aa += x * x;
    sums->bb += y * y;
    sums->ab += x * y;
    sums->error += difference * difference;
    sums->max_diff = fmax(sums->max_diff, fabs(difference));
}

/* Another shape is an infinite error, too: where a model finds boxes, int8 may find one more. */
static PairSums compare_tensors(const Tensor *a, const Tensor *b)
{
    PairSums sums = {0};
    if (!tensor_same_shape(a, b)) {
        sums.max_diff = INFINITY;
        return sums;
    }
    for (int64_t from = 0; from < a->count && a->dtype != DT_STRING; from += BLOCK) {
        double block[2][BLOCK];
        int64_t n = MIN(a->count - from, (int64_t)BLOCK);
        tensor_read(a, from, n, block[0]);
        tensor_read(b, from, n, block[1]);
        for (int64_t i = 0; i < n; i++)
            add_pair(block[0][i], block[1][i], &sums);
    }
    return sums;
}

static void score(Work *work, int64_t sample, const Tensor *a, const Tensor *b)
{
    Row *row = &work->rows[sample];
    const Tensor *outputs[2] = {a, b};
    row->label = work->options.labels == NULL ? -1 : labels_get(work->options.labels, dataset_file(work->dataset, sample));
    for (int m = 0; m < work->n_models && row->label >= 0; m++) {
        int64_t rank = rank_of(&outputs[m][0], row->label);
        row->hit1[m] = rank < 1;
        row->hit5[m] = rank < 5;
    }
    if (work->n_models == 1)
        return;
    row->agree = is_class_scores(&a[0]) && is_class_scores(&b[0]) && best_class(&a[0]) == best_class(&b[0]);
    for (int o = 0; o < work->n_outputs; o++)
        work->sums[sample * work->n_outputs + o] = compare_tensors(&a[o], &b[o]);
}

/* What model m answers: kept outputs, or those of a run in `own`. */
static Status answer(const Work *work, int m, int64_t sample, int worker, const Tensor *inputs, Tensor *own, const Tensor **ret)
{
    *ret = m > 0 || work->options.kept == NULL ? NULL : kept_outputs_get(work->options.kept, sample);
    if (*ret != NULL)
        return NULL;
    const Tensor *fed = states_feed(work->states[m], dataset_continues(work->dataset, sample), inputs);
    Runner **runner = &work->runners[worker * 2 + m];
    if (*runner == NULL)
        *runner = runner_new(work->plans[m], NULL);
    *ret = own;
    TRY(runner_run(*runner, fed, NULL, own));
    return states_keep(work->states[m], own);
}

static Status run_sample(Work *work, int64_t sample, int worker)
{
    Tensor *inputs = xcalloc((size_t)MAX(plan_n_inputs(work->plans[0]), 1), sizeof inputs[0]);
    Tensor *own[2] = {xcalloc((size_t)work->n_outputs, sizeof(Tensor)), xcalloc((size_t)work->n_outputs, sizeof(Tensor))};
    const Tensor *outputs[2] = {own[0], own[1]};
    Status status = dataset_load(work->dataset, sample, inputs);
    if (status_code(status) == CODE_DATA) {
        work->rows[sample].skipped = true;
        status_free(status);
        status = NULL;
    } else if (status == NULL) {
        for (int m = 0; m < work->n_models && status == NULL; m++)
            status = answer(work, m, sample, worker, inputs, own[m], &outputs[m]);
        if (status == NULL) {
            work->rows[sample].done = true;
            if (!is_class_scores(&outputs[0][0]))
                __atomic_store_n(&work->classes, false, __ATOMIC_RELAXED);
            score(work, sample, outputs[0], outputs[1]);
        } else {
            status = status_prefix(status, "%s", dataset_file(work->dataset, sample));
        }
        for (int i = 0; i < plan_n_inputs(work->plans[0]); i++)
            tensor_release(&inputs[i]);
    }
    free(inputs);
    free(own[0]);
    free(own[1]);
    return status;
}

static void work_on(void *context, int64_t sample, int worker)
{
    Work *work = context;
    pthread_mutex_lock(&work->lock);
    bool stop = work->failure != NULL;
    pthread_mutex_unlock(&work->lock);
    if (stop)
        return;
    Status status = interrupt_check();
    if (status == NULL)
        status = run_sample(work, sample, worker);
    pthread_mutex_lock(&work->lock);
    if (status != NULL && work->failure == NULL) {
        work->failure = status;
        status = NULL;
    }
    work->done++;
    const Progress *progress = work->options.progress;
    if (progress != NULL)
        progress->step(progress->context, work->done, dataset_count(work->dataset));
    pthread_mutex_unlock(&work->lock);
    status_free(status);
}

const char *sqnr_text(double sqnr_db, char room[32])
{
    if (sqnr_db <= -999.0)
        return "nothing alike";
    if (sqnr_db >= 999.0)
        return "equal";
    snprintf(room, 32, "%.1f dB", sqnr_db);
    return room;
}

/* ---- sums, in the order of the samples --------------------------------------------------------------------------- */

static OutputScore output_score(const Work *work, int output, int64_t samples)
{
    PairSums total = {0};
    for (int64_t s = 0; s < samples; s++) {
        const PairSums *row = &work->sums[s * work->n_outputs + output];
        total.aa += row->aa;
        total.bb += row->bb;
        total.ab += row->ab;
        total.error += row->error;
        total.max_diff = fmax(total.max_diff, row->max_diff);
    }
    OutputScore result = {.name = plan_output(work->plans[0], output)->name,
                          .sqnr_db = 999.0,
                          .cosine = 1.0,
                          .max_abs_diff = total.max_diff};
    if (isinf(total.max_diff))
        result.sqnr_db = -999.0;
    else if (total.error > 0.0)
        result.sqnr_db = total.aa > 0.0 ? 10.0 * log10(total.aa / total.error) : -999.0;
    if (isinf(total.max_diff))
        result.cosine = 0.0;
    else if (total.error > 0.0)
        result.cosine = total.aa > 0.0 && total.bb > 0.0 ? total.ab / sqrt(total.aa * total.bb) : 0.0;
    return result;
}

static double percent(int64_t part, int64_t whole)
{
    return whole == 0 ? NAN : 100.0 * (double)part / (double)whole;
}

static void sum_up(const Work *work, Evaluation *ret)
{
    int64_t n = dataset_count(work->dataset), hits1[2] = {0}, hits5[2] = {0}, agree = 0;
    for (int64_t s = 0; s < n; s++) {
        const Row *row = &work->rows[s];
        ret->samples += row->done;
        ret->skipped += row->skipped;
        ret->labelled += row->done && row->label >= 0;
        agree += row->agree;
        for (int m = 0; m < 2; m++) {
            hits1[m] += row->hit1[m];
            hits5[m] += row->hit5[m];
        }
    }
    ret->classes = work->classes;
    for (int m = 0; m < 2; m++) {
        ret->top1[m] = percent(hits1[m], ret->labelled);
        ret->top5[m] = percent(hits5[m], ret->labelled);
    }
    ret->agreement = work->classes && work->n_models == 2 ? percent(agree, ret->samples) : NAN;
    if (work->n_models == 1)
        return;
    ret->n_outputs = work->n_outputs;
    ret->outputs = arena_array(ret->arena, (size_t)work->n_outputs, sizeof ret->outputs[0]);
    for (int o = 0; o < work->n_outputs; o++) {
        ret->outputs[o] = output_score(work, o, n);
        ret->outputs[o].name = arena_strdup(ret->arena, ret->outputs[o].name);
    }
}

/* Inputs and outputs of the two models answer each other in order. */
static Status check_pair(const Plan *a, const Plan *b)
{
    if (plan_n_inputs(a) != plan_n_inputs(b) || plan_n_outputs(a) != plan_n_outputs(b))
        return status_new(CODE_MODEL,
                          "the models have %d and %d inputs, %d and %d outputs: two forms of one model can be compared",
                          plan_n_inputs(a), plan_n_inputs(b), plan_n_outputs(a), plan_n_outputs(b));
    for (int o = 0; o < plan_n_outputs(a); o++) {
        const Value *x = plan_output(a, o), *y = plan_output(b, o);
        Shape merged;
        if (x->type.kind == TYPE_TENSOR && y->type.kind == TYPE_TENSOR)
            TRY(status_prefix(shape_merge(&x->type.shape, &y->type.shape, &merged),
                              "output '%s' and output '%s' of the other model", x->name, y->name));
    }
    return NULL;
}

/* The arguments of evaluate(). */
typedef struct Request {
    const Plan *a, *b;
    const Dataset *dataset;
    const EvaluateOptions *options;
    Evaluation *ret;
} Request;

static Status evaluate_with(void *context, Team *team)
{
    const Request *request = context;
    const Plan *a = request->a, *b = request->b;
    const Dataset *dataset = request->dataset;
    const Labels *labels = request->options->labels;
    int64_t n = dataset_count(dataset);
    Work work = {.plans = {a, b},
                 .dataset = dataset,
                 .options = *request->options,
                 .n_models = b == NULL ? 1 : 2,
                 .n_outputs = plan_n_outputs(a),
                 .classes = true};
    int workers = team == NULL ? 1 : team_size(team);
    work.runners = xcalloc((size_t)workers * 2, sizeof work.runners[0]);
    for (int m = 0; m < 2; m++)
        work.states[m] = states_new(work.options.links, work.options.n_links, plan_n_inputs(a));
    work.rows = xcalloc((size_t)MAX(n, 1), sizeof work.rows[0]);
    work.sums = xcalloc((size_t)(MAX(n, 1) * MAX(work.n_outputs, 1)), sizeof work.sums[0]);
    pthread_mutex_init(&work.lock, NULL);
    team_run(team, n, work_on, &work);

    Status status = work.failure;
    Evaluation result = {.arena = arena_new()};
    if (status == NULL)
        sum_up(&work, &result);
    if (status == NULL && result.samples == 0)
        status = status_new(CODE_DATA, "none of the %lld samples could be read", (long long)n);
    if (status == NULL && labels != NULL && result.labelled == 0)
        status = status_new(CODE_DATA,
                            "no label matches a file of the data; lines are `file index`, file as in the folder");
    if (status == NULL && labels != NULL && !result.classes)
        status = status_new(CODE_DATA,
                            "labels need class scores, one row a sample; output '%s' is none: leave --labels out",
                            plan_output(a, 0)->name);
    for (int w = 0; w < workers * 2; w++)
        runner_free(work.runners[w]);
    for (int m = 0; m < 2; m++)
        states_free(work.states[m]);
    free(work.runners);
    free(work.rows);
    free(work.sums);
    pthread_mutex_destroy(&work.lock);
    if (status != NULL) {
        arena_free(result.arena);
        return status;
    }
    *request->ret = result;
    return NULL;
}

Status evaluate(const Plan *a, const Plan *b, const Dataset *dataset, const EvaluateOptions *options, Team *team, Evaluation *ret)
{
    if (b != NULL)
        TRY(check_pair(a, b));
    Request request = {a, b, dataset, options, ret};
    return team_try(options->n_links > 0 ? NULL : team, evaluate_with, &request); /* with states, one after the other */
}

void evaluation_release(Evaluation *evaluation)
{
    arena_free(evaluation->arena);
    *evaluation = (Evaluation){0};
}
