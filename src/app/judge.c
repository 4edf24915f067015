/* judge.c - scores a quantized model by what it answers on a few samples, against what the float model answered.
 *
 *     float model ─ K samples ─> inputs, answers (kept)          judge_new, once
 *     a candidate ─ K inputs  ─> answers ─> noise                judge_noise, as often as there are candidates
 *
 *     noise of an output = sum (a - b)^2 / sum a^2 over the samples, at most NOISE_WORST
 *                          (of a large one: over blocks, evenly spread)
 *     noise              = mean over the outputs of floats; its -10 log10 is an SQNR in dB
 *
 * Samples are split over the team; sums are added in their order, so that the figure does not depend on the threads.
 */
#include "src/app/search.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NOISE_WORST 10.0                  /* an output of another shape, or not finite */
#define BLOCK 512                         /* elements read at once */
#define KEPT_BLOCKS 512                   /* of an output, evenly spread: noise is seen in a part as well */
#define JUDGE_BYTES ((size_t)256 << 20)   /* kept at most; one sample always is */

/* What is kept of an output: a block of every step. */
typedef struct Answer {
    Tensor whole; /* its data is gone */
    Tensor kept;  /* owned; rank 1 where it is a part */
    int64_t step;
} Answer;

struct Judge {
    int n_inputs, n_outputs, n_samples;
    Tensor *inputs;   /* [sample * n_inputs + i], owned */
    Answer *answers;  /* [sample * n_outputs + o] */
};

typedef struct Hearing {
    const Judge *judge;
    Runner **runners; /* by worker */
    double *error, *signal; /* [sample * n_outputs + output] */
    pthread_mutex_t lock;
    Status failure;
} Hearing;

/* ---- what the float model answers -------------------------------------------------------------------------------- */

/* Where block j of the kept ones begins: somewhere in step j, at another place each time, lest it is always the same channels of a
 * row (a golden section of it: Weyl's sequence). */
static int64_t block_start(int64_t count, int64_t step, int64_t j)
{
    double turn = (double)j * 0.6180339887498949;
    int64_t blocks = (count + BLOCK - 1) / BLOCK, block = j * step + (int64_t)((turn - floor(turn)) * (double)step);
    return MIN(block, blocks - 1) * BLOCK;
}

/* Packed elements and text are kept whole. */
static Status keep_answer(const Tensor *output, Answer *ret)
{
    int64_t blocks = (output->count + BLOCK - 1) / BLOCK, kept = 0;
    size_t size = (size_t)dtype_bits(output->dtype) / 8;
    *ret = (Answer){.whole = *output, .step = 1};
    ret->whole.data = NULL;
    ret->whole.owned = false;
    if (blocks <= KEPT_BLOCKS || dtype_bits(output->dtype) % 8 != 0 || size == 0)
        return tensor_copy(&ret->kept, output);
    ret->step = (blocks + KEPT_BLOCKS - 1) / KEPT_BLOCKS;
    for (int64_t j = 0; j * ret->step < blocks; j++)
        kept += MIN(output->count - block_start(output->count, ret->step, j), (int64_t)BLOCK);
    TRY(tensor_alloc(&ret->kept, output->dtype, 1, &kept));
    for (int64_t j = 0, to = 0; to < kept; j++, to += BLOCK)
        memcpy((char *)ret->kept.data + (size_t)to * size,
               (const char *)output->data + (size_t)block_start(output->count, ret->step, j) * size,
               (size_t)MIN(kept - to, (int64_t)BLOCK) * size);
    return NULL;
}

