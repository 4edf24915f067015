/* test_collect.c - ranges of a small model over files: what is seen, what is skipped, and that threads do not show. */
#include "src/ops/ops.h"
#include "tests/calib/pictures.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* x (1, 6) -> Relu -> y -> Neg -> z */
static Model *make_model(void)
{
    Model *model = model_new();
    model_set_opset(model, "", 13);
    graph_new(model, "net", NULL);
    Value *x = graph_value(model->graph, "x"), *y = graph_value(model->graph, "y"), *z = graph_value(model->graph, "z");
    x->type = (Type){.kind = TYPE_TENSOR, .dtype = DT_FLOAT, .shape = shape_of(2, (int64_t[]){1, 6})};
    graph_add_input(model->graph, x);
    graph_add_node(model->graph, NULL, "Relu", "", "relu", 1, &x, 1, &y);
    graph_add_node(model->graph, NULL, "Neg", "", "neg", 1, &y, 1, &z);
    graph_add_output(model->graph, z);
    ops_bind(model);
    CHECK_OK(ops_infer(model));
    return model;
}

typedef struct Setup {
    Model *model;
    Plan *plan;
    Dataset *dataset;
} Setup;

static bool set_up(const char *folder, Setup *setup)
{
    *setup = (Setup){.model = make_model()};
    if (!CHECK_OK(plan_new(setup->model, &(PlanOptions){.reference = true}, &setup->plan)))
        return false;
    const Value *input = plan_input(setup->plan, 0);
    DatasetOptions options = {.preprocess = preprocess_default()};
    return CHECK_OK(dataset_open(folder, &input, 1, &options, &setup->dataset));
}

static void tear_down(Setup *setup)
{
    dataset_free(setup->dataset);
    plan_free(setup->plan);
    model_free(setup->model);
}

static const char *in_folder(const char *folder, const char *file)
{
    char name[64];
    snprintf(name, sizeof name, "%s/%s", folder, file);
    return picture_path(name);
}

/* Sample i: six numbers around i, both signs. */
static void put_samples(const char *folder, int n)
{
    for (int i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "%03d.npy", i);
        float data[6];
        for (int k = 0; k < 6; k++)
            data[k] = (float)((k % 2 == 0 ? 1 : -1) * (i + 1) * (k + 1)) / 64;
        Tensor tensor;
        if (CHECK_OK(tensor_view(&tensor, DT_FLOAT, 2, (int64_t[]){1, 6}, data)))
            CHECK_OK(npy_write(in_folder(folder, name), &tensor));
    }
}

typedef struct Steps {
    int64_t calls, last, total;
} Steps;

static void count_step(void *context, int64_t done, int64_t total)
{
    Steps *steps = context;
    CHECK_INT(done, steps->last + 1); /* one at a time, in order of counting */
    steps->calls++;
    steps->last = done;
    steps->total = total;
}

TEST(collect_sees_every_float_value_of_every_sample)
{
    put_samples("collect-all", 10);
    Setup setup;
    CollectResult result;
    Steps steps = {0};
    Progress progress = {count_step, &steps};
    if (set_up(in_folder("collect-all", ""), &setup) &&
        CHECK_OK(collect_ranges(setup.plan, setup.dataset, (RangeRule){RANGE_MINMAX, 0}, NULL, &progress, &result))) {
        CHECK_INT(result.sights.samples, 10);
        CHECK_INT(result.sights.n_skipped, 0);
        CHECK_INT(steps.calls, 10);
        CHECK_INT(steps.total, 10);
        CHECK_INT(ranges_count(result.ranges), 3);
        const Range *x = ranges_get(result.ranges, "x"), *y = ranges_get(result.ranges, "y"),
                    *z = ranges_get(result.ranges, "z");
        CHECK(x != NULL && y != NULL && z != NULL);
        if (x != NULL && y != NULL && z != NULL) {
            CHECK_INT(x->elements, 60);
            CHECK(x->low == -60.0f / 64 && x->high == 50.0f / 64);
            CHECK(y->low == 0 && y->high == 50.0f / 64);
            CHECK(z->low == -50.0f / 64 && z->high == 0);
        }
        collect_release(&result);
    }
    tear_down(&setup);
}

