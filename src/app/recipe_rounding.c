/* recipe_rounding.c - weights rounded by what the outputs of their layers are off.
 *
 *     some samples ─ float model ─ inputs of each weighted node ─ covariances ─ quantize with and without ─ noise ─ the better
 */
#include "src/app/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES 16
#define POSITIONS 2048       /* of each node over all samples, at most; at --effort max, of samples too, four times as many */
#define WORK 3e10            /* multiply-accumulates of all products; beyond it fewer positions, but at --effort max */
#define LEAST 512            /* positions, whatever the work */
#define WORTH 0.95           /* what is left of the noise must be less: smaller gains on a few samples are chance */
#define MOMENT_BYTES ((size_t)1 << 30) /* of all nodes; those beyond are rounded to the nearest */

typedef struct Window {
    int64_t kernel[2], stride[2], pad[2], dilation[2]; /* pad: at the beginning */
} Window;

typedef struct Watch {
    MomentTable *table;
    const Model *model;
    int64_t positions; /* of each node in each sample */
    float *row;        /* of the longest node */
} Watch;

static void read_pair(const Node *node, const char *name, int64_t otherwise, int n, int64_t ret[2])
{
    const Attr *attr = node_attr(node, name);
    for (int i = 0; i < 2; i++) {
        int64_t at = i - (2 - n); /* one spatial axis is the second of two */
        ret[i] = at < 0 ? (otherwise == 0 ? 0 : 1) : attr == NULL || at >= attr->n ? otherwise : attr->ints[at];
    }
}

/* False for what is left to the nearest: more than two spatial axes, padding that follows from sizes. */
static bool read_window(const Node *node, Window *ret)
{
    const Tensor *weight = node->in[1]->constant;
    int n = weight->rank - 2;
    if (n < 1 || n > 2 || strcmp(node_string(node, "auto_pad", "NOTSET"), "NOTSET") != 0)
        return false;
    read_pair(node, "strides", 1, n, ret->stride);
    read_pair(node, "dilations", 1, n, ret->dilation);
    read_pair(node, "pads", 0, n, ret->pad);
    for (int i = 0; i < 2; i++)
        ret->kernel[i] = i < 2 - n ? 1 : weight->dims[i + 2 - (2 - n)];
    return ret->stride[0] > 0 && ret->stride[1] > 0;
}

/* What the kernel sees at output place (y, x) of one image, channels [first, first + channels). */
static void take_patch(const Tensor *image, const Window *w, int64_t batch, int64_t first, int64_t channels, int64_t y, int64_t x,
                       float *ret)
{
    int64_t height = image->rank == 3 ? 1 : image->dims[2], width = image->dims[image->rank - 1];
    for (int64_t c = 0; c < channels; c++) {
        const float *plane = (const float *)image->data + ((batch * image->dims[1] + first + c) * height) * width;
        for (int64_t ky = 0; ky < w->kernel[0]; ky++)
            for (int64_t kx = 0; kx < w->kernel[1]; kx++) {
                int64_t iy = y * w->stride[0] - w->pad[0] + ky * w->dilation[0];
                int64_t ix = x * w->stride[1] - w->pad[1] + kx * w->dilation[1];
                bool inside = iy >= 0 && iy < height && ix >= 0 && ix < width;
                float value = inside ? plane[iy * width + ix] : 0.0f;
                *ret++ = isfinite(value) ? value : 0.0f;
            }
    }
}

static void see_convolution(const Watch *watch, const Node *node, const Tensor *image, Moments *m)
{
    Window w;
    if (!read_window(node, &w) || image->rank != node->in[1]->constant->rank || image->count == 0)
        return;
    int64_t channels = node->in[1]->constant->dims[1];
    int64_t out[2];
    for (int i = 0; i < 2; i++) {
        int64_t size = image->rank == 3 && i == 0 ? 1 : image->dims[image->rank - 2 + i];
        out[i] = MAX((size - 1) / w.stride[i] + 1, 1); /* places beyond the last see padding: few, and like its border */
    }
    if (image->dims[1] != channels * m->groups)
        return;
    int64_t places = image->dims[0] * out[0] * out[1], taken = MIN(places, watch->positions);
    for (int64_t k = 0; k < taken; k++) {
        int64_t place = (2 * k + 1) * places / (2 * taken), x = place % out[1], y = place / out[1] % out[0];
        for (int64_t group = 0; group < m->groups; group++) {
            take_patch(image, &w, place / (out[0] * out[1]), group * channels, channels, y, x, watch->row);
            moments_add(m, group, watch->row);
        }
        m->count++;
    }
}

static void see_rows(const Watch *watch, const Tensor *x, Moments *m)
{
    if (x->rank < 1 || x->dims[x->rank - 1] != m->length || x->count == 0)
        return;
    int64_t rows = x->count / m->length, taken = MIN(rows, watch->positions);
    for (int64_t k = 0; k < taken; k++) {
        const float *row = (const float *)x->data + (2 * k + 1) * rows / (2 * taken) * m->length;
        for (int64_t i = 0; i < m->length; i++)
            watch->row[i] = isfinite(row[i]) ? row[i] : 0.0f;
        moments_add(m, 0, watch->row);
        m->count++;
    }
}