/* Sample i, or nothing when it cannot be read: calibration has told of it. */
static Status take_sample(Judge *judge, Runner *runner, const Dataset *dataset, int64_t i, size_t *bytes)
{
    Tensor *inputs = &judge->inputs[judge->n_samples * judge->n_inputs];
    Answer *answers = &judge->answers[judge->n_samples * judge->n_outputs];
    Tensor *views = xcalloc((size_t)MAX(judge->n_outputs, 1), sizeof views[0]);
    Status status = dataset_load(dataset, i, inputs);
    if (status_code(status) == CODE_DATA) {
        status_free(status);
        free(views);
        return NULL;
    }
    if (status == NULL)
        status = runner_run(runner, inputs, NULL, views);
    for (int o = 0; o < judge->n_outputs && status == NULL; o++)
        status = keep_answer(&views[o], &answers[o]);
    free(views);
    if (status == NULL) {
        judge->n_samples++;
        for (int k = 0; k < judge->n_inputs; k++)
            *bytes += inputs[k].bytes;
        for (int o = 0; o < judge->n_outputs; o++)
            *bytes += answers[o].kept.bytes;
        return NULL;
    }
    for (int k = 0; k < judge->n_inputs; k++)
        tensor_release(&inputs[k]);
    for (int o = 0; o < judge->n_outputs; o++)
        tensor_release(&answers[o].kept);
    return status_prefix(status, "%s", dataset_file(dataset, i));
}

Status judge_new(const Plan *plan, const Dataset *dataset, int samples, Judge **ret)
{
    int64_t total = dataset_count(dataset), wanted = MIN((int64_t)samples, total);
    Judge *judge = xcalloc(1, sizeof *judge);
    judge->n_inputs = plan_n_inputs(plan);
    judge->n_outputs = plan_n_outputs(plan);
    judge->inputs = xcalloc((size_t)(MAX(wanted, 1) * MAX(judge->n_inputs, 1)), sizeof(Tensor));
    judge->answers = xcalloc((size_t)(MAX(wanted, 1) * MAX(judge->n_outputs, 1)), sizeof(Answer));
    Runner *runner = runner_new(plan, NULL);
    size_t bytes = 0;
    Status status = NULL;
    for (int64_t k = 0; k < wanted && status == NULL && bytes < JUDGE_BYTES; k++) {
        status = interrupt_check();
        if (status == NULL)
            status = take_sample(judge, runner, dataset, (2 * k + 1) * total / (2 * wanted), &bytes);
    }
    runner_free(runner);
    if (status != NULL) {
        judge_free(judge);
        return status;
    }
    *ret = judge;
    return NULL;
}

void judge_free(Judge *judge)
{
    if (judge == NULL)
        return;
    for (int i = 0; i < judge->n_samples * judge->n_inputs; i++)
        tensor_release(&judge->inputs[i]);
    for (int i = 0; i < judge->n_samples * judge->n_outputs; i++)
        tensor_release(&judge->answers[i].kept);
    free(judge->inputs);
    free(judge->answers);
    free(judge);
}

int judge_samples(const Judge *judge)
{
    return judge->n_samples;
}

/* ---- a candidate ------------------------------------------------------------------------------------------------- */

/* Elements that are not finite in both alike (the -inf of a mask) say nothing. */
static void add_pair(double x, double y, double *error, double *signal)
{
    bool alike = x == y || (isnan(x) && isnan(y));
    *error += alike ? 0.0 : (x - y) * (x - y);
    *signal += alike && !isfinite(x) ? 0.0 : x * x;
}

/* The same for a block, in LANES sums that do not wait for each other. */
static void add_block(const double *x, const double *y, int64_t n, double *error, double *signal)
{
    enum { LANES = 8 };
    double errors[LANES] = {0}, signals[LANES] = {0}, odd = 0.0;
    for (int64_t i = 0; i < n; i++)
        odd += x[i] * 0.0 + y[i] * 0.0; /* not 0 where any is not finite */
    int64_t whole = odd == 0.0 ? n - n % LANES : 0;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int k = 0; k < LANES; k++) {
            errors[k] += (x[i + k] - y[i + k]) * (x[i + k] - y[i + k]);
            signals[k] += x[i + k] * x[i + k];
        }
    for (int k = 0; k < LANES; k++) {
        *error += errors[k];
        *signal += signals[k];
    }
    for (int64_t i = whole; i < n; i++)
        add_pair(x[i], y[i], error, signal);
}