TEST(collect_does_not_depend_on_the_threads)
{
    put_samples("collect-threads", 40);
    write_file(in_folder("collect-threads", "0075.npy"), "\x93NUMPY", 6);
    Setup setup;
    if (!set_up(in_folder("collect-threads", ""), &setup))
        return;
    CollectResult results[3];
    for (int i = 0; i < 3; i++) {
        Team *team = i == 0 ? NULL : team_new(i == 1 ? 2 : 5);
        if (!CHECK_OK(collect_ranges(setup.plan, setup.dataset, (RangeRule){RANGE_MSE, 0}, team, NULL, &results[i])))
            abort();
        team_free(team);
        CHECK_INT(results[i].sights.n_skipped, 1);
        CHECK_INT(ranges_count(results[i].ranges), ranges_count(results[0].ranges));
        for (size_t k = 0; k < ranges_count(results[0].ranges); k++) {
            const Range *a = ranges_at(results[0].ranges, k), *b = ranges_at(results[i].ranges, k);
            CHECK_TEXT(b->name, a->name);
            CHECK(a->low == b->low && a->high == b->high && a->clipped_share == b->clipped_share);
            CHECK(a->sqnr_db == b->sqnr_db && a->elements == b->elements);
        }
    }
    for (int i = 0; i < 3; i++)
        collect_release(&results[i]);
    tear_down(&setup);
}

TEST(collect_names_what_it_skips_in_file_order)
{
    put_samples("collect-skips", 3);
    write_file(in_folder("collect-skips", "0005.npy"), "", 0);
    write_file(in_folder("collect-skips", "zzz.npy"), "\x93NUMPY\1\0\1\0 ", 11);
    Setup setup;
    CollectResult result;
    Team *team = team_new(3);
    if (set_up(in_folder("collect-skips", ""), &setup) &&
        CHECK_OK(collect_ranges(setup.plan, setup.dataset, (RangeRule){RANGE_MINMAX, 0}, team, NULL, &result))) {
        CHECK_INT(result.sights.samples, 3);
        CHECK_INT(result.sights.n_skipped, 2);
        if (result.sights.n_skipped == 2) {
            CHECK_TEXT(path_base(result.sights.skipped[0].file), "0005.npy");
            CHECK_TEXT(result.sights.skipped[0].reason, "the file is empty");
            CHECK_TEXT(path_base(result.sights.skipped[1].file), "zzz.npy");
            CHECK_TEXT(result.sights.skipped[1].reason, "the header is damaged");
        }
        collect_release(&result);
    }
    team_free(team);
    tear_down(&setup);
}

/* Files that go away, are cut short or emptied between the listing of the folder and their turn. */
TEST(collect_skips_files_that_vanish_while_running)
{
    put_samples("collect-gone", 6);
    Setup setup;
    CollectResult result;
    if (set_up(in_folder("collect-gone", ""), &setup)) {
        CHECK_INT(remove(in_folder("collect-gone", "001.npy")), 0);
        write_file(in_folder("collect-gone", "003.npy"), "\x93NUMPY\1\0", 8);
        write_file(in_folder("collect-gone", "004.npy"), "", 0);
        if (CHECK_OK(collect_ranges(setup.plan, setup.dataset, (RangeRule){RANGE_MINMAX, 0}, NULL, NULL, &result))) {
            CHECK_INT(result.sights.samples, 3);
            CHECK_INT(result.sights.n_skipped, 3);
            if (result.sights.n_skipped == 3) {
                CHECK_TEXT(path_base(result.sights.skipped[0].file), "001.npy");
                CHECK(strstr(result.sights.skipped[0].reason, "no such file") != NULL);
                CHECK_TEXT(path_base(result.sights.skipped[1].file), "003.npy");
                CHECK_TEXT(result.sights.skipped[2].reason, "the file is empty");
            }
            CHECK(ranges_get(result.ranges, "x")->low == -36.0f / 64); /* of sample 5 */
            collect_release(&result);
        }
        for (int i = 0; i < 6; i++) {
            char name[16];
            snprintf(name, sizeof name, "%03d.npy", i);
            remove(in_folder("collect-gone", name));
        }
        CHECK_FAILS(collect_ranges(setup.plan, setup.dataset, (RangeRule){RANGE_MINMAX, 0}, NULL, NULL, &result), CODE_DATA,
                    "none of the 6 samples can be used");
    }
    tear_down(&setup);
}

TEST(collect_of_nothing_readable_fails_with_the_first_reason)
{
    write_file(in_folder("collect-none", "a.npy"), "", 0);
    write_file(in_folder("collect-none", "b.npy"), "", 0);
    Setup setup;
    CollectResult result = {.sights = {.samples = 123}};
    if (set_up(in_folder("collect-none", ""), &setup))
        CHECK_FAILS(collect_ranges(setup.plan, setup.dataset, (RangeRule){RANGE_MSE, 0}, NULL, NULL, &result), CODE_DATA,
                    "none of the 2 samples can be used");
    CHECK_INT(result.sights.samples, 123);
    tear_down(&setup);
}
