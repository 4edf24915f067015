/* test_subset.c - values so large that a subset of them is counted: neither threads nor shards show; levels of watching. */
#include "src/ops/ops.h"
#include "tests/calib/pictures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 20011 /* of which some 4096 are counted */
#define SAMPLES 9

/* x (1, WIDTH) -> Neg -> y -> Relu -> z */
static Model *make_model(void)
{
    Model *model = model_new();
    model_set_opset(model, "", 13);
    graph_new(model, "net", NULL);
    Value *x = graph_value(model->graph, "x"), *y = graph_value(model->graph, "y"), *z = graph_value(model->graph, "z");
    x->type = (Type){.kind = TYPE_TENSOR, .dtype = DT_FLOAT, .shape = shape_of(2, (int64_t[]){1, WIDTH})};
    graph_add_input(model->graph, x);
    graph_add_node(model->graph, NULL, "Neg", "", "neg", 1, &x, 1, &y);
    graph_add_node(model->graph, NULL, "Relu", "", "relu", 1, &y, 1, &z);
    graph_add_output(model->graph, z);
    ops_bind(model);
    CHECK_OK(ops_infer(model));
    return model;
}

static void put_samples(void)
{
    uint32_t state = 1;
    float *data = xcalloc(WIDTH, sizeof data[0]);
    for (int i = 0; i < SAMPLES; i++) {
        char name[32];
        snprintf(name, sizeof name, "subset/%03d.npy", i);
        for (int k = 0; k < WIDTH; k++) {
            state = state * 1664525u + 1013904223u;
            data[k] = (float)(i + 1) * ((float)(state >> 8) / 8388608.0f - 1.0f);
        }
        Tensor tensor;
        if (CHECK_OK(tensor_view(&tensor, DT_FLOAT, 2, (int64_t[]){1, WIDTH}, data)))
            CHECK_OK(npy_write(picture_path(name), &tensor));
    }
    free(data);
}

static bool see(int threads, int shard, int shards, const WatchLevel *levels, Sights *ret)
{
    Model *model = make_model();
    Plan *plan = NULL;
    Dataset *dataset = NULL;
    Team *team = threads > 1 ? team_new(threads) : NULL;
    bool good = CHECK_OK(plan_new(model, &(PlanOptions){.reference = true}, &plan));
    const Value *input = good ? plan_input(plan, 0) : NULL;
    DatasetOptions options = {.preprocess = preprocess_default(), .shard = shard, .shards = shards};
    good = good && CHECK_OK(dataset_open(picture_path("subset/"), &input, 1, &options, &dataset)) &&
           CHECK_OK(collect_sights(plan, dataset, &(CollectOptions){.counts = 1, .levels = levels}, team, NULL, ret));
    dataset_free(dataset);
    plan_free(plan);
    model_free(model);
    team_free(team);
    return good;
}

static void check_same(const Sights *a, const Sights *b)
{
    CHECK_INT(a->n, b->n);
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        CHECK_TEXT(a->rows[i].name, b->rows[i].name);
        CHECK(memcmp(a->rows[i].histogram, b->rows[i].histogram, sizeof(Histogram) + HISTOGRAM_BINS * 8) == 0);
    }
}

TEST(subsets_are_the_same_for_any_threads_and_shards)
{
    put_samples();
    Sights one = {0}, all = {0};
    if (!see(1, 0, 0, NULL, &one))
        return;
    CHECK_INT(one.n, 3);
    const Histogram *h = one.rows[0].histogram;
    CHECK_INT(h->count, SAMPLES * WIDTH);
    CHECK(h->counted <= SAMPLES * 4096 && h->counted > SAMPLES * 4080);
    for (int threads = 2; threads <= 5; threads += 3) {
        Sights other = {0};
        if (see(threads, 0, 0, NULL, &other))
            check_same(&one, &other);
        sights_release(&other);
    }
    static const int order[] = {3, 1, 4, 2};
    all.arena = arena_new();
    for (int i = 0; i < 4; i++) {
        Sights part = {0};
        if (see(1, order[i], 4, NULL, &part))
            sights_merge(&all, &part);
        sights_release(&part);
    }
    check_same(&one, &all);
    sights_release(&one);
    sights_release(&all);
}

TEST(what_is_not_wanted_is_not_watched)
{
    static const WatchLevel levels[] = {WATCH_HISTOGRAM, WATCH_NOTHING, WATCH_EXTREMES};
    put_samples();
    Sights sights = {0};
    CHECK(see(1, 0, 0, levels, &sights) && sights.n == 2);
    if (sights.n == 2) {
        CHECK_TEXT(sights.rows[0].name, "x");
        CHECK_TEXT(sights.rows[1].name, "z");
        CHECK(sights.rows[0].histogram->has_bins && !sights.rows[1].histogram->has_bins);
        CHECK_INT(sights.rows[1].histogram->count, SAMPLES * WIDTH);
        CHECK(sights.rows[1].histogram->max == -sights.rows[0].histogram->min && sights.rows[1].histogram->min == 0);
    }
    sights_release(&sights);
}
