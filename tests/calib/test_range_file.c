/* test_range_file.c - shards against one run, tables written and read, edited, stale; NaN with node and sample; state. */
#include "src/ops/ops.h"
#include "tests/calib/pictures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* x (1, 6), h (1, 6) -> Add -> s -> Sqrt -> r */
static Model *make_model(void)
{
    Model *model = model_new();
    model_set_opset(model, "", 13);
    graph_new(model, "net", NULL);
    Value *in[2] = {graph_value(model->graph, "x"), graph_value(model->graph, "h")};
    Value *s = graph_value(model->graph, "s"), *r = graph_value(model->graph, "r");
    for (int i = 0; i < 2; i++) {
        in[i]->type = (Type){.kind = TYPE_TENSOR, .dtype = DT_FLOAT, .shape = shape_of(2, (int64_t[]){1, 6})};
        graph_add_input(model->graph, in[i]);
    }
    graph_add_node(model->graph, NULL, "Add", "", "add", 2, in, 1, &s);
    graph_add_node(model->graph, NULL, "Sqrt", "", "root", 1, &s, 1, &r);
    graph_add_output(model->graph, r);
    graph_add_output(model->graph, s);
    ops_bind(model);
    CHECK_OK(ops_infer(model));
    return model;
}

static const char *in_folder(const char *folder, const char *file)
{
    char name[64];
    snprintf(name, sizeof name, "%s/%s", folder, file);
    return picture_path(name);
}

/* Sample i: i + 1, i + 2 ...; sample 3 begins with a negative number, whose root is NaN. */
static void put_samples(const char *folder, int n)
{
    for (int i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "%03d.npy", i);
        float data[6];
        for (int k = 0; k < 6; k++)
            data[k] = (float)(i + k + 1) * 0.37f;
        if (i == 3)
            data[0] = -4;
        Tensor tensor;
        if (CHECK_OK(tensor_view(&tensor, DT_FLOAT, 2, (int64_t[]){1, 6}, data)))
            CHECK_OK(npy_write(in_folder(folder, name), &tensor));
    }
    write_file(in_folder(folder, "004x.npy"), "", 0);
}

static bool see(const char *folder, int shard, int shards, bool link, Sights *ret)
{
    Model *model = make_model();
    Plan *plan;
    Dataset *dataset;
    bool good = CHECK_OK(plan_new(model, &(PlanOptions){.reference = true}, &plan));
    const Value *inputs[] = {plan_input(plan, 0), plan_input(plan, 1)};
    DatasetOptions options = {.preprocess = preprocess_default(), .shard = shard, .shards = shards,
                              .states = &(StateInput){"h", NULL}, .n_states = 1};
    StateLink links[] = {{1, 1}};
    good = good && CHECK_OK(dataset_open(in_folder(folder, ""), inputs, 2, &options, &dataset));
    if (good) {
        good = CHECK_OK(collect_sights(plan, dataset, &(CollectOptions){.links = links, .n_links = link ? 1 : 0}, NULL, NULL, ret));
        dataset_free(dataset);
    }
    plan_free(plan);
    model_free(model);
    return good;
}

static const RangeSource source = {.model_sha256 = "0123456789abcdef", .passes = "target=t", .data = "d", .reader = "npy",
                                   .preprocessing = "as \"stored\"", .data_sha256 = "ff", .rule = "auto", .shard = 1,
                                   .shards = 1};

static bool same_files(const char *a, const char *b)
{
    size_t n[2];
    char *path = xstrdup(picture_path(a));
    unsigned char *bytes[2] = {read_bytes(path, &n[0]), read_bytes(picture_path(b), &n[1])};
    bool same = n[0] == n[1] && memcmp(bytes[0], bytes[1], n[0]) == 0;
    free(bytes[0]);
    free(bytes[1]);
    free(path);
    return same;
}