static Status see(void *context, const Value *value, Tensor *tensor)
{
    const Watch *watch = context;
    for (size_t i = 0; i < value->n_uses && tensor->dtype == DT_FLOAT; i++) {
        const Node *node = value->uses[i].node;
        Moments *m = value->uses[i].input != 0 || node->graph != watch->model->graph ? NULL : watch->table->rows[node->id];
        if (m != NULL && node_is(node, "Conv"))
            see_convolution(watch, node, tensor, m);
        else if (m != NULL)
            see_rows(watch, tensor, m);
    }
    return NULL;
}

/* In the order of the samples: the same sums for any number of threads. */
static Status look(Search *search, const Plan *plan, const Samples *samples, Watch *watch)
{
    bool *unwanted = xcalloc(MAX(search->model->n_ids, 1), sizeof unwanted[0]);
    for (uint32_t id = 0; id < search->model->n_ids; id++)
        unwanted[id] = true;
    for (const Node *node = search->model->graph->first; node != NULL; node = node->next)
        if (watch->table->rows[node->id] != NULL)
            unwanted[node->in[0]->id] = false;
    Observer observer = {.value = see, .context = watch, .unwanted = unwanted};
    Tensor *outputs = xcalloc((size_t)MAX(plan_n_outputs(plan), 1), sizeof outputs[0]);
    Runner *runner = runner_new(plan, search->team);
    Status status = NULL;
    for (int s = 0; s < samples->n && status == NULL; s++)
        status = runner_run(runner, &samples->inputs[s * samples->n_inputs], &observer, outputs);
    runner_free(runner);
    free(outputs);
    free(unwanted);
    return status;
}

/* ret: the longest row; ret_work: multiply-accumulates of a position of each. */
static int64_t list_nodes(const Search *search, MomentTable *table, double *ret_work)
{
    int64_t longest = 1;
    size_t bytes = 0;
    *ret_work = 0.0;
    for (const Node *node = search->model->graph->first; node != NULL; node = node->next) {
        int64_t groups, length;
        if (!quantize_rounding_shape(node, &groups, &length) || node->in[0]->constant != NULL)
            continue;
        size_t own = (size_t)(groups * length) * (size_t)MIN(length, MOMENTS_BLOCK) * sizeof(double);
        if (bytes + own > MOMENT_BYTES)
            continue;
        bytes += own;
        *ret_work += (double)own / sizeof(double) / 2.0;
        longest = MAX(longest, length);
        table->rows[node->id] = moments_new(groups, length);
    }
    return longest;
}

static bool is_max(const Search *search)
{
    return search->options->effort != NULL && strcmp(search->options->effort, "max") == 0;
}

static Status measure(Search *search, const Dataset *dataset, MomentTable *table)
{
    Plan *plan = NULL;
    Samples samples = {0};
    double work = 0.0;
    int more = is_max(search) ? 4 : 1;
    TRY(setup_plan(search->options, search->model, &plan));
    int64_t longest = list_nodes(search, table, &work);
    double positions = more > 1 ? more * POSITIONS : fmax(fmin(POSITIONS, WORK / fmax(work, 1.0)), LEAST);
    Status status = samples_load(dataset, plan_n_inputs(plan), more * SAMPLES, &samples);
    if (status == NULL && samples.n > 0) {
        Watch watch = {.table = table, .model = search->model, .positions = MAX((int64_t)positions / samples.n, 1)};
        watch.row = xcalloc((size_t)longest, sizeof watch.row[0]);
        status = look(search, plan, &samples, &watch);
        free(watch.row);
    }
    samples_release(&samples);
    plan_free(plan);
    return status;
}

void moment_table_free(MomentTable *table)
{
    for (uint32_t id = 0; table != NULL && id < table->n; id++)
        moments_free(table->rows[id]);
    if (table != NULL)
        free(table->rows);
    free(table);
}

Status recipe_rounding(Search *search, const Dataset *dataset, const RangeTable *ranges, const char *const *kept_float)
{
    if (search->judge == NULL)
        return NULL;
    MomentTable *table = xcalloc(1, sizeof *table);
    *table = (MomentTable){xcalloc(MAX(search->model->n_node_ids, 1), sizeof table->rows[0]), search->model->n_node_ids};
    Recipe nearest = {.ranges = ranges, .kept_float = kept_float, .means = search->means, .integer_gelu = search->integer_gelu};
    Recipe learned = nearest;
    learned.moments = table;
    double before = 0.0, after = 0.0;
    Status status = measure(search, dataset, table);
    if (status == NULL)
        status = candidate_noise(search, &nearest, "weights rounded to the nearest", &before, NULL);
    if (status == NULL)
        status = candidate_noise(search, &learned, "weights rounded by the outputs of their layers", &after, NULL);
    if (status == NULL && after < WORTH * before) {
        search->moments = table;
        return NULL;
    }
    moment_table_free(table);
    return status;
}