static void compare(const Answer *a, const Tensor *b, double *ret_error, double *ret_signal)
{
    *ret_error = *ret_signal = 0.0;
    if (!tensor_same_shape(&a->whole, b) || a->whole.dtype != b->dtype) {
        *ret_error = NAN;
        return;
    }
    for (int64_t j = 0, at = 0; at < a->kept.count; j++, at += BLOCK) {
        double block[2][BLOCK];
        int64_t from = block_start(b->count, a->step, j), n = MIN(b->count - from, (int64_t)BLOCK);
        tensor_read(&a->kept, at, n, block[0]);
        tensor_read(b, from, n, block[1]);
        add_block(block[0], block[1], n, ret_error, ret_signal);
    }
}

static Status try_sample(Hearing *hearing, int64_t sample, int worker)
{
    const Judge *judge = hearing->judge;
    TRY(interrupt_check());
    Tensor *outputs = xcalloc((size_t)MAX(judge->n_outputs, 1), sizeof outputs[0]);
    Status status = runner_run(hearing->runners[worker], &judge->inputs[sample * judge->n_inputs], NULL, outputs);
    for (int o = 0; o < judge->n_outputs && status == NULL; o++) {
        int64_t at = sample * judge->n_outputs + o;
        if (dtype_is_float(judge->answers[at].whole.dtype))
            compare(&judge->answers[at], &outputs[o], &hearing->error[at], &hearing->signal[at]);
    }
    free(outputs);
    return status;
}

static void try_one(void *context, int64_t sample, int worker)
{
    Hearing *hearing = context;
    Status status = try_sample(hearing, sample, worker);
    pthread_mutex_lock(&hearing->lock);
    if (hearing->failure == NULL) {
        hearing->failure = status;
        status = NULL;
    }
    pthread_mutex_unlock(&hearing->lock);
    status_free(status);
}

/* Over samples [from, to). */
static double sum_noise(const Hearing *hearing, int from, int to)
{
    const Judge *judge = hearing->judge;
    double noise = 0.0;
    int outputs = 0;
    for (int o = 0; o < judge->n_outputs; o++) {
        double error = 0.0, signal = 0.0;
        if (!dtype_is_float(judge->answers[o].whole.dtype))
            continue;
        for (int s = from; s < to; s++) {
            error += hearing->error[s * judge->n_outputs + o];
            signal += hearing->signal[s * judge->n_outputs + o];
        }
        double share = error == 0.0 ? 0.0 : error / signal;
        noise += share <= NOISE_WORST ? share : NOISE_WORST; /* NaN and infinity too */
        outputs++;
    }
    return outputs == 0 ? NAN : noise / outputs;
}

/* The arguments of judge_noise(). */
typedef struct Request {
    const Judge *judge;
    const Plan *candidate;
    double *ret, *ret_each;
} Request;

static Status judge_with(void *context, Team *team)
{
    const Request *request = context;
    const Judge *judge = request->judge;
    size_t cells = (size_t)MAX(judge->n_samples * judge->n_outputs, 1);
    int workers = team == NULL ? 1 : team_size(team);
    Hearing hearing = {.judge = judge,
                   .runners = xcalloc((size_t)workers, sizeof(Runner *)),
                   .error = xcalloc(cells, sizeof(double)),
                   .signal = xcalloc(cells, sizeof(double))};
    pthread_mutex_init(&hearing.lock, NULL);
    for (int w = 0; w < workers; w++)
        hearing.runners[w] = runner_new(request->candidate, NULL);
    team_run(team, judge->n_samples, try_one, &hearing);
    if (hearing.failure == NULL)
        *request->ret = sum_noise(&hearing, 0, judge->n_samples);
    for (int s = 0; hearing.failure == NULL && request->ret_each != NULL && s < judge->n_samples; s++)
        request->ret_each[s] = sum_noise(&hearing, s, s + 1);
    for (int w = 0; w < workers; w++)
        runner_free(hearing.runners[w]);
    pthread_mutex_destroy(&hearing.lock);
    free(hearing.runners);
    free(hearing.error);
    free(hearing.signal);
    return hearing.failure;
}

Status judge_noise(const Judge *judge, const Plan *candidate, Team *team, double *ret, double *ret_each)
{
    Request request = {judge, candidate, ret, ret_each};
    return team_try(team, judge_with, &request);
}

double noise_to_db(double noise)
{
    return noise > 0.0 ? -10.0 * log10(noise) : 999.0;
}