static void write_table(const char *name, const Sights *sights)
{
    static const char *const methods[] = {"auto", "mean-minmax", "entropy", "percentile"};
    for (size_t m = 0; m < COUNT_OF(methods); m++) {
        RangeRule rule;
        char file[64];
        snprintf(file, sizeof file, "%s-%zu.json", name, m);
        CHECK(range_rule_parse(methods[m], &rule));
        RangeTable *ranges = sights_choose(sights, rule, NULL);
        CHECK_OK(ranges_write(picture_path(file), &source, ranges, sights));
        ranges_free(ranges);
    }
}

TEST(shards_join_to_one_run_bit_for_bit)
{
    put_samples("shards", 11);
    Sights whole = {0}, all = {0};
    Arena *arena = arena_new();
    if (!see("shards", 0, 0, false, &whole))
        return;
    for (int s = 4; s >= 1; s--) {
        Sights part = {0}, read;
        char file[32];
        snprintf(file, sizeof file, "part%d.json", s);
        if (!see("shards", s, 4, false, &part))
            return;
        RangeSource own = source, found;
        own.shard = s;
        own.shards = 4;
        CHECK_OK(part_write(picture_path(file), &own, &part));
        sights_release(&part);
        if (!CHECK_OK(part_read(picture_path(file), arena, &found, &read)))
            return;
        CHECK_INT(found.shard, s);
        CHECK_TEXT(found.preprocessing, "as \"stored\"");
        all.arena = arena;
        sights_merge(&all, &read);
        sights_release(&read);
    }
    CHECK_INT(all.samples, 11);
    CHECK_INT(all.n_skipped, 1);
    write_table("whole", &whole);
    write_table("joined", &all);
    for (int m = 0; m < 4; m++) {
        char a[32], b[32];
        snprintf(a, sizeof a, "whole-%d.json", m);
        snprintf(b, sizeof b, "joined-%d.json", m);
        CHECK(same_files(a, b));
    }
    all.arena = NULL;
    sights_release(&all);
    sights_release(&whole);
    arena_free(arena);
}

TEST(nan_is_told_with_node_and_sample_and_poisons_nothing)
{
    put_samples("nan", 6);
    Sights sights = {0};
    if (!see("nan", 0, 0, false, &sights))
        return;
    RangeTable *ranges = sights_choose(&sights, (RangeRule){RANGE_AUTO, 0}, NULL);
    const Range *r = ranges_get(ranges, "r");
    CHECK(r != NULL && r->not_finite == 1 && r->low == 0 && r->high > 1.9f && r->high < 2.1f);
    int bad = 0;
    for (size_t i = 0; i < sights.n; i++) {
        if (sights.rows[i].bad_sample < 0)
            continue;
        bad++;
        CHECK_TEXT(sights.rows[i].name, "r");
        CHECK_TEXT(sights.rows[i].node, "node 'root' (Sqrt)");
        CHECK_TEXT(path_base(sights.rows[i].bad_file), "003.npy");
    }
    CHECK_INT(bad, 1);
    ranges_free(ranges);
    sights_release(&sights);
}

TEST(state_goes_from_sample_to_sample)
{
    put_samples("state", 3);
    Sights without = {0}, with = {0};
    if (!see("state", 0, 0, false, &without) || !see("state", 0, 0, true, &with))
        return;
    for (size_t i = 0; i < with.n; i++) {
        if (strcmp(with.rows[i].name, "s") != 0)
            continue;
        CHECK_NEAR(without.rows[i].histogram->max, 8 * 0.37, 1e-5);
        CHECK_NEAR(with.rows[i].histogram->max, (6 + 7 + 8) * 0.37, 1e-5); /* the sum of all three */
    }
    sights_release(&without);
    sights_release(&with);
}

/* The table with one text put in place of another. */
static void edit(const char *from, const char *to)
{
    size_t n;
    unsigned char *bytes = read_bytes(picture_path("table.json"), &n);
    char *text = xprintf("%.*s", (int)n, (const char *)bytes), *at = strstr(text, from);
    CHECK(at != NULL);
    if (at != NULL) {
        char *edited = xprintf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
        write_file(picture_path("edited.json"), edited, strlen(edited));
        free(edited);
    }
    free(bytes);
    free(text);
}

