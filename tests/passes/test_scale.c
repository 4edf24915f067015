/* test_scale.c - time and memory of the passes are in proportion to the graph: counted, not timed.
 *
 *     every kind of tests/simplify/large.h, n nodes and 10 n     steps, arena bytes     at most 11 times as many
 *
 * What the count does not see, loops within a pass, is measured by `make simplify-scaling` on the whole program.
 */
#include "tests/simplify/large.h"
#include "tests/test.h"

#include "passes/pass.h"

#include <stdlib.h>

#define NODES 300
#define MOST 11        /* 10, and what a table that doubles may cost */

typedef struct Cost {
    uint64_t steps;
    size_t bytes;
    int left;
} Cost;

static Cost simplify(const LargeKind *kind, int nodes)
{
    Model *m = large_model(kind, nodes);
    PassRecord *records = xcalloc(pass_count(), sizeof(*records));
    m->steps = 0;
    CHECK_OK(passes_run(m, PASS_RAISE, NULL, NULL, NULL, NULL, records));
    CHECK_OK(passes_run(m, PASS_SIMPLIFY, NULL, NULL, NULL, NULL, records));
    Cost cost = {m->steps, arena_bytes(m->arena), model_count_nodes(m)};
    free(records);
    records = xcalloc(pass_count(), sizeof(*records));
    CHECK_OK(passes_run(m, PASS_SIMPLIFY, NULL, NULL, NULL, NULL, records));
    for (size_t i = 0; i < pass_count(); i++)
        if (records[i].changes != 0)
            test_fail(__FILE__, __LINE__, "%s, %d nodes: %s changes it again", kind->name, nodes, records[i].pass->name);
    free(records);
    model_free(m);
    return cost;
}

TEST(simplify_costs_in_proportion_to_the_graph)
{
    for (const LargeKind *kind = large_kinds; kind->name != NULL; kind++) {
        Cost once = simplify(kind, NODES), ten = simplify(kind, 10 * NODES);
        if (ten.steps > MOST * once.steps)
            test_fail(__FILE__, __LINE__, "%s: %llu steps for %d nodes, %llu for ten times as many", kind->name,
                      (unsigned long long)once.steps, NODES, (unsigned long long)ten.steps);
        if (ten.bytes > MOST * once.bytes)
            test_fail(__FILE__, __LINE__, "%s: %zu bytes for %d nodes, %zu for ten times as many", kind->name, once.bytes,
                      NODES, ten.bytes);
        /* The same at every place, so ten times the nodes leave ten times as many, the ends aside. */
        if (abs(ten.left - 10 * once.left) > 10 * 20)
            test_fail(__FILE__, __LINE__, "%s: %d left of %d nodes, %d of ten times as many", kind->name, once.left, NODES,
                      ten.left);
    }
}