TEST(tables_are_read_back_edited_and_refused_when_stale)
{
    put_samples("tables", 5);
    Sights sights = {0}, read;
    if (!see("tables", 0, 0, false, &sights))
        return;
    RangeTable *ranges = sights_choose(&sights, (RangeRule){RANGE_MINMAX, 0}, NULL), *back = NULL;
    CHECK_OK(ranges_write(picture_path("table.json"), &source, ranges, &sights));
    Arena *arena = arena_new();
    RangeSource found;
    if (CHECK_OK(ranges_read(picture_path("table.json"), &source, arena, &found, &back, &read))) {
        CHECK_INT(ranges_count(back), ranges_count(ranges));
        for (size_t i = 0; i < ranges_count(ranges); i++) {
            const Range *a = ranges_at(ranges, i), *b = ranges_at(back, i);
            CHECK_TEXT(b->name, a->name);
            CHECK_TEXT(b->method, "minmax");
            CHECK(a->low == b->low && a->high == b->high && a->observed_max == b->observed_max);
            CHECK(a->elements == b->elements && a->not_finite == b->not_finite);
        }
        CHECK_INT(read.samples, 5);
        CHECK_INT(read.n_skipped, 1);
        CHECK_TEXT(read.skipped[0].reason, "the file is empty");
        ranges_free(back);
        sights_release(&read);
    }
    edit("\"high\": ", "\"high\": 1");
    if (CHECK_OK(ranges_read(picture_path("edited.json"), &source, arena, &found, &back, &read))) {
        CHECK(ranges_at(back, 0)->high > 10);
        ranges_free(back);
        sights_release(&read);
    }
    static const struct {
        const char *from, *to, *part;
    } wrong[] = {
        {"\"high\": ", "\"high\": -", "0 must lie between"},
        {"\"high\": ", "\"high\": 1e39, \"x\": ", "beyond the range of float"},
        {"0123456789abcdef", "1123456789abcdef", "made for another model"},
        {"target=t", "target=u", "calibrate again"},
        {"quantize ranges 1", "quantize ranges 2", "expects \"format\""},
        {"\"values\": [", "\"values\": [{", "not JSON"},
        {"\"name\": \"h\"", "\"name\": \"x\"", "listed twice"},
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        edit(wrong[i].from, wrong[i].to);
        CHECK_FAILS(ranges_read(picture_path("edited.json"), &source, arena, &found, &back, &read), CODE_DATA,
                    wrong[i].part);
    }
    ranges_free(ranges);
    sights_release(&sights);
    arena_free(arena);
}

TEST(damaged_parts_are_refused)
{
    put_samples("damaged", 2);
    Sights sights = {0}, read;
    RangeSource found;
    if (!see("damaged", 0, 0, false, &sights))
        return;
    CHECK_OK(part_write(picture_path("table.json"), &source, &sights));
    Arena *arena = arena_new();
    static const struct {
        const char *from, *to, *part;
    } wrong[] = {
        {"\"bins\": \"", "\"bins\": \"1+1;", "'bins' is damaged"},
        {"\"bins\": \"", "\"bins\": \"9999+1;", "'bins' is damaged"},
        {"\"run_min\": \"", "\"run_min\": \"z", "'run_min' is damaged"},
        {"\"count\": ", "\"count\": 1e300, \"x\": ", "'count' is no count"},
        {"\"zeros\": ", "\"zeros\": 99", "counts are damaged"},
        {"\"exponent\": ", "\"exponent\": 1e9, \"x\": ", "'exponent' is damaged"},
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        edit(wrong[i].from, wrong[i].to);
        CHECK_FAILS(part_read(picture_path("edited.json"), arena, &found, &read), CODE_DATA, wrong[i].part);
    }
    sights_release(&sights);
    arena_free(arena);
}
